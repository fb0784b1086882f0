/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile.c - one thread that reads the records, looks at the node, and where it must at pods.
 *
 * Theory of operation.  A round lists the records anew and the node's state once.  Under the lock
 * on the node's namespace that the coordinator's DEL takes before it removes the rule, what is
 * missing on the node is made again: routes first, and the rule only when they could be, so that no
 * rule outlives the last pod.  Then those pods are entered whose record has other node addresses
 * than the node; at the start, all of them.  Before a pod is changed its record names the old
 * addresses and the new ones: whatever happens, what was put there can be found again.
 *
 * Who undoes our work again and again gets it done ever more slowly.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/reconcile.h"
#include "agent/reconcile_work.h"
#include "agent/sysctls.h"
#include "agent/thread.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mono.h"
#include "datapath/rule.h"
#include "net/netns.h"
#include "net/notices.h"

#define QUICK_REPAIRS 8   /* in a row, before they get slower */
#define IN_A_ROW_MS 10000 /* so soon after each other */
#define SLOWEST_MS 10000

/* Records. */
static void kept_release(struct kept *p)
{
	datapath_record_release(&p->r);
	free(p->node_trouble);
	free(p->pod_trouble);
	*p = (struct kept){ .host_index = 0 };
}

/* *ns is the open namespace when it lives (owned). */
enum evidence reconcile_namespace_of(const struct reconcile *k, const struct datapath_record *r,
                                     int *ns)
{
	AUTO_FD int fd = -1;
	uint64_t inode;
	struct err e;

	if (!*k->config.boot_id || !r->netns_inode)
		return UNKNOWN;
	if (!streq(r->boot_id, k->config.boot_id))
		return DEAD;
	if (netns_open(r->netns, &fd, &e) < 0 || netns_inode(fd, &inode, &e) < 0 ||
	    inode != r->netns_inode) {
		/* other processes' are not seen from a container */
		if (str_starts(r->netns, "/proc/") || (fd < 0 && e.kind == ERR_SYS))
			return UNKNOWN;
		return DEAD;
	}
	if (ns)
		*ns = take_fd(&fd);
	return LIVES;
}

static void drop_rule(const struct node *n, int family, uint32_t table)
{
	if (datapath_rule_drop(n->nl, n->ns, family, table))
		log_info("IPv%d rule %u to table %u is removed: no pod is left", family,
		         COORDINATOR_RULE_PRIORITY, table);
}

static void bury(const struct reconcile *k, const struct node *n, const struct datapath_record *r)
{
	struct err e;

	if (datapath_record_remove(k->config.state_dir, r->container_id, r->ifname, &e) < 0) {
		log_warn_err(&e, "record of a pod that is gone");
		return;
	}
	log_debug("container %s, %s: is gone, and its record", r->container_id, r->ifname);
	drop_rule(n, 4, r->host_table);
	drop_rule(n, 6, r->host_table);
}

/* While the pair is there the namespace is, whatever can be seen of it from here. */
static bool is_over(const struct reconcile *k, const struct node *n,
                    const struct datapath_record *r)
{
	return reconcile_namespace_of(k, r, NULL) == DEAD &&
	       (!streq(r->boot_id, k->config.boot_id) || !reconcile_host_end(n, r));
}

static struct kept *find(struct kept *v, size_t n, const struct datapath_record *r)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].r.container_id && streq(v[i].r.container_id, r->container_id) &&
		    streq(v[i].r.ifname, r->ifname))
			return &v[i];
	return NULL;
}

/*
 * Its DEL took the record away.  That was after the routes and the neighbours, which we may have
 * made good between the two; the pair of a pod's first interface is gone with all of them.
 */
static void forget(const struct reconcile *k, const struct node *n, const struct datapath_record *r)
{
	AUTO_DATAPATH_RECORD is = { .container_id = NULL };
	const struct link *l = reconcile_host_end(n, r);
	struct err e;

	/* or it could not be read this time */
	if (datapath_record_read(k->config.state_dir, r->container_id, r->ifname, &is, &e) == 0 ||
	    e.kind != ERR_NOT_FOUND)
		return;
	for (size_t i = 0; l && i < r->n_pod_ips; i++) {
		const struct route route = { .dst = cidr_host(r->pod_ips[i]),
			                     .oif = l->index,
			                     .table = r->host_table };

		if (route_del(n->nl, &route, NULL) == 0)
			log_debug("route to %s in table %u is removed: a DEL missed it",
			          ip_str(r->pod_ips[i]).s, route.table);
		IGNORE(neigh_del(n->nl, l->index, r->pod_ips[i], NULL));
	}
	/* which the DEL left because of that route */
	drop_rule(n, 4, r->host_table);
	drop_rule(n, 6, r->host_table);
}

