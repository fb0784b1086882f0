/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tune.c - see tune.h.
 */
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "datapath/rule.h"
#include "datapath/tune.h"

#define LATER_MAX 800   /* what a name may add to the number of a table */
#define IP6_METRIC 1024 /* of IPv6 routes that are given none */

void tune_moves_release(struct tune_moves *m)
{
	free(m->v);
	*m = (struct tune_moves){ .v = NULL };
}

static bool contains(const struct ip *v, size_t n, struct ip a)
{
	for (size_t i = 0; i < n; i++)
		if (ip_equal(v[i], a))
			return true;
	return false;
}

/* A rule that sends one address to a table, and has one of our priorities. */
static bool is_from(const struct rule *r)
{
	return !r->other && r->src.ip.family && r->src.len == ip_bits(r->src.ip) &&
	       r->priority >= TUNE_PRIORITY_MIN && r->priority <= TUNE_PRIORITY_MAX;
}

static bool in_use(const struct tune_there *t, uint32_t table)
{
	for (size_t i = 0; i < t->n_routes; i++)
		if (t->routes[i].table == table)
			return true;
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].table == table)
			return true;
	return false;
}

/* "net2" is 2, and "storage" 1. */
static uint32_t number_of(const char *name)
{
	size_t end = strlen(name), start = end;
	uint32_t n;

	while (start && name[start - 1] >= '0' && name[start - 1] <= '9')
		start--;
	return parse_u32(name + start, 1, LATER_MAX, &n, NULL) == 0 ? n : 1;
}

uint32_t tune_table(const struct tune_there *t, const char *ifname, bool first,
                    const struct ip *ips, size_t n_ips)
{
	uint32_t table = COORDINATOR_FIRST_TABLE + (first ? 0 : number_of(ifname));

	for (size_t i = 0; i < t->n_rules; i++)
		if (is_from(&t->rules[i]) && contains(ips, n_ips, t->rules[i].src.ip) &&
		    t->rules[i].table >= COORDINATOR_FIRST_TABLE)
			return t->rules[i].table;
	while (table == RT_TABLE_DEFAULT || table == RT_TABLE_MAIN || table == RT_TABLE_LOCAL ||
	       in_use(t, table))
		table++;
	return table;
}

struct tuner {
	const struct tune_there *t;
	const struct tune_facts *f;
	struct tune_moves *out;
};

static struct tune_move *move(struct tuner *u, enum tune_what what)
{
	struct tune_moves *m = u->out;

	m->v = xgrow(m->v, &m->cap, m->n + 1, sizeof(*m->v));
	m->v[m->n] = (struct tune_move){ .what = what };
	return &m->v[m->n++];
}

static uint32_t metric(const struct route *r)
{
	return r->priority || r->dst.ip.family == 4 ? r->priority : IP6_METRIC;
}

/* To the same destination: IPv4 has one of them in a table, the first of which counts. */
static bool same_key(const struct route *a, const struct route *b)
{
	return a->table == b->table && a->dst.ip.family == b->dst.ip.family &&
	       cidr_equal_network(a->dst, b->dst) && metric(a) == metric(b);
}

static bool same_way(const struct route *a, const struct route *b)
{
	return a->oif == b->oif && ip_equal(a->gw, b->gw) && ip_equal(a->prefsrc, b->prefsrc);
}

/* Routes that can be copied, and mean something in another table. */
static bool is_movable(const struct route *r)
{
	return r->type == RTN_UNICAST && !r->other &&
	       !(r->dst.len && (ip_is_link_local(r->dst.ip) || ip_is_multicast(r->dst.ip)) &&
	         r->dst.ip.family == 6);
}

static bool is_default_of(const struct route *r, int index, uint8_t family)
{
	return r->oif == index && r->dst.ip.family == family && !r->dst.len && is_movable(r);
}

