/* SPDX-License-Identifier: Apache-2.0 */
/*
 * labels.h - metadata.labels and label selectors (meta/v1 LabelSelector): from JSON to values.
 */
#ifndef K8S_LABELS_H
#define K8S_LABELS_H

#include "pool/selector.h"
#include "json/json.h"

/* The members that are strings; no object (NULL too) has none.  *out is owned. */
void labels_read(const json *object, struct labels *out);

/*
 * The member of that name.  Absent or null leaves *out alone, which is not set then.  ERR_PROTO,
 * ERR_CONFIG for what is no selector or what selector_check() refuses.  *out is owned.
 */
int selector_read(const json *spec, const char *key, struct selector *out, struct err *e) MUST_USE;

#endif
