# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# The plugin multus at a real API server: by the agent, as its DaemonSet runs it, and directly, by the
# kubeconfig that the agent keeps, while that is away.  A shell script is the networks' plugin.

# shellcheck source=tests/api/agents.sh
. tests/api/agents.sh

multus=$work/multus
mkdir -p "$multus/bin" "$multus/account" "$multus/net.d"
conf=$multus/net.d/00-multus.conf

set_up() {
	kubectl apply -f tests/data/nad-crd.yaml && kubectl wait --for=condition=Established --timeout=30s crd --all || return 1
	agents_begin "$multus" master || return 1
	cp "$multus/token" "$multus/account/token"
	cp "$API_DIR/trust.crt" "$multus/account/ca.crt"
	printf kube-system >"$multus/account/namespace"
	cat >"$multus/bin/fake" <<-'SH'
		#!/bin/sh
		cat >/dev/null
		[ "$CNI_COMMAND" != ADD ] || printf '{"cniVersion":"0.4.0","interfaces":[{"name":"%s","mac":"02:00:00:00:00:01","sandbox":"%s"}],"ips":[{"version":"4","interface":0,"address":"10.9.0.5/24"}]}' "$CNI_IFNAME" "$CNI_NETNS"
	SH
	chmod +x "$multus/bin/fake"
	: >"$multus/netns"
	unshare "--net=$multus/netns" true || return 1
	for name in kube-system/ipvlan-eth0 default/more; do
		api POST "/apis/k8s.cni.cncf.io/v1/namespaces/${name%/*}/network-attachment-definitions" "{\"apiVersion\":\"k8s.cni.cncf.io/v1\",
			\"kind\":\"NetworkAttachmentDefinition\",\"metadata\":{\"name\":\"${name#*/}\"},
			\"spec\":{\"config\":\"{\\\"cniVersion\\\":\\\"0.4.0\\\",\\\"type\\\":\\\"fake\\\"}\"}}" || return 1
	done
}
# With the files and variables of a pod.
pod_agent() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=$API_PORT KUBECONFIG='' unshare -m sh -c '
		account=$1
		shift
		mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
			mount --bind "$account" /run/secrets/kubernetes.io/serviceaccount && exec "$@"
	' sh "$multus/account" "$SPIDERBOX" agent --node master --socket "$multus/master.sock" --state-dir "$multus/state" \
		--default-network kube-system/ipvlan-eth0 --health-addr '' --multus-conf-dir "$multus/net.d" 2>>"$multus/master.log" &
	echo $! >"$multus/master.pid"
	wait_until 20 ask master 200 GET ipam/healthy
}
# runtime COMMAND POD [UID [FILE]]: one call; its words in the file, else in $answer
runtime() {
	_words=${4:-$answer}
	_uid=${3:-$(cat "$multus/uid.$2")}
	jq --arg dir "$multus" '. + {cniDir: "\($dir)/cni", binDir: "\($dir)/bin"} | del(.logFile)' "$conf" >"$multus/conf"
	env CNI_COMMAND="$1" CNI_CONTAINERID="c-$2" CNI_NETNS="$multus/netns" CNI_IFNAME=eth0 CNI_PATH="$multus/bin" \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$2;K8S_POD_UID=$_uid" \
		timeout 60 "$SPIDERBOX" multus <"$multus/conf" >"$_words" 2>"$multus/err" || {
		cat "$_words" "$multus/err"
		return 1
	}
}
# refuses POD WORDS [UID]
refuses() {
	! runtime ADD "$1" "${3:-}" >"$multus/refused" || {
		echo 'it succeeded'
		return 1
	}
	cat "$multus/refused"
	jq -r .msg "$answer" | grep -qF "$2"
}
entry() {
	printf '{\n    "name": "%s",\n    "interface": "%s",\n    "ips": [\n        "10.9.0.5"\n    ],\n    "mac": "02:00:00:00:00:01",\n%s    "dns": {}\n}' "$@"
}
status_is() {
	api GET "$(path pod "$1")" && is "$2" "$(jq -r '.metadata.annotations["k8s.v1.cni.cncf.io/network-status"] // ""' "$answer")"
}
two="[$(entry kube-system/ipvlan-eth0 eth0 '    "default": true,
'),$(entry default/more net1 '')]"
# requests VERB RESOURCE [SUBRESOURCE]: how many the API server has seen
requests() {
	curl -s --max-time 30 --cacert "$API_DIR/trust.crt" --cert "$API_DIR/admin.crt" --key "$API_DIR/admin.key" "$API_URL/metrics" |
		awk -v verb="verb=\"$1\"" -v resource="resource=\"$2\"" -v sub_="subresource=\"${3:-}\"" \
			'/^apiserver_request_total/ && index($0, verb) && index($0, "," resource) && index($0, sub_) { n += $NF } END { print n + 0 }'
}
all_requests() {
	echo "$(requests GET pods) $(requests GET network-attachment-definitions) $(requests PATCH pods status)"
}
more() {
	wants k8s.v1.cni.cncf.io/networks "$1"
}

