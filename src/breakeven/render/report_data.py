"""The report as CSV and JSON, in full precision and base units; unknown values are empty or null."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from breakeven.case import SCHEMA, Outcome
from breakeven.render.escaping import csv_text
from breakeven.render.json_output import (
    Amount,
    Batch,
    Count,
    JsonOutput,
    Name,
    Ratio,
    Share,
    Version,
    json_text,
)
from breakeven.report.bottleneck import Bottleneck, BoundCell
from breakeven.report.bound import Bound
from breakeven.report.break_even import BreakEven
from breakeven.report.frame import SUMMARY, values_of
from breakeven.report.loading import EpochBound, Loading
from breakeven.report.money import Cost
from breakeven.report.report import Report
from breakeven.report.scaling import ScalingKind, ScalingRow
from breakeven.report.speedup import DeviceVerdict, Speedup
from breakeven.report.startup_cost import Payback
from breakeven.report.variants import Variant
from breakeven.stats.crossing import CrossingStatus

Size = Annotated[float, Meta(ge=1)]
ComparedPhase = Annotated[Name, Meta(extra_json_schema={"not": {"enum": ["transfer", "load"]}})]
_KINDS = [*(kind for kind in Bound if kind is not Bound.UNMEASURED), None]
MeasuredBound = Annotated[Bound | None, Meta(extra_json_schema={"enum": _KINDS})]
_SIZE_WHERE_IT_CROSSES = {
    "if": {"properties": {"status": {"const": CrossingStatus.CROSSES}}},
    "then": {"properties": {"batch_size": {"type": "number"}}},
    "else": {"properties": {"batch_size": {"type": "null"}}},
}


class PairJson(JsonOutput):
    """A model and phase on two devices."""

    workload: Name
    phase: ComparedPhase
    axes: dict[str, Any]
    baseline: Name
    candidate: Name
    baseline_machine: Name
    candidate_machine: Name


class BreakEvenJson(PairJson):
    """The batch size from which the candidate is faster, null unless the lines cross."""

    status: CrossingStatus
    batch_size: Size | None
    low: Size | None
    high: Size | None
    bracket: tuple[Batch | None, Batch | None]


class CostJson(JsonOutput):
    """What one case costs per step or batch, with its 95% interval, and per million samples."""

    workload: Name
    phase: Name
    axes: dict[str, Any]
    batch_size: Batch
    device: Name
    machine: Name
    usd_per_hour: Ratio
    step_usd: Amount
    low_usd: Amount | None
    high_usd: Amount | None
    million_samples_usd: Amount


class SpeedupJson(PairJson):
    """Baseline time / candidate time, with its 95% interval over the processes that timed both."""

    batch_size: Batch
    processes: Batch
    speedup: Ratio | None
    low: Ratio | None
    high: Ratio | None
    verdict: DeviceVerdict
    flags: list[Name]


class BoundCellJson(JsonOutput):
    """What bounds a step at one batch size: the share of it for which the host queues work."""

    batch_size: Batch
    kind: MeasuredBound
    host_share: Share | None
    low: Share | None
    high: Share | None
    train_s: Ratio
    enqueue_s: Amount | None
    device_time_s: Amount | None


class BottleneckJson(JsonOutput):
    """What bounds a model's steps on one device; they take equally long up to batch size `flat_to`."""

    workload: Name
    axes: dict[str, Any]
    device: Name
    machine: Name
    flat_to: Batch | None
    grows: bool
    cells: Annotated[list[BoundCellJson], Meta(min_length=1)]


class StepsJson(JsonOutput):
    """The steps after which a cost is paid back; `high` is null where they are unbounded."""

    steps: Amount
    low: Amount | None
    high: Amount | None


class VariantJson(JsonOutput):
    """A step's speedup over its plain form on the same device."""

    workload: Name
    axes: dict[str, Any]
    plain_axes: dict[str, Any]
    change: Annotated[dict[str, Any], Meta(min_length=1)]
    batch_size: Batch
    device: Name
    machine: Name
    speedup: Ratio | None
    low: Ratio | None
    high: Ratio | None
    verdict: DeviceVerdict
    flags: list[Name]
    compile_s: Amount | None
    capture_s: Amount | None
    repaid_after: StepsJson | None


