#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# build.sh - builds, tests, formats and packs Spiderbox.  See usage below.
set -eu

usage() {
	cat <<'TEXT'
usage: ./build.sh [VERB] [ARGUMENT]...

  build            build/spiderbox, the static binary (default)
  demo             build, then the main job on two simulated nodes, explained as it runs
  test [SUITE]...  all test suites, or some of: lint build unit fuzz cni ctl image
                   api vm demo measure bench chaos;
                   unit/NAME and fuzz/NAME run one program, vm/TOPIC and api/TOPIC one topic
  order            section-order.txt: what a plugin runs, which the linker puts together
  bench            what an ADD and a DEL cost, at a real API server, of the IPAM alone and of the whole chain:
                   tables, then NAME VALUE GOAL ok|short
  lint             the lint suite
  chaos            the chaos suite at length: random operations and faults, 100,000 of them
  fuzz [NAME]      the fuzz suite, or one of its programs, at length; what it learnt is kept in build/fuzz
  fmt              format the sources
  image            build/spiderbox-image.tar, an OCI archive holding the one binary
  size             sizes of the binary's sections and largest objects
  clean            remove build/ (the cache stays)

Missing Debian packages are installed with apt (root).  Libraries, test servers and the test
kernel are built once into ${XDG_CACHE_HOME:-~/.cache}/spiderbox.

environment:
  DEPS_DIR  a folder with the libraries' source packages or tarballs (or libmnl-dev_*.deb for libmnl),
            for builds without a network; the folder "archive" in the cache is one
  CI        any value: warnings are errors and a skipped test is a failure
  SEED      of the chaos suite: the same number makes the same decisions (default: another one each time)
  OPS       how many operations it makes
  FUZZ_SECONDS  of each fuzz program (10 in the suite, 600 by the verb); 0: the suite runs the inputs
            in tests/fuzz/corpus and no more, the verb goes on until something is found
TEXT
}

top=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
cd "$top"
build=$top/build
layers='applets plugins ctl agent datapath cni store k8s pool http net json base'

say() {
	echo "build.sh: $*" >&2
}

# Sets $cache.  Services have no HOME, their users may have one.
find_cache() {
	home=${XDG_CACHE_HOME:-}
	[ -n "$home" ] || home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}/.cache
	case $home in
	/.cache | [!/]*)
		say "where is the cache to be? set HOME or XDG_CACHE_HOME to a folder's absolute path"
		exit 1
		;;
	esac
	cache=$home/spiderbox
}

# need PACKAGE...: installs those that are missing
need() {
	missing=
	for p; do
		[ -e "/var/lib/dpkg/info/$p.list" ] || [ -e "/var/lib/dpkg/info/$p:$(dpkg --print-architecture).list" ] ||
			missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	say "installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q -o DPkg::Lock::Timeout=300 update >/dev/null
	# shellcheck disable=SC2086 # a list of words
	apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing >/dev/null
}

