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
 *
 * Old news: an event is ignored unless its version is newer than what we have, which our own
 * writes and reads move forward.  Where versions cannot be compared the pool is read.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/ledger_impl.h"
#include "agent/pause.h"
#include "agent/thread.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "k8s/ippool.h"

#define GATHER_MS 5          /* a batch waits so long for requests that are on their way */
#define CONFLICT_MAX_MS 500  /* longest pause after conflicts in a row */
#define TROUBLE_MAX_MS 2000  /* longest pause while the store does not answer */
#define OVERLAP_DEPTH 16     /* pools that yield to pools that yield ... */
#define ADMIT_AGAIN_MS 30000 /* after a failed admission */

enum request_state { REQUEST_WAITING, REQUEST_ANSWERED, REQUEST_ABANDONED };

/* News from the informers. */
struct news {
	struct message message;
	enum k8s_event_type type;
	struct pool_state *states;
	size_t n_states;
	struct ip_set reserved;
	char *text;
};

/* Values that leave the ledger. */
void grant_release(struct grant *g)
{
	free(g->nic);
	free(g->pool);
	free(g->routes);
	memset(g, 0, sizeof(*g));
}

void pod_grants_free(struct pod_grants *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		grant_release(&g->v[i]);
	free(g->v);
	free(g->pod);
	free(g->uid);
	free(g);
}

static struct grant grant_of(const struct pool *p, struct ip ip, const char *nic)
{
	struct grant g = {
		.nic = xstrdup(nic),
		.pool = xstrdup(p->name),
		.address = { ip, p->subnet.len },
		.gateway = p->gateway,
		.n_routes = p->n_routes,
	};

	if (p->n_routes) {
		g.routes = xcalloc(p->n_routes, sizeof(*g.routes));
		memcpy(g.routes, p->routes, p->n_routes * sizeof(*g.routes));
	}
	return g;
}

/* uid "": of whichever pod of that name. */
struct pod_grants *ledger_grants(struct ledger *l, const char *pod, const char *uid)
{
	struct pod_grants *g = xcalloc(1, sizeof(*g));
	size_t cap = 0;

	g->pod = xstrdup(pod);
	g->uid = xstrdup(uid);
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct pool *p = &l->slots[i]->at.p;

		for (size_t k = 0; k < p->n_records; k++) {
			const struct pool_record *r = &p->records[k];

			if (!streq(r->pod, pod) || (*uid && !streq(r->uid, uid)))
				continue;
			if (!*g->uid) {
				free(g->uid);
				g->uid = xstrdup(r->uid);
				uid = g->uid;
			}
			g->v = xgrow(g->v, &cap, g->n + 1, sizeof(*g->v));
			g->v[g->n++] = grant_of(p, r->ip, *r->nic ? r->nic : "eth0");
		}
	}
	return g;
}

/* Requests. */
static char *copy_or_empty(const char *s)
{
	return xstrdup(s ? s : "");
}

struct ledger_request *ledger_request_new(enum ledger_op op, const char *pod, const char *uid,
                                          const char *nic, const char *cid, struct mono deadline,
                                          int event)
{
	struct ledger_request *r = xcalloc(1, sizeof(*r));

	r->message.type = MESSAGE_REQUEST;
	r->op = op;
	r->pod = copy_or_empty(pod);
	r->uid = copy_or_empty(uid);
	r->nic = copy_or_empty(nic);
	r->cid = copy_or_empty(cid);
	r->deadline = deadline;
	r->event = event;
	atomic_init(&r->state, REQUEST_WAITING);
	return r;
}

void ledger_request_free(struct ledger_request *r)
{
	if (!r)
		return;
	free(r->pod);
	free(r->uid);
	free(r->nic);
	free(r->cid);
	free(r->network);
	free(r->network_error);
	for (size_t i = 0; i < r->n_pools; i++)
		free(r->pools[i]);
	free(r->pools);
	free(r->text);
	free(r->why);
	grant_release(&r->grant);
	pod_grants_free(r->grants);
	free(r);
}

bool ledger_submit(struct ledger *l, struct ledger_request *r)
{
	return queue_put(&l->mailbox, &r->message.item);
}

static bool settle(struct ledger_request *r, int state)
{
	int waiting = REQUEST_WAITING;

	return atomic_compare_exchange_strong(&r->state, &waiting, state);
}

bool ledger_abandon(struct ledger_request *r)
{
	return settle(r, REQUEST_ABANDONED);
}

bool ledger_is_abandoned(struct ledger_request *r)
{
	return atomic_load(&r->state) == REQUEST_ABANDONED;
}

