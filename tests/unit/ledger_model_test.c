/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/choice.c agent/networks.c agent/ledger.c agent/slots.c agent/plan.c agent/requests.c agent/rounds.c agent/turns.c */
/* links: agent/poolstate.c k8s/ippool.c k8s/labels.c pool/ net/ip.c json/json.c base/err.c */
/* links: base/mem.c base/str.c base/log.c base/date.c base/file.c base/strtod.c */
/* libs: cjson */
/* flags: -Wl,--wrap=write,--wrap=pthread_join,--wrap=time -Wno-missing-field-initializers */
/*
 * ledger_model_test.c - the real ledger in small worlds, in every order of what can happen.
 *
 * Theory of operation: a world is a store of pools, one or two ledgers, and a script of requests
 * and edits.  Threads, clock and queues are ours, so that nothing happens unless this driver
 * chooses it: a request is sent, a job reaches the store, its answer comes back or gets lost, an
 * event is heard, time passes, a client gives up, an agent is killed.  A world is explored depth
 * first: each run begins anew and follows the choices of the last one up to where it differs.  A
 * state that was seen is not entered again; its fingerprint holds all that decides the future, with
 * versions and clocks as ranks.  Faults are bounded by number, everything else is not.
 *
 * After each choice the store and the answers are compared with what was promised: see check_now()
 * and check_end().
 *
 * The first violation is printed with its choices.  To see them happen:
 *
 *   MODEL_WORLD=NAME MODEL_REPLAY=0.2.1 build/unit/ledger_model_test.gcc
 *
 * MODEL_FAULTS=N allows N faults more than usual, MODEL_TRACE=1 tells how many states there are at
 * each 10,000th.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ledger_impl.h"
#include "agent/pause.h"
#include "agent/thread.h"
#include "base/log.h"
#include "k8s/ippool.h"

#define AGENTS 2
#define POOLS 2
#define STEPS 6
#define ZOMBIES 4
#define CHOICES 64
#define DEPTH 400
#define EVENTS 128
#define SOON_MS 1000 /* longer than any pause, shorter than any deadline */
#define FIRST_EVENT 1000
#define NIC "eth0"

/* What may go wrong, each time at the cost of one fault. */
enum fault {
	LOST = 1 << 0,      /* a write is done, and its answer does not come */
	UNDONE = 1 << 1,    /* a job does not reach the store */
	FORBIDDEN = 1 << 2, /* a write is refused for good */
	LATE = 1 << 3,      /* a write is given up, and may be done yet; so are those of a crash */
	CRASH = 1 << 4,     /* an agent is killed and started anew */
	DEADLINE = 1 << 5,  /* the earliest deadline of a request passes */
	HANGUP = 1 << 6,    /* a client goes away */
	TOO_LATE = 1 << 7,  /* it gives up, and wants nothing any more */
};

enum op { ADD, DEL, FREE, QUARANTINE, SHRINK, DISABLE, DELETE, TOUCH, SPOIL };

static const char *const op_names[] = { "ADD",     "DEL",    "FREE",  "QUARANTINE", "shrink",
	                                "disable", "delete", "touch", "spoil" };

struct step {
	enum op op;
	const char *pod, *uid, *cid;
	unsigned int after; /* bits of the steps that are over by then */
	int agent;
	int of; /* of FREE and QUARANTINE: the addresses that this ADD got */
	bool keep;
	int pool; /* of edits */
};

struct world_spec {
	const char *name;
	const char *ips[POOLS]; /* the second pool is IPv6 when its addresses are */
	const char *records;    /* of the first pool, from before */
	struct step steps[STEPS];
	int n_agents;
	int faults;
	unsigned int kinds; /* enum fault */
	bool gathers;       /* messages may gather in the mailboxes */
	bool deaf;          /* there is no watch */
};

enum fate { UNSENT, WAITS, DONE, REFUSED, GAVE_UP, SKIPPED };

/* What is known of a step, by its client. */
struct actor {
	enum fate fate;
	bool over;  /* it was answered or given up once: a DEL may be sent again */
	bool ended; /* of an ADD: its container is dead, or will be */
	bool undo;
	bool was_full, was_unusable; /* at some time since it was sent */
	bool past_deadline;
	struct ledger_request *r;
	struct ip ips[FAMILIES];    /* what it was given */
	struct ip before[FAMILIES]; /* what its pod had when it was sent */
	bool owed;                  /* and nobody has asked to free since */
	unsigned int order;         /* when it was sent last */
};

/* A pool as the store has it: what is not said here is the same all the time. */
struct object {
	bool there;
	uint64_t version;
	unsigned int edits; /* bits: 1 << enum op */
	bool finalizer;
	char *text;              /* of its records, or NULL; the event's */
	int64_t recorded, total; /* as the status says */
};

struct event {
	enum k8s_event_type type;
	int pool;
	struct object object;
};

struct pool_object {
	struct object is;
	const struct pool_state *now; /* what it reads as, but for the version; in the cache */
};

struct jobs {
	struct queue *mailbox;
	struct {
		struct job *job;
		enum { GIVEN, RAN, ANSWERED } at;
	} v[JOBS_THREADS];
};

struct agent {
	struct ledger_config config;
	struct ledger *l;
	struct jobs *jobs;
	int64_t woke_ms;
	int heard;                  /* events */
	int letters[16], n_letters; /* what lies in the mailbox, for the fingerprint */
};

static struct world {
	const struct world_spec *spec;
	int n_steps, n_pools;
	struct actor actors[STEPS];
	struct pool_object pools[POOLS];
	struct event events[EVENTS];
	int n_events;
	struct agent agents[AGENTS];
	struct job *zombies[ZOMBIES];
	int n_zombies;
	int faults; /* left */
	uint64_t version;
	unsigned int order;
	bool crashed, forbidden, late, edited, spoiled;
	char failed[400];
} w;

static int64_t clock_ms;
static int clock_looks;
static bool known; /* the way so far was checked by an earlier run */
static bool sleeping;
static int64_t slept_from;

static void violated(const char *fmt, ...) PRINTF(1, 2);

static void violated(const char *fmt, ...)
{
	va_list args;

	if (*w.failed)
		return;
	va_start(args, fmt);
	vsnprintf(w.failed, sizeof(w.failed), fmt, args);
	va_end(args);
}

/* Thousands of worlds are made and unmade: what is kept of each allocation counts. */
const char *__asan_default_options(void); /* NOLINT: the sanitizer's name */
const char *__asan_default_options(void)  /* NOLINT: the sanitizer's name */
{
	return "malloc_context_size=2:quarantine_size_mb=2:max_malloc_fill_size=0";
}

/* The clock. */
struct mono mono_now(void)
{
	clock_looks++;
	return (struct mono){ clock_ms };
}

struct mono mono_in(int64_t ms)
{
	return (struct mono){ mono_now().ms + ms };
}

int64_t mono_us(void)
{
	return mono_now().ms * 1000;
}

struct mono mono_min(struct mono a, struct mono b)
{
	return a.ms < b.ms ? a : b;
}

bool mono_passed(struct mono t)
{
	return mono_now().ms >= t.ms;
}

int64_t backoff_ms(int tries, int64_t max)
{
	(void)tries;
	return max < 10 ? max : 10;
}

int64_t spread_ms(int64_t base, int tries, int64_t max)
{
	(void)base;
	return backoff_ms(tries, max);
}

time_t __wrap_time(time_t *t); /* NOLINT: the linker's name */
time_t __wrap_time(time_t *t)  /* NOLINT: the linker's name */
{
	(void)t;
	return 1;
}

/* The queue, without threads.  The one who sleeps wakes at the time it wants to. */
void queue_init(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	q->tail = &q->head;
}

void queue_release(struct queue *q)
{
	(void)q;
}

bool queue_put_quietly(struct queue *q, struct queue_item *item)
{
	if (q->closed)
		return false;
	item->next = NULL;
	*q->tail = item;
	q->tail = &item->next;
	return true;
}

void queue_wake(struct queue *q)
{
	(void)q;
}

bool queue_put(struct queue *q, struct queue_item *item)
{
	return queue_put_quietly(q, item);
}

struct queue_item *queue_take_all(struct queue *q, struct mono deadline)
{
	struct queue_item *items = q->head;

	/* of two agents the other one may have slept as long already */
	if (sleeping && !items && clock_ms == slept_from) {
		if (deadline.ms >= clock_ms + SOON_MS)
			violated("a ledger sleeps longer than it may");
		else if (deadline.ms > clock_ms)
			clock_ms = deadline.ms;
	}
	q->head = NULL;
	q->tail = &q->head;
	return items;
}

void queue_close(struct queue *q)
{
	q->closed = true;
}

bool queue_closed(struct queue *q)
{
	return q->closed;
}

/* Threads: the ledger's runs when it is joined, to end. */
static void *(*thread_fn)(void *);
static void *thread_arg[AGENTS];

