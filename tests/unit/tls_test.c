/* SPDX-License-Identifier: Apache-2.0 */
/* links: http/tls.c http/tls_explain.c http/x509.c http/pem.c http/stream.c base/ */
/* libs: bearssl */
/* tsan */
/*
 * tls_test.c - against real "openssl s_server" processes with certificates of every kind, good and
 * bad, made once per run in a folder of its own; and the parsers on every truncation.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "http/tls.h"

#define FILE_MAX (32 << 20)
#define BIG (5 << 20)
#define PATIENCE_MS 20000

static char dir[] = "/tmp/tls_test.XXXXXX";

/* self: signs itself.  leaf: signed by a CA.  dated: by "openssl ca", which can set dates. */
static const char pki[] =
	"set -eu\n"
	"cat >conf <<'X'\n"
	"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=x\n"
	"[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md="
	"sha256\n"
	"policy=p\nunique_subject=no\nrand_serial=yes\nemail_in_dn=no\n[p]\ncommonName=supplied\n"
	"X\n"
	": >index\n"
	"rsa() { openssl genrsa -out $1.key $2 2>/dev/null; }\n"
	"ec() { openssl ecparam -name $2 -genkey -out $1.key; }\n"
	"rsa r2048 2048 & a=$!; rsa r3072 3072 & b=$!; rsa rca 2048 & c=$!; rsa r1024 1024\n"
	"ec p256 prime256v1; ec p384 secp384r1; ec eca prime256v1; ec other prime256v1; "
	"ec k1 secp256k1\n"
	"openssl genpkey -algorithm ed25519 -out ed.key\n"
	"wait $a; wait $b; wait $c\n"
	"cert() { n=$1 k=$2 cn=$3; shift 3; openssl req -config conf -x509 -new -key $k.key "
	"-subj \"/O=tests/CN=$cn\" -days 30 -out $n.crt \"$@\"; }\n"
	"self() { n=$1 k=$2 cn=$3; shift 3; cert $n $k \"$cn\" -addext "
	"basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \"$@\"; }\n"
	"leaf() { n=$1 k=$2 ca=$3 cak=$4 san=$5; shift 5; cert $n $k \"$n\" -CA $ca.crt -CAkey "
	"$cak.key -addext subjectAltName=$san \"$@\"; }\n"
	"dated() { n=$1 k=$2 cn=$3 from=$4 to=$5 ext=$6; shift 6; openssl req -config conf -new "
	"-key $k.key -subj \"/CN=$cn\" -out $n.csr; printf \"$ext\" >$n.ext; "
	"openssl ca -config conf -batch -notext -in $n.csr -startdate $from -enddate $to "
	"-extfile $n.ext -out $n.crt \"$@\" 2>/dev/null; }\n"
	"all=DNS:localhost,DNS:*.wild.test,IP:127.0.0.1,IP:::1\n"
	"self rca rca 'RSA CA'; self eca eca 'EC CA'; self stranger other stranger\n"
	"self namesake other 'RSA CA'; self edca ed 'Ed CA'; self weakca r1024 'weak CA'\n"
	"self pssca rca 'RSA CA' -sigopt rsa_padding_mode:pss\n"
	"dated xca eca 'old CA' 200101000000Z 200201000000Z "
	"'basicConstraints=critical,CA:TRUE\\n' -selfsign -keyfile eca.key\n"
	"leaf r2048 r2048 rca rca $all; leaf r3072 r3072 eca eca $all\n"
	"leaf p256 p256 rca rca $all -addext extendedKeyUsage=serverAuth\n"
	"leaf p384 p384 eca eca $all -addext extendedKeyUsage=clientAuth,anyExtendedKeyUsage\n"
	"cert inter p384 intermediate -CA rca.crt -CAkey rca.key -addext "
	"basicConstraints=critical,CA:TRUE\n"
	"cert noca p384 'not a CA' -CA rca.crt -CAkey rca.key -addext "
	"basicConstraints=critical,CA:FALSE\n"
	"leaf int p256 inter p384 $all; leaf bad p256 noca p384 $all\n"
	"leaf v4 p256 rca rca IP:127.0.0.1; leaf v6 p256 rca rca IP:::1\n"
	"leaf elsewhere p256 rca rca IP:10.9.8.7,DNS:elsewhere.test\n"
	"leaf dnsip p256 rca rca DNS:127.0.0.1,DNS:*.0.0.1; leaf wild p256 rca rca 'DNS:*.b.test'\n"
	"cert nosan p256 127.0.0.1 -CA rca.crt -CAkey rca.key\n"
	"cert mail p256 127.0.0.1 -CA rca.crt -CAkey rca.key -addext subjectAltName=email:a@b\n"
	"leaf client p256 rca rca $all -addext extendedKeyUsage=clientAuth\n"
	"leaf criteku p256 rca rca $all -addext extendedKeyUsage=critical,serverAuth\n"
	"leaf weak r1024 rca rca $all; leaf sha1 p256 rca rca $all -sha1\n"
	"leaf byweak p256 weakca r1024 $all; leaf byed p256 edca ed $all\n"
	"leaf pss p256 rca rca $all -sigopt rsa_padding_mode:pss; leaf ed ed rca rca $all\n"
	"leaf old p256 xca eca $all; leaf k1 k1 rca rca $all\n"
	"dated expired p256 expired 200101000000Z 200201000000Z "
	"\"subjectAltName=$all\\n\" -cert rca.crt -keyfile rca.key\n"
	"dated future p256 future 20900101000000Z 20910101000000Z "
	"\"subjectAltName=$all\\n\" -cert rca.crt -keyfile rca.key\n"
	"cat stranger.crt edca.crt eca.crt rca.crt xca.crt >many.crt\n"
	"{ echo 'Some text: here'; sed 's/$/ \\r/' stranger.crt; echo; echo between; "
	"sed 's/$/\\r/' rca.crt | head -c -2; } >odd.crt\n"
	"for k in r2048 p256 p384; do openssl pkcs8 -topk8 -nocrypt -in $k.key -out $k.pkcs8; "
	"cert c$k $k client-$k -CA rca.crt -CAkey rca.key -addext extendedKeyUsage=clientAuth; "
	"done\n"
	"openssl rsa -in r2048.key -traditional -out r2048.pkcs1 2>/dev/null\n"
	"for k in p256 p384; do openssl ec -in $k.key -out $k.sec1 2>/dev/null; done\n"
	"cert ced ed client -CA rca.crt -CAkey rca.key\n"
	"openssl rsa -in r2048.key -traditional -aes128 -passout pass:secret -out r2048.old "
	"2>/dev/null\n"
	"openssl pkcs8 -topk8 -passout pass:secret -in p256.key -out p256.enc\n";

