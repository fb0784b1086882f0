/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - the ledger's thread: mailbox, pool cache, jobs, answers.
 *
 * Theory of operation: a round takes everything that lies in the mailbox, lets plan() decide what
 * can be decided, and gives each pool that was changed as one write to a free thread of jobs.c.
 * While a pool is being written, requests that want it gather for its next write: group commit.
 * All requests of a write are answered when it is acknowledged.
 *
 * Every write carries the resourceVersion its plan was made from, so a stale cache costs a conflict
 * and never an address.  After a conflict, or a write whose outcome is not known, the pool is read
 * and its requests are planned again; one that was committed after all is found by its own record.
 *
 * Old news: an event is ignored unless its version is newer than what we have, which our own
 * writes and reads move forward.  Where versions cannot be compared the pool is read.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/ledger_impl.h"
#include "agent/pause.h"
#include "agent/rounds.h"
#include "agent/thread.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "k8s/ippool.h"
#include "pool/overlap.h"

#define GATHER_MS 5          /* a batch waits so long for requests that are on their way */
#define NEWS_MS 20           /* after a conflict the news are waited for, before the pool is read */
#define CONFLICTS_OK 3       /* so many in a row are no reason for a pause besides the turns */
#define CONFLICT_MAX_MS 1000 /* longest pause after conflicts in a row */
#define TROUBLE_MAX_MS 2000  /* longest pause while the store does not answer */
#define ADMIT_AGAIN_MS 30000 /* after a failed admission */
#define FOREIGN_ADMIT_MS 30000 /* so long, to twice that, other nodes' pools are left to them */
#define FOREIGN_ADMIT_TRY 20   /* enough to be at the longest pause */
#define IDLE_MS 60000          /* a pool that is not watched is kept so long */
#define LOOKUPS_MAX 64
#define STRAYS_MS 30000 /* pools that are labelled for others are looked at so seldom */

/* News from the informers. */
struct news {
	struct message message;
	enum ledger_scope scope;
	enum k8s_event_type type;
	struct pool_state *states;
	size_t n_states;
	struct ip_set set;
	char *text;
};

/* Slots. */
static void set_trouble(struct ledger *l, const char *text)
{
	free(l->trouble);
	l->trouble = text ? xstrdup(text) : NULL;
}

static struct slot *find_slot(struct ledger *l, const char *name)
{
	for (size_t i = 0; i < l->n_slots; i++)
		if (streq(l->slots[i]->at.p.name, name))
			return l->slots[i];
	return NULL;
}

/* A part of it was written (true) or not; with the last one it is planned again, or done. */
static void close_part(struct ledger *l, const struct slot *s, struct ledger_part *part,
                       bool written)
{
	struct ledger_request *r = part->request;

	part->state = written ? PART_DONE : PART_NONE;
	if (written && r->op == LEDGER_ADD)
		r->grants[r->n_grants++] = ledger_grant(&s->at.p, part->ip, r->nic);
	if (--r->open == 0)
		ledger_pend(l, r);
}

static struct ledger_part *take_batch(struct slot *s)
{
	struct ledger_part *batch = s->batch;

	s->batch = NULL;
	s->batch_tail = &s->batch;
	return batch;
}

static void close_batch(struct ledger *l, struct slot *s, bool written)
{
	struct ledger_part *part = take_batch(s);

	if (written)
		failpoint("ledger-acknowledged");
	while (part) {
		struct ledger_part *next = part->next;

		close_part(l, s, part, written);
		part = next;
	}
}

/* Its requests wait again. */
static void unplan(struct ledger *l, struct slot *s)
{
	if (s->planned)
		pool_release(&s->next);
	s->planned = false;
	close_batch(l, s, false);
}

static void slot_free(struct slot *s)
{
	pool_state_release(&s->at);
	if (s->planned)
		pool_release(&s->next);
	free(s->overlap);
	free(s);
}

static void remove_slot(struct ledger *l, struct slot *s)
{
	size_t kept = 0;

	unplan(l, s);
	for (size_t i = 0; i < l->n_slots; i++)
		if (l->slots[i] != s)
			l->slots[kept++] = l->slots[i];
	l->n_slots = kept;
	l->overlaps_stale = true;
	log_debug("IPPool %s is gone", s->at.p.name);
	slot_free(s);
}

