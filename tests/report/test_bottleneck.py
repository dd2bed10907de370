"""What bounds a training step on an accelerator, and how far its time is flat."""

import json

import numpy as np
import pytest

from breakeven.render.report_data import ReportJson, to_json
from breakeven.render.report_files import write_report
from breakeven.render.report_markdown import to_markdown
from breakeven.render.report_tables import bottleneck_tables
from breakeven.report.bottleneck import Bound, kind_of
from support.pages import text_of
from support.reports import box, only, report
from support.run_files import benchmark, noisy, run
from support.terminals import terminal


def line_of(tmp_path, steps, workload="mlp", device="cuda", **more):
    """A report on one model: `steps` maps a batch size to (train, enqueue, its transfer) in seconds."""
    rows = []
    for batch_size, (train_s, *queued) in steps.items():
        facts = dict(zip(("enqueue_s", "enqueue_transfer_s"), queued, strict=False))
        rows.append(benchmark([100.0] * 9, workload, batch_size=batch_size))
        rows.append(benchmark([train_s] * 9, workload, device=device, batch_size=batch_size, **facts))
    return report(tmp_path, run(rows, **more))


@pytest.mark.parametrize(
    ("enqueue_s", "kind"),
    [
        (1.0, Bound.LAUNCH),
        (0.8, Bound.LAUNCH),
        (0.79, Bound.MIXED),
        (0.51, Bound.MIXED),
        (0.5, Bound.COMPUTE),
        (0.0, Bound.COMPUTE),
    ],
)
def test_kind_of(enqueue_s, kind):
    assert kind_of(1.0, enqueue_s, 0.0) == (kind, enqueue_s)


def test_a_copy_does_not_count_as_queueing():
    """4 s of copying and 1 s of queueing in 10 s leave the GPU alone for 5 of the other 6."""
    assert kind_of(10.0, 5.0, 4.0) == (Bound.COMPUTE, pytest.approx(1 / 6))
    assert kind_of(10.0, 9.5, 4.0)[0] == Bound.LAUNCH


def test_copy_bound():
    assert [kind_of(10.0, queued, 5.0)[0] for queued in (5.1, 10.0)] == [Bound.COPY, Bound.COPY]
    assert kind_of(10.0, 10.0, 4.99)[0] == Bound.LAUNCH


def test_queueing_longer_than_the_step():
    """The two are timed in different rounds, so noise may reverse them."""
    assert kind_of(1.0, 1.5, 0.0) == (Bound.LAUNCH, 1.0)
    assert kind_of(1.0, 2.0, 1.5) == (Bound.COPY, 0.0)


def test_cells_and_flat_stretch(tmp_path):
    found = line_of(
        tmp_path, {1: (1.0, 0.9), 64: (1.05, 0.9), 256: (1.2, 0.8), 1024: (4.0, 0.9), 4096: (16.0, 0.9)}
    )
    bounds = only(found.bottlenecks)
    assert [(cell.batch_size, cell.kind) for cell in bounds.cells] == [
        (1, Bound.LAUNCH),
        (64, Bound.LAUNCH),
        (256, Bound.MIXED),
        (1024, Bound.COMPUTE),
        (4096, Bound.COMPUTE),
    ]
    assert bounds.flat_to == 64
    table = only(bottleneck_tables(found))
    assert table.title == "What bounds cuda"
    assert table.rows == (
        ("mlp at width=128", "launch-bound up to batch 64, mixed at 256, compute-bound from 1024", "64"),
    )


def test_outputs(tmp_path):
    """Each output has the table, and what helps."""
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (1.05, 0.9), 512: (9.0, 0.9, 0.1)})
    assert [sentence.split(": ")[0] for sentence in found.bottleneck_sentences] == [
        "On the GPU (cuda), launch-bound (mlp at width=128, batch 1 to 64)",
        "On the GPU (cuda), compute-bound (mlp at width=128, batch 512)",
    ]
    for kind, sentence in zip((Bound.LAUNCH, Bound.COMPUTE), found.bottleneck_sentences, strict=True):
        assert kind.advice in sentence
    page = (write_report(found, tmp_path / "out", "1")[-1]).read_text("utf-8")
    for output in (terminal(found, 400), to_markdown(found, "1").replace("\\", ""), text_of(page)):
        assert "launch-bound up to batch 64, compute-bound at 512" in output
        assert all(sentence in output for sentence in found.bottleneck_sentences)


