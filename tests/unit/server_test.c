/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/server.c agent/thread.c http/http1.c http/stream.c net/ip.c base/ */
/* tsan */
/*
 * server_test.c - how long a client may keep a place of the agent's server, and what a request's
 * handler is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/server.h"

static void handle(void *ctx, struct server_connection *c, const struct http_incoming *in,
                   struct server_answer *a)
{
	(void)ctx;
	(void)c;
	str_addf(&a->body, "\"%s\"", in->target);
}

static atomic_int on_their_way, came;

static void arriving(void *ctx, int change)
{
	(void)ctx;
	atomic_fetch_add(&on_their_way, change);
	atomic_fetch_add(&came, change > 0);
}

static const struct server_ops ops = { .handle = handle, .arriving = arriving };

static struct mono soon(void)
{
	return mono_in(20000);
}

static struct server *start_by(const struct server_config *c)
{
	struct server *s;
	struct err e;

	if (server_start_tcp("127.0.0.1:0", c, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static struct server *start(int first_ms, int idle_ms)
{
	return start_by(&(struct server_config){
		.ops = &ops, .max_connections = 1, .first_ms = first_ms, .idle_ms = idle_ms });
}

static struct stream *call(const struct server *s)
{
	struct stream *out;
	struct err e;

	if (stream_connect_tcp("127.0.0.1", server_port(s), soon(), &out, &e) < 0)
		fail_msg("%s", e.msg);
	return out;
}

/* The status; 0 when the server hung up. */
static int ask(struct http *h, struct http_response *resp)
{
	struct http_request q = { .method = "GET", .target = "/x", .host = "x" };
	AUTO_STR body = STR_INIT;
	struct err e;

	if (http_send(h, &q, resp, NULL, soon(), &e) < 0 ||
	    http_read_body(h, &body, soon(), &e) < 0)
		return 0;
	assert_string_equal(body.data, "\"/x\"");
	return resp->status;
}

/* Sends a byte again and again, and holds the one place of all. */
static void a_trickling_client_loses_its_place(void **state)
{
	struct server *s = start(200, 0);
	struct stream *slow = call(s);
	struct mono begin = mono_now();
	struct http_response resp;
	struct http *h;
	struct err e;

	(void)state;
	while (stream_write(slow, "G", 1, soon(), &e) == 0 && stream_flush(slow, soon(), &e) == 0 &&
	       mono_now().ms - begin.ms < 15000)
		mono_sleep_until(mono_in(20));
	assert_true(mono_now().ms - begin.ms < 2500);
	h = http_new(call(s));
	assert_int_equal(ask(h, &resp), 200);
	http_free(h);
	stream_close(slow);
	server_stop(s);
}

static void one_request_per_connection(void **state)
{
	struct server *s = start(0, 0);
	struct http *h = http_new(call(s));
	struct http_response resp;

	(void)state;
	assert_int_equal(ask(h, &resp), 200);
	assert_false(resp.keep_alive);
	http_free(h);
	server_stop(s);

	s = start(0, 20000);
	h = http_new(call(s));
	assert_int_equal(ask(h, &resp), 200);
	assert_true(resp.keep_alive);
	assert_int_equal(ask(h, &resp), 200);
	http_free(h);
	server_stop(s);
}

/* A plugin keeps its connection while it is at work; the one that it runs needs one as well. */
static void idle_connections_leave_their_places(void **state)
{
	struct server *s = start_by(&(struct server_config){
		.ops = &ops, .max_connections = 1, .max_idle = 2, .idle_ms = 20000 });
	struct http *h[4];
	struct http_response resp;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		h[i] = http_new(call(s));
		assert_int_equal(ask(h[i], &resp), 200);
		assert_true(resp.keep_alive);
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ask(h[i], &resp), 200);
	/* no more than that: the next one has its place when one of them ends */
	h[3] = http_new(call(s));
	http_free(h[1]);
	assert_int_equal(ask(h[3], &resp), 200);
	assert_int_equal(ask(h[0], &resp), 200);
	http_free(h[0]);
	http_free(h[2]);
	http_free(h[3]);
	server_stop(s);
}

/* Each request from when it is there, the first one from when its connection is. */
static void requests_arrive(void **state)
{
	struct server *s = start(0, 20000);
	int before = atomic_load(&came);
	struct http *h = http_new(call(s));
	struct http_response resp;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(ask(h, &resp), 200);
		assert_int_equal(atomic_load(&on_their_way), 0);
		assert_int_equal(atomic_load(&came), before + i);
	}
	http_free(h);
	stream_close(call(s));
	server_stop(s);
	assert_int_equal(atomic_load(&on_their_way), 0);
}

static void handle_event(void *ctx, struct server_connection *c, const struct http_incoming *in,
                         struct server_answer *a)
{
	int fd = server_event(c);
	uint64_t n = 7;

	(void)ctx;
	(void)in;
	assert_true(fd >= 0 && fd == server_event(c));
	assert_int_equal(write(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 7);
	str_addf(&a->body, "%d", fd);
}

/* One for all requests, which leave it as they found it. */
static void an_event_for_handlers(void **state)
{
	struct server_ops with_event = { .handle = handle_event };
	struct server *s = start_by(&(struct server_config){
		.ops = &with_event, .max_connections = 1, .idle_ms = 20000 });
	struct http_request q = { .method = "GET", .target = "/x", .host = "x" };
	struct http *h = http_new(call(s));
	AUTO_STR first = STR_INIT;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct http_response resp;
		AUTO_STR body = STR_INIT;
		struct err e;

		assert_int_equal(http_send(h, &q, &resp, NULL, soon(), &e), 0);
		assert_int_equal(http_read_body(h, &body, soon(), &e), 0);
		if (!i)
			str_add(&first, body.data);
		assert_string_equal(body.data, first.data);
	}
	http_free(h);
	server_stop(s);
}

/* Far more than fits the socket's buffers: the client writes on, and then reads why. */
static void too_large_a_body(void **state)
{
	const size_t len = (size_t)20 * 1024 * 1024;
	AUTO_FREE char *body = xcalloc(len, 1);
	struct http_request q = { "POST", "/x", "x", NULL, NULL, NULL, body, len };
	struct server *s = start(0, 0);
	struct http *h = http_new(call(s));
	AUTO_STR answer = STR_INIT;
	struct http_response resp;
	struct err e;

	(void)state;
	if (http_send(h, &q, &resp, NULL, soon(), &e) < 0 ||
	    http_read_body(h, &answer, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(resp.status, 413);
	assert_string_equal(answer.data, "\"the body is too large\"");
	http_free(h);
	server_stop(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trickling_client_loses_its_place),
		cmocka_unit_test(one_request_per_connection),
		cmocka_unit_test(idle_connections_leave_their_places),
		cmocka_unit_test(requests_arrive),
		cmocka_unit_test(an_event_for_handlers),
		cmocka_unit_test(too_large_a_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
