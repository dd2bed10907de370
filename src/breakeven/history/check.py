"""The whole history, judged: the values behind every output of `history check` and `show`.

A check fails on a regression: a change for the worse that persists and is not accepted, or a newest run that
is worse than predicted and not accepted. Changes of several series that may be of one commit are one change
(`CommitChange`). The time of the headline phase is watched first: its series place such a change, and they
come first in every output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from breakeven.globs import matches
from breakeven.history.accepted import MAX_DISTANCE, Acceptance, Direction, first_index
from breakeven.history.query import Archive, StoredRun, read_store
from breakeven.history.series import Series, series_of
from breakeven.history.storage import Location
from breakeven.history.warnings import warnings_on
from breakeven.runs.machine import with_unique_labels
from breakeven.stats.change_points import (
    MIN_LEVEL_RUNS,
    THRESHOLD,
    Findings,
    LevelChange,
    SeriesLevel,
    find_changes_in_all,
    may_be_at,
)
from breakeven.stats.prediction import Judgment, expect, judge
from breakeven.stats.verdict import Verdict

MIN_LASTING = 10
"""A level of fewer runs, after which the series returned to the previous level, was transient."""

_DIRECTIONS = {Verdict.REGRESSED: Direction.WORSE, Verdict.IMPROVED: Direction.BETTER}


@dataclass(frozen=True)
class TrackedSeries:
    """A series with its runs and findings; `name` includes the machine if the store has several.

    `names` are all names that select it, also when other machines join the store later: the case, the case on
    its machine, and the same with a part of the class id if another machine has the same label.
    """

    series: Series
    name: str
    names: tuple[str, ...]
    runs: tuple[StoredRun, ...]
    findings: Findings | None

    @property
    def judged(self) -> bool:
        """Whether it has enough runs."""
        return len(self.series.run) > MIN_LEVEL_RUNS


@dataclass(frozen=True)
class ChangePoint:
    """A change of one series between the runs `before` and `after`: the place of its `CommitChange`.

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

    def may_be_at(self, at: int) -> bool:
        """Return whether the change may be before the run `at` of its series, given the noise."""
        assert self.tracked.findings is not None
        levels = {level.start: level for level in self.tracked.findings.levels}
        before = max(start for start in levels if start < self.change.at)
        values = self.tracked.findings.winsorized[before : levels[self.change.at].stop]
        return may_be_at(values, self.tracked.findings.noise, self.change.at - before, at - before)


@dataclass(frozen=True)
class CommitChange:
    """What one run changed for the worse, or for the better: the series of the headline phase come first."""

    members: tuple[ChangePoint, ...]

    @property
    def run(self) -> StoredRun:
        """The first run after the change."""
        return self.members[0].after

    @property
    def regressed(self) -> tuple[ChangePoint, ...]:
        """The members that fail the check."""
        return tuple(found for found in self.members if found.is_regression)


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
    """A whole store, judged. `damaged` has a line per damaged file; `warnings` end with the same lines.

    `commits` begin with those that fail the check. `branch` is the only one that was read, None for all of
    the store's `branches`.
    """

    runs: tuple[StoredRun, ...]
    tracked: tuple[TrackedSeries, ...]
    commits: tuple[CommitChange, ...]
    newest: tuple[Newest, ...]
    warnings: tuple[str, ...]
    damaged: tuple[str, ...]
    branch: str | None
    branches: tuple[str, ...]

    @cached_property
    def changes(self) -> list[ChangePoint]:
        """Every change, those of one commit together."""
        return [found for commit in self.commits for found in commit.members]

    @property
    def judged(self) -> int:
        """The number of series with enough runs."""
        return sum(tracked.judged for tracked in self.tracked)

    @property
    def regressed_commits(self) -> list[CommitChange]:
        """The commits that fail the check."""
        return [commit for commit in self.commits if commit.regressed]

    @property
    def regressed_newest(self) -> list[Newest]:
        """The newest runs that fail the check, those of the headline phase first."""
        return [found for found in self.newest if found.is_regression]

    @property
    def is_regressed(self) -> bool:
        """Whether the check fails."""
        return bool(self.regressed_commits or self.regressed_newest)


def analyze_history(
    store: Location,
    acceptances: Sequence[Acceptance] = (),
    *,
    threshold: float = THRESHOLD,
    branch: str | None = None,
    pattern: str | None = None,
) -> History:
    """Read a store and judge every series in it.

    Args:
        store: its directory or URL.
        acceptances: the changes that are intended.
        threshold: ignore relative changes below this size.
        branch: read only the runs of this branch.
        pattern: judge only the matching cases.

    Raises:
        StoreError: the store does not exist, or cannot be read.
    """
    archive = read_store(store, branch)
    tracked = _tracked(archive, threshold, pattern)
    reason = partial(_reason, archive, acceptances)
    changes = [found for item in tracked for found in _change_points(item)]
    commits = [_commit_change(alike, reason) for alike in _of_one_commit(changes)]
    newest = _newest(tracked, archive, threshold, reason)
    return History(
        runs=archive.runs,
        tracked=tuple(tracked),
        commits=tuple(sorted(commits, key=lambda commit: not commit.regressed)),
        newest=tuple(sorted(newest, key=_by_deviation)),
        warnings=(*warnings_on(archive, [item.series for item in tracked]), *archive.damaged),
        damaged=archive.damaged,
        branch=branch,
        branches=archive.branches,
    )


