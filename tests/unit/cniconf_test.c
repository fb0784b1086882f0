/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/cniconf.c agent/thread.c cni/multus_files.c json/json.c base/ */
/* libs: cjson */
/* tsan */
/*
 * cniconf_test.c - the runtime's configuration of the multus plugin: what stands in it, and that it
 * comes back whatever happens to it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/cniconf.h"
#include "base/file.h"
#include "base/mono.h"
#include "cni/multus_files.h"
#include "json/json.h"

static char folder[64], dir[80], account[80], conf_path[120], kubeconfig_path[140];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/cniconf_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(dir, sizeof(dir), "%s/net.d", folder);
	snprintf(account, sizeof(account), "%s/account", folder);
	snprintf(conf_path, sizeof(conf_path), "%s/00-multus.conf", dir);
	snprintf(kubeconfig_path, sizeof(kubeconfig_path), "%s/multus.d/multus.kubeconfig", dir);
	return mkdir(dir, 0755) < 0 || mkdir(account, 0755) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static void put(const char *base, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", base, name);
	struct err e;

	if (file_write(path, text, strlen(text), 0644, 0, &e) < 0)
		fail_msg("%s", e.msg);
}

static char *contents(const char *path)
{
	AUTO_STR text = STR_INIT;

	if (file_read(path, 1024 * 1024, &text, NULL) < 0)
		return xstrdup("(none)");
	return str_take(&text);
}

static struct cniconf_config config(void)
{
	return (struct cniconf_config){
		.dir = dir,
		.network = "kube-system/ipvlan-eth0",
		.namespace = "kube-system",
		.socket = "/run/agent.sock",
		.account = account,
		.host = "10.96.0.1",
		.port = "443",
	};
}

static void write_account(const char *token)
{
	put(account, "ca.crt", "-----BEGIN CERTIFICATE-----\n");
	put(account, "token", token);
}

static void rounds(const struct cniconf_config *c)
{
	bool foreign;
	struct err e;

	if (cniconf_write(c, &foreign, &e) < 0)
		fail_msg("%s", e.msg);
	assert_false(foreign);
}

static void is(const char *path, const char *want)
{
	AUTO_FREE char *got = contents(path);

	assert_string_equal(got, want);
}

/* What the user adds, and what he changes. */
static void members_of_the_users(void **state)
{
	static const char text[] = "{\"cniVersion\":\"1.1.0\",\"globalNamespaces\":\"a,b\"}";
	struct cniconf_config c = config();
	AUTO_JSON *members = NULL;
	AUTO_JSON *conf = NULL;
	AUTO_FREE char *got = NULL;

	(void)state;
	assert_int_equal(json_parse(text, sizeof(text) - 1, 0, &members, NULL), 0);
	c.members = members;
	write_account("t0ken\n");
	rounds(&c);
	got = contents(conf_path);
	assert_int_equal(json_parse(got, strlen(got), 0, &conf, NULL), 0);
	assert_string_equal(json_str_at(conf, "cniVersion", NULL), "1.1.0");
	assert_string_equal(json_str_at(conf, "globalNamespaces", NULL), "a,b");
	assert_string_equal(json_str_at(conf, "type", NULL), "multus");
}

