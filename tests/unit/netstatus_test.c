/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/netstatus.c agent/thread.c agent/pause.c json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * netstatus_test.c - words about pods reach the store, whatever that answers at first, and
 * whichever agent has the last try; the store is played here.
 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/netstatus.h"
#include "base/log.h"
#include "tests/unit/folder.h"

static struct netstatus *writer;

/* The store: one pod. */
static struct {
	pthread_mutex_t lock;
	const char *uid;      /* of the pod; NULL: there is none */
	enum err_kind answer; /* to the patches, while times is not 0; -1: for ever */
	int times, patches;
	char written[64]; /* the last status */
} pod = { .lock = PTHREAD_MUTEX_INITIALIZER };

int store_patch_meta(struct store *s, enum store_kind k, const char *ns, const char *name,
                     bool status, const json *patch, json **out, struct mono deadline,
                     struct err *e)
{
	const char *uid = json_str_at(patch, "metadata", "uid", NULL);
	const char *text = json_str_at(patch, "metadata", "annotations",
	                               "k8s.v1.cni.cncf.io/network-status", NULL);
	int rc = 0;

	(void)s;
	(void)out;
	(void)deadline;
	assert_int_equal(k, STORE_POD);
	assert_true(status);
	assert_string_equal(ns, "default");
	assert_string_equal(name, "a");
	pthread_mutex_lock(&pod.lock);
	pod.patches++;
	if (pod.times) {
		pod.times -= pod.times > 0;
		rc = err_set(e, pod.answer, "not now");
	} else if (!pod.uid) {
		rc = err_set(e, ERR_NOT_FOUND, "no pod");
	} else if (!streq(pod.uid, uid)) {
		rc = err_set(e, ERR_CONFLICT, "another pod");
	} else {
		snprintf(pod.written, sizeof(pod.written), "%s", text);
	}
	pthread_mutex_unlock(&pod.lock);
	return rc;
}

int store_get(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
              struct mono deadline, struct err *e)
{
	int rc = 0;

	(void)s;
	(void)ns;
	(void)name;
	(void)deadline;
	assert_int_equal(k, STORE_POD);
	pthread_mutex_lock(&pod.lock);
	if (pod.uid) {
		*out = json_new_object();
		json_set_str(json_ensure_object(*out, "metadata"), "uid", pod.uid);
	} else {
		rc = err_set(e, ERR_NOT_FOUND, "no pod");
	}
	pthread_mutex_unlock(&pod.lock);
	return rc;
}

static void play(const char *uid, enum err_kind answer, int times)
{
	pthread_mutex_lock(&pod.lock);
	pod.uid = uid;
	pod.answer = answer;
	pod.times = times;
	pod.patches = 0;
	pod.written[0] = '\0';
	pthread_mutex_unlock(&pod.lock);
}

static int teardown(void **state)
{
	netstatus_stop(writer);
	writer = NULL;
	return folder_remove(state);
}

static void start(void)
{
	struct err e;

	if (netstatus_start(NULL, folder, &writer, &e) < 0)
		fail_msg("%s", e.msg);
}

static void stop(void)
{
	netstatus_stop(writer);
	writer = NULL;
}

static size_t files(void)
{
	AUTO_FREE char *path = xasprintf("%s/netstatus", folder);
	DIR *d = opendir(path);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 2 ? n - 2 : 0; /* "." and ".." */
}

static bool is_written(const char *want)
{
	bool same;

	pthread_mutex_lock(&pod.lock);
	same = streq(pod.written, want);
	pthread_mutex_unlock(&pod.lock);
	return same;
}

static int patches(void)
{
	int n;

	pthread_mutex_lock(&pod.lock);
	n = pod.patches;
	pthread_mutex_unlock(&pod.lock);
	return n;
}

#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		struct mono until = mono_in(20000);                                                \
                                                                                                   \
		while (!(condition)) {                                                             \
			if (mono_passed(until))                                                    \
				fail_msg("never: %s", #condition);                                 \
			mono_sleep_until(mono_in(2));                                              \
		}                                                                                  \
	} while (0)

/* Somebody writes to the pod at the same moment. */
static void a_conflict_is_not_another_pod(void **state)
{
	struct mono begin = mono_now();

	(void)state;
	play("u", ERR_CONFLICT, 3);
	start();
	netstatus_put(writer, "default", "a", "u", "[1]");
	AWAIT(patches() > 0);
	/* the plugin had time to end */
	assert_true(mono_now().ms - begin.ms >= 100);
	AWAIT(is_written("[1]"));
	AWAIT(files() == 0);
	assert_int_equal(patches(), 4);
	/* and this one is */
	play("new", ERR_NONE, 0);
	netstatus_put(writer, "default", "a", "u", "[2]");
	AWAIT(patches() == 1 && files() == 0);
	play("new", ERR_CONFIG, -1);
	netstatus_put(writer, "default", "a", "u", "[2]");
	AWAIT(patches() == 1 && files() == 0);
	play(NULL, ERR_FORBIDDEN, -1);
	netstatus_put(writer, "default", "a", "u", "[2]");
	AWAIT(patches() == 1 && files() == 0);
	assert_true(is_written(""));
}

