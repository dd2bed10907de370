"""What bounds each epoch, as a table of short strings."""

from __future__ import annotations

from dataclasses import replace

from breakeven import format as fmt
from breakeven.render.table import Table
from breakeven.report.loading import Loading
from breakeven.report.report import Report

_COLUMNS = (
    "model", "batch", "device", "train", "load", "epoch", "waiting", "bounded by", "workers", "would feed it",
    "start of a pass", "machine",
)  # fmt: skip
_OPTIONAL = ("load", "epoch", "waiting", "workers", "would feed it", "start of a pass")


def loading_table(report: Report) -> Table | None:
    """Return the seconds of a batch in training, loading and an epoch, and what bounds the epoch."""
    rows = tuple(_row(report, row) for row in report.loadings)
    table = Table("What bounds an epoch", _COLUMNS, rows)
    for name in _OPTIONAL:
        if not any(cells[table.columns.index(name)] for cells in table.rows):
            table = table.without(name)
    table = table if len(report.machines) > 1 else table.without("machine")
    return replace(table, words=(*table.words, "bounded by")) if rows else None


def _row(report: Report, row: Loading) -> tuple[str, ...]:
    needed = row.workers_needed
    return (
        report.names[row.key.model],
        fmt.batch_size(row.key.batch_size),
        row.key.device,
        fmt.seconds(row.train_s),
        fmt.seconds(row.load_s),
        fmt.seconds(row.epoch_s),
        "" if row.loader_share is None else fmt.percent(row.loader_share),
        "undecided" if row.bound is None else str(row.bound),
        "" if row.workers is None else str(row.workers),
        "" if needed is None else str(needed),
        _start(row),
        report.labels[row.key.machine],
    )


def _start(row: Loading) -> str:
    """Return what starting adds to a pass, with its share of the pass, empty where it is unknown."""
    share = "" if row.start_share is None else f" ({fmt.percent(row.start_share)})"
    return "" if row.start_extra_s is None else f"{fmt.seconds(row.start_extra_s)}{share}"
