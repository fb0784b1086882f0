/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/thread.c http/http1.c http/stream.c net/ip.c base/ */
/* flags: -Wno-unused-function */
/*
 * server_fuzz.c - one connection of the agent's server, from its first byte to its end: what a
 * client sends is there before, and its answers are read by the handler as they come.
 *
 * The first byte of an input: 1 an idle_ms, 2 more than one request in a connection's life.
 */
#include "agent/server.c"

#include "tests/fuzz/fuzz.h"

struct client {
	int fd;
	int arriving;
	size_t handled, answers;
	char status[4]; /* of the last answer */
};

/* The answers that are there. */
static void read_answers(struct client *c)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf) - 1, MSG_DONTWAIT)) > 0) {
		buf[n] = '\0';
		for (const char *p = buf; (p = strstr(p, "HTTP/1.1 ")); p += 9) {
			if (!strchr("2345", p[9])) /* go on, or words in a body */
				continue;
			c->answers++;
			memcpy(c->status, p + 9, 3);
		}
	}
}

static void handle(void *ctx, struct server_connection *k, const struct http_incoming *in,
                   struct server_answer *a)
{
	struct client *c = ctx;

	(void)k;
	must(*in->method && in->target[0] == '/' && !in->body[in->body_len]);
	read_answers(c);
	must(c->answers == c->handled); /* in turn */
	c->handled++;
	if (in->body_len)
		str_add(&a->body, "{}");
}

static void arriving(void *ctx, int change)
{
	((struct client *)ctx)->arriving += change;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct server_ops ops = { handle, arriving };
	struct fuzz_input in = fuzz_begin(data, size);
	uint8_t how = fuzz_byte(&in);
	struct client c = { .fd = -1 };
	struct server s = { .config = { .ops = &ops, .ctx = &c, .max_body = 1024 } };
	struct connection k = { .server = &s };
	int pair[2];

	s.config.idle_ms = how & 1 ? 1000 : 0;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	c.fd = pair[1];
	/* what does not fit is not sent: nobody reads yet */
	must(!in.left || send(pair[1], in.at, in.left, MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
	must(shutdown(pair[1], SHUT_WR) == 0);
	k.http = http_new(stream_from_fd(pair[0]));
	k.c.fd = pair[0];
	k.c.arriving = true;
	c.arriving = 1;
	serve(&k);
	must(!c.arriving && !k.c.arriving);
	http_free(k.http);
	read_answers(&c);
	must(c.answers == c.handled || c.answers == c.handled + 1);
	if (c.answers > c.handled)
		must(streq(c.status, "400") || streq(c.status, "413"));
	must(s.config.idle_ms || c.handled <= 1);
	close(pair[1]);
	return 0;
}
