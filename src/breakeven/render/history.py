"""What `breakeven history` prints, in a terminal and as markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from breakeven.format import one_line, plural, shortened
from breakeven.history import text
from breakeven.history.accepted import Acceptance
from breakeven.history.check import ChangePoint, History, Newest
from breakeven.history.store import Added
from breakeven.history.text import ChangedRun
from breakeven.render import markdown, terminal
from breakeven.render.dot_plot import Dot
from breakeven.render.escaping import markdown_text, terminal_text
from breakeven.render.markdown import bullets, markdown_table, more
from breakeven.render.table import Table

MAX_ROWS = 12
"""The rows of a table and the lines of a list in markdown; JSON and the page have all of them."""

TITLE = "After / before, those that fail the check first"

_MAX_NAME, _MAX_LINE = 64, 600
_TEXT_COLUMNS = ("case", "change", "in", "state", "unchanged within")


def check_renderables(history: History) -> Iterator[RenderableType]:
    """Yield what `history check` prints in a terminal: the verdict, what changed, and what limits it."""
    yield from terminal.verdict(text.verdict_lines(history))
    dots, headings, rest = _plot(text.changed_runs(history))
    yield from terminal.plot(TITLE, dots, headings)
    if rest:
        yield Text(f"... and {rest} more, all in --format json")
    yield from terminal.section("Warnings", history.warnings, "all in --format json")
    if history.newest:
        yield Text(f"\n{text.coverage(history)}")
    if hint := text.how_to_accept(history):
        yield Text(hint, style="dim")


def check_markdown(history: History, version: str) -> str:
    """Return what `history check` prints for a pull request, shorter than the 60,000 characters of GitHub."""
    runs = text.changed_runs(history)
    dots, headings, _ = _plot(runs)
    tables = [
        markdown_table(table, 3, "more rows are left out, the smallest changes") for table in _tables(runs)
    ]
    found = sum(len(run.findings) for run in runs)
    machines = {run.class_id: f"{run.label} (class {run.class_id})" for run in history.runs}
    parts = [
        *markdown.verdict(text.verdict_lines(history)),
        *markdown.plot(TITLE, dots, headings),
        *(
            [markdown.folded(f"{plural(found, 'change')} in {plural(len(runs), 'run')}", "\n\n".join(tables))]
            if tables
            else []
        ),
        *([markdown_text(text.coverage(history))] if history.newest else []),
        *markdown.section("Warnings", _first(history.warnings), level=3),
        *([markdown.folded("Machines", bullets(_first([*machines.values()])))] if machines else []),
        f"breakeven {markdown_text(version)}",
    ]
    return markdown.document([parts])


def show_renderables(history: History, page: Path) -> Iterator[RenderableType]:
    """Yield what `history show` prints: the verdict, and where the page is."""
    yield from terminal.verdict(text.verdict_lines(history))
    yield Text(f"the page: {terminal_text(page)}", overflow="ignore", no_wrap=True)


def add_line(added: Added) -> str:
    """Return the result for one run file, on one line."""
    done = f"added as {added.path}" if added.new else f"is already in the store, as {added.path}"
    return f"{added.run}: {done}"


def accept_lines(entries: Sequence[Acceptance], path: str) -> list[str]:
    """Return what was accepted, a line per case, and where it was written."""
    accepted = [
        f"accepted: {case} became {entry.direction} in {entry.place}"
        for entry in entries
        for case in entry.cases
    ]
    later = [
        f"accepted: every other series that is found to have become {entry.direction} in {entry.place}"
        for entry in entries
        if entry.whole
    ]
    return [*accepted, *later, f"written to {path}"]


def _plot(runs: Sequence[ChangedRun]) -> tuple[list[Dot], dict[int, str], int]:
    """Return the first dots, the titles of runs by the index of their first dot, and how many are left."""
    dots: list[Dot] = []
    headings = {}
    for run in runs:
        headings[len(dots)] = run.title
        dots += map(_dot, run.findings)
    return dots[:MAX_ROWS], headings, max(0, len(dots) - MAX_ROWS)


def _dot(found: ChangePoint | Newest) -> Dot:
    """Return the dot of a change, or of a newest run, whose ratio has no interval."""
    name, size = f"  {found.tracked.name}", text.size(found)
    if isinstance(found, ChangePoint):
        return Dot(name, found.change.ratio, found.change.low, found.change.high, size)
    assert found.judgment is not None
    return Dot(name, found.judgment.ratio, None, None, size)


def _tables(runs: Sequence[ChangedRun]) -> Iterator[Table]:
    """Yield the changes, and the newest runs that are not as predicted; neither if it is empty."""
    found = [finding for run in runs for finding in run.findings]
    if changes := [_change_row(finding) for finding in found if isinstance(finding, ChangePoint)]:
        yield _table("changes", ("case", "change", "in", "runs ago", "state"), changes)
    if rows := [_newest_row(finding) for finding in found if isinstance(finding, Newest)]:
        columns = ("case", "change", "unchanged within", "in", "state")
        yield _table("newest run, not as predicted", columns, rows)


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    return Table(title, columns, tuple(rows[:MAX_ROWS]), max(0, len(rows) - MAX_ROWS), _TEXT_COLUMNS)


def _change_row(found: ChangePoint) -> tuple[str, ...]:
    return (
        shortened(found.tracked.name, _MAX_NAME),
        text.size(found),
        text.table_name(found.after),
        str(found.ago),
        text.state(found),
    )


def _newest_row(found: Newest) -> tuple[str, ...]:
    return (
        shortened(found.tracked.name, _MAX_NAME),
        text.size(found),
        text.unchanged_range(found),
        text.table_name(found.run),
        text.state(found),
    )


def _first(lines: Sequence[str]) -> list[str]:
    """Return the first lines, each cut, and how many more there are."""
    return [*(one_line(line, _MAX_LINE) for line in lines[:MAX_ROWS]), *more(len(lines), MAX_ROWS)]
