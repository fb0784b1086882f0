/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ifacer_conf.c - the pure half of the ifacer plugin.
 */
#include "plugins/ifacer_conf.h"

#define VLAN_MAX 4094 /* IEEE 802.1Q; 0 is no VLAN here */

const char ifacer_conf_keys[] =
	"type interfaces vlanID bond name cniVersion cniVersions capabilities runtimeConfig args "
	"prevResult cni.dev/* dns ipam logOptions";

static int read_interfaces(const json *conf, struct ifacer_conf *c, struct err *e)
{
	const json *list = NULL;

	if (json_opt_strs(conf, "interfaces", &list, e) < 0)
		return -1;
	json_each(name, list)
	{
		const char *text = json_text(name);

		if (!*text)
			return err_set(e, ERR_CONFIG, "interfaces: a name is empty");
		for (size_t i = 0; i < c->n; i++)
			if (streq(c->interfaces[i], text))
				return err_set(e, ERR_CONFIG, "interfaces: %s is given twice",
				               text);
		if (c->n == IFACER_INTERFACES_MAX)
			return err_set(e, ERR_CONFIG, "interfaces: there are more than %d",
			               IFACER_INTERFACES_MAX);
		c->interfaces[c->n++] = text;
	}
	return c->n ? 0 : err_set(e, ERR_CONFIG, "interfaces: none is given");
}

/* A number, or a name. */
static int read_mode(const json *bond, struct bond *b, struct err *e)
{
	const json *mode = json_get(bond, "mode");
	AUTO_FREE char *number = NULL;
	int64_t v = 0;

	if (json_is_string(mode))
		return bond_option(b, "mode", json_text(mode), e);
	if (json_opt_i64(bond, "mode", &v, e) < 0)
		return -1;
	number = xasprintf("%lld", (long long)v);
	return bond_option(b, "mode", number, e);
}

static bool is_one_of(const struct ifacer_conf *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (streq(c->interfaces[i], name))
			return true;
	return !*name;
}

static int read_bond(const json *bond, struct ifacer_conf *c, struct err *e)
{
	const char *text = "";

	c->bond_name = IFACER_BOND;
	if (json_opt_str(bond, "name", &c->bond_name, e) < 0 || read_mode(bond, &c->bond, e) < 0 ||
	    json_opt_str(bond, "options", &text, e) < 0)
		return -1;
	if (!*c->bond_name)
		c->bond_name = IFACER_BOND;
	if (link_check_name(c->bond_name, e) < 0)
		return err_wrap(e, "name");
	if (bond_options(&c->bond, text, e) < 0)
		return err_wrap(e, "options");
	if (!is_one_of(c, c->bond.primary))
		return err_set(e, ERR_CONFIG, "options: primary: %s is not one of interfaces",
		               c->bond.primary);
	if (!is_one_of(c, c->bond.active))
		return err_set(e, ERR_CONFIG, "options: active_slave: %s is not one of interfaces",
		               c->bond.active);
	return 0;
}

/* What is on top; see struct ifacer_conf. */
static int name_results(struct ifacer_conf *c, struct err *e)
{
	AUTO_FREE char *name = NULL;

	if (c->n == 1)
		c->bond_name = NULL;
	c->parent = c->bond_name ? c->bond_name : c->n == 1 ? c->interfaces[0] : NULL;
	if (!c->vlan)
		return 0;
	if (!c->parent)
		return err_set(e, ERR_CONFIG,
		               "bond: missing, and a VLAN cannot be made on %zu interfaces", c->n);
	name = xasprintf("%s.%u", c->parent, c->vlan);
	if (link_check_name(name, e) < 0)
		return err_wrap(e, "the VLAN's name");
	return fmt(c->vlan_name, sizeof(c->vlan_name), "%s", name);
}

int ifacer_conf_read(const json *conf, struct ifacer_conf *out, struct err *e)
{
	struct ifacer_conf c = { .n = 0 };
	const json *bond = NULL;
	int64_t vlan = 0;
	struct err mine;

	if (!e)
		e = &mine;
	if (read_interfaces(conf, &c, e) < 0 || json_opt_i64(conf, "vlanID", &vlan, e) < 0 ||
	    json_opt_obj(conf, "bond", &bond, e) < 0) {
		e->kind = ERR_CONFIG;
		return -1;
	}
	if (vlan < 0 || vlan > VLAN_MAX)
		return err_set(e, ERR_CONFIG, "vlanID: %lld is not between 0 and %d",
		               (long long)vlan, VLAN_MAX);
	c.vlan = (uint16_t)vlan;
	if (bond && read_bond(bond, &c, e) < 0) {
		e->kind = ERR_CONFIG;
		return err_wrap(e, "bond");
	}
	if (name_results(&c, e) < 0)
		return -1;
	*out = c;
	return 0;
}

bool ifacer_conf_wants(const struct ifacer_conf *c)
{
	return c->bond_name || c->vlan;
}
