/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netstatus.c - see netstatus.h.
 *
 * Each word is a file of its own, whose name is a number: the last word about a pod is the one with
 * the highest, and what replaces a file's word is never in that file.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/netstatus.h"
#include "agent/pause.h"
#include "agent/thread.h"
#include "base/file.h"
#include "base/log.h"
#include "base/queue.h"

#define CALL_MS 10000
#define PAUSE_MAX_MS 30000
#define SETTLE_MS 100         /* what the plugin still does goes first */
#define FILE_MAX (512 * 1024) /* bytes: the socket's requests are smaller */
#define ANNOTATION "k8s.v1.cni.cncf.io/network-status"

/* What is to be said about one pod. */
struct word {
	struct queue_item item;
	struct word *next; /* of those that wait for another try */
	char *ns, *name, *uid, *status;
	char *path; /* of its file; NULL: it has none */
	struct mono due;
	int failures;
};

struct netstatus {
	struct store *store;
	char *folder;
	atomic_uint number; /* of the next file */
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
	free(w->path);
	free(w);
}

/* There is nothing more to do. */
static void forget(struct word *w)
{
	struct err e;

	if (w->path && file_remove(w->path, 0, NULL, &e) < 0)
		log_warn_err(&e, "network status of pod %s/%s", w->ns, w->name);
	word_free(w);
}

/* No fsync: with the node's end its pods' sandboxes end, and their networks get new words. */
static void keep(struct netstatus *n, struct word *w)
{
	AUTO_JSON *o = json_new_object();
	AUTO_STR text = STR_INIT;
	AUTO_FREE char *path =
		xasprintf("%s/%010u.json", n->folder, atomic_fetch_add(&n->number, 1));
	struct err e;

	json_set_str(o, "podNamespace", w->ns);
	json_set_str(o, "podName", w->name);
	json_set_str(o, "podUID", w->uid);
	json_set_str(o, "status", w->status);
	json_print(o, &text);
	/* the folder is there, but the first time */
	if (file_write(path, text.data, text.len, 0600, 0, &e) == 0 ||
	    (e.sys == ENOENT && file_mkdirs(n->folder, 0700, &e) == 0 &&
	     file_write(path, text.data, text.len, 0600, 0, &e) == 0))
		w->path = take_ptr(&path);
	else
		log_warn_err(&e, "network status of pod %s/%s is kept in memory alone", w->ns,
		             w->name);
}

static bool is_about(const struct word *a, const struct word *b)
{
	return streq(a->uid, b->uid) && streq(a->name, b->name) && streq(a->ns, b->ns);
}

