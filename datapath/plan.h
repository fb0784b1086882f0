/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - which routes, neighbours and rules make a pod and its node reach each other
 * over the pair of veth interfaces.  Pure: facts in, lists out.
 *
 * Numbers and names that other programs and people's dumps know:
 */
#ifndef DATAPATH_PLAN_H
#define DATAPATH_PLAN_H

#include "datapath/conf.h"
#include "net/addr.h"
#include "net/route.h"

#define COORDINATOR_VETH "veth0"       /* the pod's end */
#define COORDINATOR_RULE_PRIORITY 1000 /* of both rules, in the pod and on the node */
#define COORDINATOR_MARK 0x1           /* flows that came in by veth0 */
#define COORDINATOR_REPLY_TABLE 100    /* in the pod: the way back for them */
#define COORDINATOR_FIRST_TABLE 101    /* in the pod: the first interface's own routes, and on */
#define COORDINATOR_NFT_TABLE "spiderbox"

/* The node's end: "veth" and the first 11 bytes of the container's id. */
void coordinator_host_veth(const char *container_id, char out[IFNAMSIZ]);
/*
 * Ids may begin alike, so the whole one is the alias of that end.  Does it say that the interface
 * is another container's?  Without an alias it does not: older programs make pairs without.
 */
bool coordinator_is_others(const struct link *host_veth, const char *container_id);

/*
 * The addresses of the pod's interface nic that others can reach: neither link-local nor multicast.
 * Owned array, NULL when there is none.
 */
void coordinator_pod_ips(const struct addr *addrs, size_t count, int nic, struct ip **out,
                         size_t *n);

/*
 * The node's addresses that the pod is to reach by veth0, each once: first those in preferred (what
 * the node would use to talk to the pod), then all on its interfaces, but for interfaces of
 * container networks, and for addresses of the pod itself.  Only families that the pod has.  Owned
 * array.
 */
void coordinator_node_ips(const struct ip *preferred, size_t n_preferred, const struct link *links,
                          size_t n_links, const struct addr *addrs, size_t n_addrs,
                          const struct ip *pod, size_t n_pod, struct ip **out, size_t *n);

/*
 * For who asks for interfaces one by one: the index of the next one that coordinator_node_ips has
 * to find in links, with these addresses; 0: none.  The lowest comes first: an address that a card
 * is known to have needs no names of the many pairs that have it, too.
 */
int coordinator_unknown_link(const struct ip *preferred, size_t n_preferred,
                             const struct link *links, size_t n_links, const struct addr *addrs,
                             size_t n_addrs, const struct ip *pod, size_t n_pod);

struct coordinator_facts {
	int nic, veth;            /* indexes in the pod; veth: veth0, or the overlay pod's eth0 */
	int host_veth;            /* index on the node: its peer */
	struct mac mac, host_mac; /* of the two ends */
	const struct ip *pod_ips; /* of the nic */
	size_t n_pod_ips;
	const struct ip *node_ips;
	size_t n_node_ips;
	uint32_t table; /* the nic's own */
	bool overlay;
	/* The first nic with addresses of that family: the main table gets the ways to the node and
	 * to services as well, and what comes in by veth0 the way back. */
	bool lead4, lead6;
	struct ip src; /* IPv4, of the routes over veth; family 0: the nic's first address */
};

/* An address of the node on the host's end. */
struct host_addr {
	int index;
	struct ip ip;
};

/* Owned arrays, in the order in which they are to be added. */
struct coordinator_plan {
	struct host_addr *host_addrs; /* none in overlay mode: the interface is another's */
	struct neigh *pod_neighs, *host_neighs;
	struct route *pod_routes, *host_routes;
	struct rule *pod_rules, *host_rules;
	size_t n_host_addrs, n_pod_neighs, n_host_neighs, n_pod_routes, n_host_routes, n_pod_rules,
		n_host_rules;
};

#define AUTO_COORDINATOR_PLAN                                                                      \
	__attribute__((cleanup(coordinator_plan_release))) struct coordinator_plan

/* ERR_CONFIG when the node has no address of a family that the pod has. */
int coordinator_plan_make(const struct coordinator_conf *conf, const struct coordinator_facts *f,
                          struct coordinator_plan *out, struct err *e) MUST_USE;
void coordinator_plan_release(struct coordinator_plan *p);

#endif
