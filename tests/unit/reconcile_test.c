/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/reconcile.c agent/reconcile_hear.c agent/reconcile_records.c agent/reconcile_node.c */
/* links: agent/reconcile_pod.c agent/reconcile_make.c */
/* links: agent/sysctls.c agent/metrics.c agent/thread.c datapath/ cni/record.c */
/* links: cni/state.c cni/check.c net/ json/json.c base/ */
/* libs: cjson mnl */
/* flags: -Wl,--wrap=netns_nl,--wrap=netns_open,--wrap=file_read_regular */
/* flags: -Wl,--wrap=link_list,--wrap=addr_list,--wrap=neigh_list,--wrap=datapath_record_create */
/* tsan */
/*
 * reconcile_test.c - what the agent does when somebody flushes what joins a pod and its node, or
 * the node gets other addresses, or somebody removes records: in two network namespaces of the
 * test's own.  At the moment when it enters the pod, by netns_nl, or when it brings a record back,
 * something else can be made to happen.  What it looks at is counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/reconcile.h"
#include "agent/sysctls.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mono.h"
#include "datapath/plan.h"
#include "datapath/record.h"
#include "net/netns.h"
#include "net/sysctl.h"
#include "tests/unit/sandbox.h"

#define CID "0123456789abcdef"
#define END "veth0123456789a"
#define TABLE 500
#define LATE_MS 10000 /* for machines that are busy, and sanitizers */

static int host_ns = -1, pod_ns = -1, log_fd = -1;
static struct nl *host, *pod;
static struct link card, end, veth0;
static char folder[64], *netns, *log_path;
static struct ip pod_ips[2], node_ips[2];
static struct cidr hijack[2];
static struct datapath_record record;
static struct metrics *metrics;
static struct reconcile_config config;
static struct reconcile *reconcile;
static struct err e;

static void (*when_it_enters)(void); /* once; set while the thread does not run */

int __real_netns_nl(int fd, int protocol, struct nl **out, struct err *why);
int __wrap_netns_nl(int fd, int protocol, struct nl **out, struct err *why);
int __wrap_netns_nl(int fd, int protocol, struct nl **out, struct err *why)
{
	void (*then)(void) = when_it_enters;

	when_it_enters = NULL;
	if (then)
		then();
	return __real_netns_nl(fd, protocol, out, why);
}

static void (*when_it_creates)(void); /* likewise, once */
static atomic_bool cannot_create;

int __real_datapath_record_create(const char *dir, const struct datapath_record *r,
                                  struct err *why);
int __wrap_datapath_record_create(const char *dir, const struct datapath_record *r,
                                  struct err *why);
int __wrap_datapath_record_create(const char *dir, const struct datapath_record *r, struct err *why)
{
	void (*then)(void) = when_it_creates;

	when_it_creates = NULL;
	if (then)
		then();
	if (cannot_create)
		return err_sys(why, ENOSPC, "create");
	return __real_datapath_record_create(dir, r, why);
}

/* Records read, namespaces opened, lists of what all interfaces have, and of what one has. */
static atomic_uint files_read, namespaces_opened, lists, ends;

int __real_file_read_regular(const char *path, size_t max, struct str *out, struct err *why);
int __wrap_file_read_regular(const char *path, size_t max, struct str *out, struct err *why);
int __wrap_file_read_regular(const char *path, size_t max, struct str *out, struct err *why)
{
	files_read += strstr(path, "/datapath/") != NULL;
	return __real_file_read_regular(path, max, out, why);
}

int __real_netns_open(const char *path, int *out, struct err *why);
int __wrap_netns_open(const char *path, int *out, struct err *why);
int __wrap_netns_open(const char *path, int *out, struct err *why)
{
	namespaces_opened++;
	return __real_netns_open(path, out, why);
}

int __real_link_list(struct nl *nl, struct link **out, size_t *count, struct err *why);
int __wrap_link_list(struct nl *nl, struct link **out, size_t *count, struct err *why);
int __wrap_link_list(struct nl *nl, struct link **out, size_t *count, struct err *why)
{
	lists++;
	return __real_link_list(nl, out, count, why);
}

int __real_addr_list(struct nl *nl, int family, int index, struct addr **out, size_t *count,
                     struct err *why);
int __wrap_addr_list(struct nl *nl, int family, int index, struct addr **out, size_t *count,
                     struct err *why);
int __wrap_addr_list(struct nl *nl, int family, int index, struct addr **out, size_t *count,
                     struct err *why)
{
	lists += !index;
	return __real_addr_list(nl, family, index, out, count, why);
}

int __real_neigh_list(struct nl *nl, int family, int index, struct neigh **out, size_t *count,
                      struct err *why);
int __wrap_neigh_list(struct nl *nl, int family, int index, struct neigh **out, size_t *count,
                      struct err *why);
int __wrap_neigh_list(struct nl *nl, int family, int index, struct neigh **out, size_t *count,
                      struct err *why)
{
	lists += !index;
	ends += !!index;
	return __real_neigh_list(nl, family, index, out, count, why);
}

static int group_setup(void **state)
{
	(void)state;
	leave_home();
	return 0;
}

static int new_ns(void)
{
	int ns = -1;

	move_out();
	OK(netns_open_self(&ns, &e));
	return ns;
}

static void up(struct nl *nl, const char *name, struct link *out)
{
	OK(link_get(nl, name, out, &e));
	OK(link_set_up(nl, out->index, &e));
}

/* A card with two addresses of each family, and a pair into the pod. */
static void make_links(void)
{
	struct veth_spec wire = { .name = "eth0", .peer = "wire", .peer_ns = -1 };
	struct veth_spec pair = { .name = "veth0", .peer = END, .peer_ns = host_ns };
	struct link other;

	/* addresses that are checked for a second are notices of their own */
	OK(sysctl_write(-1, "ipv6/conf/default/accept_dad", "0", &e));
	OK(mac_random(&wire.mac, &e));
	OK(mac_random(&wire.peer_mac, &e));
	OK(link_add_veth(host, &wire, NULL, &e));
	up(host, "wire", &other);
	up(host, "eth0", &card);
	OK(addr_add(host, card.index, cidr("172.31.0.10/20"), &e));
	OK(addr_add(host, card.index, cidr("fd00::10/64"), &e));
	pair.mac = mac("0a:00:00:00:00:01");
	pair.peer_mac = mac("0a:00:00:00:00:02");
	OK(link_add_veth(pod, &pair, NULL, &e));
	up(host, END, &end);
	OK(link_set_alias(host, end.index, CID, &e));
	up(pod, "veth0", &veth0);
	/* the main plugin's interface would have them */
	OK(addr_add(pod, veth0.index, cidr("172.31.0.77/32"), &e));
	OK(addr_add(pod, veth0.index, cidr("fd00::77/128"), &e));
}

