/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install.c - the CNI folder: one binary, several names, atomically.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lock.h"
#include "base/str.h"
#include "ctl/install.h"

/* A file that is longer than this is no binary of ours. */
#define BINARY_MAX (16 * 1024 * 1024)

const char *const install_names[INSTALL_NAMES + 1] = { "spiderbox",   "spiderpool", "ipvlan",
	                                               "coordinator", "ifacer",     "multus",
	                                               NULL };

/* What is searched for stands in the binary itself: that is the mark. */
static const char mark[] = "mark of the spiderbox binary 0b1d6c52-7a3e-4f0c-9a55-6f1f2f1b6f9e";

int install_check_dir(const char *dir, const char *what, struct err *e)
{
	struct stat st;

	if (stat(dir, &st) < 0)
		return err_sys(e, errno, "%s %s", what, dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_CONFIG, "%s %s is not a folder", what, dir);
	if (access(dir, W_OK | X_OK) < 0)
		return err_sys(e, errno, "%s %s cannot be written to", what, dir);
	return 0;
}

/* One installer at a time; the lock goes with the descriptor. */
static int lock_dir(const char *dir, struct mono deadline, int *out, struct err *e)
{
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "open %s", dir);
	if (lock_fd(fd, LOCK_EX, deadline, dir, e) < 0)
		return -1;
	*out = take_fd(&fd);
	return 0;
}

/* ".NAME.XXXXXX" of file_write(), or ".NAME.link" of ours. */
static bool is_leftover(const char *entry)
{
	for (size_t i = 0; install_names[i]; i++) {
		size_t n = strlen(install_names[i]);
		const char *rest = entry + 1 + n;

		if (entry[0] != '.' || strncmp(entry + 1, install_names[i], n) != 0)
			continue;
		if (streq(rest, ".link") || (rest[0] == '.' && strlen(rest) == 7))
			return true;
	}
	return false;
}

/* What a killed run left.  Under the lock, so that they are nobody's. */
static void clean(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (is_leftover(entry->d_name))
			(void)unlinkat(dirfd(d), entry->d_name, 0); /* best effort: only untidy */
	if (d)
		closedir(d);
}

/* *st.st_mode is 0 when there is nothing of that name; a link is followed, a dangling one is there.
 */
static int look(const char *path, struct stat *st, struct err *e)
{
	memset(st, 0, sizeof(*st));
	if (stat(path, st) == 0)
		return 0;
	if (errno == ENOENT && lstat(path, st) == 0)
		return 0;
	st->st_mode = 0;
	return errno == ENOENT ? 0 : err_sys(e, errno, "stat %s", path);
}

static int is_ours(const char *path, const struct stat *st, bool *out, struct err *e)
{
	AUTO_STR text = STR_INIT;

	*out = false;
	if (!S_ISREG(st->st_mode) || st->st_size > BINARY_MAX)
		return 0;
	if (file_read(path, BINARY_MAX, &text, e) < 0)
		return -1;
	*out = mem_find(text.data, text.len, mark, sizeof(mark) - 1);
	return 0;
}

static int same_contents(const char *a, const char *b, bool *out, struct err *e)
{
	AUTO_STR x = STR_INIT;
	AUTO_STR y = STR_INIT;

	if (file_read(a, BINARY_MAX, &x, e) < 0 || file_read(b, BINARY_MAX, &y, e) < 0)
		return -1;
	*out = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	return 0;
}

static int copy_binary(const char *exe, const char *path, struct err *e)
{
	AUTO_FD int from = open(exe, O_RDONLY | O_CLOEXEC);

	if (from < 0)
		return err_sys(e, errno, "open %s", exe);
	return file_copy_fd(from, path, 0755, FILE_DURABLE, e);
}

