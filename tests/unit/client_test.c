/* SPDX-License-Identifier: Apache-2.0 */
/* links: k8s/client.c k8s/request.c k8s/watch.c */
/* links: http/http1.c http/stream.c http/url.c json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * client_test.c - the API client against a server that misbehaves on purpose, over plain HTTP.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "k8s/request.h"

/* The client names it; no test here speaks TLS. */
int tls_connect(const struct tls_config *config, struct stream *under, const char *name,
                struct mono deadline, struct stream **out, struct err *e)
{
	(void)config;
	(void)name;
	(void)deadline;
	(void)out;
	stream_close(under);
	return err_set(e, ERR_PROTO, "no TLS here");
}

#define LOG_MAX 512
#define CONNS_MAX 64

struct seen {
	char method[8], target[512], body[512], token[64], type[64];
	int conn;
};

struct peer {
	int conn;    /* number of the connection, from 0 */
	int request; /* number of the request, over all connections */
	struct http *http;
	const struct seen *seen;
};

/* False: the connection is to be closed. */
typedef bool (*handler)(struct peer *p);

static struct fake {
	int listener;
	pthread_t thread, workers[CONNS_MAX];
	int fds[CONNS_MAX];
	pthread_mutex_t lock;
	struct seen log[LOG_MAX];
	int n_log, n_conns;
	handler handle;
} fake;

static struct k8s_config config;
static struct k8s_client *client;

static struct mono soon(void)
{
	return mono_in(20000);
}

static void field(const char *head, const char *name, char *out, size_t size)
{
	const char *at = strcasestr(head, name);

	out[0] = '\0';
	if (at)
		snprintf(out, size, "%.*s", (int)strcspn(at + strlen(name), "\r"),
		         at + strlen(name));
}

static void *serve(void *arg)
{
	int number = (int)(intptr_t)arg, fd = fake.fds[number];
	struct http *h = http_new(stream_from_fd(fd));
	bool more = true;

	while (more) {
		char head[4096] = "";
		struct http_incoming in;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct peer peer = { .conn = number, .http = h };
		struct seen *seen;

		/* the head as it was sent: it comes in one piece */
		poll(&p, 1, 20000);
		if (recv(fd, head, sizeof(head) - 1, MSG_PEEK) <= 0 ||
		    http_receive(h, 1 << 20, &in, soon(), NULL) < 0 || !in.method)
			break;
		pthread_mutex_lock(&fake.lock);
		assert_true(fake.n_log < LOG_MAX);
		peer.request = fake.n_log;
		seen = &fake.log[fake.n_log++];
		seen->conn = number;
		snprintf(seen->method, sizeof(seen->method), "%s", in.method);
		snprintf(seen->target, sizeof(seen->target), "%s", in.target);
		snprintf(seen->body, sizeof(seen->body), "%s", in.body);
		field(head, "Authorization: Bearer ", seen->token, sizeof(seen->token));
		field(head, "Content-Type: ", seen->type, sizeof(seen->type));
		pthread_mutex_unlock(&fake.lock);
		peer.seen = seen;
		more = fake.handle(&peer);
	}
	shutdown(fd, SHUT_RDWR);
	/* closed by stop(), so that the number stays ours */
	return h;
}

static void *accept_all(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(fake.listener, NULL, NULL);

		if (fd < 0)
			return NULL;
		assert_true(fake.n_conns < CONNS_MAX);
		pthread_mutex_lock(&fake.lock);
		fake.fds[fake.n_conns] = fd;
		pthread_create(&fake.workers[fake.n_conns], NULL, serve,
		               (void *)(intptr_t)fake.n_conns);
		fake.n_conns++;
		pthread_mutex_unlock(&fake.lock);
	}
}

static int setup(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	(void)state;
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fake.listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fake.listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fake.listener, 50) < 0 ||
	    getsockname(fake.listener, (struct sockaddr *)&addr, &len) < 0)
		return -1;
	memset(&config, 0, sizeof(config));
	snprintf(config.server.host, sizeof(config.server.host), "127.0.0.1");
	config.server.port = ntohs(addr.sin_port);
	client = k8s_client_new(&config);
	return 0;
}

