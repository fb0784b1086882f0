# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# Which pools a pod's addresses come from: annotations, configuration, defaults, affinities.  And the
# addresses that StatefulSets keep.

# shellcheck source=tests/api/agents.sh
. tests/api/agents.sh

check 'two nodes' agents_begin "$work/ipam" one two
check 'an agent starts' agent_start one
check 'another' agent_start two
check 'pools are made' pools <<'TEXT'
d4 subnet: 10.20.0.0/24, ips: [10.20.0.1-10.20.0.20], gateway: 10.20.0.254, default: true
d6 subnet: 'fd20::/64', ips: ['fd20::1-fd20::20'], gateway: 'fd20::ff', default: true
a subnet: 10.20.1.0/24, ips: [10.20.1.1-10.20.1.20], gateway: 10.20.1.254
b subnet: 10.20.2.0/24, ips: [10.20.2.1-10.20.2.20], gateway: 10.20.2.254
c subnet: 10.20.3.0/24, ips: [10.20.3.1-10.20.3.20], gateway: 10.20.3.254
later subnet: 10.20.4.0/24, ips: [10.20.4.1]
earlier subnet: 10.20.5.0/24, ips: [10.20.5.1-10.20.5.20]
wild-1 subnet: 10.20.6.0/24, ips: [10.20.6.1]
wild-2 subnet: 10.20.7.0/24, ips: [10.20.7.1-10.20.7.20]
full6 subnet: 'fd21::/64', ips: ['fd21::1']
e6 subnet: 'fd22::/64', ips: ['fd22::1-fd22::20'], gateway: 'fd22::ff', routes: [{dst: 'fd99::/64', gw: 'fd22::aa'}]
x-node subnet: 10.21.0.0/24, ips: [10.21.0.1-10.21.0.9], nodeName: [two]
x-off subnet: 10.21.1.0/24, ips: [10.21.1.1-10.21.1.9], disable: true
x-ns subnet: 10.21.2.0/24, ips: [10.21.2.1-10.21.2.9], namespaceName: [team]
x-nsl subnet: 10.21.3.0/24, ips: [10.21.3.1-10.21.3.9], namespaceAffinity: {matchExpressions: [{key: squad, operator: Exists}]}
x-pod subnet: 10.21.4.0/24, ips: [10.21.4.1-10.21.4.9], podAffinity: {matchExpressions: [{key: app, operator: In, values: [web, db]}, {key: old, operator: DoesNotExist}]}
x-net subnet: 10.21.5.0/24, ips: [10.21.5.1-10.21.5.9], multusName: [ipvlan-eth1, team/special]
x-aff subnet: 10.21.6.0/24, ips: [10.21.6.1-10.21.6.9], nodeAffinity: {matchExpressions: [{key: zone, operator: NotIn, values: [one-zone]}]}
x-ready subnet: 10.21.7.0/24, ips: [10.21.7.1-10.21.7.9]
TEXT

# sources
check 'a pod that asks for nothing' pod p1 one
check 'gets of the default pools, both families' gets one p1 eth0 '10.20.0.1/24 fd20::1/64'
check 'with default routes' routes 'eth0 0.0.0.0/0 10.20.0.254, eth0 ::/0 fd20::ff'
check 'one for the configuration' pod p2 one
check 'which wins over the defaults, for both families' gets one p2 eth0 10.20.1.1/24 ',"defaultIPv4IPPool":["a"]'
check 'it may take the default route away' routes 'eth0 0.0.0.0/0 10.20.1.254'
check 'by its own word' gets one p2 net1 10.20.1.2/24 ',"defaultIPv4IPPool":["a"],"cleanGateway":true'
check 'and then does' routes ''
check 'a namespace with annotations' api POST /api/v1/namespaces '{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"team",
	"labels":{"squad":"red"},"annotations":{"ipam.spidernet.io/default-ipv4-ippool":"[\"b\"]"}}}'
