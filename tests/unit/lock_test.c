/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/lock.c base/mono.c base/err.c base/str.c base/mem.c */
/*
 * lock_test.c - locks of files, between descriptors that were opened on their own: to flock(2)
 * these are as strange to each other as two processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lock.h"

static char path[] = "/tmp/lock_test.XXXXXX";
static int a = -1, b = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	a = mkstemp(path);
	b = open(path, O_RDWR | O_CLOEXEC);
	memset(&e, 0, sizeof(e));
	return a < 0 || b < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(a);
	close(b);
	unlink(path);
	return 0;
}

static void shared_by_several(void **state)
{
	(void)state;
	assert_int_equal(lock_fd(a, LOCK_SH, mono_in(0), "it", &e), 0);
	assert_int_equal(lock_fd(b, LOCK_SH, mono_in(0), "it", &e), 0);
}

static void is_waited_for_until_the_deadline(void **state)
{
	const int how[][2] = { { LOCK_EX, LOCK_EX }, { LOCK_EX, LOCK_SH }, { LOCK_SH, LOCK_EX } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct mono begin = mono_now();

		assert_int_equal(lock_fd(a, how[i][0], mono_in(0), "it", &e), 0);
		assert_int_equal(lock_fd(b, how[i][1], mono_in(30), "the thing", &e), -1);
		assert_int_equal(e.kind, ERR_TIMEOUT);
		assert_string_equal(e.msg, "lock the thing: held by another process");
		assert_true(mono_passed(mono_after(begin, 30)));
		assert_int_equal(flock(a, LOCK_UN), 0);
		assert_int_equal(lock_fd(b, how[i][1], mono_in(0), "it", &e), 0);
		assert_int_equal(flock(b, LOCK_UN), 0);
	}
}

static void *release(void *arg)
{
	(void)arg;
	mono_sleep_until(mono_in(20));
	flock(a, LOCK_UN);
	return NULL;
}

static void is_got_when_its_holder_is_done(void **state)
{
	pthread_t t;

	(void)state;
	assert_int_equal(lock_fd(a, LOCK_EX, mono_in(0), "it", &e), 0);
	assert_int_equal(pthread_create(&t, NULL, release, NULL), 0);
	assert_int_equal(lock_fd(b, LOCK_EX, mono_in(20000), "it", &e), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

static void what_cannot_be_locked(void **state)
{
	(void)state;
	assert_int_equal(lock_fd(-1, LOCK_EX, MONO_NEVER, "it", &e), -1);
	assert_int_equal(e.sys, EBADF);
	assert_non_null(strstr(e.msg, "lock it"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(shared_by_several),
		T(is_waited_for_until_the_deadline),
		T(is_got_when_its_holder_is_done),
		T(what_cannot_be_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
