/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - attachments and queued releases: a folder each, a JSON file per record.
 *
 * A file is named by what the runtime chose, so both parts are checked, and a "-" in the container
 * id is written "%2D": the first "-" of a name is the one between the parts.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cni/check.h"
#include "cni/state.h"
#include "net/link.h"

#define RECORD_MAX (64 * 1024) /* bytes of a file */
#define SET_ASIDE ".bad"
#define NAME_LEN_MAX 240 /* of a file; temporary names are a little longer */

struct field {
	const char *key; /* as in the agent's requests */
	size_t offset;   /* of a char * */
};

static const struct field release_fields[] = {
	{ "containerID", offsetof(struct release, container_id) },
	{ "ifName", offsetof(struct release, ifname) },
	{ "netNamespace", offsetof(struct release, netns) },
	{ "podNamespace", offsetof(struct release, pod_namespace) },
	{ "podName", offsetof(struct release, pod_name) },
	{ "podUID", offsetof(struct release, pod_uid) },
};

static const struct field attachment_fields[] = {
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

/* One kind of record. */
struct kind {
	const char *folder;
	size_t size; /* of the struct */
	int (*read)(const json *j, void *record, struct err *e);
	void (*release)(void *record);
};

static char **at(void *record, const struct field *f)
{
	return (char **)(void *)((char *)record + f->offset);
}

static const char *const *at_const(const void *record, const struct field *f)
{
	return (const char *const *)(const void *)((const char *)record + f->offset);
}

static void free_strings(void *record, const struct field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(*at(record, &f[i]));
		*at(record, &f[i]) = NULL;
	}
}

static int read_strings(const json *j, void *record, const struct field *f, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = "";

		if (json_opt_str(j, f[i].key, &text, e) < 0)
			return -1;
		*at(record, &f[i]) = xstrdup(text);
	}
	return 0;
}

static void write_strings(json *j, const void *record, const struct field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = *at_const(record, &f[i]);

		json_set_str(j, f[i].key, text ? text : "");
	}
}

static int file_name(const char *container_id, const char *ifname, struct str *out, struct err *e)
{
	size_t start = out->len;

	if (check_id("container id", container_id, e) < 0 || link_check_name(ifname, e) < 0)
		return -1;
	for (const char *p = container_id; *p; p++) {
		if (*p == '-')
			str_add(out, "%2D");
		else
			str_addc(out, *p);
	}
	str_addf(out, "-%s.json", ifname);
	if (out->len - start > NAME_LEN_MAX)
		return err_set(e, ERR_CONFIG, "container id \"%s\" is too long for a file name",
		               container_id);
	return 0;
}

static int file_path(const char *dir, const struct kind *k, const char *container_id,
                     const char *ifname, struct str *out, struct err *e)
{
	str_addf(out, "%s/%s/", dir, k->folder);
	return file_name(container_id ? container_id : "", ifname ? ifname : "", out, e);
}

/* A folder that was just made is itself an entry of its parent. */
static int sync_dir(const char *dir, struct err *e)
{
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return err_sys(e, errno, "fsync %s", dir);
	return 0;
}

static int make_folder(const char *dir, const struct kind *k, bool durable, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/%s", dir, k->folder);
	struct stat st;

	if (stat(folder, &st) == 0)
		return 0;
	if (file_mkdirs(folder, 0700, e) < 0)
		return -1;
	return durable ? sync_dir(dir, e) : 0;
}

static int write_record(const char *dir, const struct kind *k, const char *container_id,
                        const char *ifname, const json *j, enum file_flags flags, struct err *e)
{
	AUTO_STR path = STR_INIT;
	AUTO_STR text = STR_INIT;

	if (file_path(dir, k, container_id, ifname, &path, e) < 0 ||
	    make_folder(dir, k, flags & FILE_DURABLE, e) < 0)
		return -1;
	json_print(j, &text);
	str_addc(&text, '\n');
	return file_write(path.data, text.data, text.len, 0600, flags, e);
}

static int remove_record(const char *dir, const struct kind *k, const char *container_id,
                         const char *ifname, enum file_flags flags, struct err *e)
{
	AUTO_STR path = STR_INIT;

	if (file_path(dir, k, container_id, ifname, &path, e) < 0)
		return -1;
	return file_remove(path.data, flags, NULL, e);
}

/* A record is where its contents say, else somebody renamed it or it is not ours. */
static int check_file_name(const json *j, const char *name, struct err *e)
{
	const char *id = "", *ifname = "";
	AUTO_STR want = STR_INIT;

	if (json_str(j, "containerID", &id, e) < 0 || json_str(j, "ifName", &ifname, e) < 0 ||
	    file_name(id, ifname, &want, e) < 0)
		return -1;
	if (!streq(want.data, name))
		return err_set(e, ERR_CONFIG, "it belongs into %s", want.data);
	return 0;
}

/* What stands in the file at path, and belongs into one of that name. */
static int read_record(const char *path, const char *name, const struct kind *k, void *record,
                       struct err *e)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *j = NULL;

	if (file_read_regular(path, RECORD_MAX, &text, e) < 0 ||
	    json_parse(text.data, text.len, 0, &j, e) < 0 || check_file_name(j, name, e) < 0)
		return -1;
	if (k->read(j, record, e) < 0) {
		k->release(record);
		return -1;
	}
	return 0;
}

/*
 * What will never be a record gets another name, so that it is told once and kept for people.
 * True: a writer has replaced it this very moment, and what it wrote is in *record.
 */
