/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - taking URLs apart and percent-encoding what goes into them (RFC 3986).
 */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include <stdbool.h>

#include "base/str.h"

struct url {
	bool tls;       /* https */
	char host[256]; /* without brackets */
	unsigned int port;
	char path[512]; /* "" or "/..." without a final slash; a prefix for API paths */
};

/* "https://host[:port][/path]"; user names, queries and fragments are ERR_CONFIG. */
int url_parse(const char *text, struct url *out, struct err *e) MUST_USE;

/* Appends text with everything but unreserved characters encoded: a path segment or query value. */
void url_encode(struct str *out, const char *text);

/* Decodes %XX (and nothing else) into out; ERR_PROTO for a bad escape or %00. */
int url_decode(const char *text, size_t len, struct str *out, struct err *e) MUST_USE;

/* "host:port" for the Host header, brackets around IPv6. */
void url_host_header(const struct url *u, struct str *out);

#endif
