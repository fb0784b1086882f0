/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ippool.c - SpiderIPPool and SpiderReservedIP objects to values, and the status patch back.
 */
#include <stdlib.h>
#include <string.h>

#include "k8s/ippool.h"
#include "k8s/labels.h"

static int read_ranges(const json *spec, const char *key, struct ip_set *out, struct err *e)
{
	const json *list = NULL;

	if (json_opt_strs(spec, key, &list, e) < 0)
		return -1;
	json_each(item, list)
	{
		struct ip_range r;

		if (ip_range_parse(json_text(item), &r, e) < 0)
			return err_wrap(e, "%s", key);
		ip_set_add(out, r);
	}
	return 0;
}

static int read_names(const json *spec, const char *key, char ***out, size_t *n, struct err *e)
{
	const json *list = NULL;

	if (json_opt_strs(spec, key, &list, e) < 0)
		return -1;
	*out = xcalloc(json_count(list), sizeof(**out));
	json_each(item, list)
	{
		(*out)[(*n)++] = xstrdup(json_text(item));
	}
	return 0;
}

static int read_routes(const json *spec, struct pool *p, struct err *e)
{
	const json *list = NULL;

	if (json_opt_arr(spec, "routes", &list, e) < 0)
		return -1;
	p->routes = xcalloc(json_count(list), sizeof(*p->routes));
	json_each(item, list)
	{
		struct pool_route *r = &p->routes[p->n_routes];
		const char *dst, *gw;

		if (json_str(item, "dst", &dst, e) < 0 || json_str(item, "gw", &gw, e) < 0 ||
		    cidr_parse(dst, &r->dst, e) < 0 || ip_parse(gw, &r->gw, e) < 0)
			return err_wrap(e, "routes");
		p->n_routes++;
	}
	return 0;
}

static int read_spec(const json *spec, struct pool *p, struct err *e)
{
	const char *subnet, *gateway = NULL;
	int64_t version = 0;

	/* first: these count of one that is broken, too */
	if (json_opt_bool(spec, "default", &p->is_default, e) < 0 ||
	    json_opt_bool(spec, "disable", &p->disabled, e) < 0)
		return -1;
	if (json_str(spec, "subnet", &subnet, e) < 0 || cidr_parse(subnet, &p->subnet, e) < 0)
		return err_wrap(e, "subnet");
	p->family = p->subnet.ip.family;
	if (json_opt_i64(spec, "ipVersion", &version, e) < 0)
		return -1;
	if (version && version != p->family)
		return err_set(e, ERR_CONFIG, "ipVersion %lld and subnet %s do not fit",
		               (long long)version, subnet);
	if (json_opt_str(spec, "gateway", &gateway, e) < 0 ||
	    (gateway && *gateway && ip_parse(gateway, &p->gateway, e) < 0))
		return err_wrap(e, "gateway");
	if (read_ranges(spec, "ips", &p->ips, e) < 0 ||
	    read_ranges(spec, "excludeIPs", &p->excluded, e) < 0 ||
	    read_names(spec, "nodeName", &p->node_names, &p->n_node_names, e) < 0 ||
	    read_names(spec, "namespaceName", &p->namespace_names, &p->n_namespace_names, e) < 0 ||
	    read_names(spec, "multusName", &p->multus_names, &p->n_multus_names, e) < 0 ||
	    read_routes(spec, p, e) < 0 ||
	    selector_read(spec, "podAffinity", &p->pod_affinity, e) < 0 ||
	    selector_read(spec, "namespaceAffinity", &p->namespace_affinity, e) < 0)
		return -1;
	return selector_read(spec, "nodeAffinity", &p->node_affinity, e);
}

static const char *text_or_empty(const json *o, const char *key)
{
	const char *s = json_str_at(o, key, NULL);

	return s ? s : "";
}

/* Why a controller found what the spec says now not to be ready; what it said of an earlier one is
 * old. */
static char *read_condition(const json *object)
{
	int64_t now = 0;

	IGNORE(json_opt_i64(json_get(object, "metadata"), "generation", &now, NULL));
	json_each(c, json_at(object, "status", "conditions", NULL))
	{
		const char *message = text_or_empty(c, "message"), *reason;
		int64_t seen = now;

		if (!streq(text_or_empty(c, "type"), "Ready") ||
		    !streq(text_or_empty(c, "status"), "False") ||
		    json_opt_i64(c, "observedGeneration", &seen, NULL) < 0 || seen != now)
			continue;
		reason = text_or_empty(c, "reason");
		return *message ? xstrdup(message)
		                : xstrdup(*reason ? reason : "its condition Ready is False");
	}
	return NULL;
}

