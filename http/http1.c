/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1.c - one parser for both sides of HTTP/1.1, blocking, over a stream.
 *
 * Theory of operation: bytes come into `in`, of which [at, len) is unread.  A head is read up to
 * its blank line into `head`, split in place.  Then body_kind says how the body ends; body_some()
 * hands out the next piece of it, whatever the framing, and everything above (whole bodies, lines)
 * is made of that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http1.h"

enum body_kind {
	BODY_NONE,   /* none, or all of it was read */
	BODY_LENGTH, /* left bytes */
	BODY_CHUNKED,
	BODY_CLOSE, /* to the end of the connection */
};

struct http {
	struct stream *s;
	char *in;
	size_t at, len, cap;
	struct str head, body, line;
	enum body_kind body_kind;
	uint64_t left;    /* of the body, or of the chunk */
	bool in_chunk;    /* its size was read, its data not all */
	bool first_chunk; /* no CRLF of a chunk before it is to be read */
	bool in_trailer;  /* the last chunk's size was read */
	bool in_line;   /* `line` holds the first part of a framing line: a deadline passed there */
	bool responded; /* server: body begun */
	bool keep_alive;
};

#define IN_SIZE 8192
#define EMPTY_LINES_MAX 16 /* before a head */

struct http *http_new(struct stream *s)
{
	struct http *h = xcalloc(1, sizeof(*h));

	h->s = s;
	h->cap = IN_SIZE;
	h->in = xmalloc(h->cap);
	h->head = h->body = h->line = (struct str)STR_INIT;
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	stream_close(h->s);
	str_release(&h->head);
	str_release(&h->body);
	str_release(&h->line);
	free(h->in);
	free(h);
}

struct stream *http_stream(struct http *h)
{
	return h->s;
}

enum err_kind http_status_kind(int status)
{
	switch (status) {
	case 401:
		return ERR_IDENTITY;
	case 403:
		return ERR_FORBIDDEN;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
		return ERR_CONFLICT;
	case 410:
		return ERR_GONE;
	case 429:
		return ERR_THROTTLED;
	default:
		return status < 400 ? ERR_NONE : ERR_PROTO;
	}
}

/* Makes sure that something is unread; *end tells that the stream has properly ended. */
static int fill(struct http *h, bool *end, struct mono deadline, struct err *e)
{
	size_t got;

	*end = false;
	if (h->at < h->len)
		return 0;
	h->at = h->len = 0;
	if (stream_read(h->s, h->in, h->cap, &got, deadline, e) < 0)
		return -1;
	h->len = got;
	*end = got == 0;
	return 0;
}

/*
 * A line up to LF into *out from `start` on, where a part of it may stand already; without CR LF.
 * *end: the stream ended before its first byte.
 */
static int read_line(struct http *h, struct str *out, size_t start, size_t max, bool *end,
                     struct mono deadline, struct err *e)
{
	for (;;) {
		const char *p, *lf;
		size_t n;

		if (fill(h, end, deadline, e) < 0)
			return -1;
		if (*end) {
			if (out->len == start)
				return 0;
			return err_set(e, ERR_PROTO, "the connection ended inside a line");
		}
		p = h->in + h->at;
		lf = memchr(p, '\n', h->len - h->at);
		n = lf ? (size_t)(lf - p) : h->len - h->at;
		if (out->len - start + n > max)
			return err_set(e, ERR_PROTO, "a line or header longer than %zu bytes", max);
		str_addn(out, p, n);
		h->at += n + (lf != NULL);
		if (!lf)
			continue;
		if (out->len > start && out->data[out->len - 1] == '\r')
			str_reset(out, out->len - 1);
		if (memchr(out->data + start, '\0', out->len - start) ||
		    memchr(out->data + start, '\r', out->len - start))
			return err_set(e, ERR_PROTO, "NUL or CR in a line");
		return 0;
	}
}

/* What the header fields of a head say. */
struct fields {
	bool has_length, chunked, close, keep_alive, other_encoding;
	uint64_t length;
	int retry_after_s;
	char *content_type; /* in the head */
	char *expect;
};

