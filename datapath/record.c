/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - the coordinator's records as JSON.
 */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "cni/record.h"
#include "datapath/record.h"

static const struct record_field fields[] = {
	{ "containerID", offsetof(struct datapath_record, container_id) },
	{ "ifName", offsetof(struct datapath_record, ifname) },
	{ "netNamespace", offsetof(struct datapath_record, netns) },
	{ "bootID", offsetof(struct datapath_record, boot_id) },
};

void datapath_record_release(struct datapath_record *r)
{
	record_free_strings(r, fields, ARRAY_LEN(fields));
	free(r->pod_ips);
	free(r->node_ips);
	free(r->hijack);
	free(r->policy);
	free(r->policy_gws);
	r->pod_ips = r->node_ips = NULL;
	r->policy_gws = NULL;
	r->hijack = r->policy = NULL;
	r->n_pod_ips = r->n_node_ips = r->n_hijack = r->n_policy = 0;
}

static void release_any(void *r)
{
	datapath_record_release(r);
}

static int read_name(const json *j, const char *key, char out[IFNAMSIZ], struct err *e)
{
	const char *name;

	if (json_str(j, key, &name, e) < 0)
		return -1;
	if (link_check_name(name, e) < 0)
		return err_wrap(e, "%s", key);
	snprintf(out, IFNAMSIZ, "%s", name);
	return 0;
}

static int read_mac(const json *j, const char *key, struct mac *out, struct err *e)
{
	const char *text;

	if (json_str(j, key, &text, e) < 0)
		return -1;
	return mac_parse(text, out, e) < 0 ? err_wrap(e, "%s", key) : 0;
}

static int read_table(const json *j, const char *key, uint32_t *out, struct err *e)
{
	int64_t v;

	if (json_i64(j, key, &v, e) < 0)
		return -1;
	if (v < 1 || v > UINT32_MAX)
		return err_set(e, ERR_CONFIG, "%s: %lld is no table", key, (long long)v);
	*out = (uint32_t)v;
	return 0;
}

static int read_ips(const json *j, const char *key, struct ip **out, size_t *n, struct err *e)
{
	const json *list = NULL;

	if (json_opt_strs(j, key, &list, e) < 0)
		return -1;
	*out = xcalloc(json_count(list) + 1, sizeof(**out));
	json_each(text, list)
	{
		if (ip_parse(json_text(text), &(*out)[*n], e) < 0)
			return err_wrap(e, "%s", key);
		(*n)++;
	}
	return 0;
}

static int read_cidrs(const json *j, const char *key, struct cidr **out, size_t *n, struct err *e)
{
	const json *list = NULL;

	if (json_opt_strs(j, key, &list, e) < 0)
		return -1;
	*out = xcalloc(json_count(list) + 1, sizeof(**out));
	json_each(text, list)
	{
		if (cidr_parse(json_text(text), &(*out)[*n], e) < 0)
			return err_wrap(e, "%s", key);
		(*n)++;
	}
	return 0;
}

static int read_policy(const json *j, struct datapath_record *r, struct err *e)
{
	size_t n_gws = 0;

	if (read_cidrs(j, "policy", &r->policy, &r->n_policy, e) < 0 ||
	    read_ips(j, "policyGateways", &r->policy_gws, &n_gws, e) < 0)
		return -1;
	return n_gws == r->n_policy ? 0 : err_set(e, ERR_CONFIG, "policyGateways: not one of each");
}

