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
#include <time.h>

#include "agent/ledger_impl.h"
#include "agent/rounds.h"
#include "base/failpoint.h"
#include "pool/pattern.h"

#define REMEDY_MAX 256 /* bytes, after which no further pool's is told */
#define MISSING_MAX 16 /* so many names of pools that do not exist are told */

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

/* The part lies in the slot's batch now: the next write of its pool does it. */
static void join(const struct ledger *l, struct slot *s, struct ledger_part *part, struct ip ip)
{
	part->state = PART_PLANNED;
	part->ip = ip;
	part->next = NULL;
	*s->batch_tail = part;
	s->batch_tail = &part->next;
	part->request->open++;
	if (!part->request->planned_us)
		part->request->planned_us = l->now_us;
}

static struct pool_request question(const struct ledger *l, const struct ledger_request *r, int f)
{
	return (struct pool_request){
		.pod = r->pod,
		.uid = r->uid,
		.nic = r->nic,
		.cid = r->cid,
		.node = l->config.node,
		.ns = r->ns,
		.pod_labels = &r->pod_labels,
		.namespace_labels = r->knows_namespace ? &r->namespace_labels : NULL,
		.node_labels = r->knows_node ? &r->node_labels : NULL,
		.family = f == V4 ? 4 : 6,
		.keep = r->keep,
		.network = r->network,
		.network_error = r->network_error,
		.agent_namespace = l->config.agent_namespace,
	};
}

/* What else is wrong with a pool does not matter to who has an address of it. */
static bool can_give_again(const struct pool *p, const struct pool_record *have)
{
	return have && p->subnet.ip.family && cidr_contains(p->subnet, have->ip);
}

/* The address the request has already: of that NIC in any pool, else one that the original recorded
 * without a NIC. */
static struct pool_record *find_own(struct ledger *l, const struct pool_request *q, bool exact,
                                    struct slot **where)
{
	for (size_t i = 0; i < l->n_slots; i++) {
		struct slot *s = l->slots[i];
		struct pool_record *have = pool_find_own(view(s), q);

		if (!can_give_again(&s->at.p, have) || (exact && !*have->nic))
			continue;
		*where = s;
		return have;
	}
	return NULL;
}

/* What is to happen for one family of an ADD, once it can happen for all. */
struct intent {
	struct slot *s;
	struct ip ip;
	enum { HAS_IT, KEEPS_IT, TAKES_IT } what;
};

static enum verdict intend_own(struct ledger_request *r, struct slot *s,
                               const struct pool_record *have, struct intent *in)
{
	if (is_blocked(s))
		return wait_for_slot(r, s);
	in->s = s;
	in->ip = have->ip;
	in->what = KEEPS_IT;
	if (!streq(have->cid, r->cid) || !streq(have->nic, r->nic) || !streq(have->uid, r->uid))
		return VERDICT_BATCH;
	if (s->planned)
		return VERDICT_BATCH;
	in->what = HAS_IT;
	if (s->fresh > r->seen)
		return VERDICT_BATCH;
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

/* The pools that an ADD tries for one family, in that order. */
struct candidates {
	struct slot **v;
	size_t n;
	bool missing; /* a named one is not there */
};

static void add_candidate(struct candidates *c, struct slot *s)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i] == s)
			return;
	c->v[c->n++] = s;
}

/* In the place of a pattern stand the pools that it fits, in the order of the default ones. */
static void add_matching(struct ledger *l, int family, const char *pattern, struct candidates *c)
{
	size_t from = c->n;

	for (size_t i = 0; i < l->n_slots; i++)
		if (l->slots[i]->at.p.family == family &&
		    pattern_matches(pattern, l->slots[i]->at.p.name))
			add_candidate(c, l->slots[i]);
	qsort(c->v + from, c->n - from, sizeof(struct slot *), compare_slots);
}

static bool is_default_of(const struct slot *s, int family)
{
	const struct pool *p = &s->at.p;

	/* one whose family cannot be told is a candidate, to be named as broken */
	return p->is_default && (p->family ? p->family == family : family == 4);
}

static void find_candidates(struct ledger *l, const struct ledger_request *r, int f,
                            struct candidates *c)
{
	int family = f == V4 ? 4 : 6;

