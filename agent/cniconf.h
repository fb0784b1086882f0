/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cniconf.h - keeps DIR/00-multus.conf, by which the runtime calls the multus plugin, and
 * DIR/multus.d/multus.kubeconfig, by which that asks the API server while the agent is away.
 *
 * Both are replaced in one step whenever they are not as they should be: somebody changed or
 * removed them, or gave them to others to read or write; the service account's token or the
 * cluster's CA changed.  A 00-multus.conf of somebody else's is left alone.  They stay when the
 * agent ends: pods come and go without it.
 */
#ifndef AGENT_CNICONF_H
#define AGENT_CNICONF_H

#include <stdbool.h>

#include "base/err.h"
#include "json/json.h"

/* Borrowed. */
struct cniconf_config {
	const char *dir;         /* the same path on the node and here, such as /etc/cni/net.d */
	const char *network;     /* "NAMESPACE/NAME"; NULL: that of the first other file of dir */
	const char *namespace;   /* of networks named without one */
	const char *socket;      /* the agent's */
	const char *kubeconfig;  /* a file to name instead of ours; NULL: ours */
	const char *account;     /* the service account's folder, for ours; NULL: no API server */
	const char *host, *port; /* of the API server, for ours */
	const json *members;     /* of 00-multus.conf, besides or instead of ours; NULL: none */
};

struct cniconf;

int cniconf_start(const struct cniconf_config *c, struct cniconf **out, struct err *e) MUST_USE;
void cniconf_stop(struct cniconf *c); /* NULL is fine */

/* One round: makes both files what they should be; true in *foreign when the first is another's. */
int cniconf_write(const struct cniconf_config *c, bool *foreign, struct err *e) MUST_USE;

#endif
