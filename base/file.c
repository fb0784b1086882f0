/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - atomic and, on request, durable file writes; bounded reads.
 *
 * Durable means: the data is on the disk before the name points at it, and the name is on the disk
 * before the call returns.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/file.h"

#define SWEEP_S 60
#define READ_MAX 16384
#define SMALL 2048        /* what most files are; a long one is read in larger pieces */
#define EXCHANGE (1 << 1) /* RENAME_EXCHANGE, linux/fs.h */

int file_read_fd(int fd, const char *name, size_t max, struct str *out, struct err *e)
{
	size_t start = out->len;
	char small[SMALL];

	for (;;) {
		size_t had = out->len - start, piece = had < SMALL ? SMALL : READ_MAX;
		size_t room = max - had < piece ? max - had + 1 : piece;
		ssize_t n;

		if (room > SMALL)
			str_reserve(out, room);
		n = read(fd, room > SMALL ? out->data + out->len : small, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int sys = errno;

			str_reset(out, start);
			return err_sys(e, sys, "read %s", name);
		}
		if (n == 0)
			return 0;
		if (had + (size_t)n > max) {
			str_reset(out, start);
			return err_set(e, ERR_CONFIG, "%s is longer than %zu bytes", name, max);
		}
		if (room > SMALL)
			str_reset(out, out->len + (size_t)n);
		else
			str_addn(out, small, (size_t)n);
	}
}

int file_read(const char *path, size_t max, struct str *out, struct err *e)
{
	AUTO_FD int fd = file_open(path, O_RDONLY, 0);

	if (fd < 0) {
		int sys = errno;

		err_sys(e, sys, "open %s", path);
		if (e && (sys == ENOENT || sys == ENOTDIR))
			e->kind = ERR_NOT_FOUND;
		return -1;
	}
	return file_read_fd(fd, path, max, out, e);
}

int file_read_regular(const char *path, size_t max, struct str *out, struct err *e)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(e, ERR_CONFIG, "%s is no regular file", path);
	return file_read(path, max, out, e);
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
}

