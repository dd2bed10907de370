"""Which call in the user's code raised an error."""

import sysconfig
import types

import pytest
import torch
from torch import nn

from breakeven.measure import trainer
from breakeven.measure.outcomes import reason_for
from breakeven.measure.users_code import is_users, where_in
from breakeven.phases import Phase
from support.small_workloads import ready

FILE = "/home/me/bench/bench_mine.py"

SOURCE = """
class Failing(nn.Module):
    def forward(self, inputs):
        return inputs @ inputs

def failing_step(training):
    raise ValueError("no good")
"""


def failing():
    """The definitions of a file of the user's, which is not this one."""
    module = types.ModuleType("bench_mine")
    module.nn = nn
    exec(compile(SOURCE, FILE, "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (FILE, True),
        (torch.__file__, False),
        (pytest.__file__, False),
        (trainer.__file__, False),
        (f"{sysconfig.get_path('stdlib')}/queue.py", False),
        ("<string>", False),
        ("/usr/lib/python3/dist-packages/timm/layers.py", False),
    ],
)
def test_whose_file(file, expected):
    assert is_users(file) is expected


def test_innermost_call():
    assert where_in([(FILE, 1), (FILE, 2), (torch.__file__, 3)]) == f"{FILE}:2: "
    assert where_in([(torch.__file__, 3)]) == ""


def raised(workload):
    started = ready(workload)
    started.prepare(Phase.TRAIN)
    with pytest.raises(Exception, match=r".") as caught:
        started.run(Phase.TRAIN)
    return caught.value


def workload(**fields):
    usual = {"inputs": torch.ones(2, 3), "targets": torch.ones(2, 1), "optimizer": torch.optim.SGD}
    return trainer.Workload(**({"model": nn.Linear(3, 1), "loss": nn.MSELoss()} | usual | fields))


def test_errors_have_the_users_line():
    error = raised(workload(training_step=failing().failing_step))
    assert reason_for(error) == f"{FILE}:7: ValueError: no good"
    model = nn.Sequential(nn.Linear(3, 4), failing().Failing())
    assert reason_for(raised(workload(model=model))).startswith(f"{FILE}:4: RuntimeError: mat1 and mat2")


def test_without_a_call_of_the_user():
    """Neither what called breakeven nor breakeven itself."""
    error = raised(workload(inputs=torch.ones(2, 5)))
    assert reason_for(error).startswith("RuntimeError: mat1 and mat2")


def test_only_what_failed_has_a_line():
    """Running out of memory is not a defect of a line."""
    error = RuntimeError("CUDA error: out of memory")

    def step(_):
        raise error

    raised(workload(training_step=step))
    assert reason_for(error) == "RuntimeError: CUDA error: out of memory"
