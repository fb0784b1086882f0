/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.h - manifests into a store: read and check everything, compare with what is there, write.
 *
 * The check is what the CRDs' schemas and rules do on an API server; a directory has nobody else
 * to do it.
 */
#ifndef CTL_APPLY_H
#define CTL_APPLY_H

#include "store/store.h"

#define APPLY_INPUT_MAX (8 * 1024 * 1024) /* bytes of one manifest */

enum apply_action { APPLY_CREATE, APPLY_CONFIGURE, APPLY_NOTHING };

struct apply_doc {
	enum store_kind kind;
	char *ns;                 /* NULL for cluster-scoped kinds; owned */
	char *name;               /* owned */
	json *object;             /* as given, without what the server owns; owned */
	enum apply_action action; /* after apply_plan */
};

struct apply_docs {
	struct apply_doc *v;
	size_t n, cap;
};

void apply_release(struct apply_docs *d);
#define AUTO_APPLY_DOCS __attribute__((cleanup(apply_release))) struct apply_docs

/*
 * All documents of a YAML or JSON text; Lists are taken apart.  `source` is for messages, `ns` for
 * namespaced objects that do not say theirs.  ERR_CONFIG names the document and what is wrong.
 */
int apply_read(const char *text, size_t len, const char *source, const char *ns,
               struct apply_docs *out, struct err *e) MUST_USE;

/* One object of our kinds by itself.  ERR_CONFIG. */
int apply_check(enum store_kind kind, const json *object, struct err *e) MUST_USE;

/* Reads what is there and decides each document's action; also what may not change. */
int apply_plan(struct store *s, struct apply_docs *docs, struct mono deadline,
               struct err *e) MUST_USE;

/* Does it: a merge patch where the object exists, so that fields not mentioned stay. */
int apply_write(struct store *s, const struct apply_doc *doc, struct mono deadline,
                struct err *e) MUST_USE;

#endif
