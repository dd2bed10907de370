"""Change points: false alarms, power, place, and the gates."""

import math

import numpy as np
import pytest

from breakeven.stats.ar1_noise import AR1Noise
from breakeven.stats.change_points import (
    MIN_LEVEL_RUNS,
    PLACE_DEVIANCE,
    find_changes,
    find_changes_in_all,
    may_be_at,
)
from support.ar1 import correlated

SERIES = 60
"""Enough to distinguish .9 from .8 in seconds; `bench/harness/history.py` uses thousands."""


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1, 0.2])
def test_false_alarms(noise, rho):
    """At most 0.2 false change points in a series of 100 runs, also of correlated ones."""
    found = sum(len(find_changes(correlated(rho, 100, noise, seed)).changes) for seed in range(SERIES))
    assert found <= 0.2 * SERIES


def test_long_series_have_no_more_false_alarms():
    """The significance is that of a whole series, however many places it has."""
    series = list(0.2 * np.random.default_rng(24).standard_normal((30, 1500)))
    assert sum(len(found.changes) for found in find_changes_in_all(series)) <= 1


@pytest.mark.parametrize(
    ("rho", "at", "share"),
    [(0.0, 5, 0.95), (0.0, 15, 0.95), (0.0, 50, 0.95), (0.0, 95, 0.95),
     (0.5, 5, 0.85), (0.5, 50, 0.85), (0.5, 95, 0.85)],
)  # fmt: skip
def test_ten_percent_step_is_found(rho, at, share):
    """A step of 10% in 2% noise is found within 5 runs of its place, even 5 runs from an end."""
    found = 0
    for seed in range(SERIES):
        values = correlated(rho, 100, 0.02, seed)
        values[at:] += math.log(1.1)
        found += any(abs(change.at - at) <= 5 for change in find_changes(values).changes)
    assert found >= share * SERIES


@pytest.mark.parametrize(
    ("before", "after", "found"), [(20, 4, []), (20, 5, [20]), (4, 20, []), (5, 20, [5])]
)
def test_five_runs_on_both_sides_are_needed(before, after, found):
    step = np.repeat([0.0, math.log(1.5)], [before, after])
    changes = find_changes(step + correlated(0.0, before + after, 0.01)).changes
    assert [change.at for change in changes] == found


def test_ratio_and_its_coverage():
    covered = []
    for seed in range(SERIES):
        values = correlated(0.0, 60, 0.02, seed)
        values[30:] += math.log(1.2)
        [change] = find_changes(values).changes
        assert change.ratio == pytest.approx(1.2, rel=0.03)
        covered.append(change.low <= 1.2 <= change.high)
    assert np.mean(covered) >= 0.9


def test_reverted_step_is_two_changes():
    values = correlated(0.0, 90, 0.02)
    values[30:60] += math.log(1.1)
    assert [change.at for change in find_changes(values).changes] == pytest.approx([30, 60], abs=2)


def test_changes_below_the_threshold_are_ignored():
    values = np.repeat([0.0, math.log(1.02)], [200, 200]) + correlated(0.0, 400, 0.01)
    assert not find_changes(values).changes
    [change] = find_changes(values, threshold=0.01).changes
    assert change.at == pytest.approx(200, abs=5)


def test_series_without_noise():
    """As peak memory: a jump is found, and a difference of one byte is not."""
    memory = np.log(np.repeat([1e9, 1.2e9], [20, 20]))
    [change] = find_changes(memory).changes
    assert (change.at, change.ratio) == (20, pytest.approx(1.2))
    assert not find_changes(np.log(1e9 + np.arange(40) % 2)).changes
    halved = find_changes(np.log(np.repeat([4096.0, 2048.0], [10, 5]))).changes
    assert [change.at for change in halved] == [10]


def test_spikes_are_not_changes():
    values = correlated(0.0, 60, 0.02)
    values[[20, 22, 57]] += 0.5
    assert not find_changes(values).changes


@pytest.mark.parametrize("n", range(1, 2 * MIN_LEVEL_RUNS))
def test_too_few_runs_for_a_change(n):
    findings = find_changes(np.repeat([0.0, 1.0], [n // 2, n - n // 2]))
    assert findings.changes == ()
    assert [level.n for level in findings.levels] == [n]


def test_place_by_hand():
    """Moving a change of 10 by one of 20 runs costs 10 * 10 * 10**2 / 20 - 9 * 11 * (100 / 11)**2 / 20."""
    values = np.array([0.0] * 10 + [10.0] * 10)
    cost = 500 - 99 / 20 * (100 / 11) ** 2
    sd = math.sqrt(cost / PLACE_DEVIANCE)
    for factor, may_be in ((1.001, True), (0.999, False)):
        noise = AR1Noise(sd * factor, 0.0)
        assert may_be_at(values, noise, 10, 9) is may_be
        assert may_be_at(values, noise, 10, 11) is may_be
        assert may_be_at(values, noise, 10, 10)
    loud = AR1Noise(1e9, 0.0)
    assert [at for at in range(-2, 23) if may_be_at(values, loud, 10, at)] == list(range(1, 20))


@pytest.mark.parametrize("step", [0.02, 0.04, 0.1])
def test_true_place_may_be(step):
    """In 95% of the found changes, with 2% noise."""
    rng, held, found = np.random.default_rng(0), 0, 0
    for _ in range(300):
        values = 0.02 * rng.standard_normal(60)
        values[30:] += step
        findings = find_changes(values, threshold=0.0)
        for change in findings.changes[:1] if len(findings.changes) == 1 else ():
            found += 1
            held += may_be_at(findings.winsorized, findings.noise, change.at, 30)
    assert found > 50
    assert held / found >= 0.92
