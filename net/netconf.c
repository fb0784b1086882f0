/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netconf.c - see netconf.h.
 */
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "net/netconf.h"

struct wanted {
	struct netconf *v;
	size_t n;
};

static void forget(void *arg)
{
	struct wanted *w = arg;

	for (size_t i = 0; i < w->n; i++)
		w->v[i].rp_filter = -1;
}

static int visit(const struct nl_msg *m, void *arg, struct err *e)
{
	const int *index = nl_attr(m, NETCONFA_IFINDEX, sizeof(*index), NULL);
	const int *filter = nl_attr(m, NETCONFA_RP_FILTER, sizeof(*filter), NULL);
	struct wanted *w = arg;

	(void)e;
	if (m->type != RTM_NEWNETCONF || !index || !filter)
		return 0;
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].index == *index)
			w->v[i].rp_filter = *filter;
	return 0;
}

int netconf_read(struct nl *nl, struct netconf *v, size_t n, struct err *e)
{
	struct wanted w = { v, n };
	struct netconfmsg *h;
	struct nl_req r;

	forget(&w);
	nl_req_init(&r, RTM_GETNETCONF, NLM_F_DUMP, sizeof(*h));
	h = nl_header(&r);
	h->ncm_family = AF_INET;
	if (nl_query(nl, &r, sizeof(*h), visit, forget, &w, e) == 0)
		return 0;
	forget(&w);
	return err_wrap(e, "settings of IPv4");
}
