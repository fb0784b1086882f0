/* SPDX-License-Identifier: Apache-2.0 */
/* links: cni/delegate.c cni/env.c cni/conf.c cni/check.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * delegate_test.c - shell scripts as delegates: what they are given, what they answer, and those
 * that do not end, print too much, or say nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cni/call.h"

static char folder[64], path[200];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/delegate_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "/nonexistent::%s/empty:%s", folder, folder);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); /* NOLINT: a test's own temporary folder */
}

/* A plugin of that name. */
static void script(const char *name, const char *body)
{
	char file[128];
	AUTO_STR text = STR_INIT;
	struct err e;

	snprintf(file, sizeof(file), "%s/%s", folder, name);
	str_addf(&text, "#!/bin/sh\nd=%s\n%s\n", folder, body);
	if (file_write(file, text.data, text.len, 0755, 0, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct cni_call make_call(void)
{
	return (struct cni_call){
		.container_id = "cid",
		.netns = "/var/run/netns/x",
		.ifname = "eth0",
		.args = "K8S_POD_NAME=a",
		.path = path,
		.version = CNI_0_3_1,
		.deadline = mono_in(20000),
	};
}

/* Runs it with this stdin; the result as text (owned), or NULL and e, *code. */
static char *delegate(const char *name, enum cni_command command, const char *conf, int *code,
                      struct err *e)
{
	struct cni_call c = make_call();
	AUTO_STR text = STR_INIT;
	AUTO_JSON *result = NULL;

	*code = 0;
	e->kind = ERR_NONE;
	if (cni_delegate(&c, name, command, conf, strlen(conf), command == CNI_ADD ? &result : NULL,
	                 code, e) < 0)
		return NULL;
	if (result)
		json_print(result, &text);
	return str_take(&text);
}

static char *contents(const char *name)
{
	AUTO_STR text = STR_INIT;
	char file[128];
	struct err e;

	snprintf(file, sizeof(file), "%s/%s", folder, name);
	if (file_read(file, 4 * 1024 * 1024, &text, &e) < 0)
		fail_msg("%s", e.msg);
	return str_take(&text);
}

static void environment_and_stdin(void **state)
{
	AUTO_FREE char *out = NULL, *env = NULL, *in = NULL;
	AUTO_STR want = STR_INIT;
	struct err e;
	int code;

	(void)state;
	setenv("CNI_COMMAND", "ADD", 1);
	setenv("CNI_IFNAME", "wrong", 1);
	setenv("OTHER", "kept", 1);
	script("tell",
	       "env | grep -E '^(CNI_|OTHER)' | sort >$d/env; cat >$d/in; echo not looked at");
	out = delegate("tell", CNI_DEL, "{ \"name\" : \"n\",\n\"x\":1e3 }\n", &code, &e);
	if (!out)
		fail_msg("%s", e.msg);
	env = contents("env");
	in = contents("in");
	str_addf(&want,
	         "CNI_ARGS=K8S_POD_NAME=a\nCNI_COMMAND=DEL\nCNI_CONTAINERID=cid\nCNI_IFNAME=eth0\n"
	         "CNI_NETNS=/var/run/netns/x\nCNI_PATH=%s\nOTHER=kept\n",
	         path);
	assert_string_equal(env, want.data);
	assert_string_equal(in, "{ \"name\" : \"n\",\n\"x\":1e3 }\n");
}

static void results(void **state)
{
	struct err e;
	int code;

	(void)state;
	script("good", "cat >/dev/null; echo '{\"cniVersion\":\"0.4.0\",\"k\":1}'");
	script("unversioned", "echo '{\"k\":1}'");
	script("no-json", "echo hello");
	script("array", "echo '[]'");
	script("silent", ":");
	{
		AUTO_FREE char *out = delegate("good", CNI_ADD, "{}", &code, &e);

		assert_string_equal(out, "{\"cniVersion\":\"0.4.0\",\"k\":1}");
	}
	{
		AUTO_FREE char *out = delegate("unversioned", CNI_ADD, "{}", &code, &e);

		assert_string_equal(out, "{\"k\":1,\"cniVersion\":\"0.3.1\"}");
	}
	assert_null(delegate("no-json", CNI_ADD, "{}", &code, &e));
	assert_string_equal(e.msg,
	                    "result of plugin no-json: not JSON: line 1 column 1: not a value");
	assert_null(delegate("array", CNI_ADD, "{}", &code, &e));
	assert_string_equal(e.msg, "result of plugin array: not a result document");
	assert_null(delegate("silent", CNI_ADD, "{}", &code, &e));
	assert_int_equal(e.kind, ERR_PROTO);
}

static void errors(void **state)
{
	struct err e;
	int code;

	(void)state;
	script("says",
	       "echo '{\"code\":11,\"msg\":\"not yet\",\"details\":\"in a minute\"}'; exit 1");
	script("config", "echo '{\"code\":7,\"msg\":\"bad key\"}'; exit 3");
	script("text", "echo oops; exit 4");
	script("mute", "exit 5");
	script("dies", "kill -9 $$");
	assert_null(delegate("says", CNI_ADD, "{}", &code, &e));
	assert_string_equal(e.msg, "plugin says: not yet; in a minute");
	assert_int_equal(code, 11);
	assert_int_equal(e.kind, ERR_THROTTLED);
	assert_null(delegate("config", CNI_DEL, "{}", &code, &e));
	assert_string_equal(e.msg, "plugin config: bad key");
	assert_int_equal(code, 7);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_null(delegate("text", CNI_ADD, "{}", &code, &e));
	assert_string_equal(e.msg,
	                    "plugin text ended with status 4 and no error document but: oops ");
	assert_int_equal(code, 0);
	assert_null(delegate("mute", CNI_ADD, "{}", &code, &e));
	assert_string_equal(e.msg, "plugin mute ended with status 5 and without a word");
	assert_null(delegate("dies", CNI_ADD, "{}", &code, &e));
	assert_string_equal(e.msg, "plugin dies was killed by signal 9");
}

/* An ADD that took an address and did not say so well is undone; one that says it failed is not. */
static void add_without_an_answer_is_undone(void **state)
{
	static const struct {
		const char *name, *body, *asked, *message;
	} cases[] = {
		{ "garbage", "echo hello", "ADD\nDEL\n", "result of plugin garbage: not JSON" },
		{ "list", "echo '[]'", "ADD\nDEL\n",
		  "result of plugin list: not a result document" },
		{ "killed", "kill -9 $$", "ADD\nDEL\n", "plugin killed was killed by signal 9" },
		{ "odd", "echo oops; exit 4", "ADD\nDEL\n", "plugin odd ended with status 4" },
		{ "refuses", "echo '{\"code\":11,\"msg\":\"none\"}'; exit 1", "ADD\n",
		  "plugin refuses: none" },
	};
	struct err e;
	int code;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *body =
			xasprintf("cat >/dev/null; echo $CNI_COMMAND >>$d/asked.%s\n%s",
		                  cases[i].name, cases[i].body);
		AUTO_FREE char *file = xasprintf("asked.%s", cases[i].name);
		AUTO_FREE char *asked = NULL;

		script(cases[i].name, body);
		assert_null(delegate(cases[i].name, CNI_ADD, "{}", &code, &e));
		if (!str_starts(e.msg, cases[i].message))
			fail_msg("%s", e.msg);
		asked = contents(file);
		assert_string_equal(asked, cases[i].asked);
	}
}

/* Also when it was the deadline that ended it. */
static void add_that_hangs_is_undone(void **state)
{
	struct cni_call c = make_call();
	AUTO_FREE char *asked = NULL;
	json *result = NULL;
	struct err e;
	int code = 0;

	(void)state;
	script("slow",
	       "echo $CNI_COMMAND >>$d/asked.slow; [ $CNI_COMMAND = DEL ] || exec sleep 60");
	c.deadline = mono_in(700);
	assert_int_equal(cni_delegate(&c, "slow", CNI_ADD, "{}", 2, &result, &code, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	asked = contents("asked.slow");
	assert_string_equal(asked, "ADD\nDEL\n");
}

static void names_and_paths(void **state)
{
	char file[128], message[400];
	struct err e;
	int code;

	(void)state;
	assert_null(delegate("missing", CNI_ADD, "{}", &code, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	snprintf(message, sizeof(message), "there is no plugin \"missing\" in CNI_PATH (%s)", path);
	assert_string_equal(e.msg, message);
	assert_null(delegate("../x", CNI_ADD, "{}", &code, &e));
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_string_equal(e.msg, "\"../x\" is not the name of a plugin");
	assert_null(delegate("", CNI_ADD, "{}", &code, &e));
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_null(delegate("..", CNI_ADD, "{}", &code, &e));
	assert_int_equal(e.kind, ERR_CONFIG);
	/* a folder is no plugin; a file that cannot be executed is one, and says so */
	snprintf(file, sizeof(file), "%s/folder", folder);
	mkdir(file, 0755);
	assert_null(delegate("folder", CNI_ADD, "{}", &code, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	script("plain", ":");
	snprintf(file, sizeof(file), "%s/plain", folder);
	chmod(file, 0644);
	assert_null(delegate("plain", CNI_ADD, "{}", &code, &e));
	assert_int_equal(e.sys, EACCES);
}

/* Much in, much out, at the same time; and a delegate that reads nothing. */
static void much(void **state)
{
	AUTO_STR conf = STR_INIT;
	AUTO_FREE char *in = NULL, *out = NULL, *deaf = NULL;
	struct err e;
	int code;

	(void)state;
	str_add(&conf, "{\"name\":\"");
	for (int i = 0; i < 600000; i++)
		str_addc(&conf, 'x');
	str_add(&conf, "\"}");
	script("echo", "tee $d/echoed");
	out = delegate("echo", CNI_ADD, conf.data, &code, &e);
	if (!out)
		fail_msg("%s", e.msg);
	assert_int_equal(strlen(out), conf.len + strlen(",\"cniVersion\":\"0.3.1\""));
	in = contents("echoed");
	assert_string_equal(in, conf.data);
	script("deaf", "exec <&-; echo '{}'");
	deaf = delegate("deaf", CNI_ADD, conf.data, &code, &e);
	assert_string_equal(deaf, "{\"cniVersion\":\"0.3.1\"}");
	script("flood",
	       "while :; do echo "
	       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
	assert_null(delegate("flood", CNI_ADD, "{}", &code, &e));
	assert_string_equal(e.msg, "plugin flood printed more than 1048576 bytes");
	assert_int_equal(e.kind, ERR_PROTO);
}

/* Killed at the deadline, and gone when the call returns. */
static void deadline(void **state)
{
	struct cni_call c = make_call();
	AUTO_FREE char *pid = NULL;
	struct mono begin = mono_now();
	struct err e;
	int code = 0;

	(void)state;
	script("hang", "echo $$ >$d/pid; exec sleep 60");
	c.deadline = mono_in(700);
	assert_int_equal(cni_delegate(&c, "hang", CNI_DEL, "{}", 2, NULL, &code, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(e.msg, "plugin hang did not end in time and was killed");
	assert_true(mono_now().ms - begin.ms < 10000);
	pid = contents("pid");
	assert_int_equal(kill((pid_t)strtol(pid, NULL, 10), 0), -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* What it left behind holds its stdout: that does not keep us. */
static void orphan_holds_stdout(void **state)
{
	struct mono begin = mono_now();
	AUTO_FREE char *out = NULL, *pid = NULL;
	struct err e;
	int code;

	(void)state;
	script("daemon", "sleep 60 & echo $! >$d/orphan; echo '{\"k\":2}'");
	out = delegate("daemon", CNI_ADD, "{}", &code, &e);
	pid = contents("orphan");
	kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
	assert_string_equal(out, "{\"k\":2,\"cniVersion\":\"0.3.1\"}");
	assert_true(mono_now().ms - begin.ms < 15000);
}

/* An executable that is still open for writing is tried again. */
static void text_file_busy(void **state)
{
	char file[128];
	int fd, status;
	pid_t closer;
	struct err e;
	int code;

	(void)state;
	script("busy", "echo '{}'");
	snprintf(file, sizeof(file), "%s/busy", folder);
	fd = open(file, O_WRONLY);
	assert_true(fd >= 0);
	closer = fork(); /* it holds the file for a while, we do not */
	if (closer == 0) {
		usleep(300000);
		_exit(0);
	}
	close(fd);
	{
		AUTO_FREE char *out = delegate("busy", CNI_ADD, "{}", &code, &e);

		if (!out)
			fail_msg("%s", e.msg);
	}
	waitpid(closer, &status, 0);
	/* and not for ever */
	fd = open(file, O_WRONLY);
	{
		struct cni_call c = make_call();

		c.deadline = mono_in(200);
		assert_int_equal(cni_delegate(&c, "busy", CNI_DEL, "{}", 2, NULL, &code, &e), -1);
		assert_int_equal(e.sys, ETXTBSY);
	}
	close(fd);
}

/* The caller's signals are as they were, and no descriptor is lost. */
static void leaves_no_trace(void **state)
{
	void (*before)(int) = signal(SIGCHLD, SIG_IGN);
	int first = dup(0), second;
	sigset_t mask;
	struct err e;
	int code;

	(void)state;
	close(first);
	script("one", "echo '{}'");
	for (int i = 0; i < 3; i++) {
		AUTO_FREE char *out = delegate("one", CNI_ADD, "{}", &code, &e);

		assert_non_null(out);
	}
	assert_true(signal(SIGCHLD, before) == SIG_IGN);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGCHLD));
	second = dup(0);
	close(second);
	assert_int_equal(first, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environment_and_stdin),
		cmocka_unit_test(results),
		cmocka_unit_test(errors),
		cmocka_unit_test(add_without_an_answer_is_undone),
		cmocka_unit_test(add_that_hangs_is_undone),
		cmocka_unit_test(names_and_paths),
		cmocka_unit_test(much),
		cmocka_unit_test(deadline),
		cmocka_unit_test(orphan_holds_stdout),
		cmocka_unit_test(text_file_busy),
		cmocka_unit_test(leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
