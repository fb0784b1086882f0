/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_log.c - log files of short-lived processes: opened per call, shared by all of them, and
 * rotated by whoever finds them too large.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "plugins/plugin_log.h"

#define COUNT_MAX 100 /* of renamed files */

static int read_number(const json *o, const char *key, uint32_t max, uint32_t *out, struct err *e)
{
	const json *v = json_get(o, key);
	int64_t n = 0;

	if (!v || json_is_null(v))
		return 0;
	if (json_is_string(v) ? parse_i64(json_text(v), INT32_MIN, INT32_MAX, &n, e) < 0
	                      : json_int(v, &n, e) < 0)
		return err_wrap(e, "%s", key);
	if (n > (int64_t)max)
		return err_set(e, ERR_CONFIG, "%s: %lld is more than %u", key, (long long)n, max);
	if (n > 0)
		*out = (uint32_t)n;
	return 0;
}

static int read_level(const json *o, const char *key, enum log_level *out, struct err *e)
{
	const char *text = NULL;

	if (json_opt_str(o, key, &text, e) < 0)
		return -1;
	if (text && *text && log_parse_level(text, out, e) < 0)
		return err_wrap(e, "%s", key);
	return 0;
}

/* The keys, in two spellings. */
struct names {
	char level[10], path[14], size[18], age[17], count[19];
};

static int read_keys(const json *o, const struct names *n, struct plugin_log *out, struct err *e)
{
	struct plugin_log l = { LOG_LEVEL_INFO, NULL, 100, 30, 10 };

	if (read_level(o, n->level, &l.level, e) < 0 || json_opt_str(o, n->path, &l.path, e) < 0 ||
	    read_number(o, n->size, 1024 * 1024, &l.max_mib, e) < 0 ||
	    read_number(o, n->age, 36500, &l.max_days, e) < 0 ||
	    read_number(o, n->count, COUNT_MAX, &l.max_count, e) < 0)
		return -1;
	if (l.path && !*l.path)
		l.path = NULL;
	*out = l;
	return 0;
}

int plugin_log_read(const json *ipam, struct plugin_log *out, struct err *e)
{
	static const struct names names = { "log_level", "log_file_path", "log_file_max_size",
		                            "log_file_max_age", "log_file_max_count" };

	return read_keys(ipam, &names, out, e);
}

int plugin_log_read_options(const json *conf, struct plugin_log *out, struct err *e)
{
	static const struct names names = { "logLevel", "logFile", "logMaxSize", "logMaxAge",
		                            "logMaxCount" };
	const json *o = NULL;

	if (json_opt_obj(conf, "logOptions", &o, e) < 0)
		return -1;
	return read_keys(o, &names, out, e) < 0 ? err_wrap(e, "logOptions") : 0;
}

int plugin_log_read_multus(const json *conf, struct plugin_log *out, struct err *e)
{
	static const struct names names = { "", "", "maxSize", "maxAge", "maxBackups" };
	const char *level = NULL, *path = NULL;
	const json *o = NULL;

	if (json_opt_obj(conf, "logOptions", &o, e) < 0 ||
	    json_opt_str(conf, "logLevel", &level, e) < 0 ||
	    json_opt_str(conf, "logFile", &path, e) < 0)
		return -1;
	if (read_keys(o, &names, out, e) < 0)
		return err_wrap(e, "logOptions");
	if (path && *path)
		out->path = path;
	if (!level || !*level || streq(level, "verbose"))
		return 0;
	return log_parse_level(level, &out->level, e) < 0 ? err_wrap(e, "logLevel") : 0;
}

/* "PATH.1" is the youngest.  Failures leave a file too large: nothing to stop a call for. */
static void rotate(const struct plugin_log *l)
{
	time_t oldest = time(NULL) - (time_t)l->max_days * 24 * 3600;

	for (uint32_t i = COUNT_MAX; i > 0; i--) {
		AUTO_FREE char *from =
			i > 1 ? xasprintf("%s.%u", l->path, i - 1) : xstrdup(l->path);
		AUTO_FREE char *to = xasprintf("%s.%u", l->path, i);
		struct stat st;

		if (stat(from, &st) < 0)
			continue;
		if (i > l->max_count || (i > 1 && st.st_mtime < oldest))
			(void)unlink(from);
		else
			(void)rename(from, to);
	}
}

static int open_file(const struct plugin_log *l, struct err *e)
{
	const char *slash = strrchr(l->path, '/');
	AUTO_FREE char *dir =
		slash && slash != l->path ? xstrndup(l->path, (size_t)(slash - l->path)) : NULL;
	int fd;

	if (dir && file_mkdirs(dir, 0755, e) < 0)
		return -1;
	fd = file_open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, 0640);
	if (fd < 0)
		return err_sys(e, errno, "open %s", l->path);
	return fd;
}

static bool is_too_large(const struct plugin_log *l, const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_size >= (off_t)l->max_mib * 1024 * 1024;
}

static bool is_named(const char *path, const struct stat *st, struct stat *named)
{
	return stat(path, named) == 0 && named->st_ino == st->st_ino && named->st_dev == st->st_dev;
}

/* Too large, still the file of that name, and nobody else is at it.  *st is what it is. */
static bool want_rotation(const struct plugin_log *l, int fd, struct stat *st)
{
	struct stat named;

	if (fstat(fd, st) < 0)
		*st = (struct stat){ .st_ino = 0 };
	return is_too_large(l, st) && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	       is_named(l->path, st, &named);
}

/*
 * The file that was opened last: a process may open its log again, in another plugin's name, or
 * after one that has none.
 */
static struct {
	char *path;
	int fd;
	struct stat st;
} kept = { .fd = -1 };

static bool is_kept(const struct plugin_log *l)
{
	struct stat now;

	return kept.fd >= 0 && streq(kept.path, l->path) && is_named(l->path, &kept.st, &now) &&
	       !is_too_large(l, &now);
}

static void open_kept(const struct plugin_log *l, struct err *e)
{
	int fd = open_file(l, e);

	mem_cleanup_fd(&kept.fd);
	if (fd >= 0 && want_rotation(l, fd, &kept.st)) {
		rotate(l);
		close(fd);
		fd = open_file(l, e);
	}
	free(kept.path);
	kept.path = xstrdup(l->path);
	kept.fd = fd;
}

void plugin_log_open(const char *app, const struct plugin_log *l, const struct cni_call *c)
{
	AUTO_STR context = STR_INIT;
	struct err e;

	log_init(app, STDERR_FILENO, false, l->level);
	if (*c->pod_name)
		str_addf(&context, "pod=%s/%s ", c->pod_namespace, c->pod_name);
	str_addf(&context, "cid=%.13s if=%s", c->container_id, c->ifname);
	log_ctx(context.data);
	if (!l->path)
		return;
	if (!is_kept(l))
		open_kept(l, &e);
	if (kept.fd < 0)
		log_warn_err(&e, "log file");
	else
		log_init(app, kept.fd, false, l->level);
}
