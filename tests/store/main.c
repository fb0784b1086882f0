/* SPDX-License-Identifier: Apache-2.0 */
/* links: tests/store/conformance.c store/ k8s/client.c k8s/request.c k8s/watch.c k8s/config.c */
/* links: http/ json/ base/ */
/* libs: cjson yaml bearssl */
/*
 * usage: main SPEC [CONTEXT]
 *
 * The conformance of the store SPEC, for the api suite.
 */
#include <stdio.h>

#include "tests/store/conformance.h"

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s SPEC [CONTEXT]\n", argv[0]);
		return 2;
	}
	return store_conformance(argv[1], argv[2]);
}
