# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# A service account's token that rotates while a watch and requests go on, as in a pod.

reader() {
	kubectl create namespace tokens &&
		kubectl create serviceaccount reader -n tokens &&
		kubectl create role reader -n tokens --verb=get,list,watch --resource=configmaps &&
		kubectl create rolebinding reader -n tokens --role=reader --serviceaccount=tokens:reader &&
		mkdir "$work/sa" &&
		cp "$API_DIR/ca.crt" "$work/sa/ca.crt" &&
		printf tokens >"$work/sa/namespace" &&
		new_token first
}

# new_token NAME: one that is good for as long as a secret of that name is there; put into place as
# kubelet does it, by a rename
new_token() {
	kubectl create secret generic "$1" -n tokens --from-literal=a=b &&
		kubectl create token reader -n tokens --bound-object-kind Secret --bound-object-name "$1" >"$work/$1.token" &&
		cp "$work/$1.token" "$work/sa/token.new" && mv "$work/sa/token.new" "$work/sa/token"
}

in_cluster() {
	KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=$API_PORT exec "$client" "in-cluster:$work/sa" "$@"
}

shows() {
	grep -qx "$2" "$work/$1"
}

configmap() {
	kubectl create configmap "$1" -n tokens --from-literal=a=b
}

seen_by_watch() {
	configmap "$1" && wait_until 20 shows watch "ADDED $1"
}

refused() {
	! timeout 10 "$client" "$work/first.conf" get /api/v1/namespaces/tokens/configmaps >"$work/answer" 2>&1
}

# The server itself forgets a token ten seconds after it has last believed it.
revoke_first() {
	api_kubeconfig "$work/first.conf" "$API_URL" "$API_DIR/ca.crt" "$work/first.token"
	kubectl delete secret first -n tokens && wait_until 60 refused && cat "$work/answer"
}

no_error() {
	cat "$work/repeat" "$work/watch"
	! grep -qE '^[A-Z_]+: ' "$work/repeat" && grep -qE '^[1-9][0-9]* answers' "$work/repeat"
}

check 'a token by TokenRequest' reader
in_cluster repeat /api/v1/namespaces/tokens/configmaps >"$work/repeat" 2>&1 &
repeat_pid=$!
in_cluster watch tokens >"$work/watch" 2>&1 &
watch_pid=$!
check 'a watch begins with the first token' seen_by_watch a
check 'the file gets a second token' new_token second
check 'the first is revoked' revoke_first
check 'the watch goes on' seen_by_watch b
end "$repeat_pid"
check 'no request failed' no_error
# now it must connect again, with what the file holds
api_server_stop KILL
check 'the API server comes back' api_server_start
check 'the watch connects with the second token' seen_by_watch c
end "$watch_pid"
