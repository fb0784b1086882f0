/* SPDX-License-Identifier: Apache-2.0 */
/* links: store/ json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * store_test.c - the conformance of a store: concurrency, finalizers, status, watches, kills.
 */
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

#include "base/file.h"
#include "store/store.h"

static char folder[64];
static struct store *store;

static int setup(void **state)
{
	char *spec;
	struct err e;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/store_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	spec = xasprintf("dir:%s", folder);
	if (store_open(spec, NULL, &store, &e) < 0)
		fail_msg("%s", e.msg);
	free(spec);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	store_close(store);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static json *parse(const char *text)
{
	struct err e;
	json *j = NULL;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static struct mono soon(void)
{
	return mono_in(20000);
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

static int patch(const char *name, bool status, const char *text, struct err *e)
{
	AUTO_JSON *p = parse(text);

	return store_patch(store, STORE_IPPOOL, NULL, name, status, p, NULL, soon(), e);
}

static const char pool_a[] =
	"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"subnet\":\"10.0.0.0/24\"}}";

static void create_get_list(void **state)
{
	AUTO_JSON *made = create(STORE_IPPOOL, pool_a);
	AUTO_JSON *got = NULL;
	AUTO_JSON *items = NULL;
	AUTO_JSON *again = parse(pool_a);
	AUTO_FREE char *version = NULL;
	struct err e;

	(void)state;
	assert_string_equal(json_str_at(made, "kind", NULL), "SpiderIPPool");
	assert_non_null(json_str_at(made, "metadata", "uid", NULL));
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "a", &got, soon(), &e), 0);
	assert_true(json_equal(made, got));
	assert_int_equal(store_create(store, STORE_IPPOOL, again, NULL, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "b", &got, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "spiderippools \"b\" not found");
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "../a", &got, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_int_equal(store_list(store, STORE_IPPOOL, NULL, NULL, &items, &version, soon(), &e),
	                 0);
	assert_int_equal(json_count(items), 1);
}

static void status_apart_from_spec(void **state)
{
	AUTO_JSON *got = NULL;
	int64_t generation;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	assert_int_equal(patch("a", true, "{\"status\":{\"n\":1},\"spec\":{\"subnet\":\"x\"}}", &e),
	                 0);
	assert_int_equal(
		patch("a", false, "{\"status\":{\"n\":2},\"metadata\":{\"uid\":null}}", &e), 0);
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "a", &got, soon(), &e), 0);
	assert_string_equal(json_str_at(got, "spec", "subnet", NULL), "10.0.0.0/24");
	assert_int_equal(json_i64(json_get(got, "status"), "n", &generation, &e), 0);
	assert_int_equal(generation, 1);
	assert_int_equal(json_i64(json_get(got, "metadata"), "generation", &generation, &e), 0);
	assert_int_equal(generation, 1);
	assert_int_equal(patch("a", false, "{\"spec\":{\"disable\":true}}", &e), 0);
	json_free(take_ptr(&got));
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "a", &got, soon(), &e), 0);
	assert_int_equal(json_i64(json_get(got, "metadata"), "generation", &generation, &e), 0);
	assert_int_equal(generation, 2);
}

static void conflicts(void **state)
{
	AUTO_JSON *made = create(STORE_IPPOOL, pool_a);
	AUTO_FREE char *stale =
		xasprintf("{\"metadata\":{\"resourceVersion\":\"%s\"},\"status\":{\"n\":1}}",
	                  json_str_at(made, "metadata", "resourceVersion", NULL));
	struct err e;

	(void)state;
	assert_int_equal(patch("a", true, stale, &e), 0);
	assert_int_equal(patch("a", true, stale, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", "other", NULL, soon(), &e),
	                 -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a",
	                              json_str_at(made, "metadata", "uid", NULL), NULL, soon(), &e),
	                 0);
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void finalizers_hold(void **state)
{
	AUTO_JSON *got = NULL;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x\"]}}"));
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), 0);
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "a", &got, soon(), &e), 0);
	assert_non_null(json_str_at(got, "metadata", "deletionTimestamp", NULL));
	assert_int_equal(patch("a", false, "{\"metadata\":{\"finalizers\":null}}", &e), 0);
	json_free(take_ptr(&got));
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "a", &got, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

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
	};
	struct err e;

	(void)state;
	json_free(create(
		STORE_POD,
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"labels\":{\"app\":\"x\"}},"
		"\"spec\":{\"nodeName\":\"n1\"}}"));
	json_free(create(STORE_POD, "{\"metadata\":{\"name\":\"b\",\"namespace\":\"d\"}}"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct k8s_selector sel = { cases[i][0], cases[i][1] };
		AUTO_JSON *items = NULL;

		assert_int_equal(store_list(store, STORE_POD, NULL, &sel, &items, NULL, soon(), &e),
		                 0);
		if (json_count(items) != (size_t)(cases[i][2][0] - '0'))
			fail_msg("%s %s: %zu", cases[i][0] ? cases[i][0] : "",
			         cases[i][1] ? cases[i][1] : "", json_count(items));
	}
}

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

