/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - the ledger's thread: mailbox, pool cache, jobs, answers.
 *
 * Theory of operation: a round takes everything that lies in the mailbox, lets plan() decide what
 * can be decided, and gives each pool that was changed as one write to a free thread of jobs.c.
 * While a pool is being written, requests that want it gather for its next write: group commit.
 * All requests of a write are answered when it is acknowledged.
 *
 * Every write carries the resourceVersion its plan was made from, so a stale cache costs a conflict
 * and never an address.  After a conflict, or a write whose outcome is not known, the pool is read
 * and its requests are planned again; one that was committed after all is found by its own record.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/ledger_impl.h"
#include "agent/pause.h"
#include "agent/rounds.h"
#include "agent/thread.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "k8s/ippool.h"

#define GATHER_MS 5          /* a batch waits so long for requests that are on their way */
#define NEWS_MS 20           /* after a conflict the news are waited for, before the pool is read */
#define CONFLICTS_OK 3       /* so many in a row are no reason for a pause besides the turns */
#define CONFLICT_MAX_MS 1000 /* longest pause after conflicts in a row */
#define ADMIT_AGAIN_MS 30000 /* after a failed admission */
#define STRAYS_MS 30000      /* pools that are labelled for others are looked at so seldom */

/* News from the informers. */
struct news {
	struct message message;
	enum ledger_scope scope;
	enum k8s_event_type type;
	struct pool_state *states;
	size_t n_states;
	struct ip_set set;
	char *text;
};

/* Jobs. */
static void give(struct ledger *l, struct job *job)
{
	unsigned int id = job->op == JOB_WRITE ? turns_id(job->name) : 0;
	int thread;

	job->number = ++l->clock;
	thread = jobs_give(l->jobs, job);
	if (thread >= 0)
		atomic_store(&l->writing[thread], id);
}

static bool is_writing(struct ledger *l, const char *pool)
{
	unsigned int id = turns_id(pool);

	for (size_t i = 0; i < ARRAY_LEN(l->writing); i++)
		if (atomic_load(&l->writing[i]) == id)
			return true;
	return false;
}

static struct job *job_new(enum job_op op, const struct slot *s)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->op = op;
	j->name = s ? xstrdup(s->at.p.name) : NULL;
	return j;
}

static bool start_slot(struct ledger *l, struct slot *s)
{
	struct job *j = NULL;

	if (s->busy || !mono_passed_at(s->not_before, l->now))
		return false;
	if (s->planned) {
		s->not_before = turns_next(&s->turns, l->now);
		if (!mono_passed_at(s->not_before, l->now))
			return false;
		failpoint("ledger-unwritten");
		j = job_new(JOB_WRITE, s);
		j->patch = ippool_status_patch(&s->next);
	} else if (s->want_read) {
		j = job_new(JOB_READ, s);
	} else if (s->want_admit && mono_passed_at(s->admit_not_before, l->now)) {
		j = job_new(JOB_ADMIT, s);
		j->patch = pool_state_admit_patch(&s->at);
		if (pool_state_is_for(&s->at, l->config.node))
			j->status_patch = pool_state_count_patch(&s->at);
		s->want_admit = false;
	}
	if (!j)
		return false;
	s->busy = true;
	give(l, j);
	return true;
}

static void start_lookup(struct ledger *l, struct lookup *u)
{
	struct job *j;

	if (!u->want || u->busy || !mono_passed_at(u->not_before, l->now))
		return;
	u->want = false;
	u->busy = true;
	j = job_new(JOB_READ, NULL);
	j->name = xstrdup(u->name);
	give(l, j);
}

/*
 * Before somebody is told that there is no pool.  Then, now and then, also for pools that became
 * this node's while they were labelled for one whose agent is no more: nobody else corrects that.
 */
static void start_list(struct ledger *l)
{
	struct job *j = job_new(JOB_LIST, NULL);

	l->want_list = false;
	l->listing = true;
	if (l->config.scoped && mono_passed_at(l->strays_before, l->now)) {
		l->strays_before = mono_after(l->now, STRAYS_MS);
		j->also = l->strays;
	}
	give(l, j);
}

