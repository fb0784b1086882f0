#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: KUBECTL=... KUBECONFIG=... tests/api/deploy.sh
#
# What deploy/ does on a running API server: it is accepted, the guide's pools are accepted as they
# are printed, bad objects are refused with words, and kubectl prints the guide's columns.  Called by
# tests/api/run.sh, which starts the server; leaves deploy/ applied and its own pools removed.
# One TAP line per check.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
: "${KUBECTL:?a kubectl}" "${KUBECONFIG:?of the server to test}"
export KUBECONFIG
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
pools=$top/tests/data/walkthrough/20-ippools.yaml
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
tap_log="$work/log"
tap_topic='deploy: '

k() {
	# shellcheck disable=SC2086 # may be several words
	timeout 60 $KUBECTL "$@"
}

# wait_until COMMAND...: polls for 30 s
wait_until() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ "$tries" -lt 150 ] || return 1
		sleep 0.2
	done
}

# same EXPECTED COMMAND...: its output is that file's contents
same() {
	expected=$1
	shift
	"$@" >"$work/got" 2>&1 || {
		cat "$work/got"
		return 1
	}
	diff -u "$expected" "$work/got"
}

crds='spiderippools spiderendpoints spiderreservedips'

established() {
	for c in $crds; do
		k wait --for=condition=Established --timeout=30s "crd/$c.spiderpool.spidernet.io" || return 1
	done
}

served() {
	for c in $crds; do
		k get "$c.spiderpool.spidernet.io" >/dev/null || return 1
	done
}

# CRDs first: a dry run does not make them, so the pools of a dry run would have no kind.
applies() {
	k apply -f "$top/deploy/" && established && wait_until served
}

apply_again() {
	k apply -f "$top/deploy/" >"$work/again" || return 1
	! grep -v ' unchanged$' "$work/again"
}

# A rule that costs too much or names an unknown field shows here as a warning or a condition.
structural() {
	for c in $crds; do
		k get "crd/$c.spiderpool.spidernet.io" -o jsonpath='{range .status.conditions[*]}{.type}={.status} {end}' >"$work/conditions"
		grep -q 'Established=True' "$work/conditions" || return 1
		! grep -E 'NonStructuralSchema=True|ViolatesSchema' "$work/conditions" || return 1
	done
}

# pool NAME: a pool whose spec is stdin
pool() {
	printf 'apiVersion: spiderpool.spidernet.io/v2beta1\nkind: SpiderIPPool\nmetadata: {name: %s}\nspec:\n' "$1"
	sed 's/^/  /'
}

reserved() {
	printf 'apiVersion: spiderpool.spidernet.io/v2beta1\nkind: SpiderReservedIP\nmetadata: {name: %s}\nspec:\n' "$1"
	sed 's/^/  /'
}

# refused FIELD MESSAGE: the object on stdin is not accepted, and the answer names both
refused() {
	if k create --dry-run=server -f - >"$work/answer" 2>&1; then
		echo 'it was accepted'
		return 1
	fi
	cat "$work/answer"
	grep -F "$1: " "$work/answer" | grep -qF "$2"
}

accepted() {
	k create --dry-run=server --validate=strict -f -
}

# bad NAME FIELD MESSAGE: a pool with the spec on stdin is refused
bad() {
	pool bad >"$work/object"
	check "$1" refused "$2" "$3" <"$work/object"
}

good() {
	pool good >"$work/object"
	check "$1" accepted <"$work/object"
}

bad_reserved() {
	reserved bad >"$work/object"
	check "$1" refused "$2" "$3" <"$work/object"
}

bad_pools() {
	bad 'no subnet' spec.subnet 'Required value' <<'END'
ips: [10.0.0.1]
END
	bad 'a subnet that is none' spec.subnet 'subnet must be a CIDR, such as 172.31.192.0/20' <<'END'
subnet: 10.0.0.0/33
END
	bad 'a subnet with host bits' spec.subnet 'subnet 172.31.199.0/20 is not in canonical form' <<'END'
subnet: 172.31.199.0/20
END
	bad 'an IPv6 subnet written long' spec.subnet 'subnet fd00:0::/64 is not in canonical form' <<'END'
subnet: fd00:0::/64
END
	bad 'an unknown IP version' spec.ipVersion 'Unsupported value: 5' <<'END'
ipVersion: 5
subnet: 10.0.0.0/24
END
	bad 'the other IP version' spec.ipVersion 'ipVersion must be the family of subnet 10.0.0.0/24' <<'END'
ipVersion: 6
subnet: 10.0.0.0/24
END
	bad 'an address that is none' 'spec.ips[1]' 'must be an address, or a range of two addresses of one family' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.1, 10.0.0.256]
