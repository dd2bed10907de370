"""The scaling of devices of several processes as a table."""

from __future__ import annotations

from breakeven import format as fmt
from breakeven.device_names import processes_of
from breakeven.render.table import MAX_ROWS, Table
from breakeven.report.report import Report
from breakeven.report.scaling import ScalingRow
from breakeven.report.scaling_text import scaling_name, share_text


def scaling_tables(report: Report) -> list[Table]:
    """Return the efficiency and the communication of each training step; nothing without any."""
    rows = [_row(report, row) for row in report.scaling.rows[:MAX_ROWS]]
    columns = ("machine", "model", "device", "scaling", "batch", "per process", "efficiency", "communication")
    cut = len(report.scaling.rows) - len(rows)
    words = ("machine", "model", "device", "scaling")
    table = Table("Every training step on several devices", columns, tuple(rows), cut, words)
    if len(report.machines) < 2:
        table = table.without("machine")
    return [table] if rows else []


def _row(report: Report, row: ScalingRow) -> tuple[str, ...]:
    batch = row.key.batch_size
    return (
        report.labels[row.key.machine],
        scaling_name(row, report.names),
        row.key.device,
        str(row.kind),
        fmt.batch_size(batch),
        fmt.batch_size(batch // (processes_of(row.key.device) or 1)),
        share_text(row.efficiency) or "unknown",
        share_text(row.communication) or "unknown",
    )
