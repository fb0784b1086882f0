/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/ipam.c plugins/detect.c plugins/agent_client.c plugins/plugin_log.c cni/ net/ */
/* links: json/json.c base/ http/http1.c http/stream.c http/url.c */
/* libs: cjson mnl */
/* tsan */
/*
 * ipam_test.c - the IPAM plugin as a runtime calls it, against a pretended agent in a thread.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "cni/state.h"
#include "http/http1.h"
#include "plugins/ipam.h"
#include "plugins/plugin_log.h"

static char top[64], path[100], state_dir[100];

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/ipam_test.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/agent.sock", top);
	snprintf(state_dir, sizeof(state_dir), "%s/state", top);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command); /* NOLINT: a test's own temporary folder */
}

/* Answers one request; status 0: there is no agent. */
struct agent {
	int status;
	const char *body;
	char seen[1024]; /* "METHOD TARGET BODY" */
	int listener;
	pthread_t thread;
};

static void *agent_main(void *arg)
{
	struct agent *a = arg;
	struct http *h = http_new(stream_from_fd(accept(a->listener, NULL, NULL)));
	struct mono deadline = mono_in(10000);
	struct http_incoming in;
	struct err e;

	if (http_receive(h, 65536, &in, deadline, &e) == 0 && in.method) {
		snprintf(a->seen, sizeof(a->seen), "%s %s %s", in.method, in.target, in.body);
		IGNORE(http_respond(h, a->status, "application/json", a->body, strlen(a->body), 0,
		                    true, deadline, &e));
	}
	http_free(h);
	return NULL;
}

static void start(struct agent *a)
{
	struct sockaddr_un s = { .sun_family = AF_UNIX };

	if (!a->status)
		return;
	a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(s.sun_path, sizeof(s.sun_path), "%s", path);
	if (bind(a->listener, (const struct sockaddr *)&s, sizeof(s)) < 0 ||
	    listen(a->listener, 8) < 0)
		fail_msg("cannot listen");
	pthread_create(&a->thread, NULL, agent_main, a);
}

static void stop(struct agent *a)
{
	if (!a->status)
		return;
	pthread_join(a->thread, NULL);
	close(a->listener);
	unlink(path);
}

static const char *command = "ADD", *netns = "/proc/self/ns/net";

static const char *get_env(const char *name)
{
	static const char *const fixed[][2] = {
		{ "CNI_CONTAINERID", "0123456789abcdef" },
		{ "CNI_IFNAME", "eth0" },
		{ "CNI_PATH", "/opt/cni/bin" },
		{ "CNI_NETNS_OVERRIDE", "1" },
		{ "CNI_ARGS",
		  "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=u-1" },
	};

	if (streq(name, "CNI_COMMAND"))
		return command;
	if (streq(name, "CNI_NETNS"))
		return netns;
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (streq(name, fixed[i][0]))
			return fixed[i][1];
	return NULL;
}

/*
 * Runs one call against the agent.  ipam: further members of that object, with a comma in front of
 * each; more: of the configuration.
 */
static int call(struct agent *a, const char *verb, const char *version, const char *ipam,
                const char *more, struct str *out)
{
	AUTO_STR conf = STR_INIT;
	int fds[2], status;

	str_addf(&conf,
	         "{\"cniVersion\":\"%s\",\"name\":\"n\",\"type\":\"ipvlan\",\"ipam\":{\"type\":"
	         "\"spiderpool\","
	         "\"ipam_unix_socket_path\":\"%s\",\"state_dir\":\"%s\"%s}%s}",
	         version, path, state_dir, ipam, more);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], conf.data, conf.len), conf.len);
	close(fds[1]);
	str_reset(out, 0);
	command = verb;
	start(a);
	status = cni_run(&ipam_plugin, get_env, fds[0], out);
	stop(a);
	close(fds[0]);
	return status;
}

