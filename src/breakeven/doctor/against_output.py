"""A machine compared with a card, as rich renderables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from breakeven import format as fmt
from breakeven.case import SCHEMA
from breakeven.doctor.against import Against, Compared, Place
from breakeven.grouping import grouped
from breakeven.predict.cards import Number
from breakeven.render.escaping import terminal_text
from breakeven.render.json_output import Amount, Count, JsonOutput, Name, Ratio, Version, json_text

UNITS = {Number.LAUNCHES: "s", Number.ARITHMETIC: "FLOP/s", Number.MEMORY: "B/s", Number.COPY: "B/s"}

STYLES = {Place.SLOWER: "bold red", Place.FASTER: "yellow", Place.INSIDE: "green", Place.UNKNOWN: "dim"}
LABELS = {
    Place.SLOWER: "SLOWER",
    Place.FASTER: "faster",
    Place.INSIDE: "inside",
    Place.UNKNOWN: "unknown",
}


class NumberJson(JsonOutput):
    """A number of this machine compared with the card's.

    `slowdown` is by how much this machine is slower, below 1 faster, and `low` and `high` the ends of the
    card's 90% interval of it; null where it was not measured, as `why` explains. `slowdowns` are those of
    each process, and `widened` has what makes the interval wide. `measured` and `expected` are in `unit`: the
    seconds of a launch, else a rate. `format` is that of the arithmetic, else empty.
    """

    number: Number
    format: str
    place: Place
    slowdown: Ratio | None
    low: Ratio | None
    high: Ratio | None
    slowdowns: list[Ratio]
    measured: Amount | None
    expected: Amount
    unit: Literal["s", "FLOP/s", "B/s"]
    why: str
    widened: list[str]
    remedy: str


class AgainstJson(JsonOutput):
    """What `breakeven doctor --against CARD --format json` prints.

    `fit` is whether no number is slower than its interval; null where none was measured.
    """

    schema: Version
    card: Name
    hardware: str
    fit: bool | None
    summary: Name
    processes: Count
    seconds: Amount
    numbers: Annotated[list[NumberJson], Meta(min_length=1)]
    warnings: list[str]


def against_json(found: Against) -> str:
    """Return the comparison as JSON."""
    numbers = [
        NumberJson.of(
            one,
            one.probe,
            slowdowns=list(one.slowdowns),
            widened=list(one.widened),
            measured=None if one.slowdown is None else one.value(one.slowdown),
            expected=one.value(),
            unit=UNITS[one.probe.number],
        )
        for one in found.numbers
    ]
    return json_text(
        AgainstJson.of(
            found,
            schema=SCHEMA,
            card=found.card.name,
            hardware=found.card.hardware,
            numbers=numbers,
            warnings=list(found.warnings),
        )
    )


def against_renderables(found: Against) -> Iterator[RenderableType]:
    """Yield a table of the numbers, the remedies of those outside, the warnings, and the answer."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("number", "here", "card", "90% interval", "difference", ""):
        table.add_column(title, justify="left" if title in ("number", "") else "right")
    for one in found.numbers:
        table.add_row(*(Text(terminal_text(cell)) for cell in _row(one)), _label(one))
    yield table
    for why, names in grouped((one.why, one.probe.name) for one in found.at(Place.UNKNOWN)).items():
        yield Text(terminal_text(f"not measured ({why}): {', '.join(names)}"))
    for one in found.numbers:
        for phrase in one.widened:
            yield Text(terminal_text(f"{one.probe.name}: {phrase}, so its interval is wide"))
        if one.remedy:
            yield Text(terminal_text(f"{one.probe.name} {one.text} than this class: {one.remedy}"))
    for warning in found.warnings:
        yield Text(terminal_text(f"warning: {warning}"), style="yellow")
    processes = "1 process" if found.processes == 1 else f"the median of {found.processes} processes"
    yield Text(f"{processes}, {fmt.duration(found.seconds)}; of launches, the time of one")
    yield Text()
    yield Text(terminal_text(found.summary), style="bold")


def _row(one: Compared) -> tuple[str, ...]:
    if one.slowdown is None or one.low is None or one.high is None:
        return one.probe.name, "", _text(one, 1.0), "", ""
    low, high = (_text(one, end) for end in sorted((one.low, one.high), key=one.value))
    number, unit = low.split()
    interval = f"{number if unit == high.split()[1] else low} to {high}"
    return one.probe.name, _text(one, one.slowdown), _text(one, 1.0), interval, one.text


def _text(one: Compared, slowdown: float) -> str:
    amount, unit = one.value(slowdown), UNITS[one.probe.number]
    return fmt.seconds(amount) if unit == "s" else fmt.scaled(amount, unit)


def _label(one: Compared) -> Text:
    return Text(LABELS[one.place], style=STYLES[one.place])
