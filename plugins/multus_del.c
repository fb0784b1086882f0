/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_del.c - giving networks up: DEL, the undoing of an ADD, and GC.
 *
 * Theory of operation.  No pod hangs for ever.  What says nothing any more (a file cut short, an
 * element of it) counts as gone, with a word in the log; of a file that says nothing at all, the
 * pod is asked once more.  A plugin that is missing is an error for a minute, as one may just be
 * being replaced, and then it counts as gone too.  What a plugin itself refuses stays an error.
 *
 * All networks are tried, each in its part of the time.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cni/check.h"
#include "plugins/multus_work.h"

#define UNDO_MS 10000 /* for what an ADD made, though its own time may be over */
#define SHARE_MS 1000 /* of one network at least, where several share what is left of the time */
#define GUESS_MS 5000 /* for what can be heard of a pod whose file says nothing */

/* The next of so many networks gets its part of the time; what it leaves is the others'. */
static void share_time(struct multus_work *w, size_t networks)
{
	int64_t part = w->call->deadline.ms - mono_now().ms;

	if (networks > 1)
		part /= (int64_t)networks;
	w->deadline = mono_in(part > SHARE_MS ? part : SHARE_MS);
}

/* Giving up.  All is tried; the first failure is the one to report. */
static void noted(struct multus_work *w, struct cni_first *f, const struct cni_network *n,
                  const struct cni_runtime *rt, const char *name, int rc, int code,
                  struct err *mine)
{
	multus_reopen_log(w);
	if (rc == 0)
		return;
	if (mine->kind == ERR_NOT_FOUND && cni_network_lacks(n, rt))
		w->is_lacking = true;
	err_prefix(mine, "network %s, interface %s", name, rt->ifname);
	log_warn_err(mine, "DEL");
	cni_first_note(f, rc, code, mine);
}

static void del_delegate(struct multus_work *w, const struct multus_delegate *d,
                         struct cni_first *f)
{
	AUTO_MULTUS_RUN r = multus_run_of(w, d);
	struct err mine;
	int code = 0, rc;

	if (d->broken) {
		log_warn("%s: network %s: %s: nobody can give it up, and it counts as gone",
		         w->scratch, d->name, d->broken);
		return;
	}
	rc = cni_network_del(&d->network, &r.rt, &code, &mine);
	noted(w, f, &d->network, &r.rt, d->name, rc, code, &mine);
}

static void del_attachment(struct multus_work *w, const struct cni_attachment *a,
                           struct cni_first *f)
{
	AUTO_CNI_NETWORK n = { .conf = NULL };
	struct cni_runtime rt = multus_runtime(w);
	struct err mine;
	int code = 0, rc;

	if (!a->conf) {
		cni_attachment_forget(a, "it cannot be read");
		return;
	}
	if (cni_network_read_kept(json_copy(a->conf), a->network, w->call->version, &n, &mine) <
	    0) {
		cni_attachment_forget(a, mine.msg);
		return;
	}
	rt.ifname = a->ifname;
	rt.args = a->args;
	rt.capability_args = a->capability_args;
	/* which may lead to the node's by now, where nothing is the container's */
	if (!*rt.netns && !cni_is_own_netns(a->netns))
		rt.netns = a->netns;
	rc = cni_network_del(&n, &rt, &code, &mine);
	noted(w, f, &n, &rt, a->network, rc, code, &mine);
}

void multus_roll_back(struct multus_work *w, size_t count)
{
	struct mono until = mono_in(UNDO_MS);
	struct cni_first f = { .rc = 0 };

	/* none of the interfaces was there, but the earlier ADD may have left something else */
	if (w->again)
		count = w->delegates.n;
	if (w->call->deadline.ms < until.ms)
		w->call->deadline = until;
	w->skip_missing = true; /* it has made nothing just now */
	for (size_t i = count; i-- > 0;) {
		share_time(w, i + 1);
		del_delegate(w, &w->delegates.v[i], &f);
	}
	if (f.rc == 0)
		IGNORE(file_remove(w->scratch, FILE_SOLE, NULL, NULL));
}

/* DEL. */
/* The file is there and says nothing: what the pod asks for is what it was made of, most likely. */
static void guess_delegates(struct multus_work *w)
{
	struct mono before = w->call->deadline;
	struct err mine;

	w->call->deadline = mono_min(before, mono_in(GUESS_MS));
	if (multus_find_pod(w, &mine) < 0 || multus_find_delegates(w, &mine) < 0) {
		log_warn_err(&mine,
		             "what the networks were cannot be found out: those of which "
		             "nothing else is kept count as gone");
		multus_delegates_release(&w->delegates);
	}
	w->call->deadline = before;
	w->by_kept = true;
}

static void read_delegates(struct multus_work *w)
{
	struct err mine;
	bool found;

	multus_delegates_release(&w->delegates);
	if (multus_read_scratch(w, &found, &mine) == 0)
		return;
	log_warn_err(&mine, "DEL goes on without it");
	if (w->conf_read && streq(w->container_id, w->call->container_id))
		guess_delegates(w);
}

