/* SPDX-License-Identifier: Apache-2.0 */
/* links: cni/cni.c cni/env.c cni/conf.c cni/check.c cni/result.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * cni_test.c - one call after the other through cni_run(): what comes in, what must come out, and
 * in which order the checks speak up; then results of every version, there and back.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "cni/call.h"

/* The environment of the call under test: "NAME=VALUE" words, NULL-terminated. */
static const char *const *environment;

static const char *get_env(const char *name)
{
	size_t len = strlen(name);

	for (const char *const *v = environment; *v; v++)
		if (strncmp(*v, name, len) == 0 && (*v)[len] == '=')
			return *v + len + 1;
	return NULL;
}

/* Handlers that tell what they saw. */
static struct cni_call seen; /* strings valid within the handler only */
static char seen_name[64], seen_prev[256];
static int calls;
static bool fail_handlers;

static int note(struct cni_call *c, int *code, struct err *e)
{
	AUTO_STR prev = STR_INIT;

	calls++;
	seen = *c;
	snprintf(seen_name, sizeof(seen_name), "%s", c->name);
	if (c->prev_result)
		json_print(c->prev_result, &prev);
	snprintf(seen_prev, sizeof(seen_prev), "%s", prev.data);
	if (!fail_handlers)
		return 0;
	*code = 123;
	return err_set(e, ERR_SYS, "it broke: \"x\"");
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	const struct cni_result r = { .dns = NULL };

	if (note(c, code, e) < 0)
		return -1;
	*result = c->prev_result ? json_copy(c->prev_result) : cni_result_document(&r, c->version);
	return 0;
}

static const struct cni_plugin plugin = { .about = "a plugin under test",
	                                  .add = add,
	                                  .del = note,
	                                  .check = note,
	                                  .gc = note,
	                                  .status = note };

struct feed {
	int fd;
	const char *text;
	size_t len;
};

static void *feed_main(void *arg)
{
	struct feed *f = arg;

	while (f->len) {
		ssize_t n = write(f->fd, f->text, f->len);

		if (n <= 0)
			break;
		f->text += n;
		f->len -= (size_t)n;
	}
	close(f->fd);
	return NULL;
}

/* Runs one call; *out is what it printed.  *left (may be NULL) is what nobody read of stdin. */
static int call_n(const char *const *env, const char *text, size_t len, struct str *out,
                  size_t *left)
{
	struct feed f;
	pthread_t t;
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	environment = env;
	f = (struct feed){ fds[1], text, len };
	pthread_create(&t, NULL, feed_main, &f);
	calls = 0;
	seen_prev[0] = '\0';
	status = cni_run(&plugin, get_env, fds[0], out);
	close(fds[0]);
	pthread_join(t, NULL);
	if (left)
		*left = f.len;
	return status;
}

static int call(const char *const *env, const char *text, struct str *out)
{
	return call_n(env, text, strlen(text), out, NULL);
}

/* ADD's environment; DEL's and CHECK's as well. */
#define COMMAND(c)                                                                                 \
	"CNI_COMMAND=" c, "CNI_CONTAINERID=cid-1", "CNI_NETNS=/nonexistent/ns", "CNI_IFNAME=eth0", \
		"CNI_PATH=/opt/cni/bin"
static const char *const env_add[] = { COMMAND("ADD"), NULL };
static const char *const env_del[] = { COMMAND("DEL"), NULL };
static const char *const env_check[] = { COMMAND("CHECK"), NULL };
static const char *const env_gc[] = { COMMAND("GC"), NULL };
static const char *const env_status[] = { COMMAND("STATUS"), NULL };

#define CONF(v) "{\"cniVersion\":\"" v "\",\"name\":\"net-1\",\"type\":\"t\"}"
#define DECODE "decode the configuration on standard input: "