int thread_start(pthread_t *out, void *(*fn)(void *), void *arg, struct err *e)
{
	(void)e;
	thread_fn = fn;
	for (int i = 0; i < AGENTS; i++) {
		if (thread_arg[i])
			continue;
		thread_arg[i] = arg;
		*out = (pthread_t)i;
		return 0;
	}
	return -1;
}

int __wrap_pthread_join(pthread_t t, void **result); /* NOLINT: the linker's name */
int __wrap_pthread_join(pthread_t t, void **result)  /* NOLINT: the linker's name */
{
	void *arg = thread_arg[t];

	(void)result;
	thread_arg[t] = NULL;
	thread_fn(arg);
	return 0;
}

/* The store. */
static int pool_index(const char *name)
{
	return name[1] - '0';
}

/*
 * What an object reads as is kept: the same few come again in each run.  What is borrowed from here
 * has no version.
 */
static struct cached {
	uint64_t key;
	struct pool_state state;
} * cache[1 << 14];

static uint64_t hash_of(uint64_t h, const void *data, size_t n)
{
	for (const unsigned char *p = data; n--; p++)
		h = (h ^ *p) * 0x100000001b3;
	return h;
}

static json *to_json(const struct object *o, int pool)
{
	const char *ips = w.spec->ips[pool];
	bool v6 = strchr(ips, ':') != NULL;
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"p%d\",\"uid\":\"pool-%d\",\"generation\":%d},"
		"\"spec\":{\"ipVersion\":%d,\"default\":true,\"subnet\":\"%s\","
		"\"ips\":[\"%s\"]}}",
		pool, pool, o->edits ? 2 : 1, v6 ? 6 : 4, v6 ? "fd00::/64" : "10.0.0.0/24", ips);
	json *j = NULL, *meta, *spec, *status;

	if (json_parse(text, strlen(text), 0, &j, NULL) < 0)
		fail_msg("%s", text);
	meta = json_ensure_object(j, "metadata");
	spec = json_ensure_object(j, "spec");
	status = json_ensure_object(j, "status");
	if (o->finalizer) {
		json *list = json_new_array();

		json_append_str(list, SPIDERPOOL_FINALIZER);
		json_set(meta, "finalizers", list);
	}
	if (o->edits & (1U << DELETE))
		json_set_str(meta, "deletionTimestamp", "2026-01-01T00:00:00Z");
	if (o->edits & (1U << SHRINK))
		json_set(spec, "ips", json_new_array());
	json_set_bool(spec, "disable", o->edits & (1U << DISABLE));
	json_set_str(status, "allocatedIPs", o->text);
	json_set_i64(status, "allocatedIPCount", o->recorded);
	json_set_i64(status, "totalIPCount", o->total);
	return j;
}

static const struct pool_state *read_object(const struct object *o, int pool)
{
	uint64_t n[] = { (uint64_t)pool, o->edits, o->finalizer, (uint64_t)o->recorded,
		         (uint64_t)o->total };
	uint64_t key = hash_of(0xcbf29ce484222325, n, sizeof(n));
	AUTO_JSON *j = NULL;
	size_t i;

	key = hash_of(key, o->text ? o->text : "", o->text ? strlen(o->text) : 0);
	for (i = key % ARRAY_LEN(cache); cache[i]; i = (i + 1) % ARRAY_LEN(cache))
		if (cache[i]->key == key)
			return &cache[i]->state;
	j = to_json(o, pool);
	cache[i] = xcalloc(1, sizeof(*cache[i]));
	cache[i]->key = key;
	assert_int_equal(pool_state_read(j, &cache[i]->state, NULL), 0);
	return &cache[i]->state;
}

static void empty_cache(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cache); i++) {
		if (cache[i])
			pool_state_release(&cache[i]->state);
		free(cache[i]);
		cache[i] = NULL;
	}
}

/* As it is read from the store. */
static struct pool_state copy_object(const struct object *o, int pool)
{
	const struct pool_state *s = read_object(o, pool);
	struct pool_state copy = *s;

	pool_copy(&copy.p, &s->p);
	free(copy.p.version);
	copy.p.version = xasprintf("%llu", (unsigned long long)o->version);
	copy.finalizers = s->finalizers ? json_copy(s->finalizers) : NULL;
	return copy;
}

static bool is_usable(const struct pool *p, struct ip ip)
{
	return !p->bad && !p->disabled && !p->terminating && ip_set_contains(&p->ips, ip) &&
	       !ip_set_contains(&p->excluded, ip);
}

/* Only what the new text says is compared with what the old one said, whoever wrote it. */
static void check_commit(const struct pool *old, const struct pool *p, const char *text)
{
	AUTO_JSON *records = NULL;

	if (text && json_parse(text, strlen(text), JSON_UNIQUE, &records, NULL) < 0)
		violated("records that cannot be read were written: %s", text);
	if (json_count(records) != p->n_records + (p->foreign ? 1 : 0))
		violated("an address is recorded twice in one pool: %s", text);
	if (w.spoiled && !p->foreign)
		violated("an entry of somebody else is lost: %s", text);
	for (size_t i = 0; i < p->n_records; i++)
		if (!pool_find(old, p->records[i].ip) && !is_usable(old, p->records[i].ip))
			violated("%s is given, which the pool must not give",
			         ip_str(p->records[i].ip).s);
}

/* text, in it, is taken. */
static void put_object(int i, struct object o, enum k8s_event_type type)
{
	const struct pool_state *old = w.pools[i].now;

	if (w.n_events == EVENTS)
		fail_msg("too many events");
	o.version = ++w.version;
	o.there = type != K8S_DELETED;
	w.events[w.n_events++] = (struct event){ type, i, o };
	w.pools[i].is = o;
	w.pools[i].now = read_object(&o, i);
	if (type == K8S_MODIFIED && !known)
		check_commit(&old->p, &w.pools[i].now->p, o.text);
	if (type == K8S_DELETED && w.pools[i].now->p.n_records)
		violated("a pool goes while it has records");
}

/* Somebody else changes the pool. */
static void edit(const struct step *s)
{
	struct object o = w.pools[s->pool].is;

	if (!o.there)
		return;
	if (s->op == SPOIL && o.text)
		o.text = xasprintf("%.*s,\"what\":[]}", (int)strlen(o.text) - 1, o.text);
	else
		o.text = o.text ? xstrdup(o.text) : NULL;
	if (s->op != TOUCH && s->op != SPOIL)
		o.edits |= 1U << s->op;
	w.edited |= s->op != TOUCH;
	w.spoiled |= s->op == SPOIL;
	put_object(s->pool, o, K8S_MODIFIED);
}

static int store_fails(struct job *j, enum err_kind kind)
{
	j->rc = err_set(&j->e, kind, "as told");
	return -1;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? streq(a, b) : a == b;
}

static int patch(struct job *j, const json *p, bool status)
{
	int i = pool_index(j->name);
	const struct object *is = &w.pools[i].is;
	const char *version = json_str_at(p, "metadata", "resourceVersion", NULL);
	const char *text = json_str_at(p, "status", "allocatedIPs", NULL);
	struct object o = *is;

	if (!is->there)
		return store_fails(j, ERR_NOT_FOUND);
	if (!version || strtoull(version, NULL, 10) != is->version)
		return store_fails(j, ERR_CONFLICT);
	if (status) {
		IGNORE(json_i64(json_get(p, "status"), "allocatedIPCount", &o.recorded, NULL));
		IGNORE(json_i64(json_get(p, "status"), "totalIPCount", &o.total, NULL));
	} else {
		o.finalizer = json_count(json_at(p, "metadata", "finalizers", NULL)) > 0;
		text = o.text;
	}
	/* what changes nothing makes no new version */
	if (same_text(text, is->text) && o.recorded == is->recorded && o.total == is->total &&
	    o.finalizer == is->finalizer)
		return 0;
	o.text = text ? xstrdup(text) : NULL;
	put_object(i, o, !o.finalizer && (o.edits & (1U << DELETE)) ? K8S_DELETED : K8S_MODIFIED);
	return 0;
}

static void tell_state(struct job *j, int i)
{
	const struct event *e = &w.events[i];

	j->states = xrealloc(j->states, (j->n_states + 1) * sizeof(*j->states));
	j->states[j->n_states++] = copy_object(&e->object, e->pool);
}

static int last_event(int pool)
{
	int i = w.n_events - 1;

	while (w.events[i].pool != pool)
		i--;
	return i;
}

