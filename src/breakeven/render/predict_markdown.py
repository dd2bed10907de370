"""A prediction for a pull request. Every string from a file is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from breakeven import format as fmt
from breakeven.predict.cards import Card
from breakeven.predict.prediction import Predictions
from breakeven.predict.text import not_predicted_sentences, rent_sentences
from breakeven.render.markdown import bullets, document, folded, markdown_table, verdict
from breakeven.render.predict_tables import (
    break_even_table,
    cards_table,
    cell_tables,
    dollar_tables,
    training_tables,
)
from breakeven.render.table import Table

_REST = "more rows are in predictions.csv"
_LIMITS = (None, 120, 60, 30, 12)


def to_markdown(found: Predictions) -> str:
    """Return the answer and the break-evens; the cells and the rest are folded."""
    return document([*_main(found, limit), *_folds(found, limit)] for limit in _LIMITS)


def cards_markdown(cards: Iterable[Card]) -> str:
    """Return the table of cards."""
    return document([[markdown_table(cards_table(cards), 2, "")]])


def _main(found: Predictions, limit: int | None) -> Iterator[str]:
    yield from verdict(found.verdict.split("\n"))
    if found.cells:
        for table in (break_even_table(found), *dollar_tables(found), *training_tables(found)):
            yield _cut(table, limit)


def _folds(found: Predictions, limit: int | None) -> Iterator[str]:
    lists = {
        "To settle it": list(rent_sentences(found)),
        "Not predicted": list(not_predicted_sentences(found)),
        fmt.plural(len(found.warnings), "warning"): list(found.warnings),
    }
    if found.cells:
        cells = [_cut(table, limit) for table in cell_tables(found)]
        yield folded("Predicted training steps", "\n\n".join(cells))
    for title, lines in lists.items():
        if lines:
            yield folded(title, bullets(lines, limit, "in the JSON"))
    yield folded("Cards", markdown_table(cards_table(found.cards, "Cards that predicted"), None, ""))


def _cut(table: Table, limit: int | None) -> str:
    return markdown_table(table.first(limit), 3, _REST)
