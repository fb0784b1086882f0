/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result.c - result documents of the protocol's versions, read and written.  The shape of 0.1.0
 * and 0.2.0 ("ip4", "ip6") is refused: no version that we speak may carry it.
 */
#include <stdlib.h>
#include <string.h>

#include "cni/cni.h"

void cni_result_release(struct cni_result *r)
{
	free(r->interfaces);
	free(r->ips);
	free(r->routes);
	json_free(r->dns);
	*r = (struct cni_result){ .dns = NULL };
}

static int read_number(const json *j, const char *key, uint32_t max, uint32_t *out, struct err *e)
{
	int64_t v = *out;

	if (json_opt_i64(j, key, &v, e) < 0)
		return -1;
	if (v < 0 || v > max)
		return err_set(e, ERR_PROTO, "%s: out of range", key);
	*out = (uint32_t)v;
	return 0;
}

static int read_interface(const json *j, struct cni_interface *out, struct err *e)
{
	const char *name = "", *mac = "", *sandbox = "";

	if (json_str(j, "name", &name, e) < 0 || json_opt_str(j, "mac", &mac, e) < 0 ||
	    json_opt_str(j, "sandbox", &sandbox, e) < 0 ||
	    read_number(j, "mtu", UINT32_MAX, &out->mtu, e) < 0)
		return -1;
	if (fmt(out->name, sizeof(out->name), "%s", name) < 0)
		return err_set(e, ERR_PROTO, "name \"%s\" is longer than %zu bytes", name,
		               sizeof(out->name) - 1);
	/* InfiniBand's are longer, and of no use to us */
	if (fmt(out->mac, sizeof(out->mac), "%s", mac) < 0)
		out->mac[0] = '\0';
	out->sandbox = sandbox;
	return 0;
}

/* An optional address; "" counts as none. */
static int read_ip(const json *j, const char *key, struct ip *out, struct err *e)
{
	const char *text = "";

	if (json_opt_str(j, key, &text, e) < 0)
		return -1;
	if (*text && ip_parse(text, out, e) < 0)
		return err_wrap(e, "%s", key);
	return 0;
}

static int read_cidr(const json *j, const char *key, struct cidr *out, struct err *e)
{
	const char *text;

	if (json_str(j, key, &text, e) < 0)
		return -1;
	if (cidr_parse(text, out, e) < 0)
		return err_wrap(e, "%s", key);
	return 0;
}

static int read_address(const json *j, size_t n_interfaces, struct cni_ip *out, struct err *e)
{
	int64_t interface = -1;

	if (read_cidr(j, "address", &out->address, e) < 0 ||
	    read_ip(j, "gateway", &out->gateway, e) < 0 ||
	    json_opt_i64(j, "interface", &interface, e) < 0)
		return -1;
	/* a result without interfaces is an IPAM plugin's, and a number there means nothing */
	if (!n_interfaces && interface >= 0)
		interface = -1;
	if (interface < -1 || (interface >= 0 && (uint64_t)interface >= n_interfaces))
		return err_set(e, ERR_PROTO, "interface: there is no number %lld",
		               (long long)interface);
	out->interface = (int)interface;
	return 0;
}

static int read_route(const json *j, struct cni_route *out, struct err *e)
{
	uint32_t scope = 0;

	if (read_cidr(j, "dst", &out->dst, e) < 0 || read_ip(j, "gw", &out->gw, e) < 0 ||
	    read_number(j, "priority", UINT32_MAX, &out->priority, e) < 0 ||
	    read_number(j, "table", UINT32_MAX, &out->table, e) < 0 ||
	    read_number(j, "mtu", UINT32_MAX, &out->mtu, e) < 0 ||
	    read_number(j, "advmss", UINT32_MAX, &out->advmss, e) < 0 ||
	    read_number(j, "scope", UINT8_MAX, &scope, e) < 0)
		return -1;
	out->has_scope = json_is_number(json_get(j, "scope"));
	out->scope = (uint8_t)scope;
	return 0;
}

/* An optional array of objects; *count its length. */
static int read_list(const json *j, const char *key, const json **out, size_t *count, struct err *e)
{
	*out = NULL;
	if (json_opt_arr(j, key, out, e) < 0)
		return -1;
	json_each(item, *out)
	{
		if (!json_is_object(item))
			return err_set(e, ERR_PROTO, "%s: not an array of objects", key);
	}
	*count = json_count(*out);
	return 0;
}

static int read_into(const json *j, struct cni_result *r, struct err *e)
{
	const json *interfaces, *ips, *routes, *dns = NULL;
	size_t n_interfaces, n_ips, n_routes;

	if (json_get(j, "ip4") || json_get(j, "ip6"))
		return err_set(e, ERR_PROTO, "it has the shape of CNI 0.2.0");
	if (read_list(j, "interfaces", &interfaces, &n_interfaces, e) < 0 ||
	    read_list(j, "ips", &ips, &n_ips, e) < 0 ||
	    read_list(j, "routes", &routes, &n_routes, e) < 0 ||
	    json_opt_obj(j, "dns", &dns, e) < 0)
		return -1;
	r->interfaces = xcalloc(n_interfaces + 1, sizeof(*r->interfaces));
	json_each(i, interfaces)
	{
		if (read_interface(i, &r->interfaces[r->n_interfaces], e) < 0)
			return err_wrap(e, "interfaces[%zu]", r->n_interfaces);
		r->n_interfaces++;
	}
	r->ips = xcalloc(n_ips + 1, sizeof(*r->ips));
	json_each(i, ips)
	{
		if (read_address(i, r->n_interfaces, &r->ips[r->n_ips], e) < 0)
			return err_wrap(e, "ips[%zu]", r->n_ips);
		r->n_ips++;
	}
	r->routes = xcalloc(n_routes + 1, sizeof(*r->routes));
	json_each(i, routes)
	{
		if (read_route(i, &r->routes[r->n_routes], e) < 0)
			return err_wrap(e, "routes[%zu]", r->n_routes);
		r->n_routes++;
	}
	r->dns = json_count(dns) ? json_copy(dns) : NULL;
	return 0;
}

