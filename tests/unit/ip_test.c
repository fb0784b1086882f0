/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ip.c base/str.c base/err.c base/mem.c */
/*
 * ip_test.c - text forms, arithmetic at the ends of the families, and all of it against models.
 *
 * SEED=N has the random ones begin with N and do that one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"
#include "net/ip.h"

static struct ip ip(const char *s)
{
	struct err e;
	struct ip a;

	if (ip_parse(s, &a, &e) < 0)
		fail_msg("%s", e.msg);
	return a;
}

static struct cidr cidr(const char *s)
{
	struct err e;
	struct cidr c;

	if (cidr_parse(s, &c, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

static void text(void **state)
{
	static const char *const same[] = { "0.0.0.0", "255.255.255.255", "172.31.199.185",
		                            "::",      "fd00:1::5",       "::ffff:1.2.3.4" };
	static const char *const bad[] = { "",          "1.2.3",     "1.2.3.4.5",
		                           "1.2.3.256", "010.1.1.1", "1.2.3.04",
		                           " 1.2.3.4",  "1.2.3.4 ",  "fe80::1%eth0",
		                           "1:2",       ":::",       "g::" };
	static const char *const bad_prefix[] = { "1.2.3.4", "1.2.3.4/33", "1.2.3.4/",
		                                  "::/129",  "1.2.3.4/-1", "1.2.3.4/08" };
	struct cidr c;
	struct err e;
	struct ip a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_string_equal(ip_str(ip(same[i])).s, same[i]);
	assert_string_equal(ip_str(ip("FD00:0:0:0:0:0:0:1")).s, "fd00::1");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ip_parse(bad[i], &a, &e), -1);
	for (size_t i = 0; i < ARRAY_LEN(bad_prefix); i++)
		assert_int_equal(cidr_parse(bad_prefix[i], &c, &e), -1);
	assert_string_equal(cidr_str(cidr("172.31.192.0/20")).s, "172.31.192.0/20");
	assert_string_equal(ip_str((struct ip){ .family = 0 }).s, "");
}

static void ranges(void **state)
{
	struct ip_range r;
	struct err e;

	(void)state;
	assert_int_equal(ip_range_parse("10.0.0.1-10.0.0.9", &r, &e), 0);
	assert_int_equal(ip_range_size(r), 9);
	assert_string_equal(ip_range_str(r).s, "10.0.0.1-10.0.0.9");
	assert_int_equal(ip_range_parse("10.0.0.1", &r, &e), 0);
	assert_string_equal(ip_range_str(r).s, "10.0.0.1");
	assert_int_equal(ip_range_parse("10.0.0.9-10.0.0.1", &r, &e), -1);
	assert_string_equal(e.msg, "range \"10.0.0.9-10.0.0.1\" ends before it begins");
	assert_int_equal(ip_range_parse("10.0.0.9-::1", &r, &e), -1);
	assert_int_equal(ip_range_parse("10.0.0.0/24", &r, &e), -1);
	assert_int_equal(ip_range_parse("-", &r, &e), -1);
	r = cidr_range(cidr("::/0"));
	assert_true(ip_range_size(r) == UINT64_MAX);
	r = cidr_range(cidr("0.0.0.0/0"));
	assert_true(ip_range_size(r) == 1ULL << 32);
	r = cidr_range(cidr("fd00::/65"));
	assert_true(ip_range_size(r) == 1ULL << 63);
	r = cidr_range(cidr("10.1.2.3/32"));
	assert_int_equal(ip_range_size(r), 1);
}

static void ends_of_the_families(void **state)
{
	struct ip a = ip("255.255.255.255"), z = ip("0.0.0.0"),
		  s = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");

	(void)state;
	assert_false(ip_next(&a));
	assert_string_equal(ip_str(a).s, "255.255.255.255");
	assert_false(ip_prev(&z));
	assert_false(ip_next(&s));
	a = ip("10.0.255.255");
	assert_true(ip_next(&a));
	assert_string_equal(ip_str(a).s, "10.1.0.0");
	assert_true(ip_prev(&a));
	assert_string_equal(ip_str(a).s, "10.0.255.255");
	assert_false(ip_add(ip("255.255.255.0"), 256, &a));
	assert_false(ip_add(ip("1.0.0.0"), 1ULL << 32, &a));
	assert_true(ip_add(ip("fd00::"), UINT64_MAX, &a));
	assert_string_equal(ip_str(a).s, "fd00::ffff:ffff:ffff:ffff");
	assert_true(ip_distance(ip("::"), ip("0:0:0:1::")) == UINT64_MAX);
}

static void prefixes(void **state)
{
	(void)state;
	assert_true(cidr_contains(cidr("172.31.192.0/20"), ip("172.31.207.253")));
	assert_false(cidr_contains(cidr("172.31.192.0/20"), ip("172.31.208.0")));
	assert_false(cidr_contains(cidr("0.0.0.0/0"), ip("::1")));
	assert_string_equal(cidr_str(cidr_network(cidr("10.1.2.3/12"))).s, "10.0.0.0/12");
	assert_string_equal(ip_str(cidr_broadcast(cidr("172.31.199.185/20"))).s, "172.31.207.255");
	assert_int_equal(cidr_broadcast(cidr("10.0.0.0/31")).family, 0);
	assert_true(cidr_overlaps(cidr("10.0.0.0/8"), cidr("10.9.0.0/16")));
	assert_false(cidr_overlaps(cidr("10.0.0.0/9"), cidr("10.128.0.0/9")));
	assert_true(ip_is_link_local(ip("169.254.1.1")) && ip_is_link_local(ip("fe80::1")));
	assert_true(ip_is_multicast(ip("224.0.0.1")) && ip_is_multicast(ip("ff02::1")));
}

/* A set against 256 flags, for thousands of random operations. */
static void set_against_model(void **state)
{
	unsigned int seed = 12345;

	(void)state;
	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int round = 0; round < 300; round++) {
		AUTO_IP_SET s = IP_SET_INIT;
		bool model[256] = { false };

		for (int op = 0; op < 40; op++) {
			int a = (int)(random() % 256), b = (int)(random() % 256);
			bool add = random() % 3;
			struct ip_range r;
			uint64_t n = 0;
			struct ip base = ip("255.255.255.0"), next;

			if (a > b) {
				int t = a;

				a = b;
				b = t;
			}
			assert_true(ip_add(base, (uint64_t)a, &r.first) &&
			            ip_add(base, (uint64_t)b, &r.last));
			if (add)
				ip_set_add(&s, r);
			else
				ip_set_remove(&s, r);
			for (int i = a; i <= b; i++)
				model[i] = add;
			for (int i = 0; i < 256; i++) {
				struct ip x;
				int j = i;

				assert_true(ip_add(base, (uint64_t)i, &x));
				assert_int_equal(ip_set_contains(&s, x), model[i]);
				n += model[i];
				while (j < 256 && !model[j])
					j++;
				assert_int_equal(ip_set_next(&s, x, &next), j < 256);
				if (j < 256)
					assert_int_equal(next.bytes[3], j);
			}
			assert_int_equal(ip_set_size(&s), n);
			for (size_t i = 1; i < s.n; i++)
				assert_true(ip_distance(s.v[i - 1].last, s.v[i].first) > 1);
		}
	}
}

