/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/strtod.c */
/*
 * strtod_test.c - our strtod() against libc's, bit by bit: of every magnitude, with few digits and
 * with many, and close to the middle between two neighbours.
 */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static locale_t c_locale;

static uint64_t random_bits(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void assert_as_libc(const char *text)
{
	char *end, *libc_end;
	double ours = strtod(text, &end), libc = strtod_l(text, &libc_end, c_locale);

	if (memcmp(&ours, &libc, sizeof(ours)) != 0 || end != libc_end)
		fail_msg("\"%s\" is read as %a up to \"%s\", not as %a up to \"%s\"", text, ours,
		         end, libc, libc_end);
}

static void test_forms(void **state)
{
	static const char *const texts[] = {
		"0",
		"-0",
		"+0",
		"0.0",
		"-0.0e5",
		"000001",
		"1",
		"-1",
		"+17",
		"1.",
		".5",
		"-.5e1",
		"1e",
		"1e+",
		"1e-x",
		"1E5",
		"1e05",
		"1e-5x",
		"",
		"-",
		"+.",
		".",
		".e5",
		"e5",
		"x",
		"--1",
		"1.2.3",
		"9007199254740991",
		"9007199254740992",
		"9007199254740993",
		"9007199254740995",
		"1e308",
		"1.7976931348623157e308",
		"1.7976931348623158e308",
		"1.7976931348623159e308",
		"1.8e308",
		"1e309",
		"1e310",
		"1e311",
		"-1e400",
		"1e99999999999999999999",
		"1e-99999999999999999999",
		"0e99999999999999999999",
		"2.2250738585072014e-308",
		"2.2250738585072011e-308",
		"2.225073858507201e-308",
		"4.9406564584124654e-324",
		"2.4703282292062327e-324",
		"2.4703282292062328e-324",
		"2.5e-324",
		"2e-324",
		"1e-323",
		"1e-330",
		"1e-331",
		"1e23",
		"8.5e22",
		"0.1",
		"0.3",
		"123456789012345678901234567890e-30",
		"0.000000000000000000000000000000000000000000000000000000000000000000001e69",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_as_libc(texts[i]);
	assert_true(strtod("2.5", NULL) == 2.5);
}

static void test_random(void **state)
{
	char text[64];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = random_bits();
		double v;

		if (i % 4 == 0)
			bits &= ~0U | (uint64_t)(random_bits() & 0x800fffff) << 32; /* tiny ones */
		memcpy(&v, &bits, sizeof(v));
		if (!isfinite(v))
			continue;
		for (int precision = 0; precision <= 17; precision += 1 + i % 5) {
			snprintf(text, sizeof(text), "%.*e", precision, v);
			assert_as_libc(text);
		}
		snprintf(text, sizeof(text), "%.17g", v);
		assert_true(strtod(text, NULL) == v);
		snprintf(text, sizeof(text), "%llu.%llue%d",
		         (unsigned long long)(random_bits() >> (random_bits() % 64)),
		         (unsigned long long)(random_bits() >> (random_bits() % 64)),
		         (int)(random_bits() % 700) - 350);
		assert_as_libc(text);
	}
}

/* The middle between two neighbours in all its digits, and a little more or less. */
static void test_middles(void **state)
{
	static char text[4000], longer[8000];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		uint64_t bits = random_bits() >> (i % 3 ? 1 : 12);
		long double middle;
		double v, next;
		size_t len;

		memcpy(&v, &bits, sizeof(v));
		if (!isfinite(v) || !isfinite(next = nextafter(v, HUGE_VAL)))
			continue;
		middle = ((long double)v + (long double)next) / 2;
		snprintf(text, sizeof(text), "%.1100Lf", middle);
		assert_as_libc(text);
		len = strlen(text);
		snprintf(longer, sizeof(longer), "%s%01000d1", text, 0);
		assert_as_libc(longer);
		snprintf(longer, sizeof(longer), "%s%01000d", text, 0);
		assert_as_libc(longer);
		while (text[len - 1] == '0')
			len--;
		if (text[len - 1] != '.') {
			text[len - 1]--;
			assert_as_libc(text);
		}
	}
	/* more digits than are looked at, before the point */
	memset(longer, '7', 1500);
	snprintf(longer + 1500, 100, "e-1400");
	assert_as_libc(longer);
	longer[1500] = '.';
	assert_as_libc(longer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_middles),
	};

	c_locale = newlocale(LC_ALL_MASK, "C", NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
