#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/bench/bench.sh [short]
#
# What an ADD and a DEL cost, with a real etcd and API server, agents as processes, and the plugin
# started as a runtime starts it.  Above stands a table for people; then each figure on a line:
#
#   NAME VALUE GOAL ok|short        GOAL is - where there is none
#
# "short" as an argument: a few calls of everything, to see that it works; its times mean little.
#
# Exit status 0 when everything was measured, whatever it says; 1 when something could not be
# measured, or an operation failed, or an address was given twice or not given back.  The figures
# native-... alone may be missing: where this machine's kernel lacks what they need, table and
# standard error say so.
#
# Rows.  A row is WHAT-add-PARALLEL or WHAT-del-PARALLEL: calls of the plugin, by so many workers of
# whom each takes the next pod.
#   one      one agent, one pool of 200
#   shared   five agents, one pool for all of them
#   five     five agents, a pool bound to each node
#   exact    ten agents, one pool of exactly as many addresses as there are pods
#   foreign  one agent, one pool, while there are 2,000 pools and 20,000 pods of other nodes
# Columns, each a figure ROW-COLUMN:
#   rate            calls per second, from the start of the first to the end of the last
#   p50-ms p90-ms p99-ms   from the start of the process to its exit, as load.c sees it
#   failed          calls with an exit status other than 0
#   double          (add) addresses that two pods got
#   leaked          (del) addresses recorded, and files of attachments and releases, when all is done
#   requests        of the agents at the API server, for each call, from the server's audit log;
#                   without those of watches.  They include what follows an answer (endpoints)
#   conflicts       of them, writes of a pool that another agent was quicker than, in all calls
#   settle-ms       from the last answer until the SpiderEndpoints say what the pools say
#   plugin-us agent-us api-us etcd-us   CPU time for each call, with what follows an answer
#   api-share       percent of this machine's CPU time that the API server had during the calls
#   busy            percent of it that was used at all, by whatever runs here
#   cpu-rate        calls per second for which the CPU time of these cores would do, had nobody else
#                   any: where rate comes near it, CPU time bounds it, and api-us is the server's
#                   part.  A short burst may exceed it, since the endpoints follow after the answers
# Other figures:
#   floor-process-ms, floor-patch-ms   a static program that does nothing, from start to exit; a
#                   status patch as the agent writes it, by the same client: medians, turn by turn
#                   with the next one
#   floor-add-ms, add-p1-ratio   an ADD: its median, and that divided by the sum of the floors'
#   exact-addresses how many different ones the row exact gave
#   plugin-peak-kb  memory of a call of the plugin
#   agent-idle-kb, agent-kb, foreign-kb, foreign-fresh-kb, agent-end-kb   resident memory of the
#                   agent that has most of it: at first; when it has served one, shared, five and
#                   exact; with the foreign objects; started anew with them; after all of it
#   foreign-seconds the time it took to make the foreign objects
#   foreign-make-us, foreign-churn-us   CPU time of the agent while they are made, and while the
#                   foreign pools' status changes 500 times; idle-us is what it needs in a second
#                   without
#
# chain-... is the whole that makes a pod's network: the plugin multus, which runs ipvlan, with our IPAM,
# and coordinator, in a User-Mode Linux kernel with one CPU (see chain.sh).  A system call costs some
# hundred times as much there as elsewhere, and more when others want its CPU: compare with the floor
# of the same run.  It is what floor.c does: the same links, addresses, routes, rules, neighbours and nf_tables
# rules, by a batch of messages for each namespace, and the start of a static program; before it counts,
# what it made and what the chain made for a pod are compared.
#   chain-turn-add-ms, chain-floor-add-ms   medians, turn by turn, each when the agent is done with the
#                   one before; -del- likewise
#   chain-floor-patch-ms   a status patch by the agent's client, in the same turns
#   chain-add-ratio, chain-del-ratio   the call's median, divided by 1.5 times the floor's and one patch
#   chain-add-cpu-ms, chain-floor-add-cpu-ms   what the machine outside counted as CPU time of that
#                   kernel and all in it, plugin, agent and what follows an answer: means; -del- likewise
#   chain-ROW-...   as above.  Rows: add-1, del-1, add-10, del-10, and add-crowded, del-crowded: one
#                   at a time while the pods of add-10 are on the node.  settle-ms and requests
#                   include what follows an answer; plugin-us and agent-us are hundredths of a second,
#                   counted at a clock's tick
#   chain-add-requests   those of chain-add-1 again, with their goal
#   chain-leaked    links, addresses, routes, rules, neighbours, tables and files of the node that were not
#                   there before, and addresses recorded
#   chain-add-WHO-syscalls, chain-add-WHO-netlink   system calls of one ADD, and messages that it sends to the
#                   kernel, of multus with all that it runs, of floor.c, and of ipvlan (with our IPAM),
#                   ipam and coordinator by themselves; -del- likewise
#   chain-ping-WAY-us, chain-rtt-WAY-us, chain-tcp-WAY-mbits   ping, a byte to and fro on a TCP connection,
#                   and iperf3: medians.  Ways: node (to the other one), pod (to one on the other node, of
#                   the same subnet), service (from a pod, by ClusterIP, which answers no ping)
#
# native-... is the same whole on this machine's own kernel, with all its CPUs, in namespaces of its own
# (see chain.sh): its times are nearer to a real node's.  But it is not the same chain, since that
# kernel may lack ipvlan: macvlan takes its place, by a test plugin (macvlan.c) that multus has to start
# and that has to start our IPAM, where multus runs both within itself otherwise.  So each call starts two
# programs more than a call of the real chain.  floor.c makes a macvlan too, and what it made is compared.
#   native-turn-add-ms, native-floor-add-ms, native-add-ratio and so on   as of chain-..., of 200 turns,
#                   with 50 pods of the chain and as many of the floor on the node at most
#   native-add-cpu-ms, native-floor-add-cpu-ms   CPU time of the plugins, or floor.c, and of the agent
#                   with what follows an answer, as the kernel counts it for them: means; -del- likewise.
#                   What the kernel does later in threads of its own is not in them
#   native-ROW-...  the same rows; plugin-us and agent-us are exact
#   native-add-requests, native-leaked   as of chain-...
#   native-add-WHO-syscalls, native-add-WHO-netlink   likewise, with those of programs that are started;
#                   macvlan is the test plugin with our IPAM
#
# The whole took eleven minutes on two cores that had as much again to do.
#
# etcd syncs to the disk, as in a cluster; the CPU of whatever else runs on this machine shows up in
# "busy" alone.
# shellcheck disable=SC2317 # functions that "quietly" and "wait_until" call
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
# shellcheck source=tests/api/lib.sh
. tests/api/lib.sh
# shellcheck source=tests/compile.sh
. tests/compile.sh
# shellcheck source=tests/bench/lib.sh
. tests/bench/lib.sh
: "${BUILD_DIR:?set by build.sh}" "${SPIDERBOX:?set by build.sh}" "${DEPS:?set by build.sh}" "${KERNEL_DIR:?set by build.sh}"

