/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - ARP and neighbour discovery by hand: see probe.h for where and why.
 *
 * Theory of operation: one packet socket per family, of the kind that leaves the link-layer header
 * to the kernel.  A turn sends what is due; between turns one frame at a time is read until the
 * next is due, so that no flood of frames moves a deadline.  Whatever is not understood, not for us
 * or from our own MAC is passed over: everybody on the segment may send anything.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/netns.h"
#include "net/probe.h"

#define ARP_LEN 28
#define IPV6_LEN 40
#define ND_LEN 24 /* a solicitation or advertisement without options */
#define NS_LEN (IPV6_LEN + ND_LEN + 8)
#define FRAME_MAX 1500 /* what is longer is none of it */

#define ICMPV6 58
#define SOLICITATION 135
#define ADVERTISEMENT 136
#define OPTION_SOURCE 1
#define OPTION_TARGET 2

struct run {
	const struct link *link;
	struct probe *v;
	size_t n;
	int arp, nd; /* sockets, -1: not needed */
};

/* Frames. */
static void build_arp(uint8_t b[ARP_LEN], struct mac own, const struct probe *p)
{
	static const uint8_t head[8] = { 0, ARPHRD_ETHER, 8, 0, 6, 4, 0, ARPOP_REQUEST };

	memset(b, 0, ARP_LEN);
	memcpy(b, head, sizeof(head));
	memcpy(b + 8, own.b, 6);
	memcpy(b + 14, p->sender.bytes, 4);
	memcpy(b + 24, p->target.bytes, 4);
}

static struct mac all_nodes(void)
{
	return (struct mac){ { 0x33, 0x33, 0, 0, 0, 1 } };
}

static struct mac solicited_node(struct ip a)
{
	return (struct mac){ { 0x33, 0x33, 0xff, a.bytes[13], a.bytes[14], a.bytes[15] } };
}

/* Of an ICMPv6 message in an IPv6 packet without extension headers; 0 when the one inside is
 * right. */
static uint16_t checksum(const uint8_t *b, size_t len)
{
	uint32_t sum = (uint32_t)(len - IPV6_LEN) + ICMPV6;

	/* the addresses are in front of the message */
	for (size_t i = 8; i < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | (i + 1 < len ? b[i + 1] : 0));
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t build_nd(uint8_t b[NS_LEN], struct mac own, const struct probe *p)
{
	static const uint8_t group[13] = { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff };
	/* who has no address yet shall not tell where it is */
	size_t len = p->sender.family ? NS_LEN : NS_LEN - 8;
	uint16_t sum;

	memset(b, 0, NS_LEN);
	b[0] = 6 << 4;
	b[5] = (uint8_t)(len - IPV6_LEN);
	b[6] = ICMPV6;
	b[7] = 255;
	memcpy(b + 8, p->sender.bytes, 16);
	memcpy(b + 24, group, sizeof(group));
	memcpy(b + 37, p->target.bytes + 13, 3);
	b[IPV6_LEN] = SOLICITATION;
	memcpy(b + IPV6_LEN + 8, p->target.bytes, 16);
	b[IPV6_LEN + ND_LEN] = OPTION_SOURCE;
	b[IPV6_LEN + ND_LEN + 1] = 1;
	memcpy(b + IPV6_LEN + ND_LEN + 2, own.b, 6);
	if (len < NS_LEN)
		memset(b + len, 0, NS_LEN - len);
	sum = checksum(b, len);
	b[IPV6_LEN + 2] = (uint8_t)(sum >> 8);
	b[IPV6_LEN + 3] = (uint8_t)sum;
	return len;
}

static struct ip ip_from(uint8_t family, const uint8_t *b)
{
	struct ip a = { .family = family };

	memcpy(a.bytes, b, ip_bytes(a));
	return a;
}

/* A card's own: neither a group's nor none at all. */
static bool is_card(struct mac m)
{
	static const struct mac none = { { 0 } };

	return !(m.b[0] & 1) && memcmp(&m, &none, sizeof(m)) != 0;
}

bool probe_read_arp(const uint8_t *b, size_t len, struct probe_claim *out)
{
	static const uint8_t head[7] = { 0, ARPHRD_ETHER, 8, 0, 6, 4, 0 };
	struct probe_claim c = { .probing = false };

	if (len < ARP_LEN || memcmp(b, head, sizeof(head)) != 0 ||
	    (b[7] != ARPOP_REQUEST && b[7] != ARPOP_REPLY))
		return false;
	memcpy(c.mac.b, b + 8, 6);
	if (!is_card(c.mac))
		return false;
	c.ip = ip_from(4, b + 14);
	if (ip_is_unspecified(c.ip)) {
		c.ip = ip_from(4, b + 24);
		c.probing = true;
		if (b[7] != ARPOP_REQUEST || ip_is_unspecified(c.ip))
			return false;
	}
	*out = c;
	return true;
}

/* The options of an advertisement are whole; one may hold a MAC that is not the sender's. */
static bool read_options(const uint8_t *b, size_t len, struct mac *mac)
{
	while (len) {
		size_t n = len < 2 ? 0 : (size_t)b[1] * 8;

		if (!n || n > len)
			return false;
		if (b[0] == OPTION_TARGET && n == 8)
			memcpy(mac->b, b + 2, 6);
		b += n;
		len -= n;
	}
	return true;
}

/* The checks of RFC 4861, sections 7.1.1 and 7.1.2. */
bool probe_read_nd(const uint8_t *b, size_t len, struct mac from, struct probe_claim *out)
{
	struct probe_claim c = { .mac = from };
	const uint8_t *m = b + IPV6_LEN;
	struct mac mac = from;
	size_t n;

	if (len < IPV6_LEN + ND_LEN || b[0] >> 4 != 6 || b[6] != ICMPV6 || b[7] != 255)
		return false;
	n = (size_t)b[4] << 8 | b[5]; /* the link may have padded it */
	if (n < ND_LEN || n > len - IPV6_LEN || m[1] != 0 || checksum(b, IPV6_LEN + n) != 0)
		return false;
	c.ip = ip_from(6, m + 8);
	if (ip_is_multicast(c.ip) || !read_options(m + ND_LEN, n - ND_LEN, &mac))
		return false;
	if (m[0] == SOLICITATION) {
		c.probing = true;
		if (!ip_is_unspecified(ip_from(6, b + 8)))
			return false; /* somebody looks for it */
	} else {
		c.mac = mac;
		/* what was asked for is told to the one who asked */
		if (m[0] != ADVERTISEMENT || (b[24] == 0xff && m[4] & 0x40))
			return false;
	}
	if (!is_card(c.mac))
		return false;
	*out = c;
	return true;
}

/* Sockets. */

/* Advertisements and solicitations; a node's other traffic stays in the kernel. */
static int filter_nd(int fd, struct err *e)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMPV6, 0, 4),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IPV6_LEN),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ADVERTISEMENT, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOLICITATION, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, FRAME_MAX + 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return err_sys(e, errno, "filter neighbour discovery");
	return 0;
}

