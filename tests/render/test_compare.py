"""A comparison as people and machines read it: three faces of one record."""

import io
import json

import jsonschema
import pytest
from rich.console import Console

from breakeven.compare.text import coverage, headline, shift_words, warnings
from breakeven.render import compare
from breakeven.render.compare import (
    MARKDOWN_LENGTH,
    MARKDOWN_ROWS,
    json_schema,
    renderables,
    to_json,
    to_markdown,
)
from breakeven.render.compare_tables import worst_first
from support.comparisons import PHASES, compared, levels, machine, side

HOSTILE = "<script>alert(1)</script> | [bold]x[/] `y` \x1b[31m\nz"


@pytest.fixture
def found(tmp_path):
    """A comparison in which a phase regressed."""
    slower = levels(batches=(1, 8, 64), slower=["backward"], by=1.4)
    before = side(tmp_path, "a", levels(batches=(1, 8, 64)))
    return compared(before, side(tmp_path, "b", slower, first=1))


def in_terminal(found):
    """What a terminal of 100 columns shows."""
    stream = io.StringIO()
    console = Console(file=stream, width=100, highlight=False, markup=False, emoji=False)
    for item in renderables(found):
        console.print(item)
    return stream.getvalue()


def test_every_face_says_the_same_verdict_coverage_and_shift(found):
    shown, markdown = in_terminal(found), to_markdown(found, "1.0")
    for sentence in (headline(found), coverage(found), shift_words(found)):
        for face in (shown, markdown):
            assert sentence.replace("\n", " ") in " ".join(face.replace("\\", "").split())
    assert json.loads(to_json(found))["verdict"] == found.verdict == "regressed"


def test_the_json_keeps_to_its_schema_and_holds_every_case(found):
    content = json.loads(to_json(found))
    jsonschema.validate(content, json_schema())
    assert [case["case"] for case in content["cases"]] == [change.case for change in found.changes]
    assert content["counts"]["regressed"] == 6
    assert content["warnings"] == ["mlp on cpu: train +20% in 3 cells, all of it backward"]


def test_what_is_not_known_is_null_in_the_json(tmp_path):
    found = compared(side(tmp_path, "a", levels(), runs=1), side(tmp_path, "b", levels(), runs=1, first=1))
    content = json.loads(to_json(found))
    jsonschema.validate(content, json_schema())
    assert {case["q"] for case in content["cases"]} == {None}
    assert content["common_shift"]["ratio"] > 0
    assert (content["common_shift"]["low"], content["common_shift"]["high"]) == (None, None)
    assert "one run a side knows nothing" in to_markdown(found, "1.0")
    assert "one run a side knows nothing" in in_terminal(found)


def test_the_terminal_ends_with_the_verdict_and_fits_one_hundred_columns(found):
    lines = in_terminal(found).rstrip().splitlines()
    assert max(map(len, lines)) <= 100
    assert "Regressed: 6 of 15 cases are slower" in " ".join(lines[-3:])
    assert any("What moved" in line for line in lines)


def test_the_worst_stand_first(found):
    ordered = worst_first(found.changes)
    assert [change.verdict for change in ordered] == ["regressed"] * 6 + ["unchanged"] * 9
    ratios = [change.ratio for change in ordered[:6]]
    assert ratios == sorted(ratios, reverse=True)


def test_of_what_improved_the_most_stands_first(tmp_path):
    faster = levels(slower=["backward"], by=0.5)
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", faster, first=1))
    ratios = [change.ratio for change in worst_first(found.changes) if change.verdict == "improved"]
    assert len(ratios) == 4
    assert ratios == sorted(ratios)


def test_markdown_shows_at_most_twelve_rows_and_says_what_it_left_out(found):
    text = to_markdown(found, "1.0")
    rows = [line for line in text.splitlines() if line.startswith("| mlp ")]
    assert len(rows) == MARKDOWN_ROWS
    assert "3 more cases are in the JSON" in text
    assert "<details><summary>Machine and runs</summary>" in text
    assert "- torch: 2.13.0" in text
    assert text.startswith("**Regressed: ")


def test_markdown_stays_under_its_length_and_says_that_it_was_cut(found, monkeypatch):
    monkeypatch.setattr(compare, "MARKDOWN_LENGTH", 1500)
    text = to_markdown(found, "1.0")
    assert 1000 < len(text) <= 1500
    assert text.startswith("**Regressed: ")
    assert text.endswith("|\n\n(cut here: the whole is in the JSON)\n")


def test_markdown_of_names_and_facts_without_end_stays_under_its_length(tmp_path):
    box = machine(**{f"fact{i}": "x" * 500 for i in range(2000)})
    before = {(phase, b): b for phase in PHASES for b in range(1, 40)}
    settings = {"runs": 2, "workload": "|" * 50_000, "machine_info": box}
    found = compared(
        side(tmp_path, "a", before, **settings), side(tmp_path, "b", before, first=1, **settings)
    )
    assert len(to_markdown(found, "1.0")) <= MARKDOWN_LENGTH


def test_no_name_from_a_file_is_obeyed(tmp_path):
    sides = [side(tmp_path, n, levels(), first=f, workload=HOSTILE) for n, f in (("a", 0), ("b", 1))]
    found = compared(*sides)
    shown, markdown = in_terminal(found), to_markdown(found, "1.0")
    assert "\x1b" not in shown
    assert "<script>" not in markdown
    assert all(len(line) - line.count("\\|") * 2 < 400 for line in markdown.splitlines())
    jsonschema.validate(json.loads(to_json(found)), json_schema())


def test_an_unchanged_suite_has_no_section_on_what_moved(tmp_path):
    found = compared(side(tmp_path, "a", levels()), side(tmp_path, "b", levels(), first=1))
    assert "What moved" not in in_terminal(found)
    assert warnings(found) == []
    assert "Warnings" not in to_markdown(found, "1.0")
