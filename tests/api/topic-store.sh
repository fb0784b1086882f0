# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2034 # variables of run.sh and lib.sh
#
# The conformance of the store on this API server, with the same checks that the unit suite makes on
# a directory.

program store/main.c conformance

status=0
CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$out/conformance" "kube:$KUBECONFIG" >"$out/conformance.log" 2>&1 || status=$?
sed -n 's/^\(not ok\|ok\) [0-9]* - /\1 - store: /p' "$out/conformance.log"
if [ "$status" != 0 ] || ! grep -q '^ok' "$out/conformance.log"; then
	failed=1
	sed 's/^/# /' "$out/conformance.log" | tail -n 60
	grep -q '^not ok' "$out/conformance.log" || echo "not ok - store: ended with status $status"
fi
