/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.c - starts the agent's parts in the order of their dependencies, and stops them in the
 * other.
 *
 *   sockets -> api.c -> ledger (owns the pools) -> jobs -> store
 *                \-> pods, place, nads, coordinator   \-> endpoints -> store
 *                \-> netstatus -> store
 *                \-> events -> store
 *   releases -> ledger                       scrape.c asks all of them
 *   reconcile -> the kernel
 */
#include <stdlib.h>
#include <string.h>

#include "agent/agent_impl.h"
#include "agent/cniconf.h"
#include "agent/gc.h"
#include "agent/ownips.h"
#include "agent/pause.h"
#include "agent/rounds.h"
#include "agent/thread.h"
#include "base/file.h"
#include "base/log.h"
#include "cni/state.h"
#include "k8s/config.h"
#include "k8s/ippool.h"

#define SOCKET_CONNECTIONS 160
#define SOCKET_IDLE 480 /* plugins that are at work between two requests */
#define HEALTH_CONNECTIONS 16
#define SCRAPE_CONNECTIONS 8
#define BODY_MAX (64 * 1024)
#define SHOW_MS 60000

/* A pod's addresses changed: its endpoint follows. */
static void on_changed(void *ctx, struct pod_grants *g)
{
	endpoints_put(((struct agent *)ctx)->endpoints, g);
}

static void on_pools_listed(void *ctx, const json *items)
{
	struct pool_watch *w = ctx;

	ledger_pools_listed(w->agent->ledger, w->scope, items);
}

static void on_pool_event(void *ctx, enum k8s_event_type type, const json *object)
{
	struct pool_watch *w = ctx;

	ledger_pool_event(w->agent->ledger, w->scope, type, object);
}

static void on_trouble(void *ctx, const struct err *e)
{
	ledger_trouble(((struct agent *)ctx)->ledger, e);
}

static void on_pool_trouble(void *ctx, const struct err *e)
{
	ledger_trouble(((struct pool_watch *)ctx)->agent->ledger, e);
}

static const struct informer_ops pool_ops = { on_pools_listed, on_pool_event, on_pool_trouble };

static void on_reserved_listed(void *ctx, const json *items)
{
	struct ip_set set = IP_SET_INIT;

	json_each(o, items)
	{
		const char *name = json_str_at(o, "metadata", "name", NULL);
		struct err e;

		if (reservedip_read(o, &set, &e) < 0)
			log_warn_err(&e, "SpiderReservedIP %s", name ? name : "");
	}
	ledger_reserved(((struct agent *)ctx)->ledger, &set);
}

/* They are few and change seldom: any change is a reason to read them all. */
static void on_reserved_event(void *ctx, enum k8s_event_type type, const json *object)
{
	struct agent *agent = ctx;
	AUTO_JSON *items = NULL;
	struct err e;

	(void)type;
	(void)object;
	for (int tries = 1; store_list(agent->store, STORE_RESERVEDIP, NULL, NULL, &items, NULL,
	                               mono_in(10000), &e) < 0;
	     tries++) {
		if (tries == 1)
			log_warn_err(&e, "list spiderreservedips");
		if (!pause_backoff(&agent->pause, tries, 5000))
			return;
	}
	on_reserved_listed(ctx, items);
}

static const struct informer_ops reserved_ops = { on_reserved_listed, on_reserved_event,
	                                          on_trouble };

static void look_at(struct agent *a, enum ledger_op op, const char *pod, const char *uid)
{
	struct ledger_request *r = ledger_request_new(op, pod, uid, "", "", mono_in(SHOW_MS), -1);

	if (!ledger_submit(a->ledger, r))
		ledger_request_free(r);
}

static void on_pod_gone(void *ctx, const char *ns, const char *name, const char *uid)
{
	AUTO_FREE char *pod = xasprintf("%s/%s", ns, name);

	look_at(ctx, LEDGER_SHOW, pod, uid);
}

static void show_pod(void *ctx, const char *ns, const char *name, const char *uid)
{
	AUTO_FREE char *pod = xasprintf("%s/%s", ns, name);

	look_at(ctx, LEDGER_SHOW_HELD, pod, uid);
}

