/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - the data of a pool: copying, freeing, its records, and what is wrong with it by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"

static void record_release(struct pool_record *r)
{
	free(r->pod);
	free(r->uid);
	free(r->nic);
	free(r->cid);
}

static void names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

void pool_release(struct pool *p)
{
	for (size_t i = 0; i < p->n_records; i++)
		record_release(&p->records[i]);
	free(p->records);
	names_free(p->node_names, p->n_node_names);
	names_free(p->namespace_names, p->n_namespace_names);
	names_free(p->multus_names, p->n_multus_names);
	selector_release(&p->pod_affinity);
	selector_release(&p->namespace_affinity);
	selector_release(&p->node_affinity);
	ip_set_release(&p->ips);
	ip_set_release(&p->excluded);
	free(p->routes);
	free(p->name);
	free(p->uid);
	free(p->version);
	free(p->bad);
	free(p->not_ready);
	free(p->foreign);
	memset(p, 0, sizeof(*p));
}

static char **names_copy(char *const *names, size_t n)
{
	char **copy = n ? xcalloc(n, sizeof(*copy)) : NULL;

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(names[i]);
	return copy;
}

static struct ip_set set_copy(const struct ip_set *s)
{
	struct ip_set copy = IP_SET_INIT;

	for (size_t i = 0; i < s->n; i++)
		ip_set_add(&copy, s->v[i]);
	return copy;
}

void pool_copy(struct pool *to, const struct pool *from)
{
	*to = *from;
	to->name = xstrdup(from->name);
	to->uid = xstrdup(from->uid);
	to->version = xstrdup(from->version);
	to->bad = from->bad ? xstrdup(from->bad) : NULL;
	to->not_ready = from->not_ready ? xstrdup(from->not_ready) : NULL;
	to->foreign = from->foreign ? xstrdup(from->foreign) : NULL;
	to->ips = set_copy(&from->ips);
	to->excluded = set_copy(&from->excluded);
	to->node_names = names_copy(from->node_names, from->n_node_names);
	to->namespace_names = names_copy(from->namespace_names, from->n_namespace_names);
	to->multus_names = names_copy(from->multus_names, from->n_multus_names);
	selector_copy(&to->pod_affinity, &from->pod_affinity);
	selector_copy(&to->namespace_affinity, &from->namespace_affinity);
	selector_copy(&to->node_affinity, &from->node_affinity);
	to->routes = NULL;
	if (from->n_routes) {
		to->routes = xcalloc(from->n_routes, sizeof(*to->routes));
		memcpy(to->routes, from->routes, from->n_routes * sizeof(*to->routes));
	}
	to->records = from->n_records ? xcalloc(from->n_records, sizeof(*to->records)) : NULL;
	to->cap_records = from->n_records;
	for (size_t i = 0; i < from->n_records; i++) {
		const struct pool_record *r = &from->records[i];

		to->records[i] = (struct pool_record){ r->ip, xstrdup(r->pod), xstrdup(r->uid),
			                               xstrdup(r->nic), xstrdup(r->cid) };
	}
}

uint64_t pool_total(const struct pool *p)
{
	struct ip_set usable = set_copy(&p->ips);
	uint64_t n;

	for (size_t i = 0; i < p->excluded.n; i++)
		ip_set_remove(&usable, p->excluded.v[i]);
	n = ip_set_size(&usable);
	ip_set_release(&usable);
	return n;
}

