/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - a folder for each kind of record, and in it a JSON file for each attachment.
 *
 * A file is named by what the runtime chose, so both parts are checked, and a "-" in the container
 * id is written "%2D": the first "-" of a name is the one between the parts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cni/check.h"
#include "cni/record.h"
#include "net/link.h"

#define RECORD_MAX (64 * 1024) /* bytes of a file */
#define SET_ASIDE ".bad"
#define NAME_LEN_MAX 240 /* of a file; temporary names are a little longer */

static char **at(void *record, const struct record_field *f)
{
	return (char **)(void *)((char *)record + f->offset);
}

static const char *const *at_const(const void *record, const struct record_field *f)
{
	return (const char *const *)(const void *)((const char *)record + f->offset);
}

void record_free_strings(void *record, const struct record_field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(*at(record, &f[i]));
		*at(record, &f[i]) = NULL;
	}
}

int record_read_strings(const json *j, void *record, const struct record_field *f, size_t n,
                        struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = "";

		if (json_opt_str(j, f[i].key, &text, e) < 0)
			return -1;
		*at(record, &f[i]) = xstrdup(text);
	}
	return 0;
}

void record_write_strings(json *j, const void *record, const struct record_field *f, size_t n)
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

static int file_path(const char *dir, const struct record_kind *k, const char *container_id,
                     const char *ifname, struct str *out, struct err *e)
{
	str_addf(out, "%s/%s/", dir, k->folder);
	return file_name(container_id ? container_id : "", ifname ? ifname : "", out, e);
}

/* A folder that was just made is itself an entry of its parent. */
static int sync_dir(const char *dir, struct err *e)
{
	AUTO_FD int fd = file_open(dir, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0 || fsync(fd) < 0)
		return err_sys(e, errno, "fsync %s", dir);
	return 0;
}

static int make_folder(const char *dir, const struct record_kind *k, bool durable, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/%s", dir, k->folder);
	struct stat st;

	if (stat(folder, &st) == 0)
		return 0;
	if (file_mkdirs(folder, 0700, e) < 0)
		return -1;
	return durable ? sync_dir(dir, e) : 0;
}

int record_write(const char *dir, const struct record_kind *k, const char *container_id,
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

int record_remove(const char *dir, const struct record_kind *k, const char *container_id,
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
static int read_file(const char *path, const char *name, const struct record_kind *k, void *record,
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
static bool set_aside(const char *path, const char *name, const struct record_kind *k, void *record,
                      const struct err *why)
{
	AUTO_FREE char *aside = xasprintf("%s" SET_ASIDE, path);

	if (rename(path, aside) < 0) {
		log_warn_err(why, "passing over %s", path);
		return false;
	}
	if (read_file(aside, name, k, record, NULL) == 0) {
		/* over a still newer one, which says the same */
		IGNORE(rename(aside, path));
		return true;
	}
	log_warn_err(why, "%s is no record, and is set aside as %s" SET_ASIDE, path, name);
	return false;
}

static bool list_record(const char *folder, const char *name, const struct record_kind *k,
                        void *record)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
	struct err mine = { .kind = ERR_NONE };

	if (str_ends(name, SET_ASIDE))
		return false;
	if (read_file(path, name, k, record, &mine) == 0)
		return true;
	if (mine.kind == ERR_PROTO || mine.kind == ERR_CONFIG)
		return set_aside(path, name, k, record, &mine);
	if (mine.kind != ERR_NOT_FOUND) /* that one was removed meanwhile */
		log_warn_err(&mine, "passing over %s", path);
	return false;
}

int record_list(const char *dir, const struct record_kind *k, void **out, size_t *count,
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

int record_read(const char *dir, const struct record_kind *k, const char *container_id,
                const char *ifname, void *record, struct err *e)
{
	AUTO_STR name = STR_INIT;
	AUTO_FREE char *path = NULL;

	memset(record, 0, k->size);
	if (file_name(container_id, ifname, &name, e) < 0)
		return -1;
	path = xasprintf("%s/%s/%s", dir, k->folder, name.data);
	return read_file(path, name.data, k, record, e);
}

/* Of CLOCK_REALTIME, in seconds; what is older was written before this boot. */
static int64_t boot_time(void)
{
	struct timespec now, up;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (int64_t)now.tv_sec - (int64_t)up.tv_sec;
}

bool record_exists(const char *dir, const struct record_kind *k, const char *container_id,
                   const char *ifname)
{
	static const char *const ends[] = { "", SET_ASIDE };
	AUTO_STR name = STR_INIT;
	struct stat st;

	if (file_name(container_id, ifname, &name, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s/%s%s", dir, k->folder, name.data, ends[i]);

		if (stat(path, &st) == 0 && (int64_t)st.st_mtime >= boot_time())
			return true;
	}
	return false;
}
