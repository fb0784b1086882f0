/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/ datapath/ cni/ net/ json/ base/ http/ k8s/ pool/ */
/* libs: cjson mnl yaml bearssl */
/* tsan */
/*
 * multus_plugin_test.c - the multus plugin as a runtime calls it: shell scripts are its networks'
 * plugins, a thread is the agent.  Root, or a kernel that gives a user namespace to everybody.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/http1.h"
#include "net/netns.h"
#include "plugins/multus.h"
#include "tests/unit/folder.h"
#include "tests/unit/sandbox.h"

static char netns[64];
static int pod = -1;

static int group_setup(void **state)
{
	int home;

	(void)state;
	leave_home();
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	pod = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	snprintf(netns, sizeof(netns), "/proc/%d/fd/%d", getpid(), pod);
	return pod < 0 || setns(home, CLONE_NEWNET) < 0 ? -1 : close(home);
}

/* A plugin that notes "NAME COMMAND IFNAME", what it reads, and gives an address of its own; body
 * runs before that. */
static void plugin(const char *name, const char *last, const char *body)
{
	AUTO_FREE char *text = xasprintf(
		"#!/bin/sh\nd=%s\necho %s $CNI_COMMAND $CNI_IFNAME >>$d/order\ncat >$d/in.%s\n"
		"echo $CNI_ARGS >$d/args.%s\n%s\n"
		"[ $CNI_COMMAND != ADD ] || echo "
		"'{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"'"
		"$CNI_IFNAME'\",\"mac\":\"02:00:00:00:00:%s\",\"sandbox\":\"/x\"}],\"ips\":[{"
		"\"interface\":0,\"address\":\"10.0.0.%s/24\"}]}'\n",
		folder, name, name, name, body, last, last);

	put(name, text, 0755);
}

/* The agent: answers by target. */
struct answer {
	const char *target;
	int status;
	const char *body;
};

struct server {
	const struct answer *answers;
	int listener;
	pthread_t thread;
	struct str seen; /* "TARGET BODY\n" each */
	int conflicts;   /* so many patches are in somebody's way first */
};

static struct server agent, api;

static void answer(struct server *s, int fd)
{
	static const struct answer none = { "", 404, "\"no such path\"" };
	static const struct answer conflict = {
		"", 409,
		"{\"kind\":\"Status\",\"code\":409,\"reason\":\"Conflict\",\"message\":\"busy\"}"
	};
	struct http *h = http_new(stream_from_fd(fd));
	struct mono deadline = mono_in(10000);
	const struct answer *a = s->answers;
	struct http_incoming in;
	struct err e;

	if (http_receive(h, 65536, &in, deadline, &e) == 0 && in.method) {
		str_addf(&s->seen, "%s %s\n", in.target, in.body);
		while (a->target && !streq(a->target, in.target))
			a++;
		if (streq(in.method, "PATCH") && s->conflicts > 0) {
			s->conflicts--;
			a = &conflict;
		} else if (!a->target) {
			a = &none;
		}
		IGNORE(http_respond(h, a->status, "application/json", a->body, strlen(a->body), 0,
		                    true, deadline, &e));
	}
	http_free(h);
}

/* A child's end is for the plugin's thread, which is a process of its own elsewhere. */
static void start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	sigset_t child, mask;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &child, &mask);
	pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void *server_main(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0)
		answer(s, fd);
	return NULL;
}

static void start_server(struct server *s, int fd, const struct sockaddr *at, socklen_t len,
                         const struct answer *answers)
{
	s->answers = answers;
	s->seen = (struct str)STR_INIT;
	s->listener = fd;
	if (bind(fd, at, len) < 0 || listen(fd, 8) < 0)
		fail_msg("cannot listen");
	start_thread(&s->thread, server_main, s);
}

static void start_agent(const struct answer *answers)
{
	struct sockaddr_un s = { .sun_family = AF_UNIX };

	snprintf(s.sun_path, sizeof(s.sun_path), "%s/agent.sock", folder);
	start_server(&agent, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	             (const struct sockaddr *)&s, sizeof(s), answers);
}

/* What it was asked; owned. */
static char *stop_server(struct server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	return str_take(&s->seen);
}

static char *stop_agent(void)
{
	char *seen = stop_server(&agent);

	forget("agent.sock");
	return seen;
}

static const char *command, *args, *given_netns = netns;

static const char *get_env(const char *name)
{
	bool attachment = !streq(command, "GC") && !streq(command, "STATUS");

	if (streq(name, "CNI_COMMAND"))
		return command;
	if (streq(name, "CNI_PATH"))
		return folder;
	if (!attachment)
		return NULL;
	if (streq(name, "CNI_NETNS"))
		return given_netns;
	if (streq(name, "CNI_CONTAINERID"))
		return "cid";
	if (streq(name, "CNI_IFNAME"))
		return "eth0";
	return streq(name, "CNI_ARGS") ? args : NULL;
}

/* One call; members: of the configuration, each with a comma behind it. */
static int run(const char *verb, const char *version, const char *members, struct str *out)
{
	AUTO_STR conf = STR_INIT;
	int fds[2], status;

	command = verb;
	args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_"
	       "ID="
	       "cid;K8S_POD_UID=u-1";
	str_addf(&conf,
	         "{%s\"cniVersion\":\"%s\",\"name\":\"multus-cni-network\",\"type\":\"multus\","
	         "\"cniDir\":\"%s/cni\",\"binDir\":\"%s\",\"confDir\":\"%s/"
	         "conf\",\"logLevel\":\"error\"}",
	         members, version, folder, folder, folder);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], conf.data, conf.len), conf.len);
	close(fds[1]);
	str_reset(out, 0);
	status = cni_run(&multus_plugin, get_env, fds[0], out);
	close(fds[0]);
	return status;
}

static void works(const char *verb, const char *version, const char *members)
{
	AUTO_STR out = STR_INIT;

	if (run(verb, version, members, &out) != 0)
		fail_msg("%s: %s", verb, out.data);
}

/* The error document's code and message. */
static void fails(const char *verb, const char *members, int code, const char *msg)
{
	AUTO_STR out = STR_INIT;
	AUTO_JSON *j = NULL;
	int64_t got = 0;

	if (run(verb, "1.1.0", members, &out) == 0)
		fail_msg("%s succeeded: %s", verb, out.data);
	if (json_parse(out.data, out.len, 0, &j, NULL) < 0)
		fail_msg("%s", out.data);
	IGNORE(json_opt_i64(j, "code", &got, NULL));
	assert_string_equal(json_str_at(j, "msg", NULL), msg);
	assert_int_equal(got, code);
}

#define DELEGATES                                                                                  \
	"\"delegates\":[{\"cniVersion\":\"1.0.0\",\"name\":\"n0\",\"type\":\"p0\"},"               \
	"{\"cniVersion\":\"1.0.0\",\"name\":\"n1\",\"plugins\":[{\"type\":\"p1\"},{\"type\":"      \
	"\"p2\"}]}],"
#define ARGS                                                                                       \
	"IgnoreUnknown=true;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_"   \
	"ID="                                                                                      \
	"cid;K8S_POD_UID=u-1"

