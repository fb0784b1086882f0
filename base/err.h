/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - the error of a fallible function.
 *
 * A fallible function returns 0 or -1 and takes a struct err last; it fills it only when it fails,
 * and leaves its other outputs alone then.  The caller owns the struct; NULL says that the caller
 * does not care.  A message is one line, a lower-case phrase without a final period that names the
 * object, outermost context first.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/mem.h"

/* Only what some caller branches on. */
enum err_kind {
	ERR_NONE,
	ERR_USAGE,      /* bad command line */
	ERR_CONFIG,     /* bad input document */
	ERR_SYS,        /* a system call or the kernel refused: see sys */
	ERR_TIMEOUT,    /* the deadline passed */
	ERR_PROTO,      /* the peer broke the rules of HTTP, TLS, JSON or netlink */
	ERR_NOT_FOUND,  /* the object is not there: DEL is idempotent */
	ERR_CONFLICT,   /* somebody else wrote first (409): read again, try again */
	ERR_EXISTS,     /* an object of that name is already there */
	ERR_EXHAUSTED,  /* no address left: try the next pool */
	ERR_NO_POOL,    /* no pool serves this request */
	ERR_FORBIDDEN,  /* 401 or 403: trying again does not help */
	ERR_THROTTLED,  /* 429: ask later, see retry_ms */
	ERR_GONE,       /* 410: the resource version is too old, list again */
	ERR_UNREACHABLE /* nobody answers there: queue it, or wait */
};

#define ERR_MSG_MAX 1024

struct err {
	enum err_kind kind;
	int sys;      /* errno value, 0 if none */
	int retry_ms; /* with ERR_THROTTLED: what the server asked for, 0 if nothing */
	char msg[ERR_MSG_MAX];
};

/* All return -1, so that "return err_...(...)" is the idiom.  A message too long is cut. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
int err_sys(struct err *e, int sys, const char *fmt, ...) PRINTF(3, 4); /* appends ": strerror" */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);         /* prefixes "context: " */

/* Copies an error; to may be NULL.  Returns -1. */
int err_copy(struct err *to, const struct err *from);

#endif
