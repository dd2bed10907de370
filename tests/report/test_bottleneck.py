"""What bounds a training step on an accelerator, and how far its time is flat."""

import math
from pathlib import Path

import numpy as np
import pytest

from breakeven.render.report_tables import bottleneck_tables
from breakeven.report.bound import Bound, Spread, Step, bounds_along
from breakeven.report.report import analyze
from breakeven.runs import reader
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
        ("mlp, width 128", "launch-bound up to batch 64, mixed at 256, compute-bound from 1,024", "64"),
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


def test_queueing_below_the_copy(tmp_path):
    """The two are timed in different rounds."""
    cell = only(only(line_of(tmp_path, {1: (10.0, 1.0, 1.5)}).bottlenecks).cells)
    assert (cell.kind, cell.share) == (Bound.COMPUTE, 0.0)


def test_step_without_time(tmp_path):
    assert line_of(tmp_path, {1: (0.0, 0.9), 64: (0.0, 0.9)}).bottlenecks == ()


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
        ((1.0, 1.5, 0.0), Bound.LAUNCH, 1.0),  # the two are timed in different rounds, so noise reverses them
        ((1.0, 2.0, 1.5), Bound.COPY, 1.0),
    ],
)
def test_one_step(times, kind, share):
    """By the step, its queueing with the copy, and the copy."""
    train_s, queued_s, copy_s = times
    step = Step(Spread(*[train_s] * 3), Spread(*[queued_s - copy_s] * 3), copy_s)
    found, spread = only(bounds_along([step]))
    assert (found, spread) == (kind, (pytest.approx(share),) * 3)


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        ({1: (1.0, 0.9), 64: (1.0,), 512: (1.0, 0.9)}, (Bound.LAUNCH, Bound.UNMEASURED, Bound.LAUNCH)),
        ({512: (9.0, 0.9), 1: (1.0, 0.9)}, (Bound.LAUNCH, Bound.COMPUTE)),
        ({1: (0.03, 0.028), 64: (0.3, 0.27), 4096: (30.0, 0.028)},
         (Bound.LAUNCH, Bound.COMPUTE, Bound.COMPUTE)),
        ({1: (1.0, 0.9), 64: (1.0, 1.79), 512: (1.8, 1.0)}, (Bound.LAUNCH, Bound.LAUNCH, Bound.MIXED)),
        ({1: (1.0, 0.9), 64: (2.0, 1.81)}, (Bound.LAUNCH, Bound.COMPUTE)),
        ({1: (1.0, 0.9), 64: (2.0, 1.79)}, (Bound.LAUNCH, Bound.MIXED)),
        ({1: (1.0, 0.9)}, (Bound.LAUNCH,)),
        ({1: (1.5, 0.9), 64: (1.0, 0.9), 512: (2.0, 0.9)}, (Bound.LAUNCH, Bound.LAUNCH, Bound.COMPUTE)),
        ({1: (1.0, 0.9), 64: (3.0, 2.5, 1.6), 512: (5.0, 2.9, 2.0)},
         (Bound.LAUNCH, Bound.MIXED, Bound.COMPUTE)),
        ({1: (1.0, 0.9), 64: (3.0, 2.5, 1.6), 512: (5.0, 3.9, 3.0)}, (Bound.LAUNCH, Bound.COPY, Bound.COPY)),
    ],
    ids=["unmeasured", "order of the file", "waiting", "median", "twice the minimum", "less than twice",
         "one batch", "slow host", "copy at 64 only", "copy"],
)  # fmt: skip
def test_kinds_along_batch_sizes(tmp_path, steps, kinds):
    """Queueing takes the same time at every batch size, unless the host waits; shares are monotonic."""
    assert tuple(cell.kind for cell in only(line_of(tmp_path, steps).bottlenecks).cells) == kinds


def test_pooled_interval():
    """Of four batch sizes the queueing is known twice as well as of one."""
    train_s, queueing_s = Spread(9.0, 10.0, 12.0), Spread(4.0, 6.0, 7.0)
    alone = bounds_along([Step(train_s, queueing_s, 0.0)])
    assert alone == [(Bound.UNDECIDED, pytest.approx((4 / 12, 0.6, 7 / 9)))]
    four = bounds_along([Step(train_s, queueing_s, 0.0)] * 4)
    assert four == [(Bound.UNDECIDED, pytest.approx((5 / 12, 0.6, 6.5 / 9)))] * 4


