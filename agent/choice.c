/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choice.c - reads what asks for pools, and says exactly what is wrong with it: the user sees these
 * words in the pod's events.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/choice.h"
#include "agent/pods.h"
#include "pool/pattern.h"

/* More than anybody means. */
#define NAMES_MAX 500
#define NICS_MAX 100
#define ROUTES_MAX 500

void choice_release(struct choice *c)
{
	for (int f = 0; f < FAMILIES; f++) {
		for (size_t i = 0; i < c->n[f]; i++)
			free(c->pools[f][i]);
		free(c->pools[f]);
	}
	free(c->unknown);
	memset(c, 0, sizeof(*c));
}

static bool is_empty(const struct choice *c)
{
	return !c->n[V4] && !c->n[V6];
}

static int check_name(const struct choice *c, int family, const json *item, struct err *e)
{
	const char *name;

	if (!json_is_string(item) || !*json_text(item))
		return err_set(e, ERR_CONFIG, "not a list of names of IPPools");
	name = json_text(item);
	if (pattern_is(name) && !pattern_check(name))
		return err_set(e, ERR_CONFIG, "the pattern %.200s is malformed", name);
	for (size_t i = 0; i < c->n[family]; i++)
		if (streq(c->pools[family][i], name))
			return err_set(e, ERR_CONFIG, "IPPool %.200s is duplicated", name);
	return 0;
}

/* The list may be NULL. */
static int take_names(struct choice *c, int family, const json *list, struct err *e)
{
	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return err_set(e, ERR_CONFIG, "not a list of names of IPPools");
	if (json_count(list) > NAMES_MAX)
		return err_set(e, ERR_CONFIG, "more than %d names", NAMES_MAX);
	c->pools[family] = xcalloc(json_count(list) + 1, sizeof(*c->pools[family]));
	json_each(item, list)
	{
		if (check_name(c, family, item, e) < 0)
			return -1;
		c->pools[family][c->n[family]++] = xstrdup(json_text(item));
	}
	return 0;
}

static int take_families(struct choice *c, const json *o, struct err *e)
{
	if (take_names(c, V4, json_get(o, "ipv4"), e) < 0)
		return err_wrap(e, "ipv4");
	if (take_names(c, V6, json_get(o, "ipv6"), e) < 0)
		return err_wrap(e, "ipv6");
	return 0;
}

/* What stands there and means nothing, of the first object that has such. */
static void note_unknown(struct choice *c, const json *o, const char *known)
{
	AUTO_STR names = STR_INIT;

	if (c->unknown || !json_is_object(o))
		return;
	json_unknown(o, known, &names);
	if (names.len)
		c->unknown = str_take(&names);
}

static int parse(const char *text, json **out, struct err *e)
{
	return json_parse(text, strlen(text), JSON_UNIQUE, out, e);
}

/* One element of ippools; all are read, so that a mistake in another NIC's is not found out later.
 */
static int read_element(const json *o, struct choice *c, const char **interface, struct err *e)
{
	*interface = "";
	if (!json_is_object(o))
		return err_set(e, ERR_CONFIG, "not a list of objects");
	c->clean_gateway = false;
	if (json_opt_str(o, "interface", interface, e) < 0 ||
	    json_opt_bool(o, "cleanGateway", &c->clean_gateway, e) < 0 ||
	    json_opt_bool(o, "cleangateway", &c->clean_gateway, e) < 0)
		return -1;
	return take_families(c, o, e);
}

struct elements {
	size_t n, named;
	struct str interfaces; /* for words */
};

static bool is_repeated(const json *list, const json *element, const char *interface)
{
	for (const json *o = json_first(list); o != element; o = json_next(o)) {
		const char *earlier = json_str_at(o, "interface", NULL);

		if (earlier && streq(earlier, interface))
			return true;
	}
	return false;
}

