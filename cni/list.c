/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.c - see list.h.  What a plugin of our own is given in this process is the same text that a
 * process would find on its standard input.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cni/call.h"
#include "cni/check.h"
#include "cni/list.h"

#define CACHE_KIND "cniCacheV1"
#define CACHE_MAX (4 * CNI_CONF_MAX) /* bytes of a kept result, its configuration in base64 */
#define VALID_KEY "cni.dev/valid-attachments"

void cni_network_release(struct cni_network *n)
{
	json_free(n->conf);
	n->conf = NULL;
}

/* true and false may stand in strings. */
static int read_flag(const json *conf, const char *key, bool *out, struct err *e)
{
	const json *v = json_get(conf, key);

	if (v && json_is_string(v) &&
	    (streq(json_text(v), "true") || streq(json_text(v), "false"))) {
		*out = streq(json_text(v), "true");
		return 0;
	}
	return json_opt_bool(conf, key, out, e);
}

static int read_version(const json *conf, enum cni_version *out, struct err *e)
{
	const json *more = NULL;
	const char *text = NULL;
	int best = -1;

	if (json_opt_str(conf, "cniVersion", &text, e) < 0 ||
	    json_opt_strs(conf, "cniVersions", &more, e) < 0)
		return -1;
	if (text && *text)
		best = cni_version_of(text);
	json_each(v, more)
	{
		int one = cni_version_of(json_text(v));

		best = one > best ? one : best;
	}
	if (best >= 0)
		*out = (enum cni_version)best;
	else if ((text && *text) || json_count(more))
		return err_set(e, ERR_CONFIG, "cniVersion %s is not supported (0.3.0 to %s are)",
		               text && *text ? text : "of cniVersions",
		               cni_version_text(CNI_VERSIONS - 1));
	return 0;
}

static int check_plugin(const json *plugin, struct err *e)
{
	const char *type = "";

	if (!json_is_object(plugin))
		return err_set(e, ERR_CONFIG, "a plugin of the list is no object");
	if (json_opt_str(plugin, "type", &type, e) < 0)
		return -1;
	return *type ? 0 : err_set(e, ERR_CONFIG, "a plugin has no \"type\"");
}

static int read_plugins(struct cni_network *n, struct err *e)
{
	const json *list = NULL;

	if (json_opt_arr(n->conf, "plugins", &list, e) < 0)
		return -1;
	n->is_list = list != NULL;
	if (!list && !json_get(n->conf, "type"))
		return err_set(e, ERR_CONFIG, "it has neither \"type\" nor \"plugins\"");
	if (!list)
		return check_plugin(n->conf, e);
	if (!json_first(list))
		return err_set(e, ERR_CONFIG, "\"plugins\" is empty");
	json_each(plugin, list) if (check_plugin(plugin, e) < 0) return -1;
	return 0;
}

static int read_flags(struct cni_network *n, struct err *e)
{
	if (read_flag(n->conf, "disableCheck", &n->disable_check, e) < 0)
		return -1;
	return read_flag(n->conf, "disableGC", &n->disable_gc, e);
}

static int read_network(struct cni_network *n, const char *name, bool kept, struct err *e)
{
	const char *own = "";

	if (!json_is_object(n->conf))
		return err_set(e, ERR_CONFIG, "it is no object");
	if (json_opt_str(n->conf, "name", &own, e) < 0)
		return -1;
	if (!*own && name)
		json_set_str(n->conf, "name", name);
	n->name = json_str_at(n->conf, "name", NULL);
	if (!n->name)
		n->name = "";
	if (check_id("the network name", n->name, e) < 0 || read_plugins(n, e) < 0)
		return -1;
	if (read_version(n->conf, &n->version, e) < 0) {
		if (!kept)
			return -1;
		n->version = CNI_0_3_1;
	}
	/* what is kept says so as well */
	json_set_str(n->conf, "cniVersion", cni_version_text(n->version));
	return read_flags(n, e) < 0 && !kept ? -1 : 0;
}

