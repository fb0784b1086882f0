/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipvlan_port.h - what the ipvlan interfaces of one master have in common: mode and flags, of which
 * the kernel keeps one set per master and lets the latest interface change it for all (its
 * drivers/net/ipvlan calls that a port), and addresses, of which each is on one of them.
 *
 * The others are in pods, and the kernel tells no one where.  They are looked for in the namespaces
 * that lie in the same folder as the pod's own, which is where a runtime has all of its.
 */
#ifndef PLUGINS_IPVLAN_PORT_H
#define PLUGINS_IPVLAN_PORT_H

#include "net/link.h"

#define IPVLAN_PORTS "/var/run/spidernet/ipvlan"

struct ipvlan_sibling {
	char *netns; /* path, owned */
	struct link link;
};

/*
 * The first ipvlan interface of the node's interface `master` in a namespace beside netns, a path;
 * with that address unless `address` is NULL.  *out is released by free(out->netns), which is NULL
 * when there is none.  What cannot be looked into is passed over.
 */
void ipvlan_sibling_find(const char *netns, int master, const struct ip *address,
                         struct ipvlan_sibling *out);

/*
 * May an interface of this mode and these flags be made on master?  Looks for a sibling only when
 * the note about master, in the folder `dir`, is missing or differs; ipvlan_port_note() writes it
 * once there is such an interface.  To be called with the node's namespace locked (netns_lock).
 *
 * Else ERR_CONFIG names what the siblings have.  *differs tells whether the note is to be written.
 */
int ipvlan_port_check(const char *dir, const char *netns, const struct link *master, int mode,
                      int flags, bool *differs, struct err *e) MUST_USE;
void ipvlan_port_note(const char *dir, const struct link *master, int mode, int flags);

/* Can it be made beside this sibling, which is `where`?  ERR_CONFIG. */
int ipvlan_port_compare(const struct link *sibling, const char *where, const struct link *master,
                        int mode, int flags, struct err *e) MUST_USE;

/*
 * Who has an address, in words; owned: "eth0 of pod default/web-0 (container 0123456789abc) in
 * /var/run/netns/...", as far as the attachment records below state_dir and the namespaces beside
 * netns tell.  The attachment container_id, ifname is not meant.
 */
char *ipvlan_holder(const char *state_dir, const char *container_id, const char *ifname,
                    const char *netns, int master, struct ip address);

#endif
