/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.h - frees the addresses that pods of this node left behind without a DEL.
 *
 * An address is freed on evidence, not on age: a live read says that its pod is gone, was replaced
 * or has ended, and no attachment record with a living network namespace says otherwise.  A failed
 * read frees nothing.  One that a StatefulSet or a virtual machine keeps is freed when a live read
 * says that these do not any more.
 */
#ifndef AGENT_GC_H
#define AGENT_GC_H

#include "agent/inflight.h"
#include "agent/ledger.h"
#include "agent/metrics.h"
#include "agent/pods.h"

#define GC_ROUND_MS 3000
#define GC_QUARANTINE_S 3600 /* an address that somebody else answered for is tried again then */

struct gc;

/* Strings and parts are borrowed until gc_stop. */
struct gc_config {
	struct store *store;
	struct ledger *ledger;
	struct pods *pods;
	struct metrics *metrics;
	struct inflight *inflight;
	const char *node, *state_dir, *boot_id;
	bool keep_statefulset, keep_vmi;
	/* May it begin?  Everything is known, and the queue of releases was replayed. */
	bool (*ready)(void *ctx);
	void *ctx;
	int round_ms; /* 0: GC_ROUND_MS */
};

int gc_start(const struct gc_config *config, struct gc **out, struct err *e) MUST_USE;
void gc_stop(struct gc *g); /* NULL is fine */

#endif