/* Is the token in a comma separated list? */
static bool has_token(const char *list, const char *token)
{
	size_t n = strlen(token);

	while (*list) {
		list += strspn(list, " \t,");
		if (strncasecmp(list, token, n) == 0 && (!list[n] || strchr(" \t,;", list[n])))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static int read_field(struct fields *f, const char *name, char *value, struct err *e)
{
	uint64_t length;
	uint32_t seconds;

	if (strcasecmp(name, "content-length") == 0) {
		if (parse_u64(value, 0, INT64_MAX, &length, NULL) < 0 ||
		    (f->has_length && length != f->length))
			return err_set(e, ERR_PROTO, "bad Content-Length \"%.40s\"", value);
		f->has_length = true;
		f->length = length;
	} else if (strcasecmp(name, "transfer-encoding") == 0) {
		if (strcasecmp(value, "chunked") != 0 || f->chunked)
			return err_set(e, ERR_PROTO, "Transfer-Encoding \"%.40s\" is not supported",
			               value);
		f->chunked = true;
	} else if (strcasecmp(name, "connection") == 0) {
		f->close |= has_token(value, "close");
		f->keep_alive |= has_token(value, "keep-alive");
	} else if (strcasecmp(name, "content-encoding") == 0) {
		f->other_encoding |= strcasecmp(value, "identity") != 0;
	} else if (strcasecmp(name, "retry-after") == 0) {
		/* the form with a date is not used by API servers */
		if (parse_u32(value, 0, 86400, &seconds, NULL) == 0)
			f->retry_after_s = (int)seconds;
	} else if (strcasecmp(name, "content-type") == 0) {
		f->content_type = value;
	} else if (strcasecmp(name, "expect") == 0) {
		f->expect = value;
	}
	return 0;
}

/* One "Name: value" line, NUL-terminated, split in place. */
static int split_field(char *line, struct fields *f, struct err *e)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (line[0] == ' ' || line[0] == '\t')
		return err_set(e, ERR_PROTO, "folded header lines are not supported");
	if (!colon || colon == line || strcspn(line, " \t") < (size_t)(colon - line))
		return err_set(e, ERR_PROTO, "bad header line \"%.40s\"", line);
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return read_field(f, line, value, e);
}

/*
 * Reads a head: the start line stands at h->head.data, *f tells the fields.  *end: the stream ended
 * before it.
 */
static int read_head(struct http *h, struct fields *f, bool *end, struct mono deadline,
                     struct err *e)
{
	size_t at, n = 0, empty = 0;

	memset(f, 0, sizeof(*f));
	f->retry_after_s = -1;
	str_reset(&h->head, 0);
	for (;;) {
		at = h->head.len;
		if (read_line(h, &h->head, at, HTTP_HEADER_MAX - at, end, deadline, e) < 0)
			return -1;
		if (*end)
			return n ? err_set(e, ERR_PROTO, "the connection ended inside a header")
			         : 0;
		if (h->head.len == at) {
			/* an empty line: the end, or noise before the start line (RFC 9112 2.2) */
			if (n)
				break;
			if (++empty > EMPTY_LINES_MAX)
				return err_set(e, ERR_PROTO, "too many empty lines");
			continue;
		}
		n++;
		str_addc(&h->head, '\0');
		if (h->head.len >= HTTP_HEADER_MAX)
			return err_set(e, ERR_PROTO, "a header longer than %d bytes",
			               HTTP_HEADER_MAX);
	}
	/* the lines stand one after the other, each with its NUL; now that nothing moves, split */
	for (char *line = h->head.data + strlen(h->head.data) + 1;
	     line < h->head.data + h->head.len;) {
		char *next = line + strlen(line) + 1;

		if (split_field(line, f, e) < 0)
			return -1;
		line = next;
	}
	if (f->chunked && f->has_length)
		return err_set(e, ERR_PROTO, "both Content-Length and Transfer-Encoding");
	if (f->other_encoding)
		return err_set(e, ERR_PROTO, "a Content-Encoding that was not asked for");
	return 0;
}

static void begin_body(struct http *h, const struct fields *f, bool until_close)
{
	h->in_chunk = h->in_trailer = h->in_line = false;
	h->first_chunk = true;
	h->left = f->length;
	if (f->chunked)
		h->body_kind = BODY_CHUNKED;
	else if (f->has_length)
		h->body_kind = f->length ? BODY_LENGTH : BODY_NONE;
	else
		h->body_kind = until_close ? BODY_CLOSE : BODY_NONE;
}

/*
 * A line of the chunked framing into h->line.  After ERR_TIMEOUT it may be called again and goes on
 * where it was: a watch waits with short deadlines.
 */
static int framing_line(struct http *h, size_t max, struct mono deadline, struct err *e)
{
	bool end;

	if (!h->in_line)
		str_reset(&h->line, 0);
	h->in_line = true;
	if (read_line(h, &h->line, 0, max, &end, deadline, e) < 0)
		return -1;
	h->in_line = false;
	return end ? err_set(e, ERR_PROTO, "the body was cut short") : 0;
}

static int read_trailer(struct http *h, struct mono deadline, struct err *e)
{
	for (int lines = 0; lines < 64; lines++) {
		if (framing_line(h, HTTP_HEADER_MAX, deadline, e) < 0)
			return -1;
		if (!h->line.len) {
			h->body_kind = BODY_NONE;
			return 0;
		}
	}
	return err_set(e, ERR_PROTO, "a trailer of too many lines");
}

/* The size line of the next chunk; the last one ends the body with its trailer. */
static int next_chunk(struct http *h, struct mono deadline, struct err *e)
{
	uint64_t size = 0;
	const char *p;

	if (h->in_trailer)
		return read_trailer(h, deadline, e);
	if (!h->first_chunk) {
		if (framing_line(h, 1024, deadline, e) < 0)
			return -1;
		if (h->line.len)
			return err_set(e, ERR_PROTO, "a chunk is longer than its size");
		h->first_chunk = true;
	}
	if (framing_line(h, 1024, deadline, e) < 0)
		return -1;
	h->first_chunk = false;
	for (p = h->line.data; *p && strchr("0123456789abcdefABCDEF", *p); p++) {
		if (size >> 56)
			return err_set(e, ERR_PROTO, "bad chunk size");
		size = size << 4 | (uint64_t)(*p <= '9' ? *p - '0' : (*p | 0x20) - 'a' + 10);
	}
	if (p == h->line.data || (*p && !strchr("; \t", *p)))
		return err_set(e, ERR_PROTO, "bad chunk size \"%.20s\"", h->line.data);
	h->left = size;
	h->in_chunk = size > 0;
	h->in_trailer = size == 0;
	return size ? 0 : read_trailer(h, deadline, e);
}

/* The next piece of the body, borrowed; *n is 0 at its end. */
static int body_some(struct http *h, const char **p, size_t *n, struct mono deadline, struct err *e)
{
	bool end;

	*n = 0;
	while (h->body_kind == BODY_CHUNKED && !h->in_chunk)
		if (next_chunk(h, deadline, e) < 0)
			return -1;
	if (h->body_kind == BODY_NONE)
		return 0;
	if (fill(h, &end, deadline, e) < 0)
		return -1;
	if (end) {
		if (h->body_kind != BODY_CLOSE)
			return err_set(e, ERR_PROTO, "the body was cut short");
		h->body_kind = BODY_NONE;
		h->keep_alive = false;
		return 0;
	}
	*p = h->in + h->at;
	*n = h->len - h->at;
	if (h->body_kind != BODY_CLOSE) {
		if (*n > h->left)
			*n = (size_t)h->left;
		h->left -= *n;
		if (!h->left) {
			h->in_chunk = false;
			if (h->body_kind == BODY_LENGTH)
				h->body_kind = BODY_NONE;
		}
	}
	h->at += *n;
	return 0;
}

static int read_whole(struct http *h, size_t max, struct str *out, struct mono deadline,
                      struct err *e)
{
	size_t start = out->len, n;
	const char *p = NULL;

	do {
		if (body_some(h, &p, &n, deadline, e) < 0)
			return -1;
		if (out->len - start + n > max)
			return err_set(e, ERR_PROTO, "a body longer than %zu bytes", max);
		str_addn(out, p, n);
	} while (n);
	return 0;
}

int http_read_body(struct http *h, struct str *out, struct mono deadline, struct err *e)
{
	return read_whole(h, HTTP_BODY_MAX, out, deadline, e);
}

/*
 * h->body holds what was read beyond the last line handed out, which stands in h->line.
 */
int http_read_line(struct http *h, const char **line, size_t *len, struct mono deadline,
                   struct err *e)
{
	size_t searched = 0, n;
	const char *lf, *p = NULL;

	for (;;) {
		lf = memchr(h->body.data + searched, '\n', h->body.len - searched);
		if (lf)
			break;
		searched = h->body.len;
		if (searched > HTTP_LINE_MAX)
			return err_set(e, ERR_PROTO, "a line longer than %d bytes", HTTP_LINE_MAX);
		if (body_some(h, &p, &n, deadline, e) < 0)
			return -1;
		if (!n) {
			if (h->body.len)
				return err_set(e, ERR_PROTO, "the body ended inside a line");
			*line = NULL;
			return 0;
		}
		str_addn(&h->body, p, n);
	}
	n = (size_t)(lf - h->body.data);
	str_reset(&h->line, 0);
	str_addn(&h->line, h->body.data, n);
	memmove(h->body.data, lf + 1, h->body.len - n - 1);
	str_reset(&h->body, h->body.len - n - 1);
	*line = h->line.data;
	*len = h->line.len;
	return 0;
}

/* Client. */
static bool is_clean(const char *s)
{
	return !s || !s[strcspn(s, "\r\n")];
}

static int check_request(const struct http_request *r, struct err *e)
{
	if (!is_clean(r->token))
		return err_set(e, ERR_CONFIG, "the token holds a line break");
	if (!is_clean(r->method) || !is_clean(r->target) || !is_clean(r->host) ||
	    !is_clean(r->content_type) || !is_clean(r->accept) || strchr(r->target, ' '))
		return err_set(e, ERR_CONFIG, "a request with a line break or blank in its head");
	return 0;
}

static int write_request(struct http *h, const struct http_request *r, struct mono deadline,
                         struct err *e)
{
	AUTO_STR out = STR_INIT;
	int rc;

	str_addf(&out, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\nUser-Agent: spiderbox\r\n",
	         r->method, r->target, r->host, r->accept ? r->accept : "application/json");
	if (r->token)
		str_addf(&out, "Authorization: Bearer %s\r\n", r->token);
	if (r->body)
		str_addf(&out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
		         r->content_type ? r->content_type : "application/json", r->body_len);
	str_add(&out, "\r\n");
	str_addn(&out, r->body, r->body ? r->body_len : 0);
	rc = stream_write(h->s, out.data, out.len, deadline, e);
	if (rc == 0)
		rc = stream_flush(h->s, deadline, e);
	explicit_bzero(out.data, out.len); /* the token */
	return rc;
}

/* "HTTP/1.x NNN text" */
static int read_status(const char *line, int *status, bool *http10, struct err *e)
{
	uint32_t code;
	char digits[4];

	if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') ||
	    line[8] != ' ' || fmt(digits, sizeof(digits), "%.3s", line + 9) < 0 ||
	    parse_u32(digits, 100, 599, &code, NULL) < 0)
		return err_set(e, ERR_PROTO, "not an HTTP/1 response: \"%.40s\"", line);
	*status = (int)code;
	*http10 = line[7] == '0';
	return 0;
}