/* That the call failed so.  msg may be the beginning of the message. */
static void assert_error(const struct str *out, int code, const char *msg)
{
	AUTO_JSON *doc = NULL;
	int64_t got = 0;
	struct err e;

	if (json_parse(out->data, out->len, 0, &doc, &e) < 0 || json_i64(doc, "code", &got, &e) < 0)
		fail_msg("%s: %s", out->data, e.msg);
	if (got != code || !str_starts(json_str_at(doc, "msg", NULL), msg))
		fail_msg("wanted %d %s: %s", code, msg, out->data);
}

#define ANSWER                                                                                     \
	"{\"ips\":[{\"version\":4,\"address\":\"172.31.199.185/"                                   \
	"20\",\"nic\":\"eth0\",\"ipPool\":\"master-172\","                                         \
	"\"gateway\":\"172.31.207.253\",\"vlan\":0,\"mac\":\"\",\"enableGatewayDetection\":false}" \
	","                                                                                        \
	"{\"version\":4,\"address\":\"192.168.0.9/24\",\"nic\":\"net1\"},"                         \
	"{\"version\":6,\"address\":\"fd00::9/64\",\"nic\":\"eth0\"}],"                            \
	"\"routes\":[{\"ifName\":\"eth0\",\"dst\":\"0.0.0.0/0\",\"gw\":\"172.31.207.253\"},"       \
	"{\"ifName\":\"net1\",\"dst\":\"10.0.0.0/8\",\"gw\":\"192.168.0.1\"}]"

static void add(void **state)
{
	struct agent a = { .status = 200, .body = ANSWER "}" };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(call(&a, "ADD", "0.3.1", "", "", &out), 0);
	assert_string_equal(
		out.data,
		"{\"cniVersion\":\"0.3.1\",\"ips\":[{\"version\":\"4\",\"address\":\"172.31.199."
		"185/20\","
		"\"gateway\":\"172.31.207.253\"},{\"version\":\"6\",\"address\":\"fd00::9/64\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"172.31.207.253\"}],\"dns\":{}}\n");
	assert_string_equal(
		a.seen,
		"POST /v1/ipam/ip {\"containerID\":\"0123456789abcdef\",\"ifName\":\"eth0\","
		"\"netNamespace\":\"/proc/self/ns/net\",\"podNamespace\":\"default\","
		"\"podName\":\"web-0\",\"podUID\":\"u-1\",\"networkName\":\"n\","
		"\"cleanGateway\":false,"
		"\"matchMasterSubnet\":false}");
	assert_int_equal(call(&a, "ADD", "1.1.0", "", "", &out), 0);
	assert_string_equal(out.data,
	                    "{\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"172.31.199.185/20\","
	                    "\"gateway\":\"172.31.207.253\"},{\"address\":\"fd00::9/64\"}],"
	                    "\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"172.31.207.253\"}]}\n");
}

static void add_with_all_keys(void **state)
{
	struct agent a = { .status = 200,
		           .body = ANSWER ",\"dns\":{\"nameservers\":[\"10.0.0.10\"]}}" };
	AUTO_STR ipam = STR_INIT;
	AUTO_STR out = STR_INIT;
	AUTO_STR text = STR_INIT;
	AUTO_FREE char *log = xasprintf("%s/log/ipam.log", top);
	struct err e;

	(void)state;
	str_addf(&ipam,
	         ",\"log_level\":\"INFO\",\"log_file_path\":\"%s\",\"log_file_max_size\":\"10\","
	         "\"log_file_max_age\":-1,\"log_file_max_count\":3,\"default_ipv4_ippool\":[\"a\","
	         "\"b*\"],"
	         "\"default_ipv6_ippool\":[],\"clean_gateway\":true,\"match_master_subnet\":false,"
	         "\"timeout_ms\":20000",
	         log);
	assert_int_equal(call(&a, "ADD", "1.0.0", ipam.data, ",\"ranges\":{}", &out), 0);
	assert_non_null(strstr(out.data, "\"dns\":{\"nameservers\":[\"10.0.0.10\"]}"));
	assert_non_null(strstr(a.seen,
	                       "\"defaultIPv4IPPool\":[\"a\",\"b*\"],\"defaultIPv6IPPool\":[],"
	                       "\"cleanGateway\":true,\"matchMasterSubnet\":false}"));
	assert_int_equal(file_read(log, 65536, &text, &e), 0);
	assert_null(strstr(text.data, " warn "));
	assert_non_null(strstr(
		text.data,
		"ipam: allocated 172.31.199.185/20 pod=default/web-0 cid=0123456789abc if=eth0"));
	log_init("test", STDERR_FILENO, false, LOG_LEVEL_INFO);
}