static void note_bad(const struct slot *s, const char *before)
{
	const char *now = s->at.p.bad;

	if (now && (!before || !streq(before, now)))
		log_warn("IPPool %s is not used: %s", s->at.p.name, now);
	else if (!now && before)
		log_info("IPPool %s is usable again", s->at.p.name);
}

static bool is_stuck(const struct pool *p)
{
	return p->terminating && p->unreadable;
}

static void note_stuck(const struct pool *p)
{
	log_warn(
		"IPPool %s is being deleted, and stays: who holds its addresses cannot be read. "
		"Remedy: make its status.allocatedIPs a JSON object again, or null when nothing "
		"of it is in use",
		p->name);
}

static bool in_scope(const struct ledger *l, const struct pool_state *s, enum ledger_scope scope)
{
	switch (scope) {
	case LEDGER_SCOPE_NODE:
		return pool_state_has_label(s, l->node_label);
	case LEDGER_SCOPE_FREE:
		return !pool_state_has_label(s, POOL_LABEL_PINNED);
	case LEDGER_SCOPE_ALL:
		break;
	}
	return !l->config.scoped || in_scope(l, s, LEDGER_SCOPE_NODE) ||
	       in_scope(l, s, LEDGER_SCOPE_FREE);
}

bool ledger_is_watched(const struct ledger *l, const struct pool_state *s)
{
	return in_scope(l, s, LEDGER_SCOPE_ALL);
}

bool ledger_is_here(const struct ledger *l, const struct pool *p, const struct pool_record *r)
{
	if (*r->node)
		return streq(r->node, l->config.node);
	return p->n_node_names == 1 && streq(p->node_names[0], l->config.node);
}

static bool holds_ours(const struct ledger *l, const struct pool *p)
{
	for (size_t i = 0; i < p->n_records; i++)
		if (ledger_is_here(l, p, &p->records[i]))
			return true;
	return false;
}

/*
 * Pools of this node, those that are still labelled for it, and those that lost that label while
 * they hold addresses of ours.  One of other nodes without labels is seen by every agent: one of
 * its own should give it the labels, and if none does another will.
 */
static void consider_admission(struct ledger *l, struct slot *s)
{
	bool ours = pool_state_is_for(&s->at, l->config.node);
	bool labelled = pool_state_has_label(&s->at, l->node_label);
	AUTO_JSON *object = NULL;
	AUTO_JSON *status = NULL;

	if (!ours && !labelled &&
	    (!l->config.scoped || (!ledger_is_watched(l, &s->at) && !holds_ours(l, &s->at.p))))
		return;
	object = pool_state_admit_patch(&s->at);
	status = ours ? pool_state_count_patch(&s->at) : NULL;
	if (!s->want_admit && object && !ours && !labelled)
		s->admit_not_before =
			mono_in(FOREIGN_ADMIT_MS + backoff_ms(FOREIGN_ADMIT_TRY, FOREIGN_ADMIT_MS));
	s->want_admit = object || status;
}

/* What the store told about a pool; state's contents are taken. */
static struct slot *apply(struct ledger *l, struct pool_state *state)
{
	struct slot *s = find_slot(l, state->p.name);

	if (!s) {
		s = xcalloc(1, sizeof(*s));
		s->batch_tail = &s->batch;
		s->turns.self = turns_id(l->config.node);
		l->slots = xgrow(l->slots, &l->cap_slots, l->n_slots + 1, sizeof(struct slot *));
		l->slots[l->n_slots++] = s;
		l->overlaps_stale = true;
		rounds_get(l->config.rounds, &state->p);
		s->at = *state;
		note_bad(s, NULL);
		if (is_stuck(&s->at.p))
			note_stuck(&s->at.p);
	} else {
		struct pool_state old = s->at;
		uint64_t before = old.p.rest_order;

		pool_move_rests(&state->p, &old.p); /* the round goes on */
		l->rounds_changed |= state->p.rest_order != before;
		s->at = *state;
		if (old.generation != s->at.generation || !streq(old.p.uid, s->at.p.uid))
			l->overlaps_stale = true;
		note_bad(s, old.p.bad);
		turns_saw(&s->turns, &old.p, &s->at.p, mono_now());
		if (is_stuck(&s->at.p) && !is_stuck(&old.p))
			note_stuck(&s->at.p);
		pool_state_release(&old);
		/* a plan from an older state would only be refused */
		if (s->planned && !s->busy)
			unplan(l, s);
	}
	memset(state, 0, sizeof(*state));
	s->touched = l->clock;
	s->idle = mono_in(IDLE_MS);
	atomic_fetch_or(&l->needs, (unsigned int)pool_needs(&s->at.p));
	consider_admission(l, s);
	return s;
}

