/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.c - the agent's HTTP API, /v1: paths, bodies and answers of Spiderpool 1.2's, so
 * that either's plugins work with either's agent.  An error is a status and a bare JSON string. The
 * original's plugin shows the string of documented statuses only, which for most is 500; ours
 * learns from a Retry-After that the same may work in a moment.
 *
 * Each request runs on its connection's thread from start to finish.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/multus.h"
#include "agent/wants.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "cni/check.h"
#include "cni/state.h"
#include "http/url.h"
#include "net/link.h"

#define REASON_MAX 200 /* bytes of why an address is held back */
#define TAKE_BACK_MS 60000
#define RETRY_S 1
#define GRACE_MS 500 /* more than the ledger's own deadline */

/* One request and what its answer is made of. */
struct call {
	struct agent *agent;
	struct server_connection *connection;
	const struct http_incoming *in;
	struct server_answer *answer;
	json *body;
	const char *query;                       /* after '?', or "" */
	int64_t started_us, planned_us, took_us; /* 0: it was not planned, not asked for yet */
	enum err_kind failed;
};

static void say(struct call *c, int status, const char *text)
{
	AUTO_JSON *s = json_new_str(text);

	c->answer->status = status;
	str_reset(&c->answer->body, 0);
	json_print(s, &c->answer->body);
}

static void show(struct call *c, const json *document)
{
	c->answer->status = 200;
	str_reset(&c->answer->body, 0);
	json_print(document, &c->answer->body);
}

/* Bodies. */
static int want_str(const json *body, const char *key, size_t max, const char **out, struct err *e)
{
	if (json_str(body, key, out, e) < 0)
		return -1;
	if (strlen(*out) > max)
		return err_set(e, ERR_PROTO, "%s: longer than %zu bytes", key, max);
	return 0;
}

/* Names become parts of paths and of records. */
static int check_word(const char *key, const char *s, struct err *e)
{
	for (; *s; s++)
		if (*s == '/' || *s == '"' || *s == '\\' || (unsigned char)*s <= ' ')
			return err_set(e, ERR_PROTO, "%s: not a name", key);
	return 0;
}

static int read_identity(const json *body, bool nic, struct identity *id, struct err *e)
{
	memset(id, 0, sizeof(*id));
	id->nic = "";
	id->netns = "";
	if (want_str(body, "containerID", 200, &id->cid, e) < 0 ||
	    (nic && want_str(body, "ifName", 15, &id->nic, e) < 0) ||
	    want_str(body, "podNamespace", 253, &id->ns, e) < 0 ||
	    want_str(body, "podName", 253, &id->name, e) < 0 ||
	    want_str(body, "podUID", 253, &id->uid, e) < 0 ||
	    json_opt_str(body, "netNamespace", &id->netns, e) < 0)
		return -1;
	if (strlen(id->netns) >= PATH_MAX)
		return err_set(e, ERR_PROTO, "netNamespace: longer than %d bytes", PATH_MAX - 1);
	if (!*id->cid)
		return err_set(e, ERR_PROTO, "containerID: empty");
	if (nic && !*id->nic)
		return err_set(e, ERR_PROTO, "ifName: empty");
	if (!*id->ns != !*id->name)
		return err_set(e, ERR_PROTO, "%s: empty, while %s is not",
		               *id->ns ? "podName" : "podNamespace",
		               *id->ns ? "podNamespace" : "podName");
	/* what the state files cannot be named by must not reach the ledger */
	if (check_id("containerID", id->cid, e) < 0)
		return -1;
	if (nic && link_check_name(id->nic, e) < 0)
		return err_wrap(e, "ifName");
	if (check_word("ifName", id->nic, e) < 0 || check_word("podNamespace", id->ns, e) < 0 ||
	    check_word("podName", id->name, e) < 0)
		return -1;
	return check_word("podUID", id->uid, e);
}

/* Waiting for the ledger. */
enum outcome { ANSWERED, LATE, HUNG_UP };

/*
 * The request is given to the ledger; ANSWERED: it is ours again.  Else it is the ledger's: the
 * time is over, or the client went away (what was planned already is then found by its next try).
 */
