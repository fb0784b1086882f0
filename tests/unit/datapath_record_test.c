/* SPDX-License-Identifier: Apache-2.0 */
/* links: datapath/record.c cni/record.c cni/check.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * datapath_record_test.c - the coordinator's records there and back, and files that are no record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "datapath/record.h"
#include "tests/unit/sandbox.h"

static char dir[64];
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/datapath_record_test.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static char id[] = "a-b", eth0[] = "eth0", net1[] = "net1", netns[] = "/var/run/netns/x";
static char boot[] = "boot-1";

/* Every member, but for the two names, differs from its neighbours'. */
static struct datapath_record sample(struct ip ips[4], struct cidr cidrs[2])
{
	struct datapath_record r = { .container_id = id,
		                     .ifname = net1,
		                     .netns = netns,
		                     .boot_id = boot,
		                     .netns_inode = 4026531840,
		                     .overlay = true,
		                     .lead6 = true,
		                     .src = ip("10.233.105.154"),
		                     .pod_link = "eth0",
		                     .host_link = "cali0123456789a",
		                     .pod_mac = mac("02:00:00:00:00:01"),
		                     .host_mac = mac("ee:ee:ee:ee:ee:ee"),
		                     .host_index = 2147483647,
		                     .table = 102,
		                     .host_table = 4294967295,
		                     .pod_ips = ips,
		                     .n_pod_ips = 1,
		                     .node_ips = ips + 1,
		                     .n_node_ips = 3,
		                     .hijack = cidrs,
		                     .n_hijack = 2,
		                     .policy = cidrs + 1,
		                     .policy_gws = ips + 2,
		                     .n_policy = 1,
		                     .tuned = false,
		                     .default_route_nic = "net7" };

	ips[0] = ip("172.31.199.187");
	ips[1] = ip("172.31.199.183");
	ips[2] = ip("fd00::183");
	ips[3] = ip("192.168.0.155");
	cidrs[0] = cidr("10.233.0.0/18");
	cidrs[1] = cidr("fd00:10::/112");
	return r;
}

static void there_and_back(void **state)
{
	struct ip ips[4];
	struct cidr cidrs[2];
	struct datapath_record r = sample(ips, cidrs);
	AUTO_DATAPATH_RECORD got = { .first = true };
	AUTO_FREE char *path = xasprintf("%s/datapath/a%%2Db-net1.json", dir);
	struct stat st;

	(void)state;
	OK(datapath_record_write(dir, &r, &e));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	OK(datapath_record_read(dir, id, net1, &got, &e));
	assert_string_equal(got.container_id, id);
	assert_string_equal(got.ifname, net1);
	assert_string_equal(got.netns, netns);
	assert_string_equal(got.boot_id, boot);
	assert_true(got.netns_inode == r.netns_inode);
	assert_true(got.overlay);
	assert_false(got.first);
	assert_false(got.lead4);
	assert_true(got.lead6);
	assert_string_equal(ip_str(got.src).s, "10.233.105.154");
	assert_string_equal(got.pod_link, r.pod_link);
	assert_string_equal(got.host_link, r.host_link);
	assert_memory_equal(&got.pod_mac, &r.pod_mac, sizeof(r.pod_mac));
	assert_memory_equal(&got.host_mac, &r.host_mac, sizeof(r.host_mac));
	assert_int_equal(got.host_index, 2147483647);
	assert_int_equal(got.table, 102);
	assert_true(got.host_table == 4294967295);
	assert_int_equal(got.n_pod_ips, 1);
	assert_memory_equal(got.pod_ips, r.pod_ips, sizeof(*ips));
	assert_int_equal(got.n_node_ips, 3);
	assert_memory_equal(got.node_ips, r.node_ips, 3 * sizeof(*ips));
	assert_int_equal(got.n_hijack, 2);
	assert_memory_equal(got.hijack, r.hijack, 2 * sizeof(*cidrs));
	assert_int_equal(got.n_policy, 1);
	assert_memory_equal(got.policy, r.policy, sizeof(*cidrs));
	assert_memory_equal(got.policy_gws, r.policy_gws, sizeof(*ips));
	assert_false(got.tuned);
	assert_string_equal(got.default_route_nic, "net7");
}

/* Older ones do not have every key; what they mean is what was usual. */
static void older_records(void **state)
{
	static const char text[] =
		"{\"containerID\":\"a-b\",\"ifName\":\"net1\",\"podLink\":\"veth0\","
		"\"hostLink\":\"veth1\",\"podMAC\":\"02:00:00:00:00:01\","
		"\"hostMAC\":\"02:00:00:00:00:02\",\"table\":102,\"hostTable\":500}";
	AUTO_FREE char *folder = xasprintf("%s/datapath", dir);
	AUTO_FREE char *path = xasprintf("%s/a%%2Db-net1.json", folder);
	AUTO_DATAPATH_RECORD got = { .first = false };

	(void)state;
	OK(file_mkdirs(folder, 0700, &e));
	OK(file_write(path, text, strlen(text), 0600, 0, &e));
	OK(datapath_record_read(dir, id, net1, &got, &e));
	assert_true(got.tuned);
	assert_string_equal(got.default_route_nic, "");
	assert_int_equal(got.host_index, 0);
}

