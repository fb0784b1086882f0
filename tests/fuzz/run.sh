#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/fuzz/run.sh [NAME]
#
# Compiles each tests/fuzz/NAME_fuzz.c with libFuzzer, ASan and UBSan, and lets it run for FUZZ_SECONDS
# (10), beginning with the inputs in tests/fuzz/corpus/NAME; 0: with these alone.  What a program links
# is said at its head: see tests/compile.sh.  The inputs are the same ones each time, as many as there is
# time for: what is found comes of a change.  New ones are for FUZZ_KEEP.
#
# With FUZZ_KEEP what was learnt is kept in build/fuzz/NAME.corpus for the next time, and 0 seconds have
# no end; then all run at the same time.  An input that something was found with is in
# build/fuzz/found; build/fuzz/NAME FILE shows it again.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
: "${BUILD_DIR:=$top/build}" "${DEPS:?DEPS is set by build.sh}" "${FUZZ_SECONDS:=10}" "${FUZZ_KEEP:=}"
export BUILD_DIR FUZZ_SECONDS FUZZ_KEEP
out=$BUILD_DIR/fuzz
only=${1:-}
only=${only%_fuzz}
mkdir -p "$out/found"

# shellcheck source=tests/compile.sh
. tests/compile.sh

# what was found, without the list of words that libFuzzer recommends
tell() {
	grep -vE '^"|^###|^0x|^INFO|^#[0-9]|Uses:' "$1" | tail -n 50 | sed 's/^/# /'
}

# fuzz NAME: one TAP line, and how many inputs were run as a comment
fuzz() {
	name=$1
	log=$out/$name.log
	if ! link_test "tests/fuzz/${name}_fuzz.c" fuzz "$out/$name" >"$log" 2>&1; then
		echo "not ok - $name does not compile"
		tell "$log"
		return
	fi
	seeds=$(find "tests/fuzz/corpus/$name" -type f | wc -l)
	# new inputs go to the first folder
	new=$out/$name.corpus
	[ -n "$FUZZ_KEEP" ] || new=$(mktemp -d "$out/$name.XXXXXX")
	mkdir -p "$new"
	limit=-max_total_time=$FUZZ_SECONDS
	[ -n "$FUZZ_KEEP" ] || [ "$FUZZ_SECONDS" != 0 ] || limit=-runs=0
	seed=1
	[ -z "$FUZZ_KEEP" ] || seed=0 # another one each time
	status=0
	"$out/$name" "$limit" "-seed=$seed" -max_len=65536 -timeout=20 -print_final_stats=1 -artifact_prefix="$out/found/$name-" \
		"$new" "tests/fuzz/corpus/$name" >"$log" 2>&1 </dev/null || status=$?
	[ -n "$FUZZ_KEEP" ] || rm -rf "$new"
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	echo "# $name: ${runs:-no} runs, $(sed -n 's/.*DONE *cov: [0-9]* ft: \([0-9]*\) .*/\1 features, /p' "$log")$seeds inputs to begin with"
	if [ "$status" != 0 ]; then
		echo "not ok - $name found something (status $status)"
		tell "$log"
	elif [ "${runs:-0}" -lt "$seeds" ] || { [ "$limit" != -runs=0 ] && [ "$runs" -le $((seeds + 1)) ]; }; then
		echo "not ok - $name ran next to nothing"
		tell "$log"
	else
		echo "ok - $name found nothing"
	fi
}

if [ "$only" = .one ]; then
	fuzz "$2"
	exit 0
fi

names='' sources=''
for f in tests/fuzz/*_fuzz.c; do
	name=$(basename "$f" _fuzz.c)
	[ -z "$only" ] || [ "$name" = "$only" ] || continue
	names="$names $name"
	sources="$sources $f"
	[ -n "$(ls "tests/fuzz/corpus/$name" 2>/dev/null)" ] || {
		echo "not ok - $name has no inputs to begin with"
		exit 1
	}
done
[ -n "$names" ] || {
	echo "not ok - there is no fuzz program ${only:-at all}"
	exit 1
}
test_libraries
# what does not compile is told by the programs that miss it
# shellcheck disable=SC2046,SC2086 # lists of words
compile_objects fuzz $(sources_of $sources) 2>&1 | sed 's/^/# /'
atonce=$(nproc)
[ -z "$FUZZ_KEEP" ] || {
	[ "$FUZZ_SECONDS" != 0 ] || atonce=0
	echo "# build/fuzz/NAME.log tells how it goes"
}
# the whole output of one program at a time
# shellcheck disable=SC2016 # expanded by the inner shell
echo "$names" | tr ' ' '\n' | grep . | xargs -P "$atonce" -I{} sh -c \
	'o=$("$0" .one {}); printf "%s\n" "$o"' "$0" | tee "$out/results"
! grep -q '^not ok' "$out/results"
