"""The findings of a history as sentences: what changed, by how much, since when.

Owns the words, once for every face. Escapes nothing, and decides nothing.
"""

from __future__ import annotations

from breakeven import format as fmt
from breakeven.history.check import ChangePoint, History, Newest
from breakeven.history.series import TIME
from breakeven.history.warnings import run_name
from breakeven.runs.machine import shortened

LONGEST_NAME = 120
"""Longer names lose their middle in a sentence; JSON has them whole."""

_NARROW, _EXACT = 0.02, 0.001  # intervals whose ends whole percentages, or tenths, cannot tell apart


def percent_of(ratio: float) -> str:
    """Return how far a ratio is from 1, without a sign.

    >>> percent_of(1.102), percent_of(0.5), percent_of(3.4), percent_of(1.0043)
    ('10%', '50%', '240%', '0.4%')
    """
    return fmt.percent(abs(ratio - 1))


def size(ratio: float, low: float | None, high: float | None) -> str:
    """Return a change with its interval, in percent; a narrow interval with one more digit.

    >>> size(1.1, 1.08, 1.12), size(0.5, 0.45, 0.55), size(1.1, None, None), size(1.102, 1.099, 1.105)
    ('10% [8–12%]', '50% [45–55%]', '10%', '10.2% [9.9–10.5%]')
    """
    if low is None or high is None:
        return percent_of(ratio)
    middle, *ends = (abs(ratio - 1), *sorted((abs(low - 1), abs(high - 1))))
    if ends[1] - ends[0] < _EXACT:
        return percent_of(ratio)
    if ends[1] - ends[0] < _NARROW:
        return f"{middle:.1%} [{100 * ends[0]:.1f}–{ends[1]:.1%}]"
    return f"{fmt.percent(middle)} [{fmt.percent(ends[0]).removesuffix('%')}–{fmt.percent(ends[1])}]"


def change_sentence(found: ChangePoint) -> str:
    """Return one change in a sentence."""
    return f"{shortened(found.watched.name, LONGEST_NAME)} {change_words(found)}"


def change_words(found: ChangePoint) -> str:
    """Return what a sentence says of a change behind the name of its series."""
    change = found.change
    more = change.ratio > 1
    much = size(change.ratio, change.low, change.high)
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
        what = f"{percent_of(verdict.ratio)} {'slower' if more else 'faster'} than"
    else:
        what = f"{percent_of(verdict.ratio)} {'above' if more else 'below'}"
    return (
        f"is {what} what its series led one to expect, in {run_name(found.run)}; "
        f"an unchanged run lies within {bounds(verdict.low, verdict.high)}"
    )


def bounds(low: float | None, high: float | None) -> str:
    """Return a prediction interval as signed percentages.

    >>> bounds(0.95, 1.06), bounds(None, None)
    ('-5% to +6%', 'no known bounds')
    """
    if low is None or high is None:
        return "no known bounds"
    return f"{_signed(low)} to {_signed(high)}"


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
    known = [found.verdict.word for found in history.newest if found.verdict]
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


def _signed(ratio: float) -> str:
    return f"{'+' if ratio >= 1 else '-'}{percent_of(ratio)}"
