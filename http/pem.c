/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pem.c - PEM text, line by line.
 */
#include "http/pem.h"
#include "base/str.h"

#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

struct line {
	const char *p;
	size_t len;
};

static bool starts(struct line l, const char *prefix)
{
	size_t n = strlen(prefix);

	return l.len >= n && memcmp(l.p, prefix, n) == 0;
}

/* The next line without blanks at its end. */
static bool next_line(struct pem *text, struct line *out)
{
	const char *lf;
	size_t len;

	if (!text->len)
		return false;
	lf = memchr(text->p, '\n', text->len);
	len = lf ? (size_t)(lf - text->p) : text->len;
	*out = (struct line){ text->p, len };
	len += lf ? 1 : 0;
	text->p += len;
	text->len -= len;
	while (out->len && strchr(" \t\r", out->p[out->len - 1]))
		out->len--;
	return true;
}

/* The label of a line that begins or ends an object; false when it is no such line. */
static bool read_label(struct line l, const char *prefix, char label[PEM_LABEL_MAX])
{
	size_t head = strlen(prefix), tail = strlen(DASHES);

	if (!starts(l, prefix) || l.len < head + tail ||
	    memcmp(l.p + l.len - tail, DASHES, tail) != 0)
		return false;
	return fmt(label, PEM_LABEL_MAX, "%.*s", (int)(l.len - head - tail), l.p + head) == 0;
}

/* The lines of an object up to its END, as one run of base64. */
static int read_base64(struct pem *text, const char *label, struct str *out, struct err *e)
{
	char end[PEM_LABEL_MAX];
	struct line l;

	while (next_line(text, &l)) {
		if (starts(l, END)) {
			if (!read_label(l, END, end) || !streq(end, label))
				break;
			return 0;
		}
		if (starts(l, BEGIN))
			break;
		if (starts(l, "Proc-Type:") && mem_find(l.p, l.len, "ENCRYPTED", 9))
			return err_set(e, ERR_CONFIG, "the %s is encrypted: give it decrypted",
			               label);
		if (!memchr(l.p, ':', l.len)) /* else a header of the old kind */
			str_addn(out, l.p, l.len);
	}
	return err_set(e, ERR_CONFIG, "the PEM text ends inside a %s", label);
}

int pem_next(struct pem *text, char label[PEM_LABEL_MAX], struct str *der, bool *found,
             struct err *e)
{
	struct str base64 = STR_INIT;
	struct line l;
	int rc;

	*found = false;
	pem_wipe(der);
	do {
		if (!next_line(text, &l))
			return 0;
	} while (!read_label(l, BEGIN, label));
	/* room for everything at once: a string that grows leaves pieces of a key behind */
	str_reserve(&base64, text->len);
	rc = read_base64(text, label, &base64, e);
	if (rc == 0) {
		str_reserve(der, base64.len);
		rc = base64_decode(base64.data, base64.len, der, NULL);
		if (rc < 0)
			rc = err_set(e, ERR_CONFIG, "a %s that is not base64", label);
	}
	pem_wipe(&base64);
	*found = rc == 0;
	return rc;
}

void pem_wipe(struct str *der)
{
	if (der->cap)
		explicit_bzero(der->data, der->cap);
	str_release(der);
}