/* text is taken.  The request is not ours any more afterwards. */
void ledger_answer(struct ledger *l, struct ledger_request *r, enum err_kind kind, char *text)
{
	int event = r->event;
	uint64_t one = 1;

	(void)l;
	free(r->text);
	r->text = text;
	r->kind = kind;
	if (event < 0 || !settle(r, REQUEST_ANSWERED)) {
		ledger_request_free(r);
		return;
	}
	/* refuses only when the counter is at its end, which nobody's is */
	if (write(event, &one, sizeof(one)) < 0)
		log_warn("a request's event cannot be raised");
}

/* The address planned for r is in the store. */
void ledger_committed(struct ledger *l, struct slot *s, struct ledger_request *r)
{
	struct pod_grants *g = ledger_grants(l, r->pod, r->uid);

	for (size_t i = 0; i < g->n; i++) {
		if (!streq(g->v[i].nic, r->nic))
			continue;
		g->v[i].clean_gateway = r->clean_gateway;
		g->v[i].clean_known = true;
	}
	grant_release(&r->grant);
	r->grant = grant_of(&s->at.p, r->planned, r->nic);
	atomic_fetch_add(&l->adds, 1);
	ledger_answer(l, r, ERR_NONE, NULL);
	failpoint("ledger-answered");
	l->config.changed(l->config.ctx, g);
}

static void pend(struct ledger *l, struct ledger_request *r)
{
	r->next = NULL;
	*l->pending_tail = r;
	l->pending_tail = &r->next;
}

/* Slots. */
static struct slot *find_slot(struct ledger *l, const char *name)
{
	for (size_t i = 0; i < l->n_slots; i++)
		if (streq(l->slots[i]->at.p.name, name))
			return l->slots[i];
	return NULL;
}

/* Its requests wait again. */
static void unplan(struct ledger *l, struct slot *s)
{
	struct ledger_request *r = s->batch;

	s->batch = NULL;
	s->batch_tail = &s->batch;
	if (s->planned)
		pool_release(&s->next);
	s->planned = false;
	while (r) {
		struct ledger_request *next = r->next;

		pend(l, r);
		r = next;
	}
}

static void slot_free(struct slot *s)
{
	pool_state_release(&s->at);
	if (s->planned)
		pool_release(&s->next);
	free(s->overlap);
	free(s);
}

static void remove_slot(struct ledger *l, struct slot *s)
{
	size_t kept = 0;

	unplan(l, s);
	for (size_t i = 0; i < l->n_slots; i++)
		if (l->slots[i] != s)
			l->slots[kept++] = l->slots[i];
	l->n_slots = kept;
	l->overlaps_stale = true;
	log_debug("IPPool %s is gone", s->at.p.name);
	slot_free(s);
}

static void note_bad(const struct slot *s, const char *before)
{
	const char *now = s->at.p.bad;

	if (now && (!before || !streq(before, now)))
		log_warn("IPPool %s is not used: %s", s->at.p.name, now);
	else if (!now && before)
		log_info("IPPool %s is usable again", s->at.p.name);
}

static void consider_admission(struct ledger *l, struct slot *s)
{
	AUTO_JSON *object = NULL;
	AUTO_JSON *status = NULL;

	if (!pool_state_is_for(&s->at, l->config.node))
		return;
	object = pool_state_admit_patch(&s->at);
	status = pool_state_count_patch(&s->at);
	s->want_admit = object || status;
}

/* What the store told about a pool; state's contents are taken. */
static struct slot *apply(struct ledger *l, struct pool_state *state)
{
	struct slot *s = find_slot(l, state->p.name);

	if (!s) {
		s = xcalloc(1, sizeof(*s));
		s->batch_tail = &s->batch;
		l->slots = xgrow(l->slots, &l->cap_slots, l->n_slots + 1, sizeof(struct slot *));
		l->slots[l->n_slots++] = s;
		l->overlaps_stale = true;
		s->at = *state;
		note_bad(s, NULL);
	} else {
		struct pool_state old = s->at;

		state->p.last = old.p.last; /* the round goes on */
		s->at = *state;
		if (old.generation != s->at.generation || !streq(old.p.uid, s->at.p.uid))
			l->overlaps_stale = true;
		note_bad(s, old.p.bad);
		pool_state_release(&old);
		/* a plan from an older state would only be refused */
		if (s->planned && !s->busy)
			unplan(l, s);
	}
	memset(state, 0, sizeof(*state));
	s->touched = l->clock;
	consider_admission(l, s);
	return s;
}

