/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bond.c - bonds: their options read from text, set, and compared with what the kernel has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/str.h"
#include "net/bond.h"

/* What is no number of that many bytes. */
enum { TARGETS = 16, MEMBER, MAC };

/*
 * The options; the first is the mode.  words: the names of the values 0, 1, ...; the numbers are
 * accepted too.  They are those of the kernel's files in /sys/class/net/NAME/bonding, except for
 * "up_delay".
 */
static const struct option {
	char name[18];
	uint8_t attr, size;
	char words[80]; /* not a pointer, which every start of the program would relocate */
} options[] = {
	{ "mode", IFLA_BOND_MODE, 1,
	  "balance-rr active-backup balance-xor broadcast 802.3ad balance-tlb balance-alb" },
	{ "miimon", IFLA_BOND_MIIMON, 4, "" },
	{ "updelay", IFLA_BOND_UPDELAY, 4, "" },
	{ "downdelay", IFLA_BOND_DOWNDELAY, 4, "" },
	{ "peer_notif_delay", IFLA_BOND_PEER_NOTIF_DELAY, 4, "" },
	{ "use_carrier", IFLA_BOND_USE_CARRIER, 1, "" },
	{ "arp_interval", IFLA_BOND_ARP_INTERVAL, 4, "" },
	{ "arp_ip_target", IFLA_BOND_ARP_IP_TARGET, TARGETS, "" },
	{ "arp_validate", IFLA_BOND_ARP_VALIDATE, 4,
	  "none active backup all filter filter_active filter_backup" },
	{ "arp_all_targets", IFLA_BOND_ARP_ALL_TARGETS, 4, "any all" },
	{ "primary", IFLA_BOND_PRIMARY, MEMBER, "" },
	{ "active_slave", IFLA_BOND_ACTIVE_SLAVE, MEMBER, "" },
	{ "primary_reselect", IFLA_BOND_PRIMARY_RESELECT, 1, "always better failure" },
	{ "fail_over_mac", IFLA_BOND_FAIL_OVER_MAC, 1, "none active follow" },
	{ "xmit_hash_policy", IFLA_BOND_XMIT_HASH_POLICY, 1,
	  "layer2 layer3+4 layer2+3 encap2+3 encap3+4 vlan+srcmac" },
	{ "resend_igmp", IFLA_BOND_RESEND_IGMP, 4, "" },
	{ "all_slaves_active", IFLA_BOND_ALL_SLAVES_ACTIVE, 1, "" },
	{ "min_links", IFLA_BOND_MIN_LINKS, 4, "" },
	{ "lp_interval", IFLA_BOND_LP_INTERVAL, 4, "" },
	{ "packets_per_slave", IFLA_BOND_PACKETS_PER_SLAVE, 4, "" },
	{ "lacp_rate", IFLA_BOND_AD_LACP_RATE, 1, "slow fast" },
	{ "ad_select", IFLA_BOND_AD_SELECT, 1, "stable bandwidth count" },
	{ "ad_actor_sys_prio", IFLA_BOND_AD_ACTOR_SYS_PRIO, 2, "" },
	{ "ad_user_port_key", IFLA_BOND_AD_USER_PORT_KEY, 2, "" },
	{ "ad_actor_system", IFLA_BOND_AD_ACTOR_SYSTEM, MAC, "" },
	{ "tlb_dynamic_lb", IFLA_BOND_TLB_DYNAMIC_LB, 1, "" },
};

_Static_assert(ARRAY_LEN(options) <= BOND_OPTIONS_MAX, "one bit and one value for each");

static bool is_given(const struct bond *b, size_t i)
{
	return b->given >> i & 1;
}

/* The number of an attribute of which there is one. */
static size_t of_attr(uint8_t attr)
{
	size_t i = 0;

	while (options[i].attr != attr)
		i++;
	return i;
}

static int find(const char *name, size_t *out, struct err *e)
{
	if (streq(name, "up_delay"))
		name = "updelay";
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (streq(options[i].name, name)) {
			*out = i;
			return 0;
		}
	return err_set(e, ERR_CONFIG, "there is no bond option \"%s\"", name);
}

