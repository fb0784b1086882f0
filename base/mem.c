/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - allocation that aborts instead of failing, and the cleanup functions of AUTO_*.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static _Noreturn void out_of_memory(void)
{
	static const char msg[] = "spiderbox: out of memory\n";
	ssize_t n = write(STDERR_FILENO, msg, sizeof(msg) - 1);

	(void)n; /* nothing is left to do about it */
	abort();
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

char *xstrndup(const char *s, size_t len)
{
	char *p = xmalloc(len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory();
	return s;
}

void *xgrow(void *p, size_t *cap, size_t want, size_t size)
{
	size_t n = *cap;

	if (want <= n)
		return p;
	if (n > SIZE_MAX / 2 || want > SIZE_MAX / size / 2)
		out_of_memory();
	n = n * 2 > want ? n * 2 : want;
	if (n < 8)
		n = 8;
	*cap = n;
	return xrealloc(p, n * size);
}

void mem_cleanup_free(void *pp)
{
	void *p;

	/* pp is a char **, a struct x **...: reading it as a void ** would alias */
	memcpy(&p, pp, sizeof(p));
	free(p);
}

void mem_cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
