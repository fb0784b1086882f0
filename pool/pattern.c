/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.c - shell patterns.
 *
 * Only the last * that was passed is ever tried again: what an earlier one could match more, the
 * last one can too.  So the work is at most the product of both lengths.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "pool/pattern.h"

bool pattern_is(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

/* The character at *s, which moves behind it.  What is no UTF-8 is a character of one byte. */
static uint32_t next_char(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	size_t n = utf8_length(*s);
	uint32_t c = p[0];

	if (n > 1)
		c &= 0x7fU >> n;
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	*s += n ? n : 1;
	return c;
}

/* One end of a range in a class; false: there is none, as at the end of one that is not closed. */
static bool class_end(const char **p, uint32_t *out)
{
	if (**p == '-' || **p == ']')
		return false;
	if (**p == '\\')
		++*p;
	if (!utf8_length(*p))
		return false;
	*out = next_char(p);
	return true;
}

/* The class behind a '[', to which *p moves; false: it is malformed. */
static bool class_has(const char **p, uint32_t c, bool *has)
{
	bool negated = **p == '^', found = false;

	*p += negated;
	do {
		uint32_t low, high;

		if (!class_end(p, &low))
			return false;
		high = low;
		if (**p == '-') {
			++*p;
			if (!class_end(p, &high))
				return false;
		}
		found |= low <= c && c <= high;
	} while (**p != ']');
	++*p;
	*has = found != negated;
	return true;
}

/* One element that is no '*', at *p; false: it is malformed.  *fits: it is the character at *s. */
static bool step(const char **p, const char **s, bool *fits)
{
	const char *at = *s;
	uint32_t c = *at ? next_char(&at) : 0;
	bool has = true;

	if (**p == '[') {
		++*p;
		if (!class_has(p, c, &has))
			return false;
	} else if (**p == '?') {
		++*p;
	} else {
		if (**p == '\\')
			++*p;
		if (!**p)
			return false;
		has = next_char(p) == c;
	}
	*fits = has && **s;
	*s = at;
	return true;
}

bool pattern_check(const char *pattern)
{
	while (*pattern) {
		const char *nothing = "";
		bool fits;

		if (*pattern == '*')
			pattern++;
		else if (!step(&pattern, &nothing, &fits))
			return false;
	}
	return true;
}

bool pattern_matches(const char *pattern, const char *name)
{
	const char *p = pattern, *s = name, *star = NULL, *from = NULL;

	if (!pattern_check(pattern))
		return false;
	while (*s || *p) {
		bool fits = false;

		if (*p == '*') {
			star = ++p;
			from = s;
			continue;
		}
		if (*p && step(&p, &s, &fits) && fits)
			continue;
		/* the last star takes one character more */
		if (!star || !*from)
			return false;
		(void)next_char(&from);
		p = star;
		s = from;
	}
	return true;
}
