/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nl.c - the only file that talks to a netlink socket, and the only one that knows libmnl.
 *
 * Theory of operation: build and parse functions are pure; converse() is the one loop that reads
 * replies.  It passes over messages of other sequence numbers (an earlier request's late answer),
 * turns NLMSG_ERROR into an error with the kernel's own words (extended ack), and reports a dump
 * that changed under it, which its caller starts again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>

#include "base/str.h"
#include "net/nl.h"

#define RECEIVE_SIZE (32 * 1024)
#define DUMP_TRIES 5
#define SILENCE_S 10

struct nl {
	struct mnl_socket *s;
	uint32_t seq;
	unsigned int requests;
	char *buf;
};

int nl_open(int protocol, struct nl **out, struct err *e)
{
	struct timeval silence = { .tv_sec = SILENCE_S };
	struct mnl_socket *s = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	struct nl *nl;
	int on = 1;

	if (!s)
		return err_sys(e, errno, "open a netlink socket");
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		err_fill_sys(e, errno, "bind a netlink socket");
		mnl_socket_close(s);
		return -1;
	}
	/* kernels without them (before 4.12 and 4.20) answer in fewer words and ignore filters */
	(void)mnl_socket_setsockopt(s, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(s, NETLINK_CAP_ACK, &on, sizeof(on));
	if (protocol == NETLINK_ROUTE)
		(void)mnl_socket_setsockopt(s, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	(void)setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	nl = xcalloc(1, sizeof(*nl));
	nl->s = s;
	nl->buf = xmalloc(RECEIVE_SIZE);
	*out = nl;
	return 0;
}

void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	mnl_socket_close(nl->s);
	free(nl->buf);
	free(nl);
}

void nl_cleanup(struct nl **nl)
{
	nl_close(*nl);
}

unsigned int nl_requests(const struct nl *nl)
{
	return nl->requests;
}

/* Building. */
void nl_req_init(struct nl_req *r, uint16_t type, uint16_t flags, size_t header_len)
{
	r->overflow = false;
	r->h = mnl_nlmsg_put_header(r->buf);
	r->h->nlmsg_type = type;
	r->h->nlmsg_flags = NLM_F_REQUEST | flags;
	mnl_nlmsg_put_extra_header(r->h, header_len);
}

void *nl_header(struct nl_req *r)
{
	return mnl_nlmsg_get_payload(r->h);
}

void nl_put(struct nl_req *r, uint16_t type, const void *data, size_t len)
{
	if (!r->overflow && !mnl_attr_put_check(r->h, sizeof(r->buf), type, len, data))
		r->overflow = true;
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
	struct nlattr *nest =
		r->overflow ? NULL : mnl_attr_nest_start_check(r->h, sizeof(r->buf), type);

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

	if (r->overflow || r->h->nlmsg_len + aligned > sizeof(r->buf)) {
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

/* The error of an NLMSG_ERROR message, 0 for an acknowledgement; e gets the kernel's words. */
static int read_error(const struct nlmsghdr *h, int *sys, struct err *e)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(h);
	size_t at = sizeof(*error), payload = mnl_nlmsg_get_payload_len(h);
	const char *words = NULL;
	size_t len = 0;

	if (payload < sizeof(*error))
		return err_set(e, ERR_PROTO, "netlink: a short error message");
	*sys = -error->error;
	if (!*sys)
		return 0;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		at += error->msg.nlmsg_len >= sizeof(struct nlmsghdr)
		              ? MNL_ALIGN(error->msg.nlmsg_len - sizeof(struct nlmsghdr))
		              : 0;
	if ((h->nlmsg_flags & NLM_F_ACK_TLVS) && at < payload)
		words = nl_attr_in((const char *)error + at, payload - at, NLMSGERR_ATTR_MSG, 1,
		                   &len);
	err_fill_sys(e, *sys, "kernel%s%.*s%s", words ? " (" : "",
	             words ? (int)strnlen(words, len) : 0, words ? words : "", words ? ")" : "");
	return 0;
}

struct conversation {
	uint32_t seq;
	size_t header_len;
	nl_visit visit;
	void *arg;
	bool dump, interrupted;
};

/* One message: 1 the end, 0 more to come, -1. */
static int take(struct conversation *c, const struct nlmsghdr *h, struct err *e)
{
	struct nl_msg m;
	int sys = 0;

	if (h->nlmsg_seq != c->seq)
		return 0;
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		c->interrupted = true;
	if (h->nlmsg_type == NLMSG_ERROR) {
		if (read_error(h, &sys, e) < 0)
			return -1;
		return sys ? -1 : 1;
	}
	if (h->nlmsg_type == NLMSG_DONE)
		return 1;
	if (h->nlmsg_type < NLMSG_MIN_TYPE || !c->visit)
		return 0;
	if (mnl_nlmsg_get_payload_len(h) < MNL_ALIGN(c->header_len))
		return err_set(e, ERR_PROTO, "netlink: a short message of type %u", h->nlmsg_type);
	m.type = h->nlmsg_type;
	m.header = mnl_nlmsg_get_payload(h);
	m.attrs = (const char *)m.header + MNL_ALIGN(c->header_len);
	m.attrs_len = mnl_nlmsg_get_payload_len(h) - MNL_ALIGN(c->header_len);
	return c->visit(&m, c->arg, e) < 0 ? -1 : 0;
}

static int receive(struct nl *nl, size_t *len, struct err *e)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(nl->s, nl->buf, RECEIVE_SIZE);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno == EAGAIN)
			return err_set(e, ERR_TIMEOUT, "netlink: the kernel does not answer");
		return err_sys(e, errno, "netlink: receive");
	}
	*len = (size_t)n;
	return 0;
}