/* News: only when it is newer. */
static void apply_news(struct ledger *l, struct pool_state *state)
{
	struct slot *s = find_slot(l, state->p.name);
	int c = s ? version_compare(state->p.version, s->at.p.version) : 1;

	if (c == 1)
		apply(l, state);
	else if (c == 2)
		s->want_read = true;
}

/* Not those of which we were told after the list was asked for. */
static void drop_missing(struct ledger *l, const struct news *n, uint64_t asked)
{
	for (size_t i = 0; i < l->n_slots;) {
		struct slot *s = l->slots[i];
		bool there = false;

		for (size_t k = 0; k < n->n_states && !there; k++)
			there = streq(n->states[k].p.name, s->at.p.name);
		if (there || s->busy || s->touched >= asked)
			i++;
		else
			remove_slot(l, s);
	}
}

static void pools_listed(struct ledger *l, struct news *n, uint64_t asked)
{
	drop_missing(l, n, asked);
	for (size_t i = 0; i < n->n_states; i++)
		apply_news(l, &n->states[i]);
	l->know_pools = true;
}

static void pool_event(struct ledger *l, const struct news *n)
{
	for (size_t i = 0; i < n->n_states; i++) {
		struct pool_state *state = &n->states[i];
		struct slot *s = find_slot(l, state->p.name);

		if (n->type != K8S_DELETED)
			apply_news(l, state);
		else if (s && streq(s->at.p.uid, state->p.uid) && s->busy)
			s->want_read = true;
		else if (s && streq(s->at.p.uid, state->p.uid))
			remove_slot(l, s);
	}
}

/*
 * Does it yield to an older pool?  One that yields itself counts for nothing: a mistaken pool must
 * not put all later ones out of use.  Ages only fall, so it ends; at the greatest depth the older
 * pool counts.
 */
static void decide_overlap(struct ledger *l, struct slot *s,
                           int depth) /* NOLINT(misc-no-recursion): depth bounded */
{
	AUTO_FREE char *before = s->overlap;

	s->overlap = NULL;
	s->decided = true;
	for (size_t k = 0; k < l->n_slots && !s->overlap; k++) {
		struct slot *older = l->slots[k];

		s->overlap = pool_state_overlap(&s->at, &older->at);
		if (!s->overlap)
			continue;
		if (!older->decided && depth < OVERLAP_DEPTH)
			decide_overlap(l, older, depth + 1);
		if (older->decided && older->overlap) {
			free(s->overlap);
			s->overlap = NULL;
		}
	}
	if (s->overlap && pool_state_is_for(&s->at, l->config.node) &&
	    (!before || !streq(before, s->overlap)))
		log_warn("IPPool %s is not used: %s", s->at.p.name, s->overlap);
}

static void find_overlaps(struct ledger *l)
{
	l->overlaps_stale = false;
	for (size_t i = 0; i < l->n_slots; i++)
		l->slots[i]->decided = false;
	for (size_t i = 0; i < l->n_slots; i++)
		if (!l->slots[i]->decided && pool_state_is_for(&l->slots[i]->at, l->config.node))
			decide_overlap(l, l->slots[i], 0);
}

/* Jobs. */
static void set_trouble(struct ledger *l, const char *text)
{
	free(l->trouble);
	l->trouble = text ? xstrdup(text) : NULL;
}

static void give(struct ledger *l, struct job *job)
{
	job->number = ++l->clock;
	jobs_give(l->jobs, job);
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

	if (s->busy || !mono_passed(s->not_before))
		return false;
	if (s->planned) {
		failpoint("ledger-unwritten");
		j = job_new(JOB_WRITE, s);
		j->patch = ippool_status_patch(&s->next);
	} else if (s->want_read) {
		j = job_new(JOB_READ, s);
	} else if (s->want_admit && mono_passed(s->admit_not_before)) {
		j = job_new(JOB_ADMIT, s);
		j->patch = pool_state_admit_patch(&s->at);
		j->status_patch = pool_state_count_patch(&s->at);
		s->want_admit = false;
	}
	if (!j)
		return false;
	s->busy = true;
	give(l, j);
	return true;
}

static void start_jobs(struct ledger *l)
{
	if (l->want_list && !l->listing && mono_passed(l->list_not_before) && jobs_idle(l->jobs)) {
		l->want_list = false;
		l->listing = true;
		give(l, job_new(JOB_LIST, NULL));
	}
	for (size_t i = 0; i < l->n_slots && jobs_idle(l->jobs); i++)
		start_slot(l, l->slots[i]);
}