static enum outcome ask(struct call *c, struct ledger_request *r, struct mono until)
{
	struct pollfd fds[] = { { r->event, POLLIN, 0 }, { c->connection->fd, 0, 0 } };
	enum outcome why = LATE;
	uint64_t times;
	ssize_t n;
	int left;

	/* before it is: the ledger looks once when it gets the request, and would wait for it */
	server_arrived(c->connection, &c->agent->socket_config);
	if (!ledger_submit(c->agent->ledger, r)) {
		r->kind = ERR_UNREACHABLE;
		r->text = xstrdup("the agent is being stopped");
		return ANSWERED;
	}
	while ((left = mono_left_ms(until)) != 0) {
		if (poll(fds, 2, left) < 0 && errno != EINTR)
			break;
		if (fds[0].revents)
			break;
		if (fds[1].revents & (POLLHUP | POLLERR)) {
			why = HUNG_UP;
			break;
		}
	}
	/* who gives up knows nothing of an address: it goes back.  One whose client went away may
	 * be asked for again by the next try */
	if (!fds[0].revents && ledger_abandon(r, why == LATE))
		return why;
	/* here by now, or in a moment */
	do
		n = read(r->event, &times, sizeof(times));
	while (n < 0 && errno == EINTR);
	return n == sizeof(times) ? ANSWERED : LATE;
}

/* So long after its begin: also the deadlines of what its handler waits for. */
static struct mono after_begin(const struct call *c, int64_t ms)
{
	return mono_after((struct mono){ c->started_us / 1000 }, ms);
}

/* To the first call: what is told of a request agrees. */
static int64_t took_us(struct call *c)
{
	if (!c->took_us)
		c->took_us = mono_us() - c->started_us;
	return c->took_us;
}

typedef void count_fn(struct metrics *m, int64_t us, int64_t limit_us, enum err_kind kind);

static void count(struct call *c, count_fn *fn)
{
	enum err_kind kind = c->failed || c->answer->status == 200 ? c->failed : ERR_PROTO;
	int64_t us = took_us(c);

	fn(c->agent->metrics, us, c->planned_us ? c->planned_us - c->started_us : us, kind);
}

static int elapsed(struct call *c)
{
	return (int)(took_us(c) / 1000);
}

/* ADD. */
static json *route_object(const char *nic, const char *dst, struct ip gw)
{
	json *o = json_new_object();

	json_set_str(o, "ifName", nic);
	json_set_str(o, "dst", dst);
	json_set_str(o, "gw", ip_str(gw).s);
	return o;
}

static json *ip_object(const struct grant *g, const struct settings *settings)
{
	json *ip = json_new_object();

	json_set_i64(ip, "version", g->address.ip.family);
	json_set_str(ip, "address", cidr_str(g->address).s);
	json_set_str(ip, "nic", g->nic);
	json_set_str(ip, "ipPool", g->pool);
	if (g->gateway.family)
		json_set_str(ip, "gateway", ip_str(g->gateway).s);
	json_set_i64(ip, "vlan", 0);
	json_set_bool(ip, "enableGatewayDetection", settings->gateway_detection);
	json_set_bool(ip, "enableIPConflictDetection", settings->conflict_detection);
	return ip;
}

static void add_routes(json *list, const struct grant *g)
{
	for (size_t i = 0; i < g->n_routes; i++)
		json_append(list,
		            route_object(g->nic, cidr_str(g->routes[i].dst).s, g->routes[i].gw));
}

/* A route of the pod's own belongs to the first address in whose subnet its gateway is. */
static bool is_route_of(const struct ledger_request *r, size_t route, size_t grant)
{
	for (size_t i = 0; i <= grant; i++)
		if (cidr_contains(r->grants[i].address, r->routes[route].gw))
			return i == grant;
	return false;
}

static json *add_document(const struct ledger_request *r, const struct settings *settings)
{
	json *doc = json_new_object(), *ips = json_new_array(), *routes = json_new_array();

	for (size_t i = 0; i < r->n_grants; i++) {
		const struct grant *g = &r->grants[i];

		json_append(ips, ip_object(g, settings));
		add_routes(routes, g);
		for (size_t k = 0; k < r->n_routes; k++)
			if (is_route_of(r, k, i))
				json_append(routes,
				            route_object(g->nic, cidr_str(r->routes[k].dst).s,
				                         r->routes[k].gw));
		if (g->gateway.family && !r->choice.clean_gateway)
			json_append(routes,
			            route_object(g->nic,
			                         g->gateway.family == 4 ? "0.0.0.0/0" : "::/0",
			                         g->gateway));
	}
	json_set(doc, "ips", ips);
	json_set(doc, "routes", routes);
	return doc;
}