static void watches(void **state)
{
	AUTO_JSON *items = NULL;
	AUTO_FREE char *version = NULL;
	struct store_watch *w;
	enum k8s_event_type type;
	json *o = NULL;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	assert_int_equal(store_list(store, STORE_IPPOOL, NULL, NULL, &items, &version, soon(), &e),
	                 0);
	/* between the list and the watch */
	json_free(create(STORE_IPPOOL, "{\"metadata\":{\"name\":\"b\"}}"));
	assert_int_equal(store_watch_open(store, STORE_IPPOOL, NULL, NULL, version, &w, &e), 0);
	expect(w, K8S_ADDED, "b");
	assert_int_equal(store_watch_next(w, &type, &o, mono_in(30), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(patch("a", true, "{\"status\":{\"n\":1}}", &e), 0);
	expect(w, K8S_MODIFIED, "a");
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), 0);
	expect(w, K8S_DELETED, "a");
	store_watch_interrupt(w);
	assert_int_equal(store_watch_next(w, &type, &o, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	store_watch_close(w);
	/* a deletion that the list did not see must be told */
	assert_int_equal(store_watch_open(store, STORE_IPPOOL, NULL, NULL, version, &w, &e), -1);
	assert_int_equal(e.kind, ERR_GONE);
}

/* One increment of status.n by compare-and-swap. */
static void increment(void)
{
	for (;;) {
		AUTO_JSON *o = NULL;
		AUTO_FREE char *text = NULL;
		int64_t n = 0;
		struct err e;

		if (store_get(store, STORE_IPPOOL, NULL, "a", &o, soon(), &e) < 0)
			abort();
		if (json_opt_i64(json_get(o, "status"), "n", &n, &e) < 0)
			abort();
		text = xasprintf(
			"{\"metadata\":{\"resourceVersion\":\"%s\"},\"status\":{\"n\":%d}}",
			json_str_at(o, "metadata", "resourceVersion", NULL), (int)n + 1);
		if (patch("a", true, text, &e) == 0)
			return;
		if (e.kind != ERR_CONFLICT)
			abort();
	}
}

static void *writer(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++)
		increment();
	return NULL;
}

static void ten_writers_lose_nothing(void **state)
{
	pthread_t threads[10];
	AUTO_JSON *got = NULL;
	struct err e;
	int64_t n;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "a", &got, soon(), &e), 0);
	assert_int_equal(json_i64(json_get(got, "status"), "n", &n, &e), 0);
	assert_int_equal(n, 100);
}

/* A writer killed at a random moment leaves whole objects and versions that only grow. */
static void kill_in_the_middle(void **state)
{
	uint64_t last = 0, v;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	for (int round = 0; round < 25; round++) {
		AUTO_JSON *got = NULL;
		pid_t pid = fork();

		if (pid == 0) {
			for (;;)
				increment();
		}
		mono_sleep_until(mono_in(1 + random() % 20));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (store_get(store, STORE_IPPOOL, NULL, "a", &got, soon(), &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(parse_u64(json_str_at(got, "metadata", "resourceVersion", NULL), 0,
		                           UINT64_MAX, &v, &e),
		                 0);
		assert_true(v >= last);
		last = v;
		increment();
	}
}

static void broken_files_are_left_out(void **state)
{
	AUTO_FREE char *path = xasprintf("%s/spiderippools/bad.json", folder);
	AUTO_JSON *items = NULL;
	json *o = NULL;
	struct err e;

	(void)state;
	json_free(create(STORE_IPPOOL, pool_a));
	assert_int_equal(file_write(path, "{\"met", 5, 0644, 0, &e), 0);
	assert_int_equal(store_list(store, STORE_IPPOOL, NULL, NULL, &items, NULL, soon(), &e), 0);
	assert_int_equal(json_count(items), 1);
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "bad", &o, soon(), &e), -1);
	assert_non_null(strstr(e.msg, "bad.json: not JSON: line 1"));
}

static void kinds(void **state)
{
	struct store *s;
	struct err e;

	(void)state;
	assert_int_equal(store_kind_by_name("SP"), STORE_IPPOOL);
	assert_int_equal(store_kind_by_name("spiderendpoints"), STORE_ENDPOINT);
	assert_int_equal(store_kind_by_name("nonsense"), -1);
	assert_int_equal(store_open("memory:", NULL, &s, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(create_get_list),
		T(status_apart_from_spec),
		T(conflicts),
		T(finalizers_hold),
		T(selectors),
		T(watches),
		T(ten_writers_lose_nothing),
		T(kill_in_the_middle),
		T(broken_files_are_left_out),
		T(kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