/* The card shall let frames for this group through, whether the kernel wants them or not: where
 * IPv6 was turned off it does not want those for all nodes. */
static int join(int fd, int index, struct mac group, struct err *e)
{
	struct packet_mreq m = { .mr_ifindex = index,
		                 .mr_type = PACKET_MR_MULTICAST,
		                 .mr_alen = 6 };

	memcpy(m.mr_address, group.b, 6);
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof(m)) < 0)
		return err_sys(e, errno, "join %s", mac_str(group).s);
	return 0;
}

static int join_groups(const struct run *r, int fd, struct err *e)
{
	if (join(fd, r->link->index, all_nodes(), e) < 0)
		return -1;
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].target.family == 6 &&
		    join(fd, r->link->index, solicited_node(r->v[i].target), e) < 0)
			return -1;
	return 0;
}

/* Without a protocol nothing arrives before the filter is there, and bind() sets it. */
static int open_socket(int ns, const struct run *r, uint16_t protocol, int *out, struct err *e)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(protocol),
		                  .sll_ifindex = r->link->index };
	AUTO_FD int fd = -1;

	if (netns_socket(ns, AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0, &fd, e) < 0)
		return -1;
	if (protocol == ETH_P_IPV6 && (filter_nd(fd, e) < 0 || join_groups(r, fd, e) < 0))
		return -1;
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return err_sys(e, errno, "bind");
	*out = take_fd(&fd);
	return 0;
}

static int open_sockets(int ns, struct run *r, struct err *e)
{
	bool v4 = false, v6 = false;

	for (size_t i = 0; i < r->n; i++) {
		v4 = v4 || r->v[i].target.family == 4;
		v6 = v6 || r->v[i].target.family == 6;
	}
	if ((v4 && open_socket(ns, r, ETH_P_ARP, &r->arp, e) < 0) ||
	    (v6 && open_socket(ns, r, ETH_P_IPV6, &r->nd, e) < 0))
		return -1;
	return 0;
}

static int send_probe(struct run *r, struct probe *p, struct err *e)
{
	bool v4 = p->target.family == 4;
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(v4 ? ETH_P_ARP : ETH_P_IPV6),
		                  .sll_ifindex = r->link->index,
		                  .sll_halen = 6 };
	struct mac group = solicited_node(p->target);
	uint8_t b[NS_LEN];
	size_t len = ARP_LEN;

	if (v4) {
		memset(to.sll_addr, 0xff, 6);
		build_arp(b, r->link->mac, p);
	} else {
		memcpy(to.sll_addr, group.b, 6);
		len = build_nd(b, r->link->mac, p);
	}
	p->tried++;
	if (sendto(v4 ? r->arp : r->nd, b, len, 0, (const struct sockaddr *)&to, sizeof(to)) >= 0)
		p->sent++;
	else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
		return err_sys(e, errno, "ask for %s", ip_str(p->target).s);
	return 0;
}

