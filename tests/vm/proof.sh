#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/vm/proof.sh [PART]...
#
# The whole chain multus, ipvlan, ipam, coordinator under an agent over a directory, and ifacer: many
# pods at once, plugins killed wherever they are, and every call of theirs failing once; each time, what
# there was before is what there is after.  inject.py does it and compares.  Prints TAP.
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"

work=/run/proof
store=$work/store
mkdir -p "$store"
agent=
# shellcheck source=tests/vm/ok.sh
. "$here/ok.sh"

# shellcheck disable=SC2317 # called by the trap
finish() {
	[ -z "$agent" ] || {
		kill "$agent"
		wait "$agent"
	} 2>/dev/null
	fabric_down
}
trap finish EXIT
trap 'exit 130' INT TERM

ctl() { "$SPIDERBOX" ctl "$@" --store "dir:$store"; }

# definition NAMESPACE NAME CONFIG
definition() {
	jq -n --arg ns "$1" --arg name "$2" --arg config "$3" '{apiVersion: "k8s.cni.cncf.io/v1", kind: "NetworkAttachmentDefinition",
		metadata: {name: $name, namespace: $ns}, spec: {config: $config}}'
	echo ---
}
# pods NAME... : objects
pods() {
	for pod; do
		printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","namespace":"default","annotations":%s},"spec":{"nodeName":"master","containers":[]}}\n---\n' "$pod" "${annotations:-{\}}"
	done
}
cid() {
	printf %s "$1" | sha256sum | cut -c1-64
}
# Another program's plugin, which makes nothing.
stranger() {
	cat <<'SH'
#!/bin/sh
cat >/dev/null
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.0.0","interfaces":[],"ips":[]}'
SH
}

pool_first='{"type":"spiderpool","default_ipv4_ippool":["first"]}'
chain='{"cniVersion":"1.0.0","name":"chain","plugins":[{"type":"ipvlan","master":"eth0","ipam":{"type":"spiderpool"}},{"type":"coordinator","mode":"auto"}]}'

# --- start

fabric_up || exit 1
fabric_allow m-eth0 00:16:3e:00:00:01 172.31.200.1-172.31.200.250
{
	definition kube-system chain "$chain"
	definition default second '{"cniVersion":"1.0.0","name":"second","plugins":[{"type":"ipvlan","master":"eth1","ipam":{"type":"spiderpool","default_ipv4_ippool":["second"]}},{"type":"coordinator","mode":"auto"}]}'
	definition default strange '{"cniVersion":"1.0.0","name":"strange","type":"stranger"}'
	annotations='{"k8s.v1.cni.cncf.io/networks": "strange,second"}' pods several
	# shellcheck disable=SC2046 # a list of words
	pods one $(seq -f p%g 200)
	cat <<-'YAML'
		apiVersion: spiderpool.spidernet.io/v2beta1
		kind: SpiderIPPool
		metadata: {name: first}
		spec: {subnet: 172.31.192.0/20, ips: [172.31.200.1-172.31.200.250], gateway: 172.31.207.253, nodeName: [master], default: true, multusName: [kube-system/chain]}
		---
		apiVersion: spiderpool.spidernet.io/v2beta1
		kind: SpiderIPPool
		metadata: {name: second}
		spec: {subnet: 192.168.0.0/24, ips: [192.168.0.156-192.168.0.160], gateway: 192.168.0.253, nodeName: [master], multusName: [default/second]}
	YAML
} | ctl apply -f - >"$work/apply" || cat "$work/apply"
on master mkdir -p /etc/cni/net.d
on master "$SPIDERBOX" ctl install --bin-dir /opt/cni/bin --conf-dir /etc/cni/net.d >"$work/install" 2>&1 || cat "$work/install"
stranger >"$(node_dir master /opt/cni/bin/stranger)"
chmod +x "$(node_dir master /opt/cni/bin/stranger)"
on master "$SPIDERBOX" agent --store "dir:$store" --node master --default-network kube-system/chain \
	--service-cidr 10.233.0.0/18 --health-addr '' --multus-conf-dir /etc/cni/net.d >"$VM_OUT/agent.log" 2>&1 &
agent=$!
multus_conf=$(node_dir master /etc/cni/net.d/00-multus.conf)
await test -e "$multus_conf" || exit 1
await on master test -S /var/run/spidernet/spiderpool.sock || exit 1

# --- many pods at once

