/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.c - strings that grow, numbers that are checked.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

char str_empty[1];

void str_release(struct str *s)
{
	if (s->cap)
		free(s->data);
	s->data = str_empty;
	s->len = s->cap = 0;
}

void str_reset(struct str *s, size_t len)
{
	if (!s->cap)
		return;
	s->len = len;
	s->data[len] = '\0';
}

void str_reserve(struct str *s, size_t more)
{
	s->data = xgrow(s->cap ? s->data : NULL, &s->cap, s->len + more + 1, 1);
	s->data[s->len] = '\0';
}

void str_addn(struct str *s, const void *data, size_t len)
{
	str_reserve(s, len);
	if (len)
		memcpy(s->data + s->len, data, len);
	s->len += len;
	s->data[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
	str_addn(s, text, strlen(text));
}

void str_addc(struct str *s, char c)
{
	str_addn(s, &c, 1);
}

void str_addf(struct str *s, const char *format, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		abort();
	str_addn(s, text, (size_t)n);
}

char *str_take(struct str *s)
{
	char *p;

	if (!s->cap)
		return xstrdup("");
	p = s->data;
	s->data = str_empty;
	s->len = s->cap = 0;
	return p;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && streq(s + n - m, suffix);
}

bool mem_find(const void *hay, size_t len, const void *needle, size_t n)
{
	const char *p = hay, *first = needle;

	for (; len >= n; p++, len--)
		if (*p == *first && memcmp(p, needle, n) == 0)
			return true;
	return false;
}

size_t utf8_length(const char *s)
{
	unsigned char first = (unsigned char)*s;
	size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0x80 ? 2 : 1;
	uint32_t c = n == 1 ? first : first & (0xffU >> (n + 1));

	if (!first || (n > 1 && first < 0xc2) || first > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		unsigned char next = (unsigned char)s[i];

		/* the text's end stops this too */
		if ((next & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (next & 0x3f);
	}
	/* longer than needed, half a surrogate pair, beyond the last plane */
	if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
	    (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return n;
}

int fmt(char *buf, size_t size, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(buf, size, format, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= size ? -1 : 0;
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	uint64_t v = 0;
	const char *p;

	for (p = s; *p >= '0' && *p <= '9'; p++) {
		unsigned int digit = (unsigned int)(*p - '0');

		if (v > (UINT64_MAX - digit) / 10)
			goto range;
		v = v * 10 + digit;
	}
	if (p == s || *p)
		return err_set(e, ERR_CONFIG, "\"%s\" is not a number", s);
	if (v < min || v > max)
		goto range;
	*out = v;
	return 0;
range:
	return err_set(e, ERR_CONFIG, "%s is not between %llu and %llu", s, (unsigned long long)min,
	               (unsigned long long)max);
}

int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *out, struct err *e)
{
	uint64_t v;

	if (parse_u64(s, min, max, &v, e) < 0)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out, struct err *e)
{
	bool negative = *s == '-';
	uint64_t magnitude;
	int64_t v;

	if (parse_u64(s + negative, 0, INT64_MAX, &magnitude, e) < 0)
		return err_set(e, ERR_CONFIG, "\"%s\" is not a number in range", s);
	v = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	if (v < min || v > max)
		return err_set(e, ERR_CONFIG, "%s is not between %lld and %lld", s, (long long)min,
		               (long long)max);
	*out = v;
	return 0;
}

int parse_duration_ms(const char *s, int64_t *out, struct err *e)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = { { "ns", 1e-6 },  { "us", 1e-3 }, { "ms", 1 },
		      { "h", 3600e3 }, { "m", 60e3 },  { "s", 1e3 } };
	const double longest = 10.0 * 366 * 24 * 3600e3;
	const char *p = s;
	double total = 0;
	size_t i;

	if (streq(s, "0")) {
		*out = 0;
		return 0;
	}
	do {
		double v = 0, place = 1;
		bool digits = false;

		for (; *p >= '0' && *p <= '9'; p++, digits = true)
			v = v * 10 + (*p - '0');
		if (*p == '.')
			for (p++; *p >= '0' && *p <= '9'; p++, digits = true)
				v += (*p - '0') * (place /= 10);
		for (i = 0; i < ARRAY_LEN(units); i++)
			if (str_starts(p, units[i].name))
				break;
		if (!digits || i == ARRAY_LEN(units) || v * units[i].ms + total > longest)
			return err_set(e, ERR_CONFIG, "\"%s\" is not a duration such as 1m30s", s);
		total += v * units[i].ms;
		p += strlen(units[i].name);
	} while (*p);
	*out = (int64_t)total;
	return 0;
}

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, struct str *out)
{
	const unsigned char *p = data;

	for (; len;) {
		size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
		             (n > 2 ? p[2] : 0);
		char quad[4] = { base64_alphabet[v >> 18], base64_alphabet[v >> 12 & 63],
			         n > 1 ? base64_alphabet[v >> 6 & 63] : '=',
			         n > 2 ? base64_alphabet[v & 63] : '=' };

		str_addn(out, quad, 4);
		p += n;
		len -= n;
	}
}

int base64_decode(const char *text, size_t len, struct str *out, struct err *e)
{
	uint32_t v = 0;
	unsigned int chars = 0, pads = 0;
	size_t start = out->len;

	for (size_t i = 0; i < len; i++) {
		const char *at;
		char bytes[3];

		if (text[i] == '\r' || text[i] == '\n')
			continue;
		at = text[i] && text[i] != '=' ? strchr(base64_alphabet, text[i]) : NULL;
		if (text[i] == '=')
			pads++;
		if ((!at && text[i] != '=') || (at && pads) || pads > 2)
			goto bad;
		v = v << 6 | (at ? (uint32_t)(at - base64_alphabet) : 0);
		if (++chars < 4)
			continue;
		bytes[0] = (char)(v >> 16);
		bytes[1] = (char)(v >> 8);
		bytes[2] = (char)v;
		str_addn(out, bytes, 3 - pads);
		v = chars = 0;
	}
	if (!chars)
		return 0;
bad:
	str_reset(out, start);
	return err_set(e, ERR_CONFIG, "not base64");
}

char *str_trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n");
	n = strlen(s);
	while (n && strchr(" \t\r\n", s[n - 1]))
		s[--n] = '\0';
	return s;
}

bool str_is_name(const char *s, size_t n)
{
	bool inside = false; /* a label that began */

	if (n > 253)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');

		/* a '-' stands between letters, a '.' after one */
		if (!alnum && (!inside || (s[i] != '-' && (s[i] != '.' || s[i - 1] == '-'))))
			return false;
		inside = s[i] != '.';
	}
	return inside && s[n - 1] != '-';
}
