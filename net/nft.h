/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nft.h - the one nf_tables table we make, in a pod's namespace (linux/netfilter/nf_tables.h).
 */
#ifndef NET_NFT_H
#define NET_NFT_H

#include "net/nl.h"

/*
 * Table inet `table`, replaced as a whole in one batch:
 *   chain pre { type filter hook prerouting priority -150; }
 *     iifname IFNAME ct state new  meta mark set meta mark | bit  ct mark set ct mark | bit
 *   chain out { type route hook output priority -150; }
 *     ct mark & bit == bit         meta mark set meta mark | bit
 * so that answers to flows that came in by IFNAME leave with the mark.  nl is a NETLINK_NETFILTER
 * socket of the pod's namespace.  ERR_NOT_FOUND, with words on what to load, when the kernel lacks
 * nf_tables, its inet family, conntrack or nft_ct.
 */
int nft_reply_mark(struct nl *nl, const char *table, const char *ifname, uint32_t bit,
                   struct err *e) MUST_USE;
/*
 * The same without conntrack: the first chain with "meta mark set meta mark | bit" for every packet
 * that comes in by IFNAME, and no other.  What answers by the packet's own mark then is up to
 * net.ipv4.tcp_fwmark_accept and the fwmark_reflect of both families.
 */
int nft_packet_mark(struct nl *nl, const char *table, const char *ifname, uint32_t bit,
                    struct err *e) MUST_USE;

/* Is there a table inet of that name, with rules as either of these makes them?  What they say is
 * not compared.  ERR_NOT_FOUND when the kernel lacks nf_tables. */
int nft_marks(struct nl *nl, const char *table, bool *marks, struct err *e) MUST_USE;

#endif
