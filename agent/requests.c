/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requests.c - what goes into the ledger and comes out of it: requests from their making to their
 * answer, and what a failed ADD had taken going back.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/ledger_impl.h"
#include "base/failpoint.h"
#include "base/log.h"

#define ROLLBACK_MS 2000 /* a refused ADD waits so long for what it took to go back */

enum request_state { REQUEST_WAITING, REQUEST_ANSWERED, REQUEST_ABANDONED, REQUEST_UNDONE };

/* Values that leave the ledger. */
void grant_release(struct grant *g)
{
	free(g->nic);
	free(g->pool);
	free(g->routes);
	memset(g, 0, sizeof(*g));
}

void pod_grants_free(struct pod_grants *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		grant_release(&g->v[i]);
	free(g->v);
	free(g->pod);
	free(g->uid);
	free(g);
}

struct grant ledger_grant(const struct pool *p, struct ip ip, const char *nic)
{
	struct grant g = {
		.nic = xstrdup(nic),
		.pool = xstrdup(p->name),
		.address = { ip, p->subnet.len },
		.gateway = p->gateway,
		.n_routes = p->n_routes,
	};

	if (p->n_routes) {
		g.routes = xcalloc(p->n_routes, sizeof(*g.routes));
		memcpy(g.routes, p->routes, p->n_routes * sizeof(*g.routes));
	}
	return g;
}

/* uid "": of whichever pod of that name. */
struct pod_grants *ledger_grants(struct ledger *l, const char *pod, const char *uid)
{
	struct pod_grants *g = xcalloc(1, sizeof(*g));
	size_t cap = 0;

	g->pod = xstrdup(pod);
	g->uid = xstrdup(uid);
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct pool *p = &l->slots[i]->at.p;

		for (size_t k = 0; k < p->n_records; k++) {
			const struct pool_record *r = &p->records[k];

			if (!streq(r->pod, pod) || (*uid && !streq(r->uid, uid)))
				continue;
			if (!*g->uid) {
				free(g->uid);
				g->uid = xstrdup(r->uid);
				uid = g->uid;
			}
			g->v = xgrow(g->v, &cap, g->n + 1, sizeof(*g->v));
			g->v[g->n++] = ledger_grant(p, r->ip, *r->nic ? r->nic : "eth0");
		}
	}
	return g;
}

/* Fills in the answer to LEDGER_USAGE. */
void ledger_usage(struct ledger *l, struct ledger_request *r)
{
	r->usage = xcalloc(l->n_slots + 1, sizeof(*r->usage));
	r->n_known = l->n_slots;
	for (size_t i = 0; i < l->n_slots; i++) {
		const struct pool *p = &l->slots[i]->at.p;
		uint64_t total = pool_total(p);

		if (!pool_state_is_for(&l->slots[i]->at, l->config.node))
			continue;
		r->usage[r->n_usage++] =
			(struct pool_usage){ xstrdup(p->name), total,
			                     total > p->n_records ? total - p->n_records : 0 };
	}
}

/* Requests. */
static char *copy_or_empty(const char *s)
{
	return xstrdup(s ? s : "");
}

struct ledger_request *ledger_request_new(enum ledger_op op, const char *pod, const char *uid,
                                          const char *nic, const char *cid, struct mono deadline,
                                          int event)
{
	struct ledger_request *r = xcalloc(1, sizeof(*r));

	r->message.type = MESSAGE_REQUEST;
	r->op = op;
	r->pod = copy_or_empty(pod);
	r->uid = copy_or_empty(uid);
	r->nic = copy_or_empty(nic);
	r->cid = copy_or_empty(cid);
	r->deadline = deadline;
	r->event = event;
	r->client = -1;
	r->enabled[V4] = r->enabled[V6] = true;
	for (size_t i = 0; i < LEDGER_PARTS; i++)
		r->parts[i].request = r;
	atomic_init(&r->state, REQUEST_WAITING);
	atomic_init(&r->withdrawn, false);
	return r;
}

void ledger_request_free(struct ledger_request *r)
{
	if (!r)
		return;
	free(r->pod);
	free(r->uid);
	free(r->nic);
	free(r->cid);
	free(r->network);
	free(r->network_error);
	choice_release(&r->choice);
	free(r->ns);
	free(r->routes);
	free(r->strays);
	labels_release(&r->pod_labels);
	labels_release(&r->namespace_labels);
	labels_release(&r->node_labels);
	for (size_t i = 0; i < r->n_grants; i++)
		grant_release(&r->grants[i]);
	for (size_t i = 0; i < r->n_held; i++) {
		free(r->held[i].pool);
		pool_record_release(&r->held[i].record);
	}
	free(r->held);
	json_free(r->rounds);
	free(r->pool);
	free(r->reason);
	free(r->remedy);
	free(r->text);
	free(r->why);
	pod_grants_free(r->pod_grants);
	for (size_t i = 0; i < r->n_usage; i++)
		free(r->usage[i].pool);
	free(r->usage);
	free(r);
}

