/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - does anybody on the segment hold an address, does a gateway answer: ARP (RFC 826, RFC
 * 5227) and neighbour solicitations (RFC 4861, RFC 4862), sent and read by packet sockets.
 *
 * Where to ask from.  The interface may be without an address, so for most it is the interface that
 * will get it, once it is up.  An ipvlan slave is not one of them: the kernel hands a unicast frame
 * to the slave that owns the address it is for, and an answer is for 0.0.0.0, or for the address
 * that no slave has yet; so it ends at the master.  (Only what answers a solicitation without
 * sender is for all nodes, and slaves hear it.)  Ask from the master, in the master's namespace,
 * before the slave has the address: what is sent there reaches the segment but no slave of it, and
 * what no slave owns comes back there.  An address that a sibling slave holds is therefore never
 * answered for; the kernel itself refuses that one (addr_add(), EADDRINUSE).  All of them have the
 * master's MAC, so nothing that carries it counts as an answer.  All this is measured with Linux
 * 6.1: tests/vm/net.sh (probe_test) and tests/vm/probe.sh.
 *
 * A probe for an address carries no sender (0.0.0.0, ::), so that it changes nobody's neighbours. A
 * network that drops frames without an assigned sender, as clouds do, drops it as well: there
 * every address seems free.  A router that answers for everybody (proxy ARP) makes each one seem
 * held: such networks want no probe.
 */
#ifndef NET_PROBE_H
#define NET_PROBE_H

#include "base/mono.h"
#include "net/link.h"

#define PROBE_ATTEMPTS 3 /* frames for one target */
#define PROBE_SPACING_MS 100

enum probe_kind {
	PROBE_ADDRESS, /* answered by its holder, and by whoever probes for it as well */
	PROBE_GATEWAY, /* answered by the gateway */
};

struct probe {
	enum probe_kind kind;
	struct ip target;
	/* Of a gateway: who asks, for the answer to come back to.  An address that is probed for in
	 * the same call asks only once it proved free. */
	struct ip sender;

	/* results */
	bool answered;
	struct mac mac; /* the answer's */

	/* probe_run()'s own; zero */
	bool over;
	int tried, sent;
	struct mono next;
};

/*
 * Probes for all n at the same time, from link in the namespace ns (-1: the calling thread's own).
 * It is over when each is answered or has waited PROBE_SPACING_MS after the last attempt: 300 ms,
 * and 600 ms when a gateway waits for an address.  The link must be up.
 *
 * ERR_TIMEOUT when the deadline ends it before, ERR_SYS when the kernel refuses (ENETDOWN).
 */
int probe_run(int ns, const struct link *link, struct probe *v, size_t n, struct mono deadline,
              struct err *e) MUST_USE;

/* What a frame says: mac has ip; or, when probing, wants to know whether somebody has. */
struct probe_claim {
	struct ip ip;
	struct mac mac;
	bool probing;
};

/* The frame without its link-layer header, and its sender there; false: it says nothing of the
 * kind.  For the tests: probe_run() reads with them. */
bool probe_read_arp(const uint8_t *b, size_t len, struct probe_claim *out);
bool probe_read_nd(const uint8_t *b, size_t len, struct mac from, struct probe_claim *out);

#endif
