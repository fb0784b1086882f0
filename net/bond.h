/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bond.h - bonds of interfaces (linux/if_link.h, IFLA_BOND_*; the kernel's
 * Documentation/networking/bonding.rst says what the options do).  Members come and go with
 * link_set_controller().
 */
#ifndef NET_BOND_H
#define NET_BOND_H

#include "net/link.h"

#define BOND_TARGETS_MAX 16 /* of arp_ip_target: the kernel's BOND_MAX_ARP_TARGETS */
#define BOND_OPTIONS_MAX 32 /* more than there are */

/* A bond's mode and options, as they are wanted. */
struct bond {
	uint32_t given; /* bit i: the option with that number in bond.c's table is */
	uint32_t value[BOND_OPTIONS_MAX];
	struct ip targets[BOND_TARGETS_MAX]; /* arp_ip_target; IPv4 */
	size_t n_targets;
	struct mac actor; /* ad_actor_system */
	/* Members, "" when not given */
	char primary[IFNAMSIZ], active[IFNAMSIZ];
};

/*
 * One option more: "miimon" "100", "xmit_hash_policy" "layer3+4" or "1", "arp_ip_target"
 * "10.0.0.1,10.0.0.2" (a JSON array of strings is fine as well), "mode" "active-backup" or "1".
 * 0 is a value like others.  ERR_CONFIG names the option.
 */
int bond_option(struct bond *b, const char *name, const char *value, struct err *e) MUST_USE;
/* Several: "miimon=100;lacp_rate=fast".  Blanks around names and values do not matter. */
int bond_options(struct bond *b, const char *text, struct err *e) MUST_USE;

/* Tells which interface "primary" is (0: not asked for). */
void bond_set_primary(struct bond *b, int index);

/* Makes it, without members and down.  EEXIST: the name is taken. */
int bond_add(struct nl *nl, const char *name, const struct bond *b, struct err *e) MUST_USE;
/* Sets mode and options; the mode only while it is down and without members. */
int bond_change(struct nl *nl, int index, const struct bond *b, struct err *e) MUST_USE;
/* active_slave, which has to be a member. */
int bond_set_active(struct nl *nl, int index, int member, struct err *e) MUST_USE;

/*
 * Does the bond have this mode and these options?  ERR_EXISTS, with the option and both values.
 * What is not given may have any value; active_slave changes by itself and is not looked at, and
 * "primary" only when the bond is complete: the kernel does not tell it before.
 */
int bond_check(struct nl *nl, int index, const struct bond *b, bool complete,
               struct err *e) MUST_USE;

#endif