	*c = (struct candidates){ xcalloc(l->n_slots + r->choice.n[f] + 1, sizeof(struct slot *)),
		                  0, false };
	for (size_t i = 0; r->choice.named && i < r->choice.n[f]; i++) {
		struct slot *s = find(l, r->choice.pools[f][i]);

		if (s)
			add_candidate(c, s);
		else if (pattern_is(r->choice.pools[f][i]))
			add_matching(l, family, r->choice.pools[f][i], c);
		else
			c->missing = true;
	}
	if (r->choice.named)
		return;
	for (size_t i = 0; i < l->n_slots; i++)
		if (is_default_of(l->slots[i], family))
			c->v[c->n++] = l->slots[i];
	qsort(c->v, c->n, sizeof(struct slot *), compare_slots);
}

/*
 * One that the pod's name has kept, of an earlier pod, in one of the pools that it asks for now.
 * That nothing new is given there does not matter.  What it kept in others stays until the
 * collector knows that the earlier pod's container does not run any more.
 */
static struct pool_record *find_kept(const struct candidates *c, const struct pool_request *q,
                                     struct slot **where)
{
	for (size_t i = 0; i < c->n; i++) {
		struct slot *s = c->v[i];
		struct pool_record *have = pool_find_kept(view(s), q);
		AUTO_STR why = STR_INIT;

		if (!can_give_again(&s->at.p, have) || !pool_is_meant_for(&s->at.p, q, &why))
			continue;
		*where = s;
		return have;
	}
	return NULL;
}

/* "No" needs a list of all pools that is younger than the request. */
static bool need_list(struct ledger *l, const struct ledger_request *r)
{
	if (l->listed > r->seen)
		return false;
	l->want_list = true;
	return true;
}

static void names_of(const struct candidates *c, struct str *out)
{
	for (size_t i = 0; i < c->n; i++)
		str_addf(out, "%s%s", i ? " " : "", c->v[i]->at.p.name);
}

static enum verdict wait_for_list(struct ledger_request *r)
{
	return wait_for(r, xstrdup("the list of IPPools is being read"));
}

static enum verdict no(struct ledger *l, struct ledger_request *r, enum err_kind kind, char *text)
{
	ledger_refuse(l, r, kind, text);
	return VERDICT_DONE;
}

/* What would help with the pools that are meant for it and of no use as they are; owned, or NULL.
 */
static char *remedy_of(struct ledger *l, const struct ledger_request *r, int f,
                       const struct candidates *c)
{
	struct pool_request q = question(l, r, f);
	AUTO_STR all = STR_INIT;

	for (size_t i = 0; i < c->n && all.len < REMEDY_MAX; i++) {
		const struct slot *s = c->v[i];
		AUTO_FREE char *one = pool_remedy(&s->at.p, &q);
		AUTO_STR why = STR_INIT;

		if (!one && s->overlap && pool_serves(&s->at.p, &q, &why))
			one = xasprintf(
				"take the addresses that IPPool %s shares with an older "
				"one out of either",
				s->at.p.name);
		if (one)
			str_addf(&all, "%s%s", all.len ? "; or " : "", one);
	}
	return all.len ? str_take(&all) : NULL;
}

static enum verdict refuse(struct ledger *l, struct ledger_request *r, int f,
                           const struct candidates *c, const char *filtered, const char *used)
{
	AUTO_STR names = STR_INIT;
	int version = f == V4 ? 4 : 6;

	if (r->choice.named ? !*used && need_list(l, r) : need_list(l, r))
		return wait_for_list(r);
	names_of(c, &names);
	if (*used)
		return no(l, r, ERR_EXHAUSTED,
		          xasprintf("all IP addresses used out, IPv%d IPPools [%s] of %s: "
		                    "[%s]%s%s%s",
		                    version, names.data, r->nic, used,
		                    *filtered ? ", filtered out: [" : "", filtered,
		                    *filtered ? "]" : ""));
	free(r->remedy);
	r->remedy = remedy_of(l, r, f, c);
	if (c->n)
		return no(l, r, ERR_NO_POOL,
		          xasprintf("no IPPool available, all IPv%d IPPools [%s] of %s filtered "
		                    "out: [%s]",
		                    version, names.data, r->nic, filtered));
	return no(l, r, ERR_NO_POOL,
	          xasprintf("no IPPool available, no IPv%d IPPool fits what the %s names for %s",
	                    version, r->choice.source ? r->choice.source : "request", r->nic));
}

