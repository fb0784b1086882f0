/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir.c - objects in a local directory, with the semantics of an API server.
 *
 * Theory of operation: PATH/<plural>/<namespace>.<name>.json or <name>.json, one object each,
 * written by durable rename.  Every change happens under an exclusive flock of PATH/.lock, which
 * also holds the last resourceVersion: it is raised, durably, before an object is written with it,
 * so that a version is never used twice, whatever is killed when.  The lock is its owner's alone:
 * whoever may open it can hold it for ever.  Others read without, each object whole.  A delete
 * leaves nothing but a raised PATH/<plural>/.deleted, which tells a watch that was not there that
 * it must list again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/log.h"
#include "store/dir.h"

#define OBJECT_MAX (4 * 1024 * 1024) /* bytes of one object's file */

struct dir_store {
	struct store base;
	char *path;
	bool looks; /* reading makes nothing, and does without what it may not open */
};

const char *dir_path(struct store *s)
{
	return ((struct dir_store *)s)->path;
}

static bool dir_is_there(struct store *s)
{
	return access(dir_path(s), X_OK) == 0;
}

/* Also what keeps a name from being a path. */
static int check_name(const char *name, struct err *e)
{
	if (str_is_name(name, strlen(name)))
		return 0;
	return err_set(e, ERR_CONFIG,
	               "\"%s\" is not a name (lower-case letters, digits, '-' and '.')", name);
}

char *dir_folder(struct store *s, enum store_kind k)
{
	return xasprintf("%s/%s", dir_path(s), store_kind_info(k)->resource.plural);
}

int dir_make_folder(struct store *s, enum store_kind k, struct err *e)
{
	AUTO_FREE char *folder = dir_folder(s, k);

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make %s", folder);
	return 0;
}

/* The namespace is a folder, so that names with dots stay apart. */
static int file_of(struct store *s, enum store_kind k, const char *ns, const char *name, char **out,
                   struct err *e)
{
	const struct k8s_resource *r = &store_kind_info(k)->resource;
	const char *in = r->namespaced && ns ? ns : "";

	if (check_name(name, e) < 0 || (r->namespaced && check_name(in, e) < 0))
		return -1;
	if (strlen(name) + strlen(in) + r->namespaced > FILE_NAME_MAX - strlen(".json"))
		return err_set(e, ERR_CONFIG,
		               "\"%s\": longer than a directory store can name a file", name);
	*out = xasprintf("%s/%s/%s%s%s.json", dir_path(s), r->plural, in, *in ? "_" : "", name);
	return 0;
}

/* The lock: held while the descriptor is open.  *out stays -1 for who reads without. */
static int lock(struct store *s, int how, struct mono deadline, int *out, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/.lock", dir_path(s));
	bool looks = how == LOCK_SH && ((struct dir_store *)s)->looks;
	AUTO_FD int fd = open(path, O_CLOEXEC | (looks ? O_RDONLY : O_RDWR | O_CREAT), 0600);

	int why = errno;

	if (fd < 0 && looks && (why == EACCES || (why == ENOENT && dir_is_there(s))))
		return 0;
	if (fd < 0)
		return err_sys(e, why, "open %s", path);
	if (lock_fd(fd, how, deadline, path, e) < 0)
		return -1;
	*out = take_fd(&fd);
	return 0;
}

static int read_counter(int fd, uint64_t *out, struct err *e)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return err_sys(e, errno, "read the version");
	text[strcspn(text, "\n")] = '\0';
	*out = 0;
	return n && parse_u64(text, 0, UINT64_MAX - 1, out, e) < 0
	               ? err_wrap(e, "version of the store")
	               : 0;
}

/* Takes the next version; fixed width, so that a torn write cannot make a smaller number. */
static int next_version(int fd, uint64_t *out, struct err *e)
{
	char text[32];
	uint64_t v;

	if (read_counter(fd, &v, e) < 0)
		return -1;
	v++;
	snprintf(text, sizeof(text), "%020llu\n", (unsigned long long)v);
	if (pwrite(fd, text, 21, 0) != 21 || fdatasync(fd) < 0)
		return err_sys(e, errno, "write the version");
	*out = v;
	return 0;
}

