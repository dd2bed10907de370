"""A map of batch sizes and one numeric axis: the color of a cell shows which device is faster.

A block is one candidate, baseline, workload and machine; its rows are models, its columns batch sizes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.device_names import is_cpu
from breakeven.grouping import grouped
from breakeven.render.figures.drawing import Drawing, and_list
from breakeven.render.figures.map_blocks import UNDECIDED, BlockView, MapCell, draw_blocks
from breakeven.render.figures.models import (
    PanelModel,
    PanelNames,
    RowKey,
    baseline_of,
    batch_of,
    key_of,
    select_models,
    untimed_cases,
)
from breakeven.render.figures.panels import HALF
from breakeven.report.report import Report
from breakeven.report.speedup import DeviceVerdict

MAX_ROWS = 48

_OUTCOMES = {"oom": "out of memory", "skipped": "skipped"}  # all others are failures


class Side(NamedTuple):
    """A device on a machine."""

    machine: str
    device: str


@dataclass(frozen=True)
class Block:
    """Cells of one candidate over one baseline, by model and batch size."""

    baseline: Side
    candidate: Side
    rows: dict[PanelModel, dict[int, MapCell]]


def _blocks(report: Report) -> list[Block]:
    """Return a block for each machine, workload, candidate and baseline, accelerators first."""
    untimed: dict[RowKey, dict[int, MapCell]] = {}
    for outcome in untimed_cases(report, report.headline):
        cell = MapCell(None, _OUTCOMES.get(outcome.outcome, "failed"))
        untimed.setdefault(key_of(outcome), {})[batch_of(outcome)] = cell
    blocks: dict[tuple[object, ...], Block] = {}
    for row in report.speedups:
        key, base = key_of(row), baseline_of(row)
        if key.phase == report.headline:
            sides = Side(base.model.machine, base.device), Side(key.model.machine, key.device)
            rows = blocks.setdefault((key.model.workload, *sides), Block(*sides, {})).rows
            if key.model not in rows:
                rows[key.model] = untimed.get(base, {}) | untimed.get(key, {})
            rows[key.model][batch_of(row)] = MapCell(row.speedup, row.verdict)
    found = (_sorted(block) for block in blocks.values() if _is_map(block))
    return sorted(found, key=lambda block: is_cpu(block.candidate.device))


def _numeric_axes(block: Block) -> list[str]:
    """Return the axes with several values, all of them numbers."""
    values = grouped((name, model.axes[name]) for model in block.rows for name in model.axes)
    return [
        name
        for name, found in values.items()
        if len(set(map(repr, found))) > 1
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)
    ]


def _is_map(block: Block) -> bool:
    """Return whether there are two numeric axes: the batch size and one of the models'."""
    return bool(_numeric_axes(block)) and len({batch for cells in block.rows.values() for batch in cells}) > 1


def _sorted(block: Block) -> Block:
    """Return the block with its rows by ascending numbers within the same other axes."""
    numeric = _numeric_axes(block)
    rows = sorted(
        block.rows.items(),
        key=lambda row: (row[0].axes.without(numeric).text, [row[0].axes.get(name, 0) for name in numeric]),
    )
    return replace(block, rows=dict(rows))


def _plot(report: Report, every: Sequence[Block]) -> Figure:
    blocks, missing = _cut(every)
    names = PanelNames(report)
    return draw_blocks(report, [_view(report, names, block) for block in blocks], missing)


def _cut(blocks: Sequence[Block]) -> tuple[list[Block], int]:
    """Return blocks with at most `MAX_ROWS` rows together, and the number of omitted models."""
    models = list(dict.fromkeys(model for block in blocks for model in block.rows))
    per_model = max(1, round(sum(len(block.rows) for block in blocks) / len(models)))
    shown = set(select_models(models, max(1, MAX_ROWS // per_model)))
    kept = [
        replace(block, rows={model: cells for model, cells in block.rows.items() if model in shown})
        for block in blocks
    ]
    return [block for block in kept if block.rows][:MAX_ROWS], len(models) - len(shown)


def _view(report: Report, names: PanelNames, block: Block) -> BlockView:
    first, *_ = block.rows
    constant = first.axes.without(names.varying_axes(first)).text
    return BlockView(
        workload=first.workload,
        axes=", ".join(filter(None, (constant, names.machine(first)))),
        corner=", ".join(names.varying_axes(first)),
        baseline=(_name(report, block.baseline), block.baseline.device),
        candidate=(_name(report, block.candidate), block.candidate.device),
        rows=[(names.values(model), cells) for model, cells in block.rows.items()],
    )


def _name(report: Report, side: Side) -> str:
    """Return the device, with its machine if there are several."""
    if len(report.machines) == 1:
        return side.device
    return f"{side.device} on {fmt.shortened(report.labels[side.machine], 24)}"


def _text(report: Report, blocks: Sequence[Block]) -> str:
    """Count the cells each device wins, and name the extremes."""
    verdicts: dict[tuple[str, str], Counter[str]] = {}
    timed = []
    for block in blocks:
        sides = _name(report, block.candidate), _name(report, block.baseline)
        for model, cells in block.rows.items():
            verdicts.setdefault(sides, Counter()).update(cell.verdict for cell in cells.values())
            timed += [(cell.speedup, sides[0], b, model) for b, cell in cells.items() if cell.speedup]
    counts = and_list([_counts(*sides, counted) for sides, counted in verdicts.items()])
    text = f"Map of the speedup of {fmt.plural(len({cell[-1] for cell in timed}), 'model')}: {counts}."
    if not timed:
        return text
    lowest, highest = (_extreme(report, pick(timed, key=lambda cell: cell[0])) for pick in (min, max))
    return f"{text} The speedups range from {lowest} to {highest}."


def _extreme(report: Report, cell: tuple[float, str, int, PanelModel]) -> str:
    speedup, candidate, batch, model = cell
    return f"{fmt.ratio(speedup)} ({candidate}, batch {batch:,}, {PanelNames(report).sentence(model)})"


def _counts(candidate: str, baseline: str, counted: Counter[str]) -> str:
    cells = fmt.plural(sum(counted[word] for word in DeviceVerdict), "cell")
    rest: Iterable[str] = (DeviceVerdict.SLOWER, DeviceVerdict.SAME, UNDECIDED)
    parts = [f"{counted[word]} {word}" for word in rest if counted[word]]
    return ", ".join([f"{candidate} is faster than {baseline} in {counted['faster']} of {cells}", *parts])


SPEEDUP_MAP = Drawing(
    "Map of speedups",
    "Cells have the color of the faster device, darker the more it is; a heavy line is where that changes.",
    _blocks,
    _plot,
    _text,
    HALF,
)
