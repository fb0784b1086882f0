/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - strictness around cJSON.
 *
 * Theory of operation: a text is first walked by a scanner that builds nothing (RFC 8259 to the
 * letter, UTF-8, depth, no NUL, only integers that a double holds exactly), which also knows line
 * and column; only then does cJSON make the tree.  Printing is ours as well, because cJSON writes
 * 10^15 as "1e+15", which an int64 reader refuses.
 */
#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cJSON.h>

#include "json/json.h"

#define EXACT_INT_MAX 9007199254740991.0 /* 2^53 - 1 */
#define MEMBERS_MAX 10000                /* of one object, where duplicates are looked for */

static void *hook_malloc(size_t n)
{
	return xmalloc(n);
}

static void set_hooks(void)
{
	cJSON_Hooks hooks = { .malloc_fn = hook_malloc, .free_fn = free };

	cJSON_InitHooks(&hooks);
}

static void init_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_hooks);
}

/* The scanner. */
struct scan {
	const char *start, *p, *end;
	const char *problem;
	int depth;
	bool big; /* an integer that a double may not hold */
};

static bool refuse(struct scan *s, const char *problem)
{
	if (!s->problem)
		s->problem = problem;
	return false;
}

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool is_digit(const struct scan *s)
{
	return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

static bool scan_digits(struct scan *s)
{
	if (!is_digit(s))
		return refuse(s, "a digit is missing");
	while (is_digit(s))
		s->p++;
	return true;
}

static bool scan_number(struct scan *s)
{
	const char *first = s->p;
	bool integer = true;
	char text[32];

	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0' && s->p + 1 < s->end && s->p[1] >= '0' && s->p[1] <= '9')
		return refuse(s, "a number with a leading zero");
	if (!scan_digits(s))
		return false;
	if (s->p < s->end && *s->p == '.') {
		integer = false;
		s->p++;
		if (!scan_digits(s))
			return false;
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		integer = false;
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (!scan_digits(s))
			return false;
	}
	if (integer && (fmt(text, sizeof(text), "%.*s", (int)(s->p - first), first) < 0 ||
	                fabs(strtod(text, NULL)) > EXACT_INT_MAX))
		s->big = true;
	return true;
}

/* One character of UTF-8 (RFC 3629) at s->p. */
static bool scan_utf8(struct scan *s)
{
	const unsigned char *u = (const unsigned char *)s->p;
	size_t left = (size_t)(s->end - s->p), n;
	uint32_t c;

	if (u[0] < 0x80) {
		s->p++;
		return true;
	}
	n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
	if (u[0] < 0xc2 || u[0] > 0xf4 || left < n)
		return refuse(s, "invalid UTF-8");
	c = u[0] & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return refuse(s, "invalid UTF-8");
		c = c << 6 | (u[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c <= 0xdfff))
		return refuse(s, "invalid UTF-8");
	s->p += n;
	return true;
}

static bool scan_hex4(struct scan *s, uint32_t *out)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++, s->p++) {
		const char *digits = "0123456789abcdefABCDEF", *at;

		at = s->p < s->end && *s->p ? strchr(digits, *s->p) : NULL;
		if (!at)
			return refuse(s, "four hexadecimal digits must follow \\u");
		v = v << 4 | (uint32_t)(at - digits < 16 ? at - digits : at - digits - 6);
	}
	*out = v;
	return true;
}

static bool scan_escape(struct scan *s)
{
	uint32_t c = 0, low = 0;

	if (s->p >= s->end || !*s->p || !strchr("\"\\/bfnrtu", *s->p))
		return refuse(s, "an unknown escape");
	if (*s->p++ != 'u')
		return true;
	if (!scan_hex4(s, &c))
		return false;
	if (!c)
		return refuse(s, "a NUL character in a string");
	if (c >= 0xdc00 && c <= 0xdfff)
		return refuse(s, "half a surrogate pair");
	if (c < 0xd800 || c > 0xdbff)
		return true;
	if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
		return refuse(s, "half a surrogate pair");
	s->p += 2;
	if (!scan_hex4(s, &low))
		return false;
	return low >= 0xdc00 && low <= 0xdfff ? true : refuse(s, "half a surrogate pair");
}

static bool scan_string(struct scan *s)
{
	for (s->p++; s->p < s->end;) {
		if (*s->p == '"') {
			s->p++;
			return true;
		}
		if ((unsigned char)*s->p < 0x20)
			return refuse(s, "a control character in a string");
		if (*s->p == '\\') {
			s->p++;
			if (!scan_escape(s))
				return false;
		} else if (!scan_utf8(s)) {
			return false;
		}
	}
	return refuse(s, "the text ends inside a string");
}