def around(value, share=0.03):
    """A number that is known to this share of it."""
    return Spread(value * (1 - share), value, value * (1 + share))


def queued(train_s, queueing_s, copy_s):
    """A step with the queueing as it was found by a subtraction."""
    return Step(around(train_s, 0.01), Spread(*[queueing_s] * 3), copy_s)


@pytest.mark.parametrize("clamped_s", [0.0, 0.1])
def test_queueing_beside_a_long_copy(clamped_s):
    """The queueing is 1 ms, which a copy timed too long by 1.5% hides: only the other batch sizes show it."""
    steps = [queued(1.03 + copy_s, 1.0, copy_s) for copy_s in (0.02, 0.1, 0.4)]
    steps += [queued(72.0, clamped_s, 68.0), queued(288.0, 0.0, 272.0)]
    found = bounds_along(steps)
    assert [kind for kind, _ in found] == [Bound.LAUNCH] * 3 + [Bound.COPY] * 2
    assert [share.middle for _, share in found[:3]] == pytest.approx([1 / 1.03] * 3)


@pytest.mark.parametrize(
    ("queueings_s", "share"),
    [((0.0, 2.0), 0.2), ((2.0, 0.0), 0.2), ((2.0, 3.0), 0.2), ((0.0, 0.0), 0.0)],
)
def test_long_copies_only(queueings_s, share):
    """The queueing is that of the step whose copy takes the least of the time, 0 if there is no other."""
    steps = [
        queued(10.0 + copy_s, queueing_s, copy_s)
        for copy_s, queueing_s in zip((3.0, 6.0), queueings_s, strict=True)
    ]
    assert bounds_along(steps)[0][1].middle == pytest.approx(share)


def test_waiting_beside_a_long_copy():
    """Where the host waited at the only step without a long copy, its time is not that of queueing."""
    steps = [queued(10.0, 0.9, 1.0), queued(20.0, 19.0, 1.0)]
    assert [kind for kind, _ in bounds_along(steps)] == [Bound.COMPUTE] * 2


@pytest.mark.parametrize(
    ("trains_s", "kinds"),
    [
        ((2.5, 5.0, None), [Bound.COMPUTE] * 3),
        ((1.1, 1.5, None), [Bound.LAUNCH, Bound.MIXED, Bound.UNDECIDED]),
        ((2.5, None, 20.0), [Bound.COMPUTE] * 3),
        ((1.1, None, 1.15), [Bound.LAUNCH] * 3),
        ((1.1, None, None, 2.5), [Bound.LAUNCH, Bound.UNDECIDED, Bound.UNDECIDED, Bound.COMPUTE]),
        ((None, 1.1, 2.5), [Bound.LAUNCH, Bound.LAUNCH, Bound.COMPUTE]),
        ((None, 2.5, 5.0), [Bound.UNDECIDED, Bound.COMPUTE, Bound.COMPUTE]),
    ],
)
def test_a_step_without_an_interval(trains_s, kinds):
    """It has at most the share of smaller batches and at least that of larger ones, and changes neither."""
    steps = [
        Step(Spread(0.0, 1.0, math.inf) if train_s is None else around(train_s), Spread(1.0, 1.0, 1.0), 0.0)
        for train_s in trains_s
    ]
    found = bounds_along(steps)
    assert [kind for kind, _ in found] == kinds
    known = [(train_s, share) for train_s, (_, share) in zip(trains_s, found, strict=True) if train_s]
    expected = [(1 / around(t).high, 1 / t, min(1, 1 / around(t).low)) for t, _ in known]
    assert [(*share,) for _, share in known] == [pytest.approx(ends) for ends in expected]


@pytest.mark.parametrize(
    ("trains_s", "kinds"),
    [
        ((20.0, 12.0, None), [Bound.COMPUTE, Bound.COPY, Bound.COPY]),
        ((20.0, None, 12.0), [Bound.COMPUTE, Bound.UNDECIDED, Bound.COPY]),
        ((12.0, 11.0), [Bound.COPY] * 2),
    ],
)
def test_a_copy_without_an_interval(trains_s, kinds):
    """It has at least the copy's share of smaller batches and at most that of larger ones."""
    steps = [
        Step(Spread(0.0, 1.0, math.inf) if train_s is None else around(train_s), Spread(0.1, 0.1, 0.1), 8.0)
        for train_s in trains_s
    ]
    assert [kind for kind, _ in bounds_along(steps)] == kinds


