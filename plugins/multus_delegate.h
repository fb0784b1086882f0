/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_delegate.h - the networks of one pod, as the multus plugin goes through them: interface
 * names, what each is given, which keeps its default routes, and the file that a DEL works from.
 * Pure.
 */
#ifndef PLUGINS_MULTUS_DELEGATE_H
#define PLUGINS_MULTUS_DELEGATE_H

#include "cni/list.h"

enum { MULTUS_V4, MULTUS_V6, MULTUS_FAMILIES };

struct multus_delegate {
	struct cni_network network; /* owned */
	char *broken;  /* of a scratch file: why there is no network; owned, NULL: there is one */
	char *name;    /* "namespace/name", or the configuration's; owned */
	json *request; /* an element of multus_select(); owned, NULL: none */
	char ifname[IFNAMSIZ];
	bool is_master;               /* its result is the pod's */
	bool filter[MULTUS_FAMILIES]; /* its default routes go */
	json *result;                 /* of its ADD; owned, NULL: there was none */
};

struct multus_delegates {
	struct multus_delegate *v; /* owned */
	size_t n;
};

#define AUTO_MULTUS_DELEGATES                                                                      \
	__attribute__((cleanup(multus_delegates_release))) struct multus_delegates
void multus_delegates_release(struct multus_delegates *d);

/*
 * One more, at the end.  conf and request are taken, also on failure; request may be NULL.
 * net_name: of a configuration that has no name; device_id: of a device plugin, NULL: none.
 */
int multus_delegate_add(struct multus_delegates *d, json *conf, const char *net_name,
                        const char *device_id, json *request, enum cni_version version,
                        struct err *e) MUST_USE;

/*
 * When all are there: who is master, interface names (as requested; the master's is the
 * runtime's; else net1, net2 ... by place), and whose default routes go.  ERR_CONFIG when two have
 * one name, or several want to be the default route of a family.
 */
int multus_delegates_finish(struct multus_delegates *d, const char *ifname, struct err *e) MUST_USE;

/* The gateway of that family that the delegate is asked to be the default route by; false: none. */
bool multus_gateway(const struct multus_delegate *d, int family, struct ip *out);

/* CNI_ARGS for one; owned. */
char *multus_args(const struct cni_call *c, const char *infra_id, const struct multus_delegate *d);

/* What the runtime gives and the pod asks for; owned. */
json *multus_capability_args(const json *runtime_config, const struct multus_delegate *d);

/*
 * <cniDir>/<container id>, as Multus writes and reads it.  ERR_CONFIG for what could not be read
 * again, as it is nested too deep.  Reading: ERR_PROTO for what is none; an element that cannot be
 * read keeps its place, and says why in `broken`.
 */
int multus_scratch_write(const struct multus_delegates *d, struct str *out, struct err *e) MUST_USE;
int multus_scratch_read(const char *text, size_t len, enum cni_version version, const char *ifname,
                        struct multus_delegates *out, struct err *e) MUST_USE;

/* The default routes of the families in `filter` go out of the result, those by the delegate's
 * gateways come in. */
void multus_filter_result(json *result, const struct multus_delegate *d);

/*
 * One network's part of the annotation k8s.v1.cni.cncf.io/network-status, with the brackets and
 * commas around it: "[" before the first; the caller adds the last "]".
 */
void multus_status_add(struct str *out, const struct multus_delegate *d, const json *result);

#endif
