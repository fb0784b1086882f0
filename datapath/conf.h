/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.h - the coordinator's configuration: keys of the plugin's own JSON win over what
 * the agent answers from the SpiderCoordinator object.  Pure.
 */
#ifndef DATAPATH_CONF_H
#define DATAPATH_CONF_H

#include <net/if.h>

#include "net/ip.h"
#include "json/json.h"

#define COORDINATOR_CIDRS_MAX 256 /* all lists of prefixes together */
/* The agent's answer to GET /v1/coordinator/config, but for what it says of one pod
 * (podDefaultRouteNIC): for the plugin, when the agent is away.  Replaced as a whole. */
#define COORDINATOR_FILE "/var/run/spidernet/coordinator.json"
#define COORDINATOR_HOST_TABLE 500 /* on the node: routes to pods, when nothing else is given */
#define COORDINATOR_ROUTES_MAX 256 /* policyRoutes */

enum coordinator_mode {
	COORDINATOR_AUTO,
	COORDINATOR_UNDERLAY,
	COORDINATOR_OVERLAY,
	COORDINATOR_DISABLE, /* "disable" and "disabled" */
};

struct coordinator_route {
	struct cidr dst;
	struct ip gw; /* of dst's family */
};

struct coordinator_conf {
	enum coordinator_mode mode;
	char default_nic[IFNAMSIZ];       /* podDefaultCniNic: the pod's first interface */
	char default_route_nic[IFNAMSIZ]; /* podDefaultRouteNic, "" for the first */
	/* overlayPodCIDR, serviceCIDR and hijackCIDR in this order, each once; owned */
	struct cidr *hijack;
	size_t n_hijack;
	struct coordinator_route *policy; /* policyRoutes; owned */
	size_t n_policy;
	bool tune_pod_routes;
	bool has_mac_prefix;
	uint8_t mac_prefix[2];
	uint32_t host_rule_table;
	int rp_filter;   /* -1: leave the pod's values alone */
	uint32_t txqlen; /* 0: leave */
	uint32_t veth_mtu;
	struct ip veth_address; /* family 0: none */
};

#define AUTO_COORDINATOR_CONF                                                                      \
	__attribute__((cleanup(coordinator_conf_release))) struct coordinator_conf

/*
 * nad is the plugin's configuration; agent, the answer to GET /v1/coordinator/config, may be NULL.
 * A key that is there and not null counts, also when it is "" or [].  ERR_CONFIG, with where the
 * bad value stands.
 */
int coordinator_conf_read(const json *nad, const json *agent, struct coordinator_conf *out,
                          struct err *e) MUST_USE;
void coordinator_conf_release(struct coordinator_conf *c);

/* The members that nad may have, as for json_unknown; some are the original's that mean nothing
 * now. */
extern const char coordinator_conf_keys[];

/* The agent need not be asked: the mode is "disable", or nad has every key that it could answer. */
bool coordinator_conf_complete(const json *nad);

/* podDefaultCniNic, whatever else the configuration is worth; "eth0" when absent or no string. */
const char *coordinator_default_nic(const json *nad);
/* hostRuleTable likewise; COORDINATOR_HOST_TABLE when absent or none that it may be. */
uint32_t coordinator_host_table(const json *nad);

#endif
