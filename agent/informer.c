/* SPDX-License-Identifier: Apache-2.0 */
/*
 * informer.c - list and watch, again and again.
 *
 * A failed list is repeated after a growing, jittered pause.  A watch that fails is given a few
 * chances (it resumes where it was), then everything is listed anew.
 */
#include <pthread.h>
#include <stdlib.h>

#include "agent/informer.h"
#include "agent/pause.h"
#include "agent/thread.h"
#include "base/log.h"

#define LIST_MS 30000
#define WATCH_TRIES 3
#define RESYNC_MS (30 * 60 * 1000) /* a watch is replaced by a list now and then, in case */
#define PAUSE_MAX_MS 10000
#define ABSENT_MS 5000 /* between looks for a kind that is not installed */

struct informer {
	struct store *store;
	enum store_kind kind;
	char *labels, *fields;
	const struct informer_ops *ops;
	void *ctx;
	pthread_t thread;
	struct pause pause;
	pthread_mutex_t lock;
	struct store_watch *watch; /* under the lock: interrupted from another thread */
	bool stopping;             /* under the lock */
	bool complained;           /* once per outage */
	bool absent;               /* the kind is not installed, which was said */
};

static bool stopping(struct informer *i)
{
	bool s;

	pthread_mutex_lock(&i->lock);
	s = i->stopping;
	pthread_mutex_unlock(&i->lock);
	return s;
}

static void complain(struct informer *i, const struct err *e)
{
	if (stopping(i))
		return;
	if (!i->complained)
		log_warn_err(e, "watch %s", store_kind_info(i->kind)->resource.plural);
	i->complained = true;
	if (i->ops->trouble)
		i->ops->trouble(i->ctx, e);
}

/* The kind is not installed: there are none of it, and it may come later. */
static void pass_by(struct informer *i)
{
	AUTO_JSON *none = json_new_array();

	if (!i->absent)
		log_info("%s are not installed", store_kind_info(i->kind)->resource.plural);
	i->absent = true;
	i->ops->listed(i->ctx, none);
	pause_until(&i->pause, mono_in(ABSENT_MS));
}

static int list(struct informer *i, char **version, struct err *e)
{
	struct k8s_selector sel = { i->labels, i->fields };
	AUTO_JSON *items = NULL;

	if (store_list(i->store, i->kind, NULL, &sel, &items, version, mono_in(LIST_MS), e) < 0)
		return -1;
	i->ops->listed(i->ctx, items);
	if (i->complained)
		log_info("watch %s: works again", store_kind_info(i->kind)->resource.plural);
	i->complained = i->absent = false;
	return 0;
}

/* False when the informer is being stopped: the watch is not published then. */
static bool publish(struct informer *i, struct store_watch *w)
{
	bool ok;

	pthread_mutex_lock(&i->lock);
	ok = !i->stopping || !w;
	if (ok)
		i->watch = w;
	pthread_mutex_unlock(&i->lock);
	return ok;
}

static void follow(struct informer *i, struct store_watch *w, int *failures)
{
	struct mono until = mono_in(RESYNC_MS);
	int tries = 0;

	while (!stopping(i) && !mono_passed(until)) {
		enum k8s_event_type type;
		AUTO_JSON *object = NULL;
		struct err e;

		if (store_watch_next(w, &type, &object, mono_in(60000), &e) == 0) {
			i->ops->event(i->ctx, type, object);
			tries = *failures = 0;
			continue;
		}
		if (e.kind == ERR_TIMEOUT)
			continue;
		if (e.kind == ERR_GONE)
			return;
		complain(i, &e);
		if (++tries == WATCH_TRIES)
			return;
		pause_backoff(&i->pause, tries, PAUSE_MAX_MS);
	}
}

static void round_of(struct informer *i, int *failures)
{
	struct k8s_selector sel = { i->labels, i->fields };
	AUTO_FREE char *version = NULL;
	struct store_watch *w;
	struct err e;

	if (list(i, &version, &e) < 0 ||
	    store_watch_open(i->store, i->kind, NULL, &sel, version, &w, &e) < 0) {
		if (e.kind == ERR_NOT_FOUND) {
			pass_by(i);
			return;
		}
		if (e.kind != ERR_GONE)
			complain(i, &e);
		pause_backoff(&i->pause, ++*failures, PAUSE_MAX_MS);
		return;
	}
	if (publish(i, w))
		follow(i, w, failures);
	publish(i, NULL);
	store_watch_close(w);
}

static void *informer_main(void *arg)
{
	struct informer *i = arg;
	int failures = 0;

	while (!stopping(i))
		round_of(i, &failures);
	return NULL;
}

static void informer_free(struct informer *i)
{
	pause_release(&i->pause);
	pthread_mutex_destroy(&i->lock);
	free(i->labels);
	free(i->fields);
	free(i);
}

int informer_start(struct store *s, enum store_kind k, const char *labels, const char *fields,
                   const struct informer_ops *ops, void *ctx, struct informer **out, struct err *e)
{
	struct informer *i = xcalloc(1, sizeof(*i));

	i->store = s;
	i->kind = k;
	i->labels = labels ? xstrdup(labels) : NULL;
	i->fields = fields ? xstrdup(fields) : NULL;
	i->ops = ops;
	i->ctx = ctx;
	pause_init(&i->pause);
	pthread_mutex_init(&i->lock, NULL);
	if (thread_start(&i->thread, informer_main, i, e) < 0) {
		informer_free(i);
		return -1;
	}
	*out = i;
	return 0;
}

void informer_stop(struct informer *i)
{
	if (!i)
		return;
	pthread_mutex_lock(&i->lock);
	i->stopping = true;
	if (i->watch)
		store_watch_interrupt(i->watch);
	pthread_mutex_unlock(&i->lock);
	pause_end(&i->pause);
	pthread_join(i->thread, NULL);
	informer_free(i);
}
