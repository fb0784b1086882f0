/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.h - what the coordinator plugin asks for: from the SpiderCoordinator object when
 * there is a usable one, else from the agent's options.
 */
#ifndef AGENT_COORDINATOR_H
#define AGENT_COORDINATOR_H

#include "store/store.h"

/* Comma lists; NULL: not given. */
struct coordinator_options {
	const char *mode; /* NULL: "auto" */
	const char *overlay_pod_cidr, *service_cidr, *hijack_cidr;
};

/* ERR_USAGE names the option and the element that is no CIDR. */
int coordinator_check(const struct coordinator_options *o, struct err *e) MUST_USE;

struct coordinator;

/* Beside the agent's socket, for plugins that find no agent: the configuration of every pod that
 * has no say of its own.  Replaced as a whole whenever it changes. */
#define COORDINATOR_FILE_NAME "coordinator.json"

/*
 * Options and store are borrowed.  folder (copied) is where COORDINATOR_FILE_NAME goes, NULL:
 * nowhere. One that is there stays until all of the configuration is known.
 */
int coordinator_start(struct store *s, const struct coordinator_options *o, const char *folder,
                      struct coordinator **out, struct err *e) MUST_USE;
void coordinator_stop(struct coordinator *c); /* NULL is fine */

/* The answer of GET /v1/coordinator/config; route_nic of the pod, or "".  Owned. */
json *coordinator_config(struct coordinator *c, const char *route_nic);

#endif
