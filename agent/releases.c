/* SPDX-License-Identifier: Apache-2.0 */
/*
 * releases.c - replays the durable queue of releases.  A record goes when the ledger has said that
 * nothing of that container is left.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/releases.h"
#include "agent/thread.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/log.h"
#include "cni/state.h"

#define BATCH 64            /* releases planned at once */
#define ANSWER_MS 20000     /* for a batch */
#define AGAIN_MS 5000       /* after one that was not answered */
#define LOOK_MS (60 * 1000) /* without any notice */

struct releases {
	struct ledger *ledger;
	const char *state_dir;
	int inotify, stop, event;
	pthread_t thread;
};

char *pod_key(const char *ns, const char *name, const char *cid)
{
	return *name ? xasprintf("%s/%s", ns, name) : xasprintf("cni/%s", cid);
}

bool pod_key_split(const char *key, char **ns, char **name)
{
	const char *slash = strchr(key, '/');

	if (!slash || slash == key || !slash[1])
		return false;
	*ns = xstrndup(key, (size_t)(slash - key));
	*name = xstrdup(slash + 1);
	return true;
}

/* False when the thread shall end. */
static bool wait_on(struct releases *r, int fd, int ms, bool *ready)
{
	struct pollfd fds[] = { { fd, POLLIN, 0 }, { r->stop, POLLIN, 0 } };

	*ready = poll(fds, 2, ms) > 0 && fds[0].revents;
	return !fds[1].revents;
}

/* Waits until n answers are there, or the deadline; returns how many came. */
static uint64_t collect(struct releases *r, uint64_t n, struct mono deadline)
{
	uint64_t got = 0;

	while (got < n) {
		uint64_t more = 0;
		bool ready, go = wait_on(r, r->event, mono_left_ms(deadline), &ready);

		if (ready && read(r->event, &more, sizeof(more)) == sizeof(more))
			got += more;
		else if (!go || mono_passed(deadline))
			break;
	}
	return got;
}

static bool forget(struct releases *r, const struct release *rel)
{
	struct err e;

	failpoint("release-done");
	if (attachment_remove(r->state_dir, rel->container_id, rel->ifname, &e) < 0)
		log_warn_err(&e, "attachment of a released container");
	failpoint("release-unforgotten");
	if (release_remove(r->state_dir, rel, &e) == 0) {
		failpoint("release-forgotten");
		return true;
	}
	log_warn_err(&e, "queued release");
	return false;
}

static bool settle(struct releases *r, const struct release *rel, struct ledger_request *q)
{
	bool done = q->kind == ERR_NONE;

	for (size_t i = 0; done && i < q->n_grants; i++)
		log_info("DEL pod=%s nic=%s address=%s pool=%s, from the queue", q->pod, q->nic,
		         ip_str(q->grants[i].address.ip).s, q->grants[i].pool);
	return done && forget(r, rel);
}

/* All n records at once, so that they share writes.  True when all are done. */
static bool replay(struct releases *r, const struct release *v, size_t n)
{
	struct mono deadline = mono_in(ANSWER_MS);
	struct ledger_request *q[BATCH];
	uint64_t expected = 0, got;
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *pod = pod_key(v[i].pod_namespace, v[i].pod_name, v[i].container_id);

		q[i] = ledger_request_new(LEDGER_DEL, pod, v[i].pod_uid, v[i].ifname,
		                          v[i].container_id, deadline, r->event);
		if (ledger_submit(r->ledger, q[i])) {
			expected++;
		} else {
			ledger_request_free(q[i]);
			q[i] = NULL;
			all = false;
		}
	}
	/* a second more than the ledger's own deadline */
	got = collect(r, expected, (struct mono){ deadline.ms + 1000 });
	for (size_t i = 0; i < n; i++) {
		if (q[i] && got < expected && ledger_abandon(q[i], false)) {
			expected--;
			q[i] = NULL;
			all = false;
		}
	}
	/* those that could not be abandoned were answered this moment */
	collect(r, expected - got, mono_in(ANSWER_MS));
	for (size_t i = 0; i < n; i++) {
		if (q[i])
			all &= settle(r, &v[i], q[i]);
		ledger_request_free(q[i]);
	}
	return all;
}

static bool replay_all(struct releases *r)
{
	struct release *v;
	bool all = true;
	struct err e;
	size_t n;

	if (release_list(r->state_dir, &v, &n, &e) < 0) {
		log_warn_err(&e, "queue of releases");
		return false;
	}
	for (size_t at = 0; at < n; at += BATCH)
		all &= replay(r, v + at, n - at < BATCH ? n - at : BATCH);
	for (size_t i = 0; i < n; i++)
		release_release(&v[i]);
	free(v);
	return all;
}

static void drain(int fd)
{
	_Alignas(struct inotify_event) char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static void *releases_main(void *arg)
{
	struct releases *r = arg;
	bool go = true, ready;

	while (go) {
		/* first the notices: what comes during the replay wakes us again */
		drain(r->inotify);
		go = wait_on(r, r->inotify, replay_all(r) ? LOOK_MS : AGAIN_MS, &ready);
	}
	return NULL;
}

static void releases_free(struct releases *r)
{
	if (r->inotify >= 0)
		close(r->inotify);
	if (r->stop >= 0)
		close(r->stop);
	if (r->event >= 0)
		close(r->event);
	free(r);
}

static int begin(struct releases *r, struct err *e)
{
	AUTO_FREE char *folder = xasprintf("%s/releases", r->state_dir);

	if (r->inotify < 0 || r->stop < 0 || r->event < 0)
		return err_sys(e, errno, "inotify and eventfd");
	if (file_mkdirs(folder, 0700, e) < 0)
		return -1;
	if (inotify_add_watch(r->inotify, folder, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
		return err_sys(e, errno, "watch %s", folder);
	return thread_start(&r->thread, releases_main, r, e);
}

int releases_start(struct ledger *l, const char *state_dir, struct releases **out, struct err *e)
{
	struct releases *r = xcalloc(1, sizeof(*r));

	r->ledger = l;
	r->state_dir = state_dir;
	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (begin(r, e) < 0) {
		releases_free(r);
		return -1;
	}
	*out = r;
	return 0;
}

void releases_stop(struct releases *r)
{
	uint64_t one = 1;

	if (!r)
		return;
	if (write(r->stop, &one, sizeof(one)) < 0)
		log_warn("stop the queue of releases");
	pthread_join(r->thread, NULL);
	releases_free(r);
}
