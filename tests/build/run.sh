#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The build suite: what the static binary is, that two folders give the same bytes, and how long a
# rebuild takes.  One TAP line per check.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:=$top/build}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
tap_log="$work/log"

# copy DIR: the tree as it stands, uncommitted changes included, without what was built
copy() {
	mkdir -p "$1"
	# shellcheck disable=SC2016 # expanded by the inner shell
	git ls-files -co --exclude-standard -z | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' files |
		tar -c --null -T - | tar -x -C "$1"
}

# The version is asked of git, which would tell the folders apart when only one is a repository.
same_in_two_folders() {
	copy "$work/one"
	copy "$work/two/it's a  folder #\$1"
	(cd "$work/one" && ./build.sh) &&
		(cd "$work/two/it's a  folder #\$1" && ./build.sh) &&
		cmp "$work/one/build/spiderbox" "$work/two/it's a  folder #\$1/build/spiderbox"
}

# Libraries from a folder, with an empty cache and no apt to ask.
without_network() {
	mkdir -p "$work/no-apt"
	printf '#!/bin/sh\necho "apt was asked" >&2\nexit 1\n' >"$work/no-apt/apt-get"
	chmod +x "$work/no-apt/apt-get"
	(cd "$work/one" && rm -rf build && PATH="$work/no-apt:$PATH" XDG_CACHE_HOME="$work/cache" \
		DEPS_DIR="$DEPS/archive" ./build.sh) && cmp "$work/one/build/spiderbox" "$work/two/it's a  folder #\$1/build/spiderbox"
}
no_such_library() {
	mkdir -p "$work/nothing"
	! (cd "$work/one" && XDG_CACHE_HOME="$work/cache" DEPS_DIR="$work/nothing" ./build.sh) 2>"$work/words" &&
		grep 'DEPS_DIR has no bearssl' "$work/words"
}

# took SECONDS COMMAND...: it succeeds, within that time
took() {
	limit=$1
	shift
	begin=$(date +%s%N)
	"$@" || return 1
	ms=$((($(date +%s%N) - begin) / 1000000))
	echo "$ms ms"
	[ "$ms" -lt "$((limit * 1000))" ]
}

rebuild_nothing() {
	(cd "$work/one" && took 2 ./build.sh)
}

rebuild_one() {
	touch "$work/one/base/str.c"
	(cd "$work/one" && took 5 ./build.sh)
}

# A check that cannot fail proves nothing: a binary of the ordinary kind must be refused.
refuses_dynamic() {
	echo 'int main(void) { return 0; }' | gcc -x c -o "$work/dynamic" -
	! ./build.sh check-binary "$work/dynamic" 2>"$work/words" && grep 'interpreter' "$work/words"
}

runs_alone() {
	mkdir -p "$work/empty"
	cp "$work/one/build/spiderbox" "$work/empty/"
	chroot "$work/empty" /spiderbox --version | grep '^spiderbox '
}

# The flag alone does nothing in a static program: look at one that runs.
relro_applies() {
	"$work/one/build/spiderbox" agent --store "dir:$work/store" --socket "$work/agent.sock" --state-dir "$work/state" \
		--health-addr '' 2>"$work/agent.log" &
	pid=$!
	tries=0
	until [ -S "$work/agent.sock" ] || [ "$tries" = 100 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	grep 'build/spiderbox$' "/proc/$pid/maps"
	# headers, read-only data, and what was relocated
	protected=$(grep -c ' r--p .*build/spiderbox$' "/proc/$pid/maps")
	kill "$pid"
	wait "$pid" || return 1
	[ "$protected" = 3 ]
}

# What the plugins run lies together, and most of it is still called as it was when that was looked at.
order_is_fresh() {
	named=$(grep -c '^[^#]' section-order.txt)
	found=$(awk '/^\.text\.first/ { inside = 1; next } /^\.[^ ]/ { inside = 0 } inside && /^ \.text/' "$work/one/build/spiderbox.map" | wc -l)
	echo "$found of $named are there"
	if [ "$named" -lt 300 ] || [ "$((found * 10))" -lt "$((named * 8))" ]; then
		echo 'section-order.txt has grown old: ./build.sh order'
		return 1
	fi
}

helps() {
	./build.sh --help | grep -q 'build, then the main job' && ! ./build.sh no-such-verb 2>"$work/words"
}

# Words that no verb takes are no build.
no_arguments() {
	for v in build lint demo order fmt image size clean help; do
		status=0
		(cd "$work/one" && ./build.sh "$v" extra) >"$work/out" 2>"$work/words" || status=$?
		[ "$status" = 2 ] && [ ! -s "$work/out" ] && grep "^build.sh: $v takes no argument: extra" "$work/words" || return 1
	done
	[ -x "$work/one/build/spiderbox" ]
}

# The folder is the script's own, not that of a link to it.
by_a_link() {
	mkdir -p "$work/links"
	ln -sf "$work/one/build.sh" "$work/links/build.sh"
	touch "$work/one/base/str.c"
	(cd "$work/links" && ./build.sh) 2>"$work/words" && grep '^  cc base/str.c' "$work/words" && [ ! -e "$work/links/build" ]
}

without_home() {
	(cd "$work/one" && env -u HOME -u XDG_CACHE_HOME "PATH=$PATH" ./build.sh) || return 1
	printf '#!/bin/sh\n' >"$work/no-apt/getent"
	chmod +x "$work/no-apt/getent"
	! (cd "$work/one" && env -u HOME -u XDG_CACHE_HOME "PATH=$work/no-apt:$PATH" ./build.sh) 2>"$work/words" &&
		grep 'set HOME or XDG_CACHE_HOME' "$work/words"
}

check 'two folders give the same bytes' same_in_two_folders
check 'a rebuild with nothing changed takes under 2 s' rebuild_nothing
check 'a rebuild after one touched source takes under 5 s' rebuild_one
check 'a dynamic binary is refused' refuses_dynamic
check 'libraries from DEPS_DIR, without a network, give the same bytes' without_network
check 'a library missing in DEPS_DIR is named' no_such_library
check 'it runs in an empty root' runs_alone
check 'relocated data is read-only in a running process' relro_applies
check 'what plugins run lies together' order_is_fresh
check 'build.sh explains itself' helps
check 'a word too many is a usage error' no_arguments
check 'build.sh by a link' by_a_link
check 'build.sh without HOME' without_home
[ "$failed" = 0 ]
