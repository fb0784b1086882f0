/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/keeper.c store/store.c store/dir.c store/dir_watch.c k8s/labels.c pool/selector.c json/json.c base/ */
/* libs: cjson */
/* flags: -Wl,--wrap=store_get */
/*
 * keeper_test.c - which sets and virtual machines still keep the addresses of a pod that is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/keeper.h"
#include "store/backend.h"

/* There is no API server here. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)path;
	(void)context;
	(void)out;
	return err_set(e, ERR_CONFIG, "no API server in this test");
}

static int failing_kind = -1;
static enum err_kind failure;

int __real_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);
int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);

int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e)
{
	if ((int)k == failing_kind)
		return err_set(e, failure, "as told");
	return __real_store_get(s, k, ns, name, out, deadline, e);
}

static char folder[64];
static struct store *store;

static int setup(void **state)
{
	AUTO_FREE char *spec = NULL;
	struct err e;

	(void)state;
	failing_kind = -1;
	snprintf(folder, sizeof(folder), "/tmp/keeper_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	spec = xasprintf("dir:%s/store", folder);
	if (store_open(spec, NULL, &store, &e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	store_close(store);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static void create(enum store_kind k, const char *text)
{
	AUTO_JSON *o = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &o, &e) < 0 ||
	    store_create(store, k, o, NULL, mono_in(10000), &e) < 0)
		fail_msg("%s: %s", text, e.msg);
}

static void names(void **state)
{
	static const struct {
		const char *pod, *set;
		uint64_t ordinal;
	} t[] = {
		{ "web-0", "web", 0 },
		{ "my-web-12", "my-web", 12 },
		{ "web-4294967295", "web", UINT32_MAX },
		{ "web--1", "web-", 1 },
		{ "web", NULL, 0 },
		{ "web-", NULL, 0 },
		{ "web-x", NULL, 0 },
		{ "web-1x", NULL, 0 },
		{ "-1", NULL, 0 },
		{ "web-4294967296", NULL, 0 },
		{ "", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		uint64_t ordinal = 99;
		AUTO_FREE char *set = keeper_set_of(t[i].pod, &ordinal);

		if (!t[i].set) {
			assert_null(set);
			continue;
		}
		assert_non_null(set);
		assert_string_equal(set, t[i].set);
		assert_int_equal(ordinal, t[i].ordinal);
	}
}

#define GOING "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""

static void ordinals(void **state)
{
	static const struct {
		const char *set;
		uint64_t ordinal;
		bool has;
	} t[] = {
		{ "{}", 0, true }, /* one replica, when it does not say */
		{ "{}", 1, false },
		{ "{\"spec\":{\"replicas\":3}}", 2, true },
		{ "{\"spec\":{\"replicas\":3}}", 3, false },
		{ "{\"spec\":{\"replicas\":0}}", 0, false },
		{ "{\"spec\":{\"replicas\":-1}}", 0, false },
		{ "{\"spec\":{\"replicas\":2,\"ordinals\":{\"start\":5}}}", 4, false },
		{ "{\"spec\":{\"replicas\":2,\"ordinals\":{\"start\":5}}}", 5, true },
		{ "{\"spec\":{\"replicas\":2,\"ordinals\":{\"start\":5}}}", 6, true },
		{ "{\"spec\":{\"replicas\":2,\"ordinals\":{\"start\":5}}}", 7, false },
		{ "{\"spec\":{\"replicas\":2,\"ordinals\":{\"start\":-5}}}", 0, false },
		{ "{\"spec\":{\"replicas\":2,\"ordinals\":{}}}", 0, true },
		{ "{\"metadata\":{" GOING "},\"spec\":{\"replicas\":3}}", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		AUTO_JSON *set = NULL;

		assert_int_equal(json_parse(t[i].set, strlen(t[i].set), 0, &set, NULL), 0);
		if (keeper_has_ordinal(set, t[i].ordinal) != t[i].has)
			fail_msg("%s: %llu", t[i].set, (unsigned long long)t[i].ordinal);
	}
}

static void expect(enum pool_keep keep, const char *name, int want)
{
	struct err e = { ERR_NONE, 0, 0, "" };
	int keeps = keeper_keeps(store, keep, "default", name, mono_in(10000), &e);

	if (keeps != want)
		fail_msg("%s: %d, %s", name, keeps, e.msg);
}

static void sets(void **state)
{
	(void)state;
	create(STORE_STATEFULSET,
	       "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},"
	       "\"spec\":{\"replicas\":2}}");
	expect(POOL_KEEP_STATEFULSET, "web-0", 1);
	expect(POOL_KEEP_STATEFULSET, "web-2", 0);
	expect(POOL_KEEP_STATEFULSET, "other-0", 0);
	expect(POOL_KEEP_STATEFULSET, "web", 0);
	expect(POOL_KEEP_NO, "web-0", 0);
	/* who is not answered knows nothing */
	failing_kind = STORE_STATEFULSET;
	failure = ERR_FORBIDDEN;
	expect(POOL_KEEP_STATEFULSET, "web-2", -1);
	failure = ERR_TIMEOUT;
	expect(POOL_KEEP_STATEFULSET, "web-2", -1);
	failure = ERR_NOT_FOUND;
	expect(POOL_KEEP_STATEFULSET, "web-0", 0);
}

/* more: further metadata. */
static void make(enum store_kind k, const char *name, bool going, const char *more)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\","
		"\"finalizers\":[\"x\"]%s}}",
		name, more);
	struct err e;

	create(k, text);
	if (going && store_delete(store, k, "default", name, NULL, NULL, mono_in(10000), &e) < 0)
		fail_msg("%s", e.msg);
}

static void machines(void **state)
{
	static const char of_machine[] =
		",\"ownerReferences\":[{\"kind\":\"VirtualMachine\",\"name\":\"x\",\"uid\":\"u\"}]";

	(void)state;
	make(STORE_VMI, "lives", false, "");
	make(STORE_VMI, "ends", true, "");
	make(STORE_VM, "ends", false, ""); /* of the same name, but not its machine */
	make(STORE_VMI, "restarts", true, of_machine);
	make(STORE_VM, "restarts", false, "");
	make(STORE_VMI, "orphan", true, of_machine);
	make(STORE_VM, "stopped", false, "");
	make(STORE_VM, "going", true, "");
	expect(POOL_KEEP_VMI, "lives", 1);
	expect(POOL_KEEP_VMI, "ends", 0);
	expect(POOL_KEEP_VMI, "restarts", 1);
	expect(POOL_KEEP_VMI, "orphan", 0);
	expect(POOL_KEEP_VMI, "stopped", 1);
	expect(POOL_KEEP_VMI, "going", 0);
	expect(POOL_KEEP_VMI, "none", 0);
	failing_kind = STORE_VM;
	failure = ERR_TIMEOUT;
	expect(POOL_KEEP_VMI, "lives", 1);
	expect(POOL_KEEP_VMI, "orphan", -1);
	failing_kind = STORE_VMI;
	expect(POOL_KEEP_VMI, "stopped", -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(ordinals),
		cmocka_unit_test_setup_teardown(sets, setup, teardown),
		cmocka_unit_test_setup_teardown(machines, setup, teardown),
	};

	return cmocka_run_group_tests_name("keeper_test", tests, NULL, NULL);
}