/* Pools that are not watched are kept while they hold addresses of ours, and for a moment. */
static void drop_idle(struct ledger *l)
{
	for (size_t i = 0; i < l->n_slots;) {
		struct slot *s = l->slots[i];

		if (ledger_is_watched(l, &s->at) || s->busy || s->planned || s->want_read ||
		    !mono_passed(s->idle) || holds_ours(l, &s->at.p))
			i++;
		else
			remove_slot(l, s);
	}
}

/* Pools that are looked for by name. */
static struct lookup *find_lookup(struct ledger *l, const char *name)
{
	for (size_t i = 0; i < l->n_lookups; i++)
		if (streq(l->lookups[i].name, name))
			return &l->lookups[i];
	return NULL;
}

bool ledger_is_absent(struct ledger *l, const char *name, uint64_t seen)
{
	struct lookup *u = find_lookup(l, name);

	if (u && u->absent > seen)
		return true;
	if (!u) {
		l->lookups = xgrow(l->lookups, &l->cap_lookups, l->n_lookups + 1, sizeof(*u));
		u = &l->lookups[l->n_lookups++];
		memset(u, 0, sizeof(*u));
		u->name = xstrdup(name);
	}
	u->want = true;
	return false;
}

static void drop_lookup(struct ledger *l, struct lookup *u)
{
	free(u->name);
	*u = l->lookups[--l->n_lookups];
}

/* The oldest answers that nobody waits for make room. */
static void trim_lookups(struct ledger *l)
{
	for (size_t i = 0; i < l->n_lookups && l->n_lookups > LOOKUPS_MAX;) {
		struct lookup *u = &l->lookups[i];

		if (u->want || u->busy)
			i++;
		else
			drop_lookup(l, u);
	}
}

static void lookup_done(struct ledger *l, struct lookup *u, struct job *j)
{
	u->busy = false;
	if (j->rc == 0) {
		struct slot *s = find_slot(l, j->name);

		/* news may have been quicker */
		if (!s || version_compare(j->states[0].p.version, s->at.p.version) != -1)
			s = apply(l, &j->states[0]);
		s->fresh = j->number;
		drop_lookup(l, u);
	} else if (j->e.kind == ERR_NOT_FOUND || j->e.kind == ERR_CONFIG) {
		/* ERR_CONFIG: no name for an object, so there is none */
		u->absent = j->number;
		u->failures = 0;
	} else {
		set_trouble(l, j->e.msg);
		u->want = true;
		u->not_before = mono_in(backoff_ms(++u->failures, TROUBLE_MAX_MS));
	}
}

/* News: only when it is newer. */
static void apply_news(struct ledger *l, struct pool_state *state)
{
	struct slot *s = find_slot(l, state->p.name);
	int c = s ? version_compare(state->p.version, s->at.p.version) : 1;

	if (c == 1) {
		s = apply(l, state);
		if (s->want_news && !s->busy) {
			s->want_read = s->want_news = false;
			s->not_before = mono_now();
		}
	} else if (c == 2)
		s->want_read = true;
}

/* Not those of which we were told after the list was asked for. */
static void drop_missing(struct ledger *l, const struct news *n, uint64_t asked)
{
	for (size_t i = 0; i < l->n_slots;) {
		struct slot *s = l->slots[i];
		bool there = !in_scope(l, &s->at, n->scope);

		for (size_t k = 0; k < n->n_states && !there; k++)
			there = streq(n->states[k].p.name, s->at.p.name);
		if (there || s->busy || s->touched >= asked) {
			i++;
		} else if (l->config.scoped && holds_ours(l, &s->at.p)) {
			/* it may have got other labels */
			s->want_read = true;
			i++;
		} else {
			remove_slot(l, s);
		}
	}
}

