/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl.c - the command line tool: options and words; what it does is in ctl/.
 *
 * Results go to stdout, everything else to stderr.  Exit status: 0 done, 1 not done, 2 the command
 * line is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applets/applet.h"
#include "base/args.h"
#include "base/file.h"
#include "cni/multus_files.h"
#include "ctl/apply.h"
#include "ctl/get.h"
#include "ctl/install.h"
#include "ctl/lookup.h"

#define REQUEST_MS 30000
#define INSTALL_WAIT_MS 60000
#define WORDS_MAX 64

#define STORE_USAGE                                                                                \
	"  --store STORE        kube, kube:KUBECONFIG or dir:PATH; else $SPIDERBOX_STORE,\n"       \
	"                       else kube\n"                                                       \
	"  --context NAME       context of the kubeconfig\n"

/* The options that every command with a store has. */
struct where {
	const char *store;
	const char *context;
};

struct command {
	const char *name;
	const char *usage;
	int (*main)(const struct command *self, int argc, char **argv);
};

static int usage_error(const struct command *c, const struct err *e)
{
	fprintf(stderr, "ctl %s: %s\n\n%s", c->name, e->msg, c->usage);
	return 2;
}

/* In kubectl's words where there is a reason that scripts look for. */
static int failed(const struct store *s, const struct err *e)
{
	static const struct {
		enum err_kind kind;
		const char *reason;
	} reasons[] = {
		{ ERR_NOT_FOUND, "NotFound" },        { ERR_EXISTS, "AlreadyExists" },
		{ ERR_CONFLICT, "Conflict" },         { ERR_FORBIDDEN, "Forbidden" },
		{ ERR_THROTTLED, "TooManyRequests" },
	};

	for (size_t i = 0; s && i < ARRAY_LEN(reasons); i++)
		if (reasons[i].kind == e->kind) {
			fprintf(stderr, "Error%s (%s): %s\n", store_is_dir(s) ? "" : " from server",
			        reasons[i].reason, e->msg);
			return 1;
		}
	if (e->kind == ERR_IDENTITY)
		fprintf(stderr,
		        "Error from server (Unauthorized): %s\n"
		        "Has the token or the client certificate expired, and is it one of this "
		        "cluster?  --store kube:FILE and --context choose others.\n",
		        e->msg);
	else
		fprintf(stderr, "error: %s\n", e->msg);
	return 1;
}

/* Only what is to put something there makes a directory store. */
static int open_store(const struct where *w, bool make, struct store **out, struct err *e)
{
	const char *spec = w->store ? w->store : getenv("SPIDERBOX_STORE");

	return (make ? store_open : store_open_existing)(spec && *spec ? spec : "kube", w->context,
	                                                 out, e);
}

static void store_cleanup(struct store **s)
{
	store_close(*s);
}
#define AUTO_STORE __attribute__((cleanup(store_cleanup))) struct store

static void print(const struct str *s)
{
	fwrite(s->data, 1, s->len, stdout);
}

/* KIND NAME... or KIND/NAME...: the kind, and where the names begin; "a/b" are made names. */
static int read_target(const char **words, size_t n, enum store_kind *kind, const char **names,
                       size_t *count, struct err *e)
{
	const char *slash = n ? strchr(words[0], '/') : NULL;

	if (!n)
		return err_set(e, ERR_USAGE, "which kind?");
	*count = 0;
	if (!slash) {
		for (size_t i = 1; i < n; i++)
			names[(*count)++] = words[i];
		return get_kind(words[0], kind, e);
	}
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *word = NULL;
		enum store_kind k;

		slash = strchr(words[i], '/');
		if (!slash || !slash[1])
			return err_set(e, ERR_USAGE, "\"%s\" is not KIND/NAME", words[i]);
		word = xstrndup(words[i], (size_t)(slash - words[i]));
		if (get_kind(word, &k, e) < 0)
			return -1;
		if (i && k != *kind)
			return err_set(e, ERR_USAGE, "one kind at a time, please");
		*kind = k;
		names[(*count)++] = slash + 1;
	}
	return 0;
}

enum format { FORMAT_TABLE, FORMAT_WIDE, FORMAT_JSON, FORMAT_YAML, FORMAT_NAME };

static int read_format(const char *s, enum format *out, struct err *e)
{
	static const char names[][5] = { "", "wide", "json", "yaml", "name" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(s ? s : "", names[i])) {
			*out = (enum format)i;
			return 0;
		}
	return err_set(e, ERR_USAGE, "-o is one of wide, json, yaml, name; not \"%s\"", s);
}

