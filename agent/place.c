/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - namespaces and the node.
 *
 * One lock and one condition, those of the pause.  Who finds that a namespace must be read marks
 * its entry as being read and reads it without the lock; the others wait.  What the store said,
 * also that there is no such namespace or that we may not look, is kept; when it said nothing until
 * the reader's deadline, one of the others reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/informer.h"
#include "agent/live.h"
#include "agent/place.h"
#include "k8s/labels.h"

struct entry {
	char *name;
	bool reading;
	struct mono until; /* what is known holds till then */
	struct namespace_facts facts;
	struct err *error; /* instead of them, or NULL */
};

struct place {
	struct store *store;
	char *node;
	int64_t keep_ms;
	struct pause pause; /* its lock is that of all below, its condition tells of changes */
	struct entry **entries;
	size_t n, cap;
	struct informer *informer; /* of the node; NULL: nobody has asked yet */
	bool node_known, node_there;
	struct labels node_labels;
	struct err trouble; /* of the informer */
};

static void lock(struct place *p)
{
	pthread_mutex_lock(&p->pause.lock);
}

static void unlock(struct place *p)
{
	pthread_mutex_unlock(&p->pause.lock);
}

/* Under the lock: until something changes.  False: nobody is to wait any longer. */
static bool wait_for_change(struct place *p, struct mono deadline)
{
	struct timespec until = mono_timespec(deadline);

	if (p->pause.ended || mono_passed(deadline))
		return false;
	(void)pthread_cond_timedwait(&p->pause.cond, &p->pause.lock, &until);
	return true;
}

void namespace_facts_release(struct namespace_facts *f)
{
	free(f->default_ipv4);
	free(f->default_ipv6);
	labels_release(&f->labels);
	memset(f, 0, sizeof(*f));
}

static char *annotation(const json *object, const char *key)
{
	const char *s = json_str_at(object, "metadata", "annotations", key, NULL);

	return xstrdup(s ? s : "");
}

/* object NULL: of none. */
static void read_facts(const json *object, struct namespace_facts *f)
{
	f->default_ipv4 = annotation(object, "ipam.spidernet.io/default-ipv4-ippool");
	f->default_ipv6 = annotation(object, "ipam.spidernet.io/default-ipv6-ippool");
	labels_read(json_at(object, "metadata", "labels", NULL), &f->labels);
}

static void copy_facts(struct namespace_facts *to, const struct namespace_facts *from)
{
	to->default_ipv4 = xstrdup(from->default_ipv4);
	to->default_ipv6 = xstrdup(from->default_ipv6);
	labels_copy(&to->labels, &from->labels);
}

static void forget(struct entry *en)
{
	namespace_facts_release(&en->facts);
	free(en->error);
	en->error = NULL;
}

static void entry_free(struct entry *en)
{
	forget(en);
	free(en->name);
	free(en);
}

/* Room for one more: the oldest one goes that is not being read. */
static void make_room(struct place *p)
{
	size_t oldest = p->n;

	if (p->n < PLACE_NAMESPACES_MAX)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (!p->entries[i]->reading &&
		    (oldest == p->n || p->entries[i]->until.ms < p->entries[oldest]->until.ms))
			oldest = i;
	/* else as many are being read: by as many requests, and those are limited */
	if (oldest == p->n)
		return;
	entry_free(p->entries[oldest]);
	p->entries[oldest] = p->entries[--p->n];
}

static struct entry *find(struct place *p, const char *name)
{
	struct entry *en;

	for (size_t i = 0; i < p->n; i++)
		if (streq(p->entries[i]->name, name))
			return p->entries[i];
	make_room(p);
	en = xcalloc(1, sizeof(*en));
	en->name = xstrdup(name);
	p->entries = xgrow(p->entries, &p->cap, p->n + 1, sizeof(struct entry *));
	p->entries[p->n++] = en;
	return en;
}

/* Without the lock: nobody else changes or frees an entry that is being read. */
static int read_namespace(struct place *p, const char *name, struct namespace_facts *out,
                          struct mono deadline, struct err *e)
{
	AUTO_JSON *object = NULL;

	if (live_get(p->store, &p->pause, STORE_NAMESPACE, NULL, name, &object, deadline, e) < 0) {
		if (store_is_dir(p->store) && (e->kind == ERR_NOT_FOUND || e->kind == ERR_CONFIG)) {
			read_facts(NULL, out);
			return 0;
		}
		if (e->kind == ERR_NOT_FOUND)
			return err_set(e, ERR_NOT_FOUND, "namespace %s does not exist", name);
		return err_wrap(e, "read namespace %s", name);
	}
	read_facts(object, out);
	return 0;
}