# The libraries; $deps is their folder.
dependencies() {
	find_cache
	need gcc make musl-dev linux-libc-dev dpkg-dev xz-utils bzip2 ca-certificates binutils debian-archive-keyring
	# other libraries are another folder: whoever names some is not to get those of before
	key=$({
		cat deps/*
		[ -z "${DEPS_DIR:-}" ] || find "$DEPS_DIR/" -maxdepth 1 -type f -exec sha256sum {} + | LC_ALL=C sort
	} | sha256sum | cut -c1-12)
	deps=$cache/deps-$key
	[ -e "$deps/versions" ] || say 'building BearSSL, cJSON, libyaml and libmnl for musl'
	mkdir -p "$cache"
	deps/build.sh "$deps"
}

sources() {
	echo main.c
	for d in $layers; do
		[ ! -d "$d" ] || find "$d" -maxdepth 1 -name '*.c'
	done | LC_ALL=C sort
}

warnings='-Wall -Wextra -Wno-format-truncation -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
	-Wvla -Wwrite-strings -Wformat=2 -Wundef -Wpointer-arith -Wcast-qual'
gcc_warnings='-Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wnull-dereference'

# What -Oz still does: it copies code, or keeps values in registers that have to be saved.
smaller='-fno-gcse -fno-tree-pre -fno-code-hoisting -fno-tree-ch -fno-tree-loop-im -fno-move-loop-invariants
	-fno-caller-saves -fno-ipa-ra'

version() {
	git describe --always --dirty 2>/dev/null || echo unknown
}

write_if_changed() {
	cat >"$1.new"
	if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# A word for a shell that make starts, from a line of make's.
make_word() {
	printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g; s/[$]/\$\$/g; s/#/\\\\#/g")"
}

# A linker script that adds to the linker's own: the functions that section-order.txt names lie together.
# A plugin is started for each pod, and each page that it runs code on has to be mapped first.
section_order() {
	printf 'SECTIONS\n{\n\t.text.first :\n\t{\n'
	sed -n 's/^\([^# ]*\) \(.*\)/\t\t*\1(\2)/p' section-order.txt
	printf '\t}\n}\nINSERT BEFORE .text;\n'
}

# product_makefile FOLDER [FLAGS]: writes FOLDER/product.mk from what there is, which makes
# FOLDER/spiderbox.  One rule per source, dependencies by the compiler.
product_makefile() {
	dir=$1
	mkdir -p "$dir/o"
	printf '%s\n' "$(version)" | write_if_changed "$build/version"
	cflags="-std=gnu11 -D_GNU_SOURCE -Oz -fPIE -ffunction-sections -fdata-sections -fno-common
		-fstack-protector-strong -fstack-clash-protection -fno-asynchronous-unwind-tables
		-ffile-prefix-map=$deps=/deps -I. -isystem $deps/include -idirafter $deps/kernel $smaller $warnings $gcc_warnings"
	# not =full: Linux gives programs no tracking of branch targets, whose marks were 4 KB
	[ "$(dpkg --print-architecture)" != amd64 ] || cflags="$cflags -fcf-protection=return"
	[ -z "${CI:-}" ] || cflags="$cflags -Werror"
	cflags="$cflags ${2:-}"
	# The data of what every start runs lies together, as its code does by section-order.txt: fewer pages
	# to map.  A plugin's VERSION is that and no more, and takes 1.12 times an empty program with it, 1.13
	# without.
	first="$dir/o/main.o $dir/o/base.relro.o $dir/o/cni.cni.o $dir/o/applets.coordinator.o $dir/o/applets.ifacer.o $dir/o/applets.ipam.o $dir/o/applets.ipvlan_setup.o $dir/o/applets.multus.o"
	{
		printf 'CFLAGS = %s %s\n' "$(echo "$cflags" | tr -s ' \t\n' '   ')" "$(make_word "-ffile-prefix-map=$top=.")"
		printf 'all: %s/spiderbox\n' "$dir"
		objects=
		for c in $(sources); do
			o=$dir/o/$(echo "${c%.c}" | tr / .).o
			case " $first " in *" $o "*) ;; *) objects="$objects $o" ;; esac
			extra=
			[ "$c" != base/version.c ] || extra=build/version
			# shellcheck disable=SC2016 # the dollars are make's
			printf '%s: %s %s %s/product.mk\n\t@echo "  cc %s" >&2\n\t@%s $(CFLAGS) %s -MMD -MP -c %s -o $@\n' \
				"$o" "$c" "$extra" "$dir" "$c" "$deps/cc" \
				"${extra:+-DSPIDERBOX_VERSION='\"$(cat "$build/version")\"'}" "$c"
		done
		shim=
		[ ! -e "$deps/lib/libshim.a" ] || shim=$deps/lib/libshim.a
		section_order | write_if_changed "$dir/order.ld"
		libraries="$deps/lib/libbearssl.a $deps/lib/libcjson.a $deps/lib/libyaml.a $deps/lib/libmnl.a $shim"
		printf '%s/spiderbox.unchecked: %s%s %s %s/order.ld\n\t@%s -fPIE -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none,-T,%s/order.ld,-Map,%s/spiderbox.map -o $@ %s -lc%s %s\n' \
			"$dir" "$first" "$objects" "$libraries" "$dir" "$deps/cc" "$dir" "$dir" "$first" "$objects" "$libraries"
		printf '%s/spiderbox: %s/spiderbox.unchecked build.sh\n\t@cp $< $@.new && strip $@.new && ./build.sh drop-sections $@.new && ./build.sh check-binary $@.new && mv $@.new $@\n' "$dir" "$dir"
		# shellcheck disable=SC2016 # the dollars are make's
		printf -- '-include $(wildcard %s/o/*.d)\n' "$dir"
	} | write_if_changed "$dir/product.mk"
}

# To run a program the kernel reads its program headers; 2 KB of section headers and their names are
# for linkers and debuggers, which take build/spiderbox.unchecked.
drop_sections() {
	[ "$(od -An -tu1 -j4 -N1 "$1")" -eq 2 ] || return 0 # not a 64-bit program
	# the last segment that is loaded ends the file
	readelf -lW "$1" | awk '$1 == "LOAD" { offset = $2; size = $5 } END { print offset, size }' | {
		read -r offset size
		truncate -s "$((offset + size))" "$1"
	}
	dd if=/dev/zero of="$1" bs=1 seek=40 count=8 conv=notrunc status=none # e_shoff
	dd if=/dev/zero of="$1" bs=1 seek=60 count=4 conv=notrunc status=none # e_shnum, e_shstrndx
}

# What the linker was asked for is not always what it did: look.
check_binary() {
	headers=$(readelf -lW "$1")
	bad=
	case $headers in *INTERP*) bad="$bad, it has an interpreter" ;; esac
	case $headers in *GNU_RELRO*) ;; *) bad="$bad, no GNU_RELRO segment" ;; esac
	readelf -hW "$1" | grep -q 'Type:.*DYN' || bad="$bad, not position independent"
	echo "$headers" | grep 'GNU_STACK' | grep -q 'RWE' && bad="$bad, executable stack"
	dynamic=$(readelf -dW "$1")
	case $dynamic in *NEEDED*) bad="$bad, it needs shared libraries" ;; esac
	case $dynamic in *BIND_NOW* | *'NOW'*) ;; *) bad="$bad, lazy binding" ;; esac
	[ -z "$bad" ] || {
		say "$1 is not the static binary we want: ${bad#, }"
		return 1
	}
	say "${1%.new}: $(wc -c <"$1") bytes, static-PIE, no INTERP, no NEEDED, RELRO"
}

build() {
	dependencies
	product_makefile build
	make -s -j"$(nproc)" -f build/product.mk all
}

# build/failpoints/spiderbox: the product with places to be killed at, for tests/chaos
build_failpoints() {
	dependencies
	product_makefile build/failpoints -DFAILPOINTS
	make -s -j"$(nproc)" -f build/failpoints/product.mk all
}

servers() {
	need python3 python3-venv
	k=$(sed -n 's/^\tk8s.io\/kubernetes v//p' tests/servers/go.mod)
	e=$(sed -n 's/^\tgo.etcd.io\/etcd\/server\/v3 v//p' tests/servers/go.mod)
	SERVERS_DIR=$cache/servers-kubernetes-$k-etcd-$e
	export SERVERS_DIR
	tests/servers/build.sh "$SERVERS_DIR"
}

kernel() {
	need gcc make flex bison bc libelf-dev xz-utils
	KERNEL_DIR=$cache/uml-6.1-$(sha256sum tests/vm/kernel.config | cut -c1-12)
	export KERNEL_DIR
	[ -x "$KERNEL_DIR/linux" ] || say 'building the test kernel (about ten minutes, once)'
	tests/vm/build-kernel.sh "$KERNEL_DIR"
}

suite_packages() {
	case $1 in
	lint) echo clang-format clang-tidy clang cppcheck shellcheck git ;;
	build) echo git ;;
	cni) echo curl ;;
	ctl) echo jq strace util-linux ;;
	image) echo jq ;;
	fuzz) echo clang libclang-rt-14-dev libmnl-dev ;;
	unit) echo clang libclang-rt-14-dev libcmocka-dev openssl libmnl-dev iproute2 nftables ;;
	api) echo openssl curl jq python3 libcmocka-dev libmnl-dev ;;
	vm | demo) echo gcc libcmocka-dev libmnl-dev busybox-static iproute2 nftables iptables iputils-ping kmod curl conntrack tcpdump openssl jq python3 strace procps ;;
	measure) echo gcc openssl curl jq libcmocka-dev libmnl-dev ;;
	bench) echo gcc openssl curl jq libcmocka-dev libmnl-dev busybox-static iproute2 nftables iputils-ping iperf3 kmod conntrack strace procps util-linux ;;
	chaos) echo openssl curl python3 util-linux ;;
	esac
}

# run_suite NAME [ARGUMENT]: its output goes to the screen and a log; counts are added up
run_suite() {
	suite=$1
	script=tests/$suite/run.sh
	log=$build/test-logs/$suite.log
	mkdir -p "$build/test-logs"
	# shellcheck disable=SC2046 # a list of words
	need $(suite_packages "$suite")
	case $suite in api | vm | measure | bench | chaos) servers ;; esac
	case $suite in vm | demo | measure | bench) kernel ;; esac
	started=$(date +%s)
	say "suite $suite"
	export BUILD_DIR="$build" SPIDERBOX="$build/spiderbox" DEPS="$deps" TOP="$top" LAYERS="$layers"
	{ "$script" ${2:+"$2"} || echo "suite-status $?"; } 2>&1 | tee "$log" |
		grep --line-buffered -E '^(not ok|#|ok|suite-status)' || true
	ok=$(grep -c '^ok' "$log" || true)
	bad=$(grep -c '^not ok' "$log" || true)
	skipped=$(grep -ciE '^ok.*# *skip' "$log" || true)
	if [ -n "${CI:-}${STRICT:-}" ]; then
		ok=$((ok - skipped))
		bad=$((bad + skipped))
	fi
	if grep -q '^suite-status' "$log" && [ "$bad" = 0 ]; then
		tail -n 30 "$log" >&2
		bad=1
	fi
	[ "$((ok + bad))" -gt 0 ] || {
		say "suite $suite ran nothing"
		bad=1
	}
	passed=$((passed + ok))
	failed=$((failed + bad))
	say "suite $suite: $ok passed, $bad failed, $(($(date +%s) - started)) s (build/test-logs/$suite.log)"
}

run_tests() {
	passed=0 failed=0
	[ $# -gt 0 ] || set -- lint build unit fuzz cni ctl image api vm demo measure bench chaos
	dependencies
	for s; do
		name=${s%%/*}
		[ -x "tests/$name/run.sh" ] || {
			say "there is no suite $name"
			return 2
		}
		case $name in cni | ctl | image | api | vm | demo | measure | bench | chaos) build ;; esac
		case $name in chaos) build_failpoints ;; esac
		case $s in
		*/*) run_suite "$name" "${s#*/}" ;;
		*) run_suite "$name" ;;
		esac
	done
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}