check 'a pod in it' pod team/p3 one
check 'the namespace wins over the configuration' gets one team/p3 eth0 10.20.2.1/24 ',"defaultIPv4IPPool":["a"]'
check 'a pod there with an annotation' pod team/p4 one "$(wants $ippool '{"ipv4":["c"]}')"
check 'which wins over the namespace' gets one team/p4 eth0 10.20.3.1/24 ',"defaultIPv4IPPool":["a"]'
check 'with the other annotation' pod team/p5 one "$(wants $ippool '{"ipv4":["c"]}' $ippools \
	'[{"interface":"eth0","ipv4":["a"],"ipv6":["e6"],"cleangateway":true},{"interface":"net1","ipv4":["b"]}]')"
check 'which wins over that' gets one team/p5 eth0 '10.20.1.3/24 fd22::1/64' ',"defaultIPv4IPPool":["d4"]'
check 'without a default route, and with the routes of the pool' routes 'eth0 fd99::/64 fd22::aa'
check 'the other NIC has its own pool' gets one team/p5 net1 10.20.2.2/24 ',"cleanGateway":true'
check 'and its own default route' routes 'net1 0.0.0.0/0 10.20.2.254'
check 'a NIC that is not listed' fails one team/p5 net2 500 'wrong input: annotation ipam.spidernet.io/ippools: net2 is not listed, only eth0, net1'
check 'elements without names' pod p6 one "$(wants $ippools '[{"ipv4":["a"]},{"ipv4":["b"],"cleangateway":true},{"ipv4":["c"]}]' \
	$networks 'kube-system/x, kube-system/y@second')"
check 'are for the first NIC' gets one p6 eth0 10.20.1.4/24
check 'and the others by their place' gets one p6 net1 10.20.2.3/24
check 'cleangateway is per NIC' routes ''
check 'whatever they are called' gets one p6 second 10.20.3.2/24

# order and wildcards
check 'two pools in their order' named o1 one '["later","earlier"]'
check 'the first one first, whatever their names' gets one o1 eth0 10.20.4.1/24
check 'the next pod' named o2 two '["later","earlier"]'
check 'gets of the second one, on the other node' gets two o2 eth0 10.20.5.1/24
check 'a pattern' named w1 one '["wild-?"]'
check 'is for pools in the order of their names' gets one w1 eth0 10.20.6.1/24
check 'the same' named w2 one '["wild-[0-9]"]'
check 'finds room in the next' gets one w2 eth0 10.20.7.1/24

# mistakes
check 'a pool that is not there' named m1 one '["a","gone"]'
check 'is an error, whatever else is named' fails one m1 eth0 500 \
	'no IPPool available, IPPool gone, which the annotation ipam.spidernet.io/ippool names for eth0, does not exist'
check 'a pool named twice' named m2 one '["a","b","a"]'
check 'is one too' fails one m2 eth0 500 'wrong input: annotation ipam.spidernet.io/ippool: ipv4: IPPool a is duplicated'
check 'no JSON' pod m3 one "$(wants $ippool '{"ipv4":[')"
check 'neither' fails one m3 eth0 500 'wrong input: annotation ipam.spidernet.io/ippool: '
check 'a pattern that fits none' named m4 one '["nothing-*"]'
check 'says so' fails one m4 eth0 500 'no IPPool available, no IPv4 IPPool fits what the annotation ipam.spidernet.io/ippool names for eth0'
check 'a pool that is used up' named m5 one '["later"]'
check 'shows how full it is' fails one m5 eth0 500 'all IP addresses used out, IPv4 IPPools [later] of eth0: [later: 1 of 1 in use]'
check 'a list of no pools' named m6 one '[]'
check 'names none' fails one m6 eth0 500 'wrong input: annotation ipam.spidernet.io/ippool: no IPPool is named'

# filters
kubectl patch spiderippool x-ready --subresource=status --type merge -p \
	'{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Overlap","message":"the subnet is used up"}]}}' >"$work/log" 2>&1 || cat "$work/log"
not_ready() {
	[ "$(kubectl get spiderippool x-ready -o 'jsonpath={.status.conditions[0].message}')" = 'the subnet is used up' ]
}
check 'a pool that a controller finds not ready' not_ready
check 'a pod for all filters' pod f1 one "$(wants $ippool \
	'{"ipv4":["x-node","x-off","x-ns","x-nsl","x-pod","x-net","x-aff","x-ready"]}')"