size=${1:-}
case $size in
'') pods=1000 rounds=5 few=2 foreign_pools=2000 foreign_pods=20000 churn=500 ;;
short) pods=200 rounds=1 few=1 foreign_pools=40 foreign_pods=200 churn=20 ;;
*)
	echo 'usage: tests/bench/bench.sh [short]' >&2
	exit 2
	;;
esac
part=$((pods / 10)) # what one node has; 1,000 pods are on ten

# Ten times the best rate that the original reached in the same row, with 50 at a time, on two cores
# and an API server of the same kind: one pool 57.9 and 49.5 (ADD and DEL), five agents on one pool 47.7
# (nothing is known of its DELs, of which 4 % were lost), on a pool each 61.0 and 60.7.
goal_of() {
	case $1 in
	one-add-50-rate) echo 579 ;;
	one-del-50-rate) echo 495 ;;
	shared-add-50-rate) echo 477 ;;
	five-add-50-rate) echo 610 ;;
	five-del-50-rate) echo 607 ;;
	esac
}

work=$(mktemp -d)
agents= # process ids, in the order of their nodes
bad=0
round=0
load=$work/load
plugin=$SPIDERBOX
cores=$(nproc)

finish() {
	for a in $agents; do
		kill "$a" 2>/dev/null || true
	done
	for a in $agents; do
		wait "$a" 2>/dev/null || true
	done
	api_stop || true
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- servers, objects, agents ----

servers_start() {
	audit_policy
	# shellcheck disable=SC2034 # for lib.sh
	API_FLAGS="--audit-policy-file $work/audit.yaml --audit-log-path $work/audit" ETCD_FLAGS=
	api_start "$work/api" && kubectl apply -f deploy/ &&
		kubectl wait --for=condition=Established --timeout=20s crd --all &&
		kubectl -n kube-system create token spiderpool-agent --duration 10h >"$work/token" &&
		api_kubeconfig "$work/agent.conf" "$API_URL" "$API_DIR/trust.crt" "$work/token"
}

# pool NAME SUBNET IPS [NODE]
pool() {
	kubectl apply -f - <<-YAML
		apiVersion: spiderpool.spidernet.io/v2beta1
		kind: SpiderIPPool
		metadata: {name: $1}
		spec: {subnet: $2, ips: [$3]${4:+, nodeName: [$4]}}
	YAML
}

pools_make() {
	pool floor 10.9.0.0/16 10.9.0.1-10.9.7.250 && pool one 10.10.0.0/16 10.10.0.1-10.10.0.200 &&
		pool shared 10.11.0.0/16 10.11.0.1-10.11.0.200 &&
		pool exact 10.12.0.0/16 "10.12.0.1-10.12.$((pods / 256)).$((pods % 256))" || return 1
	for k in 0 1 2 3 4; do
		pool "five-$k" "10.2$k.0.0/16" "10.2$k.0.1-10.2$k.0.200" "node$k" || return 1
	done
}

# conf NAME POOL,...: configurations NAME-node0 to NAME-node9
conf() {
	for k in 0 1 2 3 4 5 6 7 8 9; do
		printf '{"cniVersion":"1.0.0","name":"n","type":"ipvlan","ipam":{"type":"spiderpool","ipam_unix_socket_path":"%s","state_dir":"%s","default_ipv4_ippool":["%s"]}}' \
			"$work/node$k.sock" "$work/state-node$k" "$(echo "$2" | sed 's/,/","/g')" >"$work/$1-node$k"
	done
}

# some COUNT NODES CONF: so many pods of the first NODES nodes
some() {
	awk -v count="$1" -v nodes="$2" -v conf="$work/$3" \
		'substr($3, 5) + 0 < nodes && n++ < count { print $1, $2, conf "-" $3 }' "$work/pods"
}

healthy() {
	curl -sf --max-time 5 --unix-socket "$work/$1.sock" http://agent/v1/ipam/healthy >"$work/curl" 2>&1
}

# agent_start NODE
agent_start() {
	"$SPIDERBOX" agent --store "kube:$work/agent.conf" --node "$1" --socket "$work/$1.sock" \
		--state-dir "$work/state-$1" --health-addr '' >>"$work/$1.log" 2>&1 &
	agents="$agents $!"
	wait_until 30 healthy "$1" || {
		tail -n 5 "$work/$1.log" >&2
		stop "the agent of $1 does not start"
	}
}

# Pools are counted by their agents before they give anything.
counted() {
	kubectl get spiderippools "$@" -o json | jq -e 'all(.items[]; .status.totalIPCount)' >"$work/counted"
}

comma() {
	echo "$*" | tr ' ' ,
}

groups() {
	# shellcheck disable=SC2086 # words
	echo "$(comma $agents)" "$API_PID" "$ETCD_PID"
}

rss() {
	# shellcheck disable=SC2046 # words
	for a in $agents; do
		awk '/^VmRSS/ { print $2 }' "/proc/$a/status"
	done | sort -n | tail -n 1
}

# ---- rows ----

# What follows a row is waited for by its endpoints.
after_calls() {
	:
}

# What the pools and the nodes still hold; "floor" is written by load.c alone.
held() {
	_records=$(kubectl get spiderippools -o json |
		jq '[.items[] | select(.metadata.name != "floor" and (.metadata.name | startswith("foreign-") | not)) | .status.allocatedIPCount // 0] | add')
	_files=$(find "$work"/state-* -type f ! -name rounds.json ! -name .complete | wc -l)
	echo $((_records + _files))
}
nothing_held() {
	[ "$(held)" = 0 ]
}

# report ROW: from its files to figures, a line of the table and one of shares
report() {
	totals "$1"
	conflicts=$(grep -c '^patch spiderippools.* 409$' "$work/$1.requests" || true)
	goal=$(goal_of "$1-rate")
	# shellcheck disable=SC2086 # none, or two words
	figure "$1-rate" "$rate" ${goal:+least $goal}
	figure "$1-p50-ms" "$p50"
	figure "$1-p90-ms" "$p90"
	figure "$1-p99-ms" "$p99"
	must "$1-failed" "$failed" most 0
	case $1 in
	exact-add-*)
		must "$1-double" "$((n - failed - distinct))" most 0
		must exact-addresses "$distinct" least "$pods"
		;;
	*-add-*) must "$1-double" "$((n - failed - distinct))" most 0 ;;
	*) must "$1-leaked" "$leaked" most 0 ;;
	esac
	figure "$1-requests" "$each"
	figure "$1-conflicts" "$conflicts"
	figure "$1-settle-ms" "$settle"
	figure "$1-plugin-us" "$plugin_us"
	figure "$1-agent-us" "$agent_us"
	figure "$1-api-us" "$api_us"
	figure "$1-etcd-us" "$etcd_us"
	figure "$1-api-share" "$s_api"
	figure "$1-busy" "$busy"
	most=$(calculate %.0f "1e6 * $cores / ($plugin_us + $agent_us + $api_us + $etcd_us)")
	figure "$1-cpu-rate" "$most"
	printf '%-16s %5d %6d %8s %8s %8s %6d %7s %6d %8d %7d %6d %6d %6d\n' "$1" "$n" "$rate" "$p50" "$p90" "$p99" "$failed" "$each" \
		"$conflicts" "$settle" "$plugin_us" "$agent_us" "$api_us" "$etcd_us"
	printf '%-16s %6d %6d %6d %6d %8d %10d %8d\n' "$1" "$s_plugin" "$s_agent" "$s_api" "$s_etcd" "$busy" "$most" "$rate" >>"$work/shares"
	kinds "$1"
}

