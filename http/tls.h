/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - TLS 1.2 client (RFC 5246) on BearSSL; nothing outside tls*.c knows the library.
 *
 * ECDHE with AES-GCM first, then ChaCha20-Poly1305; no CBC, no static RSA, no SHA-1.  The chain
 * must lead to one of the given anchors, every certificate in it be valid today, RSA keys have 2048
 * bits or more.  The server's certificate must carry a subjectAltName entry for the very name or
 * address (dNSName, or iPAddress compared as bytes); the common name is never looked at, and an
 * extended key usage, where there is one, must allow serverAuth.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "http/stream.h"

/* Anchors and client credentials, parsed once and shared by connections (read-only afterwards). */
struct tls_config;

/*
 * ca_pem: one or more certificates (CRLF and text between them are fine).  cert_pem and key_pem:
 * the client's chain and key (RSA or EC P-256/P-384; PKCS#1, PKCS#8 or SEC1), both or neither.
 * Texts are borrowed.  ERR_CONFIG says which of them is bad and what would be needed.  A CA whose
 * key is not supported is passed over while there is another; whether one is valid today is looked
 * at by each tls_connect().
 */
int tls_config_new(const char *ca_pem, size_t ca_len, const char *cert_pem, size_t cert_len,
                   const char *key_pem, size_t key_len, struct tls_config **out,
                   struct err *e) MUST_USE;
void tls_config_free(struct tls_config *c); /* NULL is fine; no connection uses it any more */

/*
 * Handshake over `under` (taken, also on failure).  name: the DNS name (sent as SNI) or the
 * address literal (not sent, RFC 6066) that the certificate must be for.  Errors are ERR_PROTO in
 * words: unknown CA, wrong name (and the name), expired, TLS 1.3 only, unsupported key or signature
 * (Ed25519, RSA-PSS) with what is needed; ERR_CONFIG when name is neither.  config is borrowed for
 * the stream's life.  The stream buffers writes until flush, and its close says goodbye, which
 * blocks for a fraction of a second at most.
 */
int tls_connect(const struct tls_config *config, struct stream *under, const char *name,
                struct mono deadline, struct stream **out, struct err *e) MUST_USE;

/*
 * Checks that a certificate (DER) is one for `name` and for servers; exported for its tests and its
 * fuzzer.  1 match, 0 another name, -1 malformed, -2 the right name but an extended key usage that
 * forbids servers.
 */
int tls_cert_matches(const unsigned char *der, size_t len, const char *name);

#endif
