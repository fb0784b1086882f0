/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.h - addresses of interfaces (linux/if_addr.h).
 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include "net/ip.h"
#include "net/nl.h"

struct addr {
	int index; /* interface */
	struct cidr local;
	unsigned int flags; /* IFA_F_* */
	uint8_t scope;      /* RT_SCOPE_* */
};

/* IPv4 with len < 31 gets its broadcast address; IPv6 is added with IFA_F_NODAD, and a
 * single address without a route to it.  In err.sys:
 * EADDRINUSE: a sibling ipvlan slave holds it (the master's own is accepted); EEXIST: it is there
 * already. */
int addr_add(struct nl *nl, int index, struct cidr a, struct err *e) MUST_USE;
/* Beware: the last IPv4 address of an interface takes all its IPv4 routes with it.
 * EADDRNOTAVAIL: ERR_NOT_FOUND. */
int addr_del(struct nl *nl, int index, struct cidr a, struct err *e) MUST_USE;
/* family 4, 6 or 0 for both; index 0 for all interfaces.  Owned array. */
int addr_list(struct nl *nl, int family, int index, struct addr **out, size_t *count,
              struct err *e) MUST_USE;

#endif