static pid_t spawn(const char *const argv[], int in, const char *log)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	/* nothing outlives the test, however that ends */
	if (chdir(dir) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    dup2(in, 0) < 0 || !freopen(log, "w", stdout) || dup2(1, 2) < 0)
		_exit(126);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

static char *slurp(const char *name, size_t *len)
{
	AUTO_STR s = STR_INIT;
	char path[256];
	struct err e;

	assert_int_equal(fmt(path, sizeof(path), "%s/%s", dir, name), 0);
	if (file_read(path, FILE_MAX, &s, &e) < 0)
		fail_msg("%s", e.msg);
	*len = s.len;
	if (!s.len)
		return xstrdup("");
	return str_take(&s);
}

static int make_pki(void **state)
{
	const char *const argv[] = { "sh", "-c", pki, NULL };
	int status;
	pid_t pid;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return -1;
	pid = spawn(argv, 0, "pki.log");
	if (waitpid(pid, &status, 0) == pid && status == 0)
		return 0;
	{
		size_t len;
		AUTO_FREE char *log = slurp("pki.log", &len);

		fprintf(stderr, "the certificates could not be made (%d): %s\n", status, log);
	}
	return -1;
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_pki(void **state)
{
	(void)state;
	return nftw(dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* One s_server process. */
struct server {
	pid_t pid;
	int in; /* what is written there goes to the client, a line "Q" ends it */
	unsigned int port;
	char log[32];
};

/* Waits until the server's output contains a text; returns all of it. */
static char *await(const struct server *s, const char *text, size_t *len)
{
	struct mono deadline = mono_in(PATIENCE_MS);

	for (;;) {
		char *log = slurp(s->log, len);

		if (memmem(log, *len, text, strlen(text)))
			return log;
		if (mono_passed(deadline))
			fail_msg("no \"%.40s\" in %s", text, log);
		free(log);
		mono_sleep_until(mono_in(3));
	}
}

/* more: further arguments up to NULL, may be NULL itself. */
static struct server serve(const char *cert, const char *key, bool v6, const char *const *more)
{
	static unsigned int count;
	const char *argv[24] = { "openssl", "s_server", "-accept", v6 ? "[::1]:0" : "127.0.0.1:0",
		                 "-cert",   cert,       "-key",    key };
	struct server s;
	size_t n = 8, len;
	int pipe_fd[2];
	char path[64];

	for (; more && *more; more++)
		argv[n++] = *more;
	assert_true(n < ARRAY_LEN(argv));
	assert_int_equal(fmt(s.log, sizeof(s.log), "log.%u", count++), 0);
	assert_int_equal(fmt(path, sizeof(path), "%s/%s", dir, s.log), 0);
	fclose(fopen(path, "w"));
	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	s.pid = spawn(argv, pipe_fd[0], s.log);
	close(pipe_fd[0]);
	s.in = pipe_fd[1];
	{
		AUTO_FREE char *log = await(&s, "ACCEPT ", &len);
		const char *at = strstr(log, v6 ? "[::1]:" : "127.0.0.1:");

		/* the line may not be there in whole yet */
		while (!at || !strchr(at, '\n')) {
			free(log);
			log = await(&s, "\n", &len);
			at = strstr(log, v6 ? "[::1]:" : "127.0.0.1:");
		}
		s.port = (unsigned int)strtoul(at + (v6 ? 6 : 10), NULL, 10);
	}
	return s;
}

static void stop(struct server *s)
{
	int status;

	kill(s->pid, SIGKILL);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	close(s->in);
}

/* A configuration from files in the folder. */
static struct tls_config *config(const char *ca, const char *cert, const char *key, struct err *e)
{
	size_t ca_len = 0, cert_len = 0, key_len = 0;
	AUTO_FREE char *a = slurp(ca, &ca_len);
	AUTO_FREE char *c = cert ? slurp(cert, &cert_len) : NULL;
	AUTO_FREE char *k = key ? slurp(key, &key_len) : NULL;
	struct tls_config *out = NULL;

	if (tls_config_new(a, ca_len, c, cert_len, k, key_len, &out, e) < 0)
		assert_null(out);
	return out;
}

static struct stream *tcp(const struct server *s, bool v6)
{
	struct stream *out;
	struct err e;

	if (stream_connect_tcp(v6 ? "::1" : "127.0.0.1", s->port, mono_in(PATIENCE_MS), &out, &e) <
	    0)
		fail_msg("%s", e.msg);
	return out;
}

/* A connection that must come about. */
static struct stream *must_connect(const struct tls_config *c, const struct server *s)
{
	struct stream *out;
	struct err e;

	if (tls_connect(c, tcp(s, false), "127.0.0.1", mono_in(PATIENCE_MS), &out, &e) < 0)
		fail_msg("%s", e.msg);
	return out;
}

static void say(struct stream *s, const char *text)
{
	struct err e;

	if (stream_write(s, text, strlen(text), mono_in(PATIENCE_MS), &e) < 0 ||
	    stream_flush(s, mono_in(PATIENCE_MS), &e) < 0)
		fail_msg("%s", e.msg);
}

/* Everything to the proper end, or a failure. */
static int read_all(struct stream *s, struct str *out, struct err *e)
{
	char buf[3000];
	size_t got;

	do {
		if (stream_read(s, buf, sizeof(buf), &got, mono_in(PATIENCE_MS), e) < 0)
			return -1;
		str_addn(out, buf, got);
	} while (got);
	return 0;
}

/*
 * One server and one connection to it.  error: NULL when data must get through, else what the
 * message must contain.
 */
struct row {
	const char *title, *cert, *key, *ca, *name, *error;
	const char *args[4];
};

#define INSECURE "-cipher", "DEFAULT@SECLEVEL=0"

/* most rows need no arguments */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct row rows[] = {
	{ "RSA-2048 of an RSA CA", "r2048.crt", "r2048.key", "rca.crt", "127.0.0.1", NULL },
	{ "RSA-3072 of an EC CA", "r3072.crt", "r3072.key", "eca.crt", "127.0.0.1", NULL },
	{ "P-256 of an RSA CA", "p256.crt", "p256.key", "rca.crt", "127.0.0.1", NULL },
	{ "P-384 of an EC CA, any usage", "p384.crt", "p384.key", "eca.crt", "127.0.0.1", NULL },
	{ "an intermediate CA",
	  "int.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  NULL,
	  { "-cert_chain", "inter.crt" } },
	{ "the right CA among five", "p256.crt", "p256.key", "many.crt", "127.0.0.1", NULL },
	{ "CRLF, text and no newline", "p256.crt", "p256.key", "odd.crt", "127.0.0.1", NULL },
	{ "the server's own certificate as anchor", "v4.crt", "p256.key", "v4.crt", "127.0.0.1",
	  NULL },
	{ "AES-256-GCM",
	  "p256.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  NULL,
	  { "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384" } },
	{ "ChaCha20-Poly1305",
	  "r2048.crt",
	  "r2048.key",
	  "rca.crt",
	  "127.0.0.1",
	  NULL,
	  { "-cipher", "ECDHE-RSA-CHACHA20-POLY1305" } },
	{ "curve P-384",
	  "p256.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  NULL,
	  { "-named_curve", "P-384" } },
	{ "a CA signed with RSA-PSS is an anchor", "p256.crt", "p256.key", "pssca.crt", "127.0.0.1",
	  NULL },

	{ "IPv4 SAN", "v4.crt", "p256.key", "rca.crt", "127.0.0.1", NULL },
	{ "IPv4 SAN of another", "elsewhere.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "TLS with 127.0.0.1: the server's certificate is not for 127.0.0.1 but for IP:10.9.8.7, "
	  "DNS:elsewhere.test" },
	{ "IPv6 SAN", "v6.crt", "p256.key", "rca.crt", "::1", NULL },
	{ "IPv6 SAN, written at length", "v6.crt", "p256.key", "rca.crt", "0:0::0001", NULL },
	{ "IPv6 SAN of another", "v6.crt", "p256.key", "rca.crt", "::2",
	  "not for ::2 but for IP:::1" },
	{ "DNS SAN", "p256.crt", "p256.key", "rca.crt", "localhost", NULL },
	{ "DNS SAN, other case, root dot", "p256.crt", "p256.key", "rca.crt", "LocalHost.", NULL },
	{ "DNS SAN of another", "p256.crt", "p256.key", "rca.crt", "localhost.evil",
	  "not for localhost.evil but for DNS:localhost, DNS:*.wild.test, IP:127.0.0.1" },
	{ "wildcard", "wild.crt", "p256.key", "rca.crt", "a.B.test", NULL },
	{ "wildcard, two labels", "wild.crt", "p256.key", "rca.crt", "x.a.b.test",
	  "not for x.a.b.test" },
	{ "wildcard, no label", "wild.crt", "p256.key", "rca.crt", "b.test", "not for b.test" },
	{ "an address is no DNS name", "dnsip.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "not for 127.0.0.1 but for DNS:127.0.0.1" },
	{ "name only in CN", "nosan.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "it has no subjectAltName" },
	{ "SAN of other kinds", "mail.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "not for 127.0.0.1 but for nothing" },

	{ "expired", "expired.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "the certificate of CN=expired expired on 2020-02-01T00:00:00Z, and it is 20" },
	{ "not yet valid", "future.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "the certificate of CN=future is not valid before 2090-01-01T00:00:00Z" },
	{ "unknown CA", "p256.crt", "p256.key", "eca.crt", "127.0.0.1",
	  "signed by an unknown CA, O=tests, CN=RSA CA; known here: O=tests, CN=EC CA" },
	{ "a CA of the same name", "p256.crt", "p256.key", "namesake.crt", "127.0.0.1",
	  "the CA certificate of O=tests, CN=RSA CA known here has the same name but another key" },
	{ "expired CA", "old.crt", "p256.key", "many.crt", "127.0.0.1",
	  "the CA certificate of CN=old CA expired on 2020-02-01T00:00:00Z" },
	{ "missing intermediate", "int.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "unknown CA, O=tests, CN=intermediate" },
	{ "wrong intermediate",
	  "int.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  "the server's chain is out of order: the certificate of O=tests, CN=stranger is not the "
	  "issuer",
	  { "-cert_chain", "stranger.crt" } },
	{ "issuer is not a CA",
	  "bad.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  "the certificate of O=tests, CN=not a CA has signed another one, but it is not a CA",
	  { "-cert_chain", "noca.crt" } },
	{ "an intermediate CA as anchor", "int.crt", "p256.key", "inter.crt", "127.0.0.1", NULL },
	{ "an anchor that is not a CA", "bad.crt", "p256.key", "noca.crt", "127.0.0.1",
	  "the CA certificate of O=tests, CN=not a CA is not one of a CA" },
	{ "usage clientAuth only", "client.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "the certificate of O=tests, CN=client is not for servers: its extended key usage lacks "
	  "serverAuth" },
	{ "critical usage", "criteku.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "critical extension that is not supported" },
	{ "RSA-1024",
	  "weak.crt",
	  "r1024.key",
	  "rca.crt",
	  "127.0.0.1",
	  "CN=weak has an RSA key of 1024 bits, needed are 2048",
	  { INSECURE } },
	{ "SHA-1 signature",
	  "sha1.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  "unsupported signature (SHA-1); needed are RSA keys",
	  { INSECURE } },
	{ "RSA-PSS signature", "pss.crt", "p256.key", "rca.crt", "127.0.0.1",
	  "unsupported signature (RSA-PSS)" },
	{ "Ed25519 CA", "byed.crt", "p256.key", "many.crt", "127.0.0.1",
	  "unsupported signature (Ed25519)" },
	{ "Ed25519 server", "ed.crt", "ed.key", "rca.crt", "127.0.0.1", "not Ed25519" },
	{ "P-256K1 server", "k1.crt", "k1.key", "rca.crt", "127.0.0.1", "shares no algorithm" },
	{ "TLS 1.3 only",
	  "p256.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  "needs TLS 1.2, and the server speaks only other versions",
	  { "-tls1_3" } },
	{ "TLS 1.1 only",
	  "p256.crt",
	  "p256.key",
	  "rca.crt",
	  "127.0.0.1",
	  "needed are TLS 1.2, ECDHE",
	  { INSECURE, "-tls1_1" } },
	{ "static RSA only",
	  "r2048.crt",
	  "r2048.key",
	  "rca.crt",
	  "127.0.0.1",
	  "shares no algorithm",
	  { "-cipher", "AES128-GCM-SHA256" } },
	{ "CBC only",
	  "r2048.crt",
	  "r2048.key",
	  "rca.crt",
	  "127.0.0.1",
	  "shares no algorithm",
	  { "-cipher", "ECDHE-RSA-AES128-SHA256" } },
};

static void one_row(void **state)
{
	const struct row *r = *state;
	bool v6 = streq(r->name, "::1");
	struct server s = serve(r->cert, r->key, v6, r->args);
	struct stream *out = NULL;
	struct err e = { 0 };
	struct tls_config *c = config(r->ca, NULL, NULL, &e);
	int rc;

	if (!c)
		fail_msg("%s", e.msg);
	rc = tls_connect(c, tcp(&s, v6), r->name, mono_in(PATIENCE_MS), &out, &e);
	if (!r->error) {
		size_t len;

		if (rc < 0)
			fail_msg("%s", e.msg);
		say(out, "through it comes\n");
		free(await(&s, "\nthrough it comes\n", &len));
		assert_true(stream_fd(out) > 2);
		stream_close(out);
	} else {
		assert_int_equal(rc, -1);
		assert_null(out);
		assert_int_equal(e.kind, ERR_PROTO);
		if (!strstr(e.msg, r->error))
			fail_msg("\"%s\" lacks \"%s\"", e.msg, r->error);
		assert_int_equal(
			tls_connect(c, tcp(&s, v6), r->name, mono_in(PATIENCE_MS), &out, NULL), -1);
	}
	tls_config_free(c);
	stop(&s);
}

/* A client certificate that a server demands and verifies. */
struct client_row {
	const char *title, *cert, *key, *shown;
};

static const struct client_row client_rows[] = {
	{ "client RSA, PKCS#1", "cr2048.crt", "r2048.pkcs1", "CN = client-r2048" },
	{ "client RSA, PKCS#8", "cr2048.crt", "r2048.pkcs8", "CN = client-r2048" },
	{ "client P-256, SEC1 after parameters", "cp256.crt", "p256.key", "CN = client-p256" },
	{ "client P-256, SEC1", "cp256.crt", "p256.sec1", "CN = client-p256" },
	{ "client P-256, PKCS#8", "cp256.crt", "p256.pkcs8", "CN = client-p256" },
	{ "client P-384, SEC1", "cp384.crt", "p384.sec1", "CN = client-p384" },
	{ "client P-384, PKCS#8", "cp384.crt", "p384.pkcs8", "CN = client-p384" },
};

static const char *const demand[] = { "-Verify", "3",       "-verify_return_error",
	                              "-CAfile", "rca.crt", NULL };

static void one_client_row(void **state)
{
	const struct client_row *r = *state;
	struct server s = serve("r2048.crt", "r2048.key", false, demand);
	struct err e;
	struct tls_config *c = config("rca.crt", r->cert, r->key, &e);
	AUTO_STREAM *out = NULL;
	size_t len;

	if (!c)
		fail_msg("%s", e.msg);
	out = must_connect(c, &s);
	say(out, "from a client\n");
	{
		AUTO_FREE char *log = await(&s, "\nfrom a client\n", &len);

		assert_non_null(strstr(log, "Client certificate\n"));
		assert_non_null(strstr(log, r->shown));
	}
	stream_close(take_ptr(&out));
	tls_config_free(c);
	stop(&s);
}

static void client_certificates_refused(void **state)
{
	struct server s = serve("p256.crt", "p256.key", false, demand);
	struct stream *out = NULL;
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);

	(void)state;
	assert_int_equal(
		tls_connect(c, tcp(&s, false), "127.0.0.1", mono_in(PATIENCE_MS), &out, &e), -1);
	assert_non_null(strstr(e.msg, "wants a client certificate"));
	tls_config_free(c);
	c = config("rca.crt", "stranger.crt", "other.key", &e); /* signed by nobody it knows */
	assert_int_equal(
		tls_connect(c, tcp(&s, false), "127.0.0.1", mono_in(PATIENCE_MS), &out, &e), -1);
	assert_non_null(strstr(e.msg, "the server refuses the client certificate (TLS alert"));
	tls_config_free(c);
	stop(&s);
}

static void bad_configurations(void **state)
{
	static const struct {
		const char *ca, *cert, *key, *error;
	} cases[] = {
		{ "p256.sec1", NULL, NULL,
		  "CA certificates: there is no \"BEGIN CERTIFICATE\" in it" },
		{ "edca.crt", NULL, NULL,
		  "CA certificates: no certificate can be used: it has an unsupported key "
		  "(Ed25519)" },
		{ "weakca.crt", NULL, NULL, "its RSA key has 1024 bits, needed are 2048" },
		{ "rca.crt", "cp256.crt", NULL, "a client certificate without its key" },
		{ "rca.crt", NULL, "p256.key", "a client key without its certificate" },
		{ "rca.crt", "p256.key", "p256.key",
		  "client certificate: there is no \"BEGIN CERTIFICATE\" in it" },
		{ "rca.crt", "cp256.crt", "cp256.crt",
		  "client key: there is no \"BEGIN PRIVATE KEY\" in it" },
		{ "rca.crt", "cp256.crt", "p384.sec1",
		  "the client key does not belong to the client certificate" },
		{ "rca.crt", "cr2048.crt", "r3072.key", "does not belong" },
		{ "rca.crt", "cr2048.crt", "p256.sec1", "does not belong" },
		{ "rca.crt", "ced.crt", "ed.key", "client key: the PRIVATE KEY cannot be used" },
		{ "rca.crt", "ced.crt", "p256.key", "its key is of a kind that cannot be used" },
		{ "rca.crt", "cp256.crt", "p256.enc", "client key: the key is encrypted" },
		{ "rca.crt", "cr2048.crt", "r2048.old",
		  "client key: the RSA PRIVATE KEY is encrypted" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(config(cases[i].ca, cases[i].cert, cases[i].key, &e));
		assert_int_equal(e.kind, ERR_CONFIG);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("\"%s\" lacks \"%s\"", e.msg, cases[i].error);
		assert_null(config(cases[i].ca, cases[i].cert, cases[i].key, NULL));
	}
}

static void bad_pem(void **state)
{
	static const char *const cases[][2] = {
		{ "", "there is no" },
		{ "-----BEGIN CERTIFICATE-----", "the PEM text ends inside a CERTIFICATE" },
		{ "-----BEGIN CERTIFICATE-----\nAAAA\n", "ends inside" },
		{ "-----BEGIN CERTIFICATE-----\nAAAA\n-----END X-----\n", "ends inside" },
		{ "-----BEGIN CERTIFICATE-----\nA A\n-----END CERTIFICATE-----", "not base64" },
		{ "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
		  "certificate 1 is malformed" },
		{ "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
		  "certificate 1 is malformed" },
	};
	struct tls_config *c = NULL;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i][0]);
		AUTO_FREE char *exact = xmalloc(len + !len);

		memcpy(exact, cases[i][0], len);
		assert_int_equal(tls_config_new(exact, len, NULL, 0, NULL, 0, &c, &e), -1);
		assert_int_equal(e.kind, ERR_CONFIG);
		if (!strstr(e.msg, cases[i][1]))
			fail_msg("%zu: %s", i, e.msg);
	}
	assert_null(c);
}

/* The DER of a certificate file, cut to exactly its bytes so that ASan sees a read behind them. */
static unsigned char *der_of(const char *file, size_t *len)
{
	size_t pem_len;
	AUTO_FREE char *pem = slurp(file, &pem_len);
	AUTO_STR der = STR_INIT;
	const char *from = strchr(strstr(pem, "-----BEGIN"), '\n');
	const char *to = strstr(from, "-----END");
	unsigned char *out;

	assert_int_equal(base64_decode(from, (size_t)(to - from), &der, NULL), 0);
	*len = der.len;
	out = xmalloc(der.len);
	memcpy(out, der.data, der.len);
	return out;
}

static void every_truncation_is_malformed(void **state)
{
	static const char *const files[] = { "p256.crt", "r2048.crt", "client.crt", "nosan.crt" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		size_t len;
		AUTO_FREE unsigned char *der = der_of(files[i], &len);

		for (size_t n = 0; n < len; n++) {
			AUTO_FREE unsigned char *cut = xmalloc(n + !n);

			memcpy(cut, der, n);
			assert_int_equal(tls_cert_matches(cut, n, "localhost"), -1);
		}
	}
}

/* Whatever one byte is changed to, the walker stays inside, and more bytes are not ignored. */
static void every_changed_byte_is_survived(void **state)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x30, 0x7f, 0x80, 0x84, 0xff };
	size_t len, malformed = 0;
	AUTO_FREE unsigned char *der = der_of("p256.crt", &len);
	AUTO_FREE unsigned char *more = xcalloc(1, len + 1);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		unsigned char old = der[i];

		for (size_t k = 0; k < ARRAY_LEN(values); k++) {
			der[i] = values[k];
			malformed += tls_cert_matches(der, len, "localhost") == -1;
		}
		der[i] = old;
	}
	assert_true(malformed > 100);
	memcpy(more, der, len);
	assert_int_equal(tls_cert_matches(der, len, "localhost"), 1);
	assert_int_equal(tls_cert_matches(more, len + 1, "localhost"), -1);
}

static void names_of_certificates(void **state)
{
	static const struct {
		const char *file, *name;
		int want;
	} cases[] = {
		{ "p256.crt", "127.0.0.1", 1 },
		{ "p256.crt", "::1", 1 },
		{ "p256.crt", "127.0.0.2", 0 },
		{ "p256.crt", "::ffff:127.0.0.1", 0 },
		{ "p256.crt", "LOCALHOST", 1 },
		{ "p256.crt", "localhost.", 1 },
		{ "p256.crt", "localhos", 0 },
		{ "p256.crt", "localhostx", 0 },
		{ "p256.crt", "a.wild.test", 1 },
		{ "p256.crt", ".wild.test", 0 },
		{ "p256.crt", "*.wild.test", 1 },
		{ "p256.crt", "a.b.wild.test", 0 },
		{ "p256.crt", "wild.test", 0 },
		{ "p256.crt", "", 0 },
		{ "p256.crt", ".", 0 },
		{ "p256.crt", "p256", 0 },
		{ "dnsip.crt", "127.0.0.1", 0 },
		{ "dnsip.crt", "10.0.0.1", 0 },
		{ "nosan.crt", "127.0.0.1", 0 },
		{ "mail.crt", "a@b", 0 },
		{ "client.crt", "localhost", -2 },
		{ "client.crt", "elsewhere", 0 },
		{ "p384.crt", "localhost", 1 },
		{ "expired.crt", "localhost", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len;
		AUTO_FREE unsigned char *der = der_of(cases[i].file, &len);
		int got = tls_cert_matches(der, len, cases[i].name);

		if (got != cases[i].want)
			fail_msg("%s, %s: %d", cases[i].file, cases[i].name, got);
	}
}

static void peers_that_are_no_tls_servers(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *error;
	} cases[] = {
		{ "", 0, "TLS with h: the server closed the connection during the TLS handshake" },
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", 28,
		  "TLS with h: the server does not speak TLS" },
		{ "\x16\x03\x03\x00\x04\x02\x00", 7,
		  "closed the connection during the TLS handshake" },
		{ "\x16\x03\x03\x00\x04\x63\x00\x00\x00", 9, "broke the rules of TLS (10)" },
		{ "\x15\x03\x03\x00\x02\x01\x00", 7,
		  "closed the connection during the TLS handshake" },
		{ "\x15\x03\x03\x00\x02\x02\x46", 7, "needs TLS 1.2" },
		{ "\x16\x03\x02\x00\x06\x02\x00\x00\x26\x03\x02", 11,
		  "needs TLS 1.2, and the server speaks only older versions" },
		{ "\x15\x03\x03\x00\x02\x02\x28", 7, "or it wants a client certificate" },
		{ "\x15\x03\x03\x00\x02\x02\x74", 7, "wants a client certificate (TLS alert 116)" },
		{ "\x15\x03\x03\x00\x02\x02\x70", 7, "does not know the name h" },
		{ "\x15\x03\x03\x00\x02\x02\x50", 7, "ended the connection with TLS alert 80" },
	};
	struct stream *out = NULL;
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(tls_connect(c, stream_memory(cases[i].bytes, cases[i].len, 3), "h",
		                             MONO_NEVER, &out, &e),
		                 -1);
		assert_int_equal(e.kind, ERR_PROTO);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("%zu: %s", i, e.msg);
	}
	assert_null(out);
	tls_config_free(c);
}

static void bad_names(void **state)
{
	static const char *const names[] = {
		"", ".", "a b", "[::1]", "h:443", "fe80::1%eth0", "a/b"
	};
	AUTO_STR longest = STR_INIT;
	struct stream *out = NULL;
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (streq(names[i], "."))
			continue;
		assert_int_equal(
			tls_connect(c, stream_memory("", 0, 1), names[i], MONO_NEVER, &out, &e),
			-1);
		assert_int_equal(e.kind, ERR_CONFIG);
	}
	while (longest.len < 254)
		str_add(&longest, "a.");
	str_add(&longest, "a");
	assert_int_equal(
		tls_connect(c, stream_memory("", 0, 1), longest.data, MONO_NEVER, &out, &e), -1);
	assert_non_null(strstr(e.msg, "a host name of 255 characters"));
	tls_config_free(c);
}

/* A DNS name is sent as SNI, an address is not. */
static void server_name_indication(void **state)
{
	static const char *const args[] = { "-tlsextdebug", NULL };
	static const char *const names[] = { "127.0.0.1", "localhost" };
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct server s = serve("p256.crt", "p256.key", false, args);
		struct stream *out;
		size_t len;

		assert_int_equal(
			tls_connect(c, tcp(&s, false), names[i], mono_in(PATIENCE_MS), &out, &e),
			0);
		say(out, "seen\n");
		{
			AUTO_FREE char *log = await(&s, "\nseen\n", &len);

			assert_non_null(strstr(log, "TLS client extension"));
			assert_int_equal(!!strstr(log, "TLS client extension \"server name\""), i);
			/* what is preferred, and what is not offered at all */
			assert_non_null(strstr(log, "CIPHER is ECDHE-ECDSA-AES128-GCM-SHA256"));
			assert_null(strstr(log, "SHA1"));
		}
		stream_close(out);
		stop(&s);
	}
	tls_config_free(c);
}

