/* SPDX-License-Identifier: Apache-2.0 */
/* links: pool/pattern.c base/str.c base/err.c base/mem.c */
/*
 * pattern_test.c - which names a pattern matches, and which patterns are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "pool/pattern.h"

/* What matches is what filepath.Match says; that one may not notice what is malformed behind the
 * first difference. */
static void patterns(void **state)
{
	enum verdict { YES, NO, MALFORMED };
	static const struct {
		const char *pattern, *name;
		enum verdict verdict;
	} cases[] = {
		{ "abc", "abc", YES },
		{ "abc", "abcd", NO },
		{ "abcd", "abc", NO },
		{ "", "", YES },
		{ "", "a", NO },
		{ "*", "", YES },
		{ "*", "abc", YES },
		{ "*c", "abc", YES },
		{ "a*", "a", YES },
		{ "a*", "abc", YES },
		{ "a*", "bcd", NO },
		{ "**", "abc", YES },
		{ "a*b*c*d", "axbxcxd", YES },
		{ "a*b*c*d", "axbxcx", NO },
		{ "a*b?c*x", "abxbbxdbxebxczzx", YES },
		{ "a*b?c*x", "abxbbxdbxebxczzy", NO },
		{ "*aab", "aaab", YES },
		{ "*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NO },
		{ "?", "", NO },
		{ "?", "a", YES },
		{ "?", "ab", NO },
		{ "a?c", "abc", YES },
		{ "ab[c]", "abc", YES },
		{ "ab[b-d]", "abc", YES },
		{ "ab[e-g]", "abc", NO },
		{ "ab[d-b]", "abc", NO },
		{ "ab[^c]", "abc", NO },
		{ "ab[^b-d]", "abc", NO },
		{ "ab[^e-g]", "abc", YES },
		{ "ab[!c]", "abc", YES }, /* no negation: ! and c */
		{ "[^a]", "", NO },
		{ "pool-[0-9a]", "pool-7", YES },
		{ "pool-[0-9a]", "pool-a", YES },
		{ "pool-[0-9a]", "pool-b", NO },
		{ "[[]", "[", YES },
		{ "[a*]", "*", YES },
		{ "[*]b", "ab", NO },
		{ "[\\-]", "-", YES },
		{ "[x\\-]", "x", YES },
		{ "[x\\-]", "z", NO },
		{ "[\\]a]", "]", YES },
		{ "[\\-x]", "a", NO },
		{ "a]", "a]", YES },
		{ "a\\*b", "a*b", YES },
		{ "a\\*b", "axb", NO },
		{ "a\\b", "ab", YES },
		{ "[a-\\d]", "c", YES },
		{ "a?b",
		  "a\xe2\x98\xba"
		  "b",
		  YES },
		{ "a[^a]b",
		  "a\xe2\x98\xba"
		  "b",
		  YES },
		{ "a???b",
		  "a\xe2\x98\xba"
		  "b",
		  NO },
		{ "[\xce\xb1-\xce\xb6]*", "\xce\xb3x", YES },
		{ "[\xce\xb1-\xce\xb6]*", "a", NO },
		{ "[]a]", "]", MALFORMED },
		{ "[]", "a", MALFORMED },
		{ "[-]", "-", MALFORMED },
		{ "[x-]", "x", MALFORMED },
		{ "[-x]", "x", MALFORMED },
		{ "[a-b-c]", "a", MALFORMED },
		{ "[", "a", MALFORMED },
		{ "[^", "a", MALFORMED },
		{ "[^bc", "a", MALFORMED },
		{ "a[", "a", MALFORMED },
		{ "a[", "ab", MALFORMED },
		{ "a[", "x", MALFORMED },
		{ "a\\", "a", MALFORMED },
		{ "[a\\", "a", MALFORMED },
		{ "*b[]*", "ab", MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *p = cases[i].pattern;

		if (pattern_check(p) != (cases[i].verdict != MALFORMED) ||
		    pattern_matches(p, cases[i].name) != (cases[i].verdict == YES))
			fail_msg("pattern \"%s\", name \"%s\"", p, cases[i].name);
	}
	assert_true(pattern_is("a*"));
	assert_true(pattern_is("a?"));
	assert_true(pattern_is("a[0-9]"));
	assert_true(pattern_is("a["));
	assert_true(pattern_is("[a-"));
	assert_false(pattern_is("a]"));
	assert_false(pattern_is("a-1.b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
