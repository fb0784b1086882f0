/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus.c - the networks of a pod, one after the other: a drop-in for the meta-plugin Multus
 * ("thin").
 *
 * Theory of operation.  The first network is the cluster's, or the one that the pod names; its
 * result is the pod's.  The networks that the pod selects follow.  Before the first of them is
 * touched, <cniDir>/<container id> says which they are; so a DEL needs nothing but that file: no
 * pod, no NetworkAttachmentDefinition, no API server, no agent.  It goes only when all networks
 * have been given up, and a DEL that failed can be repeated.  What is kept of the attachments
 * (cni/list.h) and not in that file is given up as well.
 *
 * No pod hangs for ever.  What says nothing any more (a file cut short, an element of it) counts as
 * gone, with a word in the log; of a file that says nothing at all, the pod is asked once more.  A
 * plugin that is missing is an error for a minute, as one may just be being replaced, and then it
 * counts as gone too.  What a plugin itself refuses stays an error.
 *
 * The file is not synced: after a power cut it may be empty, and an fsync on each ADD is dear.
 *
 * Networks whose plugins are this binary are run without a process.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cni/check.h"
#include "net/netns.h"
#include "net/route.h"
#include "plugins/coordinator.h"
#include "plugins/ifacer.h"
#include "plugins/ipam.h"
#include "plugins/ipvlan.h"
#include "plugins/multus.h"
#include "plugins/multus_conf.h"
#include "plugins/multus_delegate.h"
#include "plugins/multus_select.h"
#include "plugins/multus_source.h"

#define READY_MS 45000 /* for the readiness indicator file */
#define UNDO_MS 10000  /* for what an ADD made, though its own time may be over */
#define SHARE_MS 1000  /* of one network at least, where several share what is left of the time */
#define GUESS_MS 5000  /* for what can be heard of a pod whose file says nothing */
#define LACK_S 60      /* after that long a plugin that is missing counts as gone */
#define LACK ".missing"
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

/* One call and what it works with. */
struct work {
	struct cni_call *call;
	int *code;
	struct multus_conf conf;
	struct multus_source source;
	struct multus_pod pod;
	struct multus_delegates delegates;
	char *path;     /* CNI_PATH for the delegates */
	char *infra_id; /* K8S_POD_INFRA_CONTAINER_ID */
	/* whose networks: the call's, or that of a container that is collected */
	const char *container_id, *netns;
	char *scratch;        /* <cniDir>/<container id> */
	char *lack;           /* with LACK behind it: since when a plugin has been missing */
	struct mono deadline; /* of what is done for the network at hand */
	bool conf_read;       /* false: of the configuration the folders alone */
	bool by_kept;         /* what is kept of attachments knows better than the delegates */
	bool was_lacking, is_lacking, skip_missing;
	int pod_ns;
	struct nl *nl; /* of the pod */
	json *result;  /* the master's */
	struct str status;
};

static void work_release(struct work *w)
{
	multus_source_release(&w->source);
	multus_pod_release(&w->pod);
	multus_delegates_release(&w->delegates);
	free(w->path);
	free(w->infra_id);
	free(w->scratch);
	free(w->lack);
	nl_close(w->nl);
	mem_cleanup_fd(&w->pod_ns);
	json_free(w->result);
	str_release(&w->status);
}

#define AUTO_WORK __attribute__((cleanup(work_release))) struct work

static struct work begin(struct cni_call *c, int *code)
{
	return (struct work){ .call = c, .code = code, .pod_ns = -1, .status = STR_INIT };
}

/* The container that the work is about. */
static void about(struct work *w, const char *container_id, const char *netns)
{
	struct stat st;

	free(w->scratch);
	free(w->lack);
	w->container_id = container_id;
	w->netns = netns;
	w->scratch = xasprintf("%s/%s", w->conf.cni_dir, container_id);
	w->lack = xasprintf("%s" LACK, w->scratch);
	w->was_lacking = stat(w->lack, &st) == 0;
	w->skip_missing = w->was_lacking && time(NULL) - st.st_mtime >= LACK_S;
	w->is_lacking = false;
}

