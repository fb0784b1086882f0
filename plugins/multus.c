/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus.c - the networks of a pod, one after the other: a drop-in for the meta-plugin Multus
 * ("thin").
 *
 * Theory of operation.  The first network is the cluster's, or the one that the pod names; its
 * result is the pod's.  The networks that the pod selects follow.  Before the first of them is
 * touched, <cniDir>/<container id> says which they are; so a DEL needs nothing but that file: no
 * pod, no NetworkAttachmentDefinition, no API server, no agent.  It goes only when all networks
 * have been given up, and a DEL that failed can be repeated.  What is kept of the attachments
 * (cni/list.h) and not in that file is given up as well.
 *
 * The file is not synced: after a power cut it may be empty, and an fsync on each ADD is dear.
 *
 * Networks whose plugins are this binary are run without a process.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "net/netns.h"
#include "net/route.h"
#include "plugins/multus.h"
#include "plugins/multus_work.h"

#define READY_MS 45000 /* for the readiness indicator file */

/* Watches the nearest folder above the file that there is. */
static void watch_above(int fd, const char *file)
{
	AUTO_FREE char *folder = xstrdup(file);
	char *slash;

	while ((slash = strrchr(folder, '/'))) {
		slash[slash == folder] = '\0';
		if (inotify_add_watch(fd, folder,
		                      IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF) >=
		            0 ||
		    slash == folder)
			return;
	}
}

/* The default network writes it when it is ready. */
static int wait_until_ready(struct multus_work *w, struct err *e)
{
	const char *file = w->conf.readiness_file;
	struct mono deadline = mono_min(w->call->deadline, mono_in(READY_MS));

	while (*file && access(file, F_OK) < 0) {
		AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (fd < 0)
			return err_sys(e, errno, "open an inotify instance");
		watch_above(fd, file);
		if (access(file, F_OK) == 0)
			break;
		if (mono_passed(deadline))
			return err_set(
				e, ERR_TIMEOUT,
				"readinessindicatorfile: %s is not there after %d seconds: is "
				"the default network ready?",
				file, READY_MS / 1000);
		(void)poll(&p, 1, mono_left_ms(deadline));
	}
	return 0;
}

/* ADD. */
static int wrap(const struct multus_work *w, const char *network, struct err *e)
{
	const struct cni_call *c = w->call;

	return err_wrap(e, "[%s/%s/%s:%s]: error adding container to network \"%s\"",
	                c->pod_namespace, c->pod_name, c->pod_uid, network, network);
}

static int save_delegates(struct multus_work *w, struct err *e)
{
	AUTO_STR text = STR_INIT;

	if (multus_scratch_write(&w->delegates, &text, e) < 0)
		return -1;
	if (file_mkdirs(w->conf.cni_dir, 0700, e) < 0 ||
	    file_write(w->scratch, text.data, text.len, 0600, FILE_SOLE, e) < 0) {
		*w->code = CNI_E_IO;
		return -1;
	}
	return 0;
}

/* The socket is left to the plugins in between. */
static int reach_pod(struct multus_work *w, struct err *e)
{
	return w->nl ? 0 : netns_nl(w->pod_ns, NETLINK_ROUTE, &w->nl, e);
}

static int check_free(struct multus_work *w, const struct multus_delegate *d, struct err *e)
{
	struct link l;
	struct err mine;

	if (reach_pod(w, e) < 0)
		return -1;
	if (link_get(w->nl, d->ifname, &l, &mine) == 0)
		return err_set(e, ERR_EXISTS, "interface %s is already in the pod (%s)", d->ifname,
		               w->call->netns);
	return mine.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &mine);
}

/* Before anything is written: a second ADD for a container must not touch what the first one left.
 */
static int check_all_free(struct multus_work *w, struct err *e)
{
	w->again = access(w->scratch, F_OK) == 0;
	for (size_t i = 0; i < w->delegates.n; i++)
		if (check_free(w, &w->delegates.v[i], e) < 0)
			return wrap(w, w->delegates.v[i].network.name, e);
	return 0;
}

/* The default routes of main by that interface go; where it has one of its own table, that is by
 * the gateway asked for from now on. */
