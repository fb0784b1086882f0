/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/str.c base/err.c base/mem.c */
/*
 * err_test.c - messages: filled, completed, wrapped, cut, and one clean line of UTF-8.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void all_are_minus_one(void **state)
{
	struct err e, copy;

	(void)state;
	assert_int_equal(err_set(&e, ERR_NOT_FOUND, "pool %s", "p"), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(e.sys, 0);
	assert_int_equal(e.retry_ms, 0);
	assert_string_equal(e.msg, "pool p");
	assert_int_equal(err_wrap(&e, "release %d", 7), -1);
	assert_string_equal(e.msg, "release 7: pool p");
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(err_copy(&copy, &e), -1);
	assert_string_equal(copy.msg, "release 7: pool p");
	assert_int_equal(err_sys(&e, ENOENT, "open %s", "/x"), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, ENOENT);
	assert_string_equal(e.msg, "open /x: No such file or directory");
}

static void nobody_cares(void **state)
{
	struct err e = { ERR_NONE, 0, 0, "" };

	(void)state;
	assert_int_equal(err_set(NULL, ERR_CONFIG, "x"), -1);
	assert_int_equal(err_sys(NULL, EIO, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
	assert_int_equal(err_copy(NULL, &e), -1);
}

static void forgets_the_last_one(void **state)
{
	struct err e;

	(void)state;
	err_fill_sys(&e, EIO, "read");
	e.retry_ms = 500;
	err_fill(&e, ERR_CONFIG, "bad");
	assert_int_equal(e.sys, 0);
	assert_int_equal(e.retry_ms, 0);
}

/* The arguments may be parts of the very error that is filled. */
static void built_from_itself(void **state)
{
	struct err e;

	(void)state;
	err_fill(&e, ERR_CONFIG, "inner");
	err_fill(&e, ERR_PROTO, "outer (%s)", e.msg);
	assert_string_equal(e.msg, "outer (inner)");
	err_prefix(&e, "again %s", e.msg);
	assert_string_equal(e.msg, "again outer (inner): outer (inner)");
	err_assign(&e, &e);
	assert_string_equal(e.msg, "again outer (inner): outer (inner)");
}

static void cut_not_overrun(void **state)
{
	AUTO_FREE char *longer = xmalloc(3 * ERR_MSG_MAX);
	struct err e;

	(void)state;
	memset(longer, 'a', 3 * ERR_MSG_MAX);
	longer[3 * ERR_MSG_MAX - 1] = '\0';
	err_fill(&e, ERR_CONFIG, "%s", longer);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	err_prefix(&e, "context");
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_true(str_starts(e.msg, "context: aaa"));
	err_prefix(&e, "%s", longer);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	err_fill_sys(&e, EIO, "%s", longer);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
}

static void one_clean_line(void **state)
{
	struct err e;

	(void)state;
	err_fill(&e, ERR_CONFIG, "a\nb\tc\x1b[1m\x7f caf\xc3\xa9");
	assert_string_equal(e.msg, "a b c [1m  caf\xc3\xa9");
	err_prefix(&e, "x\ny");
	assert_string_equal(e.msg, "x y: a b c [1m  caf\xc3\xa9");
	err_fill(&e, ERR_CONFIG, "%s|%s|%s", "\xff", "\xc3", "\xed\xa0\x80");
	assert_string_equal(e.msg, "?|?|???");
}

/* A cut in the middle of a character must not make the line invalid UTF-8. */
static void cut_between_characters(void **state)
{
	struct err e;
	AUTO_STR text = STR_INIT;

	(void)state;
	for (int pad = 0; pad < 3; pad++) {
		str_reset(&text, 0);
		for (int i = 0; i < pad; i++)
			str_add(&text, "x");
		for (int i = 0; i < ERR_MSG_MAX; i++)
			str_add(&text, "\xe2\x82\xac");
		err_fill(&e, ERR_CONFIG, "%s", text.data);
		err_prefix(&e, "c");
		for (const char *p = e.msg; *p; p += utf8_length(p))
			assert_int_not_equal(utf8_length(p), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_minus_one),      cmocka_unit_test(nobody_cares),
		cmocka_unit_test(forgets_the_last_one),   cmocka_unit_test(built_from_itself),
		cmocka_unit_test(cut_not_overrun),        cmocka_unit_test(one_clean_line),
		cmocka_unit_test(cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
