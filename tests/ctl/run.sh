#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The ctl suite: the real binary over a directory store, and putting itself into a CNI folder: a
# stranger's plugin, a full disk, a read-only folder, a kill at every step.  One TAP line per check.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
: "${SPIDERBOX:?SPIDERBOX is set by build.sh}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
pools=$top/tests/data/walkthrough/20-ippools.yaml
export SPIDERBOX_STORE="dir:$work/store"
out=$work/out err=$work/err
# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
tap_log="$work/log"

ctl() {
	timeout 60 "$SPIDERBOX" ctl "$@"
}

# run STATUS ARGUMENT...: ctl ends with that status; its output is in $out and $err
run() {
	want=$1
	shift
	got=0
	ctl "$@" >"$out" 2>"$err" || got=$?
	[ "$got" = "$want" ] || {
		echo "status $got, not $want: ctl $*"
		cat "$out" "$err"
		return 1
	}
}

# stdout, stderr: compared with what is on standard input
stdout() {
	diff -u - "$out"
}
stderr() {
	diff -u - "$err"
}

help_everywhere() {
	run 0 --help && grep -q '^usage: ctl COMMAND' "$out" || return 1
	for c in get ip apply delete install; do
		run 0 $c --help && grep -q "^usage: ctl $c" "$out" && [ ! -s "$err" ] || return 1
	done
}

usage_errors() {
	run 2 && run 2 fly && run 2 get && run 2 get pools && run 2 get sp -o xml && run 2 get sp a -A &&
		run 2 get sp --unknown && run 2 ip && run 2 ip 10.0.0.300 && run 2 ip 10.0.0.1 10.0.0.2 &&
		run 2 apply && run 2 apply file && run 2 delete sp && run 2 delete sp/a se/b && run 2 install || return 1
	run 2 get sp -o xml
	head -n 1 "$err" | grep -qx 'ctl get: -o is one of wide, json, yaml, name; not "xml"' &&
		grep -q '^usage: ctl get KIND' "$err" && [ ! -s "$out" ]
}

other_names() {
	ln -sf "$SPIDERBOX" "$work/spiderpoolctl"
	ln -sf "$SPIDERBOX" "$work/kubectl-spiderpool"
	"$work/spiderpoolctl" get sp --help >"$out" && "$work/kubectl-spiderpool" get sp --help | cmp - "$out"
}

# Only what writes makes a store: a wrong path is told.
no_store() {
	for c in 'get sp' 'get sp a' 'ip 10.0.0.1' 'delete sp a'; do
		# shellcheck disable=SC2086 # a list of words
		run 1 $c --store "dir:$work/typo" &&
			echo "error: there is no store at $work/typo: an agent or \"ctl apply\" makes one" | stderr || return 1
	done
	[ ! -e "$work/typo" ]
}

# Who may read the files may look, and can keep nobody from writing.
as_nobody() {
	chmod 0755 "$work"
	cp "$SPIDERBOX" "$work/readable"
	chmod 0755 "$work/readable"
	[ "$(stat -c %a "$work/store/.lock")" = 600 ] || return 1
	setpriv --reuid 65534 --regid 65534 --clear-groups "$work/readable" ctl get sp -o name >"$out" 2>"$err" || {
		cat "$err"
		return 1
	}
	[ "$(wc -l <"$out")" = 4 ] && [ ! -s "$err" ]
}

nothing_there() {
	mkdir "$work/store"
	run 0 get sp && [ ! -s "$out" ] && echo 'No resources found' | stderr &&
		run 0 get se && echo 'No resources found in default namespace.' | stderr &&
		run 0 get se -A && echo 'No resources found' | stderr &&
		run 0 get sp -o json && jq -e '.kind == "List" and .items == []' "$out"
}

apply_guide() {
	run 0 apply -f "$pools" && stdout <<'END' || return 1
spiderippool.spiderpool.spidernet.io/master-172 created
spiderippool.spiderpool.spidernet.io/master-192 created
spiderippool.spiderpool.spidernet.io/worker-172 created
spiderippool.spiderpool.spidernet.io/worker-192 created
END
	ctl apply -f - <"$pools" >"$out" && ! grep -v ' unchanged$' "$out"
}

