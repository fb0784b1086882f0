/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipvlan_port.c - siblings: the ipvlan interfaces of one master.
 */
#include <stdlib.h>

#include "base/file.h"
#include "cni/state.h"
#include "net/addr.h"
#include "net/netns.h"
#include "plugins/ipvlan_conf.h"
#include "plugins/ipvlan_port.h"

#define NOTE_MAX 64 /* bytes */

static bool has_address(struct nl *nl, int index, struct ip want)
{
	AUTO_FREE struct addr *v = NULL;
	size_t n;

	if (addr_list(nl, want.family, index, &v, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (ip_equal(v[i].local.ip, want))
			return true;
	return false;
}

/* In that namespace? */
static bool find_in(const char *path, int master, const struct ip *address, struct link *out)
{
	AUTO_FREE struct link *v = NULL;
	AUTO_FD int ns = -1;
	AUTO_NL *nl = NULL;
	size_t n;

	if (netns_open(path, &ns, NULL) < 0 || netns_nl(ns, NETLINK_ROUTE, &nl, NULL) < 0 ||
	    link_list(nl, &v, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		/* a master in the pod's own namespace may have the same number */
		if (streq(v[i].kind, "ipvlan") && v[i].parent == master && v[i].parent_nsid >= 0 &&
		    (!address || has_address(nl, v[i].index, *address))) {
			*out = v[i];
			return true;
		}
	return false;
}

void ipvlan_sibling_find(const char *netns, int master, const struct ip *address,
                         struct ipvlan_sibling *out)
{
	const char *slash = strrchr(netns, '/');
	AUTO_FREE char *folder = slash ? xstrndup(netns, (size_t)(slash - netns)) : NULL;
	char **names = NULL;
	size_t n = 0;

	out->netns = NULL;
	if (!slash || file_list(folder, &names, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n && !out->netns; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, names[i]);

		if (find_in(path, master, address, &out->link))
			out->netns = take_ptr(&path);
	}
	file_list_free(names, n);
}

int ipvlan_port_compare(const struct link *sibling, const char *where, const struct link *master,
                        int mode, int flags, struct err *e)
{
	bool other_mode = sibling->ipvlan_mode != mode;

	if (!other_mode && sibling->ipvlan_flags == flags)
		return 0;
	return err_set(e, ERR_CONFIG,
	               "%s: %s has %s for all of its ipvlan interfaces, such as %s in %s, and the "
	               "kernel would change them to %s: use the same for all networks on %s",
	               other_mode ? "mode" : "flag", master->name,
	               other_mode ? ipvlan_mode_text(sibling->ipvlan_mode)
	                          : ipvlan_flag_text(sibling->ipvlan_flags),
	               sibling->name, where,
	               other_mode ? ipvlan_mode_text(mode) : ipvlan_flag_text(flags), master->name);
}

static char *note_path(const char *dir, const struct link *master)
{
	return xasprintf("%s/%d", dir, master->index);
}

static char *note_text(int mode, int flags)
{
	return xasprintf("%s %s\n", ipvlan_mode_text(mode), ipvlan_flag_text(flags));
}

int ipvlan_port_check(const char *dir, const char *netns, const struct link *master, int mode,
                      int flags, bool *differs, struct err *e)
{
	AUTO_FREE char *path = note_path(dir, master), *want = note_text(mode, flags);
	AUTO_STR is = STR_INIT;
	struct ipvlan_sibling s;
	int rc = 0;

	*differs = file_read(path, NOTE_MAX, &is, NULL) < 0 || !streq(is.data, want);
	if (!*differs)
		return 0;
	ipvlan_sibling_find(netns, master->index, NULL, &s);
	if (s.netns)
		rc = ipvlan_port_compare(&s.link, s.netns, master, mode, flags, e);
	free(s.netns);
	return rc;
}

/* Without it the next one has to look, that is all. */
void ipvlan_port_note(const char *dir, const struct link *master, int mode, int flags)
{
	AUTO_FREE char *path = note_path(dir, master), *text = note_text(mode, flags);

	if (file_mkdirs(dir, 0755, NULL) == 0)
		IGNORE(file_write(path, text, strlen(text), 0644, 0, NULL));
}

static bool is_holder(const struct attachment *a, const char *container_id, const char *ifname,
                      struct ip address)
{
	if (streq(a->container_id, container_id) && streq(a->ifname, ifname))
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (ip_equal(a->addresses[i].ip, address))
			return true;
	return false;
}

static char *describe(const struct attachment *a)
{
	if (!*a->pod_name)
		return xasprintf("%s of container %.13s in %s", a->ifname, a->container_id,
		                 a->netns);
	return xasprintf("%s of pod %s/%s (container %.13s) in %s", a->ifname, a->pod_namespace,
	                 a->pod_name, a->container_id, a->netns);
}

char *ipvlan_holder(const char *state_dir, const char *container_id, const char *ifname,
                    const char *netns, int master, struct ip address)
{
	struct attachment *v = NULL;
	struct ipvlan_sibling s;
	char *text = NULL;
	size_t n = 0;

	ipvlan_sibling_find(netns, master, &address, &s);
	if (attachment_list(state_dir, &v, &n, NULL) < 0)
		n = 0;
	/* where it is says the kernel; a record knows whose that is, and where nobody can look */
	for (size_t i = 0; i < n; i++)
		if (!text &&
		    (s.netns ? streq(v[i].netns, s.netns) && streq(v[i].ifname, s.link.name)
		             : is_holder(&v[i], container_id, ifname, address)))
			text = describe(&v[i]);
	for (size_t i = 0; i < n; i++)
		attachment_release(&v[i]);
	free(v);
	if (!text && s.netns)
		text = xasprintf("%s in %s", s.link.name, s.netns);
	free(s.netns);
	return text ? text : xstrdup("one of a pod that still exists on this node");
}