static int read_object(const char *path, json **out, struct err *e)
{
	AUTO_STR text = STR_INIT;

	if (file_read_regular(path, OBJECT_MAX, &text, e) < 0)
		return -1;
	return json_parse(text.data, text.len, 0, out, e) < 0 ? err_wrap(e, "%s", path) : 0;
}

uint64_t dir_version(const json *o)
{
	const char *v = json_str_at(o, "metadata", "resourceVersion", NULL);
	uint64_t n = 0;

	return v && parse_u64(v, 0, UINT64_MAX - 1, &n, NULL) == 0 ? n : 0;
}

static int write_object(int lock_fd, const char *path, json *o, struct err *e)
{
	AUTO_STR text = STR_INIT;
	char version[24];
	uint64_t v;

	if (next_version(lock_fd, &v, e) < 0)
		return -1;
	snprintf(version, sizeof(version), "%llu", (unsigned long long)v);
	json_set_str(json_ensure_object(o, "metadata"), "resourceVersion", version);
	json_print_pretty(o, &text);
	return file_write(path, text.data, text.len, 0644, FILE_DURABLE, e);
}

static int not_found(enum store_kind k, const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "%s \"%s\" not found", store_kind_info(k)->resource.plural,
	               name);
}

static int load(struct store *s, enum store_kind k, const char *ns, const char *name, char **path,
                json **out, struct err *e)
{
	if (file_of(s, k, ns, name, path, e) < 0)
		return -1;
	if (read_object(*path, out, e) == 0)
		return 0;
	if (!e || e->kind != ERR_NOT_FOUND)
		return -1;
	/* nothing can be said about the objects of a store that is not there itself */
	if (!dir_is_there(s))
		return err_set(e, ERR_UNREACHABLE, "the store %s is not there", dir_path(s));
	return not_found(k, name, e);
}

static int dir_get(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
                   struct mono deadline, struct err *e)
{
	AUTO_FREE char *path = NULL;
	struct err mine;

	(void)deadline;
	return load(s, k, ns, name, &path, out, e ? e : &mine);
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " ");
}

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* The word at *s, owned; "" when there is none.  *s is behind it and the blanks that follow. */
static char *take_word(const char **s, const char *chars)
{
	size_t n = strspn(*s, chars);
	char *word = xstrndup(*s, n);

	*s = skip_blanks(*s + n);
	return word;
}

static char *take_value(const char **s)
{
	return take_word(s, ALNUM "-_.");
}

static bool take(const char **s, const char *what)
{
	if (!str_starts(*s, what))
		return false;
	*s = skip_blanks(*s + strlen(what));
	return true;
}

/* "x,y)" with the parenthesis open; false when it is none. */
static bool value_in(const char **s, const char *have, bool *found)
{
	*found = false;
	do {
		AUTO_FREE char *v = take_value(s);

		*found |= have && streq(v, have);
	} while (take(s, ","));
	return take(s, ")");
}

/*
 * One requirement of a label selector: "a=b", "a==b", "a!=b", "a", "!a", "a in (x,y)", "a notin
 * (x,y)".  False when it is none of them.
 */
static bool label_fits(const json *labels, const char *t, bool *fits)
{
	const char *s = skip_blanks(t), *have;
	bool absent = take(&s, "!"), equal;
	AUTO_FREE char *key = take_word(&s, ALNUM "-_./");
	AUTO_FREE char *value = NULL;

	have = json_str_at(labels, key, NULL);
	*fits = (have != NULL) != absent;
	if (!*key || !*s || absent)
		return *key && !*s;
	equal = take(&s, "in");
	if (equal || take(&s, "notin")) {
		bool well = take(&s, "(") && value_in(&s, have, fits) && !*s;

		*fits = *fits == equal;
		return well;
	}
	equal = *s == '=';
	if (!take(&s, "==") && !take(&s, "!=") && !take(&s, "="))
		return false;
	value = take_value(&s);
	*fits = (have && streq(have, value)) == equal;
	return !*s;
}

