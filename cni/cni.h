/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cni.h - the CNI protocol (containernetworking/cni SPEC.md, versions 0.3.0 to 1.1.0): the
 * environment, the configuration, results by version, error documents, and delegation.
 *
 * A plugin is a struct cni_plugin; cni_main() does everything that is the same for all of them.
 */
#ifndef CNI_CNI_H
#define CNI_CNI_H

#include <stdbool.h>

#include "base/mono.h"
#include "base/str.h"
#include "net/ip.h"
#include "net/link.h"
#include "json/json.h"

#define CNI_CONF_MAX (1024 * 1024)   /* bytes on stdin */
#define CNI_RESULT_MAX (1024 * 1024) /* bytes a delegate may print */
#define CNI_CALL_MS (100 * 1000)     /* time of one call; the kubelet's patience is two minutes */

enum cni_command { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_GC, CNI_STATUS, CNI_VERSION };
enum cni_version { CNI_0_3_0, CNI_0_3_1, CNI_0_4_0, CNI_1_0_0, CNI_1_1_0 };

/* Codes of SPEC.md, section "Error", and 999 of the reference library. */
enum cni_code {
	CNI_E_VERSION = 1,
	CNI_E_UNSUPPORTED_FIELD = 2,
	CNI_E_UNKNOWN_CONTAINER = 3,
	CNI_E_ENVIRONMENT = 4,
	CNI_E_IO = 5,
	CNI_E_DECODE = 6,
	CNI_E_CONFIG = 7,
	CNI_E_NETNS = 8,
	CNI_E_TRY_AGAIN = 11,
	CNI_E_NOT_AVAILABLE = 50,
	CNI_E_LIMITED = 51,
	CNI_E_GENERIC = 999,
};

/* One call: what the environment and stdin said.  Strings are "" when absent, and borrowed. */
struct cni_call {
	enum cni_command command;
	const char *container_id, *netns, *ifname, *args, *path;
	/* from CNI_ARGS (K8S_POD_NAMESPACE, K8S_POD_NAME, K8S_POD_UID) */
	char pod_namespace[254], pod_name[254], pod_uid[64];
	struct str conf_text;    /* stdin as received: delegates get the very same bytes */
	json *conf;              /* owned; NULL for VERSION */
	const char *name, *type; /* members of conf */
	enum cni_version version;
	const json *prev_result; /* in conf; NULL when absent */
	struct mono deadline;    /* of the whole call */
	int netns_fd;            /* of netns, when cni_netns() has opened it; else 0 */
	bool link_goes; /* DEL: the plugin called next makes_link; what is ifname may go now */
};

/* A result, version-neutral.  Only what we produce or look at; prevResult is passed on as JSON. */
struct cni_interface {
	char name[IFNAMSIZ];
	char mac[18];        /* "" when unknown */
	const char *sandbox; /* netns path, borrowed; "" for a host interface */
	uint32_t mtu;        /* printed from 1.1.0 on; 0: left out */
};

struct cni_ip {
	struct cidr address;
	struct ip gateway; /* family 0: none */
	int interface;     /* index into interfaces, -1: none */
};

struct cni_route {
	struct cidr dst;
	struct ip gw; /* family 0: none */
	/* printed from 1.1.0 on; 0: left out */
	uint32_t priority, table, mtu, advmss;
	bool has_scope;
	uint8_t scope; /* RT_SCOPE_* */
};

struct cni_result {
	struct cni_interface *interfaces;
	size_t n_interfaces;
	struct cni_ip *ips;
	size_t n_ips;
	struct cni_route *routes;
	size_t n_routes;
	json *dns; /* owned object, NULL when there is none */
};

#define AUTO_CNI_RESULT __attribute__((cleanup(cni_result_release))) struct cni_result
void cni_result_release(struct cni_result *r);

/* Reads a result of any of the versions (a delegate's output, prevResult); ERR_PROTO. */
int cni_result_read(const json *j, struct cni_result *out, struct err *e) MUST_USE;
/* The document for that version: "version" in ips below 1.0.0, mtu from 1.1.0 on; owned. */
json *cni_result_document(const struct cni_result *r, enum cni_version v);
/* Makes a result document of any of the versions one of that version; members that it does not know
 * stay. */
void cni_result_convert(json *result, enum cni_version v);

const char *cni_version_text(enum cni_version v);

/*
 * What a plugin does.  Handlers return 0, or -1 with e set; *code may be set to choose the CNI
 * error code, else it follows from e->kind (cni_code_of).  An ADD handler puts the whole result
 * document into *result (owned by the caller).  A NULL handler succeeds and does nothing.
 */
struct cni_plugin {
	const char *about; /* printed to stderr when CNI_COMMAND is not set */
	bool makes_link;   /* ADD makes ifname, and DEL deletes it */
	int (*add)(struct cni_call *c, json **result, int *code, struct err *e);
	int (*del)(struct cni_call *c, int *code, struct err *e);
	int (*check)(struct cni_call *c, int *code, struct err *e);
	int (*gc)(struct cni_call *c, int *code, struct err *e);
	int (*status)(struct cni_call *c, int *code, struct err *e);
};

/*
 * The whole life of a plugin process: environment, stdin, the checks in the reference's order
 * (spec: environment 4, decode 6, name 7, ids 4, version 1), the handler, the result or the error
 * document on stdout.  Returns the exit status.
 */
int cni_main(const struct cni_plugin *p);

/* The same with its inputs given and its output kept, for tests. */
typedef const char *(*cni_getenv)(const char *name);
int cni_run(const struct cni_plugin *p, cni_getenv env, int in_fd, struct str *out);

int cni_code_of(enum err_kind kind);

/*
 * The namespace of the call, which is opened and looked at (netns_open) when it is first needed:
 * borrowed, until the call is over.  A socket of there, or of the node, that somebody has closed is
 * used again (netns_reuse).
 */
int cni_netns(struct cni_call *c, int *out, struct err *e) MUST_USE;
/*
 * Is the namespace at the path the one that the plugin itself runs in, and so no pod's?  No, when
 * there is none.  cni_main() looks, unless CNI_NETNS_OVERRIDE is set: ADD and CHECK fail then, and
 * a DEL's handler is given no namespace ("").
 */
bool cni_is_own_netns(const char *path);

/*
 * A call of a plugin of this binary by another one, without a process: what `from` has of
 * container, namespace (also opened), interface, CNI_ARGS, path and deadline, with this command and
 * configuration.  As cni_main, but that the namespace may be our own (the caller's call was looked
 * at).  *result: of an ADD, owned; NULL for a plugin that has none.
 */
int cni_call_here(const struct cni_plugin *p, const struct cni_call *from, enum cni_command command,
                  const char *conf, size_t conf_len, json **result, int *code,
                  struct err *e) MUST_USE;

/*
 * Runs another plugin found in CNI_PATH with this call's environment, the given command and stdin,
 * stderr passed through.  *result (NULL for other commands than ADD) is its document, owned.  A
 * delegate's error document becomes e with its msg and details, and *code its code.  ERR_NOT_FOUND
 * when no folder of the path has it.  An ADD that ended in any other way than with a result or an
 * error document (garbage, a signal, the deadline) may have taken something: a DEL undoes it.
 */
int cni_delegate(const struct cni_call *c, const char *type, enum cni_command command,
                 const char *conf, size_t conf_len, json **result, int *code,
                 struct err *e) MUST_USE;

/* The value of a name in CNI_ARGS; owned, "" for none. */
char *cni_arg(const char *args, const char *name);

#endif
