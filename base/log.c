/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - formats a line into a buffer on the stack and hands it to the kernel in one write, so
 * that lines of several threads or processes on one file never mix.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/log.h"
#include "base/str.h"

/* One write of this much to a pipe is never mixed with another's (PIPE_BUF). */
#define LINE_MAX_LEN 4096
#define CONTEXT_LEN 256
/* What is kept free for the context, each byte of which may take six, and the line's end. */
#define LINE_TAIL (CONTEXT_LEN * 6 + 64)

static struct {
	const char *app;
	int fd;
	bool json;
	enum log_level level;
} state = { "spiderbox", STDERR_FILENO, false, LOG_LEVEL_INFO };

/* A pointer: what is larger than musl's built-in storage costs every start a mapping. */
static _Thread_local char *context;

static const char level_names[][6] = { "error", "warn", "info", "debug" };

void log_init(const char *app, int fd, bool json, enum log_level level)
{
	state.app = app;
	state.fd = fd == STDOUT_FILENO ? STDERR_FILENO : fd;
	state.json = json;
	state.level = level;
}

int log_parse_level(const char *s, enum log_level *out, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcasecmp(s, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	if (strcasecmp(s, "warning") == 0) {
		*out = LOG_LEVEL_WARN;
		return 0;
	}
	if (strcasecmp(s, "fatal") == 0 || strcasecmp(s, "panic") == 0) {
		*out = LOG_LEVEL_ERROR;
		return 0;
	}
	return err_set(e, ERR_CONFIG, "\"%s\" is not a log level: error, warn, info or debug", s);
}

void log_ctx(const char *text)
{
	free(context);
	context = text && *text ? xstrndup(text, strnlen(text, CONTEXT_LEN - 1)) : NULL;
}

/* A line under construction: a message that does not fit is cut, the rest always fits. */
struct line {
	char buf[LINE_MAX_LEN];
	size_t len;
};

static void putn(struct line *l, const char *s, size_t n)
{
	if (n > sizeof(l->buf) - l->len)
		n = sizeof(l->buf) - l->len;
	memcpy(l->buf + l->len, s, n);
	l->len += n;
}

static void put(struct line *l, const char *s)
{
	putn(l, s, strlen(s));
}

/*
 * Text from outside, to at most `end` bytes of the line: control characters, what is no UTF-8, and
 * in JSON also quotes and backslashes, are escaped.
 */
static void put_escaped(struct line *l, const char *s, bool json, size_t end)
{
	while (*s) {
		unsigned char c = (unsigned char)*s;
		size_t n = utf8_length(s);
		char escape[8] = "";

		if (json && (c == '"' || c == '\\'))
			snprintf(escape, sizeof(escape), "\\%c", c);
		else if (json && (c < 0x20 || c == 0x7f || !n))
			snprintf(escape, sizeof(escape), "\\u%04x", n ? c : 0xfffdU);
		else if (c < 0x20 || c == 0x7f || !n)
			snprintf(escape, sizeof(escape), "\\x%02x", c);
		if (!n)
			n = 1;
		if (l->len + (*escape ? strlen(escape) : n) > end)
			return;
		if (*escape)
			put(l, escape);
		else
			putn(l, s, n);
		s += n;
	}
}

/* "a=b c=d" as JSON members; a value ends at the next blank. */
static void put_context_json(struct line *l)
{
	AUTO_FREE char *copy = xstrdup(context);
	char *save = copy, *word;

	while ((word = strsep(&save, " "))) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = '\0';
		put(l, ",\"");
		put_escaped(l, word, true, sizeof(l->buf) - 16);
		put(l, "\":\"");
		put_escaped(l, value, true, sizeof(l->buf) - 16);
		put(l, "\"");
	}
}

static void write_line(const struct line *l)
{
	ssize_t n;

	do
		n = write(state.fd, l->buf, l->len);
	while (n < 0 && errno == EINTR);
}

static void emit(enum log_level level, const char *msg)
{
	struct timespec now;
	struct line l = { .len = 0 };
	char stamp[DATE_SIZE];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	date_text(now.tv_sec, stamp);
	n = strlen(stamp) - 1;
	snprintf(stamp + n, sizeof(stamp) - n, ".%03ldZ", now.tv_nsec / 1000000);
	if (state.json) {
		put(&l, "{\"ts\":\"");
		put(&l, stamp);
		put(&l, "\",\"level\":\"");
		put(&l, level_names[level]);
		put(&l, "\",\"app\":\"");
		put_escaped(&l, state.app, true, 256);
		put(&l, "\",\"msg\":\"");
		put_escaped(&l, msg, true, sizeof(l.buf) - LINE_TAIL);
		put(&l, "\"");
		if (context)
			put_context_json(&l);
		put(&l, "}");
	} else {
		put(&l, stamp);
		put(&l, " ");
		put(&l, level_names[level]);
		put(&l, " ");
		put(&l, state.app);
		put(&l, ": ");
		put_escaped(&l, msg, false, sizeof(l.buf) - LINE_TAIL);
		if (context) {
			put(&l, " ");
			put_escaped(&l, context, false, sizeof(l.buf) - 16);
		}
	}
	put(&l, "\n");
	write_line(&l);
}

static void log_v(enum log_level level, const struct err *e, const char *format, va_list ap)
{
	int saved = errno;
	char msg[ERR_MSG_MAX + 512];
	size_t len;

	if (level > state.level)
		return;
	vsnprintf(msg, sizeof(msg), format, ap);
	len = strlen(msg);
	if (e)
		snprintf(msg + len, sizeof(msg) - len, ": %s", e->msg);
	emit(level, msg);
	errno = saved;
}

#define LOG_FUNCTION(name, level)                                                                  \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, format);                                                              \
		log_v(level, NULL, format, ap);                                                    \
		va_end(ap);                                                                        \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void log_err(const struct err *e, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_v(LOG_LEVEL_ERROR, e, format, ap);
	va_end(ap);
}

void log_warn_err(const struct err *e, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_v(LOG_LEVEL_WARN, e, format, ap);
	va_end(ap);
}