/* Terms are separated by commas outside parentheses. */
static int labels_fit(const json *o, const char *selector, bool *fits, struct err *e)
{
	const json *labels = json_at(o, "metadata", "labels", NULL);
	const char *start = selector;
	int depth = 0;

	*fits = true;
	if (!*skip_blanks(selector))
		return 0;
	for (const char *p = selector;; p++) {
		AUTO_FREE char *term = NULL;
		bool one;

		depth += (*p == '(') - (*p == ')');
		if (*p && (*p != ',' || depth))
			continue;
		term = xstrndup(start, (size_t)(p - start));
		if (!label_fits(labels, term, &one))
			return err_set(e, ERR_CONFIG,
			               "label selector \"%s\": \"%s\" is none of KEY, !KEY, "
			               "KEY=VALUE, KEY!=VALUE, KEY in (VALUE,...) and KEY notin "
			               "(VALUE,...)",
			               selector, term);
		*fits &= one;
		if (!*p)
			return 0;
		start = p + 1;
	}
}

/* Field selectors: metadata.name, metadata.namespace, spec.nodeName; equality only. */
static int fields_fit(const json *o, const char *selector, bool *fits, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(selector);
	char *save = copy, *term;

	*fits = true;
	while (*selector && (term = strsep(&save, ","))) {
		char *leaf = strchr(term, '.'), *value = strchr(term, '=');
		const char *have;

		if (!value || !leaf || leaf > value || value[-1] == '!')
			return err_set(e, ERR_CONFIG,
			               "field selector \"%s\": \"%s\" is not FIELD.FIELD=VALUE",
			               selector, term);
		*value++ = '\0';
		*leaf++ = '\0';
		have = json_str_at(o, term, leaf, NULL);
		*fits &= have && streq(have, value + (*value == '='));
	}
	return 0;
}

static int selected(const json *o, const struct k8s_selector *sel, bool *fits, struct err *e)
{
	bool labels = true, fields = true;

	if ((sel && sel->labels && labels_fit(o, sel->labels, &labels, e) < 0) ||
	    (sel && sel->fields && fields_fit(o, sel->fields, &fields, e) < 0))
		return -1;
	*fits = labels && fields;
	return 0;
}

/* Of a selector that selected() has read before. */
static bool fits(const json *o, const char *ns, const struct k8s_selector *sel)
{
	const char *have = json_str_at(o, "metadata", "namespace", NULL);
	bool yes = false;

	if (ns && (!have || !streq(ns, have)))
		return false;
	return selected(o, sel, &yes, NULL) == 0 && yes;
}

static int new_uid(char out[37], struct err *e)
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return err_sys(e, errno, "random bytes");
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 9562: version 4, variant 10 */
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	         b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
	         b[13], b[14], b[15]);
	return 0;
}

/* What is missing of that which every object has. */
static int fill_in(enum store_kind k, json *o, struct err *e)
{
	const struct store_kind_info *info = store_kind_info(k);
	json *meta = json_ensure_object(o, "metadata");
	char uid[37], stamp[DATE_SIZE];

	json_set_str(o, "apiVersion", info->api_version);
	json_set_str(o, "kind", info->kind);
	if (!json_str_at(meta, "uid", NULL)) {
		if (new_uid(uid, e) < 0)
			return -1;
		json_set_str(meta, "uid", uid);
	}
	if (!json_str_at(meta, "creationTimestamp", NULL)) {
		date_text(time(NULL), stamp);
		json_set_str(meta, "creationTimestamp", stamp);
	}
	if (!json_get(meta, "generation"))
		json_set_i64(meta, "generation", 1);
	return 0;
}

/* One that lies in a file of another name would not be found by its own. */
static bool is_in_place(struct store *s, enum store_kind k, const json *o, const char *path)
{
	const char *name = json_str_at(o, "metadata", "name", NULL);
	const char *ns = json_str_at(o, "metadata", "namespace", NULL);
	AUTO_FREE char *right = NULL;
	struct err e;

	if (file_of(s, k, ns, name ? name : "", &right, &e) < 0)
		log_warn_err(&e, "left out: %s: metadata", path);
	else if (!streq(path, right))
		log_warn("left out: %s: by its metadata it belongs into %s", path, right);
	return right && streq(path, right);
}

/* Did somebody else than a store write it, or the store of another directory? */
static bool is_stranger(const json *o, uint64_t newest)
{
	uint64_t v = dir_version(o);

	return !v || v > newest || !json_str_at(o, "metadata", "uid", NULL);
}

