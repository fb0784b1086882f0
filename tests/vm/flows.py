#!/usr/bin/env -S python3 -SEI
# SPDX-License-Identifier: Apache-2.0
"""usage: flows.py NAMES TABLE HEADING FIRST-PORT [--fails | --await SERVICE]

Runs the flows of TABLE between network namespaces and compares, for each of them, who answered
whom, the links that request and answer crossed, and the connections that were then known where.
Prints a line of TAP for each row; with --fails answer or ways must be wrong in each of them.
FIRST-PORT: each question comes from a port of its own, and no two runs should share one.
--await: first, pods a and w ask SERVICE in each family until it answers, 400 s at most.

NAMES: lines of NAME SPACE ADDRESS [IPv6-ADDRESS]: what rows call an address, and the namespace
(below /run/netns) that has it; "-" for one that only netfilter knows.  Of several names of an
address the first is the one in answers.  "place SPACE" instead: another namespace to watch.
TABLE: rows of columns separated by "|"; "#" begins a comment:

  flow         words for people
  kinds        of tcp, udp, ping, http and open (a connection, no data), then 4, 6 or 46
  from         a name; one with "@" has its socket bound to that address
  to           a name, and a port after ":" (else 80 for names without a namespace, 8080)
  answer       "SPACE sees NAME": the client as the server sees it.  "none": there must be none.
               "-": not looked at
  there        the links that the request crosses, in their order:
                 POD/DEVICE        out of or into the pod
                 m-eth0, w-eth1... the wire between a node's card and the network, which is that
                                   network's port
                 router, internet  from one subnet to the other; to or from the client
                 lo, flannel.1     out of that device of a node
  back         the same of the answer; "same": the other way round
  connections  SPACE[:FLAG+FLAG...]: what nodes and pods have of it in conntrack: dnat, snat;
               mark (bit 0x1); half (no answer seen).  The places not named have none; "none": no place

Everything happens in this process: it opens its sockets in the namespaces, serves and asks.  A
packet socket in each namespace sees what crosses each of its interfaces, and when.
"""
import ctypes
import errno
import os
import select
import socket
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SO_TIMESTAMPNS = 35
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
OUTGOING, OTHERS = 4, 3  # packet types: sent, and addressed to somebody else
SERVED, SERVICE, API = 8080, 80, 6443
NUMBERS = {"tcp": 6, "http": 6, "open": 6, "udp": 17, "ping": 1}
# what pods, nodes and the client are asked on
PORTS = (SERVED, SERVICE, 53)


class Space:
    """A namespace: the sockets in it."""
    fds = {}

    def __init__(self, name):
        self.name, self.label = name, name.removeprefix("fabric-")
        self.netns = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self.enter()
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.tap.setblocking(False)
        self.tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.ct = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self.known = set()

    def enter(self):
        if libc.setns(self.netns, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), f"enter {self.name}")

    def serve(self, poll):
        self.enter()
        for family in (socket.AF_INET, socket.AF_INET6):
            for port in PORTS:
                tcp = socket.socket(family, socket.SOCK_STREAM)
                udp = socket.socket(family, socket.SOCK_DGRAM)
                for s in (tcp, udp):
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    s.setblocking(False)
                    s.bind(("", port))
                if family == socket.AF_INET6:
                    udp.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                else:
                    udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
                tcp.listen(16)
                for s, what in ((tcp, accepted), (udp, answered)):
                    Space.fds[s.fileno()] = (what, self, s)
                    poll.register(s, select.POLLIN)


# --- the servers: each tells whom it sees

def accepted(space, listener, poll):
    c, peer = listener.accept()
    c.setblocking(False)
    Space.fds[c.fileno()] = (asked, space, c)
    poll.register(c, select.POLLIN)


def asked(space, c, poll):
    try:
        data = c.recv(200)
        if data:
            body = f"{space.label} sees {c.getpeername()[0]}"
            head = "HTTP/1.0 200 OK\r\n\r\n" if data.startswith(b"GET ") else ""
            c.send((head + body).encode())
    except OSError:
        pass
    del Space.fds[c.fileno()]
    poll.unregister(c)
    c.close()


def answered(space, udp, _poll):
    try:
        _, more, _, peer = udp.recvmsg(200, 200)
        # from the address that was asked, whatever the route says
        back = []
        for level, kind, data in more:
            if kind == IP_PKTINFO and level == socket.IPPROTO_IP:
                back = [(level, kind, bytes(4) + data[4:8] + bytes(4))]
            elif kind == IPV6_PKTINFO and level == socket.IPPROTO_IPV6:
                back = [(level, kind, data[:16] + bytes(4))]
        udp.sendmsg([f"{space.label} sees {peer[0]}".encode()], back, 0, peer)
    except OSError:
        pass


