/* SPDX-License-Identifier: Apache-2.0 */
/* links: json/json.c base/str.c base/err.c base/mem.c */
/* libs: cjson */
/*
 * json_test.c - what is refused, what is read exactly, and what is printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "json/json.h"

static json *parse(const char *text)
{
	struct err e;
	json *j = NULL;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void refused(const char *text, size_t len, enum json_flags flags, const char *want)
{
	struct err e;
	json *j = NULL;

	if (json_parse(text, len, flags, &j, &e) == 0)
		fail_msg("%s was accepted", text);
	assert_null(j);
	assert_int_equal(e.kind, ERR_PROTO);
	if (!strstr(e.msg, want))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, e.msg, want);
}

static void refuses_what_is_not_json(void **state)
{
	static const char *const cases[][2] = {
		{ "", "the text ends where a value should be" },
		{ "{\"a\":1} x", "line 1 column 9: text after the end" },
		{ "{\"a\":1}{", "text after the end" },
		{ "01", "leading zero" },
		{ "-01", "leading zero" },
		{ "-", "digit is missing" },
		{ "1.", "digit is missing" },
		{ "1e", "digit is missing" },
		{ "+1", "not a value" },
		{ "nul", "not a value" },
		{ "[1,]", "not a value" },
		{ "{\"a\":1,}", "member name is missing" },
		{ "{a:1}", "member name is missing" },
		{ "{\"a\" 1}", "colon is missing" },
		{ "[1 2]", "comma or a closing bracket" },
		{ "\"a", "ends inside a string" },
		{ "\"\\x\"", "unknown escape" },
		{ "\"\\u12g4\"", "hexadecimal" },
		{ "\"x\\u0000y\"", "NUL character" },
		{ "\"\\ud800\"", "surrogate" },
		{ "\"\\udc00\"", "surrogate" },
		{ "\"a\nb\"", "line 1 column 3: a control character" },
		{ "\"\xff\"", "invalid UTF-8" },
		{ "\"\xc0\x80\"", "invalid UTF-8" },
		{ "\"\xed\xa0\x80\"", "invalid UTF-8" },
		{ "\"\xf4\x90\x80\x80\"", "invalid UTF-8" },
		{ "\xef\xbb\xbf{}", "not a value" },
		{ "{\n \"a\": tru\n}", "line 2 column 7" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refused(cases[i][0], strlen(cases[i][0]), 0, cases[i][1]);
	refused("{}\0", 3, 0, "text after the end");
	refused("\"a\0b\"", 5, 0, "control character");
}

static void refuses_depth(void **state)
{
	AUTO_STR s = STR_INIT;
	json *j;

	(void)state;
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		str_addc(&s, '[');
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		str_addc(&s, ']');
	j = parse(s.data);
	json_free(j);
	str_reset(&s, 0);
	for (int i = 0; i < 100000; i++)
		str_addc(&s, '[');
	refused(s.data, s.len, 0, "too deep");
}

static void duplicates(void **state)
{
	const char *text = "{\"a\":{\"k\":1,\"k\":2}}";

	(void)state;
	json_free(parse(text));
	refused(text, strlen(text), JSON_UNIQUE, "member \"k\" stands twice");
}

static void every_prefix_fails(void **state)
{
	const char *text =
		"{\"a\":[1,-2.5e3,true,null,\"x\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":\"\xc3\xa9\"}"
		"}";
	json *j;

	(void)state;
	for (size_t n = 0; n < strlen(text); n++) {
		/* exact-size copy, so that a read past the end is seen */
		AUTO_FREE char *copy = xmalloc(n);

		memcpy(copy, text, n);
		j = NULL;
		assert_int_equal(json_parse(copy, n, 0, &j, NULL), -1);
	}
	json_free(parse(text));
}

static void integers_are_exact(void **state)
{
	static const char *const same[] = { "1000000000000000", "9007199254740991",
		                            "-9007199254740991", "0", "[1,2.5,\"a\\\"b\\\\\"]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		AUTO_JSON *j = parse(same[i]);
		AUTO_STR out = STR_INIT;

		json_print(j, &out);
		assert_string_equal(out.data, same[i]);
	}
}

/* They are nobody's to round: passed on as they came, and refused by who reads them. */
static void large_integers_keep_their_text(void **state)
{
	static const char text[] =
		"{\"a\":[7,\"8\\\"9\",-9007199254740993,{\"99999999999999999999\":9007199254740992}"
		"],"
		"\"b\":1.5,\"c\":18446744073709551615,\"d\":-1,"
		"\"e\":1234567890123456789012345678901234567890123456789012345678901234567890}";
	AUTO_JSON *j = parse(text);
	AUTO_JSON *copy = json_copy(j);
	AUTO_JSON *alone = NULL;
	AUTO_STR out = STR_INIT;
	struct err e;
	int64_t v = 5;

	(void)state;
	json_print(j, &out);
	assert_string_equal(out.data, text);
	str_reset(&out, 0);
	json_print(copy, &out);
	assert_string_equal(out.data, text);
	assert_int_equal(json_i64(j, "c", &v, &e), -1);
	assert_string_equal(e.msg, "c: an integer beyond 2^53 - 1");
	assert_int_equal(json_opt_i64(j, "e", &v, &e), -1);
	assert_int_equal(v, 5);
	assert_int_equal(json_i64(j, "d", &v, &e), 0);
	assert_int_equal(v, -1);
	json_set_i64(copy, "c", 3);
	assert_int_equal(json_i64(copy, "c", &v, &e), 0);
	/* at the very end of what may be read */
	{
		AUTO_FREE char *exact = xmalloc(16);

		memcpy(exact, "9007199254740992", 16);
		assert_int_equal(json_parse(exact, 16, 0, &alone, &e), 0);
	}
	str_reset(&out, 0);
	json_print(alone, &out);
	assert_string_equal(out.data, "9007199254740992");
}

