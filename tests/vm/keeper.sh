#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The keeper topic of the vm suite (see run.sh), inside the guest: an agent keeps what the
# coordinator made, whatever is flushed on its node and whichever addresses that node gets or loses,
# and traffic flows as before.  Addresses of pods come from a delegate, so there is no API server.
#
# IPV6=off: in a kernel that was told to have no IPv6; see run.sh.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"
# shellcheck source=tests/vm/chain.sh
. "$here/chain.sh"
# shellcheck source=tests/api/lib.sh
. "$here/../api/lib.sh"
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
tap_topic='keeper: '

: "${SPIDERBOX:?}" "${VM_OUT:?}"
work=/run/keeper
CHAIN_CACHE=$work/cache
mkdir -p "$work" "$CHAIN_CACHE"
tap_log=$work/check
log=$VM_OUT/agent.log
agent=

# shellcheck disable=SC2317 # called by the trap
finish() {
	agent_stop
	fabric_down
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- an agent, and a pod ----

# agent_start [COMMAND...]: on master, by way of the command
agent_start() {
	exec_on master "$@" \
		"$SPIDERBOX" agent --config-path "$work/conf.yml" --store "dir:$work/store" --node master --health-addr '' \
		--service-cidr 10.233.0.0/18 >>"$log" 2>&1 &
	agent=$!
	wait_until 20 test -S "$(node_dir master /run/spidernet)/spiderpool.sock"
}
# shellcheck disable=SC2317 # called by the trap as well
agent_stop() {
	[ -z "$agent" ] || {
		kill "$agent" 2>/dev/null
		wait "$agent" 2>/dev/null
	}
	agent=
}
# said TEXT: how often the agent's log has it
said() {
	grep -c "$1" "$log"
}
says() {
	[ "$(said "$1")" -gt 0 ]
}

# Gives the addresses of the configuration.
delegate() {
	cat <<'SH'
#!/bin/sh
conf=$(cat)
[ "$CNI_COMMAND" = ADD ] || exit 0
printf %s "$conf" | jq -c '{cniVersion, ips: .ipam.ips, routes: .ipam.routes}'
SH
}
# network MASTER IPS ROUTES: a list
network() {
	printf '{"cniVersion":"1.0.0","name":"keeper-%s","plugins":[{"type":"ipvlan","master":"%s","ipam":{"type":"fixed","ips":%s,"routes":%s}},
		{"type":"coordinator","mode":"auto","overlayPodCIDR":[],"serviceCIDR":["10.233.0.0/18","fd00:10::/108"],"hijackCIDR":["169.254.0.0/16"],
		"policyRoutes":[],"podMACPrefix":"","tunePodRoutes":true,"podDefaultRouteNic":"","vethLinkAddress":"","vethMTU":1500,
		"hostRuleTable":500,"podRPFilter":0,"txQueueLen":0}]}' "$1" "$1" "$2" "$3" | jq -c .
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
# add LIST POD [IFNAME]
add() {
	chain_add master "$1" "$(cid "$2")" "$(pod_netns "$2")" "${3:-eth0}" "$(args "$2")"
}
del() {
	chain_del master "$1" "$(cid "$2")" "$(pod_netns "$2")" "${3:-eth0}" "$(args "$2")"
}
check_chain() {
	chain_check master "$1" "$(cid "$2")" "$(pod_netns "$2")" eth0 "$(args "$2")"
}
record() {
	echo "$(node_dir master /var/lib/spidernet)/datapath/$(cid "$1")-${2:-eth0}.json"
}

# ---- what there is ----

