/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrape.c - the agent's metrics over HTTP: what metrics.c counted, and what is asked of the other
 * parts when somebody wants to know.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/agent_impl.h"
#include "base/file.h"
#include "base/version.h"

#define USAGE_MS 1000

/* The ledger's answer (owned); NULL when it has none in time. */
static struct ledger_request *ask_usage(struct ledger *l)
{
	AUTO_FD int event = eventfd(0, EFD_CLOEXEC);
	struct mono deadline = mono_in(USAGE_MS);
	struct pollfd fds = { event, POLLIN, 0 };
	struct ledger_request *r;
	uint64_t n;

	if (event < 0 || !ledger_synced(l))
		return NULL;
	r = ledger_request_new(LEDGER_USAGE, "", "", "", "", deadline, event);
	if (!ledger_submit(l, r)) {
		ledger_request_free(r);
		return NULL;
	}
	while (poll(&fds, 1, mono_left_ms(deadline)) < 0 && errno == EINTR)
		;
	if (!fds.revents && ledger_abandon(r, false))
		return NULL;
	/* here by now, or in a moment */
	while (read(event, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	if (r->kind == ERR_NONE)
		return r;
	ledger_request_free(r);
	return NULL;
}

static void add_pools(struct agent *a, struct str *out)
{
	static const char total[] = "spiderpool_debug_ippool_total_ip_counts",
			  available[] = "spiderpool_debug_ippool_available_ip_counts";
	struct ledger_request *r = ask_usage(a->ledger);

	if (!r)
		return;
	metrics_one(out, "spiderpool_total_ippool_counts", "gauge", "IPPools that the agent knows",
	            r->n_known);
	metrics_family(out, total, "gauge", "addresses of each IPPool for this node");
	for (size_t i = 0; i < r->n_usage; i++)
		metrics_sample(out, total, "ippool", r->usage[i].pool, r->usage[i].total);
	metrics_family(out, available, "gauge", "free ones of them");
	for (size_t i = 0; i < r->n_usage; i++)
		metrics_sample(out, available, "ippool", r->usage[i].pool, r->usage[i].available);
	ledger_request_free(r);
}

static void add_writes(struct agent *a, struct str *out)
{
	struct ledger_stats s = ledger_stats(a->ledger);

	metrics_one(out, "spiderpool_ipam_allocation_update_ippool_conflict_counts_total",
	            "counter", "writes for allocations that another agent was quicker than",
	            s.add_conflicts);
	metrics_one(out, "spiderpool_ipam_release_update_ippool_conflict_counts_total", "counter",
	            "the same for releases", s.del_conflicts);
	metrics_one(out, "spiderpool_ippool_writes_total", "counter",
	            "writes of IPPools that succeeded", s.pool_writes);
	metrics_one(out, "spiderpool_endpoint_writes_waiting", "gauge",
	            "SpiderEndpoints that are still to be written",
	            endpoints_waiting(a->endpoints));
}

/* "SIZE RESIDENT ...", in pages. */
static void add_memory(struct str *out)
{
	AUTO_STR text = STR_INIT;
	const char *p;
	uint64_t pages;

	if (file_read("/proc/self/statm", 200, &text, NULL) < 0)
		return;
	p = text.data + strcspn(text.data, " ");
	p += *p == ' ';
	text.data[(size_t)(p - text.data) + strcspn(p, " ")] = '\0';
	if (parse_u64(p, 0, UINT64_MAX / 65536, &pages, NULL) == 0)
		metrics_one(out, "process_resident_memory_bytes", "gauge", "memory of this process",
		            pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void handle(void *ctx, struct server_connection *connection, const struct http_incoming *in,
                   struct server_answer *answer)
{
	struct agent *a = ctx;
	struct str *out = &answer->body;

	(void)connection;
	if (!streq(in->method, "GET")) {
		answer->status = 405;
		return;
	}
	answer->type = METRICS_TYPE;
	metrics_render(a->metrics, out);
	add_writes(a, out);
	add_pools(a, out);
	/* pools of an application are not made while its pods wait, so none ever does */
	metrics_one(out, "spiderpool_debug_auto_pool_waited_for_available_counts_total", "counter",
	            "allocations that waited for an IPPool to be made", 0);
	add_memory(out);
	metrics_family(out, "spiderpool_build_info", "gauge", "the version of this binary");
	metrics_sample(out, "spiderpool_build_info", "version", version_string, 1);
}

const struct server_ops scrape_ops = { handle, NULL };
