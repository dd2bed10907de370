"""The synthetic functions: median, mean, correlation, outliers, ramp and first call."""

import itertools
import math
from statistics import fmean, median

import numpy as np
import pytest
from synthetic import BASE_S, DISTRIBUTIONS, Law, SyntheticFunction, TickingClock

N = 200_000


def steady(law, n=N):
    """Return `n` latencies without one-time costs."""
    return np.fromiter(itertools.islice(law.latencies(np.random.default_rng(0)), n), float, n)


@pytest.mark.parametrize("law", DISTRIBUTIONS.values(), ids=lambda law: law.name)
def test_median_and_mean(law):
    """They match those of a long sample."""
    times = steady(law)
    # Correlated by .7, a sample is worth (1 - .7) / (1 + .7) of its size: .18.
    error = 4 * times.std() / math.sqrt(0.18 * N)
    assert times.mean() == pytest.approx(law.mean_s, abs=error)
    assert np.median(times) == pytest.approx(law.median_s, rel=4 * 1.2533 * law.sigma / math.sqrt(0.18 * N))


def test_median_of_a_mixture_halves_its_calls():
    law = Law("mixture", "", 0.03, outliers=0.05)
    assert law.share_below(law.median_s) == pytest.approx(0.5)
    # All outliers are above it: the median is the 0.5 / 0.95 quantile of the usual calls, z = 0.0660.
    assert law.median_s == pytest.approx(BASE_S * math.exp(0.03 * 0.0660), rel=1e-5)


@pytest.mark.parametrize("name", ["correlated", "quiet"])
@pytest.mark.parametrize("lag", [1, 2, 5])
def test_correlation_across_chunks(name, lag):
    law = DISTRIBUTIONS[name]
    scores = np.log(steady(law) / BASE_S) / law.sigma
    assert np.corrcoef(scores[:-lag], scores[lag:])[0, 1] == pytest.approx(law.rho**lag, abs=0.012)


def test_outliers():
    times = steady(DISTRIBUTIONS["outliers"])
    slow = times > 5 * BASE_S
    assert slow.mean() == pytest.approx(0.05, abs=0.002)
    assert np.median(times[slow]) == pytest.approx(10 * BASE_S, rel=0.002)


def seconds_of(function, clock, calls):
    """Return the seconds of each of the first calls."""
    found = []
    for _ in range(calls):
        begin = clock.now
        function()
        found.append(clock.now - begin)
    return found


def test_slow_first_call():
    """Only the first call of a process is slow."""
    clock = TickingClock()
    function = SyntheticFunction(DISTRIBUTIONS["slow first call"], clock, 0)
    first, *later = seconds_of(function, clock, 5)
    assert first == pytest.approx(1.0, rel=0.05)
    assert later == pytest.approx([BASE_S] * 4, rel=0.05)
    function.fresh_process()
    assert seconds_of(function, clock, 1) == pytest.approx([1.0], rel=0.05)


def test_a_ramp_falls_linearly_to_the_steady_time():
    clock = TickingClock()
    times = seconds_of(SyntheticFunction(DISTRIBUTIONS["warm-up ramp"], clock, 0), clock, 240)
    assert fmean(times[:5]) == pytest.approx(1.285 * BASE_S, rel=0.015)
    assert fmean(times[18:23]) == pytest.approx(1.15 * BASE_S, rel=0.015)
    assert median(times[40:]) == pytest.approx(BASE_S, rel=0.003)


def test_repetitions_are_seeded():
    runs = []
    for repetition in (3, 3, 4):
        clock = TickingClock()
        runs.append(seconds_of(SyntheticFunction(DISTRIBUTIONS["loud"], clock, repetition), clock, 50))
    assert runs[0] == runs[1] != runs[2]


def test_seconds_of_the_best_estimator():
    # (1.96 x .15 / .02)^2 = 216 calls of 1.0113 ms; AR(.7) leaves .3 / 1.7 of (1.96 x .1 / .02)^2 = 96.
    assert DISTRIBUTIONS["loud"].min_s == pytest.approx(0.2185, rel=1e-3)
    assert DISTRIBUTIONS["correlated"].min_s == pytest.approx(96.04 * 1.7 / 0.3 * 1.00501e-3, rel=1e-3)
    assert DISTRIBUTIONS["quiet"].min_s == pytest.approx(BASE_S, rel=0.001)
