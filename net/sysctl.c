/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysctl.c - one value of /proc/sys/net, read or written in a namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "net/netns.h"
#include "net/sysctl.h"

static int open_key(int ns, const char *key, int flags, int *out, struct err *e)
{
	AUTO_FREE char *path = xasprintf("/proc/sys/net/%s", key);

	return netns_open_at(ns, path, flags, out, e);
}

static int write_value(int fd, const char *key, const char *value, struct err *e)
{
	if (pwrite(fd, value, strlen(value), 0) < 0)
		return err_sys(e, errno, "write \"%s\" to /proc/sys/net/%s", value, key);
	return 0;
}

static int read_value(int fd, const char *key, struct str *out, struct err *e)
{
	if (file_read_fd(fd, key, 4096, out, e) < 0)
		return -1;
	if (str_ends(out->data, "\n"))
		str_reset(out, out->len - 1);
	return 0;
}

int sysctl_write(int ns, const char *key, const char *value, struct err *e)
{
	AUTO_FD int fd = -1;

	return open_key(ns, key, O_WRONLY, &fd, e) < 0 ? -1 : write_value(fd, key, value, e);
}

int sysctl_set_fd(int fd, const char *key, const char *value, struct str *old, struct err *e)
{
	size_t start = old->len;

	if (read_value(fd, key, old, e) < 0)
		return -1;
	return streq(old->data + start, value) ? 0 : write_value(fd, key, value, e);
}

int sysctl_set(int ns, const char *key, const char *value, struct str *old, struct err *e)
{
	AUTO_FD int fd = -1;

	return open_key(ns, key, O_RDWR, &fd, e) < 0 ? -1 : sysctl_set_fd(fd, key, value, old, e);
}

int sysctl_read(int ns, const char *key, struct str *out, struct err *e)
{
	AUTO_FD int fd = -1;

	return open_key(ns, key, O_RDONLY, &fd, e) < 0 ? -1 : read_value(fd, key, out, e);
}
