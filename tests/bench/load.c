/* SPDX-License-Identifier: Apache-2.0 */
/* links: base/ json/ http/ k8s/ pool/ net/ip.c */
/* libs: bearssl cjson yaml */
/*
 * load.c - runs a plugin many times as a runtime would, and times it; makes the objects for that.
 *
 * A file PODS has a line "NAME UID CONF [NETNS]" for each pod of namespace default; CONF is the
 * plugin's configuration, and with it the agent that is asked.  With NETNS, the pod's network
 * namespace, BINARY is started as it is; without, as the plugin ipam, and all pods share a
 * namespace.  Container ids follow from the pod and ROUND.
 *
 * usage: load calls COMMAND PARALLEL BINARY PODS ROUND TIMES [PID,...]...
 *          one call of COMMAND for each pod by PARALLEL workers, of whom each takes the next pod;
 *          appends to the file TIMES the microseconds from start to exit of each, one a line, and
 *          prints "COUNT FAILED DISTINCT WALL PLUGIN BUSY [GROUP]...": how many calls there were,
 *          how many of them failed, how many different addresses came out; then in microseconds how
 *          long it took, the CPU time of the plugin, that of the whole machine, and for each
 *          group of processes theirs
 *        load pairs BINARY PODS COUNT KUBECONFIG POOL FLOOR
 *          COUNT times, turn by turn: an ADD by BINARY, a status patch of POOL by the client that
 *          the agent uses, and FLOOR started and ended; prints the three times in microseconds of
 *          each turn, one a line
 *        load turns COMMAND BINARY PODS ROUND COMMANDS KUBECONFIG POOL PID,... ADDRESS
 *          for each pod, turn by turn: a call of COMMAND by BINARY, the pod's line of the file
 *          COMMANDS started and ended (words, the first a program's path), a status patch of POOL,
 *          when the processes have become quiet; prints the three times, and the CPU time of the
 *          first two with what follows the first, in microseconds of each turn, one a line.  It is
 *          what the clock at ADDRESS counted; or with "-" instead, what the processes used, and
 *          what was started, with all that it waited for
 *        load clock PID
 *          says at TCP port 8 how much CPU time the process and all below it have had, in
 *          microseconds, to each who asks, until it is ended: of a simulated machine, whose own
 *          kernel counts in hundredths of a second
 *        load peak BINARY PODS
 *          an ADD for the first pod; prints the most memory in kB that was resident at a time
 *        load cpu [PID,...]...
 *          the CPU time in microseconds that each group of processes has used so far
 *        load pods KUBECONFIG PREFIX COUNT NODE NODES
 *        load pools KUBECONFIG PREFIX COUNT NODE NODES
 *          makes objects PREFIX0, PREFIX1, ... bound to nodes NODE0, NODE1, ..., NODE0, ...;
 *          prints "NAME UID NODE" of each
 *        load churn KUBECONFIG PREFIX COUNT TOTAL
 *          patches the status of TOTAL pools PREFIX0, ..., COUNT times in all
 *        load endpoints KUBECONFIG COUNT SECONDS
 *          waits until there are so many SpiderEndpoints; prints the milliseconds
 *        load quiet PID,...
 *          waits until the processes use no more than a fifth of a CPU, for ten seconds at most
 *        load netns PREFIX COUNT
 *          makes network namespaces /run/netns/PREFIX0, ... with lo up; prints their paths
 *        load echo
 *          sends back what comes to TCP port 7, until it is ended
 *        load rtt ADDRESS COUNT
 *          sends a byte there and takes it back, COUNT times on one connection; prints the
 *          microseconds of each, one a line
 *
 * Exit status 1 when a call fails; what it printed goes to standard error.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "k8s/client.h"

#define MAKERS 8
#define CALL_MS 30000

static const struct k8s_resource pools = { "spiderpool.spidernet.io", "v2beta1", "spiderippools",
	                                   false };
static const struct k8s_resource pods = { "", "v1", "pods", true };

static void die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

static int64_t us_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return us_of(t);
}

static size_t number(const char *text)
{
	uint32_t n;
	struct err e;

	if (parse_u32(text, 0, 1000000, &n, &e) < 0)
		die(e.msg);
	return n;
}

static struct k8s_client *client_new(const char *kubeconfig)
{
	struct k8s_config *config = xcalloc(1, sizeof(*config)); /* until the end */
	struct err e;

	if (k8s_config_kubeconfig(kubeconfig, NULL, config, &e) < 0)
		die(e.msg);
	return k8s_client_new(config);
}

