#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The cluster topic of the vm suite (see run.sh), inside the guest: etcd and kube-apiserver on the
# master, a kube-proxy and an agent on each node.  Pods are API objects plus network namespaces;
# their chain is run from the NetworkAttachmentDefinition's JSON the way libcni does it.  There is no
# controller manager: EndpointSlices and node addresses are written here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/vm/fabric.sh
. "$here/fabric.sh"
# shellcheck source=tests/vm/chain.sh
. "$here/chain.sh"
# shellcheck source=tests/api/lib.sh
. "$here/../api/lib.sh"
# shellcheck source=tests/tap.sh
. "$here/../tap.sh"
tap_topic="cluster: "

: "${SPIDERBOX:?}" "${SERVERS_DIR:?}" "${VM_OUT:?}"
work=/run/cluster
mkdir -p "$work"
tap_log=$work/check

# The rest runs on the master: the API server listens there.
if [ "${1:-}" != on-master ]; then
	fabric_up
	exec nsenter --net=/run/netns/master "$0" on-master
fi
CHAIN_CACHE=$work/cache
node_pids=

# poll SECONDS COMMAND...: wait_until, and what the last try printed when it was in vain
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
# background NODE LOG COMMAND...: its pid is kept
background() {
	bg_node=$1 bg_log=$VM_OUT/$2
	shift 2
	on "$bg_node" "$@" >"$bg_log" 2>&1 &
	node_pids="$node_pids $!"
}

# shellcheck disable=SC2317 # called by the trap
finish() {
	for pid in $node_pids; do
		kill "$pid" 2>/dev/null || true
	done
	api_stop || true
}
trap finish EXIT


# ---- the cluster ----

# network NAME MASTER: a definition as the guide's SpiderMultusConfig makes it
network() {
	config=$(printf '{"cniVersion":"%s","name":"%s","plugins":[{"type":"ipvlan","master":"%s","mtu":0,"ipam":{"type":"spiderpool"}},{"txQueueLen":0,"tunePodRoutes":true,"mode":"auto","type":"coordinator"}]}' "$3" "$1" "$2")
	jq -n --arg name "$1" --arg config "$config" '{apiVersion: "k8s.cni.cncf.io/v1", kind: "NetworkAttachmentDefinition",
		metadata: {name: $name, namespace: "kube-system"}, spec: {config: $config}}'
}

set_up_api() {
	API_BIND=0.0.0.0 API_HOST=172.31.199.183 API_SANS=IP:10.233.0.1 API_FLAGS='--service-cluster-ip-range 10.233.0.0/18'
	api_start "$work/api" || return 1
	kubectl apply -f "$here/../data/nad-crd.yaml" -f "$here/../../deploy/" || return 1
	poll 20 kubectl wait --for=condition=Established --timeout=20s crd --all || return 1
	for node in master worker; do
		case $node in master) address=172.31.199.183 ;; *) address=172.31.199.184 ;; esac
		jq -n --arg node "$node" '{apiVersion: "v1", kind: "Node", metadata: {name: $node, labels: {"kubernetes.io/hostname": $node}}}' |
			kubectl apply -f - || return 1
		kubectl patch node "$node" --subresource=status --type=merge -p \
			"{\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"$address\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}" || return 1
	done
	network ipvlan-eth0 eth0 0.3.1 | kubectl apply -f - || return 1
	network ipvlan-eth1 eth1 1.0.0 | kubectl apply -f -
}

set_up_proxies() {
	for node in master worker; do
		background "$node" "kube-proxy-$node.log" "$SERVERS_DIR/kube-proxy" --kubeconfig="$KUBECONFIG" --hostname-override="$node" \
			--proxy-mode=nftables --masquerade-all --conntrack-max-per-core=0 --conntrack-min=0 \
			--conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 \
			--healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
	done
	for node in master worker; do
		poll 60 on "$node" nft list table ip kube-proxy || return 1
	done
}