/* Keys that nobody reads are named where the log is, once, and fail nothing. */
static void add_with_unknown_keys(void **state)
{
	struct agent a = { .status = 200, .body = ANSWER "}" };
	AUTO_FREE char *log = xasprintf("%s/log/unknown.log", top);
	AUTO_FREE char *ipam =
		xasprintf(",\"log_file_path\":\"%s\",\"ranges\":[],\"Clean_Gateway\":true", log);
	static const char want[] =
		" warn ipam: configuration: ipam: unknown keys are ignored: \"ranges\", "
		"\"Clean_Gateway\" (is \"clean_gateway\" meant?) pod=default/web-0 "
		"cid=0123456789abc if=eth0\n";
	AUTO_STR out = STR_INIT;
	AUTO_STR text = STR_INIT;
	const char *at;
	struct err e;

	(void)state;
	/* what is beside "ipam" is the main plugin's */
	assert_int_equal(call(&a, "ADD", "1.0.0", ipam, ",\"bridge\":1", &out), 0);
	assert_int_equal(call(&a, "DEL", "1.0.0", ipam, "", &out), 0);
	assert_int_equal(file_read(log, 65536, &text, &e), 0);
	at = strstr(text.data, want);
	if (!at || strstr(at + 1, want) || strstr(text.data, "bridge"))
		fail_msg("%s", text.data);
	log_init("test", STDERR_FILENO, false, LOG_LEVEL_INFO);
}

/* A number as JSON has it, and as the original's documents show it. */
static void log_numbers(void **state)
{
	static const char *const good[] = {
		",\"log_file_max_size\":5,\"log_file_max_age\":7,\"log_file_max_count\":9",
		",\"log_file_max_size\":\"5\",\"log_file_max_age\":\"7\","
		"\"log_file_max_count\":\"9\"",
	};
	struct plugin_log l;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO_FREE char *text = xasprintf("{%s}", good[i] + 1);
		AUTO_JSON *j = NULL;

		assert_int_equal(json_parse(text, strlen(text), 0, &j, NULL), 0);
		assert_int_equal(plugin_log_read(j, &l, NULL), 0);
		assert_int_equal(l.max_mib, 5);
		assert_int_equal(l.max_days, 7);
		assert_int_equal(l.max_count, 9);
	}
	{
		static const char text[] =
			"{\"logOptions\":{\"logLevel\":\"panic\",\"logFile\":\"/x/y\","
			"\"logMaxSize\":\"5\",\"logMaxAge\":0,\"logMaxCount\":9}}";
		AUTO_JSON *j = NULL;

		assert_int_equal(json_parse(text, strlen(text), 0, &j, NULL), 0);
		assert_int_equal(plugin_log_read_options(j, &l, NULL), 0);
		assert_int_equal(l.level, LOG_LEVEL_ERROR);
		assert_string_equal(l.path, "/x/y");
		assert_int_equal(l.max_mib, 5);
		assert_int_equal(l.max_days, 30);
		assert_int_equal(l.max_count, 9);
		assert_int_equal(plugin_log_read_options(NULL, &l, NULL), 0);
		assert_null(l.path);
	}
}