/* Without it nobody would know that the container lives when its pod is gone. */
static int keep_attachment(const struct call *c, const struct identity *id,
                           const struct ledger_request *r, struct err *e)
{
	const char *network = json_str_at(c->body, "networkName", NULL);
	struct cidr addresses[FAMILIES];
	struct stat st;
	struct attachment a = {
		.container_id = (char *)(uintptr_t)id->cid,
		.ifname = (char *)(uintptr_t)id->nic,
		.netns = (char *)(uintptr_t)id->netns,
		.pod_namespace = (char *)(uintptr_t)id->ns,
		.pod_name = (char *)(uintptr_t)id->name,
		.pod_uid = r->uid,
		.pool = r->grants[0].pool,
		.network = network && strlen(network) <= CNI_ID_MAX ? (char *)(uintptr_t)network
		                                                    : NULL,
		.addresses = addresses,
		.n_addresses = r->n_grants,
		.boot_id = c->agent->boot_id,
	};

	for (size_t i = 0; i < r->n_grants; i++)
		addresses[i] = r->grants[i].address;
	/* a process's entry means something only where its number does */
	if (*id->netns && !str_starts(id->netns, "/proc/") && stat(id->netns, &st) == 0)
		a.netns_inode = st.st_ino;
	return attachment_write(c->agent->config.state_dir, &a, e);
}

/* What this ADD took, and it fails after all; nobody waits for that. */
static void take_back(const struct call *c, const struct ledger_request *r)
{
	struct ledger_request *back = ledger_request_new(LEDGER_FREE, r->pod, r->uid, r->nic,
	                                                 r->cid, mono_in(TAKE_BACK_MS), -1);

	memcpy(back->addresses, r->took, sizeof(back->addresses));
	if (!ledger_submit(c->agent->ledger, back))
		ledger_request_free(back);
}

static bool may_work_soon(enum err_kind k)
{
	return k == ERR_TIMEOUT || k == ERR_UNREACHABLE || k == ERR_THROTTLED;
}

/* Of f the pod is filled in here. */
static void add_failed(struct call *c, const char *pod, const struct identity *id,
                       struct add_failure f)
{
	log_warn("ADD pod=%s nic=%s cid=%.13s ms=%d: %s", pod, id->nic, id->cid, elapsed(c),
	         f.text);
	say(c, 500, f.text);
	c->answer->retry_after_s = may_work_soon(f.kind) ? RETRY_S : 0;
	c->failed = f.kind;
	f.ns = id->ns;
	f.name = id->name;
	f.uid = id->uid;
	events_failed(c->agent->events, &f);
}

/* A gateway that is in none of the pod's subnets so far may be in that of a NIC that comes. */
static void warn_of_routes(const struct call *c, const struct identity *id,
                           const struct ledger_request *r)
{
	AUTO_FREE char *text = NULL;
	AUTO_STR routes = STR_INIT;

	for (size_t k = 0; k < r->n_routes && !r->more_nics; k++)
		if (r->strays[k])
			str_addf(&routes, "%s%s via %s", routes.len ? ", " : "",
			         cidr_str(r->routes[k].dst).s, ip_str(r->routes[k].gw).s);
	if (!routes.len)
		return;
	text = xasprintf("the gateway is in none of the pod's subnets: route %s", routes.data);
	log_warn("ADD pod=%s nic=%s: left out, %s", r->pod, id->nic, text);
	events_failed(c->agent->events,
	              &(struct add_failure){
			      .ns = id->ns,
			      .name = id->name,
			      .uid = id->uid,
			      .text = text,
			      .reason = "IgnoredRoutes",
			      .remedy = "correct the pod's annotation " CHOICE_ROUTES ", or take "
					"these routes out of it",
		      });
}

