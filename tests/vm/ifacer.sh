#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The plugin ifacer in a kernel that has VLANs and bonds: what it makes, that pods' traffic flows over
# it and survives a dead cable, what it refuses, and that nothing half made is left.  Prints TAP.
#
#   node: nic0 10.1.0.2, default route --- peer: port0 10.1.0.1
#         nic1, nic2, nic3 ------------- peer: port1 ... in bridge br0, which has VLAN 100 as
#                                        br0.100 10.100.0.1 and fd00:100::1
set -u

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/chain.sh
. "$here/chain.sh"

work=/run/ifacer
CHAIN_CACHE=$work/cache
mkdir -p "$work" "$CHAIN_CACHE" /opt/cni/bin
# shellcheck source=tests/vm/ok.sh
. "$here/ok.sh"

# shellcheck disable=SC2317 # called by ok
within() {
	tries=$1
	shift
	until "$@"; do
		[ "$tries" -gt 0 ] || return 1
		tries=$((tries - 1))
	done
}

# chain.sh's: in a namespace; all share their files here
on() {
	on_name=$1
	shift
	ip netns exec "$on_name" "$@"
}

# --- calls

# conf VERSION MEMBERS: a configuration of ifacer alone
conf() {
	printf '{"cniVersion":"%s","name":"net","type":"ifacer",%s}' "$1" "$2"
}
# call COMMAND CONF: one call of the plugin, as a runtime makes it for eth0 of pod a
call() {
	chain_run node "$1" "$2" abc /var/run/netns/a eth0 ''
}
# refused DESCRIPTION WANTED MEMBERS [COMMAND]: it fails so, and the node is as before
refused() {
	ref_before=$(dump)
	ref_out=$(call "${4:-ADD}" "$(conf 1.1.0 "$3")") && echo "# it succeeded: $ref_out"
	same "$1, with code and reason" "$2" "$(printf %s "$ref_out" | jq -r '"\(.code) \(.msg)"')"
	same "$1: the node is as it was" "$ref_before" "$(dump)"
}
# The node's interfaces, what they are and what they have; the order of members does not matter.
dump() {
	on node ip -d -j link | jq -r '.[] | [.ifname, .link // "", .master // "", .linkinfo.info_kind // "",
		(.linkinfo.info_data // {} | [.mode, .id, .protocol, .miimon, .updelay, .xmit_hash_policy, .primary, .arp_ip_target] | tostring),
		(.flags | contains(["UP"]))] | map(tostring) | join(" ")'
	on node ip -j address | jq -r '.[] | .ifname as $i | .addr_info[] | select(.family == "inet") | "\($i) \(.local)"'
	on node ip route
}
index() {
	on node ip -j link show "$1" | jq '.[0].ifindex'
}
# A list with ifacer in front of ipvlan; the address comes from a delegate.
list() {
	printf '{"cniVersion":"1.0.0","name":"%s","plugins":[{"type":"ifacer",%s},{"type":"ipvlan","master":"%s","ipam":{"type":"fixed","ips":[{"address":"%s"},{"address":"%s"}]}}]}' \
		"$1" "$2" "$3" "$4" "$5" | jq -c .
}
# shellcheck disable=SC2317 # called by ok
add() { chain_add node "$1" "$2" "/var/run/netns/$2" eth0 ''; }
# shellcheck disable=SC2317 # called by ok
del() { chain_del node "$1" "$2" "/var/run/netns/$2" eth0 ''; }
check() { chain_check node "$1" "$2" "/var/run/netns/$2" eth0 ''; }
# shellcheck disable=SC2317 # called by ok
reaches() { on "$1" ping -n -q -c 1 -W 2 "$2"; }

# --- start

cp "$SPIDERBOX" /opt/cni/bin/ifacer
cp "$SPIDERBOX" /opt/cni/bin/ipvlan
cat >/opt/cni/bin/fixed <<'SH'
#!/bin/sh
[ "$CNI_COMMAND" != ADD ] || jq -c '{cniVersion, ips: .ipam.ips}'
SH
chmod +x /opt/cni/bin/fixed

for name in node peer a b; do
	ip netns add "$name"
	ip -n "$name" link set lo up
done
for i in 0 1 2 3; do
	ip link add "nic$i" netns node address "0a:00:00:00:00:0$i" type veth peer name "port$i" netns peer
	ip -n peer link set "port$i" up
done
ip -n node link set nic0 up
ip -n node address add 10.1.0.2/24 dev nic0
ip -n node route add default via 10.1.0.1
ip -n peer address add 10.1.0.1/24 dev port0
ip -n peer link add br0 type bridge forward_delay 0
for i in 1 2 3; do
	ip -n peer link set "port$i" master br0
