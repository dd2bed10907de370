"""One rank on a real GPU over NCCL: what joins, trains and is timed as in ranks of several GPUs."""

from functools import partial
from statistics import median

import pytest
import torch
from torch import nn

from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import parse_device
from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.runner import Runner
from breakeven.measure.timing import time_round
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.known_work import NEEDS_CUDA
from support.ranks import joined_alone
from support.small_workloads import PHASES

pytestmark = list(NEEDS_CUDA)

BOTH = pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp"])


@pytest.fixture
def together(monkeypatch):
    """The only rank of 1xcuda."""
    joined = joined_alone(monkeypatch, "1xcuda")
    yield joined
    joined.leave()


def normed(batch_size=64, width=256, **changes):
    """Blocks with batch normalization."""
    return Workload(
        nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10)),
        nn.CrossEntropyLoss(),
        partial(torch.optim.Adam, lr=1e-4),
        torch.randn(batch_size, width),
        torch.randint(10, (batch_size,)),
        **changes,
    )


def measured(runner, device, recipe, phase=Phase.TRAIN):
    """The facts of a case and its rounds."""
    times = []

    def rounds(round_, plan):
        times.extend(time_round(round_).latency_s for _ in range(min(plan.rounds, 40)))

    case = CaseKey.of("w", 64, phase, device.name)
    return runner.measure(case, device, recipe, rounds), times


def test_joining(together):
    device = together.device
    assert (device.backend, device.processes, device.torch_device) == ("nccl", 1, torch.device("cuda", 0))
    assert 0 < together.init_s < 60
    facts = device.describe()
    assert facts["device_name"] == torch.cuda.get_device_name(0)
    assert (facts["ranks"], facts["init_s"]) == (1, together.init_s)


@BOTH
def test_every_phase(together, fsdp):
    runner = Runner(Budget(max_time_s=0.1), together=together)
    for phase in PHASES:
        facts, times = measured(runner, together.device, lambda: normed(fsdp=fsdp), phase)
        assert min(times) > 0
        assert facts.get("loss_compared") is (True if phase.takes_steps else None), phase
        assert facts["peak_memory_bytes"] > 0
        if phase is Phase.TRAIN:
            assert facts["flops"] > 0
            assert set(facts["parts_s"]) == set(phase.parts)
            assert facts["enqueue_s"] > 0
    runner.close()


@BOTH
def test_what_one_rank_costs(together, fsdp):
    """Its training step takes longer than without a wrapper, or as long, but not many times as long."""
    alone = Runner(Budget(max_time_s=0.3))
    _, plain = measured(alone, parse_device("cuda"), normed)
    alone.close()
    runner = Runner(Budget(max_time_s=0.3), together=together)
    _, wrapped = measured(runner, together.device, lambda: normed(fsdp=fsdp))
    runner.close()
    assert 0.7 < median(wrapped) / median(plain) < 20


@pytest.mark.parametrize("changes", [{"pin_memory": True}, {"autocast": torch.bfloat16}, {"tf32": True}])
def test_options(together, changes):
    runner = Runner(Budget(max_time_s=0.1), together=together)
    facts, _ = measured(runner, together.device, lambda: normed(**changes))
    assert facts["loss_compared"] is True
    runner.close()


def test_graphs_are_skipped(together):
    runner = Runner(Budget(max_time_s=0.1), together=together)
    with pytest.raises(UnsupportedError, match=r"^cuda_graph=True: 1xcuda cannot capture CUDA graphs$"):
        measured(runner, together.device, lambda: normed(cuda_graph=True))
    runner.close()


def test_more_ranks_than_gpus():
    from breakeven.errors import UsageError

    count = torch.cuda.device_count()
    with pytest.raises(
        UsageError, match=f"this process sees {count} CUDA device.*; {count}xcuda is the largest"
    ):
        parse_device(f"{count + 1}xcuda")
