/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ base/ */
/* libs: mnl */
/*
 * bond_test.c - options of bonds: read from text, and in the messages to and from the kernel, which
 * is one of our own.  tests/vm/ifacer.sh has a real one.
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
#include "net/bond.h"

static struct nl *nl;
static int kernel = -1;
static struct err e;

static int setup(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	nl = nl_from_fd(pair[0], 2000);
	kernel = pair[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(nl);
	close(kernel);
	return 0;
}

static struct bond read_options(const char *text)
{
	struct bond b = { .given = 0 };

	if (bond_options(&b, text, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return b;
}

static void refuses(const char *text, const char *message)
{
	struct bond b = { .given = 0 };

	assert_int_equal(bond_options(&b, text, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.msg, message);
	assert_int_equal(bond_options(&b, text, NULL), -1);
}

static void bad_options_are_named(void **state)
{
	(void)state;
	refuses("miimon=100;foo=1", "there is no bond option \"foo\"");
	refuses("Miimon=100", "there is no bond option \"Miimon\"");
	refuses("=1", "there is no bond option \"\"");
	refuses("miimon", "\"miimon\" is not NAME=VALUE");
	refuses("miimon=100;;x;", "\"x\" is not NAME=VALUE");
	refuses("miimon=100;miimon=0", "miimon: given twice");
	refuses("updelay=100;up_delay=200", "updelay: given twice");
	refuses("miimon=-1", "miimon: \"-1\" is not a number");
	refuses("xmit_hash_policy=layer4",
	        "xmit_hash_policy: \"layer4\" is not one of layer2 layer3+4 layer2+3 encap2+3 "
	        "encap3+4 vlan+srcmac, or 0 to 5");
	refuses("xmit_hash_policy=6",
	        "xmit_hash_policy: \"6\" is not one of layer2 layer3+4 layer2+3 encap2+3 "
	        "encap3+4 vlan+srcmac, or 0 to 5");
	refuses("lacp_rate=", "lacp_rate: \"\" is not one of slow fast, or 0 to 1");
	refuses("arp_ip_target=", "arp_ip_target: there is no address");
	refuses("arp_ip_target=[]", "arp_ip_target: there is no address");
	refuses("arp_ip_target=fd00::1", "arp_ip_target: fd00::1 is no IPv4 address");
	refuses("arp_ip_target=1,2,3", "arp_ip_target: \"1\" is not an IP address");
	refuses("arp_ip_target=1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8,"
	        "1.1.1.9,1.1.2.1,1.1.2.2,1.1.2.3,1.1.2.4,1.1.2.5,1.1.2.6,1.1.2.7,1.1.2.8",
	        "arp_ip_target: there are more than 16 addresses");
	refuses("ad_actor_system=1", "ad_actor_system: \"1\" is not a MAC address");
	refuses("primary=a/b", "primary: \"a/b\" is not an interface name");
	refuses("active_slave=sixteencharacter",
	        "active_slave: \"sixteencharacter\" is not an interface name");
}

/* The kernel's end. */
static _Alignas(struct nlmsghdr) char request[8192];

/* The next request: its header, and *data the IFLA_INFO_DATA in it. */
static const struct nlmsghdr *heard(const void **data, size_t *len)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)request;
	const size_t skip = sizeof(*h) + sizeof(struct ifinfomsg);
	ssize_t n = recv(kernel, request, sizeof(request), MSG_DONTWAIT);
	const void *info, *kind;
	size_t info_len, kind_len;

	assert_true(n > (ssize_t)skip);
	info = nl_attr_in(request + skip, (size_t)n - skip, IFLA_LINKINFO, 1, &info_len);
	assert_non_null(info);
	kind = nl_attr_in(info, info_len, IFLA_INFO_KIND, 1, &kind_len);
	assert_non_null(kind);
	assert_string_equal(kind, "bond");
	*data = nl_attr_in(info, info_len, IFLA_INFO_DATA, 0, len);
	assert_non_null(*data);
	return h;
}

static void acknowledge(int error)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr payload;
	} m = { .h = { .nlmsg_len = sizeof(m),
		       .nlmsg_type = NLMSG_ERROR,
		       .nlmsg_flags = NLM_F_CAPPED,
		       /* a socket counts from 1 */
		       .nlmsg_seq = nl_requests(nl) + 1 },
		.payload = { .error = -error } };

	assert_int_equal(send(kernel, &m, sizeof(m), 0), sizeof(m));
}

static uint32_t number(const void *data, size_t len, uint16_t type, size_t size)
{
	size_t n = 0;
	const void *v = nl_attr_in(data, len, type, size, &n);
	uint32_t out = 0;

	if (!v)
		fail_msg("attribute %u is missing", type);
	assert_int_equal(n, size);
	memcpy(&out, v, size);
	return out;
}

