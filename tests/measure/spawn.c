/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.c - times two commands against each other: exec, run, exit, wait; turn by turn, so that
 * whatever else the machine does hits both alike.
 *
 * usage: spawn TURNS FLOOR COMMAND [ARG]...
 * FLOOR is run without arguments.  Prints the tenth percentile of both in nanoseconds, the floor's
 * first.  Standard output of both goes to /dev/null.  Exit status 1 when one of them fails.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t once(char **argv)
{
	posix_spawn_file_actions_t quiet;
	int64_t begin;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	begin = now();
	if (posix_spawn(&pid, argv[0], &quiet, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "spawn: %s failed\n", argv[0]);
		exit(1);
	}
	begin = now() - begin;
	posix_spawn_file_actions_destroy(&quiet);
	return begin;
}

static int order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int turns = argc > 3 ? (int)strtol(argv[1], NULL, 10) : 0;
	char *floor_argv[2] = { argc > 3 ? argv[2] : NULL, NULL };
	int64_t *a, *b;

	if (turns < 10) {
		fputs("usage: spawn TURNS FLOOR COMMAND [ARG]...\n", stderr);
		return 2;
	}
	a = calloc((size_t)turns, sizeof(*a));
	b = calloc((size_t)turns, sizeof(*b));
	if (!a || !b)
		return 1;
	for (int i = 0; i < turns; i++) {
		a[i] = once(floor_argv);
		b[i] = once(argv + 3);
	}
	qsort(a, (size_t)turns, sizeof(*a), order);
	qsort(b, (size_t)turns, sizeof(*b), order);
	printf("%lld %lld\n", (long long)a[turns / 10], (long long)b[turns / 10]);
	free(a);
	free(b);
	return 0;
}
