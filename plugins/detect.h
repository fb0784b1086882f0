/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.h - what the agent wants to be known before its addresses are used: that nobody else has
 * them, and that their gateways answer.  Between the agent's answer and the plugin's result.
 */
#ifndef PLUGINS_DETECT_H
#define PLUGINS_DETECT_H

#include "base/mono.h"
#include "net/link.h"
#include "json/json.h"

struct detection {
	struct cidr address;
	struct ip gateway;    /* family 0: none */
	bool conflict, reach; /* what is wanted; reach: with a gateway only */
};

struct detections {
	struct detection *v; /* owned */
	size_t n;
};

#define AUTO_DETECTIONS __attribute__((cleanup(detections_release))) struct detections
void detections_release(struct detections *d);

/* Is this wanted of the address? */
bool detect_wants_conflict(const struct detections *d, struct ip address);

/*
 * Probes on link, an interface of the namespace ns (-1: our own) that nl speaks to; see
 * net/probe.h for which one that may be.  Nothing wanted costs nothing.
 *
 * ERR_CONFLICT ("ip conflict: ...") when somebody answers for an address: *conflicts, for
 * ipam_give_back(), says who.  ERR_UNREACHABLE ("gateway ... is unreachable") when a gateway is
 * silent.  Other errors are of the probing.
 */
int detect_run(int ns, struct nl *nl, const struct link *link, const struct detections *d,
               struct mono deadline, json **conflicts, struct err *e) MUST_USE;

/*
 * The same for an IPAM plugin that knows no more than the name of an interface in the pod: probes
 * on it, set up for that, or on its master when it is an ipvlan slave.
 */
int detect_in_pod(int pod_ns, const char *ifname, const struct detections *d, struct mono deadline,
                  json **conflicts, struct err *e) MUST_USE;

/* One more of [{"address":...,"reason":...}]; the array is made when *conflicts is NULL. */
void detect_add_conflict(json **conflicts, struct ip address, const char *reason);

#endif
