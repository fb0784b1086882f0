#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The flows topic of the vm suite (see run.sh), inside the guest: who reaches whom by which way, with
# kube-proxy in each mode, between pods whose networks the agents' multus made, their nodes, services, an
# overlay network and the world.  The tables are below; flows.py tells what their columns mean.
#
#   pod  node    interfaces
#   a b  master  eth0 on the card eth0
#   c    master  eth0 on the card eth1
#   t    master  eth0 on the card eth0, net1 on the card eth1
#   w    worker  eth0 on the card eth0
#   x    worker  eth0 on the card eth1
#   p    master  eth0 of another plugin: a bridge on each node, VXLAN between them
#   o    worker  the same
#   v    master  the same, and net1 on the card eth1
#
# Service svc-POD has that pod alone behind it, svc-host the master; svc-w has external addresses as well.
# On the master a virtual address on lo is the first of all, and a node-local DNS server listens.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"
# shellcheck source=tests/api/lib.sh
. "$here/../api/lib.sh"
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
tap_topic="flows: "

: "${SPIDERBOX:?}" "${SERVERS_DIR:?}" "${VM_OUT:?}"
work=/run/flows
mkdir -p "$work"
tap_log=$work/check
# shellcheck source=tests/vm/kube.sh
. "$here/kube.sh"
KUBE_IPV6=1 kube_on_master "$@"
trap kube_stop EXIT

# ---- the table

# Both modes of kube-proxy.
cat >"$work/table" <<'TABLE'
# pods and nodes
 1 a pod -> its node                                 | tcp udp http ping 46 | a         | master       | master sees a      | a/veth0                    | same | a master
 1 a pod -> its node's other card                    | tcp udp ping 46      | a         | master@eth1  | master sees a      | a/veth0                    | same | a master
 1 a pod on the second card -> its node              | tcp udp ping 46      | c         | master       | master sees c      | c/veth0                    | same | c master
 2 a node -> its pod, as a kubelet asks              | tcp udp http ping 46 | master    | a            | a sees master      | a/veth0                    | same | a:mark master
 2 a node -> its pod on the second card              | tcp udp http ping 46 | master    | c            | c sees master@eth1 | c/veth0                    | same | c:mark master
 2 a node as its other card -> its pod               | tcp udp ping 46      | master@eth1 | a          | a sees master@eth1 | a/veth0                    | same | a:mark master
 2 a node as its virtual address -> its pod          | tcp udp ping 4       | master@vip | a           | a sees master@vip  | a/veth0                    | same | a:mark master
 3 a pod -> a pod of the same card                   | tcp udp ping 46      | a         | b            | b sees a           | a/eth0 b/eth0              | same | a b
 4 a pod -> a pod of the other node, same subnet     | tcp udp ping 46      | a         | w            | w sees a           | a/eth0 m-eth0 w-eth0 w/eth0 | same | a w
 5 a pod -> the other subnet, other node             | tcp udp ping 46      | a         | x            | x sees a           | a/eth0 m-eth0 router w-eth1 x/eth0 | same | a x
 5 a pod -> the other subnet, same node              | tcp udp ping 46      | a         | c            | c sees a           | a/eth0 m-eth0 router m-eth1 c/eth0 | same | a c
 6 a pod -> the other node                           | tcp udp http ping 46 | a         | worker       | worker sees a      | a/eth0 m-eth0 w-eth0       | same | a worker
 6 a pod -> the other node's other card              | tcp udp ping 46      | a         | worker@eth1  | worker sees a      | a/eth0 m-eth0 router w-eth1 | same | a worker
 6 a pod on the second card -> the other node        | tcp udp ping 46      | c         | worker       | worker sees c      | c/eth0 m-eth1 router w-eth0 | same | c worker
