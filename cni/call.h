/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - the parts of one call that cni.c puts together; plugins use cni.h.
 */
#ifndef CNI_CALL_H
#define CNI_CALL_H

#include "cni/cni.h"

#define CNI_VERSIONS (CNI_1_1_0 + 1)
#define CNI_DRAIN_MAX (16 * 1024 * 1024) /* bytes read and dropped of a stdin that is too long */

/* Why a call failed.  code 0: it follows from the kind; details may be empty. */
struct cni_failure {
	int code;
	struct err err;
	struct str details;
};

const char *cni_command_text(enum cni_command c);

/*
 * Reads the variables that do not need the configuration: everything but the checks of their
 * characters (cni_check_names).  CNI_COMMAND is set.
 */
int cni_read_env(cni_getenv env, struct cni_call *c, struct cni_failure *f) MUST_USE;
int cni_check_names(const struct cni_call *c, struct cni_failure *f) MUST_USE;

/*
 * CNI_ARGS: "K=V;K2=V2" in any order, the last of a name counts.  ERR_CONFIG when a pair is bad, or
 * unknown while IgnoreUnknown is not true; when not strict, what is bad is passed over.
 */
int cni_read_args(const char *text, bool strict, struct cni_call *c, struct err *e) MUST_USE;

/* stdin to conf_text, and that to conf, name, type and prev_result. */
int cni_read_conf(int fd, struct cni_call *c, struct cni_failure *f) MUST_USE;
/* The second half: conf_text is there. */
int cni_parse_conf(struct cni_call *c, struct cni_failure *f) MUST_USE;
/* version, from the configuration; the command must exist in it. */
int cni_read_version(struct cni_call *c, struct cni_failure *f) MUST_USE;
/* -1 for a text that names no version that we speak. */
int cni_version_of(const char *text);

/* The executable of that name in the call's CNI_PATH; owned.  ERR_NOT_FOUND, ERR_CONFIG: no name of
 * a plugin. */
int cni_find(const struct cni_call *c, const char *type, char **path, struct err *e) MUST_USE;
/* As cni_delegate, of the executable at path. */
int cni_execute(const struct cni_call *c, const char *type, const char *path,
                enum cni_command command, const char *conf, size_t conf_len, json **result,
                int *code, struct err *e) MUST_USE;

#endif