/* Everything that is refused before a handler runs. */
static const struct refusal {
	const char *env[8];
	const char *conf;
	int code;
	const char *msg, *details;
} refusals[] = {
	{ { "CNI_COMMAND=add" },
	  "",
	  4,
	  "unknown CNI_COMMAND \"add\"",
	  "there are ADD, DEL, CHECK, GC, STATUS and VERSION" },
	{ { "CNI_COMMAND=ADD" },
	  "",
	  4,
	  "missing environment variables: CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, CNI_PATH",
	  "CNI_COMMAND ADD needs them" },
	{ { "CNI_COMMAND=ADD", "CNI_NETNS=", "CNI_PATH=/x", "CNI_IFNAME=e", "CNI_CONTAINERID=c" },
	  "",
	  4,
	  "missing environment variables: CNI_NETNS",
	  NULL },
	{ { "CNI_COMMAND=DEL" },
	  "",
	  4,
	  "missing environment variables: CNI_CONTAINERID, CNI_IFNAME, CNI_PATH",
	  "CNI_COMMAND DEL needs them" },
	{ { "CNI_COMMAND=CHECK", "CNI_PATH=/x" },
	  "",
	  4,
	  "missing environment variables: CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME",
	  NULL },
	{ { "CNI_COMMAND=GC" }, "", 4, "missing environment variables: CNI_PATH", NULL },
	{ { "CNI_COMMAND=STATUS" }, "", 4, "missing environment variables: CNI_PATH", NULL },
	/* the document */
	{ { COMMAND("ADD") }, "", 6, DECODE "it is empty", "" },
	{ { COMMAND("ADD") }, "garbage", 6, DECODE "not JSON: line 1 column 1: not a value", NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"net\",",
	  6,
	  DECODE "not JSON: line 1 column 15: a member name is missing",
	  NULL },
	{ { COMMAND("ADD") }, CONF("1.0.0") " x", 6, NULL, NULL },
	{ { COMMAND("ADD") }, "[]", 6, DECODE "it is not an object", NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a\",\"name\":\"b\"}",
	  6,
	  DECODE "member \"name\" stands twice",
	  NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a\",\"ipam\":{\"x\":[{\"k\":1,\"k\":1}]}}",
	  6,
	  DECODE "member \"k\" stands twice",
	  NULL },
	/* what was added is to be deleted */
	{ { COMMAND("DEL") },
	  "{\"cniVersion\":\"9.0.0\",\"name\":\"a\",\"k\":1,\"k\":2}",
	  1,
	  "incompatible CNI versions: 9.0.0 is not supported",
	  NULL },
	{ { COMMAND("ADD") }, "{\"name\":7}", 6, DECODE "name: not a string", NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a\",\"type\":{}}",
	  6,
	  DECODE "type: not a string",
	  NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a\",\"prevResult\":[]}",
	  6,
	  DECODE "prevResult: not an object",
	  NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a\",\"cniVersion\":1}",
	  6,
	  DECODE "cniVersion: not a string",
	  NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a\\u0000b\"}",
	  6,
	  DECODE "not JSON: line 1 column 17: a NUL character in a string",
	  NULL },
	/* keys have an exact case */
	{ { COMMAND("ADD") },
	  "{\"Name\":\"a\",\"cniVersion\":\"1.0.0\"}",
	  7,
	  "the configuration has no network name (\"name\")",
	  "" },
	{ { COMMAND("ADD") },
	  "{\"name\":\"\"}",
	  7,
	  "the configuration has no network name (\"name\")",
	  NULL },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a/b\"}",
	  7,
	  "the network name \"a/b\" may hold letters, digits, \"_\", \".\" and \"-\" and begins "
	  "with a letter or digit",
	  NULL },
	/* decode 6, then name 7, then ids 4, then version 1: each wins over what comes later */
	{ { "CNI_COMMAND=ADD", "CNI_CONTAINERID=../x", "CNI_NETNS=/n", "CNI_IFNAME=eth0",
	    "CNI_PATH=/p" },
	  "{\"name\":\"-\"}",
	  7,
	  NULL,
	  NULL },
	{ { "CNI_COMMAND=ADD", "CNI_CONTAINERID=../x", "CNI_NETNS=/n", "CNI_IFNAME=a/b",
	    "CNI_PATH=/p" },
	  CONF("9.9.9"),
	  4,
	  "CNI_CONTAINERID \"../x\" may hold letters, digits, \"_\", \".\" and \"-\" and begins "
	  "with a letter or digit",
	  NULL },
	{ { "CNI_COMMAND=ADD", "CNI_CONTAINERID=x", "CNI_NETNS=/n", "CNI_IFNAME=a/b",
	    "CNI_PATH=/p" },
	  CONF("9.9.9"),
	  4,
	  "CNI_IFNAME: \"a/b\" is not an interface name",
	  NULL },
	{ { "CNI_COMMAND=DEL", "CNI_CONTAINERID=x", "CNI_IFNAME=sixteen-bytes-xx", "CNI_PATH=/p" },
	  CONF("1.0.0"),
	  4,
	  "CNI_IFNAME: \"sixteen-bytes-xx\" is not an interface name",
	  NULL },
	{ { COMMAND("ADD") },
	  CONF("9.9.9"),
	  1,
	  "incompatible CNI versions: 9.9.9 is not supported",
	  "the configuration wants [\"9.9.9\"], this plugin speaks [\"0.3.0\" \"0.3.1\" \"0.4.0\" "
	  "\"1.0.0\" \"1.1.0\"]" },
	{ { COMMAND("ADD") },
	  "{\"name\":\"a\"}",
	  1,
	  "incompatible CNI versions: 0.1.0 is not supported",
	  "the configuration wants [\"0.1.0\"], this plugin speaks [\"0.3.0\" \"0.3.1\" \"0.4.0\" "
	  "\"1.0.0\" \"1.1.0\"]" },
	{ { COMMAND("ADD") }, CONF("1.0"), 1, NULL, NULL },
	{ { COMMAND("CHECK") },
	  CONF("0.3.1"),
	  1,
	  "cniVersion 0.3.1 has no CHECK: it came with 0.4.0",
	  NULL },
	{ { COMMAND("GC") },
	  CONF("1.0.0"),
	  1,
	  "cniVersion 1.0.0 has no GC: it came with 1.1.0",
	  NULL },
	{ { COMMAND("STATUS") },
	  CONF("1.0.0"),
	  1,
	  "cniVersion 1.0.0 has no STATUS: it came with 1.1.0",
	  NULL },
	/* CNI_ARGS */
	{ { COMMAND("ADD"), "CNI_ARGS=K8S_POD_NAME=a;X=1" },
	  CONF("1.0.0"),
	  4,
	  "CNI_ARGS: unknown argument \"X\" (and IgnoreUnknown is not set)",
	  NULL },
	{ { COMMAND("ADD"), "CNI_ARGS=IgnoreUnknown=0;X=1" }, CONF("1.0.0"), 4, NULL, NULL },
	{ { COMMAND("ADD"), "CNI_ARGS=IgnoreUnknown=maybe" },
	  CONF("1.0.0"),
	  4,
	  "CNI_ARGS: IgnoreUnknown is \"maybe\", not true or false",
	  NULL },
	{ { COMMAND("ADD"), "CNI_ARGS=IgnoreUnknown=1;a=b=c" }, CONF("1.0.0"), 4, NULL, NULL },
	{ { COMMAND("ADD"), "CNI_ARGS=IgnoreUnknown" },
	  CONF("1.0.0"),
	  4,
	  "CNI_ARGS: \"IgnoreUnknown\" is not NAME=VALUE",
	  NULL },
	{ { COMMAND("ADD"), "CNI_ARGS=K8S_POD_NAMESPACE=../../x" },
	  CONF("1.0.0"),
	  4,
	  "CNI_ARGS: K8S_POD_NAMESPACE has a character that no name may have",
	  NULL },
	{ { COMMAND("ADD"),
	    "CNI_ARGS=K8S_POD_UID="
	    "0123456789012345678901234567890123456789012345678901234567890123" },
	  CONF("1.0.0"),
	  4,
	  "CNI_ARGS: K8S_POD_UID is longer than 63 bytes",
	  NULL },
};

