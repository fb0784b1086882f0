/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule.h - rules that are ours, and not only alike; among them the node's, which leads to the
 * routes of all its pods (priority COORDINATOR_RULE_PRIORITY): who is the last takes it away.
 */
#ifndef DATAPATH_RULE_H
#define DATAPATH_RULE_H

#include "net/route.h"

/* Is this one of a list the same, with the same conditions and no others? */
bool datapath_rule_equal(const struct rule *is, const struct rule *want);
/*
 * *made is false when it was there.  The kernel says EEXIST of rules that have more conditions,
 * too: that is ERR_EXISTS, as the two exclude each other.
 */
int datapath_rule_add(struct nl *nl, const struct rule *r, bool *made, struct err *e) MUST_USE;

/*
 * The node's rule: everything that the node sends looks into its table first.  So it is not made
 * for a table that has more than routes to single addresses, of which another program is the owner:
 * ERR_EXISTS.
 */
int datapath_rule_add_node(struct nl *nl, const struct rule *r, bool *made, struct err *e) MUST_USE;

/*
 * The family's rule to that table goes when the table is empty.  nl is the node's; ns its
 * namespace, which is locked meanwhile, or -1: netns_home(), for who does not have it locked
 * already. True when it was taken away.  Best effort: who has the lock is not waited for.  An ADD
 * that has it needs the rule, or takes it away when it fails; another DEL takes it away; and the
 * agent looks again when a record has gone.
 */
bool datapath_rule_drop(struct nl *nl, int ns, int family, uint32_t table);

#endif
