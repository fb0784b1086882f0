/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.c - see events.h.
 *
 * The runtime tries a failed pod again and again.  The same failure of the same pod is one Event
 * whose count goes up, written at once and then after pauses that grow: an API server must not
 * suffer from a cluster that has run out of addresses.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/events.h"
#include "agent/thread.h"
#include "base/date.h"
#include "base/log.h"

#define COMPONENT "spiderpool-agent"
#define REASON_FAILED "FailedAllocateIP"
#define MESSAGE_MAX 1024   /* more than that newer versions of the API refuse */
#define POD_NAME_SHOWN 236 /* a name has 253 bytes, a dot and 16 digits follow */
#define PAUSE_MS 5000
#define PAUSE_MAX_FACTOR 64 /* five minutes */
#define SAME_MS (10 * 60 * 1000)
#define FIND_MS 2000
#define CALL_MS 5000

/* A failure on its way to the thread. */
struct letter {
	char *ns, *name, *uid, *network, *text, *remedy;
	enum err_kind kind;
	const char *reason;
};

/* An Event. */
struct note {
	char *ns, *pod, *uid, *message;
	const char *reason;
	char *name;          /* of the object; NULL: not made yet */
	int64_t first, last; /* seconds since 1970 */
	int64_t count;
	bool unwritten;
	struct mono seen, written; /* written.ms 0: never tried */
	int64_t pause_ms;          /* after the last write */
};

struct events {
	struct events_config config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock; a ring */
	struct letter letters[EVENTS_QUEUED];
	size_t first, n;
	bool ended;
	/* the thread's own */
	struct note notes[EVENTS_KNOWN];
	size_t n_notes;
};

static void letter_release(struct letter *l)
{
	free(l->ns);
	free(l->name);
	free(l->uid);
	free(l->network);
	free(l->text);
	free(l->remedy);
}

static void note_release(struct note *n)
{
	free(n->ns);
	free(n->pod);
	free(n->uid);
	free(n->message);
	free(n->name);
}

/* What says something else than it should: its text begins so, then names it. */
#define WRONG "wrong input: "

static char *correct(const struct letter *l)
{
	const char *what = l->text + strlen(WRONG);
	const char *key = strchr(what, ' ');
	int n = (int)strcspn(what, ":");

	if (str_starts(what, "namespace annotation "))
		return xasprintf(
			"correct the %.*s: kubectl annotate --overwrite namespace %s "
			"%.*s=VALUE",
			n, what, l->ns, n - (int)strlen("namespace annotation "),
			what + strlen("namespace annotation "));
	if (str_starts(what, "annotation "))
		return xasprintf(
			"correct the %.*s, in the template of the pod's workload, or: "
			"kubectl annotate --overwrite -n %s pod %s %.*s=VALUE",
			n, what, l->ns, l->name, n - (int)(key + 1 - what), key + 1);
	return xasprintf("correct the %.*s", n, what);
}

/* What helps; "" when that is not for us to say. */
static char *remedy(const struct events *ev, const struct letter *l)
{
	if (l->remedy)
		return xstrdup(l->remedy);
	switch (l->kind) {
	case ERR_CONFIG:
		return str_starts(l->text, WRONG) ? correct(l) : xstrdup("");
	case ERR_EXHAUSTED:
		return xstrdup(
			"add addresses to one of these IPPools, or delete pods that use "
			"them");
	case ERR_NO_POOL:
		return xasprintf(
			"make a SpiderIPPool that serves node %s%s%s, or correct the "
			"pod's annotations",
			ev->config.node, l->network ? " and network " : "",
			l->network ? l->network : "");
	case ERR_FORBIDDEN:
		return xstrdup(
			"give the agent the rights of its ClusterRole, spiderpool-agent: "
			"kubectl apply -f deploy/20-rbac.yaml");
	case ERR_IDENTITY:
		return xstrdup(
			"see whether the ServiceAccount of the agent's pod exists, and make "
			"that pod anew");
	case ERR_TIMEOUT:
	case ERR_CONFLICT:
	case ERR_THROTTLED:
	case ERR_UNREACHABLE:
		return xstrdup("see whether the API server answers; the pod is tried again");
	default:
		return xstrdup("");
	}
}