static void write_record(void)
{
	pod_ips[0] = ip("172.31.0.77");
	pod_ips[1] = ip("fd00::77");
	node_ips[0] = ip("172.31.0.10");
	node_ips[1] = ip("fd00::10");
	hijack[0] = cidr("10.233.0.0/18");
	hijack[1] = cidr("fd01::/108");
	record = (struct datapath_record){
		.container_id = CID,
		.ifname = "eth0",
		.netns = netns,
		.boot_id = "this boot",
		.first = true,
		.lead4 = true,
		.lead6 = true,
		.pod_link = "veth0",
		.host_link = END,
		.host_index = end.index,
		.pod_mac = veth0.mac,
		.host_mac = end.mac,
		.table = COORDINATOR_FIRST_TABLE,
		.host_table = TABLE,
		.pod_ips = pod_ips,
		.n_pod_ips = 2,
		.node_ips = node_ips,
		.n_node_ips = 2,
		.hijack = hijack,
		.n_hijack = 2,
		.tuned = true,
	};
	OK(netns_inode(pod_ns, &record.netns_inode, &e));
	OK(datapath_record_write(folder, &record, &e));
}

static void open_log(void)
{
	log_path = xasprintf("%s/log", folder);
	log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(log_fd >= 0);
	log_init("test", log_fd, false, LOG_LEVEL_INFO);
}

static int setup(void **state)
{
	AUTO_FREE char *target = NULL;

	(void)state;
	memset(&e, 0, sizeof(e));
	snprintf(folder, sizeof(folder), "/tmp/reconcile_test.XXXXXX");
	assert_non_null(mkdtemp(folder));
	open_log();
	pod_ns = new_ns();
	host_ns = new_ns();
	netns = xasprintf("%s/netns", folder);
	target = xasprintf("/proc/%d/fd/%d", getpid(), pod_ns);
	assert_int_equal(symlink(target, netns), 0);
	OK(nl_open(NETLINK_ROUTE, &host, &e));
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &pod, &e));
	make_links();
	write_record();
	metrics = metrics_new();
	config = (struct reconcile_config){ .metrics = metrics,
		                            .state_dir = folder,
		                            .boot_id = "this boot",
		                            .ipv4 = true,
		                            .ipv6 = true };
	return 0;
}

static int teardown(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	reconcile_stop(reconcile);
	reconcile = NULL;
	metrics_free(metrics);
	nl_close(host);
	nl_close(pod);
	close(host_ns);
	close(pod_ns);
	log_init("test", STDERR_FILENO, false, LOG_LEVEL_INFO);
	close(log_fd);
	free(log_path);
	free(netns);
	return system(command);
}

/* Looking. */
static const struct route *route_to(struct nl *nl, const char *dst, uint32_t table)
{
	static struct route found;
	AUTO_FREE struct route *v = NULL;
	struct cidr want = cidr(dst);
	size_t n;

	OK(route_list(nl, want.ip.family, table, &v, &n, &e));
	for (size_t i = 0; i < n; i++) {
		found = v[i];
		if (cidr_equal_network(v[i].dst, want))
			return &found;
	}
	return NULL;
}

static bool has_rule(int family)
{
	AUTO_FREE struct rule *v = NULL;
	size_t n;

	OK(rule_list(host, family, &v, &n, &e));
	for (size_t i = 0; i < n; i++)
		if (v[i].priority == COORDINATOR_RULE_PRIORITY && v[i].table == TABLE)
			return true;
	return false;
}

static bool has_neigh(struct nl *nl, int index, const char *address, struct mac m)
{
	AUTO_FREE struct neigh *v = NULL;
	size_t n;

	OK(neigh_list(nl, 0, index, &v, &n, &e));
	for (size_t i = 0; i < n; i++)
		if (ip_equal(v[i].ip, ip(address)))
			return v[i].state == NUD_PERMANENT && memcmp(&v[i].mac, &m, sizeof(m)) == 0;
	return false;
}

/* Which addresses the host end has, but for those that the kernel makes. */
static bool end_has(const char *list)
{
	AUTO_FREE struct addr *v = NULL;
	AUTO_STR text = STR_INIT;
	size_t n;

	OK(addr_list(host, 0, end.index, &v, &n, &e));
	for (size_t i = 0; i < n; i++)
		if (!ip_is_link_local(v[i].local.ip))
			str_addf(&text, "%s%s", text.len ? " " : "", cidr_str(v[i].local).s);
	return streq(text.data, list);
}

static bool node_is_whole(void)
{
	const struct route *r = route_to(host, "172.31.0.77/32", TABLE);

	if (!r || r->oif != end.index || !r->prefsrc.family)
		return false;
	r = route_to(host, "fd00::77/128", TABLE);
	return r && r->oif == end.index && has_rule(4) && has_rule(6) &&
	       has_neigh(host, end.index, "172.31.0.77", veth0.mac) &&
	       has_neigh(host, end.index, "fd00::77", veth0.mac);
}

/* The pod reaches that address of the node, by both tables. */
static bool pod_reaches(const char *address)
{
	AUTO_FREE char *dst = xasprintf("%s/%d", address, strchr(address, ':') ? 128 : 32);

	for (int i = 0; i < 2; i++) {
		const struct route *r = route_to(pod, dst, i ? RT_TABLE_MAIN : record.table);

		if (!r || r->oif != veth0.index || r->gw.family)
			return false;
	}
	return has_neigh(pod, veth0.index, address, end.mac);
}

/* Services and answers go by that address. */
static bool pod_goes_by(const char *gw)
{
	bool six = strchr(gw, ':');
	const struct route *r = route_to(pod, six ? "fd01::/108" : "10.233.0.0/18", RT_TABLE_MAIN);

	if (!r || !ip_equal(r->gw, ip(gw)))
		return false;
	r = route_to(pod, six ? "::/0" : "0.0.0.0/0", COORDINATOR_REPLY_TABLE);
	return r && ip_equal(r->gw, ip(gw));
}

static bool all_is_whole(void)
{
	return node_is_whole() && end_has("172.31.0.10/32 fd00::10/128") &&
	       pod_reaches("172.31.0.10") && pod_reaches("fd00::10") &&
	       pod_goes_by("172.31.0.10") && pod_goes_by("fd00::10");
}

static void nap(int ms)
{
	mono_sleep_until(mono_in(ms));
}

#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		struct mono late = mono_in(LATE_MS);                                               \
		while (!(condition)) {                                                             \
			if (mono_passed(late))                                                     \
				fail_msg("in vain: %s", #condition);                               \
			nap(5);                                                                    \
		}                                                                                  \
	} while (0)

static void start(void)
{
	OK(reconcile_start(&config, &reconcile, &e));
}

