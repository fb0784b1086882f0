/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipam.c - the applet of the IPAM plugin: everything comes from the environment and stdin.
 */
#include <stdio.h>

#include "applets/applet.h"
#include "plugins/ipam.h"

static int ipam_main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		fputs(ipam_applet.usage, stderr);
		return 2;
	}
	return cni_main(&ipam_plugin);
}

const struct applet ipam_applet = {
	.name = "ipam",
	.aliases = { "spiderpool" },
	.summary = "CNI IPAM plugin: addresses from the node's agent",
	.usage =
		"usage: ipam  (a container runtime runs it: CNI_COMMAND and more in the "
		"environment, the\n"
		"network configuration on standard input)\n"
		"\n"
		"Members of \"ipam\" in the configuration:\n"
		"  ipam_unix_socket_path  the agent's socket (/var/run/spidernet/spiderpool.sock)\n"
		"  default_ipv4_ippool, default_ipv6_ippool\n"
		"                         names of pools, for pods that name none themselves\n"
		"  clean_gateway          true: no default route for this interface\n"
		"  match_master_subnet    not supported: true is refused, it is for SR-IOV\n"
		"  timeout_ms             for a call as a whole (100000)\n"
		"  state_dir              where releases are queued while the agent is away\n"
		"                         (/var/lib/spidernet)\n"
		"  log_level              error, warn, info (default) or debug\n"
		"  log_file_path          a log file instead of stderr\n"
		"  log_file_max_size, log_file_max_age, log_file_max_count\n"
		"                         MiB (100), days (30) and number (10) of its old "
		"versions\n"
		"Other members are ignored, and named in the log.\n",
	.main = ipam_main,
};
