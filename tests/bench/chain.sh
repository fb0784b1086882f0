#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/bench/chain.sh [native] [short]
#        tests/bench/chain.sh order
#
# What an ADD and a DEL of a pod cost by the plugin multus, which runs the guide's chain (ipvlan with
# our IPAM, then coordinator), and what the pod's network then gives: in the User-Mode Linux kernel,
# which has ipvlan, with fabric.sh's nodes and their agents.  etcd and the API server are outside, and
# reached through a network card of that kernel: they would take minutes to start inside.  For
# bench.sh, which explains the figures; prints a table, an empty line, and the figures.  With "order"
# it measures nothing: it prints what a VERSION, an ADD and a DEL run, for section-order.txt.
#
# That kernel has one CPU, and a system call there costs some hundred times what it costs elsewhere:
# times are for the comparison with the floor beside them.
#
# "native" does the same on this machine's own kernel, which may have no ipvlan, by macvlan: macvlan.c,
# somebody else's plugin to multus, which starts it, and it our IPAM.  That is two programs more to start
# than in the chain that is measured elsewhere.  Network, mounts and processes are in namespaces of
# their own, files by apart.sh.  No traffic is measured.  Exit status 77 when this kernel cannot: why is
# printed, and no figures.
# shellcheck disable=SC2317 # functions that "quietly" and "wait_until" call
set -eu

self=$(readlink -f "$0")
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
# shellcheck source=tests/bench/lib.sh
. tests/bench/lib.sh
: "${BUILD_DIR:?set by build.sh}" "${SPIDERBOX:?set by build.sh}" "${DEPS:?set by build.sh}"
: "${KERNEL_DIR:?set by build.sh}" "${SERVERS_DIR:?set by build.sh}"

# Further on it starts itself with three words: KERNEL SIZE STAGE.
case "$*" in
'') exec unshare --net "$self" guest whole outside ;;
short | order) exec unshare --net "$self" guest "$1" outside ;;
native) exec unshare --net "$self" native whole outside ;;
'native short') exec unshare --net "$self" native short outside ;;
'guest whole '* | 'guest short '* | 'guest order '*) prefix=chain kind=ipvlan ;;
'native whole '* | 'native short '*) prefix=native kind=macvlan ;;
*)
	sed -n '4,5s/^# \{0,1\}//p' "$self" >&2
	exit 2
	;;
esac
kernel=$1 size=$2 stage=$3

# ---- outside ----

build() {
	# shellcheck source=tests/compile.sh
	. tests/compile.sh
	test_libraries
	quietly compile_test tests/bench/load.c plain "$work/load"
	build_static floor
	[ "$kernel" = guest ] || build_static macvlan
}

# build_static NAME: as the product is: what a process costs is the same for all
build_static() {
	quietly "$DEPS/cc" -std=gnu11 -D_GNU_SOURCE -Os -fPIE -Wall -Wextra -Werror -isystem "$DEPS/include" -idirafter "$DEPS/kernel" \
		-Wl,--gc-sections,-z,relro,-z,now -o "$work/$1" "tests/bench/$1.c" "$DEPS"/lib/libmnl.a "$DEPS"/lib/libcjson.a "$DEPS"/lib/*shim.a
	strip "$work/$1"
}

# For "order" alone, which is for one kind of processor.
build_touched() {
	quietly "$DEPS/cc" -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -o "$work/touched" tests/bench/touched.c
	nm "$BUILD_DIR/spiderbox.unchecked" | sed -n 's/ [tT] .*//p' >"$work/addresses"
}

host_address=10.98.0.1 # of the API server, for the nodes
services=10.233.0.0/18
gateway=172.31.207.253
network=$kind-eth0
conf=/etc/cni/net.d/00-multus.conf
# shellcheck source=tests/api/lib.sh
. tests/api/lib.sh

sizes() {
	case $kernel-$size in
	guest-whole) turns=40 together=40 few=50 many=100 pings=300 seconds=5 ;;
	guest-*) turns=6 together=6 few=10 many=20 pings=100 seconds=1 ;;
	native-whole) turns=200 together=50 few=50 many=100 ;;
	native-short) turns=20 together=20 few=10 many=20 ;;
	esac
	most=$((turns > many ? turns : many))
}

# The other machine's network card, its eth0; all of this is in a network namespace of its own.
card_make() {
	case $kernel in
	guest) ip tuntap add dev tap0 mode tap ;;
	native) ip link add tap0 type veth peer name eth0 ;;
	esac && ip link set lo up && ip address add "$host_address/24" dev tap0 && ip link set tap0 up
}

