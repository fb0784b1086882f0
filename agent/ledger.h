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

#include "agent/choice.h"
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
	LEDGER_ADD,        /* addresses for a NIC; the same again for who has them */
	LEDGER_DEL,        /* what a container holds, of one NIC or (nic "") of all */
	LEDGER_FREE,       /* exactly these addresses, if uid and cid are still what is recorded */
	LEDGER_QUARANTINE, /* the container's address: somebody else answers for it */
	LEDGER_QUERY,      /* what a pod holds */
	LEDGER_USAGE,      /* how full this node's pools are */
	LEDGER_HELD,       /* all records that were made on this node */
	LEDGER_ROUNDS,     /* what was given back when, if that has changed */
	LEDGER_SHOW,       /* send what the pod holds to the `changed` hook */
	LEDGER_SHOW_HELD   /* the same, if it holds anything */
};

enum part_state { PART_NONE, PART_PLANNED, PART_DONE };

/* What a request changes in one pool: it lies in that pool's batch. */
struct ledger_part {
	struct ledger_request *request;
	struct ledger_part *next;
	enum part_state state;
	struct ip ip;
};
#define LEDGER_PARTS 4

/* A record that was made on this node. */
struct ledger_held {
	char *pool;
	struct pool_record record;
};

/* Strings are owned, never NULL unless said so. */
struct ledger_request {
	struct message message;
	enum ledger_op op;
	char *pod, *uid, *nic, *cid;
	char *network, *network_error;    /* as in struct pool_request; both may be NULL */
	bool enabled[FAMILIES];           /* of ADD: families that may be given */
	struct choice choice;             /* of ADD */
	enum pool_keep keep;              /* of ADD: the address belongs to the pod's name */
	char *ns;                         /* of ADD, as all up to the routes */
	bool knows_namespace, knows_node; /* their labels */
	struct labels pod_labels, namespace_labels, node_labels;
	struct pool_route *routes; /* the pod's own, for who answers; owned */
	size_t n_routes;
	bool more_nics;                /* the pod's networks are not at their end with this one */
	char *pool;                    /* of DEL: where the addresses were; may be NULL */
	struct ip addresses[FAMILIES]; /* of FREE, QUARANTINE; family 0: none */
	char *reason;                  /* of QUARANTINE */
	atomic_bool withdrawn;         /* of FREE: nothing is freed any more */
	struct mono deadline;
	int event; /* eventfd (borrowed) that is raised by one with the answer; -1: none wanted */
	/* of ADD: who asks; until the answer it stays open, or the request is abandoned first.
	 * One whose other end is closed gets nothing.  -1: none (borrowed) */
	int client;
	/* the answer: ERR_NONE, or why not */
	enum err_kind kind;
	bool *strays; /* of an ADD with routes: those whose gateway is in no subnet of the pod */
	char *remedy; /* what would help, where that is known; else NULL */
	char *text;
	struct grant grants[FAMILIES]; /* of ADD; of DEL and FREE: the first that were given back */
	size_t n_grants;
	struct pod_grants *pod_grants; /* of QUERY */
	struct ledger_held *held;      /* of HELD */
	size_t n_held;
	struct pool_usage *usage; /* of USAGE */
	size_t n_usage, n_known;  /* pools of this node, and all */
	int64_t planned_us;       /* when it was first planned (mono_us); 0: it never was */
	json *rounds;             /* of ROUNDS, as in rounds.h; NULL: nothing new */
	/* the ledger's own */
	atomic_int state;
	uint64_t seen;
	struct ledger_request *next;
	struct ledger_part parts[LEDGER_PARTS];
	int open;                    /* parts that are planned */
	struct ip took[FAMILIES];    /* what this ADD has, or may have, recorded */
	struct ledger_request *then; /* is answered after this one */
	char *why;                   /* what it waits for */
	bool deleted;                /* a DEL of its container came after it */
	bool repeats;                /* an ADD of its container came before it */
};

/* All strings are copied; NULL stands for "". */
struct ledger_request *ledger_request_new(enum ledger_op op, const char *pod, const char *uid,
                                          const char *nic, const char *cid, struct mono deadline,
                                          int event);
void ledger_request_free(struct ledger_request *r);

struct ledger;

/*
 * Which pools news are about: all (a store that is watched as a whole); those that are labelled for
 * this node; those that are labelled for no node.
 */
enum ledger_scope { LEDGER_SCOPE_ALL, LEDGER_SCOPE_NODE, LEDGER_SCOPE_FREE };

struct ledger_config {
	struct store *store;
	bool scoped; /* the pools are watched by their labels: others are read when they are named
	              */
	const char *node, *agent_namespace;
	const json *rounds; /* from before this start, as in rounds.h; borrowed, may be NULL */
	size_t max_records; /* of a pool; 0: POOL_RECORDS_MAX */
	bool keep_statefulset, keep_vmi; /* addresses stay with the names of such pods */
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
 * quicker (its event is raised by now or in a moment).  undo: what it was given goes back, else it
 * stays for the next try.  False from submit: the ledger has stopped, the request is the caller's.
 */
bool ledger_submit(struct ledger *l, struct ledger_request *r);
bool ledger_abandon(struct ledger_request *r, bool undo);

/*
 * How many requests are on their way here (+1, -1): while there are any, a batch waits a moment for
 * them.
 */
void ledger_arriving(struct ledger *l, int change);

/* News from the store, on the informers' threads. */
void ledger_pools_listed(struct ledger *l, enum ledger_scope scope, const json *items);
void ledger_pool_event(struct ledger *l, enum ledger_scope scope, enum k8s_event_type type,
                       const json *object);
void ledger_reserved(struct ledger *l, struct ip_set *set);       /* contents taken */
void ledger_node_addresses(struct ledger *l, struct ip_set *set); /* the same */
void ledger_trouble(struct ledger *l, const struct err *e);       /* the store does not answer */

/* Of all pools that were seen: what selecting one may take (enum pool_needs). */
unsigned int ledger_needs(struct ledger *l);
bool ledger_synced(struct ledger *l);
bool ledger_alive(struct ledger *l); /* its loop went round in the last minute */

struct ledger_stats {
	unsigned long pool_writes, adds, dels, conflicts;
	unsigned long add_conflicts, del_conflicts; /* those that an ADD, or a DEL, waited for */
};
struct ledger_stats ledger_stats(struct ledger *l);

#endif
