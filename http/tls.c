/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c - a TLS client on BearSSL, which no file outside this folder knows.
 *
 * Theory of operation: BearSSL is a state machine between four buffers; pump() moves bytes between
 * it and the stream below until the state that a caller waits for.  Chains are verified by
 * BearSSL's "minimal" engine inside a class of ours (struct verifier) that keeps two certificates'
 * bytes: the server's own, to check names and usage, which BearSSL does not do for addresses, and
 * the one that verification stopped at, to say in words what is wrong with it.  BearSSL takes
 * anchors as bare keys, without dates, so we leave out those that are not valid today when a
 * connection begins.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/date.h"
#include "base/str.h"
#include "http/pem.h"
#include "http/tls_impl.h"

#define ANCHORS_MAX 512 /* a distribution's bundle has 150 */
#define CHAIN_MAX 16    /* certificates of the client's chain */
#define CLOSE_MS 200    /* for the last record, which the peer may not want to read */
/*
 * One generic implementation of the NIST curves.  Special code for P-256 and X25519 would take 1-2
 * ms from a handshake and add 12 KB; servers of the API always know P-256.
 */
#define CURVES (&br_ec_prime_i31)

int tls_cert_matches(const unsigned char *der, size_t len, const char *name)
{
	struct x509 c;

	if (x509_read(der, len, &c) < 0)
		return -1;
	if (!x509_matches(&c, name))
		return 0;
	return x509_for_servers(&c) ? 1 : -2;
}

/* Configuration. */

/* Copies the public key that a decoder found, and points the anchor to it. */
static void copy_key(struct anchor *a, const br_x509_pkey *k)
{
	a->ta.pkey.key_type = k->key_type;
	if (k->key_type == BR_KEYTYPE_RSA) {
		const br_rsa_public_key *rsa = &k->key.rsa;

		a->key = xmalloc(rsa->nlen + rsa->elen);
		memcpy(a->key, rsa->n, rsa->nlen);
		memcpy(a->key + rsa->nlen, rsa->e, rsa->elen);
		a->ta.pkey.key.rsa =
			(br_rsa_public_key){ a->key, rsa->nlen, a->key + rsa->nlen, rsa->elen };
	} else {
		const br_ec_public_key *ec = &k->key.ec;

		a->key = xmalloc(ec->qlen);
		memcpy(a->key, ec->q, ec->qlen);
		a->ta.pkey.key.ec = (br_ec_public_key){ ec->curve, a->key, ec->qlen };
	}
}

/* Why BearSSL cannot take a certificate's key. */
static void key_problem(const struct x509 *c, char *out, size_t size)
{
	const char *algorithm = x509_unsupported(c->key_type);

	IGNORE(algorithm ? fmt(out, size, "it has an unsupported key (%s)", algorithm)
	                 : fmt(out, size, "it has an unsupported key"));
}

/* Is this an X.509 certificate, whatever its key?  Fills everything but der. */
static bool read_anchor(struct anchor *a)
{
	br_x509_decoder_context decoder;
	const br_x509_pkey *key;
	unsigned int bits;

	if (x509_read((const unsigned char *)a->der.data, a->der.len, &a->cert) < 0)
		return false;
	br_x509_decoder_init(&decoder, NULL, NULL);
	br_x509_decoder_push(&decoder, a->der.data, a->der.len);
	key = br_x509_decoder_get_pkey(&decoder);
	if (!key) {
		key_problem(&a->cert, a->unusable, sizeof(a->unusable));
		return true;
	}
	bits = x509_rsa_bits(&a->cert);
	if (bits && bits < RSA_MIN_BITS)
		IGNORE(fmt(a->unusable, sizeof(a->unusable),
		           "its RSA key has %u bits, needed are %u", bits, RSA_MIN_BITS));
	copy_key(a, key);
	/* the library does not write to it */
	a->ta.dn.data =
		(unsigned char *)a->der.data + ((const char *)a->cert.subject.p - a->der.data);
	a->ta.dn.len = a->cert.subject.len;
	a->ta.flags = br_x509_decoder_isCA(&decoder) ? BR_X509_TA_CA : 0;
	return true;
}

static bool is_certificate(const char *label)
{
	return streq(label, "CERTIFICATE") || streq(label, "X509 CERTIFICATE");
}

