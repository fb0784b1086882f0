/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - interfaces: found, listed, made straight in their namespace with their final name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"
#include "net/link.h"

struct mac_str mac_str(struct mac m)
{
	struct mac_str t;

	snprintf(t.s, sizeof(t.s), "%02x:%02x:%02x:%02x:%02x:%02x", m.b[0], m.b[1], m.b[2], m.b[3],
	         m.b[4], m.b[5]);
	return t;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int mac_parse(const char *s, struct mac *out, struct err *e)
{
	struct mac m = { { 0 } };

	for (int i = 0; i < 6; i++) {
		int high = hex_digit(s[3 * i]), low = high < 0 ? -1 : hex_digit(s[3 * i + 1]);

		if (low < 0 || s[3 * i + 2] != (i < 5 ? ':' : '\0'))
			return err_set(e, ERR_CONFIG, "\"%s\" is not a MAC address", s);
		m.b[i] = (uint8_t)(high << 4 | low);
	}
	*out = m;
	return 0;
}

int mac_random(struct mac *out, struct err *e)
{
	if (getrandom(out->b, sizeof(out->b), 0) != sizeof(out->b))
		return err_sys(e, errno, "random bytes");
	out->b[0] =
		(uint8_t)((out->b[0] & 0xfe) | 0x02); /* unicast, locally administered (IEEE 802) */
	return 0;
}

int link_check_name(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (n < 1 || n >= IFNAMSIZ || streq(name, ".") || streq(name, "..") ||
	    strpbrk(name, "/:% \t\n\v\f\r"))
		return err_set(e, ERR_CONFIG, "\"%s\" is not an interface name", name);
	return 0;
}

static void read_linkinfo(const struct nl_msg *m, struct link *l)
{
	size_t info_len, data_len, len;
	const char *info = nl_attr(m, IFLA_LINKINFO, 0, &info_len), *data;
	const void *v;

	if (!info)
		return;
	v = nl_attr_in(info, info_len, IFLA_INFO_KIND, 1, &len);
	if (v)
		snprintf(l->kind, sizeof(l->kind), "%.*s", (int)strnlen(v, len), (const char *)v);
	data = nl_attr_in(info, info_len, IFLA_INFO_DATA, 0, &data_len);
	if (!data)
		return;
	if (streq(l->kind, "vlan")) {
		v = nl_attr_in(data, data_len, IFLA_VLAN_ID, 2, NULL);
		if (v)
			l->vlan_id = *(const uint16_t *)v;
		v = nl_attr_in(data, data_len, IFLA_VLAN_PROTOCOL, 2, NULL);
		if (v)
			l->vlan_protocol = ntohs(*(const uint16_t *)v);
		return;
	}
	if (!streq(l->kind, "ipvlan"))
		return;
	v = nl_attr_in(data, data_len, IFLA_IPVLAN_MODE, 2, NULL);
	if (v)
		l->ipvlan_mode = *(const uint16_t *)v;
	v = nl_attr_in(data, data_len, IFLA_IPVLAN_FLAGS, 2, NULL);
	if (v)
		l->ipvlan_flags = *(const uint16_t *)v;
}

struct links {
	struct link *v;
	size_t n, cap;
};

static void forget_links(void *arg)
{
	((struct links *)arg)->n = 0;
}

static struct link read_link(const struct nl_msg *m)
{
	const struct ifinfomsg *h = m->header;
	struct link l = { .ipvlan_mode = -1, .parent_nsid = -1 };
	const void *v;
	size_t len;