# inject PLUGIN POD CONF ARGUMENT...: see there.  With a pod's first interface the coordinator leaves to
# the end of the namespace: its rules 1000 and below, to tables 100 and 101, and the nf_tables.
inject() {
	inject_plugin=$1 inject_pod=$2 inject_conf=$3
	shift 3
	on master env "PLUGIN=/opt/cni/bin/$inject_plugin" "CONF=$inject_conf" "WORK=$work" "STORE=$store" "CLEANUP=${CLEANUP:-}" \
		'LEFT=pod[^:]*: nft' \
		"FILES=/var/lib/spidernet /var/lib/cni /run/spidernet" "CNI_CONTAINERID=$(cid "$inject_pod")" \
		"CNI_NETNS=${inject_pod:+$(pod_netns "$inject_pod")}" CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$inject_pod" "$here/inject.py" "$@"
}

# Of every pod, as many at a time: calls COMMAND AT-A-TIME
# shellcheck disable=SC2016 # expanded by the inner shell
calls_here='
	export CNI_COMMAND="$command" CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
	n=0
	while read -r pod cid; do
		CNI_CONTAINERID=$cid CNI_NETNS=/var/run/netns/$pod CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$pod" \
			/opt/cni/bin/multus <"$conf" >"$work/$pod.$command" 2>"$work/$pod.log" || echo "$command of $pod: $(cat "$work/$pod.$command")" >>"$work/failed" &
		n=$((n + 1))
		[ $((n % at_a_time)) != 0 ] || wait
	done <"$work/pods"
	wait
	[ ! -s "$work/failed" ] || { head -n 5 "$work/failed"; exit 1; }'
calls() {
	: >"$work/failed"
	on master env "command=$1" "at_a_time=$2" "work=$work" "conf=$multus_conf" sh -c "$calls_here"
}
dump_all() {
	# shellcheck disable=SC2046 # a list of words
	inject multus '' "$multus_conf" dump "$work/$1" $(sed 's,^\(p[0-9]*\) .*,/run/netns/\1,' "$work/pods")
}
# what the agent could not do at once, it does a little later
all_as_before() {
	dump_all after
	diff -u "$work/before" "$work/after"
}
many_part() {
	seq -f 'netns add p%g' 200 >"$work/batch"
	ip -batch "$work/batch"
	for pod in $(seq -f p%g 200); do
		echo "$pod $(cid "$pod")"
	done >"$work/pods"
	# shared by all pods of a card, and never taken away
	head -n 1 "$work/pods" >"$work/first"
	mv "$work/pods" "$work/all"
	mv "$work/first" "$work/pods"
	calls ADD 1
	calls DEL 1
	mv "$work/all" "$work/pods"
	dump_all before
	ok 'ADD of 200 pods, twenty at a time' calls ADD 20
	cat "$work"/p*.ADD | jq -r '.ips[0].address | split("/")[0]' | sort >"$work/addresses"
	same 'each has its own address' 200 "$(uniq "$work/addresses" | wc -l)"
	same 'each has its own interface on the node' 200 "$(on master ip -o link show type veth | sed 's/^[0-9]*: \(veth[^@]*\).*/\1/' | grep ^veth | sort -u | wc -l)"
	same 'all that is given is theirs' "$(cat "$work/addresses")" "$(jq -r '.status.allocatedIPs | fromjson | keys[]' "$store/spiderippools/first.json" | sort)"
	# shellcheck disable=SC2046 # a list of words
	ok 'each answers the node' on master "$here/pings.py" 10 $(cat "$work/addresses")
	same 'no frame was dropped as spoofed' 0 "$(spoofed)"
	ok 'DEL of them, all at once' calls DEL 200
	ok 'everything is as before' await all_as_before
	seq -f 'netns del p%g' 200 >"$work/batch"
	ip -batch "$work/batch"
}

# --- killed, and refused

# alone TYPE: a chain of one
alone() {
	echo "{\"cniVersion\":\"1.0.0\",\"name\":\"alone\",\"type\":\"$1\",\"master\":\"eth0\",\"ipam\":$pool_first}" >"$work/alone-$1"
	echo "$work/alone-$1"
}
# call COMMAND POD PLUGIN
call() {
	on master env "CNI_COMMAND=$1" "CNI_CONTAINERID=$(cid "$2")" "CNI_NETNS=$(pod_netns "$2")" CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$2" "/opt/cni/bin/$3" 2>"$work/stderr"
}
ipvlan() { call "$1" one ipvlan <"$(alone ipvlan)"; }
multus() { call "$1" "$2" multus <"$multus_conf"; }
# after_ipvlan: the coordinator's, behind an interface that is there
after_ipvlan() {
	ipvlan ADD >"$work/prev"
	jq -c '{cniVersion: "1.0.0", name: "alone", type: "coordinator", mode: "auto", prevResult: .}' "$work/prev" >"$work/after-ipvlan"
}
# A bond of two cards, of which one is down, and a VLAN on it.
cards() {
	for card in eth2 eth3; do
		ip -n master link add "$card" type veth peer name "peer-$card"
		ip -n master link set "peer-$card" up
	done
	ip -n master link set eth2 up
	echo '{"cniVersion":"1.0.0","name":"alone","type":"ifacer","interfaces":["eth2","eth3"],"vlanID":100,
		"bond":{"name":"bond7","mode":1,"options":"primary=eth2;active_slave=eth3"}}' >"$work/ifacer"
}
pod_new one
pod_new several
cards
uncard='ip link del bond7.100; ip link del bond7; ip link set eth2 up; ip link set eth3 down'

