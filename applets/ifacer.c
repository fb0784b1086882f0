/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ifacer.c - the CNI plugin "ifacer" as a program.
 */
#include <stdio.h>

#include "applets/applet.h"
#include "plugins/ifacer.h"

static const char usage[] =
	"usage: CNI_COMMAND=... ifacer <CONFIGURATION\n"
	"A chained CNI plugin (ADD, DEL, CHECK, GC, STATUS, VERSION; 0.3.0 to 1.1.0): makes a "
	"VLAN, "
	"a bond,\n"
	"or a VLAN on a bond, for the plugin after it to name as its master.  They stay.\n"
	"\n"
	"configuration: interfaces (one, or several for a bond), vlanID (1 to 4094; 0: none),\n"
	"  bond (name, by default sp_bond0; mode, 0 to 6 or its name; options, such as\n"
	"  \"miimon=100;xmit_hash_policy=layer3+4\"); logOptions.  Other keys are ignored, and "
	"named "
	"in\n"
	"  the log.  The VLAN is called INTERFACE.ID\n"
	"exit status: 0 done, 1 failed (the error is a JSON document on standard output), 2 "
	"usage\n";

static int ifacer_main(int argc, char **argv)
{
	if (argc > 1) {
		fprintf(stderr, "ifacer: unknown argument \"%s\"\n%s", argv[1], usage);
		return 2;
	}
	return cni_main(&ifacer_plugin);
}

const struct applet ifacer_applet = {
	.name = "ifacer",
	.aliases = { NULL },
	.summary = "CNI plugin: VLANs and bonds for pods' interfaces",
	.usage = usage,
	.main = ifacer_main,
};