	l.index = h->ifi_index;
	l.flags = h->ifi_flags;
	v = nl_attr(m, IFLA_IFNAME, 1, &len);
	if (v)
		snprintf(l.name, sizeof(l.name), "%.*s", (int)strnlen(v, len), (const char *)v);
	v = nl_attr(m, IFLA_IFALIAS, 1, &len);
	if (v)
		snprintf(l.alias, sizeof(l.alias), "%.*s", (int)strnlen(v, len), (const char *)v);
	v = nl_attr(m, IFLA_MTU, 4, NULL);
	if (v)
		l.mtu = *(const uint32_t *)v;
	v = nl_attr(m, IFLA_TXQLEN, 4, NULL);
	if (v)
		l.txqlen = *(const uint32_t *)v;
	v = nl_attr(m, IFLA_LINK, 4, NULL);
	if (v)
		l.parent = *(const int *)v;
	v = nl_attr(m, IFLA_MASTER, 4, NULL);
	if (v)
		l.controller = *(const int *)v;
	v = nl_attr(m, IFLA_LINK_NETNSID, 4, NULL);
	if (v)
		l.parent_nsid = *(const int32_t *)v;
	v = nl_attr(m, IFLA_ADDRESS, sizeof(l.mac.b), &len);
	if (v && len == sizeof(l.mac.b)) {
		memcpy(l.mac.b, v, sizeof(l.mac.b));
		l.has_mac = true;
	}
	read_linkinfo(m, &l);
	return l;
}

static int visit_link(const struct nl_msg *m, void *arg, struct err *e)
{
	struct links *all = arg;

	(void)e;
	if (m->type != RTM_NEWLINK)
		return 0;
	all->v = xgrow(all->v, &all->cap, all->n + 1, sizeof(*all->v));
	all->v[all->n++] = read_link(m);
	return 0;
}

static int visit_one(const struct nl_msg *m, void *arg, struct err *e)
{
	struct link *l = arg;

	(void)e;
	if (m->type == RTM_NEWLINK && !l->index)
		*l = read_link(m);
	return 0;
}

/* Of the message that was begun. */
static void put_get(struct nl_req *r, int index, const char *name, uint16_t name_attr)
{
	struct ifinfomsg *h = nl_header(r);

	h->ifi_index = index;
	if (name)
		nl_put_str(r, name_attr, name);
	nl_put_u32(r, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

static int told(const struct link *l, struct link *out, struct err *e)
{
	if (!l->index)
		return err_set(e, ERR_PROTO, "the kernel told nothing about the interface");
	if (out)
		*out = *l;
	return 0;
}

/* One link: by index, or by name, or by alternative name. */
static int get(struct nl *nl, int index, const char *name, uint16_t name_attr, struct link *out,
               struct err *e)
{
	struct link l = { .index = 0 };
	struct nl_req r;

	nl_req_init(&r, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	put_get(&r, index, name, name_attr);
	if (nl_query(nl, &r, sizeof(struct ifinfomsg), visit_one, NULL, &l, e) < 0)
		return -1;
	return told(&l, out, e);
}

/* Kernels that have alternative names (5.5) look among both for either attribute. */
int link_get(struct nl *nl, const char *name, struct link *out, struct err *e)
{
	bool is_long = strlen(name) >= IFNAMSIZ;
	struct err mine;

	if (!e)
		e = &mine;
	if (get(nl, 0, name, is_long ? IFLA_ALT_IFNAME : IFLA_IFNAME, out, e) == 0)
		return 0;
	if (e->sys == ENODEV || (is_long && (e->sys == EINVAL || e->sys == ERANGE)))
		return err_set(e, ERR_NOT_FOUND, "there is no interface \"%s\"", name);
	return err_wrap(e, "interface \"%s\"", name);
}

int link_get_index(struct nl *nl, int index, struct link *out, struct err *e)
{
	struct err mine;

	if (!e)
		e = &mine;
	if (get(nl, index, NULL, 0, out, e) == 0)
		return 0;
	if (e->sys == ENODEV)
		return err_set(e, ERR_NOT_FOUND, "there is no interface with index %d", index);
	return err_wrap(e, "interface %d", index);
}

static int by_index(const void *a, const void *b)
{
	int x = ((const struct link *)a)->index, y = ((const struct link *)b)->index;

	return (x > y) - (x < y);
}

/* All, or those of one controller. */
static int list(struct nl *nl, int controller, struct link **out, size_t *count, struct err *e)
{
	struct links all = { NULL, 0, 0 };
	struct nl_req r;

	nl_req_init(&r, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	nl_put_u32(&r, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (controller)
		nl_put_u32(&r, IFLA_MASTER, (uint32_t)controller);
	if (nl_query(nl, &r, sizeof(struct ifinfomsg), visit_link, forget_links, &all, e) < 0) {
		free(all.v);
		return err_wrap(e, "list interfaces");
	}
	if (all.n) /* kernels before 6.8 tell them in the order of a hash */
		qsort(all.v, all.n, sizeof(*all.v), by_index);
	*out = all.v;
	*count = all.n;
	return 0;
}

int link_list(struct nl *nl, struct link **out, size_t *count, struct err *e)
{
	return list(nl, 0, out, count, e);
}

int link_list_members(struct nl *nl, int controller, struct link **out, size_t *count,
                      struct err *e)
{
	return list(nl, controller, out, count, e);
}

static bool has_mac(const struct link *l, struct mac mac)
{
	return l->has_mac && memcmp(&l->mac, &mac, sizeof(mac)) == 0;
}

/* Is it made on, or a member of, another one that has the address too? */
static bool is_secondary(const struct link *l, const struct link *v, size_t n, struct mac mac)
{
	for (size_t i = 0; i < n; i++)
		if (has_mac(&v[i], mac) && (v[i].index == l->controller ||
		                            (v[i].index == l->parent && l->parent_nsid < 0)))
			return true;
	return false;
}

int link_get_mac(struct nl *nl, struct mac mac, struct link *out, struct err *e)
{
	AUTO_FREE struct link *v = NULL;
	const struct link *found = NULL;
	size_t n;

	if (link_list(nl, &v, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!has_mac(&v[i], mac) || is_secondary(&v[i], v, n, mac))
			continue;
		if (found)
			return err_set(e, ERR_CONFIG,
			               "interfaces %s and %s both have MAC address %s", found->name,
			               v[i].name, mac_str(mac).s);
		found = &v[i];
	}
	if (!found)
		return err_set(e, ERR_NOT_FOUND, "there is no interface with MAC address %s",
		               mac_str(mac).s);
	*out = *found;
	return 0;
}

static int visit_nsid(const struct nl_msg *m, void *arg, struct err *e)
{
	const int32_t *id = nl_attr(m, NETNSA_NSID, sizeof(*id), NULL);

	(void)e;
	if (id)
		*(int32_t *)arg = *id;
	return 0;
}

/* What nl's namespace calls the namespace ns; NETNSA_NSID_NOT_ASSIGNED, when by no name. */
static int nsid(struct nl *nl, int ns, int32_t *out, struct err *e)
{
	struct nl_req r;

	*out = NETNSA_NSID_NOT_ASSIGNED;
	nl_req_init(&r, RTM_GETNSID, 0, sizeof(struct rtgenmsg));
	nl_put_u32(&r, NETNSA_FD, (uint32_t)ns);
	return nl_query(nl, &r, sizeof(struct rtgenmsg), visit_nsid, NULL, out, e);
}

int link_peer(struct nl *nl, const struct link *veth, struct nl *peer_nl, int ns, struct link *out,
              struct err *e)
{
	int32_t id;

	if (!streq(veth->kind, "veth"))
		return err_set(e, ERR_CONFIG, "interface %s is no veth%s%s", veth->name,
		               veth->kind[0] ? ", but of kind " : "", veth->kind);
	if (nsid(nl, ns, &id, e) < 0)
		return err_wrap(e, "id of a network namespace");
	/* indexes are small numbers that every namespace has: they say nothing by themselves */
	if (id < 0 || veth->parent_nsid != id)
		return err_set(e, ERR_CONFIG, "the other end of veth %s is not there", veth->name);
	return link_get_index(peer_nl, veth->parent, out, e);
}

static int add_ipvlan(struct nl *nl, int ns, const char *name, int master, int mode, int flags,
                      uint32_t mtu, struct err *e)
{
	struct nl_req r;
	void *info, *data;

	nl_req_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	nl_put_str(&r, IFLA_IFNAME, name);
	if (mtu)
		nl_put_u32(&r, IFLA_MTU, mtu);
	nl_put_u32(&r, IFLA_LINK, (uint32_t)master);
	if (ns >= 0)
		nl_put_u32(&r, IFLA_NET_NS_FD, (uint32_t)ns);
	info = nl_nest(&r, IFLA_LINKINFO);
	nl_put_str(&r, IFLA_INFO_KIND, "ipvlan");
	data = nl_nest(&r, IFLA_INFO_DATA);
	nl_put_u16(&r, IFLA_IPVLAN_MODE, (uint16_t)mode);
	nl_put_u16(&r, IFLA_IPVLAN_FLAGS, (uint16_t)flags);
	nl_nest_end(&r, data);
	nl_nest_end(&r, info);
	return nl_ack(nl, &r, e);
}

static int rename_link(struct nl *nl, int index, const char *name, struct err *e)
{
	struct ifinfomsg *h;
	struct nl_req r;

	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(*h));
	h = nl_header(&r);
	h->ifi_index = index;
	nl_put_str(&r, IFLA_IFNAME, name);
	return nl_ack(nl, &r, e);
}

/* Best effort, and by name: that it cannot be found may be the very reason. */
static void remove_by_name(struct nl *nl, const char *name)
{
	struct nl_req r;

	nl_req_init(&r, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	nl_put_str(&r, IFLA_IFNAME, name);
	IGNORE(nl_ack(nl, &r, NULL));
}

void link_birth_name(const char *name, char out[static IFNAMSIZ])
{
	uint32_t hash = 2166136261; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619;
	snprintf(out, IFNAMSIZ, "new%08x", hash);
}

/* By a name that no node has, and renamed where it was born. */
static int add_ipvlan_by_detour(struct nl *nl, int ns, struct nl *there, const char *name,
                                int master, int mode, int flags, uint32_t mtu, struct err *e)
{
	char other[IFNAMSIZ];
	struct link l;
	int rc;

	link_birth_name(name, other);
	rc = add_ipvlan(nl, ns, other, master, mode, flags, mtu, e);
	if (rc < 0 && e->sys == EEXIST) {
		/* one that was killed has left it */
		remove_by_name(there, other);
		rc = add_ipvlan(nl, ns, other, master, mode, flags, mtu, e);
	}
	if (rc == 0 && link_get(there, other, &l, e) == 0 &&
	    rename_link(there, l.index, name, e) == 0)
		return 0;
	remove_by_name(there, other);
	return -1;
}

/* "eth%d" for "eth0": the lowest number that is free in the namespace of birth. */
static bool pattern_of(const char *name, char out[static IFNAMSIZ])
{
	size_t n = strlen(name);

	if (n < 2 || n + 1 >= IFNAMSIZ || name[n - 1] != '0')
		return false;
	snprintf(out, IFNAMSIZ, "%.*s%%d", (int)(n - 1), name);
	return true;
}

/*
 * Kernels as old as 6.1 compare with the names in nl's namespace too: nodes have an eth0.  To no
 * pattern, though: "eth%d" makes eth0 where there is none.  A rename waits for a grace period of
 * RCU, with the lock on all interfaces of the node held, and moves the interface's sysctls.
 */
static int add_ipvlan_namesake(struct nl *nl, int ns, struct nl *there, const char *name,
                               int master, int mode, int flags, uint32_t mtu, struct err *e)
{
	char pattern[IFNAMSIZ];
	struct link l;
	struct err mine;

	if (get(there, 0, name, IFLA_IFNAME, &l, &mine) == 0)
		return -1; /* taken: e says so */
	if (mine.sys != ENODEV) {
		*e = mine;
		return -1;
	}
	if (pattern_of(name, pattern))
		return add_ipvlan(nl, ns, pattern, master, mode, flags, mtu, e);
	return add_ipvlan_by_detour(nl, ns, there, name, master, mode, flags, mtu, e);
}

int link_add_ipvlan(struct nl *nl, int ns, struct nl *there, const char *name,
                    const struct link *master, int mode, int flags, uint32_t mtu, struct err *e)
{
	char pattern[IFNAMSIZ];
	struct err mine;
	int rc;

	if (!e)
		e = &mine;
	if (link_check_name(name, e) < 0)
		return -1;
	/* the master is one of that name: such a kernel would refuse, and by a pattern all will do
	 */
	if (ns >= 0 && streq(master->name, name) && pattern_of(name, pattern))
		rc = err_sys(e, EEXIST, "kernel");
	else
		rc = add_ipvlan(nl, ns, name, master->index, mode, flags, mtu, e);
	if (rc < 0 && e->sys == EEXIST && ns >= 0)
		rc = add_ipvlan_namesake(nl, ns, there, name, master->index, mode, flags, mtu, e);
	return rc < 0 ? err_wrap(e, "create ipvlan interface %s", name) : 0;
}

int link_add_veth(struct nl *nl, const struct veth_spec *v, struct link *out, struct err *e)
{
	struct ifinfomsg peer = { .ifi_family = AF_UNSPEC }; /* IFF_UP here would be ENOTCONN */
	struct link l = { .index = 0 };
	struct nl_req r;
	void *info, *data, *nest;
	bool made;

	if (link_check_name(v->name, e) < 0 || link_check_name(v->peer, e) < 0)
		return -1;
	nl_req_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	nl_put_str(&r, IFLA_IFNAME, v->name);
	nl_put(&r, IFLA_ADDRESS, v->mac.b, sizeof(v->mac.b));
	if (v->mtu)
		nl_put_u32(&r, IFLA_MTU, v->mtu);
	info = nl_nest(&r, IFLA_LINKINFO);
	nl_put_str(&r, IFLA_INFO_KIND, "veth");
	data = nl_nest(&r, IFLA_INFO_DATA);
	nest = nl_nest(&r, VETH_INFO_PEER);
	nl_put_raw(&r, &peer, sizeof(peer));
	nl_put_str(&r, IFLA_IFNAME, v->peer);
	nl_put(&r, IFLA_ADDRESS, v->peer_mac.b, sizeof(v->peer_mac.b));
	if (v->mtu)
		nl_put_u32(&r, IFLA_MTU, v->mtu);
	if (v->peer_ns >= 0)
		nl_put_u32(&r, IFLA_NET_NS_FD, (uint32_t)v->peer_ns);
	nl_nest_end(&r, nest);
	nl_nest_end(&r, data);
	nl_nest_end(&r, info);
	nl_req_next(&r, RTM_GETLINK, 0, sizeof(peer));
	put_get(&r, 0, v->name, IFLA_IFNAME);
	if (nl_make(nl, &r, sizeof(peer), visit_one, &l, &made, e) == 0 && told(&l, out, e) == 0)
		return 0;
	if (made)
		remove_by_name(nl, v->name);
	return err_wrap(e, "create the pair %s and %s", v->name, v->peer);
}

int link_add_vlan(struct nl *nl, const char *name, int parent, uint16_t id, struct err *e)
{
	struct nl_req r;
	void *info, *data;

	if (link_check_name(name, e) < 0)
		return -1;
	nl_req_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	nl_put_str(&r, IFLA_IFNAME, name);
	nl_put_u32(&r, IFLA_LINK, (uint32_t)parent);
	info = nl_nest(&r, IFLA_LINKINFO);
	nl_put_str(&r, IFLA_INFO_KIND, "vlan");
	data = nl_nest(&r, IFLA_INFO_DATA);
	nl_put_u16(&r, IFLA_VLAN_ID, id);
	nl_nest_end(&r, data);
	nl_nest_end(&r, info);
	return nl_ack(nl, &r, e) < 0 ? err_wrap(e, "create VLAN interface %s", name) : 0;
}

static struct ifinfomsg *change(struct nl_req *r, int index)
{
	struct ifinfomsg *h;

	nl_req_init(r, RTM_NEWLINK, 0, sizeof(*h));
	h = nl_header(r);
	h->ifi_index = index;
	return h;
}

static int set_up(struct nl *nl, int index, bool up, struct err *e)
{
	struct nl_req r;
	struct ifinfomsg *h = change(&r, index);

	h->ifi_flags = up ? IFF_UP : 0;
	h->ifi_change = IFF_UP;
	return nl_ack(nl, &r, e) < 0 ? err_wrap(e, "set interface %d %s", index, up ? "up" : "down")
	                             : 0;
}

int link_set_up(struct nl *nl, int index, struct err *e)
{
	return set_up(nl, index, true, e);
}

int link_set_down(struct nl *nl, int index, struct err *e)
{
	return set_up(nl, index, false, e);
}

int link_set_controller(struct nl *nl, int index, int controller, struct err *e)
{
	struct nl_req r;

	change(&r, index);
	nl_put_u32(&r, IFLA_MASTER, (uint32_t)controller);
	if (nl_ack(nl, &r, e) == 0)
		return 0;
	return err_wrap(e, "make interface %d a member%s", index, controller ? "" : " of nothing");
}

int link_set_mac(struct nl *nl, int index, struct mac mac, struct err *e)
{
	struct nl_req r;

	change(&r, index);
	nl_put(&r, IFLA_ADDRESS, mac.b, sizeof(mac.b));
	return nl_ack(nl, &r, e) < 0
	               ? err_wrap(e, "set MAC address %s on interface %d", mac_str(mac).s, index)
	               : 0;
}

int link_set_txqlen(struct nl *nl, int index, uint32_t packets, struct err *e)
{
	struct nl_req r;

	change(&r, index);
	nl_put_u32(&r, IFLA_TXQLEN, packets);
	return nl_ack(nl, &r, e) < 0
	               ? err_wrap(e, "set transmit queue length %u on interface %d", packets, index)
	               : 0;
}

int link_set_alias(struct nl *nl, int index, const char *alias, struct err *e)
{
	struct nl_req r;

	change(&r, index);
	nl_put(&r, IFLA_IFALIAS, alias, strlen(alias));
	return nl_ack(nl, &r, e) < 0 ? err_wrap(e, "set alias \"%s\" on interface %d", alias, index)
	                             : 0;
}

#define DEL_GROUP 0x73706465U /* what else there is in it goes as well */

int link_del_both(struct nl *nl, int a, int b, struct err *e)
{
	const int both[] = { a, b };
	struct ifinfomsg *h;
	struct nl_req r;

	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		if (i)
			nl_req_next(&r, RTM_NEWLINK, 0, sizeof(*h));
		else
			nl_req_init(&r, RTM_NEWLINK, 0, sizeof(*h));
		h = nl_header(&r);
		h->ifi_index = both[i];
		nl_put_u32(&r, IFLA_GROUP, DEL_GROUP);
	}
	nl_req_next(&r, RTM_DELLINK, NLM_F_ACK, sizeof(*h));
	nl_put_u32(&r, IFLA_GROUP, DEL_GROUP);
	return nl_batch(nl, &r, NULL, e) < 0 ? err_wrap(e, "delete interfaces %d and %d", a, b) : 0;
}

int link_del(struct nl *nl, int index, struct err *e)
{
	struct ifinfomsg *h;
	struct nl_req r;

	nl_req_init(&r, RTM_DELLINK, 0, sizeof(*h));
	h = nl_header(&r);
	h->ifi_index = index;
	if (nl_ack(nl, &r, e) == 0)
		return 0;
	if (e && e->sys == ENODEV)
		e->kind = ERR_NOT_FOUND;
	return err_wrap(e, "delete interface %d", index);
}