/* One that is labelled for others counts when it is for this node: then its labels are wrong. */
static bool concerns_us(const struct ledger *l, const struct pool_state *s)
{
	return ledger_is_watched(l, s) || pool_state_is_for(s, l->config.node);
}

static void pools_listed(struct ledger *l, struct news *n, uint64_t asked)
{
	drop_missing(l, n, asked);
	for (size_t i = 0; i < n->n_states; i++)
		if (concerns_us(l, &n->states[i]))
			apply_news(l, &n->states[i]);
	l->know_node_pools |= n->scope != LEDGER_SCOPE_FREE;
	l->know_free_pools |= n->scope != LEDGER_SCOPE_NODE;
}

static void pool_event(struct ledger *l, const struct news *n)
{
	for (size_t i = 0; i < n->n_states; i++) {
		struct pool_state *state = &n->states[i];
		struct slot *s = find_slot(l, state->p.name);

		/* to who watches by labels, one that gets others is deleted: it is told as it is
		 * now */
		if (n->type != K8S_DELETED || !in_scope(l, state, n->scope))
			apply_news(l, state);
		else if (s && streq(s->at.p.uid, state->p.uid) && s->busy)
			s->want_read = true;
		else if (s && streq(s->at.p.uid, state->p.uid))
			remove_slot(l, s);
	}
}

/* overlap is taken. */
static void take_overlap(struct ledger *l, struct slot *s, char *overlap)
{
	if (overlap && pool_state_is_for(&s->at, l->config.node) &&
	    (!s->overlap || !streq(s->overlap, overlap)))
		log_warn("IPPool %s is not used: %s", s->at.p.name, overlap);
	free(s->overlap);
	s->overlap = overlap;
}

static void find_overlaps(struct ledger *l)
{
	AUTO_FREE struct contender *all = xcalloc(l->n_slots, sizeof(*all));

	l->overlaps_stale = false;
	for (size_t i = 0; i < l->n_slots; i++)
		all[i].p = &l->slots[i]->at.p;
	for (size_t i = 0; i < l->n_slots; i++)
		if (pool_state_is_for(&l->slots[i]->at, l->config.node))
			overlap_decide(all, l->n_slots, i);
	for (size_t i = 0; i < l->n_slots; i++)
		take_overlap(l, l->slots[i], all[i].overlap);
}

/* Jobs. */
static void give(struct ledger *l, struct job *job)
{
	job->number = ++l->clock;
	jobs_give(l->jobs, job);
}

static struct job *job_new(enum job_op op, const struct slot *s)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->op = op;
	j->name = s ? xstrdup(s->at.p.name) : NULL;
	return j;
}

static bool start_slot(struct ledger *l, struct slot *s)
{
	struct job *j = NULL;

	if (s->busy || !mono_passed(s->not_before))
		return false;
	if (s->planned) {
		s->not_before = turns_next(&s->turns, mono_now());
		if (!mono_passed(s->not_before))
			return false;
		failpoint("ledger-unwritten");
		j = job_new(JOB_WRITE, s);
		j->patch = ippool_status_patch(&s->next);
	} else if (s->want_read) {
		j = job_new(JOB_READ, s);
	} else if (s->want_admit && mono_passed(s->admit_not_before)) {
		j = job_new(JOB_ADMIT, s);
		j->patch = pool_state_admit_patch(&s->at);
		if (pool_state_is_for(&s->at, l->config.node))
			j->status_patch = pool_state_count_patch(&s->at);
		s->want_admit = false;
	}
	if (!j)
		return false;
	s->busy = true;
	give(l, j);
	return true;
}

static void start_lookup(struct ledger *l, struct lookup *u)
{
	struct job *j;

	if (!u->want || u->busy || !mono_passed(u->not_before))
		return;
	u->want = false;
	u->busy = true;
	j = job_new(JOB_READ, NULL);
	j->name = xstrdup(u->name);
	give(l, j);
}

/*
 * Before somebody is told that there is no pool.  Then, now and then, also for pools that became
 * this node's while they were labelled for one whose agent is no more: nobody else corrects that.
 */
