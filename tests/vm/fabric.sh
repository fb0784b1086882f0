# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# fabric.sh - the guide's two nodes in a cloud's network, for the demo and the vm suite.
# To be sourced (POSIX sh), by root, in a machine or mount namespace that may be changed: it makes
# the mounts below / shared.  Needs iproute2, nftables, util-linux.
#
#   client 10.99.0.2 --- vpc (router) --+-- vsw0 172.31.192.0/20, gateway .207.253 --- eth0 of both nodes
#                                       +-- vsw1 192.168.0.0/24,  gateway .0.253 ----- eth1 of both nodes
#
#   master  eth0 172.31.199.183  00:16:3e:00:00:01     eth1 192.168.0.154  00:16:3e:00:00:02
#   worker  eth0 172.31.199.184  00:16:3e:00:00:11     eth1 192.168.0.155  00:16:3e:00:00:12
#
# The router drops every frame whose sender, in Ethernet and in IPv4 or ARP, is not one that the
# cloud assigned to the network card it comes from (its own address and its pool's), and counts it.
#
# What a script uses:
#
#   fabric_up            makes all of it (about 2 s in the test kernel)
#   fabric_down          removes it: nodes, pods made by pod_new, mounts
#   on NODE COMMAND...   in a node: "master" or "worker".  A node has its own network, host name, and
#                        its own files below the folders in $fabric_private; all else is shared
#   exec_on NODE COMMAND... &   the same in the background: $! is the command's own process
#   node_dir NODE PATH   the same files as seen from outside: where "PATH" of that node really is
#   pod_new NAME         a network namespace with "lo" up, at the same path in every node:
#   pod_netns NAME       prints that path, for CNI_NETNS
#   in_pod NAME COMMAND...   with the network of the pod
#   pod_del NAME         removes it; missing is fine
#   in_vpc COMMAND...    on the router
#   outside COMMAND...   in the client's network: a machine of the internet, reached by the router
#   spoofed              prints how many frames were dropped as spoofed so far
#   fabric_allow PORT MAC ADDRESS   assigns one more address; PORT is like m-eth0, w-eth1
#   fabric_ipv6          gives all of it IPv6, every frame of which is dropped before: vsw0 fd00:172::/64,
#                        vsw1 fd00:192::/64, the client fd00:99::2/64; last groups like the last bytes above

# /run and not /var/run: the latter is a link to the former, and mounts have one name only.
fabric_dir=/run/fabric
fabric_private='/run/spidernet /var/lib/spidernet /var/log/spidernet /var/lib/cni /opt/cni/bin /etc/cni'

# shellcheck disable=SC2034 # for those who source this
client_ip=10.99.0.2 client_ip6=fd00:99::2

in_vpc() { ip netns exec fabric-vpc "$@"; }
outside() { ip netns exec fabric-client "$@"; }
in_pod() {
	_pod=$1
	shift
	ip netns exec "$_pod" "$@"
}
pod_netns() { echo "/var/run/netns/$1"; }

on() {
	(exec_on "$@")
}
exec_on() {
	_node=$1
	shift
	exec nsenter "--net=/run/netns/$_node" "--mount=$fabric_dir/$_node.mnt" "--uts=$fabric_dir/$_node.uts" -- "$@"
}

