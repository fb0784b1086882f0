/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/metrics.c base/ */
/* tsan */
/*
 * metrics_test.c - the text is Prometheus' format, with the documented names and the right numbers;
 * many threads may count at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/metrics.h"

/* The agent's part of Spiderpool's list; a counter gets _total. */
static const char *const counters[] = {
	"ipam_allocation_counts",
	"ipam_allocation_failure_counts",
	"ipam_allocation_err_internal_counts",
	"ipam_allocation_err_no_available_pool_counts",
	"ipam_allocation_err_retries_exhausted_counts",
	"ipam_allocation_err_ip_used_out_counts",
	"ipam_release_counts",
	"ipam_release_failure_counts",
	"ipam_release_err_internal_counts",
	"ipam_release_err_retries_exhausted_counts",
	"ip_gc_counts",
	"ip_gc_failure_counts",
};

static const char *const durations[] = {
	"ipam_allocation",
	"ipam_allocation_limit",
	"ipam_release",
	"ipam_release_limit",
};

static const char *const bounds[] = { "0.1", "0.3", "0.5", "1", "3", "5", "7", "10", "15", "+Inf" };

/* The value of a sample, as text; NULL when it is not there.  It must stand there once. */
static char *value_of(const char *text, const char *sample)
{
	AUTO_FREE char *start = xasprintf("\n%s ", sample);
	const char *at = strstr(text, start);

	if (!at)
		return NULL;
	at += strlen(start);
	assert_null(strstr(at, start));
	return xstrndup(at, strcspn(at, "\n"));
}

static void sample_is(const char *text, const char *sample, const char *want)
{
	AUTO_FREE char *have = value_of(text, sample);

	if (!have)
		fail_msg("no %s in:\n%s", sample, text);
	assert_string_equal(have, want);
}

static bool is_name(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
	       (!first && c >= '0' && c <= '9');
}

static size_t name_length(const char *s)
{
	size_t n = 0;

	while (is_name(s[n], n == 0))
		n++;
	return n;
}

/* {name="value"}, where a quote inside stands behind a backslash */
static const char *skip_label(const char *s)
{
	if (*s != '{')
		return s;
	s += 1 + name_length(s + 1);
	assert_memory_equal(s, "=\"", 2);
	for (s += 2; *s != '"'; s++) {
		assert_true(*s && *s != '\n');
		if (*s == '\\') {
			s++;
			assert_true(*s == '\\' || *s == '"' || *s == 'n');
		}
	}
	assert_int_equal(s[1], '}');
	return s + 2;
}

static void check_number(const char *s)
{
	char *end;

	assert_true(*s >= '0' && *s <= '9');
	IGNORE(strtod(s, &end) < 0);
	assert_int_equal(*end, '\n');
}

/* Which sample names a family may have. */
static void check_member(const char *family, const char *type, const char *s, size_t n)
{
	size_t f = strlen(family);

	assert_true(n >= f && strncmp(s, family, f) == 0);
	s += f;
	n -= f;
	if (streq(type, "histogram"))
		assert_true((n == 7 && strncmp(s, "_bucket", n) == 0) ||
		            (n == 4 && strncmp(s, "_sum", n) == 0) ||
		            (n == 6 && strncmp(s, "_count", n) == 0));
	else
		assert_int_equal(n, 0);
	assert_int_equal(str_ends(family, "_total"), streq(type, "counter"));
}

/* A parser of the format: families one after the other, none twice, with samples of theirs alone.
 */
static void check_format(const char *text)
{
	char family[200] = "", type[20] = "", again[300];

	while (*text) {
		char name[200], word[20];

		assert_non_null(strchr(text, '\n'));
		if (sscanf(text, "# HELP %199s", name) == 1) {
			snprintf(family, sizeof(family), "%s", name);
			assert_int_equal(name_length(name), strlen(name));
			snprintf(again, sizeof(again), "\n# HELP %s ", name);
			assert_null(strstr(text, again));
			text = strchr(text, '\n') + 1;
			assert_int_equal(sscanf(text, "# TYPE %199s %19s\n", name, word), 2);
			assert_string_equal(name, family);
			snprintf(type, sizeof(type), "%s", word);
			assert_true(streq(type, "counter") || streq(type, "gauge") ||
			            streq(type, "histogram"));
		} else {
			size_t n = name_length(text);
			const char *s = skip_label(text + n);

			check_member(family, type, text, n);
			assert_int_equal(*s, ' ');
			check_number(s + 1);
		}
		text = strchr(text, '\n') + 1;
	}
}

