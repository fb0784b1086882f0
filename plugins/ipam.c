/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipam.c - addresses from the node's agent.  One request per ADD; a DEL that finds no agent leaves
 * a record for it and succeeds, because a pod that cannot be deleted helps nobody.
 *
 * Keys of "ipam": ipam_unix_socket_path, default_ipv4_ippool, default_ipv6_ippool, clean_gateway,
 * match_master_subnet (refused: SR-IOV alone has a use for it), those of plugin_log.h, and ours:
 * state_dir (where the queue of releases is), timeout_ms (for a call as a whole; the default is
 * CNI_CALL_MS).
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cni/state.h"
#include "http/url.h"
#include "net/netns.h"
#include "plugins/agent_client.h"
#include "plugins/ipam.h"
#include "plugins/plugin_log.h"

#define DEL_MS 2000   /* patience with the agent */
#define QUERY_MS 5000 /* for CHECK and STATUS */

static const char known[] =
	"type ipam_unix_socket_path default_ipv4_ippool default_ipv6_ippool clean_gateway "
	"match_master_subnet timeout_ms state_dir log_level log_file_path log_file_max_size "
	"log_file_max_age log_file_max_count";

struct options {
	const char *socket, *state_dir; /* borrowed from the configuration */
	const json *ipv4_pools, *ipv6_pools;
	bool clean_gateway, match_master_subnet;
	int64_t timeout_ms;
	struct mono deadline;
	struct plugin_log log;
};

bool ipam_is_ours(const char *type)
{
	return streq(type, "spiderpool") || streq(type, "spiderbox") || streq(type, "ipam");
}

static int read_path(const json *ipam, const char *key, const char **out, struct err *e)
{
	const char *text = "";

	if (json_opt_str(ipam, key, &text, e) < 0)
		return -1;
	if (*text && *text != '/')
		return err_set(e, ERR_CONFIG, "%s: \"%s\" is not an absolute path", key, text);
	if (*text)
		*out = text;
	return 0;
}

/* What is read before something bad is kept: see read_leniently(). */
static int read_ipam(const json *ipam, struct options *o, struct err *e)
{
	if (read_path(ipam, "ipam_unix_socket_path", &o->socket, e) < 0 ||
	    read_path(ipam, "state_dir", &o->state_dir, e) < 0 ||
	    plugin_log_read(ipam, &o->log, e) < 0 ||
	    json_opt_i64(ipam, "timeout_ms", &o->timeout_ms, e) < 0 ||
	    json_opt_strs(ipam, "default_ipv4_ippool", &o->ipv4_pools, e) < 0 ||
	    json_opt_strs(ipam, "default_ipv6_ippool", &o->ipv6_pools, e) < 0 ||
	    json_opt_bool(ipam, "clean_gateway", &o->clean_gateway, e) < 0 ||
	    json_opt_bool(ipam, "match_master_subnet", &o->match_master_subnet, e) < 0)
		return -1;
	if (o->timeout_ms < 1 || o->timeout_ms > CNI_CALL_MS) {
		o->timeout_ms = CNI_CALL_MS;
		return err_set(e, ERR_CONFIG, "timeout_ms: not between 1 and %d", CNI_CALL_MS);
	}
	return 0;
}

/* A DEL does without: it has nothing to do with pools. */
static int refuse_sriov(const struct options *o, struct err *e)
{
	if (!o->match_master_subnet)
		return 0;
	return err_set(e, ERR_CONFIG,
	               "match_master_subnet: it is for SR-IOV interfaces, which are not "
	               "supported; remove it, and let the pools' multusName and nodeName choose");
}

static void start(const struct cni_call *c, struct options *o)
{
	o->deadline = mono_min(c->deadline, mono_in(o->timeout_ms));
	plugin_log_open("ipam", &o->log, c);
}

static const struct options defaults = {
	.socket = AGENT_SOCKET,
	.state_dir = STATE_DIR,
	.timeout_ms = CNI_CALL_MS,
	.log = { .level = LOG_LEVEL_INFO },
};

static int read_options(const struct cni_call *c, struct options *o, struct err *e)
{
	const json *ipam = NULL;

	*o = defaults;
	if (json_obj(c->conf, "ipam", &ipam, e) < 0 || read_ipam(ipam, o, e) < 0 ||
	    refuse_sriov(o, e) < 0) {
		if (e)
			e->kind = ERR_CONFIG;
		return err_wrap(e, ipam ? "configuration: ipam" : "configuration");
	}
	start(c, o);
	return 0;
}

