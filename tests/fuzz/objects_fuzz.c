/* SPDX-License-Identifier: Apache-2.0 */
/* links: pool/ k8s/ippool.c k8s/labels.c k8s/endpoint.c net/ip.c json/json.c */
/* links: base/str.c base/err.c base/mem.c */
/* libs: cjson */
/*
 * objects_fuzz.c - objects of the API server, read from JSON: SpiderIPPool, SpiderEndpoint,
 * SpiderReservedIP.  What we write of an object is read as the same, the records of a pool too, by
 * both of its readers; and a pool gives no address that is not its own.
 */
#include "k8s/endpoint.h"
#include "k8s/ippool.h"
#include "tests/fuzz/mutate.h"

static void check_set(const struct ip_set *s)
{
	uint64_t size = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct ip_range r = s->v[i];
		struct ip next = r.first;
		uint64_t n = ip_range_size(r);

		must(ip_cmp(r.first, r.last) <= 0 && r.first.family == r.last.family);
		must(ip_set_contains(s, r.first) && ip_set_contains(s, r.last));
		/* sorted, and neither overlapping nor adjacent */
		if (ip_prev(&next))
			must(!ip_set_contains(s, next));
		must(!i || ip_cmp(s->v[i - 1].last, r.first) < 0);
		size = size + n < size ? UINT64_MAX : size + n;
	}
	must(ip_set_size(s) == size);
}

static bool same_record(const struct pool_record *a, const struct pool_record *b)
{
	return ip_equal(a->ip, b->ip) && streq(a->pod, b->pod) && streq(a->uid, b->uid) &&
	       streq(a->nic, b->nic) && streq(a->cid, b->cid) && streq(a->node, b->node) &&
	       a->keep == b->keep && streq(a->conflict, b->conflict) &&
	       (!*a->conflict || a->since == b->since);
}

static void must_hold_same(const struct pool *a, const struct pool *b)
{
	must(a->n_records == b->n_records);
	for (size_t i = 0; i < a->n_records; i++)
		must(same_record(&a->records[i], &b->records[i]));
	must(!a->foreign == !b->foreign && (!a->foreign || streq(a->foreign, b->foreign)));
}

/* The object with the status that we would write. */
static json *written(const json *object, const struct pool *p)
{
	AUTO_JSON *patch = ippool_status_patch(p);
	json *o = json_copy(object);

	json_merge(&o, patch);
	return o;
}

static void check_records(const json *object, const struct pool *p)
{
	AUTO_STR text = STR_INIT, again = STR_INIT, blank = STR_INIT;
	AUTO_JSON *o = written(object, p);
	struct err e = { .kind = ERR_NONE };
	struct pool read, slow;

	for (size_t i = 0; i < p->n_records; i++) {
		must(!i || ip_cmp(p->records[i - 1].ip, p->records[i].ip) < 0);
		must(pool_find(p, p->records[i].ip) == &p->records[i]);
	}
	must(ippool_read(o, &read, &e) == 0 && !read.unreadable);
	must_hold_same(p, &read);
	ippool_records_text(p, &text);
	ippool_records_text(&read, &again);
	must(streq(text.data, again.data));
	/* with a blank in front it is not the quick reader's */
	str_addf(&blank, " %s", text.data);
	json_set_str(json_ensure_object(o, "status"), "allocatedIPs", blank.data);
	must(ippool_read(o, &slow, &e) == 0 && !slow.unreadable);
	must_hold_same(p, &slow);
	pool_release(&read);
	pool_release(&slow);
}

/* Some addresses are given, and taken back. */
static void check_giving(const struct pool *from)
{
	const struct pool_request r = { .pod = "ns/pod",
		                        .uid = "u",
		                        .nic = "eth0",
		                        .cid = "c",
		                        .node = "n",
		                        .ns = "ns",
		                        .family = from->family };
	struct ip_set none = IP_SET_INIT;
	struct pool p;

	pool_copy(&p, from);
	for (int i = 0; i < 3; i++) {
		struct err e = { .kind = ERR_NONE };
		size_t before = p.n_records;
		struct ip ip;

		if (pool_pick(&p, &none, &ip, &e) < 0) {
			must(e.kind == ERR_EXHAUSTED);
			must_tell(&e);
			break;
		}
		must(ip_set_contains(&p.ips, ip) && !ip_set_contains(&p.excluded, ip));
		must(!pool_find(&p, ip) && cidr_contains(p.subnet, ip));
		pool_add(&p, ip, &r);
		must(p.n_records == before + 1 && pool_find(&p, ip));
	}
	must(pool_remove(&p, "ns/pod", "u", "eth0", "c", 0) >= p.n_rests || !from->n_records);
	pool_release(&p);
}

static void check_pool(const json *object)
{
	const struct pool_request r = { .pod = "ns/pod",
		                        .uid = "u",
		                        .nic = "eth0",
		                        .cid = "c",
		                        .node = "n",
		                        .ns = "ns",
		                        .family = 4,
		                        .network = "kube-system/a",
		                        .agent_namespace = "kube-system" };
	struct err e = { .kind = ERR_NONE };
	AUTO_STR why = STR_INIT;
	struct ip_set usable;
	struct pool p;

	if (ippool_read(object, &p, &e) < 0) {
		must(e.kind == ERR_PROTO);
		must_tell(&e);
		return;
	}
	must(*p.name && (!p.bad || *p.bad) && (!p.not_ready || *p.not_ready));
	must(!p.unreadable || (p.bad && !p.n_records));
	check_set(&p.ips);
	check_set(&p.excluded);
	usable = pool_usable(&p);
	check_set(&usable);
	must(pool_total(&p) == ip_set_size(&usable));
	must(pool_serves(&p, &r, &why) == !why.len);
	must(!why.len || str_starts(why.data, p.name));
	must(!p.bad || why.len);
	if (!p.unreadable)
		check_records(object, &p);
	if (!p.bad)
		check_giving(&p);
	ip_set_release(&usable);
	pool_release(&p);
}

static void check_endpoint(const json *object)
{
	struct endpoint ep = { .name = NULL }, again = { .name = NULL };
	AUTO_JSON *made = NULL, *same = NULL;
	struct err e = { .kind = ERR_NONE };

	if (endpoint_read(object, &ep, &e) < 0) {
		must(e.kind == ERR_PROTO && !ep.name && !ep.ips);
		must_tell(&e);
		return;
	}
	for (size_t i = 0; i < ep.n_ips; i++) {
		must(ep.ips[i].ipv4.ip.family == 0 || ep.ips[i].ipv4.ip.family == 4);
		must(ep.ips[i].ipv6.ip.family == 0 || ep.ips[i].ipv6.ip.family == 6);
	}
	made = endpoint_object(&ep);
	must(endpoint_read(made, &again, &e) == 0);
	same = endpoint_object(&again);
	must_print_alike(made, same);
	endpoint_release(&again);
	endpoint_release(&ep);
}

static void check_reserved(const json *object)
{
	struct err e = { .kind = ERR_NONE };
	AUTO_IP_SET set = IP_SET_INIT;

	if (reservedip_read(object, &set, &e) < 0)
		must_tell(&e);
	check_set(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	AUTO_FREE char *text = xstrndup(in.left ? in.at : "", in.left);
	AUTO_JSON *object = fuzz_json(text);

	if (!object)
		return 0;
	check_pool(object);
	check_endpoint(object);
	check_reserved(object);
	return 0;
}
