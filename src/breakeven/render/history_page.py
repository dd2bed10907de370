"""The page of `history show`: every series drawn, in one file that needs nothing else.

Owns what stands on it and in which order. No network, no fonts, no scripts at all. Every string of a store
passes the template's escaping; only our own style and figures enter as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from breakeven import format as fmt
from breakeven.format import shortened
from breakeven.history.check import ChangePoint, History, Newest, TrackedSeries
from breakeven.history.text import LONGEST_NAME, change_words, coverage, headline, newest_words
from breakeven.render.escaping import html_text
from breakeven.render.figures.style import to_svg
from breakeven.render.history_figure import Drawn, figure_of, value_words
from breakeven.render.html import render, template
from breakeven.render.inline_svg import inlined
from breakeven.render.report_files import encoded, write_files

MAX_DRAWN = 60
"""So many series are drawn; more would be a page that nobody reads to its end."""

MAX_LISTED = 400

PAGE = "index.html"


@dataclass(frozen=True)
class _Shown:
    name: str
    whole_name: str  # empty where `name` is
    svg: Markup
    sentences: tuple[str, ...]
    state: str


def write_page(history: History, directory: Path, version: str) -> Path:
    """Write the page into `directory`, which is made when it is missing, and return its path.

    Raises:
        UsageError: it cannot be written; what stood there stays.
    """
    [path] = write_files({PAGE: encoded(to_html(history, version))}, directory)
    return path


def to_html(history: History, version: str) -> str:
    """Return the page."""
    drawn = ordered(history)
    left_out = drawn[MAX_DRAWN:]
    return render(
        "history.html",
        version=version,
        css=Markup(template("page.css")),
        subtitle=_subtitle(history),
        headline=headline(history),
        coverage=coverage(history) if history.newest else "",
        warnings=history.warnings,
        shown=[_shown(item, i) for i, item in enumerate(drawn[:MAX_DRAWN])],
        left_out=[item.watched.name for item in left_out[:MAX_LISTED]],
        left_out_count=len(left_out),
    )


def ordered(history: History) -> list[Drawn]:
    """Return every series with a value: objections first, then what changed, then the rest."""
    changes: dict[int, list[ChangePoint]] = {}
    for change in history.changes:
        changes.setdefault(id(change.watched), []).append(change)
    newest = {id(item.watched): item for item in history.newest}
    drawn = [
        Drawn(
            watched,
            history.runs,
            sorted(changes.get(id(watched), []), key=lambda change: change.change.at),
            newest.get(id(watched)),
        )
        for watched in history.watched
        if len(watched.series.run)
    ]
    return sorted(drawn, key=lambda item: (_rank(item), -_weight(item)))


def _rank(drawn: Drawn) -> int:
    found: list[ChangePoint | Newest] = [*drawn.changes, *([drawn.newest] if drawn.newest else [])]
    if any(item.is_objection for item in found):
        return 0
    return 1 if drawn.changes else 2 if drawn.watched.judged else 3


def _weight(drawn: Drawn) -> float:
    return max((abs(item.change.ratio - 1) for item in drawn.changes), default=0.0)


def _shown(drawn: Drawn, index: int) -> _Shown:
    sentences = [_with_reason(item) for item in drawn.changes]
    newest = drawn.newest
    if (
        newest is not None
        and newest.verdict is not None
        and newest.verdict.verdict in ("regressed", "improved")
    ):
        sentences.append(f"The newest run {newest_words(newest)}")
    if not drawn.watched.judged:
        sentences.append(f"{fmt.plural(len(drawn.watched.series.run), 'run')}: too few to judge.")
    svg = inlined(to_svg(figure_of(drawn)), f"s{index}", html_text(drawn.watched.name), _described(drawn))
    state = ("objection", "changed", "quiet", "quiet")[_rank(drawn)]
    whole = html_text(drawn.watched.name)
    short = shortened(drawn.watched.name, LONGEST_NAME)
    return _Shown(short, "" if short == whole else whole, Markup(svg), tuple(sentences), state)


def _with_reason(found: ChangePoint) -> str:
    sentence = change_words(found)
    sentence = f"{sentence[:1].upper()}{sentence[1:]}"
    if found.accepted is not None:
        return f"{sentence}. Accepted: {found.accepted}"
    return sentence if found.stands else f"{sentence}. Undone since."


def _described(drawn: Drawn) -> str:
    """Return the picture in words, for those who do not see it."""
    series = drawn.watched.series
    name = value_words(series.quantity)
    ends = f"from {name(float(series.values[0]))} to {name(float(series.values[-1]))}"
    counted = fmt.plural(len(drawn.changes), "change")
    return html_text(f"{fmt.plural(len(series.run), 'run')}, {ends}, {counted} of the level.")


def _subtitle(history: History) -> str:
    runs = history.runs
    when = "" if not runs else f"{runs[0].moment:%Y-%m-%d} to {runs[-1].moment:%Y-%m-%d}"
    machines = fmt.joined([run.label for run in runs])
    return " · ".join(filter(None, (machines, fmt.plural(len(runs), "run"), _counted(history.watched), when)))


def _counted(watched: Sequence[TrackedSeries]) -> str:
    return f"{len(watched)} series"
