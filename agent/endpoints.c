/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoints.c - makes a pod's endpoint say what the pools say.
 *
 * The last word about a pod replaces an earlier one that was not written yet; about that pod alone:
 * the DEL of an earlier one of the same name says nothing about this one.  A pod that holds nothing
 * has no endpoint; one of an earlier pod of the same name makes room.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/choice.h"
#include "agent/endpoints.h"
#include "agent/pause.h"
#include "agent/releases.h"
#include "agent/thread.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "k8s/endpoint.h"
#include "k8s/ippool.h"

#define CALL_MS 10000
#define PAUSE_MAX_MS 30000
#define SETTLE_MS 20 /* a pod's NICs together */
#define QUIET_MS 100 /* a burst of ADDs goes first, to their ends: it is over after so long */
#define HOLD_MS 2000 /* then any moment will do without a request, and after as long again any */
#define MADE_MAX 256 /* that are remembered: more pods than nodes have */

/* An endpoint as we wrote it, with no finalizer but ours: it need not be read to be removed. */
struct made {
	char *pod, *pod_uid; /* "namespace/name" */
	char *uid, *version; /* of the object */
};

/* A pod whose endpoint is not as it should be yet. */
struct todo {
	struct todo *next;
	struct pod_grants *want;
	struct mono due, hold; /* not before; not because of a burst after */
	int failures;
};

struct endpoints {
	struct store *store;
	const char *node;
	struct pods *_Atomic pods;
	struct queue queue;
	pthread_t thread;
	struct todo *todos; /* the thread's own, oldest first */
	struct made made[MADE_MAX];
	size_t n_made; /* ever: the next one takes the oldest one's place */
	atomic_size_t waiting;
	atomic_int requests; /* under way */
	atomic_llong quiet;  /* the burst of requests is over then (ms) */
};

static int compare_grants(const void *a, const void *b)
{
	return strcmp(((const struct grant *)a)->nic, ((const struct grant *)b)->nic);
}

static void add_routes(struct endpoint_ip *to, const struct pool_route *routes, size_t n)
{
	if (!n)
		return;
	to->routes = xrealloc(to->routes, (to->n_routes + n) * sizeof(*to->routes));
	memcpy(to->routes + to->n_routes, routes, n * sizeof(*to->routes));
	to->n_routes += n;
}

/* A NIC's addresses of both families are one entry. */
static void fill_ip(struct endpoint_ip *to, const struct grant *g)
{
	if (!to->interface)
		to->interface = xstrdup(g->nic);
	if (g->address.ip.family == 4 && !to->ipv4_pool) {
		to->ipv4 = g->address;
		to->ipv4_pool = xstrdup(g->pool);
		to->ipv4_gateway = g->gateway;
	} else if (g->address.ip.family == 6 && !to->ipv6_pool) {
		to->ipv6 = g->address;
		to->ipv6_pool = xstrdup(g->pool);
		to->ipv6_gateway = g->gateway;
	}
	to->clean_gateway |= g->clean_gateway;
	add_routes(to, g->routes, g->n_routes);
}

static bool is_near(struct cidr subnet, struct ip gw)
{
	return subnet.ip.family && cidr_contains(subnet, gw);
}

/* The pod's own routes, each to the first NIC in whose subnet its gateway is. */
static void add_own_routes(struct endpoint *ep, const char *annotation)
{
	struct pool_route *routes = NULL;
	size_t n = 0;

	if (routes_read(annotation, &routes, &n, NULL) < 0)
		return;
	for (size_t k = 0; k < n; k++) {
		size_t i = 0;

		while (i < ep->n_ips && !is_near(ep->ips[i].ipv4, routes[k].gw) &&
		       !is_near(ep->ips[i].ipv6, routes[k].gw))
			i++;
		if (i < ep->n_ips)
			add_routes(&ep->ips[i], &routes[k], 1);
	}
	free(routes);
}

static void make(struct endpoints *ep, const char *ns, const char *name, struct pod_grants *g,
                 struct endpoint *out)
{
	struct pods *pods = ep->pods;
	struct pod_facts facts;
	bool found = false;
	/* who cannot be asked about, or is gone, stands for itself */
	bool known = pods &&
	             pods_find(pods, ns, name, g->uid, mono_in(CALL_MS), &facts, &found, NULL) == 0;

