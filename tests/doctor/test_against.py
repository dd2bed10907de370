"""A machine compared with a card: where each number is, how many processes, and the answer."""

import json
import subprocess

import pytest

from breakeven.doctor import against
from breakeven.doctor.against import MAX_S, Place, compare_with
from breakeven.doctor.probes import PROBES
from breakeven.hardware.devices import accelerator_kind
from breakeven.predict.cards import Number
from breakeven.predict.formula import predict_step
from support.machine_cards import CARD, KINDS, machine, name_recipes


@pytest.fixture(autouse=True)
def without_models(monkeypatch):
    """Probes of known work."""
    name_recipes(monkeypatch)


def compared(take, card=CARD, **settings):
    return compare_with(card, take=take, count=KINDS.__getitem__, **settings)


def places(found):
    return {one.probe.name: one.place for one in found.numbers}


def test_a_normal_machine():
    found = compared(machine(CARD))
    assert set(places(found).values()) == {Place.INSIDE}
    assert [one.slowdown for one in found.numbers] == pytest.approx([1.0] * 5)
    assert found.fit
    assert found.processes == 3
    assert found.summary == "As fast as its class: 5 of 5 numbers are within what h100-16core predicts."


@pytest.mark.parametrize(
    ("number", "format_", "name"),
    [
        (Number.LAUNCHES, "", "launches"),
        (Number.ARITHMETIC, "bfloat16", "arithmetic bfloat16"),
        (Number.MEMORY, "", "memory"),
        (Number.COPY, "", "copy"),
    ],
)
def test_a_planted_slow_number(number, format_, name):
    """It alone is slower, by the planted factor, with a remedy."""
    found = compared(machine(CARD.slowed(number, 2.5, format_)))
    assert {key for key, place in places(found).items() if place is not Place.INSIDE} == {name}
    (one,) = found.at(Place.SLOWER)
    assert one.slowdown == pytest.approx(2.5, rel=0.01)
    assert one.remedy == against.REMEDIES[number]
    assert found.fit is False
    assert found.summary == f"Slower than h100-16core: {name} 2.5x slower than this class."


def test_a_faster_machine_is_fit():
    found = compared(machine(CARD.slowed(Number.COPY, 0.3)))
    (one,) = found.at(Place.FASTER)
    assert (one.text, one.remedy) == ("3.3x faster", against.FASTER)
    assert found.fit
    assert found.summary.endswith("are within what h100-16core predicts, or faster: copy 3.3x faster.")


@pytest.mark.parametrize(("factor", "place"), [(0.97, Place.INSIDE), (1.03, Place.SLOWER)])
def test_the_interval_is_that_of_the_predicted_step(factor, place):
    step = predict_step(CARD, KINDS["launches"], 1)
    found = compared(lambda sizes: machine(CARD)(sizes) | {"launches": step.high_s * factor})
    assert places(found)["launches"] is place
    launches = found.numbers[0]
    assert launches.high == pytest.approx(step.high_s / step.seconds, rel=0.01)
    assert launches.low == pytest.approx(step.low_s / step.seconds, rel=0.01)


def test_the_median_of_the_processes_is_judged():
    factors = iter([1.0, 9.0, 1.2])

    def take(sizes):
        factor = next(factors)
        return {name: factor * time for name, time in machine(CARD)(sizes).items()}

    found = compared(take)
    assert [one.slowdown for one in found.numbers] == pytest.approx([1.2] * 5, rel=0.01)
    assert found.numbers[0].slowdowns == pytest.approx((1.0, 9.0, 1.2), rel=0.01)


@pytest.mark.parametrize(("process_s", "processes"), [(5.0, 3), (10.0, 3), (12.0, 2), (16.0, 1), (60.0, 1)])
def test_half_a_minute_in_all(process_s, processes):
    """At least one process, and no further one that would end later."""
    now, started = [0.0], []

    def take(sizes):
        now[0] += process_s
        return machine(CARD)(sizes)

    found = compared(take, clock=lambda: now[0], starting=started.append)
    assert found.processes == processes
    assert found.seconds == processes * process_s <= max(MAX_S, process_s)
    assert started == list(range(processes))


def test_what_fails_is_not_measured():
    """In some processes, or in all."""
    lines = iter([{"copy": "out of memory"}, {"copy": "out of memory", "memory": "a bad moment"}, {}])

    def take(sizes):
        return machine(CARD)(sizes) | next(lines)

    found = compared(take)
    assert [one.place for one in found.numbers] == [Place.INSIDE] * 5
    assert [len(one.slowdowns) for one in found.numbers] == [3, 3, 3, 2, 1]
    found = compared(lambda sizes: machine(CARD)(sizes) | {"copy": "out of memory"})
    assert found.numbers[-1].place is Place.UNKNOWN
    assert found.numbers[-1].why == "out of memory"
    assert found.fit
    found = compared(lambda sizes: dict.fromkeys(sizes, "no driver"))
    assert (found.fit, found.processes) == (None, 1)
    assert found.summary == "Not compared with h100-16core: no probe step could be timed."


def test_a_probe_without_a_size_starts_no_process():
    found = compare_with(CARD, count=lambda _: "not counted", take=None)
    assert (found.processes, found.fit) == (0, None)
    assert {one.why for one in found.numbers} == {"not counted"}


@pytest.mark.parametrize(
    ("returncode", "out", "err", "found"),
    [
        (0, 'torch printed this\n{"copy": 0.5}', "", {"copy": 0.5}),
        (1, "", "Traceback\nRuntimeError: CUDA error\n", {"copy": "RuntimeError: CUDA error"}),
        (-9, "", "", {"copy": "its process ended with -9"}),
    ],
)
def test_the_process(monkeypatch, returncode, out, err, found):
    def run(command, **settings):
        assert json.loads(command[-1]) == {"copy": 1024}
        return subprocess.CompletedProcess(command, returncode, out, err)

    monkeypatch.setattr(subprocess, "run", run)
    assert against.in_process({"copy": 1024}) == found


def test_a_process_that_hangs(monkeypatch):
    def run(command, timeout, **settings):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    assert against.in_process({"copy": 1024}) == {"copy": "its process did not end within 180 s"}


@pytest.mark.slow
@pytest.mark.skipif(accelerator_kind() is not None, reason="this machine has an accelerator")
def test_a_real_process():
    """It starts, and finds no accelerator."""
    assert against.in_process({"copy": 1024}) == {"copy": "no accelerator"}


@pytest.mark.cuda
@pytest.mark.skipif(accelerator_kind() != "cuda", reason="needs a CUDA device; torch sees none")
def test_a_real_accelerator():
    """Each probe is timed, at small sizes."""
    times = against.in_process({probe.name: probe.sizes[0] for probe in PROBES})
    assert [name for name, time in times.items() if not isinstance(time, float)] == []
