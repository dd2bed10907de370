"""The runs of `breakeven ab` and their comparison: all cases five times, then the undecided ones again.

An interrupted experiment resumes from its workspace and ends with the same comparison. A finished one is
compared again without measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from breakeven.compare.common_shift import Shift
from breakeven.compare.comparison import CaseComparison, Comparison
from breakeven.compare.machine_class import check_classes
from breakeven.experiment.looks import (
    ExitCode,
    is_certain,
    is_decided,
    judge,
    pairs_of,
    restrict,
    two_groups_warnings,
)
from breakeven.experiment.run_command import CommandRunner
from breakeven.experiment.schedule import MIN_PAIRS, Limits, ScheduledRun, Side, scheduled_run
from breakeven.format import duration, joined, plural
from breakeven.runs.schema import Run
from breakeven.stats.significance import look_penalty

CASES_VARIABLE = "BREAKEVEN_CASES"
"""The environment variable that names the file of the cases to time; breakeven's plugin skips all others."""

Compare = Callable[[Sequence[Run], Sequence[Run]], Comparison]
"""Compares the baseline's runs with the candidate's."""

Cases = tuple[str, ...] | None
"""The cases to time; None is all of them."""


@dataclass(frozen=True)
class CompletedRun:
    """A run of the cases that it was to time, its side, and the seconds it took."""

    side: Side
    run: Run
    seconds: float


