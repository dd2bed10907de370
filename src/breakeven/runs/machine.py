"""Machine classes: a label, an identity and facts, from a run file's machine information."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from breakeven.format import one_line
from breakeven.runs.json_files import mapping

_CLASS_FACTS = ("machine", "system", "python_implementation", "python_version")
_CPU_FACTS = ("brand_raw", "arch", "count")


@dataclass(frozen=True)
class Machine:
    """A machine class: its readable label, its identity, and the facts behind them.

    Runs of the same `class_id` are replicates of each other. `is_recorded` is False where the file does not
    record its class, and the id was derived from its hardware.
    """

    label: str
    class_id: str
    facts: Mapping[str, Any]
    is_recorded: bool = True


def machine_of(machine_info: object) -> Machine:
    """Return the class that `machine_info` of a run file describes; missing facts are omitted.

    The label is the CPU with its cores, then the GPUs; or the node's name if the CPU is unknown.
    ``breakeven.class_id`` identifies the class; a file without one gets a hash of its hardware facts, without
    clocks and host names.
    """
    info = mapping(machine_info)
    cpu_info = mapping(info.get("cpu"))
    ours = mapping(info.get("breakeven"))
    facts = mapping(ours.get("class"))
    cpu = _text(facts.get("cpu")) or _text(cpu_info.get("brand_raw")) or _text(info.get("processor"))
    cores = facts.get("cores") or cpu_info.get("count")
    words = [cpu or _text(info.get("node")) or "unknown machine"]
    if isinstance(cores, int) and not isinstance(cores, bool) and cores > 0:
        words.append("1 core" if cores == 1 else f"{cores} cores")
    words += gpus_of(facts)
    recorded = _text(ours.get("class_id"), limit=1000)  # long, because ids may differ only at the end
    class_id = recorded or _hashed(info, cpu_info, facts)
    return Machine(", ".join(words), class_id, dict(facts), is_recorded=bool(recorded))


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
        replace(machine, label=f"{machine.label} #{_short(machine, machines)}")
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


def _hashed(info: Mapping[str, Any], cpu: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    known = {key: info.get(key) for key in _CLASS_FACTS}
    known |= {f"cpu.{key}": cpu.get(key) for key in _CPU_FACTS}
    known |= {f"class.{key}": value for key, value in facts.items()}
    text = json.dumps(known, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
