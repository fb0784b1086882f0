/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notices.h - what the kernel tells of changes in a network namespace (rtnetlink(7), multicast
 * groups).  A notice says that something happened, not how things are now: that is asked.
 */
#ifndef NET_NOTICES_H
#define NET_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/ip.h"

enum notices_of {
	NOTICES_LINKS = 1 << 0,
	NOTICES_ADDRS = 1 << 1,
	NOTICES_ROUTES = 1 << 2,
	NOTICES_RULES = 1 << 3,
	NOTICES_NEIGHS = 1 << 4,
};

struct notice {
	uint16_t type;  /* RTM_NEWLINK, RTM_DELROUTE, ...; NLMSG_OVERRUN: some were lost */
	int index;      /* interface, 0: none, of a rule, or a route with several nexthops */
	uint32_t table; /* of a route or a rule */
	uint16_t state; /* of a neighbour: NUD_* */
	struct ip ip;   /* of a neighbour or an address, else of family 0 */
};

/* A socket of the calling thread's namespace.  Owned, non-blocking; poll() for POLLIN. */
int notices_open(enum notices_of groups, int *fd, struct err *e) MUST_USE;

typedef bool (*notices_pick)(const struct notice *n, void *arg);
/* Takes all that wait in fd.  Did pick (NULL: always yes) say yes to one, or were some lost?  Of
 * that pick is told as well, whatever it says. */
bool notices_take(int fd, notices_pick pick, void *arg);

#endif
