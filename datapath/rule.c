/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule.c - see rule.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "datapath/plan.h"
#include "datapath/rule.h"
#include "net/netns.h"

bool datapath_rule_equal(const struct rule *is, const struct rule *want)
{
	return !is->other && is->family == want->family && is->priority == want->priority &&
	       is->table == want->table && is->fwmark == want->fwmark &&
	       is->fwmask == want->fwmask && is->src.len == want->src.len &&
	       ip_equal(is->src.ip, want->src.ip);
}

static int find(struct nl *nl, const struct rule *r, bool *there, struct err *e)
{
	AUTO_FREE struct rule *all = NULL;
	size_t count;

	if (rule_list(nl, r->family, &all, &count, e) < 0)
		return -1;
	*there = false;
	for (size_t i = 0; i < count; i++)
		*there = *there || datapath_rule_equal(&all[i], r);
	return 0;
}

int datapath_rule_add(struct nl *nl, const struct rule *r, bool *made, struct err *e)
{
	bool there;
	struct err mine;

	if (!e)
		e = &mine;
	if (rule_add(nl, r, e) == 0) {
		*made = true;
		return 0;
	}
	if (e->sys != EEXIST || find(nl, r, &there, e) < 0)
		return -1;
	if (there) {
		*made = false;
		return 0;
	}
	return err_set(e, ERR_EXISTS,
	               "rule %u to table %u: a rule of that priority and table, but with other "
	               "conditions, stands in its way",
	               r->priority, r->table);
}

int datapath_rule_add_node(struct nl *nl, const struct rule *r, bool *made, struct err *e)
{
	AUTO_FREE struct route *routes = NULL;
	size_t count;
	bool there;

	if (find(nl, r, &there, e) < 0)
		return -1;
	if (there) {
		*made = false;
		return 0;
	}
	if (route_list(nl, r->family, r->table, &routes, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (routes[i].dst.len < ip_bits(routes[i].dst.ip))
			return err_set(e, ERR_EXISTS,
			               "table %u has a route to %s, so it is another program's, "
			               "and rule %u would send everything there: choose another "
			               "hostRuleTable",
			               r->table, cidr_str(routes[i].dst).s, r->priority);
	return datapath_rule_add(nl, r, made, e);
}

/* The kernel deletes the first that fits: one with more conditions of the same priority and table,
 * which is somebody's, fits as well. */
static bool is_alone(struct nl *nl, const struct rule *rule)
{
	AUTO_FREE struct rule *all = NULL;
	size_t count, fit = 0, others = 0;

	if (rule_list(nl, rule->family, &all, &count, NULL) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (all[i].priority != rule->priority || all[i].table != rule->table)
			continue;
		fit++;
		others += all[i].other || all[i].src.len || all[i].fwmask;
	}
	return fit == 1 && !others;
}

static bool is_empty(struct nl *nl, int family, uint32_t table)
{
	AUTO_FREE struct route *routes = NULL;
	size_t count;

	return route_list(nl, family, table, &routes, &count, NULL) == 0 && !count;
}

bool datapath_rule_drop(struct nl *nl, int ns, int family, uint32_t table)
{
	const struct rule rule = { .family = family,
		                   .priority = COORDINATOR_RULE_PRIORITY,
		                   .table = table };
	bool gone;

	/* who was the last to take its routes away sees that for sure */
	if (!is_empty(nl, family, table))
		return false;
	if (ns < 0 && netns_home(&ns, NULL) < 0)
		return false;
	if (!netns_try_lock(ns))
		return false;
	gone = is_empty(nl, family, table) && is_alone(nl, &rule) && rule_del(nl, &rule, NULL) == 0;
	netns_unlock(ns);
	return gone;
}
