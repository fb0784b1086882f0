/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - the one thread that owns the pool cache and decides who gets which address.
 *
 * Others send it requests and news; a write of a pool to the store is the commit point of all
 * requests that were planned into it.
 */
#ifndef AGENT_LEDGER_H
#define AGENT_LEDGER_H

#include <stdatomic.h>

#include "agent/jobs.h"

/* One address of a pod.  Strings and routes are owned. */
struct grant {
	char *nic, *pool;
	struct cidr address;
	struct ip gateway; /* family 0: none */
	struct pool_route *routes;
	size_t n_routes;
	bool clean_gateway, clean_known; /* what the request of this NIC said, if it is known */
};

/* All addresses of a pod. */
struct pod_grants {
	struct queue_item item; /* for whom it is sent to */
	char *pod, *uid;        /* "namespace/name" */
	struct grant *v;
	size_t n;
};

/* How full a pool is.  The name is owned. */
struct pool_usage {
	char *pool;
	uint64_t total, available;
};

void grant_release(struct grant *g);
void pod_grants_free(struct pod_grants *g); /* NULL is fine */

enum ledger_op {
	LEDGER_ADD,      /* an address for a NIC; the same again for who has one */
	LEDGER_DEL,      /* what a container holds, of one NIC or (nic "") of all */
	LEDGER_QUERY,    /* what a pod holds */
	LEDGER_USAGE,    /* how full this node's pools are */
	LEDGER_SHOW,     /* send what the pod holds to the `changed` hook */
	LEDGER_SHOW_HELD /* the same, if it holds anything */
};

/* Strings are owned, never NULL unless said so. */
struct ledger_request {
	struct message message;
	enum ledger_op op;
	char *pod, *uid, *nic, *cid;
	char *network, *network_error; /* as in struct pool_request; both may be NULL */
	char **pools;                  /* named by the configuration, in its order */
	size_t n_pools;
	bool named; /* false: the cluster's default pools */
	bool clean_gateway;
	struct mono deadline;
	int event; /* eventfd (borrowed) that is raised by one with the answer; -1: none wanted */
	/* the answer: ERR_NONE, or why not */
	enum err_kind kind;
	char *text;
	struct grant grant;        /* of ADD; of DEL: the first that was given back, if any */
	struct pod_grants *grants; /* of QUERY */
	struct pool_usage *usage;  /* of USAGE */
	size_t n_usage, n_known;   /* pools of this node, and all */
	int64_t planned_us;        /* when it was first planned (mono_us); 0: it never was */
	/* the ledger's own */
	atomic_int state;
	uint64_t seen;
	struct ledger_request *next;
	struct ip planned;
	char *why;    /* what it waits for */
	bool deleted; /* a DEL of its container came after it */
};

/* All strings are copied; NULL stands for "". */
struct ledger_request *ledger_request_new(enum ledger_op op, const char *pod, const char *uid,
                                          const char *nic, const char *cid, struct mono deadline,
                                          int event);
void ledger_request_free(struct ledger_request *r);

struct ledger;

struct ledger_config {
	struct store *store;
	const char *node, *agent_namespace;
	/* a pod's addresses were changed by this agent; g is taken; on the ledger's thread */
	void (*changed)(void *ctx, struct pod_grants *g);
	void *ctx;
};

/* config is borrowed until ledger_stop, which answers all that wait; NULL is fine there. */
int ledger_start(const struct ledger_config *config, struct ledger **out, struct err *e) MUST_USE;
void ledger_stop(struct ledger *l);
void ledger_free(struct ledger *l); /* after it, and when nobody sends any more */

/*
 * The request is taken until its event is raised; then it is the caller's again.  Who does not want
 * to wait any longer abandons it: true when the ledger will free it, false when the answer was
 * quicker (its event is raised by now or in a moment).  False from submit: the ledger has stopped,
 * the request is the caller's.
 */
bool ledger_submit(struct ledger *l, struct ledger_request *r);
bool ledger_abandon(struct ledger_request *r);

/*
 * How many requests are on their way here (+1, -1): while there are any, a batch waits a moment for
 * them.
 */
void ledger_arriving(struct ledger *l, int change);

/* News from the store, on the informers' threads. */
void ledger_pools_listed(struct ledger *l, const json *items);
void ledger_pool_event(struct ledger *l, enum k8s_event_type type, const json *object);
void ledger_reserved(struct ledger *l, struct ip_set *set); /* contents taken */
void ledger_trouble(struct ledger *l, const struct err *e); /* the store does not answer */

bool ledger_synced(struct ledger *l);
bool ledger_alive(struct ledger *l); /* its loop went round in the last minute */

struct ledger_stats {
	unsigned long pool_writes, adds, dels, conflicts;
	unsigned long add_conflicts, del_conflicts; /* those that an ADD, or a DEL, waited for */
};
struct ledger_stats ledger_stats(struct ledger *l);

#endif
