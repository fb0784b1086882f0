/* SPDX-License-Identifier: Apache-2.0 */
/* links: net/ip.c base/str.c base/err.c base/mem.c */
/*
 * ip_test.c - text forms, arithmetic at the ends of the families, and sets against a model.
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(ranges),
		cmocka_unit_test(ends_of_the_families),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(set_against_model),
		cmocka_unit_test(set_of_both_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
