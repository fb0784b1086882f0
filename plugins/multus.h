/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus.h - the CNI plugin of that name.
 */
#ifndef PLUGINS_MULTUS_H
#define PLUGINS_MULTUS_H

#include "cni/cni.h"

extern const struct cni_plugin multus_plugin;

#endif
