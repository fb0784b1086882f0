#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The demo itself, in a kernel with ipvlan and in a world that may be changed (see show.sh).
# Exit status 0 only when everything was as it should be.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/../vm/fabric.sh"
# shellcheck source=tests/vm/chain.sh
. "$here/../vm/chain.sh"

store=/run/demo/store
CHAIN_CACHE=/run/demo/cache
mkdir -p "$store" "$CHAIN_CACHE"
wrong=0
agents=

# shellcheck disable=SC2317 # called by the trap
finish() {
	for pid in $agents; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in $agents; do
		wait "$pid" 2>/dev/null || true
	done
	fabric_down 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT TERM

title() {
	printf '\n== %s\n' "$*"
}
# bad TEXT: something is not as it should be; the demo goes on and fails at its end
bad() {
	echo "WRONG: $*"
	wrong=1
}
ctl() {
	"$SPIDERBOX" ctl "$@" --store "dir:$store"
}
# network NAME MASTER: what the controller will make of the guide's SpiderMultusConfig
network() {
	printf '{"cniVersion":"0.3.1","name":"%s","plugins":[{"type":"ipvlan","master":"%s","mtu":0,"ipam":{"type":"spiderpool"}},{"type":"coordinator","mode":"auto","tunePodRoutes":true}]}' "$1" "$2"
}
ipvlan_eth0=$(network ipvlan-eth0 eth0)
ipvlan_eth1=$(network ipvlan-eth1 eth1)

# The guide's two DaemonSets on its two nodes: name, node, network.
pods='test-app-1-master master ipvlan-eth0
test-app-1-worker worker ipvlan-eth0
test-app-2-master master ipvlan-eth1
test-app-2-worker worker ipvlan-eth1'

container_id() {
	printf %s "$1" | sha256sum | cut -c1-64
}
list_of() {
	case $1 in
	ipvlan-eth0) echo "$ipvlan_eth0" ;;
	ipvlan-eth1) echo "$ipvlan_eth1" ;;
	esac
}
# of_pod ADD|DEL NAME NODE NETWORK
of_pod() {
	uid=$(ctl get pod "$2" -n default -o json | jq -r .metadata.uid)
	case $1 in ADD) run=chain_add ;; DEL) run=chain_del ;; esac
	$run "$3" "$(list_of "$4")" "$(container_id "$2")" "$(pod_netns "$2")" eth0 \
		"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$2;K8S_POD_UID=$uid"
}

title "Two nodes, two network cards each; the fabric drops frames with a foreign MAC or address"
fabric_up
printf '%-7s %-5s %-18s %s\n' NODE CARD MAC ADDRESS
for node in master worker; do
	for card in eth0 eth1; do
		ip -n "$node" -j address show dev "$card" | jq -r --arg node "$node" \
			'.[0] | "\($node) \(.ifname) \(.address) \(.addr_info[] | select(.family == "inet") | "\(.local)/\(.prefixlen)")"'
	done
done | awk '{ printf "%-7s %-5s %-18s %s\n", $1, $2, $3, $4 }'

title "The guide's four pools go into the directory store; one agent on each node"
ctl apply -f "$here/../data/walkthrough/20-ippools.yaml"
for node in master worker; do
	on "$node" mkdir -p /etc/cni/net.d
	on "$node" "$SPIDERBOX" ctl install --bin-dir /opt/cni/bin --conf-dir /etc/cni/net.d >/run/demo/install.log 2>&1 || {
		cat /run/demo/install.log
		exit 1
	}
	on "$node" "$SPIDERBOX" agent --store "dir:$store" --node "$node" --default-network kube-system/ipvlan-eth0 \
		--service-cidr 10.233.0.0/18 --health-addr '' >"/run/demo/agent-$node.log" 2>&1 &
	agents="$agents $!"
done
for node in master worker; do
	tries=0
	until on "$node" test -S /var/run/spidernet/spiderpool.sock; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || {
			cat "/run/demo/agent-$node.log"
			echo "the agent of $node does not start"
			exit 1
		}
		sleep 0.05
	done
	echo "$node: $(head -n 1 "/run/demo/agent-$node.log" | cut -d' ' -f2-)"
done

title "Four pods through the chain ipvlan -> ipam -> coordinator"
echo "$pods" | while read -r name node network; do
	echo ---
	jq -n --arg name "$name" --arg node "$node" --arg network "kube-system/$network" '{apiVersion: "v1", kind: "Pod",
		metadata: {name: $name, namespace: "default", annotations: {"v1.multus-cni.io/default-network": $network}},
		spec: {nodeName: $node, containers: []}}'
