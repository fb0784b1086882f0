#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Conflict and gateway detection: ipvlan and the IPAM plugin in a kernel that has ipvlan, with a
# pretended agent that wants it, first in a cloud that drops foreign senders, then on a plain
# network with both families.  Prints TAP.
# shellcheck disable=SC2317 # what check calls
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"
# shellcheck source=tests/vm/chain.sh
. "$here/chain.sh"
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"

work=/run/probe
CHAIN_CACHE=$work/cache
mkdir -p "$work" "$CHAIN_CACHE"
tap_log=$work/log
agent=
trap '[ -z "$agent" ] || kill "$agent" 2>/dev/null; fabric_down' EXIT
trap 'exit 130' INT TERM

socket=/run/spidernet/spiderpool.sock
worker_eth0=00:16:3e:00:00:11

# ip4 ADDRESS GATEWAY CONFLICT REACH: one of the agent's addresses, for eth0 of the pod
ip4() {
	printf '{"nic":"eth0","address":"%s","gateway":"%s","enableIPConflictDetection":%s,"enableGatewayDetection":%s}' "$@"
}
ip6() { ip4 "$@"; }

# agent_start NODE ADDRESS...: one with this answer to all; what it was asked is in $work/asked
agent_start() {
	agent_of 1000 "$@"
}
# agent_of COUNT NODE ADDRESS...: it goes away after so many requests
agent_of() {
	agent_stop
	_count=$1 _node_of=$2
	shift 2
	_ips=$(IFS=,; echo "$*")
	on "$_node_of" python3 -SEI "$here/answer.py" "$socket" "$_count" 200 "{\"ips\":[$_ips]}" >"$work/asked" 2>"$work/agent.err" &
	agent=$!
	until on "$_node_of" test -S "$socket"; do
		kill -0 "$agent" || return 1
	done
}
agent_stop() {
	[ -z "$agent" ] || {
		kill "$agent" 2>/dev/null
		wait "$agent" 2>/dev/null
	}
	agent=
	rm -f "$(node_dir master $socket)" "$(node_dir worker $socket)"
}
# What the second request was, without the identity of the pod.
told() {
	sed -n '2s/^.*"podUID":"[^"]*",*\(.*\)}$/\1/p' "$work/asked"
}
# Its method and path.
told_by() {
	sed -n '2s/ {.*//p' "$work/asked"
}

list_of() {
	printf '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ipvlan","master":"%s","ipam":{"type":"spiderpool"}}]}' "$1"
}
args() {
	echo "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$1"
}
# add NODE MASTER POD, del ...
add() { chain_add "$1" "$(list_of "$2")" "cid$3" "$(pod_netns "$3")" eth0 "$(args "$3")"; }
del() { chain_del "$1" "$(list_of "$2")" "cid$3" "$(pod_netns "$3")" eth0 "$(args "$3")"; }

# plugin COMMAND NAME POD: one call on master, and no chain
plugin() {
	printf '{"cniVersion":"1.0.0","name":"n","type":"%s","master":"eth0","ipam":{"type":"spiderpool"}}' "$2" |
		on master env CNI_COMMAND="$1" CNI_CONTAINERID="cid$3" CNI_NETNS="$(pod_netns "$3")" CNI_IFNAME=eth0 \
			CNI_ARGS="$(args "$3")" CNI_PATH=/opt/cni/bin "/opt/cni/bin/$2"
}

# added NODE MASTER POD: it succeeds
added() {
	add "$@" || {
		cat "$work/asked"
		return 1
	}
}
# refused POD TEXT TOLD: an ADD to it on master's eth0 fails with that text; the agent was told so, and
# nothing is left
refused() {
	_out=$(add master eth0 "$1") && {
		echo "it succeeded: $_out"
		return 1
	}
	is "11 $2" "$(printf %s "$_out" | jq -r '"\(.code) \(.msg)"')" &&
		is "$3" "$(told)" && is '' "$(in_pod "$1" ip -o link show eth0 2>/dev/null)"
}
removed() {
	del "$@" && is '' "$(in_pod "$3" ip -o link show eth0 2>/dev/null)"
}

fabric_up || exit 1
for node in master worker; do
	for name in ipvlan spiderpool; do
		on "$node" cp "$SPIDERBOX" "/opt/cni/bin/$name"
	done
