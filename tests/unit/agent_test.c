/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/ datapath/ cni/state.c cni/record.c cni/check.c cni/multus_files.c store/store.c */
/* links: store/dir.c store/dir_watch.c k8s/ippool.c k8s/labels.c k8s/endpoint.c pool/ http/http1.c http/stream.c */
/* links: http/url.c net/ json/ base/ */
/* libs: cjson mnl yaml */
/* flags: -Wl,--wrap=store_get */
/* tsan */
/*
 * agent_test.c - whole agents over a directory store, driven through their sockets.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/pods.h"
#include "base/file.h"
#include "cni/state.h"
#include "http/http1.h"
#include "store/backend.h"

/* There is no API server here. */
int store_open_kube(const char *path, const char *context, struct store **out, struct err *e)
{
	(void)path;
	(void)context;
	(void)out;
	return err_set(e, ERR_CONFIG, "no API server in this test");
}

static atomic_int endpoint_reads; /* by agents */
static pthread_t main_thread;

int __real_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);
int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e);

int __wrap_store_get(struct store *s, enum store_kind k, const char *ns, const char *name,
                     json **out, struct mono deadline, struct err *e)
{
	endpoint_reads += k == STORE_ENDPOINT && !pthread_equal(pthread_self(), main_thread);
	return __real_store_get(s, k, ns, name, out, deadline, e);
}

/* One agent; two of them share the store. */
struct node {
	const char *name;
	char *socket, *state_dir;
	struct agent_config config;
	struct agent *agent;
};

static char folder[64], *store_spec, *store_path;
static struct store *store;
static struct node master = { .name = "master" }, worker = { .name = "worker" };

static struct mono soon(void)
{
	return mono_in(20000);
}

static void start_node(struct node *n)
{
	struct err e;

	if (agent_start(&n->config, &n->agent, &e) < 0)
		fail_msg("%s", e.msg);
}

static void stop_node(struct node *n)
{
	agent_stop(n->agent);
	n->agent = NULL;
}

static void init_node(struct node *n)
{
	n->socket = xasprintf("%s/%s.sock", folder, n->name);
	n->state_dir = xasprintf("%s/state-%s", folder, n->name);
	n->config = (struct agent_config){
		.store = store_spec,
		.node = n->name,
		.socket = n->socket,
		.state_dir = n->state_dir,
		.default_network = "kube-system/ipvlan-eth0",
		.agent_namespace = "kube-system",
	};
}

static int setup(void **state)
{
	struct err e;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/agent_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	store_path = xasprintf("%s/store", folder);
	store_spec = xasprintf("dir:%s", store_path);
	if (store_open(store_spec, NULL, &store, &e) < 0)
		fail_msg("%s", e.msg);
	init_node(&master);
	init_node(&worker);
	return 0;
}

static void free_node(struct node *n)
{
	stop_node(n);
	free(n->socket);
	free(n->state_dir);
}

static int teardown(void **state)
{
	AUTO_FREE char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	free_node(&master);
	free_node(&worker);
	store_close(store);
	free(store_path);
	free(store_spec);
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
		fail_msg("%s", e.msg);
}

static void patch(enum store_kind k, const char *ns, const char *name, const char *text)
{
	AUTO_JSON *p = parse(text);
	struct err e;

	if (store_patch(store, k, ns, name, false, p, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

static void remove_object(enum store_kind k, const char *ns, const char *name)
{
	struct err e;

	if (store_delete(store, k, ns, name, NULL, NULL, soon(), &e) < 0)
		fail_msg("%s", e.msg);
}

/* The guide's pools, written as there. */
static void make_pool(const char *name, const char *ips, const char *subnet, const char *gateway,
                      const char *node, const char *network)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"default\":true,\"ips\":[\"%s\"],"
		"\"subnet\":\"%s\",\"gateway\":\"%s\",\"nodeName\":[%s],\"multusName\":[%s]}}",
		name, ips, subnet, gateway, node, network);

	create(STORE_IPPOOL, text);
}

static void make_guide(void)
{
	make_pool("master-172", "172.31.199.185-172.31.199.189", "172.31.192.0/20",
	          "172.31.207.253", "\"master\"", "\"kube-system/ipvlan-eth0\"");
	make_pool("master-192", "192.168.0.156-192.168.0.160", "192.168.0.0/24", "192.168.0.253",
	          "\"master\"", "\"kube-system/ipvlan-eth1\"");
	make_pool("worker-172", "172.31.199.190-172.31.199.194", "172.31.192.0/20",
	          "172.31.207.253", "\"worker\"", "\"kube-system/ipvlan-eth0\"");
	make_pool("worker-192", "192.168.0.161-192.168.0.165", "192.168.0.0/24", "192.168.0.253",
	          "\"worker\"", "\"kube-system/ipvlan-eth1\"");
}

static void make_pod(const char *name, const char *uid, const char *node, const char *annotations)
{
	AUTO_FREE char *text = xasprintf(
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\",\"uid\":\"%s\","
		"\"annotations\":{%s}},\"spec\":{\"nodeName\":\"%s\"},\"status\":{\"phase\":"
		"\"Pending\"}}",
		name, uid, annotations, node);

	create(STORE_POD, text);
}

/* One request on a connection of its own; the body of the answer, owned. */
static char *call(const char *socket, const char *method, const char *path, const char *body,
                  int *status)
{
	struct http_request q = { .method = method,
		                  .target = path,
		                  .host = "localhost",
		                  .body = body,
		                  .body_len = body ? strlen(body) : 0 };
	struct http_response resp;
	struct stream *s = NULL;
	struct str text = STR_INIT;
	struct http *h;
	struct err e;

	if (stream_connect_unix(socket, soon(), &s, &e) < 0)
		fail_msg("%s", e.msg);
	h = http_new(s);
	if (http_send(h, &q, &resp, NULL, mono_in(110000), &e) < 0 ||
	    http_read_body(h, &text, soon(), &e) < 0)
		fail_msg("%s %s: %s", method, path, e.msg);
	http_free(h);
	/* negative: with the advice to try again */
	*status = resp.retry_after_s < 0 ? resp.status : -resp.status;
	return str_take(&text);
}

static void expect(const struct node *n, const char *method, const char *path, const char *body,
                   int want_status, const char *want)
{
	int status;
	AUTO_FREE char *text = call(n->socket, method, path, body, &status);

	if (want)
		assert_string_equal(text, want);
	assert_int_equal(status, want_status);
}

static void await_healthy(const struct node *n)
{
	struct mono until = soon();
	int status = 0;

	while (status != 200) {
		AUTO_FREE char *text = call(n->socket, "GET", "/v1/ipam/healthy", NULL, &status);

		assert_false(mono_passed(until));
		if (status != 200) {
			assert_int_equal(status, -500);
			assert_string_equal(text, "\"the agent has not read the store yet\"");
			mono_sleep_until(mono_in(2));
		}
	}
}

static char *identity(const char *pod, const char *uid, const char *cid, const char *nic,
                      const char *more)
{
	return xasprintf(
		"{\"containerID\":\"%s\",\"ifName\":\"%s\",\"netNamespace\":\"/run/netns/"
		"x\",\"podNamespace\":\"default\",\"podName\":\"%s\",\"podUID\":\"%s\"%s}",
		cid, nic, pod, uid, more);
}

static json *add(const struct node *n, const char *pod, const char *uid, const char *cid,
                 const char *nic, const char *more)
{
	AUTO_FREE char *body = identity(pod, uid, cid, nic, more);
	int status;
	AUTO_FREE char *text = call(n->socket, "POST", "/v1/ipam/ip", body, &status);

	if (status != 200)
		fail_msg("%s: %d %s", body, status, text);
	return parse(text);
}

static void add_gives(const struct node *n, const char *pod, const char *cid, const char *nic,
                      const char *address, const char *pool)
{
	AUTO_FREE char *uid = xasprintf("uid-%s", pod);
	AUTO_JSON *doc = add(n, pod, uid, cid, nic, "");
	const json *ip = json_first(json_get(doc, "ips"));

	assert_string_equal(json_str_at(ip, "address", NULL), address);
	assert_string_equal(json_str_at(ip, "ipPool", NULL), pool);
	assert_string_equal(json_str_at(ip, "nic", NULL), nic);
}

static void add_fails(const struct node *n, const char *pod, const char *cid, const char *nic,
                      const char *more, const char *want)
{
	AUTO_FREE char *uid = xasprintf("uid-%s", pod);
	AUTO_FREE char *body = identity(pod, uid, cid, nic, more);

	expect(n, "POST", "/v1/ipam/ip", body, 500, want);
}

static void del(const struct node *n, const char *pod, const char *cid, const char *nic)
{
	AUTO_FREE char *uid = xasprintf("uid-%s", pod);
	AUTO_FREE char *body = identity(pod, uid, cid, nic, "");

	expect(n, "DELETE", "/v1/ipam/ip", body, 200, "");
}

static json *get(enum store_kind k, const char *ns, const char *name)
{
	json *o = NULL;
	struct err e;

	if (store_get(store, k, ns, name, &o, soon(), &e) == 0)
		return o;
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	return NULL;
}

static int64_t in_use(const char *pool)
{
	AUTO_JSON *o = get(STORE_IPPOOL, NULL, pool);
	int64_t n = -1;

	assert_int_equal(json_opt_i64(json_get(o, "status"), "allocatedIPCount", &n, NULL), 0);
	return n;
}

static void await_in_use(const char *pool, int64_t n)
{
	for (struct mono until = soon(); in_use(pool) != n; mono_sleep_until(mono_in(2)))
		assert_false(mono_passed(until));
}

/* Until the endpoint says that address for its first interface; NULL: until it is gone. */
static void await_endpoint(const char *pod, const char *address)
{
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		AUTO_JSON *o = get(STORE_ENDPOINT, "default", pod);
		const char *have = json_str_at(
			json_first(json_at(o, "status", "current", "ips", NULL)), "ipv4", NULL);

		if (address ? have && streq(have, address) : !o)
			return;
		assert_false(mono_passed(until));
	}
}

