# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # shared with those who source it
#
# kube.sh - Kubernetes for the two nodes of fabric.sh (sourced, after fabric.sh and tests/api/lib.sh):
# etcd and kube-apiserver on the master, a kube-proxy and an agent on each node, all of it real.
# Kubelets and controllers are missing: nodes and EndpointSlices are written by the tests.
# Needs SPIDERBOX, SERVERS_DIR, VM_OUT (logs go there), $work (a folder) and $here.
#
#   kube_on_master "$@"     first of all: makes the fabric and runs the script again on the master,
#                           where the API server listens; there it returns.  KUBE_IPV6: fabric_ipv6 as well
#   kube_api [CIDR]         etcd, API server, deploy/, both nodes, networks ipvlan-eth0 and -eth1; CIDR: services of
#                           IPv6, and then nodes have the addresses of fabric_ipv6
#   kube_proxies MODE [FLAG]...    starts one on each node: iptables or nftables; does not wait for it
#   kube_proxies_stop       ends them; what they made stays
#   kube_agents [FLAG]...   starts one on each node and waits until they are ready
#   kube_agents_stop        ends them
#   kube_stop               ends all that was started (for a trap)
#   poll SECONDS COMMAND... wait_until, and what the last try printed when it was in vain
#   background NODE LOG COMMAND...   runs until kube_stop; background_pid
#   api METHOD PATH [CURL-ARGUMENT]...  for what kubectl, which takes a second to start here, need not do
#   api_create              makes the objects, JSON, of standard input, many at once
#   pod_json NAME NODE APP ANNOTATIONS   prints a pod's object; ANNOTATIONS is JSON
#   pod_object ...          the same arguments: makes it in the API, and keeps it in $work/NAME.object
#   pod_args NAME           CNI_ARGS of such a pod
#   container_id NAME

kube_pids='' kube_proxy_pids='' kube_agent_pids=''

kube_on_master() {
	[ "${1:-}" != on-master ] || return 0
	fabric_up
	[ -z "${KUBE_IPV6:-}" ] || fabric_ipv6
	exec nsenter --net=/run/netns/master "$0" on-master
}

poll() {
	poll_seconds=$1
	shift
	wait_until "$poll_seconds" quietly "$@" || {
		cat "$work/wait"
		return 1
	}
}
quietly() {
	"$@" >"$work/wait" 2>&1
}
background() {
	bg_node=$1 bg_log=$VM_OUT/$2
	shift 2
	exec_on "$bg_node" "$@" >>"$bg_log" 2>&1 &
	background_pid=$!
	kube_pids="$kube_pids $!"
}
kube_stop() {
	for pid in $kube_pids; do
		kill "$pid" 2>/dev/null || true
	done
	api_stop || true
}

# _kube_network NAME MASTER VERSION: a definition as the guide's SpiderMultusConfig makes it
_kube_network() {
	config=$(printf '{"cniVersion":"%s","name":"%s","plugins":[{"type":"ipvlan","master":"%s","mtu":0,"ipam":{"type":"spiderpool"}},{"txQueueLen":0,"tunePodRoutes":true,"mode":"auto","type":"coordinator"}]}' "$3" "$1" "$2")
	jq -n --arg name "$1" --arg config "$config" '{apiVersion: "k8s.cni.cncf.io/v1", kind: "NetworkAttachmentDefinition",
		metadata: {name: $name, namespace: "kube-system"}, spec: {config: $config}}'
}

kube_api() {
	API_BIND=0.0.0.0 API_HOST=172.31.199.183 API_PORT=6443 API_SANS=IP:10.233.0.1 API_FLAGS="--service-cluster-ip-range 10.233.0.0/18${1:+,$1}"
	# each look at it takes the time from it: the guest has one CPU
	WAIT_STEP=0.5 API_SECONDS=300
	api_start "$work/api" || return 1
	WAIT_STEP=0.1
	kubectl apply -f "$here/../data/nad-crd.yaml" -f "$here/../../deploy/" || return 1
	for kind in k8s.cni.cncf.io/v1/network-attachment-definitions spiderpool.spidernet.io/v2beta1/spiderippools \
		spiderpool.spidernet.io/v2beta1/spiderendpoints; do
		poll 20 api GET "/apis/$kind" || return 1
	done
	for node in master worker; do
		jq -nc --arg node "$node" '{apiVersion: "v1", kind: "Node", metadata: {name: $node, labels: {"kubernetes.io/hostname": $node}}}'
	done >"$work/kube-objects"
	{
		_kube_network ipvlan-eth0 eth0 0.3.1
		_kube_network ipvlan-eth1 eth1 1.0.0
	} >>"$work/kube-objects"
	api_create <"$work/kube-objects" || return 1
	for node in master worker; do
		case $node in
		master) addresses="172.31.199.183${1:+ fd00:172::183}" ;;
		*) addresses="172.31.199.184${1:+ fd00:172::184}" ;;
		esac
		jq -nc --arg addresses "$addresses" '{status: {addresses: ($addresses / " " | map({type: "InternalIP", address: .})),
			conditions: [{type: "Ready", status: "True"}]}}' | _kube_patch "/api/v1/nodes/$node/status" || return 1
	done
}

