# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# What pods leave behind is freed, and nothing else.

# shellcheck source=tests/api/agents.sh
. tests/api/agents.sh

# quiet SECONDS POOL COUNT: the pool has other records than that, all the time
quiet() {
	! wait_until "$1" holds "$2" "$3"
}

# phase POD PHASE [REASON]
phase() {
	api PATCH "$(path pod "$1")/status" "{\"status\":{\"phase\":\"$2\"${3:+,\"reason\":\"$3\"}}}"
}

check 'a node' agents_begin "$work/gc" one
check 'an agent starts' agent_start one
check 'a pool is made' pools <<'TEXT'
g subnet: 10.23.0.0/24, ips: [10.23.0.1-10.23.0.50]
TEXT

# evidence
check 'a pod that lives' named live one '["g"]'
check 'has an address' gets one live eth0 10.23.0.1/24
left_behind() {
	for _p in forced over failed evicted; do
		named $_p one '["g"]' && ask one 200 POST ipam/ip "$(identity $_p eth0)" || return 1
	done
	holds g 5
}
check 'four that will end' left_behind
check 'they stay while they live' quiet 4 g 1
end_all() {
	unpod forced && phase over Succeeded && phase failed Failed && phase evicted Failed Evicted
}
check 'one is deleted by force, one succeeds, one fails, one is evicted' end_all
check 'all their addresses are free within 10 s' wait_until 10 holds g 1
check 'but not that of the one that lives' is live "$(record g 10.23.0.1 .pod | sed 's:.*/::')"
check 'which is counted' metric one 'spiderpool_ip_gc_counts_total 4'
check 'and an evicted pod gets no other' fails one evicted eth0 500 'pod default/evicted gets no address'

# a network namespace that lives: a file on which it is mounted, where that is allowed
netns_make() {
	netns=$agents/netns
	: >"$netns"
	unshare -n mount --bind /proc/self/ns/net "$netns" || echo 'a file stands for it'
}
netns_end() {
	umount "$netns" 2>/dev/null || :
	rm "$netns"
}
check 'a network namespace' netns_make
check 'a pod whose network namespace lives' named ns one '["g"]'
check 'gets an address' gets one ns eth0 10.23.0.6/24
check 'the pod is deleted by force' unpod ns
check 'while its namespace lives its address is not freed' quiet 8 g 1
check 'the namespace goes' netns_end
check 'once it is gone the address is' wait_until 10 holds g 1

# another boot: a namespace with the same path and inode says nothing
check 'a network namespace again' netns_make
check 'two pods before a reboot' named boot1 one '["g"]'
check 'the second' named boot2 one '["g"]'
check 'one address' gets one boot1 eth0 10.23.0.7/24
check 'another' gets one boot2 eth0 10.23.0.8/24
reboot_with() {
	agent_end one KILL
	for _f in "$agents"/state-one/attachments/*boot*; do
		jq 'select(.bootID) | .bootID = "another"' "$_f" >"$work/attachment" && grep -q another "$work/attachment" &&
			cp "$work/attachment" "$_f" || return 1
	done
	unpod boot1 && agent_start one
}
check 'the node reboots, and one of them is gone' reboot_with
check 'its address is free within 10 s' wait_until 10 holds g 2
check 'the other one stays' quiet 5 g 1
check 'and is found again' gets one boot2 eth0 10.23.0.8/24
check 'the namespace goes' netns_end
netns=
check 'its container ends' takes one boot2 eth0
check 'and its address is free' holds g 1

# the agent is away
check 'a pod' named away one '["g"]'
check 'with an address' gets one away eth0 10.23.0.9/24
agent_end one KILL
check 'is deleted while no agent runs' unpod away
check 'the agent starts' agent_start one
check 'and frees its address within 10 s' wait_until 10 holds g 1

# and the pool becomes another node's meanwhile: nobody watches it for this one any more
check 'a pool of this node' pools <<'TEXT'
h subnet: 10.24.0.0/24, ips: [10.24.0.1-10.24.0.9], nodeName: [one]
TEXT
check 'a pod' named moved one '["h"]'
check 'with an address' gets one moved eth0 10.24.0.1/24
relabelled() {
	api GET "$(path pool h)" && jq -e '.metadata.labels["node.ipam.spidernet.io/two"] == ""' "$answer"
}
check 'the pool is given to another node' api PATCH "$(path pool h)" '{"spec":{"nodeName":["two"]}}'
check 'and labelled so' wait_until 20 relabelled
agent_end one KILL
check 'the pod is deleted while no agent runs' unpod moved
check 'the agent starts' agent_start one
check 'and frees the address there within 10 s of that' wait_until 12 holds h 0

# somebody empties the state folder: what is not there proves nothing
check 'a network namespace that lives' netns_make
check 'a pod' named wiped one '["g"]'
check 'with an address' gets one wiped eth0 '10.23.0.*/24'
agent_end one KILL
rm -r "$agents/state-one"
check 'its pod is deleted, the records of the node are too' unpod wiped
check 'an agent starts there' agent_start one
check 'it does not take the missing record for the end of the container' quiet 8 g 1
check 'but the DEL' takes one wiped eth0
check 'frees the address' holds g 1
check 'the namespace goes' netns_end
netns=

# who is not answered knows nothing
without_pods() {
	sed '/resources: \[pods, nodes\]/s/pods, //' deploy/20-rbac.yaml | kubectl apply -f -
}
check 'a pod' named blind one '["g"]'
check 'has an address' gets one blind eth0 '10.23.0.*/24'
check 'the agent may not read pods any more' without_pods
check 'the pod is deleted' unpod blind
check 'but nothing is freed' quiet 8 g 1
agent_end one KILL
agent_blind() {
	! agent_start one
}
check 'nor by an agent that starts now, which never becomes ready' agent_blind
check 'its address stays' holds g 2
check 'the agent may read pods again' kubectl apply -f deploy/20-rbac.yaml
check 'and frees the address' wait_until 60 holds g 1

check 'the pod that lived all the time has its address' gets one live eth0 10.23.0.1/24
check 'all ends' agents_end