static int read_anchors(struct tls_config *c, struct pem text, struct err *e)
{
	size_t usable = 0;

	for (;;) {
		AUTO_STR der = STR_INIT;
		char label[PEM_LABEL_MAX];
		struct anchor *a;
		bool found = false;

		if (pem_next(&text, label, &der, &found, e) < 0)
			return -1;
		if (!found)
			break;
		if (!is_certificate(label))
			continue;
		if (c->anchors_len == ANCHORS_MAX)
			return err_set(e, ERR_CONFIG, "more than %u certificates", ANCHORS_MAX);
		c->anchors = xgrow(c->anchors, &c->anchors_cap, c->anchors_len + 1, sizeof(*a));
		a = &c->anchors[c->anchors_len++];
		*a = (struct anchor){ .der = der };
		der = (struct str)STR_INIT;
		if (!read_anchor(a))
			return err_set(e, ERR_CONFIG, "certificate %zu is malformed",
			               c->anchors_len);
		usable += !a->unusable[0];
	}
	if (!c->anchors_len)
		return err_set(e, ERR_CONFIG, "there is no \"BEGIN CERTIFICATE\" in it");
	if (!usable)
		return err_set(e, ERR_CONFIG, "no certificate can be used: %s; " NEEDED,
		               c->anchors[0].unusable);
	return 0;
}

static int read_chain(struct tls_config *c, struct pem text, struct err *e)
{
	for (;;) {
		AUTO_STR der = STR_INIT;
		char label[PEM_LABEL_MAX];
		bool found = false;
		size_t len;

		if (pem_next(&text, label, &der, &found, e) < 0)
			return -1;
		if (!found)
			break;
		if (!is_certificate(label))
			continue;
		if (c->chain_len == CHAIN_MAX)
			return err_set(e, ERR_CONFIG, "more than %u certificates", CHAIN_MAX);
		c->chain = xgrow(c->chain, &c->chain_cap, c->chain_len + 1, sizeof(*c->chain));
		len = der.len;
		c->chain[c->chain_len++] =
			(br_x509_certificate){ (unsigned char *)str_take(&der), len };
	}
	if (!c->chain_len)
		return err_set(e, ERR_CONFIG, "there is no \"BEGIN CERTIFICATE\" in it");
	return 0;
}

/* The first private key of the text; openssl writes "EC PARAMETERS" before some. */
static int read_key(br_skey_decoder_context *key, struct pem text, struct err *e)
{
	struct str der = STR_INIT;
	char label[PEM_LABEL_MAX];
	bool found = false;
	int rc;

	do {
		if (pem_next(&text, label, &der, &found, e) < 0)
			return -1;
		if (!found)
			return err_set(e, ERR_CONFIG, "there is no \"BEGIN PRIVATE KEY\" in it");
	} while (!str_ends(label, "PRIVATE KEY"));
	if (streq(label, "ENCRYPTED PRIVATE KEY")) {
		pem_wipe(&der);
		return err_set(e, ERR_CONFIG, "the key is encrypted: give it decrypted");
	}
	br_skey_decoder_init(key);
	br_skey_decoder_push(key, der.data, der.len);
	rc = br_skey_decoder_last_error(key);
	pem_wipe(&der);
	if (rc)
		return err_set(e, ERR_CONFIG,
		               "the %s cannot be used: needed is an RSA (at most 4096 bits) or EC "
		               "(P-256, P-384) key as PKCS#1, PKCS#8 or SEC1",
		               label);
	return 0;
}

/* Does the private key belong to the certificate?  A server would only say that it does not. */
static bool key_fits(const br_skey_decoder_context *key, const br_x509_pkey *cert)
{
	if (cert->key_type != br_skey_decoder_key_type(key))
		return false;
	if (cert->key_type == BR_KEYTYPE_RSA) {
		br_rsa_compute_modulus modulus = br_rsa_compute_modulus_get_default();
		size_t len = modulus(NULL, br_skey_decoder_get_rsa(key));
		AUTO_FREE unsigned char *n = xmalloc(len + 1);

		return modulus(n, br_skey_decoder_get_rsa(key)) == len &&
		       len == cert->key.rsa.nlen && memcmp(n, cert->key.rsa.n, len) == 0;
	} else {
		unsigned char q[BR_EC_KBUF_PUB_MAX_SIZE];
		br_ec_public_key public;

		return br_ec_compute_pub(CURVES, &public, q, br_skey_decoder_get_ec(key)) &&
		       public.curve == cert->key.ec.curve && public.qlen == cert->key.ec.qlen &&
		       memcmp(public.q, cert->key.ec.q, public.qlen) == 0;
	}
}