# The agents are what the DaemonSet would run: its service account, in-cluster files and variables.
set_up_agents() {
	for node in master worker; do
		account=$work/account-$node
		mkdir -p "$account"
		kubectl create token spiderpool-agent -n kube-system >"$account/token" || return 1
		cp "$API_DIR/ca.crt" "$account/ca.crt"
		printf kube-system >"$account/namespace"
		on "$node" mkdir -p /etc/cni/net.d
		on "$node" "$SPIDERBOX" ctl install --bin-dir /opt/cni/bin --conf-dir /etc/cni/net.d || return 1
		on "$node" mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
		on "$node" mount --bind "$account" /var/run/secrets/kubernetes.io/serviceaccount || return 1
		background "$node" "agent-$node.log" env KUBERNETES_SERVICE_HOST=172.31.199.183 KUBERNETES_SERVICE_PORT="$API_PORT" \
			SPIDERPOOL_NODE_NAME="$node" MULTUS_CLUSTER_NETWORK=kube-system/ipvlan-eth0 SPIDERPOOL_AGENT_NAMESPACE=kube-system \
			"$SPIDERBOX" agent --log-level debug
	done
	for node in master worker; do
		poll 30 on "$node" curl -sf http://127.0.0.1:5710/v1/runtime/readiness || return 1
	done
}

# ---- pods ----

container_id() {
	printf %s "$1" | sha256sum | cut -c1-64
}
# api METHOD PATH [CURL-ARGUMENT]...: for what kubectl, which takes a second to start here, need not do
api() {
	api_method=$1 api_path=$2
	shift 2
	curl -sS --fail-with-body --max-time 30 --cacert "$API_DIR/ca.crt" --cert "$API_DIR/admin.crt" --key "$API_DIR/admin.key" \
		-X "$api_method" "$@" "$API_URL$api_path"
}
# pod_object NAME NODE NETWORK APP: in the API
pod_object() {
	jq -n --arg name "$1" --arg node "$2" --arg network "kube-system/$3" --arg app "$4" '{apiVersion: "v1", kind: "Pod",
		metadata: {name: $name, labels: {app: $app}, annotations: {"v1.multus-cni.io/default-network": $network}},
		spec: {nodeName: $node, terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, tolerations: [{operator: "Exists"}],
			containers: [{name: "c", image: "none"}]}}' |
		api POST /api/v1/namespaces/default/pods -H 'Content-Type: application/json' --data-binary @- >"$work/$1.object" || {
		cat "$work/$1.object"
		return 1
	}
}
pod_args() {
	echo "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$1;K8S_POD_UID=$(jq -r .metadata.uid "$work/$1.object")"
}
nad() {
	api GET "/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/network-attachment-definitions/$1" | jq -r .spec.config
}
# pod_add NAME NODE NETWORK: namespace and chain; the result in $work/NAME.result
pod_add() {
	pod_new "$1" || return 1
	chain_add "$2" "$(nad "$3")" "$(container_id "$1")" "$(pod_netns "$1")" eth0 "$(pod_args "$1")" >"$work/$1.result" || {
		cat "$work/$1.result"
		return 1
	}
}
pod_gone() {
	chain_del "$2" "$(nad "$3")" "$(container_id "$1")" "$(pod_netns "$1")" eth0 "$(pod_args "$1")"
}
address() {
	jq -r '.ips[0].address | split("/")[0]' "$work/$1.result"
}
# what a kubelet would report
pod_running() {
	api PATCH "/api/v1/namespaces/default/pods/$1/status" -H 'Content-Type: application/merge-patch+json' --data-binary \
		"{\"status\":{\"phase\":\"Running\",\"podIP\":\"$(address "$1")\",\"podIPs\":[{\"ip\":\"$(address "$1")\"}],\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}"
}
in_range() {
	a=$(address "$1")
	echo "$a, wanted $2 to $3"
	[ "${a%.*}" = "${2%.*}" ] && [ "${a##*.}" -ge "${2##*.}" ] && [ "${a##*.}" -le "$3" ]
}