class PaybackJson(PairJson):
    """The training steps after which the candidate has made up for its longer start."""

    phase: Literal["train"]
    batch_size: Batch
    start_s: float
    steps: Amount
    low: Amount | None
    high: Amount | None


class OutcomeJson(JsonOutput):
    """A case without a timing, and what is known of it."""

    fullname: str
    outcome: str
    reason: str
    workload: str | None
    phase: str | None
    device: str | None
    batch_size: Batch | None
    axes: dict[str, Any] | None


class ProcessesNeededJson(JsonOutput):
    """Of the `open` break-evens of the verdict, `processes` would decide `decides`; null if unknown."""

    processes: Batch | None
    decides: Count
    open: Batch


class MachineJson(JsonOutput):
    """A machine class: its name in this report, its identity, and its hardware as text."""

    label: Name
    class_id: Name
    hardware: Name


BreakEvenRow = Annotated[BreakEvenJson, Meta(extra_json_schema=_SIZE_WHERE_IT_CROSSES)]


class ScalingJson(JsonOutput):
    """How well a step scales to a device of several processes; `batch_size` is that of all together.

    An efficiency of 1 is ideal. `communication_share` is what communication takes of the step.
    """

    workload: Name
    axes: dict[str, Any]
    device: Name
    machine: Name
    batch_size: Batch
    kind: ScalingKind
    efficiency: Ratio | None
    low: Ratio | None
    high: Ratio | None
    communication_share: float | None
    communication_low: float | None
    communication_high: float | None


class LoadingJson(JsonOutput):
    """What bounds a cell's epoch on one device; all times are per batch.

    `bound` is null where that is undecided, and so is `workers_needed`, how many would feed the device.
    `workers` are those of the loader. `load_ratio` is `load_s` divided by `train_s`. `start_s` is the time to
    the first batch of a pass over the data, and `start_share` the part of the pass that starting adds to it.
    """

    workload: Name
    axes: dict[str, Any]
    batch_size: Batch
    device: Name
    machine: Name
    bound: EpochBound | None
    train_s: Ratio
    load_s: Amount | None
    epoch_s: Amount | None
    load_ratio: Amount | None
    low: Amount | None
    high: Amount | None
    loader_share: Share | None
    workers: Count | None
    workers_needed: Batch | None
    start_s: Amount | None
    start_share: Share | None


class ReportJson(JsonOutput):
    """What `breakeven report --format json` prints.

    `scaling` exists only where devices of several processes were timed, `loading` only where a loader was,
    the last three only with `--price` or `--worth`.
    """

    schema: Version
    verdict: Name
    machines: Annotated[list[MachineJson], Meta(min_length=1)]
    break_even: list[BreakEvenRow]
    speedup: list[SpeedupJson]
    bounds: list[BottleneckJson]
    variants: list[VariantJson]
    repay: list[PaybackJson]
    outcomes: list[OutcomeJson]
    warnings: list[Name]
    processes_needed: ProcessesNeededJson | None
    scaling: list[ScalingJson] | UnsetType = UNSET
    loading: list[LoadingJson] | UnsetType = UNSET
    break_even_usd: list[BreakEvenRow] | UnsetType = UNSET
    dollars: list[CostJson] | UnsetType = UNSET
    break_even_worth: list[BreakEvenRow] | UnsetType = UNSET