static int check_elements(const json *list, struct elements *all, struct err *e)
{
	if (!json_count(list))
		return err_set(e, ERR_CONFIG, "the list is empty");
	if (json_count(list) > NICS_MAX)
		return err_set(e, ERR_CONFIG, "more than %d elements", NICS_MAX);
	json_each(o, list)
	{
		struct choice c = { .source = NULL };
		const char *interface;
		int rc = read_element(o, &c, &interface, e);

		choice_release(&c);
		if (rc < 0)
			return -1;
		all->n++;
		if (!*interface)
			continue;
		if (is_repeated(list, o, interface))
			return err_set(e, ERR_CONFIG, "interface %.15s is duplicated", interface);
		str_addf(&all->interfaces, "%s%.15s", all->named++ ? ", " : "", interface);
	}
	if (all->named && all->named < all->n)
		return err_set(e, ERR_CONFIG, "some elements have an interface, others have none");
	return 0;
}

/* Which of the elements without names is for the NIC, from 0. */
static int find_place(const struct choice_input *in, size_t *out, struct err *e)
{
	uint32_t place;

	*out = 0;
	if (streq(in->nic, "eth0"))
		return 0;
	if (*in->networks) {
		*out = network_place(in->networks, in->nic);
		if (!*out)
			return err_set(e, ERR_CONFIG,
			               "no element has an interface, and the annotation "
			               "k8s.v1.cni.cncf.io/networks does not tell the place of %s",
			               in->nic);
		return 0;
	}
	if (!str_starts(in->nic, "net") || parse_u32(in->nic + 3, 1, NICS_MAX, &place, NULL) < 0)
		return err_set(e, ERR_CONFIG,
		               "no element has an interface, and the place of %s is not known",
		               in->nic);
	*out = place;
	return 0;
}

static const json *find_element(const json *list, const char *nic, size_t place, bool named)
{
	json_each(o, list)
	{
		if (named ? streq(json_str_at(o, "interface", NULL), nic) : !place--)
			return o;
	}
	return NULL;
}

static int choose_element(const struct choice_input *in, const json *list,
                          const struct elements *all, struct choice *c, struct err *e)
{
	const char *interface;
	const json *mine;
	size_t place = 0;

	if (!all->named && find_place(in, &place, e) < 0)
		return -1;
	mine = find_element(list, in->nic, place, all->named);
	if (!mine && all->named)
		return err_set(e, ERR_CONFIG, "%s is not listed, only %s", in->nic,
		               all->interfaces.data);
	if (!mine)
		return err_set(e, ERR_CONFIG, "%s is number %zu, and there are only %zu elements",
		               in->nic, place + 1, all->n);
	if (read_element(mine, c, &interface, e) < 0)
		return -1;
	if (is_empty(c))
		return err_set(e, ERR_CONFIG, "no IPPool is named for %s", in->nic);
	return 0;
}

static int from_ippools(const struct choice_input *in, struct choice *c, struct err *e)
{
	AUTO_JSON *list = NULL;
	struct elements all = { 0, 0, STR_INIT };
	int rc;

	c->source = "annotation " CHOICE_IPPOOLS;
	if (parse(in->ippools, &list, e) < 0)
		return -1;
	if (!json_is_array(list))
		return err_set(e, ERR_CONFIG, "not a list");
	json_each(o, list)
	{
		note_unknown(c, o, "interface ipv4 ipv6 cleanGateway cleangateway");
	}
	rc = check_elements(list, &all, e);
	if (rc == 0)
		rc = choose_element(in, list, &all, c, e);
	str_release(&all.interfaces);
	return rc;
}

static int from_ippool(const struct choice_input *in, struct choice *c, struct err *e)
{
	AUTO_JSON *o = NULL;

	c->source = "annotation " CHOICE_IPPOOL;
	if (parse(in->ippool, &o, e) < 0)
		return -1;
	if (!json_is_object(o))
		return err_set(e, ERR_CONFIG, "not an object");
	/* the first two do no harm, and some have them from ippools */
	note_unknown(c, o, "interface cleangateway ipv4 ipv6");
	if (take_families(c, o, e) < 0)
		return -1;
	if (is_empty(c))
		return err_set(e, ERR_CONFIG, "no IPPool is named");
	return 0;
}