/* Under the lock, which is given up meanwhile. */
static int refresh(struct place *p, struct entry *en, struct mono deadline, struct err *e)
{
	struct namespace_facts facts = { NULL, NULL, { NULL, NULL, 0 } };
	int rc;

	en->reading = true;
	unlock(p);
	rc = read_namespace(p, en->name, &facts, deadline, e);
	lock(p);
	en->reading = false;
	pthread_cond_broadcast(&p->pause.cond);
	forget(en);
	en->facts = facts;
	en->until = mono_in(p->keep_ms);
	if (rc == 0)
		return 0;
	en->error = xmalloc(sizeof(*en->error));
	*en->error = *e;
	if (!live_is_answer(e))
		en->until = (struct mono){ 0 };
	return rc;
}

/* Under the lock. */
static int look_up(struct place *p, const char *name, struct mono deadline,
                   struct namespace_facts *out, struct err *e)
{
	struct entry *en;

	for (;;) {
		en = find(p, name); /* again: it may have gone while we waited */
		if (!en->reading)
			break;
		if (!wait_for_change(p, deadline))
			return err_set(e, ERR_TIMEOUT, "read namespace %s: no answer in time",
			               name);
	}
	if (mono_passed(en->until) && refresh(p, en, deadline, e) < 0)
		return -1;
	if (en->error)
		return err_copy(e, en->error);
	copy_facts(out, &en->facts);
	return 0;
}

int place_namespace(struct place *p, const char *name, struct mono deadline,
                    struct namespace_facts *out, struct err *e)
{
	struct err why; /* e may be NULL */
	int rc;

	if (!*name) {
		read_facts(NULL, out);
		return 0;
	}
	lock(p);
	rc = look_up(p, name, deadline, out, &why);
	unlock(p);
	return rc < 0 ? err_copy(e, &why) : 0;
}

/* The node.  object NULL: there is none. */
static void put_node(struct place *p, const json *object)
{
	lock(p);
	labels_release(&p->node_labels);
	labels_read(json_at(object, "metadata", "labels", NULL), &p->node_labels);
	p->node_known = true;
	p->node_there = object != NULL;
	pthread_cond_broadcast(&p->pause.cond);
	unlock(p);
}

static bool is_ours(const struct place *p, const json *object)
{
	const char *name = json_str_at(object, "metadata", "name", NULL);

	return name && streq(name, p->node);
}

static void on_listed(void *ctx, const json *items)
{
	const json *ours = NULL;

	json_each(o, items)
	{
		if (is_ours(ctx, o))
			ours = o;
	}
	put_node(ctx, ours);
}

static void on_event(void *ctx, enum k8s_event_type type, const json *object)
{
	if (is_ours(ctx, object))
		put_node(ctx, type == K8S_DELETED ? NULL : object);
}

static void on_trouble(void *ctx, const struct err *e)
{
	struct place *p = ctx;

	lock(p);
	p->trouble = *e;
	pthread_cond_broadcast(&p->pause.cond);
	unlock(p);
}

static const struct informer_ops node_ops = { on_listed, on_event, on_trouble };

/* Under the lock. */
static int wait_for_node(struct place *p, struct mono deadline, struct err *e)
{
	if (!p->informer) {
		AUTO_FREE char *fields = xasprintf("metadata.name=%s", p->node);

		if (informer_start(p->store, STORE_NODE, NULL, fields, &node_ops, p, &p->informer,
		                   e) < 0)
			return -1;
	}
	while (!p->node_known) {
		/* it is asked again for ever, but nobody has to wait for that */
		if (p->trouble.kind == ERR_FORBIDDEN)
			return err_set(e, ERR_FORBIDDEN, "read node %s: %s", p->node,
			               p->trouble.msg);
		if (!wait_for_change(p, deadline))
			return err_set(e, ERR_TIMEOUT, "read node %s: no answer in time%s%s",
			               p->node, p->trouble.kind ? ": " : "", p->trouble.msg);
	}
	if (!p->node_there && !store_is_dir(p->store))
		return err_set(e, ERR_NOT_FOUND, "node %s does not exist", p->node);
	return 0;
}

int place_node_labels(struct place *p, struct mono deadline, struct labels *out, struct err *e)
{
	int rc;

	lock(p);
	rc = wait_for_node(p, deadline, e);
	if (rc == 0)
		labels_copy(out, &p->node_labels);
	unlock(p);
	return rc;
}

struct place *place_new(struct store *s, const char *node, int64_t keep_ms)
{
	struct place *p = xcalloc(1, sizeof(*p));

	p->store = s;
	p->node = xstrdup(node);
	p->keep_ms = keep_ms;
	pause_init(&p->pause);
	return p;
}

void place_end(struct place *p)
{
	if (p)
		pause_end(&p->pause);
}

void place_free(struct place *p)
{
	if (!p)
		return;
	informer_stop(p->informer);
	for (size_t i = 0; i < p->n; i++)
		entry_free(p->entries[i]);
	free(p->entries);
	labels_release(&p->node_labels);
	free(p->node);
	pause_release(&p->pause);
	free(p);
}