static void finish_add(struct call *c, const struct identity *id, const struct ledger_request *r)
{
	AUTO_JSON *doc = NULL;
	struct err e;

	c->planned_us = r->planned_us;
	if (r->kind != ERR_NONE) {
		add_failed(c, r->pod, id,
		           (struct add_failure){ .network = r->network,
		                                 .kind = r->kind,
		                                 .text = r->text,
		                                 .remedy = r->remedy });
		return;
	}
	failpoint("add-decided");
	if (keep_attachment(c, id, r, &e) < 0) {
		err_prefix(&e, "the attachment cannot be recorded");
		take_back(c, r);
		add_failed(c, r->pod, id,
		           (struct add_failure){
				   .network = r->network, .kind = ERR_UNREACHABLE, .text = e.msg });
		return;
	}
	failpoint("add-unanswered");
	warn_of_routes(c, id, r);
	doc = add_document(r, c->agent->config.settings);
	show(c, doc);
	for (size_t i = 0; i < r->n_grants; i++)
		log_info("ADD pod=%s nic=%s cid=%.13s address=%s pool=%s ms=%d", r->pod, id->nic,
		         id->cid, cidr_str(r->grants[i].address).s, r->grants[i].pool, elapsed(c));
}

static void add_for(struct call *c, const struct identity *id)
{
	int64_t ms = c->agent->config.add_ms ? c->agent->config.add_ms : AGENT_ADD_MS;
	struct mono deadline = after_begin(c, ms);
	int event = server_event(c->connection);
	AUTO_FREE char *pod = NULL;
	struct ledger_request *r;
	struct add_failure failed = { .ns = NULL };
	struct err e;

	if (event < 0) {
		say(c, 500, "no more files can be opened");
		return;
	}
	pod = pod_key(id->ns, id->name, id->cid);
	r = ledger_request_new(LEDGER_ADD, pod, id->uid, id->nic, id->cid, deadline, event);
	r->client = c->connection->fd;
	if (wants_fill(c->agent, id, c->body, r, &e) < 0) {
		add_failed(c, pod, id, (struct add_failure){ .kind = e.kind, .text = e.msg });
	} else {
		switch (ask(c, r, (struct mono){ deadline.ms + GRACE_MS })) {
		case ANSWERED:
			finish_add(c, id, r);
			break;
		case LATE:
			failed.kind = ERR_TIMEOUT;
			failed.text = "the store did not acknowledge the address in time";
			add_failed(c, pod, id, failed);
			return;
		case HUNG_UP:
			failed.kind = ERR_UNREACHABLE;
			failed.text = "the client went away";
			add_failed(c, pod, id, failed);
			return;
		}
	}
	ledger_request_free(r);
}

static void add_ip(struct call *c)
{
	struct inflight_entry entry;
	struct identity id;
	struct err e;

	if (read_identity(c->body, true, &id, &e) < 0) {
		say(c, 500, e.msg);
		return;
	}
	inflight_enter(&c->agent->inflight, &entry, id.cid);
	add_for(c, &id);
	inflight_leave(&c->agent->inflight, &entry);
}

static void post_ip(struct call *c)
{
	endpoints_request(c->agent->endpoints, true, after_begin(c, 0));
	add_ip(c);
	endpoints_request(c->agent->endpoints, false, after_begin(c, took_us(c) / 1000));
	count(c, metrics_allocation);
}

/* DEL. */
static int write_release(const struct call *c, const struct identity *id, struct err *e)
{
	struct release rel = {
		.container_id = (char *)(uintptr_t)id->cid,
		.ifname = (char *)(uintptr_t)id->nic,
		.netns = (char *)(uintptr_t)id->netns,
		.pod_namespace = (char *)(uintptr_t)id->ns,
		.pod_name = (char *)(uintptr_t)id->name,
		.pod_uid = (char *)(uintptr_t)id->uid,
	};

	return release_write(c->agent->config.state_dir, &rel, e);
}