static int read_any(json *conf, const char *name, enum cni_version version, bool kept,
                    struct cni_network *out, struct err *e)
{
	struct cni_network n = { .conf = conf, .version = version };

	if (read_network(&n, name, kept, e) < 0) {
		cni_network_release(&n);
		if (e)
			e->kind = ERR_CONFIG;
		return err_wrap(e, "network configuration");
	}
	*out = n;
	return 0;
}

int cni_network_read(json *conf, const char *name, enum cni_version version,
                     struct cni_network *out, struct err *e)
{
	return read_any(conf, name, version, false, out, e);
}

int cni_network_read_kept(json *conf, const char *name, enum cni_version version,
                          struct cni_network *out, struct err *e)
{
	return read_any(conf, name, version, true, out, e);
}

static size_t count_plugins(const struct cni_network *n)
{
	return n->is_list ? json_count(json_get(n->conf, "plugins")) : 1;
}

static const json *plugin_at(const struct cni_network *n, size_t i)
{
	const json *p = n->conf;

	if (n->is_list)
		for (p = json_first(json_get(n->conf, "plugins")); i; i--)
			p = json_next(p);
	return p;
}

/* What the plugin declares and the runtime has; NULL: nothing. */
static json *runtime_config(const json *plugin, const json *capability_args)
{
	AUTO_JSON *out = json_new_object();

	json_each(c, json_get(plugin, "capabilities"))
	{
		const json *arg = json_get(capability_args, json_name(c));

		if (json_is_bool(c) && json_truth(c) && arg)
			json_set(out, json_name(c), json_copy(arg));
	}
	return json_first(out) ? take_ptr(&out) : NULL;
}

/* What one plugin reads on its standard input. */
static void plugin_text(const struct cni_network *n, const struct cni_runtime *rt,
                        const json *plugin, const json *prev, const json *valid, struct str *out)
{
	AUTO_JSON *conf = json_copy(plugin);
	json *capabilities = runtime_config(plugin, rt->capability_args);

	json_set_str(conf, "name", n->name);
	json_set_str(conf, "cniVersion", cni_version_text(n->version));
	if (prev)
		json_set(conf, "prevResult", json_copy(prev));
	if (capabilities)
		json_set(conf, "runtimeConfig", capabilities);
	if (valid)
		json_set(conf, VALID_KEY, json_copy(valid));
	json_print(conf, out);
}

/* Is it the file that this process runs? */
static bool is_self(const char *path)
{
	static struct stat self; /* does not change */
	struct stat found;

	if (!self.st_ino && stat("/proc/self/exe", &self) < 0)
		return false;
	return stat(path, &found) == 0 && found.st_dev == self.st_dev &&
	       found.st_ino == self.st_ino;
}

/* Of this binary?  Then its type tells which part. */
static const struct cni_plugin *builtin(const struct cni_runtime *rt, const char *type,
                                        const char *path)
{
	for (const struct cni_builtin *b = rt->builtins; b && b->type; b++)
		if (streq(b->type, type))
			return is_self(path) ? b->plugin : NULL;
	return NULL;
}

static struct cni_call call_of(const struct cni_network *n, const struct cni_runtime *rt)
{
	return (struct cni_call){
		.container_id = rt->container_id,
		.netns = rt->netns,
		.ifname = rt->ifname,
		.args = rt->args,
		.path = rt->path,
		.conf_text = STR_INIT,
		.name = n->name,
		.type = "",
		.version = n->version,
		.deadline = rt->deadline,
		.netns_fd = rt->netns_fd,
	};
}

/* Is the DEL after this plugin's one that deletes the interface?  By the name: so does another
 * program's of that name. */
static bool link_goes(const struct cni_network *n, const struct cni_runtime *rt, const json *plugin)
{
	const json *next = NULL;

	json_each(p, json_get(n->conf, "plugins"))
	{
		if (p == plugin)
			break;
		next = p;
	}
	for (const struct cni_builtin *b = rt->builtins; next && b && b->type; b++)
		if (streq(b->type, json_str_at(next, "type", NULL)))
			return b->plugin->makes_link;
	return false;
}

