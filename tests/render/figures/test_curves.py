"""Step time, throughput and memory draw the cases of the report."""

import pytest

from breakeven.render.figures import FIGURES
from breakeven.render.figures.labels import spread
from breakeven.render.figures.models import PanelModel, select_models
from support.run_files import affine_run, benchmark, outcome, run
from support.several_processes import several_run

CPU, GPU = "#0072B2", "#D55E00"
LINES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def cases(report, device, column):
    """That column of the cases of `train` on one device."""
    rows = report.cases[(report.cases["device"] == device) & (report.cases["phase"] == "train")]
    return list(rows[column])


def time_panels(found):
    """The panels of step time."""
    axes = FIGURES["speedup"].draw(found).axes
    return axes[: max(1, len(axes) // 2)]


def test_step_time(report, look):
    """Lines are the medians, and their bands the intervals."""
    found = report(affine_run(LINES, phases=("forward", "train")))
    [ax] = time_panels(found)
    for device, color, band in zip(("cpu", "cuda"), (CPU, GPU), ax.patches, strict=True):
        assert look.lines(ax, color) == [([1, 8, 64, 512], cases(found, device, "median_s"))]
        ends = sorted({y for x, y in band.get_xy() if x == 8})
        assert ends == pytest.approx([cases(found, device, "low_s")[1], cases(found, device, "high_s")[1]])
    assert ax.get_yscale() == "log"
    assert look.ticks(ax.xaxis) == {"1": 1, "8": 8, "64": 64, "512": 512}
    assert look.ticks(ax.yaxis)["10 s"] == 10


def test_line_breaks_at_a_missing_timing(report, look):
    """A line breaks at a batch size where only another device was timed."""
    content = affine_run(LINES)
    for entry in list(content["benchmarks"]):
        if entry["extra_info"]["device"] == "cuda" and entry["extra_info"]["batch_size"] == 8:
            content["benchmarks"].remove(entry)
    [ax] = time_panels(report(content))
    assert [x for x, _ in look.lines(ax, CPU)] == [[1, 8, 64, 512]]
    assert [x for x, _ in look.lines(ax, GPU)] == [[64, 512]]
    assert [x for x, _, _ in look.markers(ax, "s")] == [1, 64, 512]


def test_lines_of_a_weak_sweep(report, look):
    """A line goes through its device's own batch sizes, which those of other numbers of processes are not."""
    found = report(several_run(("cpu", "2xcpu"), phases=("train",), batches=(3, 4, 16), weak=True))
    for ax in (time_panels(found)[0], FIGURES["throughput"].draw(found).axes[0]):
        pieces = [list(line.get_xdata()) for line in ax.get_lines() if line.get_gid() == "line"]
        assert sorted(pieces)[0] == [3, 4, 16]
        assert sorted(pieces)[-1] == [6, 8, 32]


def test_efficiency_ticks(report, look):
    """They are round percentages."""
    found = report(several_run(("cpu", "2xcpu"), phases=("train",), batches=(1, 16, 1024)))
    for ax in FIGURES["scaling"].draw(found).axes:
        shown = {
            label for label, at in look.ticks(ax.yaxis).items() if ax.get_ylim()[0] < at < ax.get_ylim()[1]
        }
        assert {"50%", "100%"} <= shown <= {f"{n}{zeros}%" for n in (1, 2, 5) for zeros in ("", "0", "00")}


def test_interval_of_a_point_alone(report, look):
    """A point without a neighbor has its interval as a line of its own."""
    content = affine_run(LINES)
    content["breakeven"] = {"schema": 1, "outcomes": [outcome(batch_size=4)]}
    found = report(content)
    [ax] = time_panels(found)
    assert [x for x, _ in look.lines(ax, CPU)] == [[8, 64, 512]]
    [(x, y)] = look.lines(ax, CPU, "intervals")
    assert x[:2] == [1, 1]
    assert y[:2] == [cases(found, "cpu", "low_s")[0], cases(found, "cpu", "high_s")[0]]


def test_line_breaks_at_an_untimed_case(report, look):
    """A case without a timing breaks the lines of its own model and phase."""
    content = affine_run(LINES)
    content["benchmarks"] += affine_run(LINES, workload="wide")["benchmarks"]
    ended = [
        outcome(batch_size=16),
        outcome(batch_size=100, workload="wide", phase="forward"),
        outcome(batch_size=...),
    ]
    content["breakeven"] = {"schema": 1, "outcomes": ended}
    narrow, wide = time_panels(report(content))
    assert [x for x, _ in look.lines(narrow, CPU)] == [[1, 8], [64, 512]]
    assert [x for x, _ in look.lines(wide, CPU)] == [[1, 8, 64, 512]]


def test_throughput(report, look):
    """Lines are samples per second; the description has the maximum of each device."""
    found = report(affine_run(LINES, noise=0))
    (ax,) = FIGURES["throughput"].draw(found).axes
    rates = [rate.value for rate in cases(found, "cuda", "samples")]
    assert look.lines(ax, GPU) == [([1, 8, 64, 512], rates)]
    text = FIGURES["throughput"].describe(found)
    assert "cuda 3.78 samples/s (batch 512, mlp, width 128)" in text
    assert "cpu 0.998 samples/s" in text


def test_times_of_zero(report, look):
    """A time of zero has no place on a logarithmic axis."""
    content = run([benchmark([0.0] * 9), *(benchmark([1.0] * 9, batch_size=b) for b in (1, 512))])
    [ax] = time_panels(report(content))
    assert [x for x, _, _ in look.markers(ax, "o")] == [1, 512]
    assert not look.lines(ax, CPU)
    nothing = report(run([benchmark([0.0] * 9)]))
    assert FIGURES["speedup"].draw(nothing) is None
    assert FIGURES["speedup"].describe(nothing) == ""


def test_select_models_of_every_workload():
    """Every machine and every workload is among the selected models."""
    models = [PanelModel(f"m{m}", f"w{w}", f"a={a}") for m in range(3) for w in range(4) for a in range(9)]
    shown = select_models(models, 12)
    assert len(shown) == 12
    assert {model.machine for model in shown} == {"m0", "m1", "m2"}
    assert {model.workload for model in shown} == {"w0", "w1", "w2", "w3"}
    assert shown == sorted(shown, key=models.index)


@pytest.mark.parametrize(
    ("values", "moved"),
    [
        ((1, 1, 1, 1), [0, 2, 4, 6]),
        ((5, 5), [4, 6]),
        ((5, 6, 7), [4, 6, 8]),
        ((3,), [3]),
        ((1, 4, 9), [1, 4, 9]),
        ((9, 9), [7, 9]),
        ((2, 9, 9), [2, 7, 9]),
        ((0, 5, 5, 5, 5, 9), [-1, 1, 3, 5, 7, 9]),
    ],
)
def test_spread(values, moved):
    """Labels keep their order, are at least 2 apart, and stay between the ends if there is room."""
    low = min(moved[0], 0)
    assert spread(values, 2.0, low, 9.0) == pytest.approx(moved)


def test_batch_labels(report, look):
    """Where batch sizes are too close, some have no label, but both ends do."""
    [ax] = time_panels(report(affine_run(LINES, range(1, 31))))
    labels = list(look.ticks(ax.xaxis).values())
    assert (labels[0], labels[-1]) == (1, 30)
    assert len(labels) < 12


def test_extreme_values(report):
    """Markers keep a distance from the edges of their panel."""
    entries = [benchmark([10.0**e] * 9, batch_size=b) for b, e in ((1, -9), (8, 0), (64, 6))]
    [ax] = time_panels(report(run(entries)))
    places = ax.transAxes.inverted().transform(ax.transData.transform([(1, 1e-9), (64, 1e6)]))
    assert 0.03 < places[0][1] < places[1][1] < 0.97


def test_similar_values(report, look):
    """An axis of nearly equal values still has a tick."""
    entries = [benchmark([0.0301] * 9, batch_size=batch) for batch in (1, 8)]
    [ax] = time_panels(report(run(entries)))
    low, high = ax.get_ylim()
    assert high / low >= 2


def test_panel_titles(report, look):
    """The title of a panel with one model has the axes that differ within its workload, or all of them."""
    content = affine_run(LINES, axes={"width": 1, "dtype": "float32"})
    content["benchmarks"] += affine_run(LINES, axes={"width": 3, "dtype": "float32"}, workload="cnn")[
        "benchmarks"
    ]
    texts = look.texts(FIGURES["throughput"].draw(report(content)))
    assert {"cnn", "dtype=float32 width=3", "mlp", "dtype=float32 width=1"} <= set(texts)


def test_columns(report, look):
    """Panels are in two columns, row by row, and a figure of one panel is half as wide."""
    content = run()
    for workload in ("a", "b", "c"):
        content["benchmarks"] += affine_run(LINES, workload=workload)["benchmarks"]
    figure = FIGURES["throughput"].draw(report(content))
    corners = [(round(ax.get_position().x0, 2), round(ax.get_position().y0, 2)) for ax in figure.axes]
    (first, top), (below, bottom), (second, same) = corners
    assert first == below < 0.5 < second
    assert bottom < same == top
    alone = FIGURES["throughput"].draw(report(affine_run(LINES)))
    assert alone.get_figwidth() == figure.get_figwidth() / 2


def test_name_of_one_machine(report, look):
    """The figure names its only machine."""
    figure = FIGURES["speedup"].draw(report(affine_run(LINES)))
    assert look.texts(figure).count("AMD EPYC, 2 cores") == 1
