"""The flags that the rounds themselves give, each with its evidence."""

import numpy as np
import pytest

from breakeven.errors import MeasurementError
from breakeven.runs.flags import evidence_in, recorded_flags, recorded_losses, refuse_impossible
from breakeven.stats.intervals import median_interval


def evidence(times, target=0.02, steady=True):
    return evidence_in(times, median_interval(times), target, steady=steady)


def rounds(noise, n=100):
    return np.exp(np.random.default_rng(0).normal(0, noise, n)) * 1e-3


@pytest.mark.parametrize(
    ("times", "steady", "found"),
    [
        (rounds(0.01), True, {}),
        (rounds(0.01), False, {"unsteady": {"warm_up": "the times were still changing when it ended"}}),
        (rounds(0.01, n=5), True, {"few_rounds": {"rounds": 5}}),
        ([0.0] * 30, True, {"zero_time": {"rounds": 30}}),
        ([1.0], True, {"few_rounds": {"rounds": 1}}),
        ([1.0] * 50, True, {}),
    ],
    ids=["quiet", "unsteady", "few", "zero", "one", "constant"],
)
def test_evidence(times, steady, found):
    assert evidence(times, steady=steady) == found


def test_noisy():
    """A target that was missed, with both widths."""
    found = evidence(rounds(0.5))
    assert list(found) == ["noisy"]
    assert found["noisy"]["half_width"] > found["noisy"]["wished"] == 0.02


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["budget", "noisy"], ("noisy",)),
        (["budget"], ("noisy",)),
        (["noisy", 3, "", "own", None], ("noisy", "own")),
        ("noisy", ()),
        (None, ()),
    ],
)
def test_recorded_flags(flags, kept):
    """Former names are read as today's, once; what is not a name is left out."""
    assert recorded_flags({"flags": flags}) == kept


@pytest.mark.parametrize(
    ("evidence", "is_kept"),
    [
        ({"contended": {"involuntary_switches_per_s": 72.4}}, False),
        ({"contended": {"involuntary_switches_per_s": 72.4, "main_thread_share": 0.5}}, True),
        ({"contended": {"main_thread_share": 0.5}}, True),
        ({"contended": {"lost_cores": 0.5}}, True),
        ({"contended": {}}, True),
        ({"contended": None}, True),
        ({}, True),
        (None, True),
    ],
)
def test_recorded_contended(evidence, is_kept):
    """A count of involuntary switches alone does not show that other programs took CPU time."""
    info = {"flags": ["contended", "drift"], "evidence": evidence}
    assert recorded_flags(info) == (("contended", "drift") if is_kept else ("drift",))


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        (
            {"lost": {"processes": {"3": "crashed: SIGSEGV", "4": "timeout"}}},
            ("process 3 crashed: SIGSEGV", "process 4 timeout"),
        ),
        ({"lost": {"processes": {"0": None}}}, ("process 0 None",)),
        ({"lost": {"processes": [3]}}, ()),
        ({"lost": 3}, ()),
        (None, ()),
    ],
)
def test_recorded_losses(evidence, found):
    assert recorded_losses({"evidence": evidence}) == found


def test_drift():
    """A step in the rounds, with where and how much."""
    times = rounds(0.005)
    times[50:] *= 1.2
    drift = evidence(times, target=1.0)["drift"]
    assert drift["round"] == pytest.approx(50, abs=2)
    assert drift["after_s"] / drift["before_s"] == pytest.approx(1.2, rel=0.02)


@pytest.mark.parametrize("wrong", [-1e-9, float("nan"), float("inf"), float("-inf")])
def test_impossible_time(wrong):
    """A time that no clock can give is refused with its index."""
    with pytest.raises(MeasurementError, match=r"round 3 took "):
        refuse_impossible([1.0, 1.0, 0.0, wrong, 1.0])
