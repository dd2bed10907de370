"""The findings of a history as sentences, the same in every output; nothing is escaped here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.history.accepted import Direction
from breakeven.history.check import ChangePoint, History, Newest
from breakeven.history.query import StoredRun
from breakeven.history.series import Quantity
from breakeven.stats.change_points import MIN_LEVEL_RUNS
from breakeven.stats.verdict import Verdict

MAX_NAME = 120
"""The middle of longer names is omitted in sentences; JSON has them in full."""

MAX_LISTED = 8
"""The series of one change that a sentence lists; JSON has all of them."""

_Finding = TypeVar("_Finding", ChangePoint, Newest)


def headline(history: History) -> str:
    """Return the verdict on a store."""
    runs, series = fmt.plural(len(history.runs), "run"), f"{len(history.tracked)} series"
    if not history.runs and history.branches:
        others = fmt.joined(history.branches)
        return f"Nothing could be judged: the store has no run of branch {history.branch}, only of {others}."
    if not history.runs:
        return "Nothing could be judged: the store is empty."
    if not history.judged:
        return f"Nothing could be judged: no series has {MIN_LEVEL_RUNS + 1} runs yet ({runs}, {series})."
    commits, newest = history.regressed_commits, len(history.regressed_newest)
    if not commits and not newest:
        return f"No regressions in {history.judged} of {series} over {runs}."
    changed = sum(len(commit.regressed) for commit in commits)
    parts = [f"{fmt.plural(len(commits), 'regression')} in {changed} series"] if commits else []
    parts += [f"the newest run regressed in {newest} series"] if newest else []
    return f"{fmt.capital(fmt.listed(parts))}; judged {history.judged} of {series} over {runs}."


def coverage(history: History) -> str:
    """Return how many series of the newest runs were judged; empty without a newest run."""
    if not history.newest:
        return ""
    verdicts = [found.verdict for found in history.newest if found.judgment]
    return (
        f"newest run: judged {len(verdicts)} of {len(history.newest)} series, "
        f"{verdicts.count(Verdict.INCONCLUSIVE)} inconclusive, {verdicts.count(Verdict.UNCHANGED)} unchanged"
    )


def regressions(history: History) -> list[str]:
    """Return a sentence for each commit and each newest run that fails the check."""
    newest = grouped((found.run.digest, found) for found in history.regressed_newest)
    return [
        *(_commit_text(commit.regressed) for commit in history.regressed_commits),
        *map(_newest_text, newest.values()),
    ]


def _commit_text(members: Sequence[ChangePoint]) -> str:
    lead = members[0]
    if len(members) == 1:
        return f"{_name(lead)} {describe_change(lead)}"
    is_time = all(found.tracked.series.quantity == Quantity.TIME for found in members)
    return (
        f"{'commit' if lead.after.commit else 'run'} {lead.after.name} made {len(members)} series "
        f"{'slower' if is_time else 'worse'}, {fmt.plural(lead.ago, 'run')} ago: "
        f"{_listed(members, _size)}; {_previous(lead)}"
    )


def _newest_text(members: Sequence[Newest]) -> str:
    lead = members[0]
    if len(members) == 1:
        return f"{_name(lead)} {describe_newest(lead)}"
    sizes = _listed(members, _newest_size)
    return f"{lead.run.name} is worse than predicted in {len(members)} series: {sizes}"


def _listed(members: Sequence[_Finding], size: Callable[[_Finding], str]) -> str:
    return fmt.joined([f"{_name(found)} ({size(found)})" for found in members], MAX_LISTED)


def _size(found: ChangePoint) -> str:
    change = found.change
    return f"{fmt.percent_change_with_interval(change.ratio, change.low, change.high)} {compared(found)}"


def _newest_size(found: Newest) -> str:
    assert found.judgment is not None
    return f"{fmt.percent_change(found.judgment.ratio)} {compared(found)}"


def how_to_accept(history: History) -> str:
    """Return how to accept the first regression, empty without one."""
    runs = [commit.run for commit in history.regressed_commits]
    runs += [found.run for found in history.regressed_newest]
    if not runs:
        return ""
    return f'To accept an intended change: breakeven history accept {runs[0].id} --reason "why"'


def describe_change(found: ChangePoint) -> str:
    """Return a change as what follows the name of its series in a sentence."""
    size = fmt.percent_change_with_interval(found.change.ratio, found.change.low, found.change.high)
    if found.tracked.series.quantity == Quantity.TIME:
        changed = f"became {size} {compared(found)}"
    else:
        changed = f"{'rose' if found.change.ratio > 1 else 'fell'} by {size}"
    return f"{changed} in {found.after.name}, {fmt.plural(found.ago, 'run')} ago; {_previous(found)}"


def describe_newest(found: Newest) -> str:
    """Return a newest run as what follows the name of its series in a sentence; it has a judgment."""
    assert found.judgment is not None
    size = fmt.percent_change(found.judgment.ratio)
    if found.tracked.series.quantity == Quantity.TIME:
        position = f"{compared(found)} than"
    else:
        position = "above what was" if found.judgment.ratio > 1 else "below what was"
    unchanged = fmt.percent_range(found.judgment.low, found.judgment.high)
    return f"is {size} {position} predicted, in {found.run.name}; an unchanged run is within {unchanged}"


def describe_series(runs: int, changes: Sequence[ChangePoint], newest: Newest | None) -> list[str]:
    """Return everything found in one series, a sentence each, without its name."""
    sentences = [_with_state(found) for found in changes]
    if newest is not None and newest.direction is not None:
        sentences.append(f"The newest run {describe_newest(newest)}")
    if runs <= MIN_LEVEL_RUNS:
        sentences.append(f"{fmt.plural(runs, 'run')}: too few to judge.")
    return sentences


def compared(found: ChangePoint | Newest) -> str:
    """Return the direction of a finding in one word: slower, faster, more or less."""
    is_more = (found.direction == Direction.WORSE) == (found.tracked.series.worse > 0)
    if found.tracked.series.quantity == Quantity.TIME:
        return "slower" if is_more else "faster"
    return "more" if is_more else "less"


def state(found: ChangePoint | Newest, max_reason: int) -> str:
    """Return the state of a change: accepted, reverted, regressed or improved."""
    if found.accepted is not None:
        return f"accepted: {fmt.one_line(found.accepted, max_reason)}"
    if isinstance(found, ChangePoint) and not found.persists:
        return "reverted"
    return Verdict.REGRESSED if found.is_regression else Verdict.IMPROVED


def table_name(run: StoredRun) -> str:
    """Return the id of a run and its day."""
    return f"{run.id} {run.moment:%Y-%m-%d}"


def _name(found: ChangePoint | Newest) -> str:
    return fmt.shortened(found.tracked.name, MAX_NAME)


def _with_state(found: ChangePoint) -> str:
    sentence = fmt.capital(describe_change(found))
    if found.accepted is not None:
        return f"{sentence}. Accepted: {found.accepted}"
    return sentence if found.persists else f"{sentence}. Reverted since."


def _previous(found: ChangePoint) -> str:
    if found.before.commit and found.before.commit == found.after.commit:
        return "the previous run has the same commit, so the machine changed, not the code"
    return f"the previous run is {found.before.name}"
