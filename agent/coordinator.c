/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator.c - the configuration of the data path.  The object of choice is kept in memory by an
 * informer; the service CIDRs that neither it nor the options tell are read from the API server and
 * kept for a minute.  The file is written by whoever makes the configuration and finds it changed.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/coordinator.h"
#include "agent/informer.h"
#include "base/file.h"
#include "base/log.h"
#include "net/ip.h"

#define SERVICE_CIDRS "/apis/networking.k8s.io/v1/servicecidrs"
#define SERVICE_CIDRS_MS 60000
#define LIST_MS 10000
#define HIJACKED "169.254.0.0/16" /* what the original's chart says */

struct coordinator {
	struct store *store;
	const struct coordinator_options *options;
	struct informer *informer;
	pthread_mutex_t lock;
	json *object;               /* under the lock; NULL: none */
	json *services;             /* under the lock: array */
	struct mono services_until; /* under the lock */
	bool services_missing;      /* under the lock: said so once */
	bool services_known;        /* under the lock: they were read once */
	bool listed;                /* under the lock: whether there is an object is known */
	unsigned int generation;    /* under the lock: of object and services */
	char *path;                 /* of the file, or NULL */
	pthread_mutex_t file_lock;  /* of the file alone: the newest is to be the last */
	struct str written;         /* under the file's lock: what stands in it */
	unsigned int written_generation;
	bool unwritable; /* under the file's lock: said so once */
};

static int check_list(const char *option, const char *list, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(list ? list : "");
	char *rest = copy, *one;
	struct cidr c;

	while ((one = strsep(&rest, ",")))
		if (*one && cidr_or_ip_parse(one, &c, NULL) < 0)
			return err_set(e, ERR_USAGE, "--%s: \"%s\" is not a CIDR", option, one);
	return 0;
}

int coordinator_check(const struct coordinator_options *o, struct err *e)
{
	static const char modes[][9] = { "auto", "underlay", "overlay", "disable", "disabled" };
	bool ok = !o->mode;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		ok |= o->mode && streq(o->mode, modes[i]);
	if (!ok)
		return err_set(e, ERR_USAGE,
		               "--coordinator-mode: \"%s\" is none of auto, underlay, overlay, "
		               "disabled",
		               o->mode);
	if (check_list("overlay-pod-cidr", o->overlay_pod_cidr, e) < 0 ||
	    check_list("service-cidr", o->service_cidr, e) < 0)
		return -1;
	return check_list("hijack-cidr", o->hijack_cidr, e);
}

/* "default", else the first by name. */
static const json *choose(const json *items)
{
	const json *best = NULL;
	const char *best_name = NULL;

	json_each(o, items)
	{
		const char *name = json_str_at(o, "metadata", "name", NULL);

		if (!name)
			continue;
		if (streq(name, "default"))
			return o;
		if (!best || strcmp(name, best_name) < 0) {
			best = o;
			best_name = name;
		}
	}
	return best;
}

static void publish(struct coordinator *c);

static void keep(struct coordinator *c, const json *items)
{
	const json *chosen = choose(items);
	json *copy = chosen ? json_copy(chosen) : NULL, *old;
	bool changed;

	pthread_mutex_lock(&c->lock);
	old = c->object;
	changed = !c->listed || (old && copy ? !json_equal(old, copy) : old != copy);
	c->object = copy;
	c->listed = true;
	c->generation += changed;
	pthread_mutex_unlock(&c->lock);
	json_free(old);
	/* a kind that is not installed is listed every few seconds */
	if (changed)
		publish(c);
}

static void on_listed(void *ctx, const json *items)
{
	keep(ctx, items);
}

/* There is one, or a few: looking at all of them anew is the simplest. */
static void on_event(void *ctx, enum k8s_event_type type, const json *object)
{
	struct coordinator *c = ctx;
	AUTO_JSON *items = NULL;
	struct err e;

	(void)type;
	(void)object;
	if (store_list(c->store, STORE_COORDINATOR, NULL, NULL, &items, NULL, mono_in(LIST_MS),
	               &e) < 0)
		log_warn_err(&e, "list spidercoordinators");
	else
		keep(c, items);
}

static const struct informer_ops informer_ops = { on_listed, on_event, NULL };

int coordinator_start(struct store *s, const struct coordinator_options *o, const char *folder,
                      struct coordinator **out, struct err *e)
{
	struct coordinator *c = xcalloc(1, sizeof(*c));

	c->store = s;
	c->options = o;
	c->path = folder ? xasprintf("%s/" COORDINATOR_FILE_NAME, folder) : NULL;
	c->written = (struct str)STR_INIT;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->file_lock, NULL);
	if (informer_start(s, STORE_COORDINATOR, NULL, NULL, &informer_ops, c, &c->informer, e) <
	    0) {
		coordinator_stop(c);
		return -1;
	}
	*out = c;
	return 0;
}

void coordinator_stop(struct coordinator *c)
{
	if (!c)
		return;
	informer_stop(c->informer);
	json_free(c->object);
	json_free(c->services);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->file_lock);
	str_release(&c->written);
	free(c->path);
	free(c);
}

static json *from_option(const char *list)
{
	AUTO_FREE char *copy = xstrdup(list ? list : "");
	json *array = json_new_array();
	char *rest = copy, *one;

	while ((one = strsep(&rest, ",")))
		if (*one)
			json_append_str(array, one);
	return array;
}

static int read_services(struct coordinator *c, json *out, struct err *e)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *list = NULL;

	if (store_get_raw(c->store, SERVICE_CIDRS, &text, mono_in(LIST_MS), e) < 0 ||
	    json_parse(text.data, text.len, 0, &list, e) < 0)
		return -1;
	json_each(o, json_get(list, "items"))
	{
		json_each(cidr, json_at(o, "spec", "cidrs", NULL))
		{
			if (json_is_string(cidr))
				json_append_str(out, json_text(cidr));
		}
	}
	return 0;
}