done
ip -n peer link set br0 up
ip -n peer link add br0.100 link br0 type vlan id 100
ip -n peer link set br0.100 up
ip -n peer address add 10.100.0.1/24 dev br0.100
ip -n peer address add fd00:100::1/64 dev br0.100 nodad

# --- VLAN

vlan='"interfaces":["nic1"],"vlanID":100'
same 'a VLAN: the result says nothing' '{"cniVersion":"1.1.0"}' "$(call ADD "$(conf 1.1.0 "$vlan")")"
same 'the VLAN, and it and its card are up' 'vlan 802.1Q 100 nic1 true true' \
	"$(on node ip -d -j link | jq -r '(.[] | select(.ifname == "nic1.100")) as $v
		| "\($v.linkinfo.info_kind) \($v.linkinfo.info_data.protocol) \($v.linkinfo.info_data.id) \($v.link) \($v.flags | contains(["UP"])) "
		+ (.[] | select(.ifname == "nic1") | .flags | contains(["UP"]) | tostring)')"
was=$(index nic1.100)
before=$(dump)
same 'again, with an older version' '{"cniVersion":"0.3.1","dns":{}}' "$(call ADD "$(conf 0.3.1 "$vlan")")"
same 'it is the same one' "$was $before" "$(index nic1.100) $(dump)"
ok 'CHECK' call CHECK "$(conf 1.1.0 "$vlan")"
ok 'STATUS' call STATUS "$(conf 1.1.0 "$vlan")"
for verb in DEL GC; do
	ok "$verb succeeds" call "$verb" "$(conf 1.1.0 "$vlan")"
done
same 'and leaves it' "$before" "$(dump)"
same 'what came before in the chain is passed on' '{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.9/24"}],"x":1}' \
	"$(call ADD "$(conf 1.1.0 "$vlan"',"prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.9/24"}],"x":1}')")"

net=$(list vlan "$vlan" nic1.100 10.100.0.5/24 fd00:100::5/64)
ok 'a pod on the VLAN' add "$net" a
ok 'it reaches the other side' reaches a 10.100.0.1
ok 'by IPv6 too' reaches a fd00:100::1
ok 'CHECK of the chain' check "$net" a
on node ip link set nic1.100 down
same 'CHECK sees that it is down' 'interface nic1.100 is down' "$(check "$net" a | jq -r .msg)"
ok 'ADD sets it up' call ADD "$(conf 1.1.0 "$vlan")"
ok 'DEL of the chain' del "$net" a
ok 'DEL of the chain again' del "$net" a

refused 'a VLAN on a card that is not there' '999 interface "nic9": there is none on this node' '"interfaces":["nic9"],"vlanID":100'
refused 'a VLAN with an id that there is not' '7 ifacer configuration: vlanID: 4095 is not between 0 and 4094' \
	'"interfaces":["nic1"],"vlanID":4095'
on node ip link add vlan7 link nic1 type vlan id 7
refused 'a VLAN that has another name' '999 VLAN 7 of nic1 is there already, as interface vlan7 and not nic1.7' \
	'"interfaces":["nic1"],"vlanID":7'
on node ip link set vlan7 name nic1.8
refused 'a VLAN name with another id' '999 interface nic1.8 is there already, with VLAN id 7, not 8' \
	'"interfaces":["nic1"],"vlanID":8'
on node ip link del nic1.8
on node ip link add nic1.9 link nic2 type vlan id 9
refused 'a VLAN name on another card' '999 interface nic1.9 is there already, and is not on nic1' \
	'"interfaces":["nic1"],"vlanID":9'
refused 'CHECK of that' '999 interface nic1.9 is there already, and is not on nic1' \
	'"interfaces":["nic1"],"vlanID":9' CHECK
on node ip link del nic1.9
on node ip link add nic1.9 link nic1 type vlan proto 802.1ad id 9
refused 'a VLAN of another protocol' '999 interface nic1.9 is there already, and is no VLAN' \
	'"interfaces":["nic1"],"vlanID":9'
on node ip link del nic1.9
ok 'the same id on another card is another VLAN' call ADD "$(conf 1.1.0 '"interfaces":["nic2"],"vlanID":100')"
on node ip link del nic2.100

# --- bond: refusals

bond='"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":"active-backup","options":"miimon=20;updelay=40;primary=nic1;fail_over_mac=0"},"vlanID":100'
refused 'a card that has a VLAN' '7 interface nic1 cannot become a member of bond bond0: interface nic1.100 is on it' "$bond"
on node ip link del nic1.100
refused 'the card of the default route' \
	"7 interface nic0 cannot become a member of bond bond0: the node's default route goes by it, and the node would be cut off; make the bond with the node's own network configuration" \
	'"interfaces":["nic1","nic0"],"bond":{"name":"bond0","mode":1}'
