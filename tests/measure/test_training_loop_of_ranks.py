"""Accumulated, clipped and scaled gradients on several ranks, as a loop written by hand trains."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.parallel import ParallelTrainer
from breakeven.measure.shares import share_of
from breakeven.measure.state import local_of
from breakeven.measure.workload import Workload
from breakeven.phases import Phase
from support.ranks import joined_alone, run_ranks
from support.small_workloads import ready as ready_alone

BOTH = pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp"])
SCALED = {"autocast": torch.float16, "grad_scaler": True}


@pytest.fixture
def together(monkeypatch):
    """The only rank of 1xcpu."""
    joined = joined_alone(monkeypatch, "1xcpu")
    with joined.device.active():
        yield joined
    joined.leave()


def recipe(**fields):
    torch.manual_seed(0)
    return Workload(
        nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
        nn.CrossEntropyLoss(),
        partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        batches=[(torch.randn(4, 6), torch.randint(3, (4,))) for _ in range(3)],
        **fields,
    )


def ready(together, workload):
    trainer = ParallelTrainer(workload, together.device)
    trainer.move_model()
    trainer.start()
    return trainer


@BOTH
@pytest.mark.parametrize(
    "fields",
    [
        {"accumulate": 2},
        {"clip_grad_norm": 0.05},
        SCALED,
        {"accumulate": 2, "clip_grad_norm": 0.05, "scheduler": partial(StepLR, step_size=2), **SCALED},
    ],
    ids=["accumulated", "clipped", "scaled", "all"],
)
def test_it_trains_as_a_trainer_alone(together, fsdp, fields):
    workload = recipe(fsdp=fsdp, **fields)
    trainer = ready(together, workload)
    trainer.run(Phase.TRAIN, 5)
    alone = ready_alone(dataclasses.replace(workload, fsdp=False))
    alone.run(Phase.TRAIN, 5)
    for ours, theirs in zip(trainer.trained(), alone.trained(), strict=True):
        assert torch.allclose(local_of(ours).detach(), theirs.detach(), rtol=1e-4, atol=1e-6)


@BOTH
def test_gradients_are_exchanged_in_the_last_pass_alone(together, fsdp):
    """As within no_sync()."""
    trainer = ready(together, recipe(fsdp=fsdp, accumulate=3))
    for _ in range(2):
        exchanged = []
        for part in trainer.parts.parts:
            trainer.do(part)
            if part == "backward":
                divided = fsdp and trainer.trained()[0].grad is not None
                exchanged.append(divided or (not fsdp and trainer.model.require_backward_grad_sync))
        assert exchanged == [False, False, True]


@pytest.mark.parametrize("field", ["clip_grad_norm", "grad_scaler"])
def test_shards_cannot_step_alone(together, field):
    """A norm is that of all shards, and so is an overflow."""
    fields = {"clip_grad_norm": 1.0} if field == "clip_grad_norm" else SCALED
    for fsdp in (False, True):
        trainer = ready(together, recipe(fsdp=fsdp, **fields))
        if fsdp:
            with pytest.raises(
                UnsupportedError, match=f"with fsdp, {field} needs the gradients of all ranks"
            ):
                trainer.prepare(Phase.TRAIN_NO_SYNC)
        else:
            trainer.prepare(Phase.TRAIN_NO_SYNC)
            trainer.run(Phase.TRAIN_NO_SYNC)


def test_every_batch_is_divided():
    workload = recipe()
    shares = [share_of(workload, 4, rank, 2) for rank in range(2)]
    for index, (inputs, targets) in enumerate(workload.host_batches):
        assert torch.equal(torch.cat([share.batches[index][0] for share in shares]), inputs)
        assert torch.equal(torch.cat([share.batches[index][1] for share in shares]), targets)


RANKS = """
from torch.optim.lr_scheduler import StepLR
found = []
for fsdp in (False, True):
    for scaled in (False, True):
        def recipe():
            torch.manual_seed(0)
            return Workload(
                nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
                nn.CrossEntropyLoss(),
                partial(torch.optim.SGD, lr=0.1, momentum=0.9),
                batches=[(torch.randn(8, 6), torch.randint(3, (8,))) for _ in range(3)],
                accumulate=2,
                clip_grad_norm=0.05,
                scheduler=partial(StepLR, step_size=2),
                grad_scaler=partial(torch.amp.GradScaler, init_scale=2.0**24) if scaled else False,
                autocast=torch.float16 if scaled else None,
                fsdp=fsdp,
            )
        for phase in ("train", "backward", "step"):
            facts = measure(recipe, phase, workload=f"{fsdp}{scaled}")
            found.append(facts if isinstance(facts, list) else facts and facts["accumulate"])
answer(found)
leave()
"""


@pytest.mark.slow
def test_two_ranks_time_every_field():
    """With the CPU's loss, although the scaler skips the first steps."""
    ended = run_ranks(RANKS)
    assert [one.code for one in ended] == [0, 0], ended[0].err
    assert ended[0].answer == 12 * [2]
