"""How long a step takes: of the model itself, else of the others of its workload."""

import time

from breakeven.case import CaseKey
from breakeven.plugin.step_times import StepTimes


def case(batch_size, width):
    return CaseKey.of("mlp", batch_size, "train", "cpu", {"width": width})


def times(*known):
    """The times with these ``(batch size, width, seconds)``."""
    found = StepTimes()
    for batch_size, width, seconds in known:
        found.add(case(batch_size, width), "cpu", "training", seconds)
    return found


def test_own_model_comes_first():
    found = times((8, 1, 1.0), (8, 2, 3.0))
    assert found.of(case(8, 1), "cpu", "training") == 1.0
    assert found.of(case(8, 3), "cpu", "training") == 2.0


def test_larger_batch():
    """It is taken from models that were timed there, else from the model's own smaller batches."""
    found = times((8, 1, 1.0), (64, 2, 3.0))
    assert found.of(case(64, 1), "cpu", "training") == 3.0
    assert found.of(case(128, 1), "cpu", "training") == 16.0
    assert found.of(case(128, 3), "cpu", "training") == (16.0 + 6.0) / 2


def test_another_time_changes_the_mean():
    found = times((8, 1, 1.0))
    assert found.of(case(8, 9), "cpu", "training") == 1.0
    found.add(case(8, 2), "cpu", "training", 3.0)
    assert found.of(case(8, 9), "cpu", "training") == 2.0


def test_nothing_known():
    found = times((8, 1, 1.0))
    assert found.of(case(8, 1), "cuda", "training") is None
    assert found.of(case(8, 1), "cpu", "load") is None


def test_many_models():
    """The models that were not timed share one mean over those that were."""
    found = times(*((8, width, 1.0) for width in range(10_000)))
    began = time.process_time()
    assert {found.of(case(8, width), "cpu", "training") for width in range(10_000, 20_000)} == {1.0}
    assert time.process_time() - began < 10
