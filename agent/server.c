/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - accepting, a thread per connection, and an orderly end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/server.h"
#include "agent/thread.h"
#include "base/file.h"
#include "base/log.h"
#include "net/ip.h"

#define FIRST_REQUEST_MS 3000
#define WRITE_MS 10000
#define BACKLOG 512
#define LINGER_MS 1000
#define LINGER_BYTES (64 * 1024 * 1024)
#define PARKED_MAX 2 /* threads that wait for the next connection: starting one takes longer */

struct connection {
	struct server *server;
	struct http *http;
	struct server_connection c;
	struct connection *next, **back; /* under the server's lock */
	struct connection *next_handed;
};

struct server {
	struct server_config config;
	int listener, wake;
	char *path;
	dev_t dev;
	ino_t ino;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t fewer, handed_over;
	/* under the lock */
	struct connection *connections;
	struct connection *handed, **handed_tail; /* for parked threads */
	int n, n_handed, n_idle;                  /* connections */
	int threads, parked;
	bool stopping;
};

/* A request is on its way. */
static void arrive(struct connection *k)
{
	const struct server_config *c = &k->server->config;

	k->c.arriving = true;
	if (c->ops->arriving)
		c->ops->arriving(c->ctx, 1);
}

void server_arrived(struct server_connection *c, const struct server_config *config)
{
	if (c->arriving && config->ops->arriving)
		config->ops->arriving(config->ctx, -1);
	c->arriving = false;
}

int server_event(struct server_connection *c)
{
	if (c->event < 0)
		c->event = eventfd(0, EFD_CLOEXEC);
	return c->event;
}

static void answer_text(struct server_answer *a, int status, const char *text)
{
	a->status = status;
	str_reset(&a->body, 0);
	str_addf(&a->body, "\"%s\"", text);
}

static bool respond(struct connection *k, const struct server_answer *a, bool close,
                    struct mono now)
{
	const char *type = a->type ? a->type : "application/json";
	struct err e;

	if (http_respond(k->http, a->status, a->body.len ? type : NULL, a->body.data, a->body.len,
	                 a->retry_after_s, close, mono_after(now, WRITE_MS), &e) == 0)
		return true;
	log_debug("answer a request: %s", e.msg);
	return false;
}

/*
 * Answers what was not read to its end.  The rest is thrown away for a moment: closing over it
 * would reset the connection, and the client could lose the answer.
 */
static void refuse(struct connection *k, int status, const char *text)
{
	struct server_answer a = { .status = status, .body = STR_INIT };
	struct mono now = mono_now(), deadline = mono_after(now, LINGER_MS);
	size_t total = 0, n = 1;
	char buf[4096];

	server_arrived(&k->c, &k->server->config);
	answer_text(&a, status, text);
	if (respond(k, &a, true, now)) {
		(void)shutdown(k->c.fd, SHUT_WR);
		while (n && total < LINGER_BYTES &&
		       stream_read(http_stream(k->http), buf, sizeof(buf), &n, deadline, NULL) == 0)
			total += n;
	}
	str_release(&a.body);
}

/* Connections that wait for their next request leave their places to others. */
static void set_idle(struct server *s, bool idle)
{
	pthread_mutex_lock(&s->lock);
	s->n_idle += idle ? 1 : -1;
	pthread_cond_signal(&s->fewer);
	pthread_mutex_unlock(&s->lock);
}

static int receive(struct connection *k, bool first, struct mono until, struct http_incoming *in,
                   struct err *e)
{
	struct server *s = k->server;
	int rc;

	if (first)
		return http_receive(k->http, s->config.max_body, in, until, e);
	set_idle(s, true);
	rc = http_receive(k->http, s->config.max_body, in, until, e);
	set_idle(s, false);
	if (rc == 0 && in->method)
		arrive(k);
	return rc;
}

/*
 * True when another request may follow.  The time is absolute, and set for the next one here: a
 * client that sends a byte now and then keeps its place no longer than one that sends none.
 */
static bool one_request(struct connection *k, bool first, struct mono *until)
{
	const struct server_config *c = &k->server->config;
	struct server_answer a = { .status = 200, .body = STR_INIT };
	struct http_incoming in;
	struct mono now;
	struct err e;
	bool more;

	if (receive(k, first, *until, &in, &e) < 0) {
		if (e.kind == ERR_PROTO) {
			bool large = str_starts(e.msg, "a body longer");

			refuse(k, large ? 413 : 400,
			       large ? "the body is too large" : "not an HTTP/1.1 request");
		}
		return false;
	}
	if (!in.method)
		return false;
	c->ops->handle(c->ctx, &k->c, &in, &a);
	server_arrived(&k->c, c);
	more = in.keep_alive && c->idle_ms;
	now = mono_now();
	*until = mono_after(now, c->idle_ms);
	more = respond(k, &a, !more, now) && more;
	str_release(&a.body);
	return more;
}

