/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipvlan_setup.c - the CNI plugin "ipvlan" as a program.
 */
#include <stdio.h>

#include "applets/applet.h"
#include "plugins/ipvlan.h"

static const char usage[] =
	"usage: CNI_COMMAND=... ipvlan-setup <CONFIGURATION\n"
	"A CNI plugin (ADD, DEL, CHECK, GC, STATUS, VERSION; 0.3.0 to 1.1.0): gives a pod an "
	"ipvlan\n"
	"interface on a network card of the node.  Container runtimes call it as \"ipvlan\".\n"
	"\n"
	"configuration: master (a name or a MAC address; default: the default route's interface),\n"
	"  mode (l2, l3, l3s), flag (bridge, private, vepa), mtu, linkInContainer, ipam, dns.\n"
	"  Other keys are ignored, and named in the log: that of ipam\n"
	"exit status: 0 done, 1 failed (the error is a JSON document on standard output), 2 "
	"usage\n";

static int ipvlan_setup_main(int argc, char **argv)
{
	if (argc > 1) {
		fprintf(stderr, "ipvlan-setup: unknown argument \"%s\"\n%s", argv[1], usage);
		return 2;
	}
	return cni_main(&ipvlan_plugin);
}

const struct applet ipvlan_setup_applet = {
	.name = "ipvlan-setup",
	.aliases = { "ipvlan" },
	.summary = "CNI plugin: an ipvlan interface for a pod",
	.usage = usage,
	.main = ipvlan_setup_main,
};