static int64_t stat_of(const struct node *n, const char *key)
{
	int status;
	AUTO_FREE char *text = call(n->socket, "GET", "/v1/debug/stats", NULL, &status);
	AUTO_JSON *doc = parse(text);
	int64_t v;

	assert_int_equal(json_i64(doc, key, &v, NULL), 0);
	return v;
}

static bool exists(const char *dir, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);

	return access(path, F_OK) == 0;
}

/* A file takes the place of the store's folder in one step, so that nobody makes a new one. */
static void exchange_store(void)
{
	AUTO_FREE char *away = xasprintf("%s/away", folder);

	assert_int_equal(renameat2(AT_FDCWD, store_path, AT_FDCWD, away, RENAME_EXCHANGE), 0);
}

static void take_store_away(void)
{
	AUTO_FREE char *away = xasprintf("%s/away", folder);
	struct err e;

	if (file_write(away, "x", 1, 0600, 0, &e) < 0)
		fail_msg("%s", e.msg);
	exchange_store();
}

/* Tests. */
static void right_pool(void **state)
{
	AUTO_JSON *doc = NULL;
	AUTO_STR text = STR_INIT;

	(void)state;
	make_guide();
	start_node(&master);
	start_node(&worker);
	await_healthy(&master);
	await_healthy(&worker);
	make_pod("a", "uid-a", "master",
	         "\"v1.multus-cni.io/default-network\":\"kube-system/ipvlan-eth1\"");
	make_pod("b", "uid-b", "worker", "\"x\":\"y\"");
	make_pod("c", "uid-c", "worker",
	         "\"k8s.v1.cni.cncf.io/networks\":\"kube-system/other, kube-system/ipvlan-eth1\"");

	/* by node and network: annotation, default, list */
	add_gives(&master, "a", "ca", "eth0", "192.168.0.156/24", "master-192");
	add_gives(&worker, "b", "cb", "eth0", "172.31.199.190/20", "worker-172");
	add_gives(&worker, "c", "cc", "eth0", "172.31.199.191/20", "worker-172");
	add_gives(&worker, "c", "cc", "net2", "192.168.0.161/24", "worker-192");
	add_fails(
		&worker, "c", "cc", "net1", "",
		"\"no IPPool available, all IPv4 IPPools [master-172 master-192 worker-172 "
		"worker-192] of net1 filtered out: [master-172 is not for node worker; master-192 "
		"is not for node worker; worker-172 is not for network kube-system/other; "
		"worker-192 is not for network kube-system/other]\"");

	/* who asks knows better: networks of the node's come before the pod's */
	add_fails(&worker, "c", "cc", "net1", ",\"network\":\"ipvlan-eth1\"",
	          "\"network: \\\"ipvlan-eth1\\\" is not NAMESPACE/NAME\"");
	add_fails(&worker, "c", "cc", "net1", ",\"network\":\"a/b/c\"",
	          "\"network: \\\"a/b/c\\\" is not NAMESPACE/NAME\"");
	add_fails(&worker, "c", "cc", "net1", ",\"network\":1", "\"network: not a string\"");
	doc = add(&worker, "c", "uid-c", "cc", "net3", ",\"network\":\"kube-system/ipvlan-eth1\"");
	assert_string_equal(json_str_at(json_first(json_get(doc, "ips")), "ipPool", NULL),
	                    "worker-192");
	json_free(doc);
	del(&worker, "c", "cc", "net3");

	/* the whole answer */
	doc = add(&worker, "b", "uid-b", "cb", "eth0", "");
	json_print(doc, &text);
	assert_string_equal(
		text.data,
		"{\"ips\":[{\"version\":4,\"address\":\"172.31.199.190/20\",\"nic\":\"eth0\","
		"\"ipPool\":\"worker-172\",\"gateway\":\"172.31.207.253\",\"vlan\":0,"
		"\"enableGatewayDetection\":false,\"enableIPConflictDetection\":false}],"
		"\"routes\":[{\"ifName\":\"eth0\",\"dst\":\"0.0.0.0/0\",\"gw\":"
		"\"172.31.207.253\"}]}");
	/* no default route when the configuration says so */
	json_free(doc);
	doc = add(&worker, "b", "uid-b", "cb", "eth0", ",\"cleanGateway\":true");
	assert_int_equal(json_count(json_get(doc, "routes")), 0);

	expect(&worker, "GET", "/v1/workloadendpoint?podNamespace=default&podName=b", NULL, 200,
	       "{\"podNamespace\":\"default\",\"podName\":\"b\",\"podUID\":\"uid-b\",\"node\":"
	       "\"worker\",\"interfaces\":[{\"interface\":\"eth0\",\"ipv4\":\"172.31.199.190/"
	       "20\",\"ipv4Pool\":\"worker-172\",\"ipv4Gateway\":\"172.31.207.253\",\"routes\":[]}]"
	       "}");
	expect(&worker, "GET", "/v1/workloadendpoint?podNamespace=default&podName=zz", NULL, 404,
	       "\"no address is recorded for that pod\"");

	/* the status as its readers know it */
	json_free(doc);
	doc = get(STORE_IPPOOL, NULL, "worker-172");
	assert_string_equal(
		json_str_at(doc, "status", "allocatedIPs", NULL),
		"{\"172.31.199.190\":{\"pod\":\"default/b\",\"podUid\":\"uid-b\",\"nic\":\"eth0\","
		"\"cid\":\"cb\",\"node\":\"worker\"},\"172.31.199.191\":{\"pod\":\"default/"
		"c\",\"podUid\":\"uid-c\","
		"\"nic\":\"eth0\",\"cid\":\"cc\",\"node\":\"worker\"}}");
}

static void endpoints_follow(void **state)
{
	AUTO_JSON *o = NULL;
	struct mono begin;

	(void)state;
	make_guide();
	start_node(&worker);
	await_healthy(&worker);
	create(STORE_POD,
	       "{\"metadata\":{\"name\":\"c\",\"namespace\":\"default\",\"uid\":\"uid-c\","
	       "\"annotations\":{\"k8s.v1.cni.cncf.io/networks\":\"kube-system/ipvlan-eth1@eth1\"},"
	       "\"labels\":{\"pod-template-hash\":\"5d4f\"},\"ownerReferences\":[{\"kind\":"
	       "\"ReplicaSet\",\"name\":\"web-5d4f\",\"controller\":true}]},\"spec\":{"
	       "\"nodeName\":\"worker\"}}");
	begin = mono_now();
	add_gives(&worker, "c", "cc", "eth1", "192.168.0.161/24", "worker-192");
	await_endpoint("c", "192.168.0.161/24");
	/* not while the plugin is at work with it */
	assert_true(mono_now().ms - begin.ms >= 100);
	add_gives(&worker, "c", "cc", "eth0", "172.31.199.190/20", "worker-172");
	await_endpoint("c", "172.31.199.190/20");
	o = get(STORE_ENDPOINT, "default", "c");
	assert_int_equal(json_count(json_at(o, "status", "current", "ips", NULL)), 2);
	assert_string_equal(json_str_at(o, "status", "current", "uid", NULL), "uid-c");
	assert_string_equal(json_str_at(o, "status", "current", "node", NULL), "worker");
	assert_string_equal(json_str_at(o, "status", "ownerControllerType", NULL), "Deployment");
	assert_string_equal(json_str_at(o, "status", "ownerControllerName", NULL), "web");
	json_free(take_ptr(&o));

	/* a NIC goes, then the other */
	del(&worker, "c", "cc", "eth0");
	await_endpoint("c", "192.168.0.161/24");
	del(&worker, "c", "cc", "eth1");
	await_endpoint("c", NULL);

	/* an endpoint that another pod of that name left is replaced */
	create(STORE_ENDPOINT,
	       "{\"metadata\":{\"namespace\":\"default\",\"name\":\"c\",\"finalizers\":"
	       "[\"spiderpool.spidernet.io\"]},\"status\":{\"current\":{\"uid\":\"old\",\"node\":"
	       "\"worker\",\"ips\":[{\"interface\":\"eth0\",\"ipv4\":\"10.0.0.1/8\"}]},"
	       "\"ownerControllerType\":\"Pod\",\"ownerControllerName\":\"c\"}}");
	add_gives(&worker, "c", "c2", "eth0", "172.31.199.191/20", "worker-172");
	await_endpoint("c", "172.31.199.191/20");
	o = get(STORE_ENDPOINT, "default", "c");
	assert_string_equal(json_str_at(o, "status", "current", "uid", NULL), "uid-c");
	json_free(take_ptr(&o));

	/* lost while the agent was away, made again from the pools */
	stop_node(&worker);
	patch(STORE_ENDPOINT, "default", "c", "{\"metadata\":{\"finalizers\":null}}");
	remove_object(STORE_ENDPOINT, "default", "c");
	start_node(&worker);
	await_endpoint("c", "172.31.199.191/20");

	/* given back, and killed before the endpoint followed */
	stop_node(&worker);
	{
		AUTO_JSON *p = parse("{\"status\":{\"allocatedIPs\":null}}");
		struct err e;

		assert_int_equal(store_patch(store, STORE_IPPOOL, NULL, "worker-172", true, p, NULL,
		                             soon(), &e),
		                 0);
	}
	start_node(&worker);
	await_endpoint("c", NULL);
}

