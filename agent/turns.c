/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns.c - a circle of those who wrote lately.
 */
#include "agent/turns.h"
#include "base/str.h"

uint32_t turns_id(const char *node)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (; *node; node++)
		h = (h ^ (uint8_t)*node) * 16777619U;
	return h ? h : 1;
}

static bool same(const struct pool_record *a, const struct pool_record *b)
{
	return ip_equal(a->ip, b->ip) && streq(a->cid, b->cid) && streq(a->uid, b->uid);
}

/* The node of the first record that came or went; both lists are sorted by address. */
static const char *writer(const struct pool *before, const struct pool *after)
{
	const struct pool_record *a = before->records, *b = after->records;
	size_t n = before->n_records, m = after->n_records, i = 0;

	while (i < n && i < m && same(&a[i], &b[i]))
		i++;
	if (i < m && (i == n || ip_cmp(b[i].ip, a[i].ip) <= 0))
		return b[i].node;
	return i < n ? a[i].node : "";
}

static void meet(struct turns *t, uint32_t id, struct mono now)
{
	struct rival *oldest = &t->rivals[0];

	for (size_t i = 0; i < t->n; i++) {
		if (t->rivals[i].id == id) {
			t->rivals[i].seen = now;
			return;
		}
		if (t->rivals[i].seen.ms < oldest->seen.ms)
			oldest = &t->rivals[i];
	}
	if (t->n < TURNS_RIVALS)
		oldest = &t->rivals[t->n++];
	*oldest = (struct rival){ id, now };
}

void turns_saw(struct turns *t, const struct pool *before, const struct pool *after,
               struct mono now)
{
	const char *node = writer(before, after);
	uint32_t id = turns_id(node);

	if (!*node || id == t->self)
		return;
	meet(t, id, now);
	t->last = id;
	t->told = now;
}

void turns_wrote(struct turns *t, int64_t took_ms, struct mono now)
{
	if (took_ms > TURNS_WRITE_MAX_MS)
		took_ms = TURNS_WRITE_MAX_MS;
	t->write_ms = t->write_ms ? (3 * t->write_ms + took_ms + 2) / 4 : took_ms;
	t->last = t->self;
	t->told = now;
}

void turns_lost(struct turns *t, struct mono now)
{
	t->until.ms = now.ms + TURNS_QUIET_MS;
}

/* How many of the circle come before us: a number lies between the last writer's and ours. */
static int64_t before_us(const struct turns *t, struct mono now)
{
	uint32_t ours = t->self - t->last;
	int64_t n = 0;

	if (!ours)
		ours = UINT32_MAX; /* the whole circle */
	for (size_t i = 0; i < t->n; i++) {
		uint32_t theirs = t->rivals[i].id - t->last;

		n += theirs && theirs < ours && t->rivals[i].seen.ms + TURNS_RIVAL_MS > now.ms;
	}
	return n;
}

struct mono turns_next(const struct turns *t, struct mono now)
{
	if (!t->last || now.ms >= t->until.ms)
		return now;
	return (struct mono){ t->told.ms +
		              before_us(t, now) * (t->write_ms + t->write_ms / 4 + 2) };
}
