/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.c - see steps.h.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "datapath/rule.h"
#include "plugins/steps.h"

#define IP6_METRIC 1024 /* of IPv6 routes that are given none */

enum what {
	MADE_LINK,
	SET_SYSCTL,
	SET_ALIAS,
	SET_UP,
	SET_MAC,
	SET_TXQLEN,
	ADDED_ADDR,
	ADDED_NEIGH,
	CHANGED_NEIGH,
	ADDED_RULE,
	ADDED_ROUTE,
	REPLACED_ROUTE,
	DELETED_ROUTE,
	DELETED_LAST_ROUTE,
};

/* One change, and what there was before. */
struct step {
	enum what what;
	int index; /* of the interface; of sysctls: the namespace */
	struct nl *nl;
	union {
		struct {
			char *key, *value;
		} sysctl;         /* owned */
		const char *name; /* borrowed */
		struct mac mac;
		uint32_t txqlen;
		struct cidr addr;
		struct {
			struct neigh neigh, old;
		};
		struct rule rule;
		struct {
			struct route route;
			const int *mine; /* borrowed */
			bool prepend;
		};
	};
};

static struct step *push(struct steps *s, enum what what, struct nl *nl, int index)
{
	s->v = xgrow(s->v, &s->cap, s->n + 1, sizeof(*s->v));
	s->v[s->n] = (struct step){ .what = what, .nl = nl, .index = index };
	return &s->v[s->n++];
}

/* By its name: that it could not be found may be why all is undone. */
static int undo_link(const struct step *t)
{
	struct link l;

	return link_get(t->nl, t->name, &l, NULL) < 0 ? -1 : link_del(t->nl, l.index, NULL);
}

static int undo(const struct step *t)
{
	switch (t->what) {
	case MADE_LINK:
		return undo_link(t);
	case SET_SYSCTL:
		return sysctl_write(t->index, t->sysctl.key, t->sysctl.value, NULL);
	case SET_ALIAS:
		break;
	case SET_UP:
		return link_set_down(t->nl, t->index, NULL);
	case SET_MAC:
		return link_set_mac(t->nl, t->index, t->mac, NULL);
	case SET_TXQLEN:
		return link_set_txqlen(t->nl, t->index, t->txqlen, NULL);
	case ADDED_ADDR:
		return addr_del(t->nl, t->index, t->addr, NULL);
	case ADDED_NEIGH:
		return neigh_del(t->nl, t->index, t->neigh.ip, NULL);
	case CHANGED_NEIGH:
		return neigh_replace(t->nl, &t->old, NULL);
	case ADDED_RULE:
		return rule_del(t->nl, &t->rule, NULL);
	case ADDED_ROUTE:
		return route_del(t->nl, &t->route, NULL);
	case REPLACED_ROUTE:
		return route_add(t->nl, &t->route, ROUTE_REPLACE, NULL);
	case DELETED_ROUTE:
		return route_add(t->nl, &t->route, ROUTE_PREPEND, NULL);
	case DELETED_LAST_ROUTE:
		return route_add(t->nl, &t->route, ROUTE_APPEND, NULL);
	}
	return 0;
}

/* What was not made yet. */
static void forget_gathered(struct steps *s)
{
	if (!s->gathers)
		return;
	nl_forget(s->gathers);
	s->gathers = NULL;
	s->n = s->from;
}

void steps_undo(struct steps *s)
{
	forget_gathered(s);
	for (size_t i = s->n; i > 0; i--)
		IGNORE(undo(&s->v[i - 1]));
	steps_release(s);
}

void steps_release(struct steps *s)
{
	forget_gathered(s);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].what == SET_SYSCTL) {
			free(s->v[i].sysctl.key);
			free(s->v[i].sysctl.value);
		}
	free(s->v);
	*s = (struct steps){ .v = NULL };
}

void steps_begin(struct steps *s, struct nl *nl)
{
	nl_gather(nl);
	s->gathers = nl;
	s->from = s->n;
}

/* One that was refused. */
static int again(struct steps *s, const struct step *t, struct err *e)
{
	switch (t->what) {
	case SET_ALIAS:
		return step_alias(s, t->nl, t->index, t->name, e);
	case SET_UP:
		return step_up(s, t->nl, &(struct link){ .index = t->index }, e);
	case ADDED_ADDR:
		return step_addr(s, t->nl, t->index, t->addr, e);
	case ADDED_NEIGH:
	case CHANGED_NEIGH:
		return step_neigh(s, t->nl, &t->neigh, &t->old, t->what == CHANGED_NEIGH, e);
	case ADDED_RULE:
		return step_rule(s, t->nl, &t->rule, e);
	case ADDED_ROUTE:
		return t->prepend ? step_route_prepend(s, t->nl, &t->route, e)
		                  : step_route(s, t->nl, &t->route, t->mine, e);
	default:
		return step_route_del(s, t->nl, &t->route, t->what == DELETED_LAST_ROUTE, e);
	}
}

