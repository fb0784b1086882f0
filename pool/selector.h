/* SPDX-License-Identifier: Apache-2.0 */
/*
 * selector.h - labels, and what selects by them: the label selectors of Kubernetes
 * (meta/v1 LabelSelector).  Pure.
 */
#ifndef POOL_SELECTOR_H
#define POOL_SELECTOR_H

#include <stdbool.h>

#include "base/str.h"

/* Borrowed views of others' strings are made by hand; what is owned lies in one piece of memory. */
struct labels {
	char **keys, **values;
	size_t n;
};

/* *to is owned; from may be a view. */
void labels_copy(struct labels *to, const struct labels *from);
void labels_release(struct labels *l);                           /* of an owned one */
const char *labels_get(const struct labels *l, const char *key); /* borrowed, or NULL */

enum selector_op {
	SELECTOR_IN,
	SELECTOR_NOT_IN,
	SELECTOR_EXISTS,
	SELECTOR_DOES_NOT_EXIST,
	SELECTOR_UNKNOWN /* the operator is none of Kubernetes */
};

struct selector_term {
	char *key;
	enum selector_op op;
	char **values;
	size_t n;
};

/* All terms must hold; without any it selects everything.  A label of matchLabels is the term
 * "key In (value)". */
struct selector {
	bool set; /* false: there is no selector, which is its user's business */
	struct selector_term *terms;
	size_t n;
};

void selector_copy(struct selector *to, const struct selector *from);
void selector_release(struct selector *s); /* contents; it is not set afterwards */

/* By name as in matchExpressions ("In", "NotIn", "Exists", "DoesNotExist"). */
enum selector_op selector_op_by_name(const char *name);

/* Adds a term, which makes the selector set; strings are copied. */
void selector_add(struct selector *s, const char *key, enum selector_op op, char *const *values,
                  size_t n);

/* What is wrong with it: NULL when nothing is, else owned text. */
char *selector_check(const struct selector *s);

/*
 * Does it select who has these labels?  NotIn and DoesNotExist hold where the key is missing.  When
 * not, the first term that fails is told to why (may be NULL) by what was found: "zone is b",
 * "no label zone".  A term that selector_check refuses does not hold.
 */
bool selector_matches(const struct selector *s, const struct labels *l, struct str *why);

#endif
