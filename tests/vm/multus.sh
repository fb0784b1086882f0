#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The plugin multus in a kernel that has ipvlan: pods with one network and with several, by the file
# that the agent keeps for the runtime, as a runtime calls it; the agent's objects are in a directory.
# Prints TAP.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"

work=/run/multus-test
store=$work/store
mkdir -p "$work"
agent=
# shellcheck source=tests/vm/ok.sh
. "$here/ok.sh"

# shellcheck disable=SC2317 # called by the trap
finish() {
	[ -z "$agent" ] || kill "$agent" 2>/dev/null
	fabric_down
}
trap finish EXIT
trap 'exit 130' INT TERM

ctl() { "$SPIDERBOX" ctl "$@" --store "dir:$store"; }

# --- networks and pods

# ipvlan NAME MASTER [POOL]: a list as the guide has it; with a pool, a second interface's, without coordinator
ipvlan() {
	if [ $# = 2 ]; then
		printf '{"cniVersion":"0.3.1","name":"%s","plugins":[{"type":"ipvlan","master":"%s","mtu":0,"ipam":{"type":"spiderpool"}},{"txQueueLen":0,"tunePodRoutes":true,"mode":"auto","type":"coordinator"}]}' "$1" "$2"
	else
		printf '{"cniVersion":"1.0.0","name":"%s","plugins":[{"type":"ipvlan","master":"%s","ipam":{"type":"spiderpool","default_ipv4_ippool":["%s"],"clean_gateway":true}}]}' "$1" "$2" "$3"
	fi
}
# definition NAMESPACE NAME CONFIG
definition() {
	jq -n --arg ns "$1" --arg name "$2" --arg config "$3" '{apiVersion: "k8s.cni.cncf.io/v1", kind: "NetworkAttachmentDefinition",
		metadata: {name: $name, namespace: $ns}, spec: {config: $config}}'
}
# Another program's plugin: one end of a veth pair with the address and the MAC that the pod asks for.
stranger() {
	cat <<'SH'
#!/bin/sh
conf=$(cat)
echo "$CNI_COMMAND $CNI_IFNAME" >>/run/multus-test/asked
say() { printf %s "$conf" | jq -r "$1"; }
case $CNI_COMMAND in
ADD)
	[ "$(say .fail)" = null ] || { echo '{"code":101,"msg":"not today"}'; exit 1; }
	ip netns exec "${CNI_NETNS##*/}" ip link add "$CNI_IFNAME" type veth peer name "p$CNI_IFNAME" || exit 1
	mac=$(say '.runtimeConfig.mac // "02:00:00:00:00:77"')
	address=$(say '.runtimeConfig.ips[0] // "10.77.0.2/24"')
	ip -n "${CNI_NETNS##*/}" link set "$CNI_IFNAME" address "$mac" up
	ip -n "${CNI_NETNS##*/}" link set "p$CNI_IFNAME" up
	ip -n "${CNI_NETNS##*/}" address add "$address" dev "$CNI_IFNAME"
	printf %s "$conf" | jq -c --arg name "$CNI_IFNAME" --arg mac "$mac" --arg sandbox "$CNI_NETNS" --arg address "$address" \
		'{cniVersion, interfaces: [{name: $name, mac: $mac, sandbox: $sandbox}], ips: [{interface: 0, address: $address}]}'
	;;
DEL) ip -n "${CNI_NETNS##*/}" link del "$CNI_IFNAME" 2>/dev/null || true ;;
esac
SH
}

