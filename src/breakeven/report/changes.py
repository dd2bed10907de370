"""What would change the verdict, as texts: a row for each scenario of each candidate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.report.break_even import BreakEven
from breakeven.report.candidates import position, winners, wins
from breakeven.report.text import ModelNames
from breakeven.report.what_if import WhatIf
from breakeven.stats.crossing import CrossingStatus as Status

MAX_BRIEFS = 2
MAX_CHOSEN = 60


@dataclass(frozen=True)
class ChangeRow:
    """One scenario of one candidate: the break-even as measured, and in the scenario.

    `headline` and `changed` are the break-evens of a single model, or else how many models win and from where
    the median one, or each of two, does. `moves` is which of them are shown to move. `models` has every model
    on its own.
    """

    what: str
    headline: str
    changed: str
    moves: str
    models: tuple[WhatIf, ...]

    @property
    def scenario(self) -> str:
        """What changes, without its details."""
        return self.models[0].scenario

    @property
    def place(self) -> tuple[str, str]:
        """The candidate's device, and the class id of its machine."""
        return _place(self.models[0].line)


def changes(what_ifs: Iterable[WhatIf], lines: Iterable[BreakEven], names: ModelNames) -> list[ChangeRow]:
    """Return a row for each scenario of each candidate, in the order of the scenarios.

    Args:
        what_ifs: the scenarios, in their order.
        lines: all break-evens that the verdict is about.
        names: of the models.
    """
    models = Counter(map(_place, lines))
    groups = grouped(((_place(row.line), row.scenario), row) for row in what_ifs)
    return [
        _several(group, names) if len(group) > 1 else _one(group[0], names if models[place] > 1 else {})
        for (place, _), group in groups.items()
    ]


def is_moved(row: WhatIf) -> bool:
    """Return whether the two break-evens are shown to differ: another status, or intervals apart."""
    one, other = row.line.crossing, row.other.crossing
    if Status.UNDECIDED in (one.status, other.status):
        return False
    if one.status is not Status.CROSSES or other.status is not Status.CROSSES:
        same = {one.status, other.status} == {Status.NEVER, Status.BEYOND_RANGE}
        return one.status is not other.status and not same
    return (one.high or math.inf) < (other.low or 0) or (other.high or math.inf) < (one.low or 0)


def wins_from(line: BreakEven) -> str:
    """Return from which batch size a candidate wins, as the content of a cell."""
    return line.describe_briefly()


def _one(row: WhatIf, names: ModelNames) -> ChangeRow:
    """Return the row of a single model, which is named where there are others."""
    details = "; ".join(filter(None, (names.get(row.line.model, ""), row.note)))
    what = f"{row.scenario} ({details})" if details else row.scenario
    moves = "yes" if is_moved(row) else "not shown"
    return ChangeRow(what, wins_from(row.line), wins_from(row.other), moves, (row,))


def _several(group: Sequence[WhatIf], names: ModelNames) -> ChangeRow:
    moved = [row for row in group if is_moved(row)]
    moves = f"none of {len(group)} shown"
    if moved:
        farthest = max(moved, key=lambda row: abs(position(row.line) - position(row.other)))
        name = names[farthest.line.model]
        moves = f"{len(moved)} of {len(group)}: {name}{' farthest' if len(moved) > 1 else ''}"
    return ChangeRow(
        f"{group[0].scenario}{_shared(group)}",
        _summary([row.line for row in group]),
        _summary([row.other for row in group]),
        moves,
        tuple(group),
    )


def _shared(group: Sequence[WhatIf]) -> str:
    """Return the variants chosen most often, and what else differs in how many of the models."""
    counts = Counter(row.brief for row in group if row.brief).most_common()
    briefs = [f"{brief} in {count} of {len(group)}" for brief, count in counts]
    found = "; ".join(filter(None, (_chosen(group), fmt.joined(briefs, MAX_BRIEFS, "; "))))
    return f" ({found})" if found else ""


def _chosen(group: Sequence[WhatIf]) -> str:
    sides = [Counter(chain(*side)) for side in zip(*(row.chosen for row in group), strict=True)]
    most = ", ".join(side.most_common(1)[0][0] for side in sides)
    return fmt.one_line(f"mostly {most}" if any(len(side) > 1 for side in sides) else most, MAX_CHOSEN)


def _summary(lines: Sequence[BreakEven]) -> str:
    """Return how many models win from some batch size on, and where the median one, or each of two, does."""
    found = winners(lines)
    parts = [f"{len(found.won)} of {found.total} win"]
    if len(found.middle) > 1:
        return ", ".join([*parts, " and ".join(map(_briefly, found.middle))])
    undecided = sum(not _is_known(line) for line in lines)
    parts += [f"{undecided} undecided"] if undecided else []
    return ", ".join([*parts, *(f"median {wins_from(line)}" for line in found.middle)])


def _briefly(line: BreakEven) -> str:
    if wins(line):
        return wins_from(line)
    return "none" if _is_known(line) else "undecided"


def _is_known(line: BreakEven) -> bool:
    return line.crossing.status is not Status.UNDECIDED or line.crossing.bracket[1] is not None


def _place(line: BreakEven) -> tuple[str, str]:
    return line.candidate.device, line.candidate.machine
