"""The phases must add up to the whole step; a disturbed attempt is repeated, never chosen by figure."""

import pytest

from breakeven.doctor.selftests.phase_sum import ATTEMPTS, Attempt, additivity

WHOLE = {"transfer": 1.0, "forward": 20.0, "backward": 30.0, "step": 40.0, "zero_grad": 9.0, "train": 100.0}


def check_of(*attempts):
    left = list(attempts)
    (check,) = additivity(lambda: left.pop(0))
    return check, len(attempts) - len(left)


def test_phases_that_add_up_pass():
    check, tried = check_of(Attempt(WHOLE, lost=0.0))
    assert (check.reached, check.passed, check.note, tried) == (0.0, True, "", 1)


@pytest.mark.parametrize("train", [95.0, 105.0])
def test_phases_that_miss_the_step_by_five_percent_fail(train):
    check, _ = check_of(Attempt({**WHOLE, "train": train}, lost=0.0))
    assert check.reached == pytest.approx(0.05, abs=0.003)
    assert not check.passed


def test_the_least_disturbed_attempt_counts_even_when_its_figure_is_worse():
    worse = Attempt({**WHOLE, "train": 80.0}, lost=0.03)
    check, tried = check_of(Attempt(WHOLE, lost=0.5), worse, Attempt(WHOLE, lost=0.4))
    assert tried == ATTEMPTS
    assert check.reached == worse.residual
    assert "other processes took 3.0% of the core" in check.note


def test_an_attempt_that_was_left_alone_ends_the_repeating():
    check, tried = check_of(Attempt(WHOLE, lost=0.5), Attempt(WHOLE, lost=0.0), Attempt(WHOLE, lost=0.0))
    assert tried == 2
    assert check.note.startswith("attempt 2 of 2")
