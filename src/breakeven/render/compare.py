"""A comparison as people and machines read it: terminal, markdown, JSON. One record, three layouts.

Owns the layouts and their bytes. Opens no file and prints nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from breakeven import format as fmt
from breakeven.case import SCHEMA
from breakeven.compare.comparison import Change, Comparison
from breakeven.compare.phase_attribution import attribution_sentences
from breakeven.compare.text import coverage, headline, shift_words, warnings
from breakeven.render.compare_tables import change_table
from breakeven.render.escaping import markdown_text, terminal_text
from breakeven.render.json_schemas import schema_of
from breakeven.render.markdown import markdown_table, section
from breakeven.runs.readings import Run

if TYPE_CHECKING:
    from rich.console import RenderableType

TERMINAL_ROWS = 24
MARKDOWN_ROWS = 12
MARKDOWN_LENGTH = 60_000
"""Characters that GitHub takes in a comment, with room to spare."""

MAX_FACTS = 60
MAX_LINES = 12
"""Of what moved and of warnings, in markdown."""


def renderables(found: Comparison) -> Iterator[RenderableType]:
    """Yield the worst cases, what moved, the warnings and, last, the verdict, within 100 columns."""
    from rich.text import Text

    from breakeven.render import terminal

    table = change_table(found, TERMINAL_ROWS)
    if table.rows:
        yield terminal.rich_table(table)
        if table.cut:
            yield Text(f"... and {table.cut} more cases, all in --format json")
    rest = "all in --format json"
    yield from terminal.section("What moved", attribution_sentences(found.changes), rest)
    yield from terminal.section("Warnings", warnings(found), rest)
    yield Text()
    shift = shift_words(found)
    yield Text("; ".join(filter(None, (coverage(found), shift))))
    yield Text(terminal_text(headline(found)), style="bold")


def to_markdown(found: Comparison, version: str) -> str:
    """Return the comparison for a pull request: at most 12 rows and 60,000 characters; cuts are said."""
    table = change_table(found, MARKDOWN_ROWS)
    rows = [markdown_table(table, rest="more cases are in the JSON (`--format json`)")] if table.rows else []
    shift = shift_words(found)
    parts = [
        f"**{markdown_text(headline(found))}**",
        *section("What moved", _cut(attribution_sentences(found.changes))),
        *rows,
        markdown_text("; ".join(filter(None, (coverage(found), shift)))),
        *section("Warnings", _cut(warnings(found))),
    ]
    text = "\n\n".join([*parts, _folded(found, version)]) + "\n"
    if len(text) <= MARKDOWN_LENGTH:
        return text
    said = "\n\n(cut here: the whole is in the JSON)\n"
    return "\n\n".join(parts)[: MARKDOWN_LENGTH - len(said)].rsplit("\n", 1)[0] + said


def to_json(found: Comparison) -> str:
    """Return the comparison as Contract 2 has it: finite numbers or null."""
    shift = found.common_shift
    content = {
        "schema": SCHEMA,
        "verdict": found.verdict,
        "cases": [_case(change) for change in found.changes],
        "common_shift": {
            "ratio": _exp(None if shift is None else shift.log_ratio),
            "low": _exp(None if shift is None else shift.low),
            "high": _exp(None if shift is None else shift.high),
        },
        "counts": found.counts,
        "warnings": [*attribution_sentences(found.changes), *warnings(found)],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema that `to_json` fulfils."""
    return schema_of("compare")


def _case(change: Change) -> dict[str, Any]:
    return {
        "case": change.case,
        "ratio": change.ratio,
        "low": change.low,
        "high": change.high,
        "q": change.q,
        "n_baseline": change.n_baseline,
        "n_candidate": change.n_candidate,
        "verdict": change.verdict,
    }


def _exp(value: float | None) -> float | None:
    return None if value is None or abs(value) > 700 else math.exp(value)


def _cut(lines: Sequence[str]) -> list[str]:
    shown = list(lines[:MAX_LINES])
    if len(lines) > MAX_LINES:
        shown.append(f"and {len(lines) - MAX_LINES} more, in the JSON")
    return shown


def _folded(found: Comparison, version: str) -> str:
    """Return on what machine which runs were compared, folded away."""
    lines = []
    for name, runs in (("base", found.baseline), ("candidate", found.candidate)):
        lines += [f"{name}: {fmt.plural(len(runs), 'run')}, {_commits(runs)}"]
    last = found.candidate[-1]
    facts = [f"{name}: {value}" for name, value in last.facts.items() if value is not None][:MAX_FACTS]
    lines += [f"machine: {last.label}", f"class: {last.class_id or 'not told'}", *facts]
    lines += [
        f"breakeven {version}; threshold {fmt.percent(found.threshold)}, "
        f"resolution {fmt.percent(found.resolution)}, false discovery rate 5%, intervals 95%"
    ]
    listed = "\n".join(f"- {markdown_text(line)}" for line in lines)
    return f"<details><summary>Machine and runs</summary>\n\n{listed}\n\n</details>"


def _commits(runs: Sequence[Run]) -> str:
    commits = list(dict.fromkeys(run.commit[:12] for run in runs if run.commit))
    return f"commit {fmt.joined(commits)}" if commits else "no commit told"
