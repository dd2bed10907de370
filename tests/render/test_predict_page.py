"""The page of a prediction, and the files beside it: every part is marked as predicted."""

import re
from dataclasses import replace

import pytest
from matplotlib.text import Text

from breakeven.format import capital
from breakeven.predict.chart import chart
from breakeven.predict.text import rent_text
from breakeven.render.figures.break_even import MAX_DRAWN
from breakeven.render.figures.predicted import wide
from breakeven.render.figures.style import drawing
from breakeven.render.predict_files import write_prediction
from breakeven.render.predict_page import to_html
from support.hostile import HOSTILE, check
from support.pages import text_of
from support.predictions import H100, L4, card, cpu_run, planted, prediction

__all__ = ["planted"]  # the fixture

FLAT = {"h100_16core": (2e-3, 0.0, 2.0), "l4": (8e-3, 0.0, 2.0)}
WIDTHS = (64, 512)


@pytest.fixture
def found(tmp_path, planted):
    """Two models on two machines, of which one is undecided at a batch size."""
    planted(**FLAT)
    batches = (1, 8, 32, 512)
    return prediction(tmp_path, cpu_run(widths=WIDTHS, batches=batches), card(), card("l4", L4), steps=1000)


def headings(page):
    """The titles of the sections."""
    return [text_of(title) for title in re.findall(r"<h2[^>]*>(.*?)</h2>", page)]


def test_sections(found):
    page = to_html(found, "1.0", ["predictions.csv"])
    assert [title.strip() for title in headings(page)] == [
        "Would another machine train faster than the CPU?",
        "Predicted: from which batch size",
        "What would settle it",
        "Predicted: hours and dollars",
        "Predicted: every cell",
        "What this rests on",
    ]
    text = text_of(page)
    commands = [one.command for one in found.rents]
    assert commands
    for line in (*found.verdict.split("\n"), *(capital(rent_text(one)) for one in found.rents), *commands):
        assert " ".join(line.split()) in " ".join(text.split())
    assert "h100-16core (predicted)" in text
    assert 'href="predictions.csv"' in page


def test_every_table_is_marked(found):
    """The title of each table, which a screen reader reads, has the word."""
    page = to_html(found, "1.0", [])
    labels = re.findall(r'role="group" aria-label="([^"]*)"', page)
    assert len(labels) == 4
    assert all(label.startswith("Predicted") for label in labels)


def test_self_contained(found):
    """The page has no script and loads nothing."""
    page = to_html(found, "1.0", [])
    assert "<script" not in page
    assert "src=" not in page
    assert {link for link in re.findall(r'href="([^"]*)"', page) if not link.startswith("#")} == {
        one.file for one in found.rents
    }


def test_both_forms_of_the_chart(found):
    """For a wide and a narrow screen, with ids of their own."""
    page = to_html(found, "1.0", [])
    ids = re.findall(r' id="([^"]*)"', page)
    assert {"break_even_title", "break_even_narrow_title"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_files(tmp_path, found):
    """All are written, and the chart of an older prediction goes where there is none any more."""
    home = tmp_path / "out"
    names = [path.name for path in write_prediction(found, home, "1.0")]
    assert names == [
        "predictions.json",
        "predictions.csv",
        "predictions.md",
        *(one.file for one in found.rents),
        "break_even.svg",
        "break_even.png",
        "index.html",
    ]
    svg = (home / "break_even.svg").read_text("utf-8")
    assert "Predicted: from which batch size each machine is faster than the CPU" in svg
    assert "h100-16core, l4: predicted, not measured; CPU: AMD EPYC, 2 cores" in svg
    assert (home / "break_even.png").read_bytes().startswith(b"\x89PNG")


def test_one_machine(tmp_path, planted):
    """The page and the chart name the only one."""
    planted(**FLAT)
    page = to_html(prediction(tmp_path, cpu_run()), "1.0", [])
    assert headings(page)[0].strip() == "Would the H100 train faster than the CPU?"
    assert "Predicted: from which batch size the H100 is faster than the CPU" in page
    assert "The break-even is somewhere between the brackets" in page


def test_without_a_range(tmp_path, planted):
    """The caption explains no brackets where the chart has none, and unknown facts have no card."""
    planted(**FLAT)
    found = prediction(tmp_path, cpu_run(batches=(1, 4)))
    page = to_html(replace(found, machine=replace(found.machine, facts={})), "1.0", [])
    assert "brackets" not in page
    assert "gaps at measured batch sizes" in page
    assert "AMD EPYC, 2 cores (measured)" not in page


def test_more_models_than_are_drawn(found):
    """The chart names the file that has the others."""
    one = chart(found)
    many = replace(one, rows=one.rows * 100).limited(MAX_DRAWN)
    with drawing():
        texts = [text.get_text() for text in wide(found, many).findobj(Text)]
    assert "80 more models are in the table (predictions.csv)." in texts


def test_nothing_predicted(tmp_path, planted):
    """The page has the reasons, and no chart; that of an older prediction is removed."""
    planted(**FLAT)
    home = tmp_path / "out"
    write_prediction(prediction(tmp_path, cpu_run()), home, "1.0")
    write_prediction(prediction(tmp_path, cpu_run(), unknown=(1, 8, 64, 512)), home, "1.0")
    assert not [*home.glob("break_even.*")]
    page = (home / "index.html").read_text("utf-8")
    assert "custom op `mine` cannot be traced" in text_of(page)
    assert "<svg" not in page


def test_not_to_be_relied_on(tmp_path, planted):
    """The answer is amber where the measured run was disturbed."""
    planted(**FLAT)
    content = cpu_run()
    for item in content["benchmarks"]:
        item["extra_info"]["flags"] = ["contended"]
    page = to_html(prediction(tmp_path, content), "1.0", [])
    assert 'id="answer" class="unfit"' in page
    assert "not to be trusted" in page, "the watermark"


def test_hostile_names(tmp_path, planted):
    """Names from run files and cards are shown, and never interpreted."""
    first, *others = [cpu_run(workload=f"{i}{text}", batches=(1, 512)) for i, text in enumerate(HOSTILE)]
    first["benchmarks"] += [item for other in others for item in other["benchmarks"]]
    texts = ["<script>x</script>", "</style><b>", *HOSTILE[:4]]
    planted(**{f"c{i}": (2e-3, 0.0, 2.0) for i in range(len(texts))})
    cards = [card(f"c{i}", {**H100, "gpu": text, "cpu": text}, hardware=text) for i, text in enumerate(texts)]
    page = to_html(prediction(tmp_path, first, *cards), "1.0", [])
    check(page)
    assert "<script" not in page
    assert "</style><b>" not in page
