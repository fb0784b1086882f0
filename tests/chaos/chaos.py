# SPDX-License-Identifier: Apache-2.0
"""
chaos.py - many workers make, change and end pods on three nodes while everything else goes wrong.

usage: chaos.py dir|kube SEED OPERATIONS WORK-FOLDER EVIDENCE-FOLDER

Environment: SPIDERBOX, FAILPOINTS (the other binary), TOP; for "kube" what server.sh and lib.sh need; GC=0
if the driver is to say the DEL of all that is dead, not the agents to find out.  Runs in a mount namespace of its own.

After each round of operations the faults end, every pod that wants an address gets its answer, and
check.py looks at what there is.  A worker does one thing after the other, and a pod belongs to one
worker.  Prints TAP lines; evidence of what was found wrong goes to a folder.
"""
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid

import kernel
import plan
import world

GC_SECONDS = 15
FAULT_SECONDS = 3
FINAL = ('all IP addresses used out', 'does not exist', 'was replaced', 'gets no address', 'was deleted meanwhile')
POOLS = {
    # name: subnet, ips, node
    'pool-n0': ('10.10.0.0/24', ['10.10.0.10-10.10.0.27'], 'n0'),
    'pool-n1': ('10.10.1.0/24', ['10.10.1.10-10.10.1.15', '10.10.1.20-10.10.1.31'], 'n1'),
    'pool-n2': ('10.10.2.0/24', ['10.10.2.10-10.10.2.27'], 'n2'),
    'shared': ('10.10.9.0/24', ['10.10.9.1-10.10.9.28'], None),
}


def pool_object(name, subnet, ips, node):
    spec = {'subnet': subnet, 'ips': ips, 'gateway': subnet.replace('.0/24', '.254')}
    if node:
        spec['nodeName'] = [node]
    return {'apiVersion': 'spiderpool.spidernet.io/v2beta1', 'kind': 'SpiderIPPool', 'metadata': {'name': name},
            'spec': spec}


class Sandbox:
    """A container of a pod, as its runtime sees it."""

    def __init__(self, slot, op, more):
        self.slot = slot
        self.container = f'{slot.name}-{op.number}{more}'
        self.path = f'{slot.world.netns}/{self.container}'
        self.uid = slot.uid
        self.unanswered = False  # an ADD whose outcome is not known
        self.netlink = kernel.make(self.path, f'default/{slot.name} {slot.uid} {self.container}')

    def identity(self, nic):
        return {'containerID': self.container, 'ifName': nic, 'netNamespace': self.path, 'podNamespace': 'default',
                'podName': self.slot.name, 'podUID': self.uid}

    def end(self):
        """Its processes and its network are gone; nobody has said DEL."""
        if self.netlink:
            self.slot.world.release(self)
            kernel.remove(self.path, self.netlink)
            self.netlink = None