node_dir() {
	case $2 in
	/var/run/*) echo "$fabric_dir/$1${2#/var}" ;;
	*) echo "$fabric_dir/$1$2" ;;
	esac
}

pod_new() {
	ip netns add "$1" && ip -n "$1" link set lo up && echo "$1" >>"$fabric_dir/pods"
}

pod_del() {
	[ ! -e "/run/netns/$1" ] || ip netns del "$1"
}

spoofed() {
	in_vpc nft list counter bridge fabric spoofed | awk '/packets/ { print $2 }'
}

fabric_allow() {
	case $3 in
	*:*) in_vpc nft add element bridge fabric assigned6 "{ \"$1\" . $2 . $3 }" ;;
	*) in_vpc nft add element bridge fabric assigned "{ \"$1\" . $2 . $3 }" ;;
	esac
}

# _card NODE DEVICE SWITCH MAC ADDRESS/LEN POOL: a network card and what the cloud assigned to it.
# Like the clouds' images, the node has a table for each card, so that an answer leaves by the card
# whose address it carries; what left by the other card would be dropped.
_card() {
	_port=$(echo "$1" | cut -c1)-$2
	in_vpc ip link add "$_port" type veth peer name "$2" netns "$1" address "$4"
	in_vpc ip link set "$_port" master "$3" up
	ip -n "$1" link set "$2" up
	ip -n "$1" address add "$5" dev "$2"
	fabric_allow "$_port" "$4" "${5%/*}"
	fabric_allow "$_port" "$4" "$6"
	case $2 in
	eth0) _table=1001 _net=172.31.192.0/20 _gateway=172.31.207.253 ;;
	eth1) _table=1002 _net=192.168.0.0/24 _gateway=192.168.0.253 ;;
	esac
	ip -n "$1" route add "$_net" dev "$2" table "$_table"
	ip -n "$1" route add default via "$_gateway" dev "$2" table "$_table"
	ip -n "$1" rule add from "${5%/*}" lookup "$_table" priority 1500
}

_node() {
	ip netns add "$1"
	ip -n "$1" link set lo up
	for _path in $fabric_private; do
		mkdir -p "$fabric_dir/$1$_path" "$_path"
	done
	: >"$fabric_dir/$1.mnt"
	: >"$fabric_dir/$1.uts"
	# shellcheck disable=SC2016,SC2086 # expanded by the inner shell; a list of words
	unshare "--mount=$fabric_dir/$1.mnt" "--uts=$fabric_dir/$1.uts" --propagation slave sh -ec '
		dir=$1
		hostname "$2"
		shift 2
		for path; do mount --bind "$dir$path" "$path"; done
	' node "$fabric_dir/$1" "$1" $fabric_private
	ip netns exec "$1" sysctl -qw net.ipv4.ip_forward=1
}

fabric_up() (
	set -e
	# what pod_new mounts at /run/netns must appear in the nodes too
	mount --make-rshared /
	mkdir -p "$fabric_dir"
	mount --bind "$fabric_dir" "$fabric_dir"
	mount --make-private "$fabric_dir" # a mount namespace can be kept only in a private mount

	ip netns add fabric-vpc
	in_vpc ip link set lo up
	# the gateways of a cloud answer with one address of their own
	in_vpc ip link add vsw0 address ee:ff:ff:ff:ff:ff type bridge forward_delay 0
	in_vpc ip link add vsw1 address ee:ff:ff:ff:ff:ff type bridge forward_delay 0
	in_vpc ip address add 172.31.207.253/20 dev vsw0
	in_vpc ip address add 192.168.0.253/24 dev vsw1
	in_vpc ip link set vsw0 up
	in_vpc ip link set vsw1 up
	in_vpc sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.vsw0.send_redirects=0 net.ipv4.conf.vsw1.send_redirects=0
	in_vpc nft -f - <<-'NFT'
		table bridge fabric {
			set assigned {
				type ifname . ether_addr . ipv4_addr
				flags interval
			}
			set assigned6 {
				type ifname . ether_addr . ipv6_addr
				flags interval
			}
			counter spoofed { }
			counter ipv6 { }
			chain prerouting {
				type filter hook prerouting priority -300; policy accept;
				ether type ip iifname . ether saddr . ip saddr @assigned accept
				ether type arp iifname . arp saddr ether . arp saddr ip @assigned accept
				ether type ip6 iifname . ether saddr . ip6 saddr @assigned6 accept
				ether type ip6 counter name ipv6 drop comment "no IPv6 is assigned to these cards"
				counter name spoofed drop
			}
		}
	NFT

	ip netns add fabric-client
	ip -n fabric-client link set lo up
	in_vpc ip link add internet type veth peer name eth0 netns fabric-client
	in_vpc ip link set internet up
	in_vpc ip address add 10.99.0.1/24 dev internet
	ip -n fabric-client link set eth0 up
	ip -n fabric-client address add "$client_ip/24" dev eth0
	ip -n fabric-client route add default via 10.99.0.1

	_node master
	_node worker
	_card master eth0 vsw0 00:16:3e:00:00:01 172.31.199.183/20 172.31.199.185-172.31.199.189
	_card master eth1 vsw1 00:16:3e:00:00:02 192.168.0.154/24 192.168.0.156-192.168.0.160
	_card worker eth0 vsw0 00:16:3e:00:00:11 172.31.199.184/20 172.31.199.190-172.31.199.194
	_card worker eth1 vsw1 00:16:3e:00:00:12 192.168.0.155/24 192.168.0.161-192.168.0.165
	ip -n master route add default via 172.31.207.253
	ip -n worker route add default via 172.31.207.253
)

# _card6 NODE DEVICE MAC ADDRESS NET POOL: _card's, of IPv6
_card6() {
	_port=$(echo "$1" | cut -c1)-$2
	case $2 in eth0) _table=1001 ;; *) _table=1002 ;; esac
	for _address in "$4" "$6" fe80::/10; do
		fabric_allow "$_port" "$3" "$_address"
	done
	ip -6 -n "$1" -batch - <<-EOF
		address add $4/64 dev $2 nodad
		route add $5::/64 dev $2 table $_table
		route add default via $5::fd dev $2 table $_table
		rule add from $4 lookup $_table priority 1500
	EOF
}

fabric_ipv6() (
	set -e
	in_vpc sysctl -qw net.ipv6.conf.all.forwarding=1
	ip -6 -n fabric-vpc -batch - <<-EOF
		address add fd00:172::fd/64 dev vsw0 nodad
		address add fd00:192::fd/64 dev vsw1 nodad
		address add fd00:99::1/64 dev internet nodad
	EOF
	ip -6 -n fabric-client -batch - <<-EOF
		address add $client_ip6/64 dev eth0 nodad
		route add default via fd00:99::1
	EOF
	for _name in master worker; do
		ip netns exec "$_name" sysctl -qw net.ipv6.conf.all.forwarding=1
	done
	_card6 master eth0 00:16:3e:00:00:01 fd00:172::183 fd00:172 fd00:172::185-fd00:172::189
	_card6 master eth1 00:16:3e:00:00:02 fd00:192::154 fd00:192 fd00:192::156-fd00:192::160
	_card6 worker eth0 00:16:3e:00:00:11 fd00:172::184 fd00:172 fd00:172::190-fd00:172::194
	_card6 worker eth1 00:16:3e:00:00:12 fd00:192::155 fd00:192 fd00:192::161-fd00:192::165
	ip -6 -n master route add default via fd00:172::fd
	ip -6 -n worker route add default via fd00:172::fd
)

fabric_down() {
	if [ -e "$fabric_dir/pods" ]; then
		while read -r _pod; do
			pod_del "$_pod"
		done <"$fabric_dir/pods"
	fi
	for _name in master worker fabric-vpc fabric-client; do
		pod_del "$_name"
	done
	for _name in master worker; do
		umount "$fabric_dir/$_name.mnt" "$fabric_dir/$_name.uts" 2>/dev/null || true
	done
	umount "$fabric_dir" 2>/dev/null || true
	rm -rf "$fabric_dir"
}
