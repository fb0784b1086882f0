/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/agent_client.c http/http1.c http/stream.c http/url.c json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * agent_client_test.c - a pretended agent in a thread: what it is asked, what its answers become,
 * and what happens while it is not there.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/http1.h"
#include "plugins/agent_client.h"

static char top[64], folder[80], path[100];

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/agent_test.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(folder, sizeof(folder), "%s/spidernet", top);
	snprintf(path, sizeof(path), "%s/agent.sock", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	rmdir(folder);
	return rmdir(top);
}

/* What the agent of a test does: it answers `count` requests the same way, then goes. */
struct agent {
	int delay_ms; /* before its socket's folder, or the socket, appears */
	int hang_up;  /* so many connections are closed without an answer first */
	int status;   /* 0: it takes the request and says nothing */
	int retry_s;  /* of Retry-After, 0: none */
	int kept;     /* before all that, a connection has so many requests, and is closed */
	const char *body;
	char seen[256]; /* "METHOD TARGET BODY" of the last request */
	int listener;
	pthread_t thread;
};

static int listen_at(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
		abort();
	return fd;
}

static void answer(struct agent *a, int fd)
{
	struct http *h = http_new(stream_from_fd(fd));
	struct mono deadline = mono_in(10000);
	struct http_incoming in;
	struct err e;

	if (http_receive(h, 65536, &in, deadline, &e) == 0 && in.method) {
		snprintf(a->seen, sizeof(a->seen), "%s %s %s", in.method, in.target, in.body);
		if (a->status)
			IGNORE(http_respond(h, a->status, "application/json", a->body,
			                    strlen(a->body), a->retry_s, true, deadline, &e));
		else
			IGNORE(http_receive(h, 65536, &in, deadline,
			                    &e)); /* until the client goes */
	}
	http_free(h);
}

static void answer_kept(struct agent *a, int fd)
{
	struct http *h = http_new(stream_from_fd(fd));
	struct mono deadline = mono_in(10000);
	struct http_incoming in;
	struct err e;

	for (int i = 0; i < a->kept; i++)
		if (http_receive(h, 65536, &in, deadline, &e) < 0 || !in.method ||
		    http_respond(h, 200, "application/json", "\"kept\"", 6, 0, false, deadline,
		                 &e) < 0)
			abort();
	http_free(h);
}

static void *agent_main(void *arg)
{
	struct agent *a = arg;

	if (a->delay_ms) {
		mono_sleep_until(mono_in(a->delay_ms));
		mkdir(folder, 0755);
		a->listener = listen_at();
	}
	if (a->kept)
		answer_kept(a, accept(a->listener, NULL, NULL));
	for (int i = 0; i < a->hang_up; i++)
		close(accept(a->listener, NULL, NULL));
	answer(a, accept(a->listener, NULL, NULL));
	close(a->listener);
	unlink(path);
	return NULL;
}

static void start(struct agent *a)
{
	if (!a->delay_ms) {
		mkdir(folder, 0755);
		a->listener = listen_at();
	}
	pthread_create(&a->thread, NULL, agent_main, a);
}

static void stop(struct agent *a)
{
	pthread_join(a->thread, NULL);
}

static void good_answers(void **state)
{
	AUTO_JSON *body = json_new_object(), *out = NULL;
	struct agent a = { .status = 200, .body = "{\"k\":[1]}" };
	struct agent empty = { .status = 200, .body = "" };
	AUTO_STR text = STR_INIT;
	struct err e;

	(void)state;
	json_set_str(body, "podName", "web-0");
	start(&a);
	if (agent_request(path, "POST", "/v1/ipam/ip", body, false, &out, mono_in(10000), &e) < 0)
		fail_msg("%s", e.msg);
	stop(&a);
	assert_string_equal(a.seen, "POST /v1/ipam/ip {\"podName\":\"web-0\"}");
	json_print(out, &text);
	assert_string_equal(text.data, "{\"k\":[1]}");
	start(&empty);
	json_free(out);
	out = body;
	assert_int_equal(
		agent_request(path, "GET", "/x?a=b", NULL, false, &out, mono_in(10000), &e), 0);
	stop(&empty);
	assert_null(out);
	assert_string_equal(empty.seen, "GET /x?a=b ");
	/* nobody wants the answer, so it need not be JSON */
	a.body = "fine";
	start(&a);
	assert_int_equal(agent_request(path, "DELETE", "/x", NULL, false, NULL, mono_in(10000), &e),
	                 0);
	stop(&a);
}

/* Requests have one connection, and a new one when that is closed; another socket has its own. */
static void connections_are_kept(void **state)
{
	struct agent a = { .kept = 2, .status = 200, .body = "\"new\"" };
	AUTO_FREE char *other = xasprintf("%s.other", path);
	struct err e;

	(void)state;
	start(&a);
	for (int i = 0; i < 3; i++) {
		AUTO_JSON *out = NULL;

		if (i == 2)
			assert_int_equal(agent_request(other, "GET", "/x", NULL, false, NULL,
			                               mono_in(10000), &e),
			                 -1);
		if (agent_request(path, "GET", "/x", NULL, false, &out, mono_in(10000), &e) < 0)
			fail_msg("%d: %s", i, e.msg);
		assert_string_equal(json_text(out), i < 2 ? "kept" : "new");
	}
	stop(&a);
}

