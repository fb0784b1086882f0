# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034 # failed is for who sources it
#
# ok.sh - TAP for suites that compare a lot (sourced): ok, not, same, await.  What a command printed goes to
# files in $work, and is shown when it failed; then $failed is 1.
: "${work:?}"
failed=0

# ok DESCRIPTION COMMAND...: it succeeds
ok() {
	ok_text=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok - $ok_text"
	else
		echo "not ok - $ok_text"
		sed 's/^/# /' "$work/out"
		failed=1
	fi
}
# shellcheck disable=SC2317 # called by ok
not() {
	! "$@"
}
# same DESCRIPTION WANTED GOT: they are equal
same() {
	if [ "$2" = "$3" ]; then
		echo "ok - $1"
		return
	fi
	printf '%s\n' "$2" >"$work/wanted"
	printf '%s\n' "$3" >"$work/got"
	ok "$1" diff -u "$work/wanted" "$work/got"
}
# await COMMAND...: within thirty seconds
await() {
	await_end=$(($(date +%s) + 30))
	until "$@" >"$work/await" 2>&1; do
		[ "$(date +%s)" -lt "$await_end" ] || {
			cat "$work/await"
			return 1
		}
		sleep 0.02
	done
}
