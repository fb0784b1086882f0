/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inflight.h - containers whose ADD is under way: from before an address is recorded until after
 * the attachment record is written.  What is neither here nor there was never answered.
 */
#ifndef AGENT_INFLIGHT_H
#define AGENT_INFLIGHT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct inflight_entry {
	const char *cid; /* borrowed while it is entered */
	struct inflight_entry *next;
};

/* Who wants to be told when an ADD of that container begins. */
struct inflight_watch {
	const char *cid; /* borrowed while it is watched */
	atomic_bool *entered;
	struct inflight_watch *next;
};

struct inflight {
	pthread_mutex_t lock;
	struct inflight_entry *first;
	struct inflight_watch *watches;
};

void inflight_init(struct inflight *f);
void inflight_release(struct inflight *f);
/* The entry is the caller's, until it has left. */
void inflight_enter(struct inflight *f, struct inflight_entry *entry, const char *cid);
void inflight_leave(struct inflight *f, struct inflight_entry *entry);
/* *entered is set before the ADD can ask for anything.  The watch is the caller's, until its end.
 */
void inflight_watch(struct inflight *f, struct inflight_watch *w, const char *cid,
                    atomic_bool *entered);
void inflight_unwatch(struct inflight *f, struct inflight_watch *w);
bool inflight_has(struct inflight *f, const char *cid);

#endif