static bool set_aside(const char *path, const char *name, const struct kind *k, void *record,
                      const struct err *why)
{
	AUTO_FREE char *aside = xasprintf("%s" SET_ASIDE, path);

	if (rename(path, aside) < 0) {
		log_warn_err(why, "passing over %s", path);
		return false;
	}
	if (read_record(aside, name, k, record, NULL) == 0) {
		/* over a still newer one, which says the same */
		IGNORE(rename(aside, path));
		return true;
	}
	log_warn_err(why, "%s is no record, and is set aside as %s" SET_ASIDE, path, name);
	return false;
}

static bool list_record(const char *folder, const char *name, const struct kind *k, void *record)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
	struct err mine = { .kind = ERR_NONE };

	if (str_ends(name, SET_ASIDE))
		return false;
	if (read_record(path, name, k, record, &mine) == 0)
		return true;
	if (mine.kind == ERR_PROTO || mine.kind == ERR_CONFIG)
		return set_aside(path, name, k, record, &mine);
	if (mine.kind != ERR_NOT_FOUND) /* that one was removed meanwhile */
		log_warn_err(&mine, "passing over %s", path);
	return false;
}

static int list_records(const char *dir, const struct kind *k, void **out, size_t *count,
                        struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/%s", dir, k->folder);
	char **names = NULL, *records;
	size_t n_names = 0, n = 0;

	file_sweep(folder);
	if (file_list(folder, &names, &n_names, e) < 0)
		return -1;
	records = xcalloc(n_names + 1, k->size);
	for (size_t i = 0; i < n_names; i++)
		n += list_record(folder, names[i], k, records + n * k->size);
	file_list_free(names, n_names);
	*out = records;
	*count = n;
	return 0;
}

void release_release(struct release *r)
{
	free_strings(r, release_fields, ARRAY_LEN(release_fields));
}

static void release_any(void *r)
{
	release_release(r);
}

static int read_release(const json *j, void *record, struct err *e)
{
	return read_strings(j, record, release_fields, ARRAY_LEN(release_fields), e);
}

static const struct kind releases = { "releases", sizeof(struct release), read_release,
	                              release_any };

int release_write(const char *dir, const struct release *r, struct err *e)
{
	AUTO_JSON *j = json_new_object();

	write_strings(j, r, release_fields, ARRAY_LEN(release_fields));
	return write_record(dir, &releases, r->container_id, r->ifname, j, FILE_DURABLE, e);
}

int release_list(const char *dir, struct release **out, size_t *count, struct err *e)
{
	void *records;

	if (list_records(dir, &releases, &records, count, e) < 0)
		return -1;
	*out = records;
	return 0;
}

int release_remove(const char *dir, const struct release *r, struct err *e)
{
	return remove_record(dir, &releases, r->container_id, r->ifname, FILE_DURABLE, e);
}

void attachment_release(struct attachment *a)
{
	free_strings(a, attachment_fields, ARRAY_LEN(attachment_fields));
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

	if (read_strings(j, a, attachment_fields, ARRAY_LEN(attachment_fields), e) < 0 ||
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

static const struct kind attachments = { "attachments", sizeof(struct attachment), read_attachment,
	                                 release_any_attachment };

int attachment_write(const char *dir, const struct attachment *a, struct err *e)
{
	AUTO_JSON *j = json_new_object();
	json *addresses = json_new_array();

	write_strings(j, a, attachment_fields, ARRAY_LEN(attachment_fields));
	for (size_t i = 0; i < a->n_addresses; i++)
		json_append_str(addresses, cidr_str(a->addresses[i]).s);
	json_set(j, "addresses", addresses);
	json_set_i64(j, "netnsInode", (int64_t)a->netns_inode);
	json_set_i64(j, "table", a->table);
	return write_record(dir, &attachments, a->container_id, a->ifname, j, 0, e);
}

int attachment_read(const char *dir, const char *container_id, const char *ifname,
                    struct attachment *out, struct err *e)
{
	AUTO_STR name = STR_INIT;
	AUTO_FREE char *path = NULL;

	memset(out, 0, sizeof(*out));
	if (file_name(container_id, ifname, &name, e) < 0)
		return -1;
	path = xasprintf("%s/%s/%s", dir, attachments.folder, name.data);
	return read_record(path, name.data, &attachments, out, e);
}

/* Of CLOCK_REALTIME, in seconds; what is older was written before this boot. */
static int64_t boot_time(void)
{
	struct timespec now, up;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (int64_t)now.tv_sec - (int64_t)up.tv_sec;
}

bool attachment_exists(const char *dir, const char *container_id, const char *ifname)
{
	static const char *const ends[] = { "", SET_ASIDE };
	AUTO_STR name = STR_INIT;
	struct stat st;

	if (file_name(container_id, ifname, &name, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *path =
			xasprintf("%s/%s/%s%s", dir, attachments.folder, name.data, ends[i]);

		if (stat(path, &st) == 0 && (int64_t)st.st_mtime >= boot_time())
			return true;
	}
	return false;
}

int attachment_list(const char *dir, struct attachment **out, size_t *count, struct err *e)
{
	void *records;

	if (list_records(dir, &attachments, &records, count, e) < 0)
		return -1;
	*out = records;
	return 0;
}

int attachment_remove(const char *dir, const char *container_id, const char *ifname, struct err *e)
{
	return remove_record(dir, &attachments, container_id, ifname, 0, e);
}
