/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - an HTTP server with a thread per connection, up to a limit.
 */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include "http/http1.h"

struct server_answer {
	int status;
	const char *type;  /* of the body; NULL: JSON */
	int retry_after_s; /* the same may work so much later; 0: nothing is said of that */
	struct str body;   /* may be empty */
};

/* One connection, for the handler. */
struct server_connection {
	int fd;        /* to see whether the client is still there; borrowed */
	int event;     /* for server_event() alone */
	bool arriving; /* the request counts as one that is on its way */
};

struct server_ops {
	/* One request; *a is initialised (200, empty). */
	void (*handle)(void *ctx, struct server_connection *c, const struct http_incoming *in,
	               struct server_answer *a);
	/* May be NULL.  +1: a connection was accepted, or a further request of it was received; -1:
	 * that request is dealt with, or will not come. */
	void (*arriving)(void *ctx, int change);
};

struct server_config {
	const struct server_ops *ops;
	void *ctx;
	int max_connections; /* more wait to be accepted */
	int max_idle;        /* so many that wait for a further request do not count as one */
	size_t max_body;
	int first_ms; /* from its begin to the end of the first request, 0: 3000 */
	int idle_ms;  /* from one answer to the end of the next request; 0: there is no next one */
	bool root_only; /* unix: peers of other users are refused (403) */
};

struct server;

/*
 * A unix socket of mode 0600 under this path: what is there is replaced in one step.  Or TCP,
 * "ADDRESS:PORT" with brackets around IPv6; port 0 takes a free one.
 */
int server_start_unix(const char *path, const struct server_config *c, struct server **out,
                      struct err *e) MUST_USE;
int server_start_tcp(const char *address, const struct server_config *c, struct server **out,
                     struct err *e) MUST_USE;
unsigned int server_port(const struct server *s); /* of TCP */
/* Ends all connections, waits for their threads, removes the socket if it still is ours. */
void server_stop(struct server *s); /* NULL is fine */

/* The handler is about to pass its request on: it counts as arrived. */
void server_arrived(struct server_connection *c, const struct server_config *config);

/*
 * A blocking eventfd by which another thread tells the handler that its request is done; -1: no
 * more files can be opened.  The thread's that serves: when the handler returns it is not raised,
 * and nobody will raise it.
 */
int server_event(struct server_connection *c) MUST_USE;

#endif