class Slot:
    """A pod's name and whatever pod has it."""

    def __init__(self, w, worker, index):
        self.world = w
        self.name = f'w{worker}-{index}'
        self.node = w.nodes[plan.NODES[worker % len(plan.NODES)]]
        self.uid = ''
        self.exists = False     # an object of that name
        self.sandbox = None
        self.old = []           # sandboxes of this pod before
        self.nics, self.pools = (), []
        self.known = {}         # nic: address, where it cannot have been freed since
        self.recorded = {}      # nic: containers whose DEL would free it
        self.answers = {}       # nic: of the last ADD of this sandbox, 'ok' or why not

    # pods

    def make_pod(self, op):
        if self.exists:  # it had finished
            self.delete_pod(0)
        self.uid = self.world.store.create_pod(self.name, self.node.name,
                                               str(uuid.uuid5(uuid.NAMESPACE_URL, f'{self.name}/{op.number}')))
        self.exists = True
        self.old, self.known, self.recorded = [], {}, {}
        self.nics = op.nics
        own = f'pool-{self.node.name}'
        self.pools = [own if p == 'own' else p for p in op.pools.split(',')]

    def delete_pod(self, grace):
        self.world.store.delete_pod(self.name, grace)
        if grace == 0:
            self.exists = False

    # requests

    def add(self, op, nic, patience):
        """'ok', or the words of a refusal; '' when nobody knows."""
        w, s = self.world, self.sandbox
        w.owe(s, nic)
        self.recorded.setdefault(nic, set()).add(s.container)
        answer = (w.plugin_add if op.plugin else w.socket_add)(self, s, nic, patience, op)
        if answer is None:
            s.unanswered = True
            w.count('ADD unanswered')
            self.answers[nic] = ''
            return
        address, words = answer
        if not address:
            w.count('ADD refused')
            self.answers[nic] = words
            return
        w.count('ADD')
        self.answers[nic] = 'ok'
        self.recorded[nic] = {s.container}
        before = self.known.get(nic)
        if before and before != address and w.keeps_addresses():
            w.finding('moved', f'operation {op.number}: {self.name} {nic} had {before} and now gets {address}', address)
        if before != address:
            self.known[nic] = address
        if w.hold(s, nic, address, op):
            kernel.add_address(s.netlink, address, nic)

    def add_all(self, op, patience=None):
        for nic in self.nics:
            self.add(op, nic, patience or op.patience)

    def delete(self, op, s, nics=None):
        """DEL of a sandbox; what a runtime does when it fails, which is to try again."""
        for nic in nics or self.nics:
            if s.container in self.recorded.get(nic, ()):
                self.known.pop(nic, None)
            for _ in range(2):
                if self.world.say_del(self.node, s.identity(nic), op):
                    self.world.count('DEL')
                    if not s.unanswered:
                        self.world.paid(s.container, nic)
                    break
                self.world.count('DEL unanswered')

    # what plan.py decides

    def new_sandbox(self, op, more=''):
        self.sandbox = Sandbox(self, op, more)
        self.answers = {}

    def end_sandbox(self):
        s, self.sandbox = self.sandbox, None
        s.end()
        self.old.append(s)
        return s

    def do_start(self, op):
        self.make_pod(op)
        self.new_sandbox(op)
        self.add_all(op)

    def do_again(self, op):
        self.add_all(op)

    def do_replace(self, op):
        old = self.end_sandbox()
        how = op.variant % 4
        if how == 0:
            self.delete(op, old)
        self.new_sandbox(op)
        self.add_all(op)
        if how == 1:
            self.delete(op, old)

    def do_hangup(self, op):
        old = self.end_sandbox()
        self.new_sandbox(op)
        self.add_all(op, (op.variant % 50 + 1) / 1000)
        if op.variant % 3:  # the runtime gives that sandbox up
            lost = self.end_sandbox()
            if op.variant % 3 == 1:
                self.delete(op, lost)
            self.new_sandbox(op, 'b')
        self.add_all(op)
        self.delete(op, old)

    def do_stop(self, op):
        old = self.end_sandbox()
        if op.variant % 2:
            self.delete(op, old)
            self.delete_pod(0)
        else:
            self.delete_pod(0)
            self.delete(op, old)

    def do_graceful(self, op):
        self.delete_pod(30)
        self.delete(op, self.end_sandbox())
        self.delete_pod(0)

    def do_force(self, _op):
        self.delete_pod(0)

    def do_late(self, op):
        self.delete(op, self.end_sandbox())

    def do_vanish(self, op):
        if self.exists and op.variant % 2:
            self.delete_pod(0)
        self.end_sandbox()
        if self.exists:
            self.delete_pod(0)

    def do_finish(self, op):
        self.end_sandbox()
        if self.exists:
            self.world.store.finish_pod(self.name, ('Succeeded', 'Failed')[op.variant % 2])

    def do_reborn(self, op):
        nics = self.nics
        old = self.end_sandbox() if op.variant % 2 else self.sandbox
        self.delete_pod(0)
        self.make_pod(op)
        self.new_sandbox(op)
        if op.variant % 3 == 0:
            old.end()
            self.delete(op, old, nics)
        self.add_all(op)
        old.end()
        if op.variant % 3 == 1:
            self.delete(op, old, nics)

    def do_stale(self, op):
        if self.old:
            self.delete(op, self.old[op.variant % len(self.old)])

    def do_stray(self, op):
        identity = {'containerID': f'stray-{op.number}', 'ifName': 'eth0', 'netNamespace': '',
                    'podNamespace': 'default', 'podName': self.name, 'podUID': self.uid}
        self.world.say_del(self.node, identity, op)

    def wants(self):
        return [n for n in self.nics if self.answers.get(n) != 'ok'] if self.sandbox else []


