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

int multus_pod(struct agent *a, const json *body, json **answer, struct err *e)
{
	struct pod_facts f;
	struct who w;
	bool found;

	if (read_who(body, &w, e) < 0 ||
	    pods_find(a->pods, w.ns, w.name, w.uid, mono_in(FIND_MS), &f, &found, e) < 0)
		return -1;
	*answer = json_new_object();
	json_set_bool(*answer, "known", found);
	if (found) {
		json_set_str(*answer, "uid", f.uid);
		json_set_str(*answer, "defaultNetwork", f.default_network);
		json_set_str(*answer, "networks", f.networks);
	}
	pod_facts_release(&f);
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

int multus_networks(struct agent *a, const json *body, json **answer, struct err *e)
{
	static const char *const keys[] = { "networks", "ifKnown" };
	struct mono deadline = mono_in(FIND_MS);
	AUTO_JSON *doc = json_new_object();
	json *list = json_ensure_object(doc, "networks");

	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		const json *names;

		if (json_opt_strs(body, keys[k], &names, e) < 0)
			return -1;
		if (json_count(names) > NETWORKS_MAX)
			return err_set(e, ERR_PROTO, "%s: more than %d", keys[k], NETWORKS_MAX);
		json_each(name, names)
		{
			if (add_network(a, json_text(name), k == 0, deadline, list, e) < 0)
				return -1;
		}
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
