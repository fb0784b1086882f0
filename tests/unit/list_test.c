/* SPDX-License-Identifier: Apache-2.0 */
/* links: cni/list.c cni/cni.c cni/result.c cni/delegate.c cni/env.c cni/conf.c cni/check.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * list_test.c - network configurations run against shell scripts as plugins: what each is given, in
 * which order, and what is kept; plugins of this very binary; files that libcni wrote.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cni/list.h"
#include "tests/unit/folder.h"

/* Notes stdin, environment and the order of the calls, then runs the body. */
static void script(const char *name, const char *body)
{
	AUTO_FREE char *text = xasprintf(
		"#!/bin/sh\nd=%s\nn=%s\necho $n $CNI_COMMAND $CNI_CONTAINERID >>$d/order\n"
		"env | grep ^CNI_ | LC_ALL=C sort >$d/env.$n.$CNI_COMMAND\n"
		"cat >$d/in.$n.$CNI_COMMAND\n%s\n",
		folder, name, body);

	put(name, text, 0755);
}

static json *parse(const char *text)
{
	struct err e;
	json *j = NULL;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

/* The same document, in whichever order its members are. */
static void is_json(const char *name, const char *want)
{
	AUTO_FREE char *text = contents(name);
	AUTO_JSON *got = parse(text);
	AUTO_JSON *wanted = parse(want);

	if (!json_equal(got, wanted))
		fail_msg("%s: %s, wanted %s", name, text, want);
}

static struct cni_network network(const char *text)
{
	struct cni_network n = { .conf = NULL };
	struct err e;

	if (cni_network_read(parse(text), NULL, CNI_0_3_1, &n, &e) < 0)
		fail_msg("%s", e.msg);
	return n;
}

static struct cni_runtime runtime(void)
{
	return (struct cni_runtime){
		.container_id = "cid",
		.netns = "/var/run/netns/x",
		.ifname = "net1",
		.args = "IgnoreUnknown=true;K8S_POD_NAME=a;X=b=c",
		.path = folder,
		.cache_dir = folder,
		.deadline = mono_in(20000),
	};
}

static const char chain[] =
	"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":["
	"{\"type\":\"one\",\"name\":\"own\",\"cniVersion\":\"0.4.0\",\"capabilities\":{\"ips\":"
	"true,"
	"\"mac\":true,\"portMappings\":false},\"key\":1},{\"type\":\"two\"}]}";
#define RESULT_1 "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.1/24\"}],\"odd\":1}"
#define RESULT_2                                                                                   \
	"{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"net1\",\"sandbox\":\"/x\"}],"       \
	"\"ips\":[{\"address\":\"10.0.0.1/24\",\"interface\":0}]}"
#define ENV(command)                                                                               \
	"CNI_ARGS=IgnoreUnknown=true;K8S_POD_NAME=a;X=b=c\nCNI_COMMAND=" command                   \
	"\nCNI_CONTAINERID=cid\nCNI_IFNAME=net1\nCNI_NETNS=/var/run/netns/x\nCNI_PATH=%s\n"

static void make_chain(void)
{
	forget("order");
	script("one", "[ $CNI_COMMAND != ADD ] || echo '" RESULT_1 "'");
	script("two", "[ $CNI_COMMAND != ADD ] || echo '" RESULT_2 "'");
}

static void add(const char *text, struct cni_runtime *rt)
{
	AUTO_CNI_NETWORK n = network(text);
	AUTO_JSON *result = NULL;
	struct err e;
	int code = 0;

	if (cni_network_add(&n, rt, &result, &code, &e) < 0)
		fail_msg("%s", e.msg);
}

static void a_list_is_added_in_order(void **state)
{
	AUTO_JSON *capabilities =
		parse("{\"ips\":[\"10.0.0.9/"
	              "24\"],\"portMappings\":[1],\"bandwidth\":{\"ingressRate\":1}}");
	struct cni_runtime rt = runtime();
	AUTO_FREE char *env = xasprintf(ENV("ADD"), folder);
	AUTO_CNI_NETWORK n = network(chain);
	AUTO_JSON *result = NULL;
	AUTO_STR text = STR_INIT;
	struct stat st;
	AUTO_FREE char *kept = xasprintf("%s/results/n-cid-net1", folder);
	struct err e;
	int code = 0;

	(void)state;
	make_chain();
	rt.capability_args = capabilities;
	if (cni_network_add(&n, &rt, &result, &code, &e) < 0)
		fail_msg("%s", e.msg);
	json_print(result, &text);
	assert_string_equal(text.data, RESULT_2);
	is("order", "one ADD cid\ntwo ADD cid\n");
	is("env.one.ADD", env);
	is_json("in.one.ADD",
	        "{\"type\":\"one\",\"name\":\"n\",\"cniVersion\":\"1.0.0\",\"capabilities\":{"
	        "\"ips\":true,\"mac\":true,\"portMappings\":false},\"key\":1,\"runtimeConfig\":{"
	        "\"ips\":[\"10.0.0.9/24\"]}}");
	is_json("in.two.ADD",
	        "{\"type\":\"two\",\"name\":\"n\",\"cniVersion\":\"1.0.0\","
	        "\"prevResult\":" RESULT_1 "}");
	is_json("results/n-cid-net1",
	        "{\"kind\":\"cniCacheV1\",\"containerId\":\"cid\",\"config\":"
	        "\"eyJjbmlWZXJzaW9uIjoiMS4wLjAiLCJuYW1lIjoibiIsInBsdWdpbnMiOlt7InR5cGUiOiJvbmUiLCJu"
	        "YW1"
	        "lIjoib3duIiwiY25pVmVyc2lvbiI6IjAuNC4wIiwiY2FwYWJpbGl0aWVzIjp7ImlwcyI6dHJ1ZSwibWFjI"
	        "jp0"
	        "cnVlLCJwb3J0TWFwcGluZ3MiOmZhbHNlfSwia2V5IjoxfSx7InR5cGUiOiJ0d28ifV19\","
	        "\"ifName\":\"net1\",\"networkName\":\"n\",\"netns\":\"/var/run/netns/x\","
	        "\"cniArgs\":[[\"IgnoreUnknown\",\"true\"],[\"K8S_POD_NAME\",\"a\"],[\"X\",\"b=c\"]"
	        "],"
	        "\"capabilityArgs\":{\"ips\":[\"10.0.0.9/24\"],\"portMappings\":[1],\"bandwidth\":{"
	        "\"ingressRate\":1}},\"result\":" RESULT_2 "}");
	assert_int_equal(stat(kept, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_single_plugin_is_a_list_of_one(void **state)
{
	struct cni_runtime rt = runtime();

	(void)state;
	script("one", "echo '{\"ips\":[]}'");
	add("{\"type\":\"one\",\"name\":\"s\",\"k\":[1,2]}", &rt);
	is_json("in.one.ADD",
	        "{\"type\":\"one\",\"name\":\"s\",\"k\":[1,2],\"cniVersion\":\"0.3.1\"}");
	assert_int_equal(access(folder, F_OK), 0);
	is("results/s-cid-net1",
	   "{\"kind\":\"cniCacheV1\",\"containerId\":\"cid\",\"config\":"
	   "\"eyJ0eXBlIjoib25lIiwibmFtZSI6InMiLCJrIjpbMSwyXSwiY25pVmVyc2lvbiI6IjAuMy4xIn0=\","
	   "\"ifName\":\"net1\",\"networkName\":\"s\",\"netns\":\"/var/run/netns/x\",\"cniArgs\":"
	   "[[\"IgnoreUnknown\",\"true\"],[\"K8S_POD_NAME\",\"a\"],[\"X\",\"b=c\"]],"
	   "\"result\":{\"ips\":[],\"cniVersion\":\"0.3.1\"}}");
}

static int del(const char *text, struct err *e)
{
	struct cni_runtime rt = runtime();
	AUTO_CNI_NETWORK n = network(text);
	int code = 0;

	return cni_network_del(&n, &rt, &code, e);
}

static void del_goes_backward(void **state)
{
	AUTO_FREE char *env = xasprintf(ENV("DEL"), folder);
	struct cni_runtime rt = runtime();
	AUTO_FREE char *kept = NULL;
	struct err e;

	(void)state;
	make_chain();
	add(chain, &rt);
	forget("order");
	script("two", "echo '{\"code\":11,\"msg\":\"busy\"}'; exit 1");
	assert_int_equal(del(chain, &e), -1);
	assert_string_equal(e.msg, "plugin two: busy");
	is("order", "two DEL cid\n"); /* the first error ends it, and what is kept stays */
	kept = contents("results/n-cid-net1");
	assert_string_not_equal(kept, "(none)");
	make_chain();
	if (del(chain, &e) < 0)
		fail_msg("%s", e.msg);
	is("order", "two DEL cid\none DEL cid\n");
	is("env.one.DEL", env);
	is_json("in.two.DEL",
	        "{\"type\":\"two\",\"name\":\"n\",\"cniVersion\":\"1.0.0\","
	        "\"prevResult\":" RESULT_2 "}");
	is("results/n-cid-net1", "(none)");
	/* again, with nothing kept */
	if (del(chain, &e) < 0)
		fail_msg("%s", e.msg);
	is_json("in.two.DEL", "{\"type\":\"two\",\"name\":\"n\",\"cniVersion\":\"1.0.0\"}");
}

/* Before 0.4.0 a DEL gets no prevResult. */
static void old_del(void **state)
{
	static const char old[] =
		"{\"name\":\"n\",\"cniVersion\":\"0.3.1\",\"plugins\":[{\"type\":"
		"\"one\"}]}";
	struct cni_runtime rt = runtime();
	struct err e;

	(void)state;
	make_chain();
	add(old, &rt);
	if (del(old, &e) < 0)
		fail_msg("%s", e.msg);
	is_json("in.one.DEL", "{\"type\":\"one\",\"name\":\"n\",\"cniVersion\":\"0.3.1\"}");
	is("results/n-cid-net1", "(none)");
}

static int check(const char *text, struct err *e)
{
	struct cni_runtime rt = runtime();
	AUTO_CNI_NETWORK n = network(text);
	int code = 0;

	return cni_network_check(&n, &rt, &code, e);
}

static void checks(void **state)
{
	struct cni_runtime rt = runtime();
	struct err e;

	(void)state;
	make_chain();
	assert_int_equal(check(chain, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	is("order", "(none)");
	add(chain, &rt);
	forget("order");
	if (check(chain, &e) < 0)
		fail_msg("%s", e.msg);
	is("order", "one CHECK cid\ntwo CHECK cid\n");
	is_json("in.two.CHECK",
	        "{\"type\":\"two\",\"name\":\"n\",\"cniVersion\":\"1.0.0\","
	        "\"prevResult\":" RESULT_2 "}");
	forget("order");
	if (check("{\"name\":\"n\",\"cniVersion\":\"1.0.0\",\"disableCheck\":\"true\",\"plugins\":["
	          "{\"type\":\"one\"}]}",
	          &e) < 0)
		fail_msg("%s", e.msg);
	is("order", "(none)");
	assert_int_equal(check("{\"name\":\"n\",\"type\":\"one\"}", &e), -1);
	assert_string_equal(e.msg, "network n: cniVersion 0.3.1 has no CHECK");
}

/* What other versions of libcni left, and what was kept in another version of the protocol. */
static void kept_by_others(void **state)
{
	AUTO_FREE char *results = xasprintf("%s/results", folder);
	struct err e;

	(void)state;
	make_chain();
	assert_int_equal(mkdir(results, 0700), 0);
	put("results/n-cid-net1",
	    "{\"cniVersion\":\"0.4.0\",\"ips\":[{\"version\":\"4\",\"address\":\"10.0.0.1/24\"}],"
	    "\"dns\":{}}",
	    0600);
	if (check(chain, &e) < 0)
		fail_msg("%s", e.msg);
	is_json("in.two.CHECK",
	        "{\"type\":\"two\",\"name\":\"n\",\"cniVersion\":\"1.0.0\",\"prevResult\":{"
	        "\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.1/24\"}],\"dns\":{}}}");
	put("results/n-cid-net1", "{\"kind\":\"cniCacheV2\"}", 0600);
	assert_int_equal(check(chain, &e), -1);
	put("results/n-cid-net1", "{", 0600);
	assert_int_equal(check(chain, &e), -1);
	if (del(chain, &e) < 0)
		fail_msg("%s", e.msg);
	is("results/n-cid-net1", "(none)");
}

static void statuses(void **state)
{
	static const char list[] =
		"{\"name\":\"n\",\"cniVersion\":\"1.1.0\",\"plugins\":["
		"{\"type\":\"one\"},{\"type\":\"two\"}]}";
	AUTO_CNI_NETWORK old = network(chain);
	AUTO_CNI_NETWORK n = network(list);
	struct cni_runtime rt = runtime();
	struct err e;
	int code = 0;

	(void)state;
	make_chain();
	rt.container_id = rt.netns = rt.ifname = rt.args = "";
	if (cni_network_status(&old, &rt, &code, &e) < 0)
		fail_msg("%s", e.msg);
	is("order", "(none)");
	script("two", "echo '{\"code\":50,\"msg\":\"no\"}'; exit 1");
	assert_int_equal(cni_network_status(&n, &rt, &code, &e), -1);
	assert_int_equal(code, 50);
	is("order", "one STATUS\ntwo STATUS\n");
	is_json("in.one.STATUS", "{\"type\":\"one\",\"name\":\"n\",\"cniVersion\":\"1.1.0\"}");
}

static void garbage(void **state)
{
	static const char list[] =
		"{\"name\":\"n\",\"cniVersion\":\"1.1.0\",\"plugins\":["
		"{\"type\":\"one\"},{\"type\":\"two\"}]}";
	AUTO_JSON *valid = parse("[{\"containerID\":\"cid\",\"ifname\":\"net1\"}]");
	struct cni_runtime rt = runtime(), gc = runtime();
	AUTO_CNI_NETWORK n = network(list);
	struct cni_attachment *v;
	struct err e;
	size_t count;
	int code = 0;

	(void)state;
	script("one", "[ $CNI_COMMAND != ADD ] || echo '" RESULT_1 "'");
	script("two", "[ $CNI_COMMAND != ADD ] || echo '" RESULT_1 "'");
	add(list, &rt);
	rt.container_id = "dead";
	rt.args = "K8S_POD_NAME=dead";
	rt.netns = "/var/run/netns/dead";
	add(list, &rt);
	add("{\"name\":\"other\",\"type\":\"one\"}", &rt);
	assert_int_equal(cni_attachments(folder, "dead", &v, &count, &e), 0);
	assert_int_equal(count, 2);
	assert_string_equal(v[0].network, "n");
	assert_string_equal(v[1].network, "other");
	assert_string_equal(v[1].args, "K8S_POD_NAME=dead");
	assert_string_equal(json_str_at(v[1].conf, "type", NULL), "one");
	cni_attachments_free(v, count);
	forget("order");
	gc.container_id = gc.netns = gc.ifname = gc.args = "";
	script("two",
	       "[ $CNI_COMMAND = DEL ] || { echo '{\"code\":100,\"msg\":\"no\"}'; exit 1; }");
	script("one", "");
	assert_int_equal(cni_network_gc(&n, &gc, valid, &code, &e), -1);
	assert_int_equal(code, 100);
	/* both heard of it */
	is("order", "two DEL dead\none DEL dead\none GC\ntwo GC\n");
	is_json("in.two.GC",
	        "{\"type\":\"two\",\"name\":\"n\",\"cniVersion\":\"1.1.0\",\"cni.dev/"
	        "valid-attachments\":[{\"containerID\":\"cid\",\"ifname\":\"net1\"}]}");
	is_json("in.one.DEL",
	        "{\"type\":\"one\",\"name\":\"n\",\"cniVersion\":\"1.1.0\",\"prevResult\":{"
	        "\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"10.0.0.1/24\"}],\"odd\":1}}");
	assert_int_equal(cni_attachments(folder, NULL, &v, &count, &e), 0);
	assert_int_equal(count, 2); /* the living one, and the other network's */
	cni_attachments_free(v, count);
}

/* A plugin that is here. */
static int calls;
static char seen_pod[254];

static int here_add(struct cni_call *c, json **result, int *code, struct err *e)
{
	const struct cni_result r = { .dns = NULL };

	calls++;
	snprintf(seen_pod, sizeof(seen_pod), "%s", c->pod_name);
	if (json_get(c->conf, "fail")) {
		*code = 123;
		return err_set(e, ERR_SYS, "it broke");
	}
	*result = cni_result_document(&r, c->version);
	return 0;
}

static const struct cni_plugin here = { .about = "", .add = here_add };

/* Told that the interface goes next, or not. */
static char told[8];

static int note(struct cni_call *c, int *code, struct err *e)
{
	(void)code;
	(void)e;
	told[strlen(told)] = c->link_goes ? 'y' : 'n';
	return 0;
}

static const struct cni_plugin maker = {
	.about = "", .makes_link = true, .del = note, .check = note
};
static const struct cni_plugin follower = { .about = "", .del = note, .check = note };

/* DEL of PLUGINS, where "maker" makes the interface, and "one" is another program. */
static void del_tells(const char *plugins, const char *want)
{
	static const struct cni_builtin both[] = { { "maker", &maker },
		                                   { "follower", &follower },
		                                   { NULL, NULL } };
	AUTO_FREE char *text =
		xasprintf("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[%s]}", plugins);
	AUTO_CNI_NETWORK n = network(text);
	struct cni_runtime rt = runtime();
	struct err e;
	int code = 0;

	rt.builtins = both;
	memset(told, 0, sizeof(told));
	if (cni_network_del(&n, &rt, &code, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(told, want);
}

static void the_interface_may_go_with_what_is_deleted_before(void **state)
{
	AUTO_FREE char *m = xasprintf("%s/maker", folder);
	AUTO_FREE char *f = xasprintf("%s/follower", folder);

	(void)state;
	script("one", "");
	assert_int_equal(symlink("/proc/self/exe", m), 0);
	assert_int_equal(symlink("/proc/self/exe", f), 0);
	del_tells("{\"type\":\"maker\"},{\"type\":\"follower\"}", "yn");
	del_tells("{\"type\":\"maker\"},{\"type\":\"follower\"},{\"type\":\"follower\"}", "nyn");
	/* another program may want to see it */
	del_tells("{\"type\":\"maker\"},{\"type\":\"one\"},{\"type\":\"follower\"}", "nn");
	del_tells("{\"type\":\"one\"},{\"type\":\"follower\"}", "n");
	del_tells("{\"type\":\"follower\"}", "n");
	del_tells("{\"type\":\"maker\"}", "n");
}

static void plugins_of_this_binary(void **state)
{
	static const struct cni_builtin builtins[] = { { "mine", &here }, { NULL, NULL } };
	AUTO_CNI_NETWORK n = network("{\"name\":\"n\",\"type\":\"mine\"}");
	AUTO_CNI_NETWORK bad = network("{\"name\":\"n\",\"type\":\"mine\",\"fail\":1}");
	AUTO_FREE char *path = xasprintf("%s/mine", folder);
	struct cni_runtime rt = runtime();
	json *result = NULL;
	struct err e;
	int code = 0;

	(void)state;
	calls = 0;
	rt.builtins = builtins;
	rt.args = "K8S_POD_NAME=a;IgnoreUnknown=1;X=b";
	/* another program of that name is run */
	script("mine", "echo '{}'");
	if (cni_network_add(&n, &rt, &result, &code, &e) < 0)
		fail_msg("%s", e.msg);
	json_free(result);
	assert_int_equal(calls, 0);
	unlink(path);
	assert_int_equal(symlink("/proc/self/exe", path), 0);
	if (cni_network_add(&n, &rt, &result, &code, &e) < 0)
		fail_msg("%s", e.msg);
	json_free(result);
	assert_int_equal(calls, 1);
	assert_string_equal(seen_pod, "a");
	assert_int_equal(cni_network_add(&bad, &rt, &result, &code, &e), -1);
	assert_string_equal(e.msg, "plugin mine: it broke");
	assert_int_equal(code, 123);
	/* missing is missing */
	unlink(path);
	assert_int_equal(cni_network_add(&n, &rt, &result, &code, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

/* A network of that many bytes' name, for a container as runtimes name them; -1: ADD refuses it. */
static int add_named(size_t len, struct err *e)
{
	static char id[65];
	char name[201];
	AUTO_FREE char *text = NULL;
	AUTO_CNI_NETWORK n = { .conf = NULL };
	struct cni_runtime rt = runtime();
	json *result = NULL;
	int code = 0, rc;

	memset(id, 'c', sizeof(id) - 1);
	memset(name, 'n', len);
	name[len] = '\0';
	text = xasprintf("{\"cniVersion\":\"1.0.0\",\"name\":\"%s\",\"type\":\"one\"}", name);
	n = network(text);
	rt.container_id = id;
	forget("order");
	rc = cni_network_add(&n, &rt, &result, &code, e);
	json_free(result);
	if (rc < 0) {
		assert_false(exists("order"));
		assert_non_null(strstr(e->msg, "is too long"));
	}
	forget("order");
	/* such as real Multus may have left one; its DEL is done in any case */
	if (cni_network_del(&n, &rt, &code, e) < 0)
		fail_msg("%s", e->msg);
	assert_true(exists("order"));
	return rc;
}

static void a_result_needs_a_file_name(void **state)
{
	struct err e;

	(void)state;
	script("one", "[ $CNI_COMMAND != ADD ] || echo '" RESULT_1 "'");
	/* with "-CONTAINER-net1" 247, and the file that is renamed to it has 8 more */
	assert_int_equal(add_named(177, &e), 0);
	assert_int_equal(add_named(178, &e), -1);
	assert_int_equal(add_named(200, &e), -1);
}

static void configurations(void **state)
{
	static const struct {
		const char *text, *error; /* or the version */
	} cases[] = {
		{ "{\"name\":\"n\",\"type\":\"t\"}", "0.3.1" },
		{ "{\"name\":\"n\",\"type\":\"t\",\"cniVersion\":\"\"}", "0.3.1" },
		{ "{\"name\":\"n\",\"type\":\"t\",\"cniVersion\":\"0.4.0\",\"cniVersions\":[\"9.9."
		  "9\","
		  "\"1.0.0\",\"0.3.0\"]}",
		  "1.0.0" },
		{ "{\"type\":\"t\"}", "fallback" },
		{ "[]", "it is no object" },
		{ "{\"name\":\"a/b\",\"type\":\"t\"}",
		  "the network name \"a/b\" may hold letters, digits, \"_\", \".\" and \"-\" and "
		  "begins "
		  "with a letter or digit" },
		{ "{\"name\":\"n\"}", "it has neither \"type\" nor \"plugins\"" },
		{ "{\"name\":\"n\",\"plugins\":[]}", "\"plugins\" is empty" },
		{ "{\"name\":\"n\",\"plugins\":[1]}", "a plugin of the list is no object" },
		{ "{\"name\":\"n\",\"plugins\":[{\"type\":\"\"}]}", "a plugin has no \"type\"" },
		{ "{\"name\":\"n\",\"type\":\"t\",\"cniVersion\":\"0.2.0\"}",
		  "cniVersion 0.2.0 is not supported (0.3.0 to 1.1.0 are)" },
		{ "{\"name\":\"n\",\"type\":\"t\",\"disableCheck\":1}",
		  "disableCheck: not true or false" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_CNI_NETWORK n = { .conf = NULL };
		struct err e;

		if (cni_network_read(parse(cases[i].text), "fallback", CNI_0_3_1, &n, &e) < 0) {
			AUTO_FREE char *want =
				xasprintf("network configuration: %s", cases[i].error);

			assert_string_equal(e.msg, want);
			assert_int_equal(e.kind, ERR_CONFIG);
		} else if (strcmp(cases[i].error, "fallback") == 0) {
			assert_string_equal(n.name, "fallback");
		} else {
			assert_string_equal(cni_version_text(n.version), cases[i].error);
		}
	}
}

/* What was added once can be given up, in whatever version that was. */
static void kept_configurations(void **state)
{
	static const struct {
		const char *text, *version; /* or why not */
		bool is_read;
	} cases[] = {
		{ "{\"name\":\"n\",\"type\":\"t\"}", "0.4.0", true },
		{ "{\"name\":\"n\",\"type\":\"t\",\"cniVersion\":\"0.2.0\"}", "0.3.1", true },
		{ "{\"name\":\"n\",\"type\":\"t\",\"cniVersion\":1}", "0.3.1", true },
		{ "{\"name\":\"n\",\"type\":\"t\",\"disableCheck\":1}", "0.4.0", true },
		{ "{\"name\":\"n\"}",
		  "network configuration: it has neither \"type\" nor \"plugins\"", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_CNI_NETWORK n = { .conf = NULL };
		struct err e;
		int rc = cni_network_read_kept(parse(cases[i].text), NULL, CNI_0_4_0, &n, &e);

		assert_int_equal(rc, cases[i].is_read ? 0 : -1);
		assert_string_equal(rc == 0 ? cni_version_text(n.version) : e.msg,
		                    cases[i].version);
		if (rc == 0)
			assert_string_equal(json_str_at(n.conf, "cniVersion", NULL),
			                    cases[i].version);
	}
}

/* An executable that is gone is an error while it may come back. */
static void missing_plugins(void **state)
{
	AUTO_FREE char *here = file("here");
	AUTO_CNI_NETWORK n = network(chain);
	struct cni_runtime rt = runtime();
	struct err e;
	int code = 0;

	(void)state;
	put("here", "", 0644);
	rt.netns = here;
	make_chain();
	assert_false(cni_network_lacks(&n, &rt));
	for (int i = 0; i < 2; i++) {
		AUTO_FREE char *want =
			xasprintf("there is no plugin \"two\" in CNI_PATH (%s)", folder);

		make_chain();
		add(chain, &rt);
		forget("two");
		forget("order");
		assert_true(cni_network_lacks(&n, &rt));
		assert_int_equal(cni_network_del(&n, &rt, &code, &e), -1);
		assert_int_equal(e.kind, ERR_NOT_FOUND);
		assert_string_equal(e.msg, want);
		is("order", "(none)");
		assert_true(exists("results/n-cid-net1"));
		if (i == 0)
			rt.skip_missing = true;
		else
			rt.netns = "/none";
		if (cni_network_del(&n, &rt, &code, &e) < 0)
			fail_msg("%s", e.msg);
		is("order", "one DEL cid\n");
		assert_false(exists("results/n-cid-net1"));
		rt.skip_missing = false;
	}
}

/* Of what a DEL has removed meanwhile there is nothing to say. */
static void is_silent(const struct cni_attachment *a)
{
	AUTO_FREE char *path = file("log");
	int before = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(before >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	cni_attachment_forget(a, "it is a test");
	dup2(before, STDERR_FILENO);
	close(before);
	close(fd);
	is("log", "");
}

/* They are told by their names alone. */
static void unreadable_results(void **state)
{
	static const char *const bad[] = {
		"",
		"{\"cniVersion\":\"0.4.0\"}",
		"{\"kind\":\"cniCacheV1\",\"containerId\":\"cid\",\"config\":\"e30=\","
		"\"networkName\":\"n\",\"ifName\":\"\"}",
		"{\"kind\":\"cniCacheV1\",\"containerId\":\"cid\",\"config\":\"?\","
		"\"networkName\":\"n\",\"ifName\":\"net1\"}",
	};
	AUTO_FREE char *results = file("results");

	(void)state;
	assert_int_equal(mkdir(results, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct cni_attachment *v;
		size_t count;
		struct err e;

		put("results/n-cid-net1", bad[i], 0600);
		assert_int_equal(cni_attachments(folder, "other", &v, &count, &e), 0);
		assert_int_equal(count, 0);
		cni_attachments_free(v, count);
		assert_int_equal(cni_attachments(folder, "cid", &v, &count, &e), 0);
		assert_int_equal(count, 1);
		assert_null(v[0].conf);
		assert_true(cni_attachment_is_of(&v[0], "cid"));
		assert_false(cni_attachment_is_of(&v[0], "ci"));
		cni_attachment_forget(&v[0], "it is a test");
		assert_false(exists("results/n-cid-net1"));
		is_silent(&v[0]);
		cni_attachments_free(v, count);
	}
}

static void results_of_other_versions(void **state)
{
	static const char new_result[] =
		"{\"cniVersion\":\"1.1.0\",\"interfaces\":[{\"name\":\"a\",\"mtu\":1500},{\"name\":"
		"\"b\"}],\"ips\":[{\"address\":\"10.0.0.1/24\"},{\"address\":\"fd00::1/64\"}],"
		"\"routes\":[{\"dst\":\"0.0.0.0/0\",\"priority\":5}],\"more\":true}";
	static const struct {
		enum cni_version v;
		const char *want;
	} cases[] = {
		{ CNI_1_1_0, new_result },
		{ CNI_1_0_0,
		  "{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"a\"},{\"name\":"
		  "\"b\"}],\"ips\":[{\"address\":\"10.0.0.1/24\"},{\"address\":\"fd00::1/"
		  "64\"}],\"routes\":[{\"dst\":\"0.0.0.0/0\"}],\"more\":true}" },
		{ CNI_0_3_1,
		  "{\"cniVersion\":\"0.3.1\",\"interfaces\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
		  "\"ips\":[{\"address\":\"10.0.0.1/24\",\"version\":\"4\"},{\"address\":\"fd00::1/"
		  "64\","
		  "\"version\":\"6\"}],\"routes\":[{\"dst\":\"0.0.0.0/"
		  "0\"}],\"more\":true,\"dns\":{}}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_JSON *j = parse(new_result);
		AUTO_STR text = STR_INIT;

		cni_result_convert(j, cases[i].v);
		json_print(j, &text);
		assert_string_equal(text.data, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_list_is_added_in_order, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(a_single_plugin_is_a_list_of_one, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(del_goes_backward, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(the_interface_may_go_with_what_is_deleted_before,
		                                folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(a_result_needs_a_file_name, folder_make,
		                                folder_remove),
		cmocka_unit_test_setup_teardown(old_del, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(checks, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(kept_by_others, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(statuses, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(garbage, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(plugins_of_this_binary, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(missing_plugins, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(unreadable_results, folder_make, folder_remove),
		cmocka_unit_test(configurations),
		cmocka_unit_test(kept_configurations),
		cmocka_unit_test(results_of_other_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
