#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The cni suite: the shipped binary as a runtime calls it, with input that is wrong, and without an
# agent.  Each call's exit status and whole document are compared.  One TAP line per check.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
: "${SPIDERBOX:=$top/build/spiderbox}"
work=$(mktemp -d)
agent=
trap '[ -z "$agent" ] || kill "$agent"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
tap_log="$work/log"

# plugin COMMAND [NAME=VALUE]...: one call of ipam, to $work/out and $work/err; its status.  The
# namespace is our own, so that no root is needed; the override says that this is meant.
plugin() {
	command=$1
	shift
	status=0
	env -i CNI_COMMAND="$command" CNI_CONTAINERID=abc123 CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
		CNI_NETNS=/proc/self/ns/net CNI_NETNS_OVERRIDE=1 "$@" \
		timeout 20 "$SPIDERBOX" ipam >"$work/out" 2>"$work/err" || status=$?
	return "$status"
}

# printed STATUS WANT DOCUMENT: an "@" in the document stands for any text
printed() {
	[ "$1" = "$2" ] || {
		echo "exit status $1, wanted $2; stdout and stderr:"
		cat "$work/out" "$work/err"
		return 1
	}
	out=$(cat "$work/out")
	case $3 in
	*@*) case $out in "${3%%@*}"*"${3#*@}") return 0 ;; esac ;;
	*) [ "$out" != "$3" ] || return 0 ;;
	esac
	printf 'wanted %s\nprinted %s\n' "$3" "$out"
	return 1
}

# refused STDIN CODE MESSAGE DETAILS COMMAND [NAME=VALUE]...: the error document and nothing else
refused() {
	input=$1 code=$2 message=$3 details=$4
	shift 4
	status=0
	printf '%s' "$input" | plugin "$@" || status=$?
	printed "$status" 1 "{\"cniVersion\":\"${version:-1.1.0}\",\"code\":$code,\"msg\":\"$message\",\"details\":\"$details\"}"
}

# conf VERSION [MEMBERS OF ipam]: a configuration whose agent is away
conf() {
	printf '{"cniVersion":"%s","name":"net","type":"ipvlan","ipam":{"type":"spiderpool","ipam_unix_socket_path":"%s/no.sock","state_dir":"%s/state","timeout_ms":300%s}}' \
		"$1" "$work" "$work" "${2:-}"
}

decode='decode the configuration on standard input'

too_much() {
	status=0
	{
		head -c 2097152 /dev/zero
		echo $? >"$work/writer"
	} | plugin ADD || status=$?
	[ "$(cat "$work/writer")" = 0 ] || {
		echo 'the writer did not get rid of its 2 MB'
		return 1
	}
	printed "$status" 1 '{"cniVersion":"1.1.0","code":6,"msg":"the configuration on standard input is longer than 1048576 bytes","details":""}'
}

nul_byte() {
	status=0
	printf '{}\000' | plugin ADD || status=$?
	printed "$status" 1 "{\"cniVersion\":\"1.1.0\",\"code\":6,\"msg\":\"$decode: a NUL at byte 2\",\"details\":\"\"}"
}

version_answer='{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}'

# What is on stdin is still there afterwards.
version_leaves_stdin() {
	echo untouched >"$work/in"
	{
		plugin VERSION || return 1
		cat >"$work/rest"
	} <"$work/in"
	printed 0 0 "$version_answer" && cmp "$work/in" "$work/rest"
}

version_alone() {
	env -i CNI_COMMAND=VERSION "$SPIDERBOX" ipam <&- >"$work/out"
	printed 0 0 "$version_answer"
}

other_name() {
	ln -sf "$SPIDERBOX" "$work/spiderpool"
	CNI_COMMAND=VERSION "$work/spiderpool" </dev/null >"$work/out"
	printed 0 0 "$version_answer"
}

help() {
	"$SPIDERBOX" ipam --help >"$work/out" 2>"$work/err" && [ ! -s "$work/err" ] &&
		grep -q '^usage: ipam' "$work/out" && grep -q 'timeout_ms' "$work/out"
}

superfluous_argument() {
	status=0
	"$SPIDERBOX" ipam extra >"$work/out" 2>"$work/err" || status=$?
	[ "$status" = 2 ] && [ ! -s "$work/out" ] && grep -q '^usage: ipam' "$work/err"
}

no_command() {
	env -i "$SPIDERBOX" ipam </dev/null >"$work/out" 2>"$work/err" && [ ! -s "$work/out" ] &&
		grep -q 'CNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0' "$work/err"
}