class World:
    def __init__(self, kind, seed, work, evidence):
        self.kind, self.seed, self.work, self.evidence = kind, seed, work, evidence
        self.node_names = plan.NODES
        self.binary, self.failpoint_binary = os.environ['SPIDERBOX'], os.environ['FAILPOINTS']
        self.gc = os.environ.get('GC') != '0'
        self.blind = set()
        self.netns = f'{work}/netns'
        os.makedirs(self.netns)
        self.lock = threading.Lock()
        self.findings = []
        self.counts = {}
        self.held = {}   # address: the sandbox that has it
        self.debts = {}  # (container, nic): (node, identity), for a DEL that still has to be said
        self.done = 0
        self.progress = threading.Condition()
        self.store = world.KubeStore(self, seed) if kind == 'kube' else world.DirStore(self)
        for name, what in POOLS.items():
            self.store.put_pool(pool_object(name, *what))
        self.nodes = {n: world.Node(self, n) for n in plan.NODES}
        self.plan = plan.Plan(seed, kind)
        self.slots = [[Slot(self, w, i) for i in range(plan.SLOTS)] for w in range(plan.WORKERS)]
        self.digest = hashlib.sha256()
        self.failpoints = failpoints(kind)
        self.lines = {}

    # bookkeeping

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def finding(self, kind, text, address=''):
        """Something is wrong: what is known about it goes to the evidence folder."""
        with self.lock:
            self.findings.append((kind, text))
            n = len(self.findings)
        if n > 20:
            return
        words = set(re.findall(r'\d+\.\d+\.\d+\.\d+|w\d+-\d+(?:-[a-z0-9.]+)?', text)) | ({address} if address else set())
        with open(f'{self.evidence}/{self.kind}-{n}', 'w', encoding='utf-8') as f:
            f.write(f'{kind}: {text}\nSEED={self.seed} round {self.plan.number}\n')
            for name in self.nodes if hasattr(self, 'nodes') else ():
                f.write(f'--- {name}.log\n')
                with open(f'{self.work}/{name}.log', encoding='utf-8', errors='replace') as log:
                    f.writelines([x for x in log if x.startswith('#') or any(w in x for w in words)][-60:])
        for name in POOLS:
            try:
                text = self.store.pool_text(name)
            except (OSError, RuntimeError) as e:
                text = str(e)
            with open(f'{self.evidence}/{self.kind}-{n}', 'a', encoding='utf-8') as f:
                f.write(f'--- {name}\n{text}\n')

    def hold(self, s, nic, address, op):
        """True when the sandbox did not have it yet."""
        with self.lock:
            other = self.held.get(address)
            self.held[address] = s
        if other and other.uid != s.uid:
            self.finding('twice', f'operation {op.number}: {address} is given to {s.container} {nic}, and '
                                  f'{other.container} still has it', address)
        return other is not s

    def release(self, s):
        with self.lock:
            for address in [a for a, x in self.held.items() if x is s]:
                del self.held[address]

    def owe(self, s, nic):
        with self.lock:
            self.debts[s.container, nic] = (s.slot.node, s.identity(nic))

    def paid(self, container, nic):
        with self.lock:
            self.debts.pop((container, nic), None)

    def owe_again(self, node, identities):
        with self.lock:
            for i in identities:
                self.debts[i['containerID'], i['ifName']] = (node, i)

    # requests

    def socket_add(self, slot, s, nic, patience, _op):
        body = dict(s.identity(nic), defaultIPv4IPPool=slot.pools, cleanGateway=False, matchMasterSubnet=False)
        try:
            status, answer = world.ask(slot.node.socket, 'POST', 'ipam/ip', body, patience)
        except world.Unanswered:
            return None
        if status == 200:
            return answer['ips'][0]['address'].split('/')[0], ''
        return ('', answer) if any(x in answer for x in FINAL) else None

    def socket_del(self, node, identity, _op):
        try:
            return world.ask(node.socket, 'DELETE', 'ipam/ip', identity, 2.5)[0] == 200
        except world.Unanswered:
            return False

    def plugin(self, node, command, identity, pools, patience, op):
        conf = {'cniVersion': '1.0.0', 'name': 'n', 'type': 'ipvlan',
                'ipam': {'type': 'spiderpool', 'ipam_unix_socket_path': node.socket,
                         'state_dir': node.state, 'timeout_ms': max(1, int(patience * 1000))}}
        if pools:
            conf['ipam']['default_ipv4_ippool'] = pools
        env = {'CNI_COMMAND': command, 'CNI_CONTAINERID': identity['containerID'], 'CNI_IFNAME': identity['ifName'],
               'CNI_NETNS': identity['netNamespace'], 'CNI_PATH': '/nonexistent', 'CNI_NETNS_OVERRIDE': '1',
               'CNI_ARGS': f'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={identity["podName"]};'
                           f'K8S_POD_UID={identity["podUID"]}'}
        binary = self.binary
        if op.killed:
            binary = self.failpoint_binary
            env['SPIDERBOX_FAILPOINT'] = ('', 'releases-unwritten', 'releases-unpublished',
                                          'releases-published')[op.killed]
        p = subprocess.run([binary, 'ipam'], input=json.dumps(conf).encode(), env=env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, check=False)
        if p.returncode not in (0, 1, -9) or (p.returncode == -9 and not op.killed):
            self.finding('ended', f'operation {op.number}: the plugin ended with {p.returncode}: {p.stderr[-500:]}')
        return p.returncode, p.stdout

    def plugin_add(self, slot, s, nic, patience, op):
        status, out = self.plugin(slot.node, 'ADD', s.identity(nic), slot.pools, patience, op)
        if status == 0:
            return json.loads(out)['ips'][0]['address'].split('/')[0], ''
        words = json.loads(out).get('msg', '') if status == 1 else ''
        return ('', words) if any(x in words for x in FINAL) else None

    def plugin_del(self, node, identity, op):
        return self.plugin(node, 'DEL', identity, None, 3, op)[0] == 0

    def say_del(self, node, identity, op):
        return (self.plugin_del if op.plugin else self.socket_del)(node, identity, op)

    # faults

    def crash(self, f):
        """The agent is killed, its records perhaps cut short; perhaps it dies again at a failpoint."""
        v = f.variant
        node = self.nodes[f.node]
        failpoint = ''
        if v % 5 < 3:
            failpoint = f'{self.failpoints[v // 5 % len(self.failpoints)]}:{v // 500 % 12 + 1}'
        down = None
        if v // 7 % 3 == 0:
            def down():
                lost, blind = node.truncate(v)
                self.owe_again(node, lost)
                with self.lock:
                    self.blind.update((i['containerID'], i['ifName']) for i in blind)
        node.kill(failpoint, f.delay, down)

    def fault(self, f, on):
        if f.kind == 'kill':
            self.crash(f)
        elif f.kind == 'full':
            (world.fill if on else world.unfill)(self.nodes[f.node].state)
        elif f.kind == 'hang':
            self.nodes[f.node].hang(f.delay)
        elif f.kind == 'weather':
            self.store.set_weather(f.node, plan.WEATHER[f.weather] if on else {})
        else:
            self.store.fault(f, on)

    def run_fault(self, f, total):
        """In its time: it ends when the operations say so, or the clock, since they wait for its end."""
        with self.progress:
            self.progress.wait_for(lambda: self.done >= min(f.at, total))
        try:
            self.fault(f, True)
            if f.until:
                with self.progress:
                    self.progress.wait_for(lambda: self.done >= min(f.until, total), FAULT_SECONDS)
                self.fault(f, False)
        except Exception as e:
            raise RuntimeError(f'fault {f}: {e!r}') from e

    # rounds

    def work_on(self, worker, ops):
        for i, op in enumerate(ops):
            slot = self.slots[worker][op.slot]
            try:
                getattr(slot, 'do_' + op.kind)(op)
            except Exception as e:
                self.advance(len(ops) - i)  # the faults do not wait for the rest
                raise RuntimeError(f'operation {op.number} {op.kind} of {slot.name}: {e!r}') from e
            self.advance(1)

    def advance(self, n):
        with self.progress:
            self.done += n
            self.progress.notify_all()

    def in_threads(self, calls):
        """All at once; what they raise is a mistake of this program, or a server that does not come again."""

        def guarded(f, *args):
            try:
                f(*args)
            except Exception as e:
                self.finding('driver', str(e))
                raise

        threads = [threading.Thread(target=guarded, args=call) for call in calls]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def heal(self):
        for n in self.nodes.values():
            world.unfill(n.state)
        self.store.heal()
        for n in self.nodes.values():
            if not world.wait_for(60, n.healthy):
                self.finding('stuck', f'the agent of {n.name} is not ready after the faults have ended')

    def settle_slot(self, slot, op):
        """The runtime tries again until it has an answer."""
        end = time.monotonic() + 60
        while slot.exists or self.kind == 'dir':
            for nic in slot.wants():
                slot.add(op, nic, 30)
            left = [(n, slot.answers[n]) for n in slot.wants() if slot.answers[n] == '']
            if not left:
                return
            if time.monotonic() > end:
                self.finding('stuck', f'{slot.name} gets no answer to its ADD: {left}')
                return
            time.sleep(0.1)

    def keeps_addresses(self):
        """
        In a directory no object says that a pod lives between two sandboxes: what it had may be collected.
        """
        return self.kind == 'kube' or not self.gc

    def settle(self):
        op = plan.Op(0, 'settle', 0, False, 30, (), '', 0, 0)

        def of_worker(slots):
            for slot in slots:
                if slot.wants() and (slot.exists or self.kind == 'dir'):
                    self.settle_slot(slot, op)

        self.in_threads([(of_worker, slots) for slots in self.slots])
        self.sweep(op)

    def sweep(self, op):
        """
        The DELs that a runtime says in the end.  Agents collect what is dead without them, except where the
        attachment record cannot be read: then nothing else says that the container does not live.
        """
        alive = {s.sandbox.container for w in self.slots for s in w if s.sandbox}
        with self.lock:
            dead = [(k, v) for k, v in self.debts.items()
                    if k[0] not in alive and (not self.gc or k in self.blind)]

        def some(part):
            for key, (node, identity) in part:
                if world.wait_for(20, lambda: self.socket_del(node, identity, op)):
                    self.paid(*key)
                else:
                    self.finding('stuck', f'DEL of {identity} is not answered')

        self.in_threads([(some, dead[i::16]) for i in range(16)])

    def check(self, *more):
        p = subprocess.run(['python3', f'{os.path.dirname(os.path.abspath(__file__))}/check.py', '--wait',
                            str(GC_SECONDS), '--netns', self.netns,
                            *[x for n in self.nodes.values() for x in ('--state', n.state)], *more,
                            *self.store.check_arguments()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, check=False)
        lines = p.stdout.splitlines()
        if p.returncode != 0 and not any(': ' in x for x in lines):
            lines.append(f'driver: the checker ended with {p.returncode}')
        for x in lines:
            if p.returncode != 0 and not x.startswith('#'):
                kind, _, text = x.partition(': ')
                self.finding(kind, text)

    def note(self, r):
        self.digest.update(repr(r).encode())

    def round(self, size, faults=True):
        r = self.plan.next(size)
        self.note(r)
        total = sum(map(len, r.ops))
        self.done = 0  # operations of this round
        self.in_threads([(self.work_on, w, ops) for w, ops in enumerate(r.ops)] +
                        [(self.run_fault, f, total) for f in r.faults if faults])
        self.heal()
        if not self.findings:
            self.settle()
        return total

    # the walk

    def queue_something(self, node, n):
        """Releases of containers that nobody knows, as a plugin leaves them."""
        os.makedirs(f'{node.state}/releases', exist_ok=True)
        for i in range(n):
            identity = {'containerID': f'walk-{i}', 'ifName': 'eth0', 'netNamespace': '', 'podNamespace': 'default',
                        'podName': 'walk', 'podUID': 'none'}
            with open(f'{node.state}/releases/walk%2D{i}-eth0.json', 'w', encoding='utf-8') as f:
                json.dump(identity, f)

    def provoke(self, node, name, number):
        """Everything that an agent does, until it dies."""
        pool = f'walk-{number}'
        self.store.put_pool(pool_object(pool, f'10.11.{number}.0/24', [f'10.11.{number}.1-10.11.{number}.4'],
                                        node.name))
        worker = plan.NODES.index(node.name)
        slots = self.slots[worker]
        stop = plan.Op(0, 'stop', 0, False, 3.0, (), '', 0, 0)
        for slot in slots:
            if slot.sandbox:
                slot.do_stop(stop)
        self.plan.states[worker] = ['absent'] * plan.SLOTS
        kinds = ('start', 'replace', 'reborn', 'stop')
        for i in range(40):
            if node.deaths.get(name):
                break
            slot = slots[i // len(kinds) % len(slots)]
            op = plan.Op(f'walk{number}.{i}', kinds[i % len(kinds)], 0, False, 3.0, ('eth0',), 'own,shared', 2 * i + 1,
                         0)
            if i == 7:  # a DEL is queued by the agent
                self.store.obstruct(node.name, True)
            getattr(slot, 'do_' + op.kind)(op)
            if i == 7:
                self.store.obstruct(node.name, False)
            if i == 4:
                self.store.delete_pool(pool)
            time.sleep(0.15)  # endpoints are written when nothing was asked for 0.1 s
        for slot in slots:
            if slot.sandbox:
                slot.do_stop(stop)
        if not node.deaths.get(name):
            self.finding('failpoint', f'nobody was killed at {name}')

    def walk(self):
        """Every failpoint once, on three nodes at a time, with operations around it."""
        names = list(self.failpoints)
        for at in range(0, len(names), len(plan.NODES)):
            part = list(zip(self.nodes.values(), names[at:at + len(plan.NODES)]))
            for i, (node, name) in enumerate(part):
                node.deaths.pop(name, None)
                node.kill(f'{name}:{1 + (at + i) % 3}', 0, lambda node=node: self.queue_something(node, 3))
            self.round(2 * plan.WORKERS, False)
            rest = [(node, name, at + i) for i, (node, name) in enumerate(part) if not node.deaths.get(name)]
            for node, name, _ in rest:
                node.kill(name, 0, lambda node=node: self.queue_something(node, 3))
            self.in_threads([(self.provoke, *x) for x in rest])
            self.heal()
            self.settle()
            # agents take their time to collect what is dead: once for all is enough
            last = at + len(plan.NODES) >= len(names)
            self.check(*(() if last or not self.gc else ('--skip', 'unclaimed')))
            if self.findings:
                return

    def end(self):
        for n in self.nodes.values():
            n.end()
        self.store.end()
        for w in self.slots:
            for s in w:
                if s.sandbox:
                    s.sandbox.end()


def failpoints(kind):
    """The names of all there are, from the sources."""
    folders = ['attachments', 'releases'] + (['spiderippools', 'spiderendpoints'] if kind == 'dir' else [])
    found = set()
    for folder in ('agent', 'base', 'cni', 'store'):
        for path in sorted(os.listdir(f'{os.environ["TOP"]}/{folder}')):
            if not path.endswith('.c') or path == 'failpoint.c':
                continue
            with open(f'{os.environ["TOP"]}/{folder}/{path}', encoding='utf-8') as f:
                text = f.read()
            found.update(re.findall(r'\bfailpoint\("([^"]+)"\)', text))
            for where in re.findall(r'\bfailpoint_file\([^,]+, "([^"]+)"\)', text):
                found.update(f'{x}-{where}' for x in folders)
    return sorted(found)


KINDS = {
    'twice': 'no address is in two live pods',
    'unrecorded': "every live pod's address is recorded with its uid",
    'unclaimed': 'nothing is recorded without a claimant',
    'moved': 'a pod keeps its address until a DEL',
    'counts': 'the counters are right',
    'queue': 'queued releases are carried out',
    'endpoint': 'endpoints say what the pools say',
    'stuck': 'once the faults are over all requests are answered',
    'ended': 'nobody ends who was not killed',
    'failpoint': 'every failpoint kills an agent',
    'driver': 'this program itself had no trouble',
}


def main():
    kind, seed, total, work, evidence = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
    w = World(kind, seed, work, evidence)
    rounds = made = 0
    started = time.monotonic()
    try:
        w.heal()
        while made < total and not w.findings:
            made += w.round(min(plan.ROUND, max(plan.WORKERS, total - made)))
            rounds += 1
            if not w.findings:
                w.check()
            if rounds % 20 == 0:
                print(f'# {kind}: {made} operations, {time.monotonic() - started:.0f} s', flush=True)
        if not w.findings:
            w.check('--endpoints')
        digest = w.digest.hexdigest()[:16]
        took = time.monotonic() - started
        memory = max(n.memory() for n in w.nodes.values())
        if not w.findings:
            w.walk()
    finally:
        w.end()
    print(f'# {kind}: SEED={seed}, {made} operations in {rounds} rounds, {took:.0f} s; decisions {digest}')
    print('#', kind + ':', ', '.join(f'{n} {x}' for x, n in sorted(w.counts.items())))
    print('#', kind + ':', ', '.join(f'{n.name} {n.starts} starts' for n in w.nodes.values()),
          f'{len(w.failpoints)} failpoints, {memory} kB')
    for name, text in KINDS.items():
        if name == 'moved' and not w.keeps_addresses():
            continue
        bad = [t for k, t in w.findings if k == name]
        print('not ok' if bad else 'ok', '-', f'{kind}: {text}')
        for t in bad[:10]:
            print('#', t)
    adds = w.counts.get('ADD', 0)
    asked = adds + w.counts.get('ADD unanswered', 0)
    print('ok' if 2 * adds > asked else 'not ok', '-', f'{kind}: most ADDs are answered')
    print('ok' if memory <= 8000 else 'not ok', '-', f'{kind}: no agent has grown beyond 8 MB')
    sys.exit(1 if w.findings else 0)


main()