@dataclass
class Experiment:
    """The runs of one `ab`, in their order; those that the workspace already has are reused.

    `commands` contain `{out}`; `vary` are the fields of the machine class that may differ; `notify` shows a
    line to the user.
    """

    runner: CommandRunner
    commands: Mapping[Side, str]
    limits: Limits
    vary: Collection[str]
    notify: Callable[[str], None]
    runs: list[CompletedRun] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Start the clock at the seconds spent before an interruption."""
        self._start = self.runner.clock() - self.runner.workspace.spent_s

    @property
    def pairs(self) -> int:
        """The number of completed pairs."""
        return len(self.runs) // 2

    @property
    def sides(self) -> tuple[list[Run], list[Run]]:
        """The runs of the base and of the candidate."""
        base, candidate = ([one.run for one in self.runs if one.side is side] for side in Side)
        return base, candidate

    def has_stored_pair(self) -> bool:
        """Return whether the workspace has a run of the next pair: then the pair is completed."""
        scheduled, stored = scheduled_run(len(self.runs) + 1), self.runner.workspace.runs
        return any(run_name(scheduled, is_retest=is_retest) in stored for is_retest in (False, True))

    def allows_pair(self) -> bool:
        """Return whether the limits allow another pair; of a finished experiment, whether they did."""
        plan = self.runner.workspace.plan
        if plan.finished:
            return not plan.exhausted
        return self.limits.allows_pair(self.pairs, self._spent_s(), self._pair_s())

    def run_pair(self, cases: Cases) -> None:
        """Run or read the next pair.

        Raises:
            DifferentMachinesError: the runs differ in a field of the machine class that may not vary.
        """
        environment = {}
        if cases is not None:
            listed = "".join(f"{case}\n" for case in cases)
            environment[CASES_VARIABLE] = str(self.runner.workspace.write("retest.txt", listed))
        for _ in range(2):
            self._run_next(cases, environment)
            check_classes([completed.run for completed in self.runs], self.vary)  # after the first pair
        if self.pairs == 1 and self.limits.is_too_short(self._pair_s()):
            self.notify(
                f"the budget is too short for the {MIN_PAIRS} pairs that a verdict needs (about "
                f"{duration(MIN_PAIRS * self._pair_s())}); they run anyway"
            )

    def _run_next(self, cases: Cases, environment: Mapping[str, str]) -> None:
        scheduled, workspace = scheduled_run(len(self.runs) + 1), self.runner.workspace
        side, name = scheduled.side, run_name(scheduled, is_retest=cases is not None)
        if is_new := name not in workspace.runs:
            label = f"the {side} command in {self._run_text(scheduled)}"
            earlier = [completed.run for completed in self.runs]
            workspace.plan.finished = False
            # Both runs of a pair take the cells in one order, so that what an order favors cancels.
            run = self.runner.run(name, label, self.commands[side], scheduled.pair, earlier, environment)
        else:
            run = workspace.read(name)
        run = run if cases is None else restrict(run, cases)
        self.runs.append(CompletedRun(side, run, workspace.runs[name].seconds))
        if is_new:
            took = duration(workspace.runs[name].seconds)
            left = self._left_text(scheduled)
            self.notify(f"{self._run_text(scheduled)}: {side} (pair {scheduled.pair}), {took}{left}")

    def _run_text(self, scheduled: ScheduledRun) -> str:
        pairs = self.limits.max_pairs
        return f"run {scheduled.number}" + (f" of at most {2 * pairs}" if pairs is not None else "")

    def _left_text(self, scheduled: ScheduledRun) -> str:
        left_s = self.limits.left_s(scheduled.number / 2, self._spent_s(), self._pair_s())
        return f"; at most about {duration(left_s)} left" if left_s > 0 else ""

    def _pair_s(self) -> float:
        """Return how long the latest pair took, twice its first run before the second; 0 before any run."""
        latest = self.runs[-2 + len(self.runs) % 2 :]
        return 2 * sum(one.seconds for one in latest) / len(latest) if latest else 0.0

    def _spent_s(self) -> float:
        return self.runner.clock() - self._start


def run_ab(experiment: Experiment, compare: Compare, exit_code: ExitCode | None = None) -> Comparison:
    """Run what is missing of the experiment and return the comparison of all its runs.

    Args:
        experiment: the runs.
        compare: compares them.
        exit_code: of a comparison: no pair is run that could not change it. None runs them all.

    Raises:
        BreakevenError: a command failed, or the machine classes differ; completed runs are kept.
        KeyboardInterrupt: likewise.
    """
    workspace = experiment.runner.workspace
    experiment.notify(workspace.resume_message if workspace.runs else limits_text(experiment.limits))
    plan = workspace.plan
    decided: dict[str, CaseComparison] = {}
    shift: Shift | None = None
    cases: Cases = None
    while True:
        experiment.run_pair(cases)
        is_stored = experiment.has_stored_pair()
        is_last = not is_stored and not experiment.allows_pair()
        if experiment.pairs < MIN_PAIRS and not is_last:
            continue
        look = max(1, experiment.pairs - MIN_PAIRS + 1)
        found = compare(*experiment.sides)
        found = judge(found, look_penalty(look, is_last=is_last), decided)
        if cases is None:  # the cases that are timed again would bias it
            shift = found.common_shift
        decided = {case.case: case for case in found.cases if is_decided(case)}
        undecided = tuple(case.case for case in found.cases if case.case not in decided)
        certain = bool(undecided) and exit_code is not None and is_certain(found, undecided, exit_code)
        if not undecided or (not is_stored and (is_last or certain)):
            break
        if len(undecided) < len(cases or found.cases):
            cases = undecided
            if not is_stored:
                experiment.notify(_again_text(experiment.pairs, decided, undecided))
    plan.exhausted = is_last
    workspace.save()
    warnings = [
        *_pairs_warnings(found, experiment.pairs, look, undecided, is_stopped=certain and not is_last),
        *two_groups_warnings(found),
        *workspace.warnings,
        *commit_warnings(experiment.runs),
    ]
    return replace(found, common_shift=shift, warnings=(*found.warnings, *warnings))


def run_name(scheduled: ScheduledRun, *, is_retest: bool) -> str:
    """Return the name of a run in the workspace."""
    return f"stage{1 + is_retest}-{scheduled.number:02}-{scheduled.side}"


def limits_text(limits: Limits) -> str:
    """Return what a new experiment will run.

    >>> limits_text(Limits(8, 1200))
    'up to 8 pairs (16 runs) in 20 min: 5 of all cases, the others of those that are undecided'
    """
    pairs = limits.max_pairs
    most = (
        f"up to {plural(pairs, 'pair')} ({2 * pairs} runs)" if pairs is not None else "as many pairs as fit"
    )
    within = f" in {duration(limits.budget_s)}" if limits.budget_s is not None else ""
    if pairs is not None and pairs < MIN_PAIRS:
        return f"{most}{within} of all cases: too few for a verdict, which needs {MIN_PAIRS}"
    return f"{most}{within}: {MIN_PAIRS} of all cases, the others of those that are undecided"


def commit_warnings(completed: Sequence[CompletedRun]) -> list[str]:
    """Return a warning for each side whose runs come from several commits."""
    warnings = []
    for side in Side:
        commits = {one.run.commit: None for one in completed if one.side is side}
        known = [commit[:12] for commit in commits if commit]
        if len(known) > 1:
            warnings.append(
                f"the {side} runs come from several commits ({joined(known)}); --fresh starts over with one"
            )
    return warnings


def _again_text(pairs: int, decided: Collection[str], undecided: Sequence[str]) -> str:
    return (
        f"{plural(len(decided), 'case')} decided after {plural(pairs, 'pair')}; timing "
        f"{plural(len(undecided), 'case')} again: {joined(undecided)}"
    )


def _pairs_warnings(
    found: Comparison, pairs: int, look: int, undecided: Sequence[str], *, is_stopped: bool
) -> Iterator[str]:
    """Yield how many pairs the verdicts rest on."""
    if pairs < MIN_PAIRS:
        yield (
            f"{plural(pairs, 'pair')} cannot decide any case: a verdict needs at least {MIN_PAIRS} (--pairs)"
        )
    if look > 1:
        again = sum(pairs_of(case.case, found) > MIN_PAIRS for case in found.cases)
        yield (
            f"{plural(again, 'case')} undecided after {MIN_PAIRS} pairs: timed in up to {pairs}; each q is "
            f"corrected for {look} looks at the data"
        )
    if is_stopped:
        yield (
            f"stopped after {plural(pairs, 'pair')}: {plural(len(undecided), 'undecided case')} could not "
            "change the exit code; repeat the command with --fail-on none to time them again"
        )
