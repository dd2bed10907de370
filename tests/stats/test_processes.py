"""Intervals over processes: Student's, the shrunk variance, and disturbances that outlast a process."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from breakeven.stats.processes import (
    MIN_BOOTSTRAP_PROCESSES,
    MIN_DF,
    ProcessPool,
    lasting_part,
    levels,
    process_intervals,
)

RUNS = (0,) * 5


def pool(runs=RUNS, seed=0):
    return ProcessPool.draw(np.random.default_rng(seed), runs)


def found(logs, runs=None, least=0.0):
    """The intervals of cases with these logs."""
    logs = np.atleast_2d(np.asarray(logs, dtype=float))
    shared = pool(tuple(range(logs.shape[1])) if runs is None else runs)
    return process_intervals(logs, shared, np.full(len(logs), least), [997 * i for i in range(len(logs))])


def test_one_case_is_students():
    """1.1, 1.3, 1.2, 1.6, 0.8 as logs: mean 1.2, s^2 = 0.085, t(4) = 2.776."""
    one = found([1.1, 1.3, 1.2, 1.6, 0.8])
    half = 2.7764451 * math.sqrt(0.085 / 5)
    assert (one.low[0], one.high[0]) == (pytest.approx(1.2 - half), pytest.approx(1.2 + half))
    assert (one.center[0], one.df[0], one.n[0]) == (1.2, 4.0, 5)
    assert one.sd[0] == pytest.approx(math.sqrt(0.085))
    assert np.quantile(one.draws[0], [0.025, 0.5, 0.975]) == pytest.approx(
        [1.2 - half, 1.2, 1.2 + half], abs=0.01
    )


def test_draws_have_the_ends_of_the_interval():
    one = found([1.1, 1.3, 1.2, 1.6, 0.8])
    ordered = np.sort(one.draws[0])
    assert (ordered[49], ordered[1950]) == (
        pytest.approx(one.low[0], abs=2e-4),
        pytest.approx(one.high[0], abs=2e-4),
    )


@pytest.mark.parametrize(("apart", "known"), [(2.7, True), (2.9, False)])
def test_interval_of_at_most_a_factor_of_1000(apart, known):
    """Three logs with sd `apart / 2` reach t(2) / sqrt(3) = 4.303 / sqrt(3) of it to a side."""
    half = 4.3026527 * apart / 2 / math.sqrt(3)
    assert (2 * half <= math.log(1000)) == known
    one = found([0.0, apart / 2, apart], runs=(0, 1, 2))
    assert (one.df[0], math.isfinite(one.low[0]), math.isfinite(one.high[0])) == (2 * known, known, known)


def test_wild_case_does_not_hide_others():
    """It alone has no interval."""
    rng = np.random.default_rng(0)
    logs = 0.01 * rng.standard_normal((30, 3))
    logs[3] = (0.0, 9.0, -9.0)
    known = np.isfinite(found(logs).low)
    assert known.tolist() == [row != 3 for row in range(30)]


def test_bootstrap_is_limited_too():
    """Of twenty processes in two halves that are a factor of a million apart, the median is unknown."""
    logs = np.repeat([0.0, math.log(1e6)], 10)
    one = found(logs)
    assert (one.df[0], math.isnan(one.low[0]), math.isnan(one.high[0])) == (0, True, True)


def test_two_processes():
    """One case has no interval; with others to shrink with it has one."""
    assert math.isnan(found([1.0, 1.2]).low[0])
    assert found([1.0, 1.2]).df[0] == 0
    rng = np.random.default_rng(0)
    many = found(0.1 * rng.standard_normal((50, 2)))
    assert np.isfinite(many.low).all()


def test_shrinkage_is_the_textbook_one():
    """Posterior variance (d0 s0^2 + d s^2) / (d0 + d), with the prior of limma's moments."""
    rng = np.random.default_rng(1)
    true = 0.01 * 6 / rng.chisquare(6, (4000, 1))
    logs = np.sqrt(true) * rng.standard_normal((4000, 5))
    got = found(logs)
    own = logs.var(axis=1, ddof=1)
    d0 = got.df[0] - 4
    assert d0 == pytest.approx(6, rel=0.2)
    s0 = (got.sd[0] ** 2 * (d0 + 4) - 4 * own[0]) / d0
    assert s0 == pytest.approx(0.01, rel=0.05)
    assert got.sd**2 == pytest.approx((d0 * s0 + 4 * own) / (d0 + 4))


def test_shared_noise_limits_the_degrees_of_freedom():
    rng = np.random.default_rng(2)
    assert found(rng.standard_normal((1, 5)) + 1e-3 * rng.standard_normal((200, 5))).df.max() <= 4.1
    assert found(rng.standard_normal((200, 5))).df.min() > 30