done
pod_new a
pod_new b
pod_new c
held=172.31.199.190 # the worker's, in the cloud's eyes

# --- a holder on the other node: an ipvlan slave itself

agent_start worker "$(ip4 $held/20 172.31.207.253 false false)"
check 'a pod without detection' added worker eth0 b
check 'its agent was asked once' is 1 "$(wc -l <"$work/asked")"

# --- the cloud

dropped=$(spoofed)
agent_start master "$(ip4 172.31.199.185/20 172.31.207.253 false true)"
check "a cloud's gateway answers the node" added master eth0 a
check 'with a sender that it knows' is "$dropped" "$(spoofed)"
check 'DEL' removed master eth0 a

agent_start master "$(ip4 $held/20 172.31.207.253 true false)"
check 'a cloud drops probes for addresses: all of them seem free' added master eth0 a
check 'and that is why' [ "$(spoofed)" -gt "$dropped" ]
check 'DEL' removed master eth0 a

# --- a plain network

in_vpc nft flush chain bridge fabric prerouting
in_vpc ip address add fd00:31::253/64 dev vsw0 nodad
in_vpc ip address add fd00:31::190/64 dev vsw0 nodad
free4=172.31.199.186/20 free6=fd00:31::186/64

agent_start master "$(ip4 $free4 172.31.207.253 true true)" "$(ip6 $free6 fd00:31::253 true true)"
check 'both families, free, with gateways' added master eth0 a
check 'they are in the pod' is "$free4 $free6" "$(in_pod a ip -j address show dev eth0 |
	jq -r '[.[0].addr_info[] | select(.scope == "global") | "\(.local)/\(.prefixlen)"] | join(" ")')"
check 'the agent heard of nothing else' is 1 "$(wc -l <"$work/asked")"
check 'DEL' removed master eth0 a

# span CONFLICT REACH BEST: $best is the shortest of some ADDs of both families and of BEST, in milliseconds
span() {
	agent_start master "$(ip4 $free4 172.31.207.253 "$1" "$2")" "$(ip6 $free6 fd00:31::253 "$1" "$2")"
	best=$3
	for _ in 1 2 3 4; do
		_start=$(date +%s%N)
		plugin ADD ipvlan a >"$work/added" || {
			cat "$work/added"
			return 1
		}
		_ms=$((($(date +%s%N) - _start) / 1000000))
		[ "$_ms" -ge "$best" ] || best=$_ms
		plugin DEL ipvlan a
	done
}
# A busy machine gets some more tries.
without=100000 with=100000
for _ in 1 2 3 4 5; do
	span false false "$without" && without=$best
	span true true "$with" && with=$best
	[ "$((with - without))" -gt 400 ] || break
done
echo "# ADD of both families: $without ms, with detection $with ms"
check 'detection for both families takes at most 400 ms' [ "$((with - without))" -le 400 ]
check 'and waits for answers' [ "$with" -ge 300 ]

agent_start master "$(ip4 $held/20 172.31.207.253 true true)" "$(ip6 $free6 fd00:31::253 true true)"
check 'a conflict with a pod of another node' refused a "ip conflict: $worker_eth0 answers for $held on eth0" \
	"\"conflicts\":[{\"address\":\"$held\",\"reason\":\"$worker_eth0 answers for it on eth0\"}]"
check 'in the words of an agent' is 'DELETE /v1/ipam/ips' "$(told_by)"
check 'DEL afterwards does no harm' removed master eth0 a

agent_start master "$(ip4 $free4 172.31.207.253 true true)" "$(ip6 fd00:31::190/64 fd00:31::253 true true)"
check 'a conflict of IPv6' refused a 'ip conflict: ee:ff:ff:ff:ff:ff answers for fd00:31::190 on eth0' \
	'"conflicts":[{"address":"fd00:31::190","reason":"ee:ff:ff:ff:ff:ff answers for it on eth0"}]'

agent_start master "$(ip4 $free4 172.31.207.200 true true)"
check 'no gateway' refused a 'gateway 172.31.207.200 is unreachable: nobody answers for it on eth0' ''
check 'gives the address back' is 'DELETE /v1/ipam/ip' "$(told_by)"
agent_start master "$(ip4 $free4 172.31.207.253 true true)" "$(ip6 $free6 fd00:31::200 false true)"
check 'no gateway of IPv6' refused a 'gateway fd00:31::200 is unreachable: nobody answers for it on eth0' ''

