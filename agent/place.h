/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - where a pod is: its namespace, which is read when it is asked about and kept for some
 * seconds, and this node, which is watched from the first question on.  Who never asks costs the
 * store no request.
 */
#ifndef AGENT_PLACE_H
#define AGENT_PLACE_H

#include "pool/selector.h"
#include "store/store.h"

#define PLACE_KEEP_MS 5000      /* how long a namespace is not read again */
#define PLACE_NAMESPACES_MAX 64 /* that are kept */

/* Strings are owned; "" for what is not there. */
struct namespace_facts {
	char *default_ipv4,
		*default_ipv6; /* annotations ipam.spidernet.io/default-ipv[46]-ippool */
	struct labels labels;
};

void namespace_facts_release(struct namespace_facts *f);

struct place;

/* The store is borrowed, the name is copied. */
struct place *place_new(struct store *s, const char *node, int64_t keep_ms);
void place_end(struct place *p);  /* who waits gives up soon */
void place_free(struct place *p); /* when nobody waits any more; NULL is fine */

/*
 * The namespace of that name.  At most one read at a time, and one in keep_ms, whoever asks; it is
 * repeated until the deadline while the store does not answer.  ERR_NOT_FOUND when there is none;
 * with a directory store, or without a name, one without labels and annotations then.
 */
int place_namespace(struct place *p, const char *name, struct mono deadline,
                    struct namespace_facts *out, struct err *e) MUST_USE;

/* This node's labels; *out is owned.  Errors as above. */
int place_node_labels(struct place *p, struct mono deadline, struct labels *out,
                      struct err *e) MUST_USE;

#endif
