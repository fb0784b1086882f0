/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ownips.c - all addresses are read anew at each notice; what a lost notice hides is found at the
 * next look.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/ownips.h"
#include "agent/thread.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/notices.h"

#define LOOK_MS (60 * 1000) /* without any notice */
#define SETTLE_MS 500       /* addresses come in crowds: of pods in the making, mostly */

struct ownips {
	struct ledger *ledger;
	struct nl *nl;      /* NULL: to be opened anew */
	struct ip_set told; /* last */
	int notices, stop;
	pthread_t thread;
};

static bool same(const struct ip_set *a, const struct ip_set *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (!ip_equal(a->v[i].first, b->v[i].first) ||
		    !ip_equal(a->v[i].last, b->v[i].last))
			return false;
	return a->n == b->n;
}

static int tell(struct ownips *o, struct err *e)
{
	AUTO_IP_SET set = IP_SET_INIT;
	struct addr *v;
	size_t n;

	if ((!o->nl && nl_open(NETLINK_ROUTE, &o->nl, e) < 0) ||
	    addr_list(o->nl, 0, 0, &v, &n, e) < 0) {
		/* there may be an answer in it that nobody has read */
		nl_close(o->nl);
		o->nl = NULL;
		return err_wrap(e, "this node's addresses");
	}
	for (size_t i = 0; i < n; i++) {
		struct ip ip = v[i].local.ip;

		/* each pair of a pod has one of these, and no pool has any */
		if (ip.family == 6 && ip_is_link_local(ip))
			continue;
		ip_set_add(&set, cidr_range(cidr_host(ip)));
	}
	free(v);
	/* its others are the node's as well */
	if (same(&set, &o->told))
		return 0;
	ip_set_release(&o->told);
	for (size_t i = 0; i < set.n; i++)
		ip_set_add(&o->told, set.v[i]);
	ledger_node_addresses(o->ledger, &set);
	return 0;
}

static void *ownips_main(void *arg)
{
	struct ownips *o = arg;

	for (;;) {
		struct pollfd fds[] = { { o->stop, POLLIN, 0 }, { o->notices, POLLIN, 0 } };
		struct err e;

		if (poll(fds, 2, LOOK_MS) > 0 && !fds[0].revents)
			poll(fds, 1, SETTLE_MS);
		if (fds[0].revents)
			return NULL;
		IGNORE(notices_take(o->notices, NULL, NULL));
		if (tell(o, &e) < 0)
			log_warn_err(&e, "the addresses known before stand");
	}
}

static void ownips_free(struct ownips *o)
{
	if (o->notices >= 0)
		close(o->notices);
	if (o->stop >= 0)
		close(o->stop);
	nl_close(o->nl);
	ip_set_release(&o->told);
	free(o);
}

static int begin(struct ownips *o, struct err *e)
{
	if (o->stop < 0)
		return err_sys(e, errno, "eventfd");
	/* first the notices: what changes after the list was read wakes the thread */
	if (notices_open(NOTICES_ADDRS, &o->notices, e) < 0 || tell(o, e) < 0)
		return -1;
	return thread_start(&o->thread, ownips_main, o, e);
}

int ownips_start(struct ledger *l, struct ownips **out, struct err *e)
{
	struct ownips *o = xcalloc(1, sizeof(*o));

	o->ledger = l;
	o->notices = -1;
	o->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (begin(o, e) < 0) {
		ownips_free(o);
		return -1;
	}
	*out = o;
	return 0;
}

void ownips_stop(struct ownips *o)
{
	uint64_t one = 1;

	if (!o)
		return;
	if (write(o->stop, &one, sizeof(one)) < 0)
		log_warn("stop the watch of this node's addresses");
	pthread_join(o->thread, NULL);
	ownips_free(o);
}
