"""What `breakeven history` prints, in a terminal, as markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta
from rich.console import RenderableType
from rich.text import Text

from breakeven.case import SCHEMA
from breakeven.format import one_line, plural, shortened
from breakeven.history import text
from breakeven.history.accepted import Acceptance, Direction
from breakeven.history.check import ChangePoint, History, Newest, TrackedSeries
from breakeven.history.query import StoredRun
from breakeven.history.series import Quantity
from breakeven.history.store import Added
from breakeven.history.text import ChangedRun
from breakeven.render import markdown, terminal
from breakeven.render.dot_plot import Dot
from breakeven.render.escaping import markdown_text, terminal_text
from breakeven.render.json_output import Count, JsonOutput, Judged, Name, Ratio, Version, json_text
from breakeven.render.markdown import bullets, markdown_table, more
from breakeven.render.table import Table

MAX_ROWS = 12
"""The rows of a table and the lines of a list in markdown; JSON and the page have all of them."""

TITLE = "After / before, those that fail the check first"

_MAX_NAME, _MAX_LINE = 64, 600
_TEXT_COLUMNS = ("case", "change", "in", "state", "unchanged within")

Commit = Annotated[str, Meta(pattern="^[0-9a-f]{7,64}$")]
Date = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class ChangeJson(JsonOutput):
    """A change of the level of a series: the level after it / before it, with its 95% interval.

    Above 1 is worse, except for the largest batch that fits. Changes that may be of one commit are one
    change: they have its `commit`, and those of the headline phase come first. `accepted` is why the change
    is intended, null if it is not accepted.
    """

    case: Name
    commit: Commit | None
    date: Date
    ratio: Ratio
    low: Ratio | None
    high: Ratio | None
    accepted: Name | None


class NewestJson(JsonOutput):
    """A series in the newest run of a machine class: its value / the one predicted from the runs before.

    `low` and `high` are the prediction interval of that ratio for an unchanged run, simultaneous over the
    series of the run: 95% of unchanged runs are inside all of their intervals, and with normal noise a single
    series leaves its own at most once in a thousand runs; on a machine with occasional larger deviations the
    interval includes them. All are null with too few earlier runs.
    """

    case: Name
    commit: Commit | None
    date: Date
    ratio: Ratio | None
    low: Ratio | None
    high: Ratio | None
    accepted: Name | None
    verdict: Judged


class HistoryCheckJson(JsonOutput):
    """What `breakeven history check --format json` prints."""

    schema: Version
    changes: list[ChangeJson]
    newest: list[NewestJson]
    warnings: list[Name]


class RunJson(JsonOutput):
    """A run of the store; `digest` identifies its file."""

    commit: Commit | None
    date: Date
    branch: Name | None
    dirty: bool | None
    class_id: Name
    machine: Name
    digest: Name


class LevelJson(JsonOutput, rename={"start": "from"}):
    """A level of a series: the geometric mean `value` of its values `from` to `to`, both included."""

    start: Count
    to: Count
    value: Ratio


class SeriesJson(JsonOutput):
    """A series: its `values` in the runs of these indices, and its levels; none with too few runs."""

    case: Name
    quantity: Quantity
    class_id: Name
    runs: list[Count]
    values: list[Ratio]
    levels: list[LevelJson]


class HistoryShowJson(JsonOutput):
    """What `breakeven history show --format json` prints."""

    schema: Version
    runs: list[RunJson]
    series: list[SeriesJson]
    changes: list[ChangeJson]
    warnings: list[Name]


class AddedJson(JsonOutput):
    """A run file, its file in the store, and whether that is new."""

    run: str
    path: str
    new: bool


class HistoryAddJson(JsonOutput):
    """What `breakeven history add --format json` prints; `failed` has a message for each refused file."""

    schema: Version
    added: list[AddedJson]
    failed: list[str]


class AcceptedJson(JsonOutput):
    """Accepted changes of one direction; `whole` also accepts those found in the commit later."""

    commit: Commit | None
    run: Name | None
    direction: Direction
    cases: list[Name]
    reason: Name
    whole: bool


class HistoryAcceptJson(JsonOutput):
    """What `breakeven history accept --format json` prints; `file` is that of the accepted changes."""

    schema: Version
    file: str
    accepted: list[AcceptedJson]


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
    return markdown.document(parts)


def show_renderables(history: History, page: Path) -> Iterator[RenderableType]:
    """Yield what `history show` prints: the verdict, and where the page is."""
    yield from terminal.verdict(text.verdict_lines(history))
    yield Text(f"the page: {terminal_text(page)}", overflow="ignore", no_wrap=True)


def check_json(history: History) -> str:
    """Return changes, newest runs and warnings."""
    newest = [_newest(found) for found in history.newest]
    changes = [_change(found) for found in history.changes]
    return json_text(HistoryCheckJson.of(history, schema=SCHEMA, changes=changes, newest=newest))


def show_json(history: History) -> str:
    """Return every series: its runs, values, levels and changes."""
    return json_text(
        HistoryShowJson.of(
            history,
            schema=SCHEMA,
            runs=[_run(run) for run in history.runs],
            series=[_series(tracked) for tracked in history.tracked],
            changes=[_change(found) for found in history.changes],
        )
    )


def add_line(added: Added) -> str:
    """Return the result for one run file, on one line."""
    done = f"added as {added.path}" if added.new else f"is already in the store, as {added.path}"
    return f"{added.run}: {done}".encode("utf-8", "backslashreplace").decode()


def add_json(added: Sequence[Added], failed: Sequence[str]) -> str:
    """Return the result for each run file."""
    files = [AddedJson.of(one, path=str(one.path)) for one in added]
    return json_text(HistoryAddJson.of(schema=SCHEMA, added=files, failed=list(failed)))


def accept_lines(entries: Sequence[Acceptance], path: Path) -> list[str]:
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


def accept_json(entries: Sequence[Acceptance], path: Path) -> str:
    """Return what was accepted, an entry per direction."""
    accepted = [
        AcceptedJson.of(entry, commit=entry.commit or None, run=entry.run or None, cases=list(entry.cases))
        for entry in entries
    ]
    return json_text(HistoryAcceptJson.of(schema=SCHEMA, file=str(path), accepted=accepted))


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


def _change(found: ChangePoint) -> ChangeJson:
    return ChangeJson.of(found, found.change, case=found.tracked.name, **_when(found.after))


def _newest(found: Newest) -> NewestJson:
    ratios = {name: getattr(found.judgment, name, None) for name in ("ratio", "low", "high")}
    return NewestJson.of(found, case=found.tracked.name, **_when(found.run), **ratios)


def _when(run: StoredRun) -> dict[str, str | None]:
    return {"commit": run.commit or None, "date": run.moment.isoformat()}


def _run(run: StoredRun) -> RunJson:
    return RunJson.of(run, branch=run.branch or None, machine=run.label, **_when(run))


def _series(tracked: TrackedSeries) -> SeriesJson:
    levels = tracked.findings.levels if tracked.findings else ()
    return SeriesJson.of(
        tracked.series,
        case=tracked.name,
        runs=tracked.series.run.tolist(),
        values=tracked.series.values.tolist(),
        levels=[LevelJson(level.start, level.stop - 1, float(np.exp(level.mean))) for level in levels],
    )