/* What they would have said had they been sent one by one. */
static int name_first(const struct step *t, struct err *e)
{
	switch (t->what) {
	case SET_ALIAS:
	case SET_UP:
		return err_wrap(e, "set up interface %d", t->index);
	case ADDED_ADDR:
		return err_wrap(e, "add address %s", cidr_str(t->addr).s);
	case ADDED_NEIGH:
	case CHANGED_NEIGH:
		return err_wrap(e, "set neighbour %s", ip_str(t->neigh.ip).s);
	case ADDED_RULE:
		return err_wrap(e, "add rule %u to table %u", t->rule.priority, t->rule.table);
	default:
		return err_wrap(e, "change route to %s in table %u", cidr_str(t->route.dst).s,
		                t->route.table);
	}
}

int steps_commit(struct steps *s, struct err *e)
{
	struct step refused[NL_GATHER_MAX];
	bool failed[NL_GATHER_MAX];
	size_t n = s->n - s->from, n_refused = 0;
	struct nl *nl = s->gathers;

	s->gathers = NULL;
	s->n = s->from;
	if (nl_flush(nl, failed, n, e) < 0)
		return name_first(&s->v[s->from], e);
	for (size_t i = 0; i < n; i++) {
		if (failed[i])
			refused[n_refused++] = s->v[s->from + i];
		else
			s->v[s->n++] = s->v[s->from + i];
	}
	for (size_t i = 0; i < n_refused; i++)
		if (again(s, &refused[i], e) < 0)
			return -1;
	return 0;
}

/* For one more step. */
static int make_room(struct steps *s, struct err *e)
{
	struct nl *nl = s->gathers;

	if (!nl || s->n - s->from < NL_GATHER_MAX)
		return 0;
	if (steps_commit(s, e) < 0)
		return -1;
	steps_begin(s, nl);
	return 0;
}

void step_made_link(struct steps *s, struct nl *nl, const char *name)
{
	push(s, MADE_LINK, nl, 0)->name = name;
}

int step_sysctls(struct steps *s, int ns, struct sysctl *v, size_t n, struct err *e)
{
	int rc = sysctl_all(ns, v, n, e);

	/* also those before one that failed */
	for (size_t i = 0; i < n; i++) {
		if (v[i].written) {
			struct step *t = push(s, SET_SYSCTL, NULL, ns);

			t->sysctl.key = xstrdup(v[i].key);
			t->sysctl.value = str_take(&v[i].was);
		}
		str_release(&v[i].was);
	}
	return rc;
}

int step_alias(struct steps *s, struct nl *nl, int index, const char *alias, struct err *e)
{
	if (make_room(s, e) < 0 || link_set_alias(nl, index, alias, e) < 0)
		return -1;
	push(s, SET_ALIAS, nl, index)->name = alias;
	return 0;
}

int step_up(struct steps *s, struct nl *nl, const struct link *l, struct err *e)
{
	if (l->flags & IFF_UP)
		return 0;
	if (make_room(s, e) < 0 || link_set_up(nl, l->index, e) < 0)
		return -1;
	push(s, SET_UP, nl, l->index);
	return 0;
}

int step_mac(struct steps *s, struct nl *nl, const struct link *l, struct mac mac, struct err *e)
{
	if (l->has_mac && memcmp(&l->mac, &mac, sizeof(mac)) == 0)
		return 0;
	if (link_set_mac(nl, l->index, mac, e) < 0)
		return -1;
	push(s, SET_MAC, nl, l->index)->mac = l->mac;
	return 0;
}

int step_txqlen(struct steps *s, struct nl *nl, const struct link *l, uint32_t packets,
                struct err *e)
{
	if (l->txqlen == packets)
		return 0;
	if (link_set_txqlen(nl, l->index, packets, e) < 0)
		return -1;
	push(s, SET_TXQLEN, nl, l->index)->txqlen = l->txqlen;
	return 0;
}

int step_addr(struct steps *s, struct nl *nl, int index, struct cidr a, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	if (make_room(s, e) < 0)
		return -1;
	if (addr_add(nl, index, a, e) == 0)
		push(s, ADDED_ADDR, nl, index)->addr = a;
	else if (e->sys != EEXIST) /* that is said of the same prefix only */
		return -1;
	return 0;
}