/* For DEL, which does what it can with a configuration that somebody broke since the ADD. */
static void read_leniently(const struct cni_call *c, struct options *o)
{
	struct err e;

	*o = defaults;
	if (read_ipam(json_get(c->conf, "ipam"), o, &e) == 0) {
		start(c, o);
		return;
	}
	start(c, o);
	log_warn_err(&e, "configuration: ipam");
}

/* Whom a call is for, in words; owned.  Runtimes other than Kubernetes' have no pods. */
static char *holder(const struct cni_call *c)
{
	return *c->pod_name ? xasprintf("pod %s/%s", c->pod_namespace, c->pod_name)
	                    : xasprintf("container %.13s", c->container_id);
}

/* No path of a namespace that there is: a DEL need not know it, and its record has a limit. */
static const char *netns_path(const struct cni_call *c)
{
	return strlen(c->netns) < PATH_MAX ? c->netns : "";
}

static json *identity(const struct cni_call *c)
{
	json *j = json_new_object();

	json_set_str(j, "containerID", c->container_id);
	json_set_str(j, "ifName", c->ifname);
	json_set_str(j, "netNamespace", netns_path(c));
	json_set_str(j, "podNamespace", c->pod_namespace);
	json_set_str(j, "podName", c->pod_name);
	json_set_str(j, "podUID", c->pod_uid);
	return j;
}

static json *add_request(const struct cni_call *c, const struct options *o)
{
	AUTO_FREE char *network = cni_arg(c->args, IPAM_NETWORK_ARG);
	json *j = identity(c);

	if (*network)
		json_set_str(j, "network", network);
	json_set_str(j, "networkName", c->name); /* for a GC of that network */
	if (o->ipv4_pools)
		json_set(j, "defaultIPv4IPPool", json_copy(o->ipv4_pools));
	if (o->ipv6_pools)
		json_set(j, "defaultIPv6IPPool", json_copy(o->ipv6_pools));
	json_set_bool(j, "cleanGateway", o->clean_gateway);
	json_set_bool(j, "matchMasterSubnet", false);
	return j;
}

static int read_cidr(const json *j, const char *key, struct cidr *out, struct err *e)
{
	const char *text;

	return json_str(j, key, &text, e) < 0 ? -1 : cidr_parse(text, out, e);
}

static int read_ip(const json *j, const char *key, struct ip *out, struct err *e)
{
	const char *text = "";

	if (json_opt_str(j, key, &text, e) < 0)
		return -1;
	return *text ? ip_parse(text, out, e) : 0;
}

/* Is this member of the answer about our interface?  It holds those of all of the pod's. */
static bool is_for(const json *j, const char *key, const char *ifname)
{
	const char *name = json_str_at(j, key, NULL);

	return name && streq(name, ifname);
}

/* What is to be found out about this address, if anything. */
static int read_detection(const json *i, const struct cni_ip *ip, struct detections *out,
                          struct err *e)
{
	struct detection d = { .address = ip->address, .gateway = ip->gateway };

	if (json_opt_bool(i, "enableIPConflictDetection", &d.conflict, e) < 0 ||
	    json_opt_bool(i, "enableGatewayDetection", &d.reach, e) < 0)
		return -1;
	d.reach = d.reach && d.gateway.family;
	if (d.conflict || d.reach)
		out->v[out->n++] = d;
	return 0;
}

static int read_answer(const json *answer, const char *ifname, struct cni_result *r,
                       struct detections *wanted, struct err *e)
{
	const json *ips = NULL, *routes = NULL, *dns = NULL;

