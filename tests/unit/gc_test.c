/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/ datapath/ cni/state.c cni/record.c cni/check.c cni/multus_files.c store/store.c */
/* links: store/dir.c store/dir_watch.c k8s/ippool.c k8s/labels.c k8s/endpoint.c pool/ http/http1.c http/stream.c */
/* links: http/url.c net/ json/ base/ */
/* libs: cjson mnl yaml */
/* flags: -Wl,--wrap=store_get */
/* tsan */
/*
 * gc_test.c - what an agent does by itself: it frees what pods left behind, knows after a restart
 * which addresses rest, and hears of the node's own addresses.  Over a directory store, in a
 * network namespace of the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "base/file.h"
#include "base/log.h"
#include "cni/state.h"
#include "http/http1.h"
#include "net/addr.h"
#include "store/backend.h"
#include "tests/unit/sandbox.h"

#define ROUND_MS 10

/* There is no API server here. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)path;
	(void)context;
	(void)out;
	return err_set(e, ERR_CONFIG, "no API server in this test");
}

/* What the store does: pods cannot be read, and how often one was. */
static atomic_bool fails;
static atomic_int gets;
static void (*_Atomic at_get)(void); /* once, when one is read */

int __real_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);
int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);

int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e)
{
	int rc = k == STORE_POD && fails ? err_set(e, ERR_TIMEOUT, "as told")
	                                 : __real_store_get(s, k, ns, name, out, deadline, e);

	gets += k == STORE_POD;
	if (k == STORE_POD && at_get) {
		void (*call)(void) = at_get;

		at_get = NULL;
		call();
	}
	return rc;
}

static char folder[64], *store_spec, *socket_path, *state_dir, *netns;
static struct store *store;
static struct settings settings;
static struct agent_config config;
static struct agent *agent;

