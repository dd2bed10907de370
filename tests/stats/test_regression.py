"""Baseline against candidate: ratios, tests and verdicts, their power and false alarms."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from breakeven.stats.regression import (
    MAX_FALSE_ALARM_RATE,
    case_verdict,
    effects,
    false_alarm_rate,
    runs_needed,
)

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "recorded-noise.json").read_text())


def regressed(found):
    """Whether each case regressed."""
    return (found.q <= 0.05) & (found.log_ratio > 0)


def suite(rng, runs, noise=0.02, cases=400, slower=0, by=0.0, common=0.0):
    """Log medians of two sides: `slower` cases are slower by `by`, and each run has a shift of all cases."""
    sides = [
        noise * rng.standard_normal((cases, runs)) + common * rng.standard_normal((1, runs)) for _ in range(2)
    ]
    sides[1][:slower] += math.log1p(by)
    return sides


@pytest.mark.parametrize(("apart", "known"), [(1.1, True), (1.2, False)])
def test_runs_too_far_apart(apart, known):
    """With two runs per side, both `apart`: sd = apart / sqrt(2), and t(2) = 4.303 of it to a side."""
    sides = np.array([[0.0, apart]]), np.array([[0.0, apart]])
    found = effects(*sides)
    half = 4.3026527 * apart / math.sqrt(2)
    assert (2 * half <= math.log(1000)) == known
    assert (math.isfinite(found.low[0]), math.isfinite(found.high[0])) == (known, known)
    assert (found.log_ratio[0], found.df[0]) == (0, 2)


def test_one_case_matches_a_t_test():
    rng = np.random.default_rng(0)
    before, after = rng.standard_normal((1, 5)), rng.standard_normal((1, 4)) + 1
    found = effects(before, after, threshold=0.0)
    known = stats.ttest_ind(after[0], before[0])
    interval = known.confidence_interval(0.95)
    assert found.p[0] == pytest.approx(known.pvalue)
    assert (found.low[0], found.high[0]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.log_ratio[0] == pytest.approx(after.mean() - before.mean())
    assert (found.n_baseline[0], found.n_candidate[0], found.df[0]) == (5, 4, 7)


def test_p_value_at_the_threshold():
    before = np.array([[0.0, 1e-4, -1e-4], [0.0, 1e-4, -1e-4]])
    found = effects(before, before + math.log(1.02), threshold=0.02)
    assert found.p[0] == pytest.approx(0.5)
    assert effects(before, before + math.log(1.03), threshold=0.02).p[0] < 1e-6
    assert effects(before, before - math.log(1.03), threshold=0.02).p[0] < 1e-6


def test_single_runs_give_only_a_ratio():
    found = effects(np.zeros((3, 1)), np.full((3, 1), 0.5))
    assert found.log_ratio.tolist() == [0.5] * 3
    for unknown in (found.p, found.q, found.low, found.high, found.sd):
        assert np.isnan(unknown).all()


def test_single_runs_use_the_noise_floor():
    floor = 5.0 + np.random.default_rng(2).standard_normal((20, 10)) * 0.02
    after = np.zeros((20, 1))
    after[0] = 0.3
    found = effects(np.zeros((20, 1)), after, floor)
    assert regressed(found).tolist() == [True] + [False] * 19
    assert found.sd == pytest.approx(np.full(20, 0.02), rel=0.2)


def test_noise_floor_is_unused_with_several_runs():
    rng = np.random.default_rng(3)
    before, after = suite(rng, 3, cases=10)
    alone = effects(before, after)
    for floor in (rng.standard_normal((10, 10)) * 1e-6, np.tile(rng.standard_normal((1, 10)), (10, 1))):
        beside = effects(before, after, floor)
        assert np.array_equal(alone.low, beside.low)
        assert np.array_equal(alone.p, beside.p)


def test_correlated_noise_floor_beside_independent_runs():
    """Sampling error that the floor's cases share does not hide that their noise differs."""
    rng = np.random.default_rng(18)
    before, after = suite(rng, 3, cases=40)
    for side in (before, after):
        side -= side.mean(axis=1, keepdims=True)
        side /= 50 * np.sqrt((side**2).sum(axis=1, keepdims=True))
        side[20:, 1:] = np.nan
    loudness = np.exp(np.linspace(-0.3, 0.3, 40))[:, None]
    found = effects(before, after, 0.01 * loudness * rng.standard_normal((1, 10)))
    assert found.sd[39] > 1.01 * found.sd[20]


def test_less_than_one_degree_of_freedom_is_untested():
    floor = np.random.default_rng(15).standard_normal((40, 2)) * np.logspace(-6, 6, 40)[:, None]
    floor[0] = np.nan
    found = effects(np.zeros((40, 1)), np.ones((40, 1)), floor)
    assert np.isnan(found.p[0])
    assert np.isfinite(found.p[1:]).all()


