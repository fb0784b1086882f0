/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.h - waiting that another thread can end, and growing pauses with jitter.
 */
#ifndef AGENT_PAUSE_H
#define AGENT_PAUSE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/mono.h"

struct pause {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool ended;
};

void pause_init(struct pause *p);
void pause_release(struct pause *p);
/* False when the pause was, or had been, ended: from then on nothing waits any more. */
bool pause_until(struct pause *p, struct mono t);
void pause_end(struct pause *p);

/* Milliseconds before try number `tries` (from 1): 10, 20, 40 ... max, each less up to a half. */
int64_t backoff_ms(int tries, int64_t max);
/* Anything from 0 to base * 2^tries, and at most max: for those who were in each other's way, and
 * do not know how many they are. */
int64_t spread_ms(int64_t base, int tries, int64_t max);
bool pause_backoff(struct pause *p, int tries, int64_t max);

#endif
