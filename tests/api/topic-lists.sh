# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# Lists of several pages: nothing is missing, nothing is there twice.

objects=1203

fill() {
	kubectl create namespace lists && timeout 120 "$client" "$KUBECONFIG" fill lists "$objects"
}

all_of_them() {
	"$client" "$KUBECONFIG" count lists >"$work/count" || {
		cat "$work/count"
		return 1
	}
	[ "$(head -n 1 "$work/count")" = "$objects" ] &&
		[ "$(sed 1d "$work/count" | sort -u | wc -l)" = "$objects" ]
}

# The server's own count of our requests: three pages of five hundred, one LIST each.
pages() {
	kubectl get --raw /metrics | sed -n \
		's/^apiserver_request_total{.*resource="configmaps".*scope="namespace".*verb="LIST".*} //p' | awk '{ n += $1 } END { print n + 0 }'
}

three_pages() {
	before=$(pages)
	all_of_them || return 1
	after=$(pages)
	echo "$before -> $after"
	[ "$((after - before))" = 3 ]
}

check 'many objects' fill
check 'all are listed, in three pages' three_pages