# In this kernel it is processes that cost time.
printf 'address show\nroute show table all\nrule show\nneigh show nud permanent\n' >"$work/show4"
printf 'address show scope global\nroute show table all\nrule show\nneigh show nud permanent\n' >"$work/show6"
# shellcheck disable=SC2016 # expanded by the inner shell
dump_here='ip -4 -o -batch "$0/show4" | sed "s/ qlen [0-9]*//; s/state [A-Z]*//; s/valid_lft.*//" | sort
ip -6 -o -batch "$0/show6" | grep -v "fe80:\|^multicast\|^anycast\|^local" | sed "s/valid_lft.*//" | sort'
node_dump() { on master sh -c "$dump_here" "$work"; }
pod_dump() { in_pod "$1" sh -c "$dump_here" "$work"; }

# back POD: node and pod are as they were when `whole` was called
whole() {
	node_dump >"$work/node.whole"
	pod_dump "$1" >"$work/$1.whole"
}
back() {
	node_dump >"$work/node.now"
	pod_dump "$1" >"$work/$1.now"
	diff -u "$work/node.whole" "$work/node.now" && diff -u "$work/$1.whole" "$work/$1.now"
}

answers() {
	"$1" "$2" ping -n -q -c 1 -W 2 "$3"
}
# Traffic of each kind, of the pod with two interfaces.  The service is one that the node rewrites to its own address, as kube-proxy
# does with an endpoint in the node's network.
flows() {
	answers on master 172.31.199.185 && answers on master 192.168.0.156 && answers in_pod "$1" "${2:-172.31.199.183}" && answers in_pod "$1" 192.168.0.154 &&
		answers in_pod "$1" 10.233.0.10 && answers on master fd00::185 && answers in_pod "$1" fd00::183 &&
		answers in_pod "$1" 172.31.199.184
}
service() {
	on master nft -f - <<-NFT
		table ip service
		delete table ip service
		table ip service {
			chain pre { type nat hook prerouting priority dstnat; ip daddr 10.233.0.10 dnat to $1; }
		}
	NFT
}

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}
# repaired NAME POD COMMAND...: what the command does on the master is undone soon, and not only by the round of every minute
repaired() {
	rep_name=$1 rep_pod=$2
	shift 2
	on master "$@" 2>"$work/flush" || sed 's/^/# /' "$work/flush"
	rep_start=$(now_ms)
	if wait_until 10 quietly back "$rep_pod"; then
		rep_ms=$(($(now_ms) - rep_start))
		echo "# $rep_name: whole again after $rep_ms ms at most"
		check "$rep_name: made good within seconds" [ "$rep_ms" -lt 5000 ]
	else
		not_ok "$rep_name"
		sed 's/^/# /' "$work/quiet"
	fi
	check "$rep_name: traffic flows" flows "$rep_pod"
}
quietly() {
	"$@" >"$work/quiet" 2>&1
}
# becomes NAME COMMAND...: soon it succeeds
becomes() {
	bec_name=$1
	shift
	if wait_until 10 quietly "$@"; then
		ok "$bec_name"
	else
		not_ok "$bec_name"
		sed 's/^/# /' "$work/quiet"
	fi
}
not() {
	! "$@"
}

# ---- start ----

fabric_up || exit 1
for name in ipvlan coordinator; do
	on master cp "$SPIDERBOX" "/opt/cni/bin/$name"
done
delegate >"$(node_dir master /opt/cni/bin/fixed)"
chmod +x "$(node_dir master /opt/cni/bin/fixed)"
mkdir -p "$work/store"
echo 'tuneSysctlConfig: true' >"$work/conf.yml"

# ---- in a kernel that was told to have no IPv6 ----

