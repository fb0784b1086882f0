/* SPDX-License-Identifier: Apache-2.0 */
/* links: cni/cni.c cni/env.c cni/conf.c cni/check.c cni/result.c datapath/conf.c */
/* links: plugins/ipvlan_conf.c plugins/plugin_log.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * cni_conf_fuzz.c - a whole call of a plugin that reads all that the real ones read and touches
 * nothing.  Its answer is one line of JSON, or none; a failure has a code and says why.
 *
 * Lines of an input: CNI_COMMAND, CNI_CONTAINERID, CNI_IFNAME, CNI_ARGS, the agent's answer about
 * the coordinator; then standard input.
 */
#include <linux/if_link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "datapath/conf.h"
#include "plugins/ipvlan_conf.h"
#include "plugins/plugin_log.h"
#include "tests/fuzz/mutate.h"

static struct {
	const char *command, *container_id, *ifname, *args;
	const json *agent;
} call; /* of this input: what the plugin's functions are not told */

static const char *env(const char *name)
{
	if (streq(name, "CNI_COMMAND"))
		return call.command;
	if (streq(name, "CNI_CONTAINERID"))
		return call.container_id;
	if (streq(name, "CNI_IFNAME"))
		return call.ifname;
	if (streq(name, "CNI_ARGS"))
		return call.args;
	if (streq(name, "CNI_NETNS"))
		return "/nowhere/netns";
	return streq(name, "CNI_PATH") ? "/nowhere/bin" : NULL;
}

static void check_ipvlan(const json *conf)
{
	struct err e = { .kind = ERR_NONE };
	struct ipvlan_conf c;

	if (ipvlan_conf_read(conf, &c, &e) < 0) {
		must(e.kind == ERR_CONFIG);
		must_tell(&e);
		return;
	}
	must(c.mode >= IPVLAN_MODE_L2 && c.mode <= IPVLAN_MODE_L3S);
	must(c.mtu <= IPVLAN_MTU_MAX);
	must(streq(c.ipam_type, ipvlan_ipam_type(conf)));
}

static void check_coordinator_values(const struct coordinator_conf *c)
{
	must(link_check_name(c->default_nic, NULL) == 0);
	must(!*c->default_route_nic || link_check_name(c->default_route_nic, NULL) == 0);
	must(c->n_hijack <= COORDINATOR_CIDRS_MAX && c->n_policy <= COORDINATOR_ROUTES_MAX);
	for (size_t i = 0; i < c->n_hijack; i++) {
		must(ip_equal(c->hijack[i].ip, cidr_network(c->hijack[i]).ip));
		for (size_t k = 0; k < i; k++)
			must(!cidr_equal_network(c->hijack[i], c->hijack[k]));
	}
	for (size_t i = 0; i < c->n_policy; i++)
		must(c->policy[i].gw.family == c->policy[i].dst.ip.family);
	must(!c->has_mac_prefix || !(c->mac_prefix[0] & 1));
	must(c->host_rule_table && (c->host_rule_table < 253 || c->host_rule_table > 255));
	must(c->rp_filter >= -1 && c->rp_filter <= 2);
	must(c->veth_mtu >= 68 && c->veth_mtu <= 65535);
}

static bool alike(const struct coordinator_conf *a, const struct coordinator_conf *b)
{
	if (a->n_hijack != b->n_hijack || a->n_policy != b->n_policy)
		return false;
	for (size_t i = 0; i < a->n_hijack; i++)
		if (!cidr_equal_network(a->hijack[i], b->hijack[i]))
			return false;
	for (size_t i = 0; i < a->n_policy; i++)
		if (!ip_equal(a->policy[i].gw, b->policy[i].gw))
			return false;
	return a->mode == b->mode && streq(a->default_nic, b->default_nic) &&
	       streq(a->default_route_nic, b->default_route_nic) &&
	       a->tune_pod_routes == b->tune_pod_routes && a->has_mac_prefix == b->has_mac_prefix &&
	       a->rp_filter == b->rp_filter && a->host_rule_table == b->host_rule_table &&
	       a->txqlen == b->txqlen && a->veth_mtu == b->veth_mtu &&
	       ip_equal(a->veth_address, b->veth_address);
}

