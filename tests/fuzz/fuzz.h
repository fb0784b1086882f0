/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what the fuzz programs share.  Each is one LLVMFuzzerTestOneInput() that keeps nothing
 * from one input to the next and checks what must hold for every one, not only that nothing
 * crashes.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

#define FUZZ_MAX (64 * 1024) /* bytes of an input that are looked at */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold: else the program ends, and the input is kept. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
			        #condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A function that failed has said why. */
static inline void must_tell(const struct err *e)
{
	must(e->kind != ERR_NONE);
	must(*e->msg && memchr(e->msg, '\0', sizeof(e->msg)));
}

struct fuzz_input {
	const char *at;
	size_t left;
};

static inline struct fuzz_input fuzz_begin(const uint8_t *data, size_t size)
{
	return (struct fuzz_input){ (const char *)data, size < FUZZ_MAX ? size : FUZZ_MAX };
}

/* The next line without its end, to its first NUL: what callers pass as strings.  Owned. */
static inline char *fuzz_line(struct fuzz_input *in)
{
	const char *lf = in->left ? memchr(in->at, '\n', in->left) : NULL;
	size_t len = lf ? (size_t)(lf - in->at) : in->left;
	char *line = xstrndup(in->left ? in->at : "", len);

	in->at += len + (lf != NULL);
	in->left -= len + (lf != NULL);
	return line;
}

/* The next byte, 0 at the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return (uint8_t)*in->at++;
}

/* All that is left, in memory of just that size: reading behind it is seen.  Owned. */
static inline char *fuzz_rest(const struct fuzz_input *in)
{
	char *rest = xmalloc(in->left + !in->left);

	if (in->left)
		memcpy(rest, in->at, in->left);
	return rest;
}

#endif