static void start_jobs(struct ledger *l)
{
	if (l->want_list && !l->listing && mono_passed_at(l->list_not_before, l->now) &&
	    jobs_idle(l->jobs))
		start_list(l);
	for (size_t i = 0; i < l->n_slots && jobs_idle(l->jobs); i++)
		start_slot(l, l->slots[i]);
	for (size_t i = 0; i < l->n_lookups && jobs_idle(l->jobs); i++)
		start_lookup(l, &l->lookups[i]);
}

/* Trying again does not help: its requests fail, once nothing of theirs is being written. */
static void refuse_batch(struct ledger *l, struct slot *s, const struct err *e)
{
	struct ledger_part *part = slot_take_batch(s);

	while (part) {
		struct ledger_part *next = part->next;
		struct ledger_request *r = part->request;

		if (!r->text) {
			r->text = xasprintf("write IPPool %s: %s", s->at.p.name, e->msg);
			r->kind = e->kind;
			free(r->remedy);
			r->remedy = e->kind == ERR_CONFIG
			                    ? xasprintf(
						      "see what the API server does not take "
						      "of the pool: kubectl get spiderippool "
						      "%s -o yaml",
						      s->at.p.name)
			                    : NULL;
		}
		slot_close_part(l, s, part, false);
		part = next;
	}
}

static void count_conflict(struct ledger *l, const struct slot *s)
{
	bool add = false, del = false;

	for (const struct ledger_part *p = s->batch; p; p = p->next) {
		const struct ledger_request *r = p->request;

		add |= r->op == LEDGER_ADD;
		del |= r->op == LEDGER_DEL;
	}
	atomic_fetch_add(&l->conflicts, 1);
	atomic_fetch_add(&l->add_conflicts, add);
	atomic_fetch_add(&l->del_conflicts, del);
}

static void slot_failed(struct ledger *l, struct slot *s, const struct job *j)
{
	/* who was told of the other's write meanwhile need not read it */
	bool told = s->planned && version_compare(s->at.p.version, s->next.version) == 1;

	s->failures++;
	if (j->e.kind == ERR_CONFLICT) {
		count_conflict(l, s);
		turns_lost(&s->turns, l->now);
		/* who does not see the turns as others do gets out of their way */
		s->not_before = mono_after(l->now, s->failures < CONFLICTS_OK
		                                           ? told ? 0 : NEWS_MS
		                                           : spread_ms(j->took_ms + 1,
		                                                       s->failures - CONFLICTS_OK,
		                                                       CONFLICT_MAX_MS));
		log_debug("IPPool %s: somebody else wrote first", s->at.p.name);
	} else {
		s->not_before = mono_after(l->now, backoff_ms(s->failures, LEDGER_TROUBLE_MAX_MS));
		if (s->failures == 1)
			log_warn_err(&j->e, "IPPool %s", s->at.p.name);
		ledger_set_trouble(l, j->e.msg);
	}
	if (j->e.retry_ms)
		s->not_before = mono_after(l->now, j->e.retry_ms);
	/* trying again does not help */
	if (j->op == JOB_WRITE &&
	    (j->e.kind == ERR_FORBIDDEN || j->e.kind == ERR_IDENTITY || j->e.kind == ERR_CONFIG))
		refuse_batch(l, s, &j->e);
	if (j->op == JOB_ADMIT && j->e.kind != ERR_CONFLICT) {
		/* not worth holding up requests for */
		s->not_before = l->now;
		s->admit_not_before = mono_after(l->now, ADMIT_AGAIN_MS);
		s->want_admit = true;
	} else if (j->e.kind != ERR_CONFLICT || !told) {
		s->want_news = j->e.kind == ERR_CONFLICT && !s->want_read;
		s->want_read = true;
	}
	slot_unplan(l, s);
}

/* What was planned is what the store holds now, unless its news were quicker. */
static void take_next(struct ledger *l, struct slot *s, const struct job *j)
{
	s->planned = false;
	l->rounds_changed = true;
	if (version_compare(j->version, s->at.p.version) == -1) {
		/* the round is known to the plan alone */
		pool_move_rests(&s->at.p, &s->next);
		pool_release(&s->next);
		return;
	}
	free(s->next.version);
	s->next.version = xstrdup(j->version);
	pool_release(&s->at.p);
	s->at.p = s->next;
	memset(&s->next, 0, sizeof(s->next));
	s->at.recorded = (int64_t)s->at.p.n_records;
	IGNORE(json_opt_i64(json_get(j->patch, "status"), "totalIPCount", &s->at.total, NULL));
	s->touched = l->clock;
	atomic_store(&l->own[l->n_own++ % ARRAY_LEN(l->own)], version_number(j->version));
	slot_consider_admission(l, s);
}

