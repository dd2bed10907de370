"""What a reader of a history must know beside its findings: series that end or begin, and doubtful runs.

Owns the sentences of its warnings. Judges nothing: a case that is gone is no regression, and no improvement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from breakeven.format import joined, one_line, plural
from breakeven.history.query import OOM, Archive, StoredRun, Track
from breakeven.history.series import Series
from breakeven.stats.change_points import MIN_RUNS

RECENT = 10
"""For so many runs it is news that a series began or ended."""

_USUAL_OF = 5


def notes_on(archive: Archive, series: Sequence[Series]) -> list[str]:
    """Return the warnings of a store, machine by machine."""
    found: list[str] = []
    for class_id in dict.fromkeys(run.class_id for run in archive.runs):
        own = [i for i, run in enumerate(archive.runs) if run.class_id == class_id]
        tracks = [track for track in archive.tracks if track.class_id == class_id]
        here = [item for item in series if item.class_id == class_id]
        found += _ends_and_beginnings(archive, own, tracks)
        found += _untimed(archive, own[-1], tracks)
        found += _break_evens(here, own[-1])
        found += _few(here)
        found += _doubts(archive, own)
    return found


def run_name(run: StoredRun) -> str:
    """Return how a sentence names a run: its commit and its day.

    A run without a commit has its date and time alone.
    """
    when = run.moment.strftime("%Y-%m-%d")
    return f"{run.commit[:7]} ({when})" if run.commit else run.moment.strftime("%Y-%m-%d %H:%M")


def _ends_and_beginnings(archive: Archive, own: Sequence[int], tracks: Sequence[Track]) -> Iterator[str]:
    ended: dict[int, list[str]] = {}
    begun: dict[int, list[str]] = {}
    recent = own[-RECENT:]
    for track in tracks:
        if track.run[-1] != own[-1] and track.run[-1] in recent:
            ended.setdefault(int(track.run[-1]), []).append(one_line(track.case))
        if track.run[0] != own[0] and track.run[0] in recent:
            begun.setdefault(int(track.run[0]), []).append(one_line(track.case))
    for last, cases in sorted(ended.items()):
        yield (
            f"{plural(len(cases), 'case')} last measured in {run_name(archive.runs[last])}, "
            f"renamed or taken out since: {joined(cases)}; "
            f"{'its series ends' if len(cases) == 1 else 'their series end'} there"
        )
    for first, cases in sorted(begun.items()):
        yield (
            f"{plural(len(cases), 'case')} first measured in {run_name(archive.runs[first])}: "
            f"{joined(cases)}; {'a new series begins' if len(cases) == 1 else 'new series begin'} there, "
            "also where an old case was renamed"
        )


def _untimed(archive: Archive, last: int, tracks: Sequence[Track]) -> Iterator[str]:
    for mark, words in ((OOM, "ran out of memory"), (1, "gave no timing")):
        cases = [
            one_line(track.case)
            for track in tracks
            if track.run[-1] == last and track.ended[-1] == mark and np.isfinite(track.time_s[-RECENT:]).any()
        ]
        if cases:
            yield f"{plural(len(cases), 'case')} {words} in {run_name(archive.runs[last])}: {joined(cases)}"


def _break_evens(series: Sequence[Series], last: int) -> Iterator[str]:
    """Say where the newest run crosses although runs before did not, or the other way round."""
    for item in series:
        before = item.status[-1 - _USUAL_OF : -1]
        if len(before) < _USUAL_OF or item.status_run[-1] != last:
            continue
        usual, count = Counter(before).most_common(1)[0]
        now = item.status[-1]
        if now != usual and count > len(before) // 2 and "crosses" in (now, usual):
            yield f"{item.case}: {_STATUS[now]} in the newest run, where it used to be that {_STATUS[usual]}"


_STATUS = {
    "crosses": "the devices cross",
    "always": "the candidate is always faster",
    "never": "the candidate is never faster at the largest batch",
}


def _few(series: Sequence[Series]) -> Iterator[str]:
    few = [one_line(item.case) for item in series if 0 < len(item.run) <= MIN_RUNS]
    if few:
        yield (f"{len(few)} series with fewer than {MIN_RUNS + 1} runs, not judged yet: {joined(few)}")


def _doubts(archive: Archive, own: Sequence[int]) -> Iterator[str]:
    branches = sorted({archive.runs[i].branch for i in own} - {""})
    if len(branches) > 1:
        yield (
            f"runs of several branches stand in one series: {joined(branches)}; "
            "judge one alone with --branch NAME"
        )
    newest = archive.runs[own[-1]]
    if newest.dirty:
        yield f"the newest run, {run_name(newest)}, was measured with changes that were not committed"
