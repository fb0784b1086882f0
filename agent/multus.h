/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus.h - what the multus plugin asks the agent (POST, JSON both ways):
 *
 *   /v1/multus/pod       {podNamespace, podName, podUID, ifKnown} -> {known, uid, defaultNetwork,
 *                        networks, definitions}: the object's uid and the annotations, and for
 *                        ifKnown (may be missing) what the next one's "networks" would be; known
 *                        false: there need not be a pod
 *   /v1/multus/networks  {networks, ifKnown}, lists of "namespace/name" -> {networks:
 * {"namespace/name": {config, resourceName}}}; those of ifKnown are not looked for in the store
 *   /v1/multus/status    {podNamespace, podName, podUID, status}: the annotation, written later
 */
#ifndef AGENT_MULTUS_H
#define AGENT_MULTUS_H

#include "agent/agent_impl.h"

/* *answer is owned; NULL: an empty one.  ERR_NOT_FOUND: no such pod; ERR_PROTO: a bad request. */
int multus_pod(struct agent *a, const json *body, json **answer, struct err *e) MUST_USE;
int multus_networks(struct agent *a, const json *body, json **answer, struct err *e) MUST_USE;
int multus_status(struct agent *a, const json *body, json **answer, struct err *e) MUST_USE;

#endif
