/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ifacer_conf.h - the configuration of the ifacer plugin: which interface of the node it is to
 * provide for the plugin after it.
 */
#ifndef PLUGINS_IFACER_CONF_H
#define PLUGINS_IFACER_CONF_H

#include "net/bond.h"
#include "json/json.h"

#define IFACER_INTERFACES_MAX 16
#define IFACER_BOND "sp_bond0" /* the name of a bond that was given none */

/* Strings are borrowed from the configuration. */
struct ifacer_conf {
	const char *interfaces[IFACER_INTERFACES_MAX];
	size_t n;
	uint16_t vlan;         /* 0: none */
	const char *bond_name; /* NULL: no bond; there are several interfaces when there is one */
	struct bond bond;
	/* What comes out: of a card, or the bond; the VLAN's, "" when there is none. */
	const char *parent;
	char vlan_name[IFNAMSIZ];
};

/* The members that it may have, as for json_unknown. */
extern const char ifacer_conf_keys[];

/*
 * ERR_CONFIG, with the key.  A bond of one interface is that interface.  Several interfaces and no
 * bond are left as they are; only a VLAN on them cannot be.
 */
int ifacer_conf_read(const json *conf, struct ifacer_conf *out, struct err *e) MUST_USE;

/* Is there anything to provide? */
bool ifacer_conf_wants(const struct ifacer_conf *c);

#endif