static void start(handler handle)
{
	fake.handle = handle;
	assert_int_equal(pthread_create(&fake.thread, NULL, accept_all, NULL), 0);
}

/* Ends the client first: then all workers see their connections end. */
static int teardown(void **state)
{
	(void)state;
	k8s_client_free(client);
	shutdown(fake.listener, SHUT_RDWR);
	if (fake.thread)
		pthread_join(fake.thread, NULL);
	for (int i = 0; i < fake.n_conns; i++) {
		void *h = NULL;

		shutdown(fake.fds[i], SHUT_RDWR);
		pthread_join(fake.workers[i], &h);
		http_free(h);
	}
	close(fake.listener);
	pthread_mutex_destroy(&fake.lock);
	return 0;
}

static int requests(void)
{
	int n;

	pthread_mutex_lock(&fake.lock);
	n = fake.n_log;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static int conns(void)
{
	int n;

	pthread_mutex_lock(&fake.lock);
	n = fake.n_conns;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* What the server saw as its request number i; a copy. */
static struct seen seen_at(int i)
{
	struct seen seen;

	assert_true(i < requests());
	pthread_mutex_lock(&fake.lock);
	seen = fake.log[i];
	pthread_mutex_unlock(&fake.lock);
	return seen;
}

static bool answer(struct peer *p, int status, const char *body)
{
	return http_respond(p->http, status, "application/json", body, strlen(body), 0, false,
	                    soon(), NULL) == 0;
}

static bool raw(struct peer *p, const char *text)
{
	return stream_write(http_stream(p->http), text, strlen(text), soon(), NULL) == 0;
}

static const struct k8s_resource pods = { "", "v1", "pods", true };
static const struct k8s_resource pools = { "x.io", "v2", "pools", false };

static int get(const char *name, struct err *e)
{
	AUTO_JSON *o = NULL;

	return k8s_get(client, &pools, NULL, name, &o, soon(), e);
}

/* Status objects and what becomes of them. */
#define STATUS(code, reason, message)                                                              \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message \
	"\",\"reason\":\"" reason "\",\"code\":" #code "}"

static const struct {
	int status;
	const char *body;
	enum err_kind kind;
	const char *msg; /* a part of it */
} statuses[] = {
	{ 404, STATUS(404, "NotFound", "pools.x.io \\\"a\\\" not found"), ERR_NOT_FOUND,
	  "pools.x.io \"a\" not found" },
	{ 409, STATUS(409, "Conflict", "has been modified"), ERR_CONFLICT, "has been modified" },
	{ 409, STATUS(409, "AlreadyExists", "already exists"), ERR_EXISTS, "already exists" },
	{ 403, STATUS(403, "Forbidden", "User \\\"u\\\" cannot get"), ERR_FORBIDDEN,
	  "User \"u\" cannot get" },
	{ 401, STATUS(401, "Unauthorized", "Unauthorized"), ERR_IDENTITY,
	  "does not accept our credentials: Unauthorized" },
	{ 410, STATUS(410, "Expired", "too old"), ERR_GONE, "too old" },
	{ 422, STATUS(422, "Invalid", "spec.subnet: Required value"), ERR_CONFIG,
	  "spec.subnet: Required value" },
	{ 500, STATUS(500, "InternalError", ""), ERR_UNREACHABLE, "InternalError" },
	{ 504, STATUS(504, "Timeout", "slow"), ERR_TIMEOUT, "slow" },
	{ 502, "<html>\nbad gateway", ERR_UNREACHABLE,
	  "HTTP status 502 for GET /apis/x.io/v2/pools/a: <html> bad gateway" },
	{ 503, "", ERR_UNREACHABLE, "HTTP status 503 for GET /apis/x.io/v2/pools/a" },
	{ 301, "", ERR_PROTO, "HTTP status 301" },
	{ 200, "{\"a\":", ERR_PROTO, "answer of the API server to GET /apis/x.io/v2/pools/a: " },
};

static bool give_status(struct peer *p)
{
	return answer(p, statuses[p->request].status, statuses[p->request].body);
}

static void status_objects(void **state)
{
	struct err e;

	(void)state;
	start(give_status);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		assert_int_equal(get("a", &e), -1);
		if (e.kind != statuses[i].kind || !strstr(e.msg, statuses[i].msg))
			fail_msg("%zu: kind %d, %s", i, (int)e.kind, e.msg);
	}
	assert_int_equal(conns(), 1);
	/* nobody has to want to know */
	pthread_mutex_lock(&fake.lock);
	fake.n_log = 0;
	pthread_mutex_unlock(&fake.lock);
	assert_int_equal(get("a", NULL), -1);
}

/* Verbs and paths. */
static bool give_object(struct peer *p)
{
	return answer(p, streq(p->seen->method, "POST") ? 201 : 200,
	              "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\"}}");
}

static json *parse(const char *text)
{
	json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s", e.msg);
	return j;
}

static void expect_seen(int i, const char *method, const char *target, const char *type,
                        const char *body)
{
	struct seen seen = seen_at(i);

	assert_string_equal(seen.method, method);
	assert_string_equal(seen.target, target);
	assert_string_equal(seen.type, type);
	assert_string_equal(seen.body, body);
}

static void verbs(void **state)
{
	AUTO_JSON *o = parse("{\"a\":1}");
	AUTO_JSON *out = NULL;
	AUTO_STR text = STR_INIT;
	struct err e;

	(void)state;
	snprintf(config.server.path, sizeof(config.server.path), "/prefix");
	start(give_object);
	assert_int_equal(k8s_get(client, &pods, "ns", "a?b c", &out, soon(), &e), 0);
	assert_string_equal(json_str_at(out, "kind", NULL), "X");
	expect_seen(0, "GET", "/prefix/api/v1/namespaces/ns/pods/a%3Fb%20c", "", "");
	assert_int_equal(k8s_create(client, &pools, NULL, o, NULL, soon(), &e), 0);
	expect_seen(1, "POST", "/prefix/apis/x.io/v2/pools", "application/json", "{\"a\":1}");
	assert_int_equal(k8s_patch(client, &pools, NULL, "a", "status", o, NULL, soon(), &e), 0);
	expect_seen(2, "PATCH", "/prefix/apis/x.io/v2/pools/a/status",
	            "application/merge-patch+json", "{\"a\":1}");
	assert_int_equal(k8s_patch(client, &pods, "n", "a", NULL, o, NULL, soon(), &e), 0);
	expect_seen(3, "PATCH", "/prefix/api/v1/namespaces/n/pods/a",
	            "application/merge-patch+json", "{\"a\":1}");
	assert_int_equal(k8s_delete(client, &pools, NULL, "a", NULL, NULL, soon(), &e), 0);
	expect_seen(4, "DELETE", "/prefix/apis/x.io/v2/pools/a", "", "");
	assert_int_equal(k8s_delete(client, &pools, NULL, "a", "u", "7", soon(), &e), 0);
	expect_seen(5, "DELETE", "/prefix/apis/x.io/v2/pools/a", "application/json",
	            "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"preconditions\":{"
	            "\"uid\":\"u\",\"resourceVersion\":\"7\"}}");
	assert_int_equal(k8s_get_raw(client, "/readyz?verbose", &text, soon(), &e), 0);
	expect_seen(6, "GET", "/prefix/readyz?verbose", "", "");
	assert_string_equal(text.data, "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\"}}");
	assert_int_equal(conns(), 1);
}

/* What would become the path of something else never leaves. */
static void names_are_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/status", "a%2Fstatus" };
	AUTO_JSON *o = parse("{}");
	struct err e;

	(void)state;
	start(give_object);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(get(bad[i], &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_int_equal(k8s_delete(client, &pods, bad[i], "a", NULL, NULL, soon(), &e),
		                 -1);
		assert_int_equal(e.kind, ERR_CONFIG);
	}
	assert_int_equal(k8s_create(client, &pods, NULL, o, NULL, soon(), &e), -1);
	assert_string_equal(e.msg, "pods: an object without a namespace");
	assert_int_equal(k8s_patch(client, &pods, NULL, "a", NULL, o, NULL, soon(), &e), -1);
	assert_string_equal(e.msg, "pods: \"\" is no namespace");
	assert_int_equal(requests(), 0);
}

/* Lists. */
static bool give_pages(struct peer *p)
{
	const char *t = p->seen->target;

	if (strstr(t, "continue=c1%2F"))
		return p->request == 1 ? answer(p, 410, STATUS(410, "Expired", "token too old"))
		                       : answer(p, 200,
		                                "{\"metadata\":{\"resourceVersion\":\"9\"},"
		                                "\"items\":[{\"n\":3}]}");
	return answer(p, 200,
	              "{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"c1/\"},"
	              "\"items\":[{\"n\":1},{\"n\":2}]}");
}

static void lists_in_pages(void **state)
{
	const struct k8s_selector sel = { "a in (b,c)", "spec.nodeName=n1" };
	AUTO_JSON *items = NULL;
	AUTO_FREE char *version = NULL;
	AUTO_STR text = STR_INIT;
	struct err e;

	(void)state;
	start(give_pages);
	/* the second page is gone at first: everything starts again, nothing is there twice */
	assert_int_equal(k8s_list(client, &pods, NULL, &sel, &items, &version, soon(), &e), 0);
	json_print(items, &text);
	assert_string_equal(text.data, "[{\"n\":1},{\"n\":2},{\"n\":3}]");
	assert_string_equal(version, "9");
	assert_int_equal(requests(), 4);
	expect_seen(0, "GET",
	            "/api/v1/pods?limit=500&labelSelector=a%20in%20%28b%2Cc%29&fieldSelector=spec."
	            "nodeName%3Dn1",
	            "", "");
	expect_seen(3, "GET",
	            "/api/v1/pods?limit=500&labelSelector=a%20in%20%28b%2Cc%29&fieldSelector=spec."
	            "nodeName%3Dn1&continue=c1%2F",
	            "", "");
}

static bool always_gone(struct peer *p)
{
	return strstr(p->seen->target, "continue=")
	               ? answer(p, 410, STATUS(410, "Expired", "token too old"))
	               : answer(p, 200,
	                        "{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"c\"},"
	                        "\"items\":null}");
}

static void list_gives_up(void **state)
{
	json *items = NULL;
	char *version = NULL;
	struct err e;

	(void)state;
	start(always_gone);
	assert_int_equal(k8s_list(client, &pods, "n", NULL, &items, &version, soon(), &e), -1);
	assert_int_equal(e.kind, ERR_GONE);
	assert_null(items);
	assert_null(version);
	assert_int_equal(requests(), 10);
}

/* Waits that the server asks for. */
static bool throttle(struct peer *p)
{
	switch (p->request) {
	case 0:
		return raw(p, "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
	case 1:
		return raw(p, "HTTP/1.1 503 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
	case 2:
	case 3:
		return raw(p, "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n");
	default:
		return answer(p, 200, "{}");
	}
}

static void throttled(void **state)
{
	int64_t began = mono_now().ms, took;
	struct err e;

	(void)state;
	start(throttle);
	assert_int_equal(get("a", &e), 0);
	took = mono_now().ms - began;
	assert_int_equal(requests(), 5);
	assert_int_equal(conns(), 1);
	assert_true(took >= 2000 + 75 + 150);
}

static bool throttle_long(struct peer *p)
{
	return raw(p, p->request ? "HTTP/1.1 503 Slow\r\nRetry-After: 30\r\nContent-Length: "
	                           "0\r\n\r\n"
	                         : "HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: "
	                           "0\r\n\r\n");
}

static void throttled_beyond_the_deadline(void **state)
{
	int64_t began = mono_now().ms;
	struct err e;

	(void)state;
	start(throttle_long);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get("a", &e), -1);
		assert_int_equal(e.kind, ERR_THROTTLED);
		assert_int_equal(e.retry_ms, 30000);
	}
	assert_true(mono_now().ms - began < 10000);
	assert_int_equal(requests(), 2);
}

/* Tokens. */
static char wanted_token[64]; /* under fake.lock */

static void want_token(const char *token)
{
	pthread_mutex_lock(&fake.lock);
	snprintf(wanted_token, sizeof(wanted_token), "%s", token);
	pthread_mutex_unlock(&fake.lock);
}

static bool check_token(struct peer *p)
{
	bool good;

	pthread_mutex_lock(&fake.lock);
	good = streq(p->seen->token, wanted_token);
	pthread_mutex_unlock(&fake.lock);
	return good ? answer(p, 200, "{}")
	            : answer(p, 401, STATUS(401, "Unauthorized", "Unauthorized"));
}

static void tokens_rotate(void **state)
{
	char path[] = "/tmp/client_test.XXXXXX";
	AUTO_FD int fd = mkstemp(path);
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	config.token_file = path;
	assert_int_equal(file_write(path, "A\n", 2, 0600, 0, &e), 0);
	want_token("A");
	start(check_token);
	assert_int_equal(get("a", &e), 0);
	/* the server forgets A before we know of B: one 401, one more try */
	want_token("B");
	assert_int_equal(file_write(path, "B\n", 2, 0600, 0, &e), 0);
	assert_int_equal(get("a", &e), 0);
	assert_int_equal(requests(), 3);
	assert_int_equal(conns(), 1);
	assert_string_equal(seen_at(1).token, "A");
	assert_string_equal(seen_at(2).token, "B");
	/* nothing new in the file: no second try */
	want_token("C");
	assert_int_equal(get("a", &e), -1);
	assert_int_equal(e.kind, ERR_IDENTITY);
	assert_non_null(strstr(e.msg, "does not accept our token: Unauthorized"));
	assert_int_equal(requests(), 4);
	/* what fails is named, what it holds is not */
	assert_int_equal(file_write(path, "S3CRET\nX: y", 11, 0600, 0, &e), 0);
	assert_int_equal(get("a", &e), -1);
	assert_null(strstr(e.msg, "S3CRET"));
	assert_int_equal(unlink(path), 0);
	k8s_client_free(client);
	client = k8s_client_new(&config);
	assert_int_equal(get("a", &e), -1);
	assert_non_null(strstr(e.msg, "token: "));
	assert_non_null(strstr(e.msg, path));
}

/* Connections. */
static bool answer_once(struct peer *p)
{
	(void)answer(p, 200, "{}");
	return false;
}

static void closed_between_requests(void **state)
{
	struct err e;

	(void)state;
	start(answer_once);
	for (int i = 0; i < 5; i++)
		if (get("a", &e) < 0)
			fail_msg("%s", e.msg);
	assert_int_equal(requests(), 5);
}

/* A kept-alive connection that dies on the request: what a restart looks like. */
static bool die_on_second(struct peer *p)
{
	return p->request == 1 ? false : answer(p, 200, "{}");
}

static void dies_when_reused(void **state)
{
	struct err e;

	(void)state;
	start(die_on_second);
	assert_int_equal(get("a", &e), 0);
	if (get("a", &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(requests(), 3);
	assert_int_equal(seen_at(1).conn, 0);
	assert_int_equal(seen_at(2).conn, 1);
}

static bool die(struct peer *p)
{
	(void)p;
	return false;
}

static void dies_when_fresh(void **state)
{
	struct err e;

	(void)state;
	start(die);
	assert_int_equal(get("a", &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg,
	                       ": GET /apis/x.io/v2/pools/a: the connection was closed "
	                       "before the response"));
	assert_int_equal(requests(), 1);
}

static void nobody_listens(void **state)
{
	struct err e;

	(void)state;
	close(fake.listener);
	fake.listener = -1;
	assert_int_equal(get("a", &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_true(str_starts(e.msg, "API server 127.0.0.1:"));
	assert_true(str_ends(e.msg, ": Connection refused"));
}

static bool say_nothing(struct peer *p)
{
	char c;

	(void)recv(stream_fd(http_stream(p->http)), &c, 1, 0);
	poll(&(struct pollfd){ stream_fd(http_stream(p->http)), POLLIN, 0 }, 1, 20000);
	return false;
}

static void deadlines_hold(void **state)
{
	int64_t began = mono_now().ms;
	json *o = NULL;
	struct err e;

	(void)state;
	start(say_nothing);
	assert_int_equal(k8s_get(client, &pools, NULL, "a", &o, mono_in(100), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_true(mono_now().ms - began < 5000);
}

static void *get_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++)
		if (get("a", NULL) < 0)
			abort();
	return NULL;
}

static void many_threads(void **state)
{
	pthread_t threads[2 * K8S_IDLE_MAX];

	(void)state;
	start(give_object);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_often, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(requests(), 20 * ARRAY_LEN(threads));
	assert_true(client->n_idle <= K8S_IDLE_MAX);
}

/* Watches. */
static bool begin(struct peer *p)
{
	return http_respond_begin(p->http, 200, "application/json", soon(), NULL) == 0;
}

static bool part(struct peer *p, const char *text)
{
	return http_respond_part(p->http, text, strlen(text), soon(), NULL) == 0;
}

#define EVENT(type, name, version)                                                                 \
	"{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name                        \
	"\",\"resourceVersion\":\"" version "\"}}}\n"

static struct k8s_watch *open_watch(const char *version)
{
	const struct k8s_selector sel = { "a=b", NULL };
	struct k8s_watch *w = NULL;
	struct err e;

	if (k8s_watch_open(client, &pools, NULL, &sel, version, &w, &e) < 0)
		fail_msg("%s", e.msg);
	return w;
}

static void expect_event(struct k8s_watch *w, enum k8s_event_type want, const char *name)
{
	enum k8s_event_type type;
	AUTO_JSON *o = NULL;
	struct err e;

	if (k8s_watch_next(w, &type, &o, soon(), &e) < 0)
		fail_msg("%s: %s", name, e.msg);
	assert_int_equal(type, want);
	assert_string_equal(json_str_at(o, "metadata", "name", NULL), name);
}

static void expect_watch_error(struct k8s_watch *w, enum err_kind kind, const char *text,
                               int within_ms)
{
	enum k8s_event_type type;
	json *o = NULL;
	struct err e;

	assert_int_equal(k8s_watch_next(w, &type, &o, mono_in(within_ms), &e), -1);
	assert_null(o);
	if (e.kind != kind || !strstr(e.msg, text))
		fail_msg("kind %d: %s", (int)e.kind, e.msg);
}

/* Waits until the client hangs up. */
static bool hold(struct peer *p)
{
	poll(&(struct pollfd){ stream_fd(http_stream(p->http)), POLLIN, 0 }, 1, 20000);
	return false;
}

/*
 * The first ends properly after a bookmark, the second breaks inside an event, the third goes on
 * where the second was, in the smallest of pieces.
 */
static bool watch_events(struct peer *p)
{
	static const char last[] = EVENT("MODIFIED", "c", "30");

	if (!begin(p))
		return false;
	switch (p->conn) {
	case 0:
		(void)part(p, EVENT("ADDED", "a", "11") EVENT("MODIFIED", "a", "12"));
		(void)part(p, EVENT("BOOKMARK", "", "20"));
		IGNORE(http_respond_end(p->http, soon(), NULL));
		return hold(p);
	case 1:
		(void)part(p, EVENT("DELETED", "a", "21") "{\"type\":\"ADDED\",\"obj");
		return false;
	default:
		for (const char *c = last; *c; c++) {
			char piece[16];

			snprintf(piece, sizeof(piece), "1\r\n%c\r\n", *c);
			for (const char *b = piece; *b; b++)
				IGNORE(stream_write(http_stream(p->http), b, 1, soon(), NULL));
		}
		return hold(p);
	}
}

static void watch_resumes(void **state)
{
	struct k8s_watch *w = open_watch("10");

	(void)state;
	start(watch_events);
	expect_event(w, K8S_ADDED, "a");
	expect_event(w, K8S_MODIFIED, "a");
	expect_event(w, K8S_DELETED, "a");
	expect_watch_error(w, ERR_PROTO, "watch: the body was cut short", 20000);
	expect_event(w, K8S_MODIFIED, "c");
	expect_watch_error(w, ERR_TIMEOUT, "", 50);
	expect_seen(0, "GET",
	            "/apis/x.io/v2/pools?watch=1&allowWatchBookmarks=true&labelSelector=a%3Db"
	            "&resourceVersion=10",
	            "", "");
	assert_true(str_ends(seen_at(1).target, "&resourceVersion=20"));
	assert_true(str_ends(seen_at(2).target, "&resourceVersion=21"));
	assert_int_equal(requests(), 3);
	k8s_watch_close(w);
}

/* A deadline may fall between any two bytes. */
static bool dribble(struct peer *p)
{
	static const char wire[] =
		"1\r\n{\r\n3d;x=y\r\n\"type\":\"ADDED\",\"object\":{\"metadata\":"
		"{\"name\":\"a\",\"resourceVers\r\n0c\r\nion\":\"2\"}}}\n\r\n";

	if (!begin(p))
		return false;
	for (const char *b = wire; *b; b++) {
		IGNORE(stream_write(http_stream(p->http), b, 1, soon(), NULL));
		mono_sleep_until(mono_in(4));
	}
	return hold(p);
}

static void watch_with_short_deadlines(void **state)
{
	struct k8s_watch *w = open_watch("1");
	enum k8s_event_type type;
	json *o = NULL;
	struct err e;
	int calls = 0;

	(void)state;
	start(dribble);
	while (k8s_watch_next(w, &type, &o, mono_in(1), &e) < 0) {
		if (e.kind != ERR_TIMEOUT)
			fail_msg("%s", e.msg);
		assert_true(++calls < 10000);
	}
	assert_string_equal(json_str_at(o, "metadata", "name", NULL), "a");
	assert_true(calls > 10);
	assert_int_equal(requests(), 1);
	json_free(o);
	k8s_watch_close(w);
}

static bool gone_as_status(struct peer *p)
{
	return answer(p, 410, STATUS(410, "Expired", "too old resource version: 1 (9)"));
}

static bool gone_as_event(struct peer *p)
{
	(void)(begin(p) &&
	       part(p, "{\"type\":\"ERROR\",\"object\":" STATUS(
			       410, "Expired", "too old resource version: 1 (9)") "}\n"));
	return hold(p);
}

static void watch_is_gone(struct k8s_watch *w)
{
	expect_watch_error(w, ERR_GONE, "too old resource version: 1 (9)", 20000);
	/* for good, and the server is left in peace */
	expect_watch_error(w, ERR_GONE, "too old resource version: 1 (9)", 20000);
	assert_int_equal(requests(), 1);
	k8s_watch_close(w);
}

static void watch_gone_as_status(void **state)
{
	(void)state;
	start(gone_as_status);
	watch_is_gone(open_watch("1"));
}

static void watch_gone_as_event(void **state)
{
	(void)state;
	start(gone_as_event);
	watch_is_gone(open_watch("1"));
}

static bool fall_silent(struct peer *p)
{
	(void)(begin(p) && p->conn && part(p, EVENT("ADDED", "a", "2")));
	return hold(p);
}

static void watch_gives_up_silence(void **state)
{
	struct k8s_watch *w = open_watch("1");
	int64_t began = mono_now().ms;

	(void)state;
	start(fall_silent);
	k8s_watch_set_silence(w, 1200);
	expect_watch_error(w, ERR_TIMEOUT, "", 100);
	expect_event(w, K8S_ADDED, "a");
	assert_true(mono_now().ms - began >= 1200);
	assert_int_equal(conns(), 2);
	k8s_watch_close(w);
}

static bool bad_events(struct peer *p)
{
	static const char *const lines[] = {
		"{\"type\":\"ADDED\"}\n",
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n",
		"{\"type\":\"WHAT\",\"object\":{}}\n",
		"nonsense\n",
		"{\"type\":\"ERROR\",\"object\":" STATUS(500, "InternalError", "ill") "}\n",
		EVENT("ADDED", "a", "2"),
	};

	(void)(begin(p) && part(p, lines[p->conn]));
	return hold(p);
}

static void watch_refuses_nonsense(void **state)
{
	struct k8s_watch *w = open_watch("1");

	(void)state;
	start(bad_events);
	expect_watch_error(w, ERR_PROTO, "watch: object: missing", 20000);
	expect_watch_error(w, ERR_PROTO, "watch: an event without a resourceVersion", 20000);
	expect_watch_error(w, ERR_PROTO, "watch: an event of type \"WHAT\"", 20000);
	expect_watch_error(w, ERR_PROTO, "watch: not JSON: line 1", 20000);
	expect_watch_error(w, ERR_UNREACHABLE, "watch: ill", 20000);
	expect_event(w, K8S_ADDED, "a");
	assert_true(str_ends(seen_at(5).target, "&resourceVersion=1"));
	k8s_watch_close(w);
}

static bool throttle_watch(struct peer *p)
{
	if (p->request == 0)
		return raw(p, "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
	(void)(begin(p) && part(p, EVENT("ADDED", "a", "2")));
	return hold(p);
}

static void watch_waits_as_told(void **state)
{
	struct k8s_watch *w = open_watch("1");
	int64_t began = mono_now().ms;

	(void)state;
	start(throttle_watch);
	expect_watch_error(w, ERR_THROTTLED, "HTTP status 429", 20000);
	expect_watch_error(w, ERR_TIMEOUT, "", 20);
	expect_event(w, K8S_ADDED, "a");
	assert_true(mono_now().ms - began >= 1000);
	assert_int_equal(requests(), 2);
	k8s_watch_close(w);
}

static void watch_renews_token(void **state)
{
	char path[] = "/tmp/client_test.XXXXXX";
	AUTO_FD int fd = mkstemp(path);
	struct k8s_watch *w = open_watch("1");
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	config.token_file = path;
	assert_int_equal(file_write(path, "A", 1, 0600, 0, &e), 0);
	want_token("B");
	start(check_token);
	/* one request: the file says nothing new */
	expect_watch_error(w, ERR_IDENTITY, "does not accept our token", 20000);
	assert_int_equal(requests(), 1);
	want_token("A");
	assert_int_equal(unlink(path), 0);
	expect_watch_error(w, ERR_NOT_FOUND, path, 20000);
	k8s_watch_close(w);
}

static void *interrupt_soon(void *w)
{
	mono_sleep_until(mono_in(50));
	k8s_watch_interrupt(w);
	return NULL;
}

static bool say_begin(struct peer *p)
{
	return begin(p) && hold(p);
}

static void watch_is_interrupted(void **state)
{
	struct k8s_watch *w = open_watch("1");
	int64_t began = mono_now().ms;
	pthread_t thread;

	(void)state;
	start(say_begin);
	assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, w), 0);
	expect_watch_error(w, ERR_UNREACHABLE, "the watch was interrupted", 20000);
	pthread_join(thread, NULL);
	assert_true(mono_now().ms - began < 10000);
	expect_watch_error(w, ERR_UNREACHABLE, "the watch was interrupted", 20000);
	k8s_watch_close(w);
}

/* A server that ends every watch at once is not asked a thousand times. */
static bool end_at_once(struct peer *p)
{
	return begin(p) && http_respond_end(p->http, soon(), NULL) == 0;
}

static void watch_does_not_spin(void **state)
{
	struct k8s_watch *w = open_watch("1");

	(void)state;
	start(end_at_once);
	expect_watch_error(w, ERR_TIMEOUT, "", 1000);
	assert_in_range(requests(), 1, 3);
	k8s_watch_close(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(status_objects),
		T(verbs),
		T(names_are_names),
		T(lists_in_pages),
		T(list_gives_up),
		T(throttled),
		T(throttled_beyond_the_deadline),
		T(tokens_rotate),
		T(closed_between_requests),
		T(dies_when_reused),
		T(dies_when_fresh),
		T(nobody_listens),
		T(deadlines_hold),
		T(many_threads),
		T(watch_resumes),
		T(watch_with_short_deadlines),
		T(watch_gone_as_status),
		T(watch_gone_as_event),
		T(watch_gives_up_silence),
		T(watch_refuses_nonsense),
		T(watch_waits_as_told),
		T(watch_renews_token),
		T(watch_is_interrupted),
		T(watch_does_not_spin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
