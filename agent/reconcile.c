/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile.c - one thread that hears of changes, and looks at the records, the node and the pods.
 *
 * Theory of operation.  Notices and the names of files that changed tell which records they
 * concern; a round looks at these, whatever number of others there is.  It looks at all of them at
 * the start, once a minute, and when something concerns all: the node's own addresses, its rule,
 * or notices that were lost.
 *
 * A round lists the node's state once, or the part of it that concerns these records.  Under the
 * lock on the node's namespace that the coordinator's DEL takes before it removes the rule, what is
 * missing on the node is made again: routes first, and the rule only when they could be, so that no
 * rule outlives the last pod.  Then those pods are entered whose record has other node addresses
 * than the node; at the start, all of them.  Before a pod is changed its record names the old
 * addresses and the new ones: whatever happens, what was put there can be found again.
 *
 * Who undoes our work again and again gets it done ever more slowly.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/reconcile.h"
#include "agent/reconcile_work.h"
#include "agent/sysctls.h"
#include "agent/thread.h"
#include "base/log.h"
#include "base/mono.h"
#include "datapath/rule.h"
#include "net/netns.h"
#include "net/notices.h"

#define QUICK_REPAIRS 8   /* in a row, before they get slower */
#define IN_A_ROW_MS 10000 /* so soon after each other */
#define SLOWEST_MS 10000
#define LOCK_MS 10000 /* a plugin holds it for some milliseconds */
#define MARKED_FEW 16 /* more than these are quicker looked at with all others */

/* What is marked; all: the node is looked at as a whole. */
static int keep_on_node_marked(struct reconcile *k, struct node *n, bool all, bool whole,
                               struct err *e)
{
	int rc;

	/* see datapath_rule_drop(): it must not come between what we see and what we make */
	if (netns_lock(n->ns, false, mono_in(LOCK_MS), e) < 0)
		return -1;
	rc = reconcile_look_at_node(k, n, all, e);
	for (size_t i = 0; i < k->n_kept && rc == 0; i++)
		if (k->kept[i].look)
			reconcile_keep_node(k, n, &k->kept[i], whole);
	netns_unlock(n->ns);
	return rc;
}

static size_t marked(const struct reconcile *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n_kept; i++)
		n += k->kept[i].look;
	return n;
}

static int keep_marked(struct reconcile *k, struct node *n, bool all, bool whole, struct err *e)
{
	if (marked(k) && keep_on_node_marked(k, n, all, whole, e) < 0)
		return -1;
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].look)
			reconcile_keep_pod(k, n, &k->kept[i]);
	return 0;
}

static int look_at_all(struct reconcile *k, bool whole, struct err *e)
{
	AUTO_NODE n = { .ns = -1 };

	/* one that was removed is watched no more; what is missed is seen here */
	IGNORE(reconcile_watch(k, NULL));
	if (reconcile_node_open(k, &n, e) < 0 || reconcile_list_records(k, &n, e) < 0)
		return -1;
	reconcile_bury(k, &n);
	if (keep_marked(k, &n, true, whole, e) < 0)
		return -1;
	k->began = true;
	return 0;
}

/* *all: that is not enough. */
static int look_at_some(struct reconcile *k, bool *all, struct err *e)
{
	AUTO_NODE n = { .ns = -1 };

	if (reconcile_node_open(k, &n, e) < 0 || reconcile_read_heard(k, &n, all, e) < 0)
		return -1;
	*all = *all || marked(k) > MARKED_FEW;
	if (*all)
		return 0;
	if (reconcile_find_ends(k, &n, e) < 0)
		return -1;
	reconcile_bury(k, &n);
	if (reconcile_node_changed(k, &n, all, e) < 0)
		return -1;
	return *all ? 0 : keep_marked(k, &n, false, false, e);
}

/* After an error there may be an answer in it that nobody has read. */
static void forget_socket(struct reconcile *k)
{
	nl_close(k->nl);
	k->nl = NULL;
}

static int look(struct reconcile *k, bool whole, struct err *e)
{
	bool all = whole || k->heard.all || !k->addrs;

	/* what fails when an interface goes this moment works for all together */
	if (!all && look_at_some(k, &all, e) < 0) {
		forget_socket(k);
		all = true;
	}
	return all ? look_at_all(k, whole, e) : 0;
}