# services
 7 a pod -> a service, backend on the other node     | tcp udp http 46      | a         | svc-w        | w sees master      | a/veth0 m-eth0 w-eth0 w/eth0 | same | a master:dnat+snat w
 7 the same from the other node                      | tcp udp 46           | w         | svc-a        | a sees worker      | w/veth0 w-eth0 m-eth0 a/eth0 | same | w worker:dnat+snat a
 7 a pod -> a service, backend in the other subnet   | tcp udp 46           | a         | svc-x        | x sees master@eth1 | a/veth0 m-eth1 w-eth1 x/eth0 | same | a master:dnat+snat x
 7 a pod on the second card -> a service             | tcp udp 46           | c         | svc-w        | w sees master      | c/veth0 m-eth0 w-eth0 w/eth0 | same | c master:dnat+snat w
 7 a pod -> a service, backend on its own card       | tcp udp 46           | a         | svc-b        | b sees master      | a/veth0 b/veth0            | same | a master:dnat+snat b:mark
 7 a pod -> a service, backend on its node's other card | tcp udp 46        | a         | svc-c        | c sees master@eth1 | a/veth0 c/veth0            | same | a master:dnat+snat c:mark
 7 a pod -> itself, by a service                     | tcp udp 46           | a         | svc-a        | a sees master      | a/veth0 a/veth0            | same | a master:dnat+snat a:mark
 7 a pod -> a service, backend is its node           | tcp udp 46           | a         | svc-host     | master sees a      | a/veth0                    | same | a master:dnat
 7 a pod -> a service, backend is the other node     | tcp udp 46           | w         | svc-host     | master sees worker | w/veth0 w-eth0 m-eth0      | same | w worker:dnat+snat master
 7 a node -> a service, its pod                      | tcp udp 46           | master    | svc-a        | a sees master      | a/veth0                    | same | a:mark master:dnat+snat
 7 a node -> a service, the other node's pod         | tcp udp 46           | master    | svc-w        | w sees master      | m-eth0 w-eth0 w/eth0       | same | master:dnat+snat w
12 a pod -> the API server, on its node              | open 4               | a         | kubernetes:443 | -                | a/veth0                    | same | a master:dnat
12 a pod -> the API server, on the other node        | open 4               | w         | kubernetes:443 | -                | w/veth0 w-eth0 m-eth0      | same | w worker:dnat+snat master
13 a pod -> the node-local DNS server                | tcp udp 4            | a         | dns:53       | master sees a      | a/veth0                    | same | a
13 a pod on the second card -> it                    | tcp udp 4            | c         | dns:53       | master sees c      | c/veth0                    | same | c
14 a pod -> an external address of a service         | tcp udp 4            | a         | balancer:80  | client sees a      | a/eth0 m-eth0 internet     | same | a
14 the same, which hijackCIDR names                  | tcp udp 4            | a         | hijacked     | w sees master      | a/veth0 m-eth0 w-eth0 w/eth0 | same | a master:dnat+snat w
# from outside
 8 outside -> node port (Local)                      | tcp udp http 46      | client    | master:30011 | a sees client      | internet m-eth0 a/veth0    | same | master:dnat a:mark
 8 outside -> node port (Local), pod on the second card | tcp udp 46        | client    | master:30012 | c sees client      | internet m-eth0 c/veth0    | same | master:dnat c:mark
 8 the other node -> node port (Local)               | tcp udp 46           | worker    | master:30011 | a sees worker      | w-eth0 m-eth0 a/veth0      | same | worker master:dnat a:mark
 8 a pod of the other node -> node port (Local)      | tcp udp 46           | w         | master:30011 | a sees w           | w/eth0 w-eth0 m-eth0 a/veth0 | same | w master:dnat a:mark
 9 outside -> node port (Cluster), pod of that node  | tcp udp http 46      | client    | master:30001 | a sees master      | internet m-eth0 a/veth0    | same | master:dnat+snat a:mark
 9 outside -> node port (Cluster), pod of the other node | tcp udp 46       | client    | master:30004 | w sees master      | internet m-eth0 m-eth0 w-eth0 w/eth0 | same | master:dnat+snat w
 9 outside -> node port (Cluster), pod in the other subnet | tcp udp 46     | client    | master:30005 | x sees master@eth1 | internet m-eth0 m-eth1 w-eth1 x/eth0 | same | master:dnat+snat x
 9 a pod -> node port of its own node                | tcp udp 46           | a         | master:30004 | w sees master      | a/veth0 m-eth0 w-eth0 w/eth0 | same | a master:dnat+snat w
 9 a pod -> node port of the other node              | tcp udp 46           | a         | worker:30004 | w sees worker      | a/eth0 m-eth0 w-eth0 w/veth0 | same | a worker:dnat+snat w:mark
