/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods.c - this node's pods, in memory, behind a lock that never covers I/O.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/live.h"
#include "agent/pods.h"
#include "k8s/labels.h"

/* Most annotations are on few pods: strings that are empty are not kept, but for the uid. */
struct entry {
	char *ns, *name;
	struct pod_facts facts;
};

struct pods {
	struct store *store;
	char *node;
	struct pods_ops ops;
	struct informer *informer;
	struct pause pause;
	pthread_mutex_t lock;
	struct entry *v; /* under the lock */
	size_t n, cap;
	bool synced;
};

#define STRINGS 13

/* Where its strings are. */
static void strings_of(struct pod_facts *f, char **v[STRINGS])
{
	char **all[STRINGS] = { &f->uid,       &f->node,       &f->default_network, &f->networks,
		                &f->route_nic, &f->owner_type, &f->owner_name,      &f->dead,
		                &f->ippools,   &f->ippool,     &f->routes,          &f->vmi,
		                &f->static_uid };

	memcpy(v, all, sizeof(all));
}

void pod_facts_release(struct pod_facts *f)
{
	char **v[STRINGS];

	strings_of(f, v);
	for (size_t i = 0; i < STRINGS; i++)
		free(*v[i]);
	labels_release(&f->labels);
	memset(f, 0, sizeof(*f));
}

static char *text(const char *s)
{
	return xstrdup(s ? s : "");
}

static void copy_facts(struct pod_facts *to, const struct pod_facts *from)
{
	char **v[STRINGS];

	*to = *from;
	strings_of(to, v);
	for (size_t i = 0; i < STRINGS; i++)
		*v[i] = text(*v[i]);
	labels_copy(&to->labels, &from->labels);
}

void pod_facts_init(struct pod_facts *f, const char *uid)
{
	copy_facts(f, &(struct pod_facts){ .node = NULL });
	free(f->uid);
	f->uid = text(uid);
}

bool pod_facts_are_of(const struct pod_facts *f, const char *uid)
{
	return !*uid || streq(uid, f->uid) || streq(uid, f->static_uid);
}

static void drop_empty(struct pod_facts *f)
{
	char **v[STRINGS];

	strings_of(f, v);
	for (size_t i = 0; i < STRINGS; i++) {
		if (v[i] == &f->uid || **v[i])
			continue;
		free(*v[i]);
		*v[i] = NULL;
	}
}

/* Pods that will not run any more get nothing. */
static const char *why_dead(const json *pod)
{
	const char *phase = json_str_at(pod, "status", "phase", NULL);
	const char *reason = json_str_at(pod, "status", "reason", NULL);
	const char *policy = json_str_at(pod, "spec", "restartPolicy", NULL);

	if (json_str_at(pod, "metadata", "deletionTimestamp", NULL))
		return "it is being deleted";
	if (phase && streq(phase, "Succeeded") && (!policy || !streq(policy, "Always")))
		return "it has succeeded";
	if (phase && streq(phase, "Failed") && policy && streq(policy, "Never"))
		return "it has failed";
	if (phase && streq(phase, "Failed") && reason && streq(reason, "Evicted"))
		return "it was evicted";
	return "";
}

/* The owner that is the pod's controller, or NULL. */
static const json *controller_of(const json *pod)
{
	json_each(o, json_at(pod, "metadata", "ownerReferences", NULL))
	{
		bool controller = false;

		if (json_str_at(o, "kind", NULL) && json_str_at(o, "name", NULL) &&
		    json_opt_bool(o, "controller", &controller, NULL) == 0 && controller)
			return o;
	}
	return NULL;
}

/* A ReplicaSet of a Deployment is named after it and its pods' template hash: no need to read it.
 */
static void read_owner(const json *pod, struct pod_facts *f)
{
	const char *hash = json_str_at(pod, "metadata", "labels", "pod-template-hash", NULL);
	const json *o = controller_of(pod);
	const char *group = json_str_at(o, "apiVersion", NULL);
	const char *kind = o ? json_str_at(o, "kind", NULL) : "Pod";
	const char *name = json_str_at(o ? o : json_get(pod, "metadata"), "name", NULL);
	size_t n = name ? strlen(name) : 0, h = hash ? strlen(hash) : 0;
	bool apps = group && str_starts(group, "apps/");
	bool kubevirt = group && str_starts(group, "kubevirt.io/");

	f->statefulset = apps && streq(kind, "StatefulSet");
	f->vmi = text(kubevirt && streq(kind, "VirtualMachineInstance") ? name : "");
	if (streq(kind, "ReplicaSet") && h && n > h + 1 && str_ends(name, hash) &&
	    name[n - h - 1] == '-') {
		f->owner_type = text("Deployment");
		f->owner_name = xstrndup(name, n - h - 1);
	} else {
		f->owner_type = text(kind);
		f->owner_name = text(name);
	}
}