missing_variables() {
	status=0
	env -i CNI_COMMAND=ADD CNI_IFNAME=eth0 "$SPIDERBOX" ipam </dev/null >"$work/out" 2>"$work/err" || status=$?
	printed "$status" 1 '{"cniVersion":"1.1.0","code":4,"msg":"missing environment variables: CNI_CONTAINERID, CNI_NETNS, CNI_PATH","details":"CNI_COMMAND ADD needs them"}'
}

call='of network net, interface eth0 of container abc123 in /proc/self/ns/net'
look='is it running? look at \"kubectl get pods -A -o wide -l app.kubernetes.io/component=spiderpool-agent\", or on this node at \"systemctl status spiderpool-agent\" and \"journalctl -u spiderpool-agent\"'
away="no agent at $work/no.sock (connect to $work/no.sock: No such file or directory): $look"

add_without_agent() {
	begin=$(date +%s)
	version=0.3.1 refused "$(conf 0.3.1)" 11 "allocate addresses for eth0 of pod default/web-0: $away" \
		"ADD $call, pod default/web-0" ADD 'CNI_ARGS=K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=default' || return 1
	[ $(($(date +%s) - begin)) -lt 10 ]
}

# A runtime other than Kubernetes': there is no pod to speak of.
add_without_pod() {
	version=0.3.1 refused "$(conf 0.3.1)" 11 "allocate addresses for eth0 of container abc123: $away" "ADD $call" ADD || return 1
	status=0
	conf 0.3.1 | plugin DEL || status=$?
	printed "$status" 0 '' && ! grep 'pod=' "$work/err" && grep 'cid=abc123 if=eth0' "$work/err"
}

del_without_agent() {
	status=0
	conf 0.3.1 | plugin DEL CNI_NETNS= 'CNI_ARGS=K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=default;K8S_POD_UID=u1' || status=$?
	printed "$status" 0 '' || return 1
	grep -q 'the release is queued in' "$work/err" || return 1
	cp "$work/state/releases/abc123-eth0.json" "$work/out"
	printed 0 0 '{"containerID":"abc123","ifName":"eth0","netNamespace":"","podNamespace":"default","podName":"web-0","podUID":"u1"}'
}

# full COMMAND...: a result that cannot be written is a failure
full() {
	! "$@" >/dev/full 2>"$work/err" && grep -q 'standard output' "$work/err"
}

# The file that is opened first must not become stdout.
closed_stdout() {
	rm -rf "$work/log-file"
	! conf 1.0.0 ",\"log_file_path\":\"$work/log-file\"" |
		env CNI_COMMAND=ADD CNI_CONTAINERID=a CNI_IFNAME=e CNI_PATH=/p CNI_NETNS=/proc/self/ns/net CNI_NETNS_OVERRIDE=1 \
			timeout 20 "$SPIDERBOX" ipam >&- 2>"$work/err" || return 1
	[ -s "$work/log-file" ] && ! grep -q cniVersion "$work/log-file"
}

closed_stdin() {
	status=0
	plugin ADD <&- || status=$?
	printed "$status" 1 '{"cniVersion":"1.1.0","code":5,"msg":"read standard input: Bad file descriptor","details":""}'
}

# chain ipvlan|coordinator|ifacer STDIN: an ADD of that plugin, its output as above
chain() {
	status=0
	printf '%s' "$2" | env -i CNI_COMMAND=ADD CNI_CONTAINERID=abc123 CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
		CNI_NETNS=/nonexistent CNI_ARGS='K8S_POD_NAMESPACE=default;K8S_POD_NAME=a' \
		timeout 20 "$SPIDERBOX" "$1" >"$work/out" 2>"$work/err" || status=$?
}

context='pod=default/a cid=abc123 if=eth0'

# has_line FILE LINE: and no other one; without its time
has_line() {
	is "$2" "$(cut -d' ' -f2- "$1")"
}

# unknown_of_ipvlan [MEMBERS OF ipam]: a mistyped key goes to the log, and the call goes on
unknown_of_ipvlan() {
	chain ipvlan "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"ipvlan\",\"Mtu\":9000,\"ipam\":{\"type\":\"spiderpool\"${1:-}}}"
	printed "$status" 1 '{"cniVersion":"1.0.0","code":8,"msg":"open network namespace @'
}