int http_send(struct http *h, const struct http_request *req, struct http_response *resp,
              bool *retryable, struct mono deadline, struct err *e)
{
	bool end, http10 = false, no_body;
	struct fields f;

	if (retryable)
		*retryable = false;
	if (check_request(req, e) < 0)
		return -1;
	str_reset(&h->body, 0);
	if (write_request(h, req, deadline, e) < 0) {
		/* what the server did not read it did not do */
		if (retryable && e && e->kind != ERR_TIMEOUT)
			*retryable = true;
		return -1;
	}
	do {
		if (read_head(h, &f, &end, deadline, e) < 0) {
			/* reset, or ended without TLS saying so */
			if (retryable && e && e->kind != ERR_TIMEOUT && !h->head.len)
				*retryable = true;
			return -1;
		}
		if (end) {
			if (retryable)
				*retryable = true;
			return err_set(e, ERR_PROTO,
			               "the connection was closed before the response");
		}
		if (read_status(h->head.data, &resp->status, &http10, e) < 0)
			return -1;
	} while (resp->status < 200);
	no_body = streq(req->method, "HEAD") || resp->status == 204 || resp->status == 304;
	if (no_body)
		h->body_kind = BODY_NONE;
	else
		begin_body(h, &f, true);
	resp->retry_after_s = f.retry_after_s;
	resp->keep_alive = !f.close && (!http10 || f.keep_alive) && h->body_kind != BODY_CLOSE;
	if (fmt(resp->content_type, sizeof(resp->content_type), "%s",
	        f.content_type ? f.content_type : "") < 0)
		resp->content_type[0] = '\0';
	return 0;
}

