"""The loss check: how far losses may differ, and when the CPU's are computed."""

import dataclasses
from itertools import count

import pytest
import torch
from torch import nn

from breakeven.case import CaseKey
from breakeven.measure import loss_check
from breakeven.measure.loss_check import COARSE, TF32, TOLERANCE, LossCheck, reference_loss, tolerance_of
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
    assert found == {"loss_compared": "not compared: one step on the CPU is predicted to take 1 s"}
    assert len(references) == 3


def test_phase_without_a_loss_needs_no_reference(references):
    case = CaseKey.of("w", 1, "transfer", "cpu")
    assert LossCheck(lambda: 0.0).facts(case, tiny(1), lambda: tiny(1), (None, None), 9.0) == {}
    assert references == []
