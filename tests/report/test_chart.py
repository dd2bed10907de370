"""The break-even chart as a description: its texts, its stretches and its order."""

import math
from dataclasses import replace

import pytest

from breakeven.case import Axes, Model
from breakeven.report.chart import chart
from breakeven.report.sides import Side
from breakeven.stats.crossing import CrossingWarning
from support.charts import chart_of, ended, line, tracks
from support.reports import box, only, report
from support.run_files import affine_run

CUT_SHORT = CrossingWarning.CUT_SHORT
BOTH = {1: "-", 4096: "+"}


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (line(BOTH, "crosses", 2589.26, 1496.9, 3476.1), "2,590 [1,496–3,477]"),
        (line({1: "-", 4096: "?"}, bracket=(1, None)), "undecided (1–4,096)"),
        (line({1: "+", 8: "+"}, "always", holes=(64,), warnings=(CUT_SHORT,)), "always (1–8)"),
        (line({1: "-"}, "never", holes=(8, 64), warnings=(CUT_SHORT,)), "at 1 only: slower"),
        (line({}, holes=(64,)), "undecided"),
    ],
)
def test_wins_from(made, text):
    """The break-even as everywhere, but only the note has what was not timed."""
    assert only(tracks(made)).wins_from == text


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (line({1: "+", 1024: "+"}, ratios={1: 2.5, 1024: 84.42}), "84.4x at 1,024"),
        (line({1: "+", 8: "?", 64: "="}, ratios={1: 1.5, 8: 9.0, 64: 1.01}), "1.50x at 1"),
        (line({1: "-", 8: "?"}, ratios={1: 0.2, 8: 9.0}), ""),
        (line({1: "-", 8: "-"}, ratios={1: 0.2, 8: 0.7}), "1.43x slower at 8"),
        (line({}, holes=(64,)), ""),
    ],
)
def test_best(made, text):
    """An undecided cell, or one that is the same within 2%, is never the best."""
    assert only(tracks(made)).best == text


@pytest.mark.parametrize(
    ("made", "segments"),
    [
        (line({1: "+", 8: "+"}), [(1, 8, "candidate")]),
        (line({1: "-", 64: "+"}, "crosses", 9.2), [(1, 9.2, "baseline"), (9.2, 64, "candidate")]),
        (line({1: "-", 64: "?"}), [(1, 8, "baseline"), (8, 64, "undecided")]),
        (line({1: "=", 64: "+"}), [(1, 8, "same"), (8, 64, "candidate")]),
        (line({1: "+", 64: "-"}, "never"), [(1, 8, "candidate"), (8, 64, "baseline")]),
        (
            line({4: "+", 16: "+"}, holes=(1, 64)),
            [(1, 4, "untimed"), (4, 16, "candidate"), (16, 64, "untimed")],
        ),
        (line({4: "-"}, holes=(16,)), [(4, 4, "baseline"), (4, 16, "untimed")]),
        (line({64: "+"}), [(64, 64, "candidate")]),
        (line({}, holes=(8, 64)), [(8, 64, "untimed")]),
    ],
)
def test_segments(made, segments):
    """A stretch ends where the devices cross, midway to an undecided cell, or where timings end."""
    found = only(tracks(made)).segments
    assert [(segment.low, segment.high, segment.stretch) for segment in found] == segments


def test_timed_without_an_interval():
    """A batch size that both devices timed is undecided, and not hatched."""
    made = replace(line({1: "-", 8: "?", 64: "+"}), batches=(1, 64), holes=(8,))
    assert [one.stretch for one in only(tracks(made)).segments] == ["baseline", "undecided", "candidate"]


def test_earlier_crossing(tmp_path):
    """Two devices cross twice: the first time where a straight line of speedups is 1 on logarithmic axes."""
    content = affine_run({"cpu": (1, 1), "cuda": (20, 0.2)}, batches=(8, 64), noise=0)
    first = affine_run({"cpu": (1, 1), "cuda": (0.2, 0.2)}, batches=(1,), noise=0)
    content["benchmarks"] += first["benchmarks"]
    track = only(report(tmp_path, content).chart.tracks)
    assert [segment.stretch for segment in track.segments] == ["candidate", "baseline", "candidate"]
    first, second, _ = track.segments
    assert first.high == pytest.approx(8 ** (math.log(5) / math.log(5 * 21.6 / 9))), "from 5x to 9/21.6"
    assert second.high == track.mark.at


def test_untimed():
    made = line({1: "+", 16: "+"}, holes=(64, 256, 1024))
    words = [("candidate", 64, "skipped"), ("candidate", 256, "oom"), ("baseline", 256, "timeout")]
    outcomes = [ended(made, *one) for one in words]
    text = "GPU skipped at 64; CPU timed out and GPU out of memory at 256; no usable timing above 256"
    assert "; ".join(only(tracks(made, outcomes=outcomes)).notes) == text
    outcomes = [ended(made, "candidate", batch, "oom") for batch in made.holes]
    assert only(tracks(made, outcomes=outcomes)).notes == ("GPU out of memory above 16",)
    of_another_phase = [ended(line({}, holes=(1,), workload="cnn"), "candidate", 64, "oom")]
    assert only(tracks(made, outcomes=of_another_phase)).notes == ("no usable timing above 16",)


