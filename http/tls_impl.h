/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_impl.h - the state of a TLS connection, for tls.c and tls_explain.c.
 */
#ifndef HTTP_TLS_IMPL_H
#define HTTP_TLS_IMPL_H

#include <bearssl.h>

#include "base/str.h"
#include "http/tls.h"
#include "http/x509.h"

#define CERT_MAX (64 * 1024) /* one certificate of the server's */
#define NAME_MAX_LEN 253     /* a DNS name */
#define RSA_MIN_BITS 2048    /* in chains and anchors */
#define NEEDED                                                                                     \
	"needed are RSA keys (PKCS#1 v1.5 signatures) or ECDSA keys on P-256 or P-384, with "      \
	"SHA-256, SHA-384 or SHA-512"

/* One certificate of the CA file. */
struct anchor {
	struct str der;
	struct x509 cert;   /* borrows from der */
	unsigned char *key; /* what ta.pkey points to */
	char unusable[64];  /* why it cannot verify anything; "" when it can */
	br_x509_trust_anchor ta;
};

struct tls_config {
	struct anchor *anchors;
	size_t anchors_len, anchors_cap;
	br_x509_certificate *chain; /* the client's, the data owned */
	size_t chain_len, chain_cap;
	br_skey_decoder_context key;
};

/* Begins with the class, as BearSSL wants its objects. */
struct verifier {
	const br_x509_class *class;
	br_x509_minimal_context inner;
	br_x509_trust_anchor *anchors;
	const char *name; /* borrowed from struct tls */
	struct str leaf;  /* the server's certificate */
	struct str last;  /* a later one, that verification stopped at */
	struct str *copy; /* where the current one goes */
	size_t seen;
	bool too_long, not_for_servers;
};

struct tls {
	struct stream base;
	struct stream *under;
	const struct tls_config *config;
	struct verifier *verifier; /* during the handshake only */
	unsigned char *buffer;
	char name[NAME_MAX_LEN + 1];
	bool open;   /* the handshake is over */
	bool broken; /* half a record may have been sent: nothing more can be */
	bool ended;  /* the peer said goodbye and is gone */
	br_ssl_client_context client;
};

/* code: BearSSL's (bearssl_ssl.h, bearssl_x509.h).  Always -1. */
int tls_explain(const struct tls *t, int code, struct err *e);

#endif
