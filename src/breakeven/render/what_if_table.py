"""What would change the verdict, as tables: a row per scenario, then every model, then the costs."""

from __future__ import annotations

from dataclasses import replace

from breakeven import format as fmt
from breakeven.grouping import grouped
from breakeven.phases import Phase
from breakeven.render.summary_tables import pair_name
from breakeven.render.table import MAX_ROWS, Table
from breakeven.report.break_even import BreakEven
from breakeven.report.changes import ChangeRow, wins_from
from breakeven.report.report import Report

WHAT = "What would change it"


def change_tables(report: Report) -> list[Table]:
    """Return a table for each candidate: the break-even in each scenario that was measured."""
    places = grouped((row.place, row) for row in report.changes)
    return [_table(report, rows, len(places) > 1) for rows in places.values()]


def model_change_tables(report: Report) -> list[Table]:
    """Return a table for each candidate with several models: each model in each scenario."""
    places = grouped((row.place, row) for row in report.changes)
    return [
        _model_table(report, rows) for rows in places.values() if max(len(row.models) for row in rows) > 1
    ]


def cost_table(report: Report) -> Table | None:
    """Return what each case costs in the phases that have an answer of their own, None without prices."""
    if report.in_dollars is None:
        return None
    phases = {report.headline, *(phase for phase in Phase if phase.is_answer)}
    costs = [cost for cost in report.in_dollars.costs if cost.key.phase in phases]
    costs.sort(key=lambda cost: cost.key.phase != report.headline)
    rows = [
        (
            report.labels[cost.key.machine],
            cost.key.model.label(),
            fmt.batch_size(cost.key.batch_size),
            cost.key.phase,
            cost.key.device,
            f"{fmt.dollars(cost.usd_per_hour)}/h",
            fmt.dollars_with_interval(cost.step_usd, cost.low_usd, cost.high_usd),
            fmt.dollars(cost.million_samples_usd),
        )
        for cost in costs[:MAX_ROWS]
    ]
    has_several = len({cost.key.phase for cost in costs}) > 1
    per = "per step or batch" if has_several else "per step"
    columns = ("machine", "model", "batch", "phase", "device", "price", per, "per million samples")
    table = Table("Cost", columns, tuple(rows), len(costs) - len(rows))
    table = table if has_several else table.without("phase")
    return table if len(report.machines) > 1 else table.without("machine")


def _table(report: Report, rows: list[ChangeRow], is_named: bool) -> Table:
    title = f"{WHAT}: {pair_name(report, rows[0].models[0].line)}" if is_named else WHAT
    measured = "faster from batch" if max(len(row.models) for row in rows) == 1 else "as measured"
    columns = ("change", measured, "then", "shown to move")
    cells = tuple((row.what, row.headline, row.changed, row.moves) for row in rows)
    return replace(Table(title, columns, cells), words=columns)


def _model_table(report: Report, rows: list[ChangeRow]) -> Table:
    """Return a row for each model, with a column for each scenario and one for the notes."""
    lines = {model.line.model: model.line for row in rows for model in row.models}
    changed = {(row.scenario, model.line.model): model for row in rows for model in row.models}
    cells = []
    for model, line in lines.items():
        found = [changed.get((row.scenario, model)) for row in rows]
        notes = ". ".join(f"{one.scenario}: {one.note}" for one in found if one is not None and one.note)
        then = ["" if one is None else wins_from(one.other) for one in found]
        cells.append((_named_model(report, line), wins_from(line), *then, notes))
    columns = ("model", "as measured", *(row.scenario for row in rows), "note")
    title = f"Every model: {pair_name(report, rows[0].models[0].line)}"
    table = Table(title, columns, tuple(cells), words=("model", "note"))
    return table if any(row[-1] for row in cells) else table.without("note")


def _named_model(report: Report, line: BreakEven) -> str:
    """Return a model's name, with what would be faster than its baseline."""
    better = report.better_baselines.get(line.candidate)
    name = report.names[line.model]
    return f"{name} ({better.text})" if better else name
