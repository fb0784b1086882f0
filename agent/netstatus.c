/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netstatus.c - see netstatus.h.
 */
#include <stdlib.h>

#include "agent/netstatus.h"
#include "agent/pause.h"
#include "agent/thread.h"
#include "base/log.h"
#include "base/queue.h"

#define CALL_MS 10000
#define PAUSE_MAX_MS 30000
#define ANNOTATION "k8s.v1.cni.cncf.io/network-status"

/* What is to be said about one pod. */
struct word {
	struct queue_item item;
	struct word *next; /* of those that wait for another try */
	char *ns, *name, *uid, *status;
	struct mono due;
	int failures;
};

struct netstatus {
	struct store *store;
	struct queue queue;
	pthread_t thread;
	struct word *waiting; /* the thread's own, oldest first */
};

static void word_free(struct word *w)
{
	free(w->ns);
	free(w->name);
	free(w->uid);
	free(w->status);
	free(w);
}

static bool is_about(const struct word *a, const struct word *b)
{
	return streq(a->uid, b->uid) && streq(a->name, b->name) && streq(a->ns, b->ns);
}

/* In the place of an earlier word about that pod. */
static void add(struct netstatus *n, struct word *w)
{
	struct word **link = &n->waiting;

	while (*link && !is_about(*link, w))
		link = &(*link)->next;
	w->due = mono_now();
	if (*link) {
		w->next = (*link)->next;
		word_free(*link);
	}
	*link = w;
}

static int write_word(struct netstatus *n, const struct word *w, struct err *e)
{
	AUTO_JSON *patch = json_new_object();
	json *meta = json_ensure_object(patch, "metadata");

	if (*w->uid)
		json_set_str(meta, "uid", w->uid);
	json_set_str(json_ensure_object(meta, "annotations"), ANNOTATION, w->status);
	return store_patch_meta(n->store, STORE_POD, w->ns, w->name, true, patch, NULL,
	                        mono_in(CALL_MS), e);
}

/* True when there is nothing more to do. */
static bool try(struct netstatus *n, struct word *w)
{
	struct err e;

	if (write_word(n, w, &e) == 0)
		return true;
	/* gone, or another pod by now */
	if (e.kind == ERR_NOT_FOUND || e.kind == ERR_CONFLICT || e.kind == ERR_CONFIG) {
		log_info("no network status for pod %s/%s: %s", w->ns, w->name, e.msg);
		return true;
	}
	w->due = mono_in(backoff_ms(++w->failures, PAUSE_MAX_MS));
	if (w->failures == 3)
		log_warn_err(&e, "network status of pod %s/%s, which is tried again", w->ns,
		             w->name);
	return false;
}

static void take(struct netstatus *n, struct mono until)
{
	struct queue_item *item = queue_take_all(&n->queue, until);

	while (item) {
		struct word *w = (struct word *)item;

		item = item->next;
		w->next = NULL;
		add(n, w);
	}
}

static void *netstatus_main(void *arg)
{
	struct netstatus *n = arg;

	while (!queue_closed(&n->queue)) {
		struct mono until = mono_in(3600 * 1000LL);
		struct word **link = &n->waiting;

		for (const struct word *w = n->waiting; w; w = w->next)
			until = mono_min(until, w->due);
		take(n, until);
		while (*link && !queue_closed(&n->queue)) {
			struct word *w = *link;

			if (!mono_passed(w->due) || !try(n, w)) {
				link = &w->next;
				continue;
			}
			*link = w->next;
			word_free(w);
		}
	}
	take(n, mono_now());
	while (n->waiting) {
		struct word *w = n->waiting;

		n->waiting = w->next;
		word_free(w);
	}
	return NULL;
}

int netstatus_start(struct store *s, struct netstatus **out, struct err *e)
{
	struct netstatus *n = xcalloc(1, sizeof(*n));

	n->store = s;
	queue_init(&n->queue);
	if (thread_start(&n->thread, netstatus_main, n, e) < 0) {
		queue_release(&n->queue);
		free(n);
		return -1;
	}
	*out = n;
	return 0;
}

void netstatus_put(struct netstatus *n, const char *ns, const char *name, const char *uid,
                   const char *status)
{
	struct word *w = xcalloc(1, sizeof(*w));

	w->ns = xstrdup(ns);
	w->name = xstrdup(name);
	w->uid = xstrdup(uid);
	w->status = xstrdup(status);
	if (!queue_put(&n->queue, &w->item))
		word_free(w);
}

void netstatus_stop(struct netstatus *n)
{
	if (!n)
		return;
	queue_close(&n->queue);
	pthread_join(n->thread, NULL);
	queue_release(&n->queue);
	free(n);
}
