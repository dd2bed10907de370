"""The one analyzed record: everything a person reads about runs is taken from it.

Owns the path from the frames of `breakeven.runs.reader` to a `Report`. Terminal, markdown, CSV, JSON
and plots only show what stands here, so their numbers cannot disagree. Opens no file and formats nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import pandas as pd

from breakeven.device_names import device_order
from breakeven.report.baseline import find_reference
from breakeven.report.bottleneck import Bounds, bounds
from breakeven.report.break_even import BreakEven, break_evens
from breakeven.report.comparability import RED, Comparability, comparability
from breakeven.report.estimates import KEY, Estimate, estimates
from breakeven.report.phase_sums import Closure, PhaseSum, closures, phase_sums
from breakeven.report.speedup import Speedup, devices_of, references, speedups
from breakeven.report.startup_cost import Payback, paybacks
from breakeven.report.text import Conclusion, conclusions, headline_phase, refusal
from breakeven.report.text_bottleneck import bound_sentences
from breakeven.report.text_variants import variant_sentences
from breakeven.report.text_what_if import flip_sentences
from breakeven.report.throughput import case_facts, efficiency, throughput
from breakeven.report.variants import Variant, variants
from breakeven.report.warnings import disturbed_note, pairing_notes, uncounted_notes, warnings_of
from breakeven.report.what_if import WhatIf, what_ifs
from breakeven.runs.machine import Machine, Names, model_names
from breakeven.runs.reader import Runs, Source

COLUMNS = [
    "machine",
    "workload",
    "axes",
    "batch_size",
    "phase",
    "device",
    "n",
    "median_s",
    "low_s",
    "high_s",
    "speedup",
    "speedup_low",
    "speedup_high",
    "verdict",
    "flags",
]
"""The columns of ``summary.csv``, which stand first in the frame of cases."""

MORE = ["class_id", "runs", "rate", "samples", "peak_memory_bytes"]
"""What the frame of cases has beside them."""


UNSTEADY = "Read all this with care: the machine itself changed while it was measured."

NOT_COMPARABLE = "not_comparable"
"""The flag of a ratio that was formed by force, so that no table can be taken out of its context."""


@dataclass(frozen=True)
class Report:
    """What runs say, ready to be shown.

    `cases` has a row a case and the columns of `COLUMNS` and `MORE`; ``flags`` is a tuple, ``rate`` (FLOP/s
    or B/s) and ``samples`` (samples/s, of `train`) are `breakeven.report.throughput.Rate`, and what is
    unknown is None (the baseline's own rows have neither speedup nor verdict). `outcomes` is that of
    `breakeven.runs.reader.Runs`. `headline` is the phase that the verdict speaks of, None when nothing was
    compared. `axes` gives the object behind each text of axes, `names` how each model is called, also such as
    gave no timing: what tells two apart stands in both. `forced` tells that the comparison is red and was
    asked for all the same; where it is red and was not, there are no speedups. `left_out` says why files were
    not read.
    """

    conclusions: tuple[Conclusion, ...]
    headline: str | None
    cases: pd.DataFrame
    speedups: tuple[Speedup, ...]
    break_evens: tuple[BreakEven, ...]
    what_ifs: tuple[WhatIf, ...]
    flip_sentences: tuple[str, ...]
    paybacks: tuple[Payback, ...]
    bounds: tuple[Bounds, ...]
    bound_sentences: tuple[str, ...]
    variants: tuple[Variant, ...]
    variant_sentences: tuple[str, ...]
    phase_sums: tuple[PhaseSum, ...]
    closures: tuple[Closure, ...]
    comparability: Comparability
    forced: bool
    outcomes: pd.DataFrame
    warnings: tuple[str, ...]
    machines: tuple[Machine, ...]
    sources: tuple[Source, ...]
    axes: Mapping[str, Mapping[str, Any]]
    names: Names
    left_out: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The conclusions as one text."""
        return " ".join(map(str, self.conclusions))

    @property
    def judged(self) -> bool:
        """Whether there was anything to judge: something was timed, and it may be compared."""
        return len(self.cases) > 0 and not self.refused

    @property
    def refused(self) -> bool:
        """Whether no ratio is given, because the comparison is red."""
        return self.comparability.level == RED and not self.forced

    def label(self, class_id: str) -> str:
        """Return the readable label of a machine class."""
        return next(machine.label for machine in self.machines if machine.class_id == class_id)


def analyze(runs: Runs, baseline: str | None = None, *, force: bool = False) -> Report:
    """Return the record of `runs`, each machine class held against its own baseline unless one is named.

    Args:
        runs: as `breakeven.runs.reader.read` returns them.
        baseline: ``DEVICE`` or ``MACHINE/DEVICE`` that the others are held against; METHOD's by default.
        force: form ratios although the comparison is red.

    Raises:
        UsageError: when `baseline` was not measured.
    """
    cases = sorted(estimates(runs.rounds, runs.facts), key=_order)
    devices = devices_of(cases)
    wished = None if baseline is None else find_reference(baseline, runs.machines, devices)
    comparable = comparability(runs.machines, cases, runs.facts, runs.moved)
    refused = comparable.level == RED and not force
    forced = comparable.level == RED and force
    compared = [] if refused else speedups(cases, wished)
    if forced:
        compared = [replace(row, flags=(*row.flags, NOT_COMPARABLE)) for row in compared]
    lines = break_evens(cases, compared, runs.outcomes)
    sums = phase_sums(cases, runs.facts)
    closed = closures(sums)
    repaid = paybacks(cases, compared, runs.facts, _inits(runs.sources))
    bounded = bounds(cases, runs.facts)
    ways = [] if refused else variants(cases, runs.facts, runs.axes)
    changed = what_ifs(cases, lines, runs.outcomes, runs.axes, wished)
    endings = Counter(runs.outcomes["outcome"])
    names = model_names(_models(cases, runs.outcomes), runs.axes)
    if refused:
        found, unpaired = [refusal(comparable)], []
    else:
        unpaired = pairing_notes(runs.machines, cases, references(cases, wished), runs.outcomes)
        found = conclusions(runs.machines, compared, lines, repaid, devices, endings, names)
        care = [UNSTEADY if compared and runs.moved else None, disturbed_note(compared)]
        found[-1] = replace(found[-1], details=(*found[-1].details, *filter(None, care)))
    if forced:
        found = [replace(one, headline=f"NOT COMPARABLE, forced: {one.headline}") for one in found]
    return Report(
        conclusions=tuple(found),
        headline=headline_phase(compared),
        cases=_frame(cases, compared, runs),
        speedups=tuple(compared),
        break_evens=tuple(lines),
        what_ifs=tuple(changed),
        flip_sentences=tuple(flip_sentences(changed, lines, runs.machines, names)),
        paybacks=tuple(repaid),
        bounds=tuple(bounded),
        bound_sentences=tuple(bound_sentences(bounded, runs.machines, names)),
        variants=tuple(ways),
        variant_sentences=tuple(variant_sentences(ways, runs.machines)),
        phase_sums=tuple(sums),
        closures=tuple(closed),
        comparability=comparable,
        forced=forced,
        outcomes=runs.outcomes,
        warnings=(
            *runs.warnings,
            *(f"comparability {reason.level}: {reason.text}" for reason in comparable.reasons),
            *unpaired,
            *warnings_of(runs.machines, cases, lines, closed),
            *uncounted_notes(runs.facts),
        ),
        machines=runs.machines,
        sources=runs.sources,
        axes=runs.axes,
        names=names,
        left_out=runs.left_out,
    )


def _models(cases: Iterable[Estimate], outcomes: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the workload and the axes of all models, timed ones first."""
    known = outcomes.dropna(subset=["workload", "axes"])[["workload", "axes"]]
    return [*((case.workload, case.axes) for case in cases), *known.itertuples(index=False, name=None)]


def _inits(sources: Iterable[Source]) -> dict[tuple[str, str], float]:
    """Return the median over runs of the seconds that initializing each device of each class took."""
    seen: dict[tuple[str, str], list[float]] = {}
    for source in sources:
        for device, init_s in source.device_init_s.items():
            seen.setdefault((source.class_id, device), []).append(init_s)
    return {key: float(median(values)) for key, values in seen.items()}


def _order(case: Estimate) -> tuple[object, ...]:
    """Lines stay together, the batch sizes ascend, and the devices stand in one order everywhere."""
    return (
        case.class_id,
        case.workload,
        _natural(case.axes),
        case.phase,
        case.batch_size,
        device_order(case.device),
    )


def _natural(axes: str) -> list[tuple[str, float, str]]:
    """Sort key of axes: width=64 before width=512."""
    key = []
    for part in axes.split(" "):
        name, _, value = part.partition("=")
        number = value.lstrip("-")
        is_number = number.replace(".", "", 1).isdecimal() and number.isascii()
        key.append((name, float(value) if is_number else 0.0, value))
    return key


def _frame(cases: Iterable[Estimate], compared: Iterable[Speedup], runs: Runs) -> pd.DataFrame:
    label = {machine.class_id: machine.label for machine in runs.machines}
    found = {(r.class_id, r.workload, r.axes, r.batch_size, r.phase, r.candidate): r for r in compared}
    known = case_facts(runs.facts, ("flops", "moved_bytes", "peak_memory_bytes"))
    rows = []
    for case in cases:
        key = tuple(getattr(case, name) for name in KEY)
        row, facts = found.get(key), known.get(key, {})
        ratio = (row.speedup, row.low, row.high, row.verdict) if row else (None, None, None, None)
        peak = facts.get("peak_memory_bytes")
        rows.append(
            (
                label[case.class_id],
                case.workload,
                case.axes,
                case.batch_size,
                case.phase,
                case.device,
                case.n,
                case.median_s,
                case.low_s,
                case.high_s,
                *ratio,
                (*case.flags, NOT_COMPARABLE) if row and NOT_COMPARABLE in row.flags else case.flags,
                case.class_id,
                case.runs,
                efficiency(case, facts),
                throughput(case),
                None if peak is None else int(peak),
            )
        )
    return pd.DataFrame(rows, columns=[*COLUMNS, *MORE], dtype=object)