int step_neigh(struct steps *s, struct nl *nl, const struct neigh *n, const struct neigh *there,
               size_t n_there, struct err *e)
{
	const struct neigh *old = NULL;
	struct step *t;

	for (size_t i = 0; i < n_there && !old; i++)
		if (there[i].index == n->index && ip_equal(there[i].ip, n->ip))
			old = &there[i];
	if (old && old->state == n->state && memcmp(&old->mac, &n->mac, sizeof(n->mac)) == 0)
		return 0;
	if (make_room(s, e) < 0 || neigh_replace(nl, n, e) < 0)
		return -1;
	/* what the kernel learnt it learns again */
	if (old && !(old->state & (NUD_PERMANENT | NUD_NOARP)))
		old = NULL;
	t = push(s, old ? CHANGED_NEIGH : ADDED_NEIGH, nl, n->index);
	t->neigh = *n;
	if (old)
		t->old = *old;
	return 0;
}

int step_rule(struct steps *s, struct nl *nl, const struct rule *r, struct err *e)
{
	bool made;

	if (make_room(s, e) < 0 || datapath_rule_add(nl, r, &made, e) < 0)
		return -1;
	if (made)
		push(s, ADDED_RULE, nl, 0)->rule = *r;
	return 0;
}

static uint32_t metric(const struct route *r)
{
	return r->priority || r->dst.ip.family == 4 ? r->priority : IP6_METRIC;
}

static bool same_way(const struct route *a, const struct route *b)
{
	return a->oif == b->oif && ip_equal(a->gw, b->gw) && ip_equal(a->prefsrc, b->prefsrc) &&
	       a->type == (b->type ? b->type : RTN_UNICAST);
}

static bool is_mine(const struct route *r, const int *mine)
{
	if (!mine)
		return true;
	if (r->table == RT_TABLE_MAIN)
		return r->protocol != RTPROT_KERNEL;
	for (; *mine; mine++)
		if (r->oif == *mine)
			return true;
	return false;
}

static int taken(const struct route *r, struct err *e)
{
	if (r->table == RT_TABLE_MAIN)
		return err_set(e, ERR_CONFIG,
		               "the route to %s would take the place of the pod's own subnet: "
		               "take it out of overlayPodCIDR, serviceCIDR, hijackCIDR or "
		               "policyRoutes",
		               cidr_str(r->dst).s);
	return err_set(e, ERR_EXISTS, "table %u has a route to %s already, which is another's",
	               r->table, cidr_str(r->dst).s);
}

int step_route(struct steps *s, struct nl *nl, const struct route *r, const int *mine,
               struct err *e)
{
	AUTO_FREE struct route *all = NULL;
	const struct route *old = NULL;
	struct err mine_e;
	struct step *t;
	size_t count;

	if (!e)
		e = &mine_e;
	if (make_room(s, e) < 0)
		return -1;
	if (route_add(nl, r, ROUTE_CREATE, e) == 0) {
		t = push(s, ADDED_ROUTE, nl, 0);
		t->route = *r;
		t->mine = mine;
		return 0;
	}
	if (e->sys != EEXIST)
		return -1;
	if (route_list(nl, r->dst.ip.family, r->table ? r->table : RT_TABLE_MAIN, &all, &count, e) <
	    0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (!cidr_equal_network(all[i].dst, r->dst) || metric(&all[i]) != metric(r))
			continue;
		if (same_way(&all[i], r))
			return 0;
		if (!old)
			old = &all[i];
	}
	if (old && !is_mine(old, mine))
		return taken(old, e);
	if (route_add(nl, r, ROUTE_REPLACE, e) < 0)
		return -1;
	push(s, old ? REPLACED_ROUTE : ADDED_ROUTE, nl, 0)->route = old ? *old : *r;
	return 0;
}

int step_route_prepend(struct steps *s, struct nl *nl, const struct route *r, struct err *e)
{
	struct err mine;
	struct step *t;

	if (!e)
		e = &mine;
	if (make_room(s, e) < 0)
		return -1;
	if (route_add(nl, r, ROUTE_PREPEND, e) == 0) {
		t = push(s, ADDED_ROUTE, nl, 0);
		t->route = *r;
		t->prepend = true;
	} else if (e->sys != EEXIST) { /* said of the very same */
		return -1;
	}
	return 0;
}

int step_route_del(struct steps *s, struct nl *nl, const struct route *r, bool last, struct err *e)
{
	if (make_room(s, e) < 0 || route_del(nl, r, e) < 0)
		return -1;
	push(s, last ? DELETED_LAST_ROUTE : DELETED_ROUTE, nl, 0)->route = *r;
	return 0;
}
