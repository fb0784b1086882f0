/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - the only door to JSON (RFC 8259): a tree, strict accessors, and exact integers.
 *
 * The tree is cJSON's; its header is included by json.c alone.  Member names are compared in exact
 * case.  Integers are exact up to 2^53 - 1 in either direction; accessors refuse anything else
 * rather than round it, and in the tree it keeps its text, which is printed and copied as it came.
 * Strings returned by accessors are borrowed from the tree.
 *
 * Accessors come in two forms: json_x() wants the member there and of that type; json_opt_x()
 * leaves *out alone and returns 0 when the member is absent or null.  Errors are ERR_PROTO and name
 * the key.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef struct cJSON json;

#define AUTO_JSON __attribute__((cleanup(json_cleanup))) json

/* Deeper nesting is refused; so are documents with a NUL byte or an escaped one in a string. */
#define JSON_DEPTH_MAX 64

enum json_flags {
	JSON_UNIQUE =
		1 << 0, /* refuse duplicate member names (CNI input): readers disagree on them */
};

/*
 * Parses exactly one document: trailing text other than blanks is an error.  *out is owned
 * (json_free).  ERR_PROTO with line and column.
 */
int json_parse(const char *text, size_t len, enum json_flags flags, json **out,
               struct err *e) MUST_USE;
void json_free(json *j);
void json_cleanup(json **j);

/* Compact text, one line; integers are printed as integers. */
void json_print(const json *j, struct str *out);
void json_print_text(const char *s, struct str *out); /* s as a JSON string */
void json_print_pretty(const json *j,
                       struct str *out); /* two blanks of indentation, final newline */
/* width blanks of indentation for each level, no final newline; width 0: one line */
void json_print_indented(const json *j, int width, struct str *out);
json *json_copy(const json *j);                /* owned, deep */
bool json_equal(const json *a, const json *b); /* members in any order, numbers as doubles */

/* Types. */
bool json_is_object(const json *j);
bool json_is_array(const json *j);
bool json_is_string(const json *j);
bool json_is_null(const json *j);
bool json_is_bool(const json *j);
bool json_is_number(const json *j);

/* The member, or NULL when absent; borrowed.  o may be NULL or no object: NULL. */
const json *json_get(const json *o, const char *key);
json *json_get_mut(json *o, const char *key);
/* Follows names through objects: json_at(o, "metadata", "name", NULL). */
const json *json_at(const json *o, ...) __attribute__((sentinel));
/* The string at such a path, or NULL when absent or no string. */
const char *json_str_at(const json *o, ...) __attribute__((sentinel));

int json_str(const json *o, const char *key, const char **out, struct err *e) MUST_USE;
int json_opt_str(const json *o, const char *key, const char **out, struct err *e) MUST_USE;
int json_i64(const json *o, const char *key, int64_t *out, struct err *e) MUST_USE;
int json_opt_i64(const json *o, const char *key, int64_t *out, struct err *e) MUST_USE;
int json_opt_bool(const json *o, const char *key, bool *out, struct err *e) MUST_USE;
int json_obj(const json *o, const char *key, const json **out, struct err *e) MUST_USE;
int json_opt_obj(const json *o, const char *key, const json **out, struct err *e) MUST_USE;
int json_arr(const json *o, const char *key, const json **out, struct err *e) MUST_USE;
int json_opt_arr(const json *o, const char *key, const json **out, struct err *e) MUST_USE;
/* An array of strings; absent is an empty one.  *out is NULL or the array, each element checked. */
int json_opt_strs(const json *o, const char *key, const json **out, struct err *e) MUST_USE;

/* The values themselves, for elements of arrays; asserted type. */
const char *json_text(const json *string); /* borrowed */
int json_int(const json *number, int64_t *out, struct err *e) MUST_USE;
bool json_truth(const json *boolean);
const char *json_name(const json *member); /* its member name, or NULL in an array */

/* Children of an array or object in order; both accept NULL.  json_count walks the list. */
const json *json_first(const json *j);
const json *json_next(const json *j);
size_t json_count(const json *j);
/* Levels of arrays and objects: 0 for a text or a number, 1 for {}. */
int json_depth(const json *j);
#define json_each(child, parent)                                                                   \
	for (const json *child = json_first(parent); child; child = json_next(child))

/*
 * Appends to out the names of o's members that are not in a list: '"a", "Mode" (is "mode" meant?)',
 * with those that differ from one in the case of letters alone told so.  known holds names with
 * one blank between them; "x*" stands for all that begin with x.  JSON_UNKNOWN_MAX are named.
 */
#define JSON_UNKNOWN_MAX 8
void json_unknown(const json *o, const char *known, struct str *out);
bool json_is_known(const char *known, const char *name);

/* Making trees.  New values are owned until added; what is added is taken by the tree. */
json *json_new_object(void);
json *json_new_array(void);
json *json_new_str(const char *s);
json *json_new_i64(int64_t v);
json *json_new_bool(bool v);
json *json_new_null(void);

/* Sets a member, replacing one of that name; the value is taken. */
void json_set(json *o, const char *key, json *value);
void json_set_str(json *o, const char *key, const char *s); /* s NULL: nothing is set */
void json_set_i64(json *o, const char *key, int64_t v);
void json_set_bool(json *o, const char *key, bool v);
void json_set_null(json *o, const char *key);
/* The object member of that name, made when absent (or when it is something else); borrowed. */
json *json_ensure_object(json *o, const char *key);
void json_remove(json *o, const char *key); /* absent is fine */
/* Takes a child out of its object or array without a copy; owned, and has no name any more. */
json *json_detach(json *parent, const json *child);
void json_append(json *array, json *value);
void json_append_str(json *array, const char *s);

/*
 * JSON merge patch (RFC 7386): null removes, objects merge, everything else replaces.  *target is
 * changed in place or replaced.
 */
void json_merge(json **target, const json *patch);

#endif
