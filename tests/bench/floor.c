/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor.c - what the whole chain of plugins leaves in the kernel, with as little as the kernel asks
 * for: messages written by hand, one batch for each network namespace, where one may not precede
 * the other two; nothing is looked up, nothing compared, nothing kept.  It links nothing of the
 * product.  In the network namespace of the node:
 *
 * floor add KIND NETNS CARD INDEX VETH ALIAS ADDRESS/LEN GATEWAY SERVICES/LEN NODE-ADDRESS...
 *
 * makes a slave eth0 of the card with this number, with the address and a default route, and what
 * the coordinator adds.  KIND is ipvlan or macvlan; INDEX and INDEX + 1 are numbers that no
 * interface has; IPv4 only.
 *
 * floor del NETNS
 *
 * deletes both interfaces at once: for each request the kernel waits some 20 ms.
 *
 * Exit status 1 when the kernel refuses something; what and why goes to standard error.
 */
#include <arpa/inet.h> /* before linux/netfilter.h */
#include <linux/fib_rules.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/veth.h>

#define PROGRAM "floor"
#include "batch.h"

#define PEER_TABLE 100
#define NODE_TABLE 101
#define HOST_TABLE 500
#define PREF 1000
#define BIT 1
#define DEL_GROUP 7001

static void make_pair(uint32_t index, const char *name, const uint8_t *host_mac,
                      const uint8_t *pod_mac, int ns)
{
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *i;

	new_link(index, NLM_F_CREATE | NLM_F_EXCL, 0);
	mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	mnl_attr_put(msg, IFLA_ADDRESS, 6, host_mac);
	info = mnl_attr_nest_start(msg, IFLA_LINKINFO);
	mnl_attr_put_strz(msg, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(msg, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(msg, VETH_INFO_PEER);
	i = mnl_nlmsg_put_extra_header(msg, sizeof(*i));
	i->ifi_index = (int)index;
	mnl_attr_put_strz(msg, IFLA_IFNAME, "veth0");
	mnl_attr_put(msg, IFLA_ADDRESS, 6, pod_mac);
	mnl_attr_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)ns);
	mnl_attr_nest_end(msg, peer);
	mnl_attr_nest_end(msg, data);
	mnl_attr_nest_end(msg, info);
}

/* Neighbours, rules. */
static void neighbour(uint32_t index, uint32_t ip, const uint8_t *mac)
{
	struct ndmsg *n = begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*n));

	n->ndm_family = AF_INET;
	n->ndm_ifindex = (int)index;
	n->ndm_state = NUD_PERMANENT;
	mnl_attr_put_u32(msg, NDA_DST, ip);
	mnl_attr_put(msg, NDA_LLADDR, 6, mac);
}

/* bit: 0 for every packet */
static void rule(uint32_t table, uint32_t bit)
{
	struct fib_rule_hdr *r = begin(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*r));

	r->family = AF_INET;
	r->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(msg, FRA_TABLE, table);
	mnl_attr_put_u32(msg, FRA_PRIORITY, PREF);
	if (bit) {
		mnl_attr_put_u32(msg, FRA_FWMARK, bit);
		mnl_attr_put_u32(msg, FRA_FWMASK, bit);
	}
}

/* nf_tables: numbers are in network order there, data in registers is not. */
#define TABLE "spiderbox"

