/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netns.h - network namespaces as descriptors.  The only file that calls setns(), and never in a
 * process that has other threads with an opinion on the namespace: setns() is per thread, and a
 * thread that cannot return home aborts the process.  Home is one namespace for all threads: a
 * descriptor of it is opened at the first need and kept.
 */
#ifndef NET_NETNS_H
#define NET_NETNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mono.h"
#include "net/nl.h"

/* A path to a namespace (nsfs bind mount, or /proc/PID/ns/net).  *out is owned (close()).
 * ERR_NOT_FOUND when the path is empty or missing, ERR_CONFIG when it is no network namespace. */
int netns_open(const char *path, int *out, struct err *e) MUST_USE;
int netns_open_self(int *out, struct err *e) MUST_USE;
/* Home is elsewhere from now on: for who has moved the process by unshare(), as unit tests do.  No
 * other thread may be in here. */
void netns_moved(void);

/* Home's descriptor; borrowed, for as long as the process has not moved.  All of a process have one
 * lock by it. */
int netns_home(int *out, struct err *e) MUST_USE;

/*
 * For a process of one thread, parts of which come to the same two namespaces one after the other:
 * until netns_reuse_end(fd) a netlink socket of home's, or of the namespace fd's, is not closed by
 * nl_close() when all that was asked by it was answered, but given to the next who opens one there,
 * by nl_open() or netns_nl().  fd is borrowed until then; without effect while it is another one.
 */
void netns_reuse(int fd);
void netns_reuse_end(int fd);

/* Is it the same namespace? (device and inode) */
int netns_same(int a, int b, bool *same, struct err *e) MUST_USE;
/* Inode of the namespace: with the boot id it names it for ever. */
int netns_inode(int fd, uint64_t *out, struct err *e) MUST_USE;

/*
 * flock(2) on the namespace itself, for what several of its processes may change at once: shared or
 * exclusive, waited for until the deadline (ERR_TIMEOUT), given up by netns_unlock or with the
 * descriptor.
 */
int netns_lock(int fd, bool exclusive, struct mono deadline, struct err *e) MUST_USE;
/* Exclusive, and only if that needs no waiting. */
bool netns_try_lock(int fd);
void netns_unlock(int fd);

/*
 * Calls fn in that namespace, for several things to be done in one visit; what it returns is
 * returned.  fn may call nothing of this header.  fd -1: the calling thread's own.
 */
int netns_visit(int fd, int (*fn)(void *arg, struct err *e), void *arg, struct err *e) MUST_USE;

/* A netlink socket that lives in the namespace fd refers to. */
int netns_nl(int fd, int protocol, struct nl **out, struct err *e) MUST_USE;

/* socket(2) inside that namespace, where it stays.  fd -1: the calling thread's own. */
int netns_socket(int fd, int domain, int type, int protocol, int *out, struct err *e) MUST_USE;

/* open(2) of a /proc/sys/net path inside that namespace, the table of which is fixed at open.
 * fd -1: the calling thread's own.  ERR_NOT_FOUND. */
int netns_open_at(int fd, const char *path, int flags, int *out, struct err *e) MUST_USE;

#endif
