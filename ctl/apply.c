/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.c - checked manifests, merged into a store.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/apply.h"
#include "k8s/ippool.h"
#include "json/yaml.h"

void apply_release(struct apply_docs *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->v[i].ns);
		free(d->v[i].name);
		json_free(d->v[i].object);
	}
	free(d->v);
	*d = (struct apply_docs){ NULL, 0, 0 };
}

/* A misspelt field would be a wish that nobody hears.  The known end with "". */
static int check_fields(const json *o, const char *where, const char (*known)[20], struct err *e)
{
	json_each(member, o)
	{
		size_t i = 0;

		while (*known[i] && !streq(known[i], json_name(member)))
			i++;
		if (!*known[i])
			return err_set(e, ERR_CONFIG, "unknown field %s%s", where,
			               json_name(member));
	}
	return 0;
}

static int check_routes(const struct pool *p, struct err *e)
{
	for (size_t i = 0; i < p->n_routes; i++) {
		if (p->routes[i].dst.len == 0)
			return err_set(e, ERR_CONFIG,
			               "spec.routes: dst must not be the default route, "
			               "gateway is for that");
		for (size_t j = 0; j < i; j++)
			if (cidr_equal_network(p->routes[i].dst, p->routes[j].dst))
				return err_set(e, ERR_CONFIG, "spec.routes: %s stands twice",
				               cidr_str(p->routes[i].dst).s);
	}
	return 0;
}

static int check_pool_values(const json *spec, const struct pool *p, struct err *e)
{
	struct ip_range subnet = cidr_range(p->subnet);
	int64_t version = p->family;

	if (p->bad)
		return err_set(e, ERR_CONFIG, "%s", p->bad);
	if (json_opt_i64(spec, "ipVersion", &version, e) < 0)
		return err_wrap(e, "spec");
	if (version != p->family)
		return err_set(e, ERR_CONFIG, "spec.ipVersion must be the family of subnet %s",
		               cidr_str(p->subnet).s);
	for (size_t i = 0; i < p->excluded.n; i++)
		if (!ip_range_contains(subnet, p->excluded.v[i].first) ||
		    !ip_range_contains(subnet, p->excluded.v[i].last))
			return err_set(e, ERR_CONFIG, "spec.excludeIPs: %s is not in subnet %s",
			               ip_range_str(p->excluded.v[i]).s, cidr_str(p->subnet).s);
	return check_routes(p, e);
}