/* All of a container. */
static void forget_attachments(const struct call *c, const char *cid)
{
	struct attachment *v;
	size_t n;

	if (attachment_list(c->agent->config.state_dir, &v, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (streq(v[i].container_id, cid))
			IGNORE(attachment_remove(c->agent->config.state_dir, cid, v[i].ifname,
			                         NULL));
		attachment_release(&v[i]);
	}
	free(v);
}

static void finish_del(struct call *c, const struct identity *id, const struct ledger_request *r)
{
	struct err e;

	failpoint("del-done");
	if (!*id->nic)
		forget_attachments(c, id->cid);
	else if (attachment_remove(c->agent->config.state_dir, id->cid, id->nic, &e) < 0)
		log_warn_err(&e, "attachment of %s", id->cid);
	failpoint("del-unanswered");
	for (size_t i = 0; i < r->n_grants; i++)
		log_info("DEL pod=%s nic=%s cid=%.13s address=%s pool=%s ms=%d", r->pod, id->nic,
		         id->cid, ip_str(r->grants[i].address.ip).s, r->grants[i].pool, elapsed(c));
	if (!r->n_grants)
		log_info("DEL pod=%s nic=%s cid=%.13s ms=%d: nothing was there", r->pod, id->nic,
		         id->cid, elapsed(c));
}

/* The store does not answer in time: what cannot be freed now will be. */
static void del_later(struct call *c, const struct identity *id, enum err_kind kind,
                      const char *why)
{
	struct err e;

	c->failed = kind;
	if (*id->nic && write_release(c, id, &e) == 0) {
		failpoint("del-queued");
		log_info("DEL pod=%s/%s nic=%s cid=%.13s ms=%d: queued, %s", id->ns, id->name,
		         id->nic, id->cid, elapsed(c), why);
		return;
	}
	if (!*id->nic)
		err_fill(&e, ERR_TIMEOUT, "%s", why);
	log_err(&e, "DEL pod=%s/%s cid=%.13s", id->ns, id->name, id->cid);
	say(c, 500, e.msg);
}

/* Where the addresses are is known here, even if nobody tells us of that pool any more. */
static char *pool_of(const struct call *c, const struct identity *id)
{
	struct attachment a;
	char *pool;

	if (!*id->nic ||
	    attachment_read(c->agent->config.state_dir, id->cid, id->nic, &a, NULL) < 0)
		return NULL;
	pool = a.pool && *a.pool ? xstrdup(a.pool) : NULL;
	attachment_release(&a);
	return pool;
}

static void release_call(struct call *c, bool nic, struct mono deadline)
{
	int event = server_event(c->connection);
	AUTO_FREE char *pod = NULL;
	struct ledger_request *r;
	struct identity id;
	enum outcome outcome;
	struct err e;

	if (read_identity(c->body, nic, &id, &e) < 0) {
		say(c, 500, e.msg);
		return;
	}
	if (event < 0) {
		del_later(c, &id, ERR_SYS, "no more files can be opened");
		return;
	}
	pod = pod_key(id.ns, id.name, id.cid);
	r = ledger_request_new(LEDGER_DEL, pod, id.uid, id.nic, id.cid, deadline, event);
	r->pool = pool_of(c, &id);
	outcome = ask(c, r, (struct mono){ deadline.ms + GRACE_MS / 5 });
	if (outcome != ANSWERED) {
		del_later(c, &id, outcome == LATE ? ERR_TIMEOUT : ERR_UNREACHABLE,
		          outcome == LATE ? "the store does not answer" : "the client went away");
		return;
	}
	c->planned_us = r->planned_us;
	if (r->kind == ERR_NONE)
		finish_del(c, &id, r);
	else
		del_later(c, &id, r->kind, r->text);
	ledger_request_free(r);
}

static void delete_ip(struct call *c)
{
	endpoints_request(c->agent->endpoints, true, after_begin(c, 0));
	release_call(c, true, after_begin(c, AGENT_DEL_MS));
	endpoints_request(c->agent->endpoints, false, after_begin(c, took_us(c) / 1000));
	count(c, metrics_release);
}

/* Somebody else answers for an address: it is held back, and nobody is given it for a while. */
static void hold_back(struct call *c, const struct identity *id, struct ip ip, const char *reason)
{
	int event = server_event(c->connection);
	struct mono deadline = mono_in(AGENT_DEL_MS);
	AUTO_FREE char *pod = NULL;
	struct ledger_request *r;

	if (event < 0)
		return;
	pod = pod_key(id->ns, id->name, id->cid);
	r = ledger_request_new(LEDGER_QUARANTINE, pod, id->uid, id->nic, id->cid, deadline, event);
	r->addresses[ip.family == 4 ? V4 : V6] = ip;
	r->reason = xstrndup(reason, REASON_MAX);
	if (ask(c, r, (struct mono){ deadline.ms + GRACE_MS / 5 }) != ANSWERED)
		return;
	if (r->kind == ERR_NONE)
		log_warn("address %s is held back: %s", ip_str(ip).s, r->reason);
	else
		log_warn("address %s is not held back: %s", ip_str(ip).s, r->text);
	ledger_request_free(r);
}

static int read_conflicts(const json *body, const json **out, bool *release, struct err *e)
{
	*out = NULL;
	*release = false;
	if (json_opt_arr(body, "conflicts", out, e) < 0 ||
	    json_opt_bool(body, "isReleaseConflictIPs", release, e) < 0)
		return -1;
	json_each(item, *out)
	{
		const char *address, *reason;
		struct ip ip;

		if (json_str(item, "address", &address, e) < 0 || ip_parse(address, &ip, e) < 0 ||
		    json_str(item, "reason", &reason, e) < 0)
			return err_wrap(e, "conflicts");
	}
	return 0;
}

/* The original's answers to who asks to release conflicting addresses (B8): 521, 522. */
static bool may_release(struct call *c, const struct identity *id)
{
	struct pod_facts f;
	bool kept;

	if (c->agent->config.keep_conflict_ips) {
		say(c, 521, "forbid releasing IPs for stateless workload");
		return false;
	}
	if (!pods_known(c->agent->pods, id->ns, id->name, &f))
		return true;
	kept = (f.statefulset && c->agent->config.settings->statefulset) ||
	       (*f.vmi && c->agent->config.settings->kubevirt);
	pod_facts_release(&f);
	if (kept)
		say(c, 522, "forbid releasing IPs for stateful workload");
	return !kept;
}

static void release_all(struct call *c)
{
	/* ours says which NIC it is about; the original means all */
	bool nic = json_get(c->body, "ifName") != NULL, release;
	const json *conflicts;
	struct identity id;
	struct err e;

	if (read_identity(c->body, nic, &id, &e) < 0 ||
	    read_conflicts(c->body, &conflicts, &release, &e) < 0) {
		say(c, 500, e.msg);
		return;
	}
	if (release && !may_release(c, &id))
		return;
	json_each(item, conflicts)
	{
		struct ip ip = { 0 };

		IGNORE(ip_parse(json_str_at(item, "address", NULL), &ip, NULL)); /* as before */
		hold_back(c, &id, ip, json_str_at(item, "reason", NULL));
	}
	release_call(c, nic, mono_in(AGENT_DEL_MS));
}

static void delete_ips(struct call *c)
{
	endpoints_request(c->agent->endpoints, true, after_begin(c, 0));
	release_all(c);
	endpoints_request(c->agent->endpoints, false, after_begin(c, took_us(c) / 1000));
	count(c, metrics_release);
}

static void post_ips(struct call *c)
{
	(void)c; /* the original's does nothing either, and answers 200 */
}

/* What is asked about. */
static char *query_value(const struct call *c, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = c->query; *p;) {
		size_t len = strcspn(p, "&");

		if (len > n && strncmp(p, key, n) == 0 && p[n] == '=') {
			AUTO_STR out = STR_INIT;

			if (url_decode(p + n + 1, len - n - 1, &out, NULL) < 0)
				return NULL;
			return str_take(&out);
		}
		p += len + (p[len] == '&');
	}
	return NULL;
}

