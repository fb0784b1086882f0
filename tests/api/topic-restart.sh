# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# A watch outlives the API server and loses nothing, whatever happens while it is away.

kubectl create namespace restart >"$work/log" 2>&1 || cat "$work/log"

configmap() {
	kubectl create configmap "$1" -n restart --from-literal=a=b
}

shows() {
	grep -qx "$1" "$work/events"
}

listed() {
	grep -qx '# listed' "$work/events"
}

start_watch() {
	"$client" "$KUBECONFIG" watch restart >"$work/events" 2>&1 &
	watch_pid=$!
	wait_until 20 listed
}

told() {
	wait_until 30 shows "$1"
}

# Everything above, and nothing twice.
each_once() {
	for event in 'ADDED a' 'ADDED b' 'ADDED c' 'DELETED a' 'ADDED d' 'ADDED e'; do
		[ "$(grep -cx "$event" "$work/events")" = 1 ] || {
			echo "not once: $event"
			cat "$work/events"
			return 1
		}
	done
}

# The watching process sleeps meanwhile, so that it cannot see any of this as it happens.
much_happens_unseen() {
	kill -s STOP "$watch_pid"
	api_server_stop KILL
	api_server_start &&
		configmap b && configmap c && kubectl delete configmap a -n restart &&
		kubectl label configmap b -n restart x=y
	rc=$?
	kill -s CONT "$watch_pid"
	return $rc
}

check 'a watch begins' start_watch
check 'an object before' configmap a
check 'it is told' told 'ADDED a'
check 'a restart by SIGKILL, and changes that the watch sleeps through' much_happens_unseen
check 'all of them are told' told 'DELETED a'
check 'an object after' configmap d
check 'it is told as it happens' told 'ADDED d'
# an orderly end says goodbye to every watch
api_server_stop TERM
check 'a restart by SIGTERM' api_server_start
check 'one more object' configmap e
check 'it is told too' told 'ADDED e'

# A server that hangs: connections open, nobody answers.
hangs() {
	kill -s STOP "$API_PID"
	rc=0
	says TIMEOUT "API server 127.0.0.1:$API_PORT" "$client" "$KUBECONFIG" get /version || rc=1
	kill -s CONT "$API_PID"
	return "$rc"
}

check 'a server that hangs' hangs
check 'it goes on' "$client" "$KUBECONFIG" get /version
end "$watch_pid"
check 'each event was told once' each_once
