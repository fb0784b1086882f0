/* SPDX-License-Identifier: Apache-2.0 */
/* links: k8s/config.c http/url.c json/ base/ */
/* libs: cjson yaml */
/*
 * config_test.c - kubeconfigs and in-cluster files, good and bad; TLS is a fake that keeps texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "k8s/config.h"

struct tls_config {
	char *ca, *cert, *key;
};

int tls_config_new(const char *ca_pem, size_t ca_len, const char *cert_pem, size_t cert_len,
                   const char *key_pem, size_t key_len, struct tls_config **out, struct err *e)
{
	struct tls_config *c;

	if (ca_len && streq(ca_pem, "bad"))
		return err_set(e, ERR_CONFIG, "certificate authority: no certificate in it");
	c = xcalloc(1, sizeof(*c));
	c->ca = xstrndup(ca_pem, ca_len);
	c->cert = cert_pem ? xstrndup(cert_pem, cert_len) : NULL;
	c->key = key_pem ? xstrndup(key_pem, key_len) : NULL;
	*out = c;
	return 0;
}

void tls_config_free(struct tls_config *c)
{
	if (!c)
		return;
	free(c->ca);
	free(c->cert);
	free(c->key);
	free(c);
}

static char dir[] = "/tmp/config_test.XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put_file(const char *name, const char *text)
{
	assert_int_equal(file_write(in_dir(name), text, strlen(text), 0600, 0, NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	unsetenv("KUBECONFIG");
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
	return 0;
}

static void remove_all(const char *path)
{
	char **names;
	size_t n;

	if (file_list(path, &names, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *inner = xasprintf("%s/%s", path, names[i]);
		struct stat st;

		if (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode))
			remove_all(inner);
		else
			(void)unlink(inner);
	}
	file_list_free(names, n);
	(void)rmdir(path);
}

static int teardown(void **state)
{
	AUTO_FREE char *kube = xasprintf("%s/.kube", dir);

	(void)state;
	remove_all(kube);
	remove_all(dir);
	return 0;
}

/* "Y2E=" is "ca", "Y2VydA==" "cert", "a2V5" "key" */
static const char two_contexts[] =
	"apiVersion: v1\n"
	"kind: Config\n"
	"current-context: one\n"
	"contexts:\n"
	"- name: one\n"
	"  context: {cluster: c1, user: u1, namespace: spider}\n"
	"- name: two\n"
	"  context: {cluster: c2, user: u2}\n"
	"- name: three\n"
	"  context: {cluster: c3, user: u2}\n"
	"clusters:\n"
	"- name: c1\n"
	"  cluster:\n"
	"    server: https://10.0.0.1:6443\n"
	"    certificate-authority-data: Y2E=\n"
	"- name: c2\n"
	"  cluster:\n"
	"    server: https://[fd00::1]/prefix/\n"
	"    certificate-authority: pki/ca.crt\n"
	"    tls-server-name: kubernetes.default.svc\n"
	"    insecure-skip-tls-verify: false\n"
	"- name: c3\n"
	"  cluster: {server: 'http://127.0.0.1:8001'}\n"
	"users:\n"
	"- name: u1\n"
	"  user:\n"
	"    client-certificate-data: Y2VydA==\n"
	"    client-key-data: a2V5\n"
	"    token: tok\n"
	"- name: u2\n"
	"  user: {tokenFile: tok.txt, token: old}\n";

