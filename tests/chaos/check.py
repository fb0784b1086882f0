# SPDX-License-Identifier: Apache-2.0
"""
check.py - looks whether all is well, knowing nothing of what was done.

usage: check.py [--wait SECONDS] [--endpoints] [--skip KIND] --netns FOLDER --state FOLDER... STORE...

STORE is "dir FOLDER", or "kube URL CA CERT KEY".  It reads the store's objects, the agents' local
records and the kernel: each namespace below --netns says whose it is and which addresses it has
(see kernel.py).  Prints "KIND: what is wrong" lines, and exits with status 1 if there are any:

  twice       an address in two sandboxes, or recorded by two pools
  unrecorded  a sandbox has an address that no pool records for this pod, uid, interface and container
  unclaimed   recorded for a pod that is gone (or has ended) and has no sandbox either
  counts      allocatedIPCount is not the number of records, or a record is none of the pool's addresses
  queue       a queued release that nobody carries out
  endpoint    (--endpoints) an endpoint says something else than the pools, or a pod that is an object
              has none

The last four become true when the agents have caught up: they are looked at again for --wait seconds.
"""
import argparse
import http.client
import ipaddress
import json
import os
import ssl
import sys
import time
from urllib.parse import urlsplit

import kernel

GROUP = '/apis/spiderpool.spidernet.io/v2beta1/'
EVENTUALLY = ('unclaimed', 'counts', 'queue', 'endpoint')


class DirStore:
    def __init__(self, folder):
        self.folder = folder

    def list(self, kind):
        found = []
        folder = os.path.join(self.folder, kind)
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if not name.startswith('.'):
                with open(os.path.join(folder, name), encoding='utf-8') as f:
                    found.append(json.load(f))
        return found


class KubeStore:
    def __init__(self, url, ca, cert, key):
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(cert, key)
        where = urlsplit(url)
        self.connection = http.client.HTTPSConnection(where.hostname, where.port, timeout=30, context=context)

    def list(self, kind):
        self.connection.request('GET', '/api/v1/pods' if kind == 'pods' else GROUP + kind)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f'list {kind}: {answer.status} {body[:300]}')
        return json.loads(body)['items']


def sandboxes(folder):
    """[(pod, uid, container, {address: nic})] of all that live."""
    found = []
    for name in sorted(os.listdir(folder)):
        seen = kernel.read(os.path.join(folder, name))
        if seen:
            found.append((*seen[0].split(' '), seen[1]))
    return found


def ranges(texts):
    found = []
    for text in texts or ():
        first, _, last = text.partition('-')
        found.append((ipaddress.ip_address(first), ipaddress.ip_address(last or first)))
    return found


def contains(found, address):
    return any(first <= address <= last for first, last in found)


def records(pool):
    return json.loads(pool.get('status', {}).get('allocatedIPs') or '{}')


def check_sandboxes(live, recorded, wrong):
    seen = {}
    for pod, uid, container, held in live:
        for address, nic in held.items():
            if address in seen:
                wrong('twice', f'{address} is in container {container} of {pod} {uid} and in {seen[address]}')
            seen[address] = f'container {container} of {pod} {uid}'
            for pool, r in recorded.get(address, ()):
                if (r.get('pod'), r.get('podUid'), r.get('nic'), r.get('cid')) != (pod, uid, nic, container):
                    wrong('unrecorded', f'{address} {nic} of {seen[address]} is recorded by {pool} as {r}')
            if address not in recorded:
                wrong('unrecorded', f'{address} {nic} of {seen[address]} is in no pool')


def check_pools(pools, recorded, wrong):
    for address, by in recorded.items():
        if len(by) > 1:
            wrong('twice', f'{address} is recorded by {by}')
    for pool in pools:
        name, has = pool['metadata']['name'], records(pool)
        if pool.get('status', {}).get('allocatedIPCount', 0) != len(has):
            wrong('counts', f'{name} has {len(has)} records and says {pool["status"].get("allocatedIPCount")}')
        usable, excluded = ranges(pool['spec'].get('ips')), ranges(pool['spec'].get('excludeIPs'))
        for address in map(ipaddress.ip_address, has):
            if not contains(usable, address) or contains(excluded, address):
                wrong('counts', f'{name} records {address}, which is none of its addresses')


