/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - the verbs: get, list in pages, create, merge patch, delete.
 */
#include <stdio.h>
#include <stdlib.h>

#include "k8s/request.h"

#define LIST_PAGES_MAX 2000 /* a million objects */
#define LIST_TRIES_MAX 5    /* lists that expire before their last page */

/* What a 2xx carried, as a tree. */
static int parse(const struct k8s_call *call, const struct str *body, json **out, struct err *e)
{
	if (json_parse(body->data, body->len, 0, out, e) < 0)
		return err_wrap(e, "answer of the API server to %s %.*s", call->method,
		                (int)strcspn(call->path, "?"), call->path);
	return 0;
}

static int call_json(struct k8s_client *c, const struct k8s_call *call, json **out,
                     struct mono deadline, struct err *e)
{
	AUTO_STR body = STR_INIT;

	if (k8s_call(c, call, &body, deadline, e) < 0)
		return -1;
	return out ? parse(call, &body, out, e) : 0;
}

int k8s_get(struct k8s_client *c, const struct k8s_resource *r, const char *ns, const char *name,
            json **out, struct mono deadline, struct err *e)
{
	AUTO_STR path = STR_INIT;
	struct k8s_call call = { .method = "GET" };

	if (k8s_path(c, r, ns, name ? name : "", NULL, &path, e) < 0)
		return -1;
	call.path = path.data;
	return call_json(c, &call, out, deadline, e);
}

int k8s_get_raw(struct k8s_client *c, const char *path, struct str *out, struct mono deadline,
                struct err *e)
{
	AUTO_FREE char *whole = xasprintf("%s%s", c->config->server.path, path);
	const struct k8s_call call = { .method = "GET", .path = whole };
	AUTO_STR body = STR_INIT;

	if (k8s_call(c, &call, &body, deadline, e) < 0)
		return -1;
	str_addn(out, body.data, body.len);
	return 0;
}

/* One page; its items are appended, `more` is the token for the next one, empty at the end. */
static int list_page(struct k8s_client *c, const char *path, struct str *more, json *items,
                     char **version, struct mono deadline, struct err *e)
{
	AUTO_STR target = STR_INIT;
	AUTO_JSON *page = NULL;
	const char *next = "", *rv;
	const json *meta, *array = NULL;
	struct k8s_call call = { .method = "GET" };

	str_add(&target, path);
	if (more->len)
		k8s_query(&target, "continue", more->data);
	call.path = target.data;
	if (call_json(c, &call, &page, deadline, e) < 0)
		return -1;
	if (json_obj(page, "metadata", &meta, e) < 0 ||
	    json_str(meta, "resourceVersion", &rv, e) < 0 ||
	    json_opt_str(meta, "continue", &next, e) < 0 ||
	    json_opt_arr(page, "items", &array, e) < 0)
		return err_wrap(e, "list of the API server for %.*s", (int)strcspn(path, "?"),
		                path);
	for (json *from = json_get_mut(page, "items"); json_first(from);)
		json_append(items, json_detach(from, json_first(from)));
	free(*version);
	*version = xstrdup(rv);
	str_reset(more, 0);
	str_add(more, next);
	return 0;
}

static int list_all(struct k8s_client *c, const char *path, json **items, char **version,
                    struct mono deadline, struct err *e)
{
	AUTO_JSON *all = json_new_array();
	AUTO_FREE char *rv = NULL;
	AUTO_STR more = STR_INIT;
	int pages = 0;

	do {
		if (++pages > LIST_PAGES_MAX)
			return err_set(e, ERR_PROTO, "a list of more than %d pages",
			               LIST_PAGES_MAX);
		if (list_page(c, path, &more, all, &rv, deadline, e) < 0)
			return -1;
	} while (more.len);
	*items = take_ptr(&all);
	if (version)
		*version = take_ptr(&rv);
	return 0;
}

int k8s_list(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
             const struct k8s_selector *sel, json **items, char **version, struct mono deadline,
             struct err *e)
{
	AUTO_STR path = STR_INIT;
	struct err mine;

	if (!e)
		e = &mine;
	if (k8s_path(c, r, ns, NULL, NULL, &path, e) < 0)
		return -1;
	str_addf(&path, "?limit=%d", K8S_LIST_LIMIT);
	k8s_query(&path, "labelSelector", sel ? sel->labels : NULL);
	k8s_query(&path, "fieldSelector", sel ? sel->fields : NULL);
	for (int tries = 1;; tries++) {
		if (list_all(c, path.data, items, version, deadline, e) == 0)
			return 0;
		if (e->kind != ERR_GONE || tries == LIST_TRIES_MAX)
			return -1;
	}
}

int k8s_create(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
               const json *object, json **out, struct mono deadline, struct err *e)
{
	AUTO_STR path = STR_INIT;
	AUTO_STR text = STR_INIT;
	struct k8s_call call = { .method = "POST", .content_type = "application/json" };

	if (r->namespaced && !ns)
		return err_set(e, ERR_CONFIG, "%s: an object without a namespace", r->plural);
	if (k8s_path(c, r, ns, NULL, NULL, &path, e) < 0)
		return -1;
	json_print(object, &text);
	call.path = path.data;
	call.body = text.data;
	call.body_len = text.len;
	return call_json(c, &call, out, deadline, e);
}

static int patch(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
                 const char *name, const char *subresource, const json *changes, const char *accept,
                 json **out, struct mono deadline, struct err *e)
{
	AUTO_STR path = STR_INIT;
	AUTO_STR text = STR_INIT;
	struct k8s_call call = { .method = "PATCH",
		                 .content_type = "application/merge-patch+json",
		                 .accept = accept };

	if (k8s_path(c, r, ns, name ? name : "", subresource, &path, e) < 0)
		return -1;
	json_print(changes, &text);
	call.path = path.data;
	call.body = text.data;
	call.body_len = text.len;
	return call_json(c, &call, out, deadline, e);
}

int k8s_patch(struct k8s_client *c, const struct k8s_resource *r, const char *ns, const char *name,
              const char *subresource, const json *changes, json **out, struct mono deadline,
              struct err *e)
{
	return patch(c, r, ns, name, subresource, changes, NULL, out, deadline, e);
}

int k8s_patch_meta(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
                   const char *name, const char *subresource, const json *changes, json **out,
                   struct mono deadline, struct err *e)
{
	static const char accept[] =
		"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json";

	return patch(c, r, ns, name, subresource, changes, accept, out, deadline, e);
}

int k8s_delete(struct k8s_client *c, const struct k8s_resource *r, const char *ns, const char *name,
               const char *uid, const char *version, struct mono deadline, struct err *e)
{
	AUTO_STR path = STR_INIT;
	AUTO_STR text = STR_INIT;
	AUTO_JSON *options = json_new_object();
	struct k8s_call call = { .method = "DELETE" };

	if (k8s_path(c, r, ns, name ? name : "", NULL, &path, e) < 0)
		return -1;
	call.path = path.data;
	if (uid || version) {
		json *conditions;

		json_set_str(options, "apiVersion", "v1");
		json_set_str(options, "kind", "DeleteOptions");
		conditions = json_ensure_object(options, "preconditions");
		json_set_str(conditions, "uid", uid);
		json_set_str(conditions, "resourceVersion", version);
		json_print(options, &text);
		call.content_type = "application/json";
		call.body = text.data;
		call.body_len = text.len;
	}
	return call_json(c, &call, NULL, deadline, e);
}
