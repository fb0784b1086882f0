/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/turns.c pool/ net/ip.c json/json.c base/ */
/* libs: cjson */
/*
 * turns_test.c - agents that write one pool: who comes when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/turns.h"
#include "base/str.h"

#define WRITE_MS 10

static const struct mono start = { 100000 };

static struct mono at(int64_t ms)
{
	return (struct mono){ start.ms + ms };
}

/* A pool with one record of each named node, at 10.0.0.1 and so on; "" for a free address. */
static void fill(struct pool *p, const char *const *nodes, size_t n)
{
	*p = (struct pool){ .records = NULL };
	for (size_t i = 0; i < n; i++) {
		char cid[8], node[16], empty[] = "";

		if (!*nodes[i])
			continue;
		snprintf(cid, sizeof(cid), "c%zu", i);
		snprintf(node, sizeof(node), "%s", nodes[i]);
		pool_put(p, &(struct pool_record){ .ip = { 4, { 10, 0, 0, (uint8_t)(i + 1) } },
		                                   .pod = empty,
		                                   .uid = empty,
		                                   .nic = empty,
		                                   .cid = cid,
		                                   .node = node,
		                                   .conflict = empty });
	}
}

static void saw(struct turns *t, const char *const *before, const char *const *after, size_t n,
                struct mono now)
{
	struct pool a, b;

	fill(&a, before, n);
	fill(&b, after, n);
	turns_saw(t, &a, &b, now);
	pool_release(&a);
	pool_release(&b);
}

static void note(struct turns *t, const char *node, struct mono now)
{
	saw(t, (const char *const[]){ "x", "" }, (const char *const[]){ "x", node }, 2, now);
}

static void alone(void **state)
{
	struct turns t = { .self = turns_id("a") };

	(void)state;
	assert_int_equal(turns_next(&t, start).ms, start.ms);
	turns_wrote(&t, WRITE_MS, start);
	assert_int_equal(turns_next(&t, start).ms, start.ms);
	/* others write, and nobody was in anybody's way */
	note(&t, "b", at(5));
	assert_int_equal(turns_next(&t, at(5)).ms, at(5).ms);
	/* a conflict is long ago */
	turns_lost(&t, at(5));
	assert_int_equal(turns_next(&t, at(6 + TURNS_QUIET_MS)).ms, at(6 + TURNS_QUIET_MS).ms);
}

/* Who wrote: the node of what came, else of what went. */
static void writers(void **state)
{
	static const char *const none[] = { "a", "", "c" };
	static const char *const came[] = { "a", "b", "c" };
	static const char *const swapped[] = { "b", "", "c" };
	struct turns t = { .self = turns_id("self") };

	(void)state;
	saw(&t, none, came, 3, start);
	assert_int_equal(t.last, turns_id("b"));
	saw(&t, none, none, 3, at(1));
	assert_int_equal(t.last, turns_id("b"));
	t.last = 0;
	saw(&t, came, none, 3, at(2));
	assert_int_equal(t.last, turns_id("b"));
	t.last = 0;
	saw(&t, none, (const char *const[]){ "a", "", "" }, 3, at(2));
	assert_int_equal(t.last, turns_id("c"));
	/* the same address and container: nothing that is looked at has changed */
	t.last = 0;
	saw(&t, none, swapped, 3, at(3));
	assert_int_equal(t.last, 0);
	/* what we did ourselves is no news */
	saw(&t, none, (const char *const[]){ "a", "self", "c" }, 3, at(4));
	assert_int_equal(t.last, 0);
}

/* Five that always want to write: one write after the other, and each gets its turn. */
static void round_robin(void **state)
{
	static const char *const names[] = { "n0", "n1", "n2", "n3", "n4" };
	struct turns t[ARRAY_LEN(names)];
	size_t wrote[ARRAY_LEN(names)] = { 0 };
	struct mono now = start;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		t[i] = (struct turns){ .self = turns_id(names[i]) };
		turns_wrote(&t[i], WRITE_MS, now);
	}
	/* they have met */
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (k != i)
				note(&t[i], names[k], now);
		t[i].last = turns_id("n0");
		turns_lost(&t[i], now);
	}
	for (int writes = 0; writes < 50; writes++) {
		struct mono first = { INT64_MAX };
		size_t who = 0, n = 0;

		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			struct mono next = turns_next(&t[i], now);

			if (next.ms < first.ms) {
				first = next;
				who = i;
				n = 0;
			}
			n += next.ms < first.ms + WRITE_MS;
		}
		/* nobody else starts before he has heard of it */
		assert_int_equal(n, 1);
		now.ms = (first.ms > now.ms ? first.ms : now.ms) + WRITE_MS;
		wrote[who]++;
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			if (i == who)
				turns_wrote(&t[i], WRITE_MS, now);
			else
				note(&t[i], names[who], now);
			turns_lost(&t[i], now);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(wrote[i], 10);
	assert_int_equal(now.ms, at(50L * WRITE_MS).ms);
}

/* One that has gone is not waited for any more. */
static void silent(void **state)
{
	struct turns t = { .self = turns_id("a") };
	struct mono later = at(TURNS_RIVAL_MS + 1);

	(void)state;
	turns_wrote(&t, WRITE_MS, start);
	note(&t, "b", start);
	turns_wrote(&t, WRITE_MS, start);
	turns_lost(&t, start);
	assert_true(turns_next(&t, start).ms > start.ms);
	turns_wrote(&t, WRITE_MS, later);
	turns_lost(&t, later);
	assert_int_equal(turns_next(&t, later).ms, later.ms);
}

static void many(void **state)
{
	struct turns t = { .self = turns_id("a") };

	(void)state;
	for (int i = 0; i < 3 * TURNS_RIVALS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "node-%d", i);
		note(&t, name, at(i));
	}
	assert_int_equal(t.n, TURNS_RIVALS);
	turns_wrote(&t, 5000, at(100));
	assert_int_equal(t.write_ms, TURNS_WRITE_MAX_MS);
	turns_lost(&t, at(100));
	assert_true(turns_next(&t, at(100)).ms <=
	            at(100 + (TURNS_RIVALS + 1) * (TURNS_WRITE_MAX_MS * 5L / 4 + 2)).ms);
	assert_true(turns_id("") != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone),  cmocka_unit_test(writers), cmocka_unit_test(round_robin),
		cmocka_unit_test(silent), cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