ipvlan_warns() {
	words="warn ipvlan: configuration: unknown keys are ignored: \"Mtu\" (is \"mtu\" meant?) $context"
	unknown_of_ipvlan && has_line "$work/err" "$words" || return 1
	unknown_of_ipvlan ",\"log_file_path\":\"$work/ipvlan.log\"" || return 1
	is '' "$(cat "$work/err")" && has_line "$work/ipvlan.log" "$words"
}

# mode disabled: no agent is asked, no namespace opened
disabled() {
	chain coordinator "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"coordinator\",\"mode\":\"disabled\",\"prevResult\":{\"ips\":[]}$1}"
}

coordinator_warns() {
	words="warn coordinator: configuration: unknown keys are ignored: \"modus\" $context"
	disabled ',"modus":"x"'
	printed "$status" 0 '{"ips":[],"cniVersion":"1.0.0"}' && has_line "$work/err" "$words" || return 1
	disabled ",\"modus\":\"x\",\"logOptions\":{\"logFile\":\"$work/c.log\",\"logMaxSize\":\"5\"}"
	printed "$status" 0 '{"ips":[],"cniVersion":"1.0.0"}' && is '' "$(cat "$work/err")" && has_line "$work/c.log" "$words" || return 1
	disabled ',"logOptions":{"logLevel":"error"},"modus":"x"'
	printed "$status" 0 '{"ips":[],"cniVersion":"1.0.0"}' && is '' "$(cat "$work/err")" || return 1
	disabled ',"logOptions":{"logLevel":"loud"}'
	printed "$status" 1 '{"cniVersion":"1.0.0","code":7,"msg":"coordinator configuration: logOptions: logLevel: \"loud\" is not a log level: @'
}

# Nothing is to be made, so nothing is touched.
ifacer_idles() {
	chain ifacer "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"ifacer\",\"interfaces\":[\"none\"],\"VlanID\":5}"
	printed "$status" 0 '{"cniVersion":"1.0.0"}' &&
		has_line "$work/err" "warn ifacer: configuration: unknown keys are ignored: \"VlanID\" (is \"vlanID\" meant?) $context" || return 1
	chain ifacer '{"cniVersion":"1.0.0","name":"n","type":"ifacer","interfaces":["none"],"vlanID":5}'
	printed "$status" 1 '{"cniVersion":"1.0.0","code":999,"msg":"interface \"none\": there is none on this node@'
}

# A pool of one address, and two pods.
objects() {
	mkdir -p "$work/store/spiderippools" "$work/store/pods"
	cat >"$work/store/spiderippools/p1.json" <<'JSON'
{"apiVersion":"spiderpool.spidernet.io/v2beta1","kind":"SpiderIPPool",
 "metadata":{"name":"p1","uid":"p-1","resourceVersion":"1","generation":1},
 "spec":{"ipVersion":4,"subnet":"172.31.192.0/20","ips":["172.31.199.185"],"gateway":"172.31.207.253","default":true}}
JSON
	for pod in a b; do
		printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s","namespace":"default","uid":"u-%s","resourceVersion":"1"},"spec":{"nodeName":"n1"},"status":{"phase":"Pending"}}' \
			"$pod" "$pod" >"$work/store/pods/default_$pod.json"
	done
}

start_agent() {
	"$SPIDERBOX" agent --store "dir:$work/store" --node n1 --socket "$work/no.sock" --state-dir "$work/state" \
		--health-addr '' >>"$work/agent.log" 2>&1 &
	agent=$!
}

stop_agent() {
	kill "$agent"
	status=0
	wait "$agent" || status=$?
	agent=
	[ "$status" = 0 ]
}

# pod COMMAND NAME [MEMBERS]: one call for that pod, with time for the agent to start
pod() {
	status=0
	conf 1.1.0 | sed "s|\"timeout_ms\":300}|\"timeout_ms\":15000}${3:-}|" | plugin "$1" "CNI_CONTAINERID=cid-$2" \
		"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$2;K8S_POD_UID=u-$2" || status=$?
}

address='{"cniVersion":"1.1.0","ips":[{"address":"172.31.199.185/20","gateway":"172.31.207.253"}],"routes":[{"dst":"0.0.0.0/0","gw":"172.31.207.253"}]}'

# The agent is started with the call, which waits for its socket.
gives_address() {
	pod ADD a
	printed "$status" 0 "$address" || return 1
	pod ADD a # again: the same
	printed "$status" 0 "$address" || return 1
	pod STATUS a
	printed "$status" 0 ''
}