static void three_plugins(void)
{
	plugin("p0", "10", "");
	plugin("p1", "11", "");
	plugin("p2", "12", "");
	forget("order");
}

static void configured_delegates(void **state)
{
	AUTO_STR out = STR_INIT;

	(void)state;
	three_plugins();
	if (run("ADD", "0.3.1", DELEGATES, &out) != 0)
		fail_msg("%s", out.data);
	/* the first one's result, in the version that was asked for */
	assert_string_equal(out.data,
	                    "{\"cniVersion\":\"0.3.1\",\"interfaces\":[{\"name\":\"eth0\",\"mac\":"
	                    "\"02:00:00:00:00:10\",\"sandbox\":\"/x\"}],\"ips\":[{\"interface\":0,"
	                    "\"address\":\"10.0.0.10/24\",\"version\":\"4\"}],\"dns\":{}}\n");
	is("order", "p0 ADD eth0\np1 ADD net1\np2 ADD net1\n");
	is("args.p2", ARGS "\n");
	assert_true(exists("cni/cid"));
	assert_true(exists("cni/results/n0-cid-eth0"));
	assert_true(exists("cni/results/n1-cid-net1"));
	forget("order");
	works("CHECK", "0.4.0", DELEGATES);
	is("order", "p0 CHECK eth0\np1 CHECK net1\np2 CHECK net1\n");
	forget("order");
	/* whatever the configuration says by now */
	works("DEL", "0.3.1", "\"kubeconfig\":5,");
	is("order", "p2 DEL net1\np1 DEL net1\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
	assert_false(exists("cni/results/n0-cid-eth0"));
	forget("order");
	works("DEL", "0.3.1", DELEGATES);
	is("order", "(none)");
	{
		AUTO_FREE char *want =
			xasprintf("nothing is known of the container: no file %s/cni/cid", folder);

		fails("CHECK", DELEGATES, 999, want);
	}
}

/* With the agent's word about the pod. */
static char *agent_members(const char *more)
{
	return xasprintf("\"agentSocket\":\"%s/agent.sock\",%s", folder, more);
}

#define NAD(name, type)                                                                            \
	"\"" name "\":{\"config\":\"{\\\"cniVersion\\\":\\\"1.0.0\\\",\\\"type\\\":\\\"" type      \
	"\\\"}\"}"

static void annotations(void **state)
{
	static const struct answer answers[] = {
		{ "/v1/multus/pod", 200,
		  "{\"known\":true,\"uid\":\"u-1\",\"defaultNetwork\":\"first\",\"networks\":"
		  "\"second,other/third@mine\"}" },
		{ "/v1/multus/networks", 200,
		  "{\"networks\":{" NAD("nets/first", "p0") "," NAD("default/second", "p1") "," NAD(
			  "other/third", "p2") "," NAD("nets/extra", "p0") "}}" },
		{ "/v1/multus/status", 200, "" },
		{ NULL, 0, NULL },
	};
	AUTO_FREE char *members = NULL, *seen = NULL;

	(void)state;
	three_plugins();
	members = agent_members(
		"\"clusterNetwork\":\"cluster\",\"multusNamespace\":\"nets\","
		"\"defaultNetworks\":[\"extra\"],");
	start_agent(answers);
	works("ADD", "1.0.0", members);
	seen = stop_agent();
	is("order", "p0 ADD eth0\np0 ADD net1\np1 ADD net2\np2 ADD mine\n");
	/* names that a definition's configuration lacks */
	is("in.p1", "{\"cniVersion\":\"1.0.0\",\"type\":\"p1\",\"name\":\"second\"}");
	assert_string_equal(
		seen,
		"/v1/multus/pod "
		"{\"podNamespace\":\"default\",\"podName\":\"web\",\"podUID\":\"u-1\","
		"\"ifKnown\":[\"nets/cluster\",\"nets/extra\"]}\n"
		"/v1/multus/networks "
		"{\"networks\":[\"nets/first\",\"default/second\",\"other/third\"],"
		"\"ifKnown\":[\"nets/extra\"]}\n"
		"/v1/multus/status "
		"{\"podNamespace\":\"default\",\"podName\":\"web\",\"podUID\":\"u-1\","
		"\"status\":\"[{\\n    \\\"name\\\": \\\"nets/first\\\",\\n    \\\"interface\\\": "
		"\\\"eth0\\\",\\n    \\\"ips\\\": [\\n        \\\"10.0.0.10\\\"\\n    ],\\n    "
		"\\\"mac\\\": \\\"02:00:00:00:00:10\\\",\\n    \\\"default\\\": true,\\n    "
		"\\\"dns\\\": {}\\n},{\\n    \\\"name\\\": \\\"nets/extra\\\",\\n    "
		"\\\"interface\\\": \\\"net1\\\",\\n    \\\"ips\\\": [\\n        "
		"\\\"10.0.0.10\\\"\\n    ],\\n    \\\"mac\\\": \\\"02:00:00:00:00:10\\\",\\n    "
		"\\\"dns\\\": {}\\n},{\\n    \\\"name\\\": \\\"default/second\\\",\\n    "
		"\\\"interface\\\": \\\"net2\\\",\\n    \\\"ips\\\": [\\n        "
		"\\\"10.0.0.11\\\"\\n    ],\\n    \\\"mac\\\": \\\"02:00:00:00:00:11\\\",\\n    "
		"\\\"dns\\\": {}\\n},{\\n    \\\"name\\\": \\\"other/third\\\",\\n    "
		"\\\"interface\\\": \\\"mine\\\",\\n    \\\"ips\\\": [\\n        "
		"\\\"10.0.0.12\\\"\\n    ],\\n    \\\"mac\\\": \\\"02:00:00:00:00:12\\\",\\n    "
		"\\\"dns\\\": {}\\n}]\"}\n");
	/* nobody is asked, and nobody needs to be there */
	forget("order");
	works("DEL", "1.0.0", members);
	is("order", "p2 DEL mine\np1 DEL net2\np0 DEL net1\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
}

/* What the configuration names comes with the pod; one more question is for what the pod names. */
static void networks_that_come_with_the_pod(void **state)
{
	static const struct {
		const char *pod, *order;
		bool asked;
	} cases[] = {
		{ "{\"known\":true,\"definitions\":{" NAD("kube-system/n0", "p0") "}}",
		  "p0 ADD eth0\n", false },
		{ "{\"known\":true,\"networks\":\"a\",\"definitions\":{" NAD("kube-system/n0",
		                                                             "p1") "}}",
		  "p0 ADD eth0\np1 ADD net1\n", true },
		/* an agent that knows nothing of it */
		{ "{\"known\":true,\"definitions\":[]}", "p0 ADD eth0\n", true },
	};
	AUTO_FREE char *members = NULL;

	(void)state;
	three_plugins();
	members = agent_members("\"clusterNetwork\":\"n0\",");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct answer answers[] = {
			{ "/v1/multus/pod", 200, cases[i].pod },
			{ "/v1/multus/networks", 200,
			  "{\"networks\":{" NAD("kube-system/n0", "p0") "," NAD("default/a",
			                                                        "p1") "}}" },
			{ "/v1/multus/status", 200, "" },
			{ NULL, 0, NULL },
		};
		AUTO_FREE char *seen = NULL;

		forget("order");
		start_agent(answers);
		works("ADD", "1.0.0", members);
		seen = stop_agent();
		is("order", cases[i].order);
		assert_int_equal(strstr(seen, "/v1/multus/networks") != NULL, cases[i].asked);
		works("DEL", "1.0.0", members);
	}
}

/* Requests of the JSON form reach CNI_ARGS, and runtimeConfig of all but the first. */
static void requests(void **state)
{
	static const struct answer answers[] = {
		{ "/v1/multus/pod", 200,
		  "{\"known\":true,\"uid\":\"u-1\",\"networks\":\"[{\\\"name\\\":\\\"a\\\","
		  "\\\"ips\\\":[\\\"10.0.0.5/24\\\"],\\\"mac\\\":\\\"02:00:00:00:00:99\\\","
		  "\\\"cni-args\\\":{\\\"k\\\":1}}]\"}" },
		{ "/v1/multus/networks", 200,
		  "{\"networks\":{\"default/"
		  "a\":{\"config\":\"{\\\"name\\\":\\\"n1\\\",\\\"type\\\":"
		  "\\\"p1\\\",\\\"capabilities\\\":{\\\"ips\\\":true,\\\"mac\\\":true}}\"}}}" },
		{ "/v1/multus/status", 200, "" },
		{ NULL, 0, NULL },
	};
	AUTO_FREE char *members = NULL, *seen = NULL;

	(void)state;
	three_plugins();
	members = agent_members("\"delegates\":[{\"name\":\"n0\",\"type\":\"p0\"}],");
	start_agent(answers);
	works("ADD", "0.3.1", members);
	seen = stop_agent();
	is("in.p0", "{\"name\":\"n0\",\"type\":\"p0\",\"cniVersion\":\"0.3.1\"}");
	is("in.p1",
	   "{\"name\":\"n1\",\"type\":\"p1\",\"capabilities\":{\"ips\":true,\"mac\":true},"
	   "\"args\":{\"cni\":{\"k\":1}},\"cniVersion\":\"0.3.1\",\"runtimeConfig\":{"
	   "\"ips\":[\"10.0.0.5/24\"],\"mac\":\"02:00:00:00:00:99\"}}");
	is("args.p1", ARGS ";MAC=02:00:00:00:00:99;IP=10.0.0.5/24\n");
	forget("in.p1");
	/* a DEL gets the same */
	works("DEL", "0.3.1", members);
	is("args.p1", ARGS ";MAC=02:00:00:00:00:99;IP=10.0.0.5/24\n");
	is("in.p1",
	   "{\"name\":\"n1\",\"type\":\"p1\",\"capabilities\":{\"ips\":true,\"mac\":true},"
	   "\"args\":{\"cni\":{\"k\":1}},\"cniVersion\":\"0.3.1\",\"runtimeConfig\":{"
	   "\"ips\":[\"10.0.0.5/24\"],\"mac\":\"02:00:00:00:00:99\"}}");
}

/* Can be read, but not from within the file for DEL. */
#define X10(x) x x x x x x x x x x
#define X62(x) X10(x) X10(x) X10(x) X10(x) X10(x) X10(x) x x
#define DEEP_NAD                                                                                   \
	"\"default/deep\":{\"config\":\"{\\\"type\\\":\\\"p0\\\",\\\"x\\\":" X62("[")              \
		X62("]") "}\"}"

static void what_is_refused(void **state)
{
	static const struct {
		const char *pod, *members;
		int code;
		const char *msg;
	} cases[] = {
		{ "{\"known\":true,\"networks\":\"other/a\"}",
		  "\"clusterNetwork\":\"c\",\"namespaceIsolation\":true,", 7,
		  "annotation k8s.v1.cni.cncf.io/networks: a pod of namespace default may not use "
		  "networks of namespace other (namespaceIsolation)" },
		{ "{\"known\":true,\"defaultNetwork\":\"a,b\"}", "\"clusterNetwork\":\"c\",", 7,
		  "annotation v1.multus-cni.io/default-network: it names 2 networks, and can name "
		  "one" },
		{ "{\"known\":true,\"networks\":\"a@lo\"}", DELEGATES, 7,
		  "annotation k8s.v1.cni.cncf.io/networks: \"a@lo\": interface name \"lo\": every "
		  "pod has that one already" },
		{ "{\"known\":true,\"networks\":\"a@taken\"}", DELEGATES, 999,
		  "[default/web/u-1:a]: error adding container to network \"a\": interface taken "
		  "is already in the pod" },
		{ "{\"known\":true,\"networks\":\"missing\"}", DELEGATES, 999,
		  "annotation k8s.v1.cni.cncf.io/networks: NetworkAttachmentDefinition "
		  "default/missing: there is none" },
		{ "{\"known\":true,\"networks\":\"a@eth0\"}", DELEGATES, 7,
		  "networks n0 and default/a both want to be interface eth0" },
		{ "{\"known\":true,\"networks\":\"self\"}", DELEGATES, 7,
		  "annotation k8s.v1.cni.cncf.io/networks: NetworkAttachmentDefinition "
		  "default/self: "
		  "network self is multus itself" },
		{ "{\"known\":true,\"networks\":\"a,deep\"}", DELEGATES, 7,
		  "network default/deep: its configuration, or what the pod asks of it, is nested "
		  "deeper than 62 levels" },
		{ "{\"known\":false}", "\"clusterNetwork\":\"c\",", 999,
		  "clusterNetwork c: NetworkAttachmentDefinition kube-system/c: there is none, "
		  "and: no "
		  "file in " },
	};
	struct veth_spec taken = { .name = "taken", .peer = "taken2", .peer_ns = -1 };
	AUTO_FD int pod = -1;
	AUTO_NL *nl = NULL;
	struct link link;
	struct err e;

	(void)state;
	OK(netns_open(netns, &pod, &e));
	OK(netns_nl(pod, NETLINK_ROUTE, &nl, &e));
	OK(mac_random(&taken.mac, &e));
	OK(mac_random(&taken.peer_mac, &e));
	OK(link_add_veth(nl, &taken, NULL, &e));
	OK(link_get(nl, "taken", &link, &e));
	three_plugins();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct answer answers[] = {
			{ "/v1/multus/pod", 200, cases[i].pod },
			{ "/v1/multus/networks", 200,
			  "{\"networks\":{" NAD("default/a", "p0") "," NAD(
				  "default/self", "multus") "," DEEP_NAD "}}" },
			{ NULL, 0, NULL },
		};
		AUTO_FREE char *members = agent_members(cases[i].members), *seen = NULL;
		AUTO_STR out = STR_INIT;
		AUTO_JSON *j = NULL;
		int64_t code = 0;
		int status;

		forget("order");
		start_agent(answers);
		status = run("ADD", "1.0.0", members, &out);
		seen = stop_agent();
		assert_int_equal(status, 1);
		assert_int_equal(json_parse(out.data, out.len, 0, &j, NULL), 0);
		if (!str_starts(json_str_at(j, "msg", NULL), cases[i].msg))
			assert_string_equal(json_str_at(j, "msg", NULL), cases[i].msg);
		IGNORE(json_opt_i64(j, "code", &code, NULL));
		assert_int_equal(code, cases[i].code);
		assert_false(exists("cni/cid"));
		is("order", "(none)");
	}
	OK(link_del(nl, link.index, &e));
}

