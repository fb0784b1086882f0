/* SPDX-License-Identifier: Apache-2.0 */
/*
 * labels.c - labels and selectors of objects.
 */
#include <stdint.h>
#include <stdlib.h>

#include "k8s/labels.h"

/* Only to be looked at. */
static char *borrowed(const char *s)
{
	return (char *)(uintptr_t)s;
}

void labels_read(const json *object, struct labels *out)
{
	size_t max = json_is_object(object) ? json_count(object) : 0;
	AUTO_FREE char **view = xcalloc(2 * max + 1, sizeof(*view));
	struct labels l = { view, view + max, 0 };

	for (const json *v = max ? json_first(object) : NULL; v; v = json_next(v)) {
		if (!json_is_string(v))
			continue;
		l.keys[l.n] = borrowed(json_name(v));
		l.values[l.n++] = borrowed(json_text(v));
	}
	labels_copy(out, &l);
}

static int read_match_labels(const json *o, struct selector *s, struct err *e)
{
	const json *labels = NULL;

	if (json_opt_obj(o, "matchLabels", &labels, e) < 0)
		return -1;
	json_each(v, labels)
	{
		char *value;

		if (!json_is_string(v))
			return err_set(e, ERR_PROTO, "matchLabels: %.400s is not a string",
			               json_name(v));
		value = borrowed(json_text(v));
		selector_add(s, json_name(v), SELECTOR_IN, &value, 1);
	}
	return 0;
}

static int read_expression(const json *o, struct selector *s, struct err *e)
{
	const char *key, *operator;
	const json *list = NULL;
	AUTO_FREE char **values = NULL;
	size_t n = 0;

	if (json_str(o, "key", &key, e) < 0 || json_str(o, "operator", &operator, e) < 0 ||
	    json_opt_strs(o, "values", &list, e) < 0)
		return -1;
	values = xcalloc(json_count(list) + 1, sizeof(*values));
	json_each(v, list)
	{
		values[n++] = borrowed(json_text(v));
	}
	selector_add(s, key, selector_op_by_name(operator), values, n);
	return 0;
}

static int read_terms(const json *o, struct selector *s, struct err *e)
{
	const json *list = NULL;
	AUTO_FREE char *wrong = NULL;

	if (read_match_labels(o, s, e) < 0 || json_opt_arr(o, "matchExpressions", &list, e) < 0)
		return -1;
	json_each(v, list)
	{
		if (read_expression(v, s, e) < 0)
			return err_wrap(e, "matchExpressions");
	}
	wrong = selector_check(s);
	return wrong ? err_set(e, ERR_CONFIG, "%s", wrong) : 0;
}

int selector_read(const json *spec, const char *key, struct selector *out, struct err *e)
{
	struct selector s = { .set = true };
	const json *o = NULL;

	if (json_opt_obj(spec, key, &o, e) < 0)
		return -1;
	if (!o)
		return 0;
	if (read_terms(o, &s, e) < 0) {
		selector_release(&s);
		return err_wrap(e, "%s", key);
	}
	*out = s;
	return 0;
}
