/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_delegate.c - see multus_delegate.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/multus_delegate.h"

static const char *const any[MULTUS_FAMILIES] = { "0.0.0.0/0", "::/0" };

static void delegate_release(struct multus_delegate *d)
{
	cni_network_release(&d->network);
	free(d->broken);
	free(d->name);
	json_free(d->request);
	json_free(d->result);
}

void multus_delegates_release(struct multus_delegates *d)
{
	for (size_t i = 0; i < d->n; i++)
		delegate_release(&d->v[i]);
	free(d->v);
	*d = (struct multus_delegates){ NULL, 0 };
}

static struct multus_delegate *append(struct multus_delegates *d)
{
	d->v = xrealloc(d->v, (d->n + 1) * sizeof(*d->v));
	memset(&d->v[d->n], 0, sizeof(*d->v));
	return &d->v[d->n++];
}

/* args.cni of a plugin. */
static void set_cni_args(json *plugin, const json *args)
{
	json *cni = json_ensure_object(json_ensure_object(plugin, "args"), "cni");

	json_each(a, args) json_set(cni, json_name(a), json_copy(a));
}

static void adorn(json *plugin, const char *device_id, const json *args)
{
	json_set_str(plugin, "deviceID", device_id);
	json_set_str(plugin, "pciBusID", device_id);
	if (args)
		set_cni_args(plugin, args);
}

/* Of each plugin of a list. */
static void adorn_all(json *conf, const char *device_id, const json *args)
{
	json *list = json_get_mut(conf, "plugins");

	if (!json_is_array(list)) {
		adorn(conf, device_id, args);
		return;
	}
	for (size_t n = json_count(list); n; n--) {
		json *plugin = json_detach(list, json_first(list));

		if (json_is_object(plugin))
			adorn(plugin, device_id, args);
		json_append(list, plugin);
	}
}

static const json *request_member(const struct multus_delegate *d, const char *key)
{
	const json *v = json_get(d->request, key);

	return v && !json_is_null(v) ? v : NULL;
}

static const char *request_text(const struct multus_delegate *d, const char *key)
{
	const json *v = request_member(d, key);

	return v && json_is_string(v) ? json_text(v) : "";
}

int multus_delegate_add(struct multus_delegates *d, json *conf, const char *net_name,
                        const char *device_id, json *request, enum cni_version version,
                        struct err *e)
{
	struct multus_delegate *one = append(d);
	const json *args;

	one->request = request;
	args = request_member(one, "cni-args");
	if (json_is_object(conf) && (device_id || args))
		adorn_all(conf, device_id, args);
	if (cni_network_read(conf, net_name, version, &one->network, e) < 0)
		return -1;
	one->name = request ? xasprintf("%s/%s", request_text(one, "namespace"),
	                                request_text(one, "name"))
	                    : xstrdup(one->network.name);
	return 0;
}

bool multus_gateway(const struct multus_delegate *d, int family, struct ip *out)
{
	json_each(v, request_member(d, "default-route"))
	{
		struct ip ip;

		if (json_is_string(v) && ip_parse(json_text(v), &ip, NULL) == 0 &&
		    (ip.family == 6) == (family == MULTUS_V6)) {
			*out = ip;
			return true;
		}
	}
	return false;
}

static int set_filters(struct multus_delegates *d, struct err *e)
{
	bool wanted = false;
	struct ip ip;

	for (size_t i = 0; i < d->n; i++)
		wanted = wanted || request_member(&d->v[i], "default-route");
	for (int f = 0; f < MULTUS_FAMILIES && wanted; f++) {
		size_t gateways = 0;

		for (size_t i = 0; i < d->n; i++) {
			json_each(v, request_member(&d->v[i], "default-route"))
			{
				gateways += !strchr(json_text(v), ':') == (f == MULTUS_V4);
			}
			d->v[i].filter[f] = !multus_gateway(&d->v[i], f, &ip);
		}
		if (gateways > 1)
			return err_set(e, ERR_CONFIG,
			               "default-route: %zu gateways of IPv%d, and there can be one",
			               gateways, f == MULTUS_V4 ? 4 : 6);
	}
	return 0;
}

