"""The whole history, judged: the values behind every output of `history check` and `show`.

A check fails on a regression: a change for the worse that persists and is not accepted, or a newest run that
is
     worse than predicted and not accepted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from breakeven.history.accepted import FILE, MAX_DISTANCE, Acceptance, Direction, matches
from breakeven.history.query import Archive, StoredRun, read_store
from breakeven.history.series import Series, series_of
from breakeven.history.warnings import warnings_on
from breakeven.runs.machine import with_unique_labels
from breakeven.stats.change_points import (
    MIN_LEVEL_RUNS,
    THRESHOLD,
    Findings,
    LevelChange,
    SeriesLevel,
    find_changes_in_all,
)
from breakeven.stats.prediction import Judgment, expect, judge
from breakeven.stats.verdict import Verdict

MIN_LASTING = 10
"""A level of fewer runs, after which the series returned to the previous level, was transient."""

_DIRECTIONS = {Verdict.REGRESSED: Direction.WORSE, Verdict.IMPROVED: Direction.BETTER}


@dataclass(frozen=True)
class TrackedSeries:
    """A series with its findings; `name` includes the machine if the store has several.

    `names` are all names that select it, also when other machines join the store later: the case, the case on
    its machine, and the same with a part of the class id if another machine has the same label.
    """

    series: Series
    name: str
    names: tuple[str, ...]
    findings: Findings | None

    @property
    def judged(self) -> bool:
        """Whether it has enough runs."""
        return len(self.series.run) > MIN_LEVEL_RUNS


@dataclass(frozen=True)
class ChangePoint:
    """A change of one series between the runs `before` and `after`.

    `ago` counts the runs of the series after `after`. `persists` is whether the current level is nearer to
    the one after the change than to the one before it, and the change neither began nor ended a transient
    level. `accepted` is the reason, None if it is not accepted.
    """

    tracked: TrackedSeries
    change: LevelChange
    before: StoredRun
    after: StoredRun
    ago: int
    persists: bool
    accepted: str | None

    @property
    def direction(self) -> Direction:
        """Whether it is for the worse."""
        return _direction(self.tracked, self.change)

    @property
    def is_regression(self) -> bool:
        """Whether it fails the check."""
        return self.direction == Direction.WORSE and self.persists and self.accepted is None


@dataclass(frozen=True)
class Newest:
    """The newest run of a machine class in one series; `judgment` is None with too few runs."""

    tracked: TrackedSeries
    run: StoredRun
    judgment: Judgment | None
    accepted: str | None

    @property
    def verdict(self) -> Verdict:
        """The verdict, inconclusive with too few runs."""
        return self.judgment.verdict if self.judgment else Verdict.INCONCLUSIVE

    @property
    def direction(self) -> Direction | None:
        """Whether the run is worse or better than predicted, None if neither."""
        return _DIRECTIONS.get(self.verdict)

    @property
    def is_regression(self) -> bool:
        """Whether it fails the check."""
        return self.verdict == Verdict.REGRESSED and self.accepted is None


@dataclass(frozen=True)
class History:
    """A whole store, judged. `damaged` has a line per damaged file; `warnings` end with the same lines."""

    store: str
    runs: tuple[StoredRun, ...]
    tracked: tuple[TrackedSeries, ...]
    changes: tuple[ChangePoint, ...]
    newest: tuple[Newest, ...]
    warnings: tuple[str, ...]
    damaged: tuple[str, ...]

    @property
    def judged(self) -> int:
        """The number of series with enough runs."""
        return sum(tracked.judged for tracked in self.tracked)

    @property
    def regressed_changes(self) -> list[ChangePoint]:
        """The changes that fail the check, the largest first."""
        return [found for found in self.changes if found.is_regression]

    @property
    def regressed_newest(self) -> list[Newest]:
        """The newest runs that fail the check, the largest deviation first."""
        return [found for found in self.newest if found.is_regression]

    @property
    def is_regressed(self) -> bool:
        """Whether the check fails."""
        return bool(self.regressed_changes or self.regressed_newest)


def accepted_path(store: str | os.PathLike[str], named: str | None) -> Path:
    """Return the file of accepted changes: the one that was named, else the one in the store."""
    return Path(named) if named else Path(store) / FILE


def analyze_history(
    store: str | os.PathLike[str],
    acceptances: Sequence[Acceptance] = (),
    *,
    threshold: float = THRESHOLD,
    branch: str | None = None,
    pattern: str | None = None,
) -> History:
    """Read a store and judge every series in it.

    Args:
        store: its directory.
        acceptances: the changes that are intended.
        threshold: ignore relative changes below this size.
        branch: read only the runs of this branch.
        pattern: judge only the matching cases.

    Raises:
        StoreError: the store does not exist.
    """
    archive = read_store(store, branch)
    tracked = _tracked(archive, threshold, pattern)
    reason = partial(_reason, archive, acceptances)
    changes = [found for item in tracked for found in _change_points(item, archive, reason)]
    newest = _newest(tracked, archive, threshold, reason)
    return History(
        store=os.fspath(store),
        runs=archive.runs,
        tracked=tuple(tracked),
        changes=tuple(sorted(changes, key=_by_size)),
        newest=tuple(sorted(newest, key=_by_deviation)),
        warnings=(*warnings_on(archive, [item.series for item in tracked]), *archive.damaged),
        damaged=archive.damaged,
    )


_Reason = Callable[[TrackedSeries, StoredRun, Direction], str | None]


def _tracked(archive: Archive, threshold: float, pattern: str | None) -> list[TrackedSeries]:
    labels = {machine.class_id: machine.label for machine in archive.machines}
    unique = {machine.class_id: machine.label for machine in with_unique_labels(archive.machines)}
    named = []
    for series in series_of(archive.tracks):
        case, machine = series.case, series.class_id
        names = tuple(dict.fromkeys((case, f"{case} on {labels[machine]}", f"{case} on {unique[machine]}")))
        if pattern is None or any(matches(pattern, name) for name in names):
            named.append((series, names[-1] if len(unique) > 1 else case, names))
    found = iter(find_changes_in_all([series.logs for series, *_ in named if len(series.run)], threshold))
    return [TrackedSeries(*one, next(found) if len(one[0].run) else None) for one in named]


def _change_points(tracked: TrackedSeries, archive: Archive, reason: _Reason) -> list[ChangePoint]:
    if tracked.findings is None:
        return []
    series, levels = tracked.series, tracked.findings.levels
    found = []
    for i, change in enumerate(tracked.findings.changes):
        before, after = (archive.runs[series.run[at]] for at in (change.at - 1, change.at))
        ago = len(series.run) - 1 - change.at
        accepted = reason(tracked, after, _direction(tracked, change))
        found.append(ChangePoint(tracked, change, before, after, ago, _persists(levels, i), accepted))
    return found


def _direction(tracked: TrackedSeries, change: LevelChange) -> Direction:
    is_worse = (change.ratio > 1) == (tracked.series.worse > 0)
    return Direction.WORSE if is_worse else Direction.BETTER


def _persists(levels: Sequence[SeriesLevel], i: int) -> bool:
    """Return whether the change after level `i` is still there in the last level."""
    step = levels[i + 1].mean - levels[i].mean
    return (levels[-1].mean - levels[i].mean) / step > 0.5 and not _ends_transient(levels, i)


def _ends_transient(levels: Sequence[SeriesLevel], i: int) -> bool:
    """Return whether the change after level `i` leads back to the level before it after a few runs."""
    if i == 0 or levels[i].n >= MIN_LASTING:
        return False
    step = levels[i + 1].mean - levels[i].mean
    return abs(levels[i + 1].mean - levels[i - 1].mean) < abs(step) / 2


def _reason(
    archive: Archive,
    acceptances: Sequence[Acceptance],
    tracked: TrackedSeries,
    at: StoredRun,
    direction: Direction,
) -> str | None:
    """Return the reason for accepting a change of a series in its run `at`; None if it is not accepted."""
    own = [archive.runs[i] for i in tracked.series.run]
    covering = (entry for entry in acceptances if entry.covers(tracked.names, direction))
    near = (e.reason for e in covering if e.distance(at, own, archive.runs) <= MAX_DISTANCE)
    return next(near, None)


def _newest(
    tracked: Sequence[TrackedSeries], archive: Archive, threshold: float, reason: _Reason
) -> list[Newest]:
    """Judge the newest run of each machine class, all series of one run together."""
    found: list[Newest] = []
    last_runs = {run.class_id: i for i, run in enumerate(archive.runs)}
    for class_id, last in last_runs.items():
        here = [item for item in tracked if item.series.class_id == class_id and last in item.series.run[-1:]]
        expected = [
            None if item.findings is None else expect(item.series.logs, item.findings) for item in here
        ]
        known = [(item, e) for item, e in zip(here, expected, strict=True) if e is not None]
        judgments = iter(judge([e for _, e in known], [item.series.worse for item, _ in known], threshold))
        for item, e in zip(here, expected, strict=True):
            judgment = next(judgments) if e is not None else None
            direction = _DIRECTIONS.get(judgment.verdict) if judgment else None
            accepted = reason(item, archive.runs[last], direction) if direction else None
            found.append(Newest(item, archive.runs[last], judgment, accepted))
    return found


def _by_size(found: ChangePoint) -> tuple[bool, float, str, int]:
    return (not found.is_regression, -abs(math.log(found.change.ratio)), found.tracked.name, found.change.at)


def _by_deviation(found: Newest) -> tuple[bool, bool, float, str]:
    ratio = found.judgment.ratio if found.judgment and found.judgment.ratio > 0 else 1.0
    return (not found.is_regression, found.judgment is None, -abs(math.log(ratio)), found.tracked.name)
