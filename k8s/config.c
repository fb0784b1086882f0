/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - in-cluster files or a kubeconfig, read into one small struct.
 *
 * What a kubeconfig asks for and we do not do is refused, never skipped: to connect as somebody
 * else, or without the check that was asked for, is worse than not to connect.  Messages name
 * members and files, never what stands in them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "k8s/config.h"
#include "json/yaml.h"

#define KUBECONFIG_MAX ((size_t)1 << 20)
#define PEM_MAX ((size_t)1 << 20)
#define TOKEN_MAX ((size_t)1 << 16)
#define NAMESPACE_MAX ((size_t)253)

void k8s_config_release(struct k8s_config *c)
{
	free(c->tls_name);
	tls_config_free(c->tls);
	free(c->token);
	free(c->token_file);
	free(c->namespace);
	memset(c, 0, sizeof(*c));
}

#define AUTO_CONFIG __attribute__((cleanup(k8s_config_release))) struct k8s_config

static void hand_over(struct k8s_config *from, struct k8s_config *to)
{
	*to = *from;
	memset(from, 0, sizeof(*from));
}

/* Something is wrong with what a configuration says or points to. */
static int as_config(struct err *e)
{
	if (e)
		e->kind = ERR_CONFIG;
	return -1;
}

static void trim(struct str *s)
{
	size_t n = s->len;

	while (n && strchr(" \t\r\n", s->data[n - 1]))
		n--;
	str_reset(s, n);
}

/* In a pod. */
static int in_cluster_server(struct url *out, struct err *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	struct url u = { .tls = true };
	uint32_t number;

	if (!host || !*host || !port || !*port)
		return err_set(e, ERR_CONFIG,
		               "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: "
		               "this is no pod of a cluster");
	if (fmt(u.host, sizeof(u.host), "%s", host) < 0 || strpbrk(host, "[]/?#@ \t\r\n"))
		return err_set(e, ERR_CONFIG, "KUBERNETES_SERVICE_HOST is no address");
	if (parse_u32(port, 1, 65535, &number, e) < 0)
		return err_wrap(e, "KUBERNETES_SERVICE_PORT");
	u.port = number;
	*out = u;
	return 0;
}

static int in_cluster_token(const char *path, struct err *e)
{
	AUTO_STR token = STR_INIT;

	if (file_read(path, TOKEN_MAX, &token, e) < 0) {
		as_config(e);
		return err_wrap(e, "service account token");
	}
	trim(&token);
	if (!token.len)
		return err_set(e, ERR_CONFIG, "service account token: %s is empty", path);
	return 0;
}

static int in_cluster_namespace(const char *path, char **out, struct err *e)
{
	AUTO_STR ns = STR_INIT;
	struct err mine = { ERR_NONE, 0, 0, "" };

	/* absent where somebody mounts a token alone */
	if (file_read(path, NAMESPACE_MAX, &ns, &mine) < 0 && mine.kind != ERR_NOT_FOUND) {
		err_assign(e, &mine);
		return as_config(e);
	}
	trim(&ns);
	*out = xstrdup(ns.len ? ns.data : "default");
	return 0;
}

int k8s_config_in_cluster(const char *dir, struct k8s_config *out, struct err *e)
{
	AUTO_CONFIG c = { .tls = NULL };
	AUTO_FREE char *ca_path = xasprintf("%s/ca.crt", dir);
	AUTO_FREE char *ns_path = xasprintf("%s/namespace", dir);
	AUTO_STR ca = STR_INIT;

	if (in_cluster_server(&c.server, e) < 0)
		return -1;
	c.token_file = xasprintf("%s/token", dir);
	if (in_cluster_token(c.token_file, e) < 0 ||
	    in_cluster_namespace(ns_path, &c.namespace, e) < 0)
		return -1;
	if (file_read(ca_path, PEM_MAX, &ca, e) < 0) {
		as_config(e);
		return err_wrap(e, "the cluster's certificate authority");
	}
	if (tls_config_new(ca.data, ca.len, NULL, 0, NULL, 0, &c.tls, e) < 0)
		return err_wrap(e, "%s", ca_path);
	/* the service's address is in the API server's certificate */
	c.tls_name = xstrdup(c.server.host);
	hand_over(&c, out);
	return 0;
}