static void options_are_sent(void **state)
{
	static const uint8_t target[] = { 10, 0, 0, 2 };
	struct bond b = read_options(
		" mode = 802.3ad ; miimon=100;updelay=250; downdelay=0;use_carrier=1;"
		"lacp_rate=fast;xmit_hash_policy=layer3+4;ad_select=2;min_links=0;"
		"ad_actor_sys_prio=65535;ad_user_port_key=7;ad_actor_system=0a:00:00:00:00:01;"
		"arp_ip_target=[\"10.0.0.1\", \"10.0.0.2\"];all_slaves_active=0;"
		"active_slave=eth1;primary=eth2;resend_igmp=3;");
	const struct nlmsghdr *h;
	const void *data, *list, *v;
	size_t len, list_len;

	(void)state;
	bond_set_primary(&b, 42);
	acknowledge(0);
	assert_int_equal(bond_add(nl, "bond0", &b, &e), 0);
	h = heard(&data, &len);
	assert_int_equal(h->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(h->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL), NLM_F_CREATE | NLM_F_EXCL);
	assert_int_equal(number(data, len, IFLA_BOND_MODE, 1), 4);
	assert_int_equal(number(data, len, IFLA_BOND_MIIMON, 4), 100);
	assert_int_equal(number(data, len, IFLA_BOND_UPDELAY, 4), 250);
	assert_int_equal(number(data, len, IFLA_BOND_DOWNDELAY, 4), 0);
	assert_int_equal(number(data, len, IFLA_BOND_USE_CARRIER, 1), 1);
	assert_int_equal(number(data, len, IFLA_BOND_AD_LACP_RATE, 1), 1);
	assert_int_equal(number(data, len, IFLA_BOND_XMIT_HASH_POLICY, 1), 1);
	assert_int_equal(number(data, len, IFLA_BOND_AD_SELECT, 1), 2);
	assert_int_equal(number(data, len, IFLA_BOND_MIN_LINKS, 4), 0);
	assert_int_equal(number(data, len, IFLA_BOND_AD_ACTOR_SYS_PRIO, 2), 65535);
	assert_int_equal(number(data, len, IFLA_BOND_AD_USER_PORT_KEY, 2), 7);
	assert_int_equal(number(data, len, IFLA_BOND_RESEND_IGMP, 4), 3);
	assert_int_equal(number(data, len, IFLA_BOND_ALL_SLAVES_ACTIVE, 1), 0);
	assert_int_equal(number(data, len, IFLA_BOND_PRIMARY, 4), 42);
	v = nl_attr_in(data, len, IFLA_BOND_AD_ACTOR_SYSTEM, 6, NULL);
	assert_memory_equal(v, "\x0a\0\0\0\0\x01", 6);
	list = nl_attr_in(data, len, IFLA_BOND_ARP_IP_TARGET, 1, &list_len);
	assert_non_null(list);
	assert_memory_equal(nl_attr_in(list, list_len, 1, 4, NULL), target, 4);
	assert_null(nl_attr_in(list, list_len, 2, 0, NULL));
	/* what was not given is the kernel's business; and a member is active when it is one */
	assert_null(nl_attr_in(data, len, IFLA_BOND_ARP_INTERVAL, 0, NULL));
	assert_null(nl_attr_in(data, len, IFLA_BOND_ACTIVE_SLAVE, 0, NULL));

	acknowledge(EPERM);
	assert_int_equal(bond_set_active(nl, 5, 9, &e), -1);
	assert_int_equal(e.sys, EPERM);
	h = heard(&data, &len);
	assert_int_equal(h->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL), 0);
	assert_int_equal(number(data, len, IFLA_BOND_ACTIVE_SLAVE, 4), 9);
	acknowledge(0);
	assert_int_equal(bond_change(nl, 5, &b, &e), 0);
	h = heard(&data, &len);
	assert_int_equal(h->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL), 0);
	assert_int_equal(number(data, len, IFLA_BOND_MODE, 1), 4);
}

static void modes_have_names_and_numbers(void **state)
{
	static const char *const names[] = { "balance-rr", "active-backup", "balance-xor",
		                             "broadcast",  "802.3ad",       "balance-tlb",
		                             "balance-alb" };

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *text = xasprintf("%u", i);
		struct bond a = { .given = 0 }, b = { .given = 0 };

		assert_int_equal(bond_option(&a, "mode", names[i], &e), 0);
		assert_int_equal(bond_option(&b, "mode", text, &e), 0);
		assert_memory_equal(a.value, b.value, sizeof(a.value));
		assert_int_equal(a.value[0], i);
	}
	refuses("mode=7",
	        "mode: \"7\" is not one of balance-rr active-backup balance-xor broadcast 802.3ad "
	        "balance-tlb balance-alb, or 0 to 6");
}