_Reason = Callable[[TrackedSeries, StoredRun, Direction, Callable[[int], bool]], str | None]


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
    return [
        TrackedSeries(
            *one, tuple(archive.runs[i] for i in one[0].run), next(found) if len(one[0].run) else None
        )
        for one in named
    ]


def _change_points(tracked: TrackedSeries) -> Iterator[ChangePoint]:
    """Yield the changes of a series, each where the series itself places it; none is accepted yet."""
    if tracked.findings is None:
        return
    for i, change in enumerate(tracked.findings.changes):
        persists = _persists(tracked.findings.levels, i)
        yield ChangePoint(tracked, change, **_place(tracked, change.at), persists=persists, accepted=None)


def _place(tracked: TrackedSeries, at: int) -> dict[str, Any]:
    """Return the fields of a change before the run `at` of its series."""
    return {"before": tracked.runs[at - 1], "after": tracked.runs[at], "ago": len(tracked.runs) - 1 - at}


def _of_one_commit(changes: Iterable[ChangePoint]) -> Iterator[list[ChangePoint]]:
    """Yield the changes of each commit, all placed there.

    The largest change of the headline phase places it. A change that may be there is the same one.
    """
    left = sorted(changes, key=_by_size)
    while left:
        lead = left.pop(0)
        places = [(found, _place_of(lead, found)) for found in left]
        left = [found for found, at in places if at is None]
        yield [
            lead,
            *(replace(found, **_place(found.tracked, at)) for found, at in places if at is not None),
        ]


def _place_of(lead: ChangePoint, found: ChangePoint) -> int | None:
    """Return the index of the lead's place in the other series; None if its change is another one."""
    if found.direction != lead.direction:
        return None
    # Between two runs of one commit the machine changed, at that time.
    commit = "" if lead.before.commit == lead.after.commit else lead.after.commit
    at = first_index(found.tracked.runs, commit, lead.after.moment)
    return at if found.may_be_at(at) else None


def _commit_change(alike: Sequence[ChangePoint], reason: _Reason) -> CommitChange:
    return CommitChange(
        tuple(
            replace(found, accepted=reason(found.tracked, found.after, found.direction, found.may_be_at))
            for found in alike
        )
    )


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
    may_be_at: Callable[[int], bool],
) -> str | None:
    """Return the reason for accepting a change of a series in its run `at`; None if it is not accepted."""

    def accepts(entry: Acceptance) -> bool:
        own, known = tracked.runs, archive.runs
        if entry.covers(tracked.names, direction) and entry.distance(at, own, known) <= MAX_DISTANCE:
            return True
        index = entry.index_in(own, known) if entry.whole and entry.direction == direction else None
        return index is not None and may_be_at(index)

    return next((entry.reason for entry in acceptances if accepts(entry)), None)


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
        series = [item.series for item, _ in known]
        judgments = iter(
            judge(
                [e for _, e in known],
                [item.worse for item in series],
                threshold,
                [item.is_headline for item in series],
            )
        )
        for item, e in zip(here, expected, strict=True):
            judgment = next(judgments) if e is not None else None
            direction = _DIRECTIONS.get(judgment.verdict) if judgment else None
            run, at = archive.runs[last], partial(_newest_may_be_at, item)
            accepted = reason(item, run, direction, at) if direction else None
            found.append(Newest(item, run, judgment, accepted))
    return found


def _newest_may_be_at(tracked: TrackedSeries, at: int) -> bool:
    """Return whether what changed in the newest run of a series may have changed before its run `at`."""
    assert tracked.findings is not None
    start = tracked.findings.levels[-1].start
    values = tracked.series.logs[start:]
    return may_be_at(values, tracked.findings.noise, len(values) - 1, at - start)


def _by_size(found: ChangePoint) -> tuple[bool, float, str, int]:
    is_headline = found.tracked.series.is_headline
    return (not is_headline, -abs(math.log(found.change.ratio)), found.tracked.name, found.change.at)


def _by_deviation(found: Newest) -> tuple[bool, bool, bool, float, str]:
    ratio = found.judgment.ratio if found.judgment and found.judgment.ratio > 0 else 1.0
    is_headline = found.tracked.series.is_headline
    size = -abs(math.log(ratio))
    return (not found.is_regression, found.judgment is None, not is_headline, size, found.tracked.name)