done | ctl apply -f - >/run/demo/pods.log || {
	cat /run/demo/pods.log
	exit 1
}
echo "$pods" >/run/demo/pods
: >/run/demo/addresses
printf '%-18s %-7s %-12s %-18s %-11s %s\n' POD NODE NETWORK ADDRESS POOL MAC
while read -r name node network; do
	pod_new "$name"
	if ! result=$(of_pod ADD "$name" "$node" "$network" 2>>/run/demo/plugins.log); then
		echo "$result"
		cat /run/demo/plugins.log /run/demo/agent-*.log
		exit 1
	fi
	address=$(echo "$result" | jq -r '.ips[0].address')
	pool=$(ctl ip "${address%/*}" -o json | jq -r '.pools[0].pool')
	echo "$name ${address%/*}" >>/run/demo/addresses
	[ "$pool" = "$node-$([ "$network" = ipvlan-eth0 ] && echo 172 || echo 192)" ] ||
		bad "$name got its address from pool $pool"
	printf '%-18s %-7s %-12s %-18s %-11s %s\n' "$name" "$node" "$network" "$address" "$pool" \
		"$(echo "$result" | jq -r '.interfaces[0].mac')"
done </run/demo/pods

title "spiderbox ctl get ippools"
ctl get ippools

title "Round-trip times in ms: row pings column; master and worker are the nodes themselves"
addr_of() {
	case $1 in
	master) echo 172.31.199.183 ;;
	worker) echo 172.31.199.184 ;;
	*) awk -v name="$1" '$1 == name { print $2 }' /run/demo/addresses ;;
	esac
}
# rtt FROM TO: the least of two, or LOST
rtt() {
	case $1 in
	master | worker) out=$(on "$1" ping -n -q -c 2 -i 0.01 -W 2 "$(addr_of "$2")") || true ;;
	*) out=$(in_pod "$1" ping -n -q -c 2 -i 0.01 -W 2 "$(addr_of "$2")") || true ;;
	esac
	case $out in
	*' 0% packet loss'*) echo "$out" | sed -n 's/^rtt [^=]*= \([0-9.]*\).*/\1/p' ;;
	*) echo LOST ;;
	esac
}
before=$(spoofed)
all="$(cut -d' ' -f1 /run/demo/pods) master worker"
asked=0 lost=0
printf '%-18s' ''
for to in $all; do
	printf ' %18s' "$to"
done
echo
for from in $all; do
	printf '%-18s' "$from"
	for to in $all; do
		cell=-
		if [ "$from" != "$to" ]; then
			cell=$(rtt "$from" "$to")
			asked=$((asked + 1))
			[ "$cell" != LOST ] || lost=$((lost + 1))
		fi
		printf ' %18s' "$cell"
	done
	echo
done
dropped=$(($(spoofed) - before))
echo "$((asked - lost)) of $asked answered; frames the fabric dropped as spoofed: $dropped"
[ "$lost" = 0 ] || bad "$lost pings were lost"
[ "$dropped" = 0 ] || bad "the fabric dropped frames of ours"

title "Control: the same card and address with macvlan, which gives the pod a MAC of its own"
of_pod DEL test-app-2-master master ipvlan-eth1 2>>/run/demo/plugins.log || bad "DEL of test-app-2-master"
pod_del test-app-2-master
pod_new macvlan-pod
on master ip link add m0 link eth1 netns macvlan-pod type macvlan mode bridge
ip -n macvlan-pod address add "$(addr_of test-app-2-master)/24" dev m0
ip -n macvlan-pod link set m0 up
before=$(spoofed)
out=$(in_pod macvlan-pod ping -n -q -c 2 -i 0.01 -W 1 192.168.0.253) || true
dropped=$(($(spoofed) - before))
pod_del macvlan-pod
case $out in
*'100% packet loss'*) echo "its gateway does not answer; frames the fabric dropped as spoofed: $dropped" ;;
*) bad "the macvlan pod reaches its gateway: the fabric does not do its part" ;;
esac
[ "$dropped" -gt 0 ] || bad "the fabric dropped nothing of the macvlan pod"

title "The pods go"
while read -r name node network; do
	[ "$name" != test-app-2-master ] || continue
	of_pod DEL "$name" "$node" "$network" 2>>/run/demo/plugins.log || bad "DEL of $name"
	pod_del "$name"
done </run/demo/pods
ctl get ippools
ctl get ippools -o json | jq -e '[.items[].status.allocatedIPs] | all(. == null)' >/run/demo/empty.log ||
	bad "a pool is not empty"
for node in master worker; do
	left=$(on "$node" ip -o link | grep -c ': veth' || true)
	[ "$left" = 0 ] || bad "$node has $left links of pods left"
done
[ "$wrong" = 0 ] || {
	printf '\nNot everything was as it should be.\n'
	exit 1
}
printf '\nDone: everything was as it should be.\n'