# Prints what the chain, the fabric and apart.sh need of this kernel and it has not; in namespaces of its
# own, which end with it.
probe() {
	ip link add one type veth peer name two || echo veth
	ip link add three link one type macvlan mode bridge || echo macvlan
	ip link add four type bridge || echo bridge
	nft -f - <<-'NFT' || echo 'nf_tables of a bridge'
		table bridge probe {
			set assigned {
				type ifname . ether_addr . ipv4_addr
				flags interval
			}
			chain prerouting {
				type filter hook prerouting priority -300;
				ether type ip iifname . ether saddr . ip saddr @assigned counter accept
			}
		}
	NFT
	nft -f - <<-'NFT' || echo 'nf_tables with NAT'
		table ip probe {
			chain postrouting {
				type nat hook postrouting priority srcnat;
				oifname "one" masquerade
			}
		}
	NFT
	nft -f - <<-'NFT' || echo 'nf_tables with connection tracking'
		table inet probe {
			chain prerouting {
				type filter hook prerouting priority -150;
				ct state != new ct mark set ct mark | 0x1 meta mark set meta mark | 0x1
			}
			chain output {
				type route hook output priority -150;
				ct mark & 0x1 == 0x1 meta mark set meta mark | 0x1
			}
		}
	NFT
	"$top/tests/bench/apart.sh" "$CHAIN_WORK" -- true || echo 'overlayfs, tmpfs or namespaces'
}
# measurable: or it says why not, and ends with 77
measurable() {
	lacks=$(unshare --net "$self" native "$size" probe 2>"$work/probe") || lacks='namespaces'
	[ -n "$lacks" ] || return 0
	echo "not measured: this machine's kernel lacks $(echo "$lacks" | paste -sd , | sed 's/,/, /g')"
	exit 77
}

servers_start() {
	audit_policy
	# shellcheck disable=SC2034 # for lib.sh
	API_BIND=0.0.0.0 API_HOST=$host_address API_SANS=IP:10.233.0.1 ETCD_FLAGS=
	# shellcheck disable=SC2034
	API_FLAGS="--service-cluster-ip-range $services --audit-policy-file $work/audit.yaml --audit-log-path $work/audit"
	api_start "$work/api"
}

# node NAME ADDRESS
node() {
	kubectl apply -f - <<-YAML && kubectl patch node "$1" --subresource=status --type=merge -p \
		"{\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"$2\"}]}}"
		apiVersion: v1
		kind: Node
		metadata: {name: $1}
	YAML
}

# pool NAME IPS NODE
pool() {
	kubectl apply -f - <<-YAML
		apiVersion: spiderpool.spidernet.io/v2beta1
		kind: SpiderIPPool
		metadata: {name: $1}
		spec: {default: true, subnet: 172.31.192.0/20, gateway: $gateway, ips: [$2], nodeName: [$3], multusName: [kube-system/$network]}
	YAML
}

# As the guide's SpiderMultusConfig makes it.
definition() {
	printf '{"cniVersion":"0.3.1","name":"%s","plugins":[{"type":"%s","master":"eth0",%s"mtu":0,"ipam":{"type":"spiderpool"}},{"txQueueLen":0,"tunePodRoutes":true,"mode":"auto","type":"coordinator"}]}' \
		"$network" "$kind" "$([ "$kind" = ipvlan ] || echo '"mode":"bridge",')"
}

# Kubernetes' nodes are node0 on the master and node1 on the worker.
objects_make() {
	kubectl apply -f tests/data/nad-crd.yaml -f deploy/ && kubectl wait --for=condition=Established --timeout=20s crd --all &&
		node node0 172.31.199.183 && node node1 172.31.199.184 || return 1
	jq -n --arg name "$network" --arg config "$(definition)" '{apiVersion: "k8s.cni.cncf.io/v1", kind: "NetworkAttachmentDefinition",
		metadata: {name: $name, namespace: "kube-system"}, spec: {config: $config}}' | kubectl apply -f - || return 1
	pool chain-0 172.31.200.1-172.31.201.250 node0 && pool chain-1 172.31.202.1-172.31.202.250 node1 &&
		pool floor 172.31.203.1-172.31.203.250 nobody &&
		kubectl -n kube-system create token spiderpool-agent --duration 10h >"$work/token" || return 1
	api_kubeconfig "$work/agent.conf" "$API_URL" "$API_DIR/trust.crt" "$work/token"
	"$work/load" pods "$KUBECONFIG" chain- "$((most + few))" node 1 >"$work/pods" &&
		"$work/load" pods "$KUBECONFIG" traffic- 2 node 2 >>"$work/pods"
}

