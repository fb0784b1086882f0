# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# compile.sh - sourced by suites that run C programs of tests/ against the product's sources, from
# the top folder with DEPS set.  The first lines of a program say what it needs:
#
#   /* links: base/str.c json/ */   sources of ours; a folder stands for all its .c files
#   /* libs: cjson yaml */          of: cjson yaml bearssl mnl
#   /* flags: -Wl,... */            for the compiler
#
# Library code is compiled for glibc from the same sources as the product's, without sanitizers, once.

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
test_libraries() {
	[ ! -e "$DEPS/glibc/done" ] || return 0
	src=$DEPS/src
	work=$(mktemp -d "$DEPS/glibc.XXXXXX")
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
	rm -rf "$DEPS/glibc"
	mv -T "$work" "$DEPS/glibc" || rm -rf "$work" # another run was quicker
}

# compile_test SOURCE KIND PROGRAM: KIND is gcc or clang (ASan, UBSan), tsan, or plain (for times)
compile_test() {
	libs=
	for l in $(words libs "$1"); do
		libs="$libs -l$l"
	done
	case $2 in
	gcc) cc='gcc -fsanitize=address,undefined -fno-sanitize-recover=all' ;;
	clang) cc='clang -fsanitize=address,undefined -fno-sanitize-recover=all' ;;
	tsan) cc='clang -fsanitize=thread' ;;
	plain) cc=gcc ;;
	esac
	# shellcheck disable=SC2046,SC2086 # lists of words
	$cc -std=gnu11 -D_GNU_SOURCE -DTESTING -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wno-unknown-warning-option \
		-Wno-format-truncation -Werror -I. -isystem "$DEPS/include" "$1" $(expand $(words links "$1")) -L"$DEPS/glibc" $libs \
		-lcmocka -lm -pthread $(words flags "$1") -o "$3"
}
