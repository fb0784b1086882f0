/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nads.c - see nads.h.  In memory they are one JSON object: "namespace/name" to what is needed.
 */
#include <pthread.h>
#include <stdlib.h>

#include "agent/live.h"
#include "agent/nads.h"

struct nads {
	struct store *store;
	struct informer *informer;
	struct pause pause;
	pthread_mutex_t lock;
	json *known; /* under the lock; NULL: not listed yet */
};

static char *key_of(const json *object)
{
	const char *ns = json_str_at(object, "metadata", "namespace", NULL);
	const char *name = json_str_at(object, "metadata", "name", NULL);

	return xasprintf("%s/%s", ns ? ns : "", name ? name : "");
}

static json *facts_of(const json *object)
{
	json *o = json_new_object();

	json_set_str(o, "config", json_str_at(object, "spec", "config", NULL));
	json_set_str(o, "resourceName",
	             json_str_at(object, "metadata", "annotations",
	                         "k8s.v1.cni.cncf.io/resourceName", NULL));
	return o;
}

static void on_listed(void *ctx, const json *items)
{
	json *known = json_new_object(), *before;
	struct nads *n = ctx;

	json_each(o, items)
	{
		AUTO_FREE char *key = key_of(o);

		json_set(known, key, facts_of(o));
	}
	pthread_mutex_lock(&n->lock);
	before = n->known;
	n->known = known;
	pthread_mutex_unlock(&n->lock);
	json_free(before);
}

static void on_event(void *ctx, enum k8s_event_type type, const json *object)
{
	AUTO_FREE char *key = key_of(object);
	struct nads *n = ctx;

	pthread_mutex_lock(&n->lock);
	if (type == K8S_DELETED)
		json_remove(n->known, key);
	else
		json_set(n->known, key, facts_of(object));
	pthread_mutex_unlock(&n->lock);
}

static const struct informer_ops informer_ops = { on_listed, on_event, NULL };

int nads_start(struct store *s, struct nads **out, struct err *e)
{
	struct nads *n = xcalloc(1, sizeof(*n));

	n->store = s;
	pause_init(&n->pause);
	pthread_mutex_init(&n->lock, NULL);
	if (informer_start(s, STORE_NAD, NULL, NULL, &informer_ops, n, &n->informer, e) < 0) {
		nads_stop(n);
		return -1;
	}
	*out = n;
	return 0;
}

void nads_end(struct nads *n)
{
	if (n)
		pause_end(&n->pause);
}

void nads_stop(struct nads *n)
{
	if (!n)
		return;
	nads_end(n);
	informer_stop(n->informer);
	json_free(n->known);
	pthread_mutex_destroy(&n->lock);
	pause_release(&n->pause);
	free(n);
}

/* *listed: what is not there is not there. */
static json *in_memory(struct nads *n, const char *key, bool *listed)
{
	const json *o;
	json *copy;

	pthread_mutex_lock(&n->lock);
	*listed = n->known != NULL;
	o = json_get(n->known, key);
	copy = o ? json_copy(o) : NULL;
	pthread_mutex_unlock(&n->lock);
	return copy;
}

int nads_find(struct nads *n, const char *ns, const char *name, bool must, struct mono deadline,
              json **out, struct err *e)
{
	AUTO_FREE char *key = xasprintf("%s/%s", ns, name);
	AUTO_JSON *object = NULL;
	bool listed;
	struct err why;

	*out = in_memory(n, key, &listed);
	if (*out || (listed && !must))
		return 0;
	/* made a moment ago, perhaps */
	if (live_get(n->store, &n->pause, STORE_NAD, ns, name, &object, deadline, &why) < 0) {
		if (why.kind == ERR_NOT_FOUND || why.kind == ERR_CONFIG)
			return 0;
		err_copy(e, &why);
		return err_wrap(e, "read NetworkAttachmentDefinition %s", key);
	}
	*out = facts_of(object);
	return 0;
}