kube_proxies() {
	mode=$1
	shift
	for node in master worker; do
		background "$node" "kube-proxy-$node.log" "$SERVERS_DIR/kube-proxy" --kubeconfig="$KUBECONFIG" --hostname-override="$node" \
			--proxy-mode="$mode" --masquerade-all --conntrack-max-per-core=0 --conntrack-min=0 \
			--conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 \
			--healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249 "$@"
		kube_proxy_pids="$kube_proxy_pids $background_pid"
	done
}
kube_proxies_stop() {
	for pid in $kube_proxy_pids; do
		end "$pid"
	done
	kube_proxy_pids=
}

# The agents are what the DaemonSet would run: its service account, in-cluster files and variables.
kube_agents() {
	echo '{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}' |
		api POST /api/v1/namespaces/kube-system/serviceaccounts/spiderpool-agent/token -H 'Content-Type: application/json' --data-binary @- |
		jq -rj .status.token >"$work/token" && [ -s "$work/token" ] || return 1
	for node in master worker; do
		account=$work/account-$node
		mkdir -p "$account"
		cp "$work/token" "$account/token"
		cp "$API_DIR/ca.crt" "$account/ca.crt"
		printf kube-system >"$account/namespace"
		on "$node" mkdir -p /etc/cni/net.d
		on "$node" "$SPIDERBOX" ctl install --bin-dir /opt/cni/bin --conf-dir /etc/cni/net.d || return 1
		on "$node" mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
		on "$node" mount --bind "$account" /var/run/secrets/kubernetes.io/serviceaccount || return 1
		background "$node" "agent-$node.log" env KUBERNETES_SERVICE_HOST=172.31.199.183 KUBERNETES_SERVICE_PORT="$API_PORT" \
			SPIDERPOOL_NODE_NAME="$node" MULTUS_CLUSTER_NETWORK=kube-system/ipvlan-eth0 SPIDERPOOL_AGENT_NAMESPACE=kube-system \
			"$SPIDERBOX" agent --log-level debug "$@"
		kube_agent_pids="$kube_agent_pids $background_pid"
	done
	for node in master worker; do
		poll 30 on "$node" curl -sf http://127.0.0.1:5710/v1/runtime/readiness || return 1
	done
}

kube_agents_stop() {
	for pid in $kube_agent_pids; do
		end "$pid"
	done
	kube_agent_pids=
}

container_id() {
	printf %s "$1" | sha256sum | cut -c1-64
}
api() {
	api_method=$1 api_path=$2
	shift 2
	curl -sS --fail-with-body --max-time 30 --cacert "$API_DIR/ca.crt" --cert "$API_DIR/admin.crt" --key "$API_DIR/admin.key" \
		-X "$api_method" "$@" "$API_URL$api_path"
}
_kube_patch() {
	api PATCH "$1" -H 'Content-Type: application/merge-patch+json' --data-binary @-
}
# the answers go to standard output; one process and one connection for all of them
api_create() {
	jq -rn --arg url "$API_URL" --arg ca "$API_DIR/ca.crt" --arg cert "$API_DIR/admin.crt" --arg key "$API_DIR/admin.key" '
		{Node: ["/api/v1"], Pod: ["/api/v1", true], Service: ["/api/v1", true],
			EndpointSlice: ["/apis/discovery.k8s.io/v1", true],
			NetworkAttachmentDefinition: ["/apis/k8s.cni.cncf.io/v1", true, "network-attachment-definitions"],
			SpiderIPPool: ["/apis/spiderpool.spidernet.io/v2beta1"]} as $kinds
		| [inputs | . as $object | $kinds[.kind] as $kind
			| [["url", $url + $kind[0] + (if $kind[1] then "/namespaces/\(.metadata.namespace // "default")" else "" end) + "/"
				+ ($kind[2] // "\(.kind | ascii_downcase)s")],
			["cacert", $ca], ["cert", $cert], ["key", $key], ["header", "Content-Type: application/json"], ["data-binary", tojson],
			["max-time", "30"]] | map("\(.[0]) = \(.[1] | tojson)") | join("\n")] | join("\nnext\n")' >"$work/requests" || return 1
	curl -sS --fail-with-body --fail-early -K "$work/requests"
}
pod_json() {
	jq -nc --arg name "$1" --arg node "$2" --arg app "$3" --argjson annotations "$4" '{apiVersion: "v1", kind: "Pod",
		metadata: {name: $name, labels: {app: $app}, annotations: $annotations},
		spec: {nodeName: $node, terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, tolerations: [{operator: "Exists"}],
			containers: [{name: "c", image: "none"}]}}'
}
pod_object() {
	pod_json "$@" | api_create >"$work/$1.object" || {
		cat "$work/$1.object"
		return 1
	}
}
pod_args() {
	echo "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$1;K8S_POD_UID=$(jq -r .metadata.uid "$work/$1.object")"
}