def test_never_narrower_than_the_rounds_allow():
    one = found([[1.0, 1.0, 1.0, 1.0, 1.0]], least=0.1)
    assert (one.low[0], one.high[0]) == (pytest.approx(0.9), pytest.approx(1.1))
    assert np.quantile(one.draws[0], 0.025) == pytest.approx(0.9, abs=0.002)
    many = found([np.zeros(25)], least=0.1)
    assert (many.low[0], many.high[0]) == (pytest.approx(-0.1, rel=0.1), pytest.approx(0.1, rel=0.1))


def test_fewer_processes():
    """A case takes the processes that have it; one process takes the others' noise."""
    rng = np.random.default_rng(3)
    logs = 0.1 * rng.standard_normal((2000, 5))
    logs[0, 2:] = np.nan
    logs[1, 1:] = np.nan
    got = found(logs)
    assert got.n[:3].tolist() == [2, 1, 5]
    assert got.center[0] == pytest.approx(logs[0, :2].mean())
    halves = (got.high - got.low)[:3] / 2
    assert halves[1] / halves[0] == pytest.approx(math.sqrt(2), rel=0.1)
    assert halves[1] / halves[2] == pytest.approx(math.sqrt(5), rel=0.1)


def test_shared_disturbances_go_together():
    """Draws of cases that share their noise correlate; those of independent cases do not."""
    rng = np.random.default_rng(4)
    common = rng.standard_normal(8)
    alike = found(common + 0.01 * rng.standard_normal((20, 8))).draws
    assert np.corrcoef(alike)[0, 1:].min() > 0.9
    apart = found(rng.standard_normal((20, 8))).draws
    assert abs(np.corrcoef(apart)[0, 1:]).max() < 0.3


def test_bootstrap_from_20_processes():
    """Two levels: the bootstrap of the median says so, where Student's mean lies between them."""
    logs = np.array([0.0] * 12 + [1.0] * 8)
    rng = np.random.default_rng(0)
    assert MIN_BOOTSTRAP_PROCESSES == len(logs) == 20
    many = found(logs)
    assert (many.low[0], many.center[0], many.high[0]) == (0.0, 0.0, 1.0)
    assert set(many.draws[0]) <= {0.0, 0.5, 1.0}
    assert found(logs[:19]).low[0] == pytest.approx(
        stats.t.interval(0.95, 18, logs[:19].mean(), stats.sem(logs[:19]))[0]
    )
    two = found(np.stack([logs, logs + 0.3 * rng.standard_normal()]))
    assert np.ptp(two.draws[1] - two.draws[0]) < 1e-12