static char *big_text(void)
{
	AUTO_STR s = STR_INIT;

	for (unsigned int i = 0; s.len < BIG; i++)
		str_addf(&s, "%u %x\n", i, i * 2654435761u);
	return str_take(&s);
}

static void big_body_to_the_server(void **state)
{
	struct server s = serve("p256.crt", "p256.key", false, NULL);
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct stream *out = must_connect(c, &s);
	AUTO_FREE char *big = big_text();
	size_t left = strlen(big), len;

	(void)state;
	for (const char *p = big; left;) {
		size_t n = left < 100001 ? left : 100001;

		assert_int_equal(stream_write(out, p, n, mono_in(PATIENCE_MS), &e), 0);
		p += n;
		left -= n;
	}
	say(out, "the end\n");
	{
		AUTO_FREE char *log = await(&s, "\nthe end\n", &len);

		assert_non_null(strstr(log, big));
	}
	stream_close(out);
	tls_config_free(c);
	stop(&s);
}

/* Delivers one byte at a time, and sends nothing once it is mute. */
struct trickle {
	struct stream base;
	struct stream *under;
	bool mute;
};

static int trickle_read(struct stream *s, void *buf, size_t len, size_t *got, struct mono deadline,
                        struct err *e)
{
	return stream_read(((struct trickle *)s)->under, buf, len ? 1 : 0, got, deadline, e);
}