full_pool() {
	pod ADD b
	printed "$status" 1 '{"cniVersion":"1.1.0","code":11,"msg":"allocate addresses for eth0 of pod default/b: agent: all IP addresses used out@'
}

checks() {
	pod CHECK a ',"prevResult":{"ips":[{"address":"172.31.199.185/20"}]}'
	printed "$status" 0 '' || return 1
	pod CHECK a ',"prevResult":{"ips":[{"address":"172.31.199.186/20"}]}'
	printed "$status" 1 '{"cniVersion":"1.1.0","code":999,"msg":"address 172.31.199.186 of eth0 is not recorded for pod default/a (there is: 172.31.199.185/20)",@'
}

# Deleted while the agent is away, the address is free again when it is back.
replays() {
	stop_agent || return 1
	pod DEL a
	printed "$status" 0 '' || return 1
	[ "$(find "$work/state/releases" -name '*.json' | wc -l)" = 1 ] || return 1
	start_agent
	tries=0
	until [ -z "$(find "$work/state/releases" -name '*.json')" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || return 1
		sleep 0.1
	done
	pod ADD b
	printed "$status" 0 "$address" || return 1
	pod DEL b
	printed "$status" 0 '' && stop_agent
}

# The agent's own options: conf.yml, the environment, and which wins.

# with_agent VARIABLES ARGUMENT...: starts one and waits until it is ready; its log is $work/options.log
with_agent() {
	rm -f "$work/conf.sock" "$work/flag.sock" "$work/options.log"
	variables=$1
	shift
	# shellcheck disable=SC2086 # words
	env -i $variables "$SPIDERBOX" agent "$@" --store "dir:$work/store" --node n1 --state-dir "$work/state" \
		>"$work/options.log" 2>&1 &
	agent=$!
	tries=0
	until [ -e "$work/options.log" ] && grep -q 'is ready' "$work/options.log"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 100 ] || ! kill -0 "$agent"; then
			kill -9 "$agent" || true
			agent=
			cat "$work/options.log"
			return 1
		fi
		sleep 0.1
	done
}

# fails STATUS WORDS VARIABLES ARGUMENT...: it does not start, and says why
fails() {
	wanted=$1 words=$2 variables=$3
	shift 3
	status=0
	# shellcheck disable=SC2086 # words
	env -i $variables timeout 20 "$SPIDERBOX" agent "$@" --store "dir:$work/store" --node n1 \
		--state-dir "$work/state" --socket "$work/flag.sock" --health-addr '' >"$work/options.log" 2>&1 || status=$?
	cat "$work/options.log"
	[ "$status" = "$wanted" ] && grep -qF "$words" "$work/options.log"
}

logged() {
	grep -qF "$1" "$work/options.log" || {
		cat "$work/options.log"
		return 1
	}
}

# listens PATH PORT: the socket is there, and the port answers
listens() {
	[ -S "$1" ] || return 1
	[ -z "$2" ] || curl -sf --max-time 5 "http://127.0.0.1:$2/v1/runtime/liveness"
}

# probe_port: one that nobody listens on
probe_port() {
	while :; do
		port=$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 20000))
		grep -qs "$(printf ':%04X ' "$port")" /proc/net/tcp /proc/net/tcp6 || break
	done
}

conf_yml() {
	mkdir -p "$work/conf"
	printf 'ipamUnixSocketPath: %s/conf.sock\n' "$work" >"$work/conf/conf.yml"
	cat >>"$work/conf/conf.yml"
}

# as the original's manifests call it
reads_conf() {
	conf_yml <<-'END'
		enableIpv6: false
		enableSpiderSubnet: true
	END
	probe_port
	with_agent "SPIDERPOOL_HEALTH_PORT=$port" daemon --config-path="$work/conf/conf.yml" || return 1
	listens "$work/conf.sock" "$port" &&
		logged "warn agent: $work/conf/conf.yml: unknown keys are ignored: \"enableIpv6\" (is \"enableIPv6\" meant?)" &&
		logged "info agent: $work/conf/conf.yml: nothing is done here for enableSpiderSubnet" && stop_agent
}

option_wins() {
	with_agent 'SPIDERPOOL_HEALTH_PORT=1 SPIDERPOOL_LOG_LEVEL=error' --config-path "$work/conf/conf.yml" \
		--socket "$work/flag.sock" --health-addr '' --log-level debug || return 1
	listens "$work/flag.sock" '' && [ ! -e "$work/conf.sock" ] && logged ' info ' && stop_agent
}