# rows WHAT PARALLEL PODS ROUNDS: ADD and DEL, turn by turn
rows() {
	leaked=0
	_count=$(wc -l <"$3")
	_rounds=0
	while [ "$_rounds" -lt "$4" ]; do
		_rounds=$((_rounds + 1)) round=$((round + 1))
		calls "$1-add-$2" ADD "$2" "$3" "$_count"
		calls "$1-del-$2" DEL "$2" "$3" 0
		wait_until 20 nothing_held || leaked=$((leaked + $(held)))
	done
	report "$1-add-$2"
	report "$1-del-$2"
}

heading() {
	printf '\n%s\n' "$1"
	printf '%-16s %5s %6s %8s %8s %8s %6s %7s %6s %8s %7s %6s %6s %6s\n' row calls /s 'p50 ms' 'p90 ms' 'p99 ms' failed 'req/op' \
		'409' 'settl ms' 'plug us' 'agent' 'api' 'etcd'
}

# ---- the run ----

test_libraries
quietly compile_test tests/bench/load.c plain "$load"
echo 'int main(void) { return 0; }' >"$work/nothing.c"
"$DEPS/cc" -Os -fPIE -o "$work/nothing" "$work/nothing.c"
strip "$work/nothing"
quietly servers_start
quietly pools_make
"$load" pods "$KUBECONFIG" pod- "$pods" node 10 >"$work/pods"
conf one one
conf shared shared
conf five five-0,five-1,five-2,five-3,five-4
conf exact exact
some "$part" 1 one >"$work/pods-one"
some "$part" 5 shared >"$work/pods-shared"
some "$part" 5 five >"$work/pods-five"
some "$pods" 10 exact >"$work/pods-exact"

