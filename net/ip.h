/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip.h - IP addresses, prefixes and ranges of both families as values.  Pure: no socket, no clock,
 * no allocation but for sets.  A range is never expanded, /128 to /0 cost the same.
 */
#ifndef NET_IP_H
#define NET_IP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* bytes in network order; v4 uses the first four, the rest is zero.  family 0: no address. */
struct ip {
	uint8_t family; /* 0, 4 or 6 */
	uint8_t bytes[16];
};

struct cidr {
	struct ip ip; /* as written: host bits may be set */
	uint8_t len;
};

struct ip_range {
	struct ip first, last; /* inclusive, same family, first <= last */
};

struct ip_str {
	char s[46];
};
struct cidr_str {
	char s[50];
};
struct ip_range_str {
	char s[96];
};

/* ERR_CONFIG with the text.  No zone, no leading zeros in IPv4 octets, no blanks. */
int ip_parse(const char *s, struct ip *out, struct err *e) MUST_USE;
int cidr_parse(const char *s, struct cidr *out, struct err *e) MUST_USE;
/* An address by itself is all of its bits. */
int cidr_or_ip_parse(const char *s, struct cidr *out, struct err *e) MUST_USE;
/* "a-b" or "a". */
int ip_range_parse(const char *s, struct ip_range *out, struct err *e) MUST_USE;

/* By value, so that two fit one printf; IPv6 as RFC 5952. */
struct ip_str ip_str(struct ip a);
struct cidr_str cidr_str(struct cidr c);
struct ip_range_str ip_range_str(struct ip_range r); /* "a" when first == last */

static inline uint8_t ip_bits(struct ip a)
{
	return a.family == 4 ? 32 : 128;
}
static inline uint8_t ip_bytes(struct ip a)
{
	return a.family == 4 ? 4 : 16;
}

bool ip_equal(struct ip a, struct ip b);
int ip_cmp(struct ip a, struct ip b); /* family first, then numeric */
/* Of n addresses: is it one of them, and the first of a family (borrowed, NULL: none). */
bool ip_among(const struct ip *v, size_t n, struct ip a);
const struct ip *ip_first_of(const struct ip *v, size_t n, uint8_t family);
bool ip_next(struct ip *a); /* false, and unchanged, after the last of its family */
bool ip_prev(struct ip *a);
/* a + n; false when that passes the end of the family. */
bool ip_add(struct ip a, uint64_t n, struct ip *out);
/* b - a for a <= b, UINT64_MAX when it is larger. */
uint64_t ip_distance(struct ip a, struct ip b);
bool ip_is_multicast(struct ip a);
bool ip_is_link_local(struct ip a);
bool ip_is_loopback(struct ip a);
bool ip_is_unspecified(struct ip a);

struct cidr cidr_host(struct ip a); /* /32 or /128 */
bool cidr_contains(struct cidr c, struct ip a);
bool cidr_equal_network(struct cidr a, struct cidr b);
bool cidr_overlaps(struct cidr a, struct cidr b);
struct cidr cidr_network(struct cidr c); /* host bits cleared */
struct ip_range cidr_range(struct cidr c);
struct ip cidr_broadcast(struct cidr c); /* IPv4 with len < 31; else family 0 */

bool ip_range_contains(struct ip_range r, struct ip a);
bool ip_range_overlaps(struct ip_range a, struct ip_range b);
/* Number of addresses, UINT64_MAX when there are more. */
uint64_t ip_range_size(struct ip_range r);

/* A sorted set of disjoint, non-adjacent ranges of one or both families. */
struct ip_set {
	struct ip_range *v;
	size_t n, cap;
};
#define IP_SET_INIT                                                                                \
	{                                                                                          \
		.v = NULL                                                                          \
	}
#define AUTO_IP_SET __attribute__((cleanup(ip_set_release))) struct ip_set

void ip_set_release(struct ip_set *s);
void ip_set_add(struct ip_set *s, struct ip_range r);
void ip_set_remove(struct ip_set *s, struct ip_range r);
bool ip_set_contains(const struct ip_set *s, struct ip a);
uint64_t ip_set_size(const struct ip_set *s); /* saturates at UINT64_MAX */
/* The smallest member >= a; false when there is none. */
bool ip_set_next(const struct ip_set *s, struct ip a, struct ip *out);

#endif
