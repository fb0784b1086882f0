/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wants.c - a pod's namespace is read only when its annotations count, which is when the pod has
 * none of its own, or when a pool selects by its labels; the node only for the latter reason.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/wants.h"
#include "base/log.h"

#define NETWORK_MAX (253 + 1 + 253) /* bytes of NAMESPACE/NAME */

static int check_pod(const struct agent *a, const struct pod_facts *f, const char *pod,
                     struct err *e)
{
	if (*f->dead)
		return err_set(e, ERR_NOT_FOUND, "pod %s gets no address: %s", pod, f->dead);
	if (*f->node && !streq(f->node, a->config.node))
		return err_set(e, ERR_NOT_FOUND,
		               "pod %s is bound to node %s, and this is the agent of node %s "
		               "(--node)",
		               pod, f->node, a->config.node);
	return 0;
}

static int find_pod(struct agent *a, const struct identity *id, const struct ledger_request *r,
                    struct pod_facts *f, struct err *e)
{
	bool found;

	if (*id->name) {
		if (pods_find(a->pods, id->ns, id->name, id->uid, r->deadline, f, &found, e) < 0)
			return -1;
	} else if (!store_is_dir(a->store)) {
		return err_set(e, ERR_NOT_FOUND,
		               "podName: empty, and the API server knows pods by name");
	} else {
		pod_facts_init(f, id->uid);
	}
	if (check_pod(a, f, r->pod, e) == 0)
		return 0;
	pod_facts_release(f);
	return -1;
}

/* To whose name the addresses belong, when they outlive the pod. */
static void find_keeper(const struct agent *a, const struct identity *id, const struct pod_facts *f,
                        struct ledger_request *r)
{
	if (f->statefulset && a->config.settings->statefulset) {
		r->keep = POOL_KEEP_STATEFULSET;
	} else if (*f->vmi && a->config.settings->kubevirt) {
		r->keep = POOL_KEEP_VMI;
		free(r->pod);
		r->pod = xasprintf("%s/%s", id->ns, f->vmi);
	}
}

static int choose_pools(const struct identity *id, const json *body, const struct pod_facts *f,
                        const struct namespace_facts *ns, struct ledger_request *r, struct err *e)
{
	struct choice_input in = {
		.nic = id->nic,
		.ippools = f->ippools,
		.ippool = f->ippool,
		.default_ipv4 = ns->default_ipv4 ? ns->default_ipv4 : "",
		.default_ipv6 = ns->default_ipv6 ? ns->default_ipv6 : "",
		.networks = f->networks,
	};

	if (json_opt_strs(body, "defaultIPv4IPPool", &in.conf_ipv4, e) < 0 ||
	    json_opt_strs(body, "defaultIPv6IPPool", &in.conf_ipv6, e) < 0 ||
	    json_opt_bool(body, "cleanGateway", &in.conf_clean_gateway, e) < 0 ||
	    choose(&in, &r->choice, e) < 0)
		return -1;
	if (r->choice.unknown)
		log_warn("ADD pod=%s nic=%s: %s: unknown keys are ignored: %s", r->pod, id->nic,
		         r->choice.source, r->choice.unknown);
	return routes_read(f->routes, &r->routes, &r->n_routes, e);
}

static int fill_from(struct agent *a, const struct identity *id, const json *body,
                     const struct pod_facts *f, struct namespace_facts *ns,
                     struct ledger_request *r, struct err *e)
{
	unsigned int needs = ledger_needs(a->ledger);

	if ((!*f->ippools && !*f->ippool) || (needs & POOL_NEEDS_NAMESPACE_LABELS)) {
		if (place_namespace(a->place, id->ns, r->deadline, ns, e) < 0)
			return -1;
		r->knows_namespace = true;
		labels_copy(&r->namespace_labels, &ns->labels);
	}
	if (needs & POOL_NEEDS_NODE_LABELS) {
		if (place_node_labels(a->place, r->deadline, &r->node_labels, e) < 0)
			return -1;
		r->knows_node = true;
	}
	labels_copy(&r->pod_labels, &f->labels);
	return choose_pools(id, body, f, ns, r, e);
}

/* "" when the body does not say. */
static int told_network(const json *body, const char **out, struct err *e)
{
	const char *name, *full = "";

	if (json_opt_str(body, "network", &full, e) < 0)
		return -1;
	name = strchr(full, '/');
	if (*full && (!name || name == full || !name[1] || strchr(name + 1, '/') ||
	              strlen(full) > NETWORK_MAX || strpbrk(full, " \t\r\n\"\\")))
		return err_set(e, ERR_PROTO, "network: \"%.*s\" is not NAMESPACE/NAME", NETWORK_MAX,
		               full);
	*out = full;
	return 0;
}

static int find_network(const struct agent *a, const struct identity *id, const json *body,
                        const struct pod_facts *f, struct ledger_request *r, struct err *e)
{
	const char *told;

	if (told_network(body, &told, e) < 0)
		return -1;
	if (*told)
		r->network = xstrdup(told);
	else
		r->network = pod_network(f, id->nic, a->config.default_network, id->ns,
		                         a->config.agent_namespace, &r->network_error);
	return 0;
}

int wants_fill(struct agent *a, const struct identity *id, const json *body,
               struct ledger_request *r, struct err *e)
{
	struct namespace_facts ns = { NULL, NULL, { 0 } };
	struct pod_facts f;
	int rc;

	if (find_pod(a, id, r, &f, e) < 0)
		return -1;
	free(r->uid);
	/* nobody to be found again by but the container */
	r->uid = xstrdup(*f.uid ? f.uid : id->cid);
	r->ns = xstrdup(id->ns);
	r->enabled[V4] = a->config.settings->ipv4;
	r->enabled[V6] = a->config.settings->ipv6;
	r->more_nics = network_place(f.networks, id->nic) < network_count(f.networks);
	find_keeper(a, id, &f, r);
	rc = find_network(a, id, body, &f, r, e);
	if (rc == 0)
		rc = fill_from(a, id, body, &f, &ns, r, e);
	namespace_facts_release(&ns);
	pod_facts_release(&f);
	return rc;
}
