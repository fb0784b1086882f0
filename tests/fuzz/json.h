/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - checks on JSON trees, for the fuzz programs that read them.
 */
#ifndef TESTS_FUZZ_JSON_H
#define TESTS_FUZZ_JSON_H

#include "tests/fuzz/fuzz.h"
#include "json/json.h"

/* The document, or NULL when it is none; owned. */
static inline json *fuzz_json(const char *text)
{
	json *j = NULL;
	struct err e = { .kind = ERR_NONE };

	if (json_parse(text, strlen(text), 0, &j, &e) == 0)
		return j;
	must(!j && e.kind == ERR_PROTO);
	must_tell(&e);
	return NULL;
}

static inline char *fuzz_print(const json *j)
{
	struct str s = STR_INIT;

	json_print(j, &s);
	return str_take(&s);
}

/* Both print the same text. */
static inline void must_print_alike(const json *a, const json *b)
{
	AUTO_FREE char *one = fuzz_print(a);
	AUTO_FREE char *two = fuzz_print(b);

	if (!streq(one, two))
		fprintf(stderr, "%s\n%s\n", one, two);
	must(streq(one, two));
}

#endif
