/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - where objects live: the API server (kube.c) or a local directory (dir.c), with the same
 * semantics:
 * metadata.{uid,resourceVersion,generation,creationTimestamp,deletionTimestamp,finalizers},
 * optimistic concurrency by resourceVersion, status written apart from spec, finalizers, watches.
 *
 * All functions may be called by several threads at once.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/mono.h"
#include "k8s/client.h"
#include "json/json.h"

/* The kinds we know.  dir stores any of them, kube maps them to paths. */
enum store_kind {
	STORE_IPPOOL,
	STORE_ENDPOINT,
	STORE_RESERVEDIP,
	STORE_COORDINATOR,
	STORE_MULTUSCONFIG,
	STORE_POD,
	STORE_NODE,
	STORE_NAMESPACE,
	STORE_NAD, /* k8s.cni.cncf.io/v1 NetworkAttachmentDefinition */
	STORE_EVENT,
	STORE_CONFIGMAP,
	STORE_STATEFULSET,
	STORE_VMI, /* kubevirt.io/v1 VirtualMachineInstance */
	STORE_VM,
	STORE_N_KINDS
};

struct store_kind_info {
	const char *kind;        /* "SpiderIPPool" */
	const char *api_version; /* "spiderpool.spidernet.io/v2beta1" */
	struct k8s_resource resource;
	bool has_status; /* a status subresource: the status is written apart from the rest */
	const char *short_names[3]; /* "sp" ..., NULL-terminated, for ctl */
};
const struct store_kind_info *store_kind_info(enum store_kind kind);
/* By kind, plural, singular or short name, any case; -1 when unknown. */
int store_kind_by_name(const char *name);

struct store;
struct store_watch;

/*
 * "dir:PATH" (made when missing) or "kube" / "kube:KUBECONFIG".  context: of the kubeconfig, or
 * NULL.
 */
int store_open(const char *spec, const char *context, struct store **out, struct err *e) MUST_USE;
/*
 * For those who look: a directory that is not there is ERR_NOT_FOUND, and reading it takes no right
 * to write.  Whoever may not open its lock lists without it, object by object, and cannot watch.
 */
int store_open_existing(const char *spec, const char *context, struct store **out,
                        struct err *e) MUST_USE;
void store_close(struct store *s); /* NULL is fine; no call and no watch is under way */
bool store_is_dir(const struct store *s);

/*
 * ns is NULL for cluster-scoped kinds.  Errors: NOT_FOUND, CONFLICT, EXISTS, FORBIDDEN,
 * IDENTITY, GONE, THROTTLED, UNREACHABLE, TIMEOUT as in k8s/client.h.
 */
int store_get(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
              struct mono deadline, struct err *e) MUST_USE;
int store_list(struct store *s, enum store_kind k, const char *ns, const struct k8s_selector *sel,
               json **items, char **version, struct mono deadline, struct err *e) MUST_USE;
/*
 * apiVersion and kind are filled in; *out (may be NULL) is the object as stored.  A status given
 * here is kept for kinds without a status subresource; for the others an API server drops it, and
 * it takes a store_patch().
 */
int store_create(struct store *s, enum store_kind k, const json *object, json **out,
                 struct mono deadline, struct err *e) MUST_USE;

/*
 * Merge patch of everything but status, or (status true) of status alone: what else the patch
 * holds is ignored then.  Where the kind has no status subresource (SpiderEndpoint), the status is
 * a member like any other: status false patches it along with the rest, status true still patches
 * it alone.  A pod's metadata.annotations may be patched along with its status, as who may write
 * nothing but that does it; with metadata.uid only if the pod has it: ERR_CONFLICT or ERR_CONFIG.
 * metadata.resourceVersion in the patch makes it conditional: ERR_CONFLICT. metadata.finalizers may
 * be patched with the former; an object that is being deleted goes with its last finalizer.
 */
int store_patch(struct store *s, enum store_kind k, const char *ns, const char *name, bool status,
                const json *patch, json **out, struct mono deadline, struct err *e) MUST_USE;
/* The same for who needs the object's new metadata alone: *out may have no more than that. */
int store_patch_meta(struct store *s, enum store_kind k, const char *ns, const char *name,
                     bool status, const json *patch, json **out, struct mono deadline,
                     struct err *e) MUST_USE;
/* With finalizers left the object stays and gets a deletionTimestamp.  uid, version: preconditions.
 */
int store_delete(struct store *s, enum store_kind k, const char *ns, const char *name,
                 const char *uid, const char *version, struct mono deadline,
                 struct err *e) MUST_USE;

int store_watch_open(struct store *s, enum store_kind k, const char *ns,
                     const struct k8s_selector *sel, const char *version, struct store_watch **out,
                     struct err *e) MUST_USE;
/* As k8s_watch_next. */
int store_watch_next(struct store_watch *w, enum k8s_event_type *type, json **object,
                     struct mono deadline, struct err *e) MUST_USE;
void store_watch_interrupt(struct store_watch *w);
void store_watch_close(struct store_watch *w);

/* kube only: a path on the API server; ERR_CONFIG for dir. */
int store_get_raw(struct store *s, const char *path, struct str *out, struct mono deadline,
                  struct err *e) MUST_USE;

#endif
