#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The cluster topic of the vm suite (see run.sh), inside the guest: the guide's pods with etcd and
# kube-apiserver, and an agent on each node.  Pods are API objects plus network namespaces;
# their chain is run from the NetworkAttachmentDefinition's JSON the way libcni does it.  Who reaches
# whom is the topic flows.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"
# shellcheck source=tests/vm/chain.sh
. "$here/chain.sh"
# shellcheck source=tests/api/lib.sh
. "$here/../api/lib.sh"
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
tap_topic="cluster: "

: "${SPIDERBOX:?}" "${SERVERS_DIR:?}" "${VM_OUT:?}"
work=/run/cluster
mkdir -p "$work"
tap_log=$work/check

# shellcheck source=tests/vm/kube.sh
. "$here/kube.sh"
kube_on_master "$@"
trap kube_stop EXIT
CHAIN_CACHE=$work/cache

# ---- pods ----

nad() {
	api GET "/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/network-attachment-definitions/$1" | jq -r .spec.config
}
# pod_add NAME NODE NETWORK: namespace and chain; the result in $work/NAME.result
pod_add() {
	pod_new "$1" || return 1
	chain_add "$2" "$(nad "$3")" "$(container_id "$1")" "$(pod_netns "$1")" eth0 "$(pod_args "$1")" >"$work/$1.result" || {
		cat "$work/$1.result"
		return 1
	}
}
pod_gone() {
	chain_del "$2" "$(nad "$3")" "$(container_id "$1")" "$(pod_netns "$1")" eth0 "$(pod_args "$1")"
}
address() {
	jq -r '.ips[0].address | split("/")[0]' "$work/$1.result"
}
in_range() {
	a=$(address "$1")
	echo "$a, wanted $2 to $3"
	[ "${a%.*}" = "${2%.*}" ] && [ "${a##*.}" -ge "${2##*.}" ] && [ "${a##*.}" -le "$3" ]
}

# Everything of a node that a pod may leave traces in.
state() {
	echo '# links'
	on "$1" ip -o -d link | sed 's/ qlen [0-9]*//; s/^[0-9]*: //' | sort
	echo '# addresses'
	on "$1" ip -o address | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort
	echo '# routes'
	on "$1" ip -4 route show table all | sort
	on "$1" ip -6 route show table all | grep -v 'proto kernel' | sort
	echo '# rules'
	on "$1" ip -4 rule
	on "$1" ip -6 rule
	echo '# neighbours'
	on "$1" ip neigh show nud permanent | sort
	echo '# nf_tables'
	on "$1" nft list tables
	echo '# sysctl'
	on "$1" sh -c 'cat /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/default/rp_filter'
	echo '# CNI namespaces and files'
	on "$1" find /var/lib/spidernet -type f ! -name rounds.json | sort # which is the agent's own memory
}

pods='test-app-1-master master ipvlan-eth0 test-app-1
test-app-1-worker worker ipvlan-eth0 test-app-1
test-app-2-master master ipvlan-eth1 test-app-2
test-app-2-worker worker ipvlan-eth1 test-app-2'
names=$(echo "$pods" | cut -d' ' -f1)

# each FUNCTION: called with the words of every pod
each() {
	while read -r p_name p_node p_network p_app; do
		"$1" "$p_name" "$p_node" "$p_network" "$p_app" </dev/null || return 1
	done <<-WORDS
		$pods
	WORDS
}

# object NAME NODE NETWORK APP
object() {
	pod_object "$1" "$2" "$4" "{\"v1.multus-cni.io/default-network\": \"kube-system/$3\"}"
}
reaches_node() {
	case $2 in master) mine=172.31.199.183 ;; *) mine=172.31.199.184 ;; esac
	in_pod "$1" ping -n -q -c 1 -W 2 "$mine" && on "$2" ping -n -q -c 1 -W 2 "$(address "$1")"
}

