"""The canary: its fixed work, its result, and its results in a runner."""

from breakeven.case import Budget
from breakeven.hardware.devices import Cpu
from breakeven.measure import canary
from breakeven.measure.canary import run_canary
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice


def test_work_is_fixed():
    """Old runs are compared by it: a change here would break every comparison with them."""
    assert (canary.SIDE, canary.PRODUCTS, canary.ROUNDS, canary.WARMUP_ROUNDS) == (128, 4, 21, 10)


def test_result():
    result = run_canary(Cpu(1))
    assert 0 < result["low_s"] <= result["median_s"] <= result["high_s"]
    assert result["n"] == 21


def test_slow_canary_ends_early():
    """The number of rounds is recorded."""
    clock = SimulatedClock()

    class Slow(SimulatedDevice):
        def synchronize(self):
            clock.advance(1.0)

    assert run_canary(Slow(clock), clock)["n"] == canary.MIN_ROUNDS


def test_every_round_synchronizes():
    device = SimulatedDevice(SimulatedClock())
    run_canary(device, device.clock)
    assert device.synchronizations >= 2 * (canary.ROUNDS + canary.WARMUP_ROUNDS)


def test_results_by_device_and_moment():
    runner = Runner(Budget())
    for when in ("start", "end"):
        runner.run_canary(when, [Cpu(1)])
    assert list(runner.canary) == ["cpu@1"]
    assert list(runner.canary["cpu@1"]) == ["start", "end"]


def test_failing_canary_records_the_error():
    class Broken(SimulatedDevice):
        def synchronize(self):
            raise RuntimeError("CUDA error: no kernel image\nsecond line")

    runner = Runner(Budget())
    runner.run_canary("start", [Broken(SimulatedClock())])
    assert runner.canary == {
        "simulated": {"start": {"unreadable": "RuntimeError: CUDA error: no kernel image"}}
    }
