/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/link.c net/nl.c net/ip.c base/ */
/* libs: mnl */
/*
 * link_test.c - an ipvlan interface whose name is taken on the node, against kernels of our own in
 * both namespaces: one that makes it by another name, and one that then fails to find or rename it.
 */
#include <errno.h>
#include <linux/if_link.h>
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
#include "net/link.h"
#include "net/netns.h"

/* Our ends of the sockets, and what the kernels' are. */
static int node_kernel = -1, pod_kernel = -1, pod_fd = -1;
static struct nl *node;
static struct err e;

/* The pod's namespace is wherever this socket leads. */
int netns_nl(int fd, int protocol, struct nl **out, struct err *err)
{
	(void)fd;
	(void)protocol;
	(void)err;
	*out = nl_from_fd(pod_fd, 2000);
	return 0;
}

static int setup(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	node = nl_from_fd(pair[0], 2000);
	node_kernel = pair[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	pod_fd = pair[0];
	pod_kernel = pair[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(node);
	close(node_kernel);
	close(pod_kernel);
	return 0;
}

/* Answers are queued before they are asked for. */
static void answer(int kernel, uint32_t seq, int error)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr payload;
	} m = { .h = { .nlmsg_len = sizeof(m),
		       .nlmsg_type = NLMSG_ERROR,
		       .nlmsg_flags = NLM_F_CAPPED,
		       .nlmsg_seq = seq },
		.payload = { .error = -error } };

	assert_int_equal(send(kernel, &m, sizeof(m), 0), sizeof(m));
}

static void tell_link(int kernel, uint32_t seq, int index)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg link;
	} m = { .h = { .nlmsg_len = sizeof(m), .nlmsg_type = RTM_NEWLINK, .nlmsg_seq = seq },
		.link = { .ifi_index = index } };

	assert_int_equal(send(kernel, &m, sizeof(m), 0), sizeof(m));
}

/* The next request that this kernel got: its type, 0 when there is none, and IFLA_IFNAME. */
static uint16_t heard(int kernel, char name[IFNAMSIZ])
{
	_Alignas(struct nlmsghdr) char buf[8192];
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
	ssize_t n = recv(kernel, buf, sizeof(buf), MSG_DONTWAIT);
	const size_t skip = sizeof(*h) + sizeof(struct ifinfomsg);
	const char *v;
	size_t len;

	name[0] = '\0';
	if (n < (ssize_t)skip)
		return 0;
	v = nl_attr_in(buf + skip, (size_t)n - skip, IFLA_IFNAME, 1, &len);
	if (v)
		snprintf(name, IFNAMSIZ, "%.*s", (int)len, v);
	return h->nlmsg_type;
}

/* Made by another name, which is returned. */
static void add_fails(int sys, char other[IFNAMSIZ])
{
	char name[IFNAMSIZ];

	answer(node_kernel, 1, EEXIST);
	answer(node_kernel, 2, 0);
	assert_int_equal(link_add_ipvlan(node, 77, "eth0", 3, IPVLAN_MODE_L2, 0, 0, &e), -1);
	assert_int_equal(e.sys, sys);
	assert_int_equal(heard(node_kernel, name), RTM_NEWLINK);
	assert_string_equal(name, "eth0");
	assert_int_equal(heard(node_kernel, other), RTM_NEWLINK);
	assert_true(str_starts(other, "new"));
}

static void removed(const char *other)
{
	char name[IFNAMSIZ];

	assert_int_equal(heard(pod_kernel, name), RTM_DELLINK);
	assert_string_equal(name, other);
	assert_int_equal(heard(pod_kernel, name), 0);
}

static void what_is_not_found_is_removed(void **state)
{
	char other[IFNAMSIZ], name[IFNAMSIZ];

	(void)state;
	answer(pod_kernel, 1, ENOBUFS);
	answer(pod_kernel, 2, 0);
	add_fails(ENOBUFS, other);
	assert_int_equal(heard(pod_kernel, name), RTM_GETLINK);
	assert_string_equal(name, other);
	removed(other);
}

static void what_is_not_renamed_is_removed(void **state)
{
	char other[IFNAMSIZ], name[IFNAMSIZ];

	(void)state;
	tell_link(pod_kernel, 1, 9);
	answer(pod_kernel, 1, 0);
	answer(pod_kernel, 2, EEXIST);
	answer(pod_kernel, 3, 0);
	add_fails(EEXIST, other);
	assert_int_equal(heard(pod_kernel, name), RTM_GETLINK);
	assert_int_equal(heard(pod_kernel, name), RTM_NEWLINK);
	assert_string_equal(name, "eth0");
	removed(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_not_found_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_renamed_is_removed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