bool pod_has_ended(const json *pod)
{
	const char *phase = json_str_at(pod, "status", "phase", NULL);

	return phase && (streq(phase, "Succeeded") || streq(phase, "Failed"));
}

static char *annotation(const json *pod, const char *key)
{
	return text(json_str_at(pod, "metadata", "annotations", key, NULL));
}

static void read_facts(const json *pod, struct pod_facts *f)
{
	memset(f, 0, sizeof(*f));
	f->uid = text(json_str_at(pod, "metadata", "uid", NULL));
	f->node = text(json_str_at(pod, "spec", "nodeName", NULL));
	f->default_network = annotation(pod, "v1.multus-cni.io/default-network");
	f->networks = annotation(pod, "k8s.v1.cni.cncf.io/networks");
	f->route_nic = annotation(pod, "ipam.spidernet.io/default-route-nic");
	f->ippools = annotation(pod, "ipam.spidernet.io/ippools");
	f->ippool = annotation(pod, "ipam.spidernet.io/ippool");
	f->routes = annotation(pod, "ipam.spidernet.io/routes");
	f->static_uid = annotation(pod, "kubernetes.io/config.hash");
	f->dead = text(why_dead(pod));
	f->ended = pod_has_ended(pod);
	read_owner(pod, f);
	labels_read(json_at(pod, "metadata", "labels", NULL), &f->labels);
}

/* Under the lock. */
static struct entry *find(struct pods *p, const char *ns, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (streq(p->v[i].name, name) && streq(p->v[i].ns, ns))
			return &p->v[i];
	return NULL;
}

static void entry_release(struct entry *en)
{
	free(en->ns);
	free(en->name);
	pod_facts_release(&en->facts);
}

static void put(struct pods *p, const json *pod)
{
	const char *ns = json_str_at(pod, "metadata", "namespace", NULL);
	const char *name = json_str_at(pod, "metadata", "name", NULL);
	struct pod_facts facts;
	struct entry *en;

	if (!ns || !name)
		return;
	read_facts(pod, &facts);
	drop_empty(&facts);
	pthread_mutex_lock(&p->lock);
	en = find(p, ns, name);
	if (en) {
		pod_facts_release(&en->facts);
	} else {
		p->v = xgrow(p->v, &p->cap, p->n + 1, sizeof(*p->v));
		en = &p->v[p->n++];
		en->ns = text(ns);
		en->name = text(name);
	}
	en->facts = facts;
	pthread_mutex_unlock(&p->lock);
}

static void drop(struct pods *p, const char *ns, const char *name)
{
	AUTO_FREE char *uid = NULL;
	struct entry *en;

	pthread_mutex_lock(&p->lock);
	en = find(p, ns, name);
	if (en) {
		uid = xstrdup(en->facts.uid);
		entry_release(en);
		*en = p->v[--p->n];
	}
	pthread_mutex_unlock(&p->lock);
	if (uid && *uid)
		p->ops.gone(p->ops.ctx, ns, name, uid);
}

static bool is_listed(const json *items, const struct entry *en)
{
	json_each(o, items)
	{
		const char *ns = json_str_at(o, "metadata", "namespace", NULL);
		const char *name = json_str_at(o, "metadata", "name", NULL);

		if (ns && name && streq(ns, en->ns) && streq(name, en->name))
			return true;
	}
	return false;
}

static void on_listed(void *ctx, const json *items)
{
	struct pods *p = ctx;

	/* this thread alone changes the array: it may look without the lock */
	for (size_t i = 0; i < p->n;) {
		if (is_listed(items, &p->v[i])) {
			i++;
		} else {
			AUTO_FREE char *ns = xstrdup(p->v[i].ns);
			AUTO_FREE char *name = xstrdup(p->v[i].name);

			drop(p, ns, name);
		}
	}
	json_each(o, items)
	{
		put(p, o);
	}
	pthread_mutex_lock(&p->lock);
	p->synced = true;
	pthread_mutex_unlock(&p->lock);
}

static void on_event(void *ctx, enum k8s_event_type type, const json *object)
{
	const char *ns = json_str_at(object, "metadata", "namespace", NULL);
	const char *name = json_str_at(object, "metadata", "name", NULL);

	if (type != K8S_DELETED)
		put(ctx, object);
	else if (ns && name)
		drop(ctx, ns, name);
}

