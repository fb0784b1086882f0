/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoints.h - SpiderEndpoint objects follow the ledger: one thread, per pod in order, retried for
 * ever.
 */
#ifndef AGENT_ENDPOINTS_H
#define AGENT_ENDPOINTS_H

#include "agent/ledger.h"
#include "agent/pods.h"

/* On the endpoints of each node, so that an agent can ask for its own. */
#define ENDPOINT_NODE_LABEL "ipam.spidernet.io/node"
#define LABEL_VALUE_MAX 63

struct endpoints;

/* Strings are borrowed. */
int endpoints_start(struct store *s, const char *node, struct endpoints **out,
                    struct err *e) MUST_USE;
/* From now on owners are looked up there; borrowed. */
void endpoints_use(struct endpoints *ep, struct pods *pods);
/* What a pod holds now; g is taken.  Never waits. */
void endpoints_put(struct endpoints *ep, struct pod_grants *g);
/* A request that somebody waits for begins, or ends, now: endpoints make room for it, for what
 * becomes of it, and for those that follow at once, but never for more than four seconds. */
void endpoints_request(struct endpoints *ep, bool begins, struct mono now);
size_t endpoints_waiting(struct endpoints *ep); /* pods whose endpoints are still to be written */
void endpoints_stop(struct endpoints *ep);      /* NULL is fine */

#endif