static int call_plugin(const struct cni_network *n, const struct cni_runtime *rt,
                       enum cni_command command, const json *plugin, const json *prev,
                       const json *valid, json **result, int *code, struct err *e)
{
	const char *type = json_str_at(plugin, "type", NULL);
	struct cni_call c = call_of(n, rt);
	AUTO_FREE char *path = NULL;
	AUTO_STR text = STR_INIT;
	const struct cni_plugin *here;

	if (cni_find(&c, type, &path, e) < 0)
		return -1;
	plugin_text(n, rt, plugin, prev, valid, &text);
	c.link_goes = command == CNI_DEL && link_goes(n, rt, plugin);
	here = builtin(rt, type, path);
	if (!here)
		return cni_execute(&c, type, path, command, text.data, text.len, result, code, e);
	if (cni_call_here(here, &c, command, text.data, text.len, result, code, e) < 0)
		return err_wrap(e, "plugin %s", type);
	if (result && !*result)
		return err_set(e, ERR_PROTO, "plugin %s: ADD came to no result", type);
	return 0;
}

static bool is_missing(const struct cni_network *n, const struct cni_runtime *rt,
                       const json *plugin)
{
	const struct cni_call c = call_of(n, rt);
	AUTO_FREE char *path = NULL;
	struct err e;

	return cni_find(&c, json_str_at(plugin, "type", NULL), &path, &e) < 0 &&
	       e.kind == ERR_NOT_FOUND;
}

bool cni_network_lacks(const struct cni_network *n, const struct cni_runtime *rt)
{
	for (size_t i = 0; i < count_plugins(n); i++)
		if (is_missing(n, rt, plugin_at(n, i)))
			return true;
	return false;
}

/* The kept results. */
static bool has_file(const struct cni_network *n, const struct cni_runtime *rt)
{
	return strlen(n->name) + strlen(rt->container_id) + strlen(rt->ifname) + strlen("--") <=
	       FILE_NAME_MAX;
}

static int cache_path(const char *dir, const char *network, const char *container_id,
                      const char *ifname, struct str *out, struct err *e)
{
	if (check_id("container id", container_id, e) < 0 || link_check_name(ifname, e) < 0)
		return -1;
	str_addf(out, "%s/results/%s-%s-%s", dir, network, container_id, ifname);
	return 0;
}

/* "K=V;K2=V2" as [["K","V"],["K2","V2"]]. */
static json *args_list(const char *args)
{
	AUTO_FREE char *copy = xstrdup(args);
	char *rest = copy, *pair;
	json *list = json_new_array();

	while ((pair = strsep(&rest, ";"))) {
		char *value = strchr(pair, '=');
		json *one;

		if (!value)
			continue;
		*value++ = '\0';
		one = json_new_array();
		json_append_str(one, pair);
		json_append_str(one, value);
		json_append(list, one);
	}
	return list;
}

static char *args_text(const json *list)
{
	AUTO_STR out = STR_INIT;

	json_each(pair, list)
	{
		const json *key = json_first(pair), *value = json_next(key);

		if (json_is_string(key) && json_is_string(value))
			str_addf(&out, "%s%s=%s", out.len ? ";" : "", json_text(key),
			         json_text(value));
	}
	return str_take(&out);
}

