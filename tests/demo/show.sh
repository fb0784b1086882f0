#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/demo/show.sh
#
# The main job on two simulated nodes, for people to watch: guest.sh, in this machine's own kernel
# when it has ipvlan, else in a User-Mode Linux kernel ($KERNEL_DIR).  Nothing of it stays: a mount
# and a network namespace of its own, or a kernel of its own.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${SPIDERBOX:?SPIDERBOX is set by build.sh}"
export SPIDERBOX

# A kernel that can make one: asking beats looking for names of modules.
kernel_has_ipvlan() {
	unshare --net sh -c 'ip link set lo up && ip link add a type veth peer name b && ip link add c link a type ipvlan' \
		>/dev/null 2>&1
}

if kernel_has_ipvlan; then
	echo "This machine's kernel ($(uname -r)) has ipvlan: the demo runs in namespaces of it."
	# shellcheck disable=SC2016 # expanded by the inner shell
	exec unshare --net --mount --uts --propagation private sh -ec '
		mount -t tmpfs tmpfs /run
		mkdir -p /run/netns
		exec "$0"' "$here/guest.sh"
fi
echo "This machine's kernel has no ipvlan: a User-Mode Linux kernel is booted for the demo."
UML_ENV=SPIDERBOX exec "$here/../vm/run-uml" -t 120 -m 512 -- "$here/guest.sh"
