#!/usr/bin/env -S python3 -SEI
# SPDX-License-Identifier: Apache-2.0
"""usage: answer.py SOCKET COUNT STATUS BODY

Answers COUNT HTTP requests on a unix socket with STATUS and the JSON text BODY, and prints each
request's method, path and body on a line.  Then removes the socket.
"""
import os
import socket
import sys

path, count, status, body = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if os.path.exists(path):
    os.remove(path)
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind(path + ".new")
server.listen(8)
os.rename(path + ".new", path)
for _ in range(count):
    c, _ = server.accept()
    f = c.makefile("rwb")
    method, where, _ = f.readline().decode().split()
    length = 0
    while (line := f.readline().strip()):
        name, _, value = line.decode().partition(":")
        if name.lower() == "content-length":
            length = int(value)
    print(method, where, f.read(length).decode(), flush=True)
    f.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    f.flush()
    c.close()
os.remove(path)
