"""The speedups that the answer is about, as tables of short strings.

Only tables of cells or cases are cut; their other rows are in ``summary.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from breakeven import format as fmt
from breakeven.case import CaseKey
from breakeven.device_names import is_cpu
from breakeven.grouping import grouped
from breakeven.render.table import MAX_ROWS, Table
from breakeven.report.break_even import BreakEven
from breakeven.report.case_rows import CaseRow
from breakeven.report.report import Report
from breakeven.report.speedup import Speedup
from breakeven.report.text import headline_lines, speedup_text, time_text
from breakeven.report.throughput import sample_count

DISTURBED, SLOW = "*", "†"
"""Marks beside a verdict, which the title of their table explains."""

SAMPLES = "samples per step"
"""A column where a step takes several batches."""


def tables(report: Report) -> list[Table]:
    """Return the speedups of each candidate that the answer is about.

    If nothing could be compared, return the medians of all cases instead.
    """
    if report.headline is None:
        return [_medians(report)] if report.rows else []
    rows = {row.key: row for row in report.rows}
    found = []
    for lines in _headline_groups(report):
        title = f"{report.headline}: {pair_name(report, lines[0])}{_processes(lines)}"
        found.append(_speedups(report, rows, lines, title))
    return found


def pair_name(report: Report, line: BreakEven) -> str:
    """Return ``cuda against cpu``, with the machines where there are several."""
    candidate, baseline = line.candidate, line.baseline
    if baseline.machine != candidate.machine:
        home, away = report.labels[candidate.machine], report.labels[baseline.machine]
        return f"{candidate.device} on {home} against {baseline.device} on {away}"
    return f"{candidate.device} against {baseline.device}{on_machine(report, candidate.machine)}"


def on_machine(report: Report, machine: str) -> str:
    """Return ``on LABEL`` after a space where there are several machines, else nothing."""
    return f" on {report.labels[machine]}" if len(report.machines) > 1 else ""


def _headline_groups(report: Report) -> list[list[BreakEven]]:
    """Return the lines of the headline phase that the verdict is about, by machine and candidate."""
    lines = headline_lines(report.machines, report.break_evens, report.headline)
    groups = grouped(((line.candidate.machine, line.candidate.device), line) for line in lines)
    return sorted(groups.values(), key=lambda group: is_cpu(group[0].candidate.device))


def _processes(lines: Sequence[BreakEven]) -> str:
    counts = {row.processes for line in lines for row in line.rows} or {1}
    return "" if counts == {1} else f", {fmt.number_range(min(counts), max(counts))} processes"


def _speedups(
    report: Report, rows: Mapping[CaseKey, CaseRow], lines: Sequence[BreakEven], title: str
) -> Table:
    wanted = [row for line in lines for row in line.rows]
    slow = {(line, batch) for line, one in report.better_baselines.items() for batch in one.batches}
    shown = [
        _speedup_row(rows, row, (row.candidate.line, row.batch_size) in slow) for row in wanted[:MAX_ROWS]
    ]
    first = lines[0]
    marks = {
        DISTURBED: "disturbed, which may have changed the verdict",
        SLOW: f"{first.baseline.device} is faster in another variant",
    }
    used = {mark for mark in marks for row in shown if mark in row[-1]}
    legend = "; ".join(f"{mark} {text}" for mark, text in marks.items() if mark in used)
    title = f"{title} ({legend})" if legend else title
    columns = (
        "model", "batch", SAMPLES, first.baseline.device, first.candidate.device, "n", "speedup", "verdict",
    )  # fmt: skip
    table = Table(title, columns, tuple(shown), len(wanted) - len(shown))
    return table if any(row[1] != row[2] for row in shown) else table.without(SAMPLES)


def _speedup_row(rows: Mapping[CaseKey, CaseRow], row: Speedup, has_slow_base: bool) -> tuple[str, ...]:
    base, candidate = rows[row.baseline], rows[row.candidate]
    counts = dict.fromkeys((str(base.estimate.n), str(candidate.estimate.n)))
    return (
        row.model.label(),
        fmt.batch_size(row.batch_size),
        fmt.batch_size(sample_count(candidate.estimate)),
        time_text(base.estimate),
        time_text(candidate.estimate),
        "/".join(counts),
        speedup_text(row) or "unknown",
        f"{row.verdict}{f' {DISTURBED}' if row.is_doubtful else ''}{f' {SLOW}' if has_slow_base else ''}",
    )


def _medians(report: Report) -> Table:
    rows = tuple(
        (
            row.key.model.label(),
            fmt.batch_size(row.key.batch_size),
            row.key.phase,
            row.key.device,
            time_text(row.estimate),
            str(row.estimate.n),
        )
        for row in report.rows[:MAX_ROWS]
    )
    columns = ("model", "batch", "phase", "device", "median", "n")
    return Table("medians", columns, rows, len(report.rows) - len(rows))