def test_untimed_below():
    made = line({64: "+"}, holes=(1, 2, 4))
    assert only(tracks(made)).notes == ("no usable timing at 1, 2 and 1 more",)
    assert (chart_of(made).smallest, chart_of(made).largest) == (1, 64)


def test_order():
    """Models by break-even within a workload, and workloads by their earliest."""
    found = chart_of(
        line({1: "-", 64: "-"}, "never", workload="a", axes={"w": 1}),
        line({1: "-", 64: "+"}, "crosses", 20, workload="a", axes={"w": 2}),
        line({1: "-", 64: "?"}, workload="a", axes={"w": 3}),
        line({1: "-", 64: "?"}, workload="b", axes={"w": 2}),
        line({1: "-", 64: "-"}, "beyond_range", workload="b", axes={"w": 1}),
        line({1: "?", 64: "+"}, bracket=(None, 8), workload="b", axes={"w": 3}),
        line({1: "-", 64: "+"}, "crosses", 9, workload="b", axes={"w": 4}),
        line({1: "+", 64: "+"}, "always", workload="c"),
    )
    labels = ["c", "b w=3", "b w=4", "b w=1", "b w=2", "a w=2", "a w=3", "a w=1"]
    assert [row.label for row in found.rows] == labels
    assert (found.smallest, found.largest) == (1, 64)


def test_order_of_several_candidates():
    """That of the candidate that wins first."""
    late, never = line({1: "-", 64: "+"}, "crosses", 30, axes={"w": 1}), {"axes": {"w": 2}}
    early = [
        line({1: "-", 64: "-"}, "never", candidate="cuda:0", **never),
        line({1: "-", 64: "+"}, "crosses", 9, candidate="cuda:1", **never),
    ]
    assert [row.axes for row in chart_of(late, *early).rows] == ["w=2", "w=1"]


def test_one_row_per_model():
    """Its candidates are tracks, which are named only where there are several."""
    found = chart_of(line({1: "+"}, candidate="cuda:0"), line({1: "-"}, candidate="cuda:1"))
    assert [track.name for track in only(found.rows).tracks] == ["cuda:0", "cuda:1"]
    assert found.candidates == (Side("cuda:0", "cuda:0"), Side("cuda:1", "cuda:1"))
    assert found.baselines == (Side("CPU", "cpu"),)
    assert only(tracks(line({1: "+"}))).name == ""


def test_thread_counts():
    found = chart_of(line({1: "+"}, candidate="cpu", baseline="cpu@1"))
    assert (found.baselines, found.candidates) == ((Side("cpu@1", "cpu@1"),), (Side("cpu", "cpu"),))


def test_machines():
    labels = {"a": "laptop", "b": "server"}
    own = [line({1: "+"}, candidate_machine=name, baseline_machine=name) for name in labels]
    found = chart_of(*own, machines=labels)
    assert [track.name for track in found.tracks] == ["laptop", "server"]
    assert found.baselines == (Side("CPU", "cpu"),), "each machine has its own"
    across = [
        line({1: "+"}, candidate_machine="a", baseline_machine="b"),
        line({1: "+"}, candidate="cpu", candidate_machine="a", baseline_machine="b"),
    ]
    found = chart_of(*across, machines=labels)
    assert found.baselines == (Side("CPU of server", "cpu"),)
    assert [track.candidate.name for track in found.tracks] == ["GPU of laptop", "CPU of laptop"]
    assert [track.name for track in found.tracks] == ["GPU", "CPU"]


def test_axes():
    """Words need no key, unless two models would read the same."""
    axes = [
        {"dtype": dtype, "width": width, "depth": 2} for dtype in ("float32", "bfloat16") for width in (8, 64)
    ]
    found = chart_of(*(line({1: "+"}, axes=one) for one in axes))
    assert [row.axes for row in found.rows] == [
        "float32 width=8", "float32 width=64", "bfloat16 width=8", "bfloat16 width=64",
    ]  # fmt: skip
    alike = chart_of(*(line({1: "+"}, axes={name: "relu"}) for name in ("first", "last")))
    assert [row.axes for row in alike.rows] == ["first=relu", "last=relu"]


def test_axes_of_the_whole_report():
    """A model is distinguished from those without a break-even, too."""
    made = line({1: "+"}, axes={"width": 8, "depth": 2})
    other = Model("mlp", Axes({"width": 64, "depth": 2}))
    assert only(chart([made], [], {"box": "box"}, [other]).rows).axes == "width=8"


def test_nothing_compared(tmp_path):
    assert not report(tmp_path, affine_run({"cpu": (1, 1)})).chart
    red = [
        affine_run({"cpu": (1, 1), "cuda": (9, 0.2)}, machine=box(str(on), tf32=on), seed=on)
        for on in (True, False)
    ]
    assert not report(tmp_path, *red).chart


def test_of_a_report(tmp_path):
    """The chart is about what the verdict is about: the whole step, of all candidates."""
    devices = {"cpu": (1, 1), "cpu@1": (9, 9), "cuda": (33, 0.2)}
    found = report(tmp_path, affine_run(devices, phases=("train", "forward"), noise=0)).chart
    track = only(found.tracks)
    assert (track.line.phase, track.wins_from, track.best) == ("train", "40 [40–40]", "3.79x at 512")
