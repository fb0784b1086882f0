/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipvlan.h - the CNI plugin of that name.
 */
#ifndef PLUGINS_IPVLAN_H
#define PLUGINS_IPVLAN_H

#include "cni/cni.h"

extern const struct cni_plugin ipvlan_plugin;

#endif
