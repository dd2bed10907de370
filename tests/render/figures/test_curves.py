"""Step time, throughput and memory draw the cases of the report, a panel for each model."""

from itertools import pairwise

import pytest

from breakeven.render.figures import FIGURES
from breakeven.render.figures.curves import apart
from breakeven.render.figures.models import PanelModel, select_models
from support.run_files import affine_run, benchmark, outcome, run

CPU, GPU = "#0072B2", "#D55E00"
LINES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def cases(report, device, column):
    """That column of the cases of `train` on one device."""
    rows = report.cases[(report.cases["device"] == device) & (report.cases["phase"] == "train")]
    return list(rows[column])


def test_step_time(report, look):
    """Lines are the medians, vertical lines the intervals."""
    found = report(affine_run(LINES, phases=("forward", "train")))
    (ax,) = FIGURES["step_time"].draw(found).axes
    for device, color in (("cpu", CPU), ("cuda", GPU)):
        assert look.lines(ax, color) == [([1, 8, 64, 512], cases(found, device, "median_s"))]
        [(_, ends)] = look.lines(ax, color, "intervals")
        assert ends[0::3] == cases(found, device, "low_s")
        assert ends[1::3] == cases(found, device, "high_s")
    assert ax.get_yscale() == "log"
    assert look.ticks(ax.xaxis) == {"1": 1, "8": 8, "64": 64, "512": 512}
    assert look.ticks(ax.yaxis)["10 s"] == 10


def test_line_breaks_at_a_missing_timing(report, look):
    """A line breaks at a batch size where only another device was timed."""
    content = affine_run(LINES)
    for entry in list(content["benchmarks"]):
        if entry["extra_info"]["device"] == "cuda" and entry["extra_info"]["batch_size"] == 8:
            content["benchmarks"].remove(entry)
    (ax,) = FIGURES["step_time"].draw(report(content)).axes
    assert [x for x, _ in look.lines(ax, CPU)] == [[1, 8, 64, 512]]
    assert [x for x, _ in look.lines(ax, GPU)] == [[64, 512]]
    assert [x for x, _, _ in look.markers(ax, "s")] == [1, 64, 512]


def test_line_breaks_at_an_untimed_case(report, look):
    """A case without a timing breaks the lines of its own model and phase."""
    content = affine_run(LINES)
    content["benchmarks"] += affine_run(LINES, axes={"width": 7})["benchmarks"]
    ended = [
        outcome(batch_size=16),
        outcome(batch_size=100, axes={"width": 7}, phase="forward"),
        outcome(batch_size=...),
    ]
    content["breakeven"] = {"schema": 1, "outcomes": ended}
    narrow, wide = FIGURES["step_time"].draw(report(content)).axes
    assert [x for x, _ in look.lines(narrow, CPU)] == [[1, 8, 64, 512]]
    assert [x for x, _ in look.lines(wide, CPU)] == [[1, 8], [64, 512]]


def test_throughput(report, look):
    """Lines are samples per second; the description has the maximum of each device."""
    found = report(affine_run(LINES, noise=0))
    (ax,) = FIGURES["throughput"].draw(found).axes
    rates = [rate.value for rate in cases(found, "cuda", "samples")]
    assert look.lines(ax, GPU) == [([1, 8, 64, 512], rates)]
    text = FIGURES["throughput"].describe(found)
    assert "cuda 3.78 samples/s (batch 512, mlp at width=128)" in text
    assert "cpu 0.998 samples/s" in text


def test_times_of_zero(report, look):
    """A time of zero has no place on a logarithmic axis."""
    content = run([benchmark([0.0] * 9), *(benchmark([1.0] * 9, batch_size=b) for b in (1, 512))])
    (ax,) = FIGURES["step_time"].draw(report(content)).axes
    assert [x for x, _, _ in look.markers(ax, "o")] == [1, 512]
    assert not look.lines(ax, CPU)
    nothing = report(run([benchmark([0.0] * 9)]))
    assert FIGURES["step_time"].draw(nothing) is None
    assert FIGURES["step_time"].describe(nothing).startswith("There is no figure of step times")