/* How often the log has this. */
static unsigned int said(const char *text)
{
	AUTO_STR log = STR_INIT;
	unsigned int n = 0;

	OK(file_read(log_path, 1 << 20, &log, &e));
	for (const char *p = log.data; (p = strstr(p, text)); p += strlen(text))
		n++;
	return n;
}

static bool recorded(const char *list)
{
	AUTO_DATAPATH_RECORD r = { .container_id = NULL };
	AUTO_STR text = STR_INIT;

	if (datapath_record_read(folder, CID, "eth0", &r, &e) < 0)
		return false;
	for (size_t i = 0; i < r.n_node_ips; i++)
		str_addf(&text, "%s%s", i ? " " : "", ip_str(r.node_ips[i]).s);
	return streq(text.data, list);
}

static void what_is_missing_at_the_start_is_made(void **state)
{
	AUTO_STR text = STR_INIT;

	(void)state;
	assert_false(node_is_whole());
	start();
	WAIT_FOR(all_is_whole());
	WAIT_FOR(said(": made") + said(": set\n") == 18);
	metrics_render(metrics, &text);
	assert_non_null(strstr(text.data, "\nspiderpool_datapath_repairs_total 18\n"));
	assert_int_equal(said("container 0123456789abc, eth0: on the node IPv4 rule 1000 to table "
	                      "500 was missing: made"),
	                 1);
	assert_int_equal(said(" warn"), 0);
}

/* A whole round is over: what another boot left is removed at the begin of each. */
static void a_round_passes(void)
{
	struct datapath_record other = record;

	other.container_id = "another";
	other.boot_id = "another boot";
	for (int i = 0; i < 2; i++) {
		AUTO_FREE char *path = xasprintf("%s/datapath/another-eth0.json", folder);

		OK(datapath_record_write(folder, &other, &e));
		WAIT_FOR(access(path, F_OK) < 0);
	}
}

static void flush_rules(void)
{
	for (int family = 4; family <= 6; family += 2) {
		const struct rule r = { .family = family,
			                .priority = COORDINATOR_RULE_PRIORITY,
			                .table = TABLE };

		OK(rule_del(host, &r, &e));
	}
}

static void flush_routes(void)
{
	const char *const all[] = { "172.31.0.77/32", "fd00::77/128" };

	for (size_t i = 0; i < 2; i++) {
		const struct route r = { .dst = cidr(all[i]), .table = TABLE };

		OK(route_del(host, &r, &e));
	}
}

static void flush_neighs(void)
{
	OK(neigh_del(host, end.index, ip("172.31.0.77"), &e));
	OK(neigh_del(host, end.index, ip("fd00::77"), &e));
}

static void set_down(void)
{
	struct nl_req r;
	struct ifinfomsg *h;

	nl_req_init(&r, RTM_NEWLINK, 0, sizeof(*h));
	h = nl_header(&r);
	h->ifi_index = end.index;
	h->ifi_change = IFF_UP;
	OK(nl_ack(host, &r, &e));
}

static void what_is_flushed_comes_back(void **state)
{
	void (*const flush[])(void) = { flush_rules, flush_routes, flush_neighs, set_down };

	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	for (size_t i = 0; i < ARRAY_LEN(flush); i++) {
		/* it is this change that has to wake it, not one of before */
		nap(4 * RECONCILE_SETTLE_MS);
		flush[i]();
		WAIT_FOR(all_is_whole());
	}
	assert_int_equal(said("on the node interface " END " was down: set up"), 1);
	assert_int_equal(said(" warn"), 0);
}

/* Further pods, in the same namespace. */
#define OTHERS 20

static void add_other(unsigned int i, struct link *out)
{
	AUTO_FREE char *id = xasprintf("other%02u", i);
	AUTO_FREE char *peer = xasprintf("peer%02u", i);
	AUTO_FREE char *link = xasprintf("veth%s", id);
	AUTO_FREE char *address = xasprintf("172.31.1.%u", i);
	struct veth_spec pair = { .name = peer,
		                  .peer = link,
		                  .mac = veth0.mac,
		                  .peer_mac = end.mac,
		                  .peer_ns = host_ns };
	struct ip other_ip = ip(address);
	struct datapath_record other = record;

	OK(link_add_veth(pod, &pair, NULL, &e));
	up(host, link, out);
	other.container_id = id;
	snprintf(other.host_link, sizeof(other.host_link), "%s", link);
	other.host_index = out->index;
	other.pod_ips = &other_ip;
	other.n_pod_ips = other.n_node_ips = 1;
	OK(datapath_record_write(folder, &other, &e));
}

static bool other_is_whole(unsigned int i, const struct link *l)
{
	AUTO_FREE char *dst = xasprintf("172.31.1.%u", i);
	AUTO_FREE char *net = xasprintf("%s/32", dst);

	return route_to(host, net, TABLE) && has_neigh(host, l->index, dst, veth0.mac);
}

static void nothing_more_happens(void)
{
	unsigned int before;

	do {
		before = files_read + namespaces_opened + lists;
		nap(4 * RECONCILE_SETTLE_MS);
	} while (before != files_read + namespaces_opened + lists);
	files_read = namespaces_opened = lists = ends = 0;
}

#define LOOKED_AT(n_files, n_namespaces, n_lists)                                                  \
	do {                                                                                       \
		nap(4 * RECONCILE_SETTLE_MS);                                                      \
		assert_in_range(files_read, 0, n_files);                                           \
		assert_in_range(namespaces_opened, 0, n_namespaces);                               \
		assert_in_range(lists, 0, n_lists);                                                \
		nothing_more_happens();                                                            \
	} while (0)

/* Whatever the number of the others: a list of addresses is allowed for a pair that was not known
 * yet. */
static void other_pods_are_not_looked_at(void **state)
{
	const struct neigh own = {
		.index = end.index, .ip = ip("fe80::1"), .mac = veth0.mac, .state = NUD_REACHABLE
	};
	struct link pairs[OTHERS + 1];

	(void)state;
	for (unsigned int i = 0; i < OTHERS; i++)
		add_other(i + 1, &pairs[i]);
	start();
	WAIT_FOR(node_is_whole() && other_is_whole(OTHERS, &pairs[OTHERS - 1]));
	nothing_more_happens();
	add_other(OTHERS + 1, &pairs[OTHERS]);
	WAIT_FOR(other_is_whole(OTHERS + 1, &pairs[OTHERS]));
	LOOKED_AT(2, 0, 1);
	flush_neighs();
	WAIT_FOR(node_is_whole());
	LOOKED_AT(0, 0, 0);
	flush_routes();
	WAIT_FOR(node_is_whole());
	LOOKED_AT(0, 0, 0);
	/* as the kernel's own come and go */
	OK(neigh_replace(host, &own, &e));
	OK(neigh_del(host, end.index, own.ip, &e));
	nap(4 * RECONCILE_SETTLE_MS);
	assert_int_equal(ends, 0);
	LOOKED_AT(0, 0, 0);
	set_down();
	WAIT_FOR(node_is_whole());
	LOOKED_AT(0, 0, 0);
	OK(link_del(host, pairs[OTHERS].index, &e));
	OK(datapath_record_remove(folder, "other21", "eth0", &e));
	LOOKED_AT(2, 1, 1);
	/* what the node is like is still known */
	OK(addr_add(host, card.index, cidr("10.9.0.1/24"), &e));
	WAIT_FOR(pod_reaches("10.9.0.1"));
	for (unsigned int i = 0; i < OTHERS; i++)
		assert_true(other_is_whole(i + 1, &pairs[i]));
	assert_int_equal(said(" warn"), 0);
}

