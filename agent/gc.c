/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc.c - a round every few seconds: what the ledger says was given on this node is compared with
 * the pods in memory, which costs nothing; only for what does not fit are attachment records, their
 * namespaces and at last the pod's object looked at.
 *
 * That an informer has not heard of a pod proves nothing, and neither does a list: the proof is the
 * answer to a GET of that one object.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/gc.h"
#include "agent/keeper.h"
#include "agent/pause.h"
#include "agent/poolstate.h"
#include "agent/releases.h"
#include "agent/rounds.h"
#include "agent/thread.h"
#include "base/file.h"
#include "base/log.h"
#include "cni/state.h"
#include "k8s/endpoint.h"

#define READ_MS 5000
#define LEDGER_MS 10000
#define BATCH 64
#define READY_MS 20

struct gc {
	struct gc_config config;
	struct pause pause;
	pthread_t thread;
	int event;                         /* of what the ledger is asked */
	const struct ledger_request *held; /* in this round: what was given on this node */
	struct attachment *attachments;    /* as they were read in this round */
	size_t n_attachments;
	bool have_attachments, bad_attachments;
	bool marked;       /* the mark of look_for_mark() was there */
	bool records_lost; /* it is not: attachment records may be missing */
	const char *doubt; /* why it was last UNKNOWN whether an address is used; static */
	struct kept *kept; /* what stays for want of evidence, and was told */
	size_t n_kept, cap_kept;
};

struct kept {
	struct ip ip;
	char *cid;
};

/*
 * A record that may have been left behind.  Its container may be asked for again while evidence is
 * gathered: then what is to free it is withdrawn, and what the ledger gets later comes after it.
 */
struct suspect {
	const struct ledger_held *held;
	struct ledger_request *request;
	struct inflight_watch watch;
};

/* What one thing says about a record. */
enum evidence {
	LIVES,
	DEAD,
	UNKNOWN,
	ELSEWHERE /* a kept name's next pod has another address, or is on a node that the pool does
	           * not serve */
};

static bool is_kept(const struct gc *g, enum pool_keep keep)
{
	return (keep == POOL_KEEP_STATEFULSET && g->config.keep_statefulset) ||
	       (keep == POOL_KEEP_VMI && g->config.keep_vmi);
}

/* From memory: is this record's pod running, as far as is known? */
static bool seems_alive(const struct gc *g, const struct pool_record *r)
{
	AUTO_FREE char *ns = NULL;
	AUTO_FREE char *name = NULL;
	struct pod_facts f;
	bool alive;

	if (!pod_key_split(r->pod, &ns, &name) || !pods_known(g->config.pods, ns, name, &f))
		return false;
	alive = streq(f.uid, r->uid) && !f.ended;
	pod_facts_release(&f);
	return alive;
}

static void read_attachments(struct gc *g)
{
	struct err e;

	if (g->have_attachments)
		return;
	g->have_attachments = true;
	g->bad_attachments =
		attachment_list(g->config.state_dir, &g->attachments, &g->n_attachments, &e) < 0;
	if (g->bad_attachments)
		log_warn_err(&e, "attachments");
}

static void forget_attachments(struct gc *g)
{
	for (size_t i = 0; i < g->n_attachments; i++)
		attachment_release(&g->attachments[i]);
	free(g->attachments);
	g->attachments = NULL;
	g->n_attachments = 0;
	g->have_attachments = g->bad_attachments = false;
}

static enum evidence unknown(struct gc *g, const char *doubt)
{
	g->doubt = doubt;
	return UNKNOWN;
}

static enum evidence namespace_of(struct gc *g, const struct attachment *a)
{
	struct stat st;

