/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.c - see thread.h.
 */
#include "agent/thread.h"

/* What is not touched costs no memory; the sanitizers' frames are several times larger. */
#ifdef TESTING
#define STACK_BYTES (1024 * 1024)
#else
#define STACK_BYTES (128 * 1024)
#endif

static int start(pthread_t *out, int state, void *(*fn)(void *), void *arg, struct err *e)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, state);
	rc = pthread_create(out, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return rc ? err_sys(e, rc, "start a thread") : 0;
}

int thread_start(pthread_t *out, void *(*fn)(void *), void *arg, struct err *e)
{
	return start(out, PTHREAD_CREATE_JOINABLE, fn, arg, e);
}

int thread_detach(void *(*fn)(void *), void *arg, struct err *e)
{
	pthread_t t;

	return start(&t, PTHREAD_CREATE_DETACHED, fn, arg, e);
}
