/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x509.h - what a certificate says (RFC 5280), read from its DER without verifying anything: dates,
 * names, extended key usage, and words for messages.  Signatures and chains are tls.c's business.
 */
#ifndef HTTP_X509_H
#define HTTP_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

/* Bytes inside somebody's DER; borrowed. */
struct der {
	const unsigned char *p;
	size_t len;
};

/* All of it borrowed from the certificate. */
struct x509 {
	struct der issuer, subject;    /* whole elements, tag and length included */
	struct der signature;          /* object identifier of the signature's algorithm */
	struct der key_type, key;      /* object identifier, and the BIT STRING's contents */
	int64_t not_before, not_after; /* seconds since 1970 */
	bool has_names, has_usages;    /* is there a subjectAltName, an extKeyUsage? */
	struct der names, usages;      /* the elements inside their SEQUENCE */
};

/* -1 when it is not exactly one well-formed certificate. */
int x509_read(const unsigned char *der, size_t len, struct x509 *out) MUST_USE;

/*
 * Is one of the subjectAltName's entries `name`?  An address literal is compared with iPAddress
 * entries as bytes; anything else with dNSName entries, ignoring the case of ASCII letters, where
 * "*." stands for one whole label.
 */
bool x509_matches(const struct x509 *c, const char *name);

/* No extended key usage, or one that has serverAuth or anyExtendedKeyUsage. */
bool x509_for_servers(const struct x509 *c);

bool x509_valid_at(const struct x509 *c, int64_t when); /* seconds since 1970 */

/* Bits of an RSA key, 0 for other keys. */
unsigned int x509_rsa_bits(const struct x509 *c);

bool der_equal(struct der a, struct der b);

/*
 * For messages, all appended: a distinguished name ("CN=x, O=y"), the subjectAltName's entries
 * ("DNS:a, IP:10.0.0.1"), both cut when long.  The name of an algorithm that is not supported,
 * NULL for others.
 */
void x509_dn_text(struct der dn, struct str *out);
void x509_names_text(const struct x509 *c, struct str *out);
const char *x509_unsupported(struct der oid);

#endif
