/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_impl.h - the ledger's state, for ledger.c (threads, messages, jobs) and plan.c
 * (decisions).
 */
#ifndef AGENT_LEDGER_IMPL_H
#define AGENT_LEDGER_IMPL_H

#include "agent/ledger.h"

/* One pool. */
struct slot {
	struct pool_state at; /* as the store told it last */
	struct pool next;     /* with this batch's changes, while `planned` */
	bool planned;
	bool busy;      /* a job is under way */
	bool want_read; /* what we know may be stale: read before anything else */
	bool want_admit;
	uint64_t fresh;                             /* clock of the last read or own write */
	uint64_t touched;                           /* clock when we were last told anything */
	struct ledger_request *batch, **batch_tail; /* committed by the next write, or this one */
	struct mono not_before, admit_not_before;
	int failures;
	char *overlap; /* why it must not be used beside an older pool, or NULL */
	bool decided;  /* that, in this round of find_overlaps() */
};

struct ledger {
	struct ledger_config config;
	pthread_t thread;
	struct queue mailbox;
	struct jobs *jobs;
	struct slot **slots;
	size_t n_slots, cap_slots;
	struct ip_set reserved;
	bool know_pools, know_reserved, overlaps_stale;
	uint64_t clock;  /* counts jobs and requests: what happened before what */
	uint64_t listed; /* clock of the last whole list that was read on purpose */
	bool want_list, listing;
	struct mono list_not_before;
	int list_failures;
	struct ledger_request *pending, **pending_tail;
	struct mono gather_until; /* of the batch that gathers; ms 0: none does */
	char *trouble;            /* why the store does not answer, or NULL */
	atomic_int arriving;
	atomic_bool synced;
	atomic_llong beat; /* ms of the last round */
	atomic_ulong pool_writes, adds, dels, conflicts, add_conflicts, del_conflicts;
};

/* plan.c: goes through the pending requests; what can be decided is answered or put into a batch.
 */
void plan(struct ledger *l);

/* ledger.c */
bool ledger_is_abandoned(struct ledger_request *r);
void ledger_answer(struct ledger *l, struct ledger_request *r, enum err_kind kind, char *text);
void ledger_committed(struct ledger *l, struct slot *s, struct ledger_request *r);
struct pod_grants *ledger_grants(struct ledger *l, const char *pod, const char *uid);
void ledger_usage(struct ledger *l, struct ledger_request *r);

#endif
