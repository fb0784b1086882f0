# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# agents.sh - agents at the API server of lib.sh, with the rights of deploy/ and no more, and pods
# without a kubelet; sourced by topics.  Objects are written by curl, which takes a tenth of kubectl's time.
#
#   agents_begin FOLDER NODE...   certificates, ports, Node objects
#   agent_start NODE [OPTION...]
#   agent_end NODE SIGNAL
#   agents_end                    nothing is left: no agents, no pods, no pools
#   api METHOD PATH [BODY]        answer in $answer; fails when it is no success
#   pod [NS/]NAME NODE [MEMBERS]  MEMBERS of metadata: ', "annotations": {...}'
#   ask NODE STATUS METHOD PATH [BODY]
#   gets NODE [NS/]POD NIC ADDRESSES [MORE]   an ADD; addresses separated by blanks, or a pattern
#   fails NODE [NS/]POD NIC STATUS WORDS [MORE]
#   takes NODE [NS/]POD NIC       the DEL
#   pools <<TEXT                  in each line a name and a spec without its braces
#   wants ANNOTATION TEXT...      members of a pod's metadata
#   named POD NODE POOLS          a pod whose annotation names these IPv4 pools, as JSON
#   record POOL ADDRESS FILTER    jq's answer to FILTER about that record
#   holds POOL COUNT
#
# A pod's container is "c-NAME-UID": $cid says otherwise; $netns is its namespace's path.

answer=$work/answer
cid='' netns='' nodes=''
ippool=ipam.spidernet.io/ippool
ippools=ipam.spidernet.io/ippools
networks=k8s.v1.cni.cncf.io/networks

# whatever ends the run
agents_kill() {
	for _pid in "$work"/*/*.pid; do
		[ ! -e "$_pid" ] || end "$(cat "$_pid")" KILL
	done
}
trap 'agents_kill; api_stop; umount "$work"/*/netns 2>/dev/null || :; rm -rf "$work"' EXIT

agents_begin() {
	agents=$1
	shift
	nodes=$*
	mkdir -p "$agents"
	kubectl -n kube-system create token spiderpool-agent --duration 10h >"$agents/token" || return 1
	api_kubeconfig "$agents/conf" "$API_URL" "$API_DIR/trust.crt" "$agents/token"
	for _node in "$@"; do
		free_port >"$agents/$_node.port"
		api POST /api/v1/nodes "{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"$_node\",
			\"labels\":{\"zone\":\"$_node-zone\"}}}" || return 1
	done
}

agent_start() {
	_node=$1
	shift
	SPIDERPOOL_ENABLED_METRIC=true SPIDERPOOL_METRIC_HTTP_PORT=$(cat "$agents/$_node.port") \
		"$SPIDERBOX" agent --store "kube:$agents/conf" --node "$_node" --socket "$agents/$_node.sock" \
		--state-dir "$agents/state-$_node" --default-network kube-system/ipvlan-eth0 --health-addr '' "$@" \
		2>>"$agents/$_node.log" &
	echo $! >"$agents/$_node.pid"
	wait_until 20 ask "$_node" 200 GET ipam/healthy
}

agent_end() {
	[ ! -e "$agents/$1.pid" ] || end "$(cat "$agents/$1.pid")" "$2"
	rm -f "$agents/$1.pid"
}

api() {
	_type=application/json
	[ "$1" != PATCH ] || _type=application/merge-patch+json
	curl -s --max-time 30 --cacert "$API_DIR/trust.crt" --cert "$API_DIR/admin.crt" --key "$API_DIR/admin.key" \
		-o "$answer" -w '%{http_code}' -X "$1" -H "Content-Type: $_type" "$API_URL$2" ${3:+-d "$3"} >"$work/code"
	grep -q '^2' "$work/code" || {
		cat "$work/code" "$answer"
		return 1
	}
}

# path KIND [NS/]NAME
path() {
	case $2 in
	*/*) _ns=${2%%/*} _name=${2#*/} ;;
	*) _ns=default _name=$2 ;;
	esac
	case $1 in
	pod) echo "/api/v1/namespaces/$_ns/pods/$_name" ;;
	set) echo "/apis/apps/v1/namespaces/$_ns/statefulsets/$_name" ;;
	endpoint) echo "/apis/spiderpool.spidernet.io/v2beta1/namespaces/$_ns/spiderendpoints/$_name" ;;
	pool) echo "/apis/spiderpool.spidernet.io/v2beta1/spiderippools/$_name" ;;
	esac
}

