/* SPDX-License-Identifier: Apache-2.0 */
/*
 * date.h - points in time as RFC 3339 writes them, always in UTC.
 *
 * libc's functions for this bring time zones, locales and their files: 10 KB of the program.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

/* Enough for a year of any length that seconds in an int64_t can have. */
#define DATE_SIZE 48

struct date {
	int64_t year;
	int month, day; /* from 1 */
	int hour, minute, second;
};

/* Seconds since 1970; the fields may exceed their ranges upwards, but the month may not. */
int64_t date_to_seconds(const struct date *d);
struct date date_from_seconds(int64_t seconds);

/* "2006-01-02T15:04:05Z" */
void date_text(int64_t seconds, char out[DATE_SIZE]);

/* Reads exactly that form, or false. */
bool date_parse(const char *s, int64_t *seconds);

#endif