static int set_ifname(struct multus_delegates *d, size_t i, const char *ifname, struct err *e)
{
	struct multus_delegate *one = &d->v[i];
	const char *wanted = request_text(one, "interface");
	int rc;

	if (*wanted)
		rc = fmt(one->ifname, sizeof(one->ifname), "%s", wanted);
	else if (one->is_master)
		rc = fmt(one->ifname, sizeof(one->ifname), "%s", ifname);
	else
		rc = fmt(one->ifname, sizeof(one->ifname), "net%zu", i);
	if (rc < 0)
		return err_set(e, ERR_CONFIG, "network %s: interface \"%s\" is too long a name",
		               one->name, wanted);
	for (size_t k = 0; k < i; k++)
		if (streq(d->v[k].ifname, one->ifname))
			return err_set(e, ERR_CONFIG,
			               "networks %s and %s both want to be interface %s",
			               d->v[k].name, one->name, one->ifname);
	return 0;
}

int multus_delegates_finish(struct multus_delegates *d, const char *ifname, struct err *e)
{
	for (size_t i = 0; i < d->n; i++) {
		d->v[i].is_master = i == 0;
		if (!d->v[i].broken && set_ifname(d, i, ifname, e) < 0)
			return -1;
	}
	return set_filters(d, e);
}

/* CNI_ARGS. */
static bool has_arg(const char *list, const char *pair, size_t len)
{
	while (*list) {
		size_t n = strcspn(list, ";");

		if (n > len && strncmp(list, pair, len) == 0 && list[len] == '=')
			return true;
		list += n + (list[n] == ';');
	}
	return false;
}

char *multus_args(const struct cni_call *c, const char *infra_id, const struct multus_delegate *d)
{
	const json *ips = request_member(d, "ips");
	const char *mac = request_text(d, "mac");
	AUTO_STR out = STR_INIT;

	str_addf(&out,
	         "IgnoreUnknown=true;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;"
	         "K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s",
	         c->pod_namespace, c->pod_name, infra_id, c->pod_uid);
	for (const char *p = c->args; *p;) {
		size_t n = strcspn(p, ";"), key = strcspn(p, "=;");

		if (key < n && !has_arg(out.data, p, key)) {
			str_addc(&out, ';');
			str_addn(&out, p, n);
		}
		p += n + (p[n] == ';');
	}
	if (*mac)
		str_addf(&out, ";MAC=%s", mac);
	if (ips)
		str_add(&out, ";IP=");
	json_each(ip, ips) str_addf(&out, "%s%s", ip == json_first(ips) ? "" : ",", json_text(ip));
	return str_take(&out);
}

/* Capability arguments: names in a network's request, and as the plugins know them. */
static const struct {
	char request[16], name[16];
} capabilities[] = {
	{ "portMappings", "portMappings" },
	{ "bandwidth", "bandwidth" },
	{ "ips", "ips" },
	{ "mac", "mac" },
	{ "infiniband-guid", "infinibandGUID" },
	{ "deviceID", "deviceID" },
};

static bool is_empty(const json *v)
{
	return json_is_string(v) ? !*json_text(v) : !json_first(v);
}

json *multus_capability_args(const json *runtime_config, const struct multus_delegate *d)
{
	json *out = json_new_object();

	for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
		const json *v = d->is_master ? NULL : request_member(d, capabilities[i].request);

		if (!v || (json_is_string(v) && is_empty(v)))
			v = json_get(runtime_config, capabilities[i].name);
		if (v && !json_is_null(v) && !is_empty(v))
			json_set(out, capabilities[i].name, json_copy(v));
	}
	return out;
}

/*
 * The file for DEL.  Members are those of Multus's own structure: Conf or ConfList, and the
 * configuration as text in Bytes, which is what counts; portMappings and bandwidth are ours, it
 * forgets them.
 */
static const struct {
	char request[16], name[22];
} kept[] = {
	{ "interface", "ifnameRequest" },
	{ "mac", "macRequest" },
	{ "infiniband-guid", "infinibandGUIDRequest" },
	{ "ips", "ipRequest" },
	{ "default-route", "default-route" },
	{ "deviceID", "deviceID" },
	{ "portMappings", "portMappingsRequest" },
	{ "bandwidth", "bandwidthRequest" },
};