/* The pods. */
struct pod {
	char *name, *uid, *conf, *netns; /* netns: NULL for the one of all calls */
	int64_t us;
	char address[64];
};

static struct pod *read_pods(const char *path, size_t *count)
{
	struct pod *v = NULL;
	struct str text = STR_INIT; /* until the end */
	size_t n = 0, cap = 0;
	struct err e;
	char *line;

	if (file_read(path, 1 << 24, &text, &e) < 0)
		die(e.msg);
	while ((line = strsep(&text.data, "\n")) && *line) {
		v = xgrow(v, &cap, n + 1, sizeof(*v));
		v[n] = (struct pod){ .name = strsep(&line, " ") };
		v[n].uid = strsep(&line, " ");
		v[n].conf = strsep(&line, " ");
		if (!v[n].conf)
			die("a line of the pods' file is not \"NAME UID CONF [NETNS]\"");
		v[n].netns = strsep(&line, " ");
		n++;
	}
	*count = n;
	return v;
}

/* A network namespace for all calls: that of a thread which does nothing else. */
static char *netns;

static void *netns_main(void *arg)
{
	int *ready = arg;
	char byte = 0;

	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace cannot be made");
	netns = xasprintf("/proc/%d/task/%d/ns/net", (int)getpid(), (int)gettid());
	if (write(ready[1], &byte, 1) != 1)
		die("pipe");
	for (;;)
		pause();
	return NULL;
}

static void make_netns(void)
{
	pthread_t thread;
	int ready[2];
	char byte;

	if (pipe(ready) < 0 || pthread_create(&thread, NULL, netns_main, ready) != 0 ||
	    read(ready[0], &byte, 1) != 1)
		die("a network namespace cannot be made");
	close(ready[0]);
	close(ready[1]);
}

/* One call. */
static char **environment(const char *command, const struct pod *p, const char *round)
{
	char **env = xcalloc(7, sizeof(*env));

	env[0] = xasprintf("CNI_COMMAND=%s", command);
	/* interfaces are named after its first digits */
	env[1] = p->netns ? xasprintf("CNI_CONTAINERID=%.8s%.4s%052lu", p->uid, p->uid + 9,
	                              strtoul(round, NULL, 10))
	                  : xasprintf("CNI_CONTAINERID=c%s-%s", p->name, round);
	env[2] = xasprintf(
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=%s;"
		"K8S_POD_UID=%s",
		p->name, p->uid);
	env[3] = xasprintf("CNI_NETNS=%s", p->netns ? p->netns : netns);
	env[4] = xstrdup("CNI_IFNAME=eth0");
	env[5] = xstrdup("CNI_PATH=/opt/cni/bin");
	return env;
}

static void free_environment(char **env)
{
	for (size_t i = 0; env[i]; i++)
		free(env[i]);
	free(env);
}

/* A file for a worker's output, of one call after the other; no name, no disk. */
static int output_file(void)
{
	int fd = memfd_create("output", MFD_CLOEXEC);

	if (fd < 0)
		die("memfd_create");
	return fd;
}

static void read_output(int fd, struct str *out)
{
	if (lseek(fd, 0, SEEK_SET) < 0 || file_read_fd(fd, "output", 1 << 20, out, NULL) < 0 ||
	    ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		die("a call's output cannot be read");
}

/* The first address of a result of 0.3.0 or newer. */
static void read_address(const struct str *out, char *to, size_t size)
{
	const char *key = strstr(out->data, "\"address\"");
	const char *value = key ? strchr(key + 9, '"') : NULL;

	if (!value || fmt(to, size, "%.*s", (int)strcspn(value + 1, "\""), value + 1) < 0)
		*to = '\0';
}

/* True when it succeeds; p->us and p->address are set. */
static bool call(const char *binary, const char *command, struct pod *p, const char *round,
                 int output, struct rusage *usage)
{
	char *argv[] = { (char *)(uintptr_t)binary, p->netns ? NULL : (char *)(uintptr_t) "ipam",
		         NULL };
	char **env = environment(command, p, round);
	posix_spawn_file_actions_t files;
	AUTO_STR text = STR_INIT;
	int status = -1;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, p->conf, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output, 1);
	p->us = now_us();
	if (posix_spawn(&pid, binary, &files, NULL, argv, env) != 0 ||
	    wait4(pid, &status, 0, usage) != pid)
		die("the binary cannot be started");
	p->us = now_us() - p->us;
	posix_spawn_file_actions_destroy(&files);
	free_environment(env);
	read_output(output, &text);
	if (status != 0)
		fprintf(stderr, "load: %s of %s: status %d: %s\n", command, p->name, status,
		        text.data);
	else
		read_address(&text, p->address, sizeof(p->address));
	return status == 0;
}