/* Cut between characters, if it must be. */
static size_t cut(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (n <= max)
		return n;
	for (n = max; n && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

static char *message_of(const struct events *ev, const struct letter *l)
{
	AUTO_FREE char *help = remedy(ev, l);
	AUTO_FREE char *tail = *help ? xasprintf(". Remedy: %s", help) : xstrdup("");
	size_t room = strlen(tail) < MESSAGE_MAX / 2 ? MESSAGE_MAX - strlen(tail) : MESSAGE_MAX / 2;
	size_t n = cut(l->text, room);

	if (n < strlen(l->text))
		n = cut(l->text, room - 3);
	return xasprintf("%.*s%s%.*s", (int)n, l->text, n < strlen(l->text) ? "..." : "",
	                 (int)cut(tail, MESSAGE_MAX / 2), tail);
}

/* Notes. */
static struct note *find_note(struct events *ev, const char *uid, const char *message)
{
	struct mono now = mono_now();

	for (size_t i = 0; i < ev->n_notes; i++) {
		struct note *n = &ev->notes[i];

		if (streq(n->uid, uid) && streq(n->message, message) &&
		    now.ms - n->seen.ms < ev->config.same_ms)
			return n;
	}
	return NULL;
}

/*
 * Room for another: the one that was not seen for longest goes.  When even that is one of now,
 * there are more pods in trouble than we tell of: NULL.
 */
static struct note *new_note(struct events *ev)
{
	struct note *oldest = &ev->notes[0];

	if (ev->n_notes < EVENTS_KNOWN)
		return &ev->notes[ev->n_notes++];
	for (size_t i = 1; i < ev->n_notes; i++)
		if (ev->notes[i].seen.ms < oldest->seen.ms)
			oldest = &ev->notes[i];
	if (mono_now().ms - oldest->seen.ms < ev->config.same_ms / 10)
		return NULL;
	note_release(oldest);
	return oldest;
}

/* True for a pod that is an object, and lives: its uid, owned. */
static bool find_pod(struct events *ev, const struct letter *l, char **uid)
{
	struct pod_facts f;
	bool found = false;

	if (!*l->name || pods_find(ev->config.pods, l->ns, l->name, l->uid, mono_in(FIND_MS), &f,
	                           &found, NULL) < 0)
		return false;
	found = found && !*f.dead;
	*uid = xstrdup(f.uid);
	pod_facts_release(&f);
	return found;
}

static void note_failure(struct events *ev, const struct letter *l)
{
	AUTO_FREE char *message = message_of(ev, l);
	AUTO_FREE char *uid = NULL;
	struct note *n;

	if (!find_pod(ev, l, &uid))
		return;
	n = find_note(ev, uid, message);
	if (!n) {
		n = new_note(ev);
		if (!n) {
			log_debug("no event for pod %s/%s: there are too many", l->ns, l->name);
			return;
		}
		*n = (struct note){ .ns = xstrdup(l->ns),
			            .pod = xstrdup(l->name),
			            .uid = take_ptr(&uid),
			            .message = take_ptr(&message),
			            .reason = l->reason,
			            .first = time(NULL),
			            .pause_ms = ev->config.pause_ms };
	}
	n->count++;
	n->last = time(NULL);
	n->seen = mono_now();
	n->unwritten = true;
}

/* When it may be written, for it and for its pod. */
static struct mono due(const struct events *ev, const struct note *n)
{
	struct mono t = { 0 };

	if (n->written.ms)
		t.ms = n->written.ms + n->pause_ms;
	for (size_t i = 0; i < ev->n_notes; i++) {
		const struct note *other = &ev->notes[i];

		if (other->written.ms && other->written.ms + ev->config.pause_ms > t.ms &&
		    streq(other->uid, n->uid))
			t.ms = other->written.ms + ev->config.pause_ms;
	}
	return t;
}

/* Objects. */
static void set_time(json *o, const char *key, int64_t seconds)
{
	char text[DATE_SIZE];

	date_text(seconds, text);
	json_set_str(o, key, text);
}

/* The pod's name and a number that no other event of it has. */
static char *event_name(const char *pod)
{
	size_t n = cut(pod, POD_NAME_SHOWN);
	struct timespec t;

	/* what ends before a dot ends with a letter or a digit */
	while (n && (pod[n - 1] == '-' || pod[n - 1] == '.'))
		n--;
	clock_gettime(CLOCK_REALTIME, &t);
	return xasprintf("%.*s.%llx", (int)n, pod,
	                 (unsigned long long)t.tv_sec * 1000000000 + (unsigned long long)t.tv_nsec);
}

static json *event_object(const struct events *ev, const struct note *n, const char *name)
{
	json *o = json_new_object(), *meta = json_ensure_object(o, "metadata"),
	     *pod = json_ensure_object(o, "involvedObject"),
	     *source = json_ensure_object(o, "source");

	json_set_str(meta, "namespace", n->ns);
	json_set_str(meta, "name", name);
	json_set_str(pod, "apiVersion", "v1");
	json_set_str(pod, "kind", "Pod");
	json_set_str(pod, "namespace", n->ns);
	json_set_str(pod, "name", n->pod);
	json_set_str(pod, "uid", n->uid);
	json_set_str(o, "type", "Warning");
	json_set_str(o, "reason", n->reason);
	json_set_str(o, "message", n->message);
	json_set_str(source, "component", COMPONENT);
	json_set_str(source, "host", ev->config.node);
	json_set_str(o, "reportingComponent", COMPONENT);
	json_set_str(o, "reportingInstance", ev->config.node);
	set_time(o, "firstTimestamp", n->first);
	set_time(o, "lastTimestamp", n->last);
	json_set_i64(o, "count", n->count);
	return o;
}

static int create(struct events *ev, struct note *n, struct err *e)
{
	AUTO_FREE char *name = event_name(n->pod);
	AUTO_JSON *o = event_object(ev, n, name);

	if (store_create(ev->config.store, STORE_EVENT, o, NULL, mono_in(CALL_MS), e) < 0)
		return -1;
	free(n->name);
	n->name = take_ptr(&name);
	return 0;
}

/* Events live for an hour, or until somebody deletes them. */
static int count_up(struct events *ev, struct note *n, struct err *e)
{
	AUTO_JSON *patch = json_new_object();

	json_set_i64(patch, "count", n->count);
	set_time(patch, "lastTimestamp", n->last);
	if (store_patch(ev->config.store, STORE_EVENT, n->ns, n->name, false, patch, NULL,
	                mono_in(CALL_MS), e) == 0)
		return 0;
	return e->kind == ERR_NOT_FOUND ? create(ev, n, e) : -1;
}

static void write_note(struct events *ev, struct note *n)
{
	struct err e;

	/* it is not tried again by itself: the pod's next failure does */
	if ((n->name ? count_up(ev, n, &e) : create(ev, n, &e)) < 0)
		log_debug("event for pod %s/%s: %s", n->ns, n->pod, e.msg);
	n->unwritten = false;
	if (n->written.ms && n->pause_ms < ev->config.pause_ms * PAUSE_MAX_FACTOR)
		n->pause_ms *= 2;
	n->written = mono_now();
}

/* Writes one that is due, the one that waits for longest; else says when one will be. */
static bool write_due(struct events *ev, struct mono *next)
{
	struct note *best = NULL;

	*next = MONO_NEVER;
	for (size_t i = 0; i < ev->n_notes; i++) {
		struct note *n = &ev->notes[i];
		struct mono t = n->unwritten ? due(ev, n) : MONO_NEVER;

		if (t.ms < next->ms) {
			*next = t;
			best = n;
		}
	}
	if (!best || !mono_passed(*next))
		return false;
	write_note(ev, best);
	return true;
}

/* The next failure; false when the time is over or the end has come. */
static bool take(struct events *ev, struct mono until, struct letter *out, bool *ended)
{
	struct timespec at = mono_timespec(until);
	bool any;

	pthread_mutex_lock(&ev->lock);
	while (!ev->n && !ev->ended)
		if (pthread_cond_timedwait(&ev->changed, &ev->lock, &at))
			break;
	*ended = ev->ended;
	any = ev->n && !ev->ended;
	if (any) {
		*out = ev->letters[ev->first];
		ev->first = (ev->first + 1) % EVENTS_QUEUED;
		ev->n--;
	}
	pthread_mutex_unlock(&ev->lock);
	return any;
}

static void *events_main(void *arg)
{
	struct events *ev = arg;
	struct mono until = MONO_NEVER;
	bool ended = false;

	while (!ended) {
		struct letter l;

		if (take(ev, until, &l, &ended)) {
			note_failure(ev, &l);
			letter_release(&l);
		}
		if (!ended && write_due(ev, &until))
			until = mono_now(); /* there may be more to write */
	}
	return NULL;
}

int events_start(const struct events_config *config, struct events **out, struct err *e)
{
	struct events *ev = xcalloc(1, sizeof(*ev));
	pthread_condattr_t attr;

	ev->config = *config;
	if (!ev->config.pause_ms)
		ev->config.pause_ms = PAUSE_MS;
	if (!ev->config.same_ms)
		ev->config.same_ms = SAME_MS;
	pthread_mutex_init(&ev->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ev->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (thread_start(&ev->thread, events_main, ev, e) < 0) {
		pthread_cond_destroy(&ev->changed);
		pthread_mutex_destroy(&ev->lock);
		free(ev);
		return -1;
	}
	*out = ev;
	return 0;
}

void events_failed(struct events *ev, const struct add_failure *f)
{
	struct letter l;

	if (!ev)
		return;
	l = (struct letter){ .ns = xstrdup(f->ns),
		             .name = xstrdup(f->name),
		             .uid = xstrdup(f->uid),
		             .network = f->network ? xstrdup(f->network) : NULL,
		             .kind = f->kind,
		             .reason = f->reason ? f->reason : REASON_FAILED,
		             .text = xstrdup(f->text),
		             .remedy = f->remedy ? xstrdup(f->remedy) : NULL };
	pthread_mutex_lock(&ev->lock);
	if (ev->n == EVENTS_QUEUED) {
		letter_release(&ev->letters[ev->first]);
		ev->first = (ev->first + 1) % EVENTS_QUEUED;
		ev->n--;
	}
	ev->letters[(ev->first + ev->n++) % EVENTS_QUEUED] = l;
	pthread_cond_signal(&ev->changed);
	pthread_mutex_unlock(&ev->lock);
}

void events_stop(struct events *ev)
{
	if (!ev)
		return;
	pthread_mutex_lock(&ev->lock);
	ev->ended = true;
	pthread_cond_signal(&ev->changed);
	pthread_mutex_unlock(&ev->lock);
	pthread_join(ev->thread, NULL);
	for (; ev->n; ev->n--) {
		letter_release(&ev->letters[ev->first]);
		ev->first = (ev->first + 1) % EVENTS_QUEUED;
	}
	for (size_t i = 0; i < ev->n_notes; i++)
		note_release(&ev->notes[i]);
	pthread_cond_destroy(&ev->changed);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}
