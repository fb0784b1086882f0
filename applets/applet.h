/* SPDX-License-Identifier: Apache-2.0 */
/*
 * applet.h - one program of the binary.  Each is a file of this folder with one exported symbol and
 * one row in main.c.
 */
#ifndef APPLETS_APPLET_H
#define APPLETS_APPLET_H

struct applet {
	const char *name;       /* argv[0], and first word after "spiderbox" */
	const char *aliases[3]; /* further argv[0] names (CNI plugin types), NULL-terminated */
	const char *summary;    /* one line for --list */
	const char *usage;      /* printed by --help and on usage errors */
	int (*main)(int argc, char **argv); /* returns the exit status */
};

extern const struct applet agent_applet;
extern const struct applet coordinator_applet;
extern const struct applet ctl_applet;
extern const struct applet ifacer_applet;
extern const struct applet ipam_applet;
extern const struct applet ipvlan_setup_applet;
extern const struct applet multus_applet;

#endif
