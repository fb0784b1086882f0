#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/bench/apart.sh WRITABLE READABLE... -- COMMAND [ARGUMENT]...
#
# Runs COMMAND on this machine's own kernel as on a machine of its own: / is this machine's, below a
# tmpfs that takes what is written and is thrown away; the folder WRITABLE is this machine's own, and so
# are the folders READABLE, which may be on other file systems than /, but cannot be written to.  /run,
# /dev/shm and the rest of /dev are new.  Mounts, processes, host name and IPC are its own and end with
# it; so they do when this process is killed (by SIGKILL: it heeds no other).  The network is the caller's.
# Exit status: the command's.
set -eu

case ${1:-} in
--inside) shift ;;
/*) exec unshare --mount --uts --ipc --pid --fork --kill-child -- "$0" --inside "$@" ;;
*)
	sed -n '4,13s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

writable=$1
shift
here=$PWD
below=$writable/apart
root=$below/root
mkdir -p "$below"
mount -t tmpfs -o mode=755 tmpfs "$below"
mkdir "$below/upper" "$below/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$below/upper,workdir=$below/work" overlay "$root"
while [ "$1" != -- ]; do
	mkdir -p "$root$1"
	mount --bind "$1" "$root$1"
	mount -o remount,bind,ro "$root$1"
	shift
done
shift
mkdir -p "$root$writable" "$root/dev" "$root/proc" "$root/sys" "$root/run"
mount --bind "$writable" "$root$writable"
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root/run/lock" "$root/run/netns"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"

cd "$root"
mkdir -p .below
pivot_root . .below
umount -l /.below
rmdir /.below
cd "$here"
exec "$@"