# order FILE...: addresses, as the linker's map calls what stands there: "OBJECT SECTION"
order() {
	awk '
		# the name of a section may have a line of its own
		/^ \.text[^ ]*$/ { name = $1; next }
		/^ \.text/ { name = $1; at = $2; size = $3; file = $4 }
		/^  +0x[0-9a-f]+ +0x[0-9a-f]+ [^ ]/ && name != "" { at = $1; size = $2; file = $3 }
		name != "" && file != "" && at !~ /^0x0*$/ {
			sub(/.*\//, "", file)
			sub(/\(/, ":", file)
			sub(/\)$/, "", file)
			sub(/^0x0*/, "", at)
			sub(/^0x/, "", size)
			print at, size, file, name
		}
		{ name = ""; file = "" }' "$BUILD_DIR/spiderbox.map" | python3 -c '
import sys
places = sorted((int(at, 16), int(size, 16), file, name) for at, size, file, name in map(str.split, sys.stdin))
seen = set()
for path in sys.argv[1:]:
    for address in (int(line, 16) for line in open(path)):
        for at, size, file, name in places:
            if at <= address < at + size and (file, name) not in seen:
                seen.add((file, name))
                print(file, name)
' "$@"
}

guest=
clock=
finish() {
	for pid in $guest $clock; do
		case $kernel in guest) kill "$pid" ;; native) kill -s KILL "$pid" ;; esac 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	api_server_stop KILL # nobody will want what it has not written
	api_stop || true
	rm -rf "$work"
}

drive() {
	work=$(mktemp -d)
	trap finish EXIT
	trap 'exit 130' INT TERM
	export CHAIN_WORK="$work"
	[ "$kernel" = guest ] || measurable
	sizes
	build
	[ "$size" != order ] || build_touched
	quietly card_make
	quietly servers_start
	quietly objects_make
	export API_PORT API_URL UML_ENV='BUILD_DIR SPIDERBOX DEPS KERNEL_DIR SERVERS_DIR CHAIN_WORK API_PORT API_URL'
	status=0
	case $kernel in
	guest)
		tests/vm/run-uml -t 500 -m 1000 -k eth0=tuntap,tap0 -w "$work" -- "$self" guest "$size" inside >"$work/out" 2>&1 &
		guest=$!
		"$work/load" clock "$guest" >"$work/clock.out" 2>&1 &
		clock=$!
		;;
	native)
		# Linux 6.18 numbers namespaces for each CPU, and lets a mount namespace be kept only by one with
		# a lower number: one CPU until the nodes are made
		CHAIN_CPUS=$(taskset -cp $$ | sed 's/.*: //')
		export CHAIN_CPUS
		# an agent would take KUBECONFIG before its service account
		taskset -c "${CHAIN_CPUS##*[,-]}" tests/bench/apart.sh "$work" "$top" "$BUILD_DIR" "$DEPS" "$SERVERS_DIR" -- \
			env -u KUBECONFIG timeout -k 5 500 "$self" native "$size" inside >"$work/out" 2>&1 &
		guest=$!
		;;
	esac
	wait "$guest" || status=$?
	guest=
	[ "$status" = 0 ] || {
		tail -n 30 "$work/out" >&2
		for log in "$work"/*.log; do
			[ ! -e "$log" ] || tail -n 20 "$log" >&2
		done
		stop "the chain cannot be measured: status $status"
	}
	[ -z "${VERBOSE:-}" ] || cat "$work/out" >&2
	[ "$size" != order ] || {
		order "$work/touched.multus" "$work/touched.spiderpool" "$work/touched.ipvlan" "$work/touched.coordinator" "$work/touched.ifacer" \
			"$work/touched.ADD" "$work/touched.DEL" || stop 'the linker'"'"'s map cannot be read'
		return
	}
	cat "$work/table"
	echo
	cat "$work/figures"
	[ ! -e "$work/bad" ]
}

case $stage in
outside)
	drive
	exit
	;;
probe)
	probe
	exit
	;;
esac

# ---- inside ----

# shellcheck source=tests/vm/fabric.sh
. tests/vm/fabric.sh

# The way out, for the nodes: the router has an address there.
uplink_up() {
	ip link set eth0 netns fabric-vpc
	in_vpc ip link set eth0 name uplink
	in_vpc ip address add 10.98.0.2/24 dev uplink
	in_vpc ip link set uplink up
	in_vpc nft -f - <<-'NFT'
		table ip uplink {
			chain out {
				type nat hook postrouting priority srcnat;
				oifname "uplink" masquerade
			}
		}
	NFT
}

# The rest runs in the master's network.
if [ "$stage" = inside ]; then
	fabric_up
	uplink_up
	[ "$kernel" = guest ] || taskset -cp "$CHAIN_CPUS" $$ >"$CHAIN_WORK/quiet"
	exec nsenter --net=/run/netns/master "$self" "$kernel" "$size" on-master
fi

sizes
kept=$CHAIN_WORK # on the machine outside
work=/run/chain-bench
mkdir -p "$work"
cp "$kept/pods" "$kept/token" "$kept/agent.conf" "$work/"
ln -s "$kept/audit" "$work/audit"
API_DIR=$kept/api KUBECONFIG=$kept/api/admin.conf
bad=0
round=0
load=$work/load
plugin=/opt/cni/bin/multus
# shellcheck disable=SC2034 # for lib.sh
cores=1
pids=
node_addresses='172.31.199.183 192.168.0.154'

finish() {
	for pid in $pids; do
		kill "$pid" 2>/dev/null || true
	done
	cp "$work"/*.log "$kept/" 2>/dev/null || true
}
trap finish EXIT

started=$(date +%s)
# so_far WORDS: for who looks at what takes long
so_far() {
	echo "$(($(date +%s) - started)) s: $*"
}

# background NODE LOG COMMAND...: its process id is the last word of $pids
background() {
	bg_node=$1 bg_log=$work/$2.log
	shift 2
	# shellcheck disable=SC2016 # expanded by the inner shell
	on "$bg_node" sh -c 'echo "$$" >"$0"; exec "$@"' "$bg_log.pid" "$@" >"$bg_log" 2>&1 &
	wait_until 10 test -s "$bg_log.pid"
	pids="$pids $(cat "$bg_log.pid")"
}

# api METHOD PATH [CURL-ARGUMENT]...: for what kubectl, which takes a second to start here, need not do
api() {
	api_method=$1 api_path=$2
	shift 2
	curl -sS --fail-with-body --max-time 30 --cacert "$API_DIR/ca.crt" --cert "$API_DIR/admin.crt" --key "$API_DIR/admin.key" \
		-H 'Content-Type: application/json' -X "$api_method" "$@" "$API_URL$api_path"
}
post() {
	api POST "$1" --data-binary "$2"
}

# ---- the nodes ----

# agent_start NODE NAME: as the DaemonSet runs it
agent_start() {
	account=$work/account-$2
	mkdir -p "$account"
	cp "$work/token" "$account/token"
	cp "$API_DIR/ca.crt" "$account/ca.crt"
	printf kube-system >"$account/namespace"
	on "$1" mkdir -p /etc/cni/net.d /var/run/secrets/kubernetes.io/serviceaccount
	on "$1" "$SPIDERBOX" ctl install --bin-dir /opt/cni/bin --conf-dir /etc/cni/net.d &&
		on "$1" mount --bind "$account" /var/run/secrets/kubernetes.io/serviceaccount || return 1
	background "$1" "agent-$2" env KUBERNETES_SERVICE_HOST=$host_address KUBERNETES_SERVICE_PORT="$API_PORT" \
		SPIDERPOOL_NODE_NAME="$2" MULTUS_CLUSTER_NETWORK="kube-system/$network" SPIDERPOOL_AGENT_NAMESPACE=kube-system \
		"$SPIDERBOX" agent --multus-conf-dir=/etc/cni/net.d
	wait_until 30 on "$1" curl -sf http://127.0.0.1:5710/v1/runtime/readiness &&
		wait_until 10 on "$1" test -e "$conf"
}

groups() {
	echo "$agent"
}
after_calls() {
	"$load" quiet "$agent"
}

# load.c starts plugins where a runtime would: with the node's files.
load_make() {
	printf '#!/bin/sh\nexec nsenter --net=/run/netns/master --mount=%s/master.mnt --uts=%s/master.uts -- %s/load "$@"\n' \
		"$fabric_dir" "$fabric_dir" "$kept" >"$load"
	chmod +x "$load"
}

# ---- what is there ----

# Everything of the node that a pod may leave traces in, but for the rule that all pods share.
state() {
	on master ip -o -d link | sed 's/ qlen [0-9]*//; s/^[0-9]*: //' | sort
	on master ip -o address | sed 's/^[0-9]*: //; s/ tentative//; s/valid_lft.*//' | sort
	on master ip -4 route show table all | sort
	on master ip -6 route show table all | grep -v 'proto kernel' | sort
	on master ip -4 rule | grep -v 'lookup 500'
	on master ip neigh show nud permanent | sort
	on master nft list tables
	on master find /var/lib/spidernet /var/lib/cni -type f ! -name rounds.json ! -name .complete | sort
}

