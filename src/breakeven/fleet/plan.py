"""Which nodes measure: the nodes of each machine class, and what keeps a node from measuring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from breakeven.errors import UsageError
from breakeven.format import joined, one_line, plural
from breakeven.grouping import grouped
from breakeven.runs.json_files import convert
from breakeven.runs.machine import Machine, differences, machine_of, with_unique_labels

CHECKED = ("threads", "affinity_threads", "gpu_count")
"""Facts of a run file that must be those that the node reported before it."""

_Id = Annotated[str, msgspec.Meta(pattern=r"^[\w-][\w.-]*$", max_length=200)]  # the name of a directory
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _ClassFacts(msgspec.Struct):
    affinity_threads: _Count | None = None
    gpu_count: _Count | None = None


class _MachineFacts(msgspec.Struct):
    facts: _ClassFacts = msgspec.field(name="class")
    class_id: _Id
    instance_id: _Id


class _Shell(msgspec.Struct):
    affinity_threads: _Count | None = None


class _Answer(msgspec.Struct):
    """What is read of a node's answer, apart from the facts that only its machine class has."""

    machine: _MachineFacts
    shell: _Shell = msgspec.field(default_factory=_Shell)


@dataclass(frozen=True)
class Node:
    """A node of the cluster, alive: its id, host name, resources and labels."""

    node_id: str
    host: str
    cpus: float
    gpus: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """A node that can measure; `number` counts the nodes of its machine in the class, from 1.

    Nodes with the same `instance_id` are one machine.
    """

    node: Node
    machine: Machine
    instance_id: str
    number: int = 1

    @property
    def name(self) -> str:
        """The name of its folder, unique in the class."""
        return self.instance_id if self.number == 1 else f"{self.instance_id}-{self.number}"

    @property
    def label(self) -> str:
        """The host name, and which of the machine's nodes it is from the second on."""
        return self.node.host if self.number == 1 else f"{self.node.host}, node {self.number}"

    @property
    def run_name(self) -> str:
        """The name of its run in the workspace."""
        return f"{self.machine.class_id}/{self.name}/run"


@dataclass(frozen=True)
class Plan:
    """The places of each class, those on different machines first, and a line for each node left out."""

    classes: Mapping[str, tuple[Place, ...]]
    problems: tuple[str, ...]

    @property
    def machines(self) -> list[Machine]:
        """The machine class of each group of places."""
        return [places[0].machine for places in self.classes.values()]

    def difference(self) -> str:
        """Return in which facts the classes differ, empty for one class."""
        found = [f"{name} ({joined(values, 3)})" for name, values in differences(self.machines).items()]
        return joined(found, 4)


def select(nodes: Sequence[Node], labels: Mapping[str, str]) -> list[Node]:
    """Return the nodes that have all these labels.

    Raises:
        UsageError: there is none; Ray would wait for one for ever.
    """
    chosen = [node for node in nodes if all(node.labels.get(key) == labels[key] for key in labels)]
    if not chosen:
        asked = joined([f"{key}={value}" for key, value in labels.items()])
        there = dict.fromkeys(
            f"{key}={value}"
            for node in nodes
            for key, value in node.labels.items()
            if key != "ray.io/node-id"
        )
        raise UsageError(
            f"no node of {len(nodes)} has --label {asked}; the labels there are "
            f"{joined(list(there), 8) if there else 'none'}; start nodes with `ray start --labels`"
        )
    return chosen


def plan(nodes: Sequence[Node], probes: Mapping[str, Mapping[str, Any]], version: str) -> Plan:
    """Group the nodes by machine class; each fact of a class counts, torch's version too.

    Args:
        nodes: those that may measure.
        probes: what each reported, by node id; a missing one did not answer.
        version: this breakeven's.
    """
    problems, usable = [], []
    for node in nodes:
        problem = _problem(node, probes.get(node.node_id), version)
        if problem is not None:
            problems.append(f"node {node.host} is left out: {problem}")
        else:
            usable.append((node, probes[node.node_id]["machine"]))
    usable.sort(key=lambda one: (one[0].host, one[0].node_id))
    machines = {facts["class_id"]: machine_of({"breakeven": facts}) for _, facts in usable}
    named = {one.class_id: one for one in with_unique_labels(list(machines.values()))}
    members = grouped((facts["class_id"], (node, facts["instance_id"])) for node, facts in usable)
    return Plan(
        {class_id: tuple(_places(named[class_id], found)) for class_id, found in sorted(members.items())},
        tuple(problems),
    )


def _places(machine: Machine, nodes: Iterable[tuple[Node, str]]) -> list[Place]:
    """Return the places of a class: the first node of each machine, then the second of each, ..."""
    seen: dict[str, int] = {}
    places = []
    for node, instance in nodes:
        seen[instance] = seen.get(instance, 0) + 1
        places.append(Place(node, machine, instance, seen[instance]))
    return sorted(places, key=lambda place: place.number)


def size_text(places: Sequence[Place]) -> str:
    """Return how many machines the places of a class are, and how many nodes where these are more."""
    machines = plural(len({place.instance_id for place in places}), "machine")
    return f"{machines} with {len(places)} Ray nodes" if places[-1].number > 1 else machines


def _problem(node: Node, probe: Mapping[str, Any] | None, version: str) -> str | None:
    """Return why a node cannot measure, None where it can."""
    if probe is None:
        return "it did not answer; look at `ray status` and its logs"
    if "problem" in probe:
        reason = one_line(probe["problem"], 200)
        return f"{reason}; install there what is here: pip install breakeven=={version} torch"
    if probe.get("breakeven") != version:
        found = one_line(str(probe.get("breakeven")), 40)
        return f"it has breakeven {found}, and here is {version}; install {version} there"
    try:
        answer = convert(dict(probe), _Answer)
    except msgspec.ValidationError as error:
        return f"its answer is damaged ({one_line(error, 200)}); install breakeven=={version} there again"
    facts, in_shell = answer.machine.facts, answer.shell.affinity_threads
    if in_shell not in (None, facts.affinity_threads):
        return (
            f"a process there may use {facts.affinity_threads} CPUs and Ray's own {in_shell}; start Ray "
            "without a CPU affinity"
        )
    if (facts.gpu_count or 0) < node.gpus:
        return (
            f"Ray offers {plural(int(node.gpus), 'GPU')} and torch finds {facts.gpu_count or 0}; "
            "install a torch that can use them, or start Ray there with --num-gpus=0"
        )
    return None


def mismatch(place: Place, machine_info: Mapping[str, Any]) -> str | None:
    """Return how a run's machine differs from what the node reported before; None where it does not."""
    found = machine_of(machine_info)
    different = [
        f"{name} is {found.facts.get(name)!r} and was {place.machine.facts.get(name)!r}"
        for name in CHECKED
        if found.facts.get(name) != place.machine.facts.get(name)
    ]
    if not different and found.class_id != place.machine.class_id:
        known = differences([found, place.machine])
        different = [f"{name} is {' and was '.join(values)}" for name, values in known.items()]
    return joined(different, 3) if different else None
