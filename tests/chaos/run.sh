#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/chaos/run.sh [dir|kube]
#
# The chaos suite: see chaos.py.  SEED and OPS come from the environment.  What was found wrong is
# in build/chaos, with the agents' words about it.
set -eu

# tmpfs and sandboxes are mounts: nobody else is to see them, and nothing is to be left
[ -n "${CHAOS_MOUNTS:-}" ] || CHAOS_MOUNTS=own exec unshare --mount --propagation private "$0" "$@"

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:?set by build.sh}" "${SPIDERBOX:?set by build.sh}" "${SERVERS_DIR:?set by build.sh}"
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/api/lib.sh
. tests/api/lib.sh

SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
OPS=${OPS:-3000}
TOP=$top
FAILPOINTS=$BUILD_DIR/failpoints/spiderbox
PYTHONDONTWRITEBYTECODE=1
export TOP FAILPOINTS PYTHONDONTWRITEBYTECODE
only=${1:-}
evidence=$BUILD_DIR/chaos
rm -rf "$evidence"
mkdir -p "$evidence"
work=$(mktemp -d)
tap_log=$work/log

finish() {
	if [ -e "$work/api/pid" ]; then API_PID=$(cat "$work/api/pid"); fi
	api_stop
	# what is mounted there goes with this process
	umount -R "$work"/*/* 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# same_seed A B: the decisions of both are the same, if A and B are
same_seed() {
	python3 - "$1" "$2" <<'PYTHON'
import sys
sys.path.insert(0, 'tests/chaos')
import plan


def decisions(seed):
    p = plan.Plan(seed, 'kube')
    return [repr(p.next(plan.ROUND)) for _ in range(5)]


sys.exit((decisions(sys.argv[1]) == decisions(sys.argv[2])) != (sys.argv[1] == sys.argv[2]))
PYTHON
}

# chaos STORE OPERATIONS
chaos() {
	mkdir -p "$work/$1"
	python3 tests/chaos/chaos.py "$1" "$SEED" "$2" "$work/$1" "$evidence" || failed=1
}

servers() {
	api_start "$work/api" && echo "$API_PID" >"$work/api/pid" &&
		kubectl apply -f deploy/ && kubectl wait --for=condition=Established --timeout=30s crd --all &&
		kubectl -n kube-system create token spiderpool-agent --duration 24h >"$work/api/token" &&
		api_kubeconfig "$work/api/proxied.conf" https://127.0.0.1:PORT "$API_DIR/trust.crt" "$work/api/token"
}

echo "# SEED=$SEED OPS=$OPS"
check 'the same seed makes the same decisions' same_seed "$SEED" "$SEED"
check 'another one others' same_seed "$SEED" "$SEED+"
mkdir "$work/selftest"
python3 tests/chaos/selftest.py "$work/selftest" || failed=1
if [ "${only:-dir}" = dir ]; then
	chaos dir "$((OPS * 2 / 5))"
fi
if [ "${only:-kube}" = kube ]; then
	check 'etcd and the API server start' servers
	[ "$failed" = 0 ] || exit 1
	export API_DIR API_URL API_PORT ETCD_PORT SERVERS_DIR
	chaos kube "$((OPS * 3 / 5))"
fi
[ "$failed" = 0 ]
