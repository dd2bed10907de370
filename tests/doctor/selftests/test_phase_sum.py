"""The phases add up to the whole step; a disturbed attempt is repeated, regardless of its result."""

import pytest

from breakeven.doctor.selftests.phase_sum import MAX_ATTEMPTS, Attempt, additivity

WHOLE = {"transfer": 1.0, "forward": 20.0, "backward": 30.0, "step": 40.0, "zero_grad": 9.0, "train": 100.0}


def check_of(*attempts):
    left = list(attempts)
    (check,) = additivity(lambda: left.pop(0))
    return check, len(attempts) - len(left)


def test_phases_add_up():
    check, tried = check_of(Attempt(WHOLE, lost=0.0))
    assert (check.reached, check.passed, check.note, tried) == (0.0, True, "", 1)


@pytest.mark.parametrize("train", [95.0, 105.0])
def test_residual_of_5_percent_fails(train):
    check, _ = check_of(Attempt({**WHOLE, "train": train}, lost=0.0))
    assert check.reached == pytest.approx(0.05, abs=0.003)
    assert not check.passed


def test_least_disturbed_attempt_counts():
    """Even if its result is worse."""
    worse = Attempt({**WHOLE, "train": 80.0}, lost=0.03)
    check, tried = check_of(Attempt(WHOLE, lost=0.5), worse, Attempt(WHOLE, lost=0.4))
    assert tried == MAX_ATTEMPTS
    assert check.reached == worse.residual
    assert "other processes took 3.0% of the core" in check.note


def test_undisturbed_attempt_is_the_last():
    check, tried = check_of(Attempt(WHOLE, lost=0.5), Attempt(WHOLE, lost=0.0), Attempt(WHOLE, lost=0.0))
    assert tried == 2
    assert check.note.startswith("attempt 2 of 2")
