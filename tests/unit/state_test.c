/* SPDX-License-Identifier: Apache-2.0 */
/* links: cni/state.c cni/record.c cni/check.c net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * state_test.c - records there and back, names that try to leave the folder, files that are broken.
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
#include "base/log.h"
#include "cni/state.h"

static char top[64], dir[96], log_path[96];
static FILE *log_file;

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/state_test.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(dir, sizeof(dir), "%s/a/b", top); /* made by the first write */
	snprintf(log_path, sizeof(log_path), "%s/log", top);
	log_file = fopen(log_path, "w");
	log_init("test", fileno(log_file), false, LOG_LEVEL_INFO);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	fclose(log_file);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command); /* NOLINT: a test's own temporary folder */
}

static char id1[] = "abc123", id2[] = "a-b", id3[] = "a", eth0[] = "eth0", b_eth0[] = "b-eth0";
static char ns[] = "default", name[] = "web-0", uid[] = "u-1", netns[] = "/var/run/netns/x";
static char boot[] = "boot-1", pool[] = "master-172";

static bool exists(const char *relative)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, relative);
	struct stat st;

	return stat(path, &st) == 0;
}

static void put(const char *relative, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, relative);
	struct err e;

	if (file_write(path, text, strlen(text), 0600, 0, &e) < 0)
		fail_msg("%s", e.msg);
}

/* The queue, and that it has this many. */
static struct release *queue(size_t want)
{
	struct release *r;
	struct err e;
	size_t n;

