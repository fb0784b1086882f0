/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nft.c - one nf_tables batch, message by message (linux/netfilter/nf_tables.h).
 *
 * Mostly there is no table of that name, and one is made.  If there is, it is added, deleted and
 * added again in one transaction: whatever stood there is replaced as a whole or stays as it was.
 * Not so from the start, because what a transaction deletes is freed a grace period of RCU later,
 * and close() of the socket waits for that: some milliseconds, on each ADD.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <string.h>

#include "net/nft.h"

#define PRIORITY_MANGLE (-150) /* NF_IP_PRI_MANGLE */
#define COMMAND(type) ((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (type)))

static void fill(struct nl_req *r, uint8_t family, uint16_t res_id)
{
	struct nfgenmsg *h = nl_header(r);

	h->nfgen_family = family;
	h->version = NFNETLINK_V0;
	h->res_id = htons(res_id);
}

static void command(struct nl_req *r, uint16_t type, uint16_t flags)
{
	nl_req_next(r, COMMAND(type), flags, sizeof(struct nfgenmsg));
	fill(r, NFPROTO_INET, 0);
}

static void table(struct nl_req *r, uint16_t type, uint16_t flags, const char *name)
{
	command(r, type, flags);
	nl_put_str(r, NFTA_TABLE_NAME, name);
}

