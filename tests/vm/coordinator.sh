#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/vm/coordinator.sh [PART]...
#
# The coordinator in every mode, on a node with three cards: pods with several interfaces, beside
# another plugin's eth0, of both families; on nodes with a virtual address and with each kind of
# reverse path filter; every option; every kind of failure.  Interfaces are made here, as the
# plugin before it would.  Prints TAP.
#
# MARKS=packets, MARKS=nothing: in a kernel without nft_ct, and without nf_tables; see run.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"

work=/run/coordinator
mkdir -p "$work"
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

# --- pods and their interfaces

cid() {
	printf %s "$1" | sha256sum | cut -c1-64
}
host_end() {
	echo "veth$(cid "$1" | cut -c1-11)"
}
# slave POD NAME CARD ADDRESS GATEWAY: an ipvlan interface as its plugin makes it; CARD is macvlan:CARD for the other kind
slave() {
	slave_kind=ipvlan slave_mode=l2
	case $3 in macvlan:*) slave_kind=macvlan slave_mode=bridge ;; esac
	# the detour by another name: kernels as old as 6.1 compare with the node's names
	ip -n master link add slave0 link "${3#*:}" netns "$1" type "$slave_kind" mode "$slave_mode"
	ip -n "$1" -batch - <<-EOF
		link set slave0 name $2
		link set $2 up
		address add $4 dev $2 $(case $4 in *:*) echo nodad ;; esac)
		$(case $5 in '') ;; *:*) echo "route append default via $5 dev $2" ;; *) echo "route prepend default via $5 dev $2" ;; esac)
	EOF
}
# more POD NAME ADDRESS GATEWAY: one more address of an interface
more() {
	ip -n "$1" address add "$3" dev "$2" nodad
	[ -z "$4" ] || ip -n "$1" route append default via "$4" dev "$2"
}

all_keys='"overlayPodCIDR":[],"serviceCIDR":["10.233.0.0/18"],"hijackCIDR":["169.254.0.0/16"],"policyRoutes":[],
	"podMACPrefix":"","tunePodRoutes":true,"podDefaultRouteNic":"","vethLinkAddress":"","vethMTU":1500,
	"hostRuleTable":500,"podRPFilter":0,"txQueueLen":0'
# conf [KEYS]: a configuration with every key, so that no agent is asked
conf() {
	printf '{"cniVersion":"1.0.0","name":"n","type":"coordinator","mode":"auto",%s%s}' "$all_keys" "${1:+,$1}" | jq -c .
}
# call COMMAND POD NAME CONF
call() {
	printf %s "$4" | jq -c --arg name "$3" --arg ns "$(pod_netns "$2")" \
		'. + {prevResult: {cniVersion: "1.0.0", interfaces: [{name: "host"}, {name: $name, mac: "00:00:00:00:00:00", sandbox: $ns}], ips: [], routes: [{dst: "0.0.0.0/0"}]}}' |
		on master env CNI_COMMAND="$1" CNI_CONTAINERID="$(cid "$2")" CNI_NETNS="${NETNS-$(pod_netns "$2")}" CNI_IFNAME="$3" \
			CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$2" CNI_PATH=/opt/cni/bin ${WITH:+$WITH} /opt/cni/bin/coordinator
}
add() { call ADD "$1" "$2" "$(conf "${3:-}")"; }
del() { call DEL "$1" "$2" "$(conf "${3:-}")"; }
check() { call CHECK "$1" "$2" "$(conf "${3:-}")"; }

# --- what a namespace holds; addresses that the kernel makes by itself come and go

printf 'link show\naddress show\nroute show table all\nrule show\n' >"$work/show4"
printf 'route show table all\nrule show\n' >"$work/show6"
# shellcheck disable=SC2016 # expanded by the inner shell
dump_here='ip -4 -o -batch "$0/show4" | sed "s/ qlen [0-9]*//; s/state [A-Z]*//"
ip -6 -batch "$0/show6" | grep -v "fe80:\|^multicast\|^anycast\|^local"
ip neigh show nud permanent | sort
nft list ruleset
cd /proc/sys/net/ipv4/conf
grep -H . */rp_filter */arp_notify ../tcp_fwmark_accept ../fwmark_reflect'
node_dump() {
	on master sh -c "$dump_here" "$work"
	ls "$(node_dir master /var/lib/spidernet)/datapath" 2>/dev/null
}
pod_dump() { in_pod "$1" sh -c "$dump_here" "$work"; }

# baseline POD: what it and the node hold now
baseline() {
	base_pod=$1
	base_node=$(node_dump)
	base_in_pod=$(pod_dump "$1")
}
# as_before DESCRIPTION: nothing has changed since
as_before() {
	same "$1: the node is as before" "$base_node" "$(node_dump)"
	same "$1: the pod is as before" "$base_in_pod" "$(pod_dump "$base_pod")"
}
# spurned DESCRIPTION WANTED NAME [KEYS]: ADD to the baseline's pod fails so, and nothing is left
spurned() {
	ref_out=$(add "$base_pod" "$3" "${4:-}" 2>"$work/stderr") && echo "# it succeeded: $ref_out"
	same "$1" "$2" "$(printf %s "$ref_out" | jq -r '"\(.code) \(.msg)"')"
	as_before "$1"
}

