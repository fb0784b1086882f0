/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - rows and columns as kubectl prints them: every column as wide as its widest cell and
 * three blanks, at least six; the last one is not padded.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stddef.h>

#include "base/str.h"

struct table {
	size_t columns;
	char **cells; /* row by row */
	size_t n, cap;
};

void table_init(struct table *t, size_t columns);
void table_release(struct table *t);
#define AUTO_TABLE __attribute__((cleanup(table_release))) struct table

/* The next cell, copied; control characters become '?', a terminal obeys them. */
void table_add(struct table *t, const char *cell);
void table_print(const struct table *t, struct str *out); /* whole rows, appended */

#endif