pod() {
	_path=$(path pod "$1")
	api POST "${_path%/*}" "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"${1##*/}\"${3:-}},
		\"spec\":{\"nodeName\":\"$2\",\"containers\":[{\"name\":\"c\",\"image\":\"none\"}]}}" &&
		jq -r .metadata.uid "$answer" >"$agents/uid.$(echo "$1" | tr / .)"
}

# unpod [NS/]NAME: at once, as by force
unpod() {
	api DELETE "$(path pod "$1")?gracePeriodSeconds=0"
}

ask() {
	_code=$(curl -s --max-time 100 --unix-socket "$agents/$1.sock" -o "$answer" -w '%{http_code}' -X "$3" \
		"http://agent/v1/$4" ${5:+-d "$5"})
	[ "$_code" = "$2" ] || {
		echo "status $_code:"
		cat "$answer"
		return 1
	}
}

# identity [NS/]POD NIC [MORE]
identity() {
	_uid=$(cat "$agents/uid.$(echo "$1" | tr / .)")
	_path=$(path pod "$1")
	_ns=${_path%/pods/*}
	echo "{\"containerID\":\"${cid:-c-${1##*/}-$_uid}\",\"ifName\":\"$2\",\"netNamespace\":\"$netns\"," \
		"\"podNamespace\":\"${_ns##*/}\",\"podName\":\"${1##*/}\",\"podUID\":\"$_uid\"${3:-}}"
}

gets() {
	ask "$1" 200 POST ipam/ip "$(identity "$2" "$3" "${5:-}")" || return 1
	_got=$(jq -r '[.ips[].address] | join(" ")' "$answer")
	# shellcheck disable=SC2254 # a pattern
	case $_got in
	$4) ;;
	*) is "$4" "$_got" ;;
	esac
}

fails() {
	ask "$1" "$4" POST ipam/ip "$(identity "$2" "$3" "${6:-}")" || return 1
	grep -qF "$5" "$answer" || {
		cat "$answer"
		return 1
	}
}

takes() {
	ask "$1" 200 DELETE ipam/ip "$(identity "$2" "$3")"
}

# routes WORDS: of the last answer, "NIC DST GW, ..."
routes() {
	is "$1" "$(jq -r '[.routes[] | "\(.ifName) \(.dst) \(.gw)"] | join(", ")' "$answer")"
}

record() {
	api GET "$(path pool "$1")" && jq -r ".status.allocatedIPs // \"{}\" | fromjson | .[\"$2\"] | $3" "$answer"
}

holds() {
	api GET "$(path pool "$1")" && is "$2" "$(jq '.status.allocatedIPCount // 0' "$answer")"
}

# metric NODE SAMPLE: must be there, as it is written here
metric() {
	curl -s --max-time 10 "http://127.0.0.1:$(cat "$agents/$1.port")/metrics" >"$answer" && grep -qxF "$2" "$answer"
}

# pools <<TEXT: in each line a name and a spec without its braces
pools() {
	while read -r _name _spec; do
		printf '%s\n' "{apiVersion: spiderpool.spidernet.io/v2beta1, kind: SpiderIPPool, metadata: {name: $_name}," \
			"spec: {$_spec}}" '---'
	done | kubectl apply -f -
}

# wants ANNOTATION TEXT [ANNOTATION TEXT]...: members of a pod's metadata
wants() {
	_all=
	while [ $# -gt 0 ]; do
		_all="$_all${_all:+, }\"$1\": $(printf %s "$2" | jq -Rs .)"
		shift 2
	done
	echo ", \"annotations\": {$_all}"
}

# named POD NODE POOLS: a pod whose annotation names these IPv4 pools, as JSON
named() {
	pod "$1" "$2" "$(wants $ippool "{\"ipv4\":$3}")"
}

agents_end() {
	for _node in $nodes; do
		agent_end "$_node" TERM
		! grep -v ' info \| warn ' "$agents/$_node.log" | grep . || return 1
		api DELETE "/api/v1/nodes/$_node" || return 1
	done
	kubectl delete pods,statefulsets -A --all --grace-period=0 --force || return 1
	kubectl get spiderendpoints -A -o 'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}' |
		while read -r _ns _name; do
			api PATCH "$(path endpoint "$_ns/$_name")" '{"metadata":{"finalizers":null}}' || :
			api DELETE "$(path endpoint "$_ns/$_name")" || :
		done
	kubectl delete spiderippools --all --wait=false || return 1
	kubectl get spiderippools -o name | while read -r _pool; do
		api PATCH "$(path pool "${_pool#*/}")" '{"metadata":{"finalizers":null}}' || :
	done
}