# shellcheck disable=SC2120 # becomes gives it one
flows4() {
	answers on master 172.31.199.185 && answers on master 192.168.0.156 && answers in_pod a "${1:-172.31.199.183}" && answers in_pod a 192.168.0.154 &&
		answers in_pod a 10.233.0.10 && answers in_pod a 172.31.199.184
}
back4() {
	back a && flows4
}
# refused LIST POD WORDS: its ADD fails, with these in the message
# shellcheck disable=SC2317 # called by check
refused() {
	! add "$1" "$2" >"$work/refused" 2>&1 && jq -r .msg "$work/refused" && jq -r .msg "$work/refused" | grep -q "$3"
}
without_ipv6() {
	check 'the kernel has no IPv6' test ! -e /proc/sys/net/ipv6/conf/all
	service 172.31.199.183
	node_dump >"$work/node.empty"
	check 'an agent starts' agent_start
	pod_new a
	list=$(network eth0 '[{"address":"172.31.199.185/20","gateway":"172.31.207.253"}]' '[{"dst":"0.0.0.0/0"}]')
	second=$(network eth1 '[{"address":"192.168.0.156/24","gateway":"192.168.0.253"}]' '[]')
	dual=$(network eth0 '[{"address":"172.31.199.185/20"},{"address":"fd00::185/64"}]' '[]')
	check 'an address of IPv6 is refused' refused "$dual" a 'allow IPv6 in the pod'
	del "$dual" a
	check 'ADD' add "$list" a
	end=$(host_end a)
	check 'ADD of a second interface' add "$second" a net1
	whole a
	check 'traffic flows' flows4
	check 'CHECK' check_chain "$list" a
	on master sh -c "ip rule del pref 1000; ip route flush table 500; ip neigh flush dev $end nud permanent; ip address flush dev $end; ip link set $end down"
	becomes 'what was flushed is there again' back4
	on master ip address add 10.55.0.1/24 dev eth1
	becomes 'a new address is reached by the pod' answers in_pod a 10.55.0.1
	on master ip address del 10.55.0.1/24 dev eth1
	becomes 'it goes' back4
	# which only the first namespace has
	check 'nothing was told as a warning' is '' "$(grep ' warn ' "$log" | grep -v ipv4/neigh/default/gc_thresh3)"
	check 'DEL of the second interface' del "$second" a net1
	check 'DEL' del "$list" a
	pod_del a
	becomes 'the node is as it was' node_is_empty
}
node_is_empty() {
	node_dump >"$work/node.now"
	diff -u "$work/node.empty" "$work/node.now"
}
case ${IPV6-} in
off)
	without_ipv6
	[ "$failed" = 0 ]
	exit
	;;
esac

on master sysctl -qw net.ipv4.conf.all.promote_secondaries=1 net.ipv4.conf.eth0.promote_secondaries=1
on master ip address add fd00::183/64 dev eth0 nodad
on master ip address add fd00::184/64 dev eth0 nodad
service 172.31.199.183

node_dump >"$work/node.empty"
check 'an agent starts' agent_start
cp "$work/node.empty" "$work/node.whole"
pod_new a
list=$(network eth0 '[{"address":"172.31.199.185/20","gateway":"172.31.207.253"},{"address":"fd00::185/64"}]' '[{"dst":"0.0.0.0/0"}]')
check 'ADD' add "$list" a
end=$(host_end a)
check 'it leaves a record' test -s "$(record a)"
second=$(network eth1 '[{"address":"192.168.0.156/24","gateway":"192.168.0.253"}]' '[]')
check 'ADD of a second interface' add "$second" a net1
check 'it leaves a record, too' test -s "$(record a net1)"
whole a
check 'traffic flows' flows a

echo '# somebody flushes'
repaired 'the rule' a sh -c 'ip rule del pref 1000; ip -6 rule del pref 1000'
repaired 'all rules' a sh -c 'ip rule flush
	ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default
	ip rule add from 172.31.199.183 lookup 1001 pref 1500; ip rule add from 192.168.0.154 lookup 1002 pref 1500'
repaired 'table 500' a sh -c 'ip route flush table 500; ip -6 route flush table 500'
repaired 'neighbours' a ip neigh flush dev "$end" nud permanent
repaired 'all neighbours' a ip neigh flush all nud all
repaired 'the addresses of the node'\''s end' a ip address flush dev "$end" scope global
repaired 'the end is set down' a ip link set "$end" down
check 'each is told' says 'on the node IPv4 rule 1000 to table 500 was missing'
check 'CHECK agrees' check_chain "$list" a
check 'nothing was told as a warning' is 0 "$(said ' warn .*default/a')"

