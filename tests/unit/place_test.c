/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/place.c agent/pods.c agent/live.c agent/informer.c agent/pause.c agent/thread.c */
/* links: store/store.c store/dir.c store/dir_watch.c k8s/labels.c pool/selector.c json/json.c base/ */
/* libs: cjson */
/* flags: -Wl,--wrap=store_get,--wrap=store_list,--wrap=store_is_dir */
/* tsan */
/*
 * place_test.c - what is known about pods, their namespaces and the node, and what it costs: over a
 * directory store that counts, is slow and fails as told.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/place.h"
#include "agent/pods.h"
#include "store/backend.h"

/* There is no API server here. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)path;
	(void)context;
	(void)out;
	return err_set(e, ERR_CONFIG, "no API server in this test");
}

/* What the store does. */
static atomic_int gets, lists, slow_ms, failure;
static atomic_bool like_kube; /* what is not there is an error */

bool __real_store_is_dir(const struct store *s);
bool __wrap_store_is_dir(const struct store *s);
int __real_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);
int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);
int __real_store_list(struct store *s, enum store_kind k, const char *ns,
                      const struct k8s_selector *sel, json **items, char **version,
                      struct mono deadline, struct err *e);
int __wrap_store_list(struct store *s, enum store_kind k, const char *ns,
                      const struct k8s_selector *sel, json **items, char **version,
                      struct mono deadline, struct err *e);

bool __wrap_store_is_dir(const struct store *s)
{
	return __real_store_is_dir(s) && !like_kube;
}

int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e)
{
	atomic_fetch_add(&gets, 1);
	mono_sleep_until(mono_in(slow_ms));
	if (failure)
		return err_set(e, (enum err_kind)failure, "the store says no");
	return __real_store_get(s, k, ns, name, out, deadline, e);
}

int __wrap_store_list(struct store *s, enum store_kind k, const char *ns,
                      const struct k8s_selector *sel, json **items, char **version,
                      struct mono deadline, struct err *e)
{
	atomic_fetch_add(&lists, 1);
	if (failure)
		return err_set(e, (enum err_kind)failure, "the store says no");
	return __real_store_list(s, k, ns, sel, items, version, deadline, e);
}

static char folder[64];
static struct store *store;
static struct place *place;

static struct mono soon(void)
{
	return mono_in(20000);
}

static void use_place(int64_t keep_ms)
{
	place_end(place);
	place_free(place);
	place = place_new(store, "master", keep_ms);
}

static int setup(void **state)
{
	AUTO_FREE char *spec = NULL;
	struct err e;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/place_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	spec = xasprintf("dir:%s", folder);
	if (store_open(spec, NULL, &store, &e) < 0)
		fail_msg("%s", e.msg);
	gets = lists = slow_ms = failure = 0;
	like_kube = false;
	use_place(20000);
	return 0;
}

