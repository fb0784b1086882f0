/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds.h - which addresses of a pool were given back when, kept over a restart of the agent:
 * STATE_DIR/rounds.json, {"<pool's uid>": {"last": ADDRESS, "rests": [ADDRESS, ...]}}, the one that
 * was given back first in front.  A cache: without it the round begins anew.
 */
#ifndef AGENT_ROUNDS_H
#define AGENT_ROUNDS_H

#include "pool/pool.h"
#include "json/json.h"

/* The pool's round into `all`, an object. */
void rounds_put(json *all, const struct pool *p);
/* From there into the pool, as far as it can be read. */
void rounds_get(const json *all, struct pool *p);

/* NULL when there is none that can be read; owned. */
json *rounds_read(const char *state_dir);
int rounds_write(const char *state_dir, const json *all, struct err *e) MUST_USE;

#endif