static bool is_root(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == 0;
}

static void serve(struct connection *k)
{
	struct server *s = k->server;
	int first_ms = s->config.first_ms ? s->config.first_ms : FIRST_REQUEST_MS;
	struct mono until = mono_in(first_ms);
	bool more = true;

	if (s->config.root_only && !is_root(k->c.fd)) {
		refuse(k, 403, "only root may talk to the agent");
		more = false;
	}
	for (bool first = true; more; first = false)
		more = one_request(k, first, &until);
	server_arrived(&k->c, &s->config);
}

/* Out of the list, so that server_stop() does not meet one that is being freed. */
static void end(struct connection *k)
{
	struct server *s = k->server;

	pthread_mutex_lock(&s->lock);
	*k->back = k->next;
	if (k->next)
		k->next->back = k->back;
	pthread_mutex_unlock(&s->lock);
	http_free(k->http);
	free(k);
	pthread_mutex_lock(&s->lock);
	s->n--;
	pthread_cond_signal(&s->fewer);
	pthread_mutex_unlock(&s->lock);
}

/* The next one for this thread; NULL: it shall end, and s is not ours any more. */
static struct connection *park(struct server *s)
{
	struct connection *k = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->parked < PARKED_MAX) {
		s->parked++;
		while (!s->handed && !s->stopping)
			pthread_cond_wait(&s->handed_over, &s->lock);
		s->parked--;
		k = s->handed;
	}
	if (k) {
		s->handed = k->next_handed;
		if (!s->handed)
			s->handed_tail = &s->handed;
		s->n_handed--;
	} else {
		/* last: server_stop() frees s when there is no thread */
		s->threads--;
		pthread_cond_broadcast(&s->fewer);
	}
	pthread_mutex_unlock(&s->lock);
	return k;
}

static void *connection_main(void *arg)
{
	struct connection *k = arg;
	AUTO_FD int event = -1;

	while (k) {
		struct server *s = k->server;

		k->c.event = event;
		serve(k);
		event = k->c.event;
		end(k);
		k = park(s);
	}
	return NULL;
}

/* To a parked thread; false when a new one is needed, which is counted. */
static bool hand_over(struct server *s, struct connection *k)
{
	bool handed;

	pthread_mutex_lock(&s->lock);
	k->next = s->connections;
	k->back = &s->connections;
	if (k->next)
		k->next->back = &k->next;
	s->connections = k;
	s->n++;
	handed = s->n_handed < s->parked;
	if (handed) {
		*s->handed_tail = k;
		s->handed_tail = &k->next_handed;
		s->n_handed++;
	} else {
		s->threads++;
	}
	pthread_mutex_unlock(&s->lock);
	/* not under the lock, for which who wakes up would have to wait */
	if (handed)
		pthread_cond_signal(&s->handed_over);
	return handed;
}

static void add_connection(struct server *s, int fd)
{
	struct connection *k = xcalloc(1, sizeof(*k));
	struct err e;

	k->server = s;
	k->http = http_new(stream_from_fd(fd));
	k->c.fd = fd;
	arrive(k);
	if (hand_over(s, k) || thread_detach(connection_main, k, &e) == 0)
		return;
	log_warn_err(&e, "a connection is dropped");
	server_arrived(&k->c, &s->config);
	end(k);
	pthread_mutex_lock(&s->lock);
	s->threads--;
	pthread_mutex_unlock(&s->lock);
}

static int counted(const struct server *s)
{
	int free = s->config.max_idle;

	return s->n - (s->n_idle < free ? s->n_idle : free);
}

/* Waits for a place; false when the server is being stopped. */
static bool wait_for_place(struct server *s)
{
	bool go;

	pthread_mutex_lock(&s->lock);
	while (counted(s) >= s->config.max_connections && !s->stopping)
		pthread_cond_wait(&s->fewer, &s->lock);
	go = !s->stopping;
	pthread_mutex_unlock(&s->lock);
	return go;
}

static void *accept_main(void *arg)
{
	struct server *s = arg;

	while (wait_for_place(s)) {
		struct pollfd fds[] = { { s->listener, POLLIN, 0 }, { s->wake, POLLIN, 0 } };
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			log_error("poll for connections");
			return NULL;
		}
		if (fds[1].revents)
			continue;
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			add_connection(s, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			mono_sleep_until(mono_in(50)); /* the connection stays in the queue */
	}
	return NULL;
}

static struct server *server_new(const struct server_config *c)
{
	struct server *s = xcalloc(1, sizeof(*s));

	s->config = *c;
	s->listener = -1;
	s->wake = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->fewer, NULL);
	pthread_cond_init(&s->handed_over, NULL);
	s->handed_tail = &s->handed;
	return s;
}