/*
 * What the pool must not give: reserved addresses and the node's own, and those that another pool
 * gave.  Pools that overlap are not all used, but they may have been, before one of them was
 * edited.
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
		return &l->blocked;
	for (size_t i = 0; i < l->blocked.n; i++)
		ip_set_add(own, l->blocked.v[i]);
	return own;
}

/* How many of the pool's addresses must not be given though no record has them. */
static unsigned long long held_back(const struct pool *p, const struct ip_set *taken)
{
	AUTO_IP_SET left = pool_usable(p);
	unsigned long long n = ip_set_size(&left);

	for (size_t i = 0; i < taken->n; i++)
		ip_set_remove(&left, taken->v[i]);
	return n - ip_set_size(&left);
}

static void note_used(const struct slot *s, const struct ip_set *taken, struct str *used)
{
	unsigned long long back = held_back(&s->at.p, taken);

	str_addf(used, "%s%s: %zu of %llu in use", used->len ? "; " : "", s->at.p.name,
	         s->at.p.n_records, (unsigned long long)pool_total(&s->at.p));
	if (back)
		str_addf(used, ", %llu reserved or the node's own", back);
	if (!pool_has_room(&s->at.p))
		str_add(used, ", and there is no room for more records");
}

/* An address of the pool.  WAIT with *full set: it has none, and that is sure. */
static enum verdict intend_take(struct ledger *l, struct ledger_request *r, struct slot *s,
                                struct intent *in, struct str *used, bool *full)
{
	AUTO_IP_SET own = IP_SET_INIT;
	const struct ip_set *taken;
	struct err e;

	*full = false;
	if (is_blocked(s))
		return wait_for_slot(r, s);
	taken = unavailable(l, s, &own);
	if ((!l->config.max_records || view(s)->n_records < l->config.max_records) &&
	    pool_pick(view(s), taken, &in->ip, &e) == 0) {
		in->s = s;
		in->what = TAKES_IT;
		return VERDICT_BATCH;
	}
	if (s->planned)
		return wait_for_slot(r, s); /* its write tells what is true */
	if (s->fresh <= r->seen) {
		if (r->choice.named)
			s->want_read = true;
		else
			l->want_list = true;
		return wait_for_slot(r, s);
	}
	note_used(s, taken, used);
	*full = true;
	return VERDICT_WAIT;
}

/* Nobody tells us of it, and it was read before the request came. */
static bool is_doubtful(const struct ledger *l, const struct ledger_request *r,
                        const struct slot *s)
{
	return !ledger_is_watched(l, &s->at) && s->fresh <= r->seen;
}

static enum verdict try_candidates(struct ledger *l, struct ledger_request *r, int f,
                                   const struct pool_request *q, const struct candidates *c,
                                   struct intent *in)
{
	AUTO_STR filtered = STR_INIT;
	AUTO_STR used = STR_INIT;

	struct slot *doubtful = NULL;

	for (size_t i = 0; i < c->n; i++) {
		struct slot *s = c->v[i];
		enum verdict v;
		bool full;

		/* who watches it gives it other labels when it becomes another node's */
		if (is_doubtful(l, r, s) && !pool_state_is_for(&s->at, l->config.node)) {
			doubtful = s;
			continue;
		}
		if (is_doubtful(l, r, s)) {
			s->want_read = true;
			return wait_for_slot(r, s);
		}
		if (!serves(s, q, &filtered))
			continue;
		v = intend_take(l, r, s, in, &used, &full);
		if (!full)
			return v;
	}
	for (size_t i = 0; i < c->n && doubtful; i++)
		c->v[i]->want_read |= is_doubtful(l, r, c->v[i]);
	if (doubtful)
		return wait_for_slot(r, doubtful);
	return refuse(l, r, f, c, filtered.data, used.data);
}

/* Why the named ones that are there would not do. */
static void say_filtered(struct ledger *l, const struct ledger_request *r,
                         const struct candidates *all, struct str *out)
{
	for (int f = 0; f < FAMILIES; f++) {
		struct pool_request q = question(l, r, f);

		for (size_t i = 0; i < all[f].n && r->enabled[f]; i++)
			serves(all[f].v[i], &q, out);
	}
}

