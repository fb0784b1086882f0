/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - connections, tokens, paths and Status objects; for client.c and watch.c alone.
 */
#ifndef K8S_REQUEST_H
#define K8S_REQUEST_H

#include <pthread.h>

#include "http/http1.h"
#include "k8s/client.h"

#define K8S_IDLE_MAX 8            /* connections kept for the next request */
#define K8S_IDLE_MS 60000         /* and for how long: a load balancer forgets silent ones */
#define K8S_TOKEN_MAX (16 * 1024) /* bytes of a token file */

/* One connection and what it was opened with. */
struct k8s_conn {
	struct http *http;
	char *token;          /* owned; NULL: none */
	bool reused;          /* it has carried a request before */
	struct mono stale_at; /* while idle */
};

struct k8s_client {
	const struct k8s_config *config;
	char *host; /* Host header */
	pthread_mutex_t lock;
	struct k8s_conn *idle[K8S_IDLE_MAX]; /* the most recently used one last; under lock */
	size_t n_idle;
};

/* A new connection, with the token of now. */
int k8s_connect(struct k8s_client *c, struct mono deadline, struct k8s_conn **out,
                struct err *e) MUST_USE;
void k8s_conn_free(struct k8s_conn *conn); /* NULL is fine */

/* Reads the token again; false when it is the same as before or cannot be had. */
bool k8s_conn_refresh_token(struct k8s_client *c, struct k8s_conn *conn);

/* The path of a collection (name NULL) or object; what the server would read as another path is
 * ERR_CONFIG. */
int k8s_path(const struct k8s_client *c, const struct k8s_resource *r, const char *ns,
             const char *name, const char *subresource, struct str *out, struct err *e) MUST_USE;
/* Appends "?key=value" or "&key=value"; value NULL: nothing. */
void k8s_query(struct str *path, const char *key, const char *value);

struct k8s_call {
	const char *method;
	const char *path;   /* with its query */
	const char *accept; /* NULL: application/json */
	const char *content_type;
	const char *body; /* or NULL */
	size_t body_len;
};

/*
 * A whole exchange on a pooled connection with all retries; `body` is what a 2xx carried.  The
 * method's effect may be repeated when a kept-alive connection turns out to be dead.
 */
int k8s_call(struct k8s_client *c, const struct k8s_call *call, struct str *body,
             struct mono deadline, struct err *e) MUST_USE;

/* The request and the response's head on this connection, errors with kind and context. */
int k8s_send(struct k8s_client *c, struct k8s_conn *conn, const struct k8s_call *call,
             struct http_response *resp, bool *retryable, struct mono deadline,
             struct err *e) MUST_USE;

/* Fills the error that a response which is no 2xx stands for. */
void k8s_status_error(const struct k8s_client *c, const struct k8s_call *call,
                      const struct http_response *resp, const char *body, size_t len,
                      struct err *e);
/* The same from a Status object (status 0: its code); false when it is none. */
bool k8s_status_object(const json *status, int code, struct err *e);

/* base, a quarter more or less: what many clients do at once they shall not do again at once. */
int k8s_jitter_ms(int base);

#endif