# shellcheck disable=SC2317 # called by ok
answers_within() {
	if [ -n "${4:-}" ]; then
		"$1" "$2" ping -n -q -c 1 -W 3 -I "$4" "$3"
	else
		"$1" "$2" ping -n -q -c 1 -W 3 "$3"
	fi
}
# reach DESCRIPTION on|in_pod NAME ADDRESS [SOURCE]
reach() {
	ok "$1" answers_within "$2" "$3" "$4" "${5:-}"
}
mac_of() {
	"$1" "$2" ip -j link show "$3" | jq -r '.[0].address'
}
# rules POD [-6]
rules() {
	in_pod "$1" ip "${2:--4}" rule | sed 's/\t/ /; s/from all //; s/lookup //; s/ $//'
}
# table POD NUMBER [-6]
table() {
	in_pod "$1" ip "${3:--4}" route show table "$2" | sed 's/ *$//'
}
# serve NAMESPACE NAME: echo.py in it, once
serve() {
	ip netns exec "$1" "$here/echo.py" "$2" 8080 400 >"$work/echo-$2" 2>&1 &
	servers="$servers $!"
	tries=0
	until grep -q ready "$work/echo-$2" || [ "$tries" -gt 200 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
}
# asked KIND ADDRESS PORT: what a client elsewhere hears
asked() {
	outside "$here/ask.py" "$1" "$2" "$3" 3 2>&1
}

# --- start

node_ipv6() {
	ip -n master -batch - <<-EOF
		address add fd06::2/64 dev eth2 nodad
		address add fd00::183/64 dev eth0 nodad
		address add fd01::154/64 dev eth1 nodad
	EOF
	on master sysctl -qw net.ipv6.conf.all.forwarding=1
}
start() {
	fabric_up || exit 1
	on master cp "$SPIDERBOX" /opt/cni/bin/coordinator
	# a third card, in a network that nobody watches
	ip netns add lan
	echo lan >>"$fabric_dir/pods"
	ip -n master link add eth2 type veth peer name lan0 netns lan
	ip -n master -batch - <<-EOF
		link set eth2 up
		address add 10.6.0.2/24 dev eth2
	EOF
	node_ipv6
	ip -n lan -batch - <<-EOF
		link set lo up
		link set lan0 up
		address add 10.6.0.1/24 dev lan0
		address add fd06::1/64 dev lan0 nodad
		address add 10.60.0.1/32 dev lo
		route add default via 10.6.0.2
	EOF
	on master sysctl -qw net.ipv4.conf.all.rp_filter=0
}

# the guide's pod, and further interfaces
eth0() { slave "$1" eth0 eth0 172.31.199.185/20 172.31.207.253; }
net1() { slave "$1" net1 eth1 192.168.0.156/24 192.168.0.253; }
net2() { slave "$1" net2 eth2 10.6.0.9/24 10.6.0.1; }

# --- several interfaces in mode underlay

underlay_part() {
	node_before=$(node_dump)
	pod_new a
	eth0 a
	ok 'ADD of the first interface' add a eth0
	net1 a
	baseline a
	ok 'ADD of the second' add a net1
	end=$(host_end a)
	same 'rules: each interface'\''s address to its table, but for what is marked' '0: local
997: from 192.168.0.156 fwmark 0/0x1 102
998: from 172.31.199.185 fwmark 0/0x1 101
1000: fwmark 0x1/0x1 100
32766: main
32767: default' "$(rules a)"
	same 'main: the first interface keeps the default route' 'default via 172.31.207.253 dev eth0
10.6.0.2 dev veth0 scope link src 172.31.199.185
10.233.0.0/18 via 172.31.199.183 dev veth0 src 172.31.199.185
169.254.0.0/16 via 172.31.199.183 dev veth0 src 172.31.199.185
172.31.192.0/20 dev eth0 proto kernel scope link src 172.31.199.185
172.31.199.183 dev veth0 scope link src 172.31.199.185
192.168.0.0/24 dev net1 proto kernel scope link src 192.168.0.156
192.168.0.154 dev veth0 scope link src 172.31.199.185' "$(table a main)"
	same 'table 101: the first interface'\''s' 'default via 172.31.207.253 dev eth0
10.6.0.2 dev veth0 scope link src 172.31.199.185
10.233.0.0/18 via 172.31.199.183 dev veth0 src 172.31.199.185
169.254.0.0/16 via 172.31.199.183 dev veth0 src 172.31.199.185
172.31.192.0/20 dev eth0 scope link src 172.31.199.185
172.31.199.183 dev veth0 scope link src 172.31.199.185
192.168.0.154 dev veth0 scope link src 172.31.199.185' "$(table a 101)"
	same 'table 102: the second'\''s' 'default via 192.168.0.253 dev net1
10.6.0.2 dev veth0 scope link src 172.31.199.185
10.233.0.0/18 via 192.168.0.154 dev veth0 src 172.31.199.185
169.254.0.0/16 via 192.168.0.154 dev veth0 src 172.31.199.185
172.31.199.183 dev veth0 scope link src 172.31.199.185
192.168.0.0/24 dev net1 scope link src 192.168.0.156
192.168.0.154 dev veth0 scope link src 172.31.199.185' "$(table a 102)"
	same 'on the node both are behind one interface' "172.31.199.185 dev $end scope link src 172.31.199.183
192.168.0.156 dev $end scope link src 192.168.0.154" "$(on master ip -4 route show table 500 | sed 's/ *$//')"
	same 'with one MAC address' "172.31.199.185 dev $end lladdr $(mac_of in_pod a veth0) PERMANENT
192.168.0.156 dev $end lladdr $(mac_of in_pod a veth0) PERMANENT" "$(on master ip -4 neigh show nud permanent | sort | sed 's/ *$//')"
	same 'a record of each' "$(cid a)-eth0.json
$(cid a)-net1.json" "$(ls "$(node_dir master /var/lib/spidernet/datapath)")"
	same 'what the record tells' "$(cid a) net1 false false veth0 $end 102 500 192.168.0.156 192.168.0.154,172.31.199.183,10.6.0.2 172.31.199.185" \
		"$(jq -r '"\(.containerID) \(.ifName) \(.overlay) \(.first) \(.podLink) \(.hostLink) \(.table) \(.hostTable) \(.podIPs[0]) \(.nodeIPs | join(",")) \(.src)"' "$(node_dir master /var/lib/spidernet/datapath)/$(cid a)-net1.json")"
	after_node=$(node_dump) after_pod=$(pod_dump a)
	ok 'ADD of the second again' add a net1
	same 'changes nothing on the node' "$after_node" "$(node_dump)"
	same 'nor in the pod' "$after_pod" "$(pod_dump a)"
	ok 'CHECK of the first' check a eth0
	ok 'CHECK of the second' check a net1
	ok 'CHECK of the second, configured otherwise since' check a net1 '"hijackCIDR":["10.99.0.0/16"],"tunePodRoutes":false,"mode":"disable"'
	same 'which does not hide what is missing' 'the pod lacks the route to 10.233.0.0/18 in table 102' \
		"$(in_pod a ip route del 10.233.0.0/18 table 102; check a net1 '"serviceCIDR":[]' | jq -r .msg)"
	ok 'ADD makes it again' add a net1
	net2 a
	ok 'ADD of the third' add a net2
	same 'its table, and its rule' '996: from 10.6.0.9 fwmark 0/0x1 103' "$(rules a | grep 103)"
	same 'its routes' 'default via 10.6.0.1 dev net2
10.6.0.0/24 dev net2 scope link src 10.6.0.9
10.6.0.2 dev veth0 scope link src 172.31.199.185
10.233.0.0/18 via 10.6.0.2 dev veth0 src 172.31.199.185
169.254.0.0/16 via 10.6.0.2 dev veth0 src 172.31.199.185
172.31.199.183 dev veth0 scope link src 172.31.199.185
192.168.0.154 dev veth0 scope link src 172.31.199.185' "$(table a 103)"
	same 'the default route of main is the first'\''s' 'default via 172.31.207.253 dev eth0' "$(table a main | grep default)"
	for nic in eth0 net1 net2; do
		ok "CHECK of $nic" check a "$nic"
	done

	# --- traffic of each
	for address in 172.31.199.185 192.168.0.156 10.6.0.9; do
		reach "node to $address of its pod" on master "$address"
		for node in 172.31.199.183 192.168.0.154 10.6.0.2; do
			reach "pod as $address to its node at $node" in_pod a "$node" "$address"
		done
	done
	reach 'pod to the world, by the first interface' in_pod a "$client_ip" 172.31.199.185
	reach 'pod to the world, by the second' in_pod a "$client_ip" 192.168.0.156
	reach 'pod to the world, by the third' in_pod a 10.60.0.1 10.6.0.9
	for address in 172.31.199.185 192.168.0.156; do
		ok "the world to $address" outside ping -n -q -c 1 -W 3 "$address"
		ok "another node, from its second card, to $address" on worker ping -n -q -c 1 -W 3 -I 192.168.0.155 "$address"
		ok "another node, from its first card, to $address" on worker ping -n -q -c 1 -W 3 -I 172.31.199.184 "$address"
	done
	same 'each answer left by the card whose address it has' 0 "$(spoofed)"
	in_pod a ip rule del pref 998
	ok 'control: without its rule the first interface'\''s answer would leave by the other' \
		not on worker ping -n -q -c 1 -W 1 -I 192.168.0.155 172.31.199.185
	ok 'and the network would drop it' test "$(spoofed)" -gt 0
	same 'CHECK misses the rule' 'the pod lacks rule 998 from 172.31.199.185 to table 101' "$(check a net1 | jq -r .msg)"
	ok 'ADD makes it again' add a net1
	in_pod a ip route del 10.233.0.0/18 table 102
	same 'CHECK misses a route' 'the pod lacks the route to 10.233.0.0/18 in table 102' "$(check a net1 | jq -r .msg)"
	ok 'ADD makes it again' add a net1
	in_pod a ip route del default table 102
	same 'CHECK misses the default route' 'the pod lacks the route to 0.0.0.0/0 in table 102' "$(check a net1 | jq -r .msg)"
	in_pod a ip route add default via 192.168.0.253 dev net1 table 102
	in_pod a ip route replace default via 172.31.199.184 dev veth0 onlink table 100
	same 'CHECK finds answers going by another gateway' 'the pod lacks the route to 0.0.0.0/0 in table 100' "$(check a eth0 | jq -r .msg)"
	in_pod a ip route replace default via 172.31.199.183 dev veth0 src 172.31.199.185 table 100
	in_pod a ip rule del pref 1000
	in_pod a ip rule add pref 1000 fwmark 0x1/0xff lookup 100
	same 'CHECK finds a rule with another mask' 'the pod lacks rule 1000 to table 100' "$(check a eth0 | jq -r .msg)"
	in_pod a ip rule del pref 1000
	in_pod a ip rule add pref 1000 fwmark 0x1/0x1 lookup 100
	in_pod a nft list table inet spiderbox >"$work/marks"
	in_pod a nft flush table inet spiderbox
	same 'CHECK finds a table that marks nothing' 'the pod lacks the rules of nf_tables table inet spiderbox' "$(check a eth0 | jq -r .msg)"
	in_pod a nft -f "$work/marks"
	mac=$(in_pod a ip neigh show 172.31.199.183 | sed 's/.*lladdr \([^ ]*\).*/\1/')
	in_pod a ip neigh replace 172.31.199.183 lladdr 02:00:00:00:00:99 dev veth0 nud permanent
	same 'CHECK finds the node at another MAC address' "the pod lacks neighbour 172.31.199.183 at $mac" "$(check a eth0 | jq -r .msg)"
	in_pod a ip neigh del 172.31.199.183 dev veth0
	same 'CHECK misses it' "the pod lacks neighbour 172.31.199.183 at $mac" "$(check a eth0 | jq -r .msg)"
	in_pod a ip neigh replace 172.31.199.183 lladdr "$mac" dev veth0 nud permanent
	in_pod a ip route del 172.31.199.183 dev veth0
	same 'CHECK misses the route to it' 'the pod lacks the route to 172.31.199.183/32 in table 254' "$(check a eth0 | jq -r .msg)"
	in_pod a ip route add 172.31.199.183 dev veth0 src 172.31.199.185
	in_pod a ip route replace default via 192.168.0.253 dev net1
	same 'CHECK misses the first interface'\''s default route' 'the pod lacks the route to 0.0.0.0/0 in table 254' "$(check a eth0 | jq -r .msg)"
	in_pod a ip route replace default via 172.31.207.253 dev eth0
	ok 'CHECK of the first' check a eth0
	in_pod a ip route append default via 192.168.0.253 dev net1
	same 'CHECK finds a default route too many' 'the pod'\''s main table has the default route of another interface' \
		"$(check a net1 | jq -r .msg)"
	in_pod a ip route del default via 192.168.0.253

	# --- one leaves, the others stay
	ok 'DEL of the third' del a net2
	ip -n a link del net2
	same 'leaves what was before it, on the node' "$after_node" "$(node_dump)"
	same 'and in the pod' "$after_pod" "$(pod_dump a)"
	ok 'DEL of the second' del a net1
	same 'the first interface has a table of its own still' '998: from 172.31.199.185 fwmark 0/0x1 101' "$(rules a | grep ' 10[1-9]$')"
	same 'the node has forgotten the second' "$base_node" "$(node_dump)"
	ok 'DEL of the second again' del a net1
	ip -n a link del net1
	reach 'the pod is still reached' on master 172.31.199.185
	net1 a
	ok 'it comes again' add a net1
	same 'to the same table' '997: from 192.168.0.156 fwmark 0/0x1 102' "$(rules a | grep 192.168)"

	# --- without records, and without the pod
	rm "$(node_dir master /var/lib/spidernet/datapath)"/*
	ok 'ADD without the record of the first' add a net1
	same 'finds its table by the rule' '997: from 192.168.0.156 fwmark 0/0x1 102' "$(rules a | grep 192.168)"
	rm "$(node_dir master /var/lib/spidernet/datapath)"/*
	ok 'DEL of the second without a record' del a net1
	same 'leaves the node'\''s routes to the first' "172.31.199.185 dev $end scope link src 172.31.199.183" \
		"$(on master ip -4 route show table 500 | sed 's/ *$//')"
	same 'and no rule in the pod' '' "$(rules a | grep 192.168)"
	ok 'ADD of the second' add a net1
	NETNS='' ok 'DEL of the second without the namespace' del a net1
	same 'leaves the node'\''s routes to the first' "172.31.199.185 dev $end scope link src 172.31.199.183" \
		"$(on master ip -4 route show table 500 | sed 's/ *$//')"
	NETNS='' ok 'DEL of the first without the namespace' del a eth0
	same 'the node is as it was' "$node_before" "$(node_dump)"
	pod_del a
}

# --- who has the default route

default_part() {
	pod_new b
	new_rules=$(rules b)
	wanted='"podDefaultRouteNic":"net2"'
	eth0 b
	ok 'ADD of the first interface, with another that is to come wanted' add b eth0 "$wanted"
	net1 b
	ok 'ADD of the second' add b net1 "$wanted"
	same 'nothing moves before it comes' 'default via 172.31.207.253 dev eth0' "$(table b main | grep default)"
	net2 b
	baseline b
	ok 'ADD of the one that is wanted' add b net2 "$wanted"
	same 'it has the default route' 'default via 10.6.0.1 dev net2' "$(table b main | grep default)"
	same 'the first has its own' 'default via 172.31.207.253 dev eth0' "$(table b 101 | grep default)"
	same 'the second too' 'default via 192.168.0.253 dev net1' "$(table b 102 | grep default)"
	for nic in eth0 net1 net2; do
		ok "CHECK of $nic" check b "$nic" "$wanted"
	done
	reach 'without a source, by the third' in_pod b 10.60.0.1
	reach 'as the first, by the first' in_pod b "$client_ip" 172.31.199.185
	reach 'as the second, by the second' in_pod b "$client_ip" 192.168.0.156
	reach 'to the node' in_pod b 172.31.199.183
	reach 'from the node' on master 172.31.199.185
	on master nft -f - <<-'NFT'
		table ip proxy {
			chain nodeports {
				type nat hook prerouting priority dstnat;
				ip daddr 172.31.199.183 tcp dport 30001 dnat to 172.31.199.185:8080
				ip daddr 172.31.199.183 tcp dport 30002 dnat to 192.168.0.156:8080
			}
		}
	NFT
	serve b b
	same 'to a node port that keeps the client' "b sees $client_ip" "$(asked tcp 172.31.199.183 30001)"
	same 'and to one whose endpoint is the second address' "b sees $client_ip" "$(asked tcp 172.31.199.183 30002)"
	on master nft delete table ip proxy
	kill "${servers##* }"

	ok 'ADD again, and another one is wanted' add b net2 '"podDefaultRouteNic":"net1"'
	same 'it has the default route' 'default via 192.168.0.253 dev net1' "$(table b main | grep default)"
	ok 'ADD again, and the first is wanted' add b net2 '"podDefaultRouteNic":"eth0"'
	same 'it has it again' 'default via 172.31.207.253 dev eth0' "$(table b main | grep default)"
	ok 'ADD again, and nobody is wanted' add b net2
	same 'who has it keeps it' 'default via 172.31.207.253 dev eth0' "$(table b main | grep default)"
	add b net2 "$wanted" >/dev/null
	ok 'DEL of the one that has the default route, alone' del b net2
	same 'the first has it again' 'default via 172.31.207.253 dev eth0' "$(table b main | grep default)"
	reach 'without a source, by the first' in_pod b "$client_ip"
	for nic in eth0 net1; do
		ok "CHECK of $nic" check b "$nic" "$wanted"
	done
	ok 'ADD of it again' add b net2 "$wanted"
	ip -n b link del net2
	ok 'its interface goes before its DEL' del b net2
	same 'the first has the default route again' 'default via 172.31.207.253 dev eth0' "$(table b main | grep default)"
	for nic in net2 net1 eth0; do
		ok "DEL of $nic" del b "$nic"
	done
	same 'no rule is left in the pod' "$new_rules" "$(rules b)"
	pod_del b

	# tunePodRoutes off
	pod_new c
	eth0 c
	add c eth0 >/dev/null
	slave c net1 eth1 192.168.0.156/24 ''
	baseline c
	ok 'ADD without tunePodRoutes' add c net1 '"tunePodRoutes":false,"policyRoutes":[{"dst":"10.8.0.0/16","gw":"192.168.0.253"}]'
	same 'no rule to a table' '' "$(rules c | grep from)"
	same 'but policyRoutes and the ways to the node in its own' '10.6.0.2 dev veth0 scope link src 172.31.199.185
10.8.0.0/16 via 192.168.0.253 dev net1
10.233.0.0/18 via 192.168.0.154 dev veth0 src 172.31.199.185
169.254.0.0/16 via 192.168.0.154 dev veth0 src 172.31.199.185
172.31.199.183 dev veth0 scope link src 172.31.199.185
192.168.0.154 dev veth0 scope link src 172.31.199.185' "$(table c 102)"
	ok 'CHECK' check c net1 '"tunePodRoutes":false'
	ok 'CHECK goes by what the ADD had, not by what was configured since' check c net1 '"mode":"overlay","serviceCIDR":["10.99.0.0/16"],"podDefaultRouteNic":"net1","hostRuleTable":600'
	in_pod c ip route del 10.8.0.0/16 table 102
	same 'and misses a policy route' 'the pod lacks the route to 10.8.0.0/16 in table 102' "$(check c net1 | jq -r .msg)"
	ok 'DEL' del c net1
	as_before 'DEL without tunePodRoutes'
	del c eth0
	pod_del c
}

# --- both families

dual_keys='"serviceCIDR":["10.233.0.0/18","fd00:10::/108"]'
ipv6_part() {
	on master ip address add 10.255.0.1/32 dev lo # a virtual one, the node's first
	on master ip address add fd0f::1/128 dev lo
	node_before=$(node_dump)
	pod_new d
	new_rules="$(rules d) $(rules d -6)"
	eth0 d
	more d eth0 fd00::5/64 fd00::fd
	ok 'ADD with both families' add d eth0 "$dual_keys"
	end=$(host_end d)
	same "the node's end has its addresses" '172.31.199.183/32 fd00::183/128' \
		"$(on master ip -j address show "$end" | jq -r '[.[0].addr_info[] | select(.scope == "global") | "\(.local)/\(.prefixlen)"] | join(" ")')"
	same 'and no routes to them' '' "$(on master ip -6 route show dev "$end" | grep -v fe80)"
	same "the node's table 500 of IPv6" "fd00::5 dev $end src fd00::183 metric 1024 pref medium" "$(on master ip -6 route show table 500)"
	same "the pod's table 100 of IPv6" 'default via fd00::183 dev veth0 metric 1024 pref medium' "$(table d 100 -6)"
	same 'its neighbours of IPv6' "fd00::183 dev veth0 lladdr $(mac_of on master "$end") PERMANENT
fd01::154 dev veth0 lladdr $(mac_of on master "$end") PERMANENT
fd06::2 dev veth0 lladdr $(mac_of on master "$end") PERMANENT" "$(in_pod d ip -6 neigh show nud permanent | sort | sed 's/ *$//')"
	net1 d
	more d net1 fd01::9/64 fd01::fd
	same 'two default routes of IPv6 are one with two nexthops' 2 "$(table d main -6 | grep -c nexthop)"
	baseline d
	ok 'ADD of a second interface' add d net1 "$dual_keys"
	same 'the first keeps the default route' 'default via fd00::fd dev eth0 metric 1024 pref medium' "$(table d main -6 | grep default)"
	same 'table 102 of IPv6' 'fd00::183 dev veth0 metric 1024 pref medium
fd00:10::/108 via fd01::154 dev veth0 metric 1024 pref medium
fd01::154 dev veth0 metric 1024 pref medium
fd01::/64 dev net1 metric 256 pref medium
fd06::2 dev veth0 metric 1024 pref medium
default via fd01::fd dev net1 metric 1024 pref medium' "$(table d 102 -6)"
	same 'rules of IPv6' '0: local
997: from fd01::9 fwmark 0/0x1 102
998: from fd00::5 fwmark 0/0x1 101
1000: fwmark 0x1/0x1 100
32766: main' "$(rules d -6)"
	for nic in eth0 net1; do
		ok "CHECK of $nic" check d "$nic" "$dual_keys"
	done
	for address in 172.31.199.185 192.168.0.156 fd00::5 fd01::9; do
		reach "node to $address of its pod" on master "$address"
	done
	reach 'pod to its node by IPv6' in_pod d fd00::183 fd00::5
	reach 'the same from the second interface' in_pod d fd00::183 fd01::9
	reach 'to the other address' in_pod d fd01::154 fd01::9

	# --- what the pod sees as the node, though a virtual address is its first
	serve d d
	same 'the node talks as itself' 'd sees 172.31.199.183' "$(on master "$here/ask.py" tcp 172.31.199.185 8080 2>&1)"
	same 'and to the second address as its second card' 'd sees 192.168.0.154' "$(on master "$here/ask.py" tcp 192.168.0.156 8080 2>&1)"
	on master nft -f - <<-NFT
		table ip proxy {
			chain nodeports {
				type nat hook prerouting priority dstnat;
				ip daddr 172.31.199.183 tcp dport 30001 dnat to 172.31.199.185:8080
				ip daddr 172.31.199.183 tcp dport 30002 dnat to 192.168.0.156:8080
			}
			chain sources {
				type nat hook postrouting priority srcnat;
				ct status dnat masquerade
			}
		}
	NFT
	same 'what is masqueraded comes from the node' 'd sees 172.31.199.183' "$(asked tcp 172.31.199.183 30001)"
	same 'to the second address, too' 'd sees 172.31.199.183' "$(asked tcp 172.31.199.183 30002)"
	on master sh -c "ip address add 10.255.9.9/32 dev $end && ip address del 172.31.199.183/32 dev $end && ip address del 10.255.9.9/32 dev $end &&
		ip route replace 172.31.199.185 dev $end table 500 src 172.31.199.183"
	same 'control: without the address it comes from the virtual one' 'd sees 10.255.0.1' "$(asked tcp 172.31.199.183 30001)"
	on master nft delete table ip proxy
	kill "${servers##* }"
	routes_of_the_card=$(on master ip -4 route show table all dev eth0)
	ok 'DEL' del d net1 "$dual_keys"
	ok 'DEL' del d eth0 "$dual_keys"
	same 'no rule is left in the pod' "$new_rules" "$(rules d) $(rules d -6)"
	same 'the routes of the card that has the address stand' "$routes_of_the_card" "$(on master ip -4 route show table all dev eth0)"
	same 'the node is as it was' "$node_before" "$(node_dump)"
	pod_del d

	# --- the default routes, there and back
	pod_new d
	eth0 d
	more d eth0 fd00::5/64 fd00::fd
	add d eth0 "$dual_keys" >/dev/null
	before_main="$(table d main) $(table d main -6)"
	net1 d
	more d net1 fd01::9/64 fd01::fd
	add d net1 "$dual_keys,\"podDefaultRouteNic\":\"net1\"" >/dev/null
	same 'the second has the default routes' 'default via 192.168.0.253 dev net1 default via fd01::fd dev net1 metric 1024 pref medium' \
		"$(table d main | grep default) $(table d main -6 | grep default)"
	ok 'DEL of it' del d net1 "$dual_keys"
	ip -n d link del net1
	same 'main is as before' "$before_main" "$(table d main) $(table d main -6)"
	del d eth0 "$dual_keys"
	pod_del d

	# --- families that come with different interfaces
	pod_new e
	eth0 e
	add e eth0 "$dual_keys" >/dev/null
	slave e net1 eth1 fd01::9/64 fd01::fd
	ok 'ADD of the first interface with IPv6' add e net1 "$dual_keys"
	same 'it keeps its default route' 'default via fd01::fd dev net1 metric 1024 pref medium' "$(table e main -6 | grep default)"
	same 'and main has the ways to services' 'fd00:10::/108 via fd01::154 dev veth0 metric 1024 pref medium' "$(table e main -6 | grep fd00:10)"
	same 'what came by the node goes back there' 'default via fd01::154 dev veth0 metric 1024 pref medium' "$(table e 100 -6)"
	reach 'node to it' on master fd01::9
	reach 'it to the node' in_pod e fd00::183
	ok 'CHECK' check e net1 "$dual_keys"
	del e net1
	del e eth0
	pod_del e
	on master ip address del 10.255.0.1/32 dev lo
	on master ip address del fd0f::1/128 dev lo
}

# --- beside another plugin's eth0

# overlaid POD: as calico makes it
overlaid() {
	pod_new "$1"
	ip -n master link add "cali$1" type veth peer name slave0 netns "$1"
	ip -n "$1" -batch - <<-EOF
		link set slave0 name eth0
		link set eth0 address 0a:00:00:00:00:05 up
		address add 10.244.7.7/32 dev eth0
		route add 169.254.1.1 dev eth0 scope link
		route add default via 169.254.1.1 dev eth0
	EOF
	ip -n master link set "cali$1" address ee:ee:ee:ee:ee:ee up
	ip -n master route add 10.244.7.7 dev "cali$1" scope link
	on master sysctl -qw "net.ipv4.conf.cali$1.proxy_arp=1"
}

overlay_part() {
	on master ip address add 10.255.0.1/32 dev lo
	node_before=$(node_dump)
	overlaid f
	net1 f
	baseline f
	over='"overlayPodCIDR":["10.244.0.0/16"]'
	ok 'ADD beside eth0 of another plugin' add f net1 "$over"
	same 'rules' '0: local
998: from 192.168.0.156 101
999: from 10.244.7.7 100
32766: main
32767: default' "$(rules f)"
	same 'main' 'default via 169.254.1.1 dev eth0
10.6.0.2 dev eth0 scope link src 10.244.7.7
10.233.0.0/18 via 192.168.0.154 dev eth0 src 10.244.7.7
10.244.0.0/16 via 192.168.0.154 dev eth0 src 10.244.7.7
169.254.0.0/16 via 192.168.0.154 dev eth0 src 10.244.7.7
169.254.1.1 dev eth0 scope link
172.31.199.183 dev eth0 scope link src 10.244.7.7
192.168.0.0/24 dev net1 proto kernel scope link src 192.168.0.156
192.168.0.154 dev eth0 scope link src 10.244.7.7' "$(table f main)"
	same 'table 100: eth0'\''s' 'default via 169.254.1.1 dev eth0
10.6.0.2 dev eth0 scope link src 10.244.7.7
10.233.0.0/18 via 192.168.0.154 dev eth0 src 10.244.7.7
10.244.0.0/16 via 192.168.0.154 dev eth0 src 10.244.7.7
169.254.0.0/16 via 192.168.0.154 dev eth0 src 10.244.7.7
169.254.1.1 dev eth0 scope link
172.31.199.183 dev eth0 scope link src 10.244.7.7
192.168.0.154 dev eth0 scope link src 10.244.7.7' "$(table f 100)"
	same 'table 101: net1'\''s' 'default via 192.168.0.253 dev net1
10.6.0.2 dev eth0 scope link src 10.244.7.7
10.233.0.0/18 via 192.168.0.154 dev eth0 src 10.244.7.7
10.244.0.0/16 via 192.168.0.154 dev eth0 src 10.244.7.7
169.254.0.0/16 via 192.168.0.154 dev eth0 src 10.244.7.7
172.31.199.183 dev eth0 scope link src 10.244.7.7
192.168.0.0/24 dev net1 scope link src 192.168.0.156
192.168.0.154 dev eth0 scope link src 10.244.7.7' "$(table f 101)"
	same "the node's table 500" '192.168.0.156 dev calif scope link src 192.168.0.154' "$(on master ip -4 route show table 500 | sed 's/ *$//')"
	same "the node's neighbour" '192.168.0.156 dev calif lladdr 0a:00:00:00:00:05 PERMANENT' "$(on master ip -4 neigh show nud permanent | sed 's/ *$//')"
	same "the pod's neighbours" '10.6.0.2 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT
172.31.199.183 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT
192.168.0.154 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT' "$(in_pod f ip -4 neigh show nud permanent | sort | sed 's/ *$//')"
	same 'eth0 is another'\''s: nothing is marked, and its peer has no address' ' ' "$(in_pod f nft list ruleset) $(on master ip -4 address show calif)"
	ok 'CHECK' check f net1 "$over"
	after_node=$(node_dump) after_pod=$(pod_dump f)
	ok 'ADD again' add f net1 "$over"
	same 'changes nothing on the node' "$after_node" "$(node_dump)"
	same 'nor in the pod' "$after_pod" "$(pod_dump f)"
	reach 'node to net1' on master 192.168.0.156
	reach 'node to eth0' on master 10.244.7.7
	reach 'pod to its node' in_pod f 10.6.0.2
	reach 'pod to its node, as net1' in_pod f 172.31.199.183 192.168.0.156
	reach 'pod to the world as net1' in_pod f "$client_ip" 192.168.0.156
	ok 'the world to net1' outside ping -n -q -c 1 -W 3 192.168.0.156
	serve f f
	same 'the node talks to net1 as its card there, though a virtual address is its first' 'f sees 192.168.0.154' \
		"$(on master "$here/ask.py" tcp 192.168.0.156 8080 2>&1)"
	kill "${servers##* }"

	net2 f
	ok 'ADD of a second further interface' add f net2 "$over"
	same 'its table' '10.6.0.9 103' "$(rules f | sed -n 's/.*from \(10.6.*\)/\1/p')"
	reach 'node to it' on master 10.6.0.9
	reach 'by it' in_pod f 10.60.0.1 10.6.0.9
	for nic in net1 net2; do
		ok "CHECK of $nic" check f "$nic" "$over"
	done
	ok 'DEL of it' del f net2 "$over"
	ip -n f link del net2
	same 'leaves the node as before it' "$after_node" "$(node_dump)"
	same 'and the pod' "$after_pod" "$(pod_dump f)"
	ok 'ADD, and net1 is wanted for the default route' add f net1 "$over,\"podDefaultRouteNic\":\"net1\""
	same 'it has it' 'default via 192.168.0.253 dev net1' "$(table f main | grep default)"
	same 'eth0 has its own' 'default via 169.254.1.1 dev eth0' "$(table f 100 | grep default)"
	reach 'pod to the world without a source' in_pod f "$client_ip"
	reach 'node to eth0' on master 10.244.7.7
	ok 'ADD, and eth0 is wanted' add f net1 "$over,\"podDefaultRouteNic\":\"eth0\""
	same 'it has it again' 'default via 169.254.1.1 dev eth0' "$(table f main | grep default)"
	rm "$(node_dir master /var/lib/spidernet/datapath)"/*
	ok 'DEL without a record' del f net1 "$over"
	same 'the node is as before' "$base_node" "$(node_dump)"
	same 'and has no rule any more' '' "$(on master ip rule | grep '^1000:')"
	add f net1 "$over" >/dev/null
	NETNS='' ok 'DEL without the namespace' del f net1 "$over"
	same 'the node is as before' "$base_node" "$(node_dump)"
	ip -n f link del net1

	# --- what is no pair to the node
	in_pod f ip rule flush
	in_pod f ip rule add pref 32766 lookup main
	net1 f
	ip -n f link add other0 type dummy
	ip -n f link set other0 up
	ip netns add elsewhere
	echo elsewhere >>"$fabric_dir/pods"
	ip -n f link add other1 type veth peer name x netns elsewhere
	ip -n f link add other2 type veth peer name other3
	baseline f
	spurned 'eth0 is no veth' \
		'7 mode overlay: the way to the pod would be by its other0, which has to be a veth with the other end on this node: interface other0 is no veth, but of kind dummy' \
		net1 '"podDefaultCniNic":"other0"'
	for eth0 in other1 other2; do
		spurned 'eth0'\''s other end is elsewhere' \
			"7 mode overlay: the way to the pod would be by its $eth0, which has to be a veth with the other end on this node: the other end of veth $eth0 is not there" \
			net1 "\"podDefaultCniNic\":\"$eth0\""
	done
	spurned 'there is no eth0' '999 mode overlay: there is no interface other9 in the pod (podDefaultCniNic)' net1 '"podDefaultCniNic":"other9"'
	spurned 'mode overlay for the first interface' \
		'7 mode overlay: interface eth0 is the pod'\''s first (podDefaultCniNic is eth0); the mode is for others beside it' eth0 '"mode":"overlay"'
	spurned 'mode underlay where nobody made a pair' \
		'7 mode underlay: interface net1 is not the pod'\''s first (podDefaultCniNic is eth0), and the first one left no veth0: it needs the coordinator, too, or this one mode overlay' \
		net1 '"mode":"underlay"'
	pod_del f
	tries=0
	while on master ip link show calif >/dev/null 2>&1 && [ "$tries" -lt 200 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	same 'the node is as it was' "$node_before" "$(node_dump)"
	on master ip address del 10.255.0.1/32 dev lo
}

# --- reverse path filters, as the node's default and so every pod's

filters_part() {
	on master nft -f - <<-'NFT'
		table ip proxy {
			chain nodeports {
				type nat hook prerouting priority dstnat;
				ip daddr 172.31.199.183 tcp dport 30001 dnat to 172.31.199.185:8080
				ip daddr 172.31.199.183 udp dport 30001 dnat to 172.31.199.185:8080
			}
		}
	NFT
	for filter in 0 1 2; do
		sysctl -qw "net.ipv4.conf.default.rp_filter=$filter"
		on master sysctl -qw "net.ipv4.conf.default.rp_filter=$filter" "net.ipv4.conf.all.rp_filter=$filter"
		pod_new "g$filter"
		eth0 "g$filter"
		net1 "g$filter"
		add "g$filter" eth0 >/dev/null
		add "g$filter" net1 >/dev/null
		same "default $filter: the pod filters nowhere" '0 0 0 0 0' \
			"$(in_pod "g$filter" sh -c 'cd /proc/sys/net/ipv4/conf && cat all/rp_filter default/rp_filter eth0/rp_filter net1/rp_filter veth0/rp_filter' | xargs)"
		serve "g$filter" g
		for kind in tcp udp; do
			same "default $filter: $kind to a node port that keeps the client" "g sees $client_ip" "$(asked "$kind" 172.31.199.183 30001)"
		done
		reach "default $filter: node to the first address" on master 172.31.199.185
		reach "default $filter: node to the second address" on master 192.168.0.156
		reach "default $filter: pod to the node" in_pod "g$filter" 172.31.199.183 192.168.0.156
		ok "default $filter: the world to the second address" outside ping -n -q -c 1 -W 3 192.168.0.156
		kill "${servers##* }"
		del "g$filter" net1
		del "g$filter" eth0
		pod_del "g$filter"

		overlaid "o$filter"
		net1 "o$filter"
		add "o$filter" net1 >/dev/null
		reach "default $filter, beside eth0 of another plugin: node to net1" on master 192.168.0.156
		reach "default $filter, beside eth0 of another plugin: pod to the node" in_pod "o$filter" 172.31.199.183 192.168.0.156
		ok "default $filter, beside eth0 of another plugin: the world to net1" outside ping -n -q -c 1 -W 3 192.168.0.156
		del "o$filter" net1
		pod_del "o$filter"
	done
	sysctl -qw net.ipv4.conf.default.rp_filter=0
	on master sysctl -qw net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.rp_filter=0
	on master nft delete table ip proxy
}

# --- every option

options_part() {
	pod_new h
	slave h eth0 macvlan:eth2 10.6.0.9/24 10.6.0.1
	more h eth0 fd06::9/64 ''
	baseline h
	in_pod lan nft -f - <<-'NFT'
		table netdev told {
			chain in {
				type filter hook ingress device "lan0" priority 0;
				ether saddr 0a:1b:0a:06:00:09 arp operation request arp saddr ip 10.6.0.9 arp daddr ip 10.6.0.9 counter comment "arp"
				ether saddr 0a:1b:0a:06:00:09 ether type ip6 ip6 nexthdr icmpv6 icmpv6 type nd-neighbor-advert counter comment "nd"
			}
		}
	NFT
	keys='"podMACPrefix":"0a:1b","txQueueLen":77,"vethMTU":1400,"vethLinkAddress":"fd11::1","hostRuleTable":700,
		"hijackCIDR":["100.64.0.0/10"],"policyRoutes":[{"dst":"10.8.0.1","gw":"10.6.0.1"},{"dst":"fd08::/64","gw":"fd06::1"}]'
	result=$(add h eth0 "$keys")
	same 'podMACPrefix: the address behind it' 0a:1b:0a:06:00:09 "$(mac_of in_pod h eth0)"
	same 'and in the result' 'null 0a:1b:0a:06:00:09' "$(printf %s "$result" | jq -r '.interfaces | map(.mac | tostring) | join(" ")')"
	for kind in arp nd; do
		ok "neighbours are told ($kind)" test "$(in_pod lan nft -j list table netdev told |
			jq "[.nftables[] | select(.rule.comment == \"$kind\") | .rule.expr[] | select(.counter) | .counter.packets] | add")" -ge 1
	done
	reach 'they believe it' in_pod lan 10.6.0.9
	same 'txQueueLen' 77 "$(in_pod h ip -j link show eth0 | jq .[0].txqlen)"
	same 'vethMTU, on both ends' '1400 1400' "$(in_pod h ip -j link show veth0 | jq .[0].mtu) $(on master ip -j link show "$(host_end h)" | jq .[0].mtu)"
	same 'vethLinkAddress of IPv6' 'fd11::1/128' "$(in_pod h ip -j -6 address show veth0 | jq -r '.[0].addr_info[] | select(.scope == "global") | "\(.local)/\(.prefixlen)"')"
	same 'hostRuleTable' "1000: 700 10.6.0.9 dev $(host_end h) scope link src 10.6.0.2" \
		"$(on master ip rule | sed -n 's/^1000:.*lookup /1000: /p' | sed 's/ *$//') $(on master ip -4 route show table 700 | sed 's/ *$//')"
	same 'hijackCIDR' '100.64.0.0/10 via 10.6.0.2 dev veth0 src 10.6.0.9' "$(table h main | grep ^100)"
	same 'policyRoutes, in main' '10.8.0.1 via 10.6.0.1 dev eth0 fd08::/64 via fd06::1 dev eth0 metric 1024 pref medium' \
		"$(table h main | grep ^10.8) $(table h main -6 | grep fd08)"
	ok 'CHECK' check h eth0 "$keys"
	ok 'DEL finds the table by the record' del h eth0
	same 'the node is as before' "$base_node" "$(node_dump)"
	ip -n h link del eth0
	eth0 h
	in_pod h ip rule del pref 1000
	in_pod h ip -6 rule del pref 1000
	in_pod h nft flush ruleset
	baseline h
	spurned 'podMACPrefix on ipvlan' \
		'7 podMACPrefix: eth0 is an ipvlan interface and always has its master'\''s MAC address; remove podMACPrefix' eth0 '"podMACPrefix":"0a:1b"'
	ok 'podRPFilter -1' add h eth0 '"podRPFilter":-1'
	same 'leaves it' "$(printf %s "$base_in_pod" | grep rp_filter)" "$(pod_dump h | grep rp_filter | grep -v veth0)"
	del h eth0
	in_pod h sh -c 'ip rule del pref 1000; nft flush ruleset'
	ok 'podRPFilter 2' add h eth0 '"podRPFilter":2,"vethLinkAddress":"169.254.100.1"'
	same 'is set' '2 2 2 2' "$(in_pod h sh -c 'cd /proc/sys/net/ipv4/conf && cat all/rp_filter default/rp_filter eth0/rp_filter veth0/rp_filter' | xargs)"
	same 'vethLinkAddress of IPv4' '169.254.100.1/32' "$(in_pod h ip -j -4 address show veth0 | jq -r '.[0].addr_info[0] | "\(.local)/\(.prefixlen)"')"
	serve h h
	on master nft -f - <<-'NFT'
		table ip proxy {
			chain nodeports {
				type nat hook prerouting priority dstnat;
				ip daddr 172.31.199.183 tcp dport 30001 dnat to 172.31.199.185:8080
			}
		}
	NFT
	same 'a node port that keeps the client works with it' "h sees $client_ip" "$(asked tcp 172.31.199.183 30001)"
	on master nft delete table ip proxy
	kill "${servers##* }"
	del h eth0

	# --- where the configuration comes from
	in_pod h sh -c 'ip rule del pref 1000; nft flush ruleset'
	short='{"cniVersion":"1.0.0","name":"n","type":"coordinator","timeout_ms":300}'
	dir=$(node_dir master /var/run/spidernet)
	baseline h
	same 'no agent, and no file of its' 11 "$(call ADD h eth0 "$short" | jq .code)"
	echo '{"mode":"underlay","overlayPodCIDR":[],"serviceCIDR":["10.96.0.0/12"],"hijackCIDR":[],"tunePodRoutes":true}' >"$dir/coordinator.json"
	ok 'the agent is away, and its file is there' call ADD h eth0 "$short"
	same 'what it says' '10.96.0.0/12 via 172.31.199.183 dev veth0 src 172.31.199.185' "$(table h main | grep ^10.96)"
	ok 'CHECK by the file' call CHECK h eth0 "$short"
	rm "$dir/coordinator.json"
	ok 'DEL without either' call DEL h eth0 "$short"
	same 'the node is as before' "$base_node" "$(node_dump)"
	in_pod h sh -c 'ip rule del pref 1000; nft flush ruleset'
	echo '{' >"$dir/coordinator.json"
	same 'a broken file' "the agent's configuration file /var/run/spidernet/coordinator.json: not JSON: line 2 column 1: a member name is missing" \
		"$(call ADD h eth0 "$short" | jq -r .msg)"
	echo '{"mode":"none"}' >"$dir/coordinator.json"
	same 'a wrong one' '7 the agent (SpiderCoordinator, or an annotation of the pod): mode: "none" is not one of auto, underlay, overlay and disabled' \
		"$(call ADD h eth0 "$short" | jq -r '"\(.code) \(.msg)"')"
	rm "$dir/coordinator.json"
	echo '{"mode":"underlay","serviceCIDR":["10.97.0.0/16"]}' >"$work/elsewhere.json"
	ok 'coordinator_file and state_dir' call ADD h eth0 "$(printf %s "$short" | jq -c ". + {coordinator_file: \"$work/elsewhere.json\", state_dir: \"$work/state\"}")"
	same 'are followed' "10.97.0.0/16 $(cid h)-eth0.json" "$(table h main | sed -n 's/^\(10.97[^ ]*\).*/\1/p') $(ls "$work/state/datapath")"
	ok 'DEL' call DEL h eth0 "$(printf %s "$short" | jq -c ". + {state_dir: \"$work/state\"}")"
	same 'takes the record' '' "$(ls "$work/state/datapath")"
	same 'state_dir that is no path' '7 state_dir: "x" is not an absolute path' "$(call ADD h eth0 "$(printf %s "$short" | jq -c '. + {state_dir: "x"}')" | jq -r '"\(.code) \(.msg)"')"
	mkdir -p "$work/full/datapath"
	mount -t tmpfs -o ro none "$work/full/datapath"
	in_pod h sh -c 'ip rule del pref 1000; nft flush ruleset'
	ok 'a record that cannot be written does not fail the pod' call ADD h eth0 "$(conf "\"state_dir\":\"$work/full\"")"
	ok 'nor its DEL' call DEL h eth0 "$(conf "\"state_dir\":\"$work/full\"")"
	umount "$work/full/datapath"
	same 'the node is as before' "$base_node" "$(node_dump)"
	pod_del h
}

