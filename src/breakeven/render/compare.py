"""A comparison as terminal output, as markdown and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from breakeven import format as fmt
from breakeven.case import SCHEMA
from breakeven.compare.common_shift import Shift
from breakeven.compare.comparison import CaseComparison, Comparison
from breakeven.compare.text import describe
from breakeven.compare.work_changes import Quantity, work_changes
from breakeven.render.dot_plot import CHANGED, UNCHANGED, UNDECIDED, Dot
from breakeven.render.escaping import markdown_text
from breakeven.render.json_output import Amount, Count, JsonOutput, Judged, Ratio, Share, Version, json_text
from breakeven.render.markdown import bullets, document, folded, markdown_table, plot, section, verdict
from breakeven.render.table import Table
from breakeven.runs.schema import Run
from breakeven.stats.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

TERMINAL_ROWS = 16
MARKDOWN_ROWS = 12
MAX_NAME = 120
"""The middle of longer names is omitted; JSON has them in full."""

MAX_FACTS = 60
MAX_LINES = 12
"""The most changes, and the most warnings, in markdown."""

COLUMNS = ("case", "before", "after", "change", "95% interval", "q", "n", "verdict")

WORST_FIRST = (
    Verdict.REGRESSED,
    Verdict.ERROR,
    Verdict.MISSING,
    Verdict.INCONCLUSIVE,
    Verdict.IMPROVED,
    Verdict.NEW,
    Verdict.UNCHANGED,
)

TITLE = "Candidate's time / the baseline's, worst first"

WORK_TITLE = "Counts of a step that changed (exact, without timing noise)"

_IN_JSON = "all in --format json"


class CaseJson(JsonOutput):
    """A case: the candidate's time / the baseline's, its 95% interval, and how many processes timed it.

    `case` is the label of the case, or pytest's full name. `q` is the false discovery rate at which it is
    reported as changed, null where nothing was tested.
    """

    case: str
    ratio: Ratio | None
    low: Ratio | None
    high: Ratio | None
    q: Share | None
    n_baseline: Count
    n_candidate: Count
    verdict: Verdict


class WorkChangeJson(JsonOutput):
    """An exact count of one step of a case, different in all runs of the two sides."""

    case: str
    quantity: Quantity
    baseline: Amount
    candidate: Amount


class ShiftJson(JsonOutput):
    """The ratio that all cases share, which is not subtracted from any of them."""

    ratio: Ratio | None
    low: Ratio | None
    high: Ratio | None


class ComparisonJson(JsonOutput):
    """What `breakeven compare --format json` and `breakeven ab --format json` print."""

    schema: Version
    verdict: Judged
    cases: list[CaseJson]
    work_changes: list[WorkChangeJson]
    common_shift: ShiftJson
    counts: Annotated[dict[str, Count], Meta(extra_json_schema={"propertyNames": {"enum": [*Verdict]}})]
    warnings: list[str]


def renderables(found: Comparison) -> Iterator[RenderableType]:
    """Yield the verdict, the plot and the table of the worst cases, and what limits them, in 100 columns."""
    from rich.text import Text

    from breakeven.render import terminal

    text = describe(found)
    yield from terminal.verdict(text.verdict)
    ordered = worst_first(found.cases)
    notable = [case for case in ordered if case.verdict != Verdict.UNCHANGED]
    yield from terminal.plot(TITLE, _dots(ordered[: max(MARKDOWN_ROWS, min(len(notable), TERMINAL_ROWS))]))
    if notable:
        # The plot has the changes of the same cases.
        table = case_table(notable, TERMINAL_ROWS).without("change").without("95% interval")
        yield Text()
        yield from terminal.table_section(table, _IN_JSON)
        if unchanged := found.counts[Verdict.UNCHANGED]:
            yield Text(f"{fmt.plural(unchanged, 'other case')} unchanged")
    yield from terminal.section("What changed", text.other_phases, _IN_JSON)
    yield from terminal.section(WORK_TITLE, text.changed_work, _IN_JSON)
    yield from terminal.section("Warnings", text.warnings, _IN_JSON)
    yield Text(f"\n{text.coverage}")


def to_markdown(found: Comparison, version: str) -> str:
    """Return the comparison for a pull request: at most 12 rows and 60,000 characters."""
    text = describe(found)
    ordered = worst_first(found.cases)
    parts = [
        *verdict(text.verdict),
        *plot(TITLE, _dots(ordered[:MARKDOWN_ROWS])),
        *section("What changed", text.other_phases, MAX_LINES, "in the JSON", level=3),
        *section(WORK_TITLE, text.changed_work, MAX_LINES, "in the JSON", level=3),
        *_folded_table(found, ordered),
        markdown_text(text.coverage),
        *section("Warnings", text.warnings, MAX_LINES, "in the JSON", level=3),
        folded("Machine and runs", bullets(_facts(found, version))),
    ]
    return document([parts])


def to_json(found: Comparison) -> str:
    """Return the comparison for machines; numbers are finite or null."""
    text = describe(found)
    return json_text(
        ComparisonJson.of(
            found,
            schema=SCHEMA,
            cases=[CaseJson.of(case) for case in found.cases],
            work_changes=[
                WorkChangeJson.of(change) for change in work_changes(found.baseline, found.candidate)
            ],
            common_shift=_shift(found.common_shift),
            warnings=[*text.changed_phases, *text.warnings],
        )
    )


def worst_first(cases: Sequence[CaseComparison]) -> list[CaseComparison]:
    """Return the cases ordered by their verdict; within one, the largest change first."""

    def order(case: CaseComparison) -> tuple[int, float]:
        change = 0.0 if case.ratio is None else math.log(case.ratio)
        return WORST_FIRST.index(case.verdict), change if case.verdict == Verdict.IMPROVED else -change

    return sorted(cases, key=order)


def case_table(ordered: Sequence[CaseComparison], limit: int) -> Table:
    """Return a table of the first cases, at most `limit` of them."""
    rows = tuple(_row(case) for case in ordered[:limit])
    return Table("Cases", COLUMNS, rows, max(0, len(ordered) - limit), words=("case", "verdict"))


def _dots(cases: Sequence[CaseComparison]) -> list[Dot]:
    return [Dot(case.case, case.ratio, case.low, case.high, _dot_text(case), _mark(case)) for case in cases]


def _dot_text(case: CaseComparison) -> str:
    if case.ratio is None:
        return case.verdict
    return f"{fmt.signed_percent(case.ratio)} {fmt.signed_percent_between(case.low, case.high)}".strip()


def _mark(case: CaseComparison) -> str:
    if case.verdict == Verdict.INCONCLUSIVE:
        return UNDECIDED
    return UNCHANGED if case.verdict == Verdict.UNCHANGED else CHANGED


def _folded_table(found: Comparison, ordered: Sequence[CaseComparison]) -> list[str]:
    if not ordered:
        return []
    counts = ", ".join(f"{count} {verdict}" for verdict, count in found.counts.items() if count)
    table = case_table(ordered, MARKDOWN_ROWS)
    rows = markdown_table(table, None, "more cases are in the JSON (`--format json`)")
    return [folded(f"{fmt.plural(len(ordered), 'case')}: {counts}", rows)]


def _row(case: CaseComparison) -> tuple[str, ...]:
    return (
        fmt.shortened(case.case, MAX_NAME),
        fmt.seconds(case.baseline_s),
        fmt.seconds(case.candidate_s),
        "" if case.ratio is None else fmt.signed_percent(case.ratio),
        fmt.signed_percent_between(case.low, case.high),
        _q_text(case.q),
        f"{case.n_baseline}+{case.n_candidate}",
        case.verdict,
    )


def _q_text(q: float | None) -> str:
    if q is None:
        return ""
    return "<0.001" if q < 0.001 else f"{q:.3f}"


def _shift(shift: Shift | None) -> ShiftJson:
    if shift is None:
        return ShiftJson(None, None, None)
    return ShiftJson(_exp(shift.log_ratio), _exp(shift.low), _exp(shift.high))


def _exp(value: float | None) -> float | None:
    return None if value is None or abs(value) > 700 else math.exp(value)


def _facts(found: Comparison, version: str) -> list[str]:
    """Return which runs were compared, and on what machine."""
    machine = found.candidate[-1].machine
    facts = [f"{name}: {value}" for name, value in machine.facts.items() if value is not None]
    return [
        f"baseline: {_runs(found.baseline)}",
        f"candidate: {_runs(found.candidate)}",
        f"machine: {machine.label}",
        f"class: {machine.class_id if machine.is_recorded else 'not recorded'}",
        *facts[:MAX_FACTS],
        f"breakeven {version}; threshold {fmt.percent(found.threshold)}, "
        f"resolution {fmt.percent(found.resolution)}, false discovery rate 5%, intervals 95%",
    ]


def _runs(runs: Sequence[Run]) -> str:
    commits = [run.commit[:12] for run in runs if run.commit]
    commit = f"commit {fmt.joined(commits)}" if commits else "no commit recorded"
    return f"{fmt.plural(len(runs), 'run')}, {commit}"
