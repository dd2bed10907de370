"""What `breakeven history` prints, in a terminal, as markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from rich.console import RenderableType
from rich.text import Text

from breakeven.case import SCHEMA
from breakeven.format import one_line, percent_change, percent_change_with_interval, percent_range, shortened
from breakeven.history import text
from breakeven.history.accepted import Acceptance
from breakeven.history.check import ChangePoint, History, Newest, TrackedSeries
from breakeven.history.query import StoredRun
from breakeven.history.store import Added
from breakeven.render.escaping import markdown_text, terminal_text
from breakeven.render.json_output import JsonOutput, Judged, Name, Ratio, Version, json_text
from breakeven.render.markdown import bullets, markdown_table, more
from breakeven.render.markdown import section as markdown_section
from breakeven.render.table import Table
from breakeven.render.terminal import section, table_section

MAX_ROWS = 12
"""The rows of a table and the lines of a list in markdown; JSON and the page have all of them."""

_MAX_NAME, _MAX_REASON, _MAX_LINE = 64, 40, 600
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


def check_renderables(history: History) -> Iterator[RenderableType]:
    """Yield what `history check` prints in a terminal; regressions are sentences and not in the tables."""
    for table in _tables(
        [found for found in history.changes if not found.is_regression],
        [found for found in history.newest if not found.is_regression],
        "other changes",
    ):
        yield from table_section(table, "all in --format json")
    yield from section("Regressions", text.regressions(history), "all in --format json")
    yield from section("Warnings", history.warnings, "all in --format json")
    yield Text()
    if history.newest:
        yield Text(terminal_text(text.coverage(history)))
    yield Text(terminal_text(text.headline(history)), style="bold")
    if hint := text.how_to_accept(history):
        yield Text(hint, style="dim")


def check_markdown(history: History, version: str) -> str:
    """Return what `history check` prints for a pull request, shorter than the 60,000 characters of GitHub."""
    parts = ["## breakeven history", f"**{markdown_text(text.headline(history))}**"]
    tables = _tables(history.changes, history.newest, "changes")
    parts += [markdown_table(table, 3, "more rows are left out, the smallest changes") for table in tables]
    if history.newest:
        parts.append(markdown_text(text.coverage(history)))
    parts += markdown_section("Warnings", _first(history.warnings))
    machines = {run.class_id: f"{run.label} (class {run.class_id})" for run in history.runs}
    if machines:
        lines = bullets(_first([*machines.values()]))
        parts.append(f"<details><summary>Machines</summary>\n\n{lines}\n\n</details>")
    parts.append(f"breakeven {markdown_text(version)}")
    return "\n\n".join(parts) + "\n"


def check_json(history: History) -> str:
    """Return changes, newest runs and warnings."""
    newest = [_newest(found) for found in history.newest]
    changes = [_change(found) for found in history.changes]
    return json_text(HistoryCheckJson.of(history, schema=SCHEMA, changes=changes, newest=newest))


def show_json(history: History) -> str:
    """Return every series: its runs, values, levels and changes."""
    return json_text(
        {
            "schema": SCHEMA,
            "runs": [_run(run) for run in history.runs],
            "series": [_series(tracked) for tracked in history.tracked],
            "changes": [_change(found) for found in history.changes],
            "warnings": history.warnings,
        }
    )


def add_line(added: Added) -> str:
    """Return the result for one run file, on one line."""
    done = f"added as {added.path}" if added.new else f"is already in the store, as {added.path}"
    return f"{added.run}: {done}".encode("utf-8", "backslashreplace").decode()


def add_json(added: Sequence[Added], failed: Sequence[str]) -> str:
    """Return the result for each run file."""
    files = [{"run": one.run, "path": str(one.path), "new": one.new} for one in added]
    return json_text({"schema": SCHEMA, "added": files, "failed": failed})


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
        {
            "commit": entry.commit or None,
            "run": entry.run or None,
            "direction": entry.direction,
            "cases": entry.cases,
            "reason": entry.reason,
            "whole": entry.whole,
        }
        for entry in entries
    ]
    return json_text({"schema": SCHEMA, "file": str(path), "accepted": accepted})


def _tables(changes: Sequence[ChangePoint], newest: Sequence[Newest], title: str) -> Iterator[Table]:
    """Yield the changes, and the newest runs that are not as predicted; neither if it is empty."""
    if changes:
        columns = ("case", "change", "in", "runs ago", "state")
        yield _table(title, columns, [_change_row(found) for found in changes])
    if rows := [_newest_row(found) for found in newest if found.direction is not None]:
        yield _table(
            "newest run, not as predicted", ("case", "change", "unchanged within", "in", "state"), rows
        )


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    return Table(title, columns, tuple(rows[:MAX_ROWS]), max(0, len(rows) - MAX_ROWS), _TEXT_COLUMNS)


def _change_row(found: ChangePoint) -> tuple[str, ...]:
    change = found.change
    size = percent_change_with_interval(change.ratio, change.low, change.high)
    return (
        shortened(found.tracked.name, _MAX_NAME),
        f"{size} {text.compared(found)}",
        text.table_name(found.after),
        str(found.ago),
        text.state(found, _MAX_REASON),
    )


def _newest_row(found: Newest) -> tuple[str, ...]:
    assert found.judgment is not None
    return (
        shortened(found.tracked.name, _MAX_NAME),
        f"{percent_change(found.judgment.ratio)} {text.compared(found)}",
        percent_range(found.judgment.low, found.judgment.high),
        text.table_name(found.run),
        text.state(found, _MAX_REASON),
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


def _run(run: StoredRun) -> dict[str, Any]:
    return {
        **_when(run),
        "branch": run.branch or None,
        "dirty": run.dirty,
        "class_id": run.class_id,
        "machine": run.label,
        "digest": run.digest,
    }


def _series(tracked: TrackedSeries) -> dict[str, Any]:
    levels = tracked.findings.levels if tracked.findings else ()
    return {
        "case": tracked.name,
        "quantity": tracked.series.quantity,
        "class_id": tracked.series.class_id,
        "runs": tracked.series.run.tolist(),
        "values": tracked.series.values.tolist(),
        "levels": [
            {"from": level.start, "to": level.stop - 1, "value": float(np.exp(level.mean))}
            for level in levels
        ],
    }
