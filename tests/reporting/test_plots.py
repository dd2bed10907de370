"""The speedup plot draws the record's numbers, the same bytes every time."""

import re
import xml.etree.ElementTree

import numpy as np
import pytest

from breakeven.analysing import record, runs
from breakeven.reporting import plots
from run_files import affine_run, benchmark, outcome, run, write

HOSTILE = "$\\frac{1}{0}$ <b>&\x1b"


def report(tmp_path, content):
    """The analysed record of one run file."""
    return record.analyse(runs.read([write(tmp_path / "run.json", content)]))


def drawn(ax, colour):
    """The (x, y) of every drawn line of that colour with more than one point, 1x line excluded."""
    lines = [line for line in ax.get_lines() if line.get_color() == colour and len(line.get_xdata()) > 1]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in lines]


def test_the_line_goes_through_the_speedups_and_the_diamond_stands_on_the_break_even(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    (ax,) = plots.speedup_figure(found).axes
    curve, whiskers = drawn(ax, "#D55E00")
    assert curve == ([1, 8, 64, 512], [row.speedup for row in found.speedups])
    line = found.break_evens[0].crossing
    assert whiskers == ([line.low, line.high], [1, 1])
    assert [list(mark.get_xdata()) for mark in ax.get_lines() if mark.get_marker() == "d"] == [
        [line.batch_size]
    ]


def test_axes_are_base_two_logarithms_with_fractions_and_a_heavy_line_at_one(tmp_path):
    figure = plots.speedup_figure(report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (8, 0.2)})))
    (ax,) = figure.axes
    figure.canvas.draw()
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "8", "64", "512"]
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert {"1/4x", "1/2x", "1x", "2x"} <= set(labels)
    (one,) = [
        line for line in ax.get_lines() if list(line.get_ydata()) == [1, 1] and line.get_color() == "black"
    ]
    assert one.get_linewidth() > 1.5


def test_no_line_is_drawn_across_a_hole(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (9, 0.2)})
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=16)]}
    (ax,) = plots.speedup_figure(report(tmp_path, content)).axes
    assert [x for x, y in drawn(ax, "#D55E00") if y != [1, 1]] == [[1, 8], [64, 512]]


def test_what_is_undecided_is_hollow(tmp_path):
    rng = np.random.default_rng(0)
    content = run(
        [benchmark(rng.lognormal(0, 0.3, 30).tolist(), device=device) for device in ("cpu", "cuda")]
    )
    (ax,) = plots.speedup_figure(report(tmp_path, content)).axes
    faces = {line.get_markerfacecolor() for line in ax.get_lines() if line.get_marker() == "s"}
    assert faces == {"white"}


def test_every_model_has_a_panel_of_its_own_and_too_many_are_said_to_be_missing(tmp_path, monkeypatch):
    content = run()
    for width in range(5):
        content["benchmarks"] += affine_run({"cpu": (1, 1), "cuda": (9, 0.2)}, axes={"width": width})[
            "benchmarks"
        ]
    found = report(tmp_path, content)
    titles = [ax.get_title(loc="left") for ax in plots.speedup_figure(found).axes if ax.get_visible()]
    assert titles == [f"mlp\nwidth={width}" for width in range(5)]
    monkeypatch.setattr(plots, "MAX_PANELS", 3)
    figure = plots.speedup_figure(found)
    assert len([ax for ax in figure.axes if ax.get_visible()]) == 3
    assert "2 more models" in figure.get_supxlabel()


def test_a_device_keeps_its_colour_and_marker_and_no_two_share_both():
    many = ["cpu", "cuda", "cpu@1", "cuda:1", "cpu@2"]
    styles = plots.device_styles(many)
    assert styles["cpu"] == ("#0072B2", "o")
    assert styles["cuda"] == ("#D55E00", "s")
    assert len(set(styles.values())) == 5
    assert plots.device_styles(reversed(many)) == styles


@pytest.mark.parametrize(
    "content", [affine_run({"cpu": (1, 1)}), run([], [outcome()])], ids=["alone", "untimed"]
)
def test_a_report_without_speedups_still_has_a_picture_that_says_so(tmp_path, content):
    figure = plots.speedup_figure(report(tmp_path, content))
    assert re.search(r"No two devices|Nothing was timed", figure.texts[0].get_text())
    assert plots.to_png(figure).startswith(b"\x89PNG")


def test_the_svg_is_the_same_bytes_every_time_and_carries_no_date(tmp_path):
    found = report(tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    one, other = (plots.to_svg(plots.speedup_figure(found)) for _ in range(2))
    assert one == other
    assert b"<dc:date>" not in one


def test_hostile_and_foreign_names_are_drawn_as_they_stand(tmp_path):
    found = report(
        tmp_path, affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, workload=HOSTILE, axes={"漢字": HOSTILE})
    )
    svg = plots.to_svg(plots.speedup_figure(found))
    xml.etree.ElementTree.fromstring(svg)
    assert b"<b>" not in svg
    assert plots.to_png(plots.speedup_figure(found)).startswith(b"\x89PNG")


def test_extreme_speedups_keep_readable_ticks(tmp_path):
    content = run([benchmark([1e3] * 9), benchmark([1e-6] * 9, device="cuda")])
    figure = plots.speedup_figure(report(tmp_path, content))
    figure.canvas.draw()
    assert len(figure.axes[0].get_yticks()) <= 12