struct get {
	struct where where;
	enum store_kind kind;
	const char *ns;
	bool all;
	enum format format;
	const char *names[WORDS_MAX];
	size_t n_names;
	struct k8s_selector selector;
};

/* Several names: what is there is shown, what is not is said. */
static int fetch_named(struct store *s, const struct get *g, json *items)
{
	int status = 0;
	bool namespaced = store_kind_info(g->kind)->resource.namespaced;

	for (size_t i = 0; i < g->n_names; i++) {
		json *o = NULL;
		struct err e;

		if (store_get(s, g->kind, namespaced ? g->ns : NULL, g->names[i], &o,
		              mono_in(REQUEST_MS), &e) < 0)
			status = failed(s, &e);
		else
			json_append(items, o);
	}
	return status;
}

static void show(const struct get *g, const json *items)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *document = NULL;

	switch (g->format) {
	case FORMAT_TABLE:
	case FORMAT_WIDE:
		get_table(g->kind, items, g->format == FORMAT_WIDE, g->all, time(NULL), &text);
		break;
	case FORMAT_NAME:
		get_names(g->kind, items, &text);
		break;
	case FORMAT_JSON:
	case FORMAT_YAML:
		document = get_document(items, g->n_names == 1);
		if (g->format == FORMAT_JSON)
			json_print_pretty(document, &text);
		else
			get_yaml(document, &text);
		break;
	}
	print(&text);
}

static int get_run(const struct get *g)
{
	bool namespaced = store_kind_info(g->kind)->resource.namespaced;
	AUTO_STORE *s = NULL;
	AUTO_JSON *items = NULL;
	AUTO_JSON *sorted = NULL;
	int status = 0;
	struct err e;

	if (open_store(&g->where, false, &s, &e) < 0)
		return failed(NULL, &e);
	if (g->n_names) {
		items = json_new_array();
		status = fetch_named(s, g, items);
		if (json_first(items))
			show(g, items);
		return status;
	}
	if (store_list(s, g->kind, namespaced && !g->all ? g->ns : NULL, &g->selector, &items, NULL,
	               mono_in(REQUEST_MS), &e) < 0)
		return failed(s, &e);
	if (!json_first(items) && (g->format == FORMAT_TABLE || g->format == FORMAT_WIDE)) {
		if (namespaced && !g->all)
			fprintf(stderr, "No resources found in %s namespace.\n", g->ns);
		else
			fputs("No resources found\n", stderr);
		return 0;
	}
	sorted = get_sorted(items);
	show(g, sorted);
	return 0;
}

static int get_main(const struct command *self, int argc, char **argv)
{
	struct get g = { .ns = "default" };
	const char *words[WORDS_MAX], *format = NULL, *ns = NULL;
	const struct args_option options[] = {
		{ "store", 0, &g.where.store, NULL },
		{ "context", 0, &g.where.context, NULL },
		{ "namespace", 'n', &ns, NULL },
		{ "all-namespaces", 'A', NULL, &g.all },
		{ "output", 'o', &format, NULL },
		{ "selector", 'l', &g.selector.labels, NULL },
		{ NULL, 0, NULL, NULL },
	};
	size_t n = 0;
	struct err e;

	if (args_parse(argc, argv, options, words, WORDS_MAX, &n, &e) < 0 ||
	    read_format(format, &g.format, &e) < 0 ||
	    read_target(words, n, &g.kind, g.names, &g.n_names, &e) < 0)
		return usage_error(self, &e);
	g.ns = ns ? ns : g.ns;
	if (g.n_names && (g.all || g.selector.labels)) {
		err_fill(&e, ERR_USAGE, "a name goes with neither -A nor -l");
		return usage_error(self, &e);
	}
	return get_run(&g);
}

static int ip_run(const struct where *w, struct ip ip, bool as_json)
{
	static const enum store_kind kinds[] = { STORE_IPPOOL, STORE_RESERVEDIP, STORE_ENDPOINT };
	AUTO_STORE *s = NULL;
	AUTO_JSON *pools = NULL;
	AUTO_JSON *reserved = NULL;
	AUTO_JSON *endpoints = NULL;
	AUTO_JSON *report = NULL;
	AUTO_STR text = STR_INIT;
	json **lists[] = { &pools, &reserved, &endpoints };
	struct err e;

	if (open_store(w, false, &s, &e) < 0)
		return failed(NULL, &e);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (store_list(s, kinds[i], NULL, NULL, lists[i], NULL, mono_in(REQUEST_MS), &e) <
		    0)
			return failed(s, &e);
	report = lookup_report(pools, reserved, endpoints, store_is_dir(s), ip);
	if (as_json)
		json_print_pretty(report, &text);
	else
		lookup_text(report, &text);
	print(&text);
	return lookup_found(report) ? 0 : 1;
}