echo '# the node gets and loses addresses'
on master ip address add 10.55.0.1/24 dev eth1
becomes 'a new address is reached by the pod' answers in_pod a 10.55.0.1
becomes 'and recorded' grep -q '"10.55.0.1"' "$(record a)"
on master ip address add fd00:55::1/64 dev eth1 nodad
becomes 'so is one of IPv6' answers in_pod a fd00:55::1
on master ip address del fd00:55::1/64 dev eth1
repaired 'they are gone' a ip address del 10.55.0.1/24 dev eth1
becomes 'and not recorded any more' not grep -q '10.55.0.1\|fd00:55' "$(record a)"

renumber() {
	on master ip address add "$1/20" dev eth0
	on master ip address del "$2/20" dev eth0
	service "$1"
}
gateway_is() {
	is "10.233.0.0/18 via $1 dev veth0 src 172.31.199.185 " "$(in_pod a ip -4 route show 10.233.0.0/18)" &&
		is "default via $1 dev veth0 src 172.31.199.185 " "$(in_pod a ip -4 route show table 100)" &&
		is "172.31.199.185 dev $end scope link src $1 " "$(on master ip -4 route show 172.31.199.185 table 500)"
}
fabric_allow m-eth0 00:16:3e:00:00:01 172.31.199.188
renumber 172.31.199.188 172.31.199.183
becomes 'the node is renumbered: the gateway follows' gateway_is 172.31.199.188
check 'traffic flows' flows a 172.31.199.188
old_is_gone() {
	is '' "$(in_pod a ip -4 route show table all 172.31.199.183)"
}
becomes 'the old address is not the pod'\''s way any more' old_is_gone
renumber 172.31.199.183 172.31.199.188
becomes 'and back' gateway_is 172.31.199.183
becomes 'everything is as before' back a

# by one process: it is to be sooner than the agent looks
on master ip -batch - <<-EOF
	address del 172.31.199.183/20 dev eth0
	address add 172.31.199.183/20 dev eth0
	route replace default via 172.31.207.253
	route replace 172.31.192.0/20 dev eth0 table 1001
	route replace default via 172.31.207.253 dev eth0 table 1001
EOF
becomes 'an address that comes back at once changes nothing' back a

echo '# while the agent is away'
agent_stop
on master sh -c 'ip rule del pref 1000; ip route flush table 500; ip -6 route flush table 500; ip neigh flush all nud permanent'
on master ip address add 10.56.0.1/24 dev eth1
check 'the pod is cut off' not answers on master 172.31.199.185
check 'the configuration is there' jq -e '.mode == "auto" and .serviceCIDR == ["10.233.0.0/18"]' \
	"$(node_dir master /run/spidernet)/coordinator.json"
pod_new p
short=$(network eth0 '[{"address":"172.31.199.189/20","gateway":"172.31.207.253"}]' '[{"dst":"0.0.0.0/0"}]' | jq -c '.plugins[1] = {type: "coordinator"}')
check 'a pod starts without it' add "$short" p
check 'with that configuration' is '10.233.0.0/18 via 172.31.199.183 dev veth0 src 172.31.199.189 ' "$(in_pod p ip -4 route show 10.233.0.0/18)"
check 'and goes without it' del "$short" p
pod_del p
check 'the agent comes back' agent_start
becomes 'it brings the new address to the pod' answers in_pod a 10.56.0.1
repaired 'what was flushed meanwhile' a ip address del 10.56.0.1/24 dev eth1

echo '# what is not ours'
on master ip route add 10.1.2.3/32 dev eth1 table 500
on master ip -batch - <<-EOF
	route del 172.31.199.185/32 table 500
	route add 172.31.199.185/32 dev eth1 table 500
