/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x509.c - a walker over a certificate's DER.  Every element is cut out of the one around it before
 * it is looked at, so that no length can lead outside; anything unexpected is "malformed".
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/date.h"
#include "http/x509.h"

enum {
	TAG_BOOLEAN = 0x01,
	TAG_INTEGER = 0x02,
	TAG_BIT_STRING = 0x03,
	TAG_OCTET_STRING = 0x04,
	TAG_OID = 0x06,
	TAG_UTC_TIME = 0x17,
	TAG_GENERALIZED_TIME = 0x18,
	TAG_SEQUENCE = 0x30,
	TAG_SET = 0x31,
	TAG_VERSION = 0xa0,
	TAG_EXTENSIONS = 0xa3,
	NAME_DNS = 0x82, /* of GeneralName, RFC 5280 section 4.2.1.6 */
	NAME_IP = 0x87,
};

#define NAME_LABEL_TEXT_MAX 80 /* one name in a message */
#define NAMES_TEXT_MAX 300     /* all of them */

#define OID(bytes) ((struct der){ (const unsigned char *)(bytes), sizeof(bytes) - 1 })

bool der_equal(struct der a, struct der b)
{
	return a.len == b.len && (!a.len || memcmp(a.p, b.p, a.len) == 0);
}

/*
 * Takes the next element off `from`: its tag, its contents, and (may be NULL) the whole of it.
 * Tags of one byte and definite lengths up to 16 MB in their shortest form, as DER wants them.
 */
static bool der_next(struct der *from, unsigned int *tag, struct der *contents, struct der *whole)
{
	const unsigned char *p = from->p;
	size_t len, head = 2;

	if (from->len < 2 || (p[0] & 0x1f) == 0x1f)
		return false;
	len = p[1];
	if (len & 0x80) {
		size_t n = len & 0x7f;

		if (n < 1 || n > 3 || from->len < 2 + n || p[2] == 0)
			return false;
		len = 0;
		for (size_t i = 0; i < n; i++)
			len = len << 8 | p[2 + i];
		if (len < 0x80)
			return false;
		head += n;
	}
	if (len > from->len - head)
		return false;
	*tag = p[0];
	*contents = (struct der){ p + head, len };
	if (whole)
		*whole = (struct der){ p, head + len };
	from->p += head + len;
	from->len -= head + len;
	return true;
}

/* The same for an element that must have this tag. */
static bool der_take(struct der *from, unsigned int tag, struct der *contents)
{
	unsigned int got;

	return der_next(from, &got, contents, NULL) && got == tag;
}

static bool digits(const unsigned char *p, size_t n, int min, int max, int *out)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		v = v * 10 + (p[i] - '0');
	}
	*out = v;
	return v >= min && v <= max;
}

/* "YYMMDDHHMMSSZ", or with four digits for the year: all that RFC 5280 section 4.1.2.5 allows. */
static bool read_time(struct der *from, int64_t *out)
{
	struct date d;
	int year;
	unsigned int tag;
	struct der v;
	size_t n;

	if (!der_next(from, &tag, &v, NULL) || (tag != TAG_UTC_TIME && tag != TAG_GENERALIZED_TIME))
		return false;
	n = tag == TAG_UTC_TIME ? 2 : 4;
	if (v.len != n + 11 || v.p[n + 10] != 'Z' || !digits(v.p, n, 0, 9999, &year) ||
	    !digits(v.p + n, 2, 1, 12, &d.month) || !digits(v.p + n + 2, 2, 1, 31, &d.day) ||
	    !digits(v.p + n + 4, 2, 0, 23, &d.hour) || !digits(v.p + n + 6, 2, 0, 59, &d.minute) ||
	    !digits(v.p + n + 8, 2, 0, 60, &d.second))
		return false;
	d.year = year;
	if (tag == TAG_UTC_TIME)
		d.year += year < 50 ? 2000 : 1900;
	*out = date_to_seconds(&d);
	return true;
}

/* The elements of a SEQUENCE that fills `value`, each of them well-formed. */
static bool read_list(struct der value, struct der *list)
{
	struct der inner, rest;
	unsigned int tag;

	if (!der_take(&value, TAG_SEQUENCE, list) || value.len)
		return false;
	for (rest = *list; rest.len;)
		if (!der_next(&rest, &tag, &inner, NULL))
			return false;
	return true;
}