10 outside -> a pod                                  | tcp udp ping 46      | client    | a            | a sees client      | internet m-eth0 a/eth0     | same | a
10 outside -> a pod on the second card               | tcp udp ping 46      | client    | c            | c sees client      | internet m-eth1 c/eth0     | same | c
10 the other node -> a pod                           | tcp udp ping 46      | worker    | a            | a sees worker      | w-eth0 m-eth0 a/eth0       | same | a worker
11 a pod -> outside                                  | tcp udp http ping 46 | a         | client       | client sees a      | a/eth0 m-eth0 internet     | same | a
11 a pod on the second card -> outside               | tcp udp ping 46      | c         | client       | client sees c      | c/eth0 m-eth1 internet     | same | c
# a pod with two cards
 2 a node -> net1                                    | tcp udp http ping 46 | master    | t@net1       | t sees master@eth1 | t/veth0                    | same | t:mark master
 1 net1 -> its node                                  | tcp udp ping 46      | t@net1    | master       | master sees t@net1 | t/veth0                    | same | t master
 7 net1 -> a service                                 | tcp udp 46           | t@net1    | svc-w        | w sees master      | t/veth0 m-eth0 w-eth0 w/eth0 | same | t master:dnat+snat w
 7 the first interface -> a service                  | tcp udp 46           | t         | svc-w        | w sees master      | t/veth0 m-eth0 w-eth0 w/eth0 | same | t master:dnat+snat w
 4 net1 -> a pod of the other node, same subnet      | tcp udp ping 46      | t@net1    | x            | x sees t@net1      | t/net1 m-eth1 w-eth1 x/eth0 | same | t x
 5 net1 -> the other subnet                          | tcp udp ping 46      | t@net1    | w            | w sees t@net1      | t/net1 m-eth1 router w-eth0 w/eth0 | same | t w
 5 the other subnet -> net1                          | tcp udp ping 46      | w         | t@net1       | t sees w           | w/eth0 w-eth0 router m-eth1 t/net1 | same | t w
11 net1 -> outside                                   | tcp udp ping 46      | t@net1    | client       | client sees t@net1 | t/net1 m-eth1 internet     | same | t
11 the first interface -> outside                    | tcp udp ping 46      | t         | client       | client sees t      | t/eth0 m-eth0 internet     | same | t
13 net1 -> the node-local DNS server                 | tcp udp 4            | t@net1    | dns:53       | master sees t@net1 | t/veth0                    | same | t
# beside an overlay network
15 a pod -> an overlay pod of its node               | tcp udp ping 4       | a         | p            | p sees a           | a/veth0 p/eth0             | same | a master
15 an overlay pod -> a pod of its node               | tcp udp ping 4       | p         | a            | a sees p           | p/eth0 a/veth0             | same | a:mark master
15 a pod -> an overlay pod of the other node         | tcp udp ping 4       | a         | o            | o sees a           | a/veth0 flannel.1 o/eth0   | o/eth0 w-eth0 m-eth0 a/eth0 | a master:half worker
15 an overlay pod -> a pod of the other node         | ping 4               | o         | a            | a sees o           | o/eth0 w-eth0 m-eth0 a/eth0 | a/veth0 flannel.1 o/eth0 | a worker
15 the same with data                                | tcp udp 4            | o         | a            | a sees o           | o/eth0 w-eth0 m-eth0 a/eth0 | a/veth0 flannel.1 o/eth0 | a master:half worker
 7 an overlay pod -> a service                       | tcp udp 4            | o         | svc-a        | a sees worker      | o/eth0 w-eth0 m-eth0 a/eth0 | same | a worker:dnat+snat
 2 a node -> net1 of an overlay pod                  | tcp udp http ping 46 | master    | v@net1       | v sees master@eth1 | v/eth0                     | same | master
 1 net1 of an overlay pod -> its node                | tcp udp ping 46      | v@net1    | master       | master sees v@net1 | v/eth0                     | same | master
 7 net1 of an overlay pod -> a service               | tcp udp 46           | v@net1    | svc-w        | w sees master      | v/eth0 m-eth0 w-eth0 w/eth0 | same | master:dnat+snat w
 7 an overlay pod with net1 -> a service             | tcp udp 4            | v         | svc-w        | w sees master      | v/eth0 m-eth0 w-eth0 w/eth0 | same | master:dnat+snat w
 4 net1 of an overlay pod -> a pod, same subnet      | tcp udp ping 46      | v@net1    | x            | x sees v@net1      | v/net1 m-eth1 w-eth1 x/eth0 | same | x
