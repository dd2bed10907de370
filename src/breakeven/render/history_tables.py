"""The history's findings as short strings, once for the terminal and for markdown.

Owns which rows and columns a person sees, worst first. Escapes nothing and computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from breakeven.format import one_line, percent_change, percent_change_with_interval, percent_range, shortened
from breakeven.history.check import ChangePoint, History, Newest
from breakeven.history.query import StoredRun
from breakeven.history.series import TIME
from breakeven.render.table import Table

MAX_ROWS = 12
"""So many changes, and so many series of the newest run, are shown; JSON and the page have all."""

_WORDS = ("case", "change", "in", "so", "unchanged within", "verdict")
_NAME, _REASON = 64, 40


def history_tables(history: History, *, objections: bool = True) -> list[Table]:
    """Return the changes, and what of the newest run is not as expected; neither where there is none.

    Args:
        history: what to show.
        objections: whether those stand there too; a face that tells them in sentences needs them no more.
    """
    surprising = [item for item in history.newest if item.verdict and item.verdict.verdict in _SURPRISES]
    surprising = [item for item in surprising if objections or not item.is_objection]
    changes = [item for item in history.changes if objections or not item.is_objection]
    found = []
    if changes:
        rows = [_change_row(item) for item in changes]
        found.append(
            _table(
                "changes" if objections else "other changes", ("case", "change", "in", "runs ago", "so"), rows
            )
        )
    if surprising:
        rows = [_newest_row(item) for item in surprising]
        found.append(
            _table("newest run, not as expected", ("case", "change", "unchanged within", "in", "so"), rows)
        )
    return found


_SURPRISES = ("regressed", "improved")


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    return Table(title, columns, tuple(rows[:MAX_ROWS]), max(0, len(rows) - MAX_ROWS), _WORDS)


def _change_row(found: ChangePoint) -> tuple[str, ...]:
    change = found.change
    much = percent_change_with_interval(change.ratio, change.low, change.high)
    return (
        shortened(found.watched.name, _NAME),
        f"{much} {_direction(found.watched.series.quantity, change.ratio)}",
        _in(found.after),
        str(found.ago),
        _state(found),
    )


def _state(found: ChangePoint) -> str:
    if found.accepted is not None:
        return f"accepted: {one_line(found.accepted, _REASON)}"
    if not found.stands:
        return "undone"
    return "regressed" if found.is_worse else "improved"


def _newest_row(found: Newest) -> tuple[str, ...]:
    verdict = found.verdict
    assert verdict is not None
    accepted = found.accepted
    return (
        shortened(found.watched.name, _NAME),
        f"{percent_change(verdict.ratio)} {_direction(found.watched.series.quantity, verdict.ratio)}",
        percent_range(verdict.low, verdict.high),
        _in(found.run),
        verdict.verdict if accepted is None else f"accepted: {one_line(accepted, _REASON)}",
    )


def _in(run: StoredRun) -> str:
    """Return the commit and its day, or what else `history accept` takes for the run."""
    return f"{run.commit[:7]} {run.moment:%Y-%m-%d}" if run.commit else f"{run.moment:%Y-%m-%d %H:%M}"


def _direction(quantity: str, ratio: float) -> str:
    if quantity == TIME:
        return "slower" if ratio > 1 else "faster"
    return "more" if ratio > 1 else "less"
