/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/ipam.c plugins/detect.c plugins/agent_client.c plugins/plugin_log.c cni/ net/ */
/* links: json/json.c base/ http/http1.c http/stream.c http/url.c */
/* libs: cjson mnl */
/*
 * detect_test.c - the IPAM plugin with an agent that wants addresses and gateways probed: a pod's
 * namespace, a neighbour's whose kernel answers, and a pretended agent in a thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cni/state.h"
#include "http/http1.h"
#include "net/addr.h"
#include "net/netns.h"
#include "plugins/ipam.h"
#include "tests/unit/sandbox.h"

#define PEER_MAC "0a:00:00:00:00:02"

static char top[64], path[100], state_dir[100], netns[64];
static int pod_ns = -1, peer_ns = -1;
static struct nl *pod, *peer;
static struct link inside, outside;
static struct err e;

static int group_setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/detect_test.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/agent.sock", top);
	snprintf(state_dir, sizeof(state_dir), "%s/state", top);
	leave_home();
	return 0;
}

static int group_teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static int new_ns(void)
{
	int ns = -1;

	move_out();
	OK(netns_open_self(&ns, &e));
	return ns;
}

static void hold(const char *text)
{
	struct cidr c;

	OK(cidr_parse(text, &c, &e));
	OK(addr_add(peer, outside.index, c, &e));
}

/* eth0 of the pod is down, as a main plugin leaves it, and its neighbour is a gateway. */
static int setup(void **state)
{
	struct veth_spec v = { .name = "eth0", .peer = "peer" };

	(void)state;
	OK(mac_parse("0a:00:00:00:00:01", &v.mac, &e));
	OK(mac_parse(PEER_MAC, &v.peer_mac, &e));
	pod_ns = new_ns();
	peer_ns = new_ns();
	move_out();
	OK(netns_nl(pod_ns, NETLINK_ROUTE, &pod, &e));
	OK(netns_nl(peer_ns, NETLINK_ROUTE, &peer, &e));
	v.peer_ns = peer_ns;
	OK(link_add_veth(pod, &v, NULL, &e));
	OK(link_get(pod, "eth0", &inside, &e));
	OK(link_get(peer, "peer", &outside, &e));
	OK(link_set_up(peer, outside.index, &e));
	hold("10.0.0.1/24");
	hold("fd00::1/64");
	snprintf(netns, sizeof(netns), "/proc/self/fd/%d", pod_ns);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nl_close(pod);
	nl_close(peer);
	close(pod_ns);
	close(peer_ns);
	return 0;
}

/* Answers the ADD with that, and, with release, a second request with 200. */
struct agent {
	const char *body;
	bool release;
	char seen[2][1024]; /* "METHOD TARGET BODY" */
	int listener;
	pthread_t thread;
};

static void serve(struct agent *a, const char *body, char *seen, size_t size)
{
	struct mono deadline = mono_in(10000);
	struct http_incoming in;
	struct http *h;
	int fd = accept(a->listener, NULL, NULL);

	if (fd < 0)
		return; /* stopped */
	h = http_new(stream_from_fd(fd));
	if (http_receive(h, 65536, &in, deadline, NULL) == 0 && in.method) {
		snprintf(seen, size, "%s %s %s", in.method, in.target, in.body);
		if (!a->release) { /* it is gone before anybody can ask again */
			unlink(path);
			shutdown(a->listener, SHUT_RDWR);
		}
		IGNORE(http_respond(h, 200, "application/json", body, strlen(body), 0, true,
		                    deadline, NULL));
	}
	http_free(h);
}

static void *agent_main(void *arg)
{
	struct agent *a = arg;

	serve(a, a->body, a->seen[0], sizeof(a->seen[0]));
	if (a->release)
		serve(a, "", a->seen[1], sizeof(a->seen[1]));
	return NULL;
}

static void start(struct agent *a)
{
	struct sockaddr_un s = { .sun_family = AF_UNIX };

	memset(a->seen, 0, sizeof(a->seen));
	a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(s.sun_path, sizeof(s.sun_path), "%s", path);
	if (bind(a->listener, (const struct sockaddr *)&s, sizeof(s)) < 0 ||
	    listen(a->listener, 8) < 0)
		fail_msg("cannot listen");
	pthread_create(&a->thread, NULL, agent_main, a);
}

static void stop(struct agent *a)
{
	shutdown(a->listener, SHUT_RDWR);
	pthread_join(a->thread, NULL);
	close(a->listener);
	unlink(path);
}