def local_records(folders, kind):
    """(path, record) of all that can be read: others were cut short, or are gone since."""
    for folder in folders:
        where = os.path.join(folder, kind)
        for name in sorted(os.listdir(where)) if os.path.isdir(where) else ():
            try:
                with open(os.path.join(where, name), encoding='utf-8') as f:
                    r = json.load(f)
            except (OSError, ValueError):
                continue
            if not name.startswith('.'):
                yield os.path.join(where, name), r


def pods_of(objects):
    """{(pod, uid): phase}"""
    return {(f'{o["metadata"]["namespace"]}/{o["metadata"]["name"]}', o['metadata']['uid']):
            o.get('status', {}).get('phase') for o in objects}


def check_claims(recorded, pods, live, wrong):
    claims = {(pod, uid) for pod, uid, _, _ in live}
    containers = {container for _, _, container, _ in live}
    claims.update(pod for pod, phase in pods.items() if phase not in ('Succeeded', 'Failed'))
    for address, by in recorded.items():
        for pool, r in by:
            if (r.get('pod'), r.get('podUid')) not in claims and r.get('cid') not in containers:
                wrong('unclaimed', f'{address} of {pool} is recorded as {r}')


def check_queues(folders, wrong):
    for path, r in local_records(folders, 'releases'):
        wrong('queue', f'{path}: {r}')


def check_endpoints(endpoints, recorded, known, wrong):
    want = {}
    for address, by in recorded.items():
        for _, r in by:
            want.setdefault((r.get('pod'), r.get('podUid')), set()).add((r.get('nic'), address))
    have = {}
    for o in endpoints:
        current = o.get('status', {}).get('current', {})
        have[f'{o["metadata"]["namespace"]}/{o["metadata"]["name"]}', current.get('uid')] = {
            (i.get('interface'), i.get('ipv4', '').split('/')[0]) for i in current.get('ips') or ()}
    for pod in sorted(set(want) | set(have)):
        if want.get(pod) != have.get(pod) and (pod in have or pod in known):
            wrong('endpoint', f'{pod}: pools {want.get(pod)}, endpoint {have.get(pod)}')


def look(store, options):
    wrong = []

    def add(kind, text):
        if kind != options.skip:
            wrong.append((kind, text))

    live = sandboxes(options.netns)
    pools = store.list('spiderippools')
    recorded = {}
    for pool in pools:
        for address, r in records(pool).items():
            recorded.setdefault(address, []).append((pool['metadata']['name'], r))
    check_sandboxes(live, recorded, add)
    check_pools(pools, recorded, add)
    pods = pods_of(store.list('pods'))
    check_claims(recorded, pods, live, add)
    check_queues(options.state, add)
    if options.endpoints:
        check_endpoints(store.list('spiderendpoints'), recorded, pods, add)
    return wrong, f'{len(live)} sandboxes, {len(recorded)} records'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--wait', type=float, default=0)
    parser.add_argument('--endpoints', action='store_true')
    parser.add_argument('--skip')
    parser.add_argument('--netns', required=True)
    parser.add_argument('--state', action='append', default=[])
    parser.add_argument('store', nargs='+')
    options = parser.parse_args()
    store = {'dir': DirStore, 'kube': KubeStore}[options.store[0]](*options.store[1:])
    end = time.monotonic() + options.wait
    while True:
        wrong, summary = look(store, options)
        if not wrong or time.monotonic() > end or any(kind not in EVENTUALLY for kind, _ in wrong):
            break
        time.sleep(0.1)
    for kind, text in wrong:
        print(f'{kind}: {text}')
    print(f'# {summary}')
    sys.exit(1 if wrong else 0)


main()
