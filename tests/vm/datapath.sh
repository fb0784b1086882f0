#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The plugins ipvlan and coordinator in a kernel that has ipvlan: what they make, that traffic flows
# by it, and that they leave nothing behind.  Addresses come from a delegate that gives what the
# configuration says, so no agent is needed.  Prints TAP.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"
# shellcheck source=tests/vm/chain.sh
. "$here/chain.sh"

work=/run/datapath
CHAIN_CACHE=$work/cache
mkdir -p "$work" "$CHAIN_CACHE"
servers=
# shellcheck source=tests/vm/ok.sh
. "$here/ok.sh"

# shellcheck disable=SC2317 # called by the trap
finish() {
	for pid in $servers; do
		kill "$pid" 2>/dev/null
	done
	fabric_down
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- the delegate, and configurations

# Gives ipam.address and ipam.gateway, or ipam.says; fails in the command ipam.fail; writes down what it was asked.
delegate() {
	cat <<'SH'
#!/bin/sh
conf=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID" >>/run/datapath/asked
if [ "$(printf %s "$conf" | jq -r .ipam.fail)" = "$CNI_COMMAND" ]; then
	echo '{"code":101,"msg":"no address left","details":"in the pool of the test"}'
	exit 1
fi
[ "$CNI_COMMAND" = ADD ] || exit 0
[ "$(printf %s "$conf" | jq -r .ipam.says)" = null ] || { printf %s "$conf" | jq -r .ipam.says; exit 0; }
printf %s "$conf" | jq -c '{cniVersion, ips: [.ipam.address // empty | {version: "4", address: .}
	+ (if $c.ipam.gateway then {gateway: $c.ipam.gateway} else {} end)],
	routes: ($c.ipam.routes // [{dst: "0.0.0.0/0"}]), dns: {nameservers: ["10.233.0.10"]}}' --argjson c "$conf"
SH
}

all_keys='"overlayPodCIDR":[],"serviceCIDR":["10.233.0.0/18"],"hijackCIDR":["169.254.0.0/16"],"policyRoutes":[],
	"podMACPrefix":"","tunePodRoutes":true,"podDefaultRouteNic":"","vethLinkAddress":"","vethMTU":1500,
	"hostRuleTable":500,"podRPFilter":0,"txQueueLen":0'

# network VERSION MASTER ADDRESS GATEWAY [COORDINATOR-KEYS [IPVLAN-KEYS]]: a list; "" instead of keys: none
network() {
	printf '{"cniVersion":"%s","name":"test-%s","plugins":[{"type":"ipvlan","master":"%s","mtu":0%s,"ipam":{"type":"fixed","address":"%s","gateway":"%s"}},{"type":"coordinator","mode":"auto",%s%s}]}' \
		"$1" "$2" "$2" "${6:+,$6}" "$3" "$4" "$all_keys" "${5:+,$5}" | jq -c 'with_entries(.)'
}
# The first plugin alone; jq's text is applied to its configuration.
only() {
	printf %s "$1" | jq -c "{cniVersion, name, plugins: [.plugins[0] | ${2:-.}]}"
}
# edit LIST JQ: the list with a change, such as ".plugins[1].mode = 1"
edit() {
	printf %s "$1" | jq -c "$2"
}

cid() {
	printf %s "$1" | sha256sum | cut -c1-64
}
host_end() {
	echo "veth$(cid "$1" | cut -c1-11)"
}
args() {
	echo "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$1"
}
# add NODE LIST POD, del ..., check ...: the chain
add() { chain_add "$1" "$2" "$(cid "$3")" "$(pod_netns "$3")" eth0 "$(args "$3")"; }
del() { chain_del "$1" "$2" "$(cid "$3")" "$(pod_netns "$3")" eth0 "$(args "$3")"; }
check() { chain_check "$1" "$2" "$(cid "$3")" "$(pod_netns "$3")" eth0 "$(args "$3")"; }

# --- what a namespace holds; addresses that the kernel makes by itself come and go

# Links, addresses, routes of all tables, rules, permanent neighbours, nf_tables.  Few processes:
# they are what costs time in this kernel.
printf 'link show\naddress show\nroute show table all\nrule show\nneigh show nud permanent\n' >"$work/show4"
printf 'route show table all\nrule show\nneigh show nud permanent\n' >"$work/show6"
# shellcheck disable=SC2016 # expanded by the inner shell
dump_here='ip -4 -o -batch "$0/show4" | sed "s/ qlen [0-9]*//; s/state [A-Z]*//"
ip -6 -batch "$0/show6" | grep -v "fe80:\|^multicast\|^anycast\|^local"
nft list ruleset'
node_dump() { on "$1" sh -c "$dump_here" "$work"; }
pod_dump() { in_pod "$1" sh -c "$dump_here" "$work"; }

# --- start

fabric_up || exit 1
for node in master worker; do
	for name in ipvlan coordinator; do
		on "$node" cp "$SPIDERBOX" "/opt/cni/bin/$name"
	done
	delegate >"$(node_dir "$node" /opt/cni/bin/fixed)"
	chmod +x "$(node_dir "$node" /opt/cni/bin/fixed)"
done

first=$(network 1.0.0 eth0 172.31.199.185/20 172.31.207.253)
pod_new a

# baseline POD: what it and the node hold now, to compare with
baseline() {
	base_pod=$1
	base_node=$(node_dump master)
	base_in_pod=$(pod_dump "$1")
}
# as_before DESCRIPTION: nothing has changed since
as_before() {
	same "$1: nothing is left on the node" "$base_node" "$(node_dump master)"
	same "$1: nothing is left in the pod" "$base_in_pod" "$(pod_dump "$base_pod")"
}
# failed DESCRIPTION WANTED DOCUMENT: code and message of an error document
failed() {
	same "$1, with code and reason" "$2" "$(printf %s "$3" | jq -r '"\(.code) \(.msg)"')"
}
# refused DESCRIPTION WANTED LIST: ADD to the baseline's pod fails so, and nothing is left
refused() {
	ref_out=$(add master "$3" "$base_pod" 2>"$work/stderr") && echo "# it succeeded: $ref_out"
	failed "$1" "$2" "$ref_out"
	as_before "$1"
}

# --- ipvlan: result documents

ipvlan_part() {
	for version in 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0; do
		list=$(only "$(network "$version" eth0 172.31.199.185/20 172.31.207.253)")
		result=$(add master "$list" a) || echo "# $result"
		case $version in
		0.*) ip_version='"version":"4",' ;;
		*) ip_version= ;;
		esac
		mtu=
		[ "$version" != 1.1.0 ] || mtu='"mtu":1500,'
		wanted=$(printf '{"cniVersion":"%s","interfaces":[{"name":"eth0","mac":"00:16:3e:00:00:01",%s"sandbox":"/var/run/netns/a"}],"ips":[{%s"interface":0,"address":"172.31.199.185/20","gateway":"172.31.207.253"}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{"nameservers":["10.233.0.10"]}}' \
			"$version" "$mtu" "$ip_version" | jq -S .)
		same "ipvlan's result of version $version" "$wanted" "$(printf %s "$result" | jq -S .)"
		ok "ipvlan DEL in version $version" del master "$list" a
	done

	# --- ipvlan: the interface

	node_before=$(node_dump master)
	pod_before=$(pod_dump a)
	list=$(only "$first")
	ok 'ipvlan ADD' add master "$list" a
	same 'the interface: ipvlan in mode l2, its master'\''s MAC address, up' 'ipvlan l2 bridge 00:16:3e:00:00:01 1500 true' \
		"$(in_pod a ip -j -d link show eth0 | jq -r '.[0] | "\(.linkinfo.info_kind) \(.linkinfo.info_data.mode) \(if .linkinfo.info_data.bridge then "bridge" else "bridge" end) \(.address) \(.mtu) \(.flags | contains(["UP"]))"')"
	same 'its address' '172.31.199.185/20 brd 172.31.207.255' \
		"$(in_pod a ip -j -4 address show dev eth0 | jq -r '.[0].addr_info[] | "\(.local)/\(.prefixlen) brd \(.broadcast)"')"
	same 'its routes' 'default via 172.31.207.253 dev eth0 