# What the reference macvlan does with host-local: the range's addresses in their order.
macvlan() {
	cat <<'SH'
#!/bin/sh
conf=$(cat)
say() { printf %s "$conf" | jq -r "$1"; }
pod=${CNI_NETNS##*/}
case $CNI_COMMAND in
ADD)
	taken=/run/multus-test/host-local.$(say .name)
	first=$(say '.ipam | (.ranges[0][0] // .).rangeStart')
	gateway=$(say '.ipam | (.ranges[0][0] // .).gateway // ""')
	echo "$CNI_IFNAME" >>"$taken"
	address=${first%.*}.$((${first##*.} + $(wc -l <"$taken") - 1))/$(say '.ipam | (.ranges[0][0] // .).subnet | split("/")[1]')
	ip link add link "$(say .master)" name "$CNI_IFNAME" netns "$pod" type macvlan mode "$(say .mode)" || exit 1
	ip -n "$pod" link set "$CNI_IFNAME" up
	ip -n "$pod" address add "$address" dev "$CNI_IFNAME"
	[ "$(say '.ipam.routes[0].dst')" != 0.0.0.0/0 ] || ip -n "$pod" route add default via "$gateway" dev "$CNI_IFNAME" 2>/dev/null
	printf %s "$conf" | jq -c --arg name "$CNI_IFNAME" --arg mac "$(ip -n "$pod" -j link show dev "$CNI_IFNAME" | jq -r '.[0].address')" \
		--arg sandbox "$CNI_NETNS" --arg address "$address" --arg gateway "$gateway" '{cniVersion, interfaces: [{name: $name, mac: $mac, sandbox: $sandbox}],
		ips: [{version: "4", interface: 0, address: $address} + if $gateway == "" then {} else {gateway: $gateway} end]} +
		if .ipam.routes then {routes: .ipam.routes} else {} end'
	;;
DEL) ip -n "$pod" link del "$CNI_IFNAME" 2>/dev/null || true ;;
esac
SH
}

# pod NAME ANNOTATIONS: an object, and a namespace
pod() {
	jq -n --arg name "$1" --argjson annotations "$2" '{apiVersion: "v1", kind: "Pod",
		metadata: {name: $name, namespace: "default", annotations: $annotations}, spec: {nodeName: "master", containers: []}}' |
		ctl apply -f - >"$work/apply" || cat "$work/apply"
	pod_new "$1"
}
cid() {
	printf %s "$1" | sha256sum | cut -c1-64
}
# runtime COMMAND POD [NETNS]: what it prints, and its status
runtime() {
	runtime_uid=$(ctl get pod "$2" -n default -o json 2>/dev/null | jq -r .metadata.uid)
	on master env CNI_COMMAND="$1" CNI_CONTAINERID="$(cid "$2")" CNI_NETNS="${3-$(pod_netns "$2")}" CNI_IFNAME=eth0 \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$2;K8S_POD_INFRA_CONTAINER_ID=$(cid "$2");K8S_POD_UID=$runtime_uid" \
		CNI_PATH=/opt/cni/bin /opt/cni/bin/multus <"$conf"
}
add() { runtime ADD "$1" >"$work/$1.result" || {
	cat "$work/$1.result"
	return 1
}; }
del() { runtime DEL "$@"; }
# with JQ COMMAND...: the command with a changed file
with() {
	with_conf=$conf
	jq "$1" "$conf" >"$work/with"
	shift
	conf=$work/with
	with_status=0
	"$@" || with_status=$?
	conf=$with_conf
	return "$with_status"
}
# The interfaces of the pod and their addresses.
interfaces() {
	ip -n "$1" -4 -o address show | awk '$2 != "lo" { print $2, $4 }'
}
status_of() {
	ctl get pod "$1" -n default -o json | jq -r '.metadata.annotations["k8s.v1.cni.cncf.io/network-status"] // ""'
}
status_is() {
	[ "$(status_of "$1")" = "$2" ] || {
		status_of "$1"
		return 1
	}
}
mac_of() { ip -n "$1" -j link show dev "$2" | jq -r '.[0].address'; }

# Everything of the node that a pod may leave traces in.
node_state() {
	on master sh -c 'ip -o -d link | sed "s/ qlen [0-9]*//; s/^[0-9]*: //"; ip -4 route show table all; ip rule; ip neigh show nud permanent
		nft list ruleset; find /var/lib/cni /var/lib/spidernet -type f ! -name rounds.json' | sort
}
pool_count() {
	ctl get sp "$1" -o json | jq -r '.status.allocatedIPCount // 0'
}
pools_are() {
	got="$(pool_count master-172) $(pool_count master-192)"
	echo "$got, wanted $1"
	[ "$got" = "$1" ]
}

# --- start

