/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nl.c - the only file that talks to a netlink socket, and the only one that knows libmnl.
 *
 * Theory of operation: build and parse functions are pure; converse() is the one loop that reads
 * replies.  It passes over messages of other sequence numbers (an earlier request's late answer)
 * and of other senders, turns NLMSG_ERROR and a failed NLMSG_DONE into an error with the kernel's
 * own words (extended ack), and reports a dump that changed under it, which its caller starts
 * again.
 *
 * A dump is read to its end even when its visitor has stopped: the kernel starts no other one on
 * the same socket before.
 *
 * A socket that is closed can be kept for the next who opens one like it.  Whatever is still to
 * come on it would be the next one's: so only one is kept on which the last request was answered.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "base/str.h"
#include "net/nl.h"

#define RECEIVE_SIZE (32 * 1024)
#define DUMP_TRIES 5
#define SILENCE_MS 10000
#define ERRNO_MAX 4095 /* MAX_ERRNO of the kernel */

struct nl {
	int fd;
	uint32_t seq;
	unsigned int requests;
	size_t limit;
	struct held *held; /* NULL: requests are sent */
	bool waits;        /* an answer may still come */
	int protocol;
	enum nl_place place;
	unsigned int era; /* that it was opened in */
};

/* Sockets that were closed and are kept.  Another era begins when a place may be another namespace.
 */
static struct {
	bool on;
	unsigned int era;
	struct nl *idle[2][2];
} kept;

/* Requests to be sent at once. */
struct held {
	struct str out;
	size_t n;
};

struct nl *nl_from_fd(int fd, int silence_ms)
{
	struct timeval silence = { .tv_sec = silence_ms / 1000,
		                   .tv_usec = silence_ms % 1000 * 1000L };
	struct nl *nl = xcalloc(1, sizeof(*nl));

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	nl->fd = fd;
	return nl;
}

static int open_new(int protocol, struct nl **out, struct err *e)
{
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	int on = 1;

	if (fd < 0 && errno == EPROTONOSUPPORT && protocol == NETLINK_NETFILTER)
		return err_sys(e, EPROTONOSUPPORT,
		               "open a netlink socket: the kernel has no nfnetlink (load the "
		               "module nfnetlink, or build with CONFIG_NETFILTER_NETLINK)");
	if (fd < 0)
		return err_sys(e, errno, "open a netlink socket");
	/* kernels without them (before 4.12, 4.3 and 4.20) say less and ignore filters */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	if (protocol == NETLINK_ROUTE)
		(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*out = nl_from_fd(take_fd(&fd), SILENCE_MS);
	return 0;
}

/* Where one like that is kept, when it is. */
static struct nl **idle(enum nl_place place, int protocol)
{
	if (!kept.on || place == NL_ELSEWHERE)
		return NULL;
	return &kept.idle[place == NL_POD][protocol == NETLINK_NETFILTER];
}

bool nl_take(enum nl_place place, int protocol, struct nl **out)
{
	struct nl **from = idle(place, protocol);

	if (!from || !*from)
		return false;
	*out = take_ptr(from);
	(*out)->requests = 0;
	(*out)->limit = 0;
	return true;
}

int nl_open_at(enum nl_place place, int protocol, struct nl **out, struct err *e)
{
	if (nl_take(place, protocol, out))
		return 0;
	if (open_new(protocol, out, e) < 0)
		return -1;
	(*out)->protocol = protocol;
	(*out)->place = place;
	(*out)->era = kept.era;
	return 0;
}

int nl_open(int protocol, struct nl **out, struct err *e)
{
	return nl_open_at(NL_HOME, protocol, out, e);
}

void nl_close(struct nl *nl)
{
	struct nl **to;

	if (!nl)
		return;
	nl_forget(nl);
	to = nl->waits || nl->era != kept.era ? NULL : idle(nl->place, nl->protocol);
	if (to && !*to) {
		*to = nl;
		return;
	}
	close(nl->fd);
	free(nl);
}

void nl_keep(bool on)
{
	kept.on = false;
	kept.era++;
	for (int place = 0; place < 2; place++)
		for (int bus = 0; bus < 2; bus++)
			nl_close(take_ptr(&kept.idle[place][bus]));
	kept.on = on;
}

void nl_cleanup(struct nl **nl)
{
	nl_close(*nl);
}

unsigned int nl_requests(const struct nl *nl)
{
	return nl->requests;
}

void nl_limit(struct nl *nl, size_t bytes)
{
	nl->limit = bytes;
}

/* Building. */
static void start(struct nl_req *r, char *at, uint16_t type, uint16_t flags, size_t header_len)
{
	r->h = mnl_nlmsg_put_header(at);
	r->h->nlmsg_type = type;
	r->h->nlmsg_flags = NLM_F_REQUEST | flags;
	mnl_nlmsg_put_extra_header(r->h, header_len);
}

void nl_req_init(struct nl_req *r, uint16_t type, uint16_t flags, size_t header_len)
{
	r->overflow = false;
	start(r, r->buf, type, flags, header_len);
}

/* For the message under construction. */
static size_t room(const struct nl_req *r)
{
	return sizeof(r->buf) - (size_t)((const char *)r->h - r->buf);
}

void nl_req_next(struct nl_req *r, uint16_t type, uint16_t flags, size_t header_len)
{
	size_t len = MNL_ALIGN(r->h->nlmsg_len);

	if (r->overflow || len + sizeof(*r->h) + MNL_ALIGN(header_len) > room(r))
		r->overflow = true;
	else
		start(r, (char *)r->h + len, type, flags, header_len);
}

static struct nlmsghdr *first_of(struct nl_req *r)
{
	return (struct nlmsghdr *)(void *)r->buf;
}

static struct nlmsghdr *next_of(struct nlmsghdr *h)
{
	return (struct nlmsghdr *)(void *)((char *)h + MNL_ALIGN(h->nlmsg_len));
}

uint16_t nl_req_type(struct nl_req *r, size_t i)
{
	struct nlmsghdr *h = first_of(r);

	while (i-- > 0)
		h = next_of(h);
	return h->nlmsg_type;
}

void *nl_header(struct nl_req *r)
{
	return mnl_nlmsg_get_payload(r->h);
}

void nl_put(struct nl_req *r, uint16_t type, const void *data, size_t len)
{
	size_t padding = MNL_ALIGN(len) - len;

	if (r->overflow || !mnl_attr_put_check(r->h, room(r), type, len, data)) {
		r->overflow = true;
		return;
	}
	/* libmnl before 1.0.5 leaves there what was on the stack */
	memset((char *)mnl_nlmsg_get_payload_tail(r->h) - padding, 0, padding);
}

void nl_put_u8(struct nl_req *r, uint16_t type, uint8_t v)
{
	nl_put(r, type, &v, sizeof(v));
}

void nl_put_u16(struct nl_req *r, uint16_t type, uint16_t v)
{
	nl_put(r, type, &v, sizeof(v));
}

void nl_put_u32(struct nl_req *r, uint16_t type, uint32_t v)
{
	nl_put(r, type, &v, sizeof(v));
}

void nl_put_u32_be(struct nl_req *r, uint16_t type, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	nl_put(r, type, b, sizeof(b));
}

void nl_put_u64_be(struct nl_req *r, uint16_t type, uint64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> (56 - 8 * i));
	nl_put(r, type, b, sizeof(b));
}

void nl_put_str(struct nl_req *r, uint16_t type, const char *s)
{
	nl_put(r, type, s, strlen(s) + 1);
}

void *nl_nest(struct nl_req *r, uint16_t type)
{
	struct nlattr *nest = r->overflow ? NULL : mnl_attr_nest_start_check(r->h, room(r), type);

	if (!nest)
		r->overflow = true;
	return nest;
}

void nl_nest_end(struct nl_req *r, void *nest)
{
	if (nest && !r->overflow)
		mnl_attr_nest_end(r->h, nest);
}

void nl_put_raw(struct nl_req *r, const void *data, size_t len)
{
	size_t aligned = MNL_ALIGN(len);

	if (r->overflow || r->h->nlmsg_len + aligned > room(r)) {
		r->overflow = true;
		return;
	}
	memset(mnl_nlmsg_get_payload_tail(r->h), 0, aligned);
	memcpy(mnl_nlmsg_get_payload_tail(r->h), data, len);
	r->h->nlmsg_len += (uint32_t)aligned;
}

/* Parsing. */
const void *nl_attr_in(const void *attrs, size_t attrs_len, uint16_t type, size_t min_len,
                       size_t *len)
{
	const char *p = attrs;

	while (attrs_len >= sizeof(struct nlattr)) {
		const struct nlattr *a = (const struct nlattr *)(const void *)p;
		size_t whole = MNL_ALIGN(a->nla_len);

		if (a->nla_len < sizeof(*a) || a->nla_len > attrs_len)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type) {
			if (a->nla_len - sizeof(*a) < min_len)
				return NULL;
			if (len)
				*len = a->nla_len - sizeof(*a);
			return p + sizeof(*a);
		}
		if (whole >= attrs_len)
			return NULL;
		p += whole;
		attrs_len -= whole;
	}
	return NULL;
}