static void start_list(struct ledger *l)
{
	struct job *j = job_new(JOB_LIST, NULL);

	l->want_list = false;
	l->listing = true;
	if (l->config.scoped && mono_passed(l->strays_before)) {
		l->strays_before = mono_in(STRAYS_MS);
		j->also = l->strays;
	}
	give(l, j);
}

static void start_jobs(struct ledger *l)
{
	if (l->want_list && !l->listing && mono_passed(l->list_not_before) && jobs_idle(l->jobs))
		start_list(l);
	for (size_t i = 0; i < l->n_slots && jobs_idle(l->jobs); i++)
		start_slot(l, l->slots[i]);
	for (size_t i = 0; i < l->n_lookups && jobs_idle(l->jobs); i++)
		start_lookup(l, &l->lookups[i]);
}

/* Trying again does not help: its requests fail, once nothing of theirs is being written. */
static void refuse_batch(struct ledger *l, struct slot *s, const struct err *e)
{
	struct ledger_part *part = take_batch(s);

	while (part) {
		struct ledger_part *next = part->next;
		struct ledger_request *r = part->request;

		if (!r->text) {
			r->text = xasprintf("write IPPool %s: %s", s->at.p.name, e->msg);
			r->kind = e->kind;
			free(r->remedy);
			r->remedy = e->kind == ERR_CONFIG
			                    ? xasprintf(
						      "see what the API server does not take "
						      "of the pool: kubectl get spiderippool "
						      "%s -o yaml",
						      s->at.p.name)
			                    : NULL;
		}
		close_part(l, s, part, false);
		part = next;
	}
}

static void count_conflict(struct ledger *l, const struct slot *s)
{
	bool add = false, del = false;

	for (const struct ledger_part *p = s->batch; p; p = p->next) {
		const struct ledger_request *r = p->request;

		add |= r->op == LEDGER_ADD;
		del |= r->op == LEDGER_DEL;
	}
	atomic_fetch_add(&l->conflicts, 1);
	atomic_fetch_add(&l->add_conflicts, add);
	atomic_fetch_add(&l->del_conflicts, del);
}

static void slot_failed(struct ledger *l, struct slot *s, const struct job *j)
{
	/* who was told of the other's write meanwhile need not read it */
	bool told = s->planned && version_compare(s->at.p.version, s->next.version) == 1;

	s->failures++;
	if (j->e.kind == ERR_CONFLICT) {
		count_conflict(l, s);
		turns_lost(&s->turns, mono_now());
		/* who does not see the turns as others do gets out of their way */
		s->not_before =
			mono_in(s->failures < CONFLICTS_OK
		                        ? told ? 0 : NEWS_MS
		                        : spread_ms(j->took_ms + 1, s->failures - CONFLICTS_OK,
		                                    CONFLICT_MAX_MS));
		log_debug("IPPool %s: somebody else wrote first", s->at.p.name);
	} else {
		s->not_before = mono_in(backoff_ms(s->failures, TROUBLE_MAX_MS));
		if (s->failures == 1)
			log_warn_err(&j->e, "IPPool %s", s->at.p.name);
		set_trouble(l, j->e.msg);
	}
	if (j->e.retry_ms)
		s->not_before = mono_in(j->e.retry_ms);
	/* trying again does not help */
	if (j->op == JOB_WRITE &&
	    (j->e.kind == ERR_FORBIDDEN || j->e.kind == ERR_IDENTITY || j->e.kind == ERR_CONFIG))
		refuse_batch(l, s, &j->e);
	if (j->op == JOB_ADMIT && j->e.kind != ERR_CONFLICT) {
		/* not worth holding up requests for */
		s->not_before = mono_now();
		s->admit_not_before = mono_in(ADMIT_AGAIN_MS);
		s->want_admit = true;
	} else if (j->e.kind != ERR_CONFLICT || !told) {
		s->want_news = j->e.kind == ERR_CONFLICT && !s->want_read;
		s->want_read = true;
	}
	unplan(l, s);
}