level_of_environment() {
	fails 1 'both false' SPIDERPOOL_LOG_LEVEL=error --config-path "$work/both/conf.yml" &&
		! grep -q ' warn ' "$work/options.log" && fails 1 'both false' '' --config-path "$work/both/conf.yml"
}

too_many() {
	with_agent 'SPIDERPOOL_IPPOOL_MAX_ALLOCATED_IPS=6000 SPIDERPOOL_ENABLED_RELEASE_CONFLICT_IPS=False' \
		--socket "$work/flag.sock" --health-addr '' || return 1
	logged 'warn agent: SPIDERPOOL_IPPOOL_MAX_ALLOCATED_IPS: 6000 is more than 5000, which counts' && stop_agent || return 1
	with_agent SPIDERPOOL_IPPOOL_MAX_ALLOCATED_IPS=4999 --socket "$work/flag.sock" --health-addr '' || return 1
	stop_agent && ! grep ' warn ' "$work/options.log"
}

# refused_for NETWORK: the agent finds no pool for a pod without an annotation, and names its network
refused_for() {
	curl -s --max-time 10 --unix-socket "$work/flag.sock" http://agent/v1/ipam/ip -X POST \
		-d '{"containerID":"c","ifName":"eth0","netNamespace":"","podNamespace":"default","podName":"a","podUID":"u-a"}' >"$work/out"
	cat "$work/out"
	stop_agent && grep -qF "$1" "$work/out"
}

cluster_network() {
	"$SPIDERBOX" ctl apply --store "dir:$work/store" -f - <<-'END' || return 1
		apiVersion: spiderpool.spidernet.io/v2beta1
		kind: SpiderIPPool
		metadata: {name: p1}
		spec: {subnet: 172.31.192.0/20, ips: [172.31.199.185], default: true, multusName: [kube-system/none]}
	END
	echo ipvlan-eth0 >"$work/conf/clusterNetwork"
	set -- --config-path "$work/conf/conf.yml" --socket "$work/flag.sock" --health-addr ''
	with_agent '' "$@" && refused_for 'kube-system/ipvlan-eth0' || return 1
	with_agent SPIDERPOOL_POD_NAMESPACE=spider "$@" && refused_for 'spider/ipvlan-eth0' || return 1
	with_agent MULTUS_CLUSTER_NETWORK=kube-system/env "$@" && refused_for 'kube-system/env' || return 1
	with_agent MULTUS_CLUSTER_NETWORK=kube-system/env "$@" --default-network kube-system/flag && refused_for 'kube-system/flag' || return 1
	echo ns/own >"$work/conf/clusterNetwork"
	with_agent '' "$@" && refused_for 'ns/own'
}

lists='the configuration wants [\"9.9.9\"], this plugin speaks [\"0.3.0\" \"0.3.1\" \"0.4.0\" \"1.0.0\" \"1.1.0\"]'

check 'garbage on stdin' refused garbage 6 "$decode: not JSON: line 1 column 1: not a value" '' ADD
check 'nothing on stdin' refused '' 6 "$decode: it is empty" '' ADD
check 'a document cut short' refused '{"name":"net","ipam":{' 6 "$decode: not JSON: line 1 column 23: a member name is missing" '' ADD
check 'text after the document' refused '{} x' 6 "$decode: not JSON: line 1 column 4: text after the end of the document" '' ADD
check 'a member twice' refused '{"name":"a","name":"b"}' 6 "$decode: member \\\"name\\\" stands twice" '' ADD
check 'a NUL byte' nul_byte
check '2 MB on stdin, and its writer is not cut off' too_much
check 'stdin is closed' closed_stdin
check 'no network name' refused '{"cniVersion":"1.0.0"}' 7 'the configuration has no network name (\"name\")' '' ADD
check 'an unknown version' refused "$(conf 9.9.9)" 1 'incompatible CNI versions: 9.9.9 is not supported' "$lists" ADD
check 'CHECK before 0.4.0' refused "$(conf 0.3.1)" 1 'cniVersion 0.3.1 has no CHECK: it came with 0.4.0' '' CHECK
check 'GC before 1.1.0' refused "$(conf 1.0.0)" 1 'cniVersion 1.0.0 has no GC: it came with 1.1.0' '' GC
check 'an unknown command' refused '{}' 4 'unknown CNI_COMMAND \"PING\"' 'there are ADD, DEL, CHECK, GC, STATUS and VERSION' PING
check 'missing variables are all named' missing_variables
check 'a container id that is a path' refused "$(conf 1.0.0)" 4 'CNI_CONTAINERID \"../x\" may hold @' '' ADD CNI_CONTAINERID=../x
check 'an interface name that is a path' refused "$(conf 1.0.0)" 4 'CNI_IFNAME: \"a/b\" is not an interface name' '' DEL CNI_IFNAME=a/b
version=1.0.0
check 'a namespace that is not there' refused "$(conf 1.0.0)" 8 'open network namespace \"/nonexistent\": No such file or directory' \
	'ADD of network net, interface eth0 of container abc123 in /nonexistent' ADD CNI_NETNS=/nonexistent
