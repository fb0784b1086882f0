/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ base/ */
/* libs: mnl */
/*
 * probe_test.c - probes over a pair of veth: the kernel at its other end holds addresses and
 * answers for them, and a child process sends what no kernel would.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/ethernet.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "net/addr.h"
#include "net/netns.h"
#include "net/probe.h"
#include "tests/unit/sandbox.h"

#define OUR_MAC "0a:00:00:00:00:01"
#define PEER_MAC "0a:00:00:00:00:02"
#define OTHER_MAC "0a:00:00:00:00:09"

/* What all attempts take, and less than one family after the other would. */
#define WHOLE_MS (PROBE_ATTEMPTS * PROBE_SPACING_MS)
#define SLACK_MS 200
#define TRIES 5 /* on a busy machine the shortest time is the one that tells */

static int our_ns = -1, peer_ns = -1;
static struct nl *our, *peer;
static struct link link_, other;
static struct err e;

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

/* The kernel drops what is sent before it has noticed, a moment later, that there is a carrier. */
static void wait_until_running(struct nl *nl, int index)
{
	struct mono deadline = mono_in(5000);
	struct link l;

	do {
		assert_false(mono_passed(deadline));
		OK(link_get_index(nl, index, &l, &e));
	} while (!(l.flags & IFF_RUNNING));
}

/* "eth0", without an address, in a namespace of its own, and "peer" in another; the process is in a
 * third. */
