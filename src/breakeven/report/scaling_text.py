"""The scaling of devices of several processes as texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from breakeven import format as fmt
from breakeven.device_names import processes_of
from breakeven.grouping import grouped
from breakeven.report.scaling import ScalingKind, ScalingRow
from breakeven.report.text import ModelNames, place_name
from breakeven.runs.machine import Machine
from breakeven.stats.intervals import RatioInterval


def share_text(share: RatioInterval) -> str:
    """Return a share in percent with its interval, empty where it is unknown.

    >>> share_text(RatioInterval(0.881, 0.912, 0.94)), share_text(RatioInterval(None, 0.5, None))
    ('91% [88–94%]', '50%')
    """
    if share.ratio is None:
        return ""
    if share.low is None or share.high is None:
        return _percent(share.ratio)
    return f"{_percent(share.ratio)} [{_percent(share.low)[:-1]}–{_percent(share.high)}]"


def scaling_sentences(
    rows: Iterable[ScalingRow], machines: Sequence[Machine], names: ModelNames, *, is_brief: bool = False
) -> list[str]:
    """Return a sentence on the efficiency of each device in each kind of scaling, and on communication.

    A brief one leaves out communication. Of a group of one device it is about what training as a group
    costs by itself.
    """
    places = grouped(((row.key.device, row.key.machine, row.kind), row) for row in rows)
    return [
        f"{_about(kind, device)} on {place_name(device, machine, machines)}: {'; '.join(parts)}."
        for (device, machine, kind), found in places.items()
        if (parts := [*_efficiency(found, names), *(() if is_brief else _communication(found, names))])
    ]


def scaling_name(row: ScalingRow, names: ModelNames) -> str:
    """Return the name of a row's model, where the kind of scaling is beside it."""
    return names.get(row.key.model.without_weak, names[row.key.model])


def _about(kind: ScalingKind, device: str) -> str:
    is_one = processes_of(device) == 1
    return "DistributedDataParallel or FSDP by itself," if is_one else f"{fmt.capital(kind)} scaling"


def _efficiency(rows: Sequence[ScalingRow], names: ModelNames) -> Iterator[str]:
    known = {row: row.efficiency for row in rows if row.efficiency.ratio is not None}
    if known:
        is_one = processes_of(rows[0].key.device) == 1
        speed = "the speed without it" if is_one else "the ideal speed"
        yield f"{_range(known)} of {speed} ({_largest(known, names, 'best')})"


def _communication(rows: Sequence[ScalingRow], names: ModelNames) -> Iterator[str]:
    known = {row: row.communication for row in rows if row.communication.ratio is not None}
    if known:
        yield f"communication takes {_range(known)} of a training step ({_largest(known, names, 'worst')})"


def _range(known: Mapping[ScalingRow, RatioInterval]) -> str:
    if len(known) == 1:
        return share_text(*known.values())
    shares = [share.ratio or 0.0 for share in known.values()]
    return f"{_percent(min(shares))} to {_percent(max(shares))}"


def _largest(known: Mapping[ScalingRow, RatioInterval], names: ModelNames, word: str) -> str:
    """Return where the share is largest, with its interval where there are others."""
    row = max(known, key=lambda row: known[row].ratio or 0.0)
    where = f"{scaling_name(row, names)}, batch {fmt.batch_size(row.key.batch_size)}"
    return where if len(known) == 1 else f"{word}: {share_text(known[row])}, {where}"


def _percent(share: float) -> str:
    """Return a share in percent; noise may make that of communication negative."""
    return f"{max(0, round(100 * share)):,}%"
