/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - see metrics.h.
 *
 * A reader sees each number by itself: while somebody counts, two of them may be one apart.  Within
 * a histogram that cannot happen, as its count is the sum of its buckets.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "agent/metrics.h"

/* Upper bounds of the buckets but the last, in tenths of a second; the original's. */
static const unsigned char bounds[] = { 1, 3, 5, 10, 30, 50, 70, 100, 150 };
#define N_BUCKETS (ARRAY_LEN(bounds) + 1)

/* Microseconds. */
struct durations {
	atomic_ulong buckets[N_BUCKETS];
	atomic_llong sum, max, min, latest;
};

enum cause { CAUSE_NONE, CAUSE_INTERNAL, CAUSE_NO_POOL, CAUSE_RETRIES, CAUSE_USED_OUT, N_CAUSES };

struct operation {
	atomic_ulong ends[N_CAUSES];
	struct durations total, limit;
};

struct metrics {
	struct operation allocation, release;
	atomic_ulong counters[METRIC_N];
};

static void init(struct operation *o)
{
	atomic_init(&o->total.min, INT64_MAX);
	atomic_init(&o->limit.min, INT64_MAX);
}

struct metrics *metrics_new(void)
{
	struct metrics *m = xcalloc(1, sizeof(*m));

	init(&m->allocation);
	init(&m->release);
	return m;
}

void metrics_free(struct metrics *m)
{
	free(m);
}

void metrics_add(struct metrics *m, enum metric what, unsigned long n)
{
	atomic_fetch_add(&m->counters[what], n);
}

static void measure(struct durations *d, int64_t us)
{
	long long old;
	size_t i = 0;

	if (us < 0)
		us = 0;
	while (i < ARRAY_LEN(bounds) && us > bounds[i] * 100000LL)
		i++;
	atomic_fetch_add(&d->sum, us);
	atomic_store(&d->latest, us);
	for (old = atomic_load(&d->max); us > old;)
		if (atomic_compare_exchange_weak(&d->max, &old, us))
			break;
	for (old = atomic_load(&d->min); us < old;)
		if (atomic_compare_exchange_weak(&d->min, &old, us))
			break;
	/* last: who sees it in a bucket sees the rest of it too */
	atomic_fetch_add(&d->buckets[i], 1);
}

static enum cause cause_of(enum err_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return CAUSE_NONE;
	case ERR_NO_POOL:
		return CAUSE_NO_POOL;
	case ERR_EXHAUSTED:
		return CAUSE_USED_OUT;
	case ERR_TIMEOUT:
	case ERR_CONFLICT:
		return CAUSE_RETRIES; /* until its time was over */
	default:
		return CAUSE_INTERNAL;
	}
}

static void count(struct operation *o, int64_t us, int64_t limit_us, enum err_kind kind)
{
	measure(&o->total, us);
	measure(&o->limit, limit_us);
	atomic_fetch_add(&o->ends[cause_of(kind)], 1);
}

void metrics_allocation(struct metrics *m, int64_t us, int64_t limit_us, enum err_kind kind)
{
	count(&m->allocation, us, limit_us, kind);
}

void metrics_release(struct metrics *m, int64_t us, int64_t limit_us, enum err_kind kind)
{
	count(&m->release, us, limit_us, kind);
}

