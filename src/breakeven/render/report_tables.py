"""Bottlenecks, variants, payback and machines as tables of short strings, which renderers only lay out.

They are always complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from breakeven import format as fmt
from breakeven.case import Line
from breakeven.device_names import device_order
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.render.summary_tables import on_machine
from breakeven.render.table import Table
from breakeven.report.case_rows import CaseRow
from breakeven.report.details import flat, once, reach
from breakeven.report.report import Report
from breakeven.report.startup_cost import Payback
from breakeven.report.text import SKEWED, speedup_text, steps_to_pay_back, time_text
from breakeven.report.throughput import Rate
from breakeven.report.variants import Variant

PLAIN, VARIANT_TIME, ONCE, PAID_BACK = "plain", "variant's", "once", "paid back after steps"
_VARIANT_COLUMNS = ("model", "batch", "variant", PLAIN, VARIANT_TIME, "speedup", "verdict", ONCE, PAID_BACK)


def payback_table(report: Report) -> Table | None:
    """Return the steps that each model's candidate needs to pay back its start-up time, at its best batch."""
    best: dict[Line, Payback] = {}
    for payback in report.paybacks:
        line = payback.row.candidate.line
        if line not in best or (payback.row.speedup or 0) > (best[line].row.speedup or 0):
            best[line] = payback
    rows = [_payback_row(report, payback) for payback in best.values()]
    columns = ("machine", "device", "model", "batch", "start-up time", "steps to pay it back")
    return Table("Steps to pay back the start-up time", columns, tuple(rows)) if rows else None


def bottleneck_tables(report: Report) -> list[Table]:
    """Return each model's bottlenecks on each accelerator, and how far its time is flat."""
    found = []
    for (device, machine), rows in grouped((row.place, row) for row in report.bottlenecks).items():
        cells = [(report.names[row.line.model], reach(row), flat(row)) for row in rows]
        title = f"What bounds {device}{on_machine(report, machine)}"
        table = Table(title, ("model", "bounded", "flat up to batch"), tuple(cells))
        found.append(replace(table, words=(*table.words, "bounded")))
    return found


def variant_tables(report: Report) -> list[Table]:
    """Return the speedup of each variant over the plain form on each device, and its one-time cost."""
    found = []
    for (device, machine), rows in grouped((row.place, row) for row in report.variants).items():
        title = f"Variants on {device}{on_machine(report, machine)}"
        table = Table(title, _VARIANT_COLUMNS, tuple(map(_variant_row, rows)))
        if not any(map(once, rows)):
            table = table.without(ONCE).without(PAID_BACK)
        found.append(replace(table, words=(*table.words, "variant", ONCE)))
    return found


def machine_tables(report: Report) -> list[Table]:
    """Return the results of all machines in one cell of every workload; nothing for a single machine.

    The cell is the one with the most devices, and of those the one with the most work.
    """
    if len(report.machines) < 2:
        return []
    phase = report.headline or HEADLINE
    order = [machine.class_id for machine in report.machines]
    workloads = grouped(
        (row.key.workload, (row.key.cell, row)) for row in report.rows if row.key.phase == phase
    )
    found = []
    for cells in map(grouped, workloads.values()):
        cell, shared = max(cells.items(), key=lambda item: (len(item[1]), _longest_s(item[1])))
        shared.sort(key=lambda row: (order.index(row.key.machine), device_order(row.key.device)))
        columns = ("machine", "device", "median", "throughput", "speedup", "peak memory")
        title = f"Machines, {phase}: {cell.model.label()} batch={cell.batch_size}"
        found.append(Table(title, columns, tuple(_machine_row(report, row) for row in shared)))
    return found


def rate_text(rate: Rate | None) -> str:
    """Return a rate with the half-width of its interval, empty if unknown."""
    if rate is None:
        return ""
    if rate.low is None or rate.high is None:
        return fmt.scaled(rate.value, rate.unit)
    half = (rate.high - rate.low) / 2 / rate.value
    if half > SKEWED:
        low, high = (fmt.scaled(end, rate.unit) for end in (rate.low, rate.high))
        return f"{fmt.scaled(rate.value, rate.unit)} [{low}–{high}]"
    return f"{fmt.scaled(rate.value, rate.unit)} ±{fmt.percent(half)}"


def _payback_row(report: Report, payback: Payback) -> tuple[str, ...]:
    key, is_longer = payback.row.candidate, payback.start_s > 0
    return (
        report.labels[key.machine],
        key.device,
        key.model.label(),
        fmt.batch_size(key.batch_size),
        fmt.seconds(payback.start_s) if is_longer else "not longer",
        steps_to_pay_back(payback) if is_longer else "none",
    )


def _variant_row(variant: Variant) -> tuple[str, ...]:
    return (
        variant.sizes.label(),
        fmt.batch_size(variant.row.batch_size),
        variant.name,
        fmt.seconds(variant.plain_s),
        fmt.seconds(variant.variant_s),
        speedup_text(variant.row),
        str(variant.row.verdict),
        once(variant),
        steps_to_pay_back(variant.paid_back),
    )


def _machine_row(report: Report, row: CaseRow) -> tuple[str, ...]:
    key, peak = row.key, row.estimate.facts.peak_memory_bytes
    baselines = {(each.baseline.machine, each.baseline.device) for each in report.speedups}
    is_baseline = row.speedup is None and (key.machine, key.device) in baselines
    return (
        report.labels[key.machine],
        key.device,
        time_text(row.estimate),
        rate_text(row.samples),
        "baseline" if is_baseline else speedup_text(row.speedup),
        "not counted" if peak is None else fmt.scaled(peak, "B"),
    )


def _longest_s(rows: Iterable[CaseRow]) -> float:
    return max(row.estimate.median_s for row in rows)