static void inline_data(void **state)
{
	struct k8s_config c;
	struct err e;

	(void)state;
	put_file("config", two_contexts);
	if (k8s_config_kubeconfig(in_dir("config"), NULL, &c, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(c.server.tls);
	assert_string_equal(c.server.host, "10.0.0.1");
	assert_int_equal(c.server.port, 6443);
	assert_string_equal(c.tls_name, "10.0.0.1");
	assert_string_equal(c.namespace, "spider");
	assert_string_equal(c.token, "tok");
	assert_null(c.token_file);
	assert_string_equal(c.tls->ca, "ca");
	assert_string_equal(c.tls->cert, "cert");
	assert_string_equal(c.tls->key, "key");
	k8s_config_release(&c);
	assert_null(c.tls);
	k8s_config_release(&c);
}

static void files_beside_it(void **state)
{
	AUTO_FREE char *token = xasprintf("%s/tok.txt", dir);
	struct k8s_config c;
	struct err e;

	(void)state;
	put_file("config", two_contexts);
	assert_int_equal(file_mkdirs(in_dir("pki"), 0700, NULL), 0);
	put_file("pki/ca.crt", "file ca");
	if (k8s_config_kubeconfig(in_dir("config"), "two", &c, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(c.server.host, "fd00::1");
	assert_int_equal(c.server.port, 443);
	assert_string_equal(c.server.path, "/prefix");
	assert_string_equal(c.tls_name, "kubernetes.default.svc");
	assert_string_equal(c.namespace, "default");
	assert_string_equal(c.tls->ca, "file ca");
	assert_null(c.tls->cert);
	assert_null(c.token);
	assert_string_equal(c.token_file, token);
	k8s_config_release(&c);
}

static void relative_to_the_working_folder(void **state)
{
	struct k8s_config c;
	struct err e;
	char old[512];

	(void)state;
	put_file("config", two_contexts);
	assert_int_equal(file_mkdirs(in_dir("pki"), 0700, NULL), 0);
	put_file("pki/ca.crt", "file ca");
	assert_non_null(getcwd(old, sizeof(old)));
	assert_int_equal(chdir(dir), 0);
	if (k8s_config_kubeconfig("config", "two", &c, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(chdir(old), 0);
	assert_string_equal(c.token_file, "tok.txt");
	k8s_config_release(&c);
}

static void in_the_clear_without_credentials(void **state)
{
	struct k8s_config c;

	(void)state;
	put_file("config", two_contexts);
	assert_int_equal(k8s_config_kubeconfig(in_dir("config"), "three", &c, NULL), 0);
	assert_false(c.server.tls);
	assert_null(c.tls);
	assert_null(c.token);
	assert_null(c.token_file);
	assert_int_equal(c.server.port, 8001);
	k8s_config_release(&c);
}

/* One context with this cluster and this user. */
static void check_refused(const char *cluster, const char *user, const char *message)
{
	AUTO_FREE char *text = xasprintf(
		"current-context: x\n"
		"contexts: [{name: x, context: {cluster: c, user: u}}]\n"
		"clusters: [{name: c, cluster: {%s}}]\n"
		"users: [{name: u, user: {%s}}]\n",
		cluster, user);
	AUTO_FREE char *wanted = xasprintf("kubeconfig %s/config: %s", dir, message);
	struct k8s_config c = { .token = text };
	struct err e;

	put_file("config", text);
	if (k8s_config_kubeconfig(in_dir("config"), NULL, &c, &e) == 0)
		fail_msg("%s %s is accepted", cluster, user);
	assert_string_equal(e.msg, wanted);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_ptr_equal(c.token, text);
	assert_null(strstr(e.msg, "s3cret"));
	assert_int_equal(k8s_config_kubeconfig(in_dir("config"), NULL, &c, NULL), -1);
}

#define GOOD "server: 'https://h', certificate-authority-data: Y2E="

static void refusals(void **state)
{
	(void)state;
	check_refused(GOOD ", insecure-skip-tls-verify: true", "",
	              "cluster \"c\": insecure-skip-tls-verify is not supported: give the "
	              "cluster's CA with certificate-authority-data, and tls-server-name if the "
	              "certificate is for another name");
	check_refused(GOOD ", proxy-url: 'http://u:s3cret@p'", "",
	              "cluster \"c\": proxy-url is not supported: give an address in server that "
	              "is reachable directly");
	check_refused(GOOD, "exec: {command: aws}",
	              "user \"u\": exec is not supported: no other program is run for "
	              "credentials; use token, tokenFile or a client certificate");
	check_refused(GOOD, "auth-provider: {name: gcp}",
	              "user \"u\": auth-provider is not supported: use token, tokenFile or a "
	              "client certificate");
	check_refused(GOOD, "username: a, password: s3cret",
	              "user \"u\": username is not supported: use token, tokenFile or a client "
	              "certificate");
	check_refused(GOOD, "as: admin",
	              "user \"u\": as is not supported: use the credentials of the user to act as");
	check_refused(GOOD, "client-certificate-data: Y2VydA==",
	              "user \"u\": client-key is missing: both or neither");
	check_refused(GOOD, "client-key-data: a2V5",
	              "user \"u\": client-certificate is missing: both or neither");
	check_refused(GOOD, "client-key-data: s3cret!", "user \"u\": client-key-data: not base64");
	check_refused(GOOD, "client-key-data: [s3cret]",
	              "user \"u\": client-key-data: not a string");
	check_refused(GOOD, "token: 's3cret x'", "user \"u\": token is no bearer token");
	check_refused(GOOD, "token: 12345", "user \"u\": token: not a string");
	check_refused(GOOD, "client-certificate: /nonexistent/c",
	              "user \"u\": client-certificate: open /nonexistent/c: No such file or "
	              "directory");
	check_refused("server: 'https://h'", "",
	              "cluster \"c\": certificate-authority-data is missing: the system's own "
	              "certificates are not used");
	check_refused("server: 'https://h', certificate-authority-data: YmFk", "",
	              "cluster \"c\", user \"u\": certificate authority: no certificate in it");
	check_refused("certificate-authority-data: Y2E=", "", "cluster \"c\": server is missing");
	check_refused("server: h", "",
	              "cluster \"c\": server: \"h\" is no http:// or https:// address");
	check_refused("server: 'https://root:s3cret@h'", "",
	              "cluster \"c\": server: a user name or a query in the address is not "
	              "supported: use token, tokenFile or a client certificate");
	check_refused(GOOD, "token: !!int s3cret", "line 4: the value after !!int is none");
}

static void missing_parts(void **state)
{
	static const char *const cases[][2] = {
		{ "{}", "current-context is not set: set it, or name a context" },
		{ "[]", "not a kubeconfig" },
		{ "", "there is no document in it" },
		{ "current-context: x", "there is no context \"x\" in it" },
		{ "{current-context: x, contexts: {a: b}}", "contexts: not an array" },
		{ "{current-context: x, contexts: [{name: x}]}", "context \"x\" names no cluster" },
		{ "{current-context: x, contexts: [{name: x, context: 1}]}",
		  "context \"x\": context: not an object" },
		{ "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
		  "context \"x\": there is no cluster \"c\" in it" },
		{ "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], "
		  "clusters: [{name: c, cluster: {server: 'http://h'}}]}",
		  "context \"x\": there is no user \"u\" in it" },
	};
	AUTO_FREE char *absent = NULL;
	struct k8s_config c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *wanted = xasprintf("kubeconfig %s/config: %s", dir, cases[i][1]);

		put_file("config", cases[i][0]);
		assert_int_equal(k8s_config_kubeconfig(in_dir("config"), NULL, &c, &e), -1);
		assert_string_equal(e.msg, wanted);
		assert_int_equal(e.kind, ERR_CONFIG);
	}
	/* no user at all is fine: the server decides what anonymous may do */
	put_file("config",
	         "{current-context: x, contexts: [{name: x, context: {cluster: c}}], "
	         "clusters: [{name: c, cluster: {server: 'http://h'}}]}");
	assert_int_equal(k8s_config_kubeconfig(in_dir("config"), NULL, &c, &e), 0);
	k8s_config_release(&c);
	assert_int_equal(k8s_config_kubeconfig(in_dir("config"), "y", &c, &e), -1);
	assert_non_null(strstr(e.msg, "there is no context \"y\" in it"));
	assert_int_equal(k8s_config_kubeconfig(in_dir("none/x"), NULL, &c, &e), -1);
	absent = xasprintf("kubeconfig: open %s/none/x: No such file or directory", dir);
	assert_string_equal(e.msg, absent);
	assert_int_equal(e.kind, ERR_CONFIG);
}

static void in_cluster(void **state)
{
	AUTO_FREE char *token = xasprintf("%s/sa/token", dir);
	AUTO_FREE char *sa = xasprintf("%s/sa", dir);
	struct k8s_config c;
	struct err e;

	(void)state;
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), -1);
	assert_non_null(strstr(e.msg, "this is no pod of a cluster"));
	setenv("KUBERNETES_SERVICE_HOST", "fd00:10::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), -1);
	assert_int_equal(e.kind, ERR_CONFIG);
	assert_true(str_starts(e.msg, "service account token: open "));
	assert_int_equal(file_mkdirs(sa, 0700, NULL), 0);
	put_file("sa/token", "\n");
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), -1);
	assert_true(str_ends(e.msg, "/sa/token is empty"));
	put_file("sa/token", "s3cret\n");
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), -1);
	assert_true(str_starts(e.msg, "the cluster's certificate authority: open "));
	put_file("sa/ca.crt", "bad");
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), -1);
	assert_true(str_ends(e.msg, "/sa/ca.crt: certificate authority: no certificate in it"));
	put_file("sa/ca.crt", "ca");
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), 0);
	assert_string_equal(c.namespace, "default");
	k8s_config_release(&c);
	put_file("sa/namespace", "kube-system\n");
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), 0);
	assert_true(c.server.tls);
	assert_string_equal(c.server.host, "fd00:10::1");
	assert_int_equal(c.server.port, 443);
	assert_string_equal(c.tls_name, "fd00:10::1");
	assert_string_equal(c.namespace, "kube-system");
	assert_string_equal(c.token_file, token);
	assert_null(c.token);
	assert_string_equal(c.tls->ca, "ca");
	k8s_config_release(&c);
	setenv("KUBERNETES_SERVICE_PORT", "tcp://x", 1);
	assert_int_equal(k8s_config_in_cluster(sa, &c, &e), -1);
	assert_string_equal(e.msg, "KUBERNETES_SERVICE_PORT: \"tcp://x\" is not a number");
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
}

