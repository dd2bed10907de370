"""The findings of a history as sentences, the same in every output; nothing is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.history.accepted import Direction
from breakeven.history.check import ChangePoint, CommitChange, History, Newest
from breakeven.history.query import StoredRun
from breakeven.history.series import Quantity
from breakeven.stats.change_points import MIN_LEVEL_RUNS
from breakeven.stats.verdict import Verdict

MAX_NAME = 120
"""The middle of longer names is omitted in sentences; JSON has them in full."""

_MAX_IN_VERDICT = 60
_MAX_REASON = 40


@dataclass(frozen=True)
class ChangedRun:
    """What changed in one run: `findings` are changes for the worse, for the better, or its own deviations.

    Those of the headline phase come first. `fails` is whether they fail the check.
    """

    title: str
    findings: tuple[ChangePoint, ...] | tuple[Newest, ...]
    fails: bool


def verdict_lines(history: History) -> tuple[str, ...]:
    """Return the verdict on a store: at most two lines and 220 characters."""
    runs, series = fmt.plural(len(history.runs), "run"), f"{len(history.tracked)} series"
    if not history.runs and history.branches:
        branch, others = fmt.one_line(history.branch, 60), fmt.joined(history.branches)
        return fmt.two_lines(
            f"Nothing could be judged: the store has no run of branch {branch}, only of {others}.", ()
        )
    if not history.runs:
        return ("Nothing could be judged: the store is empty.",)
    if not history.judged:
        return (f"Nothing could be judged: no series has {MIN_LEVEL_RUNS + 1} runs yet ({runs}, {series}).",)
    judged = f"{history.judged} of {series} over {runs}"
    if not history.is_regressed:
        return fmt.two_lines(f"No regressions in {judged}.", map(_improved, _improvements(history)))
    found = _regressions(history)
    return fmt.two_lines(f"Regressed: {found[0]}", [*found[1:], f"Judged {judged}."])


def coverage(history: History) -> str:
    """Return how many series of the newest runs were judged; empty without a newest run."""
    if not history.newest:
        return ""
    verdicts = [found.verdict for found in history.newest if found.judgment]
    return (
        f"newest run: judged {len(verdicts)} of {len(history.newest)} series, "
        f"{verdicts.count(Verdict.INCONCLUSIVE)} inconclusive, {verdicts.count(Verdict.UNCHANGED)} unchanged"
    )


def changed_runs(history: History) -> list[ChangedRun]:
    """Return what changed, a group for each commit and direction and for each newest run.

    Those that fail the check come first, and of them the commits.
    """
    commits = [
        ChangedRun(describe_commit(commit), commit.members, bool(commit.regressed))
        for commit in history.commits
    ]
    newest = grouped(
        ((found.run.digest, found.is_regression), found)
        for found in history.newest
        if found.direction is not None
    )
    deviations = [
        ChangedRun(_describe_run(found), tuple(found), fails) for (_, fails), found in newest.items()
    ]
    return sorted([*commits, *deviations], key=lambda group: not group.fails)


def describe_commit(commit: CommitChange) -> str:
    """Return what a commit changed, how long ago, and what was measured before it."""
    lead, members = commit.members[0], commit.members
    states = fmt.joined([state(found) for found in members])
    return (
        f"{_commit(lead)}, {fmt.plural(lead.ago, 'run')} ago: {len(members)} series {_word(members)} "
        f"({states}); {_previous(lead)}"
    )


def _describe_run(members: Sequence[Newest]) -> str:
    lead = members[0]
    words = fmt.listed(sorted({str(found.direction) for found in members}, reverse=True))
    states = fmt.joined([state(found) for found in members])
    return f"newest run {lead.run.name}: {len(members)} series {words} than predicted ({states})"


def how_to_accept(history: History) -> str:
    """Return how to accept the first regression, empty without one."""
    runs = [commit.run for commit in history.regressed_commits]
    runs += [found.run for found in history.regressed_newest]
    if not runs:
        return ""
    return f'To accept an intended change: breakeven history accept {runs[0].id} --reason "why"'


def describe_series(runs: int, changes: Sequence[ChangePoint], newest: Newest | None) -> list[str]:
    """Return everything found in one series, a sentence each, without its name."""
    sentences = [f"{fmt.capital(size(found))} in {found.after.name}{_ending(found)}." for found in changes]
    if newest is not None and newest.direction is not None:
        sentences.append(f"The newest run is {size(newest)} than predicted{_ending(newest)}.")
    if runs <= MIN_LEVEL_RUNS:
        sentences.append(f"{fmt.plural(runs, 'run')}: too few to judge.")
    return sentences


def size(found: ChangePoint | Newest) -> str:
    """Return how much a series changed, or how far the newest run is from the predicted one."""
    if isinstance(found, ChangePoint):
        change = found.change
        return f"{fmt.percent_change_with_interval(change.ratio, change.low, change.high)} {compared(found)}"
    assert found.judgment is not None
    return f"{fmt.percent_change(found.judgment.ratio)} {compared(found)}"


def unchanged_range(found: Newest) -> str:
    """Return the range of an unchanged run, as percentages of the predicted one."""
    assert found.judgment is not None
    return fmt.percent_range(found.judgment.low, found.judgment.high)


def compared(found: ChangePoint | Newest) -> str:
    """Return the direction of a finding in one word: slower, faster, more or less."""
    is_more = (found.direction == Direction.WORSE) == (found.tracked.series.worse > 0)
    if found.tracked.series.quantity == Quantity.TIME:
        return "slower" if is_more else "faster"
    return "more" if is_more else "less"


def state(found: ChangePoint | Newest) -> str:
    """Return the state of a change: accepted, reverted, regressed or improved."""
    if found.accepted is not None:
        return f"accepted: {fmt.one_line(found.accepted, _MAX_REASON)}"
    if isinstance(found, ChangePoint) and not found.persists:
        return "reverted"
    return Verdict.REGRESSED if found.is_regression else Verdict.IMPROVED


def table_name(run: StoredRun) -> str:
    """Return the id of a run and its day."""
    return f"{run.id} {run.moment:%Y-%m-%d}"


def _regressions(history: History) -> list[str]:
    """Return a sentence on the commits that fail the check, and one on the newest runs that do."""
    commits, newest = history.regressed_commits, history.regressed_newest
    found = []
    if commits:
        worse = [member for commit in commits for member in commit.regressed]
        is_one = len(commits) == 1
        who, where = (
            (_commit(worse[0]), "") if is_one else (f"{len(commits)} commits", f" in {worse[0].after.id}")
        )
        found.append(f"{who} made {len(worse)} series {_word(worse)}: {_first(worse[0])}{where}.")
    if newest:
        run = f"the newest run is worse than predicted in {len(newest)} series: {_first(newest[0])}."
        found.append(fmt.capital(run) if found else run)
    return found


def _improvements(history: History) -> list[CommitChange]:
    return [commit for commit in history.commits if state(commit.members[0]) == Verdict.IMPROVED]


def _improved(commit: CommitChange) -> str:
    lead, members = commit.members[0], commit.members
    return fmt.capital(f"{_commit(lead)} made {len(members)} series {_word(members)}: {_first(lead)}.")


def _first(found: ChangePoint | Newest) -> str:
    return f"{fmt.shortened(found.tracked.name, _MAX_IN_VERDICT)}, {size(found)}"


def _commit(found: ChangePoint) -> str:
    return f"{'commit' if found.after.commit else 'run'} {found.after.name}"


def _word(members: Sequence[ChangePoint]) -> str:
    """Return in which direction the series of a commit changed, in one word."""
    if all(found.tracked.series.quantity == Quantity.TIME for found in members):
        return compared(members[0])
    return members[0].direction


def _ending(found: ChangePoint | Newest) -> str:
    """Return what follows a finding in a sentence: whether it is accepted or reverted, and what is usual."""
    if found.accepted is not None:
        return f"; accepted: {found.accepted}"
    if isinstance(found, ChangePoint):
        return "" if found.persists else "; reverted since"
    return f"; an unchanged run is within {unchanged_range(found)}"


def _previous(found: ChangePoint) -> str:
    if found.before.commit and found.before.commit == found.after.commit:
        return "the same commit before: the machine changed, not the code"
    return f"after {found.before.id}"