static void show_attachments(struct agent *a)
{
	struct attachment *v;
	struct err e;
	size_t n;

	if (attachment_list(a->config.state_dir, &v, &n, &e) < 0) {
		log_warn_err(&e, "attachments");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *pod = pod_key(v[i].pod_namespace, v[i].pod_name, v[i].container_id);

		look_at(a, LEDGER_SHOW_HELD, pod, v[i].pod_uid);
		attachment_release(&v[i]);
	}
	free(v);
}

/* Endpoints of this node whose addresses were given back before an end without warning. */
static void show_endpoints(struct agent *a)
{
	AUTO_FREE char *labels = xasprintf("%s=%s", ENDPOINT_NODE_LABEL, a->config.node);
	struct k8s_selector sel = { labels, NULL };
	AUTO_JSON *items = NULL;
	struct err e;

	for (int tries = 1; strlen(a->config.node) <= LABEL_VALUE_MAX; tries++) {
		if (store_list(a->store, STORE_ENDPOINT, NULL, &sel, &items, NULL, mono_in(10000),
		               &e) == 0)
			break;
		if (tries == 1)
			log_warn_err(&e, "list this node's spiderendpoints");
		if (!pause_backoff(&a->pause, tries, 30000))
			return;
	}
	json_each(o, items)
	{
		const char *ns = json_str_at(o, "metadata", "namespace", NULL);
		const char *name = json_str_at(o, "metadata", "name", NULL);
		const char *uid = json_str_at(o, "status", "current", "uid", NULL);
		AUTO_FREE char *pod = NULL;

		if (!ns || !name || !uid || !*uid)
			continue;
		pod = xasprintf("%s/%s", ns, name);
		look_at(a, LEDGER_SHOW, pod, uid);
	}
}

/* Once everything is known, endpoints that a crash left behind are made to fit. */
static void *rebuild_main(void *arg)
{
	struct agent *a = arg;

	while (!agent_synced(a))
		if (!pause_until(&a->pause, mono_in(50)))
			return NULL;
	log_info("the agent of node %s is ready", a->config.node);
	pods_each(a->pods, show_pod, a);
	show_attachments(a);
	show_endpoints(a);
	return NULL;
}

bool agent_synced(struct agent *a)
{
	return ledger_synced(a->ledger) && pods_synced(a->pods);
}

static int start_ledger(struct agent *a, struct err *e)
{
	struct ledger_config c = {
		.store = a->store,
		.node = a->config.node,
		.agent_namespace = a->config.agent_namespace,
		.scoped = !store_is_dir(a->store),
		.rounds = a->rounds,
		.max_records = a->config.max_records,
		.keep_statefulset = a->config.settings->statefulset,
		.keep_vmi = a->config.settings->kubevirt,
		.changed = on_changed,
		.ctx = a,
	};

	if (endpoints_start(a->store, a->config.node, &a->endpoints, e) < 0)
		return -1;
	if (ledger_start(&c, &a->ledger, e) < 0)
		return -1;
	return ownips_start(a->ledger, &a->ownips, e);
}

static int watch_pools(struct agent *a, size_t i, enum ledger_scope scope, const char *labels,
                       struct err *e)
{
	struct pool_watch *w = &a->pool_watches[i];

	*w = (struct pool_watch){ a, scope, NULL };
	return informer_start(a->store, STORE_IPPOOL, labels, NULL, &pool_ops, w, &w->informer, e);
}

/* A directory holds the pools of one machine: all of them. */
static int start_pool_watches(struct agent *a, struct err *e)
{
	if (store_is_dir(a->store))
		return watch_pools(a, 0, LEDGER_SCOPE_ALL, NULL, e);
	if (watch_pools(a, 0, LEDGER_SCOPE_NODE, a->pool_label, e) < 0)
		return -1;
	return watch_pools(a, 1, LEDGER_SCOPE_FREE, "!" POOL_LABEL_PINNED, e);
}

static int start_events(struct agent *a, struct err *e)
{
	struct events_config c = { .store = a->store, .pods = a->pods, .node = a->config.node };

	return events_start(&c, &a->events, e);
}

