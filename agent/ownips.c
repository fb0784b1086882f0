/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ownips.c - all addresses are read anew when a notice tells of one that is new, and a while after
 * one that has gone.  With each pod come some that are known: the node's on the pair's end, and the
 * kernel's link-local ones.  What a lost notice hides is found at the next look.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
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
#define AGAIN_MS 1000       /* after a failure */
#define SETTLE_MS 500       /* those that go do it in crowds, with their pods */

enum news {
	NO_NEWS,
	GONE, /* one, from an interface at least */
	NEW,
};

struct ownips {
	struct ledger *ledger;
	struct nl *nl;      /* NULL: to be opened anew */
	struct ip_set told; /* last */
	enum news news;     /* since */
	int notices, stop;
	pthread_t thread;
};

/* Each end of a pod's pair has one of these, and no pool has any. */
static bool is_of_a_link(struct ip ip)
{
	return ip.family == 6 && ip_is_link_local(ip);
}

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

		if (is_of_a_link(ip))
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

static bool hear(const struct notice *n, void *arg)
{
	struct ownips *o = arg;

	if (n->type == NLMSG_OVERRUN ||
	    (n->type == RTM_NEWADDR && !is_of_a_link(n->ip) && !ip_set_contains(&o->told, n->ip)))
		o->news = NEW;
	else if (n->type == RTM_DELADDR && !is_of_a_link(n->ip) && o->news == NO_NEWS)
		o->news = GONE;
	return true;
}

static void *ownips_main(void *arg)
{
	struct ownips *o = arg;
	struct mono look = mono_in(LOOK_MS);

	for (;;) {
		struct pollfd fds[] = { { o->stop, POLLIN, 0 }, { o->notices, POLLIN, 0 } };
		struct err e;

		poll(fds, 2, mono_left_ms(look));
		if (fds[0].revents)
			return NULL;
		IGNORE(notices_take(o->notices, hear, o));
		if (o->news == GONE)
			look = mono_min(look, mono_in(SETTLE_MS));
		if (o->news != NEW && !mono_passed(look))
			continue;
		o->news = NO_NEWS;
		look = mono_in(LOOK_MS);
		if (tell(o, &e) < 0) {
			log_warn_err(&e, "the addresses known before stand");
			look = mono_in(AGAIN_MS);
		}
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