static void run_job(struct job *j)
{
	int i = j->name ? pool_index(j->name) : 0;

	switch (j->op) {
	case JOB_WRITE:
		if (patch(j, j->patch, true) == 0) {
			j->version = xasprintf("%llu", (unsigned long long)w.pools[i].is.version);
			j->writes++;
		}
		return;
	case JOB_ADMIT:
		if (j->patch && patch(j, j->patch, false) < 0)
			return;
		if (j->patch && j->status_patch) {
			AUTO_FREE char *version =
				xasprintf("%llu", (unsigned long long)w.pools[i].is.version);

			json_set_str(json_ensure_object(j->status_patch, "metadata"),
			             "resourceVersion", version);
		}
		if (j->status_patch && patch(j, j->status_patch, true) < 0)
			return;
		tell_state(j, last_event(i));
		return;
	case JOB_READ:
		if (w.pools[i].is.there)
			tell_state(j, last_event(i));
		else
			store_fails(j, ERR_NOT_FOUND);
		return;
	case JOB_LIST:
		for (i = 0; i < w.n_pools; i++)
			if (w.pools[i].is.there)
				tell_state(j, last_event(i));
		return;
	}
}

/* In the place of jobs.c. */
void pool_states_free(struct pool_state *states, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pool_state_release(&states[i]);
	free(states);
}

/* The list is one of events, by number. */
struct pool_state *pool_states_read(const json *items, size_t *count)
{
	struct pool_state *states = xcalloc(json_count(items) + 1, sizeof(*states));

	*count = 0;
	json_each(item, items)
	{
		int64_t i = 0;

		assert_int_equal(json_int(item, &i, NULL), 0);
		states[(*count)++] = copy_object(&w.events[i].object, w.events[i].pool);
	}
	return states;
}

void job_free(struct job *j)
{
	pool_states_free(j->states, j->n_states);
	json_free(j->patch);
	json_free(j->status_patch);
	free(j->name);
	free(j->version);
	free(j);
}

int jobs_start(struct store *s, const char *const *selectors, size_t n, struct queue *mailbox,
               struct jobs **out, struct err *e)
{
	struct agent *a = (struct agent *)s;

	(void)selectors;
	(void)n;
	(void)e;
	a->jobs = xcalloc(1, sizeof(*a->jobs));
	a->jobs->mailbox = mailbox;
	*out = a->jobs;
	return 0;
}

bool jobs_idle(const struct jobs *j)
{
	for (int i = 0; i < JOBS_THREADS; i++)
		if (!j->v[i].job)
			return true;
	return false;
}

int jobs_give(struct jobs *j, struct job *job)
{
	for (int i = 0; i < JOBS_THREADS; i++) {
		if (j->v[i].job)
			continue;
		job->message.type = MESSAGE_JOB;
		job->thread = i;
		j->v[i].job = job;
		j->v[i].at = GIVEN;
		return i;
	}
	violated("a job is given to nobody");
	return -1;
}

void jobs_done(struct jobs *j, const struct job *job)
{
	j->v[job->thread].job = NULL;
}

/* Writes that are under way may still be done, by a store that is slow. */
static void may_be_late(struct job *j)
{
	if ((w.spec->kinds & LATE) && j->op == JOB_WRITE && w.n_zombies < ZOMBIES)
		w.zombies[w.n_zombies++] = j;
	else
		job_free(j);
}

void jobs_stop(struct jobs *j)
{
	for (int i = 0; j && i < JOBS_THREADS; i++) {
		if (j->v[i].job && j->v[i].at == GIVEN)
			may_be_late(j->v[i].job);
		else if (j->v[i].job)
			job_free(j->v[i].job);
	}
	free(j);
}

/* Invariants. */
static bool same_request(const struct pool_record *r, const struct step *s)
{
	return streq(r->cid, s->cid) && streq(r->uid, s->uid) && streq(r->nic, NIC) &&
	       streq(r->pod, s->pod);
}

static const struct pool_record *record_at(struct ip ip)
{
	for (int i = 0; i < w.n_pools; i++) {
		const struct pool_record *r =
			w.pools[i].is.there ? pool_find(&w.pools[i].now->p, ip) : NULL;

		if (r)
			return r;
	}
	return NULL;
}

static bool is_live(int i)
{
	return w.spec->steps[i].op == ADD && w.actors[i].fate == DONE && !w.actors[i].ended;
}

/* Who lives has what it was told, alone. */
static void check_live(int i)
{
	for (int f = 0; f < FAMILIES; f++) {
		struct ip ip = w.actors[i].ips[f];
		const struct pool_record *r;

		if (!ip.family)
			continue;
		r = record_at(ip);
		if (!r || !same_request(r, &w.spec->steps[i]))
			violated("%s lives with %s, recorded for %s", w.spec->steps[i].cid,
			         ip_str(ip).s, r ? r->cid : "nobody");
		for (int k = 0; k < i; k++)
			if (is_live(k) && ip_equal(w.actors[k].ips[f], ip))
				violated("%s and %s live with %s", w.spec->steps[k].cid,
				         w.spec->steps[i].cid, ip_str(ip).s);
	}
}

/* Is the record of a container that was asked for anew after this release of it? */
static bool came_later(int release, const struct pool_record *r)
{
	for (int i = 0; i < w.n_steps; i++)
		if (w.spec->steps[i].op == ADD && streq(w.spec->steps[i].cid, r->cid) &&
		    w.actors[i].fate != UNSENT && w.actors[i].order > w.actors[release].order)
			return true;
	return false;
}

/* What was said to be released is, for ever. */
static void check_released(int i, const struct pool_record *r)
{
	const struct step *s = &w.spec->steps[i];

	if (w.actors[i].fate != DONE || !streq(r->cid, s->cid) || came_later(i, r) || w.late)
		return;
	if (s->op == DEL && !r->keep)
		violated("%s has %s after its DEL", r->cid, ip_str(r->ip).s);
	if (s->op == FREE && streq(r->uid, s->uid) &&
	    (ip_equal(r->ip, w.actors[i].ips[V4]) || ip_equal(r->ip, w.actors[i].ips[V6])))
		violated("%s has %s after it was freed", r->cid, ip_str(r->ip).s);
}

static void check_pair(const struct pool_record *a, const struct pool_record *b)
{
	if (ip_equal(a->ip, b->ip))
		violated("%s is recorded twice", ip_str(a->ip).s);
	if (!w.edited && *a->uid && a->ip.family == b->ip.family && streq(a->uid, b->uid) &&
	    streq(a->nic, b->nic))
		violated("%s has %s and %s", a->uid, ip_str(a->ip).s, ip_str(b->ip).s);
}

static int all_records(const struct pool_record **out, int max)
{
	int n = 0;

	for (int i = 0; i < w.n_pools; i++)
		for (size_t k = 0; w.pools[i].is.there && k < w.pools[i].now->p.n_records; k++)
			if (n < max)
				out[n++] = &w.pools[i].now->p.records[k];
	return n;
}

static bool is_foreign(const struct pool_record *r)
{
	return streq(r->pod, "x/foreign");
}

/* Is a pool of the family full?  Is one unusable? */
static void look_at_pools(struct actor *a)
{
	for (int i = 0; i < w.n_pools; i++) {
		const struct pool *p = &w.pools[i].now->p;
		struct ip ip;

		if (!w.pools[i].is.there || p->bad || p->disabled || p->terminating)
			a->was_unusable = true;
		else if (pool_pick(p, NULL, &ip, NULL) < 0)
			a->was_full = true;
	}
}

static void check_now(void)
{
	const struct pool_record *r[32];
	int n, foreign = 0;

	for (int i = 0; i < w.n_steps; i++)
		if (w.spec->steps[i].op == ADD && w.actors[i].fate == WAITS)
			look_at_pools(&w.actors[i]);
	if (known)
		return;
	n = all_records(r, 32);
	for (int i = 0; i < w.n_steps; i++) {
		if (is_live(i))
			check_live(i);
		for (int k = 0; k < n; k++)
			check_released(i, r[k]);
	}
	for (int i = 0; i < n; i++) {
		foreign += is_foreign(r[i]);
		for (int k = 0; k < i; k++)
			check_pair(r[i], r[k]);
	}
	if (foreign != 1)
		violated("a record of somebody else is lost");
}

static bool is_in(struct ip ip, const struct ip *ips)
{
	return ip_equal(ip, ips[V4]) || ip_equal(ip, ips[V6]);
}

/* Somebody must be able to find the record again. */
static void check_owned(const struct pool_record *r)
{
	const struct actor *last = NULL;
	bool had = false;

	for (int i = 0; i < w.n_steps; i++) {
		const struct step *s = &w.spec->steps[i];
		const struct actor *a = &w.actors[i];

		if (*r->conflict && s->op == QUARANTINE && is_in(r->ip, a->ips))
			return;
		if (s->op == ADD && streq(s->cid, r->cid) && (!last || a->order > last->order))
			last = a;
	}
	if (!*r->cid)
		return; /* the original's */
	/* its pod may have had it by another try */
	for (int i = 0; i < w.n_steps; i++)
		had |= &w.actors[i] != last && w.spec->steps[i].op == ADD &&
		       streq(w.spec->steps[i].pod, r->pod) &&
		       (w.actors[i].fate == DONE || w.actors[i].fate == GAVE_UP);
	if (!last)
		violated("%s is recorded for %s, whom nobody knows", ip_str(r->ip).s, r->cid);
	else if ((last->fate == REFUSED || (last->fate == GAVE_UP && last->undo)) && !had &&
	         !is_in(r->ip, last->before) && !w.crashed && !w.forbidden && !w.late)
		violated("%s stays recorded for %s, which was refused", ip_str(r->ip).s, r->cid);
}

