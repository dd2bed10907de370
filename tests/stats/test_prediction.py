"""Verdicts on the newest run: power and false alarms."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from breakeven.stats.change_points import find_changes
from breakeven.stats.prediction import Expected, expect, judge
from support.ar1 import correlated


def judged(rows, worse=None, threshold=0.03):
    """The judgments of the last values of these series."""
    expected = [expect(row, find_changes(row, threshold)) for row in rows]
    return judge(expected, worse or [1] * len(rows), threshold)


def noise(count, n=40, rho=0.0, sd=0.02, seed=0):
    return [correlated(rho, n, sd, 1000 * seed + i) for i in range(count)]


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize("series", [1, 40])
def test_false_alarms(series, rho):
    """At most 0.2 per series and 100 runs."""
    checks = [judged(noise(series, rho=rho, seed=seed)) for seed in range(400 // series)]
    alarms = sum(judgment.verdict == "regressed" for check in checks for judgment in check)
    assert 100 * alarms / (len(checks) * series) <= 0.2


@pytest.mark.parametrize(("se", "known"), [(1.0, True), (1.1, False)])
def test_widest_interval(se, known):
    """Ends that are more than a factor of 1,000 apart are unknown: 2 * 3.29 * se against log(1000)."""
    (found,) = judge([Expected(0.0, se, 1e6, 0.5, np.zeros(20))], [1], 0.03)
    assert (found.low is not None, found.high is not None) == (known, known)
    assert (found.ratio, found.verdict) == (pytest.approx(math.exp(0.5)), "inconclusive")


def test_slower_regressed_and_faster_improved():
    rows = noise(20)
    rows[3][-1] += math.log(1.2)
    rows[5][-1] -= math.log(1.2)
    verdicts = [judgment.verdict for judgment in judged(rows)]
    assert (verdicts[3], verdicts[5]) == ("regressed", "improved")
    assert set(verdicts) == {"regressed", "improved", "unchanged"}
    assert judged(rows)[3].ratio == pytest.approx(1.2, rel=0.05)


def test_smaller_is_worse_for_the_largest_batch():
    row = np.log([128.0] * 12 + [64.0])
    assert judged([row], [-1])[0].verdict == "regressed"
    assert judged([-row], [-1])[0].verdict == "improved"


def test_outside_the_interval_is_a_change():
    rows = [*noise(160), *spiky(40, n=40)]
    for i in range(0, 200, 10):
        rows[i][-1] += 0.02 * i / 10 - 0.2
    for judgment in judged(rows, threshold=1e-9):
        outside = not judgment.low <= judgment.ratio <= judgment.high
        assert outside == (judgment.verdict in ("regressed", "improved"))


def test_the_last_level_is_expected():
    row = correlated(0.0, 40, 0.02)
    row[20:] += math.log(1.5)
    [judgment] = judged([row])
    assert judgment.verdict == "unchanged"
    assert judgment.ratio == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("n", "enough"), [(1, False), (5, False), (6, True)])
def test_five_earlier_runs_are_needed(n, enough):
    row = correlated(0.0, n, 0.02)
    assert (expect(row, find_changes(row)) is not None) == enough


def spiky(count, n=60):
    """Series in which one run in twenty is 65% slower, but never the newest."""
    rng = np.random.default_rng(30)
    rows = 0.02 * rng.standard_normal((count, n))
    rows[:, :-1] += 0.5 * (rng.random((count, n - 1)) < 0.05)
    return list(rows)


@pytest.mark.parametrize("sign", [1, -1])
def test_usual_spikes_are_not_alarms(sign):
    """A spike as large as those of other series is inconclusive, a larger one is reported."""
    rows = spiky(40)
    rows[0][:-1] = noise(1, n=59)[0]  # without a spike
    rows[0][-1], rows[1][-1] = 0.25, 0.5
    rows[2][-1] = 1.5
    verdicts = [judgment.verdict for judgment in judged([sign * row for row in rows])]
    worst = "regressed" if sign > 0 else "improved"
    assert (verdicts[:3], verdicts.count(worst)) == (["inconclusive", "inconclusive", worst], 1)


def test_regression_beside_spikes():
    rows = [*noise(36, n=60), *spiky(4)]
    rows[3][-1] = math.log(1.2)
    assert judged(rows)[3].verdict == "regressed"


def test_spikes_of_the_series_itself_are_usual():
    rows = noise(40, n=60)
    rows[0][[10, 30]] += 0.5
    rows[0][-1] += 0.45
    assert judged(rows)[0].verdict == "inconclusive"


def test_usual_spikes_do_not_lower_the_bar():
    """Rejections allow more of them; usual spikes do not count as rejections."""

    def expected(observed, spikes):
        residuals = np.sort(
            np.append(np.random.default_rng(32).standard_normal(100 - spikes), [20.0] * spikes)
        )
        return Expected(0.0, 1.0, 1000.0, observed, residuals)

    series = [expected(19.0, 5)] * 10 + [expected(3.4, 0)] + [expected(0.0, 0)] * 89
    assert {judgment.verdict for judgment in judge(series, [1] * 100, 0.03)} == {"inconclusive"}
    series[:10] = [expected(21.0, 5)] * 10
    assert [judgment.verdict for judgment in judge(series, [1] * 100, 0.03)][9:11] == ["regressed"] * 2


def test_constant_series_do_not_dilute_spikes():
    rows = [*spiky(10), *([np.zeros(60)] * 400)]
    rows[0][:-1] = noise(1, n=59)[0]
    rows[0][-1] = 0.25
    assert judged(rows)[0].verdict == "inconclusive"


def test_false_alarms_in_recorded_runs():
    recorded = json.loads((Path(__file__).parents[1] / "data" / "recorded-noise.json").read_text())
    logs = np.log(np.array(list(recorded["aa-busy"].values())))
    rng = np.random.default_rng(31)
    checks = [judged(list(logs[:, rng.permutation(logs.shape[1])])) for _ in range(150)]
    assert np.mean([any(v.verdict == "regressed" for v in check) for check in checks]) <= 0.1


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (np.append(np.zeros(29), math.log(1.02)), "unchanged"),
        (np.append(np.zeros(29), math.log(1.04)), "regressed"),
        (np.zeros(20), "unchanged"),
        (correlated(0.0, 40, 0.2, 0), "inconclusive"),
    ],
    ids=["below the threshold", "above it", "constant", "noisy"],
)
def test_verdict(row, verdict):
    [judgment] = judged([row])
    assert judgment.verdict == verdict


def test_watched_first():
    """One series of 200 has half of the false alarms to itself, up to its own limit."""
    series = [Expected(0.0, 0.01, 1e9, x, np.zeros(1)) for x in [0.0, *np.linspace(-0.01, 0.01, 199)]]
    highs = {
        len(first): [math.log(one.high) / 0.01 for one in judge(series, [1] * 200, 0.0, first)]
        for first in ([], [True] + [False] * 199)
    }
    quantile = {0: [0.05 / 200] * 200, 200: [0.001] + [0.025 / 199] * 199}
    for count, alphas in quantile.items():
        assert highs[count] == pytest.approx([-stats.norm.ppf(alpha / 2) for alpha in alphas], rel=1e-4)
    alone = judge(series, [1] * 200, 0.0, [True] * 200)
    assert alone == judge(series, [1] * 200, 0.0)