bool ledger_submit(struct ledger *l, struct ledger_request *r)
{
	return queue_put(&l->mailbox, &r->message.item);
}

static bool settle(struct ledger_request *r, int state)
{
	int waiting = REQUEST_WAITING;

	return atomic_compare_exchange_strong(&r->state, &waiting, state);
}

bool ledger_abandon(struct ledger_request *r, bool undo)
{
	return settle(r, undo ? REQUEST_UNDONE : REQUEST_ABANDONED);
}

bool ledger_is_abandoned(struct ledger_request *r)
{
	return atomic_load(&r->state) >= REQUEST_ABANDONED;
}

bool ledger_is_undone(struct ledger_request *r)
{
	return atomic_load(&r->state) == REQUEST_UNDONE;
}

/* text is taken.  The request is not ours any more afterwards. */
void ledger_answer(struct ledger *l, struct ledger_request *r, enum err_kind kind, char *text)
{
	struct ledger_request *then = r->then;
	int event = r->event;
	uint64_t one = 1;

	l->dels -= r->op == LEDGER_DEL || r->op == LEDGER_FREE;
	l->again |= l->in_turn;
	r->then = NULL;
	free(r->text);
	r->text = text;
	r->kind = kind;
	if (event < 0 || !settle(r, REQUEST_ANSWERED))
		ledger_request_free(r);
	else if (write(event, &one, sizeof(one)) < 0)
		/* refuses only when the counter is at its end, which nobody's is */
		log_warn("a request's event cannot be raised");
	if (then) {
		text = then->text;
		then->text = NULL;
		ledger_answer(l, then, then->kind, text);
	}
}

/* It is the caller's descriptor until it abandons the request: what was seen before that counts. */
bool ledger_has_hung_up(struct ledger_request *r)
{
	struct pollfd p = { r->client, 0, 0 };

	return r->client >= 0 && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

void ledger_pend(struct ledger *l, struct ledger_request *r)
{
	r->next = NULL;
	*l->pending_tail = r;
	l->pending_tail = &r->next;
}

/* A request of ours: what the ADD took goes back; `then` is answered after it, if not NULL. */
static void give_back(struct ledger *l, const struct ledger_request *r, struct mono deadline,
                      struct ledger_request *then)
{
	struct ledger_request *back =
		ledger_request_new(LEDGER_FREE, r->pod, r->uid, r->nic, r->cid, deadline, -1);

	memcpy(back->addresses, r->took, sizeof(back->addresses));
	back->then = then;
	back->seen = r->seen; /* what came after the ADD comes after this */
	l->dels++;
	l->again = true;
	ledger_pend(l, back);
}

static bool took_any(const struct ledger_request *r)
{
	return r->took[V4].family || r->took[V6].family;
}

void ledger_refuse(struct ledger *l, struct ledger_request *r, enum err_kind kind, char *text)
{
	struct mono now = l->now;

	/* who went away finds it again, by the next try */
	if (!took_any(r) || (ledger_is_abandoned(r) && !ledger_is_undone(r))) {
		ledger_answer(l, r, kind, text);
		return;
	}
	if (ledger_is_abandoned(r) || now.ms >= r->deadline.ms) {
		give_back(l, r, (struct mono){ now.ms + LEDGER_GIVE_BACK_MS }, NULL);
		ledger_answer(l, r, kind, text);
		return;
	}
	free(r->text);
	r->text = text;
	r->kind = kind;
	give_back(l, r, mono_min(r->deadline, (struct mono){ now.ms + ROLLBACK_MS }), r);
}

static void find_strays(struct ledger_request *r, const struct pod_grants *g)
{
	if (!r->n_routes)
		return;
	free(r->strays);
	r->strays = xcalloc(r->n_routes, sizeof(*r->strays));
	for (size_t k = 0; k < r->n_routes; k++) {
		r->strays[k] = true;
		for (size_t i = 0; i < g->n; i++)
			r->strays[k] &= !cidr_contains(g->v[i].address, r->routes[k].gw);
	}
}

void ledger_granted(struct ledger *l, struct ledger_request *r)
{
	struct pod_grants *g;

	if (ledger_is_undone(r)) {
		ledger_refuse(l, r, ERR_TIMEOUT, xstrdup("nobody waits any more"));
		return;
	}
	if (r->n_grants == 2 && r->grants[0].address.ip.family == 6) {
		struct grant first = r->grants[0];

		r->grants[0] = r->grants[1];
		r->grants[1] = first;
	}
	g = ledger_grants(l, r->pod, r->uid);
	find_strays(r, g);
	for (size_t i = 0; i < g->n; i++) {
		if (!streq(g->v[i].nic, r->nic))
			continue;
		g->v[i].clean_gateway = r->choice.clean_gateway;
		g->v[i].clean_known = true;
	}
	atomic_fetch_add(&l->adds, 1);
	ledger_answer(l, r, ERR_NONE, NULL);
	failpoint("ledger-answered");
	l->config.changed(l->config.ctx, g);
}
