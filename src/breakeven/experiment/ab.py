"""Base against candidate by turns: all cases a few times, then the suspects alone, then one record.

Owns the course of `breakeven ab`. What was measured before an interruption is read from the folder, and the
outcome is the same function of the runs as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from breakeven.compare.comparison import Comparison
from breakeven.compare.machine_class import check_classes
from breakeven.experiment.retest import merged, only, suspects
from breakeven.experiment.run_command import Recorder
from breakeven.experiment.schedule import BASE, CANDIDATE, MIN_PAIRS, Limits, ScheduledRun, duration, turn
from breakeven.experiment.workspace import Folder
from breakeven.format import joined, plural
from breakeven.runs.readings import Run

CASES = "BREAKEVEN_CASES"
"""The environment variable that names the file whose cases the plugin keeps to."""

Judge = Callable[[Sequence[Run], Sequence[Run]], Comparison]
"""Holds the candidate's runs against the baseline's."""

Say = Callable[[str], None]
"""Tells a person a line."""


@dataclass(frozen=True)
class CompletedRun:
    """A run that there is: of which side, what it read, how long it took."""

    side: str
    readings: Run
    seconds: float


class Experiment:
    """One `ab`: measures what is not there yet.

    Args:
        recorder: runs a command into the folder.
        commands: by side, with `{out}` in them.
        limits: what may be spent.
        judge: compares two sides.
        vary: fields of the machine class that may differ.
        say: tells a person a line.
    """

    def __init__(
        self,
        recorder: Recorder,
        commands: Mapping[str, str],
        limits: Limits,
        judge: Judge,
        vary: Collection[str],
        say: Say,
    ) -> None:
        self._recorder, self._commands, self._limits = recorder, commands, limits
        self._judge, self._vary, self._say = judge, vary, say
        self._folder: Folder = recorder.folder
        self._first: list[CompletedRun] = []
        self._fresh: list[CompletedRun] = []
        self._earlier_s = self._folder.spent_s
        self._began = recorder.clock()

    def run(self) -> Comparison:
        """Return the comparison of all runs.

        Raises:
            BreakevenError: a command failed, or the sides do not compare; what was measured stays.
            KeyboardInterrupt: likewise.
        """
        self._say(self._plan())
        self._time_all()
        found = self._judge(*_sides(self._first))
        again = self._settle(found)
        if not again:
            note = f"no case was a suspect after {plural(len(found.baseline), 'pair')}: none was timed again"
            found = replace(found, notes=(*found.notes, note))
        elif not self._limits.allow_a_second_stage(self._pairs):
            note = (
                f"{plural(self._pairs, 'pair')} leave none to time the {plural(len(again), 'suspect')} again"
            )
            found = replace(found, notes=(*found.notes, note))
        else:
            self._time_again(again)
            fresh = self._judge(*([only(run, again) for run in side] for side in _sides(self._fresh)))
            found = merged(found, fresh, again, check_classes(self._readings(), self._vary))
        return replace(found, notes=(*found.notes, *self._folder.warnings, *self._commits()))

    def _time_all(self) -> None:
        settled = self._folder.plan.get("pairs_of_all")
        while self._goes_on_with_all(settled):
            self._time_pair(1, self._first, {})
            if self._pairs == 1 and self._limits.cannot_hold(_pair_s(self._first)):
                self._say(
                    f"the budget does not hold the fewest pairs there can be, {MIN_PAIRS} of all cases and "
                    f"{MIN_PAIRS} of the suspects, in about {duration(2 * MIN_PAIRS * _pair_s(self._first))}: "
                    "they are run all the same"
                )

    def _goes_on_with_all(self, settled: int | None) -> bool:
        if settled is not None:
            return self._pairs < settled
        return self._is_begun(1) or self._limits.another_of_all(
            self._pairs, self._spent_s, _pair_s(self._first)
        )

    def _settle(self, found: Comparison) -> tuple[str, ...]:
        """Return the suspects, the same ones however often the second stage is interrupted."""
        plan = self._folder.plan
        if "suspects" not in plan:
            plan.update(pairs_of_all=self._pairs, suspects=list(suspects(found)))
            self._folder.save()
        return tuple(plan["suspects"])

    def _time_again(self, again: Sequence[str]) -> None:
        path = self._folder.write("suspects.txt", "".join(f"{case}\n" for case in again))
        before = self._pairs
        self._say(f"{plural(len(again), 'suspect')} to time again: {joined(again)}")
        while self._is_begun(2) or self._limits.another_of_suspects(
            self._pairs - before, before, self._spent_s, _pair_s(self._fresh)
        ):
            self._time_pair(2, self._fresh, {CASES: str(path)})

    def _time_pair(self, stage: int, ran: list[CompletedRun], environment: Mapping[str, str]) -> None:
        for _ in range(2):
            now, name = self._next(stage)
            is_new = name not in self._folder.runs
            if is_new:
                what = f"the {now.side}'s command in run {now.number}{self._of()}"
                self._recorder.record(name, what, self._commands[now.side], environment, self._readings())
            ran.append(CompletedRun(now.side, self._folder.read(name), self._folder.runs[name]["seconds"]))
            if is_new:
                self._say(self._progress(now, ran[-1]))
            check_classes(self._readings(), self._vary)  # better told after one pair than after eight

    def _next(self, stage: int) -> tuple[ScheduledRun, str]:
        """Return whose turn it is, and the name of that run."""
        now = turn(len(self._first) + len(self._fresh) + 1)
        return now, f"stage{stage}-{now.number:02}-{now.side}"

    def _is_begun(self, stage: int) -> bool:
        """Return whether a run of the next pair lies there; what was measured counts."""
        return self._next(stage)[1] in self._folder.runs

    def _progress(self, now: ScheduledRun, ran: CompletedRun) -> str:
        pairs = now.number / 2
        # Until suspects were timed they may take as long as all cases.
        left_s = self._limits.left_s(pairs, self._spent_s, _pair_s(self._fresh or self._first))
        at_most = "" if self._fresh else "at most "
        left = f"; {at_most}about {duration(left_s)} left" if left_s > 0 else ""
        return f"run {now.number}{self._of()}: {now.side} (pair {now.pair}), {duration(ran.seconds)}{left}"

    def _of(self) -> str:
        return f" of {2 * self._limits.most}" if self._limits.most is not None else ""

    def _plan(self) -> str:
        """Return what is about to happen."""
        first, most = self._limits.first, self._limits.most
        kept = len(self._folder.runs)
        if kept:
            return (
                f"going on in {self._folder.path}: {plural(kept, 'whole run')} from "
                f"{self._folder.plan['started']} on count; --fresh measures anew"
            )
        by_time = f"as many pairs as {duration(self._limits.budget_s)} hold" if self._limits.budget_s else ""
        by_pairs = f"up to {plural(most, 'pair')}, {2 * most} runs" if most is not None else ""
        then = ", then the suspects alone" if self._limits.allow_a_second_stage(first) else ""
        return (
            f"{', '.join(filter(None, (by_pairs, by_time)))}: {plural(first, 'pair')} of all cases{then}; "
            "the time left is told after each run"
        )

    def _commits(self) -> list[str]:
        """Return a warning for each side that did not stay the same code."""
        found = []
        for side in (BASE, CANDIDATE):
            ids = {ran.readings.commit: None for ran in (*self._first, *self._fresh) if ran.side == side}
            known = [commit[:12] for commit in ids if commit]
            if len(known) > 1:
                found.append(
                    f"the {side}'s runs come from several commits ({joined(known)}): --fresh measures anew"
                )
        return found

    @property
    def _pairs(self) -> int:
        return (len(self._first) + len(self._fresh)) // 2

    @property
    def _spent_s(self) -> float:
        return self._earlier_s + self._recorder.clock() - self._began

    def _readings(self) -> list[Run]:
        return [ran.readings for ran in (*self._first, *self._fresh)]


def _sides(ran: Sequence[CompletedRun]) -> tuple[list[Run], list[Run]]:
    base, candidate = ([run.readings for run in ran if run.side == side] for side in (BASE, CANDIDATE))
    return base, candidate


def _pair_s(ran: Sequence[CompletedRun]) -> float:
    """Return how long a pair takes, as these runs tell; 0 where there are none."""
    return 2 * sum(run.seconds for run in ran) / len(ran) if ran else 0.0