fabric_up || exit 1
mkdir -p "$store"
# the guide's, but for the addresses that "second" has
sed 's/192\.168\.0\.156-192\.168\.0\.160/192.168.0.156/' "$here/../data/walkthrough/20-ippools.yaml" | ctl apply -f - >"$work/pools" || cat "$work/pools"
{
	definition kube-system ipvlan-eth0 "$(ipvlan ipvlan-eth0 eth0)"
	echo ---
	definition kube-system ipvlan-eth1 "$(ipvlan ipvlan-eth1 eth1)"
	echo ---
	definition default second "$(ipvlan second eth1 second)"
	echo ---
	definition default strange '{"cniVersion":"0.4.0","type":"stranger","capabilities":{"ips":true,"mac":true}}'
	echo ---
	definition default broken '{"cniVersion":"0.4.0","name":"broken","type":"stranger","fail":true}'
	echo ---
	definition default file-only ''
	echo ---
	cat <<-'YAML'
		apiVersion: spiderpool.spidernet.io/v2beta1
		kind: SpiderIPPool
		metadata: {name: second}
		spec: {subnet: 192.168.0.0/24, ips: [192.168.0.157-192.168.0.158], gateway: 192.168.0.253, nodeName: [master], multusName: [default/second]}
	YAML
} | ctl apply -f - >"$work/apply" || cat "$work/apply"

on master mkdir -p /etc/cni/net.d
on master "$SPIDERBOX" ctl install --bin-dir /opt/cni/bin --conf-dir /etc/cni/net.d >"$work/install" 2>&1 || cat "$work/install"
stranger >"$(node_dir master /opt/cni/bin/stranger)"
chmod +x "$(node_dir master /opt/cni/bin/stranger)"
start_agent() {
	exec_on master "$SPIDERBOX" agent --store "dir:$store" --node master --default-network kube-system/ipvlan-eth0 \
		--service-cidr 10.233.0.0/18 --health-addr '' --multus-conf-dir /etc/cni/net.d >>"$VM_OUT/agent.log" 2>&1 &
	agent=$!
	await on master test -S /var/run/spidernet/spiderpool.sock
}
stop_agent() {
	kill "$agent"
	wait "$agent" 2>/dev/null
	agent=
}
start_agent
conf=$(node_dir master /etc/cni/net.d/00-multus.conf)
ok 'the agent writes 00-multus.conf' await test -e "$conf"
same 'what stands in it' 'multus /etc/cni/net.d/ ipvlan-eth0 kube-system /var/run/spidernet/spiderpool.sock' \
	"$(jq -r '"\(.type) \(.confDir) \(.clusterNetwork) \(.multusNamespace) \(.agentSocket)"' "$conf")"
rm "$conf"
ok 'it comes back' await test -e "$conf"
node_state >"$work/state.before"

# --- one network

pod a '{"v1.multus-cni.io/default-network": "kube-system/ipvlan-eth1"}'
ok 'ADD: the network of the annotation default-network' add a
same 'its result is the pod'"'"'s, in the version of the file' "0.3.1 eth0 4 $(pod_netns a)" \
	"$(jq -r '"\(.cniVersion) \(.interfaces[0].name) \(.ips[0].version) \(.interfaces[0].sandbox)"' "$work/a.result")"