/* The names, of either family, that are not there; as many as one may ask for.  False: it is not
 * known yet of one. */
static bool name_missing(struct ledger *l, struct ledger_request *r, struct str *out, size_t *n)
{
	bool known = true;

	*n = 0;
	for (int f = 0; f < FAMILIES; f++)
		for (size_t i = 0; i < r->choice.n[f] && r->enabled[f]; i++) {
			const char *name = r->choice.pools[f][i];

			if (pattern_is(name) || find(l, name) || ++*n > MISSING_MAX)
				continue;
			known &= !l->config.scoped || ledger_is_absent(l, name, r->seen);
			str_addf(out, "%s%s", *n > 1 ? ", " : "", name);
		}
	return known;
}

static enum verdict refuse_missing(struct ledger *l, struct ledger_request *r,
                                   const struct candidates *all)
{
	const char *source = r->choice.source ? r->choice.source : "request";
	AUTO_STR filtered = STR_INIT;
	AUTO_STR names = STR_INIT;
	size_t n;

	if (!name_missing(l, r, &names, &n))
		return wait_for(r,
		                xasprintf("whether there is IPPool %s is being read", names.data));
	if (!l->config.scoped && need_list(l, r))
		return wait_for_list(r);
	if (n > MISSING_MAX)
		str_add(&names, ", ..."); /* of the others it is not known yet */
	say_filtered(l, r, all, &filtered);
	free(r->remedy);
	r->remedy = xasprintf("make IPPool %s, or correct the %s", names.data, source);
	return no(l, r, ERR_NO_POOL,
	          xasprintf("no IPPool available, IPPool%s %s, which the %s names for %s, do%s not "
	                    "exist%s%s%s",
	                    n > 1 ? "s" : "", names.data, source, r->nic, n > 1 ? "" : "es",
	                    filtered.len ? "; filtered out: [" : "", filtered.data,
	                    filtered.len ? "]" : ""));
}

/* BATCH: *in says what to do. */
static enum verdict intend(struct ledger *l, struct ledger_request *r, int f,
                           const struct candidates *all, struct intent *in)
{
	struct pool_request q = question(l, r, f);
	const struct candidates *c = &all[f];
	struct pool_record *own;
	struct slot *s = NULL;

	memset(in, 0, sizeof(*in));
	own = find_own(l, &q, true, &s);
	if (own)
		return intend_own(r, s, own, in);
	if (c->missing)
		return refuse_missing(l, r, all);
	own = r->keep ? find_kept(c, &q, &s) : NULL;
	if (own)
		return intend_own(r, s, own, in);
	own = find_own(l, &q, false, &s);
	if (own)
		return intend_own(r, s, own, in);
	return try_candidates(l, r, f, &q, c, in);
}

static void carry_out(struct ledger *l, struct ledger_request *r, int f, const struct intent *in)
{
	struct pool_request q = question(l, r, f);

	if (in->what == HAS_IT) {
		r->parts[f].state = PART_DONE;
		r->grants[r->n_grants++] = ledger_grant(&in->s->at.p, in->ip, r->nic);
		return;
	}
	if (in->what == TAKES_IT) {
		pool_add(change(in->s), in->ip, &q);
		r->took[f] = in->ip;
	} else {
		struct pool *p = change(in->s);
		struct ip last = p->last;

		pool_add(p, in->ip, &q);
		p->last = last; /* the round was not at this one */
	}
	join(l, in->s, &r->parts[f], in->ip);
}

/* Which families does it get?  Named ones, or those of which there are default pools for it. */
static bool is_wanted(const struct ledger *l, const struct ledger_request *r, int f,
                      const struct candidates *c)
{
	struct pool_request q = question(l, r, f);

	if (!r->enabled[f])
		return false;
	if (r->choice.named)
		return r->choice.n[f] > 0;
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i]->at.p.bad || pool_is_near(&c->v[i]->at.p, &q))
			return true;
	return false;
}

/* All that were named are of a family that is switched off. */
static enum verdict refuse_family(struct ledger *l, struct ledger_request *r)
{
	int f = r->choice.n[V4] ? V4 : V6, version = f == V4 ? 4 : 6;
	AUTO_STR names = STR_INIT;

