/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_client.h - requests to the node agent over its unix socket (HTTP/1.1, base path /v1, the
 * paths and bodies of Spiderpool 1.2).
 */
#ifndef PLUGINS_AGENT_CLIENT_H
#define PLUGINS_AGENT_CLIENT_H

#include "base/mono.h"
#include "json/json.h"

#define AGENT_SOCKET "/var/run/spidernet/spiderpool.sock"

/*
 * One request.  The connection is kept for the next one to this socket, until the process ends: for
 * one thread.  path is whole: "/v1/ipam/ip".  body may be NULL.
 * *answer (may be NULL) is the JSON body of a 200, owned, NULL when it is empty.
 *
 * With wait, a socket that is not there or refuses is waited for until the deadline, and so is an
 * agent that went away with our request (the requests are idempotent); then, or at once without
 * wait, ERR_UNREACHABLE.  ERR_TIMEOUT when the agent is there but does not answer.  Other statuses
 * are errors whose message is the agent's (a bare JSON string): 404 NOT_FOUND, with a Retry-After
 * (or 503) THROTTLED (it may work in a moment), and 500 whose kind follows from the original's key
 * phrases ("all IP addresses used out" EXHAUSTED, "no IPPool available" NO_POOL), else PROTO.
 */
int agent_request(const char *socket, const char *method, const char *path, const json *body,
                  bool wait, json **answer, struct mono deadline, struct err *e) MUST_USE;

/* Nobody was there, or nobody who answered: the error of such a request tells the reader of the
 * pod's events where to look.  Others stay as they are. */
void agent_explain(const char *socket, struct err *e);

#endif
