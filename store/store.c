/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - the kinds, and dispatch to the home that was opened.
 */
#include <strings.h>

#include "store/backend.h"

#define OURS "spiderpool.spidernet.io/v2beta1"
#define OURS_RESOURCE(plural, namespaced)                                                          \
	{                                                                                          \
		"spiderpool.spidernet.io", "v2beta1", plural, namespaced                           \
	}
#define CORE(plural, namespaced)                                                                   \
	{                                                                                          \
		"", "v1", plural, namespaced                                                       \
	}

static const struct store_kind_info kinds[STORE_N_KINDS] = {
	[STORE_IPPOOL] = { "SpiderIPPool",
	                   OURS,
	                   OURS_RESOURCE("spiderippools", false),
	                   true,
	                   { "sp", "ippools", "ippool" } },
	[STORE_ENDPOINT] = { "SpiderEndpoint",
	                     OURS,
	                     OURS_RESOURCE("spiderendpoints", true),
	                     false,
	                     { "se", "endpoints", "endpoint" } },
	[STORE_RESERVEDIP] = { "SpiderReservedIP",
	                       OURS,
	                       OURS_RESOURCE("spiderreservedips", false),
	                       false,
	                       { "sr", "reservedips", "reservedip" } },
	[STORE_COORDINATOR] = { "SpiderCoordinator",
	                        OURS,
	                        OURS_RESOURCE("spidercoordinators", false),
	                        true,
	                        { "scc", "coordinators", "coordinator" } },
	[STORE_MULTUSCONFIG] = { "SpiderMultusConfig",
	                         OURS,
	                         OURS_RESOURCE("spidermultusconfigs", true),
	                         false,
	                         { "smc", "multusconfigs", "multusconfig" } },
	[STORE_POD] = { "Pod", "v1", CORE("pods", true), true, { "po", NULL, NULL } },
	[STORE_NODE] = { "Node", "v1", CORE("nodes", false), true, { "no", NULL, NULL } },
	[STORE_NAMESPACE] = { "Namespace",
	                      "v1",
	                      CORE("namespaces", false),
	                      true,
	                      { "ns", NULL, NULL } },
	[STORE_NAD] = { "NetworkAttachmentDefinition",
	                "k8s.cni.cncf.io/v1",
	                { "k8s.cni.cncf.io", "v1", "network-attachment-definitions", true },
	                false,
	                { "net-attach-def", "nad", NULL } },
	[STORE_EVENT] = { "Event", "v1", CORE("events", true), false, { "ev", NULL, NULL } },
	[STORE_CONFIGMAP] = { "ConfigMap",
	                      "v1",
	                      CORE("configmaps", true),
	                      false,
	                      { "cm", NULL, NULL } },
	[STORE_STATEFULSET] = { "StatefulSet",
	                        "apps/v1",
	                        { "apps", "v1", "statefulsets", true },
	                        true,
	                        { "sts", NULL, NULL } },
	[STORE_VMI] = { "VirtualMachineInstance",
	                "kubevirt.io/v1",
	                { "kubevirt.io", "v1", "virtualmachineinstances", true },
	                false,
	                { "vmi", NULL, NULL } },
	[STORE_VM] = { "VirtualMachine",
	               "kubevirt.io/v1",
	               { "kubevirt.io", "v1", "virtualmachines", true },
	               true,
	               { "vm", NULL, NULL } },
};

const struct store_kind_info *store_kind_info(enum store_kind kind)
{
	return &kinds[kind];
}

int store_kind_by_name(const char *name)
{
	for (int k = 0; k < STORE_N_KINDS; k++) {
		if (strcasecmp(name, kinds[k].kind) == 0 ||
		    strcasecmp(name, kinds[k].resource.plural) == 0)
			return k;
		for (size_t i = 0; i < ARRAY_LEN(kinds[k].short_names) && kinds[k].short_names[i];
		     i++)
			if (strcasecmp(name, kinds[k].short_names[i]) == 0)
				return k;
	}
	return -1;
}

static int open_store(const char *spec, const char *context, bool make, struct store **out,
                      struct err *e)
{
	if (str_starts(spec, "dir:") && spec[4])
		return store_open_dir(spec + 4, make, out, e);
	if (streq(spec, "kube"))
		return store_open_kube(NULL, context, out, e);
	if (str_starts(spec, "kube:") && spec[5])
		return store_open_kube(spec + 5, context, out, e);
	return err_set(e, ERR_CONFIG, "store \"%s\" is none of dir:PATH, kube, kube:KUBECONFIG",
	               spec);
}

int store_open(const char *spec, const char *context, struct store **out, struct err *e)
{
	return open_store(spec, context, true, out, e);
}

int store_open_existing(const char *spec, const char *context, struct store **out, struct err *e)
{
	return open_store(spec, context, false, out, e);
}

void store_close(struct store *s)
{
	if (s)
		s->ops->close(s);
}

bool store_is_dir(const struct store *s)
{
	return !s->ops->get_raw;
}

int store_get(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
              struct mono deadline, struct err *e)
{
	return s->ops->get(s, k, ns, name, out, deadline, e);
}

int store_list(struct store *s, enum store_kind k, const char *ns, const struct k8s_selector *sel,
               json **items, char **version, struct mono deadline, struct err *e)
{
	return s->ops->list(s, k, ns, sel, items, version, deadline, e);
}

int store_create(struct store *s, enum store_kind k, const json *object, json **out,
                 struct mono deadline, struct err *e)
{
	return s->ops->create(s, k, object, out, deadline, e);
}

int store_patch(struct store *s, enum store_kind k, const char *ns, const char *name, bool status,
                const json *patch, json **out, struct mono deadline, struct err *e)
{
	return s->ops->patch(s, k, ns, name, status, patch, out, deadline, e);
}

int store_patch_meta(struct store *s, enum store_kind k, const char *ns, const char *name,
                     bool status, const json *patch, json **out, struct mono deadline,
                     struct err *e)
{
	return (s->ops->patch_meta ? s->ops->patch_meta : s->ops->patch)(s, k, ns, name, status,
	                                                                 patch, out, deadline, e);
}

int store_delete(struct store *s, enum store_kind k, const char *ns, const char *name,
                 const char *uid, const char *version, struct mono deadline, struct err *e)
{
	return s->ops->del(s, k, ns, name, uid, version, deadline, e);
}

int store_watch_open(struct store *s, enum store_kind k, const char *ns,
                     const struct k8s_selector *sel, const char *version, struct store_watch **out,
                     struct err *e)
{
	return s->ops->watch_open(s, k, ns, sel, version, out, e);
}

int store_watch_next(struct store_watch *w, enum k8s_event_type *type, json **object,
                     struct mono deadline, struct err *e)
{
	return w->ops->next(w, type, object, deadline, e);
}

void store_watch_interrupt(struct store_watch *w)
{
	w->ops->interrupt(w);
}

void store_watch_close(struct store_watch *w)
{
	if (w)
		w->ops->close(w);
}

int store_get_raw(struct store *s, const char *path, struct str *out, struct mono deadline,
                  struct err *e)
{
	if (!s->ops->get_raw)
		return err_set(e, ERR_CONFIG, "a directory store has no paths of an API server");
	return s->ops->get_raw(s, path, out, deadline, e);
}
