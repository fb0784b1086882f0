/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/settings.c json/ base/ */
/* libs: cjson yaml */
/*
 * settings_test.c - conf.yml: each key, its default, what is refused, and what the log tells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/settings.h"
#include "base/file.h"
#include "base/log.h"

static char folder[64], conf_path[100], network_path[100], log_path[100];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/settings_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(conf_path, sizeof(conf_path), "%s/conf.yml", folder);
	snprintf(network_path, sizeof(network_path), "%s/clusterNetwork", folder);
	snprintf(log_path, sizeof(log_path), "%s/log", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(conf_path);
	unlink(network_path);
	unlink(log_path);
	return rmdir(folder);
}

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write(path, text, strlen(text), 0600, 0, NULL), 0);
}

/* Reads conf.yml with that text; log receives what the log told, at level info. */
static int read_text(const char *text, struct settings *s, struct str *log, struct err *e)
{
	FILE *f = fopen(log_path, "w");
	int result;

	assert_non_null(f);
	put(conf_path, text);
	log_init("test", fileno(f), false, LOG_LEVEL_INFO);
	result = settings_read(conf_path, s, e);
	log_init("test", STDERR_FILENO, false, LOG_LEVEL_INFO);
	fclose(f);
	str_reset(log, 0);
	assert_int_equal(file_read(log_path, 65536, log, NULL), 0);
	return result;
}

static void check_default(const struct settings *s)
{
	assert_true(s->ipv4);
	assert_true(s->ipv6);
	assert_true(s->statefulset);
	assert_true(s->kubevirt);
	assert_false(s->conflict_detection);
	assert_false(s->gateway_detection);
	assert_false(s->tune_sysctls);
	assert_string_equal(s->socket, "/var/run/spidernet/spiderpool.sock");
	assert_null(s->cluster_network);
}

static void says_nothing(void **state)
{
	static const char *const texts[] = { "",   "# a comment\n", "---\n",
		                             "{}", "enableIPv6:\n", "ipamUnixSocketPath: ''\n" };
	struct settings s;
	AUTO_STR log = STR_INIT;
	struct err e;

	(void)state;
	assert_int_equal(settings_read(NULL, &s, &e), 0);
	check_default(&s);
	settings_release(&s);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (read_text(texts[i], &s, &log, &e) < 0)
			fail_msg("%s: %s", texts[i], e.msg);
		check_default(&s);
		assert_string_equal(log.data, "");
		settings_release(&s);
	}
}

