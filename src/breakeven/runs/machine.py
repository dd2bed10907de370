"""Machine classes: their hardware, an identity and facts, from a run file's machine information.

Two classes are the same if they have the same id, or if they record some facts in common and agree in all of
them: a newer breakeven records more facts of a machine, which change its id.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from breakeven.format import one_line
from breakeven.runs.json_files import mapping

CLASS_ID = "class_id"
"""The field that is reported as different if the files record no other."""

_CLASS_FACTS = ("machine", "system", "python_implementation", "python_version")
_CPU_FACTS = ("brand_raw", "arch", "count")


@dataclass(frozen=True)
class Machine:
    """A machine class: its hardware as text, its identity, and the facts behind them.

    `is_recorded` is False where the file records neither a class nor a CPU, so that another machine may have
    the same id. A fact of None was recorded, unlike a missing one. `name` is empty where it has none.
    """

    hardware: str
    class_id: str
    facts: Mapping[str, Any]
    is_recorded: bool = True
    name: str = ""

    @property
    def label(self) -> str:
        """The name, or else the hardware."""
        return self.name or self.hardware


def machine_of(machine_info: object) -> Machine:
    """Return the class that `machine_info` of a run file describes.

    The hardware is the CPU with its cores, then the GPUs; or the node's name if the CPU is unknown.
    ``breakeven.class`` and ``breakeven.class_id`` describe the class. In a file without them it is the
    hardware, the system and the Python that pytest-benchmark recorded, without clocks and host names.
    """
    info = mapping(machine_info)
    cpu_info = mapping(info.get("cpu"))
    ours = mapping(info.get("breakeven"))
    class_facts = mapping(ours.get("class"))
    cpu = _text(class_facts.get("cpu")) or _text(cpu_info.get("brand_raw")) or _text(info.get("processor"))
    cores = class_facts.get("cores") or cpu_info.get("count")
    words = [cpu or _text(info.get("node")) or "unknown machine"]
    if isinstance(cores, int) and not isinstance(cores, bool) and cores > 0:
        words.append("1 core" if cores == 1 else f"{cores} cores")
    words += gpus_of(class_facts)
    recorded = _text(ours.get("class_id"), limit=1000)  # long, because ids may differ only at the end
    facts = dict(class_facts) if class_facts or recorded else _plain_facts(info, cpu_info)
    class_id = recorded or _hashed(info, cpu_info, class_facts)
    return Machine(", ".join(words), class_id, facts, is_recorded=bool(recorded or facts.get("cpu")))


def classes_of(machines: Iterable[Machine]) -> list[Machine]:
    """Return the class of each machine, the same object for machines of one class.

    A class has the hardware and the id of its first machine, and every fact that any of them records.

    >>> first, more, other = (Machine("", str(i), {"cpu": "EPYC"} | facts) for i, facts in
    ...                       enumerate(({}, {"smt": True}, {"smt": False})))
    >>> [machine.class_id for machine in classes_of([first, more, other])]
    ['0', '0', '2']
    """
    members = list(machines)
    found: list[Machine] = []
    places: dict[str, int] = {}
    for machine in members:
        if machine.class_id not in places:
            same = (place for place, known in enumerate(found) if agree(known.facts, machine.facts))
            places[machine.class_id] = next(same, len(found))
        place = places[machine.class_id]
        if place == len(found):
            found.append(machine)
        elif not machine.facts.keys() <= found[place].facts.keys():
            found[place] = replace(found[place], facts={**machine.facts, **found[place].facts})
    return [found[places[machine.class_id]] for machine in members]


def agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two classes have the same value in every fact that both record, and record one."""
    shared = one.keys() & other.keys()
    return bool(shared) and all(_json(one[name]) == _json(other[name]) for name in shared)


def differences(machines: Iterable[Machine]) -> dict[str, list[str]]:
    """Return the fields in which machines of different classes differ, each with its values as text.

    A field that only some of them record is not a difference.
    """
    classes = {machine.class_id: machine for machine in classes_of(machines)}
    if len(classes) < 2:
        return {}
    names = dict.fromkeys(name for machine in classes.values() for name in machine.facts)
    values = {
        name: _distinct(machine.facts[name] for machine in classes.values() if name in machine.facts)
        for name in names
    }
    different = {name: texts for name, texts in values.items() if len(texts) > 1}
    ids = (machine.class_id if machine.is_recorded else "not recorded" for machine in classes.values())
    return different or {CLASS_ID: _distinct(ids)}


def partly_recorded(machines: Iterable[Machine]) -> list[str]:
    """Return the fields that only some of the machines record, which nothing can be concluded from."""
    recorded = [machine.facts for machine in machines if machine.facts]
    names = dict.fromkeys(name for facts in recorded for name in facts)
    return [name for name in names if not all(name in facts for facts in recorded)]


def gpus_of(facts: Mapping[str, Any]) -> list[str]:
    """Return a machine's GPUs by name, each with its number where there are several.

    >>> gpus_of({"gpu": "L4", "gpu_count": 2}), gpus_of({"gpu": ["H100", "L4", "L4"], "gpu_count": 3})
    (['2 x L4'], ['H100', '2 x L4'])
    """
    named, number = facts.get("gpu"), facts.get("gpu_count")
    if isinstance(named, list):
        counts: Mapping[str, object] = Counter(map(_text, named))
    else:
        counts = {_text(named): number}
    return [
        f"{count} x {name}" if isinstance(count, int) and count > 1 else name
        for name, count in counts.items()
        if name
    ]


def with_unique_labels(machines: Sequence[Machine]) -> list[Machine]:
    """Return the machines, with a part of the class id appended to labels that two classes share.

    >>> [m.label for m in with_unique_labels([Machine("EPYC", "aaa1", {}), Machine("EPYC", "bbb2", {})])]
    ['EPYC #aaa1', 'EPYC #bbb2']
    """
    labels = [machine.label for machine in machines]
    return [
        replace(machine, name=f"{machine.label} #{_short(machine, machines)}")
        if labels.count(machine.label) > 1
        else machine
        for machine in machines
    ]


def _short(machine: Machine, machines: Sequence[Machine]) -> str:
    others = [other.class_id for other in machines if other.class_id != machine.class_id]
    starts = (machine.class_id[:length] for length in range(6, len(machine.class_id)))
    return next((s for s in starts if not any(id_.startswith(s) for id_ in others)), machine.class_id)


def _text(value: object, limit: int = 120) -> str:
    return one_line(value, limit).strip() if isinstance(value, str) else ""


def _distinct(values: Iterable[Any]) -> list[str]:
    """Return the distinct values as text; 1 and True are distinct, as are None and "null"."""
    texts = {_json(value): value if isinstance(value, str) else _json(value) for value in values}
    return [one_line(text, 60) for text in texts.values()]  # distinguished before they are shortened


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _plain_facts(info: Mapping[str, Any], cpu: Mapping[str, Any]) -> dict[str, Any]:
    """Return what pytest-benchmark records of a machine's class, by the names of breakeven's facts."""
    facts = {
        "cpu": cpu.get("brand_raw"),
        "cores": cpu.get("count"),
        "arch": info.get("machine") or cpu.get("arch"),
        "system": info.get("system"),
        "python": info.get("python_version"),
        "python_implementation": info.get("python_implementation"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _hashed(info: Mapping[str, Any], cpu: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    known = {key: info.get(key) for key in _CLASS_FACTS}
    known |= {f"cpu.{key}": cpu.get(key) for key in _CPU_FACTS}
    known |= {f"class.{key}": value for key, value in facts.items()}
    text = json.dumps(known, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
