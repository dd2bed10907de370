"""A prediction in a terminal: the answer, the break-even chart, the cells, and what to rent to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.text import Text

from breakeven.predict.cards import Card
from breakeven.predict.chart import chart
from breakeven.predict.prediction import Predictions
from breakeven.predict.text import not_predicted_sentences, rent_sentences
from breakeven.render import break_even_text
from breakeven.render.escaping import terminal_text
from breakeven.render.predict_tables import (
    break_even_table,
    cards_table,
    cell_tables,
    dollar_tables,
    training_tables,
)
from breakeven.render.terminal import section, table_section, verdict

MAX_CELLS = 30
"""More are cut, with a note."""

REST = "in predictions.csv, with -o DIR or --format csv"


def renderables(found: Predictions) -> Iterator[RenderableType]:
    """Yield the answer, the chart, the tables, what to rent, what is not predicted, and the warnings."""
    yield from verdict(found.verdict.split("\n"))
    if found.cells:
        yield Text(f"\n{terminal_text(break_even_table(found).title)}", style="bold")
        yield from break_even_text.lines(chart(found))
        yield Text()
        shown = [
            *dollar_tables(found),
            *cell_tables(found, MAX_CELLS),
            *training_tables(found, MAX_CELLS),
        ]
        for table in shown:
            yield from table_section(table, REST)
        yield from section("To settle it", list(rent_sentences(found)))
    yield from section("Not predicted", list(not_predicted_sentences(found)), "all in the JSON")
    yield from section("Warnings", found.warnings, "all in the JSON")
    yield Text()


def cards(found: Iterable[Card]) -> Iterator[RenderableType]:
    """Yield the table of cards."""
    yield from table_section(cards_table(found), "")
