"""Predictions as tables of short strings; every title and every column of a prediction is marked as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.predict.break_even import PredictedBreakEven
from breakeven.predict.cards import Card, Number
from breakeven.predict.cells import PredictedCell
from breakeven.predict.costs import TrainingCost
from breakeven.predict.prediction import Predictions
from breakeven.render.table import MAX_ROWS, Table
from breakeven.report.money import SECONDS_PER_HOUR
from breakeven.report.speedup import DeviceVerdict

WIDE = "*"
"""The mark of a cell whose band is wider than usual."""

VAGUE = 2.0
"""A card's rate that is known only within this factor, or a larger one, is shown with it."""

CARDS = "Cards that come with breakeven: machines that --on can name"

_VERDICT, _BREAK_EVEN, _PLACE = "predicted", "predicted break-even", "on"
_MACHINE = "machine"
_COLUMNS = ("model", _MACHINE, _BREAK_EVEN)
_WORDS = (
    "model", _MACHINE, _PLACE, _VERDICT, _BREAK_EVEN, "hardware", "fitted from", "arithmetic", "90% band",
)  # fmt: skip
_ANSWERS = {DeviceVerdict.UNDECIDED: "measure"}
_UNITS_S = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_BRIEF = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}


def break_even_table(found: Predictions) -> Table:
    """Return the break-evens."""
    more = ("cells to measure", "predicted speedup at the largest batch")
    rows = [
        (
            *_break_even(found, line),
            f"{sum(one.verdict is DeviceVerdict.UNDECIDED for one in line.cells)} of {len(line.cells)}",
            _speedup(line.cells[-1]),
        )
        for line in found.break_evens
    ]
    return _of_break_evens(found, "faster", "", (*_COLUMNS, *more), rows)


def dollar_tables(found: Predictions) -> Iterator[Table]:
    """Yield the break-evens in dollars, where prices are given."""
    if found.break_evens_usd:
        prices = ", ".join(f"{place} {fmt.dollars(usd)}/h" for place, usd in found.prices.items())
        rows = [_break_even(found, line) for line in found.break_evens_usd]
        yield _of_break_evens(found, "cheaper", f" ({prices})", _COLUMNS, rows)


def cell_tables(found: Predictions, limit: int = MAX_ROWS) -> Iterator[Table]:
    """Yield the step and the speedup of each cell, a table for each machine."""
    device = found.baseline.device
    columns = ("model", "batch", f"{device} (measured)", "predicted step", "predicted speedup", _VERDICT)
    for name, cells in grouped((one.machine, one) for one in found.cells).items():
        title = f"Predicted training steps on {name}, and their speedup over {device}, with 90% bands"
        if any(one.widened for one in cells):
            title = f"{title} ({WIDE} wider than usual, see the warnings)"
        rows = tuple(_cell_row(found, one) for one in cells)
        yield Table(title, columns, rows, words=_WORDS).first(limit)


def training_tables(found: Predictions, limit: int = MAX_ROWS) -> Iterator[Table]:
    """Yield what a training of the asked number of steps takes and costs, by cell."""
    if not found.trainings or found.steps is None:
        return
    title = f"Predicted: a training of {fmt.plural(found.steps, 'step')}, with 90% bands"
    columns = ("model", "batch", _PLACE, "time", "dollars")
    rows = tuple(_training_row(found, one) for one in found.trainings)
    table = Table(title, columns, rows, words=_WORDS).first(limit)
    yield table if found.prices else table.without("dollars")


def cards_table(cards: Iterable[Card], title: str = CARDS) -> Table:
    """Return the rates of each card, and what they were fitted from."""
    columns = (
        "machine", "hardware", "launch", "arithmetic", "memory", "copy", "90% band", "fitted from",
    )  # fmt: skip
    return Table(title, columns, tuple(map(_card_row, cards)), words=_WORDS)


def times_text(seconds: float, low_s: float, high_s: float) -> str:
    """Return a time with its band.

    >>> times_text(0.0012, 0.0008, 0.0018)
    '1.20 ms [0.800–1.80]'
    >>> times_text(0.9, 0.0008, 1200), times_text(20.0, 20.0, 20.001)
    ('900 ms [0.800–1,200,000]', '20.0 s')
    """
    text = fmt.seconds(seconds)
    ends = [fmt.digits(end_s / _UNITS_S[text.rpartition(" ")[2]]) for end_s in (low_s, high_s)]
    return text if text.startswith(f"{ends[0]} ") and ends[0] == ends[1] else f"{text} [{'–'.join(ends)}]"


def _dollars(one: TrainingCost) -> str:
    if one.usd is None or one.low_usd is None or one.high_usd is None:
        return ""
    text = fmt.dollars(one.usd)
    if text == fmt.dollars(one.low_usd) == fmt.dollars(one.high_usd):
        return text
    return fmt.dollars_with_interval(one.usd, one.low_usd, one.high_usd)


def _of_break_evens(
    found: Predictions, what: str, prices: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> Table:
    is_one = len(found.cards) == 1
    it = found.cards[0].name if is_one else "a machine"
    title = f"Predicted: from which batch size {it} is {what} than {found.baseline.device}{prices}"
    table = Table(title, columns, tuple(rows), words=_WORDS)
    return table.without(_MACHINE) if is_one else table


def _break_even(found: Predictions, line: PredictedBreakEven) -> tuple[str, str, str]:
    return found.names[line.model], line.machine, line.describe_briefly()


def _cell_row(found: Predictions, one: PredictedCell) -> tuple[str, ...]:
    return (
        found.names[one.cell.model],
        fmt.batch_size(one.batch_size),
        fmt.seconds(one.baseline_s),
        times_text(one.predicted_s, one.low_s, one.high_s),
        _speedup(one),
        f"{_ANSWERS.get(one.verdict, one.verdict)}{f' {WIDE}' if one.widened else ''}",
    )


def _speedup(one: PredictedCell) -> str:
    return fmt.ratio_with_interval(one.speedup, one.low, one.high)


def _training_row(found: Predictions, one: TrainingCost) -> tuple[str, ...]:
    times_s = [SECONDS_PER_HOUR * hours for hours in (one.hours, one.low_hours, one.high_hours)]
    return (
        found.names[one.cell.model],
        fmt.batch_size(one.cell.batch_size),
        f"{one.place} ({'predicted' if one.is_predicted else 'measured'})",
        times_text(*times_s),
        _dollars(one),
    )


def _card_row(card: Card) -> tuple[str, ...]:
    rates = [
        f"{_BRIEF.get(name, name)} {fmt.digits(rate / 1e12)}{_within(card, name)}"
        for name, rate in card.flops_per_s.items()
    ]
    return (
        card.name,
        card.hardware,
        fmt.seconds(card.launch_s),
        f"{', '.join(rates)} TFLOP/s",
        f"{fmt.scaled(card.bytes_per_s, 'B/s')}{_within(card, Number.MEMORY)}",
        f"{fmt.scaled(card.copied_bytes_per_s, 'B/s')}{_within(card, Number.COPY)}",
        _band(card),
        f"{fmt.plural(card.cells, 'cell')} of {fmt.plural(card.models, 'model')}, "
        f"batch {fmt.batch_range(card.batch_sizes)}",
    )


def _within(card: Card, name: str) -> str:
    """Return how far off a rate may be, where that is much: some rest on no step of the fit."""
    factor = card.within(name)
    return f" (within {fmt.digits(factor, 2)}x)" if factor >= VAGUE else ""


def _band(card: Card) -> str:
    low, high = (fmt.digits(math.exp(end), 2) for end in (-card.low_log, card.high_log))
    return f"÷{low} to x{high}"
