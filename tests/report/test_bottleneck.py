"""What bounds a training step on an accelerator, and how far its time is flat."""

import numpy as np
import pytest

from breakeven.render.report_tables import bottleneck_tables
from breakeven.report.bound import Bound, kind_of
from support.reports import box, only, report
from support.run_files import benchmark, noisy, run


def line_of(tmp_path, steps, workload="mlp", device="cuda", **more):
    """A report on one model: `steps` maps a batch size to (train, enqueue, its transfer) in seconds."""
    rows = []
    for batch_size, (train_s, *queued) in steps.items():
        facts = dict(zip(("enqueue_s", "enqueue_transfer_s"), queued, strict=False))
        rows.append(benchmark([100.0] * 9, workload, batch_size=batch_size))
        rows.append(benchmark([train_s] * 9, workload, device=device, batch_size=batch_size, **facts))
    return report(tmp_path, run(rows, **more))


def test_cells_and_flat_stretch(tmp_path):
    found = line_of(
        tmp_path, {1: (1.0, 0.9), 64: (1.05, 0.9), 256: (1.2, 0.8), 1024: (4.0, 0.9), 4096: (16.0, 0.9)}
    )
    bounds = only(found.bottlenecks)
    assert bounds.flat_to == 64
    table = only(bottleneck_tables(found))
    assert table.title == "What bounds cuda"
    assert table.rows == (
        ("mlp, width 128", "launch-bound up to batch 64, mixed at 256, compute-bound from 1024", "64"),
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


@pytest.mark.parametrize(
    ("queued", "kind", "share"),
    [
        ((1.2, 1.0, 1.5), Bound.LAUNCH, 1.0),  # alone, queueing takes longer than in a loop
        ((0.95, 0.85, 1.3), Bound.LAUNCH, 0.95),
        ((0.95, 0.7, 1.3), Bound.UNDECIDED, 0.95),
        ((0.3, 0.2, 0.45), Bound.COMPUTE, 0.3),
    ],
)
def test_loop(tmp_path, queued, kind, share):
    """In a loop that the host bounds, a step takes about as long as queueing it."""
    facts = dict(zip(("enqueue_s", "enqueue_low_s", "enqueue_high_s"), queued, strict=True))
    rows = [benchmark([1.0] * 9, device="cuda", steps=50, **facts)]
    cell = only(only(report(tmp_path, run(rows)).bottlenecks).cells)
    assert (cell.kind, cell.share) == (kind, pytest.approx(share))
    assert cell.high <= 1


def test_no_accelerator(tmp_path):
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (1.0, 0.9)}, device="cpu@1")
    assert found.bottlenecks == ()
    assert bottleneck_tables(found) == []


def test_flat_without_queueing(tmp_path):
    """A run that did not time the queueing still shows how far the time is flat."""
    found = line_of(tmp_path, {1: (1.0,), 64: (1.05,), 512: (9.0,)})
    assert only(bottleneck_tables(found)).rows[0][1:] == ("not measured", "64")
    assert found.bottleneck_sentences == ()
    assert line_of(tmp_path / "one", {1: (1.0,)}).bottlenecks == ()


@pytest.mark.parametrize(("second", "flat_to"), [(1.10, 64), (1.11, None), (0.5, 64)])
def test_flat(tmp_path, second, flat_to):
    found = line_of(tmp_path, {1: (1.0, 0.9), 64: (second, 0.9)})
    assert only(found.bottlenecks).flat_to == flat_to
    shown = "64, the largest" if flat_to else "grows from 1 on"
    assert only(bottleneck_tables(found)).rows[0][2] == shown


@pytest.mark.parametrize(
    ("second_s", "noise", "flat"),
    [(1.05, 0.005, "64"), (1.05, 0.2, "undecided"), (1.15, 0.2, "undecided"),
     (1.15, 0.005, "grows from 1 on")],
)  # fmt: skip
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
def test_no_interval_at_the_first_two(tmp_path, few):
    """Whether the time grows is undecided."""
    rows = [
        benchmark([float(b)] * (3 if b == few else 9), device="cuda", batch_size=b, enqueue_s=0.1)
        for b in (1, 8, 64)
    ]
    assert only(bottleneck_tables(report(tmp_path, run(rows)))).rows[0][2] == "undecided"


