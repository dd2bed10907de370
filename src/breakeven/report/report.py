"""The analyzed report, which terminal, page, markdown, CSV, JSON and figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from breakeven.case import CaseKey, Line, Model, Outcome
from breakeven.flags import Flag
from breakeven.phases import HEADLINE, Phase
from breakeven.report.answer import Answer, answer
from breakeven.report.baseline import find_baseline
from breakeven.report.best_against_best import BetterBaseline, better_baselines, fastest_lines
from breakeven.report.bottleneck import Bottleneck, bottlenecks
from breakeven.report.break_even import BreakEven, break_evens
from breakeven.report.case_rows import CaseRow, row_order
from breakeven.report.changes import ChangeRow, changes
from breakeven.report.chart import Chart, chart
from breakeven.report.comparability import Comparability, ComparabilityLevel, comparability
from breakeven.report.details import (
    bottleneck_sentences,
    variant_sentences,
    waiting_sentences,
)
from breakeven.report.estimates import estimates
from breakeven.report.ignored_batches import ignored_batch_warnings
from breakeven.report.loading import Loading, loadings
from breakeven.report.loading_text import loading_sentences
from breakeven.report.money import InDollars, Money, Worth, at_worth, find_prices, in_dollars, unpriced
from breakeven.report.phase_sums import PhaseSum, Residual, phase_sums, residuals
from breakeven.report.processes import interval_scope
from breakeven.report.processes_needed import ProcessesNeeded, needed_for
from breakeven.report.scaling import Scaling, against_one, scaling_rows, set_apart, without_groups_of_one
from breakeven.report.scaling_text import scaling_sentences
from breakeven.report.speedup import Speedup, baselines, devices_of, speedups
from breakeven.report.startup_cost import Payback, paybacks
from breakeven.report.step_work import step_sentences, work_warnings
from breakeven.report.sustained import sustained_sentences
from breakeven.report.text import headline_lines, headline_phase, model_names
from breakeven.report.variant_timings import VariantTimings
from breakeven.report.variants import Variant, variants
from breakeven.report.waiting import waiting_costs
from breakeven.report.warnings import (
    pairing_warnings,
    uncounted_warnings,
    waiting_warnings,
    warnings_of,
)
from breakeven.report.what_if import counterparts, what_ifs
from breakeven.runs.look import busy_lines
from breakeven.runs.machine import Machine
from breakeven.runs.reader import Runs
from breakeven.runs.schema import Run

if TYPE_CHECKING:
    import pandas as pd

NO_MONEY = Money()


@dataclass(frozen=True)
class Report:
    """The analysis of runs, ready to be rendered.

    - `headline`: the phase of the verdict, None if nothing was compared
    - `processes_needed`: would decide what the verdict leaves open, None where that is nothing
    - `names`: the name of each model, also of those without a timing
    - `forced`: whether the comparison is red but was forced; red and not forced, it has no speedups
    - `changes`: what would change the verdict
    - `loadings`: what bounds the epochs of workloads with a loader
    - `better_baselines`: the lines of the headline whose baseline is faster in another variant, by candidate
    - `scaling`: what there is to say of devices of several processes
    - `in_dollars`, `worth`: None without prices, and without another threshold
    - `left_out`: the reason for each file that was not read
    - `widened`: the class ids of the machines whose noise floor widened the intervals of one process
    """

    runs: tuple[Run, ...]
    machines: tuple[Machine, ...]
    rows: tuple[CaseRow, ...]
    outcomes: tuple[Outcome, ...]
    speedups: tuple[Speedup, ...]
    break_evens: tuple[BreakEven, ...]
    changes: tuple[ChangeRow, ...]
    better_baselines: Mapping[Line, BetterBaseline]
    in_dollars: InDollars | None
    worth: Worth | None
    paybacks: tuple[Payback, ...]
    bottlenecks: tuple[Bottleneck, ...]
    variants: tuple[Variant, ...]
    phase_sums: tuple[PhaseSum, ...]
    loadings: tuple[Loading, ...]
    residuals: tuple[Residual, ...]
    comparability: Comparability
    forced: bool
    headline: str | None
    processes_needed: ProcessesNeeded | None
    names: Mapping[Model, str]
    chart: Chart
    scaling: Scaling
    bottleneck_sentences: tuple[str, ...]
    loading_sentences: tuple[str, ...]
    step_sentences: tuple[str, ...]
    variant_sentences: tuple[str, ...]
    sustained_sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]
    widened: frozenset[str] = frozenset()

    @cached_property
    def answer(self) -> Answer:
        """What a person would say after reading the report."""
        return answer(self)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The lines of the cases, in the order of the rows."""
        return tuple(dict.fromkeys(row.key.line for row in self.rows))

    @property
    def verdict(self) -> str:
        """The answer as one text, of at most two lines."""
        return self.answer.text

    @property
    def judged(self) -> bool:
        """Whether anything could be judged: something was timed and may be compared."""
        return len(self.rows) > 0 and not self.refused

    @property
    def refused(self) -> bool:
        """Whether there are no ratios because the comparison is red."""
        return self.comparability.level is ComparabilityLevel.RED and not self.forced

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The readable label of each machine class, by class id."""
        return {machine.class_id: machine.label for machine in self.machines}

    def interval_scope(self, phase: str | None = None) -> str:
        """Return what the intervals of a phase, or of all, cover, as a phrase after "interval"."""
        return interval_scope(row.estimate for row in self.rows if phase in (None, row.key.phase))

    @cached_property
    def cases(self) -> pd.DataFrame:
        """A frame with one row per case and the columns of `breakeven.report.frame.COLUMNS`."""
        from breakeven.report.frame import cases

        return cases(self.rows, self.labels)


def analyze(
    runs: Runs,
    baseline: str | None = None,
    *,
    force: bool = False,
    floor_sd: Mapping[CaseKey, float] = MappingProxyType({}),
    money: Money = NO_MONEY,
) -> Report:
    """Return the report on `runs`, each machine class compared with its own baseline unless one is named.

    Args:
        runs: as `breakeven.runs.reader.read` returns them.
        baseline: ``DEVICE`` or ``MACHINE/DEVICE`` that the others are compared with.
        force: compute ratios although the comparison is red.
        floor_sd: the standard deviation of a case's log median from process to process, where a noise
            floor of the machine records it; it widens the intervals of one process.
        money: the prices of devices, and how many times faster is worth it.

    Raises:
        UsageError: `baseline` or a device with a price was not measured.
    """
    unordered = estimates(runs.runs, floor_sd)
    every = sorted(unordered, key=row_order)
    apart = set_apart(every)
    cases = [case for case in every if case.key.model not in apart]
    outcomes = tuple(outcome for run in runs.runs for outcome in run.outcomes)
    devices = devices_of(every)
    asked = None if baseline is None else find_baseline(baseline, runs.machines, devices)
    against = baselines(cases, asked)
    comparable = comparability(runs.machines, every, runs.runs, runs.moved)
    is_red = comparable.level is ComparabilityLevel.RED
    refused, forced = is_red and not force, is_red and force
    compared = [] if refused else speedups(cases, against)
    if forced:
        compared = [replace(row, flags=(*row.flags, Flag.NOT_COMPARABLE)) for row in compared]
    lines = break_evens(cases, without_groups_of_one(compared, devices), outcomes)
    members = [] if refused else against_one(cases, compared, outcomes)
    sums = phase_sums(cases)
    missed = residuals(sums)
    paid_back = paybacks(every, compared, runs.runs)
    bounds = bottlenecks(cases)
    ways = [] if refused else variants(cases, [case.key.model for case in unordered])
    loaded = loadings(cases, runs.machines)
    ended = [outcome.key.model for outcome in outcomes if outcome.key is not None]
    names = model_names([*(case.key.model for case in every), *ended])
    headline = headline_phase(compared)
    main = headline_lines(runs.machines, lines, headline)
    prices = find_prices(money.prices, runs.machines, devices)
    dollars = in_dollars(prices, cases, lines, outcomes) if money.prices else None
    worth = at_worth(money.worth, cases, lines, outcomes) if money.worth is not None else None
    ways_timed = VariantTimings.of(runs.runs, unordered, headline, floor_sd)
    better = better_baselines(ways_timed, runs.runs, main)
    marks = {candidate: one.text for candidate, one in better.items()}
    changed = [
        *fastest_lines(ways_timed, runs.runs, main, outcomes),
        *what_ifs(cases, main, lines, marks, outcomes, asked),
        *(counterparts(dollars.text, main, dollars.break_evens) if dollars else ()),
        *(counterparts(worth.text, main, worth.break_evens) if worth else ()),
    ]
    slow = {candidate for candidate, one in better.items() if one.is_variant}
    inference = headline_lines(runs.machines, lines, Phase.INFER) if headline == HEADLINE else []
    decided = [line for line in main if line.candidate not in slow] or main
    needed = needed_for([*decided, *inference], cases)
    unpaired = [] if refused else pairing_warnings(runs.machines, cases, against, outcomes)
    by_candidate = {row.candidate: row for row in compared}
    labels = {one.class_id: one.label for one in runs.machines}
    rows = [] if refused else scaling_rows(every)
    return Report(
        runs=runs.runs,
        machines=runs.machines,
        rows=tuple(CaseRow(case.without_draws, by_candidate.get(case.key)) for case in every),
        outcomes=outcomes,
        speedups=tuple(compared),
        break_evens=tuple(lines),
        changes=tuple(changes(changed, main, names)),
        better_baselines=better,
        in_dollars=dollars,
        worth=worth,
        paybacks=tuple(paid_back),
        bottlenecks=tuple(bounds),
        variants=tuple(ways),
        phase_sums=tuple(sums),
        loadings=tuple(loaded),
        residuals=tuple(missed),
        comparability=comparable,
        forced=forced,
        headline=headline,
        processes_needed=needed,
        names=names,
        chart=chart(main, outcomes, labels, names, marks),
        scaling=Scaling(
            tuple(rows),
            tuple(members),
            chart(headline_lines(runs.machines, members, headline), outcomes, labels, names),
            apart,
            tuple(scaling_sentences(rows, runs.machines, names)),
        ),
        bottleneck_sentences=(
            *bottleneck_sentences(bounds, runs.machines, names),
            *waiting_sentences(waiting_costs(cases), runs.machines, names),
        ),
        loading_sentences=tuple(loading_sentences(loaded, compared, runs.machines, names)),
        step_sentences=tuple(step_sentences(every, runs.machines, names)),
        variant_sentences=tuple(variant_sentences(ways, runs.machines)),
        sustained_sentences=tuple(sustained_sentences(every, runs.machines, names)),
        warnings=(
            *(line for run in runs.runs for line in busy_lines(run)),
            *(f"comparability {reason.level}: {reason.text}" for reason in comparable.reasons),
            *warnings_of(runs.machines, runs.runs, every, [*lines, *members], missed),
            *unpaired,
            *work_warnings(compared, every),
            *waiting_warnings(runs.machines, runs.runs),
            *ignored_batch_warnings((case.key, case.facts.batch_bytes) for case in cases),
            *uncounted_warnings(runs.runs),
            *(unpriced(prices, runs.machines, devices) if money.prices else ()),
            *runs.warnings,
        ),
        left_out=runs.left_out,
        widened=frozenset(key.machine for key, log_sd in floor_sd.items() if log_sd),
    )