static void has_type(const char *text, const char *name, const char *type)
{
	AUTO_FREE char *line = xasprintf("\n# TYPE spiderpool_%s %s\n", name, type);

	if (!strstr(text, line))
		fail_msg("no%s in:\n%s", line, text);
}

static void check_buckets(const char *text, const char *base)
{
	AUTO_FREE char *counts = xasprintf("spiderpool_%s_duration_seconds_count", base);
	AUTO_FREE char *total = value_of(text, counts);
	unsigned long last = 0;

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		AUTO_FREE char *sample = xasprintf(
			"spiderpool_%s_duration_seconds_bucket{le=\"%s\"}", base, bounds[i]);
		AUTO_FREE char *n = value_of(text, sample);

		assert_non_null(n);
		assert_true(strtoul(n, NULL, 10) >= last);
		last = strtoul(n, NULL, 10);
	}
	assert_non_null(total);
	assert_int_equal(strtoul(total, NULL, 10), last);
}

static char *render(struct metrics *m)
{
	struct str out = STR_INIT;

	str_add(&out, "\n");
	metrics_render(m, &out);
	check_format(out.data + 1);
	for (size_t i = 0; i < ARRAY_LEN(durations); i++)
		check_buckets(out.data, durations[i]);
	return str_take(&out);
}

static void test_names(void **state)
{
	struct metrics *m = metrics_new();
	AUTO_FREE char *text = render(m);
	static const char *const gauges[] = { "average", "max", "min", "latest" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		AUTO_FREE char *name = xasprintf("%s_total", counters[i]);
		AUTO_FREE char *sample = xasprintf("spiderpool_%s", name);

		has_type(text, name, "counter");
		sample_is(text, sample, "0");
	}
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		AUTO_FREE char *name = xasprintf("%s_duration_seconds", durations[i]);
		bool limit = str_ends(durations[i], "_limit");

		has_type(text, name, "histogram");
		for (size_t k = 0; k < ARRAY_LEN(gauges); k++) {
			AUTO_FREE char *gauge = xasprintf(
				"%.*s_%s_%sduration_seconds",
				(int)(strlen(durations[i]) - (limit ? strlen("_limit") : 0)),
				durations[i], gauges[k], limit ? "limit_" : "");
			AUTO_FREE char *sample = xasprintf("spiderpool_%s", gauge);

			has_type(text, gauge, "gauge");
			assert_null(value_of(text, sample)); /* nothing was measured */
		}
	}
	metrics_free(m);
	metrics_free(NULL);
}

static void test_numbers(void **state)
{
	struct metrics *m = metrics_new();
	AUTO_FREE char *text = NULL;

	(void)state;
	metrics_allocation(m, 12000, 1000, ERR_NONE);
	metrics_allocation(m, 100000, 100001, ERR_NONE); /* a bound belongs to its bucket */
	metrics_allocation(m, 98000001, 15000001, ERR_TIMEOUT);
	metrics_allocation(m, 7, -1, ERR_EXHAUSTED); /* no clock goes backwards */
	metrics_allocation(m, 400000, 0, ERR_NO_POOL);
	metrics_allocation(m, 5, 0, ERR_PROTO);
	metrics_release(m, 2500, 20, ERR_NONE);
	metrics_release(m, 1500000, 20, ERR_UNREACHABLE);
	metrics_add(m, METRIC_GC_FREED, 3);
	metrics_add(m, METRIC_GC_FREED, 2);
	metrics_add(m, METRIC_GC_FAILED, 1);
	text = render(m);

#define A "spiderpool_ipam_allocation_"
	sample_is(text, A "counts_total", "6");
	sample_is(text, A "failure_counts_total", "4");
	sample_is(text, A "err_internal_counts_total", "1");
	sample_is(text, A "err_no_available_pool_counts_total", "1");
	sample_is(text, A "err_retries_exhausted_counts_total", "1");
	sample_is(text, A "err_ip_used_out_counts_total", "1");
	sample_is(text, A "average_duration_seconds", "16.418668");
	sample_is(text, A "max_duration_seconds", "98.000001");
	sample_is(text, A "min_duration_seconds", "0.000005");
	sample_is(text, A "latest_duration_seconds", "0.000005");
	sample_is(text, A "duration_seconds_bucket{le=\"0.1\"}", "4");
	sample_is(text, A "duration_seconds_bucket{le=\"0.3\"}", "4");
	sample_is(text, A "duration_seconds_bucket{le=\"0.5\"}", "5");
	sample_is(text, A "duration_seconds_bucket{le=\"15\"}", "5");
	sample_is(text, A "duration_seconds_bucket{le=\"+Inf\"}", "6");
	sample_is(text, A "duration_seconds_sum", "98.512013");
	sample_is(text, A "limit_duration_seconds_bucket{le=\"0.1\"}", "4");
	sample_is(text, A "limit_duration_seconds_bucket{le=\"0.3\"}", "5");
	sample_is(text, A "limit_duration_seconds_bucket{le=\"15\"}", "5");
	sample_is(text, A "min_limit_duration_seconds", "0.000000");
	sample_is(text, A "max_limit_duration_seconds", "15.000001");
#undef A
	sample_is(text, "spiderpool_ipam_release_counts_total", "2");
	sample_is(text, "spiderpool_ipam_release_failure_counts_total", "1");
	sample_is(text, "spiderpool_ipam_release_err_internal_counts_total", "1");
	sample_is(text, "spiderpool_ipam_release_latest_duration_seconds", "1.500000");
	sample_is(text, "spiderpool_ipam_release_min_duration_seconds", "0.002500");
	sample_is(text, "spiderpool_ip_gc_counts_total", "5");
	sample_is(text, "spiderpool_ip_gc_failure_counts_total", "1");
	metrics_free(m);
}