10 outside -> net1 of an overlay pod                 | tcp udp ping 46      | client    | v@net1       | v sees client      | internet m-eth1 v/net1     | same | none
11 net1 of an overlay pod -> outside                 | tcp udp ping 46      | v@net1    | client       | client sees v@net1 | v/net1 m-eth1 internet     | same | none
TABLE

# ---- what else there is

# another plugin's network: 10.244.0.0/24 on the master, 10.244.1.0/24 on the worker
overlay() {
	n=0
	for node in master worker; do
		case $node in
		master) peer=172.31.199.184 other=1 port=m-eth0 mac=00:16:3e:00:00:01 ;;
		*) peer=172.31.199.183 other=0 port=w-eth0 mac=00:16:3e:00:00:11 ;;
		esac
		ip -n "$node" -batch - <<-EOF || return 1
			link add cni0 type bridge forward_delay 0
			link add flannel.1 type vxlan id 1 remote $peer dstport 8472 dev eth0
			link set cni0 up
			link set flannel.1 up
			address add 10.244.$n.1/24 dev cni0
			address add 10.244.$n.0/32 dev flannel.1
			route add 10.244.$other.0/24 via 10.244.$other.0 dev flannel.1 onlink
		EOF
		# what answers an underlay pod leaves the node as it is
		fabric_allow "$port" "$mac" "10.244.$n.0/24" || return 1
		plugin >"$(node_dir "$node" /opt/cni/bin/other)"
		chmod +x "$(node_dir "$node" /opt/cni/bin/other)"
		n=$((n + 1))
	done
}
plugin() {
	cat <<-'SH'
		#!/bin/sh
		[ "$CNI_COMMAND" = ADD ] || exit 0
		pod=${CNI_NETNS##*/}
		case $pod in p) address=10.244.0.2 ;; v) address=10.244.0.3 ;; o) address=10.244.1.2 ;; esac
		ip link add "veth-$pod" type veth peer name "$CNI_IFNAME" netns "$pod" || exit 1
		ip link set "veth-$pod" master cni0 up
		ip -n "$pod" -batch - <<-EOF || exit 1
			link set $CNI_IFNAME up
			address add $address/24 dev $CNI_IFNAME
			route add default via ${address%.*}.1
		EOF
		echo '{"cniVersion": "0.3.1", "interfaces": [{"name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'"}],
			"ips": [{"version": "4", "interface": 0, "address": "'"$address/24"'"}]}'
	SH
}

# a node-local DNS server's address and the rules that it makes
local_dns() {
	ip -n master -batch - <<-'EOF' || return 1
		link add nodelocaldns type dummy
		link set nodelocaldns up
		address add 169.254.20.10/32 dev nodelocaldns
		address add 10.255.0.1/32 dev lo
	EOF
	{
		echo '*raw'
		for protocol in tcp udp; do
			echo "-A PREROUTING -d 169.254.20.10/32 -p $protocol -m $protocol --dport 53 -j CT --notrack"
			echo "-A OUTPUT -d 169.254.20.10/32 -p $protocol -m $protocol --dport 53 -j CT --notrack"
			echo "-A OUTPUT -s 169.254.20.10/32 -p $protocol -m $protocol --sport 53 -j CT --notrack"
		done
		echo COMMIT
	} | on master iptables-restore --noflush
}

pools() {
	cat "$here/../data/walkthrough/20-ippools.yaml"
	while read -r name net ips node card; do
		cat <<-YAML
			---
			apiVersion: spiderpool.spidernet.io/v2beta1
			kind: SpiderIPPool
			metadata: {name: $name}
			spec: {default: true, ipVersion: 6, subnet: "$net::/64", gateway: "$net::fd", ips: ["$ips"],
			  nodeName: [$node], multusName: [kube-system/ipvlan-$card]}
		YAML
	done <<-'END'
		master-172-6 fd00:172 fd00:172::185-fd00:172::189 master eth0
		master-192-6 fd00:192 fd00:192::156-fd00:192::160 master eth1
		worker-172-6 fd00:172 fd00:172::190-fd00:172::194 worker eth0
		worker-192-6 fd00:192 fd00:192::161-fd00:192::165 worker eth1
	END
}

