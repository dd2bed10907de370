"""The prediction of a run that was measured on a CPU: its cells and break-evens on other machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from breakeven.case import CaseKey, Cell, Model
from breakeven.device_names import choose_baseline, is_cpu
from breakeven.errors import UsageError
from breakeven.flags import disturbance
from breakeven.format import joined, one_line, plural
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.predict.break_even import PredictedBreakEven, break_evens
from breakeven.predict.cards import Card
from breakeven.predict.cells import PredictedCell, predict_cell
from breakeven.predict.costs import HourlyPrices, TrainingCost, prices_of, trainings
from breakeven.predict.rent import Rent, rents
from breakeven.predict.text import baseline_name, verdict_text, widened_warnings
from breakeven.predict.work import CellCounts, Work
from breakeven.report.baseline import Baseline, find_baseline
from breakeven.report.estimates import Estimate
from breakeven.report.money import Price
from breakeven.report.processes import one_process_sentences
from breakeven.report.report import Report
from breakeven.report.speedup import devices_of
from breakeven.report.text import ModelNames, model_names
from breakeven.report.trust import distrust, disturbances
from breakeven.runs.look import busy_lines
from breakeven.runs.machine import Machine
from breakeven.runs.schema import CaseFacts

_NO_TIME = "its time on {device} is 0: too short for the clock"
_MEASURE = "pytest bench --breakeven-devices=cpu --breakeven-phases=train --benchmark-json=FILE"


@dataclass(frozen=True)
class NotPredicted:
    """Batch sizes of models that no card predicts, for the same reason."""

    models: tuple[Model, ...]
    batches: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Predictions:
    """What is predicted of a run, ready to be rendered.

    - `machine`, `baseline`: what was measured, and the CPU that all is compared with
    - `break_evens_usd`: in dollars, None without prices
    - `trainings`: None without a number of steps
    - `rents`: what settles it, nothing where the run itself must be measured again
    - `distrust`: why it must, empty if the run can be relied on
    """

    cards: tuple[Card, ...]
    machine: Machine
    baseline: Baseline
    names: ModelNames
    cells: tuple[PredictedCell, ...]
    break_evens: tuple[PredictedBreakEven, ...]
    prices: HourlyPrices
    break_evens_usd: tuple[PredictedBreakEven, ...] | None
    steps: int | None
    trainings: tuple[TrainingCost, ...] | None
    rents: tuple[Rent, ...]
    not_predicted: tuple[NotPredicted, ...]
    warnings: tuple[str, ...]
    distrust: str = ""

    @cached_property
    def verdict(self) -> str:
        """The answer, at most two lines."""
        return verdict_text(self)

    @property
    def baseline_name(self) -> str:
        """The measured CPU in a sentence."""
        return baseline_name(self.baseline.device)


def predict(
    report: Report,
    counts: CellCounts,
    cards: Sequence[Card],
    *,
    prices: Sequence[Price] = (),
    steps: int | None = None,
    baseline: str | None = None,
    pytest: Sequence[str] = ("bench",),
    warnings: Sequence[str] = (),
) -> Predictions:
    """Return the prediction of the training steps that a run measured on a CPU.

    Args:
        report: the analysis of the run.
        counts: of the cells' training steps.
        cards: of the machines to predict, each with a name of its own.
        prices: of the baseline's device and of cards, by name.
        steps: of a training, whose hours are wanted.
        baseline: ``DEVICE`` or ``MACHINE/DEVICE``, by default the CPU that an accelerator is compared with.
        pytest: the benchmarks and the options that collect the cells, for the commands to run.
        warnings: of the reader of the run.

    Raises:
        UsageError: no training step was timed on the baseline, or a price names nothing that is here.
    """
    against, machine = _baseline(report, baseline)
    place = (machine.class_id, against.device, HEADLINE)
    timed = [row.estimate for row in report.rows if _place(row.key) == place]
    usd = prices_of(prices, machine, against, cards)
    cells, missing = _cells(timed, counts, cards)
    ended = [one.key.cell for one in report.outcomes if one.key is not None and _place(one.key) == place]
    holes = _holes([*ended, *missing])
    lines = break_evens(cells, holes)
    disturbed = disturbances(report.runs, HEADLINE)
    return Predictions(
        cards=tuple(cards),
        machine=machine,
        baseline=against,
        names=model_names(base.key.model for base in timed),
        cells=tuple(cells),
        break_evens=tuple(lines),
        prices=usd,
        break_evens_usd=tuple(break_evens(cells, holes, _ratio(usd, against.device))) if prices else None,
        steps=steps,
        trainings=None if steps is None else tuple(trainings(cells, steps, usd)),
        rents=() if disturbed else tuple(rents(cards, lines, pytest)),
        not_predicted=tuple(_not_predicted(missing)),
        warnings=(
            *warnings,
            *(line for run in report.runs for line in busy_lines(run)),
            *one_process_sentences([machine], timed, report.widened),
            *_disturbed(timed),
            *_untimed(ended, against),
            *widened_warnings(cells),
            *(_unpriced(usd, against, cards) if prices else ()),
        ),
        distrust=distrust(disturbed, report.runs) if disturbed else "",
    )


def _place(key: CaseKey) -> tuple[str, str, str]:
    return key.machine, key.device, key.phase


def _baseline(report: Report, asked: str | None) -> tuple[Baseline, Machine]:
    """Return the measured CPU that all is compared with, and its machine."""
    cases = [row.estimate for row in report.rows]
    steps = [case for case in cases if case.key.phase == HEADLINE and is_cpu(case.key.device)]
    devices = devices_of(steps)
    if not devices:
        timed = sorted({f"{case.key.phase} on {case.key.device}" for case in cases})
        raise UsageError(
            f"{one_line(report.runs[0].path, 300)}: no training step was timed on a CPU (timed: "
            f"{joined(timed) or 'nothing'}), and a CPU is never predicted; measure it with `{_MEASURE}`"
        )
    found = None if asked is None else find_baseline(asked, report.machines, devices)
    if found is not None and found.machine is not None:
        places = [(found.machine, found.device)]
    else:
        known = {one.class_id: devices[one.class_id] for one in report.machines if one.class_id in devices}
        chosen = {home: _chosen(names, found) for home, names in known.items()}
        places = [(home, device) for home, device in chosen.items() if device in known[home]]
    labels = report.labels
    if len(places) > 1:
        here = "; ".join(f"{labels[home]}/{device}" for home, device in places)
        raise UsageError(
            f"the CPUs of {len(places)} machines were measured, and a prediction is compared with one; name "
            f"it with --baseline MACHINE/DEVICE, one of {one_line(here, 400)}"
        )
    home, device = places[0]
    return Baseline(device, home), next(one for one in report.machines if one.class_id == home)


def _chosen(names: Sequence[str], asked: Baseline | None) -> str | None:
    """Return the CPU of a machine that an accelerator is compared with, unless another one is asked for."""
    return choose_baseline([*names, "cuda"]) if asked is None else asked.device


def _cells(
    timed: Iterable[Estimate], counts: CellCounts, cards: Sequence[Card]
) -> tuple[list[PredictedCell], dict[Cell, str]]:
    """Return the predicted cells, by model, card and batch size, and why others are not predicted."""
    found: dict[tuple[Model, str], list[PredictedCell]] = {}
    missing: dict[Cell, str] = {}
    for base in timed:
        facts = counts.of.get(base.key.cell, CaseFacts())
        work = Work.of(facts)
        if work is None:
            why = counts.unknown.get(base.key.cell) or facts.operators_unknown
            missing[base.key.cell] = why or "its training step was not counted"
        elif base.median_s <= 0:
            missing[base.key.cell] = _NO_TIME.format(device=base.key.device)
        else:
            for card in cards:
                line = found.setdefault((base.key.model, card.name), [])
                line.append(predict_cell(card, work, base))
    return [one for line in found.values() for one in line], missing


def _holes(cells: Iterable[Cell]) -> Mapping[Model, Sequence[int]]:
    """Return the batch sizes of each model that were not timed, or are not predicted."""
    return {
        model: sorted(set(sizes))
        for model, sizes in grouped((one.model, one.batch_size) for one in cells).items()
    }


def _not_predicted(missing: Mapping[Cell, str]) -> Iterator[NotPredicted]:
    reasons = grouped(((cell.model, why), cell.batch_size) for cell, why in missing.items())
    alike = grouped(((why, tuple(sorted(batches))), model) for (model, why), batches in reasons.items())
    for (why, batches), models in alike.items():
        yield NotPredicted(tuple(models), batches, why)


def _ratio(usd: HourlyPrices, device: str) -> Callable[[str], float | None]:
    """Return by what a machine's times are multiplied to be compared in dollars, None without both prices."""
    return lambda name: usd[name] / usd[device] if name in usd and device in usd else None


def _disturbed(timed: Sequence[Estimate]) -> Iterator[str]:
    flags = Counter(flag for base in timed for flag in base.flags if disturbance([flag]) > 1)
    count = sum(disturbance(base.flags) > 1 for base in timed)
    if count:
        yield (
            f"{count:,} of {plural(len(timed), 'measured time')} {'was' if count == 1 else 'were'} disturbed "
            f"({joined(list(flags))}), and so are their predicted speedups; `breakeven report` has the causes"
        )


def _untimed(ended: Collection[Cell], against: Baseline) -> Iterator[str]:
    if ended:
        were = "was" if len(ended) == 1 else "were"
        yield f"{plural(len(ended), 'cell')} {were} not timed on {against.device}, and cannot be compared"


def _unpriced(usd: HourlyPrices, against: Baseline, cards: Iterable[Card]) -> Iterator[str]:
    without = [name for name in (against.device, *(card.name for card in cards)) if name not in usd]
    if without:
        yield f"no dollars for {joined(without)}: without a price; add --price {without[0]}=USD/h"
