/* SPDX-License-Identifier: Apache-2.0 */
/*
 * informer.h - keeps someone informed about the objects of one kind: a list, then every change, and
 * a list again whenever changes may have been missed.  One thread each; it survives the store.
 */
#ifndef AGENT_INFORMER_H
#define AGENT_INFORMER_H

#include "store/store.h"

/* Called on the informer's thread; objects are borrowed. */
struct informer_ops {
	void (*listed)(void *ctx, const json *items); /* all there is: forget the others */
	void (*event)(void *ctx, enum k8s_event_type type, const json *object);
	void (*trouble)(void *ctx, const struct err *e); /* may be NULL */
};

struct informer;

/*
 * labels, fields: selectors, or NULL; copied.  A kind that the server does not know is an empty
 * list.  The store is borrowed until informer_stop(), which ends the thread; NULL is fine there.
 */
int informer_start(struct store *s, enum store_kind k, const char *labels, const char *fields,
                   const struct informer_ops *ops, void *ctx, struct informer **out,
                   struct err *e) MUST_USE;
void informer_stop(struct informer *i);

#endif
