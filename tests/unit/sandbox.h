/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - for tests that make network namespaces: included behind cmocka.h, by programs that
 * link net/ and base/.  OK() uses the including file's `e`.
 */
#ifndef TESTS_UNIT_SANDBOX_H
#define TESTS_UNIT_SANDBOX_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "net/ip.h"
#include "net/link.h"
#include "net/netns.h"

#define OK(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			fail_msg("%s: %s", #call, e.msg);                                          \
	} while (0)

/* What the name says, or the test fails. */
static inline struct cidr cidr(const char *s)
{
	struct cidr c = { 0 };
	struct err e;

	OK(cidr_parse(s, &c, &e));
	return c;
}

static inline struct ip ip(const char *s)
{
	struct ip a = { 0 };
	struct err e;

	OK(ip_parse(s, &a, &e));
	return a;
}

static inline struct mac mac(const char *s)
{
	struct mac m = { 0 };
	struct err e;

	OK(mac_parse(s, &m, &e));
	return m;
}

static inline void sandbox_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Leaves the network namespace for a new one. */
static inline void move_out(void)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	netns_moved();
}

/* A new network namespace for the calling process, which stays in it; one of users as well where it
 * takes that. */
static inline void leave_home(void)
{
	AUTO_FREE char *uid = xasprintf("0 %u 1", geteuid());
	AUTO_FREE char *gid = xasprintf("0 %u 1", getegid());

	netns_moved();
	if (unshare(CLONE_NEWNET) == 0)
		return;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		fail_msg("no network namespace for this test: %s", strerror(errno));
	sandbox_map("/proc/self/setgroups", "deny");
	sandbox_map("/proc/self/uid_map", uid);
	sandbox_map("/proc/self/gid_map", gid);
}

#endif