static int start_coordinator(struct agent *a, struct err *e)
{
	const char *slash = strrchr(a->config.socket, '/');
	AUTO_FREE char *folder =
		slash && slash > a->config.socket
			? xstrndup(a->config.socket, (size_t)(slash - a->config.socket))
			: NULL;

	/* the socket goes there as well */
	if (folder && file_mkdirs(folder, 0755, e) < 0)
		return -1;
	return coordinator_start(a->store, &a->config.coordinator, folder, &a->coordinator, e);
}

static int start_informers(struct agent *a, struct err *e)
{
	struct pods_ops ops = { on_pod_gone, a };

	if (pods_start(a->store, a->config.node, &ops, &a->pods, e) < 0)
		return -1;
	a->place = place_new(a->store, a->config.node, PLACE_KEEP_MS);
	endpoints_use(a->endpoints, a->pods);
	if (nads_start(a->store, &a->nads, e) < 0 ||
	    netstatus_start(a->store, a->config.state_dir, &a->netstatus, e) < 0)
		return -1;
	if (start_events(a, e) < 0 || start_coordinator(a, e) < 0 ||
	    informer_start(a->store, STORE_RESERVEDIP, NULL, NULL, &reserved_ops, a,
	                   &a->reserved_informer, e) < 0)
		return -1;
	return start_pool_watches(a, e);
}

static int start_scrape(struct agent *a, struct err *e)
{
	struct server_config c = {
		.ops = &scrape_ops,
		.ctx = a,
		.max_connections = SCRAPE_CONNECTIONS,
		.max_body = 0,
		.idle_ms = 2000,
	};

	if (!a->config.metrics || !*a->config.metrics)
		return 0;
	if (server_start_tcp(a->config.metrics, &c, &a->scrape, e) < 0)
		return err_wrap(e, "metrics");
	return 0;
}

static int start_servers(struct agent *a, struct err *e)
{
	a->socket_config = (struct server_config){
		.ops = &api_socket_ops,
		.ctx = a,
		.max_connections = SOCKET_CONNECTIONS,
		.max_idle = SOCKET_IDLE,
		.max_body = BODY_MAX,
		.idle_ms = 30000,
		.root_only = true,
	};
	a->health_config = (struct server_config){
		.ops = &api_health_ops,
		.ctx = a,
		.max_connections = HEALTH_CONNECTIONS,
		.max_body = 0,
		/* anybody may come: few places, and each is free again soon */
		.first_ms = 2000,
	};
	if (a->config.health && *a->config.health &&
	    server_start_tcp(a->config.health, &a->health_config, &a->health, e) < 0)
		return -1;
	if (start_scrape(a, e) < 0)
		return -1;
	return server_start_unix(a->config.socket, &a->socket_config, &a->socket, e);
}

static bool may_collect(void *ctx)
{
	return agent_synced(ctx);
}

static int start_gc(struct agent *a, struct err *e)
{
	struct gc_config c = {
		.store = a->store,
		.ledger = a->ledger,
		.pods = a->pods,
		.metrics = a->metrics,
		.inflight = &a->inflight,
		.node = a->config.node,
		.state_dir = a->config.state_dir,
		.boot_id = a->boot_id,
		.keep_statefulset = a->config.settings->statefulset,
		.keep_vmi = a->config.settings->kubevirt,
		.ready = may_collect,
		.ctx = a,
		.round_ms = a->config.gc_ms,
	};

	return gc_start(&c, &a->gc, e);
}

