/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ base/ */
/* libs: mnl */
/*
 * nl_test.c - netlink against a kernel of our own behind a socket pair: its answers are queued
 * before the request is made, its ear is read afterwards.  Numbers begin at 1 on every socket.
 */
#include <errno.h>
#include <limits.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "net/addr.h"
#include "net/link.h"
#include "net/netconf.h"
#include "net/nft.h"
#include "net/route.h"

#define SILENCE_MS 60

static struct nl *nl;
static int near_fd = -1, kernel = -1;
static struct err e;

static int setup(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	near_fd = pair[0];
	kernel = pair[1];
	nl = nl_from_fd(near_fd, SILENCE_MS);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(nl);
	close(kernel);
	return 0;
}

/* The kernel's mouth: messages are collected, and sent as one datagram. */
static char mouth[48 * 1024] __attribute__((aligned(8)));
static size_t mouth_len, message_at;

static void put(const void *data, size_t len)
{
	size_t aligned = (len + 3) & ~(size_t)3;

	assert_true(mouth_len + aligned <= sizeof(mouth));
	memset(mouth + mouth_len, 0, aligned);
	if (len)
		memcpy(mouth + mouth_len, data, len);
	mouth_len += aligned;
	((struct nlmsghdr *)(void *)(mouth + message_at))->nlmsg_len =
		(uint32_t)(mouth_len - message_at);
}

static void message(uint16_t type, uint16_t flags, uint32_t seq, const void *header, size_t len)
{
	struct nlmsghdr h = { .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = seq };

	message_at = mouth_len;
	put(&h, sizeof(h));
	put(header, len);
}

static void attribute(uint16_t type, const void *data, size_t len)
{
	struct nlattr a = { .nla_type = type, .nla_len = (uint16_t)(sizeof(a) + len) };

	put(&a, sizeof(a));
	put(data, len);
}

static void speak(void)
{
	assert_int_equal(send(kernel, mouth, mouth_len, 0), mouth_len);
	mouth_len = 0;
}

static void error_message(uint16_t flags, uint32_t seq, int error)
{
	struct nlmsgerr payload = { .error = error, .msg = { .nlmsg_len = 32 } };

	message(NLMSG_ERROR, flags, seq, &payload, sizeof(payload));
}

static void acknowledge(uint32_t seq)
{
	error_message(NLM_F_CAPPED, seq, 0);
	speak();
}

static void refuse(uint32_t seq, int error)
{
	error_message(NLM_F_CAPPED, seq, -error);
	speak();
}

static void done(uint16_t flags, uint32_t seq, int error)
{
	message(NLMSG_DONE, NLM_F_MULTI | flags, seq, &error, sizeof(error));
}

static void an_address(uint16_t flags, uint32_t seq, uint8_t last)
{
	const struct ifaddrmsg h = { .ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 3 };
	const uint8_t ip[4] = { 10, 0, 0, last };

	message(RTM_NEWADDR, NLM_F_MULTI | flags, seq, &h, sizeof(h));
	attribute(IFA_LOCAL, ip, sizeof(ip));
}

/* What the kernel heard, as hexadecimal; "" when there is nothing. */
static const char *heard(void)
{
	static char hex[2 * 8192 + 1];
	uint8_t buf[8192];
	ssize_t n = recv(kernel, buf, sizeof(buf), MSG_DONTWAIT);

	hex[0] = '\0';
	for (ssize_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", buf[i]);
	return hex;
}

/* golden: hexadecimal with blanks between what belongs together */
static void assert_heard(const char *golden)
{
	AUTO_STR packed = STR_INIT;

	for (; *golden; golden++)
		if (*golden != ' ')
			str_addc(&packed, *golden);
	assert_string_equal(heard(), packed.data);
}

static void assert_nothing_left(void)
{
	char c;

	assert_int_equal(recv(near_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static int plain_ack(void)
{
	struct nl_req r;

	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	return nl_ack(nl, &r, &e);
}

static void ack_is_awaited(void **state)
{
	(void)state;
	acknowledge(1);
	assert_int_equal(plain_ack(), 0);
	acknowledge(2);
	assert_int_equal(plain_ack(), 0);
	assert_int_equal(nl_requests(nl), 2);
	assert_nothing_left();
}

static void foreign_numbers_are_passed_over(void **state)
{
	(void)state;
	refuse(0, EPERM);
	refuse(7, EPERM);
	error_message(NLM_F_CAPPED, 2, -EPERM); /* in one datagram with ours */
	error_message(NLM_F_CAPPED, 1, 0);
	speak();
	assert_int_equal(plain_ack(), 0);
}

static void errors_carry_the_kernels_words(void **state)
{
	static const char words[] = "Nexthop has invalid gateway";

	(void)state;
	refuse(1, ENETUNREACH);
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, ENETUNREACH);
	assert_string_equal(e.msg, "kernel: Network is unreachable");

	error_message(NLM_F_CAPPED | NLM_F_ACK_TLVS, 2, -ENETUNREACH);
	attribute(NLMSGERR_ATTR_OFFS, &(uint32_t){ 20 }, 4);
	attribute(NLMSGERR_ATTR_MSG, words, sizeof(words));
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_string_equal(e.msg, "kernel (Nexthop has invalid gateway): Network is unreachable");

	/* the request of 32 bytes repeated: 16 more behind its header */
	error_message(NLM_F_ACK_TLVS, 3, -ENETUNREACH);
	put("sixteen bytes...", 16);
	attribute(NLMSGERR_ATTR_MSG, words, sizeof(words));
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_string_equal(e.msg, "kernel (Nexthop has invalid gateway): Network is unreachable");

	/* words without an end, and a request longer than the message */
	error_message(NLM_F_CAPPED | NLM_F_ACK_TLVS, 4, -EPERM);
	attribute(NLMSGERR_ATTR_MSG, "abcd", 4);
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_string_equal(e.msg, "kernel (abcd): Operation not permitted");
	error_message(NLM_F_ACK_TLVS, 5, -EPERM);
	attribute(NLMSGERR_ATTR_MSG, "abcd", 4);
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_string_equal(e.msg, "kernel: Operation not permitted");
}

static void impossible_errors_are_refused(void **state)
{
	(void)state;
	error_message(NLM_F_CAPPED, 1, 5);
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "netlink: an error numbered 5");
	error_message(NLM_F_CAPPED, 2, INT32_MIN);
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	message(NLMSG_ERROR, 0, 3, "1234", 4);
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_string_equal(e.msg, "netlink: a short error message");
}

static void a_silent_kernel_is_given_up(void **state)
{
	(void)state;
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(e.msg, "netlink: the kernel does not answer");
	/* its late answer is nobody's */
	refuse(1, EPERM);
	acknowledge(2);
	assert_int_equal(plain_ack(), 0);
}

static void broken_datagrams_are_refused(void **state)
{
	static char huge[40000];

	(void)state;
	error_message(NLM_F_CAPPED, 1, 0);
	mouth_len -= 4;
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "netlink: a truncated message");

	/* no int holds it: not to be taken for a small or a negative one */
	error_message(NLM_F_CAPPED, 77, 0);
	((struct nlmsghdr *)(void *)mouth)->nlmsg_len = UINT32_MAX;
	speak();
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "netlink: a truncated message");

	assert_int_equal(send(kernel, huge, sizeof(huge), 0), sizeof(huge));
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "netlink: a message of 40000 bytes");

	shutdown(kernel, SHUT_WR);
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "netlink: an empty message");
}

static void a_closed_socket_is_an_error(void **state)
{
	(void)state;
	shutdown(kernel, SHUT_RDWR);
	assert_int_equal(plain_ack(), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EPIPE);
	assert_string_equal(e.msg, "netlink: send: Broken pipe");
}

static void a_last_message_needs_no_padding(void **state)
{
	struct ifaddrmsg h = { .ifa_family = AF_INET, .ifa_index = 3 };
	struct addr *v = NULL;
	size_t n = 0;

	(void)state;
	an_address(0, 1, 1);
	message(RTM_NEWADDR, NLM_F_MULTI, 1, &h, sizeof(h));
	attribute(IFA_LABEL, "abcde", 5);
	/* 24 + 4 + 5 bytes, and no more in the datagram */
	((struct nlmsghdr *)(void *)(mouth + message_at))->nlmsg_len -= 3;
	mouth_len -= 3;
	speak();
	done(0, 1, 0);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), 0);
	assert_int_equal(n, 1);
	free(v);
}

