/* SPDX-License-Identifier: Apache-2.0 */
/* links: k8s/client.c k8s/request.c k8s/watch.c k8s/config.c http/ json/ base/ */
/* libs: cjson yaml bearssl */
/*
 * usage: client CONFIG get PATH       the body, or "KIND: message" and status 1
 *        client CONFIG fill NAMESPACE N    makes that many ConfigMaps there
 *        client CONFIG count NAMESPACE     lists them all: their number, then each name
 *        client CONFIG repeat PATH    ten times a second until SIGTERM; prints what failed, and
 *                                     "N answers" at the end
 *        client CONFIG watch NAMESPACE  the ConfigMaps there until SIGTERM: "ADDED name" and so on,
 *                                     in order; "# ..." for what a person would want to know
 *
 * The API client for the api suite.  CONFIG is a kubeconfig, or "in-cluster:FOLDER".
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k8s/client.h"

static const struct k8s_resource configmaps = { "", "v1", "configmaps", true };

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static const char *kind_name(enum err_kind kind)
{
	switch (kind) {
	case ERR_CONFIG:
		return "CONFIG";
	case ERR_TIMEOUT:
		return "TIMEOUT";
	case ERR_PROTO:
		return "PROTO";
	case ERR_NOT_FOUND:
		return "NOT_FOUND";
	case ERR_CONFLICT:
		return "CONFLICT";
	case ERR_FORBIDDEN:
		return "FORBIDDEN";
	case ERR_IDENTITY:
		return "IDENTITY";
	case ERR_THROTTLED:
		return "THROTTLED";
	case ERR_GONE:
		return "GONE";
	case ERR_UNREACHABLE:
		return "UNREACHABLE";
	default:
		return "OTHER";
	}
}

static int complain(const struct err *e)
{
	printf("%s: %s\n", kind_name(e->kind), e->msg);
	return 1;
}

static int get(struct k8s_client *c, const char *path)
{
	AUTO_STR body = STR_INIT;
	struct err e;

	if (k8s_get_raw(c, path, &body, mono_in(5000), &e) < 0)
		return complain(&e);
	printf("%s\n", body.data);
	return 0;
}

static int repeat(struct k8s_client *c, const char *path)
{
	int answers = 0;

	while (!stop) {
		AUTO_STR body = STR_INIT;
		struct err e;

		if (k8s_get_raw(c, path, &body, mono_in(10000), &e) < 0)
			complain(&e);
		else
			answers++;
		mono_sleep_until(mono_in(100));
	}
	printf("%d answers\n", answers);
	return 0;
}

static int fill(struct k8s_client *c, const char *ns, const char *count)
{
	uint32_t n = 0;
	struct err e;

	if (parse_u32(count, 1, 10000, &n, &e) < 0)
		return complain(&e);
	for (uint32_t i = 0; i < n; i++) {
		AUTO_FREE char *name = xasprintf("n%u", i);
		AUTO_JSON *o = json_new_object();

		json_set_str(json_ensure_object(o, "metadata"), "name", name);
		if (k8s_create(c, &configmaps, ns, o, NULL, mono_in(10000), &e) < 0)
			return complain(&e);
	}
	return 0;
}

static int count(struct k8s_client *c, const char *ns)
{
	AUTO_JSON *items = NULL;
	struct err e;

	if (k8s_list(c, &configmaps, ns, NULL, &items, NULL, mono_in(10000), &e) < 0)
		return complain(&e);
	printf("%zu\n", json_count(items));
	json_each(o, items) printf("%s\n", json_str_at(o, "metadata", "name", NULL));
	return 0;
}

/* What was shown, so that a list after a 410 shows the difference. */
struct shown {
	char *name, *version;
	bool here;
};

static struct shown *shown;
static size_t n_shown, cap_shown;

static struct shown *find(const char *name)
{
	for (size_t i = 0; i < n_shown; i++)
		if (streq(shown[i].name, name))
			return &shown[i];
	return NULL;
}

