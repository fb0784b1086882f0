/* SPDX-License-Identifier: Apache-2.0 */
/* links: http/http1.c http/stream.c http/url.c base/str.c base/err.c base/mem.c base/mono.c */
/*
 * http1_fuzz.c - both sides of HTTP/1.1, and URLs.  What is read does not depend on the pieces in
 * which the bytes come; what one side writes the other one reads.
 *
 * Bytes of an input: what to do, the size of the pieces, and what the peer sends.
 */
#include "http/http1.h"
#include "http/url.h"
#include "tests/fuzz/fuzz.h"

#define BODY_MAX 4096

/* What was read, as text: for comparison. */
static void note(struct str *log, const char *what, const char *data, size_t len)
{
	str_addf(log, "\n%s %zu ", what, len);
	str_addn(log, data, len);
}

static void note_error(struct str *log, const struct err *e)
{
	must_tell(e);
	must(e->kind == ERR_PROTO);
	note(log, "failed", e->msg, strlen(e->msg));
}

static void serve(struct http *h, struct str *log)
{
	for (;;) {
		struct err e = { .kind = ERR_NONE };
		struct http_incoming in;

		if (http_receive(h, BODY_MAX, &in, MONO_NEVER, &e) < 0) {
			note_error(log, &e);
			return;
		}
		if (!in.method)
			return;
		must(*in.method && !strpbrk(in.method, " \r\n"));
		must(in.target[0] == '/' && !strpbrk(in.target, " \r\n"));
		must(in.body_len <= BODY_MAX && !in.body[in.body_len]);
		note(log, in.method, in.target, strlen(in.target));
		note(log, in.keep_alive ? "body" : "last body", in.body, in.body_len);
		if (!in.keep_alive)
			return;
	}
}

static int read_lines(struct http *h, struct str *log, struct err *e)
{
	for (;;) {
		const char *line = NULL;
		size_t len = 0;

		if (http_read_line(h, &line, &len, MONO_NEVER, e) < 0)
			return -1;
		if (!line)
			return 0;
		must(!memchr(line, '\n', len) && !line[len]);
		note(log, "line", line, len);
	}
}

static int read_body(struct http *h, struct str *log, struct err *e)
{
	AUTO_STR body = STR_INIT;

	if (http_read_body(h, &body, MONO_NEVER, e) < 0)
		return -1;
	note(log, "body", body.data, body.len);
	return 0;
}

static void ask(struct http *h, bool lines, struct str *log)
{
	const struct http_request r = { .method = "GET", .target = "/a?b", .host = "h:1" };

	for (int i = 0; i < 64; i++) {
		struct http_response resp = { .status = 0 };
		struct err e = { .kind = ERR_NONE };
		bool retryable = true;

		if (http_send(h, &r, &resp, &retryable, MONO_NEVER, &e) < 0) {
			note_error(log, &e);
			return;
		}
		must(resp.status >= 200 && resp.status <= 599 && resp.retry_after_s >= -1);
		must(memchr(resp.content_type, '\0', sizeof(resp.content_type)));
		str_addf(log, "\n%d %d ", resp.status, resp.retry_after_s);
		if ((lines ? read_lines(h, log, &e) : read_body(h, log, &e)) < 0) {
			note_error(log, &e);
			return;
		}
		if (!resp.keep_alive)
			return;
	}
}

static void hear(const char *data, size_t len, size_t piece, int what, struct str *log)
{
	struct http *h = http_new(stream_memory(data, len, piece));

	if (what == 0)
		serve(h, log);
	else
		ask(h, what == 1, log);
	http_free(h);
}

/* In pieces and as a whole. */
static void check_pieces(const char *data, size_t len, size_t piece, int what)
{
	AUTO_STR whole = STR_INIT, pieces = STR_INIT;

	hear(data, len, FUZZ_MAX, what, &whole);
	hear(data, len, piece, what, &pieces);
	must(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
}

/* Our own server's answer, chunked in parts of `piece` bytes, as our client reads it. */
static void check_answer(const char *data, size_t len, size_t piece)
{
	struct http *server = http_new(stream_memory("", 0, 1));
	struct err e = { .kind = ERR_NONE };
	AUTO_STR log = STR_INIT, wanted = STR_INIT;
	const char *sent;
	size_t n;

	must(http_respond_begin(server, 200, "text/plain", MONO_NEVER, &e) == 0);
	for (size_t at = 0; at < len; at += piece)
		must(http_respond_part(server, data + at, len - at < piece ? len - at : piece,
		                       MONO_NEVER, &e) == 0);
	must(http_respond_end(server, MONO_NEVER, &e) == 0);
	must(http_respond(server, 404, "a/b", data, len, 7, true, MONO_NEVER, &e) == 0);
	sent = stream_memory_written(http_stream(server), &n);
	hear(sent, n, piece, 2, &log);
	str_add(&wanted, "\n200 -1 ");
	note(&wanted, "body", data, len);
	str_add(&wanted, "\n404 7 ");
	note(&wanted, "body", data, len);
	must(log.len == wanted.len && memcmp(log.data, wanted.data, log.len) == 0);
	http_free(server);
}

static void check_url(struct fuzz_input *in)
{
	AUTO_STR encoded = STR_INIT, decoded = STR_INIT, host = STR_INIT, again = STR_INIT;
	AUTO_FREE char *text = fuzz_line(in);
	struct err e = { .kind = ERR_NONE };
	struct url u = { .port = 0 }, same;

	url_encode(&encoded, text);
	must(!strpbrk(encoded.data, "/?#&= \r\n"));
	must(url_decode(encoded.data, encoded.len, &decoded, &e) == 0);
	must(streq(decoded.data, text));
	str_reset(&decoded, 0);
	if (url_decode(text, strlen(text), &decoded, &e) == 0)
		must(strlen(decoded.data) == decoded.len && decoded.len <= strlen(text));
	else
		must(e.kind == ERR_PROTO && !decoded.len);
	if (url_parse(text, &u, &e) < 0) {
		must(e.kind == ERR_CONFIG && !u.port);
		must_tell(&e);
		return;
	}
	must(*u.host && u.port >= 1 && u.port <= 65535);
	must(!*u.path || (u.path[0] == '/' && !str_ends(u.path, "/")));
	url_host_header(&u, &host);
	str_addf(&again, "http%s://%s%s", u.tls ? "s" : "", host.data, u.path);
	must(url_parse(again.data, &same, &e) == 0);
	must(same.tls == u.tls && same.port == u.port);
	must(streq(same.host, u.host) && streq(same.path, u.path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	uint8_t what = fuzz_byte(&in);
	size_t piece = (size_t)fuzz_byte(&in) + 1;
	AUTO_FREE char *sent = fuzz_rest(&in);

	switch (what % 5) {
	case 3:
		check_answer(sent, in.left, piece);
		return 0;
	case 4:
		check_url(&in);
		return 0;
	default:
		check_pieces(sent, in.left, piece, what % 5);
		return 0;
	}
}