	if (!r->choice.n[f])
		return no(l, r, ERR_NO_POOL,
		          xasprintf("no IPPool available, the %s names none for %s",
		                    r->choice.source ? r->choice.source : "request", r->nic));
	for (size_t i = 0; i < r->choice.n[f]; i++)
		str_addf(&names, "%s%s", i ? " " : "", r->choice.pools[f][i]);
	return no(l, r, ERR_NO_POOL,
	          xasprintf("no IPPool available, the %s names only IPv%d IPPools [%s] for %s, and "
	                    "IPv%d is disabled",
	                    r->choice.source ? r->choice.source : "request", version, names.data,
	                    r->nic, version));
}

/* None of the default pools is for this node and network, or there are none at all. */
static enum verdict refuse_default(struct ledger *l, struct ledger_request *r,
                                   const struct candidates *c)
{
	AUTO_STR filtered = STR_INIT;

	if (r->choice.named)
		return refuse_family(l, r);
	if (need_list(l, r))
		return wait_for_list(r);
	for (int f = 0; f < FAMILIES; f++) {
		struct pool_request q = question(l, r, f);

		for (size_t i = 0; i < c[f].n; i++)
			serves(c[f].v[i], &q, &filtered);
		if (c[f].n)
			return refuse(l, r, f, &c[f], filtered.data, "");
	}
	return no(l, r, ERR_NO_POOL,
	          xstrdup("no IPPool available, the network configuration names none and no "
	                  "IPPool is a cluster default (spec.default: true)"));
}

/* Of the same container, and to be done before the ADD: what frees, or another ADD. */
static bool comes_before(const struct ledger_request *d, const struct ledger_request *add)
{
	return (d->op == LEDGER_DEL || d->op == LEDGER_FREE ||
	        (d->op == LEDGER_ADD && add->repeats)) &&
	       d->seen < add->seen && streq(d->cid, add->cid) &&
	       (!*d->nic || streq(d->nic, add->nic));
}

/*
 * An earlier request of this container is not through yet: what a DEL frees must not be given
 * again, and what an ADD took may still go back, if nobody waits for its answer.
 */
static bool waits_its_turn(const struct ledger *l, const struct ledger_request *r)
{
	const struct ledger_request *lists[] = { l->pending, l->planning };

	if (!l->dels && !r->repeats)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const struct ledger_request *d = lists[i]; d; d = d->next)
			if (comes_before(d, r))
				return true;
	for (size_t i = 0; i < l->n_slots; i++)
		for (const struct ledger_part *p = l->slots[i]->batch; p; p = p->next)
			if (comes_before(p->request, r))
				return true;
	return false;
}

static enum verdict plan_families(struct ledger *l, struct ledger_request *r,
                                  const struct candidates *c)
{
	struct intent in[FAMILIES];
	bool todo[FAMILIES] = { false }, any = false;

	for (int f = 0; f < FAMILIES; f++) {
		bool wanted = is_wanted(l, r, f, &c[f]);
		enum verdict v;

		any |= wanted;
		if (!wanted || r->parts[f].state == PART_DONE)
			continue;
		todo[f] = true;
		v = intend(l, r, f, c, &in[f]);
		if (v != VERDICT_BATCH)
			return v;
	}
	if (!any)
		return refuse_default(l, r, c);
	for (int f = 0; f < FAMILIES; f++)
		if (todo[f])
			carry_out(l, r, f, &in[f]);
	if (r->open)
		return VERDICT_BATCH;
	ledger_granted(l, r);
	return VERDICT_DONE;
}

static enum verdict plan_add(struct ledger *l, struct ledger_request *r)
{
	struct candidates c[FAMILIES];
	enum verdict v;

	if (waits_its_turn(l, r)) {
		l->in_turn = true;
		return wait_for(r, xstrdup("what this container had is being given back"));
	}
	for (int f = 0; f < FAMILIES; f++)
		find_candidates(l, r, f, &c[f]);
	v = plan_families(l, r, c);
	for (int f = 0; f < FAMILIES; f++)
		free(c[f].v);
	return v;
}

static void note_released(struct ledger_request *r, const struct slot *s,
                          const struct pool_record *have)
{
	if (r->n_grants < FAMILIES)
		r->grants[r->n_grants++] = ledger_grant(&s->at.p, have->ip, have->nic);
	/* whose it was, for the endpoint: a DEL may come without names */
	if (*have->pod) {
		free(r->pod);
		r->pod = xstrdup(have->pod);
		free(r->uid);
		r->uid = xstrdup(have->uid);
	}
}

