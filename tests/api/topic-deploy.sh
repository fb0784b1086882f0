# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# What deploy/ does: a script of its own, that people may run on any server.  Then its ConfigMap, as
# the server has it and as a volume shows it, with an agent.

KUBECTL=$SERVERS_DIR/kubectl tests/api/deploy.sh || failed=1

conf=$work/conf
conf_volume() {
	mkdir -p "$conf"
	for _key in conf.yml clusterNetwork; do
		kubectl -n kube-system get configmap spiderpool-conf -o "go-template={{index .data \"$_key\"}}" >"$conf/$_key" || return 1
	done
}

# Each key that the agent reads stands there, after a comment of its own or of its neighbour.
conf_keys() {
	{
		echo enableGatewayDetection
		echo enableIPConflictDetection
		echo enableIPv4
		echo enableIPv6
		echo enableKubevirtStaticIP
		echo enableStatefulSet
		echo ipamUnixSocketPath
		echo multusConf
		echo tuneSysctlConfig
	} >"$conf/keys"
	sed -n 's/^\([A-Za-z0-9]*\): .*/\1/p' "$conf/conf.yml" | LC_ALL=C sort | diff "$conf/keys" - || return 1
	[ "$(grep -c '^# ' "$conf/conf.yml")" -ge 7 ]
}

# conf_agent WORDS: an agent with it starts, and tells the words at level warn or info of conf.yml; none for ''.
# In a network namespace of its own, the sysctls of which it may tune.
conf_agent() {
	unshare -rn "$SPIDERBOX" agent daemon --config-path="$conf/conf.yml" --store "dir:$conf/store" --socket "$conf/sock" \
		--state-dir "$conf/state" --health-addr '' >"$conf/log" 2>&1 &
	_agent=$!
	wait_until 20 grep -q 'is ready' "$conf/log" || true
	end "$_agent"
	cat "$conf/log"
	grep -q 'sysctl net/ipv4/conf/all/arp_notify: 1, was 0' "$conf/log" || return 1
	grep -q 'is ready' "$conf/log" && [ "$(sed -n "s|.*$conf/conf.yml: ||p" "$conf/log")" = "$1" ]
}

# The agent's container reads what the volume shows.
conf_is_mounted() {
	kubectl -n kube-system get daemonset spiderpool-agent -o json >"$conf/daemonset" &&
		jq -e '.spec.template.spec
			| (.volumes[] | select(.configMap.name == "spiderpool-conf").name) as $volume
			| .containers[0]
			| (.volumeMounts[] | select(.name == $volume and .readOnly).mountPath) as $path
			| (.volumeMounts[] | select(.name == "cni-conf").mountPath) as $net
			| .args == ["agent", "--config-path=\($path)/conf.yml", "--multus-conf-dir=\($net)"]' "$conf/daemonset"
}

conf_changed() {
	kubectl -n kube-system get configmap spiderpool-conf -o json |
		jq '.data["conf.yml"] += "enableipv6: false\nenableSpiderSubnet: true\n"' |
		kubectl apply --dry-run=server -o 'go-template={{index .data "conf.yml"}}' -f - >"$conf/new" || return 1
	mv "$conf/new" "$conf/conf.yml"
	conf_agent 'unknown keys are ignored: "enableipv6" (is "enableIPv6" meant?)
nothing is done here for enableSpiderSubnet'
}

check 'the ConfigMap, as files' conf_volume
check 'it has every key, explained' conf_keys
check 'it is mounted where the agent looks' conf_is_mounted
check 'an agent reads it and has nothing to say' conf_agent ''
check 'what it does not know, it names' conf_changed
