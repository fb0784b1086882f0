/* SPDX-License-Identifier: Apache-2.0 */
/* links: plugins/ifacer.c plugins/ifacer_conf.c plugins/ipvlan_conf.c plugins/ipvlan_port.c */
/* links: plugins/plugin_log.c cni/ net/ json/json.c base/ */
/* libs: cjson mnl */
/*
 * ifacer_test.c - the configuration of the ifacer plugin, what it refuses before it changes
 * anything, and what it answers.  What it makes needs VLANs and bonds: tests/vm/ifacer.sh.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/netns.h"
#include "plugins/ifacer.h"
#include "plugins/ifacer_conf.h"
#include "tests/unit/sandbox.h"

static struct err e;

static json *parse(const char *text)
{
	json *j = NULL;

	if (json_parse(text, strlen(text), 0, &j, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return j;
}

static void reads_what_a_controller_writes(void **state)
{
	AUTO_JSON *j =
		parse("{\"vlanID\":100,\"type\":\"ifacer\",\"interfaces\":[\"eth1\",\"eth2\"],"
	              "\"bond\":{\"name\":\"bond0\",\"mode\":1,\"options\":\"miimon=100\"}}");
	struct ifacer_conf c;

	(void)state;
	assert_int_equal(ifacer_conf_read(j, &c, &e), 0);
	assert_int_equal(c.n, 2);
	assert_string_equal(c.interfaces[1], "eth2");
	assert_string_equal(c.bond_name, "bond0");
	assert_string_equal(c.parent, "bond0");
	assert_string_equal(c.vlan_name, "bond0.100");
	assert_int_equal(c.bond.value[0], 1);
	assert_int_equal(c.bond.given, 3);
	assert_true(ifacer_conf_wants(&c));
}

/* What is provided, as "bond parent vlan", or the error. */
static void provides(const char *conf, const char *want)
{
	AUTO_JSON *j = parse(conf);
	AUTO_STR got = STR_INIT;
	struct ifacer_conf c;

	if (ifacer_conf_read(j, &c, &e) < 0) {
		assert_int_equal(e.kind, ERR_CONFIG);
		assert_int_equal(ifacer_conf_read(j, &c, NULL), -1);
		str_add(&got, e.msg);
	} else if (ifacer_conf_wants(&c)) {
		str_addf(&got, "%s %s %s", c.bond_name ? c.bond_name : "-", c.parent,
		         c.vlan ? c.vlan_name : "-");
	}
	assert_string_equal(got.data, want);
}

static void configurations(void **state)
{
	(void)state;
	provides("{\"interfaces\":[\"eth0\"]}", "");
	provides("{\"interfaces\":[\"eth0\"],\"vlanID\":0,\"bond\":{}}", "");
	provides("{\"interfaces\":[\"eth0\"],\"vlanID\":4094}", "- eth0 eth0.4094");
	/* a bond of one is that one */
	provides("{\"interfaces\":[\"eth0\"],\"vlanID\":5,\"bond\":{\"name\":\"b\"}}",
	         "- eth0 eth0.5");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"]}", "");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{}}", "sp_bond0 sp_bond0 -");
	provides(
		"{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"name\":\"\",\"mode\":\"802.3ad\"},"
		"\"vlanID\":7}",
		"sp_bond0 sp_bond0 sp_bond0.7");
	provides(
		"{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"mode\":1,"
		"\"options\":\"primary=eth1;active_slave=eth0\"}}",
		"sp_bond0 sp_bond0 -");

	provides("{}", "interfaces: none is given");
	provides("{\"interfaces\":[]}", "interfaces: none is given");
	provides("{\"interfaces\":\"eth0\"}", "interfaces: not an array");
	provides("{\"interfaces\":[\"\"]}", "interfaces: a name is empty");
	provides("{\"interfaces\":[\"a\",\"b\",\"a\"]}", "interfaces: a is given twice");
	provides(
		"{\"interfaces\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\","
		"\"k\","
		"\"l\",\"m\",\"n\",\"o\",\"p\",\"q\"]}",
		"interfaces: there are more than 16");
	provides("{\"interfaces\":[\"eth0\"],\"vlanID\":4095}",
	         "vlanID: 4095 is not between 0 and 4094");
	provides("{\"interfaces\":[\"eth0\"],\"vlanID\":-1}",
	         "vlanID: -1 is not between 0 and 4094");
	provides("{\"interfaces\":[\"eth0\"],\"vlanID\":\"5\"}", "vlanID: not a number");
	provides("{\"interfaces\":[\"twelve-bytes\"],\"vlanID\":4000}",
	         "the VLAN's name: \"twelve-bytes.4000\" is not an interface name");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"vlanID\":5}",
	         "bond: missing, and a VLAN cannot be made on 2 interfaces");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"name\":\"a/b\"}}",
	         "bond: name: \"a/b\" is not an interface name");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"mode\":7}}",
	         "bond: mode: \"7\" is not one of balance-rr active-backup balance-xor broadcast "
	         "802.3ad balance-tlb balance-alb, or 0 to 6");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"mode\":[]}}",
	         "bond: mode: not a number");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":[]}", "bond: not an object");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"options\":\"mode=1\"}}",
	         "bond: options: mode: given twice");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"options\":\"speed=1\"}}",
	         "bond: options: there is no bond option \"speed\"");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"options\":\"primary=eth2\"}}",
	         "bond: options: primary: eth2 is not one of interfaces");
	provides("{\"interfaces\":[\"eth0\",\"eth1\"],\"bond\":{\"options\":\"active_slave=x\"}}",
	         "bond: options: active_slave: x is not one of interfaces");
}

