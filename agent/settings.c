/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c - conf.yml to a struct.  Keys of the original's parts that are not here are known and
 * do no harm; whoever asks for such a part is told.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/settings.h"
#include "base/file.h"
#include "base/log.h"
#include "json/yaml.h"

#define NETWORK_MAX 512 /* bytes of clusterNetwork */

const struct settings settings_default = {
	.ipv4 = true,
	.ipv6 = true,
	.statefulset = true,
	.kubevirt = true,
};

/* Of parts that we do not have. */
#define FOREIGN                                                                                    \
	"enableSpiderSubnet enableAutoPoolForApplication enableCleanOutdatedEndpoint "             \
	"enableValidatingResourcesDeletedWebhook clusterSubnetDefaultFlexibleIPNumber "            \
	"podResourceInject agent iaasNetworkProvider networkMode clusterDefault*"

static const char foreign[] = FOREIGN;
static const char known[] =
	"enableIPv4 enableIPv6 enableStatefulSet enableKubevirtStaticIP enableIPConflictDetection "
	"enableGatewayDetection tuneSysctlConfig ipamUnixSocketPath multusConf " FOREIGN;

/* Sections, the member of each that switches its part on, or of a section in it, and all members.
 */
static const struct {
	char key[20], member[22], inner[8], known[44];
} sections[] = {
	{ "podResourceInject", "enabled", "", "enabled namespacesExclude namespacesInclude" },
	{ "agent", "networkResourcePlugin", "enabled", "networkResourcePlugin" },
	{ "iaasNetworkProvider", "serverUrl", "", "serverUrl httpRequestTimeout" },
};

/* Does the member ask for something?  Numbers only say how much of it. */
static bool asks(const json *root, const json *member)
{
	const json *v = member;

	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (streq(json_name(member), sections[i].key))
			v = json_at(root, sections[i].key, sections[i].member,
			            *sections[i].inner ? sections[i].inner : NULL, NULL);
	if (json_is_bool(v))
		return json_truth(v);
	return json_is_string(v) ? *json_text(v) : json_count(v) > 0;
}

/* section "": the whole. */
static void tell_unknown(const char *path, const char *section, const json *o, const char *keys)
{
	AUTO_STR unknown = STR_INIT;

	json_unknown(o, keys, &unknown);
	if (unknown.len)
		log_warn("%s: unknown keys %s%s%sare ignored: %s", path, *section ? "of " : "",
		         section, *section ? " " : "", unknown.data);
}

static void tell(const char *path, const json *root)
{
	AUTO_STR wanted = STR_INIT;

	tell_unknown(path, "", root, known);
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		tell_unknown(path, sections[i].key, json_get(root, sections[i].key),
		             sections[i].known);
	json_each(m, root) if (json_is_known(foreign, json_name(m)) && asks(root, m))
		str_addf(&wanted, "%s%.64s", wanted.len ? ", " : "", json_name(m));
	if (wanted.len)
		log_info("%s: nothing is done here for %s", path, wanted.data);
}

/* What follows from the node and from us is not to be said here. */
static int check_multus(const json *o, struct err *e)
{
	json_each(m, o)
	{
		if (json_is_known(
			    "type name confDir clusterNetwork delegates kubeconfig agentSocket",
			    json_name(m)))
			return err_set(e, ERR_CONFIG, "multusConf: %s cannot be set", json_name(m));
	}
	return 0;
}

static int read_keys(const json *root, struct settings *out, struct err *e)
{
	struct settings s = settings_default;
	const char *socket = "";
	const json *multus = NULL;

	if (json_opt_bool(root, "enableIPv4", &s.ipv4, e) < 0 ||
	    json_opt_bool(root, "enableIPv6", &s.ipv6, e) < 0 ||
	    json_opt_bool(root, "enableStatefulSet", &s.statefulset, e) < 0 ||
	    json_opt_bool(root, "enableKubevirtStaticIP", &s.kubevirt, e) < 0 ||
	    json_opt_bool(root, "enableIPConflictDetection", &s.conflict_detection, e) < 0 ||
	    json_opt_bool(root, "enableGatewayDetection", &s.gateway_detection, e) < 0 ||
	    json_opt_bool(root, "tuneSysctlConfig", &s.tune_sysctls, e) < 0 ||
	    json_opt_str(root, "ipamUnixSocketPath", &socket, e) < 0 ||
	    json_opt_obj(root, "multusConf", &multus, e) < 0 || check_multus(multus, e) < 0)
		return -1;
	if (!s.ipv4 && !s.ipv6)
		return err_set(
			e, ERR_CONFIG,
			"enableIPv4 and enableIPv6 are both false: at least one must be true");
	if (*socket && *socket != '/')
		return err_set(e, ERR_CONFIG, "ipamUnixSocketPath: \"%s\" is not an absolute path",
		               socket);
	s.socket = xstrdup(*socket ? socket : SETTINGS_SOCKET);
	s.multus = json_first(multus) ? json_copy(multus) : NULL;
	*out = s;
	return 0;
}

static int read_conf(const char *path, struct settings *out, struct err *e)
{
	AUTO_JSON *documents = NULL;
	AUTO_STR text = STR_INIT;
	const json *root;

	if (file_read(path, SETTINGS_MAX, &text, e) < 0)
		return -1;
	if (yaml_parse_all(text.data, text.len, &documents, e) < 0)
		return err_wrap(e, "%s", path);
	if (json_count(documents) > 1)
		return err_set(e, ERR_CONFIG, "%s: %zu documents where one is wanted", path,
		               json_count(documents));
	/* nothing but comments: nothing is said */
	root = json_first(documents);
	if (root && !json_is_object(root))
		return err_set(e, ERR_CONFIG, "%s: no mapping of keys to values", path);
	if (read_keys(root, out, e) < 0) {
		if (e)
			e->kind = ERR_CONFIG;
		return err_wrap(e, "%s", path);
	}
	tell(path, root);
	return 0;
}

/* NAME or NAMESPACE/NAME; the letters are those of Kubernetes' names. */
static bool is_network(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
	size_t n = strspn(s, letters);

	if (n && s[n] == '/') {
		s += n + 1;
		n = strspn(s, letters);
	}
	return n && !s[n];
}

/* Each data key of a ConfigMap is a file of the volume. */
static int read_cluster_network(const char *path, char **out, struct err *e)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *file =
		xasprintf("%.*sclusterNetwork", slash ? (int)(slash + 1 - path) : 0, path);
	AUTO_STR text = STR_INIT;
	struct err mine;

	if (!e)
		e = &mine;
	if (file_read(file, NETWORK_MAX, &text, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
		str_reset(&text, text.len - 1);
	if (!text.len)
		return 0;
	if (!is_network(text.data))
		return err_set(e, ERR_CONFIG, "%s: \"%s\" is not NAME or NAMESPACE/NAME", file,
		               text.data);
	*out = str_take(&text);
	return 0;
}

int settings_read(const char *path, struct settings *out, struct err *e)
{
	struct settings s;

	if (!path) {
		*out = settings_default;
		out->socket = xstrdup(SETTINGS_SOCKET);
		return 0;
	}
	if (read_conf(path, &s, e) < 0)
		return -1;
	if (read_cluster_network(path, &s.cluster_network, e) < 0) {
		settings_release(&s);
		return -1;
	}
	*out = s;
	return 0;
}

void settings_release(struct settings *s)
{
	free(s->socket);
	free(s->cluster_network);
	json_free(s->multus);
	s->multus = NULL;
	s->socket = NULL;
	s->cluster_network = NULL;
}