/* A kubeconfig. */
struct kubeconfig {
	const json *root;
	const char *cluster_name, *user_name; /* "": no user */
	const json *context, *cluster, *user;
	const char *folder; /* of the file, with its slash; relative paths begin there */
};

/* The member `kind` of the element called `name` of the list `kinds`. */
static int find_named(const struct kubeconfig *k, const char *kinds, const char *kind,
                      const char *name, const json **out, struct err *e)
{
	const json *list = NULL;

	if (json_opt_arr(k->root, kinds, &list, e) < 0)
		return as_config(e);
	json_each(item, list)
	{
		const char *its = json_str_at(item, "name", NULL);

		if (!its || !streq(its, name))
			continue;
		*out = NULL;
		if (json_opt_obj(item, kind, out, e) < 0) {
			as_config(e);
			return err_wrap(e, "%s \"%s\"", kind, name);
		}
		return 0;
	}
	return err_set(e, ERR_CONFIG, "there is no %s \"%s\" in it", kind, name);
}

static int find_context(struct kubeconfig *k, const char *name, struct err *e)
{
	if (!name && json_opt_str(k->root, "current-context", &name, e) < 0)
		return as_config(e);
	if (!name || !*name)
		return err_set(e, ERR_CONFIG,
		               "current-context is not set: set it, or name a context");
	if (find_named(k, "contexts", "context", name, &k->context, e) < 0)
		return -1;
	k->cluster_name = "";
	k->user_name = "";
	if (json_opt_str(k->context, "cluster", &k->cluster_name, e) < 0 ||
	    json_opt_str(k->context, "user", &k->user_name, e) < 0) {
		as_config(e);
		return err_wrap(e, "context \"%s\"", name);
	}
	if (!*k->cluster_name)
		return err_set(e, ERR_CONFIG, "context \"%s\" names no cluster", name);
	if (find_named(k, "clusters", "cluster", k->cluster_name, &k->cluster, e) < 0 ||
	    (*k->user_name && find_named(k, "users", "user", k->user_name, &k->user, e) < 0))
		return err_wrap(e, "context \"%s\"", name);
	return 0;
}

/* A member that is there and says something: null, false, "" and empty lists say nothing. */
static bool says_something(const json *o, const char *key)
{
	const json *v = json_get(o, key);

	if (!v || json_is_null(v))
		return false;
	if (json_is_bool(v))
		return json_truth(v);
	if (json_is_string(v))
		return *json_text(v) != '\0';
	return json_is_number(v) || json_first(v) || json_is_object(v);
}

struct refusal {
	const char *key, *instead;
};

static int refuse_members(const json *o, const char *kind, const char *name,
                          const struct refusal *list, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (says_something(o, list[i].key))
			return err_set(e, ERR_CONFIG, "%s \"%s\": %s is not supported: %s", kind,
			               name, list[i].key, list[i].instead);
	return 0;
}

static int check_cluster(const struct kubeconfig *k, struct err *e)
{
	static const struct refusal list[] = {
		{ "insecure-skip-tls-verify",
		  "give the cluster's CA with certificate-authority-data, and tls-server-name if "
		  "the certificate is for another name" },
		{ "proxy-url", "give an address in server that is reachable directly" },
	};

	return refuse_members(k->cluster, "cluster", k->cluster_name, list, ARRAY_LEN(list), e);
}

