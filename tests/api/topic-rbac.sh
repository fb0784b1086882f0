# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# What a client without rights is told.

pools=/apis/spiderpool.spidernet.io/v2beta1/spiderippools
pods=/api/v1/namespaces/default/pods

# a token without rights, a certificate without rights, nothing, nonsense
kubectl create serviceaccount nobody >"$work/log" 2>&1 || cat "$work/log"
kubectl create token nobody >"$work/nobody.token" 2>"$work/log" || cat "$work/log"
api_kubeconfig "$work/token.conf" "$API_URL" "$API_DIR/ca.crt" "$work/nobody.token"
pki_cert "$API_DIR/ca" "$work/stranger" ec /CN=stranger ''
api_kubeconfig "$work/stranger.conf" "$API_URL" "$API_DIR/ca.crt" "$work/stranger.crt" "$work/stranger.key"
api_kubeconfig "$work/nameless.conf" "$API_URL" "$API_DIR/ca.crt"
echo not-a-token >"$work/bad.token"
api_kubeconfig "$work/bad.conf" "$API_URL" "$API_DIR/ca.crt" "$work/bad.token"

check 'a token without rights' says FORBIDDEN \
	'spiderippools.spiderpool.spidernet.io is forbidden: User "system:serviceaccount:default:nobody" cannot list resource "spiderippools" in API group "spiderpool.spidernet.io" at the cluster scope' \
	"$client" "$work/token.conf" get "$pools"
check 'a certificate without rights' says FORBIDDEN \
	'pods "x" is forbidden: User "stranger" cannot get resource "pods" in API group "" in the namespace "default"' \
	"$client" "$work/stranger.conf" get "$pods/x"
check 'no credentials at all' says FORBIDDEN \
	'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" in the namespace "default"' \
	"$client" "$work/nameless.conf" get "$pods"
check 'a token that is none' says IDENTITY "API server 127.0.0.1:$API_PORT does not accept our token: Unauthorized" \
	"$client" "$work/bad.conf" get "$pods"
# ctl tells who may not from whom nobody knows, and what to look at
ctl_says() {
	wanted=$1
	shift
	! timeout 20 "$SPIDERBOX" ctl get sp --store "kube:$1" >"$work/answer" 2>&1 || return 1
	cat "$work/answer"
	printf '%s\n' "$wanted" | diff - "$work/answer"
}
check 'ctl with a token that is none' ctl_says "Error from server (Unauthorized): API server 127.0.0.1:$API_PORT does not accept our token: Unauthorized
Has the token or the client certificate expired, and is it one of this cluster?  --store kube:FILE and --context choose others." "$work/bad.conf"
check 'ctl with a token without rights' ctl_says 'Error from server (Forbidden): spiderippools.spiderpool.spidernet.io is forbidden: User "system:serviceaccount:default:nobody" cannot list resource "spiderippools" in API group "spiderpool.spidernet.io" at the cluster scope' "$work/token.conf"
check 'an administrator may' "$client" "$KUBECONFIG" get "$pools"