/* A copy of r in that table, unless it has it. */
static void copy(struct tuner *u, const struct route *r, uint32_t table)
{
	enum tune_what what = TUNE_ADD;
	struct route c = *r;

	c.table = table;
	c.protocol = 0; /* ours now, be it the kernel's there */
	c.multipath = false;
	for (size_t i = 0; i < u->t->n_routes; i++)
		if (same_key(&u->t->routes[i], &c) && same_way(&u->t->routes[i], &c))
			return;
	for (size_t i = 0; i < u->out->n; i++) {
		if (u->out->v[i].what == TUNE_RULE || !same_key(&u->out->v[i].route, &c))
			continue;
		if (c.dst.ip.family == 4 || same_way(&u->out->v[i].route, &c))
			return;
		what = TUNE_PREPEND;
	}
	move(u, table == RT_TABLE_MAIN ? TUNE_PREPEND : what)->route = c;
}

static void copy_all(struct tuner *u, int index, uint32_t table)
{
	for (size_t i = 0; i < u->t->n_routes; i++) {
		const struct route *r = &u->t->routes[i];

		if (r->oif == index && r->table == RT_TABLE_MAIN && is_movable(r))
			copy(u, r, table);
	}
}

/* Somebody's rule that is not of this table has the priority; or one of this run. */
static bool is_taken(struct tuner *u, uint32_t priority, uint32_t table)
{
	for (size_t i = 0; i < u->t->n_rules; i++)
		if (u->t->rules[i].priority == priority && u->t->rules[i].table != table)
			return true;
	for (size_t i = 0; i < u->out->n; i++)
		if (u->out->v[i].what == TUNE_RULE && u->out->v[i].rule.priority == priority &&
		    u->out->v[i].rule.table != table)
			return true;
	return false;
}

static int priority_of(struct tuner *u, uint32_t table, uint32_t *out, struct err *e)
{
	/* tables from 100 on count priorities down from 999 */
	uint32_t usual = TUNE_PRIORITY_MAX + COORDINATOR_REPLY_TABLE - table;

	for (size_t i = 0; i < u->t->n_rules; i++)
		if (is_from(&u->t->rules[i]) && u->t->rules[i].table == table) {
			*out = u->t->rules[i].priority;
			return 0;
		}
	if (usual < TUNE_PRIORITY_MIN || usual > TUNE_PRIORITY_MAX)
		usual = TUNE_PRIORITY_MAX;
	for (uint32_t i = 0; i <= TUNE_PRIORITY_MAX - TUNE_PRIORITY_MIN; i++) {
		uint32_t p = usual - i;

		if (p < TUNE_PRIORITY_MIN)
			p += TUNE_PRIORITY_MAX - TUNE_PRIORITY_MIN + 1;
		if (!is_taken(u, p, table)) {
			*out = p;
			return 0;
		}
	}
	return err_set(e, ERR_CONFIG, "no priority from %d to %d is free for a rule in the pod",
	               TUNE_PRIORITY_MIN, TUNE_PRIORITY_MAX);
}

static int send_to_table(struct tuner *u, const struct tune_nic *nic, struct err *e)
{
	uint32_t priority;

	if (priority_of(u, nic->table, &priority, e) < 0)
		return -1;
	for (size_t i = 0; i < nic->n_ips; i++) {
		/* what is marked goes back where it came from, and its rule comes later */
		struct rule r = { .family = nic->ips[i].family,
			          .priority = priority,
			          .table = nic->table,
			          .fwmask = u->f->overlay ? 0 : COORDINATOR_MARK,
			          .src = cidr_host(nic->ips[i]) };
		bool there = false;

		for (size_t k = 0; k < u->t->n_rules && !there; k++)
			there = datapath_rule_equal(&u->t->rules[k], &r);
		if (!there)
			move(u, TUNE_RULE)->rule = r;
	}
	return 0;
}

/* Its default route of that family in main, or with elsewhere in another table; or NULL. */
static const struct route *default_of(struct tuner *u, int index, uint8_t family, bool elsewhere)
{
	for (size_t i = 0; i < u->t->n_routes; i++) {
		const struct route *r = &u->t->routes[i];

		if (is_default_of(r, index, family) && (r->table != RT_TABLE_MAIN) == elsewhere)
			return r;
	}
	return NULL;
}