/* The n-th of words, and its length; NULL when there are not so many. */
static const char *word(const char *words, uint32_t n, size_t *len)
{
	for (; words && n; n--) {
		words = strchr(words, ' ');
		if (words)
			words++;
	}
	if (!words || !*words)
		return NULL;
	*len = strcspn(words, " ");
	return words;
}

static int read_number(const struct option *o, const char *text, uint32_t *out, struct err *e)
{
	static const uint32_t limits[] = { 0, UINT8_MAX, UINT16_MAX, 0, INT_MAX };
	uint32_t number = 0;
	const char *w;
	size_t len;

	for (; (w = word(o->words, number, &len)); number++)
		if (strlen(text) == len && strncmp(text, w, len) == 0) {
			*out = number;
			return 0;
		}
	if (!*o->words)
		return parse_u32(text, 0, limits[o->size], out, e);
	if (parse_u32(text, 0, number - 1, out, NULL) == 0)
		return 0;
	return err_set(e, ERR_CONFIG, "\"%s\" is not one of %s, or 0 to %u", text, o->words,
	               number - 1);
}

/* One after the other; what separates them are the signs of a JSON array, and blanks. */
static int read_targets(const char *text, struct bond *b, struct err *e)
{
	static const char between[] = "[]\", ";

	b->n_targets = 0;
	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		size_t len = strcspn(text, between);
		AUTO_FREE char *one = xstrndup(text, len);
		struct ip ip;

		if (ip_parse(one, &ip, e) < 0)
			return -1;
		if (ip.family != 4)
			return err_set(e, ERR_CONFIG, "%s is no IPv4 address", one);
		if (b->n_targets == BOND_TARGETS_MAX)
			return err_set(e, ERR_CONFIG, "there are more than %d addresses",
			               BOND_TARGETS_MAX);
		b->targets[b->n_targets++] = ip;
		text += len;
	}
	return b->n_targets ? 0 : err_set(e, ERR_CONFIG, "there is no address");
}

static int read_value(struct bond *b, size_t i, const char *text, struct err *e)
{
	const struct option *o = &options[i];
	char *name = o->attr == IFLA_BOND_PRIMARY ? b->primary : b->active;

	switch (o->size) {
	case TARGETS:
		return read_targets(text, b, e);
	case MAC:
		return mac_parse(text, &b->actor, e);
	case MEMBER:
		return link_check_name(text, e) < 0 ? -1 : fmt(name, IFNAMSIZ, "%s", text);
	default:
		return read_number(o, text, &b->value[i], e);
	}
}

int bond_option(struct bond *b, const char *name, const char *value, struct err *e)
{
	size_t i;

	if (find(name, &i, e) < 0)
		return -1;
	if (is_given(b, i))
		return err_set(e, ERR_CONFIG, "%s: given twice", options[i].name);
	if (read_value(b, i, value, e) < 0)
		return err_wrap(e, "%s", name);
	b->given |= 1u << i;
	return 0;
}

/* Without the blanks around. */
static char *trimmed(const char *s, size_t len)
{
	while (len && *s == ' ') {
		s++;
		len--;
	}
	while (len && s[len - 1] == ' ')
		len--;
	return xstrndup(s, len);
}

int bond_options(struct bond *b, const char *text, struct err *e)
{
	for (size_t len; *text; text += len + (text[len] == ';')) {
		const char *equals;

		len = strcspn(text, ";");
		equals = memchr(text, '=', len);
		AUTO_FREE char *name = trimmed(text, equals ? (size_t)(equals - text) : len);
		AUTO_FREE char *value =
			equals ? trimmed(equals + 1, len - (size_t)(equals + 1 - text)) : NULL;

		if (!value && !*name)
			continue;
		if (!value)
			return err_set(e, ERR_CONFIG, "\"%s\" is not NAME=VALUE", name);
		if (bond_option(b, name, value, e) < 0)
			return -1;
	}
	return 0;
}

void bond_set_primary(struct bond *b, int index)
{
	b->value[of_attr(IFLA_BOND_PRIMARY)] = (uint32_t)index;
}