# What an agent does: the family and a status.
fill_in() {
	for p in master-172 master-192 worker-172 worker-192; do
		jq '.spec.ipVersion = 4 | .status = {allocatedIPCount: 1, totalIPCount: 5}' \
			"$work/store/spiderippools/$p.json" >"$work/p.json" &&
			mv "$work/p.json" "$work/store/spiderippools/$p.json" || return 1
	done
	jq '.status.allocatedIPs = "{\"172.31.199.187\":{\"pod\":\"default/test-app-1-ddlx7\",\"podUid\":\"u1\",\"nic\":\"eth0\",\"cid\":\"c1\"}}"' \
		"$work/store/spiderippools/master-172.json" >"$work/p.json" &&
		mv "$work/p.json" "$work/store/spiderippools/master-172.json"
}

guide_table() {
	fill_in && run 0 get spiderippool && stdout <<'END'
NAME         VERSION   SUBNET            ALLOCATED-IP-COUNT   TOTAL-IP-COUNT   DEFAULT
master-172   4         172.31.192.0/20   1                    5                true
master-192   4         192.168.0.0/24    1                    5                true
worker-172   4         172.31.192.0/20   1                    5                true
worker-192   4         192.168.0.0/24    1                    5                true
END
}

forms() {
	run 0 get sp -o name && [ "$(head -n 1 "$out")" = spiderippool.spiderpool.spidernet.io/master-172 ] &&
		run 0 get sp/master-192 -o json && jq -e '.spec.subnet == "192.168.0.0/24"' "$out" &&
		run 0 get sp master-192 -o yaml && grep -qx '  - "192.168.0.156-192.168.0.160"' "$out" &&
		run 0 get sp master-192 worker-192 -o wide && [ "$(wc -l <"$out")" = 3 ] &&
		grep -q '^NAME .* DISABLE   NODENAME     MULTUSNAME                    APP-NAMESPACE$' "$out"
}

broken_selector() {
	run 1 get sp -l 'a b' && [ ! -s "$out" ] &&
		echo 'error: label selector "a b": "a b" is none of KEY, !KEY, KEY=VALUE, KEY!=VALUE, KEY in (VALUE,...) and KEY notin (VALUE,...)' | stderr
}

not_there() {
	run 1 get sp master-192 nope && grep -q '^master-192 ' "$out" &&
		echo 'Error (NotFound): spiderippools "nope" not found' | stderr
}

look_up() {
	run 0 ip 172.31.199.187 && stdout <<'END' || return 1
172.31.199.187 is allocated
  pool       master-172
  subnet     172.31.192.0/20
  pod        default/test-app-1-ddlx7
  pod uid    u1
  interface  eth0
  container  c1
END
	run 0 ip 192.168.0.160 -o json && jq -e '.pools == [{"pool": "master-192", "subnet": "192.168.0.0/24", "gateway": "192.168.0.253", "state": "free"}]' "$out" || return 1
	run 1 ip 10.9.9.9 && echo '10.9.9.9 is in no pool' | stdout
}

# One bad document: nothing of the file is written.
all_or_nothing() {
	cat >"$work/bad.yaml" <<'END'
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: fresh}
spec: {subnet: 10.0.0.0/24}
---
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: bad}
spec: {subnet: 10.0.0.0/24, ips: [10.0.1.1]}
END
	run 1 apply -f "$work/bad.yaml" &&
		echo "error: $work/bad.yaml: document 2: SpiderIPPool bad: ips: 10.0.1.1 is not in subnet 10.0.0.0/24" | stderr &&
		run 1 get sp fresh
}

