/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.c - two JSON objects into one strict structure.
 */
#include <limits.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/conf.h"
#include "net/link.h"

#define VETH_MTU 1500
#define MTU_MIN 68 /* RFC 791 */
#define MTU_MAX 65535

const char coordinator_conf_keys[] =
	"type mode podDefaultCniNic podDefaultRouteNic overlayPodCIDR serviceCIDR hijackCIDR "
	"policyRoutes podMACPrefix tunePodRoutes hostRuleTable podRPFilter hostRPFilter txQueueLen "
	"vethLinkAddress vethMTU logOptions name cniVersion cniVersions capabilities runtimeConfig "
	"args prevResult cni.dev/* agent_socket ipam_unix_socket_path timeout_ms "
	"coordinator_file state_dir "
	"multusNicPrefix detectGateway detectIPConflict detectOptions";

/* What the agent may answer; its name for the key where that differs. */
static const struct key {
	const char *nad, *agent;
} keys[] = {
	{ "mode", NULL },
	{ "overlayPodCIDR", NULL },
	{ "serviceCIDR", NULL },
	{ "hijackCIDR", NULL },
	{ "policyRoutes", NULL },
	{ "podMACPrefix", NULL },
	{ "tunePodRoutes", NULL },
	{ "podDefaultRouteNic", "podDefaultRouteNIC" },
	{ "vethLinkAddress", NULL },
	{ "vethMTU", NULL },
	{ "hostRuleTable", NULL },
	{ "podRPFilter", NULL },
	{ "txQueueLen", NULL },
};

struct sources {
	const json *nad, *agent;
};

/* Where one key's value is to be read: the object, and its name there. */
struct place {
	const json *o;
	const char *key;
	bool agent;
};

static bool given(const json *o, const char *key)
{
	const json *v = json_get(o, key);

	/* an empty mode has always meant "not set" */
	return v && !json_is_null(v) &&
	       !(streq(key, "mode") && json_is_string(v) && streq(json_text(v), ""));
}

static struct place find(const struct sources *s, const char *key)
{
	struct place p = { .o = s->nad, .key = key };

	if (given(s->nad, key))
		return p;
	p.agent = true;
	p.o = s->agent;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (streq(keys[i].nad, key) && keys[i].agent && given(s->agent, keys[i].agent))
			p.key = keys[i].agent;
	if (p.o && !given(p.o, p.key))
		p.o = NULL;
	return p;
}

static int bad(const struct place *p, struct err *e)
{
	if (e)
		e->kind = ERR_CONFIG;
	return err_wrap(e, "%s",
	                p->agent ? "the agent (SpiderCoordinator, or an annotation of the pod)"
	                         : "coordinator configuration");
}

static int read_int(const struct sources *s, const char *key, int64_t min, int64_t max,
                    int64_t *out, struct err *e)
{
	struct place p = find(s, key);
	int64_t v = *out;

	if (json_opt_i64(p.o, p.key, &v, e) < 0)
		return bad(&p, e);
	if (v < min || v > max) {
		err_fill(e, ERR_CONFIG, "%s: %lld is not between %lld and %lld", key, (long long)v,
		         (long long)min, (long long)max);
		return bad(&p, e);
	}
	*out = v;
	return 0;
}

static int read_mode(const struct sources *s, enum coordinator_mode *out, struct err *e)
{
	static const struct {
		const char *text;
		enum coordinator_mode mode;
	} modes[] = {
		{ "auto", COORDINATOR_AUTO },        { "underlay", COORDINATOR_UNDERLAY },
		{ "overlay", COORDINATOR_OVERLAY },  { "disable", COORDINATOR_DISABLE },
		{ "disabled", COORDINATOR_DISABLE },
	};
	struct place p = find(s, "mode");
	const char *text = "auto";

	if (json_opt_str(p.o, p.key, &text, e) < 0)
		return bad(&p, e);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (streq(text, modes[i].text)) {
			*out = modes[i].mode;
			return 0;
		}
	err_fill(e, ERR_CONFIG, "mode: \"%s\" is not one of auto, underlay, overlay and disabled",
	         text);
	return bad(&p, e);
}

