/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/server.c agent/thread.c http/http1.c http/stream.c net/ip.c base/ */
/* tsan */
/*
 * server_test.c - how long a client may keep a place of the agent's server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/server.h"

static void handle(void *ctx, struct server_connection *c, const struct http_incoming *in,
                   struct server_answer *a)
{
	(void)ctx;
	(void)c;
	str_addf(&a->body, "\"%s\"", in->target);
}

static const struct server_ops ops = { .handle = handle };

static struct mono soon(void)
{
	return mono_in(20000);
}

static struct server *start(int first_ms, int idle_ms)
{
	struct server_config c = {
		.ops = &ops, .max_connections = 1, .first_ms = first_ms, .idle_ms = idle_ms
	};
	struct server *s;
	struct err e;

	if (server_start_tcp("127.0.0.1:0", &c, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
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
		cmocka_unit_test(too_large_a_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
