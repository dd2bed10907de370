"""The look before the first case, with canaries of known times."""

import gc

import pytest

from breakeven.fitness import Load, Look
from breakeven.hardware.devices import Cpu
from breakeven.measure import look as look_module
from breakeven.measure.look import ALL_THREADS_S, MIN_ROUNDS, ONE_THREAD_S, canary_times, take_look

CPU = Cpu(4)
LOAD = Load(4, 0.1, 0.0, 0.1)


@pytest.fixture(autouse=True)
def four_threads(monkeypatch):
    monkeypatch.setattr(look_module, "default_threads", lambda: 4)
    monkeypatch.setattr(look_module, "uses_openmp", lambda: True)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")


def look(every, one=(1.0, 1.0, 9.0), devices=(CPU,)):
    """The look at canaries that take these seconds on all threads and on one."""
    asked = []

    def times(device, seconds):
        asked.append((device.threads, seconds))
        return list(one if device.threads == 1 else every)

    found = take_look(devices, lambda wait: LOAD if callable(wait) else None, times)
    return found, asked


def test_spinning():
    """Some rounds are fast and some stall: what counts is how long they take on average."""
    found, asked = look([0.5, 300.0, 0.5, 310.0, 0.5])
    assert asked == [(1, ONE_THREAD_S), (4, ALL_THREADS_S)]
    assert found == Look(LOAD, 4, 1.0, pytest.approx(301.5 / 4), spins=True)


def test_one_stall():
    """It says nothing, and the slowest round may have started the threads."""
    found, _ = look([0.5, 0.5, 300.0])
    assert (found.slowdown, found.found) == (0.5, [])


@pytest.mark.parametrize(
    ("devices", "threads"), [([Cpu(2), Cpu(1)], 2), ([Cpu(64)], 4), ([Cpu(1)], 1), ([], 1)]
)
def test_threads(devices, threads):
    """As many as are measured, at most torch's default; one cannot hinder itself."""
    found, asked = look([1.0, 1.0], devices=devices)
    assert found.threads == threads
    assert asked == ([] if threads == 1 else [(1, ONE_THREAD_S), (threads, ALL_THREADS_S)])
    assert (found.slowdown is None) is (threads == 1)


@pytest.mark.parametrize(("policy", "openmp", "spins"), [("passive", True, False), ("active", False, False)])
def test_threads_that_sleep(monkeypatch, policy, openmp, spins):
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    monkeypatch.setattr(look_module, "uses_openmp", lambda: openmp)
    assert look([1.0, 1.0])[0].spins is spins


def advancing(step_s):
    now = [0.0]

    def clock():
        now[0] += step_s
        return now[0]

    return clock


@pytest.mark.parametrize(("step_s", "rounds"), [(1e-3, 250), (0.1, 3), (5.0, MIN_ROUNDS)])
def test_rounds(step_s, rounds):
    """They end after their time, or after a few if those take long."""
    assert canary_times(Cpu(1), 0.25, advancing(step_s)) == pytest.approx([step_s] * rounds, rel=1e-6)


def test_clock_that_does_not_advance(monkeypatch):
    monkeypatch.setattr(look_module, "MAX_ROUNDS", 7)
    assert len(canary_times(Cpu(1), 0.25, lambda: 0.0)) == 7


def test_no_garbage_is_collected():
    """While a round runs."""
    enabled, tick = [], advancing(1.0)
    canary_times(Cpu(1), 0.25, lambda: enabled.append(gc.isenabled()) or tick())
    assert set(enabled) == {False}
    assert gc.isenabled()


def test_load_is_read_while_threads_spin(monkeypatch):
    """As many as are looked at: the hypervisor takes nothing from a machine that sleeps."""
    monkeypatch.setattr(look_module, "spinning", lambda threads: ("spinning", threads))
    waits = []
    take_look([Cpu(3)], lambda wait: waits.append(wait) or LOAD, lambda *_: [1.0, 1.0])
    assert waits == [("spinning", 3)]
