/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint.c - death by SIGKILL, at once and wherever the other threads are.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"

#ifdef FAILPOINTS
static void pass(const char *name, size_t len)
{
	static atomic_ulong passed;
	const char *chosen = getenv("SPIDERBOX_FAILPOINT"), *count;

	if (!chosen || strncmp(chosen, name, len) != 0 || (chosen[len] && chosen[len] != ':'))
		return;
	count = chosen[len] ? chosen + len + 1 : "1";
	if (atomic_fetch_add(&passed, 1) + 1 >= strtoul(count, NULL, 10))
		raise(SIGKILL);
}

void failpoint(const char *name)
{
	pass(name, strlen(name));
}

void failpoint_file(const char *path, const char *where)
{
	AUTO_FREE char *folder = xstrdup(path);
	AUTO_FREE char *name = NULL;
	char *slash = strrchr(folder, '/');

	if (!slash)
		return;
	*slash = '\0';
	slash = strrchr(folder, '/');
	name = xasprintf("%s-%s", slash ? slash + 1 : folder, where);
	failpoint(name);
}
#endif
