/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.c - one watch: a connection that is opened again from the last version for as long as the
 * caller asks for the next event.
 *
 * Theory of operation: w->version moves with every event and bookmark, and only after the event
 * was read whole; so whatever happens to a connection, the next one begins behind the last event
 * handed out.  w->conn belongs to the thread in next(); the lock is there for interrupt(), which
 * shuts the socket down and must not meet one that is being freed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "k8s/request.h"

#define CONNECT_MS 5000 /* connection, handshake and response head */
#define SHORT_LIFE_MS                                                                              \
	1000 /* a connection that ended properly before this is not reopened at once */

struct k8s_watch {
	struct k8s_client *client;
	char *path; /* with its query, but for the version */
	char *version;
	int silence_ms;
	struct mono silent_at; /* when the connection has been silent for too long */
	struct mono opened;
	struct mono not_before; /* of the next connection */
	struct err gone;        /* kind ERR_GONE: for good */

	pthread_mutex_t lock;
	pthread_cond_t interrupted;
	bool stop;             /* under lock */
	struct k8s_conn *conn; /* written under lock, by next() alone */
};

int k8s_watch_open(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
                   const struct k8s_selector *sel, const char *version, struct k8s_watch **out,
                   struct err *e)
{
	AUTO_STR path = STR_INIT;
	pthread_condattr_t attr;
	struct k8s_watch *w;

	if (k8s_path(c, r, ns, NULL, NULL, &path, e) < 0)
		return -1;
	str_add(&path, "?watch=1&allowWatchBookmarks=true");
	k8s_query(&path, "labelSelector", sel ? sel->labels : NULL);
	k8s_query(&path, "fieldSelector", sel ? sel->fields : NULL);
	w = xcalloc(1, sizeof(*w));
	w->client = c;
	w->path = str_take(&path);
	w->version = xstrdup(version);
	w->silence_ms = K8S_WATCH_SILENCE_MS + k8s_jitter_ms(K8S_WATCH_SILENCE_MS / 8);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->interrupted, &attr);
	pthread_condattr_destroy(&attr);
	*out = w;
	return 0;
}

void k8s_watch_set_silence(struct k8s_watch *w, int ms)
{
	w->silence_ms = ms;
}

/* The connection of now; the one before is closed. */
static void set_conn(struct k8s_watch *w, struct k8s_conn *conn)
{
	struct k8s_conn *old;

	pthread_mutex_lock(&w->lock);
	old = w->conn;
	w->conn = conn;
	if (w->stop && conn)
		stream_interrupt(http_stream(conn->http));
	pthread_mutex_unlock(&w->lock);
	k8s_conn_free(old);
}

void k8s_watch_close(struct k8s_watch *w)
{
	if (!w)
		return;
	set_conn(w, NULL);
	pthread_cond_destroy(&w->interrupted);
	pthread_mutex_destroy(&w->lock);
	free(w->path);
	free(w->version);
	free(w);
}

void k8s_watch_interrupt(struct k8s_watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	if (w->conn)
		stream_interrupt(http_stream(w->conn->http));
	pthread_cond_signal(&w->interrupted);
	pthread_mutex_unlock(&w->lock);
}

/* Sleeps; true when it was interrupted. */
static bool pause_until(struct k8s_watch *w, struct mono until)
{
	struct timespec at = mono_timespec(until);
	bool stop;

	pthread_mutex_lock(&w->lock);
	while (!w->stop && !mono_passed(until))
		pthread_cond_timedwait(&w->interrupted, &w->lock, &at);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return stop;
}

static void hear(struct k8s_watch *w)
{
	w->silent_at = mono_in(w->silence_ms);
}

/* Answers other than 200. */
static int refused(struct k8s_watch *w, const struct k8s_call *call,
                   const struct http_response *resp, struct mono deadline, struct err *e)
{
	AUTO_STR body = STR_INIT;

	if (http_read_body(w->conn->http, &body, deadline, e) < 0)
		return -1;
	k8s_status_error(w->client, call, resp, body.data, body.len, e);
	if (resp->retry_after_s > 0)
		w->not_before = mono_in(resp->retry_after_s * 1000);
	return -1;
}

/* A connection, the request, and the head of a 200. */
static int open_conn(struct k8s_watch *w, struct err *e)
{
	/* not the caller's deadline, which may be short: a handshake cut off would start anew and
	 * never end */
	struct mono deadline = mono_in(CONNECT_MS);
	struct http_response resp = { 0 };
	struct k8s_conn *conn = NULL;
	AUTO_STR path = STR_INIT;
	struct k8s_call call = { .method = "GET" };
	bool refreshed = false, retryable;

	str_add(&path, w->path);
	k8s_query(&path, "resourceVersion", w->version);
	call.path = path.data;
	for (;;) {
		if (k8s_connect(w->client, deadline, &conn, e) < 0)
			return -1;
		set_conn(w, conn);
		if (k8s_send(w->client, conn, &call, &resp, &retryable, deadline, e) < 0)
			return -1;
		if (resp.status == 200)
			break;
		if (resp.status != 401 || refreshed || !k8s_conn_refresh_token(w->client, conn))
			return refused(w, &call, &resp, deadline, e);
		refreshed = true; /* the token changed between the connection and its use */
	}
	w->opened = mono_now();
	hear(w);
	return 0;
}

