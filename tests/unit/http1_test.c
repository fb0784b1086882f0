/* SPDX-License-Identifier: Apache-2.0 */
/* links: http/http1.c http/stream.c http/url.c base/str.c base/err.c base/mem.c base/mono.c */
/*
 * http1_test.c - both sides over memory: one byte at a time, every prefix, and hostile framing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "http/http1.h"
#include "http/url.h"

static const struct http_request get = { .method = "GET", .target = "/x", .host = "h" };

/* What a client makes of these bytes: the body, or NULL and e. */
static char *response(const char *bytes, size_t len, size_t piece, struct http_response *r,
                      struct err *e)
{
	struct http *h = http_new(stream_memory(bytes, len, piece));
	AUTO_STR body = STR_INIT;
	int rc = http_send(h, &get, r, NULL, MONO_NEVER, e);

	if (rc == 0)
		rc = http_read_body(h, &body, MONO_NEVER, e);
	http_free(h);
	return rc == 0 ? str_take(&body) : NULL;
}

static const char *const good[][2] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: "
	  "v\r\n\r\n",
	  "hello" },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "" },
	{ "HTTP/1.1 200 \r\ncontent-length:   1  \r\nX: y\r\n\r\nz", "z" },
	{ "HTTP/1.1 404 Not Found\nContent-Length: 2\n\nno", "no" },
};

static void good_responses(void **state)
{
	struct http_response r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t len = strlen(good[i][0]);

		for (size_t piece = 1; piece <= len; piece = piece < 3 ? piece + 1 : piece * 7) {
			AUTO_FREE char *body = response(good[i][0], len, piece, &r, &e);

			if (!body)
				fail_msg("%zu: %s", i, e.msg);
			assert_string_equal(body, good[i][1]);
			assert_true(r.keep_alive);
		}
	}
}

static void every_prefix_fails(void **state)
{
	struct http_response r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		for (size_t n = 0; n < strlen(good[i][0]); n++) {
			AUTO_FREE char *copy = xmalloc(n);

			memcpy(copy, good[i][0], n);
			assert_null(response(copy, n, 3, &r, &e));
			assert_int_equal(e.kind, ERR_PROTO);
		}
	}
}

