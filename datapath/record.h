/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - what an ADD of the coordinator made, for its DEL and for who keeps it alive meanwhile:
 * DIR/datapath/<container id>-<ifname>.json.  Replaced as a whole; a cache, good for the boot that
 * it names: everything it tells of dies with the kernel.
 */
#ifndef DATAPATH_RECORD_H
#define DATAPATH_RECORD_H

#include <net/if.h>

#include "net/link.h"

/* Of one interface (NIC) of one pod.  Strings owned when read, borrowed when written; arrays
 * likewise. */
struct datapath_record {
	char *container_id, *ifname, *netns, *boot_id;
	uint64_t netns_inode; /* 0: unknown */
	bool overlay;         /* joined by the pod's eth0, made by another plugin; else by veth0 */
	bool first;           /* it made the pair, or is the overlay pod's first further NIC */
	/* it was the first with addresses of that family: see struct coordinator_facts */
	bool lead4, lead6;
	char pod_link[IFNAMSIZ];      /* in the pod: veth0, or eth0 in overlay mode */
	char host_link[IFNAMSIZ];     /* its peer on the node */
	int host_index;               /* of that peer; 0: unknown, the record is an older one */
	struct mac pod_mac, host_mac; /* of these two */
	uint32_t table;               /* this NIC's own in the pod */
	uint32_t host_table;          /* on the node: routes to pods */
	struct ip *pod_ips;           /* this NIC's */
	size_t n_pod_ips;
	/* the node's that the pod has routes to; the first of each family is the gateway */
	struct ip *node_ips;
	size_t n_node_ips;
	struct ip src;       /* IPv4, of the pod's routes over pod_link; family 0: none */
	struct cidr *hijack; /* destinations that the pod sends to that gateway */
	size_t n_hijack;
	/* policyRoutes: where to, and by which gateway */
	struct cidr *policy;
	struct ip *policy_gws;
	size_t n_policy;
	bool tuned; /* tunePodRoutes; older records do not tell, and it is the usual */
	char default_route_nic[IFNAMSIZ]; /* podDefaultRouteNic, "" for the first */
};

#define AUTO_DATAPATH_RECORD                                                                       \
	__attribute__((cleanup(datapath_record_release))) struct datapath_record

void datapath_record_release(struct datapath_record *r);
/* Atomic, not durable.  ERR_CONFIG when the names cannot be those of a file. */
int datapath_record_write(const char *dir, const struct datapath_record *r, struct err *e) MUST_USE;
/* The same for one that is not there: ERR_EXISTS. */
int datapath_record_create(const char *dir, const struct datapath_record *r,
                           struct err *e) MUST_USE;
/* The same for one that is there.  ERR_NOT_FOUND when it was removed: it does not come back. */
int datapath_record_replace(const char *dir, const struct datapath_record *r,
                            struct err *e) MUST_USE;
/* ERR_NOT_FOUND when there is none; ERR_PROTO or ERR_CONFIG when it is no record. */
int datapath_record_read(const char *dir, const char *container_id, const char *ifname,
                         struct datapath_record *out, struct err *e) MUST_USE;
/* Owned array, sorted by file name; what is no record is renamed to NAME.bad and told in the log.
 */
int datapath_record_list(const char *dir, struct datapath_record **out, size_t *count,
                         struct err *e) MUST_USE;
/* Absent is success. */
int datapath_record_remove(const char *dir, const char *container_id, const char *ifname,
                           struct err *e) MUST_USE;

#endif
