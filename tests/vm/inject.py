#!/usr/bin/env -S python3 -SEI
# SPDX-License-Identifier: Apache-2.0
"""usage: inject.py kill COMMAND [EVERY]
          inject.py fail COMMAND CALL:ERROR[:EVERY]...
          inject.py dump FILE [NETNS]...

Runs a CNI plugin again and again, and each time something happens to it at another place, by strace:

  kill  it is killed behind each call that changed something (each EVERY-th of them), then called as a
        runtime would: DEL; or, each third time, the same command again before the DEL.
  fail  each system call CALL (send is sendto and sendmsg, open also openat) in turn (each EVERY-th) comes to ERROR.  An ADD that fails has to say why
        and to leave nothing; one that succeeds is told of in WORK/harmless.

After each there has to be what was there before: links, addresses, routes, rules, neighbours,
nf_tables and sysctls of the node and the pod, files, and which addresses are given to whom.

In the environment: PLUGIN (path), CONF (file), the CNI_ variables but for CNI_COMMAND, WORK (a folder
for notes), FILES (folders to compare), STORE (of the agent, or ""), LEFT (a pattern of lines not to be
compared, or ""), and, for a plugin whose DEL does not undo its ADD, CLEANUP (shell commands).  To be
run in the node's namespaces.  dump writes what there is, in the namespaces too.

Exit status 1, and what differed on stdout, when anything did.
"""
import ctypes
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time

WORK = os.environ["WORK"]
NETNS = os.environ.get("CNI_NETNS", "")
CLEANUP = os.environ.get("CLEANUP", "")
STORE = os.environ.get("STORE", "")
LEFT = re.compile(os.environ.get("LEFT") or r"(?!)")
PATIENCE = 5  # seconds for the agent to write what it knows
libc = ctypes.CDLL(None, use_errno=True)


# --- what there is: of a namespace, by netlink, since starting programs costs time here


def enter(fd):
    if libc.setns(fd, 0) < 0:
        raise OSError(ctypes.get_errno(), "setns")


def attributes(data):
    """[(type, value)]"""
    out = []
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        out.append((kind & 0x3FFF, data[4:length]))
        data = data[(length + 3) & ~3 :]
    return out


def text(value):
    return value.split(b"\0")[0].decode()


