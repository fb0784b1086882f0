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

/*
 * One rule: a list of names, or else a selector.  what: "node", with its name; rule: the selector's
 * field.  The reason names what was found.
 */
struct rule {
	const char *what, *name, *rule;
	char *const *names;
	size_t n_names;
	const struct selector *affinity;
	const struct labels *labels;
};

static bool admits(const struct pool *p, const struct rule *r, struct str *why)
{
	AUTO_STR found = STR_INIT;
	const char *name = r->name && *r->name ? r->name : "(none)";

	if (r->n_names) {
		if (listed(r->names, r->n_names, name))
			return true;
		str_addf(why, "%s is not for %s %s", p->name, r->what, name);
		return false;
	}
	if (!r->affinity->set)
		return true;
	if (!r->labels)
		str_addf(why, "%s has a %s, and the labels of %s %s are not known", p->name,
		         r->rule, r->what, name);
	else if (!selector_matches(r->affinity, r->labels, &found))
		str_addf(why, "%s is not for %s %s by its %s: %s", p->name, r->what, name, r->rule,
		         found.data);
	else
		return true;
	return false;
}

static bool admits_network(const struct pool *p, const struct pool_request *r, struct str *why)
{
	if (!p->n_multus_names)
		return true;
	if (!r->network)
		str_addf(why, "%s is for certain networks, and the pod's is not known: %s", p->name,
		         r->network_error ? r->network_error : "no default network is configured");
	else if (!network_listed(p, r))
		str_addf(why, "%s is not for network %s", p->name, r->network);
	else
		return true;
	return false;
}

static bool is_ready(const struct pool *p, struct str *why)
{
	if (!p->bad && !p->not_ready)
		return true;
	str_addf(why, "%s is not ready: %s", p->name, p->bad ? p->bad : p->not_ready);
	return false;
}

