/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c - see lock.h */
#include <errno.h>

#include "base/lock.h"

#define STEP_MS 1

int lock_fd(int fd, int how, struct mono deadline, const char *what, struct err *e)
{
	while (flock(fd, how | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(e, errno, "lock %s", what);
		if (mono_passed(deadline))
			return err_set(e, ERR_TIMEOUT, "lock %s: held by another process", what);
		mono_sleep_until(mono_in(STEP_MS));
	}
	return 0;
}
