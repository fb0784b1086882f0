# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# Two nodes' agents at a real API server, with the rights of deploy/ and no more.

agents=$work/agents
mkdir -p "$agents"
kubectl -n kube-system create token spiderpool-agent --duration 10h >"$agents/token" 2>"$work/log" || cat "$work/log"
api_kubeconfig "$agents/conf" "$API_URL" "$API_DIR/trust.crt" "$agents/token"

free_port >"$agents/master.port"
free_port >"$agents/worker.port"

# agent_start NODE
agent_start() {
	SPIDERPOOL_ENABLED_METRIC=true SPIDERPOOL_METRIC_HTTP_PORT=$(cat "$agents/$1.port") \
		"$SPIDERBOX" agent --store "kube:$agents/conf" --node "$1" --socket "$agents/$1.sock" \
		--state-dir "$agents/state-$1" --default-network kube-system/ipvlan-eth0 --health-addr '' \
		2>>"$agents/$1.log" &
	echo $! >"$agents/$1.pid"
	wait_until 20 ask "$1" 200 GET ipam/healthy
}

# agent_end NODE SIGNAL
agent_end() {
	end "$(cat "$agents/$1.pid")" "$2"
}

# ask NODE STATUS METHOD PATH [BODY]: the answer must have that status
ask() {
	_code=$(curl -s --max-time 100 --unix-socket "$agents/$1.sock" -o "$agents/answer" -w '%{http_code}' -X "$3" \
		"http://agent/v1/$4" ${5:+-d "$5"})
	cat "$agents/answer"
	[ "$_code" = "$2" ]
}

# identity POD CONTAINER [MORE]
identity() {
	_uid=$(kubectl get pod "$1" -o 'jsonpath={.metadata.uid}')
	echo "{\"containerID\":\"$2\",\"ifName\":\"eth0\",\"netNamespace\":\"\",\"podNamespace\":\"default\"," \
		"\"podName\":\"$1\",\"podUID\":\"$_uid\"${3:-}}"
}

# pod NAME NODE NETWORK
pod() {
	kubectl create -f - <<TEXT
apiVersion: v1
kind: Pod
metadata: {name: $1, namespace: default, annotations: {v1.multus-cni.io/default-network: $3}}
spec: {nodeName: $2, containers: [{name: c, image: none}]}
TEXT
}

# gives NODE POD CONTAINER ADDRESS [MORE]
gives() {
	ask "$1" 200 POST ipam/ip "$(identity "$2" "$3" "${5:-}")" && grep -q "\"address\":\"$4\"" "$agents/answer"
}

# refuses NODE POD CONTAINER WORDS
refuses() {
	ask "$1" 500 POST ipam/ip "$(identity "$2" "$3")" && grep -qF "$4" "$agents/answer"
}

# takes NODE POD CONTAINER
takes() {
	ask "$1" 200 DELETE ipam/ip "$(identity "$2" "$3")"
}

# pools_are NAME COUNT...: what kubectl shows of these pools
pools_are() {
	while [ $# -gt 0 ]; do
		[ "$(kubectl get spiderippool "$1" --no-headers | awk '{print $2, $4, $5}')" = "4 $2" ] || {
			kubectl get spiderippool "$1"
			return 1
		}
		shift 2
	done
}

endpoint_is() {
	[ "$(kubectl get spiderendpoint "$1" --no-headers 2>/dev/null | tr -s ' ')" = "$2" ]
}

counts_appear() {
	wait_until 5 pools_are master-172 '0 5' master-192 '0 5' worker-172 '0 5' worker-192 '0 5'
}

check 'two agents start' agent_start master
check 'the other one' agent_start worker
check "the guide's pools, unchanged" kubectl apply -f tests/data/walkthrough/20-ippools.yaml
check 'are admitted and counted' counts_appear
pod a master kube-system/ipvlan-eth0 >"$work/log" 2>&1 || cat "$work/log"
pod b worker kube-system/ipvlan-eth1 >"$work/log" 2>&1 || cat "$work/log"
check 'an address by node and default network' gives master a c1 172.31.199.185/20
check 'the same again' gives master a c1 172.31.199.185/20
check 'by node and the other network' gives worker b c2 192.168.0.161/24
check "another node's pod" refuses worker a c1 'pod default/a is bound to node master, and this is the agent of node worker (--node)'
check 'shown by the pools' pools_are master-172 '1 5' master-192 '0 5' worker-172 '0 5' worker-192 '1 5'
check 'and by the endpoint' wait_until 5 endpoint_is b 'b eth0 worker-192 192.168.0.161/24 worker'

# why a pod gets no address is told where people look
pod w worker kube-system/none >"$work/log" 2>&1 || cat "$work/log"
describes() {
	kubectl describe pod w >"$work/answer"
	grep -q 'Warning  *FailedAllocateIP  *.*  spiderpool-agent  no IPPool available, all IPv4 IPPools \[.*worker-172 is not for network kube-system/none.*Remedy: make a SpiderIPPool that serves node worker and network kube-system/none, or' "$work/answer"
}
event_is() {
	[ "$(kubectl get events --field-selector "involvedObject.name=w,reason=FailedAllocateIP" --no-headers \
		-o 'custom-columns=T:.type,K:.involvedObject.kind,C:.count,H:.source.host,I:.reportingComponent')" = "$1" ]
}
check 'a pod that no pool serves' refuses worker w c8 'no IPPool available'
check 'kubectl describe tells why, and what helps' wait_until 10 describes
check 'a second time' refuses worker w c9 'no IPPool available'
check 'is counted up' wait_until 20 event_is 'Warning   Pod   2     worker   spiderpool-agent'

# metric NODE SAMPLE: must be there, as it is written here
metric() {
	curl -s --max-time 10 -D "$agents/head" "http://127.0.0.1:$(cat "$agents/$1.port")/metrics" >"$work/answer" &&
		grep -q '^Content-Type: text/plain; version=0.0.4' "$agents/head" && grep -qxF "$2" "$work/answer"
}
check 'metrics: what was given' metric worker 'spiderpool_ipam_allocation_counts_total 4'
check 'what was not' metric worker 'spiderpool_ipam_allocation_err_no_available_pool_counts_total 2'
check 'and what is left' metric worker 'spiderpool_debug_ippool_available_ip_counts{ippool="worker-192"} 4'

# a killed agent knows it all again
agent_end master KILL
check 'a killed agent starts again' agent_start master
check 'and gives the same address' gives master a c1 172.31.199.185/20

# a pool that all nodes share
shared_pool() {
	kubectl apply -f - <<'TEXT'
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: shared}
spec: {subnet: 10.9.0.0/24, ips: [10.9.0.1-10.9.0.60], gateway: 10.9.0.254}
TEXT
	for i in $(seq 60); do
		echo '---'
		[ $((i % 2)) = 0 ] && _node=master || _node=worker
		echo "{apiVersion: v1, kind: Pod, metadata: {name: q$i, namespace: default}," \
			"spec: {nodeName: $_node, containers: [{name: c, image: none}]}}"
	done | kubectl create -f - >/dev/null
	kubectl get pods -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.spec.nodeName}{"\n"}{end}' |
		grep '^q' >"$agents/pods"
	[ "$(wc -l <"$agents/pods")" = 60 ]
}

