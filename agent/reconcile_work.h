/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile_work.h - one round of the reconciler and what it works with; for its own files.
 *
 *   reconcile.c          the thread and its rounds
 *   reconcile_hear.c     what it hears of changes
 *   reconcile_records.c  the records
 *   reconcile_node.c     the node
 *   reconcile_pod.c      a pod, and its record
 *   reconcile_make.c     changes, and words
 */
#ifndef AGENT_RECONCILE_WORK_H
#define AGENT_RECONCILE_WORK_H

#include <pthread.h>

#include "agent/reconcile.h"
#include "datapath/keep.h"

/* A record, and how it stands with it. */
struct kept {
	struct datapath_record r;
	int host_index;                   /* of the host end, 0: not there */
	bool look;                        /* in this round, or the next one */
	bool settled;                     /* the pod has what the record says */
	bool there;                       /* in the next round as well */
	bool lost;                        /* told that somebody removed the record */
	char *node_trouble, *pod_trouble; /* told last, or NULL */
};

/*
 * What there was since the last round.  Of interfaces that are a pod's end it is the pod that is
 * marked; these are others that got or lost an address: the node's, or those of a pod whose record
 * is not read yet.
 */
#define HEARD_INDEXES 16
#define HEARD_FILES 32
struct heard {
	bool all; /* everything is to be looked at: some was lost, or it concerns all, or is much */
	int indexes[HEARD_INDEXES];
	char *files[HEARD_FILES]; /* names of records that came, went or changed; owned */
	size_t n_indexes, n_files;
};

struct reconcile {
	struct reconcile_config config;
	int notices, inotify, stop;
	struct nl *nl; /* of the node, NULL: to be opened anew */
	int ns;        /* likewise, -1 */
	struct kept *kept;
	size_t n_kept;
	struct heard heard;
	/* as seen last: the addresses that are on no pair, and interfaces of these; NULL: not yet
	 */
	struct addr *addrs;
	struct link *links;
	size_t n_addrs, n_links;
	bool began;           /* the first round is over */
	bool powerless;       /* told that rights are missing */
	uint32_t told;        /* by sysctls_tune */
	unsigned int repairs; /* in this round */
	pthread_t thread;
};

/* What the node is like in this round, for the pods that are looked at.  Arrays are owned. */
struct node {
	struct nl *nl; /* these two are borrowed from struct reconcile */
	int ns;
	struct link *links;
	struct addr *addrs;
	struct route *routes;
	struct neigh *neighs;
	struct rule *rules;
	struct ip *local;   /* addresses, but those on host ends */
	struct addr *cards; /* the same, and those on other plugins' host ends */
	size_t n_links, n_addrs, n_routes, n_neighs, n_rules, n_local, n_cards;
};

#define AUTO_NODE __attribute__((cleanup(reconcile_node_release))) struct node
int reconcile_node_open(struct reconcile *k, struct node *n, struct err *e) MUST_USE;
void reconcile_node_release(struct node *n);

/* Takes what waits, and marks pods.  False: it is of no concern. */
bool reconcile_hear(struct reconcile *k);
void reconcile_heard_clear(struct reconcile *k);
/* The folder of the records, which is made; again, when there is another one by that name. */
int reconcile_watch(struct reconcile *k, struct err *e) MUST_USE;

void reconcile_kept_free(struct reconcile *k);
/* All records, with the node's interfaces; those that a DEL took are forgotten.  All are marked. */
int reconcile_list_records(struct reconcile *k, struct node *n, struct err *e) MUST_USE;
/* Those that were heard of; they are marked.  *all: that cannot be done one by one. */
int reconcile_read_heard(struct reconcile *k, const struct node *n, bool *all,
                         struct err *e) MUST_USE;
/* Marked ones whose namespace and pair are gone. */
void reconcile_bury(struct reconcile *k, const struct node *n);

/* The pod as people know it; owned. */
char *reconcile_name_of(const struct reconcile *k, const struct kept *p);
void reconcile_add_trouble(struct reconcile *k, struct str *trouble, const struct err *e);
/* Told when it is not what was told last. */
void reconcile_settle_trouble(const struct reconcile *k, const struct kept *p, char **told,
                              struct str *trouble);
/* False when one of them failed. */
bool reconcile_make_all(struct reconcile *k, const struct kept *p, struct nl *nl, const char *where,
                        const struct keep_changes *all, struct str *trouble);

enum evidence { DEAD, LIVES, UNKNOWN };
/* *ns is the open namespace when it lives (owned); NULL is fine. */
enum evidence reconcile_namespace_of(const struct reconcile *k, const struct datapath_record *r,
                                     int *ns);

/* The end of this pod's pair, or NULL. */
struct link *reconcile_host_end(const struct node *n, const struct datapath_record *r);
/* An end of the coordinator's making. */
bool reconcile_is_pairs_end(const struct reconcile *k, int index);
/* The ends of all that are marked. */
int reconcile_find_ends(struct reconcile *k, struct node *n, struct err *e) MUST_USE;
/* Has the node got or lost addresses, as was heard of others' interfaces? */
int reconcile_node_changed(struct reconcile *k, struct node *n, bool *changed,
                           struct err *e) MUST_USE;
/* all: of every interface; else what concerns those that are marked. */
int reconcile_look_at_node(struct reconcile *k, struct node *n, bool all, struct err *e) MUST_USE;
/* As keep_node_ips; owned array. */
void reconcile_find_node_ips(const struct node *n, const struct datapath_record *r, struct ip **out,
                             size_t *count);
struct keep_facts reconcile_facts_of(const struct node *n, const struct link *end,
                                     const struct ip *node_ips, size_t n_node_ips);
/* Both arrays are taken; the result has to's elements, then v's. */
void *reconcile_join(void *to, size_t *n, void *v, size_t more, size_t size);
void reconcile_keep_node(struct reconcile *k, struct node *n, struct kept *p, bool whole);

/* A DEL may have taken it away meanwhile, and another ADD left one that tells of other things. */
bool reconcile_is_recorded(const struct reconcile *k, const struct datapath_record *r);
void reconcile_keep_pod(struct reconcile *k, const struct node *n, struct kept *p);

#endif