static void server_free(struct server *s)
{
	if (s->listener >= 0)
		close(s->listener);
	if (s->wake >= 0)
		close(s->wake);
	free(s->path);
	pthread_cond_destroy(&s->fewer);
	pthread_cond_destroy(&s->handed_over);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int begin(struct server *s, struct err *e)
{
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0)
		return err_sys(e, errno, "eventfd");
	return thread_start(&s->thread, accept_main, s, e);
}

/* Bound under another name, made private, then renamed: there is no moment in which others could
 * connect, nor one without a socket. */
static int listen_unix(struct server *s, const char *path, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;

	if (fmt(addr.sun_path, sizeof(addr.sun_path), "%s.%d", path, (int)getpid()) < 0)
		return err_set(e, ERR_CONFIG, "socket path %s is too long", path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return err_sys(e, errno, "socket");
	unlink(addr.sun_path);
	if (bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(e, errno, "bind %s", addr.sun_path);
	if (chmod(addr.sun_path, 0600) < 0 || stat(addr.sun_path, &st) < 0 ||
	    listen(s->listener, BACKLOG) < 0 || rename(addr.sun_path, path) < 0) {
		err_fill_sys(e, errno, "listen on %s", path);
		unlink(addr.sun_path);
		return -1;
	}
	s->path = xstrdup(path);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

static void remove_socket(const struct server *s)
{
	struct stat st;

	/* a newer agent's socket may stand there by now */
	if (s->path && stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
}

int server_start_unix(const char *path, const struct server_config *c, struct server **out,
                      struct err *e)
{
	struct server *s = server_new(c);

	if (listen_unix(s, path, e) < 0 || begin(s, e) < 0) {
		remove_socket(s);
		server_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

/* "ADDRESS:PORT" */
static int parse_address(const char *text, struct sockaddr_storage *addr, socklen_t *len,
                         struct err *e)
{
	const char *colon = strrchr(text, ':');
	AUTO_FREE char *host = NULL;
	uint32_t port;
	struct ip ip;

	if (!colon || parse_u32(colon + 1, 0, 65535, &port, NULL) < 0)
		return err_set(e, ERR_CONFIG, "\"%s\" is not ADDRESS:PORT", text);
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']')
		host = xstrndup(text + 1, (size_t)(colon - text) - 2);
	else
		host = xstrndup(text, (size_t)(colon - text));
	if (ip_parse(host, &ip, NULL) < 0)
		return err_set(e, ERR_CONFIG, "\"%s\" is not ADDRESS:PORT", text);
	memset(addr, 0, sizeof(*addr));
	if (ip.family == 4) {
		struct sockaddr_in *a = (struct sockaddr_in *)addr;

		a->sin_family = AF_INET;
		a->sin_port = htons((uint16_t)port);
		memcpy(&a->sin_addr, ip.bytes, 4);
		*len = sizeof(*a);
	} else {
		struct sockaddr_in6 *a = (struct sockaddr_in6 *)addr;

		a->sin6_family = AF_INET6;
		a->sin6_port = htons((uint16_t)port);
		memcpy(&a->sin6_addr, ip.bytes, 16);
		*len = sizeof(*a);
	}
	return 0;
}

static int listen_tcp(struct server *s, const char *address, struct err *e)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int one = 1;

	if (parse_address(address, &addr, &len, e) < 0)
		return -1;
	s->listener = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return err_sys(e, errno, "socket");
	if (setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(s->listener, (struct sockaddr *)&addr, len) < 0 ||
	    listen(s->listener, BACKLOG) < 0)
		return err_sys(e, errno, "listen on %s", address);
	return 0;
}

int server_start_tcp(const char *address, const struct server_config *c, struct server **out,
                     struct err *e)
{
	struct server *s = server_new(c);

	if (listen_tcp(s, address, e) < 0 || begin(s, e) < 0) {
		server_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

unsigned int server_port(const struct server *s)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addr;
	socklen_t len = sizeof(addr);

	memset(&addr, 0, sizeof(addr));
	if (getsockname(s->listener, &addr.any, &len) < 0)
		return 0;
	return ntohs(addr.any.sa_family == AF_INET ? addr.v4.sin_port : addr.v6.sin6_port);
}

void server_stop(struct server *s)
{
	uint64_t one = 1;

	if (!s)
		return;
	remove_socket(s);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->fewer);
	pthread_mutex_unlock(&s->lock);
	if (write(s->wake, &one, sizeof(one)) < 0)
		log_warn("wake the server");
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	for (struct connection *k = s->connections; k; k = k->next)
		stream_interrupt(http_stream(k->http));
	pthread_cond_broadcast(&s->handed_over);
	while (s->threads)
		pthread_cond_wait(&s->fewer, &s->lock);
	pthread_mutex_unlock(&s->lock);
	server_free(s);
}
