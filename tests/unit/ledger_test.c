/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/choice.c agent/networks.c agent/ledger.c agent/slots.c agent/plan.c agent/jobs.c agent/requests.c agent/rounds.c agent/turns.c */
/* links: agent/poolstate.c agent/pause.c agent/thread.c */
/* links: store/store.c store/dir.c store/dir_watch.c k8s/ippool.c k8s/labels.c pool/ net/ip.c json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * ledger_test.c - the ledger over a directory store that fails as told: group commit, conflicts,
 * lost answers, stale knowledge, deadlines, and who yields to whom.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ledger.h"
#include "store/backend.h"

/* There is no API server here. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)path;
	(void)context;
	(void)out;
	return err_set(e, ERR_CONFIG, "no API server in this test");
}

/* A store that fails as told. */
static struct {
	struct store base;
	struct store *real;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int conflicts;    /* so many status patches are refused */
	int lost;         /* so many are done, and the answer gets lost */
	enum err_kind no; /* every call fails so */
	bool held;        /* status patches wait */
	bool held_lists;  /* lists wait, before they tell what they read */
	int waiting;      /* how many do */
	int patches, gets, lists;
} faulty;

static enum err_kind fate(bool patch, bool *lose)
{
	enum err_kind k;

	*lose = false;
	pthread_mutex_lock(&faulty.lock);
	faulty.waiting += patch;
	pthread_cond_broadcast(&faulty.changed);
	while (patch && faulty.held)
		pthread_cond_wait(&faulty.changed, &faulty.lock);
	faulty.waiting -= patch;
	k = faulty.no;
	if (patch) {
		faulty.patches++;
		if (!k && faulty.conflicts) {
			faulty.conflicts--;
			k = ERR_CONFLICT;
		} else if (!k && faulty.lost) {
			faulty.lost--;
			*lose = true;
		}
	}
	pthread_mutex_unlock(&faulty.lock);
	return k;
}

static int count(int *n)
{
	int v;

	pthread_mutex_lock(&faulty.lock);
	v = *n;
	pthread_mutex_unlock(&faulty.lock);
	return v;
}

static void set(int *n, int v)
{
	pthread_mutex_lock(&faulty.lock);
	*n = v;
	pthread_mutex_unlock(&faulty.lock);
}

static void hold(bool on)
{
	pthread_mutex_lock(&faulty.lock);
	faulty.held = on;
	pthread_cond_broadcast(&faulty.changed);
	pthread_mutex_unlock(&faulty.lock);
}

static void refuse(enum err_kind k)
{
	pthread_mutex_lock(&faulty.lock);
	faulty.no = k;
	pthread_mutex_unlock(&faulty.lock);
}

static void add_one(int *n)
{
	pthread_mutex_lock(&faulty.lock);
	(*n)++;
	pthread_mutex_unlock(&faulty.lock);
}

static int f_get(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
                 struct mono deadline, struct err *e)
{
	bool lose;
	enum err_kind no = fate(false, &lose);

	(void)s;
	add_one(&faulty.gets);
	if (no)
		return err_set(e, no, "the store is out of order");
	return store_get(faulty.real, k, ns, name, out, deadline, e);
}

static int f_list(struct store *s, enum store_kind k, const char *ns,
                  const struct k8s_selector *sel, json **items, char **version,
                  struct mono deadline, struct err *e)
{
	bool lose;
	enum err_kind no = fate(false, &lose);

	(void)s;
	if (no)
		return err_set(e, no, "the store is out of order");
	if (store_list(faulty.real, k, ns, sel, items, version, deadline, e) < 0)
		return -1;
	pthread_mutex_lock(&faulty.lock);
	faulty.lists++;
	pthread_cond_broadcast(&faulty.changed);
	while (faulty.held_lists)
		pthread_cond_wait(&faulty.changed, &faulty.lock);
	pthread_mutex_unlock(&faulty.lock);
	return 0;
}

static int f_patch(struct store *s, enum store_kind k, const char *ns, const char *name,
                   bool status, const json *patch, json **out, struct mono deadline, struct err *e)
{
	bool lose;
	enum err_kind no = fate(status, &lose);

	(void)s;
	if (no)
		return err_set(e, no, "the store is out of order");
	if (store_patch(faulty.real, k, ns, name, status, patch, lose ? NULL : out, deadline, e) <
	    0)
		return -1;
	return lose ? err_set(e, ERR_UNREACHABLE, "the connection was lost") : 0;
}

static void hold_lists(bool on)
{
	pthread_mutex_lock(&faulty.lock);
	faulty.held_lists = on;
	pthread_cond_broadcast(&faulty.changed);
	pthread_mutex_unlock(&faulty.lock);
}

static const struct store_ops faulty_ops = { .get = f_get, .list = f_list, .patch = f_patch };

#define MANY 100 /* names and a NULL */

/* The fixture. */
static char folder[64];
static struct ledger *ledger;
static int event;
static pthread_mutex_t change_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_change[256];

static void on_changed(void *ctx, struct pod_grants *g)
{
	(void)ctx;
	pthread_mutex_lock(&change_lock);
	snprintf(last_change, sizeof(last_change), "%s %s %zu", g->pod, g->uid, g->n);
	pthread_mutex_unlock(&change_lock);
	pod_grants_free(g);
}

static struct ledger_config config = {
	.store = &faulty.base,
	.keep_statefulset = true,
	.node = "master",
	.agent_namespace = "kube-system",
	.changed = on_changed,
};

