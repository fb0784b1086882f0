/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - the data of a pool: copying, freeing, its records, and what is wrong with it by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"

/* The strings one behind the other in one piece. */
static char *pack(char **at, const char *s)
{
	char *start = *at;

	*at = stpcpy(start, s ? s : "") + 1;
	return start;
}

static size_t packed(const char *s)
{
	return (s ? strlen(s) : 0) + 1;
}

struct pool_record pool_record_copy(const struct pool_record *r)
{
	char *at = xmalloc(packed(r->pod) + packed(r->uid) + packed(r->nic) + packed(r->cid) +
	                   packed(r->node) + packed(r->conflict));
	struct pool_record copy = *r;

	copy.pod = pack(&at, r->pod);
	copy.uid = pack(&at, r->uid);
	copy.nic = pack(&at, r->nic);
	copy.cid = pack(&at, r->cid);
	copy.node = pack(&at, r->node);
	copy.conflict = pack(&at, r->conflict);
	return copy;
}

void pool_record_release(struct pool_record *r)
{
	free(r->pod);
}

static void names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

void pool_release(struct pool *p)
{
	pool_clear_records(p);
	free(p->records);
	free(p->rests);
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
	free(p->created);
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
	to->created = xstrdup(from->created);
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
	for (size_t i = 0; i < from->n_records; i++)
		to->records[i] = pool_record_copy(&from->records[i]);
	to->rests = from->n_rests ? xcalloc(from->n_rests, sizeof(*to->rests)) : NULL;
	to->cap_rests = from->n_rests;
	if (from->n_rests)
		memcpy(to->rests, from->rests, from->n_rests * sizeof(*to->rests));
}

struct ip_set pool_usable(const struct pool *p)
{
	struct ip_set usable = set_copy(&p->ips);

	for (size_t i = 0; i < p->excluded.n; i++)
		ip_set_remove(&usable, p->excluded.v[i]);
	return usable;
}