check 'a namespace that is none' refused "$(conf 1.0.0)" 8 "$work is not a network namespace (unknown FS magic 0x@)" \
	"ADD of network net, interface eth0 of container abc123 in $work" ADD "CNI_NETNS=$work"
check "the plugin's own namespace" refused "$(conf 1.0.0)" 8 \
	'CNI_NETNS /proc/self/ns/net is the network namespace that the plugin itself runs in' "ADD $call" ADD CNI_NETNS_OVERRIDE=
check 'an option of the wrong type' refused "$(conf 1.0.0 ',"clean_gateway":"yes"')" 7 \
	'configuration: ipam: clean_gateway: not true or false' "ADD $call" ADD
# $work/log is a file: no folder can be made below it
check 'DEL that can neither ask nor queue' refused "$(conf 1.0.0 | sed 's|/state"|/log/x"|')" 5 \
	"release the addresses: connect to $work/no.sock: No such file or directory; queue that for later: mkdir $work/log/x: Not a directory" "DEL $call" DEL
version=
check 'STATUS is 50 without an agent' refused "$(conf 1.1.0)" 50 "$away" "STATUS of network net, interface eth0 of container abc123 in /proc/self/ns/net" STATUS
check 'ADD without an agent' add_without_agent
check 'ADD and DEL without an agent, of no pod' add_without_pod
check 'DEL without an agent succeeds and is queued' del_without_agent
check 'VERSION' version_alone
check 'VERSION does not read stdin' version_leaves_stdin
check 'the name spiderpool' other_name
check 'no command: an explanation' no_command
check '--help' help
check 'a superfluous argument' superfluous_argument
check 'a full disk under the result' full env CNI_COMMAND=VERSION "$SPIDERBOX" ipam
check 'a full disk under the error' full env CNI_COMMAND=ADD "$SPIDERBOX" ipam
check 'stdout is closed' closed_stdout
check 'ipvlan names keys that nobody reads in the log' ipvlan_warns
check 'coordinator does, and knows logOptions' coordinator_warns
check 'ifacer does, and makes nothing when there is nothing to make' ifacer_idles
rm -rf "$work/state"
objects
start_agent
check 'an address from the agent, twice the same' gives_address
check 'a full pool' full_pool
check 'CHECK' checks
check 'a release that waited for the agent' replays
tap_topic='agent: '
check 'conf.yml, the word daemon, the port of the environment' reads_conf
check 'an option wins' option_wins
conf_yml <<-'END'
	enableIPv4: false
	enableIPv6: false
	other: 1
END
mkdir "$work/both"
mv "$work/conf/conf.yml" "$work/both"
conf_yml </dev/null
check 'both families off, and the log level of the environment' level_of_environment
check 'a conf.yml that is not there' fails 1 "agent: open $work/none.yml: No such file or directory" '' --config-path "$work/none.yml"
check 'another word' fails 2 'unexpected argument "demon"' '' demon
check 'a log level that is none' fails 2 'SPIDERPOOL_LOG_LEVEL: "loud" is not a log level' SPIDERPOOL_LOG_LEVEL=loud
check 'a port that is none' fails 1 'SPIDERPOOL_HEALTH_PORT: 70000 is not between' SPIDERPOOL_HEALTH_PORT=70000
check 'neither true nor false' fails 1 'SPIDERPOOL_ENABLED_RELEASE_CONFLICT_IPS: "yes" is neither true nor false' SPIDERPOOL_ENABLED_RELEASE_CONFLICT_IPS=yes
check 'more records than there may be' too_many
check 'whose clusterNetwork counts' cluster_network
[ "$failed" = 0 ]
