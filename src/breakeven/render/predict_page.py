"""``index.html`` of a prediction: one self-contained page without scripts, which needs no network access.

The template escapes every string from a file; only breakeven's style sheet and figures are inserted
unescaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from breakeven import format as fmt
from breakeven.predict.chart import chart
from breakeven.predict.prediction import Predictions
from breakeven.predict.text import afterwards, not_predicted_sentences, rent_text
from breakeven.render.escaping import html_text
from breakeven.render.figures.break_even import ChartPart, description, folded_title, parts
from breakeven.render.figures.predicted import CELLS, TITLE, machines_name, narrow, wide
from breakeven.render.figures.style import drawing, to_svg
from breakeven.render.html import render, template
from breakeven.render.inline_svg import inlined
from breakeven.render.machine_cards import Card, card_of, facts_of
from breakeven.render.predict_tables import (
    break_even_table,
    cards_table,
    cell_tables,
    dollar_tables,
    training_tables,
)
from breakeven.render.report_page import CHART, NARROW, ShownFigure

_CAPTION = (
    "The color is that of the machine predicted to be faster, outlined because it is predicted, with gaps at "
    "measured batch sizes."
)
_BRACKETS = "The break-even is somewhere between the brackets, with an arrow where it may be beyond."
_METHOD = (
    "A predicted step takes as long as the host needs to queue its operators, or as long as the accelerator "
    "needs to compute them, whichever is longer, and then the copy of its batch; the rates are those of the "
    "machine's card, fitted from steps that were measured on it.",
    "The band of a step holds for 90% of steps of models that the card has not seen, as found by leaving out "
    "models, and in other processes of that machine. The band of a speedup also has the measured CPU's "
    "interval.",
    "The range of a break-even lies between the batch size from which the shortest steps in the band are "
    "faster than the CPU, and that from which the longest are.",
)


def to_html(found: Predictions, version: str, files: Sequence[str]) -> str:
    """Return the page.

    Args:
        found: what to show.
        version: our own.
        files: the names of the files beside the page, which it links to.
    """
    whole = chart(found)
    return render(
        "prediction.html",
        version=version,
        css=Markup(template("page.css")),
        csv=CELLS,
        anchors={},
        machines=fmt.joined([card.name for card in found.cards]),
        subtitle=_subtitle(found),
        question=f"Would {machines_name(found)} train faster than {found.baseline_name}?",
        answer=found.verdict.split("\n"),
        distrusted=bool(found.distrust),
        charts=[_shown(found, part) for part in parts(whole, CHART)],
        more_charts=folded_title(whole),
        break_evens=[table for table in (break_even_table(found), *dollar_tables(found)) if table.rows],
        rents=[(fmt.capital(rent_text(one)), one.file, one.command) for one in found.rents],
        afterwards=fmt.capital(afterwards(found)),
        trainings=list(training_tables(found)),
        cells=list(cell_tables(found)),
        not_predicted=list(not_predicted_sentences(found)),
        warnings=found.warnings,
        cards=list(_cards(found)),
        how_made=_METHOD,
        files=files,
    )


def _subtitle(found: Predictions) -> str:
    cards = fmt.joined([card.name for card in found.cards])
    return f"{found.machine.label}, measured · {cards}, predicted · {fmt.plural(len(found.cells), 'cell')}"


def _shown(found: Predictions, part: ChartPart) -> ShownFigure:
    """Return a part of the chart, also in the form for a phone."""
    forms = []
    for name, draw in ((part.name, wide), (f"{part.name}{NARROW}", narrow)):
        with drawing():
            svg = to_svg(draw(found, part.chart))
        forms.append(Markup(inlined(svg, name, TITLE, html_text(description(part.chart)))))
    has_mark = any(track.mark for track in part.chart.tracks)
    return ShownFigure(TITLE, f"{_CAPTION} {_BRACKETS}" if has_mark else _CAPTION, *forms)


def _cards(found: Predictions) -> Iterator[Card]:
    """Yield the facts of the measured machine, then those of each card."""
    here = card_of(f"{found.machine.label} (measured)", facts_of(found.machine.facts))
    if here.facts:
        yield here
    table = cards_table(found.cards, "")
    for card, row in zip(found.cards, table.rows, strict=True):
        rates = list(zip(table.columns, row, strict=True))[1:]
        yield card_of(f"{card.name} (predicted)", [*rates, *facts_of(card.machine)])