static const char *get_env(const char *name)
{
	static const char *const fixed[][2] = {
		{ "CNI_COMMAND", "ADD" },
		{ "CNI_CONTAINERID", "0123456789abcdef" },
		{ "CNI_IFNAME", "eth0" },
		{ "CNI_PATH", "/opt/cni/bin" },
		{ "CNI_NETNS", netns },
		{ "CNI_ARGS",
		  "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=u-1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (streq(name, fixed[i][0]))
			return fixed[i][1];
	return NULL;
}

static char *configuration(void)
{
	return xasprintf(
		"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"macvlan\",\"ipam\":{"
		"\"type\":\"spiderpool\",\"ipam_unix_socket_path\":\"%s\",\"state_dir\":"
		"\"%s\"}}",
		path, state_dir);
}

static int add(struct agent *a, struct str *out)
{
	AUTO_FREE char *conf = configuration();
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], conf, strlen(conf)), strlen(conf));
	close(fds[1]);
	str_reset(out, 0);
	start(a);
	status = cni_run(&ipam_plugin, get_env, fds[0], out);
	stop(a);
	close(fds[0]);
	return status;
}

/* That it failed so; msg is the beginning of the message. */
static void assert_error(const struct str *out, int code, const char *msg)
{
	AUTO_JSON *doc = NULL;
	int64_t got = 0;

	if (json_parse(out->data, out->len, 0, &doc, &e) < 0 || json_i64(doc, "code", &got, &e) < 0)
		fail_msg("%s: %s", out->data, e.msg);
	if (got != code || !str_starts(json_str_at(doc, "msg", NULL), msg))
		fail_msg("wanted %d %s: %s", code, msg, out->data);
}

static bool is_up(void)
{
	OK(link_get(pod, "eth0", &inside, &e));
	return inside.flags & IFF_UP;
}

#define IP(address, gateway, conflict, reach)                                                      \
	"{\"nic\":\"eth0\",\"address\":\"" address "\",\"gateway\":\"" gateway                     \
	"\",\"enableIPConflictDetection\":" conflict ",\"enableGatewayDetection\":" reach "}"
/* Another interface's: none of our business. */
#define FOREIGN ",{\"nic\":\"net1\",\"address\":\"10.0.0.8/24\",\"enableIPConflictDetection\":true}"

#define IDENTITY                                                                                   \
	"{\"containerID\":\"0123456789abcdef\",\"ifName\":\"eth0\",\"netNamespace\":\"%s\","       \
	"\"podNamespace\":\"default\",\"podName\":\"web-0\",\"podUID\":\"u-1\"%s}"

/* The second request was this one. */
static void assert_released(const struct agent *a, const char *method_and_path, const char *more)
{
	AUTO_FREE char *want = xasprintf("%s " IDENTITY, method_and_path, netns, more);

	assert_string_equal(a->seen[1], want);
}

static void nothing_is_probed_unasked(void **state)
{
	struct agent a = { .body = "{\"ips\":[" IP("10.0.0.8/24", "10.0.0.2", "false", "false")
		                   FOREIGN "]}",
		           .release = true };
	AUTO_STR out = STR_INIT;

	(void)state;
	hold("10.0.0.8/24");
	assert_int_equal(add(&a, &out), 0);
	assert_false(is_up());
	assert_string_equal(a.seen[1], "");
}

#define RESULT                                                                                     \
	"{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.9/24\",\"gateway\":\"10.0.0."    \
	"1\"},"                                                                                    \
	"{\"address\":\"fd00::9/64\",\"gateway\":\"fd00::1\"}]}\n"

static void free_addresses_and_gateways_pass(void **state)
{
	struct agent a = { .body = "{\"ips\":[" IP("10.0.0.9/24", "10.0.0.1", "true",
		                                   "true") "," IP("fd00::9/64", "fd00::1", "true",
		                                                  "true") FOREIGN "]}",
		           .release = true };
	AUTO_STR out = STR_INIT;
	int64_t ms = 600;

	(void)state;
	/* both families at once; a busy machine gets five tries */
	for (int i = 0; i < 5 && ms >= 600; i++) {
		struct mono begin = mono_now();

		assert_int_equal(add(&a, &out), 0);
		ms = mono_now().ms - begin.ms;
		assert_string_equal(out.data, RESULT);
		assert_true(is_up());
		assert_string_equal(a.seen[1], "");
	}
	assert_in_range(ms, 300, 599);
}

static void conflicts_are_told(void **state)
{
	struct agent a = { .body = "{\"ips\":[" IP("10.0.0.8/24", "10.0.0.1", "true",
		                                   "true") "," IP("fd00::8/64", "", "true",
		                                                  "true") "]}",
		           .release = true };
	AUTO_STR out = STR_INIT;

	(void)state;
	hold("10.0.0.8/24");
	hold("fd00::8/64");
	assert_int_equal(add(&a, &out), 1);
	assert_error(&out, 11,
	             "ip conflict: " PEER_MAC " answers for 10.0.0.8 on eth0, " PEER_MAC
	             " answers for fd00::8 on eth0");
	assert_released(&a, "DELETE /v1/ipam/ips",
	                ",\"conflicts\":[{\"address\":\"10.0.0.8\",\"reason\":\"" PEER_MAC
	                " answers for it on eth0\"},{\"address\":\"fd00::8\",\"reason\":\"" PEER_MAC
	                " answers for it on eth0\"}]");
}

