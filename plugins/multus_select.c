/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_select.c - see multus_select.h.
 */
#include <string.h>

#include "net/ip.h"
#include "net/link.h"
#include "plugins/multus_select.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Lower-case letters, digits and "-", the latter not at the ends (RFC 1123). */
static int check_label(const char *what, const char *s, struct err *e)
{
	size_t n = strlen(s);

	for (const char *p = s; *p; p++)
		if (!is_alnum(*p) && (*p != '-' || p == s || p == s + n - 1))
			return err_set(e, ERR_CONFIG,
			               "%s \"%s\" may hold lower-case letters, digits and \"-\" "
			               "and begins and ends with a letter or digit",
			               what, s);
	return n ? 0 : err_set(e, ERR_CONFIG, "%s is empty", what);
}

/* Every pod has its lo; who names it means something else. */
static int check_ifname(const char *name, struct err *e)
{
	if (streq(name, "lo"))
		return err_set(e, ERR_CONFIG,
		               "interface name \"lo\": every pod has that one already");
	return link_check_name(name, e);
}

/* One "[namespace/]name[@interface]"; the text is taken apart in place. */
static int read_item(char *item, const char *default_ns, json **out, struct err *e)
{
	char *slash = strchr(item, '/'), *at = NULL;
	const char *ns = default_ns, *name, *ifname = NULL;

	if (slash) {
		*slash = '\0';
		ns = str_trim(item);
		item = slash + 1;
	}
	at = strchr(item, '@');
	if (at) {
		*at = '\0';
		ifname = str_trim(at + 1);
	}
	name = str_trim(item);
	if (check_label("network name", name, e) < 0 || check_label("namespace", ns, e) < 0 ||
	    (ifname && check_ifname(ifname, e) < 0))
		return -1;
	*out = json_new_object();
	json_set_str(*out, "name", name);
	json_set_str(*out, "namespace", ns);
	json_set_str(*out, "interface", ifname);
	return 0;
}

static int read_items(const char *text, const char *default_ns, json *list, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(text);
	char *rest = copy, *item;

	while ((item = strsep(&rest, ","))) {
		AUTO_FREE char *whole = xstrdup(str_trim(item));
		json *one = NULL;

		if (read_item(item, default_ns, &one, e) < 0)
			return err_wrap(e, "\"%s\"", whole);
		json_append(list, one);
	}
	return 0;
}

/* The JSON form. */
static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Groups of `digits` digits with one of `separators` between them: how many; 0: it is something
 * else. */
static size_t count_groups(const char *s, size_t digits, const char *separators)
{
	char separator = '\0';
	size_t groups = 0;

	for (;; s++) {
		for (size_t i = 0; i < digits; i++)
			if (!is_hex(*s++))
				return 0;
		groups++;
		if (!*s)
			return groups;
		if (!strchr(separators, *s) || (separator && *s != separator))
			return 0;
		separator = *s;
	}
}

/* Of 6, 8 or 20 bytes: Ethernet, EUI-64, InfiniBand. */
static int check_mac(const json *o, const char *key, struct err *e)
{
	const char *s = "";
	size_t bytes;

	if (json_opt_str(o, key, &s, e) < 0)
		return -1;
	if (!*s)
		return 0;
	bytes = count_groups(s, 2, ":-");
	if (!bytes)
		bytes = 2 * count_groups(s, 4, ".");
	if (bytes == 6 || bytes == 8 || bytes == 20)
		return 0;
	return err_set(e, ERR_CONFIG, "%s: \"%s\" is no hardware address", key, s);
}

static int check_ips(const json *o, const char *key, bool with_length, struct err *e)
{
	const json *list = NULL;

	if (json_opt_strs(o, key, &list, e) < 0)
		return -1;
	json_each(v, list)
	{
		struct cidr c;
		struct ip ip;

		if (strchr(json_text(v), '/') && with_length ? cidr_parse(json_text(v), &c, e) < 0
		                                             : ip_parse(json_text(v), &ip, e) < 0)
			return err_wrap(e, "%s", key);
	}
	return 0;
}

