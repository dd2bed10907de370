"""The steps whose phases are drawn: of each model three batch sizes, of each of these all devices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from breakeven import format as fmt
from breakeven.device_names import device_order
from breakeven.grouping import grouped
from breakeven.render.figures.models import PanelModel, batch_of, key_of
from breakeven.report.bound import Bound
from breakeven.report.phase_sums import PhaseSum
from breakeven.report.report import Report

TITLE, LINE, BETWEEN = 14, 13, 8
"""Points: the height of a model's name, of the line of a device, and of the space below a model."""

Sums = dict[PanelModel, dict[int, list[PhaseSum]]]


@dataclass(frozen=True)
class Block:
    """The steps of one model: its batch sizes with the phase sums of each device.

    `near` is the batch size nearest to the break-even. `bounds` is what bounds each device's step at each
    batch size, where this is known.
    """

    title: tuple[str, str]
    batches: Mapping[int, Mapping[str, PhaseSum]]
    devices: Sequence[str]
    near: int | None
    bounds: Mapping[tuple[str, int], str]

    @property
    def height(self) -> int:
        """Points."""
        return TITLE + LINE * len(self.batches) * len(self.devices) + BETWEEN


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
    title = fmt.shortened(workload, 30), fmt.shortened(", ".join(rest), 45 - min(30, len(workload)) // 2)
    return Block(title, rows, sorted(devices, key=device_order), near, _bounds(report, model))


def in_columns(blocks: Sequence[Block]) -> list[list[Block]]:
    """Return the blocks in two columns of about the same height, in one if there is one block."""
    half = sum(block.height for block in blocks) / 2
    ends = accumulate(block.height for block in blocks)
    left = sum(end - block.height / 2 <= half for block, end in zip(blocks, ends, strict=True)) or 1
    return [column for column in ([*blocks[:left]], [*blocks[left:]]) if column]


def _bounds(report: Report, model: PanelModel) -> dict[tuple[str, int], str]:
    lines = [
        found
        for found in report.bottlenecks
        if (found.line.machine, found.line.model.workload, found.line.model.axes) == model
    ]
    return {
        (found.line.device, cell.batch_size): cell.kind.removesuffix("-bound")
        for found in lines
        for cell in found.cells
        if cell.kind is not Bound.UNMEASURED
    }
