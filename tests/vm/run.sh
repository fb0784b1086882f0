#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/vm/run.sh [TOPIC]
#
# The vm suite: the shipped binary in a User-Mode Linux kernel.  Each topic is a script of this
# folder that prints TAP and runs in a guest of its own:
#
#   net       net/ against a kernel that has ipvlan
#   probe     conflict and gateway detection of the plugins
#   ifacer    VLANs and bonds, and pods on them
#   datapath  the plugins ipvlan and coordinator, with a delegate for the addresses
#   coordinator  the coordinator in every mode, and in kernels without conntrack and without nf_tables
#   keeper    an agent that keeps what the plugins made, and all of them in a kernel without IPv6
#   multus    pods with several networks, by the plugin multus and an agent over a directory
#   proof     the whole chain: 200 pods at once, two ADDs of one, plugins killed at each step, each of their calls failing
#   flows     etcd, kube-apiserver, kube-proxy in each mode and an agent per node: who reaches whom by which way
#   cluster   etcd, kube-apiserver and an agent per node: pods, pools, and what goes wrong
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${BUILD_DIR:?set by build.sh}" "${SPIDERBOX:?set by build.sh}" "${KERNEL_DIR:?set by build.sh}" "${SERVERS_DIR:?set by build.sh}"
export UML_ENV='SPIDERBOX BUILD_DIR SERVERS_DIR DEPS TOP VM_OUT MARKS IPV6'

run() {
	export VM_OUT="$BUILD_DIR/vm/$1"
	rm -rf "$VM_OUT"
	mkdir -p "$VM_OUT"
	case $1 in
	cluster) mb=3000 seconds=600 ;;
	flows) mb=3000 seconds=900 ;;
	coordinator | proof) mb=768 seconds=900 ;;
	probe | datapath | keeper) mb=768 seconds=600 ;;
	*) mb=768 seconds=400 ;;
	esac
	status=0
	if [ "$1" = net ]; then
		"$here/net.sh" build "$VM_OUT" &&
			"$here/run-uml" -t "$seconds" -m "$mb" -- "$here/net.sh" run "$VM_OUT" || status=$?
	else
		"$here/run-uml" -t "$seconds" -m "$mb" -w "$VM_OUT" -- "$here/$1.sh" || status=$?
	fi
	if [ "$1" = coordinator ]; then
		# what is built in cannot be unloaded, but need not be started
		MARKS=packets "$here/run-uml" -t 100 -k initcall_blacklist=nft_ct_module_init -- "$here/$1.sh" || status=$?
		MARKS=nothing "$here/run-uml" -t 100 -k initcall_blacklist=nf_tables_module_init -- "$here/$1.sh" || status=$?
	fi
	if [ "$1" = keeper ]; then
		(
			VM_OUT=$VM_OUT/ipv4
			mkdir "$VM_OUT"
			IPV6=off "$here/run-uml" -t 100 -k ipv6.disable=1 -w "$VM_OUT" -- "$here/$1.sh"
		) || status=$?
	fi
	[ "$status" = 0 ] || echo "not ok - $1 ended with status $status (what its programs said: build/vm/$1)"
	[ "$status" = 0 ] || failed=1
}

failed=0
if [ $# -gt 0 ]; then
	run "$1"
else
	for topic in net probe ifacer datapath coordinator keeper multus proof flows cluster; do
		run "$topic"
	done
fi
[ "$failed" = 0 ]