static bool read_extension(struct der ext, struct x509 *c)
{
	struct der oid, value, flag;

	if (!der_take(&ext, TAG_OID, &oid))
		return false;
	if (ext.len && ext.p[0] == TAG_BOOLEAN && !der_take(&ext, TAG_BOOLEAN, &flag))
		return false;
	if (!der_take(&ext, TAG_OCTET_STRING, &value) || ext.len)
		return false;
	if (der_equal(oid, OID("\x55\x1d\x11"))) { /* subjectAltName, 2.5.29.17 */
		if (c->has_names)
			return false;
		c->has_names = true;
		return read_list(value, &c->names);
	}
	if (der_equal(oid, OID("\x55\x1d\x25"))) { /* extKeyUsage, 2.5.29.37 */
		if (c->has_usages)
			return false;
		c->has_usages = true;
		return read_list(value, &c->usages);
	}
	return true;
}

static bool read_extensions(struct der value, struct x509 *c)
{
	struct der list, ext;

	if (!der_take(&value, TAG_SEQUENCE, &list) || value.len)
		return false;
	while (list.len)
		if (!der_take(&list, TAG_SEQUENCE, &ext) || !read_extension(ext, c))
			return false;
	return true;
}

/* What follows the subject's key: two unique identifiers that nobody uses, and the extensions. */
static bool read_rest(struct der tbs, struct x509 *c)
{
	bool seen = false;

	while (tbs.len) {
		struct der v;
		unsigned int tag;

		if (!der_next(&tbs, &tag, &v, NULL))
			return false;
		if (tag != TAG_EXTENSIONS)
			continue;
		if (seen || !read_extensions(v, c))
			return false;
		seen = true;
	}
	return true;
}

static bool read_tbs(struct der tbs, struct x509 *c)
{
	struct der v, dates, spki, algorithm;
	unsigned int tag;

	if (tbs.len && tbs.p[0] == TAG_VERSION && !der_take(&tbs, TAG_VERSION, &v))
		return false;
	if (!der_take(&tbs, TAG_INTEGER, &v) || !der_take(&tbs, TAG_SEQUENCE, &v))
		return false;
	if (!der_next(&tbs, &tag, &v, &c->issuer) || tag != TAG_SEQUENCE)
		return false;
	if (!der_take(&tbs, TAG_SEQUENCE, &dates) || !read_time(&dates, &c->not_before) ||
	    !read_time(&dates, &c->not_after))
		return false;
	if (!der_next(&tbs, &tag, &v, &c->subject) || tag != TAG_SEQUENCE)
		return false;
	if (!der_take(&tbs, TAG_SEQUENCE, &spki) || !der_take(&spki, TAG_SEQUENCE, &algorithm) ||
	    !der_take(&algorithm, TAG_OID, &c->key_type) ||
	    !der_take(&spki, TAG_BIT_STRING, &c->key))
		return false;
	return read_rest(tbs, c);
}

int x509_read(const unsigned char *der, size_t len, struct x509 *out)
{
	struct der all = { der, len }, cert, tbs, algorithm, signature;
	struct x509 c = { 0 };

	if (!der_take(&all, TAG_SEQUENCE, &cert) || all.len || !der_take(&cert, TAG_SEQUENCE, &tbs))
		return -1;
	if (!der_take(&cert, TAG_SEQUENCE, &algorithm) ||
	    !der_take(&algorithm, TAG_OID, &c.signature) ||
	    !der_take(&cert, TAG_BIT_STRING, &signature) || cert.len)
		return -1;
	if (!read_tbs(tbs, &c))
		return -1;
	*out = c;
	return 0;
}

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static bool same_text(const unsigned char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (lower(a[i]) != lower((unsigned char)b[i]))
			return false;
	return true;
}

static bool dns_matches(struct der pattern, const char *name, size_t len)
{
	if (pattern.len > 2 && pattern.p[0] == '*' && pattern.p[1] == '.') {
		const char *dot = memchr(name, '.', len);

		if (!dot || dot == name)
			return false;
		pattern.p++;
		pattern.len--;
		len -= (size_t)(dot - name);
		name = dot;
	}
	return pattern.len == len && same_text(pattern.p, name, len);
}

bool x509_matches(const struct x509 *c, const char *name)
{
	struct der rest = c->names, v;
	unsigned char address[16];
	size_t address_len = 0, len = strlen(name);
	unsigned int tag;

	if (inet_pton(AF_INET, name, address) == 1)
		address_len = 4;
	else if (inet_pton(AF_INET6, name, address) == 1)
		address_len = 16;
	else if (len && name[len - 1] == '.') /* the root's dot is never in a certificate */
		len--;
	if (!len)
		return false;
	while (rest.len && der_next(&rest, &tag, &v, NULL)) {
		if (address_len && tag == NAME_IP &&
		    der_equal(v, (struct der){ address, address_len }))
			return true;
		if (!address_len && tag == NAME_DNS && dns_matches(v, name, len))
			return true;
	}
	return false;
}

