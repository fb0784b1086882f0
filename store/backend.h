/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - what a home of objects implements; for store.c and the two backends alone.
 */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "store/store.h"

struct store_ops {
	int (*get)(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
	           struct mono deadline, struct err *e);
	int (*list)(struct store *s, enum store_kind k, const char *ns,
	            const struct k8s_selector *sel, json **items, char **version,
	            struct mono deadline, struct err *e);
	int (*create)(struct store *s, enum store_kind k, const json *object, json **out,
	              struct mono deadline, struct err *e);
	int (*patch)(struct store *s, enum store_kind k, const char *ns, const char *name,
	             bool status, const json *patch, json **out, struct mono deadline,
	             struct err *e);
	/* NULL: patch does */
	int (*patch_meta)(struct store *s, enum store_kind k, const char *ns, const char *name,
	                  bool status, const json *patch, json **out, struct mono deadline,
	                  struct err *e);
	int (*del)(struct store *s, enum store_kind k, const char *ns, const char *name,
	           const char *uid, const char *version, struct mono deadline, struct err *e);
	int (*watch_open)(struct store *s, enum store_kind k, const char *ns,
	                  const struct k8s_selector *sel, const char *version,
	                  struct store_watch **out, struct err *e);
	int (*get_raw)(struct store *s, const char *path, struct str *out, struct mono deadline,
	               struct err *e);
	void (*close)(struct store *s);
};

struct watch_ops {
	int (*next)(struct store_watch *w, enum k8s_event_type *type, json **object,
	            struct mono deadline, struct err *e);
	void (*interrupt)(struct store_watch *w);
	void (*close)(struct store_watch *w);
};

/* First members of the backends' own. */
struct store {
	const struct store_ops *ops;
};
struct store_watch {
	const struct watch_ops *ops;
};

/* make false: as store_open_existing() says. */
int store_open_dir(const char *path, bool make, struct store **out, struct err *e) MUST_USE;
/* path and context may be NULL: as k8s_config_default(). */
int store_open_kube(const char *path, const char *context, struct store **out,
                    struct err *e) MUST_USE;

#endif
