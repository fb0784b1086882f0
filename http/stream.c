/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - sockets and memory behind one interface.  Sockets are never waited for in a call that
 * reads or writes: every wait is a poll() that ends at the deadline.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "http/stream.h"

int stream_read(struct stream *s, void *buf, size_t len, size_t *got, struct mono deadline,
                struct err *e)
{
	return s->ops->read(s, buf, len, got, deadline, e);
}

int stream_write(struct stream *s, const void *buf, size_t len, struct mono deadline, struct err *e)
{
	return s->ops->write(s, buf, len, deadline, e);
}

int stream_flush(struct stream *s, struct mono deadline, struct err *e)
{
	return s->ops->flush(s, deadline, e);
}

void stream_interrupt(struct stream *s)
{
	s->ops->interrupt(s);
}

void stream_close(struct stream *s)
{
	if (s)
		s->ops->close(s);
}

void stream_cleanup(struct stream **s)
{
	stream_close(*s);
}

/* Sockets. */
struct socket_stream {
	struct stream base;
	int fd;
	bool asked; /* something was sent since the last read: the answer is hardly there yet */
	atomic_bool interrupted;
};

static int wait_for(int fd, short events, struct mono deadline, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int n = poll(&p, 1, mono_left_ms(deadline));

		if (n > 0)
			return 0;
		if (n == 0 && mono_passed(deadline))
			return err_set(e, ERR_TIMEOUT, "no answer in time");
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
	}
}

static int socket_read(struct stream *s, void *buf, size_t len, size_t *got, struct mono deadline,
                       struct err *e)
{
	struct socket_stream *sock = (struct socket_stream *)s;
	int fd = sock->fd;

	if (sock->asked && wait_for(fd, POLLIN, deadline, e) < 0)
		return -1;
	sock->asked = false;
	for (;;) {
		ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);

		/* shutdown() looks like the peer's end, which would be a success */
		if (atomic_load(&sock->interrupted))
			return err_sys(e, ECANCELED, "receive");
		if (n >= 0) {
			*got = (size_t)n;
			return 0;
		}
		if (errno == EAGAIN) {
			if (wait_for(fd, POLLIN, deadline, e) < 0)
				return -1;
		} else if (errno != EINTR) {
			return err_sys(e, errno, "receive");
		}
	}
}

static int socket_write(struct stream *s, const void *buf, size_t len, struct mono deadline,
                        struct err *e)
{
	struct socket_stream *sock = (struct socket_stream *)s;
	int fd = sock->fd;
	const char *p = buf;

	sock->asked = true;
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (wait_for(fd, POLLOUT, deadline, e) < 0)
				return -1;
		} else if (errno != EINTR) {
			return err_sys(e, errno, "send");
		}
	}
	return 0;
}

static int socket_flush(struct stream *s, struct mono deadline, struct err *e)
{
	(void)s;
	(void)deadline;
	(void)e;
	return 0;
}

static void socket_interrupt(struct stream *s)
{
	struct socket_stream *sock = (struct socket_stream *)s;

	atomic_store(&sock->interrupted, true);
	/* not close(): the number could be another file's before the reader wakes up */
	(void)shutdown(sock->fd, SHUT_RDWR);
}

static void socket_close(struct stream *s)
{
	close(((struct socket_stream *)s)->fd);
	free(s);
}

static int socket_fd(const struct stream *s)
{
	return ((const struct socket_stream *)s)->fd;
}

static const struct stream_ops socket_ops = { socket_read,      socket_write, socket_flush,
	                                      socket_interrupt, socket_close, socket_fd };

struct stream *stream_from_fd(int fd)
{
	struct socket_stream *s = xcalloc(1, sizeof(*s));

	s->base.ops = &socket_ops;
	s->fd = fd;
	return &s->base;
}

/* The errors that mean that there is nobody, rather than that something is wrong here. */
static int connect_error(int sys, const char *what, struct err *e)
{
	err_fill_sys(e, sys, "connect to %s", what);
	if (e && (sys == ENOENT || sys == ECONNREFUSED || sys == EHOSTUNREACH ||
	          sys == ENETUNREACH || sys == ENOTDIR || sys == ETIMEDOUT || sys == ECONNRESET))
		e->kind = ERR_UNREACHABLE;
	return -1;
}

/* A non-blocking connect, seen through. */
static int connect_fd(int fd, const struct sockaddr *addr, socklen_t len, const char *what,
                      struct mono deadline, struct err *e)
{
	int sys = 0;
	socklen_t size = sizeof(sys);