static int ip_main(const struct command *self, int argc, char **argv)
{
	struct where where = { NULL, NULL };
	const char *words[1], *format = NULL;
	const struct args_option options[] = {
		{ "store", 0, &where.store, NULL },
		{ "context", 0, &where.context, NULL },
		{ "output", 'o', &format, NULL },
		{ NULL, 0, NULL, NULL },
	};
	size_t n = 0;
	struct ip ip;
	struct err e = { ERR_USAGE, 0, 0, "which address?" };

	if (args_parse(argc, argv, options, words, 1, &n, &e) < 0 || n != 1 ||
	    ip_parse(words[0], &ip, &e) < 0)
		return usage_error(self, &e);
	if (format && !streq(format, "json")) {
		err_fill(&e, ERR_USAGE, "-o json is the only other form");
		return usage_error(self, &e);
	}
	return ip_run(&where, ip, format != NULL);
}

/* The manifest's text; "-" is standard input. */
static int read_manifest(const char *file, const char *ns, struct apply_docs *out, struct err *e)
{
	AUTO_STR text = STR_INIT;
	bool from_stdin = streq(file, "-");

	if ((from_stdin ? file_read_fd(STDIN_FILENO, "standard input", APPLY_INPUT_MAX, &text, e)
	                : file_read(file, APPLY_INPUT_MAX, &text, e)) < 0)
		return -1;
	return apply_read(text.data, text.len, from_stdin ? "standard input" : file, ns, out, e);
}

static int apply_run(const struct where *w, const char *file, const char *ns)
{
	static const char verbs[][11] = { "created", "configured", "unchanged" };
	AUTO_STORE *s = NULL;
	AUTO_APPLY_DOCS docs = { NULL, 0, 0 };
	struct err e;

	if (read_manifest(file, ns, &docs, &e) < 0 || open_store(w, true, &s, &e) < 0)
		return failed(NULL, &e);
	if (apply_plan(s, &docs, mono_in(REQUEST_MS), &e) < 0)
		return failed(s, &e);
	for (size_t i = 0; i < docs.n; i++) {
		const struct apply_doc *d = &docs.v[i];
		AUTO_FREE char *prefix = get_prefix(d->kind);

		if (apply_write(s, d, mono_in(REQUEST_MS), &e) < 0)
			return failed(s, &e);
		printf("%s/%s %s\n", prefix, d->name, verbs[d->action]);
	}
	return 0;
}

static int apply_main(const struct command *self, int argc, char **argv)
{
	struct where where = { NULL, NULL };
	const char *words[1], *file = NULL, *ns = NULL;
	const struct args_option options[] = {
		{ "store", 0, &where.store, NULL },
		{ "context", 0, &where.context, NULL },
		{ "namespace", 'n', &ns, NULL },
		{ "filename", 'f', &file, NULL },
		{ NULL, 0, NULL, NULL },
	};
	size_t n = 0;
	struct err e;

	if (args_parse(argc, argv, options, words, 0, &n, &e) < 0)
		return usage_error(self, &e);
	if (!file) {
		err_fill(&e, ERR_USAGE, "-f FILE is missing");
		return usage_error(self, &e);
	}
	return apply_run(&where, file, ns ? ns : "default");
}

struct removal {
	struct where where;
	const char *ns;
	bool ignore_absent;
};

/* With a finalizer the object stays until whoever put it there is done: say so. */
static int delete_one(struct store *s, const struct removal *r, enum store_kind kind,
                      const char *ns, const char *name)
{
	AUTO_FREE char *prefix = get_prefix(kind);
	AUTO_JSON *left = NULL;
	struct err e;

	if (store_delete(s, kind, ns, name, NULL, NULL, mono_in(REQUEST_MS), &e) < 0)
		return r->ignore_absent && e.kind == ERR_NOT_FOUND ? 0 : failed(s, &e);
	printf("%s \"%s\" deleted\n", prefix, name);
	if (store_get(s, kind, ns, name, &left, mono_in(REQUEST_MS), &e) == 0 &&
	    json_str_at(left, "metadata", "deletionTimestamp", NULL))
		fprintf(stderr,
		        "%s \"%s\" stays until its finalizers are gone: pods still use it, or no "
		        "agent runs\n",
		        prefix, name);
	return 0;
}

