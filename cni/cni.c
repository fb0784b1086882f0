/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cni.c - the life of a plugin process: what came in, the checks, the handler, and one document
 * on stdout.  This file knows the order; the steps are in env.c and conf.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cni/call.h"
#include "net/netns.h"

int cni_code_of(enum err_kind kind)
{
	switch (kind) {
	case ERR_CONFIG:
	case ERR_USAGE:
		return CNI_E_CONFIG;
	/* what may be gone the next time, without anybody changing the configuration */
	case ERR_TIMEOUT:
	case ERR_CONFLICT:
	case ERR_EXHAUSTED:
	case ERR_NO_POOL:
	case ERR_THROTTLED:
	case ERR_UNREACHABLE:
		return CNI_E_TRY_AGAIN;
	default:
		return CNI_E_GENERIC;
	}
}

static void print_document(const json *j, struct str *out)
{
	json_print(j, out);
	str_addc(out, '\n');
}

/* Spelt out: runtimes ask before every other call, so that this answer shall cost no heap. */
static const char version_document[] =
	"{\"cniVersion\":\"1.1.0\",\"supportedVersions\":"
	"[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n";

/* Somebody calls the plugin by hand. */
static int explain(const struct cni_plugin *p)
{
	fprintf(stderr, "%s\nCNI protocol versions supported:", p->about);
	for (int i = 0; i < CNI_VERSIONS; i++)
		fprintf(stderr, "%s %s", i ? "," : "", cni_version_text((enum cni_version)i));
	fputs("\nA container runtime runs it, with CNI_COMMAND and more in the environment.\n",
	      stderr);
	return 0;
}

static void describe_call(const struct cni_call *c, struct str *out)
{
	str_addf(out, "%s of network %.200s", cni_command_text(c->command), c->name);
	if (*c->container_id)
		str_addf(out, ", interface %.15s of container %.200s", c->ifname, c->container_id);
	if (*c->netns)
		str_addf(out, " in %.255s", c->netns);
	if (*c->pod_name)
		str_addf(out, ", pod %s/%s", c->pod_namespace, c->pod_name);
}

static void answer_error(const struct cni_call *c, const struct cni_failure *f, struct str *out)
{
	AUTO_JSON *doc = json_new_object();
	AUTO_JSON *again = NULL;
	size_t start = out->len;

	json_set_str(doc, "cniVersion", cni_version_text(c->version));
	json_set_i64(doc, "code", f->code ? f->code : cni_code_of(f->err.kind));
	json_set_str(doc, "msg", f->err.msg);
	json_set_str(doc, "details", f->details.data);
	print_document(doc, out);
	/* the environment and cut messages are not always UTF-8, JSON is */
	if (json_parse(out->data + start, out->len - start, 0, &again, NULL) < 0)
		for (size_t i = start; i < out->len; i++)
			if ((unsigned char)out->data[i] >= 0x80)
				out->data[i] = '?';
}

static bool truthy(const char *text)
{
	static const char yes[][5] = { "1", "t", "T", "true", "TRUE", "True" };

	for (size_t i = 0; text && i < ARRAY_LEN(yes); i++)
		if (streq(text, yes[i]))
			return true;
	return false;
}

int cni_netns(struct cni_call *c, int *out, struct err *e)
{
	if (!c->netns_fd) {
		if (netns_open(c->netns, &c->netns_fd, e) < 0)
			return -1;
		netns_reuse(c->netns_fd);
	}
	*out = c->netns_fd;
	return 0;
}

/* fd: 0 for one that was never opened. */
static void close_netns(int fd)
{
	if (!fd)
		return;
	netns_reuse_end(fd);
	close(fd);
}

static int is_own(int netns, bool *own, struct err *e)
{
	int home;

	return netns_home(&home, e) < 0 || netns_same(home, netns, own, e) < 0 ? -1 : 0;
}

bool cni_is_own_netns(const char *path)
{
	AUTO_FD int fd = -1;
	bool own = false;

	return netns_open(path, &fd, NULL) == 0 && is_own(fd, &own, NULL) == 0 && own;
}

/*
 * No pod's namespace is the plugin's own.  A path that led to the pod's once may lead there by now
 * (/proc/PID/ns/net of another process): the pod's is gone then, which is all the same to a DEL.
 * The reference complains of that after its DEL, each time.  A path that is no namespace is the
 * handler's business.
 */
static int check_own_netns(struct cni_call *c, cni_getenv env, struct cni_failure *f)
{
	bool own = false;
	int its;

	if (c->command > CNI_CHECK || truthy(env("CNI_NETNS_OVERRIDE")) || !*c->netns ||
	    cni_netns(c, &its, NULL) < 0)
		return 0;
	if (is_own(its, &own, &f->err) < 0)
		return -1;
	if (!own)
		return 0;
	if (c->command == CNI_DEL) {
		log_warn(
			"CNI_NETNS %s is the plugin's own network namespace: that of the "
			"container counts as gone",
			c->netns);
		close_netns(c->netns_fd);
		c->netns_fd = 0;
		c->netns = "";
		return 0;
	}
	f->code = CNI_E_NETNS;
	return err_set(&f->err, ERR_CONFIG,
	               "CNI_NETNS %s is the network namespace that the plugin itself runs in",
	               c->netns);
}

