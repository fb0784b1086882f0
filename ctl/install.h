/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install.h - this binary and its CNI names in the folder where runtimes look for plugins.
 *
 * The binary is copied as "spiderbox"; each plugin name is a hard link to it, made under another
 * name and renamed: at any moment a name is absent, the old whole binary or the new whole one, and
 * an update never breaks a plugin that runs.  Hard links rather than symbolic ones, because a
 * runtime or an image tool that copies plugins by name copies the plugin then.  Where the file
 * system has no hard links, copies.
 *
 * A file of such a name that is not ours is left alone: somebody else's networks may use it.  Ours
 * is told by a mark in its contents; a stranger's program is never run.
 */
#ifndef CTL_INSTALL_H
#define CTL_INSTALL_H

#include "base/err.h"
#include "base/mono.h"

enum install_result {
	INSTALL_DONE,      /* new, or replaced an older one of ours */
	INSTALL_UNCHANGED, /* was there */
	INSTALL_FOREIGN,   /* left alone: not ours */
	INSTALL_REMOVED,
	INSTALL_ABSENT /* nothing to remove */
};

/* "spiderbox" first, then the plugin names; NULL-terminated. */
#define INSTALL_NAMES 6
extern const char *const install_names[INSTALL_NAMES + 1];

/*
 * Puts the program `exe` (a path, "/proc/self/exe") into bin_dir.  Waits until the deadline for
 * another install that is under way.  results[i] is for install_names[i].  An interrupted run
 * leaves whole files only, and what is left of it is removed by the next.
 */
int install_run(const char *exe, const char *bin_dir, struct mono deadline,
                enum install_result results[INSTALL_NAMES], struct err *e) MUST_USE;

/* Removes those names that are ours. */
int install_undo(const char *bin_dir, struct mono deadline,
                 enum install_result results[INSTALL_NAMES], struct err *e) MUST_USE;

/* ERR_CONFIG unless it is a folder that can be written to. */
int install_check_dir(const char *dir, const char *what, struct err *e) MUST_USE;

#endif
