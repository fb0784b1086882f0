/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight.c - a list under a lock; as long as there are connections.
 */
#include "agent/inflight.h"
#include "base/str.h"

void inflight_init(struct inflight *f)
{
	pthread_mutex_init(&f->lock, NULL);
	f->first = NULL;
	f->watches = NULL;
}

void inflight_release(struct inflight *f)
{
	pthread_mutex_destroy(&f->lock);
}

void inflight_enter(struct inflight *f, struct inflight_entry *entry, const char *cid)
{
	entry->cid = cid;
	pthread_mutex_lock(&f->lock);
	entry->next = f->first;
	f->first = entry;
	for (struct inflight_watch *w = f->watches; w; w = w->next)
		if (streq(w->cid, cid))
			atomic_store(w->entered, true);
	pthread_mutex_unlock(&f->lock);
}

void inflight_leave(struct inflight *f, struct inflight_entry *entry)
{
	struct inflight_entry **link;

	pthread_mutex_lock(&f->lock);
	for (link = &f->first; *link != entry; link = &(*link)->next)
		;
	*link = entry->next;
	pthread_mutex_unlock(&f->lock);
}

void inflight_watch(struct inflight *f, struct inflight_watch *w, const char *cid,
                    atomic_bool *entered)
{
	w->cid = cid;
	w->entered = entered;
	pthread_mutex_lock(&f->lock);
	w->next = f->watches;
	f->watches = w;
	pthread_mutex_unlock(&f->lock);
}

void inflight_unwatch(struct inflight *f, struct inflight_watch *w)
{
	struct inflight_watch **link;

	pthread_mutex_lock(&f->lock);
	for (link = &f->watches; *link != w; link = &(*link)->next)
		;
	*link = w->next;
	pthread_mutex_unlock(&f->lock);
}

bool inflight_has(struct inflight *f, const char *cid)
{
	const struct inflight_entry *e;

	pthread_mutex_lock(&f->lock);
	for (e = f->first; e && !streq(e->cid, cid); e = e->next)
		;
	pthread_mutex_unlock(&f->lock);
	return e != NULL;
}
