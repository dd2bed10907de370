"""The break-even chart of a prediction as figures: for a page or a README, and for a phone."""

from __future__ import annotations

from matplotlib.figure import Figure

from breakeven import format as fmt
from breakeven.predict.prediction import Predictions
from breakeven.predict.text import machine_names
from breakeven.render.figures.chart_rows import Heading, draw_narrow, draw_wide
from breakeven.render.figures.drawing import UNFIT
from breakeven.report.chart import Chart

TITLE = "Predicted break-even"
CELLS = "predictions.csv"
"""The file with every cell of a prediction."""


def wide(found: Predictions, chart: Chart) -> Figure:
    """Return the rows of a prediction's chart as lines."""
    return draw_wide(heading(found), chart)


def narrow(found: Predictions, chart: Chart) -> Figure:
    """Return the rows of a prediction's chart as blocks, for a phone."""
    return draw_narrow(heading(found), chart)


def heading(found: Predictions) -> Heading:
    """Return what is above the rows: which machines are predicted, and which one was measured."""
    cards = fmt.joined([fmt.shortened(card.name, 30) for card in found.cards], 4)
    name = machines_name(found, "each machine")
    return Heading(
        f"Predicted: from which batch size {name} is faster than {found.baseline_name}",
        f"whole training step, 90% band; {cards}: predicted, not measured; "
        f"{found.baseline_name.removeprefix('the ')}: {fmt.shortened(found.machine.label, 80)}",
        UNFIT if found.distrust else "",
        CELLS,
    )


def machines_name(found: Predictions, several: str = "another machine") -> str:
    """Return the name of the predicted machine in a sentence, or `several`."""
    names = list(machine_names(found.cards).values())
    return names[0] if len(names) == 1 else several