# --- the client

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class Question:
    """One request and what came back: answer is None, or a text."""

    def __init__(self, kind, family, number, source, address, port):
        self.kind, self.answer, self.error, self.data = kind, None, "", b""
        self.done = False
        self.socket = s = socket.socket(*{
            "udp": (family, socket.SOCK_DGRAM),
            "ping": (family, socket.SOCK_RAW, 1 if family == socket.AF_INET else 58),
        }.get(kind, (family, socket.SOCK_STREAM)))
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if kind == "ping":
                if source:
                    s.bind((source, 0))
                s.connect((address, 0))
                v4 = family == socket.AF_INET
                self.request, self.reply = (8, 0) if v4 else (128, 129)
                self.ident = number
                packet = struct.pack("!BBHHH", self.request, 0, 0, number, 1)
                if v4:
                    packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
                s.send(packet)
            else:
                s.bind((source, number))
                if kind == "udp":
                    s.connect((address, port))
                    s.send(b"?")
                else:
                    s.connect((address, port))
        except BlockingIOError:
            pass
        except OSError as e:
            self.fail(e)

    def fail(self, e):
        self.error = str(e)
        self.done = True

    def wants(self):
        if self.kind in ("udp", "ping") or self.data:
            return select.POLLIN
        return select.POLLOUT

    def step(self):
        s = self.socket
        try:
            if self.wants() == select.POLLOUT:
                e = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if e:
                    raise OSError(e, os.strerror(e))
                if self.kind == "open":
                    self.answer, self.done = "", True
                    return
                self.data = b"GET / HTTP/1.0\r\n\r\n" if self.kind == "http" else b"?"
                s.send(self.data)
                return
            got = s.recv(500)
            if self.kind == "ping":
                if len(got) > 8 and s.family == socket.AF_INET:
                    got = got[(got[0] & 15) * 4:]
                kind, _, _, ident = struct.unpack("!BBHH", got[:6])
                if kind != self.reply or ident != self.ident:
                    return
                got = b""
            text = got.decode()
            if self.kind == "http":
                head, _, text = text.partition("\r\n\r\n")
                if not head.startswith("HTTP/1.0 200"):
                    raise OSError(errno.EPROTO, "no HTTP answer")
            self.answer, self.done = text, True
        except OSError as e:
            self.fail(e)


# --- what crossed which link

def link(space, device, kind):
    """The name of the link that a packet crosses there; None: seen at its other end as well."""
    if space == "fabric-vpc":
        if device.startswith("vsw"):
            return "router" if kind == OUTGOING else None
        return device
    if space == "fabric-client" or (kind == OTHERS):
        return None
    if space in ("master", "worker"):
        return device if device in ("lo", "flannel.1") and kind == OUTGOING else None
    return f"{space}/{device}" if device != "lo" or kind == OUTGOING else None


class Packet:
    """An IP packet of a kind that the table knows, else number is 0."""

    def __init__(self, frame):
        self.number = 0
        ether = struct.unpack("!H", frame[12:14])[0]
        ip = frame[14:]
        if ether == 0x0800 and len(ip) >= 20:
            number, rest = ip[9], ip[(ip[0] & 15) * 4:]
            self.source, self.target = ip[12:16], ip[16:20]
        elif ether == 0x86DD and len(ip) >= 40:
            number, rest = ip[6], ip[40:]
            self.source, self.target = ip[8:24], ip[24:40]
        else:
            return
        if number in (6, 17) and len(rest) >= 8:
            self.sport, self.dport = struct.unpack("!HH", rest[:4])
            # of TCP: is it the first one of its direction
            self.flags = rest[13] & 0x12 if number == 6 and len(rest) > 13 else None
        elif number in (1, 58) and len(rest) >= 6 and rest[0] in (0, 8, 128, 129):
            self.request = rest[0] in (8, 128)
            self.ident = struct.unpack("!H", rest[4:6])[0]
            self.flags = None
            number = 1
        else:
            return
        self.number = number