static void knows_its_keys(void **state)
{
	AUTO_JSON *all =
		parse("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"ifacer\","
	              "\"prevResult\":{},\"cni.dev/valid-attachments\":[],\"interfaces\":[],"
	              "\"vlanID\":0,\"bond\":{},\"logOptions\":{}}");
	AUTO_JSON *wrong = parse("{\"vlanId\":5}");
	AUTO_STR out = STR_INIT;

	(void)state;
	json_unknown(all, ifacer_conf_keys, &out);
	assert_string_equal(out.data, "");
	json_unknown(wrong, ifacer_conf_keys, &out);
	assert_string_equal(out.data, "\"vlanId\" (is \"vlanID\" meant?)");
}

/* The plugin, in namespaces of this process. */
static int group_setup(void **state)
{
	(void)state;
	leave_home();
	return 0;
}

static void shell(const char *command)
{
	if (system(command) != 0) /* NOLINT: in a namespace of the test's own */
		fail_msg("%s", command);
}

static int setup(void **state)
{
	(void)state;
	move_out();
	shell("ip link add eth1 type veth peer name peer1 && ip link add eth2 type veth peer name "
	      "peer2 && ip link set eth1 up && ip link set eth2 up && ip link set peer1 up && ip "
	      "link property add dev eth1 altname uplink");
	return 0;
}

/* One call; *out is the result of an ADD. */
static int call(enum cni_command command, const char *conf, json **out, int *code)
{
	AUTO_JSON *j = parse(conf);
	struct cni_call c = { .command = command,
		              .container_id = "abc123",
		              .netns = "",
		              .ifname = "eth0",
		              .args = "",
		              .path = "",
		              .version = CNI_0_3_1,
		              .deadline = mono_in(20000) };

	c.conf = j;
	c.prev_result = json_get(j, "prevResult");
	*code = 0;
	if (command == CNI_ADD)
		return ifacer_plugin.add(&c, out, code, &e);
	return command == CNI_CHECK ? ifacer_plugin.check(&c, code, &e)
	                            : ifacer_plugin.status(&c, code, &e);
}

static void refuses(enum cni_command command, const char *conf, int want_code, const char *message)
{
	json *out = NULL;
	int code;

	assert_int_equal(call(command, conf, &out, &code), -1);
	assert_null(out);
	assert_string_equal(e.msg, message);
	assert_int_equal(code ? code : cni_code_of(e.kind), want_code);
}

#define BOND "{\"interfaces\":[\"eth1\",\"eth2\"],\"bond\":{\"name\":\"bond9\",\"mode\":1}}"