on node ip address add 10.2.0.1/24 dev nic2
refused 'a card with an address' '7 interface nic2 cannot become a member of bond bond0: it has address 10.2.0.1/24, which would be lost' "$bond"
on node ip address del 10.2.0.1/24 dev nic2
on node ip route add 10.3.0.0/24 dev nic2
refused 'a card with a route' '7 interface nic2 cannot become a member of bond bond0: it has a route to 10.3.0.0/24, which would be lost' "$bond"
on node ip route del 10.3.0.0/24 dev nic2
refused 'an option that there is not' '7 ifacer configuration: bond: options: there is no bond option "speed"' \
	'"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":1,"options":"miimon=100;speed=10"}'
refused 'an option that the mode does not have' \
	'999 bond bond0: create the bond (mode, lacp_rate): kernel (option not supported in mode): Permission denied' \
	'"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":1,"options":"lacp_rate=fast"}'
on node ip link add bond0 type dummy
refused 'a name that is taken' '999 interface bond0 is there already, and is no bond' "$bond"
on node ip link del bond0

on node ip link set nic1 up
on node ip link set nic2 up
on node ip link add link nic2 name inner netns b type ipvlan mode l2
refused 'a card that is the master of a pod' \
	'7 interface nic2 cannot become a member of bond bond0: it is the master of inner in /var/run/netns/b' "$bond"
on b ip link del inner

