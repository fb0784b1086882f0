/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - see live.h.
 */
#include "agent/live.h"

#define GET_MS 10000      /* of one try */
#define FORBIDDEN_MS 3000 /* an API server that is starting knows no rights yet */

bool live_is_answer(const struct err *e)
{
	return e->kind == ERR_NOT_FOUND || e->kind == ERR_FORBIDDEN || e->kind == ERR_IDENTITY ||
	       e->kind == ERR_CONFIG;
}

int live_get(struct store *s, struct pause *p, enum store_kind k, const char *ns, const char *name,
             json **out, struct mono deadline, struct err *e)
{
	struct mono patience = mono_in(FORBIDDEN_MS);

	for (int tries = 1;; tries++) {
		if (store_get(s, k, ns, name, out, mono_min(deadline, mono_in(GET_MS)), e) == 0)
			return 0;
		if (live_is_answer(e) &&
		    (e->kind == ERR_NOT_FOUND || e->kind == ERR_CONFIG || mono_passed(patience)))
			return -1;
		if (mono_passed(deadline) || !pause_backoff(p, tries, 1000))
			return -1;
	}
}