EOF
becomes 'a route in the place of ours is told' says "on the node route to 172.31.199.185/32 in table 500: another program's route"
on master ip rule del pref 1000
becomes 'the rest is kept' on master sh -c 'ip rule | grep -q ^1000:'
check 'the route stays' is '172.31.199.185 dev eth1 scope link ' "$(on master ip -4 route show 172.31.199.185 table 500)"
check 'and is told once' is 1 "$(said "another program's route")"
on master ip route del 10.1.2.3/32 dev eth1 table 500
repaired 'that route goes' a ip route del 172.31.199.185/32 table 500

echo '# sysctls'
check 'of the node' is '1 1 0 1' "$(on master sh -c 'cd /proc/sys/net; cat ipv4/conf/all/forwarding ipv4/conf/all/arp_notify \
	ipv4/conf/all/rp_filter ipv6/conf/all/forwarding | xargs')"
check "of the pair's end" is 0 "$(on master cat "/proc/sys/net/ipv6/conf/$end/accept_ra")"

echo '# without rights'
agent_stop
: >"$log"
check 'an agent without rights starts' agent_start setpriv --bounding-set=-net_admin,-sys_admin
on master ip rule del pref 1000
becomes 'it says what it lacks' says 'cannot be kept without CAP_NET_ADMIN'
on master ip -6 rule del pref 1000
on master ip address add 10.57.0.1/24 dev eth1
sleep 1
check 'once' is 1 "$(said 'cannot be kept without')"
agent_stop
check 'one with rights comes back' agent_start
repaired 'what it could not do' a ip address del 10.57.0.1/24 dev eth1

echo '# an overlay pod'
pod_new o
on master ip link add cali0 type veth peer name eth0 netns o
on master sh -c 'ip link set cali0 up; ip address add 10.244.0.1/24 dev cali0'
# what such a plugin's pods are asked by the node's address goes back to them, and not to the card's gateway
on master ip rule add to 10.244.0.0/24 lookup main pref 1400
in_pod o sh -c 'ip link set eth0 up; ip address add 10.244.0.5/24 dev eth0; ip route add default via 10.244.0.1'
over=$(network eth0 '[{"address":"172.31.199.187/20","gateway":"172.31.207.253"}]' '[{"dst":"0.0.0.0/0"}]')
check 'ADD of an interface beside that of another plugin' add "$over" o net1
# shellcheck disable=SC2120 # becomes gives it one
flows_over() {
	answers on master 172.31.199.187 && answers in_pod o "${1:-172.31.199.183}" && answers in_pod o 10.233.0.10 && answers on master 10.244.0.5
}
check 'traffic flows' flows_over
whole o
over_back() {
	back o && flows_over 172.31.199.183
}
on master sh -c 'ip rule del pref 1000; ip route flush table 500; ip neigh flush dev cali0 nud permanent'
becomes 'what was flushed is there again' over_back
renumber 172.31.199.188 172.31.199.183
becomes 'the node is renumbered: traffic flows' flows_over 172.31.199.188
renumber 172.31.199.183 172.31.199.188
becomes 'and back' over_back
check 'the addresses of the other plugin stayed' is 'inet 10.244.0.1/24' "$(on master ip -4 -o address show dev cali0 | grep -o 'inet [^ ]*')"
rm -f "$(record o net1)"
becomes 'its record is removed: it is written again' test -s "$(record o net1)"
check 'nothing else has changed' over_back
check 'it is told' is 1 "$(said " warn .*container $(cid o | cut -c1-13), net1: its record was removed, and not by a DEL")"
check 'DEL' del "$over" o net1
becomes 'nothing of it is left in table 500' not on master sh -c 'ip route show table 500 | grep 172.31.199.187'
pod_del o
on master ip rule del pref 1400
whole a