static int check_user(const struct kubeconfig *k, struct err *e)
{
	static const struct refusal list[] = {
		{ "exec",
		  "no other program is run for credentials; use token, tokenFile or a client "
		  "certificate" },
		{ "auth-provider", "use token, tokenFile or a client certificate" },
		{ "username", "use token, tokenFile or a client certificate" },
		{ "password", "use token, tokenFile or a client certificate" },
		{ "as", "use the credentials of the user to act as" },
		{ "as-uid", "use the credentials of the user to act as" },
		{ "as-groups", "use the credentials of a user in these groups" },
		{ "as-user-extra", "use the credentials of the user to act as" },
	};

	return refuse_members(k->user, "user", k->user_name, list, ARRAY_LEN(list), e);
}

static char *resolve_path(const struct kubeconfig *k, const char *path)
{
	return *path == '/' ? xstrdup(path) : xasprintf("%s%s", k->folder, path);
}

/* The text in KEY-data (base64), else in the file that KEY names; empty when neither is there. */
static int read_pem(const struct kubeconfig *k, const json *o, const char *key, struct str *out,
                    struct err *e)
{
	AUTO_FREE char *data_key = xasprintf("%s-data", key);
	AUTO_FREE char *full = NULL;
	const char *data = NULL, *path = NULL;

	if (json_opt_str(o, data_key, &data, e) < 0 || json_opt_str(o, key, &path, e) < 0)
		return as_config(e);
	if (data && *data) {
		if (strlen(data) > PEM_MAX)
			return err_set(e, ERR_CONFIG, "%s is too long", data_key);
		if (base64_decode(data, strlen(data), out, e) < 0)
			return err_wrap(e, "%s", data_key);
		return 0;
	}
	if (!path || !*path)
		return 0;
	full = resolve_path(k, path);
	if (file_read(full, PEM_MAX, out, e) < 0) {
		as_config(e);
		return err_wrap(e, "%s", key);
	}
	return 0;
}

static int read_server(const struct kubeconfig *k, struct k8s_config *c, struct err *e)
{
	const char *server = NULL, *name = NULL;

	if (check_cluster(k, e) < 0)
		return -1;
	if (json_opt_str(k->cluster, "server", &server, e) < 0 ||
	    json_opt_str(k->cluster, "tls-server-name", &name, e) < 0) {
		as_config(e);
		return err_wrap(e, "cluster \"%s\"", k->cluster_name);
	}
	if (!server || !*server)
		return err_set(e, ERR_CONFIG, "cluster \"%s\": server is missing", k->cluster_name);
	/* not shown: it may be a password */
	if (strpbrk(server, "@?#"))
		return err_set(e, ERR_CONFIG,
		               "cluster \"%s\": server: a user name or a query in the address is "
		               "not supported: use token, tokenFile or a client certificate",
		               k->cluster_name);
	if (url_parse(server, &c->server, e) < 0)
		return err_wrap(e, "cluster \"%s\": server", k->cluster_name);
	c->tls_name = xstrdup(name && *name ? name : c->server.host);
	return 0;
}

static int read_token(const struct kubeconfig *k, struct k8s_config *c, struct err *e)
{
	const char *token = NULL, *file = NULL;

	if (json_opt_str(k->user, "token", &token, e) < 0 ||
	    json_opt_str(k->user, "tokenFile", &file, e) < 0) {
		as_config(e);
		return err_wrap(e, "user \"%s\"", k->user_name);
	}
	if (file && *file) {
		/* it rotates, a token beside it is what it said when this was written */
		c->token_file = resolve_path(k, file);
	} else if (token && *token) {
		if (strlen(token) > TOKEN_MAX || strpbrk(token, " \t\r\n"))
			return err_set(e, ERR_CONFIG, "user \"%s\": token is no bearer token",
			               k->user_name);
		c->token = xstrdup(token);
	}
	return 0;
}