static json *parse(const char *text)
{
	struct err e;
	json *j = NULL;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void check_error(size_t i, const char *printed, int code, const char *msg,
                        const char *details)
{
	AUTO_JSON *doc = parse(printed);
	int64_t got = 0;
	struct err e;

	assert_int_equal(json_count(doc), 4);
	assert_int_equal(json_i64(doc, "code", &got, &e), 0);
	if (got != code)
		fail_msg("%zu: %s", i, printed);
	assert_non_null(json_str_at(doc, "cniVersion", NULL));
	assert_non_null(json_str_at(doc, "details", NULL));
	assert_true(*json_str_at(doc, "msg", NULL) != '\0');
	if (msg)
		assert_string_equal(json_str_at(doc, "msg", NULL), msg);
	if (details)
		assert_string_equal(json_str_at(doc, "details", NULL), details);
}

static void bad_calls_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct refusal *r = &refusals[i];
		AUTO_STR out = STR_INIT;

		assert_int_equal(call(r->env, r->conf, &out), 1);
		check_error(i, out.data, r->code, r->msg, r->details);
		assert_int_equal(calls, 0);
	}
}

/* A name that is too long, a NUL between the tokens, bytes that are no UTF-8. */
static void odd_bytes(void **state)
{
	AUTO_STR conf = STR_INIT;
	AUTO_STR out = STR_INIT;

	(void)state;
	str_add(&conf, "{\"name\":\"");
	for (int i = 0; i < 201; i++)
		str_addc(&conf, 'n');
	str_add(&conf, "\"}");
	assert_int_equal(call(env_add, conf.data, &out), 1);
	check_error(0, out.data, 7, "the network name is longer than 200 bytes", NULL);

	str_reset(&out, 0);
	assert_int_equal(call_n(env_add, "{}\0", 3, &out, NULL), 1);
	check_error(1, out.data, 6, DECODE "a NUL at byte 2", NULL);

	str_reset(&out, 0);
	environment = (const char *const[]){ "CNI_COMMAND=\xff\xfe", NULL };
	assert_int_equal(cni_run(&plugin, get_env, -1, &out), 1);
	check_error(2, out.data, 4, "unknown CNI_COMMAND \"??\"", NULL);
}