# --- what stands in the way

obstacles_part() {
	pod_new i
	eth0 i
	on master ip rule add pref 1000 from 10.77.0.0/16 lookup 500
	baseline i
	spurned 'a rule of the node that is another' \
		'999 on the node: rule 1000 to table 500: a rule of that priority and table, but with other conditions, stands in its way' eth0
	on master ip rule del pref 1000 from 10.77.0.0/16
	on master ip route add default via 172.31.207.253 table 500
	baseline i
	spurned 'a table of the node that is another'\''s' \
		'999 on the node: table 500 has a route to 0.0.0.0/0, so it is another program'\''s, and rule 1000 would send everything there: choose another hostRuleTable' eth0
	on master ip route flush table 500
	in_pod i ip route add default via 172.31.207.252 dev eth0 table 100
	baseline i
	spurned 'a table of the pod that is another'\''s' '999 table 100 has a route to 0.0.0.0/0 already, which is another'\''s' eth0
	in_pod i ip route flush table 100
	baseline i
	spurned 'hijacking the pod'\''s own subnet' \
		'7 the route to 172.31.192.0/20 would take the place of the pod'\''s own subnet: take it out of overlayPodCIDR, serviceCIDR, hijackCIDR or policyRoutes' \
		eth0 '"hijackCIDR":["172.31.192.0/20"]'
	more i eth0 fd00::5/64 fd00::fd
	on master sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	baseline i
	spurned 'a node whose IPv6 is switched off, and a pod with an address of it' \
		'7 this node has no IPv6 address by which pod address fd00::5 could reach it' eth0
	ip -n i -6 route flush dev eth0
	ip -n i address del fd00::5/64 dev eth0
	on master sysctl -qw net.ipv6.conf.all.disable_ipv6=0
	node_ipv6
	ok 'ADD' add i eth0
	net1 i
	in_pod i ip route add 10.9.0.0/16 dev eth0 table 102
	in_pod i ip rule add pref 996 from 10.1.0.0/16 lookup 7
	ok 'ADD of the second, whose usual table and priority are taken' add i net1
	same 'it has the next' '995: from 192.168.0.156 fwmark 0/0x1 103' "$(rules i | grep 192.168)"
	ok 'CHECK' check i net1
	ok 'DEL of it' del i net1
	# neighbours and a route that are others' come back when a later step fails
	in_pod i ip neigh replace 192.168.0.154 dev veth0 lladdr 02:00:00:00:00:77 nud permanent
	in_pod i ip neigh del 10.6.0.2 dev veth0
	on master ip route add 192.168.0.156 dev eth2 table 500
	on master ip neigh replace 192.168.0.156 dev "$(host_end i)" lladdr 02:00:00:00:00:78 nud permanent
	in_pod i ip route flush table 102
	baseline i
	spurned 'a policy route that cannot be' \
		'999 add route to 10.8.0.0/16 via 10.1.1.1 in table 102: kernel (Nexthop has invalid gateway): Network unreachable' \
		net1 '"policyRoutes":[{"dst":"10.8.0.0/16","gw":"10.1.1.1"}]'
	del i net1
	del i eth0
	pod_del i
}

