"""The report in a terminal: the break-even chart, the answer, and what to do next, within 100 columns.

Everything else is on the page and in ``summary.md``. No string is read as markup, and no control character
passes.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from breakeven import format as fmt
from breakeven.render import break_even_text
from breakeven.render.escaping import terminal_text
from breakeven.render.how_made import outcome_lines
from breakeven.render.terminal import section
from breakeven.report.answer import Trust
from breakeven.report.comparability import ComparabilityLevel
from breakeven.report.report import Report
from breakeven.report.row_texts import ending_text

MAX_LINES = 3
"""Of the reasons why nothing was timed, and of the notes on a run that cannot be trusted."""


def renderables(report: Report) -> Iterator[RenderableType]:
    """Yield the chart, the answer, what was not timed, the number of warnings, and the next command."""
    yield from chart_and_answer(report)
    yield from map(Text, _asked(report))
    if not report.rows:
        yield from section("Not timed", outcome_lines(report), limit=MAX_LINES)
    yield Text()
    if counted := _counted(report):
        yield Text(f"on the page and in summary.md: {counted}", style="yellow")
    yield Text(f"next: {terminal_text(_next(report))}")


def chart_and_answer(report: Report) -> Iterator[RenderableType]:
    """Yield the break-even charts and the answer: no chart where it is that the run cannot be trusted."""
    answer = report.answer
    is_unfit = answer.trust is Trust.UNFIT
    if not is_unfit and report.chart:
        yield from break_even_text.lines(report.chart)
        yield Text()
        if report.scaling.chart:
            yield from break_even_text.lines(report.scaling.chart)
            yield Text()
    for line in answer.lines:
        yield Text(terminal_text(line), style="bold yellow" if is_unfit else "bold")
    for note in answer.notes[:MAX_LINES] if is_unfit else ():
        yield Text(terminal_text(note))


def _counted(report: Report) -> str:
    level = report.comparability.level
    ended = Counter(ending_text(one.outcome) for one in report.outcomes)
    how = ", ".join(f"{count} {word}" for word, count in ended.most_common(MAX_LINES))
    parts = [f"{fmt.plural(ended.total(), 'case')} not timed ({how})"] if ended else []
    parts += [f"comparability {level}"] if level is not ComparabilityLevel.GREEN else []
    parts += [fmt.plural(len(report.warnings), "warning")] if report.warnings else []
    return ", ".join(parts)


def _asked(report: Report) -> Iterator[str]:
    """Yield the break-evens in dollars and at another threshold, where these were asked for."""
    asked = {one.text(line) for one in (report.in_dollars, report.worth) if one for line in one.break_evens}
    for row in report.changes:
        if row.scenario in asked and report.answer.trust is not Trust.UNFIT:
            yield terminal_text(f"{fmt.capital(row.what)}: {row.changed} (without: {row.headline}).")


def _next(report: Report) -> str:
    """Return the command that shows more, or what to measure."""
    if report.answer.trust is Trust.UNFIT:
        return "stop what disturbed the machine, and measure again"
    if not report.rows:
        return "fix what failed, and measure again"
    needed = report.processes_needed
    if needed is not None and needed.processes is not None:
        opened = fmt.plural(needed.open, f"open {needed.noun}")
        return (
            f"measure again with --breakeven-processes={needed.processes}, which would decide "
            f"{needed.decides} of {opened}"
        )
    return f"{shlex.join(['breakeven', 'report', *(run.path for run in report.runs)])} --open"
