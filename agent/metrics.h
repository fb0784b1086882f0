/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - what the agent counts, and Prometheus' text format (0.0.4) for it.
 *
 * The names are those that Spiderpool documents; a counter's ends in _total.  Counting takes no
 * lock.
 */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include <stdint.h>

#include "base/str.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Counters that need no more than a number. */
enum metric {
	METRIC_GC_FREED,         /* addresses given back because their pods are gone */
	METRIC_GC_FAILED,        /* that could not be */
	METRIC_DATAPATH_REPAIRS, /* routes, rules and neighbours of pods that were put right */
	METRIC_N
};

struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* NULL is fine */

void metrics_add(struct metrics *m, enum metric what, unsigned long n);
/*
 * An ADD or a DEL was answered after so many microseconds, the first limit_us of which it waited
 * to be planned.  kind: ERR_NONE, or why it failed.
 */
void metrics_allocation(struct metrics *m, int64_t us, int64_t limit_us, enum err_kind kind);
void metrics_release(struct metrics *m, int64_t us, int64_t limit_us, enum err_kind kind);

/* Everything that was counted. */
void metrics_render(struct metrics *m, struct str *out);

/* For what is counted elsewhere: the head of a family ("counter" or "gauge"), then its samples.
 * The label may be NULL. */
void metrics_family(struct str *out, const char *name, const char *type, const char *help);
void metrics_sample(struct str *out, const char *name, const char *label, const char *value,
                    uint64_t n);
/* A family of one sample. */
void metrics_one(struct str *out, const char *name, const char *type, const char *help, uint64_t n);

#endif