const void *nl_attr(const struct nl_msg *m, uint16_t type, size_t min_len, size_t *len)
{
	return nl_attr_in(m->attrs, m->attrs_len, type, min_len, len);
}

/* errno as the kernel wrote it (0, or negative), with its own words from the attributes after it.
 */
static int read_errno(int32_t error, const char *attrs, size_t attrs_len, struct err *e)
{
	const char *words;
	size_t len = 0;

	if (!error)
		return 0;
	if (error > 0 || error < -ERRNO_MAX)
		return err_set(e, ERR_PROTO, "netlink: an error numbered %d", (int)error);
	words = attrs_len ? nl_attr_in(attrs, attrs_len, NLMSGERR_ATTR_MSG, 1, &len) : NULL;
	if (words)
		return err_sys(e, -error, "kernel (%.*s)", (int)strnlen(words, len), words);
	return err_sys(e, -error, "kernel");
}

/* The attributes behind `at` bytes of a message's payload, when the header says that there are. */
static int read_tail(const struct nlmsghdr *h, int32_t error, size_t at, struct err *e)
{
	size_t payload = mnl_nlmsg_get_payload_len(h);
	bool more = h->nlmsg_flags & NLM_F_ACK_TLVS && at < payload;

	return read_errno(error, (const char *)mnl_nlmsg_get_payload(h) + (more ? at : 0),
	                  more ? payload - at : 0, e);
}

