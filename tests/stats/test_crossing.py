"""Break-evens worked by hand, and the coverage of their interval."""

import numpy as np
import pytest

from breakeven.report.speedup import verdict_of
from breakeven.stats.crossing import Crossing, CrossingStatus, CrossingWarning, find_crossing
from breakeven.stats.intervals import ratio_of_draws, resampled_medians


def flat(time):
    """A device that takes the same time at every batch size."""
    return lambda _batch: time


def exact(batches, baseline, candidate, signs=None, holes=()):
    """The crossing of two devices that are known without noise."""
    base, cand = (
        np.array([float(baseline(b)) for b in batches]),
        np.array([float(candidate(b)) for b in batches]),
    )
    if signs is None:
        signs = np.sign(base - cand).astype(int).tolist()
    return find_crossing(
        batches, (base, np.tile(base, (50, 1))), (cand, np.tile(cand, (50, 1))), signs, holes
    )


def test_affine_devices_cross_where_algebra_says():
    # 1 + b = 33 + b / 5 at b = 40
    found = exact([1, 8, 64, 512], lambda b: 1 + b, lambda b: 33 + b / 5)
    assert found.status == "crosses"
    assert found.batch_size == found.low == found.high == pytest.approx(40)
    assert found.bracket == (8, 64)
    assert found.warnings == ()


def test_interpolation_is_linear_in_batch_size():
    # Differences -1 at 1 and +3 at 1001: a quarter of the way, at 251; log interpolation would say 5.6.
    found = exact([1, 1001], lambda b: 1 if b == 1 else 4, lambda b: 2 if b == 1 else 1)
    assert found.batch_size == pytest.approx(251)


AFFINE = {1: (2, 33.2), 8: (9, 34.6), 64: (65, 45.8), 512: (513, 135.4)}
BEYOND = {1: (2, 201.2), 8: (9, 202.6), 64: (65, 213.8)}


@pytest.mark.parametrize(
    ("times", "signs", "holes", "status", "bracket", "warnings"),
    [
        ({1: (2, 1), 8: (16, 8)}, None, (), "always", (None, 1), ()),
        ({1: (1, 2), 8: (8, 16)}, None, (), "never", (8, None), ()),
        (BEYOND, None, (), "beyond_range", (64, None), ()),
        (BEYOND, None, (16,), "never", (64, None), ()),
        ({1: (1, 1e6 + 0.99), 8: (8, 1e6 + 7.92), 64: (64, 1e6 + 63.36)}, None, (), "never", (64, None), ()),
        # The candidate gains between 1 and 8, and loses from 8 on.
        ({1: (1, 9), 8: (8, 9), 64: (64, 70), 512: (512, 560), 4096: (4096, 4500)}, None, (), "never",
         (4096, None), ()),
        ({1: (10, 9), 8: (8, 40), 64: (64, 80), 512: (512, 520)}, None, (), "never", (512, None),
         ("loses_large",)),
        ({1: (2, 33.2), 64: (65, 45.8), 512: (513, 135.4)}, None, (8,), "undecided", (1, 64), ("hole",)),
        *[(AFFINE, None, (hole,), "crosses", (8, 64), ()) for hole in (2, 128)],
        (AFFINE, None, (4096,), "crosses", (8, 64), ("cut_short",)),
        (AFFINE, (0, 0, 0, 1), (), "undecided", (None, 512), ()),
        (AFFINE, (-1, 1, 1, 0), (), "undecided", (1, None), ()),
        (AFFINE, (0, 0, 0, 0), (), "undecided", (None, None), ()),
        (AFFINE, (0, 1, 1, 1), (), "undecided", (None, 8), ()),
        ({64: (2, 1)}, None, (), "always", (None, 64), ("one_batch",)),
        ({64: (1, 2)}, None, (), "never", (64, None), ("one_batch",)),
        ({64: (1, 1)}, None, (), "undecided", (None, None), ()),
    ],
)  # fmt: skip
def test_status(times, signs, holes, status, bracket, warnings):
    """By the two devices' times at each batch size."""
    found = exact(list(times), lambda b: times[b][0], lambda b: times[b][1], signs, holes)
    assert (found.status, found.bracket, found.warnings) == (status, bracket, warnings)
    assert (found.batch_size is None) == (status != "crosses")


@pytest.mark.parametrize(
    ("status", "batches", "warnings", "text", "brief"),
    [
        ("always", [1, 4], ["cut_short"], "at every measured batch size (1–4; larger not timed)",
         "always (1–4; larger not timed)"),
        ("always", [4], ["cut_short", "one_batch"], "at batch 4 (larger not timed)",
         "at 4 only: faster; larger not timed"),
        ("never", [1, 4096], [], "never (1–4,096)", "never (1–4,096)"),
        ("never", [1, 4096], ["loses_large"], "only below batch 4,096", "only below 4,096"),
        ("never", [4096], ["one_batch"], "not at batch 4,096, the only one measured",
         "at 4,096 only: slower"),
        ("beyond_range", [1, 4096], [], "only above batch 4,096", "beyond 4,096"),
        ("undecided", [1, 4096], [], "undecided (1–4,096)", "undecided (1–4,096)"),
        ("undecided", [4], [], "at 4 only: undecided",
         "at 4 only: undecided"),
        ("undecided", [], [], "undecided", "undecided"),
    ],
)  # fmt: skip
def test_text(status, batches, warnings, text, brief):
    """No "always" or "never" without its range, and none of a single batch size."""
    found = Crossing(CrossingStatus(status), warnings=tuple(map(CrossingWarning, warnings)))
    assert (found.describe(batches), found.describe_briefly(batches)) == (text, brief)