agent_start node0
quietly wait_until 20 counted one shared exact floor five-0
idle=$(rss)
figure agent-idle-kb "$idle"
figure plugin-peak-kb "$("$load" peak "$SPIDERBOX" "$work/pods-one" 2>"$work/peak")"
quietly "$load" calls DEL 1 "$SPIDERBOX" "$work/pods-one" 1 "$work/warm.times"

# turn by turn, several times; the DELs between make room
tries=0
while [ "$tries" -lt 3 ]; do
	"$load" pairs "$SPIDERBOX" "$work/pods-one" "$part" "$work/agent.conf" floor "$work/nothing" >>"$work/pairs" 2>"$work/calls" ||
		stop "$(tail -n 3 "$work/calls")"
	quietly "$load" calls DEL 10 "$SPIDERBOX" "$work/pods-one" 1 "$work/warm.times"
	quietly "$load" endpoints "$KUBECONFIG" 0 60
	tries=$((tries + 1))
done
add=$(percentile "$work/pairs" 1 50) patch=$(percentile "$work/pairs" 2 50) process=$(percentile "$work/pairs" 3 50)
figure floor-process-ms "$(calculate %.2f "$process / 1000")"
figure floor-patch-ms "$(calculate %.2f "$patch / 1000")"
figure floor-add-ms "$(calculate %.2f "$add / 1000")"
figure add-p1-ratio "$(calculate %.2f "$add / ($patch + $process)")" most 1.30
printf 'process %.2f ms, bare status patch %.2f ms, ADD %.2f ms: %.2f times the two (medians of %d turns)\n' \
	"$(calculate %.2f "$process / 1000")" "$(calculate %.2f "$patch / 1000")" "$(calculate %.2f "$add / 1000")" \
	"$(calculate %.2f "$add / ($patch + $process)")" "$(wc -l <"$work/pairs")"

heading 'one agent, one pool of 200'
rows one 1 "$work/pods-one" "$few"
rows one 10 "$work/pods-one" "$rounds"
rows one 50 "$work/pods-one" "$rounds"

