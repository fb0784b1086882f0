#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The image suite: the OCI archive is what it says, byte for byte the same twice, and what is in it
# runs in a root that holds nothing else.  One TAP line per check.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
: "${SPIDERBOX:?SPIDERBOX is set by build.sh}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
image=$work/image
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
tap_log="$work/log"

makes() {
	"$top/deploy/image.sh" "$SPIDERBOX" "$work/one.tar" && mkdir "$image" && tar -xf "$work/one.tar" -C "$image"
}

# Another time, folder, umask and locale.
same_twice() {
	mkdir -p "$work/other/folder"
	cp "$SPIDERBOX" "$work/other/binary"
	chmod 0700 "$work/other/binary"
	touch -d '2001-02-03' "$work/other/binary"
	(
		umask 077
		cd "$work/other" && TZ=Asia/Shanghai LC_ALL=C.UTF-8 "$top/deploy/image.sh" binary folder/two.tar
	) && cmp "$work/one.tar" "$work/other/folder/two.tar"
}

well_formed() {
	jq -e '.imageLayoutVersion == "1.0.0"' "$image/oci-layout" &&
		jq -e '.schemaVersion == 2 and (.manifests | length) == 1' "$image/index.json" &&
		jq -e '.manifests[0].annotations["io.containerd.image.name"] == "docker.io/library/spiderbox:latest"' "$image/index.json" &&
		jq -e '.[0].RepoTags == ["spiderbox:latest"]' "$image/manifest.json"
}

# described FILE PATH: the descriptor at that path tells the digest and size of a blob that is there
described() {
	digest=$(jq -r "$2.digest" "$1")
	file=$image/blobs/sha256/${digest#sha256:}
	[ "sha256:$(sha256sum "$file" | cut -d' ' -f1)" = "$digest" ] || {
		echo "$2 of $1: $digest is not the digest of its blob"
		return 1
	}
	[ "$(wc -c <"$file")" = "$(jq "$2.size" "$1")" ] || {
		echo "$2 of $1: wrong size"
		return 1
	}
}

blob_of() {
	digest=$(jq -r "$2" "$1")
	echo "$image/blobs/sha256/${digest#sha256:}"
}

consistent() {
	described "$image/index.json" '.manifests[0]' || return 1
	manifest=$(blob_of "$image/index.json" '.manifests[0].digest')
	described "$manifest" .config && described "$manifest" '.layers[0]' || return 1
	config=$(blob_of "$manifest" .config.digest)
	layer=$(blob_of "$manifest" '.layers[0].digest')
	[ "sha256:$(gzip -dc "$layer" | sha256sum | cut -d' ' -f1)" = "$(jq -r '.rootfs.diff_ids[0]' "$config")" ] || {
		echo 'the diff_id is not that of the layer'
		return 1
	}
	# both descriptions name the same blobs, and there are no others
	[ "$image/$(jq -r '.[0].Config' "$image/manifest.json")" = "$config" ] &&
		[ "$image/$(jq -r '.[0].Layers[0]' "$image/manifest.json")" = "$layer" ] &&
		[ "$(find "$image/blobs" -type f | wc -l)" = 3 ]
}

configured() {
	jq -e '.config.Entrypoint == ["/spiderbox"] and .os == "linux"' "$config" &&
		jq -e --arg a "$(dpkg --print-architecture)" '.architecture == $a' "$config"
}

only_the_binary() {
	[ "$(gzip -dc "$layer" | tar -tf -)" = spiderbox ] &&
		gzip -dc "$layer" | tar --numeric-owner -tvf - | grep '^-rwxr-xr-x 0/0 .* 1970-01-01 00:00 spiderbox$' &&
		gzip -dc "$layer" | tar -xOf - spiderbox | cmp - "$SPIDERBOX"
}

runs_alone() {
	mkdir "$work/root" && gzip -dc "$layer" | tar -xf - -C "$work/root" &&
		chroot "$work/root" /spiderbox --version | grep '^spiderbox '
}

refuses() {
	echo 'no ELF file, but long enough to have a machine' >"$work/text"
	! "$top/deploy/image.sh" "$work/text" "$work/no.tar" 2>"$work/words" || return 1
	cat "$work/words"
	grep -q 'has no name here' "$work/words" && [ ! -e "$work/no.tar" ] && [ ! -e "$work/no.tar.new" ] || return 1
	! "$top/deploy/image.sh" "$SPIDERBOX" "$work/no.tar" registry:5000/spiderbox 2>"$work/words" || return 1
	grep -q 'is not NAME:TAG' "$work/words"
}

export TZ=UTC
check 'an archive is written' makes
check 'the same bytes at another time and place' same_twice
check 'the layout is well-formed' well_formed
check 'digests and sizes are right' consistent
check 'the configuration names the binary and this architecture' configured
check 'the layer holds the binary alone' only_the_binary
check 'what is in it runs in an empty root' runs_alone
check 'what is no binary is refused' refuses
[ "$failed" = 0 ]
