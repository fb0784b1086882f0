/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - one binary, many names: the applet is chosen by argv[0], else by argv[1].
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "applets/applet.h"
#include "base/relro.h"
#include "base/str.h"
#include "base/version.h"

static const struct applet *const applets[] = { &agent_applet,  &coordinator_applet,
	                                        &ctl_applet,    &ifacer_applet,
	                                        &ipam_applet,   &ipvlan_setup_applet,
	                                        &multus_applet, NULL };

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const struct applet *find(const char *name)
{
	for (size_t i = 0; applets[i]; i++) {
		if (streq(applets[i]->name, name))
			return applets[i];
		for (size_t j = 0; applets[i]->aliases[j]; j++)
			if (streq(applets[i]->aliases[j], name))
				return applets[i];
	}
	return NULL;
}

static void list(FILE *f)
{
	for (size_t i = 0; applets[i]; i++)
		fprintf(f, "%-14s %s\n", applets[i]->name, applets[i]->summary);
}

static int usage(FILE *f, int status)
{
	fputs("usage: spiderbox APPLET [ARGUMENT]...\n"
	      "       spiderbox --list | --version | --help\n"
	      "An applet's name as argv[0] works as well (a link to this binary).\n",
	      f);
	list(f);
	return status;
}

static int run(const struct applet *applet, int argc, char **argv)
{
	if (argc > 1 && (streq(argv[1], "--help") || streq(argv[1], "-h"))) {
		fputs(applet->usage, stdout);
		return 0;
	}
	return applet->main(argc, argv);
}

static int dispatch(int argc, char **argv)
{
	const struct applet *applet = find(base_name(argc ? argv[0] : ""));

	if (applet)
		return run(applet, argc, argv);
	if (argc < 2)
		return usage(stderr, 2);
	if (streq(argv[1], "--help") || streq(argv[1], "-h"))
		return usage(stdout, 0);
	if (streq(argv[1], "--version")) {
		printf("spiderbox %s\n", version_string);
		return 0;
	}
	if (streq(argv[1], "--list")) {
		list(stdout);
		return 0;
	}
	applet = find(argv[1]);
	if (applet)
		return run(applet, argc - 1, argv + 1);
	fprintf(stderr, "spiderbox: there is no applet \"%s\"; --list shows them\n", argv[1]);
	return 127;
}

int main(int argc, char **argv)
{
	int status;

	relro_apply();
	status = dispatch(argc, argv);
	/* a result that did not reach its reader is no result */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "spiderbox: write standard output: %s\n", strerror(errno));
		return status ? status : 1;
	}
	return status;
}
