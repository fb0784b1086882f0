/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/mem.c */
/*
 * mem_test.c - arrays that grow, variables that clean up, and the end of memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static void nothing_is_something(void **state)
{
	AUTO_FREE void *a = xmalloc(0);
	AUTO_FREE void *b = xcalloc(0, 0);
	AUTO_FREE void *c = xrealloc(NULL, 0);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
}

static void texts(void **state)
{
	AUTO_FREE char *a = xstrdup("abc");
	AUTO_FREE char *b = xstrndup("abcdef", 2);
	AUTO_FREE char *c = xasprintf("%s-%d", a, 7);

	(void)state;
	assert_string_equal(a, "abc");
	assert_string_equal(b, "ab");
	assert_string_equal(c, "abc-7");
}

static void arrays_grow(void **state)
{
	size_t cap = 0, grown = 0;
	AUTO_FREE int *v = NULL;

	(void)state;
	for (size_t i = 0; i < 10000; i++) {
		size_t before = cap;

		v = xgrow(v, &cap, i + 1, sizeof(*v));
		assert_true(cap > i);
		v[i] = (int)i;
		if (cap != before) {
			assert_true(cap >= 2 * before);
			grown++;
		}
	}
	assert_true(grown < 15);
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(v[i], i);
	v = xgrow(v, &cap, 50000, sizeof(*v));
	assert_true(cap >= 50000);
	v[49999] = 1;
}

static void ownership_moves(void **state)
{
	char *text = xstrdup("x");
	AUTO_FREE char *taken = take_ptr(&text);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), number = fd;

	(void)state;
	assert_null(text);
	assert_string_equal(taken, "x");
	{
		AUTO_FD int mine = take_fd(&fd);

		assert_int_equal(fd, -1);
		assert_int_equal(mine, number);
		assert_int_not_equal(fcntl(number, F_GETFD), -1);
	}
	assert_int_equal(fcntl(number, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

/* Ends as it says in the header: one line, then SIGABRT. */
static void check_aborts(void (*f)(void))
{
	char text[200] = "";
	int out[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (!pid) {
		dup2(out[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		f();
		_exit(0);
	}
	close(out[1]);
	n = read(out[0], text, sizeof(text) - 1);
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_true(n > 0);
	assert_string_equal(text, "spiderbox: out of memory\n");
}

static void grow_too_far(void)
{
	size_t cap = 0;

	free(xgrow(NULL, &cap, SIZE_MAX / 4, 8));
}

static void grow_past_the_end(void)
{
	size_t cap = SIZE_MAX / 2 + 1;

	free(xgrow(NULL, &cap, SIZE_MAX, 1));
}

static void out_of_memory(void **state)
{
	(void)state;
	check_aborts(grow_too_far);
	check_aborts(grow_past_the_end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_something), cmocka_unit_test(texts),
		cmocka_unit_test(arrays_grow),          cmocka_unit_test(ownership_moves),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