/* The NIC whose default routes of that family main is to have. */
static int choose_owner(struct tuner *u, uint8_t family)
{
	const struct tune_facts *f = u->f;
	int holder = 0;

	if (f->wanted &&
	    (default_of(u, f->wanted, family, false) || default_of(u, f->wanted, family, true)))
		return f->wanted;
	if (f->first.index != f->nic.index && default_of(u, f->first.index, family, false))
		return f->first.index;
	for (size_t i = 0; i < u->t->n_routes; i++) {
		const struct route *r = &u->t->routes[i];

		if (r->table == RT_TABLE_MAIN && r->oif != f->nic.index &&
		    is_default_of(r, r->oif, family) && (!holder || r->oif < holder))
			holder = r->oif;
	}
	return holder ? holder : f->nic.index;
}

static void leave_main(struct tuner *u, int owner, uint8_t family)
{
	bool behind = false;

	for (size_t i = 0; i < u->t->n_routes; i++) {
		const struct route *r = &u->t->routes[i];

		if (r->table != RT_TABLE_MAIN || !is_default_of(r, r->oif, family))
			continue;
		if (r->oif == owner) {
			behind = true;
			continue;
		}
		/* IPv4 cannot lose one nexthop of several; and others' have nowhere to go to */
		if ((r->multipath && family == 4) ||
		    (r->oif != u->f->nic.index && r->oif != u->f->first.index &&
		     !default_of(u, r->oif, family, true)))
			continue;
		move(u, behind ? TUNE_DEL_LAST : TUNE_DEL)->route = *r;
	}
}

static void place_defaults(struct tuner *u, int owner, uint8_t family)
{
	if (!default_of(u, owner, family, false))
		for (size_t i = 0; i < u->t->n_routes; i++)
			if (u->t->routes[i].table != RT_TABLE_MAIN &&
			    is_default_of(&u->t->routes[i], owner, family))
				copy(u, &u->t->routes[i], RT_TABLE_MAIN);
	leave_main(u, owner, family);
}

int tune_make(const struct tune_there *t, const struct tune_facts *f, struct tune_moves *out,
              struct err *e)
{
	AUTO_TUNE_MOVES moves = { .v = NULL };
	struct tuner u = { t, f, &moves };

	copy_all(&u, f->nic.index, f->nic.table);
	if (f->first.index && f->first.index != f->nic.index) {
		copy_all(&u, f->first.index, f->first.table);
		if (f->veth)
			copy_all(&u, f->veth, f->first.table);
		if (send_to_table(&u, &f->first, e) < 0)
			return -1;
	}
	if (send_to_table(&u, &f->nic, e) < 0)
		return -1;
	for (uint8_t family = 4; family <= 6; family += 2)
		place_defaults(&u, choose_owner(&u, family), family);
	*out = moves;
	moves = (struct tune_moves){ .v = NULL };
	return 0;
}

/* A rule of ours leads there. */
static bool is_of_a_nic(const struct tune_there *t, uint32_t table)
{
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].table == table && is_from(&t->rules[i]))
			return true;
	return false;
}

/* The NIC whose default routes of that family main is to have when this one has gone; 0: it had
 * none there, or nobody has one. */
static int choose_heir(struct tuner *u, uint8_t family)
{
	const struct tune_facts *f = u->f;
	bool had = !f->nic.index;
	int heir = 0;

	for (size_t i = 0; i < u->t->n_routes; i++) {
		const struct route *r = &u->t->routes[i];

		if (!is_default_of(r, r->oif, family))
			continue;
		if (r->oif == f->nic.index) {
			had = had || r->table == RT_TABLE_MAIN;
			continue;
		}
		if (r->table == RT_TABLE_MAIN)
			return 0;
		if (is_of_a_nic(u->t, r->table) && (!heir || r->oif == f->first.index ||
		                                    (heir != f->first.index && r->oif < heir)))
			heir = r->oif;
	}
	return had ? heir : 0;
}

void tune_leave(const struct tune_there *t, int nic, int first, struct tune_moves *out)
{
	const struct tune_facts f = { .nic = { .index = nic }, .first = { .index = first } };
	struct tuner u = { t, &f, out };

	for (uint8_t family = 4; family <= 6; family += 2) {
		int heir = choose_heir(&u, family);

		if (heir)
			place_defaults(&u, heir, family);
	}
}