	qsort(g->v, g->n, sizeof(*g->v), compare_grants);
	memset(out, 0, sizeof(*out));
	out->namespace = xstrdup(ns);
	out->name = xstrdup(name);
	out->pod_uid = xstrdup(g->uid);
	out->node = xstrdup(ep->node);
	out->owner_type = xstrdup(found ? facts.owner_type : "Pod");
	out->owner_name = xstrdup(found ? facts.owner_name : name);
	out->ips = xcalloc(g->n, sizeof(*out->ips));
	for (size_t i = 0; i < g->n; i++) {
		/* sorted: a NIC's addresses lie together */
		if (!out->n_ips || !streq(out->ips[out->n_ips - 1].interface, g->v[i].nic))
			out->n_ips++;
		fill_ip(&out->ips[out->n_ips - 1], &g->v[i]);
	}
	if (known) {
		add_own_routes(out, facts.routes);
		pod_facts_release(&facts);
	}
}

/* What the ledger does not know any more (after a restart) stands in the object. */
static void keep_clean(struct endpoint *want, const struct pod_grants *g,
                       const struct endpoint *have)
{
	for (size_t i = 0; i < want->n_ips; i++) {
		bool known = false;

		for (size_t k = 0; k < g->n; k++)
			known |= g->v[k].clean_known && streq(g->v[k].nic, want->ips[i].interface);
		for (size_t k = 0; k < have->n_ips && !known; k++)
			if (have->ips[k].interface &&
			    streq(have->ips[k].interface, want->ips[i].interface))
				want->ips[i].clean_gateway = have->ips[k].clean_gateway;
	}
}

static bool same_address(const char *a, struct cidr a_ip, struct ip a_gw, const char *b,
                         struct cidr b_ip, struct ip b_gw)
{
	if (!a || !b)
		return a == b;
	return streq(a, b) && ip_equal(a_ip.ip, b_ip.ip) && a_ip.len == b_ip.len &&
	       ip_equal(a_gw, b_gw);
}

static bool same_ip(const struct endpoint_ip *a, const struct endpoint_ip *b)
{
	return a->interface && b->interface && streq(a->interface, b->interface) &&
	       same_address(a->ipv4_pool, a->ipv4, a->ipv4_gateway, b->ipv4_pool, b->ipv4,
	                    b->ipv4_gateway) &&
	       same_address(a->ipv6_pool, a->ipv6, a->ipv6_gateway, b->ipv6_pool, b->ipv6,
	                    b->ipv6_gateway) &&
	       a->clean_gateway == b->clean_gateway && a->n_routes == b->n_routes;
}

static bool same(const struct endpoint *a, const struct endpoint *b)
{
	if (a->n_ips != b->n_ips || !a->node || !b->node || !streq(a->node, b->node))
		return false;
	for (size_t i = 0; i < a->n_ips; i++)
		if (!same_ip(&a->ips[i], &b->ips[i]))
			return false;
	return true;
}

static void made_release(struct made *m)
{
	free(m->pod);
	free(m->pod_uid);
	free(m->uid);
	free(m->version);
	memset(m, 0, sizeof(*m));
}

static json *other_finalizers(const json *object)
{
	json *rest = json_new_array();

	json_each(f, json_at(object, "metadata", "finalizers", NULL))
	{
		if (json_is_string(f) && !streq(json_text(f), SPIDERPOOL_FINALIZER))
			json_append(rest, json_copy(f));
	}
	return rest;
}

/* NULL: it is not remembered. */
static struct made *find_made(struct endpoints *ep, const char *ns, const char *name,
                              const char *pod_uid)
{
	AUTO_FREE char *pod = xasprintf("%s/%s", ns, name);

	for (struct made *m = ep->made; m < ep->made + MADE_MAX; m++)
		if (m->pod && streq(m->pod, pod) && streq(m->pod_uid, pod_uid))
			return m;
	return NULL;
}

