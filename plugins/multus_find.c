/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_find.c - which networks a pod gets: the configuration's, and those of its annotations.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "plugins/multus_select.h"
#include "plugins/multus_work.h"

static int add_delegate(struct multus_work *w, json *conf, const char *name, const char *device,
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
static int add_definition(struct multus_work *w, json *request, struct err *e)
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
static char *definition_name(const struct multus_work *w, const char *value)
{
	if (*value == '/' || *value == '.')
		return NULL;
	return strchr(value, '/') ? xstrdup(value)
	                          : xasprintf("%s/%s", w->conf.multus_namespace, value);
}

/* A folder or a file. */
static int add_path(struct multus_work *w, const char *path, struct err *e)
{
	json *conf = NULL;
	struct err mine;

	if (multus_file_read(path, &conf, &mine) < 0 &&
	    (access(path, X_OK) < 0 || multus_file_network(path, NULL, &conf, e) < 0))
		return err_copy(e, &mine);
	return add_delegate(w, conf, NULL, NULL, NULL, e);
}

/* clusterNetwork, or one of defaultNetworks. */
static int add_configured(struct multus_work *w, const char *value, struct err *e)
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
static int select_networks(struct multus_work *w, json **first, json **more, struct err *e)
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

static bool has_default_networks(const struct multus_work *w)
{
	return *w->conf.cluster_network &&
	       !multus_is_system_namespace(&w->conf, w->call->pod_namespace);
}

static void expect_configured(const struct multus_work *w, json *if_known, const char *value)
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

/* Names of definitions; they may be files' as well. */
static json *configured(const struct multus_work *w, bool cluster)
{
	json *if_known = json_new_array();

	if (cluster && *w->conf.cluster_network)
		expect_configured(w, if_known, w->conf.cluster_network);
	json_each(v, has_default_networks(w) ? w->conf.default_networks : NULL)
		expect_configured(w, if_known, json_text(v));
	return if_known;
}

int multus_find_pod(struct multus_work *w, struct err *e)
{
	AUTO_JSON *if_known = configured(w, true);

	return multus_source_pod(&w->source, if_known, &w->pod, e);
}

static int expect(struct multus_work *w, const json *first, const json *more, struct err *e)
{
	AUTO_JSON *names = json_new_array();
	AUTO_JSON *if_known = configured(w, !first);

	expect_elements(names, first);
	expect_elements(names, more);
	return multus_source_expect(&w->source, names, if_known, e);
}

/* clusterNetwork, or the configuration's delegates but the first when the pod has one of its own.
 */
static int add_cluster(struct multus_work *w, bool replaced, struct err *e)
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

static int add_elements(struct multus_work *w, json *elements, const char *annotation,
                        struct err *e)
{
	while (json_first(elements))
		if (add_definition(w, json_detach(elements, json_first(elements)), e) < 0)
			return err_wrap(e, "annotation %s", annotation);
	return 0;
}

int multus_find_delegates(struct multus_work *w, struct err *e)
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

int multus_find_cluster(struct multus_work *w, struct err *e)
{
	if (expect(w, NULL, NULL, e) < 0 || add_cluster(w, false, e) < 0)
		return -1;
	return multus_delegates_finish(&w->delegates, "eth0", e);
}
