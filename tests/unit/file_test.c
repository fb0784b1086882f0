/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/file.c base/str.c base/err.c base/mem.c */
/* flags: -Wl,--wrap=fsync,--wrap=rename,--wrap=link,--wrap=syscall */
/*
 * file_test.c - files written whole or not at all, in an order that survives a power cut, bounded
 * reads.  fsync, rename and link are watched, and made to fail; renameat2 as well.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static char dir[] = "/tmp/file_test.XXXXXX";
static struct str trace = STR_INIT;
static int fsyncs_until_failure = -1, exchange_fails;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);

int __wrap_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	str_add(&trace, S_ISDIR(st.st_mode) ? "fsync-folder " : "fsync-file ");
	if (fsyncs_until_failure >= 0 && fsyncs_until_failure-- == 0) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
	str_add(&trace, "rename ");
	return __real_rename(from, to);
}

int __wrap_link(const char *from, const char *to)
{
	str_add(&trace, "link ");
	return __real_link(from, to);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, int at, const char *from, int to_at, const char *to, int flags);
long __wrap_syscall(long number, int at, const char *from, int to_at, const char *to, int flags)
{
	assert_int_equal(number, SYS_renameat2);
	errno = exchange_fails;
	return exchange_fails ? -1 : __real_syscall(number, at, from, to_at, to, flags);
}

static const char *in_dir(const char *name)
{
	static char path[2][400];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

/* Everything in the folder, hidden or not, but "." and "..". */
static int entries(void)
{
	DIR *d = opendir(dir);
	int n = -2;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	(void)state;
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	str_reset(&trace, 0);
	fsyncs_until_failure = -1;
	exchange_fails = 0;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	(void)state;
	while (d && (entry = readdir(d))) {
		(void)unlink(in_dir(entry->d_name));
		if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
			(void)rmdir(in_dir(entry->d_name));
	}
	if (d)
		closedir(d);
	str_release(&trace);
	return rmdir(dir);
}

static void check_text(const char *name, const char *wanted)
{
	AUTO_STR text = STR_INIT;
	struct err e;

	if (file_read(in_dir(name), 1000, &text, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(text.data, wanted);
}

static void written_whole(void **state)
{
	struct stat st;
	mode_t old = umask(077);
	struct err e;

	(void)state;
	assert_int_equal(file_write(in_dir("a"), "one", 3, 0644, 0, &e), 0);
	assert_int_equal(file_write(in_dir("a"), "two!", 4, 0640, 0, &e), 0);
	umask(old);
	check_text("a", "two!");
	assert_int_equal(stat(in_dir("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_string_equal(trace.data, "rename rename ");
	assert_int_equal(entries(), 1);
	assert_int_equal(file_write(in_dir("b"), NULL, 0, 0600, 0, &e), 0);
	check_text("b", "");
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(file_write("c", "here", 4, 0600, FILE_DURABLE, &e), 0);
	assert_int_equal(chdir("/"), 0);
	check_text("c", "here");
}

/* The data before the name, the name before the return. */
static void durable(void **state)
{
	bool existed = false;
	struct err e;

	(void)state;
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, FILE_DURABLE, &e), 0);
	assert_string_equal(trace.data, "fsync-file rename fsync-folder ");
	str_reset(&trace, 0);
	assert_int_equal(file_write(in_dir("b"), "x", 1, 0600, FILE_DURABLE | FILE_EXCL, &e), 0);
	assert_string_equal(trace.data, "fsync-file link fsync-folder ");
	assert_int_equal(entries(), 2);
	str_reset(&trace, 0);
	assert_int_equal(file_remove(in_dir("a"), FILE_DURABLE, &existed, &e), 0);
	assert_true(existed);
	assert_string_equal(trace.data, "fsync-folder ");
	assert_int_equal(entries(), 1);
}

static void failing_disk(void **state)
{
	struct err e;

	(void)state;
	fsyncs_until_failure = 0;
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, FILE_DURABLE, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EIO);
	assert_true(str_starts(e.msg, "fsync /tmp/file_test."));
	assert_true(str_ends(e.msg, "/a: Input/output error"));
	assert_int_equal(entries(), 0);
	fsyncs_until_failure = 1;
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, FILE_DURABLE | FILE_EXCL, &e), -1);
	assert_int_equal(e.sys, EIO);
	assert_int_equal(entries(), 0);
	fsyncs_until_failure = 1;
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, FILE_DURABLE, &e), -1);
	check_text("a", "x");
	assert_int_equal(entries(), 1);
}