static void a_dump_comes_in_many_parts(void **state)
{
	struct addr *v = NULL;
	size_t n = 0;

	(void)state;
	an_address(0, 1, 1);
	an_address(0, 1, 2);
	speak();
	an_address(0, 9, 66); /* somebody else's */
	an_address(0, 1, 3);
	speak();
	done(0, 1, 0);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_string_equal(cidr_str(v[2].local).s, "10.0.0.3/24");
	assert_int_equal(v[2].index, 3);
	free(v);
	assert_nothing_left();
}

static void a_changed_dump_is_read_again(void **state)
{
	struct addr *v = NULL;
	size_t n = 0;

	(void)state;
	an_address(0, 1, 1);
	an_address(NLM_F_DUMP_INTR, 1, 2);
	an_address(0, 1, 3);
	done(0, 1, 0);
	speak();
	an_address(0, 2, 4);
	done(NLM_F_DUMP_INTR, 2, 0); /* said with the end alone */
	speak();
	an_address(0, 3, 5);
	done(0, 3, 0);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_string_equal(cidr_str(v[0].local).s, "10.0.0.5/24");
	free(v);
	assert_int_equal(nl_requests(nl), 3);
}

static void a_dump_that_never_rests_is_given_up(void **state)
{
	struct addr *v = NULL;
	size_t n = 77;

	(void)state;
	for (uint32_t i = 1; i <= 6; i++) {
		an_address(NLM_F_DUMP_INTR, i, 1);
		done(0, i, 0);
		speak();
	}
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(
		e.msg, "list addresses: netlink: a list changed each of the 5 times it was read");
	assert_null(v);
	assert_int_equal(n, 77);
	assert_int_equal(nl_requests(nl), 5);
}