/* What was planned is what the store holds now, unless its news were quicker. */
static void take_next(struct ledger *l, struct slot *s, const struct job *j)
{
	s->planned = false;
	l->rounds_changed = true;
	if (version_compare(j->version, s->at.p.version) == -1) {
		/* the round is known to the plan alone */
		pool_move_rests(&s->at.p, &s->next);
		pool_release(&s->next);
		return;
	}
	free(s->next.version);
	s->next.version = xstrdup(j->version);
	pool_release(&s->at.p);
	s->at.p = s->next;
	memset(&s->next, 0, sizeof(s->next));
	s->at.recorded = (int64_t)s->at.p.n_records;
	IGNORE(json_opt_i64(json_get(j->patch, "status"), "totalIPCount", &s->at.total, NULL));
	s->touched = l->clock;
	atomic_store(&l->own[l->n_own++ % ARRAY_LEN(l->own)], version_number(j->version));
	consider_admission(l, s);
}

static void slot_done(struct ledger *l, struct slot *s, struct job *j)
{
	bool write = j->op == JOB_WRITE;

	/* where reading works and writing does not, the pauses must still grow */
	if (j->op != JOB_READ)
		s->failures = 0;
	s->want_read = s->want_news = false;
	s->fresh = j->number;
	set_trouble(l, NULL);
	if (write) {
		take_next(l, s, j);
		turns_wrote(&s->turns, j->took_ms, mono_now());
	}
	/* an event of a later write may have been quicker than the answer to ours */
	if (j->n_states && version_compare(j->states[0].p.version, s->at.p.version) != -1)
		apply(l, &j->states[0]);
	/* a server that drops what we fill in must not be asked again and again */
	if (j->op == JOB_ADMIT && s->want_admit)
		s->admit_not_before = mono_in(ADMIT_AGAIN_MS);
	if (write)
		close_batch(l, s, true);
}

static void list_done(struct ledger *l, struct job *j)
{
	struct news n = { .scope = LEDGER_SCOPE_ALL, .states = j->states, .n_states = j->n_states };

	l->listing = false;
	if (j->rc < 0) {
		l->want_list = true;
		l->list_not_before = mono_in(backoff_ms(++l->list_failures, TROUBLE_MAX_MS));
		set_trouble(l, j->e.msg);
		return;
	}
	l->list_failures = 0;
	set_trouble(l, NULL);
	pools_listed(l, &n, j->number);
	l->listed = j->number;
	for (size_t i = 0; i < l->n_slots; i++)
		if (!l->slots[i]->busy && ledger_is_watched(l, &l->slots[i]->at))
			l->slots[i]->fresh = j->number;
}

static void job_done(struct ledger *l, struct job *j)
{
	struct lookup *u = j->op == JOB_READ ? find_lookup(l, j->name) : NULL;
	struct slot *s = j->name ? find_slot(l, j->name) : NULL;

	jobs_done(l->jobs, j);
	atomic_fetch_add(&l->pool_writes, j->writes);
	if (j->op == JOB_LIST) {
		list_done(l, j);
	} else if (u && u->busy) {
		lookup_done(l, u, j);
	} else if (s) {
		s->busy = false;
		if (j->rc == 0)
			slot_done(l, s, j);
		else if (j->e.kind == ERR_NOT_FOUND && s->touched < j->number)
			remove_slot(l, s); /* and not made anew meanwhile */
		else
			slot_failed(l, s, j);
	}
	job_free(j);
}

/* The mailbox. */
static void compare_containers(struct ledger_request *old, struct ledger_request *r)
{
	if (old->op != LEDGER_ADD || !streq(old->cid, r->cid) ||
	    (*r->nic && !streq(old->nic, r->nic)))
		return;
	old->deleted |= r->op == LEDGER_DEL;
	r->repeats |= r->op == LEDGER_ADD;
}

static void receive_request(struct ledger *l, struct ledger_request *r)
{
	r->seen = ++l->clock;
	l->dels += r->op == LEDGER_DEL || r->op == LEDGER_FREE;
	if (r->op == LEDGER_DEL || r->op == LEDGER_ADD) {
		for (struct ledger_request *a = l->pending; a; a = a->next)
			compare_containers(a, r);
		for (size_t i = 0; i < l->n_slots; i++)
			for (struct ledger_part *p = l->slots[i]->batch; p; p = p->next)
				compare_containers(p->request, r);
	}
	if (!l->gather_until.ms)
		l->gather_until = mono_in(GATHER_MS);
	ledger_pend(l, r);
}

static void news_free(struct news *n)
{
	pool_states_free(n->states, n->n_states);
	ip_set_release(&n->set);
	free(n->text);
	free(n);
}