static void commit(struct ledger *l, struct slot *s)
{
	struct ledger_request *r = s->batch;

	failpoint("ledger-acknowledged");
	s->batch = NULL;
	s->batch_tail = &s->batch;
	while (r) {
		struct ledger_request *next = r->next;

		if (r->op == LEDGER_ADD)
			ledger_committed(l, s, r);
		else
			pend(l, r); /* what else the container holds */
		r = next;
	}
}

static void refuse_batch(struct ledger *l, struct slot *s, const struct err *e)
{
	struct ledger_request *r = s->batch;

	s->batch = NULL;
	s->batch_tail = &s->batch;
	while (r) {
		struct ledger_request *next = r->next;

		ledger_answer(l, r, e->kind,
		              xasprintf("write IPPool %s: %s", s->at.p.name, e->msg));
		r = next;
	}
}

static void slot_failed(struct ledger *l, struct slot *s, const struct job *j)
{
	s->failures++;
	if (j->e.kind == ERR_CONFLICT) {
		atomic_fetch_add(&l->conflicts, 1);
		s->not_before = mono_in(backoff_ms(s->failures, CONFLICT_MAX_MS));
		log_debug("IPPool %s: somebody else wrote first", s->at.p.name);
	} else {
		s->not_before = mono_in(backoff_ms(s->failures, TROUBLE_MAX_MS));
		if (s->failures == 1)
			log_warn_err(&j->e, "IPPool %s", s->at.p.name);
		set_trouble(l, j->e.msg);
	}
	if (j->e.retry_ms)
		s->not_before = mono_in(j->e.retry_ms);
	/* trying again does not help */
	if (j->op == JOB_WRITE && (j->e.kind == ERR_FORBIDDEN || j->e.kind == ERR_CONFIG))
		refuse_batch(l, s, &j->e);
	if (j->op == JOB_ADMIT && j->e.kind != ERR_CONFLICT) {
		/* not worth holding up requests for */
		s->not_before = mono_now();
		s->admit_not_before = mono_in(ADMIT_AGAIN_MS);
		s->want_admit = true;
	} else {
		s->want_read = true;
	}
	unplan(l, s);
}

