"""Step time and speedup side by side: the report's numbers on logarithmic axes, a row for each workload."""

import numpy as np
import pytest

from breakeven.render.figures import FIGURES
from support.reports import box
from support.run_files import affine_run, benchmark, outcome, run

CPU, GPU = "#0072B2", "#D55E00"
CROSSING = {"cpu": (1, 1), "cuda": (33, 0.2)}


def widths(count, devices=None, **more):
    """A run of as many models."""
    content = run(**more)
    for width in range(count):
        one = affine_run(devices or {"cpu": (1, 1), "cuda": (9, 0.2)}, axes={"width": width})
        content["benchmarks"] += one["benchmarks"]
    return content


def panels(found):
    """The panels of step time and those of the speedup."""
    axes = FIGURES["speedup"].draw(found).axes
    return axes[: len(axes) // 2], axes[len(axes) // 2 :]


def panel(found):
    """The only panel with speedups."""
    _, (ax,) = panels(found)
    return ax


def test_straight_lines(report, look):
    """Straight segments through the speedups, and through 1x at the diamond."""
    found = report(affine_run(CROSSING))
    ax = panel(found)
    line = found.break_evens[0].crossing
    expected = sorted([(line.batch_size, 1.0), *((row.batch_size, row.speedup) for row in found.speedups)])
    [(x, y)] = look.lines(ax, GPU)
    assert np.array([x, y]).T.tolist() == [pytest.approx(pair) for pair in expected]
    assert look.lines(ax, GPU, "break-even") == [([line.low, line.high], [1, 1])]
    assert [(x, y) for x, y, _ in look.markers(ax, "d")] == [(line.batch_size, 1)]
    assert look.labels(ax) == [f"cuda, from {np.ceil(line.batch_size):.0f}"]


def test_band(report):
    """The band is between the ends of the report's intervals."""
    found = report(affine_run(CROSSING))
    ax = panel(found)
    corners = ax.patches[0].get_xy()
    for row in found.speedups:
        assert sorted({y for x, y in corners if x == row.batch_size}) == pytest.approx([row.low, row.high])
    at = found.break_evens[0].crossing.batch_size
    low, high = sorted({y for x, y in corners if x == at})
    assert low < 1 < high, "the band bends with the line"


def test_axes(report, look):
    """Both axes are base-2 logarithms, with a heavy line at 1x."""
    ax = panel(report(affine_run({"cpu": (1, 1), "cuda": (8, 0.2)})))
    assert look.ticks(ax.xaxis) == {"1": 1, "8": 8, "64": 64, "512": 512}
    labels = look.ticks(ax.yaxis)
    assert labels.items() >= {"1/4x": 0.25, "1/2x": 0.5, "1x": 1, "2x": 2}.items()
    [one] = [line for line in ax.get_lines() if line.get_gid() == "unity"]
    assert list(one.get_ydata()) == [1, 1]
    assert one.get_linewidth() > 1.5
    assert [ax.transData.transform((1, 2.0**e))[1] for e in (-1, 0, 1)] == pytest.approx(
        np.linspace(*[ax.transData.transform((1, y))[1] for y in (0.5, 2)], 3).tolist()
    ), "a factor of two is the same length above 1x and below"


def test_batch_sizes_with_thousands(report, look):
    ax = panel(report(affine_run(CROSSING, (16, 65_536))))
    assert look.ticks(ax.xaxis) == {"16": 16, "65,536": 65_536}


def test_no_line_across_a_hole(report, look):
    content = affine_run({"cpu": (1, 1), "cuda": (9, 0.2)})
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=16)]}
    ax = panel(report(content))
    assert [(x[0], x[-1]) for x, _ in look.lines(ax, GPU)] == [(1, 8), (64, 512)]


def test_crossing_is_on_its_own_piece(report, look):
    """Only the piece of a line that crosses 1x goes through the break-even."""
    content = affine_run(CROSSING, (1, 8, 64, 512, 4096))
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(device="cuda", batch_size=100)]}
    found = report(content)
    at = found.break_evens[0].crossing.batch_size
    assert [x for x, _ in look.lines(panel(found), GPU)] == [pytest.approx([1, 8, at, 64]), [512, 4096]]


def test_hollow_markers(report, look):
    """Only undecided speedups, and the same within 2%, are hollow."""
    rng = np.random.default_rng(0)
    cells = [(1, 0.3, 1.0), (8, 0.01, 2.0), (64, 0.01, 0.5), (512, 0.001, 1.0)]
    content = run(
        [
            benchmark((scale * rng.lognormal(0, noise, 30)).tolist(), device=device, batch_size=batch)
            for batch, noise, gpu in cells
            for device, scale in (("cpu", 1.0), ("cuda", gpu))
        ]
    )
    found = report(content)
    ax = panel(found)
    assert [row.verdict for row in found.speedups] == ["undecided", "slower", "faster", "same"]
    faces = {x: face for x, _, face in look.markers(ax, "s")}
    assert faces == {1: "#ffffff", 8: GPU.lower(), 64: GPU.lower(), 512: "#ffffff"}
    assert "undecided or same (within 2%)" in look.legend(ax.figure)


def test_legend_of_what_is_drawn(report, look):
    """No entry explains a mark that the figure does not have."""
    figure = FIGURES["speedup"].draw(report(affine_run({"cpu": (1, 1), "cuda": (0.5, 0.5)})))
    assert look.legend(figure) == ["cpu", "cuda"]


