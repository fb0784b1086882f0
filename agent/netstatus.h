/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netstatus.h - writes the annotation k8s.v1.cni.cncf.io/network-status of pods: one thread, the
 * last word about a pod, tried again until it is written or the pod is gone, also by the next
 * agent: until then it is in a file below STATE_DIR/netstatus.
 */
#ifndef AGENT_NETSTATUS_H
#define AGENT_NETSTATUS_H

#include "store/store.h"

struct netstatus;

/* The store is borrowed.  What an earlier agent had not written yet is resumed. */
int netstatus_start(struct store *s, const char *state_dir, struct netstatus **out,
                    struct err *e) MUST_USE;
/* Copies all, and returns when a crash cannot lose it any more.  uid: of the pod's object. */
void netstatus_put(struct netstatus *n, const char *ns, const char *name, const char *uid,
                   const char *status);
void netstatus_stop(struct netstatus *n); /* NULL is fine; what waits stays in its files */

#endif
