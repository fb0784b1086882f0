/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reconcile_make.c - changes are made, and what can be told of them is told.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent/reconcile_work.h"
#include "base/log.h"
#include "cni/state.h"
#include "datapath/rule.h"

/* The pod as people know it; owned. */
char *reconcile_name_of(const struct reconcile *k, const struct kept *p)
{
	struct attachment a;
	char *name;

	if (attachment_read(k->config.state_dir, p->r.container_id, p->r.ifname, &a, NULL) < 0)
		return xasprintf("container %.13s, %s", p->r.container_id, p->r.ifname);
	name = xasprintf("pod %s/%s, %s", a.pod_namespace, a.pod_name, p->r.ifname);
	attachment_release(&a);
	return name;
}

/* Told when it is not what was told last. */
void reconcile_settle_trouble(const struct reconcile *k, const struct kept *p, char **told,
                              struct str *trouble)
{
	if (trouble->len && (!*told || !streq(*told, trouble->data))) {
		AUTO_FREE char *name = reconcile_name_of(k, p);

		log_warn("%s: %s", name, trouble->data);
	}
	free(*told);
	*told = trouble->len ? str_take(trouble) : NULL;
}

void reconcile_add_trouble(struct reconcile *k, struct str *trouble, const struct err *e)
{
	/* EACCES is what an interface without IPv6 says */
	if (e->sys != EPERM) {
		str_addf(trouble, "%s%s", trouble->len ? "; " : "", e->msg);
		return;
	}
	if (!k->powerless)
		log_warn_err(e,
		             "what joins pods and node cannot be kept without CAP_NET_ADMIN, "
		             "and CAP_SYS_ADMIN for the pods'");
	k->powerless = true;
}

/* Making changes. */
static int make(struct nl *nl, const struct keep_change *c, struct err *e)
{
	bool made;

	switch (c->what) {
	case KEEP_ROUTE_ADD:
		return route_add(nl, &c->route, ROUTE_CREATE, e);
	case KEEP_ROUTE_REPLACE:
		return route_add(nl, &c->route, ROUTE_REPLACE, e);
	case KEEP_ROUTE_DEL:
		return route_del(nl, &c->route, e);
	case KEEP_NEIGH_SET:
		return neigh_replace(nl, &c->neigh, e);
	case KEEP_NEIGH_DEL:
		return neigh_del(nl, c->neigh.index, c->neigh.ip, e);
	case KEEP_RULE_ADD:
		return datapath_rule_add_node(nl, &c->rule, &made, e);
	case KEEP_ADDR_ADD:
		return addr_add(nl, c->addr.index, cidr_host(c->addr.ip), e);
	case KEEP_ADDR_DEL:
		return addr_del(nl, c->addr.index, cidr_host(c->addr.ip), e);
	default:
		break;
	}
	return err_set(e, ERR_EXISTS, "another program's %s (interface %d) is in the place of ours",
	               c->what == KEEP_NEIGH_FOREIGN ? "neighbour" : "route",
	               c->what == KEEP_NEIGH_FOREIGN ? c->neigh.index : c->route.oif);
}

static const char *const did[] = {
	[KEEP_ROUTE_ADD] = "was missing: made",
	[KEEP_ROUTE_REPLACE] = "led elsewhere: replaced",
	[KEEP_ROUTE_DEL] = "is to an address that the node has no more: removed",
	[KEEP_NEIGH_SET] = "was missing or another: set",
	[KEEP_NEIGH_DEL] = "is an address that the node has no more: removed",
	[KEEP_RULE_ADD] = "was missing: made",
	[KEEP_ADDR_ADD] = "was missing: made",
	[KEEP_ADDR_DEL] = "is one that the node has no more: removed",
};

/* Gone by itself, or made by somebody else meanwhile: nothing to tell. */
static bool is_done(const struct keep_change *c, const struct err *e)
{
	if (c->what == KEEP_ROUTE_DEL || c->what == KEEP_NEIGH_DEL || c->what == KEEP_ADDR_DEL)
		return e->kind == ERR_NOT_FOUND;
	return c->what == KEEP_ADDR_ADD && e->sys == EEXIST;
}

/* False when one of them failed. */
bool reconcile_make_all(struct reconcile *k, const struct kept *p, struct nl *nl, const char *where,
                        const struct keep_changes *all, struct str *trouble)
{
	bool all_made = true, no_route[7] = { false }; /* by family */

	for (size_t i = 0; i < all->n; i++) {
		const struct keep_change *c = &all->v[i];
		AUTO_FREE char *name = NULL;
		AUTO_STR text = STR_INIT;
		struct err e;

		/* without its routes the rule serves nobody */
		if (c->what == KEEP_RULE_ADD && no_route[c->rule.family])
			continue;
		keep_change_text(c, &text);
		if (make(nl, c, &e) < 0) {
			if (is_done(c, &e))
				continue;
			all_made = false;
			if (c->what == KEEP_ROUTE_ADD)
				no_route[c->route.dst.ip.family] = true;
			IGNORE(err_wrap(&e, "%s %s", where, text.data));
			/* an interface that goes this moment: of that there is a notice */
			if (e.sys != ENODEV && e.sys != ENETDOWN)
				reconcile_add_trouble(k, trouble, &e);
			continue;
		}
		name = reconcile_name_of(k, p);
		log_info("%s: %s %s %s", name, where, text.data, did[c->what]);
		metrics_add(k->config.metrics, METRIC_DATAPATH_REPAIRS, 1);
		k->repairs++;
	}
	return all_made;
}
