"""Where each variant pays: the same step on the same device, done in another way."""

import pytest

from breakeven.case import Axes
from breakeven.render.report_tables import variant_tables
from support.reports import only, report
from support.run_files import benchmark, outcome, run
from support.terminals import terminal


def step(seconds, device="cuda", batch_size=64, workload="mlp", phase="train", facts=None, **axes):
    """One whole training step that always takes this time."""
    axes = {"width": 128, **axes}
    return benchmark([seconds] * 9, workload, phase, device, batch_size, axes, **(facts or {}))


def found_in(tmp_path, *rows, **more):
    """`(change, batch size, device, speedup)` of each variant in a report on these rows."""
    found = report(tmp_path, run(rows, **more))
    return [(v.name, v.row.batch_size, v.row.candidate.device, v.row.speedup) for v in found.variants]


def test_boolean(tmp_path):
    rows = [step(seconds, tf32=on) for on, seconds in ((True, 1.0), (False, 3.0))]
    assert found_in(tmp_path, *rows) == [("tf32=True", 64, "cuda", 3.0)]


def test_devices_and_batch_sizes(tmp_path):
    rows = [
        step(seconds, device, batch, compile=on)
        for device, batch, on, seconds in (
            ("cpu", 1, False, 8.0), ("cpu", 1, True, 4.0), ("cuda", 1, False, 2.0), ("cuda", 1, True, 4.0),
            ("cuda", 64, False, 9.0), ("cuda", 64, True, 3.0),
        )
    ]  # fmt: skip
    assert found_in(tmp_path, *rows) == [
        ("compile=True", 1, "cpu", 2.0),
        ("compile=True", 1, "cuda", 0.5),
        ("compile=True", 64, "cuda", 3.0),
    ]


def test_table(tmp_path):
    rows = [step(seconds, batch_size=1024, compile=on) for on, seconds in ((False, 3.0), (True, 1.0))]
    (cells,) = only(variant_tables(report(tmp_path, run(rows)))).rows
    assert cells[:5] == ("mlp width=128", "1,024", "compile=True", "3.00 s", "1.00 s")


def test_two_changes(tmp_path):
    """Each combination is compared with the plain step."""
    rows = [
        step(seconds, compile=compiled, cuda_graph=graph)
        for compiled, graph, seconds in ((False, False, 8.0), (True, False, 4.0), (True, True, 1.0))
    ]
    assert found_in(tmp_path, *rows) == [
        ("compile=True", 64, "cuda", 2.0),
        ("compile=True cuda_graph=True", 64, "cuda", 8.0),
    ]


@pytest.mark.parametrize(
    ("first", "second", "change"),
    [("bfloat16", "float32", "dtype=bfloat16"), ("float32", "bfloat16", "dtype=bfloat16"),
     ("loop", "fused", "dtype=fused"), ("fused", "loop", "dtype=loop")],
)  # fmt: skip
def test_plain_word(tmp_path, first, second, change):
    found = found_in(tmp_path, step(2.0, dtype=first), step(2.0, dtype=second))
    assert [name for name, *_ in found] == [change]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"depth": 1}, {"depth": 2}),
        ({"mode": False}, {"mode": "fast"}),
        ({"tf32": True}, {"tf32": False, "workload": "cnn"}),
        ({"tf32": False, "batch_size": 1}, {"tf32": True}),
        ({"tf32": False, "phase": "forward"}, {"tf32": True, "phase": "forward"}),
    ],
    ids=["a number", "mixed kinds", "another workload", "no plain step", "not the whole step"],
)
def test_no_variant(tmp_path, one, other):
    assert found_in(tmp_path, step(1.0, **one), step(2.0, **other)) == []


def test_boolean_that_is_always_false(tmp_path):
    """It is not a size, so the model's name leaves it out."""
    rows = [step(2.0, compile=on, cuda_graph=False) for on in (False, True)]
    assert only(report(tmp_path, run(rows)).variants).sizes.label() == "mlp width=128"


@pytest.mark.parametrize("fact", ["parameters", "flops"])
def test_other_work(tmp_path, fact):
    rows = [step(1.0, net=net, facts={fact: work}) for net, work in (("small", 10), ("large", 20))]
    assert found_in(tmp_path, *rows) == []


def compiled(saved_s=1.0, **facts):
    """A plain step of 3 s, and one that is compiled or captured and takes less; all phases of both."""
    rows = []
    for phase in ("transfer", "forward", "backward", "step", "train"):
        rows.append(step(3.0, phase=phase, cuda_graph=False))
        once = {name: values[phase] for name, values in facts.items() if phase in values}
        rows.append(step(3.0 - saved_s, phase=phase, cuda_graph=True, facts=once))
    return rows


def test_compiling_and_capturing(tmp_path):
    """The phases together compile a step once, and each of them captures it."""
    rows = compiled(
        compile_s={"forward": 7.0, "backward": 1.0}, capture_s={"forward": 2.0, "backward": 2.5, "train": 1.0}
    )
    variant = only(report(tmp_path, run(rows)).variants)
    assert (variant.compile_s, variant.capture_s) == (8.0, 2.0)
    # 10 s once, 1 s saved a step.
    assert (variant.paid_back.start_s, variant.paid_back.steps) == (10.0, 10.0)


@pytest.mark.parametrize(
    ("saved_s", "facts"),
    [(1.0, {}), (-1.0, {"capture_s": {"train": 5.0}}), (0.0, {"capture_s": {"train": 5.0}})],
)
def test_nothing_to_pay_back(tmp_path, saved_s, facts):
    assert only(report(tmp_path, run(compiled(saved_s, **facts))).variants).paid_back is None


def test_no_faster_cell(tmp_path):
    rows = [
        step(seconds, tf32=on, batch_size=b) for b in (1, 64) for on, seconds in ((False, 1.0), (True, 2.0))
    ]
    sentence = only(report(tmp_path, run(rows)).variant_sentences)
    assert "none of 2 cells (2 slower)" in sentence


@pytest.mark.parametrize(
    ("axis", "plain", "other", "is_rounded"),
    [("tf32", False, True, True), ("dtype", "float32", "bfloat16", True), ("fused", False, True, False)],
)
def test_lower_precision(tmp_path, axis, plain, other, is_rounded):
    """What TF32 and bfloat16 cost is not in the times, so the sentence names it."""
    rows = [step(seconds, **{axis: value}) for value, seconds in ((plain, 2.0), (other, 1.0))]
    assert ("lower precision" in only(report(tmp_path, run(rows)).variant_sentences)) == is_rounded


def test_name_beside_a_variant_without_a_timing(tmp_path):
    """The CPU skips TF32, so that only the plain form is compared; its name says which form it is."""
    plain = [step(seconds, device, tf32=False) for device, seconds in (("cpu", 2.0), ("cuda", 1.0))]
    skipped = outcome("skipped", "no TF32", workload="mlp", device="cpu", axes={"width": 128, "tf32": True})
    found = report(tmp_path, run([*plain, step(0.5, tf32=True)], outcomes=[skipped]))
    model = only(found.break_evens).model
    assert model.axes == Axes({"width": 128, "tf32": False})
    assert found.names[model] == "mlp, tf32 False"
    assert "mlp tf32=False" in terminal(found)
