/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - the node's daemon: allocation and release of addresses over a unix socket.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/coordinator.h"
#include "agent/settings.h"

#define AGENT_ADD_MS (98 * 1000) /* plugins wait 100 s */
#define AGENT_DEL_MS 1500        /* plugins wait 2 s; what takes longer is queued */

/* Strings are borrowed for the agent's life. */
struct agent_config {
	const char *store, *context; /* as store_open; context may be NULL */
	const char *node;            /* this node's name */
	const char *socket;          /* path */
	const char *state_dir;       /* as cni/state.h */
	const char *default_network; /* "namespace/name" of eth0 without annotation, or NULL */
	const char *agent_namespace; /* of networks named without one */
	const char *health;          /* "ADDRESS:PORT" of the probes, "" or NULL: none */
	const char *metrics;         /* the same of Prometheus' metrics */
	const char *multus_conf_dir; /* as cniconf.h; NULL: nothing is kept there */
	struct coordinator_options coordinator;
	const struct settings *settings; /* NULL: settings_default; socket is the one above */
	uint32_t max_records;   /* of a pool; 0: POOL_RECORDS_MAX, which it never exceeds */
	bool keep_conflict_ips; /* DELETE /v1/ipam/ips of conflicting addresses frees none */
	int gc_ms;              /* between two rounds of gc.h; 0: GC_ROUND_MS */
	int64_t add_ms;         /* an ADD is answered in this time; 0: AGENT_ADD_MS */
};

struct agent;

/* Starts everything and returns; the store need not answer yet.  *out is owned (agent_stop). */
int agent_start(const struct agent_config *config, struct agent **out, struct err *e) MUST_USE;
/* The socket goes first; then all threads are joined.  NULL is fine. */
void agent_stop(struct agent *a);
unsigned int agent_health_port(const struct agent *a);  /* 0: none */
unsigned int agent_metrics_port(const struct agent *a); /* 0: none */

#endif