static void what_is_removed_stays_so(void **state)
{
	struct ip ips[4];
	struct cidr cidrs[2];
	struct datapath_record r = sample(ips, cidrs), got;

	(void)state;
	OK(datapath_record_write(dir, &r, &e));
	r.n_node_ips = 1;
	OK(datapath_record_replace(dir, &r, &e));
	OK(datapath_record_read(dir, id, net1, &got, &e));
	assert_int_equal(got.n_node_ips, 1);
	datapath_record_release(&got);
	OK(datapath_record_remove(dir, id, net1, &e));
	assert_int_equal(datapath_record_replace(dir, &r, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(datapath_record_read(dir, id, net1, &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void what_is_there_is_not_created(void **state)
{
	struct ip ips[4];
	struct cidr cidrs[2];
	struct datapath_record r = sample(ips, cidrs), got;

	(void)state;
	OK(datapath_record_create(dir, &r, &e));
	r.n_node_ips = 1;
	assert_int_equal(datapath_record_create(dir, &r, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	OK(datapath_record_read(dir, id, net1, &got, &e));
	assert_int_not_equal(got.n_node_ips, 1);
	datapath_record_release(&got);
}

static void listed_and_removed(void **state)
{
	struct ip ips[4];
	struct cidr cidrs[2];
	struct datapath_record r = sample(ips, cidrs), *all, got;
	size_t n;

	(void)state;
	OK(datapath_record_list(dir, &all, &n, &e));
	assert_int_equal(n, 0);
	free(all);
	OK(datapath_record_write(dir, &r, &e));
	r.ifname = eth0;
	r.n_pod_ips = r.n_node_ips = r.n_hijack = 0;
	r.first = r.lead4 = true;
	r.lead6 = false;
	r.src.family = 0;
	OK(datapath_record_write(dir, &r, &e));
	OK(datapath_record_write(dir, &r, &e));
	OK(datapath_record_list(dir, &all, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(all[0].ifname, "eth0");
	assert_true(all[0].first);
	assert_true(all[0].lead4);
	assert_false(all[0].lead6);
	assert_int_equal(all[0].src.family, 0);
	assert_int_equal(all[0].n_node_ips, 0);
	assert_string_equal(all[1].ifname, "net1");
	assert_false(all[1].first);
	for (size_t i = 0; i < n; i++)
		datapath_record_release(&all[i]);
	free(all);
	OK(datapath_record_remove(dir, id, eth0, &e));
	OK(datapath_record_remove(dir, id, eth0, &e));
	assert_int_equal(datapath_record_read(dir, id, eth0, &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	OK(datapath_record_read(dir, id, net1, &got, &e));
	datapath_record_release(&got);
}

#define GOOD                                                                                       \
	"\"containerID\":\"c\",\"ifName\":\"eth0\",\"podMAC\":\"02:00:00:00:00:01\","              \
	"\"hostMAC\":\"02:00:00:00:00:02\",\"hostTable\":500"

static void what_is_no_record(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{" GOOD ",\"podLink\":\"a/b\",\"hostLink\":\"vethc\",\"table\":101}",
		  "podLink: \"a/b\" is not an interface name" },
		{ "{" GOOD ",\"podLink\":\"veth0\",\"hostLink\":\"vethc\",\"table\":0}",
		  "table: 0 is no table" },
		{ "{" GOOD ",\"podLink\":\"veth0\",\"hostLink\":\"vethc\",\"table\":101,"
		  "\"podIPs\":[\"10.0.0.1\",\"x\"]}",
		  "podIPs: \"x\" is not an IP address" },
		{ "{" GOOD ",\"podLink\":\"veth0\",\"hostLink\":\"vethc\",\"table\":101,"
		  "\"hijack\":[\"10.0.0.0/33\"]}",
		  "hijack: \"10.0.0.0/33\" is not an IP prefix such as 10.0.0.0/8" },
		{ "{" GOOD ",\"podLink\":\"veth0\",\"hostLink\":\"vethc\",\"table\":101,"
		  "\"src\":\"10\"}",
		  "\"10\" is not an IP address" },
		{ "{" GOOD ",\"podLink\":\"veth0\",\"hostLink\":\"vethc\",\"table\":101,"
		  "\"netnsInode\":-1}",
		  "netnsInode: -1 is no inode" },
		{ "{" GOOD ",\"podLink\":\"veth0\",\"hostLink\":\"vethc\",\"table\":101,"
		  "\"hostIndex\":2147483648}",
		  "hostIndex: 2147483648 is no index of an interface" },
	};
	AUTO_FREE char *folder = xasprintf("%s/datapath", dir);
	AUTO_FREE char *path = xasprintf("%s/c-eth0.json", folder);
	struct datapath_record got;

	(void)state;
	OK(file_mkdirs(folder, 0700, &e));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OK(file_write(path, cases[i].text, strlen(cases[i].text), 0600, 0, &e));
		assert_int_equal(datapath_record_read(dir, "c", "eth0", &got, &e), -1);
		assert_string_equal(e.msg, cases[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(older_records, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_removed_stays_so, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_there_is_not_created, setup, teardown),
		cmocka_unit_test_setup_teardown(listed_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_record, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
