/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.c - one address in all pools, endpoints and reservations.
 */
#include <string.h>

#include "base/date.h"
#include "ctl/lookup.h"
#include "k8s/ippool.h"

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

static const char *state_of(const struct pool *p, const struct pool_record *r, struct ip ip,
                            bool reserved)
{
	if (r)
		return *r->conflict ? "conflict" : "allocated";
	if (ip_set_contains(&p->excluded, ip))
		return "excluded";
	return reserved ? "reserved" : "free";
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

static json *pool_entry(const struct pool *p, const struct pool_record *r, struct ip ip,
                        bool reserved, const json *endpoints)
{
	json *o = json_new_object();

	json_set_str(o, "pool", p->name);
	if (p->subnet.ip.family)
		json_set_str(o, "subnet", cidr_str(p->subnet).s);
	if (p->gateway.family)
		json_set_str(o, "gateway", ip_str(p->gateway).s);
	json_set_str(o, "state", state_of(p, r, ip, reserved));
	if (r)
		add_record(o, r, endpoints);
	if (p->bad)
		json_set_str(o, "problem", p->bad);
	else if (p->terminating)
		json_set_str(o, "problem", "the pool is being deleted");
	else if (p->disabled)
		json_set_str(o, "problem", "the pool is disabled");
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

json *lookup_report(const json *pools, const json *reserved, const json *endpoints, struct ip ip)
{
	json *report = json_new_object();
	json *found = json_new_array(), *names = json_new_array();
	json *subnets = json_new_array(), *gateways = json_new_array();
	bool taken = is_reserved(reserved, ip, names);

	json_each(o, pools)
	{
		const struct pool_record *r;
		struct pool p;

		if (ippool_read(o, &p, NULL) < 0)
			continue;
		r = pool_find(&p, ip);
		if (r || ip_set_contains(&p.ips, ip))
			json_append(found, pool_entry(&p, r, ip, taken, endpoints));
		else if (p.subnet.ip.family && cidr_contains(p.subnet, ip))
			json_append_str(subnets, p.name);
		if (ip_equal(p.gateway, ip))
			json_append_str(gateways, p.name);
		pool_release(&p);
	}
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

		str_addf(out, "%s is %s\n", address,
		         streq(state, "conflict") ? "held back: somebody else has it" : state);
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