static int trickle_write(struct stream *s, const void *buf, size_t len, struct mono deadline,
                         struct err *e)
{
	struct trickle *t = (struct trickle *)s;

	if (t->mute)
		return err_sys(e, EPIPE, "send");
	return stream_write(t->under, buf, len, deadline, e);
}

static int trickle_flush(struct stream *s, struct mono deadline, struct err *e)
{
	return stream_flush(((struct trickle *)s)->under, deadline, e);
}

static void trickle_close(struct stream *s)
{
	stream_close(((struct trickle *)s)->under);
	free(s);
}

static const struct stream_ops trickle_ops = {
	.read = trickle_read, .write = trickle_write, .flush = trickle_flush, .close = trickle_close
};

static struct stream *must_trickle(const struct tls_config *c, const struct server *s,
                                   struct trickle **under)
{
	struct trickle *t = xcalloc(1, sizeof(*t));
	struct stream *out;
	struct err e;

	t->base.ops = &trickle_ops;
	t->under = tcp(s, false);
	*under = t;
	if (tls_connect(c, &t->base, "127.0.0.1", mono_in(PATIENCE_MS), &out, &e) < 0)
		fail_msg("%s", e.msg);
	return out;
}

static void big_body_from_the_server(void **state)
{
	static const char *const args[] = { "-WWW", NULL };
	struct server s = serve("r2048.crt", "r2048.key", false, args);
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	AUTO_FREE char *big = big_text();
	char path[64];

	(void)state;
	assert_int_equal(fmt(path, sizeof(path), "%s/big", dir), 0);
	for (int slow = 0; slow < 2; slow++) {
		AUTO_STR got = STR_INIT;
		struct stream *out;
		size_t len = slow ? 20000 : strlen(big);

		assert_int_equal(file_write(path, big, len, 0600, 0, &e), 0);
		out = slow ? must_trickle(c, &s, &(struct trickle *){ NULL }) : must_connect(c, &s);
		assert_int_equal(stream_fd(out) >= 0, !slow);
		say(out, "GET /big HTTP/1.0\r\n\r\n");
		if (read_all(out, &got, &e) < 0)
			fail_msg("%s", e.msg);
		assert_true(got.len > len);
		assert_memory_equal(got.data + got.len - len, big, len);
		stream_close(out);
	}
	tls_config_free(c);
	stop(&s);
}