/* Those of before, with what is known of them, and new ones; dead ones are buried. */
static int read_records(struct reconcile *k, struct node *n, struct err *e)
{
	struct kept *old = k->kept;
	struct datapath_record *v;
	size_t n_old = k->n_kept, count;

	/* the records first: the pairs of all of them are there then */
	if (datapath_record_list(k->config.state_dir, &v, &count, e) < 0)
		return -1;
	if (link_list(n->nl, &n->links, &n->n_links, e) < 0) {
		for (size_t i = 0; i < count; i++)
			datapath_record_release(&v[i]);
		free(v);
		return -1;
	}
	k->kept = xcalloc(count + 1, sizeof(*k->kept));
	k->n_kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct kept *before = find(old, n_old, &v[i]);
		struct kept *p = &k->kept[k->n_kept];

		if (before)
			before->there = true;

		if (is_over(k, n, &v[i])) {
			bury(k, n, &v[i]);
			datapath_record_release(&v[i]);
			continue;
		}
		/* what an ADD made a moment ago is as it said */
		p->settled = before ? before->settled : k->began;
		p->node_trouble = before ? take_ptr(&before->node_trouble) : NULL;
		p->pod_trouble = before ? take_ptr(&before->pod_trouble) : NULL;
		p->r = v[i];
		k->n_kept++;
	}
	for (size_t i = 0; i < n_old; i++) {
		if (!old[i].there)
			forget(k, n, &old[i].r);
		kept_release(&old[i]);
	}
	free(old);
	free(v);
	return 0;
}

static int keep_all_on_node(struct reconcile *k, struct node *n, bool whole, struct err *e)
{
	int rc;

	/* see drop_rule(): it must not come between what we see and what we make */
	if (netns_lock(n->ns, false, e) < 0)
		return -1;
	rc = reconcile_look_at_node(k, n, e);
	for (size_t i = 0; i < k->n_kept && rc == 0; i++)
		reconcile_keep_node(k, n, &k->kept[i], whole);
	netns_unlock(n->ns);
	return rc;
}

static int look(struct reconcile *k, bool whole, struct err *e)
{
	AUTO_NODE n = { .ns = -1 };

	if (netns_open_self(&n.ns, e) < 0 || nl_open(NETLINK_ROUTE, &n.nl, e) < 0 ||
	    read_records(k, &n, e) < 0)
		return -1;
	if (k->n_kept && keep_all_on_node(k, &n, whole, e) < 0)
		return -1;
	for (size_t i = 0; i < k->n_kept; i++)
		reconcile_keep_pod(k, &n, &k->kept[i]);
	k->began = true;
	return 0;
}

static void round_of(struct reconcile *k, bool whole)
{
	struct err e;

	k->repairs = 0;
	if (whole && k->config.tune)
		sysctls_tune(k->config.ipv4, k->config.ipv6, &k->told);
	if (look(k, whole, &e) < 0)
		log_warn_err(&e, "what joins pods and node is not looked at");
}

/* Notices. */
static bool matters(const struct notice *n, void *arg)
{
	switch (n->type) {
	case RTM_NEWADDR: /* on a host end it is of our making */
		return !reconcile_is_host_end(arg, n->index);
	case RTM_DELADDR:
	case RTM_DELRULE:
		return true;
	case RTM_DELROUTE:
		return n->table != RT_TABLE_MAIN && n->table != RT_TABLE_LOCAL;
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_DELNEIGH: /* which comes also before a neighbour of another kind */
		return reconcile_is_host_end(arg, n->index);
	default:
		return false;
	}
}

static bool hear(struct reconcile *k)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool any = notices_take(k->notices, matters, k);

	while (read(k->inotify, buf, sizeof(buf)) > 0)
		any = true;
	return any;
}

/* False: to stop.  *whole: everything is to be looked at. */
static bool wait_for_work(struct reconcile *k, struct mono next, int settle_ms, bool *whole)
{
	struct pollfd fds[] = { { k->stop, POLLIN, 0 },
		                { k->notices, POLLIN, 0 },
		                { k->inotify, POLLIN, 0 } };

	while (!mono_passed(next)) {
		IGNORE(poll(fds, ARRAY_LEN(fds), mono_left_ms(next)) < 0);
		if (fds[0].revents)
			return false;
		if (!hear(k))
			continue;
		IGNORE(poll(fds, 1, settle_ms) < 0);
		hear(k);
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
	for (size_t i = 0; i < k->n_kept; i++)
		kept_release(&k->kept[i]);
	free(k->kept);
	free(k);
}

static int begin(struct reconcile *k, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/datapath", k->config.state_dir);

	if (k->inotify < 0 || k->stop < 0)
		return err_sys(e, errno, "inotify and eventfd");
	if (file_mkdirs(folder, 0700, e) < 0)
		return -1;
	if (inotify_add_watch(k->inotify, folder, IN_MOVED_TO | IN_DELETE) < 0)
		return err_sys(e, errno, "watch %s", folder);
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
	k->notices = -1;
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