static int setup(void **state)
{
	AUTO_FREE char *spec = NULL;
	struct ip_set none = IP_SET_INIT;
	struct err e;

	(void)state;
	memset(&faulty, 0, sizeof(faulty));
	faulty.base.ops = &faulty_ops;
	pthread_mutex_init(&faulty.lock, NULL);
	pthread_cond_init(&faulty.changed, NULL);
	snprintf(folder, sizeof(folder), "/tmp/ledger_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	spec = xasprintf("dir:%s", folder);
	event = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	if (store_open(spec, NULL, &faulty.real, &e) < 0 || ledger_start(&config, &ledger, &e) < 0)
		fail_msg("%s", e.msg);
	ledger_reserved(ledger, &none);
	return 0;
}

/* Its pools are watched by their labels. */
static int setup_scoped(void **state)
{
	config.scoped = true;
	return setup(state);
}

static int teardown(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	hold(false);
	hold_lists(false);
	ledger_stop(ledger);
	ledger_free(ledger);
	config.scoped = false;
	store_close(faulty.real);
	close(event);
	pthread_mutex_destroy(&faulty.lock);
	pthread_cond_destroy(&faulty.changed);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static struct mono soon(void)
{
	return mono_in(20000);
}

/* What the walkthrough's pools look like when admission is through. */
static void make_pool(const char *name, const char *ips, const char *more)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"%s\",\"finalizers\":[\"spiderpool.spidernet.io\"]},"
		"\"spec\":{\"ipVersion\":4,\"default\":true,\"subnet\":\"10.0.0.0/16\","
		"\"gateway\":\"10.0.255.254\",\"ips\":[\"%s\"]%s},"
		"\"status\":{\"allocatedIPCount\":0,\"totalIPCount\":%d}}",
		name, ips, more, 0);
	AUTO_JSON *o = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &o, &e) < 0 ||
	    store_create(faulty.real, STORE_IPPOOL, o, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static struct pool_state read_pool(const char *name)
{
	struct pool_state s = { .total = 0 };
	AUTO_JSON *o = NULL;
	struct err e;

	if (store_get(faulty.real, STORE_IPPOOL, NULL, name, &o, soon(), &e) < 0 ||
	    pool_state_read(o, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static size_t records(const char *name)
{
	struct pool_state s = read_pool(name);
	size_t n = s.p.n_records;

	pool_state_release(&s);
	return n;
}

/* Tells the ledger what there is, and waits until admission has written its counts. */
static void tell(const char *first)
{
	AUTO_JSON *items = NULL;
	struct mono until = soon();
	struct err e;

	if (store_list(faulty.real, STORE_IPPOOL, NULL, NULL, &items, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	ledger_pools_listed(ledger, LEDGER_SCOPE_ALL, items);
	for (bool done = false; !done;) {
		struct pool_state s = read_pool(first);

		done = s.total == (int64_t)pool_total(&s.p) && s.has_version && s.finalizers;
		pool_state_release(&s);
		assert_false(mono_passed(until));
		mono_sleep_until(mono_in(1));
	}
	set(&faulty.patches, 0);
	set(&faulty.gets, 0);
	set(&faulty.lists, 0);
}

static struct ledger_request *request(enum ledger_op op, const char *pod, const char *cid,
                                      int64_t ms)
{
	AUTO_FREE char *full = xasprintf("default/%s", pod);
	AUTO_FREE char *uid = xasprintf("uid-%s", pod);

	return ledger_request_new(op, full, uid, "eth0", cid, mono_in(ms), event);
}

static void submit(struct ledger_request *r)
{
	assert_true(ledger_submit(ledger, r));
}

static void await_answers(size_t n)
{
	uint64_t one;

	while (n--) {
		struct pollfd p = { event, POLLIN, 0 };

		assert_int_equal(poll(&p, 1, 30000), 1);
		assert_int_equal(read(event, &one, sizeof(one)), sizeof(one));
	}
}

static void await_patch(void)
{
	pthread_mutex_lock(&faulty.lock);
	while (!faulty.waiting)
		pthread_cond_wait(&faulty.changed, &faulty.lock);
	pthread_mutex_unlock(&faulty.lock);
}

static struct ledger_request *run(struct ledger_request *r)
{
	submit(r);
	await_answers(1);
	return r;
}

static void add_gives(const char *pod, const char *cid, const char *address)
{
	struct ledger_request *r = run(request(LEDGER_ADD, pod, cid, 20000));

	if (r->kind)
		fail_msg("%s", r->text);
	assert_string_equal(cidr_str(r->grants[0].address).s, address);
	ledger_request_free(r);
}

static void add_fails(struct ledger_request *r, enum err_kind kind, const char *text)
{
	run(r);
	assert_int_equal(r->kind, kind);
	assert_string_equal(r->text, text);
	ledger_request_free(r);
}

static void del(const char *pod, const char *cid, const char *address)
{
	struct ledger_request *r = run(request(LEDGER_DEL, pod, cid, 20000));

	assert_int_equal(r->kind, ERR_NONE);
	if (address)
		assert_string_equal(ip_str(r->grants[0].address.ip).s, address);
	else
		assert_int_equal(r->n_grants, 0);
	ledger_request_free(r);
}

/* Tests. */
static void admission_fills_in(void **state)
{
	AUTO_JSON *o = NULL;
	AUTO_JSON *items = NULL;
	struct pool_state s;
	struct err e;
	static const char text[] =
		"{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"x/y\"]},"
		"\"spec\":{\"default\":true,\"subnet\":\"10.0.0.0/24\",\"ips\":[\"10.0.0.1-10.0."
		"0.9\"],\"excludeIPs\":[\"10.0.0.9\"]}}";

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), 0, &o, &e), 0);
	assert_int_equal(store_create(faulty.real, STORE_IPPOOL, o, NULL, soon(), &e), 0);
	make_pool("other", "10.0.1.1-10.0.1.5", ",\"nodeName\":[\"worker\"]");
	tell("a");
	s = read_pool("a");
	assert_int_equal(s.total, 8);
	assert_int_equal(s.recorded, 0);
	assert_int_equal(json_count(s.finalizers), 2);
	assert_string_equal(json_text(json_first(s.finalizers)), "x/y");
	assert_string_equal(json_text(json_next(json_first(s.finalizers))),
	                    "spiderpool.spidernet.io");
	pool_state_release(&s);
	/* not ours: left alone */
	s = read_pool("other");
	assert_int_equal(s.total, 0);
	pool_state_release(&s);

	/* deleted while in use: it stays; with its last address the finalizer goes */
	add_gives("p", "c", "10.0.0.1/24");
	assert_int_equal(store_delete(faulty.real, STORE_IPPOOL, NULL, "a", NULL, NULL, soon(), &e),
	                 0);
	assert_int_equal(
		store_list(faulty.real, STORE_IPPOOL, NULL, NULL, &items, NULL, soon(), &e), 0);
	ledger_pools_listed(ledger, LEDGER_SCOPE_ALL, items);
	add_gives("p", "c", "10.0.0.1/24");
	add_fails(request(LEDGER_ADD, "q", "d", 5000), ERR_NO_POOL,
	          "no IPPool available, all IPv4 IPPools [other a] of eth0 filtered out: [other "
	          "is not for node master; a is being deleted]");
	del("p", "c", "10.0.0.1");
	for (struct mono until = soon();; mono_sleep_until(mono_in(1))) {
		s = read_pool("a");
		if (json_count(s.finalizers) == 1)
			break;
		assert_false(mono_passed(until));
		pool_state_release(&s);
	}
	assert_string_equal(json_text(json_first(s.finalizers)), "x/y");
	pool_state_release(&s);
}

static void tell_all(void)
{
	AUTO_JSON *items = NULL;
	struct err e;

	if (store_list(faulty.real, STORE_IPPOOL, NULL, NULL, &items, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	ledger_pools_listed(ledger, LEDGER_SCOPE_ALL, items);
}

static void spoil(const char *pool, const char *spec)
{
	AUTO_FREE char *text = xasprintf("{\"spec\":{%s}}", spec);
	AUTO_JSON *p = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &p, &e) < 0 ||
	    store_patch(faulty.real, STORE_IPPOOL, NULL, pool, false, p, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	tell_all();
}

static void delete_pool(const char *name)
{
	struct err e;

	if (store_delete(faulty.real, STORE_IPPOOL, NULL, name, NULL, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	tell_all();
}

static void await_gone(const char *name)
{
	struct mono until = soon();
	AUTO_JSON *o = NULL;

	while (store_get(faulty.real, STORE_IPPOOL, NULL, name, &o, soon(), NULL) == 0) {
		json_free(o);
		o = NULL;
		assert_false(mono_passed(until));
		mono_sleep_until(mono_in(1));
	}
}

static void set_records(const char *pool, const char *text)
{
	AUTO_JSON *patch = json_new_object();
	struct err e;

	json_set_str(json_ensure_object(patch, "status"), "allocatedIPs", text);
	if (store_patch(faulty.real, STORE_IPPOOL, NULL, pool, true, patch, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

/* Nobody frees an address that is only held back. */
static void deleted_with_what_is_held_back(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.3", "");
	set_records("a",
	            "{\"10.0.0.2\":{\"pod\":\"\",\"podUid\":\"\",\"node\":\"master\","
	            "\"conflict\":\"somebody\",\"since\":1700000000}}");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	delete_pool("a");
	add_gives("p", "c", "10.0.0.1/16");
	assert_int_equal(records("a"), 2);
	del("p", "c", "10.0.0.1");
	await_gone("a");
}

/* What is wrong with a pool holds up nobody who deletes it, as long as its records can be read. */
static void broken_and_deleted(void **state)
{
	(void)state;
	make_pool("none", "10.0.0.1-10.0.0.3", ",\"excludeIPs\":[\"oops\"]");
	make_pool("some", "10.0.1.1-10.0.1.3", ",\"excludeIPs\":[\"oops\"]");
	make_pool("odd", "10.0.2.1-10.0.2.3", "");
	make_pool("z", "10.0.4.1", "");
	set_records("some",
	            "{\"10.0.1.2\":{\"pod\":\"default/p\",\"podUid\":\"uid-p\",\"nic\":\"eth0\","
	            "\"cid\":\"c\",\"node\":\"master\"}}");
	set_records("odd", "{\"ten\":{\"pod\":\"default/p\"}}");
	tell("z");
	delete_pool("none");
	await_gone("none");
	delete_pool("odd");
	await_gone("odd");
	delete_pool("some");
	assert_int_equal(records("some"), 1);
	del("p", "c", "10.0.1.2");
	await_gone("some");
	make_pool("dark", "10.0.3.1-10.0.3.3", "");
	set_records("dark", "{garbage");
	delete_pool("dark");
	add_gives("q", "d", "10.0.4.1/16");
	assert_int_equal(records("dark"), 0);
	set_records("dark", "");
	tell_all();
	await_gone("dark");
}

/* Who has an address of a pool that is broken since has it on; nobody else gets one. */
static void broken_and_in_use(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.3", "");
	make_pool("b", "10.0.1.1-10.0.1.3", "");
	spoil("b", "\"default\":false");
	tell("a");
	add_gives("p", "c1", "10.0.0.1/16");
	spoil("a", "\"excludeIPs\":[\"oops\"]");
	add_gives("p", "c2", "10.0.0.1/16");
	add_fails(
		request(LEDGER_ADD, "q", "d", 5000), ERR_NO_POOL,
		"no IPPool available, all IPv4 IPPools [a] of eth0 filtered out: [a is not ready: "
		"spec.excludeIPs: range \"oops\": \"oops\" is not an IP address]");
	/* without its subnet nobody knows what the address means, nor in another one */
	spoil("a", "\"subnet\":\"oops\"");
	add_fails(
		request(LEDGER_ADD, "p", "c3", 5000), ERR_NO_POOL,
		"no IPPool available, all IPv4 IPPools [a] of eth0 filtered out: [a is not ready: "
		"spec.subnet: \"oops\" is not an IP prefix such as 10.0.0.0/8]");
	spoil("b", "\"default\":true");
	spoil("a", "\"subnet\":\"10.9.0.0/16\"");
	add_gives("p", "c3", "10.0.1.1/16");
	del("p", "c3", "10.0.1.1");
	del("p", "c2", "10.0.0.1");
}

/* The server does not take it, and never will; who may say what helps does. */
static void refused_writes(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.3", "");
	tell("a");
	refuse(ERR_CONFIG);
	r = run(request(LEDGER_ADD, "p", "c", 5000));
	assert_int_equal(r->kind, ERR_CONFIG);
	assert_string_equal(r->text, "write IPPool a: the store is out of order");
	assert_string_equal(r->remedy,
	                    "see what the API server does not take of the pool: kubectl get "
	                    "spiderippool a -o yaml");
	ledger_request_free(r);
	refuse(ERR_NONE);
}

static void group_commit(void **state)
{
	struct ledger_request *r[100];
	bool taken[256] = { false };

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.200", "");
	tell("a");
	hold(true);
	for (int i = 0; i < 100; i++) {
		char pod[16];

		snprintf(pod, sizeof(pod), "p%d", i);
		r[i] = request(LEDGER_ADD, pod, pod, 20000);
		submit(r[i]);
		if (i == 0)
			await_patch(); /* the first is under way alone */
	}
	hold(false);
	await_answers(100);
	for (int i = 0; i < 100; i++) {
		uint8_t last;

		assert_int_equal(r[i]->kind, ERR_NONE);
		assert_int_equal(r[i]->grants[0].address.len, 16);
		assert_string_equal(r[i]->grants[0].pool, "a");
		assert_string_equal(ip_str(r[i]->grants[0].gateway).s, "10.0.255.254");
		last = r[i]->grants[0].address.ip.bytes[3];
		assert_false(taken[last]);
		taken[last] = true;
		ledger_request_free(r[i]);
	}
	assert_int_equal(count(&faulty.patches), 2);
	assert_int_equal(ledger_stats(ledger).adds, 100);
	assert_int_equal(records("a"), 100);
}

static void batch_waits_for_arrivals(void **state)
{
	struct ledger_request *r[3];

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	ledger_arriving(ledger, 1);
	for (int i = 0; i < 3; i++) {
		char pod[16];

		snprintf(pod, sizeof(pod), "p%d", i);
		r[i] = request(LEDGER_ADD, pod, pod, 20000);
		submit(r[i]);
	}
	await_answers(3);
	ledger_arriving(ledger, -1);
	for (int i = 0; i < 3; i++)
		ledger_request_free(r[i]);
	/* on a machine that stalls for 5 ms between two submits there may be more writes than one
	 */
	assert_in_range(count(&faulty.patches), 1, 2);
}

static void conflicts_are_retried(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	set(&faulty.conflicts, 5);
	add_gives("p", "c", "10.0.0.1/16");
	assert_int_equal(count(&faulty.patches), 6);
	assert_int_equal(count(&faulty.gets), 5);
	assert_int_equal(ledger_stats(ledger).conflicts, 5);
	assert_int_equal(ledger_stats(ledger).add_conflicts, 5);
	set(&faulty.conflicts, 2);
	del("p", "c", "10.0.0.1");
	assert_int_equal(ledger_stats(ledger).conflicts, 7);
	assert_int_equal(ledger_stats(ledger).add_conflicts, 5);
	assert_int_equal(ledger_stats(ledger).del_conflicts, 2);

	/* for as long as the request has time, and no longer */
	set(&faulty.conflicts, 1000000);
	add_fails(request(LEDGER_ADD, "q", "d", 1000), ERR_TIMEOUT,
	          "no decision in time: IPPool a is being written");
	set(&faulty.conflicts, 0);
	add_gives("q", "d", "10.0.0.2/16");
}

static void usage_is_told(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", ",\"excludeIPs\":[\"10.0.0.9\"]");
	make_pool("other", "10.0.1.1-10.0.1.5", ",\"nodeName\":[\"worker\"]");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	r = run(request(LEDGER_USAGE, "", "", 5000));
	assert_int_equal(r->kind, ERR_NONE);
	assert_int_equal(r->n_known, 2);
	assert_int_equal(r->n_usage, 1);
	assert_string_equal(r->usage[0].pool, "a");
	assert_int_equal(r->usage[0].total, 8);
	assert_int_equal(r->usage[0].available, 7);
	ledger_request_free(r);
	/* when it was planned */
	r = request(LEDGER_ADD, "q", "d", 5000);
	run(r);
	assert_true(r->planned_us > 0 && r->planned_us <= mono_us());
	ledger_request_free(r);
}

static void lost_answer_is_found(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	set(&faulty.lost, 1);
	add_gives("p", "c", "10.0.0.1/16");
	assert_int_equal(count(&faulty.patches), 1);
	assert_int_equal(records("a"), 1);
}

static void store_away(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	refuse(ERR_UNREACHABLE);
	add_fails(request(LEDGER_ADD, "p", "c", 1000), ERR_TIMEOUT,
	          "no decision in time: IPPool a is being written; the store does not answer: the "
	          "store is out of order");
	/* comes back while somebody waits */
	r = request(LEDGER_ADD, "p", "c", 20000);
	submit(r);
	refuse(ERR_NONE);
	await_answers(1);
	assert_int_equal(r->kind, ERR_NONE);
	ledger_request_free(r);
	refuse(ERR_FORBIDDEN);
	add_fails(request(LEDGER_ADD, "q", "d", 5000), ERR_FORBIDDEN,
	          "write IPPool a: the store is out of order");
}

static void same_pod_same_address(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	/* the same again: looked up, not written */
	add_gives("p", "c", "10.0.0.1/16");
	assert_int_equal(count(&faulty.patches), 1);
	assert_int_equal(count(&faulty.gets), 1);
	/* a new sandbox takes the address over */
	add_gives("p", "c2", "10.0.0.1/16");
	assert_int_equal(count(&faulty.patches), 2);
	/* the old sandbox frees nothing */
	del("p", "c", NULL);
	assert_int_equal(records("a"), 1);
	del("p", "c2", "10.0.0.1");
	assert_int_equal(records("a"), 0);
	del("p", "c2", NULL);
	assert_string_equal(last_change, "default/p uid-p 0");
	/* round the pool, not the address that was freed just now */
	add_gives("q", "d", "10.0.0.2/16");
}

static void freed_elsewhere_counts(void **state)
{
	static const char empty[] = "{\"status\":{\"allocatedIPs\":null,\"allocatedIPCount\":0}}";
	AUTO_JSON *patch = NULL;
	struct err e;

	(void)state;
	make_pool("a", "10.0.0.1", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	add_fails(request(LEDGER_ADD, "q", "d", 5000), ERR_EXHAUSTED,
	          "all IP addresses used out, IPv4 IPPools [a] of eth0: [a: 1 of 1 in use]");
	/* behind our back: no event tells */
	assert_int_equal(json_parse(empty, strlen(empty), 0, &patch, &e), 0);
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, "a", true, patch, NULL, soon(), &e),
		0);
	add_gives("q", "d", "10.0.0.1/16");
	/* and p's retry does not get the address that is q's now */
	add_fails(request(LEDGER_ADD, "p", "c", 5000), ERR_EXHAUSTED,
	          "all IP addresses used out, IPv4 IPPools [a] of eth0: [a: 1 of 1 in use]");
}

static void stale_record_is_not_trusted(void **state)
{
	static const char other[] =
		"{\"status\":{\"allocatedIPs\":\"{\\\"10.0.0.1\\\":{\\\"pod\\\":\\\"default/z\\\","
		"\\\"podUid\\\":\\\"z\\\"}}\",\"allocatedIPCount\":1}}";
	AUTO_JSON *patch = NULL;
	struct err e;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.2", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	assert_int_equal(json_parse(other, strlen(other), 0, &patch, &e), 0);
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, "a", true, patch, NULL, soon(), &e),
		0);
	/* somebody else has p's address by now */
	add_gives("p", "c", "10.0.0.2/16");
}

static void created_elsewhere_counts(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("far", "10.0.3.1", ",\"nodeName\":[\"worker\"]");
	make_pool("near", "10.0.2.1", "");
	tell("near");
	make_pool("a", "10.0.0.1", "");
	/* near first, then a, which nobody told us of */
	add_gives("p", "c", "10.0.2.1/16");
	add_gives("q", "d", "10.0.0.1/16");
	/* named, in the user's order */
	make_pool("z", "10.0.4.1-10.0.4.2", "");
	r = request(LEDGER_ADD, "r", "e", 5000);
	r->choice.named = true;
	r->choice.pools[V4] = xcalloc(2, sizeof(char *));
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("z");
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("near");
	run(r);
	assert_int_equal(r->kind, ERR_NONE);
	assert_string_equal(r->grants[0].pool, "z");
	ledger_request_free(r);
	r = request(LEDGER_ADD, "s", "f", 5000);
	r->choice.named = true;
	r->choice.pools[V4] = xcalloc(1, sizeof(char *));
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("nowhere");
	add_fails(r, ERR_NO_POOL,
	          "no IPPool available, IPPool nowhere, which the request names for eth0, does not "
	          "exist");
	r = request(LEDGER_ADD, "s", "f", 5000);
	r->choice.named = true;
	r->choice.pools[V4] = xcalloc(2, sizeof(char *));
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("far");
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("near");
	add_fails(r, ERR_EXHAUSTED,
	          "all IP addresses used out, IPv4 IPPools [far near] of eth0: [near: 1 of 1 in "
	          "use], filtered out: [far is not for node master]");
}

static void no_pool_at_all(void **state)
{
	AUTO_JSON *none = json_new_array();
	struct ledger_request *r;

	(void)state;
	/* nothing is known yet: it waits */
	add_fails(request(LEDGER_ADD, "p", "c", 100), ERR_TIMEOUT,
	          "no decision in time: the IPPools were not known yet");
	assert_false(ledger_synced(ledger));
	ledger_pools_listed(ledger, LEDGER_SCOPE_ALL, none);
	add_fails(request(LEDGER_ADD, "p", "c", 5000), ERR_NO_POOL,
	          "no IPPool available, the network configuration names none and no IPPool is a "
	          "cluster default (spec.default: true)");
	assert_true(ledger_synced(ledger));
	r = request(LEDGER_ADD, "p", "c", 5000);
	r->choice.named = true;
	add_fails(r, ERR_NO_POOL, "no IPPool available, the request names none for eth0");
}

static void list_does_not_undo_news(void **state)
{
	AUTO_JSON *none = json_new_array();
	AUTO_JSON *made = NULL;
	struct ledger_request *r;
	struct err e;

	(void)state;
	ledger_pools_listed(ledger, LEDGER_SCOPE_ALL, none);
	hold_lists(true);
	r = request(LEDGER_ADD, "p", "c", 20000);
	submit(r);
	pthread_mutex_lock(&faulty.lock);
	while (!faulty.lists)
		pthread_cond_wait(&faulty.changed, &faulty.lock);
	pthread_mutex_unlock(&faulty.lock);
	/* made after the list was read; its event is quicker than the list's answer */
	make_pool("a", "10.0.0.1", "");
	assert_int_equal(store_get(faulty.real, STORE_IPPOOL, NULL, "a", &made, soon(), &e), 0);
	ledger_pool_event(ledger, LEDGER_SCOPE_ALL, K8S_ADDED, made);
	hold_lists(false);
	await_answers(1);
	assert_int_equal(r->kind, ERR_NONE);
	ledger_request_free(r);
	/* and it is still known */
	add_gives("p", "c", "10.0.0.1/16");
	assert_int_equal(count(&faulty.lists), 1);
}

static void overlap_yields_to_the_older(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1", "");
	make_pool("b", "10.0.0.1-10.0.0.5",
	          ""); /* younger, or of the same second and later named */
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	add_fails(
		request(LEDGER_ADD, "q", "d", 5000), ERR_EXHAUSTED,
		"all IP addresses used out, IPv4 IPPools [a b] of eth0: [a: 1 of 1 in use], "
		"filtered out: [b is not ready: its 10.0.0.1-10.0.0.5 overlaps 10.0.0.1 of IPPool "
		"a, which is older]");
}

/* a is older than b, b than c: b yields to a, so c does not yield to b */
static void a_pool_that_yields_blocks_nobody(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1", "");
	make_pool("b", "10.0.0.1-10.0.9.9", "");
	make_pool("c", "10.0.0.2", "");
	tell("a");
	add_gives("p", "x", "10.0.0.1/16");
	add_gives("q", "y", "10.0.0.2/16");
}

/* a grows over what b gave: b is not used any more, but its address is still a pod's */
static void a_grown_pool_leaves_the_others_addresses(void **state)
{
	static const char grown[] = "{\"spec\":{\"ips\":[\"10.0.0.1-10.0.0.3\"]}}";
	AUTO_JSON *patch = NULL;
	struct err e;

	(void)state;
	make_pool("a", "10.0.0.1", "");
	make_pool("b", "10.0.0.2-10.0.0.3", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	add_gives("q", "d", "10.0.0.2/16");
	assert_int_equal(json_parse(grown, strlen(grown), 0, &patch, &e), 0);
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, "a", false, patch, NULL, soon(), &e),
		0);
	tell("a");
	add_gives("r", "f", "10.0.0.3/16");
	add_fails(request(LEDGER_ADD, "s", "g", 5000), ERR_EXHAUSTED,
	          "all IP addresses used out, IPv4 IPPools [a b] of eth0: [a: 2 of 3 in use, 1 "
	          "reserved or the node's own], "
	          "filtered out: [b is not ready: its 10.0.0.2-10.0.0.3 overlaps "
	          "10.0.0.1-10.0.0.3 of IPPool a, which is older]");
}

static void reserved_and_excluded(void **state)
{
	struct ip_set set = IP_SET_INIT;
	struct ip_range r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.4", ",\"excludeIPs\":[\"10.0.0.2\"]");
	tell("a");
	assert_int_equal(ip_range_parse("10.0.0.1", &r, NULL), 0);
	ip_set_add(&set, r);
	ledger_reserved(ledger, &set);
	add_gives("p", "c", "10.0.0.3/16");
	add_gives("q", "d", "10.0.0.4/16");
	add_fails(request(LEDGER_ADD, "r", "e", 5000), ERR_EXHAUSTED,
	          "all IP addresses used out, IPv4 IPPools [a] of eth0: [a: 2 of 3 in use, 1 "
	          "reserved or the node's own]");
}

static void delete_stops_a_waiting_add(void **state)
{
	struct ledger_request *add, *d;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	/* the ADD is being written when its DEL comes, and its write is refused */
	hold(true);
	set(&faulty.conflicts, 1);
	add = request(LEDGER_ADD, "p", "c", 20000);
	submit(add);
	await_patch();
	d = request(LEDGER_DEL, "p", "c", 20000);
	submit(d);
	hold(false);
	await_answers(2);
	assert_int_equal(add->kind, ERR_NOT_FOUND);
	assert_string_equal(add->text, "container c was deleted meanwhile");
	assert_int_equal(d->kind, ERR_NONE);
	assert_int_equal(records("a"), 0);
	ledger_request_free(add);
	ledger_request_free(d);

	/* the write succeeds: the DEL takes it back */
	hold(true);
	add = request(LEDGER_ADD, "p", "c", 20000);
	submit(add);
	await_patch();
	d = request(LEDGER_DEL, "p", "c", 20000);
	submit(d);
	hold(false);
	await_answers(2);
	assert_int_equal(d->kind, ERR_NONE);
	assert_int_equal(records("a"), 0);
	ledger_request_free(add);
	ledger_request_free(d);
}

/* The ADD is in the store and its answer lost: a DEL must not say that nothing was there. */
static void delete_waits_for_an_unknown_outcome(void **state)
{
	struct ledger_request *add, *d;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	hold(true);
	set(&faulty.lost, 1);
	add = request(LEDGER_ADD, "p", "c", 20000);
	submit(add);
	await_patch();
	/* what was let through is on its way; whatever follows is refused */
	hold(false);
	while (!count(&faulty.patches))
		mono_sleep_until(mono_in(1));
	refuse(ERR_UNREACHABLE);
	d = request(LEDGER_DEL, "p", "c", 300);
	submit(d);
	await_answers(2);
	assert_int_equal(add->kind, ERR_NOT_FOUND);
	assert_int_equal(d->kind, ERR_TIMEOUT);
	ledger_request_free(add);
	ledger_request_free(d);
	assert_int_equal(records("a"), 1);
	refuse(ERR_NONE);
	del("p", "c", "10.0.0.1");
	assert_int_equal(records("a"), 0);
}

/* A DEL that nobody waits for any more, and its write is refused: the next one must not have taken
 * it for done. */
static void delete_waits_for_another_ones_write(void **state)
{
	struct ledger_request *first, *second;
	struct pollfd p = { event, POLLIN, 0 };

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	hold(true);
	set(&faulty.conflicts, 1);
	first = request(LEDGER_DEL, "p", "c", 20000);
	submit(first);
	await_patch();
	assert_true(ledger_abandon(first, false)); /* the ledger's from here on */
	second = request(LEDGER_DEL, "p", "c", 20000);
	submit(second);
	assert_int_equal(poll(&p, 1, 200), 0);
	hold(false);
	await_answers(1);
	assert_int_equal(second->kind, ERR_NONE);
	assert_string_equal(ip_str(second->grants[0].address.ip).s, "10.0.0.1");
	assert_int_equal(records("a"), 0);
	ledger_request_free(second);
}

/* Nobody waits for the DEL any more when its write is done, and it came without names: the pod's
 * endpoint follows all the same. */
static void late_delete_is_shown(void **state)
{
	struct ledger_request *d;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	hold(true);
	d = ledger_request_new(LEDGER_DEL, "", "", "", "c", mono_in(20000), event);
	submit(d);
	await_patch();
	assert_true(ledger_abandon(d, false)); /* the ledger's from here on */
	hold(false);
	for (struct mono until = soon();; mono_sleep_until(mono_in(1))) {
		bool shown;

		pthread_mutex_lock(&change_lock);
		shown = streq(last_change, "default/p uid-p 0");
		pthread_mutex_unlock(&change_lock);
		if (shown)
			break;
		assert_false(mono_passed(until));
	}
	assert_int_equal(records("a"), 0);
}

/* A newer sandbox is about to take the record over, and then does not. */
static void delete_waits_for_what_is_planned(void **state)
{
	struct ledger_request *add, *d;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	add_gives("p", "old", "10.0.0.1/16");
	hold(true);
	set(&faulty.conflicts, 1);
	add = request(LEDGER_ADD, "p", "new", 20000);
	submit(add);
	await_patch();
	assert_true(ledger_abandon(add, false)); /* the ledger's from here on */
	d = request(LEDGER_DEL, "p", "old", 20000);
	submit(d);
	hold(false);
	await_answers(1);
	assert_int_equal(d->kind, ERR_NONE);
	ledger_request_free(d);
	assert_int_equal(records("a"), 0);
}

/*
 * What one NIC gave back is given to another of the same container, before it is known that the
 * first write was done.
 */
static void given_back_and_taken_by_another_nic(void **state)
{
	struct ledger_request *back, *add;

	(void)state;
	make_pool("a", "10.0.0.1", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	hold(true);
	set(&faulty.lost, 1);
	back = request(LEDGER_FREE, "p", "c", 20000);
	assert_int_equal(ip_parse("10.0.0.1", &back->addresses[V4], NULL), 0);
	submit(back);
	await_patch();
	add = ledger_request_new(LEDGER_ADD, "default/p", "uid-p", "net1", "c", mono_in(20000),
	                         event);
	submit(add);
	hold(false);
	await_answers(2);
	assert_int_equal(back->kind, ERR_NONE);
	assert_int_equal(add->kind, ERR_NONE);
	assert_int_equal(records("a"), 1);
	ledger_request_free(back);
	ledger_request_free(add);
}

static void abandoned_is_not_planned(void **state)
{
	struct ledger_request *first, *second;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	hold(true);
	first = request(LEDGER_ADD, "p", "c", 20000);
	submit(first);
	await_patch();
	second = request(LEDGER_ADD, "q", "d", 20000);
	submit(second);
	assert_true(ledger_abandon(second, false)); /* the ledger's from here on */
	hold(false);
	await_answers(1);
	assert_int_equal(first->kind, ERR_NONE);
	ledger_request_free(first);
	add_gives("r", "e", "10.0.0.2/16");
	assert_int_equal(records("a"), 2);
}

/* The agent comes to a connection late: its client has gone, and asked anew for a newer sandbox. */
static void who_hung_up_takes_nothing_over(void **state)
{
	struct ledger_request *late;
	int pair[2];

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	add_gives("p", "newer", "10.0.0.1/16");
	late = request(LEDGER_ADD, "p", "older", 20000);
	late->client = pair[0];
	close(pair[1]);
	run(late);
	assert_int_equal(late->kind, ERR_UNREACHABLE);
	ledger_request_free(late);
	close(pair[0]);
	/* the record is the newer one's still */
	ledger_request_free(run(request(LEDGER_DEL, "p", "older", 5000)));
	assert_int_equal(records("a"), 1);
	ledger_request_free(run(request(LEDGER_DEL, "p", "newer", 5000)));
	assert_int_equal(records("a"), 0);
}

static void old_news_is_ignored(void **state)
{
	AUTO_JSON *old = NULL;
	struct err e;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	assert_int_equal(store_get(faulty.real, STORE_IPPOOL, NULL, "a", &old, soon(), &e), 0);
	add_gives("p", "c", "10.0.0.1/16");
	ledger_pool_event(ledger, LEDGER_SCOPE_ALL, K8S_MODIFIED, old);
	add_gives("q", "d", "10.0.0.2/16");
	assert_int_equal(ledger_stats(ledger).conflicts, 0);
	/* a deletion of that very pool is never old */
	ledger_pool_event(ledger, LEDGER_SCOPE_ALL, K8S_DELETED, old);
	assert_int_equal(store_patch(faulty.real, STORE_IPPOOL, NULL, "a", false,
	                             json_ensure_object(old, "none"), NULL, soon(), &e),
	                 0);
	add_gives("r", "e", "10.0.0.3/16"); /* it was there after all: a list finds it */
}

static void originals_records(void **state)
{
	static const char theirs[] =
		"{\"status\":{\"allocatedIPs\":\"{\\\"10.0.0.7\\\":{\\\"pod\\\":\\\"default/p\\\","
		"\\\"podUid\\\":\\\"uid-p\\\"}}\",\"allocatedIPCount\":1}}";
	AUTO_JSON *patch = NULL;
	struct err e;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	assert_int_equal(json_parse(theirs, strlen(theirs), 0, &patch, &e), 0);
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, "a", true, patch, NULL, soon(), &e),
		0);
	tell("a");
	/* a record without container is the pod's, whichever sandbox asks */
	add_gives("p", "c", "10.0.0.7/16");
	del("p", "other", NULL);
	del("p", "c", "10.0.0.7");
	/* and freed by the pod's uid when no ADD of ours came between */
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, "a", true, patch, NULL, soon(), &e),
		0);
	tell("a");
	del("p", "c9", "10.0.0.7");
}

static void queries_and_shows(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9",
	          ",\"routes\":[{\"dst\":\"10.9.0.0/16\",\"gw\":\"10.0.0.200\"}]");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	r = ledger_request_new(LEDGER_QUERY, "default/p", "", "", "", soon(), event);
	run(r);
	assert_int_equal(r->pod_grants->n, 1);
	assert_string_equal(r->pod_grants->uid, "uid-p");
	assert_string_equal(r->pod_grants->v[0].nic, "eth0");
	assert_int_equal(r->pod_grants->v[0].n_routes, 1);
	assert_string_equal(cidr_str(r->pod_grants->v[0].routes[0].dst).s, "10.9.0.0/16");
	ledger_request_free(r);
	run(r = ledger_request_new(LEDGER_SHOW_HELD, "default/q", "", "", "", soon(), event));
	ledger_request_free(r);
	assert_string_equal(last_change, "default/p uid-p 1");
	run(r = ledger_request_new(LEDGER_SHOW, "default/q", "", "", "", soon(), event));
	ledger_request_free(r);
	assert_string_equal(last_change, "default/q  0");
}