/* Index of the first record at or after ip. */
static size_t lower(const struct pool *p, struct ip ip)
{
	size_t low = 0, high = p->n_records;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ip_cmp(p->records[mid].ip, ip) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct pool_record *pool_find(const struct pool *p, struct ip ip)
{
	size_t at = lower(p, ip);

	return at < p->n_records && ip_equal(p->records[at].ip, ip) ? &p->records[at] : NULL;
}

void pool_put_record(struct pool *p, struct ip ip, const char *pod, const char *uid,
                     const char *nic, const char *cid)
{
	struct pool_record r = { ip, xstrdup(pod), xstrdup(uid), xstrdup(nic), xstrdup(cid) };
	size_t at = lower(p, ip);

	if (at < p->n_records && ip_equal(p->records[at].ip, ip)) {
		record_release(&p->records[at]);
	} else {
		p->records = xgrow(p->records, &p->cap_records, p->n_records + 1, sizeof(r));
		memmove(p->records + at + 1, p->records + at, (p->n_records - at) * sizeof(r));
		p->n_records++;
	}
	p->records[at] = r;
}

void pool_add(struct pool *p, struct ip ip, const struct pool_request *r)
{
	pool_put_record(p, ip, r->pod, r->uid, r->nic, r->cid);
	p->last = ip;
}

struct pool_record *pool_find_own(struct pool *p, const struct pool_request *r)
{
	for (size_t i = 0; i < p->n_records; i++) {
		struct pool_record *have = &p->records[i];

		if (have->ip.family == r->family && streq(have->pod, r->pod) &&
		    streq(have->uid, r->uid) && (!*have->nic || streq(have->nic, r->nic)))
			return have;
	}
	return NULL;
}

/* A record with a container id belongs to that container; one without, to the pod. */
static bool is_released(const struct pool_record *r, const char *pod, const char *uid,
                        const char *nic, const char *cid)
{
	if (*nic && *r->nic && !streq(r->nic, nic))
		return false;
	if (*r->cid)
		return streq(r->cid, cid);
	return *uid && streq(r->uid, uid) && streq(r->pod, pod);
}

const struct pool_record *pool_find_released(const struct pool *p, const char *pod, const char *uid,
                                             const char *nic, const char *cid)
{
	for (size_t i = 0; i < p->n_records; i++)
		if (is_released(&p->records[i], pod, uid, nic, cid))
			return &p->records[i];
	return NULL;
}

size_t pool_remove(struct pool *p, const char *pod, const char *uid, const char *nic,
                   const char *cid)
{
	size_t kept = 0, had = p->n_records;

	for (size_t i = 0; i < had; i++) {
		if (is_released(&p->records[i], pod, uid, nic, cid))
			record_release(&p->records[i]);
		else
			p->records[kept++] = p->records[i];
	}
	p->n_records = kept;
	return had - kept;
}

char *pool_check(const struct pool *p)
{
	struct ip_range subnet = cidr_range(p->subnet);

	if (p->pod_affinity.set && !p->pod_affinity.n)
		return xstrdup("empty podAffinity is invalid for SpiderIPPool");
	if (p->subnet.ip.family != p->family)
		return xasprintf("subnet %s is not IPv%d", cidr_str(p->subnet).s, p->family);
	if (!ip_equal(cidr_network(p->subnet).ip, p->subnet.ip))
		return xasprintf("subnet %s has host bits set, %s was meant?",
		                 cidr_str(p->subnet).s, cidr_str(cidr_network(p->subnet)).s);
	for (size_t i = 0; i < p->ips.n; i++)
		if (!ip_range_contains(subnet, p->ips.v[i].first) ||
		    !ip_range_contains(subnet, p->ips.v[i].last))
			return xasprintf("ips: %s is not in subnet %s", ip_range_str(p->ips.v[i]).s,
			                 cidr_str(p->subnet).s);
	if (p->gateway.family) {
		if (!cidr_contains(p->subnet, p->gateway))
			return xasprintf("gateway %s is not in subnet %s", ip_str(p->gateway).s,
			                 cidr_str(p->subnet).s);
		if (ip_set_contains(&p->ips, p->gateway) &&
		    !ip_set_contains(&p->excluded, p->gateway))
			return xasprintf("gateway %s is among ips", ip_str(p->gateway).s);
	}
	for (size_t i = 0; i < p->n_routes; i++) {
		const struct pool_route *r = &p->routes[i];

		if (r->dst.ip.family != p->family || !cidr_contains(p->subnet, r->gw))
			return xasprintf("route %s: gateway %s is not in subnet %s",
			                 cidr_str(r->dst).s, ip_str(r->gw).s,
			                 cidr_str(p->subnet).s);
	}
	return NULL;
}
