"""A noise floor as terminal output and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from breakeven.case import SCHEMA
from breakeven.compare.noise_floor import POWER, Detectable, NoiseFloor, noise_levels
from breakeven.format import percent, plural, two_lines
from breakeven.render.escaping import terminal_text
from breakeven.render.json_output import Amount, Batch, JsonOutput, Version, json_text

if TYPE_CHECKING:
    from rich.console import RenderableType

NONE = "none"
MAX_SLOWDOWN = 10.0
"""A larger one is shown as "none": nothing useful can be detected."""


class NoiseJson(JsonOutput):
    """Run-to-run standard deviation of a log time: of the median case, and of one noisier than 9 in 10."""

    typical: Amount
    loud: Amount


class DetectableJson(JsonOutput):
    """The smallest relative slowdown detected with 80% probability, null where none is."""

    runs: Batch
    typical: Amount | None
    loud: Amount | None


class CalibrationJson(JsonOutput):
    """What `breakeven calibrate --format json` prints; `path` is the file of the noise floor.

    `class_id` is the machine class, "unknown" where the run files do not record it.
    """

    schema: Version
    class_id: str
    runs: Annotated[int, Meta(ge=2)]
    cases: Batch
    noise: NoiseJson
    visible: list[DetectableJson]
    path: str
    warnings: list[str]


def renderables(
    floor: NoiseFloor, detectable: Sequence[Detectable], path: Path, warnings: Sequence[str]
) -> Iterator[RenderableType]:
    """Yield the noise, what can be detected in it, the warnings and where it is stored."""
    from rich.text import Text

    from breakeven.render import terminal

    yield from terminal.verdict(verdict_lines(floor, detectable))
    yield Text(f"\nThe smallest slowdown detected with {percent(POWER)} probability", style="bold")
    for row in detectable:
        yield Text(
            f"  {_slowdown(row.typical):>6} in the median case, {_slowdown(row.noisy):>6} in a noisy one, "
            f"with {plural(row.runs, 'run')} per side"
        )
    yield from terminal.section("Warnings", warnings, "all in --format json")
    yield Text()
    yield Text(
        terminal_text(
            f"stored in {path} for the machine class {floor.class_id}; `breakeven compare` judges one run "
            "per side by it"
        )
    )


def verdict_lines(floor: NoiseFloor, detectable: Sequence[Detectable]) -> tuple[str, ...]:
    """Return what the smallest number of runs detects, and the noise, in at most 220 characters."""
    typical, noisy = noise_levels(floor)
    smallest = min(detectable, key=lambda row: row.runs)
    found, runs = _slowdown(smallest.typical), plural(smallest.runs, "run")
    verb = "shows" if smallest.runs == 1 else "show"
    return two_lines(
        f"{runs} per side {verb} {'no slowdown' if found == NONE else f'slowdowns from {found}'} in the "
        "median case.",
        [
            f"Times vary between runs by {percent(typical)} in the median case, and by {percent(noisy)} or "
            f"more in one case in ten ({plural(len(floor.medians_s), 'case')}, {floor.runs} runs)."
        ],
    )


def to_json(floor: NoiseFloor, detectable: Sequence[Detectable], path: Path, warnings: Sequence[str]) -> str:
    """Return the floor for machines; detectable slowdowns are relative, null where there is none."""
    visible = [DetectableJson(row.runs, _finite(row.typical), _finite(row.noisy)) for row in detectable]
    return json_text(
        CalibrationJson.of(
            floor,
            schema=SCHEMA,
            cases=len(floor.medians_s),
            noise=NoiseJson(*noise_levels(floor)),
            visible=visible,
            path=str(path),
            warnings=warnings,
        )
    )


def _slowdown(change: float) -> str:
    return f"+{percent(change)}" if change < MAX_SLOWDOWN else NONE


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
