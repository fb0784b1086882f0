/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir_watch.c - watches of a store in a directory.
 *
 * A watch keeps the versions it has shown, by name; inotify on the folder wakes it, and it
 * compares.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "store/dir.h"

struct seen {
	char *key; /* namespace/name */
	uint64_t version;
	json *object; /* the last state shown, for the deletion's event */
	bool here;    /* met in this scan */
};

struct pending {
	struct pending *next;
	enum k8s_event_type type;
	json *object;
};

struct dir_watch {
	struct store_watch base;
	struct store *store;
	enum store_kind kind;
	char *ns, *labels, *fields;
	struct k8s_selector sel;
	int inotify, stop;
	struct seen *seen;
	size_t n_seen, cap_seen;
	struct pending *first, **last;
	bool stale; /* a scan is due whatever inotify says */
};

static void emit(struct dir_watch *w, enum k8s_event_type type, json *object)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	p->type = type;
	p->object = object;
	*w->last = p;
	w->last = &p->next;
}

static char *key_of(const json *o)
{
	const char *ns = json_str_at(o, "metadata", "namespace", NULL);
	const char *name = json_str_at(o, "metadata", "name", NULL);

	return xasprintf("%s/%s", ns ? ns : "", name ? name : "");
}

/* after: events are made for what is newer only; UINT64_MAX remembers without events. */
static void compare(struct dir_watch *w, const json *items, uint64_t after)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_seen; i++)
		w->seen[i].here = false;
	json_each(o, items)
	{
		AUTO_FREE char *key = key_of(o);
		uint64_t v = dir_version(o);
		size_t i;

		for (i = 0; i < w->n_seen && !streq(w->seen[i].key, key); i++)
			;
		if (i == w->n_seen) {
			w->seen = xgrow(w->seen, &w->cap_seen, i + 1, sizeof(*w->seen));
			w->seen[w->n_seen++] =
				(struct seen){ take_ptr(&key), v, json_copy(o), true };
			if (v > after)
				emit(w, K8S_ADDED, json_copy(o));
			continue;
		}
		w->seen[i].here = true;
		if (w->seen[i].version == v)
			continue;
		w->seen[i].version = v;
		json_free(w->seen[i].object);
		w->seen[i].object = json_copy(o);
		emit(w, K8S_MODIFIED, json_copy(o));
	}
	for (size_t i = 0; i < w->n_seen; i++) {
		if (w->seen[i].here) {
			w->seen[kept++] = w->seen[i];
			continue;
		}
		emit(w, K8S_DELETED, w->seen[i].object);
		free(w->seen[i].key);
	}
	w->n_seen = kept;
}

static int rescan(struct dir_watch *w, uint64_t after, struct err *e)
{
	AUTO_JSON *items = NULL;

	if (dir_list(w->store, w->kind, w->ns, &w->sel, &items, NULL, mono_in(10000), e) < 0)
		return -1;
	compare(w, items, after);
	w->stale = false;
	return 0;
}

static void drain(int fd)
{
	_Alignas(struct inotify_event) char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static int dir_watch_next(struct store_watch *base, enum k8s_event_type *type, json **object,
                          struct mono deadline, struct err *e)
{
	struct dir_watch *w = (struct dir_watch *)base;
	struct pending *p;

	while (!w->first) {
		struct pollfd fds[] = { { w->inotify, POLLIN, 0 }, { w->stop, POLLIN, 0 } };
		int n = w->stale ? poll(fds, 2, 0) : poll(fds, 2, mono_left_ms(deadline));

		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (fds[1].revents)
			return err_set(e, ERR_UNREACHABLE, "the watch was interrupted");
		if (n > 0)
			w->stale = true;
		if (!w->stale) {
			if (mono_passed(deadline))
				return err_set(e, ERR_TIMEOUT, "nothing happened in time");
			continue;
		}
		/* before the scan: what happens during it wakes us again */
		drain(w->inotify);
		if (rescan(w, 0, e) < 0)
			return -1;
	}
	p = w->first;
	w->first = p->next;
	if (!w->first)
		w->last = &w->first;
	*type = p->type;
	*object = p->object;
	free(p);
	return 0;
}

static void dir_watch_interrupt(struct store_watch *base)
{
	uint64_t one = 1;
	ssize_t n = write(((struct dir_watch *)base)->stop, &one, sizeof(one));

	(void)n; /* an eventfd refuses only when it is set already */
}

static void dir_watch_close(struct store_watch *base)
{
	struct dir_watch *w = (struct dir_watch *)base;

	while (w->first) {
		struct pending *p = w->first;

		w->first = p->next;
		json_free(p->object);
		free(p);
	}
	for (size_t i = 0; i < w->n_seen; i++) {
		free(w->seen[i].key);
		json_free(w->seen[i].object);
	}
	free(w->seen);
	free(w->ns);
	free(w->labels);
	free(w->fields);
	if (w->inotify >= 0)
		close(w->inotify);
	if (w->stop >= 0)
		close(w->stop);
	free(w);
}

static const struct watch_ops dir_watch_ops = { dir_watch_next, dir_watch_interrupt,
	                                        dir_watch_close };

/* Was something of this kind deleted after that version? */
static int check_deletions(struct store *s, enum store_kind k, uint64_t after, struct err *e)
{
	AUTO_FREE char *path =
		xasprintf("%s/%s/.deleted", dir_path(s), store_kind_info(k)->resource.plural);
	AUTO_STR text = STR_INIT;
	struct err mine;
	uint64_t v;

	if (file_read(path, 64, &text, &mine) < 0)
		return mine.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &mine);
	if (parse_u64(text.data, 0, UINT64_MAX - 1, &v, e) < 0)
		return err_wrap(e, "%s", path);
	return v > after ? err_set(e, ERR_GONE, "too old resource version: %llu",
	                           (unsigned long long)after)
	                 : 0;
}

static int start_watch(struct dir_watch *w, uint64_t after, struct err *e)
{
	AUTO_FREE char *folder = dir_folder(w->store, w->kind);

	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	w->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->inotify < 0 || w->stop < 0)
		return err_sys(e, errno, "inotify");
	if (dir_make_folder(w->store, w->kind, e) < 0)
		return -1;
	if (inotify_add_watch(w->inotify, folder,
	                      IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_FROM) < 0)
		return err_sys(e, errno, "watch %s", folder);
	/* the inotify first, then the look: nothing falls between */
	if (rescan(w, after, e) < 0)
		return -1;
	return check_deletions(w->store, w->kind, after, e);
}

int dir_watch_open(struct store *s, enum store_kind k, const char *ns,
                   const struct k8s_selector *sel, const char *version, struct store_watch **out,
                   struct err *e)
{
	struct dir_watch *w = xcalloc(1, sizeof(*w));
	uint64_t after = 0;

	w->base.ops = &dir_watch_ops;
	w->store = s;
	w->kind = k;
	w->ns = ns ? xstrdup(ns) : NULL;
	w->labels = sel && sel->labels ? xstrdup(sel->labels) : NULL;
	w->fields = sel && sel->fields ? xstrdup(sel->fields) : NULL;
	w->sel = (struct k8s_selector){ w->labels, w->fields };
	w->last = &w->first;
	w->inotify = w->stop = -1;
	if (parse_u64(version, 0, UINT64_MAX - 1, &after, e) < 0 || start_watch(w, after, e) < 0) {
		dir_watch_close(&w->base);
		return -1;
	}
	*out = &w->base;
	return 0;
}