/* What the call and the configuration say, once that is read. */
static void prepare(struct work *w)
{
	const struct cni_call *c = w->call;

	w->source.conf = &w->conf;
	w->source.call = c;
	w->path =
		*c->path ? xasprintf("%s:%s", w->conf.bin_dir, c->path) : xstrdup(w->conf.bin_dir);
	w->infra_id = multus_arg(c->args, "K8S_POD_INFRA_CONTAINER_ID");
	w->deadline = c->deadline;
	about(w, c->container_id, c->netns);
	plugin_log_open("multus", &w->conf.log, c);
}

static int read_conf(struct work *w, struct err *e)
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

/* For DEL: what somebody broke since the ADD does not matter, but for where the files are. */
static void read_leniently(struct work *w)
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

/* What one network is run with. */
struct run {
	struct cni_runtime rt;
	char *args;
	json *capabilities;
};

static void run_release(struct run *r)
{
	free(r->args);
	json_free(r->capabilities);
}

#define AUTO_RUN __attribute__((cleanup(run_release))) struct run

static struct cni_runtime runtime(const struct work *w)
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
	};
}

/* The next of so many networks gets its part of the time; what it leaves is the others'. */
static void share_time(struct work *w, size_t networks)
{
	int64_t part = w->call->deadline.ms - mono_now().ms;

	if (networks > 1)
		part /= (int64_t)networks;
	w->deadline = mono_in(part > SHARE_MS ? part : SHARE_MS);
}

static struct run run_of(const struct work *w, const struct multus_delegate *d)
{
	struct run r = {
		.rt = runtime(w),
		.args = multus_args(w->call, w->infra_id, d),
		.capabilities = multus_capability_args(w->conf.runtime_config, d),
	};

	r.rt.ifname = d->ifname;
	r.rt.args = r.args;
	r.rt.capability_args = r.capabilities;
	return r;
}

/* Plugins that were called without a process have left the log theirs. */
static void reopen_log(const struct work *w)
{
	plugin_log_open("multus", &w->conf.log, w->call);
}

/* Which networks. */
static int add_delegate(struct work *w, json *conf, const char *name, const char *device,
                        json *request, struct err *e)
{
	if (multus_is_itself(conf)) {
		err_fill(e, ERR_CONFIG, "network %s is multus itself", name ? name : "");
		json_free(conf);
		json_free(request);
		return -1;
	}
	return multus_delegate_add(&w->delegates, conf, name, device, request, w->call->version, e);
}

/* request is taken. */
static int add_definition(struct work *w, json *request, struct err *e)
{
	const char *ns = json_str_at(request, "namespace", NULL);
	const char *name = json_str_at(request, "name", NULL);
	AUTO_FREE char *full = xasprintf("%s/%s", ns, name);
	AUTO_FREE char *resource = NULL;
	json *conf = NULL;

	if (multus_source_network(&w->source, ns, name, &conf, &resource, e) < 0) {
		json_free(request);
		return -1;
	}
	if (resource)
		log_warn(
			"NetworkAttachmentDefinition %s/%s: devices of device plugins (%s) are "
			"not supported",
			ns, name, resource);
	if (add_delegate(w, conf, name, NULL, request, e) < 0)
		return err_wrap(e, "NetworkAttachmentDefinition %s", full);
	return 0;
}

static json *element(const char *ns, const char *name)
{
	json *o = json_new_object();

	json_set_str(o, "name", name);
	json_set_str(o, "namespace", ns);
	return o;
}

/* "namespace/name", when a value of the configuration names a definition; NULL: it is a path. */
static char *definition_name(const struct work *w, const char *value)
{
	if (*value == '/' || *value == '.')
		return NULL;
	return strchr(value, '/') ? xstrdup(value)
	                          : xasprintf("%s/%s", w->conf.multus_namespace, value);
}

/* A folder or a file. */
static int add_path(struct work *w, const char *path, struct err *e)
{
	json *conf = NULL;
	struct err mine;

	if (multus_file_read(path, &conf, &mine) < 0 &&
	    (access(path, X_OK) < 0 || multus_file_network(path, NULL, &conf, e) < 0))
		return err_copy(e, &mine);
	return add_delegate(w, conf, NULL, NULL, NULL, e);
}

