/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlap.c - which of several pools yield to older ones.  The agent goes by it, and ctl tells it.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/overlap.h"

#define DEPTH_MAX 16 /* pools that yield to pools that yield ... */

char *pool_overlap(const struct pool *p, const struct pool *older)
{
	AUTO_IP_SET mine = IP_SET_INIT;
	AUTO_IP_SET theirs = IP_SET_INIT;
	int age = strcmp(p->created, older->created);

	if (age < 0 || (age == 0 && strcmp(p->name, older->name) <= 0))
		return NULL;
	if (p->bad || older->bad || !cidr_overlaps(p->subnet, older->subnet))
		return NULL;
	mine = pool_usable(p);
	theirs = pool_usable(older);
	for (size_t i = 0; i < mine.n; i++)
		for (size_t j = 0; j < theirs.n; j++)
			if (ip_range_overlaps(mine.v[i], theirs.v[j]))
				return xasprintf("its %s overlaps %s of IPPool %s, which is older",
				                 ip_range_str(mine.v[i]).s,
				                 ip_range_str(theirs.v[j]).s, older->name);
	return NULL;
}

/* Ages only fall, so it ends; at the greatest depth the older pool counts. */
static void decide(struct contender *v, size_t n, size_t i,
                   int depth) /* NOLINT(misc-no-recursion): depth bounded */
{
	v[i].decided = true;
	for (size_t k = 0; k < n && !v[i].overlap; k++) {
		v[i].overlap = pool_overlap(v[i].p, v[k].p);
		if (!v[i].overlap)
			continue;
		if (!v[k].decided && depth < DEPTH_MAX)
			decide(v, n, k, depth + 1);
		if (v[k].decided && v[k].overlap) {
			free(v[i].overlap);
			v[i].overlap = NULL;
		}
	}
}

void overlap_decide(struct contender *v, size_t n, size_t i)
{
	if (!v[i].decided)
		decide(v, n, i, 0);
}