# What the pools and SpiderEndpoints still hold; "floor" is written by load.c alone.
records() {
	api GET /apis/spiderpool.spidernet.io/v2beta1/spiderippools |
		jq '[.items[] | select(.metadata.name != "floor") | .status.allocatedIPCount // 0] | add'
}
leaked() {
	state >"$work/state.after"
	diff "$work/state.before" "$work/state.after" >"$work/state.diff" || cat "$work/state.diff" >&2
	echo $(($(records) + $(grep -c '^[<>]' "$work/state.diff")))
}
nothing_leaked() {
	[ "$(leaked 2>"$work/leaked")" = 0 ]
}

# made POD VETH ADDRESS: what there is for one pod, without the words that are another for each
made() {
	{
		echo '# in the pod'
		ip -n "$1" -d -o link
		ip -n "$1" -o address
		ip -n "$1" -4 route show table all
		ip -n "$1" -4 rule
		ip -n "$1" neigh show nud permanent | sort
		in_pod "$1" nft list ruleset
		# shellcheck disable=SC2016 # expanded by the inner shell
		in_pod "$1" sh -c 'cd /proc/sys/net && grep . ipv4/conf/*/arp_notify ipv6/conf/*/ndisc_notify ipv4/conf/*/rp_filter'
		echo '# on the node'
		{
			on master ip -d -o link
			on master ip -o address
			on master ip -4 route show table all
			on master ip neigh show nud permanent
		} | grep "$2"
		on master ip -4 rule
		cat "/proc/sys/net/ipv6/conf/$2/accept_ra"
	} | sed "s/$2/VETH/g; s/$3/IP/g; s/alias [0-9a-f]*/alias/; s/@if[0-9]*:/@/; s/^[0-9]*: //; s/\\(ether\\|lladdr\\) [0-9a-f:]*/\\1 MAC/
		s/fe80::[0-9a-f:]*/LL/; s/ tentative//; s/link-netns [^ ]*//"
}
# settled_link POD: what the kernel does a while after the links are made
settled_link() {
	! ip -n "$1" link show veth0 | grep -q NO-CARRIER && ip -n "$1" -6 -o address show veth0 | grep -q fe80 &&
		{ [ "$kind" = ipvlan ] || ip -n "$1" link show eth0 | grep -q 'state UP'; }
}

