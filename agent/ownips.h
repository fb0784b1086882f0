/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ownips.h - the addresses of this node's own interfaces, which no pool may give: told to the
 * ledger at the start and whenever they change (rtnetlink, RTM_NEWADDR and RTM_DELADDR).
 */
#ifndef AGENT_OWNIPS_H
#define AGENT_OWNIPS_H

#include "agent/ledger.h"

struct ownips;

/* The first word is with the ledger when it returns.  The ledger is borrowed. */
int ownips_start(struct ledger *l, struct ownips **out, struct err *e) MUST_USE;
void ownips_stop(struct ownips *o); /* NULL is fine */

#endif
