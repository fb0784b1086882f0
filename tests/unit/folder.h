/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.h - a temporary folder of each test's own, and what is in it, by names below it: included
 * behind cmocka.h, by programs that link base/.
 */
#ifndef TESTS_UNIT_FOLDER_H
#define TESTS_UNIT_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static char folder[64];

static inline int folder_make(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/unit_test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static inline int folder_remove(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static inline char *file(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static inline void put(const char *name, const char *text, mode_t mode)
{
	AUTO_FREE char *path = file(name);
	struct err e;

	if (file_write(path, text, strlen(text), mode, 0, &e) < 0)
		fail_msg("%s", e.msg);
}

static inline void forget(const char *name)
{
	AUTO_FREE char *path = file(name);

	IGNORE(unlink(path));
}

static inline bool exists(const char *name)
{
	AUTO_FREE char *path = file(name);

	return access(path, F_OK) == 0;
}

static inline char *contents(const char *name)
{
	AUTO_FREE char *path = file(name);
	AUTO_STR text = STR_INIT;

	if (file_read(path, 1024 * 1024, &text, NULL) < 0)
		return xstrdup("(none)");
	return str_take(&text);
}

static inline void is(const char *name, const char *want)
{
	AUTO_FREE char *got = contents(name);

	assert_string_equal(got, want);
}

#endif