verb=${1:-build}
[ $# -eq 0 ] || shift
case $verb in
test) ;;
fuzz) [ $# -le 1 ] || {
	say "fuzz wants one name, or none"
	exit 2
} ;;
drop-sections | check-binary) [ $# -eq 1 ] || {
	say "$verb wants one file"
	exit 2
} ;;
*) [ $# -eq 0 ] || {
	say "$verb takes no argument: $1"
	usage >&2
	exit 2
} ;;
esac
case $verb in
build) build ;;
drop-sections) drop_sections "$1" ;;
check-binary) check_binary "$1" ;;
test) run_tests "$@" ;;
lint) run_tests lint ;;
fuzz)
	export FUZZ_SECONDS="${FUZZ_SECONDS:-600}" FUZZ_KEEP=1
	run_tests "fuzz${1:+/$1}"
	;;
chaos)
	export OPS="${OPS:-100000}"
	run_tests chaos
	;;
demo)
	build
	# shellcheck disable=SC2046
	need $(suite_packages demo)
	kernel
	SPIDERBOX=$build/spiderbox tests/demo/show.sh
	;;
bench)
	build
	# shellcheck disable=SC2046 # a list of words
	need $(suite_packages bench)
	servers
	kernel
	BUILD_DIR=$build SPIDERBOX=$build/spiderbox DEPS=$deps tests/bench/bench.sh "$@"
	;;
order)
	build
	# shellcheck disable=SC2046 # a list of words
	need $(suite_packages bench)
	servers
	kernel
	BUILD_DIR=$build SPIDERBOX=$build/spiderbox DEPS=$deps tests/bench/chain.sh order >build/section-order
	sed -n '/^#/p' section-order.txt | cat - build/section-order >build/section-order.txt
	mv build/section-order.txt section-order.txt
	;;
fmt)
	need clang-format git
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs sh -c 'clang-format -i "$@" && clang-format -i "$@"' fmt # twice: once is not always enough
	;;
image)
	build
	deploy/image.sh "$build/spiderbox" "$build/spiderbox-image.tar"
	;;
size)
	build
	size -A "$build/spiderbox.unchecked"
	size "$build"/o/*.o | sort -rn | head -n 30
	;;
clean) rm -rf "$build" ;;
-h | --help | help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
