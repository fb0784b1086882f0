/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_work.c - see multus_work.h: the configuration, and what a network is run with.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "plugins/coordinator.h"
#include "plugins/ifacer.h"
#include "plugins/ipam.h"
#include "plugins/ipvlan.h"
#include "plugins/multus_work.h"

#define LACK_S 60 /* after that long a plugin that is missing counts as gone */
#define SCRATCH_MAX (16 * 1024 * 1024)

static const struct cni_builtin builtins[] = {
	{ "ifacer", &ifacer_plugin },
	{ "ipvlan", &ipvlan_plugin },
	{ "ipvlan-setup", &ipvlan_plugin },
	{ "coordinator", &coordinator_plugin },
	{ "spiderpool", &ipam_plugin },
	{ "ipam", &ipam_plugin },
	{ NULL, NULL },
};

void multus_work_release(struct multus_work *w)
{
	multus_source_release(&w->source);
	multus_pod_release(&w->pod);
	multus_delegates_release(&w->delegates);
	free(w->path);
	free(w->infra_id);
	free(w->scratch);
	free(w->lack);
	nl_close(w->nl);
	json_free(w->result);
	str_release(&w->status);
}

struct multus_work multus_begin(struct cni_call *c, int *code)
{
	return (struct multus_work){ .call = c, .code = code, .pod_ns = -1, .status = STR_INIT };
}

void multus_about(struct multus_work *w, const char *container_id, const char *netns)
{
	struct stat st;

	free(w->scratch);
	free(w->lack);
	w->container_id = container_id;
	w->netns = netns;
	w->scratch = xasprintf("%s/%s", w->conf.cni_dir, container_id);
	w->lack = xasprintf("%s" MULTUS_LACK, w->scratch);
	w->was_lacking = stat(w->lack, &st) == 0;
	w->skip_missing = w->was_lacking && time(NULL) - st.st_mtime >= LACK_S;
	w->is_lacking = false;
}

/* What the call and the configuration say, once that is read. */
static void prepare(struct multus_work *w)
{
	const struct cni_call *c = w->call;

	w->source.conf = &w->conf;
	w->source.call = c;
	w->path =
		*c->path ? xasprintf("%s:%s", w->conf.bin_dir, c->path) : xstrdup(w->conf.bin_dir);
	w->infra_id = cni_arg(c->args, "K8S_POD_INFRA_CONTAINER_ID");
	w->deadline = c->deadline;
	multus_about(w, c->container_id, c->netns);
	plugin_log_open("multus", &w->conf.log, c);
}

int multus_read_conf(struct multus_work *w, struct err *e)
{
	AUTO_STR unknown = STR_INIT;

	if (multus_conf_read(w->call->conf, &w->conf, e) < 0) {
		*w->code = CNI_E_CONFIG;
		return -1;
	}
	prepare(w);
	w->conf_read = true;
	json_unknown(w->call->conf, multus_conf_keys, &unknown);
	if (unknown.len)
		log_warn("configuration: unknown keys are ignored: %s", unknown.data);
	return 0;
}

void multus_read_leniently(struct multus_work *w)
{
	const char *dir = NULL, *bin = NULL;
	struct err e;

	if (multus_conf_read(w->call->conf, &w->conf, &e) == 0) {
		prepare(w);
		w->conf_read = true;
		return;
	}
	IGNORE(json_opt_str(w->call->conf, "cniDir", &dir, NULL));
	IGNORE(json_opt_str(w->call->conf, "binDir", &bin, NULL));
	w->conf = (struct multus_conf){
		.kubeconfig = "",
		.agent_socket = "",
		.cni_dir = dir && *dir ? dir : MULTUS_CNI_DIR,
		.bin_dir = bin && *bin ? bin : "/opt/cni/bin",
		.log = { .level = LOG_LEVEL_INFO },
	};
	prepare(w);
	log_warn_err(&e, "DEL goes on");
}

void multus_run_release(struct multus_run *r)
{
	free(r->args);
	json_free(r->capabilities);
}

struct cni_runtime multus_runtime(const struct multus_work *w)
{
	return (struct cni_runtime){
		.container_id = w->container_id,
		.netns = w->netns,
		.ifname = "",
		.args = "",
		.path = w->path,
		.cache_dir = w->conf.cni_dir,
		.builtins = builtins,
		.skip_missing = w->skip_missing,
		.deadline = w->deadline,
		.netns_fd = w->netns == w->call->netns ? w->call->netns_fd : 0,
	};
}

static bool is_ours(const struct multus_delegate *d)
{
	const json *plugins = json_get(d->network.conf, "plugins");
	const char *type =
		json_str_at(plugins ? json_first(plugins) : d->network.conf, "type", NULL);

	for (const struct cni_builtin *b = builtins; type && b->type; b++)
		if (streq(b->type, type))
			return true;
	return false;
}

/* Others get what Multus gives them; ours are told which network it is, for the pools. */
static void tell_network(struct multus_run *r, const struct multus_delegate *d)
{
	char *told;

	if (!strchr(d->name, '/') || !is_ours(d))
		return;
	told = xasprintf("%s;" IPAM_NETWORK_ARG "=%s", r->args, d->name);
	free(r->args);
	r->args = told;
}

struct multus_run multus_run_of(const struct multus_work *w, const struct multus_delegate *d)
{
	struct multus_run r = {
		.rt = multus_runtime(w),
		.args = multus_args(w->call, w->infra_id, d),
		.capabilities = multus_capability_args(w->conf.runtime_config, d),
	};

	tell_network(&r, d);
	r.rt.ifname = d->ifname;
	r.rt.args = r.args;
	r.rt.capability_args = r.capabilities;
	return r;
}

void multus_reopen_log(const struct multus_work *w)
{
	plugin_log_open("multus", &w->conf.log, w->call);
}

int multus_read_scratch(struct multus_work *w, bool *found, struct err *e)
{
	AUTO_STR text = STR_INIT;
	struct err mine;

	*found = false;
	if (file_read_regular(w->scratch, SCRATCH_MAX, &text, &mine) < 0)
		return mine.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &mine);
	if (multus_scratch_read(text.data, text.len, w->call->version,
	                        *w->call->ifname ? w->call->ifname : "eth0", &w->delegates, e) < 0)
		return err_wrap(e, "%s", w->scratch);
	*found = true;
	return 0;
}
