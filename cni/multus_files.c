/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_files.c - see multus_files.h.
 */
#include <unistd.h>

#include "base/file.h"
#include "cni/cni.h"
#include "cni/multus_files.h"

#define KUBECONFIG_MAX (2 * 1024 * 1024) /* bytes: a token and certificates */

int multus_conf_owner(const char *path, enum multus_owner *out, struct err *e)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *conf = NULL;
	struct err mine;

	*out = MULTUS_ABSENT;
	if (file_read(path, CNI_CONF_MAX, &text, &mine) < 0)
		return mine.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &mine);
	*out = MULTUS_OURS;
	if (json_parse(text.data, text.len, 0, &conf, NULL) == 0 && !json_get(conf, MULTUS_MARK))
		*out = MULTUS_FOREIGN;
	return 0;
}

int multus_files_remove(const char *dir, enum multus_owner *conf, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/" MULTUS_CONF_NAME, dir);
	AUTO_FREE char *folder = xasprintf("%s/" MULTUS_KUBECONFIG_FOLDER, dir);
	AUTO_FREE char *kubeconfig = xasprintf("%s/" MULTUS_KUBECONFIG_NAME, folder);
	AUTO_STR text = STR_INIT;
	struct err mine;

	file_sweep_of(path);
	file_sweep_of(kubeconfig);
	if (multus_conf_owner(path, conf, e) < 0 ||
	    (*conf == MULTUS_OURS && file_remove(path, FILE_DURABLE, NULL, e) < 0))
		return -1;
	if (file_read(kubeconfig, KUBECONFIG_MAX, &text, &mine) < 0)
		return mine.kind == ERR_NOT_FOUND ? 0 : err_copy(e, &mine);
	if (!strstr(text.data, MULTUS_CONTEXT))
		return 0;
	if (file_remove(kubeconfig, FILE_DURABLE, NULL, e) < 0)
		return -1;
	(void)rmdir(folder); /* unless somebody else has something in it */
	return 0;
}