int cni_network_keep(const struct cni_network *n, const struct cni_runtime *rt, const json *result,
                     struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/results", rt->cache_dir);
	AUTO_JSON *doc = json_new_object();
	AUTO_STR path = STR_INIT;
	AUTO_STR text = STR_INIT;
	AUTO_STR encoded = STR_INIT;

	if (cache_path(rt->cache_dir, n->name, rt->container_id, rt->ifname, &path, e) < 0 ||
	    file_mkdirs(folder, 0700, e) < 0)
		return -1;
	json_print(n->conf, &text);
	base64_encode(text.data, text.len, &encoded);
	json_set_str(doc, "kind", CACHE_KIND);
	json_set_str(doc, "containerId", rt->container_id);
	json_set_str(doc, "config", encoded.data);
	json_set_str(doc, "ifName", rt->ifname);
	json_set_str(doc, "networkName", n->name);
	if (*rt->netns)
		json_set_str(doc, "netns", rt->netns);
	if (*rt->args)
		json_set(doc, "cniArgs", args_list(rt->args));
	if (json_first(rt->capability_args))
		json_set(doc, "capabilityArgs", json_copy(rt->capability_args));
	json_set(doc, "result", json_copy(result));
	str_reset(&text, 0);
	json_print(doc, &text);
	return file_write(path.data, text.data, text.len, 0600, FILE_SOLE, e);
}

/* The result in such a file, in the network's version; NULL when it tells none.  Owned. */
static json *kept_result(const struct cni_network *n, const char *path)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *doc = NULL;
	json *result;
	const char *kind;

	if (file_read_regular(path, CACHE_MAX, &text, NULL) < 0 ||
	    json_parse(text.data, text.len, 0, &doc, NULL) < 0)
		return NULL;
	kind = json_str_at(doc, "kind", NULL);
	if (kind && streq(kind, CACHE_KIND))
		result = json_detach(doc, json_get(doc, "result"));
	else
		result = take_ptr(&doc); /* libcni before 0.8 kept the bare result */
	if (!json_is_object(result) || !json_str_at(result, "cniVersion", NULL)) {
		json_free(result);
		return NULL;
	}
	cni_result_convert(result, n->version);
	return result;
}

int cni_network_add(const struct cni_network *n, const struct cni_runtime *rt, json **result,
                    int *code, struct err *e)
{
	AUTO_JSON *last = NULL;
	size_t count = count_plugins(n);

	if (!has_file(n, rt))
		return err_set(
			e, ERR_CONFIG,
			"network name %s is too long: the file that keeps the result is named "
			"by it, the container and the interface",
			n->name);
	for (size_t i = 0; i < count; i++) {
		json *next = NULL;

		if (call_plugin(n, rt, CNI_ADD, plugin_at(n, i), last, NULL, &next, code, e) < 0)
			return -1;
		json_free(last);
		last = next;
	}
	if (cni_network_keep(n, rt, last, e) < 0)
		return err_wrap(e, "keep the result of network %s", n->name);
	*result = take_ptr(&last);
	return 0;
}

int cni_forget_file(const char *path, struct err *e)
{
	struct err mine;

	if (file_remove(path, FILE_SOLE, NULL, &mine) == 0)
		return 0;
	if (mine.sys != EISDIR)
		return err_copy(e, &mine);
	log_warn("%s is a folder, of somebody else's: it stays", path);
	return 0;
}

int cni_network_del(const struct cni_network *n, const struct cni_runtime *rt, int *code,
                    struct err *e)
{
	bool skip = rt->skip_missing || !*rt->netns || access(rt->netns, F_OK) < 0;
	AUTO_STR path = STR_INIT;
	AUTO_JSON *prev = NULL;

	if (cache_path(rt->cache_dir, n->name, rt->container_id, rt->ifname, &path, e) < 0)
		return -1;
	if (n->version >= CNI_0_4_0)
		prev = kept_result(n, path.data);
	for (size_t i = count_plugins(n); i-- > 0;) {
		const json *plugin = plugin_at(n, i);

		if (skip && is_missing(n, rt, plugin))
			log_warn(
				"network %s, interface %s: there is no plugin %s any more: what "
				"it made outside of the pod stays",
				n->name, rt->ifname, json_str_at(plugin, "type", NULL));
		else if (call_plugin(n, rt, CNI_DEL, plugin, prev, NULL, NULL, code, e) < 0)
			return -1;
	}
	return has_file(n, rt) ? cni_forget_file(path.data, e) : 0;
}