uint64_t pool_total(const struct pool *p)
{
	AUTO_IP_SET usable = pool_usable(p);

	return ip_set_size(&usable);
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

/* Index of the first resting address at or after ip. */
static size_t lower_rest(const struct pool *p, struct ip ip)
{
	size_t low = 0, high = p->n_rests;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ip_cmp(p->rests[mid].ip, ip) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void drop_rest(struct pool *p, size_t at)
{
	p->n_rests--;
	memmove(p->rests + at, p->rests + at + 1, (p->n_rests - at) * sizeof(*p->rests));
}

bool pool_is_resting(const struct pool *p, struct ip ip)
{
	size_t at = lower_rest(p, ip);

	return at < p->n_rests && ip_equal(p->rests[at].ip, ip);
}

void pool_rest(struct pool *p, struct ip ip)
{
	size_t at = lower_rest(p, ip), oldest = 0;

	if (at == p->n_rests || !ip_equal(p->rests[at].ip, ip)) {
		p->rests = xgrow(p->rests, &p->cap_rests, p->n_rests + 1, sizeof(*p->rests));
		memmove(p->rests + at + 1, p->rests + at, (p->n_rests - at) * sizeof(*p->rests));
		p->n_rests++;
	}
	p->rests[at] = (struct pool_rest){ ip, ++p->rest_order };
	if (p->n_rests <= POOL_RECORDS_MAX)
		return;
	for (size_t i = 1; i < p->n_rests; i++)
		if (p->rests[i].order < p->rests[oldest].order)
			oldest = i;
	drop_rest(p, oldest);
}

void pool_move_rests(struct pool *to, struct pool *from)
{
	free(to->rests);
	to->last = from->last;
	to->rests = from->rests;
	to->n_rests = from->n_rests;
	to->cap_rests = from->cap_rests;
	to->rest_order = from->rest_order;
	from->rests = NULL;
	from->n_rests = from->cap_rests = 0;
	for (size_t i = 0; i < from->n_records; i++)
		if (!pool_find(to, from->records[i].ip))
			pool_rest(to, from->records[i].ip);
}

void pool_put(struct pool *p, const struct pool_record *like)
{
	struct pool_record r = pool_record_copy(like);
	size_t at = lower(p, r.ip), resting = lower_rest(p, r.ip);

	if (resting < p->n_rests && ip_equal(p->rests[resting].ip, r.ip))
		drop_rest(p, resting);
	if (at < p->n_records && ip_equal(p->records[at].ip, r.ip)) {
		pool_record_release(&p->records[at]);
	} else {
		p->records = xgrow(p->records, &p->cap_records, p->n_records + 1, sizeof(r));
		memmove(p->records + at + 1, p->records + at, (p->n_records - at) * sizeof(r));
		p->n_records++;
	}
	p->records[at] = r;
}

void pool_append(struct pool *p, const struct pool_record *r)
{
	p->records = xgrow(p->records, &p->cap_records, p->n_records + 1, sizeof(*r));
	p->records[p->n_records++] = pool_record_copy(r);
}

static int compare_records(const void *a, const void *b)
{
	return ip_cmp(((const struct pool_record *)a)->ip, ((const struct pool_record *)b)->ip);
}

bool pool_sort(struct pool *p)
{
	if (p->n_records)
		qsort(p->records, p->n_records, sizeof(*p->records), compare_records);
	for (size_t i = 1; i < p->n_records; i++)
		if (ip_equal(p->records[i - 1].ip, p->records[i].ip))
			return false;
	return true;
}

void pool_clear_records(struct pool *p)
{
	for (size_t i = 0; i < p->n_records; i++)
		pool_record_release(&p->records[i]);
	p->n_records = 0;
}

/* Only copied from. */
static char *borrow(const char *s)
{
	return (char *)(uintptr_t)s;
}

void pool_add(struct pool *p, struct ip ip, const struct pool_request *r)
{
	const struct pool_record record = {
		.ip = ip,
		.pod = borrow(r->pod),
		.uid = borrow(r->uid),
		.nic = borrow(r->nic),
		.cid = borrow(r->cid),
		.node = borrow(r->node),
		.keep = r->keep,
	};

	pool_put(p, &record);
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

struct pool_record *pool_find_kept(struct pool *p, const struct pool_request *r)
{
	for (size_t i = 0; i < p->n_records; i++) {
		struct pool_record *have = &p->records[i];

		if (have->keep && have->ip.family == r->family && streq(have->pod, r->pod) &&
		    streq(have->nic, r->nic))
			return have;
	}
	return NULL;
}

/* A record with a container id belongs to that container; one without, to the pod. */
static bool is_released(const struct pool_record *r, const char *pod, const char *uid,
                        const char *nic, const char *cid, unsigned int kept)
{
	if (*r->conflict || (kept & (1U << r->keep)) || (*nic && *r->nic && !streq(r->nic, nic)))
		return false;
	if (*r->cid)
		return streq(r->cid, cid);
	return *uid && streq(r->uid, uid) && streq(r->pod, pod);
}

const struct pool_record *pool_find_released(const struct pool *p, const char *pod, const char *uid,
                                             const char *nic, const char *cid, unsigned int kept)
{
	for (size_t i = 0; i < p->n_records; i++)
		if (is_released(&p->records[i], pod, uid, nic, cid, kept))
			return &p->records[i];
	return NULL;
}

void pool_remove_record(struct pool *p, const struct pool_record *r)
{
	size_t at = (size_t)(r - p->records);

	pool_rest(p, r->ip);
	pool_record_release(&p->records[at]);
	p->n_records--;
	memmove(p->records + at, p->records + at + 1, (p->n_records - at) * sizeof(*r));
}

size_t pool_remove(struct pool *p, const char *pod, const char *uid, const char *nic,
                   const char *cid, unsigned int kept)
{
	const struct pool_record *r;
	size_t n = 0;

	for (; (r = pool_find_released(p, pod, uid, nic, cid, kept)); n++)
		pool_remove_record(p, r);
	return n;
}

/* No card can have one of these. */
static const struct {
	struct cidr of;
	const char *what;
} never[] = {
	{ { { 4, { 0 } }, 32 }, "the unspecified address" },
	{ { { 4, { 127 } }, 8 }, "loopback addresses" },
	{ { { 4, { 224 } }, 4 }, "multicast addresses" },
	{ { { 4, { 255, 255, 255, 255 } }, 32 }, "the broadcast address" },
	{ { { 6, { 0 } }, 128 }, "the unspecified address" },
	{ { { 6, { [15] = 1 } }, 128 }, "the loopback address" },
	{ { { 6, { 255 } }, 8 }, "multicast addresses" },
};

/* Addresses that it would give and must not; owned text, or NULL. */
static char *find_never(const struct pool *p)
{
	AUTO_IP_SET usable = pool_usable(p);

	for (size_t i = 0; i < usable.n; i++)
		for (size_t k = 0; k < ARRAY_LEN(never); k++)
			if (ip_range_overlaps(usable.v[i], cidr_range(never[k].of)))
				return xasprintf("ips: %s has %s, which no pod can use: %s",
				                 ip_range_str(usable.v[i]).s, never[k].what,
				                 ip_range_str(cidr_range(never[k].of)).s);
	return NULL;
}

/* NAME or NAMESPACE/NAME */
static bool is_full_name(const char *s)
{
	const char *slash = strchr(s, '/');
	const char *name = slash ? slash + 1 : s;

	return (!slash || str_is_name(s, (size_t)(slash - s))) && str_is_name(name, strlen(name));
}

bool pool_gives_gateway(const struct pool *p)
{
	return p->gateway.family && ip_set_contains(&p->ips, p->gateway) &&
	       !ip_set_contains(&p->excluded, p->gateway);
}

char *pool_check(const struct pool *p)
{
	struct ip_range subnet = cidr_range(p->subnet);
	char *bad;

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
	bad = find_never(p);
	if (bad)
		return bad;
	if (p->gateway.family) {
		if (!cidr_contains(p->subnet, p->gateway))
			return xasprintf("gateway %s is not in subnet %s", ip_str(p->gateway).s,
			                 cidr_str(p->subnet).s);
		if (pool_gives_gateway(p))
			return xasprintf("gateway %s is among ips", ip_str(p->gateway).s);
	}
	for (size_t i = 0; i < p->n_multus_names; i++)
		if (!is_full_name(p->multus_names[i]))
			return xasprintf(
				"multusName: \"%.300s\" is neither NAME nor NAMESPACE/NAME",
				p->multus_names[i]);
	for (size_t i = 0; i < p->n_routes; i++) {
		const struct pool_route *r = &p->routes[i];

		if (r->dst.ip.family != p->family || !cidr_contains(p->subnet, r->gw))
			return xasprintf("route %s: gateway %s is not in subnet %s",
			                 cidr_str(r->dst).s, ip_str(r->gw).s,
			                 cidr_str(p->subnet).s);
	}
	return NULL;
}