bad_manifests() {
	run 1 apply -f "$work/absent" && echo "error: open $work/absent: No such file or directory" | stderr || return 1
	printf 'a: 1\n a: 2\n' >"$work/broken.yaml"
	run 1 apply -f "$work/broken.yaml" && grep -q "^error: $work/broken.yaml: line 2" "$err" || return 1
	head -c 9000000 /dev/zero >"$work/long.yaml"
	run 1 apply -f "$work/long.yaml" && echo "error: $work/long.yaml is longer than 8388608 bytes" | stderr || return 1
	run 1 get sp --store nowhere && grep -q '^error: store "nowhere" ' "$err"
}

delete_them() {
	run 0 delete sp/worker-172 && echo 'spiderippool.spiderpool.spidernet.io "worker-172" deleted' | stdout &&
		run 1 delete sp worker-172 && echo 'Error (NotFound): spiderippools "worker-172" not found' | stderr &&
		run 0 delete sp worker-172 --ignore-not-found && run 1 delete -f "$pools" && [ "$(wc -l <"$out")" = 3 ] &&
		run 0 get sp && echo 'No resources found' | stderr
}

delete_waits() {
	printf 'apiVersion: spiderpool.spidernet.io/v2beta1\nkind: SpiderIPPool\nmetadata: {name: held, finalizers: [spiderpool.spidernet.io]}\nspec: {subnet: 10.0.0.0/24}\n' |
		ctl apply -f - && run 0 delete sp held &&
		echo 'spiderippool.spiderpool.spidernet.io "held" stays until its finalizers are gone: pods still use it, or no agent runs' | stderr
}

full_stdout() {
	status=0
	ctl --help >/dev/full 2>"$err" || status=$?
	cat "$err"
	[ "$status" = 1 ] && grep -q 'No space left on device' "$err"
}

# --- install ---

names='spiderbox spiderpool ipvlan coordinator ifacer multus'

# fresh: $bin and $conf are new empty folders
fresh() {
	rm -rf "$work/host"
	bin=$work/host/bin conf=$work/host/net.d
	mkdir -p "$bin" "$conf"
}

# all_there: all names there, one file, the binary; nothing else
all_there() {
	for n in $names; do
		cmp "$SPIDERBOX" "$bin/$n" && [ "$(stat -c %i "$bin/$n")" = "$(stat -c %i "$bin/spiderbox")" ] && [ "$(stat -c %a "$bin/$n")" = 755 ] || return 1
	done
	# shellcheck disable=SC2012 # names of ours only
	[ "$(ls -A "$bin" | sort | tr '\n' ' ')" = 'coordinator ifacer ipvlan multus spiderbox spiderpool ' ]
}

install_once() {
	fresh
	run 0 install --bin-dir "$bin" --conf-dir "$conf" && stdout <<END && [ ! -s "$err" ] && all_there && [ -z "$(ls -A "$conf")" ]
$bin/spiderbox installed
$bin/spiderpool installed
$bin/ipvlan installed
$bin/coordinator installed
$bin/ifacer installed
$bin/multus installed
$conf unchanged: networks come from NetworkAttachmentDefinitions
END
}

install_twice() {
	before=$(stat -c %i "$bin/spiderbox")
	run 0 install --bin-dir "$bin" && [ "$(grep -c ' unchanged$' "$out")" = 6 ] && all_there &&
		[ "$(stat -c %i "$bin/spiderbox")" = "$before" ]
}

# The names run as what they are called; from the folder, as a runtime runs them.
installed_runs() {
	"$bin/spiderbox" --version | grep '^spiderbox '
}

# An older version is replaced, while it runs.
update() {
	fresh
	cp "$SPIDERBOX" "$bin/spiderbox" && printf 'older' >>"$bin/spiderbox"
	for n in spiderpool ipvlan; do ln "$bin/spiderbox" "$bin/$n"; done
	ln -s spiderbox "$bin/coordinator"
	mkfifo "$work/host/fifo"
	"$bin/spiderbox" ctl apply -f "$work/host/fifo" >"$work/host/running" 2>&1 &
	running=$!
	run 0 install --bin-dir "$bin" || return 1
	: >"$work/host/fifo"
	wait "$running" || true
	[ "$(grep -c ' installed$' "$out")" = 6 ] && all_there && [ ! -L "$bin/coordinator" ]
}

