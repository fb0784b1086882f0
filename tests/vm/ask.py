#!/usr/bin/env -S python3 -SEI
# SPDX-License-Identifier: Apache-2.0
"""usage: ask.py tcp|udp ADDRESS PORT [SECONDS]

Asks echo.py and prints its answer; exit status 1 when there is none within SECONDS (3).
"""
import socket
import sys

kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
seconds = float(sys.argv[4] if len(sys.argv) > 4 else 3)
try:
    if kind == "tcp":
        s = socket.create_connection((address, port), seconds)
    else:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(seconds)
        s.connect((address, port))
        s.send(b"?")
    answer = s.recv(200).decode()
except OSError as e:
    print(f"no answer from {address}:{port} ({kind}): {e}", file=sys.stderr)
    sys.exit(1)
sys.stdout.write(answer)
sys.exit(0 if answer else 1)
