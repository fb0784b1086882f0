/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.c - one exchange with the API server: connections kept alive, tokens that rotate, waits
 * that the server asks for, and Status objects made into errors.
 *
 * A request is repeated in three cases: a kept-alive connection was closed before a byte of the
 * answer (whatever we send may be done twice: a create is ERR_EXISTS then, a conditional patch
 * ERR_CONFLICT, and the callers look again), a 401 after which the token file says something new,
 * and a 429 or 503 that names a time.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "k8s/request.h"

#define PAUSE_FIRST_MS 100 /* after a 429 without Retry-After, then doubled */
#define PAUSE_LAST_MS 10000
#define BODY_SHOWN 200 /* bytes of a body that is no Status object */

struct k8s_client *k8s_client_new(const struct k8s_config *config)
{
	struct k8s_client *c = xcalloc(1, sizeof(*c));
	AUTO_STR host = STR_INIT;

	c->config = config;
	url_host_header(&config->server, &host);
	c->host = str_take(&host);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void k8s_client_free(struct k8s_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_idle; i++)
		k8s_conn_free(c->idle[i]);
	pthread_mutex_destroy(&c->lock);
	free(c->host);
	free(c);
}

int k8s_jitter_ms(int base)
{
	unsigned int r = 0;

	/* without random bytes the pause is merely the same for all */
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		return base;
	return base - base / 4 + (int)(r % ((unsigned int)base / 2 + 1));
}

/* Tokens. */
static void free_token(char *token)
{
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
}

static int read_token(const struct k8s_config *config, char **out, struct err *e)
{
	AUTO_STR text = STR_INIT;

	*out = NULL;
	if (!config->token_file) {
		*out = config->token ? xstrdup(config->token) : NULL;
		return 0;
	}
	if (file_read(config->token_file, K8S_TOKEN_MAX, &text, e) < 0)
		return err_wrap(e, "token");
	while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
		str_reset(&text, text.len - 1);
	if (!text.len || strlen(text.data) != text.len) {
		explicit_bzero(text.data, text.len);
		return err_set(e, ERR_CONFIG, "token file %s holds no token", config->token_file);
	}
	*out = str_take(&text);
	return 0;
}

bool k8s_conn_refresh_token(struct k8s_client *c, struct k8s_conn *conn)
{
	char *token = NULL;

	if (!c->config->token_file || read_token(c->config, &token, NULL) < 0)
		return false;
	if (conn->token && streq(conn->token, token)) {
		free_token(token);
		return false;
	}
	free_token(conn->token);
	conn->token = token;
	return true;
}

/* Connections. */
int k8s_connect(struct k8s_client *c, struct mono deadline, struct k8s_conn **out, struct err *e)
{
	const struct k8s_config *config = c->config;
	struct stream *s = NULL;
	char *token = NULL;
	struct err mine;

	if (read_token(config, &token, e) < 0)
		return -1;
	if (stream_connect_tcp(config->server.host, config->server.port, deadline, &s, &mine) < 0 ||
	    (config->tls &&
	     tls_connect(config->tls, s, config->tls_name, deadline, &s, &mine) < 0)) {
		free_token(token);
		/* a socket that was reset during the handshake is nobody who answers, too */
		if (mine.kind == ERR_SYS)
			mine.kind = ERR_UNREACHABLE;
		err_copy(e, &mine);
		return err_wrap(e, "API server %s", c->host);
	}
	*out = xcalloc(1, sizeof(**out));
	(*out)->http = http_new(s);
	(*out)->token = token;
	return 0;
}

void k8s_conn_free(struct k8s_conn *conn)
{
	if (!conn)
		return;
	http_free(conn->http);
	free_token(conn->token);
	free(conn);
}

/* What is readable while nothing was asked for is the end, or noise. */
static bool is_usable(const struct k8s_conn *conn, struct mono now)
{
	struct pollfd p = { .fd = stream_fd(http_stream(conn->http)), .events = POLLIN };

	return !mono_passed_at(conn->stale_at, now) && (p.fd < 0 || poll(&p, 1, 0) == 0);
}

static struct k8s_conn *take_idle(struct k8s_client *c, struct mono now)
{
	for (;;) {
		struct k8s_conn *conn = NULL;

		pthread_mutex_lock(&c->lock);
		if (c->n_idle)
			conn = c->idle[--c->n_idle];
		pthread_mutex_unlock(&c->lock);
		if (!conn || is_usable(conn, now))
			return conn;
		k8s_conn_free(conn);
	}
}

