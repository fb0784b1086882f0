/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - flock(2) with a deadline.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <sys/file.h>

#include "base/err.h"
#include "base/mono.h"

/*
 * Locks what fd refers to (LOCK_SH or LOCK_EX), for work as short as one small write: waiting for a
 * holder goes in steps of a millisecond, which is simpler than a signal.  The lock goes by LOCK_UN,
 * or with the last copy of the descriptor.  ERR_TIMEOUT when another process still holds it at the
 * deadline; `what` is for messages.
 */
int lock_fd(int fd, int how, struct mono deadline, const char *what, struct err *e) MUST_USE;

#endif
