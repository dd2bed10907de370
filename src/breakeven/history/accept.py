"""Which changes a person means who accepts a commit, or a run that tells none.

Owns the choice: what was found there, by name; or, before anything was found, the pattern that was given.
Tells apart what somebody accepted before, whose reason stands. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from breakeven.errors import UsageError
from breakeven.format import one_line
from breakeven.history.accepted import BETTER, REACH, WORSE, Accepted, find_run, matches
from breakeven.history.check import History, TrackedSeries
from breakeven.history.query import StoredRun
from breakeven.history.warnings import run_name


@dataclass(frozen=True)
class Decided:
    """What is accepted now, one entry a direction, and what was before, as one entry a case."""

    new: tuple[Accepted, ...]
    already: tuple[Accepted, ...]


def decisions(
    history: History,
    place: str,
    reason: str,
    pattern: str | None,
    date: str,
    standing: Sequence[Accepted] = (),
) -> Decided:
    """Return what is accepted by accepting a commit or a run.

    Args:
        history: all of the store, judged by what is accepted so far.
        place: the beginning of a commit's id, or when its run was measured.
        reason: why the change is meant.
        pattern: of the cases that are meant; all that changed there where it is None.
        date: of the decision.
        standing: what is accepted so far.

    Raises:
        UsageError: no such run is kept, nothing changed there and no case was named, or none has that name.
    """
    run = find_run(place, history.runs)
    entry = Accepted(run.commit, WORSE, (), reason, date, "" if run.commit else run.moment.isoformat())
    new: dict[str, set[str]] = {}
    already: set[Accepted] = set()
    for watched, direction, at, accepted in _findings(history):
        own = [history.runs[i] for i in watched.series.run]
        case = _meant(watched, pattern)
        if case is None or entry.distance(at, own, history.runs) > (REACH if pattern else 0):
            continue
        if accepted is None:
            new.setdefault(direction, set()).add(case)
        else:
            already.add(replace(entry, direction=direction, cases=(case,), reason=accepted))
    if not new and not already:
        if pattern is None:
            raise _nothing(history, run)
        _check_known(history, pattern)
        ahead = replace(entry, cases=(pattern,))
        already = {item for item in standing if _same(item, ahead)}
        new = {} if already else {WORSE: {pattern}}
    entries = [replace(entry, direction=way, cases=tuple(sorted(cases))) for way, cases in new.items()]
    return Decided(tuple(entries), tuple(sorted(already)))


def _same(one: Accepted, other: Accepted) -> bool:
    return replace(one, reason="", date="") == replace(other, reason="", date="")


def _meant(watched: TrackedSeries, pattern: str | None) -> str | None:
    """Return how a decision names a series, with its machine only where the pattern does; None: not meant."""
    return next((name for name in watched.names if pattern is None or matches(pattern, name)), None)


def _nothing(history: History, run: StoredRun) -> UsageError:
    places = dict.fromkeys(run_name(item.after) for item in history.changes)
    return UsageError(
        f"nothing changed in {run_name(run)}, as far as the runs show; "
        f"changes were found in: {', '.join([*places][:5]) or 'none'}; "
        "name the cases with --case to accept one before it is found"
    )


def _check_known(history: History, pattern: str) -> None:
    if not any(_meant(watched, pattern) for watched in history.watched):
        names = ", ".join(one_line(watched.name) for watched in history.watched[:3])
        raise UsageError(
            f"--case {one_line(pattern)!r} fits no series of the store; give a name or a pattern of one, "
            f"such as {names or 'those that `history check` prints'}"
        )


def _findings(history: History) -> Iterator[tuple[TrackedSeries, str, StoredRun, str | None]]:
    """Yield the series, the direction, the run, and the reason where there is one, of everything found."""
    for change in history.changes:
        yield change.watched, WORSE if change.is_worse else BETTER, change.after, change.accepted
    for newest in history.newest:
        word = newest.verdict.verdict if newest.verdict else ""
        if word in ("regressed", "improved"):
            yield newest.watched, WORSE if word == "regressed" else BETTER, newest.run, newest.accepted
