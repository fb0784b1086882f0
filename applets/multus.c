/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus.c - the CNI meta-plugin "multus" as a program.
 */
#include <stdio.h>

#include "applets/applet.h"
#include "plugins/multus.h"

static const char usage[] =
	"usage: CNI_COMMAND=... multus <CONFIGURATION\n"
	"A CNI meta-plugin, in place of Multus CNI (thin): the cluster's network, or the one of "
	"the "
	"pod's\n"
	"annotation v1.multus-cni.io/default-network, and those of k8s.v1.cni.cncf.io/networks.\n"
	"\n"
	"configuration: clusterNetwork (NAME, NAMESPACE/NAME, a file or a folder) or delegates;\n"
	"  defaultNetworks, multusNamespace, systemNamespaces, namespaceIsolation, "
	"globalNamespaces,\n"
	"  kubeconfig, confDir, cniDir, binDir, readinessindicatorfile, runtimeConfig; logFile, "
	"logLevel,\n"
	"  logOptions (maxSize, maxAge, maxBackups); agentSocket (the node's agent, which is asked "
	"for\n"
	"  pods and networks before the API server is; \"\": never).\n"
	"  Other keys are ignored, and named in the log\n"
	"exit status: 0 done, 1 failed (the error is a JSON document on standard output), 2 "
	"usage\n";

static int multus_main(int argc, char **argv)
{
	if (argc > 1) {
		fprintf(stderr, "multus: unknown argument \"%s\"\n%s", argv[1], usage);
		return 2;
	}
	return cni_main(&multus_plugin);
}

const struct applet multus_applet = {
	.name = "multus",
	.aliases = { NULL },
	.summary = "CNI meta-plugin: the networks that a pod selects",
	.usage = usage,
	.main = multus_main,
};