/* Server. */
int http_receive(struct http *h, size_t max_body, struct http_incoming *in, struct mono deadline,
                 struct err *e)
{
	char *target, *version;
	struct fields f;
	bool end;

	if (read_head(h, &f, &end, deadline, e) < 0)
		return -1;
	memset(in, 0, sizeof(*in));
	if (end)
		return 0;
	target = strchr(h->head.data, ' ');
	version = target ? strchr(target + 1, ' ') : NULL;
	if (!version || target == h->head.data || target[1] != '/' ||
	    (!streq(version + 1, "HTTP/1.1") && !streq(version + 1, "HTTP/1.0")))
		return err_set(e, ERR_PROTO, "not an HTTP/1 request: \"%.40s\"", h->head.data);
	*target++ = '\0';
	*version++ = '\0';
	if (f.has_length && f.length > max_body)
		return err_set(e, ERR_PROTO, "a body longer than %zu bytes", max_body);
	begin_body(h, &f, false);
	if (f.expect && strcasecmp(f.expect, "100-continue") == 0 && h->body_kind != BODY_NONE) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		if (stream_write(h->s, go_on, sizeof(go_on) - 1, deadline, e) < 0 ||
		    stream_flush(h->s, deadline, e) < 0)
			return -1;
	}
	str_reset(&h->body, 0);
	if (read_whole(h, max_body, &h->body, deadline, e) < 0)
		return -1;
	in->method = h->head.data;
	in->target = target;
	in->body = h->body.data;
	in->body_len = h->body.len;
	in->keep_alive = !f.close && (streq(version, "HTTP/1.1") || f.keep_alive);
	return 0;
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	default:
		return status < 400 ? "OK" : "Error";
	}
}