static int read_nic(const struct sources *s, const char *key, char out[IFNAMSIZ], struct err *e)
{
	struct place p = find(s, key);
	const char *name = "";

	if (json_opt_str(p.o, p.key, &name, e) < 0)
		return bad(&p, e);
	if (streq(name, ""))
		return 0;
	if (link_check_name(name, e) < 0) {
		IGNORE(err_wrap(e, "%s", key));
		return bad(&p, e);
	}
	snprintf(out, IFNAMSIZ, "%s", name);
	return 0;
}

static void add_hijack(struct coordinator_conf *c, struct cidr cidr)
{
	for (size_t i = 0; i < c->n_hijack; i++)
		if (cidr_equal_network(c->hijack[i], cidr))
			return;
	c->hijack[c->n_hijack++] = cidr_network(cidr);
}

static int read_cidrs(const struct sources *s, const char *key, struct coordinator_conf *c,
                      struct err *e)
{
	struct place p = find(s, key);
	const json *list = NULL;

	if (json_opt_strs(p.o, p.key, &list, e) < 0)
		return bad(&p, e);
	json_each(text, list)
	{
		struct cidr cidr;

		if (c->n_hijack == COORDINATOR_CIDRS_MAX) {
			err_fill(e, ERR_CONFIG, "%s: more than %d prefixes, with the other lists'",
			         key, COORDINATOR_CIDRS_MAX);
			return bad(&p, e);
		}
		if (cidr_or_ip_parse(json_text(text), &cidr, e) < 0) {
			IGNORE(err_wrap(e, "%s", key));
			return bad(&p, e);
		}
		add_hijack(c, cidr);
	}
	return 0;
}

static int read_policy_route(const json *item, struct coordinator_route *out, struct err *e)
{
	struct coordinator_route r;
	const char *dst, *gw;

	if (!json_is_object(item))
		return err_set(e, ERR_CONFIG, "not an object with dst and gw");
	if (json_str(item, "dst", &dst, e) < 0 || json_str(item, "gw", &gw, e) < 0)
		return -1;
	if (cidr_or_ip_parse(dst, &r.dst, e) < 0)
		return err_wrap(e, "dst");
	if (ip_parse(gw, &r.gw, e) < 0)
		return err_wrap(e, "gw");
	if (r.gw.family != r.dst.ip.family)
		return err_set(e, ERR_CONFIG, "dst %s and gw %s are of different families", dst,
		               gw);
	*out = r;
	return 0;
}

static int read_policy(const struct sources *s, struct coordinator_conf *c, struct err *e)
{
	struct place p = find(s, "policyRoutes");
	const json *list = NULL;

	if (json_opt_arr(p.o, p.key, &list, e) < 0)
		return bad(&p, e);
	json_each(item, list)
	{
		if (c->n_policy == COORDINATOR_ROUTES_MAX) {
			err_fill(e, ERR_CONFIG, "policyRoutes: more than %d",
			         COORDINATOR_ROUTES_MAX);
			return bad(&p, e);
		}
		if (read_policy_route(item, &c->policy[c->n_policy], e) < 0) {
			IGNORE(err_wrap(e, "policyRoutes[%zu]", c->n_policy));
			return bad(&p, e);
		}
		c->n_policy++;
	}
	return 0;
}

/* "0a:1b" or "0a-1b": the first two bytes of a unicast address. */
static int read_mac_prefix(const struct sources *s, struct coordinator_conf *c, struct err *e)
{
	struct place p = find(s, "podMACPrefix");
	const char *text = "";
	unsigned long first;

	if (json_opt_str(p.o, p.key, &text, e) < 0)
		return bad(&p, e);
	if (streq(text, ""))
		return 0;
	if (strlen(text) != 5 || strspn(text, "0123456789abcdefABCDEF") != 2 ||
	    strspn(text + 3, "0123456789abcdefABCDEF") != 2 || !strchr(":-", text[2]) ||
	    (first = strtoul(text, NULL, 16)) & 1) {
		err_fill(e, ERR_CONFIG,
		         "podMACPrefix: \"%s\" is not two bytes of a unicast MAC address, as 0a:1b",
		         text);
		return bad(&p, e);
	}
	c->has_mac_prefix = true;
	c->mac_prefix[0] = (uint8_t)first;
	c->mac_prefix[1] = (uint8_t)strtoul(text + 3, NULL, 16);
	return 0;
}

