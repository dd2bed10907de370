"""Which changes a person means who accepts a commit.

Owns the choice: what was found there, by name; or, before anything was found, the pattern that was given.
Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from breakeven.analysing.history.accepted import BETTER, REACH, WORSE, Accepted, find_commit, matches
from breakeven.analysing.history.record import History
from breakeven.analysing.history.scan import StoredRun
from breakeven.errors import UsageError


def decisions(history: History, commit: str, reason: str, pattern: str | None, date: str) -> list[Accepted]:
    """Return what is accepted by accepting a commit, one entry a direction.

    Args:
        history: all of the store.
        commit: the beginning of a commit's id.
        reason: why the change is meant.
        pattern: of the cases that are meant; all that changed there where it is None.
        date: of the decision.

    Raises:
        UsageError: no such commit was measured, or nothing changed there and no case was named.
    """
    full = find_commit(commit, [run.commit for run in history.runs])
    places = [run.commit for run in history.runs]
    at = places.index(full)
    commits = list(dict.fromkeys(filter(None, places)))
    near = set(commits[max(0, commits.index(full) - REACH) : commits.index(full) + REACH + 1])
    found: dict[str, set[str]] = {}
    for case, is_worse, run in _findings(history):
        exact = run.commit == full
        if (exact or (pattern and run.commit in near)) and (pattern is None or matches(pattern, case)):
            found.setdefault(WORSE if is_worse else BETTER, set()).add(case)
    if not found and pattern is None:
        day = history.runs[at].moment.strftime("%Y-%m-%d")
        listed = ", ".join(
            sorted({item.after.commit[:7] for item in history.changes if item.after.commit})[:5]
        )
        raise UsageError(
            f"nothing changed in {full[:7]} ({day}), as far as the runs show; "
            f"changes were found in: {listed or 'none'}; "
            "name the cases with --case to accept one before it is found"
        )
    if not found and pattern is not None:
        found = {WORSE: {pattern}}
    return [
        Accepted(full, direction, tuple(sorted(cases)), reason, date) for direction, cases in found.items()
    ]


def _findings(history: History) -> Iterator[tuple[str, bool, StoredRun]]:
    """Yield case, whether it became worse, and the run, of everything that nobody accepted yet."""
    for change in history.changes:
        if change.accepted is None:
            yield change.watched.series.case, change.is_worse, change.after
    for newest in history.newest:
        word = newest.verdict.word if newest.verdict else ""
        if newest.accepted is None and word in ("regressed", "improved"):
            yield newest.watched.series.case, word == "regressed", newest.run