/* A bond of the kernel's, with these options. */
static void tell(const struct bond *b, int primary)
{
	struct nl_req *r = xcalloc(1, sizeof(*r));
	struct ifinfomsg *h;
	void *info, *data, *list;

	nl_req_init(r, RTM_NEWLINK, 0, sizeof(*h));
	h = nl_header(r);
	h->ifi_index = 5;
	info = nl_nest(r, IFLA_LINKINFO);
	nl_put_str(r, IFLA_INFO_KIND, "bond");
	data = nl_nest(r, IFLA_INFO_DATA);
	nl_put_u8(r, IFLA_BOND_MODE, (uint8_t)b->value[0]);
	nl_put_u32(r, IFLA_BOND_MIIMON, 100);
	nl_put_u32(r, IFLA_BOND_UPDELAY, 200);
	nl_put_u8(r, IFLA_BOND_XMIT_HASH_POLICY, 1);
	if (primary)
		nl_put_u32(r, IFLA_BOND_PRIMARY, (uint32_t)primary);
	list = nl_nest(r, IFLA_BOND_ARP_IP_TARGET);
	for (size_t i = 0; i < b->n_targets; i++)
		nl_put(r, (uint16_t)i, b->targets[i].bytes, 4);
	nl_nest_end(r, list);
	nl_put_u16(r, IFLA_BOND_AD_ACTOR_SYS_PRIO, 9);
	nl_put(r, IFLA_BOND_AD_ACTOR_SYSTEM, "\x0a\0\0\0\0\x01", 6);
	nl_nest_end(r, data);
	nl_nest_end(r, info);
	r->h->nlmsg_seq = nl_requests(nl) + 1;
	r->h->nlmsg_flags = 0;
	assert_int_equal(send(kernel, r->h, r->h->nlmsg_len, 0), r->h->nlmsg_len);
	free(r);
	acknowledge(0);
}

/* wanted, compared with what is there; message NULL: it is that. */
static void compares(const char *is, const char *wanted, bool complete, const char *message)
{
	struct bond have = read_options(is), want = read_options(wanted);
	int rc;

	bond_set_primary(&want, 7);
	tell(&have, *have.primary ? (int)have.primary[3] - '0' : 0);
	rc = bond_check(nl, 5, &want, complete, &e);
	if (!message && rc < 0)
		fail_msg("%s: %s", wanted, e.msg);
	if (!message)
		return;
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_string_equal(e.msg, message);
}

static void options_are_compared(void **state)
{
	(void)state;
	compares("mode=1", "mode=active-backup;miimon=100;xmit_hash_policy=layer3+4", true, NULL);
	compares("mode=1", "mode=4", true, "mode is active-backup, not 802.3ad");
	compares("mode=1", "miimon=0", true, "miimon is 100, not 0");
	compares("mode=1", "xmit_hash_policy=0", true, "xmit_hash_policy is layer3+4, not layer2");
	compares("mode=1", "ad_actor_sys_prio=9", true, NULL);
	compares("mode=1", "ad_actor_sys_prio=10", true, "ad_actor_sys_prio is 9, not 10");
	compares("mode=1", "lacp_rate=0", true, "lacp_rate has no value in its mode");
	compares("mode=1", "ad_actor_system=0a:00:00:00:00:01", true, NULL);
	compares("mode=1", "ad_actor_system=0a:00:00:00:00:02", true,
	         "ad_actor_system is not 0a:00:00:00:00:02");
	/* the kernel rounds it to what miimon divides */
	compares("mode=1", "miimon=100;updelay=299", true, NULL);
	compares("mode=1", "miimon=100;updelay=300", true, "updelay is 200, not 300");
	compares("mode=1", "active_slave=eth7", true, NULL);
	compares("mode=1", "primary=eth7", false, NULL);
	compares("mode=1", "primary=eth7", true, "primary is not eth7");
	compares("mode=1;primary=eth7", "primary=eth7", true, NULL);
	compares("mode=1;primary=eth8", "primary=eth7", true, "primary is not eth7");
	compares("arp_ip_target=1.1.1.1,2.2.2.2", "arp_ip_target=2.2.2.2,1.1.1.1", true, NULL);
	compares("arp_ip_target=1.1.1.1,2.2.2.2", "arp_ip_target=2.2.2.2", true,
	         "arp_ip_target has 1.1.1.1, which is not wanted");
	compares("arp_ip_target=1.1.1.1", "arp_ip_target=2.2.2.2,1.1.1.1", true,
	         "arp_ip_target has 1 addresses, not 2");
	compares("mode=1", "arp_ip_target=2.2.2.2", true, "arp_ip_target has 0 addresses, not 1");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bad_options_are_named),
		T(options_are_sent),
		T(modes_have_names_and_numbers),
		T(options_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