172.31.192.0/20 dev eth0 proto kernel scope link src 172.31.199.185 ' "$(in_pod a ip -4 route)"
	same 'nothing new on the node' "$node_before" "$(node_dump master)"
	ok 'ipvlan CHECK' check master "$list" a
	in_pod a ip route del default
	ok 'ipvlan CHECK misses a route' not check master "$list" a
	same 'and says which' 'the pod lacks the route to 0.0.0.0/0 by gateway 172.31.207.253 on eth0' "$(check master "$list" a | jq -r .msg)"
	in_pod a ip address flush dev eth0
	same 'ipvlan CHECK misses an address' 'interface eth0 in the pod lacks address 172.31.199.185/20' \
		"$(check master "$list" a | jq -r .msg)"
	same 'ipvlan CHECK compares the mode' 'interface eth0 in the pod has mode l2, not l3' \
		"$(check master "$(edit "$list" '.plugins[0].mode = "l3"')" a | jq -r .msg)"
	ok 'ipvlan DEL' del master "$list" a
	same 'the pod is as it was' "$pod_before" "$(pod_dump a)"
	same 'the node is as it was' "$node_before" "$(node_dump master)"
	ok 'ipvlan DEL again' del master "$list" a
	: >"$work/asked"
	ok 'ipvlan DEL without a namespace' chain_del master "$list" "$(cid a)" '' eth0 ''
	ok 'ipvlan DEL with a namespace that is gone' chain_del master "$list" "$(cid a)" /var/run/netns/gone eth0 ''
	ok 'ipvlan DEL with a file that is no namespace any more' chain_del master "$list" "$(cid a)" /etc/passwd eth0 ''
	same 'each released the address' "$(printf 'DEL %s\nDEL %s\nDEL %s' "$(cid a)" "$(cid a)" "$(cid a)")" "$(cat "$work/asked")"
	: >"$work/asked"
	ok 'ipvlan ADD again' add master "$list" a
	ok 'ipvlan DEL with a configuration that somebody broke' \
		del master "$(edit "$list" '.plugins[0] |= (.mode = "l9" | .mtu = "big" | .master = 3)')" a
	same 'the interface is gone, and the address released' "$(printf 'ADD %s\nDEL %s' "$(cid a)" "$(cid a)")" \
		"$(in_pod a ip link show eth0 2>/dev/null; cat "$work/asked")"
	other=$(edit "$list" '.plugins[0] |= (del(.master) | .mode = "l3s" | .mtu = 1400)')
	ok 'ipvlan ADD without master, in mode l3s, with an MTU' add master "$other" a
	same 'the default route tells the master' "$(on master cat /sys/class/net/eth0/ifindex 2>/dev/null || on master ip -j link show eth0 | jq .[0].ifindex) l3s 1400" \
		"$(in_pod a ip -j -d link show eth0 | jq -r '.[0] | "\(.link_index) \(.linkinfo.info_data.mode) \(.mtu)"')"
	ok 'and DEL' del master "$other" a

	# --- ipvlan: refusals, each leaving nothing

	baseline a
	refused 'ipvlan with a master that is not there' '7 master "eth7": there is no such interface on this node' \
		"$(edit "$list" '.plugins[0].master = "eth7"')"
	refused 'ipvlan with a MAC address that no interface has' '7 master "00:16:3e:00:00:99": there is no such interface on this node' \
		"$(edit "$list" '.plugins[0].master = "00:16:3e:00:00:99"')"
	refused 'ipvlan with an MTU above the master'\''s' '7 mtu: 1501 is larger than 1500, that of master eth0' \
		"$(edit "$list" '.plugins[0].mtu = 1501')"
	refused 'ipvlan with an unknown flag' '7 flag: "l2" is not one of bridge, private and vepa' \
		"$(edit "$list" '.plugins[0].flag = "l2"')"
	refused 'ipvlan with an unknown mode' '7 mode: "vepa" is not one of l2, l3 and l3s' \
		"$(edit "$list" '.plugins[0].mode = "vepa"')"
	: >"$work/asked"
	refused 'ipvlan when the delegate has no address' '101 plugin fixed: no address left; in the pool of the test' "$(edit "$list" '.plugins[0].ipam.fail = "ADD"')"
	same 'and nothing is released that was not given' "ADD $(cid a)" "$(cat "$work/asked")"
	# what it gave is given back, be it of use or not
	: >"$work/asked"
	refused 'ipvlan when the delegate gives no address' '999 the IPAM plugin fixed gave no address' \
		"$(edit "$list" 'del(.plugins[0].ipam.address)')"
	refused 'ipvlan when the delegate gives the shape of 0.2.0' '999 result of the IPAM plugin fixed: CNI result: it has the shape of CNI 0.2.0' \
		"$(edit "$list" '.plugins[0].ipam.says = "{\"cniVersion\":\"0.2.0\",\"ip4\":{\"ip\":\"172.31.199.185/20\"}}"')"
	refused 'ipvlan when the delegate gives garbage' '999 result of plugin fixed: not JSON: line 1 column 1: not a value' \
		"$(edit "$list" '.plugins[0].ipam.says = "hello"')"
	same 'and each time it is released' "$(printf 'ADD %s\nDEL %s\n' "$(cid a)" "$(cid a)" "$(cid a)" "$(cid a)" "$(cid a)" "$(cid a)")" \
		"$(cat "$work/asked")"
	refused 'ipvlan without ipam' '7 there is no ipam.type, and no prevResult with addresses' \
		"$(edit "$list" 'del(.plugins[0].ipam)')"
	pod_new b
	ok 'a second pod on the same card' add master "$list" b
	: >"$work/asked"
	refused 'ipvlan with an address that a sibling has' \
		'999 address 172.31.199.185/20 is already on another ipvlan interface of eth0: eth0 in /var/run/netns/b' "$list"
	same 'and the address is released' "$(printf 'ADD %s\nDEL %s' "$(cid a)" "$(cid a)")" "$(cat "$work/asked")"
	baseline b
	refused 'ipvlan with a name that is taken' '999 interface eth0 is already in the pod (/var/run/netns/b)' \
		"$(only "$(network 1.0.0 eth0 172.31.199.186/20 172.31.207.253)")"
	ok 'DEL of the second pod' del master "$list" b
	baseline a
	refused 'ipvlan with the node'\''s own address' \
		'999 address 172.31.199.183/20 is one of this node'\''s own: exclude it from the pool' \
		"$(edit "$list" '.plugins[0].ipam.address = "172.31.199.183/20"')"
	refused 'ipvlan with a gateway that is nowhere' \
		'999 eth0: add route to 0.0.0.0/0 via 10.1.1.1 in table 254: kernel (Nexthop has invalid gateway): Network unreachable' \
		"$(edit "$list" '.plugins[0].ipam.gateway = "10.1.1.1"')"
}