# Half made: the same, but where nobody sees it.
unshare --net sleep 1000 &
holder=$!
# shellcheck disable=SC2317 # called by within
moved() { [ "$(readlink "/proc/$holder/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
within 1000 moved
on node ip link add link nic2 name inner netns "$holder" type ipvlan mode l2
refused 'a bond whose second member the kernel refuses' \
	"999 put nic2 into bond bond0: make interface $(index nic2) a member: kernel (Device is in use and cannot be enslaved): Resource busy" "$bond"
nsenter "--net=/proc/$holder/ns/net" ip link del inner
kill "$holder"
on node ip link add bond0.100 type dummy
refused 'a bond whose VLAN cannot be' '999 interface bond0.100 is there already, and is no VLAN' "$bond"
on node ip link del bond0.100

# --- bond: from many at the same time

pids=
for i in 1 2 3 4 5 6 7 8; do
	call ADD "$(conf 1.1.0 "$bond")" >"$work/parallel$i" 2>&1 &
	pids="$pids $!"
done
bad=0
for pid in $pids; do
	wait "$pid" || bad=$((bad + 1))
done
same 'eight at the same time succeed' 0 "$bad"
[ "$bad" = 0 ] || sed 's/^/# /' "$work"/parallel?
same 'and made one bond of two, and its VLAN' 'bond0: active-backup 20 40 nic1 true; members nic1 nic2; VLAN bond0.100 on bond0' \
	"$(on node ip -d -j link | jq -r '(.[] | select(.ifname == "bond0")) as $b | ($b.linkinfo.info_data) as $d
		| "bond0: \($d.mode) \($d.miimon) \($d.updelay) \($d.primary) \($b.flags | contains(["UP"])); members "
		+ ([.[] | select(.master == "bond0") | .ifname] | join(" "))
		+ (.[] | select(.ifname == "bond0.100") | "; VLAN \(.ifname) on \(.link)")')"

# --- bond: traffic

net=$(list bonded "$bond" bond0.100 10.100.0.5/24 fd00:100::5/64)
ok 'a pod on the VLAN on the bond' add "$net" a
ok 'it reaches the other side' within 20 reaches a 10.100.0.1
ok 'by IPv6 too' reaches a fd00:100::1
ok 'CHECK of the chain' check "$net" a
# shellcheck disable=SC2317 # called by ok
active_is() { [ "$(on node ip -d -j link show bond0 | jq -r '.[0].linkinfo.info_data.active_slave')" = "$1" ]; }
ok 'its first card carries it' within 50 active_is nic1
ip -n peer link set port1 down
ok 'the cable is pulled: the other card takes over' within 100 active_is nic2
ok 'the pod still reaches the other side' within 20 reaches a 10.100.0.1
ok 'CHECK does not mind' check "$net" a
ok 'nor does an ADD' call ADD "$(conf 1.1.0 "$bond")"
ip -n peer link set port1 up
ok 'the first card takes over again' within 200 active_is nic1
ok 'and the pod still reaches the other side' within 20 reaches a 10.100.0.1

# --- bond: compared with what is there

differs='bond bond0 is there already, and differs'
refused 'another mode' "999 $differs: mode is active-backup, not 802.3ad" \
	'"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":4}'
refused 'another value' "999 $differs: miimon is 20, not 0" \
	'"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":1,"options":"miimon=0"}'
refused 'CHECK of that' "999 $differs: miimon is 20, not 0" \
	'"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":1,"options":"miimon=0"}' CHECK
refused 'another primary' "999 $differs: primary is not nic2" \
	'"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":1,"options":"primary=nic2"}'
refused 'other members' '999 bond bond0 is there already, and has member nic2, which is not among interfaces' \
	'"interfaces":["nic1","nic3"],"bond":{"name":"bond0","mode":1}'
refused 'a member of another bond' '7 interface nic2 cannot become a member of bond bond1: it is a member of bond0' \
	'"interfaces":["nic2","nic3"],"bond":{"name":"bond1","mode":1}'
refused 'CHECK of a bond that lacks a member' '999 bond bond0 lacks member nic3' \
	'"interfaces":["nic1","nic2","nic3"],"bond":{"name":"bond0","mode":1}' CHECK
ok 'an ADD completes it' call ADD "$(conf 1.1.0 '"interfaces":["nic1","nic2","nic3"],"bond":{"name":"bond0","mode":1}')"
same 'its members' 'nic1 nic2 nic3' "$(on node ip -j link | jq -r '[.[] | select(.master == "bond0") | .ifname] | join(" ")')"
on node ip link set nic3 nomaster
on node ip link set nic2 nomaster
on node ip address add 10.2.0.1/24 dev bond0
on node ip route replace default dev bond0
ok 'a bond that the node itself uses is completed too' call ADD "$(conf 1.1.0 "$bond")"
ok 'and CHECK agrees' call CHECK "$(conf 1.1.0 "$bond")"
ok 'the pod still reaches the other side' within 20 reaches a 10.100.0.1
ok 'DEL' del "$net" a
on node ip link del bond0

# --- bond: every kind of option, and what a killed call or the module leaves

all='"interfaces":["nic1","nic2"],"bond":{"mode":4,"options":"miimon=100;xmit_hash_policy=layer3+4;lacp_rate=fast;ad_select=bandwidth;min_links=0;ad_actor_sys_prio=7;ad_actor_system=0a:00:00:00:00:77;all_slaves_active=0;resend_igmp=0;use_carrier=1"}'
on node ip link add sp_bond0 type bond mode 0
ok 'a bond that is empty and down is set up' call ADD "$(conf 1.1.0 "$all")"
same 'with every option' '802.3ad 100 layer3+4 fast bandwidth 0 7 0a:00:00:00:00:77 0' \
	"$(on node ip -d -j link show sp_bond0 | jq -r '.[0].linkinfo.info_data | "\(.mode) \(.miimon) \(.xmit_hash_policy) \(.ad_lacp_rate) \(.ad_select) \(.min_links) \(.ad_actor_sys_prio) \(.ad_actor_system) \(.resend_igmp)"')"
ok 'CHECK compares them' call CHECK "$(conf 1.1.0 "$all")"
ok 'ADD too' call ADD "$(conf 1.1.0 "$all")"
on node ip link del sp_bond0
arp='"interfaces":["nic1","nic2"],"bond":{"mode":1,"options":"arp_interval=100;arp_ip_target=[\"10.100.0.1\",\"10.100.0.2\"];arp_validate=none"}'
ok 'STATUS makes what an ADD needs' call STATUS "$(conf 1.1.0 "$arp")"
same 'a bond that asks by ARP' '100 10.100.0.1 10.100.0.2' \
	"$(on node ip -d -j link show sp_bond0 | jq -r '.[0].linkinfo.info_data | "\(.arp_interval) \(.arp_ip_target | map(tostring) | join(" "))"')"
ok 'ADD finds it' call ADD "$(conf 1.1.0 "$arp")"
refused 'fewer addresses' '999 bond sp_bond0 is there already, and differs: arp_ip_target has 10.100.0.2, which is not wanted' \
	'"interfaces":["nic1","nic2"],"bond":{"mode":1,"options":"arp_ip_target=10.100.0.1"}'
on node ip link del sp_bond0
active='"interfaces":["nic1","nic2"],"bond":{"name":"bond0","mode":1,"options":"miimon=100;active_slave=nic2"}'
ok 'a bond that is told where to begin' call ADD "$(conf 1.1.0 "$active")"
ok 'begins there' active_is nic2
ok 'CHECK' call CHECK "$(conf 1.1.0 "$active")"
on node ip link del bond0
ip -n peer link set port2 down
ok 'or elsewhere, when the cable is out' call ADD "$(conf 1.1.0 "$active")"
ok 'as the kernel likes' active_is nic1
ip -n peer link set port2 up
on node ip link del bond0
on node ip link set nic1 up
ok 'STATUS leaves it to an ADD where a card has to be set down' call STATUS "$(conf 1.1.0 "$arp")"
same 'and the card as it is' 'UP' "$(on node ip -j link show nic1 | jq -r '.[0] | select(.master == null).flags[] | select(. == "UP")')"
refused 'STATUS when it cannot be' '50 interface "nic9": there is none on this node' '"interfaces":["nic1","nic9"],"bond":{"mode":1}' STATUS
exit "$failed"
