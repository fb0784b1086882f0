/* SPDX-License-Identifier: Apache-2.0 */
/* links: tests/store/conformance.c store/dir.c store/dir_watch.c store/store.c json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * store_test.c - the conformance of the directory store, and what only it can get wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "store/backend.h"
#include "tests/store/conformance.h"

static char folder[64];
static char *spec;
static struct store *store;
static const char *kube_path, *kube_context;

/* The other backend is only asked for here; the api suite runs it. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)out;
	kube_path = path;
	kube_context = context;
	return err_set(e, ERR_UNREACHABLE, "no API server here");
}

static struct mono soon(void)
{
	return mono_in(20000);
}

static int make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/store_test.XXXXXX");
	spec = mkdtemp(folder) ? xasprintf("dir:%s", folder) : NULL;
	return spec ? 0 : -1;
}

static int remove_folder(void)
{
	char command[128];

	free(spec);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static int setup(void **state)
{
	struct err e;

	(void)state;
	if (make_folder() < 0)
		return -1;
	if (store_open(spec, NULL, &store, &e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	return remove_folder();
}

static const char *lock_path(void)
{
	static char path[80];

	snprintf(path, sizeof(path), "%s/.lock", folder);
	return path;
}

static void create_pool(const char *name)
{
	AUTO_FREE char *text = xasprintf("{\"metadata\":{\"name\":\"%s\"}}", name);
	AUTO_JSON *o = NULL;
	struct err e;

	assert_int_equal(json_parse(text, strlen(text), 0, &o, &e), 0);
	if (store_create(store, STORE_IPPOOL, o, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static void broken_files_are_left_out(void **state)
{
	AUTO_FREE char *path = xasprintf("%s/spiderippools/bad.json", folder);
	AUTO_FREE char *fifo = xasprintf("%s/spiderippools/fifo.json", folder);
	AUTO_JSON *items = NULL;
	json *o = NULL;
	struct err e;

	(void)state;
	create_pool("a");
	assert_int_equal(file_write(path, "{\"met", 5, 0644, 0, &e), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0); /* nobody waits for its writer */
	assert_int_equal(store_list(store, STORE_IPPOOL, NULL, NULL, &items, NULL, soon(), &e), 0);
	assert_int_equal(json_count(items), 1);
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "bad", &o, soon(), &e), -1);
	assert_non_null(strstr(e.msg, "bad.json: not JSON: line 1"));
}

static void write_pool(const char *file, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/spiderippools/%s.json", folder, file);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static json *list_pools(struct store *s, char **version)
{
	json *items = NULL;
	struct err e;

	if (store_list(s, STORE_IPPOOL, NULL, NULL, &items, version, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	return items;
}

static const char *member(const json *o, const char *key)
{
	return json_str_at(o, "metadata", key, NULL);
}

static void patches(const char *version, bool fine)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"resourceVersion\":\"%s\"},\"spec\":{\"a\":2}}", version);
	AUTO_JSON *p = NULL;
	struct err e;

	assert_int_equal(json_parse(text, strlen(text), 0, &p, &e), 0);
	assert_int_equal(store_patch(store, STORE_IPPOOL, NULL, "p", false, p, NULL, soon(), &e),
	                 fine ? 0 : -1);
	if (!fine)
		assert_int_equal(e.kind, ERR_CONFLICT);
}

/* What somebody writes by hand lacks what an object has, until a list meets it. */
static void files_of_others_are_adopted(void **state)
{
	static const char *const metas[] = {
		"",
		",\"uid\":\"u\"",
		",\"uid\":\"u\",\"resourceVersion\":\"oops\"",
		",\"uid\":\"u\",\"resourceVersion\":\"99999\"", /* another store's */
		",\"resourceVersion\":\"1\"",
	};
	struct err e;

	(void)state;
	create_pool("a");
	for (size_t i = 0; i < ARRAY_LEN(metas); i++) {
		AUTO_FREE char *text =
			xasprintf("{\"metadata\":{\"name\":\"p\"%s},\"spec\":{\"a\":1}}", metas[i]);
		AUTO_FREE char *version = NULL;
		AUTO_JSON *items = NULL;
		AUTO_JSON *again = NULL;
		AUTO_JSON *seen = NULL;
		AUTO_JSON *alone = NULL;
		struct store *looking;
		const json *o;

		write_pool("p", text);
		if (!strstr(metas[i], "Version"))
			patches("1", false);
		assert_int_equal(store_open_existing(spec, NULL, &looking, &e), 0);
		seen = list_pools(looking, NULL);
		assert_int_equal(json_count(seen), 2);
		store_close(looking);
		items = list_pools(store, &version);
		o = json_next(json_first(items));
		assert_non_null(o);
		assert_string_equal(member(o, "name"), "p");
		assert_non_null(member(o, "creationTimestamp"));
		assert_true(strstr(metas[i], "uid") ? streq(member(o, "uid"), "u")
		                                    : strlen(member(o, "uid")) == 36);
		assert_string_equal(member(o, "resourceVersion"), version);
		again = list_pools(store, NULL);
		assert_true(json_equal(again, items));
		assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "p", &alone, soon(), &e), 0);
		assert_true(json_equal(alone, o));
		patches(version, true);
	}
}

