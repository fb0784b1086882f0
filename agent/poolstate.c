/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poolstate.c - reading pool objects, and the minimal admission: what must be filled in.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/poolstate.h"
#include "k8s/ippool.h"

#define LABEL_NAME_MAX 63 /* of the part after the slash */

int pool_state_read(const json *object, struct pool_state *out, struct err *e)
{
	const json *finalizers = json_at(object, "metadata", "finalizers", NULL);
	const json *labels = json_at(object, "metadata", "labels", NULL);

	memset(out, 0, sizeof(*out));
	if (ippool_read(object, &out->p, e) < 0)
		return -1;
	out->finalizers = json_is_array(finalizers) ? json_copy(finalizers) : NULL;
	out->labels = json_is_object(labels) ? json_copy(labels) : NULL;
	out->has_version = json_at(object, "spec", "ipVersion", NULL) != NULL;
	out->total = out->recorded = -1;
	/* a count of a strange type is as good as none: it is written anew */
	IGNORE(json_opt_i64(json_get(object, "metadata"), "generation", &out->generation, NULL));
	IGNORE(json_opt_i64(json_get(object, "status"), "totalIPCount", &out->total, NULL));
	IGNORE(json_opt_i64(json_get(object, "status"), "allocatedIPCount", &out->recorded, NULL));
	return 0;
}

void pool_state_release(struct pool_state *s)
{
	pool_release(&s->p);
	json_free(s->finalizers);
	json_free(s->labels);
	memset(s, 0, sizeof(*s));
}

static bool has_finalizer(const struct pool_state *s)
{
	json_each(f, s->finalizers)
	{
		if (json_is_string(f) && streq(json_text(f), SPIDERPOOL_FINALIZER))
			return true;
	}
	return false;
}

static json *with_version(const struct pool_state *s)
{
	json *patch = json_new_object();

	json_set_str(json_ensure_object(patch, "metadata"), "resourceVersion", s->p.version);
	return patch;
}

/* The name of a label has 63 characters at most (Kubernetes, "Labels and Selectors"). */
char *pool_node_label(const char *node)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	if (strlen(node) <= LABEL_NAME_MAX)
		return xasprintf(POOL_LABEL_NODE "%s", node);
	for (const char *p = node; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
	return xasprintf(POOL_LABEL_NODE "%.40s-%016llx", node, (unsigned long long)hash);
}

bool pool_state_has_label(const struct pool_state *s, const char *key)
{
	return json_get(s->labels, key) != NULL;
}

static void want_label(const struct pool_state *s, json *wanted, json *patch, const char *key)
{
	json_set_str(wanted, key, "");
	if (!pool_state_has_label(s, key))
		json_set_str(patch, key, "");
}

static void want_node(const struct pool_state *s, json *wanted, json *patch, const char *node)
{
	AUTO_FREE char *key = pool_node_label(node);

	want_label(s, wanted, patch, key);
}

/*
 * Labels to be set or (null) removed; owned, maybe empty.  The agent of a node that the pool serves
 * no longer has to see what it gave, until that is given back; records without a node are taken for
 * those of the single node in nodeName, which is labelled anyway.
 */
static json *label_patch(const struct pool_state *s)
{
	json *patch = json_new_object();
	AUTO_JSON *wanted = json_new_object();

	if (s->p.n_node_names)
		want_label(s, wanted, patch, POOL_LABEL_PINNED);
	for (size_t i = 0; i < s->p.n_node_names; i++)
		want_node(s, wanted, patch, s->p.node_names[i]);
	for (size_t i = 0; i < s->p.n_records; i++) {
		const char *node = s->p.records[i].node;

		/* a server refuses all of a patch for one label that is none */
		if (!pool_is_for(&s->p, node) && str_is_name(node, strlen(node)))
			want_node(s, wanted, patch, node);
	}
	json_each(have, s->labels)
	{
		const char *key = json_name(have);

		if ((str_starts(key, POOL_LABEL_NODE) || streq(key, POOL_LABEL_PINNED)) &&
		    !json_get(wanted, key))
			json_set_null(patch, key);
	}
	return patch;
}

/* That an address is held back ends with its pool; what cannot be read may be anything. */
static bool holds_any(const struct pool *p)
{
	for (size_t i = 0; i < p->n_records; i++)
		if (!*p->records[i].conflict)
			return true;
	return p->unreadable;
}

json *pool_state_admit_patch(const struct pool_state *s)
{
	bool want = !s->p.terminating || holds_any(&s->p), have = has_finalizer(s);
	/* an object that is being deleted takes no new finalizers, and keeps its version */
	bool finalizer = s->p.terminating ? have && !want : !have && !s->p.bad;
	bool version = !s->p.terminating && !s->p.bad && !s->has_version;
	/* whose it is may be what cannot be read */
	AUTO_JSON *labels = s->p.bad ? NULL : label_patch(s);
	json *patch, *list;

	if (!finalizer && !version && !json_first(labels))
		return NULL;
	patch = with_version(s);
	if (json_first(labels))
		json_set(json_ensure_object(patch, "metadata"), "labels", json_copy(labels));
	if (version)
		json_set_i64(json_ensure_object(patch, "spec"), "ipVersion", s->p.family);
	if (!finalizer)
		return patch;
	list = json_new_array();
	json_each(f, s->finalizers)
	{
		if (!json_is_string(f) || !streq(json_text(f), SPIDERPOOL_FINALIZER))
			json_append(list, json_copy(f));
	}
	if (want)
		json_append_str(list, SPIDERPOOL_FINALIZER);
	json_set(json_ensure_object(patch, "metadata"), "finalizers", list);
	return patch;
}

json *pool_state_count_patch(const struct pool_state *s)
{
	json *patch = s->p.bad ? NULL : ippool_status_patch(&s->p);
	const json *status = json_get(patch, "status");
	int64_t total = -1;

	IGNORE(json_opt_i64(status, "totalIPCount", &total, NULL));
	if (!patch || (total == s->total && s->recorded == (int64_t)s->p.n_records)) {
		json_free(patch);
		return NULL;
	}
	return patch;
}

bool pool_state_is_for(const struct pool_state *s, const char *node)
{
	return pool_is_for(&s->p, node);
}

/*
 * etcd's revisions and the directory store's counter are decimal numbers that grow (and Kubernetes
 * promises for its own kinds and CRDs that they may be compared); anything else is only equal or
 * not.
 */
uint64_t version_number(const char *version)
{
	uint64_t n;

	return version && parse_u64(version, 1, UINT64_MAX - 1, &n, NULL) == 0 ? n : 0;
}

int version_compare(const char *a, const char *b)
{
	uint64_t x = version_number(a), y = version_number(b);

	if (streq(a, b))
		return 0;
	if (!x || !y)
		return 2;
	return x < y ? -1 : 1;
}
