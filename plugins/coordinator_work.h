/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_work.h - one call of the coordinator and what it works with; for its own files.
 *
 *   coordinator.c        the verbs, and where the configuration comes from
 *   coordinator_look.c   what there is, and what follows from it; changes nothing
 *   coordinator_apply.c  what an ADD changes
 *   coordinator_del.c    what a DEL removes
 */
#ifndef PLUGINS_COORDINATOR_WORK_H
#define PLUGINS_COORDINATOR_WORK_H

#include "cni/cni.h"
#include "datapath/plan.h"
#include "datapath/record.h"
#include "datapath/tune.h"
#include "plugins/steps.h"

/* Arrays are owned. */
struct work {
	struct cni_call *call;
	int *code; /* of the error */
	struct coordinator_conf conf;
	const char *state_dir; /* borrowed */
	char boot_id[64];
	uint64_t netns_inode;
	int pod_ns, host_ns; /* borrowed */
	struct nl *pod, *host;
	struct link *pod_links;
	struct addr *pod_addrs, *host_addrs; /* of the node: the pod's families */
	size_t n_pod_links, n_pod_addrs, n_host_addrs;
	struct link nic;
	struct ip *pod_ips, *node_ips; /* of the nic; of the node, the gateways first */
	size_t n_pod_ips, n_node_ips;
	bool overlay, first;
	bool fresh;             /* the pair is made by this call */
	struct link link, peer; /* the pod's end and the node's; index 0: not made yet */
	struct route *routes;   /* of the pod, for tuning */
	struct rule *rules;
	size_t n_routes, n_rules;
	struct datapath_record made; /* this interface's, of an earlier ADD; table 0: none */
	struct coordinator_facts facts;
	struct coordinator_plan plan;
	struct tune_moves moves;
	struct steps steps;
};

#define AUTO_WORK __attribute__((cleanup(work_release))) struct work
void work_release(struct work *w);

/* -1, and the CNI code of a bad configuration. */
int work_config_error(struct work *w);
/* An absolute path of the configuration; *out stays when the key is not there or "". */
int work_path(const json *conf, const char *key, const char **out, struct err *e) MUST_USE;

/* Of this boot, or "". */
void work_boot_id(char out[64]);
int work_open(struct work *w, struct err *e) MUST_USE;
/* What an earlier ADD of this interface of this very pod has told. */
void work_recall(struct work *w);
/* Links, addresses and which mode it is; existing: the pair must be there. */
int work_look(struct work *w, bool existing, struct err *e) MUST_USE;
/* The plan, and the moves; link and peer are known. */
int work_plan(struct work *w, struct err *e) MUST_USE;
const struct link *work_pod_link(const struct work *w, const char *name); /* NULL: none */
bool work_has_family(const struct work *w, uint8_t family);

/* Everything; what fails has been taken back. */
int work_apply(struct work *w, struct err *e) MUST_USE;

/* The pair as it is now, by which an earlier ADD of this container joined the pod. */
int work_check(struct work *w, struct err *e) MUST_USE;

int coordinator_del(struct cni_call *c, int *code, struct err *e) MUST_USE;

#endif
