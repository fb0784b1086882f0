/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.c - filling, completing and wrapping a struct err.  Control characters that came from
 * outside are replaced, and so is what is no UTF-8 (also half a character where a message was cut),
 * so that a message is one line, and a JSON string, wherever it is printed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

static void clean(char *s)
{
	while (*s) {
		size_t n = utf8_length(s);

		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
		else if (!n)
			*s = '?';
		s += n ? n : 1;
	}
}

static void set_v(struct err *e, enum err_kind kind, int sys, const char *fmt, va_list ap)
{
	/* built aside: an argument may point into e->msg */
	char msg[ERR_MSG_MAX];

	vsnprintf(msg, sizeof(msg), fmt, ap);
	clean(msg);
	e->kind = kind;
	e->sys = sys;
	e->retry_ms = 0;
	memcpy(e->msg, msg, sizeof(msg));
}

void err_fill(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	set_v(e, kind, 0, fmt, ap);
	va_end(ap);
}

void err_fill_sys(struct err *e, int sys, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	if (!e)
		return;
	va_start(ap, fmt);
	set_v(e, ERR_SYS, sys, fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	snprintf(e->msg + len, sizeof(e->msg) - len, ": %s", strerror(sys));
	clean(e->msg);
}

void err_prefix(struct err *e, const char *fmt, ...)
{
	char context[ERR_MSG_MAX], inner[ERR_MSG_MAX];
	va_list ap;
	size_t len;

	if (!e)
		return;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	memcpy(inner, e->msg, sizeof(inner));
	len = strlen(context);
	memcpy(e->msg, context, len + 1);
	snprintf(e->msg + len, sizeof(e->msg) - len, ": %s", inner);
	clean(e->msg);
}

void err_assign(struct err *to, const struct err *from)
{
	if (to)
		memmove(to, from, sizeof(*to));
}
