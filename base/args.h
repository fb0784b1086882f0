/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args.h - command lines: long options from a table, then words.
 *
 * "--name value", "--name=value", flags without a value, "--" ends the options.  Options may stand
 * between words.  No abbreviations.
 */
#ifndef BASE_ARGS_H
#define BASE_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct args_option {
	const char *name;   /* without the dashes */
	char letter;        /* "-o value"; 0 for none */
	const char **value; /* receives the value (borrowed from argv); NULL for a flag */
	bool *flag;         /* set by a flag; NULL for an option with a value */
};

/*
 * argv[0] is skipped.  options ends with a name of NULL.  words (room for max pointers) receives
 * what is not an option, in order; *count their number.  ERR_USAGE for an unknown option, a
 * missing or superfluous value, an option with a value given twice, or more than max words.
 */
int args_parse(int argc, char **argv, const struct args_option *options, const char **words,
               size_t max, size_t *count, struct err *e) MUST_USE;

#endif
