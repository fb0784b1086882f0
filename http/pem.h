/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pem.h - objects in PEM text (RFC 7468), as lenient as the files in the field: CRLF, trailing
 * blanks, text between objects, no newline at the end.
 */
#ifndef HTTP_PEM_H
#define HTTP_PEM_H

#include <stdbool.h>

#include "base/str.h"

#define PEM_LABEL_MAX 64

/* What is left to read; borrowed. */
struct pem {
	const char *p;
	size_t len;
};

/*
 * The next object: its label ("CERTIFICATE") and its bytes (der is emptied first).  *found is false
 * when there is none left.  ERR_CONFIG for an object that does not end, is not base64, or is
 * encrypted the old way.
 */
int pem_next(struct pem *text, char label[PEM_LABEL_MAX], struct str *der, bool *found,
             struct err *e) MUST_USE;

/* Frees der's memory and leaves no copy of it behind: it held a key. */
void pem_wipe(struct str *der);

#endif