@pytest.mark.parametrize(
    ("bracket", "text", "brief"),
    [
        ((1, 4096), "from a batch size between 1 and 4,096", "between 1 and 4,096"),
        ((None, 4096), "from batch 4,096 at the latest", "4,096 at the latest"),
        ((4096, None), "undecided (1–8,192)", "undecided (1–8,192)"),
    ],
)
def test_text_of_a_bracket(bracket, text, brief):
    found = Crossing(CrossingStatus.UNDECIDED, bracket=bracket)
    assert (found.describe([1, 8192]), found.describe_briefly([1, 8192])) == (text, brief)


def test_last_of_several_crossings_counts():
    lead = {1: 1, 8: -1, 64: 1, 512: 1}
    found = exact(list(lead), lambda b: 10 + lead[b], flat(10))
    assert (found.status, found.bracket) == ("crosses", (8, 64))
    assert found.batch_size == pytest.approx(36)
    assert found.warnings == ("several",)


def test_interval_end_in_a_hole_takes_the_outer_edge():
    batches = [1, 8, 64]
    base, cand = np.array([1.0, 9.0, 100.0]), np.array([5.0, 10.0, 50.0])
    draws = np.tile(base, (100, 1))
    draws[:10, 1] = 11.0  # in a tenth of the resamples the candidate is faster at 8 already
    found = find_crossing(batches, (base, draws), (cand, np.tile(cand, (100, 1))), [-1, -1, 1], holes=[4])
    assert (found.status, found.low) == ("crosses", 1.0)
    assert found.batch_size == pytest.approx(8 + 56 / 51)


def test_resamples_without_a_crossing_leave_an_end_unbounded():
    base, cand = np.array([1.0, 3.0]), np.array([2.0, 2.0])
    draws = np.tile(base, (100, 1))
    draws[:5, 0] = 2.5
    draws[5:10, 1] = 1.5
    found = find_crossing([1, 64], (base, draws), (cand, np.tile(cand, (100, 1))), [-1, 1])
    assert (found.low, found.batch_size, found.high) == (None, pytest.approx(32.5), None)


def affine(rng, batches, floor, slope, n, noise):
    """Medians and resamples of a device with log-normal noise around floor + slope * batch."""
    samples = [(floor + slope * b) * np.exp(noise * rng.standard_normal(n)) for b in batches]
    return np.array([np.median(s) for s in samples]), np.stack(
        [resampled_medians(s, rng) for s in samples], axis=1
    )


@pytest.mark.parametrize(
    ("n", "noise"), [(20, 0.02), pytest.param(30, 0.05, marks=pytest.mark.slow), (100, 0.10)]
)
def test_coverage_of_the_break_even(n, noise):
    batches = [1, 4, 16, 64, 256, 1024]
    hits = bounded = 0
    for seed in range(200):
        rng = np.random.default_rng([n, seed])
        # 20 us + 1 us a sample against 100 us + 0.2 us a sample: equal at 100.
        base, cand = (
            affine(rng, batches, 20e-6, 1e-6, n, noise),
            affine(rng, batches, 100e-6, 0.2e-6, n, noise),
        )
        signs = []
        for i in range(len(batches)):
            ratio = ratio_of_draws(base[0][i], cand[0][i], base[1][:, i], cand[1][:, i])
            signs.append({"faster": 1, "slower": -1}.get(verdict_of(ratio), 0))
        found = find_crossing(batches, base, cand, signs)
        assert found.status == "crosses"
        bounded += found.low is not None and found.high is not None
        hits += (found.low or 0) <= 100 <= (found.high or np.inf)
    print(f"break-even in its interval, n={n}, noise={noise}: {hits / 200:.3f}")
    assert bounded == 200
    assert hits / 200 >= 0.91


def test_noise_is_rarely_a_trend():
    batches, beyond = [1, 8, 64, 512], 0
    for seed in range(200):
        rng = np.random.default_rng([11, seed])
        base, cand = affine(rng, batches, 1.0, 0.1, 30, 0.05), affine(rng, batches, 30.0, 0.1, 30, 0.05)
        beyond += find_crossing(batches, base, cand, [-1] * 4).status == "beyond_range"
    assert beyond / 200 <= 0.05


def test_equal_devices_rarely_cross():
    batches, crossed = [1, 8, 64, 512], 0
    for seed in range(200):
        rng = np.random.default_rng([7, seed])
        base, cand = affine(rng, batches, 1.0, 0.1, 30, 0.05), affine(rng, batches, 1.0, 0.1, 30, 0.05)
        signs = []
        for i in range(len(batches)):
            ratio = ratio_of_draws(base[0][i], cand[0][i], base[1][:, i], cand[1][:, i])
            signs.append((ratio.low > 1) - (ratio.high < 1))
        crossed += find_crossing(batches, base, cand, signs).status == "crosses"
    assert crossed / 200 <= 0.02