static void check_coordinator(const json *conf)
{
	AUTO_COORDINATOR_CONF alone = { .hijack = NULL };
	AUTO_COORDINATOR_CONF both = { .hijack = NULL };
	struct err e = { .kind = ERR_NONE };
	int rc = coordinator_conf_read(conf, NULL, &alone, &e);

	if (rc < 0) {
		must(e.kind == ERR_CONFIG && !alone.hijack && !alone.policy);
		must_tell(&e);
	} else {
		check_coordinator_values(&alone);
		/* what DEL knows of it, whatever the rest is worth */
		must(streq(alone.default_nic, coordinator_default_nic(conf)));
		must(alone.host_rule_table == coordinator_host_table(conf));
	}
	if (coordinator_conf_read(conf, call.agent, &both, &e) == 0)
		check_coordinator_values(&both);
	/* when it need not be asked, its answer does not matter */
	if (coordinator_conf_complete(conf) && rc == 0 && alone.mode != COORDINATOR_DISABLE)
		must(both.hijack && alike(&alone, &both));
}

static void check_log(const json *conf)
{
	struct err e = { .kind = ERR_NONE };
	struct plugin_log l;

	if (plugin_log_read(json_get(conf, "ipam"), &l, &e) == 0) {
		must(l.max_mib && l.max_days && l.max_count && (!l.path || *l.path));
	} else {
		must_tell(&e);
	}
	e.kind = ERR_NONE;
	if (plugin_log_read_options(conf, &l, &e) < 0)
		must_tell(&e);
}

static int look(struct cni_call *c, int *code, struct err *e)
{
	AUTO_STR unknown = STR_INIT;

	(void)code;
	must(json_is_object(c->conf) && *c->name && !strpbrk(c->name, "/ \n"));
	must(!strpbrk(c->container_id, "/ \n") && link_check_name(env("CNI_IFNAME"), NULL) == 0);
	must(!strpbrk(c->pod_name, "/ \n") && !strpbrk(c->pod_namespace, "/ \n"));
	check_ipvlan(c->conf);
	check_coordinator(c->conf);
	check_log(c->conf);
	json_unknown(c->conf, ipvlan_conf_keys, &unknown);
	json_unknown(c->conf, coordinator_conf_keys, &unknown);
	if (json_get(c->conf, "fail"))
		return err_set(e, ERR_CONFIG, "fail: %s", json_str_at(c->conf, "fail", NULL) ?: "");
	return 0;
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	AUTO_CNI_RESULT r = { .dns = NULL };

	if (look(c, code, e) < 0 || (c->prev_result && cni_result_read(c->prev_result, &r, e) < 0))
		return -1;
	*result = cni_result_document(&r, c->version);
	return 0;
}

/* GC and STATUS are about no container. */
static int look_at_none(struct cni_call *c, int *code, struct err *e)
{
	(void)code;
	(void)e;
	check_ipvlan(c->conf);
	check_coordinator(c->conf);
	check_log(c->conf);
	return 0;
}

static const struct cni_plugin plugin = {
	.about = "looks",
	.add = add,
	.del = look,
	.check = look,
	.gc = look_at_none,
	.status = look_at_none,
};

static void check_answer(int status, const struct str *out)
{
	AUTO_JSON *doc = NULL;
	struct err e = { .kind = ERR_NONE };
	int64_t code = 0;

	must(status == 0 || status == 1);
	if (!out->len) {
		must(status == 0 && !streq(call.command, "ADD") && !streq(call.command, "VERSION"));
		return;
	}
	must(memchr(out->data, '\n', out->len) == out->data + out->len - 1);
	must(json_parse(out->data, out->len, JSON_UNIQUE, &doc, &e) == 0);
	must(json_str_at(doc, "cniVersion", NULL));
	if (status == 0) {
		must(streq(call.command, "ADD") || streq(call.command, "VERSION"));
		return;
	}
	must(json_i64(doc, "code", &code, &e) == 0 && code > 0);
	must(json_str_at(doc, "msg", NULL) && *json_str_at(doc, "msg", NULL));
	must(json_str_at(doc, "details", NULL));
}

static int with_stdin(const char *data, size_t len)
{
	int fd = memfd_create("stdin", MFD_CLOEXEC);

	must(fd >= 0);
	must(!len || write(fd, data, len) == (ssize_t)len);
	must(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	AUTO_FREE char *command = fuzz_line(&in);
	AUTO_FREE char *container_id = fuzz_line(&in);
	AUTO_FREE char *ifname = fuzz_line(&in);
	AUTO_FREE char *args = fuzz_line(&in);
	AUTO_FREE char *agent = fuzz_line(&in);
	AUTO_FD int fd = with_stdin(in.at, in.left);
	AUTO_JSON *answer = fuzz_json(agent);
	AUTO_STR out = STR_INIT;

	call.command = *command ? command : "ADD";
	call.container_id = container_id;
	call.ifname = ifname;
	call.args = args;
	call.agent = json_is_object(answer) ? answer : NULL;
	check_answer(cni_run(&plugin, env, fd, &out), &out);
	return 0;
}
