"""A fleet without Ray: nodes, their probes, and an executor on a clock that tests move."""

import json
from dataclasses import dataclass, field

from breakeven.experiment.workspace import open_workspace
from breakeven.fleet.collect import Collector
from breakeven.fleet.node import END, JOURNAL, LOG, RUN
from breakeven.fleet.plan import Node, plan
from breakeven.fleet.schedule import Lost, Piece, Schedule
from support.run_files import benchmark, run

VERSION = "1.0"
COMMIT = {"id": "0123456789abcdef", "dirty": False, "branch": "main"}
CLASSES = ("aaaaaaaaaaaa", "bbbbbbbbbbbb")


def node(number, gpus=0.0, **labels):
    return Node(f"id{number}", f"host{number}", 8.0, gpus, {"ray.io/node-id": f"id{number}", **labels})


def facts(class_id=CLASSES[0], instance="i0", **changed):
    known = {"cpu": class_id[:4], "cores": 8, "threads": 8, "affinity_threads": 8, "gpu_count": 0}
    return {"class": {**known, **changed}, "class_id": class_id, "instance_id": instance, "state": {}}


def probe(class_id=CLASSES[0], instance="i0", version=VERSION, shell=None, **changed):
    return {"breakeven": version, "machine": facts(class_id, instance, **changed), "shell": shell or {}}


def fleet_of(*counts):
    """A plan with so many nodes of each class, each on a machine of its own."""
    probes = {}
    for class_number, count in enumerate(counts):
        for _ in range(count):
            number = len(probes)
            probes[f"id{number}"] = probe(f"{class_number:x}" * 12, f"i{number:04}", threads=class_number)
    return plan([node(number) for number in range(len(probes))], probes, VERSION)


def run_file(place, **changed):
    """The run file that a place writes; two places have different times."""
    times = [(0.1 + 0.01 * i) * (1 + int(place.instance_id[1:]) / 100) for i in range(3)]
    machine = {
        **facts(place.machine.class_id, place.instance_id),
        "class": {**place.machine.facts, **changed},
    }
    return json.dumps(run([benchmark(times)], machine={"breakeven": machine})).encode()


@dataclass
class FakeExecutor:
    """Sends what `scripts` has for a host, a list of turns; by default a whole run in three turns.

    `now` is its clock, which each turn advances by a second. `started` has (host, journal) in order.
    """

    scripts: dict = field(default_factory=dict)
    now: float = 0.0
    started: list = field(default_factory=list)
    stopped: list = field(default_factory=list)
    most: int = 0
    running: dict = field(default_factory=dict)

    def clock(self):
        return self.now

    def start(self, place, journal):
        self.started.append((place.node.host, journal))
        script = self.scripts.get(place.node.host, [whole])
        turn = script.pop(0) if len(script) > 1 else script[0]
        self.running[place.node.host] = (place, iter(turn(place)))
        self.most = max(self.most, len(self.running))

    def poll(self, timeout_s):
        self.now += 1
        events = []
        for host, (_, turns) in list(self.running.items()):
            turn = next(turns, None)
            if turn is None:
                del self.running[host]
                continue
            events += turn
            if any(isinstance(event, Lost) or event.file == END for event in turn):
                del self.running[host]
        return events

    def stop(self, place):
        self.stopped.append(place.node.host)
        self.running.pop(place.node.host, None)

    def busy(self, place):
        return "2 of 8 CPUs of the cluster are free"


def whole(place):
    """A run that ends well."""
    yield [Piece(place, LOG, b"breakeven: process 1 of 2, case 1 of 3, 0:04 left\n")]
    content = run_file(place)
    yield [Piece(place, RUN, content[:50]), Piece(place, RUN, content[50:])]
    yield [Piece(place, END, b"0")]


def dies(place):
    """A node that dies after a case."""
    yield [Piece(place, LOG, b"one\n"), Piece(place, JOURNAL, b"{}\n")]
    yield [Lost(place, "the node died")]


def crashes(place):
    """A run that Ray loses on a node that lives."""
    yield [Piece(place, LOG, b"one\n"), Piece(place, JOURNAL, b"{}\n")]
    yield [Lost(place, "out of memory", is_alive=True)]


def waits(place):
    """A run that never begins."""
    while True:
        yield []


def ends_with(status, *pieces):
    def turns(place):
        yield [Piece(place, LOG, b"collected 0 items\n"), *(Piece(place, *piece) for piece in pieces)]
        yield [Piece(place, END, str(status).encode())]

    return turns


def measured(directory, fleet, executor, instances=3, wait_s=300.0, **settings):
    """Run a schedule in a workspace; return it, and what it reported."""
    lines = []
    with open_workspace(
        directory, {"the task": "fleet"}, "now", fresh=False, keeps_finished=True
    ) as workspace:
        collector = Collector(workspace, COMMIT, **settings)
        schedule = Schedule(fleet, instances, executor, collector, executor.clock, wait_s, lines.append)
        schedule.run()
    return schedule, lines
