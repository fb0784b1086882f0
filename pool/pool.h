/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - allocation policy: which pool serves a request, which address it gives, what a release
 * takes away.  Pure: values in, values out; no clock, no environment, no I/O, no log.  It includes
 * base/ and net/ip.h and nothing else; k8s/ippool.c makes a struct pool from an object and writes
 * the records back.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <stdbool.h>

#include "base/str.h"
#include "net/ip.h"
#include "pool/selector.h"

/* As in Spiderpool: more records than this are never put into one pool. */
#define POOL_RECORDS_MAX 5000
/* Bytes of their text in the object, where it is a string: etcd takes 1.5 MiB for all of that. */
#define POOL_TEXT_MAX (1500 * 1000)

/* Who keeps an address beyond the life of its pod. */
enum pool_keep {
	POOL_KEEP_NO,
	POOL_KEEP_STATEFULSET, /* the pod of that name of a StatefulSet */
	POOL_KEEP_VMI          /* a KubeVirt VirtualMachineInstance: `pod` is its name */
};

/*
 * One allocated address.  pod and uid are what the original writes; the rest is ours and "" (0) in
 * records that it wrote.  The strings of a record in a pool are one allocation, which `pod` begins.
 */
struct pool_record {
	struct ip ip;
	char *pod; /* "namespace/name" */
	char *uid;
	char *nic;
	char *cid;      /* container (sandbox) id */
	char *node;     /* where it was given */
	char *conflict; /* not given: somebody else answers for it, and this says who; "" */
	int64_t since;  /* of a conflict: seconds since 1970 */
	enum pool_keep keep;
};

/* An address that was given back; the greater `order`, the later. */
struct pool_rest {
	struct ip ip;
	uint64_t order;
};

struct pool_route {
	struct cidr dst;
	struct ip gw;
};

struct pool {
	char *name;
	char *uid;
	char *version; /* metadata.resourceVersion the records were read at */
	char *created; /* metadata.creationTimestamp */
	int family;    /* 4 or 6 */
	struct cidr subnet;
	struct ip gateway;      /* family 0: none */
	struct ip_set ips;      /* spec.ips */
	struct ip_set excluded; /* spec.excludeIPs */
	bool is_default, disabled, terminating;
	/* whom it serves; a list of names wins over the selector beside it */
	char **node_names, **namespace_names, **multus_names;
	size_t n_node_names, n_namespace_names, n_multus_names;
	struct selector pod_affinity, namespace_affinity, node_affinity;
	struct pool_route *routes;
	size_t n_routes;
	struct pool_record *records; /* sorted by address */
	size_t n_records, cap_records;
	bool unreadable; /* the records' text is no JSON: who holds what is not known */
	char *foreign;   /* entries of the status that are no records of ours, as text to be written
	                  * back ("key":value,...), or NULL */
	char *bad;       /* why the pool may not be used (spec wrong, status unreadable), or NULL */
	/* why its condition Ready is False for what the spec says now, or NULL */
	char *not_ready;
	/* For the round: the address given last (family 0: none), and those that were given back,
	 * sorted by address. */
	struct ip last;
	struct pool_rest *rests;
	size_t n_rests, cap_rests;
	uint64_t rest_order;
};

void pool_release(struct pool *p); /* contents */
void pool_copy(struct pool *to, const struct pool *from);

/* Usable addresses: ips minus excludeIPs, as a set (owned) and their number, which saturates. */
struct ip_set pool_usable(const struct pool *p);
uint64_t pool_total(const struct pool *p);

const struct pool_record *pool_find(const struct pool *p, struct ip ip); /* borrowed, or NULL */

/* Who asks. */
struct pool_request {
	const char *pod; /* "namespace/name" */
	const char *uid;
	const char *nic;
	const char *cid;
	const char *node;
	const char *ns; /* the pod's namespace */
	/* NULL: not known, and pools that select by them do not serve */
	const struct labels *pod_labels, *namespace_labels, *node_labels;
	int family;
	enum pool_keep keep;
	/* the pod's network for this NIC as "namespace/name", or NULL when it could not be told,
	 * with the reason in network_error */
	const char *network;
	const char *network_error;
	const char *agent_namespace; /* namespace of multusName entries without one */
};

/*
 * May this pool serve the request?  Filters in the order of Spiderpool: terminating, disabled,
 * family, nodeName or nodeAffinity, namespaceName or namespaceAffinity, podAffinity, multusName,
 * and whether it is ready (bad, not_ready).  When not, `why` (not NULL) receives the reason, which
 * begins with the pool's name.
 */
