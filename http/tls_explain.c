/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_explain.c - what went wrong with a TLS connection, in words: which certificate, which name,
 * which setting.
 */
#include <time.h>

#include "base/date.h"
#include "http/tls_impl.h"

#define ANCHORS_SHOWN 4            /* in a message */
#define ALERT_HANDSHAKE_FAILURE 40 /* RFC 5246 section 7.2, and 8446 section 6 */
#define ALERT_CERTIFICATE_FIRST 42
#define ALERT_CERTIFICATE_LAST 46
#define ALERT_UNKNOWN_CA 48
#define ALERT_ACCESS_DENIED 49
#define ALERT_DECRYPT_ERROR 51
#define ALERT_PROTOCOL_VERSION 70
#define ALERT_UNRECOGNIZED_NAME 112
#define ALERT_CERTIFICATE_REQUIRED 116

static int explain_dates(const char *what, const struct x509 *c, struct err *e)
{
	char limit[DATE_SIZE], today[DATE_SIZE];
	int64_t now = time(NULL);

	date_text(now, today);
	if (now < c->not_before) {
		date_text(c->not_before, limit);
		return err_set(e, ERR_PROTO, "%s is not valid before %s, and it is %s here", what,
		               limit, today);
	}
	date_text(c->not_after, limit);
	return err_set(e, ERR_PROTO, "%s expired on %s, and it is %s here", what, limit, today);
}

/* The anchor of this name, rather one that tells why it did not do. */
static const struct anchor *find_anchor(const struct tls_config *config, struct der name)
{
	const struct anchor *found = NULL;
	int64_t now = time(NULL);

	for (size_t i = 0; i < config->anchors_len; i++) {
		const struct anchor *a = &config->anchors[i];

		if (!der_equal(a->cert.subject, name))
			continue;
		if (a->unusable[0] || !x509_valid_at(&a->cert, now))
			return a;
		found = a;
	}
	return found;
}

static void anchor_names(const struct tls_config *config, struct str *out)
{
	for (size_t i = 0; i < config->anchors_len; i++) {
		if (i == ANCHORS_SHOWN) {
			str_addf(out, " and %zu more", config->anchors_len - i);
			return;
		}
		str_add(out, i ? "; " : "");
		x509_dn_text(config->anchors[i].cert.subject, out);
	}
}

/* No anchor verifies c, the last certificate of the chain. */
static int explain_untrusted(const struct tls_config *config, const struct x509 *c, struct err *e)
{
	const struct anchor *a = find_anchor(config, c->issuer);
	AUTO_STR issuer = STR_INIT;
	AUTO_STR text = STR_INIT;

	x509_dn_text(c->issuer, &issuer);
	if (!a) {
		anchor_names(config, &text);
		return err_set(e, ERR_PROTO,
		               "the server's certificate is signed by an unknown CA, %s; known "
		               "here: %s",
		               issuer.data, text.data);
	}
	str_addf(&text, "the CA certificate of %s", issuer.data);
	if (a->unusable[0])
		return err_set(e, ERR_PROTO, "%s cannot be used: %s; " NEEDED, text.data,
		               a->unusable);
	if (!x509_valid_at(&a->cert, time(NULL)))
		return explain_dates(text.data, &a->cert, e);
	if (!(a->ta.flags & BR_X509_TA_CA))
		return err_set(e, ERR_PROTO, "%s is not one of a CA (no basicConstraints CA:TRUE)",
		               text.data);
	return err_set(e, ERR_PROTO,
	               "the server's certificate is signed by an unknown CA: %s known here has the "
	               "same name but another key",
	               text.data);
}

static int explain_name(const char *name, const struct x509 *c, struct err *e)
{
	AUTO_STR names = STR_INIT;

	if (!c->has_names)
		return err_set(e, ERR_PROTO,
		               "the server's certificate is not for %s: it has no subjectAltName "
		               "(a common name does not count)",
		               name);
	x509_names_text(c, &names);
	return err_set(e, ERR_PROTO, "the server's certificate is not for %s but for %s", name,
	               names.data);
}

static int explain_algorithm(const char *who, const struct x509 *c, struct err *e)
{
	const char *key = x509_unsupported(c->key_type);
	const char *signature = x509_unsupported(c->signature);

	if (key)
		return err_set(e, ERR_PROTO,
		               "the certificate of %s has an unsupported key (%s); " NEEDED, who,
		               key);
	if (signature)
		return err_set(e, ERR_PROTO,
		               "the certificate of %s has an unsupported signature (%s); " NEEDED,
		               who, signature);
	return err_set(e, ERR_PROTO,
	               "the certificate of %s has an unsupported key or signature; " NEEDED, who);
}

static int explain_usage(const struct verifier *v, const char *who, struct err *e)
{
	if (v->not_for_servers)
		return err_set(e, ERR_PROTO,
		               "the certificate of %s is not for servers: its extended key usage "
		               "lacks serverAuth",
		               who);
	return err_set(e, ERR_PROTO,
	               "the key usage of the certificate of %s forbids what it is used for", who);
}