class Netns:
    """One network namespace; path "" is the own."""

    SYSCTLS = [
        ("ipv4", ["tcp_fwmark_accept", "fwmark_reflect", "ip_forward"], ["rp_filter", "arp_notify", "forwarding"]),
        ("ipv6", ["fwmark_reflect"], ["disable_ipv6", "keep_addr_on_down", "ndisc_notify", "accept_ra"]),
    ]

    def __init__(self, name, path):
        self.name = name
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.fd = os.open(path, os.O_RDONLY) if path else self.home
        enter(self.fd)
        self.route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.nft = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        enter(self.home)

    @staticmethod
    def list(sock, kind, header):
        """The messages of a dump."""
        sock.send(struct.pack("IHHII", 16 + len(header), kind, 0x301, 1, 0) + header)
        while True:
            data = sock.recv(65536)
            while data:
                length, what = struct.unpack_from("IH", data)
                if what in (2, 3):
                    return
                yield data[16:length]
                data = data[(length + 3) & ~3 :]

    @staticmethod
    def info(value):
        """IFLA_LINKINFO without what comes and goes: a bond's active member, and what it knows of each."""
        a = dict(attributes(value))
        kind = text(a.get(1, b""))
        data = [(k, v) for k, v in attributes(a.get(2, b"")) if kind != "bond" or k not in (2, 24)]
        return "%s(%s)%s" % (kind, " ".join("%d:%s" % (k, v.hex()) for k, v in data), text(a.get(4, b"")))

    def links(self):
        kept = {1: "mac", 4: "mtu", 13: "txqlen", 20: "alias", 30: "promiscuity", 52: "names"}
        found = []
        for m in self.list(self.route, 18, struct.pack("16xHHI", 8, 29, 8)):
            index, flags = struct.unpack_from("4xiI", m)
            found.append((flags, attributes(m[16:])))
            self.names[index] = text(dict(found[-1][1])[3])
        for flags, a in found:
            out = ["%s %s" % (kept[k], v.hex()) for k, v in a if k in kept]
            a = dict(a)
            for k, name in ((5, "on"), (10, "of")):
                if k in a:
                    index = struct.unpack("i", a[k])[0]
                    out.append("%s %s" % (name, "another namespace" if k == 5 and 37 in a else self.names.get(index, "?")))
            # of the flags, what the kernel finds out about the carrier is left out
            yield "link %s flags %#x %s %s" % (text(a[3]), flags & 0x1991, " ".join(out), self.info(a.get(18, b"")))

    def addresses(self):
        for m in self.list(self.route, 22, b"\0" * 8):
            family, length, _, scope, index = struct.unpack_from("BBBBI", m)
            a = dict(attributes(m[8:]))
            if family != 10 or scope != 253:
                local = socket.inet_ntop(family, a.get(2, a[1]))
                yield "address %s/%d scope %d on %s" % (local, length, scope, self.names[index])

    def routes(self, family):
        kept = {1: "dst", 4: "oif", 5: "gw", 6: "metric", 7: "src", 9: "multipath", 15: "table", 18: "via"}
        for m in self.list(self.route, 26, struct.pack("B11x", family)):
            kind, flags = struct.unpack_from("7xBI", m)
            a = dict(attributes(m[12:]))
            # what the kernel makes for IPv6 by itself comes and goes
            if flags & 0x200 or (family == 10 and (kind not in (1, 7) or a.get(1, b"")[:1] in (b"\xfe", b"\xff"))):
                continue
            out = []
            for k, v in a.items():
                if k == 4:
                    v = self.names.get(struct.unpack("i", v)[0], "?")
                elif k in (1, 5, 7):
                    v = socket.inet_ntop(family, v)
                elif k in kept:
                    v = v.hex()
                if k in kept:
                    out.append("%s %s" % (kept[k], v))
            yield "route %s %s" % (m[1:8].hex(), " ".join(out))

    def rules(self, family):
        for m in self.list(self.route, 34, struct.pack("B11x", family)):
            yield "rule %s %s" % (m[:12].hex(), " ".join("%d:%s" % (k, v.hex()) for k, v in attributes(m[12:])))

    def neighbours(self):
        for m in self.list(self.route, 30, b"\0" * 12):
            family, index, state = struct.unpack_from("BxxxiH", m)
            a = dict(attributes(m[12:]))
            if state & 0x80:
                yield "neighbour %s %s on %s" % (a[1].hex(), a.get(2, b"").hex(), self.names.get(index, "?"))

    def nftables(self):
        # GETTABLE, GETCHAIN, GETRULE; without handles and reference counts
        for kind, left_out in ((1, (3, 4)), (4, (2, 6)), (7, (3,))):
            for m in self.list(self.nft, 10 << 8 | kind, b"\0" * 4):
                yield "nft %d %s" % (kind, " ".join("%d:%s" % (k, v.hex()) for k, v in attributes(m[4:]) if k not in left_out))

    def sysctls(self):
        def value(path):
            try:
                with open("/proc/sys/net/" + path) as f:
                    return "sysctl %s = %s" % (path, f.read().strip())
            except OSError:
                return "sysctl %s: none" % path

        for family, own, of_links in self.SYSCTLS:
            for key in own:
                yield value("%s/%s" % (family, key))
            for link in ["all", "default"] + sorted(self.names.values()):
                for key in of_links:
                    yield value("%s/conf/%s/%s" % (family, link, key))

    def dump(self):
        self.names = {}
        out = sorted(self.links())
        out += sorted(self.addresses()) + sorted(self.neighbours())
        for family in (2, 10):
            out += list(self.routes(family)) + list(self.rules(family))
        out += list(self.nftables())
        enter(self.fd)
        out += list(self.sysctls())
        enter(self.home)
        return [self.name + ": " + line for line in out]


