/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - SpiderEndpoint objects (spiderpool.spidernet.io/v2beta1).
 */
#ifndef K8S_ENDPOINT_H
#define K8S_ENDPOINT_H

#include "pool/pool.h"
#include "json/json.h"

struct endpoint_ip {
	char *interface;
	struct cidr ipv4, ipv6;      /* ip.family 0: none */
	char *ipv4_pool, *ipv6_pool; /* NULL: none */
	struct ip ipv4_gateway, ipv6_gateway;
	bool clean_gateway;
	struct pool_route *routes;
	size_t n_routes;
};

struct endpoint {
	char *namespace, *name, *pod_uid, *node;
	char *owner_type, *owner_name; /* the controller, or "Pod" and the pod's own name */
	struct endpoint_ip *ips;
	size_t n_ips;
};

void endpoint_release(struct endpoint *ep);
int endpoint_read(const json *object, struct endpoint *out, struct err *e) MUST_USE;
/* A whole new object, with our finalizer and an ownerReference to the pod; owned. */
json *endpoint_object(const struct endpoint *ep);
/* The patch that sets its status; owned. */
json *endpoint_patch(const struct endpoint *ep);

#endif
