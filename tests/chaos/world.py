# SPDX-License-Identifier: Apache-2.0
"""
world.py - what a run is made of: agents as processes, requests to them, the store, faults.
"""
import ctypes
import glob
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from urllib.parse import urlsplit

import kernel

MS_NOSUID = 2


def wait_for(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def mount_tmpfs(folder, size):
    os.makedirs(folder, exist_ok=True)
    kernel.call('mount', b'tmpfs', folder.encode(), b'tmpfs', MS_NOSUID, ctypes.c_char_p(f'size={size}'.encode()))


def fill(folder):
    """Until no block is free."""
    fd = os.open(os.path.join(folder, '.full'), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        for block in (b'\0' * 65536, b'\0' * 512):
            try:
                while True:
                    os.write(fd, block)
            except OSError:
                pass
    finally:
        os.close(fd)


def unfill(folder):
    try:
        os.unlink(os.path.join(folder, '.full'))
    except FileNotFoundError:
        pass


class Unanswered(Exception):
    """Nobody knows whether it was done."""


def connect(path, end, wait):
    """Like a plugin it waits while nobody listens, if wanted."""
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(max(0.001, end - time.monotonic()))
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            if not wait or time.monotonic() > end:
                raise
            time.sleep(0.02)


def ask(path, method, target, body, seconds, wait=True):
    """One request to an agent: (status, document)."""
    end = time.monotonic() + seconds
    data = json.dumps(body).encode() if body is not None else b''
    answer = b''
    try:
        with connect(path, end, wait) as s:
            s.sendall((f'{method} /v1/{target} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n'
                       f'Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n').encode() + data)
            while True:
                s.settimeout(max(0.001, end - time.monotonic()))
                more = s.recv(65536)
                if not more:
                    break
                answer += more
    except OSError as e:
        raise Unanswered(str(e)) from e
    head, mark, text = answer.partition(b'\r\n\r\n')
    if not mark:
        raise Unanswered('the connection ended')
    try:
        return int(head.split(b' ')[1]), json.loads(text) if text else None
    except ValueError as e:
        raise Unanswered('half an answer') from e


class Node:
    """A node's agent.  A thread of its own starts it again whenever it has ended."""

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.socket = f'{world.work}/{name}.sock'
        self.state = f'{world.work}/state-{name}'
        self.log = f'{world.work}/{name}.log'
        self.store = world.store.spec_for(name)
        self.lock = threading.Lock()
        self.process = None
        self.failpoint = ''       # of the process
        self.killed = False       # by us
        self.next = None          # what was asked of the start after that: see kill()
        self.ending = False
        self.deaths = {}          # by failpoint
        self.starts = 0
        mount_tmpfs(self.state, '2m')
        self.start('')
        self.keeper = threading.Thread(target=self.keep, daemon=True)
        self.keeper.start()

    def start(self, failpoint):
        env = dict(os.environ, SPIDERBOX_FAILPOINT=failpoint)
        binary = self.world.failpoint_binary if failpoint else self.world.binary
        with open(self.log, 'ab') as log:
            log.write(f'# start {self.starts} {failpoint}\n'.encode())
            log.flush()
            self.process = subprocess.Popen(
                [binary, 'agent', '--store', self.store, '--node', self.name, '--socket', self.socket, '--state-dir',
                 self.state, '--health-addr', ''], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        self.failpoint, self.killed = failpoint, False
        self.starts += 1

    def keep(self):
        while True:
            self.process.wait()
            with self.lock:
                if self.ending:
                    return
                asked, self.next = self.next, None
                if not self.killed and self.failpoint and self.process.returncode == -signal.SIGKILL:
                    name = self.failpoint.split(':')[0]
                    self.deaths[name] = self.deaths.get(name, 0) + 1
                elif not self.killed:
                    self.world.finding('ended', f'the agent of {self.name} ended with {self.process.returncode}')
                failpoint, delay, down = asked or ('', 0, None)
                if down:
                    down()
            time.sleep(delay)
            with self.lock:
                if self.ending:
                    return
                self.start(failpoint)

    def kill(self, failpoint='', delay=0.0, down=None):
        """Now.  After `down` was called and the delay it starts again, with that failpoint."""
        with self.lock:
            if self.process.poll() is None:
                self.next = (failpoint, delay, down)
                self.killed = True
                self.process.kill()

    def hang(self, seconds):
        process = self.process
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def healthy(self):
        try:
            return ask(self.socket, 'GET', 'ipam/healthy', None, 2, False)[0] == 200
        except Unanswered:
            return False

    def end(self):
        with self.lock:
            self.ending = True
            self.process.kill()
        self.process.wait()
        self.keeper.join()

    def memory(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as f:
            return next(int(x.split()[1]) for x in f if x.startswith('VmRSS'))

    def truncate(self, seed):
        """Cuts some local records short; returns the queued releases, and whose attachments, are lost by it."""
        rng = random.Random(seed)
        lost, blind = [], []
        for folder, much in (('attachments', 0.2), ('releases', 0.5)):
            for path in sorted(glob.glob(f'{self.state}/{folder}/*.json')):
                if rng.random() >= much:
                    continue
                with open(path, 'rb') as f:
                    data = f.read()
                try:
                    record = json.loads(data)
                    (lost if folder == 'releases' else blind).append(record)
                except ValueError:
                    pass
                # the newline at the end is no loss
                os.truncate(path, rng.randrange(max(1, len(data) - 2)))
        return lost, blind


class DirStore:
    """Pods are what runs on the nodes: there are no objects of them."""

    def __init__(self, world):
        self.world = world
        self.folder = f'{world.work}/store'
        mount_tmpfs(self.folder, '16m')

    def spec_for(self, _node):
        return f'dir:{self.folder}'

    def check_arguments(self):
        return ['dir', self.folder]

    def ctl(self, *args, **more):
        subprocess.run([self.world.binary, 'ctl', *args, '--store', f'dir:{self.folder}'], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, **more)

    def put_pool(self, pool):
        self.ctl('apply', '-f', '-', input=json.dumps(pool).encode())

    def delete_pool(self, name):
        self.ctl('delete', 'ippool', name)

    def pool_text(self, name):
        with open(f'{self.folder}/spiderippools/{name}.json', encoding='utf-8') as f:
            return f.read()

    def create_pod(self, _name, _node, uid):
        return uid

    def delete_pod(self, _name, _grace):
        pass

    def finish_pod(self, _name, _phase):
        pass

    def fault(self, f, on):
        if f.kind == 'store-full':
            (fill if on else unfill)(self.folder)

    def obstruct(self, _node, on):
        (fill if on else unfill)(self.folder)

    def heal(self):
        unfill(self.folder)

    def end(self):
        pass


class KubeStore:
    """A real API server, and a proxy between it and the agents."""

    def __init__(self, world, seed):
        self.folder = os.environ['API_DIR']
        self.url = os.environ['API_URL']
        self.here = threading.local()
        self.lock = threading.Lock()
        self.tls = ssl.create_default_context(cafile=f'{self.folder}/trust.crt')
        self.tls.load_cert_chain(f'{self.folder}/admin.crt', f'{self.folder}/admin.key')
        self.ports = {}
        sockets = [socket.create_server(('127.0.0.1', 0)) for _ in world.node_names]
        for node, s in zip(world.node_names, sockets):
            self.ports[node] = s.getsockname()[1]
            s.close()
            with open(f'{self.folder}/proxied.conf', encoding='utf-8') as f:
                text = f.read().replace('PORT', str(self.ports[node]))
            with open(f'{self.folder}/{node}.conf', 'w', encoding='utf-8') as f:
                f.write(text)
        self.proxy = subprocess.Popen(
            ['python3', f'{os.path.dirname(os.path.abspath(__file__))}/proxy.py', f'{self.folder}/server.crt',
             f'{self.folder}/server.key', f'{self.folder}/trust.crt', str(urlsplit(self.url).port), str(seed),
             *map(str, self.ports.values())], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def spec_for(self, node):
        return f'kube:{self.folder}/{node}.conf'

    def check_arguments(self):
        return ['kube', self.url, *(f'{self.folder}/{x}' for x in ('trust.crt', 'admin.crt', 'admin.key'))]

    def request(self, method, path, body=None, kind='application/json', seconds=60):
        """(status, document); again and again while the server does not answer."""
        end = time.monotonic() + seconds
        data = json.dumps(body) if body is not None else None
        while True:
            try:
                c = getattr(self.here, 'connection', None)
                if not c:
                    where = urlsplit(self.url)
                    c = http.client.HTTPSConnection(where.hostname, where.port, timeout=10, context=self.tls)
                    self.here.connection = c
                c.request(method, path, data, {'Content-Type': kind})
                answer = c.getresponse()
                text = answer.read()
                if answer.status < 500 and answer.status != 429:
                    return answer.status, json.loads(text)
                problem = text[:200]
            except (OSError, http.client.HTTPException, ValueError) as e:
                problem = repr(e)
                c.close()
                self.here.connection = None
            if time.monotonic() > end:
                raise RuntimeError(f'{method} {path}: {problem}')
            time.sleep(0.05)

    POOLS = '/apis/spiderpool.spidernet.io/v2beta1/spiderippools'
    PODS = '/api/v1/namespaces/default/pods'

    def put_pool(self, pool):
        status, answer = self.request('POST', self.POOLS, pool)
        if status not in (201, 409):
            raise RuntimeError(f'pool: {answer}')

    def delete_pool(self, name):
        self.request('DELETE', f'{self.POOLS}/{name}')

    def pool_text(self, name):
        return json.dumps(self.request('GET', f'{self.POOLS}/{name}')[1], indent=1)

    def create_pod(self, name, node, _uid):
        pod = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name},
               'spec': {'nodeName': node, 'containers': [{'name': 'c', 'image': 'none'}]}}
        status, answer = self.request('POST', self.PODS, pod)
        if status == 409:  # ours, whose answer was lost
            status, answer = self.request('GET', f'{self.PODS}/{name}')
        if status not in (200, 201):
            raise RuntimeError(f'create pod {name}: {answer}')
        return answer['metadata']['uid']

    def delete_pod(self, name, grace):
        self.request('DELETE', f'{self.PODS}/{name}', {'gracePeriodSeconds': grace})

    def finish_pod(self, name, phase):
        self.request('PATCH', f'{self.PODS}/{name}/status', {'status': {'phase': phase}},
                     'application/merge-patch+json')

    def tell(self, node, **what):
        with self.lock:
            self.proxy.stdin.write(json.dumps({'port': self.ports[node], **what}).encode() + b'\n')
            self.proxy.stdin.flush()
            self.proxy.stdout.readline()

    def server_pid(self):
        with open(f'{self.folder}/pid', encoding='ascii') as f:
            return int(f.read())

    def fault(self, f, on):
        if f.kind == 'watches':
            self.tell(f.node, watches=True)
        elif f.kind == 'server-hangs':
            os.kill(self.server_pid(), signal.SIGSTOP)
            time.sleep(f.delay)
            os.kill(self.server_pid(), signal.SIGCONT)
        elif f.kind == 'server-dies':
            p = subprocess.run([f'{os.path.dirname(os.path.abspath(__file__))}/server.sh', str(f.delay)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
            if p.returncode != 0:
                raise RuntimeError(f'the API server does not come again: {p.stdout[-2000:]}')

    def set_weather(self, node, weather):
        self.tell(node, weather=weather)

    def obstruct(self, node, on):
        self.set_weather(node, {'drop': 1.0} if on else {})

    def heal(self):
        for node in self.ports:
            self.tell(node, weather={})

    def end(self):
        self.proxy.stdin.close()
        self.proxy.wait()
