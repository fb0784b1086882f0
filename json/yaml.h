/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.h - YAML 1.1 text, as people write Kubernetes manifests and kubeconfigs, to JSON trees.
 *
 * Plain scalars follow the rules that Kubernetes' own reader applies (null ~ true false yes no on
 * off, decimal integers, floats); quoted ones and block scalars are strings.  Anchors, aliases,
 * tags outside the core schema, duplicate keys and keys that are no scalars are refused with a
 * line number.
 */
#ifndef JSON_YAML_H
#define JSON_YAML_H

#include "json/json.h"

#define YAML_DOCUMENTS_MAX 1000

/*
 * All documents of a stream: *out is an owned JSON array with one element per document that is not
 * empty.  JSON text is YAML too.  ERR_CONFIG with "line N: ...".
 */
int yaml_parse_all(const char *text, size_t len, json **out, struct err *e) MUST_USE;

/* Exactly one document; ERR_CONFIG when there is none or more than one. */
int yaml_parse(const char *text, size_t len, json **out, struct err *e) MUST_USE;

#endif
