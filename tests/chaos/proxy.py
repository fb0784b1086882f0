# SPDX-License-Identifier: Apache-2.0
"""
proxy.py - stands between the agents and the API server and is as bad as it is told to be.

usage: proxy.py CERT KEY CA UPSTREAM-PORT SEED PORT...

It listens with TLS on each PORT, one for each agent, and has another connection to the server for
each of its own.  A line of standard input is JSON and is answered by a line "ok":

  {"port": N, "weather": {...}}   how likely each fault is from now on, from 0 to 1:
      before, after   the request, the answer is held back, for up to "seconds"
      409 429 500 503 that answer without asking the server
      504-done        that answer after the server did it
      drop, drop-done the connection ends before, after the server did it
      watch           a watch ends in the middle, each time that it says something
      refuse          connections end at once
  {"port": N, "watches": true}    all watches of that agent end now, in the middle of a chunk

Its end of file ends it.
"""
import json
import os
import random
import socket
import ssl
import sys
import threading
import time

KEY, CA, UPSTREAM = sys.argv[2], sys.argv[3], int(sys.argv[4])
REASONS = {409: 'Conflict', 429: 'TooManyRequests', 500: 'InternalError', 503: 'ServiceUnavailable', 504: 'Timeout'}


class Over(Exception):
    """The connection has ended, or shall."""


class Wire:
    """A TLS connection that is read by lines and by lengths."""

    def __init__(self, s):
        self.s = s
        self.buffer = b''

    def fill(self):
        data = self.s.recv(65536)
        if not data:
            raise Over
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.fill()
        at = self.buffer.index(mark) + len(mark)
        head, self.buffer = self.buffer[:at], self.buffer[at:]
        return head

    def take(self, n):
        while len(self.buffer) < n:
            self.fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def message(self):
        """(first line, head, headers)"""
        head = self.until(b'\r\n\r\n')
        lines = head.decode('latin-1').split('\r\n')
        return lines[0], head, {k.lower(): v.strip() for k, _, v in (x.partition(':') for x in lines[1:-2])}

    def end(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.s.close()


class Port:
    """What one agent sees."""

    def __init__(self, number, seed):
        self.number = number
        self.rng = random.Random(f'{seed}/{number}')
        self.weather = {}
        self.watching = set()
        self.lock = threading.Lock()

    def draw(self, *names):
        with self.lock:
            return any(self.rng.random() < self.weather.get(n, 0) for n in names)

    def hold(self, name):
        if self.draw(name):
            time.sleep(self.rng.random() * self.weather.get('seconds', 0))

    def end_watches(self):
        for client in list(self.watching):
            try:
                socket.socket.shutdown(client.s, socket.SHUT_RDWR)  # its own thread closes it
            except OSError:
                pass

    def refusal(self, code):
        body = json.dumps({'kind': 'Status', 'apiVersion': 'v1', 'status': 'Failure', 'code': code,
                           'reason': REASONS[code], 'message': f'chaos: {REASONS[code]}'}).encode()
        again = 'Retry-After: 1\r\n' if code == 429 else ''
        return (f'HTTP/1.1 {code} {REASONS[code]}\r\nContent-Type: application/json\r\n{again}'
                f'Content-Length: {len(body)}\r\n\r\n').encode() + body

    def relay(self, client, server, watch):
        """The answer of the server, as it comes."""
        line, head, headers = server.message()
        while line.split(' ')[1] == '100':
            line, head, headers = server.message()
        done = not watch and self.draw('504-done')
        if watch:
            client.s.sendall(head)
        body = b''
        if headers.get('transfer-encoding') == 'chunked':
            while True:
                size = server.until(b'\r\n')
                chunk = size + server.take(int(size.split(b';')[0], 16) + 2)
                if watch and self.draw('watch'):
                    client.s.sendall(chunk[:len(chunk) // 2])
                    raise Over
                if watch:
                    client.s.sendall(chunk)
                else:
                    body += chunk
                if size.strip() == b'0':
                    break
        else:
            body = server.take(int(headers.get('content-length', '0')))
        if not watch:
            self.hold('after')
            if self.draw('drop-done'):
                raise Over
            client.s.sendall(self.refusal(504) if done else head + body)

    def exchange(self, client, server):
        line, head, headers = client.message()
        body = client.take(int(headers.get('content-length', '0')))
        watch = 'watch=1' in line
        self.hold('before')
        if self.draw('drop', 'refuse'):
            raise Over
        for code in (409, 429, 500, 503):
            # the server itself has a conflict only where something is written
            if self.draw(str(code)) and (code != 409 or not line.startswith('GET ')):
                client.s.sendall(self.refusal(code))
                return
        server.s.sendall(head + body)
        if watch:
            self.watching.add(client)
        try:
            self.relay(client, server, watch)
        finally:
            self.watching.discard(client)

    def serve(self, s):
        client = server = None
        try:
            if self.draw('refuse'):
                return
            client = Wire(as_server.wrap_socket(s, server_side=True))
            server = Wire(as_client.wrap_socket(socket.create_connection(('127.0.0.1', UPSTREAM), 10),
                                                server_hostname='127.0.0.1'))
            server.s.settimeout(None)
            while True:
                self.exchange(client, server)
        except (Over, OSError, ValueError):
            pass
        finally:
            for w in (client, server):
                if w:
                    w.end()
            s.close()

    def listen(self):
        with socket.create_server(('127.0.0.1', self.number), backlog=128) as listener:
            while True:
                s, _ = listener.accept()
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.serve, args=(s,), daemon=True).start()


as_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
as_server.load_cert_chain(sys.argv[1], KEY)
as_server.maximum_version = ssl.TLSVersion.TLSv1_2
as_client = ssl.create_default_context(cafile=CA)

ports = {int(n): Port(int(n), sys.argv[5]) for n in sys.argv[6:]}
for p in ports.values():
    threading.Thread(target=p.listen, daemon=True).start()
for command in sys.stdin:
    command = json.loads(command)
    port = ports[command['port']]
    if 'weather' in command:
        port.weather = command['weather']
    if command.get('watches'):
        port.end_watches()
    print('ok', flush=True)
os._exit(0)