bool x509_for_servers(const struct x509 *c)
{
	struct der rest = c->usages, v;
	unsigned int tag;

	if (!c->has_usages)
		return true;
	while (rest.len && der_next(&rest, &tag, &v, NULL))
		if (tag == TAG_OID &&
		    (der_equal(v, OID("\x2b\x06\x01\x05\x05\x07\x03\x01")) || /* serverAuth */
		     der_equal(v, OID("\x55\x1d\x25\x00")))) /* anyExtendedKeyUsage */
			return true;
	return false;
}

unsigned int x509_rsa_bits(const struct x509 *c)
{
	struct der key = c->key, numbers, n;
	unsigned int bits;

	if (!der_equal(c->key_type, OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")) || !key.len)
		return 0;
	key.p++; /* the count of unused bits */
	key.len--;
	if (!der_take(&key, TAG_SEQUENCE, &numbers) || !der_take(&numbers, TAG_INTEGER, &n))
		return 0;
	while (n.len && !n.p[0]) {
		n.p++;
		n.len--;
	}
	if (!n.len)
		return 0;
	bits = (unsigned int)n.len * 8;
	for (unsigned int first = n.p[0]; first < 0x80; first <<= 1)
		bits--;
	return bits;
}

/* What outsiders wrote, fit for one line of a message. */
static void add_text(struct der text, struct str *out)
{
	size_t len = text.len < NAME_LABEL_TEXT_MAX ? text.len : NAME_LABEL_TEXT_MAX;

	for (size_t i = 0; i < len; i++)
		str_addc(out, text.p[i] >= 0x20 && text.p[i] < 0x7f ? (char)text.p[i] : '?');
	if (len < text.len)
		str_add(out, "...");
}

/* One attribute of a name, when it is of a kind that people know. */
static void add_attribute(struct der set, size_t start, struct str *out)
{
	static const char kinds[][3] = {
		[3] = "CN", [6] = "C", [7] = "L", [8] = "ST", [10] = "O", [11] = "OU"
	};
	struct der pair, oid, value;
	unsigned int tag;

	if (!der_take(&set, TAG_SEQUENCE, &pair) || !der_take(&pair, TAG_OID, &oid) ||
	    !der_next(&pair, &tag, &value, NULL))
		return;
	if (oid.len != 3 || oid.p[0] != 0x55 || oid.p[1] != 0x04 || oid.p[2] >= ARRAY_LEN(kinds) ||
	    !*kinds[oid.p[2]])
		return;
	str_addf(out, "%s%s=", out->len > start ? ", " : "", kinds[oid.p[2]]);
	add_text(value, out);
}

void x509_dn_text(struct der dn, struct str *out)
{
	size_t start = out->len;
	struct der list, set;

	if (der_take(&dn, TAG_SEQUENCE, &list))
		while (list.len && out->len - start < NAMES_TEXT_MAX &&
		       der_take(&list, TAG_SET, &set))
			add_attribute(set, start, out);
	if (out->len == start)
		str_add(out, "(no name)");
}

void x509_names_text(const struct x509 *c, struct str *out)
{
	struct der rest = c->names, v;
	size_t start = out->len;
	unsigned int tag;

	while (rest.len && der_next(&rest, &tag, &v, NULL)) {
		char address[INET6_ADDRSTRLEN];

		if (tag != NAME_DNS && tag != NAME_IP)
			continue;
		if (out->len > start)
			str_add(out, ", ");
		if (out->len - start > NAMES_TEXT_MAX) {
			str_add(out, "...");
			return;
		}
		if (tag == NAME_DNS) {
			str_add(out, "DNS:");
			add_text(v, out);
		} else if ((v.len == 4 || v.len == 16) &&
		           inet_ntop(v.len == 4 ? AF_INET : AF_INET6, v.p, address,
		                     sizeof(address))) {
			str_addf(out, "IP:%s", address);
		} else {
			str_add(out, "IP:?");
		}
	}
	if (out->len == start)
		str_add(out, "nothing");
}

const char *x509_unsupported(struct der oid)
{
	static const struct {
		unsigned char len, oid[9];
		char name[8];
	} known[] = {
		{ 3, { 0x2b, 0x65, 0x70 }, "Ed25519" },
		{ 3, { 0x2b, 0x65, 0x71 }, "Ed448" },
		{ 9, { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a }, "RSA-PSS" },
		{ 9, { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04 }, "MD5" },
		{ 9, { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05 }, "SHA-1" },
		{ 9, { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0e }, "SHA-224" },
		{ 7, { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01 }, "SHA-1" },
		{ 8, { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01 }, "SHA-224" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (der_equal(oid, (struct der){ known[i].oid, known[i].len }))
			return known[i].name;
	return NULL;
}

bool x509_valid_at(const struct x509 *c, int64_t when)
{
	return when >= c->not_before && when <= c->not_after;
}
