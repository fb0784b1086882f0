/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip.c - address arithmetic.  An address is sixteen bytes in network order whatever its family, so
 * that comparison is memcmp and addition is a carry from the right.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/ip.h"

/* inet_pton accepts what we want but for "010.1.1.1", which some read as octal and some not. */
static bool has_leading_zero(const char *s)
{
	bool start = true;

	for (; *s; s++) {
		if (start && s[0] == '0' && s[1] >= '0' && s[1] <= '9')
			return true;
		start = *s == '.';
	}
	return false;
}

int ip_parse(const char *s, struct ip *out, struct err *e)
{
	struct ip a = { .family = 4 };

	if (strchr(s, ':')) {
		a.family = 6;
		if (inet_pton(AF_INET6, s, a.bytes) == 1)
			goto good;
	} else if (!has_leading_zero(s) && inet_pton(AF_INET, s, a.bytes) == 1) {
		goto good;
	}
	return err_set(e, ERR_CONFIG, "\"%s\" is not an IP address", s);
good:
	*out = a;
	return 0;
}

int cidr_parse(const char *s, struct cidr *out, struct err *e)
{
	const char *slash = strchr(s, '/');
	AUTO_FREE char *addr = slash ? xstrndup(s, (size_t)(slash - s)) : NULL;
	struct cidr c;
	uint32_t len;

	if (!slash || ip_parse(addr, &c.ip, NULL) < 0 ||
	    parse_u32(slash + 1, 0, ip_bits(c.ip), &len, NULL) < 0 || (slash[1] == '0' && slash[2]))
		return err_set(e, ERR_CONFIG, "\"%s\" is not an IP prefix such as 10.0.0.0/8", s);
	c.len = (uint8_t)len;
	*out = c;
	return 0;
}

int cidr_or_ip_parse(const char *s, struct cidr *out, struct err *e)
{
	struct ip ip;

	if (strchr(s, '/') || ip_parse(s, &ip, NULL) < 0)
		return cidr_parse(s, out, e);
	*out = cidr_host(ip);
	return 0;
}

int ip_range_parse(const char *s, struct ip_range *out, struct err *e)
{
	const char *dash = strchr(s, '-');
	AUTO_FREE char *first = xstrndup(s, dash ? (size_t)(dash - s) : strlen(s));
	struct ip_range r;

	if (ip_parse(first, &r.first, e) < 0)
		return err_wrap(e, "range \"%s\"", s);
	r.last = r.first;
	if (dash && ip_parse(dash + 1, &r.last, e) < 0)
		return err_wrap(e, "range \"%s\"", s);
	if (r.first.family != r.last.family)
		return err_set(e, ERR_CONFIG, "range \"%s\" mixes IPv4 and IPv6", s);
	if (ip_cmp(r.first, r.last) > 0)
		return err_set(e, ERR_CONFIG, "range \"%s\" ends before it begins", s);
	*out = r;
	return 0;
}

struct ip_str ip_str(struct ip a)
{
	struct ip_str t = { "" };

	if (a.family)
		inet_ntop(a.family == 4 ? AF_INET : AF_INET6, a.bytes, t.s, sizeof(t.s));
	return t;
}

struct cidr_str cidr_str(struct cidr c)
{
	struct cidr_str t;

	snprintf(t.s, sizeof(t.s), "%s/%u", ip_str(c.ip).s, c.len);
	return t;
}

struct ip_range_str ip_range_str(struct ip_range r)
{
	struct ip_range_str t;

	if (ip_equal(r.first, r.last))
		snprintf(t.s, sizeof(t.s), "%s", ip_str(r.first).s);
	else
		snprintf(t.s, sizeof(t.s), "%s-%s", ip_str(r.first).s, ip_str(r.last).s);
	return t;
}

int ip_cmp(struct ip a, struct ip b)
{
	if (a.family != b.family)
		return a.family < b.family ? -1 : 1;
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes));
}