/* clusterNetwork, or one of defaultNetworks. */
static int add_configured(struct work *w, const char *value, struct err *e)
{
	AUTO_FREE char *full = definition_name(w, value);
	char *slash = full ? strchr(full, '/') : NULL;
	json *conf = NULL;
	struct err mine;

	if (!full)
		return add_path(w, value, e);
	*slash = '\0';
	if (add_definition(w, element(full, slash + 1), &mine) == 0)
		return 0;
	if (mine.kind != ERR_NOT_FOUND || strchr(value, '/'))
		return err_copy(e, &mine);
	if (multus_file_network(w->conf.conf_dir, value, &conf, e) < 0)
		return err_wrap(e, "%s, and", mine.msg);
	return add_delegate(w, conf, NULL, NULL, NULL, e);
}

/* The pod's annotations, as lists of elements; NULL: none. */
static int select_networks(struct work *w, json **first, json **more, struct err *e)
{
	if (w->pod.default_network) {
		if (multus_select(w->pod.default_network, w->conf.multus_namespace, first, e) < 0)
			return err_wrap(e, "annotation " MULTUS_DEFAULT_NETWORK);
		if (!json_first(*first)) {
			json_free(*first);
			*first = NULL;
		} else if (json_count(*first) > 1)
			return err_set(e, ERR_CONFIG,
			               "annotation " MULTUS_DEFAULT_NETWORK
			               ": it names %zu networks, and can name one",
			               json_count(*first));
	}
	if (!w->pod.networks)
		return 0;
	if (multus_select(w->pod.networks, w->call->pod_namespace, more, e) < 0)
		return err_wrap(e, "annotation " MULTUS_NETWORKS);
	json_each(o, *more)
	{
		const char *ns = json_str_at(o, "namespace", NULL);

		if (!multus_may_refer(&w->conf, w->call->pod_namespace, ns))
			return err_set(e, ERR_CONFIG,
			               "annotation " MULTUS_NETWORKS
			               ": a pod of namespace %s may not use networks of namespace "
			               "%s (namespaceIsolation)",
			               w->call->pod_namespace, ns);
	}
	return 0;
}

static bool has_default_networks(const struct work *w)
{
	return *w->conf.cluster_network &&
	       !multus_is_system_namespace(&w->conf, w->call->pod_namespace);
}

static void expect_configured(struct work *w, json *if_known, const char *value)
{
	AUTO_FREE char *full = definition_name(w, value);

	if (full)
		json_append_str(if_known, full);
}

static void expect_elements(json *names, const json *elements)
{
	json_each(o, elements)
	{
		AUTO_FREE char *full = xasprintf("%s/%s", json_str_at(o, "namespace", NULL),
		                                 json_str_at(o, "name", NULL));

		json_append_str(names, full);
	}
}

static int expect(struct work *w, const json *first, const json *more, struct err *e)
{
	AUTO_JSON *names = json_new_array();
	AUTO_JSON *if_known = json_new_array();

	if (!first && *w->conf.cluster_network)
		expect_configured(w, if_known, w->conf.cluster_network);
	json_each(v, has_default_networks(w) ? w->conf.default_networks : NULL)
		expect_configured(w, if_known, json_text(v));
	expect_elements(names, first);
	expect_elements(names, more);
	return multus_source_expect(&w->source, names, if_known, e);
}

/* clusterNetwork, or the configuration's delegates but the first when the pod has one of its own.
 */
static int add_cluster(struct work *w, bool replaced, struct err *e)
{
	bool skip = replaced;

	if (*w->conf.cluster_network) {
		if (!replaced && add_configured(w, w->conf.cluster_network, e) < 0)
			return err_wrap(e, "clusterNetwork %s", w->conf.cluster_network);
		return 0;
	}
	json_each(o, w->conf.delegates)
	{
		/* guides show them without a name */
		if (!skip && add_delegate(w, json_copy(o), w->call->name, NULL, NULL, e) < 0)
			return err_wrap(e, "delegates");
		skip = false;
	}
	return 0;
}

static int add_elements(struct work *w, json *elements, const char *annotation, struct err *e)
{
	while (json_first(elements))
		if (add_definition(w, json_detach(elements, json_first(elements)), e) < 0)
			return err_wrap(e, "annotation %s", annotation);
	return 0;
}