static int sync_folder(const char *path, struct err *e)
{
	AUTO_FREE char *dir = folder_of(path);
	AUTO_FD int fd = file_open(dir, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return err_sys(e, errno, "open %s", dir);
	if (fsync(fd) < 0)
		return err_sys(e, errno, "fsync %s", dir);
	return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_all(int from, int to)
{
	char buf[16384];

	for (;;) {
		ssize_t n = read(from, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		if (write_all(to, buf, (size_t)n) < 0)
			return -1;
	}
}

/* From data, or (NULL) from a descriptor.  fd is open on the temporary file; messages name path. */
static int fill(int fd, const char *path, int from, const void *data, size_t len, mode_t mode,
                enum file_flags flags, struct err *e)
{
	if ((data ? write_all(fd, data, len) : copy_all(from, fd)) < 0)
		return err_sys(e, errno, data ? "write %s" : "copy to %s", path);
	if (fchmod(fd, mode) < 0)
		return err_sys(e, errno, "chmod %s", path);
	if ((flags & FILE_DURABLE) && fsync(fd) < 0)
		return err_sys(e, errno, "fsync %s", path);
	return 0;
}

/* Two names change places, both of which have to be there; musl has no renameat2(2). */
static int replace(const char *tmp, const char *path)
{
	if (syscall(SYS_renameat2, AT_FDCWD, tmp, AT_FDCWD, path, EXCHANGE) == 0) {
		(void)unlink(tmp);
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return access(path, F_OK) < 0 ? -1 : rename(tmp, path);
}

static int publish(const char *tmp, const char *path, enum file_flags flags, struct err *e)
{
	failpoint_file(path, "unpublished");
	if (flags & FILE_EXCL) {
		/* link, unlike rename, refuses a name that is taken */
		if (link(tmp, path) < 0) {
			int sys = errno;

			err_sys(e, sys, "create %s", path);
			if (e && sys == EEXIST)
				e->kind = ERR_EXISTS;
			return -1;
		}
		(void)unlink(tmp);
	} else if (flags & FILE_REPLACE) {
		if (replace(tmp, path) < 0) {
			int sys = errno;

			err_sys(e, sys, "replace %s", path);
			if (e && sys == ENOENT)
				e->kind = ERR_NOT_FOUND;
			return -1;
		}
	} else if (rename(tmp, path) < 0) {
		return err_sys(e, errno, "rename to %s", path);
	}
	failpoint_file(path, "published");
	if (!(flags & FILE_DURABLE) || sync_folder(path, e) == 0)
		return 0;
	/* what was replaced is gone, what is new can go again */
	if (flags & FILE_EXCL)
		(void)unlink(path);
	return -1;
}

/* ".NAME.XXXXXX" for mkostemp(), or the one of FILE_SOLE; owned. */
static char *temporary(const char *path, enum file_flags flags)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	return xasprintf("%.*s.%s.%s", (int)(base - path), path, base,
	                 flags & FILE_SOLE ? "writer" : "XXXXXX");
}

static int write_from(int from, const char *path, const void *data, size_t len, mode_t mode,
                      enum file_flags flags, struct err *e)
{
	AUTO_FREE char *tmp = temporary(path, flags);
	AUTO_FD int fd = -1;

	if (flags & FILE_SOLE) {
		fd = file_open(tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
		/* of one that was killed */
		if (fd < 0 && errno == EEXIST && unlink(tmp) == 0)
			fd = file_open(tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
	} else {
		fd = mkostemp(tmp, O_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(e, errno, "create a temporary file for %s", path);
	failpoint_file(path, "unwritten");
	if (fill(fd, path, from, data, len, mode, flags, e) == 0 &&
	    publish(tmp, path, flags, e) == 0)
		return 0;
	(void)unlink(tmp); /* best effort: the first error is the one to report */
	return -1;
}

int file_write(const char *path, const void *data, size_t len, mode_t mode, enum file_flags flags,
               struct err *e)
{
	return write_from(-1, path, data ? data : "", len, mode, flags, e);
}

int file_copy_fd(int from, const char *path, mode_t mode, enum file_flags flags, struct err *e)
{
	return write_from(from, path, NULL, 0, mode, flags, e);
}

/* As temporary() names them; of: the name, NULL: any. */
static bool is_temporary(const char *name, const char *of)
{
	const char *dot = strrchr(name, '.');

	if (name[0] != '.' || dot == name || strlen(dot) != 7)
		return false;
	return !of ||
	       (strlen(of) == (size_t)(dot - name - 1) && strncmp(name + 1, of, strlen(of)) == 0);
}

static void sweep(const char *dir, const char *of)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	time_t now = time(NULL);
	struct stat st;

	while (d && (entry = readdir(d)))
		if (is_temporary(entry->d_name, of) &&
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && now - st.st_mtime > SWEEP_S)
			(void)unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
}

void file_sweep(const char *dir)
{
	sweep(dir, NULL);
}

void file_sweep_of(const char *path)
{
	AUTO_FREE char *dir = folder_of(path);
	const char *slash = strrchr(path, '/');

	sweep(dir, slash ? slash + 1 : path);
}

int file_remove(const char *path, enum file_flags flags, bool *existed, struct err *e)
{
	bool was = true;

	failpoint_file(path, "unremoved");
	if (flags & FILE_SOLE) {
		AUTO_FREE char *tmp = temporary(path, flags);

		(void)unlink(tmp); /* normally there is none */
	}
	if (unlink(path) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return err_sys(e, errno, "remove %s", path);
		was = false;
	}
	if (existed)
		*existed = was;
	return was && (flags & FILE_DURABLE) ? sync_folder(path, e) : 0;
}

int file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	AUTO_FREE char *copy = NULL;
	struct stat st;

	/* nearly always it is there */
	if (!*path || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	copy = xstrdup(path);
	for (char *p = copy + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return err_sys(e, errno, "mkdir %s", copy);
		*p = c;
		if (!c)
			break;
	}
	/* "exists" may have meant a file, or a link to nowhere */
	if (stat(path, &st) < 0)
		return err_sys(e, errno, "mkdir %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR, "mkdir %s", path);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int file_list(const char *dir, char ***names, size_t *count, struct err *e)
{
	DIR *d = opendir(dir);
	char **list = NULL;
	size_t n = 0, cap = 0;
	struct dirent *entry;
	int sys;

	if (!d && errno != ENOENT)
		return err_sys(e, errno, "open %s", dir);
	/* readdir tells the end and a failure apart by errno alone */
	while (d && (errno = 0, entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		list = xgrow(list, &cap, n + 1, sizeof(*list));
		list[n++] = xstrdup(entry->d_name);
	}
	sys = d ? errno : 0;
	if (d)
		closedir(d);
	if (sys) {
		file_list_free(list, n);
		return err_sys(e, sys, "read %s", dir);
	}
	if (n)
		qsort(list, n, sizeof(*list), compare_names);
	*names = list;
	*count = n;
	return 0;
}

void file_list_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}
