"""The runs of `breakeven ab` and their comparison: all cases a few times, then some of them again.

An interrupted experiment resumes from its workspace and ends with the same comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from breakeven.compare.comparison import Comparison
from breakeven.compare.machine_class import check_classes
from breakeven.experiment.retest import cases_to_retest, merge_stages, restrict
from breakeven.experiment.run_command import CommandRunner
from breakeven.experiment.schedule import MIN_PAIRS, Limits, ScheduledRun, Side, scheduled_run
from breakeven.format import duration, joined, plural
from breakeven.runs.schema import Run

CASES_VARIABLE = "BREAKEVEN_CASES"
"""The environment variable that names the file of the cases to time; breakeven's plugin skips all others."""

Compare = Callable[[Sequence[Run], Sequence[Run]], Comparison]
"""Compares the baseline's runs with the candidate's."""


class Stage(IntEnum):
    """The two stages of an experiment."""

    ALL_CASES = 1
    RETEST = 2


@dataclass(frozen=True)
class CompletedRun:
    """A run, its side, and the seconds it took."""

    side: Side
    run: Run
    seconds: float


@dataclass
class Experiment:
    """The runs of one `ab`, in their order; those that the workspace already has are reused.

    `commands` contain `{out}`; `vary` are the fields of the machine class that may differ; `notify` shows a
    line to the user; `completed` are the runs of each stage so far.
    """

    runner: CommandRunner
    commands: Mapping[Side, str]
    limits: Limits
    vary: Collection[str]
    notify: Callable[[str], None]
    completed: dict[Stage, list[CompletedRun]] = field(
        default_factory=lambda: {stage: [] for stage in Stage}, init=False
    )

    def __post_init__(self) -> None:
        """Start the clock at the seconds spent before an interruption."""
        self._start = self.runner.clock() - self.runner.workspace.spent_s

    @property
    def runs(self) -> list[CompletedRun]:
        """The completed runs of both stages."""
        return [run for stage in Stage for run in self.completed[stage]]

    def class_warnings(self) -> list[str]:
        """Return warnings about the machine classes of all runs.

        Raises:
            DifferentMachinesError: they differ in a field that may not vary.
        """
        return check_classes([completed.run for completed in self.runs], self.vary)

    def time_all_cases(self) -> None:
        """Run the pairs of the first stage."""
        first = self.completed[Stage.ALL_CASES]
        while self._needs_first_pair(len(first) // 2):
            self._run_pair(Stage.ALL_CASES, {})
            minimum_s = 2 * MIN_PAIRS * pair_s(first)
            if len(first) == 2 and self.limits.is_too_short(pair_s(first)):
                self.notify(
                    f"the budget is too short for {MIN_PAIRS} pairs of all cases and {MIN_PAIRS} of cases to "
                    f"time again (about {duration(minimum_s)}); they run anyway"
                )

    def time_again(self, cases: Sequence[str]) -> None:
        """Run the pairs of the second stage, of these cases only."""
        path = self.runner.workspace.write("retest.txt", "".join(f"{case}\n" for case in cases))
        self.notify(f"timing {plural(len(cases), 'case')} again: {joined(cases)}")
        first_pairs, again = len(self.completed[Stage.ALL_CASES]) // 2, self.completed[Stage.RETEST]
        while self._has_next(Stage.RETEST) or self.limits.allows_retest_pair(
            len(again) // 2, first_pairs, self._spent_s(), pair_s(again)
        ):
            self._run_pair(Stage.RETEST, {CASES_VARIABLE: str(path)})

    def _needs_first_pair(self, done: int) -> bool:
        decided = self.runner.workspace.plan.first_pairs
        if decided is not None:
            return done < decided
        first = self.completed[Stage.ALL_CASES]
        return self._has_next(Stage.ALL_CASES) or self.limits.allows_first_pair(
            done, self._spent_s(), pair_s(first)
        )

    def _has_next(self, stage: Stage) -> bool:
        """Return whether the workspace has a run of the next pair: then the pair is completed."""
        return run_name(stage, scheduled_run(len(self.runs) + 1)) in self.runner.workspace.runs

    def _run_pair(self, stage: Stage, environment: Mapping[str, str]) -> None:
        for _ in range(2):
            self._run_next(stage, environment)
            self.class_warnings()  # fail after the first pair, not at the end

    def _run_next(self, stage: Stage, environment: Mapping[str, str]) -> None:
        scheduled, workspace = scheduled_run(len(self.runs) + 1), self.runner.workspace
        side, name = scheduled.side, run_name(stage, scheduled)
        if is_new := name not in workspace.runs:
            label = f"the {side} command in {self._run_text(scheduled)}"
            earlier = [completed.run for completed in self.runs]
            run = self.runner.run(name, label, self.commands[side], environment, earlier)
        else:
            run = workspace.read(name)
        self.completed[stage].append(CompletedRun(side, run, workspace.runs[name].seconds))
        if is_new:
            took = duration(workspace.runs[name].seconds)
            left = self._left_text(scheduled)
            self.notify(f"{self._run_text(scheduled)}: {side} (pair {scheduled.pair}), {took}{left}")

    def _run_text(self, scheduled: ScheduledRun) -> str:
        pairs = self.limits.max_pairs
        return f"run {scheduled.number}" + (f" of {2 * pairs}" if pairs is not None else "")

    def _left_text(self, scheduled: ScheduledRun) -> str:
        # Until a case was timed again, a pair of the second stage may take as long as one of all cases.
        again = self.completed[Stage.RETEST]
        one_pair_s = pair_s(again or self.completed[Stage.ALL_CASES])
        left_s = self.limits.left_s(scheduled.number / 2, self._spent_s(), one_pair_s)
        return f"; {'' if again else 'at most '}about {duration(left_s)} left" if left_s > 0 else ""

    def _spent_s(self) -> float:
        return self.runner.clock() - self._start


def run_ab(experiment: Experiment, compare: Compare) -> Comparison:
    """Run what is missing of the experiment and return the comparison of all its runs.

    Raises:
        BreakevenError: a command failed, or the machine classes differ; completed runs are kept.
        KeyboardInterrupt: likewise.
    """
    workspace, limits = experiment.runner.workspace, experiment.limits
    experiment.notify(workspace.resume_message if workspace.runs else limits_text(limits))
    experiment.time_all_cases()
    first = experiment.completed[Stage.ALL_CASES]
    found, pairs = compare(*sides(first)), len(first) // 2
    if workspace.plan.retest is None:  # the same cases, however often the experiment is interrupted
        workspace.plan.first_pairs, workspace.plan.retest = pairs, list(cases_to_retest(found))
        workspace.save()
    cases = workspace.plan.retest
    warnings: list[str] = []
    if not cases:
        warnings = [f"no case needed to be timed again after {plural(pairs, 'pair')}"]
    elif not limits.allows_retest(pairs):
        warnings = [
            f"{plural(len(cases), 'case')} could not be timed again: no pairs left after the first {pairs}"
        ]
    else:
        experiment.time_again(cases)
        again = sides(experiment.completed[Stage.RETEST])
        fresh = compare(*([restrict(run, cases) for run in side] for side in again))
        found = merge_stages(found, fresh, cases, experiment.class_warnings())
    warnings += [*workspace.warnings, *commit_warnings(experiment.runs)]
    return replace(found, warnings=(*found.warnings, *warnings))


def sides(completed: Sequence[CompletedRun]) -> tuple[list[Run], list[Run]]:
    """Return the runs of the base and of the candidate."""
    base, candidate = ([one.run for one in completed if one.side is side] for side in Side)
    return base, candidate


def pair_s(completed: Sequence[CompletedRun]) -> float:
    """Return how long a pair takes; 0 if none is completed."""
    return 2 * sum(one.seconds for one in completed) / len(completed) if completed else 0.0


def run_name(stage: Stage, scheduled: ScheduledRun) -> str:
    """Return the name of a run in the workspace."""
    return f"stage{stage}-{scheduled.number:02}-{scheduled.side}"


def limits_text(limits: Limits) -> str:
    """Return what a new experiment will run.

    >>> limits_text(Limits(8, 1200))
    'up to 8 pairs (16 runs) in 20 min: the first 3 time all cases, the rest those not clearly unchanged'
    """
    pairs, first = limits.max_pairs, limits.first_pairs
    most = (
        f"up to {plural(pairs, 'pair')} ({2 * pairs} runs)" if pairs is not None else "as many pairs as fit"
    )
    within = f" in {duration(limits.budget_s)}" if limits.budget_s is not None else ""
    if not limits.allows_retest(first):
        return f"{most}{within} of all cases"
    return f"{most}{within}: the first {first} time all cases, the rest those not clearly unchanged"


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