int multus_scratch_write(const struct multus_delegates *d, struct str *out, struct err *e)
{
	AUTO_JSON *list = json_new_array();

	for (size_t i = 0; i < d->n; i++) {
		const struct multus_delegate *one = &d->v[i];
		json *o = json_new_object();
		AUTO_STR text = STR_INIT;
		AUTO_STR encoded = STR_INIT;

		json_print(one->network.conf, &text);
		base64_encode(text.data, text.len, &encoded);
		json_set(o, one->network.is_list ? "ConfList" : "Conf",
		         json_copy(one->network.conf));
		json_set_str(o, "Name", one->name);
		for (size_t k = 0; k < ARRAY_LEN(kept); k++) {
			const json *v = request_member(one, kept[k].request);

			if (v)
				json_set(o, kept[k].name, json_copy(v));
		}
		json_set_bool(o, "IsFilterV4Gateway", one->filter[MULTUS_V4]);
		json_set_bool(o, "IsFilterV6Gateway", one->filter[MULTUS_V6]);
		json_set_str(o, "Bytes", encoded.data);
		json_append(list, o);
		if (json_depth(list) > JSON_DEPTH_MAX)
			return err_set(e, ERR_CONFIG,
			               "network %s: its configuration, or what the pod asks of it, "
			               "is nested deeper than %d levels",
			               one->name, JSON_DEPTH_MAX - 2);
	}
	json_print(list, out);
	return 0;
}

static int read_kept(const json *o, enum cni_version version, struct multus_delegate *one,
                     struct err *e)
{
	const char *bytes = "", *name = "", *slash;
	AUTO_STR text = STR_INIT;
	const json *list;
	json *conf = NULL;

	one->request = json_new_object();
	for (size_t k = 0; k < ARRAY_LEN(kept); k++) {
		const json *v = json_get(o, kept[k].name);

		if (v)
			json_set(one->request, kept[k].request, json_copy(v));
	}
	IGNORE(json_opt_str(o, "Name", &name, NULL));
	one->name = xstrdup(name);
	slash = strchr(name, '/');
	if (slash) {
		AUTO_FREE char *ns = xstrndup(name, (size_t)(slash - name));

		json_set_str(one->request, "namespace", ns);
		json_set_str(one->request, "name", slash + 1);
	}
	if (json_opt_strs(one->request, "ips", &list, e) < 0 ||
	    json_opt_strs(one->request, "default-route", &list, e) < 0 ||
	    json_str(o, "Bytes", &bytes, e) < 0 ||
	    base64_decode(bytes, strlen(bytes), &text, e) < 0 ||
	    json_parse(text.data, text.len, 0, &conf, e) < 0 ||
	    cni_network_read_kept(conf, slash ? slash + 1 : name, version, &one->network, e) < 0)
		return -1;
	if (!slash) {
		free(one->name);
		one->name = xstrdup(one->network.name);
	}
	return 0;
}

int multus_scratch_read(const char *text, size_t len, enum cni_version version, const char *ifname,
                        struct multus_delegates *out, struct err *e)
{
	AUTO_MULTUS_DELEGATES d = { NULL, 0 };
	AUTO_JSON *list = NULL;

	if (json_parse(text, len, 0, &list, e) < 0)
		return -1;
	if (!json_is_array(list) || !json_first(list))
		return err_set(e, ERR_PROTO, "not a list of networks");
	json_each(o, list)
	{
		struct multus_delegate *one = append(&d);
		struct err why;

		if (read_kept(o, version, one, &why) == 0)
			continue;
		one->broken = xstrdup(why.msg);
		json_free(one->request);
		one->request = NULL;
	}
	if (multus_delegates_finish(&d, ifname, e) < 0)
		return -1;
	*out = d;
	d = (struct multus_delegates){ NULL, 0 };
	return 0;
}

/* Results. */
static int default_family(const json *route)
{
	const char *dst = json_str_at(route, "dst", NULL);
	struct cidr c;

	if (!dst || cidr_parse(dst, &c, NULL) < 0 || c.len)
		return -1;
	return c.ip.family == 4 ? MULTUS_V4 : MULTUS_V6;
}

