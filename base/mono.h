/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mono.h - points on the monotonic clock, mostly used as deadlines.
 *
 * A deadline is made once, where the time budget is known, and handed down: a sequence of steps
 * shares it.  A struct, so that it is never mixed up with a number of milliseconds.
 */
#ifndef BASE_MONO_H
#define BASE_MONO_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct mono {
	int64_t ms; /* since some fixed point (CLOCK_MONOTONIC) */
};

#define MONO_NEVER ((struct mono){ INT64_MAX })

/* ms after t, for who has read the clock already. */
static inline struct mono mono_after(struct mono t, int64_t ms)
{
	return ms > INT64_MAX - t.ms ? MONO_NEVER : (struct mono){ t.ms + ms };
}

/* Had the deadline passed at that time? */
static inline bool mono_passed_at(struct mono deadline, struct mono now)
{
	return deadline.ms != INT64_MAX && now.ms >= deadline.ms;
}

struct mono mono_now(void);
struct mono mono_in(int64_t ms); /* now + ms */
int64_t mono_us(void);           /* the same clock, to measure with */
struct mono mono_min(struct mono a, struct mono b);
bool mono_passed(struct mono deadline);

/* What is left, for poll(): 0 when passed, -1 for MONO_NEVER, at most INT_MAX. */
int mono_left_ms(struct mono deadline);

/* For pthread_cond_timedwait() on a condition that uses CLOCK_MONOTONIC. */
struct timespec mono_timespec(struct mono t);

/* Sleeps to t, through interruptions. */
void mono_sleep_until(struct mono t);

#endif
