/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs.c - the threads that read and write pools.  Each has a queue of its own, so that one job of
 * two goes to another thread; who is free is known to the ledger's thread alone.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/jobs.h"
#include "agent/thread.h"
#include "base/failpoint.h"
#include "base/log.h"

#define JOB_MS 10000

struct worker {
	struct store *store;
	const char *const *selectors;
	size_t n_selectors;
	struct queue *mailbox;
	struct queue queue;
	pthread_t thread;
	bool busy; /* belongs to the ledger's thread */
};

struct jobs {
	struct worker workers[JOBS_THREADS];
	int n;
};

void job_free(struct job *j)
{
	pool_states_free(j->states, j->n_states);
	json_free(j->patch);
	json_free(j->status_patch);
	free(j->name);
	free(j->version);
	free(j);
}

void pool_states_free(struct pool_state *states, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pool_state_release(&states[i]);
	free(states);
}

struct pool_state *pool_states_read(const json *items, size_t *count)
{
	struct pool_state *states = xcalloc(json_count(items) + 1, sizeof(*states));
	size_t n = 0;

	json_each(o, items)
	{
		struct err e;

		if (pool_state_read(o, &states[n], &e) < 0)
			log_warn_err(&e, "left out");
		else
			n++;
	}
	*count = n;
	return states;
}

static int one_state(struct job *j, const json *object, struct err *e)
{
	struct pool_state s;

	if (pool_state_read(object, &s, e) < 0)
		return -1;
	pool_states_free(j->states, j->n_states);
	j->states = xcalloc(1, sizeof(s));
	j->states[0] = s;
	j->n_states = 1;
	return 0;
}

static int patch(struct store *s, struct job *j, bool status, const json *p, struct err *e)
{
	AUTO_JSON *object = NULL;

	if (store_patch(s, STORE_IPPOOL, NULL, j->name, status, p, &object, mono_in(JOB_MS), e) < 0)
		return -1;
	j->writes++;
	return one_state(j, object, e);
}

/* The pool is what it was with the patch in it, or the condition had not held: its version will do.
 */
static int write_status(struct store *s, struct job *j, struct mono deadline, struct err *e)
{
	AUTO_JSON *object = NULL;
	const char *version;

	failpoint("job-unwritten");
	if (store_patch_meta(s, STORE_IPPOOL, NULL, j->name, true, j->patch, &object, deadline, e) <
	    0)
		return -1;
	failpoint("job-written");
	version = json_str_at(object, "metadata", "resourceVersion", NULL);
	if (!version)
		return err_set(e, ERR_PROTO, "IPPool %s has no resourceVersion", j->name);
	j->writes++;
	j->version = xstrdup(version);
	return 0;
}

/* The second patch builds on what the first one made. */
static int admit(struct store *s, struct job *j, struct err *e)
{
	if (j->patch && patch(s, j, false, j->patch, e) < 0)
		return -1;
	failpoint("job-half-admitted");
	if (!j->status_patch)
		return 0;
	if (j->n_states)
		json_set_str(json_ensure_object(j->status_patch, "metadata"), "resourceVersion",
		             j->states[0].p.version);
	return patch(s, j, true, j->status_patch, e);
}

static int list_labelled(const struct worker *w, const char *labels, struct job *j, struct err *e)
{
	struct k8s_selector sel = { labels, NULL };
	AUTO_JSON *items = NULL;
	struct pool_state *more;
	size_t n;

	if (store_list(w->store, STORE_IPPOOL, NULL, &sel, &items, NULL, mono_in(JOB_MS), e) < 0)
		return -1;
	more = pool_states_read(items, &n);
	j->states = xrealloc(j->states, (j->n_states + n + 1) * sizeof(*more));
	memcpy(j->states + j->n_states, more, n * sizeof(*more));
	j->n_states += n;
	free(more);
	return 0;
}

static int list(const struct worker *w, struct job *j, struct err *e)
{
	for (size_t i = 0; i == 0 || i < w->n_selectors; i++)
		if (list_labelled(w, w->n_selectors ? w->selectors[i] : NULL, j, e) < 0)
			return -1;
	return j->also ? list_labelled(w, j->also, j, e) : 0;
}

static int run(const struct worker *w, struct job *j, struct mono begin, struct err *e)
{
	struct mono deadline = mono_after(begin, JOB_MS);
	struct store *s = w->store;
	AUTO_JSON *got = NULL;

	switch (j->op) {
	case JOB_WRITE:
		return write_status(s, j, deadline, e);
	case JOB_ADMIT:
		return admit(s, j, e);
	case JOB_READ:
		if (store_get(s, STORE_IPPOOL, NULL, j->name, &got, deadline, e) < 0)
			return -1;
		return one_state(j, got, e);
	case JOB_LIST:
		return list(w, j, e);
	}
	return err_set(e, ERR_CONFIG, "unknown job");
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct queue_item *item;

	do {
		item = queue_take_all(&w->queue, MONO_NEVER);
		while (item) {
			struct job *j = (struct job *)item;
			struct mono begin = mono_now();

			item = item->next;
			j->rc = run(w, j, begin, &j->e);
			j->took_ms = mono_now().ms - begin.ms;
			if (!queue_put(w->mailbox, &j->message.item))
				job_free(j);
		}
	} while (!queue_closed(&w->queue));
	/* given while the one before was under way; nobody waits for it any more */
	item = queue_take_all(&w->queue, mono_now());
	while (item) {
		struct job *j = (struct job *)item;

		item = item->next;
		job_free(j);
	}
	return NULL;
}

int jobs_start(struct store *s, const char *const *selectors, size_t n, struct queue *mailbox,
               struct jobs **out, struct err *e)
{
	struct jobs *j = xcalloc(1, sizeof(*j));

	for (; j->n < JOBS_THREADS; j->n++) {
		struct worker *w = &j->workers[j->n];

		w->store = s;
		w->selectors = selectors;
		w->n_selectors = n;
		w->mailbox = mailbox;
		queue_init(&w->queue);
		if (thread_start(&w->thread, worker_main, w, e) < 0) {
			queue_release(&w->queue);
			jobs_stop(j);
			return -1;
		}
	}
	*out = j;
	return 0;
}

bool jobs_idle(const struct jobs *j)
{
	for (int i = 0; i < j->n; i++)
		if (!j->workers[i].busy)
			return true;
	return false;
}

int jobs_give(struct jobs *j, struct job *job)
{
	for (int i = 0; i < j->n; i++) {
		if (j->workers[i].busy)
			continue;
		j->workers[i].busy = true;
		job->thread = i;
		job->message.type = MESSAGE_JOB;
		queue_put(&j->workers[i].queue, &job->message.item);
		return i;
	}
	return -1;
}

void jobs_done(struct jobs *j, const struct job *job)
{
	j->workers[job->thread].busy = false;
}

void jobs_stop(struct jobs *j)
{
	if (!j)
		return;
	for (int i = 0; i < j->n; i++)
		queue_close(&j->workers[i].queue);
	for (int i = 0; i < j->n; i++) {
		pthread_join(j->workers[i].thread, NULL);
		queue_release(&j->workers[i].queue);
	}
	free(j);
}