bool ip_equal(struct ip a, struct ip b)
{
	return ip_cmp(a, b) == 0;
}

bool ip_among(const struct ip *v, size_t n, struct ip a)
{
	for (size_t i = 0; i < n; i++)
		if (ip_equal(v[i], a))
			return true;
	return false;
}

const struct ip *ip_first_of(const struct ip *v, size_t n, uint8_t family)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].family == family)
			return &v[i];
	return NULL;
}

bool ip_next(struct ip *a)
{
	return ip_add(*a, 1, a);
}

bool ip_prev(struct ip *a)
{
	struct ip r = *a;

	for (int i = ip_bytes(r) - 1; i >= 0; i--) {
		if (r.bytes[i]-- != 0) {
			*a = r;
			return true;
		}
	}
	return false;
}

bool ip_add(struct ip a, uint64_t n, struct ip *out)
{
	unsigned int carry = 0;

	for (int i = ip_bytes(a) - 1; i >= 0; i--) {
		carry += a.bytes[i] + (unsigned int)(n & 0xff);
		a.bytes[i] = (uint8_t)carry;
		carry >>= 8;
		n >>= 8;
	}
	if (carry || n)
		return false;
	*out = a;
	return true;
}

uint64_t ip_distance(struct ip a, struct ip b)
{
	uint64_t d = 0;
	int borrow = 0;
	int bytes = ip_bytes(a);

	for (int i = bytes - 1; i >= 0; i--) {
		int diff = b.bytes[i] - a.bytes[i] - borrow;

		borrow = diff < 0;
		if (bytes - 1 - i < 8)
			d |= (uint64_t)(uint8_t)diff << (8 * (bytes - 1 - i));
		else if ((uint8_t)diff)
			return UINT64_MAX;
	}
	return d;
}

bool ip_is_multicast(struct ip a)
{
	return a.family == 4 ? (a.bytes[0] & 0xf0) == 0xe0 : a.family == 6 && a.bytes[0] == 0xff;
}

bool ip_is_link_local(struct ip a)
{
	if (a.family == 4)
		return a.bytes[0] == 169 && a.bytes[1] == 254;
	return a.family == 6 && a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80;
}

bool ip_is_unspecified(struct ip a)
{
	static const uint8_t zero[16];

	return memcmp(a.bytes, zero, sizeof(zero)) == 0;
}

bool ip_is_loopback(struct ip a)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (a.family == 4)
		return a.bytes[0] == 127;
	return a.family == 6 && memcmp(a.bytes, one, sizeof(one)) == 0;
}

struct cidr cidr_host(struct ip a)
{
	return (struct cidr){ a, ip_bits(a) };
}

/* The address with its host bits set to 0 or 1. */
static struct ip fill_host_bits(struct cidr c, bool ones)
{
	struct ip a = c.ip;

	for (unsigned int bit = c.len; bit < ip_bits(a); bit++) {
		uint8_t mask = (uint8_t)(0x80 >> (bit % 8));

		if (ones)
			a.bytes[bit / 8] |= mask;
		else
			a.bytes[bit / 8] &= (uint8_t)~mask;
	}
	return a;
}

struct cidr cidr_network(struct cidr c)
{
	return (struct cidr){ fill_host_bits(c, false), c.len };
}

struct ip_range cidr_range(struct cidr c)
{
	return (struct ip_range){ fill_host_bits(c, false), fill_host_bits(c, true) };
}

struct ip cidr_broadcast(struct cidr c)
{
	if (c.ip.family != 4 || c.len >= 31)
		return (struct ip){ .family = 0 };
	return fill_host_bits(c, true);
}

bool cidr_contains(struct cidr c, struct ip a)
{
	return ip_range_contains(cidr_range(c), a);
}

bool cidr_equal_network(struct cidr a, struct cidr b)
{
	return a.len == b.len && ip_equal(cidr_network(a).ip, cidr_network(b).ip);
}

bool cidr_overlaps(struct cidr a, struct cidr b)
{
	return ip_range_overlaps(cidr_range(a), cidr_range(b));
}

