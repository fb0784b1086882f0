/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.c - the one command line parser, for every applet.
 */
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/str.h"

static const struct args_option *find(const struct args_option *o, const char *name, size_t len)
{
	for (; o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct args_option *find_letter(const struct args_option *o, char letter)
{
	for (; o->name; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

/* Options that were given, by their place in the table, so that a second one is noticed. */
static int store(const struct args_option *table, const struct args_option *o, const char *value,
                 uint64_t *seen, struct err *e)
{
	uint64_t bit;

	if (o - table >= 64)
		abort(); /* a programming error: a table that long */
	bit = 1ULL << (o - table);
	if (o->flag) {
		if (value)
			return err_set(e, ERR_USAGE, "--%s takes no value", o->name);
		*o->flag = true;
		return 0;
	}
	if (!value)
		return err_set(e, ERR_USAGE, "--%s needs a value", o->name);
	if (*seen & bit)
		return err_set(e, ERR_USAGE, "--%s is given twice", o->name);
	*seen |= bit;
	*o->value = value;
	return 0;
}

int args_parse(int argc, char **argv, const struct args_option *options, const char **words,
               size_t max, size_t *count, struct err *e)
{
	bool options_over = false;
	uint64_t seen = 0;
	size_t n = 0;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *name, *value;
		const struct args_option *o;

		if (options_over || arg[0] != '-' || !arg[1]) {
			if (n == max)
				return err_set(e, ERR_USAGE, "unexpected argument \"%s\"", arg);
			words[n++] = arg;
			continue;
		}
		if (streq(arg, "--")) {
			options_over = true;
			continue;
		}
		if (arg[1] == '-') {
			name = arg + 2;
			value = strchr(name, '=');
			o = find(options, name, value ? (size_t)(value - name) : strlen(name));
			value = value ? value + 1 : NULL;
		} else {
			o = find_letter(options, arg[1]);
			value = arg[2] ? arg + 2 : NULL;
		}
		if (!o)
			return err_set(e, ERR_USAGE, "unknown option %s", arg);
		if (!value && !o->flag && i + 1 < argc)
			value = argv[++i];
		if (store(options, o, value, &seen, e) < 0)
			return -1;
	}
	*count = n;
	return 0;
}