static int from_list(const char *text, int family, struct choice *c, struct err *e)
{
	AUTO_JSON *list = NULL;

	return parse(text, &list, e) < 0 ? -1 : take_names(c, family, list, e);
}

static int from_namespace(const struct choice_input *in, struct choice *c, struct err *e)
{
	c->source = "namespace annotation " CHOICE_DEFAULT_IPV6;
	if (*in->default_ipv6 && from_list(in->default_ipv6, V6, c, e) < 0)
		return -1;
	if (!*in->default_ipv4)
		return 0;
	c->source = "namespace annotation " CHOICE_DEFAULT_IPV4;
	return from_list(in->default_ipv4, V4, c, e);
}

static int from_conf(const struct choice_input *in, struct choice *c, struct err *e)
{
	c->source = "network configuration";
	if (take_names(c, V4, in->conf_ipv4, e) < 0)
		return err_wrap(e, "default_ipv4_ippool");
	if (take_names(c, V6, in->conf_ipv6, e) < 0)
		return err_wrap(e, "default_ipv6_ippool");
	return 0;
}

static int try_sources(const struct choice_input *in, struct choice *c, struct err *e)
{
	if (*in->ippools)
		return from_ippools(in, c, e);
	if (*in->ippool)
		return from_ippool(in, c, e);
	if (from_namespace(in, c, e) < 0)
		return -1;
	/* empty lists of these two are none, as without them */
	if (!is_empty(c))
		return 0;
	choice_release(c);
	c->clean_gateway = in->conf_clean_gateway;
	if (from_conf(in, c, e) < 0)
		return -1;
	if (is_empty(c))
		c->source = "cluster default";
	return 0;
}

int choose(const struct choice_input *in, struct choice *out, struct err *e)
{
	struct choice c = { .clean_gateway = in->conf_clean_gateway };
	struct err why;

	if (try_sources(in, &c, &why) < 0) {
		err_fill(e, ERR_CONFIG, "wrong input: %s: %s%s%.200s", c.source, why.msg,
		         c.unknown ? "; unknown keys: " : "", c.unknown ? c.unknown : "");
		choice_release(&c);
		return -1;
	}
	c.named = !is_empty(&c);
	*out = c;
	return 0;
}

static int read_route(const json *o, struct pool_route *out, struct err *e)
{
	const char *dst, *gw;

	if (!json_is_object(o))
		return err_set(e, ERR_CONFIG, "not a list of objects");
	if (json_str(o, "dst", &dst, e) < 0 || json_str(o, "gw", &gw, e) < 0)
		return -1;
	if (cidr_parse(dst, &out->dst, e) < 0)
		return err_wrap(e, "dst");
	if (ip_parse(gw, &out->gw, e) < 0)
		return err_wrap(e, "gw");
	if (out->gw.family != out->dst.ip.family)
		return err_set(e, ERR_CONFIG, "dst %s and gw %s are not of one family",
		               cidr_str(out->dst).s, ip_str(out->gw).s);
	out->dst = cidr_network(out->dst);
	return 0;
}

static int read_routes(const char *text, struct pool_route **out, size_t *n, struct err *e)
{
	AUTO_JSON *list = NULL;

	if (parse(text, &list, e) < 0)
		return -1;
	if (!json_is_array(list))
		return err_set(e, ERR_CONFIG, "not a list");
	if (json_count(list) > ROUTES_MAX)
		return err_set(e, ERR_CONFIG, "more than %d routes", ROUTES_MAX);
	*out = xcalloc(json_count(list) + 1, sizeof(**out));
	json_each(o, list)
	{
		if (read_route(o, &(*out)[*n], e) < 0)
			return -1;
		++*n;
	}
	return 0;
}

int routes_read(const char *text, struct pool_route **out, size_t *n, struct err *e)
{
	AUTO_FREE struct pool_route *v = NULL;
	size_t count = 0;
	struct err why;

	if (*text && read_routes(text, &v, &count, &why) < 0)
		return err_set(e, ERR_CONFIG, "wrong input: annotation " CHOICE_ROUTES ": %s",
		               why.msg);
	*out = take_ptr(&v);
	*n = count;
	return 0;
}
