#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/unit/run.sh [NAME]
#
# Compiles and runs each tests/unit/NAME_test.c (cmocka) three ways: gcc and clang with ASan and
# UBSan, and, where the test says "/* tsan */" at its head, clang with TSan.  What a test links is
# said there too: see tests/compile.sh.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:=$top/build}" "${DEPS:?DEPS is set by build.sh}"
out=$BUILD_DIR/unit
only=${1:-}
only=${only%_test}
mkdir -p "$out"

# shellcheck source=tests/compile.sh
. tests/compile.sh

# compile_and_run TEST KIND: prints the test's own TAP lines, each with "NAME KIND" in front
compile_and_run() {
	test=$1 kind=$2
	name=$(basename "$test" .c)
	bin=$out/$name.$kind
	if ! link_test "$test" "$kind" "$bin" >"$bin.log" 2>&1; then
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

test_libraries
jobs='' tests='' threaded=''
for t in tests/unit/*_test.c; do
	[ -z "$only" ] || [ "$(basename "$t" _test.c)" = "$only" ] || continue
	tests="$tests $t"
	jobs="$jobs $t:gcc $t:clang"
	! sed 12q "$t" | grep -q '^/\* tsan \*/' || {
		jobs="$jobs $t:tsan"
		threaded="$threaded $t"
	}
done
[ -n "$jobs" ] || {
	echo "not ok - there is no unit test ${only:-at all}"
	exit 1
}
# what does not compile is told by the tests that miss it
# shellcheck disable=SC2046,SC2086 # lists of words
{
	compile_objects gcc $(sources_of $tests) || true
	compile_objects clang $(sources_of $tests) || true
	[ -z "$threaded" ] || compile_objects tsan $(sources_of $threaded) || true
} 2>&1 | sed 's/^/# /'
# the whole output of one job at a time
# shellcheck disable=SC2016 # expanded by the inner shell
echo "$jobs" | tr ' ' '\n' | grep . | xargs -P "$(nproc)" -I{} sh -c \
	'j={}; o=$("$0" .one "${j%:*}" "${j#*:}"); printf "%s\n" "$o"' "$0" >"$out/results"
cat "$out/results"
! grep -q '^not ok' "$out/results"
