/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selector.c - label selectors: what is wrong with one, and whom it selects.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/selector.h"

#define NAME_MAX_LEN 63 /* of a label's name and of its value */

void labels_copy(struct labels *to, const struct labels *from)
{
	size_t size = 2 * from->n * sizeof(char *);
	char *text;

	*to = (struct labels){ NULL, NULL, from->n };
	if (!from->n)
		return;
	for (size_t i = 0; i < from->n; i++)
		size += strlen(from->keys[i]) + strlen(from->values[i]) + 2;
	to->keys = xmalloc(size);
	to->values = to->keys + from->n;
	text = (char *)(to->values + from->n);
	for (size_t i = 0; i < 2 * from->n; i++) {
		const char *s = i < from->n ? from->keys[i] : from->values[i - from->n];
		size_t len = strlen(s) + 1;

		to->keys[i] = memcpy(text, s, len);
		text += len;
	}
}

void labels_release(struct labels *l)
{
	free(l->keys);
	memset(l, 0, sizeof(*l));
}

const char *labels_get(const struct labels *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (streq(l->keys[i], key))
			return l->values[i];
	return NULL;
}

void selector_copy(struct selector *to, const struct selector *from)
{
	*to = (struct selector){ .set = from->set };
	for (size_t i = 0; i < from->n; i++) {
		const struct selector_term *t = &from->terms[i];

		selector_add(to, t->key, t->op, t->values, t->n);
	}
}

void selector_release(struct selector *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct selector_term *t = &s->terms[i];

		for (size_t k = 0; k < t->n; k++)
			free(t->values[k]);
		free(t->values);
		free(t->key);
	}
	free(s->terms);
	memset(s, 0, sizeof(*s));
}

enum selector_op selector_op_by_name(const char *name)
{
	static const char *const names[] = { "In", "NotIn", "Exists", "DoesNotExist" };
	enum selector_op op = SELECTOR_IN;

	while (op < SELECTOR_UNKNOWN && !streq(names[op], name))
		op++;
	return op;
}

void selector_add(struct selector *s, const char *key, enum selector_op op, char *const *values,
                  size_t n)
{
	struct selector_term *t;

	s->set = true;
	s->terms = xrealloc(s->terms, (s->n + 1) * sizeof(*s->terms));
	t = &s->terms[s->n++];
	*t = (struct selector_term){ xstrdup(key), op, NULL, n };
	if (n)
		t->values = xcalloc(n, sizeof(*t->values));
	for (size_t i = 0; i < n; i++)
		t->values[i] = xstrdup(values[i]);
}

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* Letters and digits, between them also - _ and dots. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);

	if (!n || n > NAME_MAX_LEN || !is_word(s[0]) || !is_word(s[n - 1]))
		return false;
	for (; *s; s++)
		if (!is_word(*s) && *s != '-' && *s != '_' && *s != '.')
			return false;
	return true;
}

static bool is_key(const char *s)
{
	const char *slash = strchr(s, '/');

	if (!slash)
		return is_name(s);
	return str_is_name(s, (size_t)(slash - s)) && is_name(slash + 1);
}

static char *check_term(const struct selector_term *t)
{
	bool wants_values = t->op == SELECTOR_IN || t->op == SELECTOR_NOT_IN;

	if (!is_key(t->key))
		return xasprintf("\"%.400s\" is not a valid label", t->key);
	if (t->op == SELECTOR_UNKNOWN)
		return xasprintf("%s: operator must be In, NotIn, Exists or DoesNotExist", t->key);
	if (wants_values && !t->n)
		return xasprintf("%s: In and NotIn need values", t->key);
	if (!wants_values && t->n)
		return xasprintf("%s: Exists and DoesNotExist take no values", t->key);
	for (size_t i = 0; i < t->n; i++)
		if (*t->values[i] && !is_name(t->values[i]))
			return xasprintf("%s: \"%.100s\" is not a valid value", t->key,
			                 t->values[i]);
	return NULL;
}

char *selector_check(const struct selector *s)
{
	for (size_t i = 0; i < s->n; i++) {
		char *wrong = check_term(&s->terms[i]);

		if (wrong)
			return wrong;
	}
	return NULL;
}

static bool holds(const struct selector_term *t, const char *value)
{
	bool listed = false;

	for (size_t i = 0; value && i < t->n; i++)
		listed |= streq(t->values[i], value);
	switch (t->op) {
	case SELECTOR_IN:
		return listed;
	case SELECTOR_NOT_IN:
		return !listed;
	case SELECTOR_EXISTS:
		return value != NULL;
	case SELECTOR_DOES_NOT_EXIST:
		return !value;
	case SELECTOR_UNKNOWN:
		break;
	}
	return false;
}

bool selector_matches(const struct selector *s, const struct labels *l, struct str *why)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *value = labels_get(l, s->terms[i].key);

		if (holds(&s->terms[i], value))
			continue;
		if (why && value)
			str_addf(why, "%s is %s", s->terms[i].key, *value ? value : "\"\"");
		else if (why)
			str_addf(why, "no label %s", s->terms[i].key);
		return false;
	}
	return true;
}