	if (release_list(dir, &r, &n, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(n, want);
	return r;
}

static void free_queue(struct release *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		release_release(&r[i]);
	free(r);
}

static void releases(void **state)
{
	const struct release one = { id1, eth0, netns, ns, name, uid };
	struct release two = { id2, eth0, NULL, NULL, NULL, NULL }, *all;
	const struct release three = { id3, b_eth0, NULL, NULL, NULL, NULL };
	struct stat st;
	AUTO_FREE char *path = NULL;
	struct err e;

	(void)state;
	free_queue(queue(0), 0); /* no folder is an empty queue */
	if (release_write(dir, &one, &e) < 0 || release_write(dir, &two, &e) < 0 ||
	    release_write(dir, &three, &e) < 0 || release_write(dir, &one, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(exists("releases/abc123-eth0.json"));
	assert_true(exists("releases/a%2Db-eth0.json"));
	assert_true(exists("releases/a-b-eth0.json"));
	path = xasprintf("%s/releases/abc123-eth0.json", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	all = queue(3);
	assert_string_equal(all[0].container_id, "a-b");
	assert_string_equal(all[0].netns, "");
	assert_string_equal(all[1].container_id, "a");
	assert_string_equal(all[1].ifname, "b-eth0");
	assert_string_equal(all[2].container_id, "abc123");
	assert_string_equal(all[2].ifname, "eth0");
	assert_string_equal(all[2].netns, netns);
	assert_string_equal(all[2].pod_namespace, ns);
	assert_string_equal(all[2].pod_name, name);
	assert_string_equal(all[2].pod_uid, uid);
	assert_int_equal(release_remove(dir, &all[1], &e), 0);
	assert_int_equal(release_remove(dir, &all[1], &e), 0); /* again is fine */
	free_queue(all, 3);
	free_queue(queue(2), 2);
	assert_int_equal(release_remove(dir, &one, &e), 0);
	assert_int_equal(release_remove(dir, &two, &e), 0);
}

static void no_path_tricks(void **state)
{
	static const char *const bad[][2] = {
		{ "../x", "eth0" },
		{ "..", "eth0" },
		{ "", "eth0" },
		{ ".x", "eth0" },
		{ "a/b", "eth0" },
		{ "a", "../x" },
		{ "a", "" },
		{ "a", ".." },
		{ "a%", "eth0" },
		{ "a\n", "e" },
		{ "a", "sixteen-bytes-xx" },
		{ NULL, "eth0" },
		{ "a", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_FREE char *id = bad[i][0] ? xstrdup(bad[i][0]) : NULL;
		AUTO_FREE char *interface = bad[i][1] ? xstrdup(bad[i][1]) : NULL;
		const struct release r = { id, interface, NULL, NULL, NULL, NULL };
		struct attachment a = { .container_id = id, .ifname = interface };
		struct err e = { .kind = ERR_NONE };

		if (release_write(dir, &r, &e) == 0)
			fail_msg("%s was accepted", id);
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_int_equal(release_remove(dir, &r, NULL), -1);
		assert_int_equal(attachment_write(dir, &a, NULL), -1);
		assert_int_equal(attachment_remove(dir, id, interface, NULL), -1);
	}
}

static void too_long_for_a_name(void **state)
{
	char id[201];
	const struct release r = { id, eth0, NULL, NULL, NULL, NULL };
	struct err e;

	(void)state;
	memset(id, '-', 200);
	id[0] = 'a';
	id[200] = '\0';
	assert_int_equal(release_write(dir, &r, &e), -1);
	assert_non_null(strstr(e.msg, "too long for a file name"));
	memset(id, 'x', 200);
	assert_int_equal(release_write(dir, &r, &e), 0);
	assert_int_equal(release_remove(dir, &r, &e), 0);
}

/* One bad file does not hide the others; its name is in the log once, and then it is aside. */
static void broken_files_are_set_aside(void **state)
{
	const struct release one = { id1, eth0, netns, ns, name, uid };
	static const char *const bad[][2] = {
		{ "releases/cut-eth0.json", "{\"containerID\":\"cut\"," },
		{ "releases/empty-eth0.json", "" },
		{ "releases/list-eth0.json", "[]" },
		{ "releases/other-eth0.json", "{\"containerID\":\"another\",\"ifName\":\"eth0\"}" },
		{ "releases/evil-eth0.json",
		  "{\"containerID\":\"../../evil\",\"ifName\":\"eth0\"}" },
		{ "releases/typed-eth0.json",
		  "{\"containerID\":\"typed\",\"ifName\":\"eth0\",\"podUID\":7}" },
		{ "releases/README", "not a record" },
	};
	AUTO_STR text = STR_INIT;
	struct release *all;
	size_t said;
	struct err e;

	(void)state;
	assert_int_equal(release_write(dir, &one, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		put(bad[i][0], bad[i][1]);
	all = queue(1);
	assert_string_equal(all[0].container_id, id1);
	free_queue(all, 1);
	assert_int_equal(file_read(log_path, 65536, &text, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (!strstr(text.data, bad[i][0]))
			fail_msg("%s is not named in: %s", bad[i][0], text.data);
	assert_non_null(strstr(text.data, "it belongs into another-eth0.json"));
	assert_non_null(strstr(text.data, "set aside as cut-eth0.json.bad"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_FREE char *was = xasprintf("%s/%s", dir, bad[i][0]);
		AUTO_FREE char *is = xasprintf("%s.bad", was);
		AUTO_STR kept = STR_INIT;

		assert_int_equal(access(was, F_OK), -1);
		assert_int_equal(file_read(is, 1000, &kept, &e), 0);
		assert_string_equal(kept.data, bad[i][1]);
	}
	said = text.len;
	free_queue(queue(1), 1);
	str_reset(&text, 0);
	assert_int_equal(file_read(log_path, 65536, &text, &e), 0);
	assert_int_equal(text.len, said);
	assert_int_equal(release_remove(dir, &one, &e), 0);
}

static void attachments(void **state)
{
	struct cidr addresses[2];
	struct attachment a = { .container_id = id1,
		                .ifname = eth0,
		                .netns = netns,
		                .pod_namespace = ns,
		                .pod_name = name,
		                .pod_uid = uid,
		                .netns_inode = 4026532123,
		                .boot_id = boot,
		                .pool = pool,
		                .network = pool,
		                .addresses = addresses,
		                .n_addresses = 2,
		                .table = 101 },
			  *all;
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(cidr_parse("172.31.199.187/20", &addresses[0], &e), 0);
	assert_int_equal(cidr_parse("fd00::1/64", &addresses[1], &e), 0);
	if (attachment_write(dir, &a, &e) < 0)
		fail_msg("%s", e.msg);
	put("attachments/bad-eth0.json",
	    "{\"containerID\":\"bad\",\"ifName\":\"eth0\",\"addresses\":[\"10.0.0.1/24\",\"x\"]}");
	put("attachments/neg-eth0.json",
	    "{\"containerID\":\"neg\",\"ifName\":\"eth0\",\"table\":-1}");
	assert_int_equal(attachment_list(dir, &all, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_string_equal(all[0].container_id, id1);
	assert_string_equal(all[0].netns, netns);
	assert_string_equal(all[0].boot_id, boot);
	assert_string_equal(all[0].pool, pool);
	assert_string_equal(all[0].network, pool);
	assert_true(all[0].netns_inode == 4026532123);
	assert_int_equal(all[0].table, 101);
	assert_int_equal(all[0].n_addresses, 2);
	assert_string_equal(cidr_str(all[0].addresses[0]).s, "172.31.199.187/20");
	assert_string_equal(cidr_str(all[0].addresses[1]).s, "fd00::1/64");
	attachment_release(&all[0]);
	free(all);
	assert_int_equal(attachment_remove(dir, id1, eth0, &e), 0);
	assert_int_equal(attachment_remove(dir, id1, eth0, &e), 0);
	assert_false(exists("attachments/abc123-eth0.json"));
}

/* A folder that cannot be made: the caller must know that the release is lost. */
static void nowhere_to_write(void **state)
{
	const struct release one = { id1, eth0, netns, ns, name, uid };
	struct err e;

	(void)state;
	assert_int_equal(release_write("/dev/null/x", &one, &e), -1);
	assert_int_equal(e.kind, ERR_SYS);
	assert_int_equal(release_write("/dev/null/x", &one, NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(releases),
		cmocka_unit_test(no_path_tricks),
		cmocka_unit_test(too_long_for_a_name),
		cmocka_unit_test(broken_files_are_set_aside),
		cmocka_unit_test(attachments),
		cmocka_unit_test(nowhere_to_write),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
