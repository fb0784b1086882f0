/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml.c - libyaml's events to a JSON tree; the only file that knows that library.
 *
 * Theory of operation: libyaml knows the grammar and nothing of types.  A plain scalar's type is
 * told here, by the rules of the reader that kubectl uses, so that a manifest means the same to
 * both.  What JSON cannot say (anchors, tags, infinity, an integer that a double rounds) is refused
 * with its line rather than bent.  Messages never show a value: a kubeconfig's values are secrets.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "json/yaml.h"

#define EXACT_INT_MAX 9007199254740991ULL /* 2^53 - 1 */
#define MEMBERS_MAX 10000                 /* of one mapping: each is compared with all before */
#define CORE_TAG "tag:yaml.org,2002:"

#define AUTO_EVENT __attribute__((cleanup(yaml_event_delete))) yaml_event_t
#define AUTO_PARSER __attribute__((cleanup(yaml_parser_delete))) yaml_parser_t

struct reader {
	yaml_parser_t *parser;
	const char *text;
	size_t len;
};

#define refuse(ev, e, ...) refuse_line((ev)->start_mark.line + 1, (e), __VA_ARGS__)
#define refuse_line(line, e, ...)                                                                  \
	(err_fill((e), ERR_CONFIG, __VA_ARGS__), err_prefix((e), "line %zu", (size_t)(line)),      \
	 err_minus_one())

/* The types of a plain scalar. */
enum scalar_type { SCALAR_NULL, SCALAR_BOOL, SCALAR_INT, SCALAR_FLOAT, SCALAR_STR };

struct scalar {
	enum scalar_type type;
	bool truth;
	int64_t integer;
	double real;
};

typedef char word[6];

static bool one_of(const char *s, const word *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (streq(s, words[i]))
			return true;
	return false;
}

static bool resolve_word(const char *s, struct scalar *out)
{
	static const word nulls[] = { "", "~", "null", "Null", "NULL" };
	static const word trues[] = { "y",    "Y",  "yes",  "Yes", "YES", "true",
		                      "True", "on", "TRUE", "On",  "ON" };
	static const word falses[] = { "n",     "N",   "no",    "No",  "NO", "false",
		                       "False", "off", "FALSE", "Off", "OFF" };

	out->truth = one_of(s, trues, ARRAY_LEN(trues));
	if (one_of(s, nulls, ARRAY_LEN(nulls)))
		out->type = SCALAR_NULL;
	else if (out->truth || one_of(s, falses, ARRAY_LEN(falses)))
		out->type = SCALAR_BOOL;
	else
		return false;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static unsigned int digit_value(char c)
{
	if (is_digit(c))
		return (unsigned int)(c - '0');
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10 : 16;
}

/* Decimal, 0x, 0o, 0b, and octal after a bare 0.  *too_big: an integer that a double rounds. */
static bool resolve_int(const char *s, struct scalar *out, bool *too_big)
{
	bool negative = *s == '-';
	unsigned int base = 10;
	uint64_t v = 0;

	s += *s == '-' || *s == '+';
	if (s[0] == '0' && s[1]) {
		char mark = (char)(s[1] | 0x20);

		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		s += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
	}
	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned int digit = digit_value(*s);

		if (digit >= base)
			return false;
		v = v > EXACT_INT_MAX ? v : v * base + digit;
	}
	*too_big = v > EXACT_INT_MAX;
	out->type = SCALAR_INT;
	out->integer = negative ? -(int64_t)v : (int64_t)v;
	return true;
}

static bool looks_real(const char *s)
{
	bool digits = false;

	s += *s == '-' || *s == '+';
	for (; is_digit(*s); s++)
		digits = true;
	if (*s == '.')
		for (s++; is_digit(*s); s++)
			digits = true;
	if (digits && (*s == 'e' || *s == 'E')) {
		s++;
		s += *s == '-' || *s == '+';
		digits = is_digit(*s);
		while (is_digit(*s))
			s++;
	}
	return digits && !*s;
}

static bool resolve_real(const char *s, struct scalar *out, bool *too_big)
{
	if (!looks_real(s))
		return false;
	out->real = strtod(s, NULL);
	if (!isfinite(out->real))
		return false;
	*too_big = !strpbrk(s, ".eE") && fabs(out->real) > (double)EXACT_INT_MAX;
	out->type = SCALAR_FLOAT;
	return true;
}