filtered() {
	for _why in 'no IPPool available, all IPv4 IPPools [x-node x-off x-ns x-nsl x-pod x-net x-aff x-ready] of eth0 filtered out: [x-node is not for node one; ' \
		'; x-off is disabled; ' '; x-ns is not for namespace default; ' '; x-nsl is not for namespace default by its namespaceAffinity: ' \
		'; x-pod is not for pod default/f1 by its podAffinity: ' '; x-net is not for network kube-system/ipvlan-eth0; ' \
		'; x-aff is not for node one by its nodeAffinity: ' '; x-ready is not ready: the subnet is used up]'; do
		fails one f1 eth0 500 "$_why" || return 1
	done
}
check 'each is named with its reason' filtered
# serves POOL NODE [NS/]POD ADDRESS [MEMBERS]
serves() {
	pod "$3" "$2" "${5:-}, \"annotations\": {\"$ippool\": \"{\\\"ipv4\\\":[\\\"$1\\\"]}\"${6:-}}" && gets "$2" "$3" eth0 "$4"
}
check 'nodeName' serves x-node two s1 10.21.0.1/24
check 'namespaceName' serves x-ns one team/s2 10.21.2.1/24
check 'namespaceAffinity' serves x-nsl one team/s3 10.21.3.1/24
check 'podAffinity' serves x-pod one s4 10.21.4.1/24 ', "labels": {"app": "db"}'
check 'multusName by the default network' serves x-net one s5 10.21.5.1/24 '' ', "v1.multus-cni.io/default-network": "ipvlan-eth1"'
check 'multusName, and another namespace' serves x-net one s6 10.21.5.2/24 '' ', "v1.multus-cni.io/default-network": "team/special"'
check 'nodeAffinity' serves x-aff two s7 10.21.6.1/24
relabel() {
	api PATCH /api/v1/nodes/one '{"metadata":{"labels":{"zone":"other"}}}' && pod s8 one "$(wants $ippool '{"ipv4":["x-aff"]}')" &&
		wait_until 10 gets one s8 eth0 10.21.6.2/24
}
check 'and labels that change' relabel

# both families or none
check 'the last address of a pool' pod t1 one "$(wants $ippool '{"ipv6":["full6"]}')"
check 'is given' gets one t1 eth0 fd21::1/64
check 'a pod that wants both' pod t2 one "$(wants $ippool '{"ipv4":["c"],"ipv6":["full6"]}')"
check 'gets none' fails one t2 eth0 500 'all IP addresses used out, IPv6 IPPools [full6] of eth0: [full6: 1 of 1 in use]'
nothing_of() {
	kubectl get spiderippools -o json >"$answer" && ! jq -r '.items[].status.allocatedIPs' "$answer" | grep -F "\"pod\":\"default/$1\""
}
check 'and nothing is recorded' nothing_of t2

# NICs, routes, endpoints
check 'one pool for two NICs' pod n1 one "$(wants $ippool '{"ipv4":["c"],"ipv6":["e6"]}' ipam.spidernet.io/routes \
	'[{"dst":"10.99.0.0/16","gw":"10.20.3.77"},{"dst":"fd98::/64","gw":"fd22::77"},{"dst":"10.98.0.0/16","gw":"10.20.99.1"}]')"
