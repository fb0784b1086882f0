/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.c - makes a pod with an underlay interface and its node reach each other, as a
 * chained CNI plugin after the main one.
 *
 * Theory of operation.  A slave of a network card cannot talk to the node that owns the card, nor
 * does its traffic pass the node's netfilter, where kube-proxy works.  So a pair of veth interfaces
 * joins pod and node.  In the pod, routes send what is meant for the node and for services over it;
 * on the node, one rule and a table of its own hold a route to each pod.  Neighbours are permanent,
 * nothing is ever asked by ARP.  What comes in by veth0 from elsewhere (a NodePort whose client
 * address is kept) is marked by connection, and answers with the mark go back by veth0, through
 * table 100.
 *
 * Mode underlay: the pod's first interface makes the pair, further ones use it.  Mode overlay: the
 * first interface is another plugin's veth, which is the pair.  Each further interface has a table
 * of its own (datapath/tune.h).
 *
 * Each change is remembered until all are made, and taken back when a later one fails; what is made
 * is told in a record for the DEL and the agent.  The nf_tables transaction comes last.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "cni/state.h"
#include "datapath/record.h"
#include "net/netns.h"
#include "net/nft.h"
#include "plugins/agent_client.h"
#include "plugins/coordinator.h"
#include "plugins/coordinator_work.h"
#include "plugins/plugin_log.h"

#define FILE_MAX (256 * 1024) /* bytes of the agent's file */

/* What the agent has for the keys that are not in our configuration; *out is owned. */
static int ask_agent(struct work *w, bool wait, json **out, struct err *e)
{
	const json *nad = w->call->conf;
	AUTO_JSON *body = json_new_object();
	const char *socket = AGENT_SOCKET;
	int64_t timeout_ms = CNI_CALL_MS;
	struct mono deadline;

	if (json_opt_str(nad, "agent_socket", &socket, e) < 0 ||
	    json_opt_str(nad, "ipam_unix_socket_path", &socket, e) < 0 ||
	    json_opt_i64(nad, "timeout_ms", &timeout_ms, e) < 0)
		return work_config_error(w);
	if (timeout_ms < 1 || timeout_ms > CNI_CALL_MS) {
		err_fill(e, ERR_CONFIG, "timeout_ms: not between 1 and %d", CNI_CALL_MS);
		return work_config_error(w);
	}
	deadline = mono_min(w->call->deadline, mono_in(timeout_ms));
	json_set_str(body, "podName", w->call->pod_name);
	json_set_str(body, "podNamespace", w->call->pod_namespace);
	if (agent_request(socket, "GET", "/v1/coordinator/config", body, wait, out, deadline, e) ==
	    0)
		return 0;
	*w->code = CNI_E_TRY_AGAIN;
	agent_explain(socket, e);
	return err_wrap(e, "ask the agent for the coordinator's configuration");
}

/* The same document, as the agent left it for the time when it is away. */
static int read_file(struct work *w, const char *path, json **out, struct err *e)
{
	AUTO_STR text = STR_INIT;

	if (file_read_regular(path, FILE_MAX, &text, e) == 0 &&
	    json_parse(text.data, text.len, 0, out, e) == 0)
		return 0;
	*w->code = CNI_E_TRY_AGAIN;
	return err_wrap(e, "the agent's configuration file %s", path);
}

/* The agent's part: from itself; when it is away, from its file; without one it is waited for. */
static int get_agents(struct work *w, bool wait, json **out, struct err *e)
{
	const char *path = COORDINATOR_FILE;
	struct err file;

	if (work_path(w->call->conf, "coordinator_file", &path, e) < 0)
		return work_config_error(w);
	if (ask_agent(w, false, out, e) == 0)
		return 0;
	if (e->kind != ERR_UNREACHABLE)
		return -1;
	if (read_file(w, path, out, &file) == 0) {
		log_warn_err(e, "the configuration is the one of %s", path);
		return 0;
	}
	if (file.kind != ERR_NOT_FOUND)
		return err_copy(e, &file);
	return wait ? ask_agent(w, true, out, e) : -1;
}

/* Where records are. */
static int get_state_dir(struct work *w, struct err *e)
{
	w->state_dir = STATE_DIR;
	return work_path(w->call->conf, "state_dir", &w->state_dir, e) < 0 ? work_config_error(w)
	                                                                   : 0;
}

