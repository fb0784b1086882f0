/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.c - from what the agent wants to probes, and from their outcome to words.
 *
 * A gateway is asked by the interface's own address, when it has one that the gateway can answer:
 * that tells it nothing new.  Else by the pod's, which it then knows, once that proved free.
 */
#include <linux/if_addr.h>
#include <stdlib.h>

#include "net/addr.h"
#include "net/netns.h"
#include "net/probe.h"
#include "plugins/detect.h"

void detections_release(struct detections *d)
{
	free(d->v);
	*d = (struct detections){ NULL, 0 };
}

bool detect_wants_conflict(const struct detections *d, struct ip address)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].conflict && ip_equal(d->v[i].address.ip, address))
			return true;
	return false;
}

void detect_add_conflict(json **conflicts, struct ip address, const char *reason)
{
	json *o = json_new_object();

	json_set_str(o, "address", ip_str(address).s);
	json_set_str(o, "reason", reason);
	if (!*conflicts)
		*conflicts = json_new_array();
	json_append(*conflicts, o);
}

/* Who asks for the gateway of this address; for IPv6 it is link-local, as the kernel's is. */
static struct ip sender(const struct detection *d, const struct addr *own, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct ip a = own[i].local.ip;

		if (a.family != d->address.ip.family ||
		    own[i].flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
			continue;
		if (a.family == 6 ? ip_is_link_local(a) : cidr_contains(d->address, a))
			return a;
	}
	return d->address.ip;
}

/* Two for each detection, of which some have no target. */
static size_t make_probes(const struct detections *d, const struct addr *own, size_t n_own,
                          struct probe *v)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct detection *x = &d->v[i];

		if (x->conflict)
			v[n++] = (struct probe){ .kind = PROBE_ADDRESS, .target = x->address.ip };
		if (x->reach)
			v[n++] = (struct probe){ .kind = PROBE_GATEWAY,
				                 .target = x->gateway,
				                 .sender = sender(x, own, n_own) };
	}
	return n;
}

static int tell(const struct probe *v, size_t n, const char *link, json **conflicts, struct err *e)
{
	AUTO_STR all = STR_INIT;

	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *reason = NULL;

		if (v[i].kind != PROBE_ADDRESS || !v[i].answered)
			continue;
		reason = xasprintf("%s answers for it on %s", mac_str(v[i].mac).s, link);
		detect_add_conflict(conflicts, v[i].target, reason);
		str_addf(&all, "%s%s answers for %s on %s", all.len ? ", " : "",
		         mac_str(v[i].mac).s, ip_str(v[i].target).s, link);
	}
	if (all.len)
		return err_set(e, ERR_CONFLICT, "ip conflict: %s", all.data);
	for (size_t i = 0; i < n; i++)
		if (!v[i].answered && v[i].kind == PROBE_GATEWAY)
			return err_set(e, ERR_UNREACHABLE,
			               "gateway %s is unreachable: nobody answers for it on %s",
			               ip_str(v[i].target).s, link);
	return 0;
}

int detect_run(int ns, struct nl *nl, const struct link *link, const struct detections *d,
               struct mono deadline, json **conflicts, struct err *e)
{
	AUTO_FREE struct probe *v = NULL;
	AUTO_FREE struct addr *own = NULL;
	size_t n, n_own;

	if (!d->n)
		return 0;
	if (addr_list(nl, 0, link->index, &own, &n_own, e) < 0)
		return -1;
	v = xcalloc(d->n * 2, sizeof(*v));
	n = make_probes(d, own, n_own, v);
	if (probe_run(ns, link, v, n, deadline, e) < 0)
		return -1;
	return tell(v, n, link->name, conflicts, e);
}

/* An ipvlan slave's master is here, or in the pod as well. */
static int on_master(int pod_ns, struct nl *pod, const struct link *slave,
                     const struct detections *d, struct mono deadline, json **conflicts,
                     struct err *e)
{
	bool in_pod = slave->parent_nsid < 0;
	AUTO_NL *host = NULL;
	struct link master;

	if (!in_pod && nl_open(NETLINK_ROUTE, &host, e) < 0)
		return -1;
	if (link_get_index(in_pod ? pod : host, slave->parent, &master, e) < 0)
		return err_wrap(e, "master of %s", slave->name);
	/* the same number in a third namespace is another interface */
	if (memcmp(&master.mac, &slave->mac, sizeof(master.mac)) != 0)
		return err_set(e, ERR_NOT_FOUND, "the master of %s is not on this node",
		               slave->name);
	return detect_run(in_pod ? pod_ns : -1, in_pod ? pod : host, &master, d, deadline,
	                  conflicts, e);
}

int detect_in_pod(int pod_ns, const char *ifname, const struct detections *d, struct mono deadline,
                  json **conflicts, struct err *e)
{
	AUTO_NL *pod = NULL;
	struct link l;

	if (!d->n)
		return 0;
	if (netns_nl(pod_ns, NETLINK_ROUTE, &pod, e) < 0)
		return -1;
	if (link_get(pod, ifname, &l, e) < 0)
		return err_wrap(e, "conflict and gateway detection, in the pod");
	if (streq(l.kind, "ipvlan"))
		return on_master(pod_ns, pod, &l, d, deadline, conflicts, e);
	if (link_set_up(pod, l.index, e) < 0)
		return -1;
	return detect_run(pod_ns, pod, &l, d, deadline, conflicts, e);
}
