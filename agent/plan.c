/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - decides what becomes of each waiting request.  It knows no I/O: it looks at the cache,
 * changes the pools' next state, or says what must be read before it can decide.
 *
 * A request waits when the pool it wants is being written or read.  "No" is said only from
 * knowledge that is younger than the request.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/ledger_impl.h"
#include "base/failpoint.h"

enum verdict {
	VERDICT_WAIT,  /* stays pending */
	VERDICT_BATCH, /* is in a slot's batch */
	VERDICT_DONE   /* was answered */
};

static enum verdict wait_for(struct ledger_request *r, char *why)
{
	free(r->why);
	r->why = why;
	return VERDICT_WAIT;
}

static bool is_blocked(const struct slot *s)
{
	return s->busy || s->want_read;
}

static enum verdict wait_for_slot(struct ledger_request *r, const struct slot *s)
{
	return wait_for(r, xasprintf("IPPool %s is being written", s->at.p.name));
}

static struct pool *view(struct slot *s)
{
	return s->planned ? &s->next : &s->at.p;
}

static struct pool *change(struct slot *s)
{
	if (!s->planned) {
		pool_copy(&s->next, &s->at.p);
		s->planned = true;
	}
	return &s->next;
}

static enum verdict join(struct slot *s, struct ledger_request *r)
{
	r->next = NULL;
	*s->batch_tail = r;
	s->batch_tail = &r->next;
	return VERDICT_BATCH;
}

static struct pool_request question(const struct ledger *l, const struct ledger_request *r)
{
	return (struct pool_request){
		.pod = r->pod,
		.uid = r->uid,
		.nic = r->nic,
		.cid = r->cid,
		.node = l->config.node,
		.family = 4,
		.network = r->network,
		.network_error = r->network_error,
		.agent_namespace = l->config.agent_namespace,
	};
}

/* The address the request has already: of that NIC in any pool, else one that the original recorded
 * without a NIC. */
static struct pool_record *find_own(struct ledger *l, const struct pool_request *q, bool exact,
                                    struct slot **where)
{
	for (size_t i = 0; i < l->n_slots; i++) {
		struct slot *s = l->slots[i];
		struct pool_record *have = s->at.p.bad ? NULL : pool_find_own(view(s), q);

		if (!have || (exact && !*have->nic))
			continue;
		*where = s;
		return have;
	}
	return NULL;
}

static enum verdict keep_own(struct ledger *l, struct ledger_request *r, struct slot *s,
                             const struct pool_record *have)
{
	if (is_blocked(s))
		return wait_for_slot(r, s);
	r->planned = have->ip;
	if (!streq(have->cid, r->cid) || !streq(have->nic, r->nic)) {
		struct ip ip = have->ip; /* the record may move */

		pool_put_record(change(s), ip, r->pod, r->uid, r->nic, r->cid);
		return join(s, r);
	}
	if (s->planned)
		return join(s, r);
	if (s->fresh > r->seen) {
		ledger_committed(l, s, r);
		return VERDICT_DONE;
	}
	/* somebody may have freed it since: look before saying so again */
	s->want_read = true;
	return wait_for_slot(r, s);
}

/* May the pool serve?  Otherwise the reason is added to why. */
static bool serves(const struct slot *s, const struct pool_request *q, struct str *why)
{
	const struct pool *p = &s->at.p;

	if (why->len)
		str_add(why, "; ");
	if (p->bad && !p->family) {
		str_addf(why, "%s is not ready: %s", p->name, p->bad);
		return false;
	}
	if (!pool_serves(p, q, why))
		return false;
	if (s->overlap) {
		str_addf(why, "%s is not ready: %s", p->name, s->overlap);
		return false;
	}
	if (why->len)
		str_reset(why, why->len - 2);
	return true;
}

static struct slot *find(struct ledger *l, const char *name)
{
	for (size_t i = 0; i < l->n_slots; i++)
		if (streq(l->slots[i]->at.p.name, name))
			return l->slots[i];
	return NULL;
}

static int compare_slots(const void *a, const void *b)
{
	const struct slot *const *x = a, *const *y = b;

	return pool_compare_default(&(*x)->at.p, &(*y)->at.p);
}

/* Candidates in the order in which they are tried; owned array.  *missing: a named one that is not
 * there. */
static struct slot **candidates(struct ledger *l, const struct ledger_request *r, size_t *n,
                                const char **missing)
{
	struct slot **list = xcalloc(l->n_slots + r->n_pools + 1, sizeof(struct slot *));

	*n = 0;
	*missing = NULL;
	if (r->named) {
		for (size_t i = 0; i < r->n_pools; i++) {
			struct slot *s = find(l, r->pools[i]);

			if (s)
				list[(*n)++] = s;
			else
				*missing = r->pools[i];
		}
		return list;
	}
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct pool *p = &l->slots[i]->at.p;

		/* IPv6 pools are never candidates; one whose family cannot be told is, to be named
		 * as broken */
		if (p->is_default && p->family != 6)
			list[(*n)++] = l->slots[i];
	}
	qsort(list, *n, sizeof(struct slot *), compare_slots);
	return list;
}