def drain(spaces, keep=True):
    """What the packet sockets have seen: (time, link, packet), in order."""
    seen = []
    for space in spaces:
        while True:
            try:
                frame, more, _, where = space.tap.recvmsg(128, 64)
            except BlockingIOError:
                break
            if not keep:
                continue
            packet = Packet(frame)
            name = link(space.name, where[0], where[2])
            if packet.number == 0 or name is None:
                continue
            stamp = next((struct.unpack("qq", data[:16]) for _, kind, data in more if kind == SO_TIMESTAMPNS), (0, 0))
            seen.append((stamp, name, packet))
    seen.sort(key=lambda event: event[0])
    return seen


def ways(seen, number, ours, ports):
    """The links of the first packet of each direction, and of all others of it."""
    first, rest = ([], []), (set(), set())
    for _, name, packet in seen:
        if packet.number != number:
            continue
        if number == 1:
            if packet.ident not in ours:
                continue
            back = not packet.request
        elif packet.sport in ours and packet.dport in ports:
            back = False
        elif packet.dport in ours and packet.sport in ports:
            back = True
        else:
            continue
        if packet.flags is None or packet.flags == (0x12 if back else 0x02):
            # a packet from the client is routed anyway
            if not (name == "router" and first[back][-1:] == ["internet"]):
                first[back].append(name)
        elif name != "router":
            rest[back].add(name)
    return first, rest


# --- conntrack

def attributes(data):
    out, at = {}, 0
    while at + 4 <= len(data):
        size, kind = struct.unpack("HH", data[at:at + 4])
        out[kind & 0x3FFF] = data[at + 4:at + size]
        at += (size + 3) & ~3 or 4
    return out


def tuple_of(data):
    both = attributes(data)
    ip, proto = attributes(both[1]), attributes(both[2])
    ident = proto.get(4) or proto.get(7) or bytes(2)
    sport, dport = (struct.unpack("!H", proto.get(n, bytes(2)))[0] for n in (2, 3))
    return (proto[1][0], ip.get(1) or ip.get(3), sport, ip.get(2) or ip.get(4), dport, struct.unpack("!H", ident)[0])


def connections(space):
    """(original, reply, status, mark) of each"""
    space.ct.send(struct.pack("IHHIIBBH", 20, 0x101, 0x301, 1, 0, 0, 0, 0))
    while True:
        data = space.ct.recv(1 << 20)
        at = 0
        while at < len(data):
            size, kind = struct.unpack("IH", data[at:at + 6])
            if kind in (2, 3):
                return
            a = attributes(data[at + 20:at + size])
            yield (tuple_of(a[1]), tuple_of(a[2]), struct.unpack("!I", a[3])[0], struct.unpack("!I", a.get(8, bytes(4)))[0])
            at += (size + 3) & ~3


def remembered(spaces, number, ident, ports):
    """
    What each of them knows of the flow that began with the port (of a ping: the identifier) ident, as in the
    column; and all the ports that its client got by translation.
    """
    new = []
    for space in spaces:
        if not space.name.startswith("fabric-"):
            known = {connection[:2]: (space.name, *connection) for connection in connections(space)}
            new += [known[key] for key in known.keys() - space.known]
            space.known = known.keys()
    ours = {ident} | {reply[4] for _, original, reply, _, _ in new if original[0] == number and original[2] == ident}
    found = []
    for name, original, reply, status, mark in new:
        if number == 1:
            if original[0] not in (1, 58) or original[5] != ident:
                continue
        elif original[0] != number or not ours & {original[2], original[4]} or \
                not ports & {original[2], original[4], reply[2], reply[4]}:
            continue
        words = [word for word, on in (("dnat", status & 0x20), ("snat", status & 0x10), ("mark", mark & 1),
                                       ("half", not status & 2)) if on]
        found.append(name + (":" + "+".join(words) if words else ""))
    return " ".join(sorted(found)), ours


# --- the table

class Names:
    def __init__(self, path):
        self.space, self.address, self.name = {}, {}, {}
        self.places = []
        with open(path, encoding="ascii") as f:
            for line in f:
                words = line.split()
                if words[0] == "place":
                    self.places.append(words[1])
                    continue
                name, space, *addresses = words
                self.space[name], self.address[name] = space, {}
                if space != "-" and space not in self.places:
                    self.places.append(space)
                for address in addresses:
                    family = socket.AF_INET6 if ":" in address else socket.AF_INET
                    self.address[name][family] = address
                    self.name.setdefault(address, name)


def rows(path):
    with open(path, encoding="ascii") as f:
        for line in f:
            line = line.strip()
            if line and not line.startswith("#"):
                columns = [" ".join(column.split()) for column in line.split("|")]
                if len(columns) != 8:
                    sys.exit(f"not eight columns: {line}")
                yield columns
            elif line.startswith("# "):
                print(line, flush=True)


