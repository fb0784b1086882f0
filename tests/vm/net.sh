#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: net.sh build PROGRAM   on this machine: compiles tests/unit/netns_test.c
#        net.sh run PROGRAM     in the guest, whose kernel has ipvlan: runs it, prints TAP
#
# What net/ does to a kernel, on one more kernel than the unit suite's, and with the cases that
# need ipvlan, which the unit suite does not have.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
program=${2:?usage: net.sh build|run PROGRAM}

case $1 in
build)
	gcc -std=gnu11 -D_GNU_SOURCE -DTESTING -O1 -g -Wall -Wextra -Wno-format-truncation -Werror -I. \
		tests/unit/netns_test.c net/*.c base/*.c -lmnl -lcmocka -pthread -o "$program"
	;;
run)
	status=0
	NET_TEST_IPVLAN=1 CMOCKA_MESSAGE_OUTPUT=TAP timeout 100 "$program" >/run/net.log 2>&1 </dev/null || status=$?
	sed -n 's/^\(not ok\|ok\) [0-9]* - /\1 - net: /p' /run/net.log
	grep -q '^ok .*ipvlan_' /run/net.log || echo 'not ok - net: the ipvlan cases did not run'
	[ "$status" = 0 ] || {
		grep -q '^not ok' /run/net.log || echo "not ok - net: the program ended with status $status"
		sed 's/^/# /' /run/net.log | tail -n 60
	}
	exit "$status"
	;;
*)
	sed -n '4,5s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