/* Files that somebody wrote by hand become objects when they are met. */
static int adopt(int lock_fd, enum store_kind k, const char *path, json *o, struct err *e)
{
	if (fill_in(k, o, e) < 0 || write_object(lock_fd, path, o, e) < 0)
		return err_wrap(e, "%s, which was written by hand", path);
	log_info("%s was written by hand: it has got a uid and a version", path);
	return 0;
}

/* What a scan does with strangers. */
struct strangers {
	uint64_t newest; /* version of the store */
	int lock_fd;     /* exclusive: they are adopted; -1: they are counted */
	size_t n;
};

/* Everything of a kind that fits; a broken file is named in the log and left out. */
static int scan(struct store *s, enum store_kind k, const char *ns, const struct k8s_selector *sel,
                struct strangers *st, json *items, struct err *e)
{
	AUTO_FREE char *folder = dir_folder(s, k);
	char **names;
	int rc = 0;
	size_t n;

	if (file_list(folder, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, names[i]);
		AUTO_JSON *o = NULL;
		struct err bad;

		if (!str_ends(names[i], ".json"))
			continue;
		if (read_object(path, &o, &bad) < 0) {
			/* gone since it was listed is no news */
			if (bad.kind != ERR_NOT_FOUND)
				log_warn_err(&bad, "left out");
			continue;
		}
		if (!is_in_place(s, k, o, path))
			continue;
		if (is_stranger(o, st->newest)) {
			st->n++;
			if (st->lock_fd >= 0)
				rc = adopt(st->lock_fd, k, path, o, e);
		}
		if (fits(o, ns, sel))
			json_append(items, take_ptr(&o));
	}
	file_list_free(names, n);
	return rc;
}

/* Everything that fits, and the version, of one moment; met: were there strangers? */
static int list_locked(struct store *s, int how, enum store_kind k, const char *ns,
                       const struct k8s_selector *sel, json **items, char **version, bool *met,
                       struct mono deadline, struct err *e)
{
	AUTO_JSON *list = json_new_array();
	struct strangers st = { 0, -1, 0 };
	AUTO_FD int fd = -1;
	uint64_t v = 0;

	if (lock(s, how, deadline, &fd, e) < 0)
		return -1;
	if (fd < 0 && version)
		return err_set(e, ERR_FORBIDDEN, "the lock of the store %s cannot be opened",
		               dir_path(s));
	if (fd >= 0 && read_counter(fd, &st.newest, e) < 0)
		return -1;
	st.lock_fd = how == LOCK_EX ? fd : -1;
	if (scan(s, k, ns, sel, &st, list, e) < 0 || (fd >= 0 && read_counter(fd, &v, e) < 0))
		return -1;
	*met = st.n > 0;
	if (version)
		*version = xasprintf("%llu", (unsigned long long)v);
	*items = take_ptr(&list);
	return 0;
}

int dir_list(struct store *s, enum store_kind k, const char *ns, const struct k8s_selector *sel,
             json **items, char **version, struct mono deadline, struct err *e)
{
	AUTO_FREE char *v = NULL;
	AUTO_JSON *list = NULL;
	bool ignored, met;

	/* a selector that is none is told also where there is nothing to select */
	if (selected(NULL, sel, &ignored, e) < 0 ||
	    list_locked(s, LOCK_SH, k, ns, sel, &list, version ? &v : NULL, &met, deadline, e) < 0)
		return -1;
	if (met && !((struct dir_store *)s)->looks) {
		json_free(take_ptr(&list));
		free(take_ptr(&v));
		if (list_locked(s, LOCK_EX, k, ns, sel, &list, version ? &v : NULL, &met, deadline,
		                e) < 0)
			return -1;
	}
	if (version)
		*version = take_ptr(&v);
	*items = take_ptr(&list);
	return 0;
}

static int dir_create(struct store *s, enum store_kind k, const json *object, json **out,
                      struct mono deadline, struct err *e)
{
	static const char given[][18] = { "creationTimestamp", "generation", "deletionTimestamp" };
	const char *name = json_str_at(object, "metadata", "name", NULL);
	const char *ns = json_str_at(object, "metadata", "namespace", NULL);
	AUTO_FREE char *path = NULL;
	AUTO_JSON *o = json_copy(object);
	AUTO_FD int fd = -1;
	json *meta;

