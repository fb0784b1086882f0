/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint.h - places where a test has the process killed.  They are nothing at all in the
 * product; tests/chaos builds a binary of the same sources with -DFAILPOINTS.
 *
 * There $SPIDERBOX_FAILPOINT, "NAME" or "NAME:N", says which one kills, at its first or Nth
 * passage.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#ifdef FAILPOINTS
void failpoint(const char *name);
/* Its name is that of the file's folder, "-" and where: "releases-unwritten". */
void failpoint_file(const char *path, const char *where);
#else
#define failpoint(name) ((void)0)
#define failpoint_file(path, where) ((void)0)
#endif

#endif
