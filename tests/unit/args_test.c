/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/args.c base/str.c base/err.c base/mem.c */
/*
 * args_test.c - command lines: what is an option, what is a word, and what is said when neither.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/args.h"
#include "base/str.h"

static const char *output, *node;
static bool quiet;
static const char *words[3];
static size_t count;

/* Splits at blanks; "_" stands for an empty argument. */
static int parse(const char *line, struct err *e)
{
	static char copy[200];
	const struct args_option options[] = {
		{ "output", 'o', &output, NULL },
		{ "node", 0, &node, NULL },
		{ "quiet", 'q', NULL, &quiet },
		{ NULL, 0, NULL, NULL },
	};
	char *argv[20] = { NULL }, *p = copy, *word;
	int argc = 0;

	output = node = NULL;
	quiet = false;
	count = 77;
	assert_int_equal(fmt(copy, sizeof(copy), "program %s", line), 0);
	while ((word = strsep(&p, " ")))
		if (*word)
			argv[argc++] = streq(word, "_") ? word + 1 : word;
	return args_parse(argc, argv, options, words, ARRAY_LEN(words), &count, e);
}

static void good(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(parse("", &e), 0);
	assert_int_equal(count, 0);
	assert_int_equal(parse("get --output json pools -q x", &e), 0);
	assert_int_equal(count, 3);
	assert_string_equal(words[0], "get");
	assert_string_equal(words[1], "pools");
	assert_string_equal(words[2], "x");
	assert_string_equal(output, "json");
	assert_true(quiet);
	assert_int_equal(parse("-ojson --node=a=b", &e), 0);
	assert_string_equal(output, "json");
	assert_string_equal(node, "a=b");
	assert_int_equal(parse("-o json --node=", &e), 0);
	assert_string_equal(node, "");
	assert_int_equal(parse("--node _", &e), 0);
	assert_string_equal(node, "");
	assert_int_equal(parse("- _ x", &e), 0);
	assert_int_equal(count, 3);
	assert_string_equal(words[0], "-");
	assert_string_equal(words[1], "");
	assert_int_equal(parse("-- --output -q", &e), 0);
	assert_int_equal(count, 2);
	assert_string_equal(words[0], "--output");
	assert_false(quiet);
	assert_int_equal(parse("--quiet -q", &e), 0);
	/* a value is what follows, whatever it looks like */
	assert_int_equal(parse("--output -- x", &e), 0);
	assert_string_equal(output, "--");
	assert_int_equal(count, 1);
}

static void bad(void **state)
{
	static const char *const cases[][2] = {
		{ "--nope", "unknown option --nope" },
		{ "--out json", "unknown option --out" },
		{ "--outputs=x", "unknown option --outputs=x" },
		{ "--=x", "unknown option --=x" },
		{ "-x", "unknown option -x" },
		{ "--output", "--output needs a value" },
		{ "x -o", "--output needs a value" },
		{ "--quiet=yes", "--quiet takes no value" },
		{ "-qo", "--quiet takes no value" },
		{ "--output a -ob", "--output is given twice" },
		{ "a b c d", "unexpected argument \"d\"" },
		{ "-- a b c --d", "unexpected argument \"--d\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { ERR_NONE, 0, 0, "" };

		assert_int_equal(parse(cases[i][0], &e), -1);
		assert_int_equal(e.kind, ERR_USAGE);
		assert_string_equal(e.msg, cases[i][1]);
		assert_int_equal(count, 77);
		assert_int_equal(parse(cases[i][0], NULL), -1);
	}
}

/* The kernel may start a program without even its name. */
static void no_name(void **state)
{
	const struct args_option none = { NULL, 0, NULL, NULL };
	char *argv[1] = { NULL };

	(void)state;
	assert_int_equal(args_parse(0, argv, &none, words, ARRAY_LEN(words), &count, NULL), 0);
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
