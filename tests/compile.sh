# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# compile.sh - sourced by suites that run C programs of tests/ against the product's sources, from
# the top folder with DEPS and BUILD_DIR set.  The first lines of a program say what it needs:
#
#   /* links: base/str.c json/ */   sources of ours; a folder stands for all its .c files
#   /* libs: cjson yaml */          of: cjson yaml bearssl mnl
#   /* flags: -Wl,... */            for the compiler
#
# Library code is compiled for glibc from the same sources as the product's, without sanitizers, once; code of
# ours with them, once for each kind of sanitizer.

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
	_made=$(mktemp -d "$DEPS/glibc.XXXXXX")
	for lib in bearssl cjson yaml; do
		case $lib in
		bearssl) files=$(find "$src/bearssl/src" -name '*.c') inc="-I$src/bearssl/inc -I$src/bearssl/src -DBR_RDRAND=0" ;;
		cjson) files=$src/cjson/cJSON.c inc= ;;
		yaml) files=$(find "$src/libyaml/src" -name '*.c') inc="-DHAVE_CONFIG_H -I$src/libyaml/include -I$src/libyaml/src" ;;
		esac
		mkdir -p "$_made/$lib"
		echo "$files" | xargs -P "$(nproc)" -I{} sh -c "gcc -O1 -g -w -fPIE $inc -c {} -o $_made/$lib/\$(basename {} .c).o"
		ar rcsD "$_made/lib$lib.a" "$_made/$lib"/*.o
		rm -rf "${_made:?}/$lib"
	done
	touch "$_made/done"
	rm -rf "$DEPS/glibc"
	mv -T "$_made" "$DEPS/glibc" || rm -rf "$_made" # another run was quicker
}

# cc_of KIND: gcc or clang (ASan, UBSan), tsan, fuzz (libFuzzer's main(), ASan, UBSan), or plain (for
# times)
cc_of() {
	case $1 in
	gcc) _cc='gcc -fsanitize=address,undefined -fno-sanitize-recover=all' ;;
	clang) _cc='clang -fsanitize=address,undefined -fno-sanitize-recover=all' ;;
	tsan) _cc='clang -fsanitize=thread' ;;
	fuzz) _cc='clang -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all' ;;
	plain) _cc=gcc ;;
	esac
	echo "$_cc -std=gnu11 -D_GNU_SOURCE -DTESTING -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wno-unknown-warning-option" \
		"-Wno-format-truncation -Werror -I. -isystem $DEPS/include"
}

object_of() {
	echo "$BUILD_DIR/objects/$1/$(echo "${2%.c}" | tr / .).o"
}

# compile_objects KIND SOURCE...: each source of ours once, by make, for all programs that link it
compile_objects() {
	_kind=$1
	shift
	_dir=$BUILD_DIR/objects/$_kind
	mkdir -p "$_dir"
	{
		printf 'all:\n'
		for _c; do
			_o=$(object_of "$_kind" "$_c")
			# shellcheck disable=SC2016 # the dollars are make's
			printf 'all: %s\n%s: %s\n\t@%s -MMD -MP -c $< -o $@\n-include %s\n' "$_o" "$_o" "$_c" "$(cc_of "$_kind")" "${_o%.o}.d"
		done
	} >"$_dir/rules.mk"
	make -s -k -j"$(nproc)" -f "$_dir/rules.mk" all
}

# sources_of SOURCE...: what the programs link of ours, each once
sources_of() {
	for _t; do
		# shellcheck disable=SC2046 # a list of words
		expand $(words links "$_t")
	done | LC_ALL=C sort -u
}

# link_test SOURCE KIND PROGRAM: compiles the program itself and links it with the objects
link_test() {
	_libs=
	for _l in $(words libs "$1"); do
		_libs="$_libs -l$_l"
	done
	[ "$2" = fuzz ] || _libs="$_libs -lcmocka"
	_objects=
	for _c in $(sources_of "$1"); do
		_objects="$_objects $(object_of "$2" "$_c")"
	done
	# shellcheck disable=SC2046,SC2086 # lists of words
	$(cc_of "$2") "$1" $_objects -L"$DEPS/glibc" $_libs -lm -pthread $(words flags "$1") -o "$3"
}

# compile_test SOURCE KIND PROGRAM
compile_test() {
	# shellcheck disable=SC2046 # a list of words
	compile_objects "$2" $(sources_of "$1") && link_test "$1" "$2" "$3"
}