# ---- pods and namespaces ----

# netns COUNT: new ones, for one ADD and DEL
netns() {
	: >>"$work/netns-made"
	"$kept/load" netns "n$(wc -l <"$work/netns-made")-" "$1" || stop 'network namespaces cannot be made'
	echo "$1" >>"$work/netns-made"
}
# some FIRST COUNT: lines for load.c, with new namespaces
some() {
	netns "$2" >"$work/netns"
	tail -n "+$1" "$work/pods" | head -n "$2" | paste -d' ' - "$work/netns" |
		awk -v conf="$conf" '{ print $1, $2, conf, $4 }'
}
# floors ADD-FILE DEL-FILE COUNT: the same for as many pods by floor.c, with addresses of no pool
floors() {
	netns "$3" | awk -v add="$1" -v del="$2" -v floor="$kept/floor" -v kind="$kind" -v card="$card" -v rest="$gateway $services $node_addresses" '{
		printf "%s add %s %s %s %d veth%011d %064d 172.31.204.%d/20 %s\n", floor, kind, $1, card, 5000 + 2 * NR, NR, NR, NR, rest >add
		printf "%s del %s\n", floor, $1 >del
	}'
}

# ---- rows ----

# report ROW
report() {
	totals "$1"
	goal=
	case $1 in *-add-1) goal=15 ;; esac
	figure "$1-rate" "$rate"
	# shellcheck disable=SC2086 # none, or two words
	figure "$1-p50-ms" "$p50" ${goal:+most $goal}
	figure "$1-p90-ms" "$p90"
	figure "$1-p99-ms" "$p99"
	must "$1-failed" "$failed" most 0
	case $1 in *-add-*) must "$1-double" "$((n - failed - distinct))" most 0 ;; esac
	figure "$1-requests" "$each"
	figure "$1-settle-ms" "$settle"
	figure "$1-plugin-us" "$plugin_us"
	figure "$1-agent-us" "$agent_us"
	printf '%-18s %5d %6d %8s %8s %8s %6d %7s %8d %7d %7d\n' "$1" "$n" "$rate" "$p50" "$p90" "$p99" "$failed" "$each" \
		"$settle" "$plugin_us" "$agent_us" >>"$kept/table"
	kinds "$1"
}

# row NAME COMMAND PARALLEL PODS ENDPOINTS
row() {
	calls "$1" "$2" "$3" "$4" "$5"
	report "$1"
	so_far "$1"
}

# mean FILE COLUMN
mean() {
	awk -v c="$2" '{ sum += $c } END { printf "%.0f", (sum > 0 ? sum / NR : 0) }' "$1"
}

# turn COMMAND FLOORS: ADDs or DELs on a machine that does nothing else
turn() {
	"$load" turns "$1" "$plugin" "$work/pods-turns" 1 "$2" "$work/agent.conf" floor "$agent" "$turn_clock" >>"$work/$1.turns" 2>"$work/turns" ||
		stop "turns of $1: $(tail -n 3 "$work/turns")"
	so_far "turns of $1"
}

# all_turns: $turns of both, $together pods on the node and as many by the floor
all_turns() {
	_done=0
	while [ "$_done" -lt "$turns" ]; do
		some "$((_done + 1))" "$together" >"$work/pods-turns"
		floors "$work/floor-add" "$work/floor-del" "$together"
		turn ADD "$work/floor-add"
		turn DEL "$work/floor-del"
		quietly "$load" endpoints "$KUBECONFIG" 0 60
		_done=$((_done + together))
	done
}

