/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - local state below /var/lib/spidernet, shared by the plugins and the agent.
 *
 *   attachments/<container id>-<ifname>.json   what an ADD gave; a cache, rebuilt from the pools
 *   releases/<container id>-<ifname>.json      DELs that found no agent; durable, replayed by it
 *   datapath/<container id>-<ifname>.json      what the coordinator made: datapath/record.h
 *   netstatus/<number>.json                    a pod's network status, until the agent has written
 * it
 */
#ifndef CNI_STATE_H
#define CNI_STATE_H

#include "net/ip.h"
#include "json/json.h"

#define STATE_DIR "/var/lib/spidernet"

/* What names one attachment.  Strings owned when read, borrowed when written. */
struct release {
	char *container_id, *ifname, *netns, *pod_namespace, *pod_name, *pod_uid;
};

void release_release(struct release *r);
/* Durable (fsync of file and folder); the same attachment again replaces the record. */
int release_write(const char *dir, const struct release *r, struct err *e) MUST_USE;
/* All queued.  What is no record is renamed to NAME.bad, and named in the log that once.  Owned
 * array. */
int release_list(const char *dir, struct release **out, size_t *count, struct err *e) MUST_USE;
int release_remove(const char *dir, const struct release *r, struct err *e) MUST_USE;

struct attachment {
	char *container_id, *ifname, *netns, *pod_namespace, *pod_name, *pod_uid;
	uint64_t netns_inode;   /* 0: unknown */
	char *boot_id;          /* of the boot it was made in */
	char *network;          /* name of the CNI configuration, "" when not told */
	char *pool;             /* of the IPv4 address (first address) */
	struct cidr *addresses; /* owned array */
	size_t n_addresses;
	uint32_t table; /* pod's routing table, 0: not chosen yet */
};

void attachment_release(struct attachment *a);
int attachment_write(const char *dir, const struct attachment *a,
                     struct err *e) MUST_USE; /* no fsync */
/* ERR_NOT_FOUND when there is none. */
int attachment_read(const char *dir, const char *container_id, const char *ifname,
                    struct attachment *out, struct err *e) MUST_USE;
/* Is there a file for it in this boot, though it may not be one that can be read? */
bool attachment_exists(const char *dir, const char *container_id, const char *ifname);
int attachment_list(const char *dir, struct attachment **out, size_t *count,
                    struct err *e) MUST_USE;
int attachment_remove(const char *dir, const char *container_id, const char *ifname,
                      struct err *e) MUST_USE;

#endif
