"""The findings of a history as sentences: what changed, by how much, since when.

Owns the words, once for every face. Escapes nothing, and decides nothing.
"""

from __future__ import annotations

from breakeven import format as fmt
from breakeven.format import percent_change, percent_change_with_interval, percent_range, shortened
from breakeven.history.check import ChangePoint, History, Newest
from breakeven.history.series import TIME
from breakeven.history.warnings import run_name

LONGEST_NAME = 120
"""Longer names lose their middle in a sentence; JSON has them whole."""


def change_sentence(found: ChangePoint) -> str:
    """Return one change in a sentence."""
    return f"{shortened(found.watched.name, LONGEST_NAME)} {change_words(found)}"


def change_words(found: ChangePoint) -> str:
    """Return what a sentence says of a change behind the name of its series."""
    change = found.change
    more = change.ratio > 1
    much = percent_change_with_interval(change.ratio, change.low, change.high)
    if found.watched.series.quantity == TIME:
        what = f"became {much} {'slower' if more else 'faster'}"
    else:
        what = f"{'rose' if more else 'fell'} by {much}"
    return f"{what} in {run_name(found.after)}, {fmt.plural(found.ago, 'run')} ago; {_before(found)}"


def newest_sentence(found: Newest) -> str:
    """Return what the newest run of one series says, in a sentence; it has a verdict."""
    return f"{shortened(found.watched.name, LONGEST_NAME)} {newest_words(found)}"


def newest_words(found: Newest) -> str:
    """Return what a sentence says of the newest run behind the name of its series; it has a verdict."""
    verdict = found.verdict
    assert verdict is not None
    more = verdict.ratio > 1
    if found.watched.series.quantity == TIME:
        what = f"{percent_change(verdict.ratio)} {'slower' if more else 'faster'} than"
    else:
        what = f"{percent_change(verdict.ratio)} {'above' if more else 'below'}"
    return (
        f"is {what} what its series led one to expect, in {run_name(found.run)}; "
        f"an unchanged run lies within {percent_range(verdict.low, verdict.high)}"
    )


def headline(history: History) -> str:
    """Return the verdict on a store."""
    runs, series = fmt.plural(len(history.runs), "run"), f"{len(history.watched)} series"
    if not history.runs:
        return "Nothing could be judged: the store holds no run."
    if not history.judged:
        return f"Nothing could be judged: no series has the 6 runs that it takes ({runs}, {series})."
    changes = sum(found.is_objection for found in history.changes)
    newest = sum(found.is_objection for found in history.newest)
    counted = f"{history.judged} of {series} judged over {runs}"
    if not changes and not newest:
        return f"Nothing to object: {counted}."
    parts = [
        f"{fmt.plural(changes, 'change')} to the worse {'stands' if changes == 1 else 'stand'}"
        if changes
        else "",
        f"the newest run is worse than expected in {newest} series" if newest else "",
    ]
    text = " and ".join(filter(None, parts))
    return f"{text[:1].upper()}{text[1:]}: {counted}."


def coverage(history: History) -> str:
    """Return how much of the newest runs was judged."""
    known: list[str] = [found.verdict.verdict for found in history.newest if found.verdict]
    inconclusive = known.count("inconclusive")
    return (
        f"newest run: judged {len(known)} of {len(history.newest)} series, {inconclusive} inconclusive, "
        f"{known.count('unchanged')} unchanged"
    )


def _before(found: ChangePoint) -> str:
    before = found.before
    if before.commit and before.commit == found.after.commit:
        return "the run before it was of the same commit, so the machine changed, not the code"
    return f"the run before it was of {run_name(before)}"