/* now: when its last exchange began. */
static void keep(struct k8s_client *c, struct k8s_conn *conn, struct mono now)
{
	struct k8s_conn *oldest = NULL;

	conn->reused = true;
	conn->stale_at = mono_after(now, K8S_IDLE_MS);
	pthread_mutex_lock(&c->lock);
	if (c->n_idle == K8S_IDLE_MAX) {
		oldest = c->idle[0];
		for (c->n_idle = 0; c->n_idle < K8S_IDLE_MAX - 1; c->n_idle++)
			c->idle[c->n_idle] = c->idle[c->n_idle + 1];
	}
	c->idle[c->n_idle++] = conn;
	pthread_mutex_unlock(&c->lock);
	k8s_conn_free(oldest);
}

/* Paths. */
static int add_segment(struct str *out, const char *text, const char *what, struct err *e)
{
	/* an empty one would name the collection, the others another path, encoded or not: an API
	 * server decodes first and splits then */
	if (!text || !*text || streq(text, ".") || streq(text, "..") || strpbrk(text, "/%"))
		return err_set(e, ERR_CONFIG, "\"%s\" is no %s", text ? text : "", what);
	str_addc(out, '/');
	url_encode(out, text);
	return 0;
}

int k8s_path(const struct k8s_client *c, const struct k8s_resource *r, const char *ns,
             const char *name, const char *subresource, struct str *out, struct err *e)
{
	str_add(out, c->config->server.path);
	if (r->group[0])
		str_addf(out, "/apis/%s/%s", r->group, r->version);
	else
		str_addf(out, "/api/%s", r->version);
	if (r->namespaced && (ns || name)) {
		str_add(out, "/namespaces");
		if (add_segment(out, ns, "namespace", e) < 0)
			return err_wrap(e, "%s", r->plural);
	}
	str_addf(out, "/%s", r->plural);
	if (name && add_segment(out, name, "name", e) < 0)
		return err_wrap(e, "%s", r->plural);
	if (subresource)
		str_addf(out, "/%s", subresource);
	return 0;
}

void k8s_query(struct str *path, const char *key, const char *value)
{
	if (!value)
		return;
	str_addf(path, "%c%s=", strchr(path->data, '?') ? '&' : '?', key);
	url_encode(path, value);
}

/* Errors. */
static enum err_kind kind_of(int code, const char *reason)
{
	switch (code) {
	case 400:
	case 422:
		return ERR_CONFIG; /* what we sent is not a valid object */
	case 409:
		return streq(reason, "AlreadyExists") ? ERR_EXISTS : ERR_CONFLICT;
	case 500:
	case 502:
	case 503:
		return ERR_UNREACHABLE; /* a server that is ill, not up yet, or behind a proxy */
	case 408:
	case 504:
		return ERR_TIMEOUT;
	default:
		return http_status_kind(code) == ERR_NONE ? ERR_PROTO : http_status_kind(code);
	}
}

bool k8s_status_object(const json *status, int code, struct err *e)
{
	const char *kind = json_str_at(status, "kind", NULL);
	const char *message = json_str_at(status, "message", NULL);
	const char *reason = json_str_at(status, "reason", NULL);
	int64_t own = 0;

	if (!kind || !streq(kind, "Status"))
		return false;
	if (!code && json_opt_i64(status, "code", &own, NULL) == 0 && own >= 400 && own < 600)
		code = (int)own;
	if (!reason)
		reason = "";
	if (!message || !*message)
		message = *reason ? reason : "no message";
	err_fill(e, kind_of(code, reason), "%s", message);
	return true;
}

void k8s_status_error(const struct k8s_client *c, const struct k8s_call *call,
                      const struct http_response *resp, const char *body, size_t len, struct err *e)
{
	json *status = NULL;
	bool told = json_parse(body, len, 0, &status, NULL) == 0 &&
	            k8s_status_object(status, resp->status, e);

	json_free(status);
	if (!told) {
		AUTO_FREE char *start = xstrndup(body, len < BODY_SHOWN ? len : BODY_SHOWN);

		err_fill(e, kind_of(resp->status, ""), "HTTP status %d for %s %.*s%s%s",
		         resp->status, call->method, (int)strcspn(call->path, "?"), call->path,
		         *start ? ": " : "", start);
		err_prefix(e, "API server %s", c->host);
	} else if (resp->status == 401) {
		/* the server says no more than "Unauthorized" */
		err_prefix(e, "API server %s does not accept our %s", c->host,
		           c->config->token || c->config->token_file ? "token" : "credentials");
	}
	if (e && e->kind == ERR_THROTTLED && resp->retry_after_s > 0)
		e->retry_ms = resp->retry_after_s * 1000;
}