static void put_targets(struct nl_req *r, const struct bond *b)
{
	void *nest = nl_nest(r, IFLA_BOND_ARP_IP_TARGET);

	for (size_t i = 0; i < b->n_targets; i++)
		nl_put(r, (uint16_t)i, b->targets[i].bytes, 4);
	nl_nest_end(r, nest);
}

static void put_option(struct nl_req *r, const struct bond *b, size_t i)
{
	const struct option *o = &options[i];

	if (o->size == TARGETS)
		put_targets(r, b);
	else if (o->size == MAC)
		nl_put(r, o->attr, b->actor.b, sizeof(b->actor.b));
	else if (o->attr == IFLA_BOND_ACTIVE_SLAVE)
		; /* it is no member yet: bond_set_active() */
	else if (o->size == 1)
		nl_put_u8(r, o->attr, (uint8_t)b->value[i]);
	else if (o->size == 2)
		nl_put_u16(r, o->attr, (uint16_t)b->value[i]);
	else
		nl_put_u32(r, o->attr, b->value[i]);
}

/* A request about a bond; its name or its index, and what is wanted of it, in the middle. */
struct about {
	struct nl_req r;
	void *info, *data;
};

static void begin(struct about *a, uint16_t flags, const char *name, int index)
{
	struct ifinfomsg *h;

	nl_req_init(&a->r, RTM_NEWLINK, flags, sizeof(*h));
	h = nl_header(&a->r);
	h->ifi_index = index;
	if (name)
		nl_put_str(&a->r, IFLA_IFNAME, name);
	a->info = nl_nest(&a->r, IFLA_LINKINFO);
	nl_put_str(&a->r, IFLA_INFO_KIND, "bond");
	a->data = nl_nest(&a->r, IFLA_INFO_DATA);
}

static int end(struct nl *nl, struct about *a, struct err *e)
{
	nl_nest_end(&a->r, a->data);
	nl_nest_end(&a->r, a->info);
	return nl_ack(nl, &a->r, e);
}

static int send_options(struct nl *nl, struct about *a, const struct bond *b, const char *what,
                        struct err *e)
{
	AUTO_STR names = STR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (is_given(b, i)) {
			put_option(&a->r, b, i);
			str_addf(&names, "%s%s", names.len ? ", " : "", options[i].name);
		}
	/* the kernel says that one of them is not for this mode, and not which */
	return end(nl, a, e) < 0 ? err_wrap(e, "%s (%s)", what, names.data) : 0;
}

int bond_add(struct nl *nl, const char *name, const struct bond *b, struct err *e)
{
	struct about a;

	if (link_check_name(name, e) < 0)
		return -1;
	begin(&a, NLM_F_CREATE | NLM_F_EXCL, name, 0);
	return send_options(nl, &a, b, "create the bond", e);
}

int bond_change(struct nl *nl, int index, const struct bond *b, struct err *e)
{
	struct about a;

	begin(&a, 0, NULL, index);
	return send_options(nl, &a, b, "change the bond", e);
}

int bond_set_active(struct nl *nl, int index, int member, struct err *e)
{
	struct about a;

	begin(&a, 0, NULL, index);
	nl_put_u32(&a.r, IFLA_BOND_ACTIVE_SLAVE, (uint32_t)member);
	return end(nl, &a, e) < 0 ? err_wrap(e, "active_slave") : 0;
}

/* The comparison. */
struct comparison {
	const struct bond *want;
	bool complete;
};

/* What the kernel makes of a delay: a multiple of miimon. */
static uint32_t rounded(const struct bond *b, size_t i)
{
	static const uint8_t delays[] = { IFLA_BOND_UPDELAY, IFLA_BOND_DOWNDELAY,
		                          IFLA_BOND_PEER_NOTIF_DELAY };
	uint32_t miimon = b->value[of_attr(IFLA_BOND_MIIMON)], v = b->value[i];

	for (size_t k = 0; k < ARRAY_LEN(delays); k++)
		if (options[i].attr == delays[k] && miimon)
			return v / miimon * miimon;
	return v;
}

