/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ifacer.h - the CNI plugin of that name.
 */
#ifndef PLUGINS_IFACER_H
#define PLUGINS_IFACER_H

#include "cni/cni.h"

extern const struct cni_plugin ifacer_plugin;

#endif
