/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube.c - objects at a Kubernetes API server: kinds become paths, the rest is k8s/client.h.
 */
#include <stdlib.h>

#include "store/backend.h"

struct kube_store {
	struct store base;
	struct k8s_config config;
	struct k8s_client *client;
};

struct kube_watch {
	struct store_watch base;
	struct k8s_watch *watch;
};

static struct k8s_client *client_of(struct store *s)
{
	return ((struct kube_store *)s)->client;
}

static const struct k8s_resource *resource_of(enum store_kind k)
{
	return &store_kind_info(k)->resource;
}

/* Objects in the lists of built-in kinds do not say what they are. */
static void fill_in_kind(enum store_kind k, json *o)
{
	json_set_str(o, "apiVersion", store_kind_info(k)->api_version);
	json_set_str(o, "kind", store_kind_info(k)->kind);
}

static int kube_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                    json **out, struct mono deadline, struct err *e)
{
	return k8s_get(client_of(s), resource_of(k), ns, name, out, deadline, e);
}

static int kube_list(struct store *s, enum store_kind k, const char *ns,
                     const struct k8s_selector *sel, json **items, char **version,
                     struct mono deadline, struct err *e)
{
	AUTO_JSON *raw = NULL;
	json *list;

	if (k8s_list(client_of(s), resource_of(k), ns, sel, &raw, version, deadline, e) < 0)
		return -1;
	list = json_new_array();
	while (json_first(raw)) {
		json *o = json_detach(raw, json_first(raw));

		fill_in_kind(k, o);
		json_append(list, o);
	}
	*items = list;
	return 0;
}

static int kube_create(struct store *s, enum store_kind k, const json *object, json **out,
                       struct mono deadline, struct err *e)
{
	const char *ns = json_str_at(object, "metadata", "namespace", NULL);
	AUTO_JSON *o = json_copy(object);

	fill_in_kind(k, o);
	return k8s_create(client_of(s), resource_of(k), ns, o, out, deadline, e);
}

/* The part of a patch that concerns the status: it, a pod's annotations, and the conditions. */
static json *status_of(enum store_kind k, const json *patch)
{
	const json *status = json_get(patch, "status");
	const char *version = json_str_at(patch, "metadata", "resourceVersion", NULL);
	const char *uid = json_str_at(patch, "metadata", "uid", NULL);
	const json *annotations = json_at(patch, "metadata", "annotations", NULL);
	json *o = json_new_object();

	if (version)
		json_set_str(json_ensure_object(o, "metadata"), "resourceVersion", version);
	if (k == STORE_POD && annotations) {
		json_set_str(json_ensure_object(o, "metadata"), "uid", uid);
		json_set(json_ensure_object(o, "metadata"), "annotations", json_copy(annotations));
	}
	if (status)
		json_set(o, "status", json_copy(status));
	return o;
}

typedef int (*patch_call)(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
                          const char *name, const char *subresource, const json *patch, json **out,
                          struct mono deadline, struct err *e);

static int patch_by(patch_call call, struct store *s, enum store_kind k, const char *ns,
                    const char *name, bool status, const json *patch, json **out,
                    struct mono deadline, struct err *e)
{
	const char *sub = status && store_kind_info(k)->has_status ? "status" : NULL;
	AUTO_JSON *part = status ? status_of(k, patch) : NULL;

	return call(client_of(s), resource_of(k), ns, name, sub, part ? part : patch, out, deadline,
	            e);
}

static int kube_patch(struct store *s, enum store_kind k, const char *ns, const char *name,
                      bool status, const json *patch, json **out, struct mono deadline,
                      struct err *e)
{
	return patch_by(k8s_patch, s, k, ns, name, status, patch, out, deadline, e);
}

static int kube_patch_meta(struct store *s, enum store_kind k, const char *ns, const char *name,
                           bool status, const json *patch, json **out, struct mono deadline,
                           struct err *e)
{
	return patch_by(k8s_patch_meta, s, k, ns, name, status, patch, out, deadline, e);
}

static int kube_delete(struct store *s, enum store_kind k, const char *ns, const char *name,
                       const char *uid, const char *version, struct mono deadline, struct err *e)
{
	return k8s_delete(client_of(s), resource_of(k), ns, name, uid, version, deadline, e);
}

static int kube_get_raw(struct store *s, const char *path, struct str *out, struct mono deadline,
                        struct err *e)
{
	return k8s_get_raw(client_of(s), path, out, deadline, e);
}

static int kube_watch_next(struct store_watch *w, enum k8s_event_type *type, json **object,
                           struct mono deadline, struct err *e)
{
	return k8s_watch_next(((struct kube_watch *)w)->watch, type, object, deadline, e);
}

static void kube_watch_interrupt(struct store_watch *w)
{
	k8s_watch_interrupt(((struct kube_watch *)w)->watch);
}

static void kube_watch_close(struct store_watch *w)
{
	k8s_watch_close(((struct kube_watch *)w)->watch);
	free(w);
}

static const struct watch_ops kube_watch_ops = { kube_watch_next, kube_watch_interrupt,
	                                         kube_watch_close };

static int kube_watch_open(struct store *s, enum store_kind k, const char *ns,
                           const struct k8s_selector *sel, const char *version,
                           struct store_watch **out, struct err *e)
{
	struct k8s_watch *watch = NULL;
	struct kube_watch *w;

	if (k8s_watch_open(client_of(s), resource_of(k), ns, sel, version, &watch, e) < 0)
		return -1;
	w = xcalloc(1, sizeof(*w));
	w->base.ops = &kube_watch_ops;
	w->watch = watch;
	*out = &w->base;
	return 0;
}

static void kube_close(struct store *base)
{
	struct kube_store *s = (struct kube_store *)base;

	k8s_client_free(s->client);
	k8s_config_release(&s->config);
	free(s);
}

static const struct store_ops kube_ops = {
	.get = kube_get,
	.list = kube_list,
	.create = kube_create,
	.patch = kube_patch,
	.patch_meta = kube_patch_meta,
	.del = kube_delete,
	.watch_open = kube_watch_open,
	.get_raw = kube_get_raw,
	.close = kube_close,
};

int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	struct kube_store *s = xcalloc(1, sizeof(*s));

	if (k8s_config_default(path, context, &s->config, e) < 0) {
		free(s);
		return -1;
	}
	s->base.ops = &kube_ops;
	s->client = k8s_client_new(&s->config);
	*out = &s->base;
	return 0;
}