# turned COMMAND NAME: the figures
turned() {
	_all=$(percentile "$work/$1.turns" 1 50) _floor=$(percentile "$work/$1.turns" 2 50) _patch=$(percentile "$work/$1.turns" 3 50)
	_cpu=$(mean "$work/$1.turns" 4) _floor_cpu=$(mean "$work/$1.turns" 5)
	_goal=
	[ "$kernel $2" != 'native add' ] || _goal='most 15'
	# shellcheck disable=SC2086 # none, or two words
	figure "$prefix-turn-$2-ms" "$(calculate %.2f "$_all / 1000")" $_goal
	figure "$prefix-floor-$2-ms" "$(calculate %.2f "$_floor / 1000")"
	figure "$prefix-$2-ratio" "$(calculate %.2f "$_all / (1.5 * $_floor + $_patch)")" most 1.00
	_goal=
	[ "$2" != add ] || _goal='most 5'
	# shellcheck disable=SC2086 # none, or two words
	figure "$prefix-$2-cpu-ms" "$(calculate %.2f "$_cpu / 1000")" $_goal
	figure "$prefix-floor-$2-cpu-ms" "$(calculate %.2f "$_floor_cpu / 1000")"
	printf '%s %.2f ms, floor %.2f ms, bare status patch %.2f ms: %.2f times (1.5 x floor + patch), without a patch %.2f times floor (medians of %d turns); CPU %.2f ms and %.2f ms (means)\n' \
		"$1" "$(calculate %.3f "$_all / 1000")" "$(calculate %.3f "$_floor / 1000")" "$(calculate %.3f "$_patch / 1000")" \
		"$(calculate %.3f "$_all / (1.5 * $_floor + $_patch)")" "$(calculate %.3f "($_all - $_patch) / $_floor")" "$(wc -l <"$work/$1.turns")" \
		"$(calculate %.3f "$_cpu / 1000")" "$(calculate %.3f "$_floor_cpu / 1000")" >>"$kept/table"
}

# ---- system calls and messages ----

# traced NAME COMMAND...: on the master, with the variables $cni and standard input; its figures
traced() {
	_name=$1
	shift
	# each process has a file of its own: lines are whole
	# shellcheck disable=SC2086 # words
	on master env $cni strace -qq -ff -e signal=none -o "$work/$_name.strace" "$@" >"$work/$_name.traced" 2>"$work/$_name.traced-err" || {
		cat "$work/$_name.traced" "$work/$_name.traced-err" >&2
		stop "$_name, traced, failed"
	}
	cat "$work/$_name.strace".* >"$work/$_name.strace"
	_calls=$(wc -l <"$work/$_name.strace")
	_netlink=$(awk '/^send(to|msg)\(/ { n += gsub(/nlmsg_len=|iov_base="/, "") } END { print n + 0 }' "$work/$_name.strace")
	_read=$(awk '/^recv(from|msg)\(.*nlmsg_len=/ { n += $NF } END { print n + 0 }' "$work/$_name.strace")
	figure "$prefix-$_name-syscalls" "$_calls"
	figure "$prefix-$_name-netlink" "$_netlink"
	printf '%-18s %8d %8d %12d %8d %8d\n' "$_name" "$_calls" "$_netlink" "$_read" "$(grep -c '^setns' "$work/$_name.strace" || true)" \
		"$(grep -c '^\(open\|openat\|execve\|stat\|mkdir\|rename\|unlink\)(' "$work/$_name.strace" || true)" >>"$work/traces"
}

# cni_for COMMAND ID NETNS: sets $cni
cni_for() {
	cni="CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=$3 CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin CNI_ARGS=$(args_of chain-0)"
}

# alone PLUGIN COMMAND ID NETNS [PREVIOUS-RESULT-FILE]: a plugin by itself, of the network's list
alone() {
	cni_for "$2" "$3" "$4"
	definition | jq -c --arg plugin "$1" --slurpfile previous "${5:-/dev/null}" '. as $list
		| (if $plugin == "ipam" then .plugins[0] else .plugins[] | select(.type == $plugin) end)
		+ {name: $list.name, cniVersion: $list.cniVersion}
		+ (if $previous == [] then {} else {prevResult: $previous[0]} end)' |
		traced "$(echo "$2" | tr '[:upper:]' '[:lower:]')-$1" "/opt/cni/bin/$(echo "$1" | sed 's/^ipam$/spiderpool/')"
}

# runtime COMMAND NODE POD ID NETNS [PREFIX]...: multus as a runtime calls it
runtime() {
	_command=$1 _node=$2 _pod=$3 _id=$4 _netns=$5
	shift 5
	on "$_node" env CNI_COMMAND="$_command" CNI_CONTAINERID="$_id" CNI_NETNS="$_netns" CNI_IFNAME=eth0 CNI_ARGS="$(args_of "$_pod")" \
		CNI_PATH=/opt/cni/bin "$plugin" <"$(node_dir "$_node" "$conf")"
}
args_of() {
	awk -v pod="$1" '$1 == pod { printf "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=%s;K8S_POD_UID=%s", $1, $2 }' "$work/pods"
}