/* What a plain scalar is; NULL, or the problem with it. */
static const char *resolve(const char *s, struct scalar *out)
{
	static const word not_finite[] = { ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF",
		                           "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF" };
	AUTO_STR digits = STR_INIT;
	bool too_big = false;

	out->type = SCALAR_STR;
	if (resolve_word(s, out))
		return NULL;
	if (!*s || !strchr("+-.0123456789", *s))
		return NULL;
	if (one_of(s, not_finite, ARRAY_LEN(not_finite)))
		return "infinity and NaN are no JSON numbers; quote it if it is text";
	for (const char *p = s; *p; p++)
		/* after a leading point they count only between digits */
		if (*p != '_' || (*s == '.' && !(is_digit(p[-1]) && is_digit(p[1]))))
			str_addc(&digits, *p);
	if (!resolve_int(digits.data, out, &too_big))
		(void)resolve_real(digits.data, out, &too_big);
	return too_big ? "an integer beyond 2^53 - 1; quote it if it is text" : NULL;
}

/* The short name of a tag of the core schema, or NULL. */
static const char *core_tag(const yaml_char_t *tag)
{
	const char *s = (const char *)tag;

	return str_starts(s, CORE_TAG) ? s + strlen(CORE_TAG) : NULL;
}

/* The scalar's type by its tag, or by its looks where there is none. */
static int scalar_type(const yaml_event_t *ev, struct scalar *out, struct err *e)
{
	static const char names[][6] = { "null", "bool", "int", "float", "str" };
	const char *text = (const char *)ev->data.scalar.value, *problem, *tag;
	size_t want = 0;

	out->type = SCALAR_STR;
	if (strlen(text) != ev->data.scalar.length)
		return refuse(ev, e, "a NUL character in a string");
	tag = (const char *)ev->data.scalar.tag;
	/* quoted, a block, or "!": text, whatever it looks like */
	if (tag ? streq(tag, "!") : !ev->data.scalar.plain_implicit)
		return 0;
	if (!tag) {
		problem = resolve(text, out);
		return problem ? refuse(ev, e, "%s", problem) : 0;
	}
	tag = core_tag(ev->data.scalar.tag);
	while (tag && want < ARRAY_LEN(names) && !streq(tag, names[want]))
		want++;
	if (!tag || want == ARRAY_LEN(names))
		return refuse(ev, e, "tag %s is not supported here", ev->data.scalar.tag);
	if (want == SCALAR_STR)
		return 0;
	problem = resolve(text, out);
	if (problem)
		return refuse(ev, e, "%s", problem);
	if (want == SCALAR_FLOAT && out->type == SCALAR_INT)
		return 0;
	if (out->type != want)
		return refuse(ev, e, "the value after !!%s is none", tag);
	return 0;
}

static int read_real(const yaml_event_t *ev, double v, json **out, struct err *e)
{
	char text[40];

	/* always with an exponent, so that a whole number is not taken for an exact integer */
	if (fmt(text, sizeof(text), "%.17e", v) < 0 ||
	    json_parse(text, strlen(text), 0, out, NULL) < 0)
		return refuse(ev, e, "not a number");
	return 0;
}

static int read_scalar(const yaml_event_t *ev, json **out, struct err *e)
{
	struct scalar s = { .type = SCALAR_STR };

	if (ev->data.scalar.anchor)
		return refuse(ev, e, "anchors are not supported; write the value where it is used");
	if (scalar_type(ev, &s, e) < 0)
		return -1;
	switch (s.type) {
	case SCALAR_NULL:
		*out = json_new_null();
		return 0;
	case SCALAR_BOOL:
		*out = json_new_bool(s.truth);
		return 0;
	case SCALAR_INT:
		*out = json_new_i64(s.integer);
		return 0;
	case SCALAR_FLOAT:
		return read_real(ev, s.real, out, e);
	case SCALAR_STR:
		break;
	}
	*out = json_new_str((const char *)ev->data.scalar.value);
	return 0;
}