static int check_pool(const json *object, struct err *e)
{
	static const char known[][20] = { "ipVersion",
		                          "subnet",
		                          "ips",
		                          "excludeIPs",
		                          "gateway",
		                          "routes",
		                          "podAffinity",
		                          "namespaceAffinity",
		                          "namespaceName",
		                          "nodeAffinity",
		                          "nodeName",
		                          "multusName",
		                          "default",
		                          "disable",
		                          "" };
	static const char selectors[][18] = { "podAffinity", "namespaceAffinity", "nodeAffinity" };
	static const char selector_fields[][20] = { "matchLabels", "matchExpressions", "" };
	const json *spec, *strings;
	struct pool p;
	int rc;

	if (json_obj(object, "spec", &spec, e) < 0)
		return -1;
	if (check_fields(spec, "spec.", known, e) < 0 ||
	    json_opt_strs(spec, "namespaceName", &strings, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
		const json *selector = NULL;
		AUTO_FREE char *where = xasprintf("spec.%s.", selectors[i]);

		if (json_opt_obj(spec, selectors[i], &selector, e) < 0 ||
		    check_fields(selector, where, selector_fields, e) < 0)
			return -1;
	}
	if (json_get(spec, "podAffinity") && !json_first(json_get(spec, "podAffinity")))
		return err_set(e, ERR_CONFIG,
		               "spec.podAffinity must not be empty, leave it out "
		               "for all pods");
	if (ippool_read(object, &p, e) < 0)
		return -1;
	rc = check_pool_values(spec, &p, e);
	pool_release(&p);
	return rc;
}

static int check_reserved(const json *object, struct err *e)
{
	static const char known[][20] = { "ipVersion", "ips", "" };
	AUTO_IP_SET set = IP_SET_INIT;
	int64_t version = 0;
	const json *spec;

	if (json_obj(object, "spec", &spec, e) < 0 || check_fields(spec, "spec.", known, e) < 0)
		return -1;
	if (json_opt_i64(spec, "ipVersion", &version, e) < 0 ||
	    reservedip_read(object, &set, e) < 0)
		return err_wrap(e, "spec");
	if (json_get(spec, "ipVersion") && version != 4 && version != 6)
		return err_set(e, ERR_CONFIG, "spec.ipVersion must be 4 or 6");
	if (!set.n && !version)
		return err_set(e, ERR_CONFIG,
		               "spec.ips must not be empty unless ipVersion is given");
	for (size_t i = 0; i < set.n; i++)
		if (set.v[i].first.family != (version ? version : set.v[0].first.family))
			return err_set(e, ERR_CONFIG,
			               "spec.ips: all addresses must be of one family, that of "
			               "ipVersion where given");
	return 0;
}

int apply_check(enum store_kind kind, const json *object, struct err *e)
{
	switch (kind) {
	case STORE_IPPOOL:
		return check_pool(object, e);
	case STORE_RESERVEDIP:
		return check_reserved(object, e);
	default:
		return 0;
	}
}

/* By apiVersion and kind, both exact: what the server would go by. */
static int kind_of(const json *object, enum store_kind *out, struct err *e)
{
	const char *version, *kind;

	if (json_str(object, "apiVersion", &version, e) < 0 ||
	    json_str(object, "kind", &kind, e) < 0)
		return -1;
	for (int k = 0; k < STORE_N_KINDS; k++) {
		const struct store_kind_info *info = store_kind_info((enum store_kind)k);

		if (streq(info->kind, kind) && streq(info->api_version, version)) {
			*out = (enum store_kind)k;
			return 0;
		}
	}
	return err_set(e, ERR_CONFIG, "kind %s of %s is not known here", kind, version);
}

/* What the server owns says nothing about what is wanted. */
static void strip(enum store_kind kind, json *object)
{
	static const char owned[][18] = { "uid", "resourceVersion", "generation",
		                          "creationTimestamp", "managedFields" };
	json *meta = json_ensure_object(object, "metadata");

	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		if (kind != STORE_POD || i) /* a pod's uid comes from its runtime */
			json_remove(meta, owned[i]);
	if (kind == STORE_IPPOOL)
		json_remove(object, "status"); /* the agents' */
}

static int add_doc(const json *object, const char *ns, struct apply_docs *out, struct err *e)
{
	enum store_kind kind;
	const struct store_kind_info *info;
	const char *name, *its_ns = NULL;
	const json *meta;
	struct apply_doc *d;

	if (!json_is_object(object))
		return err_set(e, ERR_CONFIG, "not an object");
	if (kind_of(object, &kind, e) < 0 || json_obj(object, "metadata", &meta, e) < 0 ||
	    json_str(meta, "name", &name, e) < 0 || json_opt_str(meta, "namespace", &its_ns, e) < 0)
		return -1;
	info = store_kind_info(kind);
	if (apply_check(kind, object, e) < 0)
		return err_wrap(e, "%s %s", info->kind, name);
	ns = info->resource.namespaced ? (its_ns ? its_ns : ns) : NULL;
	for (size_t i = 0; i < out->n; i++)
		if (out->v[i].kind == kind && streq(out->v[i].name, name) &&
		    (!ns || streq(out->v[i].ns, ns)))
			return err_set(e, ERR_CONFIG, "%s %s stands twice", info->kind, name);
	out->v = xgrow(out->v, &out->cap, out->n + 1, sizeof(*out->v));
	d = &out->v[out->n++];
	*d = (struct apply_doc){ .kind = kind,
		                 .ns = ns ? xstrdup(ns) : NULL,
		                 .name = xstrdup(name),
		                 .object = json_copy(object) };
	strip(kind, d->object);
	if (ns)
		json_set_str(json_get_mut(d->object, "metadata"), "namespace", ns);
	else
		json_remove(json_get_mut(d->object, "metadata"), "namespace");
	return 0;
}

static int add_document(const json *document, const char *ns, struct apply_docs *out, struct err *e)
{
	const char *kind = json_str_at(document, "kind", NULL);
	const json *items = json_get(document, "items");

	if (!kind || !str_ends(kind, "List") || !json_is_array(items))
		return add_doc(document, ns, out, e);
	json_each(item, items)
	{
		if (add_doc(item, ns, out, e) < 0)
			return -1;
	}
	return 0;
}

int apply_read(const char *text, size_t len, const char *source, const char *ns,
               struct apply_docs *out, struct err *e)
{
	AUTO_APPLY_DOCS docs = { NULL, 0, 0 };
	AUTO_JSON *all = NULL;
	size_t n = 0;

	if (yaml_parse_all(text, len, &all, e) < 0)
		return err_wrap(e, "%s", source);
	json_each(document, all)
	{
		n++;
		if (add_document(document, ns, &docs, e) < 0)
			return err_wrap(e, "%s: document %zu", source, n);
	}
	if (!docs.n)
		return err_set(e, ERR_CONFIG, "%s: no objects in it", source);
	*out = docs;
	docs = (struct apply_docs){ NULL, 0, 0 };
	return 0;
}

/* The API server's rules on what one object may not become. */
static int check_change(enum store_kind kind, const json *old, const json *new, struct err *e)
{
	static const char fixed[][10] = { "subnet", "ipVersion" };

	if (kind != STORE_IPPOOL && kind != STORE_RESERVEDIP)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		const json *was = json_at(old, "spec", fixed[i], NULL);
		const json *is = json_at(new, "spec", fixed[i], NULL);

		if (was && is && !json_equal(was, is))
			return err_set(e, ERR_CONFIG, "spec.%s cannot be changed, make another %s",
			               fixed[i], kind == STORE_IPPOOL ? "pool" : "object");
	}
	return apply_check(kind, new, e);
}

