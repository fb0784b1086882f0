/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysctl.c - values of /proc/sys/net, read and written in a namespace.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "net/netns.h"
#include "net/sysctl.h"

#define VALUE_MAX 4096 /* bytes */

/* The whole value comes with one read. */
static int read_value(int fd, const char *key, struct str *out, struct err *e)
{
	ssize_t n;

	str_reserve(out, VALUE_MAX);
	n = pread(fd, out->data + out->len, VALUE_MAX, 0);
	if (n < 0)
		return err_sys(e, errno, "read %s", key);
	if (n == VALUE_MAX)
		return err_set(e, ERR_CONFIG, "%s is longer than %d bytes", key, VALUE_MAX - 1);
	str_reset(out, out->len + (size_t)n);
	if (str_ends(out->data, "\n"))
		str_reset(out, out->len - 1);
	return 0;
}

static int do_one(struct sysctl *s, struct err *e)
{
	AUTO_FREE char *path = xasprintf("/proc/sys/net/%s", s->key);
	int mode = !s->value ? O_RDONLY : s->blind ? O_WRONLY : O_RDWR;
	AUTO_FD int fd = file_open(path, mode, 0);
	size_t start = s->was.len;

	if (fd < 0) {
		int sys = errno;

		s->missing = sys == ENOENT;
		if (s->missing && s->optional)
			return 0;
		err_fill_sys(e, sys, "open %s", path);
		if (e && s->missing)
			e->kind = ERR_NOT_FOUND;
		return -1;
	}
	if (mode != O_WRONLY && read_value(fd, s->key, &s->was, e) < 0)
		return -1;
	if (!s->value || (!s->blind && streq(s->was.data + start, s->value)))
		return 0;
	if (pwrite(fd, s->value, strlen(s->value), 0) < 0)
		return err_sys(e, errno, "write \"%s\" to %s", s->value, path);
	s->written = true;
	return 0;
}

struct list {
	struct sysctl *v;
	size_t n;
};

static int do_all(void *arg, struct err *e)
{
	const struct list *all = arg;

	for (size_t i = 0; i < all->n; i++)
		if (do_one(&all->v[i], e) < 0)
			return -1;
	return 0;
}

int sysctl_all(int ns, struct sysctl *v, size_t n, struct err *e)
{
	struct list all = { v, n };

	return netns_visit(ns, do_all, &all, e);
}

int sysctl_write(int ns, const char *key, const char *value, struct err *e)
{
	struct sysctl s = { .key = key, .value = value, .blind = true };

	return sysctl_all(ns, &s, 1, e);
}

int sysctl_read(int ns, const char *key, struct str *out, struct err *e)
{
	struct sysctl s = { .key = key, .was = *out };
	int rc = sysctl_all(ns, &s, 1, e);

	*out = s.was;
	return rc;
}
