"""The series of a store: time, peak memory, break-even and the largest batch that fits."""

import math

import numpy as np
import pytest

from breakeven.history.query import read_store
from breakeven.history.series import Quantity, series_of
from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.histories import add, content, ran_out
from support.run_files import affine_run, benchmark, write


def series(path, quantity):
    """Return every series of one quantity in a store, by its name."""
    return {s.case: s for s in series_of(read_store(path).tracks) if s.quantity == quantity}


def crossing_run(number, cuda=(33, 0.2), batches=(1, 8, 64, 512), **identity):
    """Return a run in which the GPU takes `cuda` = (floor, slope) and the CPU 1 + batch, without noise."""
    lines = {"cpu": (1, 1), "cuda": cuda}
    made = [
        benchmark([floor + slope * b] * 6, device=device, batch_size=b, **identity)
        for device, (floor, slope) in lines.items()
        for b in batches
    ]
    return content(number, made)


def test_time_and_memory(tmp_path):
    path = add(
        tmp_path, [content(i, [benchmark([1.0, 2.0, 3.0], peak_memory_bytes=5 + i)]) for i in range(3)]
    )
    assert series(path, Quantity.TIME)["mlp train cpu batch=64 width=128"].values.tolist() == [2.0] * 3
    assert series(path, Quantity.MEMORY)[
        "peak memory of mlp train cpu batch=64 width=128"
    ].values.tolist() == [
        5,
        6,
        7,
    ]
    assert not series(path, Quantity.BREAK_EVEN)
    assert not series(path, Quantity.LARGEST)


def test_break_even_as_reported(tmp_path):
    made = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)})
    path = add(tmp_path, [made])
    [row] = analyze(read([write(tmp_path / "r.json", made)])).break_evens
    [found] = series(path, Quantity.BREAK_EVEN).values()
    assert found.case == "break-even batch of mlp train cuda over cpu width=128"
    assert found.values.tolist() == [pytest.approx(row.crossing.batch_size)]


def test_no_crossing(tmp_path):
    """A run that does not cross is a gap with a status."""
    path = add(
        tmp_path, [crossing_run(0), crossing_run(1, (0, 0.2)), crossing_run(2, (999, 2)), crossing_run(3)]
    )
    [found] = series(path, Quantity.BREAK_EVEN).values()
    assert found.run.tolist() == [0, 3]
    np.testing.assert_allclose(found.values, 40.0)
    assert found.status == ("crosses", "always", "never", "crosses")


def test_crossing_in_a_hole(tmp_path):
    """A crossing in a hole is unknown; a batch size without any timing is not a hole."""
    hole = crossing_run(0)
    hole["benchmarks"] = [b for b in hole["benchmarks"] if "cuda" not in b["name"] or "-64-" not in b["name"]]
    path = add(tmp_path, [hole, crossing_run(1, batches=(1, 8, 512)), crossing_run(2)])
    [found] = series(path, Quantity.BREAK_EVEN).values()
    assert found.run.tolist() == [1, 2]
    assert found.status_run.tolist() == [1, 2]


def test_baseline_without_accelerator(tmp_path):
    path = add(tmp_path, [affine_run({"cpu@1": (1, 1), "cpu": (33, 0.5)})])
    assert list(series(path, Quantity.BREAK_EVEN)) == [
        "break-even batch of mlp train cpu over cpu@1 width=128"
    ]


def test_largest_batch(tmp_path):
    """The largest batch that fits is known only in runs where a larger one did not fit."""
    sizes = (64, 128)

    def made(number, fits, bursts):
        return content(
            number,
            [benchmark([1.0], device="cuda", batch_size=b) for b in sizes if b <= fits],
            outcomes=[ran_out(b) for b in bursts],
        )

    path = add(tmp_path, [made(0, 128, [256]), made(1, 64, [128, 256]), made(2, 128, []), made(3, 128, [32])])
    [found] = series(path, Quantity.LARGEST).values()
    assert found.case == "largest batch that fits of mlp train cuda width=128"
    assert (found.run.tolist(), found.values.tolist(), found.worse) == ([0, 1], [128, 64], -1)


def test_steps_that_waited(tmp_path):
    """The break-even is that of the loops; a batch that fits does so with or without waiting."""
    contents = [crossing_run(0, (333, 0.2)), crossing_run(1, (333, 0.2)), crossing_run(2, steps=50)]
    for made in contents:
        made["breakeven"] = {"schema": 1, "outcomes": [ran_out(1024)]}
    path = add(tmp_path, contents)
    [found] = series(path, Quantity.BREAK_EVEN).values()
    assert (found.run.tolist(), found.status_run.tolist()) == ([2], [2])
    assert found.values.tolist() == [pytest.approx(40.0)]
    [largest] = series(path, Quantity.LARGEST).values()
    assert (largest.run.tolist(), largest.values.tolist()) == ([0, 1, 2], [512] * 3)


def test_zero_time(tmp_path):
    """A time of 0 has no logarithm and is a gap."""
    path = add(tmp_path, [content(i, [benchmark([t] * 3)]) for i, t in enumerate((1.0, 0.0, math.e))])
    [found] = series(path, Quantity.TIME).values()
    assert found.run.tolist() == [0, 2]
    assert found.logs.tolist() == [0.0, 1.0]
