/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.c - the node's daemon: options, signals, exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "agent/agent.h"
#include "applets/applet.h"
#include "base/args.h"
#include "base/log.h"
#include "base/version.h"
#include "cni/multus_files.h"
#include "cni/state.h"
#include "pool/pool.h"

#define STOP_SECONDS 2 /* then whatever still waits for the store is cut off */

static const char usage[] =
	"usage: agent [daemon] [OPTION]...\n"
	"Gives addresses from SpiderIPPools to this node's pods, over a unix socket.\n"
	"  --config-path FILE       conf.yml of the ConfigMap spiderpool-conf, beside which\n"
	"                           clusterNetwork lies\n"
	"  --store SPEC             kube, kube:KUBECONFIG or dir:PATH (default kube)\n"
	"  --context NAME           of the kubeconfig\n"
	"  --node NAME              this node (default $SPIDERPOOL_NODE_NAME, $NODENAME, host "
	"name)\n"
	"  --socket PATH            default ipamUnixSocketPath of conf.yml,\n"
	"                           " SETTINGS_SOCKET
	";\n"
	"                           coordinator.json is written beside it\n"
	"  --state-dir PATH         attachments and queued releases, default " STATE_DIR
	"\n"
	"  --default-network NS/NAME  network of eth0 of pods without an annotation\n"
	"                           (default $MULTUS_CLUSTER_NETWORK, clusterNetwork)\n"
	"  --agent-namespace NAME   of networks named without one (default\n"
	"                           $SPIDERPOOL_AGENT_NAMESPACE, $SPIDERPOOL_POD_NAMESPACE, "
	"kube-system)\n"
	"  --health-addr ADDRESS:PORT  probes, '' for none; default 127.0.0.1 (without IPv4 "
	"[::1]),\n"
	"                           and $SPIDERPOOL_HEALTH_PORT or 5710\n"
	"  --metrics-addr ADDRESS:PORT  Prometheus metrics, any path; default: none, or with\n"
	"                           $SPIDERPOOL_ENABLED_METRIC=true\n"
	"                           0.0.0.0:$SPIDERPOOL_METRIC_HTTP_PORT (5711)\n"
	"  --multus-conf-dir DIR    keeps DIR/" MULTUS_CONF_NAME
	", by which the runtime calls the multus plugin,\n"
	"                           and the kubeconfig in it; DIR is the same path on the node\n"
	"  --coordinator-mode MODE  auto (default), underlay, overlay or disabled\n"
	"  --overlay-pod-cidr LIST  networks that pods reach through the host, separated by "
	"commas\n"
	"  --service-cidr LIST      default: what the API server's ServiceCIDRs say\n"
	"  --hijack-cidr LIST       further ones and addresses; default 169.254.0.0/16, where the\n"
	"                           node-local DNS is; '' for none\n"
	"  --log-level LEVEL        error, warn, info or debug; default $SPIDERPOOL_LOG_LEVEL, "
	"info\n"
	"  --log-format FORMAT      text (default) or json\n"
	"  --log-file PATH          appended to instead of standard error\n"
	"environment, besides:\n"
	"  SPIDERPOOL_IPPOOL_MAX_ALLOCATED_IPS      of one pool, 5000 is the most\n"
	"  SPIDERPOOL_ENABLED_RELEASE_CONFLICT_IPS  true (default) or false\n"
	"An option wins over the environment, and that over conf.yml.\n"
	"exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 usage\n";

struct options {
	struct agent_config agent;
	struct settings settings;
	const char *config_path, *log_level, *log_format, *log_file;
	char host[256], health[32], metrics[32];
	char *network; /* default_network, where it is made up */
};

static const char *first_of(const char *a, const char *b, const char *c)
{
	if (a && *a)
		return a;
	return b && *b ? b : c;
}