/* *result: of an ADD by a plugin that has one; owned. */
static int call_handler(const struct cni_plugin *p, struct cni_call *c, struct cni_failure *f,
                        json **result)
{
	int (*simple)(struct cni_call *, int *, struct err *) = NULL;

	switch (c->command) {
	case CNI_ADD:
		if (!p->add)
			return 0;
		if (p->add(c, result, &f->code, &f->err) < 0)
			return -1;
		return *result ? 0 : err_set(&f->err, ERR_PROTO, "ADD came to no result");
	case CNI_DEL:
		simple = p->del;
		break;
	case CNI_CHECK:
		simple = p->check;
		break;
	case CNI_GC:
		simple = p->gc;
		break;
	case CNI_STATUS:
		simple = p->status;
		break;
	case CNI_VERSION:
		break;
	}
	return simple ? simple(c, &f->code, &f->err) : 0;
}

static int call_guarded(const struct cni_plugin *p, struct cni_call *c, cni_getenv env,
                        struct cni_failure *f, struct str *out)
{
	AUTO_JSON *result = NULL;

	/* the reference looks after the fact; before an ADD there is nothing to undo */
	if (check_own_netns(c, env, f) < 0 || call_handler(p, c, f, &result) < 0)
		return -1;
	if (result)
		print_document(result, out);
	return 0;
}

/* Only an ADD may be refused for what CNI_ARGS says: everything else works with what it knows. */
static int read_args(struct cni_call *c, struct cni_failure *f)
{
	if (cni_read_args(c->args, c->command == CNI_ADD, c, &f->err) == 0 || c->command != CNI_ADD)
		return 0;
	f->code = CNI_E_ENVIRONMENT;
	return -1;
}

static int call_run(const struct cni_plugin *p, struct cni_call *c, cni_getenv env, int in_fd,
                    struct cni_failure *f, struct str *out)
{
	if (cni_read_env(env, c, f) < 0)
		return -1;
	if (c->command == CNI_VERSION) {
		str_add(out, version_document);
		return 0;
	}
	if (cni_read_conf(in_fd, c, f) < 0 || cni_check_names(c, f) < 0 ||
	    cni_read_version(c, f) < 0 || read_args(c, f) < 0)
		return -1;
	if (call_guarded(p, c, env, f, out) < 0) {
		describe_call(c, &f->details);
		return -1;
	}
	return 0;
}

/* All but close_netns(), of what is in *netns_fd then. */
static int run(const struct cni_plugin *p, cni_getenv env, int in_fd, struct str *out,
               int *netns_fd)
{
	struct cni_failure f = { .details = STR_INIT };
	struct cni_call c = {
		.container_id = "",
		.netns = "",
		.ifname = "",
		.args = "",
		.path = "",
		.conf_text = STR_INIT,
		.name = "",
		.type = "",
		.version = CNI_VERSIONS - 1,
		.deadline = mono_in(CNI_CALL_MS),
	};
	const char *command = env("CNI_COMMAND");
	int status = 0;

	if (!command || !*command)
		return explain(p);
	if (call_run(p, &c, env, in_fd, &f, out) < 0) {
		answer_error(&c, &f, out);
		status = 1;
	}
	json_free(c.conf);
	str_release(&c.conf_text);
	str_release(&f.details);
	*netns_fd = c.netns_fd;
	return status;
}

int cni_run(const struct cni_plugin *p, cni_getenv env, int in_fd, struct str *out)
{
	int netns_fd = 0, status = run(p, env, in_fd, out, &netns_fd);

	close_netns(netns_fd);
	return status;
}

int cni_call_here(const struct cni_plugin *p, const struct cni_call *from, enum cni_command command,
                  const char *conf, size_t conf_len, json **result, int *code, struct err *e)
{
	struct cni_failure f = { .details = STR_INIT };
	struct cni_call c = *from;
	json *made = NULL;
	int rc;

	c.command = command;
	c.conf = NULL;
	c.prev_result = NULL;
	c.conf_text = (struct str)STR_INIT;
	str_addn(&c.conf_text, conf, conf_len);
	if (cni_parse_conf(&c, &f) < 0 || cni_check_names(&c, &f) < 0 ||
	    cni_read_version(&c, &f) < 0 || read_args(&c, &f) < 0)
		rc = -1;
	else
		rc = call_handler(p, &c, &f, &made);
	if (c.netns_fd != from->netns_fd) /* else it is lent */
		close_netns(c.netns_fd);
	json_free(c.conf);
	str_release(&c.conf_text);
	str_release(&f.details);
	if (rc == 0) {
		if (result)
			*result = take_ptr(&made);
		json_free(made);
		return 0;
	}
	*code = f.code ? f.code : cni_code_of(f.err.kind);
	return err_copy(e, &f.err);
}

static const char *process_env(const char *name)
{
	return getenv(name);
}

/*
 * A descriptor 0, 1 or 2 that is closed would be given to the next file opened, and the result
 * written into that.  These read or write nothing but errors.
 */
static void occupy_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			IGNORE(open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) < 0);
}

static int write_version(void)
{
	const char *p = version_document;
	size_t left = sizeof(version_document) - 1;

	while (left) {
		ssize_t n = write(STDOUT_FILENO, p, left);

		if (n < 0 && errno != EINTR) {
			fprintf(stderr, "write standard output: %s\n", strerror(errno));
			return 1;
		}
		if (n > 0) {
			p += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

static int run_call(const struct cni_plugin *p)
{
	AUTO_STR out = STR_INIT;
	int status, netns_fd; /* and the sockets: they go with the process */

	occupy_standard_fds();
	signal(SIGPIPE, SIG_IGN);
	status = run(p, process_env, STDIN_FILENO, &out, &netns_fd);
	if (fwrite(out.data, 1, out.len, stdout) != out.len)
		status = 1; /* main() says why */
	return status;
}

int cni_main(const struct cni_plugin *p)
{
	const char *command = getenv("CNI_COMMAND");

	return command && streq(command, "VERSION") ? write_version() : run_call(p);
}