static int read_record(const json *j, void *record, struct err *e)
{
	struct datapath_record *r = record;
	const char *src = NULL, *nic = "";
	int64_t inode = 0, index = 0;

	if (record_read_strings(j, r, fields, ARRAY_LEN(fields), e) < 0 ||
	    json_opt_i64(j, "netnsInode", &inode, e) < 0 ||
	    json_opt_bool(j, "overlay", &r->overlay, e) < 0 ||
	    json_opt_bool(j, "first", &r->first, e) < 0 ||
	    json_opt_bool(j, "lead4", &r->lead4, e) < 0 ||
	    json_opt_bool(j, "lead6", &r->lead6, e) < 0 ||
	    read_name(j, "podLink", r->pod_link, e) < 0 ||
	    read_name(j, "hostLink", r->host_link, e) < 0 ||
	    json_opt_i64(j, "hostIndex", &index, e) < 0 ||
	    read_mac(j, "podMAC", &r->pod_mac, e) < 0 ||
	    read_mac(j, "hostMAC", &r->host_mac, e) < 0 ||
	    read_table(j, "table", &r->table, e) < 0 ||
	    read_table(j, "hostTable", &r->host_table, e) < 0 ||
	    read_ips(j, "podIPs", &r->pod_ips, &r->n_pod_ips, e) < 0 ||
	    read_ips(j, "nodeIPs", &r->node_ips, &r->n_node_ips, e) < 0 ||
	    read_cidrs(j, "hijack", &r->hijack, &r->n_hijack, e) < 0 || read_policy(j, r, e) < 0)
		return -1;
	r->tuned = true;
	if (json_opt_bool(j, "tuned", &r->tuned, e) < 0 ||
	    json_opt_str(j, "defaultRouteNIC", &nic, e) < 0)
		return -1;
	if (*nic && read_name(j, "defaultRouteNIC", r->default_route_nic, e) < 0)
		return -1;
	if (json_opt_str(j, "src", &src, e) < 0 || (src && ip_parse(src, &r->src, e) < 0))
		return -1;
	if (inode < 0)
		return err_set(e, ERR_CONFIG, "netnsInode: %lld is no inode", (long long)inode);
	if (index < 0 || index > INT_MAX)
		return err_set(e, ERR_CONFIG, "hostIndex: %lld is no index of an interface",
		               (long long)index);
	r->netns_inode = (uint64_t)inode;
	r->host_index = (int)index;
	return 0;
}

static const struct record_kind kind = { "datapath", sizeof(struct datapath_record), read_record,
	                                 release_any };

static void set_ips(json *j, const char *key, const struct ip *v, size_t n)
{
	json *list = json_new_array();

	for (size_t i = 0; i < n; i++)
		json_append_str(list, ip_str(v[i]).s);
	json_set(j, key, list);
}

static void set_cidrs(json *j, const char *key, const struct cidr *v, size_t n)
{
	json *list = json_new_array();

	for (size_t i = 0; i < n; i++)
		json_append_str(list, cidr_str(v[i]).s);
	json_set(j, key, list);
}

static int write_record(const char *dir, const struct datapath_record *r, enum file_flags flags,
                        struct err *e)
{
	AUTO_JSON *j = json_new_object();

	record_write_strings(j, r, fields, ARRAY_LEN(fields));
	json_set_i64(j, "netnsInode", (int64_t)r->netns_inode);
	json_set_bool(j, "overlay", r->overlay);
	json_set_bool(j, "first", r->first);
	json_set_bool(j, "lead4", r->lead4);
	json_set_bool(j, "lead6", r->lead6);
	if (r->src.family)
		json_set_str(j, "src", ip_str(r->src).s);
	json_set_str(j, "podLink", r->pod_link);
	json_set_str(j, "hostLink", r->host_link);
	json_set_i64(j, "hostIndex", r->host_index);
	json_set_str(j, "podMAC", mac_str(r->pod_mac).s);
	json_set_str(j, "hostMAC", mac_str(r->host_mac).s);
	json_set_i64(j, "table", r->table);
	json_set_i64(j, "hostTable", r->host_table);
	set_ips(j, "podIPs", r->pod_ips, r->n_pod_ips);
	set_ips(j, "nodeIPs", r->node_ips, r->n_node_ips);
	set_cidrs(j, "hijack", r->hijack, r->n_hijack);
	set_cidrs(j, "policy", r->policy, r->n_policy);
	set_ips(j, "policyGateways", r->policy_gws, r->n_policy);
	json_set_bool(j, "tuned", r->tuned);
	json_set_str(j, "defaultRouteNIC", r->default_route_nic);
	return record_write(dir, &kind, r->container_id, r->ifname, j, flags, e);
}

int datapath_record_write(const char *dir, const struct datapath_record *r, struct err *e)
{
	return write_record(dir, r, 0, e);
}

int datapath_record_create(const char *dir, const struct datapath_record *r, struct err *e)
{
	return write_record(dir, r, FILE_EXCL, e);
}

int datapath_record_replace(const char *dir, const struct datapath_record *r, struct err *e)
{
	return write_record(dir, r, FILE_REPLACE, e);
}

int datapath_record_read(const char *dir, const char *container_id, const char *ifname,
                         struct datapath_record *out, struct err *e)
{
	return record_read(dir, &kind, container_id, ifname, out, e);
}

int datapath_record_list(const char *dir, struct datapath_record **out, size_t *count,
                         struct err *e)
{
	void *records;

	if (record_list(dir, &kind, &records, count, e) < 0)
		return -1;
	*out = records;
	return 0;
}

int datapath_record_remove(const char *dir, const char *container_id, const char *ifname,
                           struct err *e)
{
	return record_remove(dir, &kind, container_id, ifname, 0, e);
}
