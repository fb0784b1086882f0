/* SPDX-License-Identifier: Apache-2.0 */
/*
 * macvlan.c - a CNI plugin that makes a macvlan slave (bridge), for chain.sh on a kernel that has
 * no ipvlan: what multus starts as somebody else's plugin, as it would the reference one.  It does
 * what the bench needs and no more: ADD and DEL; "master" and "ipam.type" of the configuration;
 * IPv4; of the IPAM plugin's routes the default one; nothing is undone.  The IPAM plugin is started
 * with this one's standard input and environment.
 *
 * Exit status 1 when something fails; what and why goes to standard error.
 */
#include <cJSON.h>
#include <net/if.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PROGRAM "macvlan"
#include "batch.h"

#define MOST 65536 /* of a configuration or a result */

extern char **environ;

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		errno = EINVAL;
		die(name);
	}
	return value;
}

/* An object, until the end. */
static cJSON *parse(int fd, const char *what)
{
	static char text[MOST];
	size_t n = 0;
	ssize_t got;
	cJSON *j;

	while ((got = read(fd, text + n, sizeof(text) - n)) > 0)
		n += (size_t)got;
	j = cJSON_ParseWithLength(text, n);
	if (got < 0 || !cJSON_IsObject(j)) {
		errno = EINVAL;
		die(what);
	}
	return j;
}

static const char *text_at(const cJSON *object, const char *key)
{
	const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	if (!value) {
		errno = EINVAL;
		die(key);
	}
	return value;
}

/* No name, no disk. */
static int memory(void)
{
	int fd = memfd_create(PROGRAM, MFD_CLOEXEC);

	if (fd < 0)
		die("memfd_create");
	return fd;
}

static void rewind_to_start(int fd)
{
	if (lseek(fd, 0, SEEK_SET) != 0)
		die("lseek");
}

/* The configuration, which is left in the descriptor too. */
static cJSON *configuration(int *fd)
{
	cJSON *j = parse(STDIN_FILENO, "configuration");
	char *text = cJSON_PrintUnformatted(j);

	*fd = memory();
	if (!text || write(*fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("configuration");
	free(text);
	return j;
}

/* Its standard output goes to `out`. */
static void run_ipam(const cJSON *conf, int in, int out)
{
	const char *type = text_at(cJSON_GetObjectItemCaseSensitive(conf, "ipam"), "type");
	const char *folder = variable("CNI_PATH");
	posix_spawn_file_actions_t files;
	char path[256], *argv[] = { path, NULL };
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%.*s/%s", (int)strcspn(folder, ":"), folder, type);
	rewind_to_start(in);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	errno = posix_spawn(&pid, path, &files, NULL, argv, environ);
	if (errno || waitpid(pid, &status, 0) != pid)
		die(path);
	if (status != 0) {
		errno = ECANCELED;
		die(path);
	}
}

/* What the kernel chose, in the pod's namespace. */
static uint32_t made(const char *ifname, char *mac, size_t size)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const uint8_t *b;
	struct ifreq r = { 0 };
	int index;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
	if (s < 0 || ioctl(s, SIOCGIFINDEX, &r) < 0)
		die(ifname);
	index = r.ifr_ifindex;
	if (ioctl(s, SIOCGIFHWADDR, &r) < 0)
		die(ifname);
	close(s);
	b = (const uint8_t *)r.ifr_hwaddr.sa_data;
	snprintf(mac, size, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
	return (uint32_t)index;
}

static void sysctl_of(const char *family, const char *ifname, const char *key)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, ifname, key);
	set(path, "1");
}

static bool has_default(const cJSON *result)
{
	const cJSON *r;

	cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(result, "routes"))
	{
		if (strcmp(text_at(r, "dst"), "0.0.0.0/0") == 0)
			return true;
	}
	return false;
}

/* The addresses, the interface up, the default route. */
static void set_up(uint32_t index, cJSON *result)
{
	struct mnl_socket *s = open_socket(NETLINK_ROUTE);
	uint32_t gateway = 0;
	cJSON *ip;

	cJSON_ArrayForEach(ip, cJSON_GetObjectItemCaseSensitive(result, "ips"))
	{
		char text[64];
		unsigned len;
		uint32_t a;

		snprintf(text, sizeof(text), "%s", text_at(ip, "address"));
		a = prefix(text, &len);
		address(index, a, len);
		gateway = ipv4(text_at(ip, "gateway"));
		cJSON_DeleteItemFromObjectCaseSensitive(ip, "interface");
		cJSON_AddNumberToObject(ip, "interface", 0);
	}
	new_link(index, 0, LINK_UP);
	if (has_default(result))
		route(RT_TABLE_MAIN, 0, 0, index, gateway, 0);
	flush(s, 0, "the pod");
}

/* The IPAM plugin's result with the interface. */
static void print_result(cJSON *result, const char *ifname, const char *mac)
{
	cJSON *i = cJSON_CreateObject(), *list = cJSON_CreateArray();
	char *text;

	cJSON_AddStringToObject(i, "name", ifname);
	cJSON_AddStringToObject(i, "mac", mac);
	cJSON_AddStringToObject(i, "sandbox", variable("CNI_NETNS"));
	cJSON_AddItemToArray(list, i);
	cJSON_DeleteItemFromObjectCaseSensitive(result, "interfaces");
	cJSON_AddItemToObject(result, "interfaces", list);
	text = cJSON_PrintUnformatted(result);
	if (!text || puts(text) < 0 || fflush(stdout) != 0)
		die("the result");
}

static void add(const cJSON *conf, int in)
{
	const char *ifname = variable("CNI_IFNAME");
	struct mnl_socket *host = open_socket(NETLINK_ROUTE);
	uint32_t card = if_nametoindex(text_at(conf, "master")), index;
	int ns = open_netns(variable("CNI_NETNS")), out = memory();
	cJSON *result;
	char mac[18];

	if (!card)
		die("master");
	run_ipam(conf, in, out);
	rewind_to_start(out);
	result = parse(out, "the IPAM plugin's result");
	make_slave("macvlan", 0, ifname, card, ns);
	flush(host, 0, "the link");
	enter(ns);
	sysctl_of("ipv4", ifname, "arp_notify");
	sysctl_of("ipv6", ifname, "ndisc_notify");
	index = made(ifname, mac, sizeof(mac));
	set_up(index, result);
	print_result(result, ifname, mac);
}

static void del(const cJSON *conf, int in)
{
	run_ipam(conf, in, STDOUT_FILENO);
	enter(open_netns(variable("CNI_NETNS")));
	del_link(open_socket(NETLINK_ROUTE), variable("CNI_IFNAME"), ENODEV);
}

/* What is open ends with the process. */
int main(void)
{
	const char *command = variable("CNI_COMMAND");
	int in;
	cJSON *conf = configuration(&in);

	if (strcmp(command, "ADD") == 0) {
		add(conf, in);
	} else if (strcmp(command, "DEL") == 0) {
		del(conf, in);
	} else {
		errno = EINVAL;
		die(command);
	}
	return 0;
}