static void a_cut_is_not_an_end(void **state)
{
	struct server s = serve("p256.crt", "p256.key", false, NULL);
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct stream *out = must_connect(c, &s);
	char buf[10];
	size_t got;

	(void)state;
	assert_int_equal(write(s.in, "half a\n", 7), 7);
	assert_int_equal(stream_read(out, buf, sizeof(buf), &got, mono_in(PATIENCE_MS), &e), 0);
	assert_memory_equal(buf, "half a\n", 7);
	stop(&s);
	assert_int_equal(stream_read(out, buf, sizeof(buf), &got, mono_in(PATIENCE_MS), &e), -1);
	assert_int_equal(e.kind, ERR_PROTO);
	assert_string_equal(e.msg, "the connection was cut: it ended without TLS close_notify");
	assert_int_equal(stream_read(out, buf, sizeof(buf), &got, mono_in(PATIENCE_MS), &e), -1);
	assert_string_equal(e.msg, "the connection broke before");
	stream_close(out);
	tls_config_free(c);
}

static void a_goodbye_is_an_end(void **state)
{
	static const char *const args[] = { "-WWW", NULL };
	struct server s = serve("p256.crt", "p256.key", false, args);
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct stream *out = must_connect(c, &s);
	AUTO_STR got = STR_INIT;
	size_t len;

	(void)state;
	say(out, "GET /conf HTTP/1.0\r\n\r\n");
	if (read_all(out, &got, &e) < 0)
		fail_msg("%s", e.msg);
	assert_non_null(strstr(got.data, "[req]"));
	len = got.len;
	assert_int_equal(read_all(out, &got, &e), 0); /* and it stays one */
	assert_int_equal(got.len, len);
	assert_int_equal(stream_write(out, "x", 1, mono_in(PATIENCE_MS), &e), -1);
	assert_int_equal(e.kind, ERR_SYS); /* as of a socket: http1 then tries a fresh connection */
	assert_int_equal(e.sys, EPIPE);
	stream_close(out);
	tls_config_free(c);
	stop(&s);
}

