/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_client.c - one connection for all requests of a process, as the plugins of a chain that
 * runs in one process have several; and waiting for an agent that is not there yet.
 *
 * The wait is for the folder to change (inotify), because a socket appears by bind(2).  It listens
 * a moment later, which nobody announces, and a stale one may refuse for long: so there is an
 * attempt every now and then as well.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "http/http1.h"
#include "plugins/agent_client.h"

#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 250
#define SETTLE_MS 5 /* between a change of the folder and the next attempt */

/* The label is the one of deploy/'s DaemonSet, and of the original's. */
#define LOOK_AT                                                                                    \
	"is it running? look at \"kubectl get pods -A -o wide -l "                                 \
	"app.kubernetes.io/component=spiderpool-agent\", or on this node at \"systemctl status "   \
	"spiderpool-agent\" and \"journalctl -u spiderpool-agent\""

struct exchange {
	const char *socket;
	struct http_request request;
	struct http_response response;
	struct str body;
	bool nobody; /* it failed because nobody took the request */
};

/* The connection that the next request can have; plugins have one thread. */
static struct {
	char *socket;
	struct http *h;
} kept;

static struct http *take_kept(const char *socket)
{
	bool same = kept.h && streq(kept.socket, socket);

	return same ? take_ptr(&kept.h) : NULL;
}

static void keep(const char *socket, struct http *h)
{
	http_free(kept.h);
	kept.h = h;
	if (kept.socket && streq(kept.socket, socket))
		return;
	free(kept.socket);
	kept.socket = xstrdup(socket);
}

static int converse(struct http *h, struct exchange *x, struct mono deadline, struct err *e)
{
	int rc;

	x->nobody = false;
	str_reset(&x->body, 0);
	rc = http_send(h, &x->request, &x->response, &x->nobody, deadline, e);
	if (rc == 0)
		rc = http_read_body(h, &x->body, deadline, e);
	if (rc == 0 && x->response.keep_alive)
		keep(x->socket, h);
	else
		http_free(h);
	return rc < 0 ? err_wrap(e, "agent at %s", x->socket) : 0;
}

static int attempt(struct exchange *x, struct mono deadline, struct err *e)
{
	struct http *h = take_kept(x->socket);
	struct stream *s;

	if (h) {
		int rc = converse(h, x, deadline, e);

		/* by an agent that has ended since, or tired of waiting */
		if (rc == 0 || !x->nobody)
			return rc;
	}
	if (stream_connect_unix(x->socket, deadline, &s, e) < 0) {
		x->nobody = e->kind == ERR_UNREACHABLE;
		return -1;
	}
	return converse(http_new(s), x, deadline, e);
}

/* Watches the folder of the socket, or the nearest one above that exists. */
static void watch_folder(int fd, const char *socket)
{
	const uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
	AUTO_FREE char *folder = xstrdup(socket);
	char *slash;

	while ((slash = strrchr(folder, '/'))) {
		slash[slash == folder] = '\0';
		if (inotify_add_watch(fd, folder, mask) >= 0 || slash == folder)
			return;
	}
	(void)inotify_add_watch(fd, ".", mask); /* without it, the pauses have to do */
}

/* Until something happens around the socket, or *pause_ms is over; that one grows. */
static void wait_for_change(int fd, const char *socket, int *pause_ms, struct mono deadline)
{
	struct mono until = mono_min(deadline, mono_in(*pause_ms));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char events[4096];

	if (fd >= 0)
		watch_folder(fd, socket);
	*pause_ms = *pause_ms * 2 < PAUSE_MAX_MS ? *pause_ms * 2 : PAUSE_MAX_MS;
	if (poll(&p, 1, mono_left_ms(until)) <= 0)
		return;
	IGNORE(read(fd, events, sizeof(events)) < 0);
	*pause_ms = PAUSE_MIN_MS;
	mono_sleep_until(mono_min(deadline, mono_in(SETTLE_MS)));
}

static int exchange(struct exchange *x, bool wait, struct mono deadline, struct err *e)
{
	AUTO_FD int fd = -1;
	int pause_ms = PAUSE_MIN_MS;

	while (attempt(x, deadline, e) < 0) {
		if (!wait || !x->nobody)
			return -1;
		if (mono_passed(deadline)) {
			e->kind = ERR_UNREACHABLE;
			return -1;
		}
		if (fd < 0)
			fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		wait_for_change(fd, x->socket, &pause_ms, deadline);
	}
	return 0;
}

static enum err_kind failure_kind(const struct http_response *r, const char *message)
{
	int status = r->status;

	/* 503: an earlier agent of ours */
	if (r->retry_after_s >= 0 || status == 503)
		return ERR_THROTTLED;
	if (status == 500 && strstr(message, "all IP addresses used out"))
		return ERR_EXHAUSTED;
	if (status == 500 && strstr(message, "no IPPool available"))
		return ERR_NO_POOL;
	return http_status_kind(status) == ERR_NONE ? ERR_PROTO : http_status_kind(status);
}

/* The agent says why in a JSON string; what stands before it may answer otherwise. */
static int failure(const struct exchange *x, struct err *e)
{
	const char *message = x->body.data;
	AUTO_JSON *j = NULL;

	if (json_parse(x->body.data, x->body.len, 0, &j, NULL) == 0) {
		if (json_is_string(j))
			message = json_text(j);
		else if (json_str_at(j, "message", NULL))
			message = json_str_at(j, "message", NULL);
	}
	if (!*message)
		return err_set(e, failure_kind(&x->response, ""),
		               "agent at %s answered with HTTP status %d and no word", x->socket,
		               x->response.status);
	return err_set(e, failure_kind(&x->response, message), "agent: %s", message);
}

int agent_request(const char *socket, const char *method, const char *path, const json *body,
                  bool wait, json **answer, struct mono deadline, struct err *e)
{
	AUTO_STR text = STR_INIT;
	struct exchange x = {
		.socket = socket,
		.request = { .method = method, .target = path, .host = "localhost" },
		.body = STR_INIT,
	};
	AUTO_JSON *j = NULL;
	struct err mine; /* its kind decides what happens next, and e may be NULL */
	int rc;

	if (body) {
		json_print(body, &text);
		x.request.body = text.data;
		x.request.body_len = text.len;
		x.request.content_type = "application/json";
	}
	rc = exchange(&x, wait, deadline, &mine);
	if (rc == 0 && x.response.status != 200)
		rc = failure(&x, &mine);
	else if (rc == 0 && x.body.len && answer)
		rc = json_parse(x.body.data, x.body.len, 0, &j, &mine) < 0
		             ? err_wrap(&mine, "answer of the agent at %s", socket)
		             : 0;
	str_release(&x.body);
	if (rc < 0)
		return err_copy(e, &mine);
	if (answer)
		*answer = take_ptr(&j);
	return 0;
}

void agent_explain(const char *socket, struct err *e)
{
	if (e->kind == ERR_UNREACHABLE)
		err_fill(e, ERR_UNREACHABLE, "no agent at %s (%s): " LOOK_AT, socket, e->msg);
	else if (e->kind == ERR_TIMEOUT)
		err_fill(e, ERR_TIMEOUT, "the agent at %s gave no answer in time: " LOOK_AT,
		         socket);
}
