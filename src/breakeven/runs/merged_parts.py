"""The parts of a merged run file, which are runs without their cases, and whether they belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, combinations
from typing import Annotated, Any

import msgspec

from breakeven.errors import DifferentMachinesError, SeparateRunsError
from breakeven.format import joined, one_line
from breakeven.runs.json_files import Place, encoded, mapping
from breakeven.runs.machine import Machine, differences, machine_of
from breakeven.runs.merged_facts import Shard

MAX_PROCESSES = 1_000_000
MERGE_AGAIN = "merge the original run files again"
SIDE_BY_SIDE = "give such files to `breakeven report` or `breakeven compare` side by side"


@dataclass(frozen=True)
class Part:
    """A run without its cases: `content` is the rest of its file, `path` a file that has it."""

    id: str
    content: Mapping[str, Any]
    path: str

    @property
    def machine(self) -> Machine:
        """Its machine class."""
        return machine_of(self.content.get("machine_info"))

    @property
    def ours(self) -> Mapping[str, Any]:
        """What breakeven recorded of the run."""
        return mapping(self.content.get("breakeven"))

    @property
    def process_records(self) -> list[Any]:
        """What its file has of each of its processes."""
        found = self.ours.get("processes")
        return found if isinstance(found, list) else []

    @property
    def order(self) -> tuple[str, str]:
        """The sort key of parts: when they were measured."""
        return str(self.content.get("datetime")), self.id


def parts_of(content: Mapping[str, Any], path: str) -> dict[str, tuple[Part, int]]:
    """Return the parts of a file, itself or those of a merged one, each with its first process.

    Raises:
        RunFileError: one of them is damaged.
    """
    ours, place = mapping(content.get("breakeven")), Place(path).at("breakeven")
    if "parts" not in ours:
        parts = [(_whole(content, path), 0)]
    else:
        listed = place.at("parts").decode(ours["parts"], list[_StoredPart], MERGE_AGAIN)
        starts = accumulate((part.processes for part in listed), initial=0)
        parts = [(Part(one.id, one.run, path), start) for one, start in zip(listed, starts, strict=False)]
    for part, _ in parts:
        if part.ours.get("shard") is not None:
            place.at("shard").decode(part.ours["shard"], Shard)
    return {part.id: (part, start) for part, start in parts}


def preferred(part: Part, known: Part | None) -> Part:
    """Return one of two equal parts, whose keys may be in another order."""
    return part if known is None else min(known, part, key=lambda one: encoded(one.content))


def check_parts(parts: Iterable[Part]) -> None:
    """Refuse parts that do not belong together.

    Raises:
        DifferentMachinesError: two are of different machine classes.
        SeparateRunsError: they are of different commits, settings or sweeps.
    """
    ordered = sorted(parts, key=lambda part: part.order)
    _check_machines(ordered)
    _check_same(ordered, "the commit", _commit, "merge runs of one commit; `breakeven compare` is for two")
    for name in sorted({name for part in ordered for name in mapping(part.ours.get("settings"))}):
        remedy = f"measure all parts with the same settings, or {SIDE_BY_SIDE}"
        _check_same(ordered, f"torch's setting {one_line(name, 60)}", partial(_setting, name=name), remedy)
    remedy = f"merge shards of one sweep, measured with the same options; {SIDE_BY_SIDE}"
    _check_same(ordered, "the sweep", _sweep, remedy)
    shards = [part for part in ordered if _sweep(part) is not None]
    others = [part for part in ordered if _sweep(part) is None]
    if shards and others:
        raise SeparateRunsError(
            f"{one_line(shards[0].path, 200)} is a shard of a sweep, and {one_line(others[0].path, 200)} "
            f"is not; {remedy}"
        )


def named(*paths: str) -> str:
    """Return the paths for an error."""
    return " and ".join(one_line(path, 200) for path in dict.fromkeys(paths))


class _StoredPart(msgspec.Struct):
    id: str
    processes: Annotated[int, msgspec.Meta(ge=1, le=MAX_PROCESSES)]
    run: dict[str, Any]


def _whole(content: Mapping[str, Any], path: str) -> Part:
    """Return the part that a file is which was not merged; its id is a hash of it."""
    rest = {name: value for name, value in content.items() if name not in ("benchmarks", "breakeven")}
    ours = mapping(content.get("breakeven"))
    if ours:
        rest["breakeven"] = {name: value for name, value in ours.items() if name != "outcomes"}
    return Part(hashlib.sha256(encoded(rest, is_sorted=True)).hexdigest()[:16], rest, path)


def _check_machines(parts: Sequence[Part]) -> None:
    classes: dict[str, tuple[Machine, Part]] = {}
    for part in parts:
        classes.setdefault(part.machine.class_id, (part.machine, part))
    for (one, first), (other, second) in combinations(classes.values(), 2):
        different = differences((one, other))
        if different:
            fields = joined([f"{name}: {' and '.join(values)}" for name, values in different.items()], 3)
            raise DifferentMachinesError(
                f"{named(first.path, second.path)} are of different machine classes ({fields}); merge the "
                f"shards of one class, and {SIDE_BY_SIDE}"
            )


def _check_same(
    parts: Sequence[Part], what: str, value_of: Callable[[Part], str | None], remedy: str
) -> None:
    """Refuse parts with different values; None is unknown, and differs from none."""
    found: dict[str, Part] = {}
    for part in parts:
        value = value_of(part)
        if value is not None:
            found.setdefault(value, part)
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        raise SeparateRunsError(
            f"{what} of {named(first.path, second.path)} differs ({one_line(one, 80)} and "
            f"{one_line(other, 80)}); {remedy}"
        )


def _commit(part: Part) -> str | None:
    commit = mapping(part.content.get("commit_info")).get("id")
    return commit if isinstance(commit, str) and commit != "unversioned" else None


def _setting(part: Part, name: str) -> str | None:
    value = mapping(part.ours.get("settings")).get(name)
    return None if value is None else str(value)


def _sweep(part: Part) -> str | None:
    shard = mapping(part.ours.get("shard"))
    if not shard:
        return None
    return f"{shard.get('count')} shards of {shard.get('sweep_cells')} cells, {shard.get('sweep_id')}"