static bool is_same(const struct multus_delegate *d, const struct cni_attachment *a)
{
	return !d->broken && a->conf && streq(d->ifname, a->ifname) &&
	       streq(d->network.name, a->network);
}

/* Of the delegate; NULL: there is nothing kept. */
static const struct cni_attachment *kept_of(const struct multus_delegate *d,
                                            const struct cni_attachment *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(d, &v[i]))
			return &v[i];
	return NULL;
}

static bool is_delegates(const struct multus_work *w, const struct cni_attachment *a)
{
	for (size_t i = 0; i < w->delegates.n; i++)
		if (is_same(&w->delegates.v[i], a))
			return true;
	return false;
}

static void del_all(struct multus_work *w, const struct cni_attachment *v, size_t n,
                    struct cni_first *f)
{
	const char *master = *w->call->ifname ? w->call->ifname : "eth0";
	size_t left = w->delegates.n;

	for (size_t i = 0; i < n; i++)
		left += !is_delegates(w, &v[i]);
	for (size_t i = w->delegates.n; i-- > 0; left--) {
		const struct multus_delegate *d = &w->delegates.v[i];
		const struct cni_attachment *a = w->by_kept ? kept_of(d, v, n) : NULL;

		share_time(w, left);
		if (a)
			del_attachment(w, a, f);
		else
			del_delegate(w, d, f);
	}
	/* the others; the pod's own interface last */
	for (int last = 0; last <= 1; last++)
		for (size_t i = 0; i < n; i++) {
			if (streq(v[i].ifname, master) != (last == 1) || is_delegates(w, &v[i]))
				continue;
			share_time(w, left--);
			del_attachment(w, &v[i], f);
		}
}

/* The runtime comes again: how long will it have been? */
static void note_lack(struct multus_work *w)
{
	struct err mine;

	if (!w->was_lacking && file_write(w->lack, "", 0, 0600, FILE_SOLE, &mine) < 0)
		log_warn_err(&mine, "DEL");
}

/* All networks of the container that the work is about. */
static void del_container(struct multus_work *w, struct cni_first *f)
{
	struct cni_attachment *v = NULL;
	struct cni_first its = { .rc = 0 };
	size_t n = 0;
	struct err mine;
	int rc;

	read_delegates(w);
	rc = cni_attachments(w->conf.cni_dir, w->container_id, &v, &n, &mine);
	cni_first_note(&its, rc, CNI_E_IO, &mine);
	del_all(w, v, n, &its);
	cni_attachments_free(v, n);
	if (w->is_lacking)
		note_lack(w);
	if (its.rc == 0) {
		rc = cni_forget_file(w->scratch, &mine);
		cni_first_note(&its, rc, CNI_E_IO, &mine);
		if (w->was_lacking)
			IGNORE(file_remove(w->lack, FILE_SOLE, NULL, NULL));
	}
	cni_first_note(f, its.rc, its.code, &its.err);
}

int multus_del(struct cni_call *c, int *code, struct err *e)
{
	AUTO_MULTUS_WORK w = multus_begin(c, code);
	struct cni_first f = { .rc = 0 };

	multus_read_leniently(&w);
	/* for all of them; when it is gone, that is no matter */
	IGNORE(*c->netns && cni_netns(c, &w.pod_ns, NULL) < 0);
	del_container(&w, &f);
	if (f.rc == 0)
		return 0;
	*code = f.code;
	return err_copy(e, &f.err);
}

/* GC. */
/* What killed calls left of containers that nobody speaks of any more. */
static void sweep(const struct multus_work *w)
{
	file_sweep(w->conf.cni_dir);
	cni_cache_sweep(w->conf.cni_dir);
}

/* One that cannot be read is no reason to take its container for dead. */
static int check_valid(const json *valid, struct err *e)
{
	const char *text;

	json_each(o, valid)
	{
		if (json_str(o, "containerID", &text, e) < 0 || json_str(o, "ifname", &text, e) < 0)
			return err_wrap(e, "cni.dev/valid-attachments");
	}
	return 0;
}

/* Is the container one of those that the runtime knows? */
static bool is_valid(const json *valid, const char *container_id)
{
	json_each(v, valid)
	{
		const char *id = json_str_at(v, "containerID", NULL);

		if (id && streq(id, container_id))
			return true;
	}
	return false;
}

static bool is_known(const char *container_id, const struct cni_attachment *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cni_attachment_is_of(&v[i], container_id))
			return true;
	return false;
}

/* Of the containers that are valid, every interface; of those that we know nothing of, what the
 * runtime says. */
static json *valid_of(const json *valid, const struct cni_attachment *v, size_t n,
                      const char *network)
{
	json *list = json_new_array();

	json_each(o, valid)
	{
		if (!is_known(json_str_at(o, "containerID", NULL), v, n))
			json_append(list, json_copy(o));
	}
	for (size_t i = 0; i < n; i++) {
		json *o;

		if (!streq(v[i].network, network) || !is_valid(valid, v[i].container_id))
			continue;
		o = json_new_object();
		json_set_str(o, "containerID", v[i].container_id);
		json_set_str(o, "ifname", v[i].ifname);
		json_append(list, o);
	}
	return list;
}