/* The proper end of a response: the server does that every half hour or so, and when it stops. */
static void ended(struct k8s_watch *w)
{
	if (mono_now().ms - w->opened.ms < SHORT_LIFE_MS)
		w->not_before = mono_in(k8s_jitter_ms(SHORT_LIFE_MS));
	set_conn(w, NULL);
}

/* One line of the stream; *object stays NULL when it was a bookmark. */
static int read_event(struct k8s_watch *w, const char *line, size_t len, enum k8s_event_type *type,
                      json **object, struct err *e)
{
	AUTO_JSON *event = NULL;
	const json *o = NULL;
	const char *name, *version;
	bool bookmark;

	if (json_parse(line, len, 0, &event, e) < 0 || json_str(event, "type", &name, e) < 0 ||
	    json_obj(event, "object", &o, e) < 0)
		return -1;
	if (streq(name, "ERROR"))
		return k8s_status_object(o, 0, e)
		               ? -1
		               : err_set(e, ERR_PROTO, "an ERROR event without a Status");
	bookmark = streq(name, "BOOKMARK");
	if (!bookmark && !streq(name, "ADDED") && !streq(name, "MODIFIED") &&
	    !streq(name, "DELETED"))
		return err_set(e, ERR_PROTO, "an event of type \"%.40s\"", name);
	version = json_str_at(o, "metadata", "resourceVersion", NULL);
	if (!version || !*version)
		return err_set(e, ERR_PROTO, "an event without a resourceVersion");
	free(w->version);
	w->version = xstrdup(version);
	if (bookmark)
		return 0;
	*type = streq(name, "ADDED")      ? K8S_ADDED
	        : streq(name, "MODIFIED") ? K8S_MODIFIED
	                                  : K8S_DELETED;
	*object = json_detach(event, o);
	return 0;
}

/* The next event of the open connection; *object stays NULL when there is none any more. */
static int next_of_conn(struct k8s_watch *w, enum k8s_event_type *type, json **object,
                        struct mono deadline, struct err *e)
{
	for (json *o = NULL;;) {
		const char *line = NULL;
		size_t len = 0;

		if (http_read_line(w->conn->http, &line, &len, mono_min(deadline, w->silent_at),
		                   e) < 0) {
			if (e->kind != ERR_TIMEOUT || !mono_passed(w->silent_at))
				return -1;
			line = NULL; /* silent for too long: as if it had ended */
		}
		if (!line) {
			ended(w);
			return 0;
		}
		hear(w);
		if (!len)
			continue;
		if (read_event(w, line, len, type, &o, e) < 0)
			return -1;
		if (o) {
			*object = o;
			return 0;
		}
	}
}

/* Waits for not_before. */
static int wait_turn(struct k8s_watch *w, struct mono deadline, struct err *e)
{
	if (pause_until(w, mono_min(w->not_before, deadline)))
		return err_set(e, ERR_UNREACHABLE, "the watch was interrupted");
	if (!mono_passed(w->not_before))
		return err_set(e, ERR_TIMEOUT, "nothing happened in time");
	return 0;
}

/* What an error means for the watch. */
static int failed(struct k8s_watch *w, struct err *e)
{
	bool stop;

	if (e->kind == ERR_GONE)
		w->gone = *e;
	set_conn(w, NULL);
	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	if (stop)
		return err_set(e, ERR_UNREACHABLE, "the watch was interrupted");
	if (e->kind == ERR_TIMEOUT || e->kind == ERR_SYS)
		e->kind = ERR_UNREACHABLE; /* not the caller's deadline: the connection's */
	return err_wrap(e, "watch");
}

int k8s_watch_next(struct k8s_watch *w, enum k8s_event_type *type, json **object,
                   struct mono deadline, struct err *e)
{
	json *o = NULL;
	struct err mine;

	if (!e)
		e = &mine;
	if (w->gone.kind == ERR_GONE)
		return err_copy(e, &w->gone);
	for (;;) {
		if (!w->conn) {
			if (wait_turn(w, deadline, e) < 0)
				return -1;
			if (open_conn(w, e) < 0)
				return failed(w, e);
		}
		if (next_of_conn(w, type, &o, deadline, e) < 0) {
			if (e->kind == ERR_TIMEOUT && mono_passed(deadline) &&
			    !mono_passed(w->silent_at))
				return -1;
			return failed(w, e);
		}
		if (o) {
			*object = o;
			return 0;
		}
	}
}
