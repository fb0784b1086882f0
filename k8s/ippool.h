/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ippool.h - SpiderIPPool objects (spiderpool.spidernet.io/v2beta1): read into struct pool, and the
 * patches we write.
 */
#ifndef K8S_IPPOOL_H
#define K8S_IPPOOL_H

#include "pool/pool.h"
#include "json/json.h"

/* Annotation-free state that must survive: the finalizer of our kinds. */
#define SPIDERPOOL_FINALIZER "spiderpool.spidernet.io"

/*
 * Reads an object.  What is wrong with its spec or its status goes into out->bad and is no
 * failure; ERR_PROTO when it is no SpiderIPPool with a name at all.  out is initialised here.
 */
int ippool_read(const json *object, struct pool *out, struct err *e) MUST_USE;

/*
 * status.allocatedIPs as text: one JSON object, keys sorted as bytes, members pod, podUid, and
 * where known nic, cid, node, keep (kind of the owner for whose next pod it stays), conflict and
 * since (who else answers for the address, and since when).  Appended to out.
 */
void ippool_records_text(const struct pool *p, struct str *out);

/* How a record's text calls it, a kind; "" for POOL_KEEP_NO. */
const char *ippool_keep_name(enum pool_keep keep);

/*
 * The status patch that makes the object's records those of p: metadata.resourceVersion =
 * p->version, status.allocatedIPs (null when empty), allocatedIPCount, totalIPCount.  Owned.
 */
json *ippool_status_patch(const struct pool *p);

/* SpiderReservedIP: adds its addresses to the set; ERR_CONFIG names a bad entry, the rest is added.
 */
int reservedip_read(const json *object, struct ip_set *set, struct err *e) MUST_USE;

#endif
