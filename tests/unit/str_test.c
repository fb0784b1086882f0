/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/str.c base/err.c base/mem.c */
/*
 * str_test.c - growing strings, numbers, durations, base64.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"

static void empty_is_usable(void **state)
{
	struct str s = STR_INIT;

	(void)state;
	assert_string_equal(s.data, "");
	str_reset(&s, 0);
	assert_int_equal(s.len, 0);
	str_release(&s);
	str_release(&s);
	assert_string_equal(s.data, "");
}

static void grows_and_cuts(void **state)
{
	AUTO_STR s = STR_INIT;
	AUTO_FREE char *taken = NULL;

	(void)state;
	for (int i = 0; i < 1000; i++)
		str_addf(&s, "%d,", i % 10);
	assert_int_equal(s.len, 2000);
	assert_int_equal(s.data[2000], '\0');
	str_reset(&s, 4);
	str_addc(&s, 'x');
	assert_string_equal(s.data, "0,1,x");
	taken = str_take(&s);
	assert_string_equal(taken, "0,1,x");
	assert_string_equal(s.data, "");
}

static void keeps_nul_bytes(void **state)
{
	AUTO_STR s = STR_INIT;

	(void)state;
	str_addn(&s, "a\0b", 3);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.data, "a\0b\0", 4);
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint32_t value;
	} cases[] = { { "0", 0, 0 },
		      { "4294967295", 0, UINT32_MAX },
		      { "4294967296", -1, 0 },
		      { "", -1, 0 },
		      { "-1", -1, 0 },
		      { " 1", -1, 0 },
		      { "1 ", -1, 0 },
		      { "0x10", -1, 0 },
		      { "99999999999999999999999", -1, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { ERR_NONE, 0, 0, "" };
		uint32_t v = 77;

		assert_int_equal(parse_u32(cases[i].text, 0, UINT32_MAX, &v, &e), cases[i].rc);
		assert_int_equal(v, cases[i].rc ? 77 : cases[i].value);
		assert_int_equal(e.kind, cases[i].rc ? ERR_CONFIG : ERR_NONE);
	}
}

static void number_limits_are_named(void **state)
{
	struct err e;
	uint32_t v;
	int64_t i;

	(void)state;
	assert_int_equal(parse_u32("70000", 1, 65535, &v, &e), -1);
	assert_string_equal(e.msg, "70000 is not between 1 and 65535");
	assert_int_equal(parse_i64("-5", -5, 5, &i, &e), 0);
	assert_int_equal(i, -5);
	assert_int_equal(parse_i64("-6", -5, 5, &i, &e), -1);
	assert_int_equal(parse_i64("--5", -5, 5, &i, &e), -1);
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} cases[] = { { "1m30s", 90000 }, { "250ms", 250 }, { "2h", 7200000 }, { "0", 0 },
		      { "1.5s", 1500 },   { "0s", 0 },      { "", -1 },        { "5", -1 },
		      { "-1s", -1 },      { "s", -1 },      { "1x", -1 },      { "1s ", -1 },
		      { "99999999h", -1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ms = -1;
		int rc = parse_duration_ms(cases[i].text, &ms, NULL);

		assert_int_equal(rc, cases[i].ms < 0 ? -1 : 0);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void base64_vectors(void **state)
{
	/* RFC 4648 section 10 */
	static const char *const pairs[][2] = { { "", "" },
		                                { "f", "Zg==" },
		                                { "fo", "Zm8=" },
		                                { "foo", "Zm9v" },
		                                { "foob", "Zm9vYg==" },
		                                { "fooba", "Zm9vYmE=" },
		                                { "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "Z",    "Zg",   "Zg=",  "Zg===",
		                           "Z===", "Z!==", "=Zg=", "Zg==Zg==x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		AUTO_STR text = STR_INIT;
		AUTO_STR back = STR_INIT;

		base64_encode(pairs[i][0], strlen(pairs[i][0]), &text);
		assert_string_equal(text.data, pairs[i][1]);
		assert_int_equal(base64_decode(text.data, text.len, &back, NULL), 0);
		assert_string_equal(back.data, pairs[i][0]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_STR back = STR_INIT;

		str_add(&back, "kept");
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &back, NULL), -1);
		assert_string_equal(back.data, "kept");
	}
}

static void formatting_tells_truncation(void **state)
{
	char buf[4];

	(void)state;
	assert_int_equal(fmt(buf, sizeof(buf), "%d", 123), 0);
	assert_int_equal(fmt(buf, sizeof(buf), "%d", 1234), -1);
}

static void utf8(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = { { "", 0 },
		      { "a\xff", 1 },
		      { "\x7f", 1 },
		      { "\x80", 0 },
		      { "\xc1\xbf", 0 },
		      { "\xc2\x80x", 2 },
		      { "\xc2", 0 },
		      { "\xe0\x9f\xbf", 0 },
		      { "\xe0\xa0\x80", 3 },
		      { "\xed\x9f\xbf", 3 },
		      { "\xed\xa0\x80", 0 },
		      { "\xef\xbf", 0 },
		      { "\xf0\x8f\xbf\xbf", 0 },
		      { "\xf0\x90\x80\x80", 4 },
		      { "\xf4\x8f\xbf\xbf", 4 },
		      { "\xf4\x90\x80\x80", 0 },
		      { "\xf5\x80\x80\x80", 0 },
		      { "\xff", 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		/* on the heap, where reading past the end is noticed */
		AUTO_FREE char *text = xstrdup(cases[i].text);

		assert_int_equal(utf8_length(text), cases[i].length);
	}
}

static void finds_bytes(void **state)
{
	AUTO_FREE char *hay = xstrndup("aab.ab", 6);

	(void)state;
	assert_true(mem_find(hay, 6, "ab.", 3));
	assert_true(mem_find(hay, 6, ".ab", 3));
	assert_true(mem_find(hay, 6, "aab.ab", 6));
	assert_false(mem_find(hay, 6, "aab.abc", 7));
	assert_false(mem_find(hay, 5, ".ab", 3));
	assert_false(mem_find(hay, 6, "abb", 3));
	assert_false(mem_find(hay, 0, "a", 1));
	assert_true(mem_find("a\0b", 3, "\0b", 2));
}

static void names_of_objects(void **state)
{
	static const char *const good[] = { "a", "0", "a-b", "a.b", "a--b.c-d", "1.2.3.4" };
	static const char *const bad[] = { "",     "-",    ".",    "-a", "a-",  ".a",  "a.",
		                           "a..b", "a-.b", "a.-b", "A",  "a_b", "a/b", "a b" };
	char text[255];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!str_is_name(good[i], strlen(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (str_is_name(bad[i], strlen(bad[i])))
			fail_msg("%s", bad[i]);
	assert_true(str_is_name("ab/", 2));
	memset(text, 'a', sizeof(text));
	assert_true(str_is_name(text, 253));
	assert_false(str_is_name(text, 254));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_objects),
		cmocka_unit_test(empty_is_usable),
		cmocka_unit_test(grows_and_cuts),
		cmocka_unit_test(keeps_nul_bytes),
		cmocka_unit_test(numbers),
		cmocka_unit_test(number_limits_are_named),
		cmocka_unit_test(durations),
		cmocka_unit_test(base64_vectors),
		cmocka_unit_test(formatting_tells_truncation),
		cmocka_unit_test(utf8),
		cmocka_unit_test(finds_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
