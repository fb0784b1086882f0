# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# lib.sh - numbers of many calls, sourced.

# percentile FILE COLUMN P: the value that P percent of the lines are not above
percentile() {
	awk -v c="$2" '{ print $c }' "$1" | sort -n | awk -v p="$3" '
		{ v[NR] = $1 }
		END { i = int((NR * p + 99) / 100); print v[i < 1 ? 1 : i] }'
}