/* Numbers for those, strings for the others. */
static int check_members(const json *o, const char *numbers, const char *strings, struct err *e)
{
	json_each(m, o)
	{
		const char *key = json_name(m), *s;
		int64_t n;

		if (json_is_known(numbers, key) && json_opt_i64(o, key, &n, e) < 0)
			return -1;
		if (json_is_known(strings, key) && json_opt_str(o, key, &s, e) < 0)
			return -1;
	}
	return 0;
}

static int check_requests(const json *o, struct err *e)
{
	const json *ports = NULL, *bandwidth = NULL, *args = NULL;

	if (json_opt_arr(o, "portMappings", &ports, e) < 0 ||
	    json_opt_obj(o, "bandwidth", &bandwidth, e) < 0 ||
	    json_opt_obj(o, "cni-args", &args, e) < 0)
		return -1;
	json_each(p, ports)
	{
		if (!json_is_object(p))
			return err_set(e, ERR_CONFIG, "portMappings: not a list of objects");
		if (check_members(p, "hostPort containerPort", "protocol hostIP", e) < 0)
			return err_wrap(e, "portMappings");
	}
	if (check_members(bandwidth, "ingressRate ingressBurst egressRate egressBurst", "", e) < 0)
		return err_wrap(e, "bandwidth");
	return 0;
}

static int read_names(json *o, const char *default_ns, struct err *e)
{
	const char *name = "", *ns = "", *ifname = "", *device = "", *older = "";

	if (json_opt_str(o, "name", &name, e) < 0 || json_opt_str(o, "namespace", &ns, e) < 0 ||
	    json_opt_str(o, "interface", &ifname, e) < 0 ||
	    json_opt_str(o, "interfaceRequest", &older, e) < 0 ||
	    json_opt_str(o, "deviceID", &device, e) < 0)
		return -1;
	if (!*ifname && *older) {
		ifname = older;
		json_set_str(o, "interface", older);
	}
	if (*ifname && check_ifname(ifname, e) < 0)
		return -1;
	if (!*name || strchr(name, '/') || strchr(ns, '/'))
		return err_set(e, ERR_CONFIG, "\"%s\" is no name of a network", name);
	if (!*ns)
		json_set_str(o, "namespace", default_ns);
	return 0;
}

static int read_element(json *o, const char *default_ns, struct err *e)
{
	if (!json_is_object(o))
		return err_set(e, ERR_CONFIG, "not an object");
	if (read_names(o, default_ns, e) < 0 || check_ips(o, "ips", true, e) < 0 ||
	    check_ips(o, "default-route", false, e) < 0 || check_mac(o, "mac", e) < 0 ||
	    check_mac(o, "infiniband-guid", e) < 0)
		return -1;
	return check_requests(o, e);
}

static int read_json(const char *text, const char *default_ns, json *list, struct err *e)
{
	AUTO_JSON *given = NULL;
	size_t n;

	if (json_parse(text, strlen(text), 0, &given, e) < 0)
		return -1;
	if (!json_is_array(given))
		return err_set(e, ERR_CONFIG, "not a list");
	n = json_count(given);
	for (size_t i = 0; i < n; i++) {
		json *o = json_detach(given, json_first(given));

		json_append(list, o);
		if (read_element(o, default_ns, e) < 0)
			return err_wrap(e, "element %zu", i + 1);
	}
	return 0;
}

int multus_select(const char *text, const char *default_ns, json **out, struct err *e)
{
	AUTO_JSON *list = json_new_array();
	int rc;

	if (strpbrk(text, "[{\""))
		rc = read_json(text, default_ns, list, e);
	else
		rc = read_items(text, default_ns, list, e);
	if (rc < 0) {
		if (e)
			e->kind = ERR_CONFIG;
		return -1;
	}
	/* "[]" names none, as programs write it that have nothing to add */
	if (json_count(list) > MULTUS_NETWORKS_MAX)
		return err_set(e, ERR_CONFIG, "it names %zu networks", json_count(list));
	*out = take_ptr(&list);
	return 0;
}