static void check_end(void)
{
	const struct pool_record *r[32];
	int n = all_records(r, 32);

	for (int i = 0; i < n; i++)
		if (!is_foreign(r[i]))
			check_owned(r[i]);
	for (int i = 0; i < w.n_steps; i++)
		if (w.actors[i].fate == WAITS)
			violated("%s %s is not answered though nothing is under way",
			         op_names[w.spec->steps[i].op], w.spec->steps[i].cid);
	for (int i = 0; i < w.spec->n_agents; i++)
		if (w.agents[i].l->pending || w.agents[i].l->dels)
			violated("agent %d has something pending though nothing is under way", i);
}

/* Clients. */
static int expected_families(void)
{
	return w.n_pools > 1 && w.pools[1].now->p.family == 6 ? 2 : 1;
}

static void check_grants(const struct step *s, struct actor *a, const struct ledger_request *r)
{
	if (!w.edited && (int)r->n_grants != expected_families())
		violated("%s gets %zu addresses", s->cid, r->n_grants);
	for (size_t i = 0; i < r->n_grants; i++) {
		struct ip ip = r->grants[i].address.ip;
		const struct pool_record *have = record_at(ip);
		int f = ip.family == 4 ? V4 : V6;

		if (a->ips[f].family)
			violated("%s gets two addresses of a family", s->cid);
		a->ips[f] = ip;
		if (have && *have->conflict)
			violated("%s gets %s, which is quarantined", s->cid, ip_str(ip).s);
		if (a->owed && a->before[f].family && !ip_equal(a->before[f], ip) && !w.edited)
			violated("%s gets %s, and had %s", s->cid, ip_str(ip).s,
			         ip_str(a->before[f]).s);
	}
}

static void check_refusal(int i, const struct ledger_request *r)
{
	const struct actor *a = &w.actors[i];
	bool fair = false;

	for (int k = 0; k < w.n_steps; k++)
		fair |= r->kind == ERR_NOT_FOUND && w.spec->steps[k].op == DEL &&
		        w.actors[k].fate != UNSENT &&
		        streq(w.spec->steps[k].cid, w.spec->steps[i].cid);
	fair |= r->kind == ERR_EXHAUSTED && a->was_full;
	fair |= r->kind == ERR_NO_POOL && a->was_unusable;
	fair |= r->kind == ERR_TIMEOUT && (a->past_deadline || mono_passed(r->deadline));
	fair |= r->kind == ERR_FORBIDDEN && w.forbidden;
	fair |= r->kind == ERR_PROTO && w.spoiled;
	if (!fair)
		violated("%s %s is refused without a reason: %s", op_names[w.spec->steps[i].op],
		         w.spec->steps[i].cid, r->text);
}

static void answered(int i)
{
	const struct step *s = &w.spec->steps[i];
	struct actor *a = &w.actors[i];
	struct ledger_request *r = a->r;

	a->r = NULL;
	a->over = true;
	a->fate = r->kind ? REFUSED : DONE;
	if (s->op == ADD && !r->kind)
		check_grants(s, a, r);
	else if (r->kind)
		check_refusal(i, r);
	if (s->op == QUARANTINE && !r->kind && !r->n_grants)
		memset(a->ips, 0, sizeof(a->ips));
	/* it is ours again, whatever the ledger does with it from now on */
	ledger_request_free(r);
}

ssize_t __wrap_write(int fd, const void *data, size_t n); /* NOLINT: the linker's name */
ssize_t __real_write(int fd, const void *data, size_t n); /* NOLINT: the linker's name */
ssize_t __wrap_write(int fd, const void *data, size_t n)  /* NOLINT: the linker's name */
{
	if (fd < FIRST_EVENT)
		return __real_write(fd, data, n);
	answered(fd - FIRST_EVENT);
	return (ssize_t)n;
}

static void letter(struct agent *a, int what)
{
	assert_true(a->n_letters < 16);
	a->letters[a->n_letters++] = what;
}

static enum ledger_op ledger_op_of(enum op op)
{
	static const enum ledger_op ops[] = { LEDGER_ADD, LEDGER_DEL, LEDGER_FREE,
		                              LEDGER_QUARANTINE };

	return ops[op];
}

/* Whose container is dead from now on, and whose address is nobody's due any more. */
static void end_others(int i)
{
	const struct step *s = &w.spec->steps[i];

	for (int k = 0; k < w.n_steps; k++) {
		const struct step *t = &w.spec->steps[k];
		struct actor *a = &w.actors[k];

		if (t->op != ADD || k == i)
			continue;
		if (s->op == ADD ? streq(s->pod, t->pod) && (s->keep || streq(s->uid, t->uid))
		                 : streq(s->cid, t->cid))
			a->ended |= a->fate != UNSENT;
		if (s->op != ADD && streq(s->pod, t->pod))
			a->owed = false;
	}
}

/* Or is it about to free what it has? */
static bool may_free(const struct step *s, const struct actor *a)
{
	if (s->op == ADD)
		return a->fate == REFUSED || (a->fate == GAVE_UP && a->undo);
	return a->fate == WAITS || a->fate == REFUSED || a->fate == GAVE_UP;
}

static void note_before(const struct step *s, struct actor *a)
{
	const struct pool_record *r[32];
	int n = all_records(r, 32);

	memset(a->before, 0, sizeof(a->before));
	a->owed = true;
	for (int i = 0; i < n; i++)
		if (streq(r[i]->pod, s->pod) &&
		    (streq(r[i]->uid, s->uid) || (s->keep && r[i]->keep)))
			a->before[r[i]->ip.family == 4 ? V4 : V6] = r[i]->ip;
	/* somebody is about to free it */
	for (int k = 0; k < w.n_steps; k++) {
		const struct step *t = &w.spec->steps[k];

		if (streq(t->pod, s->pod) && may_free(t, &w.actors[k]))
			a->owed = false;
	}
}

static void submit(int i)
{
	const struct step *s = &w.spec->steps[i];
	struct actor *a = &w.actors[i];
	struct agent *g = &w.agents[s->agent];
	struct ledger_request *r;

	if (s->op > QUARANTINE) {
		edit(s);
		a->fate = DONE;
		a->over = true;
		return;
	}
	if (s->op == FREE || s->op == QUARANTINE) {
		memcpy(a->ips, w.actors[s->of].ips, sizeof(a->ips));
		if (w.actors[s->of].fate != DONE) {
			a->fate = SKIPPED;
			a->over = true;
			return;
		}
	}
	r = ledger_request_new(ledger_op_of(s->op), s->pod, s->uid, NIC, s->cid,
	                       mono_in(s->op == ADD ? 20000 : 8000), FIRST_EVENT + i);
	if (s->op == QUARANTINE)
		r->reason = xstrdup("somebody else");
	if (s->op == FREE || s->op == QUARANTINE)
		memcpy(r->addresses, a->ips, sizeof(a->ips));
	if (s->op == ADD)
		note_before(s, a);
	r->keep = s->keep ? POOL_KEEP_STATEFULSET : POOL_KEEP_NO;
	r->ns = xstrdup("d");
	a->r = r;
	a->fate = WAITS;
	a->order = ++w.order;
	a->undo = false;
	a->was_full = a->was_unusable = a->past_deadline = false;
	if (s->op == ADD)
		look_at_pools(a);
	end_others(i);
	if (!ledger_submit(g->l, r))
		violated("a ledger takes no requests");
	letter(g, 100 + i);
}

static void give_up(int i, bool undo)
{
	struct actor *a = &w.actors[i];

	if (!ledger_abandon(a->r, undo))
		violated("a request that was not answered cannot be given up");
	a->r = NULL;
	a->fate = GAVE_UP;
	a->over = true;
	a->undo = undo;
}

/* Agents. */
static void nothing_changed(void *ctx, struct pod_grants *g)
{
	(void)ctx;
	pod_grants_free(g);
}

static void wake(struct agent *a)
{
	a->n_letters = 0;
	clock_looks = 0;
	ledger_step(a->l);
	/* what was not due when a turn looked must be what it waits for */
	if (clock_looks > 1)
		violated("the clock moves on within a turn");
	a->woke_ms = clock_ms;
}

