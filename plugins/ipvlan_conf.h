/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipvlan_conf.h - what the ipvlan plugin decides without touching the kernel: its configuration,
 * which interface is the master, and what the result says.
 */
#ifndef PLUGINS_IPVLAN_CONF_H
#define PLUGINS_IPVLAN_CONF_H

#include "cni/cni.h"
#include "net/addr.h"
#include "net/route.h"

#define IPVLAN_MTU_MAX 65535 /* ETH_MAX_MTU */

/* Borrowed from the configuration. */
struct ipvlan_conf {
	const char *master;     /* a name, an alternative one, or a MAC address; "": not given */
	int mode;               /* IPVLAN_MODE_* */
	int flags;              /* IPVLAN_F_*; 0: bridge */
	uint32_t mtu;           /* 0: the master's */
	bool link_in_container; /* master is an interface of the pod */
	const char *ipam_type;  /* "": none */
	const json *dns;        /* NULL: none given */
};

/* The members that it may have, as for json_unknown: ours, the protocol's and Multus's. */
extern const char ipvlan_conf_keys[];

/* ERR_CONFIG, with the key. */
int ipvlan_conf_read(const json *conf, struct ipvlan_conf *out, struct err *e) MUST_USE;
/* ipam.type, whatever else the configuration is worth; "" when absent or no string. */
const char *ipvlan_ipam_type(const json *conf);
const char *ipvlan_mode_text(int mode);
const char *ipvlan_flag_text(int flags);
/* A larger mtu than the master's would be cut to it, silently.  ERR_CONFIG. */
int ipvlan_check_mtu(const struct ipvlan_conf *c, const struct link *master,
                     struct err *e) MUST_USE;

/*
 * The master when none is given: the only interface that an earlier plugin of the chain named
 * (ERR_CONFIG when there are none or several), borrowed; or the interface of the first default
 * route among those listed, 0 when there is none.
 */
int ipvlan_chained_master(const struct cni_result *prev, const char **out, struct err *e) MUST_USE;
int ipvlan_default_master(const struct route *routes, size_t count);

/* An address of the result that is also on an interface of the node, or NULL. */
const struct cni_ip *ipvlan_own_address(const struct cni_result *r, const struct addr *node,
                                        size_t count);

/* The addresses in r belong to this one interface; dns replaces the result's unless NULL or {}. */
void ipvlan_result(struct cni_result *r, const struct link *l, const char *sandbox,
                   const json *dns);

/*
 * The route of the kernel for one of the result's.  Without a gateway of its own it goes by the
 * first one of its family among the addresses, or is on-link; with a scope of link or
 * narrower it is that anyway.
 */
struct route ipvlan_route(const struct cni_result *r, const struct cni_route *route, int oif);

#endif
