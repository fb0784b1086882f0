/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - routes, policy rules and neighbours (linux/rtnetlink.h, fib_rules.h, neighbour.h).
 */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include "net/ip.h"
#include "net/link.h"
#include "net/nl.h"

#define ROUTE_METRICS_MAX 48 /* bytes: six of them */

struct route {
	struct cidr dst;   /* len 0: default; dst.ip.family is always set */
	struct ip gw;      /* family 0: on-link */
	struct ip prefsrc; /* family 0: none */
	int oif;           /* 0: none */
	uint32_t table;    /* 0 is taken as RT_TABLE_MAIN when adding */
	uint32_t priority; /* metric, 0: the kernel's default */
	uint8_t scope;     /* RT_SCOPE_* */
	uint8_t protocol;  /* RTPROT_*, 0 is taken as RTPROT_BOOT when adding */
	uint8_t type;      /* RTN_*, 0 is taken as RTN_UNICAST when adding */
	bool onlink;       /* gw needs no route */
	/* RTAX_* attributes as the kernel gave them, for a copy of a route; more are cut off */
	uint8_t metrics[ROUTE_METRICS_MAX];
	uint8_t metrics_len;
	bool multipath; /* read only: one of several nexthops, each of which is listed */
	bool other;     /* read only: it has more than is said here, such as a TOS */
};

enum route_add_mode {
	ROUTE_CREATE,  /* EEXIST when there */
	ROUTE_REPLACE, /* of the same destination, table and metric */
	ROUTE_PREPEND, /* before others of the same destination (IPv6: one more nexthop); EEXIST
	                  when the very same is there */
	ROUTE_APPEND,  /* behind them */
};

int route_add(struct nl *nl, const struct route *r, enum route_add_mode mode,
              struct err *e) MUST_USE;
/* The first route to dst in table (0: RT_TABLE_MAIN) that has what else is set in r; the scope does
 * not matter.  ERR_NOT_FOUND: there is none, or no such table. */
int route_del(struct nl *nl, const struct route *r, struct err *e) MUST_USE;
/* family 4 or 6; table 0 for all (the local table left out).  A route with several nexthops comes
 * as one for each.  Owned array. */
int route_list(struct nl *nl, int family, uint32_t table, struct route **out, size_t *count,
               struct err *e) MUST_USE;
/* What the kernel would use for a packet to dst: oif, gw, prefsrc.  ERR_NOT_FOUND: no route. */
int route_get(struct nl *nl, struct ip dst, struct route *out, struct err *e) MUST_USE;

struct rule {
	int family; /* 4 or 6 */
	uint32_t priority;
	uint32_t table;
	uint32_t fwmark, fwmask; /* 0, 0: no mark; a mark with fwmask 0 is compared whole */
	struct cidr src;         /* src.ip.family 0: any */
	bool other;              /* read only: it has more conditions, or another action */
};

/* Give a priority: the kernel's own choice makes duplicates possible.  EEXIST in err.sys. */
int rule_add(struct nl *nl, const struct rule *r, struct err *e) MUST_USE;
int rule_del(struct nl *nl, const struct rule *r, struct err *e) MUST_USE; /* ERR_NOT_FOUND */
int rule_list(struct nl *nl, int family, struct rule **out, size_t *count, struct err *e) MUST_USE;

struct neigh {
	int index;
	struct ip ip;
	struct mac mac;
	uint16_t state; /* NUD_* */
};

/* Creates it, or changes its MAC and state. */
int neigh_replace(struct nl *nl, const struct neigh *n, struct err *e) MUST_USE;
int neigh_del(struct nl *nl, int index, struct ip ip, struct err *e) MUST_USE; /* ERR_NOT_FOUND */
/* family 4, 6 or 0; index 0 for all.  Owned array. */
int neigh_list(struct nl *nl, int family, int index, struct neigh **out, size_t *count,
               struct err *e) MUST_USE;

#endif