foreign() {
	fresh
	printf '#!/bin/sh\ntouch %s\n' "$work/host/was-run" >"$bin/ipvlan"
	chmod 0755 "$bin/ipvlan"
	cp "$bin/ipvlan" "$work/host/ipvlan"
	mkdir "$bin/coordinator"
	run 0 install --bin-dir "$bin" && cmp "$bin/ipvlan" "$work/host/ipvlan" && [ -d "$bin/coordinator" ] &&
		[ ! -e "$work/host/was-run" ] && cmp "$SPIDERBOX" "$bin/spiderpool" || return 1
	stderr <<END || return 1
warning: $bin/ipvlan is another program's and was left alone; remove it and run this again to have "type": "ipvlan" mean Spiderbox
warning: $bin/coordinator is another program's and was left alone; remove it and run this again to have "type": "coordinator" mean Spiderbox
END
	cp "$bin/ipvlan" "$work/host/other" && mv "$work/host/other" "$bin/spiderbox"
	run 1 install --bin-dir "$bin" &&
		echo "error: $bin/spiderbox is there and is not this program: move it away" | stderr
}

uninstall() {
	fresh
	printf 'theirs' >"$bin/ipvlan"
	run 0 install --bin-dir "$bin" && run 0 install --bin-dir "$bin" --uninstall &&
		[ "$(ls -A "$bin")" = ipvlan ] && [ "$(cat "$bin/ipvlan")" = theirs ] &&
		run 0 install --bin-dir "$bin" --uninstall && grep -qx "$bin/spiderbox absent" "$out"
}

# The agent's files go too, another program's stay.
uninstall_conf() {
	fresh
	run 0 install --bin-dir "$bin" && mkdir "$conf/multus.d" || return 1
	echo '{"type":"multus","agentSocket":"/s"}' >"$conf/00-multus.conf"
	echo '{"current-context":"spiderbox-multus"}' >"$conf/multus.d/multus.kubeconfig"
	echo theirs >"$conf/10-x.conflist"
	run 0 install --bin-dir "$bin" --conf-dir "$conf" --uninstall && grep -qx "$conf/00-multus.conf removed" "$out" &&
		[ "$(ls -A "$conf")" = 10-x.conflist ] && [ -z "$(ls -A "$bin")" ] || return 1
	mkdir "$conf/multus.d"
	echo '{"type":"multus","kubeconfig":"/k"}' >"$conf/00-multus.conf"
	echo 'current-context: multus-context' >"$conf/multus.d/multus.kubeconfig"
	run 0 install --bin-dir "$bin" --conf-dir "$conf" --uninstall &&
		grep -qx "$conf/00-multus.conf is another program's and stays" "$out" &&
		[ -e "$conf/00-multus.conf" ] && [ -e "$conf/multus.d/multus.kubeconfig" ] || return 1
	rm -r "$conf/00-multus.conf" "$conf/multus.d"
	run 0 install --bin-dir "$bin" --conf-dir "$conf" --uninstall && grep -qx "$conf/00-multus.conf absent" "$out"
}

bad_folders() {
	fresh
	run 1 install --bin-dir "$bin/none" && echo "error: plugin folder $bin/none: No such file or directory" | stderr &&
		run 1 install --bin-dir "$SPIDERBOX" && echo "error: plugin folder $SPIDERBOX is not a folder" | stderr &&
		run 1 install --bin-dir "$bin" --conf-dir "$conf/none" &&
		echo "error: CNI configuration folder $conf/none: No such file or directory" | stderr &&
		[ -z "$(ls -A "$bin")" ]
}

# in_mount OPTIONS COMMAND...: with a tmpfs of these options on $bin, in a namespace of its own
in_mount() {
	options=$1
	shift
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -m sh -c 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && "$@"' sh "$options" "$bin" "$@"
}

read_only() {
	fresh
	# shellcheck disable=SC2016 # expanded by the inner shell
	in_mount ro sh -c '! "$1" ctl install --bin-dir "$2" 2>"$3"' sh "$SPIDERBOX" "$bin" "$err" &&
		echo "error: plugin folder $bin cannot be written to: Read-only file system" | stderr
}