static int set_default(struct multus_work *w, int family, int index, const struct ip *gateway,
                       struct err *e)
{
	AUTO_FREE struct route *routes = NULL;
	size_t n = 0;
	struct err mine;

	if (route_list(w->nl, family, 0, &routes, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct route r = routes[i];

		if (r.dst.len || r.oif != index || r.multipath ||
		    (r.table != RT_TABLE_MAIN && (!gateway || ip_equal(r.gw, *gateway))))
			continue;
		if (route_del(w->nl, &r, &mine) < 0 && mine.kind != ERR_NOT_FOUND)
			return err_copy(e, &mine);
		if (r.table == RT_TABLE_MAIN)
			continue;
		r.gw = *gateway;
		if (route_add(w->nl, &r, ROUTE_CREATE, e) < 0)
			return -1;
	}
	if (gateway) {
		const struct route r = { .dst = { .ip = { .family = gateway->family } },
			                 .gw = *gateway,
			                 .oif = index };

		if (route_add(w->nl, &r, ROUTE_CREATE, &mine) < 0 && mine.sys != EEXIST)
			return err_copy(e, &mine);
	}
	return 0;
}

/* What the pod's default-route says. */
static int set_default_routes(struct multus_work *w, struct multus_delegate *d, struct err *e)
{
	AUTO_MULTUS_RUN run = multus_run_of(w, d);
	bool changed = false;
	struct link l;

	for (int f = 0; f < MULTUS_FAMILIES; f++) {
		struct ip gateway;
		bool wanted = multus_gateway(d, f, &gateway);

		if (!d->filter[f] && !wanted)
			continue;
		if (!changed && (reach_pod(w, e) < 0 || link_get(w->nl, d->ifname, &l, e) < 0))
			return -1;
		changed = true;
		if (set_default(w, f == MULTUS_V4 ? 4 : 6, l.index, wanted ? &gateway : NULL, e) <
		    0)
			return err_wrap(e, "default route of %s", d->ifname);
	}
	if (!changed)
		return 0;
	multus_filter_result(d->result, d);
	return cni_network_keep(&d->network, &run.rt, d->result, e);
}

static bool is_tuned(const struct multus_delegate *d)
{
	json_each(o, json_get(d->network.conf, "plugins"))
	{
		const char *type = json_str_at(o, "type", NULL);

		if (type && streq(type, "coordinator"))
			return true;
	}
	return false;
}

/*
 * The coordinator of a later network gives this one's interface a table with all its routes.  Until
 * then its default routes have to be there.
 */
static bool is_tuned_later(const struct multus_work *w, size_t place)
{
	for (size_t i = place + 1; i < w->delegates.n; i++)
		if (is_tuned(&w->delegates.v[i]))
			return true;
	return false;
}

static int add_one(struct multus_work *w, size_t place, struct err *e)
{
	struct multus_delegate *d = &w->delegates.v[place];
	AUTO_MULTUS_RUN run = multus_run_of(w, d);
	int rc;

	nl_close(take_ptr(&w->nl));
	rc = cni_network_add(&d->network, &run.rt, &d->result, w->code, e);
	multus_reopen_log(w);
	if (rc < 0 || (!is_tuned_later(w, place) && set_default_routes(w, d, e) < 0))
		return -1;
	log_info("added %s to network %s (%s)", d->ifname, d->name, d->network.name);
	return 0;
}

static int add_each(struct multus_work *w, struct err *e)
{
	for (size_t i = 0; i < w->delegates.n; i++) {
		const struct multus_delegate *d = &w->delegates.v[i];

		/* one that an earlier network made is not this one's to give up */
		if (i && check_free(w, d, e) < 0) {
			multus_roll_back(w, i);
			return wrap(w, d->network.name, e);
		}
		if (add_one(w, i, e) < 0) {
			multus_roll_back(w, i + 1);
			return wrap(w, d->network.name, e);
		}
	}
	return 0;
}

/* Once more for all: what waited makes room for those that came before it in vain. */
static int finish_default_routes(struct multus_work *w, struct err *e)
{
	if (!w->delegates.n || !is_tuned_later(w, 0))
		return 0;
	for (size_t i = 0; i < w->delegates.n; i++)
		if (set_default_routes(w, &w->delegates.v[i], e) < 0)
			return wrap(w, w->delegates.v[i].network.name, e);
	return 0;
}

static int tell_status(struct multus_work *w, struct err *e)
{
	for (size_t i = 0; i < w->delegates.n; i++) {
		struct multus_delegate *d = &w->delegates.v[i];

		multus_status_add(&w->status, d, d->result);
		if (d->is_master)
			w->result = take_ptr(&d->result);
	}
	str_addc(&w->status, ']');
	return w->pod.known ? multus_source_status(&w->source, &w->pod, w->status.data, e) : 0;
}

static int add_all(struct multus_work *w, struct err *e)
{
	if (add_each(w, e) < 0)
		return -1;
	if (finish_default_routes(w, e) < 0 || tell_status(w, e) < 0) {
		multus_roll_back(w, w->delegates.n);
		return -1;
	}
	return 0;
}

static int open_pod(struct multus_work *w, struct err *e)
{
	if (cni_netns(w->call, &w->pod_ns, e) < 0) {
		*w->code = CNI_E_NETNS;
		return -1;
	}
	return reach_pod(w, e);
}

static int add(struct cni_call *c, json **result, int *code, struct err *e)
{
	AUTO_MULTUS_WORK w = multus_begin(c, code);
	struct err mine;

	if (multus_read_conf(&w, &mine) < 0 || open_pod(&w, &mine) < 0 ||
	    wait_until_ready(&w, &mine) < 0 || multus_find_pod(&w, &mine) < 0 ||
	    multus_find_delegates(&w, &mine) < 0 || check_all_free(&w, &mine) < 0 ||
	    save_delegates(&w, &mine) < 0 || add_all(&w, &mine) < 0) {
		if (w.conf.log.path)
			log_err(&mine, "ADD");
		return err_copy(e, &mine);
	}
	*result = take_ptr(&w.result);
	cni_result_convert(*result, c->version);
	return 0;
}

/* CHECK, STATUS. */
static int check(struct cni_call *c, int *code, struct err *e)
{
	AUTO_MULTUS_WORK w = multus_begin(c, code);
	bool found;

	if (multus_read_conf(&w, e) < 0 || multus_read_scratch(&w, &found, e) < 0)
		return -1;
	if (!found)
		return err_set(e, ERR_NOT_FOUND, "nothing is known of the container: no file %s",
		               w.scratch);
	for (size_t i = 0; i < w.delegates.n; i++) {
		const struct multus_delegate *d = &w.delegates.v[i];
		AUTO_MULTUS_RUN r = multus_run_of(&w, d);
		int rc;

		if (d->broken)
			return err_set(e, ERR_PROTO, "%s: network %s: %s", w.scratch, d->name,
			               d->broken);
		if (d->network.version < CNI_0_4_0)
			continue; /* its plugins know no CHECK */
		rc = cni_network_check(&d->network, &r.rt, code, e);
		multus_reopen_log(&w);
		if (rc < 0)
			return err_wrap(e, "network %s, interface %s", d->name, d->ifname);
	}
	return 0;
}

static int status(struct cni_call *c, int *code, struct err *e)
{
	AUTO_MULTUS_WORK w = multus_begin(c, code);
	struct cni_runtime rt;

	if (multus_read_conf(&w, e) < 0)
		return -1;
	*code = CNI_E_NOT_AVAILABLE;
	if (*w.conf.readiness_file && access(w.conf.readiness_file, F_OK) < 0)
		return err_set(e, ERR_NOT_FOUND, "readinessindicatorfile: %s is not there",
		               w.conf.readiness_file);
	if (multus_find_cluster(&w, e) < 0)
		return -1;
	rt = multus_runtime(&w);
	return cni_network_status(&w.delegates.v[0].network, &rt, code, e);
}

const struct cni_plugin multus_plugin = {
	.about = "multus: the networks that a pod selects (Spiderbox)",
	.add = add,
	.del = multus_del,
	.check = check,
	.gc = multus_gc,
	.status = status,
};