# --- what there is: files, and what the agent has given


STATUSES = "/var/lib/spidernet/netstatus"
SWEPT = re.compile(r"/var/lib/spidernet/.*/\.[^/]*\.\w{6}$")


def files():
    out = []
    for top in os.environ.get("FILES", "").split():
        for folder, _, names in os.walk(top):
            for name in names:
                path = folder + "/" + name
                # what a writer that was killed had begun: the agent removes it, see file_sweep()
                if name == "rounds.json" or SWEPT.match(path) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    out.append("file %s %s" % (path, hashlib.sha256(f.read()).hexdigest()[:12]))
    return sorted(out)


def await_statuses():
    """Networks' statuses, which the agent writes a moment after an ADD, are files until then."""
    until = time.monotonic() + PATIENCE
    while os.path.isdir(STATUSES) and os.listdir(STATUSES):
        if time.monotonic() > until:
            return  # to be seen as what is left
        time.sleep(0.02)


def given():
    out = []
    folder = STORE + "/spiderippools"
    for name in sorted(os.listdir(folder)) if STORE else ():
        if name.endswith(".json"):
            with open("%s/%s" % (folder, name)) as f:
                out.append("pool %s gave %s" % (name, json.load(f).get("status", {}).get("allocatedIPs")))
    return out


class Everything:
    def __init__(self, paths=()):
        self.namespaces = [Netns("node", "")] + ([Netns("pod", NETNS)] if NETNS else [])
        self.namespaces += [Netns("pod " + path, path) for path in paths]

    def dump(self):
        await_statuses()
        kernel = [line for n in self.namespaces for line in n.dump()]
        return [line for line in kernel if not LEFT.match(line)], files() + given()

    def differs(self, wanted):
        """The difference, and "" when there is none; the agent writes a little later, and takes the node's rule away."""
        until = time.monotonic() + PATIENCE
        while True:
            kernel, rest = self.dump()
            if kernel == wanted[0] and rest == wanted[1]:
                return ""
            if time.monotonic() > until:
                return compare(wanted[0], kernel) if kernel != wanted[0] else compare(wanted[1], rest)
            time.sleep(0.02)


def compare(wanted, got):
    out = ["-" + line for line in wanted if line not in got] + ["+" + line for line in got if line not in wanted]
    return "\n".join(out) or "in another order"


# --- one run


CALLS = "sendto,sendmsg,recvfrom,open,openat,mkdir,rename,unlink,write,pwrite64,connect,flock,setns,fchmod,ftruncate,fork,vfork,clone,execve,pipe2,signalfd4,socket"

# Calls that do the same thing.
KINDS = {"sendto": "send", "sendmsg": "send", "openat": "open"}


