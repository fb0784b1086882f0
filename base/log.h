/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line per event, one write(2) per line, errno kept.
 *
 * Text: "TIME LEVEL program: message key=value ...".  JSON: one object per line with the members
 * ts (RFC 3339, UTC), level, app, msg and the context's.  Control characters are escaped.
 * Only applets and the daemons' own loops log failures, once, where they are handled; lower layers
 * log at debug only.  Never a secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * Until this is called, lines go to stderr as text at level info.  fd is borrowed for the life of
 * the process and is never stdout: a CNI plugin's stdout carries one JSON document and nothing
 * else.
 */
void log_init(const char *app, int fd, bool json, enum log_level level);

/*
 * "error" "warn" "info" "debug" (any case; "warning" too, and the original's "fatal" and "panic",
 * which count as error); ERR_CONFIG for anything else.
 */
int log_parse_level(const char *s, enum log_level *out, struct err *e) MUST_USE;

/*
 * The context of this thread: "key=value key=value" text added to each of its lines, such as
 * "pod=default/web-0 cid=abc"; NULL or "" removes it, as a thread does before it ends.  Copied; cut
 * at 255 bytes.
 */
void log_ctx(const char *text);

void log_error(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);
void log_debug(const char *fmt, ...) PRINTF(1, 2);

/* "what: e->msg" at level error, or warn. */
void log_err(const struct err *e, const char *fmt, ...) PRINTF(2, 3);
void log_warn_err(const struct err *e, const char *fmt, ...) PRINTF(2, 3);

#endif