check 'objects, a plugin, a namespace' set_up
check 'an agent, as a pod runs it' pod_agent
check 'its files' wait_until 10 test -e "$conf"
kubeconfig=$multus/net.d/multus.d/multus.kubeconfig
check 'kubectl takes the kubeconfig, with the rights of the agent' kubectl --kubeconfig "$kubeconfig" get pods
check 'a pod' pod a master "$(more more)"
wait_for_pod() {
	ask master 200 POST multus/pod "{\"podNamespace\":\"default\",\"podName\":\"a\",\"podUID\":\"$(cat "$multus/uid.a")\"}"
}
check 'the agent knows it' wait_until 10 wait_for_pod
before=$(all_requests)
check 'ADD' runtime ADD a
check 'the status is written' wait_until 10 status_is a "$two"
# reading the status are requests of the test's own
one_patch() {
	after=$(all_requests)
	echo "GET pods, GET definitions, PATCH pods/status before and after: $before, $after"
	[ "${after##* }" = $((${before##* } + 1)) ] && _x=${after#* } _y=${before#* } && [ "${_x%% *}" = "${_y%% *}" ]
}
check 'at the price of one request' one_patch
check 'another uid' refuses a 'it was replaced' 00000000-0000-0000-0000-000000000000
check 'a pod with a network that does not exist' pod b master "$(more nobody)"
check 'it is told' refuses b 'NetworkAttachmentDefinition default/nobody: there is none'
check 'DEL' runtime DEL a
check 'DEL of what never was' runtime DEL b

rotated() {
	_token=$(cat "$multus/account/token")
	[ "$_token" != "$(cat "$multus/token")" ] && [ "$(jq -r '.users[0].user.token' "$kubeconfig")" = "$_token" ]
}
rotate() {
	kubectl -n kube-system create token spiderpool-agent --duration 5h >"$multus/new" || return 1
	mv "$multus/new" "$multus/account/token"
}
check 'the token changes' rotate
check 'so does the kubeconfig' wait_until 10 rotated

# A pod from a file: the kubelet's uid is in an annotation.
check 'a static pod' pod static master "$(wants k8s.v1.cni.cncf.io/networks more kubernetes.io/config.hash a1b2)"
check 'ADD by the uid of the kubelet' runtime ADD static a1b2
check 'its status' wait_until 10 status_is static "$two"
check 'another file by that name' refuses static 'it was replaced' c3d4
check 'DEL' runtime DEL static a1b2

# waiting N: so many statuses wait for the API server
waiting() {
	is "$1" "$(find "$multus/state/netstatus" -type f | wc -l)"
}
say_status() {
	ask master 200 POST multus/status "{\"podNamespace\":\"default\",\"podName\":\"$1\",\"podUID\":\"$2\",\"status\":\"[]\"}"
}
check 'the status of a pod that was replaced' say_status a 00000000-0000-0000-0000-000000000000
check 'it does not wait for ever' wait_until 10 waiting 0
check 'nor is it written' status_is a "$two"
check 'a pod' pod e master "$(more more)"
knows() {
	ask master 200 POST multus/pod "{\"podNamespace\":\"default\",\"podName\":\"$1\",\"podUID\":\"$(cat "$multus/uid.$1")\"}"
}
check 'the agent knows it' wait_until 10 knows e
api_server_stop TERM
check 'ADD while the API server is away' runtime ADD e
agent_end master KILL
check 'the status is kept when the agent is killed' waiting 1
check 'the API server comes back' api_server_start
check 'an agent' pod_agent
check 'the status is written' wait_until 40 status_is e "$two"
check 'it waits no more' wait_until 10 waiting 0
check 'DEL' runtime DEL e

agent_end master TERM
# The token of an agent's pod ends with that: nobody but its successor can tell.
check 'a pod' pod f master "$(more more)"
jq '.users[0].user.token = "dead"' "$kubeconfig" >"$multus/dead" && cp "$multus/dead" "$kubeconfig"
runtime ADD f '' "$multus/late" >"$multus/late.log" &
late=$!
check 'ADD without an agent, and with a dead token: it waits' wait_until 20 grep -q 'the agent is waited for: .* does not accept our token' "$multus/err"
check 'an agent' pod_agent
check 'ADD' wait "$late"
check 'the status is written' wait_until 10 status_is f "$two"
check 'DEL' runtime DEL f
check 'the kubeconfig is good again' wait_until 10 rotated

agent_end master TERM
check 'the files stay without the agent' test -e "$conf" -a -e "$kubeconfig"
check 'a pod' pod c master "$(more more)"
check 'ADD without the agent' runtime ADD c
check 'the status is there at once' status_is c "$two"
check 'a static pod, too' runtime ADD static a1b2
check 'another file by that name' refuses static 'it was replaced' c3d4
check 'DEL' runtime DEL static a1b2
check 'another uid' refuses c 'it was replaced' 00000000-0000-0000-0000-000000000000
check 'no such pod' refuses d 'read pod default/d' 00000000-0000-0000-0000-000000000000
check 'a network that does not exist' refuses b 'NetworkAttachmentDefinition default/nobody'
api_server_stop TERM
no_server() {
	refuses c 'read pod default/c' && [ "$(jq .code "$answer")" = 11 ]
}
check 'ADD without agent and API server: try again later' no_server
check 'both are named' grep -q 'connect to .*master.sock' "$multus/refused"
check 'DEL without agent and API server' runtime DEL c
check 'nothing is kept' is '' "$(find "$multus/cni" -type f)"
check 'the API server comes back' api_server_start
umount "$multus/netns"
check 'clean up' agents_end
kubectl delete network-attachment-definitions -A --all >"$work/log" 2>&1 || true