	while (connect(fd, addr, len) < 0) {
		if (errno == EAGAIN) {
			/* a unix socket whose backlog is full: there is nothing to poll for */
			if (mono_passed(deadline))
				return err_set(e, ERR_TIMEOUT, "connect to %s: no answer in time",
				               what);
			mono_sleep_until(mono_min(deadline, mono_in(2)));
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EINPROGRESS)
			return connect_error(errno, what, e);
		if (wait_for(fd, POLLOUT, deadline, e) < 0)
			return err_wrap(e, "connect to %s", what);
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &size) < 0)
			sys = errno;
		return sys ? connect_error(sys, what, e) : 0;
	}
	return 0;
}

int stream_connect_unix(const char *path, struct mono deadline, struct stream **out, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO_FD int fd = -1;

	if (fmt(addr.sun_path, sizeof(addr.sun_path), "%s", path) < 0)
		return err_set(e, ERR_CONFIG, "socket path %s is longer than %zu bytes", path,
		               sizeof(addr.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, errno, "open a unix socket");
	if (connect_fd(fd, (const struct sockaddr *)&addr, sizeof(addr), path, deadline, e) < 0)
		return -1;
	*out = stream_from_fd(take_fd(&fd));
	return 0;
}

static void tune_tcp(int fd)
{
	int on = 1, idle = 30, interval = 10, count = 3;

	/* best effort: the connection works without */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

int stream_connect_tcp(const char *host, unsigned int port, struct mono deadline,
                       struct stream **out, struct err *e)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char service[8], what[300];
	int rc = -1;

	if (fmt(service, sizeof(service), "%u", port) < 0 ||
	    fmt(what, sizeof(what), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port) < 0)
		return err_set(e, ERR_CONFIG, "host name too long");
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return err_set(e, ERR_UNREACHABLE, "resolve %s: %s", host, gai_strerror(rc));
	rc = err_set(e, ERR_UNREACHABLE, "resolve %s: no address", host);
	for (struct addrinfo *a = list; a && rc < 0; a = a->ai_next) {
		AUTO_FD int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
		                        a->ai_protocol);

		if (fd < 0) {
			err_fill_sys(e, errno, "open a TCP socket");
			continue;
		}
		rc = connect_fd(fd, a->ai_addr, a->ai_addrlen, what, deadline, e);
		if (rc < 0)
			continue;
		tune_tcp(fd);
		*out = stream_from_fd(take_fd(&fd));
	}
	freeaddrinfo(list);
	return rc;
}

/* Memory. */
struct memory_stream {
	struct stream base;
	const char *input;
	size_t left, piece;
	struct str written;
};

static int memory_read(struct stream *s, void *buf, size_t len, size_t *got, struct mono deadline,
                       struct err *e)
{
	struct memory_stream *m = (struct memory_stream *)s;
	size_t n = len < m->piece ? len : m->piece;

	(void)deadline;
	(void)e;
	if (n > m->left)
		n = m->left;
	if (n)
		memcpy(buf, m->input, n);
	m->input += n;
	m->left -= n;
	*got = n;
	return 0;
}

static int memory_write(struct stream *s, const void *buf, size_t len, struct mono deadline,
                        struct err *e)
{
	(void)deadline;
	(void)e;
	str_addn(&((struct memory_stream *)s)->written, buf, len);
	return 0;
}

static void memory_interrupt(struct stream *s)
{
	((struct memory_stream *)s)->left = 0;
}

static void memory_close(struct stream *s)
{
	str_release(&((struct memory_stream *)s)->written);
	free(s);
}

static const struct stream_ops memory_ops = { memory_read,      memory_write, socket_flush,
	                                      memory_interrupt, memory_close, NULL };

struct stream *stream_memory(const void *input, size_t len, size_t piece)
{
	struct memory_stream *m = xcalloc(1, sizeof(*m));

	m->base.ops = &memory_ops;
	m->input = input;
	m->left = len;
	m->piece = piece;
	m->written = (struct str)STR_INIT;
	return &m->base;
}

const char *stream_memory_written(const struct stream *s, size_t *len)
{
	const struct memory_stream *m = (const struct memory_stream *)s;

	*len = m->written.len;
	return m->written.data;
}

int stream_fd(const struct stream *s)
{
	return s->ops->fd ? s->ops->fd(s) : -1;
}
