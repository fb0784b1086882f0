/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlap.h - of two pools that would give the same address, the younger one is not used.  Pure.
 */
#ifndef POOL_OVERLAP_H
#define POOL_OVERLAP_H

#include "pool/pool.h"

/*
 * Text that says which address both give out, when p and an older pool do; else NULL.  Owned.  Of
 * two pools created in the same second the one whose name comes first counts as the older.
 */
char *pool_overlap(const struct pool *p, const struct pool *older);

/* A pool among those that one agent sees. */
struct contender {
	const struct pool *p;
	bool decided;
	char *overlap; /* then: why it yields to an older one, or NULL; owned */
};

/*
 * Decides about v[i], and about those that this depends on.  A pool that yields itself counts for
 * nothing: a mistaken one must not put all later ones out of use.
 */
void overlap_decide(struct contender *v, size_t n, size_t i);

#endif