/* What is said of an earlier pod of that name, a moment later, is not said of this one. */
static void late_del(void **state)
{
	AUTO_FREE char *body = identity("s-0", "uid-old", "c1", "eth0", "");
	AUTO_JSON *o = NULL;

	(void)state;
	make_guide();
	start_node(&master);
	await_healthy(&master);
	make_pod("s-0", "uid-s-0", "master", "\"x\":\"y\"");
	add_gives(&master, "s-0", "c2", "eth0", "172.31.199.185/20", "master-172");
	expect(&master, "DELETE", "/v1/ipam/ip", body, 200, "");
	await_endpoint("s-0", "172.31.199.185/20");
	o = get(STORE_ENDPOINT, "default", "s-0");
	assert_string_equal(json_str_at(o, "status", "current", "uid", NULL), "uid-s-0");
}

/* What each NIC's request said is in the one write for all. */
static void endpoints_join(void **state)
{
	AUTO_JSON *o = NULL;

	(void)state;
	make_guide();
	start_node(&worker);
	await_healthy(&worker);
	make_pod("c", "uid-c", "worker",
	         "\"k8s.v1.cni.cncf.io/networks\":\"kube-system/ipvlan-eth1@eth1\"");
	json_free(add(&worker, "c", "uid-c", "cc", "eth1", ",\"cleanGateway\":true"));
	json_free(add(&worker, "c", "uid-c", "cc", "eth0", ""));
	await_endpoint("c", "172.31.199.190/20");
	o = get(STORE_ENDPOINT, "default", "c");
	json_each(ip, json_at(o, "status", "current", "ips", NULL))
	{
		bool clean = false;

		assert_int_equal(json_opt_bool(ip, "cleanGateway", &clean, NULL), 0);
		assert_int_equal(clean, streq(json_str_at(ip, "interface", NULL), "eth1"));
	}
}

/* Those that an agent made itself; others are looked at. */
static void endpoints_go_unread(void **state)
{
	AUTO_JSON *o = NULL;
	int reads;

	(void)state;
	make_guide();
	start_node(&worker);
	await_healthy(&worker);
	make_pod("d", "uid-d", "worker",
	         "\"k8s.v1.cni.cncf.io/networks\":\"kube-system/ipvlan-eth1@eth1\"");
	add_gives(&worker, "d", "cd", "eth0", "172.31.199.190/20", "worker-172");
	await_endpoint("d", "172.31.199.190/20");
	add_gives(&worker, "d", "cd", "eth1", "192.168.0.161/24", "worker-192");
	for (struct mono until = soon();; mono_sleep_until(mono_in(5))) {
		o = get(STORE_ENDPOINT, "default", "d");
		if (json_count(json_at(o, "status", "current", "ips", NULL)) == 2)
			break;
		json_free(take_ptr(&o));
		assert_false(mono_passed(until));
	}
	json_free(take_ptr(&o));
	reads = atomic_load(&endpoint_reads);
	expect(&worker, "DELETE", "/v1/ipam/ips",
	       "{\"containerID\":\"cd\",\"podNamespace\":\"default\",\"podName\":\"d\",\"podUID\":"
	       "\"uid-d\"}",
	       200, "");
	await_endpoint("d", NULL);
	assert_int_equal(atomic_load(&endpoint_reads), reads);
	/* and one that somebody has changed does not lose what he wrote */
	add_gives(&worker, "d", "cd", "eth0", "172.31.199.191/20", "worker-172");
	await_endpoint("d", "172.31.199.191/20");
	patch(STORE_ENDPOINT, "default", "d",
	      "{\"metadata\":{\"finalizers\":[\"spiderpool.spidernet.io\",\"x/y\"]}}");
	del(&worker, "d", "cd", "eth0");
	for (struct mono until = soon();; mono_sleep_until(mono_in(5))) {
		o = get(STORE_ENDPOINT, "default", "d");
		if (json_at(o, "metadata", "deletionTimestamp", NULL))
			break;
		json_free(take_ptr(&o));
		assert_false(mono_passed(until));
	}
	assert_int_equal(json_count(json_at(o, "metadata", "finalizers", NULL)), 1);
	assert_true(atomic_load(&endpoint_reads) > reads);
	json_free(take_ptr(&o));
	patch(STORE_ENDPOINT, "default", "d", "{\"metadata\":{\"finalizers\":null}}");
}

/* One request after the other; false when there was a pause that the agent may have seen. */
static bool keep_busy(int64_t ms)
{
	struct mono until = mono_in(ms);
	int64_t last = mono_now().ms;
	bool paused = false;

	while (!mono_passed(until)) {
		paused |= mono_now().ms - last > 10;
		del(&worker, "nobody", "none", "eth0");
		last = mono_now().ms;
	}
	return !paused;
}

/* While one request follows the other, endpoints make room; but not for ever. */
static void endpoints_make_room(void **state)
{
	AUTO_JSON *o = NULL;
	struct mono until;
	bool busy = false;

	(void)state;
	make_guide();
	start_node(&worker);
	await_healthy(&worker);
	make_pod("c", "uid-c", "worker",
	         "\"k8s.v1.cni.cncf.io/networks\":\"kube-system/ipvlan-eth1@eth1\"");
	for (int tries = 0; tries < 50 && !busy; tries++) {
		AUTO_JSON *early = NULL;

		await_endpoint("c", NULL);
		json_free(add(&worker, "c", "uid-c", "cc", "eth1", ""));
		busy = keep_busy(200);
		early = get(STORE_ENDPOINT, "default", "c");
		if (busy)
			assert_null(early);
		else
			del(&worker, "c", "cc", "eth1");
	}
	assert_true(busy);
	until = soon();
	while (!o) {
		assert_false(mono_passed(until));
		keep_busy(50);
		o = get(STORE_ENDPOINT, "default", "c");
	}
}

/* An endpoint belongs to the pod that is there now, on whichever node. */
static void pod_moves(void **state)
{
	AUTO_JSON *o = NULL;

	(void)state;
	make_guide();
	start_node(&master);
	start_node(&worker);
	await_healthy(&master);
	await_healthy(&worker);
	make_pod("s-0", "uid-s-0", "master", "\"x\":\"y\"");
	add_gives(&master, "s-0", "c1", "eth0", "172.31.199.185/20", "master-172");
	await_endpoint("s-0", "172.31.199.185/20");
	remove_object(STORE_POD, "default", "s-0");
	make_pod("s-0", "uid-new", "worker", "\"x\":\"y\"");
	o = add(&worker, "s-0", "uid-new", "c2", "eth0", "");
	await_endpoint("s-0", "172.31.199.190/20");
	json_free(take_ptr(&o));

	/* the old node's agent goes through what it knows, c1 before c9 */
	add_gives(&master, "z", "c9", "eth0", "172.31.199.186/20", "master-172");
	await_endpoint("z", "172.31.199.186/20");
	stop_node(&master);
	patch(STORE_ENDPOINT, "default", "z", "{\"metadata\":{\"finalizers\":null}}");
	remove_object(STORE_ENDPOINT, "default", "z");
	start_node(&master);
	await_endpoint("z", "172.31.199.186/20");
	o = get(STORE_ENDPOINT, "default", "s-0");
	assert_string_equal(json_str_at(o, "status", "current", "uid", NULL), "uid-new");
	json_free(take_ptr(&o));

	/* and takes the address back, twice */
	del(&master, "s-0", "c1", "eth0");
	del(&master, "s-0", "c1", "eth0");
	del(&master, "z", "c9", "eth0");
	await_endpoint("z", NULL);
	stop_node(&master);
	o = get(STORE_ENDPOINT, "default", "s-0");
	assert_string_equal(json_str_at(o, "status", "current", "uid", NULL), "uid-new");
	assert_string_equal(json_str_at(o, "status", "current", "node", NULL), "worker");
	assert_int_equal(in_use("master-172"), 0);
	assert_int_equal(in_use("worker-172"), 1);
}

struct burst {
	const struct node *node;
	char pod[16], address[64];
	int status;
};

static void *burst_main(void *arg)
{
	struct burst *b = arg;
	AUTO_FREE char *body = identity(b->pod, "", b->pod, "eth0", "");
	AUTO_FREE char *text = call(b->node->socket, "POST", "/v1/ipam/ip", body, &b->status);
	json *doc = NULL;

	if (b->status == 200 && json_parse(text, strlen(text), 0, &doc, NULL) == 0) {
		const char *a = json_str_at(json_first(json_get(doc, "ips")), "address", NULL);

		snprintf(b->address, sizeof(b->address), "%s", a);
	} else {
		snprintf(b->address, sizeof(b->address), "%.60s", text);
	}
	json_free(doc);
	return NULL;
}