/* CPU time of processes: exact, where /proc/PID/stat counts hundredths of a second. */
static int64_t cpu_of(const char *pids)
{
	int64_t sum = 0;
	struct timespec t;
	clockid_t clock;
	char *end;

	for (const char *p = pids; *p; p = end + (*end == ',')) {
		long pid = strtol(p, &end, 10);

		if (end == p || (*end && *end != ','))
			die("not a list of process ids");
		if (clock_getcpuclockid((pid_t)pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
			die("a process to be measured has ended");
		sum += us_of(t);
	}
	return sum;
}

/* Of everything that runs here. */
static int64_t busy_us(void)
{
	AUTO_STR text = STR_INIT;
	uint64_t v[8] = { 0 };
	long hz = sysconf(_SC_CLK_TCK);
	char *p;

	if (file_read("/proc/stat", 1 << 20, &text, NULL) < 0 || !str_starts(text.data, "cpu "))
		die("/proc/stat");
	p = text.data + 4;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = strtoull(p, &p, 10);
	/* user, nice, system, idle, iowait, irq, softirq, steal */
	return (int64_t)(v[0] + v[1] + v[2] + v[5] + v[6]) * (1000000 / hz);
}

/* Many calls. */
struct run {
	const char *command, *binary, *round;
	struct pod *pods;
	size_t n;
	atomic_size_t next, failed;
	_Atomic int64_t cpu;
};

static int64_t cpu_us(const struct rusage *u)
{
	return (int64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000 + u->ru_utime.tv_usec +
	       u->ru_stime.tv_usec;
}

static void *worker_main(void *arg)
{
	struct run *r = arg;
	int output = output_file();
	size_t i;

	while ((i = atomic_fetch_add(&r->next, 1)) < r->n) {
		struct rusage usage;

		if (!call(r->binary, r->command, &r->pods[i], r->round, output, &usage))
			atomic_fetch_add(&r->failed, 1);
		atomic_fetch_add(&r->cpu, cpu_us(&usage));
	}
	close(output);
	return NULL;
}

static void run_all(struct run *r, size_t parallel)
{
	pthread_t *threads = xcalloc(parallel, sizeof(*threads));

	for (size_t i = 0; i < parallel; i++)
		if (pthread_create(&threads[i], NULL, worker_main, r) != 0)
			die("a thread cannot be started");
	for (size_t i = 0; i < parallel; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

static int compare_addresses(const void *a, const void *b)
{
	return strcmp(((const struct pod *)a)->address, ((const struct pod *)b)->address);
}

/* Sorts the pods. */
static size_t distinct(struct pod *v, size_t n)
{
	size_t count = 0;

	qsort(v, n, sizeof(*v), compare_addresses);
	for (size_t i = 0; i < n; i++)
		count += *v[i].address && (!i || !streq(v[i].address, v[i - 1].address));
	return count;
}

static void write_times(const char *path, const struct run *r)
{
	FILE *f = fopen(path, "a");

	if (!f)
		die("the times cannot be written");
	for (size_t i = 0; i < r->n; i++)
		fprintf(f, "%lld\n", (long long)r->pods[i].us);
	if (fclose(f) != 0)
		die("the times cannot be written");
}

static int calls(char **argv, size_t argc)
{
	size_t parallel = number(argv[1]), groups = argc - 6;
	struct run r = { .command = argv[0], .binary = argv[2], .round = argv[4] };
	int64_t *before = xcalloc(groups + 1, sizeof(*before)), begin, wall, busy;

	r.pods = read_pods(argv[3], &r.n);
	if (!r.n || !r.pods[0].netns)
		make_netns();
	for (size_t i = 0; i < groups; i++)
		before[i] = cpu_of(argv[6 + i]);
	busy = busy_us();
	begin = now_us();
	run_all(&r, parallel);
	wall = now_us() - begin;
	busy = busy_us() - busy;
	for (size_t i = 0; i < groups; i++)
		before[i] = cpu_of(argv[6 + i]) - before[i];
	write_times(argv[5], &r);
	printf("%zu %zu %zu %lld %lld %lld", r.n, (size_t)r.failed, distinct(r.pods, r.n),
	       (long long)wall, (long long)r.cpu, (long long)busy);
	for (size_t i = 0; i < groups; i++)
		printf(" %lld", (long long)before[i]);
	printf("\n");
	return r.failed != 0;
}

/* The floor, turn by turn with an ADD. */
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
	size_t count = number(argv[2]), n;
	struct pod *v = read_pods(argv[1], &n);
	struct k8s_client *client = client_new(argv[3]);
	int output = output_file();
	struct rusage usage;
	struct err e;

	if (n < count)
		die("too few pods");
	make_netns();
	for (size_t i = 0; i < count; i++) {
		AUTO_JSON *p = next_patch(i);
		AUTO_JSON *answer = NULL;
		int64_t patch;

		if (!call(argv[0], "ADD", &v[i], "1", output, &usage))
			return 1;
		patch = now_us();
		/* like the agent's, also in what is asked back */
		if (k8s_patch_meta(client, &pools, NULL, argv[4], "status", p, &answer,
		                   mono_in(CALL_MS), &e) < 0)
			die(e.msg);
		patch = now_us() - patch;
		printf("%lld %lld %lld\n", (long long)v[i].us, (long long)patch,
		       (long long)floor_once(argv[5]));
	}
	return 0;
}

/* A clock of CPU time for another machine. */
#define CLOCK_PORT 8

static int listen_at(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 8) < 0)
		die("a port cannot be listened at");
	return s;
}

static int connect_to(const char *address, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || s < 0 ||
	    connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("there is no way to that address");
	return s;
}

/* Of a process: its parent, and the CPU time of its children that have ended; 0 when it is gone. */
static long parent_of(long pid, int64_t *ended_us)
{
	AUTO_FREE char *path = xasprintf("/proc/%ld/stat", pid);
	AUTO_STR text = STR_INIT;
	long parent = 0, user = 0, system = 0;
	const char *p;

	if (file_read(path, 4096, &text, NULL) < 0 || !(p = strrchr(text.data, ')')) ||
	    sscanf(p, ") %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %ld %ld", &parent,
	           &user, &system) != 3)
		return 0;
	*ended_us = (int64_t)(user + system) * (1000000 / sysconf(_SC_CLK_TCK));
	return parent;
}

static int64_t ran_us(long pid)
{
	AUTO_FREE char *path = xasprintf("/proc/%ld/schedstat", pid);
	AUTO_STR text = STR_INIT;

	return file_read(path, 4096, &text, NULL) < 0
	               ? 0
	               : (int64_t)strtoull(text.data, NULL, 10) / 1000;
}

static int64_t tree_us(long root)
{
	int64_t ended = 0, sum = 0;
	DIR *proc = opendir("/proc");
	struct dirent *d;

	if (!proc)
		die("/proc");
	sum = ran_us(root);
	if (parent_of(root, &ended))
		sum += ended;
	while ((d = readdir(proc))) {
		long pid = strtol(d->d_name, NULL, 10);

		if (pid && pid != root && parent_of(pid, &ended) == root)
			sum += tree_us(pid);
	}
	closedir(proc);
	return sum;
}

static int clock_main(char **argv)
{
	long pid = strtol(argv[0], NULL, 10);
	int s = listen_at(CLOCK_PORT), fd;

	while ((fd = accept(s, NULL, NULL)) >= 0) {
		dprintf(fd, "%lld\n", (long long)tree_us(pid));
		close(fd);
	}
	return 0;
}

static int64_t clock_us(const char *address)
{
	AUTO_FD int s = connect_to(address, CLOCK_PORT);
	AUTO_STR text = STR_INIT;

	if (file_read_fd(s, "clock", 64, &text, NULL) < 0 || !text.len)
		die("the clock does not answer");
	return strtoll(text.data, NULL, 10);
}

/* Turns, as of a machine with nothing else to do. */

static void quiet(const char *pids)
{
	struct mono end = mono_in(10000);
	int calm = 0;

	while (calm < 3 && !mono_passed(end)) {
		int64_t used = cpu_of(pids), begin = now_us();

		mono_sleep_until(mono_in(20));
		calm = (cpu_of(pids) - used) * 5 < now_us() - begin ? calm + 1 : 0;
	}
}

/* Runs the words of the line, which it changes. */
static int64_t command_once(char *line)
{
	char *argv[24], *env[] = { NULL };
	size_t n = 0;
	int64_t begin;
	int status;
	pid_t pid;

	while (n + 1 < ARRAY_LEN(argv) && (argv[n] = strsep(&line, " ")))
		n++;
	argv[n] = NULL;
	begin = now_us();
	if (!n || posix_spawn(&pid, argv[0], NULL, NULL, argv, env) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		die("a command of the file COMMANDS failed");
	return now_us() - begin;
}

/* So far, by the clock or without one. */
static int64_t spent_us(const char *clock, const char *pids)
{
	struct rusage u;

	if (!streq(clock, "-"))
		return clock_us(clock);
	if (getrusage(RUSAGE_CHILDREN, &u) < 0)
		die("getrusage");
	return cpu_us(&u) + cpu_of(pids);
}

static int turns(char **argv)
{
	size_t n;
	struct pod *v = read_pods(argv[2], &n);
	struct k8s_client *client = client_new(argv[5]);
	struct str text = STR_INIT; /* until the end */
	const char *pids = argv[7], *clock = argv[8];
	int output = output_file();
	struct err e;
	char *line;

	if (file_read(argv[4], 1 << 20, &text, &e) < 0)
		die(e.msg);
	for (size_t i = 0; i < n && (line = strsep(&text.data, "\n")) && *line; i++) {
		AUTO_JSON *p = next_patch(i);
		AUTO_JSON *answer = NULL;
		struct rusage usage;
		int64_t floor, patch, cpu[4];

		quiet(pids);
		cpu[0] = spent_us(clock, pids);
		cpu[1] = spent_us(clock, pids);
		if (!call(argv[1], argv[0], &v[i], argv[3], output, &usage))
			return 1;
		quiet(pids);
		cpu[2] = spent_us(clock, pids);
		floor = command_once(line);
		cpu[3] = spent_us(clock, pids);
		patch = now_us();
		if (k8s_patch_meta(client, &pools, NULL, argv[6], "status", p, &answer,
		                   mono_in(CALL_MS), &e) < 0)
			die(e.msg);
		patch = now_us() - patch;
		/* what it takes to ask the clock is in each */
		printf("%lld %lld %lld %lld %lld\n", (long long)v[i].us, (long long)floor,
		       (long long)patch, (long long)(cpu[2] - cpu[1] - (cpu[1] - cpu[0])),
		       (long long)(cpu[3] - cpu[2] - (cpu[1] - cpu[0])));
	}
	return 0;
}

/*
 * The most memory that a call has at a time, looked at when it is about to exit: what wait4 tells
 * counts the memory of this program too, which the child shared until its exec.
 */
static pid_t start_traced(const char *binary, const struct pod *p)
{
	char *argv[] = { (char *)(uintptr_t)binary, (char *)(uintptr_t) "ipam", NULL };
	char **env = environment("ADD", p, "1");
	pid_t pid = fork();

	if (pid == 0) {
		int conf = open(p->conf, O_RDONLY), null = open("/dev/null", O_WRONLY);

		if (conf < 0 || null < 0 || dup2(conf, 0) < 0 || dup2(null, 1) < 0 ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(126);
		execve(binary, argv, env);
		_exit(127);
	}
	free_environment(env);
	return pid;
}

static void print_peak(pid_t pid)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/status", (int)pid);
	AUTO_STR text = STR_INIT;
	const char *line;

	if (file_read(path, 1 << 20, &text, NULL) < 0 || !(line = strstr(text.data, "\nVmHWM:")))
		die("the memory of a call cannot be read");
	printf("%ld\n", strtol(line + 7, NULL, 10));
}

static int peak(char **argv)
{
	size_t n;
	struct pod *v = read_pods(argv[1], &n);
	int status;
	pid_t pid;

	make_netns();
	pid = n ? start_traced(argv[0], &v[0]) : -1;
	/* the stop after its exec */
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT) < 0)
		die("a call cannot be traced");
	do {
		if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid ||
		    !WIFSTOPPED(status))
			die("a call ended without being seen");
	} while (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXIT << 8));
	print_peak(pid);
	if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid)
		die("a call cannot be traced");
	return status != 0;
}

