"""A comparison's rows as short strings, once for every face: which cases are shown, and in which order.

Computes nothing and escapes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from breakeven import format as fmt
from breakeven.compare.comparison import Change, Comparison
from breakeven.render.table import Table

COLUMNS = ("case", "before", "after", "change", "95% interval", "q", "runs", "verdict")

WORST_FIRST = ("regressed", "error", "missing", "inconclusive", "improved", "new", "unchanged")


def worst_first(changes: Sequence[Change]) -> list[Change]:
    """Return the cases by the gravity of their verdict; within one, the largest ratio first."""

    def key(change: Change) -> tuple[int, float]:
        size = 0.0 if change.ratio is None else math.log(change.ratio)
        return WORST_FIRST.index(change.verdict), size if change.verdict == "improved" else -size

    return sorted(changes, key=key)


def change_table(found: Comparison, most: int) -> Table:
    """Return the worst cases, at most so many; where all is unchanged, the largest ratios."""
    ordered = worst_first(found.changes)
    rows = tuple(_row(change) for change in ordered[:most])
    return Table(
        "Base against candidate", COLUMNS, rows, max(0, len(ordered) - most), words=("case", "verdict")
    )


def _row(change: Change) -> tuple[str, ...]:
    return (
        change.case,
        fmt.seconds(change.baseline_s),
        fmt.seconds(change.candidate_s),
        "" if change.ratio is None else fmt.signed_percent(change.ratio),
        fmt.signed_percent_between(change.low, change.high),
        _q(change.q),
        f"{change.n_baseline}+{change.n_candidate}",
        change.verdict,
    )


def _q(q: float | None) -> str:
    if q is None:
        return ""
    return "<0.001" if q < 0.001 else f"{q:.3f}"
