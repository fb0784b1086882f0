/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - does a StatefulSet or a KubeVirt virtual machine still keep the addresses of a pod
 * that is gone?
 */
#ifndef AGENT_KEEPER_H
#define AGENT_KEEPER_H

#include "pool/pool.h"
#include "store/store.h"

/*
 * The name of the set whose pod this is, and the pod's place in it (StatefulSets name their pods
 * SET-ORDINAL); owned.  NULL for another name.
 */
char *keeper_set_of(const char *pod_name, uint64_t *ordinal);

/* Will that StatefulSet make, or has it, a pod of this ordinal?  One that is being deleted will
 * not. */
bool keeper_has_ordinal(const json *set, uint64_t ordinal);

/*
 * By live reads: 1 the addresses of ns/name stay, 0 they need not.  -1: nobody can tell (the store
 * does not answer, or may not be asked).
 */
int keeper_keeps(struct store *s, enum pool_keep keep, const char *ns, const char *name,
                 struct mono deadline, struct err *e) MUST_USE;

#endif