static struct mono soon(void)
{
	return mono_in(20000);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int group_setup(void **state)
{
	(void)state;
	leave_home();
	return 0;
}

static int setup(void **state)
{
	struct err e;

	(void)state;
	fails = false;
	snprintf(folder, sizeof(folder), "/tmp/gc_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	store_spec = xasprintf("dir:%s/store", folder);
	socket_path = xasprintf("%s/sock", folder);
	state_dir = xasprintf("%s/state", folder);
	netns = xasprintf("%s/netns", folder);
	if (store_open(store_spec, NULL, &store, &e) < 0)
		fail_msg("%s", e.msg);
	settings = settings_default;
	config = (struct agent_config){
		.store = store_spec,
		.node = "master",
		.socket = socket_path,
		.state_dir = state_dir,
		.agent_namespace = "kube-system",
		.settings = &settings,
		.gc_ms = ROUND_MS,
	};
	/* a namespace is a file with an inode */
	write_file(netns, "");
	return 0;
}

static int teardown(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	agent_stop(agent);
	agent = NULL;
	store_close(store);
	free(store_spec);
	free(socket_path);
	free(state_dir);
	free(netns);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static json *parse(const char *text)
{
	json *j = NULL;
	struct err e;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void create(enum store_kind k, const char *text)
{
	AUTO_JSON *o = parse(text);
	struct err e;

	if (store_create(store, k, o, NULL, soon(), &e) < 0)
		fail_msg("%s: %s", text, e.msg);
}

static void patch(enum store_kind k, const char *ns, const char *name, bool status,
                  const char *text)
{
	AUTO_JSON *p = parse(text);
	struct err e;

	if (store_patch(store, k, ns, name, status, p, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static void end_pod(const char *name, const char *phase)
{
	AUTO_FREE char *text = xasprintf("{\"status\":{\"phase\":%s}}", phase);

	patch(STORE_POD, "default", name, true, text);
}

static void remove_object(enum store_kind k, const char *ns, const char *name)
{
	struct err e;

	if (store_delete(store, k, ns, name, NULL, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

/* more: further members of its spec. */
static void make_pool(const char *more)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"default\":true,"
		"\"ips\":[\"10.1.0.1-10.1.0.4\"],\"subnet\":\"10.1.0.0/"
		"24\"%s}}",
		more);

	create(STORE_IPPOOL, text);
}

/* more: further members of its metadata. */
static void make_pod(const char *name, const char *uid, const char *node, const char *more)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\",\"uid\":\"%s\"%s},"
		"\"spec\":{\"nodeName\":\"%s\"},\"status\":{\"phase\":\"Running\"}}",
		name, uid, more, node);

	create(STORE_POD, text);
}

/* Status of the answer; *text is owned. */
static int call(const char *method, const char *path, const char *body, char **text)
{
	struct http_request q = { .method = method,
		                  .target = path,
		                  .host = "localhost",
		                  .body = body,
		                  .body_len = body ? strlen(body) : 0 };
	struct http_response resp;
	struct stream *s = NULL;
	struct str answer = STR_INIT;
	struct http *h;
	struct err e;

	if (stream_connect_unix(socket_path, soon(), &s, &e) < 0)
		fail_msg("%s", e.msg);
	h = http_new(s);
	if (http_send(h, &q, &resp, NULL, soon(), &e) < 0 ||
	    http_read_body(h, &answer, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	http_free(h);
	*text = str_take(&answer);
	return resp.status;
}

static void start(void)
{
	struct mono until = soon();
	struct err e;

	if (agent_start(&config, &agent, &e) < 0)
		fail_msg("%s", e.msg);
	for (;; mono_sleep_until(mono_in(2))) {
		AUTO_FREE char *text = NULL;

		assert_false(mono_passed(until));
		if (call("GET", "/v1/ipam/healthy", NULL, &text) == 200)
			return;
	}
}

static void restart(void)
{
	agent_stop(agent);
	agent = NULL;
	start();
}

static char *identity(const char *pod, const char *uid)
{
	return xasprintf(
		"{\"containerID\":\"c-%s\",\"ifName\":\"eth0\",\"netNamespace\":\"%s\","
		"\"podNamespace\":\"default\",\"podName\":\"%s\",\"podUID\":\"%s\"}",
		uid, netns, pod, uid);
}

/* address NULL: there is none. */
static void add_gives(const char *pod, const char *uid, const char *address)
{
	AUTO_FREE char *body = identity(pod, uid);
	AUTO_FREE char *text = NULL;
	int status = call("POST", "/v1/ipam/ip", body, &text);
	AUTO_JSON *doc = parse(text);
	const char *got = json_str_at(json_first(json_get(doc, "ips")), "address", NULL);

	if (address ? !got || !streq(got, address) : status != 500)
		fail_msg("%s", text);
}

static void del(const char *pod, const char *uid)
{
	AUTO_FREE char *body = identity(pod, uid);
	AUTO_FREE char *text = NULL;

	assert_int_equal(call("DELETE", "/v1/ipam/ip", body, &text), 200);
}

static int64_t in_use(void)
{
	AUTO_JSON *o = NULL;
	int64_t n = 0;

	assert_int_equal(store_get(store, STORE_IPPOOL, NULL, "p", &o, soon(), NULL), 0);
	IGNORE(json_opt_i64(json_get(o, "status"), "allocatedIPCount", &n, NULL));
	return n;
}

static void await_in_use(int64_t n)
{
	for (struct mono until = soon(); in_use() != n; mono_sleep_until(mono_in(2)))
		assert_false(mono_passed(until));
}

/* Some rounds, after which the pool has as many records. */
static void stays(int64_t n)
{
	for (struct mono until = mono_in(20L * ROUND_MS); !mono_passed(until);
	     mono_sleep_until(mono_in(ROUND_MS)))
		assert_int_equal(in_use(), n);
}

/* Until a pod was read several times, which means that as many rounds looked at it. */
static void await_looks(void)
{
	int before = gets;

	for (struct mono until = soon(); gets < before + 5; mono_sleep_until(mono_in(2)))
		assert_false(mono_passed(until));
}

/* The pod is gone, and then its namespace. */
static void frees(void **state)
{
	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	stays(1);
	remove_object(STORE_POD, "default", "a");
	stays(1); /* its namespace lives */
	unlink(netns);
	await_in_use(0);
	add_gives("b", "u2", "10.1.0.2/24");
}

/* The namespace is gone, and then the pod. */
static void pod_is_proof(void **state)
{
	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	make_pod("b", "u2", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	add_gives("b", "u2", "10.1.0.2/24");
	unlink(netns);
	stays(2);
	end_pod("a", "\"Succeeded\"");
	await_in_use(1);
	end_pod("b", "\"Failed\",\"reason\":\"Evicted\"");
	await_in_use(0);
}

/* A pod that was replaced by one of its name is gone. */
static void replaced(void **state)
{
	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	unlink(netns);
	remove_object(STORE_POD, "default", "a");
	make_pod("a", "u2", "master", "");
	await_in_use(0);
}

static void silence(void **state)
{
	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	unlink(netns);
	fails = true;
	remove_object(STORE_POD, "default", "a");
	await_looks();
	assert_int_equal(in_use(), 1);
	fails = false;
	await_in_use(0);
}

/* While no agent was there. */
static void away(void **state)
{
	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	agent_stop(agent);
	agent = NULL;
	remove_object(STORE_POD, "default", "a");
	unlink(netns);
	start();
	await_in_use(0);
}

/* What lay there before a reboot proves nothing. */
static void reboot(void **state)
{
	struct attachment a;
	struct err e;

	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	remove_object(STORE_POD, "default", "a");
	stays(1);
	if (attachment_read(state_dir, "c-u1", "eth0", &a, &e) < 0)
		fail_msg("%s", e.msg);
	free(a.boot_id);
	a.boot_id = xstrdup("another");
	assert_int_equal(attachment_write(state_dir, &a, &e), 0);
	attachment_release(&a);
	await_in_use(0);
}

#define OF_SET                                                                                     \
	",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\","              \
	"\"name\":\"web\",\"uid\":\"s\",\"controller\":true}]"

/* A set of two, whose second pod has an address and is gone. */
/* More than fit into one batch go in one round. */
static void many_at_once(void **state)
{
	AUTO_FREE char *attachments = xasprintf("%s/attachments", state_dir);
	AUTO_FREE char *mark = xasprintf("%s/.complete", attachments);
	AUTO_JSON *pool = NULL;
	AUTO_STR records = STR_INIT;
	json *status;
	struct err e;

	(void)state;
	for (int i = 1; i <= 150; i++)
		str_addf(&records,
		         "%s\"10.1.0.%d\":{\"pod\":\"default/"
		         "p%d\",\"podUid\":\"u%d\",\"nic\":\"eth0\","
		         "\"cid\":\"c%d\",\"node\":\"master\"}",
		         i == 1 ? "{" : ",", i, i, i, i);
	str_addc(&records, '}');
	pool =
		parse("{\"metadata\":{\"name\":\"p\"},\"spec\":{\"ips\":[\"10.1.0.1-10.1.0.200\"],"
	              "\"subnet\":\"10.1.0.0/24\"}}");
	if (store_create(store, STORE_IPPOOL, pool, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	json_free(pool);
	pool = json_new_object();
	status = json_ensure_object(pool, "status");
	json_set_str(status, "allocatedIPs", records.data);
	json_set_i64(status, "allocatedIPCount", 150);
	if (store_patch(store, STORE_IPPOOL, NULL, "p", true, pool, NULL, soon(), &e) < 0 ||
	    file_mkdirs(attachments, 0700, &e) < 0 || file_write(mark, "", 0, 0600, 0, &e) < 0)
		fail_msg("%s", e.msg);
	config.gc_ms = 600000;
	start();
	await_in_use(0);
}

/* Nobody reads pods any more. */
static void await_silence(void)
{
	int before;

	do {
		before = gets;
		mono_sleep_until(mono_in(200));
	} while (gets != before);
}

static void ask_again(void)
{
	add_gives("a", "u1", "10.1.0.1/24");
}

/*
 * Nobody waited for the answer of the first try; the second comes when the collector has seen all
 * the evidence that it needs, and before it frees.
 */
static void asked_again(void **state)
{
	AUTO_FREE char *record = xasprintf("%s/attachments/c%%2Du1-eth0.json", state_dir);

	(void)state;
	make_pool("");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	await_silence(); /* who writes the endpoint reads the pod as well */
	at_get = ask_again;
	assert_int_equal(unlink(record), 0);
	for (struct mono until = soon(); at_get; mono_sleep_until(mono_in(2)))
		assert_false(mono_passed(until));
	stays(1);
}

/* A newer sandbox came and went, the older one lives with the address that the newer one took over.
 */
static void older_lives_on(void **state)
{
	AUTO_FREE char *other = xasprintf("%s-2", netns);
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *body = xasprintf(
		"{\"containerID\":\"newer\",\"ifName\":\"eth0\",\"netNamespace\":\"%s\","
		"\"podNamespace\":\"default\",\"podName\":\"a\",\"podUID\":\"u1\"}",
		other);

	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	write_file(other, "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	assert_int_equal(call("POST", "/v1/ipam/ip", body, &text), 200);
	assert_non_null(strstr(text, "10.1.0.1/24"));
	unlink(other);
	remove_object(STORE_POD, "default", "a");
	stays(1);
	unlink(netns);
	await_in_use(0);
}

/* Somebody emptied the state folder: what is not there proves nothing, until the DEL. */
static void records_are_lost(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s/attachments", state_dir);

	(void)state;
	make_pool("");
	make_pod("a", "u1", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	assert_int_equal(system(command), 0); /* NOLINT: a test's own temporary folder */
	remove_object(STORE_POD, "default", "a");
	stays(1);
	restart();
	stays(1);
	del("a", "u1");
	await_in_use(0);
}

/* How often the log says that an address stays, with these words. */
static int told(const char *log, const char *words)
{
	AUTO_STR text = STR_INIT;
	int n = 0;

	assert_int_equal(file_read(log, 1 << 20, &text, NULL), 0);
	for (const char *at = text.data; (at = strstr(at, " stays, until the DEL of ")); at++) {
		const char *found = strstr(at, words);

		n += found && found < strchr(at, '\n');
	}
	return n;
}

/* Told once for each address, with what helps; not while the pod may be there. */
static void doubts_are_told_once(void **state)
{
	static const char hidden[] =
		"{\"containerID\":\"c-u2\",\"ifName\":\"eth0\",\"netNamespace\":\"/proc/1/ns/net\","
		"\"podNamespace\":\"default\",\"podName\":\"b\",\"podUID\":\"u2\"}";
	AUTO_FREE char *log = xasprintf("%s/log", folder);
	AUTO_FREE char *record = xasprintf("%s/attachments/c%%2Du1-eth0.json", state_dir);
	AUTO_FREE char *aside = xasprintf("%s.bad", record);
	AUTO_FREE char *remedy = xasprintf(
		"its attachment record cannot be read. Remedy, when that container does not run "
		"any more: its DEL, or remove its record in %s/attachments",
		state_dir);
	AUTO_FREE char *text = NULL;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	log_init("agent", fd, false, LOG_LEVEL_INFO);
	make_pool("");
	make_pod("a", "u1", "master", "");
	make_pod("b", "u2", "master", "");
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	assert_int_equal(call("POST", "/v1/ipam/ip", hidden, &text), 200);
	write_file(record, "oops");
	stays(2);
	assert_int_equal(told(log, ""), 0);
	fails = true;
	remove_object(STORE_POD, "default", "a");
	remove_object(STORE_POD, "default", "b");
	await_looks();
	assert_int_equal(told(log, ""), 0);
	fails = false;
	for (struct mono until = soon(); told(log, "") < 2; mono_sleep_until(mono_in(2)))
		assert_false(mono_passed(until));
	stays(2);
	assert_int_equal(told(log, ""), 2);
	assert_int_equal(told(log, remedy), 1);
	assert_int_equal(told(log,
	                      "default/b, nic eth0, cid c-u2: its network namespace was not "
	                      "to be seen from here"),
	                 1);
	/* what is advised helps */
	del("b", "u2");
	unlink(record);
	unlink(aside);
	await_in_use(0);
	agent_stop(agent);
	agent = NULL;
	log_init("spiderbox", STDERR_FILENO, false, LOG_LEVEL_INFO);
	close(fd);
}

static void make_set(const char *pool)
{
	make_pool(pool);
	create(STORE_STATEFULSET,
	       "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},"
	       "\"spec\":{\"replicas\":2}}");
	make_pod("web-1", "u1", "master", OF_SET);
	start();
	add_gives("web-1", "u1", "10.1.0.1/24");
	unlink(netns);
	remove_object(STORE_POD, "default", "web-1");
	del("web-1", "u1");
}

static void set_shrinks(void **state)
{
	(void)state;
	make_set("");
	await_looks();
	assert_int_equal(in_use(), 1);
	patch(STORE_STATEFULSET, "default", "web", false, "{\"spec\":{\"replicas\":1}}");
	await_in_use(0);
}

/* Its next pod is on a node that the pool serves as well: that node's agent will take it over. */
static void set_moves(void **state)
{
	(void)state;
	make_set("");
	make_pod("web-1", "u2", "worker", OF_SET);
	await_looks();
	assert_int_equal(in_use(), 1);
	/* it does not any more */
	patch(STORE_IPPOOL, NULL, "p", false, "{\"spec\":{\"nodeName\":[\"master\"]}}");
	await_in_use(0);
}

/* Its next pod asks for another pool: what it had goes back once nothing runs with it. */
static void set_asks_for_another_pool(void **state)
{
	AUTO_FREE char *old = xasprintf("%s-old", netns);
	AUTO_FREE char *body = xasprintf(
		"{\"containerID\":\"c-u1\",\"ifName\":\"eth0\",\"netNamespace\":\"%s\","
		"\"podNamespace\":\"default\",\"podName\":\"web-1\",\"podUID\":\"u1\"}",
		old);
	AUTO_FREE char *text = NULL;

	(void)state;
	write_file(old, "");
	make_pool("");
	create(STORE_IPPOOL,
	       "{\"metadata\":{\"name\":\"q\"},\"spec\":{\"ips\":[\"10.2.0.1-10.2.0.4\"],"
	       "\"subnet\":\"10.2.0.0/24\"}}");
	create(STORE_STATEFULSET,
	       "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},"
	       "\"spec\":{\"replicas\":2}}");
	make_pod("web-1", "u1", "master", OF_SET);
	start();
	assert_int_equal(call("POST", "/v1/ipam/ip", body, &text), 200);
	assert_non_null(strstr(text, "10.1.0.1/24"));
	remove_object(STORE_POD, "default", "web-1");
	make_pod("web-1", "u2", "master",
	         OF_SET
	         ",\"annotations\":{\"ipam.spidernet.io/"
	         "ippool\":\"{\\\"ipv4\\\":[\\\"q\\\"]}\"}");
	stays(1); /* before it has another */
	add_gives("web-1", "u2", "10.2.0.1/24");
	stays(1); /* the namespace of the earlier one lives */
	unlink(old);
	await_in_use(0);
}

/* As that pod's agent writes it; who has written one of the earlier pod may be late. */
static void put_endpoint(const char *uid)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"default\"},\"status\":{"
		"\"current\":{\"uid\":\"%s\",\"node\":\"worker\",\"ips\":[{\"interface\":\"eth0\","
		"\"ipv4\":\"10.9.0.1/24\",\"ipv4Pool\":\"far\"}]}}}",
		uid);
	AUTO_JSON *o = parse(text);

	if (store_create(store, STORE_ENDPOINT, o, NULL, soon(), NULL) < 0)
		patch(STORE_ENDPOINT, "default", "web-1", true, text);
}

/* The same, and the next pod is where this agent is told nothing of. */
static void set_moves_and_asks_for_another_pool(void **state)
{
	(void)state;
	make_set("");
	make_pod("web-1", "u2", "worker", OF_SET);
	put_endpoint("u9");
	await_looks();
	assert_int_equal(in_use(), 1);
	for (struct mono until = soon(); in_use(); mono_sleep_until(mono_in(2))) {
		put_endpoint("u2");
		assert_false(mono_passed(until));
	}
}

static void set_is_none(void **state)
{
	(void)state;
	make_set("");
	settings.statefulset = false;
	restart();
	await_in_use(0);
}

/* An address that was given back rests for longest, also after a restart. */
static void rests(void **state)
{
	AUTO_FREE char *path = xasprintf("%s/rounds.json", state_dir);
	AUTO_STR text = STR_INIT;

	(void)state;
	make_pool("");
	config.gc_ms = 60000; /* the end alone tells it */
	start();
	add_gives("a", "u1", "10.1.0.1/24");
	add_gives("b", "u2", "10.1.0.2/24");
	del("b", "u2");
	del("a", "u1");
	config.gc_ms = ROUND_MS;
	restart();
	add_gives("c", "u3", "10.1.0.3/24");
	add_gives("d", "u4", "10.1.0.4/24");
	del("c", "u3");
	/* and so does each round, for who is killed */
	for (struct mono until = soon(); !strstr(text.data, "\"10.1.0.3\"]");
	     mono_sleep_until(mono_in(2))) {
		assert_false(mono_passed(until));
		str_reset(&text, 0);
		IGNORE(file_read(path, 4096, &text, NULL));
	}
	restart();
	/* the one that was given back first */
	add_gives("e", "u5", "10.1.0.2/24");
	add_gives("f", "u6", "10.1.0.1/24");
	add_gives("g", "u7", "10.1.0.3/24");
	add_gives("h", "u8", NULL);
}

static void own_address(const char *address, bool there)
{
	AUTO_NL *nl = NULL;
	struct cidr a;
	struct err e;

	assert_int_equal(cidr_parse(address, &a, NULL), 0);
	if (nl_open(NETLINK_ROUTE, &nl, &e) < 0 ||
	    (there ? addr_add(nl, 1, a, &e) : addr_del(nl, 1, a, &e)) < 0)
		fail_msg("%s", e.msg);
}

/* Asks until the answer has these words. */
static void await_answer(const char *pod, const char *uid, const char *words)
{
	AUTO_FREE char *body = identity(pod, uid);

	for (struct mono until = soon();; mono_sleep_until(mono_in(5))) {
		AUTO_FREE char *text = NULL;

		call("POST", "/v1/ipam/ip", body, &text);
		if (strstr(text, words))
			return;
		if (mono_passed(until))
			fail_msg("%s", text);
	}
}

static void own_addresses(void **state)
{
	(void)state;
	make_pool("");
	own_address("10.1.0.1/32", true);
	start();
	add_gives("a", "u1", "10.1.0.2/24");
	add_gives("b", "u2", "10.1.0.3/24");
	add_gives("c", "u3", "10.1.0.4/24");
	add_gives("d", "u4", NULL);
	/* what goes, and what comes, is heard of */
	own_address("10.1.0.1/32", false);
	await_answer("d", "u4", "\"10.1.0.1/24\"");
	own_address("10.1.0.2/32", true);
	await_answer("e", "u5", "4 of 4 in use, 1 reserved or the node's own");
	del("a", "u1");
	add_gives("e", "u5", NULL);
	own_address("10.1.0.2/32", false);
	await_answer("e", "u5", "\"10.1.0.2/24\"");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(frees),
		TEST(pod_is_proof),
		TEST(replaced),
		TEST(silence),
		TEST(away),
		TEST(reboot),
		TEST(records_are_lost),
		TEST(doubts_are_told_once),
		TEST(many_at_once),
		TEST(older_lives_on),
		TEST(asked_again),
		TEST(set_shrinks),
		TEST(set_moves),
		TEST(set_asks_for_another_pool),
		TEST(set_moves_and_asks_for_another_pool),
		TEST(set_is_none),
		TEST(rests),
		TEST(own_addresses),
	};

	return cmocka_run_group_tests_name("gc_test", tests, group_setup, NULL);
}
