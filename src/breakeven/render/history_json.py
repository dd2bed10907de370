"""What `breakeven history --format json` prints: typed objects, one for each action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from breakeven.case import SCHEMA
from breakeven.history.accepted import Acceptance, Direction
from breakeven.history.check import ChangePoint, History, Newest, TrackedSeries
from breakeven.history.query import StoredRun
from breakeven.history.series import Quantity
from breakeven.history.store import Added
from breakeven.render.json_output import Count, JsonOutput, Judged, Name, Ratio, Version, json_text

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


def add_json(added: Sequence[Added], failed: Sequence[str]) -> str:
    """Return the result for each run file."""
    files = [AddedJson.of(one) for one in added]
    return json_text(HistoryAddJson.of(schema=SCHEMA, added=files, failed=list(failed)))


def accept_json(entries: Sequence[Acceptance], path: str) -> str:
    """Return what was accepted, an entry per direction."""
    accepted = [
        AcceptedJson.of(entry, commit=entry.commit or None, run=entry.run or None, cases=list(entry.cases))
        for entry in entries
    ]
    return json_text(HistoryAcceptJson.of(schema=SCHEMA, file=path, accepted=accepted))


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