# objects, namespaces and networks of the pods, as a runtime calls for them
pods() {
	jq -nc '{apiVersion: "k8s.cni.cncf.io/v1", kind: "NetworkAttachmentDefinition", metadata: {name: "other", namespace: "kube-system"},
			spec: {config: "{\"cniVersion\": \"0.3.1\", \"name\": \"other\", \"type\": \"other\"}"}},
		(["a", "master"], ["b", "master"], ["c", "master", "ipvlan-eth1"], ["t", "master", null, "ipvlan-eth1"],
			["w", "worker"], ["x", "worker", "ipvlan-eth1"],
			["p", "master", "other"], ["o", "worker", "other"], ["v", "master", "other", "ipvlan-eth1"]
		| {apiVersion: "v1", kind: "Pod", metadata: {name: .[0], annotations: (
				(if .[2] then {"v1.multus-cni.io/default-network": "kube-system/\(.[2])"} else {} end)
				+ (if .[3] then {"k8s.v1.cni.cncf.io/networks": "kube-system/\(.[3])"} else {} end))},
			spec: {nodeName: .[1], automountServiceAccountToken: false, containers: [{name: "c", image: "none"}]}})' |
		api_create >"$work/objects" || return 1
	jq -r 'select(.kind == "Pod") | "\(.metadata.name) \(.spec.nodeName) \(.metadata.uid)"' "$work/objects" >"$work/pods"
	while read -r name node uid; do
		pod_new "$name"
		# shellcheck disable=SC2016 # expanded by the inner shell
		on "$node" env CNI_COMMAND=ADD CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin CNI_CONTAINERID="pod-$uid" CNI_NETNS="$(pod_netns "$name")" \
			CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$name;K8S_POD_UID=$uid" \
			sh -c 'exec /opt/cni/bin/multus </etc/cni/net.d/00-multus.conf' >"$work/$name.result" || {
			cat "$work/$name.result"
			return 1
		}
	done <"$work/pods"
	[ "$(wc -l <"$work/pods")" = 9 ]
}

# what flows.py reads
names() {
	cat <<-END
		place fabric-vpc
		master master 172.31.199.183 fd00:172::183
		master@eth1 master 192.168.0.154 fd00:192::154
		master@vip master 10.255.0.1
		worker worker 172.31.199.184 fd00:172::184
		worker@eth1 worker 192.168.0.155 fd00:192::155
		client fabric-client $client_ip $client_ip6
		balancer fabric-client 10.99.0.9
		dns master 169.254.20.10
		kubernetes - 10.233.0.1
		hijacked - 10.98.0.9
	END
	for name in a b c t w x p o v; do
		ip -n "$name" -o address show scope global | awk -v pod="$name" '
			$2 ~ /^(eth0|net1)/ { split($4, a, "/"); of[$2] = of[$2] " " a[1] }
			END { for (nic in of) print pod (nic == "eth0" ? "" : "@" nic), pod of[nic] }'
	done
	n=1
	for name in a b c w x host; do
		echo "svc-$name - 10.233.1.$n fd00:10:233::$n"
		n=$((n + 1))
	done
}
# services and their endpoints
services() {
	jq -nc --rawfile names "$work/names" '
		[$names / "\n" | .[] / " " | select(length > 1) | {(.[0]): .[2:]}] | add as $addresses
		| ["svc-a", 1, "a", "master"], ["svc-b", 2, "b", "master"], ["svc-c", 3, "c", "master"], ["svc-w", 4, "w", "worker"],
			["svc-x", 5, "x", "worker"], ["svc-host", 6, "master", "master"], ["local-a", 11, "a", "master"], ["local-c", 12, "c", "master"]
		| . as [$name, $n, $backend, $node]
		| {apiVersion: "v1", kind: "Service", metadata: {name: $name},
			spec: {type: "NodePort", externalTrafficPolicy: (if $n > 10 then "Local" else "Cluster" end),
				externalIPs: (if $name == "svc-w" then ["10.98.0.9", "10.99.0.9"] else [] end),
				clusterIPs: ["10.233.1.\($n)", "fd00:10:233::\($n)"], clusterIP: "10.233.1.\($n)", ipFamilyPolicy: "RequireDualStack",
				ports: ["TCP", "UDP" | {name: ascii_downcase, protocol: ., port: 80, targetPort: 8080, nodePort: (30000 + $n)}]}},
		([0, "IPv4"], [1, "IPv6"] | {apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: .[1],
			metadata: {name: "\($name)-\(.[0])", namespace: "default", labels: {"kubernetes.io/service-name": $name}},
			ports: ["TCP", "UDP" | {name: ascii_downcase, protocol: ., port: 8080}],
			endpoints: [{addresses: [$addresses[$backend][.[0]]], nodeName: $node, conditions: {ready: true, serving: true}}]})' |
		api_create
}

