/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds.c - pools' rounds to JSON and back.
 */
#include <stdlib.h>

#include "agent/rounds.h"
#include "base/file.h"

#define ROUNDS_MAX (16 * 1024 * 1024) /* bytes of the file */

static int compare_orders(const void *a, const void *b)
{
	const struct pool_rest *const *x = a, *const *y = b;

	return (*x)->order < (*y)->order ? -1 : 1;
}

void rounds_put(json *all, const struct pool *p)
{
	AUTO_FREE const struct pool_rest **sorted = NULL;
	json *round, *list;

	if (!*p->uid || (!p->last.family && !p->n_rests))
		return;
	sorted = xcalloc(p->n_rests + 1, sizeof(struct pool_rest *));
	round = json_new_object();
	list = json_new_array();
	for (size_t i = 0; i < p->n_rests; i++)
		sorted[i] = &p->rests[i];
	qsort(sorted, p->n_rests, sizeof(struct pool_rest *), compare_orders);
	for (size_t i = 0; i < p->n_rests; i++)
		json_append_str(list, ip_str(sorted[i]->ip).s);
	if (p->last.family)
		json_set_str(round, "last", ip_str(p->last).s);
	json_set(round, "rests", list);
	json_set(all, p->uid, round);
}

void rounds_get(const json *all, struct pool *p)
{
	const json *round = *p->uid ? json_get(all, p->uid) : NULL;
	const char *last = json_str_at(round, "last", NULL);

	if (last)
		IGNORE(ip_parse(last, &p->last, NULL));
	json_each(item, json_at(round, "rests", NULL))
	{
		struct ip ip;

		if (json_is_string(item) && ip_parse(json_text(item), &ip, NULL) == 0 &&
		    !pool_find(p, ip))
			pool_rest(p, ip);
	}
}

json *rounds_read(const char *state_dir)
{
	AUTO_FREE char *path = xasprintf("%s/rounds.json", state_dir);
	AUTO_STR text = STR_INIT;
	json *all = NULL;

	if (file_read_regular(path, ROUNDS_MAX, &text, NULL) < 0 ||
	    json_parse(text.data, text.len, 0, &all, NULL) < 0)
		return NULL;
	return all;
}

int rounds_write(const char *state_dir, const json *all, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/rounds.json", state_dir);
	AUTO_STR text = STR_INIT;

	json_print(all, &text);
	return file_write(path, text.data, text.len, 0600, 0, e);
}
