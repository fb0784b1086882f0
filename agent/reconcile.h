/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile.h - keeps what joins running pods and this node, as the coordinator's records tell it:
 * on the node the rule, the routes, the neighbours and the host ends; in the pods what leads to the
 * node's addresses, when these change.  docs/datapath.md.
 *
 * Changes are heard of by netlink, and what concerns a pod is made good a moment later by looking
 * at that pod alone; once a minute everything is looked at.  Only what is ours is touched
 * (datapath/keep.h).  Records whose namespace is gone are removed, and with the last of them the
 * node's rule.  Records that are gone without a DEL are written again.
 */
#ifndef AGENT_RECONCILE_H
#define AGENT_RECONCILE_H

#include "agent/metrics.h"

#define RECONCILE_SETTLE_MS 200       /* from the first notice: changes come in crowds */
#define RECONCILE_LOOK_MS (60 * 1000) /* without any notice */

struct reconcile;

/* Strings and parts are borrowed until reconcile_stop. */
struct reconcile_config {
	struct metrics *metrics;
	const char *state_dir; /* as cni/state.h */
	const char *boot_id;   /* "": unknown, and no record is taken for an older boot's */
	bool tune;             /* the node's sysctls, as agent/sysctls.h */
	bool ipv4, ipv6;       /* of which families */
	int look_ms;           /* 0: RECONCILE_LOOK_MS */
};

/* For the calling thread's network namespace. */
int reconcile_start(const struct reconcile_config *config, struct reconcile **out,
                    struct err *e) MUST_USE;
void reconcile_stop(struct reconcile *k); /* NULL is fine */

#endif