END
	bad 'a prefix among ips' 'spec.ips[0]' 'must be an address, or a range' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.0/28]
END
	bad 'an octet with a leading zero' 'spec.ips[0]' 'must be an address, or a range' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.01]
END
	bad 'a range of three' 'spec.ips[0]' 'must be an address, or a range' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.1-10.0.0.2-10.0.0.3]
END
	bad 'a range of two families' 'spec.ips[0]' 'must be an address, or a range' <<'END'
subnet: 10.0.0.0/24
ips: ["10.0.0.1-fd00::1"]
END
	bad 'a reversed range' 'spec.ips[0]' 'the range is reversed, its first address must not be above its last' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.100-10.0.0.9]
END
	bad 'an address outside' spec.ips 'every address of ips must be inside subnet 10.0.0.0/24' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.1, 10.0.1.1]
END
	bad 'a range that ends outside' spec.ips 'every address of ips must be inside subnet 10.0.0.0/24' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.250-10.0.1.1]
END
	bad 'an address of the other family' spec.ips 'every address of ips must be inside subnet 10.0.0.0/24' <<'END'
subnet: 10.0.0.0/24
ips: ["fd00::1"]
END
	bad 'an excluded address outside' spec.excludeIPs 'every address of excludeIPs must be inside subnet 10.0.0.0/24' <<'END'
subnet: 10.0.0.0/24
excludeIPs: [10.0.1.1]
END
	bad 'a reversed excluded range' 'spec.excludeIPs[0]' 'the range is reversed' <<'END'
subnet: 10.0.0.0/24
excludeIPs: [10.0.0.9-10.0.0.1]
END
	bad 'a gateway that is none' spec.gateway 'gateway must be an IP address' <<'END'
subnet: 10.0.0.0/24
gateway: 10.0.0.0/24
END
	bad 'a gateway outside' spec.gateway 'gateway 10.0.1.1 is not inside subnet 10.0.0.0/24' <<'END'
subnet: 10.0.0.0/24
gateway: 10.0.1.1
END
	bad 'a gateway among ips' spec.gateway 'gateway 10.0.0.9 is among ips: take it out, or put it into excludeIPs' <<'END'
subnet: 10.0.0.0/24
ips: [10.0.0.200, 10.0.0.2-10.0.0.10]
gateway: 10.0.0.9
END
	bad 'a default route among routes' 'spec.routes[0].dst' 'dst must not be the default route, gateway is for that' <<'END'
subnet: 10.0.0.0/24
routes: [{dst: 0.0.0.0/0, gw: 10.0.0.1}]
END
	bad 'a route to nowhere' 'spec.routes[0].dst' 'dst must be a CIDR, such as 10.0.0.0/8' <<'END'
subnet: 10.0.0.0/24
routes: [{dst: 10.1.0.0, gw: 10.0.0.1}]
END
	bad 'a route of the other family' spec.routes 'every dst of routes must be of the family of subnet 10.0.0.0/24' <<'END'
subnet: 10.0.0.0/24
routes: [{dst: "fd00::/64", gw: 10.0.0.1}]
END
	bad 'a next hop outside' spec.routes 'every gw of routes must be inside subnet 10.0.0.0/24' <<'END'
subnet: 10.0.0.0/24
routes: [{dst: 10.1.0.0/16, gw: 10.0.1.1}]
END
	bad 'a destination twice' spec.routes 'a dst stands twice in routes' <<'END'
subnet: 10.0.0.0/24
routes: [{dst: 10.1.0.0/16, gw: 10.0.0.1}, {dst: 10.1.0.0/16, gw: 10.0.0.2}]
END
	bad 'a route without next hop' 'spec.routes[0].gw' 'Required value' <<'END'
subnet: 10.0.0.0/24
routes: [{dst: 10.1.0.0/16}]
END
	bad 'an empty pod selector' spec.podAffinity 'podAffinity must not be empty, leave it out for all pods' <<'END'
subnet: 10.0.0.0/24
podAffinity: {}
END
}