static void add_member_name(struct str *out, const char *comma, const char *key)
{
	str_add(out, comma);
	json_print_text(key, out);
	str_addc(out, ':');
}

static const char *const keep_names[] = { "", "StatefulSet", "VirtualMachineInstance" };

const char *ippool_keep_name(enum pool_keep keep)
{
	return keep_names[keep];
}

static char *borrow(const json *o, const char *key)
{
	return (char *)(uintptr_t)text_or_empty(o, key);
}

static enum pool_keep keep_of(const char *name)
{
	for (size_t i = 1; i < ARRAY_LEN(keep_names); i++)
		if (streq(name, keep_names[i]))
			return (enum pool_keep)i;
	return POOL_KEEP_NO;
}

static void read_record(const json *item, struct ip ip, struct pool *p)
{
	struct pool_record r = {
		.ip = ip,
		.pod = borrow(item, "pod"),
		.uid = borrow(item, "podUid"),
		.nic = borrow(item, "nic"),
		.cid = borrow(item, "cid"),
		.node = borrow(item, "node"),
		.conflict = borrow(item, "conflict"),
	};

	IGNORE(json_opt_i64(item, "since", &r.since, NULL)); /* strange: as good as none */
	r.keep = keep_of(text_or_empty(item, "keep"));
	pool_put(p, &r);
}

/* A string of printable ASCII without escapes; *at is behind it then.  Cut out in place. */
static char *scan_word(char **at)
{
	char *start = *at, *p = start + 1;

	if (*start != '"')
		return NULL;
	while (*p > ' ' - 1 && *p != '"' && *p != '\\' && *p != 0x7f)
		p++;
	if (*p != '"')
		return NULL;
	*p = '\0';
	*at = p + 1;
	return start + 1;
}

static bool scan_char(char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool scan_members(char **at, struct pool_record *r)
{
	struct {
		const char *key;
		char **to;
	} members[] = { { "pod", &r->pod },
		        { "podUid", &r->uid },
		        { "nic", &r->nic },
		        { "cid", &r->cid },
		        { "node", &r->node } };
	char *key, *value;

	do {
		size_t i = 0;

		key = scan_word(at);
		if (!key || !scan_char(at, ':') || !(value = scan_word(at)))
			return false;
		while (i < ARRAY_LEN(members) && !streq(key, members[i].key))
			i++;
		if (i < ARRAY_LEN(members))
			*members[i].to = value;
		else if (streq(key, "keep"))
			r->keep = keep_of(value);
		else
			return false;
	} while (scan_char(at, ','));
	return scan_char(at, '}');
}

/*
 * The records as we write them, many times faster than by way of a tree: with five hundred pods in
 * a pool that is most of what an agent does.  False: something is otherwise, and the parser has to
 * look at it.  The text is destroyed.
 */
static bool scan_records(char *text, struct pool *p)
{
	char *at = text, *key;

	if (!scan_char(&at, '{'))
		return false;
	do {
		struct pool_record r = { .since = 0 };

		key = scan_word(&at);
		if (!key || !scan_char(&at, ':') || !scan_char(&at, '{') ||
		    ip_parse(key, &r.ip, NULL) < 0 || !scan_members(&at, &r))
			return false;
		pool_append(p, &r);
	} while (scan_char(&at, ','));
	return scan_char(&at, '}') && !*at && pool_sort(p);
}

static int read_records(const json *object, struct pool *p, struct err *e)
{
	const char *text = json_str_at(object, "status", "allocatedIPs", NULL);
	AUTO_FREE char *copy = text && *text ? xstrdup(text) : NULL;
	AUTO_JSON *records = NULL;
	AUTO_STR foreign = STR_INIT;

	if (!copy || scan_records(copy, p))
		return 0;
	pool_clear_records(p);
	p->unreadable = true;
	if (json_parse(text, strlen(text), 0, &records, e) < 0)
		return -1;
	if (!json_is_object(records))
		return err_set(e, ERR_PROTO, "not an object");
	p->unreadable = false;
	json_each(item, records)
	{
		struct ip ip;

		if (ip_parse(json_name(item), &ip, e) == 0) {
			read_record(item, ip, p);
			continue;
		}
		/* kept, like all behind it: a release writes the whole text anew */
		add_member_name(&foreign, foreign.len ? "," : "", json_name(item));
		json_print(item, &foreign);
	}
	if (!foreign.len)
		return 0;
	p->foreign = str_take(&foreign);
	return -1;
}

int ippool_read(const json *object, struct pool *out, struct err *e)
{
	const char *name = json_str_at(object, "metadata", "name", NULL);
	struct err why = { ERR_NONE, 0, 0, "" };

	if (!name || !*name)
		return err_set(e, ERR_PROTO, "a SpiderIPPool without a name");
	memset(out, 0, sizeof(*out));
	out->name = xstrdup(name);
	out->uid = xstrdup(text_or_empty(json_get(object, "metadata"), "uid"));
	out->version = xstrdup(text_or_empty(json_get(object, "metadata"), "resourceVersion"));
	out->created = xstrdup(text_or_empty(json_get(object, "metadata"), "creationTimestamp"));
	out->terminating = json_str_at(object, "metadata", "deletionTimestamp", NULL) != NULL;
	out->not_ready = read_condition(object);
	if (read_spec(json_get(object, "spec"), out, &why) < 0)
		out->bad = xasprintf("spec.%s", why.msg);
	if (read_records(object, out, &why) < 0 && !out->bad)
		out->bad = xasprintf("status.allocatedIPs: %s", why.msg);
	if (!out->bad)
		out->bad = pool_check(out);
	return 0;
}

struct line {
	struct ip_str key;
	const struct pool_record *record;
};

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return strcmp(x->key.s, y->key.s);
}