class Runner:
    def __init__(self, names, first_port):
        self.names = names
        self.poll = select.poll()
        self.spaces = {name: Space(name) for name in names.places}
        for name, space in self.spaces.items():
            if name != "fabric-vpc":
                space.serve(self.poll)
        remembered(self.spaces.values(), 0, 0, set())
        self.number = first_port

    def exchange(self, question, seconds):
        end = time.monotonic() + seconds
        fd = question.socket.fileno()
        self.poll.register(fd, question.wants())
        while not question.done and time.monotonic() < end:
            self.poll.modify(fd, question.wants())
            for ready, _ in self.poll.poll(max(0, (end - time.monotonic()) * 1000)):
                if ready == fd:
                    question.step()
                else:
                    what, space, s = Space.fds[ready]
                    what(space, s, self.poll)
        self.poll.unregister(fd)
        question.socket.close()

    def once(self, kind, family, sender, to, seconds):
        """What came of it: answer, way there, way back, connections; and what else is wrong."""
        names = self.names
        name, _, port = to.partition(":")
        port = int(port or (SERVICE if names.space[name] == "-" else SERVED))
        address, source = names.address[name][family], names.address[sender][family] if "@" in sender else ""
        self.number += 1
        spaces = self.spaces.values()
        self.spaces[names.space[sender]].enter()
        drain(spaces, keep=False)
        question = Question(kind, family, self.number, source, address, port)
        self.exchange(question, seconds)
        number, ports = NUMBERS[kind], {port, API if kind == "open" else port if port in PORTS and port != SERVICE else SERVED}
        known, ours = remembered(spaces, number, self.number, ports)
        first, rest = ways(drain(spaces), number, ours, ports)
        if question.answer is None:
            answer = "none"
        else:
            answer, _, peer = question.answer.rpartition(" ")
            answer = f"{answer} {names.name.get(peer, peer)}" if answer else "-"
        wrong = [] if answer != "none" or not question.error else [question.error]
        for direction, links, others in zip(("request", "answer"), first, rest):
            wrong += [f"more of the {direction} crossed {other}" for other in sorted(others - set(links))]
        return [answer, " ".join(first[0]), " ".join(first[1]), known], wrong

    def row(self, columns, seconds, what=("answer", "there", "back", "connections")):
        """Lines about what is not as it should be."""
        _, kinds, sender, to, answer, there, back, conns = columns
        if back == "same":
            back = " ".join(reversed(there.split()))
        problems = []
        *kinds, families = kinds.split()
        for digit in families:
            family = socket.AF_INET if digit == "4" else socket.AF_INET6
            for kind in kinds:
                got, wrong = self.once(kind, family, sender, to, seconds)
                want = [answer, there, back, "" if conns == "none" else " ".join(sorted(conns.split()))]
                if kind in ("ping", "open") and answer != "none" or answer == "-":
                    want[0] = "-"
                if answer == "-":
                    got[0] = "-"
                for column, wanted, found in zip(what, want, got):
                    if wanted != found:
                        problems.append(f"{kind}, IPv{digit}: {column}: wanted {wanted!r}, got {found!r}")
                if answer != "none":
                    problems += [f"{kind}, IPv{digit}: {text}" for text in wrong]
        return problems


    def wait_for(self, service):
        end = time.monotonic() + 400
        for sender in "aw":
            for family in (socket.AF_INET, socket.AF_INET6):
                while self.once("udp", family, sender, service, 0.5)[0][0] == "none":
                    if time.monotonic() > end:
                        return False
                    time.sleep(0.5)
        return True


def main():
    names, table, heading = Names(sys.argv[1]), sys.argv[2], sys.argv[3]
    fails = "--fails" in sys.argv[5:]
    runner = Runner(names, int(sys.argv[4]))
    failed = False
    if "--await" in sys.argv[5:]:
        if not runner.wait_for(sys.argv[6]):
            sys.exit(f"not ok - flows: {heading}: {sys.argv[6]} does not answer")
    for columns in rows(table):
        problems = runner.row(columns, 0.7, ("answer", "there", "back")) if fails else runner.row(columns, 3)
        good = bool(problems) == fails
        failed = failed or not good
        print(f"{'ok' if good else 'not ok'} - flows: {heading}: {columns[0]} ({columns[1]})", flush=True)
        if not good:
            for text in problems[:12] or ["nothing was wrong with it"]:
                print(f"#   {text}")
    sys.exit(1 if failed else 0)


main()
