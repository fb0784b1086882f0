/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.h - names with wildcards, as Go's filepath.Match reads them: * is any text, ? any
 * character, [a-z] one of a class, [^a-z] one of none of it, \ takes the next character as it is.
 * Pure.
 */
#ifndef POOL_PATTERN_H
#define POOL_PATTERN_H

#include <stdbool.h>

/* Does it hold *, ? or [, as no name can?  Then it was meant as one, well formed or not. */
bool pattern_is(const char *name);

/* Is it well formed?  Else it matches nothing. */
bool pattern_check(const char *pattern);

/* Names have no slashes. */
bool pattern_matches(const char *pattern, const char *name);

#endif
