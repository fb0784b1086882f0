/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns.h - when agents of several nodes write one pool at the same time, each write but one is in
 * vain: so they take turns, without a word to each other.
 *
 * All of them are told of every write, and a pool's records say whose it was.  Those who wrote
 * lately stand in a circle, ordered by a number made of their names; after each write the next one
 * in the circle goes first, and the others each a write's time later, if nothing was written
 * meanwhile.  Only where there was a conflict lately: who is alone writes at once.  Views may
 * differ, and then there is one more conflict.  Pure.
 */
#ifndef AGENT_TURNS_H
#define AGENT_TURNS_H

#include "base/mono.h"
#include "pool/pool.h"

#define TURNS_RIVALS 16 /* that are known at a time; the one that was silent longest makes room */
#define TURNS_RIVAL_MS 1000 /* who has not written for so long is out of the circle */
#define TURNS_QUIET_MS 2000 /* after a conflict */
#define TURNS_WRITE_MAX_MS 200

struct rival {
	uint32_t id;
	struct mono seen;
};

/* All zero at first. */
struct turns {
	uint32_t self;     /* turns_id() of this node */
	uint32_t last;     /* who wrote last; 0: not known */
	struct mono told;  /* when we heard of it */
	struct mono until; /* turns are taken until then */
	int64_t write_ms;  /* what a write takes us */
	struct rival rivals[TURNS_RIVALS];
	size_t n;
};

uint32_t turns_id(const char *node); /* never 0 */
/* News: what the pool was, and what it is. */
void turns_saw(struct turns *t, const struct pool *before, const struct pool *after,
               struct mono now);
void turns_wrote(struct turns *t, int64_t took_ms, struct mono now);
void turns_lost(struct turns *t, struct mono now); /* a conflict */
/* Not before then. */
struct mono turns_next(const struct turns *t, struct mono now);

#endif