int cni_result_read(const json *j, struct cni_result *out, struct err *e)
{
	struct cni_result r = { .dns = NULL };

	if (!json_is_object(j))
		return err_set(e, ERR_PROTO, "CNI result: not an object");
	if (read_into(j, &r, e) < 0) {
		cni_result_release(&r);
		if (e)
			e->kind = ERR_PROTO; /* whatever the parser of addresses thought */
		return err_wrap(e, "CNI result");
	}
	*out = r;
	return 0;
}

static json *interface_document(const struct cni_interface *i, enum cni_version v)
{
	json *j = json_new_object();

	json_set_str(j, "name", i->name);
	if (*i->mac)
		json_set_str(j, "mac", i->mac);
	if (v >= CNI_1_1_0 && i->mtu)
		json_set_i64(j, "mtu", i->mtu);
	if (i->sandbox && *i->sandbox)
		json_set_str(j, "sandbox", i->sandbox);
	return j;
}

static json *address_document(const struct cni_ip *i, enum cni_version v)
{
	json *j = json_new_object();

	if (v < CNI_1_0_0)
		json_set_str(j, "version", i->address.ip.family == 4 ? "4" : "6");
	if (i->interface >= 0)
		json_set_i64(j, "interface", i->interface);
	json_set_str(j, "address", cidr_str(i->address).s);
	if (i->gateway.family)
		json_set_str(j, "gateway", ip_str(i->gateway).s);
	return j;
}

static void set_number(json *j, const char *key, uint32_t v)
{
	if (v)
		json_set_i64(j, key, v);
}

static json *route_document(const struct cni_route *r, enum cni_version v)
{
	json *j = json_new_object();

	json_set_str(j, "dst", cidr_str(r->dst).s);
	if (r->gw.family)
		json_set_str(j, "gw", ip_str(r->gw).s);
	if (v < CNI_1_1_0)
		return j;
	set_number(j, "mtu", r->mtu);
	set_number(j, "advmss", r->advmss);
	set_number(j, "priority", r->priority);
	set_number(j, "table", r->table);
	if (r->has_scope)
		json_set_i64(j, "scope", r->scope);
	return j;
}

/* Empty lists are left out, as everywhere in the protocol. */
static void set_list(json *doc, const char *key, json *list)
{
	if (json_count(list))
		json_set(doc, key, list);
	else
		json_free(list);
}

json *cni_result_document(const struct cni_result *r, enum cni_version v)
{
	json *doc = json_new_object();
	json *interfaces = json_new_array(), *ips = json_new_array(), *routes = json_new_array();

	json_set_str(doc, "cniVersion", cni_version_text(v));
	for (size_t i = 0; i < r->n_interfaces; i++)
		json_append(interfaces, interface_document(&r->interfaces[i], v));
	for (size_t i = 0; i < r->n_ips; i++)
		json_append(ips, address_document(&r->ips[i], v));
	for (size_t i = 0; i < r->n_routes; i++)
		json_append(routes, route_document(&r->routes[i], v));
	set_list(doc, "interfaces", interfaces);
	set_list(doc, "ips", ips);
	set_list(doc, "routes", routes);
	if (r->dns)
		json_set(doc, "dns", json_copy(r->dns));
	else if (v < CNI_1_0_0)
		json_set(doc, "dns", json_new_object());
	return doc;
}

/* From 1.1.0 on only. */
static void drop_new_members(json *object, const char *const *names)
{
	for (; *names; names++)
		json_remove(object, *names);
}

static json *mutable_array(json *doc, const char *key)
{
	return json_is_array(json_get(doc, key)) ? json_get_mut(doc, key) : NULL;
}

/* Each element of an array, for change: takes them out and puts them back in their order. */
static void each_element(json *array, void (*fn)(json *o, enum cni_version v), enum cni_version v)
{
	for (size_t n = json_count(array); n; n--) {
		json *o = json_detach(array, json_first(array));

		if (json_is_object(o))
			fn(o, v);
		json_append(array, o);
	}
}

static void convert_interface(json *o, enum cni_version v)
{
	static const char *const names[] = { "mtu", "socketPath", "pciID", NULL };

	if (v < CNI_1_1_0)
		drop_new_members(o, names);
}

static void convert_route(json *o, enum cni_version v)
{
	static const char *const names[] = { "mtu", "advmss", "priority", "table", "scope", NULL };

	if (v < CNI_1_1_0)
		drop_new_members(o, names);
}

static void convert_address(json *o, enum cni_version v)
{
	const char *address = json_str_at(o, "address", NULL);

	json_remove(o, "version");
	if (v < CNI_1_0_0 && address)
		json_set_str(o, "version", strchr(address, ':') ? "6" : "4");
}

void cni_result_convert(json *result, enum cni_version v)
{
	const char *has = json_str_at(result, "cniVersion", NULL);

	if (has && streq(has, cni_version_text(v)))
		return;
	json_set_str(result, "cniVersion", cni_version_text(v));
	each_element(mutable_array(result, "interfaces"), convert_interface, v);
	each_element(mutable_array(result, "ips"), convert_address, v);
	each_element(mutable_array(result, "routes"), convert_route, v);
	if (v < CNI_1_0_0 && !json_is_object(json_get(result, "dns")))
		json_set(result, "dns", json_new_object());
}