check 'gives two addresses' gets one n1 eth0 '10.20.3.3/24 fd22::2/64'
check "with the pod's own routes, where their gateways are" routes "eth0 10.99.0.0/16 10.20.3.77, eth0 0.0.0.0/0 10.20.3.254, eth0 fd99::/64 fd22::aa, eth0 fd98::/64 fd22::77, eth0 ::/0 fd22::ff"
check 'to the other NIC others' gets one n1 net1 '10.20.3.4/24 fd22::3/64' ',"cleanGateway":true'
check 'the same again' gets one n1 eth0 '10.20.3.3/24 fd22::2/64'
endpoint_of() {
	api GET "$(path endpoint "$1")" && jq -S "{status, labels: (.metadata.finalizers + [.metadata.ownerReferences[]?.kind])}" "$answer" >"$work/got" &&
		jq -S . >"$work/wanted" && diff "$work/wanted" "$work/got"
}
n1_endpoint() {
	endpoint_of n1 <<TEXT
{"labels": ["spiderpool.spidernet.io", "Pod"], "status": {"ownerControllerType": "Pod", "ownerControllerName": "n1",
 "current": {"uid": "$(cat "$agents/uid.n1")", "node": "one", "ips": [
  {"interface": "eth0", "ipv4": "10.20.3.3/24", "ipv4Pool": "c", "ipv4Gateway": "10.20.3.254",
   "ipv6": "fd22::2/64", "ipv6Pool": "e6", "ipv6Gateway": "fd22::ff", "vlan": 0, "cleanGateway": false, "routes": [{"dst": "fd99::/64", "gw": "fd22::aa"},
    {"dst": "10.99.0.0/16", "gw": "10.20.3.77"}, {"dst": "fd98::/64", "gw": "fd22::77"}]},
  {"interface": "net1", "ipv4": "10.20.3.4/24", "ipv4Pool": "c", "ipv4Gateway": "10.20.3.254",
   "ipv6": "fd22::3/64", "ipv6Pool": "e6", "ipv6Gateway": "fd22::ff", "vlan": 0, "cleanGateway": true, "routes": [{"dst": "fd99::/64", "gw": "fd22::aa"}]}]}}}
TEXT
}
check 'one endpoint tells it all' wait_until 10 n1_endpoint
check 'the first NIC goes' takes one n1 eth0
check 'the other stays' gets one n1 net1 '10.20.3.4/24 fd22::3/64'
check 'it goes too' takes one n1 net1
check 'nothing is left' nothing_of n1

# a family that is switched off
printf 'enableIPv6: false\n' >"$agents/conf.yml"
check 'the agent ends' agent_end one TERM
check 'and starts without IPv6' agent_start one --config-path "$agents/conf.yml"
check 'a pod that names both' pod v1 one "$(wants $ippool '{"ipv4":["c"],"ipv6":["e6"]}')"
check 'gets IPv4' gets one v1 eth0 10.20.3.5/24
check 'one that names IPv6 alone' pod v2 one "$(wants $ippool '{"ipv6":["e6","d6"]}')"
check 'is told why not' fails one v2 eth0 500 \
	'no IPPool available, the annotation ipam.spidernet.io/ippool names only IPv6 IPPools [e6 d6] for eth0, and IPv6 is disabled'
check 'the agent ends again' agent_end one TERM
check 'and starts with all families' agent_start one