guide_table='NAME         VERSION   SUBNET            ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   DEFAULT
master-172   4         172.31.192.0/20   1                    5                true
master-192   4         192.168.0.0/24    1                    5                true
worker-172   4         172.31.192.0/20   1                    5                true
worker-192   4         192.168.0.0/24    1                    5                true'
empty_table=$(echo "$guide_table" | sed 's/   1    /   0    /')
table_is() {
	is "$1" "$(kubectl get spiderippool)"
}
endpoints_are() {
	got=$(kubectl get spiderendpoints --no-headers | awk '{ print $1, $2, $3, $4, $NF }')
	want=$(for name in $names; do
		case $name in *-1-*) net=172 ;; *) net=192 ;; esac
		node=${name##*-}
		echo "$name eth0 $node-$net $(jq -r '.ips[0].address' "$work/$name.result") $node"
	done)
	is "$want" "$got"
}

check 'etcd, kube-apiserver, deploy/, nodes and networks' kube_api
check 'an agent on each node, as its DaemonSet runs it' kube_agents
check "the guide's pools are accepted unchanged" kubectl apply -f "$here/../data/walkthrough/20-ippools.yaml"
check 'new pools get their version and counts' poll 15 table_is "$empty_table"
for node in master worker; do
	state "$node" >"$work/state-$node.before"
done

echo '# pods'
check 'four pods as API objects' each object
dropped=$(spoofed)
check 'four pods through the chain' each pod_add
[ "$failed" = 0 ] || exit 1
check 'test-app-1 on master has an address of master-172' in_range test-app-1-master 172.31.199.185 189
check 'test-app-1 on worker has an address of worker-172' in_range test-app-1-worker 172.31.199.190 194
check 'test-app-2 on master has an address of master-192' in_range test-app-2-master 192.168.0.156 160
check 'test-app-2 on worker has an address of worker-192' in_range test-app-2-worker 192.168.0.161 165
check "kubectl get spiderippool prints the guide's table" table_is "$guide_table"
check 'kubectl get spiderendpoints names addresses, pools and nodes' poll 10 endpoints_are
check 'pods reach their nodes, and nodes their pods' each reaches_node
check 'no frame of ours was dropped as spoofed' is "$dropped" "$(spoofed)"

echo '# what goes wrong'
# refused NAME CODE TEXT COMMAND...: an error document with that code whose text holds TEXT
refused() {
	what=$1 code=$2 text=$3
	shift 3
	if "$@" >"$work/refused" 2>"$work/refused.err"; then
		not_ok "$what: succeeded"
	elif ! jq -e --argjson code "$code" --arg text "$text" '.code == $code and (.msg + " " + (.details // "") | contains($text))' \
		"$work/refused" >"$work/jq" 2>&1; then
		not_ok "$what: wanted code $code, \"$text\""
		sed 's/^/# /' "$work/refused" "$work/refused.err"
	else
		ok "$what: code $code, $(jq -r .msg "$work/refused")"
	fi
}
# one_off NAME NODE NETWORK PATCH: a pod of its own whose chain's configuration is changed by a jq filter
one_off() {
	object "$1" "$2" "$3" one-off || return 1
	pod_new "$1"
	status=0
	chain_add "$2" "$(nad "$3" | jq -c "$4")" "$(container_id "$1")" "$(pod_netns "$1")" eth0 "$(pod_args "$1")" || status=1
	return "$status"
}
# clean NAME NODE: nothing of it is left, without a DEL
clean() {
	state "$2" >"$work/state-now"
	diff -u "$work/state-$2.busy" "$work/state-now" && is 'lo' "$(in_pod "$1" ip -o link | awk -F': ' '$2 !~ /^sit0/ { print $2 }')"
}
over() {
	pod_del "$1"
	api DELETE "/api/v1/namespaces/default/pods/$1?gracePeriodSeconds=0" >"$work/delete"
}
for node in master worker; do
	state "$node" >"$work/state-$node.busy"