static int setup(void **state)
{
	struct veth_spec v = {
		.name = "eth0", .peer = "peer", .mac = mac(OUR_MAC), .peer_mac = mac(PEER_MAC)
	};
	(void)state;
	our_ns = new_ns();
	peer_ns = new_ns();
	move_out();
	OK(netns_nl(our_ns, NETLINK_ROUTE, &our, &e));
	OK(netns_nl(peer_ns, NETLINK_ROUTE, &peer, &e));
	v.peer_ns = peer_ns;
	OK(link_add_veth(our, &v, NULL, &e));
	OK(link_get(our, "eth0", &link_, &e));
	OK(link_get(peer, "peer", &other, &e));
	OK(link_set_up(our, link_.index, &e));
	OK(link_set_up(peer, other.index, &e));
	wait_until_running(our, link_.index);
	wait_until_running(peer, other.index);
	memset(&e, 0, sizeof(e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(our);
	nl_close(peer);
	close(our_ns);
	close(peer_ns);
	return 0;
}

static void hold(const char *address)
{
	OK(addr_add(peer, other.index, cidr(address), &e));
}

static struct probe address(const char *s)
{
	return (struct probe){ .kind = PROBE_ADDRESS, .target = ip(s) };
}

static struct probe gateway(const char *s, const char *sender)
{
	struct probe p = { .kind = PROBE_GATEWAY, .target = ip(s) };

	if (sender)
		p.sender = ip(sender);
	return p;
}

/* Runs them; the milliseconds that it took. */
static int run(struct probe *v, size_t n)
{
	struct mono begin = mono_now();

	OK(probe_run(our_ns, &link_, v, n, mono_in(5000), &e));
	return (int)(mono_now().ms - begin.ms);
}

/* The same, but it takes min to max milliseconds. */
static void run_in(struct probe *v, size_t n, int min, int max)
{
	AUTO_FREE struct probe *first = xcalloc(n, sizeof(*v));
	int ms = 0;

	memcpy(first, v, n * sizeof(*v));
	for (int i = 0; i < TRIES; i++) {
		memcpy(v, first, n * sizeof(*v));
		ms = run(v, n);
		assert_true(ms >= min);
		if (ms <= max)
			return;
	}
	fail_msg("%d ms are more than %d", ms, max);
}

static void assert_answered(const struct probe *p, const char *by)
{
	if (!p->answered)
		fail_msg("nobody answers for %s", ip_str(p->target).s);
	assert_string_equal(mac_str(p->mac).s, by);
}

static void assert_silent(const struct probe *p)
{
	if (p->answered)
		fail_msg("%s answers for %s", mac_str(p->mac).s, ip_str(p->target).s);
}

/* What arrives at the peer, with its link-layer header. */
static int listen_at_peer(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(ETH_P_ALL),
		                  .sll_ifindex = other.index };
	int fd = -1;

	OK(netns_socket(peer_ns, AF_PACKET, SOCK_RAW, 0, &fd, &e));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The next frame of ours, of that type, at the peer's; 0: there is none. */
static size_t next_frame(int fd, uint16_t type, uint8_t *b, size_t size)
{
	ssize_t n;

	while ((n = recv(fd, b, size, MSG_DONTWAIT)) >= 14)
		if ((b[12] << 8 | b[13]) == type && memcmp(b + 6, link_.mac.b, 6) == 0 &&
		    (type == ETH_P_ARP || (b[20] == 58 && b[54] == 135)))
			return (size_t)n;
	return 0;
}

static void holders_answer(void **state)
{
	struct probe v[] = { address("10.0.0.9"), address("fd00::9") };

	(void)state;
	hold("10.0.0.9/24");
	hold("fd00::9/64");
	run_in(v, 2, 0, WHOLE_MS - 1);
	assert_answered(&v[0], PEER_MAC);
	assert_answered(&v[1], PEER_MAC);
}

static void free_addresses_are_asked_for_three_times(void **state)
{
	struct probe v[] = { address("10.0.0.9"), address("fd00::9"), address("fd00::a:b"),
		             address("10.0.0.10") };
	struct probe_claim c;
	int fd, counts[2] = { 0, 0 };
	uint8_t b[2000];
	size_t n;

	(void)state;
	hold("10.0.0.8/24");
	hold("fd00::8/64");
	fd = listen_at_peer();
	assert_true(run(v, 4) >= WHOLE_MS);
	for (size_t i = 0; i < 4; i++)
		assert_silent(&v[i]);
	while ((n = next_frame(fd, ETH_P_ARP, b, sizeof(b)))) {
		/* to all, from 0.0.0.0, for the target at an unknown place */
		static const uint8_t want[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 10, 0, 0, 0, 0,
			                        1,    8,    6,    0,    1,    8,    0,  6, 4, 0, 1,
			                        10,   0,    0,    0,    0,    1,    0,  0, 0, 0, 0,
			                        0,    0,    0,    0,    0,    10,   0,  0 };

		assert_true(n >= 14 + 28);
		assert_memory_equal(b, want, sizeof(want));
		assert_true(probe_read_arp(b + 14, n - 14, &c) && c.probing);
		counts[0] += ip_equal(c.ip, v[0].target);
		counts[1] += ip_equal(c.ip, v[3].target);
	}
	/* a busy machine may leave no time for the last one */
	assert_in_range(counts[0], 2, 3);
	assert_in_range(counts[1], 2, 3);
	close(fd);
}

static void solicitations_of_ipv6_have_no_sender(void **state)
{
	struct probe v[] = { address("fd00::a:b0c") };
	int fd, count = 0;
	uint8_t b[2000];
	size_t n;

	(void)state;
	fd = listen_at_peer();
	run(v, 1);
	assert_silent(&v[0]);
	while ((n = next_frame(fd, ETH_P_IPV6, b, sizeof(b)))) {
		static const uint8_t group[] = { 0x33, 0x33, 0xff, 0x0a, 0x0b, 0x0c };
		static const uint8_t head[] = { 0x60, 0, 0, 0, 0, 24, 58, 255 };
		static const uint8_t zero[16] = { 0 };
		struct probe_claim c;

		if (memcmp(b + 14 + 40 + 8, v[0].target.bytes, 16) != 0)
			continue; /* the kernel's own */
		count++;
		assert_int_equal(n, 14 + 40 + 24);
		assert_memory_equal(b, group, 6);
		assert_memory_equal(b + 14, head, sizeof(head));
		assert_memory_equal(b + 22, zero, 16);
		assert_memory_equal(b + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\1\xff\x0a\x0b\x0c", 16);
		assert_true(probe_read_nd(b + 14, n - 14, link_.mac, &c) && c.probing);
	}
	assert_in_range(count, 2, 3);
	close(fd);
}

static void gateways_answer_who_has_no_address(void **state)
{
	struct probe v[] = { gateway("10.0.0.1", "10.0.0.9"), gateway("fd00::1", "fd00::9"),
		             gateway("10.0.0.2", "10.0.0.9"), gateway("fd00::2", "fd00::9") };
	struct probe without[] = { gateway("10.0.0.1", NULL), gateway("fd00::1", NULL) };

	(void)state;
	hold("10.0.0.1/24");
	hold("fd00::1/64");
	run_in(v, 2, 0, WHOLE_MS - 1);
	assert_answered(&v[0], PEER_MAC);
	assert_answered(&v[1], PEER_MAC);
	run_in(v + 2, 2, WHOLE_MS, WHOLE_MS + SLACK_MS);
	assert_silent(&v[2]);
	assert_silent(&v[3]);
	run_in(without, 2, 0, WHOLE_MS - 1);
	assert_answered(&without[0], PEER_MAC);
	assert_answered(&without[1], PEER_MAC);
}

/* Who asks tells its MAC: the peer need not ask back, but knows a false neighbour if the address
 * is somebody's. */
static void an_address_asks_only_when_it_is_free(void **state)
{
	struct probe v[] = { gateway("10.0.0.1", "10.0.0.9"), address("10.0.0.9"),
		             gateway("fd00::1", "fd00::9"), address("fd00::9") };
	struct probe again[] = { v[0], v[1], v[2], v[3] };
	struct probe taken[] = { gateway("10.0.0.1", "10.0.0.8"), address("10.0.0.8"),
		                 gateway("fd00::1", "fd00::8"), address("fd00::8") };
	struct probe_claim c;
	uint8_t b[2000];
	size_t n, probes = 0, asked = 0;
	int fd;

	(void)state;
	hold("10.0.0.1/24");
	hold("fd00::1/64");
	fd = listen_at_peer();
	assert_true(run(v, 4) >= WHOLE_MS);
	assert_answered(&v[0], PEER_MAC);
	assert_silent(&v[1]);
	assert_answered(&v[2], PEER_MAC);
	assert_silent(&v[3]);
	while ((n = next_frame(fd, ETH_P_ARP, b, sizeof(b)))) {
		assert_true(probe_read_arp(b + 14, n - 14, &c));
		if (c.probing)
			probes++;
		else
			asked++;
		assert_true(c.probing || probes == 3);
		assert_true(ip_equal(c.ip, v[1].target));
	}
	assert_int_equal(probes, 3);
	assert_true(asked);
	run_in(again, 4, WHOLE_MS, WHOLE_MS + SLACK_MS);
	while (next_frame(fd, ETH_P_ARP, b, sizeof(b)))
		;

	hold("10.0.0.8/24");
	hold("fd00::8/64");
	run_in(taken, 4, 0, WHOLE_MS - 1);
	assert_answered(&taken[1], PEER_MAC);
	assert_answered(&taken[3], PEER_MAC);
	assert_silent(&taken[0]);
	assert_silent(&taken[2]);
	while ((n = next_frame(fd, ETH_P_ARP, b, sizeof(b))))
		assert_true(probe_read_arp(b + 14, n - 14, &c) && c.probing);
	close(fd);
}

/* A child that sends these frames at the peer's end again and again. */
struct frame {
	size_t len;
	uint8_t b[200];
};

static pid_t flood(const struct frame *v, size_t n)
{
	int fd = listen_at_peer();
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0) {
		close(fd);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (size_t i = 0; i < n; i++)
			IGNORE(send(fd, v[i].b, v[i].len, 0) < 0);
		poll(NULL, 0, 2);
	}
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct frame ethernet(const char *from, uint16_t type)
{
	struct frame f = { .len = 14 };

	memset(f.b, 0xff, 6);
	memcpy(f.b + 6, mac(from).b, 6);
	f.b[12] = (uint8_t)(type >> 8);
	f.b[13] = (uint8_t)type;
	return f;
}

static struct frame arp(int op, const char *from, const char *sender, const char *target)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0 };
	struct frame f = ethernet(from, ETH_P_ARP);

	f.len += 28;
	memcpy(f.b + 14, head, sizeof(head));
	f.b[21] = (uint8_t)op;
	memcpy(f.b + 22, mac(from).b, 6);
	memcpy(f.b + 28, ip(sender).bytes, 4);
	memcpy(f.b + 38, ip(target).bytes, 4);
	return f;
}

static void sum_up(struct frame *f)
{
	size_t len = f->len - 14 - 40;
	uint32_t sum = (uint32_t)len + 58;

	f->b[18] = (uint8_t)(len >> 8);
	f->b[19] = (uint8_t)len;
	f->b[56] = f->b[57] = 0;
	for (size_t i = 22; i < f->len; i += 2)
		sum += (uint32_t)(f->b[i] << 8 | f->b[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	f->b[56] = (uint8_t)(~sum >> 8);
	f->b[57] = (uint8_t)~sum;
}

/* An advertisement (136) or a solicitation (135) to all nodes, without options. */
static struct frame nd(int type, const char *from, const char *source, const char *target)
{
	struct frame f = ethernet(from, ETH_P_IPV6);

	f.len += 40 + 24;
	memcpy(f.b, "\x33\x33\0\0\0\1", 6);
	f.b[14] = 0x60;
	f.b[20] = 58;
	f.b[21] = 255;
	memcpy(f.b + 22, ip(source).bytes, 16);
	memcpy(f.b + 38, ip("ff02::1").bytes, 16);
	f.b[54] = (uint8_t)type;
	memcpy(f.b + 62, ip(target).bytes, 16);
	sum_up(&f);
	return f;
}

static void add_option(struct frame *f, uint8_t type, uint8_t length, const char *address_)
{
	f->b[f->len] = type;
	f->b[f->len + 1] = length;
	memcpy(f->b + f->len + 2, mac(address_).b, 6);
	f->len += 8;
	sum_up(f);
}

static bool reads(const struct frame *f, struct probe_claim *c)
{
	struct mac from;

	memcpy(from.b, f->b + 6, 6);
	return f->b[12] == 8 ? probe_read_arp(f->b + 14, f->len - 14, c)
	                     : probe_read_nd(f->b + 14, f->len - 14, from, c);
}

/* Spoils the byte at `at`, as seen from the header behind Ethernet's. */
static struct frame spoiled(struct frame f, size_t at, uint8_t value, bool again)
{
	f.b[14 + at] = value;
	if (again)
		sum_up(&f);
	return f;
}

#define NOISE 27

/* What says nothing of 10.0.0.9 and fd00::9, and how many that are. */
static void noise(struct frame v[NOISE])
{
	struct frame a = arp(2, OTHER_MAC, "10.0.0.9", "0.0.0.0");
	struct frame n = nd(136, OTHER_MAC, "fd00::9", "fd00::9");
	struct frame option = n;
	size_t k = 0;

	v[k++] = arp(2, OTHER_MAC, "10.0.0.8", "10.0.0.9");
	v[k++] = arp(1, OTHER_MAC, "10.0.0.8", "10.0.0.9");
	v[k++] = arp(1, OTHER_MAC, "0.0.0.0", "10.0.0.8");
	v[k++] = arp(2, OTHER_MAC, "0.0.0.0", "10.0.0.9");
	v[k++] = arp(2, OUR_MAC, "10.0.0.9", "0.0.0.0");
	v[k++] = spoiled(a, 0, 1, false);
	v[k++] = spoiled(a, 1, 2, false);
	v[k++] = spoiled(a, 3, 1, false);
	v[k++] = spoiled(a, 4, 5, false);
	v[k++] = spoiled(a, 5, 16, false);
	v[k++] = spoiled(a, 7, 3, false);
	v[k++] = spoiled(a, 8, 0x0b, false);
	v[k] = a;
	v[k++].len--;
	v[k++] = nd(136, OTHER_MAC, "fd00::8", "fd00::8");
	v[k++] = nd(135, OTHER_MAC, "::", "fd00::8");
	v[k++] = nd(135, OTHER_MAC, "fd00::8", "fd00::9");
	v[k++] = nd(136, OUR_MAC, "fd00::9", "fd00::9");
	v[k++] = spoiled(n, 0, 0x50, false);
	v[k++] = spoiled(n, 7, 254, false);
	v[k++] = spoiled(n, 5, 25, false);
	v[k++] = spoiled(n, 42, 0xaa, false); /* checksum */
	v[k++] = spoiled(n, 41, 1, true);     /* code */
	v[k++] = spoiled(n, 44, 0x40, true);  /* solicited, to all */
	v[k++] = spoiled(n, 40, 134, true);
	add_option(&option, 2, 0, OTHER_MAC);
	v[k++] = option;
	option = n;
	add_option(&option, 2, 2, OTHER_MAC);
	v[k++] = option;
	option = n;
	add_option(&option, 2, 1, "01:00:5e:00:00:01");
	v[k++] = option;
	assert_int_equal(k, NOISE);
}

static void noise_is_no_answer(void **state)
{
	struct probe v[] = { address("10.0.0.9"), address("fd00::9"), gateway("10.0.0.9", NULL),
		             gateway("fd00::9", NULL) };
	struct frame f[NOISE];
	pid_t pid;

	(void)state;
	noise(f);
	pid = flood(f, NOISE);
	run_in(v, 4, WHOLE_MS, WHOLE_MS + SLACK_MS);
	end(pid);
	for (size_t i = 0; i < 4; i++)
		assert_silent(&v[i]);
}

/* The reader alone: what is cut anywhere says nothing, and so does each frame of the noise that is
 * not simply about somebody else. */
static void frames_are_read_carefully(void **state)
{
	struct frame good[] = { arp(2, OTHER_MAC, "10.0.0.9", "0.0.0.0"),
		                nd(136, OTHER_MAC, "fd00::9", "fd00::9"),
		                nd(136, OTHER_MAC, "fd00::9", "fd00::9") };
	struct probe_claim c;
	struct frame f;

	(void)state;
	add_option(&good[2], 2, 1, PEER_MAC);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(reads(&good[i], &c));
		assert_false(c.probing);
		assert_string_equal(mac_str(c.mac).s, i == 2 ? PEER_MAC : OTHER_MAC);
		assert_true(ip_equal(c.ip, ip(i ? "fd00::9" : "10.0.0.9")));
		/* padded by the link */
		f = good[i];
		f.len += 6;
		assert_true(reads(&f, &c));
		for (f.len = 14; f.len < good[i].len; f.len++) {
			/* a buffer of its own: the sanitizer sees the byte behind */
			AUTO_FREE uint8_t *b = xmalloc(f.len - 14 + 1);

			memcpy(b, f.b + 14, f.len - 14);
			b[f.len - 14] = 0;
			assert_false(i ? probe_read_nd(b, f.len - 14, mac(OTHER_MAC), &c)
			               : probe_read_arp(b, f.len - 14, &c));
		}
	}
	/* the length that the header tells may be anything */
	f = good[2];
	for (unsigned int n = 0; n <= 0xffff; n++) {
		f.b[18] = (uint8_t)(n >> 8);
		f.b[19] = (uint8_t)n;
		assert_int_equal(reads(&f, &c), n == 32);
	}
	f = nd(135, OTHER_MAC, "::", "ff02::1:ff00:9");
	assert_false(reads(&f, &c));
	f = nd(135, OTHER_MAC, "::", "fd00::9");
	assert_true(reads(&f, &c) && c.probing);
	f = arp(1, OTHER_MAC, "0.0.0.0", "0.0.0.0");
	assert_false(reads(&f, &c));
	f = arp(1, "00:00:00:00:00:00", "10.0.0.9", "10.0.0.9");
	assert_false(reads(&f, &c));
}

/* A holder that announces itself, and one whose answer names another card. */
static void announcements_are_answers(void **state)
{
	struct probe v[] = { address("10.0.0.9"), address("fd00::9") };
	struct frame f[] = { arp(1, OTHER_MAC, "10.0.0.9", "10.0.0.9"),
		             nd(136, OTHER_MAC, "fe80::9", "fd00::9") };
	pid_t pid;

	(void)state;
	add_option(&f[1], 2, 1, "0a:00:00:00:00:0a");
	pid = flood(f, 2);
	run_in(v, 2, 0, WHOLE_MS - 1);
	end(pid);
	assert_answered(&v[0], OTHER_MAC);
	assert_answered(&v[1], "0a:00:00:00:00:0a");
}

/* Two that want the same address at the same time: neither gets it.  No gateway is such a one. */
static void others_that_probe_are_in_the_way(void **state)
{
	struct probe v[] = { address("10.0.0.9"), address("fd00::9"),
		             gateway("10.0.0.9", "10.0.0.7"), gateway("fd00::9", "fd00::7") };
	struct frame f[] = { arp(1, OTHER_MAC, "0.0.0.0", "10.0.0.9"),
		             nd(135, OTHER_MAC, "::", "fd00::9") };
	pid_t pid;

	(void)state;
	pid = flood(f, 2);
	run(v, 4);
	end(pid);
	assert_answered(&v[0], OTHER_MAC);
	assert_answered(&v[1], OTHER_MAC);
	assert_silent(&v[2]);
	assert_silent(&v[3]);
}

static void deadlines_are_kept(void **state)
{
	struct probe v[] = { address("10.0.0.9"), gateway("fd00::1", NULL) };
	struct frame f[NOISE];
	struct mono begin;
	pid_t pid;

	(void)state;
	noise(f);
	pid = flood(f, NOISE);
	begin = mono_now();
	assert_int_equal(probe_run(our_ns, &link_, v, 2, mono_in(150), &e), -1);
	assert_in_range(mono_now().ms - begin.ms, 150, 149 + 5 * SLACK_MS);
	end(pid);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(e.msg, "probe on eth0: no time left to wait for answers");
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void interruptions_change_nothing(void **state)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 3000 }, { 0, 3000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct probe v[] = { address("10.0.0.9"), address("10.0.0.8"), address("fd00::9") };
	int ms;

	(void)state;
	hold("10.0.0.8/24");
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	ms = run(v, 3);
	setitimer(ITIMER_REAL, &never, NULL);
	assert_in_range(ms, WHOLE_MS, WHOLE_MS + 5 * SLACK_MS);
	assert_silent(&v[0]);
	assert_answered(&v[1], PEER_MAC);
	assert_silent(&v[2]);
}

static void links_that_cannot_send(void **state)
{
	struct probe v[] = { address("10.0.0.9") };
	struct veth_spec pair = { .name = "a0",
		                  .peer = "b0",
		                  .mac = mac(OUR_MAC),
		                  .peer_mac = mac(PEER_MAC),
		                  .peer_ns = -1 };
	struct link down, lo, gone;

	(void)state;
	OK(link_add_veth(our, &pair, NULL, &e));
	OK(link_get(our, "a0", &down, &e));
	assert_int_equal(probe_run(our_ns, &down, v, 1, mono_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, ENETDOWN);
	assert_true(str_starts(e.msg, "probe on a0: "));
	gone = down;
	OK(link_del(our, down.index, &e));
	assert_int_equal(probe_run(our_ns, &gone, v, 1, mono_in(5000), &e), -1);
	assert_int_equal(e.sys, ENODEV);
	lo = link_;
	lo.has_mac = false;
	assert_int_equal(probe_run(our_ns, &lo, v, 1, mono_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	/* nothing to do is no failure */
	OK(probe_run(our_ns, &link_, v, 0, mono_in(0), &e));
}

/* An ipvlan slave of master, up, in a namespace of its own. */
struct slave {
	int ns;
	struct nl *nl;
	struct link link;
};

static struct slave new_slave(struct nl *nl, int master)
{
	struct slave s = { .ns = -1 };

	s.ns = new_ns();
	move_out();
	OK(netns_nl(s.ns, NETLINK_ROUTE, &s.nl, &e));
	OK(link_add_ipvlan(nl, s.ns, s.nl, "slave", &(struct link){ .index = master },
	                   IPVLAN_MODE_L2, 0, 0, &e));
	OK(link_get(s.nl, "slave", &s.link, &e));
	OK(link_set_up(s.nl, s.link.index, &e));
	wait_until_running(s.nl, s.link.index);
	return s;
}

static void slave_release(struct slave *s)
{
	nl_close(s->nl);
	close(s->ns);
}

/* The answers to an ARP probe end at the master, whether the slave is up or not; those to a
 * solicitation are for all nodes. */
static void ipvlan_masters_hear_the_answers(void **state)
{
	struct slave s = new_slave(our, link_.index);
	struct probe v4[] = { address("10.0.0.9"), gateway("10.0.0.9", "10.0.0.7") },
		     again[] = { address("10.0.0.9"), gateway("10.0.0.9", "10.0.0.7") };
	struct probe v6[] = { address("fd00::9") }, v6_again[] = { address("fd00::9") },
		     gw[] = { gateway("fd00::9", "fd00::7") },
		     gw_again[] = { gateway("fd00::9", "fd00::7") };

	(void)state;
	hold("10.0.0.9/24");
	hold("fd00::9/64");
	OK(probe_run(s.ns, &s.link, v4, 2, mono_in(5000), &e));
	assert_silent(&v4[0]);
	assert_silent(&v4[1]);
	OK(probe_run(s.ns, &s.link, v6, 1, mono_in(5000), &e));
	assert_answered(&v6[0], PEER_MAC);
	OK(probe_run(s.ns, &s.link, gw, 1, mono_in(5000), &e));
	assert_silent(&gw[0]);

	run(again, 2);
	assert_answered(&again[0], PEER_MAC);
	assert_answered(&again[1], PEER_MAC);
	run(v6_again, 1);
	assert_answered(&v6_again[0], PEER_MAC);
	run(gw_again, 1);
	assert_answered(&gw_again[0], PEER_MAC);
	slave_release(&s);
}

/* A holder that is a slave itself answers to other masters, and to its own it is the kernel's. */
static void ipvlan_slaves_answer_to_strangers(void **state)
{
	struct slave theirs = new_slave(peer, other.index), sibling = new_slave(our, link_.index);
	struct probe v[] = { address("10.0.0.66"), address("fd00::66"),
		             gateway("10.0.0.66", "10.0.0.7"), gateway("fd00::66", "fd00::7") };
	struct probe own[] = { address("10.0.0.77"), address("fd00::77") };

	(void)state;
	OK(addr_add(theirs.nl, theirs.link.index, cidr("10.0.0.66/24"), &e));
	OK(addr_add(theirs.nl, theirs.link.index, cidr("fd00::66/64"), &e));
	OK(addr_add(sibling.nl, sibling.link.index, cidr("10.0.0.77/24"), &e));
	OK(addr_add(sibling.nl, sibling.link.index, cidr("fd00::77/64"), &e));
	run(v, 4);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		assert_answered(&v[i], PEER_MAC);
	run(own, 2);
	assert_silent(&own[0]);
	assert_silent(&own[1]);
	slave_release(&theirs);
	slave_release(&sibling);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(holders_answer),
		T(free_addresses_are_asked_for_three_times),
		T(solicitations_of_ipv6_have_no_sender),
		T(gateways_answer_who_has_no_address),
		T(an_address_asks_only_when_it_is_free),
		T(noise_is_no_answer),
		T(frames_are_read_carefully),
		T(announcements_are_answers),
		T(others_that_probe_are_in_the_way),
		T(deadlines_are_kept),
		T(interruptions_change_nothing),
		T(links_that_cannot_send),
	};
	const struct CMUnitTest ipvlan[] = {
		T(ipvlan_masters_hear_the_answers),
		T(ipvlan_slaves_answer_to_strangers),
	};
	int failed = cmocka_run_group_tests(tests, group_setup, NULL);

	if (getenv("NET_TEST_IPVLAN"))
		failed += cmocka_run_group_tests(ipvlan, group_setup, NULL);
	return failed;
}