static void slot_done(struct ledger *l, struct slot *s, struct job *j)
{
	bool write = j->op == JOB_WRITE;

	/* where reading works and writing does not, the pauses must still grow */
	if (j->op != JOB_READ)
		s->failures = 0;
	s->want_read = s->want_news = false;
	s->fresh = j->number;
	ledger_set_trouble(l, NULL);
	if (write) {
		take_next(l, s, j);
		turns_wrote(&s->turns, j->took_ms, l->now);
	}
	/* an event of a later write may have been quicker than the answer to ours */
	if (j->n_states && version_compare(j->states[0].p.version, s->at.p.version) != -1)
		slot_apply(l, &j->states[0]);
	/* a server that drops what we fill in must not be asked again and again */
	if (j->op == JOB_ADMIT && s->want_admit)
		s->admit_not_before = mono_after(l->now, ADMIT_AGAIN_MS);
	if (write)
		slot_close_batch(l, s, true);
}

static void list_done(struct ledger *l, struct job *j)
{
	l->listing = false;
	if (j->rc < 0) {
		l->want_list = true;
		l->list_not_before =
			mono_after(l->now, backoff_ms(++l->list_failures, LEDGER_TROUBLE_MAX_MS));
		ledger_set_trouble(l, j->e.msg);
		return;
	}
	l->list_failures = 0;
	ledger_set_trouble(l, NULL);
	ledger_take_list(l, LEDGER_SCOPE_ALL, j->states, j->n_states, j->number);
	l->listed = j->number;
	for (size_t i = 0; i < l->n_slots; i++)
		if (!l->slots[i]->busy && ledger_is_watched(l, &l->slots[i]->at))
			l->slots[i]->fresh = j->number;
}

static void job_done(struct ledger *l, struct job *j)
{
	struct lookup *u = j->op == JOB_READ ? ledger_find_lookup(l, j->name) : NULL;
	struct slot *s = j->name ? ledger_find_slot(l, j->name) : NULL;

	jobs_done(l->jobs, j);
	atomic_store(&l->writing[j->thread], 0);
	atomic_fetch_add(&l->pool_writes, j->writes);
	if (j->op == JOB_LIST) {
		list_done(l, j);
	} else if (u && u->busy) {
		ledger_lookup_done(l, u, j);
	} else if (s) {
		s->busy = false;
		if (j->rc == 0)
			slot_done(l, s, j);
		else if (j->e.kind == ERR_NOT_FOUND && s->touched < j->number)
			slot_remove(l, s); /* and not made anew meanwhile */
		else
			slot_failed(l, s, j);
	}
	job_free(j);
}

/* The mailbox. */
static void compare_containers(struct ledger_request *old, struct ledger_request *r)
{
	if (old->op != LEDGER_ADD || !streq(old->cid, r->cid) ||
	    (*r->nic && !streq(old->nic, r->nic)))
		return;
	old->deleted |= r->op == LEDGER_DEL;
	r->repeats |= r->op == LEDGER_ADD;
}

static void receive_request(struct ledger *l, struct ledger_request *r)
{
	r->seen = ++l->clock;
	l->dels += r->op == LEDGER_DEL || r->op == LEDGER_FREE;
	if (r->op == LEDGER_DEL || r->op == LEDGER_ADD) {
		for (struct ledger_request *a = l->pending; a; a = a->next)
			compare_containers(a, r);
		for (size_t i = 0; i < l->n_slots; i++)
			for (struct ledger_part *p = l->slots[i]->batch; p; p = p->next)
				compare_containers(p->request, r);
	}
	if (!l->gather_until.ms)
		l->gather_until = mono_after(l->now, GATHER_MS);
	ledger_pend(l, r);
}

static void news_free(struct news *n)
{
	pool_states_free(n->states, n->n_states);
	ip_set_release(&n->set);
	free(n->text);
	free(n);
}

static void add_all(struct ip_set *to, const struct ip_set *from)
{
	for (size_t i = 0; i < from->n; i++)
		ip_set_add(to, from->v[i]);
}