static void the_default(void **state)
{
	AUTO_FREE char *kube = xasprintf("%s/.kube", dir);
	struct k8s_config c;
	struct err e;

	(void)state;
	setenv("HOME", dir, 1);
	assert_int_equal(k8s_config_default(NULL, NULL, &c, &e), -1);
	assert_true(str_starts(e.msg, "no API server is known: name a kubeconfig, set KUBECONFIG"));
	assert_int_equal(file_mkdirs(kube, 0700, NULL), 0);
	put_file(".kube/config", two_contexts);
	assert_int_equal(k8s_config_default(NULL, "three", &c, &e), 0);
	assert_int_equal(c.server.port, 8001);
	k8s_config_release(&c);

	/* in a pod: its own, unless a context is asked for */
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(k8s_config_default(NULL, "three", &c, &e), 0);
	k8s_config_release(&c);
	assert_int_equal(k8s_config_default(NULL, NULL, &c, &e), -1);
	assert_non_null(strstr(e.msg, K8S_SERVICE_ACCOUNT_DIR));

	put_file("other", two_contexts);
	setenv("KUBECONFIG", in_dir("other"), 1);
	assert_int_equal(k8s_config_default(NULL, NULL, &c, &e), 0);
	assert_string_equal(c.namespace, "spider");
	k8s_config_release(&c);
	assert_int_equal(k8s_config_default("/nonexistent/x", NULL, &c, &e), -1);
	setenv("KUBECONFIG", "/a:/b", 1);
	assert_int_equal(k8s_config_default(NULL, NULL, &c, &e), -1);
	assert_true(str_starts(e.msg, "KUBECONFIG names several files"));
	unsetenv("KUBECONFIG");
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inline_data),
		cmocka_unit_test(files_beside_it),
		cmocka_unit_test(relative_to_the_working_folder),
		cmocka_unit_test(in_the_clear_without_credentials),
		cmocka_unit_test(refusals),
		cmocka_unit_test(missing_parts),
		cmocka_unit_test(in_cluster),
		cmocka_unit_test(the_default),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