static void add_failures(void **state)
{
	static const struct {
		int status;
		const char *body;
		int code;
		const char *msg;
	} bad[] = {
		{ 500, "\"all IP addresses used out: pool p\"", 11,
		  "allocate addresses for eth0 of pod default/web-0: agent: all IP addresses used "
		  "out: pool p" },
		{ 500, "\"no IPPool available: p is of node x\"", 11,
		  "allocate addresses for eth0 of pod default/web-0: agent: no IPPool available: p "
		  "is of node x" },
		{ 500, "\"odd\"", 999,
		  "allocate addresses for eth0 of pod default/web-0: agent: odd" },
		{ 503, "\"starting\"", 11,
		  "allocate addresses for eth0 of pod default/web-0: agent: starting" },
		{ 200, "", 999, "answer of the agent at " },
		{ 200, "{\"ips\":[]}", 999, "answer of the agent at " },
		{ 200, "{\"ips\":[{\"nic\":\"net1\",\"address\":\"10.0.0.1/8\"}]}", 999,
		  "answer of the agent at " },
		{ 200, "{\"ips\":[{\"nic\":\"eth0\",\"address\":\"10.0.0.1\"}]}", 999,
		  "answer of the agent at " },
		{ 200, "{\"ips\":[{\"nic\":\"eth0\"}]}", 999, "answer of the agent at " },
		{ 200,
		  "{\"ips\":[{\"nic\":\"eth0\",\"address\":\"10.0.0.1/"
		  "8\"}],\"routes\":[{\"ifName\":\"eth0\"}]}",
		  999, "answer of the agent at " },
		{ 0, NULL, 11, "allocate addresses for eth0 of pod default/web-0: no agent at " },
	};
	AUTO_STR out = STR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct agent a = { .status = bad[i].status, .body = bad[i].body };

		assert_int_equal(
			call(&a, "ADD", "1.0.0", a.status ? "" : ",\"timeout_ms\":200", "", &out),
			1);
		assert_error(&out, bad[i].code, bad[i].msg);
	}
	/* the last one says what to look at */
	assert_non_null(strstr(
		out.data,
		"kubectl get pods -A -o wide -l app.kubernetes.io/component=spiderpool-agent"));
	assert_non_null(strstr(out.data, "journalctl -u spiderpool-agent"));
	assert_non_null(strstr(out.data, path));
}

static void bad_configurations(void **state)
{
	static const char *const bad[][2] = {
		{ ",\"log_level\":\"loud\"",
		  "configuration: ipam: log_level: \"loud\" is not a log level: error, warn, info "
		  "or debug" },
		{ ",\"log_level\":1", "configuration: ipam: log_level: not a string" },
		{ ",\"log_file_path\":true", "configuration: ipam: log_file_path: not a string" },
		{ ",\"log_file_max_size\":\"big\"",
		  "configuration: ipam: log_file_max_size: \"big\" is not a number" },
		{ ",\"log_file_max_age\":[]",
		  "configuration: ipam: log_file_max_age: not an exact integer" },
		{ ",\"log_file_max_count\":101",
		  "configuration: ipam: log_file_max_count: 101 is more than 100" },
		{ ",\"default_ipv4_ippool\":\"a\"",
		  "configuration: ipam: default_ipv4_ippool: not an array" },
		{ ",\"default_ipv6_ippool\":[1]",
		  "configuration: ipam: default_ipv6_ippool: not an array of strings" },
		{ ",\"clean_gateway\":\"yes\"",
		  "configuration: ipam: clean_gateway: not true or false" },
		{ ",\"match_master_subnet\":1",
		  "configuration: ipam: match_master_subnet: not true or false" },
		{ ",\"match_master_subnet\":true",
		  "configuration: ipam: match_master_subnet: it is for SR-IOV interfaces, which "
		  "are not supported; remove it" },
		{ ",\"timeout_ms\":0",
		  "configuration: ipam: timeout_ms: not between 1 and 100000" },
		{ ",\"timeout_ms\":\"1\"", "configuration: ipam: timeout_ms: not a number" },
	};
	struct agent none = { .status = 0 };
	AUTO_STR out = STR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(call(&none, "ADD", "1.0.0", bad[i][0], "", &out), 1);
		assert_error(&out, 7, bad[i][1]);
	}
}