/* One that is written while somebody watches, and once more over what was adopted. */
static void files_of_others_are_watched(void **state)
{
	AUTO_FREE char *version = NULL;
	AUTO_JSON *items = NULL;
	struct store_watch *w = NULL;
	char *last = NULL;
	struct err e;

	(void)state;
	create_pool("a");
	items = list_pools(store, &version);
	assert_int_equal(store_watch_open(store, STORE_IPPOOL, NULL, NULL, version, &w, &e), 0);
	for (int i = 0; i < 3; i++) {
		enum k8s_event_type type;
		AUTO_JSON *o = NULL;

		write_pool("p", "{\"metadata\":{\"name\":\"p\"}}");
		if (store_watch_next(w, &type, &o, mono_in(5000), &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(type, i ? K8S_MODIFIED : K8S_ADDED);
		assert_true(!last || !streq(last, member(o, "resourceVersion")));
		free(last);
		last = xstrdup(member(o, "resourceVersion"));
	}
	free(last);
	store_watch_close(w);
}

/* It would be listed and never be found by its name. */
static void files_of_other_names_are_left_out(void **state)
{
	AUTO_JSON *items = NULL;

	(void)state;
	create_pool("a");
	write_pool("p", "{\"metadata\":{\"name\":\"q\"}}");
	write_pool("r", "{\"metadata\":{}}");
	write_pool("s", "[]");
	items = list_pools(store, NULL);
	assert_int_equal(json_count(items), 1);
}

static void names_are_no_paths(void **state)
{
	json *o = NULL;
	struct err e;

	(void)state;
	create_pool("a");
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "../a", &o, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_int_equal(store_get(store, STORE_ENDPOINT, "..", "a", &o, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "b", &o, soon(), &e), -1);
	assert_string_equal(e.msg, "spiderippools \"b\" not found");
}

/* A directory does not keep the past. */
/* A name that the kind may have and a file may not: an answer at once, not a store in trouble. */
static void names_are_no_longer_than_files(void **state)
{
	AUTO_JSON *got = NULL;
	char name[254];
	struct err e;

	(void)state;
	memset(name, 'p', sizeof(name) - 1);
	name[253] = '\0';
	assert_int_equal(store_get(store, STORE_POD, "default", name, &got, mono_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "longer than a directory store can name a file"));
	name[232] = '\0';
	assert_int_equal(store_get(store, STORE_POD, "default", name, &got, mono_in(5000), &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void past_deletions_are_gone(void **state)
{
	AUTO_JSON *items = NULL;
	AUTO_FREE char *version = NULL;
	struct store_watch *w = NULL;
	struct err e;

	(void)state;
	create_pool("a");
	assert_int_equal(store_list(store, STORE_IPPOOL, NULL, NULL, &items, &version, soon(), &e),
	                 0);
	assert_int_equal(store_delete(store, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), 0);
	assert_int_equal(store_watch_open(store, STORE_IPPOOL, NULL, NULL, version, &w, &e), -1);
	assert_int_equal(e.kind, ERR_GONE);
}

static void kinds(void **state)
{
	(void)state;
	assert_int_equal(store_kind_by_name("SP"), STORE_IPPOOL);
	assert_int_equal(store_kind_by_name("spiderendpoints"), STORE_ENDPOINT);
	assert_int_equal(store_kind_by_name("nonsense"), -1);
	assert_true(store_kind_info(STORE_IPPOOL)->has_status);
	assert_false(store_kind_info(STORE_ENDPOINT)->has_status);
}

static void specs(void **state)
{
	static const char *const bad[] = { "memory:", "dir:", "kube:", "", "/tmp" };
	struct store *s;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(store_open(bad[i], NULL, &s, &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
	}
	assert_string_equal(e.msg, "store \"/tmp\" is none of dir:PATH, kube, kube:KUBECONFIG");
	assert_int_equal(store_open("kube", "c", &s, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_null(kube_path);
	assert_string_equal(kube_context, "c");
	assert_int_equal(store_open("kube:/k", NULL, &s, &e), -1);
	assert_string_equal(kube_path, "/k");
	assert_null(kube_context);
}

/* Who only looks makes nothing: no folder, no lock. */
static void looking_makes_nothing(void **state)
{
	AUTO_FREE char *absent = xasprintf("dir:%s/absent", folder);
	AUTO_FREE char *file = xasprintf("dir:%s/spiderippools/a.json", folder);
	AUTO_JSON *items = NULL;
	AUTO_JSON *o = NULL;
	struct store *s;
	struct err e;

	(void)state;
	assert_int_equal(store_open_existing(absent, NULL, &s, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "there is no store at /tmp/store_test."));
	assert_int_equal(access(absent + 4, F_OK), -1);
	create_pool("a");
	assert_int_equal(store_open_existing(file, NULL, &s, &e), -1);
	assert_int_equal(e.sys, ENOTDIR);

	/* a folder that somebody filled by hand has no lock yet */
	assert_int_equal(unlink(lock_path()), 0);
	assert_int_equal(store_open_existing(spec, NULL, &s, &e), 0);
	assert_int_equal(store_list(s, STORE_IPPOOL, NULL, NULL, &items, NULL, soon(), &e), 0);
	assert_int_equal(json_count(items), 1);
	assert_int_equal(store_get(s, STORE_IPPOOL, NULL, "a", &o, soon(), &e), 0);
	assert_int_equal(access(lock_path(), F_OK), -1);
	store_close(s);
}

/* A store that belongs to somebody else: each object can be read, the lock cannot be held. */
static void strangers_read_without_the_lock(void **state)
{
	AUTO_FREE char *version = NULL;
	AUTO_JSON *items = NULL;
	AUTO_JSON *none = NULL;
	struct store *s;
	struct err e;

	(void)state;
	create_pool("a");
	assert_int_equal(chmod(folder, 0755), 0);
	/* the test may be run by root, or by somebody whose own lock it is */
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	else
		assert_int_equal(chmod(lock_path(), 0), 0);
	assert_int_equal(store_open_existing(spec, NULL, &s, &e), 0);
	if (store_list(s, STORE_IPPOOL, NULL, NULL, &items, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(json_count(items), 1);
	assert_int_equal(store_list(s, STORE_IPPOOL, NULL, NULL, &none, &version, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_FORBIDDEN);
	assert_int_equal(store_delete(s, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e), -1);
	assert_int_equal(e.sys, EACCES);
	store_close(s);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
}

/* A selector that is none selects nothing, and everything: it is told instead. */
static void broken_selectors_are_told(void **state)
{
	static const char *const labels[] = {
		"a b", "a=b c",  "=b",        "!",        "!a=b",       "a,,b",
		"a,",  "a in b", "a in (b",   "a)",       "a>1",        "a~b",
		"a!b", "a in",   "a notin x", "ain (b)x", "a in (b) c", "a=(b)",
	};
	static const char *const fields[] = { "metadata.name", "name=a", "metadata.name!=a",
		                              "metadata.name=a,", "," };
	static const struct {
		const char *labels;
		size_t n;
	} good[] = {
		{ "", 1 },
		{ " ", 1 },
		{ "x", 1 },
		{ "!x", 0 },
		{ "x=1", 1 },
		{ "x == 1", 1 },
		{ " x = 1 , !y", 1 },
		{ "x!=1", 0 },
		{ "x in (2,1)", 1 },
		{ "x in ( 2 )", 0 },
		{ "x notin (2,3)", 1 },
		{ "x notin(1)", 0 },
		{ "y notin (1)", 1 },
		{ "y!=1", 1 },
		{ "x in (1),y", 0 },
	};
	AUTO_JSON *o = NULL;
	struct err e;

	(void)state;
	for (int there = 0; there < 2; there++) {
		for (size_t i = 0; i < ARRAY_LEN(labels) + ARRAY_LEN(fields); i++) {
			struct k8s_selector sel = { NULL, NULL };
			json *items = NULL;

			if (i < ARRAY_LEN(labels))
				sel.labels = labels[i];
			else
				sel.fields = fields[i - ARRAY_LEN(labels)];
			if (store_list(store, STORE_IPPOOL, NULL, &sel, &items, NULL, soon(), &e) ==
			    0)
				fail_msg("%s%s is taken", sel.labels ? "label " : "field ",
				         sel.labels ? sel.labels : sel.fields);
			assert_int_equal(e.kind, ERR_CONFIG);
		}
		if (!there) {
			static const char text[] =
				"{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\"}}}";

			assert_int_equal(json_parse(text, strlen(text), 0, &o, &e), 0);
			assert_int_equal(store_create(store, STORE_IPPOOL, o, NULL, soon(), &e), 0);
		}
	}
	assert_string_equal(e.msg, "field selector \",\": \"\" is not FIELD.FIELD=VALUE");
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct k8s_selector sel = { good[i].labels, NULL };
		AUTO_JSON *items = NULL;

		if (store_list(store, STORE_IPPOOL, NULL, &sel, &items, NULL, soon(), &e) < 0)
			fail_msg("\"%s\": %s", good[i].labels, e.msg);
		if (json_count(items) != good[i].n)
			fail_msg("\"%s\" selects %zu", good[i].labels, json_count(items));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(broken_files_are_left_out),
		T(files_of_others_are_adopted),
		T(files_of_others_are_watched),
		T(files_of_other_names_are_left_out),
		T(names_are_no_paths),
		T(names_are_no_longer_than_files),
		T(past_deletions_are_gone),
		T(looking_makes_nothing),
		T(broken_selectors_are_told),
		T(strangers_read_without_the_lock),
		T(kinds),
		T(specs),
	};
	int failed;

	if (make_folder() < 0)
		return 1;
	failed = store_conformance(spec, NULL);
	return remove_folder() + failed + cmocka_run_group_tests(tests, NULL, NULL);
}