/* The server's goodbye is the end even when ours finds nobody. */
static void a_goodbye_without_answer(void **state)
{
	static const char *const args[] = { "-WWW", NULL };
	struct server s = serve("p256.crt", "p256.key", false, args);
	struct trickle *under;
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct stream *out = must_trickle(c, &s, &under);
	AUTO_STR got = STR_INIT;

	(void)state;
	say(out, "GET /conf HTTP/1.0\r\n\r\n");
	under->mute = true;
	if (read_all(out, &got, &e) < 0)
		fail_msg("%s", e.msg);
	assert_non_null(strstr(got.data, "[req]"));
	assert_int_equal(read_all(out, &got, &e), 0);
	assert_int_equal(stream_write(out, "x", 1, mono_in(PATIENCE_MS), &e), -1);
	assert_int_equal(e.sys, EPIPE);
	stream_close(out);
	tls_config_free(c);
	stop(&s);
}

/* What is written and not flushed goes out before our goodbye, and openssl is content with it. */
static void our_goodbye(void **state)
{
	static const char *const args[] = { "-naccept", "1", NULL };
	struct server s = serve("p256.crt", "p256.key", false, args);
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct stream *out = must_connect(c, &s);
	size_t len;
	int status;

	(void)state;
	assert_int_equal(stream_write(out, "last words\n", 11, mono_in(PATIENCE_MS), &e), 0);
	stream_close(out);
	assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
	assert_int_equal(status, 0);
	{
		AUTO_FREE char *log = await(&s, "\nlast words\n", &len);

		assert_null(strstr(log, "unexpected eof"));
		assert_null(strstr(log, "ERROR"));
	}
	close(s.in);
	tls_config_free(c);
}