/* What one agent could not write the next one does, the last word alone. */
static void the_next_agent_goes_on(void **state)
{
	(void)state;
	play("u", ERR_UNREACHABLE, -1);
	start();
	netstatus_put(writer, "default", "a", "u", "[1]");
	AWAIT(patches() >= 2);
	assert_int_equal(files(), 1);
	netstatus_put(writer, "default", "a", "u", "[2]");
	/* the earlier word's file goes with it */
	AWAIT(files() == 1);
	stop();
	assert_int_equal(files(), 1);
	start();
	AWAIT(patches() >= 4);
	netstatus_put(writer, "default", "a", "u", "[3]");
	stop();
	play("u", ERR_NONE, 0);
	start();
	AWAIT(is_written("[3]"));
	AWAIT(files() == 0);
	assert_int_equal(patches(), 1);
}

/* An end so sudden that the older word's file is still there. */
static void the_last_word_counts(void **state)
{
	static const struct {
		const char *name, *text;
	} kept[] = {
		{ "0000000007.json",
		  "{\"podNamespace\":\"default\",\"podName\":\"a\",\"podUID\":"
		  "\"u\",\"status\":\"[7]\"}" },
		{ "0000000010.json",
		  "{\"podNamespace\":\"default\",\"podName\":\"a\",\"podUID\":"
		  "\"u\",\"status\":\"[10]\"}" },
		{ "0000000011.json", "" },
		{ "0000000012.json", "{\"podName\":1}" },
	};

	(void)state;
	play("u", ERR_UNREACHABLE, 1);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		AUTO_FREE char *dir = xasprintf("%s/netstatus", folder);
		AUTO_FREE char *path = xasprintf("%s/%s", dir, kept[i].name);
		struct err e;

		if (file_mkdirs(dir, 0700, &e) < 0 ||
		    file_write(path, kept[i].text, strlen(kept[i].text), 0600, 0, &e) < 0)
			fail_msg("%s", e.msg);
	}
	start();
	AWAIT(is_written("[10]"));
	AWAIT(files() == 0);
	/* its successor is a later one */
	play("u", ERR_UNREACHABLE, -1);
	netstatus_put(writer, "default", "a", "u", "[13]");
	{
		AUTO_FREE char *path = xasprintf("%s/netstatus/0000000013.json", folder);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

/* What nobody can write for ever, and what is no file of ours. */
static void what_is_no_word_goes(void **state)
{
	static const char *const names[][2] = {
		{ "../x", "a" },    { "default", "a/b" }, { "default", "" },
		{ "default", "A" }, { "default", ".." },  { "default", "a-" },
	};
	AUTO_FREE char *dir = xasprintf("%s/netstatus", folder);
	AUTO_FREE char *sub = xasprintf("%s/0000000007.json", dir);
	AUTO_FREE char *fifo = xasprintf("%s/0000000008.json", dir);
	AUTO_FREE char *path = file("log"), *log = NULL;
	AUTO_FREE char *stays = xasprintf("passed over: %s ", sub);
	AUTO_FREE char *goes = xasprintf("removed: %s ", fifo);
	int fd;

	(void)state;
	play("u", ERR_CONFIG, -1);
	assert_int_equal(mkdir(dir, 0700) + mkdir(sub, 0700) + mkfifo(fifo, 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *name = xasprintf("netstatus/%zu.json", i);
		AUTO_FREE char *text = xasprintf(
			"{\"podNamespace\":\"%s\",\"podName\":\"%s\","
			"\"podUID\":\"\",\"status\":\"[]\"}",
			names[i][0], names[i][1]);

		put(name, text, 0600);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	log_init("agent", fd, false, LOG_LEVEL_INFO);
	start();
	AWAIT(files() == 1);
	stop();
	log_init("spiderbox", STDERR_FILENO, false, LOG_LEVEL_INFO);
	close(fd);
	assert_int_equal(patches(), 0);
	log = contents("log");
	assert_non_null(strstr(log, stays));
	assert_non_null(strstr(log, goes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_conflict_is_not_another_pod, folder_make,
		                                teardown),
		cmocka_unit_test_setup_teardown(the_next_agent_goes_on, folder_make, teardown),
		cmocka_unit_test_setup_teardown(the_last_word_counts, folder_make, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_word_goes, folder_make, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