static void hostile_responses(void **state)
{
	static const char *const cases[][2] = {
		{ "SSH-2.0-x\r\n\r\n", "not an HTTP/1 response" },
		{ "HTTP/2 200 OK\r\n\r\n", "not an HTTP/1 response" },
		{ "HTTP/1.1 20 OK\r\n\r\n", "not an HTTP/1 response" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		  "bad Content-Length" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad Content-Length" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "both" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "not supported" },
		{ "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "Content-Encoding" },
		{ "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "folded" },
		{ "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "bad header line" },
		{ "HTTP/1.1 200 OK\r\n: c\r\n\r\n", "bad header line" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "bad chunk size" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		  "bad chunk size" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
		  "longer than its size" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nab", "cut short" },
	};
	struct http_response r;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(response(cases[i][0], strlen(cases[i][0]), 1000, &r, &e));
		if (!strstr(e.msg, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], e.msg);
	}
}

static void limits(void **state)
{
	AUTO_STR big = STR_INIT;
	struct http_response r;
	struct err e;

	(void)state;
	str_add(&big, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 2000; i++)
		str_addf(&big, "X-%d: 01234567890123456789\r\n", i);
	assert_null(response(big.data, big.len, 100000, &r, &e));
	assert_non_null(strstr(e.msg, "longer than"));
}

static void close_and_retry_after(void **state)
{
	const char *text =
		"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: "
		"0\r\n\r\n";
	struct http_response r;
	struct err e;
	AUTO_FREE char *body = response(text, strlen(text), 10, &r, &e);

	(void)state;
	assert_non_null(body);
	assert_int_equal(r.status, 429);
	assert_int_equal(r.retry_after_s, 7);
	assert_false(r.keep_alive);
	assert_int_equal(http_status_kind(429), ERR_THROTTLED);
	assert_int_equal(http_status_kind(409), ERR_CONFLICT);
	assert_int_equal(http_status_kind(200), ERR_NONE);
}

static void lines_of_a_watch(void **state)
{
	const char *text =
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\n{\"a\":\r\n6\r\n1}\n{\"b\r\n5\r\n\":2}\n\r\n0\r\n\r\n";
	struct http *h = http_new(stream_memory(text, strlen(text), 1));
	struct http_response r;
	const char *line;
	struct err e;
	size_t len;

	(void)state;
	assert_int_equal(http_send(h, &get, &r, NULL, MONO_NEVER, &e), 0);
	assert_int_equal(http_read_line(h, &line, &len, MONO_NEVER, &e), 0);
	assert_string_equal(line, "{\"a\":1}");
	assert_int_equal(http_read_line(h, &line, &len, MONO_NEVER, &e), 0);
	assert_string_equal(line, "{\"b\":2}");
	assert_int_equal(http_read_line(h, &line, &len, MONO_NEVER, &e), 0);
	assert_null(line);
	http_free(h);
}

static void requests_are_clean(void **state)
{
	struct http_request r = get;
	struct http_response resp;
	struct http *h = http_new(stream_memory("", 0, 1));
	struct err e;

	(void)state;
	r.token = "secret\r\nX: y";
	assert_int_equal(http_send(h, &r, &resp, NULL, MONO_NEVER, &e), -1);
	assert_null(strstr(e.msg, "secret"));
	r = get;
	r.target = "/a b";
	assert_int_equal(http_send(h, &r, &resp, NULL, MONO_NEVER, &e), -1);
	http_free(h);
}

static void serves_two_requests(void **state)
{
	const char *text =
		"POST /v1/a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
		"GET /v1/c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct http *h = http_new(stream_memory(text, strlen(text), 1));
	struct http_incoming in;
	struct err e;
	size_t len;

	(void)state;
	assert_int_equal(http_receive(h, 100, &in, MONO_NEVER, &e), 0);
	assert_string_equal(in.method, "POST");
	assert_string_equal(in.target, "/v1/a?b");
	assert_string_equal(in.body, "hi");
	assert_true(in.keep_alive);
	assert_int_equal(
		http_respond(h, 200, "application/json", "{}", 2, 0, false, MONO_NEVER, &e), 0);
	assert_int_equal(http_receive(h, 100, &in, MONO_NEVER, &e), 0);
	assert_string_equal(in.method, "GET");
	assert_false(in.keep_alive);
	assert_int_equal(http_receive(h, 100, &in, MONO_NEVER, &e), 0);
	assert_null(in.method);
	assert_string_equal(
		stream_memory_written(http_stream(h), &len),
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}");
	http_free(h);
}

static void server_limits(void **state)
{
	const char *text = "POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n";
	struct http *h = http_new(stream_memory(text, strlen(text), 100));
	struct http_incoming in;
	struct err e;

	(void)state;
	assert_int_equal(http_receive(h, 100, &in, MONO_NEVER, &e), -1);
	assert_string_equal(e.msg, "a body longer than 100 bytes");
	http_free(h);
}

/* A few empty lines may stand before a request, and not as many as somebody likes to send. */
static void empty_lines(void **state)
{
	AUTO_STR text = STR_INIT;
	struct http_incoming in;
	struct http *h;
	struct err e;

	(void)state;
	for (int i = 0; i < 16; i++)
		str_add(&text, "\r\n");
	str_add(&text, "GET /v1/c HTTP/1.1\r\n\r\n");
	h = http_new(stream_memory(text.data, text.len, 1));
	assert_int_equal(http_receive(h, 100, &in, MONO_NEVER, &e), 0);
	assert_string_equal(in.target, "/v1/c");
	http_free(h);
	str_reset(&text, 0);
	for (int i = 0; i < 17; i++)
		str_add(&text, i % 2 ? "\n" : "\r\n");
	str_add(&text, "GET /v1/c HTTP/1.1\r\n\r\n");
	h = http_new(stream_memory(text.data, text.len, 100));
	assert_int_equal(http_receive(h, 100, &in, MONO_NEVER, &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "too many empty lines");
	http_free(h);
}

static void deadlines_hold(void **state)
{
	struct http *h;
	struct http_response r;
	struct err e;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	h = http_new(stream_from_fd(pair[0]));
	assert_int_equal(http_send(h, &get, &r, NULL, mono_in(30), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	http_free(h);
	http_free(http_new(stream_from_fd(pair[1])));
	assert_int_equal(stream_connect_unix("/nonexistent/socket", mono_in(50),
	                                     &(struct stream *){ NULL }, &e),
	                 -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
}

static void closed_before_the_answer_is_retryable(void **state)
{
	struct http *h = http_new(stream_memory("", 0, 1));
	struct http_response r;
	bool retryable = false;
	struct err e;

	(void)state;
	assert_int_equal(http_send(h, &get, &r, &retryable, MONO_NEVER, &e), -1);
	assert_true(retryable);
	http_free(h);
	h = http_new(stream_memory("HTTP/1.1 2", 10, 1));
	assert_int_equal(http_send(h, &get, &r, &retryable, MONO_NEVER, &e), -1);
	assert_false(retryable);
	http_free(h);
}

static void urls(void **state)
{
	static const char *const bad[] = { "ftp://x",      "https://",     "https://u@h",
		                           "https://h?q",  "https://h:0",  "https://h:65536",
		                           "https://[::1", "https://h:8x", "h" };
	AUTO_STR s = STR_INIT;
	struct url u;
	struct err e;

	(void)state;
	assert_int_equal(url_parse("https://10.96.0.1", &u, &e), 0);
	assert_true(u.tls && u.port == 443 && !u.path[0]);
	assert_int_equal(url_parse("http://[fd00::1]:6443/k8s/x/", &u, &e), 0);
	assert_string_equal(u.host, "fd00::1");
	assert_string_equal(u.path, "/k8s/x");
	url_host_header(&u, &s);
	assert_string_equal(s.data, "[fd00::1]:6443");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(url_parse(bad[i], &u, &e), -1);
	str_reset(&s, 0);
	url_encode(&s, "a/b c%\xc3\xa9~");
	assert_string_equal(s.data, "a%2Fb%20c%25%C3%A9~");
	str_reset(&s, 0);
	assert_int_equal(url_decode("a%2Fb", 5, &s, &e), 0);
	assert_string_equal(s.data, "a/b");
	assert_int_equal(url_decode("%00", 3, &s, &e), -1);
	assert_int_equal(url_decode("%2", 2, &s, &e), -1);
	assert_string_equal(s.data, "a/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_responses),
		cmocka_unit_test(every_prefix_fails),
		cmocka_unit_test(hostile_responses),
		cmocka_unit_test(limits),
		cmocka_unit_test(close_and_retry_after),
		cmocka_unit_test(lines_of_a_watch),
		cmocka_unit_test(requests_are_clean),
		cmocka_unit_test(serves_two_requests),
		cmocka_unit_test(server_limits),
		cmocka_unit_test(empty_lines),
		cmocka_unit_test(deadlines_hold),
		cmocka_unit_test(closed_before_the_answer_is_retryable),
		cmocka_unit_test(urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