static void what_stands_in_them(void **state)
{
	struct cniconf_config c = config();
	AUTO_FREE char *want = xasprintf(
		"{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"multus-cni-network\",\n  \"type\": "
		"\"multus\",\n  \"confDir\": \"%s/\",\n  \"logLevel\": \"verbose\",\n  "
		"\"logFile\": "
		"\"/var/log/multus.log\",\n  \"capabilities\": {\n    \"portMappings\": true,\n    "
		"\"bandwidth\": true\n  },\n  \"namespaceIsolation\": false,\n  "
		"\"clusterNetwork\": "
		"\"ipvlan-eth0\",\n  \"defaultNetworks\": [],\n  \"multusNamespace\": "
		"\"kube-system\",\n  "
		"\"systemNamespaces\": [],\n  \"kubeconfig\": \"%s\",\n  \"agentSocket\": "
		"\"/run/agent.sock\"\n}\n",
		dir, kubeconfig_path);
	struct stat st;

	(void)state;
	write_account("t0ken\n");
	rounds(&c);
	is(conf_path, want);
	is(kubeconfig_path,
	   "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Config\",\n  \"clusters\": [\n    {\n      "
	   "\"name\": \"local\",\n      \"cluster\": {\n        \"server\": "
	   "\"https://10.96.0.1:443\",\n"
	   "        \"certificate-authority-data\": \"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==\"\n "
	   "     "
	   "}\n    }\n  ],\n  \"users\": [\n    {\n      \"name\": \"multus\",\n      \"user\": "
	   "{\n        "
	   "\"token\": \"t0ken\"\n      }\n    }\n  ],\n  \"contexts\": [\n    {\n      \"name\": "
	   "\"spiderbox-multus\",\n      \"context\": {\n        \"cluster\": \"local\",\n        "
	   "\"user\": \"multus\"\n      }\n    }\n  ],\n  \"current-context\": "
	   "\"spiderbox-multus\"\n}\n");
	assert_int_equal(stat(kubeconfig_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* The member of 00-multus.conf, or "". */
static char *member(const char *key)
{
	AUTO_FREE char *text = contents(conf_path);
	AUTO_JSON *j = NULL;
	const char *s;

	if (json_parse(text, strlen(text), 0, &j, NULL) < 0)
		return xstrdup("(broken)");
	s = json_str_at(j, key, NULL);
	return xstrdup(s ? s : "");
}

static void which_network(void **state)
{
	static const struct {
		const char *network, *want;
	} cases[] = {
		{ "kube-system/a", "a" },
		{ "kube-systems/a", "kube-systems/a" },
		{ NULL, "calico" },
	};

	(void)state;
	put(dir, "05-broken.conf", "{");
	put(dir, "06-old-multus.conf", "{\"name\":\"m\",\"type\":\"multus-shim\"}");
	put(dir, "07-unnamed.conf", "{\"type\":\"x\"}");
	put(dir, "10-calico.conflist", "{\"name\":\"calico\",\"plugins\":[]}");
	put(dir, "20-other.conf", "{\"name\":\"other\",\"type\":\"x\"}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cniconf_config c = config();
		AUTO_FREE char *network = NULL, *kubeconfig = NULL;

		c.network = cases[i].network;
		c.account = NULL;
		rounds(&c);
		network = member("clusterNetwork");
		kubeconfig = member("kubeconfig");
		assert_string_equal(network, cases[i].want);
		assert_string_equal(kubeconfig, ""); /* there is no API server */
	}
}

static void what_is_not_ours(void **state)
{
	static const char theirs[] = "{\"type\":\"multus\",\"kubeconfig\":\"/k\"}";
	struct cniconf_config c = config();
	enum multus_owner owner;
	bool foreign = false;
	struct err e;

	(void)state;
	c.network = NULL;
	c.account = NULL;
	assert_int_equal(cniconf_write(&c, &foreign, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(access(conf_path, F_OK), -1);
	c = config();
	assert_int_equal(cniconf_write(&c, &foreign, &e), -1); /* no token */
	assert_int_equal(access(conf_path, F_OK), -1);
	write_account("t");
	put(dir, "00-multus.conf", theirs);
	assert_int_equal(cniconf_write(&c, &foreign, &e), 0);
	assert_true(foreign);
	is(conf_path, theirs);
	assert_int_equal(access(kubeconfig_path, F_OK), -1);
	assert_int_equal(multus_files_remove(dir, &owner, &e), 0);
	assert_int_equal(owner, MULTUS_FOREIGN);
	is(conf_path, theirs);
}

static void await(const char *path, const char *want)
{
	struct mono until = mono_in(20000);

	for (;;) {
		AUTO_FREE char *got = contents(path);

		if (strstr(got, want))
			return;
		if (mono_passed(until))
			fail_msg("%s: %s", path, got);
		mono_sleep_until(mono_in(2));
	}
}

/* A runtime that reads at any moment finds a whole file, or none. */
static void *reader(void *arg)
{
	struct mono until = mono_in(400);

	(void)arg;
	while (!mono_passed(until)) {
		AUTO_FREE char *text = contents(conf_path);
		AUTO_JSON *j = NULL;

		if (!streq(text, "(none)") && !streq(text, "{\"agentSocket\":\"/x\"}") &&
		    json_parse(text, strlen(text), 0, &j, NULL) < 0)
			return (void *)"broken";
	}
	return NULL;
}

static void they_come_back(void **state)
{
	struct cniconf_config c = config();
	struct cniconf *keeper = NULL;
	enum multus_owner owner;
	pthread_t thread;
	void *broken;
	struct err e;

	(void)state;
	write_account("one");
	if (cniconf_start(&c, &keeper, &e) < 0)
		fail_msg("%s", e.msg);
	await(conf_path, "ipvlan-eth0");
	await(kubeconfig_path, "\"one\"");
	write_account("two");
	await(kubeconfig_path, "\"two\"");
	unlink(kubeconfig_path);
	await(kubeconfig_path, "\"two\"");
	put(dir, "multus.d/multus.kubeconfig", "nonsense");
	await(kubeconfig_path, "\"two\"");
	pthread_create(&thread, NULL, reader, NULL);
	for (int i = 0; i < 5; i++) {
		unlink(conf_path);
		await(conf_path, "ipvlan-eth0");
		put(dir, "00-multus.conf", "{\"agentSocket\":\"/x\"}");
		await(conf_path, "ipvlan-eth0");
	}
	pthread_join(thread, &broken);
	assert_null(broken);
	cniconf_stop(keeper);
	/* they stay, until they are removed by name */
	await(conf_path, "ipvlan-eth0");
	if (multus_files_remove(dir, &owner, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(owner, MULTUS_OURS);
	assert_int_equal(access(conf_path, F_OK), -1);
	assert_int_equal(rmdir(dir), 0);
}

static bool is_private(void)
{
	struct stat st;

	return stat(kubeconfig_path, &st) == 0 && (st.st_mode & 07777) == 0600 &&
	       st.st_uid == geteuid();
}

/* A token that others can read, or a file that others can write to, is put right at once. */
static void modes_and_owners(void **state)
{
	struct cniconf_config c = config();
	struct cniconf *keeper = NULL;
	AUTO_FREE char *copy = xasprintf("%s/copy", folder);
	struct stat st;
	struct err e;

	(void)state;
	write_account("t");
	rounds(&c);
	for (int i = 0; i < 3; i++) {
		if (i == 0) {
			assert_int_equal(chmod(kubeconfig_path, 0644), 0);
		} else if (i == 1) {
			/* a link to a file that says the same */
			assert_int_equal(rename(kubeconfig_path, copy), 0);
			assert_int_equal(symlink(copy, kubeconfig_path), 0);
		} else if (geteuid() == 0) {
			assert_int_equal(chown(kubeconfig_path, 12345, 12345), 0);
		}
		assert_int_equal(chmod(conf_path, 0666), 0);
		rounds(&c);
		assert_int_equal(lstat(kubeconfig_path, &st), 0);
		assert_true(S_ISREG(st.st_mode));
		assert_true(is_private());
		assert_int_equal(stat(conf_path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0644);
	}
	/* less is fine */
	assert_int_equal(chmod(conf_path, 0600) + chmod(kubeconfig_path, 0400), 0);
	rounds(&c);
	assert_int_equal(stat(conf_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(kubeconfig_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	if (cniconf_start(&c, &keeper, &e) < 0)
		fail_msg("%s", e.msg);
	for (int i = 0; i < 3; i++) {
		struct mono until = mono_in(20000);

		/* its first round may be under way */
		assert_int_equal(chmod(kubeconfig_path, 0604), 0);
		while (!is_private()) {
			assert_false(mono_passed(until));
			mono_sleep_until(mono_in(2));
		}
	}
	cniconf_stop(keeper);
}

/* Of agents that were killed as they wrote; others' are left alone. */
static void temporary_files(void **state)
{
	static const struct {
		const char *name;
		bool stays;
	} files[] = {
		{ "net.d/.00-multus.conf.AbCdEf", false },
		{ "net.d/multus.d/.multus.kubeconfig.AbCdEf", false },
		{ "net.d/.10-calico.conflist.AbCdEf", true },
	};
	struct cniconf_config c = config();
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 61 },
		                         { .tv_sec = time(NULL) - 61 } };
	enum multus_owner owner;
	struct err e;

	(void)state;
	write_account("t");
	rounds(&c);
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			AUTO_FREE char *path = xasprintf("%s/%s", folder, files[i].name);

			put(folder, files[i].name, "x");
			assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
		}
		if (k == 0)
			rounds(&c);
		else
			assert_int_equal(multus_files_remove(dir, &owner, &e), 0);
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			AUTO_FREE char *path = xasprintf("%s/%s", folder, files[i].name);

			assert_int_equal(access(path, F_OK) == 0, files[i].stays);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(members_of_the_users, setup, teardown),
		cmocka_unit_test_setup_teardown(what_stands_in_them, setup, teardown),
		cmocka_unit_test_setup_teardown(which_network, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(they_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(modes_and_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(temporary_files, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