def test_json(tmp_path):
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (1.05,), 512: (9.0, 0.9, 0.1)})
    content = json.loads(to_json(found))
    assert tuple(content) == ReportJson.__struct_fields__
    bound = only(content["bounds"])
    assert (bound["workload"], bound["device"], bound["flat_to"], bound["grows"]) == ("mlp", "cuda", 64, True)
    assert [(cell["batch_size"], cell["kind"]) for cell in bound["cells"]] == [
        (1, Bound.LAUNCH), (64, None), (512, Bound.COMPUTE)
    ]  # fmt: skip
    first = bound["cells"][0]
    assert (first["train_s"], first["enqueue_s"], first["host_share"]) == (1.0, 0.9, 0.9)
    assert (first["low"], first["high"], first["device_time_s"]) == (0.9, 0.9, None)


def test_unmeasured_cell(tmp_path):
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (1.0,), 512: (1.0, 0.9)})
    assert [cell.kind for cell in only(found.bottlenecks).cells] == [
        Bound.LAUNCH,
        Bound.UNMEASURED,
        Bound.LAUNCH,
    ]
    assert only(bottleneck_tables(found)).rows[0][1] == (
        "launch-bound at batch 1, not measured at 64, launch-bound at 512"
    )


def test_few_rounds(tmp_path):
    rows = [benchmark([1.0] * 3, device="cuda", enqueue_s=0.9)]
    assert only(only(report(tmp_path, run(rows)).bottlenecks).cells).kind == Bound.UNDECIDED


@pytest.mark.parametrize(
    ("times", "low_s", "high_s", "kind"),
    [
        ([1.0] * 9, 0.85, 0.95, Bound.LAUNCH),
        ([1.0] * 9, 0.75, 0.95, Bound.UNDECIDED),
        ([1.0] * 9, 0.85, None, Bound.LAUNCH),
        ([1.0] * 4 + [1.4] * 5, 0.9, 0.9, Bound.UNDECIDED),
    ],
)
def test_both_ends_of_the_interval_must_agree(tmp_path, times, low_s, high_s, kind):
    rows = [benchmark(times, device="cuda", enqueue_s=0.9, enqueue_low_s=low_s, enqueue_high_s=high_s)]
    cell = only(only(report(tmp_path, run(rows)).bottlenecks).cells)
    assert cell.kind == kind
    assert cell.low <= cell.share <= cell.high


def test_waiting(tmp_path):
    """Queueing that grows with the batch size is waiting: a step that reads its loss occupies the host."""
    found = line_of(tmp_path, {1: (0.03, 0.028), 64: (0.3, 0.27), 512: (3.0, 2.7), 4096: (30.0, 0.028)})
    assert [cell.kind for cell in only(found.bottlenecks).cells] == [
        Bound.LAUNCH,
        Bound.UNDECIDED,
        Bound.UNDECIDED,
        Bound.COMPUTE,
    ]
    assert "undecided (mlp at width=128, batch 64 to 512)" in found.bottleneck_sentences[-1]


def test_mixed_cells_may_wait_too(tmp_path):
    found = line_of(tmp_path, {1: (0.03, 0.028), 64: (0.3, 0.18)})
    assert [cell.kind for cell in only(found.bottlenecks).cells] == [Bound.LAUNCH, Bound.UNDECIDED]


def test_queueing_up_to_twice_the_minimum(tmp_path):
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (2.0, 1.8)})
    assert [cell.kind for cell in only(found.bottlenecks).cells] == [Bound.LAUNCH, Bound.LAUNCH]


def test_order_of_the_file(tmp_path):
    found = line_of(tmp_path, {512: (9.0, 0.9), 1: (1.0, 0.9), 64: (1.05, 0.9)})
    assert only(bottleneck_tables(found)).rows[0][1:] == (
        "launch-bound up to batch 64, compute-bound at 512",
        "64",
    )


def test_no_accelerator(tmp_path):
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (1.0, 0.9)}, device="cpu@1")
    assert found.bottlenecks == ()
    assert bottleneck_tables(found) == []
    page = (write_report(found, tmp_path / "out", "1")[-1]).read_text("utf-8")
    for output in (terminal(found), to_markdown(found, "1"), page):
        assert "bounds" not in output


def test_flat_without_queueing(tmp_path):
    """A run that did not time the queueing still shows how far the time is flat."""
    found = line_of(tmp_path, {1: (1.0,), 64: (1.05,), 512: (9.0,)})
    assert only(bottleneck_tables(found)).rows[0][1:] == ("not measured", "64")
    assert found.bottleneck_sentences == ()
    assert line_of(tmp_path / "one", {1: (1.0,)}).bottlenecks == ()