static int teardown(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	place_end(place);
	place_free(place);
	place = NULL;
	store_close(store);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static json *parse(const char *text)
{
	json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void create(enum store_kind k, const char *text)
{
	AUTO_JSON *o = parse(text);
	struct err e;

	if (store_create(store, k, o, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static void patch(enum store_kind k, const char *name, const char *text)
{
	AUTO_JSON *p = parse(text);
	struct err e;

	if (store_patch(store, k, NULL, name, false, p, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static void join(const struct labels *l, struct str *out)
{
	for (size_t i = 0; i < l->n; i++)
		str_addf(out, " %s=%s", l->keys[i], l->values[i]);
}

/* "v4|v6 labels", or the error; owned. */
static char *ask(const char *name, struct mono deadline)
{
	struct namespace_facts f;
	struct str out = STR_INIT;
	struct err e;

	if (place_namespace(place, name, deadline, &f, &e) < 0) {
		str_addf(&out, "%d: %s", e.kind, e.msg);
		return str_take(&out);
	}
	str_addf(&out, "%s|%s", f.default_ipv4, f.default_ipv6);
	join(&f.labels, &out);
	namespace_facts_release(&f);
	return str_take(&out);
}

#define CHECK(want, expression)                                                                    \
	do {                                                                                       \
		AUTO_FREE char *got_ = (expression);                                               \
		assert_string_equal(got_, (want));                                                 \
	} while (0)

static char *error_text(enum err_kind kind, const char *text)
{
	return xasprintf("%d: %s", kind, text);
}

static const char team[] =
	"{\"metadata\":{\"name\":\"team\",\"labels\":{\"tier\":\"1\",\"a/"
	"b\":\"\"},\"annotations\":{"
	"\"ipam.spidernet.io/default-ipv4-ippool\":\"[\\\"p\\\"]\",\"x\":\"y\"}}}";

static void a_namespace_is_read_once_in_a_while(void **state)
{
	(void)state;
	create(STORE_NAMESPACE, team);
	CHECK("[\"p\"]| tier=1 a/b=", ask("team", soon()));
	patch(STORE_NAMESPACE, "team", "{\"metadata\":{\"labels\":{\"tier\":\"2\"}}}");
	CHECK("[\"p\"]| tier=1 a/b=", ask("team", soon()));
	assert_int_equal(gets, 1);
	use_place(30);
	CHECK("[\"p\"]| a/b= tier=2", ask("team", soon()));
	patch(STORE_NAMESPACE, "team",
	      "{\"metadata\":{\"labels\":null,\"annotations\":{"
	      "\"ipam.spidernet.io/default-ipv4-ippool\":null,"
	      "\"ipam.spidernet.io/default-ipv6-ippool\":\"[]\"}}}");
	mono_sleep_until(mono_in(60));
	CHECK("|[]", ask("team", soon()));
	assert_int_equal(gets, 3);
	assert_int_equal(lists, 0);
}

static void a_missing_namespace(void **state)
{
	AUTO_FREE char *missing = error_text(ERR_NOT_FOUND, "namespace none does not exist");

	(void)state;
	/* of a directory it is empty, also where the name is no name */
	CHECK("|", ask("none", soon()));
	CHECK("|", ask("No Name", soon()));
	CHECK("|", ask("", soon()));
	assert_int_equal(gets, 2);
	use_place(20000);
	like_kube = true;
	CHECK(missing, ask("none", soon()));
	CHECK(missing, ask("none", soon()));
	assert_int_equal(gets, 3);
	CHECK("|", ask("", soon()));
	assert_int_equal(place_namespace(place, "none", soon(), NULL, NULL), -1);
}

static void failures_are_told(void **state)
{
	AUTO_FREE char *forbidden =
		error_text(ERR_FORBIDDEN, "read namespace team: the store says no");
	AUTO_FREE char *unreachable =
		error_text(ERR_UNREACHABLE, "read namespace team: the store says no");
	int before;

	(void)state;
	create(STORE_NAMESPACE, team);
	/* no answer is asked for again until the deadline, and is not kept */
	failure = ERR_UNREACHABLE;
	CHECK(unreachable, ask("team", mono_in(100)));
	assert_true(gets > 2);
	/* an API server that is starting may say so for a moment; then it is an answer */
	failure = ERR_FORBIDDEN;
	before = gets;
	CHECK(forbidden, ask("team", soon()));
	assert_true(gets > before + 1);
	before = gets;
	CHECK(forbidden, ask("team", soon()));
	assert_int_equal(gets, before);
	failure = 0;
	CHECK(forbidden, ask("team", soon()));
	use_place(20000);
	CHECK("[\"p\"]| tier=1 a/b=", ask("team", soon()));
}

/* Threads that ask. */
struct asker {
	pthread_t thread;
	const char *name;
	struct mono deadline;
	char *got;
};

static void *asker_main(void *arg)
{
	struct asker *a = arg;

	a->got = ask(a->name, a->deadline);
	return NULL;
}

static void start_asker(struct asker *a, const char *name, struct mono deadline)
{
	a->name = name;
	a->deadline = deadline;
	assert_int_equal(pthread_create(&a->thread, NULL, asker_main, a), 0);
}

static void end_asker(struct asker *a, const char *want)
{
	pthread_join(a->thread, NULL);
	assert_string_equal(a->got, want);
	free(a->got);
}

static void wait_for_gets(int n)
{
	struct mono until = soon();

	while (gets < n && !mono_passed(until))
		mono_sleep_until(mono_in(2));
	assert_true(gets >= n);
}

static void one_read_serves_all_who_wait(void **state)
{
	struct asker askers[16], other;
	AUTO_FREE char *late = error_text(ERR_TIMEOUT, "read namespace team: no answer in time");

	(void)state;
	create(STORE_NAMESPACE, team);
	slow_ms = 300;
	for (size_t i = 0; i < ARRAY_LEN(askers); i++)
		start_asker(&askers[i], "team", soon());
	wait_for_gets(1);
	start_asker(&other, "other", soon()); /* does not wait for it */
	wait_for_gets(2);
	CHECK(late, ask("team", mono_in(20)));
	for (size_t i = 0; i < ARRAY_LEN(askers); i++)
		end_asker(&askers[i], "[\"p\"]| tier=1 a/b=");
	end_asker(&other, "|");
	assert_int_equal(gets, 2);
}

/* The one who reads gives up; another who waited has more time. */
static void who_waits_takes_over(void **state)
{
	struct asker hasty, patient;
	AUTO_FREE char *unreachable =
		error_text(ERR_UNREACHABLE, "read namespace team: the store says no");

	(void)state;
	create(STORE_NAMESPACE, team);
	failure = ERR_UNREACHABLE;
	start_asker(&hasty, "team", mono_in(150));
	wait_for_gets(1);
	start_asker(&patient, "team", soon());
	end_asker(&hasty, unreachable);
	failure = 0;
	end_asker(&patient, "[\"p\"]| tier=1 a/b=");
}

static void waiting_can_be_ended(void **state)
{
	struct asker reader, waiter;
	AUTO_FREE char *unreachable =
		error_text(ERR_UNREACHABLE, "read namespace team: the store says no");
	struct mono began = mono_now();

	(void)state;
	failure = ERR_UNREACHABLE;
	start_asker(&reader, "team", soon());
	wait_for_gets(1);
	start_asker(&waiter, "team", soon());
	mono_sleep_until(mono_in(30));
	place_end(place);
	end_asker(&reader, unreachable);
	pthread_join(waiter.thread, NULL);
	assert_non_null(strstr(waiter.got, "read namespace team"));
	free(waiter.got);
	assert_true(mono_now().ms - began.ms < 10000);
}

static void few_namespaces_are_kept(void **state)
{
	(void)state;
	for (int i = 0; i <= PLACE_NAMESPACES_MAX; i++) {
		AUTO_FREE char *name = xasprintf("n%d", i);

		CHECK("|", ask(name, soon()));
		mono_sleep_until(mono_in(1)); /* so that the first is the oldest */
	}
	assert_int_equal(gets, PLACE_NAMESPACES_MAX + 1);
	CHECK("|", ask("n64", soon()));
	CHECK("|", ask("n1", soon()));
	assert_int_equal(gets, PLACE_NAMESPACES_MAX + 1);
	CHECK("|", ask("n0", soon()));
	assert_int_equal(gets, PLACE_NAMESPACES_MAX + 2);
}

static char *ask_node(struct mono deadline)
{
	struct labels l;
	struct str out = STR_INIT;
	struct err e;

	if (place_node_labels(place, deadline, &l, &e) < 0)
		return error_text(e.kind, e.msg);
	join(&l, &out);
	labels_release(&l);
	return str_take(&out);
}

static void wait_for_node(const char *want)
{
	struct mono until = soon();

	for (;;) {
		AUTO_FREE char *got = ask_node(soon());

		if (streq(got, want))
			return;
		if (mono_passed(until))
			fail_msg("\"%s\", not \"%s\"", got, want);
		mono_sleep_until(mono_in(5));
	}
}

static void the_node_is_watched_once_asked_about(void **state)
{
	AUTO_FREE char *missing = error_text(ERR_NOT_FOUND, "node master does not exist");

	(void)state;
	create(STORE_NODE, "{\"metadata\":{\"name\":\"master\",\"labels\":{\"zone\":\"a\"}}}");
	create(STORE_NODE, "{\"metadata\":{\"name\":\"worker\",\"labels\":{\"zone\":\"w\"}}}");
	CHECK("|", ask("team", soon()));
	mono_sleep_until(mono_in(30));
	assert_int_equal(lists, 0);
	CHECK(" zone=a", ask_node(soon()));
	CHECK(" zone=a", ask_node(soon()));
	assert_int_equal(lists, 1);
	patch(STORE_NODE, "worker", "{\"metadata\":{\"labels\":{\"zone\":\"x\"}}}");
	patch(STORE_NODE, "master", "{\"metadata\":{\"labels\":{\"zone\":\"b\",\"n\":\"1\"}}}");
	wait_for_node(" zone=b n=1");
	IGNORE(store_delete(store, STORE_NODE, NULL, "master", NULL, NULL, soon(), NULL));
	wait_for_node("");
	like_kube = true;
	wait_for_node(missing);
	assert_int_equal(lists, 1);
}

static void a_node_that_cannot_be_read(void **state)
{
	AUTO_FREE char *late =
		error_text(ERR_TIMEOUT, "read node master: no answer in time: the store says no");
	AUTO_FREE char *early = error_text(ERR_TIMEOUT, "read node master: no answer in time");
	AUTO_FREE char *forbidden =
		error_text(ERR_FORBIDDEN, "read node master: the store says no");

	(void)state;
	create(STORE_NODE, "{\"metadata\":{\"name\":\"master\",\"labels\":{\"zone\":\"a\"}}}");
	CHECK(early, ask_node(mono_in(0)));
	use_place(20000);
	failure = ERR_UNREACHABLE;
	CHECK(late, ask_node(mono_in(200)));
	/* who may not look is told at once, and all is well when he may again */
	failure = ERR_FORBIDDEN;
	CHECK(forbidden, ask_node(soon()));
	failure = 0;
	wait_for_node(" zone=a");
}

/* Pods. */
static void gone(void *ctx, const char *ns, const char *name, const char *uid)
{
	(void)ns;
	(void)name;
	(void)uid;
	(void)ctx;
}

static char *facts_text(const struct pod_facts *f)
{
	struct str out = STR_INIT;

	str_addf(&out, "%s|%s|%s|%s|%s %s%s%s|", f->ippools, f->ippool, f->routes, f->networks,
	         f->owner_type, f->owner_name, f->statefulset ? " set" : "",
	         *f->vmi ? " vmi " : "");
	str_add(&out, f->vmi);
	join(&f->labels, &out);
	return str_take(&out);
}

#define OWNED(api, kind, name, controller)                                                         \
	",\"ownerReferences\":[{\"apiVersion\":\"x/v1\",\"kind\":\"Other\",\"name\":\"o\"},"       \
	"{\"apiVersion\":\"" api "\",\"kind\":\"" kind "\",\"name\":\"" name                       \
	"\",\"controller\":" controller "}]"

static const struct {
	const char *metadata, *want;
} pods_rows[] = {
	{ "", "||||Pod a|" },
	{ ",\"labels\":{\"app\":\"web\",\"x/y\":\"\"},\"annotations\":{"
	  "\"ipam.spidernet.io/ippools\":\"[1]\",\"ipam.spidernet.io/ippool\":\"{}\","
	  "\"ipam.spidernet.io/routes\":\"[]\",\"k8s.v1.cni.cncf.io/networks\":\"n\",\"z\":\"z\"}",
	  "[1]|{}|[]|n|Pod a| app=web x/y=" },
	{ OWNED("apps/v1", "StatefulSet", "db", "true"), "||||StatefulSet db set|" },
	{ OWNED("apps/v1", "StatefulSet", "db", "false"), "||||Pod a|" },
	{ OWNED("apps.kruise.io/v1", "StatefulSet", "db", "true"), "||||StatefulSet db|" },
	{ OWNED("kubevirt.io/v1", "VirtualMachineInstance", "vm", "true"),
	  "||||VirtualMachineInstance vm vmi |vm" },
	{ OWNED("x.kubevirt.io/v1", "VirtualMachineInstance", "vm", "true"),
	  "||||VirtualMachineInstance vm|" },
	{ OWNED("apps/v1", "DaemonSet", "d", "true"), "||||DaemonSet d|" },
	{ OWNED("apps/v1", "ReplicaSet", "web-abc",
	        "true") ",\"labels\":{\"pod-template-hash\":\"abc\"}",
	  "||||Deployment web| pod-template-hash=abc" },
	{ OWNED("apps/v1", "ReplicaSet", "web-abc", "true"), "||||ReplicaSet web-abc|" },
};

static void facts_of_pods(void **state)
{
	struct pods_ops ops = { gone, NULL };
	struct pod_facts f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pods_rows); i++) {
		AUTO_FREE char *text = xasprintf(
			"{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\"%s},"
			"\"spec\":{\"nodeName\":\"master\"}}",
			pods_rows[i].metadata);
		struct mono until = soon();
		struct pods *pods;
		struct err e;
		bool found = false;

		create(STORE_POD, text);
		if (pods_start(store, "master", &ops, &pods, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(pods_read(pods, "n", "a", "", soon(), &f, &found, &e), 0);
		assert_true(found);
		CHECK(pods_rows[i].want, facts_text(&f));
		pod_facts_release(&f);
		/* and from memory, where what is empty is not kept */
		while (!pods_known(pods, "n", "a", &f)) {
			assert_false(mono_passed(until));
			mono_sleep_until(mono_in(2));
		}
		CHECK(pods_rows[i].want, facts_text(&f));
		assert_string_equal(f.dead, "");
		assert_string_equal(f.route_nic, "");
		assert_string_equal(f.node, "master");
		pod_facts_release(&f);
		pods_stop(pods);
		assert_int_equal(store_delete(store, STORE_POD, "n", "a", NULL, NULL, soon(), &e),
		                 0);
	}
	pod_facts_init(&f, "u1");
	CHECK("|||| |", facts_text(&f));
	assert_string_equal(f.uid, "u1");
	pod_facts_release(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_namespace_is_read_once_in_a_while),
		TEST(a_missing_namespace),
		TEST(failures_are_told),
		TEST(one_read_serves_all_who_wait),
		TEST(who_waits_takes_over),
		TEST(waiting_can_be_ended),
		TEST(few_namespaces_are_kept),
		TEST(the_node_is_watched_once_asked_about),
		TEST(a_node_that_cannot_be_read),
		TEST(facts_of_pods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
