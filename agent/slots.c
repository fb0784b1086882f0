/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.c - the ledger's pools: what the store told of them, and what is looked for there by name.
 *
 * Old news: an event is ignored unless its version is newer than what we have, which our own
 * writes and reads move forward.  Where versions cannot be compared the pool is read.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/ledger_impl.h"
#include "agent/pause.h"
#include "agent/rounds.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "pool/overlap.h"

#define FOREIGN_ADMIT_MS 30000 /* so long, to twice that, other nodes' pools are left to them */
#define FOREIGN_ADMIT_TRY 20   /* enough to be at the longest pause */
#define IDLE_MS 60000          /* a pool that is not watched is kept so long */
#define LOOKUPS_MAX 64

/* Slots. */
void ledger_set_trouble(struct ledger *l, const char *text)
{
	free(l->trouble);
	l->trouble = text ? xstrdup(text) : NULL;
}

struct slot *ledger_find_slot(struct ledger *l, const char *name)
{
	for (size_t i = 0; i < l->n_slots; i++)
		if (streq(l->slots[i]->at.p.name, name))
			return l->slots[i];
	return NULL;
}

/* A part of it was written (true) or not; with the last one it is planned again, or done. */
void slot_close_part(struct ledger *l, const struct slot *s, struct ledger_part *part, bool written)
{
	struct ledger_request *r = part->request;

	part->state = written ? PART_DONE : PART_NONE;
	if (written && r->op == LEDGER_ADD)
		r->grants[r->n_grants++] = ledger_grant(&s->at.p, part->ip, r->nic);
	if (--r->open == 0)
		ledger_pend(l, r);
}

struct ledger_part *slot_take_batch(struct slot *s)
{
	struct ledger_part *batch = s->batch;

	s->batch = NULL;
	s->batch_tail = &s->batch;
	return batch;
}

void slot_close_batch(struct ledger *l, struct slot *s, bool written)
{
	struct ledger_part *part = slot_take_batch(s);

	if (written)
		failpoint("ledger-acknowledged");
	while (part) {
		struct ledger_part *next = part->next;

		slot_close_part(l, s, part, written);
		part = next;
	}
}

/* Its requests wait again. */
void slot_unplan(struct ledger *l, struct slot *s)
{
	if (s->planned)
		pool_release(&s->next);
	s->planned = false;
	slot_close_batch(l, s, false);
}

static void slot_free(struct slot *s)
{
	pool_state_release(&s->at);
	if (s->planned)
		pool_release(&s->next);
	free(s->overlap);
	free(s);
}

void slot_remove(struct ledger *l, struct slot *s)
{
	size_t kept = 0;

	slot_unplan(l, s);
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
void slot_consider_admission(struct ledger *l, struct slot *s)
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
		s->admit_not_before = mono_after(
			l->now, FOREIGN_ADMIT_MS + backoff_ms(FOREIGN_ADMIT_TRY, FOREIGN_ADMIT_MS));
	s->want_admit = object || status;
}

/* What the store told about a pool; state's contents are taken. */
struct slot *slot_apply(struct ledger *l, struct pool_state *state)
{
	struct slot *s = ledger_find_slot(l, state->p.name);

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
		turns_saw(&s->turns, &old.p, &s->at.p, l->now);
		if (is_stuck(&s->at.p) && !is_stuck(&old.p))
			note_stuck(&s->at.p);
		pool_state_release(&old);
		/* a plan from an older state would only be refused */
		if (s->planned && !s->busy)
			slot_unplan(l, s);
	}
	memset(state, 0, sizeof(*state));
	s->touched = l->clock;
	s->idle = mono_after(l->now, IDLE_MS);
	atomic_fetch_or(&l->needs, (unsigned int)pool_needs(&s->at.p));
	slot_consider_admission(l, s);
	return s;
}

/* Pools that are not watched are kept while they hold addresses of ours, and for a moment. */
void ledger_drop_idle(struct ledger *l)
{
	for (size_t i = 0; i < l->n_slots;) {
		struct slot *s = l->slots[i];

		if (ledger_is_watched(l, &s->at) || s->busy || s->planned || s->want_read ||
		    !mono_passed_at(s->idle, l->now) || holds_ours(l, &s->at.p))
			i++;
		else
			slot_remove(l, s);
	}
}