for k in 1 2 3 4; do
	agent_start node$k
done
quietly wait_until 20 counted five-0 five-1 five-2 five-3 five-4
heading 'five agents, one pool'
rows shared 5 "$work/pods-shared" "$few"
rows shared 10 "$work/pods-shared" "$few"
rows shared 50 "$work/pods-shared" "$few"
heading 'five agents, five pools'
rows five 10 "$work/pods-five" "$rounds"
rows five 50 "$work/pods-five" "$rounds"

for k in 5 6 7 8 9; do
	agent_start node$k
done
heading "$pods pods on ten agents, $pods addresses in one pool"
rows exact 50 "$work/pods-exact" 1
busiest=$(rss)
figure agent-kb "$busiest"

# the first agent goes on alone
# shellcheck disable=SC2086 # words
set -- $agents
for a in "$@"; do
	[ "$a" = "$1" ] || end "$a"
done
agents=$1

agent_cpu() {
	"$load" cpu "$agents"
}
used=$(agent_cpu)
sleep 2
figure idle-us "$((($(agent_cpu) - used) / 2))"
used=$(agent_cpu)
started=$(date +%s)
"$load" pools "$KUBECONFIG" foreign- "$foreign_pools" other 200 >"$work/made"
"$load" pods "$KUBECONFIG" foreign- "$foreign_pods" other 200 >"$work/made"
figure foreign-seconds "$(($(date +%s) - started))"
sleep 1 # what is on its way to the agent still
figure foreign-make-us "$(($(agent_cpu) - used))"
foreign=$(rss)
figure foreign-kb "$foreign"
used=$(agent_cpu)
started=$(date +%s%N)
quietly "$load" churn "$KUBECONFIG" foreign- "$churn" "$foreign_pools"
churned=$((($(date +%s%N) - started) / 1000000))
sleep 1
figure foreign-churn-us "$(($(agent_cpu) - used))"
heading "one agent, one pool, $foreign_pools pools and $foreign_pods pods of other nodes"
rows foreign 1 "$work/pods-one" 1
last=$(rss)
figure agent-end-kb "$last" most 4000
end "$agents"
agents=
agent_start node0
sleep 1 # what it reads after its start
fresh=$(rss)
figure foreign-fresh-kb "$fresh" most 4000

# with servers of its own
end "$agents"
agents=
api_stop
tests/bench/chain.sh ${size:+"$size"} >"$work/chain" || bad=1
status=0
tests/bench/chain.sh native ${size:+"$size"} >"$work/native" || status=$?
case $status in
0) ;;
77) sed 's/^/bench: the chain on this kernel: /' "$work/native" >&2 ;;
*) bad=1 ;;
esac
figure_line='^\(chain\|native\)-[a-z0-9-]* [0-9.]* [0-9.-]* \(ok\|short\)$'
grep "$figure_line" "$work/chain" >>"$work/figures" || stop 'there are no figures of the chain'
grep "$figure_line" "$work/native" >>"$work/figures" || [ "$status" = 77 ] || stop 'there are no figures of the chain on this kernel'

printf '\nrequests of the agents for each call\n'
cat "$work/kinds"
printf '\npercent of the CPU time of %d cores during the calls; calls per second for which all of it would do, and those there were\n' "$cores"
printf '%-16s %6s %6s %6s %6s %8s %10s %8s\n' row plugin agents api etcd 'in all' 'most /s' '/s'
cat "$work/shares"
value() {
	sed -n "s/^$1 \([^ ]*\) .*/\1/p" "$work/figures"
}
printf '\nresident memory of an agent in kB: %d idle, %d after the rows of up to ten agents, %d with the foreign objects,\n' "$idle" "$busiest" "$foreign"
printf '%d after all of it, %d started anew with them; of a plugin %d\n' "$last" "$fresh" "$(value plugin-peak-kb)"
printf 'CPU of an agent: %d us in an idle second, %d us for making the foreign objects, %d us for %d changes of them in %d ms\n\n' \
	"$(value idle-us)" "$(value foreign-make-us)" "$(value foreign-churn-us)" "$churn" "$churned"
echo 'the whole chain, multus to coordinator, in a simulated machine'
grep -v "$figure_line" "$work/chain"
printf 'the same on this machine'"'"'s own kernel, Linux %s, with %d cores, but not the same chain:\n' "$(uname -r)" "$cores"
echo 'macvlan by a test plugin instead of ipvlan, which starts two programs more, that plugin and our IPAM'
grep -v "$figure_line" "$work/native"
[ "$status" = 0 ] || echo
cat "$work/figures"
exit "$bad"
