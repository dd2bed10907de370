"""The harness of `breakeven compare`: suites whose changes are known, and their figures."""

import json

import numpy as np
import pytest
import regression


def test_noise_and_changes_of_a_suite():
    before, after = regression.suite(np.random.default_rng(0), 200, noise=0.05, by=0.10)
    assert before.std(axis=1).mean() == pytest.approx(0.05, rel=0.05)
    slower = np.exp(after.mean(axis=1) - before.mean(axis=1))
    assert slower[: regression.CHANGED].mean() == pytest.approx(1.10, abs=0.01)
    assert slower[regression.CHANGED :].mean() == pytest.approx(1.00, abs=0.01)


def test_shared_and_unequal_noise():
    """The cases of a suite can share noise, and some can be noisier."""
    rng = np.random.default_rng(1)
    before, _ = regression.suite(rng, 50, noise=0.01, common=0.2)
    assert np.corrcoef(before[:2])[0, 1] > 0.9
    before, _ = regression.suite(rng, 50, noise=0.05, unequal=1.0)
    assert np.log(before.std(axis=1)).std() == pytest.approx(1.0, rel=0.15)


def test_times_in_two_groups():
    before, _ = regression.suite(np.random.default_rng(2), 50, noise=0.01, groups=1.0)
    spread = before.std(axis=1)
    assert spread[::20].min() > 0.4
    assert np.delete(spread, range(0, 400, 20)).max() < 0.02


def test_experiment_decides_once():
    """A case decided after five pairs is not looked at again; one that is open is."""
    rng = np.random.default_rng(3)
    before, after = (0.01 * rng.standard_normal((20, 10)) for _ in range(2))
    after[0] += 0.3
    after[1, 5:] += 0.3  # after it was decided
    before[2], after[2] = 0.3 * rng.standard_normal((2, 10)) + [[0.0], [1.0]]
    assert np.flatnonzero(regression.experiment(before, after)).tolist() == [0, 2]
    before[2], after[2] = np.zeros(10), [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]  # two groups
    assert np.flatnonzero(regression.experiment(before, after)).tolist() == [0]


def test_looks_do_not_add_up(monkeypatch):
    """Six looks at unchanged code raise an alarm in at most 5% of experiments; uncorrected, in more."""
    monkeypatch.setattr(regression, "CASES", 3)

    def alarms():
        rng = np.random.default_rng(6)
        found = [regression.experiment(*regression.suite(rng, 10, noise=0.3)).any() for _ in range(600)]
        return np.mean(found)

    assert alarms() <= 0.03
    monkeypatch.setattr(regression, "look_penalty", lambda *_, **__: 1)
    assert alarms() > 0.05


def test_every_figure_has_interval_n_and_bound():
    found = (
        regression.false_alarms(4)
        | regression.power(2)
        | regression.single_runs(2)
        | regression.recorded(4)
        | regression.experiments(2)
    )
    assert len(found) == 5 + 2 + 2 + 6 + 7
    for figure in found.values():
        assert {"n", "bound"} < set(figure)
        if "share" in figure:
            assert figure["low"] <= figure["share"] <= figure["high"]


def test_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(regression, "FILE_CASES", 3)
    monkeypatch.setattr(regression, "FILE_ROUNDS", 4)
    regression.write_large(tmp_path / "a.json", 0)
    content = json.loads((tmp_path / "a.json").read_text())
    assert len(content["benchmarks"]) == 3
    stats = content["benchmarks"][0]["stats"]
    assert stats["median"] == np.median(stats["data"])