static void fractions_are_as_short_as_can_be(void **state)
{
	static const char *const same[] = { "0.1",
		                            "-0.3",
		                            "1.5",
		                            "2.675",
		                            "0.30000000000000004",
		                            "3.141592653589793",
		                            "1.7976931348623157e+308",
		                            "2.2250738585072014e-308",
		                            "5e-324",
		                            "1e-07",
		                            "1e+100",
		                            "10000000955606238.0",
		                            "9.5367431640625e-07",
		                            "12345678.9" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		AUTO_JSON *j = parse(same[i]);
		AUTO_STR out = STR_INIT;

		json_print(j, &out);
		assert_string_equal(out.data, same[i]);
	}
}

static void accessors(void **state)
{
	AUTO_JSON *j =
		parse("{\"Name\":\"x\",\"n\":5,\"f\":1.5,\"z\":null,\"s\":[\"a\"],\"m\":[1]}");
	const char *s = "kept";
	const json *a = NULL;
	struct err e;
	int64_t v = 7;

	(void)state;
	assert_int_equal(json_str(j, "name", &s, &e), -1);
	assert_string_equal(e.msg, "name: missing");
	assert_string_equal(s, "kept");
	assert_int_equal(json_opt_str(j, "z", &s, &e), 0);
	assert_string_equal(s, "kept");
	assert_int_equal(json_str(j, "z", &s, &e), -1);
	assert_int_equal(json_str(j, "n", &s, &e), -1);
	assert_string_equal(e.msg, "n: not a string");
	assert_int_equal(json_i64(j, "n", &v, &e), 0);
	assert_int_equal(v, 5);
	assert_int_equal(json_i64(j, "f", &v, &e), -1);
	assert_string_equal(e.msg, "f: not an exact integer");
	assert_int_equal(json_opt_strs(j, "s", &a, &e), 0);
	assert_int_equal(json_count(a), 1);
	assert_int_equal(json_opt_strs(j, "m", &a, &e), -1);
	assert_null(json_at(j, "n", "deeper", NULL));
	assert_null(json_get(NULL, "a"));
	assert_null(json_first(json_at(j, "f", NULL)));
	assert_null(json_next(json_first(NULL)));
	assert_int_equal(json_count(NULL), 0);
	assert_int_equal(json_depth(json_at(j, "n", NULL)), 0);
	assert_int_equal(json_depth(NULL), 0);
	assert_int_equal(json_depth(a), 1);
	assert_int_equal(json_depth(j), 2);
}

static void merge_patch(void **state)
{
	/* RFC 7386 appendix A */
	static const char *const cases[][3] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		  "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
		{ "{\"a\":\"foo\"}", "null", "null" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json *target = parse(cases[i][0]);
		AUTO_JSON *patch = parse(cases[i][1]);
		AUTO_JSON *want = parse(cases[i][2]);

		json_merge(&target, patch);
		assert_true(json_equal(target, want));
		json_free(target);
	}
}

static void pretty(void **state)
{
	AUTO_JSON *j = parse("{\"a\":[1,{}],\"b\":\"x\"}");
	AUTO_STR out = STR_INIT;

	(void)state;
	json_print_pretty(j, &out);
	assert_string_equal(out.data, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x\"\n}\n");
}

static void unknown(const char *object, const char *known, const char *want)
{
	AUTO_JSON *j = parse(object);
	AUTO_STR out = STR_INIT;

	json_unknown(j, known, &out);
	assert_string_equal(out.data, want);
}

static void unknown_members(void **state)
{
	AUTO_STR many = STR_INIT;
	AUTO_STR want = STR_INIT;

	(void)state;
	unknown("{}", "a", "");
	unknown("[1]", "a", "");
	unknown("{\"a\":1,\"bc\":2}", "bc a", "");
	unknown("{\"b\":1,\"c\":2,\"bcd\":3,\"\":4}", "bc a", "\"b\", \"c\", \"bcd\", \"\"");
	unknown("{\"Mtu\":1,\"MTU\":2,\"mtus\":3}", "mode mtu master",
	        "\"Mtu\" (is \"mtu\" meant?), \"MTU\" (is \"mtu\" meant?), \"mtus\"");
	unknown("{\"cni.dev/\":1,\"cni.dev/x\":2,\"cni.dev\":3,\"x\":4}", "a cni.dev/* z",
	        "\"cni.dev\", \"x\"");
	unknown("{\"a\":1}", "", "\"a\"");
	/* what somebody chose does not make a line without end */
	for (int i = 0; i < 100; i++)
		str_addf(&many, "%s\"k%d-%0*d\":0", i ? "," : "{", i, i == 1 ? 100 : 1, 0);
	str_add(&many, "}");
	str_addf(&want, "\"k0-0\", \"k1-%061d\"", 0);
	for (int i = 2; i < JSON_UNKNOWN_MAX; i++)
		str_addf(&want, ", \"k%d-0\"", i);
	str_addf(&want, " and %d more", 100 - JSON_UNKNOWN_MAX);
	unknown(many.data, "a", want.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_not_json),
		cmocka_unit_test(refuses_depth),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(every_prefix_fails),
		cmocka_unit_test(integers_are_exact),
		cmocka_unit_test(large_integers_keep_their_text),
		cmocka_unit_test(fractions_are_as_short_as_can_be),
		cmocka_unit_test(accessors),
		cmocka_unit_test(merge_patch),
		cmocka_unit_test(pretty),
		cmocka_unit_test(unknown_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