static void silent_gateways_are_told(void **state)
{
	struct agent a = { .body = "{\"ips\":[" IP("10.0.0.9/24", "10.0.0.2", "true",
		                                   "true") "," IP("fd00::9/64", "fd00::1", "false",
		                                                  "true") "]}",
		           .release = true };
	struct agent v6 = { .body = "{\"ips\":[" IP("10.0.0.9/24", "10.0.0.1", "false",
		                                    "true") "," IP("fd00::9/64", "fd00::2", "false",
		                                                   "true") "]}",
		            .release = true };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(add(&a, &out), 1);
	assert_error(&out, 11, "gateway 10.0.0.2 is unreachable: nobody answers for it on eth0");
	/* its address is as good as before */
	assert_released(&a, "DELETE /v1/ipam/ip", "");
	assert_int_equal(add(&v6, &out), 1);
	assert_error(&out, 11, "gateway fd00::2 is unreachable: nobody answers for it on eth0");
}

static void agents_may_be_away_by_then(void **state)
{
	struct agent a = { .body = "{\"ips\":[" IP("10.0.0.8/24", "", "true", "true") "]}" };
	AUTO_STR out = STR_INIT;
	struct release *r;
	size_t n;

	(void)state;
	hold("10.0.0.8/24");
	assert_int_equal(add(&a, &out), 1);
	assert_error(&out, 11, "ip conflict: " PEER_MAC " answers for 10.0.0.8 on eth0");
	OK(release_list(state_dir, &r, &n, &e));
	assert_int_equal(n, 1);
	assert_string_equal(r[0].container_id, "0123456789abcdef");
	assert_string_equal(r[0].ifname, "eth0");
	OK(release_remove(state_dir, &r[0], &e));
	release_release(&r[0]);
	free(r);
}

static void interfaces_may_be_missing(void **state)
{
	struct agent a = { .body = "{\"ips\":[" IP("10.0.0.9/24", "", "true", "false") "]}",
		           .release = true };
	AUTO_STR out = STR_INIT;

	(void)state;
	OK(link_del(pod, inside.index, &e));
	assert_int_equal(add(&a, &out), 1);
	assert_error(&out, 999,
	             "conflict and gateway detection, in the pod: there is no interface \"eth0\"");
	assert_released(&a, "DELETE /v1/ipam/ip", "");
}

static void flags_are_true_or_false(void **state)
{
	struct agent a = { .body = "{\"ips\":[" IP("10.0.0.9/24", "", "1", "false") "]}",
		           .release = true };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(add(&a, &out), 1);
	assert_error(&out, 999, "answer of the agent at ");
	assert_non_null(strstr(out.data, "enableIPConflictDetection: not true or false"));
}

/* A main plugin in the same process gets them told, and probes itself. */
static void flags_pass_in_process(void **state)
{
	struct agent a = {
		.body = "{\"ips\":[" IP("10.0.0.8/24", "10.0.0.1", "true", "false") "," IP(
			"fd00::9/64", "", "false", "true") "," IP("10.0.0.9/24", "10.0.0.1",
		                                                  "false", "true") "]}",
		.release = true
	};
	AUTO_FREE char *text = configuration();
	AUTO_DETECTIONS wanted = { NULL, 0 };
	AUTO_JSON *conf = NULL, *result = NULL;
	struct cni_call c = { .command = CNI_ADD,
		              .container_id = "0123456789abcdef",
		              .netns = netns,
		              .ifname = "eth0",
		              .args = "",
		              .version = CNI_1_0_0,
		              .deadline = mono_in(10000) };
	int code = 0;

	(void)state;
	hold("10.0.0.8/24");
	OK(json_parse(text, strlen(text), 0, &conf, &e));
	c.conf = conf;
	start(&a);
	OK(ipam_add(&c, &wanted, &result, &code, &e));
	stop(&a);
	assert_int_equal(json_count(json_get(result, "ips")), 3);
	assert_int_equal(wanted.n, 2);
	assert_string_equal(cidr_str(wanted.v[0].address).s, "10.0.0.8/24");
	assert_true(wanted.v[0].conflict);
	assert_false(wanted.v[0].reach);
	/* what has no gateway has none to be probed */
	assert_string_equal(cidr_str(wanted.v[1].address).s, "10.0.0.9/24");
	assert_string_equal(ip_str(wanted.v[1].gateway).s, "10.0.0.1");
	assert_false(wanted.v[1].conflict);
	assert_true(wanted.v[1].reach);
	assert_true(detect_wants_conflict(&wanted, wanted.v[0].address.ip));
	assert_false(detect_wants_conflict(&wanted, wanted.v[1].address.ip));
	assert_false(is_up());
	assert_string_equal(a.seen[1], "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_is_probed_unasked),  T(free_addresses_and_gateways_pass),
		T(conflicts_are_told),         T(silent_gateways_are_told),
		T(agents_may_be_away_by_then), T(interfaces_may_be_missing),
		T(flags_are_true_or_false),    T(flags_pass_in_process),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
