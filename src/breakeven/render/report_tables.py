"""The record's rows as short strings, once for every face that has tables.

Owns which rows and columns a person sees, and in which words; page, terminal and markdown lay the same
strings out. Escapes nothing and computes nothing. Only tables of cells or cases are cut, whose rest stands in
``summary.csv``: a row for each model or machine may stand nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from breakeven import format as fmt
from breakeven.device_names import device_order, is_cpu
from breakeven.format import joined
from breakeven.render.table import MAX_ROWS, Table
from breakeven.report.bottleneck import Bounds
from breakeven.report.break_even import BreakEven
from breakeven.report.estimates import KEY
from breakeven.report.report import Report
from breakeven.report.startup_cost import Payback
from breakeven.report.text import spoken_of
from breakeven.report.text_bottleneck import flat, reach
from breakeven.report.throughput import Rate
from breakeven.report.warnings import DISTURBED
from breakeven.report.what_if import name_of
from breakeven.stats.intervals import LEVEL, MIN_ROUNDS, MIN_RUNS

SKEWED = 0.5
"""An interval with a larger half-width, relative to its median, is told by its ends: ± would mislead."""

AT_BEST = "at best"
"""A column of the break-evens, which a narrow face may leave out: the speedups hold it too."""

Row = Mapping[Any, Any]


def tables(report: Report) -> list[Table]:
    """Return the summary: the speedups of each candidate that the verdict speaks of, and its break-evens.

    Where nothing could be compared, the medians of all cases stand instead.
    """
    if report.headline is None:
        return [_medians(report)] if len(report.cases) else []
    times = _times(report)
    found = []
    for lines in _spoken_groups(report):
        title = f"{report.headline}: {pair_name(report, lines[0])}"
        found += [_speedups(times, lines, title), _break_evens(report, lines)]
    return found


def break_even_tables(report: Report) -> list[Table]:
    """Return the break-evens of each candidate that the verdict speaks of, a table each."""
    return [_break_evens(report, lines) for lines in _spoken_groups(report)]


def repay_table(report: Report) -> Table | None:
    """Return after how many steps each model's candidate has earned its start, at its best batch size."""
    best: dict[tuple[str, ...], Payback] = {}
    for payback in report.paybacks:
        row = payback.row
        key = (row.class_id, row.candidate, row.workload, row.axes)
        if key not in best or (row.speedup or 0) > (best[key].row.speedup or 0):
            best[key] = payback
    rows = [_repay_row(report, payback) for payback in best.values()]
    columns = ("machine", "device", "model", "batch", "longer start", "steps to repay it")
    return Table("Steps to repay the start", columns, tuple(rows)) if rows else None


def _repay_row(report: Report, payback: Payback) -> tuple[str, ...]:
    row, owed = payback.row, payback.start_s > 0
    steps = f"{fmt.count(payback.steps)} {fmt.count_between(payback.low, payback.high)}"
    return (
        report.label(row.class_id),
        row.candidate,
        model_name(row.workload, row.axes),
        str(row.batch_size),
        fmt.seconds(payback.start_s) if owed else "no longer",
        steps if owed else "none",
    )


def bound_tables(report: Report) -> list[Table]:
    """Return for each accelerator what bounds each model's training step, and how far its time is flat."""
    groups: dict[tuple[str, str], list[Bounds]] = {}
    for row in report.bounds:
        groups.setdefault((row.class_id, row.device), []).append(row)
    found = []
    for (class_id, device), rows in groups.items():
        where = f" on {report.label(class_id)}" if len(report.machines) > 1 else ""
        cells = [(report.names[row.workload, row.axes], reach(row), flat(row)) for row in rows]
        table = Table(f"What bounds {device}{where}", ("model", "bounded", "flat up to batch"), tuple(cells))
        found.append(replace(table, words=(*table.words, "bounded")))
    return found


def machine_tables(report: Report) -> list[Table]:
    """Return what each machine's devices do in one cell of every workload; nothing for a single machine.

    The cell is the one that most devices share, and of those the one with the most work.
    """
    if len(report.machines) < 2:
        return []
    phase = report.headline or "train"
    bases = {(row.baseline_class_id, row.baseline) for row in report.speedups}
    order = [machine.class_id for machine in report.machines]
    workloads: dict[str, dict[tuple[str, int], list[Row]]] = {}
    for row in report.cases.to_dict("records"):
        if row["phase"] == phase:
            cells = workloads.setdefault(row["workload"], {})
            cells.setdefault((row["axes"], row["batch_size"]), []).append(row)
    found = []
    for workload, cells in workloads.items():
        (axes, batch), shared = max(cells.items(), key=lambda item: (len(item[1]), _longest(item[1])))
        shared.sort(key=lambda row: (order.index(row["class_id"]), device_order(row["device"])))
        columns = ("machine", "device", "median", "throughput", "speedup", "peak memory")
        title = f"Machines, {phase}: {model_name(workload, axes)} batch={batch}"
        found.append(Table(title, columns, tuple(_machine_row(row, bases) for row in shared)))
    return found