static bool is_first_of_nic(const struct pod_grants *g, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (streq(g->v[k].nic, g->v[i].nic))
			return false;
	return true;
}

/* A NIC with its addresses of both families. */
static json *interface_object(const struct pod_grants *g, const char *nic)
{
	json *o = json_new_object(), *routes = json_new_array();

	json_set_str(o, "interface", nic);
	for (size_t i = 0; i < g->n; i++) {
		const struct grant *one = &g->v[i];
		bool v4 = one->address.ip.family == 4;

		if (!streq(one->nic, nic))
			continue;
		json_set_str(o, v4 ? "ipv4" : "ipv6", cidr_str(one->address).s);
		json_set_str(o, v4 ? "ipv4Pool" : "ipv6Pool", one->pool);
		if (one->gateway.family)
			json_set_str(o, v4 ? "ipv4Gateway" : "ipv6Gateway", ip_str(one->gateway).s);
		add_routes(routes, one);
	}
	json_set(o, "routes", routes);
	return o;
}

static void show_endpoint(struct call *c, const char *ns, const char *name,
                          const struct pod_grants *g)
{
	AUTO_JSON *doc = json_new_object();
	json *list = json_new_array();

	json_set_str(doc, "podNamespace", ns);
	json_set_str(doc, "podName", name);
	json_set_str(doc, "podUID", g->uid);
	json_set_str(doc, "node", c->agent->config.node);
	for (size_t i = 0; i < g->n; i++)
		if (is_first_of_nic(g, i))
			json_append(list, interface_object(g, g->v[i].nic));
	json_set(doc, "interfaces", list);
	show(c, doc);
}