static void refuses_what_would_cut_the_node_off(void **state)
{
	(void)state;
	shell("ip addr add 10.1.1.1/24 dev eth2");
	refuses(CNI_ADD, BOND, CNI_E_CONFIG,
	        "interface eth2 cannot become a member of bond bond9: it has address 10.1.1.1/24, "
	        "which would be lost");
	shell("ip addr del 10.1.1.1/24 dev eth2 && ip addr add fd00::1/64 dev eth2 nodad");
	refuses(CNI_STATUS, BOND, CNI_E_NOT_AVAILABLE,
	        "interface eth2 cannot become a member of bond bond9: it has address fd00::1/64, "
	        "which would be lost");
	shell("ip addr del fd00::1/64 dev eth2 && ip route add default dev eth1");
	refuses(CNI_ADD, BOND, CNI_E_CONFIG,
	        "interface eth1 cannot become a member of bond bond9: the node's default route "
	        "goes by it, and the node would be cut off; make the bond with the node's own "
	        "network configuration");
	shell("ip route del default && ip -6 route add default dev eth1");
	refuses(CNI_ADD, BOND, CNI_E_CONFIG,
	        "interface eth1 cannot become a member of bond bond9: the node's default route "
	        "goes by it, and the node would be cut off; make the bond with the node's own "
	        "network configuration");
	shell("ip -6 route del default && ip link add br0 type bridge && ip link set eth2 master "
	      "br0");
	refuses(CNI_ADD, BOND, CNI_E_CONFIG,
	        "interface eth2 cannot become a member of bond bond9: it is a member of br0");
	shell("ip link set eth2 nomaster && ip "
	      "link add over link eth1 type macvlan");
	refuses(CNI_ADD, BOND, CNI_E_CONFIG,
	        "interface eth1 cannot become a member of bond bond9: interface over is on it");
	/* nothing was touched */
	shell("ip link show eth1 up | grep -q eth1 && ip link show eth2 up | grep -q eth2");
}

static void refuses_what_is_not_there(void **state)
{
	(void)state;
	refuses(CNI_ADD, "{\"interfaces\":[\"eth7\"],\"vlanID\":5}", CNI_E_GENERIC,
	        "interface \"eth7\": there is none on this node");
	refuses(CNI_CHECK, "{\"interfaces\":[\"eth1\"],\"vlanID\":5}", CNI_E_GENERIC,
	        "interface \"eth1.5\": there is none on this node");
	refuses(CNI_CHECK, BOND, CNI_E_GENERIC, "interface \"bond9\": there is none on this node");
	refuses(CNI_STATUS, "{\"interfaces\":[\"eth1\",\"eth8\"],\"bond\":{}}", CNI_E_NOT_AVAILABLE,
	        "interface \"eth8\": there is none on this node");
	refuses(CNI_ADD, "{\"interfaces\":[\"eth1\",\"uplink\"],\"bond\":{}}", CNI_E_CONFIG,
	        "interfaces: eth1 and uplink are the same one");
	refuses(CNI_ADD, "{\"interfaces\":[]}", CNI_E_CONFIG,
	        "ifacer configuration: interfaces: none is given");
}

static void refuses_what_is_something_else(void **state)
{
	(void)state;
	shell("ip link add bond9 type bridge && ip link add eth1.5 type bridge");
	refuses(CNI_ADD, BOND, CNI_E_GENERIC, "interface bond9 is there already, and is no bond");
	refuses(CNI_CHECK, BOND, CNI_E_GENERIC, "interface bond9 is there already, and is no bond");
	refuses(CNI_ADD, "{\"interfaces\":[\"eth1\"],\"vlanID\":5}", CNI_E_GENERIC,
	        "interface eth1.5 is there already, and is no VLAN");
}

static void passes_on_what_came_before(void **state)
{
	AUTO_JSON *first = NULL, *later = NULL;
	AUTO_STR text = STR_INIT;
	int code;

	(void)state;
	assert_int_equal(call(CNI_ADD, "{\"interfaces\":[\"eth7\"]}", &first, &code), 0);
	json_print(first, &text);
	assert_string_equal(text.data, "{\"cniVersion\":\"0.3.1\",\"dns\":{}}");
	assert_int_equal(call(CNI_ADD,
	                      "{\"interfaces\":[\"eth7\"],\"prevResult\":{\"cniVersion\":\"1.0.0\","
	                      "\"ips\":[{\"address\":\"10.0.0.5/24\"}],\"other\":[1]}}",
	                      &later, &code),
	                 0);
	str_reset(&text, 0);
	json_print(later, &text);
	assert_string_equal(text.data,
	                    "{\"cniVersion\":\"0.3.1\",\"ips\":[{\"address\":\"10.0.0.5/24\"}],"
	                    "\"other\":[1]}");
	assert_int_equal(call(CNI_CHECK, "{\"interfaces\":[\"eth7\"]}", NULL, &code), 0);
	assert_int_equal(call(CNI_STATUS, "{\"interfaces\":[\"eth7\"]}", NULL, &code), 0);
	assert_null(ifacer_plugin.del);
	assert_null(ifacer_plugin.gc);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_a_controller_writes),
		cmocka_unit_test(configurations),
		cmocka_unit_test(knows_its_keys),
		T(refuses_what_would_cut_the_node_off),
		T(refuses_what_is_not_there),
		T(refuses_what_is_something_else),
		T(passes_on_what_came_before),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