static void set_of_both_families(void **state)
{
	AUTO_IP_SET s = IP_SET_INIT;
	struct ip next;

	(void)state;
	ip_set_add(&s, cidr_range(cidr("0.0.0.0/0")));
	ip_set_add(&s, cidr_range(cidr("::/0")));
	assert_int_equal(s.n, 2);
	assert_true(ip_set_size(&s) == UINT64_MAX);
	ip_set_remove(&s, cidr_range(cidr("255.255.255.255/32")));
	assert_false(ip_set_next(&s, ip("255.255.255.255"), &next));
	assert_true(ip_set_contains(&s, ip("::")));
}

/* Each seed by itself, so that the one that fails can be run alone. */
#define SEEDS 3000

static unsigned int first_seed(unsigned int *end)
{
	const char *chosen = getenv("SEED");
	unsigned int seed = chosen ? (unsigned int)strtoul(chosen, NULL, 10) : 1;

	*end = chosen ? seed + 1 : SEEDS + 1;
	return seed;
}

#define CHECK(seed, what)                                                                          \
	do {                                                                                       \
		if (!(what))                                                                       \
			fail_msg("SEED=%u: %s", seed, #what);                                      \
	} while (0)

/* The model: an address is a number, and a family a width. */
static unsigned __int128 number(struct ip a)
{
	unsigned __int128 n = 0;

	for (int i = 0; i < (a.family == 4 ? 4 : 16); i++)
		n = n << 8 | a.bytes[i];
	return n;
}

static struct ip address(uint8_t family, unsigned __int128 n)
{
	struct ip a = { .family = family };

	for (int i = family == 4 ? 4 : 16; i-- > 0; n >>= 8)
		a.bytes[i] = (uint8_t)n;
	return a;
}

static unsigned __int128 greatest(uint8_t family)
{
	return family == 4 ? 0xffffffffU : ~(unsigned __int128)0;
}

/* Near the ends, near powers of two, or anywhere. */
static unsigned __int128 some_number(uint8_t family)
{
	unsigned __int128 n = 0, step = (unsigned int)random() % 3;

	switch (random() % 4) {
	case 0:
		n = random() % 2 ? greatest(family) - step : step;
		break;
	case 1:
		n = ((unsigned __int128)1 << (random() % (family == 4 ? 32 : 128))) - 1 + step;
		break;
	default:
		for (int i = 0; i < 5; i++)
			n = n << 31 | (unsigned int)random();
	}
	return n & greatest(family);
}

static uint64_t saturated(unsigned __int128 n)
{
	return n > UINT64_MAX ? UINT64_MAX : (uint64_t)n;
}

static void check_numbers(unsigned int seed, uint8_t family)
{
	unsigned __int128 x = some_number(family), y = some_number(family), max = greatest(family);
	struct ip a = address(family, x), b = address(family, y), c;
	uint64_t n = (uint64_t)some_number(6);

	CHECK(seed, number(a) == x);
	CHECK(seed, ip_equal(ip(ip_str(a).s), a));
	CHECK(seed, ip_equal(a, b) == (x == y));
	CHECK(seed, (ip_cmp(a, b) < 0) == (x < y) && (ip_cmp(a, b) > 0) == (x > y));
	c = a;
	CHECK(seed, ip_next(&c) == (x < max) && number(c) == (x < max ? x + 1 : x));
	c = a;
	CHECK(seed, ip_prev(&c) == (x > 0) && number(c) == (x ? x - 1 : x));
	CHECK(seed, ip_add(a, n, &c) == (n <= max - x) && (n > max - x || number(c) == x + n));
	if (x <= y) {
		struct ip_range r = { a, b };
		unsigned __int128 z = some_number(family);

		CHECK(seed, ip_distance(a, b) == saturated(y - x));
		CHECK(seed, ip_range_size(r) ==
		                    (y - x >= UINT64_MAX ? UINT64_MAX : (uint64_t)(y - x) + 1));
		CHECK(seed, ip_range_contains(r, address(family, z)) == (x <= z && z <= y));
	}
}

static void check_prefixes(unsigned int seed, uint8_t family)
{
	int bits = family == 4 ? 32 : 128;
	uint8_t k = (uint8_t)(random() % (bits + 1)), m = (uint8_t)(random() % (bits + 1));
	unsigned __int128 x = some_number(family), y = some_number(family), max = greatest(family);
	/* shifting by the whole width is not defined */
	unsigned __int128 host = k == 0 ? max : ((unsigned __int128)1 << (bits - k)) - 1;
	unsigned __int128 other = m == 0 ? max : ((unsigned __int128)1 << (bits - m)) - 1;
	struct cidr c = { address(family, x), k }, d = { address(family, y), m };
	struct ip_range r = cidr_range(c);

	if (k == bits)
		host = 0;
	if (m == bits)
		other = 0;
	CHECK(seed, number(cidr_network(c).ip) == (x & ~host) && cidr_network(c).len == k);
	CHECK(seed, number(r.first) == (x & ~host) && number(r.last) == (x | host));
	CHECK(seed, cidr_contains(c, d.ip) == ((x & ~host) == (y & ~host)));
	CHECK(seed, cidr_overlaps(c, d) == ((x & ~(host | other)) == (y & ~(host | other))));
	CHECK(seed, ip_range_overlaps(r, cidr_range(d)) == cidr_overlaps(c, d));
}

static void numbers_and_prefixes_against_model(void **state)
{
	unsigned int end, seed = first_seed(&end);

	(void)state;
	for (; seed < end; seed++) {
		srandom(seed);
		for (int i = 0; i < 20; i++) {
			check_numbers(seed, random() % 2 ? 4 : 6);
			check_prefixes(seed, random() % 2 ? 4 : 6);
		}
	}
}

/* What was done to a set of both families: the last that covers an address decides. */
struct done {
	uint8_t family;
	unsigned __int128 first, last;
	bool add;
};
#define DONE 12

static bool is_in(const struct done *v, int n, uint8_t family, unsigned __int128 x)
{
	while (n--)
		if (v[n].family == family && v[n].first <= x && x <= v[n].last)
			return v[n].add;
	return false;
}

static int compare_numbers(const void *a, const void *b)
{
	const unsigned __int128 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Where it may change, in order: each piece from one to the next is in or out as a whole. */
static int edges(const struct done *v, int n, uint8_t family, unsigned __int128 *out)
{
	int k = 0;

	out[k++] = 0;
	for (int i = 0; i < n; i++) {
		if (v[i].family != family)
			continue;
		out[k++] = v[i].first;
		if (v[i].last < greatest(family))
			out[k++] = v[i].last + 1;
	}
	qsort(out, (size_t)k, sizeof(*out), compare_numbers);
	return k;
}

static void check_family(unsigned int seed, const struct ip_set *s, const struct done *v, int n,
                         uint8_t family, unsigned __int128 *size)
{
	unsigned __int128 at[2 * DONE + 1], probe;
	int k = edges(v, n, family, at);
	struct ip next;

	for (int i = 0; i < k; i++) {
		unsigned __int128 last = i + 1 < k ? at[i + 1] - 1 : greatest(family);
		unsigned __int128 x = at[i] + (last > at[i] ? some_number(6) % (last - at[i]) : 0);
		bool in = is_in(v, n, family, at[i]);
		int j = i;

		if (i + 1 < k && at[i + 1] == at[i])
			continue;
		CHECK(seed, ip_set_contains(s, address(family, at[i])) == in);
		CHECK(seed, ip_set_contains(s, address(family, last)) == in);
		CHECK(seed, ip_set_contains(s, address(family, x)) == in);
		if (in && *size <= UINT64_MAX)
			*size += last - at[i] >= UINT64_MAX ? UINT64_MAX : last - at[i] + 1;
		while (j < k && !is_in(v, n, family, at[j]))
			j++;
		probe = in ? x : j < k ? at[j] : 0;
		CHECK(seed, ip_set_next(s, address(family, x), &next) == (in || j < k));
		CHECK(seed, !(in || j < k) || number(next) == probe);
	}
}

static void wide_sets_against_model(void **state)
{
	unsigned int end, seed = first_seed(&end);

	(void)state;
	for (; seed < end; seed++) {
		AUTO_IP_SET s = IP_SET_INIT;
		struct done v[DONE];

		srandom(seed);
		for (int n = 0; n < DONE; n++) {
			uint8_t family = random() % 2 ? 4 : 6;
			unsigned __int128 x = some_number(family), y = some_number(family),
					  size = 0;

			/* often it begins where another one ends */
			if (n && random() % 3 == 0 && v[n - 1].family == family)
				x = v[n - 1].last + (unsigned int)(random() % 2);
			x &= greatest(family);
			v[n] = (struct done){ family, x < y ? x : y, x < y ? y : x,
				              random() % 3 != 0 };
			if (v[n].add)
				ip_set_add(&s, (struct ip_range){ address(family, v[n].first),
				                                  address(family, v[n].last) });
			else
				ip_set_remove(&s, (struct ip_range){ address(family, v[n].first),
				                                     address(family, v[n].last) });
			check_family(seed, &s, v, n + 1, 4, &size);
			check_family(seed, &s, v, n + 1, 6, &size);
			CHECK(seed, ip_set_size(&s) == saturated(size));
			/* in order, apart, and none of them empty */
			for (size_t i = 0; i < s.n; i++)
				CHECK(seed, ip_cmp(s.v[i].first, s.v[i].last) <= 0);
			for (size_t i = 1; i < s.n; i++)
				CHECK(seed,
				      ip_cmp(s.v[i - 1].last, s.v[i].first) < 0 &&
				              (s.v[i - 1].last.family != s.v[i].first.family ||
				               ip_distance(s.v[i - 1].last, s.v[i].first) > 1));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(ranges),
		cmocka_unit_test(ends_of_the_families),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(set_against_model),
		cmocka_unit_test(set_of_both_families),
		cmocka_unit_test(numbers_and_prefixes_against_model),
		cmocka_unit_test(wide_sets_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