static int delete_file(struct store *s, const struct removal *r, const char *file)
{
	AUTO_APPLY_DOCS docs = { NULL, 0, 0 };
	int status = 0;
	struct err e;

	if (read_manifest(file, r->ns, &docs, &e) < 0)
		return failed(NULL, &e);
	for (size_t i = 0; i < docs.n; i++)
		status |= delete_one(s, r, docs.v[i].kind, docs.v[i].ns, docs.v[i].name);
	return status;
}

static int delete_main(const struct command *self, int argc, char **argv)
{
	struct removal r = { .ns = "default" };
	const char *words[WORDS_MAX], *names[WORDS_MAX], *file = NULL, *ns = NULL;
	const struct args_option options[] = {
		{ "store", 0, &r.where.store, NULL },
		{ "context", 0, &r.where.context, NULL },
		{ "namespace", 'n', &ns, NULL },
		{ "filename", 'f', &file, NULL },
		{ "ignore-not-found", 0, NULL, &r.ignore_absent },
		{ NULL, 0, NULL, NULL },
	};
	enum store_kind kind = STORE_N_KINDS;
	AUTO_STORE *s = NULL;
	size_t n = 0, count = 0;
	int status = 0;
	struct err e = { ERR_USAGE, 0, 0, "KIND NAME..., or -f FILE" };

	if (args_parse(argc, argv, options, words, WORDS_MAX, &n, &e) < 0 || (file && n) ||
	    (!file && (read_target(words, n, &kind, names, &count, &e) < 0 || !count)))
		return usage_error(self, &e);
	r.ns = ns ? ns : r.ns;
	if (open_store(&r.where, false, &s, &e) < 0)
		return failed(NULL, &e);
	if (file)
		return delete_file(s, &r, file);
	for (size_t i = 0; i < count; i++)
		status |= delete_one(s, &r, kind,
		                     store_kind_info(kind)->resource.namespaced ? r.ns : NULL,
		                     names[i]);
	return status;
}

static void report_install(const char *dir, const enum install_result *results)
{
	static const char *const words[] = {
		[INSTALL_DONE] = "installed", [INSTALL_UNCHANGED] = "unchanged",
		[INSTALL_FOREIGN] = NULL,     [INSTALL_REMOVED] = "removed",
		[INSTALL_ABSENT] = "absent",
	};

	for (size_t i = 0; install_names[i]; i++) {
		if (words[results[i]])
			printf("%s/%s %s\n", dir, install_names[i], words[results[i]]);
		else
			fprintf(stderr,
			        "warning: %s/%s is another program's and was left alone; remove "
			        "it and run this again to have \"type\": \"%s\" mean Spiderbox\n",
			        dir, install_names[i], install_names[i]);
	}
}

static int remove_conf(const char *dir, struct err *e)
{
	static const char *const words[] = { [MULTUS_ABSENT] = "absent",
		                             [MULTUS_OURS] = "removed",
		                             [MULTUS_FOREIGN] = "is another program's and stays" };
	enum multus_owner owner;

	if (multus_files_remove(dir, &owner, e) < 0)
		return -1;
	printf("%s/" MULTUS_CONF_NAME " %s\n", dir, words[owner]);
	return 0;
}

static int install_main(const struct command *self, int argc, char **argv)
{
	const char *words[1], *bin_dir = NULL, *conf_dir = NULL;
	bool undo = false;
	const struct args_option options[] = {
		{ "bin-dir", 0, &bin_dir, NULL },
		{ "conf-dir", 0, &conf_dir, NULL },
		{ "uninstall", 0, NULL, &undo },
		{ NULL, 0, NULL, NULL },
	};
	enum install_result results[INSTALL_NAMES];
	size_t n = 0;
	int rc;
	struct err e;

	if (args_parse(argc, argv, options, words, 0, &n, &e) < 0)
		return usage_error(self, &e);
	if (!bin_dir) {
		err_fill(&e, ERR_USAGE, "--bin-dir DIR is missing");
		return usage_error(self, &e);
	}
	if (conf_dir && !undo && install_check_dir(conf_dir, "CNI configuration folder", &e) < 0)
		return failed(NULL, &e);
	/* first what calls the plugins, then they */
	if (undo && conf_dir && remove_conf(conf_dir, &e) < 0)
		return failed(NULL, &e);
	if (undo)
		rc = install_undo(bin_dir, mono_in(INSTALL_WAIT_MS), results, &e);
	else
		rc = install_run("/proc/self/exe", bin_dir, mono_in(INSTALL_WAIT_MS), results, &e);
	if (rc < 0)
		return failed(NULL, &e);
	report_install(bin_dir, results);
	if (conf_dir && !undo)
		printf("%s unchanged: networks come from NetworkAttachmentDefinitions\n", conf_dir);
	return 0;
}

