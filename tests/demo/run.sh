#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The demo suite: "./build.sh demo" as a user runs it, and what it printed.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:=$top/build}"
out=$BUILD_DIR/demo.out
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
tap_log="$out.check"

begin=$(date +%s)
status=0
./build.sh demo >"$out" 2>&1 || status=$?
seconds=$(($(date +%s) - begin))
echo "# the demo took $seconds s"

# section TITLE: the lines below the heading that begins so
section() {
	awk -v title="== $1" 'index($0, "== ") == 1 { on = index($0, title) == 1; next } on' "$out"
}
pools() {
	section "$1" | grep -A4 '^NAME' | head -n 5
}
full='NAME         VERSION   SUBNET            ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   DEFAULT
master-172   4         172.31.192.0/20   1                    5                true
master-192   4         192.168.0.0/24    1                    5                true
worker-172   4         172.31.192.0/20   1                    5                true
worker-192   4         192.168.0.0/24    1                    5                true'
empty=$(echo "$full" | sed 's/   1    /   0    /')

show_out() {
	cat "$out"
	return 1
}

if [ "$status" != 0 ]; then
	echo "not ok - the demo succeeds (exit status $status)"
	sed 's/^/# /' "$out" | tail -n 60
	exit 1
fi
check 'the demo succeeds' [ "$status" = 0 ]
check 'it takes less than a minute' [ "$seconds" -lt 60 ]
check "pools with four pods, in the guide's columns" is "$full" "$(pools 'spiderbox ctl get ippools')"
check 'pools without pods' is "$empty" "$(pools 'The pods go')"
check 'every ping of the matrix is answered' grep -q '^30 of 30 answered; frames the fabric dropped as spoofed: 0$' "$out"
check 'the control is dropped' grep -qE '^its gateway does not answer; frames the fabric dropped as spoofed: [1-9]' "$out"
[ "$failed" = 0 ] || {
	sed 's/^/# /' "$out"
	exit 1
}