killed_part() {
	ok 'multus killed at each step of an ADD' inject multus one "$multus_conf" kill ADD
	ok 'multus killed at each step of a DEL' inject multus one "$multus_conf" kill DEL
	inject multus one "$multus_conf" dump "$work/before"
	ok 'multus: ADD' multus ADD one
	same 'ADD again, without a DEL before' '[default/one/:chain]: error adding container to network "chain": interface eth0 is already in the pod (/var/run/netns/one)' \
		"$(multus ADD one | jq -r .msg)"
	ok 'DEL' multus DEL one
	inject multus one "$multus_conf" dump "$work/after"
	ok 'everything is as before' diff -u "$work/before" "$work/after"
	multus ADD one >"$work/one"
	ok 'DEL, watched' on master env CNI_COMMAND=DEL "CNI_CONTAINERID=$(cid one)" "CNI_NETNS=$(pod_netns one)" CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=one" \
		strace -qq -o "$work/del.strace" -e trace=sendto,sendmsg /opt/cni/bin/multus <"$multus_conf"
	same 'both interfaces go by one request' 1 "$(grep -oE 'nlmsg_type=(RTM_DELLINK|0x11 )' "$work/del.strace" | wc -l)"
	inject multus one "$multus_conf" dump "$work/after"
	ok 'everything is as before' diff -u "$work/before" "$work/after"
	ok 'multus killed at steps of an ADD of three networks, one of them of another program' inject multus several "$multus_conf" kill ADD 7
	ok 'multus killed at steps of their DEL' inject multus several "$multus_conf" kill DEL 5
	ok 'ipvlan killed at each step of an ADD' inject ipvlan one "$(alone ipvlan)" kill ADD
	ok 'ipvlan killed at each step of a DEL' inject ipvlan one "$(alone ipvlan)" kill DEL
	ok 'ipam killed at each step of an ADD' inject spiderpool one "$(alone ipvlan)" kill ADD
	ok 'ipam killed at each step of a DEL' inject spiderpool one "$(alone ipvlan)" kill DEL
	after_ipvlan
	ok 'coordinator killed at each step of an ADD' inject coordinator one "$work/after-ipvlan" kill ADD
	ok 'coordinator killed at each step of a DEL' inject coordinator one "$work/after-ipvlan" kill DEL
	ipvlan DEL
	CLEANUP=$uncard ok 'ifacer killed at each step, and called again' inject ifacer one "$work/ifacer" kill ADD
}
# slow N: an ADD that waits before its Nth send for long enough that another one is through
slow() {
	on master env CNI_COMMAND=ADD "CNI_CONTAINERID=$(cid one)" "CNI_NETNS=$(pod_netns one)" CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=one" \
		strace -qq -o "$work/slow.strace" -e trace=sendto -e "inject=sendto:delay_enter=1500000:when=$1" \
		/opt/cni/bin/ipvlan <"$(alone ipvlan)" >"$work/slow" 2>"$work/slow.log"
}
sends_are() {
	[ "$(grep -c '^sendto' "$work/slow.strace")" -ge "$1" ]
}
# one_wins N: whoever it is has the interface and the address, and the other one takes nothing away
one_wins() {
	quick=0 late=0
	: >"$work/slow.strace"
	slow "$1" &
	pid=$!
	await sends_are "$(($1 - 1))"
	ipvlan ADD >"$work/quick" || quick=$?
	wait "$pid" || late=$?
	cat "$work/quick" "$work/slow"
	address=$(jq -r '.ips[]?.address' "$work/quick" "$work/slow")
	ip -n one -o address show dev eth0 scope global
	ip -n one -o link show type ipvlan
	[ "$quick$late" = 01 ] || [ "$quick$late" = 10 ] || return 1
	[ "$(ip -n one -o address show dev eth0 scope global | awk '{ print $4 }')" = "$address" ] &&
		[ "$(ip -n one -o link show type ipvlan | wc -l)" = 1 ] &&
		[ "$(jq -r '.status.allocatedIPs | fromjson | keys[]' "$store/spiderippools/first.json")" = "${address%/*}" ]
}
twice_part() {
	# shared by all pods of a card, and never taken away
	ipvlan ADD >"$work/quick" && ipvlan DEL
	inject ipvlan one "$(alone ipvlan)" dump "$work/before"
	for n in 1 2 3 4; do
		ok "two ADDs of one container at once, of which one waits before its message $n" one_wins "$n"
		ok 'their DEL' ipvlan DEL
		inject ipvlan one "$(alone ipvlan)" dump "$work/after"
		ok 'everything is as before' diff -u "$work/before" "$work/after"
	done
}
# harmless DESCRIPTION LINES: those calls may fail, and no others
harmless() {
	same "$1" "$2" "$(cat "$work/harmless")"
}
# Answers are not as many each time, so that it is not said which one is harmless.
refused_part() {
	ok 'ipvlan: each request fails' inject ipvlan one "$(alone ipvlan)" fail ADD send:ENOBUFS
	harmless 'but the one to the agent, which is repeated' 'ENOBUFS send POST /v1/ipam/ip'
	ok 'ipvlan: each answer is lost' inject ipvlan one "$(alone ipvlan)" fail ADD recvfrom:ENOBUFS
	ok 'ipvlan: each file, lock, socket, namespace fails' inject ipvlan one "$(alone ipvlan)" fail ADD \
		open:EMFILE flock:ENOLCK socket:EMFILE pwrite64:EACCES setns:EPERM:2 connect:EACCES
	harmless 'but telling the neighbours, the note of what the master has, and unlocking' 'EACCES pwrite64 1
EMFILE open /proc/sys/net/ipv4/conf/eth0/arp_notify
EMFILE open /proc/sys/net/ipv6/conf/eth0/ndisc_notify
EMFILE open /var/run/netns/one
EMFILE open /var/run/spidernet/ipvlan/3
ENOLCK flock
EPERM setns'
	CLEANUP=$uncard ok 'ifacer: each request fails' inject ifacer one "$work/ifacer" fail ADD send:ENOBUFS
	harmless 'but the look for slaves in pods, and the choice of the active member' 'ENOBUFS send netlink RTM_GETLINK
ENOBUFS send netlink RTM_NEWLINK'
	CLEANUP=$uncard ok 'ifacer: every third answer is lost' inject ifacer one "$work/ifacer" fail ADD recvfrom:ENOBUFS:3
	# namespaces of pods that it cannot look into, of which there are many, it passes over
	CLEANUP=$uncard ok 'ifacer: files, locks, sockets, namespaces fail' inject ifacer one "$work/ifacer" fail ADD \
		open:EMFILE:4 flock:ENOLCK socket:EMFILE:3
	ok 'multus: each request fails' inject multus one "$multus_conf" fail ADD send:ENOBUFS
	harmless 'but those to the agent, which are repeated, the look for the address by which the node reaches the pod, and what files tell as well' 'ENOBUFS send GET /v1/coordinator/config
ENOBUFS send POST /v1/ipam/ip
ENOBUFS send POST /v1/multus/pod
ENOBUFS send POST /v1/multus/status
ENOBUFS send netlink RTM_GETNETCONF
ENOBUFS send netlink RTM_GETROUTE'
	ok 'multus: each file fails' inject multus one "$multus_conf" fail ADD open:EMFILE rename:EIO fchmod:EIO write:ENOSPC
	harmless 'but notes, records, logs, telling the neighbours' 'EIO fchmod
EIO rename /var/lib/spidernet/datapath/CID-eth0.json
EMFILE open /proc/sys/kernel/random/boot_id
EMFILE open /proc/sys/net/ipv4/conf/eth0/arp_notify
EMFILE open /proc/sys/net/ipv6/conf/eth0/ndisc_notify
EMFILE open /proc/sys/net/ipv6/conf/veth7692c3ad354/accept_ra
EMFILE open /var/lib/spidernet/datapath/.CID-eth0.json.XXXXXX
EMFILE open /var/log/multus.log
EMFILE open /var/run/netns/one
EMFILE open /var/run/spidernet/ipvlan/3
ENOSPC write a document
ENOSPC write a line of the log'
	ok 'multus: starting another program fails' inject multus several "$multus_conf" fail ADD clone:EAGAIN pipe2:EMFILE signalfd4:ENFILE
	harmless 'each time' ''
	chmod -x "$(node_dir master /opt/cni/bin/stranger)"
	inject multus several "$multus_conf" dump "$work/before"
	same 'multus: the other program is not executable' '[default/several/:strange]: error adding container to network "strange": run plugin /opt/cni/bin/stranger: Permission denied' \
		"$(multus ADD several | jq -r .msg)"
	chmod +x "$(node_dir master /opt/cni/bin/stranger)"
	ok 'its DEL has to wait until it is' multus DEL several
	inject multus several "$multus_conf" dump "$work/after"
	ok 'everything is as before' diff -u "$work/before" "$work/after"
}

[ $# -gt 0 ] || set -- many twice killed refused
for part; do
	"${part}_part"
done
[ "$failed" = 0 ]
