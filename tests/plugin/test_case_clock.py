"""The time of a loop per step in pytest-benchmark's file, and the user's own settings beside it."""

import pytest

from breakeven.plugin.case_clock import CaseClock

TIMERS = """
import time

readings = 0

def ticking():
    global readings
    readings += 1
    return float(readings)

def other():
    return time.perf_counter() * 1000
"""
MARKED = """
import timers

@pytest.mark.benchmark(min_rounds=9, max_time=0.5, group="mine", timer=timers.ticking)
@pytest.mark.sweep(batch_size=[1])
def bench_marked(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size))
"""


@pytest.fixture
def timed(bench, monkeypatch):
    """A project with timers of its own."""
    bench.pytester.makepyfile(timers=TIMERS)
    monkeypatch.syspath_prepend(bench.pytester.path)
    return bench


@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_divides(steps):
    clock = CaseClock(iter([6.0, 12.0]).__next__)
    clock.steps = steps
    assert [clock(), clock()] == [6.0 / steps, 12.0 / steps]


def test_replays():
    """Rounds that were timed before, exactly and whole, whatever the clock shows."""
    rounds = [0.1, 1e-9, 3.3e5]
    clock = CaseClock(iter(()).__next__)
    clock.steps = 7
    clock.replay(rounds)
    assert [-clock() + clock() for _ in rounds] == rounds


def test_steps_are_recorded(timed):
    """They are those of `train`, also where they are 1; its data is per step."""
    timed.write().run("--breakeven-phases=step,train,train_sync", "--benchmark-timer=timers.ticking")
    for item in timed.file()["benchmarks"]:
        steps = item["extra_info"].get("steps")
        assert (steps is not None) is (item["extra_info"]["phase"] == "train")
        assert item["stats"]["data"] == pytest.approx([1 / (steps or 1)] * item["stats"]["rounds"], rel=1e-6)
        assert item["options"]["timer"] == "ticking"


def test_own_mark(timed):
    """Its settings hold for every phase, and its timer is divided."""
    timed.write(MARKED).run("--breakeven-phases=step,train", "--benchmark-timer=timers.other")
    step, train = timed.file()["benchmarks"]
    assert {item["group"] for item in (step, train)} == {"mine"}
    assert step["stats"]["rounds"] >= 9
    assert {item["options"]["min_rounds"] for item in (step, train)} == {9}
    assert set(step["stats"]["data"]) == {1.0}
    assert train["stats"]["data"] == pytest.approx(
        [1 / train["extra_info"]["steps"]] * train["stats"]["rounds"]
    )


def test_wrong_mark(timed):
    """pytest-benchmark's refusal stays."""
    source = MARKED.replace("min_rounds=9", "wrong=9")
    result = timed.write(source).run("--breakeven-phases=train")
    result.assert_outcomes(errors=1)
    assert "benchmark mark can't have 'wrong' keyword argument" in result.stdout.str()


def test_rounds_before_a_timeout(timed, monkeypatch):
    """Two or more are a timing."""
    from breakeven.measure import skips

    asked = []

    def left_s(deadline):
        asked.append(deadline)
        return 600.0 if len(asked) < 60 else -1.0

    monkeypatch.setattr(skips.Deadline, "left_s", property(left_s))
    timed.write().run("-k", "16", "--benchmark-min-rounds=300")
    [item] = timed.file()["benchmarks"]
    assert 2 <= item["stats"]["rounds"] < 60
    assert timed.outcomes() == {}