def _machine_row(row: Row, bases: set[tuple[str, str]]) -> tuple[str, ...]:
    is_base = row["speedup"] is None and (row["class_id"], row["device"]) in bases
    peak = row["peak_memory_bytes"]
    return (
        row["machine"],
        row["device"],
        _time(row),
        rate_words(row["samples"]),
        "baseline" if is_base else speedup_words(row),
        "not counted" if peak is None else fmt.scaled(peak, "B"),
    )


def pair_name(report: Report, line: BreakEven) -> str:
    """Return ``cuda against cpu``, with the machines where there are several."""
    if line.baseline_class_id != line.class_id:
        home, away = report.label(line.class_id), report.label(line.baseline_class_id)
        return f"{line.candidate} on {home} against {line.baseline} on {away}"
    pair = f"{line.candidate} against {line.baseline}"
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
        f"{fmt.plural(len(names), 'case')} {outcome} ({joined(names)}): {reason or 'no reason recorded'}"
        for (outcome, reason), names in groups.items()
    ]


def how_made(report: Report, version: str) -> list[str]:
    """Return how the numbers came about: the files, the machines, the method."""
    rounds = int(report.cases["n"].sum()) if len(report.cases) else 0
    files = [
        " ".join(
            filter(None, (source.path, f"({source.datetime[:19]}, commit {source.commit[:12] or 'unknown'})"))
        )
        for source in report.sources
    ]
    lines = [
        f"breakeven {version} from {joined(files)}",
        f"measured on {joined([machine.label for machine in report.machines])}: "
        f"{fmt.plural(len(report.cases), 'case')}, {fmt.plural(rounds, 'round')}",
        *_methods(report),
    ]
    for row in report.closures:
        if row.excess > 0 and not is_cpu(row.device):
            lines.append(
                f"{row.device}: the phases' sum is {row.excess:.0%} above train (median of "
                f"{fmt.plural(row.cells, 'cell')}); that is what synchronizing after every phase costs"
            )
    return lines


def _methods(report: Report) -> list[str]:
    """Return how medians, speedups and their intervals are made of the rounds, a line for each way."""
    runs = {int(count) for count in report.cases["runs"]}
    ways = (
        (
            "one run",
            any(count == 1 for count in runs),
            f"medians with {LEVEL:.0%} intervals by order statistics, widened by the rounds' "
            "autocorrelation; speedups and break-evens by a seeded bootstrap over rounds; fewer than "
            f"{MIN_ROUNDS} rounds give none",
        ),
        (
            f"2 to {MIN_RUNS - 1} runs",
            any(1 < count < MIN_RUNS for count in runs),
            f"medians of the runs' medians with {LEVEL:.0%} intervals by Student's distribution over runs, "
            "from which speedups and break-evens are drawn, seeded; a run of fewer than "
            f"{MIN_ROUNDS} rounds leaves none",
        ),
        (
            f"{MIN_RUNS} runs or more",
            any(count >= MIN_RUNS for count in runs),
            f"medians of the runs' medians with {LEVEL:.0%} intervals, speedups and break-evens by a seeded "
            "bootstrap over runs",
        ),
    )
    used = [(cases, text) for cases, is_used, text in ways if is_used]
    return [f"cases of {cases}: {text}" if len(used) > 1 else text for cases, text in used]


def model_name(workload: str, axes: str) -> str:
    """Return how a workload with its axes is called in a table."""
    return f"{workload} {axes}" if axes else workload


def speedup_words(row: Row) -> str:
    """Return the speedup of a row of `Report.cases` with its interval, empty where it has none."""
    between = fmt.ratio_between(row["speedup_low"], row["speedup_high"])
    return f"{fmt.ratio(row['speedup'])} {between}".strip()


def rate_words(rate: Rate | None) -> str:
    """Return a rate with the half-width of its interval, empty where it is not known."""
    if rate is None:
        return ""
    if rate.low is None or rate.high is None:
        return fmt.scaled(rate.value, rate.unit)
    half = (rate.high - rate.low) / 2 / rate.value
    if half > SKEWED:
        low, high = (fmt.scaled(end, rate.unit) for end in (rate.low, rate.high))
        return f"{fmt.scaled(rate.value, rate.unit)} [{low}–{high}]"
    return f"{fmt.scaled(rate.value, rate.unit)} ±{fmt.percent(half)}"