static void nft(uint16_t type, uint16_t flags)
{
	struct nfgenmsg *h = begin((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, sizeof(*h));

	h->nfgen_family = NFPROTO_INET;
	h->version = NFNETLINK_V0;
}

static void nft_bound(uint16_t type)
{
	struct nfgenmsg *h = begin(type, 0, sizeof(*h));

	h->res_id = htons(NFNL_SUBSYS_NFTABLES);
}

static void nft_chain(const char *name, const char *type, uint32_t hook)
{
	struct nlattr *nest;

	nft(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	mnl_attr_put_strz(msg, NFTA_CHAIN_TABLE, TABLE);
	mnl_attr_put_strz(msg, NFTA_CHAIN_NAME, name);
	mnl_attr_put_strz(msg, NFTA_CHAIN_TYPE, type);
	nest = mnl_attr_nest_start(msg, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(msg, NFTA_HOOK_HOOKNUM, htonl(hook));
	mnl_attr_put_u32(msg, NFTA_HOOK_PRIORITY, htonl((uint32_t)-150));
	mnl_attr_nest_end(msg, nest);
}

/* An expression, up to its own attributes. */
static struct nlattr *elem, *data;

static void open_expr(const char *name)
{
	elem = mnl_attr_nest_start(msg, NFTA_LIST_ELEM);
	mnl_attr_put_strz(msg, NFTA_EXPR_NAME, name);
	data = mnl_attr_nest_start(msg, NFTA_EXPR_DATA);
}

static void close_expr(void)
{
	mnl_attr_nest_end(msg, data);
	mnl_attr_nest_end(msg, elem);
}

static void value(uint16_t type, const void *bytes, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(msg, type);

	mnl_attr_put(msg, NFTA_DATA_VALUE, len, bytes);
	mnl_attr_nest_end(msg, nest);
}

/* meta and ct have the same attributes */
static void load(const char *what, uint32_t key)
{
	open_expr(what);
	mnl_attr_put_u32(msg, NFTA_META_KEY, htonl(key));
	mnl_attr_put_u32(msg, *what == 'm' ? NFTA_META_DREG : NFTA_CT_DREG, htonl(NFT_REG_1));
	close_expr();
}

static void store(const char *what, uint32_t key)
{
	open_expr(what);
	mnl_attr_put_u32(msg, *what == 'm' ? NFTA_META_KEY : NFTA_CT_KEY, htonl(key));
	mnl_attr_put_u32(msg, *what == 'm' ? NFTA_META_SREG : NFTA_CT_SREG, htonl(NFT_REG_1));
	close_expr();
}

static void bitwise(uint32_t mask, uint32_t xor)
{
	open_expr("bitwise");
	mnl_attr_put_u32(msg, NFTA_BITWISE_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(msg, NFTA_BITWISE_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(msg, NFTA_BITWISE_LEN, htonl(4));
	value(NFTA_BITWISE_MASK, &mask, sizeof(mask));
	value(NFTA_BITWISE_XOR, &xor, sizeof(xor));
	close_expr();
}

static void compare(uint32_t op, const void *bytes, size_t len)
{
	open_expr("cmp");
	mnl_attr_put_u32(msg, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(msg, NFTA_CMP_OP, htonl(op));
	value(NFTA_CMP_DATA, bytes, len);
	close_expr();
}

static void set_bit(const char *what, uint32_t key)
{
	load(what, key);
	bitwise(~(uint32_t)BIT, BIT);
	store(what, key);
}

static struct nlattr *open_rule(const char *name)
{
	nft(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	mnl_attr_put_strz(msg, NFTA_RULE_TABLE, TABLE);
	mnl_attr_put_strz(msg, NFTA_RULE_CHAIN, name);
	return mnl_attr_nest_start(msg, NFTA_RULE_EXPRESSIONS);
}

static void mark_replies(void)
{
	const char device[16] = "veth0";
	const uint32_t zero = 0, bit = BIT;
	struct mnl_socket *s = open_socket(NETLINK_NETFILTER);
	struct nlattr *nest;
	uint32_t last;

	nft_bound(NFNL_MSG_BATCH_BEGIN);
	nft(NFT_MSG_NEWTABLE, NLM_F_CREATE);
	mnl_attr_put_strz(msg, NFTA_TABLE_NAME, TABLE);
	nft_chain("pre", "filter", NF_INET_PRE_ROUTING);
	nft_chain("out", "route", NF_INET_LOCAL_OUT);
	nest = open_rule("pre");
	load("meta", NFT_META_IIFNAME);
	compare(NFT_CMP_EQ, device, sizeof(device));
	load("ct", NFT_CT_STATE);
	bitwise(NF_CT_STATE_BIT(IP_CT_NEW), 0);
	compare(NFT_CMP_NEQ, &zero, sizeof(zero));
	set_bit("meta", NFT_META_MARK);
	set_bit("ct", NFT_CT_MARK);
	mnl_attr_nest_end(msg, nest);
	nest = open_rule("out");
	load("ct", NFT_CT_MARK);
	bitwise(BIT, 0);
	compare(NFT_CMP_EQ, &bit, sizeof(bit));
	set_bit("meta", NFT_META_MARK);
	mnl_attr_nest_end(msg, nest);
	msg->nlmsg_flags |= NLM_F_ACK;
	last = seq;
	nft_bound(NFNL_MSG_BATCH_END);
	send_batch(s, last, 0, "nf_tables");
}

static void add(const char *kind, char **argv, int argc)
{
	uint32_t card = (uint32_t)atoi(argv[1]), index = (uint32_t)atoi(argv[2]), pair = index + 1;
	const uint8_t host_mac[6] = { 2, 1, 0, 0, (uint8_t)(pair >> 8), (uint8_t)pair };
	const uint8_t pod_mac[6] = { 2, 2, 0, 0, (uint8_t)(pair >> 8), (uint8_t)pair };
	unsigned len, services_len;
	uint32_t ip = prefix(argv[5], &len), gateway = ipv4(argv[6]);
	uint32_t services = prefix(argv[7], &services_len), node = ipv4(argv[8]);
	struct mnl_socket *host = open_socket(NETLINK_ROUTE), *pod;
	int ns = open_netns(argv[0]);
	char path[80];

	make_slave(kind, index, "eth0", card, ns);
	make_pair(pair, argv[3], host_mac, pod_mac, ns);
	flush(host, 0, "the links");

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", argv[3]);
	set(path, "0");
	new_link(pair, 0, LINK_UP);
	mnl_attr_put(msg, IFLA_IFALIAS, strlen(argv[4]), argv[4]);
	address(pair, node, 32);
	neighbour(pair, ip, pod_mac);
	route(HOST_TABLE, ip, 32, pair, 0, node);
	rule(HOST_TABLE, 0);
	flush(host, EEXIST, "the node"); /* all pods share the rule */

	enter(ns);
	set("/proc/sys/net/ipv4/conf/eth0/arp_notify", "1");
	set("/proc/sys/net/ipv6/conf/eth0/ndisc_notify", "1");
	pod = open_socket(NETLINK_ROUTE);
	address(index, ip, len);
	new_link(index, 0, LINK_UP);
	new_link(pair, 0, LINK_UP);
	route(RT_TABLE_MAIN, 0, 0, index, gateway, 0);
	for (int i = 8; i < argc; i++) {
		uint32_t its = ipv4(argv[i]);

		neighbour(pair, its, host_mac);
		route(NODE_TABLE, its, 32, pair, 0, ip);
		route(RT_TABLE_MAIN, its, 32, pair, 0, ip);
	}
	route(RT_TABLE_MAIN, services, services_len, pair, node, ip);
	route(RT_TABLE_MAIN, ipv4("169.254.0.0"), 16, pair, node, ip); /* as the agent has it */
	route(PEER_TABLE, 0, 0, pair, node, ip);
	rule(PEER_TABLE, BIT);
	flush(pod, 0, "the pod");
	mark_replies();
}

static void into_group(const char *name)
{
	new_link(0, 0, 0);
	mnl_attr_put_strz(msg, IFLA_IFNAME, name);
	mnl_attr_put_u32(msg, IFLA_GROUP, DEL_GROUP);
}

static void del(char **argv)
{
	enter(open_netns(argv[0]));
	into_group("veth0");
	into_group("eth0");
	begin(RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(msg, IFLA_GROUP, DEL_GROUP);
	flush(open_socket(NETLINK_ROUTE), 0, "the interfaces");
}

/* What is open ends with the process. */
int main(int argc, char **argv)
{
	if (argc >= 12 && strcmp(argv[1], "add") == 0)
		add(argv[2], argv + 3, argc - 3);
	else if (argc == 3 && strcmp(argv[1], "del") == 0)
		del(argv + 2);
	else {
		fputs("usage: see the head of floor.c\n", stderr);
		return 2;
	}
	return 0;
}