static void start_agent(int i)
{
	static const char *const nodes[] = { "a", "b" };
	struct agent *a = &w.agents[i];
	struct ip_set none = IP_SET_INIT;
	AUTO_JSON *items = json_new_array();

	a->config = (struct ledger_config){ .store = (struct store *)a,
		                            .node = nodes[i],
		                            .agent_namespace = "k",
		                            .keep_statefulset = true,
		                            .changed = nothing_changed };
	assert_int_equal(ledger_start(&a->config, &a->l, NULL), 0);
	ledger_reserved(a->l, &none);
	for (int k = 0; k < w.n_pools; k++)
		if (w.pools[k].is.there)
			json_append(items, json_new_i64(last_event(k)));
	ledger_pools_listed(a->l, LEDGER_SCOPE_ALL, items);
	a->heard = w.n_events;
	wake(a); /* takes it in */
	wake(a); /* knows that it is synced */
}

static void stop_agent(int i)
{
	ledger_stop(w.agents[i].l);
	ledger_free(w.agents[i].l);
}

/* All who wait lose their connection. */
static void crash(int i)
{
	struct agent *a = &w.agents[i];

	for (int k = 0; k < w.n_steps; k++)
		if (w.spec->steps[k].agent == i && w.actors[k].fate == WAITS)
			give_up(k, false);
	stop_agent(i);
	a->n_letters = 0;
	w.crashed = true;
	start_agent(i);
}

/* Choices. */
struct choice_of {
	enum {
		SUBMIT,
		WAKE,
		RUN,
		ANSWER,
		HEAR,
		SLEEP,
		COMMIT_LATE,
		END,
		/* faults */
		F_LOST,
		F_UNDONE,
		F_FORBIDDEN,
		F_LATE,
		F_CRASH,
		F_DEADLINE,
		F_HANGUP,
		F_TOO_LATE
	} what;
	int a, b;
};

struct choices {
	struct choice_of v[CHOICES];
	int n;
};

static void offer(struct choices *c, int what, int a, int b)
{
	assert_true(c->n < CHOICES);
	c->v[c->n].what = what;
	c->v[c->n].a = a;
	c->v[c->n++].b = b;
}

static void offer_fault(struct choices *c, enum fault kind, int what, int a, int b)
{
	if (w.faults && (w.spec->kinds & kind))
		offer(c, what, a, b);
}

static bool may_send(int i)
{
	const struct step *s = &w.spec->steps[i];
	enum fate fate = w.actors[i].fate;

	for (int k = 0; k < w.n_steps; k++)
		if ((s->after & (1U << k)) && !w.actors[k].over)
			return false;
	/* the queue of releases, and the garbage collector, come again */
	return fate == UNSENT ||
	       ((s->op == DEL || s->op == FREE) && (fate == REFUSED || fate == GAVE_UP));
}

/* Does it wait for a time, which may have come since it looked? */
static bool pauses(const struct agent *a)
{
	const struct ledger *l = a->l;
	int64_t since = a->woke_ms;

	if (l->want_list && !l->listing && l->list_not_before.ms > since)
		return true;
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct slot *s = l->slots[i];

		if ((s->planned || s->want_read) && !s->busy && s->not_before.ms > since)
			return true;
	}
	return false;
}

static void offer_jobs(struct choices *c, int i)
{
	const struct jobs *j = w.agents[i].jobs;

	for (int k = 0; k < JOBS_THREADS; k++) {
		if (!j->v[k].job)
			continue;
		if (j->v[k].at == GIVEN)
			offer(c, RUN, i, k);
		else if (j->v[k].at == RAN)
			offer(c, ANSWER, i, k);
	}
}

static void offer_job_faults(struct choices *c, int i)
{
	const struct jobs *j = w.agents[i].jobs;

	for (int k = 0; k < JOBS_THREADS; k++) {
		const struct job *job = j->v[k].job;

		if (!job || j->v[k].at == ANSWERED)
			continue;
		if (j->v[k].at == RAN && job->rc == 0 && job->op == JOB_WRITE)
			offer_fault(c, LOST, F_LOST, i, k);
		if (j->v[k].at == RAN)
			continue;
		offer_fault(c, UNDONE, F_UNDONE, i, k);
		if (job->op != JOB_WRITE)
			continue;
		offer_fault(c, FORBIDDEN, F_FORBIDDEN, i, k);
		offer_fault(c, LATE, F_LATE, i, k);
	}
}

static void find_choices(struct choices *c)
{
	bool waits = false;

	c->n = 0;
	for (int i = 0; i < w.n_steps; i++)
		if (may_send(i))
			offer(c, SUBMIT, i, 0);
	for (int i = 0; i < w.spec->n_agents; i++) {
		struct agent *a = &w.agents[i];

		if (a->n_letters)
			offer(c, WAKE, i, 0);
		offer_jobs(c, i);
		if (a->heard < w.n_events && !w.spec->deaf)
			offer(c, HEAR, i, 0);
		if (!a->n_letters && pauses(a))
			offer(c, SLEEP, i, 0);
	}
	if (!c->n)
		offer(c, END, 0, 0);
	for (int i = 0; i < w.n_zombies; i++)
		offer(c, COMMIT_LATE, i, 0);
	for (int i = 0; i < w.spec->n_agents; i++) {
		offer_job_faults(c, i);
		offer_fault(c, CRASH, F_CRASH, i, 0);
	}
	for (int i = 0; i < w.n_steps; i++) {
		if (w.actors[i].fate != WAITS)
			continue;
		waits = true;
		offer_fault(c, HANGUP, F_HANGUP, i, 0);
		if (w.spec->steps[i].op == ADD)
			offer_fault(c, TOO_LATE, F_TOO_LATE, i, 0);
	}
	if (waits)
		offer_fault(c, DEADLINE, F_DEADLINE, 0, 0);
}

static void describe(struct choice_of c, struct str *out)
{
	static const char *const job_names[] = { "write", "read", "list", "admission" };
	static const char *const ends[] = { [RUN] = "reaches the store",
		                            [ANSWER] = "is answered",
		                            [F_LOST] = "was done, and its answer is lost",
		                            [F_UNDONE] = "does not reach the store",
		                            [F_FORBIDDEN] = "is forbidden",
		                            [F_LATE] = "is given up, and may be done later" };
	static const char *const others[] = { [WAKE] = "wakes",
		                              [HEAR] = "hears an event",
		                              [SLEEP] = "wakes after a pause",
		                              [COMMIT_LATE] = "late write is done",
		                              [END] = "end",
		                              [F_CRASH] = "is killed and started",
		                              [F_DEADLINE] = "deadline passes" };

	if (c.what == SUBMIT || c.what == F_HANGUP || c.what == F_TOO_LATE) {
		const struct step *s = &w.spec->steps[c.a];

		str_addf(out, "%s %s %s", op_names[s->op], s->cid ? s->cid : "",
		         c.what == SUBMIT     ? "is sent"
		         : c.what == F_HANGUP ? "hangs up"
		                              : "is given up");
	} else if (c.what == WAKE || c.what == HEAR || c.what == SLEEP || c.what == F_CRASH ||
	           c.what == COMMIT_LATE || c.what == END || c.what == F_DEADLINE) {
		str_addf(out, "%d %s", c.a, others[c.what]);
	} else {
		const struct job *j = w.agents[c.a].jobs->v[c.b].job;

		str_addf(out, "%d's %s of %s %s", c.a, job_names[j->op], j->name ? j->name : "all",
		         ends[c.what]);
	}
}

static void answer_job(int i, int k)
{
	struct jobs *j = w.agents[i].jobs;

	j->v[k].at = ANSWERED;
	queue_put(j->mailbox, &j->v[k].job->message.item);
	letter(&w.agents[i], k);
}

static void fail_job(int i, int k, enum err_kind kind)
{
	store_fails(w.agents[i].jobs->v[k].job, kind);
	answer_job(i, k);
}

/* The client hears of it, and the ledger has a copy that may be done yet. */
static void delay_job(int i, int k)
{
	struct job *j = w.agents[i].jobs->v[k].job, *copy = xcalloc(1, sizeof(*copy));

	copy->op = j->op;
	copy->name = xstrdup(j->name);
	copy->patch = json_copy(j->patch);
	may_be_late(copy);
	fail_job(i, k, ERR_TIMEOUT);
}

static void pass_deadline(void)
{
	int64_t first = INT64_MAX;

	for (int i = 0; i < w.n_steps; i++)
		if (w.actors[i].fate == WAITS && w.actors[i].r->deadline.ms < first)
			first = w.actors[i].r->deadline.ms;
	/* what is given back has a deadline of its own */
	for (int i = 0; i < w.spec->n_agents; i++)
		for (const struct ledger_request *r = w.agents[i].l->pending; r; r = r->next)
			if (r->deadline.ms < first)
				first = r->deadline.ms;
	if (first > clock_ms)
		clock_ms = first;
	for (int i = 0; i < w.n_steps; i++)
		if (w.actors[i].fate == WAITS && mono_passed(w.actors[i].r->deadline))
			w.actors[i].past_deadline = true;
	for (int i = 0; i < w.spec->n_agents; i++)
		wake(&w.agents[i]);
}