static void relative_paths_and_no_ipam(void **state)
{
	static const char *const bad[][2] = {
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"n\"}", "configuration: ipam: missing" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"ipam\":[]}",
		  "configuration: ipam: not an object" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"ipam\":{\"state_dir\":\"x\"}}",
		  "configuration: ipam: state_dir: \"x\" is not an absolute path" },
	};
	AUTO_STR out = STR_INIT;

	(void)state;
	command = "ADD";
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		assert_true(write(fds[1], bad[i][0], strlen(bad[i][0])) > 0);
		close(fds[1]);
		str_reset(&out, 0);
		assert_int_equal(cni_run(&ipam_plugin, get_env, fds[0], &out), 1);
		close(fds[0]);
		assert_error(&out, 7, bad[i][1]);
	}
}

/* Nothing is asked for when there is no namespace to put it into. */
static void add_without_netns(void **state)
{
	struct agent none = { .status = 0 };
	AUTO_STR out = STR_INIT;

	(void)state;
	netns = "/nonexistent/ns";
	assert_int_equal(call(&none, "ADD", "1.0.0", "", "", &out), 1);
	assert_error(&out, 8,
	             "open network namespace \"/nonexistent/ns\": No such file or directory");
	netns = "/etc/passwd";
	assert_int_equal(call(&none, "ADD", "1.0.0", "", "", &out), 1);
	assert_error(&out, 8, "/etc/passwd is not a network namespace (unknown FS magic 0x");
	netns = "/proc/self/ns/net";
}

/* The queue: exactly this one record, which is taken away. */
static void assert_queued(bool want)
{
	struct release *r;
	struct err e;
	size_t n;

	assert_int_equal(release_list(state_dir, &r, &n, &e), 0);
	assert_int_equal(n, want);
	if (want) {
		assert_string_equal(r[0].container_id, "0123456789abcdef");
		assert_string_equal(r[0].ifname, "eth0");
		assert_string_equal(r[0].pod_namespace, "default");
		assert_string_equal(r[0].pod_name, "web-0");
		assert_string_equal(r[0].pod_uid, "u-1");
		assert_int_equal(release_remove(state_dir, &r[0], &e), 0);
		release_release(&r[0]);
	}
	free(r);
}

static void del(void **state)
{
	struct agent a = { .status = 200, .body = "" };
	AUTO_STR out = STR_INIT;

	(void)state;
	netns = "";
	/* a key that no ADD accepts is in nobody's way */
	assert_int_equal(call(&a, "DEL", "0.3.1", ",\"match_master_subnet\":true", "", &out), 0);
	netns = "/proc/self/ns/net";
	assert_int_equal(out.len, 0);
	assert_string_equal(
		a.seen,
		"DELETE /v1/ipam/ip {\"containerID\":\"0123456789abcdef\",\"ifName\":\"eth0\","
		"\"netNamespace\":\"\",\"podNamespace\":\"default\",\"podName\":\"web-0\","
		"\"podUID\":\"u-1\"}");
	assert_queued(false);
}