done
refused 'master that does not exist' 7 'there is no such interface on this node' one_off bad-1 master ipvlan-eth0 '.plugins[0].master = "eth9"'
check 'nothing is left of it' clean bad-1 master
over bad-1
refused 'a pool of another node only' 11 'no IPPool available, all IPv4 IPPools [worker-172] of eth0 filtered out' one_off bad-2 master ipvlan-eth0 '.plugins[0].ipam.default_ipv4_ippool = ["worker-172"]'
check 'nothing is left of it' clean bad-2 master
over bad-2
refused 'a pool that does not exist' 11 'no IPPool available, IPPool no-such-pool, which the network configuration names for eth0, does not exist' one_off bad-3 master ipvlan-eth0 '.plugins[0].ipam.default_ipv4_ippool = ["no-such-pool"]'
over bad-3
kubectl apply -f - >"$work/apply" 2>&1 <<-'YAML'
	apiVersion: spiderpool.spidernet.io/v2beta1
	kind: SpiderIPPool
	metadata: {name: tiny}
	spec: {subnet: 10.7.0.0/24, ips: [10.7.0.9], excludeIPs: [10.7.0.9]}
YAML
refused 'a pool that is full' 11 'all IP addresses used out' one_off bad-4 master ipvlan-eth0 '.plugins[0].ipam.default_ipv4_ippool = ["tiny"]'
check 'nothing is left of it' clean bad-4 master
over bad-4
# a sibling slave that holds every address of the pool before the pods do
pod_new squatter
on master ip link add sq0 link eth0 netns squatter type ipvlan mode l2
for last in 185 186 187 188 189; do
	ip -n squatter address add "172.31.199.$last/20" dev sq0 2>/dev/null || true
done
state master >"$work/state-master.busy"
refused 'an address that a sibling has' 999 'is already on another ipvlan interface of eth0' one_off bad-5 master ipvlan-eth0 .
check 'nothing is left of it' clean bad-5 master
with_tiny() {
	echo "$guide_table" | head -n 3
	echo 'tiny         4         10.7.0.0/24       0                    0                false'
	echo "$guide_table" | tail -n 2
}
check 'its address went back' poll 5 table_is "$(with_tiny)"
over bad-5
pod_del squatter
kubectl delete spiderippool tiny >"$work/delete" 2>&1
# a step late in the chain: the host end's name is taken, so the coordinator fails and the runtime calls DEL
late_failure() {
	object bad-6 master ipvlan-eth0 one-off || return 1
	taken=veth$(container_id bad-6 | cut -c1-11)
	on master ip link add "$taken" type veth peer name taken-peer || return 1
	state master >"$work/state-master.busy"
	pod_new bad-6
	! chain_add master "$(nad ipvlan-eth0)" "$(container_id bad-6)" "$(pod_netns bad-6)" eth0 "$(pod_args bad-6)" >"$work/bad-6" || {
		echo 'the chain succeeded'
		return 1
	}
	cat "$work/bad-6"
	jq -e '.msg | contains("veth")' "$work/bad-6" || return 1
	pod_gone bad-6 master ipvlan-eth0 || return 1
	on master ip link del "$taken" 2>/dev/null || true
	over bad-6
}
check 'a failure late in the chain, then DEL' late_failure

echo '# the pods go'
check 'DEL of four pods' each pod_gone
check 'DEL again succeeds' each pod_gone
for name in $names; do
	over "$name"
done
for node in master worker; do
	state "$node" >"$work/state-$node.after"
	check "$node: links, routes, rules, neighbours, nf_tables and files are as before" diff -u "$work/state-$node.before" "$work/state-$node.after"
done
check 'the pools are empty' poll 10 table_is "$empty_table"
no_endpoints() {
	is '' "$(kubectl get spiderendpoints --no-headers 2>/dev/null)"
}
check 'the endpoints went with the pods' poll 15 no_endpoints

echo '# the control: macvlan gives a pod a MAC of its own'
pod_new macvlan-pod
on master ip link add m0 link eth1 netns macvlan-pod type macvlan mode bridge
ip -n macvlan-pod address add 192.168.0.156/24 dev m0
ip -n macvlan-pod link set m0 up
dropped=$(spoofed)
macvlan_fails() {
	! in_pod macvlan-pod ping -n -q -c 2 -i 0.05 -W 1 192.168.0.253
}
check 'macvlan does not reach its gateway' macvlan_fails
check 'its frames are dropped as spoofed' [ "$(spoofed)" -gt "$dropped" ]
pod_del macvlan-pod
[ "$failed" = 0 ]
