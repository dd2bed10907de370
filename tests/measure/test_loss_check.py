"""The loss check: how far losses may differ, and when the CPU's are computed."""

import dataclasses
from itertools import count

import pytest
import torch
from torch import nn

from breakeven.case import CaseKey
from breakeven.hardware.devices import Cpu
from breakeven.measure import loss_check
from breakeven.measure.loss_check import (
    COARSE,
    TF32,
    TOLERANCE,
    Forecast,
    LossCheck,
    reference_loss,
    tolerance_of,
)
from breakeven.measure.workload import mlp
from support.small_workloads import tiny


@pytest.mark.parametrize(
    ("workload", "tolerance"),
    [
        (mlp(2, width=4), TOLERANCE[torch.float32]),
        (dataclasses.replace(mlp(2, width=4), autocast=torch.bfloat16), COARSE),
        (dataclasses.replace(mlp(2, width=4), autocast=torch.float16), TOLERANCE[torch.float16]),
        (dataclasses.replace(mlp(2, width=4), tf32=True), TF32),
        (dataclasses.replace(mlp(2, width=4), tf32=False), TOLERANCE[torch.float32]),
        (dataclasses.replace(mlp(2, width=4), autocast=torch.bfloat16, tf32=True), COARSE),
        (dataclasses.replace(mlp(2, width=4), model=nn.Linear(4, 10).bfloat16()), COARSE),
        (dataclasses.replace(mlp(2, width=4), model=nn.Linear(4, 10).double()), TOLERANCE[torch.float64]),
    ],
)
def test_tolerance(workload, tolerance):
    """The least precise dtype decides."""
    assert tolerance_of(workload) == tolerance
    assert COARSE > TF32 > TOLERANCE[torch.float32]


@pytest.fixture
def references(monkeypatch):
    """Collect the workloads that are trained on the CPU."""
    trained = []
    monkeypatch.setattr(
        loss_check, "reference_loss", lambda workload: trained.append(workload) or reference_loss(workload)
    )
    return trained


def facts_of(check, workload, batch_size, device="cpu", limit_s=9.0):
    """The facts of a case whose losses are the CPU's."""
    losses = reference_loss(workload).losses
    case = CaseKey.of("w", batch_size, "train", device)
    return check.facts(case, workload, lambda: workload, losses, limit_s)


def test_reference_is_computed_once_per_cell(references):
    check, workload = LossCheck(lambda: 0.0), tiny(1)
    for device in ("cpu", "cpu@1"):
        assert facts_of(check, workload, 1, device)["loss_compared"] is True
    assert len(references) == 1
    assert facts_of(check, tiny(2), 2)["loss_compared"] is True
    assert len(references) == 2


def test_reference_that_takes_too_long(references):
    """With this clock each takes a second, which two batches predict for the third."""
    check = LossCheck(count(0.0).__next__)
    for batch_size in (1, 2):
        facts_of(check, tiny(batch_size), batch_size)
    assert facts_of(check, tiny(4), 4, limit_s=1.0)["loss_compared"] is True
    found = facts_of(check, tiny(8), 8, limit_s=0.9)
    assert found == {"loss_compared": "not compared: one step on the CPU is predicted to take 1.0 s"}
    assert len(references) == 3


def test_phase_without_a_loss_needs_no_reference(references):
    case = CaseKey.of("w", 1, "transfer", "cpu")
    assert LossCheck(lambda: 0.0).facts(case, tiny(1), lambda: tiny(1), (None, None), 9.0) == {}
    assert references == []


def test_slow_step_is_not_compared(references):
    """The fastest step of the cell decides, of which a reference takes two; a later case may have time."""
    check, workload = LossCheck(lambda: 0.0), tiny(1)
    cell = CaseKey.of("w", 1, "train", "cpu").cell
    for seconds in (3.0, 2.0, 4.0):
        check.observe_step(cell, seconds)
    assert facts_of(check, workload, 1, limit_s=3.9) == {
        "loss_compared": "not compared: one step on the CPU takes 2.0 s"
    }
    assert references == []
    assert facts_of(check, workload, 1, limit_s=4.0)["loss_compared"] is True
    assert len(references) == 1


def test_found_random_once(monkeypatch):
    """A model that draws from no known generator is trained again once for each cell."""
    numbers, trained = count(1.0), []
    first_losses = loss_check.first_losses
    monkeypatch.setattr(loss_check, "first_losses", lambda *args: trained.append(1) or first_losses(*args))
    workload = dataclasses.replace(tiny(1), loss=lambda outputs, _: outputs.sum() + next(numbers))
    case, check = CaseKey.of("w", 1, "train", "gpu"), LossCheck(lambda: 0.0)
    for _ in range(2):
        assert check.facts(case, workload, lambda: workload, (0.0, 0.0), 9.0) == {"random": True}
    assert len(trained) == 2


def test_reference_is_seeded():
    """Also where the process has drawn numbers before."""
    workload = dataclasses.replace(mlp(2, width=4), model=nn.Sequential(nn.Linear(4, 10), nn.Dropout(0.5)))
    found = [(torch.rand(1), reference_loss(workload))[1] for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].is_random


def test_reference_does_not_compile(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_: pytest.fail("compiled"))
    assert len(reference_loss(dataclasses.replace(mlp(2, width=4), compile=True)).losses) == 2


def test_integers_do_not_decide_the_tolerance():
    model = nn.Linear(4, 10)
    model.index = nn.Parameter(torch.arange(3), requires_grad=False)
    workload = dataclasses.replace(mlp(2, width=4), model=model)
    assert tolerance_of(workload) == TOLERANCE[torch.float32]


@pytest.mark.parametrize(("draws", "count_"), [(False, 1), (True, 2)])
def test_only_a_random_workload_is_trained_twice(draws, count_, monkeypatch):
    trained = []
    first_losses = loss_check.first_losses
    monkeypatch.setattr(loss_check, "first_losses", lambda *args: trained.append(1) or first_losses(*args))
    layers = [nn.Linear(4, 10), *([nn.Dropout(0.5)] if draws else [])]
    torch.rand(1)
    found = reference_loss(dataclasses.replace(mlp(2, width=4), model=nn.Sequential(*layers)))
    assert found.is_random is draws
    assert len(trained) == count_


def test_threads_of_the_reference():
    """Those of the CPU, whichever device is measured."""
    seen, workload = set(), mlp(2, width=4)
    workload.model.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    cpu = Cpu()
    with cpu.active():
        expected = torch.get_num_threads()
    with Cpu(expected + 1).active():
        reference_loss(workload)
    assert seen == {expected}


@pytest.mark.parametrize(
    ("seen", "predicted"),
    [
        ({1: 9.0, 10: 1.0, 20: 2.0, 500: 0.0}, 10.0),  # the line through the two largest smaller batches
        ({10: 2.0, 20: 1.0}, 1.0),  # it never falls
        ({10: 2.0}, None),
    ],
)
def test_forecast(seen, predicted):
    forecast = Forecast()
    for batch_size, seconds in seen.items():
        forecast.observe("cell", batch_size, seconds)
    assert forecast.predict("cell", 100) == (predicted and pytest.approx(predicted))
    assert forecast.predict("other", 100) is None
