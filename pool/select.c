/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.c - which pools serve a request, in which order, and which address one gives.
 */
#include <string.h>

#include "pool/pool.h"

static bool listed(char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(names[i], name))
			return true;
	return false;
}

/* multusName entries without a namespace are in the agent's. */
static bool network_listed(const struct pool *p, const struct pool_request *r)
{
	for (size_t i = 0; i < p->n_multus_names; i++) {
		const char *want = p->multus_names[i];
		AUTO_FREE char *full = strchr(want, '/')
		                               ? xstrdup(want)
		                               : xasprintf("%s/%s", r->agent_namespace, want);

		if (streq(full, r->network))
			return true;
	}
	return false;
}

bool pool_serves(const struct pool *p, const struct pool_request *r, struct str *why)
{
	if (p->terminating)
		str_addf(why, "%s is being deleted", p->name);
	else if (p->disabled)
		str_addf(why, "%s is disabled", p->name);
	else if (p->family != r->family)
		str_addf(why, "%s is IPv%d", p->name, p->family);
	else if (p->n_node_names && !listed(p->node_names, p->n_node_names, r->node))
		str_addf(why, "%s is not for node %s", p->name, r->node);
	else if (p->n_multus_names && !r->network)
		str_addf(why, "%s is for certain networks, and the pod's is not known: %s", p->name,
		         r->network_error ? r->network_error : "no default network is configured");
	else if (p->n_multus_names && !network_listed(p, r))
		str_addf(why, "%s is not for network %s", p->name, r->network);
	else if (p->bad)
		str_addf(why, "%s is not ready: %s", p->name, p->bad);
	else
		return true;
	return false;
}

int pool_compare_default(const struct pool *a, const struct pool *b)
{
	if (!a->n_node_names != !b->n_node_names)
		return a->n_node_names ? -1 : 1;
	if (!a->n_multus_names != !b->n_multus_names)
		return a->n_multus_names ? -1 : 1;
	return strcmp(a->name, b->name);
}

/*
 * The first usable address at or after `at`.  Jumps over excluded and reserved ranges and recorded
 * addresses; each step passes at least one of them, so it ends whatever the size of the ranges.
 */
static bool next_free(const struct pool *p, const struct ip_set *reserved, struct ip at,
                      struct ip *out)
{
	for (;;) {
		const struct ip_set *taken[] = { &p->excluded, reserved };
		bool jumped = false;

		if (!ip_set_next(&p->ips, at, &at))
			return false;
		for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
			for (size_t j = 0; taken[i] && j < taken[i]->n; j++) {
				if (!ip_range_contains(taken[i]->v[j], at))
					continue;
				at = taken[i]->v[j].last;
				if (!ip_next(&at))
					return false;
				jumped = true;
			}
		}
		if (jumped)
			continue;
		if (!pool_find(p, at)) {
			*out = at;
			return true;
		}
		if (!ip_next(&at))
			return false;
	}
}

int pool_pick(const struct pool *p, const struct ip_set *reserved, struct ip *out, struct err *e)
{
	struct ip start, zero = { .family = (uint8_t)p->family };

	if (p->n_records >= POOL_RECORDS_MAX)
		return err_set(
			e, ERR_EXHAUSTED,
			"all IP addresses used out: %s has %zu records, the most a pool may have",
			p->name, p->n_records);
	start = p->last;
	if (start.family == p->family && ip_next(&start) && next_free(p, reserved, start, out))
		return 0;
	if (next_free(p, reserved, zero, out))
		return 0;
	return err_set(e, ERR_EXHAUSTED, "all IP addresses used out: %s", p->name);
}