/* n ADDs at once, spread over the nodes; all succeed with different addresses. */
static void burst(const struct node *const *nodes, size_t n_nodes, size_t n)
{
	struct burst *b = xcalloc(n, sizeof(*b));
	pthread_t *t = xcalloc(n, sizeof(*t));

	for (size_t i = 0; i < n; i++) {
		b[i].node = nodes[i % n_nodes];
		snprintf(b[i].pod, sizeof(b[i].pod), "p%zu", i);
		assert_int_equal(pthread_create(&t[i], NULL, burst_main, &b[i]), 0);
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	for (size_t i = 0; i < n; i++) {
		if (b[i].status != 200)
			fail_msg("%s: %d %s", b[i].pod, b[i].status, b[i].address);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(b[i].address, b[k].address);
	}
	free(b);
	free(t);
}

static void hundred_at_once(void **state)
{
	const struct node *const nodes[] = { &master };
	int64_t before;

	(void)state;
	make_pool("big", "10.0.0.1-10.0.0.200", "10.0.0.0/24", "10.0.0.254", "", "");
	start_node(&master);
	await_healthy(&master);
	await_in_use("big", 0);
	before = stat_of(&master, "poolWrites");
	burst(nodes, 1, 100);
	/* about ten; a busy machine, with the thread sanitizer, lets them come in smaller crowds */
	assert_in_range(stat_of(&master, "poolWrites") - before, 1, 40);
	assert_int_equal(stat_of(&master, "adds"), 100);
	assert_int_equal(in_use("big"), 100);
}

static void two_nodes_one_pool(void **state)
{
	const struct node *const nodes[] = { &master, &worker };

	(void)state;
	make_pool("big", "10.0.0.1-10.0.0.60", "10.0.0.0/24", "10.0.0.254", "", "");
	start_node(&master);
	start_node(&worker);
	await_healthy(&master);
	await_healthy(&worker);
	burst(nodes, 2, 60);
	assert_int_equal(in_use("big"), 60);
	assert_int_equal(stat_of(&master, "adds"), 30);
	assert_int_equal(stat_of(&worker, "adds"), 30);
	/* full for both, also for who did not fill it */
	add_fails(&master, "x", "x", "eth0", "",
	          "\"all IP addresses used out, IPv4 IPPools [big] of eth0: [big: 60 of 60 in "
	          "use]\"");
	add_fails(&worker, "x", "x", "eth0", "",
	          "\"all IP addresses used out, IPv4 IPPools [big] of eth0: [big: 60 of 60 in "
	          "use]\"");
	del(&master, "p0", "p0", "eth0");
	{
		AUTO_JSON *doc = add(&worker, "x", "", "x", "eth0", "");

		assert_non_null(json_get(doc, "ips"));
	}
}

/* What a later look for dead containers needs to know. */
static void check_attachment(void)
{
	struct attachment *v;
	struct err e;
	size_t n;

	assert_int_equal(attachment_list(master.state_dir, &v, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_string_equal(v->container_id, "c1");
	assert_string_equal(v->ifname, "eth0");
	assert_string_equal(v->pod_namespace, "default");
	assert_string_equal(v->pod_name, "a");
	assert_string_equal(v->pod_uid, "uid-a");
	assert_string_equal(v->pool, "master-172");
	assert_string_equal(v->network, "ipvlan-eth0");
	assert_int_equal(strlen(v->boot_id), 36);
	assert_int_equal(v->n_addresses, 1);
	assert_string_equal(cidr_str(v->addresses[0]).s, "172.31.199.185/20");
	attachment_release(v);
	free(v);
}

static void retry_and_release(void **state)
{
	AUTO_JSON *again = NULL;

	(void)state;
	make_guide();
	make_pod("a", "uid-a", "master", "\"x\":\"y\"");
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "a", "c1", "eth0", "172.31.199.185/20", "master-172");
	again = add(&master, "a", "uid-a", "c1", "eth0", ",\"networkName\":\"ipvlan-eth0\"");
	assert_non_null(again);
	check_attachment();
	/* a new sandbox of the same pod, then the DEL of the old one */
	add_gives(&master, "a", "c2", "eth0", "172.31.199.185/20", "master-172");
	del(&master, "a", "c1", "eth0");
	assert_false(exists(master.state_dir, "attachments/c1-eth0.json"));
	assert_true(exists(master.state_dir, "attachments/c2-eth0.json"));
	assert_int_equal(in_use("master-172"), 1);

	/* found again after a restart, with nothing but the store */
	stop_node(&master);
	assert_false(exists(folder, "master.sock"));
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "a", "c2", "eth0", "172.31.199.185/20", "master-172");
	del(&master, "a", "c2", "eth0");
	del(&master, "a", "c2", "eth0");
	assert_int_equal(in_use("master-172"), 0);

	/* all NICs of a container at once */
	patch(STORE_POD, "default", "a",
	      "{\"metadata\":{\"annotations\":{\"k8s.v1.cni.cncf.io/networks\":\"kube-system/"
	      "ipvlan-eth1\"}}}");
	add_gives(&master, "a", "c3", "eth0", "172.31.199.186/20", "master-172");
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		/* until the informer knows the annotation */
		AUTO_FREE char *body = identity("a", "uid-a", "c3", "net1", "");
		int status;
		AUTO_FREE char *text = call(master.socket, "POST", "/v1/ipam/ip", body, &status);

		if (status == 200)
			break;
		assert_non_null(strstr(text, "no IPPool available"));
		assert_false(mono_passed(until));
	}
	assert_int_equal(in_use("master-192"), 1);
	expect(&master, "DELETE", "/v1/ipam/ips",
	       "{\"containerID\":\"c3\",\"podNamespace\":\"default\",\"podName\":\"a\",\"podUID\":"
	       "\"uid-a\"}",
	       200, "");
	assert_int_equal(in_use("master-172"), 0);
	assert_int_equal(in_use("master-192"), 0);
}

static void release_queue(void **state)
{
	struct release r = { .container_id = (char *)(uintptr_t) "c1",
		             .ifname = (char *)(uintptr_t) "eth0",
		             .netns = (char *)(uintptr_t) "",
		             .pod_namespace = (char *)(uintptr_t) "default",
		             .pod_name = (char *)(uintptr_t) "a",
		             .pod_uid = (char *)(uintptr_t) "uid-a" };
	struct err e;

	(void)state;
	make_guide();
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "a", "c1", "eth0", "172.31.199.185/20", "master-172");
	add_gives(&master, "b", "c2", "eth0", "172.31.199.186/20", "master-172");
	stop_node(&master);
	assert_int_equal(release_write(master.state_dir, &r, &e), 0);
	start_node(&master);
	await_in_use("master-172", 1);
	for (struct mono until = soon(); exists(master.state_dir, "releases/c1-eth0.json");
	     mono_sleep_until(mono_in(2)))
		assert_false(mono_passed(until));
	assert_false(exists(master.state_dir, "attachments/c1-eth0.json"));

	/* noticed while it runs */
	r.container_id = (char *)(uintptr_t) "c2";
	r.pod_name = (char *)(uintptr_t) "b";
	r.pod_uid = (char *)(uintptr_t) "uid-b";
	assert_int_equal(release_write(master.state_dir, &r, &e), 0);
	await_in_use("master-172", 0);
}

static void store_away(void **state)
{
	AUTO_FREE char *want = NULL;
	AUTO_FREE char *body = NULL;
	struct mono started;

	(void)state;
	make_guide();
	master.config.add_ms = 2000;
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "a", "c1", "eth0", "172.31.199.185/20", "master-172");
	await_endpoint("a", "172.31.199.185/20");
	take_store_away();
	want = xasprintf("\"read pod default/b: the store %s is not there\"", store_path);
	body = identity("b", "uid-b", "c2", "eth0", "");
	expect(&master, "POST", "/v1/ipam/ip", body, -500, want);
	/* a DEL is queued, in the time a plugin has */
	started = mono_now();
	del(&master, "a", "c1", "eth0");
	assert_in_range(mono_now().ms - started.ms, 1000, 5000);
	assert_true(exists(master.state_dir, "releases/c1-eth0.json"));
	exchange_store();
	await_in_use("master-172", 0);
	for (struct mono until = soon(); exists(master.state_dir, "releases/c1-eth0.json");
	     mono_sleep_until(mono_in(5)))
		assert_false(mono_passed(until));
	await_endpoint("a", NULL);
	/* the informers live: a pool made now is seen */
	make_pool("new", "10.0.0.1", "10.0.0.0/24", "10.0.0.254", "\"master\"",
	          "\"kube-system/new\"");
	await_in_use("new", 0);
}

static void pods_that_get_nothing(void **state)
{
	(void)state;
	make_guide();
	start_node(&master);
	await_healthy(&master);
	make_pod("a", "uid-a", "master", "\"x\":\"y\"");
	patch(STORE_POD, "default", "a", "{\"metadata\":{\"finalizers\":[\"x/y\"]}}");
	remove_object(STORE_POD, "default", "a");
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		AUTO_FREE char *body = identity("a", "uid-a", "c1", "eth0", "");
		int status;
		AUTO_FREE char *text = call(master.socket, "POST", "/v1/ipam/ip", body, &status);

		if (status == 500) {
			assert_string_equal(
				text, "\"pod default/a gets no address: it is being deleted\"");
			break;
		}
		assert_false(mono_passed(until));
	}
	make_pod("b", "uid-b2", "master", "\"x\":\"y\"");
	add_fails(&master, "b", "c2", "eth0", "",
	          "\"pod default/b has the uid uid-b2, not uid-b: it was replaced\"");
	make_pod("c", "uid-c", "worker", "\"x\":\"y\"");
	add_fails(&master, "c", "c3", "eth0", "",
	          "\"pod default/c is bound to node worker, and this is the agent of node master "
	          "(--node)\"");
}

static void pools_change(void **state)
{
	(void)state;
	make_pool("one", "10.0.0.1-10.0.0.9", "10.0.0.0/24", "10.0.0.254", "", "");
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "a", "c1", "eth0", "10.0.0.1/24", "one");
	patch(STORE_IPPOOL, NULL, "one", "{\"spec\":{\"disable\":true}}");
	add_fails(&master, "b", "c2", "eth0", "",
	          "\"no IPPool available, all IPv4 IPPools [one] of eth0 filtered out: [one is "
	          "disabled]\"");
	/* who has an address keeps it */
	add_gives(&master, "a", "c1", "eth0", "10.0.0.1/24", "one");
	patch(STORE_IPPOOL, NULL, "one", "{\"spec\":{\"disable\":false}}");
	/* a reserved address is passed over */
	create(STORE_RESERVEDIP,
	       "{\"metadata\":{\"name\":\"r\"},\"spec\":{\"ips\":[\"10.0.0.2\"]}}");
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		AUTO_JSON *doc = add(&master, "b", "", "c2", "eth0", "");
		const char *got = json_str_at(json_first(json_get(doc, "ips")), "address", NULL);

		if (streq(got, "10.0.0.3/24"))
			break;
		/* the informer was not told yet: given back, and round again */
		del(&master, "b", "c2", "eth0");
		assert_false(mono_passed(until));
	}
	/* deleted while in use: stays until the last address is back */
	remove_object(STORE_IPPOOL, NULL, "one");
	assert_int_equal(in_use("one"), 2);
	add_fails(
		&master, "d", "c4", "eth0", "",
		"\"no IPPool available, all IPv4 IPPools [one] of eth0 filtered out: [one is being "
		"deleted]\"");
	del(&master, "a", "c1", "eth0");
	del(&master, "b", "c2", "eth0");
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		AUTO_JSON *o = get(STORE_IPPOOL, NULL, "one");

		if (!o)
			break;
		assert_false(mono_passed(until));
	}
}

