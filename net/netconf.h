/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netconf.h - settings of IPv4 in a namespace, as netlink tells them (linux/netconf.h, since Linux
 * 3.8): without a look at a file for each.  "nl" is a NETLINK_ROUTE socket.
 */
#ifndef NET_NETCONF_H
#define NET_NETCONF_H

#include "net/nl.h"

/* rp_filter of one interface. */
struct netconf {
	int index;     /* of the interface, or one of these */
	int rp_filter; /* 0, 1 or 2; -1: not told */
};
#define NETCONF_ALL (-1)
#define NETCONF_DEFAULT (-2)

/* Fills in what v[] asks for. */
int netconf_read(struct nl *nl, struct netconf *v, size_t n, struct err *e) MUST_USE;

#endif
