/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipvlan_conf.c - the pure half of the ipvlan plugin.
 */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugins/ipvlan_conf.h"

const char ipvlan_conf_keys[] =
	"type master ipam mtu mode flag linkInContainer dns name cniVersion cniVersions "
	"capabilities "
	"runtimeConfig args prevResult cni.dev/* deviceID pciBusID";

static const char modes[][4] = {
	[IPVLAN_MODE_L2] = "l2",
	[IPVLAN_MODE_L3] = "l3",
	[IPVLAN_MODE_L3S] = "l3s",
};

const char *ipvlan_mode_text(int mode)
{
	return mode >= 0 && (size_t)mode < ARRAY_LEN(modes) ? modes[mode] : "unknown";
}

static const char flags[][8] = {
	[0] = "bridge",
	[IPVLAN_F_PRIVATE] = "private",
	[IPVLAN_F_VEPA] = "vepa",
};

const char *ipvlan_flag_text(int flag)
{
	return flag >= 0 && (size_t)flag < ARRAY_LEN(flags) ? flags[flag] : "unknown";
}

static int read_flag(const char *text, int *out, struct err *e)
{
	*out = 0;
	if (streq(text, ""))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (streq(text, flags[i])) {
			*out = (int)i;
			return 0;
		}
	return err_set(e, ERR_CONFIG, "flag: \"%s\" is not one of bridge, private and vepa", text);
}

static int read_mode(const char *text, int *out, struct err *e)
{
	*out = IPVLAN_MODE_L2;
	if (streq(text, ""))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (streq(text, modes[i])) {
			*out = (int)i;
			return 0;
		}
	return err_set(e, ERR_CONFIG, "mode: \"%s\" is not one of l2, l3 and l3s", text);
}

int ipvlan_conf_read(const json *conf, struct ipvlan_conf *out, struct err *e)
{
	struct ipvlan_conf c = { .master = "", .ipam_type = "" };
	const json *ipam = NULL;
	const char *mode = "", *flag = "";
	int64_t mtu = 0;
	struct err mine;

	if (!e)
		e = &mine;
	if (json_opt_str(conf, "master", &c.master, e) < 0 ||
	    json_opt_str(conf, "mode", &mode, e) < 0 || json_opt_str(conf, "flag", &flag, e) < 0 ||
	    json_opt_i64(conf, "mtu", &mtu, e) < 0 ||
	    json_opt_bool(conf, "linkInContainer", &c.link_in_container, e) < 0 ||
	    json_opt_obj(conf, "dns", &c.dns, e) < 0 || json_opt_obj(conf, "ipam", &ipam, e) < 0) {
		e->kind = ERR_CONFIG;
		return -1;
	}
	if (ipam && json_opt_str(ipam, "type", &c.ipam_type, e) < 0) {
		e->kind = ERR_CONFIG;
		return err_wrap(e, "ipam");
	}
	if (read_mode(mode, &c.mode, e) < 0 || read_flag(flag, &c.flags, e) < 0)
		return -1;
	if (mtu < 0 || mtu > IPVLAN_MTU_MAX)
		return err_set(e, ERR_CONFIG, "mtu: %lld is not between 0 and %d", (long long)mtu,
		               IPVLAN_MTU_MAX);
	c.mtu = (uint32_t)mtu;
	*out = c;
	return 0;
}

int ipvlan_check_mtu(const struct ipvlan_conf *c, const struct link *master, struct err *e)
{
	if (c->mtu <= master->mtu)
		return 0;
	return err_set(e, ERR_CONFIG, "mtu: %u is larger than %u, that of master %s", c->mtu,
	               master->mtu, master->name);
}

const char *ipvlan_ipam_type(const json *conf)
{
	const char *type = json_str_at(conf, "ipam", "type", NULL);

	return type ? type : "";
}

int ipvlan_chained_master(const struct cni_result *prev, const char **out, struct err *e)
{
	if (prev->n_interfaces != 1 || !prev->interfaces[0].name[0])
		return err_set(
			e, ERR_CONFIG,
			"master: not given, and prevResult has %zu interfaces to choose from",
			prev->n_interfaces);
	*out = prev->interfaces[0].name;
	return 0;
}

int ipvlan_default_master(const struct route *routes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (routes[i].dst.len == 0 && routes[i].oif && !routes[i].multipath &&
		    routes[i].type == RTN_UNICAST)
			return routes[i].oif;
	return 0;
}

const struct cni_ip *ipvlan_own_address(const struct cni_result *r, const struct addr *node,
                                        size_t count)
{
	for (size_t i = 0; i < r->n_ips; i++)
		for (size_t k = 0; k < count; k++)
			if (ip_equal(r->ips[i].address.ip, node[k].local.ip))
				return &r->ips[i];
	return NULL;
}

void ipvlan_result(struct cni_result *r, const struct link *l, const char *sandbox, const json *dns)
{
	struct cni_interface *i = xcalloc(1, sizeof(*i));

	snprintf(i->name, sizeof(i->name), "%s", l->name);
	if (l->has_mac)
		snprintf(i->mac, sizeof(i->mac), "%s", mac_str(l->mac).s);
	i->sandbox = sandbox;
	i->mtu = l->mtu;
	free(r->interfaces);
	r->interfaces = i;
	r->n_interfaces = 1;
	for (size_t k = 0; k < r->n_ips; k++)
		r->ips[k].interface = 0;
	if (json_first(dns)) {
		json_free(r->dns);
		r->dns = json_copy(dns);
	}
}

struct route ipvlan_route(const struct cni_result *r, const struct cni_route *route, int oif)
{
	struct route t = { .dst = cidr_network(route->dst), .gw = route->gw, .oif = oif };

	/* none where the route says that it is on-link */
	for (size_t i = 0; i < r->n_ips && !t.gw.family && route->scope < RT_SCOPE_LINK; i++)
		if (r->ips[i].gateway.family == t.dst.ip.family)
			t.gw = r->ips[i].gateway;
	t.table = route->table;
	t.priority = route->priority;
	if (route->has_scope)
		t.scope = route->scope;
	else if (!t.gw.family)
		t.scope = RT_SCOPE_LINK;
	return t;
}