static void stop_answers(void **state)
{
	struct ledger_request *r;
	AUTO_JSON *o = NULL;
	struct err e;

	(void)state;
	make_pool("a", "10.0.0.1", "");
	refuse(ERR_UNREACHABLE);
	r = request(LEDGER_ADD, "p", "c", 20000);
	submit(r);
	ledger_stop(ledger);
	await_answers(1);
	assert_int_equal(r->kind, ERR_UNREACHABLE);
	assert_string_equal(r->text, "the agent is being stopped");
	assert_false(ledger_submit(ledger, r));
	ledger_request_free(r);
	ledger_free(ledger);
	refuse(ERR_NONE);
	assert_int_equal(store_get(faulty.real, STORE_IPPOOL, NULL, "a", &o, soon(), &e), 0);
	if (ledger_start(&config, &ledger, &e) < 0)
		fail_msg("%s", e.msg);
}

static void versions(void **state)
{
	(void)state;
	assert_int_equal(version_compare("9", "10"), -1);
	assert_int_equal(version_compare("10", "9"), 1);
	assert_int_equal(version_compare("x", "x"), 0);
	assert_int_equal(version_compare("x", "1"), 2);
	assert_int_equal(version_compare("", "1"), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The same for IPv6; those of both families are told together. */
static void make_pool6(const char *name, const char *ips)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"%s\",\"finalizers\":[\"spiderpool.spidernet.io\"]},"
		"\"spec\":{\"ipVersion\":6,\"default\":true,\"subnet\":\"fd00::/"
		"64\",\"ips\":[\"%s\"]}}",
		name, ips);
	AUTO_JSON *o = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &o, &e) < 0 ||
	    store_create(faulty.real, STORE_IPPOOL, o, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static void both_give(const char *pod, const char *cid, const char *four, const char *six)
{
	struct ledger_request *r = run(request(LEDGER_ADD, pod, cid, 20000));

	if (r->kind)
		fail_msg("%s", r->text);
	assert_int_equal(r->n_grants, 2);
	assert_string_equal(cidr_str(r->grants[0].address).s, four);
	assert_string_equal(cidr_str(r->grants[1].address).s, six);
	ledger_request_free(r);
}

static void both_families(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	make_pool6("b", "fd00::1-fd00::2");
	tell("a");
	tell("b");
	both_give("p", "c", "10.0.0.1/16", "fd00::1/64");
	assert_int_equal(count(&faulty.patches), 2);
	both_give("p", "c", "10.0.0.1/16", "fd00::1/64");
	/* one DEL, both pools */
	r = run(request(LEDGER_DEL, "p", "c", 20000));
	assert_int_equal(r->n_grants, 2);
	ledger_request_free(r);
	assert_int_equal(records("a") + records("b"), 0);
	both_give("q", "d", "10.0.0.2/16", "fd00::2/64");
	both_give("p", "c", "10.0.0.3/16", "fd00::1/64");
	/* IPv6 is used out: no IPv4 address either, and no write */
	set(&faulty.patches, 0);
	add_fails(request(LEDGER_ADD, "r", "e", 5000), ERR_EXHAUSTED,
	          "all IP addresses used out, IPv6 IPPools [b] of eth0: [b: 2 of 2 in use]");
	assert_int_equal(count(&faulty.patches), 0);
	assert_int_equal(records("a"), 2);
	/* switched off, or not asked for */
	r = request(LEDGER_ADD, "r", "e", 5000);
	r->enabled[V6] = false;
	run(r);
	assert_int_equal(r->n_grants, 1);
	ledger_request_free(r);
	r = request(LEDGER_ADD, "s", "f", 5000);
	r->enabled[V6] = false;
	r->choice.named = true;
	r->choice.source = "network configuration";
	r->choice.pools[V6] = xcalloc(1, sizeof(char *));
	r->choice.pools[V6][r->choice.n[V6]++] = xstrdup("b");
	add_fails(r, ERR_NO_POOL,
	          "no IPPool available, the network configuration names only IPv6 IPPools [b] for "
	          "eth0, and IPv6 is disabled");
}

/* The second family is lost to somebody else while the first is written: it goes back. */
static void half_is_rolled_back(void **state)
{
	struct ledger_request *r, *other;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	make_pool6("b", "fd00::1");
	tell("a");
	tell("b");
	hold(true);
	r = request(LEDGER_ADD, "p", "c", 10000);
	submit(r);
	await_patch();
	/* another agent takes the only IPv6 address meanwhile */
	{
		AUTO_JSON *patch = NULL;
		struct err e;
		static const char text[] =
			"{\"status\":{\"allocatedIPs\":\"{\\\"fd00::1\\\":{\\\"pod\\\":\\\"default/"
			"x\\\","
			"\\\"podUid\\\":\\\"x\\\"}}\"}}";

		assert_int_equal(json_parse(text, strlen(text), 0, &patch, &e), 0);
		assert_int_equal(store_patch(faulty.real, STORE_IPPOOL, NULL, "b", true, patch,
		                             NULL, soon(), &e),
		                 0);
	}
	hold(false);
	await_answers(1);
	assert_int_equal(r->kind, ERR_EXHAUSTED);
	/* by the time of the answer nothing is left */
	assert_int_equal(records("a"), 0);
	assert_int_equal(records("b"), 1);
	ledger_request_free(r);
	/* and the round goes on */
	other = request(LEDGER_ADD, "q", "d", 10000);
	other->enabled[V6] = false;
	run(other);
	assert_string_equal(ip_str(other->grants[0].address.ip).s, "10.0.0.2");
	ledger_request_free(other);
}

static void await_records(const char *pool, size_t n)
{
	for (struct mono until = soon(); records(pool) != n; mono_sleep_until(mono_in(1)))
		assert_false(mono_passed(until));
}

/* Nobody waits for the answer any more when the write is done. */
static void late_address_goes_back(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	hold(true);
	r = request(LEDGER_ADD, "p", "c", 10000);
	submit(r);
	await_patch();
	assert_true(ledger_abandon(r, true));
	hold(false);
	for (struct mono until = soon(); count(&faulty.patches) < 2; mono_sleep_until(mono_in(1)))
		assert_false(mono_passed(until));
	await_records("a", 0);
	/* without undo it stays, and the next try finds it */
	hold(true);
	r = request(LEDGER_ADD, "p", "c", 10000);
	submit(r);
	await_patch();
	assert_true(ledger_abandon(r, false));
	hold(false);
	add_gives("p", "d", "10.0.0.2/16");
	assert_int_equal(records("a"), 1);
}

/* A container is asked for again while what was done for it goes back. */
static void the_same_container_again(void **state)
{
	struct ledger_request *first, *second;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	/* nobody waits for the first ADD any more, and what it took must not be given to the second
	 */
	hold(true);
	first = request(LEDGER_ADD, "p", "c", 10000);
	submit(first);
	await_patch();
	assert_true(ledger_abandon(first, true));
	second = request(LEDGER_ADD, "p", "c", 10000);
	submit(second);
	hold(false);
	await_answers(1);
	assert_int_equal(second->kind, ERR_NONE);
	ledger_request_free(second);
	add_gives("q", "d", "10.0.0.3/16");
	assert_int_equal(records("a"), 2);
	/* an ADD that waits for a DEL is planned as soon as that is answered */
	hold(true);
	first = request(LEDGER_DEL, "p", "c", 10000);
	submit(first);
	await_patch();
	second = request(LEDGER_ADD, "p", "c", 5000);
	submit(second);
	hold(false);
	await_answers(2);
	assert_int_equal(first->kind, ERR_NONE);
	if (second->kind)
		fail_msg("%s", second->text);
	ledger_request_free(first);
	ledger_request_free(second);
	assert_int_equal(records("a"), 2);
}

static struct ledger_request *of_set(const char *pod, const char *uid, const char *cid)
{
	AUTO_FREE char *full = xasprintf("default/%s", pod);
	struct ledger_request *r =
		ledger_request_new(LEDGER_ADD, full, uid, "eth0", cid, mono_in(10000), event);

	r->keep = POOL_KEEP_STATEFULSET;
	return r;
}

static void set_gives(const char *pod, const char *uid, const char *cid, const char *address)
{
	struct ledger_request *r = run(of_set(pod, uid, cid));

	if (r->kind)
		fail_msg("%s", r->text);
	assert_string_equal(ip_str(r->grants[0].address.ip).s, address);
	ledger_request_free(r);
}

static struct ledger_request *named_of_set(const char *pod, const char *uid, const char *cid,
                                           const char *pool)
{
	struct ledger_request *r = of_set(pod, uid, cid);

	r->choice.named = true;
	r->choice.pools[V4] = xcalloc(1, sizeof(char *));
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup(pool);
	run(r);
	if (r->kind)
		fail_msg("%s", r->text);
	return r;
}

static void frees(const char *uid, const char *cid, const char *address)
{
	struct ledger_request *r =
		ledger_request_new(LEDGER_FREE, "", uid, "", cid, mono_in(5000), event);

	assert_int_equal(ip_parse(address, &r->addresses[V4], NULL), 0);
	run(r);
	assert_int_equal(r->kind, ERR_NONE);
	assert_int_equal(r->n_grants, 1);
	ledger_request_free(r);
}

/* Nothing new is given of a pool that is closed; what was kept there is nothing new. */
static void kept_in_closed_pools(void **state)
{
	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	tell("a");
	set_gives("web-0", "u1", "c1", "10.0.0.1");
	spoil("a", "\"disable\":true");
	set_gives("web-0", "u2", "c2", "10.0.0.1");
	add_fails(of_set("web-1", "u3", "c3"), ERR_NO_POOL,
	          "no IPPool available, all IPv4 IPPools [a] of eth0 filtered out: [a is "
	          "disabled]");
	spoil("a", "\"disable\":false,\"excludeIPs\":[\"oops\"]");
	set_gives("web-0", "u4", "c4", "10.0.0.1");
	delete_pool("a");
	set_gives("web-0", "u5", "c5", "10.0.0.1");
	/* what the pool is not meant for does not count */
	spoil("a", "\"excludeIPs\":null,\"nodeName\":[\"other\"]");
	add_fails(of_set("web-0", "u6", "c6"), ERR_NO_POOL,
	          "no IPPool available, all IPv4 IPPools [a] of eth0 filtered out: [a is being "
	          "deleted]");
	assert_int_equal(records("a"), 1);
}

static void kept_addresses(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	make_pool("b", "10.0.1.1-10.0.1.9", ",\"default\":false");
	tell("a");
	set_gives("web-0", "u1", "c1", "10.0.0.1");
	set_gives("web-1", "u2", "c2", "10.0.0.2");
	/* the DEL of its sandbox leaves it to the next pod of that name */
	del("web-0", "c1", NULL);
	assert_int_equal(records("a"), 2);
	set_gives("web-0", "u3", "c3", "10.0.0.1");
	/* a late DEL of the earlier one as well */
	del("web-0", "c1", NULL);
	assert_int_equal(records("a"), 2);
	/* other pools are asked for: a new address, and the old one stays until somebody knows that
	 * its container is gone */
	del("web-0", "c3", NULL);
	r = named_of_set("web-0", "u4", "c4", "b");
	assert_string_equal(r->grants[0].pool, "b");
	ledger_request_free(r);
	assert_int_equal(records("a"), 2);
	assert_int_equal(records("b"), 1);
	/* given back when the set has gone, which somebody else finds out */
	r = request(LEDGER_HELD, "", "", 5000);
	run(r);
	assert_int_equal(r->n_held, 3);
	assert_string_equal(r->held[1].pool, "a");
	assert_string_equal(r->held[1].record.cid, "c2");
	assert_int_equal(r->held[1].record.keep, POOL_KEEP_STATEFULSET);
	ledger_request_free(r);
	frees("u2", "c2", "10.0.0.2");
	assert_int_equal(records("a"), 1);
	/* of two that it kept, that of the pools it asks for */
	set_gives("web-0", "u5", "c5", "10.0.0.1");
	r = named_of_set("web-0", "u6", "c6", "b");
	assert_string_equal(r->grants[0].pool, "b");
	assert_string_equal(ip_str(r->grants[0].address.ip).s, "10.0.1.1");
	ledger_request_free(r);
	frees("u5", "c5", "10.0.0.1");
	assert_int_equal(records("a"), 0);
	assert_int_equal(records("b"), 1);
}

static void somebody_elses_address(void **state)
{
	struct ledger_request *r;
	struct pool_state s;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.2", "");
	tell("a");
	add_gives("p", "c", "10.0.0.1/16");
	r = ledger_request_new(LEDGER_QUARANTINE, "default/p", "uid-p", "eth0", "c", mono_in(5000),
	                       event);
	assert_int_equal(ip_parse("10.0.0.1", &r->addresses[V4], NULL), 0);
	r->reason = xstrdup("02:00:00:00:00:09 answers for it");
	run(r);
	assert_int_equal(r->kind, ERR_NONE);
	ledger_request_free(r);
	s = read_pool("a");
	assert_int_equal(s.p.n_records, 1);
	assert_string_equal(s.p.records[0].pod, "");
	assert_string_equal(s.p.records[0].conflict, "02:00:00:00:00:09 answers for it");
	assert_true(s.p.records[0].since > 1700000000);
	pool_state_release(&s);
	del("p", "c", NULL);
	add_gives("p", "c", "10.0.0.2/16");
	add_fails(request(LEDGER_ADD, "q", "d", 5000), ERR_EXHAUSTED,
	          "all IP addresses used out, IPv4 IPPools [a] of eth0: [a: 2 of 2 in use]");
	assert_int_equal(records("a"), 2);
}

static void node_addresses(void **state)
{
	struct ip_set own = IP_SET_INIT;
	struct ip ip;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.3", "");
	tell("a");
	assert_int_equal(ip_parse("10.0.0.1", &ip, NULL), 0);
	ip_set_add(&own, cidr_range(cidr_host(ip)));
	ledger_node_addresses(ledger, &own);
	add_gives("p", "c", "10.0.0.2/16");
	/* the node has another one now */
	ledger_node_addresses(ledger, &own);
	add_gives("q", "d", "10.0.0.3/16");
	add_gives("r", "e", "10.0.0.1/16");
}

static void patterns(void **state)
{
	struct ledger_request *r;

	(void)state;
	make_pool("a-2", "10.0.0.2", "");
	make_pool("a-1", "10.0.0.1", "");
	make_pool("b", "10.0.0.3", "");
	tell("a-1");
	for (int i = 1; i <= 3; i++) {
		char pod[8];

		snprintf(pod, sizeof(pod), "p%d", i);
		r = request(LEDGER_ADD, pod, pod, 5000);
		r->choice.named = true;
		r->choice.source = "network configuration";
		r->choice.pools[V4] = xcalloc(1, sizeof(char *));
		r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("a-*");
		if (i == 3) {
			add_fails(r, ERR_EXHAUSTED,
			          "all IP addresses used out, IPv4 IPPools [a-1 a-2] of eth0: "
			          "[a-1: 1 of 1 in use; a-2: 1 of 1 in use]");
			break;
		}
		run(r);
		assert_int_equal(r->kind, ERR_NONE);
		assert_int_equal(r->grants[0].address.ip.bytes[3], i);
		ledger_request_free(r);
	}
	r = request(LEDGER_ADD, "q", "q", 5000);
	r->choice.named = true;
	r->choice.source = "network configuration";
	r->choice.pools[V4] = xcalloc(1, sizeof(char *));
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("c*");
	add_fails(r, ERR_NO_POOL,
	          "no IPPool available, no IPv4 IPPool fits what the network configuration names "
	          "for eth0");
}

static struct ledger_request *names(const char *const *v4, const char *v6)
{
	struct ledger_request *r = request(LEDGER_ADD, "q", "q", 5000);

	r->choice.named = true;
	r->choice.source = "annotation x";
	r->choice.pools[V4] = xcalloc(MANY, sizeof(char *));
	for (; *v4; v4++)
		r->choice.pools[V4][r->choice.n[V4]++] = xstrdup(*v4);
	r->choice.pools[V6] = xcalloc(1, sizeof(char *));
	if (v6)
		r->choice.pools[V6][r->choice.n[V6]++] = xstrdup(v6);
	return r;
}

/* Whoever corrects one name should not be told of the next one only then. */
static void all_missing_are_named(void **state)
{
	static const char *const some[] = { "off", "no1", "a", "*x", "no2", NULL };
	static const char *many[MANY] = { NULL };
	static char text[MANY][4];
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.9", "");
	make_pool("off", "10.0.1.1", ",\"disable\":true");
	if (config.scoped) {
		AUTO_JSON *none = json_new_array();

		ledger_pools_listed(ledger, LEDGER_SCOPE_NODE, none);
		ledger_pools_listed(ledger, LEDGER_SCOPE_FREE, none);
	} else {
		tell("a");
	}
	r = names(some, "no6");
	run(r);
	assert_int_equal(r->kind, ERR_NO_POOL);
	assert_string_equal(r->text,
	                    "no IPPool available, IPPools no1, no2, no6, which the annotation x "
	                    "names for eth0, do not exist; filtered out: [off is disabled]");
	assert_string_equal(r->remedy, "make IPPool no1, no2, no6, or correct the annotation x");
	ledger_request_free(r);
	/* of a family that is not asked for nothing is said */
	r = names(some + 2, "no6");
	r->enabled[V6] = false;
	add_fails(r, ERR_NO_POOL,
	          "no IPPool available, IPPool no2, which the annotation x names for eth0, does "
	          "not exist");
	for (int i = 0; i < MANY - 1; i++) {
		snprintf(text[i], sizeof(text[i]), "n%d", i);
		many[i] = text[i];
	}
	add_fails(names(many, NULL), ERR_NO_POOL,
	          "no IPPool available, IPPools n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, "
	          "n12, n13, n14, n15, ..., which the annotation x names for eth0, do not "
	          "exist");
}

/* A status that is no JSON says nothing of who holds what: no DEL may call itself done. */
static void unreadable_records(void **state)
{
	AUTO_JSON *patch = NULL;
	struct ledger_request *r;
	struct err e;
	static const char text[] = "{\"status\":{\"allocatedIPs\":\"{garbage\"}}";

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.2", "");
	assert_int_equal(json_parse(text, strlen(text), 0, &patch, &e), 0);
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, "a", true, patch, NULL, soon(), &e),
		0);
	make_pool("b", "10.0.1.1-10.0.1.2", "");
	tell("b");
	r = run(request(LEDGER_DEL, "p", "c", 5000));
	assert_int_equal(r->kind, ERR_PROTO);
	assert_non_null(strstr(r->text, "IPPool a: status.allocatedIPs: not JSON"));
	ledger_request_free(r);
	/* where the container's address was is known: another pool does not matter */
	r = request(LEDGER_DEL, "p", "c", 5000);
	r->pool = xstrdup("b");
	run(r);
	assert_int_equal(r->kind, ERR_NONE);
	ledger_request_free(r);
}

