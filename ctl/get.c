/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get.c - tables, names and YAML from objects.  The columns are those of the CRDs in deploy/, which
 * the API server uses when it answers kubectl; keep them alike.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "ctl/get.h"
#include "ctl/table.h"

struct column {
	const char *header; /* NULL: no more */
	const char *path;   /* names separated by '/'; "0" is the first element of an array */
	bool wide;          /* with -o wide only */
};

static const struct column pool_columns[] = {
	{ "VERSION", "spec/ipVersion", false },
	{ "SUBNET", "spec/subnet", false },
	{ "ALLOCATED-IP-COUNT", "status/allocatedIPCount", false },
	{ "TOTAL-IP-COUNT", "status/totalIPCount", false },
	{ "DEFAULT", "spec/default", false },
	{ "DISABLE", "spec/disable", true },
	{ "NODENAME", "spec/nodeName", true },
	{ "MULTUSNAME", "spec/multusName", true },
	{ "APP-NAMESPACE", "spec/podAffinity/matchLabels/ipam.spidernet.io~app-namespace", true },
	{ NULL, NULL, false },
};

static const struct column endpoint_columns[] = {
	{ "INTERFACE", "status/current/ips/0/interface", false },
	{ "IPV4POOL", "status/current/ips/0/ipv4Pool", false },
	{ "IPV4", "status/current/ips/0/ipv4", false },
	{ "IPV6POOL", "status/current/ips/0/ipv6Pool", false },
	{ "IPV6", "status/current/ips/0/ipv6", false },
	{ "NODE", "status/current/node", false },
	{ NULL, NULL, false },
};

static const struct column reserved_columns[] = {
	{ "VERSION", "spec/ipVersion", false },
	{ NULL, NULL, false },
};

static const struct column age_columns[] = {
	{ "AGE", NULL, false },
	{ NULL, NULL, false },
};

static const struct column *columns_of(enum store_kind kind)
{
	switch (kind) {
	case STORE_IPPOOL:
		return pool_columns;
	case STORE_ENDPOINT:
		return endpoint_columns;
	case STORE_RESERVEDIP:
		return reserved_columns;
	default:
		return age_columns;
	}
}

int get_kind(const char *word, enum store_kind *out, struct err *e)
{
	AUTO_FREE char *plain = xstrdup(word);
	char *dot = strchr(plain, '.');
	int k;

	if (dot)
		*dot++ = '\0';
	k = store_kind_by_name(plain);
	if (k >= 0 && dot) {
		const struct k8s_resource *r = &store_kind_info((enum store_kind)k)->resource;
		AUTO_FREE char *versioned = xasprintf("%s.%s", r->version, r->group);

		if (!streq(dot, r->group) && !streq(dot, versioned))
			k = -1;
	}
	if (k < 0)
		return err_set(e, ERR_USAGE, "there is no kind \"%s\" here: %s", word,
		               "try ippools, endpoints or reservedips");
	*out = (enum store_kind)k;
	return 0;
}

