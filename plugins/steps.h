/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h - changes that are remembered, so that an ADD that fails later takes them back.  What is
 * there already, and the same, is no change; what is there and is not, is replaced and remembered,
 * or refused.
 *
 * "nl" and "ns" are borrowed until the list is released.
 *
 * Between steps_begin and steps_commit steps by nl are only gathered, those of interfaces (up,
 * alias), addresses, neighbours, rules and routes: they are made in one request to the kernel, each
 * that it refuses then by itself, as if it had not been gathered.
 */
#ifndef PLUGINS_STEPS_H
#define PLUGINS_STEPS_H

#include "net/addr.h"
#include "net/route.h"
#include "net/sysctl.h"

struct step;
struct steps {
	struct step *v;
	size_t n, cap;
	struct nl *gathers; /* the steps from "from" on wait for steps_commit */
	size_t from;
};

/* In reverse order, best effort: the error that led to it is the one to report. */
void steps_undo(struct steps *s);
void steps_release(struct steps *s); /* forgets */

void steps_begin(struct steps *s, struct nl *nl);
/* A step that fails does not keep those behind it from being made: all are to be taken back. */
int steps_commit(struct steps *s, struct err *e) MUST_USE;

/* An interface that was just made: to be deleted, by a name that is a literal. */
void step_made_link(struct steps *s, struct nl *nl, const char *name);

/* As sysctl_all(); what they had is taken. */
int step_sysctls(struct steps *s, int ns, struct sysctl *v, size_t n, struct err *e) MUST_USE;
/* Of an interface that was just made, and goes when all is taken back; borrowed. */
int step_alias(struct steps *s, struct nl *nl, int index, const char *alias,
               struct err *e) MUST_USE;
int step_up(struct steps *s, struct nl *nl, const struct link *l, struct err *e) MUST_USE;
int step_mac(struct steps *s, struct nl *nl, const struct link *l, struct mac mac,
             struct err *e) MUST_USE;
int step_txqlen(struct steps *s, struct nl *nl, const struct link *l, uint32_t packets,
                struct err *e) MUST_USE;
int step_addr(struct steps *s, struct nl *nl, int index, struct cidr a, struct err *e) MUST_USE;

/* there: the neighbours of the interface before. */
int step_neigh(struct steps *s, struct nl *nl, const struct neigh *n, const struct neigh *there,
               size_t n_there, struct err *e) MUST_USE;

/* A rule that the kernel takes for the same though it is not is an error: they exclude each other.
 */
int step_rule(struct steps *s, struct nl *nl, const struct rule *r, struct err *e) MUST_USE;

/*
 * mine: interfaces, ended by 0, borrowed until steps_commit; a route of another table than main
 * that is over none of them is somebody's and refused, as is a subnet of main.  NULL: replaced,
 * whosever it is.
 */
int step_route(struct steps *s, struct nl *nl, const struct route *r, const int *mine,
               struct err *e) MUST_USE;
/* One more to the same destination, before the others. */
int step_route_prepend(struct steps *s, struct nl *nl, const struct route *r,
                       struct err *e) MUST_USE;
/* last: another one to the same destination comes before it. */
int step_route_del(struct steps *s, struct nl *nl, const struct route *r, bool last,
                   struct err *e) MUST_USE;

#endif