static void remember(struct endpoints *ep, const struct endpoint *e, const json *object)
{
	const char *version = json_str_at(object, "metadata", "resourceVersion", NULL);
	const char *uid = json_str_at(object, "metadata", "uid", NULL);
	AUTO_JSON *rest = other_finalizers(object);
	struct made *m = find_made(ep, e->namespace, e->name, e->pod_uid);

	if (!m)
		m = &ep->made[ep->n_made++ % MADE_MAX];
	made_release(m);
	if (!version || !uid || json_first(rest))
		return;
	*m = (struct made){ xasprintf("%s/%s", e->namespace, e->name), xstrdup(e->pod_uid),
		            xstrdup(uid), xstrdup(version) };
}

/* Our finalizer first: whatever happens then, nothing hangs.  rest is taken. */
static int drop(struct endpoints *ep, const char *ns, const char *name, const char *uid,
                const char *version, json *rest, struct err *e)
{
	AUTO_JSON *patch = json_new_object();
	json *meta = json_ensure_object(patch, "metadata");
	struct err why;

	json_set(meta, "finalizers", rest);
	json_set_str(meta, "resourceVersion", version);
	if (store_patch(ep->store, STORE_ENDPOINT, ns, name, false, patch, NULL, mono_in(CALL_MS),
	                &why) < 0)
		return why.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &why);
	failpoint("endpoint-half-dropped");
	if (store_delete(ep->store, STORE_ENDPOINT, ns, name, uid, NULL, mono_in(CALL_MS), &why) <
	    0)
		return why.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &why);
	return 0;
}

static int drop_object(struct endpoints *ep, const char *ns, const char *name, const json *object,
                       struct err *e)
{
	return drop(ep, ns, name, json_str_at(object, "metadata", "uid", NULL),
	            json_str_at(object, "metadata", "resourceVersion", NULL),
	            other_finalizers(object), e);
}

static int get(struct endpoints *ep, const char *ns, const char *name, json **out, struct err *e)
{
	struct err why;

	if (store_get(ep->store, STORE_ENDPOINT, ns, name, out, mono_in(CALL_MS), &why) == 0)
		return 0;
	return why.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &why);
}

static int create(struct endpoints *ep, const struct endpoint *want, struct err *e)
{
	AUTO_JSON *object = endpoint_object(want);
	AUTO_JSON *made = NULL;
	json *meta = json_ensure_object(object, "metadata");

	if (strlen(ep->node) <= LABEL_VALUE_MAX)
		json_set_str(json_ensure_object(meta, "labels"), ENDPOINT_NODE_LABEL, ep->node);
	failpoint("endpoint-uncreated");
	if (store_create(ep->store, STORE_ENDPOINT, object, &made, mono_in(CALL_MS), e) < 0)
		return -1;
	remember(ep, want, made);
	return 0;
}

/* As we made it, unless somebody changed it since: then it is to be read.  False: so it is. */
static bool remove_made(struct endpoints *ep, const char *ns, const char *name, const char *pod_uid)
{
	struct made *m = find_made(ep, ns, name, pod_uid);
	bool removed;

	if (!m)
		return false;
	removed = drop(ep, ns, name, m->uid, m->version, json_new_array(), NULL) == 0;
	made_release(m);
	return removed;
}

/* uid "": of whichever pod. */
static int remove_endpoint(struct endpoints *ep, const char *ns, const char *name, const char *uid,
                           struct err *e)
{
	AUTO_JSON *have = NULL;
	const char *of;

	if (*uid && remove_made(ep, ns, name, uid))
		return 0;
	if (get(ep, ns, name, &have, e) < 0)
		return -1;
	of = json_str_at(have, "status", "current", "uid", NULL);
	if (!have || (*uid && of && !streq(uid, of)))
		return 0;
	return drop_object(ep, ns, name, have, e);
}

/*
 * Does that pod still stand behind its name?  What an agent has to say about a pod that is gone
 * must not replace the endpoint of one that came after it, perhaps on another node.
 */
static int is_current(struct endpoints *ep, const struct endpoint *want, bool *current,
                      struct err *e)
{
	struct pod_facts facts;
	struct err why;
	bool found;

