/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poolstate.h - a SpiderIPPool as the store holds it: the pool, and what of the object admission
 * looks at.  Pure.
 */
#ifndef AGENT_POOLSTATE_H
#define AGENT_POOLSTATE_H

#include "pool/pool.h"
#include "json/json.h"

struct pool_state {
	struct pool p;
	int64_t generation;
	json *finalizers;        /* array, or NULL */
	json *labels;            /* metadata.labels, or NULL */
	bool has_version;        /* spec.ipVersion is there */
	int64_t total, recorded; /* the status' counts, -1: not there */
};

/* ERR_PROTO when it is no SpiderIPPool at all; everything else is told by p.bad. */
int pool_state_read(const json *object, struct pool_state *out, struct err *e) MUST_USE;
void pool_state_release(struct pool_state *s);

/*
 * Labels by which agents watch the pools that concern them: a pool with spec.nodeName has
 * POOL_LABEL_PINNED and one label for each of its nodes, and for each that gave addresses of it
 * which are not back.
 */
#define POOL_LABEL_PINNED "ipam.spidernet.io/pinned"
#define POOL_LABEL_NODE "node.ipam.spidernet.io/"

/* The label of a node, whose name may be too long for one; owned. */
char *pool_node_label(const char *node);
bool pool_state_has_label(const struct pool_state *s, const char *key);

/*
 * What a webhook and a controller would have filled in, as far as it is missing: a patch of the
 * object (finalizer, ipVersion, the labels above) and one of its status (counts).  NULL: nothing.
 * Owned.  Both carry the resourceVersion.  A pool that is bad gets neither, but when it is deleted
 * and holds no address its finalizer is taken away, as from every one.
 */
json *pool_state_admit_patch(const struct pool_state *s);
json *pool_state_count_patch(const struct pool_state *s);

/* Is this pool for this node, or for all? */
bool pool_state_is_for(const struct pool_state *s, const char *node);

/* resourceVersions of one kind: -1 a is older, 0 equal, 1 newer, 2 cannot be told. */
uint64_t version_number(const char *version); /* 0: it is NULL, or no number */
int version_compare(const char *a, const char *b);

#endif