static void other_programs_routes_stay(void **state)
{
	struct route other = { .dst = cidr("172.31.0.77/32"),
		               .oif = card.index,
		               .scope = RT_SCOPE_LINK,
		               .table = TABLE };
	struct route bystander = { .dst = cidr("10.1.2.3/32"),
		                   .oif = card.index,
		                   .scope = RT_SCOPE_LINK,
		                   .table = TABLE };
	struct neigh n = { .index = end.index,
		           .ip = ip("fd00::77"),
		           .mac = mac("02:00:00:00:00:99"),
		           .state = NUD_PERMANENT };
	const struct route *r;

	(void)state;
	config.look_ms = 50;
	OK(route_add(host, &other, ROUTE_CREATE, &e));
	OK(route_add(host, &bystander, ROUTE_CREATE, &e));
	OK(neigh_replace(host, &n, &e));
	start();
	WAIT_FOR(has_rule(6) && pod_reaches("172.31.0.10"));
	a_round_passes();
	r = route_to(host, "172.31.0.77/32", TABLE);
	assert_int_equal(r->oif, card.index);
	assert_non_null(route_to(host, "10.1.2.3/32", TABLE));
	assert_true(has_neigh(host, end.index, "fd00::77", n.mac));
	/* once, in one line */
	assert_int_equal(said(" warn"), 1);
	assert_int_equal(said("on the node neighbour fd00::77: another program's neighbour"), 1);
	assert_int_equal(said("on the node route to 172.31.0.77/32 in table 500: another "
	                      "program's route"),
	                 1);
	OK(route_del(host, &other, &e));
	OK(neigh_del(host, end.index, ip("fd00::77"), &e));
	WAIT_FOR(node_is_whole());
}

static void new_addresses_reach_the_pod(void **state)
{
	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	OK(addr_add(host, card.index, cidr("10.9.0.1/24"), &e));
	OK(addr_add(host, card.index, cidr("fd09::1/64"), &e));
	WAIT_FOR(pod_reaches("10.9.0.1") && pod_reaches("fd09::1"));
	WAIT_FOR(recorded("172.31.0.10 10.9.0.1 fd00::10 fd09::1"));
	assert_true(all_is_whole());
	OK(addr_del(host, card.index, cidr("10.9.0.1/24"), &e));
	OK(addr_del(host, card.index, cidr("fd09::1/64"), &e));
	WAIT_FOR(!route_to(pod, "10.9.0.1/32", RT_TABLE_MAIN) &&
	         !route_to(pod, "10.9.0.1/32", record.table) &&
	         !route_to(pod, "fd09::1/128", record.table) &&
	         !has_neigh(pod, veth0.index, "10.9.0.1", end.mac) &&
	         !has_neigh(pod, veth0.index, "fd09::1", end.mac));
	WAIT_FOR(recorded("172.31.0.10 fd00::10"));
	assert_true(all_is_whole());
	assert_int_equal(said(" warn"), 0);
}

/* Of what the node sends to the pod. */
static struct ip node_source(void)
{
	const struct route *r = route_to(host, "172.31.0.77/32", TABLE);

	return r ? r->prefsrc : ip("127.0.0.1");
}

static void the_gateway_may_go(void **state)
{
	(void)state;
	OK(addr_add(host, card.index, cidr("172.31.0.11/20"), &e));
	OK(addr_add(host, card.index, cidr("fd00::11/64"), &e));
	start();
	WAIT_FOR(all_is_whole() && pod_reaches("172.31.0.11") && pod_reaches("fd00::11"));
	OK(addr_del(host, card.index, cidr("fd00::10/64"), &e));
	OK(addr_del(host, card.index, cidr("172.31.0.10/20"), &e));
	/* without promote_secondaries the others of the subnet go as well */
	IGNORE(addr_add(host, card.index, cidr("172.31.0.11/20"), NULL));
	WAIT_FOR(pod_goes_by("172.31.0.11") && pod_goes_by("fd00::11"));
	WAIT_FOR(!pod_reaches("172.31.0.10") && !pod_reaches("fd00::10"));
	WAIT_FOR(recorded("172.31.0.11 fd00::11"));
	WAIT_FOR(node_is_whole() && end_has("172.31.0.11/32 fd00::11/128"));
	assert_string_equal(ip_str(node_source()).s, "172.31.0.11");
}

/* A lease that ran out, and comes back. */
static void without_any_address_the_pod_is_left_alone(void **state)
{
	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	OK(addr_del(host, card.index, cidr("172.31.0.10/20"), &e));
	a_round_passes();
	assert_true(end_has("172.31.0.10/32 fd00::10/128"));
	assert_string_equal(ip_str(node_source()).s, "172.31.0.10");
	assert_true(pod_reaches("172.31.0.10") && pod_goes_by("172.31.0.10"));
	OK(addr_add(host, card.index, cidr("172.31.0.10/20"), &e));
	WAIT_FOR(all_is_whole());
	assert_true(recorded("172.31.0.10 fd00::10"));
}

