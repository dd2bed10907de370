"""Probe steps: what each is sensitive to, and planted slow numbers on a simulated machine."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from breakeven.doctor import probes
from breakeven.doctor.probe_process import time_probes, time_step
from breakeven.doctor.probes import PROBES, SizedProbe, count_work, probes_for, sized
from breakeven.hardware.devices import Cpu
from breakeven.measure.simulated import Costs, SimulatedClock, SimulatedDevice, simulated_workload
from breakeven.predict.cards import Number
from breakeven.predict.work import Work
from support.machine_cards import CARD, SimulatedMachine

SMALL = replace(CARD, launch_s=1e-2, flops_per_s={"float32": 1e5}, bytes_per_s=1e6)
"""So slow that small probes suit it."""


def probe(name):
    return next(one for one in PROBES if one.name == name)


def test_names_and_formats():
    """Each number once, and arithmetic in each format of the card."""
    assert [one.name for one in probes_for(CARD)] == [
        "launches", "arithmetic float32", "arithmetic bfloat16", "memory", "copy",
    ]  # fmt: skip


@pytest.mark.parametrize("one", PROBES, ids=lambda one: one.name)
def test_formats_as_counted(one):
    """A probe's products are counted in its format alone, and the others have none."""
    work = count_work(one.recipe(64))
    assert work.operators > 5
    if one.number is Number.ARITHMETIC:
        factors = 3 * probes.USES - 1  # the product, and the gradients of both factors but that of the rows
        products = factors * 2 * 64**3
        assert dict(work.flops) == {one.format: products}
    if one.number is Number.MEMORY:
        assert not work.flops
    assert work.copied_bytes == {"launches": 16 * 64 * 4 + 16 * 8, "copy": 64 * probes.COLUMNS * 4}.get(
        one.name, 8 if one.format == "float64" else 4
    )


def test_the_smallest_size_that_the_number_decides():
    """Of 1,000 operators, which may take 162 ms, and 4 size**3 operations, which take size**3 / 1e13."""

    def count(workload):
        side = len(workload.model.weight)
        return Work(1000, 1000, {"float32": side**3 * 4}, 0.0, 0.0)

    one = replace(probe("arithmetic float32"), sizes=(64, 11000, 16384))
    small = replace(one, recipe=lambda side: with_weight(side))
    chosen = sized(small, CARD, count)
    assert chosen.size == 16384
    assert chosen.part_s == pytest.approx(chosen.step.seconds, rel=0.02)
    assert "up to size 11,000" in sized(replace(small, sizes=(64, 11000)), CARD, count)
    assert sized(small, CARD, lambda _: "a reason") == "a reason"


def with_weight(side):
    workload = probe("launches").recipe(2)
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.empty(side, 1))
    return replace(workload, model=model)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(
    ("name", "sizes"), [("launches", (8,)), ("arithmetic float32", (4, 32)), ("memory", (1, 64))]
)
def test_planted_numbers(name, sizes, factor):
    """A machine that is slower in one number: its probe finds by how much, and no other one does."""
    card = SMALL if name == "memory" else replace(SMALL, bytes_per_s=1e12)
    card = replace(card, flops_per_s={"float32": 1e12}) if name == "launches" else card
    one = replace(probe(name), sizes=sizes)
    chosen = sized(one, card, count_work)
    assert isinstance(chosen, SizedProbe)
    assert chosen.size == sizes[-1]
    workload = one.recipe(chosen.size)
    normal_s, found_s = (
        time_step(workload, machine, machine.clock)
        for machine in map(SimulatedMachine, (card, card.slowed(one.number, factor, one.format)))
    )
    assert chosen.slowdown(normal_s) == pytest.approx(1.0, rel=0.3)  # the formula has constants of its own
    assert chosen.slowdown(found_s) / chosen.slowdown(normal_s) == pytest.approx(factor, rel=0.05)


def test_a_step_that_the_card_predicts_far_too_long():
    chosen = sized(replace(probe("memory"), sizes=(64,)), SMALL, count_work)
    assert chosen.slowdown(0.0) == probes.MIN_SLOWDOWN


def test_a_probe_that_fails_leaves_the_others():
    """On a device without TF32, and with a size that no memory holds."""
    sizes = {"launches": 8, "arithmetic tf32": 8, "memory": 2**52}
    machine = SimulatedMachine(SMALL)
    times = time_probes(sizes, machine, machine.clock)
    assert times["launches"] == pytest.approx(0.33, rel=0.5)
    assert "has no TF32" in times["arithmetic tf32"]
    assert isinstance(times["memory"], str)


@pytest.mark.parametrize("one", PROBES, ids=lambda one: one.name)
def test_every_probe_trains(one):
    """Its step runs, and its values stay finite."""
    workload = one.recipe(32)
    if workload.tf32:
        workload = replace(workload, tf32=None)
    seconds = time_step(workload, Cpu(1), clock=iter(range(10**6)).__next__)
    assert seconds > 0
    for parameter in workload.model.parameters():
        assert torch.isfinite(parameter).all()


@pytest.mark.slow
@pytest.mark.parametrize("one", probes_for(CARD), ids=lambda one: one.name)
def test_sizes_for_an_h100(one):
    """The card of such a machine: each step is short, and fits a memory of 8 GB."""
    chosen = sized(one, CARD, count_work)
    assert chosen.step.seconds < 0.5
    assert chosen.part_s > 0.75 * chosen.step.seconds
    sizes = {"launches": 64, "arithmetic float32": 4096, "arithmetic bfloat16": 8192, "memory": 131072}
    assert chosen.size == (sizes | {"copy": 65536})[one.name]


def test_rounds_of_many_steps():
    """A step of 3.1 ms, and a launch that only the first of the 7 steps in 20 ms waits for."""
    unit = 1e-4
    device = SimulatedDevice(SimulatedClock(), 0.25 * unit)
    costs = Costs(**{name: value * unit for name, value in vars(Costs()).items()})
    workload = simulated_workload(device, costs)
    assert time_step(workload, device, device.clock) == pytest.approx((31 + 0.25 / 7) * unit, rel=1e-9)
    assert device.clock.now == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_format_is_that_of_the_probe(wanted):
    """Every step runs with the TF32 switch as its workload wants it."""
    switches, seen = [None], []
    machine = SimulatedMachine(SMALL)

    @contextmanager
    def tf32_set(value):
        switches.append(value)
        yield
        switches.pop()

    def charge():
        seen.append(switches[-1])

    machine.tf32_set, machine.charge, machine.why_no_tf32 = tf32_set, charge, lambda: None
    time_step(replace(probe("arithmetic tf32").recipe(4), tf32=wanted), machine, iter(range(10**6)).__next__)
    assert set(seen[5:]) == {wanted}