static void add_all(struct ip_set *to, const struct ip_set *from)
{
	for (size_t i = 0; i < from->n; i++)
		ip_set_add(to, from->v[i]);
}

static void replace_set(struct ledger *l, struct ip_set *set, struct news *n)
{
	ip_set_release(set);
	*set = n->set;
	n->set = (struct ip_set)IP_SET_INIT;
	ip_set_release(&l->blocked);
	add_all(&l->blocked, &l->reserved);
	add_all(&l->blocked, &l->node_addresses);
}

static void receive_news(struct ledger *l, struct news *n)
{
	switch (n->message.type) {
	case MESSAGE_POOLS:
		/* the informer's list: what it does not hold yet, its events bring */
		pools_listed(l, n, UINT64_MAX);
		break;
	case MESSAGE_POOL:
		pool_event(l, n);
		break;
	case MESSAGE_RESERVED:
		replace_set(l, &l->reserved, n);
		l->know_reserved = true;
		break;
	case MESSAGE_NODE_ADDRESSES:
		replace_set(l, &l->node_addresses, n);
		break;
	default:
		set_trouble(l, n->text);
		break;
	}
	news_free(n);
}

static void receive(struct ledger *l, struct queue_item *item)
{
	while (item) {
		struct message *m = (struct message *)item;

		item = item->next;
		if (m->type == MESSAGE_REQUEST)
			receive_request(l, (struct ledger_request *)m);
		else if (m->type == MESSAGE_JOB)
			job_done(l, (struct job *)m);
		else
			receive_news(l, (struct news *)m);
	}
}

static struct mono next_round(const struct ledger *l)
{
	struct mono t = mono_in(20000), now = mono_now();

	for (const struct ledger_request *r = l->pending; r; r = r->next)
		t = mono_min(t, r->deadline);
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct slot *s = l->slots[i];

		/* in the past: it waits for a thread, which wakes us */
		if ((s->planned || s->want_read) && s->not_before.ms > now.ms)
			t = mono_min(t, s->not_before);
		if (s->want_admit && s->admit_not_before.ms > now.ms)
			t = mono_min(t, s->admit_not_before);
	}
	if (l->want_list && l->list_not_before.ms > now.ms)
		t = mono_min(t, l->list_not_before);
	for (size_t i = 0; i < l->n_lookups; i++)
		if (l->lookups[i].want && l->lookups[i].not_before.ms > now.ms)
			t = mono_min(t, l->lookups[i].not_before);
	return t;
}

static bool is_gathering(struct ledger *l)
{
	if (l->gather_until.ms && atomic_load(&l->arriving) > 0 && !mono_passed(l->gather_until))
		return true;
	l->gather_until.ms = 0;
	return false;
}

static void round_of(struct ledger *l)
{
	atomic_store(&l->beat, mono_now().ms);
	atomic_store(&l->synced, l->know_node_pools && l->know_free_pools && l->know_reserved);
	if (is_gathering(l))
		return;
	drop_idle(l);
	trim_lookups(l);
	if (l->overlaps_stale)
		find_overlaps(l);
	do {
		l->again = false;
		plan(l);
	} while (l->again);
	start_jobs(l);
}

void ledger_step(struct ledger *l)
{
	struct mono t = l->gather_until.ms ? l->gather_until : next_round(l);

	receive(l, queue_take_all(&l->mailbox, t));
	round_of(l);
}

static void *ledger_main(void *arg)
{
	struct ledger *l = arg;

	while (!queue_closed(&l->mailbox))
		ledger_step(l);
	receive(l, queue_take_all(&l->mailbox, mono_now()));
	for (size_t i = 0; i < l->n_slots; i++)
		unplan(l, l->slots[i]);
	while (l->pending) {
		struct ledger_request *r = l->pending;

		l->pending = r->next;
		ledger_answer(l, r, ERR_UNREACHABLE, xstrdup("the agent is being stopped"));
	}
	return NULL;
}