/* Where libyaml saw a byte that it does not take: it tells an offset there, no line. */
static size_t line_of_offset(const struct reader *r, size_t offset)
{
	size_t line = 1;

	for (size_t i = 0; i < offset && i < r->len; i++)
		line += r->text[i] == '\n';
	return line;
}

static bool indented_with_tab(const struct reader *r, size_t line)
{
	const char *p = r->text, *end = r->text + r->len;

	for (; line > 1 && p < end; p++)
		line -= *p == '\n';
	while (p < end && *p == ' ')
		p++;
	return p < end && *p == '\t';
}

static int syntax_error(const struct reader *r, struct err *e)
{
	const yaml_parser_t *p = r->parser;
	size_t line = p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR || !p->problem)
		return err_sys(e, ENOMEM, "read YAML");
	if (p->error == YAML_READER_ERROR)
		return refuse_line(line_of_offset(r, p->problem_offset), e, "%s", p->problem);
	return refuse_line(line, e, "not YAML: %s%s%s%s", p->context ? p->context : "",
	                   p->context ? ", " : "", p->problem,
	                   indented_with_tab(r, line) ? " (indent with blanks, not with tabs)"
	                                              : "");
}

static int next_event(struct reader *r, yaml_event_t *ev, struct err *e)
{
	yaml_event_delete(ev);
	return yaml_parser_parse(r->parser, ev) ? 0 : syntax_error(r, e);
}

static int read_node(struct reader *r, const yaml_event_t *ev, int depth, json **out,
                     struct err *e);

/* What sequences and mappings have in common. */
static int check_collection(const yaml_event_t *ev, const yaml_char_t *anchor,
                            const yaml_char_t *tag, const char *own_tag, int depth, struct err *e)
{
	const char *name = tag ? core_tag(tag) : own_tag;

	if (anchor)
		return refuse(ev, e, "anchors are not supported; write the value where it is used");
	if (!name || !streq(name, own_tag))
		return refuse(ev, e, "tag %s is not supported here", tag);
	if (depth > JSON_DEPTH_MAX)
		return refuse(ev, e, "nested too deep");
	return 0;
}

static int read_sequence(struct reader *r, const yaml_event_t *start, int depth, json **out,
                         struct err *e) /* NOLINT(misc-no-recursion): depth bounded */
{
	AUTO_JSON *array = json_new_array();
	AUTO_EVENT ev = { 0 };

	if (check_collection(start, start->data.sequence_start.anchor,
	                     start->data.sequence_start.tag, "seq", depth, e) < 0)
		return -1;
	for (;;) {
		json *item = NULL;

		if (next_event(r, &ev, e) < 0)
			return -1;
		if (ev.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (read_node(r, &ev, depth, &item, e) < 0)
			return -1;
		json_append(array, item);
	}
	*out = take_ptr(&array);
	return 0;
}

static int read_key(const yaml_event_t *ev, const json *object, char **out, struct err *e)
{
	struct scalar s = { .type = SCALAR_STR };
	const char *text;

	if (ev->type == YAML_ALIAS_EVENT)
		return refuse(ev, e, "aliases are not supported; write the value where it is used");
	if (ev->type != YAML_SCALAR_EVENT)
		return refuse(ev, e, "a key that is no scalar");
	text = (const char *)ev->data.scalar.value;
	if (ev->data.scalar.anchor)
		return refuse(ev, e, "anchors are not supported; write the value where it is used");
	if (ev->data.scalar.plain_implicit && !ev->data.scalar.tag && streq(text, "<<"))
		return refuse(ev, e, "merge keys (<<) are not supported; write the members out");
	if (ev->data.scalar.tag || !*text || ev->data.scalar.length != strlen(text)) {
		if (scalar_type(ev, &s, e) < 0)
			return -1;
		if (s.type == SCALAR_NULL)
			return refuse(ev, e, "a key is missing");
	}
	if (json_get(object, text))
		return refuse(ev, e, "key \"%s\" stands twice", text);
	*out = xstrdup(text);
	return 0;
}

static int read_mapping(struct reader *r, const yaml_event_t *start, int depth, json **out,
                        struct err *e) /* NOLINT(misc-no-recursion): depth bounded */
{
	AUTO_JSON *object = json_new_object();
	AUTO_EVENT ev = { 0 };

