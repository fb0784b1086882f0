/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tune.h - the routes of a pod with several interfaces (NICs).  Pure: routes and rules in, moves
 * out.
 *
 * Each NIC has a table of its own with all its routes, and a rule that sends there what has one of
 * its addresses as source: so an answer leaves by the NIC whose address it carries, and networks
 * that drop anything else are content.  The main table, for what has no source yet, keeps all
 * routes but the default ones, of which it has one NIC's in each family.
 */
#ifndef DATAPATH_TUNE_H
#define DATAPATH_TUNE_H

#include "datapath/plan.h"

/* Priorities of the rules, largest first; in front of the one for replies. */
#define TUNE_PRIORITY_MIN 900
#define TUNE_PRIORITY_MAX 999

/* What the pod holds: routes of all tables, both families; borrowed. */
struct tune_there {
	const struct route *routes;
	size_t n_routes;
	const struct rule *rules;
	size_t n_rules;
};

struct tune_nic {
	int index;
	uint32_t table;
	const struct ip *ips;
	size_t n_ips;
};

/*
 * The table for a NIC of that name with these addresses: the one that a rule of ours sends them to
 * already, else the smallest that nothing uses, from COORDINATOR_FIRST_TABLE on, for others than
 * the first from as much later as the number at the end of their name says (1 without one).
 */
uint32_t tune_table(const struct tune_there *t, const char *ifname, bool first,
                    const struct ip *ips, size_t n_ips);

struct tune_facts {
	struct tune_nic nic;   /* the one that is being added */
	struct tune_nic first; /* the pod's first: it may have come before anything was tuned */
	int veth;   /* not in overlay mode: its routes in main are those of the first NIC, too */
	int wanted; /* the NIC that is to have the default routes; 0: it does not matter, or is not
	             * there yet */
	bool overlay; /* there are no marks */
};

enum tune_what {
	TUNE_ADD,
	TUNE_PREPEND, /* one more to the same destination */
	TUNE_RULE,
	TUNE_DEL,      /* a route of main, and before it comes ... */
	TUNE_DEL_LAST, /* ... or behind it is another one to the same destination */
};

struct tune_move {
	enum tune_what what;
	union {
		struct route route;
		struct rule rule;
	};
};

/* In the order in which they are to be made.  v is owned. */
struct tune_moves {
	struct tune_move *v;
	size_t n, cap;
};

#define AUTO_TUNE_MOVES __attribute__((cleanup(tune_moves_release))) struct tune_moves
void tune_moves_release(struct tune_moves *m);

/*
 * What is there already is not among the moves.  The default routes of a family go to the wanted
 * NIC if it has any; else they stay with the NIC that has them, the first before others; else with
 * the new one.  A NIC of others, which has no table, keeps what it has.  ERR_CONFIG when no
 * priority is left for a rule.
 */
int tune_make(const struct tune_there *t, const struct tune_facts *f, struct tune_moves *out,
              struct err *e) MUST_USE;

/*
 * When a NIC leaves that has the default routes of main, the pod's first has them again, or else
 * the lowest other one that has any in its own table.  nic: its index, 0 when the interface has
 * gone already, and its routes with it; first: 0 when there is none.  Appends.
 */
void tune_leave(const struct tune_there *t, int nic, int first, struct tune_moves *out);

#endif