def test_select_models_of_every_workload():
    """Every machine and every workload is among the selected models."""
    models = [PanelModel(f"m{m}", f"w{w}", f"a={a}") for m in range(3) for w in range(4) for a in range(9)]
    shown = select_models(models, 12)
    assert len(shown) == 12
    assert {model.machine for model in shown} == {"m0", "m1", "m2"}
    assert {model.workload for model in shown} == {"w0", "w1", "w2", "w3"}
    assert shown == sorted(shown, key=models.index)


def test_devices_with_similar_names(report, look):
    """Devices whose names are shortened to the same text have a label each."""
    devices = {"cpu": (1, 1), "cuda:10000000000": (5, 0.5), "cuda:10100000000": (6, 0.5)}
    (ax,) = FIGURES["step_time"].draw(report(affine_run(devices))).axes
    assert [text.get_text()[:4] for text in ax.texts if text.xycoords == "data"] == ["cuda", "cuda", "cpu"]


@pytest.mark.parametrize("values", [(1, 1, 1, 1), (1, 1, 9), (0, 5, 6, 7), (3,)])
def test_apart(values):
    """Values are moved apart and keep their mean and their order; values far apart stay."""
    moved = apart(values, 2)
    assert min((above - below for below, above in pairwise(moved)), default=2) > 1.99
    assert sum(moved) == pytest.approx(sum(values))
    assert apart((1, 4, 9), 2) == [1, 4, 9]


def test_batch_labels(report, look):
    """Where batch sizes are too close, some have no label, but both ends do."""
    (ax,) = FIGURES["step_time"].draw(report(affine_run(LINES, range(1, 31)))).axes
    labels = list(look.ticks(ax.xaxis).values())
    assert (labels[0], labels[-1]) == (1, 30)
    assert len(labels) < 12


def test_extreme_values(report):
    """Markers keep a distance from the edges of their panel."""
    entries = [benchmark([10.0**e] * 9, batch_size=b) for b, e in ((1, -9), (8, 0), (64, 6))]
    (ax,) = FIGURES["step_time"].draw(report(run(entries))).axes
    places = ax.transAxes.inverted().transform(ax.transData.transform([(1, 1e-9), (64, 1e6)]))
    assert 0.03 < places[0][1] < places[1][1] < 0.97


def test_similar_values(report, look):
    """An axis of nearly equal values still has a tick."""
    entries = [benchmark([0.0301] * 9, batch_size=batch) for batch in (1, 8)]
    (ax,) = FIGURES["step_time"].draw(report(run(entries))).axes
    low, high = ax.get_ylim()
    assert high / low >= 2


def test_panel_titles(report, look):
    """A title has the axes that differ within a workload, or all where none does."""
    content = affine_run(LINES, axes={"width": 1, "dtype": "float32"})
    for width, workload in ((2, "mlp"), (3, "cnn")):
        more = affine_run(LINES, axes={"width": width, "dtype": "float32"}, workload=workload)
        content["benchmarks"] += more["benchmarks"]
    texts = look.texts(FIGURES["step_time"].draw(report(content)))
    assert {"width=1", "width=2", "dtype=float32 width=3"} <= set(texts)


def test_machine_labels(report, look):
    """Panels name the machine if there are several, the figure does otherwise."""
    boxes = [{"node": name, "cpu": {"brand_raw": f"CPU {name}", "count": 2}} for name in ("a", "b")]
    several = [affine_run(LINES, machine=box, seed=seed) for seed, box in enumerate(boxes)]
    figure = FIGURES["step_time"].draw(report(*several))
    texts = look.texts(figure)
    assert {"a", "b", "2 machines"} <= set(texts)
    alone = FIGURES["step_time"].draw(report(affine_run(LINES, machine=boxes[0])))
    assert look.texts(alone).count("CPU a, 2 cores") == 1
