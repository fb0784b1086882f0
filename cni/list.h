/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - network configurations run as a runtime runs them: a list of plugins, or a single one,
 * by the algorithms of CNI SPEC.md section 4 as libcni has them.
 *
 * Each plugin gets its object of the list with "name" and "cniVersion" of the list, "prevResult"
 * (ADD: of the plugin before; CHECK, and DEL from 0.4.0 on: the last result of the ADD) and
 * "runtimeConfig" (what of the runtime's it declares as its "capabilities").  ADD and CHECK go
 * forward, DEL backward; the first error ends them, and nothing is undone: that is the caller's.
 *
 * The result of an ADD is kept in libcni's own format and place,
 * CACHE_DIR/results/NETWORK-CONTAINERID-IFNAME, so that either side can carry on with what the
 * other one began.
 */
#ifndef CNI_LIST_H
#define CNI_LIST_H

#include "cni/cni.h"

struct cni_network {
	json *conf;       /* owned: the list, or the one plugin */
	const char *name; /* in conf */
	enum cni_version version;
	bool is_list, disable_check, disable_gc;
};

#define AUTO_CNI_NETWORK __attribute__((cleanup(cni_network_release))) struct cni_network
void cni_network_release(struct cni_network *n);

/*
 * conf is taken, also on failure.  name, version: for one that has none (name may be NULL).  The
 * version is the highest one we speak of "cniVersions" and "cniVersion".  ERR_CONFIG.
 */
int cni_network_read(json *conf, const char *name, enum cni_version version,
                     struct cni_network *out, struct err *e) MUST_USE;
/*
 * The same for a DEL, of a configuration that an ADD was once run with: a version that we do not
 * speak, such as 0.2.0, is taken for 0.3.1, in which a DEL is the same.
 */
int cni_network_read_kept(json *conf, const char *name, enum cni_version version,
                          struct cni_network *out, struct err *e) MUST_USE;

/* A plugin that is part of this binary. */
struct cni_builtin {
	const char *type;
	const struct cni_plugin *plugin;
};

/* The attachment that the calls are about.  All is borrowed. */
struct cni_runtime {
	const char *container_id, *netns, *ifname; /* "" for GC and STATUS */
	const char *args;                          /* CNI_ARGS */
	const char *path;                          /* CNI_PATH */
	const json *capability_args;               /* object, or NULL */
	const char *cache_dir;
	/*
	 * Called without a process where the executable found in the path is this very binary; ends
	 * with a NULL type.
	 */
	const struct cni_builtin *builtins;
	bool skip_missing; /* for DEL, see there */
	struct mono deadline;
	int netns_fd; /* of netns, as in struct cni_call; 0: each plugin opens it */
};

/*
 * *result is owned: the last plugin's document.  Errors name the plugin, *code is its CNI error
 * code.
 */
int cni_network_add(const struct cni_network *n, const struct cni_runtime *rt, json **result,
                    int *code, struct err *e) MUST_USE;
/*
 * The kept result goes last, and only when all succeeded.  A plugin that is not in the path is an
 * error, as the runtime tries again and somebody may just be replacing it; with skip_missing, or
 * when the network namespace is gone too, there is a warning in the log and the others' DEL.
 */
int cni_network_del(const struct cni_network *n, const struct cni_runtime *rt, int *code,
                    struct err *e) MUST_USE;
/* Nothing is done for a list with disableCheck.  ERR_CONFIG when the version has no CHECK. */
int cni_network_check(const struct cni_network *n, const struct cni_runtime *rt, int *code,
                      struct err *e) MUST_USE;
int cni_network_status(const struct cni_network *n, const struct cni_runtime *rt, int *code,
                       struct err *e) MUST_USE;

/*
 * DEL of the network's kept attachments that are not in valid (an array of {"containerID",
 * "ifname"}), then GC of each plugin where the version has it.  All is tried; the first error is
 * returned.  Nothing for a list with disableGC.
 */
int cni_network_gc(const struct cni_network *n, const struct cni_runtime *rt, const json *valid,
                   int *code, struct err *e) MUST_USE;

/* Replaces the kept result. */
int cni_network_keep(const struct cni_network *n, const struct cni_runtime *rt, const json *result,
                     struct err *e) MUST_USE;

/* Is one of its plugins not in the path? */
bool cni_network_lacks(const struct cni_network *n, const struct cni_runtime *rt);

/* The first failure of several calls. */
struct cni_first {
	int rc, code; /* 0: there was none */
	struct err err;
};

void cni_first_note(struct cni_first *f, int rc, int code, const struct err *e);

/* What is kept of one attachment; strings and trees are owned. */
struct cni_attachment {
	char *path; /* of the file */
	char *network, *container_id, *ifname, *netns;
	char *args;            /* as CNI_ARGS */
	json *conf;            /* of the network; NULL: the file tells nothing but its name */
	json *capability_args; /* or NULL */
};

void cni_attachments_free(struct cni_attachment *v, size_t n);
/* All, or those of one container, in the order of the files' names. */
int cni_attachments(const char *cache_dir, const char *container_id, struct cni_attachment **out,
                    size_t *count, struct err *e) MUST_USE;
/* Is it one of that container?  Of a file that cannot be read, the name decides. */
bool cni_attachment_is_of(const struct cni_attachment *a, const char *container_id);
/* Nobody can give it up any more, for the reason why: its file, if it is still there, goes, and the
 * log tells so. */
void cni_attachment_forget(const struct cni_attachment *a, const char *why);
/* Removes a file of ours that says what there is to give up.  A folder by that name is none: it
 * stays, which is no error, and the log tells so. */
int cni_forget_file(const char *path, struct err *e) MUST_USE;
/* Removes what killed writers left in CACHE_DIR/results. */
void cni_cache_sweep(const char *cache_dir);

#endif
