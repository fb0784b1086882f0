/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.h - the CNI plugin of that name.
 */
#ifndef PLUGINS_COORDINATOR_H
#define PLUGINS_COORDINATOR_H

#include "cni/cni.h"

extern const struct cni_plugin coordinator_plugin;

#endif