static void label(const char *pool, const char *labels)
{
	AUTO_FREE char *text = xasprintf("{\"metadata\":{\"labels\":{%s}}}", labels);
	AUTO_JSON *p = NULL;
	struct err e;

	assert_int_equal(json_parse(text, strlen(text), 0, &p, &e), 0);
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, pool, false, p, NULL, soon(), &e), 0);
}

/*
 * A pool is labelled for a node that has no agent any more, and for this node by its spec: it is
 * found before somebody is told that there is none.
 */
static void wrong_labels(void **state)
{
	AUTO_JSON *none = json_new_array();
	struct ledger_request *r;

	(void)state;
	make_pool("a", "10.0.0.1-10.0.0.5", ",\"nodeName\":[\"master\"]");
	make_pool("b", "10.0.1.1-10.0.1.5", ",\"nodeName\":[\"gone\"]");
	label("a", "\"ipam.spidernet.io/pinned\":\"\",\"node.ipam.spidernet.io/gone\":\"\"");
	label("b", "\"ipam.spidernet.io/pinned\":\"\",\"node.ipam.spidernet.io/gone\":\"\"");
	ledger_pools_listed(ledger, LEDGER_SCOPE_NODE, none);
	ledger_pools_listed(ledger, LEDGER_SCOPE_FREE, none);
	add_gives("p", "c", "10.0.0.1/16");
	for (struct mono until = soon();; mono_sleep_until(mono_in(1))) {
		struct pool_state s = read_pool("a");
		bool done = pool_state_has_label(&s, "node.ipam.spidernet.io/master") &&
		            !pool_state_has_label(&s, "node.ipam.spidernet.io/gone");

		pool_state_release(&s);
		if (done)
			break;
		assert_false(mono_passed(until));
	}
	/* the other node's is not kept */
	r = run(request(LEDGER_USAGE, "", "", 5000));
	assert_int_equal(r->n_known, 1);
	ledger_request_free(r);
}