# Everything of a node that a pod may leave traces in.  kube-proxy's own tables change with services.
state() {
	echo '# links'
	on "$1" ip -o -d link | sed 's/ qlen [0-9]*//; s/^[0-9]*: //' | sort
	echo '# addresses'
	on "$1" ip -o address | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort
	echo '# routes'
	on "$1" ip -4 route show table all | sort
	on "$1" ip -6 route show table all | grep -v 'proto kernel' | sort
	echo '# rules'
	on "$1" ip -4 rule
	on "$1" ip -6 rule
	echo '# neighbours'
	on "$1" ip neigh show nud permanent | sort
	echo '# nf_tables'
	on "$1" nft list tables
	echo '# sysctl'
	on "$1" sh -c 'cat /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/default/rp_filter'
	echo '# CNI namespaces and files'
	on "$1" find /var/lib/spidernet -type f ! -name rounds.json | sort # which is the agent's own memory
}

pods='test-app-1-master master ipvlan-eth0 test-app-1
test-app-1-worker worker ipvlan-eth0 test-app-1
test-app-2-master master ipvlan-eth1 test-app-2
test-app-2-worker worker ipvlan-eth1 test-app-2'
names=$(echo "$pods" | cut -d' ' -f1)

# each FUNCTION: called with the words of every pod
each() {
	while read -r p_name p_node p_network p_app; do
		"$1" "$p_name" "$p_node" "$p_network" "$p_app" </dev/null || return 1
	done <<-WORDS
		$pods
	WORDS
}

serve_pods() {
	for name in $names; do
		in_pod "$name" "$here/echo.py" "$name" 80 >"$work/$name.echo" 2>&1 &
		node_pids="$node_pids $!"
	done
	for name in $names; do
		poll 10 grep -q ready "$work/$name.echo" || return 1
	done
}

# endpoints SERVICE PORT-NAME: the slices that a controller would make for the pods of test-app-2
endpoints() {
	for protocol in TCP UDP; do
		jq -n --arg service "$1" --arg protocol "$protocol" --arg m "$(address test-app-2-master)" --arg w "$(address test-app-2-worker)" \
			--arg port "$(echo "$protocol" | tr '[:upper:]' '[:lower:]')" '
			{apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4",
			metadata: {name: "\($service)-\($port)", labels: {"kubernetes.io/service-name": $service}},
			ports: [{name: $port, port: 80, protocol: $protocol}],
			endpoints: [{addresses: [$m], nodeName: "master", conditions: {ready: true, serving: true}},
				{addresses: [$w], nodeName: "worker", conditions: {ready: true, serving: true}}]}' |
			api POST /apis/discovery.k8s.io/v1/namespaces/default/endpointslices -H 'Content-Type: application/json' --data-binary @- || return 1
	done
}

services() {
	# the guide's services, with UDP beside TCP
	kubectl apply -f - <<-'YAML' || return 1
		apiVersion: v1
		kind: Service
		metadata: {name: test-svc}
		spec:
		  type: ClusterIP
		  ports: [{name: tcp, port: 80, protocol: TCP, targetPort: 80}, {name: udp, port: 80, protocol: UDP, targetPort: 80}]
		  selector: {app: test-app-2}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: lb-service}
		spec:
		  type: LoadBalancer
		  externalTrafficPolicy: Local
		  ports: [{name: tcp, port: 999, protocol: TCP, targetPort: 80}, {name: udp, port: 999, protocol: UDP, targetPort: 80}]
		  selector: {app: test-app-2}
	YAML
	endpoints test-svc && endpoints lb-service
}
cluster_ip() {
	api GET /api/v1/namespaces/default/services/test-svc | jq -r .spec.clusterIP
}
node_port() {
	api GET /api/v1/namespaces/default/services/lb-service | jq -r --arg name "$1" '.spec.ports[] | select(.name == $name) | .nodePort'
}

