"""Which settings of torch a case runs with: those of its recipe, and then the options of its workload."""

import dataclasses

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey, Cell
from breakeven.hardware import float32
from breakeven.hardware.devices import Cpu
from breakeven.measure.runner import Runner
from breakeven.measure.workload import mlp

CASE = CaseKey(Cell("mine", (), 2), "train", "cpu@1")


class WithTf32(Cpu):
    """A CPU on which the option `tf32` sets torch's switches, as on an NVIDIA GPU."""

    def __init__(self):
        super().__init__(1)

    def why_no_tf32(self):
        return None

    def tf32_set(self, wanted):
        return float32.tf32_set(wanted)


def settings_in_rounds(recipe):
    """Return whether products are rounded to TF32 in the rounds of a case, and its recorded facts."""
    found = []

    def time_rounds(round_, plan):
        found.append(torch.backends.cuda.matmul.allow_tf32)

    facts = Runner(Budget(max_time_s=0.01)).measure(CASE, WithTf32(), recipe, time_rounds)
    return found[0], facts


@pytest.mark.parametrize(("recipe_sets", "option"), [("high", False), ("highest", True)])
def test_options_of_the_workload_override_what_its_recipe_sets(recipe_sets, option):
    def recipe():
        torch.set_float32_matmul_precision(recipe_sets)
        return dataclasses.replace(mlp(2, width=4), tf32=option)

    before = float32.Switches()
    is_tf32, facts = settings_in_rounds(recipe)
    assert is_tf32 is option
    assert float32.Switches() == before
    assert facts.get("settings", {}).keys() <= {"float32"}


class SetsWhenMoved(nn.Linear):
    def to(self, *args, **kwargs):
        torch.autograd.set_detect_anomaly(True, check_nan=False)
        return super().to(*args, **kwargs)


def test_what_a_model_sets_when_it_is_moved_is_restored():
    def recipe():
        return dataclasses.replace(mlp(2, width=4), model=SetsWhenMoved(4, 10))

    _, facts = settings_in_rounds(recipe)
    assert not torch.is_anomaly_enabled()
    assert facts["settings"] == {"anomaly_mode": "(True, False)"}
