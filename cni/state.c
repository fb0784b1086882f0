/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - attachments and queued releases as records.
 */
#include <stddef.h>
#include <stdlib.h>

#include "cni/record.h"
#include "cni/state.h"

static const struct record_field release_fields[] = {
	{ "containerID", offsetof(struct release, container_id) },
	{ "ifName", offsetof(struct release, ifname) },
	{ "netNamespace", offsetof(struct release, netns) },
	{ "podNamespace", offsetof(struct release, pod_namespace) },
	{ "podName", offsetof(struct release, pod_name) },
	{ "podUID", offsetof(struct release, pod_uid) },
};

static const struct record_field attachment_fields[] = {
	{ "containerID", offsetof(struct attachment, container_id) },
	{ "ifName", offsetof(struct attachment, ifname) },
	{ "netNamespace", offsetof(struct attachment, netns) },
	{ "podNamespace", offsetof(struct attachment, pod_namespace) },
	{ "podName", offsetof(struct attachment, pod_name) },
	{ "podUID", offsetof(struct attachment, pod_uid) },
	{ "bootID", offsetof(struct attachment, boot_id) },
	{ "pool", offsetof(struct attachment, pool) },
	{ "networkName", offsetof(struct attachment, network) },
};

void release_release(struct release *r)
{
	record_free_strings(r, release_fields, ARRAY_LEN(release_fields));
}

static void release_any(void *r)
{
	release_release(r);
}

static int read_release(const json *j, void *record, struct err *e)
{
	return record_read_strings(j, record, release_fields, ARRAY_LEN(release_fields), e);
}

static const struct record_kind releases = { "releases", sizeof(struct release), read_release,
	                                     release_any };

int release_write(const char *dir, const struct release *r, struct err *e)
{
	AUTO_JSON *j = json_new_object();

	record_write_strings(j, r, release_fields, ARRAY_LEN(release_fields));
	return record_write(dir, &releases, r->container_id, r->ifname, j, FILE_DURABLE, e);
}

int release_list(const char *dir, struct release **out, size_t *count, struct err *e)
{
	void *records;

	if (record_list(dir, &releases, &records, count, e) < 0)
		return -1;
	*out = records;
	return 0;
}

int release_remove(const char *dir, const struct release *r, struct err *e)
{
	return record_remove(dir, &releases, r->container_id, r->ifname, FILE_DURABLE, e);
}

void attachment_release(struct attachment *a)
{
	record_free_strings(a, attachment_fields, ARRAY_LEN(attachment_fields));
	free(a->addresses);
	a->addresses = NULL;
	a->n_addresses = 0;
}

static void release_any_attachment(void *a)
{
	attachment_release(a);
}

static int read_addresses(const json *list, struct attachment *a, struct err *e)
{
	a->addresses = xcalloc(json_count(list) + 1, sizeof(*a->addresses));
	json_each(text, list)
	{
		if (cidr_parse(json_text(text), &a->addresses[a->n_addresses], e) < 0)
			return -1;
		a->n_addresses++;
	}
	return 0;
}

static int read_attachment(const json *j, void *record, struct err *e)
{
	struct attachment *a = record;
	int64_t inode = 0, table = 0;
	const json *addresses;

	if (record_read_strings(j, a, attachment_fields, ARRAY_LEN(attachment_fields), e) < 0 ||
	    json_opt_i64(j, "netnsInode", &inode, e) < 0 ||
	    json_opt_i64(j, "table", &table, e) < 0 ||
	    json_opt_strs(j, "addresses", &addresses, e) < 0 || read_addresses(addresses, a, e) < 0)
		return -1;
	if (inode < 0 || table < 0 || table > UINT32_MAX)
		return err_set(e, ERR_CONFIG, "netnsInode or table out of range");
	a->netns_inode = (uint64_t)inode;
	a->table = (uint32_t)table;
	return 0;
}

static const struct record_kind attachments = { "attachments", sizeof(struct attachment),
	                                        read_attachment, release_any_attachment };

int attachment_write(const char *dir, const struct attachment *a, struct err *e)
{
	AUTO_JSON *j = json_new_object();
	json *addresses = json_new_array();

	record_write_strings(j, a, attachment_fields, ARRAY_LEN(attachment_fields));
	for (size_t i = 0; i < a->n_addresses; i++)
		json_append_str(addresses, cidr_str(a->addresses[i]).s);
	json_set(j, "addresses", addresses);
	json_set_i64(j, "netnsInode", (int64_t)a->netns_inode);
	json_set_i64(j, "table", a->table);
	return record_write(dir, &attachments, a->container_id, a->ifname, j, 0, e);
}

int attachment_read(const char *dir, const char *container_id, const char *ifname,
                    struct attachment *out, struct err *e)
{
	return record_read(dir, &attachments, container_id, ifname, out, e);
}

bool attachment_exists(const char *dir, const char *container_id, const char *ifname)
{
	return record_exists(dir, &attachments, container_id, ifname);
}

int attachment_list(const char *dir, struct attachment **out, size_t *count, struct err *e)
{
	void *records;

	if (record_list(dir, &attachments, &records, count, e) < 0)
		return -1;
	*out = records;
	return 0;
}

int attachment_remove(const char *dir, const char *container_id, const char *ifname, struct err *e)
{
	return record_remove(dir, &attachments, container_id, ifname, 0, e);
}