/* Verification failed with this code: name the certificate, and what is wrong with it. */
static int explain_certificate(const struct tls *t, int code, struct err *e)
{
	const struct verifier *v = t->verifier;
	const struct str *der = v->last.len ? &v->last : &v->leaf;
	AUTO_STR who = STR_INIT;
	AUTO_STR what = STR_INIT;
	struct x509 c;

	if (v->too_long)
		return err_set(e, ERR_PROTO, "a certificate of the server is longer than %u bytes",
		               CERT_MAX);
	if (x509_read((const unsigned char *)der->data, der->len, &c) < 0)
		return err_set(e, ERR_PROTO, "a certificate of the server is malformed (%d)", code);
	x509_dn_text(c.subject, &who);
	str_addf(&what, "the certificate of %s", who.data);
	switch (code) {
	case BR_ERR_X509_NOT_TRUSTED:
		return explain_untrusted(t->config, &c, e);
	case BR_ERR_X509_EXPIRED:
		return explain_dates(what.data, &c, e);
	case BR_ERR_X509_BAD_SERVER_NAME:
		return explain_name(t->name, &c, e);
	case BR_ERR_X509_UNSUPPORTED:
		return explain_algorithm(who.data, &c, e);
	case BR_ERR_X509_FORBIDDEN_KEY_USAGE:
		return explain_usage(v, who.data, e);
	case BR_ERR_X509_WEAK_PUBLIC_KEY:
		return err_set(e, ERR_PROTO, "%s has an RSA key of %u bits, needed are %u",
		               what.data, x509_rsa_bits(&c), RSA_MIN_BITS);
	case BR_ERR_X509_CRITICAL_EXTENSION:
		return err_set(e, ERR_PROTO,
		               "%s has a critical extension that is not supported (such as "
		               "nameConstraints or a critical extKeyUsage)",
		               what.data);
	case BR_ERR_X509_NOT_CA:
		return err_set(e, ERR_PROTO,
		               "%s has signed another one, but it is not a CA, or not for a chain "
		               "this long",
		               what.data);
	case BR_ERR_X509_DN_MISMATCH:
		return err_set(
			e, ERR_PROTO,
			"the server's chain is out of order: %s is not the issuer of the one "
			"before it",
			what.data);
	case BR_ERR_X509_BAD_SIGNATURE:
	case BR_ERR_X509_WRONG_KEY_TYPE:
		return err_set(e, ERR_PROTO,
		               "%s has not signed the one before it in the server's chain",
		               what.data);
	default:
		return err_set(e, ERR_PROTO, "%s is malformed (%d)", what.data, code);
	}
}

/* The server sent a fatal alert. */
static int explain_alert(const struct tls *t, int alert, struct err *e)
{
	bool with_cert = t->config->chain_len > 0;

	if (alert == ALERT_PROTOCOL_VERSION)
		return err_set(e, ERR_PROTO,
		               "needs TLS 1.2, and the server speaks only other versions: allow "
		               "TLS 1.2 there");
	if (alert == ALERT_HANDSHAKE_FAILURE)
		return err_set(
			e, ERR_PROTO,
			"the server shares no algorithm with us%s: needed are TLS 1.2, ECDHE "
			"with AES-GCM or ChaCha20-Poly1305, and a server key that is RSA or "
			"ECDSA (not Ed25519, not RSA-PSS)",
			with_cert ? ", or refuses the client certificate"
				  : ", or it wants a client certificate");
	if ((alert >= ALERT_CERTIFICATE_FIRST && alert <= ALERT_CERTIFICATE_LAST) ||
	    alert == ALERT_UNKNOWN_CA || alert == ALERT_ACCESS_DENIED ||
	    alert == ALERT_DECRYPT_ERROR || alert == ALERT_CERTIFICATE_REQUIRED)
		return err_set(e, ERR_PROTO, "the server %s (TLS alert %d)",
		               with_cert ? "refuses the client certificate"
		                         : "wants a client certificate",
		               alert);
	if (alert == ALERT_UNRECOGNIZED_NAME)
		return err_set(e, ERR_PROTO, "the server does not know the name %s", t->name);
	return err_set(e, ERR_PROTO, "the server ended the connection with TLS alert %d", alert);
}

int tls_explain(const struct tls *t, int code, struct err *e)
{
	if (code >= BR_ERR_SEND_FATAL_ALERT)
		return err_set(e, ERR_PROTO, "the server broke the rules of TLS (alert %d sent)",
		               code - BR_ERR_SEND_FATAL_ALERT);
	if (code >= BR_ERR_RECV_FATAL_ALERT)
		return explain_alert(t, code - BR_ERR_RECV_FATAL_ALERT, e);
	if (code > BR_ERR_X509_OK && t->verifier)
		return explain_certificate(t, code, e);
	switch (code) {
	case BR_ERR_UNSUPPORTED_VERSION:
		if (!t->client.eng.version_in)
			return err_set(e, ERR_PROTO, "the server does not speak TLS");
		return err_set(e, ERR_PROTO,
		               "needs TLS 1.2, and the server speaks only older versions");
	case BR_ERR_WRONG_KEY_USAGE:
		return err_set(e, ERR_PROTO,
		               "the key usage of the server's certificate forbids signatures");
	case BR_ERR_BAD_SIGNATURE:
		return err_set(
			e, ERR_PROTO,
			"the server does not have the key of its certificate (bad signature)");
	case BR_ERR_BAD_MAC:
		return err_set(e, ERR_PROTO, "data was changed on its way (bad record MAC)");
	case BR_ERR_INVALID_ALGORITHM:
		return err_set(e, ERR_PROTO,
		               "the server wants an algorithm that is not supported, or the client "
		               "key's is not one of its; " NEEDED);
	default:
		return err_set(e, ERR_PROTO, "the server broke the rules of TLS (%d)", code);
	}
}