/* Pools that are looked for by name. */
struct lookup *ledger_find_lookup(struct ledger *l, const char *name)
{
	for (size_t i = 0; i < l->n_lookups; i++)
		if (streq(l->lookups[i].name, name))
			return &l->lookups[i];
	return NULL;
}

bool ledger_is_absent(struct ledger *l, const char *name, uint64_t seen)
{
	struct lookup *u = ledger_find_lookup(l, name);

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
void ledger_trim_lookups(struct ledger *l)
{
	for (size_t i = 0; i < l->n_lookups && l->n_lookups > LOOKUPS_MAX;) {
		struct lookup *u = &l->lookups[i];

		if (u->want || u->busy)
			i++;
		else
			drop_lookup(l, u);
	}
}

void ledger_lookup_done(struct ledger *l, struct lookup *u, struct job *j)
{
	u->busy = false;
	if (j->rc == 0) {
		struct slot *s = ledger_find_slot(l, j->name);

		/* news may have been quicker */
		if (!s || version_compare(j->states[0].p.version, s->at.p.version) != -1)
			s = slot_apply(l, &j->states[0]);
		s->fresh = j->number;
		drop_lookup(l, u);
	} else if (j->e.kind == ERR_NOT_FOUND || j->e.kind == ERR_CONFIG) {
		/* ERR_CONFIG: no name for an object, so there is none */
		u->absent = j->number;
		u->failures = 0;
	} else {
		ledger_set_trouble(l, j->e.msg);
		u->want = true;
		u->not_before =
			mono_after(l->now, backoff_ms(++u->failures, LEDGER_TROUBLE_MAX_MS));
	}
}

/* News: only when it is newer. */
static void apply_news(struct ledger *l, struct pool_state *state)
{
	struct slot *s = ledger_find_slot(l, state->p.name);
	int c = s ? version_compare(state->p.version, s->at.p.version) : 1;

	if (c == 1) {
		s = slot_apply(l, state);
		if (s->want_news && !s->busy) {
			s->want_read = s->want_news = false;
			s->not_before = l->now;
		}
	} else if (c == 2)
		s->want_read = true;
}

/* Not those of which we were told after the list was asked for. */
static void drop_missing(struct ledger *l, enum ledger_scope scope, const struct pool_state *states,
                         size_t n, uint64_t asked)
{
	for (size_t i = 0; i < l->n_slots;) {
		struct slot *s = l->slots[i];
		bool there = !in_scope(l, &s->at, scope);

		for (size_t k = 0; k < n && !there; k++)
			there = streq(states[k].p.name, s->at.p.name);
		if (there || s->busy || s->touched >= asked) {
			i++;
		} else if (l->config.scoped && holds_ours(l, &s->at.p)) {
			/* it may have got other labels */
			s->want_read = true;
			i++;
		} else {
			slot_remove(l, s);
		}
	}
}

/* One that is labelled for others counts when it is for this node: then its labels are wrong. */
static bool concerns_us(const struct ledger *l, const struct pool_state *s)
{
	return ledger_is_watched(l, s) || pool_state_is_for(s, l->config.node);
}

void ledger_take_list(struct ledger *l, enum ledger_scope scope, struct pool_state *states,
                      size_t n, uint64_t asked)
{
	drop_missing(l, scope, states, n, asked);
	for (size_t i = 0; i < n; i++)
		if (concerns_us(l, &states[i]))
			apply_news(l, &states[i]);
	l->know_node_pools |= scope != LEDGER_SCOPE_FREE;
	l->know_free_pools |= scope != LEDGER_SCOPE_NODE;
}

void ledger_take_event(struct ledger *l, enum ledger_scope scope, enum k8s_event_type type,
                       struct pool_state *state)
{
	struct slot *s = ledger_find_slot(l, state->p.name);

	/* to who watches by labels, one that gets others is deleted: it is told as it is now */
	if (type != K8S_DELETED || !in_scope(l, state, scope))
		apply_news(l, state);
	else if (s && streq(s->at.p.uid, state->p.uid) && s->busy)
		s->want_read = true;
	else if (s && streq(s->at.p.uid, state->p.uid))
		slot_remove(l, s);
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

void ledger_find_overlaps(struct ledger *l)
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

void ledger_release_slots(struct ledger *l)
{
	for (size_t i = 0; i < l->n_slots; i++)
		slot_free(l->slots[i]);
	free(l->slots);
	while (l->n_lookups)
		drop_lookup(l, &l->lookups[0]);
	free(l->lookups);
}