/* Making objects. */
struct make {
	const char *kubeconfig, *prefix, *node;
	size_t count, nodes;
	bool pools;
	atomic_size_t next;
	char **uids;
};

static json *named(const char *prefix, size_t i)
{
	AUTO_FREE char *name = xasprintf("%s%zu", prefix, i);
	json *o = json_new_object();

	json_set_str(json_ensure_object(o, "metadata"), "name", name);
	return o;
}

static json *pod_object(const char *prefix, size_t i, const char *node)
{
	json *o = named(prefix, i), *spec = json_ensure_object(o, "spec"),
	     *containers = json_new_array(), *container = json_new_object();

	json_set_str(spec, "nodeName", node);
	json_set_str(container, "name", "c");
	json_set_str(container, "image", "none");
	json_append(containers, container);
	json_set(spec, "containers", containers);
	return o;
}

/* What another node's agent has seen already: with its finalizer, counts, and the labels by which
 * agents tell whose a pool is. */
static void label_pool(json *pool, const char *node)
{
	AUTO_FREE char *key = xasprintf("node.ipam.spidernet.io/%s", node);
	json *meta = json_ensure_object(pool, "metadata"),
	     *labels = json_ensure_object(meta, "labels"), *finalizers = json_new_array();

	json_set_str(labels, key, "");
	json_set_str(labels, "ipam.spidernet.io/pinned", "");
	json_append_str(finalizers, "spiderpool.spidernet.io");
	json_set(meta, "finalizers", finalizers);
}