static void what_the_pod_has_of_its_own_stays(void **state)
{
	const struct route own[] = {
		{ .dst = cidr("10.9.0.1/32"),
		  .oif = veth0.index,
		  .scope = RT_SCOPE_LINK,
		  .table = RT_TABLE_MAIN },
		{ .dst = cidr("10.233.0.0/18"),
		  .oif = veth0.index,
		  .gw = ip("10.9.0.1"),
		  .table = RT_TABLE_MAIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		OK(route_add(pod, &own[i], ROUTE_CREATE, &e));
	start();
	WAIT_FOR(node_is_whole() && pod_reaches("172.31.0.10"));
	WAIT_FOR(said("in the pod route to 10.233.0.0/18 via 10.9.0.1 in table 254: another "
	              "program's route") == 1);
	assert_string_equal(ip_str(route_to(pod, "10.233.0.0/18", RT_TABLE_MAIN)->gw).s,
	                    "10.9.0.1");
	OK(addr_add(host, card.index, cidr("10.8.0.1/24"), &e));
	WAIT_FOR(pod_reaches("10.8.0.1"));
	assert_non_null(route_to(pod, "10.9.0.1/32", RT_TABLE_MAIN));
}

static void a_new_record_is_looked_at(void **state)
{
	(void)state;
	OK(datapath_record_remove(folder, CID, "eth0", &e));
	start();
	a_round_passes();
	OK(datapath_record_write(folder, &record, &e));
	WAIT_FOR(node_is_whole());
	/* its ADD has just made what is in the pod */
	assert_false(pod_reaches("172.31.0.10"));
}

static void the_dead_are_buried(void **state)
{
	AUTO_FREE char *hidden = xasprintf("%s/hidden", folder);

	(void)state;
	config.look_ms = 50;
	start();
	WAIT_FOR(all_is_whole());
	/* from a container not every path can be seen */
	assert_int_equal(rename(netns, hidden), 0);
	a_round_passes();
	assert_true(recorded("172.31.0.10 fd00::10"));
	assert_true(node_is_whole());
	assert_int_equal(rename(hidden, netns), 0);
	OK(link_del(host, end.index, &e));
	a_round_passes();
	assert_true(recorded("172.31.0.10 fd00::10"));
	assert_int_equal(unlink(netns), 0);
	WAIT_FOR(!recorded("172.31.0.10 fd00::10"));
	WAIT_FOR(!has_rule(4) && !has_rule(6));
	assert_int_equal(said("IPv4 rule 1000 to table 500 is removed: no pod is left"), 1);
}

static void remove_record(void)
{
	OK(datapath_record_remove(folder, CID, "eth0", &e));
}

static bool is_recorded(void)
{
	return recorded("172.31.0.10 fd00::10");
}

/* The pod's second interface: its rules are the ADD's, and nobody makes them again. */
static struct rule rule_of(const char *address)
{
	return (struct rule){ .family = strchr(address, ':') ? 6 : 4,
		              .priority = 998,
		              .table = record.table,
		              .src = cidr_host(ip(address)) };
}

static void it_is_a_further_one(void)
{
	const char *const all[] = { "172.31.0.77", "fd00::77" };

	record.first = false;
	OK(datapath_record_write(folder, &record, &e));
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct rule r = rule_of(all[i]);

		OK(rule_add(pod, &r, &e));
	}
}

/* What the DEL of a further interface does there, by sockets of its own: the thread may be it. */
static void a_del_in_the_pod(void)
{
	const char *const all[] = { "172.31.0.77", "fd00::77" };
	AUTO_NL *nl = NULL;

	if (__real_netns_nl(pod_ns, NETLINK_ROUTE, &nl, NULL) < 0)
		abort();
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct rule rule = rule_of(all[i]);
		AUTO_FREE struct route *v = NULL;
		size_t n = 0;

		IGNORE(rule_del(nl, &rule, NULL));
		IGNORE(route_list(nl, rule.family, record.table, &v, &n, NULL));
		for (size_t k = 0; k < n; k++)
			IGNORE(route_del(nl, &v[k], NULL));
	}
}

static void a_del_on_the_node(void)
{
	AUTO_NL *nl = NULL;

	if (__real_netns_nl(host_ns, NETLINK_ROUTE, &nl, NULL) < 0)
		abort();
	for (size_t i = 0; i < 2; i++) {
		const struct route r = { .dst = cidr_host(pod_ips[i]), .table = TABLE };

		IGNORE(route_del(nl, &r, NULL));
	}
}

#define COMES_BACK "container 0123456789abc, eth0: its record was removed, and not by a DEL"
#define DOUBT "its record was removed, and nothing tells whether by a DEL"

/* Whatever takes a running pod's record away: it is no reason to touch what the pod lives by. */
static void comes_back(void (*lose)(void))
{
	unsigned int made;

	WAIT_FOR(all_is_whole());
	made = said("was missing");
	for (int i = 0; i < 3; i++) {
		lose();
		WAIT_FOR(is_recorded());
	}
	a_round_passes();
	assert_true(is_recorded() && all_is_whole());
	/* and never was not */
	assert_int_equal(said("was missing"), made);
	assert_int_equal(said(COMES_BACK ": written again"), 1);
	assert_int_equal(said(" warn"), 1);
	flush_routes();
	WAIT_FOR(all_is_whole());
}

static void a_lost_record_comes_back(void **state)
{
	(void)state;
	start();
	comes_back(remove_record);
	/* now it is a DEL */
	OK(link_del(host, end.index, &e));
	remove_record();
	WAIT_FOR(!has_rule(4) && !has_rule(6));
	a_round_passes();
	assert_false(is_recorded());
	assert_int_equal(said(" warn"), 1);
}

static void so_does_one_of_a_further_interface(void **state)
{
	(void)state;
	it_is_a_further_one();
	start();
	comes_back(remove_record);
	a_del_on_the_node();
	a_del_in_the_pod();
	remove_record();
	WAIT_FOR(!route_to(host, "172.31.0.77/32", TABLE) &&
	         !route_to(host, "fd00::77/128", TABLE));
	WAIT_FOR(!has_rule(4) && !has_rule(6));
	a_round_passes();
	assert_false(is_recorded());
	assert_int_equal(said(" warn"), 1);
}

/* Its interfaces have no rules. */
static void so_does_one_without_tuned_routes(void **state)
{
	(void)state;
	record.first = record.tuned = false;
	OK(datapath_record_write(folder, &record, &e));
	start();
	comes_back(remove_record);
}

static void remove_folder(void)
{
	AUTO_FREE char *command = xasprintf("rm -r %s/datapath", folder);

	assert_int_equal(system(command), 0);
}

static void a_folder_comes_back(void **state)
{
	(void)state;
	start();
	comes_back(remove_folder);
}

/* It is found by a look at everything. */
static void spoil(void)
{
	AUTO_FREE char *path = xasprintf("%s/datapath/" CID "-eth0.json", folder);

	OK(file_write(path, "", 0, 0600, 0, &e));
}

static void an_emptied_one_is_written_again(void **state)
{
	AUTO_FREE char *bad = xasprintf("%s/datapath/" CID "-eth0.json.bad", folder);

	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	spoil();
	WAIT_FOR(is_recorded());
	assert_int_equal(access(bad, F_OK), 0);
	a_round_passes();
	assert_true(all_is_whole());
	assert_int_equal(said(COMES_BACK), 1);
}

/* A full file system. */
static void what_cannot_be_written_is_kept(void **state)
{
	(void)state;
	config.look_ms = 50;
	start();
	WAIT_FOR(all_is_whole());
	cannot_create = true;
	remove_record();
	WAIT_FOR(said(COMES_BACK ": create: No space left on device") == 1);
	a_round_passes();
	flush_routes();
	WAIT_FOR(all_is_whole());
	assert_int_equal(said(" warn"), 1);
	cannot_create = false;
	WAIT_FOR(is_recorded());
}