static void hear(struct agent *a)
{
	AUTO_JSON *number = json_new_i64(a->heard);

	ledger_pool_event(a->l, LEDGER_SCOPE_ALL, w.events[a->heard].type, number);
	letter(a, 1000 + a->heard++);
}

static void commit_late(int i)
{
	struct job *j = w.zombies[i];

	w.zombies[i] = w.zombies[--w.n_zombies];
	run_job(j);
	w.late |= j->rc == 0;
	job_free(j);
}

static void carry_out(struct choice_of c)
{
	struct agent *a = &w.agents[c.a < AGENTS ? c.a : 0];

	w.faults -= c.what > END;
	switch (c.what) {
	case SUBMIT:
		submit(c.a);
		break;
	case WAKE:
		wake(a);
		break;
	case RUN:
		run_job(a->jobs->v[c.b].job);
		a->jobs->v[c.b].at = RAN;
		break;
	case ANSWER:
		answer_job(c.a, c.b);
		break;
	case HEAR:
		hear(a);
		break;
	case SLEEP:
		sleeping = true;
		slept_from = a->woke_ms;
		wake(a);
		sleeping = false;
		break;
	case COMMIT_LATE:
		commit_late(c.a);
		break;
	case END:
		check_end();
		break;
	case F_LOST:
	case F_UNDONE:
		fail_job(c.a, c.b, ERR_UNREACHABLE);
		break;
	case F_FORBIDDEN:
		w.forbidden = true;
		fail_job(c.a, c.b, ERR_FORBIDDEN);
		break;
	case F_LATE:
		delay_job(c.a, c.b);
		break;
	case F_CRASH:
		crash(c.a);
		break;
	case F_DEADLINE:
		pass_deadline();
		break;
	case F_HANGUP:
		give_up(c.a, false);
		break;
	case F_TOO_LATE:
		give_up(c.a, true);
		break;
	}
	for (int i = 0; i < w.spec->n_agents && !w.spec->gathers; i++)
		if (w.agents[i].n_letters)
			wake(&w.agents[i]);
	check_now();
}

/*
 * The fingerprint.  The state is walked twice: first versions and clocks are collected, then they
 * are mixed in as ranks, so that a state that differs only in how many there were is the same.
 */
struct ranks {
	uint64_t v[128];
	int n;
};

static struct {
	bool collecting;
	struct ranks versions, clock;
	uint64_t hash;
} fp;

static void mix(uint64_t v)
{
	fp.hash = (fp.hash ^ v) * 0x9e3779b97f4a7c15;
	fp.hash ^= fp.hash >> 29;
}

static void mix_str(const char *s)
{
	if (fp.collecting)
		return;
	for (; s && *s; s++)
		fp.hash = (fp.hash ^ (unsigned char)*s) * 0x100000001b3;
	mix(0x55);
}

static void mix_ranked(struct ranks *r, uint64_t v)
{
	int rank = 0;

	if (!fp.collecting) {
		for (int i = 0; i < r->n; i++)
			rank += r->v[i] < v;
		mix((uint64_t)rank);
		return;
	}
	for (int i = 0; i < r->n; i++)
		if (r->v[i] == v)
			return;
	assert_true(r->n < 128);
	r->v[r->n++] = v;
}

static void mix_version(const char *s)
{
	mix_ranked(&fp.versions, s ? strtoull(s, NULL, 10) : 0);
}

static void mix_ip(struct ip ip)
{
	mix(((uint64_t)ip.family << 32) | ((uint64_t)ip.bytes[0] << 24) |
	    ((uint64_t)ip.bytes[15] << 8) | ip.bytes[3]);
}

/* To seconds: pauses are shorter, and what lies nearer together is due together. */
static void mix_deadline(struct mono t)
{
	int64_t left = t.ms - clock_ms;

	mix(left <= 0 ? 0 : (uint64_t)((left + 1000) / 2000) + 1);
}

static void mix_pool(const struct pool *p)
{
	uint64_t least = 0;

	mix_version(p->version);
	mix((uint64_t)p->disabled | (uint64_t)p->terminating << 1 | (uint64_t)p->ips.n << 2 |
	    (uint64_t)(p->foreign != NULL) << 8);
	mix_ip(p->last);
	for (size_t i = 0; i < p->n_records; i++) {
		const struct pool_record *r = &p->records[i];

		mix_ip(r->ip);
		mix_str(r->uid);
		mix_str(r->cid);
		mix((uint64_t)r->keep << 1 | (*r->conflict != 0));
	}
	/* in the order in which they were given back */
	for (size_t n = 0; n < p->n_rests; n++) {
		const struct pool_rest *next = NULL;

		for (size_t i = 0; i < p->n_rests; i++)
			if (p->rests[i].order > least && (!next || p->rests[i].order < next->order))
				next = &p->rests[i];
		least = next->order;
		mix_ip(next->ip);
	}
	mix(0xaa);
}

static void mix_request(const struct ledger_request *r)
{
	mix(r->event >= 0 ? (uint64_t)r->event : 7);
	mix(r->op);
	mix_str(r->cid);
	mix_str(r->uid);
	mix_ip(r->addresses[V4]);
	mix_ip(r->addresses[V6]);
	mix((uint64_t)r->state | (uint64_t)r->open << 3 | (uint64_t)r->deleted << 8 |
	    (uint64_t)r->repeats << 10 | (uint64_t)(r->text != NULL) << 9 |
	    (uint64_t)r->kind << 16);
	for (int i = 0; i < LEDGER_PARTS; i++)
		mix(r->parts[i].state);
	mix_ip(r->took[V4]);
	mix_ip(r->took[V6]);
	for (size_t i = 0; i < r->n_grants; i++)
		mix_ip(r->grants[i].address.ip);
	mix_ranked(&fp.clock, r->seen);
	mix_deadline(r->deadline);
	if (r->then)
		mix_request(r->then);
}

static void mix_slot(const struct slot *s, int64_t since)
{
	mix_str(s->at.p.name);
	mix_pool(&s->at.p);
	mix((uint64_t)(s->at.total + 1));
	mix((uint64_t)(s->at.recorded + 1));
	mix(json_count(s->at.finalizers));
	if (s->planned)
		mix_pool(&s->next);
	mix((uint64_t)s->planned | (uint64_t)s->busy << 1 | (uint64_t)s->want_read << 2 |
	    (uint64_t)s->want_admit << 3 | (uint64_t)(s->failures > 0) << 4 |
	    (uint64_t)(s->not_before.ms > since) << 5 |
	    (uint64_t)(s->admit_not_before.ms > clock_ms) << 6 |
	    (uint64_t)(s->overlap != NULL) << 7);
	mix_ranked(&fp.clock, s->fresh);
	mix_ranked(&fp.clock, s->touched);
	for (const struct ledger_part *p = s->batch; p; p = p->next) {
		mix((uint64_t)(p - p->request->parts));
		mix_ip(p->ip);
		mix_request(p->request);
	}
	mix(0xbb);
}

static void mix_job(const struct job *j)
{
	mix(j->op);
	mix_str(j->name);
	mix((uint64_t)(j->rc + 1) | (uint64_t)j->e.kind << 4);
	if (j->patch)
		mix_version(json_str_at(j->patch, "metadata", "resourceVersion", NULL));
	mix_str(json_str_at(j->patch, "status", "allocatedIPs", NULL));
	mix(json_count(json_at(j->patch, "metadata", "finalizers", NULL)));
	mix_str(json_str_at(j->status_patch, "status", "allocatedIPs", NULL));
	mix_version(j->version);
	for (size_t i = 0; i < j->n_states; i++)
		mix_pool(&j->states[i].p);
}

static void mix_agent(const struct agent *a)
{
	const struct ledger *l = a->l;

	mix((uint64_t)l->dels | (uint64_t)l->overlaps_stale << 8 | (uint64_t)l->want_list << 9 |
	    (uint64_t)l->listing << 10 | (uint64_t)(l->list_not_before.ms > a->woke_ms) << 11 |
	    (uint64_t)l->again << 12 | (uint64_t)(a->woke_ms < clock_ms) << 13);
	mix_ranked(&fp.clock, l->listed);
	for (size_t i = 0; i < l->n_slots; i++)
		mix_slot(l->slots[i], a->woke_ms);
	for (const struct ledger_request *r = l->pending; r; r = r->next)
		mix_request(r);
	for (int k = 0; k < JOBS_THREADS; k++) {
		if (!a->jobs->v[k].job)
			continue;
		mix((uint64_t)k << 8 | a->jobs->v[k].at);
		mix_ranked(&fp.clock, a->jobs->v[k].job->number);
		mix_job(a->jobs->v[k].job);
	}
	mix(0xcc);
	for (int i = 0; i < a->n_letters; i++)
		mix(a->letters[i] < 1000 ? (uint64_t)a->letters[i] : 1000);
	for (int i = 0; i < a->n_letters; i++)
		if (a->letters[i] >= 1000)
			mix_ranked(&fp.versions, w.events[a->letters[i] - 1000].object.version);
	for (int i = a->heard; i < w.n_events && !w.spec->deaf; i++) {
		const struct object *o = &w.events[i].object;

		mix((uint64_t)w.events[i].pool << 4 | w.events[i].type | (uint64_t)o->edits << 8);
		mix_ranked(&fp.versions, o->version);
		mix_str(o->text);
	}
	mix(0xdd);
}