int k8s_send(struct k8s_client *c, struct k8s_conn *conn, const struct k8s_call *call,
             struct http_response *resp, bool *retryable, struct mono deadline, struct err *e)
{
	const struct http_request req = {
		.method = call->method,
		.target = call->path,
		.host = c->host,
		.token = conn->token,
		.accept = call->accept,
		.content_type = call->content_type,
		.body = call->body,
		.body_len = call->body_len,
	};
	struct err mine;

	if (http_send(conn->http, &req, resp, retryable, deadline, &mine) == 0)
		return 0;
	if (mine.kind == ERR_SYS || *retryable)
		mine.kind = ERR_UNREACHABLE;
	err_copy(e, &mine);
	return err_wrap(e, "API server %s: %s %.*s", c->host, call->method,
	                (int)strcspn(call->path, "?"), call->path);
}

/* What is to be done after an exchange. */
enum outcome { DONE, AGAIN, FAILED };

/* One exchange on one connection, taken. */
static enum outcome exchange(struct k8s_client *c, struct k8s_conn *conn,
                             const struct k8s_call *call, struct http_response *resp,
                             struct str *body, bool *fresh, struct mono now, struct mono deadline,
                             struct err *e)
{
	bool retryable = false, again;

	str_reset(body, 0);
	if (k8s_send(c, conn, call, resp, &retryable, deadline, e) < 0) {
		again = retryable && conn->reused && !mono_passed(deadline);
		k8s_conn_free(conn);
		*fresh = true; /* its like in the pool are as dead */
		return again ? AGAIN : FAILED;
	}
	if (http_read_body(conn->http, body, deadline, e) < 0) {
		if (e->kind == ERR_SYS)
			e->kind = ERR_UNREACHABLE;
		k8s_conn_free(conn);
		err_prefix(e, "API server %s: answer to %s %.*s", c->host, call->method,
		           (int)strcspn(call->path, "?"), call->path);
		return FAILED;
	}
	again = resp->status == 401 && k8s_conn_refresh_token(c, conn);
	if (resp->keep_alive)
		keep(c, conn, now);
	else
		k8s_conn_free(conn);
	return again ? AGAIN : DONE;
}

/* Waits as the server asks; ERR_THROTTLED at once when that would be beyond the deadline. */
static int wait_as_told(const struct http_response *resp, int *pause_ms, struct mono deadline,
                        struct err *e)
{
	bool told = resp->retry_after_s > 0;
	int ms = told ? resp->retry_after_s * 1000 : k8s_jitter_ms(*pause_ms);
	struct mono until = mono_in(ms);

	if (until.ms >= deadline.ms) {
		e->kind = ERR_THROTTLED;
		e->retry_ms = ms;
		return -1;
	}
	*pause_ms = *pause_ms * 2 < PAUSE_LAST_MS ? *pause_ms * 2 : PAUSE_LAST_MS;
	mono_sleep_until(until);
	return 0;
}

int k8s_call(struct k8s_client *c, const struct k8s_call *call, struct str *body,
             struct mono deadline, struct err *e)
{
	struct http_response resp = { 0 };
	int pause_ms = PAUSE_FIRST_MS;
	bool fresh = false;
	struct err mine;

	if (!e)
		e = &mine;
	for (;;) {
		struct mono now = mono_now();
		struct k8s_conn *conn = fresh ? NULL : take_idle(c, now);
		enum outcome what;

		if (!conn && k8s_connect(c, deadline, &conn, e) < 0)
			return -1;
		what = exchange(c, conn, call, &resp, body, &fresh, now, deadline, e);
		if (what == FAILED)
			return -1;
		if (what == AGAIN)
			continue;
		if (resp.status >= 200 && resp.status < 300)
			return 0;
		k8s_status_error(c, call, &resp, body->data, body->len, e);
		if (resp.status != 429 && (resp.status != 503 || resp.retry_after_s < 0))
			return -1;
		if (wait_as_told(&resp, &pause_ms, deadline, e) < 0)
			return -1;
	}
}