/* What was planned is what the store holds now, unless its news were quicker. */
static void take_next(struct ledger *l, struct slot *s, const struct job *j)
{
	s->planned = false;
	if (version_compare(j->version, s->at.p.version) == -1) {
		/* the round robin's place is known to the plan alone */
		s->at.p.last = s->next.last;
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
	consider_admission(l, s);
}

static void slot_done(struct ledger *l, struct slot *s, struct job *j)
{
	bool write = j->op == JOB_WRITE;

	s->failures = 0;
	s->want_read = false;
	s->fresh = j->number;
	set_trouble(l, NULL);
	if (write)
		take_next(l, s, j);
	/* an event of a later write may have been quicker than the answer to ours */
	if (j->n_states && version_compare(j->states[0].p.version, s->at.p.version) != -1)
		apply(l, &j->states[0]);
	/* a server that drops what we fill in must not be asked again and again */
	if (j->op == JOB_ADMIT && s->want_admit)
		s->admit_not_before = mono_in(ADMIT_AGAIN_MS);
	if (write)
		commit(l, s);
}

static void list_done(struct ledger *l, struct job *j)
{
	struct news n = { .states = j->states, .n_states = j->n_states };

	l->listing = false;
	if (j->rc < 0) {
		l->want_list = true;
		l->list_not_before = mono_in(backoff_ms(++l->list_failures, TROUBLE_MAX_MS));
		set_trouble(l, j->e.msg);
		return;
	}
	l->list_failures = 0;
	set_trouble(l, NULL);
	pools_listed(l, &n, j->number);
	l->listed = j->number;
	for (size_t i = 0; i < l->n_slots; i++)
		if (!l->slots[i]->busy)
			l->slots[i]->fresh = j->number;
}

static void job_done(struct ledger *l, struct job *j)
{
	struct slot *s = j->name ? find_slot(l, j->name) : NULL;

	jobs_done(l->jobs, j);
	atomic_fetch_add(&l->pool_writes, j->writes);
	if (j->op == JOB_LIST) {
		list_done(l, j);
	} else if (s) {
		s->busy = false;
		if (j->rc == 0)
			slot_done(l, s, j);
		else if (j->e.kind == ERR_NOT_FOUND && s->touched < j->number)
			remove_slot(l, s); /* and not made anew meanwhile */
		else
			slot_failed(l, s, j);
	}
	job_free(j);
}

/* The mailbox. */
static void mark_deleted(struct ledger_request *list, const struct ledger_request *del)
{
	for (struct ledger_request *r = list; r; r = r->next)
		if (r->op == LEDGER_ADD && streq(r->cid, del->cid) &&
		    (!*del->nic || streq(r->nic, del->nic)))
			r->deleted = true;
}

static void receive_request(struct ledger *l, struct ledger_request *r)
{
	r->seen = ++l->clock;
	if (r->op == LEDGER_DEL) {
		mark_deleted(l->pending, r);
		for (size_t i = 0; i < l->n_slots; i++)
			mark_deleted(l->slots[i]->batch, r);
	}
	if (!l->gather_until.ms)
		l->gather_until = mono_in(GATHER_MS);
	pend(l, r);
}

static void news_free(struct news *n)
{
	pool_states_free(n->states, n->n_states);
	ip_set_release(&n->reserved);
	free(n->text);
	free(n);
}

static void receive_news(struct ledger *l, struct news *n)
{
	switch (n->message.type) {
	case MESSAGE_POOLS:
		/* the informer's list: what it does not hold yet, its events bring */
		pools_listed(l, n, UINT64_MAX);
		break;
	case MESSAGE_POOL:
		pool_event(l, n);
		break;
	case MESSAGE_RESERVED:
		ip_set_release(&l->reserved);
		l->reserved = n->reserved;
		n->reserved = (struct ip_set)IP_SET_INIT;
		l->know_reserved = true;
		break;
	default:
		set_trouble(l, n->text);
		break;
	}
	news_free(n);
}

static void receive(struct ledger *l, struct queue_item *item)
{
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
	struct mono t = mono_in(20000), now = mono_now();

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
	return t;
}

static bool is_gathering(struct ledger *l)
{
	if (l->gather_until.ms && atomic_load(&l->arriving) > 0 && !mono_passed(l->gather_until))
		return true;
	l->gather_until.ms = 0;
	return false;
}

static void round_of(struct ledger *l)
{
	atomic_store(&l->beat, mono_now().ms);
	atomic_store(&l->synced, l->know_pools && l->know_reserved);
	if (is_gathering(l))
		return;
	if (l->overlaps_stale)
		find_overlaps(l);
	plan(l);
	start_jobs(l);
}

static void *ledger_main(void *arg)
{
	struct ledger *l = arg;

	while (!queue_closed(&l->mailbox)) {
		struct mono t = l->gather_until.ms ? l->gather_until : next_round(l);

		receive(l, queue_take_all(&l->mailbox, t));
		round_of(l);
	}
	receive(l, queue_take_all(&l->mailbox, mono_now()));
	for (size_t i = 0; i < l->n_slots; i++)
		unplan(l, l->slots[i]);
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

	l->config = *config;
	l->pending_tail = &l->pending;
	atomic_init(&l->beat, mono_now().ms);
	queue_init(&l->mailbox);
	if (jobs_start(config->store, &l->mailbox, &l->jobs, e) < 0 ||
	    thread_start(&l->thread, ledger_main, l, e) < 0) {
		jobs_stop(l->jobs);
		queue_release(&l->mailbox);
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
	for (size_t i = 0; i < l->n_slots; i++)
		slot_free(l->slots[i]);
	free(l->slots);
	ip_set_release(&l->reserved);
	free(l->trouble);
	queue_release(&l->mailbox);
	free(l);
}

void ledger_arriving(struct ledger *l, int delta)
{
	atomic_fetch_add(&l->arriving, delta);
}

/* News. */
static void send_news(struct ledger *l, struct news *n, enum message_type type)
{
	n->message.type = type;
	if (!queue_put(&l->mailbox, &n->message.item))
		news_free(n);
}

void ledger_pools_listed(struct ledger *l, const json *items)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->states = pool_states_read(items, &n->n_states);
	send_news(l, n, MESSAGE_POOLS);
}

void ledger_pool_event(struct ledger *l, enum k8s_event_type type, const json *object)
{
	struct news *n = xcalloc(1, sizeof(*n));
	AUTO_JSON *list = json_new_array();

	json_append(list, json_copy(object));
	n->type = type;
	n->states = pool_states_read(list, &n->n_states);
	send_news(l, n, MESSAGE_POOL);
}

void ledger_reserved(struct ledger *l, struct ip_set *set)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->reserved = *set;
	*set = (struct ip_set)IP_SET_INIT;
	send_news(l, n, MESSAGE_RESERVED);
}

void ledger_trouble(struct ledger *l, const struct err *e)
{
	struct news *n = xcalloc(1, sizeof(*n));

	n->text = xstrdup(e->msg);
	send_news(l, n, MESSAGE_TROUBLE);
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
	return (struct ledger_stats){ atomic_load(&l->pool_writes), atomic_load(&l->adds),
		                      atomic_load(&l->dels), atomic_load(&l->conflicts) };
}