	if (json_arr(answer, "ips", &ips, e) < 0 ||
	    json_opt_arr(answer, "routes", &routes, e) < 0 ||
	    json_opt_obj(answer, "dns", &dns, e) < 0)
		return -1;
	r->ips = xcalloc(json_count(ips) + 1, sizeof(*r->ips));
	wanted->v = xcalloc(json_count(ips) + 1, sizeof(*wanted->v));
	json_each(i, ips)
	{
		struct cni_ip *ip = &r->ips[r->n_ips];

		if (!is_for(i, "nic", ifname))
			continue;
		ip->interface = -1;
		if (read_cidr(i, "address", &ip->address, e) < 0 ||
		    read_ip(i, "gateway", &ip->gateway, e) < 0 ||
		    read_detection(i, ip, wanted, e) < 0)
			return -1;
		r->n_ips++;
	}
	r->routes = xcalloc(json_count(routes) + 1, sizeof(*r->routes));
	json_each(i, routes)
	{
		struct cni_route *route = &r->routes[r->n_routes];

		if (!is_for(i, "ifName", ifname))
			continue;
		if (read_cidr(i, "dst", &route->dst, e) < 0 || read_ip(i, "gw", &route->gw, e) < 0)
			return -1;
		r->n_routes++;
	}
	r->dns = json_count(dns) ? json_copy(dns) : NULL;
	if (!r->n_ips)
		return err_set(e, ERR_PROTO, "no address for interface %s", ifname);
	return 0;
}

static int request_addresses(const struct cni_call *c, const struct options *o,
                             struct cni_result *r, struct detections *wanted, struct err *e)
{
	AUTO_JSON *body = add_request(c, o);
	AUTO_JSON *answer = NULL;
	AUTO_FREE char *who = holder(c);

	if (agent_request(o->socket, "POST", "/v1/ipam/ip", body, true, &answer, o->deadline, e) <
	    0) {
		agent_explain(o->socket, e);
		return err_wrap(e, "allocate addresses for %s of %s", c->ifname, who);
	}
	if (read_answer(answer, c->ifname, r, wanted, e) < 0) {
		e->kind = ERR_PROTO;
		return err_wrap(e, "answer of the agent at %s", o->socket);
	}
	for (size_t i = 0; i < r->n_ips; i++)
		log_info("allocated %s", cidr_str(r->ips[i].address).s);
	return 0;
}

static int queue_release(const struct cni_call *c, const struct options *o, struct err *e)
{
	AUTO_FREE char *id = xstrdup(c->container_id);
	AUTO_FREE char *ifname = xstrdup(c->ifname);
	AUTO_FREE char *netns = xstrdup(netns_path(c));
	AUTO_FREE char *namespace = xstrdup(c->pod_namespace);
	AUTO_FREE char *name = xstrdup(c->pod_name);
	AUTO_FREE char *uid = xstrdup(c->pod_uid);
	const struct release r = { id, ifname, netns, namespace, name, uid };

	return release_write(o->state_dir, &r, e);
}

/* body: identity(), and more when conflicts are told; what the agent does not take is queued. */
static int release_addresses(const struct cni_call *c, const struct options *o, const char *path,
                             const json *body, int *code, struct err *e)
{
	struct err agent;

	if (agent_request(o->socket, "DELETE", path, body, true, NULL,
	                  mono_min(o->deadline, mono_in(DEL_MS)), &agent) == 0) {
		log_info("released");
		return 0;
	}
	if (queue_release(c, o, e) < 0) {
		*code = CNI_E_IO;
		return err_wrap(e, "release the addresses: %s; queue that for later", agent.msg);
	}
	log_warn_err(&agent, "the release is queued in %s for the agent", o->state_dir);
	return 0;
}

static int give_back(const struct cni_call *c, const struct options *o, const json *conflicts,
                     int *code, struct err *e)
{
	AUTO_JSON *body = identity(c);

	if (!conflicts)
		return release_addresses(c, o, "/v1/ipam/ip", body, code, e);
	json_set(body, "conflicts", json_copy(conflicts));
	return release_addresses(c, o, "/v1/ipam/ips", body, code, e);
}

int ipam_give_back(struct cni_call *c, const json *conflicts, int *code, struct err *e)
{
	struct options o;

	read_leniently(c, &o);
	return give_back(c, &o, conflicts, code, e);
}

int ipam_del(struct cni_call *c, int *code, struct err *e)
{
	return ipam_give_back(c, NULL, code, e);
}

/* A pod that gets no interface keeps no address. */
static int detect_here(const struct cni_call *c, const struct options *o, int netns,
                       const struct detections *wanted, struct err *e)
{
	AUTO_JSON *conflicts = NULL;
	struct err queue;
	int ignored = 0;

	if (detect_in_pod(netns, c->ifname, wanted, o->deadline, &conflicts, e) == 0)
		return 0;
	if (give_back(c, o, conflicts, &ignored, &queue) < 0)
		log_warn_err(&queue, "ADD");
	return -1;
}

