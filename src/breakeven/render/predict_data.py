"""A prediction as CSV and JSON, in full precision and base units; unknown values are empty or null."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from breakeven.case import SCHEMA, Model
from breakeven.predict.break_even import PredictedBreakEven
from breakeven.predict.cards import Card
from breakeven.predict.cells import PredictedCell
from breakeven.predict.costs import TrainingCost
from breakeven.predict.prediction import NotPredicted, Predictions
from breakeven.predict.rent import Rent
from breakeven.render.json_output import Amount, Batch, JsonOutput, Name, Ratio, Version, json_text
from breakeven.render.report_data import csv_cell
from breakeven.report.speedup import DeviceVerdict
from breakeven.stats.crossing import CrossingStatus

Size = Annotated[float, Meta(ge=1)]

COLUMNS = (
    "workload", "axes", "batch_size", "machine", "baseline", "baseline_s", "predicted_s", "low_s", "high_s",
    "speedup", "low", "high", "verdict",
)  # fmt: skip
"""The columns of ``predictions.csv``, which the cells of the JSON have too."""


class PredictedCellJson(JsonOutput):
    """A predicted training step on a machine, and its speedup over the measured baseline, with 90% bands.

    `widened` are the reasons why a band is wider than usual.
    """

    workload: Name
    axes: dict[str, Any]
    batch_size: Batch
    machine: Name
    baseline: Name
    baseline_s: Ratio
    predicted_s: Ratio
    low_s: Ratio
    high_s: Ratio
    speedup: Ratio
    low: Ratio
    high: Ratio
    verdict: DeviceVerdict
    widened: list[Name]


class PredictedBreakEvenJson(JsonOutput):
    """The range of batch sizes in which the machine is predicted to begin to beat the baseline.

    An end that is null is outside of the measured batch sizes.
    """

    workload: Name
    axes: dict[str, Any]
    machine: Name
    baseline: Name
    status: CrossingStatus
    low: Size | None
    high: Size | None


class TrainingJson(JsonOutput):
    """The hours and the dollars of a training of `steps` steps, with 90% bands.

    `place` is a predicted machine, or the measured device.
    """

    workload: Name
    axes: dict[str, Any]
    batch_size: Batch
    place: Name
    is_predicted: bool
    hours: Amount
    low_hours: Amount
    high_hours: Amount
    usd: Amount | None
    low_usd: Amount | None
    high_usd: Amount | None


class RentCellJson(JsonOutput):
    """A cell to time on the machine: its band includes 1, or a break-even is beside it."""

    workload: Name
    axes: dict[str, Any]
    batch_size: Batch


class RentJson(JsonOutput):
    """What settles what is open of a machine: minutes on one, which are an estimate, a command, its cells."""

    machine: Name
    minutes: Batch
    command: Name
    cells: list[RentCellJson]


class NotPredictedJson(JsonOutput):
    """Cells that were not predicted, and why."""

    workload: Name
    axes: dict[str, Any]
    batch_sizes: list[Batch]
    reason: Name


class CardJson(JsonOutput):
    """What predicts a machine: rates in base units, fitted from its runs; the ends of its 90% band."""

    name: Name
    hardware: Name
    class_id: Name
    device: Name
    launch_s: Ratio
    flops_per_s: dict[str, float]
    bytes_per_s: Ratio
    copied_bytes_per_s: Ratio
    band_low: Ratio
    band_high: Ratio
    cells: Batch
    models: Batch


class PredictionJson(JsonOutput):
    """What `breakeven predict --format json` prints; it is a prediction, which no other command reads.

    `break_even_usd` exists only with `--price`, `steps` and `trainings` only with `--steps`.
    """

    schema: Version
    predicted: Literal[True]
    verdict: Name
    cells: list[PredictedCellJson]
    break_even: list[PredictedBreakEvenJson]
    rent: list[RentJson]
    not_predicted: list[NotPredictedJson]
    cards: list[CardJson]
    warnings: list[Name]
    break_even_usd: list[PredictedBreakEvenJson] | UnsetType = UNSET
    steps: Batch | UnsetType = UNSET
    trainings: list[TrainingJson] | UnsetType = UNSET


class CardsJson(JsonOutput):
    """What `breakeven predict --format json` prints without `--on`: the cards that come with breakeven."""

    schema: Version
    cards: list[CardJson]


def to_json(found: Predictions) -> str:
    """Return the prediction as JSON: finite numbers or null, strings as the run file has them."""
    dollars, trainings = found.break_evens_usd, found.trainings
    return json_text(
        PredictionJson.of(
            found,
            schema=SCHEMA,
            predicted=True,
            cells=[_cell(one) for one in found.cells],
            break_even=_break_evens(found, found.break_evens),
            rent=[_rent(one) for one in found.rents],
            not_predicted=[_not_predicted(one, model) for one in found.not_predicted for model in one.models],
            cards=[_card(one) for one in found.cards],
            break_even_usd=UNSET if dollars is None else _break_evens(found, dollars),
            steps=UNSET if found.steps is None else found.steps,
            trainings=UNSET if trainings is None else [_training(one) for one in trainings],
        )
    )


def to_csv(found: Predictions) -> str:
    """Return a row for each predicted cell, with the columns of `COLUMNS`."""
    places = ((one, (one.cell.workload, one.cell.axes.text)) for one in found.cells)
    return _csv(COLUMNS, [(*ids, *(getattr(one, name) for name in COLUMNS[2:])) for one, ids in places])


def cards_csv(cards: Iterable[Card]) -> str:
    """Return a row for each card."""
    columns = (
        "name",
        "hardware",
        "device",
        "launch_s",
        "bytes_per_s",
        "copied_bytes_per_s",
        "cells",
        "models",
    )
    return _csv(columns, [[getattr(card, name) for name in columns] for card in cards])


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def cards_json(cards: Iterable[Card]) -> str:
    """Return the cards as JSON."""
    return json_text(CardsJson.of(schema=SCHEMA, cards=[_card(one) for one in cards]))


def _cell(one: PredictedCell) -> PredictedCellJson:
    return PredictedCellJson.of(one, one.cell, widened=list(one.widened))


def _break_evens(found: Predictions, lines: Iterable[PredictedBreakEven]) -> list[PredictedBreakEvenJson]:
    return [PredictedBreakEvenJson.of(line, line.model, baseline=found.baseline.device) for line in lines]


def _rent(one: Rent) -> RentJson:
    return RentJson.of(one, cells=[RentCellJson.of(cell.cell) for cell in one.cells])


def _not_predicted(one: NotPredicted, model: Model) -> NotPredictedJson:
    return NotPredictedJson.of(one, model, batch_sizes=list(one.batches))


def _training(one: TrainingCost) -> TrainingJson:
    return TrainingJson.of(one, one.cell)


def _card(card: Card) -> CardJson:
    ends = {"band_low": math.exp(card.low_log), "band_high": math.exp(card.high_log)}
    return CardJson.of(card, flops_per_s=dict(card.flops_per_s), **ends)
