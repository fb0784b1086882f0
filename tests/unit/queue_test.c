/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/queue.c base/mono.c base/str.c base/err.c base/mem.c */
/* tsan */
/*
 * queue_test.c - many producers and one consumer, deadlines, and the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/queue.h"

#define PRODUCERS 4
#define MESSAGES 2000

struct message {
	struct queue_item item;
	int producer, number;
};

struct producer {
	struct queue *q;
	int id, refused;
};

static struct message *message_new(int producer, int number)
{
	struct message *m = xcalloc(1, sizeof(*m));

	m->producer = producer;
	m->number = number;
	return m;
}

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (int i = 0; i < MESSAGES; i++) {
		struct message *m = message_new(p->id, i);

		if (!queue_put(p->q, &m->item)) {
			p->refused++;
			free(m);
		}
	}
	return NULL;
}

static void nothing_lost_and_in_order(void **state)
{
	struct queue q;
	struct producer p[PRODUCERS];
	pthread_t t[PRODUCERS];
	int next[PRODUCERS] = { 0 }, total = 0;

	(void)state;
	queue_init(&q);
	for (int i = 0; i < PRODUCERS; i++) {
		p[i] = (struct producer){ &q, i, 0 };
		assert_int_equal(pthread_create(&t[i], NULL, produce, &p[i]), 0);
	}
	while (total < PRODUCERS * MESSAGES) {
		struct queue_item *item = queue_take_all(&q, MONO_NEVER);

		assert_non_null(item);
		while (item) {
			struct message *m = (struct message *)item;

			item = item->next;
			assert_int_equal(m->number, next[m->producer]);
			next[m->producer]++;
			total++;
			free(m);
		}
	}
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(p[i].refused, 0);
		assert_int_equal(next[i], MESSAGES);
	}
	assert_null(queue_take_all(&q, mono_now()));
	queue_release(&q);
}

static void deadlines(void **state)
{
	struct queue q;
	struct mono until = mono_in(40);
	struct message m = { .number = 1 };

	(void)state;
	queue_init(&q);
	assert_null(queue_take_all(&q, until));
	assert_true(mono_passed(until));
	/* what is over, and before the clock began, returns at once */
	until = mono_in(30000);
	assert_null(queue_take_all(&q, mono_now()));
	assert_null(queue_take_all(&q, (struct mono){ -12345 }));
	assert_true(queue_put(&q, &m.item));
	/* something is there: the deadline does not matter */
	assert_ptr_equal(queue_take_all(&q, (struct mono){ 0 }), &m.item);
	assert_null(m.item.next);
	assert_true(queue_put_quietly(&q, &m.item));
	assert_ptr_equal(queue_take_all(&q, until), &m.item);
	assert_false(mono_passed(until));
	queue_release(&q);
}

static void *close_it(void *arg)
{
	queue_close(arg);
	return NULL;
}

static void closing_wakes(void **state)
{
	struct queue q;
	pthread_t t;
	struct mono limit = mono_in(30000);

	(void)state;
	queue_init(&q);
	assert_false(queue_closed(&q));
	assert_int_equal(pthread_create(&t, NULL, close_it, &q), 0);
	assert_null(queue_take_all(&q, MONO_NEVER));
	pthread_join(t, NULL);
	assert_true(queue_closed(&q));
	assert_null(queue_take_all(&q, MONO_NEVER));
	assert_false(mono_passed(limit));
	queue_release(&q);
}

/* What was put before the end is still taken; what comes after stays the caller's. */
static void the_end(void **state)
{
	struct queue q;
	struct message a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };

	(void)state;
	queue_init(&q);
	assert_true(queue_put(&q, &a.item));
	assert_true(queue_put(&q, &b.item));
	queue_close(&q);
	assert_false(queue_put(&q, &c.item));
	assert_ptr_equal(queue_take_all(&q, MONO_NEVER), &a.item);
	assert_ptr_equal(a.item.next, &b.item);
	assert_null(b.item.next);
	assert_null(queue_take_all(&q, MONO_NEVER));
	queue_close(&q);
	queue_release(&q);
}

/* Every message is either taken or refused when the end comes in the middle. */
static void closing_among_producers(void **state)
{
	struct queue q;
	struct producer p[PRODUCERS];
	pthread_t t[PRODUCERS];
	int total = 0;

	(void)state;
	queue_init(&q);
	for (int i = 0; i < PRODUCERS; i++) {
		p[i] = (struct producer){ &q, i, 0 };
		assert_int_equal(pthread_create(&t[i], NULL, produce, &p[i]), 0);
	}
	for (;;) {
		struct queue_item *item = queue_take_all(&q, mono_in(60000));

		if (!item)
			break;
		while (item) {
			struct queue_item *next = item->next;

			free(item);
			item = next;
			total++;
		}
		if (total >= MESSAGES)
			queue_close(&q);
	}
	assert_true(queue_closed(&q));
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(t[i], NULL);
		total += p[i].refused;
	}
	assert_int_equal(total, PRODUCERS * MESSAGES);
	assert_null(queue_take_all(&q, mono_now()));
	queue_release(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_lost_and_in_order),
		cmocka_unit_test(deadlines),
		cmocka_unit_test(closing_wakes),
		cmocka_unit_test(the_end),
		cmocka_unit_test(closing_among_producers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