# --- a step fails: each in turn

# The first call of a kind refused, then the second, until an ADD does without: what is there then is not looked at.
# All in one process of the node, since starting some costs time here: try CONF CALL ERROR FIRST-TO-TRY
# shellcheck disable=SC2016 # expanded by the inner shell
try_here='
	show() { ip -4 -o -batch "$work/show4"; ip -4 neigh show nud permanent; ip -6 -batch "$work/show6"; ip netns exec "$pod" sh -c "
		ip -4 -o -batch $work/show4; ip neigh show nud permanent; ip -6 -batch $work/show6; cat /proc/sys/net/ipv4/conf/*/rp_filter"; }
	seen() { show 2>&1 | sed "s/ qlen [0-9]*//; s/state [A-Z]*//" | grep -v "fe80:\|^multicast\|^anycast\|^local [f:]"; }
	before=$(seen)
	n=0
	while [ "$n" -lt 120 ]; do
		n=$((n + 1))
		out=$(printf %s "$conf" | CNI_COMMAND=ADD strace -qq -o "$work/strace" -e "trace=$call" -e "inject=$call:error=$error:when=$n" /opt/cni/bin/coordinator 2>/dev/null)
		grep -q INJECTED "$work/strace" || exit 0
		case $out in *code*) ;; *)
			# something that an ADD can do without
			printf %s "$conf" | CNI_COMMAND=DEL /opt/cni/bin/coordinator
			before=$(seen)
			continue ;;
		esac
		echo "$n" >>"$work/broken"
		[ "$(seen)" = "$before" ] && continue
		echo "$call $n: $out"
		echo "$before" >"$work/wanted"
		seen | diff "$work/wanted" -
		exit 1
	done'
