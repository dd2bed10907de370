"""The scaling of devices of several processes as texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.report.scaling import ScalingRow
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
    rows: Iterable[ScalingRow], machines: Sequence[Machine], names: ModelNames
) -> list[str]:
    """Return a sentence on the efficiency of each device in each kind of scaling, and on communication."""
    places = grouped(((row.key.device, row.key.machine, row.kind), row) for row in rows)
    return [
        f"{fmt.capital(kind)} scaling on {place_name(device, machine, machines)}: {'; '.join(parts)}."
        for (device, machine, kind), found in places.items()
        if (parts := [*_efficiency(found, names), *_communication(found, names)])
    ]


def scaling_name(row: ScalingRow, names: ModelNames) -> str:
    """Return the name of a row's model, where the kind of scaling is beside it."""
    return names.get(row.key.model.without_weak, names[row.key.model])


def _efficiency(rows: Sequence[ScalingRow], names: ModelNames) -> Iterator[str]:
    known = {row: row.efficiency for row in rows if row.efficiency.ratio is not None}
    if known:
        yield f"{_range(known)} of the ideal speed ({_largest(known, names, 'best')})"


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