/* Away, failing, or with a configuration that became bad: DEL succeeds and nothing is forgotten. */
static void del_is_queued(void **state)
{
	struct agent none = { .status = 0 },
		     failing = { .status = 500, .body = "\"API server away\"" };
	struct mono begin = mono_now();
	AUTO_FREE char *far = xasprintf("/%070000d", 0);
	AUTO_STR out = STR_INIT;

	(void)state;
	/* of a length that no record may have */
	netns = far;
	assert_int_equal(call(&none, "DEL", "0.3.1", ",\"timeout_ms\":100", "", &out), 0);
	netns = "/proc/self/ns/net";
	assert_queued(true);
	assert_int_equal(call(&none, "DEL", "0.3.1", ",\"timeout_ms\":100", "", &out), 0);
	assert_int_equal(out.len, 0);
	assert_queued(true);
	assert_int_equal(call(&failing, "DEL", "0.3.1", "", "", &out), 0);
	assert_queued(true);
	/* with all the time of the world it is two seconds */
	begin = mono_now();
	assert_int_equal(call(&none, "DEL", "0.3.1", ",\"log_level\":7", "", &out), 0);
	assert_queued(true);
	assert_true(mono_now().ms - begin.ms >= 2000);
	assert_true(mono_now().ms - begin.ms < 10000);
}

static void del_that_cannot_be_queued(void **state)
{
	struct agent none = { .status = 0 };
	AUTO_FREE char *file = xasprintf("%s/state", top);
	AUTO_STR out = STR_INIT;
	char command_text[200];
	struct err e;

	(void)state;
	snprintf(command_text, sizeof(command_text), "rm -rf %s", state_dir);
	assert_int_equal(system(command_text), 0); /* NOLINT: a test's own temporary folder */
	assert_int_equal(file_write(file, "x", 1, 0600, 0, &e), 0);
	assert_int_equal(call(&none, "DEL", "0.3.1", ",\"timeout_ms\":100", "", &out), 1);
	assert_error(&out, 5, "release the addresses: connect to ");
	assert_non_null(strstr(out.data, "queue that for later: mkdir "));
	assert_int_equal(unlink(file), 0);
}

#define PREV(ip)                                                                                   \
	",\"prevResult\":{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"veth1\"},{"         \
	"\"name\":\"eth0\"}],"                                                                     \
	"\"ips\":[{\"interface\":1,\"address\":\"" ip                                              \
	"/20\"},{\"interface\":0,\"address\":\"9.9.9.9/32\"}]}"
#define ENDPOINT                                                                                   \
	"{\"podName\":\"web-0\",\"interfaces\":[{\"interface\":\"net1\",\"ipv4\":\"172.31.199."    \
	"186/20\"},"                                                                               \
	"{\"interface\":\"eth0\",\"ipv4\":\"172.31.199.185/20\",\"ipv6\":\"fd00::9/64\"}]}"

static void check(void **state)
{
	struct agent a = { .status = 200, .body = ENDPOINT };
	struct agent unknown = { .status = 404, .body = "\"no endpoint of default/web-0\"" };
	struct agent none = { .status = 0 };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(call(&a, "CHECK", "1.0.0", "", PREV("172.31.199.185"), &out), 0);
	assert_int_equal(out.len, 0);
	assert_string_equal(a.seen, "GET /v1/workloadendpoint?podNamespace=default&podName=web-0 ");
	/* the other card's address is none of ours */
	assert_int_equal(call(&a, "CHECK", "1.0.0", "", PREV("172.31.199.186"), &out), 1);
	assert_error(
		&out, 999,
		"address 172.31.199.186 of eth0 is not recorded for pod default/web-0 (there is: "
		"172.31.199.185/20, fd00::9/64)");
	assert_int_equal(call(&unknown, "CHECK", "1.0.0", "", PREV("172.31.199.185"), &out), 1);
	assert_error(&out, 999, "agent: no endpoint of default/web-0");
	assert_int_equal(call(&none, "CHECK", "1.0.0", "", "", &out), 1);
	assert_error(&out, 7, "CHECK needs a prevResult, and there is none");
	assert_int_equal(call(&none, "CHECK", "1.0.0", "", ",\"prevResult\":{\"ips\":[{}]}", &out),
	                 1);
	assert_error(&out, 7, "prevResult: CNI result: ips[0]: address: missing");
	assert_int_equal(call(&a, "CHECK", "1.0.0", "", ",\"prevResult\":{}", &out), 1);
	assert_error(&out, 7, "prevResult has no address for eth0");
	assert_int_equal(
		call(&none, "CHECK", "1.0.0", ",\"timeout_ms\":100", PREV("172.31.199.185"), &out),
		1);
	assert_error(&out, 11, "no agent at ");
}

