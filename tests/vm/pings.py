#!/usr/bin/env -S python3 -SEI
# SPDX-License-Identifier: Apache-2.0
"""usage: pings.py SECONDS ADDRESS...

Pings all of them at once, and prints those that did not answer within SECONDS; then the status is 1.
"""
import select
import socket
import struct
import sys
import time

until = time.monotonic() + float(sys.argv[1])
missing = set(sys.argv[2:])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
for address in sorted(missing):
    s.sendto(struct.pack("!BBHHH", 8, 0, (0xFFFF - (8 << 8) - 0x4711) & 0xFFFF, 0x4711, 0), (address, 0))
while missing and select.select([s], [], [], max(0, until - time.monotonic()))[0]:
    data, (address, _) = s.recvfrom(2048)
    if data[20] == 0 and data[24:26] == b"\x47\x11":
        missing.discard(address)
print(*sorted(missing), sep="\n")
sys.exit(1 if missing else 0)
