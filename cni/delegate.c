/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delegate.c - runs another plugin as if the runtime had: the same environment and stdin, its
 * stdout kept within limits, an end put to it at the deadline.
 *
 * Theory of operation: SIGCHLD is blocked and read from a signalfd, so that one poll() waits for
 * the pipes, the child's end and the deadline.  The child's end decides, not the end of its stdout:
 * a process that it left behind may hold that open for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cni/call.h"

#define BUSY_MS 5000 /* how long an executable may be "busy" (just being installed) */
#define PAUSE_MS 50  /* between attempts meanwhile */
#define REAP_MS 1000 /* for the kernel to end what was killed */
#define UNDO_MS 5000 /* for the DEL after an ADD without an answer */
#define SNIPPET 200  /* of output that is no JSON, in a message */

struct delegate {
	const char *type;
	pid_t pid;
	int in, out, signals; /* our ends; -1 when closed */
	const char *input;
	size_t input_len;
	struct str output;
	int status; /* of wait() */
	bool ended;
	bool refused; /* it said that it failed, and why */
};

int cni_find(const struct cni_call *c, const char *type, char **path, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(c->path);
	char *rest = copy, *dir;

	if (!*type || strchr(type, '/') || streq(type, ".") || streq(type, ".."))
		return err_set(e, ERR_CONFIG, "\"%s\" is not the name of a plugin", type);
	while ((dir = strsep(&rest, ":"))) {
		AUTO_FREE char *file = xasprintf("%s/%s", dir, type);
		struct stat st;

		if (!*dir || stat(file, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		*path = take_ptr(&file);
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "there is no plugin \"%s\" in CNI_PATH (%s)", type,
	               c->path);
}

/* The process' own environment with the call's variables; an owned array of owned strings. */
static char **make_env(const struct cni_call *c, enum cni_command command)
{
	const struct {
		const char *name, *value;
	} ours[] = {
		{ "CNI_COMMAND=", cni_command_text(command) },
		{ "CNI_CONTAINERID=", c->container_id },
		{ "CNI_NETNS=", c->netns },
		{ "CNI_IFNAME=", c->ifname },
		{ "CNI_ARGS=", c->args },
		{ "CNI_PATH=", c->path },
	};
	size_t n = 0, cap = 0;
	char **env = NULL;

	for (char **v = environ; *v; v++) {
		bool is_ours = false;

		for (size_t i = 0; i < ARRAY_LEN(ours); i++)
			is_ours = is_ours || str_starts(*v, ours[i].name);
		env = xgrow(env, &cap, n + 2 + ARRAY_LEN(ours), sizeof(*env));
		if (!is_ours)
			env[n++] = xstrdup(*v);
	}
	env = xgrow(env, &cap, n + 1 + ARRAY_LEN(ours), sizeof(*env));
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		env[n++] = xasprintf("%s%s", ours[i].name, ours[i].value);
	env[n] = NULL;
	return env;
}

static void free_env(char **env)
{
	for (char **v = env; *v; v++)
		free(*v);
	free(env);
}

/* errno of the spawn; signals are as a program expects them. */
static int spawn(const char *path, char *type, char **env, int in, int out, const sigset_t *mask,
                 pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	char *argv[] = { type, NULL };
	posix_spawnattr_t attr;
	sigset_t defaults;
	int rc;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setsigmask(&attr, mask);
	rc = posix_spawn(pid, path, &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* Starts it with pipes at both ends. */
static int start(struct delegate *d, const char *path, char **env, const sigset_t *mask,
                 struct mono deadline, struct err *e)
{
	struct mono patience = mono_min(deadline, mono_in(BUSY_MS));
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	AUTO_FREE char *type = xstrdup(d->type);
	int rc;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(e, errno, "open a pipe");
	if (pipe2(out, O_CLOEXEC) < 0) {
		rc = errno;
		close(in[0]);
		close(in[1]);
		return err_sys(e, rc, "open a pipe");
	}
	while ((rc = spawn(path, type, env, in[0], out[1], mask, &d->pid)) == ETXTBSY &&
	       !mono_passed(patience))
		mono_sleep_until(mono_min(patience, mono_in(PAUSE_MS)));
	close(in[0]);
	close(out[1]);
	d->in = in[1];
	d->out = out[0];
	if (rc)
		return err_sys(e, rc, "run plugin %s", path);
	(void)fcntl(d->in, F_SETFL, O_NONBLOCK);
	(void)fcntl(d->out, F_SETFL, O_NONBLOCK);
	return 0;
}

static void close_fd(int *fd)
{
	mem_cleanup_fd(fd);
	*fd = -1;
}

/* A plugin that does not read its stdin is within its rights: EPIPE is no error. */
static void feed(struct delegate *d)
{
	ssize_t n = write(d->in, d->input, d->input_len);

	if (n >= 0) {
		d->input += n;
		d->input_len -= (size_t)n;
	}
	if (!d->input_len || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&d->in);
}

/* Everything that is there. */
static int collect(struct delegate *d, struct err *e)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(d->out, buf, sizeof(buf))) > 0) {
		if ((size_t)n > CNI_RESULT_MAX - d->output.len)
			return err_set(e, ERR_PROTO, "plugin %s printed more than %d bytes",
			               d->type, CNI_RESULT_MAX);
		str_addn(&d->output, buf, (size_t)n);
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(&d->out);
	return 0;
}

static void reap(struct delegate *d)
{
	struct signalfd_siginfo info;

	/* one signal may stand for several children */
	IGNORE(read(d->signals, &info, sizeof(info)) < 0);
	if (waitpid(d->pid, &d->status, WNOHANG) == d->pid)
		d->ended = true;
}

static int wait_event(struct delegate *d, struct mono deadline, struct err *e)
{
	struct pollfd p[] = {
		{ .fd = d->signals, .events = POLLIN },
		{ .fd = d->out, .events = POLLIN },
		{ .fd = d->in, .events = POLLOUT },
	};
	int n = poll(p, ARRAY_LEN(p), mono_left_ms(deadline));

	if (n == 0 && mono_passed(deadline))
		return err_set(e, ERR_TIMEOUT, "plugin %s did not end in time and was killed",
		               d->type);
	if (n < 0 && errno != EINTR)
		return err_sys(e, errno, "poll");
	if (n <= 0)
		return 0;
	if (p[2].revents)
		feed(d);
	if (p[1].revents && collect(d, e) < 0)
		return -1;
	if (p[0].revents)
		reap(d);
	return 0;
}

static int converse(struct delegate *d, struct mono deadline, struct err *e)
{
	while (!d->ended)
		if (wait_event(d, deadline, e) < 0)
			return -1;
	return d->out >= 0 ? collect(d, e) : 0;
}

/* However it went: no child is left, short of one that even SIGKILL does not end. */
static void finish(struct delegate *d)
{
	struct mono deadline = mono_in(REAP_MS);

	if (d->pid > 0 && !d->ended)
		kill(d->pid, SIGKILL);
	while (d->pid > 0 && !d->ended && !mono_passed(deadline)) {
		struct pollfd p = { .fd = d->signals, .events = POLLIN };

		reap(d);
		if (!d->ended)
			poll(&p, 1, mono_left_ms(deadline));
	}
	close_fd(&d->in);
	close_fd(&d->out);
	close_fd(&d->signals);
}

static int run(struct delegate *d, const char *path, char **env, struct mono deadline,
               struct err *e)
{
	/* ignored, SIGCHLD reaps on its own; SIGPIPE is for programs that do not look at errors */
	void (*child_before)(int) = signal(SIGCHLD, SIG_DFL);
	void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
	sigset_t child, mask;
	int rc;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &child, &mask);
	d->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signals < 0)
		rc = err_sys(e, errno, "open a signalfd");
	else
		rc = start(d, path, env, &mask, deadline, e);
	if (rc == 0)
		rc = converse(d, deadline, e);
	finish(d);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	signal(SIGPIPE, pipe_before);
	signal(SIGCHLD, child_before);
	return rc;
}

