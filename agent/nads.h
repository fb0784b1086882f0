/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nads.h - NetworkAttachmentDefinitions (k8s.cni.cncf.io/v1): all of them are kept, because they
 * are few and each ADD of the multus plugin needs one or more.
 */
#ifndef AGENT_NADS_H
#define AGENT_NADS_H

#include "agent/informer.h"

struct nads;

/* The store is borrowed. */
int nads_start(struct store *s, struct nads **out, struct err *e) MUST_USE;
void nads_end(struct nads *n);  /* who waits in nads_find gives up soon */
void nads_stop(struct nads *n); /* NULL is fine */

/*
 * An owned object {"config", "resourceName"} of what the definition says, or NULL (and 0) when
 * there is none.  One that is not in memory is looked for in the store when must is set, or nothing
 * is in memory yet.
 */
int nads_find(struct nads *n, const char *ns, const char *name, bool must, struct mono deadline,
              json **out, struct err *e) MUST_USE;

#endif
