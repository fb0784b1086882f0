/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - records about attachments: DIR/FOLDER/<container id>-<ifname>.json, a JSON object in a
 * file each, with at least the members containerID and ifName.  Written whole or not at all.
 */
#ifndef CNI_RECORD_H
#define CNI_RECORD_H

#include "base/file.h"
#include "json/json.h"

/* A string of a struct, and its key. */
struct record_field {
	const char *key; /* as in the agent's requests */
	size_t offset;   /* of a char * */
};

/* One kind of record. */
struct record_kind {
	const char *folder;
	size_t size; /* of the struct */
	/* Fills the zeroed struct; what it holds after a failure is released. */
	int (*read)(const json *j, void *record, struct err *e);
	void (*release)(void *record);
};

/* For a kind's own functions.  A string that is absent is read as "", and NULL is written so. */
void record_free_strings(void *record, const struct record_field *f, size_t n);
int record_read_strings(const json *j, void *record, const struct record_field *f, size_t n,
                        struct err *e) MUST_USE;
void record_write_strings(json *j, const void *record, const struct record_field *f, size_t n);

/* ERR_CONFIG when the names cannot be those of a file. */
int record_write(const char *dir, const struct record_kind *k, const char *container_id,
                 const char *ifname, const json *j, enum file_flags flags, struct err *e) MUST_USE;
int record_remove(const char *dir, const struct record_kind *k, const char *container_id,
                  const char *ifname, enum file_flags flags, struct err *e) MUST_USE;
/* ERR_NOT_FOUND when there is none; ERR_PROTO or ERR_CONFIG when it is no such record. */
int record_read(const char *dir, const struct record_kind *k, const char *container_id,
                const char *ifname, void *record, struct err *e) MUST_USE;
/* Is there a file for it in this boot, though it may not be one that can be read? */
bool record_exists(const char *dir, const struct record_kind *k, const char *container_id,
                   const char *ifname);
/* All, owned.  What is no record is renamed to NAME.bad, and named in the log that once. */
int record_list(const char *dir, const struct record_kind *k, void **out, size_t *count,
                struct err *e) MUST_USE;

#endif
