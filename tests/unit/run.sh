#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/unit/run.sh [NAME]
#
# Compiles and runs each tests/unit/NAME_test.c (cmocka) three ways: gcc and clang with ASan and
# UBSan, and, where the test says so, clang with TSan.  The first lines of a test say what it needs:
#
#   /* links: base/str.c json/ */   sources of ours; a folder stands for all its .c files
#   /* libs: cjson yaml */          of: cjson yaml bearssl mnl
#   /* tsan */                      has threads: run it under ThreadSanitizer too
#
# Library code is compiled for glibc from the same sources as the product's, without sanitizers, once.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:=$top/build}" "${DEPS:?DEPS is set by build.sh}"
out=$BUILD_DIR/unit
only=${1:-}
only=${only%_test}
glibc=$DEPS/glibc
mkdir -p "$out"

# words KEY FILE: the words of "/* KEY: words */" at the head of FILE
words() {
	sed -n "1,12s#^/\* $1: *\(.*\)\*/#\1#p" "$2"
}

# expand WORD...: folders to their sources
expand() {
	for w; do
		case $w in
		*/) find "$w" -maxdepth 1 -name '*.c' | LC_ALL=C sort ;;
		*) echo "$w" ;;
		esac
	done
}

# The libraries for glibc, beside the product's.  libmnl is Debian's own: where its source is missing
# there is no other.
libraries() {
	[ ! -e "$glibc/done" ] || return 0
	src=$DEPS/src
	work=$(mktemp -d "$glibc.XXXXXX")
	for lib in bearssl cjson yaml; do
		case $lib in
		bearssl) files=$(find "$src/bearssl/src" -name '*.c') inc="-I$src/bearssl/inc -I$src/bearssl/src -DBR_RDRAND=0" ;;
		cjson) files=$src/cjson/cJSON.c inc= ;;
		yaml) files=$(find "$src/libyaml/src" -name '*.c') inc="-DHAVE_CONFIG_H -I$src/libyaml/include -I$src/libyaml/src" ;;
		esac
		mkdir -p "$work/$lib"
		echo "$files" | xargs -P "$(nproc)" -I{} sh -c "gcc -O1 -g -w -fPIE $inc -c {} -o $work/$lib/\$(basename {} .c).o"
		ar rcsD "$work/lib$lib.a" "$work/$lib"/*.o
		rm -rf "${work:?}/$lib"
	done
	touch "$work/done"
	rm -rf "$glibc"
	mv -T "$work" "$glibc" || rm -rf "$work" # another run was quicker
}

# compile_and_run TEST KIND: prints the test's own TAP lines, each with "NAME KIND" in front
compile_and_run() {
	test=$1 kind=$2
	name=$(basename "$test" .c)
	bin=$out/$name.$kind
	libs=
	for l in $(words libs "$test"); do
		libs="$libs -l$l"
	done
	case $kind in
	gcc) cc='gcc -fsanitize=address,undefined -fno-sanitize-recover=all' ;;
	clang) cc='clang -fsanitize=address,undefined -fno-sanitize-recover=all' ;;
	tsan) cc='clang -fsanitize=thread' ;;
	esac
	# shellcheck disable=SC2046,SC2086 # lists of words
	if ! $cc -std=gnu11 -D_GNU_SOURCE -DTESTING -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wno-unknown-warning-option -Wno-format-truncation -Werror -I. \
		-isystem "$DEPS/include" "$test" $(expand $(words links "$test")) -L"$glibc" $libs \
		-lcmocka -lm -pthread $(words flags "$test") -o "$bin" >"$bin.log" 2>&1; then
		echo "not ok - $name ($kind) does not compile"
		sed 's/^/# /' "$bin.log"
		return
	fi
	status=0
	CMOCKA_MESSAGE_OUTPUT=TAP ASAN_OPTIONS=detect_leaks=1 timeout 120 "$bin" >"$bin.log" 2>&1 </dev/null || status=$?
	sed -n "s/^\(not ok\|ok\) [0-9]* - /\1 - $name ($kind) /p" "$bin.log"
	if ! grep -q '^ok' "$bin.log" || { [ "$status" != 0 ] && ! grep -q '^not ok' "$bin.log"; }; then
		echo "not ok - $name ($kind) ended with status $status"
	fi
	[ "$status" = 0 ] || sed 's/^/# /' "$bin.log" | tail -n 60
}

if [ "$only" = .one ]; then
	compile_and_run "$2" "$3"
	exit 0
fi

libraries
jobs=
for t in tests/unit/*_test.c; do
	[ -z "$only" ] || [ "$(basename "$t" _test.c)" = "$only" ] || continue
	jobs="$jobs $t:gcc $t:clang"
	! sed 12q "$t" | grep -q '^/\* tsan \*/' || jobs="$jobs $t:tsan"
done
[ -n "$jobs" ] || {
	echo "not ok - there is no unit test ${only:-at all}"
	exit 1
}
# the whole output of one job at a time
# shellcheck disable=SC2016 # expanded by the inner shell
echo "$jobs" | tr ' ' '\n' | grep . | xargs -P "$(nproc)" -I{} sh -c \
	'j={}; o=$("$0" .one "${j%:*}" "${j#*:}"); printf "%s\n" "$o"' "$0" >"$out/results"
cat "$out/results"
! grep -q '^not ok' "$out/results"