static void chain(struct nl_req *r, const char *in, const char *name, const char *type,
                  uint32_t hook)
{
	void *nest;

	command(r, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nl_put_str(r, NFTA_CHAIN_TABLE, in);
	nl_put_str(r, NFTA_CHAIN_NAME, name);
	nest = nl_nest(r, NFTA_CHAIN_HOOK);
	nl_put_u32_be(r, NFTA_HOOK_HOOKNUM, hook);
	nl_put_u32_be(r, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY_MANGLE);
	nl_nest_end(r, nest);
	nl_put_u32_be(r, NFTA_CHAIN_POLICY, NF_ACCEPT);
	nl_put_str(r, NFTA_CHAIN_TYPE, type);
}

/* An expression: its name, and a nest for its data that the caller ends with end_expr. */
struct expr {
	void *elem, *data;
};

static struct expr begin_expr(struct nl_req *r, const char *name)
{
	struct expr x = { .elem = nl_nest(r, NFTA_LIST_ELEM) };

	nl_put_str(r, NFTA_EXPR_NAME, name);
	x.data = nl_nest(r, NFTA_EXPR_DATA);
	return x;
}

static void end_expr(struct nl_req *r, struct expr x)
{
	nl_nest_end(r, x.data);
	nl_nest_end(r, x.elem);
}

/* Loads into register 1, or stores from it. */
static void meta(struct nl_req *r, uint32_t key, bool store)
{
	struct expr x = begin_expr(r, "meta");

	nl_put_u32_be(r, NFTA_META_KEY, key);
	nl_put_u32_be(r, store ? NFTA_META_SREG : NFTA_META_DREG, NFT_REG_1);
	end_expr(r, x);
}

static void ct(struct nl_req *r, uint32_t key, bool store)
{
	struct expr x = begin_expr(r, "ct");

	nl_put_u32_be(r, NFTA_CT_KEY, key);
	nl_put_u32_be(r, store ? NFTA_CT_SREG : NFTA_CT_DREG, NFT_REG_1);
	end_expr(r, x);
}

static void value(struct nl_req *r, uint16_t type, const void *data, size_t len)
{
	void *nest = nl_nest(r, type);

	nl_put(r, NFTA_DATA_VALUE, data, len);
	nl_nest_end(r, nest);
}

static void cmp(struct nl_req *r, uint32_t op, const void *data, size_t len)
{
	struct expr x = begin_expr(r, "cmp");

	nl_put_u32_be(r, NFTA_CMP_SREG, NFT_REG_1);
	nl_put_u32_be(r, NFTA_CMP_OP, op);
	value(r, NFTA_CMP_DATA, data, len);
	end_expr(r, x);
}

/* register 1 = register 1 & mask ^ xor; values in host order, as marks and states are */
static void bitwise(struct nl_req *r, uint32_t mask, uint32_t xor)
{
	struct expr x = begin_expr(r, "bitwise");

	nl_put_u32_be(r, NFTA_BITWISE_SREG, NFT_REG_1);
	nl_put_u32_be(r, NFTA_BITWISE_DREG, NFT_REG_1);
	nl_put_u32_be(r, NFTA_BITWISE_LEN, sizeof(mask));
	value(r, NFTA_BITWISE_MASK, &mask, sizeof(mask));
	value(r, NFTA_BITWISE_XOR, &xor, sizeof(xor));
	end_expr(r, x);
}

static void set_mark_bit(struct nl_req *r, uint32_t bit)
{
	meta(r, NFT_META_MARK, false);
	bitwise(r, ~bit, bit);
	meta(r, NFT_META_MARK, true);
}

/* Its expressions, to be ended. */
static void *rule(struct nl_req *r, const char *in, const char *name)
{
	command(r, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nl_put_str(r, NFTA_RULE_TABLE, in);
	nl_put_str(r, NFTA_RULE_CHAIN, name);
	return nl_nest(r, NFTA_RULE_EXPRESSIONS);
}

/* What comes in by the interface. */
static void match_device(struct nl_req *r, const char *ifname)
{
	char device[IFNAMSIZ] = "";

	memcpy(device, ifname, strnlen(ifname, sizeof(device) - 1));
	meta(r, NFT_META_IIFNAME, false);
	cmp(r, NFT_CMP_EQ, device, sizeof(device));
}

/* Of flows, if conntrack is there, else of packets; instead of a table that is there, or EEXIST. */
static void build(struct nl_req *r, const char *name, const char *ifname, uint32_t bit, bool flows,
                  bool instead)
{
	const uint32_t state_new = NF_CT_STATE_BIT(IP_CT_NEW), zero = 0;
	void *nest;

	nl_req_init(r, NFNL_MSG_BATCH_BEGIN, 0, sizeof(struct nfgenmsg));
	fill(r, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (instead) {
		table(r, NFT_MSG_NEWTABLE, NLM_F_CREATE, name);
		table(r, NFT_MSG_DELTABLE, 0, name);
	}
	table(r, NFT_MSG_NEWTABLE, NLM_F_CREATE | (instead ? 0 : NLM_F_EXCL), name);
	chain(r, name, "pre", "filter", NF_INET_PRE_ROUTING);
	if (flows)
		chain(r, name, "out", "route", NF_INET_LOCAL_OUT);
	nest = rule(r, name, "pre");
	match_device(r, ifname);
	if (flows) {
		ct(r, NFT_CT_STATE, false);
		bitwise(r, state_new, 0);
		cmp(r, NFT_CMP_NEQ, &zero, sizeof(zero));
	}
	set_mark_bit(r, bit);
	if (flows) {
		ct(r, NFT_CT_MARK, false);
		bitwise(r, ~bit, bit);
		ct(r, NFT_CT_MARK, true);
	}
	nl_nest_end(r, nest);
	if (flows) {
		nest = rule(r, name, "out");
		ct(r, NFT_CT_MARK, false);
		bitwise(r, bit, 0);
		cmp(r, NFT_CMP_EQ, &bit, sizeof(bit));
		set_mark_bit(r, bit);
		nl_nest_end(r, nest);
	}
	r->h->nlmsg_flags |= NLM_F_ACK; /* the others are heard of if they fail */
	nl_req_next(r, NFNL_MSG_BATCH_END, 0, sizeof(struct nfgenmsg));
	fill(r, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

static bool is_missing(int sys)
{
	return sys == ENOENT || sys == EOPNOTSUPP || sys == EPROTONOSUPPORT || sys == EAFNOSUPPORT;
}

/*
 * What the kernel lacks when it refuses a request of the batch so, or NULL.  A subsystem, family,
 * chain type or expression that it does not have, and cannot load, is ENOENT or "not supported".
 */
static const char *missing(uint16_t type, int sys)
{
	if (!is_missing(sys))
		return NULL;
	if (type == COMMAND(NFT_MSG_NEWCHAIN))
		return "chains of the inet family (filter, and route since Linux 5.2): load the "
		       "module nf_tables, or build with CONFIG_NF_TABLES_INET";
	if (type == COMMAND(NFT_MSG_NEWRULE))
		return "the expressions ct and meta: load the modules nft_ct and nf_conntrack, or "
		       "build with CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK";
	return "nf_tables: load the module nf_tables, or build with CONFIG_NF_TABLES";
}

static int mark(struct nl *nl, const char *name, const char *ifname, uint32_t bit, bool flows,
                struct err *e)
{
	const char *lacks = NULL;
	size_t failed = SIZE_MAX;
	struct err mine;
	struct nl_req r;
	int rc;

	if (!e)
		e = &mine;
	build(&r, name, ifname, bit, flows, false);
	rc = nl_batch(nl, &r, &failed, e);
	if (rc < 0 && e->sys == EEXIST) {
		build(&r, name, ifname, bit, flows, true);
		rc = nl_batch(nl, &r, &failed, e);
	}
	if (rc == 0)
		return 0;
	if (e->kind == ERR_SYS && failed != SIZE_MAX)
		lacks = missing(nl_req_type(&r, failed), e->sys);
	if (lacks) {
		e->kind = ERR_NOT_FOUND;
		err_prefix(e, "the kernel lacks %s", lacks);
	}
	return err_wrap(e, "nf_tables table %s", name);
}

int nft_reply_mark(struct nl *nl, const char *name, const char *ifname, uint32_t bit, struct err *e)
{
	return mark(nl, name, ifname, bit, true, e);
}

int nft_packet_mark(struct nl *nl, const char *name, const char *ifname, uint32_t bit,
                    struct err *e)
{
	return mark(nl, name, ifname, bit, false, e);
}

/* Which chains have rules. */
struct chains {
	bool pre, out;
};

static bool is_named(const struct nl_msg *m, uint16_t type, const char *name)
{
	size_t len, wanted = strlen(name) + 1;
	const char *is = nl_attr(m, type, wanted, &len);

	return is && len == wanted && memcmp(is, name, wanted) == 0;
}

static int visit_rule(const struct nl_msg *m, void *arg, struct err *e)
{
	struct chains *c = arg;

	(void)e;
	c->pre = c->pre || is_named(m, NFTA_RULE_CHAIN, "pre");
	c->out = c->out || is_named(m, NFTA_RULE_CHAIN, "out");
	return 0;
}

static int visit_chain(const struct nl_msg *m, void *arg, struct err *e)
{
	(void)m;
	(void)e;
	*(bool *)arg = true;
	return 0;
}

static void ask(struct nl_req *r, uint16_t type, uint16_t flags)
{
	nl_req_init(r, COMMAND(type), flags, sizeof(struct nfgenmsg));
	fill(r, NFPROTO_INET, 0);
}

static int has_chain_out(struct nl *nl, const char *name, bool *has, struct err *e)
{
	struct nl_req r;

	*has = false;
	ask(&r, NFT_MSG_GETCHAIN, 0);
	nl_put_str(&r, NFTA_CHAIN_TABLE, name);
	nl_put_str(&r, NFTA_CHAIN_NAME, "out");
	return nl_query(nl, &r, sizeof(struct nfgenmsg), visit_chain, NULL, has, e) == 0 ||
	                       e->sys == ENOENT
	               ? 0
	               : -1;
}

static int list_rules(struct nl *nl, const char *name, struct chains *out, struct err *e)
{
	struct nl_req r;

	ask(&r, NFT_MSG_GETRULE, NLM_F_DUMP);
	nl_put_str(&r, NFTA_RULE_TABLE, name);
	return nl_query(nl, &r, sizeof(struct nfgenmsg), visit_rule, NULL, out, e);
}

int nft_marks(struct nl *nl, const char *name, bool *marks, struct err *e)
{
	struct chains has_rules = { .pre = false };
	struct err mine;
	bool flows;

	if (!e)
		e = &mine;
	if (has_chain_out(nl, name, &flows, e) < 0 || list_rules(nl, name, &has_rules, e) < 0) {
		/* EINVAL: a message for a subsystem that the kernel does not have */
		if (e->kind == ERR_SYS && (e->sys == EINVAL || is_missing(e->sys)))
			e->kind = ERR_NOT_FOUND;
		return err_wrap(e, "nf_tables table %s", name);
	}
	*marks = has_rules.pre && (!flows || has_rules.out);
	return 0;
}
