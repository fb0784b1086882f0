/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns.c - the only caller of setns(): in, open what belongs to the namespace, and home again.
 */
#include <errno.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lock.h"
#include "net/netns.h"

static int open_path(const char *path, int *out, struct err *e)
{
	/* O_NONBLOCK: what is not a namespace may be a FIFO */
	int fd = file_open(path, O_RDONLY | O_NONBLOCK, 0), sys = errno;

	if (fd < 0) {
		err_fill_sys(e, sys, "open network namespace \"%s\"", path);
		if (e && (sys == ENOENT || sys == ENOTDIR || sys == ESRCH))
			e->kind = ERR_NOT_FOUND;
		return -1;
	}
	*out = fd;
	return 0;
}

int netns_open(const char *path, int *out, struct err *e)
{
	AUTO_FD int fd = -1;
	struct statfs fs;
	int type;

	if (open_path(path, &fd, e) < 0)
		return -1;
	if (fstatfs(fd, &fs) < 0)
		return err_sys(e, errno, "statfs %s", path);
	if (fs.f_type != NSFS_MAGIC)
		return err_set(e, ERR_CONFIG,
		               "%s is not a network namespace (unknown FS magic 0x%lx)", path,
		               (unsigned long)fs.f_type);
	type = ioctl(fd, NS_GET_NSTYPE);
	if (type >= 0 && type != CLONE_NEWNET) /* kernels before 4.11 do not tell */
		return err_set(e, ERR_CONFIG, "%s is a namespace, but not of the network", path);
	*out = take_fd(&fd);
	return 0;
}

/* There is no need to look at what the kernel itself calls so. */
int netns_open_self(int *out, struct err *e)
{
	return open_path("/proc/thread-self/ns/net", out, e);
}

int netns_same(int a, int b, bool *same, struct err *e)
{
	struct stat x, y;

	if (fstat(a, &x) < 0 || fstat(b, &y) < 0)
		return err_sys(e, errno, "stat a network namespace");
	*same = x.st_dev == y.st_dev && x.st_ino == y.st_ino;
	return 0;
}

int netns_inode(int fd, uint64_t *out, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat a network namespace");
	*out = st.st_ino;
	return 0;
}

static atomic_int kept_home = -1;

/* Of any thread, since all of them are at home whenever they come here. */
int netns_home(int *out, struct err *e)
{
	int fd = atomic_load(&kept_home), other = -1;

	if (fd < 0) {
		if (netns_open_self(&fd, e) < 0)
			return -1;
		if (!atomic_compare_exchange_strong(&kept_home, &other, fd)) {
			close(fd);
			fd = other;
		}
	}
	*out = fd;
	return 0;
}

/* Whose sockets are kept beside home's; -1: none are. */
static int reused = -1;

void netns_moved(void)
{
	int fd = atomic_exchange(&kept_home, -1);

	if (fd >= 0)
		close(fd);
	if (reused >= 0)
		nl_keep(true);
}

void netns_reuse(int fd)
{
	if (reused >= 0)
		return;
	reused = fd;
	nl_keep(true);
}

void netns_reuse_end(int fd)
{
	if (fd < 0 || fd != reused)
		return;
	reused = -1;
	nl_keep(false);
}

/* Enters fd's namespace; *home is where to go back to, and stays open. */
static int enter(int fd, int *home, struct err *e)
{
	if (netns_home(home, e) < 0)
		return -1;
	if (setns(fd, CLONE_NEWNET) < 0)
		return err_sys(e, errno, "enter the network namespace");
	return 0;
}

/* Going on in the wrong namespace would change somebody else's network: better not at all. */
static void leave(int home)
{
	if (setns(home, CLONE_NEWNET) < 0) {
		fprintf(stderr, "spiderbox: return to the own network namespace: %s\n",
		        strerror(errno));
		abort();
	}
}

int netns_lock(int fd, bool exclusive, struct mono deadline, struct err *e)
{
	return lock_fd(fd, exclusive ? LOCK_EX : LOCK_SH, deadline, "the network namespace", e);
}

bool netns_try_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

void netns_unlock(int fd)
{
	(void)flock(fd, LOCK_UN); /* fails only on what was never locked */
}

int netns_visit(int fd, int (*fn)(void *arg, struct err *e), void *arg, struct err *e)
{
	int home, rc;

	if (fd < 0)
		return fn(arg, e);
	if (enter(fd, &home, e) < 0)
		return -1;
	rc = fn(arg, e);
	leave(home);
	return rc;
}

int netns_nl(int fd, int protocol, struct nl **out, struct err *e)
{
	enum nl_place place = fd >= 0 && fd == reused ? NL_POD : NL_ELSEWHERE;
	int home, rc;

	if (nl_take(place, protocol, out))
		return 0;
	if (enter(fd, &home, e) < 0)
		return -1;
	rc = nl_open_at(place, protocol, out, e);
	leave(home);
	return rc;
}

int netns_socket(int fd, int domain, int type, int protocol, int *out, struct err *e)
{
	int home = -1, s, sys;

	if (fd >= 0 && enter(fd, &home, e) < 0)
		return -1;
	s = socket(domain, type | SOCK_CLOEXEC, protocol);
	sys = errno;
	if (fd >= 0)
		leave(home);
	if (s < 0)
		return err_sys(e, sys, "open a socket");
	*out = s;
	return 0;
}

int netns_open_at(int fd, const char *path, int flags, int *out, struct err *e)
{
	int home = -1, file, sys;

	if (fd >= 0 && enter(fd, &home, e) < 0)
		return -1;
	file = file_open(path, flags, 0);
	sys = errno;
	if (fd >= 0)
		leave(home);
	if (file < 0) {
		err_fill_sys(e, sys, "open %s", path);
		if (e && sys == ENOENT)
			e->kind = ERR_NOT_FOUND;
		return -1;
	}
	*out = file;
	return 0;
}