static int put_binary(const char *exe, const char *path, enum install_result *out, struct err *e)
{
	struct stat st;
	bool ours, same = false;

	if (look(path, &st, e) < 0)
		return -1;
	if (st.st_mode) {
		if (is_ours(path, &st, &ours, e) < 0)
			return -1;
		if (!ours)
			return err_set(e, ERR_CONFIG,
			               "%s is there and is not this program: move it away", path);
		if (same_contents(exe, path, &same, e) < 0)
			return -1;
	}
	*out = same ? INSTALL_UNCHANGED : INSTALL_DONE;
	if (same && (st.st_mode & 0777) == 0755)
		return 0;
	*out = INSTALL_DONE;
	return copy_binary(exe, path, e);
}

/* The link under another name first: rename replaces what is there in one step. */
static int put_link(const char *binary, const char *path, const char *dir, const char *name,
                    struct err *e)
{
	AUTO_FREE char *tmp = xasprintf("%s/.%s.link", dir, name);

	if (link(binary, tmp) < 0) {
		if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK)
			return copy_binary(binary, path, e);
		return err_sys(e, errno, "link %s to %s", path, binary);
	}
	if (rename(tmp, path) < 0) {
		int sys = errno;

		(void)unlink(tmp); /* the rename's error is the one to report */
		return err_sys(e, sys, "rename to %s", path);
	}
	return 0;
}

static int put_name(const char *binary, const char *dir, const char *name, enum install_result *out,
                    struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	struct stat st, bin, own;
	bool ours, same;

	if (look(path, &st, e) < 0)
		return -1;
	if (!st.st_mode) {
		*out = INSTALL_DONE;
		return put_link(binary, path, dir, name, e);
	}
	if (is_ours(path, &st, &ours, e) < 0)
		return -1;
	if (!ours) {
		*out = INSTALL_FOREIGN;
		return 0;
	}
	if (stat(binary, &bin) < 0 || lstat(path, &own) < 0)
		return err_sys(e, errno, "stat %s", binary);
	if (same_contents(binary, path, &same, e) < 0)
		return -1;
	/* the same file, or (no hard links here) a copy of it; a symbolic link is made a real one
	 */
	*out = same && S_ISREG(own.st_mode) ? INSTALL_UNCHANGED : INSTALL_DONE;
	if (*out == INSTALL_UNCHANGED && own.st_ino == bin.st_ino)
		return 0;
	return put_link(binary, path, dir, name, e);
}

int install_run(const char *exe, const char *bin_dir, struct mono deadline,
                enum install_result results[INSTALL_NAMES], struct err *e)
{
	AUTO_FREE char *binary = xasprintf("%s/%s", bin_dir, install_names[0]);
	AUTO_FD int lock = -1;

	if (install_check_dir(bin_dir, "plugin folder", e) < 0 ||
	    lock_dir(bin_dir, deadline, &lock, e) < 0)
		return -1;
	clean(bin_dir);
	if (put_binary(exe, binary, &results[0], e) < 0)
		return -1;
	for (size_t i = 1; install_names[i]; i++)
		if (put_name(binary, bin_dir, install_names[i], &results[i], e) < 0)
			return -1;
	if (fsync(lock) < 0)
		return err_sys(e, errno, "fsync %s", bin_dir);
	return 0;
}

int install_undo(const char *bin_dir, struct mono deadline,
                 enum install_result results[INSTALL_NAMES], struct err *e)
{
	AUTO_FD int lock = -1;

	if (install_check_dir(bin_dir, "plugin folder", e) < 0 ||
	    lock_dir(bin_dir, deadline, &lock, e) < 0)
		return -1;
	clean(bin_dir);
	/* the binary last: an interrupted run can be run again from there */
	for (size_t i = INSTALL_NAMES; i-- > 0;) {
		AUTO_FREE char *path = xasprintf("%s/%s", bin_dir, install_names[i]);
		struct stat st;
		bool ours = false;

		if (look(path, &st, e) < 0 || (st.st_mode && is_ours(path, &st, &ours, e) < 0))
			return -1;
		if (!ours) {
			results[i] = st.st_mode ? INSTALL_FOREIGN : INSTALL_ABSENT;
			continue;
		}
		if (file_remove(path, FILE_DURABLE, NULL, e) < 0)
			return -1;
		results[i] = INSTALL_REMOVED;
	}
	return 0;
}