static json *pool_object(const char *prefix, size_t i, const char *node)
{
	json *o = named(prefix, i), *spec = json_ensure_object(o, "spec"), *ips = json_new_array(),
	     *nodes = json_new_array();
	AUTO_FREE char *subnet = xasprintf("10.%zu.%zu.0/24", 100 + i / 250, i % 250);
	AUTO_FREE char *range = xasprintf("10.%zu.%zu.1-10.%zu.%zu.200", 100 + i / 250, i % 250,
	                                  100 + i / 250, i % 250);

	json_set_str(o, "apiVersion", "spiderpool.spidernet.io/v2beta1");
	json_set_str(o, "kind", "SpiderIPPool");
	json_set_i64(spec, "ipVersion", 4);
	json_set_str(spec, "subnet", subnet);
	json_append_str(ips, range);
	json_set(spec, "ips", ips);
	json_append_str(nodes, node);
	json_set(spec, "nodeName", nodes);
	label_pool(o, node);
	return o;
}

static void *maker_main(void *arg)
{
	struct make *m = arg;
	struct k8s_client *client = client_new(m->kubeconfig);
	size_t i;

	while ((i = atomic_fetch_add(&m->next, 1)) < m->count) {
		AUTO_FREE char *node = xasprintf("%s%zu", m->node, i % m->nodes);
		AUTO_JSON *object =
			m->pools ? pool_object(m->prefix, i, node) : pod_object(m->prefix, i, node);
		AUTO_JSON *made = NULL;
		const char *uid;
		struct err e;

		if (k8s_create(client, m->pools ? &pools : &pods, m->pools ? NULL : "default",
		               object, &made, mono_in(CALL_MS), &e) < 0)
			die(e.msg);
		uid = json_str_at(made, "metadata", "uid", NULL);
		m->uids[i] = xstrdup(uid ? uid : "");
	}
	k8s_client_free(client);
	return NULL;
}