# fails CALL:ERROR:LEAST,... POD NAME [KEYS]: LEAST of these calls, or more, are no call that an ADD can do without
fails() {
	tries=$(echo "$1" | tr , ' ')
	shift
	for try in $tries; do
		least=${try##*:}
		try=${try%:*}
		: >"$work/broken"
		conf=$(conf "${3:-}" | jq -c '. + {prevResult: {cniVersion: "1.0.0", interfaces: [], ips: []}}')
		ok "$1: ADD of $2 is taken back whichever call fails (${try%:*})" on master env "work=$work" "pod=$1" "call=${try%:*}" "error=${try#*:}" "conf=$conf" \
			CNI_CONTAINERID="$(cid "$1")" CNI_NETNS="$(pod_netns "$1")" CNI_IFNAME="$2" CNI_ARGS= CNI_PATH=/opt/cni/bin sh -c "$try_here"
		echo "# $(wc -l <"$work/broken") calls"
		ok 'many of them were tried' test "$(wc -l <"$work/broken")" -ge "$least"
		del "$1" "$2" "${3:-}"
		in_pod "$1" sh -c 'ip rule del pref 1000; ip -6 rule del pref 1000; ip route flush table 101; nft flush ruleset' 2>/dev/null
	done
}

steps_part() {
	pod_new j
	eth0 j
	more j eth0 fd00::5/64 fd00::fd
	fails sendto:ENOBUFS:12,openat:EMFILE:3 j eth0 "$dual_keys"
	add j eth0 >/dev/null
	net1 j
	fails sendto:ENOBUFS:6 j net1 '"podDefaultRouteNic":"net1"'
	del j eth0
	pod_del j
	overlaid l
	net1 l
	fails sendto:ENOBUFS:6 l net1
	pod_del l
}

# --- without conntrack

packets_part() {
	pod_new k
	eth0 k
	ok 'ADD' add k eth0
	cp "$work/out" "$work/log"
	ok 'it says what does not work' grep -q 'packets are marked instead of flows: UDP clients elsewhere' "$work/log"
	same 'what comes in by veth0 is marked' 'table inet spiderbox {
	chain pre {
		type filter hook prerouting priority mangle; policy accept;
		iifname "veth0" meta mark set meta mark | 0x00000001
	}
}' "$(in_pod k nft list ruleset)"
	same 'and answered with its mark' '1 1 1' "$(in_pod k sh -c 'cd /proc/sys/net && cat ipv4/tcp_fwmark_accept ipv4/fwmark_reflect ipv6/fwmark_reflect' | xargs)"
	on master nft -f - <<-'NFT'
		table ip proxy {
			chain nodeports {
				type nat hook prerouting priority dstnat;
				ip daddr 172.31.199.183 tcp dport 30001 dnat to 172.31.199.185:8080
				ip daddr 172.31.199.183 icmp type echo-request dnat to 172.31.199.185
			}
		}
	NFT
	serve k k
	same 'TCP to a node port that keeps the client' "k sees $client_ip" "$(asked tcp 172.31.199.183 30001)"
	ok 'ping' outside ping -n -q -c 1 -W 3 172.31.199.183
	on master nft delete table ip proxy
	reach 'node to pod' on master 172.31.199.185
	reach 'pod to node' in_pod k 172.31.199.183
	ok 'CHECK' check k eth0
	ok 'DEL' del k eth0
}

