/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/events.c agent/pods.c agent/informer.c agent/pause.c agent/thread.c */
/* links: agent/live.c store/store.c store/dir.c store/dir_watch.c k8s/labels.c pool/selector.c json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * events_test.c - what is written on a pod whose ADD failed, how often, and what is not: over a
 * directory store that counts and waits as told.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/events.h"
#include "base/date.h"
#include "store/backend.h"

#define LONG_MS (60 * 60 * 1000)

/* There is no API server here. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)path;
	(void)context;
	(void)out;
	return err_set(e, ERR_CONFIG, "no API server in this test");
}

static struct {
	struct store base;
	struct store *real;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;    /* events wait to be created */
	bool refused; /* events are not created */
	int waiting, creates, patches;
} counting;

static int c_get(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
                 struct mono deadline, struct err *e)
{
	(void)s;
	return store_get(counting.real, k, ns, name, out, deadline, e);
}

static int c_list(struct store *s, enum store_kind k, const char *ns,
                  const struct k8s_selector *sel, json **items, char **version,
                  struct mono deadline, struct err *e)
{
	(void)s;
	return store_list(counting.real, k, ns, sel, items, version, deadline, e);
}

static int c_create(struct store *s, enum store_kind k, const json *object, json **out,
                    struct mono deadline, struct err *e)
{
	bool refused;

	(void)s;
	pthread_mutex_lock(&counting.lock);
	counting.waiting++;
	pthread_cond_broadcast(&counting.changed);
	while (counting.held)
		pthread_cond_wait(&counting.changed, &counting.lock);
	counting.waiting--;
	counting.creates++;
	refused = counting.refused;
	pthread_mutex_unlock(&counting.lock);
	if (refused)
		return err_set(e, ERR_FORBIDDEN, "not you");
	return store_create(counting.real, k, object, out, deadline, e);
}

static int c_patch(struct store *s, enum store_kind k, const char *ns, const char *name,
                   bool status, const json *patch, json **out, struct mono deadline, struct err *e)
{
	(void)s;
	pthread_mutex_lock(&counting.lock);
	counting.patches++;
	pthread_mutex_unlock(&counting.lock);
	return store_patch(counting.real, k, ns, name, status, patch, out, deadline, e);
}

static int c_watch_open(struct store *s, enum store_kind k, const char *ns,
                        const struct k8s_selector *sel, const char *version,
                        struct store_watch **out, struct err *e)
{
	(void)s;
	return store_watch_open(counting.real, k, ns, sel, version, out, e);
}

static const struct store_ops counting_ops = {
	.get = c_get,
	.list = c_list,
	.create = c_create,
	.patch = c_patch,
	.watch_open = c_watch_open,
};

static int count(const int *n)
{
	int v;

	pthread_mutex_lock(&counting.lock);
	v = *n;
	pthread_mutex_unlock(&counting.lock);
	return v;
}

static void set(bool *what, bool v)
{
	pthread_mutex_lock(&counting.lock);
	*what = v;
	pthread_cond_broadcast(&counting.changed);
	pthread_mutex_unlock(&counting.lock);
}

static char folder[64];
static struct pods *pods;
static struct events *events;

static struct mono soon(void)
{
	return mono_in(20000);
}

static void on_gone(void *ctx, const char *ns, const char *name, const char *uid)
{
	(void)ctx;
	(void)ns;
	(void)name;
	(void)uid;
}

