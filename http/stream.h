/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - a byte stream with absolute deadlines: unix socket, TCP, TLS over one of them, or
 * memory (tests).  Blocking; one thread at a time, except stream_interrupt().
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mono.h"

struct stream;

struct stream_ops {
	/* 1..len bytes read; 0 at a proper end; -1. */
	int (*read)(struct stream *s, void *buf, size_t len, size_t *got, struct mono deadline,
	            struct err *e);
	/* All of it, handed to the peer's kernel or buffered until flush. */
	int (*write)(struct stream *s, const void *buf, size_t len, struct mono deadline,
	             struct err *e);
	int (*flush)(struct stream *s, struct mono deadline, struct err *e);
	void (*interrupt)(struct stream *s);
	void (*close)(struct stream *s);   /* frees s */
	int (*fd)(const struct stream *s); /* for stream_fd(); NULL: there is none */
};

/* First member of every kind of stream. */
struct stream {
	const struct stream_ops *ops;
};

#define AUTO_STREAM __attribute__((cleanup(stream_cleanup))) struct stream

/*
 * Reads at least one byte; *got is 0 at a proper end of the stream.  An end that TLS did not
 * announce (no close_notify) is ERR_PROTO.  ERR_TIMEOUT at the deadline.
 */
int stream_read(struct stream *s, void *buf, size_t len, size_t *got, struct mono deadline,
                struct err *e) MUST_USE;
int stream_write(struct stream *s, const void *buf, size_t len, struct mono deadline,
                 struct err *e) MUST_USE;
int stream_flush(struct stream *s, struct mono deadline, struct err *e) MUST_USE;

/* May be called by another thread: what is blocked in s fails soon, and so does all that follows.
 */
void stream_interrupt(struct stream *s);
void stream_close(struct stream *s); /* NULL is fine */
void stream_cleanup(struct stream **s);

/* ERR_UNREACHABLE when nobody listens (ENOENT, ECONNREFUSED, EHOSTUNREACH, ...), ERR_TIMEOUT. */
int stream_connect_unix(const char *path, struct mono deadline, struct stream **out,
                        struct err *e) MUST_USE;

/* host: an IPv4 or IPv6 literal (no brackets), or a name, resolved with getaddrinfo (which does not
 * heed the deadline).  TCP_NODELAY and keepalives are set. */
int stream_connect_tcp(const char *host, unsigned int port, struct mono deadline,
                       struct stream **out, struct err *e) MUST_USE;

/* A connected socket, taken (also on failure: there is none). */
struct stream *stream_from_fd(int fd);

/* The descriptor to poll on, -1 for a memory stream; borrowed.  Under TLS a readable descriptor
 * does not promise data, and data may be there already when it is not readable. */
int stream_fd(const struct stream *s);

/*
 * For tests: reads deliver `input` (borrowed) in pieces of at most `piece` bytes, then the end;
 * writes are kept and returned by stream_memory_written (borrowed).
 */
struct stream *stream_memory(const void *input, size_t len, size_t piece);
const char *stream_memory_written(const struct stream *s, size_t *len);

#endif