def disturbed(rng, cases, lasting, processes=5):
    """Noise that lasts so many processes, beginning anywhere."""
    begin = rng.integers(0, lasting, cases)[:, None]
    steps = rng.standard_normal((cases, processes + 1))
    return np.take_along_axis(steps, (np.arange(processes) + begin) // lasting, axis=1)


@pytest.mark.parametrize(("lasting", "part"), [(1, 0.0), (2, 0.95), (3, 1.0)])
def test_lasting_disturbances(lasting, part):
    """They are recognized from many cases, and the intervals then hold."""
    rng = np.random.default_rng(lasting)
    logs = disturbed(rng, 400, lasting) + 0.02 * rng.standard_normal((400, 5))
    got = levels(logs, pool().lags)
    assert got.lasting == pytest.approx(part, abs=0.15)
    hits = []
    for _ in range(60):
        loudness = np.exp(0.3 * rng.standard_normal((20, 1)))
        logs = disturbed(rng, 20, lasting) * loudness + 0.02 * rng.standard_normal((20, 5))
        ends = found(logs, RUNS)
        hits.append(np.mean((ends.low <= 0) & (ends.high >= 0)))
    assert 0.92 <= np.mean(hits) <= 0.99


def test_lasting_needs_neighbors():
    """One case, three processes, or processes of different runs show nothing of it."""
    rng = np.random.default_rng(5)
    logs = disturbed(rng, 300, 3)
    assert levels(logs, pool().lags).lasting > 0.9
    assert levels(logs, pool((0, 1, 2, 3, 4)).lags).lasting == 0
    assert levels(logs[:, :3], pool((0, 0, 0)).lags).lasting == 0
    assert levels(np.array([[0.0, 0, 0, 1, 1]]), pool().lags).lasting == 0
    steady = np.tile([1.0, 1, 1, 0, 0], (9, 1)) - 0.6
    assert lasting_part(steady, pool().lags, 1.0) == 1


def test_effective_processes():
    """Where all noise lasts 2.5 processes, neighbors correlate by .6, the next by .2: five show 25 / 11."""
    logs = np.tile([1.0, 1, 1, 0, 0], (9, 1))
    got = levels(logs, pool().lags)
    assert got.lasting == 1
    assert got.se / got.sd == pytest.approx(math.sqrt(11 / 25))
    assert got.df == pytest.approx(MIN_DF)  # 25 / 11 - 1 would be fewer
    apart = levels(logs, pool((0, 0, 0, 1, 1)).lags)
    assert apart.lasting == 1
    assert apart.se / apart.sd == pytest.approx(math.sqrt((5 + 2 * (3 * 0.6 + 0.2)) / 25))


def test_lasting_from_four_processes():
    rng = np.random.default_rng(6)
    assert levels(disturbed(rng, 400, 3, 4), pool((0,) * 4).lags).lasting > 0.8


def test_fewest_degrees_of_freedom():
    """Two processes whose cases share all their noise have one."""
    assert levels(np.tile([1.0, 0.0], (9, 1)), pool((0, 0)).lags).df == pytest.approx(1.0)


def of_machines(rng, machines, processes=5, cases=20, machine_sd=0.05, process_sd=0.02):
    """Log times around 0: half of the variance between machines is shared by all cases."""
    shared = rng.standard_normal((1, machines, 1)) + rng.standard_normal((cases, machines, 1))
    noise = process_sd * rng.standard_normal((cases, machines, processes))
    return (machine_sd * shared / math.sqrt(2) + noise).reshape(cases, machines * processes)


def machine_coverage(machines, instances, repeats=60):
    """How often intervals hold the time of the machine class, whose machines these are a sample of."""
    runs = tuple(run for run in range(machines) for _ in range(5))
    held = []
    for seed in range(repeats):
        rng = np.random.default_rng([4, seed])
        logs = of_machines(rng, machines)
        shared = ProcessPool.draw(rng, runs, instances(runs))
        one = process_intervals(logs, shared, np.zeros(len(logs)), range(len(logs)))
        held += [*((one.low <= 0) & (one.high >= 0))]
    return float(np.mean(held))


@pytest.mark.parametrize("machines", [3, 5, 8])
def test_intervals_over_machines_hold_for_their_class(machines):
    assert 0.90 <= machine_coverage(machines, instances=lambda runs: runs) <= 0.99


def test_intervals_over_processes_hold_for_these_machines_only():
    assert machine_coverage(3, instances=lambda _: (), repeats=30) < 0.8


def test_three_machines_are_students_over_their_medians():
    """Medians 1.0, 1.2, 1.7: mean 1.3, s^2 = 0.13, t(2) = 4.303; the processes do not count."""
    shared = ProcessPool.draw(np.random.default_rng(0), (0, 0, 0, 1, 2, 2), (0, 0, 0, 1, 2, 2))
    one = process_intervals(np.array([[0.9, 1.0, 5.0, 1.2, 1.5, 1.9]]), shared, np.zeros(1), [0])
    half = 4.3026527 * math.sqrt(0.13 / 3)
    assert (one.low[0], one.high[0]) == (pytest.approx(1.3 - half), pytest.approx(1.3 + half))
    assert (one.center[0], one.df[0], one.n[0]) == (1.2, 2.0, 6)


def test_two_machines_are_not_a_level():
    shared = ProcessPool.draw(np.random.default_rng(0), (0, 0, 1, 1), (0, 0, 1, 1))
    assert shared.over_instances is None


def test_a_machine_without_a_case_is_left_out_of_it():
    shared = ProcessPool.draw(np.random.default_rng(0), (0, 1, 2), (0, 1, 2))
    logs = np.array([[1.0, 1.1, 1.3], [1.0, np.nan, 1.2]])
    one = process_intervals(logs, shared, np.zeros(2), [0, 1])
    assert (list(one.n), one.center[1]) == ([3, 2], pytest.approx(1.1))
    assert one.low[1] < 1.1 < one.high[1]


def test_pairs():
    """All pairs of a run at a distance, also among some of the processes."""
    runs, columns = np.repeat([0, 1, 2], [5, 1, 4]), np.array([0, 2, 3, 5, 6, 8, 9])
    lags = pool(tuple(runs)).lags
    for of, places in ((lags, np.arange(10)), (lags.among(columns), columns)):
        for lag in (1, 2, 3):
            pairs = [
                (i, j)
                for i, first in enumerate(places)
                for j, second in enumerate(places)
                if second - first == lag and runs[first] == runs[second]
            ]
            assert list(zip(*map(np.ndarray.tolist, of.pairs(lag)), strict=True)) == pairs


def test_bootstrap_is_of_the_resampled_processes():
    """Its draws are the medians of the processes that the pool chooses, for even and odd numbers."""
    for count in (MIN_BOOTSTRAP_PROCESSES, MIN_BOOTSTRAP_PROCESSES + 1):
        logs, shared = np.random.default_rng(count).normal(size=(1, count)), pool(tuple(range(count)))
        draws = process_intervals(logs, shared, np.zeros(1), [0]).draws[0]
        chosen = [np.repeat(logs[0], often) for often in shared.shared.counts(count)]
        assert (draws == np.median(chosen, axis=1)).all()


def test_memory_of_many_processes():
    """It grows with their number, not with its square: a matrix of all pairs has 800 MB."""
    runs = np.repeat(np.arange(2000), 5)
    shared = ProcessPool.draw(np.random.default_rng(0), runs.tolist(), resamples=50)
    logs = np.random.default_rng(1).normal(size=(4, len(runs)))
    tracemalloc.start()
    process_intervals(logs, shared, np.zeros(4), [0] * 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
