/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - messages from many threads to one owner.
 *
 * A message embeds a struct queue_item as its first member; the queue never allocates.  The state
 * belongs to the thread that takes; the others only put.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "base/mono.h"

struct queue_item {
	struct queue_item *next;
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct queue_item *head, **tail;
	bool closed;
};

void queue_init(struct queue *q);
void queue_release(struct queue *q); /* empty, nobody waits on it, and no put is under way */

/* The item is taken.  False, and the item stays the caller's, when the queue is closed. */
bool queue_put(struct queue *q, struct queue_item *item);

/* The same in two steps: a waiter sleeps on after the first one. */
bool queue_put_quietly(struct queue *q, struct queue_item *item);
void queue_wake(struct queue *q);

/*
 * Waits until something is there, the deadline passes, or the queue is closed; then takes
 * everything: a list in the order of the puts, NULL for nothing.
 */
struct queue_item *queue_take_all(struct queue *q, struct mono deadline);

/* Puts fail from now on and waiters wake up. */
void queue_close(struct queue *q);
bool queue_closed(struct queue *q);

#endif
