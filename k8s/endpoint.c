/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.c - SpiderEndpoint objects to values, and whole objects or patches back.
 *
 * The kind has no status subresource: its status is written with the object, and patched like any
 * other member.
 */
#include <stdlib.h>
#include <string.h>

#include "k8s/endpoint.h"
#include "k8s/ippool.h"

static void release_ip(struct endpoint_ip *ip)
{
	free(ip->interface);
	free(ip->ipv4_pool);
	free(ip->ipv6_pool);
	free(ip->routes);
}

void endpoint_release(struct endpoint *ep)
{
	for (size_t i = 0; i < ep->n_ips; i++)
		release_ip(&ep->ips[i]);
	free(ep->ips);
	free(ep->namespace);
	free(ep->name);
	free(ep->pod_uid);
	free(ep->node);
	free(ep->owner_type);
	free(ep->owner_name);
	memset(ep, 0, sizeof(*ep));
}

#define AUTO_ENDPOINT __attribute__((cleanup(endpoint_release))) struct endpoint

static char *text_or_empty(const json *o, const char *key)
{
	const char *s = json_str_at(o, key, NULL);

	return xstrdup(s ? s : "");
}

/* "" is as good as absent. */
static int read_text(const json *o, const char *key, const char **out, struct err *e)
{
	const char *s = NULL;

	if (json_opt_str(o, key, &s, e) < 0)
		return -1;
	*out = s && *s ? s : NULL;
	return 0;
}

static int read_family(const json *o, uint8_t family, struct cidr *address, char **pool,
                       struct ip *gateway, struct err *e)
{
	const char *keys[][3] = { { "ipv4", "ipv4Pool", "ipv4Gateway" },
		                  { "ipv6", "ipv6Pool", "ipv6Gateway" } };
	const char *const *key = keys[family == 6];
	const char *text[3] = { NULL, NULL, NULL };

	for (int i = 0; i < 3; i++)
		if (read_text(o, key[i], &text[i], e) < 0)
			return -1;
	if (text[0]) {
		if (cidr_parse(text[0], address, e) < 0)
			return err_wrap(e, "%s", key[0]);
		if (address->ip.family != family)
			return err_set(e, ERR_PROTO, "%s: %s is of the other family", key[0],
			               text[0]);
	}
	if (text[2]) {
		if (ip_parse(text[2], gateway, e) < 0)
			return err_wrap(e, "%s", key[2]);
		if (gateway->family != family)
			return err_set(e, ERR_PROTO, "%s: %s is of the other family", key[2],
			               text[2]);
	}
	*pool = text[1] ? xstrdup(text[1]) : NULL;
	return 0;
}

static int read_routes(const json *o, struct endpoint_ip *ip, struct err *e)
{
	const json *list = NULL;

	if (json_opt_arr(o, "routes", &list, e) < 0)
		return -1;
	ip->routes = xcalloc(json_count(list), sizeof(*ip->routes));
	json_each(item, list)
	{
		struct pool_route *r = &ip->routes[ip->n_routes];
		const char *dst, *gw;

		if (json_str(item, "dst", &dst, e) < 0 || json_str(item, "gw", &gw, e) < 0 ||
		    cidr_parse(dst, &r->dst, e) < 0 || ip_parse(gw, &r->gw, e) < 0)
			return err_wrap(e, "routes");
		ip->n_routes++;
	}
	return 0;
}

/* What it allocates belongs to *ip also when it fails. */
static int read_ip(const json *o, struct endpoint_ip *ip, struct err *e)
{
	ip->interface = text_or_empty(o, "interface");
	if (read_family(o, 4, &ip->ipv4, &ip->ipv4_pool, &ip->ipv4_gateway, e) < 0 ||
	    read_family(o, 6, &ip->ipv6, &ip->ipv6_pool, &ip->ipv6_gateway, e) < 0 ||
	    json_opt_bool(o, "cleanGateway", &ip->clean_gateway, e) < 0 ||
	    read_routes(o, ip, e) < 0)
		return err_wrap(e, "\"%s\"", ip->interface);
	return 0;
}

static int read_status(const json *status, struct endpoint *ep, struct err *e)
{
	const json *current = json_get(status, "current"), *list = NULL;

	ep->pod_uid = text_or_empty(current, "uid");
	ep->node = text_or_empty(current, "node");
	ep->owner_type = text_or_empty(status, "ownerControllerType");
	ep->owner_name = text_or_empty(status, "ownerControllerName");
	if (json_opt_arr(current, "ips", &list, e) < 0)
		return -1;
	ep->ips = xcalloc(json_count(list), sizeof(*ep->ips));
	json_each(item, list)
	{
		if (!json_is_object(item))
			return err_set(e, ERR_PROTO, "ips: not an array of objects");
		if (read_ip(item, &ep->ips[ep->n_ips++], e) < 0)
			return err_wrap(e, "ips");
	}
	return 0;
}

