"""The bars of a step stack its phases; a tick shows the time of the step in the loop."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from breakeven.render.figures import FIGURES
from breakeven.render.figures.phases import PHASE_COLORS
from support.run_files import affine_run, benchmark, run

START, LENGTH = 110, 134  # points: where the bars of the first column are
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
    """The boxes of each phase: (left, right), in parts of a bar."""
    return {
        patch.get_gid(): [
            ((box[:, 0].min() - START) / LENGTH, (box[:, 0].max() - START) / LENGTH)
            for box in patch.get_path().vertices.reshape(-1, 5, 2)
        ]
        for patch in ax.patches
    }


def ticks(ax):
    """The places of the ticks, in parts of a bar."""
    (line,) = (line for line in ax.get_lines() if line.get_gid() == "loop")
    return [(x - START) / LENGTH for x in line.get_xdata()[::3]]


def drawn(found):
    """The figure and its only panel."""
    figure = FIGURES["phases"].draw(found)
    (ax,) = figure.axes
    return figure, ax


def test_stacked_parts(report, look):
    """Parts are stacked from the left in the order of a step; the longer of sum and step is a whole bar."""
    figure, ax = drawn(report(run([*step(train=3.0), *step("cpu", train=8.0)])))
    edges = np.cumsum([0, 0.1, 0.4, 1.0, 2.0, 0.5])
    for place, whole in ((0, 8.0), (1, 4.0)):
        found = [boxes[place] for boxes in bars(ax).values()]
        assert np.ravel(found) == pytest.approx(np.repeat(edges, 2)[1:-1] / whole)
    assert ticks(ax) == pytest.approx([1, 3 / 4])
    assert [*bars(ax), "load"] == list(PHASE_COLORS)
    colors = [to_hex(patch.get_facecolor()) for patch in ax.patches]
    assert [*colors, PHASE_COLORS["load"]] == list(PHASE_COLORS.values())
    labels = ["transfer", "zero grad", "forward", "backward", "optimizer step", "step in loop"]
    assert look.legend(figure) == labels
    texts = look.texts(figure)
    assert texts.index("cpu") < texts.index("8.00 s") < texts.index("cuda") < texts.index("3.00 s")


def test_waiting_for_the_loader(report, look):
    """What a step of three passes waits for the loader in an epoch follows its phases."""
    rows = step(train=9.0)
    for entry in rows:
        if entry["extra_info"]["phase"] == "train":
            entry["extra_info"]["accumulate"] = 3
    figure, ax = drawn(report(run([*rows, benchmark([7.0] * 9, phase="epoch", device="cuda", batch_size=1)])))
    parts = 3 * (0.1 + 1.0 + 2.0) + 0.4 + 0.5
    assert bars(ax)["load"] == [(pytest.approx(parts / (parts + 12)), pytest.approx(1.0))]
    assert ticks(ax) == pytest.approx([9 / (parts + 12)])
    assert "waiting for the loader" in look.legend(figure)


@pytest.mark.parametrize(
    ("devices", "shown", "near"),
    [({"cpu": (1, 1), "cuda": (33, 0.2)}, ("1", "32", "5,120"), "32"),
     ({"cpu": (1, 1), "cuda": (1.9, 0.4)}, ("1", "32", "5,120"), "1"),
     ({"cpu": (1, 1), "cuda": (2, 2)}, ("1", "32", "5,120"), None),
     ({"cpu": (1, 1), "cuda": (7, 0.3)}, ("1", "8", "5,120"), "8")],
    ids=["break-even", "at an end", "none", "early"],
)  # fmt: skip
def test_batch_sizes(report, look, devices, shown, near):
    """The smallest, the nearest to the break-even or else one between, and the largest."""
    phases = ("transfer", "forward", "backward", "step", "train")
    figure, ax = drawn(report(affine_run(devices, (1, 8, 32, 64, 5120), phases=phases, noise=0.001)))
    assert [text for text in look.texts(figure) if text.replace(",", "").isdigit()] == [*shown]
    heights = {
        text.get_text(): (1 - text.get_position()[1]) * figure.get_figheight() for text in figure.texts
    }
    diamonds = [y / 72 for _, y, _ in look.markers(ax, "d")]
    assert diamonds == ([] if near is None else [pytest.approx(heights[near], abs=0.1)])
    assert ("break-even" in look.legend(figure)) is (near is not None)


def test_devices_that_were_not_timed(report, look):
    """Phases are a stack only where all of them were timed; the time of the step is shown anyway."""
    rows = [*step(train=3.0), *step(batch_size=64, train=5.0), *step("cpu", train=4.0)]
    rows.append(benchmark([7.0] * 9, phase="train", device="cpu", batch_size=64))
    rows.append(benchmark([6.0] * 9, phase="forward", device="cpu", batch_size=64))
    figure, ax = drawn(report(run([*rows, *step("cpu@1", 64, 9.0)])))
    assert [len(boxes) for boxes in bars(ax).values()] == [4] * 5
    texts = look.texts(figure)
    assert texts.count("phases not timed") == texts.count("step not timed") == 1
    assert {"7.00 s", "9.00 s"} <= {*texts}
    forward = [benchmark([1.0] * 9, phase=phase) for phase in ("forward", "train")]
    assert FIGURES["phases"].draw(report(run(forward))) is None


def test_bounds(report):
    """What bounds a step is at the end of its line."""
    rows = [*step(train=3.0), *step(batch_size=64, train=30.0)]
    for entry in rows:
        if entry["extra_info"]["phase"] == "train":
            entry["extra_info"]["enqueue_s"] = 2.9
    rows += step(batch_size=512)
    figure, _ = drawn(report(run([*rows, *step("cpu", 1), *step("cpu", 64)])))
    found = [text.get_text() for text in figure.texts if text.get_ha() == "right"]
    assert found == ["bound by", "", "launch", "", "compute", ""]


def test_two_columns(report):
    """They are about equally high, and the first is at least as high."""
    rows = [entry for name in ("a", "b", "c") for entry in step(workload=name)]
    figure, _ = drawn(report(run(rows)))
    names = {text.get_text(): text.get_position()[0] < 0.5 for text in figure.texts}
    assert [names[name] for name in ("a", "b", "c")] == [True, True, False]


def test_max_models(report, look):
    """Workloads take turns."""
    content = run()
    for workload in ("a", "b", "c"):
        for width in range(5):
            content["benchmarks"] += step(workload=workload, axes={"width": width})
    figure, _ = drawn(report(content))
    names = [text for text in look.texts(figure) if text in ("a", "b", "c")]
    assert names == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert "3 more models are in the table (summary.csv)." in look.texts(figure)
