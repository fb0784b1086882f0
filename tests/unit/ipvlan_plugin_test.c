/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/ipvlan.c plugins/ipvlan_conf.c plugins/ipvlan_port.c plugins/ipam.c */
/* links: plugins/agent_client.c */
/* links: plugins/detect.c plugins/plugin_log.c cni/ net/ json/json.c base/ */
/* links: http/http1.c http/stream.c http/url.c */
/* libs: cjson mnl */
/*
 * ipvlan_plugin_test.c - what the ipvlan plugin makes of the addresses when a pod's namespace is
 * gone: no kernel with ipvlan is needed for that.  A shell script is the delegate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "plugins/ipvlan.h"

static char folder[64], asked[100];

static int setup(void **state)
{
	AUTO_STR text = STR_INIT;
	char file[100];

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/ipvlan_plugin_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(asked, sizeof(asked), "%s/asked", folder);
	snprintf(file, sizeof(file), "%s/fixed", folder);
	str_addf(&text, "#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND $CNI_CONTAINERID >>%s\n",
	         asked);
	return file_write(file, text.data, text.len, 0755, 0, NULL);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static void del(const char *conf)
{
	AUTO_JSON *j = NULL;
	struct cni_call c = { .command = CNI_DEL,
		              .container_id = "abc123",
		              .netns = "",
		              .ifname = "eth0",
		              .args = "",
		              .path = folder,
		              .conf_text = STR_INIT,
		              .deadline = mono_in(20000) };
	struct err e;
	int code = 0;

	if (json_parse(conf, strlen(conf), 0, &j, &e) < 0)
		fail_msg("%s", e.msg);
	c.conf = j;
	str_add(&c.conf_text, conf);
	if (ipvlan_plugin.del(&c, &code, &e) < 0)
		fail_msg("%s: code %d, %s", conf, code, e.msg);
	str_release(&c.conf_text);
}

/* The delegate was asked to release, once. */
static void releases(const char *conf)
{
	AUTO_STR text = STR_INIT;
	struct err e;

	IGNORE(unlink(asked));
	del(conf);
	if (file_read(asked, 1000, &text, &e) < 0)
		fail_msg("%s: %s", conf, e.msg);
	assert_string_equal(text.data, "DEL abc123\n");
}

static void del_releases_whatever_the_configuration(void **state)
{
	AUTO_FREE char *queue = xasprintf("%s/releases/abc123-eth0.json", folder);
	AUTO_FREE char *ours = xasprintf(
		"{\"mode\":\"l9\",\"ipam\":{\"type\":\"spiderpool\",\"timeout_ms\":100,"
		"\"ipam_unix_socket_path\":\"%s/no.sock\",\"state_dir\":\"%s\"}}",
		folder, folder);

	(void)state;
	releases("{\"ipam\":{\"type\":\"fixed\"}}");
	releases("{\"mode\":\"l9\",\"ipam\":{\"type\":\"fixed\"}}");
	releases("{\"master\":7,\"mtu\":-1,\"ipam\":{\"type\":\"fixed\"}}");
	releases("{\"dns\":[],\"ipam\":{\"type\":\"fixed\"}}");
	del(ours);
	assert_int_equal(access(queue, F_OK), 0);
	/* nobody to ask: the pod still can be deleted */
	del("{\"ipam\":{\"type\":7}}");
	del("{\"ipam\":\"fixed\"}");
	del("{\"mode\":\"l9\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(del_releases_whatever_the_configuration),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
