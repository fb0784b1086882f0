/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cniconf.c - see cniconf.h.  One thread, woken by changes in the folders (inotify); every now and
 * then it looks by itself, because not every file system tells of changes.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cniconf.h"
#include "agent/thread.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mono.h"
#include "cni/cni.h"
#include "cni/multus_files.h"

#define ROUND_MS 60000
#define SETTLE_MS 20 /* after a change: several often come together */
#define TOKEN_MAX (16 * 1024)
#define PEM_MAX (1024 * 1024)

struct cniconf {
	struct cniconf_config config;
	pthread_t thread;
	int stop, changes; /* an eventfd and an inotify instance */
	bool complained, told_foreign;
};

/* The kubeconfig; JSON is YAML. */
static void named(json *root, const char *list, const char *name, const char *kind, json *value)
{
	json *one = json_new_object(), *array = json_new_array();

	json_set_str(one, "name", name);
	json_set(one, kind, value);
	json_append(array, one);
	json_set(root, list, array);
}

static void trim(struct str *s)
{
	size_t n = s->len;

	while (n && strchr(" \t\r\n", s->data[n - 1]))
		n--;
	str_reset(s, n);
}

static void kubeconfig_text(const struct cniconf_config *c, const struct str *ca, const char *token,
                            struct str *out)
{
	bool ipv6 = strchr(c->host, ':') != NULL;
	AUTO_FREE char *server =
		xasprintf("https://%s%s%s:%s", ipv6 ? "[" : "", c->host, ipv6 ? "]" : "", c->port);
	json *cluster = json_new_object(), *user = json_new_object(), *context = json_new_object();
	AUTO_JSON *root = json_new_object();
	AUTO_STR encoded = STR_INIT;

	base64_encode(ca->data, ca->len, &encoded);
	json_set_str(cluster, "server", server);
	json_set_str(cluster, "certificate-authority-data", encoded.data);
	json_set_str(user, "token", token);
	json_set_str(context, "cluster", "local");
	json_set_str(context, "user", "multus");
	json_set_str(root, "apiVersion", "v1");
	json_set_str(root, "kind", "Config");
	named(root, "clusters", "local", "cluster", cluster);
	named(root, "users", "multus", "user", user);
	named(root, "contexts", MULTUS_CONTEXT, "context", context);
	json_set_str(root, "current-context", MULTUS_CONTEXT);
	json_print_pretty(root, out);
}

/* Nobody else may write to the one, or read the other; who wants less gets it. */
static bool is_ours(const char *path, mode_t mode)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & 07777 & ~mode) &&
	       st.st_uid == geteuid();
}

/* Unless it says that already. */
static int put(const char *path, const struct str *text, mode_t mode, struct err *e)
{
	AUTO_STR has = STR_INIT;

	file_sweep_of(path);
	if (is_ours(path, mode) && file_read_regular(path, PEM_MAX * 2, &has, NULL) == 0 &&
	    has.len == text->len && memcmp(has.data, text->data, has.len) == 0)
		return 0;
	if (file_write(path, text->data, text->len, mode, FILE_DURABLE, e) < 0)
		return -1;
	log_info("wrote %s", path);
	return 0;
}

static int write_kubeconfig(const struct cniconf_config *c, const char *path, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/" MULTUS_KUBECONFIG_FOLDER, c->dir);
	AUTO_FREE char *ca_path = xasprintf("%s/ca.crt", c->account);
	AUTO_FREE char *token_path = xasprintf("%s/token", c->account);
	AUTO_STR ca = STR_INIT;
	AUTO_STR token = STR_INIT;
	AUTO_STR text = STR_INIT;

	if (file_read(ca_path, PEM_MAX, &ca, e) < 0 ||
	    file_read(token_path, TOKEN_MAX, &token, e) < 0)
		return -1;
	trim(&token);
	if (!token.len)
		return err_set(e, ERR_CONFIG, "%s is empty", token_path);
	kubeconfig_text(c, &ca, token.data, &text);
	if (file_mkdirs(folder, 0755, e) < 0)
		return -1;
	return put(path, &text, 0600, e);
}

/* 00-multus.conf. */
static bool is_multus(const json *conf)
{
	const char *type = json_str_at(conf, "type", NULL);

	return type && str_starts(type, "multus");
}

static bool is_conf_file(const char *name)
{
	return str_ends(name, ".conf") || str_ends(name, ".conflist") || str_ends(name, ".json");
}

/* The name of the first network that the runtime would take without us; owned. */
static int first_network(const char *dir, char **out, struct err *e)
{
	char **names = NULL;
	size_t n = 0;

	if (file_list(dir, &names, &n, e) < 0)
		return -1;
	*out = NULL;
	for (size_t i = 0; i < n && !*out; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names[i]);
		AUTO_STR text = STR_INIT;
		AUTO_JSON *conf = NULL;
		const char *name;

		if (!is_conf_file(names[i]) ||
		    file_read_regular(path, CNI_CONF_MAX, &text, NULL) < 0 ||
		    json_parse(text.data, text.len, 0, &conf, NULL) < 0 || is_multus(conf))
			continue;
		name = json_str_at(conf, "name", NULL);
		if (name && *name)
			*out = xstrdup(name);
	}
	file_list_free(names, n);
	return *out ? 0
	            : err_set(e, ERR_NOT_FOUND,
	                      "there is no default network: neither clusterNetwork nor a network "
	                      "configuration in %s",
	                      dir);
}