static int plan_one(struct store *s, struct apply_doc *d, struct mono deadline, struct err *e)
{
	AUTO_JSON *old = NULL;
	AUTO_JSON *new = NULL;
	struct err mine;

	if (store_get(s, d->kind, d->ns, d->name, &old, deadline, &mine) < 0) {
		d->action = APPLY_CREATE;
		return mine.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &mine);
	}
	json_remove(json_get_mut(d->object, "metadata"), "uid"); /* would be a precondition */
	new = json_copy(old);
	json_merge(&new, d->object);
	d->action = json_equal(old, new) ? APPLY_NOTHING : APPLY_CONFIGURE;
	return check_change(d->kind, old, new, e);
}

int apply_plan(struct store *s, struct apply_docs *docs, struct mono deadline, struct err *e)
{
	for (size_t i = 0; i < docs->n; i++)
		if (plan_one(s, &docs->v[i], deadline, e) < 0)
			return err_wrap(e, "%s %s", store_kind_info(docs->v[i].kind)->kind,
			                docs->v[i].name);
	return 0;
}

/* What the schema's defaults add on an API server. */
static void set_defaults(enum store_kind kind, json *object)
{
	static const char flags[][8] = { "default", "disable" };
	json *spec;

	if (kind != STORE_IPPOOL)
		return;
	spec = json_ensure_object(object, "spec");
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (!json_get(spec, flags[i]))
			json_set_bool(spec, flags[i], false);
}

int apply_write(struct store *s, const struct apply_doc *doc, struct mono deadline, struct err *e)
{
	AUTO_JSON *object = NULL;
	AUTO_JSON *status = NULL;

	if (doc->action == APPLY_NOTHING)
		return 0;
	object = json_copy(doc->object);
	if (doc->action == APPLY_CREATE) {
		if (store_is_dir(s))
			set_defaults(doc->kind, object);
		return store_create(s, doc->kind, object, NULL, deadline, e);
	}
	if (json_get(object, "status")) {
		status = json_new_object();
		json_set(status, "status", json_copy(json_get(object, "status")));
		json_remove(object, "status");
	}
	if (store_patch(s, doc->kind, doc->ns, doc->name, false, object, NULL, deadline, e) < 0)
		return -1;
	if (!status)
		return 0;
	return store_patch(s, doc->kind, doc->ns, doc->name, true, status, NULL, deadline, e);
}
