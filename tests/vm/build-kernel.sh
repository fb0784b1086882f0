#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/vm/build-kernel.sh DIR
#
# Builds a User-Mode Linux kernel from Debian's linux-source-6.1 into DIR/linux, with everything in
# kernel.config built in (no modules).  Where DIR/linux exists nothing happens, so DIR is to be named
# after the version and the configuration.  It is linked dynamically: a static one panics at its
# first exec ("failed to wait for SIGTRAP").
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build-kernel.sh DIR}
version=6.1
[ -x "$out/linux" ] && exit 0

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d "$out/../kernel-work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

cd "$work"
# _apt may not read a folder of root's: the warning about that is the only thing filtered out
apt-get download -q "linux-source-$version" 2>&1 | grep -v unsandboxed >&2 || true
dpkg-deb -x linux-source-"$version"_*.deb deb
tree=linux-source-$version
mkdir src
# The drivers of graphics cards and most of the documentation are never compiled for ARCH=um, but
# Kconfig reads the former's Kconfig files.
tar -C src --strip-components=1 --exclude="$tree/drivers/gpu" --exclude="$tree/Documentation/[a-z]*/*" \
	-xf "deb/usr/src/$tree.tar.xz"
tar -C src --strip-components=1 --wildcards -xf "deb/usr/src/$tree.tar.xz" \
	"$tree/drivers/gpu/*Kconfig*" "$tree/drivers/gpu/*Makefile"

cd src
export ARCH=um
make -s defconfig
./scripts/kconfig/merge_config.sh -m .config "$here/kernel.config" >/dev/null
./scripts/config -d DEBUG_INFO -d DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT -d DEBUG_INFO_DWARF4 -d DEBUG_INFO_DWARF5
make -s olddefconfig
missing=
while IFS='=' read -r option value; do
	[ "$value" != y ] || grep -q "^$option=y" .config || missing="$missing $option"
done <"$here/kernel.config"
[ -z "$missing" ] || echo "tests/vm: this kernel has no$missing" >&2
make -s -j"$(nproc)" linux
strip -o "$out/linux.new" linux
cp .config "$out/config"
mv "$out/linux.new" "$out/linux"
