/* SPDX-License-Identifier: Apache-2.0 */
/*
 * networks.c - which network a NIC of a pod belongs to, from the annotations that Multus reads: a
 * JSON list of {name, namespace, interface} (or, older, interfaceRequest), or
 * "namespace/name@interface" separated by commas.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/pods.h"

/* Is this the entry at that place (from 1) for the NIC?  The interface defaults to net1, net2 ...
 */
static bool is_for(const char *nic, const char *interface, size_t place)
{
	AUTO_FREE char *by_place = xasprintf("net%zu", place);

	return streq(nic, interface && *interface ? interface : by_place);
}

static char *full_name(const char *ns, const char *name, const char *default_ns)
{
	return xasprintf("%s/%s", ns && *ns ? ns : default_ns, name);
}

/* nic NULL: the first entry.  *place is where it was found, from 1. */
static char *from_json(const json *list, const char *nic, const char *default_ns, size_t *place)
{
	*place = 0;
	json_each(o, list)
	{
		const char *name = json_str_at(o, "name", NULL);
		const char *interface = json_str_at(o, "interface", NULL);

		if (!interface || !*interface)
			interface = json_str_at(o, "interfaceRequest", NULL);
		++*place;
		if (name && *name && (!nic || is_for(nic, interface, *place)))
			return full_name(json_str_at(o, "namespace", NULL), name, default_ns);
	}
	return NULL;
}

static char *from_text(const char *text, const char *nic, const char *default_ns, size_t *place)
{
	AUTO_FREE char *copy = xstrdup(text);
	char *rest = copy, *term;

	*place = 0;
	while ((term = strsep(&rest, ","))) {
		char *interface, *slash;

		term = str_trim(term);
		if (!*term)
			continue;
		++*place;
		interface = strchr(term, '@');
		if (interface) {
			*interface = '\0';
			interface = str_trim(interface + 1);
		}
		if (nic && !is_for(nic, interface, *place))
			continue;
		slash = strchr(term, '/');
		if (slash)
			*slash++ = '\0';
		return full_name(slash ? str_trim(term) : NULL, str_trim(slash ? slash : term),
		                 default_ns);
	}
	return NULL;
}

static char *pick(const char *annotation, const char *nic, const char *default_ns, size_t *place)
{
	const char *start = annotation + strspn(annotation, " \t\r\n");
	AUTO_JSON *list = NULL;

	if (*start != '[')
		return from_text(annotation, nic, default_ns, place);
	if (json_parse(start, strlen(start), 0, &list, NULL) < 0)
		return NULL;
	return from_json(list, nic, default_ns, place);
}

char *pod_network(const struct pod_facts *f, const char *nic, const char *fallback,
                  const char *pod_namespace, const char *agent_namespace, char **why)
{
	bool first = streq(nic, "eth0") || streq(nic, "0");
	const char *annotation = first ? f->default_network : f->networks;
	char *network;
	size_t place;

	*why = NULL;
	if (first && !*annotation) {
		if (fallback && *fallback)
			return pick(fallback, NULL, agent_namespace, &place);
		*why = xstrdup(
			"the pod has no annotation v1.multus-cni.io/default-network and the "
			"agent no --default-network");
		return NULL;
	}
	if (first)
		network = pick(annotation, NULL, agent_namespace, &place);
	else
		network = pick(annotation, nic, pod_namespace, &place);
	if (!network)
		*why = xasprintf("the pod's annotation %s does not name one for %s",
		                 first ? "v1.multus-cni.io/default-network"
		                       : "k8s.v1.cni.cncf.io/networks",
		                 nic);
	return network;
}

size_t network_place(const char *networks, const char *nic)
{
	size_t place;
	AUTO_FREE char *network = pick(networks, nic, "", &place);

	return network ? place : 0;
}

size_t network_count(const char *networks)
{
	size_t count = 0;

	/* no NIC is called so: it looks at all of them */
	free(pick(networks, "", "", &count));
	return count;
}