int cni_network_check(const struct cni_network *n, const struct cni_runtime *rt, int *code,
                      struct err *e)
{
	size_t count = count_plugins(n);
	AUTO_STR path = STR_INIT;
	AUTO_JSON *prev = NULL;

	if (n->version < CNI_0_4_0)
		return err_set(e, ERR_CONFIG, "network %s: cniVersion %s has no CHECK", n->name,
		               cni_version_text(n->version));
	if (n->disable_check)
		return 0;
	if (cache_path(rt->cache_dir, n->name, rt->container_id, rt->ifname, &path, e) < 0)
		return -1;
	prev = kept_result(n, path.data);
	if (!prev)
		return err_set(e, ERR_NOT_FOUND, "network %s: no result is kept in %s", n->name,
		               path.data);
	for (size_t i = 0; i < count; i++)
		if (call_plugin(n, rt, CNI_CHECK, plugin_at(n, i), prev, NULL, NULL, code, e) < 0)
			return -1;
	return 0;
}

int cni_network_status(const struct cni_network *n, const struct cni_runtime *rt, int *code,
                       struct err *e)
{
	size_t count = n->version >= CNI_1_1_0 ? count_plugins(n) : 0;

	for (size_t i = 0; i < count; i++)
		if (call_plugin(n, rt, CNI_STATUS, plugin_at(n, i), NULL, NULL, NULL, code, e) < 0)
			return -1;
	return 0;
}

/* Garbage collection. */
static bool is_valid(const json *valid, const struct cni_attachment *a)
{
	json_each(v, valid)
	{
		const char *id = json_str_at(v, "containerID", NULL);
		const char *ifname = json_str_at(v, "ifname", NULL);

		if (id && ifname && streq(id, a->container_id) && streq(ifname, a->ifname))
			return true;
	}
	return false;
}

void cni_first_note(struct cni_first *f, int rc, int code, const struct err *e)
{
	if (rc == 0 || f->rc < 0)
		return;
	f->rc = rc;
	f->code = code;
	f->err = *e;
}

static void del_stale(const struct cni_network *n, const struct cni_runtime *rt,
                      const struct cni_attachment *a, struct cni_first *f)
{
	struct cni_runtime its = *rt;
	AUTO_CNI_NETWORK own = { .name = NULL };
	struct err e;
	int code = 0, rc;

	/* two configurations may have one name: the one that made it undoes it */
	if (cni_network_read_kept(json_copy(a->conf), a->network, n->version, &own, NULL) == 0)
		n = &own;
	its.container_id = a->container_id;
	its.netns = a->netns;
	its.netns_fd = 0;
	its.ifname = a->ifname;
	its.args = a->args;
	its.capability_args = a->capability_args;
	rc = cni_network_del(n, &its, &code, &e);
	cni_first_note(f, rc, code, &e);
}

