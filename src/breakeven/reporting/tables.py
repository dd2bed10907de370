"""The record's rows as short strings, once for every face that has tables.

Owns which rows and columns a person sees, and in which words; terminal and markdown lay the same strings
out. Escapes nothing and computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from breakeven.analysing import words
from breakeven.analysing.baseline import is_cpu
from breakeven.analysing.break_even import BreakEven
from breakeven.analysing.intervals import LEVEL, MIN_ROUNDS
from breakeven.analysing.record import Report
from breakeven.analysing.words import joined

MAX_ROWS = 120
"""Longer tables are cut, and say so; ``summary.csv`` is never cut."""


@dataclass(frozen=True)
class Table:
    """A titled table of strings, its first column the widest; `cut` counts the rows left out."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cut: int = 0


def tables(report: Report) -> list[Table]:
    """Return the summary: for each machine and candidate its speedups and break-evens in the headline phase.

    Where nothing could be compared, the medians of all cases stand instead.
    """
    if report.headline is None:
        return [_medians(report)] if report.judged else []
    found = []
    for machine in report.machines:
        lines = [
            row
            for row in report.break_evens
            if row.class_id == machine.class_id and row.phase == report.headline
        ]
        for candidate in dict.fromkeys(row.candidate for row in lines):
            of_candidate = [row for row in lines if row.candidate == candidate]
            title = f"{report.headline}: {_pair(report, of_candidate[0])}"
            found.append(_speedups(report, of_candidate, title))
            found.append(_break_evens(of_candidate, title))
    return found


def _pair(report: Report, line: BreakEven) -> str:
    """Return ``cuda against cpu``, with the machines where there are several."""
    pair = f"{line.candidate} against {line.baseline}"
    if line.baseline_class_id != line.class_id:
        return (
            f"{line.candidate} on {report.label(line.class_id)} against {line.baseline} on "
            f"{report.label(line.baseline_class_id)}"
        )
    return f"{pair} on {report.label(line.class_id)}" if len(report.machines) > 1 else pair


def outcome_lines(report: Report) -> list[str]:
    """Return a line for each way and reason in which cases gave no timing, with the cases it concerns."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in report.outcomes.to_dict("records"):
        known = row["workload"] is not None and row["device"] is not None
        batch = None if row["batch_size"] is None else f"batch={row['batch_size']}"
        parts = (row["workload"], row["axes"], batch, row["phase"], row["device"])
        name = " ".join(str(part) for part in parts if part) if known else row["fullname"]
        groups.setdefault((row["outcome"], row["reason"]), []).append(name or "an unnamed case")
    return [
        f"{words.plural(len(names), 'case')} {outcome} ({joined(names)}): {reason or 'no reason recorded'}"
        for (outcome, reason), names in groups.items()
    ]


def how_made(report: Report, version: str) -> list[str]:
    """Return how the numbers came about: the files, the machines, the method."""
    rounds = int(report.cases["n"].sum()) if report.judged else 0
    files = [
        " ".join(
            filter(None, (source.path, f"({source.datetime[:19]}, commit {source.commit[:12] or 'unknown'})"))
        )
        for source in report.sources
    ]
    replicate = (
        "runs" if any(_runs_of(report, machine.class_id) > 1 for machine in report.machines) else "rounds"
    )
    lines = [
        f"breakeven {version} from {joined(files)}",
        f"measured on {joined([machine.label for machine in report.machines])}: "
        f"{words.plural(len(report.cases), 'case')}, {words.plural(rounds, 'round')}",
        f"medians with {LEVEL:.0%} intervals by order statistics, widened by the rounds' autocorrelation; "
        f"speedups and break-evens by a seeded bootstrap over {replicate}; fewer than {MIN_ROUNDS} rounds "
        "give none",
    ]
    for row in report.closures:
        if row.excess > 0 and not is_cpu(row.device):
            lines.append(
                f"{row.device}: the phases' sum is {row.excess:.0%} above train (median of "
                f"{words.plural(row.cells, 'cell')}); that is what synchronising after every phase costs"
            )
    return lines


def model_name(workload: str, axes: str) -> str:
    """Return how a workload with its axes is called in a table."""
    return f"{workload} {axes}" if axes else workload


def _runs_of(report: Report, class_id: str) -> int:
    return sum(source.class_id == class_id for source in report.sources)


def _speedups(report: Report, lines: Sequence[BreakEven], title: str) -> Table:
    keys = ["class_id", "workload", "axes", "batch_size", "phase", "device"]
    times = {
        tuple(row[key] for key in keys): (_time(row), str(row["n"]))
        for row in report.cases.to_dict("records")
    }
    wanted = [row for line in lines for row in line.rows]
    rows = []
    for row in wanted[:MAX_ROWS]:
        cell = (row.workload, row.axes, row.batch_size, row.phase)
        base = times[row.baseline_class_id, *cell, row.baseline]
        cand = times[row.class_id, *cell, row.candidate]
        between = words.ratio_between(row.low, row.high)
        rows.append(
            (
                model_name(row.workload, row.axes),
                str(row.batch_size),
                base[0],
                cand[0],
                base[1] if base[1] == cand[1] else f"{base[1]}/{cand[1]}",
                f"{words.ratio(row.speedup)} {between}".strip() or "unknown",
                row.verdict,
            )
        )
    columns = ("model", "batch", lines[0].baseline, lines[0].candidate, "n", "speedup", "verdict")
    return Table(title, columns, tuple(rows), len(wanted) - len(rows))


def _break_evens(lines: Iterable[BreakEven], title: str) -> Table:
    rows = tuple((model_name(line.workload, line.axes), *break_even_words(line)) for line in lines)
    return Table(f"break-even, {title}", ("model", "break-even batch", "status"), rows)


def break_even_words(line: BreakEven) -> tuple[str, str]:
    """Return the batch size with its interval, and the status in words."""
    found, status = line.crossing, line.crossing.status.replace("_", " ")
    if found.batch_size is not None:
        between = words.batch_between(found.low, found.high, line.batches[0], line.batches[-1])
        return f"{words.batch(found.batch_size)} {between}", status
    low, high = found.bracket
    if status == "always":
        return f"from {line.batches[0]} on", status
    if status == "beyond range":
        return f"above {line.batches[-1]}", status
    if status == "undecided" and high is not None:
        return (f"at most {high}" if low is None else f"{low} to {high}"), status
    return "", status


def _medians(report: Report) -> Table:
    records = report.cases.to_dict("records")
    rows = tuple(
        (
            model_name(row["workload"], row["axes"]),
            str(row["batch_size"]),
            row["phase"],
            row["device"],
            _time(row),
            str(row["n"]),
        )
        for row in records[:MAX_ROWS]
    )
    return Table(
        "medians", ("model", "batch", "phase", "device", "median", "n"), rows, len(records) - len(rows)
    )


def _time(row: dict[str, object] | dict[object, object]) -> str:
    """Return a median with the half-width of its interval, in percent of the median."""
    median, low, high = (row[key] for key in ("median_s", "low_s", "high_s"))
    if not isinstance(median, float):
        return ""
    if not isinstance(low, float) or not isinstance(high, float) or median == 0:
        return words.seconds(median)
    percent = (high - low) / 2 / median * 100
    return f"{words.seconds(median)} ±{words.digits(percent, 1) if percent < 9.5 else f'{percent:.0f}'}%"
