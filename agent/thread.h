/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h - threads with a stack of known size.  Big buffers live on the heap.
 */
#ifndef AGENT_THREAD_H
#define AGENT_THREAD_H

#include <pthread.h>

#include "base/err.h"

/* ERR_SYS when the system refuses.  The thread is joinable. */
int thread_start(pthread_t *out, void *(*fn)(void *), void *arg, struct err *e) MUST_USE;
/* The same, and nobody joins it. */
int thread_detach(void *(*fn)(void *), void *arg, struct err *e) MUST_USE;

#endif
