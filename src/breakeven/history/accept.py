"""The entries of `history accept`: changes found in a run, or future changes of matching cases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.globs import matches
from breakeven.history.accepted import MAX_DISTANCE, Acceptance, Direction
from breakeven.history.check import History, TrackedSeries
from breakeven.history.query import StoredRun

_ID = re.compile(r"[0-9a-f]{7,}")


def accept(history: History, run_id: str, reason: str, pattern: str | None, date: str) -> list[Acceptance]:
    """Return an entry per direction for the changes in a run.

    Args:
        history: the whole store.
        run_id: at least 7 digits of the commit, or of the id of a run without one.
        reason: why the changes are intended.
        pattern: accept the matching cases, up to `MAX_DISTANCE` measured commits away; if nothing changed
        there, their future regressions. None accepts every change in exactly this run, and with them the
        changes of other series that are found to be of this run later.
        date: of the decision.

    Raises:
        UsageError: the store has no such run, nothing changed in it, or no case matches the pattern.
    """
    run = find_run(run_id, history.runs)
    cases: dict[Direction, set[str]] = {}
    for tracked, direction, at in _findings(history):
        name = _accepted_name(tracked, pattern)
        away = _entry(run, direction, (), reason, date).distance(at, tracked.runs, history.runs)
        if name is not None and away <= (MAX_DISTANCE if pattern else 0):
            cases.setdefault(direction, set()).add(name)
    if not cases:
        cases = {Direction.WORSE: {_pattern_of_future(history, run, pattern)}}
    return [
        replace(_entry(run, way, sorted(names), reason, date), whole=pattern is None)
        for way, names in cases.items()
    ]


def find_run(run_id: str, runs: Sequence[StoredRun]) -> StoredRun:
    """Return the first run of a commit, or the run with an id, given at least 7 digits.

    Raises:
        UsageError: there is none, or the digits are ambiguous.
    """
    digits = run_id.strip().lower()
    if not _ID.fullmatch(digits):
        raise UsageError(
            f"{one_line(run_id, 60)!r} is not a commit or a run id; give at least 7 hexadecimal digits"
        )
    fitting = [run for run in runs if run.commit.startswith(digits) or run.digest.startswith(digits)]
    found = {run.commit or run.digest for run in fitting}
    if len(found) == 1:
        return fitting[0]
    problem = f"fits {len(found)} commits and runs; give more digits" if found else "is not in the store"
    raise UsageError(f"{one_line(run_id, 60)!r} {problem}; `breakeven history check` lists where changes are")


def _entry(run: StoredRun, direction: Direction, cases: Sequence[str], reason: str, date: str) -> Acceptance:
    time = "" if run.commit else run.moment.isoformat()
    return Acceptance(run.commit, direction, tuple(cases), reason, date, time)


def _accepted_name(tracked: TrackedSeries, pattern: str | None) -> str | None:
    """Return the shortest matching name of a series; it includes the machine only if the pattern does."""
    return next((name for name in tracked.names if pattern is None or matches(pattern, name)), None)


def _pattern_of_future(history: History, run: StoredRun, pattern: str | None) -> str:
    if pattern is None:
        raise UsageError(
            f"no change was found in {run.name}; `breakeven history check` lists the changes; "
            "to accept one before it is found, name its cases with --case"
        )
    if not any(_accepted_name(tracked, pattern) for tracked in history.tracked):
        names = ", ".join(one_line(tracked.name) for tracked in history.tracked[:3])
        raise UsageError(
            f"--case {one_line(pattern)!r} matches no series of the store; give a name or a pattern of one, "
            f"such as {names or 'those that `breakeven history check` prints'}"
        )
    return pattern


def _findings(history: History) -> Iterator[tuple[TrackedSeries, Direction, StoredRun]]:
    """Yield the series, the direction and the run of every change, and of every newest run that changed."""
    for change in history.changes:
        yield change.tracked, change.direction, change.after
    for newest in history.newest:
        if newest.direction is not None:
            yield newest.tracked, newest.direction, newest.run