def run(command, strace=()):
    """(status, document)"""
    with open(os.environ["CONF"]) as conf, open(WORK + "/stderr", "w") as stderr:
        p = subprocess.run(
            list(strace) + [os.environ["PLUGIN"]],
            env=dict(os.environ, CNI_COMMAND=command),
            stdin=conf,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        return p.returncode, json.loads(p.stdout)
    except ValueError:
        return p.returncode, p.stdout.decode(errors="replace")


def tracer(*options):
    return ["strace", "-qq", "-o", WORK + "/strace", *options]


def netlink_type(arguments):
    """Of the first message sent; None for what is no netlink.  What sendmsg sends is not taken apart by strace."""
    kind = re.search(r"nlmsg_type=(0x[0-9a-f]+)", arguments)
    if kind:
        return int(kind.group(1), 16)
    raw = re.search(r'iov_base="((?:[^"\\]|\\.)*)"', arguments)
    data = raw.group(1).encode().decode("unicode_escape").encode("latin-1") if raw else b""
    return struct.unpack_from("4xH", data)[0] if len(data) >= 6 else None


class Call:
    """One of a trace's: its name, which one of that name, its arguments, and what kind it is of."""

    def __init__(self, name, number, arguments):
        self.name, self.number, self.arguments = name, number, arguments
        self.kind = KINDS.get(name, name)

    def changes(self):
        if self.kind == "send":
            kind = netlink_type(self.arguments)
            if kind is None:
                return not self.arguments.split('"')[1:2] or not self.arguments.split('"')[1].startswith("GET")
            return kind >= 0x100 or kind % 4 < 2
        if self.kind == "open":
            return "O_CREAT" in self.arguments
        return self.name in ("rename", "unlink", "write", "pwrite64", "fork", "vfork", "clone")

    def __str__(self):
        """In words that are the same in each run."""
        arguments = re.sub(r"[0-9a-f]{64}", "CID", self.arguments)
        arguments = re.sub(r'(/\.[^/"]*)\.\w{6}"', r'\1.XXXXXX"', arguments)
        kind = netlink_type(self.arguments)
        quoted = re.findall(r'"([^"]*)"', arguments) + [""]
        if kind is not None:
            what = "netlink " + request(kind)
        elif self.kind == "send":
            what = " ".join(quoted[0].split()[:2])
        elif self.name == "write":
            what = "a line of the log" if quoted[0][:2] == "20" else "a document"
        elif self.name == "rename":
            what = quoted[1]
        else:
            what = quoted[0]
        return ("%s %s" % (self.kind, what)).strip()


def request(kind):
    """The name of a netlink message, of rtnetlink."""
    things = {0: "LINK", 1: "ADDR", 2: "ROUTE", 3: "NEIGH", 4: "RULE", 16: "NETCONF", 18: "NSID"}
    thing = things.get((kind - 16) // 4)
    return "RTM_%s%s" % (("NEW", "DEL", "GET", "SET")[kind % 4], thing) if thing else "%#x" % kind


# What an error has to tell, besides the kernel's words: what was being done, with which thing.
THINGS = re.compile(r"interface|pair|address|route|rule|neighbour|namespace|nf_tables|socket|pipe|signalfd|bond|plugin \S+/|/\w")
FROM = re.compile(r'^(\[[^]]*\]: error adding container to network "[^"]*": )?(plugin \w+: )?')


def trace(command):
    """The calls of a run that nothing happens to."""
    status, document = run(command, tracer("-f", "--seccomp-bpf", "-e", "trace=" + CALLS))
    if status:
        sys.exit("%s fails without anything happening to it: %s" % (command, document))
    calls, count, main = [], {}, None
    with open(WORK + "/strace") as f:
        for line in f:
            pid, rest = line.split(None, 1)
            main = main or pid
            m = re.match(r"(\w+)\((.*)", rest)
            if pid == main and m:
                count[m.group(1)] = count.get(m.group(1), 0) + 1
                calls.append(Call(m.group(1), count[m.group(1)], m.group(2)))
    return calls


class Trials:
    def __init__(self, command):
        self.command = command
        self.everything = Everything()
        self.failed = 0
        self.undo()  # what an earlier plugin of the chain has made is there from now on
        self.make()
        self.undo()
        self.before = self.everything.dump()
        self.set()
        self.calls = trace(command)
        self.whole = self.everything.dump()
        self.undo()
        self.clean("a run that nothing happens to")

    def make(self):
        status, document = run("ADD")
        if status:
            sys.exit("ADD fails: %s" % document)

    def set(self):
        """For a DEL there has to be something."""
        if self.command != "ADD":
            self.make()

    def undo(self):
        if CLEANUP:
            subprocess.run(["sh", "-c", CLEANUP], stderr=subprocess.DEVNULL, check=False)
            return
        status, document = run("DEL")
        if status:
            self.say("DEL fails: %s" % document)

    def say(self, what):
        self.failed += 1
        print(what, flush=True)

    def clean(self, what):
        difference = self.everything.differs(self.before)
        if difference:
            self.say("%s leaves something else than was there:\n%s" % (what, difference))
            self.before = self.everything.dump()
        return not difference

    def hurt(self, call, injection):
        # by way of seccomp it is faster, but then strace 6.1 sends no signals
        fast = [] if injection.startswith("signal") else ["-f", "--seccomp-bpf"]
        return run(self.command, tracer(*fast, "-e", "trace=" + call.name, "-e", "inject=%s:%s:when=%d" % (call.name, injection, call.number)))

    def kill(self, every):
        done, points = 0, []
        for i, call in enumerate(self.calls[:-1]):
            if call.changes():
                points.append((call, self.calls[i + 1]))
        for n, (call, following) in enumerate(points[::every]):
            what = "%s, killed behind call %s (at %s %d)" % (self.command, call, following.name, following.number)
            self.set()
            status, document = self.hurt(following, "signal=KILL")
            done += status == -9
            if CLEANUP or n % 3 == 2:
                status, document = run(self.command)
                if status and (CLEANUP or not isinstance(document, dict) or not document.get("msg")):
                    self.say("%s: once more: status %d, %s" % (what, status, document))
                if CLEANUP:
                    difference = self.everything.differs(self.whole)
                    if difference:
                        self.say("%s: once more makes something else:\n%s" % (what, difference))
            self.undo()
            self.clean(what)
        print("# %d of %d kills" % (done, len(points[::every])))
        # how many calls there are varies a little
        if done < len(points[::every]) * 0.9 - 1:
            self.say("few were killed")

    def fail(self, wanted):
        harmless, messages, refused = set(), {}, 0
        for one in wanted:
            name, error, every = (one.split(":") + ["1"])[:3]
            calls = [c for c in self.calls if c.kind == name][:: int(every)]
            if not calls:
                self.say("there is no %s" % name)
            for n, call in enumerate(calls):
                what = "%s with %s for call %d, %s" % (self.command, error, call.number, call)
                self.set()
                status, document = self.hurt(call, "error=" + error)
                if status == 0:
                    harmless.add("%s %s" % (error, call))
                    self.undo()
                    self.clean(what)
                    continue
                refused += 1
                if status != 1 or not isinstance(document, dict) or not document.get("msg"):
                    self.say("%s: status %d, %s" % (what, status, document))
                else:
                    messages.setdefault(document["msg"], what)
                    message = document["msg"][FROM.match(document["msg"]).end() :]
                    if message.startswith("netlink:") or not THINGS.search(message):
                        self.say("%s: the error does not say what failed: %s" % (what, document["msg"]))
                if self.command == "ADD":
                    self.clean(what)
                if n % 8 == 7:
                    self.make()
                self.undo()
                self.clean(what + ", and after it")
        with open(WORK + "/harmless", "w") as f:
            f.write("".join(line + "\n" for line in sorted(harmless)))
        with open(WORK + "/messages", "w") as f:
            f.write("".join("%s\t%s\n" % (m, messages[m]) for m in sorted(messages)))
        print("# %d calls refused, %d of them harmless" % (refused + len(harmless), len(harmless)))


def main():
    verb, *rest = sys.argv[1:]
    if verb == "dump":
        kernel, other = Everything(rest[1:]).dump()
        with open(rest[0], "w") as f:
            f.write("\n".join(kernel + other) + "\n")
        return 0
    trials = Trials(rest[0])
    if verb == "kill":
        trials.kill(int(rest[1]) if rest[1:] else 1)
    else:
        trials.fail(rest[1:])
    return 1 if trials.failed else 0


sys.exit(main())
