"""The analyzed history: one record that every face shows, so that terminal, JSON, markdown and page agree.

Owns which findings of the series are objections: a change to the worse that still stands and that nobody
accepted, or a newest run outside of what its series led one to expect. Prints nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from breakeven.history import accepted as deciding
from breakeven.history.accepted import Accepted
from breakeven.history.query import Archive, StoredRun, read_store
from breakeven.history.series import Series, series_of
from breakeven.history.warnings import notes_on
from breakeven.runs.machine import Machine, with_unique_labels
from breakeven.stats.change_points import (
    MIN_RUNS,
    THRESHOLD,
    Findings,
    Level,
    LevelChange,
    find_changes_in_all,
)
from breakeven.stats.prediction import Judgment, expect, judge

SPELL = 10
"""A level of fewer runs that led back to where it came from was a spell, of the machine most likely."""


@dataclass(frozen=True)
class TrackedSeries:
    """A series with what was found in it; `name` tells the machine too where the store knows several.

    `names` are all by which people may call it, whatever other machines the store came to know since: the
    case, the case on its machine, and that told apart from others with the same label.
    """

    series: Series
    name: str
    names: tuple[str, ...]
    findings: Findings | None

    @property
    def judged(self) -> bool:
        """Whether it has the runs that a judgement needs."""
        return len(self.series.run) > MIN_RUNS


@dataclass(frozen=True)
class ChangePoint:
    """A change of one series, and the runs it lies between.

    `ago` counts the runs of the series since the first one after the change; `stands` is whether
    the level of today is still nearer to the one after it than to the one before. A short spell is no change
    for good: neither its beginning nor its end stands.
    """

    watched: TrackedSeries
    change: LevelChange
    before: StoredRun
    after: StoredRun
    ago: int
    stands: bool
    accepted: str | None

    @property
    def is_worse(self) -> bool:
        """Whether it is a change to the worse."""
        return (self.change.ratio > 1) == (self.watched.series.worse > 0)

    @property
    def is_objection(self) -> bool:
        """Whether it fails the check."""
        return self.is_worse and self.stands and self.accepted is None


@dataclass(frozen=True)
class Newest:
    """What the newest run of a machine class says of one series; no verdict where runs were too few."""

    watched: TrackedSeries
    run: StoredRun
    verdict: Judgment | None
    accepted: str | None

    @property
    def is_objection(self) -> bool:
        """Whether it fails the check."""
        return self.verdict is not None and self.verdict.verdict == "regressed" and self.accepted is None


@dataclass(frozen=True)
class History:
    """A whole store, judged. `warnings` end with a line for each damaged file, which `damaged` holds too."""

    store: str
    runs: tuple[StoredRun, ...]
    watched: tuple[TrackedSeries, ...]
    changes: tuple[ChangePoint, ...]
    newest: tuple[Newest, ...]
    warnings: tuple[str, ...]
    damaged: tuple[str, ...]

    @property
    def judged(self) -> int:
        """How many series have the runs that a judgement needs."""
        return sum(watched.judged for watched in self.watched)

    @property
    def objections(self) -> int:
        """How many findings fail the check."""
        changes = sum(found.is_objection for found in self.changes)
        return changes + sum(found.is_objection for found in self.newest)


def accepted_path(store: str | os.PathLike[str], named: str | None) -> Path:
    """Return where decisions stand: the file that was named, else the one in the store."""
    return Path(named) if named else Path(store) / deciding.FILE


def analyze(
    store: str | os.PathLike[str],
    decisions: Sequence[Accepted] = (),
    *,
    threshold: float = THRESHOLD,
    branch: str | None = None,
    pattern: str | None = None,
) -> History:
    """Read a store and judge everything in it.

    Args:
        store: its directory.
        decisions: the changes that are meant.
        threshold: the smallest change, relative, that counts.
        branch: of which runs are read; all where it is None.
        pattern: of the cases that are judged; all where it is None.

    Raises:
        StoreError: there is no such store.
    """
    archive = read_store(store, branch)
    watched = _watched(archive, threshold, pattern)
    changes = [found for item in watched for found in _changed(item, archive, decisions)]
    newest = _newest(watched, archive, decisions, threshold)
    return History(
        store=os.fspath(store),
        runs=archive.runs,
        watched=tuple(watched),
        changes=tuple(sorted(changes, key=_by_weight)),
        newest=tuple(sorted(newest, key=_by_surprise)),
        warnings=(*notes_on(archive, [item.series for item in watched]), *archive.damaged),
        damaged=archive.damaged,
    )


def last_runs(archive: Archive) -> dict[str, int]:
    """Return the newest run of each machine class."""
    return {run.class_id: i for i, run in enumerate(archive.runs)}


def _watched(archive: Archive, threshold: float, pattern: str | None) -> list[TrackedSeries]:
    labels = {run.class_id: run.label for run in archive.runs}
    apart = {
        m.class_id: m.label for m in with_unique_labels([Machine(text, i, {}) for i, text in labels.items()])
    }
    named = []
    for series in series_of(archive.tracks):
        case, machine = series.case, series.class_id
        names = tuple(dict.fromkeys((case, f"{case} on {labels[machine]}", f"{case} on {apart[machine]}")))
        if pattern is None or any(deciding.matches(pattern, name) for name in names):
            named.append((series, names[-1] if len(apart) > 1 else case, names))
    found = iter(find_changes_in_all([series.logs for series, *_ in named if len(series.run)], threshold))
    return [TrackedSeries(*one, next(found) if len(one[0].run) else None) for one in named]


def _changed(watched: TrackedSeries, archive: Archive, decisions: Sequence[Accepted]) -> list[ChangePoint]:
    if watched.findings is None:
        return []
    series, levels = watched.series, watched.findings.levels
    found = []
    for i, change in enumerate(watched.findings.changes):
        before, after = (archive.runs[series.run[at]] for at in (change.at - 1, change.at))
        step = levels[i + 1].mean - levels[i].mean
        stands = (levels[-1].mean - levels[i].mean) / step > 0.5 and not _ends_a_spell(levels, i)
        item = ChangePoint(watched, change, before, after, len(series.run) - 1 - change.at, stands, None)
        reason = _reason(watched, archive, after, item.is_worse, decisions)
        found.append(replace(item, accepted=reason))
    return found


def _ends_a_spell(levels: Sequence[Level], i: int) -> bool:
    """Return whether the change after level `i` leads back to where the series came from, too soon."""
    if i == 0 or levels[i].n >= SPELL:
        return False
    step = levels[i + 1].mean - levels[i].mean
    return abs(levels[i + 1].mean - levels[i - 1].mean) < abs(step) / 2


def _reason(
    watched: TrackedSeries, archive: Archive, at: StoredRun, is_worse: bool, decisions: Sequence[Accepted]
) -> str | None:
    """Return why a change of a series in its run `at` is meant; None where nobody said so."""
    direction = deciding.WORSE if is_worse else deciding.BETTER
    own = [archive.runs[i] for i in watched.series.run]
    for entry in decisions:
        if entry.covers(watched.names, direction) and entry.distance(at, own, archive.runs) <= deciding.REACH:
            return entry.reason
    return None


def _newest(
    watched: Sequence[TrackedSeries], archive: Archive, decisions: Sequence[Accepted], threshold: float
) -> list[Newest]:
    """Return what the newest run of each machine class says; those of one run are judged together."""
    found: list[Newest] = []
    for class_id, last in last_runs(archive).items():
        here = [w for w in watched if w.series.class_id == class_id and last in w.series.run[-1:]]
        expected = [None if w.findings is None else expect(w.series.logs, w.findings) for w in here]
        known = [(w, e) for w, e in zip(here, expected, strict=True) if e is not None]
        verdicts = iter(judge([e for _, e in known], [w.series.worse for w, _ in known], threshold))
        for item, what in zip(here, expected, strict=True):
            verdict = next(verdicts) if what is not None else None
            word = verdict.verdict if verdict else ""
            run, reason = archive.runs[last], None
            if word in ("regressed", "improved"):
                reason = _reason(item, archive, run, word == "regressed", decisions)
            found.append(Newest(item, run, verdict, reason))
    return found


def _by_weight(found: ChangePoint) -> tuple[bool, float, str, int]:
    return (not found.is_objection, -abs(math.log(found.change.ratio)), found.watched.name, found.change.at)


def _by_surprise(found: Newest) -> tuple[bool, bool, float, str]:
    ratio = found.verdict.ratio if found.verdict and found.verdict.ratio > 0 else 1.0
    return (not found.is_objection, found.verdict is None, -abs(math.log(ratio)), found.watched.name)