/* The configuration: ours, and the agent's for the keys that are not there. */
static int get_conf(struct work *w, bool wait, struct err *e)
{
	AUTO_JSON *agent = NULL;
	struct err mine;

	if (!e)
		e = &mine;
	if (!coordinator_conf_complete(w->call->conf) && get_agents(w, wait, &agent, e) < 0)
		return -1;
	*w->code = 0;
	if (coordinator_conf_read(w->call->conf, agent, &w->conf, e) < 0)
		return work_config_error(w);
	return 0;
}

/* The log, and in it what nobody reads. */
static int start_log(struct work *w, struct err *e)
{
	struct plugin_log log;
	AUTO_STR list = STR_INIT;

	if (plugin_log_read_options(w->call->conf, &log, e) < 0) {
		IGNORE(err_wrap(e, "coordinator configuration"));
		return work_config_error(w);
	}
	plugin_log_open("coordinator", &log, w->call);
	json_unknown(w->call->conf, coordinator_conf_keys, &list);
	if (list.len)
		log_warn("configuration: unknown keys are ignored: %s", list.data);
	return 0;
}

/* For the DEL and the agent; both can do without. */
static void write_record(struct work *w)
{
	const struct cni_call *c = w->call;
	AUTO_FREE char *id = xstrdup(c->container_id);
	AUTO_FREE char *ifname = xstrdup(c->ifname);
	AUTO_FREE char *netns = xstrdup(c->netns);
	struct datapath_record r = { .container_id = id,
		                     .ifname = ifname,
		                     .netns = netns,
		                     .boot_id = w->boot_id,
		                     .netns_inode = w->netns_inode,
		                     .overlay = w->overlay,
		                     .first = w->first,
		                     .lead4 = w->facts.lead4,
		                     .lead6 = w->facts.lead6,
		                     .pod_mac = w->link.mac,
		                     .host_mac = w->peer.mac,
		                     .host_index = w->peer.index,
		                     .table = w->facts.table,
		                     .host_table = w->conf.host_rule_table,
		                     .pod_ips = w->pod_ips,
		                     .n_pod_ips = w->n_pod_ips,
		                     .node_ips = w->node_ips,
		                     .n_node_ips = w->n_node_ips,
		                     .src = w->facts.src,
		                     .hijack = w->conf.hijack,
		                     .n_hijack = w->conf.n_hijack,
		                     .tuned = w->conf.tune_pod_routes };
	AUTO_FREE struct cidr *policy = xcalloc(w->conf.n_policy + 1, sizeof(*policy));
	AUTO_FREE struct ip *gws = xcalloc(w->conf.n_policy + 1, sizeof(*gws));
	struct err e;

	for (size_t i = 0; i < w->conf.n_policy; i++) {
		policy[i] = w->conf.policy[i].dst;
		gws[i] = w->conf.policy[i].gw;
	}
	r.policy = policy;
	r.policy_gws = gws;
	r.n_policy = w->conf.n_policy;
	memcpy(r.pod_link, w->link.name, sizeof(r.pod_link));
	memcpy(r.host_link, w->peer.name, sizeof(r.host_link));
	memcpy(r.default_route_nic, w->conf.default_route_nic, sizeof(r.default_route_nic));
	if (datapath_record_write(w->state_dir, &r, &e) < 0)
		log_warn_err(&e, "no record of the interface: the agent will not look after it");
}

/* A MAC address that we gave is in the result as well. */
static void tell_mac(const struct work *w, json *result)
{
	json *list = json_get_mut(result, "interfaces");

	if (!w->conf.has_mac_prefix)
		return;
	/* each once from the front to the end */
	for (size_t n = json_count(list); n > 0; n--) {
		json *i = json_detach(list, json_first(list));
		const char *name = json_str_at(i, "name", NULL);
		const char *sandbox = json_str_at(i, "sandbox", NULL);

		if (name && sandbox && *sandbox && streq(name, w->nic.name))
			json_set_str(i, "mac", mac_str(w->nic.mac).s);
		json_append(list, i);
	}
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1, .host_ns = -1 };
	bool works;

	if (!c->prev_result) {
		*code = CNI_E_CONFIG;
		return err_set(
			e, ERR_CONFIG,
			"there is no prevResult: the coordinator comes after the plugin that "
			"makes the interface");
	}
	if (start_log(&w, e) < 0 || get_state_dir(&w, e) < 0 || get_conf(&w, true, e) < 0)
		return -1;
	works = w.conf.mode != COORDINATOR_DISABLE;
	if (works) {
		if (work_open(&w, e) < 0 || work_look(&w, false, e) < 0 || work_apply(&w, e) < 0)
			return -1;
		write_record(&w);
		log_debug("%u netlink requests", nl_requests(w.pod) + nl_requests(w.host) + 1);
	}
	*result = json_copy(c->prev_result);
	json_set_str(*result, "cniVersion", cni_version_text(c->version));
	if (works)
		tell_mac(&w, *result);
	return 0;
}