static void await_labels(const char *pool, const char *labels)
{
	for (struct mono until = soon();; mono_sleep_until(mono_in(1))) {
		struct pool_state s = read_pool(pool);
		AUTO_STR have = STR_INIT;

		json_each(label, s.labels) if (str_starts(json_name(label), POOL_LABEL_NODE))
			str_addf(&have, "%s%s", have.len ? " " : "",
		                 json_name(label) + strlen(POOL_LABEL_NODE));
		pool_state_release(&s);
		if (streq(have.data, labels))
			return;
		if (mono_passed(until))
			fail_msg("%s", have.data);
	}
}

/* What the watch of the labels of this node tells. */
static void tell_node_pools(void)
{
	struct k8s_selector sel = { POOL_LABEL_NODE "master", NULL };
	AUTO_JSON *items = NULL;
	AUTO_JSON *none = json_new_array();
	struct err e;

	if (store_list(faulty.real, STORE_IPPOOL, NULL, &sel, &items, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	ledger_pools_listed(ledger, LEDGER_SCOPE_NODE, items);
	ledger_pools_listed(ledger, LEDGER_SCOPE_FREE, none);
}

static void give_pool_to(const char *pool, const char *nodes)
{
	AUTO_FREE char *text = xasprintf("{\"spec\":{\"nodeName\":[%s]}}", nodes);
	AUTO_JSON *p = NULL;
	struct err e;

	assert_int_equal(json_parse(text, strlen(text), 0, &p, &e), 0);
	assert_int_equal(
		store_patch(faulty.real, STORE_IPPOOL, NULL, pool, false, p, NULL, soon(), &e), 0);
}

static void restart_ledger(void)
{
	struct ip_set none = IP_SET_INIT;
	struct err e;

	ledger_stop(ledger);
	ledger_free(ledger);
	if (ledger_start(&config, &ledger, &e) < 0)
		fail_msg("%s", e.msg);
	ledger_reserved(ledger, &none);
}

/* A pool that becomes another node's is told to this one until nothing of it is given here. */
static void labels_stay_with_records(void **state)
{
	static const char theirs[] =
		"{\"metadata\":{\"name\":\"a\",\"labels\":{\"ipam.spidernet.io/pinned\":\"\","
		"\"node.ipam.spidernet.io/other\":\"\",\"node.ipam.spidernet.io/nobody\":\"\"}},"
		"\"spec\":{\"subnet\":\"10.0.0.0/24\",\"ips\":[\"10.0.0.1-10.0.0.4\"],"
		"\"nodeName\":[\"other\"]},\"status\":{\"allocatedIPs\":\"{"
		"\\\"10.0.0.1\\\":{\\\"pod\\\":\\\"default/p\\\",\\\"podUid\\\":\\\"uid-p\\\","
		"\\\"nic\\\":\\\"eth0\\\",\\\"cid\\\":\\\"c\\\",\\\"node\\\":\\\"master\\\"},"
		"\\\"10.0.0.2\\\":{\\\"pod\\\":\\\"default/q\\\",\\\"podUid\\\":\\\"uid-q\\\","
		"\\\"node\\\":\\\"no name\\\"}}\"}}";
	struct ledger_request *r;
	struct pool_state s;
	AUTO_JSON *o = NULL;
	AUTO_JSON *patch = NULL;
	AUTO_JSON *labels = NULL;
	struct err e;

	(void)state;
	/* whoever admits it gives back a label that was lost, and takes no such one away */
	assert_int_equal(json_parse(theirs, strlen(theirs), 0, &o, &e), 0);
	assert_int_equal(pool_state_read(o, &s, &e), 0);
	patch = pool_state_admit_patch(&s);
	labels = json_copy(json_at(patch, "metadata", "labels", NULL));
	assert_int_equal(json_count(labels), 2);
	assert_string_equal(json_str_at(labels, "node.ipam.spidernet.io/master", NULL), "");
	assert_true(json_is_null(json_get(labels, "node.ipam.spidernet.io/nobody")));
	pool_state_release(&s);

	make_pool("b", "10.0.1.1-10.0.1.5", ",\"nodeName\":[\"master\"]");
	label("b", "\"ipam.spidernet.io/pinned\":\"\",\"node.ipam.spidernet.io/master\":\"\"");
	tell_node_pools();
	add_gives("p", "c", "10.0.1.1/16");
	give_pool_to("b", "\"other\"");
	tell_node_pools();
	await_labels("b", "master other");
	/* it is found again after a restart, and nothing is given of it */
	restart_ledger();
	tell_node_pools();
	add_fails(request(LEDGER_ADD, "q", "d", 5000), ERR_NO_POOL,
	          "no IPPool available, all IPv4 IPPools [b] of eth0 filtered out: [b is not for "
	          "node master]");
	r = run(request(LEDGER_HELD, "", "", 5000));
	assert_int_equal(r->n_held, 1);
	ledger_request_free(r);
	/* with the last address the label goes */
	del("p", "c", "10.0.1.1");
	await_labels("b", "other");
	assert_int_equal(records("b"), 0);
}

static struct ledger_request *names_both(const char *pod, const char *cid)
{
	struct ledger_request *r = request(LEDGER_ADD, pod, cid, 5000);

	r->choice.named = true;
	r->choice.pools[V4] = xcalloc(2, sizeof(char *));
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("theirs");
	r->choice.pools[V4][r->choice.n[V4]++] = xstrdup("ours");
	return r;
}

static void named_gives(const char *pod, const char *cid, const char *address)
{
	struct ledger_request *r = run(names_both(pod, cid));

	if (r->kind)
		fail_msg("%s", r->text);
	assert_string_equal(cidr_str(r->grants[0].address).s, address);
	ledger_request_free(r);
}

/* One configuration names the pools of all nodes: those of others are read once, and then only
 * before somebody is told that there is none. */
static void pools_of_others_are_named(void **state)
{
	static const char becomes[] = "{\"spec\":{\"nodeName\":[\"master\"]}}";
	AUTO_JSON *none = json_new_array();
	AUTO_JSON *change = NULL;
	struct err e;
	int reads;

	(void)state;
	make_pool("theirs", "10.0.1.1-10.0.1.5", ",\"nodeName\":[\"other\"]");
	make_pool("ours", "10.0.0.1-10.0.0.3", ",\"nodeName\":[\"master\"]");
	label("theirs", "\"ipam.spidernet.io/pinned\":\"\",\"node.ipam.spidernet.io/other\":\"\"");
	label("ours", "\"ipam.spidernet.io/pinned\":\"\",\"node.ipam.spidernet.io/master\":\"\"");
	ledger_pools_listed(ledger, LEDGER_SCOPE_NODE, none);
	ledger_pools_listed(ledger, LEDGER_SCOPE_FREE, none);
	named_gives("p", "c", "10.0.0.1/16");
	reads = count(&faulty.gets);
	named_gives("q", "d", "10.0.0.2/16");
	named_gives("r", "e", "10.0.0.3/16");
	assert_int_equal(count(&faulty.gets), reads);
	/* ours is full, and the other pool has become one of ours */
	assert_int_equal(json_parse(becomes, strlen(becomes), 0, &change, &e), 0);
	assert_int_equal(store_patch(faulty.real, STORE_IPPOOL, NULL, "theirs", false, change, NULL,
	                             soon(), &e),
	                 0);
	named_gives("s", "f", "10.0.1.1/16");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(admission_fills_in),
		TEST(broken_and_deleted),
		TEST(broken_and_in_use),
		TEST(deleted_with_what_is_held_back),
		TEST(refused_writes),
		TEST(group_commit),
		TEST(batch_waits_for_arrivals),
		TEST(conflicts_are_retried),
		TEST(usage_is_told),
		TEST(lost_answer_is_found),
		TEST(store_away),
		TEST(same_pod_same_address),
		TEST(freed_elsewhere_counts),
		TEST(stale_record_is_not_trusted),
		TEST(created_elsewhere_counts),
		TEST(no_pool_at_all),
		TEST(list_does_not_undo_news),
		TEST(overlap_yields_to_the_older),
		TEST(a_pool_that_yields_blocks_nobody),
		TEST(a_grown_pool_leaves_the_others_addresses),
		TEST(reserved_and_excluded),
		TEST(delete_stops_a_waiting_add),
		TEST(delete_waits_for_an_unknown_outcome),
		TEST(late_delete_is_shown),
		TEST(delete_waits_for_another_ones_write),
		TEST(delete_waits_for_what_is_planned),
		TEST(abandoned_is_not_planned),
		TEST(given_back_and_taken_by_another_nic),
		TEST(who_hung_up_takes_nothing_over),
		TEST(old_news_is_ignored),
		TEST(originals_records),
		TEST(queries_and_shows),
		TEST(stop_answers),
		TEST(both_families),
		TEST(half_is_rolled_back),
		TEST(late_address_goes_back),
		TEST(the_same_container_again),
		TEST(kept_addresses),
		TEST(kept_in_closed_pools),
		TEST(somebody_elses_address),
		TEST(node_addresses),
		TEST(patterns),
		TEST(unreadable_records),
		TEST(all_missing_are_named),
		cmocka_unit_test_setup_teardown(all_missing_are_named, setup_scoped, teardown),
		cmocka_unit_test_setup_teardown(wrong_labels, setup_scoped, teardown),
		cmocka_unit_test_setup_teardown(labels_stay_with_records, setup_scoped, teardown),
		cmocka_unit_test_setup_teardown(pools_of_others_are_named, setup_scoped, teardown),
		cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
