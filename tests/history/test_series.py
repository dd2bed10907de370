"""What is watched: time, peak memory, break-even and the largest batch that fits."""

import math

import numpy as np
import pytest

from breakeven.history.query import read_store
from breakeven.history.series import BREAK_EVEN, LARGEST, MEMORY, TIME, series_of
from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.histories import add, content, ran_out
from support.run_files import affine_run, benchmark, write


def series(path, quantity):
    """Every series of one quantity in a store, by its name."""
    return {s.case: s for s in series_of(read_store(path).tracks) if s.quantity == quantity}


def crossing_run(number, cuda=(33, 0.2), batches=(1, 8, 64, 512), **identity):
    """A run in which the GPU takes `cuda` = (floor, slope) and the CPU 1 + batch, without noise."""
    lines = {"cpu": (1, 1), "cuda": cuda}
    made = [
        benchmark([floor + slope * b] * 6, device=device, batch_size=b, **identity)
        for device, (floor, slope) in lines.items()
        for b in batches
    ]
    return content(number, made)


def test_time_and_memory_are_series_of_their_own(tmp_path):
    path = add(
        tmp_path, [content(i, [benchmark([1.0, 2.0, 3.0], peak_memory_bytes=5 + i)]) for i in range(3)]
    )
    assert series(path, TIME)["mlp train cpu batch=64 width=128"].values.tolist() == [2.0] * 3
    assert series(path, MEMORY)["peak memory of mlp train cpu batch=64 width=128"].values.tolist() == [
        5,
        6,
        7,
    ]
    assert not series(path, BREAK_EVEN)
    assert not series(path, LARGEST)


def test_a_break_even_is_where_the_report_says(tmp_path):
    made = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)})
    path = add(tmp_path, [made])
    [row] = analyze(read([write(tmp_path / "r.json", made)])).break_evens
    [found] = series(path, BREAK_EVEN).values()
    assert found.case == "break-even batch of mlp train cuda over cpu width=128"
    assert found.values.tolist() == [pytest.approx(row.crossing.batch_size)]


def test_a_run_that_does_not_cross_is_a_gap_with_a_status(tmp_path):
    path = add(
        tmp_path, [crossing_run(0), crossing_run(1, (0, 0.2)), crossing_run(2, (999, 2)), crossing_run(3)]
    )
    [found] = series(path, BREAK_EVEN).values()
    assert found.run.tolist() == [0, 3]
    np.testing.assert_allclose(found.values, 40.0)
    assert found.status == ("crosses", "always", "never", "crosses")


def test_a_crossing_in_a_hole_is_unknown_and_a_batch_nobody_measured_is_no_hole(tmp_path):
    hole = crossing_run(0)
    hole["benchmarks"] = [b for b in hole["benchmarks"] if "cuda" not in b["name"] or "-64-" not in b["name"]]
    path = add(tmp_path, [hole, crossing_run(1, batches=(1, 8, 512)), crossing_run(2)])
    [found] = series(path, BREAK_EVEN).values()
    assert found.run.tolist() == [1, 2]
    assert found.status_run.tolist() == [1, 2]


def test_without_an_accelerator_one_thread_is_the_baseline(tmp_path):
    path = add(tmp_path, [affine_run({"cpu@1": (1, 1), "cpu": (33, 0.5)})])
    assert list(series(path, BREAK_EVEN)) == ["break-even batch of mlp train cpu over cpu@1 width=128"]


def test_the_largest_batch_that_fits_needs_a_larger_one_that_did_not(tmp_path):
    sizes = (64, 128)

    def made(number, fits, bursts):
        return content(
            number,
            [benchmark([1.0], device="cuda", batch_size=b) for b in sizes if b <= fits],
            outcomes=[ran_out(b) for b in bursts],
        )

    path = add(tmp_path, [made(0, 128, [256]), made(1, 64, [128, 256]), made(2, 128, []), made(3, 128, [32])])
    [found] = series(path, LARGEST).values()
    assert found.case == "largest batch that fits of mlp train cuda width=128"
    assert (found.run.tolist(), found.values.tolist(), found.worse) == ([0, 1], [128, 64], -1)


def test_a_time_of_zero_has_no_logarithm_and_is_a_gap(tmp_path):
    path = add(tmp_path, [content(i, [benchmark([t] * 3)]) for i, t in enumerate((1.0, 0.0, math.e))])
    [found] = series(path, TIME).values()
    assert found.run.tolist() == [0, 2]
    assert found.logs.tolist() == [0.0, 1.0]