# StatefulSets
# set_of NAME REPLICAS [MEMBERS]: sets its size, or makes it
set_of() {
	api PATCH "$(path set "$1")" "{\"spec\":{\"replicas\":$2}}" ||
		api POST /apis/apps/v1/namespaces/default/statefulsets "{\"kind\":\"StatefulSet\",\"apiVersion\":\"apps/v1\",
			\"metadata\":{\"name\":\"$1\"},\"spec\":{\"serviceName\":\"$1\",\"replicas\":$2${3:-},\"selector\":{\"matchLabels\":{\"s\":\"$1\"}},
			\"template\":{\"metadata\":{\"labels\":{\"s\":\"$1\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"none\"}]}}}}" || return 1
	jq -r .metadata.uid "$answer" >"$agents/set.$1"
}
# set_pod SET ORDINAL NODE POOLS
set_pod() {
	pod "$1-$2" "$3" ", \"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\",\"name\":\"$1\",\"uid\":\"$(cat "$agents/set.$1")\",
		\"controller\":true}]$(wants $ippool "{\"ipv4\":$4}")"
}
pools >"$work/log" 2>&1 <<'TEXT' || cat "$work/log"
sets subnet: 10.22.0.0/24, ips: [10.22.0.1-10.22.0.9]
sets2 subnet: 10.22.1.0/24, ips: [10.22.1.1-10.22.1.9]
pinned1 subnet: 10.22.2.0/24, ips: [10.22.2.1-10.22.2.9], nodeName: [one]
pinned2 subnet: 10.22.3.0/24, ips: [10.22.3.1-10.22.3.9], nodeName: [two]
TEXT
check 'a StatefulSet of two' set_of web 2
check 'its first pod' set_pod web 0 one '["sets"]'
check 'its second' set_pod web 1 one '["sets"]'
check 'get addresses' gets one web-0 eth0 10.22.0.1/24
check 'each its own' gets one web-1 eth0 10.22.0.2/24
check 'which belong to their names' is StatefulSet "$(record sets 10.22.0.1 .keep)"
set_endpoint() {
	endpoint_of web-0 <<TEXT
{"labels": ["spiderpool.spidernet.io"], "status": {"ownerControllerType": "StatefulSet", "ownerControllerName": "web",
 "current": {"uid": "$(cat "$agents/uid.web-0")", "node": "$1", "ips": [
  {"interface": "eth0", "ipv4": "$2", "ipv4Pool": "$3", "vlan": 0, "cleanGateway": false}]}}}
TEXT
}
check 'a pod is deleted' unpod web-0
check 'its container too' takes one web-0 eth0
check 'and it is made anew' set_pod web 0 one '["sets"]'
check 'the same address' gets one web-0 eth0 10.22.0.1/24
check 'for the new uid' is "$(cat "$agents/uid.web-0")" "$(record sets 10.22.0.1 .podUid)"
check 'it goes again' unpod web-0
check 'with its container' takes one web-0 eth0
check 'and comes on the other node' set_pod web 0 two '["sets"]'
# longer than a round of what frees addresses on the first node
quiet() {
	! wait_until "$1" holds "$2" "$3"
}
check 'nobody takes its address meanwhile' quiet 8 sets 1
check 'the same address there' gets two web-0 eth0 10.22.0.1/24
check 'by a record of that node' is two "$(record sets 10.22.0.1 .node)"
check 'the set becomes smaller' set_of web 1
check 'its second pod goes' unpod web-1
check 'and its container' takes one web-1 eth0
check 'its address is given back within 10 s' wait_until 10 holds sets 1
check 'other pools are named for the first' unpod web-0
check 'its container ends' takes two web-0 eth0
check 'it comes again with them' set_pod web 0 two '["sets2"]'
check 'and gets an address of theirs' gets two web-0 eth0 10.22.1.1/24
check 'the one before is given back within 10 s' wait_until 10 holds sets 0
check 'the set is deleted' api DELETE "$(path set web)"
check 'the pod goes' unpod web-0
check 'and its container' takes two web-0 eth0
check 'its address is given back within 10 s' wait_until 10 holds sets2 0
no_endpoint() {
	! api GET "$(path endpoint "$1")"
}
check 'and no endpoint is left' wait_until 10 no_endpoint web-0
check 'a set on pools of single nodes' set_of card 1
check 'its pod on one' set_pod card 0 one '["pinned1"]'
check 'has an address' gets one card-0 eth0 10.22.2.1/24
check 'it goes' unpod card-0
check 'and its container' takes one card-0 eth0
check 'it comes on the other node, whose pool it names' set_pod card 0 two '["pinned2"]'
check 'and gets one of that' gets two card-0 eth0 10.22.3.1/24
check 'that of the first node is given back within 10 s' wait_until 10 holds pinned1 0
check 'what it has now stays' holds pinned2 1

printf 'enableStatefulSet: false\n' >"$agents/conf.yml"
check 'the agent ends' agent_end one TERM
check 'and starts without fixed addresses' agent_start one --config-path "$agents/conf.yml"
check 'a set' set_of plain 1
check 'its pod' set_pod plain 0 one '["sets"]'
check 'gets an address' gets one plain-0 eth0 10.22.0.3/24
check 'of nobody but itself' is null "$(record sets 10.22.0.3 .keep)"
check 'its container ends' takes one plain-0 eth0
check 'and the address is free at once' holds sets 0

check 'all ends' agents_end
kubectl delete namespace team --wait=false >"$work/log" 2>&1 || cat "$work/log"
