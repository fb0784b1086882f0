# SPDX-License-Identifier: Apache-2.0
"""
kernel.py - network namespaces as sandboxes, by system calls and netlink alone.

A sandbox is a namespace that a file holds.  Its loopback interface carries the pod's addresses, each
with a label that names the interface it was asked for ("lo:eth0"), and an alias that says whose it
is: "NAMESPACE/NAME UID CONTAINER".  So the kernel itself tells who has which address.

Namespaces belong to threads: the caller's thread enters one for the moment of opening a socket.
"""
import ctypes
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MNT_DETACH = 2

RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 1, 4, 0x200, 0x400, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFLA_IFALIAS = 20
IFA_LOCAL, IFA_LABEL = 2, 3

libc = ctypes.CDLL(None, use_errno=True)
home = os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)


def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f'{name}: {os.strerror(code)}')


def attribute(kind, data):
    return struct.pack('HH', 4 + len(data), kind) + data + b'\0' * (-len(data) % 4)


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from('HH', data)
        found[kind] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def request(s, kind, flags, body):
    """Sends one request; yields the answers' types and bodies."""
    s.send(struct.pack('IHHII', 16 + len(body), kind, flags | NLM_F_REQUEST, 1, 0) + body)
    while True:
        data = s.recv(65536)
        while data:
            length, answer, _, _, _ = struct.unpack_from('IHHII', data)
            body, data = data[16:length], data[(length + 3) & ~3:]
            if answer == NLMSG_ERROR:
                code = -struct.unpack_from('i', body)[0]
                if code:
                    raise OSError(code, f'netlink: {os.strerror(code)}')
                return
            if answer == NLMSG_DONE:
                return
            yield answer, body


def order(s, kind, flags, body):
    for _ in request(s, kind, flags | NLM_F_ACK, body):
        pass


def link_message():
    return struct.pack('BxHiII', 0, 0, 1, 0, 0)  # the loopback interface is number 1


def open_in(ns):
    """A netlink socket in the namespace of that descriptor."""
    call('setns', ns, CLONE_NEWNET)
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    finally:
        call('setns', home, CLONE_NEWNET)


def make(path, alias):
    """A new namespace at that path; returns a netlink socket in it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    call('unshare', CLONE_NEWNET)
    try:
        call('mount', b'/proc/thread-self/ns/net', path.encode(), None, MS_BIND, None)
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    finally:
        call('setns', home, CLONE_NEWNET)
    order(s, RTM_NEWLINK, 0, link_message() + attribute(IFLA_IFALIAS, alias.encode()))
    return s


def remove(path, s):
    s.close()
    call('umount2', path.encode(), MNT_DETACH)
    os.unlink(path)


def address_message(ip, label):
    body = struct.pack('BBBBi', socket.AF_INET, 32, 0, 0, 1)
    return body + attribute(IFA_LOCAL, socket.inet_aton(ip)) + attribute(IFA_LABEL, label.encode() + b'\0')


def add_address(s, ip, nic):
    order(s, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address_message(ip, 'lo:' + nic))


def remove_address(s, ip, nic):
    order(s, RTM_DELADDR, 0, address_message(ip, 'lo:' + nic))


def read(path):
    """(alias, {address: nic}) of the namespace at that path, or None if there is none (any more)."""
    try:
        ns = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        s = open_in(ns)
    except OSError:  # a plain file: not mounted yet, or not any more
        return None
    finally:
        os.close(ns)
    alias, held = '', {}
    with s:
        for _, body in request(s, RTM_GETLINK, NLM_F_DUMP, link_message()):
            alias = attributes(body[16:]).get(IFLA_IFALIAS, b'').rstrip(b'\0').decode() or alias
        for _, body in request(s, RTM_GETADDR, NLM_F_DUMP, struct.pack('BBBBi', socket.AF_INET, 0, 0, 0, 0)):
            found = attributes(body[8:])
            label = found.get(IFA_LABEL, b'').rstrip(b'\0').decode()
            if label.startswith('lo:'):
                held[socket.inet_ntoa(found[IFA_LOCAL])] = label[3:]
    return alias, held