static int setup(void **state)
{
	struct pods_ops ops = { on_gone, NULL };
	AUTO_FREE char *spec = NULL;
	struct err e;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/events_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	spec = xasprintf("dir:%s/store", folder);
	memset(&counting, 0, sizeof(counting));
	counting.base.ops = &counting_ops;
	pthread_mutex_init(&counting.lock, NULL);
	pthread_cond_init(&counting.changed, NULL);
	if (store_open(spec, NULL, &counting.real, &e) < 0 ||
	    pods_start(&counting.base, "master", &ops, &pods, &e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	events_stop(events);
	events = NULL;
	pods_stop(pods);
	store_close(counting.real);
	pthread_cond_destroy(&counting.changed);
	pthread_mutex_destroy(&counting.lock);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static void start(int64_t pause_ms, int64_t same_ms)
{
	struct events_config c = { &counting.base, pods, "master", pause_ms, same_ms };
	struct err e;

	if (events_start(&c, &events, &e) < 0)
		fail_msg("%s", e.msg);
}

static void make_pod(const char *name, const char *status)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"namespace\":\"ns\",\"name\":\"%s\","
		"\"uid\":\"uid-%s\"},\"spec\":{\"nodeName\":\"master\"},"
		"\"status\":{%s}}",
		name, name, status);
	AUTO_JSON *o = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &o, &e) < 0 ||
	    store_create(counting.real, STORE_POD, o, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static void fails(const char *pod, const char *uid, enum err_kind kind, const char *text)
{
	struct add_failure f = { "ns", pod, uid, "kube-system/net", kind, text, NULL, NULL };

	events_failed(events, &f);
}

static json *list(void)
{
	json *items = NULL;
	struct err e;

	if (store_list(counting.real, STORE_EVENT, "ns", NULL, &items, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	return items;
}

static int64_t count_of(const json *event)
{
	int64_t n = 0;

	assert_int_equal(json_i64(event, "count", &n, NULL), 0);
	return n;
}

/* Until there are so many events, which were counted up to so much together. */
static json *await(size_t n, int64_t total)
{
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		json *items = list();
		int64_t sum = 0;

		json_each(o, items)
		{
			sum += count_of(o);
		}
		if (json_count(items) == n && sum == total)
			return items;
		if (mono_passed(until))
			fail_msg("%zu events of %lld failures, not %zu of %lld", json_count(items),
			         (long long)sum, n, (long long)total);
		json_free(items);
	}
}

static void text_is(const json *o, const char *key, const char *key2, const char *want)
{
	const char *have = json_str_at(o, key, key2, NULL);

	assert_non_null(have);
	assert_string_equal(have, want);
}

static void the_object(void **state)
{
	AUTO_JSON *items = NULL;
	const json *o;
	int64_t first, last;

	(void)state;
	make_pod("a", "");
	start(LONG_MS, 0);
	fails("a", "uid-a", ERR_EXHAUSTED, "all IP addresses used out, IPv4 IPPools [p] of eth0");
	items = await(1, 1);
	o = json_first(items);
	text_is(o, "metadata", "namespace", "ns");
	assert_true(str_starts(json_str_at(o, "metadata", "name", NULL), "a."));
	text_is(o, "kind", NULL, "Event");
	text_is(o, "type", NULL, "Warning");
	text_is(o, "reason", NULL, "FailedAllocateIP");
	text_is(o, "message", NULL,
	        "all IP addresses used out, IPv4 IPPools [p] of eth0. Remedy: add addresses to one "
	        "of these IPPools, or delete pods that use them");
	text_is(o, "involvedObject", "kind", "Pod");
	text_is(o, "involvedObject", "apiVersion", "v1");
	text_is(o, "involvedObject", "namespace", "ns");
	text_is(o, "involvedObject", "name", "a");
	text_is(o, "involvedObject", "uid", "uid-a");
	text_is(o, "source", "component", "spiderpool-agent");
	text_is(o, "source", "host", "master");
	text_is(o, "reportingComponent", NULL, "spiderpool-agent");
	text_is(o, "reportingInstance", NULL, "master");
	assert_true(date_parse(json_str_at(o, "firstTimestamp", NULL), &first));
	assert_true(date_parse(json_str_at(o, "lastTimestamp", NULL), &last));
	assert_true(first <= last && last - first < 60);
}

/* The message that a failure of this kind is told with. */
static void told(const char *pod, enum err_kind kind, const char *want)
{
	AUTO_FREE char *uid = xasprintf("uid-%s", pod);

	make_pod(pod, "");
	fails(pod, uid, kind, "why");
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		AUTO_JSON *items = list();

		assert_false(mono_passed(until));
		json_each(o, items)
		{
			if (!streq(json_str_at(o, "involvedObject", "name", NULL), pod))
				continue;
			text_is(o, "message", NULL, want);
			return;
		}
	}
}

static void remedies(void **state)
{
	(void)state;
	start(LONG_MS, 0);
	told("a", ERR_NO_POOL,
	     "why. Remedy: make a SpiderIPPool that serves node master and network "
	     "kube-system/net, or correct the pod's annotations");
	told("b", ERR_TIMEOUT,
	     "why. Remedy: see whether the API server answers; the pod is tried again");
	told("c", ERR_FORBIDDEN,
	     "why. Remedy: give the agent the rights of its ClusterRole, spiderpool-agent: kubectl "
	     "apply -f deploy/20-rbac.yaml");
	told("d", ERR_PROTO, "why");
}

/* What is known goes before that of the kind. */
static void own_words(void **state)
{
	struct add_failure f = { "ns",        "a",   "uid-a",   NULL,
		                 ERR_NO_POOL, "why", "do this", "IgnoredRoutes" };
	AUTO_JSON *items = NULL;

	(void)state;
	make_pod("a", "");
	start(LONG_MS, 0);
	events_failed(events, &f);
	items = await(1, 1);
	text_is(json_first(items), "message", NULL, "why. Remedy: do this");
	text_is(json_first(items), "reason", NULL, "IgnoredRoutes");
}

/* Characters stay whole, and what helps is there. */
static void long_text(void **state)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *items = NULL;
	const char *message;

	(void)state;
	make_pod("a", "");
	start(LONG_MS, 0);
	for (int i = 0; i < 1000; i++)
		str_add(&text, i % 2 ? "\xe2\x82\xac" : "x");
	fails("a", "uid-a", ERR_EXHAUSTED, text.data);
	items = await(1, 1);
	message = json_str_at(json_first(items), "message", NULL);
	assert_in_range(strlen(message), 1000, 1024);
	assert_true(str_ends(message,
	                     "... Remedy: add addresses to one of these IPPools, or "
	                     "delete pods that use them") ||
	            str_ends(message,
	                     ".... Remedy: add addresses to one of these IPPools, or "
	                     "delete pods that use them"));
	for (const char *s = message; *s; s += utf8_length(s))
		assert_int_not_equal(utf8_length(s), 0);
}

static void counted_up(void **state)
{
	AUTO_JSON *items = NULL;
	AUTO_JSON *two = NULL;
	AUTO_JSON *three = NULL;

	(void)state;
	make_pod("a", "");
	make_pod("b", "");
	start(1, 0);
	for (int i = 0; i < 5; i++)
		fails("a", "uid-a", ERR_EXHAUSTED, "full");
	items = await(1, 5);
	/* another pod, another text */
	fails("b", "uid-b", ERR_EXHAUSTED, "full");
	two = await(2, 6);
	fails("a", "uid-a", ERR_EXHAUSTED, "fuller");
	three = await(3, 7);
	assert_int_equal(count(&counting.creates), 3);
}

/* An event that somebody deleted is made again. */
static void deleted(void **state)
{
	AUTO_JSON *items = NULL;
	AUTO_JSON *again = NULL;
	const char *name;
	struct err e;

	(void)state;
	make_pod("a", "");
	start(1, 0);
	fails("a", "uid-a", ERR_EXHAUSTED, "full");
	items = await(1, 1);
	name = json_str_at(json_first(items), "metadata", "name", NULL);
	assert_int_equal(
		store_delete(counting.real, STORE_EVENT, "ns", name, NULL, NULL, soon(), &e), 0);
	fails("a", "uid-a", ERR_EXHAUSTED, "full");
	again = await(1, 2);
}

/* After a while the same is news again. */
static void forgotten(void **state)
{
	AUTO_JSON *items = NULL;
	AUTO_JSON *again = NULL;

	(void)state;
	make_pod("a", "");
	start(1, 50);
	fails("a", "uid-a", ERR_EXHAUSTED, "full");
	items = await(1, 1);
	mono_sleep_until(mono_in(60));
	fails("a", "uid-a", ERR_EXHAUSTED, "full");
	again = await(2, 2);
}

static void one_write_per_pause(void **state)
{
	AUTO_JSON *items = NULL;
	AUTO_JSON *other = NULL;

	(void)state;
	make_pod("a", "");
	make_pod("b", "");
	start(LONG_MS, LONG_MS);
	for (int i = 0; i < 6; i++)
		fails("a", "uid-a", ERR_EXHAUSTED, i % 2 ? "full" : "fuller");
	/* in order: when b's is there, a's were all looked at */
	fails("b", "uid-b", ERR_EXHAUSTED, "full");
	items = list();
	for (struct mono until = soon(); json_count(items) < 2; mono_sleep_until(mono_in(2))) {
		assert_false(mono_passed(until));
		json_free(items);
		items = list();
	}
	mono_sleep_until(mono_in(50));
	assert_int_equal(count(&counting.creates), 2);
	assert_int_equal(count(&counting.patches), 0);

	/* what was held back is written when the pause is over */
	events_stop(events);
	start(300, LONG_MS);
	make_pod("c", "");
	for (int i = 0; i < 6; i++)
		fails("c", "uid-c", ERR_EXHAUSTED, i % 2 ? "full" : "fuller");
	other = await(4, count_of(json_first(items)) + count_of(json_next(json_first(items))) + 6);
	assert_in_range(count(&counting.creates) + count(&counting.patches), 4, 6);
}

/* Nothing for what is no object, is another by now, or is done with. */
static void nobody_to_tell(void **state)
{
	AUTO_JSON *items = NULL;

	(void)state;
	make_pod("a", "");
	make_pod("done", "\"phase\":\"Failed\",\"reason\":\"Evicted\"");
	start(1, 0);
	fails("none", "uid-none", ERR_EXHAUSTED, "full");
	fails("", "", ERR_EXHAUSTED, "full");
	fails("a", "uid-other", ERR_EXHAUSTED, "full");
	fails("done", "uid-done", ERR_EXHAUSTED, "full");
	fails("a", "uid-a", ERR_EXHAUSTED, "full");
	items = await(1, 1);
	text_is(json_first(items), "involvedObject", "uid", "uid-a");
	assert_int_equal(count(&counting.creates), 1);
	/* a NULL object is fine */
	events_failed(NULL, &(struct add_failure){ .ns = "ns" });
	events_stop(NULL);
}

/* A store that hangs holds up nobody, and what it may cost is bounded. */
static void bounded_queue(void **state)
{
	AUTO_JSON *items = NULL;
	struct mono started;

	(void)state;
	make_pod("a", "");
	start(1, 0);
	set(&counting.held, true);
	fails("a", "uid-a", ERR_EXHAUSTED, "first");
	pthread_mutex_lock(&counting.lock);
	while (!counting.waiting)
		pthread_cond_wait(&counting.changed, &counting.lock);
	pthread_mutex_unlock(&counting.lock);
	started = mono_now();
	for (int i = 0; i < 1000; i++)
		fails("a", "uid-a", ERR_EXHAUSTED, i < 1000 - EVENTS_QUEUED ? "old" : "new");
	assert_in_range(mono_now().ms - started.ms, 0, 5000);
	set(&counting.held, false);
	items = await(2, 1 + EVENTS_QUEUED);
	json_each(o, items)
	{
		assert_string_not_equal(json_str_at(o, "message", NULL),
		                        "old. Remedy: add addresses to one of these IPPools, or "
		                        "delete pods that use them");
	}
}

static void await_creates(int n)
{
	for (struct mono until = soon(); count(&counting.creates) < n; mono_sleep_until(mono_in(1)))
		assert_false(mono_passed(until));
	assert_int_equal(count(&counting.creates), n);
}

static void pod_fails(int i)
{
	AUTO_FREE char *name = xasprintf("p%d", i);
	AUTO_FREE char *uid = xasprintf("uid-%s", name);

	fails(name, uid, ERR_EXHAUSTED, "full");
}

/* More pods in trouble than we remember: those that came first are told of. */
static void bounded_table(void **state)
{
	AUTO_JSON *items = NULL;

	(void)state;
	for (int i = 0; i <= EVENTS_KNOWN; i++) {
		AUTO_FREE char *name = xasprintf("p%d", i);

		make_pod(name, "");
	}
	start(1, LONG_MS);
	for (int i = 0; i < EVENTS_KNOWN; i++) {
		pod_fails(i);
		await_creates(i + 1);
	}
	pod_fails(EVENTS_KNOWN);
	pod_fails(0);
	items = await(EVENTS_KNOWN, EVENTS_KNOWN + 1);
	assert_int_equal(count(&counting.creates), EVENTS_KNOWN);

	/* what was seen long ago makes room */
	events_stop(events);
	start(1, 10);
	for (int i = 0; i <= EVENTS_KNOWN; i++) {
		pod_fails(i);
		await_creates(EVENTS_KNOWN + i + 1);
		mono_sleep_until(mono_in(2));
	}
}

/* Who may not write events goes on, and ends at once. */
static void refused(void **state)
{
	AUTO_JSON *items = NULL;

	(void)state;
	make_pod("a", "");
	start(1, 0);
	set(&counting.refused, true);
	fails("a", "uid-a", ERR_EXHAUSTED, "full");
	for (struct mono until = soon(); !count(&counting.creates); mono_sleep_until(mono_in(2)))
		assert_false(mono_passed(until));
	mono_sleep_until(mono_in(50));
	assert_int_equal(count(&counting.creates), 1); /* not again and again */
	set(&counting.refused, false);
	fails("a", "uid-a", ERR_EXHAUSTED, "full");
	items = await(1, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_object),          TEST(remedies),       TEST(long_text),
		TEST(counted_up),          TEST(deleted),        TEST(forgotten),
		TEST(one_write_per_pause), TEST(nobody_to_tell), TEST(bounded_queue),
		TEST(bounded_table),       TEST(refused),        TEST(own_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