agent_of 1 master "$(ip4 $held/20 172.31.207.253 true false)"
check 'the agent is away by then' refused a "ip conflict: $worker_eth0 answers for $held on eth0" ''
check 'and finds the release' [ -s "$(node_dir master /var/lib/spidernet/releases)/cida-eth0.json" ]

# --- siblings

agent_start master "$(ip4 $free4 '' false false)" "$(ip6 $free6 '' false false)"
check 'a sibling' added master eth0 c
sibling='on another ipvlan interface of eth0: eth0 in /var/run/netns/c'
agent_start master "$(ip4 $free4 172.31.207.253 true true)"
check 'siblings do not answer, but the kernel tells' refused a "ip conflict: address $free4 is already $sibling" \
	"\"conflicts\":[{\"address\":\"${free4%/*}\",\"reason\":\"$sibling\"}]"
agent_start master "$(ip6 $free6 fd00:31::253 true true)"
check 'also for IPv6' refused a "ip conflict: address $free6 is already $sibling" \
	"\"conflicts\":[{\"address\":\"${free6%/*}\",\"reason\":\"$sibling\"}]"
check 'DEL' removed master eth0 c

# --- a master without an address of its own

ip -n master address flush dev eth1
on master sysctl -qw net.ipv6.conf.eth1.disable_ipv6=1
in_vpc ip address add fd00:92::253/64 dev vsw1 nodad
in_vpc ip address add fd00:92::9/64 dev vsw1 nodad
agent_start master "$(ip4 192.168.0.156/24 192.168.0.253 true true)" "$(ip6 fd00:92::156/64 fd00:92::253 true true)"
check 'a master without an address' added master eth1 a
check 'DEL' removed master eth1 a
agent_start master "$(ip6 fd00:92::9/64 fd00:92::253 true true)"
_out=$(add master eth1 a)
check 'hears of conflicts' is '11 ip conflict: ee:ff:ff:ff:ff:ff answers for fd00:92::9 on eth1' \
	"$(printf %s "$_out" | jq -r '"\(.code) \(.msg)"')"

# --- the IPAM plugin, called by another main plugin

# ipam_refused TEXT: for pod c, and the agent was told
ipam_refused() {
	_out=$(plugin ADD spiderpool c) && {
		echo "it succeeded: $_out"
		return 1
	}
	is "11 $1" "$(printf %s "$_out" | jq -r '"\(.code) \(.msg)"')" && is 'DELETE /v1/ipam/ips' "$(told_by)"
}

# new_link KIND IPV6: eth0 of pod c, down, as the plugins make it; or, without IPv6, up before, so that
# the kernel does not listen to all nodes any more
new_link() {
	ip -n c link del eth0 2>/dev/null
	# shellcheck disable=SC2086 # a list of words
	ip -n master link add link eth0 name c-eth0 type $1 && ip -n master link set c-eth0 netns c name eth0 || return 1
	[ "$2" = 1 ] || { ip -n c link set eth0 up && in_pod c sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1; }
}

for ipv6 in 1 0; do
	for kind in 'macvlan mode bridge' 'ipvlan mode l2'; do
		what=$kind
		[ "$ipv6" = 1 ] || what="$kind, IPv6 off in the pod"
		# a card is the master of one kind only, and of none again when its last slave has gone
		check "$what: an interface" new_link "$kind" "$ipv6"
		agent_start master "$(ip4 $free4 172.31.207.253 true true)" "$(ip6 $free6 fd00:31::253 true true)"
		check "$what: free, with gateways" plugin ADD spiderpool c
		agent_start master "$(ip4 $held/20 172.31.207.253 true true)"
		check "$what: a conflict" ipam_refused "ip conflict: $worker_eth0 answers for $held on eth0"
		agent_start master "$(ip6 fd00:31::190/64 fd00:31::253 true true)"
		check "$what: a conflict of IPv6" ipam_refused "ip conflict: ee:ff:ff:ff:ff:ff answers for fd00:31::190 on eth0"
	done
done
check 'DEL does no harm' plugin DEL spiderpool c
agent_stop
exit "$failed"