# --- ipvlan: what all interfaces of a master have in common

# shared POD: mode and flag
shared() {
	in_pod "$1" ip -j -d link show eth0 | jq -r '.[0].linkinfo.info_data | "\(.mode) \([to_entries[] | select(.value == true) | .key] | join(","))"'
}

port_part() {
	list=$(only "$first")
	private=$(edit "$list" '.plugins[0].flag = "private"')
	other=$(only "$(network 1.0.0 eth0 172.31.199.186/20 172.31.207.253)")
	pod_new p
	pod_new q
	ok 'ipvlan ADD, as bridge' add master "$list" p
	was=$(shared p)
	baseline q
	would='for all of its ipvlan interfaces, such as eth0 in /var/run/netns/p, and the kernel would change them to'
	for kept in kept lost; do
		refused "ipvlan with another flag than the pods that are there (note $kept)" \
			"7 flag: eth0 has bridge $would vepa: use the same for all networks on eth0" \
			"$(edit "$other" '.plugins[0].flag = "vepa"')"
		refused "ipvlan with another mode than the pods that are there (note $kept)" \
			"7 mode: eth0 has l2 $would l3: use the same for all networks on eth0" \
			"$(edit "$other" '.plugins[0].mode = "l3"')"
		on master rm -rf /run/spidernet/ipvlan
	done
	same "theirs are as they were" "$was" "$(shared p)"
	ok 'ipvlan ADD with the same' add master "$other" q
	ok 'and DEL' del master "$other" q
	ok 'ipvlan DEL' del master "$list" p
	ok 'with nobody there any flag is fine' add master "$private" p
	ok 'CHECK' check master "$private" p
	same 'CHECK compares the flag' 'interface eth0 in the pod has flag private, not bridge' "$(check master "$list" p | jq -r .msg)"
	baseline q
	refused 'ipvlan with no flag, where others have one' \
		"7 flag: eth0 has private $would bridge: use the same for all networks on eth0" "$other"
	ok 'DEL' del master "$private" p
	for mode in l3 l3s l2; do
		for flag in vepa bridge; do
			more=$(edit "$list" ".plugins[0] |= (.mode = \"$mode\" | .flag = \"$flag\")")
			ok "ADD in mode $mode as $flag" add master "$more" p
			ok "CHECK in mode $mode as $flag" check master "$more" p
			ok "DEL in mode $mode as $flag" del master "$more" p
		done
	done

	# --- whose address it is, when there is a record
	ok 'ADD' add master "$list" p
	records=$(node_dir master /var/lib/spidernet)/attachments
	mkdir -p "$records"
	printf '{"containerID":"%s","ifName":"eth0","netNamespace":"/var/run/netns/p","podNamespace":"default","podName":"p","addresses":["172.31.199.185/20"]}' \
		"$(cid p)" >"$records/$(cid p)-eth0.json"
	baseline q
	refused 'ipvlan with an address that a pod has' \
		"999 address 172.31.199.185/20 is already on another ipvlan interface of eth0: eth0 of pod default/p (container $(cid p | cut -c1-13)) in /var/run/netns/p" "$list"
	rm "$records/$(cid p)-eth0.json"
	ok 'DEL' del master "$list" p
}

# --- ipvlan: the master, and the neighbours