good_pools() {
	good 'a pool without ips' <<'END'
subnet: 10.0.0.0/24
END
	good 'a pool with everything' <<'END'
ipVersion: 4
subnet: 10.0.0.0/24
ips: [10.0.0.1-10.0.0.200, 10.0.0.9, 10.0.0.255]
excludeIPs: [10.0.0.5-10.0.0.9]
gateway: 10.0.0.9
routes: [{dst: 10.1.0.0/16, gw: 10.0.0.1}, {dst: 10.2.0.0/16, gw: 10.0.0.1}]
podAffinity: {matchLabels: {app: a}}
namespaceAffinity: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}
nodeAffinity: {matchExpressions: [{key: zone, operator: Exists}]}
namespaceName: [default]
nodeName: [master]
multusName: [kube-system/ipvlan-eth0]
default: true
disable: true
END
	good 'an IPv6 pool' <<'END'
ipVersion: 6
subnet: fd00:1::/64
ips: ["fd00:1::10-fd00:1::ff", "FD00:1::5"]
excludeIPs: ["fd00:1::11"]
gateway: fd00:1::1
routes: [{dst: "fd00:2::/64", gw: "fd00:1::2"}]
END
	{
		echo 'subnet: 10.0.0.0/16'
		echo 'gateway: 10.0.255.254'
		echo 'ips:'
		i=0
		while [ "$i" -lt 2000 ]; do
			echo "- 10.0.$((i / 100)).$((i % 100 * 2))-10.0.$((i / 100)).$((i % 100 * 2))"
			i=$((i + 1))
		done
	} >"$work/large"
	good 'a pool of 2000 ranges' <"$work/large"
}

bad_reserved_ips() {
	bad_reserved 'reserved: nothing at all' spec.ips 'ips must not be empty unless ipVersion is given' <<'END'
ips: []
END
	bad_reserved 'reserved: no address' 'spec.ips[0]' 'must be an address, or a range' <<'END'
ips: [ten]
END
	bad_reserved 'reserved: two families' spec.ips 'all addresses must be of one family' <<'END'
ips: [10.0.0.1, "fd00::1"]
END
	bad_reserved 'reserved: another family than said' spec.ips 'all addresses must be of one family' <<'END'
ipVersion: 6
ips: [10.0.0.1]
END
	reserved good >"$work/object" <<'END'
ips: [172.31.199.186, 192.168.0.158-192.168.0.159]
END
	check 'reserved: a good one' accepted <"$work/object"
}

bad_endpoint() {
	refused status.current.ips 'Required value' <<'END'
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderEndpoint
metadata: {name: bad, namespace: default}
status: {current: {uid: u, node: n}, ownerControllerType: Pod, ownerControllerName: bad}
END
}

guide_pools() {
	k apply --validate=strict -f "$pools"
}

# not_patched FIELD MESSAGE PATCH: a merge patch of the first pool is refused
not_patched() {
	if k patch sp master-172 --type=merge -p "$3" >"$work/answer" 2>&1; then
		echo 'it was accepted'
		return 1
	fi
	cat "$work/answer"
	grep -F "$1: " "$work/answer" | grep -qF "$2"
}

# What the agents do to a pool: family, finalizer, and a status through the subresource.
settle() {
	for p in master-172 master-192 worker-172 worker-192; do
		k patch sp "$p" --type=merge -p '{"spec":{"ipVersion":4}}' &&
			k patch sp "$p" --subresource=status --type=merge -p \
				'{"status":{"allocatedIPs":"{}","allocatedIPCount":1,"totalIPCount":5}}' || return 1
	done
}

status_apart() {
	k patch sp master-172 --type=merge -p '{"status":{"allocatedIPCount":4}}' &&
		[ "$(k get sp master-172 -o 'jsonpath={.status.allocatedIPCount}')" = 1 ]
}

still_applies() {
	k apply -f "$pools" >"$work/again" && ! grep -v ' unchanged$' "$work/again"
}

endpoint() {
	k create -f - <<'END'
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderEndpoint
metadata: {name: test-app-1-ddlx7, namespace: default}
status:
  current:
    uid: 2f3b0a4e-0000-4000-8000-000000000001
    node: master
    ips:
    - interface: eth0
      ipv4: 172.31.199.187/20
      ipv4Pool: master-172
      ipv4Gateway: 172.31.207.253
  ownerControllerType: DaemonSet
  ownerControllerName: test-app-1
END
}

