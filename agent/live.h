/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - reading one object, however long the store takes to answer.
 */
#ifndef AGENT_LIVE_H
#define AGENT_LIVE_H

#include "agent/pause.h"
#include "store/store.h"

/*
 * As store_get, again and again with growing pauses until the deadline, or until p is ended, while
 * the store does not answer.  *out is owned.
 */
int live_get(struct store *s, struct pause *p, enum store_kind k, const char *ns, const char *name,
             json **out, struct mono deadline, struct err *e) MUST_USE;

/* Does the error say what the store holds or allows, so that asking again is in vain?  (ERR_CONFIG:
 * no name for an object, so there is none.) */
bool live_is_answer(const struct err *e);

#endif
