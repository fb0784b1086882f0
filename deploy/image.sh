#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: deploy/image.sh BINARY OUT.tar [NAME:TAG]
#
# Writes an image that holds nothing but BINARY as /spiderbox: an OCI image layout in a tar archive,
# with the manifest.json that `docker load` wants beside it.  The same binary gives the same bytes.
# Needs tar, gzip and sha256sum, no container tool.
#
#   ctr -n k8s.io images import OUT.tar      docker load -i OUT.tar      skopeo copy oci-archive:OUT.tar ...
set -eu

[ $# -ge 2 ] || {
	echo "usage: $0 BINARY OUT.tar [NAME:TAG]" >&2
	exit 2
}
binary=$1
out=$2
name=${3:-spiderbox:latest}
tag=${name##*:}
case $tag in */* | "$name" | '')
	echo "$0: \"$name\" is not NAME:TAG" >&2
	exit 2
	;;
esac
# what containerd and docker call an image without a registry
case $name in */*) reference=$name ;; *) reference=docker.io/library/$name ;; esac

umask 022
work=$(mktemp -d)
trap 'rm -rf "$work" "$out.new"' EXIT
trap 'exit 130' INT TERM

# What the machine is called here, in the image's words; read from the binary, not from this machine.
machine=$(od -An -tu2 -j18 -N2 --endian=little "$binary" | tr -d ' ')
case $machine in
62) arch=amd64 ;;
183) arch=arm64 ;;
*)
	echo "$0: $binary is for ELF machine $machine, which has no name here" >&2
	exit 1
	;;
esac

# pack FOLDER NAME...: a tar archive on stdout, the same for the same contents
pack() {
	folder=$1
	shift
	tar -C "$folder" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - "$@"
}

# blob FILE: moves it to its place; prints its digest
blob() {
	digest=$(sha256sum "$1")
	digest=${digest%% *}
	mv "$1" "$work/image/blobs/sha256/$digest"
	echo "$digest"
}

size() {
	wc -c <"$work/image/blobs/sha256/$1" | tr -d ' '
}

mkdir -p "$work/root" "$work/image/blobs/sha256"
cp "$binary" "$work/root/spiderbox"
chmod 0755 "$work/root/spiderbox"
pack "$work/root" spiderbox >"$work/layer.tar"
diff_id=$(sha256sum "$work/layer.tar")
diff_id=${diff_id%% *}
gzip -n -9 "$work/layer.tar"
layer=$(blob "$work/layer.tar.gz")

printf '{"created":"1970-01-01T00:00:00Z","architecture":"%s","os":"linux","config":{"Entrypoint":["/spiderbox"],"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"spiderbox"}]}' \
	"$arch" "$diff_id" >"$work/config"
config=$(blob "$work/config")

printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%s}]}' \
	"$config" "$(size "$config")" "$layer" "$(size "$layer")" >"$work/manifest"
manifest=$(blob "$work/manifest")

printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"platform":{"architecture":"%s","os":"linux"},"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"}}]}' \
	"$manifest" "$(size "$manifest")" "$arch" "$reference" "$tag" >"$work/image/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":["blobs/sha256/%s"]}]' \
	"$config" "$name" "$layer" >"$work/image/manifest.json"

pack "$work/image" blobs index.json manifest.json oci-layout >"$out.new"
mv "$out.new" "$out"
echo "$out: $name, linux/$arch, $(wc -c <"$out" | tr -d ' ') bytes, sha256:$manifest"