ping_from_pod() {
	in_pod "$1" ping -n -q -c 2 -i 0.05 -W 2 "$2"
}
ping_from_node() {
	on "$1" ping -n -q -c 2 -i 0.05 -W 2 "$2"
}

# asks ten times, so that both backends get their turn, and wants both
both_backends() {
	service=$(cluster_ip)
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
		in_pod "$1" "$here/ask.py" "$2" "$service" 80 || return 1
	done >"$work/answers"
	sort "$work/answers" | uniq -c
	grep -q '^test-app-2-master sees' "$work/answers" && grep -q '^test-app-2-worker sees' "$work/answers"
}

# Counts what the pod sends to the client, by the device it leaves by.
count_replies() {
	in_pod "$1" nft -f - <<-NFT
		table ip watch {
			counter veth0 { }
			counter eth0 { }
			chain out {
				type filter hook postrouting priority 300;
				ip daddr $client_ip oifname "veth0" counter name veth0
				ip daddr $client_ip oifname "eth0" counter name eth0
			}
		}
	NFT
}
packets() {
	in_pod "$1" nft list counter ip watch "$2" | awk '/packets/ { print $2 }'
}
# node_port_local POD NODE-ADDRESS PROTOCOL
node_port_local() {
	v=$(packets "$1" veth0) d=$(packets "$1" eth0)
	answer=$(outside "$here/ask.py" "$3" "$2" "$(node_port "$3")") || return 1
	is "$1 sees $client_ip" "$answer" || return 1
	[ "$(packets "$1" veth0)" -gt "$v" ] || {
		echo 'no reply left by veth0'
		return 1
	}
	is "$d" "$(packets "$1" eth0)"
}

guide_table='NAME         VERSION   SUBNET            ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   DEFAULT
master-172   4         172.31.192.0/20   1                    5                true
master-192   4         192.168.0.0/24    1                    5                true
worker-172   4         172.31.192.0/20   1                    5                true
worker-192   4         192.168.0.0/24    1                    5                true'
empty_table=$(echo "$guide_table" | sed 's/   1    /   0    /')
table_is() {
	is "$1" "$(kubectl get spiderippool)"
}
endpoints_are() {
	got=$(kubectl get spiderendpoints --no-headers | awk '{ print $1, $2, $3, $4, $NF }')
	want=$(for name in $names; do
		case $name in *-1-*) net=172 ;; *) net=192 ;; esac
		node=${name##*-}
		echo "$name eth0 $node-$net $(jq -r '.ips[0].address' "$work/$name.result") $node"
	done)
	is "$want" "$got"
}

check 'etcd, kube-apiserver, deploy/, nodes and networks' set_up_api
check 'a kube-proxy on each node' set_up_proxies
check 'an agent on each node, as its DaemonSet runs it' set_up_agents
check "the guide's pools are accepted unchanged" kubectl apply -f "$here/../data/walkthrough/20-ippools.yaml"
check 'new pools get their version and counts' poll 15 table_is "$empty_table"
for node in master worker; do
	state "$node" >"$work/state-$node.before"
done

echo '# pods'
check 'four pods as API objects' each pod_object
dropped=$(spoofed)
check 'four pods through the chain' each pod_add
[ "$failed" = 0 ] || exit 1
check 'test-app-1 on master has an address of master-172' in_range test-app-1-master 172.31.199.185 189
check 'test-app-1 on worker has an address of worker-172' in_range test-app-1-worker 172.31.199.190 194
check 'test-app-2 on master has an address of master-192' in_range test-app-2-master 192.168.0.156 160
check 'test-app-2 on worker has an address of worker-192' in_range test-app-2-worker 192.168.0.161 165
check "kubectl get spiderippool prints the guide's table" table_is "$guide_table"
check 'kubectl get spiderendpoints names addresses, pools and nodes' poll 10 endpoints_are
each pod_running >"$work/running" 2>&1 || not_ok 'pods are reported running'

