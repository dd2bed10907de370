"""The data of figures: identities of a report's rows, the models to show, and their names.

Other modules identify a row of the report by `key_of` and `baseline_of` only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from breakeven import format as fmt
from breakeven.case import Axes, CaseKey, Line, Model, Outcome, axes_words
from breakeven.grouping import grouped
from breakeven.phases import COMPARED
from breakeven.render.figures.style import LineStyle, device_styles, line_styles
from breakeven.report.break_even import BreakEven
from breakeven.report.case_rows import CaseRow
from breakeven.report.phase_sums import PhaseSum
from breakeven.report.report import Report
from breakeven.report.speedup import Speedup


class PanelModel(NamedTuple):
    """The model in a panel: a workload with its axes, on one machine class."""

    machine: str
    workload: str
    axes: Axes


class RowKey(NamedTuple):
    """The identity of a row of the report; the device of a comparison is the candidate."""

    model: PanelModel
    phase: str
    device: str


Row = CaseRow | Speedup | BreakEven | PhaseSum | Outcome


def key_of(row: Row) -> RowKey:
    """Return the identity of a row of the report."""
    return _row_key(row.candidate if isinstance(row, Speedup | BreakEven) else _known(row.key))


def batch_of(row: CaseRow | Speedup | PhaseSum | Outcome) -> int:
    """Return the batch size of a row of the report."""
    return row.batch_size if isinstance(row, Speedup) else _known(row.key).batch_size


def baseline_of(row: Speedup | BreakEven) -> RowKey:
    """Return the identity of a row's baseline."""
    return _row_key(row.baseline)


def main_phase(report: Report) -> str | None:
    """Return the phase for figures of one phase: the headline, or the first that was timed."""
    if report.headline is not None:
        return report.headline
    timed = list(dict.fromkeys(line.phase for line in report.lines))
    return next((str(phase) for phase in (*COMPARED, *timed) if phase in timed), None)


def cases_by_model(report: Report, phase: str | None) -> dict[PanelModel, list[CaseRow]]:
    """Return the timed cases of a phase by model, in the order of the report, without those set apart."""
    rows = [row for row in report.rows if row.key.phase == phase]
    return grouped((key_of(row).model, row) for row in rows if row.key.model not in report.scaling.apart)


def untimed_cases(report: Report, phase: str | None) -> Iterator[Outcome]:
    """Yield the cases of a phase that ended without a timing and whose identity is known."""
    yield from (row for row in report.outcomes if row.key is not None and row.key.phase == phase)


def report_models(report: Report) -> list[PanelModel]:
    """Return every model with a timing, in the order of the report."""
    return list(dict.fromkeys(_row_key(line).model for line in report.lines))


def report_styles(report: Report) -> dict[str, tuple[str, str]]:
    """Return the color and the marker of each device of the report."""
    return device_styles(line.device for line in report.lines)


def machine_styles(report: Report) -> dict[tuple[str, str], LineStyle]:
    """Return the style of each (machine, device) of the report."""
    return line_styles((line.machine, line.device) for line in report.lines)


def _known(key: CaseKey | None) -> CaseKey:
    assert key is not None, "outcomes without an identity are not shown"
    return key


def _row_key(key: CaseKey | Line) -> RowKey:
    return RowKey(PanelModel(key.machine, key.model.workload, key.model.axes), key.phase, key.device)


def select_models(models: Iterable[PanelModel], limit: int) -> list[PanelModel]:
    """Return at most `limit` models in their order, the same on every machine and from many workloads.

    >>> models = [PanelModel("box", work, Axes({"w": w})) for work in ("cnn", "mlp") for w in (1, 2)]
    >>> [model.workload for model in select_models(models, 2)]
    ['cnn', 'mlp']
    """
    every = list(dict.fromkeys(models))
    if len(every) <= limit:
        return every
    machines = len({model.machine for model in every})
    picked = _picked_models(every, max(1, limit // machines))
    return [model for model in every if (model.workload, model.axes) in picked][:limit]


def _picked_models(models: Sequence[PanelModel], count: int) -> set[tuple[str, Axes]]:
    """Return `count` workloads with axes: workloads alternate, and models on the most machines come first."""
    machines = Counter((model.workload, model.axes) for model in models)
    order = {key: place for place, key in enumerate(machines)}
    turns: Counter[str] = Counter()
    picked: set[tuple[str, Axes]] = set()
    while len(picked) < min(count, len(machines)):
        best = min(machines.keys() - picked, key=lambda key: (turns[key[0]], -machines[key], order[key]))
        picked.add(best)
        turns[best[0]] += 1
    return picked


class PanelNames:
    """Short names of the models of one report, with only the axes that differ within a workload."""

    def __init__(self, report: Report) -> None:
        models = report_models(report)
        self._names = report.names
        self._machines = {machine.class_id: machine.label for machine in report.machines}
        self._has_several_machines = len({model.machine for model in models}) > 1
        axes = grouped((model.workload, model.axes) for model in models)
        self._varying = {workload: _varying_keys(found) for workload, found in axes.items()}

    def machine(self, model: PanelModel) -> str:
        """Return the machine's label if there are several machines."""
        return self._machines[model.machine] if self._has_several_machines else ""

    def lines(self, model: PanelModel) -> list[str]:
        """Return the title of a panel, line by line."""
        return [model.workload, *filter(None, (self.axes(model), self.machine(model)))]

    def axes(self, model: PanelModel) -> str:
        """Return the axes that differ within the workload, all of them where none does."""
        return axes_words(self.varying_axes(model) or model.axes)

    def label(self, model: PanelModel) -> str:
        """Return the axis that differs within the workload, or the values of several, for a line's label."""
        varying = self.varying_axes(model)
        return axes_words(varying) if len(varying) == 1 else self.values(model)

    def values(self, model: PanelModel) -> str:
        """Return the values of the axes that differ; with names where a value says nothing without one."""
        texts = [axes_words({key: value}) for key, value in self.varying_axes(model).items()]
        switches = ("=True", "=False", "=None")
        return " ".join(text if text.endswith(switches) else text.partition("=")[2] or text for text in texts)

    def sentence(self, model: PanelModel) -> str:
        """Return the name of the model in a sentence."""
        name, machine = self._names[Model(model.workload, model.axes)], self.machine(model)
        return fmt.one_line(f"{name} on {machine}" if machine else name)

    def varying_axes(self, model: PanelModel) -> dict[str, Any]:
        """Return the axes that differ between models of this workload; empty where it has one model."""
        axes = model.axes
        return {key: axes[key] for key in sorted(axes) if key in self._varying[model.workload]}


def _varying_keys(several: Sequence[Mapping[str, Any]]) -> set[str]:
    texts = [{key: axes_words({key: value}) for key, value in axes.items()} for axes in several]
    keys = {key for of_one in texts for key in of_one}
    return {key for key in keys if len({of_one.get(key) for of_one in texts}) > 1}
