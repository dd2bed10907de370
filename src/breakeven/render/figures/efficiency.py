"""Achieved work a second over batch size: FLOP/s where arithmetic is counted, B/s where bytes are moved.

Owns the grid of models x phases, in a block for each unit, so that everything in a block shares its axes.
Knows no peak: nobody measured one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.render.figures.axes import batch_axis, decades, draw_grid, limits, scaled_tick, value_axis
from breakeven.render.figures.curves import (
    Curve,
    Point,
    curve_values,
    device_handles,
    draw_curve,
    value_curves,
)
from breakeven.render.figures.layout import EDGE, LINE, WIDTH, Head, Sheet, missing_note, notes_height
from breakeven.render.figures.models import Model, Names, chosen
from breakeven.render.figures.style import NORMAL, device_styles, drawing
from breakeven.render.figures.text import extreme_of_each
from breakeven.report.report import Report
from breakeven.report.throughput import WORK

MAX_MODELS = 6

_LEFT, _BETWEEN, _HEIGHT, _COLUMNS = 0.72, 0.15, 1.0, 3
_HEADING = 0.2

_Phases = Mapping[str, Mapping[Model, Sequence[Curve]]]


def draw(report: Report) -> Figure | None:
    """Return the rates of at most `MAX_MODELS` models; None when no case tells what work it did."""
    phases = _phases(report)
    if not phases:
        return None
    with drawing():
        models = _models(report, phases)
        shown = chosen(models, MAX_MODELS)
        blocks = {
            unit: [phase for phase in phases if WORK[phase] == unit] for unit in dict.fromkeys(WORK.values())
        }
        rows = {
            unit: [model for model in shown if any(model in phases[phase] for phase in of_unit)]
            for unit, of_unit in blocks.items()
        }
        above = LINE + 0.1
        notes = missing_note(len(models) - len(shown))
        curves = [c for of_phase in phases.values() for m in shown for c in of_phase.get(m, ())]
        head = Head("Achieved work a second (median, 95% interval)", device_handles(report, _devices(curves)))
        heights = {unit: _block_height(len(rows[unit]), above) for unit in blocks if rows[unit]}
        sheet = Sheet(WIDTH, head.height + sum(heights.values()) + notes_height(notes))
        sheet.head(head, report)
        top = head.height
        for unit, height in heights.items():
            _draw_block(report, sheet, top, above, unit, rows[unit], {p: phases[p] for p in blocks[unit]})
            top += height
        sheet.notes(notes)
        return sheet.finished(report)


def describe(report: Report) -> str:
    """Return the highest rate of each device and phase, or why there is no figure."""
    phases = _phases(report)
    if not phases:
        return "There is no figure of efficiency, because no case tells how much work it did."
    phase = "train" if "train" in phases else next(iter(phases))
    best = extreme_of_each(report, phases[phase], lambda value: fmt.scaled(value, WORK[phase]))
    return (
        f"Achieved work a second over batch size, in {fmt.plural(len(phases), 'phase')}. "
        f"In {phase} at most: {best}."
    )


def _phases(report: Report) -> dict[str, dict[Model, list[Curve]]]:
    found = {phase: value_curves(report, phase, _point) for phase in WORK}
    return {phase: curves for phase, curves in found.items() if curves}


def _point(row: Any) -> Point | None:
    rate = row.rate
    return None if rate is None else Point(row.batch_size, rate.value, rate.low, rate.high)


def _models(report: Report, phases: _Phases) -> list[Model]:
    """Return every model with a rate, in the order of the record."""
    known = {model for curves in phases.values() for model in curves}
    order = dict.fromkeys(
        Model(*key)
        for key in report.cases[["class_id", "workload", "axes"]].itertuples(index=False, name=None)
    )
    return [model for model in order if model in known]


def _devices(curves: Sequence[Curve]) -> list[str]:
    return [curve.device for curve in curves]


def _block_height(rows: int, above: float) -> float:
    return _HEADING + rows * (above + _HEIGHT) + 2 * LINE + 0.2


def _draw_block(
    report: Report,
    sheet: Sheet,
    top: float,
    above: float,
    unit: str,
    models: Sequence[Model],
    phases: _Phases,
) -> None:
    """Draw the panels of one unit, rows of models and columns of phases, under the names of the phases."""
    styles, names = device_styles(report.cases["device"]), Names(report)
    width = (WIDTH - _LEFT - EDGE - _BETWEEN * (_COLUMNS - 1)) / _COLUMNS
    curves = [c for of_phase in phases.values() for model in models for c in of_phase.get(model, ())]
    batches = sorted({point.batch for curve in curves for point in curve.points})
    ends = limits(curve_values(curves))
    for column, (phase, of_phase) in enumerate(phases.items()):
        left = _LEFT + column * (width + _BETWEEN)
        sheet.text(left, top + 0.05, phase, NORMAL, fontweight="bold")
        for row, model in enumerate(models):
            below = top + _HEADING + row * (above + _HEIGHT) + above
            if column == 0:
                sheet.title(_LEFT, below, names.lines(model), WIDTH - _LEFT - EDGE)
            ax = sheet.panel(left, below, width, _HEIGHT)
            batch_axis(ax, batches, width, labels=row + 1 == len(models))
            value_axis(ax, 10, ends, decades(*ends), scaled_tick, labels=column == 0)
            draw_grid(ax, batches, decades(*ends))
            for curve in of_phase.get(model, ()):
                draw_curve(ax, curve, *styles[curve.device])
    body = _HEADING + len(models) * (above + _HEIGHT)
    sheet.side(top + _HEADING + above, body - above - _HEADING, unit)
    sheet.text(_LEFT, top + body + LINE + 0.08, "batch size", NORMAL)
