#!/usr/bin/env -S python3 -SEI
# SPDX-License-Identifier: Apache-2.0
"""usage: echo.py NAME PORT [SECONDS]

Answers on TCP and UDP PORT, all addresses, with "NAME sees ADDRESS": the client's address as it
arrives.  Prints "ready" once both listen; ends by itself after SECONDS (600).
"""
import select
import socket
import sys
import time

name, port = sys.argv[1], int(sys.argv[2])
end = time.monotonic() + float(sys.argv[3] if len(sys.argv) > 3 else 600)
tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(("0.0.0.0", port))
tcp.listen(64)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", port))
print("ready", flush=True)
while time.monotonic() < end:
    for s in select.select([tcp, udp], [], [], max(0, end - time.monotonic()))[0]:
        try:
            if s is tcp:
                c, peer = s.accept()
                c.settimeout(2)
                c.sendall(f"{name} sees {peer[0]}\n".encode())
                c.close()
            else:
                _, peer = s.recvfrom(2048)
                s.sendto(f"{name} sees {peer[0]}\n".encode(), peer)
        except OSError:
            pass