bool pool_is_meant_for(const struct pool *p, const struct pool_request *r, struct str *why)
{
	const struct rule rules[] = {
		{ "node", r->node, "nodeAffinity", p->node_names, p->n_node_names,
		  &p->node_affinity, r->node_labels },
		{ "namespace", r->ns, "namespaceAffinity", p->namespace_names, p->n_namespace_names,
		  &p->namespace_affinity, r->namespace_labels },
		{ "pod", r->pod, "podAffinity", NULL, 0, &p->pod_affinity, r->pod_labels },
	};

	if (p->family != r->family) {
		str_addf(why, "%s is IPv%d", p->name, p->family);
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (!admits(p, &rules[i], why))
			return false;
	return admits_network(p, r, why);
}

bool pool_serves(const struct pool *p, const struct pool_request *r, struct str *why)
{
	if (p->terminating || p->disabled) {
		str_addf(why, "%s is %s", p->name, p->terminating ? "being deleted" : "disabled");
		return false;
	}
	/* no family, which is because it is bad */
	return (!p->family || pool_is_meant_for(p, r, why)) && is_ready(p, why);
}

char *pool_remedy(const struct pool *p, const struct pool_request *r)
{
	AUTO_STR why = STR_INIT;

	if (p->family && !pool_is_meant_for(p, r, &why))
		return NULL;
	if (p->terminating)
		return xasprintf(
			"name another IPPool than %s, or make it again when it is gone: "
			"it stays until its addresses are given back",
			p->name);
	if (p->disabled)
		return xasprintf("set spec.disable of IPPool %s to false", p->name);
	if (p->unreadable)
		return xasprintf("make status.allocatedIPs of IPPool %s a JSON object again",
		                 p->name);
	if (p->foreign)
		return xasprintf("take out of status.allocatedIPs of IPPool %s what is no address",
		                 p->name);
	if (pool_gives_gateway(p))
		return xasprintf(
			"take the gateway %s out of spec.ips of IPPool %s, or list it in "
			"its spec.excludeIPs",
			ip_str(p->gateway).s, p->name);
	if (p->bad)
		return xasprintf("correct the spec of IPPool %s", p->name);
	return p->not_ready
	               ? xasprintf("mend why the condition Ready of IPPool %s is False", p->name)
	               : NULL;
}

bool pool_is_for(const struct pool *p, const char *node)
{
	return !p->n_node_names || listed(p->node_names, p->n_node_names, node);
}

bool pool_is_near(const struct pool *p, const struct pool_request *r)
{
	AUTO_STR why = STR_INIT;

	if (!pool_is_for(p, r->node))
		return false;
	if (!p->n_node_names && p->node_affinity.set && r->node_labels &&
	    !selector_matches(&p->node_affinity, r->node_labels, &why))
		return false;
	return !p->n_multus_names || !r->network || network_listed(p, r);
}

enum pool_needs pool_needs(const struct pool *p)
{
	enum pool_needs needs = 0;

	if (p->node_affinity.set && !p->n_node_names)
		needs |= POOL_NEEDS_NODE_LABELS;
	if (p->namespace_affinity.set && !p->n_namespace_names)
		needs |= POOL_NEEDS_NAMESPACE_LABELS;
	if (p->n_multus_names)
		needs |= POOL_NEEDS_NETWORK;
	return needs;
}

/* What it has of what makes a pool special; the most telling is the highest bit. */
static int rank(const struct pool *p)
{
	return p->pod_affinity.set << 5 | !!p->n_node_names << 4 | p->node_affinity.set << 3 |
	       !!p->n_namespace_names << 2 | p->namespace_affinity.set << 1 | !!p->n_multus_names;
}

int pool_compare_default(const struct pool *a, const struct pool *b)
{
	int difference = rank(b) - rank(a);

	return difference ? difference : strcmp(a->name, b->name);
}

/*
 * The first usable address at or after `at` that does not rest.  Jumps over excluded and reserved
 * ranges and recorded and resting addresses; each step passes at least one of them, so it ends
 * whatever the size of the ranges.
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
		if (!pool_find(p, at) && !pool_is_resting(p, at)) {
			*out = at;
			return true;
		}
		if (!ip_next(&at))
			return false;
	}
}

/* The usable one that was given back first. */
static bool longest_rest(const struct pool *p, const struct ip_set *reserved, struct ip *out)
{
	const struct pool_rest *best = NULL;

	for (size_t i = 0; i < p->n_rests; i++) {
		const struct pool_rest *r = &p->rests[i];

		if ((!best || r->order < best->order) && ip_set_contains(&p->ips, r->ip) &&
		    !ip_set_contains(&p->excluded, r->ip) &&
		    !(reserved && ip_set_contains(reserved, r->ip)) && !pool_find(p, r->ip))
			best = r;
	}
	if (best)
		*out = best->ip;
	return best != NULL;
}

/* "key":"value", with its quotes escaped. */
static size_t member_size(const char *key, const char *value)
{
	return *value ? strlen(key) + strlen(value) + 4 * strlen("\\\"") + strlen(":,") : 0;
}

/* At most, unless a reason is full of quotes. */
static size_t record_size(const struct pool_record *r)
{
	return 2 * strlen("\\\"") + strlen(ip_str(r->ip).s) + strlen(":{},") +
	       member_size("pod", r->pod) + member_size("podUid", r->uid) +
	       member_size("nic", r->nic) + member_size("cid", r->cid) +
	       member_size("node", r->node) +
	       (r->keep ? member_size("keep", "VirtualMachineInstance") : 0) +
	       member_size("conflict", r->conflict) + (*r->conflict ? 80 : 0);
}

bool pool_has_room(const struct pool *p)
{
	size_t size = p->foreign ? 2 * strlen(p->foreign) : 0;

	for (size_t i = 0; i < p->n_records && p->n_records > POOL_RECORDS_MAX / 4; i++)
		size += record_size(&p->records[i]);
	return p->n_records < POOL_RECORDS_MAX && size < POOL_TEXT_MAX;
}

int pool_pick(const struct pool *p, const struct ip_set *reserved, struct ip *out, struct err *e)
{
	struct ip start, zero = { .family = (uint8_t)p->family };

	if (!pool_has_room(p))
		return err_set(e, ERR_EXHAUSTED,
		               "all IP addresses used out: %s has %zu records, and there is no "
		               "room for more",
		               p->name, p->n_records);
	start = p->last;
	if (start.family == p->family && ip_next(&start) && next_free(p, reserved, start, out))
		return 0;
	if (next_free(p, reserved, zero, out) || longest_rest(p, reserved, out))
		return 0;
	return err_set(e, ERR_EXHAUSTED, "all IP addresses used out: %s", p->name);
}