static void add_value(const struct option *o, uint32_t v, struct str *out)
{
	size_t len = 0;
	const char *w = word(o->words, v, &len);

	if (w)
		str_addn(out, w, len);
	else
		str_addf(out, "%u", v);
}

static int differs(const struct option *o, uint32_t is, uint32_t want, struct err *e)
{
	AUTO_STR text = STR_INIT;

	if (is == want)
		return 0;
	str_addf(&text, "%s is ", o->name);
	add_value(o, is, &text);
	str_add(&text, ", not ");
	add_value(o, want, &text);
	return err_set(e, ERR_EXISTS, "%s", text.data);
}

/* As a set: the kernel has them in the order in which they came. */
static int compare_targets(const void *list, size_t len, const struct bond *b, struct err *e)
{
	size_t n = 0;

	for (uint16_t i = 0; i < BOND_TARGETS_MAX; i++) {
		const void *v = list ? nl_attr_in(list, len, i, 4, NULL) : NULL;
		struct ip ip = { .family = 4 };
		bool wanted = false;

		if (!v)
			continue;
		n++;
		memcpy(ip.bytes, v, 4);
		for (size_t k = 0; k < b->n_targets; k++)
			wanted = wanted || ip_equal(b->targets[k], ip);
		if (!wanted)
			return err_set(e, ERR_EXISTS, "arp_ip_target has %s, which is not wanted",
			               ip_str(ip).s);
	}
	if (n < b->n_targets)
		return err_set(e, ERR_EXISTS, "arp_ip_target has %zu addresses, not %zu", n,
		               b->n_targets);
	return 0;
}

static uint32_t get_number(const void *v, size_t size)
{
	if (!v)
		return 0;
	if (size == 1)
		return *(const uint8_t *)v;
	return size == 2 ? *(const uint16_t *)v : *(const uint32_t *)v;
}

static int compare(const void *data, size_t data_len, size_t i, const struct comparison *c,
                   struct err *e)
{
	const struct option *o = &options[i];
	size_t least = o->size <= 4 ? o->size : o->size == MEMBER ? 4 : 0, len = 0;
	const void *v = nl_attr_in(data, data_len, o->attr, least, &len);

	switch (o->size) {
	case TARGETS:
		return compare_targets(v, len, c->want, e);
	case MAC:
		if (v && len >= sizeof(struct mac) &&
		    memcmp(v, c->want->actor.b, sizeof(struct mac)) == 0)
			return 0;
		return err_set(e, ERR_EXISTS, "%s is not %s", o->name, mac_str(c->want->actor).s);
	case MEMBER:
		if (o->attr == IFLA_BOND_ACTIVE_SLAVE || !c->complete ||
		    get_number(v, 4) == c->want->value[i])
			return 0;
		return err_set(e, ERR_EXISTS, "%s is not %s", o->name, c->want->primary);
	default:
		if (!v)
			return err_set(e, ERR_EXISTS, "%s has no value in its mode", o->name);
		return differs(o, get_number(v, o->size), rounded(c->want, i), e);
	}
}

static int visit(const struct nl_msg *m, void *arg, struct err *e)
{
	const struct comparison *c = arg;
	size_t info_len = 0, len = 0;
	const void *info = nl_attr(m, IFLA_LINKINFO, 0, &info_len);
	const void *data = info ? nl_attr_in(info, info_len, IFLA_INFO_DATA, 0, &len) : NULL;

	if (m->type != RTM_NEWLINK)
		return 0;
	if (!data)
		return err_set(e, ERR_PROTO, "the kernel tells nothing about the bond");
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (is_given(c->want, i) && compare(data, len, i, c, e) < 0)
			return -1;
	return 0;
}

int bond_check(struct nl *nl, int index, const struct bond *b, bool complete, struct err *e)
{
	struct comparison c = { b, complete };
	struct ifinfomsg *h;
	struct nl_req r;

	nl_req_init(&r, RTM_GETLINK, 0, sizeof(*h));
	h = nl_header(&r);
	h->ifi_index = index;
	nl_put_u32(&r, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nl_query(nl, &r, sizeof(*h), visit, NULL, &c, e);
}
