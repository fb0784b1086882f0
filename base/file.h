/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h - whole files read with a limit and written atomically.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

/* open(2) with O_CLOEXEC, for which musl's open() makes a second call. */
static inline int file_open(const char *path, int flags, mode_t mode)
{
	return openat(AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

/*
 * Appends the whole file to out.  ERR_NOT_FOUND when it is not there, ERR_CONFIG when it is longer
 * than max bytes, ERR_SYS otherwise.
 */
int file_read(const char *path, size_t max, struct str *out, struct err *e) MUST_USE;

/* The same for folders that others write to: ERR_CONFIG for what is no regular file, such as a FIFO
 * that would be waited for. */
int file_read_regular(const char *path, size_t max, struct str *out, struct err *e) MUST_USE;

/* The same from a descriptor (borrowed), to its end; `name` is for messages. */
int file_read_fd(int fd, const char *name, size_t max, struct str *out, struct err *e) MUST_USE;

/* Bytes of a name that file_write() can write: NAME_MAX is 255, and its temporary file has 8 more.
 */
#define FILE_NAME_MAX 247

enum file_flags {
	FILE_DURABLE = 1 << 0, /* fsync the file and its folder: it survives a power cut */
	FILE_EXCL = 1 << 1,    /* ERR_EXISTS when the name is taken */
	/* ERR_NOT_FOUND when the name is not there: who removes it meanwhile does not get it back.
	 * Where a file system cannot do that in one step (NFS), it is looked for just before. */
	FILE_REPLACE = 1 << 2,
	/*
	 * Nobody else writes or removes this name meanwhile.  The temporary file of a writer that
	 * was killed is then found by the next file_write(), and by file_remove() with this flag.
	 */
	FILE_SOLE = 1 << 3,
};

/*
 * Writes a temporary file ".NAME.XXXXXX" (six characters) in the same folder and renames it:
 * readers see the old contents or the new, whole.  On failure nothing is left behind, except that
 * the new contents stand when only the folder's fsync after the rename failed.
 */
int file_write(const char *path, const void *data, size_t len, mode_t mode, enum file_flags flags,
               struct err *e) MUST_USE;

/* Like file_write, copying from the descriptor `from` (borrowed, at its current offset). */
int file_copy_fd(int from, const char *path, mode_t mode, enum file_flags flags,
                 struct err *e) MUST_USE;

/* Removes the temporary files of writers that were killed: those older than a minute.  Best effort.
 */
void file_sweep(const char *dir);
/* The same for the writers of one file, in a folder that other programs write to as well. */
void file_sweep_of(const char *path);

/* Removes the name; *existed (may be NULL) tells whether it was there.  Absent is success. */
int file_remove(const char *path, enum file_flags flags, bool *existed, struct err *e) MUST_USE;

/* mkdir -p with this mode for what is new. */
int file_mkdirs(const char *path, mode_t mode, struct err *e) MUST_USE;

/*
 * Names in a folder (not "." and "..", not names that begin with a dot), sorted; *names is an
 * owned array of owned strings, freed with file_list_free.  A missing folder is an empty list.
 */
int file_list(const char *dir, char ***names, size_t *count, struct err *e) MUST_USE;
void file_list_free(char **names, size_t count);

#endif