/* The key is a word of ours, the value mostly is one. */
static void add_member(struct str *out, const char *before, const char *value)
{
	str_add(out, before);
	json_print_text(value, out);
}

/* Written out, not made as a tree: there may be thousands, for each address that is given. */
void ippool_records_text(const struct pool *p, struct str *out)
{
	AUTO_FREE struct line *lines = xcalloc(p->n_records, sizeof(*lines));

	for (size_t i = 0; i < p->n_records; i++)
		lines[i] = (struct line){ ip_str(p->records[i].ip), &p->records[i] };
	qsort(lines, p->n_records, sizeof(*lines), compare_lines);
	str_addc(out, '{');
	for (size_t i = 0; i < p->n_records; i++) {
		const struct pool_record *r = lines[i].record;

		str_add(out, i ? ",\"" : "\"");
		str_add(out, lines[i].key.s);
		add_member(out, "\":{\"pod\":", r->pod);
		add_member(out, ",\"podUid\":", r->uid);
		if (*r->nic)
			add_member(out, ",\"nic\":", r->nic);
		if (*r->cid)
			add_member(out, ",\"cid\":", r->cid);
		if (*r->node)
			add_member(out, ",\"node\":", r->node);
		if (r->keep)
			add_member(out, ",\"keep\":", keep_names[r->keep]);
		if (*r->conflict) {
			add_member(out, ",\"conflict\":", r->conflict);
			str_addf(out, ",\"since\":%lld", (long long)r->since);
		}
		str_addc(out, '}');
	}
	if (p->foreign)
		str_addf(out, "%s%s", p->n_records ? "," : "", p->foreign);
	str_addc(out, '}');
}

json *ippool_status_patch(const struct pool *p)
{
	json *patch = json_new_object(), *status;
	AUTO_STR text = STR_INIT;
	uint64_t total = pool_total(p);

	json_set_str(json_ensure_object(patch, "metadata"), "resourceVersion", p->version);
	status = json_ensure_object(patch, "status");
	if (p->n_records || p->foreign) {
		ippool_records_text(p, &text);
		json_set_str(status, "allocatedIPs", text.data);
	} else {
		json_set_null(status, "allocatedIPs");
	}
	json_set_i64(status, "allocatedIPCount", (int64_t)p->n_records);
	/* the field is an int64 that JSON readers must hold exactly */
	json_set_i64(status, "totalIPCount",
	             total > (1ULL << 53) - 1 ? (1LL << 53) - 1 : (int64_t)total);
	return patch;
}

int reservedip_read(const json *object, struct ip_set *set, struct err *e)
{
	const json *list = NULL;
	int rc = 0;

	if (json_opt_strs(json_get(object, "spec"), "ips", &list, e) < 0)
		return -1;
	json_each(item, list)
	{
		struct ip_range r;

		if (ip_range_parse(json_text(item), &r, e) < 0)
			rc = -1;
		else
			ip_set_add(set, r);
	}
	return rc;
}
