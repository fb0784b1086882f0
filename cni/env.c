/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env.c - the environment of a call, and CNI_ARGS within it.
 */
#include <string.h>
#include <strings.h>

#include "cni/call.h"
#include "cni/check.h"

enum variable { CONTAINERID = 1 << 0, NETNS = 1 << 1, IFNAME = 1 << 2, PATH = 1 << 3 };

static const struct {
	const char *name;
	unsigned int needs; /* enum variable */
} commands[] = {
	[CNI_ADD] = { "ADD", CONTAINERID | NETNS | IFNAME | PATH },
	[CNI_DEL] = { "DEL", CONTAINERID | IFNAME | PATH },
	[CNI_CHECK] = { "CHECK", CONTAINERID | NETNS | IFNAME | PATH },
	[CNI_GC] = { "GC", PATH },
	[CNI_STATUS] = { "STATUS", PATH },
	[CNI_VERSION] = { "VERSION", 0 },
};

const char *cni_command_text(enum cni_command c)
{
	return commands[c].name;
}

static int read_command(const char *text, enum cni_command *out, struct cni_failure *f)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (streq(commands[i].name, text)) {
			*out = (enum cni_command)i;
			return 0;
		}
	}
	f->code = CNI_E_ENVIRONMENT;
	str_add(&f->details, "there are ADD, DEL, CHECK, GC, STATUS and VERSION");
	return err_set(&f->err, ERR_CONFIG, "unknown CNI_COMMAND \"%s\"", text);
}

/* All that is missing in one message: nobody wants to find out one by one. */
static int check_presence(const struct cni_call *c, struct cni_failure *f)
{
	const struct {
		const char *name, *value;
		unsigned int bit;
	} variables[] = {
		{ "CNI_CONTAINERID", c->container_id, CONTAINERID },
		{ "CNI_NETNS", c->netns, NETNS },
		{ "CNI_IFNAME", c->ifname, IFNAME },
		{ "CNI_PATH", c->path, PATH },
	};
	AUTO_STR missing = STR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (!*variables[i].value && commands[c->command].needs & variables[i].bit)
			str_addf(&missing, "%s%s", missing.len ? ", " : "", variables[i].name);
	if (!missing.len)
		return 0;
	f->code = CNI_E_ENVIRONMENT;
	str_addf(&f->details, "CNI_COMMAND %s needs them", commands[c->command].name);
	return err_set(&f->err, ERR_CONFIG, "missing environment variables: %s", missing.data);
}

static const char *variable(cni_getenv env, const char *name)
{
	const char *v = env(name);

	return v ? v : "";
}

int cni_read_env(cni_getenv env, struct cni_call *c, struct cni_failure *f)
{
	if (read_command(variable(env, "CNI_COMMAND"), &c->command, f) < 0)
		return -1;
	c->container_id = variable(env, "CNI_CONTAINERID");
	c->netns = variable(env, "CNI_NETNS");
	c->ifname = variable(env, "CNI_IFNAME");
	c->args = variable(env, "CNI_ARGS");
	c->path = variable(env, "CNI_PATH");
	return check_presence(c, f);
}

int cni_check_names(const struct cni_call *c, struct cni_failure *f)
{
	unsigned int needs = commands[c->command].needs;

	f->code = CNI_E_ENVIRONMENT;
	if (needs & CONTAINERID && check_id("CNI_CONTAINERID", c->container_id, &f->err) < 0)
		return -1;
	if (needs & IFNAME && link_check_name(c->ifname, &f->err) < 0)
		return err_wrap(&f->err, "CNI_IFNAME");
	f->code = 0;
	return 0;
}

/* Go's idea of a boolean in CNI_ARGS. */
static int read_bool(const char *text, bool *out, struct err *e)
{
	bool yes = streq(text, "1") || strcasecmp(text, "true") == 0;

	if (!yes && !streq(text, "0") && strcasecmp(text, "false") != 0)
		return err_set(e, ERR_CONFIG,
		               "CNI_ARGS: IgnoreUnknown is \"%s\", not true or false", text);
	*out = yes;
	return 0;
}

/* Values end up in object names, JSON and request targets. */
static int read_value(const char *name, const char *value, char *out, size_t size, struct err *e)
{
	for (const char *p = value; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || *p == '/')
			return err_set(e, ERR_CONFIG,
			               "CNI_ARGS: %s has a character that no name may have", name);
	if (strlen(value) >= size)
		return err_set(e, ERR_CONFIG, "CNI_ARGS: %s is longer than %zu bytes", name,
		               size - 1);
	memcpy(out, value, strlen(value) + 1);
	return 0;
}

struct args {
	char namespace[254], name[254], uid[64];
	bool ignore_unknown;
	const char *unknown; /* the first one, borrowed */
};

static int read_pair(const char *name, const char *value, struct args *a, struct err *e)
{
	if (streq(name, "K8S_POD_NAMESPACE"))
		return read_value(name, value, a->namespace, sizeof(a->namespace), e);
	if (streq(name, "K8S_POD_NAME"))
		return read_value(name, value, a->name, sizeof(a->name), e);
	if (streq(name, "K8S_POD_UID"))
		return read_value(name, value, a->uid, sizeof(a->uid), e);
	if (streq(name, "IgnoreUnknown"))
		return read_bool(value, &a->ignore_unknown, e);
	if (!streq(name, "K8S_POD_INFRA_CONTAINER_ID") && !streq(name, "IP") && !a->unknown)
		a->unknown = name;
	return 0;
}

/* Takes the text apart in place. */
static int read_pairs(char *text, bool strict, struct args *a, struct err *e)
{
	char *pair;

	while ((pair = strsep(&text, ";"))) {
		char *value = strchr(pair, '=');

		if (value)
			*value++ = '\0';
		if (!*pair && !value)
			continue;
		if (strict && (!value || strchr(value, '=')))
			return err_set(e, ERR_CONFIG, "CNI_ARGS: \"%s\" is not NAME=VALUE", pair);
		if (value && read_pair(pair, value, a, e) < 0 && strict)
			return -1;
	}
	return 0;
}

int cni_read_args(const char *text, bool strict, struct cni_call *c, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(text);
	struct args a = { .unknown = NULL };

	if (read_pairs(copy, strict, &a, e) < 0)
		return -1;
	if (strict && a.unknown && !a.ignore_unknown)
		return err_set(e, ERR_CONFIG,
		               "CNI_ARGS: unknown argument \"%s\" (and IgnoreUnknown is not set)",
		               a.unknown);
	memcpy(c->pod_namespace, a.namespace, sizeof(a.namespace));
	memcpy(c->pod_name, a.name, sizeof(a.name));
	memcpy(c->pod_uid, a.uid, sizeof(a.uid));
	return 0;
}

char *cni_arg(const char *args, const char *name)
{
	size_t len = strlen(name);

	while (*args) {
		size_t n = strcspn(args, ";");

		if (n > len && strncmp(args, name, len) == 0 && args[len] == '=')
			return xstrndup(args + len + 1, n - len - 1);
		args += n + (args[n] == ';');
	}
	return xstrdup("");
}
