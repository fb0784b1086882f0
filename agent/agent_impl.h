/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_impl.h - the agent's parts, for agent.c (starting and stopping) and api.c (requests).
 */
#ifndef AGENT_AGENT_IMPL_H
#define AGENT_AGENT_IMPL_H

#include "agent/agent.h"
#include "agent/endpoints.h"
#include "agent/events.h"
#include "agent/inflight.h"
#include "agent/metrics.h"
#include "agent/nads.h"
#include "agent/netstatus.h"
#include "agent/pause.h"
#include "agent/place.h"
#include "agent/reconcile.h"
#include "agent/releases.h"
#include "agent/server.h"

/* Pools are watched by their labels, those of this node apart from those of all. */
struct pool_watch {
	struct agent *agent;
	enum ledger_scope scope;
	struct informer *informer;
};

struct agent {
	struct agent_config config;
	struct store *store;
	struct metrics *metrics;
	struct endpoints *endpoints;
	struct ledger *ledger;
	struct pods *pods;
	struct place *place;
	struct nads *nads;
	struct netstatus *netstatus;
	struct cniconf *cniconf;
	struct events *events;
	struct coordinator *coordinator;
	struct releases *releases;
	struct gc *gc;
	struct inflight inflight;
	struct ownips *ownips;
	struct reconcile *reconcile;
	json *rounds;
	struct pool_watch pool_watches[2];
	char *pool_label; /* of the pools of this node */
	struct informer *reserved_informer;
	struct server_config socket_config, health_config;
	struct server *socket, *health, *scrape;
	pthread_t rebuild;
	bool rebuilding;
	struct pause pause; /* of the rebuilding */
	char boot_id[64];
};

bool agent_synced(struct agent *a);

/* ctx is the agent; the second knows /v1/runtime alone. */
extern const struct server_ops api_socket_ops, api_health_ops;
extern const struct server_ops scrape_ops; /* the same ctx */

#endif