static unsigned int kept(const struct ledger *l)
{
	return (l->config.keep_statefulset ? 1U << POOL_KEEP_STATEFULSET : 0) |
	       (l->config.keep_vmi ? 1U << POOL_KEEP_VMI : 0);
}

/* What a DEL, FREE or QUARANTINE is about in this pool; borrowed, or NULL. */
static const struct pool_record *find_target(const struct ledger *l, const struct pool *p,
                                             const struct ledger_request *r)
{
	if (r->op == LEDGER_DEL)
		return pool_find_released(p, r->pod, r->uid, r->nic, r->cid, kept(l));
	for (int f = 0; f < FAMILIES; f++) {
		const struct pool_record *have =
			r->addresses[f].family ? pool_find(p, r->addresses[f]) : NULL;

		/* a container's other NICs may have the address by now */
		if (have && streq(have->cid, r->cid) &&
		    (!*r->nic || !*have->nic || streq(have->nic, r->nic)) &&
		    (r->op == LEDGER_QUARANTINE ? !*have->conflict : streq(have->uid, r->uid)))
			return have;
	}
	return NULL;
}

static void quarantine(struct ledger *l, struct slot *s, const struct ledger_request *r,
                       struct ip ip)
{
	pool_put(change(s), &(struct pool_record){ .ip = ip,
	                                           .node = (char *)(uintptr_t)l->config.node,
	                                           .conflict = r->reason,
	                                           .since = (int64_t)time(NULL) });
}

/* Nothing is found, but is that all? */
static enum verdict nothing_left(struct ledger *l, struct ledger_request *r)
{
	for (size_t i = 0; i < l->n_slots; i++) {
		struct slot *s = l->slots[i];

		/* a write whose outcome is not known may have been the ADD's */
		if (s->want_read && s->failures)
			return wait_for_slot(r, s);
		if (!s->at.p.unreadable || (r->pool && !streq(r->pool, s->at.p.name)))
			continue;
		ledger_answer(
			l, r, ERR_PROTO,
			xasprintf("IPPool %s: %s", s->at.p.name, s->at.p.bad ? s->at.p.bad : ""));
		return VERDICT_DONE;
	}
	/* nobody tells us of a pool that is not watched any more */
	if (r->pool && l->config.scoped && !find(l, r->pool) &&
	    !ledger_is_absent(l, r->pool, r->seen))
		return wait_for(r, xasprintf("IPPool %s is being read", r->pool));
	failpoint("plan-nothing-left");
	/* also when nothing was there: the endpoint may be what an earlier try left.  Without a
	 * uid it could be that of another pod */
	if (*r->uid)
		l->config.changed(l->config.ctx, ledger_grants(l, r->pod, r->uid));
	if (r->op == LEDGER_DEL)
		atomic_fetch_add(&l->dels_done, 1);
	ledger_answer(l, r, ERR_NONE, NULL);
	return VERDICT_DONE;
}

/* All pools that hold something of it, at once as far as they can be written; then it is planned
 * again, until nothing is left. */
static enum verdict plan_del(struct ledger *l, struct ledger_request *r)
{
	const struct slot *blocked = NULL;
	size_t n = 0;

	if (atomic_load(&r->withdrawn)) {
		ledger_answer(l, r, ERR_NONE, NULL);
		return VERDICT_DONE;
	}
	for (size_t i = 0; i < l->n_slots && n < LEDGER_PARTS; i++) {
		struct slot *s = l->slots[i];
		const struct pool_record *have = find_target(l, view(s), r);

		/* what is planned, or being written, may come to nothing: it is no reason to say
		 * that nothing is there */
		if (have ? is_blocked(s) : s->planned && find_target(l, &s->at.p, r))
			blocked = s;
		if (!have || is_blocked(s))
			continue;
		note_released(r, s, have);
		join(l, s, &r->parts[n++], have->ip);
		/* note_released may have told it whose they are: all of that pod's container */
		for (; have; have = find_target(l, view(s), r)) {
			struct ip ip = have->ip;

			if (r->op == LEDGER_QUARANTINE)
				quarantine(l, s, r, ip);
			else
				pool_remove_record(change(s), pool_find(change(s), ip));
		}
	}
	if (n)
		return VERDICT_BATCH;
	return blocked ? wait_for_slot(r, blocked) : nothing_left(l, r);
}

