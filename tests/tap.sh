# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # shared with those who source it
#
# tap.sh - one TAP line per check, sourced by the suites.
#
#   tap_log     a file that check may use; set it after sourcing
#   tap_topic   "" or words before each name, such as "cluster: "
#   failed      1 after a check that failed
#
# Names that begin with an underscore are this file's own: a check may set any other.
tap_topic=
failed=0

ok() {
	echo "ok - $tap_topic$*"
}
not_ok() {
	echo "not ok - $tap_topic$*"
	failed=1
}

# check NAME COMMAND...: ok when it succeeds; what it printed is shown when it does not
check() {
	_name=$1
	shift
	if "$@" >"$tap_log" 2>&1; then
		ok "$_name"
	else
		not_ok "$_name"
		sed 's/^/# /' "$tap_log" | tail -n 60
	fi
}

# is WANTED GOT: the same text
is() {
	[ "$1" = "$2" ] || {
		printf 'wanted: %s\ngot:    %s\n' "$1" "$2"
		return 1
	}
}