static int converse(struct nl *nl, struct conversation *c, struct err *e)
{
	for (;;) {
		const struct nlmsghdr *h;
		size_t len;
		int left, rc;

		if (receive(nl, &len, e) < 0)
			return -1;
		left = (int)len;
		for (h = (const struct nlmsghdr *)(void *)nl->buf; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			rc = take(c, h, e);
			if (rc)
				return rc < 0 ? -1 : 0;
		}
		if (left)
			return err_set(e, ERR_PROTO, "netlink: a truncated message");
	}
}

static int send_request(struct nl *nl, struct nl_req *r, struct err *e)
{
	if (r->overflow)
		return err_set(e, ERR_PROTO, "netlink: a request of more than %d bytes",
		               NL_REQ_MAX);
	r->h->nlmsg_seq = ++nl->seq;
	nl->requests++;
	if (mnl_socket_sendto(nl->s, r->h, r->h->nlmsg_len) < 0)
		return err_sys(e, errno, "netlink: send");
	return 0;
}

int nl_ack(struct nl *nl, struct nl_req *r, struct err *e)
{
	struct conversation c = { .visit = NULL };

	r->h->nlmsg_flags |= NLM_F_ACK;
	if (send_request(nl, r, e) < 0)
		return -1;
	c.seq = nl->seq;
	return converse(nl, &c, e);
}

int nl_query(struct nl *nl, struct nl_req *r, size_t header_len, nl_visit visit,
             void (*restart)(void *arg), void *arg, struct err *e)
{
	struct conversation c = { .header_len = header_len, .visit = visit, .arg = arg };

	if (!(r->h->nlmsg_flags & NLM_F_DUMP))
		r->h->nlmsg_flags |= NLM_F_ACK; /* so that the end of a single answer is told */
	for (int i = 0; i < DUMP_TRIES; i++) {
		if (i && restart)
			restart(arg);
		c.interrupted = false;
		if (send_request(nl, r, e) < 0)
			return -1;
		c.seq = nl->seq;
		if (converse(nl, &c, e) < 0)
			return -1;
		if (!c.interrupted)
			return 0;
	}
	return err_set(e, ERR_PROTO, "netlink: a list changed each of the %d times it was read",
	               DUMP_TRIES);
}

int nl_batch(struct nl *nl, struct nl_req *const *reqs, size_t count, size_t *failed, struct err *e)
{
	AUTO_STR out = STR_INIT;
	uint32_t first = nl->seq + 1;

	for (size_t i = 0; i < count; i++) {
		if (reqs[i]->overflow)
			return err_set(e, ERR_PROTO, "netlink: a request of more than %d bytes",
			               NL_REQ_MAX);
		reqs[i]->h->nlmsg_seq = ++nl->seq;
		str_addn(&out, reqs[i]->h, reqs[i]->h->nlmsg_len);
	}
	nl->requests++;
	if (mnl_socket_sendto(nl->s, out.data, out.len) < 0)
		return err_sys(e, errno, "netlink: send");
	for (size_t i = 0; i < count; i++) {
		struct conversation c = { .seq = first + (uint32_t)i };

		if (!(reqs[i]->h->nlmsg_flags & NLM_F_ACK))
			continue; /* batch begin and end are not acknowledged */
		if (converse(nl, &c, e) < 0) {
			if (failed)
				*failed = i;
			return -1;
		}
	}
	return 0;
}