static int make(bool are_pools, char **argv)
{
	struct make m = { .kubeconfig = argv[0],
		          .prefix = argv[1],
		          .node = argv[3],
		          .count = number(argv[2]),
		          .nodes = number(argv[4]),
		          .pools = are_pools };
	pthread_t threads[MAKERS];

	if (!m.nodes)
		die("no nodes");
	m.uids = xcalloc(m.count + 1, sizeof(*m.uids));
	for (size_t i = 0; i < MAKERS; i++)
		if (pthread_create(&threads[i], NULL, maker_main, &m) != 0)
			die("a thread cannot be started");
	for (size_t i = 0; i < MAKERS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < m.count; i++)
		printf("%s%zu %s %s%zu\n", m.prefix, i, m.uids[i], m.node, i % m.nodes);
	return 0;
}

static int churn(char **argv)
{
	struct k8s_client *client = client_new(argv[0]);
	size_t count = number(argv[2]), total = number(argv[3]);
	struct err e;

	if (!total)
		die("no pools");
	for (size_t i = 0; i < count; i++) {
		AUTO_FREE char *name = xasprintf("%s%zu", argv[1], i % total);
		AUTO_JSON *p = next_patch(i / total);

		if (k8s_patch_meta(client, &pools, NULL, name, "status", p, NULL, mono_in(CALL_MS),
		                   &e) < 0)
			die(e.msg);
	}
	k8s_client_free(client);
	return 0;
}