/* "No" needs a list of all pools that is younger than the request. */
static bool need_list(struct ledger *l, const struct ledger_request *r)
{
	if (l->listed > r->seen)
		return false;
	l->want_list = true;
	return true;
}

static void names_of(struct slot **list, size_t n, struct str *out)
{
	for (size_t i = 0; i < n; i++)
		str_addf(out, "%s%s", i ? " " : "", list[i]->at.p.name);
}

static enum verdict refuse(struct ledger *l, struct ledger_request *r, struct slot **list, size_t n,
                           const char *filtered, const char *used)
{
	AUTO_STR names = STR_INIT;

	if (r->named ? !*used && need_list(l, r) : need_list(l, r))
		return wait_for(r, xstrdup("the list of IPPools is being read"));
	names_of(list, n, &names);
	if (*used)
		ledger_answer(
			l, r, ERR_EXHAUSTED,
			xasprintf("all IP addresses used out, IPv4 IPPools [%s] of %s: [%s]%s%s%s",
		                  names.data, r->nic, used, *filtered ? ", filtered out: [" : "",
		                  filtered, *filtered ? "]" : ""));
	else if (n)
		ledger_answer(l, r, ERR_NO_POOL,
		              xasprintf("no IPPool available, all IPv4 IPPools [%s] of %s filtered "
		                        "out: [%s]",
		                        names.data, r->nic, filtered));
	else
		ledger_answer(l, r, ERR_NO_POOL,
		              xasprintf("no IPPool available, %s",
		                        r->named ? "the network configuration names no IPv4 "
		                                   "IPPool"
		                                 : "the network configuration names none and "
		                                   "no IPv4 IPPool is a cluster default "
		                                   "(spec.default: true)"));
	return VERDICT_DONE;
}

/*
 * What the pool must not give: reserved addresses, and those that another pool gave.  Pools that
 * overlap are not all used, but they may have been, before one of them was edited.
 */
static const struct ip_set *unavailable(struct ledger *l, const struct slot *s, struct ip_set *own)
{
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct pool *p = view(l->slots[i]);

		/* the subnet of one that is broken may not be known, its records are */
		if (l->slots[i] == s ||
		    (p->subnet.ip.family && !cidr_overlaps(p->subnet, s->at.p.subnet)))
			continue;
		for (size_t k = 0; k < p->n_records; k++)
			if (ip_set_contains(&s->at.p.ips, p->records[k].ip))
				ip_set_add(own, cidr_range(cidr_host(p->records[k].ip)));
	}
	if (!own->n)
		return &l->reserved;
	for (size_t i = 0; i < l->reserved.n; i++)
		ip_set_add(own, l->reserved.v[i]);
	return own;
}

/* Takes an address of the pool.  WAIT with *full set: it has none, and that is sure. */
static enum verdict take(struct ledger *l, struct ledger_request *r, struct slot *s,
                         const struct pool_request *q, struct str *used, bool *full)
{
	AUTO_IP_SET own = IP_SET_INIT;
	struct err e;
	struct ip ip;

	*full = false;
	if (is_blocked(s))
		return wait_for_slot(r, s);
	if (pool_pick(view(s), unavailable(l, s, &own), &ip, &e) == 0) {
		pool_add(change(s), ip, q);
		r->planned = ip;
		return join(s, r);
	}
	if (s->planned)
		return wait_for_slot(r, s); /* its write tells what is true */
	if (s->fresh <= r->seen) {
		if (r->named)
			s->want_read = true;
		else
			l->want_list = true;
		return wait_for_slot(r, s);
	}
	str_addf(used, "%s%s: %zu of %llu in use", used->len ? "; " : "", s->at.p.name,
	         s->at.p.n_records, (unsigned long long)pool_total(&s->at.p));
	*full = true;
	return VERDICT_WAIT;
}

static enum verdict try_candidates(struct ledger *l, struct ledger_request *r,
                                   const struct pool_request *q, struct slot **list, size_t n)
{
	AUTO_STR filtered = STR_INIT;
	AUTO_STR used = STR_INIT;

	for (size_t i = 0; i < n; i++) {
		enum verdict v;
		bool full;

		if (!serves(list[i], q, &filtered))
			continue;
		v = take(l, r, list[i], q, &used, &full);
		if (!full)
			return v;
	}
	return refuse(l, r, list, n, filtered.data, used.data);
}

