"""A checkup and a self-test, shown: for a person in a terminal, as JSON for machines.

Owns the layout. Hands out things that rich can print and prints nothing itself; no string that was read
from the machine is taken for markup.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from breakeven.case import SCHEMA
from breakeven.doctor.rules import LEVELS, Checkup, Finding
from breakeven.doctor.selftests.checks import Check
from breakeven.doctor.selftests.suite import SelfTest
from breakeven.render.escaping import terminal_text
from breakeven.render.json_schemas import schema_of

STYLES = {"unfit": "bold red", "noted": "yellow", "not readable": "dim", "fine": "green"}


def checkup_json(checkup: Checkup) -> str:
    """Return the checkup as `breakeven.doctor` documents it."""
    load = checkup.facts.load_average
    return _json(
        {
            "schema": SCHEMA,
            "fit": checkup.fit,
            "summary": checkup.summary,
            "machine": dict(checkup.facts.machine),
            "load_average": None if load is None else list(load),
            "devices": [
                {"name": device.name, "device_name": device.device_name, "threads": device.threads}
                for device in checkup.facts.devices
            ],
            "findings": [asdict(finding) for finding in checkup.findings],
        }
    )


def selftest_json(result: SelfTest) -> str:
    """Return the self-test as `breakeven.doctor` documents it."""
    return _json(
        {
            "schema": SCHEMA,
            "passed": result.passed,
            "summary": result.summary,
            "seconds": result.seconds,
            "checks": [_check(check) for check in result.checks],
        }
    )


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of ``doctor`` or ``selftest``."""
    return schema_of(name)


def checkup_renderables(checkup: Checkup) -> Iterator[RenderableType]:
    """Yield the machine, its devices, the findings with their remedies, and the verdict."""
    yield _grid(_machine(checkup))
    yield Text()
    by_level = {
        level: [finding for finding in checkup.findings if finding.level == level] for level in LEVELS
    }
    yield _grid(
        [
            *(row for level in ("unfit", "noted") for finding in by_level[level] for row in _told(finding)),
            *(("not readable", f"{finding.name}: {finding.seen}") for finding in by_level["unreadable"]),
            ("fine", ", ".join(finding.name for finding in by_level["fine"])),
        ]
    )
    yield Text()
    yield Text(checkup.summary, style="bold")


def selftest_renderables(result: SelfTest) -> Iterator[RenderableType]:
    """Yield the table of figures, the notes below it, and the verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("figure", "reached", "must be", ""):
        table.add_column(name, justify="right" if name == "reached" else "left")
    for check in result.checks:
        verdict = Text("passed", style="green") if check.passed else Text("FAILED", style="bold red")
        table.add_row(Text(check.name), check.got, check.must, verdict)
    yield table
    for check in result.checks:
        if check.note:
            yield Text(terminal_text(f"{check.name}: {check.note}"))
    yield Text()
    yield Text(result.summary, style="bold")


def _machine(checkup: Checkup) -> Sequence[tuple[str, str]]:
    facts, machine = checkup.facts, checkup.facts.machine
    quota = "" if facts.quota is None else f", quota {facts.quota:g}"
    load = "" if facts.load_average is None else f", load {facts.load_average[0]:.2g}"
    software = f"torch {machine.get('torch')}, Python {machine.get('python')}"
    rows = [
        ("machine", f"{machine.get('cpu')}, {machine.get('cores')} CPUs{quota}{load}"),
        ("software", software),
    ]
    for device in facts.devices:
        threads = "1 thread" if device.threads == 1 else f"{device.threads} threads"
        what = threads if device.name.startswith("cpu") else device.device_name
        rows.append(("devices", f"{device.name}: {what}"))
    return rows


def _told(finding: Finding) -> Iterator[tuple[str, str]]:
    yield finding.level, f"{finding.name}: {finding.seen}"
    yield "", f"why: {finding.why}"
    yield "", f"mend: {finding.remedy}"
    yield "", ""


def _grid(rows: Iterable[tuple[str, ...]]) -> Table:
    """Return rows whose first column is a label, said once where it repeats."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    before = None
    for label, *cells in rows:
        style = STYLES.get(label, "")
        shown = Text("" if label == before else label, style=style, no_wrap=True)
        grid.add_row(shown, *(Text(terminal_text(cell)) for cell in cells))
        before = label
    return grid


def _check(check: Check) -> dict[str, Any]:
    known = check.reached is not None and math.isfinite(check.reached)
    return {**asdict(check), "reached": check.reached if known else None, "passed": check.passed}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False, default=str) + "\n"