	*current = true;
	if (!ep->pods)
		return 0;
	if (pods_read(ep->pods, want->namespace, want->name, want->pod_uid, mono_in(CALL_MS),
	              &facts, &found, &why) == 0) {
		pod_facts_release(&facts);
		return 0;
	}
	*current = false;
	return why.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &why);
}

static int replace(struct endpoints *ep, const struct endpoint *want, const json *have,
                   struct err *e)
{
	bool current;

	if (is_current(ep, want, &current, e) < 0)
		return -1;
	if (!current)
		return 0;
	if (drop_object(ep, want->namespace, want->name, have, e) < 0)
		return -1;
	failpoint("endpoint-dropped");
	return create(ep, want, e);
}

static int update(struct endpoints *ep, struct endpoint *want, const struct pod_grants *g,
                  struct err *e)
{
	struct endpoint read = { 0 };
	AUTO_JSON *have = NULL;
	AUTO_JSON *patch = NULL;
	AUTO_JSON *made = NULL;
	bool usable, equal;

	if (get(ep, want->namespace, want->name, &have, e) < 0)
		return -1;
	if (!have)
		return create(ep, want, e);
	usable = endpoint_read(have, &read, NULL) == 0;
	if (!usable || !read.pod_uid || !streq(read.pod_uid, want->pod_uid) ||
	    json_at(have, "metadata", "deletionTimestamp", NULL)) {
		if (usable)
			endpoint_release(&read);
		return replace(ep, want, have, e);
	}
	keep_clean(want, g, &read);
	equal = same(want, &read);
	endpoint_release(&read);
	if (equal)
		return 0;
	patch = endpoint_patch(want);
	if (store_patch(ep->store, STORE_ENDPOINT, want->namespace, want->name, false, patch, &made,
	                mono_in(CALL_MS), e) < 0)
		return -1;
	remember(ep, want, made);
	return 0;
}

static int settle(struct endpoints *ep, struct pod_grants *g, struct err *e)
{
	AUTO_FREE char *ns = NULL;
	AUTO_FREE char *name = NULL;
	struct endpoint want;
	struct err why;
	int rc;

	if (!pod_key_split(g->pod, &ns, &name))
		return 0;
	if (!g->n)
		return remove_endpoint(ep, ns, name, g->uid, e);
	make(ep, ns, name, g, &want);
	rc = create(ep, &want, &why);
	failpoint("endpoint-created");
	if (rc < 0 && why.kind == ERR_EXISTS)
		rc = update(ep, &want, g, &why);
	endpoint_release(&want);
	return rc < 0 ? err_copy(e, &why) : 0;
}

/* Each request tells of its own NIC alone what the pools do not hold. */
static void keep_known(struct pod_grants *to, const struct pod_grants *from)
{
	for (size_t i = 0; i < to->n; i++) {
		for (size_t k = 0; k < from->n && !to->v[i].clean_known; k++) {
			if (!from->v[k].clean_known || !streq(from->v[k].nic, to->v[i].nic))
				continue;
			to->v[i].clean_known = true;
			to->v[i].clean_gateway = from->v[k].clean_gateway;
		}
	}
}

static void add(struct endpoints *ep, struct pod_grants *g, struct mono now)
{
	struct todo **link = &ep->todos;

	while (*link && !(streq((*link)->want->pod, g->pod) && streq((*link)->want->uid, g->uid)))
		link = &(*link)->next;
	if (!*link) {
		*link = xcalloc(1, sizeof(**link));
		(*link)->hold = mono_after(now, HOLD_MS);
		atomic_fetch_add(&ep->waiting, 1);
	} else {
		keep_known(g, (*link)->want);
		pod_grants_free((*link)->want);
		(*link)->failures = 0;
	}
	(*link)->want = g;
	(*link)->due = mono_after(now, SETTLE_MS);
}

/* The time when there was something to do. */
static struct mono take(struct endpoints *ep, struct mono until)
{
	struct queue_item *item = queue_take_all(&ep->queue, until);
	struct mono now = mono_now();