static void forget(struct shown *s)
{
	free(s->name);
	free(s->version);
	*s = shown[--n_shown];
}

static void show(enum k8s_event_type type, const json *o)
{
	static const char *const names[] = { "ADDED", "MODIFIED", "DELETED" };
	const char *name = json_str_at(o, "metadata", "name", NULL);
	struct shown *s = find(name);

	printf("%s %s\n", names[type], name);
	if (type == K8S_DELETED) {
		if (s)
			forget(s);
		return;
	}
	if (!s) {
		shown = xgrow(shown, &cap_shown, n_shown + 1, sizeof(*shown));
		s = &shown[n_shown++];
		*s = (struct shown){ .name = xstrdup(name) };
	}
	free(s->version);
	s->version = xstrdup(json_str_at(o, "metadata", "resourceVersion", NULL));
	s->here = true;
}

static void show_list(const json *items)
{
	for (size_t i = 0; i < n_shown; i++)
		shown[i].here = false;
	json_each(o, items)
	{
		struct shown *s = find(json_str_at(o, "metadata", "name", NULL));

		if (!s)
			show(K8S_ADDED, o);
		else if (!streq(s->version, json_str_at(o, "metadata", "resourceVersion", NULL)))
			show(K8S_MODIFIED, o);
		else
			s->here = true;
	}
	for (size_t i = n_shown; i-- > 0;) {
		if (shown[i].here)
			continue;
		printf("DELETED %s\n", shown[i].name);
		forget(&shown[i]);
	}
}

/* Events until the watch is of no use any more. */
static void follow(struct k8s_watch *w)
{
	while (!stop) {
		enum k8s_event_type type;
		AUTO_JSON *o = NULL;
		struct err e;

		if (k8s_watch_next(w, &type, &o, mono_in(200), &e) == 0) {
			show(type, o);
		} else if (e.kind != ERR_TIMEOUT) {
			printf("# %s: %s\n", kind_name(e.kind), e.msg);
			if (e.kind == ERR_GONE)
				return;
			mono_sleep_until(mono_in(100));
		}
		fflush(stdout);
	}
}

static int watch(struct k8s_client *c, const char *ns)
{
	while (!stop) {
		AUTO_JSON *items = NULL;
		AUTO_FREE char *version = NULL;
		struct k8s_watch *w = NULL;
		struct err e;

		if (k8s_list(c, &configmaps, ns, NULL, &items, &version, mono_in(10000), &e) < 0 ||
		    k8s_watch_open(c, &configmaps, ns, NULL, version, &w, &e) < 0) {
			printf("# %s: %s\n", kind_name(e.kind), e.msg);
			fflush(stdout);
			mono_sleep_until(mono_in(100));
			continue;
		}
		show_list(items);
		printf("# listed\n");
		fflush(stdout);
		follow(w);
		k8s_watch_close(w);
	}
	while (n_shown)
		forget(&shown[0]);
	free(shown);
	return 0;
}

int main(int argc, char **argv)
{
	struct k8s_config config = { .tls = NULL };
	struct k8s_client *c;
	struct err e;
	int rc = 2;

	if (argc < 4)
		return 2;
	signal(SIGTERM, on_signal);
	if (str_starts(argv[1], "in-cluster:") ? k8s_config_in_cluster(argv[1] + 11, &config, &e)
	                                       : k8s_config_kubeconfig(argv[1], NULL, &config, &e))
		return complain(&e);
	c = k8s_client_new(&config);
	if (streq(argv[2], "get"))
		rc = get(c, argv[3]);
	else if (streq(argv[2], "fill") && argc > 4)
		rc = fill(c, argv[3], argv[4]);
	else if (streq(argv[2], "count"))
		rc = count(c, argv[3]);
	else if (streq(argv[2], "repeat"))
		rc = repeat(c, argv[3]);
	else if (streq(argv[2], "watch"))
		rc = watch(c, argv[3]);
	k8s_client_free(c);
	k8s_config_release(&config);
	return rc;
}
