/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.c - see pause.h.
 */
#include <errno.h>
#include <sys/random.h>

#include "agent/pause.h"

void pause_init(struct pause *p)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->cond, &attr);
	pthread_condattr_destroy(&attr);
	p->ended = false;
}

void pause_release(struct pause *p)
{
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->lock);
}

bool pause_until(struct pause *p, struct mono t)
{
	struct timespec until = mono_timespec(t);
	bool ended;

	pthread_mutex_lock(&p->lock);
	while (!p->ended && pthread_cond_timedwait(&p->cond, &p->lock, &until) != ETIMEDOUT)
		;
	ended = p->ended;
	pthread_mutex_unlock(&p->lock);
	return !ended;
}

void pause_end(struct pause *p)
{
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

int64_t backoff_ms(int tries, int64_t max)
{
	int64_t ms = 10;
	uint32_t r = 0;

	for (int i = 1; i < tries && ms < max; i++)
		ms *= 2;
	if (ms > max)
		ms = max;
	/* without randomness the pause is merely not jittered */
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		return ms;
	return ms - (int64_t)(r % (uint32_t)(ms / 2 + 1));
}

int64_t spread_ms(int64_t base, int tries, int64_t max)
{
	uint32_t r = 0;

	for (int i = 0; i < tries && base < max; i++)
		base *= 2;
	if (base > max)
		base = max;
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		return base;
	return (int64_t)(r % (uint32_t)(base + 1));
}

bool pause_backoff(struct pause *p, int tries, int64_t max)
{
	return pause_until(p, mono_in(backoff_ms(tries, max)));
}