static void mix_actor(const struct actor *a)
{
	mix((uint64_t)a->fate | (uint64_t)a->over << 4 | (uint64_t)a->ended << 5 |
	    (uint64_t)a->undo << 6 | (uint64_t)a->was_full << 7 | (uint64_t)a->was_unusable << 8 |
	    (uint64_t)a->past_deadline << 9 | (uint64_t)a->owed << 10);
	for (int f = 0; f < FAMILIES; f++) {
		mix_ip(a->ips[f]);
		mix_ip(a->before[f]);
	}
	for (int i = 0; i < w.n_steps; i++)
		mix(a->order < w.actors[i].order);
	if (a->r)
		mix_deadline(a->r->deadline);
}

static void walk(void)
{
	for (int i = 0; i < w.n_steps; i++)
		mix_actor(&w.actors[i]);
	for (int i = 0; i < w.n_pools; i++) {
		const struct object *o = &w.pools[i].is;

		mix_ranked(&fp.versions, o->version);
		mix(o->there | (uint64_t)o->finalizer << 1 | (uint64_t)o->edits << 2);
		mix((uint64_t)(o->recorded << 8) | (uint64_t)o->total);
		mix_str(o->text);
	}
	for (int i = 0; i < w.n_zombies; i++)
		mix_job(w.zombies[i]);
	mix((uint64_t)w.faults | (uint64_t)w.crashed << 8 | (uint64_t)w.forbidden << 9 |
	    (uint64_t)w.late << 10 | (uint64_t)w.edited << 11 | (uint64_t)w.spoiled << 12);
}

static void mix_all(void)
{
	fp.hash = 0xcbf29ce484222325;
	for (int i = 0; i < w.spec->n_agents; i++) {
		bool collecting = fp.collecting;

		/* each has a clock of its own */
		fp.clock.n = 0;
		fp.collecting = true;
		mix_agent(&w.agents[i]);
		fp.collecting = collecting;
		if (!collecting)
			mix_agent(&w.agents[i]);
	}
	walk();
}

static uint64_t fingerprint(void)
{
	fp.versions.n = 0;
	fp.collecting = true;
	mix_all();
	fp.collecting = false;
	mix_all();
	return fp.hash ? fp.hash : 1;
}

/* The states that were seen, and how many ways lead on from each. */
static struct {
	struct seen {
		uint64_t key;
		double ways;
	} * v;
	size_t n, cap;
} seen;

static struct seen *find_seen(uint64_t key)
{
	size_t i = key & (seen.cap - 1);

	while (seen.v[i].key && seen.v[i].key != key)
		i = (i + 1) & (seen.cap - 1);
	return &seen.v[i];
}

static void grow_seen(void)
{
	struct seen *old = seen.v;
	size_t cap = seen.cap;

	if (seen.n * 2 < cap)
		return;
	seen.cap = cap ? cap * 2 : 1 << 14;
	seen.v = xcalloc(seen.cap, sizeof(*seen.v));
	for (size_t i = 0; i < cap; i++)
		if (old[i].key)
			*find_seen(old[i].key) = old[i];
	free(old);
}

/* Worlds. */
static struct object first_object(int i)
{
	const char *more = i ? NULL : w.spec->records;
	struct object o = { .there = true, .finalizer = true, .recorded = i ? 0 : more ? 2 : 1 };

	if (!i)
		o.text = xasprintf("{\"10.0.0.99\":{\"pod\":\"x/foreign\",\"podUid\":\"f\"}%s%s}",
		                   more ? "," : "", more ? more : "");
	o.total = (int64_t)pool_total(&read_object(&o, i)->p);
	return o;
}

static void world_begin(const struct world_spec *spec)
{
	memset(&w, 0, sizeof(w));
	memset(thread_arg, 0, sizeof(thread_arg)); /* of a world that failed */
	clock_ms = 1000000;
	w.spec = spec;
	w.faults = spec->faults + (getenv("MODEL_FAULTS") ? atoi(getenv("MODEL_FAULTS")) : 0);
	while (w.n_steps < STEPS && spec->steps[w.n_steps].cid)
		w.n_steps++;
	for (; w.n_pools < POOLS && spec->ips[w.n_pools]; w.n_pools++)
		put_object(w.n_pools, first_object(w.n_pools), K8S_ADDED);
	for (int i = 0; i < spec->n_agents; i++)
		start_agent(i);
	check_now();
}

static void world_end(void)
{
	for (int i = 0; i < w.n_steps; i++)
		if (w.actors[i].fate == WAITS)
			give_up(i, false);
	for (int i = 0; i < w.spec->n_agents; i++)
		stop_agent(i);
	for (int i = 0; i < w.n_zombies; i++)
		job_free(w.zombies[i]);
	for (int i = 0; i < w.n_events; i++)
		free(w.events[i].object.text);
}

/* The way that is followed, and what has been tried at each step of it. */
static struct frame {
	int tried, of;
	uint64_t key;
	double ways;
} way[DEPTH];
static int depth;

static void fail_here(int n)
{
	AUTO_STR text = STR_INIT;

	for (int i = 0; i < n; i++)
		str_addf(&text, "%s%d", i ? "." : "", way[i].tried);
	fail_msg("%s: %s\n# MODEL_WORLD=%s MODEL_REPLAY=%s", w.spec->name, w.failed, w.spec->name,
	         text.data);
}

/* Follows the way to its end, and from there the first choice on to where nothing is new. */
static double run_once(const struct world_spec *spec)
{
	int at = 0, fresh = depth;
	struct choices c;
	double ways = 1;

	known = fresh > 0;
	world_begin(spec);
	for (;; at++) {
		struct choice_of choice;

		find_choices(&c);
		if (at == depth) {
			struct seen *s;

			grow_seen();
			way[at].key = fingerprint();
			s = find_seen(way[at].key);
			if (s->key) {
				ways = s->ways;
				break;
			}
			s->key = way[at].key;
			seen.n++;
			way[at].tried = 0;
			way[at].of = c.n;
			way[at].ways = 0;
			depth++;
			if (depth == DEPTH) {
				violated("it has no end");
				fail_here(at + 1);
			}
		}
		assert_int_equal(c.n, way[at].of); /* the same way leads to the same place */
		choice = c.v[way[at].tried];
		known = at + 1 < fresh;
		carry_out(choice);
		if (*w.failed)
			fail_here(at + 1);
		if (choice.what == END)
			break;
	}
	world_end();
	return ways;
}

/* To the next choice that was not tried; what has none is counted.  False: that was all. */
static bool step_back(double ways)
{
	while (depth) {
		struct frame *f = &way[depth - 1];

		f->ways += ways;
		if (++f->tried < f->of)
			return true;
		ways = f->ways;
		find_seen(f->key)->ways = ways;
		if (!ways) {
			violated("whatever happens, it comes to no end");
			fail_here(depth);
		}
		depth--;
	}
	return false;
}

static void replay(const struct world_spec *spec, const char *text)
{
	struct choices c;

	known = false;
	world_begin(spec);
	while (*text && !*w.failed) {
		AUTO_STR line = STR_INIT;
		char *end;
		long n = strtol(text, &end, 10);

		find_choices(&c);
		assert_in_range(n, 0, c.n - 1);
		describe(c.v[n], &line);
		fprintf(stderr, "# %s\n", line.data);
		carry_out(c.v[n]);
		for (int i = 0; i < w.n_pools; i++)
			fprintf(stderr, "#     p%d %s\n", i,
			        w.pools[i].is.there ? w.pools[i].is.text : "is gone");
		text = *end ? end + 1 : end;
	}
	if (*w.failed)
		fail_msg("%s", w.failed);
	world_end();
}

static void explore(void **state)
{
	const struct world_spec *spec = *state;
	const char *chosen = getenv("MODEL_REPLAY");
	unsigned long runs = 0;
	double ways;

	if (chosen) {
		replay(spec, chosen);
	} else {
		memset(&seen, 0, sizeof(seen));
		depth = 0;
		do {
			ways = run_once(spec);
			if (++runs % 10000 == 0 && getenv("MODEL_TRACE"))
				fprintf(stderr, "# %s: %lu runs, %zu states\n", spec->name, runs,
				        seen.n);
		} while (step_back(ways));
		print_message("# %s: %zu states, %lu runs, stand for %.0f interleavings\n",
		              spec->name, seen.n, runs, way[0].ways);
		free(seen.v);
	}
	empty_cache();
}