	if (!streq(a->boot_id, g->config.boot_id))
		return DEAD;
	/* there never was one, and without an API server nobody else to ask */
	if (!*a->netns)
		return store_is_dir(g->config.store)
		               ? unknown(g, "its ADD named no network namespace")
		               : DEAD;
	if (!a->netns_inode)
		return unknown(g, "its network namespace was not to be seen from here");
	if (stat(a->netns, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR
		               ? DEAD
		               : unknown(g, "its network namespace cannot be looked at");
	return (uint64_t)st.st_ino == a->netns_inode ? LIVES : DEAD;
}

/* Of whichever container of that pod: a record that the original made does not say of which. */
static enum evidence attachment_of_pod(struct gc *g, const struct pool_record *r,
                                       enum evidence otherwise)
{
	enum evidence evidence;
	bool found = false;

	read_attachments(g);
	for (size_t i = 0; i < g->n_attachments; i++) {
		const struct attachment *a = &g->attachments[i];

		if (!streq(a->pod_uid, r->uid) || (*r->nic && !streq(a->ifname, r->nic)))
			continue;
		found = true;
		evidence = namespace_of(g, a);
		if (evidence != DEAD)
			return evidence;
	}
	if (g->bad_attachments)
		return unknown(g, "the folder of attachment records cannot be read");
	return found ? DEAD : otherwise;
}

/*
 * Does an attachment record claim the address with a namespace that lives?  No ADD is answered
 * without one, so where there is none, and no ADD under way (which is looked at first: it leaves
 * after the record is written), nobody was told of the address.
 */
static enum evidence attachment_of(struct gc *g, const struct pool_record *r)
{
	struct attachment a;
	enum evidence found;

	/* without an API server there is nobody else to ask */
	g->doubt = "nothing says of which container it is";
	if (!*r->cid || !*r->nic)
		return attachment_of_pod(g, r, store_is_dir(g->config.store) ? UNKNOWN : DEAD);
	if (inflight_has(g->config.inflight, r->cid))
		return LIVES;
	if (attachment_read(g->config.state_dir, r->cid, r->nic, &a, NULL) == 0) {
		found = namespace_of(g, &a);
		attachment_release(&a);
	} else if (attachment_exists(g->config.state_dir, r->cid, r->nic)) {
		/* one that cannot be read may say that it lives */
		return unknown(g, "its attachment record cannot be read");
	} else {
		found = g->records_lost && !r->keep ? unknown(g, "attachment records were removed")
		                                    : DEAD;
	}
	/* a newer sandbox that took the record over and failed: the older one may live on with the
	 * address */
	return found == DEAD ? attachment_of_pod(g, r, found) : found;
}

/* One of the answers that come in a moment. */
static void await_answer(int event)
{
	uint64_t one;

	while (read(event, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Waits for n answers; how many came in time. */
static size_t await_answers(int event, size_t n)
{
	struct mono until = mono_in(LEDGER_MS + 1000);
	struct pollfd p = { event, POLLIN, 0 };
	size_t got = 0;

	while (got < n && !mono_passed(until))
		if (poll(&p, 1, mono_left_ms(until)) > 0) {
			await_answer(event);
			got++;
		}
	return got;
}

/* NULL: there was none in time, and the request is the ledger's. */
static struct ledger_request *answer_to(int event, struct ledger_request *q)
{
	if (await_answers(event, 1) == 0) {
		if (ledger_abandon(q, false))
			return NULL;
		await_answer(event);
	}
	return q;
}

static struct ledger_request *ask(const struct gc *g, enum ledger_op op, const char *pod,
                                  const char *uid)
{
	struct ledger_request *q =
		ledger_request_new(op, pod, uid, "", "", mono_in(LEDGER_MS), g->event);

	if (!ledger_submit(g->config.ledger, q)) {
		ledger_request_free(q);
		return NULL;
	}
	return answer_to(g->event, q);
}

static bool is_another(const struct pool_record *r, const char *nic, struct ip ip)
{
	return streq(nic, r->nic) && ip.family == r->ip.family && !ip_equal(ip, r->ip);
}

/* In the pools of which this agent is told. */
static bool is_given_another(const struct gc *g, const struct pool_record *r, const char *uid)
{
	struct ledger_request *q = ask(g, LEDGER_QUERY, r->pod, uid);
	bool found = false;

	for (size_t i = 0; q && q->kind == ERR_NONE && i < q->pod_grants->n && !found; i++)
		found = is_another(r, q->pod_grants->v[i].nic, q->pod_grants->v[i].address.ip);
	ledger_request_free(q);
	return found;
}

/* Of a pod on another node, whose pools may not be known here. */
static bool endpoint_has_another(const struct gc *g, const struct pool_record *r, const char *ns,
                                 const char *name, const char *uid)
{
	AUTO_JSON *object = NULL;
	struct endpoint ep;
	bool found = false;

	if (store_get(g->config.store, STORE_ENDPOINT, ns, name, &object, mono_in(READ_MS), NULL) <
	            0 ||
	    endpoint_read(object, &ep, NULL) < 0)
		return false;
	for (size_t i = 0; i < ep.n_ips && streq(ep.pod_uid, uid) && !found; i++)
		found = is_another(r, ep.ips[i].interface,
		                   r->ip.family == 4 ? ep.ips[i].ipv4.ip : ep.ips[i].ipv6.ip);
	endpoint_release(&ep);
	return found;
}

/* Another container of the same machine runs here, with another address. */
static bool machine_has_another(struct gc *g, const struct pool_record *r)
{
	const char *doubt = g->doubt;
	bool found = false;

	for (size_t i = 0; g->held && i < g->held->n_held && !found; i++) {
		const struct pool_record *other = &g->held->held[i].record;

		found = other->keep == r->keep && streq(other->pod, r->pod) &&
		        !streq(other->uid, r->uid) && is_another(r, other->nic, other->ip) &&
		        attachment_of(g, other) == LIVES;
	}
	g->doubt = doubt;
	return found;
}

/* Then that node's agent sees the record: it takes it over. */
static bool pool_serves_node(const struct gc *g, const char *pool, const char *node)
{
	AUTO_JSON *object = NULL;
	struct pool_state s;
	bool serves;

	if (store_get(g->config.store, STORE_IPPOOL, NULL, pool, &object, mono_in(READ_MS), NULL) <
	            0 ||
	    pool_state_read(object, &s, NULL) < 0)
		return true;
	serves = pool_state_is_for(&s, node);
	pool_state_release(&s);
	return serves;
}

/*
 * By a live read.  In a directory store containers are seldom pods: one that is no object is as
 * good as gone, and its namespace is the proof.
 */
static enum evidence pod_of(const struct gc *g, const struct ledger_held *h, const char *ns,
                            const char *name)
{
	const struct pool_record *r = &h->record;
	AUTO_JSON *pod = NULL;
	const char *uid, *node;
	struct err e;

	if (store_get(g->config.store, STORE_POD, ns, name, &pod, mono_in(READ_MS), &e) < 0) {
		/* ERR_CONFIG: no name for an object, so there is none */
		if (e.kind == ERR_NOT_FOUND || e.kind == ERR_CONFIG)
			return DEAD;
		log_debug("pod %s: %s", r->pod, e.msg);
		return UNKNOWN;
	}
	uid = json_str_at(pod, "metadata", "uid", NULL);
	if (!uid)
		return UNKNOWN;
	if (streq(uid, r->uid))
		return pod_has_ended(pod) ? DEAD : LIVES;
	if (!is_kept(g, r->keep))
		return DEAD;
	/* the next pod of that name will find it here, unless it asks for other pools or is where
	 * nobody looks for it */
	if (is_given_another(g, r, uid))
		return ELSEWHERE;
	node = json_str_at(pod, "spec", "nodeName", NULL);
	if (!node || streq(node, g->config.node))
		return LIVES;
	return endpoint_has_another(g, r, ns, name, uid) || !pool_serves_node(g, h->pool, node)
	               ? ELSEWHERE
	               : LIVES;
}

static bool keeper_is_gone(const struct gc *g, const struct pool_record *r, const char *ns,
                           const char *name)
{
	struct err e;
	int keeps;

	if (!is_kept(g, r->keep))
		return true;
	keeps = keeper_keeps(g->config.store, r->keep, ns, name, mono_in(READ_MS), &e);
	if (keeps < 0)
		log_debug("who keeps the addresses of %s: %s", r->pod, e.msg);
	return keeps == 0;
}

/* A virtual machine's pod has another name than its record: what counts is the machine. */
static bool pod_is_gone(struct gc *g, const struct ledger_held *h)
{
	const struct pool_record *r = &h->record;
	AUTO_FREE char *ns = NULL;
	AUTO_FREE char *name = NULL;
	enum evidence pod;

	if (!pod_key_split(r->pod, &ns, &name))
		return false;
	if (r->keep == POOL_KEEP_VMI && is_kept(g, r->keep))
		return machine_has_another(g, r) || keeper_is_gone(g, r, ns, name);
	pod = pod_of(g, h, ns, name);
	return pod == ELSEWHERE || (pod == DEAD && keeper_is_gone(g, r, ns, name));
}

static bool was_told(const struct gc *g, const struct pool_record *r)
{
	for (size_t i = 0; i < g->n_kept; i++)
		if (ip_equal(g->kept[i].ip, r->ip) && streq(g->kept[i].cid, r->cid))
			return true;
	return false;
}

/* Once for each address, when its pod is gone: from then on somebody may wonder. */
static void tell_doubt(struct gc *g, const struct ledger_held *h)
{
	const struct pool_record *r = &h->record;
	/* where there are no pods none is missed */
	bool dir = store_is_dir(g->config.store);

	if (was_told(g, r) || !pod_is_gone(g, h))
		return;
	g->kept = xgrow(g->kept, &g->cap_kept, g->n_kept + 1, sizeof(*g->kept));
	g->kept[g->n_kept++] = (struct kept){ r->ip, xstrdup(r->cid) };
	(dir ? log_info : log_warn)(
		"address %s of IPPool %s stays%s, until the DEL of %s, nic %s, cid %.13s: %s. "
		"Remedy, when that container does not run any more: its DEL%s%s%s",
		ip_str(r->ip).s, h->pool, dir ? "" : " though its pod is gone", r->pod, r->nic,
		r->cid, g->doubt, g->records_lost ? "" : ", or remove its record in ",
		g->records_lost ? "" : g->config.state_dir, g->records_lost ? "" : "/attachments");
}

/* What is not held any more is news when it is again. */
static void forget_told(struct gc *g, const struct ledger_request *held)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->n_kept; i++) {
		struct kept *k = &g->kept[i];
		bool still = false;

		for (size_t j = 0; held && j < held->n_held && !still; j++)
			still = ip_equal(held->held[j].record.ip, k->ip) &&
			        streq(held->held[j].record.cid, k->cid);
		if (still)
			g->kept[kept++] = *k;
		else
			free(k->cid);
	}
	g->n_kept = kept;
}

static bool is_left_behind(struct gc *g, const struct ledger_held *h)
{
	const struct pool_record *r = &h->record;
	enum evidence evidence;

	if (*r->conflict)
		return r->since + GC_QUARANTINE_S < (int64_t)time(NULL);
	evidence = attachment_of(g, r);
	if (evidence == UNKNOWN)
		tell_doubt(g, h);
	return evidence == DEAD && pod_is_gone(g, h);
}

static void suspect_unwatch(struct gc *g, struct suspect *s)
{
	if (s->watch.cid)
		inflight_unwatch(g->config.inflight, &s->watch);
	s->watch.cid = NULL;
}

static void suspect_release(struct gc *g, struct suspect *s)
{
	suspect_unwatch(g, s);
	ledger_request_free(s->request);
}

/* True when it was left behind; then *s is to be released. */
static bool suspect(struct gc *g, const struct ledger_held *h, struct suspect *s)
{
	const struct pool_record *r = &h->record;

	if (!*r->conflict && seems_alive(g, r))
		return false;
	s->held = h;
	s->request = ledger_request_new(LEDGER_FREE, r->pod, r->uid, r->nic, r->cid,
	                                mono_in(READ_MS), g->event);
	s->request->addresses[r->ip.family == 4 ? V4 : V6] = r->ip;
	inflight_watch(g->config.inflight, &s->watch, r->cid, &s->request->withdrawn);
	if (is_left_behind(g, h))
		return true;
	suspect_release(g, s);
	return false;
}

/* True when it is freed, by this or by somebody else. */
static bool settle(struct gc *g, const struct ledger_held *h, const struct ledger_request *q)
{
	const struct pool_record *r = &h->record;

	if (!q || q->kind != ERR_NONE) {
		metrics_add(g->config.metrics, METRIC_GC_FAILED, 1);
		log_warn("address %s of IPPool %s, which %s left behind, is not freed: %s",
		         ip_str(r->ip).s, h->pool, r->pod, q ? q->text : "no answer in time");
		return false;
	}
	metrics_add(g->config.metrics, METRIC_GC_FREED, q->n_grants);
	if (q->n_grants && *r->conflict)
		log_info("address %s of IPPool %s may be given again; was: %s", ip_str(r->ip).s,
		         h->pool, r->conflict);
	else if (q->n_grants)
		log_info("address %s of IPPool %s is freed: %s, nic %s, cid %.13s left it behind",
		         ip_str(r->ip).s, h->pool, r->pod, r->nic, r->cid);
	/* the attachment record may be that of another ADD by now: see sweep_attachments() */
	return true;
}

/* What is not answered comes to nothing; false: it was answered. */
static bool give_up(struct gc *g, struct suspect *s)
{
	struct ledger_request *q = s->request;

	atomic_store(&q->withdrawn, true);
	suspect_unwatch(g, s); /* it is not ours to write to any more */
	if (!ledger_abandon(q, false))
		return false;
	s->request = NULL;
	return true;
}

/* All at once, so that they share writes; how many are freed. */
static size_t free_all(struct gc *g, struct suspect *list, size_t n)
{
	size_t sent = 0, freed = 0, got;

	for (; sent < n; sent++) {
		list[sent].request->deadline = mono_in(LEDGER_MS);
		if (!ledger_submit(g->config.ledger, list[sent].request))
			break;
	}
	got = await_answers(g->event, sent);
	if (got < sent)
		for (size_t i = 0; i < sent; i++)
			got += give_up(g, &list[i]);
	for (; got < sent; got++)
		await_answer(g->event);
	for (size_t i = 0; i < sent; i++)
		freed += settle(g, list[i].held, list[i].request);
	return freed;
}

/*
 * Somebody may have emptied the folder, and then a missing record proves nothing.  A mark in it
 * says that no record is missing; it is made once each address that was given here has its record,
 * which for a new node is at once.
 */
static void look_for_mark(struct gc *g, const struct ledger_request *held)
{
	AUTO_FREE char *path = xasprintf("%s/attachments/.complete", g->config.state_dir);
	AUTO_FREE char *folder = xasprintf("%s/attachments", g->config.state_dir);
	struct stat st;
	struct err e;

	if (stat(path, &st) == 0) {
		g->records_lost = false;
		g->marked = true;
		return;
	}
	if (!g->records_lost && g->marked)
		log_warn("attachment records were removed: what has none is not collected");
	g->records_lost = true;
	for (size_t i = 0; i < held->n_held; i++) {
		const struct pool_record *r = &held->held[i].record;

		/* a kept address outlives the attachment */
		if (*r->cid && *r->nic && !r->keep && !*r->conflict &&
		    !attachment_exists(g->config.state_dir, r->cid, r->nic))
			return;
	}
	if (file_mkdirs(folder, 0700, &e) < 0 || file_write(path, "", 0, 0600, 0, &e) < 0) {
		log_warn_err(&e, "attachments");
		return;
	}
	g->records_lost = false;
	g->marked = true;
}

/*
 * The ledger has no address of that container.  If the pod is gone, what the pool named by the
 * record says is still asked: it may have become other nodes' while we were not there.
 */
static bool release_unwatched(struct gc *g, const struct attachment *a)
{
	AUTO_FREE char *pod = pod_key(a->pod_namespace, a->pod_name, a->container_id);
	struct ledger_held h = {
		.pool = a->pool,
		.record = { .pod = pod,
		            .uid = a->pod_uid,
		            .nic = a->ifname,
		            .cid = a->container_id },
	};
	struct ledger_request *q;
	bool done;

	if (!a->pool || !*a->pool)
		return true;
	if (seems_alive(g, &h.record) || !pod_is_gone(g, &h))
		return false;
	q = ledger_request_new(LEDGER_DEL, pod, a->pod_uid, a->ifname, a->container_id,
	                       mono_in(LEDGER_MS), g->event);
	q->pool = xstrdup(a->pool);
	if (!ledger_submit(g->config.ledger, q)) {
		ledger_request_free(q);
		return false;
	}
	q = answer_to(g->event, q);
	done = q && q->kind == ERR_NONE;
	if (done)
		metrics_add(g->config.metrics, METRIC_GC_FREED, q->n_grants);
	ledger_request_free(q);
	return done;
}

/* Records of attachments that hold nothing and whose namespace is gone: a lost DEL, mostly. */
static void sweep_attachments(struct gc *g, const struct ledger_request *held)
{
	read_attachments(g);
	for (size_t i = 0; i < g->n_attachments; i++) {
		const struct attachment *a = &g->attachments[i];
		bool used = namespace_of(g, a) != DEAD;

		for (size_t k = 0; k < held->n_held && !used; k++)
			used = streq(held->held[k].record.cid, a->container_id) ||
			       (!*held->held[k].record.cid &&
			        streq(held->held[k].record.uid, a->pod_uid));
		if (!used && release_unwatched(g, a))
			IGNORE(attachment_remove(g->config.state_dir, a->container_id, a->ifname,
			                         NULL));
	}
}

/* Which addresses rest is to be known after a restart as well. */
static void keep_rounds(struct gc *g)
{
	struct ledger_request *q = ask(g, LEDGER_ROUNDS, "", "");
	struct err e;

	if (q && q->rounds && rounds_write(g->config.state_dir, q->rounds, &e) < 0)
		log_warn_err(&e, "the order in which addresses were given back");
	ledger_request_free(q);
}

/* True when it freed as many as it could: there may be more. */
static bool round_of(struct gc *g, bool sweep)
{
	struct ledger_request *held = ask(g, LEDGER_HELD, "", "");
	struct suspect list[BATCH];
	size_t n = 0, freed = 0;

	g->held = held && held->kind == ERR_NONE ? held : NULL;
	if (g->held)
		look_for_mark(g, held);
	for (size_t i = 0; held && held->kind == ERR_NONE && i < held->n_held && n < BATCH; i++)
		n += suspect(g, &held->held[i], &list[n]);
	if (n)
		freed = free_all(g, list, n);
	for (size_t i = 0; i < n; i++)
		suspect_release(g, &list[i]);
	if (sweep && held && held->kind == ERR_NONE)
		sweep_attachments(g, held);
	forget_attachments(g);
	if (held && held->kind == ERR_NONE)
		forget_told(g, held);
	g->held = NULL;
	ledger_request_free(held);
	keep_rounds(g);
	return freed == BATCH;
}

static void *gc_main(void *arg)
{
	struct gc *g = arg;
	int ms = g->config.round_ms ? g->config.round_ms : GC_ROUND_MS;
	bool go = true;

	g->event = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	if (g->event < 0) {
		log_warn("nothing collects what pods leave behind: no more files can be opened");
		return NULL;
	}
	/* the first round comes before much can happen: see look_for_mark() */
	while (go && !g->config.ready(g->config.ctx))
		go = pause_until(&g->pause, mono_in(READY_MS));
	for (unsigned int n = 1; go; n++) {
		bool more = round_of(g, n % 2 == 0);

		go = pause_until(&g->pause, mono_in(more ? 0 : ms));
	}
	/* what was given back since the last round */
	if (g->config.ready(g->config.ctx))
		keep_rounds(g);
	close(g->event);
	return NULL;
}

int gc_start(const struct gc_config *config, struct gc **out, struct err *e)
{
	struct gc *g = xcalloc(1, sizeof(*g));

	g->config = *config;
	pause_init(&g->pause);
	if (thread_start(&g->thread, gc_main, g, e) < 0) {
		pause_release(&g->pause);
		free(g);
		return -1;
	}
	*out = g;
	return 0;
}

void gc_stop(struct gc *g)
{
	if (!g)
		return;
	pause_end(&g->pause);
	pthread_join(g->thread, NULL);
	pause_release(&g->pause);
	forget_told(g, NULL);
	free(g->kept);
	free(g);
}
