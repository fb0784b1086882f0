/* SPDX-License-Identifier: Apache-2.0 */
/*
 * releases.h - the queue of DELs that found no agent or no store: replayed at start and whenever
 * its folder changes.
 */
#ifndef AGENT_RELEASES_H
#define AGENT_RELEASES_H

#include "agent/ledger.h"

struct releases;

/* state_dir is borrowed. */
int releases_start(struct ledger *l, const char *state_dir, struct releases **out,
                   struct err *e) MUST_USE;
void releases_stop(struct releases *r); /* NULL is fine */

/* How a container without a Kubernetes name is recorded, and any other: "namespace/name"; owned. */
char *pod_key(const char *ns, const char *name, const char *cid);
/* The parts of "namespace/name", owned; false when it is not of that form. */
bool pod_key_split(const char *key, char **ns, char **name);

#endif
