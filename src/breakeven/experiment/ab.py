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
from breakeven.experiment.schedule import MIN_PAIRS, Limits, ScheduledRun, Side, duration, scheduled_run
from breakeven.format import joined, plural
from breakeven.runs.readings import Run

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
    """A run, its place in the experiment, and the seconds it took."""

    side: Side
    stage: Stage
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
    completed: list[CompletedRun] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Start the clock, from the seconds spent before an interruption."""
        self._start = self.runner.clock() - self.runner.workspace.spent_s

    @property
    def runs(self) -> list[Run]:
        """All runs so far."""
        return [completed.run for completed in self.completed]

    def pairs(self, stage: Stage) -> int:
        """Return the number of complete pairs of a stage."""
        return len(self._of(stage)) // 2

    def sides(self, stage: Stage) -> tuple[list[Run], list[Run]]:
        """Return the runs of the base and of the candidate."""
        base, candidate = (
            [completed.run for completed in self._of(stage) if completed.side is side] for side in Side
        )
        return base, candidate

    def time_all_cases(self) -> None:
        """Run the pairs of the first stage."""
        stage, decided = Stage.ALL_CASES, self.runner.workspace.plan.first_pairs
        while self._another_first_pair(decided):
            self._run_pair(stage, {})
            pair_s = self._pair_s(stage)
            if self.pairs(stage) == 1 and self.limits.is_too_short(pair_s):
                self.notify(
                    f"the budget is too short for {MIN_PAIRS} pairs of all cases and {MIN_PAIRS} of cases to "
                    f"time again (about {duration(2 * MIN_PAIRS * pair_s)}); they run anyway"
                )

    def choose_retest(self, first: Comparison) -> tuple[str, ...]:
        """Return the cases to time again, the same ones however often the experiment is interrupted."""
        workspace = self.runner.workspace
        if workspace.plan.retest is None:
            workspace.plan.first_pairs = self.pairs(Stage.ALL_CASES)
            workspace.plan.retest = list(cases_to_retest(first))
            workspace.save()
        return tuple(workspace.plan.retest)

    def time_again(self, cases: Sequence[str]) -> None:
        """Run the pairs of the second stage, of these cases only."""
        path = self.runner.workspace.write("retest.txt", "".join(f"{case}\n" for case in cases))
        self.notify(f"timing {plural(len(cases), 'case')} again: {joined(cases)}")
        stage, first_pairs = Stage.RETEST, self.pairs(Stage.ALL_CASES)
        while self._has_next(stage) or self.limits.allows_retest_pair(
            self.pairs(stage), first_pairs, self._spent_s(), self._pair_s(stage)
        ):
            self._run_pair(stage, {CASES_VARIABLE: str(path)})

    def _another_first_pair(self, decided: int | None) -> bool:
        stage = Stage.ALL_CASES
        if decided is not None:
            return self.pairs(stage) < decided
        return self._has_next(stage) or self.limits.allows_first_pair(
            self.pairs(stage), self._spent_s(), self._pair_s(stage)
        )

    def _run_pair(self, stage: Stage, environment: Mapping[str, str]) -> None:
        for _ in range(2):
            self._run_next(stage, environment)
            check_classes(
                self.runs, self.vary
            )  # after each run: an error after one pair costs less than after eight

    def _run_next(self, stage: Stage, environment: Mapping[str, str]) -> None:
        scheduled, name = self._next(stage)
        workspace = self.runner.workspace
        is_new = name not in workspace.runs
        if is_new:
            label = f"the {scheduled.side} command in run {scheduled.number}{self._of_total()}"
            command = self.commands[scheduled.side]
            run = self.runner.run(name, label, command, environment, self.runs)
        else:
            run = workspace.read(name)
        self.completed.append(CompletedRun(scheduled.side, stage, run, workspace.runs[name].seconds))
        if is_new:
            self.notify(self._progress(scheduled))

    def _next(self, stage: Stage) -> tuple[ScheduledRun, str]:
        """Return the next run and its name."""
        scheduled = scheduled_run(len(self.completed) + 1)
        return scheduled, f"stage{stage}-{scheduled.number:02}-{scheduled.side}"

    def _has_next(self, stage: Stage) -> bool:
        """Return whether the workspace has a run of the next pair: then the pair is completed."""
        return self._next(stage)[1] in self.runner.workspace.runs

    def _progress(self, scheduled: ScheduledRun) -> str:
        # Until a case was timed again, a pair of the second stage may take as long as one of all cases.
        is_estimated = bool(self._of(Stage.RETEST))
        pair_s = self._pair_s(Stage.RETEST if is_estimated else Stage.ALL_CASES)
        left_s = self.limits.left_s(scheduled.number / 2, self._spent_s(), pair_s)
        left = f"; {'' if is_estimated else 'at most '}about {duration(left_s)} left" if left_s > 0 else ""
        run = f"run {scheduled.number}{self._of_total()}: {scheduled.side} (pair {scheduled.pair})"
        return f"{run}, {duration(self.completed[-1].seconds)}{left}"

    def _of_total(self) -> str:
        return f" of {2 * self.limits.max_pairs}" if self.limits.max_pairs is not None else ""

    def _of(self, stage: Stage) -> list[CompletedRun]:
        return [completed for completed in self.completed if completed.stage is stage]

    def _pair_s(self, stage: Stage) -> float:
        """Return how long a pair of the stage takes; 0 where there is none yet."""
        seconds = [completed.seconds for completed in self._of(stage)]
        return 2 * sum(seconds) / len(seconds) if seconds else 0.0

    def _spent_s(self) -> float:
        return self.runner.clock() - self._start


def run_ab(experiment: Experiment, compare: Compare) -> Comparison:
    """Run what is missing of the experiment and return the comparison of all its runs.

    Raises:
        BreakevenError: a command failed, or the machine classes differ; completed runs stay.
        KeyboardInterrupt: likewise.
    """
    workspace, limits = experiment.runner.workspace, experiment.limits
    experiment.notify(workspace.resume_message if workspace.runs else limits_text(limits))
    experiment.time_all_cases()
    found = compare(*experiment.sides(Stage.ALL_CASES))
    pairs = experiment.pairs(Stage.ALL_CASES)
    notes = []
    if not (cases := experiment.choose_retest(found)):
        notes = [f"no case needed to be timed again after {plural(pairs, 'pair')}"]
    elif not limits.allows_retest(pairs):
        notes = [
            f"{plural(len(cases), 'case')} could not be timed again: no pairs left after the first {pairs}"
        ]
    else:
        experiment.time_again(cases)
        fresh = compare(*([restrict(run, cases) for run in side] for side in experiment.sides(Stage.RETEST)))
        found = merge_stages(found, fresh, cases, check_classes(experiment.runs, experiment.vary))
    notes += [*workspace.warnings, *commit_warnings(experiment.completed)]
    return replace(found, notes=(*found.notes, *notes))


def limits_text(limits: Limits) -> str:
    """Return what a new experiment is going to run.

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