bool ip_range_contains(struct ip_range r, struct ip a)
{
	return a.family == r.first.family && ip_cmp(a, r.first) >= 0 && ip_cmp(a, r.last) <= 0;
}

bool ip_range_overlaps(struct ip_range a, struct ip_range b)
{
	return a.first.family == b.first.family && ip_cmp(a.first, b.last) <= 0 &&
	       ip_cmp(b.first, a.last) <= 0;
}

uint64_t ip_range_size(struct ip_range r)
{
	uint64_t d = ip_distance(r.first, r.last);

	return d == UINT64_MAX ? d : d + 1;
}

void ip_set_release(struct ip_set *s)
{
	free(s->v);
	s->v = NULL;
	s->n = s->cap = 0;
}

/* Are a and b one range when joined? (a.first <= b.first) */
static bool touches(struct ip_range a, struct ip_range b)
{
	struct ip after = a.last;

	if (a.first.family != b.first.family)
		return false;
	return ip_cmp(b.first, a.last) <= 0 || (ip_next(&after) && ip_equal(after, b.first));
}

/* Index of the first range whose last address is >= a. */
static size_t lower(const struct ip_set *s, struct ip a)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ip_cmp(s->v[mid].last, a) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void replace(struct ip_set *s, size_t at, size_t remove, const struct ip_range *with,
                    size_t n)
{
	s->v = xgrow(s->v, &s->cap, s->n + n, sizeof(*s->v));
	memmove(s->v + at + n, s->v + at + remove, (s->n - at - remove) * sizeof(*s->v));
	if (n)
		memcpy(s->v + at, with, n * sizeof(*with));
	s->n = s->n - remove + n;
}

void ip_set_add(struct ip_set *s, struct ip_range r)
{
	size_t at = lower(s, r.first), end;

	if (at && touches(s->v[at - 1], r))
		at--;
	for (end = at; end < s->n; end++) {
		if (ip_cmp(s->v[end].first, r.first) <= 0 ? !touches(s->v[end], r)
		                                          : !touches(r, s->v[end]))
			break;
		if (ip_cmp(s->v[end].first, r.first) < 0)
			r.first = s->v[end].first;
		if (ip_cmp(s->v[end].last, r.last) > 0)
			r.last = s->v[end].last;
	}
	replace(s, at, end - at, &r, 1);
}

void ip_set_remove(struct ip_set *s, struct ip_range r)
{
	size_t at = lower(s, r.first), end = at, n = 0;
	struct ip_range rest[2];

	while (end < s->n && ip_range_overlaps(s->v[end], r))
		end++;
	if (end == at)
		return;
	if (ip_cmp(s->v[at].first, r.first) < 0) {
		rest[n] = (struct ip_range){ s->v[at].first, r.first };
		(void)ip_prev(&rest[n++].last);
	}
	if (ip_cmp(s->v[end - 1].last, r.last) > 0) {
		rest[n] = (struct ip_range){ r.last, s->v[end - 1].last };
		(void)ip_next(&rest[n++].first);
	}
	replace(s, at, end - at, rest, n);
}

bool ip_set_contains(const struct ip_set *s, struct ip a)
{
	size_t at = lower(s, a);

	return at < s->n && ip_range_contains(s->v[at], a);
}

uint64_t ip_set_size(const struct ip_set *s)
{
	uint64_t total = 0;

	for (size_t i = 0; i < s->n; i++) {
		uint64_t n = ip_range_size(s->v[i]);

		if (n > UINT64_MAX - total)
			return UINT64_MAX;
		total += n;
	}
	return total;
}

bool ip_set_next(const struct ip_set *s, struct ip a, struct ip *out)
{
	size_t at = lower(s, a);

	if (at >= s->n || s->v[at].first.family != a.family)
		return false;
	*out = ip_cmp(s->v[at].first, a) > 0 ? s->v[at].first : a;
	return true;
}