static void silence_ends_at_the_deadline(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct server s = { .pid = 0 };
	struct stream *out = NULL;
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct mono started;
	char buf[4];
	size_t got;

	(void)state;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	s.port = ntohs(addr.sin_port);
	started = mono_now();
	assert_int_equal(tls_connect(c, tcp(&s, false), "127.0.0.1", mono_in(50), &out, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(e.msg, "TLS with 127.0.0.1: no answer in time");

	s = serve("p256.crt", "p256.key", false, NULL);
	out = must_connect(c, &s);
	assert_int_equal(stream_read(out, buf, sizeof(buf), &got, mono_in(50), &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	/* a late answer is still one */
	assert_int_equal(write(s.in, "late\n", 5), 5);
	assert_int_equal(stream_read(out, buf, sizeof(buf), &got, mono_in(PATIENCE_MS), &e), 0);
	assert_memory_equal(buf, "late", 4);
	stream_close(out);
	assert_true(mono_now().ms - started.ms < PATIENCE_MS);
	tls_config_free(c);
	stop(&s);
}

/* A peer that reads nothing blocks neither a write nor the close behind its deadline. */
static void a_peer_that_does_not_read(void **state)
{
	struct server s = serve("p256.crt", "p256.key", false, NULL);
	struct err e = { 0 };
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct stream *out = must_connect(c, &s);
	AUTO_FREE char *big = big_text();
	struct mono deadline;
	int rc = 0;

	(void)state;
	kill(s.pid, SIGSTOP);
	deadline = mono_in(300);
	for (int i = 0; rc == 0 && i < 100; i++)
		rc = stream_write(out, big, BIG, deadline, &e);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(stream_flush(out, mono_in(PATIENCE_MS), &e), -1);
	assert_string_equal(e.msg, "the connection broke before");
	stream_close(out);
	assert_true(mono_now().ms - deadline.ms < 5000);
	tls_config_free(c);
	stop(&s);
}

static void *interrupt(void *s)
{
	stream_interrupt(s);
	return NULL;
}

static void interrupted_by_another_thread(void **state)
{
	struct server s = serve("p256.crt", "p256.key", false, NULL);
	struct err e;
	struct tls_config *c = config("rca.crt", NULL, NULL, &e);
	struct stream *out = must_connect(c, &s);
	pthread_t thread;
	char buf[4];
	size_t got;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, interrupt, out), 0);
	assert_int_equal(stream_read(out, buf, sizeof(buf), &got, mono_in(PATIENCE_MS), &e), -1);
	assert_int_not_equal(e.kind, ERR_TIMEOUT);
	pthread_join(thread, NULL);
	stream_close(out);
	tls_config_free(c);
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(every_truncation_is_malformed),
		cmocka_unit_test(every_changed_byte_is_survived),
		cmocka_unit_test(names_of_certificates),
		cmocka_unit_test(bad_configurations),
		cmocka_unit_test(bad_pem),
		cmocka_unit_test(peers_that_are_no_tls_servers),
		cmocka_unit_test(bad_names),
		cmocka_unit_test(client_certificates_refused),
		cmocka_unit_test(server_name_indication),
		cmocka_unit_test(big_body_to_the_server),
		cmocka_unit_test(big_body_from_the_server),
		cmocka_unit_test(a_cut_is_not_an_end),
		cmocka_unit_test(a_goodbye_is_an_end),
		cmocka_unit_test(a_goodbye_without_answer),
		cmocka_unit_test(our_goodbye),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(a_peer_that_does_not_read),
		cmocka_unit_test(interrupted_by_another_thread),
	};
	struct CMUnitTest tests[ARRAY_LEN(plain) + ARRAY_LEN(rows) + ARRAY_LEN(client_rows)];
	size_t n = 0;

	memcpy(tests, plain, sizeof(plain));
	n = ARRAY_LEN(plain);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		tests[n++] = (struct CMUnitTest){ .name = rows[i].title,
			                          .test_func = one_row,
			                          .initial_state = (void *)&rows[i] };
	for (size_t i = 0; i < ARRAY_LEN(client_rows); i++)
		tests[n++] = (struct CMUnitTest){ .name = client_rows[i].title,
			                          .test_func = one_client_row,
			                          .initial_state = (void *)&client_rows[i] };
	return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