static bool scan_value(struct scan *s);

/* From "{" or "[" to its end. */
static bool scan_container(struct scan *s,
                           char close) /* NOLINT(misc-no-recursion): depth bounded */
{
	s->p++;
	skip_blanks(s);
	if (s->p < s->end && *s->p == close) {
		s->p++;
		return true;
	}
	for (;;) {
		skip_blanks(s);
		if (close == '}') {
			if (s->p >= s->end || *s->p != '"')
				return refuse(s, "a member name is missing");
			if (!scan_string(s))
				return false;
			skip_blanks(s);
			if (s->p >= s->end || *s->p != ':')
				return refuse(s, "a colon is missing");
			s->p++;
		}
		if (!scan_value(s))
			return false;
		skip_blanks(s);
		if (s->p < s->end && *s->p == close) {
			s->p++;
			return true;
		}
		if (s->p >= s->end || *s->p != ',')
			return refuse(s, "a comma or a closing bracket is missing");
		s->p++;
	}
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return refuse(s, "not a value");
	s->p += len;
	return true;
}

static bool scan_value(struct scan *s) /* NOLINT(misc-no-recursion): depth bounded */
{
	bool fine;

	skip_blanks(s);
	if (s->p >= s->end)
		return refuse(s, "the text ends where a value should be");
	switch (*s->p) {
	case '{':
	case '[':
		if (++s->depth > JSON_DEPTH_MAX)
			return refuse(s, "nested too deep");
		fine = scan_container(s, *s->p == '{' ? '}' : ']');
		s->depth--;
		return fine;
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (*s->p == '-' || is_digit(s))
			return scan_number(s);
		return refuse(s, "not a value");
	}
}

static int scan_error(const struct scan *s, struct err *e)
{
	unsigned int line = 1, column = 1;

	for (const char *q = s->start; q < s->p; q++) {
		column++;
		if (*q == '\n') {
			line++;
			column = 1;
		}
	}
	return err_set(e, ERR_PROTO, "not JSON: line %u column %u: %s", line, column, s->problem);
}

/* Of integers that a double may not hold the text is kept, and printed: tree and text have their
 * numbers in the same order.  s is at what has been scanned before. */
static void keep_texts(json *j, struct scan *s) /* NOLINT(misc-no-recursion): depth bounded */
{
	const char *first;

	for (json *child = j->child; child; child = child->next)
		keep_texts(child, s);
	if (!cJSON_IsNumber(j))
		return;
	while (*s->p != '-' && !is_digit(s))
		if (*s->p != '"' || !scan_string(s))
			s->p++;
	first = s->p;
	s->big = false;
	if (scan_number(s) && s->big)
		j->valuestring = xstrndup(first, (size_t)(s->p - first));
}

/* Two members of one name anywhere below j: its name. */
static const char *find_duplicate(const json *j) /* NOLINT(misc-no-recursion): depth bounded */
{
	const char *name = NULL;
	size_t n = 0;

	json_each(a, j)
	{
		if (cJSON_IsObject(j)) {
			if (++n > MEMBERS_MAX)
				return a->string;
			for (const json *b = a->next; b; b = b->next)
				if (streq(a->string, b->string))
					return a->string;
		}
		name = find_duplicate(a);
		if (name)
			return name;
	}
	return NULL;
}

int json_parse(const char *text, size_t len, enum json_flags flags, json **out, struct err *e)
{
	struct scan s = { .start = text, .p = text, .end = text + len };
	AUTO_JSON *j = NULL;
	const char *name;

	init_once();
	if (!scan_value(&s))
		return scan_error(&s, e);
	skip_blanks(&s);
	if (s.p != s.end) {
		s.problem = "text after the end of the document";
		return scan_error(&s, e);
	}
	j = cJSON_ParseWithLength(text, len);
	if (!j)
		return err_set(e, ERR_PROTO, "not JSON");
	if (s.big) {
		s.p = text;
		keep_texts(j, &s);
	}
	if (flags & JSON_UNIQUE) {
		name = find_duplicate(j);
		if (name)
			return err_set(e, ERR_PROTO, "member \"%s\" stands twice", name);
	}
	*out = take_ptr(&j);
	return 0;
}

void json_free(json *j)
{
	cJSON_Delete(j);
}

void json_cleanup(json **j)
{
	cJSON_Delete(*j);
}

