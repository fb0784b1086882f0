/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_log.h - where a plugin's log lines go, as its configuration says: log_level,
 * log_file_path, log_file_max_size, log_file_max_age, log_file_max_count of "ipam"; or "logOptions"
 * with logLevel, logFile, logMaxSize, logMaxAge, logMaxCount.
 */
#ifndef PLUGINS_PLUGIN_LOG_H
#define PLUGINS_PLUGIN_LOG_H

#include "base/log.h"
#include "cni/cni.h"

struct plugin_log {
	enum log_level level; /* info */
	const char *path;     /* borrowed; NULL: stderr, which the runtime keeps */
	uint32_t max_mib;   /* the file is renamed to "PATH.1" (that one to ".2", ...) above, 100 */
	uint32_t max_days;  /* renamed files that are older are removed, 30 */
	uint32_t max_count; /* of renamed files, 10 */
};

/* Numbers may stand in strings; zero and negative ones mean the default.  Errors name the key. */
int plugin_log_read(const json *ipam, struct plugin_log *out, struct err *e) MUST_USE;
int plugin_log_read_options(const json *conf, struct plugin_log *out, struct err *e) MUST_USE;
/* logLevel ("verbose" is info), logFile, and logOptions with maxSize, maxAge, maxBackups. */
int plugin_log_read_multus(const json *conf, struct plugin_log *out, struct err *e) MUST_USE;

/*
 * The lines tell the pod, container and interface of the call.  A file that cannot be written is no
 * reason to fail it: a warning, and stderr stays.
 */
void plugin_log_open(const char *app, const struct plugin_log *l, const struct cni_call *c);

#endif