static void a_failed_add_is_rolled_back(void **state)
{
	(void)state;
	three_plugins();
	plugin("p2", "12",
	       "[ $CNI_COMMAND != ADD ] || { echo '{\"code\":11,\"msg\":\"not yet\"}'; exit 1; }");
	fails("ADD", DELEGATES, 11,
	      "[default/web/u-1:n1]: error adding container to network \"n1\": plugin p2: not yet");
	is("order",
	   "p0 ADD eth0\np1 ADD net1\np2 ADD net1\np2 DEL net1\np1 DEL net1\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
	assert_false(exists("cni/results/n0-cid-eth0"));
	/* what cannot be undone now is left to the runtime's DEL */
	plugin("p2", "12", "echo '{\"code\":100,\"msg\":\"no\"}'; exit 1");
	fails("ADD", DELEGATES, 100,
	      "[default/web/u-1:n1]: error adding container to network \"n1\": plugin p2: no");
	assert_true(exists("cni/cid"));
	forget("order");
	plugin("p2", "12", "");
	works("DEL", "1.0.0", DELEGATES);
	is("order", "p2 DEL net1\np1 DEL net1\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
}

/* A call in this process, with so much time. */
static int call_in(int ms, int (*fn)(struct cni_call *c, int *code, struct err *e),
                   const char *members, struct err *e)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *conf = NULL;
	struct cni_call c = {
		.container_id = "cid",
		.netns = netns,
		.ifname = "eth0",
		.args = "",
		.path = folder,
		.pod_namespace = "default",
		.pod_name = "web",
		.pod_uid = "u-1",
		.conf_text = STR_INIT,
		.version = CNI_1_0_0,
		.deadline = mono_in(ms),
	};
	json *result = NULL;
	int code = 0, rc;

	str_addf(&text, "{%s\"cniDir\":\"%s/cni\",\"binDir\":\"%s\"}", members, folder, folder);
	assert_int_equal(json_parse(text.data, text.len, 0, &conf, NULL), 0);
	c.conf = conf;
	rc = fn ? fn(&c, &code, e) : multus_plugin.add(&c, &result, &code, e);
	json_free(result);
	return rc;
}

/* An ADD that took all its time still gives up what it made. */
static void a_late_add_is_rolled_back(void **state)
{
	struct err e;

	(void)state;
	three_plugins();
	plugin("p2", "12", "[ $CNI_COMMAND != ADD ] || exec sleep 60");
	assert_int_equal(call_in(700, NULL, DELEGATES, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	is("order",
	   "p0 ADD eth0\np1 ADD net1\np2 ADD net1\np2 DEL net1\np2 DEL net1\np1 DEL net1\n"
	   "p0 DEL eth0\n");
	assert_false(exists("cni/cid"));
}

/* The interfaces are the first one's, and so is the file of which its DEL works. */
static void a_second_add(void **state)
{
	struct veth_spec first = { .name = "eth0", .peer = "eth0p", .peer_ns = -1 };
	AUTO_FREE char *before = NULL, *after = NULL;
	AUTO_FD int fd = -1;
	AUTO_NL *nl = NULL;
	struct link link;
	struct err e;

	(void)state;
	three_plugins();
	works("ADD", "1.0.0", DELEGATES);
	OK(netns_open(netns, &fd, &e));
	OK(netns_nl(fd, NETLINK_ROUTE, &nl, &e));
	OK(mac_random(&first.mac, &e));
	OK(mac_random(&first.peer_mac, &e));
	OK(link_add_veth(nl, &first, NULL, &e));
	OK(link_get(nl, "eth0", &link, &e));
	before = contents("cni/cid");
	forget("order");
	{
		AUTO_FREE char *msg = xasprintf(
			"[default/web/u-1:x]: error adding container to network \"x\": "
			"interface eth0 is already in the pod (%s)",
			netns);

		fails("ADD", "\"delegates\":[{\"name\":\"x\",\"type\":\"p0\"}],", 999, msg);
	}
	is("order", "(none)");
	after = contents("cni/cid");
	assert_string_equal(after, before);
	OK(link_del(nl, link.index, &e));
}

/* One that an earlier network made, under the name that a later one wants. */
static void a_name_that_is_taken_meanwhile(void **state)
{
	AUTO_FREE char *body = xasprintf(
		"[ $CNI_COMMAND != ADD ] || nsenter --net=%s ip link add net1 "
		"type veth peer name net1p || exit 1",
		netns);
	AUTO_FREE char *msg = xasprintf(
		"[default/web/u-1:n1]: error adding container to network \"n1\": "
		"interface net1 is already in the pod (%s)",
		netns);
	AUTO_FD int fd = -1;
	AUTO_NL *nl = NULL;
	struct link link;
	struct err e;

	(void)state;
	three_plugins();
	plugin("p0", "10", body);
	fails("ADD", DELEGATES, 999, msg);
	is("order", "p0 ADD eth0\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
	OK(netns_open(netns, &fd, &e));
	OK(netns_nl(fd, NETLINK_ROUTE, &nl, &e));
	OK(link_get(nl, "net1", &link, &e));
	OK(link_del(nl, link.index, &e));
}

/* As in guides of Multus. */
static void delegates_without_a_name(void **state)
{
	static const char unnamed[] = "\"delegates\":[{\"type\":\"p0\"},{\"type\":\"p1\"}],";

	(void)state;
	three_plugins();
	works("ADD", "1.0.0", unnamed);
	is("in.p1", "{\"type\":\"p1\",\"name\":\"multus-cni-network\",\"cniVersion\":\"1.0.0\"}");
	assert_true(exists("cni/results/multus-cni-network-cid-net1"));
	works("DEL", "1.0.0", unnamed);
	is("order", "p0 ADD eth0\np1 ADD net1\np1 DEL net1\np0 DEL eth0\n");
}

/* In a member that is no business of ours. */
static void a_large_integer_is_passed_on(void **state)
{
	static const char conf[] =
		"{\"cniVersion\":\"1.0.0\",\"name\":\"n0\",\"type\":\"p0\","
		"\"x\":[18446744073709551615]}";
	AUTO_FREE char *members = xasprintf("\"delegates\":[%s],", conf);

	(void)state;
	plugin("p0", "10", "");
	for (int i = 0; i < 2; i++) {
		works("ADD", "1.0.0", members);
		is("in.p0", conf);
		forget("in.p0");
		/* known from the file, or from what is kept */
		if (i)
			forget("cni/cid");
		works("DEL", "1.0.0", members);
		{
			AUTO_FREE char *in = contents("in.p0");

			assert_non_null(
				strstr(in, "\"x\":[18446744073709551615],\"prevResult\":{"));
		}
	}
}

/* A DEL that failed is repeated, and still knows what there is to do. */
static void a_failed_del_can_be_repeated(void **state)
{
	(void)state;
	three_plugins();
	works("ADD", "1.0.0", DELEGATES);
	forget("order");
	plugin("p1", "11", "echo '{\"code\":100,\"msg\":\"no\"}'; exit 1");
	fails("DEL", DELEGATES, 100, "network n1, interface net1: plugin p1: no");
	/* the others are given up all the same */
	is("order", "p2 DEL net1\np1 DEL net1\np0 DEL eth0\n");
	assert_true(exists("cni/cid"));
	plugin("p1", "11", "");
	works("DEL", "1.0.0", DELEGATES);
	assert_false(exists("cni/cid"));
	assert_false(exists("cni/results/n1-cid-net1"));
}

/* The path of the pod's namespace leads to the node's own by now: no plugin is sent there, whoever
 * knows the path. */
static void del_in_the_nodes_namespace(void **state)
{
	static const char none_valid[] =
		"\"delegates\":[{\"cniVersion\":\"1.1.0\",\"name\":\"n0\",\"type\":\"p0\"}],"
		"\"cni.dev/valid-attachments\":[],";
	AUTO_FREE char *path = file("path");

	(void)state;
	for (int i = 0; i < 4; i++) {
		three_plugins();
		forget("path");
		assert_int_equal(symlink(netns, path), 0);
		given_netns = path;
		works("ADD", "1.0.0", DELEGATES);
		forget("path");
		assert_int_equal(symlink("/proc/self/ns/net", path), 0);
		plugin("p0", "10", "echo \"p0 '$CNI_NETNS'\" >>$d/sent");
		plugin("p1", "11", "echo \"p1 '$CNI_NETNS'\" >>$d/sent");
		forget("sent");
		if (i == 1)
			forget("cni/cid");
		if (i == 2)
			given_netns = "";
		if (i == 3)
			works("GC", "1.1.0", none_valid);
		else
			works("DEL", "1.0.0", DELEGATES);
		given_netns = netns;
		is("sent", i == 3 ? "p1 ''\np0 ''\np0 ''\n" : "p1 ''\np0 ''\n");
		assert_false(exists("cni/cid"));
	}
}

/* Without the file, or with one that nobody can read, by what is kept of the attachments. */
static void del_without_the_file(void **state)
{
	(void)state;
	three_plugins();
	works("ADD", "1.0.0", DELEGATES);
	forget("order");
	forget("cni/cid");
	works("DEL", "1.0.0", DELEGATES);
	is("order", "p2 DEL net1\np1 DEL net1\np0 DEL eth0\n");
	is("args.p1", ARGS "\n");
	works("ADD", "1.0.0", DELEGATES);
	forget("order");
	put("cni/cid", "[{\"Bytes\":1", 0600);
	works("DEL", "1.0.0", DELEGATES);
	is("order", "p2 DEL net1\np1 DEL net1\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
}

/* Folders where the files should be are in nobody's way. */
static void folders_for_files(void **state)
{
	static const char *const names[] = { "cni/cid", "cni/results/n0-cid-eth0" };

	(void)state;
	three_plugins();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *path = file(names[i]);

		works("ADD", "1.0.0", DELEGATES);
		forget(names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		forget("order");
		works("DEL", "1.0.0", DELEGATES);
		is("order", "p2 DEL net1\np1 DEL net1\np0 DEL eth0\n");
		assert_int_equal(rmdir(path), 0);
		assert_false(exists("cni/cid"));
		assert_false(exists("cni/results/n1-cid-net1"));
	}
}

/* The configuration of a network, as it stands in the file. */
static char *element_of(const char *name, const char *conf)
{
	AUTO_STR encoded = STR_INIT;

	base64_encode(conf, strlen(conf), &encoded);
	return xasprintf("{\"Name\":\"%s\",\"Bytes\":\"%s\"}", name, encoded.data);
}

/* Old versions are given up all the same, and what says nothing holds up nobody. */
static void del_of_what_cannot_be_read(void **state)
{
	AUTO_FREE char *old =
		element_of("n0", "{\"cniVersion\":\"0.2.0\",\"name\":\"n0\",\"type\":\"p0\"}");
	AUTO_FREE char *good = element_of("n2", "{\"name\":\"n2\",\"type\":\"p2\"}");
	AUTO_FREE char *all =
		xasprintf("[%s,{\"Name\":\"n1\",\"Bytes\":\"eyJ0eXBlIjo=\"},%s]", old, good);
	AUTO_FREE char *cni = file("cni"), *results = file("cni/results");
	AUTO_FREE char *msg = xasprintf(
		"%s/cni/cid: network n1: not JSON: line 1 column 9: the "
		"text ends where a value should be",
		folder);

	(void)state;
	three_plugins();
	assert_int_equal(mkdir(cni, 0700) + mkdir(results, 0700), 0);
	put("cni/cid", all, 0600);
	put("cni/results/n1-cid-net1", "{\"kind\":", 0600);
	put("cni/results/n1-other-net1", "{\"kind\":", 0600);
	forget("order");
	fails("CHECK", DELEGATES, 999, msg);
	works("DEL", "1.0.0", DELEGATES);
	is("order", "p2 DEL net2\np0 DEL eth0\n");
	is("in.p0", "{\"cniVersion\":\"0.3.1\",\"name\":\"n0\",\"type\":\"p0\"}");
	assert_false(exists("cni/cid"));
	assert_false(exists("cni/results/n1-cid-net1"));
	assert_true(exists("cni/results/n1-other-net1"));
}

/* Nothing in the file, and nothing kept: what the pod asks for is done. */
static void del_by_an_empty_file(void **state)
{
	static const struct answer answers[] = {
		{ "/v1/multus/pod", 200, "{\"known\":true,\"uid\":\"u-1\",\"networks\":\"a\"}" },
		{ "/v1/multus/networks", 200, "{\"networks\":{" NAD("default/a", "p1") "}}" },
		{ NULL, 0, NULL },
	};
	AUTO_FREE char *cni = file("cni"), *members = NULL, *seen = NULL;

	(void)state;
	three_plugins();
	assert_int_equal(mkdir(cni, 0700), 0);
	members = agent_members("\"delegates\":[{\"name\":\"n0\",\"type\":\"p0\"}],");
	put("cni/cid", "", 0600);
	start_agent(answers);
	works("DEL", "1.0.0", members);
	seen = stop_agent();
	is("order", "p1 DEL net1\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
	/* and when nobody knows, it still ends */
	forget("order");
	put("cni/cid", "[", 0600);
	forget("agent.sock");
	works("DEL", "1.0.0", "\"clusterNetwork\":\"nobody\",");
	is("order", "(none)");
	assert_false(exists("cni/cid"));
}

/* For a minute, somebody may be replacing it. */
static void del_without_a_plugin(void **state)
{
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 61 },
		                         { .tv_sec = time(NULL) - 61 } };
	AUTO_FREE char *marker = file("cni/cid.missing");
	AUTO_FREE char *why = xasprintf(
		"[default/web/u-1:n1]: error adding container to network "
		"\"n1\": there is no plugin \"p2\" in CNI_PATH (%s:%s)",
		folder, folder);
	AUTO_FREE char *msg = xasprintf(
		"network n1, interface net1: there is no plugin \"p2\" in "
		"CNI_PATH (%s:%s)",
		folder, folder);

	(void)state;
	for (int i = 0; i < 2; i++) {
		three_plugins();
		works("ADD", "1.0.0", DELEGATES);
		forget("p2");
		for (int k = 0; k < 2; k++) {
			forget("order");
			fails("DEL", DELEGATES, 999, msg);
			is("order", "p0 DEL eth0\n");
			assert_true(exists("cni/cid"));
		}
		forget("order");
		/* or with the namespace at once */
		if (i == 0)
			assert_int_equal(utimensat(AT_FDCWD, marker, old, 0), 0);
		else
			given_netns = "/none";
		works("DEL", "1.0.0", DELEGATES);
		given_netns = netns;
		is("order", "p1 DEL net1\np0 DEL eth0\n");
		assert_false(exists("cni/cid"));
		assert_false(exists("cni/cid.missing"));
		assert_false(exists("cni/results/n1-cid-net1"));
	}
	/* of what could not be added there is nothing to give up */
	forget("order");
	fails("ADD", DELEGATES, 999, why);
	is("order", "p0 ADD eth0\np1 ADD net1\np1 DEL net1\np0 DEL eth0\n");
	assert_false(exists("cni/cid"));
}

/* A network that hangs has its own part of the time, and no more. */
static void time_is_shared(void **state)
{
	static const char five[] =
		"\"delegates\":[{\"name\":\"a\",\"type\":\"p0\"},{\"name\":\"b\",\"type\":"
		"\"p0\"},{\"name\":\"c\",\"type\":\"p0\"},{\"name\":\"d\",\"type\":\"p0\"},{"
		"\"name\":\"e\",\"type\":\"p2\"}],";
	struct err e;

	(void)state;
	three_plugins();
	works("ADD", "1.0.0", DELEGATES);
	plugin("p2", "12", "[ $CNI_COMMAND != DEL ] || exec sleep 60");
	assert_int_equal(call_in(3000, multus_plugin.del, DELEGATES, &e), -1);
	assert_string_equal(e.msg,
	                    "network n1, interface net1: plugin p2 did not end in time and "
	                    "was killed");
	assert_false(exists("cni/results/n0-cid-eth0"));
	assert_true(exists("cni/results/n1-cid-net1"));
	plugin("p2", "12", "");
	works("DEL", "1.0.0", DELEGATES);
	/* the same when an ADD is undone */
	plugin("p2", "12", "[ $CNI_COMMAND = DEL ] && exec sleep 60; exit 1");
	assert_int_equal(call_in(5000, NULL, five, &e), -1);
	assert_true(exists("cni/cid"));
	assert_false(exists("cni/results/a-cid-eth0"));
	assert_false(exists("cni/results/d-cid-net3"));
}

/* clusterNetwork by name, by folder, by file; one bad file is passed over. */
static void networks_in_files(void **state)
{
	AUTO_FREE char *conf = file("conf"), *folder_member = NULL, *file_member = NULL;

	(void)state;
	three_plugins();
	assert_int_equal(mkdir(conf, 0755), 0);
	put("conf/00-multus.conf", "{\"name\":\"multus-cni-network\",\"type\":\"multus\"}", 0644);
	put("conf/05-bad.conf", "{\"name\":\"n1\",", 0644);
	put("conf/10-n1.conflist", "{\"name\":\"n1\",\"plugins\":[{\"type\":\"p1\"}]}", 0644);
	put("conf/20-n0.conf", "{\"name\":\"n0\",\"type\":\"p0\"}", 0644);
	put("conf/30-n2.txt", "{\"name\":\"n2\",\"type\":\"p2\"}", 0644);
	works("ADD", "1.0.0", "\"clusterNetwork\":\"n0\",");
	works("DEL", "1.0.0", "\"clusterNetwork\":\"n0\",");
	folder_member = xasprintf("\"clusterNetwork\":\"%s\",", conf);
	works("ADD", "1.0.0", folder_member);
	works("DEL", "1.0.0", folder_member);
	file_member = xasprintf("\"clusterNetwork\":\"%s/30-n2.txt\",", conf);
	works("ADD", "1.0.0", file_member);
	works("DEL", "1.0.0", file_member);
	is("order",
	   "p0 ADD eth0\np0 DEL eth0\np1 ADD eth0\np1 DEL eth0\np2 ADD eth0\np2 DEL eth0\n");
}

/* A definition without a configuration means the file of its name. */
static void definitions_without_configuration(void **state)
{
	static const struct answer answers[] = {
		{ "/v1/multus/pod", 200, "{\"known\":true,\"networks\":\"n1\"}" },
		{ "/v1/multus/networks", 200,
		  "{\"networks\":{\"kube-system/n0\":{\"config\":\"\"},\"default/n1\":{}}}" },
		{ "/v1/multus/status", 200, "" },
		{ NULL, 0, NULL },
	};
	AUTO_FREE char *conf = file("conf"), *members = NULL, *seen = NULL, *again = NULL;
	AUTO_FREE char *want = NULL;

	(void)state;
	three_plugins();
	assert_int_equal(mkdir(conf, 0755), 0);
	put("conf/10-n1.conflist", "{\"name\":\"n1\",\"plugins\":[{\"type\":\"p1\"}]}", 0644);
	put("conf/20-n0.conf", "{\"name\":\"n0\",\"type\":\"p0\"}", 0644);
	members = agent_members("\"clusterNetwork\":\"n0\",");
	start_agent(answers);
	works("ADD", "1.0.0", members);
	seen = stop_agent();
	is("order", "p0 ADD eth0\np1 ADD net1\n");
	assert_non_null(strstr(seen, "\\\"name\\\": \\\"default/n1\\\""));
	forget("conf/10-n1.conflist");
	want = xasprintf(
		"annotation k8s.v1.cni.cncf.io/networks: NetworkAttachmentDefinition "
		"default/n1 has no configuration: no file in %s/conf is a network "
		"configuration called \"n1\"",
		folder);
	start_agent(answers);
	fails("ADD", members, 7, want);
	again = stop_agent();
}

/* An API server, and the kubeconfig that the agent keeps. */
static void start_api(const struct answer *answers)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_FREE char *text = NULL;
	socklen_t len = sizeof(in);
	AUTO_NL *nl = NULL;
	struct err e;

	OK(nl_open(NETLINK_ROUTE, &nl, &e));
	OK(link_set_up(nl, 1, &e));
	start_server(&api, fd, (const struct sockaddr *)&in, sizeof(in), answers);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	text = xasprintf(
		"{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"clusters\":[{\"name\":\"c\","
		"\"cluster\":{\"server\":\"http://127.0.0.1:%u\"}}],\"users\":[{\"name\":"
		"\"u\",\"user\":{\"token\":\"dead\"}}],\"contexts\":[{\"name\":\"x\","
		"\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
		"\"current-context\":\"x\"}",
		ntohs(in.sin_port));
	put("kubeconfig", text, 0600);
}

static void *start_agent_later(void *answers)
{
	mono_sleep_until(mono_in(200));
	start_agent(answers);
	return NULL;
}

#define POD_PATH "/api/v1/namespaces/default/pods/web"
#define NAD_PATH "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions/a"
#define UNAUTHORIZED                                                                               \
	"{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\",\"message\":"               \
	"\"Unauthorized\"}"

/* The token in the kubeconfig ends with the agent's pod; its successor is there in a moment. */
static void the_agent_is_waited_for(void **state)
{
	static const struct answer of_agent[] = {
		{ "/v1/multus/pod", 200, "{\"known\":true,\"uid\":\"u-1\",\"networks\":\"a\"}" },
		{ "/v1/multus/networks", 200, "{\"networks\":{" NAD("default/a", "p1") "}}" },
		{ "/v1/multus/status", 200, "" },
		{ NULL, 0, NULL },
	};
	/* what it is that the server refuses */
	static const struct {
		struct answer answers[4];
		const char *asked;
	} cases[] = {
		{ { { POD_PATH, 401, UNAUTHORIZED }, { NULL, 0, NULL } },
		  "/v1/multus/pod /v1/multus/networks /v1/multus/status " },
		{ { { POD_PATH, 200,
		      "{\"metadata\":{\"uid\":\"u-1\",\"annotations\":{"
		      "\"k8s.v1.cni.cncf.io/networks\":\"a\"}}}" },
		    { NAD_PATH, 401, UNAUTHORIZED },
		    { NULL, 0, NULL } },
		  "/v1/multus/networks /v1/multus/status " },
		{ { { POD_PATH, 200, "{\"metadata\":{\"uid\":\"u-1\"}}" },
		    { POD_PATH "/status", 401, UNAUTHORIZED },
		    { NULL, 0, NULL } },
		  "/v1/multus/status " },
	};
	AUTO_FREE char *members = xasprintf(
		"\"agentSocket\":\"%s/agent.sock\",\"kubeconfig\":\"%s/kubeconfig\","
		"\"delegates\":[{\"name\":\"n0\",\"type\":\"p0\"}],",
		folder, folder);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *seen = NULL, *seen_api = NULL;
		AUTO_STR asked = STR_INIT;
		pthread_t later;

		three_plugins();
		start_api(cases[i].answers);
		start_thread(&later, start_agent_later, (void *)(uintptr_t)of_agent);
		works("ADD", "1.0.0", members);
		pthread_join(later, NULL);
		seen = stop_agent();
		seen_api = stop_server(&api);
		for (char *p = seen, *line; (line = strsep(&p, "\n")) && *line;)
			str_addf(&asked, "%.*s ", (int)strcspn(line, " "), line);
		assert_string_equal(asked.data, cases[i].asked);
		is("order", i < 2 ? "p0 ADD eth0\np1 ADD net1\n" : "p0 ADD eth0\n");
		works("DEL", "1.0.0", members);
	}
}

#define WHERE_TO_LOOK                                                                              \
	"): is it running? look at \"kubectl get pods -A -o wide -l "                              \
	"app.kubernetes.io/component=spiderpool-agent\""

/* No kubeconfig either. */
static void nobody_to_ask(void **state)
{
	AUTO_FREE char *members = xasprintf(
		"\"agentSocket\":\"%s/agent.sock\","
		"\"clusterNetwork\":\"a\",",
		folder);
	AUTO_FREE char *start = xasprintf("no agent at %s/agent.sock (connect to ", folder);
	AUTO_STR out = STR_INIT;
	AUTO_JSON *j = NULL;
	struct err e;

	(void)state;
	assert_int_equal(call_in(100, NULL, members, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_true(str_starts(e.msg, start));
	assert_non_null(strstr(e.msg, WHERE_TO_LOOK));
	assert_int_equal(run("STATUS", "1.1.0", members, &out), 1);
	assert_int_equal(json_parse(out.data, out.len, 0, &j, NULL), 0);
	assert_non_null(strstr(json_str_at(j, "msg", NULL), start));
	assert_non_null(strstr(json_str_at(j, "msg", NULL), WHERE_TO_LOOK));
}

/* It does not come. */
static void nobody_answers(void **state)
{
	static const struct answer refuses[] = { { POD_PATH, 401, UNAUTHORIZED },
		                                 { NULL, 0, NULL } };
	static const struct answer knows_no_pod[] = { { NULL, 0, NULL } };
	AUTO_FREE char *members = xasprintf(
		"\"agentSocket\":\"%s/agent.sock\",\"kubeconfig\":\"%s/kubeconfig\","
		"\"delegates\":[{\"name\":\"n0\",\"type\":\"p0\"}],",
		folder, folder);
	AUTO_FREE char *refused = NULL, *unknown = NULL;
	int64_t before;
	struct err e;

	(void)state;
	three_plugins();
	start_api(refuses);
	before = mono_now().ms;
	assert_int_equal(call_in(500, NULL, members, &e), -1);
	assert_true(mono_now().ms - before >= 490);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg, "/agent.sock: "));
	assert_non_null(strstr(e.msg, "; and read pod default/web: API server 127.0.0.1:"));
	assert_non_null(strstr(e.msg, "does not accept our credentials: Unauthorized"));
	refused = stop_server(&api);
	assert_non_null(strstr(e.msg, WHERE_TO_LOOK));
	/* nothing to wait for, and both are named */
	before = mono_now().ms;
	assert_int_equal(call_in(10000, NULL, members, &e), -1);
	assert_true(mono_now().ms - before < 5000);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg, "read pod default/web: API server 127.0.0.1:"));
	assert_non_null(strstr(e.msg, "; and connect to "));
	/* a clear word needs no company */
	start_api(knows_no_pod);
	assert_int_equal(call_in(10000, NULL, members, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_null(strstr(e.msg, "agent"));
	unknown = stop_server(&api);
	/* no kubeconfig: as good as not let in */
	forget("kubeconfig");
	assert_int_equal(call_in(200, NULL, members, &e), -1);
	assert_int_equal(e.kind, ERR_UNREACHABLE);
	assert_non_null(strstr(e.msg, "/agent.sock: "));
	assert_non_null(strstr(e.msg, "/kubeconfig: No such file or directory"));
}

/* Without an agent, while others write to the pod. */
static void status_in_a_crowd(void **state)
{
	static const struct answer answers[] = {
		{ POD_PATH, 200, "{\"metadata\":{\"uid\":\"u-1\"}}" },
		{ POD_PATH "/status", 200, "{}" },
		{ NULL, 0, NULL },
	};
	AUTO_FREE char *members = xasprintf(
		"\"agentSocket\":\"\",\"kubeconfig\":\"%s/kubeconfig\","
		"\"delegates\":[{\"name\":\"n0\",\"type\":\"p0\"}],",
		folder);
	AUTO_FREE char *seen = NULL;

	(void)state;
	three_plugins();
	start_api(answers);
	api.conflicts = 2;
	works("ADD", "1.0.0", members);
	assert_int_equal(api.conflicts, 0);
	works("DEL", "1.0.0", members);
	api.conflicts = 1000;
	fails("ADD", members, 11,
	      "write the annotation k8s.v1.cni.cncf.io/network-status of pod default/web: busy");
	assert_false(exists("cni/cid"));
	seen = stop_server(&api);
	api.conflicts = 0;
}

static void *make_ready(void *arg)
{
	AUTO_FREE char *folders = file("run");

	(void)arg;
	mono_sleep_until(mono_in(50));
	mkdir(folders, 0755);
	mono_sleep_until(mono_in(50));
	put("run/ready", "", 0644);
	return NULL;
}

static void the_readiness_file_is_waited_for(void **state)
{
	AUTO_FREE char *members =
		xasprintf("\"readinessindicatorfile\":\"%s/run/ready\"," DELEGATES, folder);
	AUTO_FREE char *msg =
		xasprintf("readinessindicatorfile: %s/run/ready is not there", folder);
	pthread_t thread;

	(void)state;
	three_plugins();
	fails("STATUS", members, 50, msg);
	start_thread(&thread, make_ready, NULL);
	works("ADD", "1.0.0", members);
	pthread_join(thread, NULL);
	is("order", "p0 ADD eth0\np1 ADD net1\np2 ADD net1\n");
	works("STATUS", "1.1.0", members);
}

static void status_and_garbage(void **state)
{
	static const char delegates[] =
		"\"delegates\":[{\"cniVersion\":\"1.1.0\",\"name\":\"n0\","
		"\"type\":\"p0\"},{\"cniVersion\":\"1.1.0\",\"name\":"
		"\"n1\",\"type\":\"p1\"}],";
	AUTO_FREE char *valid = xasprintf(
		"%s\"cni.dev/valid-attachments\":[{\"containerID\":\"cid\",\"ifname\":\"eth0\"}],",
		delegates);
	AUTO_FREE char *none = xasprintf("%s\"cni.dev/valid-attachments\":[],", delegates);
	AUTO_FREE char *null = xasprintf("%s\"cni.dev/valid-attachments\":null,", delegates);
	AUTO_FREE char *other = xasprintf(
		"%s\"cni.dev/valid-attachments\":[{\"containerID\":\"cid\",\"ifname\":\"eth0\"},"
		"{\"containerID\":\"live\",\"ifname\":\"eth0\"}],",
		delegates);
	AUTO_FREE char *odd =
		xasprintf("%s\"cni.dev/valid-attachments\":[{\"containerID\":1}],", delegates);

	(void)state;
	three_plugins();
	works("STATUS", "1.1.0", delegates);
	is("order", "p0 STATUS\n");
	works("ADD", "1.1.0", delegates);
	forget("order");
	/* the runtime knows of one interface; the others belong to it */
	works("GC", "1.1.0", valid);
	is("order", "p0 GC\np1 GC\n");
	is("in.p1",
	   "{\"cniVersion\":\"1.1.0\",\"name\":\"n1\",\"type\":\"p1\",\"cni.dev/"
	   "valid-attachments\":[{\"containerID\":\"cid\",\"ifname\":\"net1\"}]}");
	works("GC", "1.1.0", delegates);
	assert_true(exists("cni/cid"));
	/* one that another program made lives as well */
	works("GC", "1.1.0", other);
	is("in.p0",
	   "{\"cniVersion\":\"1.1.0\",\"name\":\"n0\",\"type\":\"p0\",\"cni.dev/"
	   "valid-attachments\":[{\"containerID\":\"live\",\"ifname\":\"eth0\"},"
	   "{\"containerID\":\"cid\",\"ifname\":\"eth0\"}]}");
	fails("GC", odd, 7, "cni.dev/valid-attachments: containerID: not a string");
	assert_true(exists("cni/cid"));
	forget("order");
	works("GC", "1.1.0", none);
	is("order", "p1 DEL net1\np0 DEL eth0\np0 GC\np1 GC\n");
	assert_false(exists("cni/cid"));
	/* as Go writes that */
	works("ADD", "1.1.0", delegates);
	forget("order");
	works("GC", "1.1.0", null);
	is("order", "p1 DEL net1\np0 DEL eth0\np0 GC\np1 GC\n");
	is("in.p0",
	   "{\"cniVersion\":\"1.1.0\",\"name\":\"n0\",\"type\":\"p0\",\"cni.dev/"
	   "valid-attachments\":[]}");
	assert_false(exists("cni/cid"));
}

/* What killed calls leave: a file of networks that were never all added, results cut short,
 * temporary files. */
static void garbage_of_killed_calls(void **state)
{
	static const char *const temporary[] = { "cni/.cid.AbCdEf",
		                                 "cni/results/.n0-cid-eth0.AbCdEf" };
	static const char conf[] =
		"\"delegates\":[{\"cniVersion\":\"1.1.0\",\"name\":\"n0\",\"type\":\"p0\"}],"
		"\"cni.dev/valid-attachments\":[{\"containerID\":\"cid\",\"ifname\":\"eth0\"}],";
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 61 },
		                         { .tv_sec = time(NULL) - 61 } };
	AUTO_FREE char *text = NULL;

	(void)state;
	three_plugins();
	works("ADD", "1.0.0", DELEGATES);
	text = contents("cni/cid");
	put("cni/dead", text, 0600);
	put("cni/gone.missing", "", 0600);
	put("cni/results/n0-dead-eth0", "", 0600);
	put("cni/results/n0-lost-eth0", "", 0600);
	put("cni/results/n9-cid-net9", "", 0600);
	for (size_t i = 0; i < ARRAY_LEN(temporary); i++) {
		AUTO_FREE char *path = file(temporary[i]);

		put(temporary[i], "", 0600);
		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	}
	forget("order");
	works("GC", "1.1.0", conf);
	is("order", "p2 DEL net1\np1 DEL net1\np0 DEL eth0\np0 GC\n");
	assert_true(exists("cni/cid"));
	assert_false(exists("cni/dead"));
	assert_false(exists("cni/gone.missing"));
	assert_false(exists("cni/results/n0-dead-eth0"));
	assert_false(exists("cni/results/n0-lost-eth0"));
	assert_true(exists("cni/results/n9-cid-net9")); /* its container lives */
	for (size_t i = 0; i < ARRAY_LEN(temporary); i++)
		assert_false(exists(temporary[i]));
	/* also when nothing else is to be collected */
	put("cni/gone.missing", "", 0600);
	works("GC", "1.1.0", conf);
	assert_false(exists("cni/gone.missing"));
	/* a DEL removes its container's */
	put("cni/.cid.writer", "", 0600);
	put("cni/results/.n0-cid-eth0.writer", "", 0600);
	works("DEL", "1.0.0", DELEGATES);
	assert_false(exists("cni/.cid.writer"));
	assert_false(exists("cni/results/.n0-cid-eth0.writer"));
	assert_false(exists("cni/results/n9-cid-net9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(configured_delegates, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(annotations, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(networks_that_come_with_the_pod, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(requests, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(what_is_refused, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(a_failed_add_is_rolled_back, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(a_late_add_is_rolled_back, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(a_second_add, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(a_name_that_is_taken_meanwhile, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(delegates_without_a_name, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(a_large_integer_is_passed_on, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(a_failed_del_can_be_repeated, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(del_in_the_nodes_namespace, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(del_without_the_file, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(folders_for_files, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(del_of_what_cannot_be_read, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(del_by_an_empty_file, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(del_without_a_plugin, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(time_is_shared, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(garbage_of_killed_calls, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(networks_in_files, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(definitions_without_configuration, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(the_agent_is_waited_for, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(nobody_to_ask, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(nobody_answers, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(status_in_a_crowd, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(the_readiness_file_is_waited_for, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(status_and_garbage, folder_make, folder_remove),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
