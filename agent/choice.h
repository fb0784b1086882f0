/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choice.h - which pools a request asks for: what the annotations of the pod and its namespace and
 * the CNI configuration say.  Pure.
 *
 * The sources in their order: the pod's annotation ipam.spidernet.io/ippools, then ippool, then the
 * namespace's default-ipv4-ippool and default-ipv6-ippool, then the CNI configuration, then the
 * cluster's default pools.  The first that says anything is the only one: a family that it leaves
 * out is not looked for further down.
 */
#ifndef AGENT_CHOICE_H
#define AGENT_CHOICE_H

#include "pool/pool.h"
#include "json/json.h"

#define CHOICE_IPPOOLS "ipam.spidernet.io/ippools"
#define CHOICE_IPPOOL "ipam.spidernet.io/ippool"
#define CHOICE_DEFAULT_IPV4 "ipam.spidernet.io/default-ipv4-ippool"
#define CHOICE_DEFAULT_IPV6 "ipam.spidernet.io/default-ipv6-ippool"
#define CHOICE_ROUTES "ipam.spidernet.io/routes"

enum { V4, V6, FAMILIES };

struct choice {                 /* which pools one NIC asks for */
	bool named;             /* false: the cluster's default pools of each family */
	char **pools[FAMILIES]; /* names and patterns in the user's order; owned */
	size_t n[FAMILIES];
	bool clean_gateway; /* an element of ippools wins over the configuration */
	const char *source; /* in words, for errors; static */
	char *unknown;      /* members of the annotation that mean nothing; owned, or NULL */
};

struct choice_input {
	const char *nic;
	const char *ippools, *ippool;            /* pod annotations, "" when absent */
	const char *default_ipv4, *default_ipv6; /* namespace annotations, "" when absent */
	const char *networks; /* k8s.v1.cni.cncf.io/networks, for the place of an unnamed element */
	const json *conf_ipv4, *conf_ipv6; /* lists of the CNI configuration, or NULL */
	bool conf_clean_gateway;
};

/*
 * ERR_CONFIG for what is no list of pools, or none for this NIC: "wrong input: ", the source, what
 * is wrong, and which members are unknown.  *out is owned.
 */
int choose(const struct choice_input *in, struct choice *out, struct err *e) MUST_USE;
void choice_release(struct choice *c);

/*
 * The annotation ipam.spidernet.io/routes: a list of {"dst": CIDR, "gw": address}.  "" has none.
 * *out is owned; host bits of a dst are cleared.  ERR_CONFIG as above.
 */
int routes_read(const char *text, struct pool_route **out, size_t *n, struct err *e) MUST_USE;

#endif