static void full_disk(void **state)
{
	struct rlimit old, small;
	static char big[20000];
	struct err e;
	int rc;

	(void)state;
	assert_int_equal(file_write(in_dir("a"), "old", 3, 0600, 0, &e), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 10000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = file_write(in_dir("a"), big, sizeof(big), 0600, 0, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(e.sys, EFBIG);
	assert_true(str_ends(e.msg, "/a: File too large"));
	check_text("a", "old");
	assert_int_equal(entries(), 1);
}

static void nothing_left_behind(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(mkdir(in_dir("folder"), 0700), 0);
	assert_int_equal(file_write(in_dir("folder"), "x", 1, 0600, 0, &e), -1);
	assert_int_equal(e.sys, EISDIR);
	assert_int_equal(entries(), 1);
	assert_int_equal(file_write(in_dir("folder"), "x", 1, 0600, FILE_EXCL, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_int_equal(entries(), 1);
	assert_int_equal(file_write(in_dir("nope/x"), "x", 1, 0600, 0, &e), -1);
	assert_int_equal(e.sys, ENOENT);
	assert_true(str_starts(e.msg, "create a temporary file for /tmp/file_test."));
	assert_int_equal(file_write(in_dir("nope/x"), "x", 1, 0600, 0, NULL), -1);
	assert_int_equal(entries(), 1);
}

static void exclusive(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(file_write(in_dir("a"), "first", 5, 0600, FILE_EXCL, &e), 0);
	assert_int_equal(file_write(in_dir("a"), "second", 6, 0600, FILE_EXCL, &e), -1);
	assert_int_equal(e.kind, ERR_EXISTS);
	assert_int_equal(e.sys, EEXIST);
	check_text("a", "first");
	assert_int_equal(entries(), 1);
}

/* Whatever is there, and never what is not. */
static void replaces(void **state)
{
	struct stat st;
	struct err e;

	(void)state;
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, FILE_REPLACE, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(e.sys, ENOENT);
	assert_int_equal(entries(), 0);
	assert_int_equal(file_write(in_dir("a"), "first", 5, 0600, 0, &e), 0);
	str_reset(&trace, 0);
	assert_int_equal(file_write(in_dir("a"), "second", 6, 0640, FILE_REPLACE, &e), 0);
	check_text("a", "second");
	assert_int_equal(stat(in_dir("a"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(entries(), 1);
	assert_string_equal(trace.data, ""); /* rename would bring back what is removed */
}

/* A file system that cannot do it in one step. */
static void replaces_in_two_steps(void **state)
{
	struct err e;

	(void)state;
	exchange_fails = EINVAL;
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, FILE_REPLACE, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(entries(), 0);
	assert_int_equal(file_write(in_dir("a"), "first", 5, 0600, 0, &e), 0);
	assert_int_equal(file_write(in_dir("a"), "second", 6, 0600, FILE_REPLACE, &e), 0);
	check_text("a", "second");
	assert_int_equal(entries(), 1);
	exchange_fails = EACCES;
	assert_int_equal(file_write(in_dir("a"), "third", 5, 0600, FILE_REPLACE, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(entries(), 1);
}

static void copies(void **state)
{
	static char big[40000];
	AUTO_STR back = STR_INIT;
	AUTO_FD int from = -1;
	struct stat st;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	assert_int_equal(file_write(in_dir("a"), big, sizeof(big), 0600, 0, &e), 0);
	from = open(in_dir("a"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(lseek(from, 5, SEEK_SET), 5);
	assert_int_equal(file_copy_fd(from, in_dir("b"), 0755, 0, &e), 0);
	assert_int_equal(file_read(in_dir("b"), sizeof(big), &back, &e), 0);
	assert_int_equal(back.len, sizeof(big) - 5);
	assert_memory_equal(back.data, big + 5, back.len);
	assert_int_equal(stat(in_dir("b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);

	assert_int_equal(file_copy_fd(1 << 20, in_dir("c"), 0755, 0, &e), -1);
	assert_int_equal(e.sys, EBADF);
	assert_true(str_starts(e.msg, "copy to /tmp/file_test."));
	assert_int_equal(file_copy_fd(-1, in_dir("c"), 0755, 0, &e), -1);
	assert_int_equal(entries(), 2);
}

static void bounded_reads(void **state)
{
	static char big[20000];
	AUTO_STR text = STR_INIT;
	struct err e;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(file_write(in_dir("a"), big, sizeof(big), 0600, 0, &e), 0);
	str_add(&text, "kept");
	assert_int_equal(file_read(in_dir("a"), sizeof(big) - 1, &text, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_true(str_ends(e.msg, "/a is longer than 19999 bytes"));
	assert_string_equal(text.data, "kept");
	assert_int_equal(file_read(in_dir("a"), sizeof(big), &text, &e), 0);
	assert_int_equal(text.len, 4 + sizeof(big));
	str_reset(&text, 4);
	assert_int_equal(file_read(in_dir("nope"), 10, &text, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(e.sys, ENOENT);
	assert_int_equal(file_read(in_dir("a/b"), 10, &text, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(file_read(dir, 10, &text, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(e.sys, EISDIR);
	assert_string_equal(text.data, "kept");
	assert_int_equal(file_write(in_dir("empty"), "", 0, 0600, 0, &e), 0);
	assert_int_equal(file_read(in_dir("empty"), 0, &text, &e), 0);
	assert_string_equal(text.data, "kept");
	/* no end and no size */
	assert_int_equal(file_read("/dev/zero", 100000, &text, &e), -1);
	assert_string_equal(e.msg, "/dev/zero is longer than 100000 bytes");
}

static void removes(void **state)
{
	bool existed = true;
	struct err e;

	(void)state;
	assert_int_equal(file_remove(in_dir("a"), FILE_DURABLE, &existed, &e), 0);
	assert_false(existed);
	assert_string_equal(trace.data, "");
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, 0, &e), 0);
	assert_int_equal(file_remove(in_dir("a"), 0, NULL, &e), 0);
	assert_int_equal(entries(), 0);
	assert_int_equal(mkdir(in_dir("d"), 0700), 0);
	assert_int_equal(file_remove(in_dir("d"), 0, &existed, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
}

/* Of a writer that was killed; what may still be written, or is no temporary file, stays. */
/* A file that was written more than a minute ago. */
static void put_old(const char *name)
{
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 61 },
		                         { .tv_sec = time(NULL) - 61 } };

	assert_int_equal(file_write(in_dir(name), "x", 1, 0600, 0, NULL), 0);
	assert_int_equal(utimensat(AT_FDCWD, in_dir(name), old, 0), 0);
}

static void sweeps(void **state)
{
	static const char *const names[] = { ".a.json.AbC123", ".b.json.AbC123", ".deleted",
		                             "c.AbC123", ".d.json.AbC1234" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		put_old(names[i]);
	assert_int_equal(file_write(in_dir(names[1]), "x", 1, 0600, 0, &e), 0); /* is new */
	file_sweep(in_dir("none"));
	file_sweep(dir);
	assert_int_equal(access(in_dir(names[0]), F_OK), -1);
	for (size_t i = 1; i < ARRAY_LEN(names); i++)
		assert_int_equal(file_remove(in_dir(names[i]), 0, NULL, &e), 0);
	assert_int_equal(entries(), 0);
}

/* Other programs' are left alone. */
static void sweeps_one_name(void **state)
{
	static const char *const names[] = { ".a.json.AbC123", ".b.a.json.AbC123", ".a.jso.AbC123",
		                             ".a.json.AbC12", "a.json" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		put_old(names[i]);
	file_sweep_of(in_dir("none/a.json"));
	file_sweep_of(in_dir("a.json"));
	assert_int_equal(access(in_dir(names[0]), F_OK), -1);
	for (size_t i = 1; i < ARRAY_LEN(names); i++) {
		assert_int_equal(access(in_dir(names[i]), F_OK), 0);
		assert_int_equal(file_remove(in_dir(names[i]), 0, NULL, &e), 0);
	}
}

/* What a writer that was killed had begun is in nobody's way, and goes with the file. */
static void sole_writer(void **state)
{
	AUTO_STR text = STR_INIT;
	bool existed = true;
	struct err e;

	(void)state;
	assert_int_equal(file_write(in_dir(".a.writer"), "half", 4, 0600, 0, &e), 0);
	assert_int_equal(file_write(in_dir("a"), "whole", 5, 0640, FILE_SOLE, &e), 0);
	assert_int_equal(entries(), 1);
	assert_int_equal(file_read(in_dir("a"), 100, &text, &e), 0);
	assert_string_equal(text.data, "whole");
	assert_int_equal(file_write(in_dir(".a.writer"), "half", 4, 0600, 0, &e), 0);
	assert_int_equal(file_remove(in_dir("a"), FILE_SOLE, &existed, &e), 0);
	assert_true(existed);
	assert_int_equal(file_write(in_dir(".a.writer"), "half", 4, 0600, 0, &e), 0);
	assert_int_equal(file_remove(in_dir("a"), FILE_SOLE, &existed, &e), 0);
	assert_false(existed);
	assert_int_equal(entries(), 0);
	assert_int_equal(mkdir(in_dir(".a.writer"), 0700), 0);
	assert_int_equal(file_write(in_dir("a"), "x", 1, 0600, FILE_SOLE, &e), -1);
	assert_int_equal(rmdir(in_dir(".a.writer")), 0);
}

static void only_regular_files(void **state)
{
	AUTO_STR text = STR_INIT;
	struct err e;

	(void)state;
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_int_equal(file_read_regular(in_dir("fifo"), 10, &text, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_true(str_ends(e.msg, "/fifo is no regular file"));
	assert_int_equal(file_read_regular(in_dir("none"), 10, &text, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(file_write(in_dir("file"), "x", 1, 0600, 0, &e), 0);
	assert_int_equal(symlink("file", in_dir("link")), 0);
	assert_int_equal(file_read_regular(in_dir("link"), 10, &text, &e), 0);
	assert_string_equal(text.data, "x");
	assert_int_equal(unlink(in_dir("fifo")) + unlink(in_dir("file")) + unlink(in_dir("link")),
	                 0);
}

static void makes_folders(void **state)
{
	struct stat st;
	struct err e;

	(void)state;
	assert_int_equal(file_mkdirs(in_dir("a/b//c/"), 0700, &e), 0);
	assert_int_equal(file_mkdirs(in_dir("a/b/c"), 0755, &e), 0);
	assert_int_equal(stat(in_dir("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(file_mkdirs("/", 0700, &e), 0);
	assert_int_equal(file_write(in_dir("file"), "x", 1, 0600, 0, &e), 0);
	assert_int_equal(file_mkdirs(in_dir("file"), 0700, &e), -1);
	assert_int_equal(e.sys, ENOTDIR);
	assert_true(str_ends(e.msg, "/file: Not a directory"));
	assert_int_equal(file_mkdirs(in_dir("file/"), 0700, &e), -1);
	assert_int_equal(file_mkdirs(in_dir("file/x"), 0700, &e), -1);
	assert_int_equal(e.sys, ENOTDIR);
	assert_int_equal(symlink("nowhere", in_dir("dangling")), 0);
	assert_int_equal(file_mkdirs(in_dir("dangling"), 0700, &e), -1);
	assert_int_equal(e.sys, ENOENT);
	assert_int_equal(rmdir(in_dir("a/b/c")), 0);
	assert_int_equal(rmdir(in_dir("a/b")), 0);
}

static void lists(void **state)
{
	char **names = NULL;
	size_t n = 77;
	struct err e;

	(void)state;
	assert_int_equal(file_list(in_dir("nope"), &names, &n, &e), 0);
	assert_int_equal(n, 0);
	file_list_free(names, n);
	for (int i = 29; i >= 0; i--) {
		char name[8];

		snprintf(name, sizeof(name), "f%02d", i);
		assert_int_equal(file_write(in_dir(name), "", 0, 0600, 0, &e), 0);
	}
	assert_int_equal(file_write(in_dir(".hidden"), "", 0, 0600, 0, &e), 0);
	assert_int_equal(file_list(dir, &names, &n, &e), 0);
	assert_int_equal(n, 30);
	assert_string_equal(names[0], "f00");
	assert_string_equal(names[29], "f29");
	file_list_free(names, n);
	names = NULL;
	assert_int_equal(file_list(in_dir("f00"), &names, &n, &e), -1);
	assert_int_equal(e.sys, ENOTDIR);
	assert_null(names);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(written_whole),
		test(durable),
		test(failing_disk),
		test(full_disk),
		test(exclusive),
		test(replaces),
		test(replaces_in_two_steps),
		test(copies),
		test(bounded_reads),
		test(removes),
		test(sweeps),
		test(sweeps_one_name),
		test(sole_writer),
		test(only_regular_files),
		test(makes_folders),
		test(lists),
		test(nothing_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
