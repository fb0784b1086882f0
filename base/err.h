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
	ERR_FORBIDDEN,  /* 403: trying again does not help */
	ERR_IDENTITY,   /* 401: nobody there knows us, and trying again does not help either */
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

/*
 * All are -1, so that "return err_...(...)" is the idiom.  A message too long is cut.
 *
 * err_set fills the error; err_sys appends ": strerror(sys)"; err_wrap puts "context: " in front;
 * err_copy copies.  They are macros around void functions so that a compiler or analyser that sees
 * the call sees the -1 too.
 */
#define err_set(e, kind, ...) (err_fill((e), (kind), __VA_ARGS__), err_minus_one())
#define err_sys(e, sys, ...) (err_fill_sys((e), (sys), __VA_ARGS__), err_minus_one())
#define err_wrap(e, ...) (err_prefix((e), __VA_ARGS__), err_minus_one())
#define err_copy(to, from) (err_assign((to), (from)), err_minus_one())

/* e may be NULL: the caller does not care. */
void err_fill(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
void err_fill_sys(struct err *e, int sys, const char *fmt, ...) PRINTF(3, 4);
void err_prefix(struct err *e, const char *fmt, ...) PRINTF(2, 3);
void err_assign(struct err *to, const struct err *from);

static inline int err_minus_one(void)
{
	return -1;
}

#endif
