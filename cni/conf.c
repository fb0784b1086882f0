/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.c - the configuration of a call: stdin within its limits, the members that every plugin
 * has, and the version that both sides speak.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cni/call.h"
#include "cni/check.h"

static const char version_names[CNI_VERSIONS][6] = {
	[CNI_0_3_0] = "0.3.0", [CNI_0_3_1] = "0.3.1", [CNI_0_4_0] = "0.4.0",
	[CNI_1_0_0] = "1.0.0", [CNI_1_1_0] = "1.1.0",
};

const char *cni_version_text(enum cni_version v)
{
	return version_names[v];
}

int cni_version_of(const char *text)
{
	for (int i = 0; i < CNI_VERSIONS; i++)
		if (streq(text, version_names[i]))
			return i;
	return -1;
}

/* read() that waits no longer than the deadline; *got is 0 at the end. */
static int read_some(int fd, char *buf, size_t size, size_t *got, struct mono deadline,
                     struct err *e)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int n = poll(&p, 1, mono_left_ms(deadline));
		ssize_t len;

		if (n == 0 && mono_passed(deadline))
			return err_set(e, ERR_TIMEOUT, "standard input does not end");
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "poll standard input");
		if (n <= 0)
			continue;
		len = read(fd, buf, size);
		if (len >= 0) {
			*got = (size_t)len;
			return 0;
		}
		if (errno != EINTR && errno != EAGAIN)
			return err_sys(e, errno, "read standard input");
	}
}

/* A writer that sees its pipe break reports that instead of our error: let it finish. */
static void drain(int fd)
{
	struct mono deadline = mono_in(2000);
	size_t got = 1, total = 0;
	char buf[4096];

	while (got && total < CNI_DRAIN_MAX &&
	       read_some(fd, buf, sizeof(buf), &got, deadline, NULL) == 0)
		total += got;
}

static int read_stdin(int fd, struct cni_call *c, struct cni_failure *f)
{
	size_t got = 1;
	char buf[2048]; /* longer than most: what is larger costs memory that is hardly used */

	while (got) {
		if (read_some(fd, buf, sizeof(buf), &got, c->deadline, &f->err) < 0) {
			f->code = CNI_E_IO;
			return -1;
		}
		if (got > CNI_CONF_MAX - c->conf_text.len) {
			drain(fd);
			f->code = CNI_E_DECODE;
			return err_set(
				&f->err, ERR_CONFIG,
				"the configuration on standard input is longer than %d bytes",
				CNI_CONF_MAX);
		}
		str_addn(&c->conf_text, buf, got);
	}
	return 0;
}

static int parse(struct cni_call *c, struct err *e)
{
	const char *nul = memchr(c->conf_text.data, 0, c->conf_text.len);

	if (!c->conf_text.len)
		return err_set(e, ERR_CONFIG, "it is empty");
	if (nul)
		return err_set(e, ERR_CONFIG, "a NUL at byte %zu",
		               (size_t)(nul - c->conf_text.data));
	/* what was made is to be taken away, whatever has been written to the file since */
	if (json_parse(c->conf_text.data, c->conf_text.len,
	               c->command == CNI_DEL || c->command == CNI_GC ? 0 : JSON_UNIQUE, &c->conf,
	               e) < 0)
		return -1;
	if (!json_is_object(c->conf))
		return err_set(e, ERR_CONFIG, "it is not an object");
	if (json_opt_str(c->conf, "name", &c->name, e) < 0 ||
	    json_opt_str(c->conf, "type", &c->type, e) < 0)
		return -1;
	return json_opt_obj(c->conf, "prevResult", &c->prev_result, e);
}

int cni_read_conf(int fd, struct cni_call *c, struct cni_failure *f)
{
	return read_stdin(fd, c, f) < 0 ? -1 : cni_parse_conf(c, f);
}

int cni_parse_conf(struct cni_call *c, struct cni_failure *f)
{
	if (parse(c, &f->err) < 0) {
		f->code = CNI_E_DECODE;
		return err_wrap(&f->err, "decode the configuration on standard input");
	}
	if (!*c->name) {
		f->code = CNI_E_CONFIG;
		return err_set(&f->err, ERR_CONFIG,
		               "the configuration has no network name (\"name\")");
	}
	if (check_id("the network name", c->name, &f->err) < 0) {
		f->code = CNI_E_CONFIG;
		return -1;
	}
	return 0;
}

/* The oldest version that has the command. */
static enum cni_version since(enum cni_command c)
{
	if (c == CNI_GC || c == CNI_STATUS)
		return CNI_1_1_0;
	return c == CNI_CHECK ? CNI_0_4_0 : CNI_0_3_0;
}

int cni_read_version(struct cni_call *c, struct cni_failure *f)
{
	const char *text = "0.1.0"; /* what SPEC.md says of a configuration without one */
	int found;

	f->code = CNI_E_DECODE;
	if (json_opt_str(c->conf, "cniVersion", &text, &f->err) < 0)
		return err_wrap(&f->err, "decode the configuration on standard input");
	f->code = CNI_E_VERSION;
	found = cni_version_of(text);
	if (found >= 0 && (enum cni_version)found >= since(c->command)) {
		c->version = (enum cni_version)found;
		f->code = 0;
		return 0;
	}
	if (found >= 0)
		return err_set(&f->err, ERR_CONFIG, "cniVersion %s has no %s: it came with %s",
		               text, cni_command_text(c->command),
		               version_names[since(c->command)]);
	str_addf(&f->details, "the configuration wants [\"%s\"], this plugin speaks [", text);
	for (int i = 0; i < CNI_VERSIONS; i++)
		str_addf(&f->details, "%s\"%s\"", i ? " " : "", version_names[i]);
	str_add(&f->details, "]");
	return err_set(&f->err, ERR_CONFIG, "incompatible CNI versions: %s is not supported", text);
}
