/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.h - a growing string, bounded formatting, comparison, and numbers read from text.
 *
 * struct str: data is never NULL and always NUL-terminated, also right after STR_INIT; len does not
 * count the terminator.  The bytes may contain NUL.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct str {
	char *data;
	size_t len;
	size_t cap; /* 0: data is the shared empty string, not from the heap */
};

extern char str_empty[1];

#define STR_INIT                                                                                   \
	{                                                                                          \
		.data = str_empty                                                                  \
	}
#define AUTO_STR __attribute__((cleanup(str_release))) struct str

void str_release(struct str *s); /* frees the contents; s is empty and usable afterwards */
void str_reset(struct str *s, size_t len);    /* cuts to len (<= s->len), keeps the memory */
void str_reserve(struct str *s, size_t more); /* room for `more` bytes after len */
void str_add(struct str *s, const char *text);
void str_addn(struct str *s, const void *data, size_t len);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) PRINTF(2, 3);
char *str_take(struct str *s); /* owned; s is empty afterwards */

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Are these n bytes an RFC 1123 subdomain of small letters, as Kubernetes wants names of objects?
 */
bool str_is_name(const char *s, size_t n);

/* Is the needle (not empty) in the hay?  libc's memmem is quick, and a kilobyte. */
bool mem_find(const void *hay, size_t len, const void *needle, size_t n);

/* Bytes of the UTF-8 character (RFC 3629) that begins at s; 0 when none does: *s is its end or
 * belongs to no character. */
size_t utf8_length(const char *s);

/* snprintf into a buffer the size of which is fixed by others; -1 when it does not fit. */
int fmt(char *buf, size_t size, const char *format, ...) PRINTF(3, 4) MUST_USE;

/*
 * A decimal number and nothing else: no sign (but '-' for the signed one), no blank, no empty
 * string.  ERR_CONFIG outside min..max, with the text in the message.
 */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e) MUST_USE;
int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *out, struct err *e) MUST_USE;
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out, struct err *e) MUST_USE;

/*
 * A duration as Go writes it: "1m30s", "250ms", "2h"; units ns us ms s m h; whole milliseconds
 * come out, fractions of one are cut.  ERR_CONFIG for anything else or more than 10 years.
 */
int parse_duration_ms(const char *s, int64_t *out, struct err *e) MUST_USE;

/* Standard base64 (RFC 4648 section 4); decoding skips CR and LF and demands padding. */
void base64_encode(const void *data, size_t len, struct str *out);
int base64_decode(const char *text, size_t len, struct str *out, struct err *e) MUST_USE;

/* In place: what is left without blanks and line ends before and behind it; borrowed from s. */
char *str_trim(char *s);

#endif
