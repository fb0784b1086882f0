# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # shared with those who source it
#
# lib.sh - numbers of many calls, sourced.
#
# Of percentile and calculate alone it needs nothing.  The rest: $work, a folder that holds the API
# server's audit log, "audit", and what is measured; $load, the program load.c; $plugin, what it
# starts; $round, of the calls; $cores, of this machine; groups(), which prints the process ids of the
# agents, the API server and etcd, as load.c wants them, or of the agents alone; after_calls(), which
# waits for what calls leave to be done.  $bad becomes 1 when a run is of no use.

# percentile FILE COLUMN P: the value that P percent of the lines are not above
percentile() {
	awk -v c="$2" '{ print $c }' "$1" | sort -n | awk -v p="$3" '
		{ v[NR] = $1 }
		END { i = int((NR * p + 99) / 100); print v[i < 1 ? 1 : i] }'
}

# calculate FORMAT EXPRESSION
calculate() {
	awk "BEGIN { printf \"$1\", ($2) }"
}

stop() {
	echo "bench: $*" >&2
	exit 1
}

# quietly COMMAND...: what it says is of interest when it fails
quietly() {
	"$@" >"$work/quiet" 2>&1 || {
		tail -n 20 "$work/quiet" >&2
		stop "failed: $*"
	}
}

# figure NAME VALUE [most|least GOAL]
figure() {
	verdict=ok
	case $2 in '' | *[!0-9.]*) stop "$1 cannot be measured: \"$2\"" ;; esac
	case ${3:-} in
	most) [ "$(calculate %d "$2 <= $4")" = 1 ] || verdict=short ;;
	least) [ "$(calculate %d "$2 >= $4")" = 1 ] || verdict=short ;;
	esac
	echo "$1 $2 ${4:--} $verdict" >>"$work/figures"
}

# must NAME VALUE most|least GOAL: a run that misses this one is of no use
must() {
	figure "$@"
	[ "$verdict" = ok ] || bad=1
}

# calls ROW COMMAND PARALLEL PODS ENDPOINTS: one round of a row, and what follows it
calls() {
	skip=$(wc -c <"$work/audit")
	# shellcheck disable=SC2046 # words
	before=$("$load" cpu $(groups))
	# shellcheck disable=SC2046
	during=$("$load" calls "$2" "$3" "$plugin" "$4" "$round" "$work/$1.times" $(groups) 2>"$work/calls") ||
		grep '^load: ' "$work/calls" | head -n 3 >&2 || true
	settle=$("$load" endpoints "$KUBECONFIG" "$5" 60) || stop "the endpoints of $1 are not as they should be"
	after_calls
	# shellcheck disable=SC2046
	after=$("$load" cpu $(groups))
	tail -c "+$((skip + 1))" "$work/audit" >>"$work/$1.audit"
	[ -n "$during" ] || stop "$1 cannot be measured"
	echo "$during $settle $before $after" >>"$work/$1.rounds"
}

# requests FILE: of an audit log, "VERB KIND STATUS" of each
requests() {
	jq -r '"\(.verb) \(.objectRef.resource)\(if .objectRef.subresource then "/" + .objectRef.subresource else "" end) \(.responseStatus.code)"' "$1"
}

# totals ROW: of its rounds.  Sets n, failed, distinct, rate, settle, the CPU time of a call (plugin_us,
# agent_us, api_us, etcd_us), the parts of the machine's (s_plugin, s_agent, s_api, s_etcd, busy), the times (p50,
# p90, p99) and each, the requests of a call, whose kinds are in the file ROW.requests.
totals() {
	requests "$work/$1.audit" >"$work/$1.requests"
	# count failed distinct wall plugin machine, the groups during the calls; settle; the groups
	# before and after it all
	read -r n failed distinct rate settle plugin_us agent_us api_us etcd_us s_plugin s_agent s_api s_etcd busy <<-LINE
		$(awk -v cores="$cores" '
			{
				n += $1; failed += $2; distinct += $3; wall += $4; plugin += $5; busy += $6
				groups = (NF - 7) / 3
				for (i = 1; i <= groups; i++) {
					during[i] += $(6 + i)
					all[i] += $(7 + 2 * groups + i) - $(7 + groups + i)
				}
				if ($(7 + groups) > settle) settle = $(7 + groups)
			}
			END {
				whole = wall * cores / 100
				printf "%d %d %d %.0f %d %.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f", n, failed, distinct, n / (wall / 1e6), settle,
					plugin / n, all[1] / n, all[2] / n, all[3] / n,
					plugin / whole, during[1] / whole, during[2] / whole, during[3] / whole, busy / whole
			}' "$work/$1.rounds")
	LINE
	p50=$(percentile "$work/$1.times" 1 50) p90=$(percentile "$work/$1.times" 1 90) p99=$(percentile "$work/$1.times" 1 99)
	p50=$(calculate %.2f "$p50 / 1000") p90=$(calculate %.2f "$p90 / 1000") p99=$(calculate %.2f "$p99 / 1000")
	each=$(calculate %.2f "$(wc -l <"$work/$1.requests") / $n")
}

# kinds ROW: adds a line on its requests to the file kinds
kinds() {
	sed 's/ [0-9]*$//' "$work/$1.requests" | sort | uniq -c | sort -rn |
		awk -v row="$1" -v n="$n" '
			BEGIN { printf "%-16s", row }
			{ printf "%s %.2f %s %s", (NR > 1 ? "," : ""), $1 / n, $2, $3 }
			END { print "" }' >>"$work/kinds"
}

# audit_policy: into $work/audit.yaml, of which requests the API server is to keep a log: the agents' without their watches
audit_policy() {
	cat >"$work/audit.yaml" <<-'YAML'
		apiVersion: audit.k8s.io/v1
		kind: Policy
		omitStages: [RequestReceived]
		rules:
		- {level: None, verbs: [watch]}
		- {level: Metadata, users: ["system:serviceaccount:kube-system:spiderpool-agent"]}
		- {level: None}
	YAML
	: >"$work/audit"
}
