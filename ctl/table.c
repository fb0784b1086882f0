/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - aligned columns.
 */
#include <assert.h>
#include <stdlib.h>

#include "ctl/table.h"

#define PADDING 3
#define WIDTH_MIN 6

void table_init(struct table *t, size_t columns)
{
	assert(columns);
	*t = (struct table){ .columns = columns };
}

void table_release(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){ .columns = t->columns };
}

void table_add(struct table *t, const char *cell)
{
	char *copy = xstrdup(cell);

	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	t->cells = xgrow(t->cells, &t->cap, t->n + 1, sizeof(*t->cells));
	t->cells[t->n++] = copy;
}

/* In characters, not bytes: continuation bytes of UTF-8 take no place. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t widest = WIDTH_MIN - PADDING;

	for (size_t i = column; i < t->n; i += t->columns)
		if (width(t->cells[i]) > widest)
			widest = width(t->cells[i]);
	return widest + PADDING;
}

void table_print(const struct table *t, struct str *out)
{
	AUTO_FREE size_t *widths = xcalloc(t->columns, sizeof(*widths));

	for (size_t c = 0; c < t->columns; c++)
		widths[c] = column_width(t, c);
	for (size_t row = 0; row + t->columns <= t->n; row += t->columns)
		for (size_t c = 0; c < t->columns; c++) {
			const char *cell = t->cells[row + c];

			str_add(out, cell);
			if (c + 1 == t->columns)
				str_addc(out, '\n');
			else
				str_addf(out, "%*s", (int)(widths[c] - width(cell)), "");
		}
}