static enum verdict plan_add(struct ledger *l, struct ledger_request *r)
{
	struct pool_request q = question(l, r);
	AUTO_FREE struct slot **list = NULL;
	struct pool_record *own;
	struct slot *s = NULL;
	const char *missing;
	size_t n;

	own = find_own(l, &q, true, &s);
	if (own)
		return keep_own(l, r, s, own);
	list = candidates(l, r, &n, &missing);
	if (missing) {
		if (need_list(l, r))
			return wait_for(r, xstrdup("the list of IPPools is being read"));
		ledger_answer(
			l, r, ERR_NO_POOL,
			xasprintf("IPPool %s, named for %s, does not exist", missing, r->nic));
		return VERDICT_DONE;
	}
	own = find_own(l, &q, false, &s);
	if (own)
		return keep_own(l, r, s, own);
	return try_candidates(l, r, &q, list, n);
}

static void note_released(struct ledger_request *r, const struct slot *s,
                          const struct pool_record *have)
{
	if (!r->grant.pool) {
		r->grant.pool = xstrdup(s->at.p.name);
		r->grant.address = (struct cidr){ have->ip, s->at.p.subnet.len };
	}
	/* whose it was, for the endpoint: a DEL may come without names */
	if (*have->pod) {
		free(r->pod);
		r->pod = xstrdup(have->pod);
		free(r->uid);
		r->uid = xstrdup(have->uid);
	}
}

/* One pool after the other: when nothing is left, it is done. */
static enum verdict plan_del(struct ledger *l, struct ledger_request *r)
{
	for (size_t i = 0; i < l->n_slots; i++) {
		struct slot *s = l->slots[i];
		const struct pool_record *have =
			pool_find_released(view(s), r->pod, r->uid, r->nic, r->cid);

		/* what is planned, or being written, may come to nothing */
		if (!have && s->planned &&
		    pool_find_released(&s->at.p, r->pod, r->uid, r->nic, r->cid))
			return wait_for_slot(r, s);
		if (!have)
			continue;
		if (is_blocked(s))
			return wait_for_slot(r, s);
		note_released(r, s, have);
		pool_remove(change(s), r->pod, r->uid, r->nic, r->cid);
		return join(s, r);
	}
	/* a write whose outcome is not known may have been the ADD's */
	for (size_t i = 0; i < l->n_slots; i++)
		if (l->slots[i]->want_read && l->slots[i]->failures)
			return wait_for_slot(r, l->slots[i]);
	failpoint("plan-nothing-left");
	/* also when nothing was there: the endpoint may be what an earlier try left.  Without a
	 * uid it could be that of another pod */
	if (*r->uid)
		l->config.changed(l->config.ctx, ledger_grants(l, r->pod, r->uid));
	atomic_fetch_add(&l->dels, 1);
	ledger_answer(l, r, ERR_NONE, NULL);
	return VERDICT_DONE;
}

static void show(struct ledger *l, const struct ledger_request *r)
{
	struct pod_grants *g = ledger_grants(l, r->pod, r->uid);

	if (g->n || r->op == LEDGER_SHOW)
		l->config.changed(l->config.ctx, g);
	else
		pod_grants_free(g);
}

static enum verdict plan_one(struct ledger *l, struct ledger_request *r)
{
	switch (r->op) {
	case LEDGER_ADD:
		return plan_add(l, r);
	case LEDGER_DEL:
		return plan_del(l, r);
	case LEDGER_QUERY:
		r->grants = ledger_grants(l, r->pod, r->uid);
		break;
	case LEDGER_SHOW:
	case LEDGER_SHOW_HELD:
		show(l, r);
		break;
	}
	ledger_answer(l, r, ERR_NONE, NULL);
	return VERDICT_DONE;
}

static void answer_late(struct ledger *l, struct ledger_request *r)
{
	ledger_answer(l, r, ERR_TIMEOUT,
	              xasprintf("no decision in time: %s%s%s",
	                        r->why ? r->why : "the IPPools were not known yet",
	                        l->trouble ? "; the store does not answer: " : "",
	                        l->trouble ? l->trouble : ""));
}

void plan(struct ledger *l)
{
	struct ledger_request **link = &l->pending;
	bool known = l->know_pools && l->know_reserved;

	while (*link) {
		struct ledger_request *r = *link, *next = r->next;
		enum verdict v = VERDICT_DONE;

		/* an ADD must not come after the DEL of its container */
		if (r->deleted)
			ledger_answer(l, r, ERR_NOT_FOUND,
			              xasprintf("container %s was deleted meanwhile", r->cid));
		else if (mono_passed(r->deadline) || ledger_is_abandoned(r))
			answer_late(l, r);
		else
			v = known ? plan_one(l, r) : VERDICT_WAIT;
		if (v == VERDICT_WAIT)
			link = &r->next;
		else
			*link = next;
	}
	l->pending_tail = link;
}