a=$(jq -r '.ips[0].address' "$work/a.result")
same 'the interfaces of the pod' "eth0 $a" "$(interfaces a)"
ok 'its address is of the network'"'"'s pool' pools_are '0 1'
ok 'node -> pod' on master ping -n -q -c 1 -W 2 "${a%/*}"
ok 'pod -> node' in_pod a ping -n -q -c 1 -W 2 172.31.199.183
ok 'network-status, as Multus writes it' await status_is a '[{
    "name": "kube-system/ipvlan-eth1",
    "interface": "eth0",
    "ips": [
        "'"${a%/*}"'"
    ],
    "mac": "00:16:3e:00:00:02",
    "default": true,
    "dns": {},
    "gateway": [
        "192.168.0.253"
    ]
}]'
pod b '{}'
ok 'ADD: clusterNetwork' add b
same 'its network' 1 "$(pool_count master-172)"
ok 'DEL' del a
ok 'DEL' del b
ok 'DEL again' del b
ok 'the addresses are free' await pools_are '0 0'
pod_del a
pod_del b
node_state >"$work/state.after"
ok 'links, routes, rules, nf_tables and files are as before' diff -u "$work/state.before" "$work/state.after"

# --- several networks

pod c '{"k8s.v1.cni.cncf.io/networks": "second@lan1, default/strange"}'
ok 'ADD: two more networks, one with an interface name' add c
c0=$(jq -r '.ips[0].address' "$work/c.result")
c1=$(interfaces c | awk '$1 == "lan1" { print $2 }')
same 'the interfaces of the pod' "eth0 $c0
lan1 $c1
net2 10.77.0.2/24" "$(interfaces c)"
same 'the second is of its own network'"'"'s pool' 1 "$(pool_count second)"
same 'the default route stays the first network'"'"'s' 'default via 172.31.207.253 dev eth0 ' "$(ip -n c route show default)"
ok 'network-status of three' await status_is c '[{
    "name": "kube-system/ipvlan-eth0",
    "interface": "eth0",
    "ips": [
        "'"${c0%/*}"'"
    ],
    "mac": "00:16:3e:00:00:01",
    "default": true,
    "dns": {},
    "gateway": [
        "172.31.207.253"
    ]
},{
    "name": "default/second",
    "interface": "lan1",
    "ips": [
        "'"${c1%/*}"'"
    ],
    "mac": "00:16:3e:00:00:02",
    "dns": {}
},{
    "name": "default/strange",
    "interface": "net2",
    "ips": [
        "10.77.0.2"
    ],
    "mac": "02:00:00:00:00:77",
    "dns": {}
}]'
ok 'CHECK' with '.cniVersion = "1.0.0"' runtime CHECK c
ip -n c address del "$c1" dev lan1
lacks() {
	! with '.cniVersion = "1.0.0"' runtime CHECK c >"$work/lacks" || return 1
	cat "$work/lacks"
	jq -r .msg "$work/lacks" | grep -F "network default/second, interface lan1: plugin ipvlan: interface lan1 in the pod lacks address $c1"
}
ok 'CHECK of a network that lost its address' lacks
ok 'STATUS' with '.cniVersion = "1.1.0"' runtime STATUS c
ok 'DEL' del c
same 'no interface is left' '' "$(interfaces c)"
pod_del c

# --- requests: the JSON form

pod d '{"k8s.v1.cni.cncf.io/networks": "[{\"name\": \"strange\", \"ips\": [\"10.77.0.9/24\"], \"mac\": \"02:23:45:67:89:01\", \"interface\": \"req0\", \"default-route\": [\"10.77.0.1\"]}]"}'
ok 'ADD: ips, mac, interface, default-route' add d
same 'address and MAC' 'req0 10.77.0.9/24 02:23:45:67:89:01' "$(interfaces d | grep ^req0) $(mac_of d req0)"
same 'the default route' 'default via 10.77.0.1 dev req0 ' "$(ip -n d route show default)"
# shellcheck disable=SC2016 # expanded by the inner shell
ok 'the status knows' await sh -c '"$0" ctl get pod d -n default -o json --store "dir:$1" |
	jq -re ".metadata.annotations[\"k8s.v1.cni.cncf.io/network-status\"]" | jq -c "[.[] | .gateway]" | grep -x "\[null,\[\"10.77.0.1\"\]\]"' "$SPIDERBOX" "$store"
ok 'DEL' del d
pod_del d

# --- default-route, with the coordinator's tables

pod q '{"k8s.v1.cni.cncf.io/networks": "[{\"name\":\"ipvlan-eth1\",\"namespace\":\"kube-system\",\"default-route\":[\"192.168.0.253\"]}]"}'
ok 'ADD: default-route by a network that the coordinator tunes' add q
q0=$(interfaces q | awk '$1 == "eth0" { print $2 }')
q1=$(interfaces q | awk '$1 == "net1" { print $2 }')
same 'the default route' 'default via 192.168.0.253 dev net1 ' "$(ip -n q route show default)"
same 'that of the first network is in its own table' 'default via 172.31.207.253 dev eth0 ' "$(ip -n q route show default table 101)"
q_spoofed=$(spoofed)
ok 'the first address answers' outside ping -n -q -c 1 -W 2 "${q0%/*}"
ok 'so does the second' outside ping -n -q -c 1 -W 2 "${q1%/*}"
ok 'and the pod asks' in_pod q ping -n -q -c 1 -W 2 "$client_ip"
same 'no frame had a sender that is not its card'"'"'s' "$q_spoofed" "$(spoofed)"
ok 'CHECK' with '.cniVersion = "1.0.0"' runtime CHECK q
ok 'DEL' del q
pod_del q

# --- networks of the configuration, before the pod's

pod r '{"k8s.v1.cni.cncf.io/networks": "kube-system/ipvlan-eth1"}'
ok 'ADD: a network of defaultNetworks, and one of the annotation' with '.defaultNetworks = ["default/second"]' add r
same 'each has an address of its own pool' '1 1 1' "$(pool_count master-172) $(pool_count second) $(pool_count master-192)"
same 'and its interface' 'net1 192.168.0.second/24
net2 192.168.0.156/24' "$(interfaces r | grep ^net | sed 's/\.15[78]/.second/')"
ok 'DEL' del r
pod_del r

# --- networks of files

on master sh -c 'echo "{" >/etc/cni/net.d/50-broken.conf; echo "{\"cniVersion\":\"0.4.0\",\"name\":\"file-only\",\"type\":\"stranger\"}" >/etc/cni/net.d/60-file.conf'
pod e '{"k8s.v1.cni.cncf.io/networks": "file-only"}'
ok 'ADD: a definition without configuration means the file, whatever else is in the folder' add e
same 'it is there' 'net1 10.77.0.2/24' "$(interfaces e | grep ^net1)"
ok 'DEL' del e
pod_del e
on master rm /etc/cni/net.d/50-broken.conf /etc/cni/net.d/60-file.conf

# --- the examples of Multus's quickstart and usage guide

# range SUBNET FIRST LAST [GATEWAY]
range() {
	jq -nc --arg subnet "$1" --arg first "$2" --arg last "$3" --arg gateway "${4-}" '{type: "host-local", ranges: [[
		{subnet: $subnet, rangeStart: $first, rangeEnd: $last} + if $gateway == "" then {} else {gateway: $gateway} end]]}'
}
# conf_macvlan IPAM [NAME]
conf_macvlan() {
	jq -nc --argjson ipam "$1" --arg name "${2-}" '{cniVersion: "0.3.0", type: "macvlan", master: "eth1", mode: "bridge", ipam: $ipam} +
		if $name == "" then {} else {name: $name} end'
}
with_gateway='{"type":"host-local","subnet":"192.168.2.0/24","rangeStart":"192.168.2.200","rangeEnd":"192.168.2.216","routes":[{"dst":"0.0.0.0/0"}],"gateway":"192.168.2.1"}'
one=$(conf_macvlan "$(range 10.10.0.0/16 10.10.1.20 10.10.3.50 10.10.0.254)")
{
	definition default macvlan-conf-1 "$one"
	echo ---
	definition testns1 macvlan-conf-1 "$one"
	echo ---
	definition default macvlan-conf-2 ''
	echo ---
	definition testns1 macvlan-conf-3 "$(conf_macvlan "$(range 12.10.0.0/16 12.10.1.20 12.10.3.50)")"
	echo ---
	definition default macvlan-conf "$(conf_macvlan "$with_gateway")"
} | ctl apply -f - >"$work/apply" || cat "$work/apply"
on master mkdir -p /etc/cni/multus/net.d
conf_macvlan "$(range 11.10.0.0/16 11.10.1.20 11.10.3.50)" macvlan-conf-2 >"$(node_dir master /etc/cni/multus/net.d/macvlan2.conf)"
macvlan >"$(node_dir master /opt/cni/bin/macvlan)"
chmod +x "$(node_dir master /opt/cni/bin/macvlan)"

status_says() {
	[ "$(status_of "$1" | jq -r '.[] | "\(.name) \(.interface) \(.ips | join(",")) \(.default // false)"')" = "$2" ] || {
		status_of "$1"
		return 1
	}
}
# example POD NETWORKS [DEFINITION INTERFACE ADDRESS]...: what the pod gets, beside the cluster's network.  It stays.
example() {
	example=$1
	rm -f "$work"/host-local.*
	pod "$example" "$(jq -nc --arg networks "$2" '{"k8s.v1.cni.cncf.io/networks": $networks}')"
	ok "$example: ADD" with '.confDir = "/etc/cni/multus/net.d"' add "$example"
	first=$(jq -r '.ips[0].address' "$work/$example.result")
	interfaces="eth0 $first"
	statuses="kube-system/ipvlan-eth0 eth0 ${first%/*} true"
	shift 2
	while [ $# -gt 0 ]; do
		interfaces="$interfaces
$2 $3"
		statuses="$statuses
$1 $2 ${3%/*} false"
		shift 3
	done
	same "$example: the interfaces" "$interfaces" "$(interfaces "$example")"
	ok "$example: the status" await status_says "$example" "$statuses"
}
gone() {
	ok "$1: DEL" del "$1"
	same "$1: nothing is left" '' "$(interfaces "$1")"
	pod_del "$1"
}
one='default/macvlan-conf-1 net1 10.10.1.20/16'
two='default/macvlan-conf-2 net2 11.10.1.20/16'
# shellcheck disable=SC2086 # several words each
{
	example pod-case-01 'macvlan-conf-1, macvlan-conf-2' $one $two
	gone pod-case-01
	example pod-case-02 testns1/macvlan-conf-3 testns1/macvlan-conf-3 net1 12.10.1.20/16
	gone pod-case-02
	example pod-case-03 macvlan-conf-1@macvlan1 default/macvlan-conf-1 macvlan1 10.10.1.20/16
	gone pod-case-03
	example pod-case-04 '[ { "name" : "macvlan-conf-1" }, { "name" : "macvlan-conf-2" } ]' $one $two
	gone pod-case-04
	example pod-case-05 '[ { "name" : "macvlan-conf-1", "namespace": "testns1" } ]' testns1/macvlan-conf-1 net1 10.10.1.20/16
	gone pod-case-05
	example pod-case-06 '[ { "name" : "macvlan-conf-1", "interface": "macvlan1" }, { "name" : "macvlan-conf-2" } ]' \
		default/macvlan-conf-1 macvlan1 10.10.1.20/16 $two
	gone pod-case-06
}
example samplepod macvlan-conf default/macvlan-conf net1 192.168.2.200/24
same 'samplepod: the default route is the first network'"'"'s' 'default via 172.31.207.253 dev eth0 ' "$(ip -n samplepod route show default)"
gone samplepod
example samplepod2 macvlan-conf,macvlan-conf default/macvlan-conf net1 192.168.2.200/24 default/macvlan-conf net2 192.168.2.201/24
gone samplepod2
example samplepod3 '[{ "name": "macvlan-conf", "default-route": ["192.168.2.1"] }]' default/macvlan-conf net1 192.168.2.200/24
same 'samplepod3: the default route' 'default via 192.168.2.1 dev net1 ' "$(ip -n samplepod3 route show default)"
same 'samplepod3: the status has it where it is' '[null,["192.168.2.1"]]' "$(status_of samplepod3 | jq -c '[.[] | .gateway]')"
gone samplepod3
ok 'the addresses are free' await pools_are '0 0'
clean_node() {
	node_state >"$work/state.after"
	diff -u "$work/state.before" "$work/state.after"
}
ok 'links, routes, rules, nf_tables and files are as before' await clean_node

# --- what goes wrong

message_has() {
	jq -r .msg "$work/refused" | grep -F "$1" || {
		cat "$work/refused"
		return 1
	}
}
# refused DESCRIPTION POD TEXT: its ADD, with this in the error's message
refused() {
	if runtime ADD "$2" >"$work/refused" 2>"$work/refused.err"; then
		echo "not ok - $1: it succeeded"
		failed=1
	else
		ok "$1" message_has "$3"
	fi
}
# clean POD: without a DEL
clean() {
	[ -z "$(interfaces "$1")" ] || {
		interfaces "$1"
		return 1
	}
	node_state >"$work/state.after"
	diff -u "$work/state.before" "$work/state.after"
}
pod f '{"k8s.v1.cni.cncf.io/networks": "second,broken"}'
refused 'the third network fails' f '[default/f/'
same 'why' 'plugin stranger: not today' "$(jq -r .msg "$work/refused" | grep -o 'plugin stranger.*')"
ok 'what was there of the others is gone' clean f
ok 'their addresses are free' await pools_are '0 0'
same 'of the second too' 0 "$(pool_count second)"
ok 'DEL succeeds' del f
pod_del f
pod g '{"k8s.v1.cni.cncf.io/networks": "nobody"}'
refused 'a network that does not exist' g 'NetworkAttachmentDefinition default/nobody: there is none'
ok 'nothing was done' clean g
pod_del g
pod h '{"k8s.v1.cni.cncf.io/networks": "strange@eth0"}'
refused 'an interface name twice' h 'both want to be interface eth0'
pod_del h
pod i '{"k8s.v1.cni.cncf.io/networks": "kube-system/ipvlan-eth1"}'
with '.namespaceIsolation = true' refused 'namespaceIsolation' i 'may not use networks of namespace kube-system'
pod_del i

# --- GC: a container that the runtime has lost

pod k '{"k8s.v1.cni.cncf.io/networks": "strange"}'
pod l '{"k8s.v1.cni.cncf.io/networks": "strange"}'
ok 'ADD' add k
ok 'ADD' add l
collect() {
	with ".cniVersion = \"1.1.0\" | .[\"cni.dev/valid-attachments\"] = [{containerID: \"$(cid k)\", ifname: \"eth0\"}]" runtime GC k
}
ok 'GC' collect
same 'the interfaces of the living pod' 2 "$(interfaces k | grep -c 'eth0\|net1')"
same 'and of the other' '' "$(interfaces l)"
same 'what is kept' "$(cid k)" "$(on master ls /var/lib/cni/multus | grep -v results)"
ok 'DEL' del k
ok 'DEL of what was collected' del l
pod_del k
pod_del l
ok 'the addresses are free' await pools_are '0 0'

# --- a path of a pod's namespace that leads to the node's own by now

pod m '{"k8s.v1.cni.cncf.io/networks": "second,strange"}'
ok 'ADD' add m
pod_del m
on master ip link add link eth1 name net1 type ipvlan mode l2
same 'CHECK: no' 'CNI_NETNS /proc/self/ns/net is the network namespace that the plugin itself runs in' \
	"$(with '.cniVersion = "1.0.0"' runtime CHECK m /proc/self/ns/net | jq -r .msg)"
: >"$work/asked"
ok 'DEL' del m /proc/self/ns/net
same 'the stranger heard of it' 'DEL net2' "$(cat "$work/asked")"
ok 'an interface of the node by that name stays' on master ip link del net1
ok 'the addresses are free' await pools_are '0 0'
ok 'links, routes, rules, nf_tables and files are as before' await clean_node

# --- DEL when everything has gone

pod j '{"k8s.v1.cni.cncf.io/networks": "second,strange"}'
ok 'ADD' add j
cp "$conf" "$work/conf"
conf=$work/conf
stop_agent
ctl delete pod j -n default >"$work/delete" 2>&1
for name in second strange; do
	ctl delete nad "$name" -n default >"$work/delete" 2>&1
done
pod_del j
: >"$work/asked"
ok 'the agent has ended' not pgrep -f 'spiderbox agent '
ok 'DEL: no pod, no definition, no agent, no namespace' del j ''
same 'the stranger heard of it' 'DEL net2' "$(cat "$work/asked")"
same 'nothing is kept any more' '' "$(on master find /var/lib/cni -type f)"
start_agent
ok 'the agent frees the addresses when it is back' await pools_are '0 0'
# shellcheck disable=SC2016 # expanded by the inner shell
ok 'of the second network too' await sh -c '[ "$("$0" ctl get sp second -o json --store "dir:$1" | jq -r ".status.allocatedIPCount // 0")" = 0 ]' "$SPIDERBOX" "$store"
ok 'links, routes, rules, nf_tables and files are as before' await clean_node
[ "$failed" = 0 ]