static void status(void **state)
{
	struct agent a = { .status = 200, .body = "" },
		     busy = { .status = 503, .body = "\"starting\"" };
	struct agent none = { .status = 0 };
	AUTO_STR out = STR_INIT;

	(void)state;
	assert_int_equal(call(&a, "STATUS", "1.1.0", "", "", &out), 0);
	assert_string_equal(a.seen, "GET /v1/ipam/healthy ");
	assert_int_equal(call(&busy, "STATUS", "1.1.0", "", "", &out), 1);
	assert_error(&out, 50, "agent: starting");
	assert_int_equal(call(&none, "STATUS", "1.1.0", "", "", &out), 1);
	assert_error(&out, 50, "no agent at ");
}

/* An attachment of a pod web-1, with a namespace that is gone. */
static void keep_record(char *network, char *namespace, uint64_t inode, char *boot)
{
	char id[] = "fedcba9876543210", ifname[] = "eth0", ns[] = "default", name[] = "web-1",
	     uid[] = "u-2";
	struct attachment a = { .container_id = id,
		                .ifname = ifname,
		                .netns = namespace,
		                .netns_inode = inode,
		                .boot_id = boot,
		                .pod_namespace = ns,
		                .pod_name = name,
		                .pod_uid = uid,
		                .network = network };
	struct err e;

	if (attachment_write(state_dir, &a, &e) < 0)
		fail_msg("%s", e.msg);
}

#define VALID(list) ",\"cni.dev/valid-attachments\":" list

static void gc(void **state)
{
	struct agent a = { .status = 200, .body = "" }, none = { .status = 0 };
	struct agent busy = { .status = 503, .body = "\"starting\"" };
	char n[] = "n", other[] = "other", gone[] = "/run/no/such/netns",
	     here[] = "/proc/self/ns/net", empty[] = "", old[] = "boot-of-yesterday";
	AUTO_STR boot = STR_INIT, out = STR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(file_read("/proc/sys/kernel/random/boot_id", 64, &boot, NULL), 0);
	boot.data[strcspn(boot.data, "\n")] = '\0';
	assert_int_equal(stat(here, &st), 0);

	/* what must stay asks no agent: there is none */
	keep_record(other, gone, 1, boot.data);
	assert_int_equal(call(&none, "GC", "1.1.0", "", VALID("[]"), &out), 0);
	keep_record(empty, gone, 1, boot.data);
	assert_int_equal(call(&none, "GC", "1.1.0", "", VALID("[]"), &out), 0);
	keep_record(n, here, st.st_ino, boot.data);
	assert_int_equal(call(&none, "GC", "1.1.0", "", VALID("[]"), &out), 0);
	keep_record(n, gone, 0, boot.data);
	assert_int_equal(call(&none, "GC", "1.1.0", "", VALID("[]"), &out), 0);
	keep_record(n, empty, 1, boot.data);
	assert_int_equal(call(&none, "GC", "1.1.0", "", VALID("[]"), &out), 0);
	keep_record(n, gone, 1, boot.data);
	assert_int_equal(call(&none, "GC", "1.1.0", "",
	                      VALID("[{\"containerID\":\"x\",\"ifname\":\"eth0\"},"
	                            "{\"containerID\":\"fedcba9876543210\",\"ifname\":\"eth0\"}]"),
	                      &out),
	                 0);
	assert_int_equal(call(&none, "GC", "1.1.0", "", "", &out), 1);
	assert_error(&out, 7, "GC needs cni.dev/valid-attachments");

	/* what goes: not known to the runtime, and dead */
	assert_int_equal(call(&a, "GC", "1.1.0", "",
	                      VALID("[{\"containerID\":\"fedcba9876543210\",\"ifname\":\"net1\"}]"),
	                      &out),
	                 0);
	assert_string_equal(a.seen,
	                    "DELETE /v1/ipam/ip {\"containerID\":\"fedcba9876543210\","
	                    "\"ifName\":\"eth0\",\"netNamespace\":\"/run/no/such/netns\","
	                    "\"podNamespace\":\"default\",\"podName\":\"web-1\","
	                    "\"podUID\":\"u-2\"}");
	/* another namespace by that name, another boot; Go writes null for an empty list */
	keep_record(n, here, st.st_ino + 1, boot.data);
	assert_int_equal(call(&a, "GC", "1.1.0", "", VALID("null"), &out), 0);
	keep_record(n, here, st.st_ino, old);
	assert_int_equal(call(&a, "GC", "1.1.0", "", VALID("null"), &out), 0);
	assert_int_equal(call(&busy, "GC", "1.1.0", "", VALID("[]"), &out), 1);
	assert_error(&out, 11, "release what eth0 of container fedcba9876543 had: agent: starting");
	assert_int_equal(call(&none, "GC", "1.1.0", "", VALID("[]"), &out), 1);
	assert_error(&out, 11, "no agent at ");
	assert_queued(false);
	assert_int_equal(attachment_remove(state_dir, "fedcba9876543210", "eth0", NULL), 0);
}

