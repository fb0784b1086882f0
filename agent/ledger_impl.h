/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_impl.h - the ledger's state, for ledger.c (threads, messages, jobs), slots.c (the pools),
 * plan.c (decisions) and requests.c (requests and their answers).
 */
#ifndef AGENT_LEDGER_IMPL_H
#define AGENT_LEDGER_IMPL_H

#include "agent/ledger.h"
#include "agent/turns.h"

#define OWN_WRITES 32                        /* whose events need not be read */
#define LEDGER_TROUBLE_MAX_MS 2000           /* longest pause while the store does not answer */
#define LEDGER_GIVE_BACK_MS (10 * 60 * 1000) /* so long a failed ADD's addresses are given back */

/* One pool. */
struct slot {
	struct pool_state at; /* as the store told it last */
	struct pool next;     /* with this batch's changes, while `planned` */
	bool planned;
	bool busy;      /* a job is under way */
	bool want_read; /* what we know may be stale: read before anything else */
	bool want_news; /* that, because somebody else wrote: his news will do as well */
	bool want_admit;
	uint64_t fresh;                          /* clock of the last read or own write */
	uint64_t touched;                        /* clock when we were last told anything */
	struct ledger_part *batch, **batch_tail; /* committed by the next write, or this one */
	struct mono not_before, admit_not_before;
	struct turns turns; /* with agents of other nodes */
	int failures;
	struct mono idle; /* not watched: when it was read last */
	char *overlap;    /* why it must not be used beside an older pool, or NULL */
};

/* A pool that is named somewhere and not watched: is there one? */
struct lookup {
	char *name;
	uint64_t absent; /* clock when there was none, 0: not known */
	bool want, busy;
	int failures;
	struct mono not_before;
};

struct ledger {
	struct ledger_config config;
	char *node_label;
	const char *selectors[2];
	char *strays;              /* selector of the pools that fit neither */
	struct mono strays_before; /* not looked for again until then */
	struct lookup *lookups;
	size_t n_lookups, cap_lookups;
	pthread_t thread;
	struct queue mailbox;
	struct jobs *jobs;
	struct slot **slots;
	size_t n_slots, cap_slots;
	struct ip_set reserved, node_addresses;
	struct ip_set blocked; /* both */
	int dels;              /* that were received and not answered */
	bool in_turn;          /* an ADD of this round waits for another request to be answered */
	bool know_node_pools, know_free_pools, know_reserved, overlaps_stale;
	struct mono now; /* when this turn began: for it, the clock stands still */
	int64_t now_us;  /* the same, mono_us() */
	uint64_t clock;  /* counts jobs and requests: what happened before what */
	uint64_t listed; /* clock of the last whole list that was read on purpose */
	bool want_list, listing;
	struct mono list_not_before;
	int list_failures;
	struct ledger_request *pending, **pending_tail;
	struct ledger_request *planning; /* those that this round of plan() has not come to */
	bool rounds_changed;
	bool again;                    /* plan once more, at once */
	struct mono gather_until;      /* of the batch that gathers; ms 0: none does */
	char *trouble;                 /* why the store does not answer, or NULL */
	atomic_ullong own[OWN_WRITES]; /* resourceVersions of the last writes of ours */
	size_t n_own;
	atomic_uint writing[JOBS_THREADS]; /* turns_id() of the pool's name; 0: none */
	atomic_int arriving;
	atomic_bool synced;
	atomic_uint needs;
	atomic_llong beat; /* ms of the last round */
	atomic_ulong pool_writes, adds, dels_done, conflicts, add_conflicts, del_conflicts;
};

/* plan.c: goes through the pending requests; what can be decided is answered or put into a batch.
 */
void plan(struct ledger *l);

/* requests.c */
bool ledger_is_abandoned(struct ledger_request *r);
bool ledger_is_undone(struct ledger_request *r); /* abandoned, and nothing is to stay */
bool ledger_has_hung_up(struct ledger_request *r);
void ledger_pend(struct ledger *l, struct ledger_request *r);
void ledger_answer(struct ledger *l, struct ledger_request *r, enum err_kind kind, char *text);
/* An ADD that fails: what it took goes back before it is answered, if the time suffices. */
void ledger_refuse(struct ledger *l, struct ledger_request *r, enum err_kind kind, char *text);
/* All that an ADD wants is in the store. */
void ledger_granted(struct ledger *l, struct ledger_request *r);
struct grant ledger_grant(const struct pool *p, struct ip ip, const char *nic);
struct pod_grants *ledger_grants(struct ledger *l, const char *pod, const char *uid);
void ledger_usage(struct ledger *l, struct ledger_request *r);

/* ledger.c */
/* What its thread does again and again: waits for messages or the next moment something is due. */
void ledger_step(struct ledger *l);

/* slots.c */
void ledger_set_trouble(struct ledger *l, const char *text); /* copied; NULL: the store answers */
struct slot *ledger_find_slot(struct ledger *l, const char *name); /* or NULL */
void ledger_drop_idle(struct ledger *l); /* pools that nobody needs any more */
void ledger_find_overlaps(struct ledger *l);
void ledger_release_slots(struct ledger *l);
/* Is it watched, so that we hear of what becomes of it? */
bool ledger_is_watched(const struct ledger *l, const struct pool_state *s);
/* Does it hold addresses that were given on this node? */
bool ledger_is_here(const struct ledger *l, const struct pool *p, const struct pool_record *r);
/* There is no pool of that name: known since after `seen`.  Else it is being looked for. */
bool ledger_is_absent(struct ledger *l, const char *name, uint64_t seen);
struct lookup *ledger_find_lookup(struct ledger *l, const char *name); /* or NULL */
void ledger_trim_lookups(struct ledger *l);
void ledger_lookup_done(struct ledger *l, struct lookup *u, struct job *j);
/* A list of the store, and an event; their contents are taken.  asked: the clock when the list was
 * asked for: pools that we were told of since stay though they are not in it. */
void ledger_take_list(struct ledger *l, enum ledger_scope scope, struct pool_state *states,
                      size_t n, uint64_t asked);
void ledger_take_event(struct ledger *l, enum ledger_scope scope, enum k8s_event_type type,
                       struct pool_state *state);
/* What the store told about a pool; state's contents are taken. */
struct slot *slot_apply(struct ledger *l, struct pool_state *state);
void slot_remove(struct ledger *l, struct slot *s); /* frees it */
void slot_consider_admission(struct ledger *l, struct slot *s);
/* A part of its batch was written (true) or not; with its last part a request is planned again, or
 * done. */
void slot_close_part(struct ledger *l, const struct slot *s, struct ledger_part *part,
                     bool written);
void slot_close_batch(struct ledger *l, struct slot *s, bool written);
struct ledger_part *slot_take_batch(struct slot *s); /* to be closed by the caller */
void slot_unplan(struct ledger *l, struct slot *s);  /* its requests wait again */

#endif
