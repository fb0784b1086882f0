/* SPDX-License-Identifier: Apache-2.0 */
/* links: json/json.c base/log.c base/date.c base/str.c base/err.c base/mem.c */
/* libs: cjson */
/* tsan */
/*
 * log_test.c - each event one line and one write: the descriptor is a socket that keeps writes
 * apart.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "json/json.h"

static int ends[2];
static char line[8192];

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends);
}

static int teardown(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	log_ctx(NULL);
	return 0;
}

/* What the next write wrote, NULL when there was none. */
static char *next(void)
{
	ssize_t n = recv(ends[0], line, sizeof(line) - 1, 0);

	if (n < 0)
		return NULL;
	line[n] = '\0';
	assert_int_equal(strlen(line), n);
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
	return line;
}

/* Behind "2026-01-02T03:04:05.678Z ". */
static char *text_behind_time(void)
{
	int year, month, day, hour, minute, second, ms, used = 0;

	assert_non_null(next());
	assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &hour,
	                        &minute, &second, &ms, &used),
	                 7);
	assert_int_equal(used, 25);
	assert_in_range(year, 2024, 2200);
	return line + used;
}

static void text_lines(void **state)
{
	struct err e;

	(void)state;
	log_init("agent", ends[1], false, LOG_LEVEL_INFO);
	log_info("hello %d", 7);
	assert_string_equal(text_behind_time(), "info agent: hello 7\n");
	log_ctx("pod=default/web-0 cid=abc");
	log_warn("a\nb\x1b\xff\xc3\xa9\"\\");
	assert_string_equal(text_behind_time(),
	                    "warn agent: a\\x0ab\\x1b\\xff\xc3\xa9\"\\ "
	                    "pod=default/web-0 cid=abc\n");
	log_ctx("");
	err_fill_sys(&e, ENOENT, "open /x");
	log_err(&e, "read %s", "pools");
	assert_string_equal(text_behind_time(),
	                    "error agent: read pools: open /x: No such file or directory\n");
	log_warn_err(&e, "again");
	assert_string_equal(text_behind_time(),
	                    "warn agent: again: open /x: No such file or directory\n");
	assert_null(next());
}

static void levels(void **state)
{
	(void)state;
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		int n = 0;

		log_init("x", ends[1], false, (enum log_level)level);
		log_error("e");
		log_warn("w");
		log_info("i");
		log_debug("d");
		while (next())
			n++;
		assert_int_equal(n, level + 1);
	}
}

static json *parse_line(void)
{
	json *j = NULL;
	struct err e;

	assert_non_null(next());
	if (json_parse(line, strlen(line), JSON_UNIQUE, &j, &e) < 0)
		fail_msg("%s: %s", line, e.msg);
	return j;
}

static void json_lines(void **state)
{
	AUTO_JSON *j = NULL;

	(void)state;
	log_init("ag\"ent", ends[1], true, LOG_LEVEL_INFO);
	log_ctx("pod=default/web-0 stray cid=\"a\\b\x01");
	log_info("say \"hi\" \\ \n \x7f \xc3\xa9 \xff");
	j = parse_line();
	assert_string_equal(json_str_at(j, "level", NULL), "info");
	assert_string_equal(json_str_at(j, "app", NULL), "ag\"ent");
	assert_string_equal(json_str_at(j, "msg", NULL),
	                    "say \"hi\" \\ \n \x7f \xc3\xa9 \xef\xbf\xbd");
	assert_string_equal(json_str_at(j, "pod", NULL), "default/web-0");
	assert_string_equal(json_str_at(j, "cid", NULL), "\"a\\b\x01");
	assert_null(json_get(j, "stray"));
	assert_int_equal(strlen(json_str_at(j, "ts", NULL)), 24);
}

