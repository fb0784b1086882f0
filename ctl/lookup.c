/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.c - one address in all pools, endpoints and reservations.
 */
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "ctl/lookup.h"
#include "k8s/ippool.h"
#include "pool/overlap.h"

struct pool_list {
	struct pool *v;
	size_t n;
	bool shared; /* each agent sees all of them */
};

/* The node of the pod, from its endpoint; of this very pod, not a later one of its name. */
static const char *node_of(const json *endpoints, const struct pool_record *r)
{
	json_each(ep, endpoints)
	{
		const char *ns = json_str_at(ep, "metadata", "namespace", NULL);
		const char *name = json_str_at(ep, "metadata", "name", NULL);
		const char *uid = json_str_at(ep, "status", "current", "uid", NULL);
		size_t n = ns ? strlen(ns) : 0;

		if (n && name && uid && streq(uid, r->uid) && strncmp(r->pod, ns, n) == 0 &&
		    r->pod[n] == '/' && streq(r->pod + n + 1, name))
			return json_str_at(ep, "status", "current", "node", NULL);
	}
	return NULL;
}

static void set_unless_empty(json *o, const char *key, const char *s)
{
	if (s && *s)
		json_set_str(o, key, s);
}

/* Why it yields to an older pool for the agent of that node; NULL: of one that no pool names. */
static char *overlap_at(const struct pool_list *pools, const struct pool *p, const char *node)
{
	AUTO_FREE struct contender *seen = xcalloc(pools->n, sizeof(*seen));
	char *overlap;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < pools->n; i++) {
		const struct pool *other = &pools->v[i];

		if (other == p)
			at = n;
		else if (!pools->shared && !pool_is_for(other, node ? node : ""))
			continue;
		seen[n++].p = other;
	}
	overlap_decide(seen, n, at);
	overlap = take_ptr(&seen[at].overlap);
	for (size_t i = 0; i < n; i++)
		free(seen[i].overlap);
	return overlap;
}

/* Names of the nodes whose agents may see it otherwise than others. */
static json *nodes_of(const struct pool_list *pools, const struct pool *p)
{
	json *nodes = json_new_object(); /* as a set */

	for (size_t i = 0; i < pools->n; i++) {
		const struct pool *q = p->n_node_names ? p : &pools->v[i];
		AUTO_FREE char *overlap = pool_overlap(p, q);

		for (size_t k = 0; (q == p || overlap) && k < q->n_node_names; k++)
			json_set_str(nodes, q->node_names[k], "");
		if (q == p)
			break;
	}
	return nodes;
}

/* *everywhere: on all nodes; else the text names those where it is so.  Owned, or NULL. */
static char *find_overlap(const struct pool_list *pools, const struct pool *p, bool *everywhere)
{
	AUTO_FREE char *first = NULL;
	AUTO_JSON *nodes = NULL;
	AUTO_STR text = STR_INIT;
	bool same = p->n_node_names > 0;

	if (pools->shared || !p->n_node_names)
		first = overlap_at(pools, p, NULL);
	*everywhere = first != NULL;
	if (first || pools->shared)
		return take_ptr(&first);
	nodes = nodes_of(pools, p);
	json_each(node, nodes)
	{
		AUTO_FREE char *overlap = overlap_at(pools, p, json_name(node));

		same &= overlap && (!first || streq(overlap, first));
		if (!overlap)
			continue;
		str_addf(&text, "%son node %s the pool gives nothing: %s", text.len ? "; " : "",
		         json_name(node), overlap);
		if (!first)
			first = take_ptr(&overlap);
	}
	*everywhere = same;
	if (same)
		return take_ptr(&first);
	return text.len ? str_take(&text) : NULL;
}

/* Why the pool gives no address (*useless), or not on every node; NULL: it does.  Owned. */
static char *find_problem(const struct pool_list *pools, const struct pool *p, bool *useless)
{
	AUTO_FREE char *overlap = find_overlap(pools, p, useless);
	const char *why = *useless ? overlap : NULL;

	if (p->terminating)
		why = "it is being deleted";
	else if (p->disabled)
		why = "it is disabled";
	else if (p->bad || p->not_ready)
		why = p->bad ? p->bad : p->not_ready;
	*useless = why != NULL;
	return why ? xasprintf("the pool gives nothing: %s", why) : take_ptr(&overlap);
}

static const char *state_of(const struct pool *p, const struct pool_record *r, struct ip ip,
                            bool reserved, bool useless)
{
	if (r)
		return *r->conflict ? "conflict" : "allocated";
	if (ip_set_contains(&p->excluded, ip))
		return "excluded";
	if (reserved)
		return "reserved";
	return useless ? "unused" : "free";
}

static void add_record(json *o, const struct pool_record *r, const json *endpoints)
{
	set_unless_empty(o, "pod", r->pod);
	set_unless_empty(o, "podUid", r->uid);
	set_unless_empty(o, "nic", r->nic);
	set_unless_empty(o, "containerId", r->cid);
	set_unless_empty(o, "node", *r->node ? r->node : node_of(endpoints, r));
	set_unless_empty(o, "keep", ippool_keep_name(r->keep));
	set_unless_empty(o, "reason", r->conflict);
	if (*r->conflict && r->since) {
		char since[DATE_SIZE];

		date_text(r->since, since);
		json_set_str(o, "since", since);
	}
}