static void gc_network(struct multus_work *w, const struct cni_network *n, const json *valid,
                       const struct cni_attachment *v, size_t count, struct cni_first *f)
{
	AUTO_JSON *its = valid_of(valid, v, count, n->name);
	struct cni_runtime rt = multus_runtime(w);
	struct err mine;
	int code = 0, rc = cni_network_gc(n, &rt, its, &code, &mine);

	multus_reopen_log(w);
	if (rc == 0)
		return;
	log_warn_err(&mine, "GC of network %s", n->name);
	cni_first_note(f, rc, code, &mine);
}

static void collect(struct multus_work *w, const char *container_id, struct cni_first *f)
{
	multus_about(w, container_id, "");
	w->by_kept = true;
	del_container(w, f);
}

/* Containers whose DEL will never come. */
static void collect_scratch(struct multus_work *w, const json *valid, struct cni_first *f)
{
	char **names = NULL;
	size_t n = 0;

	if (file_list(w->conf.cni_dir, &names, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", w->conf.cni_dir, names[i]);
		AUTO_FREE char *scratch = xstrdup(path);
		bool lack = str_ends(names[i], MULTUS_LACK);

		if (lack) {
			names[i][strlen(names[i]) - strlen(MULTUS_LACK)] = '\0';
			scratch[strlen(scratch) - strlen(MULTUS_LACK)] = '\0';
		}
		if (streq(names[i], "results") || is_valid(valid, names[i]) ||
		    check_id("container id", names[i], NULL) < 0)
			continue;
		if (!lack)
			collect(w, names[i], f);
		else if (access(scratch, F_OK) < 0)
			IGNORE(file_remove(path, 0, NULL, NULL));
	}
	file_list_free(names, n);
}

/* Those of which results alone are kept. */
static void collect_kept(struct multus_work *w, const json *valid, const struct cni_attachment *v,
                         size_t count, struct cni_first *f)
{
	for (size_t i = 0; i < count; i++) {
		bool used = false;

		if (v[i].conf && !is_valid(valid, v[i].container_id) &&
		    check_id("container id", v[i].container_id, NULL) == 0)
			collect(w, v[i].container_id, f);
		if (v[i].conf || access(v[i].path, F_OK) < 0)
			continue;
		json_each(o, valid)
		{
			const char *id = json_str_at(o, "containerID", NULL);

			used = used || (id && cni_attachment_is_of(&v[i], id));
		}
		if (!used)
			cni_attachment_forget(&v[i], "it cannot be read");
	}
}

/* The cluster's network, and every other one that something was kept of. */
static void gc_networks(struct multus_work *w, const json *valid, const struct cni_attachment *v,
                        size_t count, struct cni_first *f)
{
	bool cluster;
	struct err mine;

	multus_delegates_release(&w->delegates);
	cluster = multus_find_cluster(w, &mine) == 0;
	if (cluster)
		gc_network(w, &w->delegates.v[0].network, valid, v, count, f);
	else
		log_warn_err(&mine, "GC");
	for (size_t i = 0; i < count; i++) {
		AUTO_CNI_NETWORK n = { .conf = NULL };
		bool done = !v[i].conf ||
		            (cluster && streq(w->delegates.v[0].network.name, v[i].network));

		for (size_t k = 0; k < i; k++)
			done = done || streq(v[k].network, v[i].network);
		if (!done && cni_network_read_kept(json_copy(v[i].conf), v[i].network,
		                                   w->call->version, &n, NULL) == 0)
			gc_network(w, &n, valid, v, count, f);
	}
}

int multus_gc(struct cni_call *c, int *code, struct err *e)
{
	static const char key[] = "cni.dev/valid-attachments";
	const json *valid = NULL; /* Go writes an empty list as null */
	AUTO_MULTUS_WORK w = multus_begin(c, code);
	struct cni_first f = { .rc = 0 };
	struct cni_attachment *v = NULL;
	size_t count = 0;

	if (multus_read_conf(&w, e) < 0)
		return -1;
	if (json_opt_arr(c->conf, key, &valid, e) < 0 || check_valid(valid, e) < 0) {
		*code = CNI_E_CONFIG;
		return -1;
	}
	if (!json_get(c->conf, key))
		return 0; /* nobody says what is still in use */
	if (cni_attachments(w.conf.cni_dir, NULL, &v, &count, e) < 0)
		return -1;
	collect_scratch(&w, valid, &f);
	collect_kept(&w, valid, v, count, &f);
	multus_about(&w, "", "");
	w.deadline = c->deadline;
	gc_networks(&w, valid, v, count, &f);
	cni_attachments_free(v, count);
	sweep(&w);
	if (f.rc == 0)
		return 0;
	*code = f.code;
	return err_copy(e, &f.err);
}
