"""The speedup figure draws the report's numbers on base-2 axes around a heavy line at 1x."""

from itertools import pairwise

import numpy as np
import pytest

from breakeven.render.figures import FIGURES, speedup_figure, to_png
from support.run_files import affine_run, benchmark, outcome, run

CPU, GPU = "#0072B2", "#D55E00"
CROSSING = {"cpu": (1, 1), "cuda": (33, 0.2)}


def widths(count, devices=None):
    """A run of as many models."""
    content = run()
    for width in range(count):
        one = affine_run(devices or {"cpu": (1, 1), "cuda": (9, 0.2)}, axes={"width": width})
        content["benchmarks"] += one["benchmarks"]
    return content


def test_line_and_diamond(report, look):
    """The line goes through the speedups, and crosses 1x at the diamond."""
    found = report(affine_run(CROSSING))
    (ax,) = speedup_figure(found).axes
    [(x, y)] = look.lines(ax, GPU)
    path = dict(zip(x, y, strict=True))
    assert [path[row.batch_size] for row in found.speedups] == [row.speedup for row in found.speedups]
    line = found.break_evens[0].crossing
    assert np.interp(line.batch_size, x, y) == pytest.approx(1, rel=0.01), "the line crosses at the diamond"
    assert look.lines(ax, GPU, None)[-2:] == [([line.low, line.high], [1, 1]), ([line.batch_size], [1])]
    assert [(x, y) for x, y, _ in look.markers(ax, "d")] == [(line.batch_size, 1)]
    assert f"{line.batch_size:.0f}" in look.texts(ax.figure)


def test_intervals(report, look):
    """The band and the vertical lines are the report's intervals."""
    found = report(affine_run(CROSSING))
    (ax,) = speedup_figure(found).axes
    ends = [(row.low, row.high) for row in found.speedups]
    [(_, drawn)] = look.lines(ax, GPU, "intervals")
    assert [tuple(drawn[at : at + 2]) for at in range(0, len(drawn), 3)] == ends
    corners = ax.patches[0].get_xy()
    for row in found.speedups:
        at = sorted({y for x, y in corners if x == row.batch_size})
        assert at == pytest.approx([row.low, row.high])
    [(x, y)] = look.lines(ax, GPU)
    for batch, speedup in zip(x, y, strict=True):
        low, high = sorted({end for at, end in corners if at == batch})
        assert low < speedup < high, "the band bends with the line"


def test_axes(report, look):
    """Both axes are base-2 logarithms, with a heavy line at 1x."""
    (ax,) = speedup_figure(report(affine_run({"cpu": (1, 1), "cuda": (8, 0.2)}))).axes
    assert look.ticks(ax.xaxis) == {"1": 1, "8": 8, "64": 64, "512": 512}
    labels = look.ticks(ax.yaxis)
    assert labels.items() >= {"1/4x": 0.25, "1/2x": 0.5, "1x": 1, "2x": 2}.items()
    [one] = [line for line in ax.get_lines() if line.get_color() == look.ink]
    assert list(one.get_ydata()) == [1, 1]
    assert one.get_linewidth() > 1.5
    assert [ax.transData.transform((1, 2.0**e))[1] for e in (-1, 0, 1)] == pytest.approx(
        np.linspace(*[ax.transData.transform((1, y))[1] for y in (0.5, 2)], 3).tolist()
    ), "a factor of two is the same length above 1x and below"


def test_no_line_across_a_hole(report, look):
    content = affine_run({"cpu": (1, 1), "cuda": (9, 0.2)})
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=16)]}
    (ax,) = speedup_figure(report(content)).axes
    assert [(x[0], x[-1]) for x, _ in look.lines(ax, GPU)] == [(1, 8), (64, 512)]


def test_hollow_markers(report, look):
    """Only undecided speedups are hollow."""
    rng = np.random.default_rng(0)
    cells = [(1, 0.3, 1.0), (8, 0.01, 2.0), (64, 0.01, 0.5)]
    content = run(
        [
            benchmark((scale * rng.lognormal(0, noise, 30)).tolist(), device=device, batch_size=batch)
            for batch, noise, gpu in cells
            for device, scale in (("cpu", 1.0), ("cuda", gpu))
        ]
    )
    (ax,) = speedup_figure(report(content)).axes
    faces = {x: face for x, _, face in look.markers(ax, "s")}
    assert faces == {1: "#ffffff", 8: GPU.lower(), 64: GPU.lower()}


def test_direct_labels(report, look):
    """A line is named at its end, and names never overlap."""
    devices = {"cpu": (1, 1), "cuda": (0.5, 0.5), "cuda:1": (0.5, 0.5), "cpu@2": (0.5, 0.51)}
    (ax,) = speedup_figure(report(affine_run(devices))).axes
    names = [text for text in ax.texts if text.get_text() in devices]
    assert len(names) == 3
    ax.figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in names), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))
    assert all(box.x0 > ax.transData.transform((512, 1))[0] for box in boxes)


def test_legend_of_many_lines(report, look):
    devices = {"cpu": (1, 1)} | {f"cuda:{n}": (0.5, 0.5 - n / 100) for n in range(1, 6)}
    figure = speedup_figure(report(affine_run(devices)))
    assert look.legend(figure)[:5] == [f"cuda:{n}" for n in range(1, 6)]
    assert not {text.get_text() for text in figure.axes[0].texts} & set(devices)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (affine_run({"cpu": (1, 1)}), "No two devices could be compared."),
        (run([], [outcome()]), "Nothing was timed."),
    ],
    ids=["alone", "untimed"],
)
def test_no_speedups(report, look, content, reason):
    """The figure says why there are none."""
    found = report(content)
    assert FIGURES["speedup"].draw(found) is None
    assert FIGURES["speedup"].describe(found) == reason
    figure = speedup_figure(found)
    assert look.texts(figure) == [reason]
    assert to_png(figure).startswith(b"\x89PNG")


def test_break_even_at_the_left_edge(report):
    """Its number is inside the panel."""
    content = affine_run({"cpu": (1, 1), "cuda": (2.01, 0.1)}, (1, 64, 512), noise=0.001)
    (ax,) = speedup_figure(report(content)).axes
    ax.figure.canvas.draw()
    [number] = [text for text in ax.texts if text.get_fontweight() == "bold" and text.xycoords == "data"]
    assert number.get_window_extent().x0 > ax.get_window_extent().x0
    assert (number.get_ha(), number.get_va()) == ("left", "top")


def test_ticks_of_extreme_speedups(report):
    (ax,) = speedup_figure(report(run([benchmark([1e3] * 9), benchmark([1e-6] * 9, device="cuda")]))).axes
    assert 2 < len(ax.get_yticks()) <= 12
    assert ax.get_ylim()[1] > 1e9


def test_panels(report, look):
    """Every model has a panel; only the outer ones have tick labels."""
    figure = speedup_figure(report(widths(5)))
    assert len(figure.axes) == 5
    assert [text for text in look.texts(figure) if text.startswith("width=")] == [
        f"width={width}" for width in range(5)
    ]
    assert len({ax.get_xlim() for ax in figure.axes} | {ax.get_ylim() for ax in figure.axes}) == 2
    assert [bool(look.ticks(ax.yaxis)) for ax in figure.axes] == [True, False, False, True, False]
    assert [bool(look.ticks(ax.xaxis)) for ax in figure.axes] == [False, False, True, True, True]
    left = {round(ax.get_position().x0, 3) for ax in figure.axes}
    assert len(left) == 3, "three panels side by side are as many as a phone can show"