#define POD(n) "d/p" #n, "u" #n
#define NEXT(n) "d/p" #n, "v" #n /* of the same name */
#define AFTER(n) (1U << (n))

static struct world_spec worlds[] = {
	{
		.name = "two_adds_one_address",
		.ips = { "10.0.0.1" },
		.steps = { { ADD, POD(1), "c1" }, { ADD, POD(2), "c2" } },
		.faults = 2,
		.kinds = LOST | UNDONE | FORBIDDEN | CRASH,
		.gathers = true,
	},
	{
		.name = "two_adds_two_addresses",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" }, { ADD, POD(2), "c2" }, { TOUCH } },
		.faults = 1,
		.kinds = LOST | TOO_LATE | DEADLINE,
	},
	{
		.name = "add_and_del_of_one_container",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" }, { DEL, POD(1), "c1" } },
		.faults = 1,
		.kinds = LOST | UNDONE | FORBIDDEN | CRASH | HANGUP | TOO_LATE | DEADLINE,
		.gathers = true,
	},
	{
		.name = "del_and_add_again",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, POD(1), "c1", AFTER(0) } },
		.faults = 1,
		.kinds = LOST | UNDONE | CRASH | HANGUP | DEADLINE,
	},
	{
		.name = "new_sandbox_and_del_of_the_old",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { ADD, POD(1), "c2", AFTER(0) },
	                   { DEL, POD(1), "c1", AFTER(0) } },
		.faults = 1,
		.kinds = LOST | UNDONE | CRASH | HANGUP | TOO_LATE | DEADLINE,
	},
	{
		.name = "dual_stack",
		.ips = { "10.0.0.1", "fd00::1" },
		.steps = { { ADD, POD(1), "c1" }, { DEL, POD(1), "c1", AFTER(0) } },
		.faults = 1,
		.kinds = LOST | FORBIDDEN | CRASH | TOO_LATE,
	},
	{
		.name = "dual_stack_one_family_used_out",
		.ips = { "10.0.0.1-10.0.0.2", "fd00::1" },
		.steps = { { ADD, POD(1), "c1" }, { ADD, POD(2), "c2" } },
		.faults = 1,
		.kinds = LOST | FORBIDDEN | TOO_LATE,
		.deaf = true,
	},
	{
		.name = "dual_stack_rolled_back",
		.ips = { "10.0.0.1", "fd00::1" },
		.steps = { { ADD, POD(1), "c1" } },
		.faults = 2,
		.kinds = LOST | UNDONE | FORBIDDEN | DEADLINE,
		.deaf = true,
	},
	{
		.name = "asked_for_twice_at_once",
		.ips = { "10.0.0.1" },
		.steps = { { ADD, POD(1), "c1" }, { ADD, POD(1), "c1" } },
		.faults = 2,
		.kinds = LOST | TOO_LATE,
		.deaf = true,
	},
	{
		.name = "retry_with_the_same_container",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" }, { ADD, POD(1), "c1", AFTER(0) } },
		.faults = 2,
		.kinds = LOST | UNDONE | CRASH | HANGUP | TOO_LATE | DEADLINE,
	},
	{
		.name = "retry_with_another_container",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { ADD, POD(1), "c2", AFTER(0) },
	                   { ADD, POD(2), "c3" } },
		.faults = 1,
		.kinds = LOST | HANGUP | TOO_LATE,
	},
	{
		.name = "del_that_times_out",
		.ips = { "10.0.0.1" },
		.steps = { { ADD, POD(1), "c1" },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, POD(2), "c2", AFTER(0) } },
		.faults = 1,
		.kinds = DEADLINE | CRASH,
	},
	{
		.name = "two_agents",
		.ips = { "10.0.0.1" },
		.steps = { { ADD, POD(1), "c1" },
	                   { ADD, POD(2), "c2", 0, 1 },
	                   { DEL, POD(1), "c1", AFTER(0) } },
		.n_agents = 2,
		.faults = 1,
		.kinds = LOST | CRASH,
		.deaf = true,
	},
	{
		.name = "two_agents_that_listen",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" }, { ADD, POD(2), "c2", 0, 1 } },
		.n_agents = 2,
		.faults = 0,
		.kinds = LOST,
	},
	{
		.name = "next_pod_of_the_name",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { ADD, NEXT(1), "c2", AFTER(0) },
	                   { DEL, POD(1), "c1", AFTER(0) } },
		.faults = 1,
		.kinds = LOST | CRASH,
	},
	{
		.name = "kept_address",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1", .keep = true },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, NEXT(1), "c2", AFTER(1), .keep = true },
	                   { ADD, POD(2), "c3", .keep = true } },
		.faults = 1,
		.kinds = LOST | CRASH | TOO_LATE,
	},
	{
		.name = "kept_address_on_the_next_node",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1", .keep = true },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, NEXT(1), "c2", AFTER(0), 1, .keep = true } },
		.n_agents = 2,
		.faults = 1,
		.kinds = LOST | CRASH,
	},
	{
		.name = "collector_and_next_pod",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1", .keep = true },
	                   { FREE, POD(1), "c1", AFTER(0), .of = 0 },
	                   { ADD, NEXT(1), "c2", AFTER(0), .keep = true } },
		.faults = 1,
		.kinds = LOST | UNDONE | CRASH | HANGUP | DEADLINE,
	},
	{
		.name = "kept_address_that_went",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1", .keep = true },
	                   { ADD, NEXT(1), "c2", AFTER(0), 1, .keep = true },
	                   { ADD, POD(1), "c1", AFTER(1), .keep = true } },
		.n_agents = 2,
		.faults = 1,
		.kinds = LOST | CRASH,
		.deaf = true,
	},
	{
		.name = "freed_by_the_other_agent",
		.ips = { "10.0.0.1" },
		.steps = { { ADD, POD(1), "c1" },
	                   { ADD, POD(2), "c2", AFTER(0), 1 },
	                   { DEL, POD(1), "c1", AFTER(1) },
	                   { ADD, POD(3), "c3", AFTER(2), 1 } },
		.n_agents = 2,
		.faults = 1,
		.kinds = LOST | CRASH,
		.deaf = true,
	},
	{
		.name = "quarantine_and_del",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { QUARANTINE, POD(1), "c1", AFTER(0), .of = 0 },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, POD(2), "c2", AFTER(0) } },
		.faults = 1,
		.kinds = LOST,
	},
	{
		.name = "pool_shrunk",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { SHRINK },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, POD(2), "c2" } },
		.faults = 0,
		.kinds = LOST | CRASH,
	},
	{
		.name = "pool_disabled",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { DISABLE },
	                   { ADD, POD(1), "c2", AFTER(0) },
	                   { DEL, POD(1), "c1", AFTER(0) } },
		.faults = 0,
		.kinds = LOST,
	},
	{
		.name = "pool_deleted",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { DELETE },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, POD(2), "c2" } },
		.faults = 0,
		.kinds = LOST | CRASH,
	},
	{
		.name = "pool_spoiled",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" }, { SPOIL }, { DEL, POD(1), "c1", AFTER(0) } },
		.faults = 1,
		.kinds = LOST | UNDONE | CRASH,
	},
	{
		.name = "record_of_the_original",
		.ips = { "10.0.0.1-10.0.0.2" },
		.records = "\"10.0.0.1\":{\"pod\":\"d/p1\",\"podUid\":\"u1\"}",
		.steps = { { ADD, POD(1), "c2" },
	                   { DEL, POD(1), "c1" },
	                   { DEL, POD(1), "c2", AFTER(0) } },
		.faults = 1,
		.kinds = LOST | UNDONE | CRASH | TOO_LATE,
	},
	{
		.name = "late_writes",
		.ips = { "10.0.0.1-10.0.0.2" },
		.steps = { { ADD, POD(1), "c1" },
	                   { DEL, POD(1), "c1", AFTER(0) },
	                   { ADD, POD(2), "c2" } },
		.faults = 1,
		.kinds = LATE | CRASH,
	},
};

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(worlds)];

	/* what the ledger says of faults is no news here */
	log_init("ledger_model_test", STDERR_FILENO, false, LOG_LEVEL_ERROR);
	for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
		if (!worlds[i].n_agents)
			worlds[i].n_agents = 1;
		for (int k = 0; k < STEPS; k++) {
			struct step *s = &worlds[i].steps[k];

			if (s->op > QUARANTINE)
				s->pod = s->uid = s->cid = "";
		}
		tests[i] = (struct CMUnitTest){ worlds[i].name, explore, NULL, NULL, &worlds[i] };
	}
	if (getenv("MODEL_WORLD"))
		cmocka_set_test_filter(getenv("MODEL_WORLD"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