static void get_endpoint(struct call *c)
{
	AUTO_FREE char *ns = query_value(c, "podNamespace");
	AUTO_FREE char *name = query_value(c, "podName");
	struct mono deadline = after_begin(c, 5000);
	int event = server_event(c->connection);
	AUTO_FREE char *pod = NULL;
	struct ledger_request *r;

	if (!ns || !*ns || !name || !*name) {
		say(c, 400, ns && *ns ? "podName: missing" : "podNamespace: missing");
		return;
	}
	if (event < 0) {
		say(c, 500, "no more files can be opened");
		return;
	}
	pod = xasprintf("%s/%s", ns, name);
	r = ledger_request_new(LEDGER_QUERY, pod, "", "", "", deadline, event);
	if (ask(c, r, (struct mono){ deadline.ms + GRACE_MS }) != ANSWERED) {
		say(c, 500, "the IPPools are not known yet");
		return;
	}
	if (r->kind != ERR_NONE)
		say(c, 500, r->text);
	else if (!r->pod_grants->n)
		say(c, 404, "no address is recorded for that pod");
	else
		show_endpoint(c, ns, name, r->pod_grants);
	ledger_request_free(r);
}

static void get_coordinator(struct call *c)
{
	const char *ns = json_str_at(c->body, "podNamespace", NULL);
	const char *name = json_str_at(c->body, "podName", NULL);
	AUTO_JSON *doc = NULL;
	struct pod_facts f;

	if (ns && name && pods_known(c->agent->pods, ns, name, &f)) {
		doc = coordinator_config(c->agent->coordinator, f.route_nic);
		pod_facts_release(&f);
	} else {
		doc = coordinator_config(c->agent->coordinator, "");
	}
	show(c, doc);
}

static void ask_multus(struct call *c,
                       int (*fn)(struct agent *a, const json *body, json **answer, struct err *e))
{
	AUTO_JSON *doc = NULL;
	struct err e;

	if (fn(c->agent, c->body, &doc, &e) == 0) {
		if (doc)
			show(c, doc);
		return;
	}
	/* only ours asks: any status will do */
	say(c, e.kind == ERR_NOT_FOUND ? 404 : e.kind == ERR_PROTO ? 400 : 500, e.msg);
	c->answer->retry_after_s = may_work_soon(e.kind) ? RETRY_S : 0;
}

static void post_multus_pod(struct call *c)
{
	ask_multus(c, multus_pod);
}

static void post_multus_networks(struct call *c)
{
	ask_multus(c, multus_networks);
}

static void post_multus_status(struct call *c)
{
	ask_multus(c, multus_status);
}

static void get_healthy(struct call *c)
{
	if (agent_synced(c->agent))
		return;
	say(c, 500, "the agent has not read the store yet");
	c->answer->retry_after_s = RETRY_S;
}

static void get_liveness(struct call *c)
{
	if (!ledger_alive(c->agent->ledger))
		say(c, 500, "the ledger does not move");
}

