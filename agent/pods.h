/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods.h - what an allocation must know about a pod: kept for this node's pods, read live for
 * others.
 */
#ifndef AGENT_PODS_H
#define AGENT_PODS_H

#include "agent/informer.h"
#include "pool/selector.h"

/* Strings are owned; "" for what is not there. */
struct pod_facts {
	char *uid, *node;
	char *default_network, *networks; /* the annotations of Multus */
	char *route_nic;                  /* annotation ipam.spidernet.io/default-route-nic */
	char *owner_type, *owner_name;    /* "Pod" and its own name without a controller */
	char *dead;                       /* why it gets no address, "" while it lives */
	char *ippools, *ippool, *routes;  /* annotations ipam.spidernet.io/... */
	char *static_uid; /* of a pod that the kubelet has from a file: its uid there */
	char *vmi;        /* name of the kubevirt.io VirtualMachineInstance that controls it */
	bool statefulset; /* a StatefulSet of apps controls it */
	bool ended;       /* its phase is Succeeded or Failed */
	struct labels labels;
};

void pod_facts_init(struct pod_facts *f, const char *uid); /* of a pod that is no object */
void pod_facts_release(struct pod_facts *f);

/* Is it the pod of that uid, the object's or (of a static pod) the kubelet's?  "": of any. */
bool pod_facts_are_of(const struct pod_facts *f, const char *uid);

bool pod_has_ended(const json *pod); /* its phase is Succeeded or Failed */

struct pods;

struct pods_ops {
	/* on the informer's thread */
	void (*gone)(void *ctx, const char *ns, const char *name, const char *uid);
	void *ctx;
};

/* The store is borrowed. */
int pods_start(struct store *s, const char *node, const struct pods_ops *ops, struct pods **out,
               struct err *e) MUST_USE;
void pods_end(struct pods *p);  /* who waits in pods_find gives up soon */
void pods_stop(struct pods *p); /* NULL is fine */

bool pods_synced(struct pods *p);

/*
 * The pod of that name and (not "") uid, as above.  From memory when it is there, else by a live
 * read, which is repeated until the deadline while the store does not answer.  With a directory
 * store a pod that is no object is as good as any: *found is false then and *out holds uid alone.
 * Else ERR_NOT_FOUND, also for a pod of that name with another uid.
 */
int pods_find(struct pods *p, const char *ns, const char *name, const char *uid,
              struct mono deadline, struct pod_facts *out, bool *found, struct err *e) MUST_USE;

/* The same, always by a live read. */
int pods_read(struct pods *p, const char *ns, const char *name, const char *uid,
              struct mono deadline, struct pod_facts *out, bool *found, struct err *e) MUST_USE;

/* From memory alone: false when this node has no such pod. */
bool pods_known(struct pods *p, const char *ns, const char *name, struct pod_facts *out);
/* Calls fn for each pod in memory. */
void pods_each(struct pods *p,
               void (*fn)(void *ctx, const char *ns, const char *name, const char *uid), void *ctx);

/*
 * The pod's network for a NIC as "namespace/name" (spec of Multus: annotations
 * v1.multus-cni.io/default-network for eth0, k8s.v1.cni.cncf.io/networks for the others); owned.
 * fallback: for eth0, may be NULL.  NULL when it cannot be told; *why (owned) says why then.
 */
char *pod_network(const struct pod_facts *f, const char *nic, const char *fallback,
                  const char *pod_namespace, const char *agent_namespace, char **why);

/* The place of the NIC, from 1, in the annotation k8s.v1.cni.cncf.io/networks; 0: not there. */
size_t network_place(const char *networks, const char *nic);
size_t network_count(const char *networks);

#endif
