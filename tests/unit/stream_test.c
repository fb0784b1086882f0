/* SPDX-License-Identifier: Apache-2.0 */
/* links: http/stream.c base/str.c base/err.c base/mem.c base/mono.c */
/* tsan */
/*
 * stream_test.c - real sockets: data both ways, nobody there, nobody answering, and interruption by
 * another thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "http/stream.h"

/* Long enough for a loaded machine, short enough to end a test that hangs. */
#define LIMIT mono_in(30000)

static char dir[] = "/tmp/stream_test.XXXXXX";
static char path[sizeof(dir) + 10];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	return fmt(path, sizeof(path), "%s/s", dir);
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static int listen_unix(int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unlink(path);
	assert_int_equal(fmt(addr.sun_path, sizeof(addr.sun_path), "%s", path), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int listen_tcp(unsigned int *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

/* Both directions, then the peer's proper end. */
static void check_talk(struct stream *s, int listener)
{
	AUTO_FD int peer = accept(listener, NULL, NULL);
	char buf[16];
	size_t got = 77;
	struct err e;

	assert_true(stream_fd(s) >= 0);
	assert_int_equal(stream_write(s, "hello", 5, LIMIT, &e), 0);
	assert_int_equal(stream_flush(s, LIMIT, &e), 0);
	assert_int_equal(recv(peer, buf, sizeof(buf), MSG_WAITALL | MSG_DONTWAIT), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(send(peer, "answer", 6, 0), 6);
	assert_int_equal(stream_read(s, buf, 4, &got, LIMIT, &e), 0);
	assert_int_equal(got, 4);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &got, LIMIT, &e), 0);
	assert_int_equal(got, 2);
	assert_memory_equal(buf, "er", 2);
	close(take_fd(&peer));
	assert_int_equal(stream_read(s, buf, sizeof(buf), &got, LIMIT, &e), 0);
	assert_int_equal(got, 0);
}

static void unix_sockets(void **state)
{
	AUTO_FD int listener = listen_unix(5);
	AUTO_STREAM *s = NULL;
	struct err e;

	(void)state;
	if (stream_connect_unix(path, LIMIT, &s, &e) < 0)
		fail_msg("%s", e.msg);
	check_talk(s, listener);
}

static void tcp_sockets(void **state)
{
	unsigned int port;
	AUTO_FD int listener = listen_tcp(&port);
	int on = 0;
	socklen_t len = sizeof(on);
	AUTO_STREAM *s = NULL;
	struct err e;

	(void)state;
	if (stream_connect_tcp("127.0.0.1", port, LIMIT, &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(getsockopt(stream_fd(s), IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_equal(on, 1);
	assert_int_equal(getsockopt(stream_fd(s), SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
	assert_int_equal(on, 1);
	check_talk(s, listener);
}

static void nobody_listens(void **state)
{
	struct stream *s = NULL;
	AUTO_FREE char *wanted = xasprintf("connect to %s: Connection refused", path);
	char text[100];
	unsigned int port;
	struct err e;

	(void)state;
	(void)unlink(path);
	assert_int_equal(stream_connect_unix(path, LIMIT, &s, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_int_equal(e.sys, ENOENT);
	close(listen_unix(1));
	assert_int_equal(stream_connect_unix(path, LIMIT, &s, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_string_equal(e.msg, wanted);
	close(listen_tcp(&port));
	assert_int_equal(stream_connect_tcp("127.0.0.1", port, LIMIT, &s, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_int_equal(e.sys, ECONNREFUSED);
	snprintf(text, sizeof(text), "connect to 127.0.0.1:%u: Connection refused", port);
	assert_string_equal(e.msg, text);
	assert_int_equal(stream_connect_tcp("127.0.0.1", port, LIMIT, &s, NULL), -1);
	/* a label longer than DNS has: nobody is asked */
	memset(text, 'x', 70);
	text[70] = '\0';
	assert_int_equal(stream_connect_tcp(text, 1, LIMIT, &s, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_true(str_starts(e.msg, "resolve xxxx"));
	assert_null(s);
}

static void long_paths(void **state)
{
	char name[200];
	struct stream *s = NULL;
	struct err e;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(stream_connect_unix(name, LIMIT, &s, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_true(str_ends(e.msg, " is longer than 107 bytes"));
	assert_null(s);
}

static void nobody_answers(void **state)
{
	AUTO_FD int listener = listen_unix(5);
	AUTO_STREAM *s = NULL;
	struct mono until = mono_in(40), limit = LIMIT;
	char buf[65536] = "";
	size_t got = 77;
	struct err e;
	int rc;

	(void)state;
	assert_true(listener >= 0);
	assert_int_equal(stream_connect_unix(path, LIMIT, &s, &e), 0);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &got, until, &e), -1);
	assert_true(mono_passed(until));
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(e.msg, "no answer in time");
	assert_int_equal(got, 77);
	/* and nobody reads: what the kernel buffers fills up */
	until = mono_in(40);
	do
		rc = stream_write(s, buf, sizeof(buf), until, &e);
	while (rc == 0 && !mono_passed(limit));
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(mono_passed(until));
}

/* Nobody accepts, and the backlog is full. */
static void full_backlog(void **state)
{
	AUTO_FD int listener = listen_unix(0);
	struct stream *held[64] = { NULL };
	size_t n = 0;
	struct err e;

	(void)state;
	assert_true(listener >= 0);
	while (n < ARRAY_LEN(held) && stream_connect_unix(path, mono_in(40), &held[n], &e) == 0)
		n++;
	assert_in_range(n, 1, ARRAY_LEN(held) - 1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(str_ends(e.msg, "/s: no answer in time"));
	while (n)
		stream_close(held[--n]);
}

static void the_peer_is_gone(void **state)
{
	AUTO_FD int listener = listen_unix(5);
	AUTO_STREAM *s = NULL;
	struct err e;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(stream_connect_unix(path, LIMIT, &s, &e), 0);
	close(accept(listener, NULL, NULL));
	/* an error, no signal */
	assert_int_equal(stream_write(s, "x", 1, LIMIT, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EPIPE);
	assert_string_equal(e.msg, "send: Broken pipe");
}

struct reader {
	struct stream *s;
	int rc;
	size_t got;
	struct err e;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	char buf[16];

	do
		r->rc = stream_read(r->s, buf, sizeof(buf), &r->got, LIMIT, &r->e);
	while (r->rc == 0 && r->got);
	return NULL;
}

static void interrupted(void **state)
{
	AUTO_FD int listener = listen_unix(5);
	AUTO_FD int peer = -1;
	AUTO_STREAM *s = NULL;
	struct mono limit = mono_in(20000);
	struct reader r = { .got = 77 };
	struct err e;
	pthread_t t;
	size_t got;
	char c;

	(void)state;
	assert_int_equal(stream_connect_unix(path, LIMIT, &s, &e), 0);
	peer = accept(listener, NULL, NULL);
	r.s = s;
	assert_int_equal(pthread_create(&t, NULL, read_on, &r), 0);
	assert_int_equal(send(peer, "x", 1, 0), 1);
	stream_interrupt(s);
	pthread_join(t, NULL);
	assert_false(mono_passed(limit));
	/* an error: an end would mean that the peer was done */
	assert_int_equal(r.rc, -1);
	assert_int_equal(r.e.kind, ERR_SYS);
	assert_string_equal(r.e.msg, "receive: Operation canceled");
	/* and for good */
	assert_int_equal(stream_read(s, &c, 1, &got, LIMIT, &e), -1);
	assert_int_equal(e.sys, ECANCELED);
	assert_int_equal(stream_write(s, "x", 1, LIMIT, &e), -1);
	assert_int_equal(e.sys, EPIPE);
}

static void from_a_descriptor(void **state)
{
	int ends[2];
	AUTO_STREAM *a = NULL;
	AUTO_STREAM *b = NULL;
	char buf[8];
	size_t got;
	struct err e;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	a = stream_from_fd(ends[0]);
	b = stream_from_fd(ends[1]);
	assert_int_equal(stream_fd(a), ends[0]);
	assert_int_equal(stream_write(a, "ping", 4, LIMIT, &e), 0);
	assert_int_equal(stream_read(b, buf, sizeof(buf), &got, LIMIT, &e), 0);
	assert_int_equal(got, 4);
	assert_int_equal(stream_read(b, buf, sizeof(buf), &got, mono_now(), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
}

static void memory(void **state)
{
	AUTO_STREAM *s = stream_memory("abcde", 5, 2);
	const char *written;
	char buf[8];
	size_t got, len, total = 0;

	(void)state;
	assert_int_equal(stream_fd(s), -1);
	assert_int_equal(stream_read(s, buf, sizeof(buf), &got, MONO_NEVER, NULL), 0);
	assert_int_equal(got, 2);
	total = got;
	assert_int_equal(stream_read(s, buf, 1, &got, MONO_NEVER, NULL), 0);
	assert_int_equal(got, 1);
	total += got;
	do {
		assert_int_equal(stream_read(s, buf, sizeof(buf), &got, MONO_NEVER, NULL), 0);
		total += got;
	} while (got);
	assert_int_equal(total, 5);
	assert_int_equal(stream_write(s, "x", 1, MONO_NEVER, NULL), 0);
	assert_int_equal(stream_write(s, "yz", 2, MONO_NEVER, NULL), 0);
	written = stream_memory_written(s, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(written, "xyz", 3);
	stream_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unix_sockets),   cmocka_unit_test(tcp_sockets),
		cmocka_unit_test(nobody_listens), cmocka_unit_test(long_paths),
		cmocka_unit_test(nobody_answers), cmocka_unit_test(full_backlog),
		cmocka_unit_test(interrupted),    cmocka_unit_test(the_peer_is_gone),
		cmocka_unit_test(memory),         cmocka_unit_test(from_a_descriptor),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
