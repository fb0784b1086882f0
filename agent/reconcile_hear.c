/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile_hear.c - what the kernel tells of changes, and which records they concern.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/reconcile_work.h"
#include "base/file.h"
#include "net/notices.h"

/* The pods that go by this interface.  False: there is none. */
static bool mark(struct reconcile *k, int index)
{
	bool any = false;

	for (size_t i = 0; i < k->n_kept && index > 0; i++) {
		if (k->kept[i].host_index != index)
			continue;
		k->kept[i].look = true;
		any = true;
	}
	return any;
}

/* Something that stood in the place of ours may be gone. */
static bool mark_troubled(struct reconcile *k)
{
	bool any = false;

	for (size_t i = 0; i < k->n_kept; i++) {
		if (!k->kept[i].node_trouble)
			continue;
		k->kept[i].look = true;
		any = true;
	}
	return any;
}

/* Others on such an interface are the kernel's own, which come and go by themselves. */
static bool mark_neigh(struct reconcile *k, int index, struct ip ip)
{
	bool any = false;

	for (size_t i = 0; i < k->n_kept; i++) {
		struct kept *p = &k->kept[i];

		if (p->host_index != index || !ip_among(p->r.pod_ips, p->r.n_pod_ips, ip))
			continue;
		p->look = true;
		any = true;
	}
	return any;
}

static bool is_ours(const struct reconcile *k, uint32_t table)
{
	for (size_t i = 0; i < k->n_kept; i++)
		if (k->kept[i].r.host_table == table)
			return true;
	return false;
}

static bool hear_addr(struct reconcile *k, int index)
{
	struct heard *h = &k->heard;

	for (size_t i = 0; i < h->n_indexes; i++)
		if (h->indexes[i] == index)
			return true;
	if (h->n_indexes < HEARD_INDEXES)
		h->indexes[h->n_indexes++] = index;
	else
		h->all = true;
	return true;
}

/* What is known of it is asked again when it is needed. */
static void forget_link(struct reconcile *k, int index)
{
	for (size_t i = 0; i < k->n_links; i++)
		if (k->links[i].index == index)
			k->links[i--] = k->links[--k->n_links];
}

static bool hear_route(struct reconcile *k, const struct notice *n)
{
	if (!is_ours(k, n->table))
		return false;
	/* one of several nexthops names no interface here */
	if (!n->index)
		k->heard.all = true;
	return !n->index || mark(k, n->index) || mark_troubled(k);
}

static bool matters(const struct notice *n, void *arg)
{
	struct reconcile *k = arg;

	switch (n->type) {
	case NLMSG_OVERRUN:
		k->heard.all = true;
		return true;
	case RTM_NEWADDR:
		return !reconcile_is_pairs_end(k, n->index) && hear_addr(k, n->index);
	case RTM_DELADDR:
		mark(k, n->index);
		return reconcile_is_pairs_end(k, n->index) || hear_addr(k, n->index);
	case RTM_DELRULE: /* which all pods need */
		if (!is_ours(k, n->table))
			return false;
		k->heard.all = true;
		return true;
	case RTM_DELROUTE:
		return hear_route(k, n);
	case RTM_NEWLINK:
	case RTM_DELLINK:
		forget_link(k, n->index);
		return mark(k, n->index);
	case RTM_DELNEIGH: /* which comes also before a neighbour of another kind */
		return mark_neigh(k, n->index, n->ip);
	default:
		return false;
	}
}

int reconcile_watch(struct reconcile *k, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/datapath", k->config.state_dir);

	if (file_mkdirs(folder, 0700, e) < 0)
		return -1;
	if (inotify_add_watch(k->inotify, folder, IN_MOVED_TO | IN_DELETE) < 0)
		return err_sys(e, errno, "watch %s", folder);
	return 0;
}

static void hear_file(struct heard *h, const char *name)
{
	for (size_t i = 0; i < h->n_files; i++)
		if (streq(h->files[i], name))
			return;
	if (h->n_files < HEARD_FILES)
		h->files[h->n_files++] = xstrdup(name);
	else
		h->all = true;
}

static bool hear_files(struct reconcile *k)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool any = false;
	ssize_t got;

	while ((got = read(k->inotify, buf, sizeof(buf))) > 0) {
		const struct inotify_event *event;

		for (const char *p = buf; p < buf + got; p += sizeof(*event) + event->len) {
			event = (const void *)p;
			if (event->len)
				hear_file(&k->heard, event->name);
			else
				k->heard.all = true; /* IN_Q_OVERFLOW, and when the folder goes */
			any = true;
		}
	}
	return any;
}

bool reconcile_hear(struct reconcile *k)
{
	bool any = notices_take(k->notices, matters, k);

	return hear_files(k) || any;
}

void reconcile_heard_clear(struct reconcile *k)
{
	for (size_t i = 0; i < k->heard.n_files; i++)
		free(k->heard.files[i]);
	k->heard = (struct heard){ .all = false };
	for (size_t i = 0; i < k->n_kept; i++)
		k->kept[i].look = false;
}