def to_csv(report: Report) -> str:
    """Return a row a case with the columns of `SUMMARY`, seconds in full precision, flags space-separated."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(SUMMARY)
    for row in report.rows:
        writer.writerow(map(csv_cell, values_of(row, report.labels)[: len(SUMMARY)]))
    return stream.getvalue()


def to_json(report: Report) -> str:
    """Return the report as JSON: finite numbers or null, strings as the run file has them."""
    needed, dollars, worth = report.processes_needed, report.in_dollars, report.worth
    return json_text(
        ReportJson.of(
            report,
            schema=SCHEMA,
            machines=[MachineJson.of(machine) for machine in report.machines],
            break_even=_break_evens(report, (*report.break_evens, *report.scaling.break_evens)),
            speedup=[SpeedupJson.of(row, row.model, **_pair(report, row)) for row in report.speedups],
            bounds=[_bottleneck(report, row) for row in report.bottlenecks],
            variants=[_variant(report, row) for row in report.variants],
            repay=[_payback(report, row) for row in report.paybacks],
            outcomes=[_outcome(outcome) for outcome in report.outcomes],
            processes_needed=None if needed is None else ProcessesNeededJson.of(needed),
            scaling=[_scaling(report, row) for row in report.scaling.rows] or UNSET,
            loading=[_loading(report, row) for row in report.loadings] or UNSET,
            break_even_usd=UNSET if dollars is None else _break_evens(report, dollars.break_evens),
            dollars=UNSET if dollars is None else [_cost(report, cost) for cost in dollars.costs],
            break_even_worth=UNSET if worth is None else _break_evens(report, worth.break_evens),
        )
    )


def csv_cell(value: object) -> object:
    """Return a value in full precision, empty for None, as a text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return csv_text(" ".join(map(str, value)))
    return value if isinstance(value, int) else csv_text(value)


def _pair(report: Report, row: BreakEven | Speedup) -> dict[str, str]:
    return {
        "baseline": row.baseline.device,
        "candidate": row.candidate.device,
        "baseline_machine": report.labels[row.baseline.machine],
        "candidate_machine": report.labels[row.candidate.machine],
    }


def _break_evens(report: Report, rows: Iterable[BreakEven]) -> list[BreakEvenJson]:
    return [BreakEvenJson.of(row.crossing, row, row.model, **_pair(report, row)) for row in rows]


def _cost(report: Report, cost: Cost) -> CostJson:
    return CostJson.of(cost, cost.key, machine=report.labels[cost.key.machine])


def _scaling(report: Report, row: ScalingRow) -> ScalingJson:
    shares = row.communication
    return ScalingJson.of(
        row,
        row.efficiency,
        row.key,
        machine=report.labels[row.key.machine],
        efficiency=row.efficiency.ratio,
        communication_share=shares.ratio,
        communication_low=shares.low,
        communication_high=shares.high,
    )


def _loading(report: Report, row: Loading) -> LoadingJson:
    machine = report.labels[row.key.machine]
    return LoadingJson.of(row, row.ratio, row.key, machine=machine, load_ratio=row.ratio.ratio)


def _bottleneck(report: Report, row: Bottleneck) -> BottleneckJson:
    machine = report.labels[row.line.machine]
    cells = [_bound_cell(cell) for cell in row.cells]
    return BottleneckJson.of(row, row.line, row.line.model, machine=machine, cells=cells)


def _bound_cell(cell: BoundCell) -> BoundCellJson:
    kind = None if cell.kind is Bound.UNMEASURED else cell.kind
    return BoundCellJson.of(cell, cell.facts, kind=kind, host_share=cell.share)


def _variant(report: Report, variant: Variant) -> VariantJson:
    key = variant.row.candidate
    return VariantJson.of(
        variant,
        variant.row,
        key,
        plain_axes=variant.row.baseline.axes,
        machine=report.labels[key.machine],
        repaid_after=None if variant.paid_back is None else StepsJson.of(variant.paid_back),
    )


def _payback(report: Report, payback: Payback) -> PaybackJson:
    return PaybackJson.of(payback, payback.row, payback.row.model, **_pair(report, payback.row))


def _outcome(outcome: Outcome) -> OutcomeJson:
    """Return a case without a timing; its identity is null where the run file does not have it."""
    names = ("workload", "phase", "device", "batch_size", "axes")
    return OutcomeJson.of(outcome, **{name: getattr(outcome.key, name, None) for name in names})
