/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/ json/ http/ k8s/ pool/ net/ip.c */
/* libs: bearssl cjson yaml */
/*
 * cni.c - runs the ipam plugin many times and times it.  Pods are named pod-0, pod-1, ... and their
 * uids come from a file with one line each; container ids follow from the pod's number and the
 * round.
 *
 * usage: cni all COMMAND BINARY CONF UIDS COUNT ROUND
 *          starts COUNT calls of COMMAND at once and waits for all of them
 *        cni pairs BINARY CONF UIDS COUNT KUBECONFIG POOL FLOOR
 *          COUNT times, turn by turn: an ADD by BINARY, a status patch of POOL by the client that
 *          the agent uses, and FLOOR started and ended; prints the medians in microseconds
 *
 * Exit status 1 when a call fails; what it printed goes to standard error.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "k8s/client.h"

#define MAX 1000

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "cni: %s\n", what);
	exit(1);
}

static char **read_uids(const char *path, size_t count)
{
	char **uids = xcalloc(count, sizeof(*uids)), *line, *save;
	struct str text = STR_INIT;
	struct err e;

	if (file_read(path, 1 << 20, &text, &e) < 0)
		die(e.msg);
	save = text.data;
	for (size_t i = 0; i < count; i++) {
		line = strsep(&save, "\n");
		if (!line || !*line)
			die("too few uids");
		uids[i] = line;
	}
	return uids;
}

/* One call, started; its output in a file of its own, so that a failure can be shown. */
static pid_t start(const char *binary, const char *command, const char *conf, const char *uid,
                   size_t n, int round)
{
	char *argv[] = { (char *)(uintptr_t)binary, (char *)(uintptr_t) "ipam", NULL };
	char *env[8];
	posix_spawn_file_actions_t files;
	char *out = xasprintf("/tmp/measure-cni.%d.%zu", (int)getpid(), n);
	size_t k = 0;
	pid_t pid;

	env[k++] = xasprintf("CNI_COMMAND=%s", command);
	env[k++] = xasprintf("CNI_CONTAINERID=c%zu-%d", n, round);
	env[k++] = xasprintf(
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;"
		"K8S_POD_NAME=pod-%zu;K8S_POD_UID=%s",
		n, uid);
	env[k++] = xstrdup("CNI_NETNS=/proc/self/ns/net");
	env[k++] = xstrdup("CNI_IFNAME=eth0");
	env[k++] = xstrdup("CNI_PATH=/opt/cni/bin");
	env[k++] = xstrdup("CNI_NETNS_OVERRIDE=1");
	env[k] = NULL;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, conf, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (posix_spawn(&pid, binary, &files, NULL, argv, env) != 0)
		die("cannot start the binary");
	posix_spawn_file_actions_destroy(&files);
	while (k)
		free(env[--k]);
	free(out);
	return pid;
}

static bool finish(pid_t pid, size_t n)
{
	char *out = xasprintf("/tmp/measure-cni.%d.%zu", (int)getpid(), n);
	int status;
	bool good;

	good = waitpid(pid, &status, 0) == pid && status == 0;
	if (!good) {
		struct str text = STR_INIT;

		IGNORE(file_read(out, 1 << 20, &text, NULL));
		fprintf(stderr, "cni: call %zu: status %d: %s\n", n, status, text.data);
		str_release(&text);
	}
	unlink(out);
	free(out);
	return good;
}

static int all(char **argv)
{
	size_t count = (size_t)strtoul(argv[4], NULL, 10), failed = 0;
	int round = (int)strtol(argv[5], NULL, 10);
	char **uids = read_uids(argv[3], count);
	pid_t *pids = xcalloc(count, sizeof(*pids));
	int64_t begin = now_us();

	for (size_t i = 0; i < count; i++)
		pids[i] = start(argv[1], argv[0], argv[2], uids[i], i, round);
	for (size_t i = 0; i < count; i++)
		failed += !finish(pids[i], i);
	printf("%lld\n", (long long)(now_us() - begin));
	return failed != 0;
}

static int order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t floor_once(char *program)
{
	char *argv[] = { program, NULL }, *env[] = { NULL };
	int64_t begin = now_us();
	int status;
	pid_t pid;

	if (posix_spawn(&pid, program, NULL, NULL, argv, env) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		die("the floor program failed");
	return now_us() - begin;
}

/* A status like the one that the agent writes: one more record each time. */
static json *next_patch(size_t n)
{
	json *patch = json_new_object(), *status = json_ensure_object(patch, "status");
	struct str records = STR_INIT;

	str_addc(&records, '{');
	for (size_t i = 0; i <= n; i++)
		str_addf(&records,
		         "%s\"10.9.%zu.%zu\":{\"pod\":\"default/pod-%zu\",\"podUid\":\"%036zu\","
		         "\"nic\":\"eth0\",\"cid\":\"c%zu-1\"}",
		         i ? "," : "", i / 250, 1 + i % 250, i, i, i);
	str_addc(&records, '}');
	json_set_str(status, "allocatedIPs", records.data);
	json_set_i64(status, "allocatedIPCount", (int64_t)n + 1);
	str_release(&records);
	return patch;
}

static int pairs(char **argv)
{
	static const struct k8s_resource pools = { "spiderpool.spidernet.io", "v2beta1",
		                                   "spiderippools", false };
	size_t count = (size_t)strtoul(argv[3], NULL, 10);
	char **uids = read_uids(argv[2], count);
	int64_t *add = xcalloc(count, sizeof(*add)), *patch = xcalloc(count, sizeof(*patch)),
		*process = xcalloc(count, sizeof(*process));
	struct k8s_config config;
	struct k8s_client *client;
	struct err e;

	if (k8s_config_kubeconfig(argv[4], NULL, &config, &e) < 0)
		die(e.msg);
	client = k8s_client_new(&config);
	for (size_t i = 0; i < count; i++) {
		json *p = next_patch(i);

		add[i] = now_us();
		if (!finish(start(argv[0], "ADD", argv[1], uids[i], i, 1), i))
			return 1;
		add[i] = now_us() - add[i];
		patch[i] = now_us();
		if (k8s_patch(client, &pools, NULL, argv[5], "status", p, NULL, mono_in(10000),
		              &e) < 0)
			die(e.msg);
		patch[i] = now_us() - patch[i];
		process[i] = floor_once(argv[6]);
		json_free(p);
	}
	k8s_client_free(client);
	qsort(add, count, sizeof(*add), order);
	qsort(patch, count, sizeof(*patch), order);
	qsort(process, count, sizeof(*process), order);
	printf("%lld %lld %lld\n", (long long)add[count / 2], (long long)patch[count / 2],
	       (long long)process[count / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 8 && streq(argv[1], "all"))
		return all(argv + 2);
	if (argc == 9 && streq(argv[1], "pairs"))
		return pairs(argv + 2);
	fputs("usage: see the head of cni.c\n", stderr);
	return 2;
}
