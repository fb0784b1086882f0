/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/date.c */
/*
 * date_test.c - the calendar against libc's, and what is a date and what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/date.h"

#define DAY 86400LL

static void assert_as_libc(int64_t seconds)
{
	struct date d = date_from_seconds(seconds);
	time_t t = (time_t)seconds;
	struct tm tm;

	assert_non_null(gmtime_r(&t, &tm));
	assert_int_equal(d.year, tm.tm_year + 1900LL);
	assert_int_equal(d.month, tm.tm_mon + 1);
	assert_int_equal(d.day, tm.tm_mday);
	assert_int_equal(d.hour, tm.tm_hour);
	assert_int_equal(d.minute, tm.tm_min);
	assert_int_equal(d.second, tm.tm_sec);
	assert_int_equal(date_to_seconds(&d), seconds);
}

static void test_calendar(void **state)
{
	(void)state;
	/* every day of 900 years, the first and the last second */
	for (int64_t day = -400 * 366; day < 500 * 366; day++) {
		assert_as_libc(day * DAY);
		assert_as_libc(day * DAY + DAY - 1);
	}
	for (int64_t t = -60000000000LL; t < 300000000000LL; t += 7777777)
		assert_as_libc(t);
}

static void test_text(void **state)
{
	char text[DATE_SIZE];

	(void)state;
	date_text(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	date_text(951782399, text);
	assert_string_equal(text, "2000-02-28T23:59:59Z");
	date_text(951868799, text);
	assert_string_equal(text, "2000-02-29T23:59:59Z");
	date_text(253402300799, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	date_text(-62167219200, text);
	assert_string_equal(text, "0000-01-01T00:00:00Z");
	date_text(INT64_MAX, text);
	assert_string_equal(text, "292277026596-12-04T15:30:07Z");
	date_text(INT64_MIN, text);
	assert_string_equal(text, "-292277022657-01-27T08:29:52Z");
}

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"",
		"2024",
		"2024-02-29T12:00:00",
		"2024-02-29T12:00:00z",
		"2024-02-29T12:00:00Z ",
		"2024-02-29T12:00:00.5Z",
		"2024-02-29T12:00:00+00:00",
		"2024-02-29 12:00:00Z",
		"2024-2-29T12:00:00Z",
		"2024-00-29T12:00:00Z",
		"2024-13-29T12:00:00Z",
		"2024-02-00T12:00:00Z",
		"2024-02-32T12:00:00Z",
		"2024-02-29T24:00:00Z",
		"2024-02-29T12:60:00Z",
		"2024-02-29T12:00:61Z",
		"+024-02-29T12:00:00Z",
	};
	int64_t t = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (date_parse(bad[i], &t))
			fail_msg("\"%s\" is a date", bad[i]);
	assert_int_equal(t, 5);
	assert_true(date_parse("2024-02-29T12:34:56Z", &t));
	assert_int_equal(t, 1709210096);
	assert_true(date_parse("1969-12-31T23:59:59Z", &t));
	assert_int_equal(t, -1);
	/* a leap second is the next minute's first */
	assert_true(date_parse("2016-12-31T23:59:60Z", &t));
	assert_int_equal(t, 1483228800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