char *get_prefix(enum store_kind kind)
{
	const struct store_kind_info *info = store_kind_info(kind);
	const char *group = info->resource.group;
	char *s = xasprintf("%s%s%s", info->kind, *group ? "." : "", group);

	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

static const char *meta(const json *o, const char *key)
{
	const char *s = json_str_at(o, "metadata", key, NULL);

	return s ? s : "";
}

struct place {
	const json *object;
};

static int compare_objects(const void *a, const void *b)
{
	const json *x = ((const struct place *)a)->object, *y = ((const struct place *)b)->object;
	int c = strcmp(meta(x, "namespace"), meta(y, "namespace"));

	return c ? c : strcmp(meta(x, "name"), meta(y, "name"));
}

json *get_sorted(const json *items)
{
	AUTO_FREE struct place *list = xcalloc(json_count(items), sizeof(*list));
	json *out = json_new_array();
	size_t n = 0;

	json_each(o, items)
	{
		list[n++].object = o;
	}
	if (n)
		qsort(list, n, sizeof(*list), compare_objects);
	for (size_t i = 0; i < n; i++)
		json_append(out, json_copy(list[i].object));
	return out;
}

/* Follows a column's path; "~" stands for a '/' inside a name. */
static const json *follow(const json *o, const char *path)
{
	AUTO_FREE char *copy = xstrdup(path);
	char *save = copy, *name;

	while (o && (name = strsep(&save, "/"))) {
		for (char *p = name; *p; p++)
			if (*p == '~')
				*p = '/';
		o = streq(name, "0") ? json_first(o) : json_get(o, name);
	}
	return o;
}

static void add_value(struct table *t, const json *v)
{
	AUTO_STR text = STR_INIT;

	if (json_is_string(v))
		str_add(&text, json_text(v));
	else if (v && !json_is_null(v))
		json_print(v, &text);
	table_add(t, text.data);
}

char *get_age(int64_t s)
{
	long long m = s / 60, h = s / 3600, d = s / 86400;

	if (s < 0)
		s = 0;
	if (s < 120)
		return xasprintf("%llds", (long long)s);
	if (m < 10)
		return s % 60 ? xasprintf("%lldm%llds", m, (long long)s % 60)
		              : xasprintf("%lldm", m);
	if (h < 3)
		return xasprintf("%lldm", m);
	if (h < 8)
		return m % 60 ? xasprintf("%lldh%lldm", h, m % 60) : xasprintf("%lldh", h);
	if (h < 48)
		return xasprintf("%lldh", h);
	if (d < 8)
		return h % 24 ? xasprintf("%lldd%lldh", d, h % 24) : xasprintf("%lldd", d);
	return xasprintf("%lldd", d);
}

static void add_age(struct table *t, const json *o, time_t now)
{
	AUTO_FREE char *age = NULL;
	int64_t created;

	if (date_parse(meta(o, "creationTimestamp"), &created))
		age = get_age((int64_t)now - created);
	table_add(t, age ? age : "<unknown>");
}

void get_table(enum store_kind kind, const json *items, bool wide, bool all_namespaces, time_t now,
               struct str *out)
{
	const struct column *columns = columns_of(kind);
	bool with_ns = all_namespaces && store_kind_info(kind)->resource.namespaced;
	size_t n = 1 + with_ns;
	AUTO_TABLE t;

	for (const struct column *c = columns; c->header; c++)
		n += wide || !c->wide;
	table_init(&t, n);
	if (with_ns)
		table_add(&t, "NAMESPACE");
	table_add(&t, "NAME");
	for (const struct column *c = columns; c->header; c++)
		if (wide || !c->wide)
			table_add(&t, c->header);
	json_each(o, items)
	{
		if (with_ns)
			table_add(&t, meta(o, "namespace"));
		table_add(&t, meta(o, "name"));
		for (const struct column *c = columns; c->header; c++) {
			if (c->wide && !wide)
				continue;
			if (c->path)
				add_value(&t, follow(o, c->path));
			else
				add_age(&t, o, now);
		}
	}
	table_print(&t, out);
}

void get_names(enum store_kind kind, const json *items, struct str *out)
{
	AUTO_FREE char *prefix = get_prefix(kind);

	json_each(o, items)
	{
		str_addf(out, "%s/%s\n", prefix, meta(o, "name"));
	}
}

static json *without_bookkeeping(const json *object)
{
	json *copy = json_copy(object), *metadata = json_get_mut(copy, "metadata");

	if (metadata)
		json_remove(metadata, "managedFields");
	return copy;
}

json *get_document(const json *items, bool one)
{
	json *list, *copies;

	if (one)
		return without_bookkeeping(json_first(items));
	list = json_new_object();
	copies = json_new_array();
	json_each(o, items)
	{
		json_append(copies, without_bookkeeping(o));
	}
	json_set_str(list, "apiVersion", "v1");
	json_set_str(list, "kind", "List");
	json_set(list, "items", copies);
	json_set_str(json_ensure_object(list, "metadata"), "resourceVersion", "");
	return list;
}

/* May a string stand without quotes?  When in doubt, no. */
static bool plain(const char *s)
{
	static const char words[][6] = { "null", "true", "false", "yes", "no", "on",
		                         "off",  "y",    "n",     "nan", "inf" };

	if (!isalpha((unsigned char)*s) && *s != '/')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return false;
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_./", *p))
			return false;
	return true;
}

static void add_text(const char *s, struct str *out)
{
	json *text;

	if (plain(s)) {
		str_add(out, s);
		return;
	}
	text = json_new_str(s); /* a JSON string is a YAML one */
	json_print(text, out);
	json_free(text);
}

/* A value behind "key:" or "-", at this depth; ends its line. */
static void add_yaml(const json *v, int depth, bool in_list, struct str *out)
{
	bool first = in_list; /* "- key: value": the first member stands behind the dash */

	if (!json_first(v)) {
		str_addc(out, ' ');
		if (json_is_string(v))
			add_text(json_text(v), out);
		else
			json_print(v, out); /* also {} and [] */
		str_addc(out, '\n');
		return;
	}
	if (!in_list || json_is_array(v))
		str_addc(out, '\n');
	json_each(child, v)
	{
		if (json_is_array(v)) {
			str_addf(out, "%*s-", depth * 2, "");
			add_yaml(child, depth + 1, true, out);
			continue;
		}
		str_addf(out, "%*s", first ? 1 : depth * 2, "");
		first = false;
		add_text(json_name(child), out);
		str_addc(out, ':');
		/* lists stand at their key's own depth, as kubectl writes them */
		add_yaml(child, json_is_array(child) ? depth : depth + 1, false, out);
	}
}

void get_yaml(const json *value, struct str *out)
{
	AUTO_STR text = STR_INIT;

	add_yaml(value, 0, false, &text);
	str_add(out, text.data + 1); /* without the line break or blank behind a key */
}
