/* SPDX-License-Identifier: Apache-2.0 */
/* links: cni/result.c cni/conf.c cni/check.c cni/env.c plugins/ipvlan_conf.c */
/* links: net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * cni_result_fuzz.c - results of delegates and prevResult.  A result that was read and written is
 * read again as the same one, in every version of the protocol, also after the ipvlan plugin put
 * its interface in.
 */
#include "plugins/ipvlan_conf.h"
#include "tests/fuzz/mutate.h"

static void check_values(const struct cni_result *r)
{
	for (size_t i = 0; i < r->n_interfaces; i++)
		must(memchr(r->interfaces[i].name, '\0', IFNAMSIZ));
	for (size_t i = 0; i < r->n_ips; i++) {
		const struct cni_ip *ip = &r->ips[i];

		must(ip->address.ip.family == 4 || ip->address.ip.family == 6);
		must(ip->address.len <= ip_bits(ip->address.ip));
		must(ip->interface >= -1 && ip->interface < (int)r->n_interfaces);
	}
	for (size_t i = 0; i < r->n_routes; i++)
		must(r->routes[i].dst.len <= ip_bits(r->routes[i].dst.ip));
}

static void check_versions(const struct cni_result *r)
{
	for (int v = CNI_0_3_0; v <= CNI_1_1_0; v++) {
		AUTO_JSON *doc = cni_result_document(r, (enum cni_version)v), *again = NULL;
		AUTO_CNI_RESULT same = { .dns = NULL };
		struct err e = { .kind = ERR_NONE };

		must(streq(json_str_at(doc, "cniVersion", NULL),
		           cni_version_text((enum cni_version)v)));
		must(cni_result_read(doc, &same, &e) == 0);
		again = cni_result_document(&same, (enum cni_version)v);
		must_print_alike(doc, again);
	}
}

/* What the plugin does with its delegate's result. */
static void check_ipvlan(struct cni_result *r)
{
	const struct link l = { .index = 3, .name = "eth0", .mtu = 1500, .has_mac = true };
	AUTO_JSON *dns = json_copy(r->dns);

	for (size_t i = 0; i < r->n_routes; i++) {
		struct route t = ipvlan_route(r, &r->routes[i], l.index);

		must(cidr_equal_network(t.dst, r->routes[i].dst));
		must(ip_equal(cidr_network(t.dst).ip, t.dst.ip));
	}
	ipvlan_result(r, &l, "/proc/1/ns/net", dns);
	must(r->n_interfaces == 1 && streq(r->interfaces[0].name, "eth0"));
	check_values(r);
	check_versions(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	AUTO_FREE char *text = xstrndup(in.left ? in.at : "", in.left);
	AUTO_JSON *j = fuzz_json(text);
	AUTO_CNI_RESULT r = { .dns = NULL };
	struct err e = { .kind = ERR_NONE };
	const char *master = NULL;

	if (!j)
		return 0;
	if (cni_result_read(j, &r, &e) < 0) {
		must(e.kind == ERR_PROTO && !r.interfaces && !r.ips && !r.routes && !r.dns);
		must_tell(&e);
		return 0;
	}
	check_values(&r);
	check_versions(&r);
	if (ipvlan_chained_master(&r, &master, &e) == 0)
		must(r.n_interfaces == 1 && *master);
	check_ipvlan(&r);
	return 0;
}
