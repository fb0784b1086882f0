/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus.c - see multus.h.
 */
#include <stdlib.h>

#include "agent/multus.h"

#define FIND_MS 20000 /* for what has to be read from the store; the plugin waits longer */
#define NETWORKS_MAX 128

struct who {
	const char *ns, *name, *uid;
};

static int read_who(const json *body, struct who *w, struct err *e)
{
	if (json_str(body, "podNamespace", &w->ns, e) < 0 ||
	    json_str(body, "podName", &w->name, e) < 0 || json_str(body, "podUID", &w->uid, e) < 0)
		return -1;
	if (!*w->ns || !*w->name || strlen(w->ns) > 253 || strlen(w->name) > 253 ||
	    strlen(w->uid) > 253)
		return err_set(e, ERR_PROTO, "podNamespace, podName: not the names of a pod");
	return 0;
}

static int add_network(struct agent *a, const char *full, bool must, struct mono deadline,
                       json *list, struct err *e)
{
	const char *slash = strchr(full, '/');
	AUTO_FREE char *ns = slash ? xstrndup(full, (size_t)(slash - full)) : NULL;
	json *o = NULL;

	if (!slash || !*ns || !slash[1] || strchr(slash + 1, '/'))
		return err_set(e, ERR_PROTO, "networks: \"%s\" is not NAMESPACE/NAME", full);
	if (nads_find(a->nads, ns, slash + 1, must, deadline, &o, e) < 0)
		return -1;
	if (o)
		json_set(list, full, o);
	return 0;
}

/* Those whose names are the list `key` of the request. */
static int add_networks(struct agent *a, const json *body, const char *key, bool must, json *list,
                        struct err *e)
{
	struct mono deadline = mono_in(FIND_MS);
	const json *names;

	if (json_opt_strs(body, key, &names, e) < 0)
		return -1;
	if (json_count(names) > NETWORKS_MAX)
		return err_set(e, ERR_PROTO, "%s: more than %d", key, NETWORKS_MAX);
	json_each(name, names)
	{
		if (add_network(a, json_text(name), must, deadline, list, e) < 0)
			return -1;
	}
	return 0;
}

int multus_networks(struct agent *a, const json *body, json **answer, struct err *e)
{
	AUTO_JSON *doc = json_new_object();
	json *list = json_ensure_object(doc, "networks");

	if (add_networks(a, body, "networks", true, list, e) < 0 ||
	    add_networks(a, body, "ifKnown", false, list, e) < 0)
		return -1;
	*answer = take_ptr(&doc);
	return 0;
}

int multus_pod(struct agent *a, const json *body, json **answer, struct err *e)
{
	AUTO_JSON *doc = json_new_object();
	AUTO_JSON *definitions = json_new_object();
	struct pod_facts f;
	struct err mine;
	struct who w;
	bool found;

	if (read_who(body, &w, e) < 0 ||
	    pods_find(a->pods, w.ns, w.name, w.uid, mono_in(FIND_MS), &f, &found, e) < 0)
		return -1;
	json_set_bool(doc, "known", found);
	if (found) {
		json_set_str(doc, "uid", f.uid);
		json_set_str(doc, "defaultNetwork", f.default_network);
		json_set_str(doc, "networks", f.networks);
	}
	pod_facts_release(&f);
	/* who needs one that cannot be read now asks for it, and is told why */
	if (json_get(body, "ifKnown")) {
		if (add_networks(a, body, "ifKnown", false, definitions, &mine) == 0)
			json_set(doc, "definitions", take_ptr(&definitions));
		else if (mine.kind == ERR_PROTO)
			return err_copy(e, &mine);
	}
	*answer = take_ptr(&doc);
	return 0;
}

int multus_status(struct agent *a, const json *body, json **answer, struct err *e)
{
	const char *status;
	struct who w;

	(void)answer;
	if (read_who(body, &w, e) < 0 || json_str(body, "status", &status, e) < 0)
		return -1;
	netstatus_put(a->netstatus, w.ns, w.name, w.uid, status);
	return 0;
}