/* Text. */
void metrics_family(struct str *out, const char *name, const char *type, const char *help)
{
	str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_sample(struct str *out, const char *name, const char *label, const char *value,
                    uint64_t n)
{
	str_add(out, name);
	if (label) {
		str_addf(out, "{%s=\"", label);
		for (; *value; value++) {
			if (*value == '\\' || *value == '"' || *value == '\n')
				str_addc(out, '\\');
			str_addc(out, *value == '\n' ? 'n' : *value);
		}
		str_add(out, "\"}");
	}
	str_addf(out, " %llu\n", (unsigned long long)n);
}

void metrics_one(struct str *out, const char *name, const char *type, const char *help, uint64_t n)
{
	metrics_family(out, name, type, help);
	metrics_sample(out, name, NULL, NULL, n);
}

/* printf of a double brings kilobytes of libc. */
static void add_seconds(struct str *out, const char *name, int64_t us)
{
	str_addf(out, "%s %lld.%06lld\n", name, (long long)(us / 1000000),
	         (long long)(us % 1000000));
}

/* One of four gauges; before the first measurement it has no value. */
static void add_gauge(struct str *out, const char *op, const char *which, const char *limit,
                      const char *of, int64_t us, bool any)
{
	AUTO_FREE char *name =
		xasprintf("spiderpool_ipam_%s_%s_%sduration_seconds", op, which, limit);
	AUTO_FREE char *help = xasprintf("%s %s, since the start", which, of);

	metrics_family(out, name, "gauge", help);
	if (any)
		add_seconds(out, name, us);
}

static void add_durations(struct str *out, const char *op, const char *limit, const char *of,
                          struct durations *d)
{
	AUTO_FREE char *name = xasprintf("spiderpool_ipam_%s_%sduration_seconds", op, limit);
	AUTO_FREE char *sum = xasprintf("%s_sum", name);
	unsigned long buckets[N_BUCKETS], n = 0;
	int64_t total;

	for (size_t i = 0; i < N_BUCKETS; i++) {
		n += atomic_load(&d->buckets[i]);
		buckets[i] = n;
	}
	total = atomic_load(&d->sum);
	add_gauge(out, op, "average", limit, of, n ? total / (int64_t)n : 0, n);
	add_gauge(out, op, "max", limit, of, atomic_load(&d->max), n);
	add_gauge(out, op, "min", limit, of, atomic_load(&d->min), n);
	add_gauge(out, op, "latest", limit, of, atomic_load(&d->latest), n);
	metrics_family(out, name, "histogram", of);
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		str_addf(out, "%s_bucket{le=\"%d", name, bounds[i] / 10);
		if (bounds[i] % 10)
			str_addf(out, ".%d", bounds[i] % 10);
		str_addf(out, "\"} %lu\n", buckets[i]);
	}
	str_addf(out, "%s_bucket{le=\"+Inf\"} %lu\n", name, n);
	add_seconds(out, sum, total);
	str_addf(out, "%s_count %lu\n", name, n);
}

static void add_counter(struct str *out, const char *op, const char *what, const char *help,
                        unsigned long n)
{
	AUTO_FREE char *name = xasprintf("spiderpool_ipam_%s_%scounts_total", op, what);
	AUTO_FREE char *text = xasprintf("%ss %s", op, help);

	metrics_one(out, name, "counter", text, n);
}

static void add_operation(struct str *out, const char *op, bool picks, struct operation *o)
{
	AUTO_FREE char *took = xasprintf("seconds for one %s", op);
	AUTO_FREE char *waited = xasprintf("seconds until one %s was planned", op);
	unsigned long ends[N_CAUSES], all = 0;

	for (size_t i = 0; i < N_CAUSES; i++) {
		ends[i] = atomic_load(&o->ends[i]);
		all += ends[i];
	}
	add_counter(out, op, "", "that were asked for and answered", all);
	add_counter(out, op, "failure_", "that failed", all - ends[CAUSE_NONE]);
	add_counter(out, op, "err_internal_", "that failed for other reasons",
	            ends[CAUSE_INTERNAL] +
	                    (picks ? 0 : ends[CAUSE_NO_POOL] + ends[CAUSE_USED_OUT]));
	add_counter(out, op, "err_retries_exhausted_", "that could not be decided in time",
	            ends[CAUSE_RETRIES]);
	if (picks) {
		add_counter(out, op, "err_no_available_pool_", "that no IPPool could serve",
		            ends[CAUSE_NO_POOL]);
		add_counter(out, op, "err_ip_used_out_", "whose IPPools were used out",
		            ends[CAUSE_USED_OUT]);
	}
	add_durations(out, op, "", took, &o->total);
	add_durations(out, op, "limit_", waited, &o->limit);
}

void metrics_render(struct metrics *m, struct str *out)
{
	add_operation(out, "allocation", true, &m->allocation);
	add_operation(out, "release", false, &m->release);
	metrics_one(out, "spiderpool_ip_gc_counts_total", "counter",
	            "addresses given back because their pods are gone",
	            atomic_load(&m->counters[METRIC_GC_FREED]));
	metrics_one(out, "spiderpool_ip_gc_failure_counts_total", "counter",
	            "addresses of pods that are gone that could not be given back",
	            atomic_load(&m->counters[METRIC_GC_FAILED]));
	metrics_one(out, "spiderpool_datapath_repairs_total", "counter",
	            "routes, rules and neighbours of running pods that were put right",
	            atomic_load(&m->counters[METRIC_DATAPATH_REPAIRS]));
}
