/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/mono.c */
/*
 * mono_test.c - deadlines at and beyond both ends of the clock.
 */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>

#include <cmocka.h>

#include "base/mono.h"

static void now_moves_forward(void **state)
{
	struct mono a = mono_now(), b = mono_now();

	(void)state;
	assert_true(a.ms > 0);
	assert_true(b.ms >= a.ms);
	assert_in_range(mono_in(1000).ms - a.ms, 1000, 60000);
	assert_in_range(mono_us() / 1000 - a.ms, 0, 60000);
}

static void never(void **state)
{
	struct timespec t = mono_timespec(MONO_NEVER);

	(void)state;
	assert_false(mono_passed(MONO_NEVER));
	assert_int_equal(mono_left_ms(MONO_NEVER), -1);
	assert_true(mono_in(INT64_MAX).ms == INT64_MAX);
	assert_true(mono_in(INT64_MAX - 1).ms == INT64_MAX);
	assert_true(mono_min(MONO_NEVER, (struct mono){ 5 }).ms == 5);
	assert_true(mono_min((struct mono){ 5 }, MONO_NEVER).ms == 5);
	/* a time that pthread_cond_timedwait takes, a lifetime away */
	assert_true(t.tv_sec > mono_now().ms / 1000 + 3000000000LL);
	assert_in_range(t.tv_nsec, 0, 999999999);
}

static void left(void **state)
{
	(void)state;
	assert_int_equal(mono_left_ms(mono_now()), 0);
	assert_int_equal(mono_left_ms(mono_in(-5)), 0);
	assert_int_equal(mono_left_ms((struct mono){ INT64_MIN / 2 }), 0);
	assert_in_range(mono_left_ms(mono_in(60000)), 1, 60000);
	assert_int_equal(mono_left_ms(mono_in(1LL << 40)), INT_MAX);
	assert_true(mono_passed(mono_in(0)));
	assert_true(mono_passed((struct mono){ 0 }));
	assert_false(mono_passed(mono_in(60000)));
}

/* Seen from a time that was read before. */
static void at_a_time(void **state)
{
	struct mono t = { 1000 };

	(void)state;
	assert_int_equal(mono_after(t, 5).ms, 1005);
	assert_int_equal(mono_after(t, INT64_MAX).ms, MONO_NEVER.ms);
	assert_int_equal(mono_after(t, INT64_MAX - 1000).ms, MONO_NEVER.ms);
	assert_true(mono_passed_at((struct mono){ 1000 }, t));
	assert_false(mono_passed_at((struct mono){ 1001 }, t));
	assert_false(mono_passed_at(MONO_NEVER, MONO_NEVER));
}

static void timespecs(void **state)
{
	struct timespec t = mono_timespec((struct mono){ 1234567 });

	(void)state;
	assert_int_equal(t.tv_sec, 1234);
	assert_int_equal(t.tv_nsec, 567000000);
	t = mono_timespec((struct mono){ -1 });
	assert_int_equal(t.tv_sec, 0);
	assert_int_equal(t.tv_nsec, 0);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void sleeps_through_interruptions(void **state)
{
	const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigaction sa = { .sa_handler = count_alarm };
	struct mono until = mono_in(60);

	(void)state;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	mono_sleep_until(until);
	setitimer(ITIMER_REAL, &off, NULL);
	assert_true(mono_passed(until));
	assert_true(alarms > 0);
	/* what is over does not sleep */
	until = mono_in(30000);
	mono_sleep_until((struct mono){ -1 });
	mono_sleep_until(mono_now());
	assert_false(mono_passed(until));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(now_moves_forward),
		cmocka_unit_test(never),
		cmocka_unit_test(left),
		cmocka_unit_test(at_a_time),
		cmocka_unit_test(timespecs),
		cmocka_unit_test(sleeps_through_interruptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
