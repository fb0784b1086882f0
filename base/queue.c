/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.c - a mutex, a condition variable on the monotonic clock and a singly linked list.
 */
#include <errno.h>
#include <stddef.h>

#include "base/queue.h"

void queue_init(struct queue *q)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->filled, &attr);
	pthread_condattr_destroy(&attr);
	q->head = NULL;
	q->tail = &q->head;
	q->closed = false;
}

void queue_release(struct queue *q)
{
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->lock);
}

bool queue_put_quietly(struct queue *q, struct queue_item *item)
{
	bool open;

	pthread_mutex_lock(&q->lock);
	open = !q->closed;
	if (open) {
		item->next = NULL;
		*q->tail = item;
		q->tail = &item->next;
	}
	pthread_mutex_unlock(&q->lock);
	return open;
}

/* Not under the lock, for which who wakes up would have to wait. */
void queue_wake(struct queue *q)
{
	pthread_cond_signal(&q->filled);
}

bool queue_put(struct queue *q, struct queue_item *item)
{
	if (!queue_put_quietly(q, item))
		return false;
	queue_wake(q);
	return true;
}

/* False when the time is over.  Who has all the time need not have the clock read. */
static bool wait_for_item(struct queue *q, struct mono deadline)
{
	struct timespec until;

	if (deadline.ms == MONO_NEVER.ms)
		return pthread_cond_wait(&q->filled, &q->lock) == 0;
	until = mono_timespec(deadline);
	return pthread_cond_timedwait(&q->filled, &q->lock, &until) != ETIMEDOUT;
}

struct queue_item *queue_take_all(struct queue *q, struct mono deadline)
{
	struct queue_item *items;

	pthread_mutex_lock(&q->lock);
	while (!q->head && !q->closed && wait_for_item(q, deadline))
		;
	items = q->head;
	q->head = NULL;
	q->tail = &q->head;
	pthread_mutex_unlock(&q->lock);
	return items;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->filled);
	pthread_mutex_unlock(&q->lock);
}

bool queue_closed(struct queue *q)
{
	bool closed;

	pthread_mutex_lock(&q->lock);
	closed = q->closed;
	pthread_mutex_unlock(&q->lock);
	return closed;
}
