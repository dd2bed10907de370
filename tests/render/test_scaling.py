"""Devices of several processes in every output: page, figure, markdown, terminal, JSON, CSV."""

import json
import re

import jsonschema
import pytest

from breakeven.render.figures import FIGURES
from breakeven.render.json_output import json_schema
from breakeven.render.report_data import ReportJson, to_csv, to_json
from breakeven.render.report_files import write_report
from breakeven.render.report_markdown import to_markdown
from breakeven.render.report_page import to_html
from breakeven.render.report_terminal import renderables
from breakeven.render.scaling_table import scaling_tables
from support.reports import only, report
from support.several_processes import MODELS, several_run

GPUS = ("cpu", "cuda", "2xcuda")
STEP = {"train": 1.0}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A report on a strong and a weak sweep."""
    strong, weak = (
        several_run(GPUS, models=MODELS[2:], phases=STEP, weak=weak, batches=(64, 1024))
        for weak in (False, True)
    )
    return report(tmp_path_factory.mktemp("both"), strong, weak)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A report without devices of several processes."""
    return report(
        tmp_path_factory.mktemp("alone"), several_run(("cpu", "cuda"), models=MODELS[2:], phases=STEP)
    )


def test_json(both):
    """A row for each training step; the break-evens against one device are beside the others."""
    content = json.loads(to_json(both))
    jsonschema.validate(content, json_schema(ReportJson))
    rows = [row for row in content["scaling"] if row["axes"] == {"width": 1024}]
    assert [(row["device"], row["batch_size"], row["kind"]) for row in rows] == [
        ("2xcuda", 64, "strong"),
        ("2xcuda", 1024, "strong"),
    ]
    row = rows[0]
    assert row["low"] < row["efficiency"] < row["high"]
    assert row["communication_low"] < row["communication_share"] < row["communication_high"]
    weak = [row for row in content["scaling"] if row["kind"] == "weak"]
    assert {row["batch_size"] for row in weak} == {128, 2048}
    assert all(row["axes"]["batch"] == "rank" for row in weak)
    pairs = {(row["baseline"], row["candidate"]) for row in content["break_even"]}
    assert pairs == {("cpu", "cuda"), ("cpu", "2xcuda"), ("cuda", "2xcuda")}
    assert {row["baseline"] for row in content["speedup"]} == {"cpu"}


def test_unknown_is_null(tmp_path):
    """Without the device alone there is no efficiency."""
    content = several_run(("cpu@1", "2xcpu"), models=MODELS[3:], phases=STEP, batches=(64,))
    row = only(json.loads(to_json(report(tmp_path, content)))["scaling"])
    assert [row[name] for name in ("efficiency", "low", "high")] == [None, None, None]
    assert row["communication_share"] > 0


def test_a_row_a_case(both):
    """The CSV has one row for each case, also of those with two break-evens."""
    rows = to_csv(both).splitlines()[1:]
    assert len(rows) == len(both.rows)
    assert sum("train_no_sync" in row for row in rows) == 8


def test_nothing_without_several_processes(alone):
    """No key, no section, no figure, no table."""
    assert "scaling" not in json.loads(to_json(alone))
    assert "Several devices" not in to_markdown(alone, "2.0")
    assert scaling_tables(alone) == []
    assert FIGURES["against_one"].draw(alone) is None
    assert FIGURES["scaling"].draw(alone) is None


def test_page(both, tmp_path):
    """The section has the chart with its form for a phone, the sentences, the figure and the table."""
    written = {path.name for path in write_report(both, tmp_path, "2.0")}
    assert {"against_one.svg", "scaling.svg", "break_even.svg"} <= written
    page = (tmp_path / "index.html").read_text()
    section = re.search(r'<section id="several".*?</section>', page, re.DOTALL)[0]
    assert section.count("<figure") == 2
    assert "Strong scaling on two GPUs (2xcuda)" in section
    assert "2xcuda is faster than cuda" in section
    assert "Every training step on several devices" in section
    main = re.search(r'<section id="break-even".*?</section>', page, re.DOTALL)[0]
    assert main.count("<figure") == 1
    assert "weak scaling" not in main


def test_page_without_several_processes(alone):
    """A section without content does not exist."""
    assert 'id="several"' not in to_html(alone, "2.0", {})


def test_markdown(both):
    """The break-evens against one device are not folded; the table of all steps is."""
    shown, folded = to_markdown(both, "2.0").split("<details>", 1)
    assert "### Break-even of several devices against one" in shown
    assert "mlp width=1024 | 2xcuda" in shown
    assert "| mlp, width 1024 | 2xcuda | weak | 2,048 | 1,024 |" in folded


def test_terminal(both):
    """A second chart below the first."""
    lines = [str(line) for line in renderables(both)]
    at = [place for place, line in enumerate(lines) if "wins from" in line]
    assert len(at) == 2
    assert "2xcuda wins from" in lines[at[1]]


def test_figure_says_what_it_shows(both):
    """The alternative text has the numbers, and both kinds have a column."""
    drawing = FIGURES["scaling"]
    assert drawing.describe(both) == " ".join(both.scaling.sentences)
    figure = drawing.draw(both)
    texts = [text.get_text() for text in figure.texts]
    assert "Efficiency, strong scaling" in texts
    assert "Efficiency, weak scaling" in texts
    labels = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert labels == ["width=1024", "width=4096"] * 2


def test_figure_of_a_model_without_weak_scaling(tmp_path):
    """Its place in the column of weak scaling stays empty."""
    strong = several_run(GPUS, models=MODELS[2:], phases=STEP, batches=(64, 1024))
    weak = several_run(GPUS, models=[("cnn", {}, 1.0)], phases=STEP, batches=(64, 1024), weak=True)
    found = report(tmp_path, strong, weak)
    figure = FIGURES["scaling"].draw(found)
    assert len(figure.axes) == 2