static void list_held(struct ledger *l, struct ledger_request *r)
{
	size_t cap = 0;

	for (size_t i = 0; i < l->n_slots; i++) {
		const struct pool *p = &l->slots[i]->at.p;

		for (size_t k = 0; k < p->n_records; k++) {
			if (!ledger_is_here(l, p, &p->records[k]))
				continue;
			r->held = xgrow(r->held, &cap, r->n_held + 1, sizeof(*r->held));
			r->held[r->n_held++] =
				(struct ledger_held){ xstrdup(p->name),
				                      pool_record_copy(&p->records[k]) };
		}
	}
}

static void list_rounds(struct ledger *l, struct ledger_request *r)
{
	if (!l->rounds_changed)
		return;
	l->rounds_changed = false;
	r->rounds = json_new_object();
	for (size_t i = 0; i < l->n_slots; i++)
		rounds_put(r->rounds, &l->slots[i]->at.p);
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
	case LEDGER_FREE:
	case LEDGER_QUARANTINE:
		return plan_del(l, r);
	case LEDGER_QUERY:
		r->pod_grants = ledger_grants(l, r->pod, r->uid);
		break;
	case LEDGER_HELD:
		list_held(l, r);
		break;
	case LEDGER_USAGE:
		ledger_usage(l, r);
		break;
	case LEDGER_ROUNDS:
		list_rounds(l, r);
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
	char *text = xasprintf(
		"no decision in time: %s%s%s", r->why ? r->why : "the IPPools were not known yet",
		l->trouble ? "; the store does not answer: " : "", l->trouble ? l->trouble : "");

	if (r->op == LEDGER_ADD) {
		ledger_refuse(l, r, ERR_TIMEOUT, text);
	} else if (r->then) {
		/* who waits for it need not wait any longer, but it still is to be done */
		struct ledger_request *then = r->then;

		free(text);
		text = then->text;
		then->text = NULL;
		r->then = NULL;
		r->deadline = mono_after(l->now, LEDGER_GIVE_BACK_MS);
		ledger_answer(l, then, then->kind, text);
		ledger_pend(l, r);
		l->again = true;
	} else {
		/* what it freed is freed: who asks again finds nothing, and may not know whose it
		 * was */
		if (r->n_grants && *r->uid)
			l->config.changed(l->config.ctx, ledger_grants(l, r->pod, r->uid));
		ledger_answer(l, r, ERR_TIMEOUT, text);
	}
}

/* A write of its was refused for good. */
static void answer_failed(struct ledger *l, struct ledger_request *r)
{
	char *text = r->text;

	r->text = NULL;
	if (r->op == LEDGER_ADD)
		ledger_refuse(l, r, r->kind, text);
	else
		ledger_answer(l, r, r->kind, text);
}

void plan(struct ledger *l)
{
	struct ledger_request *r = l->pending;
	bool known = atomic_load(&l->synced);

	l->in_turn = false;
	/* what is decided below may be pending again, behind those that are */
	l->pending = NULL;
	l->pending_tail = &l->pending;
	for (; r; r = l->planning) {
		enum verdict v = VERDICT_DONE;

		l->planning = r->next;

		/* an ADD must not come after the DEL of its container */
		if (r->deleted)
			ledger_answer(l, r, ERR_NOT_FOUND,
			              xasprintf("container %s was deleted meanwhile", r->cid));
		else if (r->text)
			answer_failed(l, r);
		/* read late: the next sandbox of its pod may have been answered before.  Looked at
		 * before whether it is abandoned, after which its descriptor is somebody else's */
		else if (r->op == LEDGER_ADD && ledger_has_hung_up(r))
			ledger_answer(l, r, ERR_UNREACHABLE, xstrdup("the client went away"));
		else if (mono_passed_at(r->deadline, l->now) || ledger_is_abandoned(r))
			answer_late(l, r);
		else
			v = known ? plan_one(l, r) : VERDICT_WAIT;
		if (v == VERDICT_WAIT)
			ledger_pend(l, r);
	}
}
