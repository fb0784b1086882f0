/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ base/ */
/* libs: mnl */
/*
 * netlink_fuzz.c - what a kernel may answer to each of our questions.
 *
 * Bytes of an input: which question, its argument, then datagrams: two bytes of length (least
 * significant first) and as many bytes, which are sent as they are.  Requests are numbered from 1.
 * After the last datagram the kernel has gone, so that nobody waits for it; or, with bit 7 of
 * the argument, it is silent for a millisecond.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/link.h"
#include "net/nft.h"
#include "net/route.h"
#include "tests/fuzz/fuzz.h"

#define DATAGRAMS_MAX 64

/* Lengths are what callers compute masks from. */
static void must_be_cidr(struct cidr c)
{
	must(c.ip.family == 4 || c.ip.family == 6);
	must(c.len <= ip_bits(c.ip));
}

static void must_be_link(const struct link *l)
{
	must(memchr(l->name, '\0', sizeof(l->name)));
	must(memchr(l->kind, '\0', sizeof(l->kind)));
	must(memchr(l->alias, '\0', sizeof(l->alias)));
}

static int ask_links(struct nl *nl, struct err *e)
{
	AUTO_FREE struct link *v = NULL;
	size_t n = 77;

	if (link_list(nl, &v, &n, e) < 0) {
		must(!v && n == 77);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		must_be_link(&v[i]);
		must(!i || v[i - 1].index <= v[i].index);
	}
	return 0;
}

static int ask_link(struct nl *nl, uint8_t argument, struct err *e)
{
	struct link l = { .index = 77 };
	int rc = argument & 1 ? link_get_index(nl, 3, &l, e) : link_get(nl, "eth0", &l, e);

	if (rc < 0)
		must(l.index == 77 && !*l.name);
	else
		must_be_link(&l);
	return rc;
}

static int ask_addresses(struct nl *nl, uint8_t argument, struct err *e)
{
	int family = argument & 1 ? 4 : argument & 2 ? 6 : 0, index = argument & 4 ? 3 : 0;
	AUTO_FREE struct addr *v = NULL;
	size_t n = 77;

	if (addr_list(nl, family, index, &v, &n, e) < 0) {
		must(!v && n == 77);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		must_be_cidr(v[i].local);
		must(!index || v[i].index == index);
		must(cidr_contains(v[i].local, v[i].local.ip));
	}
	return 0;
}

static int ask_routes(struct nl *nl, uint8_t argument, struct err *e)
{
	uint32_t table = argument & 2 ? 100 : 0;
	AUTO_FREE struct route *v = NULL;
	size_t n = 77;

	if (route_list(nl, argument & 1 ? 4 : 6, table, &v, &n, e) < 0) {
		must(!v && n == 77);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		must_be_cidr(v[i].dst);
		must(!v[i].gw.family || v[i].gw.family == 4 || v[i].gw.family == 6);
		must(!table || v[i].table == table);
		must(cidr_contains(cidr_network(v[i].dst), v[i].dst.ip));
	}
	return 0;
}

static int ask_route(struct nl *nl, uint8_t argument, struct err *e)
{
	const struct ip dst = { argument & 1 ? 4 : 6, { 10, 0, 0, 1 } };
	struct route r = { .oif = 77 };

	if (route_get(nl, dst, &r, e) < 0) {
		must(r.oif == 77);
		return -1;
	}
	must_be_cidr(r.dst);
	return 0;
}

static int ask_rules(struct nl *nl, uint8_t argument, struct err *e)
{
	AUTO_FREE struct rule *v = NULL;
	size_t n = 77;

	if (rule_list(nl, argument & 1 ? 4 : 6, &v, &n, e) < 0) {
		must(!v && n == 77);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		must(v[i].family == 4 || v[i].family == 6);
		if (v[i].src.ip.family)
			must_be_cidr(v[i].src);
	}
	return 0;
}

static int ask_neighbours(struct nl *nl, uint8_t argument, struct err *e)
{
	int family = argument & 1 ? 4 : argument & 2 ? 6 : 0, index = argument & 4 ? 3 : 0;
	AUTO_FREE struct neigh *v = NULL;
	size_t n = 77;

	if (neigh_list(nl, family, index, &v, &n, e) < 0) {
		must(!v && n == 77);
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		must((v[i].ip.family == 4 || v[i].ip.family == 6) &&
		     (!index || v[i].index == index));
	return 0;
}

static int ask_table(struct nl *nl, struct err *e)
{
	bool marks = false;

	return nft_marks(nl, "spiderbox", &marks, e);
}

static int change(struct nl *nl, uint8_t argument, struct err *e)
{
	const struct cidr a = { { 4, { 10, 0, 0, 5 } }, 24 };
	const struct route r = { .dst = a, .oif = 3, .table = 100 };
	const struct rule rule = { .family = 4, .priority = 1000, .table = 100 };
	const struct neigh n = { .index = 3, .ip = a.ip };

	switch (argument & 15) {
	case 0:
		return link_set_up(nl, 3, e);
	case 1:
		return link_del(nl, 3, e);
	case 2:
		return addr_add(nl, 3, a, e);
	case 3:
		return addr_del(nl, 3, a, e);
	case 4:
		return route_add(nl, &r, ROUTE_PREPEND, e);
	case 5:
		return route_del(nl, &r, e);
	case 6:
		return rule_add(nl, &rule, e);
	case 7:
		return rule_del(nl, &rule, e);
	case 8:
		return neigh_replace(nl, &n, e);
	case 9:
		return neigh_del(nl, 3, a.ip, e);
	case 10:
		return link_add_ipvlan(nl, -1, NULL, "eth0", &(struct link){ .index = 2 }, 0, 0,
		                       1500, e);
	default:
		return nft_reply_mark(nl, "spiderbox", "eth0", 1, e);
	}
}

static int ask(struct nl *nl, uint8_t question, uint8_t argument, struct err *e)
{
	switch (question % 9) {
	case 0:
		return ask_links(nl, e);
	case 1:
		return ask_link(nl, argument, e);
	case 2:
		return ask_addresses(nl, argument, e);
	case 3:
		return ask_routes(nl, argument, e);
	case 4:
		return ask_route(nl, argument, e);
	case 5:
		return ask_rules(nl, argument, e);
	case 6:
		return ask_neighbours(nl, argument, e);
	case 7:
		return ask_table(nl, e);
	default:
		return change(nl, argument, e);
	}
}

static void answer(int kernel, struct fuzz_input *in)
{
	for (int i = 0; i < DATAGRAMS_MAX && in->left > 2; i++) {
		size_t len = fuzz_byte(in);

		len |= (size_t)fuzz_byte(in) << 8;
		if (len > in->left)
			len = in->left;
		/* a full socket takes no more: as good as a kernel that says no more */
		if (send(kernel, in->at, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
		in->at += len;
		in->left -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	uint8_t question = fuzz_byte(&in), argument = fuzz_byte(&in);
	struct err e = { .kind = ERR_NONE };
	int pair[2];
	struct nl *nl;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	nl = nl_from_fd(pair[0], 1);
	answer(pair[1], &in);
	if (!(argument & 128))
		must(shutdown(pair[1], SHUT_WR) == 0);
	if (ask(nl, question, argument, &e) < 0)
		must_tell(&e);
	nl_close(nl);
	close(pair[1]);
	return 0;
}