/* 0: an acknowledgement. */
static int read_error(const struct nlmsghdr *h, struct err *e)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(h);
	size_t at = sizeof(*error);

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*error))
		return err_set(e, ERR_PROTO, "netlink: a short error message");
	/* after a failure the whole request is repeated, unless the flag says otherwise */
	if (!(h->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len > sizeof(error->msg))
		at += MNL_ALIGN((size_t)error->msg.nlmsg_len - sizeof(error->msg));
	return read_tail(h, error->error, at, e);
}

/* The end of a dump; a dump that failed on its way says so here. */
static int read_done(const struct nlmsghdr *h, struct err *e)
{
	int32_t error = 0;

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(error))
		memcpy(&error, mnl_nlmsg_get_payload(h), sizeof(error));
	return read_tail(h, error, MNL_ALIGN(sizeof(error)), e);
}

struct conversation {
	uint32_t seq;   /* of the first request */
	uint32_t count; /* requests, numbered one after the other */
	size_t acks;    /* still to come */
	size_t failed;  /* which request, when there was an error */
	size_t header_len;
	size_t limit, heard; /* bytes; limit 0: none */
	bool single; /* the last one is answered by one message: what was asked for, or an error */
	nl_visit visit;
	void *arg;
	bool *refused; /* for each request, when those may be refused; the last one is answered */
	bool ended;    /* nothing more will come */
	bool interrupted;
	bool stopped; /* there is an error, which stands: what comes is passed over */
};

static int visit_one(struct conversation *c, const struct nlmsghdr *h, struct err *e)
{
	size_t header_len = MNL_ALIGN(c->header_len);
	struct nl_msg m;

	if (mnl_nlmsg_get_payload_len(h) < header_len)
		return err_set(e, ERR_PROTO, "netlink: a short message of type %u", h->nlmsg_type);
	m.type = h->nlmsg_type;
	m.header = mnl_nlmsg_get_payload(h);
	m.attrs = (const char *)m.header + header_len;
	m.attrs_len = mnl_nlmsg_get_payload_len(h) - header_len;
	return c->visit(&m, c->arg, e);
}

