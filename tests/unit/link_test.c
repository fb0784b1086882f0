/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/link.c net/nl.c net/ip.c base/ */
/* libs: mnl */
/*
 * link_test.c - an ipvlan interface whose name is taken on the node, against kernels of our own in
 * both namespaces: one that makes it by a pattern or another name, and one that is asked for the
 * name before, and then fails to find or rename it.
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

/* Our ends of the sockets, and what the kernels' are. */
static int node_kernel = -1, pod_kernel = -1;
static struct nl *node, *pod;
static struct err e;

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
	pod = nl_from_fd(pair[0], 2000);
	pod_kernel = pair[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(node);
	nl_close(pod);
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

static int add(const char *name)
{
	return link_add_ipvlan(node, 77, pod, name, &(struct link){ .index = 3 }, IPVLAN_MODE_L2, 0,
	                       0, &e);
}

static void assert_asked(int kernel, uint16_t type, const char *want)
{
	char name[IFNAMSIZ];

	assert_int_equal(heard(kernel, name), type);
	assert_string_equal(name, want);
}

static void assert_silent(int kernel)
{
	char name[IFNAMSIZ];

	assert_int_equal(heard(kernel, name), 0);
}

/* Made by another name, which is returned. */
static void add_fails(int sys, char other[IFNAMSIZ])
{
	answer(node_kernel, 1, EEXIST);
	answer(node_kernel, 2, 0);
	assert_int_equal(add("net1"), -1);
	assert_int_equal(e.sys, sys);
	assert_asked(node_kernel, RTM_NEWLINK, "net1");
	assert_asked(pod_kernel, RTM_GETLINK, "net1");
	assert_int_equal(heard(node_kernel, other), RTM_NEWLINK);
	assert_true(str_starts(other, "new"));
}

static void removed(const char *other)
{
	assert_asked(pod_kernel, RTM_DELLINK, other);
	assert_silent(pod_kernel);
}

/* Straight away, and with no other name in between. */
static void a_first_one_is_made_by_its_pattern(void **state)
{
	(void)state;
	answer(node_kernel, 1, EEXIST);
	answer(pod_kernel, 1, ENODEV);
	answer(node_kernel, 2, 0);
	assert_int_equal(add("eth0"), 0);
	assert_asked(node_kernel, RTM_NEWLINK, "eth0");
	assert_asked(pod_kernel, RTM_GETLINK, "eth0");
	assert_asked(node_kernel, RTM_NEWLINK, "eth%d");
	assert_silent(node_kernel);
	assert_silent(pod_kernel);

	answer(node_kernel, 3, EEXIST);
	answer(pod_kernel, 2, ENODEV);
	answer(node_kernel, 4, EBUSY);
	assert_int_equal(add("eth0"), -1);
	assert_int_equal(e.sys, EBUSY);
}

/* The master's: such a kernel would refuse it, so that it is not tried. */
static void a_masters_name_is_not_tried(void **state)
{
	struct link master = { .index = 3, .name = "eth0" };

	(void)state;
	answer(pod_kernel, 1, ENODEV);
	answer(node_kernel, 1, 0);
	assert_int_equal(link_add_ipvlan(node, 77, pod, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e),
	                 0);
	assert_asked(pod_kernel, RTM_GETLINK, "eth0");
	assert_asked(node_kernel, RTM_NEWLINK, "eth%d");
	assert_silent(node_kernel);
	assert_silent(pod_kernel);

	tell_link(pod_kernel, 2, 9);
	assert_int_equal(link_add_ipvlan(node, 77, pod, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e),
	                 -1);
	assert_int_equal(e.sys, EEXIST);
	assert_string_equal(e.msg, "create ipvlan interface eth0: kernel: File exists");
	assert_asked(pod_kernel, RTM_GETLINK, "eth0");
	assert_silent(node_kernel);

	/* where there is no pattern, newer kernels need no detour */
	strcpy(master.name, "net1");
	answer(node_kernel, 2, 0);
	assert_int_equal(link_add_ipvlan(node, 77, pod, "net1", &master, IPVLAN_MODE_L2, 0, 0, &e),
	                 0);
	assert_asked(node_kernel, RTM_NEWLINK, "net1");
	/* nor is it compared with anything in the same namespace */
	strcpy(master.name, "eth0");
	answer(node_kernel, 3, EEXIST);
	assert_int_equal(link_add_ipvlan(node, -1, NULL, "eth0", &master, IPVLAN_MODE_L2, 0, 0, &e),
	                 -1);
	assert_int_equal(e.sys, EEXIST);
	assert_asked(node_kernel, RTM_NEWLINK, "eth0");
	assert_silent(node_kernel);
}

/* The longest that leaves room for the pattern, one that does not, and one that is all number. */
static void not_every_name_has_a_pattern(void **state)
{
	static const char *const names[][2] = { { "fourteencharc0", "fourteencharc%d" },
		                                { "fifteencharact0", NULL },
		                                { "0", NULL },
		                                { "eth10", "eth1%d" },
		                                { "eth01", NULL } };
	char birth[IFNAMSIZ], name[IFNAMSIZ];
	uint32_t seq = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++, seq += 2) {
		answer(node_kernel, seq, EEXIST);
		answer(pod_kernel, seq, ENODEV);
		answer(node_kernel, seq + 1, EPERM);
		answer(pod_kernel, seq + 1, ENODEV);
		link_birth_name(names[i][0], birth);
		assert_int_equal(add(names[i][0]), -1);
		assert_asked(node_kernel, RTM_NEWLINK, names[i][0]);
		assert_asked(pod_kernel, RTM_GETLINK, names[i][0]);
		assert_asked(node_kernel, RTM_NEWLINK, names[i][1] ? names[i][1] : birth);
		if (names[i][1]) /* keep the numbers in step */
			assert_int_equal(link_del(pod, 1, NULL), -1);
		assert_int_equal(heard(pod_kernel, name), RTM_DELLINK);
	}
}