traces() {
	one=$(netns 1)
	for command in ADD DEL; do
		cni_for "$command" aaaaaaaaaaaa1 "$one"
		traced "$(echo "$command" | tr '[:upper:]' '[:lower:]')-multus" "$plugin" <"$(node_dir master "$conf")"
	done
	one=$(netns 1)
	alone ipam ADD aaaaaaaaaaaa2 "$one"
	alone ipam DEL aaaaaaaaaaaa2 "$one"
	alone "$kind" ADD aaaaaaaaaaaa3 "$one"
	alone coordinator ADD aaaaaaaaaaaa3 "$one" "$work/add-$kind.traced"
	alone coordinator DEL aaaaaaaaaaaa3 "$one"
	alone "$kind" DEL aaaaaaaaaaaa3 "$one"
	cni=
	floors "$work/one-add" "$work/one-del" 1
	# shellcheck disable=SC2046 # words
	traced add-floor $(cat "$work/one-add")
	# shellcheck disable=SC2046
	traced del-floor $(cat "$work/one-del")
}

# ---- traffic ----

# serve NODE-OR-POD...: on the worker, and in a pod there
serve() {
	"$@" "$kept/load" echo >"$work/echo.log" 2>&1 &
	pids="$pids $!"
	"$@" iperf3 -s >"$work/iperf3.log" 2>&1 &
	pids="$pids $!"
}

traffic_pods() {
	fabric_allow m-eth0 00:16:3e:00:00:01 172.31.200.1-172.31.201.250
	fabric_allow w-eth0 00:16:3e:00:00:11 172.31.202.1-172.31.202.250
	pod_new traffic-0
	pod_new traffic-1
	runtime ADD master traffic-0 bbbbbbbbbbbb0 "$(pod_netns traffic-0)" &&
		runtime ADD worker traffic-1 bbbbbbbbbbbb1 "$(pod_netns traffic-1)" >"$work/traffic.result" || return 1
	peer=$(jq -r '.ips[0].address | split("/")[0]' "$work/traffic.result")
	serve in_pod traffic-1
	serve on worker
	post /api/v1/namespaces/default/services '{"metadata":{"name":"traffic"},"spec":{"clusterIP":"10.233.0.77","ports":
		[{"name":"echo","port":7},{"name":"iperf","port":5201}]}}' &&
		post /apis/discovery.k8s.io/v1/namespaces/default/endpointslices "{\"addressType\":\"IPv4\",
			\"metadata\":{\"name\":\"traffic\",\"labels\":{\"kubernetes.io/service-name\":\"traffic\"}},
			\"ports\":[{\"name\":\"echo\",\"port\":7},{\"name\":\"iperf\",\"port\":5201}],
			\"endpoints\":[{\"addresses\":[\"$peer\"],\"nodeName\":\"node1\",\"conditions\":{\"ready\":true}}]}"
}

# The service's way begins at the client's node.
proxy_start() {
	background master kube-proxy "$SERVERS_DIR/kube-proxy" --kubeconfig="$KUBECONFIG" --hostname-override=node0 \
		--proxy-mode=nftables --masquerade-all --conntrack-max-per-core=0 --conntrack-min=0 \
		--conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 \
		--healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
}

# way NAME ADDRESS FROM...: latency and throughput, once
way() {
	_name=$1 _to=$2
	shift 2
	quietly wait_until 30 "$@" "$kept/load" rtt "$_to" 1
	"$@" "$kept/load" rtt "$_to" "$pings" >>"$work/rtt-$_name" || stop "no answer by way of $_name"
	[ "$_name" = service ] || # whose address is nobody's
		"$@" ping -n -q -c "$pings" -i 0.005 -W 2 "$_to" >"$work/ping" || stop "no answer to ping by way of $_name"
	[ "$_name" = service ] || awk -F/ '/^rtt/ { printf "%.0f\n", $5 * 1000 }' "$work/ping" >>"$work/ping-$_name"
	"$@" iperf3 -c "$_to" -t 1 -J >"$work/iperf" || stop "iperf3 by way of $_name: $(tail -n 3 "$work/iperf")"
	jq '.end.sum_received.bits_per_second / 1e6 | floor' "$work/iperf" >>"$work/mbits-$_name"
}
# measured NAME: medians
measured() {
	_ping=-
	[ "$1" = service ] || {
		_ping=$(percentile "$work/ping-$1" 1 50)
		figure "$prefix-ping-$1-us" "$_ping"
	}
	_rtt=$(percentile "$work/rtt-$1" 1 50) _mbits=$(percentile "$work/mbits-$1" 1 50)
	figure "$prefix-rtt-$1-us" "$_rtt"
	figure "$prefix-tcp-$1-mbits" "$_mbits"
	printf '%-18s %8s %8d %8d %8d\n' "$1" "$_ping" "$_rtt" "$(percentile "$work/rtt-$1" 1 90)" "$_mbits" >>"$work/ways"
}