static void a_dump_may_fail_at_its_end(void **state)
{
	static const char words[] = "FIB table does not exist";
	struct addr *v = NULL;
	struct route *routes = (struct route *)&e;
	size_t n = 77;

	(void)state;
	an_address(0, 1, 1);
	done(0, 1, -ENOMEM);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), -1);
	assert_int_equal(e.sys, ENOMEM);
	assert_string_equal(e.msg, "list addresses: kernel: Cannot allocate memory");

	/* but a table that is not there is an empty one */
	done(NLM_F_ACK_TLVS, 2, -ENOENT);
	attribute(NLMSGERR_ATTR_MSG, words, sizeof(words));
	speak();
	assert_int_equal(route_list(nl, 4, 500, &routes, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_null(routes);

	done(NLM_F_ACK_TLVS, 3, -ENOENT);
	attribute(NLMSGERR_ATTR_MSG, words, sizeof(words));
	speak();
	assert_int_equal(route_list(nl, 4, 0, &routes, &n, &e), -1);
	assert_string_equal(
		e.msg, "list routes: kernel (FIB table does not exist): No such file or directory");
}

static void a_route(uint32_t seq, uint8_t in_header, uint32_t table, uint8_t last)
{
	const struct rtmsg h = { .rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_table = in_header };
	const uint8_t ip[4] = { 10, 0, 0, last };

	message(RTM_NEWROUTE, NLM_F_MULTI, seq, &h, sizeof(h));
	attribute(RTA_DST, ip, sizeof(ip));
	if (table)
		attribute(RTA_TABLE, &table, sizeof(table));
}

/* Kernels before 4.20 tell everything, whatever was asked for. */
static void old_kernels_do_not_filter(void **state)
{
	const struct ndmsg near = { .ndm_family = AF_INET, .ndm_ifindex = 5 };
	const struct ndmsg far = { .ndm_family = AF_INET, .ndm_ifindex = 6 };
	struct route *all = NULL;
	struct neigh *neighs = NULL;
	struct addr *addrs = NULL;
	size_t n = 0;

	(void)state;
	for (uint32_t seq = 1; seq <= 2; seq++) {
		a_route(seq, RT_TABLE_MAIN, RT_TABLE_MAIN, 1);
		a_route(seq, 0, 500, 2);
		a_route(seq, 100, 0, 3); /* its table in the header alone */
		a_route(seq, RT_TABLE_LOCAL, RT_TABLE_LOCAL, 4);
		done(0, seq, 0);
		speak();
	}
	assert_int_equal(route_list(nl, 4, 500, &all, &n, &e), 0);
	assert_heard(
		"24000000 1a00 0103 01000000 00000000"
		" 02 00 00 00 00 00 00 00 00000000"
		" 0800 0f00 f4010000");
	assert_int_equal(n, 1);
	assert_string_equal(cidr_str(all[0].dst).s, "10.0.0.2/32");
	free(all);
	assert_int_equal(route_list(nl, 4, 0, &all, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(all[2].table, 100);
	free(all);
	heard();

	message(RTM_NEWNEIGH, NLM_F_MULTI, 3, &near, sizeof(near));
	attribute(NDA_DST, "\x0a\0\0\1", 4);
	message(RTM_NEWNEIGH, NLM_F_MULTI, 3, &far, sizeof(far));
	attribute(NDA_DST, "\x0a\0\0\2", 4);
	done(0, 3, 0);
	speak();
	assert_int_equal(neigh_list(nl, 4, 6, &neighs, &n, &e), 0);
	assert_heard(
		"24000000 1e00 0103 03000000 00000000"
		" 02 00 0000 00000000 0000 00 00"
		" 0800 0800 06000000");
	assert_int_equal(n, 1);
	assert_string_equal(ip_str(neighs[0].ip).s, "10.0.0.2");
	free(neighs);

	/* flags beyond the eight bits of the header; an interface nobody asked for */
	an_address(0, 4, 1);
	attribute(IFA_FLAGS, &(uint32_t){ IFA_F_NOPREFIXROUTE }, 4);
	done(0, 4, 0);
	speak();
	an_address(0, 5, 1);
	done(0, 5, 0);
	speak();
	assert_int_equal(addr_list(nl, 0, 3, &addrs, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(addrs[0].flags, IFA_F_NOPREFIXROUTE);
	free(addrs);
	assert_int_equal(addr_list(nl, 0, 4, &addrs, &n, &e), 0);
	assert_int_equal(n, 0);
	free(addrs);
}

static void interfaces_come_in_order(void **state)
{
	static const int told[] = { 300, 1, INT_MIN + 3, 44, 2 },
			 want[] = { INT_MIN + 3, 1, 2, 44, 300 }; /* of a broken kernel, too */
	struct link *all = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		message(RTM_NEWLINK, NLM_F_MULTI, 1, &(struct ifinfomsg){ .ifi_index = told[i] },
		        sizeof(struct ifinfomsg));
	done(0, 1, 0);
	speak();
	assert_int_equal(link_list(nl, &all, &n, &e), 0);
	assert_int_equal(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(all[i].index, want[i]);
	free(all);
}

static int stop_at_second(const struct nl_msg *m, void *arg, struct err *err)
{
	int *calls = arg;

	(void)m;
	return ++*calls == 2 ? err_set(err, ERR_CONFIG, "enough") : 0;
}

static void a_stopped_dump_is_read_to_its_end(void **state)
{
	struct nl_req r;
	int calls = 0;

	(void)state;
	for (uint8_t i = 0; i < 4; i++) {
		an_address(0, 1, i);
		speak();
	}
	done(0, 1, -EPERM);
	speak();
	nl_req_init(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	assert_int_equal(
		nl_query(nl, &r, sizeof(struct ifaddrmsg), stop_at_second, NULL, &calls, &e), -1);
	assert_int_equal(calls, 2);
	assert_string_equal(e.msg, "enough");
	assert_nothing_left();
}

static void an_answer_may_be_too_long(void **state)
{
	struct addr *v = NULL;
	size_t n = 7;

	(void)state;
	nl_limit(nl, 2 * 32 + 20); /* two addresses and the end */
	for (uint32_t seq = 1; seq < 3; seq++) {
		an_address(NLM_F_DUMP_INTR, seq, 1); /* the limit is each try's */
		an_address(0, seq, 2);
		done(0, seq, 0);
		speak();
	}
	an_address(0, 3, 1);
	an_address(0, 3, 2);
	done(0, 3, 0);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), 0);
	assert_int_equal(n, 2);
	free(v);
	for (uint8_t i = 0; i < 3; i++)
		an_address(0, 4, i);
	done(0, 4, 0);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "list addresses: netlink: an answer of more than 84 bytes");
	assert_int_equal(n, 2);
}

static void a_short_family_header_is_refused(void **state)
{
	struct addr *v = NULL;
	size_t n;

	(void)state;
	message(RTM_NEWADDR, NLM_F_MULTI, 1, "1234", 4);
	done(0, 1, 0);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "list addresses: netlink: a short message of type 20");
}

static void nobody_needs_to_care(void **state)
{
	struct route *routes = NULL;
	struct link l;
	size_t n;

	(void)state;
	refuse(1, ENODEV);
	assert_int_equal(link_get(nl, "eth0", &l, NULL), -1);
	refuse(2, ENODEV);
	assert_int_equal(link_del(nl, 5, NULL), -1);
	done(0, 3, -ENOENT);
	speak();
	assert_int_equal(route_list(nl, 4, 500, &routes, &n, NULL), 0);
	refuse(4, EOPNOTSUPP);
	assert_int_equal(nft_reply_mark(nl, "spiderbox", "veth0", 1, NULL), -1);
	refuse(15, ENETUNREACH);
	assert_int_equal(route_get(nl, (struct ip){ .family = 4 }, &(struct route){ 0 }, NULL), -1);
}

static void a_full_request_is_never_sent(void **state)
{
	static const char kilobytes[5000];
	struct nl_req r;
	size_t failed = 99;
	void *nest;

	(void)state;
	/* to the last byte: 16 + 16 in front, 4 of an attribute's header */
	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	nl_put(&r, 1, kilobytes, NL_REQ_MAX - 36);
	assert_false(r.overflow);
	assert_int_equal(r.h->nlmsg_len, NL_REQ_MAX);
	nl_put_u8(&r, 2, 1);
	assert_true(r.overflow);
	assert_int_equal(r.h->nlmsg_len, NL_REQ_MAX);

	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	nl_put(&r, 1, kilobytes, NL_REQ_MAX - 35);
	assert_true(r.overflow);
	nest = nl_nest(&r, 3);
	assert_null(nest);
	nl_put_raw(&r, kilobytes, 4);
	nl_put_u32(&r, 4, 4);
	nl_nest_end(&r, nest);
	assert_int_equal(r.h->nlmsg_len, 32);
	assert_int_equal(nl_ack(nl, &r, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "netlink: a request of more than 4096 bytes");
	assert_int_equal(nl_query(nl, &r, 16, stop_at_second, NULL, NULL, &e), -1);

	/* several messages share the room: two of 32 bytes, and the header of an attribute */
	nl_req_init(&r, RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
	nl_req_next(&r, RTM_NEWLINK, NLM_F_ACK, sizeof(struct ifinfomsg));
	nl_put(&r, 1, kilobytes, NL_REQ_MAX - 68);
	assert_false(r.overflow);
	nl_put_u8(&r, 2, 1);
	assert_true(r.overflow);
	assert_int_equal(nl_batch(nl, &r, &failed, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_int_equal(failed, 99);
	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	nl_put(&r, 1, kilobytes, NL_REQ_MAX - 36 - 28);
	nl_req_next(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	assert_true(r.overflow);
	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	nl_put(&r, 1, kilobytes, NL_REQ_MAX - 36 - 32);
	nl_req_next(&r, RTM_NEWADDR, 0, sizeof(struct ifinfomsg));
	assert_false(r.overflow);
	assert_int_equal(nl_req_type(&r, 0), RTM_NEWLINK);
	assert_int_equal(nl_req_type(&r, 1), RTM_NEWADDR);
	nl_put_raw(&r, kilobytes, 1);
	assert_true(r.overflow);
	assert_string_equal(heard(), "");

	/* a nest that was open when it happened */
	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	nest = nl_nest(&r, 3);
	assert_non_null(nest);
	nl_put_raw(&r, kilobytes, sizeof(kilobytes));
	assert_true(r.overflow);
	nl_nest_end(&r, nest);
}

static void gathered_requests_are_sent_at_once(void **state)
{
	const struct neigh n = { .index = 5,
		                 .ip = { .family = 4, .bytes = { 10, 0, 0, 9 } },
		                 .state = NUD_PERMANENT };
	bool failed[NL_GATHER_MAX];
	struct nlmsghdr sent[3];
	char buf[1024];
	size_t at = 0;
	ssize_t len;

	(void)state;
	nl_gather(nl);
	assert_int_equal(link_set_up(nl, 5, &e), 0);
	assert_int_equal(neigh_replace(nl, &n, &e), 0);
	assert_int_equal(neigh_del(nl, 5, n.ip, &e), 0);
	assert_string_equal(heard(), "");
	/* the second is refused, and others' answers are passed over; all goes on to the last */
	refuse(77, ENOENT);
	refuse(2, EEXIST);
	acknowledge(3);
	assert_int_equal(nl_flush(nl, failed, 3, &e), 0);
	assert_false(failed[0]);
	assert_true(failed[1]);
	assert_false(failed[2]);
	len = recv(kernel, buf, sizeof(buf), MSG_DONTWAIT);
	for (size_t i = 0; i < 3; i++) {
		memcpy(&sent[i], buf + at, sizeof(sent[i]));
		assert_int_equal(sent[i].nlmsg_seq, i + 1);
		assert_int_equal(sent[i].nlmsg_flags & NLM_F_ACK, i == 2 ? NLM_F_ACK : 0);
		at += sent[i].nlmsg_len;
	}
	assert_int_equal(at, len);

	/* then each by itself, as ever */
	acknowledge(4);
	assert_int_equal(link_set_up(nl, 5, &e), 0);
	assert_string_not_equal(heard(), "");

	/* the last one may be refused, too */
	nl_gather(nl);
	assert_int_equal(link_set_up(nl, 5, &e), 0);
	refuse(5, ENODEV);
	assert_int_equal(nl_flush(nl, failed, 1, &e), 0);
	assert_true(failed[0]);
	assert_string_not_equal(heard(), "");

	/* silence */
	nl_gather(nl);
	assert_int_equal(link_set_up(nl, 5, &e), 0);
	assert_int_equal(nl_flush(nl, failed, 1, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_not_equal(heard(), "");

	/* nothing, and what is forgotten, is not sent */
	nl_gather(nl);
	assert_int_equal(nl_flush(nl, failed, 0, &e), 0);
	nl_gather(nl);
	assert_int_equal(link_set_up(nl, 5, &e), 0);
	nl_forget(nl);
	assert_string_equal(heard(), "");
}

/* Three, of which those acknowledge that `acks` says. */
static void build_batch(struct nl_req *r, const char acks[4])
{
	for (int i = 0; i < 3; i++) {
		uint16_t flags = acks[i] == 'A' ? NLM_F_ACK : 0;

		if (i)
			nl_req_next(r, RTM_NEWLINK, flags, sizeof(struct ifinfomsg));
		else
			nl_req_init(r, RTM_NEWLINK, flags, sizeof(struct ifinfomsg));
	}
}

static void batches_name_the_request_that_failed(void **state)
{
	struct nl_req r;
	size_t failed = 99;

	(void)state;
	build_batch(&r, "AAA");
	for (uint32_t i = 1; i <= 3; i++)
		acknowledge(i);
	assert_int_equal(nl_batch(nl, &r, &failed, &e), 0);
	assert_int_equal(failed, 99);
	assert_int_equal(nl_requests(nl), 1);
	/* one datagram of three messages */
	assert_heard(
		"20000000 1000 0500 01000000 00000000 00 00 0000 00000000 00000000 00000000"
		"20000000 1000 0500 02000000 00000000 00 00 0000 00000000 00000000 00000000"
		"20000000 1000 0500 03000000 00000000 00 00 0000 00000000 00000000 00000000");
	assert_string_equal(heard(), "");

	acknowledge(4);
	refuse(5, EBUSY);
	refuse(6, EPERM);
	assert_int_equal(nl_batch(nl, &r, &failed, &e), -1);
	assert_int_equal(failed, 1);
	assert_int_equal(e.sys, EBUSY);

	/* answers to the failed batch don't disturb the next one */
	for (uint32_t i = 7; i <= 9; i++)
		acknowledge(i);
	assert_int_equal(nl_batch(nl, &r, NULL, &e), 0);

	/* a request without NLM_F_ACK is not waited for, but heard when it is refused */
	build_batch(&r, "-A-");
	acknowledge(11);
	assert_int_equal(nl_batch(nl, &r, NULL, &e), 0);
	refuse(13, EOPNOTSUPP);
	assert_int_equal(nl_batch(nl, &r, &failed, &e), -1);
	assert_int_equal(failed, 0);
	build_batch(&r, "---");
	assert_int_equal(nl_batch(nl, &r, NULL, &e), 0);

	build_batch(&r, "-A-");
	failed = 99;
	assert_int_equal(nl_batch(nl, &r, &failed, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(failed, 99);
}

/* Attributes 1 (4 bytes), 2 (5 bytes: padded), 3 (a nest with 7). */
static size_t some_attributes(char *out)
{
	struct nl_req r;
	void *nest;
	size_t len;

	nl_req_init(&r, 0, 0, 0);
	nl_put_u32(&r, 1, 0x01020304);
	nl_put(&r, 2, "hello", 5);
	nest = nl_nest(&r, 3);
	nl_put_u16(&r, 7, 0x0506);
	nl_nest_end(&r, nest);
	len = r.h->nlmsg_len - sizeof(*r.h);
	memcpy(out, (char *)r.h + sizeof(*r.h), len);
	return len;
}

static void attributes_are_read_within_bounds(void **state)
{
	char whole[256];
	size_t total = some_attributes(whole);

	(void)state;
	assert_int_equal(total, 8 + 12 + 12);
	for (size_t cut = 0; cut <= total; cut++) {
		char *part = malloc(cut + !cut); /* exact: the sanitizer watches its end */
		size_t len = 0;
		const void *v, *nest;

		assert_non_null(part);
		memcpy(part, whole, cut);
		v = nl_attr_in(part, cut, 1, 4, &len);
		assert_int_equal(v != NULL, cut >= 8);
		if (v)
			assert_int_equal(*(const uint32_t *)v, 0x01020304);
		v = nl_attr_in(part, cut, 2, 1, &len);
		assert_int_equal(v != NULL, cut >= 17);
		if (v)
			assert_int_equal(len, 5);
		assert_null(nl_attr_in(part, cut, 2, 6, NULL));
		nest = nl_attr_in(part, cut, 3, 0, &len); /* the flag NLA_F_NESTED is no matter */
		assert_int_equal(nest != NULL, cut >= 32);
		v = nest ? nl_attr_in(nest, len, 7, 2, &len) : NULL;
		assert_int_equal(v != NULL, cut == 32);
		if (v)
			assert_int_equal(*(const uint16_t *)v, 0x0506);
		assert_null(nl_attr_in(part, cut, 9, 0, NULL));
		free(part);
	}
}

static void broken_attribute_lengths_end_the_search(void **state)
{
	static const uint16_t lengths[] = { 0, 1, 3, 33, 255, 0xfffd, 0xffff };
	char whole[256];
	size_t total = some_attributes(whole);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		char *copy = malloc(total);

		assert_non_null(copy);
		memcpy(copy, whole, total);
		memcpy(copy, &lengths[i], 2);
		assert_null(nl_attr_in(copy, total, 1, 0, NULL));
		assert_null(nl_attr_in(copy, total, 2, 0, NULL));
		memcpy(copy, whole, total);
		memcpy(copy + 8, &lengths[i], 2);
		assert_non_null(nl_attr_in(copy, total, 1, 0, NULL));
		assert_null(nl_attr_in(copy, total, 2, 0, NULL));
		free(copy);
	}
}

/* An ipvlan interface as the kernel tells it; returns the message's length. */
static size_t tell_ipvlan(uint32_t seq)
{
	const struct ifinfomsg h = { .ifi_index = 12, .ifi_flags = IFF_UP };
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct nl_req info;
	void *nest;

	nl_req_init(&info, 0, 0, 0);
	nl_put_str(&info, IFLA_INFO_KIND, "ipvlan");
	nest = nl_nest(&info, IFLA_INFO_DATA);
	nl_put_u16(&info, IFLA_IPVLAN_MODE, IPVLAN_MODE_L3S);
	nl_put_u16(&info, IFLA_IPVLAN_FLAGS, IPVLAN_F_VEPA);
	nl_nest_end(&info, nest);
	message(RTM_NEWLINK, 0, seq, &h, sizeof(h));
	attribute(IFLA_IFNAME, "eth0", 5);
	attribute(IFLA_MTU, &(uint32_t){ 1400 }, 4);
	attribute(IFLA_TXQLEN, &(uint32_t){ 17 }, 4);
	attribute(IFLA_LINK, &(int){ 2 }, 4);
	attribute(IFLA_LINK_NETNSID, &(int){ 5 }, 4);
	attribute(IFLA_ADDRESS, mac, sizeof(mac));
	attribute(IFLA_LINKINFO | NLA_F_NESTED, (char *)info.h + sizeof(*info.h),
	          info.h->nlmsg_len - sizeof(*info.h));
	return mouth_len - message_at;
}

static void an_interface_is_understood(void **state)
{
	struct link l;

	(void)state;
	tell_ipvlan(1);
	error_message(NLM_F_CAPPED, 1, 0);
	speak();
	assert_int_equal(link_get(nl, "eth0", &l, &e), 0);
	assert_int_equal(l.index, 12);
	assert_string_equal(l.name, "eth0");
	assert_int_equal(l.flags, IFF_UP);
	assert_int_equal(l.mtu, 1400);
	assert_int_equal(l.txqlen, 17);
	assert_int_equal(l.parent, 2);
	assert_int_equal(l.parent_nsid, 5);
	assert_true(l.has_mac);
	assert_string_equal(mac_str(l.mac).s, "02:00:00:00:00:01");
	assert_string_equal(l.kind, "ipvlan");
	assert_int_equal(l.ipvlan_mode, IPVLAN_MODE_L3S);
	assert_int_equal(l.ipvlan_flags, IPVLAN_F_VEPA);

	/* without attributes nothing is known */
	message(RTM_NEWLINK, 0, 2, &(struct ifinfomsg){ .ifi_index = 3 }, sizeof(struct ifinfomsg));
	error_message(NLM_F_CAPPED, 2, 0);
	speak();
	assert_int_equal(link_get_index(nl, 3, &l, &e), 0);
	assert_int_equal(l.index, 3);
	assert_string_equal(l.name, "");
	assert_string_equal(l.kind, "");
	assert_int_equal(l.parent, 0);
	assert_int_equal(l.parent_nsid, -1);
	assert_int_equal(l.ipvlan_mode, -1);
	assert_false(l.has_mac);

	acknowledge(3);
	assert_int_equal(link_get(nl, "eth0", &l, &e), -1);
	assert_string_equal(e.msg,
	                    "interface \"eth0\": the kernel told nothing about the interface");
	assert_int_equal(e.kind, ERR_PROTO);
}

/* No acknowledgement is asked for, nor waited for: after the one message there would be silence. */
static void a_single_answer_is_the_last(void **state)
{
	struct link l = { .index = 7 };
	struct route r;

	(void)state;
	tell_ipvlan(1);
	speak();
	assert_int_equal(link_get_index(nl, 12, &l, &e), 0);
	assert_int_equal(l.index, 12);
	assert_heard(
		"28000000 1200 0100 01000000 00000000"
		" 00 00 0000 0c000000 00000000 00000000"
		" 0800 1d00 08000000");
	refuse(2, ENODEV);
	assert_int_equal(link_get_index(nl, 12, &l, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_nothing_left();

	/* nothing at all, and something that was not asked for */
	assert_int_equal(link_get_index(nl, 12, &l, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	an_address(0, 4, 1);
	((struct nlmsghdr *)(void *)mouth)->nlmsg_flags = 0;
	speak();
	assert_int_equal(route_get(nl, (struct ip){ .family = 4 }, &r, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);

	/* one in parts has an end of its own */
	message(RTM_NEWLINK, NLM_F_MULTI, 5, &(struct ifinfomsg){ .ifi_index = 3 },
	        sizeof(struct ifinfomsg));
	speak();
	done(0, 5, 0);
	speak();
	assert_int_equal(link_get_index(nl, 3, &l, &e), 0);
	assert_int_equal(l.index, 3);
	assert_nothing_left();
}

/* One question, whichever of its names it is; the attribute goes by the length. */
static void an_interface_is_asked_for_once(void **state)
{
	struct link l;

	(void)state;
	refuse(1, ENODEV);
	assert_int_equal(link_get(nl, "fifteencharact0", &l, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "there is no interface \"fifteencharact0\"");
	assert_heard(
		"3c000000 1200 0100 01000000 00000000"
		" 00 00 0000 00000000 00000000 00000000"
		" 1400 0300 6669667465656e636861726163743000"
		" 0800 1d00 08000000");
	/* before 5.5 there are no others: the attribute is unknown, or passed over */
	refuse(2, EINVAL);
	assert_int_equal(link_get(nl, "sixteencharacte0", &l, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_heard(
		"40000000 1200 0100 02000000 00000000"
		" 00 00 0000 00000000 00000000 00000000"
		" 1500 3500 7369787465656e636861726163746530 00 000000"
		" 0800 1d00 08000000");
	refuse(3, EINVAL);
	assert_int_equal(link_get(nl, "eth0", &l, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_string_equal(e.msg, "interface \"eth0\": kernel: Invalid argument");
}

static void a_setting(uint16_t flags, uint32_t seq, int index, int rp_filter)
{
	message(RTM_NEWNETCONF, NLM_F_MULTI | flags, seq, &(struct netconfmsg){ AF_INET },
	        sizeof(struct netconfmsg));
	attribute(NETCONFA_IFINDEX, &index, sizeof(index));
	attribute(NETCONFA_RP_FILTER, &rp_filter, sizeof(rp_filter));
}

static void settings_are_found(void **state)
{
	struct netconf v[] = { { NETCONF_ALL, 7 }, { 5, 7 }, { NETCONF_DEFAULT, 7 } };

	(void)state;
	a_setting(0, 1, 5, 2);
	a_setting(NLM_F_DUMP_INTR, 1, -1, 1);
	done(0, 1, 0);
	speak();
	/* what a list that was started again does not tell is not known */
	a_setting(0, 2, -1, 0);
	a_setting(0, 2, 6, 1);
	message(RTM_NEWNETCONF, NLM_F_MULTI, 2, &(struct netconfmsg){ AF_INET },
	        sizeof(struct netconfmsg));
	attribute(NETCONFA_IFINDEX, &(int){ -2 }, 4);
	attribute(NETCONFA_RP_FILTER, "1", 2);
	done(0, 2, 0);
	speak();
	assert_int_equal(netconf_read(nl, v, 3, &e), 0);
	assert_heard("14000000 5200 0103 01000000 00000000 02 000000");
	assert_int_equal(v[0].rp_filter, 0);
	assert_int_equal(v[1].rp_filter, -1);
	assert_int_equal(v[2].rp_filter, -1);
	heard();

	a_setting(0, 3, 5, 2);
	speak();
	done(0, 3, -ENOMEM);
	speak();
	assert_int_equal(netconf_read(nl, v, 3, &e), -1);
	assert_string_equal(e.msg, "settings of IPv4: kernel: Cannot allocate memory");
	assert_int_equal(v[1].rp_filter, -1);
}

/* Masks are made of the lengths. */
static void prefixes_longer_than_an_address_are_passed_over(void **state)
{
	const struct ifaddrmsg a = { .ifa_family = AF_INET, .ifa_prefixlen = 33, .ifa_index = 3 };
	const struct rtmsg t = { .rtm_family = AF_INET, .rtm_dst_len = 255 };
	const struct fib_rule_hdr u = { .family = AF_INET6,
		                        .src_len = 129,
		                        .action = FR_ACT_TO_TBL };
	const uint8_t ip[16] = { 10, 0, 0, 1 };
	struct addr *addrs;
	struct route *routes;
	struct rule *rules;
	size_t n = 77;

	(void)state;
	message(RTM_NEWADDR, NLM_F_MULTI, 1, &a, sizeof(a));
	attribute(IFA_LOCAL, ip, 4);
	an_address(0, 1, 7);
	done(0, 1, 0);
	speak();
	assert_int_equal(addr_list(nl, 4, 0, &addrs, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(addrs[0].local.len, 24);
	free(addrs);

	message(RTM_NEWROUTE, NLM_F_MULTI, 2, &t, sizeof(t));
	attribute(RTA_DST, ip, 4);
	done(0, 2, 0);
	speak();
	assert_int_equal(route_list(nl, 4, 0, &routes, &n, &e), 0);
	assert_int_equal(n, 0);

	message(RTM_NEWRULE, NLM_F_MULTI, 3, &u, sizeof(u));
	attribute(FRA_SRC, ip, 16);
	done(0, 3, 0);
	speak();
	assert_int_equal(rule_list(nl, 6, &rules, &n, &e), 0);
	assert_int_equal(n, 0);
}

/* Whatever is cut off or wrong: an answer or an error, no crash. */
static void a_damaged_interface_is_survived(void **state)
{
	size_t len = tell_ipvlan(1);
	uint32_t seq = 0;
	struct link l;

	(void)state;
	mouth_len = 0;
	for (size_t cut = 32; cut < len; cut++) {
		tell_ipvlan(++seq);
		mouth_len = (cut + 3) & ~(size_t)3;
		((struct nlmsghdr *)(void *)mouth)->nlmsg_len = (uint32_t)cut;
		error_message(NLM_F_CAPPED, seq, 0);
		speak();
		assert_int_equal(link_get_index(nl, 12, &l, &e), 0);
		assert_int_equal(l.index, 12);
		heard();
	}
	for (size_t at = 32; at < len; at++)
		for (int bit = 0; bit < 8; bit++) {
			tell_ipvlan(++seq);
			mouth[at] ^= (char)(1 << bit);
			error_message(NLM_F_CAPPED, seq, 0);
			speak();
			assert_int_equal(link_get_index(nl, 12, &l, &e), 0);
			assert_true(strnlen(l.name, sizeof(l.name)) < sizeof(l.name));
			assert_true(strnlen(l.kind, sizeof(l.kind)) < sizeof(l.kind));
			heard();
		}
}

static void macs_are_read_strictly(void **state)
{
	static const char *const bad[] = { "",
		                           "02:00:00:00:00",
		                           "02:00:00:00:00:0",
		                           "02:00:00:00:00:01:",
		                           "02:00:00:00:00:01 ",
		                           "02-00-00-00-00-01",
		                           " 2:00:00:00:00:01",
		                           "+2:00:00:00:00:01",
		                           "0x:00:00:00:00:01",
		                           "02:00:00:00:00:0g",
		                           "020000000001" };
	struct mac m = { { 9 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(mac_parse(bad[i], &m, &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_int_equal(m.b[0], 9);
	}
	assert_string_equal(e.msg, "\"020000000001\" is not a MAC address");
	assert_int_equal(mac_parse("0A:1b:ff:00:9F:a0", &m, &e), 0);
	assert_string_equal(mac_str(m).s, "0a:1b:ff:00:9f:a0");
	assert_int_equal(mac_random(&m, &e), 0);
	assert_int_equal(m.b[0] & 3, 2);
}

static void names_are_checked(void **state)
{
	static const char *const bad[] = { "",     ".",     "..",   "a/b",  "a:b",
		                           "a b",  "eth%d", "a\tb", "a\nb", "sixteencharacter",
		                           "a\vb", "/etc/x" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(link_check_name(bad[i], &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_int_equal(link_add_ipvlan(nl, -1, NULL, bad[i], &(struct link){ .index = 1 },
		                                 0, 0, 0, &e),
		                 -1);
		assert_int_equal(e.kind, ERR_CONFIG);
	}
	assert_int_equal(link_check_name("fifteencharacte", &e), 0);
	assert_int_equal(link_check_name("eth0.5", &e), 0);
	assert_string_equal(heard(), "");
}

static struct cidr cidr(const char *s)
{
	struct cidr c;

	if (cidr_parse(s, &c, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

static struct ip ip(const char *s)
{
	struct ip a;

	if (ip_parse(s, &a, &e) < 0)
		fail_msg("%s", e.msg);
	return a;
}

/* Golden bytes: "length type flags number port", the family's header, one attribute a line; little
 * endian. */
static void golden_links(void **state)
{
	struct veth_spec v = { .name = "veth0",
		               .peer = "vethabc",
		               .mac = { { 2, 1, 1, 1, 1, 1 } },
		               .peer_mac = { { 2, 2, 2, 2, 2, 2 } },
		               .mtu = 1500,
		               .peer_ns = 9 };
	struct link l;

	(void)state;
	acknowledge(1);
	assert_int_equal(link_add_ipvlan(nl, 7, NULL, "eth0", &(struct link){ .index = 2 },
	                                 IPVLAN_MODE_L3, IPVLAN_F_PRIVATE, 1400, &e),
	                 0);
	assert_heard(
		"68000000 1000 0506 01000000 00000000" /* NEWLINK, REQUEST ACK EXCL CREATE */
		" 00 00 0000 00000000 00000000 00000000"
		" 0900 0300 6574683000 000000" /* IFNAME */
		" 0800 0400 78050000"          /* MTU */
		" 0800 0500 02000000"          /* LINK */
		" 0800 1c00 07000000"          /* NET_NS_FD */
		" 2400 1280"                   /* LINKINFO, nested */
		" 0b00 0100 6970766c616e00 00" /* KIND */
		" 1400 0280"                   /* DATA, nested */
		" 0600 0100 0100 0000"         /* MODE */
		" 0600 0200 0100 0000");       /* FLAGS */

	/* in the own namespace, with the master's MTU */
	acknowledge(2);
	assert_int_equal(link_add_ipvlan(nl, -1, NULL, "eth0", &(struct link){ .index = 2 },
	                                 IPVLAN_MODE_L2, 0, 0, &e),
	                 0);
	assert_heard(
		"58000000 1000 0506 02000000 00000000"
		" 00 00 0000 00000000 00000000 00000000"
		" 0900 0300 6574683000 000000"
		" 0800 0500 02000000"
		" 2400 1280"
		" 0b00 0100 6970766c616e00 00"
		" 1400 0280"
		" 0600 0100 0000 0000"
		" 0600 0200 0000 0000");

	message(RTM_NEWLINK, 0, 4, &(struct ifinfomsg){ .ifi_index = 6 }, sizeof(struct ifinfomsg));
	speak();
	assert_int_equal(link_add_veth(nl, &v, &l, &e), 0);
	assert_int_equal(l.index, 6);
	assert_heard(
		"90000000 1000 0106 03000000 00000000"
		" 00 00 0000 00000000 00000000 00000000"
		" 0a00 0300 766574683000 0000" /* IFNAME */
		" 0a00 0100 020101010101 0000" /* ADDRESS */
		" 0800 0400 dc050000"          /* MTU */
		" 5000 1280"                   /* LINKINFO */
		" 0900 0100 7665746800 000000" /* KIND */
		" 4000 0280"                   /* DATA */
		" 3c00 0180"                   /* VETH_INFO_PEER */
		" 00 00 0000 00000000 00000000 00000000"
		" 0c00 0300 7665746861626300"          /* IFNAME */
		" 0a00 0100 020202020202 0000"         /* ADDRESS */
		" 0800 0400 dc050000"                  /* MTU */
		" 0800 1c00 09000000"                  /* NET_NS_FD */
		"34000000 1200 0100 04000000 00000000" /* GETLINK */
		" 00 00 0000 00000000 00000000 00000000"
		" 0a00 0300 766574683000 0000"
		" 0800 1d00 08000000");

	acknowledge(5);
	assert_int_equal(link_set_up(nl, 5, &e), 0);
	assert_heard(
		"20000000 1000 0500 05000000 00000000"
		" 00 00 0000 05000000 01000000 01000000");
	acknowledge(6);
	assert_int_equal(link_set_txqlen(nl, 5, 1000, &e), 0);
	assert_heard(
		"28000000 1000 0500 06000000 00000000"
		" 00 00 0000 05000000 00000000 00000000"
		" 0800 0d00 e8030000");
	acknowledge(7);
	assert_int_equal(link_del(nl, 5, &e), 0);
	assert_heard(
		"20000000 1100 0500 07000000 00000000"
		" 00 00 0000 05000000 00000000 00000000");
}

/* Only what may have been made is removed. */
static void a_pair_is_made_or_not(void **state)
{
	static const char removal[] =
		"2c000000 1100 0500 %02x000000 00000000"
		" 00 00 0000 00000000 00000000 00000000"
		" 0a00 0300 766574683000 0000";
	const struct veth_spec v = { .name = "veth0", .peer = "vethabc", .peer_ns = -1 };
	struct link l = { .index = -7 };
	char wanted[200];

	(void)state;
	/* refused, and something else has the name, or nothing */
	refuse(1, EEXIST);
	message(RTM_NEWLINK, 0, 2, &(struct ifinfomsg){ .ifi_index = 6 }, sizeof(struct ifinfomsg));
	speak();
	refuse(3, EPERM);
	refuse(4, ENODEV);
	assert_int_equal(link_add_veth(nl, &v, &l, &e), -1);
	assert_int_equal(e.sys, EEXIST);
	assert_string_equal(e.msg, "create the pair veth0 and vethabc: kernel: File exists");
	assert_string_not_equal(heard(), "");
	assert_int_equal(link_add_veth(nl, &v, &l, &e), -1);
	assert_int_equal(e.sys, EPERM);
	assert_string_not_equal(heard(), "");
	assert_string_equal(heard(), "");
	assert_nothing_left();

	/* made, but not told */
	refuse(6, ENOBUFS);
	acknowledge(7);
	assert_int_equal(link_add_veth(nl, &v, &l, &e), -1);
	assert_int_equal(e.sys, ENOBUFS);
	assert_string_not_equal(heard(), "");
	snprintf(wanted, sizeof(wanted), removal, 7);
	assert_heard(wanted);

	/* nobody knows */
	assert_int_equal(link_add_veth(nl, &v, &l, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_not_equal(heard(), "");
	snprintf(wanted, sizeof(wanted), removal, 10);
	assert_heard(wanted);
	assert_int_equal(l.index, -7);

	/* never sent */
	shutdown(kernel, SHUT_RDWR);
	assert_int_equal(link_add_veth(nl, &v, &l, &e), -1);
	assert_int_equal(e.sys, EPIPE);
}

static void golden_addresses(void **state)
{
	(void)state;
	acknowledge(1);
	assert_int_equal(addr_add(nl, 5, cidr("172.16.0.9/16"), &e), 0);
	assert_heard(
		"30000000 1400 0506 01000000 00000000"
		" 02 10 00 00 05000000"
		" 0800 0200 ac100009"   /* LOCAL */
		" 0800 0100 ac100009"   /* ADDRESS */
		" 0800 0400 ac10ffff"); /* BROADCAST */
	acknowledge(2);
	assert_int_equal(addr_add(nl, 5, cidr("169.254.100.1/32"), &e), 0);
	assert_heard(
		"28000000 1400 0506 02000000 00000000"
		" 02 20 00 00 05000000"
		" 0800 0200 a9fe6401"
		" 0800 0100 a9fe6401");
	acknowledge(3);
	assert_int_equal(addr_add(nl, 5, cidr("fd00::9/64"), &e), 0);
	assert_heard(
		"48000000 1400 0506 03000000 00000000"
		" 0a 40 00 00 05000000"
		" 1400 0200 fd000000000000000000000000000009"
		" 1400 0100 fd000000000000000000000000000009"
		" 0800 0800 02000000"); /* FLAGS: NODAD */
}

/* Of one interface, asked for as such; a kernel that obeys knows that there is none. */
static void golden_lists_of_addresses(void **state)
{
	struct addr *v = NULL;
	size_t n = 99;

	(void)state;
	done(0, 1, 0);
	speak();
	assert_int_equal(addr_list(nl, 0, 0, &v, &n, &e), 0);
	assert_heard("18000000 1600 0103 01000000 00000000 00 00 00 00 00000000");
	done(0, 2, -ENODEV);
	speak();
	n = 99;
	assert_int_equal(addr_list(nl, 6, 5, &v, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_heard("18000000 1600 0103 02000000 00000000 0a 00 00 00 05000000");
	refuse(3, ENODEV);
	assert_int_equal(addr_list(nl, 4, 5, &v, &n, NULL), 0);
	refuse(4, ENODEV);
	assert_int_equal(addr_list(nl, 4, 0, &v, &n, &e), -1);
	assert_string_equal(e.msg, "list addresses: kernel: No such device");
}

static void golden_routes(void **state)
{
	struct route hijack = { .dst = cidr("10.96.0.0/12"),
		                .gw = ip("172.16.0.2"),
		                .prefsrc = ip("172.16.0.9"),
		                .oif = 5 };
	struct route host = { .dst = cidr("172.16.0.9/32"),
		              .oif = 6,
		              .table = 500,
		              .priority = 3,
		              .scope = RT_SCOPE_LINK };
	struct route def = { .dst = cidr("::/0"), .gw = ip("fd00::1"), .table = 100 };

	(void)state;
	acknowledge(1);
	assert_int_equal(route_add(nl, &hijack, ROUTE_CREATE, &e), 0);
	assert_heard(
		"44000000 1800 0506 01000000 00000000"
		" 02 0c 00 00 fe 03 00 01 00000000" /* main, boot, universe, unicast */
		" 0800 0100 0a600000"               /* DST */
		" 0800 0f00 fe000000"               /* TABLE */
		" 0800 0500 ac100002"               /* GATEWAY */
		" 0800 0400 05000000"               /* OIF */
		" 0800 0700 ac100009");             /* PREFSRC */
	acknowledge(2);
	assert_int_equal(route_add(nl, &host, ROUTE_REPLACE, &e), 0);
	assert_heard(
		"3c000000 1800 0505 02000000 00000000" /* REPLACE CREATE */
		" 02 20 00 00 00 03 fd 01 00000000"    /* table above 255, scope link */
		" 0800 0100 ac100009"
		" 0800 0f00 f4010000"
		" 0800 0400 06000000"
		" 0800 0600 03000000"); /* PRIORITY */
	acknowledge(3);
	assert_int_equal(route_add(nl, &def, ROUTE_CREATE, &e), 0);
	assert_heard(
		"38000000 1800 0506 03000000 00000000"
		" 0a 00 00 00 64 03 00 01 00000000" /* no DST */
		" 0800 0f00 64000000"
		" 1400 0500 fd000000000000000000000000000001");
	/* deletion: whatever protocol, scope and type */
	acknowledge(4);
	assert_int_equal(
		route_del(nl, &(struct route){ .dst = cidr("172.16.0.9/32"), .table = 500 }, &e),
		0);
	assert_heard(
		"2c000000 1900 0500 04000000 00000000"
		" 02 20 00 00 00 00 ff 00 00000000"
		" 0800 0100 ac100009"
		" 0800 0f00 f4010000");
}

/* What a copy of the route needs, and what cannot be copied. */
static void a_route_with_all(void **state)
{
	const struct rtmsg many = { .rtm_family = AF_INET6, .rtm_table = RT_TABLE_MAIN };
	const struct rtmsg one = { .rtm_family = AF_INET,
		                   .rtm_table = RT_TABLE_MAIN,
		                   .rtm_flags = RTNH_F_ONLINK };
	const struct rtmsg tos = { .rtm_family = AF_INET, .rtm_tos = 8 };
	const uint32_t metric[14] = { 8 | RTAX_MTU << 16, 1400, 8 | RTAX_HOPLIMIT << 16, 9 };
	struct {
		struct rtnexthop h;
		struct rtattr a;
		uint8_t gw[16];
	} hops[2] = { 0 };
	struct route *all = NULL;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		hops[i].h.rtnh_len = sizeof(hops[i]);
		hops[i].h.rtnh_ifindex = 3 + i;
		hops[i].h.rtnh_flags = i ? RTNH_F_ONLINK : 0;
		hops[i].a.rta_len = sizeof(hops[i].a) + 16;
		hops[i].a.rta_type = RTA_GATEWAY;
		hops[i].gw[0] = 0xfd;
		hops[i].gw[15] = (uint8_t)(i + 1);
	}
	message(RTM_NEWROUTE, NLM_F_MULTI, 1, &many, sizeof(many));
	attribute(RTA_MULTIPATH, hops, sizeof(hops));
	message(RTM_NEWROUTE, NLM_F_MULTI, 1, &one, sizeof(one));
	attribute(RTA_METRICS, metric, sizeof(metric));
	message(RTM_NEWROUTE, NLM_F_MULTI, 1, &tos, sizeof(tos));
	/* cut within the second nexthop, and within the first */
	message(RTM_NEWROUTE, NLM_F_MULTI, 1, &many, sizeof(many));
	attribute(RTA_MULTIPATH, hops, sizeof(hops) - 1);
	message(RTM_NEWROUTE, NLM_F_MULTI, 1, &many, sizeof(many));
	attribute(RTA_MULTIPATH, hops, sizeof(hops[0]) - 1);
	done(0, 1, 0);
	speak();
	assert_int_equal(route_list(nl, 4, 0, &all, &n, &e), 0);
	assert_int_equal(n, 5);
	assert_true(all[0].multipath && all[1].multipath);
	assert_int_equal(all[0].oif, 3);
	assert_int_equal(all[1].oif, 4);
	assert_string_equal(ip_str(all[0].gw).s, "fd00::1");
	assert_string_equal(ip_str(all[1].gw).s, "fd00::2");
	assert_false(all[0].onlink);
	assert_true(all[1].onlink);
	assert_false(all[1].other);
	assert_false(all[2].multipath);
	assert_true(all[2].onlink);
	assert_int_equal(all[2].metrics_len, ROUTE_METRICS_MAX);
	assert_memory_equal(all[2].metrics, metric, ROUTE_METRICS_MAX);
	assert_true(all[3].other);
	assert_int_equal(all[4].oif, 3);
	free(all);
	heard();

	acknowledge(2);
	assert_int_equal(route_add(nl,
	                           &(const struct route){ .dst = cidr("0.0.0.0/0"),
	                                                  .gw = ip("10.0.0.1"),
	                                                  .onlink = true,
	                                                  .metrics_len = 8,
	                                                  .metrics = { 8, 0, 2, 0, 0xdc, 5 } },
	                           ROUTE_APPEND, &e),
	                 0);
	assert_heard(
		"38000000 1800 050c 02000000 00000000" /* APPEND CREATE */
		" 02 00 00 00 fe 03 00 01 04000000"    /* ONLINK */
		" 0800 0f00 fe000000"
		" 0800 0500 0a000001"
		" 0c00 0800 0800 0200 dc050000");
}

static void golden_rules_and_neighbours(void **state)
{
	struct rule host = { .family = 4, .priority = 1000, .table = 500 };
	struct rule mark = {
		.family = 4, .priority = 1000, .table = 100, .fwmark = 1, .fwmask = 1
	};
	struct rule from = { .family = 4, .priority = 900, .table = 101, .fwmark = 2 };
	struct neigh n = { .index = 6,
		           .ip = ip("172.16.0.9"),
		           .mac = { { 2, 1, 1, 1, 1, 1 } },
		           .state = NUD_PERMANENT };

	(void)state;
	from.src = cidr("172.16.0.9/32");
	acknowledge(1);
	assert_int_equal(rule_add(nl, &host, &e), 0);
	assert_heard(
		"2c000000 2000 0506 01000000 00000000"
		" 02 00 00 00 00 00 00 01 00000000" /* to a table above 255 */
		" 0800 0f00 f4010000"
		" 0800 0600 e8030000"); /* PRIORITY */
	acknowledge(2);
	assert_int_equal(rule_add(nl, &mark, &e), 0);
	assert_heard(
		"3c000000 2000 0506 02000000 00000000"
		" 02 00 00 00 64 00 00 01 00000000"
		" 0800 0f00 64000000"
		" 0800 0600 e8030000"
		" 0800 0a00 01000000"   /* FWMARK */
		" 0800 1000 01000000"); /* FWMASK */
	acknowledge(3);
	assert_int_equal(rule_del(nl, &from, &e), 0);
	assert_heard(
		"44000000 2100 0500 03000000 00000000"
		" 02 00 20 00 65 00 00 01 00000000"
		" 0800 0f00 65000000"
		" 0800 0600 84030000"
		" 0800 0a00 02000000"
		" 0800 1000 ffffffff"   /* a mark alone is compared whole */
		" 0800 0200 ac100009"); /* SRC */
	acknowledge(4);
	assert_int_equal(neigh_replace(nl, &n, &e), 0);
	assert_heard(
		"30000000 1c00 0505 04000000 00000000"
		" 02 00 0000 06000000 8000 00 00" /* PERMANENT */
		" 0800 0100 ac100009"             /* DST */
		" 0a00 0200 020101010101 0000");  /* LLADDR */
	acknowledge(5);
	assert_int_equal(neigh_del(nl, 6, ip("fd00::9"), &e), 0);
	assert_heard(
		"30000000 1d00 0500 05000000 00000000"
		" 0a 00 0000 06000000 0000 00 00"
		" 1400 0100 fd000000000000000000000000000009");
}

static void not_found_is_told_apart(void **state)
{
	struct rule u = { .family = 4, .priority = 1000, .table = 500 };
	struct route t = { .dst = cidr("10.0.0.0/8"), .table = 7 };

	(void)state;
	refuse(1, ENOENT);
	assert_int_equal(rule_del(nl, &u, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg,
	                    "delete rule 1000 to table 500: kernel: No such file or directory");
	refuse(2, ESRCH);
	assert_int_equal(route_del(nl, &t, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	refuse(3, ENOENT);
	assert_int_equal(neigh_del(nl, 3, ip("10.0.0.1"), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	refuse(4, ENODEV);
	assert_int_equal(link_del(nl, 3, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	refuse(5, EADDRNOTAVAIL);
	assert_int_equal(addr_del(nl, 3, cidr("10.0.0.1/8"), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	refuse(6, EADDRINUSE);
	assert_int_equal(addr_add(nl, 3, cidr("10.0.0.1/8"), &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EADDRINUSE);
	assert_string_equal(e.msg, "add address 10.0.0.1/8: kernel: Address already in use");
}

/* Expressions of nf_tables: nest, name, nest, attributes; numbers big endian, but for values, which
 * are as the machine has them. */
#define EXPR_META(key, reg)                                                                        \
	" 2400 0180 0900 0100 6d65746100 000000 1400 0280"                                         \
	" 0800 0200 000000" key " 0800 " reg " 00000001"
#define EXPR_CT(key, reg)                                                                          \
	" 2000 0180 0700 0100 637400 00 1400 0280"                                                 \
	" 0800 0200 000000" key " 0800 " reg " 00000001"
#define EXPR_BITWISE(mask, xor)                                                                    \
	" 4400 0180 0c00 0100 6269747769736500 3400 0280"                                          \
	" 0800 0100 00000001 0800 0200 00000001 0800 0300 00000004"                                \
	" 0c00 0480 0800 0100 " mask " 0c00 0580 0800 0100 " xor
#define EXPR_CMP(op, value)                                                                        \
	" 2c00 0180 0800 0100 636d7000 2000 0280"                                                  \
	" 0800 0100 00000001 0800 0200 000000" op " 0c00 0380 0800 0100 " value
#define META_LOAD "0100"
#define META_STORE "0300"
#define CT_LOAD "0100"
#define CT_STORE "0400"
#define TABLE_NAME " 0e00 0100 737069646572626f7800 0000"

static void golden_nft(void **state)
{
	(void)state;
	acknowledge(6);
	assert_int_equal(nft_reply_mark(nl, "spiderbox", "veth0", 1, &e), 0);
	assert_heard(
		"14000000 1000 0100 01000000 00000000 00 00 000a" /* BATCH_BEGIN, of nf_tables */
		"24000000 000a 0106 02000000 00000000 01 00 0000" /* NEWTABLE, inet, exclusive */
		TABLE_NAME "54000000 030a 0104 03000000 00000000 01 00 0000" /* NEWCHAIN */
		TABLE_NAME
		" 0800 0300 70726500"                              /* pre */
		" 1400 0480 0800 0100 00000000 0800 0200 ffffff6a" /* PRE_ROUTING, -150 */
		" 0800 0500 00000001 0b00 0700 66696c74657200 00"  /* accept, filter */
		"54000000 030a 0104 04000000 00000000 01 00 0000"  /* NEWCHAIN */
		TABLE_NAME
		" 0800 0300 6f757400"                              /* out */
		" 1400 0480 0800 0100 00000003 0800 0200 ffffff6a" /* LOCAL_OUT, -150 */
		" 0800 0500 00000001 0a00 0700 726f75746500 0000"  /* accept, route */
		"2c020000 060a 010c 05000000 00000000 01 00 0000"  /* NEWRULE */
		TABLE_NAME " 0800 0200 70726500 0002 0480" EXPR_META("06", META_LOAD) /* iifname */
		" 3800 0180 0800 0100 636d7000 2c00 0280" /* all sixteen bytes are compared */
		" 0800 0100 00000001 0800 0200 00000000"
		" 1800 0380 1400 0100 7665746830 0000000000000000000000" EXPR_CT(
			"00", CT_LOAD)                                /* state */
		EXPR_BITWISE("08000000", "00000000")                  /* new */
		EXPR_CMP("01", "00000000") EXPR_META("03", META_LOAD) /* mark */
		EXPR_BITWISE("feffffff", "01000000") EXPR_META("03", META_STORE)
			EXPR_CT("03", CT_LOAD) /* mark */
		EXPR_BITWISE("feffffff", "01000000") EXPR_CT(
			"03",
			CT_STORE) "4c010000 060a 050c 06000000 00000000 01 00 0000" /* NEWRULE */
		TABLE_NAME " 0800 0200 6f757400 2001 0480" EXPR_CT("03", CT_LOAD)
			EXPR_BITWISE("01000000", "00000000") EXPR_CMP("00", "01000000") EXPR_META(
				"03", META_LOAD) EXPR_BITWISE("feffffff", "01000000")
				EXPR_META(
					"03",
					META_STORE) "14000000 1100 0100 07000000 00000000 00 00 "
	                                            "000a" /* BATCH_END */);
	assert_nothing_left();
}

static void what_nft_lacks_is_named(void **state)
{
	(void)state;
	/* the kernel refuses the whole batch by the number of its begin */
	refuse(1, EOPNOTSUPP);
	assert_int_equal(nft_reply_mark(nl, "spiderbox", "veth0", 1, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(e.sys, EOPNOTSUPP);
	assert_string_equal(
		e.msg,
		"nf_tables table spiderbox: the kernel lacks nf_tables: load the module "
		"nf_tables, or build with CONFIG_NF_TABLES: kernel: Operation not "
		"supported");
	refuse(10, ENOENT);
	assert_int_equal(nft_reply_mark(nl, "spiderbox", "veth0", 1, &e), -1);
	assert_int_equal(e.sys, ENOENT);
	assert_string_equal(e.msg,
	                    "nf_tables table spiderbox: the kernel lacks chains of the inet family "
	                    "(filter, and route since Linux 5.2): load the module nf_tables, or "
	                    "build with CONFIG_NF_TABLES_INET: kernel: No such file or directory");
	refuse(20, ENOENT);
	assert_int_equal(nft_reply_mark(nl, "spiderbox", "veth0", 1, &e), -1);
	assert_string_equal(e.msg,
	                    "nf_tables table spiderbox: the kernel lacks the expressions ct and "
	                    "meta: load the modules nft_ct and nf_conntrack, or build with "
	                    "CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK: kernel: No such file or "
	                    "directory");
	refuse(23, EPERM);
	assert_int_equal(nft_reply_mark(nl, "spiderbox", "veth0", 1, &e), -1);
	assert_string_equal(e.msg, "nf_tables table spiderbox: kernel: Operation not permitted");
	assert_int_equal(e.kind, ERR_SYS);
}

/* Without conntrack: one chain, one rule, and nothing of ct. */
static void golden_packet_mark(void **state)
{
	bool marks = true;

	(void)state;
	refuse(2, EEXIST); /* a table of that name */
	acknowledge(11);
	assert_int_equal(nft_packet_mark(nl, "spiderbox", "veth0", 1, &e), 0);
	assert_int_equal(strlen(heard()), 2 * (20 + 36 + 84 + 280 + 20));
	assert_heard(
		"14000000 1000 0100 06000000 00000000 00 00 000a" /* BATCH_BEGIN, of nf_tables */
		"24000000 000a 0104 07000000 00000000 01 00 0000" /* NEWTABLE, inet */
		TABLE_NAME "24000000 020a 0100 08000000 00000000 01 00 0000" /* DELTABLE */
		TABLE_NAME "24000000 000a 0104 09000000 00000000 01 00 0000" /* NEWTABLE */
		TABLE_NAME "54000000 030a 0104 0a000000 00000000 01 00 0000" /* NEWCHAIN */
		TABLE_NAME
		" 0800 0300 70726500"                              /* pre */
		" 1400 0480 0800 0100 00000000 0800 0200 ffffff6a" /* PRE_ROUTING, -150 */
		" 0800 0500 00000001 0b00 0700 66696c74657200 00"  /* accept, filter */
		"18010000 060a 050c 0b000000 00000000 01 00 0000"  /* NEWRULE */
		TABLE_NAME " 0800 0200 70726500 ec00 0480" EXPR_META("06", META_LOAD) /* iifname */
		" 3800 0180 0800 0100 636d7000 2c00 0280"
		" 0800 0100 00000001 0800 0200 00000000"
		" 1800 0380 1400 0100 7665746830 0000000000000000000000" EXPR_META("03", META_LOAD)
			EXPR_BITWISE("feffffff", "01000000") EXPR_META(
				"03",
				META_STORE) "14000000 1100 0100 0c000000 00000000 00 00 "
	                                    "000a" /* BATCH_END */);
	assert_nothing_left();

	/* a kernel without nf_tables does not know what is meant */
	refuse(13, EINVAL);
	assert_int_equal(nft_marks(nl, "spiderbox", &marks, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ack_is_awaited),
		T(foreign_numbers_are_passed_over),
		T(errors_carry_the_kernels_words),
		T(impossible_errors_are_refused),
		T(a_silent_kernel_is_given_up),
		T(broken_datagrams_are_refused),
		T(a_closed_socket_is_an_error),
		T(a_last_message_needs_no_padding),
		T(a_dump_comes_in_many_parts),
		T(a_changed_dump_is_read_again),
		T(a_dump_that_never_rests_is_given_up),
		T(a_dump_may_fail_at_its_end),
		T(old_kernels_do_not_filter),
		T(a_route_with_all),
		T(interfaces_come_in_order),
		T(an_answer_may_be_too_long),
		T(a_stopped_dump_is_read_to_its_end),
		T(a_short_family_header_is_refused),
		T(prefixes_longer_than_an_address_are_passed_over),
		T(nobody_needs_to_care),
		T(a_full_request_is_never_sent),
		T(gathered_requests_are_sent_at_once),
		T(batches_name_the_request_that_failed),
		T(attributes_are_read_within_bounds),
		T(broken_attribute_lengths_end_the_search),
		T(an_interface_is_understood),
		T(a_single_answer_is_the_last),
		T(an_interface_is_asked_for_once),
		T(settings_are_found),
		T(a_damaged_interface_is_survived),
		T(macs_are_read_strictly),
		T(names_are_checked),
		T(golden_links),
		T(a_pair_is_made_or_not),
		T(golden_addresses),
		T(golden_lists_of_addresses),
		T(golden_routes),
		T(golden_rules_and_neighbours),
		T(not_found_is_told_apart),
		T(golden_nft),
		T(what_nft_lacks_is_named),
		T(golden_packet_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