/* Each key away from its default, and nothing else with it. */
static void every_key(void **state)
{
	static const struct {
		const char *text;
		size_t field;
		bool value;
	} keys[] = {
		{ "enableIPv4: false", offsetof(struct settings, ipv4), false },
		{ "enableIPv6: false", offsetof(struct settings, ipv6), false },
		{ "enableStatefulSet: false", offsetof(struct settings, statefulset), false },
		{ "enableKubevirtStaticIP: false", offsetof(struct settings, kubevirt), false },
		{ "enableIPConflictDetection: true", offsetof(struct settings, conflict_detection),
		  true },
		{ "enableGatewayDetection: true", offsetof(struct settings, gateway_detection),
		  true },
		{ "tuneSysctlConfig: true", offsetof(struct settings, tune_sysctls), true },
	};
	struct settings s;
	AUTO_STR log = STR_INIT;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		bool *field;

		if (read_text(keys[i].text, &s, &log, &e) < 0)
			fail_msg("%s: %s", keys[i].text, e.msg);
		field = (bool *)((char *)&s + keys[i].field);
		assert_int_equal(*field, keys[i].value);
		*field = !*field;
		check_default(&s);
		settings_release(&s);
	}
	assert_int_equal(read_text("ipamUnixSocketPath: /run/x.sock", &s, &log, &e), 0);
	assert_string_equal(s.socket, "/run/x.sock");
	settings_release(&s);
	assert_int_equal(read_text("multusConf: {namespaceIsolation: true}", &s, &log, &e), 0);
	assert_true(json_truth(json_get(s.multus, "namespaceIsolation")));
	settings_release(&s);
	assert_int_equal(read_text("multusConf: {agentSocket: /x}", &s, &log, &e), -1);
	assert_non_null(strstr(e.msg, "multusConf: agentSocket cannot be set"));
	assert_int_equal(read_text("multusConf: [1]", &s, &log, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
}

static void log_ends(const char *text, const char *want)
{
	struct settings s;
	AUTO_STR log = STR_INIT;
	AUTO_FREE char *line = xasprintf("%s: %s\n", conf_path, want);
	const char *newline;
	struct err e;

	if (read_text(text, &s, &log, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	settings_release(&s);
	if (!*want && !log.len)
		return;
	newline = strchr(log.data, '\n');
	if (!*want || !str_ends(log.data, line) || !newline || newline[1])
		fail_msg("%s: the log says: %s", text, log.data);
}

/* What the original's chart writes, with everything that is off. */
static const char chart[] =
	"ipamUnixSocketPath: /var/run/spidernet/spiderpool.sock\n"
	"enableIPv4: true\n"
	"enableIPv6: true\n"
	"tuneSysctlConfig: false\n"
	"enableStatefulSet: true\n"
	"enableKubevirtStaticIP: true\n"
	"enableCleanOutdatedEndpoint: false\n"
	"enableSpiderSubnet: false\n"
	"enableAutoPoolForApplication: false\n"
	"enableIPConflictDetection: false\n"
	"enableGatewayDetection: false\n"
	"enableValidatingResourcesDeletedWebhook: false\n"
	"clusterSubnetDefaultFlexibleIPNumber: 1\n"
	"podResourceInject:\n"
	"  enabled: false\n"
	"  namespacesExclude: [kube-system]\n"
	"  namespacesInclude: []\n"
	"agent:\n"
	"  networkResourcePlugin: {enabled: false, kubeletRootDir: /var/lib/kubelet}\n"
	"iaasNetworkProvider: {serverUrl: \"\", httpRequestTimeout: 50s}\n"
	"networkMode: ''\n"
	"clusterDefaultIPv4IPPool: []\n";

static void unknown_keys_are_named(void **state)
{
	(void)state;
	log_ends(chart, "");
	log_ends("enableIpv4: true\nmine: {}\n",
	         "unknown keys are ignored: \"enableIpv4\" (is \"enableIPv4\" meant?), \"mine\"");
	/* in the parts, too */
	log_ends("podResourceInject: {enabled: false, NamespacesExclude: []}\n",
	         "unknown keys of podResourceInject are ignored: \"NamespacesExclude\" (is "
	         "\"namespacesExclude\" meant?)");
	log_ends("agent: {x: 1, networkResourcePlugin: {}}\n",
	         "unknown keys of agent are ignored: \"x\"");
	log_ends("iaasNetworkProvider: {serverURL: \"\"}\n",
	         "unknown keys of iaasNetworkProvider are ignored: \"serverURL\" (is "
	         "\"serverUrl\" meant?)");
}

static void parts_that_are_not_here_are_named(void **state)
{
	static const char *const asking[][2] = {
		{ "enableSpiderSubnet: true", "enableSpiderSubnet" },
		{ "enableAutoPoolForApplication: true", "enableAutoPoolForApplication" },
		{ "enableCleanOutdatedEndpoint: true", "enableCleanOutdatedEndpoint" },
		{ "enableValidatingResourcesDeletedWebhook: true",
		  "enableValidatingResourcesDeletedWebhook" },
		{ "podResourceInject: {enabled: true}", "podResourceInject" },
		{ "agent: {networkResourcePlugin: {enabled: true}}", "agent" },
		{ "iaasNetworkProvider: {serverUrl: \"http://x\"}", "iaasNetworkProvider" },
		{ "networkMode: legacy", "networkMode" },
		{ "clusterDefaultIPv4IPPool: [a]", "clusterDefaultIPv4IPPool" },
		{ "clusterDefaultIPv6Subnet: [a]", "clusterDefaultIPv6Subnet" },
		/* all on one line */
		{ "networkMode: x\nagent: true\nenableSpiderSubnet: true",
		  "networkMode, enableSpiderSubnet" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asking); i++) {
		AUTO_FREE char *want = xasprintf("nothing is done here for %s", asking[i][1]);

		log_ends(asking[i][0], want);
	}
}

static void refuses(const char *text, const char *message)
{
	struct settings s = { .socket = NULL };
	AUTO_FREE char *want = xasprintf("%s: %s", conf_path, message);
	AUTO_STR log = STR_INIT;
	struct err e;

	if (read_text(text, &s, &log, &e) == 0)
		fail_msg("%s was accepted", text);
	assert_null(s.socket);
	assert_int_equal(e.kind, ERR_CONFIG);
	if (!str_starts(e.msg, want))
		fail_msg("%s: \"%s\" is not \"%s\"", text, e.msg, want);
	assert_int_equal(settings_read(conf_path, &s, NULL), -1);
}

static void refuses_bad_documents(void **state)
{
	static const char *const flags[] = {
		"enableIPv4",
		"enableIPv6",
		"enableStatefulSet",
		"enableKubevirtStaticIP",
		"enableIPConflictDetection",
		"enableGatewayDetection",
		"tuneSysctlConfig",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		AUTO_FREE char *text = xasprintf("%s: \"true\"\n", flags[i]);
		AUTO_FREE char *want = xasprintf("%s: not true or false", flags[i]);

		refuses(text, want);
	}
	refuses("ipamUnixSocketPath: 1", "ipamUnixSocketPath: not a string");
	refuses("ipamUnixSocketPath: run/x.sock",
	        "ipamUnixSocketPath: \"run/x.sock\" is not an absolute path");
	refuses("enableIPv4: false\nenableIPv6: false\n",
	        "enableIPv4 and enableIPv6 are both false: at least one must be true");
	refuses("enableIPv4: true\n\tx: 1\n", "line 2: not YAML: ");
	refuses("enableIPv4: true\nenableIPv4: true\n", "line 2: key \"enableIPv4\" stands twice");
	refuses("enableIPv4: true\n---\nenableIPv4: true\n", "2 documents where one is wanted");
	refuses("- enableIPv4\n", "no mapping of keys to values");
	refuses("enableIPv4", "no mapping of keys to values");
}

static void refuses_files(void **state)
{
	AUTO_STR text = STR_INIT;
	AUTO_FREE char *missing = xasprintf("%s/none.yml", folder);
	struct settings s;
	struct err e;

	(void)state;
	assert_int_equal(settings_read(missing, &s, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, missing));
	while (text.len <= SETTINGS_MAX)
		str_add(&text, "# a line that makes it longer\n");
	put(conf_path, text.data);
	assert_int_equal(settings_read(conf_path, &s, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "longer than"));
}

static void reads_the_network(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = {
		{ "", "" },
		{ "\n", "" },
		{ "ipvlan-eth0", "ipvlan-eth0" },
		{ "ipvlan-eth0\n", "ipvlan-eth0" },
		{ "kube-system/ipvlan.eth0", "kube-system/ipvlan.eth0" },
		{ "/ipvlan-eth0", NULL },
		{ "kube-system/", NULL },
		{ "a/b/c", NULL },
		{ "a b", NULL },
		{ "[{\"name\":\"a\"}]", NULL },
	};
	struct settings s;
	AUTO_STR log = STR_INIT;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int result;

		put(network_path, cases[i].text);
		result = read_text("enableIPv4: true", &s, &log, &e);
		if (result < 0) {
			assert_null(cases[i].want);
			assert_int_equal(e.kind, ERR_CONFIG);
			assert_non_null(strstr(e.msg, "is not NAME or NAMESPACE/NAME"));
			continue;
		}
		assert_non_null(cases[i].want);
		assert_string_equal(s.cluster_network ? s.cluster_network : "", cases[i].want);
		settings_release(&s);
	}
	assert_int_equal(unlink(network_path), 0);
	assert_int_equal(read_text("enableIPv4: true", &s, &log, &e), 0);
	assert_null(s.cluster_network);
	settings_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_nothing),
		cmocka_unit_test(every_key),
		cmocka_unit_test(unknown_keys_are_named),
		cmocka_unit_test(parts_that_are_not_here_are_named),
		cmocka_unit_test(refuses_bad_documents),
		cmocka_unit_test(refuses_files),
		cmocka_unit_test(reads_the_network),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
