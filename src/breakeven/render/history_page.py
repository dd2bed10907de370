"""The page of `history show`: every series drawn, in one file without scripts, fonts or network access.

The template escapes every string from the store; only breakeven's style sheet and figures are inserted
unescaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from breakeven import format as fmt
from breakeven.errors import UsageError
from breakeven.files import write_whole
from breakeven.grouping import grouped
from breakeven.history.check import History
from breakeven.history.text import (
    MAX_NAME,
    changed_runs,
    coverage,
    describe_series,
    how_to_accept,
    verdict_lines,
)
from breakeven.render.escaping import html_text
from breakeven.render.figures.style import to_svg
from breakeven.render.history_figure import Drawn, figure_of, value_words
from breakeven.render.html import render, template
from breakeven.render.inline_svg import inlined

MAX_DRAWN = 60
"""The maximum number of series on the page."""

MAX_LISTED = 400

PAGE = "index.html"


@dataclass(frozen=True)
class _ShownSeries:
    name: str
    full_name: str  # empty if `name` is not shortened
    svg: Markup
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class SeriesGroup:
    """The series that one run changed; without a title, those that did not change."""

    title: str
    fails: bool
    series: tuple[Drawn, ...]


def write_page(history: History, directory: Path, version: str) -> Path:
    """Write the page into `directory`, which is created if missing, and return its path.

    Raises:
        UsageError: it cannot be written; an existing page is unchanged.
    """
    path = directory / PAGE
    try:
        write_whole(path, to_html(history, version).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(
            f"cannot write {fmt.one_line(path, 300)} ({error.strerror}); choose another directory with -o DIR"
        ) from error
    return path


def to_html(history: History, version: str) -> str:
    """Return the page."""
    groups = groups_of(history)
    ordered = [item for group in groups for item in group.series]
    left_out = ordered[MAX_DRAWN:]
    shown = {id(item): _shown(item, i) for i, item in enumerate(ordered[:MAX_DRAWN])}
    return render(
        "history.html",
        version=version,
        css=Markup(template("page.css")),
        subtitle=_subtitle(history),
        verdict=verdict_lines(history),
        coverage=coverage(history),
        hint=how_to_accept(history),
        level="red" if history.is_regressed else "green" if history.judged else "amber",
        warnings=history.warnings,
        groups=[
            (group.title, group.fails, found)
            for group in groups
            if (found := [shown[id(item)] for item in group.series if id(item) in shown])
        ],
        left_out=[item.tracked.name for item in left_out[:MAX_LISTED]],
        left_out_count=len(left_out),
    )


def groups_of(history: History) -> list[SeriesGroup]:
    """Return every series with a value once: where it changed first, and the others in a last group.

    Those of the headline phase come first in each group, those with too few runs last.
    """
    changes = grouped((id(change.tracked), change) for change in history.changes)
    newest = {id(item.tracked): item for item in history.newest}
    left = {
        id(tracked): Drawn(
            tracked,
            history.runs,
            sorted(changes.get(id(tracked), []), key=lambda change: change.change.at),
            newest.get(id(tracked)),
        )
        for tracked in history.tracked
        if len(tracked.series.run)
    }
    groups = []
    for run in changed_runs(history):
        keys = [id(found.tracked) for found in run.findings]
        series = tuple(left.pop(key) for key in dict.fromkeys(keys) if key in left)
        groups.append(SeriesGroup(run.title, run.fails, series))
    rest = sorted(
        left.values(), key=lambda item: (not item.tracked.judged, not item.tracked.series.is_headline)
    )
    return [*groups, SeriesGroup("", fails=False, series=tuple(rest))]


def _shown(drawn: Drawn, index: int) -> _ShownSeries:
    tracked = drawn.tracked
    svg = inlined(to_svg(figure_of(drawn)), f"s{index}", html_text(tracked.name), _description(drawn))
    short, full = fmt.shortened(tracked.name, MAX_NAME), html_text(tracked.name)
    return _ShownSeries(
        name=short,
        full_name="" if short == full else full,
        svg=Markup(svg),
        sentences=tuple(describe_series(len(tracked.series.run), drawn.changes, drawn.newest)),
    )


def _description(drawn: Drawn) -> str:
    """Return the figure in words, for screen readers."""
    series = drawn.tracked.series
    name = value_words(series.quantity)
    ends = f"from {name(float(series.values[0]))} to {name(float(series.values[-1]))}"
    runs, changes = fmt.plural(len(series.run), "run"), fmt.plural(len(drawn.changes), "change")
    return html_text(f"{runs}, {ends}, {changes} of the level.")


def _subtitle(history: History) -> str:
    runs = history.runs
    days = f"{runs[0].moment:%Y-%m-%d} to {runs[-1].moment:%Y-%m-%d}" if runs else ""
    parts = (
        fmt.joined([run.label for run in runs]),
        fmt.plural(len(runs), "run"),
        f"{len(history.tracked)} series",
        days,
    )
    return " · ".join(filter(None, parts))
