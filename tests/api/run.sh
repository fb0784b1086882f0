#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/api/run.sh [TOPIC]
#
# The api suite: a real etcd, kube-apiserver and kubectl on loopback.  One server for all topics;
# each is a file topic-NAME.sh beside this one, sourced, in the order of the list.  TAP lines.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:=$top/build}" "${DEPS:?DEPS is set by build.sh}" "${SERVERS_DIR:?SERVERS_DIR is set by build.sh}"
topics='deploy store lists rbac tokens restart agent ipam gc pools multus certs'
only=${1:-}
out=$BUILD_DIR/api
mkdir -p "$out"
work=$(mktemp -d)

# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/compile.sh
. tests/compile.sh
# shellcheck source=tests/api/lib.sh
. tests/api/lib.sh

tap_log=$work/log
trap 'api_stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# program SOURCE NAME: compiles tests/SOURCE with ASan and UBSan to $out/NAME
program() {
	compile_test "tests/$1" gcc "$out/$2" >"$out/$2.log" 2>&1 || {
		echo "not ok - tests/$1 does not compile"
		sed 's/^/# /' "$out/$2.log"
		exit 1
	}
}

# says KIND WORDS COMMAND...: it fails with an error of that kind and those words
says() {
	kind=$1 words=$2
	shift 2
	if "$@" >"$work/answer" 2>&1; then
		echo 'it succeeded'
		return 1
	fi
	cat "$work/answer"
	grep -q "^$kind: " "$work/answer" && grep -qF "$words" "$work/answer"
}

# What the topic "deploy" leaves for the others.
prepare() {
	kubectl apply -f deploy/ && kubectl wait --for=condition=Established --timeout=30s crd --all
}

case " $topics " in
*" ${only:-deploy} "*) ;;
*)
	echo "not ok - there is no topic $only"
	exit 1
	;;
esac

test_libraries
program api/client.c client
# shellcheck disable=SC2034 # for the topics
client=$out/client
tap_topic='servers: '
check 'etcd and the API server start' api_start "$work/api"
[ "$failed" = 0 ] || exit 1
[ -z "$only" ] || [ "$only" = deploy ] || check 'our CRDs' prepare
for topic in $topics; do
	[ -z "$only" ] || [ "$only" = "$topic" ] || continue
	tap_topic="$topic: "
	# shellcheck source=/dev/null
	. "tests/api/topic-$topic.sh"
done
[ "$failed" = 0 ]
