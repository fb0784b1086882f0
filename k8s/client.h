/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - the Kubernetes API (API conventions: Status objects, resourceVersion, watches).
 *
 * Objects are JSON trees, owned by the caller once returned.  A client is a small pool of
 * keep-alive connections that any number of threads may use at once; each request runs on one
 * connection, blocking, until its deadline.  Status objects become errors with the server's
 * message: 404 NOT_FOUND, 409 CONFLICT or (AlreadyExists) EXISTS, 401 IDENTITY, 403 FORBIDDEN,
 * 410 GONE, 400/422 (not a valid object) CONFIG, 500/502/503 UNREACHABLE, 504 TIMEOUT.  A 429 is
 * retried after its Retry-After (or a growing, jittered pause) until the deadline, as are 503s that
 * carry a Retry-After; a wait that would end beyond the deadline is ERR_THROTTLED at once, with
 * retry_ms. ERR_UNREACHABLE when nobody answers, or the connection breaks before the answer: the
 * request may have been carried out then.
 */
#ifndef K8S_CLIENT_H
#define K8S_CLIENT_H

#include "k8s/config.h"
#include "json/json.h"

#define K8S_LIST_LIMIT 500          /* objects per page */
#define K8S_WATCH_SILENCE_MS 120000 /* then up to a sixth more */

struct k8s_client;

/* config is borrowed for the client's life. */
struct k8s_client *k8s_client_new(const struct k8s_config *config);
void k8s_client_free(struct k8s_client *c); /* no request is under way any more */

/* What a request is about. */
struct k8s_resource {
	const char *group;   /* "" for core/v1 */
	const char *version; /* "v1", "v2beta1" */
	const char *plural;
	bool namespaced;
};

struct k8s_selector {
	const char *labels; /* NULL: none */
	const char *fields;
};

/* namespace NULL: cluster-scoped, or (list, watch) all namespaces. */
int k8s_get(struct k8s_client *c, const struct k8s_resource *r, const char *ns, const char *name,
            json **out, struct mono deadline, struct err *e) MUST_USE;

/*
 * All pages; *items is an owned array, *version the resourceVersion to watch from (owned).  When
 * the list expires between pages (410) it starts again.
 */
int k8s_list(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
             const struct k8s_selector *sel, json **items, char **version, struct mono deadline,
             struct err *e) MUST_USE;

/* ERR_EXISTS when the name is taken.  *out may be NULL. */
int k8s_create(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
               const json *object, json **out, struct mono deadline, struct err *e) MUST_USE;

/* JSON merge patch (RFC 7386); subresource "status" or NULL.  With metadata.resourceVersion in the
 * patch a racing writer is ERR_CONFLICT.  *out may be NULL. */
int k8s_patch(struct k8s_client *c, const struct k8s_resource *r, const char *ns, const char *name,
              const char *subresource, const json *patch, json **out, struct mono deadline,
              struct err *e) MUST_USE;

/* The same for who needs the object's new metadata alone: *out has no more than that
 * (PartialObjectMetadata of meta.k8s.io/v1). */
int k8s_patch_meta(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
                   const char *name, const char *subresource, const json *patch, json **out,
                   struct mono deadline, struct err *e) MUST_USE;

/* Preconditions may be NULL; a mismatch is ERR_CONFLICT. */
int k8s_delete(struct k8s_client *c, const struct k8s_resource *r, const char *ns, const char *name,
               const char *uid, const char *version, struct mono deadline, struct err *e) MUST_USE;

/* Any GET of a path, for discovery and health; the body as text. */
int k8s_get_raw(struct k8s_client *c, const char *path, struct str *out, struct mono deadline,
                struct err *e) MUST_USE;

/*
 * A watch: one connection of its own.  Bookmarks are asked for and handled inside (they move
 * the version).  A connection that ended properly is opened again from the last version, a silent
 * one (no event or bookmark for 2 minutes plus jitter) is given up and opened again.
 */
struct k8s_watch;

enum k8s_event_type { K8S_ADDED, K8S_MODIFIED, K8S_DELETED };

int k8s_watch_open(struct k8s_client *c, const struct k8s_resource *r, const char *ns,
                   const struct k8s_selector *sel, const char *version, struct k8s_watch **out,
                   struct err *e) MUST_USE;
/*
 * The next event; *object is owned.  ERR_GONE: list again and open a new watch.  ERR_TIMEOUT at
 * the deadline: call again.  Other errors are of the connection: pause and call again, the watch
 * resumes where it was.
 */
int k8s_watch_next(struct k8s_watch *w, enum k8s_event_type *type, json **object,
                   struct mono deadline, struct err *e) MUST_USE;
/* From another thread: next() fails soon (within 5 s while it connects), and for good. */
void k8s_watch_interrupt(struct k8s_watch *w);
/* For tests: how long the connection may be silent; from the next event on. */
void k8s_watch_set_silence(struct k8s_watch *w, int ms);
void k8s_watch_close(struct k8s_watch *w); /* NULL is fine */

#endif
