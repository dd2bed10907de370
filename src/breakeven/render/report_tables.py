"""The report's tables as short strings, for page, terminal and markdown, which only lay them out.

Only tables of cells or cases are cut; their other rows are in ``summary.csv``. Tables of models or machines
are always complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from breakeven import format as fmt
from breakeven.case import CaseKey, Line
from breakeven.device_names import device_order, is_cpu
from breakeven.grouping import grouped
from breakeven.phases import HEADLINE
from breakeven.render.table import MAX_ROWS, Table
from breakeven.report.break_even import BreakEven
from breakeven.report.case_rows import CaseRow
from breakeven.report.changes import wins_from
from breakeven.report.details import flat, once, reach
from breakeven.report.processes import phase_sentences
from breakeven.report.report import Report
from breakeven.report.speedup import Speedup
from breakeven.report.startup_cost import Payback
from breakeven.report.text import SKEWED, headline_lines, speedup_text, steps_to_pay_back, time_text
from breakeven.report.throughput import Rate
from breakeven.report.variants import Variant
from breakeven.stats.intervals import LEVEL, MIN_ROUNDS
from breakeven.stats.processes import MIN_BOOTSTRAP_PROCESSES

DISTURBED, SLOW = "*", "†"
"""Marks beside a verdict, which the title of their table explains."""

AT_BEST = "at best"
PLAIN, VARIANT_TIME, ONCE, PAID_BACK = "plain", "variant's", "once", "paid back after steps"
_VARIANT_COLUMNS = ("model", "batch", "variant", PLAIN, VARIANT_TIME, "speedup", "verdict", ONCE, PAID_BACK)


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
        found += [_speedups(report, rows, lines, title), _break_evens(report, lines)]
    return found


def break_even_tables(report: Report) -> list[Table]:
    """Return the break-evens of each candidate that the verdict is about, one table each."""
    return [_break_evens(report, lines) for lines in _headline_groups(report)]


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
        title = f"What bounds {device}{_on(report, machine)}"
        table = Table(title, ("model", "bounded", "flat up to batch"), tuple(cells))
        found.append(replace(table, words=(*table.words, "bounded")))
    return found


def variant_tables(report: Report) -> list[Table]:
    """Return the speedup of each variant over the plain form on each device, and its one-time cost."""
    found = []
    for (device, machine), rows in grouped((row.place, row) for row in report.variants).items():
        title = f"Variants on {device}{_on(report, machine)}"
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


def pair_name(report: Report, line: BreakEven) -> str:
    """Return ``cuda against cpu``, with the machines where there are several."""
    candidate, baseline = line.candidate, line.baseline
    if baseline.machine != candidate.machine:
        home, away = report.labels[candidate.machine], report.labels[baseline.machine]
        return f"{candidate.device} on {home} against {baseline.device} on {away}"
    return f"{candidate.device} against {baseline.device}{_on(report, candidate.machine)}"


def outcome_lines(report: Report) -> list[str]:
    """Return a line for each outcome and reason without a timing, with its cases."""
    groups = grouped(
        ((one.outcome, one.reason), _case_name(one.key) if one.key else one.fullname or "an unnamed case")
        for one in report.outcomes
    )
    return [
        f"{fmt.plural(len(names), 'case')} {outcome} ({fmt.joined(names)}): {reason or 'no reason recorded'}"
        for (outcome, reason), names in groups.items()
    ]


def how_made(report: Report, version: str) -> list[str]:
    """Return how the numbers were obtained: the files, the machines, the methods."""
    rounds = sum(row.estimate.n for row in report.rows)
    files = [
        f"{run.path} ({run.datetime[:19]}, commit {run.commit[:12] or 'unknown'})" for run in report.runs
    ]
    lines = [
        f"breakeven {version} from {fmt.joined(files)}",
        f"measured on {fmt.joined([machine.label for machine in report.machines])}: "
        f"{fmt.plural(len(report.rows), 'case')}, {fmt.plural(rounds, 'round')}",
        *_methods(report),
        *phase_sentences(report.machines, [row.estimate for row in report.rows]),
    ]
    for row in report.residuals:
        if row.median > 0 and not is_cpu(row.device):
            lines.append(
                f"{row.device}: the phase sum is {row.median:.0%} above train (median of "
                f"{fmt.plural(row.cells, 'cell')}); that is what synchronizing after every phase costs"
            )
    return lines


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


def _on(report: Report, machine: str) -> str:
    return f" on {report.labels[machine]}" if len(report.machines) > 1 else ""


def _case_name(key: CaseKey) -> str:
    return f"{key.model.label()} batch={key.batch_size} {key.phase} {key.device}"


def _payback_row(report: Report, payback: Payback) -> tuple[str, ...]:
    key, is_longer = payback.row.candidate, payback.start_s > 0
    return (
        report.labels[key.machine],
        key.device,
        key.model.label(),
        str(key.batch_size),
        fmt.seconds(payback.start_s) if is_longer else "not longer",
        steps_to_pay_back(payback) if is_longer else "none",
    )


def _variant_row(variant: Variant) -> tuple[str, ...]:
    return (
        variant.sizes.label(),
        str(variant.row.batch_size),
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


def _methods(report: Report) -> list[str]:
    """Return how medians, speedups and their intervals are computed, one line per method."""
    counts = {row.estimate.processes for row in report.rows}
    ways = (
        (
            "one process",
            any(count == 1 for count in counts),
            f"medians with {LEVEL:.0%} intervals by order statistics, widened by the rounds' "
            "autocorrelation; speedups and break-evens by a seeded bootstrap over rounds; fewer than "
            f"{MIN_ROUNDS} rounds have none",
        ),
        (
            f"2 to {MIN_BOOTSTRAP_PROCESSES - 1} processes",
            any(1 < count < MIN_BOOTSTRAP_PROCESSES for count in counts),
            f"medians of the processes' medians with {LEVEL:.0%} intervals by Student's distribution over "
            "processes, the variance improved by that of similar cases; speedups by the ratios within each "
            "process; break-evens are drawn with a seed",
        ),
        (
            f"{MIN_BOOTSTRAP_PROCESSES} processes or more",
            any(count >= MIN_BOOTSTRAP_PROCESSES for count in counts),
            f"medians of the processes' medians with {LEVEL:.0%} intervals, speedups and break-evens by a "
            "seeded bootstrap over processes",
        ),
    )
    used = [(cases, text) for cases, is_used, text in ways if is_used]
    return [f"cases of {cases}: {text}" if len(used) > 1 else text for cases, text in used]


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
    columns = ("model", "batch", first.baseline.device, first.candidate.device, "n", "speedup", "verdict")
    return Table(title, columns, tuple(shown), len(wanted) - len(shown))


def _speedup_row(rows: Mapping[CaseKey, CaseRow], row: Speedup, has_slow_base: bool) -> tuple[str, ...]:
    base, candidate = rows[row.baseline], rows[row.candidate]
    counts = dict.fromkeys((str(base.estimate.n), str(candidate.estimate.n)))
    return (
        row.model.label(),
        str(row.batch_size),
        time_text(base.estimate),
        time_text(candidate.estimate),
        "/".join(counts),
        speedup_text(row) or "unknown",
        f"{row.verdict}{f' {DISTURBED}' if row.is_doubtful else ''}{f' {SLOW}' if has_slow_base else ''}",
    )


def _break_evens(report: Report, lines: Sequence[BreakEven]) -> Table:
    """Return the batch size from which each model's candidate wins; a better baseline is named."""
    rows = [(named_model(report, line), wins_from(line), _best(line)) for line in lines]
    columns = ("model", "faster from batch", AT_BEST)
    return Table(f"break-even: {pair_name(report, lines[0])}", columns, tuple(rows))


def named_model(report: Report, line: BreakEven) -> str:
    """Return a model's name, with what would be faster than its baseline."""
    better = report.better_baselines.get(line.candidate)
    name = report.names[line.model]
    return f"{name} ({better.text})" if better else name


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


def _longest_s(rows: Iterable[CaseRow]) -> float:
    return max(row.estimate.median_s for row in rows)