static void round_of(struct reconcile *k, bool whole)
{
	struct err e;
	int rc;

	k->repairs = 0;
	if (whole && k->config.tune)
		sysctls_tune(k->config.ipv4, k->config.ipv6, &k->told);
	rc = look(k, whole, &e);
	if (rc < 0) {
		log_warn_err(&e, "what joins pods and node is not looked at");
		forget_socket(k);
	}
	reconcile_heard_clear(k);
	/* the next notice does not tell of what this one missed */
	k->heard.all = rc < 0;
}

/* The thread. */
/* False: to stop.  *whole: everything is to be looked at. */
static bool wait_for_work(struct reconcile *k, struct mono next, int settle_ms, bool *whole)
{
	struct pollfd fds[] = { { k->stop, POLLIN, 0 },
		                { k->notices, POLLIN, 0 },
		                { k->inotify, POLLIN, 0 } };
	int left;

	while ((left = mono_left_ms(next)) != 0) {
		if (poll(fds, ARRAY_LEN(fds), left) <= 0)
			continue;
		/* they come in crowds, and most of those of a pod's making mean nothing */
		if (!fds[0].revents)
			IGNORE(poll(fds, 1, settle_ms) < 0);
		if (fds[0].revents)
			return false;
		if (reconcile_hear(k))
			break;
	}
	*whole = mono_passed(next);
	return !fds[0].revents;
}

static void *reconcile_main(void *arg)
{
	struct reconcile *k = arg;
	int look_ms = k->config.look_ms ? k->config.look_ms : RECONCILE_LOOK_MS;
	struct mono next = mono_in(look_ms), row = mono_now();
	int settle_ms = RECONCILE_SETTLE_MS, in_a_row = 0;
	bool whole = true;

	do {
		if (whole)
			next = mono_in(look_ms);
		round_of(k, whole);
		if (k->repairs) {
			in_a_row = mono_passed(row) ? 0 : in_a_row + 1;
			settle_ms = in_a_row < QUICK_REPAIRS ? RECONCILE_SETTLE_MS : 2 * settle_ms;
			if (settle_ms > SLOWEST_MS)
				settle_ms = SLOWEST_MS;
			row = mono_in(IN_A_ROW_MS + settle_ms);
		}
	} while (wait_for_work(k, next, settle_ms, &whole));
	return NULL;
}

static void reconcile_free(struct reconcile *k)
{
	mem_cleanup_fd(&k->notices);
	mem_cleanup_fd(&k->inotify);
	mem_cleanup_fd(&k->stop);
	mem_cleanup_fd(&k->ns);
	nl_close(k->nl);
	reconcile_heard_clear(k);
	reconcile_kept_free(k);
	free(k->addrs);
	free(k->links);
	free(k);
}

static int begin(struct reconcile *k, struct err *e)
{
	if (k->inotify < 0 || k->stop < 0)
		return err_sys(e, errno, "inotify and eventfd");
	if (reconcile_watch(k, e) < 0)
		return -1;
	/* before the first look: what changes later wakes the thread */
	if (notices_open(NOTICES_LINKS | NOTICES_ADDRS | NOTICES_ROUTES | NOTICES_RULES |
	                         NOTICES_NEIGHS,
	                 &k->notices, e) < 0)
		return -1;
	return thread_start(&k->thread, reconcile_main, k, e);
}

int reconcile_start(const struct reconcile_config *config, struct reconcile **out, struct err *e)
{
	struct reconcile *k = xcalloc(1, sizeof(*k));

	k->config = *config;
	k->notices = k->ns = -1;
	k->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	k->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (begin(k, e) < 0) {
		reconcile_free(k);
		return -1;
	}
	*out = k;
	return 0;
}

void reconcile_stop(struct reconcile *k)
{
	uint64_t one = 1;

	if (!k)
		return;
	if (write(k->stop, &one, sizeof(one)) < 0)
		log_warn("stop the keeper of what joins pods and node");
	pthread_join(k->thread, NULL);
	reconcile_free(k);
}
