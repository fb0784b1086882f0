# SPDX-License-Identifier: Apache-2.0
"""
plan.py - the decisions of a run, from its seed alone.

A round is a list of operations for each worker and a list of faults, each due when so many of the
round's operations are done.  What to do with a pod is decided from what was decided before, never
from what came of it: so the same seed makes the same decisions, whatever the clock and the
scheduler do.  The order in which the workers' operations meet is theirs.
"""
import random
from dataclasses import dataclass, field

NODES = ('n0', 'n1', 'n2')
WORKERS = 21  # a third for each node
SLOTS = 3     # pods of each: 63 sandboxes at most at a time
ROUND = 420   # operations

# What may be decided about a pod, by its state, with weights.
#   absent   there is none
#   running  it has a sandbox
#   forced   its object was deleted by force, its sandbox is still there
ACTIONS = {
    'absent': (('start', 92), ('stray', 8)),
    'running': (
        ('again', 12),    # the same ADD: the runtime lost the answer
        ('replace', 16),  # a new sandbox; the DEL of the old one comes before, after or not at all
        ('stop', 26),     # DEL, then the pod is deleted
        ('graceful', 8),  # the pod is terminating before the DEL comes
        ('force', 9),     # the pod is deleted, the sandbox lives on
        ('vanish', 7),    # pod and sandbox are gone, nobody says DEL
        ('reborn', 8),    # the same name with another uid at once, the old sandbox's DEL late
        ('hangup', 5),    # a new sandbox, whose ADD's client goes away; the runtime tries again
        ('stale', 5),     # DEL of an earlier sandbox
        ('finish', 4),    # Succeeded or Failed
    ),
    'forced': (('late', 65), ('vanish', 35)),
}
AFTER = {
    'start': 'running', 'again': 'running', 'replace': 'running', 'reborn': 'running', 'hangup': 'running',
    'stale': 'running', 'force': 'forced', 'stop': 'absent', 'graceful': 'absent', 'vanish': 'absent',
    'late': 'absent', 'finish': 'absent',
}

# Weather between agent and API server: see proxy.py.  The last word of a name is for people.
WEATHER = {
    'fair': {},
    'slow': {'before': 0.4, 'after': 0.4, 'seconds': 0.6},
    'conflicts': {'409': 0.5},
    'throttled': {'429': 0.3},
    'ill': {'500': 0.2, '503': 0.1, '504-done': 0.1},
    'lossy': {'drop': 0.15, 'drop-done': 0.15, 'watch': 0.2},
    'forgetful': {'drop-done': 0.3, '504-done': 0.2, 'after': 0.3, 'seconds': 0.3},
    'mixed': {'before': 0.1, 'after': 0.1, 'seconds': 0.3, '409': 0.1, '429': 0.05, '500': 0.1, 'drop': 0.05,
              'drop-done': 0.05, 'watch': 0.1},
    'cut': {'refuse': 1.0},
}


@dataclass
class Op:
    number: int
    kind: str
    slot: int
    plugin: bool           # by the real plugin, else by a request to the agent's socket
    patience: float        # seconds for an ADD
    nics: tuple
    pools: str             # 'own', 'shared', 'own,shared', 'shared,own'
    variant: int           # what else there is to choose
    killed: int            # the plugin is killed at its failpoint of that number, 0: it is not


@dataclass
class Fault:
    at: int                # after so many operations of the round
    kind: str
    node: str
    until: int = 0         # it ends then
    weather: str = ''
    variant: int = 0
    delay: float = 0.0


@dataclass
class Round:
    number: int
    ops: list = field(default_factory=list)  # of each worker
    faults: list = field(default_factory=list)


def choose(rng, weighted):
    return rng.choices([w for w, _ in weighted], [n for _, n in weighted])[0]


class Plan:
    """Rounds, one after the other."""

    def __init__(self, seed, store):
        self.store = store
        self.seed = f'{seed}/{store}'
        self.states = [['absent'] * SLOTS for _ in range(WORKERS)]
        self.number = 0
        self.ops = 0

    def op(self, rng, worker):
        slot = rng.randrange(SLOTS)
        kind = choose(rng, ACTIONS[self.states[worker][slot]])
        self.states[worker][slot] = AFTER.get(kind, self.states[worker][slot])
        self.ops += 1
        return Op(self.ops, kind, slot, rng.random() < 0.12, rng.choice((0.5, 2.0, 6.0, 20.0)),
                  rng.choice((('eth0',), ('eth0',), ('eth0',), ('eth0', 'net1'))),
                  rng.choice(('own', 'own', 'shared', 'own,shared', 'shared,own')), rng.randrange(1 << 30),
                  rng.choice((0,) * 9 + (1, 2, 3)))

    def faults(self, rng, size):
        found = []
        for _ in range(rng.choice((0, 1, 2, 3, 4))):
            found.append(Fault(rng.randrange(size), 'kill', rng.choice(NODES), variant=rng.randrange(1 << 30),
                               delay=rng.choice((0.0, 0.0, 0.05, 0.3, 1.5))))
        if rng.random() < 0.3:
            at = rng.randrange(size)
            found.append(Fault(at, 'full', rng.choice(NODES), at + rng.randrange(size // 2)))
        if rng.random() < 0.1:
            found.append(Fault(rng.randrange(size), 'hang', rng.choice(NODES), delay=rng.choice((0.2, 1.0, 3.0))))
        if self.store == 'kube':
            if rng.random() < 0.7:
                weather = rng.choice(sorted(WEATHER))
                at = rng.randrange(size // 2)
                until = at + size // 8 + rng.randrange(size // 2)
                for node in rng.sample(NODES, rng.choice((1, 2, 3, 3))):
                    found.append(Fault(at, 'weather', node, until, weather))
            if rng.random() < 0.3:
                found.append(Fault(rng.randrange(size), 'watches', rng.choice(NODES)))
            if rng.random() < 0.05:
                found.append(Fault(rng.randrange(size), 'server-hangs', '', delay=rng.choice((0.5, 2.0, 4.0))))
            if rng.random() < 0.02:
                found.append(Fault(rng.randrange(size), 'server-dies', '', delay=rng.choice((0.0, 1.0))))
        elif rng.random() < 0.2:
            at = rng.randrange(size)
            found.append(Fault(at, 'store-full', '', at + rng.randrange(size // 3)))
        return sorted(found, key=lambda f: f.at)

    def next(self, size):
        """A round of that many operations, at least one for each worker."""
        self.number += 1
        rng = random.Random(f'{self.seed}/{self.number}')
        each = max(1, size // WORKERS)
        r = Round(self.number)
        r.ops = [[self.op(rng, w) for _ in range(each)] for w in range(WORKERS)]
        r.faults = self.faults(rng, each * WORKERS)
        return r
