"""The speedups and break-evens that the answer is about, as tables of short strings.

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
from breakeven.report.what_if import counterpart

AT_BEST = "at best"


def tables(report: Report) -> list[Table]:
    """Return the summary: the speedups of each candidate that the verdict is about, and its break-evens.

    If nothing could be compared, return the medians of all cases instead.
    """
    if report.headline is None:
        return [_medians(report)] if report.rows else []
    rows = {row.key: row for row in report.rows}
    found = []
    for lines in _headline_groups(report):
        title = f"{report.headline}: {pair_name(report, lines[0])}{_processes(lines)}"
        found += [_speedups(rows, lines, title), _break_evens(report, lines)]
    return found


def break_even_tables(report: Report) -> list[Table]:
    """Return the break-evens of each candidate that the verdict is about, one table each."""
    return [_break_evens(report, lines) for lines in _headline_groups(report)]


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


def _speedups(rows: Mapping[CaseKey, CaseRow], lines: Sequence[BreakEven], title: str) -> Table:
    wanted = [row for line in lines for row in line.rows]
    shown = [_speedup_row(rows, row) for row in wanted[:MAX_ROWS]]
    if any(row[-1].endswith("*") for row in shown):
        title = f"{title} (* disturbed, which may have changed the verdict)"
    first = lines[0]
    columns = ("model", "batch", first.baseline.device, first.candidate.device, "n", "speedup", "verdict")
    return Table(title, columns, tuple(shown), len(wanted) - len(shown))


def _speedup_row(rows: Mapping[CaseKey, CaseRow], row: Speedup) -> tuple[str, ...]:
    base, candidate = rows[row.baseline], rows[row.candidate]
    counts = dict.fromkeys((str(base.estimate.n), str(candidate.estimate.n)))
    return (
        row.model.label(),
        str(row.batch_size),
        time_text(base.estimate),
        time_text(candidate.estimate),
        "/".join(counts),
        speedup_text(row) or "unknown",
        f"{row.verdict} *" if row.is_doubtful else str(row.verdict),
    )


def _break_evens(report: Report, lines: Sequence[BreakEven]) -> Table:
    """Return the batch size from which each model's candidate wins, as measured and in other scenarios."""
    changed = {(row.scenario, counterpart(row.line)): row.other for row in report.what_ifs}
    here = {counterpart(line) for line in lines}
    scenarios = list(dict.fromkeys(scenario for scenario, name in changed if name in here))
    rows = []
    for line in lines:
        others = [changed.get((scenario, counterpart(line))) for scenario in scenarios]
        cells = ["" if other is None else _wins_from(other) for other in others]
        rows.append((report.names[line.model], _wins_from(line), _best(line), *cells))
    names = (name.removeprefix("with the data ") for name in scenarios)
    columns = ("model", "faster from batch", AT_BEST, *names)
    return Table(f"break-even: {pair_name(report, lines[0])}", columns, tuple(rows))


def _wins_from(line: BreakEven) -> str:
    return line.crossing.describe_briefly(line.batches)


def _best(line: BreakEven) -> str:
    known = [row for row in line.rows if row.speedup is not None]
    if not known:
        return ""
    row = max(known, key=lambda row: row.speedup or 0)
    return f"{speedup_text(row)} at {row.batch_size}"


def _medians(report: Report) -> Table:
    rows = tuple(
        (
            row.key.model.label(),
            str(row.key.batch_size),
            row.key.phase,
            row.key.device,
            time_text(row.estimate),
            str(row.estimate.n),
        )
        for row in report.rows[:MAX_ROWS]
    )
    columns = ("model", "batch", "phase", "device", "median", "n")
    return Table("medians", columns, rows, len(report.rows) - len(rows))
