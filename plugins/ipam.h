/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipam.h - the IPAM plugin: asks the node's agent for addresses, never the API server.  Also
 * called in-process by ipvlan.c when ipam.type names this binary.
 */
#ifndef PLUGINS_IPAM_H
#define PLUGINS_IPAM_H

#include "cni/cni.h"

extern const struct cni_plugin ipam_plugin;

/* Is this ipam.type ours? ("spiderpool", "spiderbox", "ipam") */
bool ipam_is_ours(const char *type);

/* The handlers, for a main plugin that holds the configuration; *result is the IPAM document of the
 * call's version, owned. */
int ipam_add(struct cni_call *c, json **result, int *code, struct err *e) MUST_USE;
int ipam_del(struct cni_call *c, int *code, struct err *e) MUST_USE;
int ipam_check(struct cni_call *c, int *code, struct err *e) MUST_USE;
int ipam_status(struct cni_call *c, int *code, struct err *e) MUST_USE;

#endif