def wins_from(line: BreakEven) -> str:
    """Return the batch size from which the candidate wins, as short as a cell is.

    A batch size with its interval, ``always``, ``never``, ``beyond`` the largest, ``undecided``, or what is
    known of an undecided one.
    """
    found = line.crossing
    if found.batch_size is not None:
        between = fmt.batch_between(found.low, found.high, line.batches[0], line.batches[-1])
        return f"{fmt.batch(found.batch_size)} {between}"
    if found.status == "always":
        return f"always (from {line.batches[0]})"
    if found.status == "beyond_range":
        return f"beyond {line.batches[-1]}"
    if found.status == "never":
        return f"never (to {line.batches[-1]})"
    return fmt.undecided_range(*found.bracket).removeprefix("from a batch size ").removeprefix("from batch ")


def _groups(report: Report) -> list[list[BreakEven]]:
    """Return the lines of the headline phase, machine by machine and candidate by candidate."""
    order = [machine.class_id for machine in report.machines]
    groups: dict[tuple[str, str], list[BreakEven]] = {}
    for line in report.break_evens:
        if line.phase == report.headline:
            groups.setdefault((line.class_id, line.candidate), []).append(line)
    return [groups[key] for key in sorted(groups, key=lambda key: (is_cpu(key[1]), order.index(key[0])))]


def _spoken_groups(report: Report) -> list[list[BreakEven]]:
    """Return those of `_groups` that the verdict speaks of."""
    spoken = {
        machine.class_id: spoken_of(
            [line for line in report.break_evens if line.class_id == machine.class_id]
        )
        for machine in report.machines
    }
    return [lines for lines in _groups(report) if lines[0].candidate in spoken[lines[0].class_id]]


def _best(line: BreakEven) -> str:
    known = [row for row in line.rows if row.speedup is not None]
    if not known:
        return ""
    row = max(known, key=lambda row: row.speedup or 0)
    between = fmt.ratio_between(row.low, row.high)
    return f"{fmt.ratio(row.speedup)} {between} at {row.batch_size}".replace("  ", " ")


def _longest(rows: Iterable[Row]) -> float:
    return max(float(row["median_s"]) for row in rows)


def _times(report: Report) -> dict[tuple[Any, ...], tuple[str, str]]:
    """Return the median and the n of every case, by `KEY`."""
    return {
        tuple(row[key] for key in KEY): (_time(row), str(row["n"])) for row in report.cases.to_dict("records")
    }


def _speedups(
    times: Mapping[tuple[Any, ...], tuple[str, str]], lines: Sequence[BreakEven], title: str
) -> Table:
    wanted = [row for line in lines for row in line.rows]
    rows = []
    for row in wanted[:MAX_ROWS]:
        cell = (row.workload, row.axes, row.batch_size, row.phase)
        base = times[row.baseline_class_id, *cell, row.baseline]
        cand = times[row.class_id, *cell, row.candidate]
        between = fmt.ratio_between(row.low, row.high)
        rows.append(
            (
                model_name(row.workload, row.axes),
                str(row.batch_size),
                base[0],
                cand[0],
                base[1] if base[1] == cand[1] else f"{base[1]}/{cand[1]}",
                f"{fmt.ratio(row.speedup)} {between}".strip() or "unknown",
                f"{row.verdict} *" if DISTURBED.intersection(row.flags) else row.verdict,
            )
        )
    if any(row[-1].endswith("*") for row in rows):
        title = f"{title} (* disturbed while measured)"
    columns = ("model", "batch", lines[0].baseline, lines[0].candidate, "n", "speedup", "verdict")
    return Table(title, columns, tuple(rows), len(wanted) - len(rows))


def _break_evens(report: Report, lines: Sequence[BreakEven]) -> Table:
    """Return from which batch size each model's candidate wins, as measured and in other circumstances."""
    changed = {(flip.scenario, name_of(flip.line)): flip.other for flip in report.what_ifs}
    here = {name_of(line) for line in lines}
    scenarios = list(dict.fromkeys(scenario for scenario, name in changed if name in here))
    rows = []
    for line in lines:
        others = [changed.get((scenario, name_of(line))) for scenario in scenarios]
        cells = ["" if other is None else wins_from(other) for other in others]
        rows.append((report.names[line.workload, line.axes], wins_from(line), _best(line), *cells))
    columns = (
        "model",
        "faster from batch",
        AT_BEST,
        *(name.removeprefix("with the data ") for name in scenarios),
    )
    return Table(f"break-even: {pair_name(report, lines[0])}", columns, tuple(rows))


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


def _time(row: Row) -> str:
    """Return a median with the half-width of its interval, in percent of the median."""
    median, low, high = (row[key] for key in ("median_s", "low_s", "high_s"))
    if not isinstance(median, float):
        return ""
    if not isinstance(low, float) or not isinstance(high, float) or median == 0:
        return fmt.seconds(median)
    half = (high - low) / 2 / median
    if half > SKEWED:
        return f"{fmt.seconds(median)} [{fmt.seconds(low)}–{fmt.seconds(high)}]"
    return f"{fmt.seconds(median)} ±{fmt.percent(half)}"