static void named_pools(void **state)
{
	(void)state;
	make_guide();
	start_node(&master);
	await_healthy(&master);
	add_fails(&master, "a", "c1", "eth0", ",\"defaultIPv4IPPool\":[\"master-172\",\"nowhere\"]",
	          "\"no IPPool available, IPPool nowhere, which the network configuration names "
	          "for eth0, does not exist\"");
	add_fails(&master, "a", "c1", "eth0", ",\"defaultIPv4IPPool\":[\"worker-172\"]",
	          "\"no IPPool available, all IPv4 IPPools [worker-172] of eth0 filtered out: "
	          "[worker-172 is not for node master]\"");
	{
		AUTO_JSON *doc = add(&master, "a", "", "c1", "eth0",
		                     ",\"defaultIPv4IPPool\":[\"worker-172\",\"master-172\"]");

		assert_string_equal(json_str_at(json_first(json_get(doc, "ips")), "ipPool", NULL),
		                    "master-172");
	}
	/* no names: the container stands for itself */
	{
		int status;
		AUTO_FREE char *text =
			call(master.socket, "POST", "/v1/ipam/ip",
		             "{\"containerID\":\"lone\",\"ifName\":\"eth0\",\"netNamespace\":\"\","
		             "\"podNamespace\":\"\",\"podName\":\"\",\"podUID\":\"\"}",
		             &status);
		AUTO_JSON *pool = get(STORE_IPPOOL, NULL, "master-172");

		assert_non_null(strstr(text, "\"ipPool\":\"master-172\""));
		assert_int_equal(status, 200);
		assert_non_null(strstr(json_str_at(pool, "status", "allocatedIPs", NULL),
		                       "{\"pod\":\"cni/lone\",\"podUid\":\"lone\",\"nic\":\"eth0\","
		                       "\"cid\":\"lone\",\"node\":\"master\"}"));
	}
}