/* Turns. */

/* The probe for the address that a gateway's probe will ask from, or NULL. */
static const struct probe *before(const struct run *r, const struct probe *p)
{
	for (size_t i = 0; i < r->n && p->kind == PROBE_GATEWAY; i++)
		if (r->v[i].kind == PROBE_ADDRESS && ip_equal(r->v[i].target, p->sender))
			return &r->v[i];
	return NULL;
}

/* Sends what is due.  *next: when to come again; *open: there is something to wait for. */
static int turn(struct run *r, struct mono *next, bool *open, struct err *e)
{
	struct mono now = mono_now();

	for (size_t i = 0; i < r->n; i++) {
		struct probe *p = &r->v[i];
		const struct probe *first = before(r, p);

		if (p->over)
			continue;
		*open = true;
		if (first && !first->over)
			continue; /* it waits for that one's time */
		if (p->next.ms <= now.ms) {
			if (p->tried == PROBE_ATTEMPTS && !p->sent)
				return err_sys(e, ENOBUFS, "ask for %s", ip_str(p->target).s);
			p->over = p->tried == PROBE_ATTEMPTS || (first && first->answered);
			p->next = (struct mono){ now.ms + PROBE_SPACING_MS };
			if (!p->over && send_probe(r, p, e) < 0)
				return -1;
		}
		*next = mono_min(*next, p->over ? now : p->next);
	}
	return 0;
}

static void match(struct run *r, const struct probe_claim *c)
{
	for (size_t i = 0; i < r->n; i++) {
		struct probe *p = &r->v[i];

		if (p->over || !ip_equal(p->target, c->ip) ||
		    (c->probing && p->kind == PROBE_GATEWAY))
			continue;
		p->answered = true;
		p->over = true;
		p->mac = c->mac;
	}
}

static bool is_own(const struct run *r, const uint8_t *mac)
{
	return memcmp(r->link->mac.b, mac, 6) == 0;
}

static int receive(struct run *r, int fd, struct err *e)
{
	struct sockaddr_ll from = { .sll_family = AF_PACKET };
	socklen_t len = sizeof(from);
	struct probe_claim c;
	uint8_t b[FRAME_MAX];
	struct mac mac;
	ssize_t n = recvfrom(fd, b, sizeof(b), MSG_TRUNC, (struct sockaddr *)&from, &len);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : err_sys(e, errno, "listen");
	if ((size_t)n > sizeof(b) || from.sll_halen != 6 || from.sll_pkttype == PACKET_OUTGOING ||
	    from.sll_pkttype == PACKET_OTHERHOST || is_own(r, from.sll_addr))
		return 0;
	memcpy(mac.b, from.sll_addr, 6);
	if (fd == r->arp ? probe_read_arp(b, (size_t)n, &c) : probe_read_nd(b, (size_t)n, mac, &c))
		if (!is_own(r, c.mac.b))
			match(r, &c);
	return 0;
}

static int wait_and_receive(struct run *r, struct mono until, struct err *e)
{
	struct pollfd fds[] = { { r->arp, POLLIN, 0 }, { r->nd, POLLIN, 0 } };

	if (poll(fds, 2, mono_left_ms(until)) < 0)
		return errno == EINTR ? 0 : err_sys(e, errno, "poll");
	for (size_t i = 0; i < 2; i++)
		if (fds[i].revents && receive(r, fds[i].fd, e) < 0)
			return -1;
	return 0;
}

static int run(struct run *r, struct mono deadline, struct err *e)
{
	for (;;) {
		struct mono next = deadline;
		bool open = false;

		if (turn(r, &next, &open, e) < 0)
			return -1;
		if (!open)
			return 0;
		if (mono_passed(deadline))
			return err_set(e, ERR_TIMEOUT, "no time left to wait for answers");
		if (wait_and_receive(r, next, e) < 0)
			return -1;
	}
}

int probe_run(int ns, const struct link *link, struct probe *v, size_t n, struct mono deadline,
              struct err *e)
{
	struct run r = { link, v, n, -1, -1 };
	int rc = -1;

	if (!link->has_mac)
		err_fill(e, ERR_CONFIG, "it has no MAC address");
	else if (open_sockets(ns, &r, e) == 0)
		rc = run(&r, deadline, e);
	mem_cleanup_fd(&r.arp);
	mem_cleanup_fd(&r.nd);
	return rc < 0 ? err_wrap(e, "probe on %s", link->name) : 0;
}