/* One message: 1 the end, 0 more to come, -1. */
static int take(struct conversation *c, const struct nlmsghdr *h, struct err *e)
{
	uint32_t at = h->nlmsg_seq - c->seq;

	if (at >= c->count)
		return 0;
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		c->interrupted = true;
	if (h->nlmsg_type == NLMSG_ERROR && c->refused) {
		c->refused[at] = read_error(h, NULL) < 0;
		c->ended = at == c->count - 1;
		return c->ended;
	}
	if (h->nlmsg_type == NLMSG_ERROR) {
		if (read_error(h, e) < 0) {
			if (!c->stopped)
				c->failed = at;
			c->ended = at == c->count - 1;
			if (!c->single || c->ended)
				return -1;
			c->stopped = true; /* the answer to the last one is still to come */
			return 0;
		}
		if (c->acks)
			c->acks--;
		c->ended = !c->acks && at == c->count - 1;
		return !c->acks;
	}
	if (h->nlmsg_type == NLMSG_DONE) {
		c->ended = true;
		return read_done(h, e) < 0 ? -1 : 1;
	}
	c->heard += h->nlmsg_len;
	if (c->limit && c->heard > c->limit)
		return err_set(e, ERR_PROTO, "netlink: an answer of more than %zu bytes", c->limit);
	if (h->nlmsg_type < NLMSG_MIN_TYPE)
		return 0;
	if (c->visit && !c->stopped)
		c->stopped = visit_one(c, h, e) < 0;
	c->ended = c->single && !(h->nlmsg_flags & NLM_F_MULTI);
	return c->ended;
}

/* One datagram of the kernel's. */
static int receive(struct nl *nl, char buf[static RECEIVE_SIZE], size_t *len, struct err *e)
{
	struct sockaddr_nl from = { .nl_family = AF_UNSPEC };
	ssize_t n;

	do {
		socklen_t from_len = sizeof(from);

		n = recvfrom(nl->fd, buf, RECEIVE_SIZE, MSG_TRUNC, (struct sockaddr *)&from,
		             &from_len);
		/* a process with CAP_NET_ADMIN may write to the socket, too: pid 0 is the kernel */
	} while ((n < 0 && errno == EINTR) ||
	         (n >= 0 && from.nl_family == AF_NETLINK && from.nl_pid != 0));
	if (n < 0 && errno == EAGAIN)
		return err_set(e, ERR_TIMEOUT, "netlink: the kernel does not answer");
	if (n < 0)
		return err_sys(e, errno, "netlink: receive");
	if (n == 0)
		return err_set(e, ERR_PROTO, "netlink: an empty message");
	if (n > RECEIVE_SIZE)
		return err_set(e, ERR_PROTO, "netlink: a message of %zd bytes", n);
	*len = (size_t)n;
	return 0;
}

/* mnl_nlmsg_ok() takes a length beyond INT_MAX for a negative one, and would never come to an end.
 */
static bool is_whole(const struct nlmsghdr *h, int left)
{
	return left >= (int)sizeof(*h) && h->nlmsg_len >= sizeof(*h) &&
	       h->nlmsg_len <= (uint32_t)left;
}

