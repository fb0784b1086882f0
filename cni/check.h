/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - what may name a container or a network: it becomes part of file names.
 */
#ifndef CNI_CHECK_H
#define CNI_CHECK_H

#include "base/err.h"

#define CNI_ID_MAX 200 /* bytes; with an interface name it still fits a file name */

/* The character class of SPEC.md: a letter or digit, then letters, digits, "_", "." and "-".
 * `what` names the thing in the message.  ERR_CONFIG. */
int check_id(const char *what, const char *id, struct err *e) MUST_USE;

#endif