echo '# IPv6 is switched off'
on master sysctl -qw "net.ipv6.conf.$end.disable_ipv6=1"
repaired 'at the end of the pair' a true
check 'it is told' says "sysctl net/ipv6/conf/$end/disable_ipv6: 0"
pod_new s
in_pod s sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
six=$(network eth0 '[{"address":"172.31.199.186/20","gateway":"172.31.207.253"},{"address":"fd00::186/64"}]' '[{"dst":"0.0.0.0/0"}]')
check 'in a pod that gets an address of it: ADD switches it on' add "$six" s
check 'the node reaches the address' answers on master fd00::186
check 'and the pod the node' answers in_pod s fd00::183
check 'DEL' del "$six" s
pod_del s
whole a

echo '# somebody removes records'
records=$(node_dir master /var/lib/spidernet)/datapath
other=$(network eth0 '[{"address":"172.31.199.186/20","gateway":"172.31.207.253"}]' '[{"dst":"0.0.0.0/0"}]')
pod_new c
check 'another pod, with one interface' add "$other" c
whole a
cp -r "$records" "$work/records"
same_records() {
	diff -r "$work/records" "$records"
}
flows_all() {
	flows a && answers on master 172.31.199.186 && answers in_pod c 172.31.199.183
}
# removed NAME COMMAND...: a warning for each record, that once
removed() {
	rmd_name=$1
	shift
	"$@"
	becomes "$rmd_name are removed: they are written again" same_records
	becomes "$rmd_name: all is as before" back a
	check "$rmd_name: traffic flows" flows_all
	check "$rmd_name: each is told" is 3 "$(said " warn .*\($(cid a | cut -c1-13)\|$(cid c | cut -c1-13)\), .*: its record was removed, and not by a DEL: written again")"
}
rm_records() {
	rm -f "$records"/*
}
removed 'all records' rm_records
removed 'the same once more, and the folder,' rm -r "$records"
rm_and_flush() {
	rm -f "$(record a)" "$(record c)"
	on master sh -c 'ip rule del pref 1000; ip route flush table 500'
}
removed 'those of first interfaces, and rule and routes,' rm_and_flush
# the agent has seen to all that was before
agent_is_up_to_date() {
	rm -f "$(record a)"
	wait_until 10 test -s "$(record a)"
}
check 'DEL of the second interface' del "$second" a net1
check 'the agent looks' agent_is_up_to_date
check 'its record is gone' test ! -e "$(record a net1)"
check 'its route is gone' is '' "$(on master ip -4 route show 192.168.0.156 table 500)"
check 'the first interface is not' answers on master 172.31.199.185
check 'ADD of a second interface' add "$second" a net1
check 'traffic flows' flows_all
rm -f "$(record c)"
check 'DEL of a pod whose record was just removed' del "$other" c
check 'the agent looks' agent_is_up_to_date
check 'nothing is left of its record' test ! -e "$(record c)"
check 'nor of its route' is '' "$(on master ip -4 route show 172.31.199.186 table 500)"
pod_del c
whole a
agent_stop
rm -r "$records"
mkdir "$records"
echo '{}' >"$records/x-eth0.json"
check 'an agent without any record starts' agent_start
becomes 'it looks' test -e "$records/x-eth0.json.bad"
check 'it leaves alone what it knows nothing of' back a
check 'traffic flows' flows a
rm "$records/x-eth0.json.bad"
for name in "$(record a)" "$(record a net1)"; do
	cp "$work/records/${name##*/}" "$records/.new"
	mv "$records/.new" "$name"
done
repaired 'records that are put there are looked after' a ip neigh flush dev "$end" nud permanent

echo '# pods go'
pod_new b
check 'a second pod' add "$other" b
check 'DEL of the second pod' del "$other" b
becomes 'its record is gone' test ! -e "$(record b)"
becomes 'and the first is as before' back a
check 'DEL of the second interface' del "$second" a net1
becomes 'its record is gone as well' test ! -e "$(record a net1)"
pod_del a
becomes 'a namespace that is gone: so is its record' test ! -e "$(record a)"
becomes 'and with the last pod the rule' node_is_empty
[ "$failed" = 0 ]