static json *pool_entry(const struct pool_list *pools, const struct pool *p,
                        const struct pool_record *r, struct ip ip, bool reserved,
                        const json *endpoints)
{
	bool useless;
	AUTO_FREE char *problem = find_problem(pools, p, &useless);
	json *o = json_new_object();

	json_set_str(o, "pool", p->name);
	if (p->subnet.ip.family)
		json_set_str(o, "subnet", cidr_str(p->subnet).s);
	if (p->gateway.family)
		json_set_str(o, "gateway", ip_str(p->gateway).s);
	json_set_str(o, "state", state_of(p, r, ip, reserved, useless));
	if (r)
		add_record(o, r, endpoints);
	if (problem)
		json_set_str(o, "problem", problem);
	else if (r && !ip_set_contains(&p->ips, ip))
		json_set_str(o, "problem", "the address is not among the pool's ips any more");
	return o;
}

static bool is_reserved(const json *reserved, struct ip ip, json *names)
{
	json_each(o, reserved)
	{
		const char *name = json_str_at(o, "metadata", "name", NULL);
		AUTO_IP_SET set = IP_SET_INIT;

		IGNORE(reservedip_read(o, &set, NULL)); /* a bad entry: what could be read counts */
		if (name && ip_set_contains(&set, ip))
			json_append_str(names, name);
	}
	return json_first(names) != NULL;
}

static struct pool_list read_pools(const json *objects, bool shared)
{
	struct pool_list list = { xcalloc(json_count(objects), sizeof(*list.v)), 0, shared };

	json_each(o, objects)
	{
		list.n += ippool_read(o, &list.v[list.n], NULL) == 0;
	}
	return list;
}

static void pool_list_release(struct pool_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		pool_release(&list->v[i]);
	free(list->v);
}

json *lookup_report(const json *objects, const json *reserved, const json *endpoints, bool shared,
                    struct ip ip)
{
	struct pool_list pools = read_pools(objects, shared);
	json *report = json_new_object();
	json *found = json_new_array(), *names = json_new_array();
	json *subnets = json_new_array(), *gateways = json_new_array();
	bool taken = is_reserved(reserved, ip, names);

	for (size_t i = 0; i < pools.n; i++) {
		const struct pool *p = &pools.v[i];
		const struct pool_record *r = pool_find(p, ip);

		if (r || ip_set_contains(&p->ips, ip))
			json_append(found, pool_entry(&pools, p, r, ip, taken, endpoints));
		else if (p->subnet.ip.family && cidr_contains(p->subnet, ip))
			json_append_str(subnets, p->name);
		if (ip_equal(p->gateway, ip))
			json_append_str(gateways, p->name);
	}
	pool_list_release(&pools);
	json_set_str(report, "address", ip_str(ip).s);
	json_set(report, "pools", found);
	json_set(report, "reserved", names);
	json_set(report, "subnets", subnets);
	json_set(report, "gateways", gateways);
	return report;
}

bool lookup_found(const json *report)
{
	return json_first(json_get(report, "pools")) != NULL;
}

static void add_names(const json *names, const char *words, struct str *out)
{
	if (!json_first(names))
		return;
	str_add(out, words);
	json_each(n, names)
	{
		str_addf(out, "%s %s", n == json_first(names) ? "" : ",", json_text(n));
	}
	str_addc(out, '\n');
}

static void add_field(const json *entry, const char *key, const char *label, struct str *out)
{
	const char *s = json_str_at(entry, key, NULL);

	if (s)
		str_addf(out, "  %-11s%s\n", label, s);
}

void lookup_text(const json *report, struct str *out)
{
	const char *address = json_str_at(report, "address", NULL);

	json_each(entry, json_get(report, "pools"))
	{
		const char *state = json_str_at(entry, "state", NULL);

		if (streq(state, "conflict"))
			state = "held back: somebody else has it";
		else if (streq(state, "unused"))
			state = "free, and not given";
		str_addf(out, "%s is %s\n", address, state);
		add_field(entry, "pool", "pool", out);
		add_field(entry, "subnet", "subnet", out);
		add_field(entry, "pod", "pod", out);
		add_field(entry, "podUid", "pod uid", out);
		add_field(entry, "node", "node", out);
		add_field(entry, "nic", "interface", out);
		add_field(entry, "containerId", "container", out);
		add_field(entry, "keep", "kept by", out);
		add_field(entry, "reason", "reason", out);
		add_field(entry, "since", "since", out);
		add_field(entry, "problem", "note", out);
	}
	if (!lookup_found(report))
		str_addf(out, "%s is in no pool\n", address);
	add_names(json_get(report, "reserved"), "  reserved by", out);
	add_names(json_get(report, "gateways"), "  gateway of", out);
	if (!lookup_found(report))
		add_names(json_get(report, "subnets"), "  inside the subnet, but not among ips, of",
		          out);
}