echo '# east-west'
check 'pods serve' serve_pods
for from in $names; do
	for to in $names; do
		[ "$from" = "$to" ] || check "pod $from -> pod $to" ping_from_pod "$from" "$(address "$to")"
	done
done
for name in $names; do
	case $name in
	*-master) node=master mine=172.31.199.183 card=192.168.0.154 other=172.31.199.184 ;;
	*) node=worker mine=172.31.199.184 card=192.168.0.155 other=172.31.199.183 ;;
	esac
	check "pod $name -> its own node" ping_from_pod "$name" "$mine"
	check "pod $name -> its own node's other card" ping_from_pod "$name" "$card"
	check "node -> its own pod $name" ping_from_node "$node" "$(address "$name")"
	check "pod $name -> the other node" ping_from_pod "$name" "$other"
done
check 'services' services
for name in $names; do
	check "pod $name -> ClusterIP by TCP, a local and a remote backend" poll 20 both_backends "$name" tcp
	check "pod $name -> ClusterIP by UDP" poll 10 both_backends "$name" udp
done

echo '# north-south'
check 'pod -> outside' ping_from_pod test-app-1-master "$client_ip"
for name in test-app-2-master test-app-2-worker; do
	case $name in *-master) mine=172.31.199.183 ;; *) mine=172.31.199.184 ;; esac
	count_replies "$name"
	for protocol in tcp udp; do
		check "outside -> NodePort (Local) of $mine by $protocol: the pod sees the client, the reply leaves by veth0" \
			poll 10 node_port_local "$name" "$mine" "$protocol"
	done
done
check 'no frame of ours was dropped as spoofed' is "$dropped" "$(spoofed)"

echo '# what goes wrong'
# refused NAME CODE TEXT COMMAND...: an error document with that code whose text holds TEXT
refused() {
	what=$1 code=$2 text=$3
	shift 3
	if "$@" >"$work/refused" 2>"$work/refused.err"; then
		not_ok "$what: succeeded"
	elif ! jq -e --argjson code "$code" --arg text "$text" '.code == $code and (.msg + " " + (.details // "") | contains($text))' \
		"$work/refused" >"$work/jq" 2>&1; then
		not_ok "$what: wanted code $code, \"$text\""
		sed 's/^/# /' "$work/refused" "$work/refused.err"
	else
		ok "$what: code $code, $(jq -r .msg "$work/refused")"
	fi
}
# one_off NAME NODE NETWORK PATCH: a pod of its own whose chain's configuration is changed by a jq filter
one_off() {
	pod_object "$1" "$2" "$3" one-off || return 1
	pod_new "$1"
	status=0
	chain_add "$2" "$(nad "$3" | jq -c "$4")" "$(container_id "$1")" "$(pod_netns "$1")" eth0 "$(pod_args "$1")" || status=1
	return "$status"
}
# clean NAME NODE: nothing of it is left, without a DEL
clean() {
	state "$2" >"$work/state-now"
	diff -u "$work/state-$2.busy" "$work/state-now" && is 'lo' "$(in_pod "$1" ip -o link | awk -F': ' '$2 !~ /^sit0/ { print $2 }')"
}
over() {
	pod_del "$1"
	api DELETE "/api/v1/namespaces/default/pods/$1?gracePeriodSeconds=0" >"$work/delete"
}
for node in master worker; do
	state "$node" >"$work/state-$node.busy"
done
refused 'master that does not exist' 7 'there is no such interface on this node' one_off bad-1 master ipvlan-eth0 '.plugins[0].master = "eth9"'
check 'nothing is left of it' clean bad-1 master
over bad-1
refused 'a pool of another node only' 11 'no IPPool available, all IPv4 IPPools [worker-172] of eth0 filtered out' one_off bad-2 master ipvlan-eth0 '.plugins[0].ipam.default_ipv4_ippool = ["worker-172"]'
check 'nothing is left of it' clean bad-2 master
over bad-2
refused 'a pool that does not exist' 11 'no IPPool available, IPPool no-such-pool, which the network configuration names for eth0, does not exist' one_off bad-3 master ipvlan-eth0 '.plugins[0].ipam.default_ipv4_ippool = ["no-such-pool"]'
over bad-3
kubectl apply -f - >"$work/apply" 2>&1 <<-'YAML'
	apiVersion: spiderpool.spidernet.io/v2beta1
	kind: SpiderIPPool
	metadata: {name: tiny}
	spec: {subnet: 10.7.0.0/24, ips: [10.7.0.9], excludeIPs: [10.7.0.9]}
