# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# chain.sh - runs a network configuration list the way libcni does (CNI SPEC.md, section 3; sourced).
#
#   chain_add NODE LIST CONTAINER_ID NETNS IFNAME ARGS   prints the last result
#   chain_del ...                                        the same arguments, in reverse order
#   chain_check ...
#
# NODE is one of fabric.sh's; LIST is the JSON text of a list, such as a NetworkAttachmentDefinition's
# spec.config.  Plugins are found in the node's /opt/cni/bin.  The last result is kept per
# attachment in CHAIN_CACHE (a folder) as libcni keeps it, for CHECK and (from 0.4.0 on) DEL.
# On failure the plugin's error document is printed and the status is not zero; nothing is undone,
# as a runtime would not: it calls DEL.

: "${CHAIN_CACHE:=/run/chain-cache}"

chain_file() {
	echo "$CHAIN_CACHE/$(echo "$1" | jq -r .name)-$2-$3.json"
}

# chain_run NODE COMMAND CONF CONTAINER_ID NETNS IFNAME ARGS: one plugin
chain_run() {
	chain_type=$(echo "$3" | jq -r .type)
	printf %s "$3" | on "$1" env CNI_COMMAND="$2" CNI_CONTAINERID="$4" CNI_NETNS="$5" CNI_IFNAME="$6" \
		CNI_ARGS="$7" CNI_PATH=/opt/cni/bin "/opt/cni/bin/$chain_type"
}

chain_add() {
	mkdir -p "$CHAIN_CACHE"
	chain_result=null
	chain_n=$(echo "$2" | jq '.plugins | length')
	chain_i=0
	while [ "$chain_i" -lt "$chain_n" ]; do
		chain_conf=$(echo "$2" | jq -c --argjson i "$chain_i" --argjson prev "$chain_result" \
			'. as $l | .plugins[$i] + {name: $l.name, cniVersion: $l.cniVersion}
			| if $prev then . + {prevResult: $prev} else . end')
		chain_out=$(chain_run "$1" ADD "$chain_conf" "$3" "$4" "$5" "$6") || {
			printf '%s\n' "$chain_out"
			return 1
		}
		chain_result=$(printf %s "$chain_out" | jq -c .) || return 1
		chain_i=$((chain_i + 1))
	done
	printf '%s\n' "$chain_result" >"$(chain_file "$2" "$3" "$5")"
	printf '%s\n' "$chain_result"
}

# chain_all COMMAND ORDER NODE LIST CONTAINER_ID NETNS IFNAME ARGS: with the kept result where there is one
chain_all() {
	chain_kept=$(chain_file "$4" "$5" "$7")
	chain_result=null
	[ ! -s "$chain_kept" ] || chain_result=$(cat "$chain_kept")
	for chain_i in $(echo "$4" | jq -r "[range(.plugins | length)] | $2 | .[]"); do
		chain_conf=$(echo "$4" | jq -c --argjson i "$chain_i" --argjson prev "$chain_result" --arg command "$1" \
			'. as $l | .plugins[$i] + {name: $l.name, cniVersion: $l.cniVersion}
			| if $prev and ($command != "DEL" or ([$l.cniVersion] | inside(["0.3.0", "0.3.1"]) | not))
			  then . + {prevResult: $prev} else . end')
		chain_run "$3" "$1" "$chain_conf" "$5" "$6" "$7" "$8" || return 1
	done
}

chain_del() {
	chain_all DEL reverse "$@" || return 1
	rm -f "$(chain_file "$2" "$3" "$5")"
}

chain_check() {
	chain_all CHECK . "$@"
}