	while (item) {
		struct pod_grants *g = (struct pod_grants *)item;

		item = item->next;
		add(ep, g, now);
	}
	return now;
}

static struct mono later(struct mono a, struct mono b)
{
	return a.ms > b.ms ? a : b;
}

/* When its turn comes, as far as is known now. */
static struct mono ready_at(struct endpoints *ep, const struct todo *t)
{
	struct mono last = { t->hold.ms + HOLD_MS }, quiet = { atomic_load(&ep->quiet) };

	if (atomic_load(&ep->requests) > 0)
		return later(t->due, last);
	return later(t->due, mono_min(quiet, t->hold));
}

/* True when the pod is done with. */
static bool try(struct endpoints *ep, struct todo *t)
{
	struct err e;

	if (settle(ep, t->want, &e) == 0)
		return true;
	/* no name for an object, or the namespace is gone: trying again does not help */
	if (e.kind == ERR_CONFIG || (e.kind == ERR_NOT_FOUND && t->failures)) {
		log_warn_err(&e, "no endpoint for %s", t->want->pod);
		return true;
	}
	t->due = mono_in(backoff_ms(++t->failures, PAUSE_MAX_MS));
	if (t->failures == 3)
		log_warn_err(&e, "endpoint of %s, which is tried again", t->want->pod);
	return false;
}

static void todo_free(struct todo *t)
{
	pod_grants_free(t->want);
	free(t);
}

static struct mono next_turn(struct endpoints *ep, struct mono now)
{
	struct mono until = MONO_NEVER;

	for (const struct todo *t = ep->todos; t; t = t->next)
		until = mono_min(until, ready_at(ep, t));
	/* nobody tells us when they are through */
	if (ep->todos && atomic_load(&ep->requests) > 0)
		until = mono_min(until, mono_after(now, QUIET_MS));
	return until;
}

static void *endpoints_main(void *arg)
{
	struct endpoints *ep = arg;
	struct mono now = { 0 };

	while (!queue_closed(&ep->queue)) {
		struct todo **link = &ep->todos;

		now = take(ep, next_turn(ep, now));
		while (*link && !queue_closed(&ep->queue)) {
			struct todo *t = *link;

			if (!mono_passed_at(ready_at(ep, t), now) || !try(ep, t)) {
				link = &t->next;
				continue;
			}
			*link = t->next;
			todo_free(t);
			atomic_fetch_sub(&ep->waiting, 1);
		}
	}
	take(ep, now);
	while (ep->todos) {
		struct todo *t = ep->todos;

		ep->todos = t->next;
		todo_free(t);
	}
	return NULL;
}

int endpoints_start(struct store *s, const char *node, struct endpoints **out, struct err *e)
{
	struct endpoints *ep = xcalloc(1, sizeof(*ep));

	ep->store = s;
	ep->node = node;
	atomic_init(&ep->requests, 0);
	atomic_init(&ep->quiet, mono_now().ms);
	queue_init(&ep->queue);
	if (thread_start(&ep->thread, endpoints_main, ep, e) < 0) {
		queue_release(&ep->queue);
		free(ep);
		return -1;
	}
	*out = ep;
	return 0;
}

void endpoints_use(struct endpoints *ep, struct pods *pods)
{
	ep->pods = pods;
}

void endpoints_put(struct endpoints *ep, struct pod_grants *g)
{
	if (!queue_put(&ep->queue, &g->item))
		pod_grants_free(g);
}

void endpoints_request(struct endpoints *ep, bool begins, struct mono now)
{
	atomic_store(&ep->quiet, mono_after(now, QUIET_MS).ms);
	atomic_fetch_add(&ep->requests, begins ? 1 : -1);
}

size_t endpoints_waiting(struct endpoints *ep)
{
	return atomic_load(&ep->waiting);
}

void endpoints_stop(struct endpoints *ep)
{
	if (!ep)
		return;
	queue_close(&ep->queue);
	pthread_join(ep->thread, NULL);
	queue_release(&ep->queue);
	for (size_t i = 0; i < MADE_MAX; i++)
		made_release(&ep->made[i]);
	free(ep);
}
