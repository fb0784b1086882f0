/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/ownips.c agent/thread.c net/ base/ */
/* libs: mnl */
/* flags: -Wl,--wrap=addr_list */
/*
 * ownips_test.c - when the ledger is told of the node's addresses, and how often they are read: in
 * a network namespace of the test's own.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/ownips.h"
#include "net/addr.h"
#include "tests/unit/sandbox.h"

static struct err e;
static struct nl *nl;
static struct link l;
static struct ownips *watch;

/* What the ledger was told last, and how often. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static struct ip_set told;
static int reads;

void ledger_node_addresses(struct ledger *unused, struct ip_set *set)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	ip_set_release(&told);
	told = (struct ip_set)IP_SET_INIT;
	for (size_t i = 0; i < set->n; i++)
		ip_set_add(&told, set->v[i]);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

int __real_addr_list(struct nl *s, int family, int index, struct addr **out, size_t *n,
                     struct err *err);
int __wrap_addr_list(struct nl *s, int family, int index, struct addr **out, size_t *n,
                     struct err *err);

int __wrap_addr_list(struct nl *s, int family, int index, struct addr **out, size_t *n,
                     struct err *err)
{
	pthread_mutex_lock(&lock);
	reads++;
	pthread_mutex_unlock(&lock);
	return __real_addr_list(s, family, index, out, n, err);
}

static int setup(void **state)
{
	struct veth_spec pair = { .name = "a", .peer = "b", .peer_ns = -1 };
	pthread_condattr_t attr;

	(void)state;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
	leave_home();
	OK(nl_open(NETLINK_ROUTE, &nl, &e));
	OK(mac_random(&pair.mac, &e));
	OK(mac_random(&pair.peer_mac, &e));
	OK(link_add_veth(nl, &pair, &l, &e));
	OK(addr_add(nl, l.index, cidr("10.0.0.1/24"), &e));
	OK(ownips_start(NULL, &watch, &e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ownips_stop(watch);
	nl_close(nl);
	ip_set_release(&told);
	return 0;
}

/* Until the ledger knows of it, or no more: how long that took, in milliseconds. */
static int64_t wait_until(const char *address, bool known)
{
	struct mono begin = mono_now();
	struct timespec end = mono_timespec(mono_in(20000));
	int rc = 0;

	pthread_mutex_lock(&lock);
	while (ip_set_contains(&told, ip(address)) != known && rc == 0)
		rc = pthread_cond_timedwait(&changed, &lock, &end);
	pthread_mutex_unlock(&lock);
	if (rc)
		fail_msg("%s is %sknown", address, known ? "not " : "");
	return mono_now().ms - begin.ms;
}

static int reads_so_far(void)
{
	int n;

	pthread_mutex_lock(&lock);
	n = reads;
	pthread_mutex_unlock(&lock);
	return n;
}

/* Or a pool could give it to a pod.  A machine with more to do has several tries. */
static void a_new_address_is_told_at_once(void **state)
{
	int64_t best = INT64_MAX;

	(void)state;
	wait_until("10.0.0.1", true);
	for (int i = 2; i < 12 && best > 100; i++) {
		AUTO_FREE char *address = xasprintf("10.0.0.%d", i);
		AUTO_FREE char *with = xasprintf("%s/24", address);
		int64_t took;

		OK(addr_add(nl, l.index, cidr(with), &e));
		took = wait_until(address, true);
		best = took < best ? took : best;
	}
	assert_in_range(best, 0, 100);
}

static void one_that_goes_is_told_later(void **state)
{
	(void)state;
	OK(addr_add(nl, l.index, cidr("10.9.0.1/32"), &e));
	wait_until("10.9.0.1", true);
	OK(addr_del(nl, l.index, cidr("10.9.0.1/32"), &e));
	assert_in_range(wait_until("10.9.0.1", false), 400, 20000);
}

/* As each pod brings them. */
static void known_addresses_are_not_read_again(void **state)
{
	struct link other;
	int before;

	(void)state;
	OK(link_get(nl, "b", &other, &e));
	before = reads_so_far();
	for (int i = 0; i < 20; i++) {
		AUTO_FREE char *of_a_link = xasprintf("fe80::%d/64", i + 1);

		OK(addr_add(nl, other.index, cidr(of_a_link), &e));
	}
	OK(addr_add(nl, other.index, cidr("10.0.0.1/32"), &e));
	/* behind them all */
	OK(addr_add(nl, other.index, cidr("10.8.0.1/32"), &e));
	wait_until("10.8.0.1", true);
	assert_int_equal(reads_so_far() - before, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_address_is_told_at_once),
		cmocka_unit_test(one_that_goes_is_told_later),
		cmocka_unit_test(known_addresses_are_not_read_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
