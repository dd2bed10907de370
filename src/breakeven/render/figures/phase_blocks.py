"""The bars of phases to draw, and their places: models in rows of three columns, one for each batch size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from breakeven import format as fmt
from breakeven.device_names import device_order
from breakeven.grouping import grouped
from breakeven.render.figures.models import PanelModel, batch_of, key_of
from breakeven.report.bound import Bound
from breakeven.report.phase_sums import PhaseSum
from breakeven.report.report import Report

TITLE, LINE, BAR, GAP = 0.2, 0.18, 0.13, 0.06  # inches
_SLOT = LINE + BAR + GAP
_COLUMNS, _CHARACTERS = 3, 25  # and how many characters of a title fit into a column

Sums = dict[PanelModel, dict[int, list[PhaseSum]]]


@dataclass(frozen=True)
class Block:
    """The bars of one model: its batch sizes with the phase sums of each device."""

    model: PanelModel
    title: tuple[str, str]
    batches: Mapping[int, Mapping[str, PhaseSum]]
    devices: Sequence[str]
    near: int | None

    @property
    def width(self) -> int:
        """Columns, enough for its title."""
        return min(_COLUMNS, max(len(self.batches), math.ceil(len(" ".join(self.title)) / _CHARACTERS)))

    @property
    def height(self) -> float:
        """Inches."""
        return TITLE + LINE + len(self.devices) * _SLOT + GAP


@dataclass(frozen=True)
class Slot:
    """The step of one device: (x, y) is where the text above its bar begins, in columns and inches."""

    x: float
    y: float
    device: str
    row: PhaseSum | None
    kind: str


def timed_steps(report: Report) -> Sums:
    """Return the steps by model and ascending batch size, where any device has all of its phases timed."""
    models = grouped((key_of(row).model, (batch_of(row), row)) for row in report.phase_sums)
    found = {
        model: {
            batch: rows
            for batch, rows in sorted(grouped(of_model).items())
            if any(row.is_complete for row in rows)
        }
        for model, of_model in models.items()
    }
    return {model: batches for model, batches in found.items() if batches}


def block_of(
    report: Report, model: PanelModel, titles: Sequence[str], sums: Mapping[int, Sequence[PhaseSum]]
) -> Block:
    """Return a model's smallest batch size, the one nearest to its break-even, and its largest.

    Where one of the ends is the nearest, or there is no break-even, the one in the middle is shown instead.
    """
    lines = (line for line in report.break_evens if key_of(line)[:2] == (model, report.headline))
    at = next((line.crossing.batch_size for line in lines if line.crossing.batch_size), None)
    near = None if at is None else min(sums, key=lambda batch: abs(math.log(batch / at)))
    measured = sorted(sums)
    ends = (measured[0], measured[-1])
    between = near if near not in (None, *ends) else measured[len(measured) // 2]
    rows = {batch: {key_of(row).device: row for row in sums[batch]} for batch in sorted({*ends, between})}
    devices = {device for found in rows.values() for device in found}
    workload, *rest = titles
    title = fmt.shortened(workload, 30), fmt.shortened(", ".join(rest), 45)
    return Block(model, title, rows, sorted(devices, key=device_order), near)


def placed(blocks: Iterable[Block]) -> list[tuple[Block, int, float]]:
    """Return each block with its left column and its top in inches, in rows, in their order."""
    rows: list[list[Block]] = []
    for block in blocks:
        if not rows or sum(one.width for one in rows[-1]) + block.width > _COLUMNS:
            rows.append([])
        rows[-1].append(block)
    found, top = [], 0.0
    for row in rows:
        lefts = accumulate((block.width for block in row), initial=0)
        found += [(block, left, top) for block, left in zip(row, lefts, strict=False)]
        top += max(block.height for block in row)
    return found


def slots_of(
    block: Block, left: float, top: float, bounds: Mapping[tuple[PanelModel, str, int], str]
) -> Iterator[Slot]:
    """Yield the slots of a block; one for each device at each batch size, also where it was not timed."""
    for column, (batch, rows) in enumerate(block.batches.items()):
        for place, device in enumerate(block.devices):
            y = top + TITLE + LINE + place * _SLOT + LINE
            kind = bounds.get((block.model, device, batch), "")
            yield Slot(left + column, y, device, rows.get(device), kind)


def bounds_of(report: Report) -> dict[tuple[PanelModel, str, int], str]:
    """Return what bounds each step, without the steps for which this is not known."""
    lines = (
        (PanelModel(found.line.machine, found.line.model.workload, found.line.model.axes), found)
        for found in report.bottlenecks
    )
    return {
        (model, found.line.device, cell.batch_size): cell.kind.removesuffix("-bound")
        for model, found in lines
        for cell in found.cells
        if cell.kind is not Bound.UNMEASURED
    }