/* Old log files: renamed when the newest is too large, and no more of them than wanted. */
static void log_rotation(void **state)
{
	struct agent a = { .status = 200, .body = "" };
	AUTO_FREE char *log = xasprintf("%s/rotated.log", top);
	AUTO_STR ipam = STR_INIT;
	AUTO_STR out = STR_INIT;
	char name[120];
	struct stat st;

	(void)state;
	str_addf(&ipam,
	         ",\"log_file_path\":\"%s\",\"log_file_max_size\":1,\"log_file_max_count\":\"2\"",
	         log);
	for (int i = 0; i < 4; i++) {
		struct err e;

		assert_int_equal(call(&a, "DEL", "1.0.0", ipam.data, "", &out), 0);
		assert_int_equal(stat(log, &st), 0);
		assert_in_range(st.st_size, 1, 4096);
		if (file_write(log, "", 0, 0640, 0, &e) < 0 || truncate(log, 1024 * 1024) < 0)
			fail_msg("cannot grow the log");
	}
	for (int i = 1; i <= 3; i++) {
		snprintf(name, sizeof(name), "%s.%d", log, i);
		assert_int_equal(stat(name, &st), i <= 2 ? 0 : -1);
	}
	log_init("test", STDERR_FILENO, false, LOG_LEVEL_INFO);
}

static void names(void **state)
{
	(void)state;
	assert_true(ipam_is_ours("spiderpool"));
	assert_true(ipam_is_ours("spiderbox"));
	assert_true(ipam_is_ours("ipam"));
	assert_false(ipam_is_ours("host-local"));
	assert_false(ipam_is_ours(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add),
		cmocka_unit_test(add_with_all_keys),
		cmocka_unit_test(add_with_unknown_keys),
		cmocka_unit_test(log_numbers),
		cmocka_unit_test(add_failures),
		cmocka_unit_test(bad_configurations),
		cmocka_unit_test(relative_paths_and_no_ipam),
		cmocka_unit_test(add_without_netns),
		cmocka_unit_test(del),
		cmocka_unit_test(del_is_queued),
		cmocka_unit_test(del_that_cannot_be_queued),
		cmocka_unit_test(check),
		cmocka_unit_test(status),
		cmocka_unit_test(gc),
		cmocka_unit_test(log_rotation),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
