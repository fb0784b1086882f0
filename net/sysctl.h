/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysctl.h - /proc/sys/net of a namespace.  Keys are written with slashes below "net/", so that an
 * interface name may hold a dot: "ipv4/conf/eth0.5/rp_filter".
 */
#ifndef NET_SYSCTL_H
#define NET_SYSCTL_H

#include <stdbool.h>

#include "base/str.h"

/* One of several. */
struct sysctl {
	const char *key;
	const char *value; /* to have: written unless it has that; NULL: read only */
	bool blind;        /* write without a look at what it has */
	bool optional;     /* may be missing */
	/* what came of it */
	bool missing;
	bool written;   /* it had another value, or nobody looked */
	struct str was; /* STR_INIT before, unless blind, which leaves it; to be released */
};

/*
 * Each in turn, in one visit to the namespace; what it had is appended to "was", without the
 * newline at its end.  Those before one that failed are done, and those after it are untouched.
 * ns: a namespace descriptor, or -1 for the calling thread's own.  ERR_NOT_FOUND: no such key.
 */
int sysctl_all(int ns, struct sysctl *v, size_t n, struct err *e) MUST_USE;

/* One, written blindly. */
int sysctl_write(int ns, const char *key, const char *value, struct err *e) MUST_USE;
/* One; appended to out. */
int sysctl_read(int ns, const char *key, struct str *out, struct err *e) MUST_USE;

#endif