void multus_filter_result(json *result, const struct multus_delegate *d)
{
	struct ip gateway[MULTUS_FAMILIES];
	bool wanted[MULTUS_FAMILIES];
	json *routes;

	for (int f = 0; f < MULTUS_FAMILIES; f++)
		wanted[f] = multus_gateway(d, f, &gateway[f]);
	if (!json_is_array(json_get(result, "routes"))) {
		if (!wanted[MULTUS_V4] && !wanted[MULTUS_V6])
			return;
		json_set(result, "routes", json_new_array());
	}
	routes = json_get_mut(result, "routes");
	for (size_t n = json_count(routes); n; n--) {
		json *route = json_detach(routes, json_first(routes));
		int f = default_family(route);

		if (f >= 0 && (d->filter[f] || wanted[f]))
			json_free(route);
		else
			json_append(routes, route);
	}
	for (int f = 0; f < MULTUS_FAMILIES; f++) {
		json *route;

		if (!wanted[f])
			continue;
		route = json_new_object();
		json_set_str(route, "dst", any[f]);
		json_set_str(route, "gw", ip_str(gateway[f]).s);
		json_append(routes, route);
	}
	if (!json_first(routes))
		json_remove(result, "routes");
}

/* The status, in the order and indentation of Multus. */
static void add_address(json *ips, const json *ip)
{
	const char *text = json_str_at(ip, "address", NULL);
	struct cidr c;

	if (text && cidr_parse(text, &c, NULL) == 0)
		json_append_str(ips, ip_str(c.ip).s);
}

/* interface: the place of the entry's in the result, -1: all addresses belong to it. */
static json *addresses_of(const json *result, int64_t interface)
{
	json *ips = json_new_array();

	json_each(ip, json_get(result, "ips"))
	{
		int64_t its = -1;

		IGNORE(json_opt_i64(ip, "interface", &its, NULL));
		if (interface < 0 || its == interface)
			add_address(ips, ip);
	}
	return ips;
}

/* Of a route without one, it is that of an address of its family. */
static json *gateways_of(const json *result)
{
	json *list = json_new_array();

	json_each(route, json_get(result, "routes"))
	{
		const char *gw = json_str_at(route, "gw", NULL);
		int f = default_family(route);

		if (f >= 0 && gw)
			json_append_str(list, gw);
	}
	return list;
}

static void set_list(json *o, const char *key, json *list)
{
	if (json_first(list))
		json_set(o, key, list);
	else
		json_free(list);
}

static void set_dns(json *o, const json *result)
{
	static const char *const keys[] = { "nameservers", "domain", "search", "options" };
	const json *dns = json_get(result, "dns");
	json *out = json_ensure_object(o, "dns");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json *v = json_get(dns, keys[i]);

		if (v && !json_is_null(v) && !is_empty(v))
			json_set(out, keys[i], json_copy(v));
	}
}

static void add_entry(struct str *out, const struct multus_delegate *d, const json *result,
                      const json *interface, int64_t place, bool first)
{
	const char *mac = json_str_at(interface, "mac", NULL);
	AUTO_JSON *o = json_new_object();
	int64_t mtu = 0;

	json_set_str(o, "name", d->name);
	json_set_str(o, "interface", json_str_at(interface, "name", NULL));
	set_list(o, "ips", addresses_of(result, place));
	if (mac && *mac)
		json_set_str(o, "mac", mac);
	IGNORE(json_opt_i64(interface, "mtu", &mtu, NULL));
	if (mtu > 0)
		json_set_i64(o, "mtu", mtu);
	if (d->is_master && first)
		json_set_bool(o, "default", true);
	set_dns(o, result);
	if (first)
		set_list(o, "gateway", gateways_of(result));
	str_addc(out, out->len ? ',' : '[');
	json_print_indented(o, 4, out);
}

void multus_status_add(struct str *out, const struct multus_delegate *d, const json *result)
{
	const json *interfaces = json_get(result, "interfaces"), *only = json_first(interfaces);
	bool alone = json_count(interfaces) <= 1, first = true;
	int64_t place = 0;

	/* a single one without a sandbox is the node's, and not told of */
	if (alone && only && !json_str_at(only, "sandbox", NULL))
		only = NULL;
	if (alone)
		add_entry(out, d, result, only, -1, true);
	json_each(i, interfaces)
	{
		const char *sandbox = json_str_at(i, "sandbox", NULL);

		if (!alone && sandbox && *sandbox) {
			add_entry(out, d, result, i, place, first);
			first = false;
		}
		place++;
	}
}
