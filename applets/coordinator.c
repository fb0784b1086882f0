/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.c - the CNI plugin "coordinator" as a program.
 */
#include <stdio.h>

#include "applets/applet.h"
#include "plugins/coordinator.h"

static const char usage[] =
	"usage: CNI_COMMAND=... coordinator <CONFIGURATION\n"
	"A chained CNI plugin (ADD, DEL, CHECK, STATUS, VERSION; 0.3.0 to 1.1.0): lets a pod with "
	"an\n"
	"underlay interface and its node reach each other, and services be reached from the pod.\n"
	"\n"
	"configuration, each key winning over what the agent answers: mode (auto, underlay,\n"
	"  overlay, disabled), podDefaultCniNic, podDefaultRouteNic, tunePodRoutes,\n"
	"  overlayPodCIDR, serviceCIDR, hijackCIDR, policyRoutes, podMACPrefix, podRPFilter,\n"
	"  txQueueLen, vethMTU, vethLinkAddress, hostRuleTable; agent_socket, timeout_ms,\n"
	"  coordinator_file (of the agent, for the time when it is away); state_dir; logOptions\n"
	"  (logLevel, logFile, logMaxSize, logMaxAge, logMaxCount).  Other keys are ignored, and\n"
	"  named in the log\n"
	"exit status: 0 done, 1 failed (the error is a JSON document on standard output), 2 "
	"usage\n";

static int coordinator_main(int argc, char **argv)
{
	if (argc > 1) {
		fprintf(stderr, "coordinator: unknown argument \"%s\"\n%s", argv[1], usage);
		return 2;
	}
	return cni_main(&coordinator_plugin);
}

const struct applet coordinator_applet = {
	.name = "coordinator",
	.aliases = { NULL },
	.summary = "CNI plugin: pods and their node reach each other",
	.usage = usage,
	.main = coordinator_main,
};