	if (file_of(s, k, ns, name ? name : "", &path, e) < 0 || dir_make_folder(s, k, e) < 0 ||
	    lock(s, LOCK_EX, deadline, &fd, e) < 0)
		return -1;
	if (access(path, F_OK) == 0)
		return err_set(e, ERR_EXISTS, "%s \"%s\" already exists",
		               store_kind_info(k)->resource.plural, name);
	meta = json_ensure_object(o, "metadata");
	for (size_t i = 0; i < ARRAY_LEN(given); i++)
		json_remove(meta, given[i]);
	if (k != STORE_POD) /* a pod's uid is its runtime's */
		json_remove(meta, "uid");
	if (fill_in(k, o, e) < 0 || write_object(fd, path, o, e) < 0)
		return -1;
	if (out)
		*out = take_ptr(&o);
	return 0;
}

/* A change of this kind's set of names that no file tells any more. */
static int note_deletion(struct store *s, enum store_kind k, int lock_fd, struct err *e)
{
	AUTO_FREE char *path =
		xasprintf("%s/%s/.deleted", dir_path(s), store_kind_info(k)->resource.plural);
	char text[24];
	uint64_t v;

	if (next_version(lock_fd, &v, e) < 0)
		return -1;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return file_write(path, text, strlen(text), 0644, FILE_DURABLE, e);
}

static int remove_object(struct store *s, enum store_kind k, int lock_fd, const char *path,
                         struct err *e)
{
	/* first the note: a kill between the two costs a list, the other order would lose an event
	 */
	if (note_deletion(s, k, lock_fd, e) < 0)
		return -1;
	return file_remove(path, FILE_DURABLE, NULL, e);
}

static int conflict(enum store_kind k, const char *name, struct err *e)
{
	return err_set(e, ERR_CONFLICT, "%s \"%s\": the object has been modified",
	               store_kind_info(k)->resource.plural, name);
}

/* want NULL: any.  A file that nobody has adopted yet has none. */
static bool is_of_version(const json *o, const char *want)
{
	const char *have = json_str_at(o, "metadata", "resourceVersion", NULL);

	return !want || (have && streq(want, have));
}

/* The status of old with the patch in it, into o. */
static void patch_status(const json *old, const json *patch, json *o)
{
	json *v = json_get(old, "status") ? json_copy(json_get(old, "status")) : json_new_object();

	if (json_get(patch, "status"))
		json_merge(&v, json_get(patch, "status"));
	json_set(o, "status", v);
}

/* Those of a pod go with its status. */
static int patch_annotations(const json *old, const json *patch, json *o, const char *name,
                             struct err *e)
{
	const json *annotations = json_at(patch, "metadata", "annotations", NULL);
	const char *want = json_str_at(patch, "metadata", "uid", NULL);
	const char *uid = json_str_at(old, "metadata", "uid", NULL);
	const json *has = json_at(old, "metadata", "annotations", NULL);
	json *v;

	if (!annotations)
		return 0;
	if (want && !streq(want, uid ? uid : ""))
		return conflict(STORE_POD, name, e);
	v = has ? json_copy(has) : json_new_object();
	json_merge(&v, annotations);
	json_set(json_ensure_object(o, "metadata"), "annotations", v);
	return 0;
}

/* The object with the patch in it; what a patch may not touch is as before. */
static json *patched(const json *old, const json *patch, bool has_status)
{
	static const char fixed[][18] = {
		"uid",  "resourceVersion", "creationTimestamp", "deletionTimestamp",
		"name", "namespace",       "generation"
	};
	json *o = json_copy(old), *meta;

	json_merge(&o, patch);
	if (has_status && json_get(old, "status"))
		json_set(o, "status", json_copy(json_get(old, "status")));
	else if (has_status)
		json_remove(o, "status");
	meta = json_ensure_object(o, "metadata");
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		const json *was = json_at(old, "metadata", fixed[i], NULL);

		if (was)
			json_set(meta, fixed[i], json_copy(was));
		else
			json_remove(meta, fixed[i]);
	}
	return o;
}

