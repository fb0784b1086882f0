/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_files.h - the runtime's configuration of the multus plugin and the kubeconfig in it: the
 * agent keeps them, the installer removes them.  Names are those of Multus.
 */
#ifndef CNI_MULTUS_FILES_H
#define CNI_MULTUS_FILES_H

#include "base/err.h"

#define MULTUS_CONF_NAME                                                                           \
	"00-multus.conf" /* runtimes take the first file in the alphabet's order                   \
	                  */
#define MULTUS_KUBECONFIG_FOLDER "multus.d"
#define MULTUS_KUBECONFIG_NAME "multus.kubeconfig"
#define MULTUS_MARK "agentSocket" /* a member that Multus itself has not: the file is ours */
#define MULTUS_CONTEXT "spiderbox-multus" /* in the kubeconfig, the same */

/* Broken ones are ours: a runtime has no use for them either. */
enum multus_owner { MULTUS_ABSENT, MULTUS_OURS, MULTUS_FOREIGN };

int multus_conf_owner(const char *path, enum multus_owner *out, struct err *e) MUST_USE;

/* Removes what is ours of dir/00-multus.conf, dir/multus.d/multus.kubeconfig and the then empty
 * folder.  *conf is what there was of the first. */
int multus_files_remove(const char *dir, enum multus_owner *conf, struct err *e) MUST_USE;

#endif