int ipam_add(struct cni_call *c, struct detections *wanted, json **result, int *code, struct err *e)
{
	struct err mine = { .kind = ERR_NONE };
	AUTO_CNI_RESULT r = { .dns = NULL };
	AUTO_DETECTIONS own = { NULL, 0 };
	AUTO_STR unknown = STR_INIT;
	struct options o;
	int netns;

	if (read_options(c, &o, &mine) < 0)
		return err_copy(e, &mine);
	json_unknown(json_get(c->conf, "ipam"), known, &unknown);
	if (unknown.len)
		log_warn("configuration: ipam: unknown keys are ignored: %s", unknown.data);
	/* an address for a pod without a network would be held for nothing */
	if (cni_netns(c, &netns, &mine) < 0) {
		*code = CNI_E_NETNS;
		return err_copy(e, &mine);
	}
	if (request_addresses(c, &o, &r, &own, &mine) == 0 &&
	    (wanted || detect_here(c, &o, netns, &own, &mine) == 0)) {
		*result = cni_result_document(&r, c->version);
		if (wanted) {
			*wanted = own;
			own = (struct detections){ NULL, 0 };
		}
		return 0;
	}
	if (o.log.path)
		log_err(&mine, "ADD");
	return err_copy(e, &mine);
}

/* Is this address recorded for the interface?  *seen lists what is. */
static bool recorded(const json *interfaces, const char *ifname, struct ip want, struct str *seen)
{
	static const char keys[][5] = { "ipv4", "ipv6" };
	struct cidr c;

	json_each(i, interfaces)
	{
		if (!is_for(i, "interface", ifname))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			const char *text = json_str_at(i, keys[k], NULL);

			if (!text || cidr_parse(text, &c, NULL) < 0)
				continue;
			if (ip_equal(c.ip, want))
				return true;
			str_addf(seen, "%s%s", seen->len ? ", " : "", text);
		}
	}
	return false;
}

/* Compares what the runtime remembers with what the agent does. */
static int compare(const struct cni_call *c, const struct cni_result *r, const json *endpoint,
                   struct err *e)
{
	AUTO_FREE char *who = holder(c);
	size_t checked = 0;

	for (size_t i = 0; i < r->n_ips; i++) {
		int interface = r->ips[i].interface;
		AUTO_STR seen = STR_INIT;

		if (interface >= 0 && !streq(r->interfaces[interface].name, c->ifname))
			continue;
		checked++;
		if (!recorded(json_get(endpoint, "interfaces"), c->ifname, r->ips[i].address.ip,
		              &seen))
			return err_set(e, ERR_NOT_FOUND,
			               "address %s of %s is not recorded for %s (there is: %s)",
			               ip_str(r->ips[i].address.ip).s, c->ifname, who,
			               seen.len ? seen.data : "none");
	}
	if (!checked)
		return err_set(e, ERR_CONFIG, "prevResult has no address for %s", c->ifname);
	return 0;
}

static int query_endpoint(const struct cni_call *c, const struct options *o, json **out,
                          struct err *e)
{
	AUTO_STR path = STR_INIT;

	/* a container without a Kubernetes name is recorded by its id */
	str_add(&path, "/v1/workloadendpoint?podNamespace=");
	url_encode(&path, *c->pod_name ? c->pod_namespace : "cni");
	str_add(&path, "&podName=");
	url_encode(&path, *c->pod_name ? c->pod_name : c->container_id);
	return agent_request(o->socket, "GET", path.data, NULL, true, out,
	                     mono_min(o->deadline, mono_in(QUERY_MS)), e);
}

int ipam_check(struct cni_call *c, int *code, struct err *e)
{
	AUTO_CNI_RESULT r = { .dns = NULL };
	AUTO_JSON *endpoint = NULL;
	struct err mine = { .kind = ERR_NONE };
	struct options o;

	(void)code;
	if (read_options(c, &o, &mine) < 0)
		return err_copy(e, &mine);
	if (!c->prev_result)
		return err_set(e, ERR_CONFIG, "CHECK needs a prevResult, and there is none");
	if (cni_result_read(c->prev_result, &r, &mine) < 0) {
		mine.kind = ERR_CONFIG;
		err_prefix(&mine, "prevResult");
		return err_copy(e, &mine);
	}
	if (query_endpoint(c, &o, &endpoint, &mine) < 0) {
		agent_explain(o.socket, &mine);
		return err_copy(e, &mine);
	}
	return compare(c, &r, endpoint, e);
}

