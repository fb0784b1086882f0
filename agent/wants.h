/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wants.h - what the ADD of a container wants of the ledger: from the body of the request, its pod,
 * the pod's namespace and this node.
 */
#ifndef AGENT_WANTS_H
#define AGENT_WANTS_H

#include "agent/agent_impl.h"

/* Who asks; borrowed from the body, "" for what it does not say. */
struct identity {
	const char *cid, *nic, *netns, *ns, *name, *uid;
};

/*
 * Completes r, which has its deadline: the pod's uid, its network, the pools it asks for, and what
 * these may select by.  Reads objects of the store where memory does not do.  ERR_CONFIG: the
 * annotations or the configuration are wrong; ERR_NOT_FOUND: no such pod, or one that gets nothing.
 *
 * The body may say "network": "NAMESPACE/NAME", of the NetworkAttachmentDefinition that the NIC is
 * made by; it counts more than the pod's annotations, by which net1, net2, ... are numbered as if
 * the node's configuration had no networks of its own before them.
 */
int wants_fill(struct agent *a, const struct identity *id, const json *body,
               struct ledger_request *r, struct err *e) MUST_USE;

#endif
