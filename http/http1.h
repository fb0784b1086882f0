/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1.h - HTTP/1.1 (RFC 9112), client and server, over a stream.
 *
 * Keep-alive, Content-Length and chunked bodies both ways; every length an outsider chooses has a
 * limit.  A body cut short is ERR_PROTO.  No compression, no upgrade, no pipelining.
 */
#ifndef HTTP_HTTP1_H
#define HTTP_HTTP1_H

#include <stdint.h>

#include "base/str.h"
#include "http/stream.h"

#define HTTP_HEADER_MAX (32 * 1024)      /* start line and all header lines */
#define HTTP_BODY_MAX (32 * 1024 * 1024) /* body read as a whole */
#define HTTP_LINE_MAX (8 * 1024 * 1024)  /* one line of a streamed body (a watch event) */

/* One connection, either side. */
struct http;

/* s is taken. */
struct http *http_new(struct stream *s);
void http_free(struct http *h); /* closes the stream; NULL is fine */
struct stream *http_stream(struct http *h);

struct http_request {
	const char *method;       /* "GET" */
	const char *target;       /* "/path?query", already encoded */
	const char *host;         /* Host header */
	const char *token;        /* bearer token, or NULL; never logged */
	const char *content_type; /* with a body */
	const char *accept;       /* NULL: application/json */
	const char *body;
	size_t body_len;
};

struct http_response {
	int status;
	int retry_after_s; /* Retry-After in seconds, -1 when absent */
	bool keep_alive;   /* after the body, the connection can carry another request */
	char content_type[128];
};

/*
 * Sends a request and reads the response's head.  *retryable (may be NULL) is set on failure: true
 * when the server closed a kept-alive connection before a single byte of the response, so that a
 * fresh connection may safely be tried.  CR, LF or NUL in any part is ERR_CONFIG.
 */
int http_send(struct http *h, const struct http_request *req, struct http_response *resp,
              bool *retryable, struct mono deadline, struct err *e) MUST_USE;

/* The rest of the body as a whole, at most HTTP_BODY_MAX; appended to out. */
int http_read_body(struct http *h, struct str *out, struct mono deadline, struct err *e) MUST_USE;

/*
 * The next line of the body without its LF, for watches: *line is borrowed until the next call,
 * NULL at the proper end of the body.  After ERR_TIMEOUT it may be called again: nothing is lost.
 */
int http_read_line(struct http *h, const char **line, size_t *len, struct mono deadline,
                   struct err *e) MUST_USE;

/* Server side: a request with its whole body.  All strings are borrowed until the next call. */
struct http_incoming {
	const char *method;
	const char *target; /* path and query as sent */
	const char *body;   /* NUL-terminated, may be empty */
	size_t body_len;
	bool keep_alive;
};

/*
 * Reads the next request; *in->method is NULL when the client closed the connection between two.
 * max_body: larger bodies are ERR_PROTO (the caller answers 413 and closes).
 */
int http_receive(struct http *h, size_t max_body, struct http_incoming *in, struct mono deadline,
                 struct err *e) MUST_USE;

/* Answers it.  content_type may be NULL (then no body is expected).  retry_after_s: when it may be
 * asked again, 0: nothing is said of that.  close: ends the connection. */
int http_respond(struct http *h, int status, const char *content_type, const char *body, size_t len,
                 int retry_after_s, bool close, struct mono deadline, struct err *e) MUST_USE;

/* A response with a chunked body of unknown length: begin, any number of parts, end. */
int http_respond_begin(struct http *h, int status, const char *content_type, struct mono deadline,
                       struct err *e) MUST_USE;
int http_respond_part(struct http *h, const char *data, size_t len, struct mono deadline,
                      struct err *e) MUST_USE;
int http_respond_end(struct http *h, struct mono deadline, struct err *e) MUST_USE;

/* The kind an HTTP status stands for: 404 NOT_FOUND, 409 CONFLICT, 410 GONE, 401 IDENTITY, 403
 * FORBIDDEN, 429 THROTTLED, other >= 400 PROTO; NONE below. */
enum err_kind http_status_kind(int status);

#endif