static void get_stats(struct call *c)
{
	struct ledger_stats s = ledger_stats(c->agent->ledger);
	AUTO_JSON *doc = json_new_object();

	json_set_i64(doc, "poolWrites", (int64_t)s.pool_writes);
	json_set_i64(doc, "adds", (int64_t)s.adds);
	json_set_i64(doc, "dels", (int64_t)s.dels);
	json_set_i64(doc, "conflicts", (int64_t)s.conflicts);
	show(c, doc);
}

enum body_kind { NO_BODY, OPTIONAL_BODY, JSON_BODY };

struct route {
	const char *method, *path;
	enum body_kind body;
	void (*serve)(struct call *c);
};

static const struct route runtime_routes[] = {
	{ "GET", "/v1/runtime/startup", NO_BODY, get_healthy },
	{ "GET", "/v1/runtime/readiness", NO_BODY, get_healthy },
	{ "GET", "/v1/runtime/liveness", NO_BODY, get_liveness },
	{ NULL, NULL, NO_BODY, NULL },
};

static const struct route routes[] = {
	{ "POST", "/v1/ipam/ip", JSON_BODY, post_ip },
	{ "DELETE", "/v1/ipam/ip", JSON_BODY, delete_ip },
	{ "POST", "/v1/ipam/ips", NO_BODY, post_ips },
	{ "DELETE", "/v1/ipam/ips", JSON_BODY, delete_ips },
	{ "GET", "/v1/ipam/healthy", NO_BODY, get_healthy },
	{ "GET", "/v1/workloadendpoint", NO_BODY, get_endpoint },
	{ "GET", "/v1/coordinator/config", OPTIONAL_BODY, get_coordinator },
	{ "POST", "/v1/multus/pod", JSON_BODY, post_multus_pod },
	{ "POST", "/v1/multus/networks", JSON_BODY, post_multus_networks },
	{ "POST", "/v1/multus/status", JSON_BODY, post_multus_status },
	{ "GET", "/v1/debug/stats", NO_BODY, get_stats },
	{ NULL, NULL, NO_BODY, NULL },
};

/* The route, or NULL; *other: the path is known, with another method. */
static const struct route *find(const struct route *table, const char *method, const char *path,
                                size_t len, bool *other)
{
	for (; table->path; table++) {
		if (strlen(table->path) != len || strncmp(table->path, path, len) != 0)
			continue;
		if (streq(table->method, method))
			return table;
		*other = true;
	}
	return NULL;
}

static bool parse_body(struct call *c, enum body_kind kind)
{
	struct err e;

	if (kind == NO_BODY || (kind == OPTIONAL_BODY && !c->in->body_len))
		return true;
	if (json_parse(c->in->body, c->in->body_len, JSON_UNIQUE, &c->body, &e) < 0)
		err_prefix(&e, "body");
	else if (!json_is_object(c->body))
		err_fill(&e, ERR_PROTO, "body: not an object");
	else
		return true;
	say(c, 500, e.msg);
	return false;
}

static void serve(struct call *c, const struct route *const *tables)
{
	const char *target = c->in->target;
	size_t len = strcspn(target, "?");
	const struct route *r = NULL;
	bool other = false;

	c->query = target[len] ? target + len + 1 : "";
	for (; *tables && !r; tables++)
		r = find(*tables, c->in->method, target, len, &other);
	if (!r)
		say(c, other ? 405 : 404, other ? "not with this method" : "no such path");
	else if (parse_body(c, r->body))
		r->serve(c);
	json_free(c->body);
}

static void handle_socket(void *ctx, struct server_connection *connection,
                          const struct http_incoming *in, struct server_answer *a)
{
	static const struct route *const tables[] = { routes, runtime_routes, NULL };
	struct call c = { ctx, connection, in, a, NULL, "", mono_us(), 0, 0, ERR_NONE };

	serve(&c, tables);
}

static void handle_health(void *ctx, struct server_connection *connection,
                          const struct http_incoming *in, struct server_answer *a)
{
	static const struct route *const tables[] = { runtime_routes, NULL };
	struct call c = { ctx, connection, in, a, NULL, "", mono_us(), 0, 0, ERR_NONE };

	serve(&c, tables);
}

static void arriving(void *ctx, int change)
{
	ledger_arriving(((struct agent *)ctx)->ledger, change);
}

const struct server_ops api_socket_ops = { handle_socket, arriving };
const struct server_ops api_health_ops = { handle_health, NULL };