static const struct informer_ops informer_ops = { on_listed, on_event, NULL };

int pods_start(struct store *s, const char *node, const struct pods_ops *ops, struct pods **out,
               struct err *e)
{
	struct pods *p = xcalloc(1, sizeof(*p));
	AUTO_FREE char *fields = xasprintf("spec.nodeName=%s", node);

	p->store = s;
	p->node = xstrdup(node);
	p->ops = *ops;
	pause_init(&p->pause);
	pthread_mutex_init(&p->lock, NULL);
	if (informer_start(s, STORE_POD, NULL, fields, &informer_ops, p, &p->informer, e) < 0) {
		pods_stop(p);
		return -1;
	}
	*out = p;
	return 0;
}

void pods_end(struct pods *p)
{
	if (p)
		pause_end(&p->pause);
}

void pods_stop(struct pods *p)
{
	if (!p)
		return;
	pause_end(&p->pause);
	informer_stop(p->informer);
	for (size_t i = 0; i < p->n; i++)
		entry_release(&p->v[i]);
	free(p->v);
	free(p->node);
	pthread_mutex_destroy(&p->lock);
	pause_release(&p->pause);
	free(p);
}

bool pods_synced(struct pods *p)
{
	bool s;

	pthread_mutex_lock(&p->lock);
	s = p->synced;
	pthread_mutex_unlock(&p->lock);
	return s;
}

bool pods_known(struct pods *p, const char *ns, const char *name, struct pod_facts *out)
{
	struct entry *en;

	pthread_mutex_lock(&p->lock);
	en = find(p, ns, name);
	if (en)
		copy_facts(out, &en->facts);
	pthread_mutex_unlock(&p->lock);
	return en != NULL;
}

void pods_each(struct pods *p,
               void (*fn)(void *ctx, const char *ns, const char *name, const char *uid), void *ctx)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n; i++)
		fn(ctx, p->v[i].ns, p->v[i].name, p->v[i].facts.uid);
	pthread_mutex_unlock(&p->lock);
}

static int live(struct pods *p, const char *ns, const char *name, const char *uid,
                struct mono deadline, struct pod_facts *out, bool *found, struct err *e)
{
	AUTO_JSON *pod = NULL;
	struct err why;

	if (live_get(p->store, &p->pause, STORE_POD, ns, name, &pod, deadline, &why) < 0) {
		if (store_is_dir(p->store) &&
		    (why.kind == ERR_NOT_FOUND || why.kind == ERR_CONFIG)) {
			pod_facts_init(out, uid);
			*found = false;
			return 0;
		}
		err_copy(e, &why);
		if (why.kind == ERR_NOT_FOUND)
			return err_set(e, ERR_NOT_FOUND, "pod %s/%s does not exist", ns, name);
		return err_wrap(e, "read pod %s/%s", ns, name);
	}
	read_facts(pod, out);
	*found = true;
	return 0;
}

/* Takes what was found, unless it is another pod of that name. */
static int check_uid(const char *ns, const char *name, const char *uid, bool there,
                     struct pod_facts *f, struct pod_facts *out, bool *found, struct err *e)
{
	if (there && !pod_facts_are_of(f, uid)) {
		err_fill(e, ERR_NOT_FOUND, "pod %s/%s has the uid %s, not %s: it was replaced", ns,
		         name, f->uid, uid);
		pod_facts_release(f);
		return -1;
	}
	*out = *f;
	*found = there;
	return 0;
}

int pods_read(struct pods *p, const char *ns, const char *name, const char *uid,
              struct mono deadline, struct pod_facts *out, bool *found, struct err *e)
{
	struct pod_facts f;
	bool there = true;

	if (live(p, ns, name, uid, deadline, &f, &there, e) < 0)
		return -1;
	return check_uid(ns, name, uid, there, &f, out, found, e);
}

int pods_find(struct pods *p, const char *ns, const char *name, const char *uid,
              struct mono deadline, struct pod_facts *out, bool *found, struct err *e)
{
	struct pod_facts f;

	if (!pods_known(p, ns, name, &f))
		return pods_read(p, ns, name, uid, deadline, out, found, e);
	if (!pod_facts_are_of(&f, uid)) {
		pod_facts_release(&f); /* of an earlier pod of that name, perhaps */
		return pods_read(p, ns, name, uid, deadline, out, found, e);
	}
	*out = f;
	*found = true;
	return 0;
}