static enum err_kind kind_of(int64_t code)
{
	switch (code) {
	case CNI_E_UNSUPPORTED_FIELD:
	case CNI_E_CONFIG:
		return ERR_CONFIG;
	case CNI_E_TRY_AGAIN:
		return ERR_THROTTLED;
	default:
		return ERR_PROTO;
	}
}

/* Its error document becomes ours; what is none is quoted. */
static int read_error(struct delegate *d, int *code, struct err *e)
{
	const char *msg = "", *details = "";
	AUTO_JSON *doc = NULL;
	int64_t its = 0;

	if (WIFSIGNALED(d->status))
		return err_set(e, ERR_PROTO, "plugin %s was killed by signal %d", d->type,
		               WTERMSIG(d->status));
	if (!d->output.len)
		return err_set(e, ERR_PROTO, "plugin %s ended with status %d and without a word",
		               d->type, WEXITSTATUS(d->status));
	if (json_parse(d->output.data, d->output.len, 0, &doc, NULL) < 0 || !json_is_object(doc) ||
	    json_opt_i64(doc, "code", &its, NULL) < 0 || json_opt_str(doc, "msg", &msg, NULL) < 0 ||
	    json_opt_str(doc, "details", &details, NULL) < 0)
		return err_set(e, ERR_PROTO,
		               "plugin %s ended with status %d and no error document but: %.*s",
		               d->type, WEXITSTATUS(d->status), SNIPPET, d->output.data);
	d->refused = true;
	if (code && its > 0 && its <= INT32_MAX)
		*code = (int)its;
	return err_set(e, kind_of(its), "plugin %s: %s%s%s", d->type, *msg ? msg : "no message",
	               *details ? "; " : "", details);
}