/* As the original is told to serve them. */
static int default_metrics(struct options *o, struct err *e)
{
	const char *on = getenv("SPIDERPOOL_ENABLED_METRIC");
	const char *port = first_of(getenv("SPIDERPOOL_METRIC_HTTP_PORT"), NULL, "5711");

	if (o->agent.metrics || !on || !(strcasecmp(on, "true") == 0 || streq(on, "1")))
		return 0;
	if (fmt(o->metrics, sizeof(o->metrics), "0.0.0.0:%s", port) < 0)
		return err_set(e, ERR_CONFIG, "SPIDERPOOL_METRIC_HTTP_PORT: \"%s\" is no port",
		               port);
	o->agent.metrics = o->metrics;
	return 0;
}

static int parse_args(int argc, char **argv, struct options *o, struct err *e)
{
	struct agent_config *a = &o->agent;
	const struct args_option table[] = {
		{ "config-path", 0, &o->config_path, NULL },
		{ "store", 0, &a->store, NULL },
		{ "context", 0, &a->context, NULL },
		{ "node", 0, &a->node, NULL },
		{ "socket", 0, &a->socket, NULL },
		{ "state-dir", 0, &a->state_dir, NULL },
		{ "default-network", 0, &a->default_network, NULL },
		{ "agent-namespace", 0, &a->agent_namespace, NULL },
		{ "health-addr", 0, &a->health, NULL },
		{ "metrics-addr", 0, &a->metrics, NULL },
		{ "multus-conf-dir", 0, &a->multus_conf_dir, NULL },
		{ "coordinator-mode", 0, &a->coordinator.mode, NULL },
		{ "overlay-pod-cidr", 0, &a->coordinator.overlay_pod_cidr, NULL },
		{ "service-cidr", 0, &a->coordinator.service_cidr, NULL },
		{ "hijack-cidr", 0, &a->coordinator.hijack_cidr, NULL },
		{ "log-level", 0, &o->log_level, NULL },
		{ "log-format", 0, &o->log_format, NULL },
		{ "log-file", 0, &o->log_file, NULL },
		{ NULL, 0, NULL, NULL },
	};
	const char *word;
	size_t words;

	if (args_parse(argc, argv, table, &word, 1, &words, e) < 0)
		return -1;
	/* how the original's manifests call it */
	if (words && !streq(word, "daemon"))
		return err_set(e, ERR_USAGE, "unexpected argument \"%s\"", word);
	return 0;
}

/* A variable's number; *out stays when there is none. */
static int env_number(const char *name, uint32_t max, uint32_t *out, struct err *e)
{
	const char *text = getenv(name);

	if (text && *text && parse_u32(text, 1, max, out, e) < 0)
		return err_wrap(e, "%s", name);
	return 0;
}

/* As Go reads them. */
static int env_bool(const char *name, bool *out, struct err *e)
{
	const char *text = getenv(name);

	if (!text || !*text)
		return 0;
	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "t") == 0 || streq(text, "1"))
		*out = true;
	else if (strcasecmp(text, "false") == 0 || strcasecmp(text, "f") == 0 || streq(text, "0"))
		*out = false;
	else
		return err_set(e, ERR_CONFIG, "%s: \"%s\" is neither true nor false", name, text);
	return 0;
}

/* What neither the command line nor conf.yml says. */
static int read_env(struct options *o, struct err *e)
{
	struct agent_config *a = &o->agent;
	uint32_t port = 5710;
	bool release = true;

	if (env_number("SPIDERPOOL_HEALTH_PORT", 65535, &port, e) < 0 ||
	    env_number("SPIDERPOOL_IPPOOL_MAX_ALLOCATED_IPS", UINT32_MAX, &a->max_records, e) < 0 ||
	    env_bool("SPIDERPOOL_ENABLED_RELEASE_CONFLICT_IPS", &release, e) < 0)
		return -1;
	a->keep_conflict_ips = !release;
	if (a->max_records > POOL_RECORDS_MAX) {
		log_warn("SPIDERPOOL_IPPOOL_MAX_ALLOCATED_IPS: %u is more than %d, which counts",
		         a->max_records, POOL_RECORDS_MAX);
		a->max_records = POOL_RECORDS_MAX;
	}
	snprintf(o->health, sizeof(o->health), "%s:%u", o->settings.ipv4 ? "127.0.0.1" : "[::1]",
	         port);
	if (!a->health)
		a->health = o->health;
	return 0;
}