int ledger_start(const struct ledger_config *config, struct ledger **out, struct err *e)
{
	struct ledger *l = xcalloc(1, sizeof(*l));

	l->config = *config;
	l->node_label = pool_node_label(config->node);
	l->selectors[0] = l->node_label;
	l->selectors[1] = "!" POOL_LABEL_PINNED;
	l->strays = xasprintf(POOL_LABEL_PINNED ",!%s", l->node_label);
	l->pending_tail = &l->pending;
	atomic_init(&l->beat, mono_now().ms);
	queue_init(&l->mailbox);
	if (jobs_start(config->store, l->selectors, config->scoped ? ARRAY_LEN(l->selectors) : 0,
	               &l->mailbox, &l->jobs, e) < 0 ||
	    thread_start(&l->thread, ledger_main, l, e) < 0) {
		jobs_stop(l->jobs);
		queue_release(&l->mailbox);
		free(l->node_label);
		free(l->strays);
		free(l);
		return -1;
	}
	*out = l;
	return 0;
}

void ledger_stop(struct ledger *l)
{
	if (!l)
		return;
	queue_close(&l->mailbox);
	pthread_join(l->thread, NULL);
	jobs_stop(l->jobs);
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n_slots; i++)
		slot_free(l->slots[i]);
	free(l->slots);
	while (l->n_lookups)
		drop_lookup(l, &l->lookups[0]);
	free(l->lookups);
	free(l->node_label);
	free(l->strays);
	ip_set_release(&l->reserved);
	ip_set_release(&l->node_addresses);
	ip_set_release(&l->blocked);
	free(l->trouble);
	queue_release(&l->mailbox);
	free(l);
}

void ledger_arriving(struct ledger *l, int delta)
{
	atomic_fetch_add(&l->arriving, delta);
}

/* News. */
static void send_news(struct ledger *l, struct news *n, enum message_type type)
{
	n->message.type = type;
	if (!queue_put(&l->mailbox, &n->message.item))
		news_free(n);
}

void ledger_pools_listed(struct ledger *l, enum ledger_scope scope, const json *items)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->scope = scope;
	n->states = pool_states_read(items, &n->n_states);
	send_news(l, n, MESSAGE_POOLS);
}

/* The ledger has that version already, and reading thousands of records costs time. */
static bool is_own_write(struct ledger *l, const json *object)
{
	uint64_t version = version_number(json_str_at(object, "metadata", "resourceVersion", NULL));

	for (size_t i = 0; i < ARRAY_LEN(l->own) && version; i++)
		if (atomic_load(&l->own[i]) == version)
			return true;
	return false;
}

void ledger_pool_event(struct ledger *l, enum ledger_scope scope, enum k8s_event_type type,
                       const json *object)
{
	struct news *n;
	struct err e;

	if (type == K8S_MODIFIED && is_own_write(l, object))
		return;
	n = xcalloc(1, sizeof(*n));
	n->scope = scope;
	n->type = type;
	n->states = xcalloc(1, sizeof(*n->states));
	if (pool_state_read(object, n->states, &e) < 0)
		log_warn_err(&e, "left out");
	else
		n->n_states = 1;
	send_news(l, n, MESSAGE_POOL);
}

static void send_set(struct ledger *l, struct ip_set *set, enum message_type type)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->set = *set;
	*set = (struct ip_set)IP_SET_INIT;
	send_news(l, n, type);
}

void ledger_reserved(struct ledger *l, struct ip_set *set)
{
	send_set(l, set, MESSAGE_RESERVED);
}

void ledger_node_addresses(struct ledger *l, struct ip_set *set)
{
	send_set(l, set, MESSAGE_NODE_ADDRESSES);
}

void ledger_trouble(struct ledger *l, const struct err *e)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->text = xstrdup(e->msg);
	send_news(l, n, MESSAGE_TROUBLE);
}

unsigned int ledger_needs(struct ledger *l)
{
	return atomic_load(&l->needs);
}

bool ledger_synced(struct ledger *l)
{
	return atomic_load(&l->synced);
}

bool ledger_alive(struct ledger *l)
{
	return mono_now().ms - atomic_load(&l->beat) < 60000;
}

struct ledger_stats ledger_stats(struct ledger *l)
{
	return (struct ledger_stats){
		atomic_load(&l->pool_writes),   atomic_load(&l->adds),
		atomic_load(&l->dels_done),     atomic_load(&l->conflicts),
		atomic_load(&l->add_conflicts), atomic_load(&l->del_conflicts)
	};
}
