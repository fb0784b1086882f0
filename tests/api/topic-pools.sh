# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# Pools that are edited while in use, belong to other nodes, are large, or have addresses that must not be given.

# shellcheck source=tests/api/agents.sh
. tests/api/agents.sh

# an address of this machine, and the one beside it
mine=$(hostname -I | tr ' ' '\n' | grep -m 1 -E '^[0-9.]+$')
last=${mine##*.}
next=${mine%.*}.$((last % 2 ? last - 1 : last + 1))

check 'two nodes' agents_begin "$work/pools" one two
check 'an agent starts' agent_start one
check 'another' agent_start two
check 'pools are made' pools <<TEXT
edit subnet: 10.23.1.0/24, ips: [10.23.1.1-10.23.1.5]
card subnet: 10.23.2.0/24, ips: [10.23.2.1-10.23.2.5], nodeName: [one]
doomed subnet: 10.23.3.0/24, ips: [10.23.3.1-10.23.3.5]
q subnet: 10.23.4.0/24, ips: [10.23.4.1-10.23.4.3]
own subnet: $mine/31, ips: [$mine, $next]
wide subnet: 11.0.0.0/8, ips: [11.0.0.1-11.255.255.254]
wide6 subnet: 'fd30::/64', ips: ['fd30::-fd30::ffff:ffff:ffff:ffff']
big subnet: 10.24.0.0/16, ips: [10.24.0.1-10.24.255.254]
TEXT

# pools that are edited while in use
edit() {
	kubectl patch spiderippool "$1" --type merge -p "{\"spec\":$2}"
}
# refuses POOL WORDS: a new pod is not given an address, for these words
refuses() {
	[ -e "$agents/uid.new-$1" ] || named "new-$1" one "[\"$1\"]" || return 1
	wait_until 5 fails one "new-$1" eth0 500 "$2"
}
check 'a pod' named e1 one '["edit"]'
check 'has an address' gets one e1 eth0 10.23.1.1/24
check 'its pool is disabled' edit edit '{"disable":true}'
check 'nothing is given any more' refuses edit 'edit is disabled'
check 'but what was given stays' gets one e1 eth0 10.23.1.1/24
check 'it is enabled again, and has one other address' edit edit '{"disable":false,"ips":["10.23.1.9"]}'
check 'which is given' wait_until 5 gets one new-edit eth0 10.23.1.9/24
check 'what was given stays' gets one e1 eth0 10.23.1.1/24
check 'it is shown where it is' is e1 "$(record edit 10.23.1.1 .pod | sed 's:.*/::')"
check 'it is given back' takes one e1 eth0
check 'by the record' holds edit 1
check 'and not given again' fails one e1 eth0 500 'all IP addresses used out'

labels_are() {
	is "$2" "$(kubectl get spiderippool "$1" -o json | jq -r '[.metadata.labels // {} | keys[]] | join(" ")')"
}
pinned=ipam.spidernet.io/pinned
of=node.ipam.spidernet.io
check 'a pool of a node is labelled for it' wait_until 5 labels_are card "$pinned $of/one"
check 'a pod' named n1 one '["card"]'
check 'has an address' gets one n1 eth0 10.23.2.1/24
check 'the pool becomes that of another node' edit card '{"nodeName":["two"]}'
check 'the labels follow, and the one of this node stays' wait_until 10 labels_are card "$pinned $of/one $of/two"
check 'nothing is given here any more' refuses card 'card is not for node one'
check 'but what was given stays' gets one n1 eth0 10.23.2.1/24
check 'also after a restart' agent_end one KILL
check 'of the agent' agent_start one
check 'it is given back' takes one n1 eth0
check 'by the record' holds card 0
check 'and the label goes' wait_until 10 labels_are card "$pinned $of/two"
check 'a pod of the other node' named n2 two '["card"]'
check 'gets its address' gets two n2 eth0 10.23.2.2/24
check 'the pool becomes that of no node' edit card '{"nodeName":[]}'
check 'without labels' wait_until 10 labels_are card ''
check 'somebody labels it for a node' kubectl label spiderippool card $of/nine=
check 'which is corrected' wait_until 10 labels_are card ''
check 'so that no agent is told of it' kubectl label spiderippool card $of/nine= $pinned=
check 'a pod that names it' named n3 one '["card"]'
check 'gets of it' gets one n3 eth0 '10.23.2.*/24'
check 'and the labels are corrected' wait_until 10 labels_are card ''

# of a node whose agent is no more
lost() {
	echo 'lost subnet: 10.23.9.0/24, ips: [10.23.9.1], nodeName: [gone], default: true' | pools &&
		kubectl label --overwrite spiderippool lost $of/gone= $pinned=
}
check 'a default pool of a node without an agent' lost
check 'becomes that of this node' edit lost '{"nodeName":["one"]}'
check 'a pod that asks for nothing' pod o1 one
check 'finds it within half a minute' wait_until 40 gets one o1 eth0 10.23.9.1/24
check 'and its labels are corrected' wait_until 10 labels_are lost "$pinned $of/one"

check 'a pod' named d1 one '["doomed"]'
check 'has an address' gets one d1 eth0 10.23.3.1/24
check 'its pool is deleted' kubectl delete spiderippool doomed --wait=false
check 'nothing is given any more' refuses doomed 'doomed is being deleted'
check 'but what was given stays' gets one d1 eth0 10.23.3.1/24
check 'the pod is deleted by force' unpod d1
no_pool() {
	! api GET "$(path pool "$1")"
}
check 'its address is freed, and the pool is gone' wait_until 15 no_pool doomed

# pools of other nodes
count_of() {
	curl -s --max-time 10 "http://127.0.0.1:$(cat "$agents/$1.port")/metrics" | sed -n 's/^spiderpool_total_ippool_counts //p'
}
before_one=$(count_of one)
before_two=$(count_of two)
for i in 1 2 3 4 5; do
	echo "foreign$i subnet: 10.25.$i.0/24, ips: [10.25.$i.1], nodeName: [two]"
done >"$work/foreign"
check 'five pools of the other node' pools <"$work/foreign"
more() {
	is $((before_two + 5)) "$(count_of two)"
}
check 'are known to its agent' wait_until 10 more
check 'and not to this one' wait_until 10 is "$before_one" "$(count_of one)"

# addresses that are held back
quarantine() {
	_body=$(identity "$1" eth0)
	ask one 200 DELETE ipam/ips "${_body%\}},\"conflicts\":[{\"address\":\"$2\",\"reason\":\"$3\"}]}"
}
check 'a pod' named q1 one '["q"]'
check 'gets an address' gets one q1 eth0 10.23.4.1/24
check 'for which somebody else answers' quarantine q1 10.23.4.1 '02:00:00:00:00:07 has it'
check 'it is held back' is '02:00:00:00:00:07 has it' "$(record q 10.23.4.1 .conflict)"
check 'and belongs to nobody' is '' "$(record q 10.23.4.1 .pod)"
ctl_tells() {
	"$SPIDERBOX" ctl ip 10.23.4.1 --store "kube:$KUBECONFIG" >"$answer" && sed 's/  since .*Z$/  since      TIME/' "$answer" |
		diff - "$work/wanted"
}
cat >"$work/wanted" <<'TEXT'
10.23.4.1 is held back: somebody else has it
  pool       q
  subnet     10.23.4.0/24
  node       one
  reason     02:00:00:00:00:07 has it
  since      TIME
TEXT
check 'ctl tells why' ctl_tells
check 'the next try gets another' gets one q1 eth0 10.23.4.2/24
check 'another pod' named q2 one '["q"]'
check 'too' gets one q2 eth0 10.23.4.3/24
check 'a third' named q3 one '["q"]'
check 'gets none' fails one q3 eth0 500 'all IP addresses used out'
check 'after a restart' agent_end one KILL
check 'that is known' agent_start one
check 'as before' fails one q3 eth0 500 'all IP addresses used out'

check "a pool with an address of the node's own" named own1 one '["own"]'
check 'gives another' gets one own1 eth0 "$next/31"
check 'for a second pod' named own2 one '["own"]'
check 'there is none' fails one own2 eth0 500 "own: 1 of 2 in use, 1 reserved or the node's own"

# large
check 'a large range' named l1 one '["wide"]'
check 'gives its addresses' gets one l1 eth0 11.0.0.1/8
check 'and is counted' is 16777214 "$(kubectl get spiderippool wide -o 'jsonpath={.status.totalIPCount}')"
check 'so does one of IPv6' pod l2 one "$(wants $ippool '{"ipv6":["wide6"]}')"
check 'from the first one on' gets one l2 eth0 fd30::/64
check 'the next' gets one l2 net1 fd30::1/64
check 'it is counted as far as numbers go' is 9007199254740991 "$(kubectl get spiderippool wide6 -o 'jsonpath={.status.totalIPCount}')"
fill() {
	agent_end one KILL
	agent_end two KILL
	jq -n '[range(4998) | {key: "10.24.\(200 + . / 250 | floor).\(. % 250 + 1)", value: {pod: "production/application-name-\(.)-7d9f8b6c5d-x2x4z",
		podUid: "00000000-0000-4000-8000-\(100000000000 + .)", nic: "eth0",
		cid: ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789a" + "\(10000 + .)"),
		node: "ip-10-0-0-1.eu-central-1.compute.internal"}}] | from_entries |
		{status: {allocatedIPs: tojson, allocatedIPCount: 4998}}' >"$work/status" &&
		api PATCH "$(path pool big)/status" "@$work/status" && agent_start one
}
check 'a pool with nearly 5,000 records' fill
named b1 one '["big"]' >"$work/log" 2>&1 || cat "$work/log"
named b2 one '["big"]' >"$work/log" 2>&1 || cat "$work/log"
named b3 one '["big"]' >"$work/log" 2>&1 || cat "$work/log"
started=$(date +%s%N)
check 'gives an address' gets one b1 eth0 10.24.0.1/16
echo "# with 4,998 records in the pool an ADD takes $((($(date +%s%N) - started) / 1000000)) ms"
check 'a second' gets one b2 eth0 10.24.0.2/16
check 'and no more' fails one b3 eth0 500 'big: 5000 of 65534 in use'
size() {
	api GET "$(path pool big)" && _bytes=$(jq -c . "$answer" | wc -c) && echo "$_bytes"
}
echo "# with 5,000 records the pool has $(size) bytes"
started=$(date +%s%N)
check 'one is given back' takes one b1 eth0
echo "# a DEL takes $((($(date +%s%N) - started) / 1000000)) ms"
check 'and can be given' gets one b3 eth0 10.24.0.3/16

check 'all ends' agents_end