/* Owned array.  When they cannot be read, what was known before.  *asked: the API server knows. */
static json *services(struct coordinator *c, bool *asked)
{
	json *fresh, *answer;
	struct err e;
	bool due;
	int rc;

	if (c->options->service_cidr || store_is_dir(c->store))
		return from_option(c->options->service_cidr);
	*asked = true;
	pthread_mutex_lock(&c->lock);
	due = !c->services || mono_passed(c->services_until);
	pthread_mutex_unlock(&c->lock);
	fresh = json_new_array();
	rc = due ? read_services(c, fresh, &e) : 0;
	pthread_mutex_lock(&c->lock);
	if (due) {
		c->services_until = mono_in(SERVICE_CIDRS_MS);
		if (rc < 0 && !c->services_missing)
			log_warn_err(&e, "no service CIDRs (--service-cidr gives them)");
		c->services_missing = rc < 0;
		if (rc == 0 || !c->services) {
			c->generation += !c->services || !json_equal(c->services, fresh);
			json_free(c->services);
			c->services = take_ptr(&fresh);
		}
		c->services_known |= rc == 0;
	}
	answer = json_copy(c->services);
	pthread_mutex_unlock(&c->lock);
	json_free(fresh);
	return answer;
}

static void set_copy(json *out, const char *key, const json *from)
{
	if (from && !json_is_null(from))
		json_set(out, key, json_copy(from));
}

static json *array_or(const json *array, json *otherwise)
{
	if (!json_is_array(array))
		return otherwise;
	json_free(otherwise);
	return json_copy(array);
}

/* An object that was not reconciled says what its author wants, not which networks there are. */
static const json *usable(const json *object)
{
	const char *phase = json_str_at(object, "status", "phase", NULL);

	return object && (!json_get(object, "status") || (phase && streq(phase, "Synced"))) ? object
	                                                                                    : NULL;
}

/* For a pod that has no say of its own.  *known: nothing of it is still to be heard of. */
static json *make_config(struct coordinator *c, unsigned int *generation, bool *known)
{
	static const char copied[][19] = {
		"policyRoutes",  "podMACPrefix",       "tunePodRoutes",
		"hostRuleTable", "podRPFilter",        "txQueueLen",
		"vethMTU",       "podDefaultRouteNIC", "vethLinkAddress"
	};
	json *out = json_new_object();
	AUTO_JSON *object = NULL;
	bool asked = false, heard;
	const json *spec, *status;
	const char *mode;

	pthread_mutex_lock(&c->lock);
	if (usable(c->object))
		object = json_copy(c->object);
	*generation = c->generation;
	heard = c->listed && (object || !c->object);
	pthread_mutex_unlock(&c->lock);
	spec = json_get(object, "spec");
	status = json_get(object, "status");

	mode = json_str_at(spec, "mode", NULL);
	if (!mode)
		mode = c->options->mode ? c->options->mode : "auto";
	/* the API says "disabled", the plugins "disable" */
	json_set_str(out, "mode", streq(mode, "disabled") ? "disable" : mode);
	json_set(out, "overlayPodCIDR",
	         array_or(json_get(status, "overlayPodCIDR"),
	                  from_option(c->options->overlay_pod_cidr)));
	if (json_is_array(json_get(status, "serviceCIDR")))
		json_set(out, "serviceCIDR", json_copy(json_get(status, "serviceCIDR")));
	else
		json_set(out, "serviceCIDR", services(c, &asked));
	json_set(out, "hijackCIDR",
	         array_or(json_get(spec, "hijackCIDR"),
	                  from_option(c->options->hijack_cidr ? c->options->hijack_cidr
	                                                      : HIJACKED)));
	json_set_bool(out, "tunePodRoutes", true);
	json_set_i64(out, "hostRuleTable", 500);
	json_set_i64(out, "podRPFilter", 0);
	json_set_i64(out, "txQueueLen", 0);
	for (size_t i = 0; i < ARRAY_LEN(copied); i++)
		set_copy(out, copied[i], json_get(spec, copied[i]));
	pthread_mutex_lock(&c->lock);
	*known = heard && (!asked || c->services_known);
	pthread_mutex_unlock(&c->lock);
	return out;
}

static void write_file(struct coordinator *c, const json *config)
{
	AUTO_STR text = STR_INIT;
	struct err e;

	json_print(config, &text);
	str_addc(&text, '\n');
	if (streq(text.data, c->written.data))
		return;
	if (file_write(c->path, text.data, text.len, 0644, 0, &e) < 0) {
		if (!c->unwritable)
			log_warn_err(&e, "plugins that find no agent find no configuration");
		c->unwritable = true;
		return;
	}
	c->unwritable = false;
	str_reset(&c->written, 0);
	str_addn(&c->written, text.data, text.len);
}

static json *make_and_publish(struct coordinator *c)
{
	unsigned int generation;
	json *config;
	bool known;

	config = make_config(c, &generation, &known);
	if (!c->path || !known)
		return config;
	pthread_mutex_lock(&c->file_lock);
	/* another thread may know, and have written, something newer */
	if ((int)(generation - c->written_generation) >= 0) {
		c->written_generation = generation;
		write_file(c, config);
	}
	pthread_mutex_unlock(&c->file_lock);
	return config;
}

static void publish(struct coordinator *c)
{
	json_free(make_and_publish(c));
}

json *coordinator_config(struct coordinator *c, const char *route_nic)
{
	json *out = make_and_publish(c);

	if (*route_nic)
		json_set_str(out, "podDefaultRouteNIC", route_nic);
	return out;
}
