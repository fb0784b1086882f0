/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.c - concurrency, finalizers, status, watches, preconditions and kills, in terms of
 * store.h alone.  The objects are such as our CRDs accept.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/store/conformance.h"

#define NS "conformance"
#define FINALIZER "spiderpool.spidernet.io"

static const char *spec, *context;
static struct store *store;

static struct mono soon(void)
{
	return mono_in(30000);
}

static struct store *open_store(void)
{
	struct store *s = NULL;
	struct err e;

	if (store_open(spec, context, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static json *parse(const char *text)
{
	struct err e;
	json *j = NULL;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static json *create(enum store_kind k, const char *text)
{
	AUTO_JSON *o = parse(text);
	json *out = NULL;
	struct err e;

	if (store_create(store, k, o, &out, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	return out;
}

static json *get(enum store_kind k, const char *ns, const char *name)
{
	json *out = NULL;
	struct err e;

	if (store_get(store, k, ns, name, &out, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	return out;
}

/* Of the pool "a". */
static int patch_in(struct store *s, bool status, const char *text, struct err *e)
{
	AUTO_JSON *p = parse(text);

	return store_patch(s, STORE_IPPOOL, NULL, "a", status, p, NULL, soon(), e);
}

static void patch(bool status, const char *text)
{
	struct err e;

	if (patch_in(store, status, text, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
}

/* Removes all of a kind, finalizers or not. */
static void wipe(enum store_kind k, const char *ns)
{
	AUTO_JSON *none = parse("{\"metadata\":{\"finalizers\":null}}");
	AUTO_JSON *items = NULL;
	struct err e;

	if (store_list(store, k, ns, NULL, &items, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	json_each(o, items)
	{
		const char *name = json_str_at(o, "metadata", "name", NULL);

		if (json_at(o, "metadata", "finalizers", NULL) &&
		    store_patch(store, k, ns, name, false, none, NULL, soon(), &e) < 0)
			fail_msg("%s", e.msg);
		if (store_delete(store, k, ns, name, NULL, NULL, soon(), &e) < 0 &&
		    e.kind != ERR_NOT_FOUND)
			fail_msg("%s", e.msg);
	}
}

static int setup(void **state)
{
	AUTO_JSON *namespace = parse("{\"metadata\":{\"name\":\"" NS "\"}}");
	struct err e;

	(void)state;
	store = open_store();
	if (store_create(store, STORE_NAMESPACE, namespace, NULL, soon(), &e) < 0 &&
	    e.kind != ERR_EXISTS)
		fail_msg("%s", e.msg);
	wipe(STORE_IPPOOL, NULL);
	wipe(STORE_ENDPOINT, NS);
	wipe(STORE_POD, NS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	return 0;
}

static const char pool_a[] =
	"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"subnet\":\"10.0.0.0/24\"}}";
static const char pool_b[] =
	"{\"metadata\":{\"name\":\"b\"},\"spec\":{\"subnet\":\"10.0.1.0/24\"}}";

static int64_t number(const json *o, const char *member, const char *key)
{
	int64_t n = -1;

	IGNORE(json_opt_i64(json_get(o, member), key, &n, NULL));
	return n;
}

static void create_get_list(void **state)
{
	AUTO_JSON *made = create(STORE_IPPOOL, pool_a);
	AUTO_JSON *got = get(STORE_IPPOOL, NULL, "a");
	AUTO_JSON *items = NULL;
	AUTO_JSON *again = parse(pool_a);
	AUTO_FREE char *version = NULL;
	json *none = NULL;
	struct err e;

	(void)state;
	assert_string_equal(json_str_at(made, "kind", NULL), "SpiderIPPool");
	assert_string_equal(json_str_at(made, "apiVersion", NULL),
	                    "spiderpool.spidernet.io/v2beta1");
	assert_non_null(json_str_at(made, "metadata", "uid", NULL));
	assert_non_null(json_str_at(made, "metadata", "creationTimestamp", NULL));
	assert_int_equal(number(made, "metadata", "generation"), 1);
	assert_true(json_equal(made, got));
	assert_int_equal(store_create(store, STORE_IPPOOL, again, NULL, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_non_null(strstr(e.msg, "\"a\" already exists"));
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "b", &none, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_true(str_starts(e.msg, "spiderippools"));
	assert_non_null(strstr(e.msg, "\"b\" not found"));
	json_free(create(STORE_IPPOOL, pool_b));
	assert_int_equal(store_list(store, STORE_IPPOOL, NULL, NULL, &items, &version, soon(), &e),
	                 0);
	assert_int_equal(json_count(items), 2);
	assert_true(json_equal(json_first(items), made));
	assert_non_null(version);
}

static void status_apart_from_spec(void **state)
{
	AUTO_JSON *first = NULL;
	AUTO_JSON *second = NULL;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	patch(true, "{\"status\":{\"totalIPCount\":1},\"spec\":{\"disable\":true}}");
	patch(false, "{\"status\":{\"totalIPCount\":2},\"metadata\":{\"uid\":null}}");
	first = get(STORE_IPPOOL, NULL, "a");
	assert_false(json_truth(json_at(first, "spec", "disable", NULL)));
	assert_non_null(json_str_at(first, "metadata", "uid", NULL));
	assert_int_equal(number(first, "status", "totalIPCount"), 1);
	assert_int_equal(number(first, "metadata", "generation"), 1);
	patch(false, "{\"spec\":{\"disable\":true}}");
	second = get(STORE_IPPOOL, NULL, "a");
	assert_int_equal(number(second, "metadata", "generation"), 2);
	assert_true(json_truth(json_at(second, "spec", "disable", NULL)));
	assert_int_equal(number(second, "status", "totalIPCount"), 1);
}

static int patch_endpoint(bool status, const char *text, struct err *e)
{
	AUTO_JSON *p = parse(text);

	return store_patch(store, STORE_ENDPOINT, NS, "p", status, p, NULL, soon(), e);
}

/* SpiderEndpoint has no status subresource. */
static void status_as_a_member(void **state)
{
	AUTO_JSON *made =
		create(STORE_ENDPOINT,
	               "{\"metadata\":{\"name\":\"p\",\"namespace\":\"" NS
	               "\"},\"status\":{"
	               "\"ownerControllerType\":\"Pod\",\"ownerControllerName\":\"p\",\"current\":{"
	               "\"uid\":\"u\",\"node\":\"n\",\"ips\":[]}}}");
	AUTO_JSON *first = NULL;
	AUTO_JSON *second = NULL;
	struct err e;

	(void)state;
	assert_string_equal(json_str_at(made, "status", "current", "node", NULL), "n");
	if (patch_endpoint(true,
	                   "{\"status\":{\"current\":{\"node\":\"m\"}},\"metadata\":{\"labels\":"
	                   "{\"x\":\"y\"}}}",
	                   &e) < 0)
		fail_msg("%s", e.msg);
	first = get(STORE_ENDPOINT, NS, "p");
	assert_string_equal(json_str_at(first, "status", "current", "node", NULL), "m");
	assert_string_equal(json_str_at(first, "status", "current", "uid", NULL), "u");
	assert_null(json_at(first, "metadata", "labels", NULL));
	if (patch_endpoint(false,
	                   "{\"status\":{\"current\":{\"node\":\"k\"}},\"metadata\":{\"labels\":"
	                   "{\"x\":\"y\"}}}",
	                   &e) < 0)
		fail_msg("%s", e.msg);
	second = get(STORE_ENDPOINT, NS, "p");
	assert_string_equal(json_str_at(second, "status", "current", "node", NULL), "k");
	assert_string_equal(json_str_at(second, "metadata", "labels", "x", NULL), "y");
}

static int patch_pod(const char *uid, const char *text, struct err *e)
{
	AUTO_JSON *p = parse(text);

	json_set_str(json_ensure_object(p, "metadata"), "uid", uid);
	return store_patch(store, STORE_POD, NS, "p", true, p, NULL, soon(), e);
}

/* Who writes a pod's status may say something in its annotations. */
static void annotations_of_a_pod(void **state)
{
	AUTO_JSON *made =
		create(STORE_POD,
	               "{\"metadata\":{\"name\":\"p\",\"namespace\":\"" NS
	               "\",\"annotations\":{\"a\":\"1\"}},\"spec\":{\"nodeName\":\"n\","
	               "\"terminationGracePeriodSeconds\":0,\"automountServiceAccountToken\":false,"
	               "\"tolerations\":[{\"operator\":\"Exists\"}],\"containers\":[{\"name\":"
	               "\"c\",\"image\":\"none\"}]}}");
	static const char patch_text[] =
		"{\"metadata\":{\"annotations\":{\"b\":\"2\"},\"labels\":{\"l\":\"3\"}}}";
	AUTO_JSON *got = NULL;
	struct err e;

	(void)state;
	if (patch_pod(json_str_at(made, "metadata", "uid", NULL), patch_text, &e) < 0)
		fail_msg("%s", e.msg);
	got = get(STORE_POD, NS, "p");
	assert_string_equal(json_str_at(got, "metadata", "annotations", "a", NULL), "1");
	assert_string_equal(json_str_at(got, "metadata", "annotations", "b", NULL), "2");
	assert_null(json_at(got, "metadata", "labels", NULL));
	assert_int_equal(patch_pod("00000000-0000-0000-0000-000000000000", patch_text, &e), -1);
	if (e.kind != ERR_CONFLICT && e.kind != ERR_CONFIG)
		fail_msg("kind %d: %s", (int)e.kind, e.msg);
}

static void expect_conflict(int rc, const struct err *e)
{
	assert_int_equal(rc, -1);
	if (e->kind != ERR_CONFLICT)
		fail_msg("kind %d: %s", (int)e->kind, e->msg);
}

static void conflicts(void **state)
{
	AUTO_JSON *made = create(STORE_IPPOOL, pool_a);
	const char *version = json_str_at(made, "metadata", "resourceVersion", NULL);
	const char *uid = json_str_at(made, "metadata", "uid", NULL);
	AUTO_FREE char *status = xasprintf(
		"{\"metadata\":{\"resourceVersion\":\"%s\"},\"status\":{\"totalIPCount\":1}}",
		version);
	AUTO_FREE char *spec_too = xasprintf(
		"{\"metadata\":{\"resourceVersion\":\"%s\"},\"spec\":{\"disable\":true}}", version);
	struct err e;

	(void)state;
	patch(true, status);
	expect_conflict(patch_in(store, true, status, &e), &e);
	expect_conflict(patch_in(store, false, spec_too, &e), &e);
	expect_conflict(store_delete(store, STORE_IPPOOL, NULL, "a", "other", NULL, soon(), &e),
	                &e);
	expect_conflict(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, version, soon(), &e),
	                &e);
	if (store_delete(store, STORE_IPPOOL, NULL, "a", uid, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(patch_in(store, true, status, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void finalizers_hold(void **state)
{
	AUTO_JSON *got = NULL;
	json *none = NULL;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"" FINALIZER
	                               "\"]},\"spec\":{\"subnet\":\"10.0.0.0/24\"}}"));
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), 0);
	got = get(STORE_IPPOOL, NULL, "a");
	assert_non_null(json_str_at(got, "metadata", "deletionTimestamp", NULL));
	/* once more is no error, and changes nothing */
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), 0);
	patch(true, "{\"status\":{\"totalIPCount\":1}}");
	patch(false, "{\"metadata\":{\"finalizers\":null}}");
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "a", &none, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

#define POD_SPEC                                                                                   \
	"\"terminationGracePeriodSeconds\":0,\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]"

static void selectors(void **state)
{
	static const char *const cases[][3] = {
		{ "app=x", NULL, "1" },
		{ "app!=x", NULL, "1" },
		{ "app", NULL, "1" },
		{ "!app", NULL, "1" },
		{ "app in (y, x)", NULL, "1" },
		{ "app notin (y)", NULL, "2" },
		{ NULL, "spec.nodeName=n1", "1" },
		{ NULL, "metadata.name=b", "1" },
		{ "app=x,tier", NULL, "0" },
		{ NULL, NULL, "2" },
	};
	struct err e;

	(void)state;
	json_free(create(STORE_POD,
	                 "{\"metadata\":{\"name\":\"a\",\"namespace\":\"" NS
	                 "\",\"labels\":{\"app\":\"x\"}},\"spec\":{\"nodeName\":\"n1\"," POD_SPEC
	                 "}}"));
	json_free(create(STORE_POD, "{\"metadata\":{\"name\":\"b\",\"namespace\":\"" NS
	                            "\"},\"spec\":{" POD_SPEC "}}"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct k8s_selector sel = { cases[i][0], cases[i][1] };
		AUTO_JSON *items = NULL;

		/* half of them in all namespaces */
		if (store_list(store, STORE_POD, i % 2 ? NS : NULL, &sel, &items, NULL, soon(),
		               &e) < 0)
			fail_msg("%s", e.msg);
		if (json_count(items) != (size_t)(cases[i][2][0] - '0'))
			fail_msg("%s %s: %zu", cases[i][0] ? cases[i][0] : "",
			         cases[i][1] ? cases[i][1] : "", json_count(items));
		json_each(o, items) assert_string_equal(json_str_at(o, "kind", NULL), "Pod");
	}
}

/* Watches. */
static void expect(struct store_watch *w, enum k8s_event_type want, const char *name)
{
	enum k8s_event_type type;
	AUTO_JSON *o = NULL;
	struct err e;

	if (store_watch_next(w, &type, &o, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(type, want);
	assert_string_equal(json_str_at(o, "metadata", "name", NULL), name);
}

/* A deletion that happened behind this version is told, or that it cannot be. */
static void expect_told(const char *version)
{
	struct store_watch *w = NULL;
	enum k8s_event_type type = K8S_ADDED;
	bool told = false;
	struct err e;

	if (store_watch_open(store, STORE_IPPOOL, NULL, NULL, version, &w, &e) < 0) {
		assert_int_equal(e.kind, ERR_GONE);
		return;
	}
	while (!told) {
		AUTO_JSON *o = NULL;

		if (store_watch_next(w, &type, &o, soon(), &e) < 0) {
			assert_int_equal(e.kind, ERR_GONE);
			break;
		}
		told = type == K8S_DELETED && streq(json_str_at(o, "metadata", "name", NULL), "a");
	}
	store_watch_close(w);
}

static void watches(void **state)
{
	AUTO_JSON *items = NULL;
	AUTO_FREE char *version = NULL;
	struct store_watch *w = NULL;
	enum k8s_event_type type;
	json *o = NULL;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	if (store_list(store, STORE_IPPOOL, NULL, NULL, &items, &version, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	/* between the list and the watch */
	json_free(create(STORE_IPPOOL, pool_b));
	assert_int_equal(store_watch_open(store, STORE_IPPOOL, NULL, NULL, version, &w, &e), 0);
	expect(w, K8S_ADDED, "b");
	assert_int_equal(store_watch_next(w, &type, &o, mono_in(30), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	patch(true, "{\"status\":{\"totalIPCount\":1}}");
	expect(w, K8S_MODIFIED, "a");
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), 0);
	expect(w, K8S_DELETED, "a");
	store_watch_interrupt(w);
	assert_int_equal(store_watch_next(w, &type, &o, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	store_watch_close(w);
	expect_told(version);
}

/* One increment of both counts by compare-and-swap. */
static void increment(struct store *s)
{
	for (;;) {
		AUTO_JSON *o = NULL;
		AUTO_FREE char *text = NULL;
		struct err e;
		int n;

		if (store_get(s, STORE_IPPOOL, NULL, "a", &o, soon(), &e) < 0) {
			fprintf(stderr, "%s\n", e.msg);
			abort();
		}
		n = (int)number(o, "status", "totalIPCount");
		n = n < 0 ? 1 : n + 1;
		text = xasprintf(
			"{\"metadata\":{\"resourceVersion\":\"%s\"},\"status\":{"
			"\"totalIPCount\":%d,\"allocatedIPCount\":%d}}",
			json_str_at(o, "metadata", "resourceVersion", NULL), n, n);
		if (patch_in(s, true, text, &e) == 0)
			return;
		if (e.kind != ERR_CONFLICT) {
			fprintf(stderr, "%s\n", e.msg);
			abort();
		}
	}
}

static void *writer(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++)
		increment(store);
	return NULL;
}

static void ten_writers_lose_nothing(void **state)
{
	pthread_t threads[10];
	AUTO_JSON *got = NULL;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	got = get(STORE_IPPOOL, NULL, "a");
	assert_int_equal(number(got, "status", "totalIPCount"), 100);
	assert_int_equal(number(got, "status", "allocatedIPCount"), 100);
}

/* Writes until it is killed; with connections of its own.  A byte says that it has begun. */
static _Noreturn void write_for_ever(int begun)
{
	struct store *s = open_store();

	increment(s);
	if (write(begun, "", 1) != 1)
		abort();
	for (;;)
		increment(s);
}

static void kill_a_writer(void)
{
	struct pollfd p = { .events = POLLIN };
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0)
		write_for_ever(fds[1]);
	p.fd = fds[0];
	assert_int_equal(poll(&p, 1, 30000), 1);
	mono_sleep_until(mono_in(random() % 30));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
}

/* A writer killed at a random moment leaves whole objects and versions that only grow. */
static void kill_in_the_middle(void **state)
{
	uint64_t last = 0, v;
	int64_t n = 0;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	for (int round = 0; round < 25; round++) {
		AUTO_JSON *got = NULL;

		kill_a_writer();
		got = get(STORE_IPPOOL, NULL, "a");
		assert_int_equal(parse_u64(json_str_at(got, "metadata", "resourceVersion", NULL), 0,
		                           UINT64_MAX, &v, &e),
		                 0);
		assert_true(v > last);
		last = v;
		assert_true(number(got, "status", "totalIPCount") > n);
		n = number(got, "status", "totalIPCount");
		assert_int_equal(number(got, "status", "allocatedIPCount"), n);
		increment(store);
		n++;
	}
}

int store_conformance(const char *wanted_spec, const char *wanted_context)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(create_get_list),
		T(status_apart_from_spec),
		T(status_as_a_member),
		T(annotations_of_a_pod),
		T(conflicts),
		T(finalizers_hold),
		T(selectors),
		T(watches),
		T(ten_writers_lose_nothing),
		T(kill_in_the_middle),
	};

	spec = wanted_spec;
	context = wanted_context;
	return cmocka_run_group_tests_name("conformance", tests, NULL, NULL);
}