/* Or by its pattern it would be made as the next one. */
static void a_name_that_is_taken_in_the_pod_is_left(void **state)
{
	(void)state;
	answer(node_kernel, 1, EEXIST);
	tell_link(pod_kernel, 1, 9);
	answer(pod_kernel, 1, 0);
	assert_int_equal(add("eth0"), -1);
	assert_int_equal(e.sys, EEXIST);
	assert_asked(node_kernel, RTM_NEWLINK, "eth0");
	assert_silent(node_kernel);

	answer(node_kernel, 2, EEXIST);
	answer(pod_kernel, 2, ENOBUFS);
	assert_int_equal(add("eth0"), -1);
	assert_int_equal(e.sys, ENOBUFS);
	assert_asked(node_kernel, RTM_NEWLINK, "eth0");
	assert_silent(node_kernel);
}

static void what_is_not_found_is_removed(void **state)
{
	char other[IFNAMSIZ];

	(void)state;
	answer(pod_kernel, 1, ENODEV);
	answer(pod_kernel, 2, ENOBUFS);
	answer(pod_kernel, 3, 0);
	add_fails(ENOBUFS, other);
	assert_asked(pod_kernel, RTM_GETLINK, other);
	removed(other);
}

static void what_is_not_renamed_is_removed(void **state)
{
	char other[IFNAMSIZ];

	(void)state;
	answer(pod_kernel, 1, ENODEV);
	tell_link(pod_kernel, 2, 9);
	answer(pod_kernel, 2, 0);
	answer(pod_kernel, 3, EEXIST);
	answer(pod_kernel, 4, 0);
	add_fails(EEXIST, other);
	assert_asked(pod_kernel, RTM_GETLINK, other);
	assert_asked(pod_kernel, RTM_NEWLINK, "net1");
	removed(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_first_one_is_made_by_its_pattern, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(a_masters_name_is_not_tried, setup, teardown),
		cmocka_unit_test_setup_teardown(not_every_name_has_a_pattern, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_that_is_taken_in_the_pod_is_left, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(what_is_not_found_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_renamed_is_removed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