ways() {
	quietly agent_start worker node1
	so_far 'the other agent'
	quietly traffic_pods
	proxy_start
	so_far 'traffic'
	while [ "$seconds" -gt 0 ]; do
		way node 172.31.199.184 on master
		way pod "$peer" in_pod traffic-0
		way service 10.233.0.77 in_pod traffic-0
		seconds=$((seconds - 1))
	done
	printf '\n%-18s %8s %8s %8s %8s\n' way 'ping us' 'tcp us' 'p90 us' Mbit/s >"$work/ways"
	for name in node pod service; do
		measured "$name"
	done
	so_far ways
}

# ---- the run ----

: >"$kept/table"
load_make
turn_clock=$host_address
[ "$kernel" = guest ] || turn_clock=-
quietly agent_start master node0
[ "$kernel" = guest ] || on master cp "$kept/macvlan" /opt/cni/bin/
agent=${pids##* }
so_far agent
card=$(on master ip -o link show eth0 | cut -d: -f1)

# The first call of a node makes what all share.
some 1 1 >"$work/pods-first"
quietly "$load" calls ADD 1 "$plugin" "$work/pods-first" 1 "$work/first.times"
quietly "$load" calls DEL 1 "$plugin" "$work/pods-first" 1 "$work/first.times"
quietly "$load" endpoints "$KUBECONFIG" 0 60
after_calls
state >"$work/state.before"

# Does the floor make what the chain makes?
pod_new same-chain
pod_new same-floor
runtime ADD master chain-0 cccccccccccc "$(pod_netns same-chain)" >"$work/same.result" || stop 'one pod cannot be added'
# shellcheck disable=SC2086 # words
on master "$kept/floor" add "$kind" "$(pod_netns same-floor)" "$card" 4000 veth00000000000 0 172.31.204.250/20 "$gateway" "$services" $node_addresses
quietly wait_until 20 settled_link same-chain
quietly wait_until 20 settled_link same-floor
made same-chain vethccccccccccc "$(jq -r '.ips[0].address | split("/")[0]' "$work/same.result")" >"$work/made-chain"
made same-floor veth00000000000 172.31.204.250 >"$work/made-floor"
diff "$work/made-chain" "$work/made-floor" >&2 || stop 'the floor is not the same as what the chain makes'
quietly runtime DEL master chain-0 cccccccccccc "$(pod_netns same-chain)"
on master "$kept/floor" del "$(pod_netns same-floor)"
so_far 'the same set'

if [ "$size" = order ]; then
	for name in multus spiderpool ipvlan coordinator ifacer; do
		on master env CNI_COMMAND=VERSION "$kept/touched" "$kept/touched.$name" "$kept/addresses" "/opt/cni/bin/$name" >"$work/touched"
	done
	one=$(netns 1)
	for command in ADD DEL; do
		cni_for "$command" aaaaaaaaaaaa1 "$one"
		# shellcheck disable=SC2086 # words
		on master env $cni "$kept/touched" "$kept/touched.$command" "$kept/addresses" "$plugin" <"$(node_dir master "$conf")" >"$work/touched"
	done
	exit
fi

all_turns
turned ADD add
turned DEL del
awk '{ print $3 }' "$work/ADD.turns" "$work/DEL.turns" >"$work/patches"
figure "$prefix-floor-patch-ms" "$(calculate %.2f "$(percentile "$work/patches" 1 50) / 1000")"

printf '\n%-18s %5s %6s %8s %8s %8s %6s %7s %8s %7s %7s\n' row calls /s 'p50 ms' 'p90 ms' 'p99 ms' failed 'req/op' \
	'settl ms' 'plug us' 'agent' >>"$kept/table"
some 1 "$few" >"$work/pods-few"
some 1 "$many" >"$work/pods-many"
some "$((many + 1))" "$few" >"$work/pods-more"
round=2
row "$prefix-add-1" ADD 1 "$work/pods-few" "$few"
row "$prefix-del-1" DEL 1 "$work/pods-few" 0
row "$prefix-add-10" ADD 10 "$work/pods-many" "$many"
row "$prefix-add-crowded" ADD 1 "$work/pods-more" "$((many + few))"
row "$prefix-del-crowded" DEL 1 "$work/pods-more" "$many"
row "$prefix-del-10" DEL 10 "$work/pods-many" 0
figure "$prefix-add-requests" "$(sed -n "s/^$prefix-add-1-requests \([^ ]*\) .*/\1/p" "$work/figures")" most 2

traces
so_far traces
wait_until 20 nothing_leaked || true
leaks=$(leaked)
must "$prefix-leaked" "$leaks" most 0

: >"$work/ways"
[ "$kernel" = native ] || ways

{
	printf '\nrequests of the agent for each call\n'
	cat "$work/kinds"
	printf '\n%-18s %8s %8s %12s %8s %8s\n' 'one call' syscalls messages 'bytes back' setns files
	cat "$work/traces"
	cat "$work/ways"
} >>"$kept/table"
cp "$work/figures" "$kept/figures"
[ "$bad" = 0 ] || echo bad >"$kept/bad"
