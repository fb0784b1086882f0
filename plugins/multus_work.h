/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_work.h - one call of the multus plugin and what it works with: for multus.c (ADD, CHECK,
 * STATUS), multus_find.c (which networks) and multus_del.c (giving up, DEL, GC).
 */
#ifndef PLUGINS_MULTUS_WORK_H
#define PLUGINS_MULTUS_WORK_H

#include "net/nl.h"
#include "plugins/multus_conf.h"
#include "plugins/multus_delegate.h"
#include "plugins/multus_source.h"

#define MULTUS_LACK ".missing" /* behind the name of a container's file */

/* One call and what it works with. */
struct multus_work {
	struct cni_call *call;
	int *code;
	struct multus_conf conf;
	struct multus_source source;
	struct multus_pod pod;
	struct multus_delegates delegates;
	char *path;     /* CNI_PATH for the delegates */
	char *infra_id; /* K8S_POD_INFRA_CONTAINER_ID */
	/* whose networks: the call's, or that of a container that is collected */
	const char *container_id, *netns;
	char *scratch;        /* <cniDir>/<container id> */
	char *lack;           /* with MULTUS_LACK: made when a plugin was first missing */
	struct mono deadline; /* of what is done for the network at hand */
	bool conf_read;       /* false: of the configuration the folders alone */
	bool by_kept;         /* what is kept of attachments knows better than the delegates */
	/* plugins were missing at an earlier DEL; are at this one; and hold it up no longer */
	bool was_lacking, is_lacking, skip_missing;
	int pod_ns;    /* borrowed */
	struct nl *nl; /* of the pod; NULL: not open */
	bool again;    /* an ADD that was never undone has left the file */
	json *result;  /* the master's */
	struct str status;
};

#define AUTO_MULTUS_WORK __attribute__((cleanup(multus_work_release))) struct multus_work
struct multus_work multus_begin(struct cni_call *c, int *code);
void multus_work_release(struct multus_work *w);

/* The configuration, and all that follows from it: ERR_CONFIG, and the code is set. */
int multus_read_conf(struct multus_work *w, struct err *e) MUST_USE;
/* For DEL: what somebody broke since the ADD does not matter, but for where the files are. */
void multus_read_leniently(struct multus_work *w);
/* The container that the work is about from here on; borrowed. */
void multus_about(struct multus_work *w, const char *container_id, const char *netns);

/* What one network is run with. */
struct multus_run {
	struct cni_runtime rt;
	char *args;
	json *capabilities;
};

#define AUTO_MULTUS_RUN __attribute__((cleanup(multus_run_release))) struct multus_run
struct multus_run multus_run_of(const struct multus_work *w, const struct multus_delegate *d);
void multus_run_release(struct multus_run *r);
/* The same of no network yet. */
struct cni_runtime multus_runtime(const struct multus_work *w);
/* Plugins that were called without a process have left the log theirs. */
void multus_reopen_log(const struct multus_work *w);

/* The delegates, from the container's file; *found tells whether there is one. */
int multus_read_scratch(struct multus_work *w, bool *found, struct err *e) MUST_USE;
/* The pod, and with it the networks that the configuration gives to every one. */
int multus_find_pod(struct multus_work *w, struct err *e) MUST_USE;
/* What the configuration and the pod's annotations name. */
int multus_find_delegates(struct multus_work *w, struct err *e) MUST_USE;
/* The cluster's network, of no pod. */
int multus_find_cluster(struct multus_work *w, struct err *e) MUST_USE;

/* Gives up the first `count` of the delegates; the file stays while something is left for the
 * runtime's DEL to do. */
void multus_roll_back(struct multus_work *w, size_t count);
int multus_del(struct cni_call *c, int *code, struct err *e) MUST_USE;
int multus_gc(struct cni_call *c, int *code, struct err *e) MUST_USE;

#endif