static void replace_set(struct ledger *l, struct ip_set *set, struct news *n)
{
	ip_set_release(set);
	*set = n->set;
	n->set = (struct ip_set)IP_SET_INIT;
	ip_set_release(&l->blocked);
	add_all(&l->blocked, &l->reserved);
	add_all(&l->blocked, &l->node_addresses);
}

static void receive_news(struct ledger *l, struct news *n)
{
	switch (n->message.type) {
	case MESSAGE_POOLS:
		/* the informer's list: what it does not hold yet, its events bring */
		ledger_take_list(l, n->scope, n->states, n->n_states, UINT64_MAX);
		break;
	case MESSAGE_POOL:
		if (n->n_states)
			ledger_take_event(l, n->scope, n->type, n->states);
		break;
	case MESSAGE_RESERVED:
		replace_set(l, &l->reserved, n);
		l->know_reserved = true;
		break;
	case MESSAGE_NODE_ADDRESSES:
		replace_set(l, &l->node_addresses, n);
		break;
	default:
		ledger_set_trouble(l, n->text);
		break;
	}
	news_free(n);
}

/* A turn begins: with what is there until then, and with a look at the clock. */
static void receive(struct ledger *l, struct mono until)
{
	struct queue_item *item = queue_take_all(&l->mailbox, until);

	l->now_us = mono_us();
	l->now.ms = l->now_us / 1000;
	while (item) {
		struct message *m = (struct message *)item;

		item = item->next;
		if (m->type == MESSAGE_REQUEST)
			receive_request(l, (struct ledger_request *)m);
		else if (m->type == MESSAGE_JOB)
			job_done(l, (struct job *)m);
		else
			receive_news(l, (struct news *)m);
	}
}

static struct mono next_round(const struct ledger *l)
{
	struct mono t = mono_after(l->now, 20000), now = l->now;

	for (const struct ledger_request *r = l->pending; r; r = r->next)
		t = mono_min(t, r->deadline);
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct slot *s = l->slots[i];

		/* in the past: it waits for a thread, which wakes us */
		if ((s->planned || s->want_read) && s->not_before.ms > now.ms)
			t = mono_min(t, s->not_before);
		if (s->want_admit && s->admit_not_before.ms > now.ms)
			t = mono_min(t, s->admit_not_before);
	}
	if (l->want_list && l->list_not_before.ms > now.ms)
		t = mono_min(t, l->list_not_before);
	for (size_t i = 0; i < l->n_lookups; i++)
		if (l->lookups[i].want && l->lookups[i].not_before.ms > now.ms)
			t = mono_min(t, l->lookups[i].not_before);
	return t;
}

static bool is_gathering(struct ledger *l)
{
	if (l->gather_until.ms && atomic_load(&l->arriving) > 0 &&
	    !mono_passed_at(l->gather_until, l->now))
		return true;
	l->gather_until.ms = 0;
	return false;
}

static void round_of(struct ledger *l)
{
	atomic_store(&l->beat, l->now.ms);
	atomic_store(&l->synced, l->know_node_pools && l->know_free_pools && l->know_reserved);
	if (is_gathering(l))
		return;
	ledger_drop_idle(l);
	ledger_trim_lookups(l);
	if (l->overlaps_stale)
		ledger_find_overlaps(l);
	do {
		l->again = false;
		plan(l);
	} while (l->again);
	start_jobs(l);
}

void ledger_step(struct ledger *l)
{
	struct mono t = l->gather_until.ms ? l->gather_until : next_round(l);

	receive(l, t);
	round_of(l);
}

static void *ledger_main(void *arg)
{
	struct ledger *l = arg;

	while (!queue_closed(&l->mailbox))
		ledger_step(l);
	receive(l, l->now);
	for (size_t i = 0; i < l->n_slots; i++)
		slot_unplan(l, l->slots[i]);
	while (l->pending) {
		struct ledger_request *r = l->pending;

		l->pending = r->next;
		ledger_answer(l, r, ERR_UNREACHABLE, xstrdup("the agent is being stopped"));
	}
	return NULL;
}

