/* SPDX-License-Identifier: Apache-2.0 */
/* links: agent/coordinator.c json/json.c net/ip.c base/ */
/* libs: cjson */
/*
 * coordinator_file_test.c - the file from which plugins know the data path's configuration while
 * the agent is away: when it is written, and when the older one stays.  Store and informer are
 * played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/coordinator.h"
#include "agent/informer.h"
#include "base/file.h"

#define SYNCED                                                                                     \
	",\"status\":{\"phase\":\"Synced\",\"overlayPodCIDR\":[],\"serviceCIDR\":[\"10.1.0.0/"     \
	"16\"]}}"

static const struct informer_ops *ops;
static void *ops_ctx;
static const char *services; /* ServiceCIDRs as the API server has them, NULL: does not answer */
static bool is_dir;
static char folder[64], *path;
static struct coordinator *coordinator;
static struct coordinator_options options;
static struct err e;

int informer_start(struct store *s, enum store_kind k, const char *labels, const char *fields,
                   const struct informer_ops *o, void *ctx, struct informer **out, struct err *err)
{
	(void)s;
	(void)k;
	(void)labels;
	(void)fields;
	(void)err;
	ops = o;
	ops_ctx = ctx;
	*out = NULL;
	return 0;
}

void informer_stop(struct informer *i)
{
	(void)i;
}

int store_list(struct store *s, enum store_kind k, const char *ns, const struct k8s_selector *sel,
               json **out, char **version, struct mono deadline, struct err *err)
{
	(void)s;
	(void)k;
	(void)ns;
	(void)sel;
	(void)out;
	(void)version;
	(void)deadline;
	return err_set(err, ERR_TIMEOUT, "not asked in this test");
}

int store_get_raw(struct store *s, const char *what, struct str *out, struct mono deadline,
                  struct err *err)
{
	(void)s;
	(void)what;
	(void)deadline;
	if (!services)
		return err_set(err, ERR_TIMEOUT, "as told");
	str_add(out, services);
	return 0;
}

bool store_is_dir(const struct store *s)
{
	(void)s;
	return is_dir;
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/coordinator_file_test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	path = xasprintf("%s/coordinator.json", folder);
	options = (struct coordinator_options){ .service_cidr = "10.96.0.0/12" };
	services = NULL;
	is_dir = false;
	if (coordinator_start(NULL, &options, folder, &coordinator, &e) < 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	coordinator_stop(coordinator);
	unlink(path);
	free(path);
	return rmdir(folder);
}

static void list(const char *text)
{
	AUTO_JSON *items = NULL;

	assert_int_equal(json_parse(text, strlen(text), 0, &items, &e), 0);
	ops->listed(ops_ctx, items);
}

static void ask(void)
{
	json_free(coordinator_config(coordinator, "net7"));
}

static void write_older(void)
{
	assert_int_equal(file_write(path, "older", 5, 0644, 0, &e), 0);
}

/* What stands in the file, as far as it differs from object to object. */
static void file_is(const char *mode, const char *cidr)
{
	AUTO_STR text = STR_INIT;
	AUTO_JSON *j = NULL;

	assert_int_equal(file_read(path, 4096, &text, &e), 0);
	assert_int_equal(json_parse(text.data, text.len, 0, &j, &e), 0);
	assert_string_equal(json_str_at(j, "mode", NULL), mode);
	assert_string_equal(json_text(json_first(json_get(j, "serviceCIDR"))), cidr);
	assert_null(json_get(j, "podDefaultRouteNIC"));
}

static void file_is_older(void)
{
	AUTO_STR text = STR_INIT;

	assert_int_equal(file_read(path, 4096, &text, &e), 0);
	assert_string_equal(text.data, "older");
}

static void is_written_when_it_changes(void **state)
{
	struct stat before, after;

	(void)state;
	list("[]");
	file_is("auto", "10.96.0.0/12");
	list("[{\"metadata\":{\"name\":\"default\"},\"spec\":{\"mode\":\"underlay\"}" SYNCED "]");
	file_is("underlay", "10.1.0.0/16");
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0644);
	list("[{\"metadata\":{\"name\":\"default\"},\"spec\":{\"mode\":\"underlay\"}" SYNCED "]");
	ask();
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	list("[]");
	file_is("auto", "10.96.0.0/12");
}

static void stays_until_something_is_heard(void **state)
{
	(void)state;
	write_older();
	ask();
	file_is_older();
	list("[]");
	file_is("auto", "10.96.0.0/12");
}

static void stays_while_the_object_is_not_reconciled(void **state)
{
	(void)state;
	write_older();
	list("[{\"metadata\":{\"name\":\"default\"},\"spec\":{},\"status\":{\"phase\":\"NotReady\"}"
	     "}]");
	ask();
	file_is_older();
	list("[{\"metadata\":{\"name\":\"default\"},\"spec\":{}" SYNCED "]");
	file_is("auto", "10.1.0.0/16");
}

static void stays_until_services_are_known(void **state)
{
	(void)state;
	options.service_cidr = NULL;
	write_older();
	list("[]");
	ask();
	file_is_older();
	/* an object says it as well */
	list("[{\"metadata\":{\"name\":\"default\"},\"spec\":{}" SYNCED "]");
	file_is("auto", "10.1.0.0/16");
}

static void services_come_from_the_api_server(void **state)
{
	(void)state;
	options.service_cidr = NULL;
	services = "{\"items\":[{\"spec\":{\"cidrs\":[\"10.3.0.0/16\"]}}]}";
	list("[]");
	file_is("auto", "10.3.0.0/16");
}

static void a_folder_that_is_gone_harms_nobody(void **state)
{
	(void)state;
	assert_int_equal(rmdir(folder), 0);
	list("[]");
	ask();
	assert_int_equal(mkdir(folder, 0700), 0);
	ask();
	file_is("auto", "10.96.0.0/12");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(is_written_when_it_changes),
		TEST(stays_until_something_is_heard),
		TEST(stays_while_the_object_is_not_reconciled),
		TEST(stays_until_services_are_known),
		TEST(services_come_from_the_api_server),
		TEST(a_folder_that_is_gone_harms_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