YAML
refused 'a pool that is full' 11 'all IP addresses used out' one_off bad-4 master ipvlan-eth0 '.plugins[0].ipam.default_ipv4_ippool = ["tiny"]'
check 'nothing is left of it' clean bad-4 master
over bad-4
# a sibling slave that holds every address of the pool before the pods do
pod_new squatter
on master ip link add sq0 link eth0 netns squatter type ipvlan mode l2
for last in 185 186 187 188 189; do
	ip -n squatter address add "172.31.199.$last/20" dev sq0 2>/dev/null || true
done
state master >"$work/state-master.busy"
refused 'an address that a sibling has' 999 'is already on another ipvlan interface of eth0' one_off bad-5 master ipvlan-eth0 .
check 'nothing is left of it' clean bad-5 master
with_tiny() {
	echo "$guide_table" | head -n 3
	echo 'tiny         4         10.7.0.0/24       0                    0                false'
	echo "$guide_table" | tail -n 2
}
check 'its address went back' poll 5 table_is "$(with_tiny)"
over bad-5
pod_del squatter
kubectl delete spiderippool tiny >"$work/delete" 2>&1
# a step late in the chain: the host end's name is taken, so the coordinator fails and the runtime calls DEL
late_failure() {
	pod_object bad-6 master ipvlan-eth0 one-off || return 1
	taken=veth$(container_id bad-6 | cut -c1-11)
	on master ip link add "$taken" type veth peer name taken-peer || return 1
	state master >"$work/state-master.busy"
	pod_new bad-6
	! chain_add master "$(nad ipvlan-eth0)" "$(container_id bad-6)" "$(pod_netns bad-6)" eth0 "$(pod_args bad-6)" >"$work/bad-6" || {
		echo 'the chain succeeded'
		return 1
	}
	cat "$work/bad-6"
	jq -e '.msg | contains("veth")' "$work/bad-6" || return 1
	pod_gone bad-6 master ipvlan-eth0 || return 1
	on master ip link del "$taken" 2>/dev/null || true
	over bad-6
}
check 'a failure late in the chain, then DEL' late_failure

echo '# the pods go'
check 'DEL of four pods' each pod_gone
check 'DEL again succeeds' each pod_gone
for name in $names; do
	over "$name"
done
for node in master worker; do
	state "$node" >"$work/state-$node.after"
	check "$node: links, routes, rules, neighbours, nf_tables and files are as before" diff -u "$work/state-$node.before" "$work/state-$node.after"
done
check 'the pools are empty' poll 10 table_is "$empty_table"
no_endpoints() {
	is '' "$(kubectl get spiderendpoints --no-headers 2>/dev/null)"
}
check 'the endpoints went with the pods' poll 15 no_endpoints

echo '# the control: macvlan gives a pod a MAC of its own'
pod_new macvlan-pod
on master ip link add m0 link eth1 netns macvlan-pod type macvlan mode bridge
ip -n macvlan-pod address add 192.168.0.156/24 dev m0
ip -n macvlan-pod link set m0 up
dropped=$(spoofed)
macvlan_fails() {
	! in_pod macvlan-pod ping -n -q -c 2 -i 0.05 -W 1 192.168.0.253
}
check 'macvlan does not reach its gateway' macvlan_fails
check 'its frames are dropped as spoofed' [ "$(spoofed)" -gt "$dropped" ]
pod_del macvlan-pod
[ "$failed" = 0 ]
