#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The bench suite: a short run of bench.sh.  Every figure is there, once and well formed; nothing
# failed and nothing leaked.  How good they are is no matter of this suite: machines differ.  Where this
# machine's kernel lacks what the figures native-... need, they are left out, which is no matter of the
# software, and said.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
# shellcheck source=tests/tap.sh
. tests/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# shellcheck disable=SC2034 # for tap.sh
tap_log=$work/log

runs() {
	tests/bench/bench.sh short >"$work/out" || {
		cat "$work/out"
		return 1
	}
}

# The names of all figures.
names() {
	printf '%s\n' floor-process-ms floor-patch-ms floor-add-ms add-p1-ratio exact-addresses plugin-peak-kb agent-idle-kb agent-kb \
		agent-end-kb foreign-kb foreign-fresh-kb foreign-seconds foreign-make-us foreign-churn-us idle-us
	for row in one-add-1 one-del-1 one-add-10 one-del-10 one-add-50 one-del-50 \
		shared-add-5 shared-del-5 shared-add-10 shared-del-10 shared-add-50 shared-del-50 \
		five-add-10 five-del-10 five-add-50 five-del-50 exact-add-50 exact-del-50 foreign-add-1 foreign-del-1; do
		for column in rate p50-ms p90-ms p99-ms failed requests conflicts settle-ms plugin-us agent-us api-us etcd-us api-share busy cpu-rate; do
			echo "$row-$column"
		done
		case $row in *-add-*) echo "$row-double" ;; *) echo "$row-leaked" ;; esac
	done
	chain_names chain ipvlan
	printf 'chain-%s\n' ping-node-us ping-pod-us rtt-node-us rtt-pod-us rtt-service-us tcp-node-mbits tcp-pod-mbits tcp-service-mbits
	[ -n "$unmeasured" ] || chain_names native macvlan
}

# chain_names PREFIX KIND: what both ways to run the chain have
chain_names() {
	printf "$1-%s\\n" floor-patch-ms add-requests leaked
	for what in add del; do
		printf "$1-%s\\n" "turn-$what-ms" "floor-$what-ms" "$what-ratio" "$what-cpu-ms" "floor-$what-cpu-ms"
		for row in "$what-1" "$what-10" "$what-crowded"; do
			for column in rate p50-ms p90-ms p99-ms failed requests settle-ms plugin-us agent-us; do
				echo "$1-$row-$column"
			done
			[ "$what" = del ] || echo "$1-$row-double"
		done
		for who in multus "$2" ipam coordinator floor; do
			echo "$1-$what-$who-syscalls"
			echo "$1-$what-$who-netlink"
		done
	done
}

# After the last empty line.
figures() {
	awk '!NF { n = 0; next } { line[n++] = $0 } END { for (i = 0; i < n; i++) print line[i] }' "$work/out"
}

all_there() {
	names | sort >"$work/wanted"
	figures | cut -d' ' -f1 | sort | diff "$work/wanted" -
}

well_formed() {
	! figures | grep -vE '^[a-z0-9-]+ [0-9]+(\.[0-9]+)? (-|[0-9]+(\.[0-9]+)?) (ok|short)$' && ! figures | grep ' - short$'
}

# A verdict is the comparison of its line's numbers: rates and addresses are to be at least the goal,
# others at most.
right_verdicts() {
	figures | awk '$3 != "-" {
		good = $1 ~ /-(rate|addresses)$/ ? $2 >= $3 : $2 <= $3
		if (good != ($4 == "ok")) { print; bad = 1 }
	} END { exit bad }'
}

# It was all done: calls take time, and an ADD takes a request or two.
plausible() {
	figures | awk '
		/-(p50-ms|p90-ms|p99-ms|rate|cpu-rate|plugin-us|api-us|kb|ratio|syscalls|mbits) / && $2 <= 0 ||
			/-agent-us / && !/^chain-/ && $2 <= 0 { print; bad = 1 }
		/-add-1-requests / && ($2 < 1 || $2 > 5) { print; bad = 1 }
		END { exit bad }'
}

# plausible_chain PREFIX KIND: the chain does what the floor does, and more, with calls of which every
# message is one; IPAM sends no message; and a way through the kernel takes time.
plausible_chain() {
	figures | awk -v prefix="$1-" -v kind="$2" '
		index($1, prefix) == 1 { v[substr($1, length(prefix) + 1)] = $2 }
		function less(a, b) { if (!(v[a] + 0 < v[b] + 0)) { print a " " v[a] " is not less than " b " " v[b]; bad = 1 } }
		END {
			less("floor-add-ms", "turn-add-ms"); less("floor-add-cpu-ms", "add-cpu-ms")
			less("floor-patch-ms", "turn-add-ms"); less("floor-del-ms", "turn-del-ms")
			split("add del", what)
			for (i in what) {
				w = what[i]
				less(w "-floor-netlink", w "-multus-netlink"); less(w "-coordinator-netlink", w "-multus-netlink")
				less(w "-floor-syscalls", w "-multus-syscalls"); less(w "-coordinator-syscalls", w "-multus-syscalls")
				less(w "-ipam-netlink", w "-" kind "-netlink"); less(w "-ipam-syscalls", w "-" kind "-syscalls")
				if (v[w "-ipam-netlink"] != 0) { print "ipam sends messages"; bad = 1 }
			}
			split("floor-del-ms floor-patch-ms" (kind == "ipvlan" ? " ping-node-us ping-pod-us rtt-node-us rtt-pod-us rtt-service-us" : ""), times)
			for (i in times) less("leaked", times[i])
			if (v["add-floor-netlink"] < 20 || v["add-floor-netlink"] > 40) { print "the floor is another"; bad = 1 }
			if (v["add-requests"] < 1 || v["add-requests"] > 5) { print "requests"; bad = 1 }
			exit bad
		}'
}

# A kernel without macvlan is told of, and no figures are made up; before anything is started.
told() {
	mkdir -p "$work/without"
	printf '#!/bin/sh\ncase "$*" in *macvlan*) exit 1 ;; esac\nexec %s "$@"\n' "$(command -v ip)" >"$work/without/ip"
	chmod +x "$work/without/ip"
	status=0
	PATH=$work/without:$PATH tests/bench/chain.sh native short >"$work/told" || status=$?
	is 77 "$status" && is 1 "$(grep -c "^not measured: .* lacks .*macvlan" "$work/told")" && is 1 "$(wc -l <"$work/told")"
}

nothing_lost() {
	! figures | grep -E -- '-(failed|double|leaked) ' | grep -v ' 0 0 ok$'
}

check 'a short run' runs
[ "$failed" = 0 ] || exit 1
unmeasured=$(sed -n 's/^not measured: //p' "$work/out")
check 'every figure is there, once' all_there
check 'and a line NAME VALUE GOAL ok|short' well_formed
check 'that says ok when the goal is met, and short when not' right_verdicts
check 'figures of what must have happened are not 0' plausible
check 'the chain takes more than the floor does, and the plugins sum up' plausible_chain chain ipvlan
if [ -z "$unmeasured" ]; then
	check 'so it does on this machine'"'"'s own kernel' plausible_chain native macvlan
else
	echo "# on this machine's own kernel it is not measured: $unmeasured"
fi
check 'a kernel that cannot run it is told of' told
check 'no call failed, no address was given twice or kept' nothing_lost
[ "$failed" = 0 ]