	if (check_collection(start, start->data.mapping_start.anchor, start->data.mapping_start.tag,
	                     "map", depth, e) < 0)
		return -1;
	for (size_t n = 0;; n++) {
		AUTO_FREE char *key = NULL;
		json *value = NULL;

		if (next_event(r, &ev, e) < 0)
			return -1;
		if (ev.type == YAML_MAPPING_END_EVENT)
			break;
		if (n == MEMBERS_MAX)
			return refuse(&ev, e, "a mapping with more than %d members", MEMBERS_MAX);
		if (read_key(&ev, object, &key, e) < 0 || next_event(r, &ev, e) < 0 ||
		    read_node(r, &ev, depth, &value, e) < 0)
			return -1;
		json_set(object, key, value);
	}
	*out = take_ptr(&object);
	return 0;
}

static int read_node(struct reader *r, const yaml_event_t *ev, int depth, json **out,
                     struct err *e) /* NOLINT(misc-no-recursion): depth bounded */
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(ev, out, e);
	case YAML_SEQUENCE_START_EVENT:
		return read_sequence(r, ev, depth + 1, out, e);
	case YAML_MAPPING_START_EVENT:
		return read_mapping(r, ev, depth + 1, out, e);
	case YAML_ALIAS_EVENT:
		return refuse(ev, e, "aliases are not supported; write the value where it is used");
	default:
		return refuse(ev, e, "not YAML");
	}
}

/* Nothing at all between two document marks. */
static bool is_empty(const yaml_event_t *ev)
{
	return ev->type == YAML_SCALAR_EVENT && !ev->data.scalar.length && !ev->data.scalar.tag &&
	       !ev->data.scalar.anchor && ev->data.scalar.plain_implicit;
}

static int read_stream(struct reader *r, json *documents, struct err *e)
{
	AUTO_EVENT ev = { 0 };
	size_t n = 0;

	for (;;) {
		json *document = NULL;

		if (next_event(r, &ev, e) < 0)
			return -1;
		if (ev.type == YAML_STREAM_END_EVENT)
			return 0;
		if (ev.type != YAML_DOCUMENT_START_EVENT)
			continue; /* the start of the stream, the end of a document */
		if (++n > YAML_DOCUMENTS_MAX)
			return refuse(&ev, e, "more than %d documents", YAML_DOCUMENTS_MAX);
		if (next_event(r, &ev, e) < 0)
			return -1;
		if (is_empty(&ev))
			continue;
		if (read_node(r, &ev, 0, &document, e) < 0)
			return -1;
		json_append(documents, document);
	}
}

/* JSON that libyaml does not read: surrogate pairs, keys of more than a kilobyte. */
static bool read_json(const char *text, size_t len, json *documents)
{
	json *document = NULL;
	size_t i = 0;

	while (i < len && text[i] && strchr(" \t\r\n", text[i]))
		i++;
	if (i == len || (text[i] != '{' && text[i] != '['))
		return false;
	if (json_parse(text, len, JSON_UNIQUE, &document, NULL) < 0)
		return false;
	json_append(documents, document);
	return true;
}

int yaml_parse_all(const char *text, size_t len, json **out, struct err *e)
{
	AUTO_JSON *documents = json_new_array();
	AUTO_PARSER parser = { 0 };
	struct reader r = { &parser, text, len };

	if (!read_json(text, len, documents)) {
		if (!yaml_parser_initialize(&parser))
			return err_sys(e, ENOMEM, "read YAML");
		yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
		/* UTF-8 and nothing else, whatever the first bytes look like */
		yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
		if (read_stream(&r, documents, e) < 0)
			return -1;
	}
	*out = take_ptr(&documents);
	return 0;
}

int yaml_parse(const char *text, size_t len, json **out, struct err *e)
{
	AUTO_JSON *documents = NULL;
	size_t n;

	if (yaml_parse_all(text, len, &documents, e) < 0)
		return -1;
	n = json_count(documents);
	if (n != 1)
		return err_set(
			e, ERR_CONFIG,
			n ? "%zu documents where one is wanted" : "there is no document in it", n);
	*out = json_copy(json_first(documents));
	return 0;
}
