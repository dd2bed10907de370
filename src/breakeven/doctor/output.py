"""A checkup and the self-tests as rich renderables and as JSON.

No string that was read from the machine is interpreted as markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from breakeven.case import SCHEMA
from breakeven.device_names import is_cpu
from breakeven.doctor.rules import Checkup, Finding, Level
from breakeven.doctor.selftests.suite import Check, SelfTestResult
from breakeven.format import plural
from breakeven.render.escaping import terminal_text
from breakeven.render.json_output import Amount, Batch, JsonOutput, Name, Version, json_text

LABELS = {
    Level.UNFIT: "unfit",
    Level.NOTED: "noted",
    Level.HINT: "hint",
    Level.UNREADABLE: "not readable",
    Level.FINE: "fine",
}
STYLES = {"unfit": "bold red", "noted": "yellow", "hint": "cyan", "not readable": "dim", "fine": "green"}

_FACTS = ["cpu", "cores", "threads", "torch", "python"]
_WITH_REMEDY = (Level.UNFIT, Level.NOTED, Level.HINT)
_REMEDY_WHERE_NOT_FINE = {
    "if": {"properties": {"level": {"enum": [*_WITH_REMEDY]}}},
    "then": {"properties": {"why": {"minLength": 1}, "remedy": {"minLength": 1}}},
}


class DeviceJson(JsonOutput):
    """A device that would be measured."""

    name: Name
    device_name: Name
    threads: Batch


class FindingJson(JsonOutput):
    """What was seen; why it matters and how to fix it, both empty where nothing needs fixing."""

    name: Name
    level: Level
    seen: Name
    why: str
    remedy: str


class CheckupJson(JsonOutput):
    """What `breakeven doctor --format json` prints; `machine` has the facts of the machine class."""

    schema: Version
    fit: bool
    summary: Name
    machine: Annotated[dict[str, Any], Meta(extra_json_schema={"required": _FACTS})]
    load_average: tuple[Amount, Amount, Amount] | None
    devices: Annotated[list[DeviceJson], Meta(min_length=1)]
    findings: Annotated[
        list[Annotated[FindingJson, Meta(extra_json_schema=_REMEDY_WHERE_NOT_FINE)]], Meta(min_length=1)
    ]


class CheckJson(JsonOutput):
    """A figure and its bounds; a share between 0 and 1 where `unit` is empty."""

    name: Name
    reached: float | None
    at_least: float | None
    at_most: float | None
    unit: Literal["", "s", "rounds", "threads"]
    note: str
    passed: bool


class SelfTestJson(JsonOutput):
    """What `breakeven doctor --selftest --format json` prints."""

    schema: Version
    passed: bool
    summary: Name
    seconds: Amount
    checks: Annotated[list[CheckJson], Meta(min_length=1)]


def checkup_json(checkup: Checkup) -> str:
    """Return the checkup as JSON."""
    devices = [DeviceJson.of(device) for device in checkup.facts.devices]
    findings = [FindingJson.of(finding) for finding in checkup.findings]
    return json_text(
        CheckupJson.of(checkup, checkup.facts, schema=SCHEMA, devices=devices, findings=findings)
    )


def selftest_json(result: SelfTestResult) -> str:
    """Return the self-tests' checks as JSON."""
    checks = [_check_json(check) for check in result.checks]
    return json_text(SelfTestJson.of(result, schema=SCHEMA, checks=checks))


def checkup_renderables(checkup: Checkup) -> Iterator[RenderableType]:
    """Yield the machine, its devices, the findings (those to fix with their remedies), and the verdict."""
    yield _grid(_machine_rows(checkup))
    yield Text()
    yield _grid(_finding_rows(checkup.findings))
    yield Text()
    yield Text(terminal_text(checkup.summary), style="bold")


def selftest_renderables(result: SelfTestResult) -> Iterator[RenderableType]:
    """Yield a table of the figures, their notes, and the verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("figure", "reached", "bounds", ""):
        table.add_column(name, justify="right" if name == "reached" else "left")
    for check in result.checks:
        verdict = Text("passed", style="green") if check.passed else Text("FAILED", style="bold red")
        table.add_row(Text(check.name), check.reached_text, check.bounds_text, verdict)
    yield table
    for check in result.checks:
        if check.note:
            yield Text(terminal_text(f"{check.name}: {check.note}"))
    yield Text()
    yield Text(terminal_text(result.summary), style="bold")


def _machine_rows(checkup: Checkup) -> Sequence[tuple[str, str]]:
    facts, machine = checkup.facts, checkup.facts.machine
    quota = "" if facts.quota is None else f", quota {facts.quota:g}"
    load = "" if facts.load_average is None else f", load {facts.load_average[0]:.2g}"
    rows = [
        ("machine", f"{machine.get('cpu')}, {machine.get('cores')} CPUs{quota}{load}"),
        ("software", f"torch {machine.get('torch')}, Python {machine.get('python')}"),
    ]
    for device in facts.devices:
        what = plural(device.threads, "thread") if is_cpu(device.name) else device.device_name
        rows.append(("devices", f"{device.name}: {what}"))
    return rows


def _finding_rows(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    for finding in findings:
        label, seen = LABELS[finding.level], f"{finding.name}: {finding.seen}"
        if finding.level in _WITH_REMEDY:
            yield from ((label, seen), ("", f"why: {finding.why}"), ("", f"fix: {finding.remedy}"), ("", ""))
        elif finding.level is Level.UNREADABLE:
            yield label, seen
    fine = [finding.name for finding in findings if finding.level is Level.FINE]
    yield LABELS[Level.FINE], ", ".join(fine)


def _grid(rows: Iterable[tuple[str, ...]]) -> Table:
    """Return rows whose first column is a label, shown once where it repeats."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    before = None
    for label, *cells in rows:
        style = STYLES.get(label, "")
        shown = Text("" if label == before else label, style=style, no_wrap=True)
        grid.add_row(shown, *(Text(terminal_text(cell)) for cell in cells))
        before = label
    return grid


def _check_json(check: Check) -> CheckJson:
    known = check.reached is not None and math.isfinite(check.reached)
    return CheckJson.of(check, reached=check.reached if known else None)