static int check_client(const struct tls_config *c, struct err *e)
{
	br_x509_decoder_context decoder;
	const br_x509_pkey *key;

	br_x509_decoder_init(&decoder, NULL, NULL);
	br_x509_decoder_push(&decoder, c->chain[0].data, c->chain[0].data_len);
	key = br_x509_decoder_get_pkey(&decoder);
	if (!key)
		return err_set(e, ERR_CONFIG,
		               "the client certificate is malformed or its key is of a kind that "
		               "cannot be used: needed is RSA, or EC on P-256 or P-384");
	if (!key_fits(&c->key, key))
		return err_set(e, ERR_CONFIG,
		               "the client key does not belong to the client certificate");
	return 0;
}

static int read_config(struct tls_config *c, struct pem ca, struct pem cert, struct pem key,
                       struct err *e)
{
	if (read_anchors(c, ca, e) < 0)
		return err_wrap(e, "CA certificates");
	if (!cert.len && !key.len)
		return 0;
	if (!cert.len)
		return err_set(e, ERR_CONFIG, "a client key without its certificate");
	if (!key.len)
		return err_set(e, ERR_CONFIG, "a client certificate without its key");
	if (read_chain(c, cert, e) < 0)
		return err_wrap(e, "client certificate");
	if (read_key(&c->key, key, e) < 0)
		return err_wrap(e, "client key");
	return check_client(c, e);
}

