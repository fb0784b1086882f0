#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The measure suite: sizes, times, requests and memory, each against its limit.  Times are ratios to
# a floor of the same run, since machines differ and are noisy.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
# shellcheck source=tests/api/lib.sh
. tests/api/lib.sh
# shellcheck source=tests/compile.sh
. tests/compile.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/bench/lib.sh
. tests/bench/lib.sh
: "${BUILD_DIR:?set by build.sh}" "${SPIDERBOX:?set by build.sh}" "${DEPS:?set by build.sh}"
work=$(mktemp -d)
agent=

# shellcheck disable=SC2317 # called by the trap
finish() {
	[ -z "$agent" ] || kill "$agent" 2>/dev/null || true
	[ -z "$agent" ] || wait "$agent" 2>/dev/null || true
	api_stop || true
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# at_most LIMIT VALUE TEXT: numbers may have a fraction
at_most() {
	if awk -v limit="$1" -v value="$2" 'BEGIN { exit !(value <= limit) }'; then
		ok "$3: $2 (at most $1)"
	else
		not_ok "$3: $2 (at most $1)"
	fi
}
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

# ---- the binary by itself ----

at_most 680 "$(($(wc -c <"$SPIDERBOX") / 1000))" 'size of the binary in KB'

echo 'int main(void) { return 0; }' >"$work/nothing.c"
"$DEPS/cc" -Os -fPIE -o "$work/nothing" "$work/nothing.c"
strip "$work/nothing"
gcc -O1 -Wall -Wextra -Werror -o "$work/spawn" tests/measure/spawn.c
# ten tries, the best counts: another program's turn on this machine is no property of ours
best=99
for _ in 1 2 3 4 5 6 7 8 9 10; do
	times=$(CNI_COMMAND=VERSION "$work/spawn" 600 "$work/nothing" "$SPIDERBOX" ipam)
	r=$(ratio "${times#* }" "${times% *}")
	best=$(awk -v a="$best" -v b="$r" 'BEGIN { print a < b ? a : b }')
done
at_most 1.15 "$best" "VERSION from exec to exit, against a static program that does nothing ($((${times% *} / 1000)) us)"

# ---- the agent on a real API server ----

pods=100
api_start "$work/api" >"$work/api.log" 2>&1 || {
	cat "$work/api.log"
	echo 'not ok - the API server starts'
	exit 1
}
kubectl apply -f deploy/ >"$work/apply.log"
kubectl wait --for=condition=Established --timeout=20s crd --all >>"$work/apply.log"
for name in big bench; do
	kubectl apply -f - >>"$work/apply.log" <<-YAML
		apiVersion: spiderpool.spidernet.io/v2beta1
		kind: SpiderIPPool
		metadata: {name: $name}
		spec: {subnet: 10.$([ "$name" = big ] && echo 8 || echo 9).0.0/16, ips: [10.$([ "$name" = big ] && echo 8 || echo 9).0.1-10.$([ "$name" = big ] && echo 8 || echo 9).7.250], default: $([ "$name" = big ] && echo true || echo false)}
	YAML
done
i=0
while [ "$i" -lt "$pods" ]; do
	printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-%d","namespace":"default"},"spec":{"nodeName":"bench","containers":[{"name":"c","image":"none"}]}}\n' "$i"
	i=$((i + 1))
done | kubectl create -f - >>"$work/apply.log"
kubectl get pods -o json | jq -r --arg conf "$work/conf" \
	'.items | sort_by(.metadata.name[4:] | tonumber) | .[] | "\(.metadata.name) \(.metadata.uid) \($conf)"' >"$work/pods"

"$SPIDERBOX" agent --store "kube:$KUBECONFIG" --node bench --socket "$work/agent.sock" --state-dir "$work/state" \
	--health-addr '' >"$work/agent.log" 2>&1 &
agent=$!
tries=0
until curl -sf --unix-socket "$work/agent.sock" http://agent/v1/ipam/healthy >"$work/curl.log" 2>&1; do
	tries=$((tries + 1))
	[ "$tries" -lt 200 ] || {
		cat "$work/agent.log"
		echo 'not ok - the agent starts'
		exit 1
	}
	sleep 0.05
done
rss() {
	awk '/^VmRSS/ { print $2 }' "/proc/$agent/status"
}
idle=$(rss)
at_most 5000 "$idle" 'resident memory of the idle agent in kB'

printf '{"cniVersion":"1.0.0","name":"n","type":"ipvlan","ipam":{"type":"spiderpool","ipam_unix_socket_path":"%s","state_dir":"%s"}}' \
	"$work/agent.sock" "$work/state" >"$work/conf"
test_libraries
compile_test tests/bench/load.c plain "$work/load"
version() {
	kubectl get spiderippool big -o 'jsonpath={.metadata.resourceVersion}'
}
# every state that the pool had, counted by somebody else than the agent
kubectl get spiderippool big -w --output-watch-events -o json >"$work/watch" 2>"$work/watch.err" &
watch=$!
sleep 1 # the watch's own start cannot be asked for
events=$(grep -c '"type"' "$work/watch" || true)
all() {
	"$work/load" calls "$1" "$pods" "$SPIDERBOX" "$work/pods" "$2" "$work/times"
}
all ADD 1 >"$work/calls"
us=$(cut -d' ' -f4 "$work/calls")
last=$(version)
tries=0
until grep -q "\"resourceVersion\":\"$last\"" "$work/watch" || [ "$tries" = 100 ]; do
	tries=$((tries + 1))
	sleep 0.05
done
kill "$watch"
wait "$watch" 2>/dev/null || true
grep -q "\"resourceVersion\":\"$last\"" "$work/watch" || {
	not_ok 'the watch saw the last write'
}
writes=$(($(grep -c '"type"' "$work/watch") - events))
at_most 15 "$writes" "writes of the pool for $pods ADDs sent together, done after $((us / 1000)) ms"
held=$(kubectl get spiderippool big -o 'jsonpath={.status.allocatedIPCount}')
at_most "$pods" "$held" 'addresses recorded'
at_most "$held" "$pods" 'addresses asked for'
all DEL 1 >"$work/calls"

# three tries here
best=99
for _ in 1 2 3; do
	"$work/load" pairs "$SPIDERBOX" "$work/pods" 60 "$KUBECONFIG" bench "$work/nothing" >"$work/pairs"
	set -- "$(percentile "$work/pairs" 1 50)" "$(percentile "$work/pairs" 2 50)" "$(percentile "$work/pairs" 3 50)"
	echo "# medians: ADD $1 us, status patch $2 us, process $3 us"
	r=$(ratio "$(($1 - $3))" "$2")
	best=$(awk -v a="$best" -v b="$r" 'BEGIN { print a < b ? a : b }')
	all DEL 1 >"$work/calls"
done
at_most 1.5 "$best" 'one ADD, without the start of a process, against one bare status patch by the same client'

round=2
while [ "$round" -lt 12 ]; do
	all ADD "$round" >"$work/calls"
	all DEL "$round" >"$work/calls"
	round=$((round + 1))
done
at_most 5000 "$(rss)" "resident memory of the agent in kB after 1000 ADDs and DELs (idle: $idle)"
held=$(kubectl get spiderippool big -o 'jsonpath={.status.allocatedIPCount}')
at_most 0 "$held" 'addresses left after them'
[ "$failed" = 0 ]
