/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysctls.c - see sysctls.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/sysctls.h"
#include "base/log.h"
#include "net/netns.h"
#include "net/route.h"
#include "net/sysctl.h"

#define RTPROT_ADVERTISED 9 /* RTPROT_RA */

static int write_host(const char *key, const char *value, struct err *e)
{
	AUTO_FREE char *path = xasprintf(SYSCTLS_HOST_DIR "/%s", key);
	AUTO_FD int fd = -1;

	if (netns_open_at(-1, path, O_WRONLY, &fd, e) < 0)
		return -1;
	if (write(fd, value, strlen(value)) < 0)
		return err_sys(e, errno, "write \"%s\" to %s", value, path);
	return 0;
}

static int write_value(const char *key, const char *value, struct err *e)
{
	struct err mine;

	if (sysctl_write(-1, key, value, &mine) == 0)
		return 0;
	if (mine.sys == EROFS && write_host(key, value, NULL) == 0)
		return 0;
	return err_copy(e, &mine);
}

int sysctls_set(const char *key, const char *value, bool *was, struct err *e)
{
	AUTO_STR now = STR_INIT;
	bool same;

	if (sysctl_read(-1, key, &now, e) < 0)
		return -1;
	same = streq(now.data, value);
	if (!same && write_value(key, value, e) < 0)
		return -1;
	if (was)
		*was = same;
	return 0;
}

/*
 * A forwarding interface hears no router advertisements (accept_ra 1), and the default routes that
 * it has of them go: value 2 keeps both.
 */
static void keep_advertised(void)
{
	AUTO_FREE struct route *routes = NULL;
	AUTO_NL *nl = NULL;
	size_t n;

	if (nl_open(NETLINK_ROUTE, &nl, NULL) < 0 ||
	    route_list(nl, 6, RT_TABLE_MAIN, &routes, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *key = NULL;
		AUTO_STR now = STR_INIT;
		struct link l;

		if (routes[i].dst.len || routes[i].protocol != RTPROT_ADVERTISED ||
		    link_get_index(nl, routes[i].oif, &l, NULL) < 0)
			continue;
		key = xasprintf("ipv6/conf/%s/accept_ra", l.name);
		if (sysctl_read(-1, key, &now, NULL) == 0 && streq(now.data, "1") &&
		    write_value(key, "2", NULL) == 0)
			log_info(
				"sysctl net/%s: 2, was 1: it has a default route by router "
				"advertisement",
				key);
	}
}

struct wish {
	char key[32], value[8];
	bool at_least; /* more is as good */
	uint8_t family;
};

static const struct wish wishes[] = {
	{ "ipv4/neigh/default/gc_thresh3", "28160", true, 4 },
	{ "ipv4/conf/all/arp_notify", "1", false, 4 },
	{ "ipv4/conf/all/forwarding", "1", false, 4 },
	{ "ipv4/conf/all/rp_filter", "0", false, 4 },
	{ "ipv6/neigh/default/gc_thresh3", "28160", true, 6 },
	{ "ipv6/conf/all/forwarding", "1", false, 6 },
};

static bool is_good(const struct wish *w, const char *now)
{
	uint32_t have, want;

	if (!w->at_least)
		return streq(now, w->value);
	return parse_u32(w->value, 0, UINT32_MAX, &want, NULL) == 0 &&
	       parse_u32(now, want, UINT32_MAX, &have, NULL) == 0;
}

static int grant(const struct wish *w, struct err *e)
{
	AUTO_STR now = STR_INIT;

	if (sysctl_read(-1, w->key, &now, e) < 0)
		return -1;
	if (is_good(w, now.data))
		return 0;
	if (w->family == 6 && !w->at_least)
		keep_advertised();
	if (write_value(w->key, w->value, e) < 0)
		return -1;
	log_info("sysctl net/%s: %s, was %s", w->key, w->value, now.data);
	return 0;
}

void sysctls_tune(bool ipv4, bool ipv6, uint32_t *told)
{
	/* a kernel that was told to have none (ipv6.disable=1) has nothing to tune */
	ipv6 = ipv6 && access("/proc/sys/net/ipv6/conf", F_OK) == 0;
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
		struct err e;

		if (!(wishes[i].family == 4 ? ipv4 : ipv6))
			continue;
		if (grant(&wishes[i], &e) == 0)
			*told &= ~(1u << i);
		else if (!(*told & 1u << i)) {
			log_warn_err(&e, "sysctl net/%s is not tuned", wishes[i].key);
			*told |= 1u << i;
		}
	}
}