int ipam_status(struct cni_call *c, int *code, struct err *e)
{
	struct err mine = { .kind = ERR_NONE };
	struct options o;

	if (read_options(c, &o, &mine) < 0)
		return err_copy(e, &mine);
	if (agent_request(o.socket, "GET", "/v1/ipam/healthy", NULL, false, NULL,
	                  mono_min(o.deadline, mono_in(QUERY_MS)), &mine) == 0)
		return 0;
	*code = CNI_E_NOT_AVAILABLE;
	agent_explain(o.socket, &mine);
	return err_copy(e, &mine);
}

/* Is the attachment among those that the runtime knows?  ERR_CONFIG when it does not say. */
static int read_valid(const struct cni_call *c, const json **out, struct err *e)
{
	static const char key[] = "cni.dev/valid-attachments";

	*out = NULL;
	if (json_opt_arr(c->conf, key, out, e) == 0 && json_get(c->conf, key))
		return 0; /* Go writes an empty list as null */
	return err_set(e, ERR_CONFIG, "GC needs %s", key);
}

static bool is_valid(const json *valid, const struct attachment *a)
{
	json_each(v, valid)
	{
		const char *id = json_str_at(v, "containerID", NULL);

		if (id && streq(id, a->container_id) && is_for(v, "ifname", a->ifname))
			return true;
	}
	return false;
}

static bool netns_is_gone(const struct attachment *a, const char *boot_id)
{
	struct stat st;

	if (*boot_id && *a->boot_id && !streq(a->boot_id, boot_id))
		return true;
	if (!*a->netns || !a->netns_inode)
		return false; /* nobody knows */
	if (stat(a->netns, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR;
	return (uint64_t)st.st_ino != a->netns_inode;
}

/* As a DEL of it would. */
static int collect(const struct options *o, const struct attachment *a, struct err *e)
{
	struct cni_call dead = { .container_id = a->container_id,
		                 .ifname = a->ifname,
		                 .netns = a->netns };
	AUTO_JSON *body = NULL;

	if (fmt(dead.pod_namespace, sizeof(dead.pod_namespace), "%s", a->pod_namespace) < 0 ||
	    fmt(dead.pod_name, sizeof(dead.pod_name), "%s", a->pod_name) < 0 ||
	    fmt(dead.pod_uid, sizeof(dead.pod_uid), "%s", a->pod_uid) < 0)
		return 0; /* no name of Kubernetes' */
	body = identity(&dead);
	if (agent_request(o->socket, "DELETE", "/v1/ipam/ip", body, false, NULL,
	                  mono_min(o->deadline, mono_in(DEL_MS)), e) < 0)
		return err_wrap(e, "release what %s of container %.13s had", a->ifname,
		                a->container_id);
	log_info("released what %s of container %.13s had", a->ifname, a->container_id);
	return 0;
}

int ipam_gc(struct cni_call *c, int *code, struct err *e)
{
	struct attachment *v = NULL;
	struct err mine = { .kind = ERR_NONE };
	AUTO_STR boot_id = STR_INIT;
	const json *valid;
	struct options o;
	size_t n = 0;
	int rc = 0;

	(void)code;
	if (read_options(c, &o, &mine) < 0 || read_valid(c, &valid, &mine) < 0 ||
	    attachment_list(o.state_dir, &v, &n, &mine) < 0)
		return err_copy(e, &mine);
	if (file_read("/proc/sys/kernel/random/boot_id", 64, &boot_id, NULL) == 0)
		str_reset(&boot_id, strcspn(boot_id.data, "\n"));
	for (size_t i = 0; i < n; i++) {
		if (rc == 0 && streq(v[i].network, c->name) && !is_valid(valid, &v[i]) &&
		    netns_is_gone(&v[i], boot_id.data))
			rc = collect(&o, &v[i], &mine);
		attachment_release(&v[i]);
	}
	free(v);
	if (rc == 0)
		return 0;
	agent_explain(o.socket, &mine);
	return err_copy(e, &mine);
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	return ipam_add(c, NULL, result, code, e);
}

const struct cni_plugin ipam_plugin = {
	.about = "spiderbox ipam: gives addresses of SpiderIPPools to pods, by way of the node's "
		 "agent",
	.add = add,
	.del = ipam_del,
	.check = ipam_check,
	.gc = ipam_gc,
	.status = ipam_status,
};
