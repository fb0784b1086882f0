/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.c - server addresses taken apart, path segments and query values encoded.
 */
#include <stdio.h>
#include <string.h>

#include "http/url.h"

int url_parse(const char *text, struct url *out, struct err *e)
{
	struct url u = { .tls = str_starts(text, "https://") };
	const char *host, *end, *port, *path;
	uint32_t number;

	if (!u.tls && !str_starts(text, "http://"))
		return err_set(e, ERR_CONFIG, "\"%s\" is no http:// or https:// address", text);
	if (strpbrk(text, "?#@ \r\n\t"))
		return err_set(e, ERR_CONFIG, "\"%s\": no user name, query or fragment is allowed",
		               text);
	host = strchr(text, ':') + 3;
	if (*host == '[') {
		host++;
		end = host + strcspn(host, "/[]");
		/* what stands in brackets is an IPv6 address, which has colons */
		port = *end == ']' && memchr(host, ':', (size_t)(end - host)) ? end + 1 : NULL;
	} else {
		end = port = host + strcspn(host, ":/");
	}
	if (!port || end == host || (*port && *port != ':' && *port != '/') ||
	    fmt(u.host, sizeof(u.host), "%.*s", (int)(end - host), host) < 0)
		return err_set(e, ERR_CONFIG, "\"%s\" has no host name", text);
	path = port + strcspn(port, "/");
	u.port = u.tls ? 443 : 80;
	if (*port == ':') {
		AUTO_FREE char *digits = xstrndup(port + 1, (size_t)(path - port - 1));

		if (parse_u32(digits, 1, 65535, &number, e) < 0)
			return err_wrap(e, "port in \"%s\"", text);
		u.port = number;
	}
	if (fmt(u.path, sizeof(u.path), "%s", path) < 0)
		return err_set(e, ERR_CONFIG, "\"%s\" is too long", text);
	while (str_ends(u.path, "/"))
		u.path[strlen(u.path) - 1] = '\0';
	*out = u;
	return 0;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~", c));
}

void url_encode(struct str *out, const char *text)
{
	for (; *text; text++) {
		if (is_unreserved(*text))
			str_addc(out, *text);
		else
			str_addf(out, "%%%02X", (unsigned int)(unsigned char)*text);
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int url_decode(const char *text, size_t len, struct str *out, struct err *e)
{
	size_t start = out->len;

	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] != '%') {
			str_addc(out, text[i]);
			continue;
		}
		high = i + 2 < len ? hex(text[i + 1]) : -1;
		low = i + 2 < len ? hex(text[i + 2]) : -1;
		if (high < 0 || low < 0 || (!high && !low)) {
			str_reset(out, start);
			return err_set(e, ERR_PROTO, "bad escape in an address");
		}
		str_addc(out, (char)(high << 4 | low));
		i += 2;
	}
	return 0;
}

void url_host_header(const struct url *u, struct str *out)
{
	str_addf(out, strchr(u->host, ':') ? "[%s]:%u" : "%s:%u", u->host, u->port);
}