/* However long and however much must be escaped, it is one line that a reader can parse. */
static void long_lines(void **state)
{
	static const char *const fill[] = {
		"x", "\"", "\x01", "\xff", "\xe2\x82\xac", "= ", "a= "
	};
	AUTO_STR text = STR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
		for (size_t pad = 0; pad < 8; pad++) {
			AUTO_FREE char *context = NULL;
			AUTO_JSON *j = NULL;
			struct err e;

			str_reset(&text, 0);
			for (size_t n = 0; n < pad; n++)
				str_add(&text, "p");
			while (text.len < 6000)
				str_add(&text, fill[i]);
			context = xasprintf("k=%s", text.data);
			log_init("agent", ends[1], true, LOG_LEVEL_INFO);
			log_ctx(context);
			log_info("%s", text.data);
			assert_non_null(next());
			assert_true(strlen(line) <= 4096);
			/* names that stand twice are the context's own doing */
			if (json_parse(line, strlen(line), 0, &j, &e) < 0)
				fail_msg("%s: %s", line, e.msg);
			assert_non_null(json_get(j, "k"));
			assert_true(strlen(json_str_at(j, "msg", NULL)) >= 300);

			log_init("agent", ends[1], false, LOG_LEVEL_INFO);
			log_info("%s", text.data);
			assert_non_null(next());
			assert_true(strlen(line) <= 4096);
		}
	}
}

static void errno_is_kept(void **state)
{
	(void)state;
	log_init("x", -1, false, LOG_LEVEL_INFO);
	errno = EXDEV;
	log_error("goes nowhere");
	assert_int_equal(errno, EXDEV);
	errno = EXDEV;
	log_debug("not even tried");
	assert_int_equal(errno, EXDEV);
}

static void never_stdout(void **state)
{
	int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
	int out[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, out), 0);
	fflush(stdout);
	dup2(out[1], STDOUT_FILENO);
	dup2(ends[1], STDERR_FILENO);
	log_init("x", STDOUT_FILENO, false, LOG_LEVEL_INFO);
	log_error("where to");
	dup2(saved_out, STDOUT_FILENO);
	dup2(saved_err, STDERR_FILENO);
	close(saved_out);
	close(saved_err);
	assert_int_equal(recv(out[0], line, sizeof(line), 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_string_equal(text_behind_time(), "error x: where to\n");
	close(out[0]);
	close(out[1]);
}

static void level_names(void **state)
{
	static const struct {
		const char *text;
		enum log_level level;
	} good[] = { { "error", LOG_LEVEL_ERROR },  { "WARN", LOG_LEVEL_WARN },
		     { "Warning", LOG_LEVEL_WARN }, { "info", LOG_LEVEL_INFO },
		     { "Fatal", LOG_LEVEL_ERROR },  { "panic", LOG_LEVEL_ERROR },
		     { "debug", LOG_LEVEL_DEBUG } };
	enum log_level level;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(log_parse_level(good[i].text, &level, &e), 0);
		assert_int_equal(level, good[i].level);
	}
	assert_int_equal(log_parse_level("loud", &level, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.msg, "\"loud\" is not a log level: error, warn, info or debug");
}

static void *talk(void *arg)
{
	const char *name = arg;
	AUTO_FREE char *text = xasprintf("who=%s", name);

	log_ctx(text);
	for (int i = 0; i < 20; i++)
		log_info("%s says %d", name, i);
	log_ctx(NULL);
	return NULL;
}

/* Each thread has its own context, and lines never mix. */
static void threads(void **state)
{
	pthread_t t[3];
	char names[3][2] = { "a", "b", "c" };
	int count = 0;

	(void)state;
	log_init("x", ends[1], true, LOG_LEVEL_INFO);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, talk, names[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	for (; count < 60; count++) {
		AUTO_JSON *j = parse_line();
		const char *who = json_str_at(j, "who", NULL);

		assert_non_null(who);
		assert_true(str_starts(json_str_at(j, "msg", NULL), who));
	}
	assert_null(next());
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(text_lines),    test(levels),       test(json_lines),  test(long_lines),
		test(errno_is_kept), test(never_stdout), test(level_names), test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