static void in_doubt(bool whole)
{
	WAIT_FOR(said(DOUBT) == 1);
	a_round_passes();
	assert_false(is_recorded());
	assert_int_equal(node_is_whole(), whole);
	assert_int_equal(said(" warn"), 1);
}

static void what_nothing_tells_of_stays(void **state)
{
	AUTO_FREE char *hidden = xasprintf("%s/hidden", folder);

	(void)state;
	it_is_a_further_one();
	start();
	WAIT_FOR(all_is_whole());
	assert_int_equal(rename(netns, hidden), 0);
	remove_record();
	in_doubt(true);
}

/* The pair alone tells of a first interface. */
static void of_a_first_interface_the_pair_tells(void **state)
{
	AUTO_FREE char *hidden = xasprintf("%s/hidden", folder);

	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	assert_int_equal(rename(netns, hidden), 0);
	comes_back(remove_record);
}

static void an_interface_without_its_addresses(void **state)
{
	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	OK(addr_del(pod, veth0.index, cidr("172.31.0.77/32"), &e));
	OK(addr_del(pod, veth0.index, cidr("fd00::77/128"), &e));
	remove_record();
	in_doubt(true);
}

/* Which its DEL takes; but not alone. */
static void an_interface_without_its_rules(void **state)
{
	const struct rule four = rule_of("172.31.0.77"), six = rule_of("fd00::77");

	(void)state;
	it_is_a_further_one();
	start();
	WAIT_FOR(all_is_whole());
	OK(rule_del(pod, &four, &e));
	OK(rule_del(pod, &six, &e));
	remove_record();
	in_doubt(true);
}

static void an_older_record_without_an_index(void **state)
{
	(void)state;
	record.host_index = 0;
	OK(datapath_record_write(folder, &record, &e));
	start();
	WAIT_FOR(all_is_whole());
	remove_record();
	in_doubt(true);
}

static void a_whole_del_of_a_further_one(void)
{
	a_del_on_the_node();
	a_del_in_the_pod();
}

/* It has looked at what is there, and is about to write. */
static void a_del_before_it_is_back(void **state)
{
	(void)state;
	it_is_a_further_one();
	when_it_creates = a_whole_del_of_a_further_one;
	start();
	WAIT_FOR(all_is_whole());
	remove_record();
	WAIT_FOR(said(COMES_BACK) == 1);
	WAIT_FOR(!has_rule(4) && !has_rule(6));
	a_round_passes();
	assert_false(is_recorded() || route_to(host, "172.31.0.77/32", TABLE));
	assert_int_equal(said(" warn"), 1);
}

static void the_pair_goes(void)
{
	AUTO_NL *nl = NULL;

	if (__real_netns_nl(host_ns, NETLINK_ROUTE, &nl, NULL) < 0)
		abort();
	IGNORE(link_del(nl, end.index, NULL));
}

static void a_del_of_the_first_before_it_is_back(void **state)
{
	(void)state;
	when_it_creates = the_pair_goes;
	start();
	WAIT_FOR(all_is_whole());
	remove_record();
	WAIT_FOR(said(COMES_BACK) == 1);
	WAIT_FOR(!has_rule(4) && !has_rule(6));
	a_round_passes();
	assert_false(is_recorded());
}

/* That one was told of no namespace. */
static void a_del_outside_the_pod_before_it_is_back(void **state)
{
	(void)state;
	it_is_a_further_one();
	when_it_creates = a_del_on_the_node;
	start();
	WAIT_FOR(all_is_whole());
	remove_record();
	WAIT_FOR(said(DOUBT) == 1);
	a_round_passes();
	assert_false(is_recorded() || route_to(host, "172.31.0.77/32", TABLE));
}

/* The same container's next pair has that name, and routes that are not the old record's. */
static void the_next_adds_routes_stay(void **state)
{
	struct veth_spec pair = { .name = "veth1", .peer = END, .peer_ns = host_ns };
	struct route next[] = { { .dst = cidr("172.31.0.77/32"), .table = TABLE },
		                { .dst = cidr("fd00::77/128"), .table = TABLE } };
	struct link l;

	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	OK(link_del(host, end.index, &e));
	remove_record();
	pair.mac = mac("0a:00:00:00:00:03");
	pair.peer_mac = mac("0a:00:00:00:00:04");
	OK(link_add_veth(pod, &pair, NULL, &e));
	up(host, END, &l);
	OK(link_set_alias(host, l.index, CID, &e));
	for (size_t i = 0; i < ARRAY_LEN(next); i++) {
		next[i].oif = l.index;
		OK(route_add(host, &next[i], ROUTE_CREATE, &e));
	}
	a_round_passes();
	for (size_t i = 0; i < ARRAY_LEN(next); i++)
		assert_non_null(route_to(host, cidr_str(next[i].dst).s, TABLE));
	assert_false(is_recorded());
	assert_int_equal(said(" warn"), 0);
}

/* Then nothing is known of what there is. */
static void without_records_nothing_is_touched(void **state)
{
	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	reconcile_stop(reconcile);
	remove_record();
	start();
	a_round_passes();
	assert_true(all_is_whole());
	assert_int_equal(said(" warn"), 0);
}

/* As when a round came between the steps of a DEL of a pod's further interface. */
static void what_a_del_missed_goes(void **state)
{
	struct route other = {
		.dst = cidr("10.1.2.3/32"), .oif = end.index, .scope = RT_SCOPE_LINK, .table = TABLE
	};

	(void)state;
	it_is_a_further_one();
	start();
	WAIT_FOR(all_is_whole());
	OK(route_add(host, &other, ROUTE_CREATE, &e));
	a_del_in_the_pod();
	remove_record();
	WAIT_FOR(!route_to(host, "172.31.0.77/32", TABLE) &&
	         !route_to(host, "fd00::77/128", TABLE));
	WAIT_FOR(!has_neigh(host, end.index, "172.31.0.77", veth0.mac) &&
	         !has_neigh(host, end.index, "fd00::77", veth0.mac));
	assert_non_null(route_to(host, "10.1.2.3/32", TABLE));
	a_round_passes();
	assert_false(is_recorded());
	assert_int_equal(said(" warn"), 0);
}

/* The record is read, and the pod entered; between the two there is a DEL. */
static void a_del(void)
{
	a_del_in_the_pod();
	IGNORE(datapath_record_remove(folder, CID, "eth0", NULL));
}

