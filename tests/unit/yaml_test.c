/* SPDX-License-Identifier: Apache-2.0 */
/* links: json/ base/str.c base/err.c base/mem.c */
/* libs: cjson yaml */
/*
 * yaml_test.c - what plain scalars mean, what is refused and on which line, streams, JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "json/yaml.h"

/* YAML and the JSON it stands for. */
static void check_same(const char *text, const char *wanted)
{
	AUTO_JSON *j = NULL;
	AUTO_STR printed = STR_INIT;
	struct err e = { ERR_NONE, 0, 0, "" };

	if (yaml_parse(text, strlen(text), &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	json_print(j, &printed);
	if (!streq(printed.data, wanted))
		fail_msg("%s: %s instead of %s", text, printed.data, wanted);
	assert_int_equal(e.kind, ERR_NONE);
}

static void check_refused(const char *text, size_t len, const char *message)
{
	json *j = (json *)&j;
	struct err e = { ERR_NONE, 0, 0, "" };

	if (yaml_parse_all(text, len, &j, &e) == 0)
		fail_msg("%s is accepted", text);
	assert_ptr_equal(j, &j);
	assert_int_equal(e.kind, ERR_CONFIG);
	if (!streq(e.msg, message))
		fail_msg("%s: \"%s\" instead of \"%s\"", text, e.msg, message);
	assert_int_equal(yaml_parse_all(text, len, &j, NULL), -1);
}

static void plain_scalars(void **state)
{
	static const char *const cases[][2] = {
		{ "~", "null" },
		{ "null", "null" },
		{ "Null", "null" },
		{ "NULL", "null" },
		{ "nULL", "\"nULL\"" },
		{ "true", "true" },
		{ "True", "true" },
		{ "TRUE", "true" },
		{ "yes", "true" },
		{ "On", "true" },
		{ "y", "true" },
		{ "false", "false" },
		{ "NO", "false" },
		{ "off", "false" },
		{ "N", "false" },
		{ "tRue", "\"tRue\"" },
		{ "0", "0" },
		{ "-0", "0" },
		{ "12", "12" },
		{ "+12", "12" },
		{ "-12", "-12" },
		{ "1_000", "1000" },
		{ ".2_5", "0.25" },
		{ "._5", "\"._5\"" },
		{ "0x1F", "31" },
		{ "-0x10", "-16" },
		{ "0b101", "5" },
		{ "0o17", "15" },
		{ "0755", "493" },
		{ "08", "8" },
		{ "9007199254740991", "9007199254740991" },
		{ "-9007199254740991", "-9007199254740991" },
		{ "1.5", "1.5" },
		{ ".5", "0.5" },
		{ "-.5", "-0.5" },
		{ "1e3", "1000" },
		{ "1.", "1" },
		{ "2.5E-1", "0.25" },
		{ "1e20", "1e+20" },
		{ "10000000955606238.", "10000000955606238.0" },
		{ "1e999", "\"1e999\"" },
		{ "0x", "\"0x\"" },
		{ "0xg", "\"0xg\"" },
		{ "1.2.3", "\"1.2.3\"" },
		{ "10.0.0.0/8", "\"10.0.0.0/8\"" },
		{ "fd00::1", "\"fd00::1\"" },
		{ "12:30", "\"12:30\"" },
		{ "2001-12-14", "\"2001-12-14\"" },
		{ "1e", "\"1e\"" },
		{ "-", "[null]" },
		{ "+", "\"+\"" },
		{ ".", "\".\"" },
		{ "v1", "\"v1\"" },
		{ "'12'", "\"12\"" },
		{ "\"true\"", "\"true\"" },
		{ "''", "\"\"" },
		{ "|\n  12\n", "\"12\\n\"" },
		{ ">-\n  a\n  b\n", "\"a b\"" },
		{ "'.inf'", "\".inf\"" },
		{ "\"\\u00e9\\x41\"",
		  "\"\xc3\xa9"
		  "A\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_same(cases[i][0], cases[i][1]);
}

static void tags(void **state)
{
	(void)state;
	check_same("!!str 12", "\"12\"");
	check_same("!!str", "\"\"");
	check_same("!!int \"12\"", "12");
	check_same("!!float 1", "1");
	check_same("!!bool 'yes'", "true");
	check_same("!!null ''", "null");
	check_same("!<tag:yaml.org,2002:str> true", "\"true\"");
	check_same("!!map {a: !!seq [1]}", "{\"a\":[1]}");
	check_same("! 12", "\"12\"");
}

static void structures(void **state)
{
	(void)state;
	check_same("a: 1\nb:\n- x\n- y: [1, {z: }]\nc: {}\n",
	           "{\"a\":1,\"b\":[\"x\",{\"y\":[1,{\"z\":null}]}],\"c\":{}}");
	/* keys are text, whatever they look like */
	check_same("1: a\nyes: b\n1.50: c\n\"~\": d\n\"\": e\n",
	           "{\"1\":\"a\",\"yes\":\"b\",\"1.50\":\"c\",\"~\":\"d\",\"\":\"e\"}");
	check_same("\"<<\": 1", "{\"<<\":1}");
	check_same("a:\nb: |\n  two\n  lines\n# the end\n",
	           "{\"a\":null,\"b\":\"two\\nlines\\n\"}");
	check_same("a: 1\r\nb: 2\r\n", "{\"a\":1,\"b\":2}");
	check_same(
		"\xef\xbb\xbf"
		"a: 1",
		"{\"a\":1}");
	check_same("%YAML 1.1\n---\na: 1\n...\n", "{\"a\":1}");
}

static void json_is_yaml(void **state)
{
	(void)state;
	check_same("{\"a\":[1,-2.5,true,null,\"x\\/\\ud83d\\ude00\"],\"b\":{}}",
	           "{\"a\":[1,-2.5,true,null,\"x/\xf0\x9f\x98\x80\"],\"b\":{}}");
	check_same("\n\t{\n\t\"a\":\t1\n\t}\n", "{\"a\":1}");
	check_same("[]", "[]");
	check_same("\"text\"", "\"text\"");
	check_refused("{\n \"a\": 1,\n \"a\": 2\n}", 20, "line 3: key \"a\" stands twice");
}

static void refusals(void **state)
{
	static const char *const cases[][2] = {
		{ "a: &x 1\n",
		  "line 1: anchors are not supported; write the value where it is used" },
		{ "a: 1\nb: &x {}\n",
		  "line 2: anchors are not supported; write the value where it is used" },
		{ "a: 1\nb: &x\n- 1\n",
		  "line 2: anchors are not supported; write the value where it is used" },
		{ "&k a: 1\n",
		  "line 1: anchors are not supported; write the value where it is used" },
		{ "a: 1\n\nb: *x\n",
		  "line 3: aliases are not supported; write the value where it is used" },
		{ "*x : 1\n",
		  "line 1: aliases are not supported; write the value where it is used" },
		{ "a: 1\n<<: {b: 1}\n",
		  "line 2: merge keys (<<) are not supported; write the members out" },
		{ "a: !mine 1\n", "line 1: tag !mine is not supported here" },
		{ "a: !!binary aGk=\n",
		  "line 1: tag tag:yaml.org,2002:binary is not supported here" },
		{ "a: !!map [1]\n", "line 1: tag tag:yaml.org,2002:map is not supported here" },
		{ "a: !!set {x}\n", "line 1: tag tag:yaml.org,2002:set is not supported here" },
		{ "!!seq x\n", "line 1: tag tag:yaml.org,2002:seq is not supported here" },
		{ "a: !!int secret\n", "line 1: the value after !!int is none" },
		{ "a: !!bool 1\n", "line 1: the value after !!bool is none" },
		{ "a: 1\nb: 2\na: 3\n", "line 3: key \"a\" stands twice" },
		{ "a: 1\n'a': 3\n", "line 2: key \"a\" stands twice" },
		{ "a:\n  b: 1\n  b: 1\n", "line 3: key \"b\" stands twice" },
		{ "[a]: 1\n", "line 1: a key that is no scalar" },
		{ "? {a: b}\n: 1\n", "line 1: a key that is no scalar" },

		{ "?\n: 1\n", "line 1: a key is missing" },
		{ "a: 1\nb: 9007199254740992\n",
		  "line 2: an integer beyond 2^53 - 1; quote it if it is text" },
		{ "a: -9007199254740992\n",
		  "line 1: an integer beyond 2^53 - 1; quote it if it is text" },
		{ "a: 0xffffffffffffffffffffffff\n",
		  "line 1: an integer beyond 2^53 - 1; quote it if it is text" },
		{ "a: 99999999999999999999999999\n",
		  "line 1: an integer beyond 2^53 - 1; quote it if it is text" },
		{ "a: 09999999999999999999\n",
		  "line 1: an integer beyond 2^53 - 1; quote it if it is text" },
		{ "a: 1\nb: .inf\n",
		  "line 2: infinity and NaN are no JSON numbers; quote it if it is text" },
		{ "- -.Inf\n",
		  "line 1: infinity and NaN are no JSON numbers; quote it if it is text" },
		{ "- .nan\n",
		  "line 1: infinity and NaN are no JSON numbers; quote it if it is text" },
		{ "a: \"x\\0y\"\n", "line 1: a NUL character in a string" },
		{ "\"x\\0y\": 1\n", "line 1: a NUL character in a string" },
		{ "a: 1\nb: [1\n",
		  "line 3: not YAML: while parsing a flow sequence, did not find "
		  "expected ',' or ']'" },
		{ "a:\n\tb: 1\n",
		  "line 2: not YAML: while scanning for the next token, found "
		  "character that cannot start any token (indent with blanks, not "
		  "with tabs)" },
		{ "a: \"x\n",
		  "line 2: not YAML: while scanning a quoted scalar, found unexpected "
		  "end of stream" },
		{ "a: 1\nb: \xff\n", "line 2: invalid leading UTF-8 octet" },
		{ "a: 1\n\nb: \xc3\n", "line 3: invalid trailing UTF-8 octet" },
		{ "a: \xed\xa0\x80\n", "line 1: invalid Unicode character" },
		{ "a: \x01\n", "line 1: control characters are not allowed" },
		{ "\xff\xfe"
		  "a",
		  "line 1: invalid leading UTF-8 octet" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_refused(cases[i][0], strlen(cases[i][0]), cases[i][1]);
	check_refused("a: 1\nb: x\0y\n", 12, "line 2: control characters are not allowed");
	check_refused("a\0", 2, "line 1: control characters are not allowed");
}

static void streams(void **state)
{
	static const char *const cases[][2] = {
		{ "", "[]" },
		{ "# nothing\n", "[]" },
		{ "---\n---\n# x\n---\n", "[]" },
		{ "a: 1\n---\nb: 2\n---\n\n---\n- c\n", "[{\"a\":1},{\"b\":2},[\"c\"]]" },
		{ "--- x\n...\n--- 'y'\n", "[\"x\",\"y\"]" },
		{ "---\nnull\n", "[null]" },
		{ "--- ''\n", "[\"\"]" },
		{ "{\"a\":1}\n---\n{\"b\":2}\n", "[{\"a\":1},{\"b\":2}]" },
	};
	struct err e;
	json *j = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_JSON *all = NULL;
		AUTO_STR printed = STR_INIT;

		if (yaml_parse_all(cases[i][0], strlen(cases[i][0]), &all, &e) < 0)
			fail_msg("%s: %s", cases[i][0], e.msg);
		json_print(all, &printed);
		assert_string_equal(printed.data, cases[i][1]);
	}
	assert_int_equal(yaml_parse("a: 1\n---\nb: 1\n", 14, &j, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.msg, "2 documents where one is wanted");
	assert_int_equal(yaml_parse("---\n", 4, &j, &e), -1);
	assert_string_equal(e.msg, "there is no document in it");
	assert_null(j);
	check_refused("a: 1\n---\nb: 1\nb: 2\n", 19, "line 4: key \"b\" stands twice");
}

static void limits(void **state)
{
	AUTO_STR deep = STR_INIT;
	AUTO_STR many = STR_INIT;
	AUTO_STR wide = STR_INIT;
	AUTO_JSON *j = NULL;
	AUTO_JSON *all = NULL;
	struct err e;

	(void)state;
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		str_add(&deep, i % 2 ? "[" : "{a: ");
	for (int i = JSON_DEPTH_MAX; i-- > 0;)
		str_add(&deep, i % 2 ? "]" : "}");
	assert_int_equal(yaml_parse(deep.data, deep.len, &j, &e), 0);
	str_reset(&deep, 0);
	for (int i = 0; i < 100000; i++)
		str_add(&deep, "[");
	check_refused(deep.data, deep.len, "line 1: nested too deep");

	for (int i = 0; i < YAML_DOCUMENTS_MAX; i++)
		str_add(&many, "--- 1\n");
	assert_int_equal(yaml_parse_all(many.data, many.len, &all, &e), 0);
	assert_int_equal(json_count(all), YAML_DOCUMENTS_MAX);
	str_add(&many, "---\n");
	check_refused(many.data, many.len, "line 1001: more than 1000 documents");

	for (int i = 0; i <= 10000; i++)
		str_addf(&wide, "k%d: 1\n", i);
	check_refused(wide.data, wide.len, "line 10001: a mapping with more than 10000 members");
}

/* Every prefix is read or refused, and neither crashes nor leaks. */
static void prefixes(void **state)
{
	const char *text =
		"%YAML 1.1\n--- !!map\na: [1, \"x\\u00e9\\\n  y\", {b: 'c'}]\n"
		"? d\n: |2-\n   e\n--- >\n f\n...\n- - !!str g\n  - &h *i\n";

	(void)state;
	for (size_t n = 0; n <= strlen(text); n++) {
		AUTO_FREE char *copy = xmalloc(n);
		AUTO_JSON *j = NULL;
		struct err e = { ERR_NONE, 0, 0, "" };

		memcpy(copy, text, n);
		if (yaml_parse_all(copy, n, &j, &e) < 0) {
			assert_null(j);
			assert_int_equal(e.kind, ERR_CONFIG);
			assert_true(str_starts(e.msg, "line "));
		} else {
			assert_true(json_is_array(j));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_scalars), cmocka_unit_test(tags),
		cmocka_unit_test(structures),    cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(refusals),      cmocka_unit_test(streams),
		cmocka_unit_test(limits),        cmocka_unit_test(prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
