/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h - network interfaces (linux/if_link.h).  "nl" is a NETLINK_ROUTE socket of the namespace
 * meant.  Functions that change leave the kernel's errno in err.sys (EEXIST, ENODEV, ...).
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#include <net/if.h>

#include "net/ip.h"
#include "net/nl.h"

#define LINK_ALIAS_MAX 255 /* bytes: IFALIASZ - 1 */

struct mac {
	uint8_t b[6];
};
struct mac_str {
	char s[18];
};
struct mac_str mac_str(struct mac m); /* lower case, colons */
int mac_parse(const char *s, struct mac *out, struct err *e) MUST_USE;
/* Random, unicast, locally administered. */
int mac_random(struct mac *out, struct err *e) MUST_USE;

struct link {
	int index;
	char name[IFNAMSIZ];
	unsigned int flags; /* IFF_* */
	uint32_t mtu;
	uint32_t txqlen; /* length of the transmit queue, in packets */
	struct mac mac;
	bool has_mac;
	int parent; /* IFLA_LINK: master's or peer's index in its own namespace, 0 if none */
	int32_t parent_nsid; /* IFLA_LINK_NETNSID, -1 when in the same namespace */
	int controller;      /* IFLA_MASTER: the bond or bridge that it is a member of, 0 if none */
	char kind[16];       /* "ipvlan", "veth", ... or "" */
	int ipvlan_mode;     /* IPVLAN_MODE_*, -1 if unknown */
	int ipvlan_flags;
	uint16_t vlan_id;               /* of kind "vlan" */
	uint16_t vlan_protocol;         /* ETH_P_8021Q (802.1Q) or ETH_P_8021AD, of kind "vlan" */
	char alias[LINK_ALIAS_MAX + 1]; /* a text that programs and people put there, or "" */
};

/* 1..15 bytes, no '/', ':', '%' or white space, not "." or ".." (ERR_CONFIG).  The kernel takes
 * "eth%d" for a pattern. */
int link_check_name(const char *name, struct err *e) MUST_USE;

/* By name, or by alternative name.  ERR_NOT_FOUND. */
int link_get(struct nl *nl, const char *name, struct link *out, struct err *e) MUST_USE;
int link_get_index(struct nl *nl, int index, struct link *out, struct err *e) MUST_USE;
/* All, in index order; owned array (free()). */
int link_list(struct nl *nl, struct link **out, size_t *count, struct err *e) MUST_USE;
/* The same, but for those whose controller has this index. */
int link_list_members(struct nl *nl, int controller, struct link **out, size_t *count,
                      struct err *e) MUST_USE;
/*
 * The interface with that MAC address.  Of several the one below counts for nothing that is made on
 * it or has taken it in: not a card's VLANs and ipvlan slaves, which have its address, and not the
 * members of a bond, whose address they have.  ERR_NOT_FOUND; ERR_CONFIG when several are left.
 */
int link_get_mac(struct nl *nl, struct mac mac, struct link *out, struct err *e) MUST_USE;

/*
 * The other end of a veth of nl's namespace, as long as it is in the namespace ns (a descriptor)
 * that peer_nl lives in.  ERR_CONFIG, with the reason: it is no veth, or its other end is
 * elsewhere.
 */
int link_peer(struct nl *nl, const struct link *veth, struct nl *peer_nl, int ns, struct link *out,
              struct err *e) MUST_USE;

/*
 * An ipvlan slave of master (in nl's namespace), created straight in the namespace ns (a
 * descriptor; -1: nl's own) that `there` lives in, down.  mode: IPVLAN_MODE_*; flags: IPVLAN_F_* (0
 * is bridge; the kernel keeps one mode and one set of flags per master: the latest slave's); mtu 0:
 * the master's.  EEXIST: the name is taken there.  Nobody else may make one of that name meanwhile.
 *
 * Where the node has an interface of that name, kernels as old as 6.1 want it made under another,
 * the one of link_birth_name(), and renamed, unless it ends in 0.  A process that is killed then
 * leaves it under that.
 */
int link_add_ipvlan(struct nl *nl, int ns, struct nl *there, const char *name,
                    const struct link *master, int mode, int flags, uint32_t mtu,
                    struct err *e) MUST_USE;
void link_birth_name(const char *name, char out[static IFNAMSIZ]);

struct veth_spec {
	const char *name, *peer;
	struct mac mac, peer_mac;
	uint32_t mtu; /* both ends, 0: the kernel's */
	int peer_ns;  /* descriptor, where the peer is born; -1: nl's own */
};
/*
 * The pair, in nl's namespace and peer_ns; both ends down.  out (may be NULL): the one here.
 * EEXIST: one of the names is taken; the caller has seen that it is not the one here, which is
 * removed by its name when no answer says what was made.
 */
int link_add_veth(struct nl *nl, const struct veth_spec *v, struct link *out,
                  struct err *e) MUST_USE;

/* A VLAN of 802.1Q on parent, down; id 1..4094.  EEXIST: the name is taken, or the id on parent. */
int link_add_vlan(struct nl *nl, const char *name, int parent, uint16_t id, struct err *e) MUST_USE;

int link_set_up(struct nl *nl, int index, struct err *e) MUST_USE;
int link_set_down(struct nl *nl, int index, struct err *e) MUST_USE;
/* Makes it a member of a bond or bridge, or of none (0).  A bond wants it down, and sets it up. */
int link_set_controller(struct nl *nl, int index, int controller, struct err *e) MUST_USE;
/* Not for ipvlan, which has its master's: EOPNOTSUPP. */
int link_set_mac(struct nl *nl, int index, struct mac mac, struct err *e) MUST_USE;
int link_set_txqlen(struct nl *nl, int index, uint32_t packets, struct err *e) MUST_USE;
int link_set_alias(struct nl *nl, int index, const char *alias, struct err *e) MUST_USE;
int link_del(struct nl *nl, int index, struct err *e) MUST_USE; /* ENODEV: ERR_NOT_FOUND */
/*
 * Two of one namespace at once: for each request the kernel waits until nobody can see any more
 * what it deletes, some 20 ms.  They are put into a group of their own for that (IFLA_GROUP).  On
 * error one of them, or both, may still be there.
 */
int link_del_both(struct nl *nl, int a, int b, struct err *e) MUST_USE;

#endif
