"""The bars of a step stack its phases from zero, and compare them with the step timed as a whole."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from breakeven.render.figures import FIGURES
from breakeven.render.figures.phases import PHASE_COLORS
from support.run_files import affine_run, benchmark, run

PARTS = {"transfer": 0.1, "forward": 1.0, "backward": 2.0, "step": 0.5}


def step(device="cuda", batch_size=1, train=3.0, scale=1.0, **identity):
    """The benchmarks of one step."""
    seconds = {phase: value * scale for phase, value in PARTS.items()} | {"train": train}
    return [
        benchmark(
            [value] * 9,
            phase=phase,
            device=device,
            batch_size=batch_size,
            **identity,
            **({"parts_s": {"zero_grad": 0.4}} if phase == "train" else {}),
        )
        for phase, value in seconds.items()
    ]


def bars(ax):
    """The bars of a panel: (device's place, bottom, height, color)."""
    return [
        (round(p.get_x() + p.get_width() / 2), p.get_y(), p.get_height(), to_hex(p.get_facecolor()))
        for p in ax.patches
        if isinstance(p, Rectangle)
    ]


def labels(ax):
    """The texts that are written at a bar."""
    return [text.get_text() for text in ax.texts if text.xycoords == "data"]


def ticks_of_train(ax, look):
    """The heights of the lines across the bars."""
    return [line.get_ydata()[0] for line in ax.get_lines() if line.get_color() == look.ink]


def test_stacked_parts(report, look):
    """Parts are stacked from zero, in the order of a step."""
    (ax,) = FIGURES["phases"].draw(report(run(step()))).axes
    heights = [0.1, 0.4, 1.0, 2.0, 0.5]
    assert [height for _, _, height, _ in bars(ax)] == pytest.approx(heights)
    assert [bottom for _, bottom, _, _ in bars(ax)] == pytest.approx([0, 0.1, 0.5, 1.5, 3.5])
    assert [color for *_, color in bars(ax)] == list(PHASE_COLORS.values())
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] == 0
    assert look.legend(ax.figure) == [*PHASE_COLORS, "step timed as a whole"]


def test_whole_step(report, look):
    """The whole step is a line across its bar, with the residual above."""
    (ax,) = FIGURES["phases"].draw(report(run([*step(train=4.0), *step("cpu", train=5.0)]))).axes
    assert ticks_of_train(ax, look) == [5.0, 4.0]
    assert labels(ax) == ["-20%", "0%"]
    assert ax.get_ylim()[1] > 5 * 1.1, "there is room for the residual"
    assert list(look.ticks(ax.xaxis)) == ["cpu", "cuda"]


def test_batch_sizes(report, look):
    """The smallest, the nearest to the break-even, and the largest are shown."""
    content = affine_run(
        {"cpu": (1, 1), "cuda": (33, 0.2)}, (1, 8, 32, 64, 512), phases=("forward", "train"), noise=0.001
    )
    found = report(content)
    assert found.break_evens[0].crossing.batch_size == pytest.approx(40, rel=0.02)
    figure = FIGURES["phases"].draw(found)
    titles = [text for text in look.texts(figure) if text.startswith("batch ")]
    assert titles == ["batch 1", "batch 32, near break-even", "batch 512"]
    tops = [ax.get_ylim()[1] for ax in figure.axes]
    assert tops[0] < tops[1] < tops[2], "each batch size has its own scale"


def test_device_without_a_timing(report, look):
    """It keeps its place at every batch size, marked as untimed."""
    content = run([*step("cpu"), *step("cpu", 64), *step("cuda", 64)])
    first, second = FIGURES["phases"].draw(report(content)).axes
    assert {place for place, *_ in bars(first)} == {0}
    assert "none" in labels(first)
    assert "none" not in labels(second)
    assert {place for place, *_ in bars(second)} == {0, 1}
    assert list(look.ticks(first.xaxis)) == list(look.ticks(second.xaxis)) == ["cpu", "cuda"]


def test_max_models(report, look):
    """Workloads take turns."""
    content = run()
    for workload in ("a", "b", "c"):
        for width in range(4):
            content["benchmarks"] += step(workload=workload, axes={"width": width})
    figure = FIGURES["phases"].draw(report(content))
    assert len(figure.axes) == 6
    titles = [text for text in look.texts(figure) if ", width=" in text]
    assert [title[0] for title in titles] == ["a", "a", "b", "b", "c", "c"]
    assert "6 more models are in the table (summary.csv)." in look.texts(figure)