static const struct command commands[] = {
	{ "get",
	  "usage: ctl get KIND [NAME]... [OPTION]...\n"
	  "       ctl get KIND/NAME... [OPTION]...\n"
	  "Shows objects: ippools (sp), endpoints (se), reservedips (sr) and others.\n"
	  "  -n, --namespace NS   namespace of endpoints (default \"default\")\n"
	  "  -A, --all-namespaces\n"
	  "  -l, --selector LABELS\n"
	  "  -o, --output FORM    wide, json, yaml or name\n" STORE_USAGE,
	  get_main },
	{ "ip",
	  "usage: ctl ip ADDRESS [OPTION]...\n"
	  "Tells which pools have an address and who holds it, or why it is held back.  Exit\n"
	  "status 1: no pool has it.\n"
	  "  -o, --output json\n" STORE_USAGE,
	  ip_main },
	{ "apply",
	  "usage: ctl apply -f FILE [OPTION]...\n"
	  "Creates or changes the objects of a YAML or JSON file (\"-\": standard input).\n"
	  "Everything is checked before anything is written.  Fields that the file does not\n"
	  "mention stay as they are; null removes one.\n"
	  "  -f, --filename FILE\n"
	  "  -n, --namespace NS   for objects that do not say theirs (default "
	  "\"default\")\n" STORE_USAGE,
	  apply_main },
	{ "delete",
	  "usage: ctl delete KIND NAME... [OPTION]...\n"
	  "       ctl delete KIND/NAME... [OPTION]...\n"
	  "       ctl delete -f FILE [OPTION]...\n"
	  "  -f, --filename FILE\n"
	  "  -n, --namespace NS   (default \"default\")\n"
	  "  --ignore-not-found\n" STORE_USAGE,
	  delete_main },
	{ "install",
	  "usage: ctl install --bin-dir DIR [--conf-dir DIR] [--uninstall]\n"
	  "Puts this binary and its CNI plugin names (spiderpool, ipvlan, coordinator,\n"
	  "ifacer, multus) into DIR.\n"
	  "The names are hard links to one file, replaced atomically.  Another program of such a\n"
	  "name is left alone, with a warning; the exit status is 0 then too.\n"
	  "  --bin-dir DIR        where the runtime looks for plugins, such as /opt/cni/bin\n"
	  "  --conf-dir DIR       the runtime's configuration, such as /etc/cni/net.d; it must be\n"
	  "                       a folder that can be written to, and nothing is put into it\n"
	  "  --uninstall          removes what is ours, and from --conf-dir what the agent keeps\n"
	  "                       there for the multus plugin\n",
	  install_main },
};

static const char ctl_usage[] =
	"usage: ctl COMMAND [ARGUMENT]...\n"
	"  get KIND [NAME]...   show pools, endpoints, reserved addresses\n"
	"  ip ADDRESS           which pool has it, and who holds it\n"
	"  apply -f FILE        create or change objects\n"
	"  delete KIND NAME...  delete objects\n"
	"  install              put the CNI plugins into the node's folder\n"
	"\"ctl COMMAND --help\" tells the options.\n";

/* Before anything is parsed: help is wanted most when the rest is wrong. */
static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && !streq(argv[i], "--"); i++)
		if (streq(argv[i], "--help") || streq(argv[i], "-h"))
			return true;
	return false;
}

static int ctl_main(int argc, char **argv)
{
	if (argc < 2) {
		fputs(ctl_usage, stderr);
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!streq(commands[i].name, argv[1]))
			continue;
		if (wants_help(argc - 1, argv + 1)) {
			fputs(commands[i].usage, stdout);
			return 0;
		}
		return commands[i].main(&commands[i], argc - 1, argv + 1);
	}
	fprintf(stderr, "ctl: there is no command \"%s\"\n\n%s", argv[1], ctl_usage);
	return 2;
}

const struct applet ctl_applet = {
	.name = "ctl",
	.aliases = { "spiderpoolctl", "kubectl-spiderpool", NULL },
	.summary = "look at pools and addresses, apply objects, install the plugins",
	.usage = ctl_usage,
	.main = ctl_main,
};
