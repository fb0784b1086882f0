/* SPDX-License-Identifier: Apache-2.0 */
/* links: http/url.c base/str.c base/err.c base/mem.c */
/*
 * url_test.c - server addresses, good and bad, and escapes in both directions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/url.h"

static void good(void **state)
{
	static const struct {
		const char *text;
		bool tls;
		const char *host;
		unsigned int port;
		const char *path, *header;
	} cases[] = {
		{ "https://a.example", true, "a.example", 443, "", "a.example:443" },
		{ "http://a.example/", false, "a.example", 80, "", "a.example:80" },
		{ "https://10.0.0.1:6443/k8s/c//", true, "10.0.0.1", 6443, "/k8s/c",
		  "10.0.0.1:6443" },
		{ "https://[fd00::1]", true, "fd00::1", 443, "", "[fd00::1]:443" },
		{ "http://[::1]:65535/x", false, "::1", 65535, "/x", "[::1]:65535" },
		{ "http://h:1/a:b", false, "h", 1, "/a:b", "h:1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_STR header = STR_INIT;
		struct url u;
		struct err e;

		if (url_parse(cases[i].text, &u, &e) < 0)
			fail_msg("%s: %s", cases[i].text, e.msg);
		assert_int_equal(u.tls, cases[i].tls);
		assert_string_equal(u.host, cases[i].host);
		assert_int_equal(u.port, cases[i].port);
		assert_string_equal(u.path, cases[i].path);
		url_host_header(&u, &header);
		assert_string_equal(header.data, cases[i].header);
	}
}

static void bad(void **state)
{
	static const char *const cases[][2] = {
		{ "", "\"\" is no http:// or https:// address" },
		{ "a.example", "\"a.example\" is no http:// or https:// address" },
		{ "ftp://a", "\"ftp://a\" is no http:// or https:// address" },
		{ "HTTPS://a", "\"HTTPS://a\" is no http:// or https:// address" },
		{ "http:/a", "\"http:/a\" is no http:// or https:// address" },
		{ "https://", "\"https://\" has no host name" },
		{ "https:///x", "\"https:///x\" has no host name" },
		{ "https://:443", "\"https://:443\" has no host name" },
		{ "https://[]", "\"https://[]\" has no host name" },
		{ "https://[::1", "\"https://[::1\" has no host name" },
		{ "https://[::1]x", "\"https://[::1]x\" has no host name" },
		{ "https://[a]", "\"https://[a]\" has no host name" },
		{ "https://[a/b:1]", "\"https://[a/b:1]\" has no host name" },
		{ "https://[[::1]", "\"https://[[::1]\" has no host name" },
		{ "https://a:", "port in \"https://a:\": \"\" is not a number" },
		{ "https://a:0", "port in \"https://a:0\": 0 is not between 1 and 65535" },
		{ "https://a:65536/x",
		  "port in \"https://a:65536/x\": 65536 is not between 1 and 65535" },
		{ "https://a:1x/", "port in \"https://a:1x/\": \"1x\" is not a number" },
		{ "https://fd00::1", "port in \"https://fd00::1\": \":1\" is not a number" },
		{ "https://u@a", "\"https://u@a\": no user name, query or fragment is allowed" },
		{ "https://a/?x", "\"https://a/?x\": no user name, query or fragment is allowed" },
		{ "https://a/#x", "\"https://a/#x\": no user name, query or fragment is allowed" },
		{ "https://a b", "\"https://a b\": no user name, query or fragment is allowed" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct url u = { .port = 77 };
		struct err e;

		assert_int_equal(url_parse(cases[i][0], &u, &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_string_equal(e.msg, cases[i][1]);
		assert_int_equal(u.port, 77);
		assert_int_equal(url_parse(cases[i][0], &u, NULL), -1);
	}
}

static void too_long(void **state)
{
	AUTO_STR host = STR_INIT;
	AUTO_STR path = STR_INIT;
	struct url u;
	struct err e;

	(void)state;
	str_add(&host, "https://");
	for (int i = 0; i < 255; i++)
		str_addc(&host, 'a');
	assert_int_equal(url_parse(host.data, &u, &e), 0);
	assert_int_equal(strlen(u.host), 255);
	str_addc(&host, 'a');
	assert_int_equal(url_parse(host.data, &u, &e), -1);
	assert_true(str_ends(e.msg, "\" has no host name"));
	str_add(&path, "https://a/");
	for (int i = 0; i < 511; i++)
		str_addc(&path, 'p');
	assert_int_equal(url_parse(path.data, &u, &e), -1);
	assert_true(str_ends(e.msg, "\" is too long"));
}

static void encodes(void **state)
{
	AUTO_STR out = STR_INIT;

	(void)state;
	str_add(&out, "/");
	url_encode(&out, "aZ9-._~ /?%&=+\x01\xc3\xa9");
	assert_string_equal(out.data, "/aZ9-._~%20%2F%3F%25%26%3D%2B%01%C3%A9");
}

static void decodes(void **state)
{
	static const char *const wrong[] = { "%",   "%2",  "a%",  "%zz",  "%2g",
		                             "%g2", "%00", "x%0", "%%20", "%-1" };
	AUTO_STR out = STR_INIT;
	struct err e;

	(void)state;
	assert_int_equal(url_decode("a%2Fb%c3%A9+%25", 15, &out, &e), 0);
	assert_string_equal(out.data, "a/b\xc3\xa9+%");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		str_reset(&out, 1);
		assert_int_equal(url_decode(wrong[i], strlen(wrong[i]), &out, &e), -1);
		assert_int_equal(e.kind, ERR_PROTO);
		assert_string_equal(out.data, "a");
	}
	/* the length rules, not a terminator behind it */
	assert_int_equal(url_decode("%41", 2, &out, &e), -1);
	str_reset(&out, 0);
	assert_int_equal(url_decode("%41%41", 3, &out, &e), 0);
	assert_string_equal(out.data, "A");
}

/* Every byte but NUL survives the way there and back. */
static void there_and_back(void **state)
{
	AUTO_STR encoded = STR_INIT;
	AUTO_STR back = STR_INIT;
	char all[256];

	(void)state;
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	url_encode(&encoded, all);
	assert_int_equal(url_decode(encoded.data, encoded.len, &back, NULL), 0);
	assert_string_equal(back.data, all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),     cmocka_unit_test(bad),
		cmocka_unit_test(too_long), cmocka_unit_test(encodes),
		cmocka_unit_test(decodes),  cmocka_unit_test(there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
