#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: net.sh build FOLDER   on this machine: compiles netns_test and probe_test of tests/unit
#        net.sh run FOLDER     in the guest, whose kernel has ipvlan: runs them, prints TAP
#
# What net/ does to a kernel, on one more kernel than the unit suite's, and with the cases that
# need ipvlan, which the unit suite does not have.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
folder=${2:?usage: net.sh build|run FOLDER}

run() {
	status=0
	NET_TEST_IPVLAN=1 CMOCKA_MESSAGE_OUTPUT=TAP timeout 100 "$folder/$1" >"/run/$1.log" 2>&1 </dev/null || status=$?
	sed -n 's/^\(not ok\|ok\) [0-9]* - /\1 - net: /p' "/run/$1.log"
	grep -q '^ok .*ipvlan_' "/run/$1.log" || echo "not ok - net: the ipvlan cases of $1 did not run"
	[ "$status" = 0 ] || {
		grep -q '^not ok' "/run/$1.log" || echo "not ok - net: $1 ended with status $status"
		sed 's/^/# /' "/run/$1.log" | tail -n 60
		failed=1
	}
}

failed=0
case $1 in
build)
	for name in netns_test probe_test; do
		gcc -std=gnu11 -D_GNU_SOURCE -DTESTING -O1 -g -Wall -Wextra -Wno-format-truncation -Werror -I. \
			"tests/unit/$name.c" net/*.c base/*.c -lmnl -lcmocka -pthread -o "$folder/$name"
	done
	;;
run)
	run netns_test
	run probe_test
	exit "$failed"
	;;
*)
	sed -n '4,5s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