/* Every way to fail is counted under one heading, and those add up. */
static void test_kinds(void **state)
{
	struct metrics *m = metrics_new();
	AUTO_FREE char *text = NULL;

	(void)state;
	for (int k = ERR_NONE; k <= ERR_UNREACHABLE; k++) {
		metrics_allocation(m, 1, 1, (enum err_kind)k);
		metrics_release(m, 1, 1, (enum err_kind)k);
	}
	text = render(m);
	sample_is(text, "spiderpool_ipam_allocation_counts_total", "16");
	sample_is(text, "spiderpool_ipam_allocation_failure_counts_total", "15");
	sample_is(text, "spiderpool_ipam_allocation_err_internal_counts_total", "11");
	sample_is(text, "spiderpool_ipam_allocation_err_retries_exhausted_counts_total", "2");
	sample_is(text, "spiderpool_ipam_release_failure_counts_total", "15");
	sample_is(text, "spiderpool_ipam_release_err_internal_counts_total", "13");
	sample_is(text, "spiderpool_ipam_release_err_retries_exhausted_counts_total", "2");
	metrics_free(m);
}

static void test_labels(void **state)
{
	AUTO_STR out = STR_INIT;

	(void)state;
	metrics_family(&out, "spiderpool_x", "gauge", "what it is");
	metrics_sample(&out, "spiderpool_x", "ippool", "plain-1.a", UINT64_MAX);
	metrics_sample(&out, "spiderpool_x", "ippool", "\"\\\n", 0);
	metrics_one(&out, "spiderpool_y_total", "counter", "another", 7);
	check_format(out.data);
	assert_string_equal(out.data,
	                    "# HELP spiderpool_x what it is\n"
	                    "# TYPE spiderpool_x gauge\n"
	                    "spiderpool_x{ippool=\"plain-1.a\"} 18446744073709551615\n"
	                    "spiderpool_x{ippool=\"\\\"\\\\\\n\"} 0\n"
	                    "# HELP spiderpool_y_total another\n"
	                    "# TYPE spiderpool_y_total counter\n"
	                    "spiderpool_y_total 7\n");
}

#define THREADS 4
#define EACH 5000

static void *count_main(void *arg)
{
	struct metrics *m = arg;

	for (int i = 1; i <= EACH; i++) {
		metrics_allocation(m, i * 1000LL, i, i % 2 ? ERR_NONE : ERR_EXHAUSTED);
		metrics_add(m, METRIC_GC_FREED, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct metrics *m = metrics_new();
	AUTO_FREE char *text = NULL;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_main, m), 0);
	for (int i = 0; i < 20; i++) {
		AUTO_FREE char *now = render(m); /* its own checks hold at any moment */

		assert_non_null(now);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	text = render(m);
	sample_is(text, "spiderpool_ipam_allocation_counts_total", "20000");
	sample_is(text, "spiderpool_ipam_allocation_err_ip_used_out_counts_total", "10000");
	sample_is(text, "spiderpool_ipam_allocation_duration_seconds_count", "20000");
	sample_is(text, "spiderpool_ipam_allocation_duration_seconds_sum", "50010.000000");
	sample_is(text, "spiderpool_ipam_allocation_min_duration_seconds", "0.001000");
	sample_is(text, "spiderpool_ipam_allocation_max_duration_seconds", "5.000000");
	sample_is(text, "spiderpool_ip_gc_counts_total", "20000");
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),   cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_kinds),   cmocka_unit_test(test_labels),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