# Without nf_tables there is no fabric either: a node that is this machine.
nothing_part() {
	mkdir -p /opt/cni/bin /var/lib/spidernet /var/log/spidernet
	cp "$SPIDERBOX" /opt/cni/bin/coordinator
	# shellcheck disable=SC2317 # called by those above
	on() { shift && "$@"; }
	ip link add eth2 type veth peer name lan0
	ip address add 10.6.0.2/24 dev eth2
	ip link set eth2 up
	ip link set lan0 up
	ip netns add m
	ip link add slave0 link eth2 netns m type ipvlan
	ip -n m link set slave0 name eth0
	ip -n m link set eth0 up
	ip -n m address add 10.6.0.9/24 dev eth0
	ip -n m route add default via 10.6.0.1 dev eth0
	ok 'ADD' add m eth0
	cp "$work/out" "$work/log"
	ok 'it says what does not work' grep -q 'nothing is marked: clients elsewhere get no answer' "$work/log"
	reach 'node to pod' on master 10.6.0.9
	reach 'pod to node' in_pod m 10.6.0.2
	ok 'CHECK' check m eth0
	ok 'DEL' del m eth0
	ip netns del m
}

case ${MARKS-} in
nothing)
	nothing_part
	trap - EXIT
	exit "$failed"
	;;
packets) set -- packets ;;
esac
start
[ $# -gt 0 ] || set -- underlay default ipv6 overlay filters options obstacles steps
for part; do
	case $part in
	underlay) underlay_part ;;
	default) default_part ;;
	ipv6) ipv6_part ;;
	overlay) overlay_part ;;
	filters) filters_part ;;
	options) options_part ;;
	obstacles) obstacles_part ;;
	steps) steps_part ;;
	packets) packets_part ;;
	esac
done
exit "$failed"
