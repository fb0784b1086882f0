/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep.h - what has to change so that a pod and its node still reach each other: a record and what
 * two namespaces hold go in, a list of changes comes out.  Pure.
 *
 * Ours is what the record tells of: on the node, what leads to the pod's addresses by the host end,
 * node addresses on that end, and the rule; in the pod, what leads over its end to one of the
 * record's node addresses, or by one of them as a gateway.  Nothing else is ever changed: where it
 * takes the place of ours, the list says so.
 */
#ifndef DATAPATH_KEEP_H
#define DATAPATH_KEEP_H

#include "datapath/plan.h"
#include "datapath/record.h"

/* What one namespace holds, both families.  Borrowed. */
struct keep_there {
	const struct route *routes;
	const struct neigh *neighs;
	const struct rule *rules;
	const struct addr *addrs;
	size_t n_routes, n_neighs, n_rules, n_addrs;
};

enum keep_what {
	KEEP_ROUTE_ADD,
	KEEP_ROUTE_REPLACE, /* ours, with another source or gateway */
	KEEP_ROUTE_DEL,     /* ours, to an address that the node has no more */
	KEEP_NEIGH_SET,
	KEEP_NEIGH_DEL,
	KEEP_RULE_ADD,
	KEEP_ADDR_ADD,
	KEEP_ADDR_DEL,
	KEEP_ROUTE_FOREIGN, /* route: what stands where ours should */
	KEEP_NEIGH_FOREIGN,
};

struct keep_change {
	enum keep_what what;
	union {
		struct route route;
		struct neigh neigh;
		struct rule rule;
		struct host_addr addr;
	};
};

/* In the order in which they are to be made.  v is owned. */
struct keep_changes {
	struct keep_change *v;
	size_t n, cap;
};

#define AUTO_KEEP_CHANGES __attribute__((cleanup(keep_changes_release))) struct keep_changes

void keep_changes_release(struct keep_changes *c);
/* "route to 10.1.0.7/32 in table 500", for the log. */
void keep_change_text(const struct keep_change *c, struct str *out);

/*
 * The node's addresses that the pod is to reach from now on, in the record's sense: the first of
 * each family is the gateway.  Those of the record that the node still has stay in their order;
 * found (as coordinator_node_ips makes it, with the best gateways first) adds the others, and gives
 * the gateway where the record's is gone.  A family that the node has no address of at all keeps
 * what it had: it may come back.  local: all addresses of the node.  Owned array.
 */
void keep_node_ips(const struct datapath_record *r, const struct ip *local, size_t n_local,
                   const struct ip *found, size_t n_found, struct ip **out, size_t *n);
/* The same addresses, and gateways, as the record has? */
bool keep_is_current(const struct datapath_record *r, const struct ip *node_ips, size_t n);
/* What the plan is made of, besides the record. */
struct keep_facts {
	int pod_link, host_link;   /* indexes; pod_link may be 0 when only the node is looked at */
	struct mac host_mac;       /* of the host end, now */
	const struct ip *node_ips; /* as keep_node_ips has them */
	size_t n_node_ips;
	const struct ip *local; /* all addresses of the node */
	size_t n_local;
};

/* As the coordinator planned it, for these facts.  Errors as coordinator_plan_make. */
int keep_plan(const struct datapath_record *r, const struct keep_facts *f,
              struct coordinator_plan *out, struct err *e) MUST_USE;

/* Both append.  The rule comes behind the routes: without one that could be made it serves nobody.
 * An address goes last: with its last one an interface loses its routes. */
void keep_on_node(const struct datapath_record *r, const struct keep_facts *f,
                  const struct coordinator_plan *p, const struct keep_there *there,
                  struct keep_changes *out);
void keep_in_pod(const struct datapath_record *r, const struct keep_facts *f,
                 const struct coordinator_plan *p, const struct keep_there *there,
                 struct keep_changes *out);

#endif