# heard TEXT FILTER LIST: an ADD of it to pod n makes the segment hear a frame that fits filter and text
# shellcheck disable=SC2317 # called by ok
heard() {
	: >"$work/frames"
	in_vpc tcpdump -l -n -e -i m-eth0 "$2" >"$work/frames" 2>"$work/tcpdump" &
	sniffer=$!
	servers="$servers $sniffer"
	tries=0
	until grep -q 'listening on' "$work/tcpdump" || [ "$tries" -gt 200 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	add master "$3" n || return 1
	tries=0
	until grep -q "$1" "$work/frames" || [ "$tries" -gt 100 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	kill "$sniffer"
	wait "$sniffer"
	cat "$work/frames"
	grep -q "$1" "$work/frames"
}

master_part() {
	list=$(only "$(network 1.1.0 eth0 172.31.199.185/20 172.31.207.253)")
	pod_new n
	ok 'a gratuitous ARP leaves the card' heard '00:16:3e:00:00:01 > ff:ff:ff:ff:ff:ff.* Request who-has 172.31.199.185 .*tell 172.31.199.185' arp "$list"
	in_pod n ip link set eth0 mtu 1400
	same 'CHECK compares the MTU' 'interface eth0 in the pod has mtu 1400, not 1500' "$(check master "$list" n | jq -r .msg)"
	in_pod n ip link set eth0 mtu 1500
	in_pod n ip route replace default via 172.31.207.252
	same 'CHECK compares the gateway' 'the pod lacks the route to 0.0.0.0/0 by gateway 172.31.207.253 on eth0' "$(check master "$list" n | jq -r .msg)"
	in_pod n ip link set eth0 down
	same 'CHECK sees that it is down' 'interface eth0 in the pod is down' "$(check master "$list" n | jq -r .msg)"
	ok 'DEL' del master "$list" n
	ok 'an unsolicited advertisement leaves the card' heard '00:16:3e:00:00:01 > .*neighbor advertisement, tgt is fd00::5' \
		'icmp6 and ip6[40] == 136' "$(edit "$list" '.plugins[0].ipam |= (.address = "fd00::5/64" | del(.gateway) | .routes = [])')"
	same 'its address is usable at once' 'false' \
		"$(in_pod n ip -j -6 address show dev eth0 | jq '.[0].addr_info[] | select(.local == "fd00::5") | .tentative // false')"
	ok 'DEL' del master "$list" n

	on master ip link property add dev eth0 altname card0
	for name in card0 00:16:3E:00:00:01; do
		more=$(edit "$list" ".plugins[0].master = \"$name\"")
		ok "master $name" add master "$more" n
		ok 'CHECK' check master "$more" n
		ok 'DEL' del master "$more" n
	done
	on master ip link property del dev eth0 altname card0
	routes=$(edit "$list" '.plugins[0].ipam.routes = [{dst: "10.8.0.0/16", gw: "172.31.207.252", table: 77, priority: 9, mtu: 1400}, {dst: "10.9.0.0/16", scope: 253}]')
	ok 'routes as from CNI 1.1.0 on' add master "$routes" n
	same 'they are passed on' '[{"dst":"10.8.0.0/16","gw":"172.31.207.252","mtu":1400,"priority":9,"table":77},{"dst":"10.9.0.0/16","scope":253}]' \
		"$(jq -cS .routes "$(chain_file "$routes" "$(cid n)" eth0)")"
	same 'and made' '10.8.0.0/16 via 172.31.207.252 dev eth0 metric 9 ' "$(in_pod n ip route show table 77)"
	ok 'CHECK' check master "$routes" n
	ok 'DEL' del master "$routes" n

	# --- a master in the pod
	in_pod n ip link add d0 type dummy
	in_pod n ip link set d0 up
	in_pod n ip address add 10.5.0.1/24 dev d0
	inside=$(edit "$list" '.plugins[0] |= (.master = "d0" | .linkInContainer = true | .ipam |= (.address = "10.5.0.2/24" | .gateway = "10.5.0.1"))')
	baseline n
	refused "the address of a master in the pod" "999 address 10.5.0.1/24 is one of its master's own: exclude it from the pool" \
		"$(edit "$inside" '.plugins[0].ipam.address = "10.5.0.1/24"')"
	refused 'a master in the pod that is not there' '7 master "d1": there is no such interface in the pod' \
		"$(edit "$inside" '.plugins[0].master = "d1"')"
	ok 'a master in the pod' add master "$inside" n
	ok 'CHECK' check master "$inside" n
	same 'it has one flag for all, too' '7 flag: d0 has bridge for all of its ipvlan interfaces, such as eth0 in the pod, and the kernel would change them to vepa: use the same for all networks on d0' \
		"$(chain_add master "$(edit "$inside" '.plugins[0].flag = "vepa"')" "$(cid n)" "$(pod_netns n)" net1 "$(args n)" | jq -r '"\(.code) \(.msg)"')"
	ok 'DEL' del master "$inside" n
	same 'the pod is as it was' "$base_in_pod" "$(pod_dump n)"

	# --- without what ADD needs
	none=$(edit "$list" 'del(.plugins[0].master)')
	ok 'ADD by the default route' add master "$none" n
	on master ip route del default
	ok 'DEL when there is none' del master "$none" n
	ok 'and again' del master "$none" n
	baseline n
	refused 'ADD without' '7 master: not given, and no default route tells which one' "$none"
	on master ip route add default via 172.31.207.253
	on master ip link add d1 type dummy
	gone=$(edit "$list" '.plugins[0].master = "d1"')
	status='{"cniVersion":"1.1.0","name":"n","type":"ipvlan","master":"d1","ipam":{"type":"fixed"}}'
	same 'STATUS when the master is down' '51 master d1 is down' "$(chain_run master STATUS "$status" '' '' '' '' | jq -r '"\(.code) \(.msg)"')"
	on master ip link set d1 up
	ok 'STATUS when it is up' chain_run master STATUS "$status" '' '' '' ''
	ok 'ADD' add master "$gone" n
	on master ip link del d1
	same 'STATUS when it is gone' '51 master "d1": there is no such interface on this node' \
		"$(chain_run master STATUS "$status" '' '' '' '' | jq -r '"\(.code) \(.msg)"')"
	ok 'DEL when it is gone' del master "$gone" n
	ok 'and again' del master "$gone" n
	: >"$work/asked"
	ok 'GC' chain_run master GC '{"cniVersion":"1.1.0","name":"n","type":"ipvlan","cni.dev/valid-attachments":[],"ipam":{"type":"fixed"}}' '' '' '' ''
	same 'is the delegate'\''s business' 'GC ' "$(cat "$work/asked")"
}

# --- coordinator: what it makes

# coordinator COMMAND LIST POD: the second plugin alone, with what the chain left
coordinator() {
	chain_result=$(cat "$(chain_file "$2" "$(cid "$3")" eth0)")
	chain_conf=$(printf %s "$2" | jq -c --argjson prev "$chain_result" \
		'. as $l | .plugins[1] + {name: $l.name, cniVersion: $l.cniVersion, prevResult: $prev}')
	chain_run master "$1" "$chain_conf" "$(cid "$3")" "$(pod_netns "$3")" "${4:-eth0}" "$(args "$3")"
}
# shellcheck disable=SC2317 # called by ok
answers_within() {
	"$1" "$2" ping -n -q -c 1 -W 3 "$3"
}
# reach DESCRIPTION on|in_pod NAME ADDRESS
reach() {
	ok "$1" answers_within "$2" "$3" "$4"
}
mac_of() {
	"$1" "$2" ip -j link show "$3" | jq -r '.[0].address'
}
# shellcheck disable=SC2016 # expanded by the inner shell
filters() {
	in_pod "$1" sh -c 'for i in all default eth0 veth0; do cat "/proc/sys/net/ipv4/conf/$i/rp_filter"; done' | xargs
}

coordinator_part() {
	# a node with strict filters, and pods that inherit each kind
	on master sysctl -qw net.ipv4.conf.all.rp_filter=1
	node_before=$(node_dump master)
	sysctl -qw net.ipv4.conf.default.rp_filter=1
	pod_new c
	sysctl -qw net.ipv4.conf.default.rp_filter=2
	for pod in d e f g; do
		pod_new "$pod"
	done
	alone=$(add master "$(only "$first")" c)
	del master "$(only "$first")" c
	result=$(add master "$first" c) || echo "# $result"
	same 'the coordinator passes on the result' "$alone" "$result"
	same "the pod's routes" 'default via 172.31.207.253 dev eth0 
10.233.0.0/18 via 172.31.199.183 dev veth0 src 172.31.199.185 
169.254.0.0/16 via 172.31.199.183 dev veth0 src 172.31.199.185 
172.31.192.0/20 dev eth0 proto kernel scope link src 172.31.199.185 
172.31.199.183 dev veth0 scope link src 172.31.199.185 
192.168.0.154 dev veth0 scope link src 172.31.199.185 ' "$(in_pod c ip -4 route)"
	same "the pod's table 100" 'default via 172.31.199.183 dev veth0 src 172.31.199.185 ' "$(in_pod c ip -4 route show table 100)"
	same "the pod's table 101" '172.31.199.183 dev veth0 scope link src 172.31.199.185 
192.168.0.154 dev veth0 scope link src 172.31.199.185 ' "$(in_pod c ip -4 route show table 101)"
	same "the pod's rules" '0: local
1000: fwmark 0x1/0x1 100
32766: main
32767: default' "$(in_pod c ip -4 rule | sed 's/\t/ /; s/from all //; s/lookup //; s/ $//')"
	end=$(host_end c)
	same "the pod's neighbours" "172.31.199.183 dev veth0 lladdr $(mac_of on master "$end") PERMANENT 
192.168.0.154 dev veth0 lladdr $(mac_of on master "$end") PERMANENT " "$(in_pod c ip -4 neigh show nud permanent | sort)"
	same "the node's rules" '0: local
1000: 500
1500: from 172.31.199.183 1001
1500: from 192.168.0.154 1002
32766: main
32767: default' "$(on master ip -4 rule | sed 's/\t/ /; s/from all //; s/lookup //; s/ $//')"
	same "the node's table 500" "172.31.199.185 dev $end scope link src 172.31.199.183 " "$(on master ip -4 route show table 500)"
	same "the node's neighbour" "172.31.199.185 dev $end lladdr $(mac_of in_pod c veth0) PERMANENT " \
		"$(on master ip -4 neigh show nud permanent)"
	same "the pod's nf_tables" 'table inet spiderbox {
	chain pre {
		type filter hook prerouting priority mangle; policy accept;
		iifname "veth0" ct state new meta mark set meta mark | 0x00000001 ct mark set ct mark | 0x00000001
	}

	chain out {
		type route hook output priority mangle; policy accept;
		ct mark & 0x00000001 == 0x00000001 meta mark set meta mark | 0x00000001
	}
}' "$(in_pod c nft list ruleset)"
	same "the pod's reverse path filters are off, whatever the node's default" '0 0 0 0' "$(filters c)"
	same 'the pair'\''s MTU, both ends up, no router advertisements taken on the node' '1500 UP 1500 UP 0' \
		"$(in_pod c ip -j link show veth0 | jq -r '.[0] | "\(.mtu) \(.operstate)"') $(on master ip -j link show "$end" | jq -r '.[0] | "\(.mtu) \(.operstate)"') $(on master sysctl -n "net.ipv6.conf.$end.accept_ra")"
	same 'the whole id of the container is its alias' "$(cid c)" "$(on master ip -j link show "$end" | jq -r '.[0].ifalias')"
	ok 'CHECK of the chain' check master "$first" c

	# --- traffic
	add master "$(network 0.3.1 eth0 172.31.199.186/20 172.31.207.253)" d >/dev/null
	add worker "$(network 0.3.1 eth0 172.31.199.190/20 172.31.207.253)" e >/dev/null
	add worker "$(network 0.3.1 eth1 192.168.0.161/24 192.168.0.253)" f >/dev/null
	add master "$(network 0.3.1 eth1 192.168.0.156/24 192.168.0.253)" g >/dev/null
	same "with the node's default of 2 too" '0 0 0 0' "$(filters d)"
	same 'the gateway of a pod on the second card is the node'\''s address there' \
		'default via 192.168.0.154 dev veth0 src 192.168.0.156 ' "$(in_pod g ip -4 route show table 100)"
	reach 'pod to its own node' in_pod c 172.31.199.183
	reach 'pod to its own node'\''s other card' in_pod c 192.168.0.154
	reach 'node to its own pod' on master 172.31.199.185
	reach 'node to its own pod on the second card' on master 192.168.0.156
	reach 'pod on the second card to its own node' in_pod g 172.31.199.183
	reach 'pod to a pod on the same card' in_pod c 172.31.199.186
	reach 'pod to a pod on the other node' in_pod c 172.31.199.190
	reach 'pod to a pod in the other subnet, other node' in_pod c 192.168.0.161
	reach 'pod to a pod in the other subnet, same node' in_pod c 192.168.0.156
	reach 'pod to the other node' in_pod c 172.31.199.184
	reach 'pod on the second card to the other node' in_pod g 172.31.199.184
	reach 'node to a pod of the other node' on worker 172.31.199.185
	reach 'node to a pod of the other node, in the other subnet' on master 192.168.0.161
	reach 'pod to the world outside' in_pod f "$client_ip"

	# --- what comes in by the node with the client's address kept
	on master nft -f - <<-'NFT'
		table ip proxy {
			chain nodeports {
				type nat hook prerouting priority dstnat;
				ip daddr 172.31.199.183 tcp dport 30001 dnat to 172.31.199.185:8080
				ip daddr 172.31.199.183 udp dport 30001 dnat to 172.31.199.185:8080
				ip daddr 172.31.199.183 tcp dport 30002 dnat to 172.31.199.186:8080
				ip daddr 172.31.199.183 udp dport 30002 dnat to 172.31.199.186:8080
				ip daddr 10.233.0.1 tcp dport 80 dnat to 172.31.199.190:8080
				ip daddr 10.233.0.1 udp dport 80 dnat to 172.31.199.190:8080
			}
			chain sources {
				type nat hook postrouting priority srcnat;
				ip daddr 172.31.199.190 ct status dnat masquerade
			}
		}
	NFT
	for pod in c d e; do
		in_pod "$pod" "$here/echo.py" "$pod" 8080 200 >"$work/echo-$pod" 2>&1 &
		servers="$servers $!"
	done
	for pod in c d; do
		in_pod "$pod" nft -f - <<-NFT
			table inet count {
				counter veth0 { }
				counter eth0 { }
				chain post {
					type filter hook postrouting priority 0;
					ip daddr $client_ip oifname "veth0" counter name veth0
					ip daddr $client_ip oifname "eth0" counter name eth0
				}
			}
		NFT
	done
	for pod in c d e; do
		tries=0
		until grep -q ready "$work/echo-$pod" || [ "$tries" -gt 200 ]; do
			tries=$((tries + 1))
			sleep 0.05
		done
	done
	for kind in tcp udp; do
		same "$kind from outside to a node port: the pod (rp_filter 1 inherited) sees the client" "c sees $client_ip" \
			"$(outside "$here/ask.py" "$kind" 172.31.199.183 30001 2>&1)"
		same "$kind from outside to a node port: the pod (rp_filter 2 inherited) sees the client" "d sees $client_ip" \
			"$(outside "$here/ask.py" "$kind" 172.31.199.183 30002 2>&1)"
		same "$kind from a pod to a service address, by the node's netfilter" 'e sees 172.31.199.183' \
			"$(in_pod c "$here/ask.py" "$kind" 10.233.0.1 80 2>&1)"
	done
	for pod in c d; do
		ok "the answers left pod $pod by veth0" \
			test "$(in_pod "$pod" nft -j list counter inet count veth0 | jq '.nftables[1].counter.packets')" -ge 3
		same "no answer of pod $pod left by eth0" 0 \
			"$(in_pod "$pod" nft -j list counter inet count eth0 | jq '.nftables[1].counter.packets')"
	done
	same 'pods answer directly what comes in by their card' "c sees $client_ip" \
		"$(outside "$here/ask.py" tcp 172.31.199.185 8080 2>&1)"
	ok 'by eth0' test "$(in_pod c nft -j list counter inet count eth0 | jq '.nftables[1].counter.packets')" -ge 2
	same 'the fabric dropped no frame as spoofed' 0 "$(spoofed)"
	in_pod d nft delete table inet spiderbox
	ok 'control: without the marks no answer arrives' not outside "$here/ask.py" tcp 172.31.199.183 30002 1
	list=$(network 1.0.0 eth0 172.31.199.186/20 172.31.207.253)
	same 'CHECK misses the marks' 'the pod lacks the rules of nf_tables table inet spiderbox' "$(coordinator CHECK "$list" d | jq -r .msg)"
	on master ip route flush table 500
	same 'CHECK misses the route on the node' 'the node lacks the route to 172.31.199.186/32 in table 500' \
		"$(coordinator CHECK "$list" d | jq -r .msg)"
	on master nft delete table ip proxy

	# --- DEL
	ok 'DEL of the chain' del master "$first" c
	ok 'DEL of the chain again' del master "$first" c
	ok 'DEL without the namespace' chain_del master "$list" "$(cid d)" '' eth0 ''
	pod_del d
	pod_del g
	tries=0
	until not on master ip link show "$(host_end g)" >/dev/null 2>&1 || [ "$tries" -gt 200 ]; do
		tries=$((tries + 1)) # the kernel takes a namespace apart when it likes
		sleep 0.05
	done
	ok 'DEL of the last pod, whose namespace and pair are gone' del master "$(network 0.3.1 eth1 192.168.0.156/24 192.168.0.253)" g
	same 'the node is as it was' "$node_before" "$(node_dump master)"
	for pid in $servers; do
		kill "$pid"
	done
	servers=
}

# --- coordinator: refusals, each leaving nothing

# spurned DESCRIPTION WANTED LIST: ADD of the coordinator alone fails so, and nothing is left
spurned() {
	ref_out=$(coordinator ADD "$3" "$base_pod" 2>"$work/stderr") && echo "# it succeeded: $ref_out"
	failed "$1" "$2" "$ref_out"
	as_before "$1"
}

ipv6_part() {
	pod_new v
	list=$(edit "$(network 1.0.0 eth0 fd00::5/64 fd00::fd)" \
		'.plugins[0].ipam.routes = [{dst: "::/0"}] | .plugins[1].serviceCIDR = ["fd00:10::/108", "10.96.0.0/12"]')
	failed 'a pod with IPv6 on a node without' \
		'7 this node has no IPv6 address by which pod address fd00::5 could reach it' "$(add master "$list" v)"
	del master "$list" v
	on master ip address add fd00::183/64 dev eth0 nodad
	ok 'ADD with an IPv6 address' add master "$list" v
	same 'its routes over veth0' 'fd00::183 metric 1024 pref medium
fd00:10::/108 via fd00::183 metric 1024 pref medium' "$(in_pod v ip -6 route show dev veth0 | grep -v fe80)"
	same 'its table 100' 'default via fd00::183 dev veth0 metric 1024 pref medium' "$(in_pod v ip -6 route show table 100)"
	same "the node's table 500" "fd00::5 dev $(host_end v) src fd00::183 metric 1024 pref medium" "$(on master ip -6 route show table 500)"
	reach 'pod to its own node by IPv6' in_pod v fd00::183
	reach 'node to its own pod by IPv6' on master fd00::5
	ok 'CHECK' check master "$list" v
	ok 'DEL' del master "$list" v
	same 'the rule of IPv6 went with the last pod' '' "$(on master ip -6 rule | grep '^1000:')"
	on master ip address del fd00::183/64 dev eth0
}

refusals_part() {
	pod_new h
	add master "$(only "$first")" h >/dev/null
	end=$(host_end h)
	list=$first
	coordinator ADD "$list" h >/dev/null
	coordinator DEL "$list" h
	in_pod h sh -c 'nft flush ruleset; ip rule del pref 1000'
	on master ip link add "$end" type dummy
	baseline h
	spurned 'coordinator with a name that is taken on the node' \
		"999 interface $end is already on this node: another attempt with this container id left it, and its DEL removes it" "$list"
	ok 'DEL leaves an interface alone that is no veth' coordinator DEL "$list" h
	ok 'so it is still there' on master ip link show "$end"
	on master ip link del "$end"
	on master ip link add "$end" type veth peer name other0
	on master ip link set "$end" alias "$(cid h | cut -c1-11)-other"
	on master ip link set "$end" up
	baseline h
	spurned 'coordinator with the pair of a container whose id begins alike' \
		"999 interface $end on this node is container $(cid h | cut -c1-11)-other's, whose id begins as that of container $(cid h) does" "$list"
	ok "DEL leaves another container's pair alone" coordinator DEL "$list" h
	ok 'so it is still there' on master ip link show "$end"
	on master ip link del "$end"
	in_pod h ip link add veth0 type dummy
	baseline h
	spurned 'coordinator with veth0 in the pod' '999 interface veth0 is already in the pod (/var/run/netns/h)' "$list"
	in_pod h ip link del veth0
	baseline h
	spurned "coordinator with the pod's own subnet among the prefixes" \
		"7 the route to 172.31.192.0/20 would take the place of the pod's own subnet: take it out of overlayPodCIDR, serviceCIDR, hijackCIDR or policyRoutes" \
		"$(edit "$list" '.plugins[1].hijackCIDR = ["172.31.192.0/20"]')"
	spurned 'coordinator with a policy route in place of the default one, then one that cannot be' \
		'999 add route to 10.9.0.0/16 via 10.1.1.1 in table 254: kernel (Nexthop has invalid gateway): Network unreachable' \
		"$(edit "$list" '.plugins[1].policyRoutes = [{dst: "10.8.0.0/16", gw: "172.31.207.253"}, {dst: "0.0.0.0/0", gw: "172.31.207.252"}, {dst: "10.9.0.0/16", gw: "10.1.1.1"}]')"
	spurned 'coordinator in mode overlay' \
		'7 mode overlay: interface eth0 is the pod'\''s first (podDefaultCniNic is eth0); the mode is for others beside it' \
		"$(edit "$list" '.plugins[1].mode = "overlay"')"
	spurned 'coordinator with another first interface' \
		'7 mode underlay: interface eth0 is not the pod'\''s first (podDefaultCniNic is net1), and the first one left no veth0: it needs the coordinator, too, or this one mode overlay' \
		"$(edit "$list" '.plugins[1].mode = "underlay" | .plugins[1].podDefaultCniNic = "net1"')"
	spurned 'coordinator with podMACPrefix on ipvlan' \
		'7 podMACPrefix: eth0 is an ipvlan interface and always has its master'\''s MAC address; remove podMACPrefix' \
		"$(edit "$list" '.plugins[1].podMACPrefix = "0a:1b"')"
	spurned 'coordinator with an unknown mode' \
		'7 coordinator configuration: mode: "none" is not one of auto, underlay, overlay and disabled' \
		"$(edit "$list" '.plugins[1].mode = "none"')"
	same 'coordinator that comes first' \
		'7 there is no prevResult: the coordinator comes after the plugin that makes the interface' \
		"$(add master "$(edit "$list" '.plugins |= .[1:]')" h | jq -r '"\(.code) \(.msg)"')"
	for mode in disable disabled; do
		result=$(cat "$(chain_file "$list" "$(cid h)" eth0)")
		same "mode $mode passes on the result, and asks no agent" "$(printf %s "$result" | jq -S .)" \
			"$(coordinator ADD "$(edit "$list" ".plugins[1] = {type: \"coordinator\", mode: \"$mode\"}")" h | jq -S .)"
	done
	on master ip link add stale type dummy
	on master ip link set stale up
	on master ip route add 172.31.199.185/32 dev stale table 500
	all=$(edit "$list" '.plugins[1] += {policyRoutes: [{dst: "10.8.0.1", gw: "172.31.207.252"}], vethLinkAddress: "169.254.100.1",
		vethMTU: 1400, hostRuleTable: 500, podRPFilter: 2, txQueueLen: 77, mode: "underlay"}')
	ok 'ADD with every key' coordinator ADD "$all" h
	same 'a route that a dead pod left is replaced' "172.31.199.185 dev $end scope link src 172.31.199.183 " \
		"$(on master ip -4 route show table 500)"
	same 'policyRoutes' '10.8.0.1 via 172.31.207.252 dev eth0 ' "$(in_pod h ip -4 route show 10.8.0.1)"
	same 'vethLinkAddress, vethMTU' '169.254.100.1/32 1400' \
		"$(in_pod h ip -j -4 address show veth0 | jq -r '.[0] | "\(.addr_info[0].local)/\(.addr_info[0].prefixlen) \(.mtu)"')"
	same 'podRPFilter' '2 2 2 2' "$(filters h)"
	same 'txQueueLen, in the pod and not on the node' '77 1000' \
		"$(in_pod h ip -j link show eth0 | jq .[0].txqlen) $(on master ip -j link show eth0 | jq .[0].txqlen)"
	coordinator DEL "$all" h
	on master ip link del stale
	conf='{"cniVersion":"1.1.0","name":"n","type":"coordinator"}'
	ok 'coordinator STATUS' chain_run master STATUS "$conf" '' '' '' ''
	conf='{"cniVersion":"1.1.0","name":"n","type":"ipvlan","ipam":{"type":"fixed"}}'
	ok 'ipvlan STATUS, by the delegate' chain_run master STATUS "$conf" '' '' '' ''
	same 'ipvlan STATUS when the delegate is not ready' 'plugin fixed: no address left; in the pool of the test' \
		"$(chain_run master STATUS "$(edit "$conf" '.ipam.fail = "STATUS"')" '' '' '' '' | jq -r .msg)"

	# --- the agent's part of the configuration
	short=$(edit "$list" '.plugins[1] = {type: "coordinator", mode: "auto", hijackCIDR: ["100.64.0.0/10"], timeout_ms: 300}')
	baseline h
	spurned 'coordinator without an agent' \
		"11 ask the agent for the coordinator's configuration: no agent at /var/run/spidernet/spiderpool.sock (connect to /var/run/spidernet/spiderpool.sock: No such file or directory): is it running? look at \"kubectl get pods -A -o wide -l app.kubernetes.io/component=spiderpool-agent\", or on this node at \"systemctl status spiderpool-agent\" and \"journalctl -u spiderpool-agent\"" "$short"
	socket=$(node_dir master /var/run/spidernet)/spiderpool.sock
	answer='{"mode":"underlay","overlayPodCIDR":["10.244.0.0/16"],"serviceCIDR":["10.96.0.0/12"],"hijackCIDR":["169.254.0.0/16"],"tunePodRoutes":true}'
	(
		# not there yet when it is first looked for
		sleep 0.2
		exec "$here/answer.py" "$socket" 2 200 "$answer"
	) >"$work/requests" &
	servers="$servers $!"
	ok 'ADD waits for the agent' coordinator ADD "$(edit "$short" '.plugins[1].timeout_ms = 30000')" h
	same 'the agent is asked for this pod' 'GET /v1/coordinator/config {"podName":"h","podNamespace":"default"}' \
		"$(head -n 1 "$work/requests")"
	same 'its values, and ours in their place' '10.96.0.0/12
10.244.0.0/16
100.64.0.0/10' "$(in_pod h ip -j route show dev veth0 | jq -r '.[] | select(.gateway) | .dst' | sort -V)"
	ok 'CHECK asks too' coordinator CHECK "$short" h
	coordinator DEL "$short" h
	in_pod h sh -c 'nft flush ruleset; ip rule del pref 1000'
	"$here/answer.py" "$socket" 1 500 '"spidercoordinator: default no ready"' >"$work/requests" &
	servers="$servers $!"
	baseline h
	spurned 'coordinator when the agent is not ready' \
		"11 ask the agent for the coordinator's configuration: agent: spidercoordinator: default no ready" \
		"$(edit "$short" '.plugins[1].timeout_ms = 30000')"

	# --- what it costs
	if command -v strace >/dev/null; then
		coordinator_conf=$(printf %s "$list" | jq -c --argjson prev "$result" \
			'. as $l | .plugins[1] + {name: $l.name, cniVersion: $l.cniVersion, prevResult: $prev}')
		printf %s "$coordinator_conf" | on master env CNI_COMMAND=ADD CNI_CONTAINERID="$(cid h)" CNI_NETNS="$(pod_netns h)" \
			CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin strace -qq -o "$work/strace" /opt/cni/bin/coordinator >/dev/null
		n=$(grep -c '^sendto\|^sendmsg' "$work/strace")
		echo "# one ADD of the coordinator: $n netlink requests, $(wc -l <"$work/strace") system calls"
		# shellcheck disable=SC2016 # expanded by the inner shell
		on master sh -c 'conf=$1 t0=$(date +%s%N)
			export CNI_CONTAINERID="$2" CNI_NETNS="$3" CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
			for i in 1 2 3 4 5; do
				printf %s "$conf" | CNI_COMMAND=DEL /opt/cni/bin/coordinator
				printf %s "$conf" | CNI_COMMAND=ADD /opt/cni/bin/coordinator >/dev/null
			done
			t1=$(date +%s%N)
			for i in 1 2 3 4 5 6 7 8 9 10; do
				printf %s "$conf" | CNI_COMMAND=VERSION /opt/cni/bin/coordinator >/dev/null
			done
			t2=$(date +%s%N)
			echo "# five DEL and ADD of the coordinator: $(((t1 - t0) / 1000000)) ms; ten VERSION: $(((t2 - t1) / 1000000)) ms"' \
			sh "$coordinator_conf" "$(cid h)" "$(pod_netns h)"
		ok 'one ADD of the coordinator sends at most 40 netlink requests' test "$n" -le 40
		coordinator DEL "$list" h
	fi
}

[ "${DATAPATH_PART:-ipvlan}" != ipvlan ] || ipvlan_part
[ "${DATAPATH_PART:-port}" != port ] || port_part
[ "${DATAPATH_PART:-master}" != master ] || master_part
[ "${DATAPATH_PART:-coordinator}" != coordinator ] || coordinator_part
[ "${DATAPATH_PART:-ipv6}" != ipv6 ] || ipv6_part
[ "${DATAPATH_PART:-refusals}" != refusals ] || refusals_part
exit "$failed"
