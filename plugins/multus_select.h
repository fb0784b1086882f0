/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_select.h - the annotations by which a pod selects networks (Kubernetes Network Plumbing
 * Working Group, "Network Custom Resource Definition De-facto Standard" 1.3, section 4.1).  Pure.
 */
#ifndef PLUGINS_MULTUS_SELECT_H
#define PLUGINS_MULTUS_SELECT_H

#include "json/json.h"

#define MULTUS_NETWORKS "k8s.v1.cni.cncf.io/networks"
#define MULTUS_DEFAULT_NETWORK "v1.multus-cni.io/default-network"
#define MULTUS_STATUS "k8s.v1.cni.cncf.io/network-status"

#define MULTUS_NETWORKS_MAX 64 /* of one pod */

/*
 * Both forms: "[namespace/]name[@interface]" separated by commas, and a JSON list.  *out is an
 * owned array of objects, at least one: name, namespace (default_ns where none was given), and what
 * else was given of interface, ips, mac, infiniband-guid, portMappings, bandwidth, deviceID,
 * cni-args, default-route, checked.  ERR_CONFIG.
 */
int multus_select(const char *text, const char *default_ns, json **out, struct err *e) MUST_USE;

#endif