int cni_network_gc(const struct cni_network *n, const struct cni_runtime *rt, const json *valid,
                   int *code, struct err *e)
{
	struct cni_attachment *v = NULL;
	struct cni_first f = { .rc = 0 };
	size_t count = 0, plugins = n->version >= CNI_1_1_0 ? count_plugins(n) : 0;

	if (n->disable_gc)
		return 0;
	if (cni_attachments(rt->cache_dir, NULL, &v, &count, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (v[i].conf && streq(v[i].network, n->name) && !is_valid(valid, &v[i]))
			del_stale(n, rt, &v[i], &f);
	cni_attachments_free(v, count);
	for (size_t i = 0; i < plugins; i++) {
		struct err mine;
		int its = 0, rc = call_plugin(n, rt, CNI_GC, plugin_at(n, i), NULL, valid, NULL,
		                              &its, &mine);

		cni_first_note(&f, rc, its, &mine);
	}
	if (f.rc == 0)
		return 0;
	*code = f.code;
	return err_copy(e, &f.err);
}

/* What is kept of attachments. */
static void attachment_release(struct cni_attachment *a)
{
	free(a->path);
	free(a->network);
	free(a->container_id);
	free(a->ifname);
	free(a->netns);
	free(a->args);
	json_free(a->conf);
	json_free(a->capability_args);
}

void cni_attachments_free(struct cni_attachment *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		attachment_release(&v[i]);
	free(v);
}

static char *text_of(const json *doc, const char *key)
{
	const char *s = json_str_at(doc, key, NULL);

	return xstrdup(s ? s : "");
}

/* The configuration, owned; the document in *doc.  NULL: they are none. */
static json *read_attachment(const char *path, json **doc)
{
	AUTO_STR text = STR_INIT;
	AUTO_STR conf = STR_INIT;
	const char *kind, *encoded, *network, *ifname;
	json *j = NULL;

	if (file_read_regular(path, CACHE_MAX, &text, NULL) < 0 ||
	    json_parse(text.data, text.len, 0, doc, NULL) < 0)
		return NULL;
	kind = json_str_at(*doc, "kind", NULL);
	encoded = json_str_at(*doc, "config", NULL);
	network = json_str_at(*doc, "networkName", NULL);
	ifname = json_str_at(*doc, "ifName", NULL);
	if (!kind || !streq(kind, CACHE_KIND) || !encoded || !network || !ifname ||
	    check_id("the network name", network, NULL) < 0 || link_check_name(ifname, NULL) < 0 ||
	    base64_decode(encoded, strlen(encoded), &conf, NULL) < 0 ||
	    json_parse(conf.data, conf.len, 0, &j, NULL) < 0)
		return NULL;
	return j;
}

static struct cni_attachment attachment(const char *path)
{
	AUTO_JSON *doc = NULL;
	json *conf = read_attachment(path, &doc);
	const json *about = conf ? doc : NULL;
	struct cni_attachment a = {
		.path = xstrdup(path),
		.network = text_of(about, "networkName"),
		.container_id = text_of(about, "containerId"),
		.ifname = text_of(about, "ifName"),
		.netns = text_of(about, "netns"),
		.args = args_text(json_get(about, "cniArgs")),
		.conf = conf,
	};

	if (json_is_object(json_get(about, "capabilityArgs")))
		a.capability_args = json_copy(json_get(about, "capabilityArgs"));
	return a;
}

bool cni_attachment_is_of(const struct cni_attachment *a, const char *container_id)
{
	AUTO_FREE char *part = xasprintf("-%s-", container_id);

	return a->conf ? streq(a->container_id, container_id)
	               : strstr(strrchr(a->path, '/'), part) != NULL;
}

void cni_attachment_forget(const struct cni_attachment *a, const char *why)
{
	bool existed = true;
	struct err e;

	if (file_remove(a->path, 0, &existed, &e) < 0)
		log_warn_err(&e, "kept results");
	/* else the DEL of its network was done without it */
	if (existed)
		log_warn("%s: %s: nobody can give it up, and it counts as gone", a->path, why);
}

void cni_cache_sweep(const char *cache_dir)
{
	AUTO_FREE char *folder = xasprintf("%s/results", cache_dir);

	file_sweep(folder);
}

int cni_attachments(const char *cache_dir, const char *container_id, struct cni_attachment **out,
                    size_t *count, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/results", cache_dir);
	AUTO_FREE char *part = container_id ? xasprintf("-%s-", container_id) : NULL;
	char **names = NULL;
	struct cni_attachment *v;
	size_t n_names = 0, n = 0;

	if (file_list(folder, &names, &n_names, e) < 0)
		return -1;
	v = xcalloc(n_names + 1, sizeof(*v));
	for (size_t i = 0; i < n_names; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, names[i]);

		if (part && !strstr(names[i], part))
			continue;
		v[n] = attachment(path);
		if (part && !cni_attachment_is_of(&v[n], container_id))
			attachment_release(&v[n]);
		else
			n++;
	}
	file_list_free(names, n_names);
	*out = v;
	*count = n;
	return 0;
}