def test_a_dip_after_growth_does_not_reopen_the_flat_stretch(tmp_path):
    found = line_of(tmp_path, {1: (1.0, 0.9), 8: (1.0, 0.9), 64: (2.0, 0.9), 512: (1.0, 0.9)})
    assert only(found.bottlenecks).flat_to == 8


def test_only_train(tmp_path):
    rows = [benchmark([1.0] * 9, phase="forward", device="cuda", enqueue_s=0.9, batch_size=b) for b in (1, 8)]
    assert report(tmp_path, run(rows)).bottlenecks == ()


@pytest.mark.parametrize("value", [-1.0, "1", True, None])
def test_a_queueing_that_cannot_be_is_not_used(tmp_path, value):
    assert line_of(tmp_path, {1: (1.0, value)}).bottlenecks == ()


@pytest.mark.parametrize(
    ("times", "kind", "share"),
    [
        ((1.0, 1.0, 0.0), Bound.LAUNCH, 1.0),
        ((1.0, 0.8, 0.0), Bound.LAUNCH, 0.8),
        ((1.0, 0.79, 0.0), Bound.MIXED, 0.79),
        ((1.0, 0.51, 0.0), Bound.MIXED, 0.51),
        ((1.0, 0.5, 0.0), Bound.COMPUTE, 0.5),
        ((1.0, 0.0, 0.0), Bound.COMPUTE, 0.0),
        ((10.0, 5.0, 4.0), Bound.COMPUTE, 1 / 6),  # a copy is not queueing
        ((10.0, 9.5, 4.0), Bound.LAUNCH, 5.5 / 6),
        ((10.0, 5.1, 5.0), Bound.COPY, 0.02),
        ((10.0, 10.0, 5.0), Bound.COPY, 1.0),
        ((10.0, 10.0, 4.99), Bound.LAUNCH, 1.0),
        (
            (1.0, 1.5, 0.0),
            Bound.LAUNCH,
            1.0,
        ),  # the two are timed in different rounds, so noise may reverse them
        ((1.0, 2.0, 1.5), Bound.COPY, 0.0),
    ],
)
def test_kind_of(times, kind, share):
    """By the step, its queueing, and the copy within that."""
    assert kind_of(*times) == (kind, pytest.approx(share))


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        ({1: (1.0, 0.9), 64: (1.0,), 512: (1.0, 0.9)}, (Bound.LAUNCH, Bound.UNMEASURED, Bound.LAUNCH)),
        ({512: (9.0, 0.9), 1: (1.0, 0.9)}, (Bound.LAUNCH, Bound.COMPUTE)),
        ({1: (0.03, 0.028), 64: (0.3, 0.27), 4096: (30.0, 0.028)},
         (Bound.LAUNCH, Bound.UNDECIDED, Bound.COMPUTE)),
        ({1: (0.03, 0.028), 64: (0.3, 0.18)}, (Bound.LAUNCH, Bound.UNDECIDED)),
        ({1: (1.0, 0.9), 64: (2.0, 1.8)}, (Bound.LAUNCH, Bound.LAUNCH)),
        ({1: (1.0, 0.9)}, (Bound.LAUNCH,)),
    ],
    ids=["unmeasured", "order of the file", "waiting", "mixed and waiting", "twice the minimum", "one batch"],
)  # fmt: skip
def test_kinds(tmp_path, steps, kinds):
    """Queueing that grows with the batch size is waiting: a step that reads its loss occupies the host."""
    assert tuple(cell.kind for cell in only(line_of(tmp_path, steps).bottlenecks).cells) == kinds


def test_several_machines(tmp_path):
    runs = [
        run([benchmark([1.0] * 9 + [1.0 + share], device="cuda", enqueue_s=share)], machine=box(name))
        for name, share in (("a", 0.9), ("b", 0.1))
    ]
    found = report(tmp_path, *runs)
    assert [table.title.split()[4] for table in bottleneck_tables(found)] == ["a", "b"]
    assert [only(row.cells).kind for row in found.bottlenecks] == [Bound.LAUNCH, Bound.COMPUTE]