static int read_result(const struct cni_call *c, const struct delegate *d, json **result,
                       struct err *e)
{
	const char *version = "";
	AUTO_JSON *doc = NULL;

	if (json_parse(d->output.data, d->output.len, 0, &doc, e) < 0)
		return err_wrap(e, "result of plugin %s", d->type);
	if (!json_is_object(doc) || json_opt_str(doc, "cniVersion", &version, NULL) < 0)
		return err_set(e, ERR_PROTO, "result of plugin %s: not a result document", d->type);
	if (!*version)
		json_set_str(doc, "cniVersion", cni_version_text(c->version));
	*result = take_ptr(&doc);
	return 0;
}

/* One run, from start to its answer. */
static int call(struct delegate *d, const struct cni_call *c, const char *path,
                enum cni_command command, struct mono deadline, json **result, int *code,
                struct err *e)
{
	char **env = make_env(c, command);
	int rc = run(d, path, env, deadline, e);

	free_env(env);
	if (rc == 0 && !(WIFEXITED(d->status) && WEXITSTATUS(d->status) == 0))
		rc = read_error(d, code, e);
	else if (rc == 0 && result)
		rc = read_result(c, d, result, e);
	str_release(&d->output);
	return rc;
}

/* Best effort: the first error is the one to report. */
static void undo_add(const struct cni_call *c, struct delegate d, const char *path)
{
	IGNORE(call(&d, c, path, CNI_DEL, mono_in(UNDO_MS), NULL, NULL, NULL));
}

int cni_execute(const struct cni_call *c, const char *type, const char *path,
                enum cni_command command, const char *conf, size_t conf_len, json **result,
                int *code, struct err *e)
{
	const struct delegate fresh = { .type = type,
		                        .in = -1,
		                        .out = -1,
		                        .signals = -1,
		                        .input = conf,
		                        .input_len = conf_len,
		                        .output = STR_INIT };
	struct delegate d = fresh;

	if (call(&d, c, path, command, c->deadline, result, code, e) == 0)
		return 0;
	if (command == CNI_ADD && d.pid > 0 && !d.refused)
		undo_add(c, fresh, path);
	return -1;
}

int cni_delegate(const struct cni_call *c, const char *type, enum cni_command command,
                 const char *conf, size_t conf_len, json **result, int *code, struct err *e)
{
	AUTO_FREE char *path = NULL;

	if (cni_find(c, type, &path, e) < 0)
		return -1;
	return cni_execute(c, type, path, command, conf, conf_len, result, code, e);
}