static void failures(void **state)
{
	static const struct {
		int status; /* negative: with a Retry-After */
		const char *body;
		enum err_kind kind;
		const char *msg;
	} bad[] = {
		{ 500, "\"pool p: all IP addresses used out (5 of 5)\"", ERR_EXHAUSTED,
		  "agent: pool p: all IP addresses used out (5 of 5)" },
		{ 500, "\"no IPPool available: x\\ny\"", ERR_NO_POOL,
		  "agent: no IPPool available: x y" },
		{ 500, "\"anything\"", ERR_PROTO, "agent: anything" },
		{ 500, "plain words", ERR_PROTO, "agent: plain words" },
		{ 404, "\"unknown pod\"", ERR_NOT_FOUND, "agent: unknown pod" },
		{ -500, "\"starting\"", ERR_THROTTLED, "agent: starting" },
		/* of earlier agents */
		{ 503, "\"starting\"", ERR_THROTTLED, "agent: starting" },
		{ 422, "{\"code\":602,\"message\":\"body.ifName is required\"}", ERR_PROTO,
		  "agent: body.ifName is required" },
		{ 500, "", ERR_PROTO, NULL },
		{ 200, "{\"cut\":", ERR_PROTO, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct agent a = { .status = abs(bad[i].status),
			           .body = bad[i].body,
			           .retry_s = bad[i].status < 0 };
		json *out = NULL;
		struct err e = { .kind = ERR_NONE };

		start(&a);
		assert_int_equal(
			agent_request(path, "GET", "/x", NULL, true, &out, mono_in(10000), &e), -1);
		stop(&a);
		assert_null(out);
		if (e.kind != bad[i].kind)
			fail_msg("%zu: %s", i, e.msg);
		if (bad[i].msg)
			assert_string_equal(e.msg, bad[i].msg);
	}
}

static void nobody_there(void **state)
{
	struct mono begin = mono_now();
	struct err e;
	json *out = NULL;

	(void)state;
	assert_int_equal(agent_request(path, "GET", "/x", NULL, false, &out, mono_in(10000), &e),
	                 -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg, "No such file or directory"));
	assert_true(mono_now().ms - begin.ms < 5000);
	assert_int_equal(agent_request(path, "GET", "/x", NULL, false, &out, mono_in(10000), NULL),
	                 -1);
	/* waited for in vain, to the deadline and not beyond */
	begin = mono_now();
	assert_int_equal(agent_request(path, "GET", "/x", NULL, true, &out, mono_in(400), &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_true(mono_now().ms - begin.ms >= 400);
	assert_true(mono_now().ms - begin.ms < 5000);
}

/* The folder is not there either, then both appear. */
static void comes_late(void **state)
{
	struct agent a = { .delay_ms = 300, .status = 200, .body = "{}" };
	AUTO_JSON *out = NULL;
	struct err e;

	(void)state;
	unlink(path);
	rmdir(folder);
	start(&a);
	if (agent_request(path, "GET", "/x", NULL, true, &out, mono_in(20000), &e) < 0)
		fail_msg("%s", e.msg);
	stop(&a);
	assert_non_null(out);
}

/* What a killed agent leaves: a socket that refuses. */
static void stale_socket(void **state)
{
	struct agent a = { .delay_ms = 300, .status = 200, .body = "{}" };
	AUTO_JSON *out = NULL;
	struct err e;

	(void)state;
	mkdir(folder, 0755);
	close(listen_at());
	assert_int_equal(agent_request(path, "GET", "/x", NULL, false, NULL, mono_in(10000), &e),
	                 -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg, "Connection refused"));
	start(&a);
	if (agent_request(path, "GET", "/x", NULL, true, &out, mono_in(20000), &e) < 0)
		fail_msg("%s", e.msg);
	stop(&a);
}

/* An agent that is restarted under a request is asked again; without wait that is an error. */
static void hangs_up(void **state)
{
	struct agent a = { .hang_up = 2, .status = 200, .body = "{}" };
	struct agent b = { .hang_up = 1, .status = 200, .body = "{}" };
	AUTO_JSON *out = NULL;
	struct err e;

	(void)state;
	start(&a);
	if (agent_request(path, "POST", "/x", NULL, true, &out, mono_in(20000), &e) < 0)
		fail_msg("%s", e.msg);
	stop(&a);
	start(&b);
	assert_int_equal(agent_request(path, "POST", "/x", NULL, false, NULL, mono_in(20000), &e),
	                 -1);
	assert_int_equal(agent_request(path, "POST", "/x", NULL, false, NULL, mono_in(20000), &e),
	                 0);
	stop(&b);
}

static void no_answer(void **state)
{
	struct agent a = { .status = 0 };
	struct mono begin = mono_now();
	struct err e;

	(void)state;
	start(&a);
	assert_int_equal(agent_request(path, "GET", "/x", NULL, true, NULL, mono_in(300), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(mono_now().ms - begin.ms < 5000);
	stop(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_answers), cmocka_unit_test(connections_are_kept),
		cmocka_unit_test(failures),     cmocka_unit_test(nobody_there),
		cmocka_unit_test(comes_late),   cmocka_unit_test(stale_socket),
		cmocka_unit_test(hangs_up),     cmocka_unit_test(no_answer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
