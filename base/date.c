/* SPDX-License-Identifier: Apache-2.0 */
/*
 * date.c - the Gregorian calendar, counted from the first of March of the year 0: so the leap day
 * is the last day of a year, and of the 400 years after which everything repeats.
 */
#include <stdio.h>

#include "base/date.h"

#define DAY 86400
#define DAYS_400_YEARS 146097
#define DAYS_100_YEARS 36524
#define DAYS_4_YEARS 1461
#define DAYS_TO_1970 719468

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days from the first of March to the first of the month that is `month` months later. */
static int days_before(int month)
{
	return (153 * month + 2) / 5;
}

int64_t date_to_seconds(const struct date *d)
{
	int64_t year = d->year - (d->month < 3);
	int month = (d->month + 9) % 12;
	int64_t days = year * 365 + floor_div(year, 4) - floor_div(year, 100) +
	               floor_div(year, 400) + days_before(month) + d->day - 1 - DAYS_TO_1970;

	return ((days * 24 + d->hour) * 60 + d->minute) * 60 + d->second;
}

struct date date_from_seconds(int64_t seconds)
{
	int64_t day = floor_div(seconds, DAY);
	int rest = (int)(((seconds % DAY) + DAY) % DAY);
	int64_t period;
	int n, year, month;

	day += DAYS_TO_1970;
	period = floor_div(day, DAYS_400_YEARS);
	n = (int)(day - period * DAYS_400_YEARS);
	/* leap days before this day are taken out, then all years have 365 */
	year = (n - n / (DAYS_4_YEARS - 1) + n / DAYS_100_YEARS - n / (DAYS_400_YEARS - 1)) / 365;
	n -= year * 365 + year / 4 - year / 100;
	month = (5 * n + 2) / 153;
	return (struct date){
		.year = period * 400 + year + (month >= 10),
		.month = (month + 2) % 12 + 1,
		.day = n - days_before(month) + 1,
		.hour = rest / 3600,
		.minute = rest / 60 % 60,
		.second = rest % 60,
	};
}

void date_text(int64_t seconds, char out[DATE_SIZE])
{
	struct date d = date_from_seconds(seconds);

	snprintf(out, DATE_SIZE, "%04lld-%02d-%02dT%02d:%02d:%02dZ", (long long)d.year, d.month,
	         d.day, d.hour, d.minute, d.second);
}

/* `n` digits at *s, then `end`; -1 when that is not there. */
static int number(const char **s, int n, char end)
{
	int v = 0;

	for (; n; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return *(*s)++ == end ? v : -1;
}

static bool within(int v, int min, int max)
{
	return v >= min && v <= max;
}

bool date_parse(const char *s, int64_t *seconds)
{
	struct date d;

	if ((d.year = number(&s, 4, '-')) < 0 || !within(d.month = number(&s, 2, '-'), 1, 12) ||
	    !within(d.day = number(&s, 2, 'T'), 1, 31) ||
	    !within(d.hour = number(&s, 2, ':'), 0, 23) ||
	    !within(d.minute = number(&s, 2, ':'), 0, 59) ||
	    !within(d.second = number(&s, 2, 'Z'), 0, 60) || *s)
		return false;
	*seconds = date_to_seconds(&d);
	return true;
}