static void a_record_does_not_come_back(void **state)
{
	(void)state;
	it_is_a_further_one();
	/* so that there is something to record */
	OK(addr_add(host, card.index, cidr("10.9.0.1/24"), &e));
	when_it_enters = a_del;
	start();
	WAIT_FOR(said("are now 172.31.0.10, 10.9.0.1") == 1);
	a_round_passes();
	assert_int_equal(
		datapath_record_read(folder, CID, "eth0", &(struct datapath_record){ 0 }, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_false(pod_reaches("10.9.0.1"));
	assert_false(has_rule(4));
	assert_int_equal(said(" warn"), 0);
}

/* What that DEL could not see. */
static void what_is_made_after_a_del_goes(void **state)
{
	(void)state;
	it_is_a_further_one();
	when_it_enters = a_del;
	start();
	WAIT_FOR(said("in the pod route to 172.31.0.10/32 in table 101 was missing: made") == 1);
	WAIT_FOR(!route_to(pod, "172.31.0.10/32", 101) && !route_to(pod, "fd00::10/128", 101));
}

/* The same, and an ADD after it: its record stands. */
static void a_del_and_an_add(void)
{
	struct datapath_record other = record;

	a_del();
	other.n_pod_ips = 1;
	other.n_node_ips = 1;
	IGNORE(datapath_record_write(folder, &other, NULL));
}

static bool recorded_pod_ips(size_t n)
{
	AUTO_DATAPATH_RECORD r = { .container_id = NULL };

	return datapath_record_read(folder, CID, "eth0", &r, &e) == 0 && r.n_pod_ips == n;
}

static void a_newer_record_stands(void **state)
{
	(void)state;
	OK(addr_add(host, card.index, cidr("10.9.0.1/24"), &e));
	when_it_enters = a_del_and_an_add;
	start();
	WAIT_FOR(recorded_pod_ips(1));
	a_round_passes();
	assert_true(recorded_pod_ips(1));
}

/* The record of an ADD that came between is not written over. */
static void a_newer_record_is_not_replaced(void **state)
{
	(void)state;
	when_it_creates = a_del_and_an_add;
	start();
	WAIT_FOR(all_is_whole());
	remove_record();
	WAIT_FOR(recorded_pod_ips(1));
	a_round_passes();
	assert_true(recorded_pod_ips(1));
	assert_int_equal(said(" warn"), 0);
}

static void another_boots_records_go(void **state)
{
	(void)state;
	config.boot_id = "the next boot";
	start();
	WAIT_FOR(!recorded("172.31.0.10 fd00::10"));
	assert_false(node_is_whole());
}

/* As between the steps of a DEL. */
static void without_the_pair_there_is_no_rule(void **state)
{
	(void)state;
	config.look_ms = 50;
	start();
	WAIT_FOR(all_is_whole());
	OK(link_del(host, end.index, &e));
	flush_rules();
	WAIT_FOR(said("on the node interface " END " is gone") == 1);
	a_round_passes();
	assert_false(has_rule(4) || has_rule(6));
	assert_int_equal(said("is gone: only a new pod has one"), 1);
}

static void another_containers_pair_is_not_ours(void **state)
{
	(void)state;
	OK(link_set_alias(host, end.index, "0123456789a-another", &e));
	start();
	WAIT_FOR(said("on the node interface " END " is gone") == 1);
	assert_null(route_to(host, "172.31.0.77/32", TABLE));
	assert_false(pod_reaches("172.31.0.10"));
}

/* Another pod's interface of that name and MAC address, as calico makes it for pods of one name. */
static void in_overlay_mode_the_index_tells(void **state)
{
	struct veth_spec pair = { .name = "eth1", .peer = END, .peer_ns = host_ns };

	(void)state;
	config.look_ms = 50;
	record.overlay = true;
	record.host_index = end.index;
	OK(datapath_record_write(folder, &record, &e));
	start();
	WAIT_FOR(node_is_whole());
	OK(link_del(host, end.index, &e));
	pair.mac = mac("0a:00:00:00:00:01");
	pair.peer_mac = end.mac;
	OK(link_add_veth(host, &pair, NULL, &e));
	up(host, END, &end);
	WAIT_FOR(said("on the node interface " END " is gone") == 1);
	assert_null(route_to(host, "172.31.0.77/32", TABLE));
	assert_int_equal(unlink(netns), 0);
	WAIT_FOR(!recorded("172.31.0.10 fd00::10"));
}

static bool is(const char *key, const char *value)
{
	AUTO_STR now = STR_INIT;

	OK(sysctl_read(-1, key, &now, &e));
	return streq(now.data, value);
}

static void sysctls_are_tuned(void **state)
{
	const struct route advertised = { .dst = cidr("::/0"),
		                          .gw = ip("fd00::1"),
		                          .oif = card.index,
		                          .protocol = 9,
		                          .table = RT_TABLE_MAIN };

	(void)state;
	OK(route_add(host, &advertised, ROUTE_CREATE, &e));
	OK(sysctl_write(-1, "ipv4/conf/all/forwarding", "0", &e));
	OK(sysctl_write(-1, "ipv4/conf/all/rp_filter", "1", &e));
	OK(sysctl_write(-1, "ipv6/conf/all/forwarding", "0", &e));
	OK(sysctl_write(-1, "ipv6/conf/eth0/accept_ra", "1", &e));
	config.look_ms = 50;
	config.tune = true;
	start();
	WAIT_FOR(is("ipv4/conf/all/forwarding", "1") && is("ipv4/conf/all/arp_notify", "1") &&
	         is("ipv4/conf/all/rp_filter", "0") && is("ipv6/conf/all/forwarding", "1"));
	assert_true(is("ipv6/conf/eth0/accept_ra", "2"));
	assert_non_null(route_to(host, "::/0", RT_TABLE_MAIN));
	OK(sysctl_write(-1, "ipv4/conf/all/rp_filter", "2", &e));
	WAIT_FOR(is("ipv4/conf/all/rp_filter", "0"));
	WAIT_FOR(is("ipv6/conf/" END "/accept_ra", "0"));
	assert_int_equal(said("sysctl net/ipv4/conf/all/rp_filter: 0, was 2"), 1);
	assert_int_equal(said("sysctl net/ipv6/conf/all/forwarding: 1, was 0"), 1);
	/* which only the first namespace has */
	assert_true(said("sysctl net/ipv4/neigh/default/gc_thresh3 is not tuned") <= 1);
}

static void ipv6_comes_back(void **state)
{
	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	nap(4 * RECONCILE_SETTLE_MS);
	OK(sysctl_write(-1, "ipv6/conf/" END "/disable_ipv6", "1", &e));
	WAIT_FOR(said("sysctl net/ipv6/conf/" END "/disable_ipv6: 0") == 1);
	WAIT_FOR(all_is_whole());
	assert_int_equal(said(" warn"), 0);
}

/* That is no missing right. */
static void a_pod_without_ipv6(void **state)
{
	(void)state;
	start();
	WAIT_FOR(all_is_whole());
	OK(sysctl_write(pod_ns, "ipv6/conf/veth0/disable_ipv6", "1", &e));
	OK(addr_add(host, card.index, cidr("fd09::1/64"), &e));
	WAIT_FOR(said("in the pod route to fd09::1/128 in table 101: add route to fd09::1/128") ==
	         1);
	assert_int_equal(said("CAP_NET_ADMIN"), 0);
	OK(addr_add(host, card.index, cidr("10.9.0.1/24"), &e));
	WAIT_FOR(pod_reaches("10.9.0.1"));
}

/* A pod may have as many routes as it likes; it is that pod's own damage. */
static void a_pod_with_too_many_routes(void **state)
{
	struct route r = { .oif = veth0.index, .scope = RT_SCOPE_LINK, .table = 77 };

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		r.dst = cidr("100.64.0.0/32");
		r.dst.ip.bytes[1] += (uint8_t)(i >> 16);
		r.dst.ip.bytes[2] = (uint8_t)(i >> 8);
		r.dst.ip.bytes[3] = (uint8_t)i;
		OK(route_add(pod, &r, ROUTE_CREATE, &e));
	}
	start();
	WAIT_FOR(said("in the pod: list routes: netlink: an answer of more than 4194304 bytes") ==
	         1);
	assert_true(node_is_whole());
	assert_false(pod_reaches("172.31.0.10"));
}

/* A node that has no IPv6 any more is not given some; the rest is kept. */
static void ipv6_stays_off(void **state)
{
	(void)state;
	config.look_ms = 50;
	start();
	WAIT_FOR(all_is_whole());
	OK(sysctl_write(-1, "ipv6/conf/all/disable_ipv6", "1", &e));
	WAIT_FOR(said("IPv6 is off on the node, and its interface " END " stays without it") == 1);
	OK(route_del(host, &(struct route){ .dst = cidr("172.31.0.77/32"), .table = TABLE }, &e));
	WAIT_FOR(route_to(host, "172.31.0.77/32", TABLE));
	a_round_passes();
	assert_true(is("ipv6/conf/" END "/disable_ipv6", "1"));
	assert_int_equal(said(" warn"), 1);
	OK(sysctl_write(-1, "ipv6/conf/all/disable_ipv6", "0", &e));
	OK(addr_add(host, card.index, cidr("fd00::10/64"), &e));
	WAIT_FOR(all_is_whole());
}

/* The kernel says that this one is there when ours is added. */
static void a_rule_that_is_another(void **state)
{
	const struct rule other = { .family = 4,
		                    .priority = COORDINATOR_RULE_PRIORITY,
		                    .table = TABLE,
		                    .src = cidr("10.0.0.0/8") };

	(void)state;
	config.look_ms = 50;
	OK(rule_add(host, &other, &e));
	start();
	WAIT_FOR(said("on the node IPv4 rule 1000 to table 500: rule 1000 to table 500: a rule of "
	              "that priority and table, but with other conditions, stands in its way") ==
	         1);
	a_round_passes();
	assert_int_equal(said(" warn"), 1);
	OK(rule_del(host, &other, &e));
	WAIT_FOR(node_is_whole());
}

/* With the rule, everything of the node would go by it. */
static void a_table_that_is_anothers(void **state)
{
	const struct route other = {
		.dst = cidr("0.0.0.0/0"), .gw = ip("172.31.0.1"), .oif = card.index, .table = TABLE
	};

	(void)state;
	config.look_ms = 50;
	OK(route_add(host, &other, ROUTE_CREATE, &e));
	start();
	WAIT_FOR(said("on the node IPv4 rule 1000 to table 500: table 500 has a route to "
	              "0.0.0.0/0") == 1);
	WAIT_FOR(has_rule(6));
	assert_false(has_rule(4));
	OK(route_del(host, &other, &e));
	WAIT_FOR(node_is_whole());
}

static void sysctls_are_left_alone(void **state)
{
	(void)state;
	OK(sysctl_write(-1, "ipv4/conf/all/forwarding", "0", &e));
	start();
	WAIT_FOR(all_is_whole());
	assert_true(is("ipv4/conf/all/forwarding", "0"));
	reconcile_stop(reconcile);
	config.tune = true;
	config.ipv4 = false;
	OK(sysctl_write(-1, "ipv6/conf/all/forwarding", "0", &e));
	start();
	WAIT_FOR(is("ipv6/conf/all/forwarding", "1"));
	assert_true(is("ipv4/conf/all/forwarding", "0"));
}

static void stopping_nothing_is_fine(void **state)
{
	(void)state;
	reconcile_stop(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_missing_at_the_start_is_made),
		TEST(what_is_flushed_comes_back),
		TEST(other_pods_are_not_looked_at),
		TEST(other_programs_routes_stay),
		TEST(new_addresses_reach_the_pod),
		TEST(the_gateway_may_go),
		TEST(without_any_address_the_pod_is_left_alone),
		TEST(what_the_pod_has_of_its_own_stays),
		TEST(a_new_record_is_looked_at),
		TEST(the_dead_are_buried),
		TEST(a_lost_record_comes_back),
		TEST(so_does_one_of_a_further_interface),
		TEST(so_does_one_without_tuned_routes),
		TEST(a_folder_comes_back),
		TEST(an_emptied_one_is_written_again),
		TEST(what_cannot_be_written_is_kept),
		TEST(what_nothing_tells_of_stays),
		TEST(of_a_first_interface_the_pair_tells),
		TEST(an_interface_without_its_addresses),
		TEST(an_interface_without_its_rules),
		TEST(an_older_record_without_an_index),
		TEST(a_del_before_it_is_back),
		TEST(a_del_of_the_first_before_it_is_back),
		TEST(a_del_outside_the_pod_before_it_is_back),
		TEST(the_next_adds_routes_stay),
		TEST(without_records_nothing_is_touched),
		TEST(what_a_del_missed_goes),
		TEST(a_record_does_not_come_back),
		TEST(what_is_made_after_a_del_goes),
		TEST(a_newer_record_stands),
		TEST(a_newer_record_is_not_replaced),
		TEST(another_boots_records_go),
		TEST(without_the_pair_there_is_no_rule),
		TEST(another_containers_pair_is_not_ours),
		TEST(in_overlay_mode_the_index_tells),
		TEST(ipv6_comes_back),
		TEST(a_pod_without_ipv6),
		TEST(ipv6_stays_off),
		TEST(a_pod_with_too_many_routes),
		TEST(a_rule_that_is_another),
		TEST(a_table_that_is_anothers),
		TEST(sysctls_are_tuned),
		TEST(sysctls_are_left_alone),
		cmocka_unit_test(stopping_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
