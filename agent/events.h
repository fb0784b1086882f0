/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.h - a Kubernetes Event on the pod whose ADD failed, or did less than was asked for: why,
 * and what helps.
 *
 * Best effort, by a thread of its own: nobody waits for it, and what cannot be written is
 * forgotten.
 */
#ifndef AGENT_EVENTS_H
#define AGENT_EVENTS_H

#include "agent/pods.h"

#define EVENTS_QUEUED 32 /* failures that wait to be looked at; the oldest makes room */
#define EVENTS_KNOWN 64  /* events that are remembered, to be counted up */

/* An ADD that failed, or left out what was asked for.  Strings are borrowed. */
struct add_failure {
	const char *ns, *name, *uid; /* the pod */
	const char *network;         /* its network, or NULL */
	enum err_kind kind;
	const char *text;
	const char *remedy; /* what helps, or NULL: by its kind */
	const char *reason; /* of the event, static; NULL: FailedAllocateIP */
};

struct events_config {
	struct store *store;
	struct pods *pods;
	const char *node;
	int64_t pause_ms; /* between two writes for one pod; 0: 5 s */
	int64_t same_ms;  /* so long a failure counts as the same as before; 0: 10 minutes */
};

struct events;

/* What config names is borrowed. */
int events_start(const struct events_config *config, struct events **out, struct err *e) MUST_USE;
/* Copies it and returns at once.  ev NULL is fine. */
void events_failed(struct events *ev, const struct add_failure *f);
void events_stop(struct events *ev); /* NULL is fine */

#endif