full_disk() {
	fresh
	# shellcheck disable=SC2016 # expanded by the inner shell
	in_mount size=64k sh -c '! "$1" ctl install --bin-dir "$2" 2>"$3" && [ -z "$(ls -A "$2")" ]' sh "$SPIDERBOX" "$bin" "$err" &&
		echo "error: copy to $bin/spiderbox: No space left on device" | stderr
}

# whole: no name holds anything but a whole binary
whole() {
	for n in $names; do
		[ ! -e "$bin/$n" ] || cmp "$SPIDERBOX" "$bin/$n" || return 1
	done
}

# Killed as it enters each of its system calls that change something; then run again.
killed() {
	for call in write fsync fchmod rename link unlink; do
		i=1
		while :; do
			fresh
			status=0
			timeout 60 strace -qq -o "$work/trace" -e "trace=$call" -e "inject=$call:signal=KILL:when=$i" \
				"$SPIDERBOX" ctl install --bin-dir "$bin" >"$out" 2>"$err" || status=$?
			[ "$status" != 0 ] || break # there is no i-th call: it ran through
			[ "$status" = 137 ] || {
				echo "$call $i: status $status"
				cat "$err"
				return 1
			}
			echo "killed at $call $i"
			whole || return 1
			run 0 install --bin-dir "$bin" || return 1
			all_there || return 1
			deaths=$((deaths + 1))
			i=$((i + 1))
			# copying is many writes, and all alike
			[ "$call" != write ] || i=$((i + 5))
		done
	done
	echo "killed $deaths times"
	[ "$deaths" -ge 10 ]
}

# The file system has no hard links: copies then.
no_hard_links() {
	fresh
	strace -qq -o "$work/trace" -e trace=link -e inject=link:error=EPERM \
		"$SPIDERBOX" ctl install --bin-dir "$bin" >"$out" 2>"$err" || return 1
	for n in $names; do
		cmp "$SPIDERBOX" "$bin/$n" && [ "$(stat -c %h "$bin/$n")" = 1 ] || return 1
	done
	run 0 install --bin-dir "$bin" --uninstall && [ -z "$(ls -A "$bin")" ]
}

at_once() {
	fresh
	jobs=
	for _ in 1 2 3 4 5 6; do
		ctl install --bin-dir "$bin" >/dev/null 2>>"$work/host/errors" &
		jobs="$jobs $!"
	done
	for j in $jobs; do wait "$j" || return 1; done
	cat "$work/host/errors"
	all_there
}

check 'every command has help' help_everywhere
check 'a wrong command line is status 2 and says what is wrong' usage_errors
check 'it answers to its other names' other_names
check 'looking at a store that is not there' no_store
check 'an empty store' nothing_there
check "the guide's pools are applied as printed" apply_guide
check "the guide's table" guide_table
check 'everybody may look who may read' as_nobody
check 'wide, json, yaml, name' forms
check 'a broken selector is told' broken_selector
check 'what is not there is said, what is there is shown' not_there
check 'who has this address?' look_up
check 'a bad document keeps the whole file out' all_or_nothing
check 'manifests that cannot be read' bad_manifests
check 'delete' delete_them
check 'a delete that waits for a finalizer says so' delete_waits
check 'output that cannot be written is an error' full_stdout
check 'install: five names of one file' install_once
check 'install: a second time changes nothing' install_twice
check 'install: what was installed runs' installed_runs
check 'install: an older version is replaced while it runs' update
check "install: a stranger's plugin is left alone, not run, and named" foreign
check 'install: --uninstall removes what is ours' uninstall
check 'install: --uninstall --conf-dir removes what the agent keeps there' uninstall_conf
check 'install: folders that are none' bad_folders
check 'install: a read-only folder' read_only
check 'install: a full disk leaves nothing' full_disk
deaths=0
check 'install: killed at every step, whole files only, and the next run completes' killed
check 'install: no hard links' no_hard_links
check 'install: six at once' at_once
[ "$failed" = 0 ]