def test_case_on_one_side_only():
    rng = np.random.default_rng(6)
    before, after = suite(rng, 5, cases=12)
    after[0], before[1] = np.nan, np.nan
    found, without = effects(before, after), effects(before[2:], after[2:])
    assert np.isnan(found.log_ratio[:2]).all()
    assert np.isnan(found.q[:2]).all()
    assert found.log_ratio[2:] == pytest.approx(without.log_ratio)
    assert np.isfinite(found.q[2:]).all()


def test_run_that_lacks_a_case():
    before, after = suite(np.random.default_rng(7), 5, cases=6)
    before[0, 0] = np.nan
    found = effects(before, after)
    assert found.n_baseline.tolist() == [4, 5, 5, 5, 5, 5]
    assert np.isfinite(found.low).all()


def test_shared_noise_limits_the_degrees_of_freedom():
    before, after = suite(np.random.default_rng(8), 5, noise=0.001, common=0.2)
    assert effects(before, after).df.max() < 10
    before, after = suite(np.random.default_rng(8), 5, noise=0.2)
    assert effects(before, after).df.min() > 300


@pytest.mark.parametrize(
    ("q", "log_ratio", "half_width", "verdict"),
    [(0.05, 0.1, 0.5, "regressed"), (0.05, -0.1, 0.5, "improved"), (0.051, 0.3, 0.101, "inconclusive"),
     (0.051, 0.3, 0.1, "unchanged"), (math.nan, 0.3, math.nan, "inconclusive")],
)  # fmt: skip
def test_case_verdict(q, log_ratio, half_width, verdict):
    assert case_verdict(q, log_ratio, half_width, 0.10) == verdict


def test_runs_needed():
    needed = runs_needed(0.05, 0.10)
    reach = [stats.t.ppf(0.975, 2 * n - 2) * 0.05 * math.sqrt(2 / n) for n in (needed - 1, needed)]
    assert math.sinh(reach[1]) <= 0.10 < math.sinh(reach[0])
    assert runs_needed(10.0) is None


@pytest.mark.parametrize("noise", [0.02, 0.2])
@pytest.mark.parametrize("common", [0.0, 0.1])
def test_false_alarms(noise, common):
    rng = np.random.default_rng(10)
    alarms = [regressed(effects(*suite(rng, 5, noise, common=common))).any() for _ in range(100)]
    assert np.mean(alarms) <= 0.05


@pytest.mark.parametrize(("runs", "by", "power"), [(5, 0.10, 0.95), (12, 0.05, 0.60)])
def test_power(runs, by, power):
    """In one case of twenty."""
    rng = np.random.default_rng(11)
    found = [regressed(effects(*suite(rng, runs, slower=20, by=by)))[:20].mean() for _ in range(40)]
    assert np.mean(found) >= power


@pytest.fixture(params=["aa-idle", "aa-busy"])
def recorded(request):
    """Log medians, shape (cases, runs), of runs of the same code on a noisy machine."""
    return np.log(np.array(list(RECORDED[request.param].values())))


def test_recorded_runs_of_the_same_code(recorded):
    assert not regressed(effects(recorded[:, :5], recorded[:, 5:10])).any()
    assert not regressed(effects(recorded[:, [0, 3, 4, 7, 8]], recorded[:, [1, 2, 5, 6, 9]])).any()


def test_false_alarms_in_random_splits_of_recorded_runs(recorded):
    rng = np.random.default_rng(13)
    orders = [rng.permutation(recorded.shape[1]) for _ in range(400)]
    alarms = [regressed(effects(recorded[:, o[:5]], recorded[:, o[5:10]])).any() for o in orders]
    assert np.mean(alarms) <= 0.05


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_false_alarm_rate_of_stationary_noise(noise):
    floor = np.random.default_rng(16).standard_normal((400, 10)) * noise
    assert false_alarm_rate(floor) <= MAX_FALSE_ALARM_RATE / 2


def test_false_alarm_rate_with_a_disturbed_run():
    floor = np.random.default_rng(17).standard_normal((20, 10)) * 0.02
    floor[:, 3] += 1.0
    assert false_alarm_rate(floor) == pytest.approx(9 / 45)  # the pairs that include it


def test_false_alarms_of_single_runs_with_a_recorded_floor():
    logs = np.log(np.array(list(RECORDED["aa-busy"].values())))
    rng = np.random.default_rng(17)
    alarms = []
    for order in (rng.permutation(logs.shape[1]) for _ in range(60)):
        floor = logs[:, order[2:12]]
        found = effects(logs[:, order[:1]], logs[:, order[1:2]], floor)
        alarms.append(regressed(found).any() and false_alarm_rate(floor) <= MAX_FALSE_ALARM_RATE)
    assert np.mean(alarms) <= 0.05


def test_false_alarm_rate_needs_four_runs():
    assert math.isnan(false_alarm_rate(np.zeros((5, 3))))


def test_case_missing_in_the_floor_uses_the_prior():
    floor = np.random.default_rng(4).standard_normal((20, 10)) * 0.02
    floor[3] = np.nan
    found = effects(np.zeros((20, 1)), np.zeros((20, 1)), floor)
    assert found.high[3] == pytest.approx(found.high[4], rel=0.3)