/* Printing. */
static void print_escape(unsigned char c, struct str *out)
{
	switch (c) {
	case '"':
	case '\\':
		str_addc(out, '\\');
		str_addc(out, (char)c);
		break;
	case '\n':
		str_add(out, "\\n");
		break;
	case '\t':
		str_add(out, "\\t");
		break;
	case '\r':
		str_add(out, "\\r");
		break;
	default:
		str_addf(out, "\\u%04x", c);
	}
}

void json_print_text(const char *s, struct str *out)
{
	const char *plain = s; /* not added yet */

	str_addc(out, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		str_addn(out, plain, (size_t)(s - plain));
		print_escape(c, out);
		plain = s + 1;
	}
	str_addn(out, plain, (size_t)(s - plain));
	str_addc(out, '"');
}

static bool is_exact_int(double v)
{
	return fabs(v) <= EXACT_INT_MAX && v == (double)(int64_t)v;
}

/* The fewest digits that read back as the same number; 17 always do (IEEE 754, 5.12.2). */
static void print_fraction(double v, struct str *out)
{
	char text[32];
	int digits = 1;

	do
		snprintf(text, sizeof(text), "%.*g", digits, v);
	while (digits++ < 17 && strtod(text, NULL) != v);
	str_add(out, text);
	/* one that is too large to be exact must not look like an integer */
	if (!strpbrk(text, ".e"))
		str_add(out, ".0");
}

static void print_number(double v, struct str *out)
{
	if (is_exact_int(v))
		str_addf(out, "%lld", (long long)v);
	else if (isfinite(v))
		print_fraction(v, out);
	else
		str_add(out, "null");
}

/* How a tree is laid out: blanks for each level, 0: one line. */
struct layout {
	struct str *out;
	int width, level;
};

static void indent(struct layout *l, int change)
{
	l->level += change;
	if (!l->width)
		return;
	str_addc(l->out, '\n');
	for (int i = 0; i < l->level * l->width; i++)
		str_addc(l->out, ' ');
}

static void print(const json *j, struct layout *l) /* NOLINT(misc-no-recursion) */
{
	bool object = cJSON_IsObject(j);
	struct str *out = l->out;

	if (cJSON_IsString(j)) {
		json_print_text(j->valuestring, out);
	} else if (cJSON_IsNumber(j) && j->valuestring) {
		str_add(out, j->valuestring);
	} else if (cJSON_IsNumber(j)) {
		print_number(j->valuedouble, out);
	} else if (cJSON_IsBool(j)) {
		str_add(out, cJSON_IsTrue(j) ? "true" : "false");
	} else if (!object && !cJSON_IsArray(j)) {
		str_add(out, "null");
	} else if (!j->child) {
		str_add(out, object ? "{}" : "[]");
	} else {
		int change = 1;

		str_addc(out, object ? '{' : '[');
		json_each(c, j)
		{
			indent(l, change);
			change = 0;
			if (object) {
				json_print_text(c->string, out);
				str_add(out, l->width ? ": " : ":");
			}
			print(c, l);
			if (c->next)
				str_addc(out, ',');
		}
		indent(l, -1);
		str_addc(out, object ? '}' : ']');
	}
}

void json_print(const json *j, struct str *out)
{
	json_print_indented(j, 0, out);
}

void json_print_indented(const json *j, int width, struct str *out)
{
	struct layout l = { out, width, 0 };

	print(j, &l);
}

void json_print_pretty(const json *j, struct str *out)
{
	json_print_indented(j, 2, out);
	str_addc(out, '\n');
}

json *json_copy(const json *j)
{
	init_once();
	return cJSON_Duplicate(j, true);
}

bool json_equal(const json *a, const json *b)
{
	return cJSON_Compare(a, b, true);
}

/* Types. */
bool json_is_object(const json *j)
{
	return cJSON_IsObject(j);
}

bool json_is_array(const json *j)
{
	return cJSON_IsArray(j);
}

bool json_is_string(const json *j)
{
	return cJSON_IsString(j);
}

bool json_is_null(const json *j)
{
	return cJSON_IsNull(j);
}

bool json_is_bool(const json *j)
{
	return cJSON_IsBool(j);
}

bool json_is_number(const json *j)
{
	return cJSON_IsNumber(j);
}

/* Access. */
json *json_get_mut(json *o, const char *key)
{
	return cJSON_IsObject(o) ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
}

const json *json_get(const json *o, const char *key)
{
	return cJSON_IsObject(o) ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
}

