"""A noise floor, shown: for a person in a terminal, as JSON for machines.

Owns the layout; hands out things that rich can print and prints nothing itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breakeven.case import SCHEMA
from breakeven.compare.noise_floor import POWER, Floor, Visible, loudness
from breakeven.format import percent, plural
from breakeven.render.escaping import terminal_text
from breakeven.render.json_schemas import schema_of

if TYPE_CHECKING:
    from rich.console import RenderableType

BEYOND = 10.0
"""A slowdown of more than elevenfold is no regression to look for: nothing can be seen."""


def renderables(
    floor: Floor, seen: Sequence[Visible], path: Path, warnings: Sequence[str]
) -> Iterator[RenderableType]:
    """Yield the noise, what can be seen through it, the warnings and where it is stored."""
    from rich.text import Text

    from breakeven.render import terminal

    typical, loud = loudness(floor)
    yield Text(
        f"{plural(len(floor.medians_s), 'case')} in {floor.runs} runs: from run to run a time moves by "
        f"{percent(typical)} in the middle case, by {percent(loud)} or more in one of ten"
    )
    yield Text(f"\nA slowdown is found here with {percent(POWER)} chance from", style="bold")
    for row in seen:
        yield Text(
            f"  {_slowdown(row.typical):>6} in the middle case, {_slowdown(row.loud):>6} in a loud one, with "
            f"{plural(row.runs, 'run')} a side"
        )
    yield from terminal.section("Warnings", list(warnings), "all in --format json")
    yield Text()
    yield Text(
        terminal_text(
            f"stored in {path} for the machine class {floor.class_id}; where a side has one run, "
            "`breakeven compare` judges it against this"
        )
    )


def to_json(floor: Floor, seen: Sequence[Visible], path: Path, warnings: Sequence[str]) -> str:
    """Return the floor for machines; ratios are relative slowdowns, null where none can be seen."""
    typical, loud = loudness(floor)
    content = {
        "schema": SCHEMA,
        "class_id": floor.class_id,
        "runs": floor.runs,
        "cases": len(floor.medians_s),
        "noise": {"typical": typical, "loud": loud},
        "visible": [
            {"runs": row.runs, "typical": _finite(row.typical), "loud": _finite(row.loud)} for row in seen
        ],
        "path": str(path),
        "warnings": list(warnings),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema that `to_json` fulfils."""
    return schema_of("calibrate")


def _slowdown(change: float) -> str:
    return f"+{percent(change)}" if change < BEYOND else "none"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
