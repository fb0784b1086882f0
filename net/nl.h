/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nl.h - netlink: sticky request builders, one send-and-ack function, one dump function.
 *
 * A socket belongs for ever to the network namespace it was opened in, so "struct nl *" is how the
 * rest of the program names a namespace.  libmnl's header is included by nl.c alone.
 */
#ifndef NET_NL_H
#define NET_NL_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct nl;

#define AUTO_NL __attribute__((cleanup(nl_cleanup))) struct nl

/*
 * Opens a socket in the calling thread's namespace.  protocol: NETLINK_ROUTE or NETLINK_NETFILTER.
 * Strict checking and extended acks are on; a receive timeout of 10 s guards against a silent
 * kernel.
 */
int nl_open(int protocol, struct nl **out, struct err *e) MUST_USE;

/*
 * For netns.c, see netns_reuse() there: sockets of two places are kept when they are closed, and
 * taken by the next who opens one of there.
 */
enum nl_place { NL_ELSEWHERE, NL_HOME, NL_POD };
/* Gives up what is kept; on: from now on sockets that are opened are kept. */
void nl_keep(bool on);
/* False: none of that place and protocol is kept. */
bool nl_take(enum nl_place place, int protocol, struct nl **out);
/* nl_open(), of a place that the calling thread is in. */
int nl_open_at(enum nl_place place, int protocol, struct nl **out, struct err *e) MUST_USE;

/*
 * Speaks netlink over fd (taken), a socket that keeps messages apart: unit tests put a kernel of
 * their own behind it.  silence_ms: how long to wait for each message, more than 0.
 */
struct nl *nl_from_fd(int fd, int silence_ms);
void nl_close(struct nl *nl); /* NULL is fine */
void nl_cleanup(struct nl **nl);

/*
 * Longer answers are refused from now on (ERR_PROTO), and not read to their end: no more can be
 * asked by this socket then.  For namespaces whose owner may put there what he likes.
 */
void nl_limit(struct nl *nl, size_t bytes);
#define NL_POD_BYTES (4 << 20) /* some 50,000 routes */

/* Requests sent so far, for the measurements. */
unsigned int nl_requests(const struct nl *nl);

#define NL_REQ_MAX 4096

/*
 * A request under construction, not to be copied (h points into it).  nl_put*() cannot fail at the
 * call: when the buffer is full they set overflow and later puts do nothing; nl_ack() refuses such
 * a request.
 */
struct nl_req {
	bool overflow;
	struct nlmsghdr *h;
	_Alignas(struct nlmsghdr) char buf[NL_REQ_MAX];
};

/* NLM_F_REQUEST is added; header_len bytes of family header follow, zeroed: nl_header(r). */
void nl_req_init(struct nl_req *r, uint16_t type, uint16_t flags, size_t header_len);
/* Another message behind it: for nl_batch() and nl_make().  What follows is about this one. */
void nl_req_next(struct nl_req *r, uint16_t type, uint16_t flags, size_t header_len);
uint16_t nl_req_type(struct nl_req *r, size_t i); /* of the message with that index */
void *nl_header(struct nl_req *r);
void nl_put(struct nl_req *r, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct nl_req *r, uint16_t type, uint8_t v);
void nl_put_u16(struct nl_req *r, uint16_t type, uint16_t v);
void nl_put_u32(struct nl_req *r, uint16_t type, uint32_t v);
void nl_put_u32_be(struct nl_req *r, uint16_t type, uint32_t v); /* nf_tables */
void nl_put_u64_be(struct nl_req *r, uint16_t type, uint64_t v);
void nl_put_str(struct nl_req *r, uint16_t type, const char *s);
void *nl_nest(struct nl_req *r, uint16_t type); /* NULL after an overflow; nl_nest_end accepts it */
void nl_nest_end(struct nl_req *r, void *nest);
/* Raw bytes without an attribute header, 4-aligned (the ifinfomsg inside VETH_INFO_PEER). */
void nl_put_raw(struct nl_req *r, const void *data, size_t len);

/* Sends and waits for the acknowledgement.  ERR_SYS with the kernel's errno and its own words. */
int nl_ack(struct nl *nl, struct nl_req *r, struct err *e) MUST_USE;

/* One message of a reply: attributes found with nl_attr. */
struct nl_msg {
	uint16_t type;
	const void *header; /* family header, at least header_len bytes */
	const void *attrs;
	size_t attrs_len;
};

/* The attribute of that type with at least min_len bytes, or NULL; *len may be NULL.  Borrowed. */
const void *nl_attr(const struct nl_msg *m, uint16_t type, size_t min_len, size_t *len);
const void *nl_attr_in(const void *attrs, size_t attrs_len, uint16_t type, size_t min_len,
                       size_t *len);

/* May itself ask for nothing. */
typedef int (*nl_visit)(const struct nl_msg *m, void *arg, struct err *e);

/*
 * Sends a request and calls visit for each message of the reply (one for a plain get, many with
 * NLM_F_DUMP); visit returns -1 with e set to stop, and is not called again.  A plain get, to which
 * the kernel answers with the one message or an error, asks for no acknowledgement.  A dump that
 * changed while it was read is started again; `restart` (may be NULL) is called before, so that
 * visit's collection can be emptied.
 */
int nl_query(struct nl *nl, struct nl_req *r, size_t header_len, nl_visit visit,
             void (*restart)(void *arg), void *arg, struct err *e) MUST_USE;

/*
 * Two messages: one that makes something, and a plain get of that.  The kernel goes through them in
 * order, also when it refuses the first.  *made is false when it did; visit is not called then.
 */
int nl_make(struct nl *nl, struct nl_req *r, size_t header_len, nl_visit visit, void *arg,
            bool *made, struct err *e) MUST_USE;

/*
 * From here on nl_ack() keeps requests instead of sending them, and says 0.  nl_flush() sends all
 * of them at once.  The kernel goes through them in order, also when it refuses some: failed, an
 * array of count, says which (the first that was kept is 0).  -1: it is not known what was done,
 * most likely nothing.
 *
 * No more than NL_GATHER_MAX: as many refusals surely fit in the socket's buffer.
 */
#define NL_GATHER_MAX 32
void nl_gather(struct nl *nl);
int nl_flush(struct nl *nl, bool *failed, size_t count, struct err *e) MUST_USE;
void nl_forget(struct nl *nl); /* what was kept is not sent */

/*
 * Several messages; for nf_tables with batch begin and end around.  Those with NLM_F_ACK are waited
 * for.  The first error is returned, with the index of the message that it is about in *failed (may
 * be NULL; untouched when it is about none).
 */
int nl_batch(struct nl *nl, struct nl_req *r, size_t *failed, struct err *e) MUST_USE;

#endif
