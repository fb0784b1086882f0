/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_log.h - where a plugin's log lines go, as its configuration says (spec of the keys:
 * log_level, log_file_path, log_file_max_size, log_file_max_age, log_file_max_count).
 */
#ifndef PLUGINS_PLUGIN_LOG_H
#define PLUGINS_PLUGIN_LOG_H

#include "base/log.h"
#include "json/json.h"

struct plugin_log {
	enum log_level level; /* info */
	const char *path;     /* borrowed; NULL: stderr, which the runtime keeps */
	uint32_t max_mib;   /* the file is renamed to "PATH.1" (that one to ".2", ...) above, 100 */
	uint32_t max_days;  /* renamed files that are older are removed, 30 */
	uint32_t max_count; /* of renamed files, 10 */
};

/*
 * Numbers may stand in strings; zero and negative ones mean the default.  The original's levels
 * "fatal" and "panic" count as error.  ERR_CONFIG names the key.
 */
int plugin_log_read(const json *o, struct plugin_log *out, struct err *e) MUST_USE;

/* A file that cannot be written is no reason to fail a call: a warning, and stderr stays. */
void plugin_log_open(const char *app, const struct plugin_log *l);

#endif
