"""The canary sings the same song for ever, on every device, at the start, the middle and the end."""

from breakeven.case import Budget
from breakeven.hardware.devices import Cpu
from breakeven.measure import canary
from breakeven.measure.canary import run_canary
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedClock, SimulatedDevice


def test_the_song_never_changes():
    """Runs of years ago are held against it: whoever changes this breaks every comparison with them."""
    assert (canary.SIDE, canary.PRODUCTS, canary.ROUNDS, canary.WARMUP_ROUNDS) == (128, 4, 21, 10)


def test_a_song_has_an_interval_and_an_n():
    song = run_canary(Cpu(1))
    assert 0 < song["low_s"] <= song["median_s"] <= song["high_s"]
    assert song["n"] == 21


def test_an_endless_song_is_cut_short_and_says_how_many_rounds_it_had():
    clock = SimulatedClock()

    class Slow(SimulatedDevice):
        def synchronize(self):
            clock.advance(1.0)

    assert run_canary(Slow(clock), clock)["n"] == canary.MIN_ROUNDS


def test_every_note_waits_for_the_device():
    device = SimulatedDevice(SimulatedClock())
    run_canary(device, device.clock)
    assert device.synchronizations >= 2 * (canary.ROUNDS + canary.WARMUP_ROUNDS)


def test_a_session_keeps_what_it_heard_by_device_and_moment():
    runner = Runner(Budget())
    for when in ("start", "end"):
        runner.run_canary(when, [Cpu(1)])
    assert list(runner.canary) == ["cpu@1"]
    assert list(runner.canary["cpu@1"]) == ["start", "end"]


def test_a_device_that_cannot_sing_says_why():
    class Broken(SimulatedDevice):
        def synchronize(self):
            raise RuntimeError("CUDA error: no kernel image\nsecond line")

    runner = Runner(Budget())
    runner.run_canary("start", [Broken(SimulatedClock())])
    assert runner.canary == {
        "simulated": {"start": {"unreadable": "RuntimeError: CUDA error: no kernel image"}}
    }