bool pool_serves(const struct pool *p, const struct pool_request *r, struct str *why);
/* The part of this that the pod decides: family, node, namespace, labels, network. */
bool pool_is_meant_for(const struct pool *p, const struct pool_request *r, struct str *why);
/*
 * What would have to be done with it so that it serves the request, when it is being deleted,
 * disabled, bad or not ready and would serve it otherwise; NULL: nothing of that.  Owned.
 */
char *pool_remedy(const struct pool *p, const struct pool_request *r);
/* Does its nodeName leave the node in? */
bool pool_is_for(const struct pool *p, const char *node);
/* Is it for the request's node and network, as far as that is known? */
bool pool_is_near(const struct pool *p, const struct pool_request *r);

/* What pool_serves must know to tell; the pod's own labels and names are taken for known. */
enum pool_needs {
	POOL_NEEDS_NODE_LABELS = 1 << 0,
	POOL_NEEDS_NAMESPACE_LABELS = 1 << 1,
	POOL_NEEDS_NETWORK = 1 << 2,
};
enum pool_needs pool_needs(const struct pool *p);

/*
 * Orders candidates: the caller's order (source lists) is kept; for pools with equal place (cluster
 * default, matches of one pattern) those go first that have podAffinity, then nodeName,
 * nodeAffinity, namespaceName, namespaceAffinity, multusName; then by name.
 */
int pool_compare_default(const struct pool *a, const struct pool *b);

/* One record by itself: a copy, and freeing what is in it. */
struct pool_record pool_record_copy(const struct pool_record *r);
void pool_record_release(struct pool_record *r);

/* For who reads many: at the end, wherever it belongs; then pool_sort() puts them in order, or says
 * false when two are of one address. */
void pool_append(struct pool *p, const struct pool_record *r);
bool pool_sort(struct pool *p);
void pool_clear_records(struct pool *p);

/* Adds a record, replacing one of that address; strings are copied, NULL stands for "". */
void pool_put(struct pool *p, const struct pool_record *r);

/*
 * The record this request already has in the pool: same uid, pod and nic (a retry of the same pod:
 * new sandbox, lost answer).  A record of the original (no nic) matches by uid and pod.  NULL:
 * none.
 */
struct pool_record *pool_find_own(struct pool *p, const struct pool_request *r);

/*
 * The record that the request's pod name has kept in the pool (keep is not NO): same pod and nic,
 * of another uid or the same.  NULL: none.
 */
struct pool_record *pool_find_kept(struct pool *p, const struct pool_request *r);

/* May it have one more record: are there neither too many, nor too long ones? */
bool pool_has_room(const struct pool *p);

/*
 * Picks the address that has been free for longest: the first after p->last, round the pool, that
 * was never given back as far as we know, else the one that was given back first.  It is in ips and
 * neither excluded, reserved nor recorded.  ERR_EXHAUSTED ("all IP addresses used out") when there
 * is none, or no room for one.
 */
int pool_pick(const struct pool *p, const struct ip_set *reserved, struct ip *out,
              struct err *e) MUST_USE;

/* Adds a record for the request and moves last. */
void pool_add(struct pool *p, struct ip ip, const struct pool_request *r);

bool pool_is_resting(const struct pool *p, struct ip ip);
/* The address begins to rest now. */
void pool_rest(struct pool *p, struct ip ip);
/* What is known of the round goes over to a newer state of the pool: addresses that `from` records
 * and `to` does not begin to rest.  from is left without it. */
void pool_move_rests(struct pool *to, struct pool *from);

/* Removes one record, which must be p's; its address begins to rest. */
void pool_remove_record(struct pool *p, const struct pool_record *r);

/*
 * Removes the records of this container and NIC (nic "": of all its NICs): those with this cid, or
 * of the original (cid "") with this pod and uid.  A record with another cid is a newer sandbox's
 * and stays, as do those whose keep has its bit (1 << keep) in `kept`.  Returns how many went.
 */
size_t pool_remove(struct pool *p, const char *pod, const char *uid, const char *nic,
                   const char *cid, unsigned int kept);
/* The first record that pool_remove would take; borrowed, or NULL. */
const struct pool_record *pool_find_released(const struct pool *p, const char *pod, const char *uid,
                                             const char *nic, const char *cid, unsigned int kept);

/* Problems of one pool by itself (subnet, ranges, gateway, routes): NULL when fine, else owned
 * text. */
char *pool_check(const struct pool *p);
bool pool_gives_gateway(const struct pool *p); /* one of these */

#endif
