/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get.h - objects for people: the tables that kubectl prints for our kinds, names, lists, YAML.
 */
#ifndef CTL_GET_H
#define CTL_GET_H

#include <time.h>

#include "store/store.h"

/*
 * A kind as people type it: any name of store_kind_by_name, also "spiderippools.GROUP" and the
 * full form with a version.  ERR_USAGE when it is none.
 */
int get_kind(const char *word, enum store_kind *out, struct err *e) MUST_USE;

/* "spiderippool.spiderpool.spidernet.io": what kubectl puts before "/NAME"; owned. */
char *get_prefix(enum store_kind kind);

/* By namespace, then name: how the API server lists them.  A new owned array. */
json *get_sorted(const json *items);

/* now is for the AGE of kinds without columns of their own. */
void get_table(enum store_kind kind, const json *items, bool wide, bool all_namespaces, time_t now,
               struct str *out);
void get_names(enum store_kind kind, const json *items, struct str *out);

/* The one object, or a List of all; without metadata.managedFields, as kubectl shows it.  Owned. */
json *get_document(const json *items, bool one);

/* Block YAML, every string quoted that could be read as something else. */
void get_yaml(const json *value, struct str *out);

/* An age as kubectl writes it: "42s", "5m3s", "17m", "3h20m", "26h", "3d4h", "12d"; owned. */
char *get_age(int64_t seconds);

#endif