int endpoint_read(const json *object, struct endpoint *out, struct err *e)
{
	const json *metadata = json_get(object, "metadata");
	AUTO_ENDPOINT ep = { .namespace = NULL };

	ep.namespace = text_or_empty(metadata, "namespace");
	ep.name = text_or_empty(metadata, "name");
	if (!*ep.name || !*ep.namespace)
		return err_set(e, ERR_PROTO, "a SpiderEndpoint without a name or a namespace");
	if (read_status(json_get(object, "status"), &ep, e) < 0) {
		if (e)
			e->kind = ERR_PROTO;
		return err_wrap(e, "SpiderEndpoint %s/%s: status.current", ep.namespace, ep.name);
	}
	*out = ep;
	memset(&ep, 0, sizeof(ep));
	return 0;
}

static void put_family(json *o, uint8_t family, const struct cidr *address, const char *pool,
                       const struct ip *gateway)
{
	bool v6 = family == 6;

	if (address->ip.family)
		json_set_str(o, v6 ? "ipv6" : "ipv4", cidr_str(*address).s);
	if (pool && *pool)
		json_set_str(o, v6 ? "ipv6Pool" : "ipv4Pool", pool);
	if (gateway->family)
		json_set_str(o, v6 ? "ipv6Gateway" : "ipv4Gateway", ip_str(*gateway).s);
}

static json *ip_object(const struct endpoint_ip *ip)
{
	json *o = json_new_object();
	json *routes;

	json_set_str(o, "interface", ip->interface ? ip->interface : "");
	put_family(o, 4, &ip->ipv4, ip->ipv4_pool, &ip->ipv4_gateway);
	put_family(o, 6, &ip->ipv6, ip->ipv6_pool, &ip->ipv6_gateway);
	if (ip->ipv4_gateway.family || ip->ipv6_gateway.family)
		json_set_bool(o, "cleanGateway", ip->clean_gateway);
	if (!ip->n_routes)
		return o;
	routes = json_new_array();
	for (size_t i = 0; i < ip->n_routes; i++) {
		json *r = json_new_object();

		json_set_str(r, "dst", cidr_str(ip->routes[i].dst).s);
		json_set_str(r, "gw", ip_str(ip->routes[i].gw).s);
		json_append(routes, r);
	}
	json_set(o, "routes", routes);
	return o;
}

static void put_status(json *object, const struct endpoint *ep)
{
	json *status = json_ensure_object(object, "status");
	json *current = json_ensure_object(status, "current");
	json *ips = json_new_array();
	bool owned = ep->owner_type && *ep->owner_type;

	json_set_str(current, "uid", ep->pod_uid ? ep->pod_uid : "");
	json_set_str(current, "node", ep->node ? ep->node : "");
	for (size_t i = 0; i < ep->n_ips; i++)
		json_append(ips, ip_object(&ep->ips[i]));
	json_set(current, "ips", ips);
	/* both are required: a pod that nobody controls stands for itself */
	json_set_str(status, "ownerControllerType", owned ? ep->owner_type : "Pod");
	json_set_str(status, "ownerControllerName",
	             owned && ep->owner_name ? ep->owner_name : ep->name);
}

json *endpoint_object(const struct endpoint *ep)
{
	json *object = json_new_object(), *metadata, *list, *owner;

	json_set_str(object, "apiVersion", "spiderpool.spidernet.io/v2beta1");
	json_set_str(object, "kind", "SpiderEndpoint");
	metadata = json_ensure_object(object, "metadata");
	json_set_str(metadata, "namespace", ep->namespace);
	json_set_str(metadata, "name", ep->name);
	list = json_new_array();
	json_append_str(list, SPIDERPOOL_FINALIZER);
	json_set(metadata, "finalizers", list);
	/* it goes with its pod; not as a controller, of which an object has one */
	owner = json_new_object();
	json_set_str(owner, "apiVersion", "v1");
	json_set_str(owner, "kind", "Pod");
	json_set_str(owner, "name", ep->name);
	json_set_str(owner, "uid", ep->pod_uid);
	list = json_new_array();
	json_append(list, owner);
	json_set(metadata, "ownerReferences", list);
	put_status(object, ep);
	return object;
}

json *endpoint_patch(const struct endpoint *ep)
{
	json *patch = json_new_object();

	put_status(patch, ep);
	return patch;
}
