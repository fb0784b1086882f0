/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.h - a few threads that talk to the store for the ledger, which never waits itself.
 */
#ifndef AGENT_JOBS_H
#define AGENT_JOBS_H

#include "agent/poolstate.h"
#include "base/queue.h"
#include "store/store.h"

#define JOBS_THREADS 4

/* First member of everything that lies in the ledger's mailbox. */
enum message_type {
	MESSAGE_REQUEST,
	MESSAGE_JOB,
	MESSAGE_POOLS,
	MESSAGE_POOL,
	MESSAGE_RESERVED,
	MESSAGE_NODE_ADDRESSES,
	MESSAGE_TROUBLE
};

struct message {
	struct queue_item item;
	enum message_type type;
};

enum job_op {
	JOB_WRITE, /* patch the status of one pool */
	JOB_READ,  /* read one pool */
	JOB_LIST,  /* read all pools that concern this node */
	JOB_ADMIT  /* patch the object, then the status, as far as given */
};

struct job {
	struct message message;
	enum job_op op;
	char *name;
	json *patch, *status_patch;
	const char *also; /* of JOB_LIST: one more label selector, or NULL; borrowed */
	uint64_t number;  /* the ledger's clock when it was given out */
	int thread;
	/* the answer: rc 0 and the states read, or rc -1 and why */
	int rc;
	struct err e;
	struct pool_state *states;
	size_t n_states;
	char *version; /* of JOB_WRITE: the pool's new resourceVersion */
	unsigned int writes;
	int64_t took_ms; /* at the store */
};

void job_free(struct job *j);

/* Turns a list of objects into states; what is no pool is left out, named in the log. */
struct pool_state *pool_states_read(const json *items, size_t *count);
void pool_states_free(struct pool_state *states, size_t n);

struct jobs;

/*
 * Answers go to `mailbox` (borrowed).  JOB_LIST reads the pools that fit any of the n label
 * selectors (borrowed), or all (n 0).
 */
int jobs_start(struct store *s, const char *const *selectors, size_t n, struct queue *mailbox,
               struct jobs **out, struct err *e) MUST_USE;
bool jobs_idle(const struct jobs *j); /* is a thread free? */
/* Gives it to a free thread and tells which, -1: there is none.  Taken, and back in the mailbox
 * when done: then call jobs_done. */
int jobs_give(struct jobs *j, struct job *job);
void jobs_done(struct jobs *j, const struct job *job);
/* Waits for the jobs under way; NULL is fine. */
void jobs_stop(struct jobs *j);

#endif