/* Of pods without an annotation: in the agent's namespace unless it names one. */
static void find_network(struct options *o)
{
	struct agent_config *a = &o->agent;
	const char *name = o->settings.cluster_network;

	a->default_network = first_of(a->default_network, getenv("MULTUS_CLUSTER_NETWORK"), NULL);
	if (a->default_network || !name)
		return;
	o->network =
		strchr(name, '/') ? xstrdup(name) : xasprintf("%s/%s", a->agent_namespace, name);
	a->default_network = o->network;
}

static int configure(struct options *o, struct err *e)
{
	struct agent_config *a = &o->agent;

	if (settings_read(o->config_path, &o->settings, e) < 0 || read_env(o, e) < 0)
		return -1;
	if (gethostname(o->host, sizeof(o->host) - 1) < 0)
		return err_sys(e, errno, "host name");
	a->settings = &o->settings;
	a->store = first_of(a->store, NULL, "kube");
	a->node = first_of(a->node, getenv("SPIDERPOOL_NODE_NAME"),
	                   first_of(getenv("NODENAME"), NULL, o->host));
	a->socket = first_of(a->socket, NULL, o->settings.socket);
	a->state_dir = first_of(a->state_dir, NULL, STATE_DIR);
	a->agent_namespace =
		first_of(a->agent_namespace, getenv("SPIDERPOOL_AGENT_NAMESPACE"),
	                 first_of(getenv("SPIDERPOOL_POD_NAMESPACE"), NULL, "kube-system"));
	find_network(o);
	return default_metrics(o, e);
}

static int start_log(const struct options *o, struct err *e)
{
	const char *name = first_of(o->log_level, getenv("SPIDERPOOL_LOG_LEVEL"), "info");
	const char *format = first_of(o->log_format, NULL, "text");
	enum log_level level;
	int fd = STDERR_FILENO;

	if (log_parse_level(name, &level, e) < 0) {
		if (e)
			e->kind = ERR_USAGE;
		return err_wrap(e, o->log_level ? "--log-level" : "SPIDERPOOL_LOG_LEVEL");
	}
	if (!streq(format, "text") && !streq(format, "json"))
		return err_set(e, ERR_USAGE, "--log-format: \"%s\" is neither text nor json",
		               format);
	if (o->log_file) {
		/* stays open for the life of the process */
		fd = open(o->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
		if (fd < 0)
			return err_sys(e, errno, "open %s", o->log_file);
	}
	log_init("agent", fd, streq(format, "json"), level);
	return 0;
}

/* The socket is gone by now; a thread that waits for the store is all that can still hold us. */
static void on_alarm(int sig)
{
	(void)sig;
	_exit(0);
}

static int run(const struct options *o, struct err *e)
{
	struct agent *agent;
	sigset_t set;
	int sig = 0;

	/* before the first thread, so that all inherit it */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_alarm);
	log_info("version %s, node %s, store %s, socket %s", version_string, o->agent.node,
	         o->agent.store, o->agent.socket);
	if (agent_start(&o->agent, &agent, e) < 0)
		return -1;
	while (sigwait(&set, &sig) != 0)
		;
	log_info("signal %d: stopping", sig);
	alarm(STOP_SECONDS);
	agent_stop(agent);
	return 0;
}

static int agent_main(int argc, char **argv)
{
	struct options o = { .log_level = NULL };
	struct err e;
	int bad;

	bad = parse_args(argc, argv, &o, &e) < 0 || start_log(&o, &e) < 0 ||
	      configure(&o, &e) < 0 || run(&o, &e) < 0;
	settings_release(&o.settings);
	free(o.network);
	if (!bad)
		return 0;
	fprintf(stderr, "agent: %s\n", e.msg);
	if (e.kind != ERR_USAGE)
		return 1;
	fputs(usage, stderr);
	return 2;
}

const struct applet agent_applet = {
	.name = "agent",
	.aliases = { "spiderpool-agent" },
	.summary = "the node's daemon: gives addresses to pods",
	.usage = usage,
	.main = agent_main,
};
