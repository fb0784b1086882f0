/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.c - StatefulSets (apps/v1: spec.replicas, spec.ordinals.start), and kubevirt.io/v1: an
 * instance keeps its addresses while it lives, and through its restarts while there is a
 * VirtualMachine of that name.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/keeper.h"

char *keeper_set_of(const char *pod_name, uint64_t *ordinal)
{
	const char *dash = strrchr(pod_name, '-');

	if (!dash || dash == pod_name || parse_u64(dash + 1, 0, UINT32_MAX, ordinal, NULL) < 0)
		return NULL;
	return xstrndup(pod_name, (size_t)(dash - pod_name));
}

static bool is_going(const json *object)
{
	return json_str_at(object, "metadata", "deletionTimestamp", NULL) != NULL;
}

bool keeper_has_ordinal(const json *set, uint64_t ordinal)
{
	int64_t replicas = 1, start = 0;

	/* of a strange type: as the API server would have set them */
	IGNORE(json_opt_i64(json_get(set, "spec"), "replicas", &replicas, NULL));
	IGNORE(json_opt_i64(json_at(set, "spec", "ordinals", NULL), "start", &start, NULL));
	if (is_going(set) || replicas < 0 || start < 0)
		return false;
	return ordinal >= (uint64_t)start && ordinal - (uint64_t)start < (uint64_t)replicas;
}

/* 1 found, 0 there is none, -1. */
static int get(struct store *s, enum store_kind k, const char *ns, const char *name, json **out,
               struct mono deadline, struct err *e)
{
	struct err why;

	if (store_get(s, k, ns, name, out, deadline, &why) == 0)
		return 1;
	return why.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &why);
}

static int set_keeps(struct store *s, const char *ns, const char *pod_name, struct mono deadline,
                     struct err *e)
{
	AUTO_JSON *set = NULL;
	uint64_t ordinal;
	AUTO_FREE char *name = keeper_set_of(pod_name, &ordinal);
	int found;

	if (!name)
		return 0;
	found = get(s, STORE_STATEFULSET, ns, name, &set, deadline, e);
	return found == 1 ? keeper_has_ordinal(set, ordinal) : found;
}

static bool has_owner_of_kind(const json *object, const char *kind)
{
	json_each(o, json_at(object, "metadata", "ownerReferences", NULL))
	{
		const char *of = json_str_at(o, "kind", NULL);

		if (of && streq(of, kind))
			return true;
	}
	return false;
}

static int machine_keeps(struct store *s, const char *ns, const char *name, struct mono deadline,
                         struct err *e)
{
	AUTO_JSON *instance = NULL;
	AUTO_JSON *machine = NULL;
	int found = get(s, STORE_VMI, ns, name, &instance, deadline, e);

	if (found < 0 || (found && !is_going(instance)))
		return found;
	if (found && !has_owner_of_kind(instance, "VirtualMachine"))
		return 0;
	found = get(s, STORE_VM, ns, name, &machine, deadline, e);
	return found == 1 ? !is_going(machine) : found;
}

int keeper_keeps(struct store *s, enum pool_keep keep, const char *ns, const char *name,
                 struct mono deadline, struct err *e)
{
	switch (keep) {
	case POOL_KEEP_STATEFULSET:
		return set_keeps(s, ns, name, deadline, e);
	case POOL_KEEP_VMI:
		return machine_keeps(s, ns, name, deadline, e);
	case POOL_KEEP_NO:
		break;
	}
	return 0;
}