static void count_generation(const json *old, json *o)
{
	int64_t generation = 0;

	if (json_get(old, "spec") && json_get(o, "spec") &&
	    json_equal(json_get(old, "spec"), json_get(o, "spec")))
		return;
	if (!json_get(old, "spec") && !json_get(o, "spec"))
		return;
	IGNORE(json_opt_i64(json_get(old, "metadata"), "generation", &generation, NULL));
	json_set_i64(json_ensure_object(o, "metadata"), "generation", generation + 1);
}

static int dir_patch(struct store *s, enum store_kind k, const char *ns, const char *name,
                     bool status, const json *patch, json **out, struct mono deadline,
                     struct err *e)
{
	const char *want = json_str_at(patch, "metadata", "resourceVersion", NULL);
	AUTO_FREE char *path = NULL;
	AUTO_JSON *old = NULL;
	AUTO_JSON *o = NULL;
	AUTO_FD int fd = -1;
	struct err mine;

	if (!e)
		e = &mine;
	if (lock(s, LOCK_EX, deadline, &fd, e) < 0 || load(s, k, ns, name, &path, &old, e) < 0)
		return -1;
	if (!is_of_version(old, want))
		return conflict(k, name, e);
	if (status) {
		o = json_copy(old);
		patch_status(old, patch, o);
		if (k == STORE_POD && patch_annotations(old, patch, o, name, e) < 0)
			return -1;
	} else {
		o = patched(old, patch, store_kind_info(k)->has_status);
	}
	if (json_at(o, "metadata", "deletionTimestamp", NULL) &&
	    !json_count(json_at(o, "metadata", "finalizers", NULL))) {
		if (remove_object(s, k, fd, path, e) < 0)
			return -1;
	} else if (!json_equal(old, o)) {
		count_generation(old, o);
		if (write_object(fd, path, o, e) < 0)
			return -1;
	}
	if (out)
		*out = take_ptr(&o);
	return 0;
}

static int dir_delete(struct store *s, enum store_kind k, const char *ns, const char *name,
                      const char *uid, const char *version, struct mono deadline, struct err *e)
{
	AUTO_FREE char *path = NULL;
	AUTO_JSON *o = NULL;
	AUTO_FD int fd = -1;
	const char *have_uid;
	struct err mine;
	char stamp[DATE_SIZE];

	if (!e)
		e = &mine;
	if (lock(s, LOCK_EX, deadline, &fd, e) < 0 || load(s, k, ns, name, &path, &o, e) < 0)
		return -1;
	have_uid = json_str_at(o, "metadata", "uid", NULL);
	if ((uid && (!have_uid || !streq(uid, have_uid))) || !is_of_version(o, version))
		return conflict(k, name, e);
	if (!json_count(json_at(o, "metadata", "finalizers", NULL)))
		return remove_object(s, k, fd, path, e);
	if (json_at(o, "metadata", "deletionTimestamp", NULL))
		return 0;
	date_text(time(NULL), stamp);
	json_set_str(json_ensure_object(o, "metadata"), "deletionTimestamp", stamp);
	return write_object(fd, path, o, e);
}

static void dir_close(struct store *s)
{
	free(((struct dir_store *)s)->path);
	free(s);
}

static const struct store_ops dir_ops = {
	.get = dir_get,
	.list = dir_list,
	.create = dir_create,
	.patch = dir_patch,
	.del = dir_delete,
	.watch_open = dir_watch_open,
	.close = dir_close,
};

static int must_be_there(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : err_sys(e, ENOTDIR, "store %s", path);
	if (errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND,
		               "there is no store at %s: an agent or \"ctl apply\" makes one",
		               path);
	return err_sys(e, errno, "store %s", path);
}

int store_open_dir(const char *path, bool make, struct store **out, struct err *e)
{
	struct dir_store *s;

	if ((make ? file_mkdirs(path, 0755, e) : must_be_there(path, e)) < 0)
		return -1;
	s = xcalloc(1, sizeof(*s));
	s->base.ops = &dir_ops;
	s->path = xstrdup(path);
	s->looks = !make;
	*out = &s->base;
	return 0;
}