static const json *walk(const json *o, va_list ap)
{
	const char *key;

	while (o && (key = va_arg(ap, const char *)))
		o = json_get(o, key);
	return o;
}

const json *json_at(const json *o, ...)
{
	va_list ap;

	va_start(ap, o);
	o = walk(o, ap);
	va_end(ap);
	return o;
}

const char *json_str_at(const json *o, ...)
{
	va_list ap;

	va_start(ap, o);
	o = walk(o, ap);
	va_end(ap);
	return cJSON_IsString(o) ? o->valuestring : NULL;
}

static const json *present(const json *o, const char *key)
{
	const json *v = json_get(o, key);

	return cJSON_IsNull(v) ? NULL : v;
}

static int wrong(const json *v, const char *key, const char *what, struct err *e)
{
	return err_set(e, ERR_PROTO, "%s: %s%s", key, v ? "not " : "missing", v ? what : "");
}

int json_str(const json *o, const char *key, const char **out, struct err *e)
{
	const json *v = present(o, key);

	if (!cJSON_IsString(v))
		return wrong(v, key, "a string", e);
	*out = v->valuestring;
	return 0;
}

int json_opt_str(const json *o, const char *key, const char **out, struct err *e)
{
	return present(o, key) ? json_str(o, key, out, e) : 0;
}

int json_int(const json *number, int64_t *out, struct err *e)
{
	double v = number->valuedouble;

	if (cJSON_IsNumber(number) && number->valuestring)
		return err_set(e, ERR_PROTO, "an integer beyond 2^53 - 1");
	if (!cJSON_IsNumber(number) || !is_exact_int(v))
		return err_set(e, ERR_PROTO, "not an exact integer");
	*out = (int64_t)v;
	return 0;
}

int json_i64(const json *o, const char *key, int64_t *out, struct err *e)
{
	const json *v = present(o, key);

	if (!cJSON_IsNumber(v))
		return wrong(v, key, "a number", e);
	return json_int(v, out, e) < 0 ? err_wrap(e, "%s", key) : 0;
}

int json_opt_i64(const json *o, const char *key, int64_t *out, struct err *e)
{
	return present(o, key) ? json_i64(o, key, out, e) : 0;
}

int json_opt_bool(const json *o, const char *key, bool *out, struct err *e)
{
	const json *v = present(o, key);

	if (!v)
		return 0;
	if (!cJSON_IsBool(v))
		return wrong(v, key, "true or false", e);
	*out = cJSON_IsTrue(v);
	return 0;
}

int json_obj(const json *o, const char *key, const json **out, struct err *e)
{
	const json *v = present(o, key);

	if (!cJSON_IsObject(v))
		return wrong(v, key, "an object", e);
	*out = v;
	return 0;
}

int json_opt_obj(const json *o, const char *key, const json **out, struct err *e)
{
	return present(o, key) ? json_obj(o, key, out, e) : 0;
}

int json_arr(const json *o, const char *key, const json **out, struct err *e)
{
	const json *v = present(o, key);

	if (!cJSON_IsArray(v))
		return wrong(v, key, "an array", e);
	*out = v;
	return 0;
}

int json_opt_arr(const json *o, const char *key, const json **out, struct err *e)
{
	return present(o, key) ? json_arr(o, key, out, e) : 0;
}

int json_opt_strs(const json *o, const char *key, const json **out, struct err *e)
{
	const json *v = NULL;

	if (json_opt_arr(o, key, &v, e) < 0)
		return -1;
	json_each(c, v)
	{
		if (!cJSON_IsString(c))
			return err_set(e, ERR_PROTO, "%s: not an array of strings", key);
	}
	*out = v;
	return 0;
}

const char *json_text(const json *string)
{
	if (!cJSON_IsString(string))
		abort(); /* a programming error: the type was to be checked before */
	return string->valuestring;
}

bool json_truth(const json *boolean)
{
	return cJSON_IsTrue(boolean);
}

const char *json_name(const json *member)
{
	return member->string;
}

const json *json_first(const json *j)
{
	return j && (cJSON_IsObject(j) || cJSON_IsArray(j)) ? j->child : NULL;
}

const json *json_next(const json *j)
{
	return j ? j->next : NULL;
}

size_t json_count(const json *j)
{
	size_t n = 0;

	json_each(c, j)
	{
		(void)c;
		n++;
	}
	return n;
}

int json_depth(const json *j) /* NOLINT(misc-no-recursion): as deep as the tree */
{
	int deepest = 0;

	if (!cJSON_IsObject(j) && !cJSON_IsArray(j))
		return 0;
	json_each(child, j)
	{
		int its = json_depth(child);

		deepest = its > deepest ? its : deepest;
	}
	return deepest + 1;
}

