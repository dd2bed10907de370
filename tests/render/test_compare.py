"""A comparison as terminal output, markdown and JSON."""

import io
import json
from pathlib import Path

import jsonschema
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from breakeven.compare.text import describe
from breakeven.render.compare import (
    MARKDOWN_ROWS,
    MAX_LINES,
    TERMINAL_ROWS,
    ComparisonJson,
    renderables,
    to_json,
    to_markdown,
    worst_first,
)
from breakeven.render.json_output import json_schema
from breakeven.render.markdown import MAX_LENGTH
from support.comparisons import PHASES, compared, levels, machine, side, two_sides
from support.run_files import write

HOSTILE = "<script>alert(1)</script> | [bold]x[/] `y` \x1b[31m\nz"


@pytest.fixture
def found(tmp_path):
    """A comparison in which a phase regressed."""
    slower = levels(batches=(1, 8, 64), slower=["backward"], by=1.4)
    return two_sides(tmp_path, levels(batches=(1, 8, 64)), slower)


def in_terminal(found):
    """What a terminal of 100 columns shows."""
    stream = io.StringIO()
    console = Console(file=stream, width=100, highlight=False, markup=False, emoji=False)
    for item in renderables(found):
        console.print(item)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("times", "runs", "bounds"),
    [(levels(), 1, (None, None)), ({("train", 1): 1.0}, 5, (None, None))],
    ids=["single runs", "no shift"],
)
def test_json_without_a_shift(tmp_path, times, runs, bounds):
    """What is unknown is null."""
    content = json.loads(to_json(two_sides(tmp_path, times, times, runs=runs)))
    jsonschema.validate(content, json_schema(ComparisonJson))
    shift = content["common_shift"]
    assert ((shift["low"], shift["high"]), shift["ratio"] is None) == (bounds, runs > 1)


def test_terminal_rows(tmp_path):
    """The least serious cases are cut, and counted."""
    found = two_sides(tmp_path, levels(range(1, 7)), levels(range(1, 7)), runs=1)
    lines = in_terminal(found).splitlines()
    assert f"... and {30 - TERMINAL_ROWS} more rows, all in --format json" in lines
    assert len([line for line in lines if line.startswith("mlp ")]) == TERMINAL_ROWS


def test_worst_first(found):
    ordered = worst_first(found.cases)
    assert [case.verdict for case in ordered] == ["regressed"] * 6 + ["unchanged"] * 9
    ratios = [case.ratio for case in ordered[:6]]
    assert ratios == sorted(ratios, reverse=True)


def test_best_first(tmp_path):
    """Of the improved cases, the most improved is first."""
    found = two_sides(tmp_path, levels(), levels(slower=["backward"], by=0.5))
    ratios = [case.ratio for case in worst_first(found.cases) if case.verdict == "improved"]
    assert len(ratios) == 4
    assert ratios == sorted(ratios)


def test_markdown_rows(found):
    text = to_markdown(found, "1.0")
    rows = [line for line in text.splitlines() if line.startswith("| mlp ")]
    dots = [line for line in text.split("```")[1].splitlines() if line.startswith("mlp ")]
    assert (len(rows), len(dots)) == (MARKDOWN_ROWS, MARKDOWN_ROWS)
    assert "What changed" not in text  # the verdict has it
    assert "\n3 more cases are in the JSON" in text
    assert text.startswith("**Regressed: ")


def test_long_lists(tmp_path):
    """They are cut, and the rest is counted."""
    batches = range(1, MAX_LINES + 4)
    before = {("train", b): 1.0 for b in batches}
    after = {("train", b): 1.2 for b in batches}
    sides = [
        [path for b in batches for path in side(tmp_path, f"{name}{b}-", times, 1, 2 * b + first)]
        for name, times, first in (("a", before, 0), ("b", after, 1))
    ]
    for path in sides[0]:
        content = json.loads(Path(path).read_text())
        content["machine_info"] = machine(canary_s=None)
        moments = {"start": {"median_s": 1.0, "low_s": 0.99, "high_s": 1.01},
                   "end": {"median_s": 2.0, "low_s": 1.99, "high_s": 2.01}}  # fmt: skip
        content["machine_info"]["breakeven"]["state"] = {"canary": {"cpu": moments}}
        write(Path(path), content)
    found = compared(*sides)
    warnings = describe(found).warnings
    text = to_markdown(found, "1.0")
    listed = text.split("## Warnings\n\n")[1].split("\n\n")[0].splitlines()
    assert len(listed) == MAX_LINES + 1
    assert listed[-1] == f"- and {len(warnings) - MAX_LINES} more, in the JSON"
    assert f" - and {len(warnings) - MAX_LINES} more, all in --format json\n" in in_terminal(found)


def test_markdown_of_endless_names(tmp_path):
    """Names and facts without end stay below the length, too."""
    box = machine(**{f"fact{i}": "|" * 500 for i in range(2000)})
    before = {(phase, b): b for phase in PHASES for b in range(1, 40)}
    found = two_sides(tmp_path, before, before, runs=2, workload="|" * 50_000, machine_info=box)
    text = to_markdown(found, "1.0")
    assert len(text) <= MAX_LENGTH
    assert text.startswith("**No regressions in 195 of 195 cases")
    assert text.endswith("left out; the JSON has everything)\n")
    assert text.count("<details>") == text.count("</details>") == 1


def test_hostile_name(tmp_path):
    """No name from a file is interpreted."""
    found = two_sides(tmp_path, levels(), levels(), workload=HOSTILE)
    shown, markdown = in_terminal(found), to_markdown(found, "1.0")
    assert "\x1b" not in shown
    page = MarkdownIt().enable("table").render(markdown)
    assert "<script" not in page
    assert page.count("<pre>") == 1
    assert all(len(line) - line.count("\\|") * 2 < 400 for line in markdown.splitlines())
    jsonschema.validate(json.loads(to_json(found)), json_schema(ComparisonJson))


def test_terminal_is_verdict_first(tmp_path):
    """Then the dots of the worst cases, and below them the table of those that are not unchanged."""
    after = {key: t for key, t in levels(slower=["backward"], by=1.4).items() if key != ("step", 1)}
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", after, first=1))
    lines = [line.rstrip() for line in in_terminal(found).splitlines()]
    assert " ".join(lines[:2]).startswith("Regressed: 4 of 9 cases are slower; largest change: mlp backward")
    table = lines.index("Cases")
    dots = [line.split(" cpu ")[0] for line in lines[:table] if "│" in line or "·" in line[40:]]
    rows = [line.split(" cpu ")[0].strip() for line in lines[table:] if line.startswith(" mlp")]
    assert rows == ["mlp backward"] * 2 + ["mlp train"] * 2 + ["mlp step"]
    assert dots[-10:-5] == rows
    assert "5 other cases unchanged" in lines
    assert "What changed" not in lines  # the verdict has it
    assert lines[-1].startswith("judged 9 of 10, 1 missing; common shift of all cases: ")
    assert max(map(len, lines)) <= 100


def test_marks(tmp_path):
    """Changed, undecided and unchanged cases differ also without color."""
    found = two_sides(tmp_path, levels(), levels(slower=["backward"], by=1.4))
    shown = in_terminal(found)
    assert (shown.count("●"), shown.count("○")) == (5, 0)  # one of them in the legend
    single = in_terminal(two_sides(tmp_path, levels(), levels(), runs=1))
    assert (single.count("●"), single.count("○")) == (0, 11)