int http_respond(struct http *h, int status, const char *content_type, const char *body, size_t len,
                 int retry_after_s, bool close, struct mono deadline, struct err *e)
{
	AUTO_STR out = STR_INIT;

	str_addf(&out, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n", status, reason(status), len);
	if (content_type)
		str_addf(&out, "Content-Type: %s\r\n", content_type);
	if (retry_after_s)
		str_addf(&out, "Retry-After: %d\r\n", retry_after_s);
	if (close)
		str_add(&out, "Connection: close\r\n");
	str_add(&out, "\r\n");
	str_addn(&out, body, len);
	if (stream_write(h->s, out.data, out.len, deadline, e) < 0)
		return -1;
	return stream_flush(h->s, deadline, e);
}

int http_respond_begin(struct http *h, int status, const char *content_type, struct mono deadline,
                       struct err *e)
{
	AUTO_STR out = STR_INIT;

	str_addf(&out, "HTTP/1.1 %d %s\r\nTransfer-Encoding: chunked\r\nContent-Type: %s\r\n\r\n",
	         status, reason(status), content_type);
	return stream_write(h->s, out.data, out.len, deadline, e);
}

int http_respond_part(struct http *h, const char *data, size_t len, struct mono deadline,
                      struct err *e)
{
	AUTO_STR out = STR_INIT;

	if (!len)
		return 0; /* an empty chunk would be the last */
	str_addf(&out, "%zx\r\n", len);
	str_addn(&out, data, len);
	str_add(&out, "\r\n");
	if (stream_write(h->s, out.data, out.len, deadline, e) < 0)
		return -1;
	return stream_flush(h->s, deadline, e);
}

int http_respond_end(struct http *h, struct mono deadline, struct err *e)
{
	if (stream_write(h->s, "0\r\n\r\n", 5, deadline, e) < 0)
		return -1;
	return stream_flush(h->s, deadline, e);
}