typedef int (*compare_fn)(const char *a, const char *b, size_t len);

/* The word of a list that the name is, by that comparison, and its length; NULL: none. */
static const char *find_word(const char *list, const char *name, compare_fn compare, size_t *len)
{
	size_t n = strlen(name);

	for (const char *w = list; *w; w += *len + (w[*len] == ' ')) {
		*len = strcspn(w, " ");
		if (w[*len - 1] == '*' ? n >= *len - 1 && compare(w, name, *len - 1) == 0
		                       : n == *len && compare(w, name, n) == 0)
			return w;
	}
	return NULL;
}

bool json_is_known(const char *list, const char *name)
{
	size_t len;

	return find_word(list, name, strncmp, &len);
}

void json_unknown(const json *o, const char *known, struct str *out)
{
	size_t len, n = 0;

	json_each(m, o)
	{
		const char *name = m->string, *meant;

		if (!name || json_is_known(known, name) || n++ >= JSON_UNKNOWN_MAX)
			continue;
		meant = find_word(known, name, strncasecmp, &len);
		str_addf(out, "%s\"%.64s\"", n > 1 ? ", " : "", name);
		if (meant)
			str_addf(out, " (is \"%.*s\" meant?)", (int)len, meant);
	}
	if (n > JSON_UNKNOWN_MAX)
		str_addf(out, " and %zu more", n - JSON_UNKNOWN_MAX);
}

/* Making. */
json *json_new_object(void)
{
	init_once();
	return cJSON_CreateObject();
}

json *json_new_array(void)
{
	init_once();
	return cJSON_CreateArray();
}

json *json_new_str(const char *s)
{
	init_once();
	return cJSON_CreateString(s);
}

json *json_new_i64(int64_t v)
{
	init_once();
	return cJSON_CreateNumber((double)v);
}

json *json_new_bool(bool v)
{
	init_once();
	return cJSON_CreateBool(v);
}

json *json_new_null(void)
{
	init_once();
	return cJSON_CreateNull();
}

void json_set(json *o, const char *key, json *value)
{
	if (json_get(o, key))
		cJSON_ReplaceItemInObjectCaseSensitive(o, key, value);
	else
		cJSON_AddItemToObject(o, key, value);
}

void json_set_str(json *o, const char *key, const char *s)
{
	if (s)
		json_set(o, key, json_new_str(s));
}

void json_set_i64(json *o, const char *key, int64_t v)
{
	json_set(o, key, json_new_i64(v));
}

void json_set_bool(json *o, const char *key, bool v)
{
	json_set(o, key, json_new_bool(v));
}

void json_set_null(json *o, const char *key)
{
	json_set(o, key, json_new_null());
}

json *json_ensure_object(json *o, const char *key)
{
	json *v = json_get_mut(o, key);

	if (!cJSON_IsObject(v)) {
		v = json_new_object();
		json_set(o, key, v);
	}
	return v;
}

void json_remove(json *o, const char *key)
{
	cJSON_DeleteItemFromObjectCaseSensitive(o, key);
}

json *json_detach(json *parent, const json *child)
{
	json *out = NULL;

	/* found by address, so that the tree is changed through a pointer that may change it */
	for (json *j = parent->child; j && !out; j = j->next)
		if (j == child)
			out = cJSON_DetachItemViaPointer(parent, j);
	assert(out);
	if (!(out->type & cJSON_StringIsConst))
		free(out->string);
	out->string = NULL;
	return out;
}

void json_append(json *array, json *value)
{
	cJSON_AddItemToArray(array, value);
}

void json_append_str(json *array, const char *s)
{
	json_append(array, json_new_str(s));
}

void json_merge(json **target, const json *patch) /* NOLINT(misc-no-recursion): depth bounded */
{
	if (!cJSON_IsObject(patch)) {
		json_free(*target);
		*target = json_copy(patch);
		return;
	}
	if (!cJSON_IsObject(*target)) {
		json_free(*target);
		*target = json_new_object();
	}
	json_each(member, patch)
	{
		json *old, *v;

		if (cJSON_IsNull(member)) {
			json_remove(*target, member->string);
			continue;
		}
		old = json_get_mut(*target, member->string);
		v = old ? cJSON_DetachItemViaPointer(*target, old) : NULL;
		json_merge(&v, member);
		json_set(*target, member->string, v);
	}
}
