/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - conf.yml of the ConfigMap spiderpool-conf, which the agent reads once, at its start.
 */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include <stdbool.h>

#include "base/err.h"
#include "json/json.h"

#define SETTINGS_SOCKET "/var/run/spidernet/spiderpool.sock"
#define SETTINGS_MAX (256 * 1024) /* bytes of conf.yml */

struct settings {
	bool ipv4, ipv6;         /* enableIPv4, enableIPv6; at least one */
	bool statefulset;        /* enableStatefulSet */
	bool kubevirt;           /* enableKubevirtStaticIP */
	bool conflict_detection; /* enableIPConflictDetection */
	bool gateway_detection;  /* enableGatewayDetection */
	bool tune_sysctls;       /* tuneSysctlConfig */
	char *socket;            /* ipamUnixSocketPath; owned */
	json *multus;            /* multusConf: members of 00-multus.conf; owned, NULL: none */
	char *cluster_network;   /* clusterNetwork, a file beside conf.yml; owned, NULL: none */
};

/* What a file that says nothing means: everything but detection and tuning; the strings are NULL.
 */
extern const struct settings settings_default;

/*
 * path NULL: the defaults.  The log names keys that nobody knows (a warning), and known ones that
 * ask for what is not done here.  ERR_NOT_FOUND when there is no such file, ERR_CONFIG for what is
 * no YAML, a value of a wrong type (with its key), both families off.
 */
int settings_read(const char *path, struct settings *out, struct err *e) MUST_USE;
void settings_release(struct settings *s);

#endif
