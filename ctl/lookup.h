/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - what is known about one address.  Pure: objects in, a report out.
 */
#ifndef CTL_LOOKUP_H
#define CTL_LOOKUP_H

#include "net/ip.h"
#include "json/json.h"

/*
 * From arrays of SpiderIPPools, SpiderReservedIPs and SpiderEndpoints (the latter two may be NULL).
 * The report, owned:
 *
 *   address
 *   pools     what each pool that has the address among ips, or a record of it, says: pool, subnet,
 *             gateway, state, pod ("namespace/name"), podUid, nic, containerId, node, keep (kind
 *             of who keeps it for the next pod), reason and since (of a conflict), problem
 *   reserved  names of the SpiderReservedIPs that have it
 *   subnets   names of the other pools in whose subnet it lies
 *   gateways  names of the pools whose gateway it is
 *
 * state: "allocated" or "conflict" (held back, because somebody else answers for it), whatever else
 * it is; "excluded", "reserved", "unused" (the pool gives nothing: problem says why), "free".
 *
 * shared: each agent sees all pools, as over a directory; else those of its node and of all nodes,
 * and only these can overlap for it.
 */
json *lookup_report(const json *pools, const json *reserved, const json *endpoints, bool shared,
                    struct ip ip);

/* Does some pool have it? */
bool lookup_found(const json *report);

void lookup_text(const json *report, struct str *out);

#endif
