"""The newest run against its series: sure when it is worse, and silent when nothing changed."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from breakeven.stats.change_points import find_changes
from breakeven.stats.prediction import Expected, expect, judge
from support.ar1 import correlated


def verdicts(rows, worse=None, threshold=0.03):
    """The verdicts on the last values of these series."""
    expected = [expect(row, find_changes(row, threshold)) for row in rows]
    return judge(expected, worse or [1] * len(rows), threshold)


def noise(count, n=40, rho=0.0, sd=0.02, seed=0):
    return [correlated(rho, n, sd, 1000 * seed + i) for i in range(count)]


@pytest.mark.parametrize("rho", [0.0, 0.5])
@pytest.mark.parametrize("series", [1, 40])
def test_false_alarms_are_at_most_a_fifth_of_one_per_series_and_100_commits(series, rho):
    checks = [verdicts(noise(series, rho=rho, seed=seed)) for seed in range(400 // series)]
    alarms = sum(verdict.verdict == "regressed" for check in checks for verdict in check)
    assert 100 * alarms / (len(checks) * series) <= 0.2


def test_a_run_much_slower_than_its_series_regressed_and_a_faster_one_improved():
    rows = noise(20)
    rows[3][-1] += math.log(1.2)
    rows[5][-1] -= math.log(1.2)
    words = [verdict.verdict for verdict in verdicts(rows)]
    assert (words[3], words[5]) == ("regressed", "improved")
    assert set(words) == {"regressed", "improved", "unchanged"}
    assert verdicts(rows)[3].ratio == pytest.approx(1.2, rel=0.05)


def test_a_smaller_largest_batch_is_the_bad_direction():
    row = np.log([128.0] * 12 + [64.0])
    assert verdicts([row], [-1])[0].verdict == "regressed"
    assert verdicts([-row], [-1])[0].verdict == "improved"


def test_outside_of_the_interval_and_a_verdict_are_the_same_thing():
    rows = [*noise(160), *spiky(40, n=40)]
    for i in range(0, 200, 10):
        rows[i][-1] += 0.02 * i / 10 - 0.2
    for verdict in verdicts(rows, threshold=1e-9):
        outside = not verdict.low <= verdict.ratio <= verdict.high
        assert outside == (verdict.verdict in ("regressed", "improved"))


def test_a_difference_below_the_threshold_is_unchanged_however_sure():
    row = np.zeros(30)
    row[-1] = math.log(1.02)
    assert verdicts([row])[0].verdict == "unchanged"


def test_a_series_too_noisy_to_tell_is_inconclusive():
    assert verdicts(noise(1, sd=0.2))[0].verdict == "inconclusive"


def test_after_a_change_the_new_level_is_what_is_expected():
    row = correlated(0.0, 40, 0.02)
    row[20:] += math.log(1.5)
    [verdict] = verdicts([row])
    assert verdict.verdict == "unchanged"
    assert verdict.ratio == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("n", "judged"), [(1, False), (5, False), (6, True)])
def test_five_runs_before_the_newest_are_needed(n, judged):
    row = correlated(0.0, n, 0.02)
    assert (expect(row, find_changes(row)) is not None) == judged


def test_a_series_that_never_moved_has_a_narrow_interval_and_not_none():
    [verdict] = verdicts([np.zeros(20)])
    assert 0.98 < verdict.low < 1 < verdict.high < 1.02


def spiky(count, n=60):
    """Series in which one run in twenty reads half more, the newest never."""
    rng = np.random.default_rng(30)
    rows = 0.02 * rng.standard_normal((count, n))
    rows[:, :-1] += 0.5 * (rng.random((count, n - 1)) < 0.05)
    return list(rows)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_spike_as_the_machine_gives_now_and_then_is_no_alarm_and_one_beyond_all_is(sign):
    rows = spiky(40)
    rows[0][:-1] = noise(1, n=59)[0]  # it never met a spike itself
    rows[0][-1], rows[1][-1] = 0.25, 0.5
    rows[2][-1] = 1.5
    words = [verdict.verdict for verdict in verdicts([sign * row for row in rows])]
    worst = "regressed" if sign > 0 else "improved"
    assert (words[:3], words.count(worst)) == (["inconclusive", "inconclusive", worst], 1)


def test_a_neighbor_that_spikes_hides_no_slowdown_of_a_steady_series():
    rows = [*noise(36, n=60), *spiky(4)]
    rows[3][-1] = math.log(1.2)
    assert verdicts(rows)[3].verdict == "regressed"


def test_a_spike_as_the_series_itself_has_met_is_no_alarm_though_no_other_series_has():
    rows = noise(40, n=60)
    rows[0][[10, 30]] += 0.5
    rows[0][-1] += 0.45
    assert verdicts(rows)[0].verdict == "inconclusive"


def test_spikes_that_are_no_alarm_make_nothing_else_one():
    """Alarms that are many and mostly true lower the bar for more; these are none."""

    def expected(found, spikes):
        residuals = np.sort(
            np.append(np.random.default_rng(32).standard_normal(100 - spikes), [20.0] * spikes)
        )
        return Expected(0.0, 1.0, 1000.0, found, residuals)

    series = [expected(19.0, 5)] * 10 + [expected(3.4, 0)] + [expected(0.0, 0)] * 89
    assert {verdict.verdict for verdict in judge(series, [1] * 100, 0.03)} == {"inconclusive"}
    series[:10] = [expected(21.0, 5)] * 10
    assert [verdict.verdict for verdict in judge(series, [1] * 100, 0.03)][9:11] == ["regressed"] * 2


def test_series_that_never_move_do_not_make_spikes_look_rare():
    rows = [*spiky(10), *([np.zeros(60)] * 400)]
    rows[0][:-1] = noise(1, n=59)[0]
    rows[0][-1] = 0.25
    assert verdicts(rows)[0].verdict == "inconclusive"


def test_recorded_runs_of_a_busy_machine_in_any_order_are_rarely_an_alarm():
    recorded = json.loads((Path(__file__).parents[1] / "data" / "recorded-noise.json").read_text())
    logs = np.log(np.array(list(recorded["aa-busy"].values())))
    rng = np.random.default_rng(31)
    checks = [verdicts(list(logs[:, rng.permutation(logs.shape[1])])) for _ in range(150)]
    assert np.mean([any(v.verdict == "regressed" for v in check) for check in checks]) <= 0.1


def test_nothing_to_judge_is_no_error():
    assert judge([], [], 0.03) == []