# flows HEADING TABLE [FLAG...]
first_port=20000
flows() {
	heading=$1 table=$2
	shift 2
	"$here/flows.py" "$work/names" "$table" "$heading" "$first_port" "$@" || failed=1
	first_port=$((first_port + 500))
}
# broken HEADING PATTERN: now the table's rows that fit the pattern go wrong, by TCP alone
broken() {
	sed -n "/$2/s/^\([^|]*\)|[^|]*|/\1| tcp 4 |/p" "$work/table" >"$work/broken"
	[ -s "$work/broken" ] || not_ok "$1: there is no such row"
	flows "$1" "$work/broken" --fails
}

check 'a node-local DNS server and a virtual address' local_dns
ip -n fabric-client address add 10.99.0.9/32 dev lo
in_vpc ip route add 10.99.0.9 via "$client_ip"
check 'etcd, kube-apiserver, deploy/, nodes and networks' kube_api fd00:10:233::/112
[ "$failed" = 0 ] || exit 1
check 'another plugin'\''s network' overlay
check 'an agent on each node' kube_agents --multus-conf-dir /etc/cni/net.d --overlay-pod-cidr 10.244.0.0/16 \
	--hijack-cidr 169.254.0.0/16,10.98.0.0/24
pools >"$work/pools"
check 'pools of both families' kubectl apply -f "$work/pools"
dropped=$(spoofed)
check 'nine pods, by multus' pods
[ "$failed" = 0 ] || exit 1
names >"$work/names"
check 'services' services
[ "$failed" = 0 ] || exit 1

kube_proxies nftables --conntrack-tcp-be-liberal
flows nftables "$work/table" --await svc-w
check 'kube-proxy works in mode nftables' on master nft list table ip kube-proxy
kube_proxies_stop
for node in master worker; do
	on "$node" sh -c 'nft delete table ip kube-proxy && nft delete table ip6 kube-proxy'
done
kube_proxies iptables --conntrack-tcp-be-liberal
flows iptables "$work/table" --await svc-w
check 'kube-proxy works in mode iptables' on master iptables -t nat -n -L KUBE-SERVICES
check 'not in mode nftables as well' is '' "$(on master nft list tables | grep kube-proxy)"
for pod in a w; do
	check "the API server talks to pod $pod" in_pod "$pod" curl -sSf --max-time 10 --cacert "$API_DIR/ca.crt" https://10.233.0.1/version
done
check 'no frame was dropped as spoofed' is "$dropped" "$(spoofed)"

# ---- what each flow needs: without it, it fails

on master nft -f - <<-'NFT'
	table ip strict {
		chain forward { type filter hook forward priority 0; ct state invalid drop; }
	}
NFT
broken 'as without --conntrack-tcp-be-liberal' '^15 a pod -> .*other node\|^15 the same with data'
on master nft delete table ip strict
on master nft -f - <<-'NFT'
	table ip unmasked {
		chain post { type filter hook postrouting priority srcnat - 1; meta mark set meta mark & 0xffffbfff; }
	}
NFT
broken 'as without --masquerade-all' '^ 7 a pod -> a service, backend \(on the other node\|in the other subnet\)'
on master nft delete table ip unmasked
for pod in a c; do
	for cidr in 10.233.0.0/18 169.254.0.0/16 10.98.0.0/24; do
		in_pod "$pod" ip route del "$cidr"
	done
done
broken 'without the ways to services' '^ 7.*| [ac] *|\|^1[23].*| [ac] *|\|^14.*hijack'
# an agent would make it again
kube_agents_stop
on master ip rule del pref 1000
broken 'without the rule on the node' '^ [12] '
on master ip rule add pref 1000 lookup 500
for pod in a c; do
	in_pod "$pod" nft delete table inet spiderbox
done
broken 'without marks' '^ 8\|^ 2.*virtual'
[ "$failed" = 0 ]