static int start_reconcile(struct agent *a, struct err *e)
{
	struct reconcile_config c = {
		.metrics = a->metrics,
		.state_dir = a->config.state_dir,
		.boot_id = a->boot_id,
		.tune = a->config.settings->tune_sysctls,
		.ipv4 = a->config.settings->ipv4,
		.ipv6 = a->config.settings->ipv6,
	};

	return reconcile_start(&c, &a->reconcile, e);
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* The plugin is told of the API server that we know: k8s_config_default(). */
static int start_cniconf(struct agent *a, struct err *e)
{
	struct cniconf_config c = {
		.dir = a->config.multus_conf_dir,
		.network = a->config.default_network,
		.namespace = a->config.agent_namespace,
		.socket = a->config.socket,
		.host = env("KUBERNETES_SERVICE_HOST"),
		.port = env("KUBERNETES_SERVICE_PORT"),
		.members = a->config.settings ? a->config.settings->multus : NULL,
	};

	if (!c.dir)
		return 0;
	if (str_starts(a->config.store, "kube:"))
		c.kubeconfig = a->config.store + strlen("kube:");
	else if (!store_is_dir(a->store))
		c.kubeconfig = env("KUBECONFIG");
	if (!store_is_dir(a->store) && !c.kubeconfig && c.host && c.port)
		c.account = K8S_SERVICE_ACCOUNT_DIR;
	return cniconf_start(&c, &a->cniconf, e);
}

static int start(struct agent *a, struct err *e)
{
	if (coordinator_check(&a->config.coordinator, e) < 0 ||
	    file_mkdirs(a->config.state_dir, 0700, e) < 0 ||
	    store_open(a->config.store, a->config.context, &a->store, e) < 0 ||
	    start_ledger(a, e) < 0 || start_informers(a, e) < 0 ||
	    releases_start(a->ledger, a->config.state_dir, &a->releases, e) < 0 ||
	    start_gc(a, e) < 0 || start_reconcile(a, e) < 0 || start_servers(a, e) < 0 ||
	    start_cniconf(a, e) < 0 || thread_start(&a->rebuild, rebuild_main, a, e) < 0)
		return -1;
	a->rebuilding = true;
	return 0;
}

/* Distinguishes attachments made before a reboot; without it none is. */
static void read_boot_id(struct agent *a)
{
	AUTO_STR text = STR_INIT;

	if (file_read("/proc/sys/kernel/random/boot_id", sizeof(a->boot_id) - 1, &text, NULL) < 0)
		return;
	memcpy(a->boot_id, text.data, text.len);
	a->boot_id[strcspn(a->boot_id, "\n")] = '\0';
}

int agent_start(const struct agent_config *config, struct agent **out, struct err *e)
{
	struct agent *a = xcalloc(1, sizeof(*a));

	a->config = *config;
	a->pool_label = pool_node_label(config->node);
	if (!a->config.settings)
		a->config.settings = &settings_default;
	a->metrics = metrics_new();
	pause_init(&a->pause);
	inflight_init(&a->inflight);
	read_boot_id(a);
	a->rounds = rounds_read(config->state_dir);
	if (start(a, e) < 0) {
		agent_stop(a);
		return -1;
	}
	*out = a;
	return 0;
}

void agent_stop(struct agent *a)
{
	if (!a)
		return;
	cniconf_stop(a->cniconf);
	pods_end(a->pods);
	place_end(a->place);
	nads_end(a->nads);
	server_stop(a->socket);
	server_stop(a->health);
	server_stop(a->scrape);
	pause_end(&a->pause);
	if (a->rebuilding)
		pthread_join(a->rebuild, NULL);
	gc_stop(a->gc);
	reconcile_stop(a->reconcile);
	ownips_stop(a->ownips);
	releases_stop(a->releases);
	for (size_t i = 0; i < ARRAY_LEN(a->pool_watches); i++)
		informer_stop(a->pool_watches[i].informer);
	informer_stop(a->reserved_informer);
	coordinator_stop(a->coordinator);
	ledger_stop(a->ledger);
	endpoints_stop(a->endpoints);
	events_stop(a->events);
	netstatus_stop(a->netstatus);
	nads_stop(a->nads);
	pods_stop(a->pods);
	place_free(a->place);
	ledger_free(a->ledger);
	store_close(a->store);
	metrics_free(a->metrics);
	pause_release(&a->pause);
	inflight_release(&a->inflight);
	free(a->pool_label);
	json_free(a->rounds);
	free(a);
}

unsigned int agent_health_port(const struct agent *a)
{
	return a->health ? server_port(a->health) : 0;
}

unsigned int agent_metrics_port(const struct agent *a)
{
	return a->scrape ? server_port(a->scrape) : 0;
}