static int find_delegates(struct work *w, struct err *e)
{
	AUTO_JSON *first = NULL;
	AUTO_JSON *more = NULL;

	if (select_networks(w, &first, &more, e) < 0 || expect(w, first, more, e) < 0)
		return -1;
	if ((first && add_elements(w, first, MULTUS_DEFAULT_NETWORK, e) < 0) ||
	    add_cluster(w, first != NULL, e) < 0)
		return -1;
	json_each(v, has_default_networks(w) ? w->conf.default_networks : NULL)
	{
		if (add_configured(w, json_text(v), e) < 0)
			return err_wrap(e, "defaultNetworks: %s", json_text(v));
	}
	if (more && add_elements(w, more, MULTUS_NETWORKS, e) < 0)
		return -1;
	return multus_delegates_finish(&w->delegates, w->call->ifname, e);
}

/* Watches the nearest folder above the file that there is. */
static void watch_above(int fd, const char *file)
{
	AUTO_FREE char *folder = xstrdup(file);
	char *slash;

	while ((slash = strrchr(folder, '/'))) {
		slash[slash == folder] = '\0';
		if (inotify_add_watch(fd, folder,
		                      IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF) >=
		            0 ||
		    slash == folder)
			return;
	}
}

/* The default network writes it when it is ready. */
static int wait_until_ready(struct work *w, struct err *e)
{
	const char *file = w->conf.readiness_file;
	struct mono deadline = mono_min(w->call->deadline, mono_in(READY_MS));

	while (*file && access(file, F_OK) < 0) {
		AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (fd < 0)
			return err_sys(e, errno, "open an inotify instance");
		watch_above(fd, file);
		if (access(file, F_OK) == 0)
			break;
		if (mono_passed(deadline))
			return err_set(
				e, ERR_TIMEOUT,
				"readinessindicatorfile: %s is not there after %d seconds: is "
				"the default network ready?",
				file, READY_MS / 1000);
		(void)poll(&p, 1, mono_left_ms(deadline));
	}
	return 0;
}

/* ADD. */
static int wrap(const struct work *w, const char *network, struct err *e)
{
	const struct cni_call *c = w->call;

	return err_wrap(e, "[%s/%s/%s:%s]: error adding container to network \"%s\"",
	                c->pod_namespace, c->pod_name, c->pod_uid, network, network);
}

static int save_delegates(struct work *w, struct err *e)
{
	AUTO_STR text = STR_INIT;

	multus_scratch_write(&w->delegates, &text);
	if (file_mkdirs(w->conf.cni_dir, 0700, e) < 0 ||
	    file_write(w->scratch, text.data, text.len, 0600, 0, e) < 0) {
		*w->code = CNI_E_IO;
		return -1;
	}
	return 0;
}

static int check_free(struct work *w, const struct multus_delegate *d, struct err *e)
{
	struct link l;
	struct err mine;

	if (link_get(w->nl, d->ifname, &l, &mine) == 0)
		return err_set(e, ERR_EXISTS, "interface %s is already in the pod (%s)", d->ifname,
		               w->call->netns);
	return mine.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &mine);
}

/* Before anything is written: a second ADD for a container must not touch what the first one left.
 */
static int check_all_free(struct work *w, struct err *e)
{
	for (size_t i = 0; i < w->delegates.n; i++)
		if (check_free(w, &w->delegates.v[i], e) < 0)
			return wrap(w, w->delegates.v[i].network.name, e);
	return 0;
}