static int read_tls(const struct kubeconfig *k, struct k8s_config *c, struct err *e)
{
	AUTO_STR ca = STR_INIT;
	AUTO_STR cert = STR_INIT;
	AUTO_STR key = STR_INIT;

	if (read_pem(k, k->cluster, "certificate-authority", &ca, e) < 0)
		return err_wrap(e, "cluster \"%s\"", k->cluster_name);
	if (!ca.len)
		return err_set(e, ERR_CONFIG,
		               "cluster \"%s\": certificate-authority-data is missing: the "
		               "system's own certificates are not used",
		               k->cluster_name);
	if (read_pem(k, k->user, "client-certificate", &cert, e) < 0 ||
	    read_pem(k, k->user, "client-key", &key, e) < 0)
		return err_wrap(e, "user \"%s\"", k->user_name);
	if (!cert.len != !key.len)
		return err_set(e, ERR_CONFIG, "user \"%s\": %s is missing: both or neither",
		               k->user_name, cert.len ? "client-key" : "client-certificate");
	if (tls_config_new(ca.data, ca.len, cert.len ? cert.data : NULL, cert.len,
	                   key.len ? key.data : NULL, key.len, &c->tls, e) < 0)
		return err_wrap(e, "cluster \"%s\", user \"%s\"", k->cluster_name, k->user_name);
	return 0;
}

static int read_kubeconfig(struct kubeconfig *k, const char *context, struct k8s_config *c,
                           struct err *e)
{
	const char *ns = NULL;

	if (!json_is_object(k->root))
		return err_set(e, ERR_CONFIG, "not a kubeconfig");
	if (find_context(k, context, e) < 0 || read_server(k, c, e) < 0 || check_user(k, e) < 0)
		return -1;
	if (json_opt_str(k->context, "namespace", &ns, e) < 0)
		return as_config(e);
	c->namespace = xstrdup(ns && *ns ? ns : "default");
	/* as kubectl does: no credential ever goes over a connection in the clear */
	if (!c->server.tls)
		return 0;
	if (read_token(k, c, e) < 0)
		return -1;
	return read_tls(k, c, e);
}

int k8s_config_kubeconfig(const char *path, const char *context, struct k8s_config *out,
                          struct err *e)
{
	AUTO_CONFIG c = { .tls = NULL };
	AUTO_STR text = STR_INIT;
	AUTO_JSON *root = NULL;
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *folder = xstrndup(path, slash ? (size_t)(slash - path) + 1 : 0);
	struct kubeconfig k = { .folder = folder };

	if (file_read(path, KUBECONFIG_MAX, &text, e) < 0) {
		as_config(e);
		return err_wrap(e, "kubeconfig");
	}
	if (yaml_parse(text.data, text.len, &root, e) < 0)
		return err_wrap(e, "kubeconfig %s", path);
	k.root = root;
	if (read_kubeconfig(&k, context, &c, e) < 0)
		return err_wrap(e, "kubeconfig %s", path);
	hand_over(&c, out);
	return 0;
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

int k8s_config_default(const char *path, const char *context, struct k8s_config *out, struct err *e)
{
	AUTO_FREE char *home = NULL;

	if (!path) {
		path = env("KUBECONFIG");
		if (path && strchr(path, ':'))
			return err_set(e, ERR_CONFIG,
			               "KUBECONFIG names several files, which are not merged here: "
			               "name one (kubectl config view --flatten makes one)");
	}
	if (path)
		return k8s_config_kubeconfig(path, context, out, e);
	/* a context is something of a kubeconfig */
	if (!context && env("KUBERNETES_SERVICE_HOST") && env("KUBERNETES_SERVICE_PORT"))
		return k8s_config_in_cluster(K8S_SERVICE_ACCOUNT_DIR, out, e);
	home = xasprintf("%s/.kube/config", env("HOME") ? env("HOME") : "");
	if (access(home, F_OK) < 0)
		return err_set(e, ERR_CONFIG,
		               "no API server is known: name a kubeconfig, set KUBECONFIG, or run "
		               "in a pod (%s is not there either)",
		               home);
	return k8s_config_kubeconfig(home, context, out, e);
}
