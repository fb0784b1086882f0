#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: deps/build.sh DIR
#
# Fetches the sources of BearSSL, cJSON, libyaml and libmnl and builds them for musl:
#
#   DIR/src/NAME       the sources as Debian patches them, libyaml's with yaml-small.h (the sanitizer
#                      builds compile them too)
#   DIR/include        headers       DIR/lib      static libraries for the product
#   DIR/kernel         linux/, asm/, asm-generic/ to be found after musl's own headers
#   DIR/cc             gcc for static-PIE programs against musl
#   DIR/versions       what was built
#   DIR/archive        what was fetched: a DEPS_DIR for machines without a network
#
# The sources are Debian's source packages of one suite, taken through an apt state of our own
# below DIR: the archive's address comes from this machine's apt configuration, signatures and
# checksums are verified by apt, nothing below /etc/apt is changed.  Where an archive does not carry
# libmnl's source, the prebuilt library of a later suite is taken.  DEPS_DIR names a folder of
# tarballs (.dsc with its files, or NAME-*.tar.*) to be used instead, without any network.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: deps/build.sh DIR}
suite=bookworm
later_suite=trixie # the first whose libmnl-dev has a static library
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

mkdir -p "$out"
out=$(cd "$out" && pwd)
[ ! -e "$out/versions" ] || exit 0
# ../ because a build that was interrupted must not look like a finished one
work=$(mktemp -d "$out/../deps-work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

arch=$(dpkg --print-architecture)
multiarch=$(gcc -print-multiarch)
musl=${multiarch%-gnu}-musl

# The archive that serves `main` of this machine's Debian; the security archive is a sibling.
archive() {
	# shellcheck disable=SC2016 # the dollars are apt's
	apt-get indextargets --format '$(REPO_URI)|$(COMPONENT)|$(CREATED_BY)' |
		awk -F'|' -v security="$1" '$2 == "main" && $3 == "Packages" &&
			($1 ~ /security/) == security { print $1; exit }'
}

private_apt() {
	program=$1
	shift
	"$program" -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o Acquire::Languages=none -o APT::Sandbox::User=root \
		-o APT::Update::Error-Mode=any "$@"
}

private_apt_update() {
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	main=$(archive 0)
	security=$(archive 1)
	[ -n "$main" ] || {
		echo "deps: apt knows no archive with Debian's main component" >&2
		return 1
	}
	{
		echo "deb-src [signed-by=$keyring] $main $suite main"
		[ -z "$security" ] || echo "deb-src [signed-by=$keyring] $security $suite-security main"
		echo "deb [arch=$arch signed-by=$keyring] $main $later_suite main"
	} >"$work/sources.list"
	private_apt apt-get update >"$work/apt.log" 2>&1 || {
		cat "$work/apt.log" >&2
		return 1
	}
}

# unpack NAME: from DEPS_DIR or the archive into src/NAME; fails where there is none
unpack() {
	if [ -n "${DEPS_DIR:-}" ]; then
		for f in "$DEPS_DIR/$1"_*.dsc "$DEPS_DIR/$1"-[0-9]*.tar.* "$DEPS_DIR/$1"_*.orig.tar.*; do
			[ -e "$f" ] || continue
			case $f in
			*.dsc) dpkg-source --no-check -x "$f" "$work/src/$1" >/dev/null ;;
			*) mkdir "$work/src/$1" && tar -C "$work/src/$1" --strip-components=1 -xf "$f" ;;
			esac
			echo "$1 ${f##*/}" >>"$work/versions"
			return 0
		done
		[ "$1" = libmnl ] || echo "deps: DEPS_DIR has no $1" >&2
		return 1
	fi
	mkdir "$work/$1"
	(cd "$work/$1" && private_apt apt-get source --download-only "$1") >"$work/apt.log" 2>&1 || return 1
	cp "$work/$1"/* "$work/archive/"
	# apt has checked the files against the signed index; the uploader's signature is not ours to check
	dpkg-source --no-check -x "$work/$1"/*.dsc "$work/src/$1" >/dev/null
	echo "$1 $(sed -n 's/^Version: //p' "$work/$1"/*.dsc | head -n 1)" >>"$work/versions"
}

# libmnl, prebuilt: good enough for glibc's ABI where it matters (spelled out in deps/shim.c)
prebuilt_libmnl() {
	mkdir -p "$work/mnl-deb"
	if [ -n "${DEPS_DIR:-}" ]; then
		cp "$DEPS_DIR"/libmnl-dev_*.deb "$work/mnl-deb/" 2>/dev/null || {
			echo "deps: DEPS_DIR has no libmnl: neither its source nor libmnl-dev_*.deb" >&2
			return 1
		}
	else
		(cd "$work/mnl-deb" && private_apt apt-get download libmnl-dev) >"$work/apt.log" 2>&1 || return 1
		cp "$work"/mnl-deb/libmnl-dev_*.deb "$work/archive/"
	fi
	(cd "$work/mnl-deb" && dpkg-deb -x libmnl-dev_*.deb .) || return 1
	cp "$work/mnl-deb/usr/lib/$multiarch/libmnl.a" "$work/lib/"
	mkdir -p "$work/include/libmnl"
	cp "$work/mnl-deb/usr/include/libmnl/libmnl.h" "$work/include/libmnl/"
	(cd "$work/mnl-deb" && echo "libmnl $(dpkg-deb -f libmnl-dev_*.deb Version) (prebuilt)") >>"$work/versions"
}

mkdir -p "$work/archive" "$work/src" "$work/lib" "$work/include" "$work/kernel" "$work/o"
[ -n "${DEPS_DIR:-}" ] || private_apt_update
for name in bearssl cjson libyaml; do
	unpack $name || {
		cat "$work/apt.log" >&2 2>/dev/null || true
		exit 1
	}
done

ln -s /usr/include/linux "$work/kernel/linux"
ln -s /usr/include/asm-generic "$work/kernel/asm-generic"
ln -s "/usr/include/$multiarch/asm" "$work/kernel/asm"
sed -e "s#@INCLUDE@#/usr/include/$musl#; s#@LIB@#/usr/lib/$musl#g" "$here/musl-static-pie.specs" >"$work/musl.specs"
# the final folder's name, not the work folder's
printf '#!/bin/sh\nexec gcc "$@" -specs=%s/musl.specs\n' "$out" >"$work/cc"
chmod +x "$work/cc"

# libyaml with fewer macros: after its own, before the first function
small_libyaml() {
	cp "$here/yaml-small.h" "$src/libyaml/src/"
	sed -i 's/^yaml_parser_set_scanner_error(/yaml_parser_big_scanner_error(/' "$src/libyaml/src/scanner.c"
	for f in "$src/libyaml/src/scanner.c" "$src/libyaml/src/parser.c"; do
		sed -i '0,/^YAML_DECLARE(int)$/s//#include "yaml-small.h"\n\n&/' "$f"
		grep -q '^#include "yaml-small.h"$' "$f" || {
			echo "deps: $f has no place for yaml-small.h" >&2
			return 1
		}
	done
}

# unwind tables are for C++ and debuggers; they would be an eighth of the program
flags='-Oz -std=gnu11 -fPIE -ffunction-sections -fdata-sections -fstack-protector-strong -fstack-clash-protection'
flags="$flags -fno-asynchronous-unwind-tables"
# as in build.sh
[ "$arch" != amd64 ] || flags="$flags -fcf-protection=return"
flags="$flags -ffile-prefix-map=$work=/deps -specs=$work/musl.specs"

# objects NAME FLAGS FILE...: a makefile's rules for one library
library() {
	lib=$1 more=$2 objects=
	shift 2
	for c; do
		o=$work/o/$lib/$(basename "$c" .c).o
		objects="$objects $o"
		printf '%s: %s\n\t@gcc %s %s -c $< -o $@\n' "$o" "$c" "$flags" "$more"
	done
	printf '%s:%s\n\t@ar rcsD $@ $^\nall: %s\n' "$work/lib/lib$lib.a" "$objects" "$work/lib/lib$lib.a"
	mkdir -p "$work/o/$lib"
}

src=$work/src
small_libyaml
{
	echo 'all:'
	# shellcheck disable=SC2046 # file names without blanks
	library bearssl "-DBR_RDRAND=0 -I$src/bearssl/inc -I$src/bearssl/src" $(find "$src/bearssl/src" -name '*.c' | LC_ALL=C sort)
	library cjson '' "$src/cjson/cJSON.c"
	cat >"$src/libyaml/src/config.h" <<-'C'
		#define YAML_VERSION_MAJOR 0
		#define YAML_VERSION_MINOR 2
		#define YAML_VERSION_PATCH 5
		#define YAML_VERSION_STRING "0.2.5"
	C
	# shellcheck disable=SC2046
	library yaml "-DNDEBUG -DHAVE_CONFIG_H -DYAML_DECLARE_STATIC -I$src/libyaml/include -I$src/libyaml/src" \
		$(find "$src/libyaml/src" -name '*.c' | LC_ALL=C sort)
	if unpack libmnl; then
		printf '#define HAVE_VISIBILITY_HIDDEN 1\n' >"$src/libmnl/src/config.h"
		library mnl "-DHAVE_CONFIG_H -idirafter $work/kernel -I$src/libmnl/src -I$src/libmnl/include" \
			"$src/libmnl/src/attr.c" "$src/libmnl/src/callback.c" "$src/libmnl/src/nlmsg.c" "$src/libmnl/src/socket.c"
		mkdir -p "$work/include/libmnl"
		cp "$src/libmnl/include/libmnl/libmnl.h" "$work/include/libmnl/"
	elif prebuilt_libmnl; then
		library shim '' "$here/shim.c"
	else
		cat "$work/apt.log" >&2
		exit 1
	fi
} >"$work/deps.mk"
make -s -j"$(nproc)" -f "$work/deps.mk" all

cp "$src"/bearssl/inc/*.h "$src/cjson/cJSON.h" "$src/libyaml/include/yaml.h" "$work/include/"
rm -rf "${out:?}/archive" "${out:?}/src" "${out:?}/lib" "${out:?}/include" "${out:?}/kernel"
mv "$work/archive" "$work/src" "$work/lib" "$work/include" "$work/kernel" "$work/musl.specs" "$work/cc" "$out/"
mv "$work/versions" "$out/versions"
