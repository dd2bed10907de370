"""Achieved work per second over batch size: a row for each model, a column for each phase."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.phases import FLOPS, HEADLINE, Phase
from breakeven.render.figures.axes import SCALED, batch_axis, panel_title, value_axis
from breakeven.render.figures.curves import (
    Curves,
    curve_batches,
    curve_values,
    device_handles,
    draw_curve,
    value_curves,
)
from breakeven.render.figures.drawing import Drawing, missing_note, new_figure
from breakeven.render.figures.models import PanelNames, report_models, report_styles, select_models
from breakeven.render.figures.quantities import highest_of_each, rate_point
from breakeven.report.report import Report

MAX_MODELS = 6

_Phases = dict[Phase, Curves]


def _phases(report: Report) -> _Phases:
    """Return the curves of each phase that has any, phases of one unit side by side."""
    found: _Phases = {
        phase: value_curves(report, phase, lambda row: rate_point(row, row.rate))
        for phase in sorted(Phase, key=lambda phase: phase.rate != FLOPS)
    }
    return {phase: curves for phase, curves in found.items() if curves}


def _plot(report: Report, phases: _Phases) -> Figure:
    models = [m for m in report_models(report) if any(m in curves for curves in phases.values())]
    shown = select_models(models, MAX_MODELS)
    by_phase = {phase: [c for m in shown for c in curves.get(m, ())] for phase, curves in phases.items()}
    every = [curve for curves in by_phase.values() for curve in curves]
    figure = new_figure(
        report,
        0.5 + 0.95 * len(shown),
        f"Achieved work per second (95% interval {report.interval_scope()})",
        handles=device_handles(report, every),
        notes=missing_note(len(models) - len(shown)),
        x_label="batch size",
    )
    grid: list[list[Axes]] = [*figure.subplots(len(shown), len(phases), sharex=True, squeeze=False)]
    styles, batches = report_styles(report), curve_batches(every)
    for axes, model in zip(grid, shown, strict=True):
        for ax, (phase, curves) in zip(axes, phases.items(), strict=True):
            unit = [c for other in by_phase if other.rate == phase.rate for c in by_phase[other]]
            value_axis(ax, curve_values(unit), 10, SCALED)
            batch_axis(ax, batches, 2)
            for curve in curves.get(model, ()):
                draw_curve(ax, curve, *styles[curve.device])
    names = PanelNames(report)
    _write_titles(grid, list(phases), [fmt.shortened(", ".join(names.lines(model)), 80) for model in shown])
    return figure


def _write_titles(grid: Sequence[Sequence[Axes]], phases: Sequence[Phase], models: Sequence[str]) -> None:
    """Name the phase above its column, the model above its row, and the unit beside its first column."""
    for column, phase in enumerate(phases):
        first = column == 0 or phase.rate != phases[column - 1].rate
        for row, model in enumerate(models):
            ax = grid[row][column]
            panel_title(ax, *([phase] if row == 0 else []), model if column == 0 else "", bold=row == 0)
            ax.tick_params(labelleft=first)
        if first:
            grid[len(models) // 2][column].set_ylabel(phase.rate)


def _text(report: Report, phases: _Phases) -> str:
    phase = HEADLINE if HEADLINE in phases else next(iter(phases))
    highest = highest_of_each(report, phases[phase], phase.rate)
    return (
        f"Achieved work per second over batch size, in {fmt.plural(len(phases), 'phase')}. "
        f"Maximum in {phase}: {highest}."
    )


EFFICIENCY = Drawing(
    "Efficiency",
    "Higher is better: achieved FLOP/s, and bytes moved per second; not a percentage of the hardware's peak.",
    _phases,
    _plot,
    _text,
    lambda _: "There is no figure of efficiency, because no case records its amount of work.",
)
