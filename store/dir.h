/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir.h - what dir.c and dir_watch.c know of the directory of a store.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "store/backend.h"

const char *dir_path(struct store *s);                /* borrowed from it */
char *dir_folder(struct store *s, enum store_kind k); /* of a kind's objects; owned */
/* Not with its parents: a store that was there at start and is not any more is not made anew. */
int dir_make_folder(struct store *s, enum store_kind k, struct err *e) MUST_USE;
uint64_t dir_version(const json *o); /* its resourceVersion; 0: none that is a number */

/* These are the operations of struct store_ops. */
int dir_list(struct store *s, enum store_kind k, const char *ns, const struct k8s_selector *sel,
             json **items, char **version, struct mono deadline, struct err *e) MUST_USE;
int dir_watch_open(struct store *s, enum store_kind k, const char *ns,
                   const struct k8s_selector *sel, const char *version, struct store_watch **out,
                   struct err *e) MUST_USE;

#endif
