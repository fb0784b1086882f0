/* SPDX-License-Identifier: Apache-2.0 */
/* links: json/ base/str.c base/err.c base/mem.c */
/* libs: cjson yaml */
/*
 * yaml_fuzz.c - JSON and YAML texts.  What was read is printed and read again without a change; the
 * printed text is YAML too, and the same tree; patching twice changes no more than patching once.
 */
#include "tests/fuzz/json.h"
#include "json/yaml.h"

/* By all ways that lead from a tree to text and back. */
static void check_tree(const json *j)
{
	AUTO_STR text = STR_INIT, pretty = STR_INIT;
	AUTO_JSON *again = NULL, *yaml = NULL, *from_pretty = NULL, *copy = json_copy(j);
	struct err e = { .kind = ERR_NONE };

	json_print(j, &text);
	json_print_pretty(j, &pretty);
	must(!memchr(text.data, '\n', text.len));
	must(json_parse(text.data, text.len, 0, &again, &e) == 0);
	must(json_parse(pretty.data, pretty.len, 0, &from_pretty, &e) == 0);
	must_print_alike(j, again);
	must_print_alike(j, from_pretty);
	must_print_alike(j, copy);
	/* a document that is text alone may look like another type, and names may stand twice */
	if ((json_is_object(j) || json_is_array(j)) &&
	    yaml_parse(text.data, text.len, &yaml, &e) == 0)
		must_print_alike(j, yaml);
}

static void check_patch(const json *j, const json *patch)
{
	json *once = json_copy(j), *twice;

	json_merge(&once, patch);
	twice = json_copy(once);
	json_merge(&twice, patch);
	must_print_alike(once, twice);
	json_free(once);
	json_free(twice);
}

static void check_json(const char *text, size_t len)
{
	AUTO_JSON *j = NULL, *unique = NULL;
	struct err e = { .kind = ERR_NONE };

	if (json_parse(text, len, 0, &j, &e) < 0) {
		must(!j && e.kind == ERR_PROTO);
		must_tell(&e);
		must(json_parse(text, len, JSON_UNIQUE, &unique, &e) < 0 && !unique);
		return;
	}
	check_tree(j);
	if (json_parse(text, len, JSON_UNIQUE, &unique, &e) < 0)
		return;
	must_print_alike(j, unique);
	/* each member stands where its name finds it */
	json_each(m, j)
	{
		must(!json_is_object(j) || json_get(j, json_name(m)) == m);
	}
	if (json_is_array(j) && json_count(j) == 2)
		check_patch(json_first(j), json_next(json_first(j)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	AUTO_FREE char *text = fuzz_rest(&in);
	AUTO_JSON *documents = NULL;
	struct err e = { .kind = ERR_NONE };

	check_json(text, in.left);
	if (yaml_parse_all(text, in.left, &documents, &e) < 0) {
		must(!documents && (e.kind == ERR_CONFIG || e.kind == ERR_SYS));
		must_tell(&e);
		return 0;
	}
	must(json_is_array(documents) && json_count(documents) <= YAML_DOCUMENTS_MAX);
	json_each(j, documents)
	{
		check_tree(j);
	}
	return 0;
}