in_category() {
	k get spiderpool -A -o name >"$work/names" &&
		grep -qx 'spiderippool.spiderpool.spidernet.io/master-172' "$work/names" &&
		grep -qx 'spiderendpoint.spiderpool.spidernet.io/test-app-1-ddlx7' "$work/names" &&
		grep -qx 'spiderreservedip.spiderpool.spidernet.io/reserved' "$work/names"
}

# may VERB RESOURCE yes|no [FLAG]...
may() {
	verb=$1 resource=$2 wanted=$3
	shift 3
	answer=$(k auth can-i "$verb" "$resource" --as=system:serviceaccount:kube-system:spiderpool-agent -A "$@" 2>/dev/null || true)
	[ "$answer" = "$wanted" ] || echo "$verb $resource $*: $answer"
}

least_privilege() {
	{
		group=spiderpool.spidernet.io
		for v in get list watch patch; do may "$v" "spiderippools.$group" yes; done
		for v in create delete update; do may "$v" "spiderippools.$group" no; done
		may patch "spiderippools.$group" yes --subresource=status
		for v in get list watch create patch delete; do may "$v" "spiderendpoints.$group" yes; done
		for v in get list watch; do may "$v" "spiderreservedips.$group" yes; done
		may patch "spiderreservedips.$group" no
		for r in pods nodes; do
			for v in get list watch; do may "$v" "$r" yes; done
			for v in patch update delete; do may "$v" "$r" no; done
		done
		may patch pods yes --subresource=status
		may update pods no --subresource=status
		for v in create patch; do may "$v" events yes; done
		for v in get list watch update delete; do may "$v" events no; done
		for v in get list; do may "$v" servicecidrs.networking.k8s.io yes; done
		for r in secrets configmaps; do may get "$r" no; done
	} >"$work/rights"
	cat "$work/rights"
	[ ! -s "$work/rights" ]
}

tables() {
	cat >"$work/table" <<'END'
NAME         VERSION   SUBNET            ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   DEFAULT
master-172   4         172.31.192.0/20   1                    5                true
master-192   4         192.168.0.0/24    1                    5                true
worker-172   4         172.31.192.0/20   1                    5                true
worker-192   4         192.168.0.0/24    1                    5                true
END
	cat >"$work/wide" <<'END'
NAME         VERSION   SUBNET            ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   DEFAULT   DISABLE   NODENAME     MULTUSNAME                    APP-NAMESPACE
master-172   4         172.31.192.0/20   1                    5                true      false     ["master"]   ["kube-system/ipvlan-eth0"]   
END
	cat >"$work/endpoints" <<'END'
NAME               INTERFACE   IPV4POOL     IPV4                IPV6POOL   IPV6   NODE
test-app-1-ddlx7   eth0        master-172   172.31.199.187/20                     master
END
	cat >"$work/reserved" <<'END'
NAME       VERSION
reserved   4
END
	check "the guide's table" same "$work/table" k get spiderippool
	check 'the wide table' same "$work/wide" k get spiderippool master-172 -o wide
	check 'short name sp' same "$work/table" k get sp
	check 'short name se' same "$work/endpoints" k get se -n default
	check 'short name sr' same "$work/reserved" k get sr
	check 'category spiderpool' in_category
}

clean() {
	k delete -f "$pools" --ignore-not-found --wait=false &&
		k delete sr reserved --ignore-not-found --wait=false &&
		k delete se -n default test-app-1-ddlx7 --ignore-not-found --wait=false
}

check 'a dry run on the server' k apply --dry-run=server -f "$top/deploy/"
check 'it is applied' applies
check 'a second time changes nothing' apply_again
check 'the schemas are structural' structural
check 'the agents may do what they need and no more' least_privilege
clean >"$work/log" 2>&1 || true
good_pools
bad_pools
bad_reserved_ips
check 'an endpoint without addresses' bad_endpoint
check "the guide's pools, as printed" guide_pools
check 'the agents fill in what is missing' settle
check 'ipVersion stays' not_patched spec.ipVersion 'ipVersion cannot be changed' '{"spec":{"ipVersion":6}}'
check 'subnet stays' not_patched spec.subnet 'subnet cannot be changed' '{"spec":{"subnet":"172.31.0.0/16"}}'
check 'status is written apart' status_apart
check "the guide's pools once more" still_applies
check 'an endpoint with its status' endpoint
reserved reserved >"$work/object" <<'END'
ipVersion: 4
ips: [172.31.199.186]
END
check 'a reserved address' k create -f "$work/object"
tables
check 'clean up' clean
[ "$failed" = 0 ]
