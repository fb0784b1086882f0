# SPDX-License-Identifier: Apache-2.0
"""
selftest.py - a checker that finds nothing proves nothing: each kind of wrong is made and must be found.

usage: selftest.py FOLDER

Makes a store, local records and sandboxes in FOLDER, and prints TAP lines.
"""
import json
import os
import subprocess
import sys

import kernel

top = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
failed = []


def put(path, document):
    path = os.path.join(top, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(document if isinstance(document, str) else json.dumps(document))


def put_pool(name, records, count=None):
    put(f'store/spiderippools/{name}.json', {
        'metadata': {'name': name}, 'spec': {'ips': ['10.0.0.1-10.0.0.9'], 'excludeIPs': ['10.0.0.5']},
        'status': {'allocatedIPs': json.dumps(records), 'allocatedIPCount': len(records) if count is None else count}})


def record(pod, uid, container, nic='eth0'):
    return {'pod': pod, 'podUid': uid, 'nic': nic, 'cid': container}


def sandbox(container, pod, uid, *addresses):
    path = f'{top}/netns/{container}'
    s = kernel.make(path, f'{pod} {uid} {container}')
    for address in addresses:
        kernel.add_address(s, address, 'eth0')
    return path, s


def expect(name, kind, *more):
    p = subprocess.run(['python3', f'{here}/check.py', '--netns', f'{top}/netns', '--state', f'{top}/state', *more,
                        'dir', f'{top}/store'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       check=False)
    kinds = {x.split(':')[0] for x in p.stdout.splitlines() if not x.startswith('#')}
    good = kinds == ({kind} if kind else set()) and p.returncode == bool(kind)
    print('ok' if good else 'not ok', '-', 'checker:', name)
    if not good:
        failed.append(name)
        print('#', '\n# '.join(p.stdout.splitlines()))


os.makedirs(f'{top}/netns')
made = [sandbox('ca', 'ns/a', 'ua', '10.0.0.1'), sandbox('cb', 'ns/b', 'ub', '10.0.0.2')]
good = {'10.0.0.1': record('ns/a', 'ua', 'ca'), '10.0.0.2': record('ns/b', 'ub', 'cb')}
put_pool('p', good)
expect('finds nothing where all is well', '')
put_pool('p', {'10.0.0.1': good['10.0.0.1']})
expect('an address that no pool records', 'unrecorded')
put_pool('p', dict(good, **{'10.0.0.2': record('ns/b', 'another', 'cb')}))
expect("an address recorded with another pod's uid", 'unrecorded')
put_pool('p', dict(good, **{'10.0.0.2': record('ns/b', 'ub', 'cb', 'net1')}))
expect('an address recorded for another interface', 'unrecorded')
put_pool('p', dict(good, **{'10.0.0.2': record('ns/b', 'ub', 'older')}))
expect('an address recorded for another container', 'unrecorded')
put_pool('p', dict(good, **{'10.0.0.3': record('ns/c', 'uc', 'cc')}))
expect('a record without a claimant', 'unclaimed')
put_pool('p', good, 3)
expect('a wrong count', 'counts')
put_pool('p', dict(good, **{'10.0.0.5': record('ns/a', 'ua', 'ca')}))
expect('an excluded address', 'counts')
put_pool('p', good)
put_pool('q', {'10.0.0.1': good['10.0.0.1']})
expect('an address in two pools', 'twice')
os.unlink(f'{top}/store/spiderippools/q.json')
made.append(sandbox('cd', 'ns/a', 'ua', '10.0.0.2'))
put_pool('p', dict(good))
p = subprocess.run(['python3', f'{here}/check.py', '--netns', f'{top}/netns', 'dir', f'{top}/store'],
                   stdout=subprocess.PIPE, text=True, check=False)
if not p.stdout.startswith('twice: 10.0.0.2 is in container cd of ns/a ua and in container cb of ns/b ub'):
    failed.append('two')
print('not ok' if 'two' in failed else 'ok', '- checker: an address in two sandboxes')
kernel.remove(*made.pop())
put('state/releases/cx-eth0.json', {'containerID': 'cx'})
expect('a queued release', 'queue')
put('state/releases/cx-eth0.json', '{"contain')
expect('one that was cut short is none', '')
expect('no endpoint for a pod that is no object', '', '--endpoints')
put('store/pods/ns_a.json', {'metadata': {'namespace': 'ns', 'name': 'a', 'uid': 'ua'}})
expect('an endpoint that is missing', 'endpoint', '--endpoints')
put('store/spiderendpoints/ns_a.json', {
    'metadata': {'namespace': 'ns', 'name': 'a'},
    'status': {'current': {'uid': 'ua', 'ips': [{'interface': 'eth0', 'ipv4': '10.0.0.1/24'}]}}})
expect('an endpoint as it should be', '', '--endpoints')
put('store/spiderendpoints/ns_z.json', {'metadata': {'namespace': 'ns', 'name': 'z'},
                                        'status': {'current': {'uid': 'uz'}}})
expect('an endpoint that is left', 'endpoint', '--endpoints')
for path, s in made:
    kernel.remove(path, s)
sys.exit(bool(failed))
