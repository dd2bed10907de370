"""What `breakeven history` shows: the verdict, one plot, and a page with one small figure per series."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from breakeven.format import capital
from breakeven.history.check import analyze_history
from breakeven.history.text import changed_runs, verdict_lines
from breakeven.render.history import MAX_ROWS, check_markdown, check_renderables, show_renderables
from breakeven.render.history_figure import figure_of
from breakeven.render.history_page import groups_of
from breakeven.render.markdown import MAX_LENGTH
from support.histories import add, commit, content, medians
from support.run_files import benchmark

PHASES = ("forward", "backward", "step", "train")


def history(tmp_path, series, workloads=("mlp",)):
    """A history of 30 runs of every workload; `series` are the values by phase."""
    runs = zip(*series.values(), strict=True)
    cells = [
        [benchmark([t] * 6, phase=p, workload=w) for w in workloads for p, t in zip(series, row, strict=True)]
        for row in runs
    ]
    return analyze_history(add(tmp_path, [content(i, cell) for i, cell in enumerate(cells)]))


@pytest.fixture
def changed(tmp_path):
    """Two phases that became slower in one commit, one that became faster earlier, and a steady one."""
    series = {phase: medians(30, noise=0.005, seed=i) for i, phase in enumerate(PHASES)}
    series["train"][20:] *= 1.1
    series["step"][20:] *= 2.0
    series["backward"][10:] *= 0.7
    return history(tmp_path, series)


def lines_of(items):
    """What a terminal of 100 columns shows."""
    console = Console(width=100, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        for item in items:
            console.print(item)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_one_commit_is_one_group(changed):
    """It is the first one, `train` is its first series, and each series is in one group."""
    names = [[item.tracked.series.case.split()[1] for item in group.series] for group in groups_of(changed)]
    assert names == [["train", "step"], ["backward"], ["forward"]]
    assert [(bool(group.title), group.fails) for group in groups_of(changed)] == [
        (True, True),
        (True, False),
        (False, False),
    ]


def test_terminal(changed):
    """The verdict is first; below the line of each run are the dots of its series."""
    lines = lines_of(check_renderables(changed))
    assert lines[0].startswith(
        f"Regressed: commit {commit(20)[:7]} (2026-01-21) made 2 series slower: mlp train"
    )
    start = next(i for i, line in enumerate(lines) if line.startswith(f"commit {commit(20)[:7]}"))
    shown = [line.split()[:2] for line in lines[start : start + 5]]
    assert [words[1] for words in shown] == [commit(20)[:7], "train", "step", commit(10)[:7], "backward"]
    one = lines[start - 1].index("1x")
    dots = [lines[start + i].index("●") for i in (1, 2, 4)]
    assert dots[2] < one < dots[0] < dots[1]
    assert lines_of(show_renderables(changed, "page/index.html"))[-1] == "the page: page/index.html"


def test_markdown_rows(tmp_path):
    """At most 12 dots and 12 rows of each table, and the rest counted."""
    found = history(tmp_path, {"train": medians(30, 1.2, 20, 0.005)}, [f"net{i}" for i in range(15)])
    text = check_markdown(found, "1.0")
    assert text.startswith("**Regressed: commit ")
    assert text.count("●") == MAX_ROWS
    assert len([line for line in text.splitlines() if line.startswith("| net")]) == MAX_ROWS
    assert "<summary>15 changes in 1 run</summary>" in text
    assert "\n3 more rows are left out" in text
    terminal = lines_of(check_renderables(found))
    assert "... and 3 more, all in --format json" in terminal


def test_markdown_of_endless_warnings(tmp_path):
    """What would exceed the length is left out."""
    found = history(tmp_path, {"train": medians(30, noise=0.005)})
    runs = tuple(replace(found.runs[0], class_id=str(i), label="|" * 600) for i in range(20))
    text = check_markdown(replace(found, warnings=("|" * 600,) * 20, runs=runs), "1.0")
    assert len(text) <= MAX_LENGTH
    assert text.startswith("**No regressions in 1 of 1 series")
    assert text.count("#" * 3) == 1, "the warnings"
    assert text.endswith("(1 part is left out; the JSON has everything)\n")


@pytest.mark.parametrize("name", ["mlp", "x" * 300])
@pytest.mark.parametrize(
    "steps", [{}, {20: 1.2}, {20: 0.8}, {15: 1.3, 22: 1.3}, {29: 3.0}, {15: 1.5, 29: 3.0}], ids=str
)
def test_short_verdict(tmp_path, name, steps):
    """It has at most two lines and 220 characters, and says whether the check fails."""
    values = medians(30, noise=0.005)
    for at, by in steps.items():
        values[at:] *= by
    found = history(tmp_path, {"train": values}, [name, f"{name}2"])
    verdict = verdict_lines(found)
    assert 1 <= len(verdict) <= 2
    assert len("\n".join(verdict)) <= 220
    assert verdict[0].startswith("Regressed: " if found.is_regressed else "No regressions in 2 of 2 series")
    assert len(changed_runs(found)) == len(steps)


def test_improvement(tmp_path):
    """It is on the second line."""
    found = history(tmp_path, {"train": medians(30, 0.8, 20, 0.005)})
    _, second = verdict_lines(found)
    assert second.startswith(capital(f"commit {commit(20)[:7]} (2026-01-21) made 1 series faster: mlp train"))


def test_y_range_is_that_of_the_data(tmp_path):
    """A wide range of an unchanged run does not stretch the axis."""
    values = medians(14, noise=0.02)
    [group] = groups_of(history(tmp_path, {"train": values}))
    [drawn] = group.series
    judgment = drawn.newest.judgment
    low, high = figure_of(drawn).axes[0].get_ylim()
    expected = values[-1] / judgment.ratio
    assert expected * judgment.low < low < values.min()
    assert values.max() < high < expected * judgment.high
    assert high - low < 1.2 * np.ptp(values)