/* What the pair's end in the pod marks; a kernel that cannot do it was told of by the ADD. */
static int check_marks(struct work *w, struct err *e)
{
	AUTO_NL *nft = NULL;
	bool marks = false;

	if (netns_nl(w->pod_ns, NETLINK_NETFILTER, &nft, e) < 0 ||
	    nft_marks(nft, COORDINATOR_NFT_TABLE, &marks, e) < 0)
		return e->kind == ERR_NOT_FOUND || e->sys == EPROTONOSUPPORT ? 0 : -1;
	if (!marks)
		return err_set(e, ERR_NOT_FOUND,
		               "the pod lacks the rules of nf_tables table inet %s",
		               COORDINATOR_NFT_TABLE);
	return 0;
}

/*
 * As the ADD had it: what was changed since is for pods to come.  Neither the agent nor its file is
 * asked.
 */
static int recall_conf(struct work *w, struct err *e)
{
	struct datapath_record *r = &w->made;

	if (coordinator_conf_read(w->call->conf, NULL, &w->conf, e) < 0)
		return work_config_error(w);
	free(w->conf.hijack);
	w->conf.hijack = r->hijack;
	w->conf.n_hijack = r->n_hijack;
	r->hijack = NULL;
	r->n_hijack = 0;
	for (w->conf.n_policy = 0;
	     w->conf.n_policy < r->n_policy && w->conf.n_policy < COORDINATOR_ROUTES_MAX;
	     w->conf.n_policy++)
		w->conf.policy[w->conf.n_policy] =
			(struct coordinator_route){ r->policy[w->conf.n_policy],
			                            r->policy_gws[w->conf.n_policy] };
	w->conf.mode = r->overlay ? COORDINATOR_OVERLAY : COORDINATOR_UNDERLAY;
	w->conf.tune_pod_routes = r->tuned;
	w->conf.host_rule_table = r->host_table;
	memcpy(w->conf.default_route_nic, r->default_route_nic, sizeof(r->default_route_nic));
	return 0;
}

static int check(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = { .call = c, .code = code, .pod_ns = -1, .host_ns = -1 };
	struct err mine;

	if (!e)
		e = &mine;
	if (get_state_dir(&w, e) < 0 || work_open(&w, e) < 0)
		return -1;
	work_recall(&w);
	if ((w.made.table ? recall_conf(&w, e) : get_conf(&w, false, e)) < 0)
		return -1;
	if (w.conf.mode == COORDINATOR_DISABLE)
		return 0;
	if (work_look(&w, true, e) < 0)
		return -1;
	*code = CNI_E_GENERIC;
	if (work_plan(&w, e) < 0 || work_check(&w, e) < 0)
		return -1;
	return w.overlay ? 0 : check_marks(&w, e);
}

/* What an ADD needs of the kernel; it can do without marks. */
static int status(struct cni_call *c, int *code, struct err *e)
{
	AUTO_NL *route = NULL;
	AUTO_FREE struct rule *rules = NULL;
	size_t count;

	(void)c;
	*code = CNI_E_NOT_AVAILABLE;
	if (nl_open(NETLINK_ROUTE, &route, e) < 0 || rule_list(route, 4, &rules, &count, e) < 0)
		return err_wrap(e, "the kernel lacks policy routing (IP_MULTIPLE_TABLES)");
	*code = 0;
	return 0;
}

const struct cni_plugin coordinator_plugin = {
	.about = "coordinator: lets pods with underlay interfaces and their node reach each other "
		 "(Spiderbox)",
	.add = add,
	.del = coordinator_del,
	.check = check,
	.status = status,
};
