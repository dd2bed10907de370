"""What a merged run file has besides its cases: when, where and how all of its parts were measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from statistics import median
from typing import Annotated, Any

import msgspec

from breakeven.case import SCHEMA
from breakeven.fitness import Look
from breakeven.grouping import grouped
from breakeven.runs.canary import canary_samples
from breakeven.runs.json_files import convert, is_amount, mapping

Content = Mapping[str, Any]

_Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class Shard(msgspec.Struct):
    """The shard of a run: its cells, and the sweep of which it is a part."""

    index: _Count
    count: _Count
    cells: int
    sweep_cells: int
    sweep_id: str


def content_of(runs: Sequence[Content], parts: Sequence[Content], processes: Sequence[int]) -> dict[str, Any]:
    """Return the content of a merged run file without its cases.

    Args:
        runs: the content of each part, ordered by time.
        parts: what the file lists of them.
        processes: the number of processes of each.
    """
    ours = [mapping(run.get("breakeven")) for run in runs]
    return {
        "machine_info": _machine_info(runs),
        "commit_info": _commit_info(runs),
        "datetime": runs[-1].get("datetime"),
        "version": runs[-1].get("version"),
        "breakeven": {
            "schema": SCHEMA,
            "command": "; ".join(dict.fromkeys(filter(None, (_text(one.get("command")) for one in ours)))),
            "complete": all(one.get("complete") is not False for one in ours),
            "missing_shards": missing_shards(ours),
            "processes": list(chain.from_iterable(map(_process_records, runs, processes))),
            "settings": {name: value for one in ours for name, value in mapping(one.get("settings")).items()},
            "spent_s": _sums(mapping(one.get("spent_s")) for one in ours),
            "wall_s": sum(wall_s for one in ours if is_amount(wall_s := one.get("wall_s"))),
            "parts": parts,
        },
    }


def missing_shards(ours: Iterable[Content]) -> list[str]:
    """Return the shards, as K/N, of which no part is known; none where the others have every cell.

    Args:
        ours: what breakeven recorded of each part, whose shards are of one sweep.
    """
    known = shards_of(ours)
    return [f"{index}/{known[0].count}" for index in missing_indices(known)]


def shards_of(ours: Iterable[Content]) -> list[Shard]:
    """Return the shards that runs are, by what breakeven recorded of each; what is damaged is omitted."""
    found = []
    for each in ours:
        with suppress(msgspec.ValidationError):
            found.append(convert(each.get("shard"), Shard))
    return found


def missing_indices(shards: Iterable[Shard]) -> list[int]:
    """Return the shards of a sweep that are not among these; none where these have every cell."""
    known = {shard.index: shard for shard in shards}
    if not known:
        return []
    first = next(iter(known.values()))
    if sum(shard.cells for shard in known.values()) >= first.sweep_cells:
        return []
    return [index for index in range(1, first.count + 1) if index not in known]


def _machine_info(runs: Sequence[Content]) -> dict[str, Any]:
    infos = [mapping(run.get("machine_info")) for run in runs]
    machines = [found for info in infos if (found := mapping(info.get("breakeven")))]
    if not machines:
        return dict(infos[0])
    machine = dict(machines[0])
    if any(other.get("instance_id") != machine.get("instance_id") for other in machines):
        machine.pop("instance_id", None)
    machine["state"] = _state([mapping(one.get("state")) for one in machines])
    return {**infos[0], "breakeven": machine}


def _state(states: Sequence[Content]) -> dict[str, Any]:
    """Return the state of the first part, with what all parts found of the machine."""
    looks = [state["look"] for state in states if state.get("look") is not None]
    busy = [look for look in looks if (found := Look.from_dict(look)) is not None and found.found]
    devices = grouped(
        (device, state)
        for state in states
        for device in mapping(state.get("canary"))
        if canary_samples(state, device)
    )
    init_s = grouped(
        (device, value)
        for state in states
        for device, value in mapping(state.get("device_init_s")).items()
        if is_amount(value)
    )
    joined = {
        "look": next(iter((*busy, *looks)), None),
        "loads": _all(states, "loads"),
        "end": states[-1].get("end"),
        "device_init_s": {device: median(values) for device, values in init_s.items()},
        "canary": {device: _middle(of_device, device) for device, of_device in devices.items()},
        "retimed": _all(states, "retimed"),
    }
    return {**states[0], **{name: value for name, value in joined.items() if value}}


def _middle(states: Sequence[Content], device: str) -> Any:
    """Return a device's canary in the part whose canary took the median time."""

    def median_s(state: Content) -> float:
        return median(sample.median_s for sample in canary_samples(state, device))

    ordered = sorted(states, key=median_s)
    return mapping(ordered[(len(ordered) - 1) // 2].get("canary"))[device]


def _commit_info(runs: Sequence[Content]) -> dict[str, Any]:
    """Return the commit of the last part that records one; it is dirty if that of any part was."""
    infos = [info for run in runs if (info := mapping(run.get("commit_info")))]
    if not infos:
        return {}
    is_dirty = any(info.get("dirty") is True for info in infos)
    return {**infos[-1], **({"dirty": True} if is_dirty else {})}


def _process_records(run: Content, processes: int) -> Iterator[Any]:
    """Yield what the file has of each process of a part; of one without records, its machine's state."""
    records = mapping(run.get("breakeven")).get("processes")
    listed = records[:processes] if isinstance(records, list) else []
    state = mapping(mapping(mapping(run.get("machine_info")).get("breakeven")).get("state"))
    known = {name: state[name] for name in ("canary", "retimed") if name in state}
    yield from listed
    yield from [known if not listed else {}] * (processes - len(listed))


def _sums(amounts: Iterable[Content]) -> dict[str, float]:
    listed = grouped((name, value) for of in amounts for name, value in of.items() if is_amount(value))
    return {name: sum(values) for name, values in listed.items()}


def _all(states: Iterable[Content], name: str) -> list[Any]:
    return [one for state in states if isinstance(found := state.get(name), list) for one in found]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