def test_labels(report, look):
    """A line is labeled with what differs in its panel: one axis by name, several by their values."""
    [time], [speedup] = panels(report(widths(2)))
    assert sorted(look.labels(time)) == ["width=0 cpu", "width=0 cuda", "width=1 cpu", "width=1 cuda"]
    assert sorted(text.partition(",")[0] for text in look.labels(speedup)) == ["width=0", "width=1"]
    content = run()
    for width, graph, dtype in ((1, True, "bfloat16"), (2, False, "float32")):
        axes = {"width": width, "graph": graph, "dtype": dtype}
        content["benchmarks"] += affine_run({"cpu": (1, 1), "cuda": (0.5, 0.5)}, axes=axes)["benchmarks"]
    several = panel(report(content))
    assert sorted(look.labels(several)) == ["bfloat16 graph=True 1", "float32 graph=False 2"]
    assert "by dtype, graph, width" in look.texts(several.figure)


def test_order_of_labels(report):
    """Labels are in the order of the ends of their lines, so that their leaders do not cross."""
    content = run()
    for width, slope in ((1, 0.3), (2, 0.1), (3, 0.2), (4, 0.05)):
        lines = {"cpu": (1, 1), "cuda": (0.5, slope)}
        content["benchmarks"] += affine_run(lines, axes={"width": width})["benchmarks"]
    ax = panel(report(content))
    labels = {text.get_position()[1]: text.get_text() for text in ax.texts}
    assert [labels[y] for y in sorted(labels)] == ["width=1", "width=3", "width=2", "width=4"]


def test_names_of_machines(report, look):
    """One color per device; machines differ in their lines, labels and legend."""
    contents = [
        affine_run(CROSSING, machine=box(name, cpu=name), seed=seed)
        for seed, name in enumerate(("one", "two"))
    ]
    found = report(*contents)
    [time], [speedup] = panels(found)
    assert sorted(look.labels(time)) == ["cpu one", "cpu two", "cuda one", "cuda two"]
    assert [label.partition(",")[0] for label in sorted(look.labels(speedup))] == ["cuda one", "cuda two"]
    drawn = [
        (line.get_color(), line.get_linestyle()) for line in time.get_lines() if line.get_gid() == "line"
    ]
    assert drawn == [(CPU, "-"), (GPU, "-"), (CPU, "--"), (GPU, "--")]
    assert look.legend(time.figure)[:4] == ["cpu on one", "cuda on one", "cpu on two", "cuda on two"]
    assert "Speedup over cpu" in look.texts(time.figure)
    against = report(*contents, baseline="one/cpu")
    assert "Speedup over cpu on one" in look.texts(FIGURES["speedup"].draw(against))


def test_panels_have_their_own_batch_sizes(report, look):
    content = affine_run(CROSSING, (1, 16))
    content["benchmarks"] += affine_run(CROSSING, (64, 4096), workload="cnn")["benchmarks"]
    times, speedups = panels(report(content))
    for axes in (times, speedups):
        assert [list(look.ticks(ax.xaxis)) for ax in axes] == [["64", "4,096"], ["1", "16"]]


def test_panel_of_six_lines(report, look):
    """A workload with more lines has several panels of about the same size."""
    times, speedups = panels(report(widths(7)))
    assert [len(look.labels(ax)) for ax in speedups] == [4, 3]
    assert [len(look.labels(ax)) for ax in times] == [8, 6]
    assert {"1 of 2", "2 of 2"} <= set(look.texts(times[0].figure))
    devices = {"cpu": (1, 1), "cuda": (0.5, 0.5), "cuda:1": (0.4, 0.5)}
    _, speedups = panels(report(widths(6, devices)))
    assert [len(look.labels(ax)) for ax in speedups] == [6, 6]


def test_max_panels(report, look):
    """Every workload is shown before a second panel of any, and a note counts the models left out."""
    content = widths(60)
    content["benchmarks"] += affine_run(CROSSING, workload="cnn")["benchmarks"]
    figure = FIGURES["speedup"].draw(report(content))
    assert len(figure.axes) == 2 * 8
    texts = look.texts(figure)
    assert texts.count("cnn") == 2
    assert "18 more models are in the table (summary.csv)." in texts


@pytest.mark.parametrize("devices", [{"cpu": (1, 1)}, {"cuda": (1, 1)}])
def test_no_speedups(report, look, devices):
    """Without a second device there are only the times."""
    found = report(affine_run(devices))
    figure = FIGURES["speedup"].draw(found)
    assert len(figure.axes) == 1
    assert "Time of a training step" in look.texts(figure)
    assert FIGURES["speedup"].describe(found).startswith("Time over batch size (train). mlp, width 128, c")


@pytest.mark.parametrize(
    ("phase", "heading"),
    [
        ("infer", "Time of a batch in inference"),
        ("epoch", "Time of a batch in an epoch with its loader"),
        ("step", "Time of the optimizer step"),
    ],
)
def test_heading(report, look, phase, heading):
    found = report(affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=(phase,)))
    assert heading in look.texts(FIGURES["speedup"].draw(found))


def test_description(report):
    """The alternative text has the ends of each line and its break-even."""
    found = report(affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, noise=0))
    assert FIGURES["speedup"].describe(found) == (
        "Speedup over cpu over batch size (train). mlp, width 128, cuda: "
        "16.6x slower at batch 1 to 3.79x at 512, break-even 40."
    )


def test_ticks_of_extreme_speedups(report):
    ax = panel(report(run([benchmark([1e3] * 9), benchmark([1e-6] * 9, device="cuda")])))
    assert 2 < len(ax.get_yticks()) <= 12
    assert ax.get_ylim()[1] > 1e9
