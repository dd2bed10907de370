"""Warnings of a history: series that end or begin, cases without a timing, and unreliable runs.

A case that is no longer measured is neither a regression nor an improvement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from breakeven.format import joined, listed, one_line, plural
from breakeven.history.query import Archive, Track, TrackOutcome
from breakeven.history.series import Series
from breakeven.runs.machine import Machine, differences
from breakeven.stats.change_points import MIN_LEVEL_RUNS
from breakeven.stats.crossing import CrossingStatus

RECENT_RUNS = 10
"""Warn of a series that began or ended within this many runs."""

_USUAL_RUNS = 5


def warnings_on(archive: Archive, series: Sequence[Series]) -> list[str]:
    """Return the warnings of a store: machine by machine, then those of all of them."""
    found: list[str] = []
    for machine in archive.machines:
        own = [i for i, run in enumerate(archive.runs) if run.class_id == machine.class_id]
        tracks = [track for track in archive.tracks if track.class_id == machine.class_id]
        here = [item for item in series if item.class_id == machine.class_id]
        found += _ended(archive, own, tracks)
        found += _begun(archive, own, tracks)
        found += _untimed(archive, own[-1], tracks)
        found += _break_evens(here, own[-1])
        found += _doubts(archive, own)
    return [*found, *_uncounted(archive), *_too_few_runs(series, archive.machines)]


def _ended(archive: Archive, own: Sequence[int], tracks: Sequence[Track]) -> Iterator[str]:
    for run, cases in _cases_by_run(tracks, -1, own[-RECENT_RUNS:-1]):
        yield (
            f"{plural(len(cases), 'case')} last measured in {archive.runs[run].name}, "
            f"since renamed or removed: {joined(cases)}"
        )


def _begun(archive: Archive, own: Sequence[int], tracks: Sequence[Track]) -> Iterator[str]:
    recent = [run for run in own[-RECENT_RUNS:] if run != own[0]]
    for run, cases in _cases_by_run(tracks, 0, recent):
        yield (
            f"{plural(len(cases), 'case')} first measured in {archive.runs[run].name}: {joined(cases)}; "
            "a renamed case also begins a new series"
        )


def _cases_by_run(tracks: Sequence[Track], end: int, runs: Sequence[int]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cases whose first or last run (`end` 0 or -1) is each of `runs`."""
    for run in runs:
        cases = [one_line(track.case) for track in tracks if track.run[end] == run]
        if cases:
            yield run, cases


def _untimed(archive: Archive, last: int, tracks: Sequence[Track]) -> Iterator[str]:
    for outcome, words in ((TrackOutcome.OOM, "ran out of memory"), (TrackOutcome.UNTIMED, "was not timed")):
        cases = [
            one_line(track.case)
            for track in tracks
            if track.run[-1] == last
            and track.outcome[-1] == outcome
            and np.isfinite(track.time_s[-RECENT_RUNS:]).any()
        ]
        if cases:
            words = words if len(cases) == 1 else words.replace("was", "were")
            yield f"{plural(len(cases), 'case')} {words} in {archive.runs[last].name}: {joined(cases)}"


def _break_evens(series: Sequence[Series], last: int) -> Iterator[str]:
    """Warn where the devices cross in the newest run but usually not before, or the other way round."""
    for item in series:
        before = item.status[-1 - _USUAL_RUNS : -1]
        if len(before) < _USUAL_RUNS or item.status_run[-1] != last:
            continue
        usual, count = Counter(before).most_common(1)[0]
        now = item.status[-1]
        if now != usual and count > len(before) // 2 and CrossingStatus.CROSSES in (now, usual):
            yield f"{item.case}: in the newest run {_STATUS[now]}; before, {_STATUS[usual]}"


_STATUS = {
    CrossingStatus.CROSSES: "the devices cross",
    CrossingStatus.ALWAYS: "the candidate is always faster",
    CrossingStatus.NEVER: "the candidate is slower at the largest batch size",
}


def _uncounted(archive: Archive) -> Iterator[str]:
    tracks = [track for track in archive.tracks if len(track.uncounted)]
    if tracks:
        runs = {int(run) for track in tracks for run in track.uncounted}
        yield (
            f"{plural(len(tracks), 'case')} on accelerators: their times in {plural(len(runs), 'run')}, the "
            f"last in {archive.runs[max(runs)].name}, are not compared with the newest ones, because "
            "breakeven 0.1 waited for the device after each step and a newer one does not: "
            f"{joined([one_line(track.case) for track in tracks])}"
        )


def _too_few_runs(series: Sequence[Series], machines: Sequence[Machine]) -> Iterator[str]:
    few = [one_line(item.case) for item in series if 0 < len(item.run) <= MIN_LEVEL_RUNS]
    if few:
        yield (
            f"{len(few)} series with fewer than {MIN_LEVEL_RUNS + 1} runs, not judged yet: {joined(few)}"
            f"{_classes(machines)}"
        )


def _classes(machines: Sequence[Machine]) -> str:
    """Return how many machine classes share the runs of a store, and what distinguishes them."""
    if len(machines) < 2:
        return ""
    different = differences(machines)
    fields = listed([f"{one_line(name, 40)} ({joined(values, 5)})" for name, values in different.items()])
    alone = [name for name in different if len(different) > 1 and _differ_only_in(name, different, machines)]
    some = f"; some of them in {' or '.join(one_line(name, 40) for name in alone)} alone" if alone else ""
    return (
        f"; the store has {len(machines)} machine classes, each with series of its own, which differ in "
        f"{fields}{some}"
    )


def _differ_only_in(name: str, names: Iterable[str], machines: Sequence[Machine]) -> bool:
    """Return whether two of the machines agree in all other fields of `names`."""
    others = [other for other in names if other != name]
    return len({repr([machine.facts.get(other) for other in others]) for machine in machines}) < len(machines)


def _doubts(archive: Archive, own: Sequence[int]) -> Iterator[str]:
    branches = sorted({archive.runs[i].branch for i in own} - {""})
    if len(branches) > 1:
        yield f"the series mix runs of several branches: {joined(branches)}; choose one with --branch NAME"
    newest = archive.runs[own[-1]]
    if newest.dirty:
        yield f"the newest run, {newest.name}, was measured with uncommitted changes"