# all at once
burst() {
	while read -r _pod _uid _node; do
		curl -s --max-time 60 --unix-socket "$agents/$_node.sock" -o "$agents/burst.$_pod" -X "$1" http://agent/v1/ipam/ip \
			-d "{\"containerID\":\"$_pod\",\"ifName\":\"eth0\",\"netNamespace\":\"\",\"podNamespace\":\"default\",\"podName\":\"$_pod\",\"podUID\":\"$_uid\",\"defaultIPv4IPPool\":[\"shared\"]}" &
		echo $!
	done <"$agents/pods" >"$agents/pids"
	while read -r _pid; do
		wait_until 60 gone "$_pid" || return 1
	done <"$agents/pids"
}

all_differ() {
	[ "$(cat "$agents"/burst.* | grep -o '"address":"[0-9./]*"' | sort -u | wc -l)" = 60 ] || {
		cat "$agents"/burst.*
		return 1
	}
}

# few_writes N: of pools, by each agent since its start
few_writes() {
	for _node in master worker; do
		ask $_node 200 GET debug/stats
		[ "$(jq .poolWrites "$agents/answer")" -le "$1" ] || return 1
	done
}

check 'a pool for all nodes' shared_pool
check 'sixty pods at once on two nodes' burst POST
check 'get sixty addresses' all_differ
check 'by a handful of writes' few_writes 30
check 'the pool is full' pools_are shared '60 60'
check 'sixty are given back at once' burst DELETE
check 'the pool is empty' wait_until 10 pools_are shared '0 60'

# deleted while in use
pool_is_gone() {
	! kubectl get spiderippool worker-192 >"$work/answer" 2>&1 && grep -q 'not found' "$work/answer"
}
check 'a pool is deleted while in use' kubectl delete spiderippool worker-192 --wait=false
check 'who has an address keeps it' gives worker b c2 192.168.0.161/24
check 'its last address is given back' takes worker b c2
check 'and it is gone' wait_until 10 pool_is_gone
check 'so is the endpoint' wait_until 5 endpoint_is b ''

# the API server goes, and comes again
_body_a=$(identity a c1)
pod d master kube-system/ipvlan-eth0 >"$work/log" 2>&1 || cat "$work/log"
_body_d=$(identity d c4)
quick_del() {
	_started=$(date +%s%N)
	ask master 200 DELETE ipam/ip "$_body_a" && [ $((($(date +%s%N) - _started) / 1000000)) -lt 2000 ] &&
		[ -e "$agents/state-master/releases/c1-eth0.json" ]
}
patient_add() {
	ask master 200 POST ipam/ip "$_body_d" >"$agents/patient" 2>&1 &
	_patient=$!
	api_server_start && wait "$_patient"
}
queue_is_empty() {
	[ -z "$(ls "$agents/state-master/releases")" ]
}
api_server_stop KILL
check 'without an API server a DEL is queued in two seconds' quick_del
check 'an ADD waits for the server' patient_add
check 'the queue is replayed' wait_until 60 queue_is_empty
check 'and the pool shows it' wait_until 10 pools_are master-172 '1 5'
check 'the watches live: a new pool' kubectl apply -f tests/data/walkthrough/20-ippools.yaml
check 'is admitted and counted' wait_until 30 pools_are worker-192 '0 5'

agent_stops() {
	agent_end "$1" TERM && ! grep -v ' info \| warn ' "$agents/$1.log" | grep . && [ ! -e "$agents/$1.sock" ]
}
check 'the agent ends' agent_stops master
check 'and the other' agent_stops worker
kubectl delete pods --all --grace-period=0 --force >"$work/log" 2>&1 || cat "$work/log"
kubectl delete spiderippools --all --wait=false >"$work/log" 2>&1 || cat "$work/log"
kubectl get spiderippools -o name | while read -r _pool; do
	kubectl patch "$_pool" --type merge -p '{"metadata":{"finalizers":null}}' >"$work/log" 2>&1 || cat "$work/log"
done