static int read_veth_address(const struct sources *s, struct coordinator_conf *c, struct err *e)
{
	struct place p = find(s, "vethLinkAddress");
	const char *text = "";

	if (json_opt_str(p.o, p.key, &text, e) < 0)
		return bad(&p, e);
	if (streq(text, ""))
		return 0;
	if (ip_parse(text, &c->veth_address, e) < 0) {
		IGNORE(err_wrap(e, "vethLinkAddress"));
		return bad(&p, e);
	}
	return 0;
}

static bool is_kernels_table(int64_t table)
{
	return table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL;
}

static int read_numbers(const struct sources *s, struct coordinator_conf *c, struct err *e)
{
	int64_t table = 0, rp_filter = 0, txqlen = 0, mtu = 0, ignored = 0;
	struct place p = find(s, "tunePodRoutes");

	if (json_opt_bool(p.o, p.key, &c->tune_pod_routes, e) < 0)
		return bad(&p, e);
	if (read_int(s, "hostRuleTable", 0, UINT32_MAX, &table, e) < 0 ||
	    read_int(s, "podRPFilter", -1, 2, &rp_filter, e) < 0 ||
	    read_int(s, "txQueueLen", 0, INT_MAX, &txqlen, e) < 0 ||
	    read_int(s, "vethMTU", 0, MTU_MAX, &mtu, e) < 0 ||
	    read_int(s, "hostRPFilter", -1, 2, &ignored, e) < 0) /* the agent's business now */
		return -1;
	if (is_kernels_table(table)) {
		p = find(s, "hostRuleTable");
		err_fill(e, ERR_CONFIG, "hostRuleTable: %d is one of the kernel's own tables",
		         (int)table);
		return bad(&p, e);
	}
	if (mtu && mtu < MTU_MIN) {
		p = find(s, "vethMTU");
		err_fill(e, ERR_CONFIG, "vethMTU: %d is less than %d", (int)mtu, MTU_MIN);
		return bad(&p, e);
	}
	c->host_rule_table = table ? (uint32_t)table : COORDINATOR_HOST_TABLE;
	c->veth_mtu = mtu ? (uint32_t)mtu : VETH_MTU;
	c->rp_filter = (int)rp_filter;
	c->txqlen = (uint32_t)txqlen;
	return 0;
}

int coordinator_conf_read(const json *nad, const json *agent, struct coordinator_conf *out,
                          struct err *e)
{
	const struct sources s = { nad, agent };
	AUTO_COORDINATOR_CONF c = { .default_nic = "eth0", .tune_pod_routes = true };

	c.hijack = xcalloc(COORDINATOR_CIDRS_MAX, sizeof(*c.hijack));
	c.policy = xcalloc(COORDINATOR_ROUTES_MAX, sizeof(*c.policy));
	if (read_mode(&s, &c.mode, e) < 0 ||
	    read_nic(&s, "podDefaultCniNic", c.default_nic, e) < 0 ||
	    read_nic(&s, "podDefaultRouteNic", c.default_route_nic, e) < 0 ||
	    read_cidrs(&s, "overlayPodCIDR", &c, e) < 0 ||
	    read_cidrs(&s, "serviceCIDR", &c, e) < 0 || read_cidrs(&s, "hijackCIDR", &c, e) < 0 ||
	    read_policy(&s, &c, e) < 0 || read_mac_prefix(&s, &c, e) < 0 ||
	    read_veth_address(&s, &c, e) < 0 || read_numbers(&s, &c, e) < 0)
		return -1;
	*out = c;
	c.hijack = NULL;
	c.policy = NULL;
	return 0;
}

void coordinator_conf_release(struct coordinator_conf *c)
{
	free(c->hijack);
	free(c->policy);
	c->hijack = NULL;
	c->policy = NULL;
}

bool coordinator_conf_complete(const json *nad)
{
	const struct sources s = { nad, NULL };
	enum coordinator_mode mode;

	if (read_mode(&s, &mode, NULL) == 0 && mode == COORDINATOR_DISABLE)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!given(nad, keys[i].nad))
			return false;
	return true;
}

const char *coordinator_default_nic(const json *nad)
{
	const char *name = json_str_at(nad, "podDefaultCniNic", NULL);

	return name && !streq(name, "") ? name : "eth0";
}

uint32_t coordinator_host_table(const json *nad)
{
	int64_t table = 0;

	IGNORE(json_opt_i64(nad, "hostRuleTable", &table, NULL));
	return table > 0 && table <= UINT32_MAX && !is_kernels_table(table)
	               ? (uint32_t)table
	               : COORDINATOR_HOST_TABLE;
}