/* A list of one tells how many more there are. */
static int64_t count_endpoints(struct k8s_client *client)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *list = NULL;
	int64_t more = 0;
	struct err e;

	if (k8s_get_raw(client, "/apis/spiderpool.spidernet.io/v2beta1/spiderendpoints?limit=1",
	                &text, mono_in(CALL_MS), &e) < 0 ||
	    json_parse(text.data, text.len, 0, &list, &e) < 0 ||
	    json_opt_i64(json_get(list, "metadata"), "remainingItemCount", &more, &e) < 0)
		die(e.msg);
	return (int64_t)json_count(json_get(list, "items")) + more;
}

static int endpoints(char **argv)
{
	struct k8s_client *client = client_new(argv[0]);
	int64_t want = (int64_t)number(argv[1]), begin = now_us(), have;
	struct mono end = mono_in((int)number(argv[2]) * 1000);

	while ((have = count_endpoints(client)) != want) {
		if (mono_passed(end)) {
			fprintf(stderr, "load: there are %lld endpoints instead of %lld\n",
			        (long long)have, (long long)want);
			return 1;
		}
		mono_sleep_until(mono_in(50));
	}
	printf("%lld\n", (long long)((now_us() - begin) / 1000));
	k8s_client_free(client);
	return 0;
}

/* Network namespaces that last. */
static void keep_netns(const char *path)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444), s;

	if (fd < 0 || unshare(CLONE_NEWNET) < 0 ||
	    mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0)
		die(path);
	close(fd);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &lo) < 0)
		die("lo");
	close(s);
}

static int many_netns(char **argv)
{
	for (size_t i = 0, n = number(argv[1]); i < n; i++) {
		AUTO_FREE char *path = xasprintf("/run/netns/%s%zu", argv[0], i);

		keep_netns(path);
		puts(path);
	}
	return 0;
}

/* Bytes to and fro. */
static void no_delay(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("TCP_NODELAY");
}

static int echo(void)
{
	int s = listen_at(7), fd;
	char byte;

	while ((fd = accept(s, NULL, NULL)) >= 0) {
		no_delay(fd);
		while (read(fd, &byte, 1) == 1)
			if (write(fd, &byte, 1) != 1)
				break;
		close(fd);
	}
	return 0;
}

static int rtt(char **argv)
{
	int s = connect_to(argv[0], 7);
	char byte = 0;

	no_delay(s);
	for (size_t i = 0, n = number(argv[1]); i < n; i++) {
		int64_t begin = now_us();

		if (write(s, &byte, 1) != 1 || read(s, &byte, 1) != 1)
			die("the connection broke");
		printf("%lld\n", (long long)(now_us() - begin));
	}
	return 0;
}

static int cpu(char **argv)
{
	for (; *argv; argv++)
		printf("%lld%s", (long long)cpu_of(*argv), argv[1] ? " " : "\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (streq(verb, "calls") && argc >= 8)
		return calls(argv + 2, (size_t)argc - 2);
	if (streq(verb, "pairs") && argc == 8)
		return pairs(argv + 2);
	if (streq(verb, "turns") && argc == 11)
		return turns(argv + 2);
	if (streq(verb, "clock") && argc == 3)
		return clock_main(argv + 2);
	if (streq(verb, "quiet") && argc == 3)
		return quiet(argv[2]), 0;
	if (streq(verb, "netns") && argc == 4)
		return many_netns(argv + 2);
	if (streq(verb, "echo") && argc == 2)
		return echo();
	if (streq(verb, "rtt") && argc == 4)
		return rtt(argv + 2);
	if (streq(verb, "peak") && argc == 4)
		return peak(argv + 2);
	if (streq(verb, "cpu"))
		return cpu(argv + 2);
	if ((streq(verb, "pods") || streq(verb, "pools")) && argc == 7)
		return make(streq(verb, "pools"), argv + 2);
	if (streq(verb, "churn") && argc == 6)
		return churn(argv + 2);
	if (streq(verb, "endpoints") && argc == 5)
		return endpoints(argv + 2);
	fputs("usage: see the head of load.c\n", stderr);
	return 2;
}