/* In the place of an earlier word about that pod. */
static void add(struct netstatus *n, struct word *w, struct mono due)
{
	struct word **link = &n->waiting;

	while (*link && !is_about(*link, w))
		link = &(*link)->next;
	w->due = due;
	if (*link) {
		w->next = (*link)->next;
		forget(*link);
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

/* Is there another pod of that name by now, or none?  False when nobody can say. */
static bool is_gone(struct netstatus *n, const struct word *w)
{
	AUTO_JSON *pod = NULL;
	const char *uid;
	struct err e;

	if (store_get(n->store, STORE_POD, w->ns, w->name, &pod, mono_in(CALL_MS), &e) < 0)
		return e.kind == ERR_NOT_FOUND;
	uid = json_str_at(pod, "metadata", "uid", NULL);
	return *w->uid && uid && !streq(uid, w->uid);
}

/* True when there is nothing more to do. */
static bool try(struct netstatus *n, struct word *w)
{
	struct err e;

	/* a file that somebody else made may name anything */
	if (!str_is_name(w->ns, strlen(w->ns)) || !str_is_name(w->name, strlen(w->name))) {
		log_warn("network status of pod %s/%s is dropped: no pod has that name", w->ns,
		         w->name);
		return true;
	}
	if (write_word(n, w, &e) == 0)
		return true;
	/* a conflict may also be with somebody who writes at the same moment, and who may not write
	 * is not told that the pod is gone */
	if (e.kind == ERR_NOT_FOUND ||
	    ((e.kind == ERR_CONFLICT || e.kind == ERR_CONFIG || e.kind == ERR_FORBIDDEN) &&
	     is_gone(n, w))) {
		log_info("no network status for pod %s/%s: %s", w->ns, w->name, e.msg);
		return true;
	}
	w->due = mono_in(backoff_ms(++w->failures, PAUSE_MAX_MS));
	if (w->failures == 3)
		log_warn_err(&e, "network status of pod %s/%s, which is tried again", w->ns,
		             w->name);
	return false;
}

/* The time when there was something to do. */
static struct mono take(struct netstatus *n, struct mono until)
{
	struct queue_item *item = queue_take_all(&n->queue, until);
	struct mono now = mono_now();

	while (item) {
		struct word *w = (struct word *)item;

		item = item->next;
		w->next = NULL;
		add(n, w, mono_after(now, SETTLE_MS));
	}
	return now;
}

static void *netstatus_main(void *arg)
{
	struct netstatus *n = arg;

	while (!queue_closed(&n->queue)) {
		struct mono now, until = MONO_NEVER;
		struct word **link = &n->waiting;

		for (const struct word *w = n->waiting; w; w = w->next)
			until = mono_min(until, w->due);
		now = take(n, until);
		while (*link && !queue_closed(&n->queue)) {
			struct word *w = *link;

			if (!mono_passed_at(w->due, now) || !try(n, w)) {
				link = &w->next;
				continue;
			}
			*link = w->next;
			forget(w);
		}
	}
	/* their files are the next agent's */
	take(n, (struct mono){ 0 });
	return NULL;
}

static int read_word(const char *path, struct word *w, struct err *e)
{
	const char *ns, *name, *uid, *status;
	AUTO_STR text = STR_INIT;
	AUTO_JSON *o = NULL;

	if (file_read_regular(path, FILE_MAX, &text, e) < 0 ||
	    json_parse(text.data, text.len, 0, &o, e) < 0 ||
	    json_str(o, "podNamespace", &ns, e) < 0 || json_str(o, "podName", &name, e) < 0 ||
	    json_str(o, "podUID", &uid, e) < 0 || json_str(o, "status", &status, e) < 0)
		return -1;
	*w = (struct word){ .ns = xstrdup(ns),
		            .name = xstrdup(name),
		            .uid = xstrdup(uid),
		            .status = xstrdup(status),
		            .path = xstrdup(path) };
	return 0;
}

/* One that an earlier agent left. */
static void resume(struct netstatus *n, const char *file)
{
	AUTO_FREE char *path = xasprintf("%s/%s", n->folder, file);
	AUTO_FREE char *number = xstrndup(file, strcspn(file, "."));
	struct word *w = xcalloc(1, sizeof(*w));
	uint32_t last;
	bool gone;
	struct err e;

	if (parse_u32(number, 0, UINT32_MAX - 1, &last, NULL) == 0)
		atomic_store(&n->number, last + 1);
	if (read_word(path, w, &e) == 0) {
		add(n, w, (struct mono){ 0 });
		return;
	}
	free(w);
	/* nobody will ever know what it said */
	gone = file_remove(path, 0, NULL, NULL) == 0; /* a folder is not */
	log_warn_err(&e, "a kept network status is %s", gone ? "removed" : "passed over");
}

static void resume_all(struct netstatus *n)
{
	char **files = NULL;
	size_t count = 0;
	struct err e;

	file_sweep(n->folder);
	if (file_list(n->folder, &files, &count, &e) < 0) {
		log_warn_err(&e, "kept network statuses");
		return;
	}
	for (size_t i = 0; i < count; i++)
		resume(n, files[i]);
	file_list_free(files, count);
}

static void netstatus_free(struct netstatus *n)
{
	while (n->waiting) {
		struct word *w = n->waiting;

		n->waiting = w->next;
		word_free(w);
	}
	queue_release(&n->queue);
	free(n->folder);
	free(n);
}

int netstatus_start(struct store *s, const char *state_dir, struct netstatus **out, struct err *e)
{
	struct netstatus *n = xcalloc(1, sizeof(*n));

	n->store = s;
	n->folder = xasprintf("%s/netstatus", state_dir);
	queue_init(&n->queue);
	resume_all(n);
	if (thread_start(&n->thread, netstatus_main, n, e) < 0) {
		netstatus_free(n);
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
	keep(n, w);
	if (!queue_put(&n->queue, &w->item))
		word_free(w);
}

void netstatus_stop(struct netstatus *n)
{
	if (!n)
		return;
	queue_close(&n->queue);
	pthread_join(n->thread, NULL);
	netstatus_free(n);
}