static int converse_in(char buf[static RECEIVE_SIZE], struct nl *nl, struct conversation *c,
                       struct err *e)
{
	c->ended = false; /* of a dump that is read again */
	for (;;) {
		const struct nlmsghdr *h;
		size_t len;
		int left, rc;

		if (receive(nl, buf, &len, c->stopped ? NULL : e) < 0)
			return -1;
		left = (int)len;
		for (h = (const struct nlmsghdr *)buf; is_whole(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			rc = take(c, h, c->stopped ? NULL : e);
			nl->waits = !c->ended;
			if (rc)
				return rc < 0 || c->stopped ? -1 : 0;
		}
		if (left > 0)
			return err_set(c->stopped ? NULL : e, ERR_PROTO,
			               "netlink: a truncated message");
	}
}

/* On the stack, of which each thread has more: the heap would map it for each socket. */
static int converse_apart(struct nl *nl, struct conversation *c, struct err *e)
{
	_Alignas(struct nlmsghdr) char buf[RECEIVE_SIZE];

	return converse_in(buf, nl, c, e);
}

/* Where sockets are kept there is one thread, and one place for all answers: on the stack it would
 * be another one for each caller, and each page of it a fault. */
static int converse(struct nl *nl, struct conversation *c, struct err *e)
{
	/* not a part of the program's data: it would be mapped at each start, also of a VERSION */
	static char *place;

	if (!kept.on)
		return converse_apart(nl, c, e);
	if (!place)
		place = xmalloc(RECEIVE_SIZE);
	return converse_in(place, nl, c, e);
}

static int send_all(struct nl *nl, const void *data, size_t len, struct err *e)
{
	nl->requests++;
	nl->waits = true;
	return send(nl->fd, data, len, 0) < 0 ? err_sys(e, errno, "netlink: send") : 0;
}

/* All messages of it, numbered. */
static int send_request(struct nl *nl, struct nl_req *r, struct conversation *c, struct err *e)
{
	struct nlmsghdr *h = first_of(r);

	if (r->overflow)
		return err_set(e, ERR_PROTO, "netlink: a request of more than %d bytes",
		               NL_REQ_MAX);
	c->seq = nl->seq + 1;
	c->acks = 0;
	for (c->count = 0;; h = next_of(h)) {
		h->nlmsg_seq = ++nl->seq;
		c->count++;
		c->acks += (h->nlmsg_flags & NLM_F_ACK) != 0;
		if (h == r->h)
			break;
	}
	c->failed = c->count;
	return send_all(nl, r->buf, (size_t)((char *)h - r->buf) + h->nlmsg_len, e);
}

void nl_gather(struct nl *nl)
{
	nl_forget(nl);
	nl->held = xmalloc(sizeof(*nl->held));
	*nl->held = (struct held){ .out = STR_INIT };
}

void nl_forget(struct nl *nl)
{
	if (!nl->held)
		return;
	str_release(&nl->held->out);
	free(nl->held);
	nl->held = NULL;
}

/* Errors are answered anyway, so that one acknowledgement will do: the last one's. */
static int send_held(struct nl *nl, struct str *out, struct conversation *c, struct err *e)
{
	struct nlmsghdr h;

	c->seq = nl->seq + 1;
	for (size_t at = 0; at < out->len; at += h.nlmsg_len) {
		memcpy(&h, out->data + at, sizeof(h));
		h.nlmsg_seq = ++nl->seq;
		if (h.nlmsg_seq - c->seq == c->count - 1)
			h.nlmsg_flags |= NLM_F_ACK;
		memcpy(out->data + at, &h, sizeof(h));
	}
	return send_all(nl, out->data, out->len, e);
}

int nl_flush(struct nl *nl, bool *failed, size_t count, struct err *e)
{
	struct conversation c = { .refused = failed, .count = (uint32_t)count };
	int rc;

	assert(nl->held && nl->held->n == count);
	for (size_t i = 0; i < count; i++)
		failed[i] = false;
	rc = count && (send_held(nl, &nl->held->out, &c, e) < 0 || converse(nl, &c, e) < 0) ? -1
	                                                                                    : 0;
	nl_forget(nl);
	return rc;
}

int nl_ack(struct nl *nl, struct nl_req *r, struct err *e)
{
	struct conversation c = { .visit = NULL };

	if (nl->held && !r->overflow) {
		str_addn(&nl->held->out, r->h, r->h->nlmsg_len);
		nl->held->n++;
		return 0;
	}
	r->h->nlmsg_flags |= NLM_F_ACK;
	return send_request(nl, r, &c, e) < 0 ? -1 : converse(nl, &c, e);
}

int nl_query(struct nl *nl, struct nl_req *r, size_t header_len, nl_visit visit,
             void (*restart)(void *arg), void *arg, struct err *e)
{
	struct conversation c = {
		.header_len = header_len,
		.visit = visit,
		.arg = arg,
		.limit = nl->limit,
		.single = (r->h->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP,
	};

	for (int i = 0; i < DUMP_TRIES; i++) {
		if (i && restart)
			restart(arg);
		c.interrupted = false;
		c.heard = 0;
		if (send_request(nl, r, &c, e) < 0 || converse(nl, &c, e) < 0)
			return -1;
		if (!c.interrupted)
			return 0;
	}
	return err_set(e, ERR_PROTO, "netlink: a list changed each of the %d times it was read",
	               DUMP_TRIES);
}

int nl_make(struct nl *nl, struct nl_req *r, size_t header_len, nl_visit visit, void *arg,
            bool *made, struct err *e)
{
	struct conversation c = { .header_len = header_len,
		                  .visit = visit,
		                  .arg = arg,
		                  .limit = nl->limit,
		                  .single = true };
	int rc;

	*made = false;
	if (send_request(nl, r, &c, e) < 0)
		return -1;
	rc = converse(nl, &c, e);
	*made = c.failed != 0;
	return rc;
}

int nl_batch(struct nl *nl, struct nl_req *r, size_t *failed, struct err *e)
{
	struct conversation c = { .visit = NULL };

	if (send_request(nl, r, &c, e) < 0)
		return -1;
	if (c.acks && converse(nl, &c, e) < 0) {
		if (failed && c.failed < c.count)
			*failed = c.failed;
		return -1;
	}
	return 0;
}
