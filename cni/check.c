/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - identifiers that outsiders choose.
 */
#include <stdbool.h>
#include <string.h>

#include "cni/check.h"

static bool is_alnum(char c)
{
	/* not isalnum(): that heeds the locale */
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int check_id(const char *what, const char *id, struct err *e)
{
	size_t len = strlen(id);

	if (len > CNI_ID_MAX)
		return err_set(e, ERR_CONFIG, "%s is longer than %d bytes", what, CNI_ID_MAX);
	for (const char *p = id; *p; p++)
		if (!is_alnum(*p) && (p == id || !strchr("_.-", *p)))
			return err_set(e, ERR_CONFIG,
			               "%s \"%s\" may hold letters, digits, \"_\", \".\" and \"-\" "
			               "and begins "
			               "with a letter or digit",
			               what, id);
	if (!len)
		return err_set(e, ERR_CONFIG, "%s is empty", what);
	return 0;
}
