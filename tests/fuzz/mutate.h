/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutate.h - changes to inputs that are JSON, or lines of which some are: half of them on the
 * document, so that what comes out is one and gets beyond the parser.  To be included by one
 * program's source once.
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include "tests/fuzz/json.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

static uint32_t fuzz_random(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525 + 1013904223;
	return below ? (*state >> 8) % below : 0;
}

/* The members and elements below j, in no order that matters, each with its parent. */
struct fuzz_nodes {
	json **parents;
	const json **children;
	size_t n, cap, cap_children;
};

static void fuzz_collect(json *parent, struct fuzz_nodes *all)
{
	json_each(c, parent)
	{
		all->parents = xgrow(all->parents, &all->cap, all->n + 1, sizeof(json *));
		all->children =
			xgrow(all->children, &all->cap_children, all->n + 1, sizeof(json *));
		all->parents[all->n] = parent;
		all->children[all->n++] = c;
		fuzz_collect((json *)(uintptr_t)c, all);
	}
}

static bool fuzz_change_json(char **text, uint32_t *state);

/* Its bytes, or what it holds where that is JSON again. */
static json *fuzz_change_string(const char *old, uint32_t *state)
{
	AUTO_FREE char *text = xstrdup(old);
	size_t len, max;
	char *buf;
	json *j;

	if (fuzz_random(state, 2) && fuzz_change_json(&text, state))
		return json_new_str(text);
	len = strlen(text);
	max = len + 16;
	buf = xcalloc(1, max + 1);
	memcpy(buf, text, len);
	len = LLVMFuzzerMutate((uint8_t *)buf, len, max);
	buf[len] = '\0';
	for (char *p = buf; *p; p++)
		if (!utf8_length(p) && ((unsigned char)*p & 0x80))
			*p = '?'; /* JSON has no others */
		else if (utf8_length(p))
			p += utf8_length(p) - 1;
	j = json_new_str(buf);
	free(buf);
	return j;
}

static json *fuzz_new_value(const json *old, const struct fuzz_nodes *all, uint32_t *state)
{
	static const char *const values[] = {
		"null",   "true",         "false", "0",          "-1",         "1.5",
		"1e30",   "255",          "256",   "2147483648", "4294967296", "\"\"",
		"\"a\"",  "\"10.0.0.9\"", "{}",    "[]",         "[\"a\"]",    "[{}]",
		"\"::\"", "\"0.0.0.0/0\""
	};

	switch (fuzz_random(state, 4)) {
	case 0:
		return fuzz_json(values[fuzz_random(state, ARRAY_LEN(values))]);
	case 1:
		return json_copy(all->children[fuzz_random(state, (uint32_t)all->n)]);
	default:
		return json_is_string(old) ? fuzz_change_string(json_text(old), state)
		                           : json_new_i64((int64_t)fuzz_random(state, 70000) - 2);
	}
}

static void fuzz_change_node(const struct fuzz_nodes *all, uint32_t *state)
{
	size_t i = fuzz_random(state, (uint32_t)all->n);
	json *parent = all->parents[i], *value = NULL;
	const char *other = json_name(all->children[fuzz_random(state, (uint32_t)all->n)]);
	AUTO_FREE char *name =
		json_name(all->children[i]) ? xstrdup(json_name(all->children[i])) : NULL;
	AUTO_FREE char *second = other ? xstrdup(other) : NULL;
	AUTO_JSON *old = NULL;
	uint32_t what = fuzz_random(state, 8);

	if (what)
		value = what == 1 ? json_copy(all->children[i])
		                  : fuzz_new_value(all->children[i], all, state);
	if (what != 1)
		old = json_detach(parent, all->children[i]);
	if (!value)
		return;
	if (!json_is_object(parent))
		json_append(parent, value);
	else if (what <= 2)
		json_set(parent, second ? second : "x", value);
	else
		json_set(parent, name, value);
}

/* False: it is no JSON, or has nothing in it. */
static bool fuzz_change_json(char **text, uint32_t *state)
{
	struct fuzz_nodes all = { .n = 0 };
	AUTO_JSON *j = NULL;

	if ((**text != '{' && **text != '[') || json_parse(*text, strlen(*text), 0, &j, NULL) < 0)
		return false;
	fuzz_collect(j, &all);
	if (all.n) {
		fuzz_change_node(&all, state);
		free(*text);
		*text = fuzz_print(j);
	}
	free(all.parents);
	free(all.children);
	return all.n != 0;
}

/* The whole, or one line of it. */
static bool fuzz_change_input(const struct fuzz_input *from, struct str *out, uint32_t *state)
{
	AUTO_FREE char *whole = xstrndup(from->left ? from->at : "", from->left);
	struct fuzz_input in = *from;
	uint32_t lines = 1, chosen;
	bool changed = false;

	if (fuzz_change_json(&whole, state)) {
		str_add(out, whole);
		return true;
	}
	for (size_t i = 0; i < in.left; i++)
		lines += in.at[i] == '\n';
	chosen = fuzz_random(state, lines);
	for (uint32_t i = 0; i < lines; i++) {
		AUTO_FREE char *line = fuzz_line(&in);

		if (i == chosen)
			changed = fuzz_change_json(&line, state);
		str_add(out, i ? "\n" : "");
		str_add(out, line);
	}
	return changed;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct fuzz_input in = fuzz_begin(data, size);
	AUTO_STR out = STR_INIT;
	uint32_t state = seed;

	if (!fuzz_random(&state, 2) || !fuzz_change_input(&in, &out, &state) ||
	    out.len > max_size || !out.len)
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(data, out.data, out.len);
	return out.len;
}

#endif