/* 2 MB: a clean error, and the writer got rid of all of it. */
static void too_much_input(void **state)
{
	size_t len = 2 * 1024 * 1024, left = 1;
	AUTO_FREE char *text = xmalloc(len);
	AUTO_STR out = STR_INIT;

	(void)state;
	memset(text, ' ', len);
	assert_int_equal(call_n(env_add, text, len, &out, &left), 1);
	check_error(0, out.data, 6,
	            "the configuration on standard input is longer than 1048576 bytes", NULL);
	assert_int_equal(left, 0);

	/* the limit itself is fine: blanks around a good document */
	str_reset(&out, 0);
	memcpy(text, CONF("1.0.0"), strlen(CONF("1.0.0")));
	assert_int_equal(call_n(env_add, text, CNI_CONF_MAX, &out, NULL), 0);
	assert_string_equal(out.data, "{\"cniVersion\":\"1.0.0\"}\n");
}

static void stdin_that_cannot_be_read(void **state)
{
	AUTO_STR out = STR_INIT;

	(void)state;
	environment = env_add;
	assert_int_equal(cni_run(&plugin, get_env, 12345, &out), 1);
	check_error(0, out.data, 5, "read standard input: Bad file descriptor", NULL);
}

static void version_needs_no_stdin(void **state)
{
	AUTO_STR out = STR_INIT;

	(void)state;
	environment = (const char *const[]){ "CNI_COMMAND=VERSION", NULL };
	assert_int_equal(cni_run(&plugin, get_env, -1, &out), 0);
	assert_string_equal(out.data,
	                    "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":"
	                    "[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n");
}

/* Called by hand: words on stderr, nothing on stdout, and no failure. */
static void no_command_explains(void **state)
{
	AUTO_STR out = STR_INIT;
	int fds[2], saved = dup(STDERR_FILENO), status;
	char text[1024];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	environment = (const char *const[]){ NULL };
	fflush(stderr);
	dup2(fds[1], STDERR_FILENO);
	status = cni_run(&plugin, get_env, -1, &out);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	close(saved);
	assert_int_equal(status, 0);
	assert_int_equal(out.len, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "a plugin under test\n"));
	assert_non_null(strstr(text, "0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"));
}