/* No request at all gets an answer too. */
static void say_nonsense(const char *text)
{
	char buf[256] = "";
	struct stream *s = NULL;
	size_t n = 0;
	struct err e;

	if (stream_connect_unix(master.socket, soon(), &s, &e) < 0 ||
	    stream_write(s, text, strlen(text), soon(), &e) < 0 ||
	    stream_read(s, buf, sizeof(buf) - 1, &n, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(n > 13);
	assert_int_equal(strncmp(buf, "HTTP/1.1 400 ", 13), 0);
	assert_non_null(strstr(buf, "\r\n\r\n\"not an HTTP/1.1 request\""));
	stream_close(s);
}

static void bad_requests(void **state)
{
	static const char no_nic[] =
		"{\"containerID\":\"c\",\"podNamespace\":\"d\",\"podName\":"
		"\"p\",\"podUID\":\"u\",\"netNamespace\":\"\"}";
	AUTO_FREE char *twice =
		identity("a", "u", "c", "eth0", ",\"defaultIPv4IPPool\":[\"x\",\"y\",\"x\"]");
	AUTO_FREE char *half = identity("", "u", "c", "eth0", "");
	AUTO_FREE char *slash = identity("a/b", "u", "c", "eth0", "");
	AUTO_FREE char *empty = identity("a", "u", "", "eth0", "");
	AUTO_FREE char *id = identity("a", "u", "c:1", "eth0", "");
	AUTO_FREE char *dots = identity("a", "u", "c", "..", "");
	AUTO_FREE char *type = identity("a", "u", "c", "eth0", ",\"cleanGateway\":1");
	AUTO_FREE char *longer = identity("a", "u", "c", "eth0123456789abc", "");
	AUTO_FREE char *huge = xmalloc(70001);
	AUTO_FREE char *path = xasprintf("/%04095d", 0);
	AUTO_FREE char *far = xasprintf(
		"{\"containerID\":\"c\",\"ifName\":\"eth0\",\"podNamespace\":\"d\","
		"\"podName\":\"p\",\"podUID\":\"u\",\"netNamespace\":\"%s\"}",
		path);

	(void)state;
	start_node(&master);
	await_healthy(&master);
	expect(&master, "POST", "/v1/ipam/ip", no_nic, 500, "\"ifName: missing\"");
	expect(&master, "DELETE", "/v1/ipam/ip", no_nic, 500, "\"ifName: missing\"");
	expect(&master, "POST", "/v1/ipam/ip", "[]", 500, "\"body: not an object\"");
	expect(&master, "POST", "/v1/ipam/ip", twice, 500,
	       "\"wrong input: network configuration: default_ipv4_ippool: IPPool x is "
	       "duplicated\"");
	expect(&master, "POST", "/v1/ipam/ip", half, 500,
	       "\"podName: empty, while podNamespace is not\"");
	expect(&master, "POST", "/v1/ipam/ip", slash, 500, "\"podName: not a name\"");
	expect(&master, "POST", "/v1/ipam/ip", empty, 500, "\"containerID: empty\"");
	expect(&master, "POST", "/v1/ipam/ip", id, 500,
	       "\"containerID \\\"c:1\\\" may hold letters, digits, \\\"_\\\", \\\".\\\" and "
	       "\\\"-\\\" and begins with a letter or digit\"");
	expect(&master, "DELETE", "/v1/ipam/ip", id, 500, NULL);
	expect(&master, "POST", "/v1/ipam/ip", dots, 500,
	       "\"ifName: \\\"..\\\" is not an interface name\"");
	expect(&master, "DELETE", "/v1/ipam/ips", dots, 500, NULL);
	expect(&master, "POST", "/v1/ipam/ip", type, 500, NULL);
	expect(&master, "POST", "/v1/ipam/ip", longer, 500, "\"ifName: longer than 15 bytes\"");
	expect(&master, "POST", "/v1/ipam/ip", far, 500,
	       "\"netNamespace: longer than 4095 bytes\"");
	expect(&master, "POST", "/v1/ipam/ip", "{", 500, NULL);
	expect(&master, "GET", "/v1/ipam/ip", NULL, 405, "\"not with this method\"");
	expect(&master, "GET", "/v1/ipam", NULL, 404, "\"no such path\"");
	expect(&master, "GET", "/v1/workloadendpoint?podName=x", NULL, 400,
	       "\"podNamespace: missing\"");
	expect(&master, "POST", "/v1/ipam/ips", "{}", 200, "");
	say_nonsense("hello\r\n\r\n");
	say_nonsense(
		"POST /v1/ipam/ip HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: "
		"chunked\r\n\r\n");
	memset(huge, ' ', 70000);
	huge[70000] = '\0';
	expect(&master, "POST", "/v1/ipam/ip", huge, 413, "\"the body is too large\"");
	expect(&master, "GET", "/v1/debug/stats", NULL, 200,
	       "{\"poolWrites\":0,\"adds\":0,\"dels\":0,\"conflicts\":0}");
}

/* The kubelet's uid of a pod from a file is not that of the object. */
static void static_pods(void **state)
{
	AUTO_JSON *pool = NULL;
	const char *records;

	(void)state;
	make_guide();
	make_pod("s", "uid-of-the-object", "master",
	         "\"kubernetes.io/config.source\":\"file\",\"kubernetes.io/config.hash\":"
	         "\"uid-s\",\"kubernetes.io/config.mirror\":\"uid-s\"");
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "s", "cid-s", "eth0", "172.31.199.185/20", "master-172");
	pool = get(STORE_IPPOOL, NULL, "master-172");
	records = json_str_at(pool, "status", "allocatedIPs", NULL);
	assert_non_null(strstr(records, "\"podUid\":\"uid-of-the-object\""));
	await_endpoint("s", "172.31.199.185/20");
	del(&master, "s", "cid-s", "eth0");
	assert_int_equal(in_use("master-172"), 0);
	await_endpoint("s", NULL);
}

/* Which pod, which networks. */
static char *who(const char *name, const char *uid, const char *more)
{
	return xasprintf("{\"podNamespace\":\"default\",\"podName\":\"%s\",\"podUID\":\"%s\"%s}",
	                 name, uid, more);
}

static void multus_pods(void **state)
{
	static const char mirror[] = "\"kubernetes.io/config.hash\":\"hash\"";
	static const char annotations[] =
		"\"v1.multus-cni.io/default-network\":\"ipvlan-eth1\","
		"\"k8s.v1.cni.cncf.io/networks\":\"a,b\"";
	AUTO_FREE char *a = who("a", "u", ""), *b = who("b", "hash", ""), *c = who("c", "x", "");
	AUTO_FREE char *old = who("b", "older", "");
	AUTO_FREE char *empty = who("", "u", "");

	(void)state;
	make_pod("a", "u", "master", annotations);
	make_pod("b", "u2", "master", mirror);
	start_node(&master);
	await_healthy(&master);
	expect(&master, "POST", "/v1/multus/pod", a, 200,
	       "{\"known\":true,\"uid\":\"u\",\"defaultNetwork\":\"ipvlan-eth1\",\"networks\":\"a,"
	       "b\"}");
	/* the kubelet has another uid for a pod from a file */
	expect(&master, "POST", "/v1/multus/pod", b, 200,
	       "{\"known\":true,\"uid\":\"u2\",\"defaultNetwork\":\"\",\"networks\":\"\"}");
	expect(&master, "POST", "/v1/multus/pod", old, 404,
	       "\"pod default/b has the uid u2, not older: it was replaced\"");
	/* a directory need not hold pods */
	expect(&master, "POST", "/v1/multus/pod", c, 200, "{\"known\":false}");
	free(a);
	a = who("a", "u-new", "");
	expect(&master, "POST", "/v1/multus/pod", a, 404,
	       "\"pod default/a has the uid u, not u-new: it was replaced\"");
	expect(&master, "POST", "/v1/multus/pod", empty, 400,
	       "\"podNamespace, podName: not the names of a pod\"");
	expect(&master, "GET", "/v1/multus/pod", NULL, 405, "\"not with this method\"");
}

static void multus_networks_follow(void **state)
{
	static const char ask[] =
		"{\"networks\":[\"default/a\",\"default/none\"],\"ifKnown\":[\"kube-system/b\"]}";
	static const char with_a[] =
		"{\"networks\":{\"default/a\":{\"config\":\"{}\",\"resourceName\":\"x/y\"}}}";
	AUTO_FREE char *pod = who("c", "x", ",\"ifKnown\":[\"kube-system/b\",\"default/never\"]");
	AUTO_FREE char *bad = who("c", "x", ",\"ifKnown\":[\"none\"]");
	struct mono until = soon();
	bool same = false;

	(void)state;
	create(STORE_NAD,
	       "{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\",\"annotations\":{"
	       "\"k8s.v1.cni.cncf.io/resourceName\":\"x/y\"}},\"spec\":{\"config\":\"{}\"}}");
	start_node(&master);
	await_healthy(&master);
	expect(&master, "POST", "/v1/multus/networks", ask, 200, with_a);
	/* of those that the agent need not know it hears in a moment */
	create(STORE_NAD, "{\"metadata\":{\"name\":\"b\",\"namespace\":\"kube-system\"}}");
	while (!same) {
		int status;
		AUTO_FREE char *text =
			call(master.socket, "POST", "/v1/multus/networks", ask, &status);

		assert_false(mono_passed(until));
		same = streq(text,
		             "{\"networks\":{\"default/a\":{\"config\":\"{}\","
		             "\"resourceName\":\"x/y\"},\"kube-system/b\":{}}}");
	}
	/* one that was named is looked for */
	create(STORE_NAD, "{\"metadata\":{\"name\":\"none\",\"namespace\":\"default\"}}");
	expect(&master, "POST", "/v1/multus/networks", "{\"networks\":[\"default/none\"]}", 200,
	       "{\"networks\":{\"default/none\":{}}}");
	expect(&master, "POST", "/v1/multus/networks", "{\"networks\":[\"none\"]}", 400,
	       "\"networks: \\\"none\\\" is not NAMESPACE/NAME\"");
	/* with a pod, that need not be there, come those that it most likely has */
	expect(&master, "POST", "/v1/multus/pod", pod, 200,
	       "{\"known\":false,\"definitions\":{\"kube-system/b\":{}}}");
	expect(&master, "POST", "/v1/multus/pod", bad, 400,
	       "\"networks: \\\"none\\\" is not NAMESPACE/NAME\"");
}

static void multus_status_is_written(void **state)
{
	static const char key[] = "k8s.v1.cni.cncf.io/network-status";
	AUTO_FREE char *first = who("a", "u", ",\"status\":\"[1]\"");
	AUTO_FREE char *wrong = who("a", "u-old", ",\"status\":\"[0]\"");
	AUTO_FREE char *last = who("a", "u", ",\"status\":\"[2]\"");
	AUTO_FREE char *gone = who("gone", "u", ",\"status\":\"[2]\"");
	struct mono until = soon();
	bool written = false;

	(void)state;
	make_pod("a", "u", "master", "\"x\":\"y\"");
	start_node(&master);
	await_healthy(&master);
	expect(&master, "POST", "/v1/multus/status", gone, 200, "");
	expect(&master, "POST", "/v1/multus/status", first, 200, "");
	expect(&master, "POST", "/v1/multus/status", last, 200, "");
	expect(&master, "POST", "/v1/multus/status", wrong, 200, "");
	while (!written) {
		AUTO_JSON *pod = NULL;
		const char *text;
		struct err e;

		assert_false(mono_passed(until));
		if (store_get(store, STORE_POD, "default", "a", &pod, soon(), &e) < 0)
			fail_msg("%s", e.msg);
		text = json_str_at(pod, "metadata", "annotations", key, NULL);
		written = text && streq(text, "[2]");
		assert_string_equal(json_str_at(pod, "metadata", "annotations", "x", NULL), "y");
		assert_string_equal(json_str_at(pod, "status", "phase", NULL), "Pending");
	}
}

/* As the original's chart has it. */
static void coordinator_defaults(void **state)
{
	static const char who[] = "{\"podNamespace\":\"default\",\"podName\":\"a\"}";

	(void)state;
	master.config.coordinator = (struct coordinator_options){ .service_cidr = "10.96.0.0/12" };
	start_node(&master);
	await_healthy(&master);
	expect(&master, "GET", "/v1/coordinator/config", who, 200,
	       "{\"mode\":\"auto\",\"overlayPodCIDR\":[],\"serviceCIDR\":[\"10.96.0.0/12\"],"
	       "\"hijackCIDR\":[\"169.254.0.0/16\"],\"tunePodRoutes\":true,\"hostRuleTable\":500,"
	       "\"podRPFilter\":0,\"txQueueLen\":0}");
}

static void coordinator_answer(void **state)
{
	static const char who[] = "{\"podNamespace\":\"default\",\"podName\":\"a\"}";
	AUTO_FREE char *path = xasprintf("%s/coordinator.json", folder);
	AUTO_STR file = STR_INIT;

	(void)state;
	master.config.coordinator = (struct coordinator_options){
		.overlay_pod_cidr = "10.244.0.0/16",
		.service_cidr = "10.96.0.0/12,fd00::/108",
		.hijack_cidr = "169.254.20.10/32",
	};
	start_node(&master);
	await_healthy(&master);
	expect(&master, "GET", "/v1/coordinator/config", who, 200,
	       "{\"mode\":\"auto\",\"overlayPodCIDR\":[\"10.244.0.0/16\"],\"serviceCIDR\":[\"10.96."
	       "0.0/12\",\"fd00::/108\"],\"hijackCIDR\":[\"169.254.20.10/32\"],\"tunePodRoutes\":"
	       "true,\"hostRuleTable\":500,\"podRPFilter\":0,\"txQueueLen\":0}");
	make_pod("a", "u", "master", "\"ipam.spidernet.io/default-route-nic\":\"net1\"");
	create(STORE_COORDINATOR,
	       "{\"metadata\":{\"name\":\"default\"},\"spec\":{\"mode\":\"disabled\","
	       "\"podCIDRType\":"
	       "\"none\",\"hijackCIDR\":[],\"podMACPrefix\":\"0a:1b\",\"vethMTU\":1400,"
	       "\"tunePodRoutes\":false}}");
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		int status;
		AUTO_FREE char *text =
			call(master.socket, "GET", "/v1/coordinator/config", who, &status);

		assert_int_equal(status, 200);
		if (streq(text,
		          "{\"mode\":\"disable\",\"overlayPodCIDR\":[\"10.244.0.0/16\"],"
		          "\"serviceCIDR\":[\"10.96.0.0/12\",\"fd00::/108\"],\"hijackCIDR\":[]"
		          ",\"tunePodRoutes\":false,\"hostRuleTable\":500,\"podRPFilter\":0,"
		          "\"txQueueLen\":0,\"podMACPrefix\":\"0a:1b\",\"vethMTU\":1400,"
		          "\"podDefaultRouteNIC\":\"net1\"}"))
			break;
		assert_false(mono_passed(until));
	}
	assert_int_equal(file_read(path, 4096, &file, NULL), 0);
	assert_string_equal(file.data,
	                    "{\"mode\":\"disable\",\"overlayPodCIDR\":[\"10.244.0.0/16\"],"
	                    "\"serviceCIDR\":[\"10.96.0.0/12\",\"fd00::/108\"],\"hijackCIDR\":[]"
	                    ",\"tunePodRoutes\":false,\"hostRuleTable\":500,\"podRPFilter\":0,"
	                    "\"txQueueLen\":0,\"podMACPrefix\":\"0a:1b\",\"vethMTU\":1400}\n");
}

