/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule.h - the node's rule that leads to the routes of all its pods (priority
 * COORDINATOR_RULE_PRIORITY): who is the last takes it away.
 */
#ifndef DATAPATH_RULE_H
#define DATAPATH_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/nl.h"

/*
 * The family's rule to that table goes when the table is empty.  nl is the node's; ns its
 * namespace, which is locked meanwhile.  True when it was taken away.  Best effort.
 */
bool datapath_rule_drop(struct nl *nl, int ns, int family, uint32_t table);

#endif