static int drop_defaults(struct work *w, int family, int index, struct err *e)
{
	AUTO_FREE struct route *routes = NULL;
	size_t n = 0;
	struct err mine;

	if (route_list(w->nl, family, RT_TABLE_MAIN, &routes, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (routes[i].dst.len == 0 && routes[i].oif == index && !routes[i].multipath &&
		    route_del(w->nl, &routes[i], &mine) < 0 && mine.kind != ERR_NOT_FOUND)
			return err_copy(e, &mine);
	return 0;
}

static int set_default(struct work *w, struct ip gateway, int index, struct err *e)
{
	struct route r = { .dst = { .ip = { .family = gateway.family } },
		           .gw = gateway,
		           .oif = index };
	struct err mine;

	if (route_add(w->nl, &r, ROUTE_CREATE, &mine) == 0 || mine.sys == EEXIST)
		return 0;
	return err_copy(e, &mine);
}

/* What the pod's default-route says. */
static int set_default_routes(struct work *w, const struct multus_delegate *d, json *result,
                              const struct run *r, struct err *e)
{
	bool changed = false;
	struct link l;

	for (int f = 0; f < MULTUS_FAMILIES; f++) {
		struct ip gateway;
		bool wanted = multus_gateway(d, f, &gateway);

		if (!d->filter[f] && !wanted)
			continue;
		if (!changed && link_get(w->nl, d->ifname, &l, e) < 0)
			return -1;
		changed = true;
		if (drop_defaults(w, f == MULTUS_V4 ? 4 : 6, l.index, e) < 0 ||
		    (wanted && set_default(w, gateway, l.index, e) < 0))
			return err_wrap(e, "default route of %s", d->ifname);
	}
	if (!changed)
		return 0;
	multus_filter_result(result, d);
	return cni_network_keep(&d->network, &r->rt, result, e);
}

static int add_one(struct work *w, const struct multus_delegate *d, struct err *e)
{
	AUTO_RUN r = run_of(w, d);
	AUTO_JSON *result = NULL;
	int rc;

	rc = cni_network_add(&d->network, &r.rt, &result, w->code, e);
	reopen_log(w);
	if (rc < 0 || set_default_routes(w, d, result, &r, e) < 0)
		return -1;
	log_info("added %s to network %s (%s)", d->ifname, d->name, d->network.name);
	multus_status_add(&w->status, d, result);
	if (d->is_master)
		w->result = take_ptr(&result);
	return 0;
}

/* Giving up.  All is tried; the first failure is the one to report. */
static void noted(struct work *w, struct cni_first *f, const struct cni_network *n,
                  const struct cni_runtime *rt, const char *name, int rc, int code,
                  struct err *mine)
{
	reopen_log(w);
	if (rc == 0)
		return;
	if (mine->kind == ERR_NOT_FOUND && cni_network_lacks(n, rt))
		w->is_lacking = true;
	err_prefix(mine, "network %s, interface %s", name, rt->ifname);
	log_warn_err(mine, "DEL");
	cni_first_note(f, rc, code, mine);
}

static void del_delegate(struct work *w, const struct multus_delegate *d, struct cni_first *f)
{
	AUTO_RUN r = run_of(w, d);
	struct err mine;
	int code = 0, rc;

	if (d->broken) {
		log_warn("%s: network %s: %s: nobody can give it up, and it counts as gone",
		         w->scratch, d->name, d->broken);
		return;
	}
	rc = cni_network_del(&d->network, &r.rt, &code, &mine);
	noted(w, f, &d->network, &r.rt, d->name, rc, code, &mine);
}

static void del_attachment(struct work *w, const struct cni_attachment *a, struct cni_first *f)
{
	AUTO_CNI_NETWORK n = { .conf = NULL };
	struct cni_runtime rt = runtime(w);
	struct err mine;
	int code = 0, rc;

	if (!a->conf) {
		cni_attachment_forget(a, "it cannot be read");
		return;
	}
	if (cni_network_read_kept(json_copy(a->conf), a->network, w->call->version, &n, &mine) <
	    0) {
		cni_attachment_forget(a, mine.msg);
		return;
	}
	rt.ifname = a->ifname;
	rt.args = a->args;
	rt.capability_args = a->capability_args;
	if (!*rt.netns)
		rt.netns = a->netns;
	rc = cni_network_del(&n, &rt, &code, &mine);
	noted(w, f, &n, &rt, a->network, rc, code, &mine);
}

/* What was made goes; the file stays while something is left for the runtime's DEL to do. */
static void roll_back(struct work *w, size_t count)
{
	struct mono until = mono_in(UNDO_MS);
	struct cni_first f = { .rc = 0 };

	if (w->call->deadline.ms < until.ms)
		w->call->deadline = until;
	w->skip_missing = true; /* it has made nothing just now */
	for (size_t i = count; i-- > 0;) {
		share_time(w, i + 1);
		del_delegate(w, &w->delegates.v[i], &f);
	}
	if (f.rc == 0)
		IGNORE(file_remove(w->scratch, 0, NULL, NULL));
}

static int add_all(struct work *w, struct err *e)
{
	size_t n = w->delegates.n;

	for (size_t i = 0; i < n; i++) {
		const struct multus_delegate *d = &w->delegates.v[i];

		/* one that an earlier network made is not this one's to give up */
		if (i && check_free(w, d, e) < 0) {
			roll_back(w, i);
			return wrap(w, d->network.name, e);
		}
		if (add_one(w, d, e) < 0) {
			roll_back(w, i + 1);
			return wrap(w, d->network.name, e);
		}
	}
	str_addc(&w->status, ']');
	if (w->pod.known && multus_source_status(&w->source, &w->pod, w->status.data, e) < 0) {
		roll_back(w, n);
		return -1;
	}
	return 0;
}

static int open_pod(struct work *w, struct err *e)
{
	if (netns_open(w->call->netns, &w->pod_ns, e) < 0) {
		*w->code = CNI_E_NETNS;
		return -1;
	}
	return netns_nl(w->pod_ns, NETLINK_ROUTE, &w->nl, e);
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	AUTO_WORK w = begin(c, code);
	struct err mine;

	if (read_conf(&w, &mine) < 0 || open_pod(&w, &mine) < 0 ||
	    wait_until_ready(&w, &mine) < 0 || multus_source_pod(&w.source, &w.pod, &mine) < 0 ||
	    find_delegates(&w, &mine) < 0 || check_all_free(&w, &mine) < 0 ||
	    save_delegates(&w, &mine) < 0 || add_all(&w, &mine) < 0) {
		if (w.conf.log.path)
			log_err(&mine, "ADD");
		return err_copy(e, &mine);
	}
	*result = take_ptr(&w.result);
	cni_result_convert(*result, c->version);
	return 0;
}

/* DEL. */
static int read_scratch(struct work *w, bool *found, struct err *e)
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

/* The file is there and says nothing: what the pod asks for is what it was made of, most likely. */
static void guess_delegates(struct work *w)
{
	struct mono before = w->call->deadline;
	struct err mine;

	w->call->deadline = mono_min(before, mono_in(GUESS_MS));
	if (multus_source_pod(&w->source, &w->pod, &mine) < 0 || find_delegates(w, &mine) < 0) {
		log_warn_err(&mine,
		             "what the networks were cannot be found out: those of which "
		             "nothing else is kept count as gone");
		multus_delegates_release(&w->delegates);
	}
	w->call->deadline = before;
	w->by_kept = true;
}

static void read_delegates(struct work *w)
{
	struct err mine;
	bool found;

	multus_delegates_release(&w->delegates);
	if (read_scratch(w, &found, &mine) == 0)
		return;
	log_warn_err(&mine, "DEL goes on without it");
	if (w->conf_read && streq(w->container_id, w->call->container_id))
		guess_delegates(w);
}

static bool is_same(const struct multus_delegate *d, const struct cni_attachment *a)
{
	return !d->broken && a->conf && streq(d->ifname, a->ifname) &&
	       streq(d->network.name, a->network);
}

/* Of the delegate; NULL: there is nothing kept. */
static const struct cni_attachment *kept_of(const struct multus_delegate *d,
                                            const struct cni_attachment *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(d, &v[i]))
			return &v[i];
	return NULL;
}

static bool is_delegates(const struct work *w, const struct cni_attachment *a)
{
	for (size_t i = 0; i < w->delegates.n; i++)
		if (is_same(&w->delegates.v[i], a))
			return true;
	return false;
}

static void del_all(struct work *w, const struct cni_attachment *v, size_t n, struct cni_first *f)
{
	const char *master = *w->call->ifname ? w->call->ifname : "eth0";
	size_t left = w->delegates.n;

	for (size_t i = 0; i < n; i++)
		left += !is_delegates(w, &v[i]);
	for (size_t i = w->delegates.n; i-- > 0; left--) {
		const struct multus_delegate *d = &w->delegates.v[i];
		const struct cni_attachment *a = w->by_kept ? kept_of(d, v, n) : NULL;

		share_time(w, left);
		if (a)
			del_attachment(w, a, f);
		else
			del_delegate(w, d, f);
	}
	/* the others; the pod's own interface last */
	for (int last = 0; last <= 1; last++)
		for (size_t i = 0; i < n; i++) {
			if (streq(v[i].ifname, master) != (last == 1) || is_delegates(w, &v[i]))
				continue;
			share_time(w, left--);
			del_attachment(w, &v[i], f);
		}
}

/* The runtime comes again: how long will it have been? */
static void note_lack(struct work *w)
{
	struct err mine;

	if (!w->was_lacking && file_write(w->lack, "", 0, 0600, 0, &mine) < 0)
		log_warn_err(&mine, "DEL");
}

/* All networks of the container that the work is about. */
static void del_container(struct work *w, struct cni_first *f)
{
	struct cni_attachment *v = NULL;
	struct cni_first its = { .rc = 0 };
	size_t n = 0;
	struct err mine;
	int rc;

	read_delegates(w);
	rc = cni_attachments(w->conf.cni_dir, w->container_id, &v, &n, &mine);
	cni_first_note(&its, rc, CNI_E_IO, &mine);
	del_all(w, v, n, &its);
	cni_attachments_free(v, n);
	if (w->is_lacking)
		note_lack(w);
	if (its.rc == 0) {
		rc = file_remove(w->scratch, 0, NULL, &mine);
		cni_first_note(&its, rc, CNI_E_IO, &mine);
		if (w->was_lacking)
			IGNORE(file_remove(w->lack, 0, NULL, NULL));
	}
	cni_first_note(f, its.rc, its.code, &its.err);
}

/* What killed calls left. */
static void sweep(const struct work *w)
{
	file_sweep(w->conf.cni_dir);
	cni_cache_sweep(w->conf.cni_dir);
}

static int del(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = begin(c, code);
	struct cni_first f = { .rc = 0 };

	read_leniently(&w);
	del_container(&w, &f);
	sweep(&w);
	if (f.rc == 0)
		return 0;
	*code = f.code;
	return err_copy(e, &f.err);
}

/* CHECK, STATUS, GC. */
static int check(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = begin(c, code);
	bool found;

	if (read_conf(&w, e) < 0 || read_scratch(&w, &found, e) < 0)
		return -1;
	if (!found)
		return err_set(e, ERR_NOT_FOUND, "nothing is known of the container: no file %s",
		               w.scratch);
	for (size_t i = 0; i < w.delegates.n; i++) {
		const struct multus_delegate *d = &w.delegates.v[i];
		AUTO_RUN r = run_of(&w, d);
		int rc;

		if (d->broken)
			return err_set(e, ERR_PROTO, "%s: network %s: %s", w.scratch, d->name,
			               d->broken);
		if (d->network.version < CNI_0_4_0)
			continue; /* its plugins know no CHECK */
		rc = cni_network_check(&d->network, &r.rt, code, e);
		reopen_log(&w);
		if (rc < 0)
			return err_wrap(e, "network %s, interface %s", d->name, d->ifname);
	}
	return 0;
}

/* The cluster's network, of no pod. */
static int find_cluster(struct work *w, struct err *e)
{
	if (expect(w, NULL, NULL, e) < 0 || add_cluster(w, false, e) < 0)
		return -1;
	return multus_delegates_finish(&w->delegates, "eth0", e);
}

static int status(struct cni_call *c, int *code, struct err *e)
{
	AUTO_WORK w = begin(c, code);
	struct cni_runtime rt;

	if (read_conf(&w, e) < 0)
		return -1;
	*code = CNI_E_NOT_AVAILABLE;
	if (*w.conf.readiness_file && access(w.conf.readiness_file, F_OK) < 0)
		return err_set(e, ERR_NOT_FOUND, "readinessindicatorfile: %s is not there",
		               w.conf.readiness_file);
	if (find_cluster(&w, e) < 0)
		return -1;
	rt = runtime(&w);
	return cni_network_status(&w.delegates.v[0].network, &rt, code, e);
}

/* Is the container one of those that the runtime knows? */
static bool is_valid(const json *valid, const char *container_id)
{
	json_each(v, valid)
	{
		const char *id = json_str_at(v, "containerID", NULL);

		if (id && streq(id, container_id))
			return true;
	}
	return false;
}

/* Of the containers that are valid, every interface. */
static json *valid_of(const json *valid, const struct cni_attachment *v, size_t n,
                      const char *network)
{
	json *list = json_new_array();

	for (size_t i = 0; i < n; i++) {
		json *o;

		if (!streq(v[i].network, network) || !is_valid(valid, v[i].container_id))
			continue;
		o = json_new_object();
		json_set_str(o, "containerID", v[i].container_id);
		json_set_str(o, "ifname", v[i].ifname);
		json_append(list, o);
	}
	return list;
}

static void gc_network(struct work *w, const struct cni_network *n, const json *valid,
                       const struct cni_attachment *v, size_t count, struct cni_first *f)
{
	AUTO_JSON *its = valid_of(valid, v, count, n->name);
	struct cni_runtime rt = runtime(w);
	struct err mine;
	int code = 0, rc = cni_network_gc(n, &rt, its, &code, &mine);

	reopen_log(w);
	if (rc == 0)
		return;
	log_warn_err(&mine, "GC of network %s", n->name);
	cni_first_note(f, rc, code, &mine);
}

static void collect(struct work *w, const char *container_id, struct cni_first *f)
{
	about(w, container_id, "");
	w->by_kept = true;
	del_container(w, f);
}

/* Containers whose DEL will never come. */
static void collect_scratch(struct work *w, const json *valid, struct cni_first *f)
{
	char **names = NULL;
	size_t n = 0;

	if (file_list(w->conf.cni_dir, &names, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", w->conf.cni_dir, names[i]);
		bool lack = str_ends(names[i], LACK);

		if (lack)
			names[i][strlen(names[i]) - strlen(LACK)] = '\0';
		if (streq(names[i], "results") || is_valid(valid, names[i]) ||
		    check_id("container id", names[i], NULL) < 0)
			continue;
		if (!lack)
			collect(w, names[i], f);
		else if (access(w->scratch, F_OK) < 0)
			IGNORE(file_remove(path, 0, NULL, NULL));
	}
	file_list_free(names, n);
}

/* Those of which results alone are kept. */
static void collect_kept(struct work *w, const json *valid, const struct cni_attachment *v,
                         size_t count, struct cni_first *f)
{
	for (size_t i = 0; i < count; i++) {
		bool used = false;

		if (v[i].conf && !is_valid(valid, v[i].container_id) &&
		    check_id("container id", v[i].container_id, NULL) == 0)
			collect(w, v[i].container_id, f);
		if (v[i].conf || access(v[i].path, F_OK) < 0)
			continue;
		json_each(o, valid)
		{
			const char *id = json_str_at(o, "containerID", NULL);

			used = used || (id && cni_attachment_is_of(&v[i], id));
		}
		if (!used)
			cni_attachment_forget(&v[i], "it cannot be read");
	}
}

/* The cluster's network, and every other one that something was kept of. */
static void gc_networks(struct work *w, const json *valid, const struct cni_attachment *v,
                        size_t count, struct cni_first *f)
{
	bool cluster;
	struct err mine;

	multus_delegates_release(&w->delegates);
	cluster = find_cluster(w, &mine) == 0;
	if (cluster)
		gc_network(w, &w->delegates.v[0].network, valid, v, count, f);
	else
		log_warn_err(&mine, "GC");
	for (size_t i = 0; i < count; i++) {
		AUTO_CNI_NETWORK n = { .conf = NULL };
		bool done = !v[i].conf ||
		            (cluster && streq(w->delegates.v[0].network.name, v[i].network));

		for (size_t k = 0; k < i; k++)
			done = done || streq(v[k].network, v[i].network);
		if (!done && cni_network_read_kept(json_copy(v[i].conf), v[i].network,
		                                   w->call->version, &n, NULL) == 0)
			gc_network(w, &n, valid, v, count, f);
	}
}

static int gc(struct cni_call *c, int *code, struct err *e)
{
	const json *valid = NULL;
	AUTO_WORK w = begin(c, code);
	struct cni_first f = { .rc = 0 };
	struct cni_attachment *v = NULL;
	size_t count = 0;

	if (read_conf(&w, e) < 0 ||
	    json_opt_arr(c->conf, "cni.dev/valid-attachments", &valid, e) < 0)
		return -1;
	if (!valid)
		return 0; /* nobody says what is still in use */
	if (cni_attachments(w.conf.cni_dir, NULL, &v, &count, e) < 0)
		return -1;
	collect_scratch(&w, valid, &f);
	collect_kept(&w, valid, v, count, &f);
	about(&w, "", "");
	w.deadline = c->deadline;
	gc_networks(&w, valid, v, count, &f);
	cni_attachments_free(v, count);
	sweep(&w);
	if (f.rc == 0)
		return 0;
	*code = f.code;
	return err_copy(e, &f.err);
}

const struct cni_plugin multus_plugin = {
	.about = "multus: the networks that a pod selects (Spiderbox)",
	.add = add,
	.del = del,
	.check = check,
	.gc = gc,
	.status = status,
};