/* Without its namespace where that is understood. */
static int cluster_network(const struct cniconf_config *c, char **out, struct err *e)
{
	size_t len = strlen(c->namespace);

	if (!c->network)
		return first_network(c->dir, out, e);
	if (strncmp(c->network, c->namespace, len) == 0 && c->network[len] == '/')
		*out = xstrdup(c->network + len + 1);
	else
		*out = xstrdup(c->network);
	return 0;
}

static void conf_text(const struct cniconf_config *c, const char *network, const char *kubeconfig,
                      struct str *out)
{
	AUTO_FREE char *conf_dir = xasprintf("%s/", c->dir);
	AUTO_JSON *o = json_new_object();
	json *capabilities;

	json_set_str(o, "cniVersion", "0.3.1");
	json_set_str(o, "name", "multus-cni-network");
	json_set_str(o, "type", "multus");
	json_set_str(o, "confDir", conf_dir);
	json_set_str(o, "logLevel", "verbose");
	json_set_str(o, "logFile", "/var/log/multus.log");
	capabilities = json_ensure_object(o, "capabilities");
	json_set_bool(capabilities, "portMappings", true);
	json_set_bool(capabilities, "bandwidth", true);
	json_set_bool(o, "namespaceIsolation", false);
	json_set_str(o, "clusterNetwork", network);
	json_set(o, "defaultNetworks", json_new_array());
	json_set_str(o, "multusNamespace", c->namespace);
	json_set(o, "systemNamespaces", json_new_array());
	json_set_str(o, "kubeconfig", kubeconfig);
	json_set_str(o, MULTUS_MARK, c->socket);
	json_each(m, c->members) json_set(o, json_name(m), json_copy(m));
	json_print_pretty(o, out);
}

int cniconf_write(const struct cniconf_config *c, bool *foreign, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/" MULTUS_CONF_NAME, c->dir);
	AUTO_FREE char *ours =
		xasprintf("%s/" MULTUS_KUBECONFIG_FOLDER "/" MULTUS_KUBECONFIG_NAME, c->dir);
	const char *kubeconfig = c->kubeconfig;
	AUTO_FREE char *network = NULL;
	AUTO_STR text = STR_INIT;
	enum multus_owner owner;

	if (multus_conf_owner(path, &owner, e) < 0)
		return -1;
	*foreign = owner == MULTUS_FOREIGN;
	if (*foreign)
		return 0; /* the kubeconfig is theirs, too */
	if (cluster_network(c, &network, e) < 0)
		return err_wrap(e, "%s", path);
	/* first: the other one names it */
	if (!kubeconfig && c->account) {
		if (write_kubeconfig(c, ours, e) < 0)
			return err_wrap(e, "kubeconfig of the multus plugin");
		kubeconfig = ours;
	}
	conf_text(c, network, kubeconfig, &text);
	return put(path, &text, 0644, e);
}

/* What is watched is watched once, however often it is asked for. */
static void watch(struct cniconf *c)
{
	static const uint32_t mask = IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE |
	                             IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
	AUTO_FREE char *folder = xasprintf("%s/" MULTUS_KUBECONFIG_FOLDER, c->config.dir);

	(void)inotify_add_watch(c->changes, c->config.dir, mask);
	(void)inotify_add_watch(c->changes, folder, mask);
	if (c->config.account)
		(void)inotify_add_watch(c->changes, c->config.account, mask);
}

/* Once per kind of trouble. */
static void round_of(struct cniconf *c)
{
	bool foreign;
	struct err e;

	if (cniconf_write(&c->config, &foreign, &e) < 0) {
		if (!c->complained)
			log_warn_err(&e, "runtime configuration");
		c->complained = true;
		return;
	}
	c->complained = false;
	if (foreign && !c->told_foreign)
		log_warn("%s/" MULTUS_CONF_NAME
		         " is another program's and is left alone: remove it "
		         "to have pods' networks run by Spiderbox",
		         c->config.dir);
	c->told_foreign = foreign;
}

/* False: the end. */
static bool wait_for_change(struct cniconf *c)
{
	struct pollfd fds[] = { { c->stop, POLLIN, 0 }, { c->changes, POLLIN, 0 } };
	char events[4096];

	if (poll(fds, 2, ROUND_MS) < 0 && errno != EINTR)
		return false;
	if (!fds[0].revents && fds[1].revents)
		(void)poll(fds, 1, SETTLE_MS);
	while (read(c->changes, events, sizeof(events)) > 0)
		;
	return !fds[0].revents;
}

static void *cniconf_main(void *arg)
{
	struct cniconf *c = arg;

	do {
		watch(c);
		round_of(c);
		watch(c); /* a folder that was made just now */
	} while (wait_for_change(c));
	return NULL;
}

static void cniconf_free(struct cniconf *c)
{
	mem_cleanup_fd(&c->stop);
	mem_cleanup_fd(&c->changes);
	free(c);
}

int cniconf_start(const struct cniconf_config *config, struct cniconf **out, struct err *e)
{
	struct cniconf *c = xcalloc(1, sizeof(*c));

	c->config = *config;
	c->stop = eventfd(0, EFD_CLOEXEC);
	c->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->stop < 0 || c->changes < 0) {
		err_fill_sys(e, errno, "watch %s", config->dir);
		cniconf_free(c);
		return -1;
	}
	if (thread_start(&c->thread, cniconf_main, c, e) < 0) {
		cniconf_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void cniconf_stop(struct cniconf *c)
{
	uint64_t one = 1;

	if (!c)
		return;
	IGNORE(write(c->stop, &one, sizeof(one)) < 0);
	pthread_join(c->thread, NULL);
	cniconf_free(c);
}