def test_one_batch_size(tmp_path):
    assert only(bottleneck_tables(line_of(tmp_path, {1: (1.0, 0.9)}))).rows[0][1:] == (
        "launch-bound at batch 1, the only one measured",
        "one batch size only",
    )


@pytest.mark.parametrize(("second", "flat_to"), [(1.10, 64), (1.11, None), (0.5, 64)])
def test_flat(tmp_path, second, flat_to):
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (second, 0.9)})
    assert only(found.bottlenecks).flat_to == flat_to
    shown = "64, the largest" if flat_to else "grows from 1 on"
    assert only(bottleneck_tables(found)).rows[0][2] == shown


@pytest.mark.parametrize(
    ("second_s", "noise", "flat"),
    [
        (1.05, 0.005, "64"),
        (1.05, 0.2, "undecided"),
        (1.15, 0.2, "undecided"),
        (1.15, 0.005, "grows from 1 on"),
    ],
)
def test_flat_with_noise(tmp_path, second_s, noise, flat):
    rng = np.random.default_rng(7)
    steps = ((1, 1.0), (64, second_s), (512, 3.0))
    rows = [benchmark(noisy(rng, t, 30, noise), device="cuda", batch_size=b, enqueue_s=0.1) for b, t in steps]
    assert only(bottleneck_tables(report(tmp_path, run(rows)))).rows[0][2] == flat


def test_flat_up_to_a_cell_without_an_interval(tmp_path):
    rows = [benchmark([1.0] * 9, device="cuda", batch_size=batch) for batch in (1, 8, 512)]
    rows.append(benchmark([1.0] * 3, device="cuda", batch_size=64))
    found = report(tmp_path, run(rows))
    assert only(bottleneck_tables(found)).rows[0][2].startswith("8, undecided")
    assert (only(found.bottlenecks).flat_to, only(found.bottlenecks).grows) == (8, False)


@pytest.mark.parametrize("few", [1, 8])
def test_flat_without_intervals(tmp_path, few):
    """Without intervals at the first two batch sizes, the flat stretch is undecided."""
    rows = [
        benchmark([float(b)] * (3 if b == few else 9), device="cuda", batch_size=b, enqueue_s=0.1)
        for b in (1, 8, 64)
    ]
    assert only(bottleneck_tables(report(tmp_path, run(rows)))).rows[0][2] == "undecided"


def test_dip_after_growth(tmp_path):
    """It does not extend the flat stretch."""
    found = line_of(tmp_path, {1: (1.0, 0.9), 8: (1.0, 0.9), 64: (2.0, 0.9), 512: (1.0, 0.9)})
    assert only(found.bottlenecks).flat_to == 8


def test_only_train(tmp_path):
    rows = [benchmark([1.0] * 9, phase="forward", device="cuda", enqueue_s=0.9, batch_size=b) for b in (1, 8)]
    assert report(tmp_path, run(rows)).bottlenecks == ()


@pytest.mark.parametrize("value", [-1.0, "1", True, None])
def test_impossible_queueing(tmp_path, value):
    """It is ignored."""
    assert line_of(tmp_path, {1: (1.0, value)}).bottlenecks == ()


def test_several_machines(tmp_path):
    def rows(share):
        return [benchmark([1.0] * 9 + [1.0 + share], device="cuda", enqueue_s=share)]

    found = report(tmp_path, run(rows(0.9), machine=box("a")), run(rows(0.1), machine=box("b")))
    tables = bottleneck_tables(found)
    assert [table.title.split()[:5] for table in tables] == [
        ["What", "bounds", "cuda", "on", "a"],
        ["What", "bounds", "cuda", "on", "b"],
    ]
    assert [sentence.split(", ")[0] for sentence in found.bottleneck_sentences] == [
        f"On the GPU (cuda) of {machine.label}" for machine in found.machines
    ]
    assert [only(row.cells).kind for row in found.bottlenecks] == [Bound.LAUNCH, Bound.COMPUTE]


def test_several_models(tmp_path):
    rows = [benchmark([1.0] * 9, device="cuda", axes={"width": w}, enqueue_s=0.9) for w in range(5)]
    (sentence,) = report(tmp_path, run(rows)).bottleneck_sentences
    assert (
        "(mlp at width=0, batch 64; mlp at width=1, batch 64; mlp at width=2, batch 64; and 2 more)"
        in sentence
    )
