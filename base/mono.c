/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mono.c - the monotonic clock.
 */
#include <errno.h>
#include <limits.h>

#include "base/mono.h"

struct mono mono_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct mono){ (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 };
}

int64_t mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct mono mono_in(int64_t ms)
{
	return mono_after(mono_now(), ms);
}

struct mono mono_min(struct mono a, struct mono b)
{
	return a.ms < b.ms ? a : b;
}

bool mono_passed(struct mono deadline)
{
	return deadline.ms != INT64_MAX && mono_passed_at(deadline, mono_now());
}

int mono_left_ms(struct mono deadline)
{
	int64_t left;

	if (deadline.ms == INT64_MAX)
		return -1;
	left = deadline.ms - mono_now().ms;
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

struct timespec mono_timespec(struct mono t)
{
	/* a century is for ever, and fits any time_t */
	int64_t ms = t.ms == INT64_MAX ? mono_in(100LL * 365 * 86400 * 1000).ms : t.ms;

	/* before the clock began is over as well, and no valid timespec */
	if (ms < 0)
		ms = 0;
	return (struct timespec){ .tv_sec = (time_t)(ms / 1000),
		                  .tv_nsec = (long)(ms % 1000) * 1000000 };
}

void mono_sleep_until(struct mono t)
{
	struct timespec at = mono_timespec(t);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}