int ledger_start(const struct ledger_config *config, struct ledger **out, struct err *e)
{
	struct ledger *l = xcalloc(1, sizeof(*l));

	l->now = mono_now();
	l->config = *config;
	l->node_label = pool_node_label(config->node);
	l->selectors[0] = l->node_label;
	l->selectors[1] = "!" POOL_LABEL_PINNED;
	l->strays = xasprintf(POOL_LABEL_PINNED ",!%s", l->node_label);
	l->pending_tail = &l->pending;
	atomic_init(&l->beat, l->now.ms);
	queue_init(&l->mailbox);
	if (jobs_start(config->store, l->selectors, config->scoped ? ARRAY_LEN(l->selectors) : 0,
	               &l->mailbox, &l->jobs, e) < 0 ||
	    thread_start(&l->thread, ledger_main, l, e) < 0) {
		jobs_stop(l->jobs);
		queue_release(&l->mailbox);
		free(l->node_label);
		free(l->strays);
		free(l);
		return -1;
	}
	*out = l;
	return 0;
}

void ledger_stop(struct ledger *l)
{
	if (!l)
		return;
	queue_close(&l->mailbox);
	pthread_join(l->thread, NULL);
	jobs_stop(l->jobs);
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	ledger_release_slots(l);
	free(l->node_label);
	free(l->strays);
	ip_set_release(&l->reserved);
	ip_set_release(&l->node_addresses);
	ip_set_release(&l->blocked);
	free(l->trouble);
	queue_release(&l->mailbox);
	free(l);
}

void ledger_arriving(struct ledger *l, int delta)
{
	atomic_fetch_add(&l->arriving, delta);
}

/* News.  Those of a pool that is being written may be that write's own, and wait for its answer. */
static void send_news(struct ledger *l, struct news *n, enum message_type type, const char *pool)
{
	n->message.type = type;
	if (!queue_put_quietly(&l->mailbox, &n->message.item))
		news_free(n);
	/* looked at last: whoever is not awake has no answer before him */
	else if (!pool || !is_writing(l, pool))
		queue_wake(&l->mailbox);
}

void ledger_pools_listed(struct ledger *l, enum ledger_scope scope, const json *items)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->scope = scope;
	n->states = pool_states_read(items, &n->n_states);
	send_news(l, n, MESSAGE_POOLS, NULL);
}

/* The ledger has that version already, and reading thousands of records costs time. */
static bool is_own_write(struct ledger *l, const json *object)
{
	uint64_t version = version_number(json_str_at(object, "metadata", "resourceVersion", NULL));

	for (size_t i = 0; i < ARRAY_LEN(l->own) && version; i++)
		if (atomic_load(&l->own[i]) == version)
			return true;
	return false;
}

void ledger_pool_event(struct ledger *l, enum ledger_scope scope, enum k8s_event_type type,
                       const json *object)
{
	struct news *n;
	struct err e;

	if (type == K8S_MODIFIED && is_own_write(l, object))
		return;
	n = xcalloc(1, sizeof(*n));
	n->scope = scope;
	n->type = type;
	n->states = xcalloc(1, sizeof(*n->states));
	if (pool_state_read(object, n->states, &e) < 0)
		log_warn_err(&e, "left out");
	else
		n->n_states = 1;
	send_news(l, n, MESSAGE_POOL, json_str_at(object, "metadata", "name", NULL));
}

static void send_set(struct ledger *l, struct ip_set *set, enum message_type type)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->set = *set;
	*set = (struct ip_set)IP_SET_INIT;
	send_news(l, n, type, NULL);
}

void ledger_reserved(struct ledger *l, struct ip_set *set)
{
	send_set(l, set, MESSAGE_RESERVED);
}

void ledger_node_addresses(struct ledger *l, struct ip_set *set)
{
	send_set(l, set, MESSAGE_NODE_ADDRESSES);
}

void ledger_trouble(struct ledger *l, const struct err *e)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->text = xstrdup(e->msg);
	send_news(l, n, MESSAGE_TROUBLE, NULL);
}

unsigned int ledger_needs(struct ledger *l)
{
	return atomic_load(&l->needs);
}

bool ledger_synced(struct ledger *l)
{
	return atomic_load(&l->synced);
}

bool ledger_alive(struct ledger *l)
{
	return mono_now().ms - atomic_load(&l->beat) < 60000;
}

struct ledger_stats ledger_stats(struct ledger *l)
{
	return (struct ledger_stats){
		atomic_load(&l->pool_writes),   atomic_load(&l->adds),
		atomic_load(&l->dels_done),     atomic_load(&l->conflicts),
		atomic_load(&l->add_conflicts), atomic_load(&l->del_conflicts)
	};
}