static void handlers_are_called(void **state)
{
	static const struct {
		const char *const *env;
		const char *conf, *out;
		enum cni_command command;
		enum cni_version version;
	} good[] = {
		{ env_add, CONF("0.3.0"), "{\"cniVersion\":\"0.3.0\",\"dns\":{}}\n", CNI_ADD,
		  CNI_0_3_0 },
		{ env_add, CONF("0.3.1"), "{\"cniVersion\":\"0.3.1\",\"dns\":{}}\n", CNI_ADD,
		  CNI_0_3_1 },
		{ env_add, CONF("0.4.0"), "{\"cniVersion\":\"0.4.0\",\"dns\":{}}\n", CNI_ADD,
		  CNI_0_4_0 },
		{ env_add, CONF("1.0.0"), "{\"cniVersion\":\"1.0.0\"}\n", CNI_ADD, CNI_1_0_0 },
		{ env_add, CONF("1.1.0"), "{\"cniVersion\":\"1.1.0\"}\n", CNI_ADD, CNI_1_1_0 },
		{ env_del, CONF("0.3.1"), "", CNI_DEL, CNI_0_3_1 },
		{ env_check, CONF("0.4.0"), "", CNI_CHECK, CNI_0_4_0 },
		{ env_gc, CONF("1.1.0"), "", CNI_GC, CNI_1_1_0 },
		{ env_status, CONF("1.1.0"), "", CNI_STATUS, CNI_1_1_0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO_STR out = STR_INIT;

		assert_int_equal(call(good[i].env, good[i].conf, &out), 0);
		assert_string_equal(out.data, good[i].out);
		assert_int_equal(calls, 1);
		assert_int_equal(seen.command, good[i].command);
		assert_int_equal(seen.version, good[i].version);
		assert_string_equal(seen_name, "net-1");
	}
}

/* What a chained plugin hands on has members that we do not know. */
static void prev_result_is_passed_on(void **state)
{
	static const char conf[] =
		"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"prevResult\":{\"cniVersion\":\"1.0.0\","
		"\"ips\":["
		"{\"address\":\"10.0.0.1/24\",\"x\":[1,2.5,null]}],\"unknown\":{\"k\":\"v\"}}}";
	static const char prev[] =
		"{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.1/24\",\"x\":"
		"[1,2.5,null]}],\"unknown\":{\"k\":\"v\"}}\n";
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(call(env_add, conf, &out), 0);
	assert_string_equal(out.data, prev);
	str_reset(&out, 0);
	assert_int_equal(call(env_add,
	                      "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"prevResult\":null}",
	                      &out),
	                 0);
	assert_null(seen.prev_result);
}

static void args_in_any_order(void **state)
{
	static const char *const good[] = {
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;K8S_POD_UID=u-1;"
		"FOO=x",
		"CNI_ARGS=FOO=x;K8S_POD_UID=u-1;K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=ns;"
		"IgnoreUnknown=true",
		"CNI_ARGS=K8S_POD_NAME=web-0;IP=10.0.0.1;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_"
		"NAMESPACE=ns;K8S_POD_UID=u-1",
		"CNI_ARGS=;K8S_POD_NAME=old;K8S_POD_UID=u-1;;K8S_POD_NAME=web-0;K8S_POD_NAMESPACE="
		"ns;",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const char *env[] = { COMMAND("ADD"), good[i], NULL };
		AUTO_STR out = STR_INIT;

		if (call(env, CONF("1.0.0"), &out) != 0)
			fail_msg("%zu: %s", i, out.data);
		assert_string_equal(seen.pod_namespace, "ns");
		assert_string_equal(seen.pod_name, "web-0");
		assert_string_equal(seen.pod_uid, "u-1");
	}
}

/* A DEL is not refused for its CNI_ARGS: what is good of them is used. */
static void bad_args_do_not_stop_del(void **state)
{
	const char *env[] = { COMMAND("DEL"),
		              "CNI_ARGS=X;K8S_POD_NAME=web-0;a=b=c;K8S_POD_UID=/;IgnoreUnknown=7",
		              NULL };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(call(env, CONF("1.0.0"), &out), 0);
	assert_string_equal(seen.pod_name, "web-0");
	assert_string_equal(seen.pod_uid, "");
}

static void handler_errors(void **state)
{
	const char *env[] = { COMMAND("ADD"), "CNI_ARGS=K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=ns",
		              NULL };
	AUTO_STR out = STR_INIT;

	(void)state;
	fail_handlers = true;
	assert_int_equal(call(env, CONF("0.3.1"), &out), 1);
	fail_handlers = false;
	assert_string_equal(
		out.data,
		"{\"cniVersion\":\"0.3.1\",\"code\":123,\"msg\":\"it broke: "
		"\\\"x\\\"\",\"details\":"
		"\"ADD of network net-1, interface eth0 of container cid-1 in /nonexistent/ns, pod "
		"ns/web-0\"}\n");
}

static void codes_of_kinds(void **state)
{
	(void)state;
	assert_int_equal(cni_code_of(ERR_CONFIG), CNI_E_CONFIG);
	assert_int_equal(cni_code_of(ERR_UNREACHABLE), CNI_E_TRY_AGAIN);
	assert_int_equal(cni_code_of(ERR_TIMEOUT), CNI_E_TRY_AGAIN);
	assert_int_equal(cni_code_of(ERR_EXHAUSTED), CNI_E_TRY_AGAIN);
	assert_int_equal(cni_code_of(ERR_NO_POOL), CNI_E_TRY_AGAIN);
	assert_int_equal(cni_code_of(ERR_SYS), CNI_E_GENERIC);
	assert_int_equal(cni_code_of(ERR_NOT_FOUND), CNI_E_GENERIC);
}

/* The plugin's own namespace: ADD and CHECK do not begin, DEL works without one. */
static void own_netns(void **state)
{
#define OWN(c)                                                                                     \
	"CNI_COMMAND=" c, "CNI_CONTAINERID=c", "CNI_NETNS=/proc/self/ns/net", "CNI_IFNAME=eth0",   \
		"CNI_PATH=/p"
	static const char msg[] =
		"CNI_NETNS /proc/self/ns/net is the network namespace that the plugin itself runs "
		"in";
	const char *add_env[] = { OWN("ADD"), NULL };
	const char *del_env[] = { OWN("DEL"), NULL };
	const char *check_env[] = { OWN("CHECK"), NULL };
	const char *gc_env[] = { OWN("GC"), NULL };
	const char *override[] = { OWN("ADD"), "CNI_NETNS_OVERRIDE=true", NULL };
	const char *del_override[] = { OWN("DEL"), "CNI_NETNS_OVERRIDE=true", NULL };
	const char *no_override[] = { OWN("ADD"), "CNI_NETNS_OVERRIDE=false", NULL };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(call(add_env, CONF("1.0.0"), &out), 1);
	check_error(0, out.data, 8, msg, NULL);
	assert_int_equal(calls, 0);
	str_reset(&out, 0);
	assert_int_equal(call(check_env, CONF("1.0.0"), &out), 1);
	check_error(1, out.data, 8, msg, NULL);
	assert_int_equal(calls, 0);
	str_reset(&out, 0);
	assert_int_equal(call(del_env, CONF("1.0.0"), &out), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(calls, 1);
	assert_string_equal(seen.netns, "");
	assert_int_equal(seen.netns_fd, 0);
	assert_int_equal(call(del_override, CONF("1.0.0"), &out), 0);
	assert_string_equal(seen.netns, "/proc/self/ns/net");
	assert_int_equal(call(gc_env, CONF("1.1.0"), &out), 0);
	assert_int_equal(call(no_override, CONF("1.0.0"), &out), 1);
	assert_int_equal(call(override, CONF("1.0.0"), &out), 0);
	assert_int_equal(calls, 1);
}

/* Namespaces as a plugin, and one that it calls, opened them. */
static int outer_fd, inner_fd;

static int inner_status(struct cni_call *c, int *code, struct err *e)
{
	(void)code;
	return cni_netns(c, &inner_fd, e);
}

static int outer_check(struct cni_call *c, int *code, struct err *e)
{
	static const struct cni_plugin inner = { .about = "", .status = inner_status };
	int again;

	if (cni_netns(c, &outer_fd, e) < 0 || cni_netns(c, &again, e) < 0)
		return -1;
	assert_int_equal(outer_fd, again);
	assert_true(outer_fd > 0);
	if (cni_call_here(&inner, c, CNI_STATUS, c->conf_text.data, c->conf_text.len, NULL, code,
	                  e) < 0)
		return -1;
	assert_int_equal(inner_fd, outer_fd);
	assert_true(fcntl(outer_fd, F_GETFD) >= 0);
	/* of another container */
	c->netns_fd = 0;
	if (cni_call_here(&inner, c, CNI_STATUS, c->conf_text.data, c->conf_text.len, NULL, code,
	                  e) < 0)
		return -1;
	c->netns_fd = outer_fd;
	assert_true(inner_fd > 0 && inner_fd != outer_fd);
	assert_int_equal(fcntl(inner_fd, F_GETFD), -1);
	assert_true(fcntl(outer_fd, F_GETFD) >= 0);
	return 0;
}

static void a_namespace_is_opened_once(void **state)
{
	static const struct cni_plugin outer = { .about = "", .check = outer_check };
	static const char *const here[] = { OWN("CHECK"), "CNI_NETNS_OVERRIDE=1", NULL };
	static const char *const nowhere[] = { "CNI_COMMAND=CHECK",  "CNI_CONTAINERID=c",
		                               "CNI_NETNS=/nowhere", "CNI_IFNAME=eth0",
		                               "CNI_PATH=/p",        NULL };

	(void)state;
	for (int i = 0; i < 2; i++) {
		AUTO_STR out = STR_INIT;
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		assert_true(write(fds[1], CONF("1.1.0"), strlen(CONF("1.1.0"))) > 0);
		close(fds[1]);
		environment = i ? nowhere : here;
		assert_int_equal(cni_run(&outer, get_env, fds[0], &out), i);
		close(fds[0]);
		if (i)
			check_error(0, out.data, 999,
			            "open network namespace \"/nowhere\": No such file or "
			            "directory",
			            NULL);
		else
			assert_int_equal(fcntl(outer_fd, F_GETFD), -1);
	}
}

static void plugin_without_handlers(void **state)
{
	static const struct cni_plugin empty = { .about = "" };
	static const char *const *const envs[] = { env_add, env_del, env_check, env_gc,
		                                   env_status };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(envs); i++) {
		AUTO_STR out = STR_INIT;
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		assert_true(write(fds[1], CONF("1.1.0"), strlen(CONF("1.1.0"))) > 0);
		close(fds[1]);
		environment = envs[i];
		assert_int_equal(cni_run(&empty, get_env, fds[0], &out), 0);
		assert_int_equal(out.len, 0);
		close(fds[0]);
	}
}

/* Results. */
#define IPS_03                                                                                     \
	"\"ips\":[{\"version\":\"4\",\"interface\":0,\"address\":\"172.31.199.187/"                \
	"20\",\"gateway\":"                                                                        \
	"\"172.31.207.253\"},{\"version\":\"6\",\"address\":\"fd00::1/64\"}]"
#define IPS_10                                                                                     \
	"\"ips\":[{\"interface\":0,\"address\":\"172.31.199.187/20\",\"gateway\":"                 \
	"\"172.31.207.253\"},{\"address\":\"fd00::1/64\"}]"
#define INTERFACES                                                                                 \
	"\"interfaces\":[{\"name\":\"eth0\",\"mac\":\"00:16:3e:00:11:22\",\"sandbox\":\"/var/run/" \
	"netns/x\"},"                                                                              \
	"{\"name\":\"vethab\"}],"
#define INTERFACES_11                                                                              \
	"\"interfaces\":[{\"name\":\"eth0\",\"mac\":\"00:16:3e:00:11:22\",\"mtu\":1500,"           \
	"\"sandbox\":\"/var/run/netns/x\"},"                                                       \
	"{\"name\":\"vethab\"}],"
#define ROUTES                                                                                     \
	",\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"172.31.207.253\"},{\"dst\":\"10.0.0.0/8\"}]"

static const char *const documents[CNI_VERSIONS] = {
	"{\"cniVersion\":\"0.3.0\"," INTERFACES IPS_03 ROUTES ",\"dns\":{}}",
	"{\"cniVersion\":\"0.3.1\"," INTERFACES IPS_03 ROUTES ",\"dns\":{}}",
	"{\"cniVersion\":\"0.4.0\"," INTERFACES IPS_03 ROUTES ",\"dns\":{}}",
	"{\"cniVersion\":\"1.0.0\"," INTERFACES IPS_10 ROUTES "}",
	"{\"cniVersion\":\"1.1.0\"," INTERFACES_11 IPS_10 ROUTES "}",
};

/* The newest, which holds the most, is read and written in every version. */
static void results_of_every_version(void **state)
{
	AUTO_JSON *newest = parse(documents[CNI_1_1_0]);

	(void)state;
	for (int v = 0; v < CNI_VERSIONS; v++) {
		AUTO_JSON *doc = parse(documents[v]), *out = NULL, *from_newest = NULL;
		AUTO_CNI_RESULT r = { .dns = NULL }, n = { .dns = NULL };
		AUTO_STR text = STR_INIT;
		struct err e;

		if (cni_result_read(doc, &r, &e) < 0 || cni_result_read(newest, &n, &e) < 0)
			fail_msg("%d: %s", v, e.msg);
		assert_int_equal(r.n_interfaces, 2);
		assert_int_equal(r.ips[1].interface, -1);
		assert_int_equal(r.routes[1].gw.family, 0);
		out = cni_result_document(&r, (enum cni_version)v);
		json_print(out, &text);
		assert_string_equal(text.data, documents[v]);
		from_newest = cni_result_document(&n, (enum cni_version)v);
		assert_true(json_equal(from_newest, doc));
	}
}

static void routes_have_more_from_1_1_on(void **state)
{
	static const char text[] =
		"{\"cniVersion\":\"1.1.0\",\"routes\":[{\"dst\":\"10.0.0.0/8\",\"mtu\":1400,"
		"\"advmss\":1300,\"priority\":7,\"table\":4000000000,\"scope\":0},"
		"{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.1.0.1\"}]}";
	AUTO_JSON *doc = parse(text), *same = NULL, *older = NULL;
	AUTO_CNI_RESULT r = { .dns = NULL };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(cni_result_read(doc, &r, NULL), 0);
	assert_int_equal(r.routes[0].mtu, 1400);
	assert_int_equal(r.routes[0].advmss, 1300);
	assert_int_equal(r.routes[0].priority, 7);
	assert_int_equal(r.routes[0].table, 4000000000);
	assert_true(r.routes[0].has_scope && r.routes[0].scope == 0);
	assert_false(r.routes[1].has_scope);
	same = cni_result_document(&r, CNI_1_1_0);
	json_print(same, &out);
	assert_string_equal(out.data, text);
	older = cni_result_document(&r, CNI_1_0_0);
	str_reset(&out, 0);
	json_print(older, &out);
	assert_string_equal(out.data,
	                    "{\"cniVersion\":\"1.0.0\",\"routes\":[{\"dst\":\"10.0.0.0/8\"},"
	                    "{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.1.0.1\"}]}");
}

static void dns_is_kept(void **state)
{
	AUTO_JSON *doc = parse("{\"dns\":{\"nameservers\":[\"10.0.0.10\"],\"x\":1}}"), *out = NULL;
	AUTO_CNI_RESULT r = { .dns = NULL };
	AUTO_STR text = STR_INIT;
	struct err e;

	(void)state;
	assert_int_equal(cni_result_read(doc, &r, &e), 0);
	out = cni_result_document(&r, CNI_1_0_0);
	json_print(out, &text);
	assert_string_equal(
		text.data,
		"{\"cniVersion\":\"1.0.0\",\"dns\":{\"nameservers\":[\"10.0.0.10\"],\"x\":1}}");
}

/* What reference IPAM plugins may say, and who asks them takes no notice of. */
static void numbers_of_no_interfaces(void **state)
{
	AUTO_JSON *j = NULL;
	AUTO_CNI_RESULT r = { .n_ips = 0 };
	static const char text[] = "{\"ips\":[{\"address\":\"10.0.0.1/24\",\"interface\":0}]}";
	struct err e;

	(void)state;
	assert_int_equal(json_parse(text, sizeof(text) - 1, 0, &j, &e), 0);
	assert_int_equal(cni_result_read(j, &r, &e), 0);
	assert_int_equal(r.ips[0].interface, -1);
}

static void bad_results(void **state)
{
	static const char *const bad[][2] = {
		{ "[]", "CNI result: not an object" },
		{ "{\"ip4\":{}}", "CNI result: it has the shape of CNI 0.2.0" },
		{ "{\"ips\":{}}", "CNI result: ips: not an array" },
		{ "{\"ips\":[1]}", "CNI result: ips: not an array of objects" },
		{ "{\"ips\":[{}]}", "CNI result: ips[0]: address: missing" },
		{ "{\"ips\":[{\"address\":\"10.0.0.1/24\"},{\"address\":\"10.0.0.1\"}]}", NULL },
		{ "{\"interfaces\":[{\"name\":\"e\"}],\"ips\":[{\"address\":\"10.0.0.1/24\","
		  "\"interface\":1}]}",
		  "CNI result: ips[0]: interface: there is no number 1" },
		{ "{\"ips\":[{\"address\":\"10.0.0.1/24\",\"interface\":-2}]}", NULL },
		{ "{\"ips\":[{\"address\":\"10.0.0.1/24\",\"gateway\":\"x\"}]}", NULL },
		{ "{\"interfaces\":[{}]}", "CNI result: interfaces[0]: name: missing" },
		{ "{\"interfaces\":[{\"name\":\"a-name-of-17-byte\"}]}", NULL },
		{ "{\"interfaces\":[{\"name\":\"e\",\"mtu\":-1}]}",
		  "CNI result: interfaces[0]: mtu: out of range" },
		{ "{\"routes\":[{\"dst\":\"0.0.0.0\"}]}", NULL },
		{ "{\"routes\":[{\"dst\":\"0.0.0.0/0\",\"scope\":256}]}",
		  "CNI result: routes[0]: scope: out of range" },
		{ "{\"routes\":[{\"dst\":\"0.0.0.0/0\",\"table\":4294967296}]}",
		  "CNI result: routes[0]: table: out of range" },
		{ "{\"dns\":[]}", "CNI result: dns: not an object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_JSON *doc = parse(bad[i][0]);
		struct cni_result r;
		struct err e = { .kind = ERR_NONE };

		if (cni_result_read(doc, &r, &e) == 0)
			fail_msg("%s was accepted", bad[i][0]);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_int_equal(cni_result_read(doc, &r, NULL), -1);
		if (bad[i][1])
			assert_string_equal(e.msg, bad[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_calls_are_refused),
		cmocka_unit_test(odd_bytes),
		cmocka_unit_test(too_much_input),
		cmocka_unit_test(stdin_that_cannot_be_read),
		cmocka_unit_test(version_needs_no_stdin),
		cmocka_unit_test(no_command_explains),
		cmocka_unit_test(handlers_are_called),
		cmocka_unit_test(prev_result_is_passed_on),
		cmocka_unit_test(args_in_any_order),
		cmocka_unit_test(bad_args_do_not_stop_del),
		cmocka_unit_test(handler_errors),
		cmocka_unit_test(codes_of_kinds),
		cmocka_unit_test(own_netns),
		cmocka_unit_test(a_namespace_is_opened_once),
		cmocka_unit_test(plugin_without_handlers),
		cmocka_unit_test(results_of_every_version),
		cmocka_unit_test(routes_have_more_from_1_1_on),
		cmocka_unit_test(dns_is_kept),
		cmocka_unit_test(numbers_of_no_interfaces),
		cmocka_unit_test(bad_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