static void bad_options(void **state)
{
	struct agent *a = NULL;
	struct err e;

	(void)state;
	master.config.coordinator.mode = "sideways";
	assert_int_equal(agent_start(&master.config, &a, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_string_equal(e.msg,
	                    "--coordinator-mode: \"sideways\" is none of auto, underlay, "
	                    "overlay, disabled");
	master.config.coordinator.mode = NULL;
	master.config.coordinator.service_cidr = "10.0.0.0/8,x";
	assert_int_equal(agent_start(&master.config, &a, &e), -1);
	assert_string_equal(e.msg, "--service-cidr: \"x\" is not a CIDR");
	master.config.coordinator.service_cidr = NULL;
	master.config.health = "localhost";
	assert_int_equal(agent_start(&master.config, &a, &e), -1);
	assert_string_equal(e.msg, "\"localhost\" is not ADDRESS:PORT");
	master.config.health = NULL;
	master.config.metrics = "0.0.0.0:high";
	assert_int_equal(agent_start(&master.config, &a, &e), -1);
	assert_string_equal(e.msg, "metrics: \"0.0.0.0:high\" is not ADDRESS:PORT");
	master.config.metrics = NULL;
	master.config.store = "nowhere";
	assert_int_equal(agent_start(&master.config, &a, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
}

/* A request from another user: its status, or 1 when it cannot even connect. */
static int as_nobody(const char *path)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sockaddr_un addr = { .sun_family = AF_UNIX };
		char answer[64] = "";
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(3);
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			_exit(1);
		if (read(fd, answer, sizeof(answer) - 1) <= 0)
			_exit(2);
		_exit(strncmp(answer, "HTTP/1.1 403 ", 13) == 0 ? 43 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void socket_is_roots(void **state)
{
	struct stat st, newer;
	struct agent *second = NULL;
	struct err e;

	(void)state;
	/* what a killed agent left is replaced */
	assert_int_equal(file_write(master.socket, "x", 1, 0600, 0, &e), 0);
	start_node(&master);
	await_healthy(&master);
	assert_int_equal(stat(master.socket, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(as_nobody(master.socket), 1);
	assert_int_equal(chmod(master.socket, 0666), 0);
	assert_int_equal(as_nobody(master.socket), 43);

	/* a newer agent takes over the path, and the older one leaves it there when it ends */
	worker.config.socket = master.socket;
	assert_int_equal(agent_start(&worker.config, &second, &e), 0);
	stop_node(&master);
	assert_int_equal(stat(master.socket, &newer), 0);
	assert_true(newer.st_ino != st.st_ino);
	agent_stop(second);
	assert_int_equal(stat(master.socket, &newer), -1);
}

static void probes(void **state)
{
	static const struct {
		const char *path;
		int status;
	} cases[] = { { "/v1/runtime/liveness", 200 },
		      { "/v1/runtime/readiness", 200 },
		      { "/v1/runtime/startup", 200 },
		      { "/v1/ipam/healthy", 404 },
		      { "/v1/debug/stats", 404 } };

	(void)state;
	master.config.health = "127.0.0.1:0";
	start_node(&master);
	await_healthy(&master);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_request q = { .method = "GET", .target = cases[i].path, .host = "x" };
		struct http_response resp;
		struct stream *s;
		struct http *h;
		struct err e;

		if (stream_connect_tcp("127.0.0.1", agent_health_port(master.agent), soon(), &s,
		                       &e) < 0)
			fail_msg("%s", e.msg);
		h = http_new(s);
		if (http_send(h, &q, &resp, NULL, soon(), &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(resp.status, cases[i].status);
		http_free(h);
	}
	/* the same on the socket */
	expect(&master, "GET", "/v1/runtime/readiness", NULL, 200, "");
}

/* What the metrics' port answers, owned. */
static char *scrape(const struct node *n, const char *method, int status)
{
	struct http_request q = { .method = method, .target = "/any", .host = "x" };
	struct http_response resp;
	struct str text = STR_INIT;
	struct stream *s;
	struct http *h;
	struct err e;

	if (stream_connect_tcp("127.0.0.1", agent_metrics_port(n->agent), soon(), &s, &e) < 0)
		fail_msg("%s", e.msg);
	h = http_new(s);
	if (http_send(h, &q, &resp, NULL, soon(), &e) < 0 ||
	    http_read_body(h, &text, soon(), &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(resp.status, status);
	if (status == 200)
		assert_string_equal(resp.content_type, "text/plain; version=0.0.4; charset=utf-8");
	http_free(h);
	return str_take(&text);
}

static void has_line(const char *text, const char *line)
{
	AUTO_FREE char *whole = xasprintf("\n%s\n", line);

	if (!strstr(text, whole))
		fail_msg("no %s in:\n%s", line, text);
}

static void metrics(void **state)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *none = NULL;

	(void)state;
	make_pool("one", "10.0.0.1-10.0.0.2", "10.0.0.0/24", "10.0.0.254", "\"master\"", "");
	make_pool("other", "10.0.1.1-10.0.1.2", "10.0.1.0/24", "10.0.1.254", "\"worker\"", "");
	start_node(&master);
	assert_int_equal(agent_metrics_port(master.agent), 0); /* off, unless it is wanted */
	stop_node(&master);
	master.config.metrics = "127.0.0.1:0";
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "a", "c1", "eth0", "10.0.0.1/24", "one");
	add_gives(&master, "b", "c2", "eth0", "10.0.0.2/24", "one");
	add_fails(&master, "c", "c3", "eth0", "",
	          "\"all IP addresses used out, IPv4 IPPools [one other] of eth0: [one: 2 of 2 in "
	          "use], filtered out: [other is not for node master]\"");
	add_fails(&master, "c", "c3", "eth0", ",\"defaultIPv4IPPool\":[\"no\"]",
	          "\"no IPPool available, IPPool no, which the network configuration names for "
	          "eth0, does not exist\"");
	expect(&master, "POST", "/v1/ipam/ip", "{}", 500, "\"containerID: missing\"");
	del(&master, "b", "c2", "eth0");
	expect(&master, "DELETE", "/v1/ipam/ips", "{}", 500, "\"containerID: missing\"");

	text = scrape(&master, "GET", 200);
	has_line(text, "spiderpool_ipam_allocation_counts_total 5");
	has_line(text, "spiderpool_ipam_allocation_failure_counts_total 3");
	has_line(text, "spiderpool_ipam_allocation_err_ip_used_out_counts_total 1");
	has_line(text, "spiderpool_ipam_allocation_err_no_available_pool_counts_total 1");
	has_line(text, "spiderpool_ipam_allocation_err_internal_counts_total 1");
	has_line(text, "spiderpool_ipam_allocation_duration_seconds_count 5");
	has_line(text, "spiderpool_ipam_allocation_limit_duration_seconds_count 5");
	has_line(text, "spiderpool_ipam_allocation_update_ippool_conflict_counts_total 0");
	has_line(text, "spiderpool_ipam_release_counts_total 2");
	has_line(text, "spiderpool_ipam_release_failure_counts_total 1");
	has_line(text, "spiderpool_total_ippool_counts 2");
	has_line(text, "# TYPE spiderpool_debug_ippool_total_ip_counts gauge");
	has_line(text, "spiderpool_debug_ippool_total_ip_counts{ippool=\"one\"} 2");
	has_line(text, "spiderpool_debug_ippool_available_ip_counts{ippool=\"one\"} 1");
	assert_null(strstr(text, "ippool=\"other\""));
	assert_non_null(strstr(text, "\nspiderpool_build_info{version=\""));
	assert_non_null(strstr(text, "\nprocess_resident_memory_bytes "));
	assert_non_null(strstr(text, "\nspiderpool_endpoint_writes_waiting "));
	none = scrape(&master, "PUT", 405);
}

static void events_tell(void **state)
{
	AUTO_JSON *items = NULL;
	const json *o;
	struct err e;

	(void)state;
	make_guide();
	make_pod("a", "uid-a", "master",
	         "\"v1.multus-cni.io/default-network\":\"kube-system/other\"");
	start_node(&master);
	await_healthy(&master);
	/* of pods that are no objects nobody is told */
	add_fails(&master, "x", "c0", "eth0", ",\"defaultIPv4IPPool\":[\"no\"]",
	          "\"no IPPool available, IPPool no, which the network configuration names for "
	          "eth0, does not exist\"");
	add_fails(&master, "a", "c1", "eth0", ",\"defaultIPv4IPPool\":[\"master-172\"]",
	          "\"no IPPool available, all IPv4 IPPools [master-172] of eth0 filtered out: "
	          "[master-172 is not for network kube-system/other]\"");
	for (struct mono until = soon(); !items; mono_sleep_until(mono_in(2))) {
		if (store_list(store, STORE_EVENT, NULL, NULL, &items, NULL, soon(), &e) < 0)
			fail_msg("%s", e.msg);
		assert_false(mono_passed(until));
		if (!json_count(items))
			json_free(take_ptr(&items));
	}
	o = json_first(items);
	assert_int_equal(json_count(items), 1);
	assert_string_equal(json_str_at(o, "involvedObject", "uid", NULL), "uid-a");
	assert_string_equal(
		json_str_at(o, "message", NULL),
		"no IPPool available, all IPv4 IPPools [master-172] of eth0 filtered out: "
		"[master-172 is not for network kube-system/other]. Remedy: make a SpiderIPPool "
		"that serves node master and network kube-system/other, or correct the pod's "
		"annotations");
}

static void await_event(const char *pod, const char *message)
{
	for (struct mono until = soon();; mono_sleep_until(mono_in(2))) {
		AUTO_JSON *items = NULL;

		assert_int_equal(
			store_list(store, STORE_EVENT, NULL, NULL, &items, NULL, soon(), NULL), 0);
		json_each(o, items)
		{
			if (!streq(json_str_at(o, "involvedObject", "name", NULL), pod))
				continue;
			assert_string_equal(json_str_at(o, "message", NULL), message);
			return;
		}
		assert_false(mono_passed(until));
	}
}

/* What would help with the pools as they are. */
static void events_tell_what_helps(void **state)
{
	(void)state;
	create(STORE_IPPOOL,
	       "{\"metadata\":{\"name\":\"off\"},\"spec\":{\"ips\":[\"10.1.0.1\"],"
	       "\"subnet\":\"10.1.0.0/24\",\"disable\":true}}");
	create(STORE_IPPOOL,
	       "{\"metadata\":{\"name\":\"gw\"},\"spec\":{\"ips\":[\"10.2.0.1-10.2.0.9\"],"
	       "\"subnet\":\"10.2.0.0/24\",\"gateway\":\"10.2.0.9\"}}");
	create(STORE_IPPOOL,
	       "{\"metadata\":{\"name\":\"young\"},\"spec\":{\"ips\":[\"10.1.0.1\"],"
	       "\"subnet\":\"10.1.0.0/24\"}}");
	make_pod("a", "uid-a", "master", "\"x\":\"y\"");
	make_pod("b", "uid-b", "master", "\"x\":\"y\"");
	start_node(&master);
	await_healthy(&master);
#define NONE "no IPPool available, all IPv4 IPPools "
#define GATEWAY "gateway 10.2.0.9 is among ips"
#define OLDER "young is not ready: its 10.1.0.1 overlaps 10.1.0.1 of IPPool off, which is older"
	add_fails(&master, "a", "c1", "eth0", ",\"defaultIPv4IPPool\":[\"off\",\"gw\"]",
	          "\"" NONE
	          "[off gw] of eth0 filtered out: [off is disabled; gw is not ready: " GATEWAY
	          "]\"");
	await_event("a", NONE
	            "[off gw] of eth0 filtered out: [off is disabled; gw is not ready: " GATEWAY
	            "]. Remedy: set spec.disable of IPPool off to false; or take the "
	            "gateway 10.2.0.9 out of spec.ips of IPPool gw, or list it in its "
	            "spec.excludeIPs");
	add_fails(&master, "b", "c2", "eth0", ",\"defaultIPv4IPPool\":[\"young\"]",
	          "\"" NONE "[young] of eth0 filtered out: [" OLDER "]\"");
	await_event("b", NONE "[young] of eth0 filtered out: [" OLDER
	                      "]. Remedy: take the "
	                      "addresses that IPPool young shares with an older one out of either");
}

/* What is wrong is named in full, and where to correct it. */
static void events_tell_what_to_correct(void **state)
{
	(void)state;
	make_guide();
	make_pod("a", "uid-a", "master", "\"ipam.spidernet.io/ippools\":\"[1]\"");
	make_pod("b", "uid-b", "master", "\"x\":\"y\"");
	make_pod("c", "uid-c", "master",
	         "\"ipam.spidernet.io/ippool\":\"{\\\"ipv4\\\":[\\\"p\\\"]}\","
	         "\"ipam.spidernet.io/routes\":\"{}\"");
	create(STORE_NAMESPACE,
	       "{\"metadata\":{\"name\":\"default\",\"annotations\":{"
	       "\"ipam.spidernet.io/default-ipv4-ippool\":\"{}\"}}}");
	start_node(&master);
	await_healthy(&master);
	add_fails(&master, "a", "c1", "eth0", "", NULL);
	await_event("a",
	            "wrong input: annotation ipam.spidernet.io/ippools: not a list of objects. "
	            "Remedy: correct the annotation ipam.spidernet.io/ippools, in the template of "
	            "the pod's workload, or: kubectl annotate --overwrite -n default pod a "
	            "ipam.spidernet.io/ippools=VALUE");
	add_fails(&master, "b", "c2", "eth0", "", NULL);
	await_event(
		"b",
		"wrong input: namespace annotation ipam.spidernet.io/default-ipv4-ippool: not a "
		"list of names of IPPools. Remedy: correct the namespace annotation "
		"ipam.spidernet.io/default-ipv4-ippool: kubectl annotate --overwrite namespace "
		"default ipam.spidernet.io/default-ipv4-ippool=VALUE");
	add_fails(&master, "c", "c3", "eth0", "", NULL);
	await_event(
		"c",
		"wrong input: annotation ipam.spidernet.io/routes: not a list. Remedy: correct "
		"the annotation ipam.spidernet.io/routes, in the template of the pod's workload, "
		"or: kubectl annotate --overwrite -n default pod c "
		"ipam.spidernet.io/routes=VALUE");
}

/* A route is said to be of no use when all the pod's NICs are there, and not before. */
static void events_tell_of_routes(void **state)
{
	static const char routes[] =
		"\"ipam.spidernet.io/routes\":\"[{\\\"dst\\\":\\\"10.0.0.0/8\\\","
		"\\\"gw\\\":\\\"192.168.0.1\\\"},{\\\"dst\\\":\\\"10.9.0.0/16\\\","
		"\\\"gw\\\":\\\"10.5.5.5\\\"}]\"";
	AUTO_FREE char *two = xasprintf(
		"\"k8s.v1.cni.cncf.io/networks\":\"kube-system/ipvlan-eth1@eth1\",%s", routes);
	AUTO_JSON *items = NULL;

	(void)state;
	make_guide();
	make_pod("a", "uid-a", "master", two);
	make_pod("b", "uid-b", "master", routes);
	start_node(&master);
	await_healthy(&master);
#define IGNORED "the gateway is in none of the pod's subnets: route "
#define CORRECT                                                                                    \
	". Remedy: correct the pod's annotation ipam.spidernet.io/routes, or take these routes "   \
	"out of it"
	add_gives(&master, "a", "ca", "eth0", "172.31.199.185/20", "master-172");
	add_gives(&master, "a", "ca", "eth1", "192.168.0.156/24", "master-192");
	await_event("a", IGNORED "10.9.0.0/16 via 10.5.5.5" CORRECT);
	add_gives(&master, "b", "cb", "eth0", "172.31.199.186/20", "master-172");
	await_event("b", IGNORED "10.0.0.0/8 via 192.168.0.1, 10.9.0.0/16 via 10.5.5.5" CORRECT);
	assert_int_equal(store_list(store, STORE_EVENT, NULL, NULL, &items, NULL, soon(), NULL), 0);
	assert_int_equal(json_count(items), 2);
	assert_string_equal(json_str_at(json_first(items), "reason", NULL), "IgnoredRoutes");
}

/* A client that goes away frees its thread; its address is its pod's when it asks again. */
static void client_hangs_up(void **state)
{
	AUTO_FREE char *body = identity("a", "uid-a", "c1", "eth0", "");
	AUTO_FREE char *head = xasprintf(
		"POST /v1/ipam/ip HTTP/1.1\r\nHost: x\r\nContent-Length: "
		"%zu\r\n\r\n%s",
		strlen(body), body);
	struct mono started;
	struct err e;

	(void)state;
	make_guide();
	make_pod("a", "uid-a", "master", "\"x\":\"y\"");
	start_node(&master);
	await_healthy(&master);
	add_gives(&master, "a", "c1", "eth0", "172.31.199.185/20", "master-172");
	take_store_away();
	for (int i = 0; i < 200; i++) {
		/* more than there may be connections at once */
		struct stream *s = NULL;

		if (stream_connect_unix(master.socket, soon(), &s, &e) < 0 ||
		    stream_write(s, head, strlen(head), soon(), &e) < 0)
			fail_msg("%s", e.msg);
		stream_close(s);
	}
	expect(&master, "GET", "/v1/runtime/liveness", NULL, 200, "");
	exchange_store();
	started = mono_now();
	add_gives(&master, "a", "c1", "eth0", "172.31.199.185/20", "master-172");
	assert_true(mono_now().ms - started.ms < 10000);
	assert_int_equal(in_use("master-172"), 1);
}

static void networks(void **state)
{
	struct {
		const char *first, *others, *nic, *fallback, *want;
	} cases[] = {
		{ "", "", "eth0", "ns/x", "ns/x" },
		{ "", "", "eth0", "x", "agent/x" },
		{ "a", "", "eth0", "ns/x", "agent/a" },
		{ "q/a, q/b", "", "eth0", NULL, "q/a" },
		{ "[{\"name\":\"a\",\"namespace\":\"q\"}]", "", "eth0", NULL, "q/a" },
		{ "", "", "eth0", NULL, NULL },
		{ "", "a, b@data ,q/c", "net1", NULL, "pod/a" },
		{ "", "a, b@data ,q/c", "data", NULL, "pod/b" },
		{ "", "a, b@data ,q/c", "net3", NULL, "q/c" },
		{ "", "a, b@data ,q/c", "net2", NULL, NULL },
		{ "", "a,q / b @ data", "data", NULL, "q/b" },
		{ "", "[{\"name\":\"a\"},{\"name\":\"b\",\"interface\":\"data\"}]", "data", NULL,
		  "pod/b" },
		{ "", "[{\"name\":\"a\"},{\"name\":\"b\",\"interfaceRequest\":\"data\"}]", "data",
		  NULL, "pod/b" },
		{ "", "[{\"name\":\"a\",\"interface\":\"x\",\"interfaceRequest\":\"data\"}]",
		  "data", NULL, NULL },
		{ "", "[{\"name\":\"a\",\"interfaceRequest\":\"data\"}]", "net1", NULL, NULL },
		{ "", "[{\"name\":\"a\"", "net1", NULL, NULL },
		{ "", "", "net1", "ns/x", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pod_facts f = { .default_network = xstrdup(cases[i].first),
			               .networks = xstrdup(cases[i].others) };
		AUTO_FREE char *why = NULL;
		AUTO_FREE char *got =
			pod_network(&f, cases[i].nic, cases[i].fallback, "pod", "agent", &why);

		if (cases[i].want)
			assert_string_equal(got, cases[i].want);
		else
			assert_null(got);
		assert_true(!got == !!why);
		pod_facts_release(&f);
	}
	assert_int_equal(network_count(""), 0);
	assert_int_equal(network_count("a, b@data ,q/c"), 3);
	assert_int_equal(network_count("[{\"name\":\"a\"},{\"name\":\"b\"}]"), 2);
	assert_int_equal(network_count("[{\"name\":\"a\""), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(right_pool),
		TEST(endpoints_follow),
		TEST(endpoints_go_unread),
		TEST(endpoints_join),
		TEST(endpoints_make_room),
		TEST(late_del),
		TEST(pod_moves),
		TEST(hundred_at_once),
		TEST(two_nodes_one_pool),
		TEST(retry_and_release),
		TEST(release_queue),
		TEST(store_away),
		TEST(pods_that_get_nothing),
		TEST(pools_change),
		TEST(named_pools),
		TEST(bad_requests),
		TEST(static_pods),
		TEST(multus_pods),
		TEST(multus_networks_follow),
		TEST(multus_status_is_written),
		TEST(coordinator_defaults),
		TEST(coordinator_answer),
		TEST(bad_options),
		TEST(socket_is_roots),
		TEST(probes),
		TEST(metrics),
		TEST(events_tell),
		TEST(events_tell_what_helps),
		TEST(events_tell_what_to_correct),
		TEST(events_tell_of_routes),
		TEST(client_hangs_up),
		cmocka_unit_test(networks),
	};

	main_thread = pthread_self();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