@pytest.mark.parametrize(
    ("copy_s", "kind"), [(6.1, Bound.COPY), (5.0, Bound.UNDECIDED), (4.4, Bound.COMPUTE)]
)
def test_copy_with_an_interval(copy_s, kind):
    """Both ends must agree whether the copy takes half of the step."""
    [(found, _)] = bounds_along([Step(Spread(9.0, 10.0, 12.0), Spread(0.1, 0.1, 0.1), copy_s)])
    assert found is kind


ORDER = {Bound.LAUNCH: 0, Bound.MIXED: 1, Bound.COMPUTE: 2, Bound.COPY: 3}


def is_ordered(kinds):
    """Whether each kind is one stretch, in order, with at most one undecided stretch between two kinds."""
    places = [ORDER.get(kind) for kind in kinds]
    stretches = [place for i, place in enumerate(places) if i == 0 or place != places[i - 1]]
    known = [place for place in stretches if place is not None]
    return known == sorted(set(known))


def test_order_of_kinds():
    """Whatever the times are, even those that contradict each other."""
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(2000):
        steps = []
        for batch in range(rng.integers(1, 7)):
            train_s, queueing_s, copy_s = rng.lognormal((0.7 * batch, 0, 0.9 * batch - 3), 0.5)
            wide = np.exp(rng.exponential(0.1, 4))
            has_interval = rng.random() < 0.9
            steps.append(
                Step(
                    Spread(train_s / wide[0], train_s, train_s * wide[1])
                    if has_interval
                    else Spread(0.0, train_s, math.inf),
                    Spread(queueing_s / wide[2], queueing_s, queueing_s * wide[3]),
                    copy_s,
                )
            )
        found = bounds_along(steps)
        kinds = [kind for kind, _ in found]
        seen |= {*kinds}
        assert is_ordered(kinds)
        assert all(0 <= low <= middle <= high <= 1 for _, (low, middle, high) in found)
    assert seen == {*ORDER, Bound.UNDECIDED}


def test_affine_device():
    """The host queues for 1 s, the device takes 0.05 s per example: the kinds change at 25 and 40."""
    rng = np.random.default_rng(5)
    batches = (1, 4, 10, 16, 24, 28, 36, 44, 64, 256)
    steps = []
    for batch in batches:
        median_s = max(1.0, 0.05 * batch) * rng.uniform(0.99, 1.01)
        queued_s = rng.uniform(0.97, 1.03) if batch < 64 else 0.05 * batch  # there the queue is full
        steps.append(
            Step(
                Spread(0.98 * median_s, median_s, 1.02 * median_s),
                Spread(0.95 * queued_s, queued_s, 1.05 * queued_s),
                0.0,
            )
        )
    kinds = dict(zip(batches, (kind for kind, _ in bounds_along(steps)), strict=True))
    assert [kinds[batch] for batch in (1, 4, 10, 16, 24)] == [Bound.LAUNCH] * 5
    assert [kinds[batch] for batch in (28, 36)] == [Bound.MIXED] * 2
    assert [kinds[batch] for batch in (44, 64, 256)] == [Bound.COMPUTE] * 3


RESULTS = Path(__file__).parents[2] / "results" / "h100-16core"


def test_committed_runs():
    """On a host that varies by a quarter, no model of a real run changes its kind back and forth."""
    runs = reader.read([RESULTS / "run.json", RESULTS / "large.json"])
    found = {str(row.line.model.label()): row for row in analyze(runs).bottlenecks}
    assert len(found) == 15
    assert all(is_ordered([cell.kind for cell in row.cells]) for row in found.values())
    kinds = [cell.kind for row in found.values() for cell in row.cells]
    assert sum(kind is Bound.UNDECIDED for kind in kinds) == 14
    assert sum(kind is Bound.LAUNCH for kind in kinds) == 36


def test_several_machines(tmp_path):
    runs = [
        run([benchmark([1.0] * 9 + [1.0 + share], device="cuda", enqueue_s=share)], machine=box(name))
        for name, share in (("a", 0.9), ("b", 0.1))
    ]
    found = report(tmp_path, *runs)
    assert [table.title.split()[4] for table in bottleneck_tables(found)] == ["a", "b"]
    assert [only(row.cells).kind for row in found.bottlenecks] == [Bound.LAUNCH, Bound.COMPUTE]