int tls_config_new(const char *ca_pem, size_t ca_len, const char *cert_pem, size_t cert_len,
                   const char *key_pem, size_t key_len, struct tls_config **out, struct err *e)
{
	struct tls_config *c = xcalloc(1, sizeof(*c));

	if (read_config(c, (struct pem){ ca_pem, ca_len }, (struct pem){ cert_pem, cert_len },
	                (struct pem){ key_pem, key_len }, e) < 0) {
		tls_config_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void tls_config_free(struct tls_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->anchors_len; i++) {
		str_release(&c->anchors[i].der);
		free(c->anchors[i].key);
	}
	for (size_t i = 0; i < c->chain_len; i++)
		free(c->chain[i].data);
	free(c->anchors);
	free(c->chain);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

/* Verification: BearSSL's engine, and our checks after it. */

static struct verifier *of(const br_x509_class **ctx)
{
	return (struct verifier *)(void *)ctx;
}

static void start_chain(const br_x509_class **ctx, const char *name)
{
	struct verifier *v = of(ctx);

	(void)name; /* ours to check */
	v->inner.vtable->start_chain(&v->inner.vtable, NULL);
}

static void start_cert(const br_x509_class **ctx, uint32_t len)
{
	struct verifier *v = of(ctx);

	v->copy = NULL;
	if (v->seen == 0) {
		v->copy = &v->leaf;
	} else if (v->inner.err == 0) {
		v->copy = &v->last;
		str_reset(&v->last, 0);
	}
	v->seen++;
	if (len > CERT_MAX)
		v->too_long = true;
	v->inner.vtable->start_cert(&v->inner.vtable, len);
}

static void append(const br_x509_class **ctx, const unsigned char *p, size_t len)
{
	struct verifier *v = of(ctx);

	if (v->copy && !v->too_long)
		str_addn(v->copy, p, len);
	v->inner.vtable->append(&v->inner.vtable, p, len);
}

static void end_cert(const br_x509_class **ctx)
{
	struct verifier *v = of(ctx);

	v->inner.vtable->end_cert(&v->inner.vtable);
}

static unsigned int end_chain(const br_x509_class **ctx)
{
	struct verifier *v = of(ctx);
	unsigned int code = v->inner.vtable->end_chain(&v->inner.vtable);

	if (v->too_long)
		return BR_ERR_X509_LIMIT_EXCEEDED;
	if (code)
		return code;
	switch (tls_cert_matches((const unsigned char *)v->leaf.data, v->leaf.len, v->name)) {
	case 1:
		return 0;
	case 0:
		return BR_ERR_X509_BAD_SERVER_NAME;
	case -2:
		v->not_for_servers = true;
		return BR_ERR_X509_FORBIDDEN_KEY_USAGE;
	default:
		return BR_ERR_X509_UNEXPECTED;
	}
}

static const br_x509_pkey *get_key(const br_x509_class *const *ctx, unsigned int *usages)
{
	const struct verifier *v = (const struct verifier *)(const void *)ctx;

	return v->inner.vtable->get_pkey(&v->inner.vtable, usages);
}

static const br_x509_class verifier_class = {
	.context_size = sizeof(struct verifier),
	.start_chain = start_chain,
	.start_cert = start_cert,
	.append = append,
	.end_cert = end_cert,
	.end_chain = end_chain,
	.get_pkey = get_key,
};

static struct verifier *verifier_new(const struct tls_config *config, const char *name)
{
	struct verifier *v = xcalloc(1, sizeof(*v));
	int64_t now = time(NULL);
	size_t n = 0;

	v->class = &verifier_class;
	v->name = name;
	v->leaf = (struct str)STR_INIT;
	v->last = (struct str)STR_INIT;
	v->anchors = xcalloc(config->anchors_len, sizeof(*v->anchors));
	for (size_t i = 0; i < config->anchors_len; i++) {
		const struct anchor *a = &config->anchors[i];

		if (!a->unusable[0] && x509_valid_at(&a->cert, now))
			v->anchors[n++] = a->ta;
	}
	br_x509_minimal_init(&v->inner, &br_sha256_vtable, v->anchors, n);
	br_x509_minimal_set_minrsa(&v->inner, RSA_MIN_BITS / 8);
	return v;
}

static void verifier_free(struct verifier *v)
{
	if (!v)
		return;
	str_release(&v->leaf);
	str_release(&v->last);
	free(v->anchors);
	free(v);
}

/* The stream. */

static struct tls *tls_of(struct stream *s)
{
	return (struct tls *)s;
}

/* Sends what the engine has ready. */
static int send_record(struct tls *t, struct mono deadline, struct err *e)
{
	br_ssl_engine_context *eng = &t->client.eng;
	size_t len;
	unsigned char *p = br_ssl_engine_sendrec_buf(eng, &len);

	if (stream_write(t->under, p, len, deadline, e) < 0) {
		t->broken = true;
		/* our goodbye may find nobody: the peer's has come, and that is a proper end */
		t->ended = eng->shutdown_recv;
		return t->ended ? 0 : -1;
	}
	br_ssl_engine_sendrec_ack(eng, len);
	return 0;
}

static int receive(struct tls *t, struct mono deadline, struct err *e)
{
	br_ssl_engine_context *eng = &t->client.eng;
	size_t len, got;
	unsigned char *p = br_ssl_engine_recvrec_buf(eng, &len);

	if (stream_flush(t->under, deadline, e) < 0 ||
	    stream_read(t->under, p, len, &got, deadline, e) < 0)
		return -1;
	if (got) {
		br_ssl_engine_recvrec_ack(eng, got);
		return 0;
	}
	t->broken = true;
	return err_set(e, ERR_PROTO,
	               t->open ? "the connection was cut: it ended without TLS close_notify"
	                       : "the server closed the connection during the TLS handshake");
}

/*
 * Moves records both ways until the engine can do `want` (BR_SSL_SENDAPP or BR_SSL_RECVAPP), or,
 * when that is 0, until everything ready is sent.  0 too when the peer closed properly: then there
 * is nothing that the engine can do.
 */
static int pump(struct tls *t, unsigned int want, struct mono deadline, struct err *e)
{
	br_ssl_engine_context *eng = &t->client.eng;

	while (!t->ended) {
		unsigned int state = br_ssl_engine_current_state(eng);
		int code = br_ssl_engine_last_error(eng);

		if (state & BR_SSL_CLOSED)
			return code ? tls_explain(t, code, e) : 0;
		if (t->broken)
			return err_set(e, ERR_PROTO, "the connection broke before");
		if (state & BR_SSL_SENDREC) {
			if (send_record(t, deadline, e) < 0)
				return -1;
		} else if (!want || (state & want)) {
			return 0;
		} else if (!(state & BR_SSL_RECVREC)) {
			return err_set(e, ERR_PROTO, "data received where none was expected");
		} else if (receive(t, deadline, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int tls_read(struct stream *s, void *buf, size_t len, size_t *got, struct mono deadline,
                    struct err *e)
{
	struct tls *t = tls_of(s);
	unsigned char *p;
	size_t n;

	if (pump(t, BR_SSL_RECVAPP, deadline, e) < 0)
		return -1;
	p = br_ssl_engine_recvapp_buf(&t->client.eng, &n);
	if (!p) {
		*got = 0;
		return 0;
	}
	if (n > len)
		n = len;
	memcpy(buf, p, n);
	br_ssl_engine_recvapp_ack(&t->client.eng, n);
	*got = n;
	return 0;
}

static int tls_write(struct stream *s, const void *buf, size_t len, struct mono deadline,
                     struct err *e)
{
	struct tls *t = tls_of(s);
	const unsigned char *from = buf;

	while (len) {
		unsigned char *p;
		size_t n;

		if (pump(t, BR_SSL_SENDAPP, deadline, e) < 0)
			return -1;
		p = br_ssl_engine_sendapp_buf(&t->client.eng, &n);
		if (!p) /* as a socket that the peer has closed would have it */
			return err_sys(e, EPIPE, "send");
		if (n > len)
			n = len;
		memcpy(p, from, n);
		br_ssl_engine_sendapp_ack(&t->client.eng, n);
		from += n;
		len -= n;
	}
	return 0;
}

static int tls_flush(struct stream *s, struct mono deadline, struct err *e)
{
	struct tls *t = tls_of(s);

	br_ssl_engine_flush(&t->client.eng, 0);
	if (pump(t, 0, deadline, e) < 0)
		return -1;
	return stream_flush(t->under, deadline, e);
}

static void tls_interrupt(struct stream *s)
{
	stream_interrupt(tls_of(s)->under);
}

static void tls_close(struct stream *s)
{
	struct tls *t = tls_of(s);
	struct mono soon = mono_in(CLOSE_MS);

	/* best effort: the peer may be gone, or not reading */
	if (t->open && !t->broken && !t->ended) {
		br_ssl_engine_close(&t->client.eng);
		if (pump(t, 0, soon, NULL) == 0 && !t->ended)
			IGNORE(stream_flush(t->under, soon, NULL));
	}
	stream_close(t->under);
	verifier_free(t->verifier);
	free(t->buffer);
	explicit_bzero(&t->client, sizeof(t->client));
	free(t);
}

static int tls_fd(const struct stream *s)
{
	return stream_fd(((const struct tls *)s)->under);
}

static const struct stream_ops tls_ops = {
	.read = tls_read,
	.write = tls_write,
	.flush = tls_flush,
	.interrupt = tls_interrupt,
	.close = tls_close,
	.fd = tls_fd,
};

/* Connecting. */

/* Only what we want to speak is wired up, and only that is linked. */
static void wire(struct tls *t)
{
	static const uint16_t suites[] = {
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	};
	static const struct {
		int id;
		const br_hash_class *class;
	} hashes[] = {
		{ br_sha256_ID, &br_sha256_vtable },
		{ br_sha384_ID, &br_sha384_vtable },
		{ br_sha512_ID, &br_sha512_vtable },
	};
	br_ssl_engine_context *eng = &t->client.eng;
	br_x509_minimal_context *x509 = &t->verifier->inner;

	br_ssl_client_zero(&t->client);
	br_ssl_engine_set_versions(eng, BR_TLS12, BR_TLS12);
	br_ssl_engine_add_flags(eng, BR_OPT_NO_RENEGOTIATION);
	br_ssl_engine_set_suites(eng, suites, ARRAY_LEN(suites));
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		br_ssl_engine_set_hash(eng, hashes[i].id, hashes[i].class);
		br_x509_minimal_set_hash(x509, hashes[i].id, hashes[i].class);
	}
	br_ssl_engine_set_prf_sha256(eng, &br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(eng, &br_tls12_sha384_prf);
	br_ssl_engine_set_default_rsavrfy(eng);
	br_ssl_engine_set_ec(eng, CURVES);
	br_ssl_engine_set_ecdsa(eng, br_ecdsa_i31_vrfy_asn1);
	br_ssl_engine_set_default_aes_gcm(eng);
	/* the slower ones of two each: a server takes this suite only where it lacks AES */
	br_ssl_engine_set_chapol(eng, &br_sslrec_in_chapol_vtable, &br_sslrec_out_chapol_vtable);
	br_ssl_engine_set_chacha20(eng, br_chacha20_ct_run);
	br_ssl_engine_set_poly1305(eng, br_poly1305_ctmul_run);
	br_x509_minimal_set_rsa(x509, br_ssl_engine_get_rsavrfy(eng));
	br_x509_minimal_set_ecdsa(x509, br_ssl_engine_get_ec(eng), br_ssl_engine_get_ecdsa(eng));
	br_ssl_engine_set_x509(eng, &t->verifier->class);
}

static void wire_client_certificate(struct tls *t)
{
	const struct tls_config *c = t->config;

	if (!c->chain_len)
		return;
	if (br_skey_decoder_key_type(&c->key) == BR_KEYTYPE_RSA)
		br_ssl_client_set_single_rsa(&t->client, c->chain, c->chain_len,
		                             br_skey_decoder_get_rsa(&c->key),
		                             br_rsa_pkcs1_sign_get_default());
	else
		br_ssl_client_set_single_ec(&t->client, c->chain, c->chain_len,
		                            br_skey_decoder_get_ec(&c->key), BR_KEYTYPE_SIGN, 0,
		                            CURVES, br_ecdsa_sign_asn1_get_default());
}

static int seed(struct tls *t, struct err *e)
{
	unsigned char bytes[32];
	ssize_t n;

	do
		n = getrandom(bytes, sizeof(bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(bytes))
		return err_sys(e, n < 0 ? errno : EIO, "getrandom");
	br_ssl_engine_inject_entropy(&t->client.eng, bytes, sizeof(bytes));
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

static bool is_address(const char *name)
{
	struct in6_addr any;

	return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

/* Keeps the name, without the root's dot, which neither SNI nor certificates have. */
static int set_name(struct tls *t, const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (len > 1 && name[len - 1] == '.')
		len--;
	if (!len || len > NAME_MAX_LEN)
		return err_set(e, ERR_CONFIG, "a host name of %zu characters", len);
	if (!is_address(name))
		for (size_t i = 0; i < len; i++)
			if (name[i] <= ' ' || name[i] == 0x7f || strchr(":/[]", name[i]))
				return err_set(e, ERR_CONFIG, "neither a host name nor an address");
	memcpy(t->name, name, len);
	return 0;
}

static int handshake(struct tls *t, const char *name, struct mono deadline, struct err *e)
{
	if (set_name(t, name, e) < 0)
		return -1;
	t->verifier = verifier_new(t->config, t->name);
	wire(t);
	wire_client_certificate(t);
	if (seed(t, e) < 0)
		return -1;
	br_ssl_engine_set_buffer(&t->client.eng, t->buffer, BR_SSL_BUFSIZE_BIDI, 1);
	if (!br_ssl_client_reset(&t->client, is_address(t->name) ? NULL : t->name, 0))
		return err_set(e, ERR_SYS, "start of TLS (%d)",
		               br_ssl_engine_last_error(&t->client.eng));
	if (pump(t, BR_SSL_SENDAPP, deadline, e) < 0)
		return -1;
	if (!(br_ssl_engine_current_state(&t->client.eng) & BR_SSL_SENDAPP))
		return err_set(e, ERR_PROTO,
		               "the server closed the connection during the TLS handshake");
	/* no renegotiation: that was the last certificate */
	br_ssl_engine_set_x509(&t->client.eng, NULL);
	verifier_free(t->verifier);
	t->verifier = NULL;
	t->open = true;
	return 0;
}

int tls_connect(const struct tls_config *config, struct stream *under, const char *name,
                struct mono deadline, struct stream **out, struct err *e)
{
	struct tls *t = xcalloc(1, sizeof(*t));

	t->base.ops = &tls_ops;
	t->under = under;
	t->config = config;
	t->buffer = xmalloc(BR_SSL_BUFSIZE_BIDI);
	if (handshake(t, name, deadline, e) < 0) {
		tls_close(&t->base);
		return err_wrap(e, "TLS with %s", name);
	}
	*out = &t->base;
	return 0;
}
